//! The law: the change applied to the old result is the new result. And what it may cost.

mod consent;
mod cost;
mod floats;
mod killers;
mod law;
mod refusals;
mod shuffled;
mod support;
