//! The law: the old result plus the change equals the new result. Also limits on its cost.

mod consent;
mod cost;
mod first_row;
mod floats;
mod frames;
mod killers;
mod law;
mod refusals;
mod running;
mod shuffled;
mod support;
