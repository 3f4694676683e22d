//! `from`: in which fields of records a column, or a field of a struct, is found.

use super::columns::Value;
use super::model::ColumnType;
use super::reading::is_path;
use crate::source::Text;
use crate::source::faults::Faults;

/// Checks that no field of an object is read twice, and that no path leads into what is read otherwise. `values` are all
/// that is read of the object, with their names.
pub(super) fn check(values: &[(&str, &Value)], faults: &mut Faults) {
    let all =
        || values.iter().flat_map(|(name, value)| value.sources.iter().map(move |source| (*name, *value, source)));
    for (at, (name, _, source)) in all().enumerate() {
        if let Some((reader, ..)) = all().take(at).find(|(.., other)| is_same(&other.value, &source.value)) {
            let label = match reader == name {
                true => "remove one: names are found whatever their case".to_owned(),
                false => format!("`{reader}` reads it, and a field is read once"),
            };
            faults.add(source.place.clone(), format!("field `{}` is read twice", source.value), label);
        } else if let Some((reader, value)) = through(source, values) {
            let message = format!("`{}` leads into a field that `{reader}` reads", source.value);
            let label = format!(
                "`{reader}` is {}: take its part in a query, or read it otherwise",
                value.column_type.delta_name()
            );
            faults.add(source.place.clone(), message, label);
        }
    }
}

/// A column that reads the whole object that a path leads into: it would refuse it, or report its fields as undeclared.
fn through<'v>(source: &Text, values: &[(&'v str, &'v Value)]) -> Option<(&'v str, &'v Value)> {
    if !is_path(&source.value) {
        return None;
    }
    let prefixes: Vec<&str> = source.value.match_indices('.').map(|(at, _)| &source.value[..at]).collect();
    let reads = |value: &Value| prefixes.iter().any(|p| value.sources.iter().any(|s| is_same(&s.value, p)));
    values.iter().find(|(_, value)| !takes_anything(&value.column_type) && reads(value)).copied()
}

/// Whether any value can be one of a type, whatever is inside.
fn takes_anything(of: &ColumnType) -> bool {
    *of == ColumnType::Json
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
