//! Errors of the planner -> faults with places and remedies.

use deltalake::datafusion::common::{Column as PlanColumn, DataFusionError, SchemaError};

use super::elsewhere;
use crate::name::nearest;
use crate::source::Place;
use crate::source::faults::{Faults, one_of};
use crate::sql::functions::{aggregate_names, function_names};
use crate::sql::text::{Sql, lower_first};

/// Turns errors of the planner into faults with places and remedies.
pub(crate) fn report(error: &DataFusionError, sql: &Sql, faults: &mut Faults) {
    match error {
        DataFusionError::Collection(errors) => errors.iter().for_each(|e| report(e, sql, faults)),
        DataFusionError::Shared(inner) => report(inner, sql, faults),
        DataFusionError::Context(_, inner) => report(inner, sql, faults),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let note = || diagnostic.notes.iter().find_map(|n| n.span);
            let place = diagnostic.span.or_else(note).map(|span| sql.place(span));
            if let DataFusionError::SchemaError(schema, _) = inner.find_root() {
                return schema_fault(schema, place, sql, faults);
            }
            if let Some(name) = diagnostic.message.strip_prefix("Invalid function '") {
                let name = name.trim_end_matches('\'');
                let near = match sql.is_of_rows(name) {
                    true => nearest(name, aggregate_names()),
                    false => nearest(name, function_names()),
                };
                let near = || near.map(|near| format!("did you mean `{near}`?"));
                let label = elsewhere::hint(name).or_else(near);
                let label = label.unwrap_or_else(|| "no function has this name".to_owned());
                return faults.add(place.unwrap_or_else(|| sql.start()), format!("unknown function `{name}`"), label);
            }
            let label: Vec<_> = diagnostic
                .helps
                .iter()
                .map(|h| h.message.as_str())
                .chain(diagnostic.notes.iter().map(|n| n.message.as_str()))
                .map(lower_first)
                .collect();
            let place = place.unwrap_or_else(|| sql.start());
            faults.add(place, ticks(&lower_first(&diagnostic.message)), ticks(&label.join("; ")));
        }
        DataFusionError::SchemaError(schema, _) => schema_fault(schema, None, sql, faults),
        other => {
            let text = other.message().into_owned();
            let first_line = text.lines().next().unwrap_or_default();
            if first_line.starts_with("Dot access not supported") {
                let label = "after `[...]` and `(...)` write `['name']`";
                return faults.add(sql.start(), "a `.` cannot stand before a field here", label);
            }
            faults.add(sql.start(), ticks(&lower_first(first_line)), "");
        }
    }
}

/// Our quotes instead of the planner's; an apostrophe within a word stays.
fn ticks(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_letter = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
    let inside = |at: usize| is_letter(at.checked_sub(1)) && is_letter(Some(at + 1));
    chars.iter().enumerate().map(|(at, c)| if *c == '\'' && !inside(at) { '`' } else { *c }).collect()
}

fn schema_fault(error: &SchemaError, place: Option<Place>, sql: &Sql, faults: &mut Faults) {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let name = field.name.as_str();
            let place = place.or_else(|| sql.find(&[name.to_owned()])).unwrap_or_else(|| sql.start());
            let of_relation = |c: &&PlanColumn| field.relation.is_none() || c.relation == field.relation;
            let names: Vec<&str> = valid_fields.iter().filter(of_relation).map(|c| c.name.as_str()).collect();
            let (message, label) = match &field.relation {
                Some(relation) if names.is_empty() => {
                    let mut known: Vec<_> =
                        valid_fields.iter().filter_map(|c| c.relation.as_ref()).map(|r| r.table()).collect();
                    known.dedup();
                    let message = format!("`{relation}` is not a table of this query");
                    let label = match nearest(relation.table(), known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}.{name}`?"),
                        None if known.is_empty() => "no table is in reach here".into(),
                        None => format!("one of {}", one_of(known.iter().copied())),
                    };
                    (message, label)
                }
                relation => {
                    let message = match relation {
                        Some(relation) => format!("column `{name}` is not in `{relation}`"),
                        None => format!("column `{name}` is {}", sql.scope),
                    };
                    let label = match nearest(name, names.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None if names.is_empty() => "no column is in reach here".into(),
                        None => format!("one of {}", one_of(names.iter().copied())),
                    };
                    (message, label)
                }
            };
            faults.add(place, message, label);
        }
        SchemaError::AmbiguousReference { field } => {
            let name = field.name.clone();
            let place = place.or_else(|| sql.find(std::slice::from_ref(&name))).unwrap_or_else(|| sql.start());
            let message = format!("column `{name}` is in several tables of this query");
            faults.add(place, message, format!("write `<table>.{name}`"));
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            let place = place.unwrap_or_else(|| sql.start());
            faults.add(place, format!("two columns are called `{name}`"), "add `as` and another name");
        }
    }
}
