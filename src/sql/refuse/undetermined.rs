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
        if found.code == Code::VolatileFunction {
            report(found, sql, faults);
        }
    }
}

fn report(found: Undetermined, sql: &Sql, faults: &mut Faults) {
    let place = place(&found.place, sql);
    let written = match &found.place {
        Clue::Call { names, .. } => {
            let written = place.file.text.get(place.span.clone()).map(str::to_lowercase);
            written.filter(|written| names.contains(written))
        }
        Clue::Limit { .. } | Clue::DistinctOn { .. } => None,
    };
    let reason = found.reason(written.as_deref());
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
