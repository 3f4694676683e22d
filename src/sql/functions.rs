//! The functions that a query may call, by all of their names.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use deltalake::datafusion::common::{DataFusionError, plan_datafusion_err};
use deltalake::datafusion::execution::SessionStateDefaults;
use deltalake::datafusion::logical_expr::planner::{ExprPlanner, RelationPlanner};
use deltalake::datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use super::rewrite::lateral::UnnestRelation;

/// Built-in functions by all of their names.
pub(crate) struct Functions {
    pub(crate) scalar: HashMap<String, Arc<ScalarUDF>>,
    pub(crate) aggregate: HashMap<String, Arc<AggregateUDF>>,
    pub(crate) window: HashMap<String, Arc<WindowUDF>>,
    pub(crate) planners: Vec<Arc<dyn ExprPlanner>>,
    pub(crate) relations: [Arc<dyn RelationPlanner>; 1],
}

pub(crate) static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    fn by_name<F>(all: Vec<Arc<F>>, names: impl Fn(&F) -> Vec<String>) -> HashMap<String, Arc<F>> {
        all.into_iter().flat_map(|f| names(&f).into_iter().map(move |n| (n, f.clone())).collect::<Vec<_>>()).collect()
    }
    let with_aliases = |name: &str, aliases: &[String]| {
        let mut names = aliases.to_vec();
        names.push(name.to_owned());
        names
    };
    Functions {
        scalar: by_name(crate::calendar::functions().into_iter().chain(crate::json_path::functions()).collect(), |f| {
            with_aliases(f.name(), f.aliases())
        }),
        aggregate: by_name(crate::exact::functions(), |f| with_aliases(f.name(), f.aliases())),
        window: by_name(SessionStateDefaults::default_window_functions(), |f| with_aliases(f.name(), f.aliases())),
        planners: SessionStateDefaults::default_expr_planners(),
        relations: [Arc::new(UnnestRelation)],
    }
});

/// Names of all built-in functions.
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    let Functions { scalar, aggregate, window, .. } = &*FUNCTIONS;
    scalar.keys().chain(aggregate.keys()).chain(window.keys()).map(String::as_str)
}

/// Names of the functions that can be called with `*`.
pub(crate) fn aggregate_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.aggregate.keys().map(String::as_str)
}

/// A built-in scalar function.
///
/// # Errors
/// There is none of this name.
pub(crate) fn scalar(name: &str) -> Result<Arc<ScalarUDF>, DataFusionError> {
    FUNCTIONS.scalar.get(name).cloned().ok_or_else(|| plan_datafusion_err!("`{name}` is no function"))
}
