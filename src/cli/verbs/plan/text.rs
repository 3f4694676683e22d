//! A plan: one line per table, then the delta rules, if requested.

use crate::cli::exit::is_pending;
use crate::cli::render::error::{table_error, warning};
use crate::cli::render::explained;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{bytes, count, heading, number, unless_same};
use crate::cli::verbs::sync::text::left_in_catalog;
use crate::outcome::{Action, Estimate, Explanation, Mode, PlanOutcome, TablePlan};

/// Maximum characters of an operator.
const OPERATOR_WIDTH: usize = 60;

/// The result.
pub(in crate::cli) fn answer(outcome: &PlanOutcome) -> String {
    let mut text = heading(&outcome.project, &outcome.target, &outcome.landing, &outcome.warehouse);
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(3, 0),
        Column::left(4, 0),
        Column::left(3, 0),
        Column::left(3, 0),
    ]);
    let mut zone = "";
    for table in &outcome.tables {
        grid.row(vec![
            unless_same(&table.zone, zone),
            table.table.to_string(),
            table.version.map_or_else(|| "new".into(), |v| format!("v{v}")),
            action(table),
            table.estimate.map(estimate).unwrap_or_default(),
        ]);
        zone = &table.zone;
    }
    for statement in &outcome.moves {
        text.push_str(&format!("{statement}\n"));
    }
    text.push_str(&grid.text());
    for table in &outcome.tables {
        if let Some(explanation) = &table.explanation {
            text.push_str(&format!("\n{}\n{}", table.table, strategy(explanation)));
        }
    }
    text.push_str(&format!("\n{}", summary(outcome)));
    text
}

/// Warnings, and why tables stop.
pub(in crate::cli) fn problems(outcome: &PlanOutcome, color: bool) -> String {
    let mut blocks = Vec::new();
    for table in &outcome.tables {
        blocks.extend(table.warnings.iter().map(|w| warning(&table.table, w, color)));
    }
    for table in &outcome.tables {
        blocks.extend(table.problem.iter().map(|error| table_error(Some(&table.table), error, None, color)));
    }
    blocks.extend(left_in_catalog(&outcome.left, &outcome.catalog, color));
    blocks.join("\n")
}

/// What to type if a sync would do something.
pub(in crate::cli) fn next(outcome: &PlanOutcome) -> Option<&'static str> {
    is_pending(outcome).then_some("Next: stedi-delta sync\n")
}

fn action(table: &TablePlan) -> String {
    let mut text = match table.action {
        Action::Do(Mode::None) => "up to date".to_owned(),
        Action::Do(Mode::Ingest) => explained("ingest", &table.reason),
        Action::Do(Mode::Check) => explained("check", &table.reason),
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

/// The plan as a tree, or why there is none.
fn strategy(explanation: &Explanation) -> String {
    let mut text = String::new();
    let mut grid = Grid::new(vec![Column::left(2, 0), Column::left(3, 0)]);
    for operator in &explanation.operators {
        grid.row(vec![
            format!("{}{}", "  ".repeat(operator.depth), clipped(&operator.operator)),
            operator.rule.clone(),
        ]);
    }
    text.push_str(&grid.text());
    for reason in &explanation.reasons {
        text.push_str(&format!("  not incremental: {reason}\n"));
    }
    if let Some((incremental, full)) = explanation.costs {
        text.push_str(&format!("  would cost {} incremental, {} full\n", bytes(incremental), bytes(full)));
    }
    text
}

/// An operator, truncated to leave room for its rule; the document has all of it.
fn clipped(text: &str) -> String {
    if text.chars().count() <= OPERATOR_WIDTH {
        return text.to_owned();
    }
    text.chars().take(OPERATOR_WIDTH - 3).chain("...".chars()).collect()
}

fn summary(outcome: &PlanOutcome) -> String {
    let of = |action: Action| outcome.tables.iter().filter(|t| t.action == action).count() as u64;
    let kinds = [
        (Action::Do(Mode::Ingest), "to ingest"),
        (Action::Do(Mode::Incremental), "incremental"),
        (Action::Do(Mode::Full), "full"),
        (Action::Do(Mode::Check), "to check"),
        (Action::Stop, "to stop"),
        (Action::Skip, "left behind"),
        (Action::Do(Mode::None), "up to date"),
    ];
    let parts: Vec<String> =
        kinds.iter().filter(|(a, _)| of(*a) > 0).map(|(a, what)| format!("{} {what}", number(of(*a)))).collect();
    format!("Plan: {}.\n", parts.join(", "))
}
