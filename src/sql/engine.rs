//! The query engine with all corrections.

use std::sync::Arc;

use deltalake::datafusion::execution::runtime_env::RuntimeEnv;
use deltalake::datafusion::execution::session_state::SessionStateBuilder;
use deltalake::datafusion::execution::{FunctionRegistry, SessionState};
use deltalake::datafusion::optimizer::AnalyzerRule;
use deltalake::datafusion::prelude::SessionConfig;

use super::analyse::type_coercion::Timestamps;
use super::optimizer::plain::plain_rules;
use super::optimizer::reorder::logical_rules;
use super::options;
use super::physical::drop_equivalences::{physical_rules, plain_physical_rules};
use super::physical::filter_ordering::Guarded;
use super::planner::analyser_rules;
use crate::bounded::BoundedFunctions;
use crate::exact;

/// How the queries of a session are planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planner {
    /// By all rules.
    #[default]
    Optimised,
    /// With only the rules without which no plan runs, and without predicate pushdown: a second opinion.
    Plain,
}

/// A session's state that plans by `planner`, overriding `config`.
#[must_use]
pub(crate) fn engine(mut config: SessionConfig, runtime: Arc<RuntimeEnv>, planner: Planner) -> SessionState {
    let settings = config.options_mut();
    options::apply(settings);
    let (logical, physical) = match planner {
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
    // Last, when every function has its final arguments.
    let bounded: Arc<dyn AnalyzerRule + Send + Sync> = Arc::new(BoundedFunctions);
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_query_planner(Arc::new(Guarded))
        .with_type_planner(Arc::new(Timestamps))
        .with_analyzer_rules(analyser_rules().into_iter().chain([bounded]).collect())
        .with_optimizer_rules(logical)
        .with_physical_optimizer_rules(physical);
    let mut state = state.build();
    for function in exact::functions() {
        // Replaces the engine's own of the same names.
        let _ = state.register_udaf(function);
    }
    state
}
