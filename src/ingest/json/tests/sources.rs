//! Columns that are found in fields of other names.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::definition::Reading;

/// Columns of text, each found in these fields.
fn shape(columns: &[(&str, &[&str])]) -> RecordShape {
    let mut shape =
        RecordShape::plain(&columns.iter().map(|(name, _)| column(name, ColumnType::String)).collect::<Vec<_>>());
    for (reading, (_, from)) in shape.readings.iter_mut().zip(columns) {
        reading.from = from.iter().map(|source| (*source).to_owned()).collect();
    }
    shape
}

/// The values of a record, `-` for NULL, and the fields without a place; or why it is refused.
fn one(shape: &RecordShape, record: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let again = Json.read_one(shape, "f", 0, record.as_bytes(), Options::default());
    let whole = read_shaped(shape, small(), record.as_bytes(), &[]);
    assert_eq!(whole, read_shaped(shape, small(), record.as_bytes(), &[1]), "byte by byte");
    match again {
        Ok(batch) => {
            let values = values_of(&batch, 0, shape.columns.len());
            assert_eq!(whole.rows[0].values, values, "{record}");
            Ok((values, whole.counts.unknown_fields.by_name.into_keys().collect()))
        }
        Err(reason) => {
            assert_eq!(whole.bad[0].reason, reason, "{record}");
            Err(reason)
        }
    }
}

#[track_caller]
fn lands(shape: &RecordShape, record: &str, values: &str, unknown: &str) {
    let (found, other) = one(shape, record).unwrap_or_else(|reason| panic!("{record}: {reason}"));
    assert_eq!((found.join(" "), other.join(" ")), (values.to_owned(), unknown.to_owned()), "{record}");
}

#[track_caller]
fn refused(shape: &RecordShape, record: &str, reason: &str) {
    assert_eq!(one(shape, record), Err(reason.to_owned()), "{record}");
}

