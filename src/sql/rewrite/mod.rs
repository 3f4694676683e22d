//! Syntax -> syntax, before planning: corrects syntax that the engine misinterprets or does not support.

pub(crate) mod cast_column_names;
pub(crate) mod like_escape;
pub(crate) mod long_conditions;
pub(crate) mod order_by_limit_one;
pub(crate) mod lateral;
pub(crate) mod precedence;
pub(crate) mod row_value_comparison;
pub(crate) mod using_columns;
pub(crate) mod function_aliases;
pub(crate) mod derived_table_aliases;
