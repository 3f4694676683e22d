//! The options of the query engine that affect the meaning of SQL: the same for planning and for running.

use std::sync::Arc;

use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::execution::context::ExecutionProps;

/// UTC, plain strings, names in lower case, places in errors; rules of the engine that give wrong rows are off.
#[must_use]
pub(crate) fn engine_options() -> ConfigOptions {
    let mut options = ConfigOptions::default();
    apply(&mut options);
    options
}

/// Sets these options among others.
pub(crate) fn apply(options: &mut ConfigOptions) {
    options.execution.time_zone = Some("UTC".into());
    options.sql_parser.enable_ident_normalization = true;
    options.sql_parser.collect_spans = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // It merges the columns of both sides of a join by their bare names and fails if a name is on both: weights are.
    options.optimizer.enable_leaf_expression_pushdown = false;
    // It skips files whose statistics show no lower or higher value than the current one: statistics omit NaN.
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // A check of the engine that fails if logical and physical plan disagree about nullability: after outer joins and
    // unions, and where a `case` is nullable and its simplified form is not (`distinct` over `coalesce` with a
    // literal).
    options.execution.skip_physical_aggregate_schema_check = true;
    // String views cannot be sorted and merged within small pools.
    options.execution.parquet.schema_force_view_types = false;
    // Spark writes timestamps in 96 bits. As nanoseconds, those before 1677 and after 2262 would overflow.
    options.execution.parquet.coerce_int96 = Some("us".into());
}

/// These options as the arguments of functions, for an expression that is evaluated alone.
#[must_use]
pub(crate) fn execution_props() -> ExecutionProps {
    ExecutionProps { config_options: Some(Arc::new(engine_options())), ..ExecutionProps::new() }
}
