//! A plan: one line per table; then changes of columns, computed rows, the delta rules and the catalog, as far as there are
//! any.

use crate::cli::exit::is_pending;
use crate::cli::render::error::{plain_warning, table_error, warning};
use crate::cli::render::explained;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{NO_TABLES, bytes, change, count, heading, number, unless_same, wrapped};
use crate::cli::render::width::{clipped, limit};
use crate::cli::verbs::sync::text::left_in_catalog;
use crate::outcome::{
    Action, CatalogPlan, Computed, EntryChange, Estimate, Explanation, Mode, PlanOutcome, SchemaChange,
    SchemaChangeKind, TablePlan, Verdict,
};
use crate::privacy::word;

/// Maximum characters of an operator.
const OPERATOR_WIDTH: usize = 60;
/// Width in which reasons are wrapped, unless the terminal has another.
const WIDTH: usize = 80;
/// Fewer characters than this are no column to wrap a reason in.
const LEAST: usize = 30;
/// Maximum characters of a change of columns.
const CHANGE_WIDTH: usize = 48;
/// Catalog entries that are named.
const NAMED: usize = 5;

/// The result.
pub(in crate::cli) fn answer(outcome: &PlanOutcome) -> String {
    if outcome.tables.is_empty() && outcome.moves().is_empty() && outcome.catalog.changes.is_empty() {
        return NO_TABLES.to_owned();
    }
    let mut text = heading(&outcome.project, &outcome.target, &outcome.landing, &outcome.warehouse);
    for statement in outcome.moves() {
        text.push_str(&format!("{statement}\n"));
    }
    text.push_str(&tables(&outcome.tables));
    text.push_str(&columns(&outcome.tables));
    text.push_str(&rows(&outcome.tables));
    for table in &outcome.tables {
        if let Some(explanation) = &table.explanation {
            text.push_str(&format!("\n{}\n{}", table.table, strategy(explanation)));
        }
    }
    text.push('\n');
    text.push_str(&catalog(&outcome.catalog));
    text.push_str(&summary(outcome));
    text
}

/// Warnings, and why tables stop.
pub(in crate::cli) fn problems(outcome: &PlanOutcome, color: bool) -> String {
    let mut blocks = Vec::new();
    for table in &outcome.tables {
        blocks.extend(table.warnings.iter().map(|w| warning(&table.table, w, color)));
        let computed = table.computed.iter().flat_map(|computed| &computed.warnings);
        blocks.extend(computed.map(|w| warning(&table.table, w, color)));
    }
    if let Some(error) = &outcome.catalog.problem {
        let head = format!("{} cannot be read: what the sync would do there is unknown", outcome.catalog.catalog);
        blocks.push(plain_warning(&head, &[error.to_string()], color));
    }
    for table in &outcome.tables {
        blocks.extend(table.left_out.iter().map(|error| table_error(Some(&table.table), error, None, color)));
        blocks.extend(table.problem.iter().map(|error| table_error(Some(&table.table), error, None, color)));
        if let (Some(Verdict::Refused(error)), None) = (table.computed.as_ref().map(|c| &c.verdict), &table.problem) {
            blocks.push(table_error(Some(&table.table), error, None, color));
        }
    }
    blocks.extend(left_in_catalog(&outcome.catalog.left, &outcome.catalog.catalog, color));
    blocks.extend(outcome.problem.iter().map(|error| table_error(None, error, None, color)));
    blocks.join("\n")
}

/// What to type if a sync would do something; `out`: the file of the plan.
pub(in crate::cli) fn next(outcome: &PlanOutcome, out: Option<&str>) -> Option<String> {
    let sync = match out {
        Some(out) => format!("stedi-delta sync --plan {}", word(out)?),
        None => "stedi-delta sync".to_owned(),
    };
    is_pending(outcome).then(|| format!("Next: {sync}\n"))
}

fn tables(tables: &[TablePlan]) -> String {
    let widest =
        |text: &dyn Fn(&TablePlan) -> String| tables.iter().map(|t| text(t).chars().count()).max().unwrap_or(0);
    let version = |table: &TablePlan| table.version.map_or_else(|| "new".into(), |v| format!("v{v}"));
    let sizes = |table: &TablePlan| table.estimate.map(estimate).unwrap_or_default();
    let (zone, name) = (widest(&|t| t.zone.clone()), widest(&|t| t.table.to_string()));
    let left = zone + 3 + name + 4 + widest(&version) + 3;
    let right = match widest(&sizes) {
        0 => 0,
        width => width + 3,
    };
    let room = limit().unwrap_or(WIDTH).saturating_sub(left + right).max(LEAST);
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(3, 0),
        Column::left(4, 0),
        Column::left(3, 0),
        Column::left(3, 0),
    ]);
    let mut zone = "";
    for table in tables {
        let mut lines = wrapped(&action(table), room).into_iter();
        grid.row(vec![
            unless_same(&table.zone, zone),
            table.table.to_string(),
            version(table),
            lines.next().unwrap_or_default(),
            sizes(table),
        ]);
        for line in lines {
            grid.row(vec![String::new(), String::new(), String::new(), line, String::new()]);
        }
        zone = &table.zone;
    }
    grid.text()
}

