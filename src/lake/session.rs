//! A DataFusion session for one piece of work: its memory, its spill files, its stores.

use std::sync::Arc;

use deltalake::datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use deltalake::datafusion::execution::memory_pool::FairSpillPool;
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::execution::session_state::SessionStateBuilder;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::delta_datafusion::DeltaSessionConfig;

use super::forget::physical_rules;
use super::guards::Guarded;
use super::scanned::Scanned;
use crate::definition::{Timestamps, analyser_rules};
use crate::error::{Context, Result};
use crate::incremental::logical_rules;
use crate::storage::Location;

/// How a session is set up.
#[derive(Clone, Copy, Debug)]
pub struct SessionOptions {
    /// Most bytes that operators may hold before they spill.
    pub memory_limit: u64,
    /// False = sort-merge joins, which spill, instead of hash joins, which do not.
    pub hash_joins: bool,
}

/// A session whose reads of `stores` go through exactly those stores.
///
/// # Errors
/// When the runtime cannot be set up.
pub fn session(options: SessionOptions, stores: &[&Location]) -> Result<SessionContext> {
    let limit = usize::try_from(options.memory_limit).unwrap_or(usize::MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limit)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::OsTmpDirectory))
        .build_arc()
        .context(|| "the query engine cannot start".into())?;
    let mut config: SessionConfig = DeltaSessionConfig::default().into();
    // With one partition DataFusion plans hash joins even where merge joins are asked for.
    let partitions = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    config = config.with_target_partitions(partitions);
    config.set_extension(Arc::new(Scanned::default()));
    let settings = config.options_mut();
    settings.optimizer.prefer_hash_join = options.hash_joins;
    // It merges the columns of both sides of a join by their bare names and fails where one is on both: weights are.
    settings.optimizer.enable_leaf_expression_pushdown = false;
    // What each sort sets aside for merging its spilled runs; of a small pool, 10 MB a sort leave nothing to sort in.
    let reserved = settings.execution.sort_spill_reservation_bytes;
    settings.execution.sort_spill_reservation_bytes = reserved.min(limit / (8 * partitions));
    // A check of its own that fails where planner and planned do not agree on what can be NULL: after outer joins and
    // unions, and where a `case` may be and its simpler form may not (`distinct` over `coalesce` with a literal).
    settings.execution.skip_physical_aggregate_schema_check = true;
    // It skips files whose statistics show no lesser or greater value than the one found: they leave NaN out.
    settings.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    // String views cannot be sorted and merged within small pools.
    settings.execution.parquet.schema_force_view_types = false;
    // Spark writes timestamps in 96 bits. As nanoseconds, those before 1677 and after 2262 would become others.
    settings.execution.parquet.coerce_int96 = Some("us".into());
    settings.sql_parser.map_string_types_to_utf8view = false;
    settings.sql_parser.enable_ident_normalization = true;
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_query_planner(Arc::new(Guarded))
        .with_type_planner(Arc::new(Timestamps))
        .with_analyzer_rules(analyser_rules())
        .with_optimizer_rules(logical_rules())
        .with_physical_optimizer_rules(physical_rules())
        .build();
    let context = SessionContext::new_with_state(state);
    for function in crate::exact::functions() {
        context.register_udaf(function.as_ref().clone());
    }
    for location in stores {
        let mut root = location.url.clone();
        root.set_path("/");
        context.runtime_env().register_object_store(&root, location.store.clone());
    }
    Ok(context)
}
