//! The state of the catalog: a line per table, and under it every differing field.

use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{count, number};
use crate::outcome::{CatalogOutcome, Drift, EntryOutcome, EntryState};

/// Characters of a value to show; a schema has thousands.
const SHOWN: usize = 60;

/// The result of `catalog check`.
pub(in crate::cli) fn check(outcome: &CatalogOutcome) -> String {
    let mut text = headline(outcome);
    text.push_str(&lines(outcome, &outcome.entries.iter().collect::<Vec<_>>()));
    let uneven = outcome.entries.iter().filter(|e| !EntryOutcome::is_even(e)).count() as u64;
    let all = count(outcome.entries.len() as u64, "table");
    text.push_str(&match uneven {
        0 => format!("\n{all}: the catalog matches the logs.\n"),
        _ => format!("\n{} of {all} {} not as declared.\n", number(uneven), if uneven == 1 { "is" } else { "are" }),
    });
    text
}

/// The result of `catalog register`.
pub(in crate::cli) fn registered(outcome: &CatalogOutcome) -> String {
    let changed: Vec<&EntryOutcome> = outcome.entries.iter().filter(|e| e.state != EntryState::Equal).collect();
    if changed.is_empty() {
        return format!("Nothing to do: {} matches the logs.\n", outcome.catalog);
    }
    let done = |e: &&&EntryOutcome| matches!(e.state, EntryState::Created | EntryState::Updated | EntryState::Dropped);
    let brought = changed.iter().filter(done).count() as u64;
    format!("{}{}\n{} changed.\n", headline(outcome), lines(outcome, &changed), count(brought, "catalog entry"))
}

/// What to type if something differs.
pub(in crate::cli) fn next(outcome: &CatalogOutcome) -> Option<String> {
    let any = |wanted: &[EntryState]| outcome.entries.iter().any(|e| wanted.contains(&e.state));
    let (verb, why) = if any(&[EntryState::Missing, EntryState::Differs]) {
        ("catalog register", "")
    } else if any(&[EntryState::Elsewhere]) {
        ("catalog register --relocate", "   (points the entries here)")
    } else if any(&[EntryState::Left]) {
        ("catalog register --prune", "   (drops the entries of tables that left the project)")
    } else if any(&[EntryState::Foreign]) {
        return Some("Next: drop the foreign entry from the catalog, or give the target another database\n".into());
    } else if any(&[EntryState::NotCreated, EntryState::Gone, EntryState::Unreadable])
        || outcome.entries.iter().any(|e| !e.notes.is_empty())
    {
        ("sync", "")
    } else {
        return None;
    };
    Some(format!("Next: stedi-delta {verb}{why}\n"))
}

fn headline(outcome: &CatalogOutcome) -> String {
    let CatalogOutcome { project, target, catalog, database, .. } = outcome;
    format!("{project} -> {target}  ({catalog}, database {database})\n\n")
}

fn lines(outcome: &CatalogOutcome, shown: &[&EntryOutcome]) -> String {
    let widest = outcome.entries.iter().map(|e| e.table.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in shown {
        let mut grid = Grid::new(vec![Column::left(0, widest), Column::left(3, 0)]);
        grid.row(vec![entry.table.clone(), state(entry.state).to_owned()]);
        text.push_str(&grid.text());
        if entry.state == EntryState::Elsewhere || entry.state == EntryState::Differs {
            let mut fields = Grid::new(vec![Column::left(4, 0), Column::left(3, 0)]);
            for drift in &entry.drift {
                fields.row(vec![drift.field.clone(), difference(drift)]);
            }
            text.push_str(&fields.text());
        }
        for note in &entry.notes {
            text.push_str(&format!("    {note}\n"));
        }
    }
    text
}

fn difference(drift: &Drift) -> String {
    let shown = |value: &Option<String>| match value {
        None => "nothing".to_owned(),
        Some(value) if value.is_empty() => "empty".to_owned(),
        Some(value) if value.chars().count() > SHOWN => {
            format!("{}…", value.chars().take(SHOWN).collect::<String>())
        }
        Some(value) => value.clone(),
    };
    format!("found {}, expected {}", shown(&drift.found), shown(&drift.expected))
}

fn state(state: EntryState) -> &'static str {
    match state {
        EntryState::Equal => "equal",
        EntryState::Missing => "not in the catalog",
        EntryState::Differs => "differs",
        EntryState::Elsewhere => "points to another table",
        EntryState::Foreign => "is not a Delta table in the catalog",
        EntryState::NotCreated => "not created yet",
        EntryState::Gone => "in the catalog, and not in the warehouse",
        EntryState::Unreadable => "its log cannot be read",
        EntryState::Left => "not in the project any more",
        EntryState::Created => "created",
        EntryState::Updated => "updated",
        EntryState::Dropped => "dropped",
    }
}