fn action(table: &TablePlan) -> String {
    let mut text = match table.action {
        Action::Do(Mode::None) => "up to date".to_owned(),
        Action::Do(Mode::Ingest) => explained("ingest", &table.reason),
        Action::Do(Mode::Check) => explained("check", &table.reason),
        Action::Do(Mode::Metadata) => explained("metadata", &table.reason),
        Action::Skip => explained("skip", &table.reason),
        Action::Stop => "stop".to_owned(),
        Action::Do(Mode::Incremental | Mode::Full) => {
            let mode = if table.action == Action::Do(Mode::Full) { "full" } else { "incremental" };
            let names: Vec<&str> = table.after.iter().map(|n| n.as_str()).collect();
            let after = match (names.is_empty(), table.after_ingest) {
                (true, _) => String::new(),
                (false, true) => " (after ingest)".to_owned(),
                (false, false) => format!(" (after {})", names.join(", ")),
            };
            explained(&format!("{mode}{after}"), &table.reason)
        }
    };
    if let Some(error) = table.left_out.first() {
        text.push_str(&format!("; left out: {}", error.message()));
    }
    if !table.waiting.is_empty() {
        text.push_str(&format!("; {} too young to be read", count(table.waiting.len() as u64, "file")));
    }
    text
}

fn estimate(estimate: Estimate) -> String {
    let rows = estimate.rows.map(|rows| count(rows, "row"));
    let parts: Vec<String> = rows.into_iter().chain(estimate.bytes.map(bytes)).collect();
    match (parts.is_empty(), estimate.at_most) {
        (true, _) => "unknown until then".to_owned(),
        (false, true) => format!("at most {}", parts.join(", ")),
        (false, false) => parts.join(", "),
    }
}

/// The changes of columns, and what they write anew.
fn columns(tables: &[TablePlan]) -> String {
    if tables.iter().all(|table| table.schema.is_empty() && table.rewrite.is_none()) {
        return String::new();
    }
    let mut grid = Grid::new(vec![Column::left(2, 0), Column::left(3, 0), Column::left(3, 0)]);
    let mut rewrites = String::new();
    for table in tables {
        let mut name = table.table.to_string();
        for change in &table.schema {
            grid.row(vec![std::mem::take(&mut name), column(change), change.migration.clone().unwrap_or_default()]);
        }
        if let Some(rewrite) = table.rewrite {
            let (size, statements) = (bytes(rewrite.bytes), count(rewrite.statements, "statement"));
            rewrites.push_str(&format!("  {statements} of migrations: {size} of {} to be rewritten\n", table.table));
        }
    }
    format!("\nColumns\n{}{rewrites}", grid.text())
}

fn column(change: &SchemaChange) -> String {
    let side = |text: &Option<String>| text.clone().unwrap_or_default();
    let (before, after, name) = (side(&change.before), side(&change.after), &change.column);
    let text = match change.kind {
        SchemaChangeKind::Added => format!("{name} {after}"),
        SchemaChangeKind::Removed => name.clone(),
        SchemaChangeKind::Renamed => format!("{name}: renamed to {after}"),
        SchemaChangeKind::Type => format!("{name}: {before} -> {after}"),
        SchemaChangeKind::Nullable => format!("{name}: nullable"),
        SchemaChangeKind::NotNull => format!("{name}: not null"),
        SchemaChangeKind::Order => "order of the columns".to_owned(),
        SchemaChangeKind::Description => "description".to_owned(),
    };
    format!("{} {}", change.kind.sign(), clipped(&text, CHANGE_WIDTH))
}

