//! Types of a planned query: what every expression is given before the engine looks for a type by itself.

pub mod subquery_in_join_condition;
pub mod type_coercion;