#[test]
fn another_name_replaces_the_column_s_own() {
    let shape = shape(&[("detail", &["detail-type"]), ("at", &["@timestamp"])]);
    lands(&shape, r#"{"detail-type":"x","@timestamp":"y"}"#, "x y", "");
    lands(&shape, r#"{"@Timestamp":"y","Detail-Type":"x"}"#, "x y", "");
    lands(&shape, r#"{"detail":"x","at":"y"}"#, "- -", "at detail");
    refused(&shape, r#"{"detail-type":1}"#, "field `detail-type` is a number, expected a string");
    refused(&shape, r#"{"detail-type":"x","DETAIL-TYPE":"x"}"#, "field `detail-type` is there twice");
}

#[test]
fn of_several_fields_the_first_one_that_is_not_null_is_the_value() {
    let shape = shape(&[("id", &["id", "customer_id", "Key"])]);
    for (record, value, unknown) in [
        (r#"{"id":"a"}"#, "a", ""),
        (r#"{"key":"c"}"#, "c", ""),
        (r#"{"key":"c","customer_id":"b"}"#, "b", "Key"),
        (r#"{"key":"c","customer_id":"b","id":"a"}"#, "a", "Key customer_id"),
        (r#"{"id":null,"customer_id":null,"key":"c"}"#, "c", ""),
        (r#"{"key":"c","id":null}"#, "c", ""),
        (r#"{"id":null}"#, "-", ""),
        (r#"{"id":"a","key":"a"}"#, "a", ""),
        (r#"{"id":"a","key":null}"#, "a", ""),
        ("{}", "-", ""),
    ] {
        lands(&shape, record, value, unknown);
    }
    refused(&shape, r#"{"id":"a","id":"a"}"#, "field `id` is there twice");
    refused(&shape, r#"{"key":null,"KEY":"a"}"#, "field `Key` is there twice");
    refused(&shape, r#"{"key":"a","id":1}"#, "field `id` is a number, expected a string");
    let mut required = shape;
    required.columns[0].nullable = false;
    refused(&required, "{}", "field `id` or `customer_id` or `Key` is missing, expected a value");
    refused(&required, r#"{"customer_id":null}"#, "field `customer_id` is null, expected a value");
    lands(&required, r#"{"customer_id":null,"key":"a"}"#, "a", "");
}

#[test]
fn a_path_leads_into_objects_unless_a_field_has_its_name() {
    let shape = shape(&[("city", &["address.city"]), ("lat", &["address.geo.lat"]), ("id", &["id"])]);
    for (record, values, unknown) in [
        (r#"{"address":{"city":"Rome","geo":{"lat":"1"}},"id":"x"}"#, "Rome 1 x", ""),
        (r#"{"Address":{"GEO":{"Lat":"1"}}}"#, "- 1 -", ""),
        (r#"{"address.city":"Rome","address":{"geo.lat":"1"}}"#, "Rome 1 -", ""),
        (r#"{"address.city":"Rome","address":{"city":"Bari"}}"#, "Rome - -", "address.city"),
        (r#"{"address":{"city":"Bari"},"address.city":null}"#, "Bari - -", ""),
        (r#"{"address":null}"#, "- - -", ""),
        (r#"{"address":{"geo":null,"zip":1},"geo":2}"#, "- - -", "address.zip geo"),
        (r#"{"address":{"geo":{"lon":1}}}"#, "- - -", "address.geo.lon"),
        (r#"{"a\u0064dress":{"city":"\u0052ome"}}"#, "Rome - -", ""),
    ] {
        lands(&shape, record, values, unknown);
    }
    refused(&shape, r#"{"address":"Rome"}"#, "field `address` is a string, expected an object");
    refused(&shape, r#"{"address":[{"city":"Rome"}]}"#, "field `address` is an array, expected an object");
    refused(&shape, r#"{"address":{"geo":1}}"#, "field `address.geo` is a number, expected an object");
    refused(&shape, r#"{"address":{"city":1}}"#, "field `address.city` is a number, expected a string");
    refused(&shape, r#"{"address":{"city":"a"},"ADDRESS":{}}"#, "field `address` is there twice");
    refused(&shape, r#"{"address":{"geo":{},"geo":null}}"#, "field `address.geo` is there twice");
    refused(&shape, r#"{"address":{"city":"a","City":"a"}}"#, "field `address.city` is there twice");
    refused(&shape, r#"{"id":1,"address":{"city":1}}"#, "field `id` is a number, expected a string");
}

#[test]
fn fields_of_structs_have_other_names_too() {
    let customer = ColumnType::parse("struct<email:string,city:string>").expect("a type");
    let mut shape = RecordShape::plain(&[column("c", ColumnType::Array(customer.into()))]);
    let field = |from: &[&str]| Reading { from: from.iter().map(|s| (*s).to_owned()).collect(), ..Reading::default() };
    let inside = vec![field(&["e-mail", "mail"]), field(&["home.city"])];
    let element = Reading { inside, ..Reading::default() };
    shape.readings[0] = Reading { from: vec!["customers".into()], ..element.within() };
    for (record, values, unknown) in [
        (r#"{"customers":[{"e-mail":"a"},{"home":{"city":"b"}}]}"#, "[{email: a, city: }, {email: , city: b}]", ""),
        (r#"{"customers":[{"mail":"a","e-mail":null,"x":1}]}"#, "[{email: a, city: }]", "customers[].x"),
        (
            r#"{"customers":[{"mail":"a","e-mail":"b","home":{"zip":1}}]}"#,
            "[{email: b, city: }]",
            "customers[].home.zip customers[].mail",
        ),
    ] {
        lands(&shape, record, values, unknown);
    }
    refused(&shape, r#"{"customers":[{"e-mail":1}]}"#, "field `customers[1].e-mail` is a number, expected a string");
    refused(&shape, r#"{"customers":[{},{"home":[]}]}"#, "field `customers[2].home` is an array, expected an object");
}

/// Records of fields that are read by name, by one of several, and by a path.
fn record() -> impl Strategy<Value = String> {
    let leaf = || prop_oneof![Just("null"), Just("\"x\""), Just("\"y\""), Just("\"\\u0078\""), Just("1")];
    let inner = proptest::collection::vec((prop_oneof![Just("city"), Just("zip")], leaf()), 0..3)
        .prop_map(|fields| text(&fields.iter().map(|(n, v)| (*n, (*v).to_owned())).collect::<Vec<_>>()));
    let value = prop_oneof![4 => leaf().prop_map(str::to_owned), 1 => inner];
    let name = prop_oneof![
        Just("id"),
        Just("ID"),
        Just("key"),
        Just("address"),
        Just("address.city"),
        Just("a\\u0064dress"),
        Just("plain"),
        Just("z")
    ];
    proptest::collection::vec((name, value), 0..5).prop_map(|fields| text(&fields))
}

fn text(fields: &[(&str, String)]) -> String {
    format!("{{{}}}", fields.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect::<Vec<_>>().join(","))
}

/// The first of some values that is not NULL.
fn first<'v>(values: &[Option<&'v Value>]) -> Option<&'v Value> {
    values.iter().flatten().find(|value| !value.is_null()).copied()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// The quick reader, the general one and the replay of quarantine agree, and with a reader that knows the rules only.
    #[test]
    fn every_reader_finds_the_same_values(record in record()) {
        let shape = shape(&[("plain", &["plain"]), ("id", &["id", "key"]), ("city", &["address.city"])]);
        // A record that the quick reader leaves to the general one: the last name has an escape.
        let slow = match record.as_str() {
            "{}" => "{\"\\u007a\":1}".to_owned(),
            other => other.replacen('{', "{\"\\u007a\":1,", 1),
        };
        let (quick, general) = (one(&shape, &record), one(&shape, &slow));
        let values = |outcome: &Result<(Vec<String>, Vec<String>), String>| outcome.clone().map(|(values, _)| values);
        prop_assert_eq!(values(&quick), values(&general));
        let Ok((found, unknown)) = quick else { return Ok(()) };
        let mut fields: Map<String, Value> = Map::new();
        for (name, value) in serde_json::from_str::<Map<String, Value>>(&record).expect("JSON") {
            fields.insert(name.to_lowercase(), value);
        }
        let city = fields.get("address").and_then(|address| address.get("city"));
        let expected = [
            first(&[fields.get("plain")]),
            first(&[fields.get("id"), fields.get("key")]),
            first(&[fields.get("address.city"), city]),
        ];
        let expected: Vec<String> =
            expected.iter().map(|v| v.and_then(Value::as_str).unwrap_or("-").to_owned()).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(unknown.contains(&"z".to_owned()), fields.contains_key("z"));
    }
}
