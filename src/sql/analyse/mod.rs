//! Type coercion of a planned query, before the engine's own.

pub mod subquery_in_join_condition;
pub mod type_coercion;
