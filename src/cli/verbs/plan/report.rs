//! `plan/1`: what a sync would do, and why.

use serde::Serialize;

use crate::cli::document::{ErrorReport, WarningReport, warning};
use crate::cli::exit;
use crate::cli::verbs::migrate::{MigrationReport, migration};
use crate::error::Error;
use crate::outcome::{
    Action, CatalogPlan, Computed, Drift, EntryChange, Explanation, Mode, ModeTime, PlanOutcome, Rewrite, Rows,
    SchemaChange, SchemaChangeKind, TablePlan, Verdict,
};
use crate::shape::document;

document! {
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
    /// Migrations with pending statements.
    pub migrations: Vec<MigrationReport>,
    /// What the sync does in the catalog; `null` if there is no result.
    pub catalog: Option<CatalogReport>,
    /// The file of `--out`; `null` = none was asked for.
    pub out: Option<String>,
    /// Why there is no result, or why no rows could be computed.
    pub error: Option<ErrorReport>,
}
}

document! {
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
    /// `none`, `ingest`, `incremental`, `full`, `check`, `metadata`, `stop`, `skip`.
    pub action: Action,
    /// Tables that change first: then the action is a prediction.
    pub after: Vec<String>,
    /// The reason.
    pub reason: String,
    /// The amount of data to process; `null` = none.
    pub estimate: Option<EstimateReport>,
    /// Changes of its columns.
    pub schema: Vec<SchemaChangeReport>,
    /// What migrations write anew; `null` = nothing.
    pub rewrite: Option<Rewrite>,
    /// Its change, without landing files that are to be ingested; `null` unless asked for.
    pub computed: Option<ComputedReport>,
    /// Files too young to be read.
    pub waiting: Vec<String>,
    /// Warnings.
    pub warnings: Vec<WarningReport>,
    /// Files that a sync would leave out, with an error.
    pub left_out: Vec<ErrorReport>,
    /// How the change is computed; `null` unless asked for.
    pub explain: Option<ExplainReport>,
    /// Why it stops.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A change of a table's columns.
#[derive(Debug, Serialize)]
pub(crate) struct SchemaChangeReport {
    /// `added`, `removed`, `renamed`, `type`, `nullable`, `not_null`, `order`, `description`.
    pub change: SchemaChangeKind,
    /// The column or field; empty for a change of the table itself.
    pub column: String,
    /// The type before, or the name before a rename.
    pub before: Option<String>,
    /// The type after, or the name after a rename.
    pub after: Option<String>,
    /// The migration that makes it; `null` = the sync itself.
    pub migration: Option<String>,
}
}

document! {
/// The computed change of a table.
#[derive(Debug, Serialize)]
pub(crate) struct ComputedReport {
    /// `none`, `full`, `incremental`, `check`, `metadata`.
    pub mode: Mode,
    /// Why this mode.
    pub reason: String,
    /// `rows_inserted`, `rows_updated`, `rows_deleted`, `rows_quarantined`.
    #[serde(flatten)]
    pub rows: Rows,
    /// Warnings.
    pub warnings: Vec<WarningReport>,
    /// Why the sync would not commit it: `evidence` for consent and expectations.
    pub error: Option<ErrorReport>,
}
}

document! {
/// What the sync does in the catalog.
#[derive(Debug, Serialize)]
pub(crate) struct CatalogReport {
    /// The name of the catalog.
    pub catalog: String,
    /// Database in it.
    pub database: String,
    /// Entries that change.
    pub changes: Vec<CatalogChangeReport>,
    /// Entries of tables that left the project: they stay.
    pub left: Vec<String>,
    /// Why the catalog could not be read.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A catalog entry that changes.
#[derive(Debug, Serialize)]
pub(crate) struct CatalogChangeReport {
    /// The table.
    pub table: String,
    /// `create`, `update`, `remove`, `refuse`.
    pub change: EntryChange,
    /// Fields of an existing entry that differ.
    pub fields: Vec<Drift>,
}
}

document! {
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
}

document! {
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
    /// The time of an incremental refresh.
    pub incremental: Option<ModeTime>,
    /// The time of a full refresh.
    pub full: Option<ModeTime>,
}
}

document! {
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
}

/// The document of a plan; `out`: the file that it was written to.
#[must_use]
pub(crate) fn document(outcome: &PlanOutcome, exit_code: u8, out: Option<String>) -> PlanReport {
    PlanReport {
        report: "plan/1",
        project: Some(outcome.project.clone()),
        target: Some(outcome.target.clone()),
        landing: Some(outcome.landing.clone()),
        warehouse: Some(outcome.warehouse.clone()),
        exit_code,
        pending: exit::is_pending(outcome),
        tables: outcome.tables.iter().map(table).collect(),
        moves: outcome.moves(),
        migrations: outcome.migrations.iter().map(migration).collect(),
        catalog: Some(catalog(&outcome.catalog)),
        out,
        error: outcome.problem.as_ref().map(ErrorReport::from),
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
        migrations: Vec::new(),
        catalog: None,
        out: None,
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
        schema: plan.schema.iter().map(schema).collect(),
        rewrite: plan.rewrite,
        computed: plan.computed.as_ref().map(computed),
        waiting: plan.waiting.clone(),
        warnings: plan.warnings.iter().map(warning).collect(),
        left_out: plan.left_out.iter().map(ErrorReport::from).collect(),
        explain: plan.explanation.as_ref().map(explain),
        error: plan.problem.as_ref().map(ErrorReport::from),
    }
}

fn schema(change: &SchemaChange) -> SchemaChangeReport {
    let SchemaChange { kind, column, before, after, migration } = change.clone();
    SchemaChangeReport { change: kind, column, before, after, migration }
}

fn computed(computed: &Computed) -> ComputedReport {
    ComputedReport {
        mode: computed.mode,
        reason: computed.reason.clone(),
        rows: computed.rows,
        warnings: computed.warnings.iter().map(warning).collect(),
        error: match &computed.verdict {
            Verdict::Holds => None,
            Verdict::Refused(error) => Some(error.into()),
            Verdict::Skipped(source) => Some(ErrorReport::skipped(source)),
        },
    }
}

fn catalog(plan: &CatalogPlan) -> CatalogReport {
    let change = |change: &crate::outcome::CatalogChange| CatalogChangeReport {
        table: change.table.clone(),
        change: change.change,
        fields: change.fields.clone(),
    };
    CatalogReport {
        catalog: plan.catalog.clone(),
        database: plan.database.clone(),
        changes: plan.changes.iter().map(change).collect(),
        left: plan.left.clone(),
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
        incremental: explanation.times.map(|(incremental, _)| incremental),
        full: explanation.times.map(|(_, full)| full),
    }
}
