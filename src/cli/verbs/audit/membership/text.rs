//! A membership: one line that answers, then the rows with the records that they come from.

use serde_json::Value;

use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{change, count, date_time, number};
use crate::outcome::{Explained, MembershipOutcome, Record, Role, SourceRow, Stretch, VersionTime};
use crate::privacy::one_line;

/// Records of a row that only meet a condition.
const CONDITIONS: usize = 5;

fn version(at: VersionTime) -> String {
    match at.committed_ms {
        Some(ms) => format!("v{} ({})", at.version, date_time(ms)),
        None => format!("v{}", at.version),
    }
}

/// `since v2 (2026-11-20 10:00:00), until v7 (...)`.
fn stretch(stretch: Stretch) -> String {
    let since = version(stretch.since);
    let since = if stretch.is_since_known { format!("since {since}") } else { format!("since {since} or before") };
    match stretch.until {
        Some(until) => format!("{since}, until {}", version(until)),
        None => since,
    }
}

/// The result for people.
pub(in crate::cli) fn answer(outcome: &MembershipOutcome) -> String {
    let subject = format!("{} {}", outcome.subject.column, one_line(&outcome.subject.value));
    let place = format!("{} {}", outcome.table, version(outcome.at));
    let mut text = match (outcome.rows, outcome.stretch) {
        (0, Some(was)) => format!("{subject} is not in {place}; it was in it {}\n", stretch(was)),
        (0, None) if outcome.unknown.is_some() => format!("{subject} is not in {place}\n"),
        (0, None) => format!("{subject} is not in {place}, and was not in a version before\n"),
        (rows, was) => {
            let since = was.map_or_else(String::new, |was| format!(", {}", stretch(was)));
            format!("{subject} is in {place}: {}{since}\n", count(rows, "row"))
        }
    };
    if let Some(unknown) = &outcome.unknown {
        text.push_str(&format!("Versions before v{} are not known: {}\n", unknown.before, one_line(&unknown.why)));
    }
    if let Some(versions) = &outcome.versions {
        let mut grid =
            Grid::new(vec![Column::left(2, 0), Column::left(2, 0), Column::right(2, 0), Column::right(2, 0)]);
        for changed in versions {
            grid.row(vec![
                format!("v{}", changed.at.version),
                changed.at.committed_ms.map(date_time).unwrap_or_default(),
                change(changed.inserted, 0, changed.deleted),
                count(changed.rows, "row"),
            ]);
        }
        text.push_str(&format!("\n{}", grid.text()));
    }
    let shown: u64 = outcome.explained.iter().map(|explained| explained.copies).sum();
    let mut first = 1;
    for explained in &outcome.explained {
        let last = first + explained.copies - 1;
        let numbers = if last == first { number(first) } else { format!("{} to {}", number(first), number(last)) };
        text.push_str(&format!("\nRow {numbers} of {}\n", number(outcome.rows)));
        row(outcome, explained, &mut text);
        first = last + 1;
    }
    if shown < outcome.rows {
        text.push_str(&format!("\n{} more; -n shows more of them.\n", count(outcome.rows - shown, "row")));
    }
    text
}

/// A row and the records that it comes from.
fn row(outcome: &MembershipOutcome, explained: &Explained, text: &mut String) {
    let Some(node) = outcome.nodes.get(explained.node) else { return };
    let values = node.values.iter().map(|(name, value)| format!("{name} {}", one_line(&plain(value))));
    text.push_str(&format!("  {}\n", values.collect::<Vec<_>>().join(", ")));
    let mut grid = Grid::new(vec![Column::left(4, 0), Column::left(2, 0), Column::left(2, 0), Column::left(2, 0)]);
    let mut conditions = 0;
    for record in &explained.records {
        conditions += usize::from(record.role >= Role::Condition);
        if conditions <= CONDITIONS || record.role < Role::Condition {
            grid.row(cells(outcome, record));
        }
    }
    text.push_str(&grid.text());
    if conditions > CONDITIONS {
        let more = count((conditions - CONDITIONS) as u64, "more record");
        text.push_str(&format!("    {more} that meet a condition; --format json has them\n"));
    }
    for note in notes(outcome, node) {
        text.push_str(&format!("    {}\n", one_line(&note)));
    }
}

fn cells(outcome: &MembershipOutcome, record: &Record) -> Vec<String> {
    let Some(node) = outcome.nodes.get(record.node) else { return Vec::new() };
    let (file, offset) = node.place.clone().unwrap_or_default();
    let role = match record.role {
        Role::Value => "",
        Role::Group => "in its group",
        Role::Condition | Role::Absence => "meets a condition",
    };
    let via = if record.via.is_empty() { String::new() } else { format!("via {}", record.via.join(", ")) };
    let length = node.length.map_or_else(String::new, |length| format!(", {}", count(length, "byte")));
    let unpacked = node.compression.map_or_else(String::new, |compression| format!(" of the content ({compression})"));
    let place = format!("{file} @ {offset}{length}{unpacked}");
    vec![format!("{} v{}", node.table, node.version), place, role.to_owned(), via]
}

/// What is said of a row and of all rows that it comes from, each once.
fn notes(outcome: &MembershipOutcome, node: &SourceRow) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut pending = vec![node];
    while let Some(node) = pending.pop() {
        let of_rows = node.sources.iter().filter_map(|rows| {
            let counted = rows.rows.map_or_else(String::new, |rows| format!(" ({})", count(rows, "row")));
            rows.note.as_ref().map(|note| format!("{} from {}{counted}: {note}", node.table, rows.table))
        });
        let own = node.notes.iter().map(|note| format!("{} v{}: {note}", node.table, node.version));
        for note in own.chain(of_rows) {
            if !found.contains(&note) {
                found.push(note);
            }
        }
        let next = node.sources.iter().flat_map(|rows| &rows.nodes).filter(|next| seen.insert(**next));
        let next: Vec<&SourceRow> = next.filter_map(|next| outcome.nodes.get(*next)).collect();
        pending.extend(next.into_iter().rev());
    }
    found
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "NULL".to_owned(),
        other => other.to_string(),
    }
}
