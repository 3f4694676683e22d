//! `plan/1`: what a sync would do, and why.

use serde::Serialize;

use crate::cli::document::{ErrorReport, WarningReport, warning};
use crate::cli::exit;
use crate::error::Error;
use crate::outcome::{Action, Explanation, PlanOutcome, TablePlan};

/// What a sync would do.
#[derive(Debug, Serialize)]
pub(crate) struct PlanReport {
    /// `plan/1`.
    pub report: &'static str,
    /// Project name; `null`, like the next three, if there is no result.
    pub project: Option<String>,
    /// Target name.
    pub target: Option<String>,
    /// Landing root, as given.
    pub landing: Option<String>,
    /// Warehouse root, as given.
    pub warehouse: Option<String>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Whether a sync would change anything.
    pub pending: bool,
    /// Selected tables in the order of the project.
    pub tables: Vec<TablePlanReport>,
    /// Pending statements that rename or drop tables; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<String>,
    /// Tables that the catalog has under this warehouse, but the project no longer has; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_in_catalog: Vec<String>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}

/// What a sync would do with a table.
#[derive(Debug, Serialize)]
pub(crate) struct TablePlanReport {
    /// Table name.
    pub table: String,
    /// Its zone.
    pub zone: String,
    /// URL or absolute path.
    pub location: String,
    /// Current version; `null` = not created.
    pub version: Option<u64>,
    /// `none`, `ingest`, `incremental`, `full`, `check`, `stop`, `skip`.
    pub action: Action,
    /// Tables that change first: then the action is a prediction.
    pub after: Vec<String>,
    /// The reason.
    pub reason: String,
    /// The amount of data to process; `null` = none.
    pub estimate: Option<EstimateReport>,
    /// Files too young to be read.
    pub waiting: Vec<String>,
    /// Warnings.
    pub warnings: Vec<WarningReport>,
    /// How the change is computed; `null` unless asked for.
    pub explain: Option<ExplainReport>,
    /// Why it stops.
    pub error: Option<ErrorReport>,
}

/// The amount of data to process.
#[derive(Debug, Serialize)]
pub(crate) struct EstimateReport {
    /// Changed rows of its sources, or all rows for a full refresh; `null` = not known yet.
    pub rows: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
    /// It is an upper bound, because it depends on tables above.
    pub at_most: bool,
}

/// How a change is computed.
#[derive(Debug, Serialize)]
pub(crate) struct ExplainReport {
    /// Outermost operator first; empty if the query has no derivative.
    pub operators: Vec<OperatorReport>,
    /// Why it has none.
    pub reasons: Vec<String>,
    /// Bytes that an incremental refresh would read and write.
    pub incremental_bytes: Option<u64>,
    /// Bytes that a full refresh would read and write.
    pub full_bytes: Option<u64>,
}

/// One operator.
#[derive(Debug, Serialize)]
pub(crate) struct OperatorReport {
    /// Depth in the plan.
    pub depth: usize,
    /// Its description.
    pub operator: String,
    /// Its delta rule.
    pub rule: String,
}

/// The document of a plan.
#[must_use]
pub(crate) fn document(outcome: &PlanOutcome, exit_code: u8) -> PlanReport {
    PlanReport {
        report: "plan/1",
        project: Some(outcome.project.clone()),
        target: Some(outcome.target.clone()),
        landing: Some(outcome.landing.clone()),
        warehouse: Some(outcome.warehouse.clone()),
        exit_code,
        pending: exit::is_pending(outcome),
        tables: outcome.tables.iter().map(table).collect(),
        moves: outcome.moves.clone(),
        left_in_catalog: outcome.left.clone(),
        error: None,
    }
}

/// The document of a plan that could not be made.
#[must_use]
pub(crate) fn failed(error: &Error) -> PlanReport {
    PlanReport {
        report: "plan/1",
        project: None,
        target: None,
        landing: None,
        warehouse: None,
        exit_code: exit::of(error.kind()),
        pending: false,
        tables: Vec::new(),
        moves: Vec::new(),
        left_in_catalog: Vec::new(),
        error: Some(error.into()),
    }
}

fn table(plan: &TablePlan) -> TablePlanReport {
    TablePlanReport {
        table: plan.table.to_string(),
        zone: plan.zone.clone(),
        location: plan.location.clone(),
        version: plan.version,
        action: plan.action,
        after: plan.after.iter().map(ToString::to_string).collect(),
        reason: plan.reason.clone(),
        estimate: plan.estimate.map(|e| EstimateReport { rows: e.rows, bytes: e.bytes, at_most: e.at_most }),
        waiting: plan.waiting.clone(),
        warnings: plan.warnings.iter().map(warning).collect(),
        explain: plan.explanation.as_ref().map(explain),
        error: plan.problem.as_ref().map(ErrorReport::from),
    }
}

fn explain(explanation: &Explanation) -> ExplainReport {
    let operator = |o: &crate::outcome::Operator| OperatorReport {
        depth: o.depth,
        operator: o.operator.clone(),
        rule: o.rule.clone(),
    };
    ExplainReport {
        operators: explanation.operators.iter().map(operator).collect(),
        reasons: explanation.reasons.clone(),
        incremental_bytes: explanation.costs.map(|(incremental, _)| incremental),
        full_bytes: explanation.costs.map(|(_, full)| full),
    }
}
