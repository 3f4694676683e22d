//! Nondeterministic parts of a query, as faults in its text.

use deltalake::datafusion::common::{Location, Span};
use deltalake::datafusion::logical_expr::LogicalPlan;

use crate::determinism::{Clue, Code, Undetermined, undetermined};
use crate::source::Place;
use crate::source::faults::Faults;
use crate::sql::text::Sql;

/// Keys of tables by name: each a list of columns that no two rows share.
pub(crate) type Keys = std::collections::HashMap<String, Vec<Vec<String>>>;

/// Reports every nondeterministic part of a query: there would be no single correct result to maintain.
pub(crate) fn determined(plan: &LogicalPlan, keys: &Keys, sql: &Sql, faults: &mut Faults) {
    for found in undetermined(plan, &|table| keys.get(table).cloned().unwrap_or_default()) {
        report(found, sql, faults);
    }
}

/// Reports functions in a condition on one row whose value differs in the next run.
pub(crate) fn repeatable(plan: &LogicalPlan, sql: &Sql, faults: &mut Faults) {
    for found in undetermined(plan, &|_| Vec::new()) {
        if found.reason.code == Code::VolatileFunction {
            report(found, sql, faults);
        }
    }
}

fn report(found: Undetermined, sql: &Sql, faults: &mut Faults) {
    let (place, mut reason) = (place(&found.place, sql), found.reason);
    if let Clue::Call { names, .. } = &found.place
        && let (Some(name), Some(written)) = (names.last(), place.file.text.get(place.span.clone()))
        && names.contains(&written.to_lowercase())
    {
        // Functions have several names: use the one in the text.
        reason.text = reason.text.replacen(&format!("`{name}`"), &format!("`{}`", written.to_lowercase()), 1);
    }
    faults.add(place, reason.to_string(), found.way_out);
}

fn place(clue: &Clue, sql: &Sql) -> Place {
    let start = |columns: &[Span]| columns.iter().map(|c| c.start).min_by_key(position);
    let end = |columns: &[Span]| columns.iter().map(|c| c.end).max_by_key(position);
    match clue {
        Clue::Call { names, columns } => sql.call(names, start(columns)),
        Clue::Limit { number, columns } => sql.limit(*number, end(columns)),
        Clue::DistinctOn { columns } => sql.distinct_on(start(columns)),
    }
    .unwrap_or_else(|| sql.start())
}

fn position(at: &Location) -> (u64, u64) {
    (at.line, at.column)
}
