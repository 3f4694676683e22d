//! A DataFusion session for one piece of work: its memory, its spill files, its stores.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake::datafusion::execution::disk_manager::DiskManagerBuilder;
use deltalake::datafusion::execution::memory_pool::FairSpillPool;
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::execution::session_state::SessionStateBuilder;
use deltalake::datafusion::optimizer::AnalyzerRule;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::delta_datafusion::DeltaSessionConfig;

use super::forget::{physical_rules, plain_physical_rules};
use super::guards::Guarded;
use super::scanned::Scanned;
use super::spill;
use crate::bounded::{BoundedFunctions, OutputLimit};
use crate::definition::{Project, Timestamps, analyser_rules, options};
use crate::error::{Context, Result};
use crate::incremental::{logical_rules, plain_rules};
use crate::storage::Location;

/// How a session is set up.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Most bytes that operators may hold before they spill.
    pub memory_limit: u64,
    /// Where they spill to; `None` = the temporary folder of the operating system.
    pub spill_folder: Option<PathBuf>,
    /// False = sort-merge joins, which spill, instead of hash joins, which do not.
    pub hash_joins: bool,
    /// How its queries are planned.
    pub planner: Planner,
}

impl SessionOptions {
    /// Hash joins and all rules, with so many bytes.
    #[must_use]
    pub fn limited(memory_limit: u64) -> Self {
        Self { memory_limit, spill_folder: None, hash_joins: true, planner: Planner::Optimised }
    }

    /// The same as a project says. Half of its limit is left to writers, snapshots and Parquet buffers.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        Self { spill_folder: project.spill_folder.clone(), ..Self::limited(project.memory_limit / 2) }
    }
}

/// How the queries of a session are planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planner {
    /// By all rules.
    #[default]
    Optimised,
    /// By those alone without which no plan runs, and no condition goes to a table: a second opinion.
    Plain,
}

/// A session whose reads of `stores` go through exactly those stores.
///
/// # Errors
/// When the runtime cannot be set up.
pub fn session(options: SessionOptions, stores: &[&Location]) -> Result<SessionContext> {
    let limit = usize::try_from(options.memory_limit).unwrap_or(usize::MAX);
    let spilled = spill::below(options.spill_folder.as_deref());
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limit)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_temp_file_factory(spilled))
        .build_arc()
        .context(|| "the query engine cannot start".into())?;
    let mut config: SessionConfig = DeltaSessionConfig::default().into();
    // With one partition DataFusion plans hash joins even where merge joins are asked for.
    let partitions = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    config = config.with_target_partitions(partitions);
    config.set_extension(Arc::new(Scanned::default()));
    let settings = config.options_mut();
    options::apply(settings);
    // The pool is one half of the memory.
    settings.extensions.insert(OutputLimit::of_memory(options.memory_limit.saturating_mul(2)));
    settings.optimizer.prefer_hash_join = options.hash_joins;
    // What each sort sets aside for merging its spilled runs; of a small pool, 10 MB a sort leave nothing to sort in.
    let reserved = settings.execution.sort_spill_reservation_bytes;
    settings.execution.sort_spill_reservation_bytes = reserved.min(limit / (8 * partitions));
    let (logical, physical) = match options.planner {
        Planner::Optimised => (logical_rules(), physical_rules()),
        Planner::Plain => {
            settings.execution.parquet.pruning = false;
            settings.execution.parquet.bloom_filter_on_read = false;
            settings.optimizer.enable_dynamic_filter_pushdown = false;
            settings.optimizer.enable_join_dynamic_filter_pushdown = false;
            settings.optimizer.enable_topk_dynamic_filter_pushdown = false;
            (plain_rules(), plain_physical_rules())
        }
    };
    // Last, when every function has the arguments that it will be called with.
    let bounded: Arc<dyn AnalyzerRule + Send + Sync> = Arc::new(BoundedFunctions);
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_query_planner(Arc::new(Guarded))
        .with_type_planner(Arc::new(Timestamps))
        .with_analyzer_rules(analyser_rules().into_iter().chain([bounded]).collect())
        .with_optimizer_rules(logical)
        .with_physical_optimizer_rules(physical)
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