/// The computed changes.
fn rows(tables: &[TablePlan]) -> String {
    let computed: Vec<(&TablePlan, &Computed)> =
        tables.iter().filter_map(|table| Some((table, table.computed.as_ref()?))).collect();
    if computed.is_empty() {
        return String::new();
    }
    let told = |(table, computed): (&TablePlan, &Computed)| {
        let rows = computed.rows;
        let (rows, verdict) = match &computed.verdict {
            Verdict::Holds => (change(rows.inserted, rows.updated, rows.deleted), how(computed)),
            Verdict::Refused(error) => (String::new(), error.message().to_owned()),
            Verdict::Skipped(source) => (String::new(), format!("skip: {source} stops")),
        };
        (table.table.to_string(), rows, verdict)
    };
    let told: Vec<(String, String, String)> = computed.into_iter().map(told).collect();
    let width = |text: &String| text.chars().count();
    let left = told.iter().map(|(name, ..)| width(name)).max().unwrap_or(0) + 2;
    let middle = told.iter().map(|(_, rows, _)| width(rows)).max().unwrap_or(0) + 6;
    let room = limit().unwrap_or(WIDTH).saturating_sub(left + middle).max(LEAST);
    let mut grid = Grid::new(vec![Column::left(2, 0), Column::right(3, 0), Column::left(3, 0)]);
    for (name, rows, verdict) in told {
        let mut lines = wrapped(&verdict, room).into_iter();
        grid.row(vec![name, rows, lines.next().unwrap_or_default()]);
        for line in lines {
            grid.row(vec![String::new(), String::new(), line]);
        }
    }
    format!("\nRows, without landing files that are to be ingested\n{}", grid.text())
}

fn how(computed: &Computed) -> String {
    let mode = match computed.mode {
        Mode::None => "up to date",
        Mode::Ingest => "ingest",
        Mode::Full => "full",
        Mode::Incremental => "incremental",
        Mode::Check => "check",
        Mode::Metadata => "metadata",
    };
    match computed.rows.quarantined {
        0 => mode.to_owned(),
        rows => format!("{mode}, {} in quarantine", count(rows, "record")),
    }
}

/// The plan as a tree, or why there is none.
fn strategy(explanation: &Explanation) -> String {
    let mut text = String::new();
    let mut grid = Grid::new(vec![Column::left(2, 0), Column::left(3, 0)]);
    for operator in &explanation.operators {
        let indent = "  ".repeat(operator.depth);
        grid.row(vec![format!("{indent}{}", clipped(&operator.operator, OPERATOR_WIDTH)), operator.rule.clone()]);
    }
    text.push_str(&grid.text());
    for reason in &explanation.reasons {
        text.push_str(&format!("  not incremental: {reason}\n"));
    }
    if let Some((incremental, full)) = explanation.costs {
        text.push_str(&format!("  would cost {} incremental, {} full\n", bytes(incremental), bytes(full)));
    }
    if let Some((incremental, full)) = explanation.times {
        let mut grid =
            Grid::new(vec![Column::left(2, 0), Column::right(3, 0), Column::right(3, 0), Column::left(3, 0)]);
        for (name, time) in [("incremental", incremental), ("full", full)] {
            let history = match time.refreshes {
                0 => "no recent refresh".to_owned(),
                _ => format!("took {} ms ({})", number(time.mean_ms), count(time.refreshes, "time")),
            };
            let estimated = format!("estimated {} ms", number(time.estimated_ms));
            grid.row(vec![name.to_owned(), estimated, format!("expected {} ms", number(time.expected_ms)), history]);
        }
        text.push_str(&grid.text());
    }
    text
}

/// One line per kind of change in the catalog.
fn catalog(plan: &CatalogPlan) -> String {
    let kinds = [
        (EntryChange::Create, "to create"),
        (EntryChange::Update, "to update"),
        (EntryChange::Remove, "to remove"),
        (EntryChange::Refuse, "refused"),
    ];
    let mut text = String::new();
    let mut line = |names: &[&str], what: &str| {
        if names.is_empty() {
            return;
        }
        let more = if names.len() > NAMED { ", ..." } else { "" };
        let named = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let entries = count(names.len() as u64, "entry");
        let lines = wrapped(&format!("Catalog: {entries} {what}: {named}{more}"), limit().unwrap_or(WIDTH));
        text.push_str(&(lines.join("\n         ") + "\n"));
    };
    for (kind, what) in kinds {
        let of_kind = plan.changes.iter().filter(|c| c.change == kind);
        line(&of_kind.map(|c| c.table.as_str()).collect::<Vec<_>>(), what);
    }
    text
}

fn summary(outcome: &PlanOutcome) -> String {
    let of = |action: Action| outcome.tables.iter().filter(|t| t.action == action).count() as u64;
    let kinds = [
        (Action::Do(Mode::Ingest), "to ingest"),
        (Action::Do(Mode::Incremental), "incremental"),
        (Action::Do(Mode::Full), "full"),
        (Action::Do(Mode::Check), "to check"),
        (Action::Do(Mode::Metadata), "metadata only"),
        (Action::Stop, "to stop"),
        (Action::Skip, "left behind"),
        (Action::Do(Mode::None), "up to date"),
    ];
    let parts: Vec<String> =
        kinds.iter().filter(|(a, _)| of(*a) > 0).map(|(a, what)| format!("{} {what}", number(of(*a)))).collect();
    format!("Plan: {}.\n", parts.join(", "))
}
