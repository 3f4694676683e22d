//! A sync: one line per changed table, then the totals.

use std::collections::BTreeMap;

use super::digests::digests;
use super::report::{Totals, changed};
use crate::cli::render::error::{plain_warning, table_error, warning};
use crate::cli::render::explained;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{
    FIRST_TABLE, NO_TABLES, bytes, change, count, date_time, duration, heading, number, plural, unless_same,
};
use crate::cli::verbs::migrate;
use crate::error::Error;
use crate::name::TableName;
use crate::outcome::{Files, Mode, OptimizedTable, PinNotice, Problem, SyncOutcome, TableOutcome};

/// Maximum number of waiting files named per table.
const WAITING_SHOWN: usize = 5;

/// The result.
pub(in crate::cli) fn answer(outcome: &SyncOutcome) -> String {
    let totals = Totals::of(outcome);
    let left_out = outcome.tables.iter().any(|t| !t.left_out.is_empty());
    let stopped = totals.tables_failed > 0 || totals.tables_skipped > 0 || outcome.problem.is_some() || left_out;
    let shown: Vec<&TableOutcome> = outcome.tables.iter().filter(|t| changed(t) || t.rows.quarantined > 0).collect();
    let migrated = !outcome.migrations.is_empty();
    if shown.is_empty() && !stopped && !migrated && outcome.grants_ended == 0 && outcome.registered == 0 {
        if outcome.tables.is_empty() && outcome.left.is_empty() {
            return NO_TABLES.to_owned();
        }
        let digests = digests(&outcome.digests);
        return format!("{}{digests}{}{}", nothing_to_do(outcome), verified(&totals), waiting(outcome));
    }
    let idle = totals.tables_changed + totals.tables_failed + totals.tables_skipped + outcome.registered == 0;
    if outcome.problem.is_some() && idle && !migrated {
        // The error is sufficient: no table was processed.
        return String::new();
    }
    let mut text = heading(&outcome.project, &outcome.target, &outcome.landing, &outcome.warehouse);
    if migrated {
        text.push_str(&migrate::text::lines(&outcome.migrations));
        text.push('\n');
    }
    if !shown.is_empty() {
        text.push_str(&lines(&outcome.tables, &shown));
        text.push('\n');
    }
    if outcome.grants_ended > 0 {
        text.push_str(&grants(outcome));
    }
    text.push_str(&pins(&outcome.pins));
    text.push_str(&digests(&outcome.digests));
    text.push_str(&optimized(&outcome.optimized));
    text.push_str(&freeable(outcome.freeable));
    text.push_str(&sums(outcome, &totals));
    text.push_str(&verified(&totals));
    text.push_str(&waiting(outcome));
    text
}

/// Warnings and errors, in the order of the tables; empty if there are none. `run` = a failure without a table.
pub(in crate::cli) fn problems(tables: &[TableOutcome], run: Option<&Error>, color: bool) -> String {
    let mut behind = behind(tables);
    let mut blocks = Vec::new();
    let mut warnings: Vec<_> = tables.iter().flat_map(|t| t.warnings.iter().map(move |w| (&t.table, w))).collect();
    warnings.sort_by_key(|(_, warning)| !warning.comes_first());
    blocks.extend(warnings.into_iter().map(|(table, w)| warning(table, w, color)));
    for table in tables {
        if let Some(Problem::Failed(error)) = &table.problem {
            let meanwhile = behind.remove(&table.table).map(|names| meanwhile(&names));
            blocks.push(table_error(Some(&table.table), error, said_once(error, meanwhile), color));
        }
        blocks.extend(table.left_out.iter().map(|error| table_error(Some(&table.table), error, None, color)));
    }
    // The rest waits for a table that this run did not process.
    for (source, names) in behind {
        let error = Error::failed(format!("{source} is not at the cut"))
            .because("this sync did not get to it")
            .help("stedi-delta sync");
        blocks.push(table_error(None, &error, Some(meanwhile(&names)), color));
    }
    blocks.extend(run.map(|error| table_error(None, error, None, color)));
    blocks.join("\n")
}

/// Tables that the catalog has but the project no longer has.
pub(in crate::cli) fn left_in_catalog(left: &[String], catalog: &str, color: bool) -> Option<String> {
    let first = left.first()?;
    let tables = count(left.len() as u64, "table");
    let are = if left.len() == 1 { "is" } else { "are" };
    let head = format!("{tables} in {catalog} {are} not in this project any more");
    let more = if left.len() > 1 { ", ..." } else { "" };
    let next = "drop the entries, never data: stedi-delta catalog register --prune".to_owned();
    Some(plain_warning(&head, &[format!("{first}{more}"), next], color))
}

