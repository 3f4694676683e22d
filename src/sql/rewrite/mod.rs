//! Syntax -> syntax, before planning: corrects syntax that the engine misinterprets or does not support.

pub mod cast_column_names;
pub mod like_escape;
pub mod order_by_limit_one;
pub mod lateral;
pub mod precedence;
pub mod row_value_comparison;
pub mod using_columns;
pub mod function_aliases;
pub mod derived_table_aliases;
