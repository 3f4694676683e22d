//! A DataFusion session for one operation: its memory, its spill files, its stores.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake::datafusion::execution::disk_manager::DiskManagerBuilder;
use deltalake::datafusion::execution::memory_pool::FairSpillPool;
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::delta_datafusion::DeltaSessionConfig;

use super::scanned::Scanned;
use super::spill;
use crate::bounded::OutputLimit;
use crate::definition::Project;
use crate::error::{Context, Result};
use crate::sql::{Planner, engine};
use crate::storage::Location;

/// How a session joins on equal keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joins {
    /// By hash joins, which cannot spill.
    Hash,
    /// By sort-merge joins, which can.
    SortMerge,
}

/// How a session is set up.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Most bytes that operators may hold before they spill.
    pub memory_limit: u64,
    /// The folder for spill files; `None` = the temporary folder of the operating system.
    pub spill_folder: Option<PathBuf>,
    /// How it joins.
    pub joins: Joins,
    /// How its queries are planned.
    pub planner: Planner,
}

impl SessionOptions {
    /// Hash joins and all rules, with this many bytes.
    #[must_use]
    pub fn limited(memory_limit: u64) -> Self {
        Self { memory_limit, spill_folder: None, joins: Joins::Hash, planner: Planner::Optimised }
    }

    /// The same by a project's settings. Half of its limit is left to writers, snapshots and Parquet buffers.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        Self { spill_folder: project.spill_folder.clone(), ..Self::limited(project.memory_limit / 2) }
    }
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
    // With one partition DataFusion plans hash joins even if merge joins are requested.
    let partitions = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    config = config.with_target_partitions(partitions);
    config.set_extension(Arc::new(Scanned::default()));
    let settings = config.options_mut();
    // The pool is one half of the memory.
    settings.extensions.insert(OutputLimit::of_memory(options.memory_limit.saturating_mul(2)));
    settings.optimizer.prefer_hash_join = options.joins == Joins::Hash;
    // The bytes that each sort reserves for merging its spilled runs; 10 MB per sort would exhaust a small pool.
    let reserved = settings.execution.sort_spill_reservation_bytes;
    settings.execution.sort_spill_reservation_bytes = reserved.min(limit / (8 * partitions));
    let context = SessionContext::new_with_state(engine(config, runtime, options.planner));
    for location in stores {
        let mut root = location.url.clone();
        root.set_path("/");
        context.runtime_env().register_object_store(&root, location.store.clone());
    }
    Ok(context)
}