/// What to type if files wait, and after the first sync of a project.
pub(in crate::cli) fn next(outcome: &SyncOutcome) -> Option<String> {
    if outcome.problem.is_none() && outcome.tables.iter().any(|t| !t.waiting.is_empty()) {
        return Some("Next: stedi-delta sync   (files are read once they have their `min_age`)\n".into());
    }
    if outcome.tables.is_empty() && outcome.problem.is_none() {
        return Some(FIRST_TABLE.to_owned());
    }
    let first = |t: &TableOutcome| t.problem.is_none() && t.version_before.is_none() && t.version_after.is_some();
    let table = outcome.tables.last().filter(|_| outcome.problem.is_none() && outcome.tables.iter().all(first))?;
    Some(format!("Next: stedi-delta query \"select count(*) from {}\"\n", table.table))
}

/// The lines of `shown`, with the column widths of all tables, so that two runs line up.
pub(in crate::cli) fn lines(all: &[TableOutcome], shown: &[&TableOutcome]) -> String {
    let widest = |text: fn(&TableOutcome) -> &str| all.iter().map(|t| text(t).chars().count()).max().unwrap_or(0);
    let mut grid = Grid::new(vec![
        Column::left(0, widest(|t| &t.zone)),
        Column::left(3, widest(|t| t.table.as_str())),
        Column::left(4, "new -> v0".len()),
        Column::right(3, "81,273".len()),
        Column::left(1, "rows".len()),
        Column::left(5, 0),
    ]);
    let mut zone = "";
    for table in shown {
        let (rows, unit) = if table.version_before.is_none() {
            (number(table.rows.inserted), plural(table.rows.inserted, "row"))
        } else {
            (change(table.rows.inserted, table.rows.updated, table.rows.deleted), String::new())
        };
        grid.row(vec![
            unless_same(&table.zone, zone),
            table.table.to_string(),
            versions(table),
            rows,
            unit,
            how(table),
        ]);
        zone = &table.zone;
    }
    grid.text()
}

fn versions(table: &TableOutcome) -> String {
    let before = table.version_before.map_or_else(|| "new".to_owned(), |v| format!("v{v}"));
    match table.version_after {
        Some(after) if changed(table) => format!("{before} -> v{after}"),
        _ => before,
    }
}

