//! Tests as text: one line each by file, the differences of those that failed, and the counts.

use super::report::mode;
use crate::cli::render::error::table_error;
use crate::cli::render::explained;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{change, count, painted};
use crate::outcome::{Mode, RowDifference, TestFailure, TestOutcome, TestResult};
use crate::privacy::one_line;

/// What to do without any test.
pub(super) const NONE: &str = "There are no tests: write tests/NAME.toml (docs/testing.md).\n";

/// Maximum rows of a difference that are shown of either kind.
const ROWS_SHOWN: usize = 20;

/// The result.
pub(in crate::cli) fn answer(outcome: &TestOutcome, color: bool) -> String {
    let mut text = String::new();
    let mut file = "";
    for test in &outcome.tests {
        if test.file != file {
            let gap = if file.is_empty() { "" } else { "\n" };
            text.push_str(&format!("{gap}{}\n", test.file));
            file = &test.file;
        }
        text.push_str(&line(test, color));
        for failure in &test.failures {
            text.push_str(&failed(test, failure, color));
        }
    }
    if !outcome.tests.is_empty() {
        text.push('\n');
    }
    text.push_str(&summary(outcome));
    text
}

fn line(test: &TestResult, color: bool) -> String {
    let state = match test.failures.is_empty() {
        true => painted("ok", "32", color),
        false => painted("FAILED", "1;31", color),
    };
    let gap = if test.failures.is_empty() { "      " } else { "  " };
    let how = test.change.as_ref().map(|how| {
        let rows = change(how.rows.inserted, how.rows.updated, how.rows.deleted);
        let reason = if how.mode == Mode::Incremental { "" } else { how.reason.as_str() };
        format!("  ({}, {rows})", explained(mode(how.mode), reason))
    });
    format!("  {state}{gap}{}{}\n", one_line(&test.name), how.unwrap_or_default())
}

fn failed(test: &TestResult, failure: &TestFailure, color: bool) -> String {
    let place = format!("{}:{}:{}", test.file, test.at.0, test.at.1);
    match failure {
        TestFailure::Rows(rows) => {
            format!("          {place}: {} of {}: {}\n{}", rows.key, test.table, counts(rows), table(rows, color))
        }
        TestFailure::Law(error) | TestFailure::Error(error) => {
            let text = table_error(Some(&test.table), error, None, color);
            let lines = text.lines().map(|line| format!("          {line}\n"));
            format!("          {place}\n{}", lines.collect::<String>())
        }
    }
}

fn counts(rows: &RowDifference) -> String {
    let of = |rows: &[Vec<Option<String>>], one: &str, many: &str| {
        let is_one = rows.len() == 1;
        (!rows.is_empty()).then(|| format!("{} {}", count(rows.len() as u64, "row"), if is_one { one } else { many }))
    };
    let parts =
        [of(&rows.missing, "is missing", "are missing"), of(&rows.unexpected, "is not expected", "are not expected")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The differing rows under the names of their columns.
fn table(rows: &RowDifference, color: bool) -> String {
    let columns = rows.columns.iter().map(|_| Column::left(2, 0));
    let mut grid = Grid::new(std::iter::once(Column::left(12, "unexpected".len())).chain(columns).collect());
    grid.row(std::iter::once(String::new()).chain(rows.columns.iter().cloned()).collect());
    let mut more = 0;
    for (what, rows) in [("missing", &rows.missing), ("unexpected", &rows.unexpected)] {
        for row in rows.iter().take(ROWS_SHOWN) {
            let cells = row.iter().map(|cell| cell.clone().unwrap_or_else(|| "NULL".into()));
            grid.row(std::iter::once(what.to_owned()).chain(cells).collect());
        }
        more += rows.len().saturating_sub(ROWS_SHOWN);
    }
    let mut text = String::new();
    for line in grid.text().lines() {
        let ansi = match line.trim_start() {
            line if line.starts_with("missing") => "31",
            line if line.starts_with("unexpected") => "33",
            _ => "1",
        };
        text.push_str(&painted(line, ansi, color));
        text.push('\n');
    }
    if more > 0 {
        text.push_str(&format!("            and {} more: --format json has all of them\n", count(more as u64, "row")));
    }
    text
}

fn summary(outcome: &TestOutcome) -> String {
    let failed = outcome.failed();
    let passed = outcome.tests.len() - failed;
    if failed == 0 { format!("{passed} passed\n") } else { format!("{passed} passed, {failed} failed\n") }
}
