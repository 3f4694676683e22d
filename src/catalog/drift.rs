//! Differences between two entries, field by field.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::outcome::Drift;

/// Every difference between two documents, in the order of their paths. Lists of objects with a `Name` are compared by
/// name, and their order separately.
#[must_use]
pub(crate) fn differences(found: &Value, expected: &Value) -> Vec<Drift> {
    let mut drifts = Vec::new();
    compare("", Some(found), Some(expected), &mut drifts);
    drifts
}

fn compare(path: &str, found: Option<&Value>, expected: Option<&Value>, drifts: &mut Vec<Drift>) {
    let (found, expected) = (found.filter(|v| !v.is_null()), expected.filter(|v| !v.is_null()));
    if found == expected {
        return;
    }
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (found, expected) {
        (Some(Value::Object(found)), Some(Value::Object(expected))) => {
            for key in keys(found, expected) {
                compare(&below(key), found.get(key), expected.get(key), drifts);
            }
        }
        (Some(Value::Array(found)), Some(Value::Array(expected))) if named(found) && named(expected) => {
            let order = |list: &[Value]| Some(list.iter().map(name).collect::<Vec<_>>().join(", "));
            let orders = (order(found), order(expected));
            let (found, expected) = (by_name(found), by_name(expected));
            let before = drifts.len();
            for key in keys(&found, &expected) {
                compare(&below(key), found.get(key), expected.get(key), drifts);
            }
            if drifts.len() == before {
                drifts.push(Drift { field: path.to_owned(), found: orders.0, expected: orders.1 });
            }
        }
        _ => drifts.push(Drift { field: path.to_owned(), found: found.map(text), expected: expected.map(text) }),
    }
}

fn keys<'a>(a: &'a Map<String, Value>, b: &'a Map<String, Value>) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

fn named(list: &[Value]) -> bool {
    list.iter().all(|item| item["Name"].is_string())
}

fn name(item: &Value) -> &str {
    item["Name"].as_str().unwrap_or_default()
}

fn by_name(list: &[Value]) -> Map<String, Value> {
    list.iter().map(|item| (name(item).to_owned(), item.clone())).collect()
}

/// A value for people: a column as its type.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(column) if column.get("Type").is_some_and(Value::is_string) => text(&value["Type"]),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(found: &Value, expected: &Value) -> Vec<String> {
        let line = |d: Drift| format!("{}: {:?} / {:?}", d.field, d.found, d.expected);
        differences(found, expected).into_iter().map(line).collect()
    }

    #[test]
    fn fields_are_named_by_their_path() {
        let found = json!({"a": {"b": 1, "gone": "x"}, "Columns": [{"Name": "id", "Type": "int"}]});
        let expected =
            json!({"a": {"b": 2}, "Columns": [{"Name": "id", "Type": "bigint"}, {"Name": "at", "Type": "date"}]});
        let expected_lines = [
            "Columns.at: None / Some(\"date\")",
            "Columns.id.Type: Some(\"int\") / Some(\"bigint\")",
            "a.b: Some(\"1\") / Some(\"2\")",
            "a.gone: Some(\"x\") / None",
        ];
        assert_eq!(lines(&found, &expected), expected_lines);
    }

    #[test]
    fn an_order_of_columns_is_a_difference_of_its_own() {
        let column = |name: &str| json!({"Name": name, "Type": "int"});
        let (ab, ba) = (json!([column("a"), column("b")]), json!([column("b"), column("a")]));
        assert_eq!(lines(&ab, &ba), [": Some(\"a, b\") / Some(\"b, a\")"]);
        assert!(differences(&ab, &ab).is_empty());
    }
}