/// The mode and its reason.
fn how(table: &TableOutcome) -> String {
    let mut parts = Vec::new();
    match table.mode {
        Mode::None => parts.push(table.reason.clone()),
        // Finishing an earlier batch reads no file: the reason describes it.
        Mode::Ingest if table.io.files_read == 0 => parts.push(table.reason.clone()),
        Mode::Ingest => parts.push(count(table.io.files_read, "file")),
        Mode::Full => parts.push(explained("full", &table.reason)),
        Mode::Check => parts.push(explained("check", &table.reason)),
        Mode::Metadata => parts.push(explained("metadata", &table.reason)),
        Mode::Incremental => {
            let rewritten = match (table.io.files_removed, table.io.files_before) {
                (0, _) => String::new(),
                (removed, before) => {
                    format!("{} of {} rewritten", number(removed), count(before.max(removed), "file"))
                }
            };
            // The document has the changed sources; the lines above show them too.
            parts.push(explained("incremental", &rewritten));
        }
    }
    if table.rows.quarantined > 0 {
        parts.push(format!("{} in quarantine", count(table.rows.quarantined, "record")));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn nothing_to_do(outcome: &SyncOutcome) -> String {
    let tables = outcome.tables.len() as u64;
    let are = if tables == 1 { "is" } else { "are" };
    format!(
        "Nothing to do: {} {are} at the cut of {} UTC (run {}).\n",
        count(tables, "table"),
        date_time(outcome.started_ms),
        outcome.run
    )
}

/// The result of the comparison with the queries; a difference is an error.
fn verified(totals: &Totals) -> String {
    match totals.tables_verified {
        0 => String::new(),
        1 => "1 table verified: it equals its query.\n".to_owned(),
        tables => format!("{} tables verified: each equals its query.\n", number(tables)),
    }
}

fn grants(outcome: &SyncOutcome) -> String {
    let (persons, tables) = (outcome.grants_ended, outcome.grants_ended_tables);
    let whose = if persons == 1 { "1 person's".into() } else { format!("{} persons'", number(persons)) };
    if tables == 0 {
        return format!("{whose} consent ended.\n");
    }
    format!("{whose} consent ended; no row of theirs is left in {}.\n", count(tables, "table"))
}

/// One line per pin with people whose consent has ended.
fn pins(pins: &[PinNotice]) -> String {
    let line = |pin: &PinNotice| {
        let PinNotice { name, table, version, withdrawn, unpinned } = pin;
        let have =
            if *withdrawn == 1 { "1 person has".to_owned() } else { format!("{} persons have", number(*withdrawn)) };
        let what = if *unpinned { "it was unpinned".to_owned() } else { format!("stedi-delta unpin {name}") };
        format!("{have} no consent any more in pin {name} ({table} v{version}): {what}\n")
    };
    pins.iter().map(line).collect()
}

/// One line per table of which files were merged, or should have been.
fn optimized(tables: &[OptimizedTable]) -> String {
    let line = |of: &OptimizedTable| {
        let failed = of.problem.as_ref().map(|problem| problem.message().to_owned());
        let merged = count(of.files_merged, "file");
        match failed.as_ref().or(of.skipped.as_ref()) {
            Some(why) if of.commits == 0 => format!("{} keeps its small files: {why}\n", of.table),
            _ => format!("{}: {merged} merged into {}\n", of.table, number(of.files_written)),
        }
    };
    tables.iter().map(line).collect()
}

/// What a vacuum could free.
fn freeable(files: Files) -> String {
    match files.files {
        0 => String::new(),
        old => format!(
            "Up to {} of old versions ({}) can go: stedi-delta vacuum --lake\n",
            count(old, "file"),
            bytes(files.bytes)
        ),
    }
}

fn sums(outcome: &SyncOutcome, totals: &Totals) -> String {
    let mut parts = vec![format!("{} changed", count(totals.tables_changed, "table"))];
    for (tables, what) in
        [(totals.tables_unchanged, "unchanged"), (totals.tables_failed, "failed"), (totals.tables_skipped, "behind")]
    {
        if tables > 0 {
            parts.push(format!("{} {what}", number(tables)));
        }
    }
    let comma = if parts.len() > 1 { "," } else { "" };
    let mut text = format!("{}{comma} in {}.", parts.join(", "), duration(outcome.elapsed));
    let read = match (totals.files_read, totals.bytes_read) {
        (0, 0) => None,
        (0, size) => Some(format!("{} read", bytes(size))),
        (files, size) => Some(format!("{} read ({})", count(files, "file"), bytes(size))),
    };
    let written = (totals.bytes_written > 0).then(|| format!("{} written", bytes(totals.bytes_written)));
    let moved: Vec<String> = read.into_iter().chain(written).collect();
    if !moved.is_empty() {
        text.push_str(&format!(" {}.", moved.join(", ")));
    }
    if totals.tables_changed == 0 && totals.entries_registered > 0 {
        // If tables changed, updated entries are expected.
        text.push_str(&format!(" {} brought up to date.", count(totals.entries_registered, "catalog entry")));
    }
    text.push('\n');
    text
}

fn waiting(outcome: &SyncOutcome) -> String {
    let mut text = String::new();
    for table in outcome.tables.iter().filter(|t| !t.waiting.is_empty()) {
        text.push_str(&format!("\nToo young to be read, for the next sync of {}:\n", table.table));
        for line in table.waiting.iter().take(WAITING_SHOWN) {
            text.push_str(&format!("  {line}\n"));
        }
        let rest = table.waiting.len().saturating_sub(WAITING_SHOWN) as u64;
        if rest > 0 {
            text.push_str(&format!("  and {} more\n", number(rest)));
        }
    }
    text
}

/// Failed table -> the tables that were skipped because of it, directly or indirectly.
fn behind(tables: &[TableOutcome]) -> BTreeMap<&TableName, Vec<&TableName>> {
    let mut skipped: Vec<(&TableName, &TableName)> = Vec::new();
    for table in tables {
        if let Some(Problem::Skipped(source)) = &table.problem {
            skipped.push((&table.table, source));
        }
    }
    let above: BTreeMap<_, _> = skipped.iter().copied().collect();
    let mut behind: BTreeMap<&TableName, Vec<&TableName>> = BTreeMap::new();
    for (table, source) in skipped {
        // A table may come before its source: zones say nothing of who reads whom.
        let causes = std::iter::successors(Some(source), |source| above.get(source).copied());
        behind.entry(causes.last().unwrap_or(source)).or_default().push(table);
    }
    behind
}

fn meanwhile(names: &[&TableName]) -> String {
    let are = if names.len() == 1 { "is" } else { "are" };
    let list: Vec<&str> = names.iter().map(|n| n.as_str()).collect();
    format!("{} below it {are} behind: {}", count(names.len() as u64, "table"), list.join(", "))
}

/// The note about skipped tables, unless the error already contains it.
fn said_once(error: &Error, meanwhile: Option<String>) -> Option<String> {
    meanwhile.filter(|_| error.facts().iter().all(|(label, _)| label != "meanwhile"))
}
