//! Type coercion of a planned query, before the engine's own.

pub(crate) mod subquery_in_join_condition;
pub(crate) mod type_coercion;
