//! A drafted definition: its columns, what would not land, and what to type.

use super::InferArgs;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{bytes, count, number, wrapped};
use crate::cli::render::width::{clipped, limit};
use crate::infer::{Action, Change, Fate, Inferred};
use crate::privacy::quoted;

/// Most characters of a type in the list.
const TYPE_WIDTH: usize = 26;
/// Reasons and fields that are listed.
const LISTED: usize = 5;

/// The result.
pub(super) fn answer(inferred: &Inferred) -> String {
    let file = inferred.file.display();
    let mut text = match inferred.action {
        Action::Written => format!("{file}: {}\n", count(inferred.columns.len() as u64, "column")),
        Action::Edited => format!("{file} is edited: {}\n", edits(&inferred.changes)),
        Action::Unchanged => format!("{file} fits; nothing to change\n"),
        Action::Proposed | Action::Printed => {
            format!("{file} needs {}\n", edits(&inferred.changes))
        }
    };
    text.push_str(&read(inferred));
    text.push('\n');
    match inferred.before {
        None => text.push_str(&columns(inferred)),
        Some(_) => text.push_str(&changes(&inferred.changes)),
    }
    if !inferred.diff.is_empty() {
        text.push_str(&format!("\n--- {file}\n"));
        inferred.diff.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    }
    if !inferred.keys.is_empty() {
        let keys: Vec<String> = inferred.keys.iter().map(|key| key.join(" + ")).collect();
        text.push_str(&format!("\nperhaps keys: {}\n", keys.join(", ")));
    }
    text.push_str(&fate(inferred));
    text
}

/// `2 changes, and 1 by hand`.
fn edits(changes: &[Change]) -> String {
    let by_hand = changes.iter().filter(|change| change.by_hand).count() as u64;
    match (changes.len() as u64 - by_hand, by_hand) {
        (ours, 0) => count(ours, "change"),
        (0, by_hand) => format!("{} by hand", count(by_hand, "change")),
        (ours, by_hand) => format!("{}, and {} by hand", count(ours, "change"), number(by_hand)),
    }
}

/// What was read.
pub(super) fn read(inferred: &Inferred) -> String {
    let [matching, read, partly] = inferred.files;
    let records = count(inferred.fate.records, "record");
    let size = bytes(inferred.bytes);
    let files = match partly {
        0 => format!("all of {}", count(matching, "file")),
        _ => format!("a sample of {} of {}; --sample reads more", number(read), count(matching, "file")),
    };
    format!("from {records}, {size}: {files}\n")
}

fn columns(inferred: &Inferred) -> String {
    let mut grid = Grid::new(vec![Column::left(2, 0), Column::left(2, 0), Column::left(2, 0)]);
    let widest = inferred.columns.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let room = limit().map_or(usize::MAX, |width| width.saturating_sub(widest + TYPE_WIDTH + 6).max(24));
    for (name, column_type, notes) in &inferred.columns {
        let mut lines = wrapped(&notes.join("; "), room).into_iter();
        grid.row(vec![name.clone(), clipped(column_type, TYPE_WIDTH), lines.next().unwrap_or_default()]);
        lines.for_each(|line| grid.row(vec![String::new(), String::new(), line]));
    }
    grid.text()
}

fn changes(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let by_hand = if change.by_hand { "   (by hand)" } else { "" };
        match &change.from {
            None => format!("  new      {}  {}{by_hand}\n", change.path, clipped(&change.to, TYPE_WIDTH)),
            Some(from) => {
                format!(
                    "  changes  {}  {} -> {}{by_hand}\n",
                    change.path,
                    clipped(from, TYPE_WIDTH),
                    clipped(&change.to, TYPE_WIDTH)
                )
            }
        }
    };
    changes.iter().map(line).collect()
}

/// What becomes of the records.
pub(super) fn fate(inferred: &Inferred) -> String {
    let mut text = String::new();
    let Fate { records, landed, quarantined, reasons, unknown_fields } = &inferred.fate;
    if let Some(before) = inferred.before.as_ref().filter(|before| before.landed < *landed) {
        text.push_str(&format!("\nwithout this {} would land, with it ", number(before.landed)));
    } else {
        text.push('\n');
    }
    match quarantined {
        0 if *records == 1 => text.push_str("the only record lands\n"),
        0 => text.push_str(&format!("all {} land\n", count(*records, "record"))),
        _ => {
            text.push_str(&format!(
                "{} of {} land, {} in quarantine:\n",
                number(*landed),
                count(*records, "record"),
                number(*quarantined)
            ));
            for refused in reasons.iter().take(LISTED) {
                text.push_str(&format!("  {} x {}\n", number(refused.count), refused.reason));
                text.push_str(&format!("      {} at byte {}\n", refused.file, number(refused.offset.unsigned_abs())));
            }
            if reasons.len() > LISTED {
                text.push_str(&format!("  and {} more reasons\n", number((reasons.len() - LISTED) as u64)));
            }
        }
    }
    if inferred.left_out > 0 {
        let fields = count(inferred.left_out, "field");
        text.push_str(&format!(
            "{fields} without a column: names that may be data, or too many; sync --reveal prints them\n"
        ));
    } else if !unknown_fields.is_empty() {
        text.push_str(&format!("{} without a column\n", count(unknown_fields.len() as u64, "field")));
    }
    text
}

/// What to type.
pub(super) fn next(inferred: &Inferred, args: &InferArgs) -> String {
    let retypes = inferred.changes.iter().any(|change| change.from.is_some() && !change.by_hand);
    match inferred.action {
        Action::Proposed if inferred.diff.is_empty() => {
            format!("Next: edit {}, or leave it: what does not fit goes to quarantine\n", inferred.file.display())
        }
        Action::Proposed => {
            let globs: Vec<String> = args.globs.iter().map(|glob| quoted(glob)).collect();
            let table = args.table.as_ref().map(|table| format!(" --table {}", quoted(table))).unwrap_or_default();
            format!("Next: stedi-delta infer {}{table} --write\n", globs.join(" "))
        }
        Action::Edited if retypes => {
            "Next: stedi-delta plan   (a table that exists gets another type by a migration: stedi-delta migrate new LABEL)\n"
                .into()
        }
        // Files that landed before do not come again by themselves.
        Action::Edited => format!("Next: stedi-delta sync --reload {}\n", inferred.table),
        Action::Written => format!("Next: read {}, then stedi-delta sync\n", inferred.file.display()),
        Action::Unchanged | Action::Printed => String::new(),
    }
}
