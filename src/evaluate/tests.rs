//! The law: the old result plus the change equals the new result. Also limits on its cost.

mod consent;
mod cost;
mod floats;
mod killers;
mod law;
mod refusals;
mod shuffled;
mod support;
