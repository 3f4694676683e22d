//! Fields without a column: counted, ignored, refused or kept.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::definition::{OnNewField, Reading};

fn shape(on_new_field: OnNewField, columns: &[(&str, &str, &[&str])]) -> RecordShape {
    let parsed = |text| ColumnType::parse(text).expect(text);
    let all: Vec<_> = columns.iter().map(|(name, of, _)| column(name, parsed(of))).collect();
    let mut shape = RecordShape { on_new_field, ..RecordShape::plain(&all) };
    for (reading, (.., from)) in shape.readings.iter_mut().zip(columns).filter(|(_, (.., from))| !from.is_empty()) {
        reading.from = from.iter().map(|source| (*source).to_owned()).collect();
    }
    shape
}

/// What is kept of a record, `-` for nothing.
fn kept(shape: &RecordShape, record: &str) -> Result<String, String> {
    let batch = Json.read_one(shape, "f", 0, record.as_bytes(), Options::default())?;
    let whole = read_shaped(shape, small(), record.as_bytes(), &[1]);
    let at = shape.columns.len();
    assert_eq!(batch.schema().field(at).name(), "_rescued");
    let values = values_of(&batch, 0, at + 1);
    assert_eq!(whole.rows[0].values, values, "{record}");
    assert_eq!(whole.counts.unknown_fields, crate::ingest::format::UnknownFields::default());
    Ok(values[at].clone())
}

#[test]
fn what_is_kept_is_laid_out_as_the_record_is() {
    let columns: [(&str, &str, &[&str]); 7] = [
        ("id", "long", &["id", "key"]),
        ("city", "string", &["address.city"]),
        ("lat", "double", &["address.geo.lat"]),
        ("s", "struct<a:long,deep:struct<b:long>>", &["Some"]),
        ("items", "array<struct<price:long>>", &[]),
        ("by", "map<string,array<struct<v:long>>>", &[]),
        ("payload", "json", &[]),
    ];
    let shape = shape(OnNewField::Rescue, &columns);
    for (record, rest) in [
        (r#"{"id":1,"address":{"city":"x","geo":{"lat":1}},"some":{"a":1,"deep":{"b":null}},"items":[{}]}"#, "-"),
        (r#"{}"#, "-"),
        (r#"{"zip": 1.50, "Id":1,"more":{ "a" : [1, {}] }}"#, r#"{"zip":1.50,"more":{ "a" : [1, {}] }}"#),
        (r#"{"zip":null,"zip":2}"#, r#"{"zip":null,"zip":2}"#),
        (r#"{"address":{"city":"x","zip":1,"geo":{"LON":2}}}"#, r#"{"address":{"zip":1,"geo":{"LON":2}}}"#),
        (r#"{"SOME":{"a":1,"c":2,"Deep":{"d":3}}}"#, r#"{"SOME":{"c":2,"Deep":{"d":3}}}"#),
        (r#"{"items":[{"price":1},null,{"price":2,"color":"red"}]}"#, r#"{"items":[null,null,{"color":"red"}]}"#),
        (r#"{"by":{"k\n":[{"v":1,"w":2}],"l":[]}}"#, r#"{"by":{"k\n":[{"w":2}]}}"#),
        (r#"{"payload":{"anything":[{"goes":1}]}}"#, "-"),
        // Of several fields those that are not the value.
        (r#"{"key":2,"id":1}"#, r#"{"key":2}"#),
        (r#"{"key":1,"id":1}"#, "-"),
        (r#"{"key":2,"id":null}"#, "-"),
        (r#"{"address":{"city":"x"},"address.city":"y"}"#, r#"{"address":{"city":"x"}}"#),
        (r#"{"\u007aip\"":1}"#, r#"{"zip\"":1}"#),
    ] {
        assert_eq!(kept(&shape, record).as_deref(), Ok(rest), "{record}");
    }
    assert_eq!(kept(&shape, r#"{"zip":1,"items":1}"#).unwrap_err(), "field `items` is a number, expected an array");
}

#[test]
fn a_refused_record_keeps_nothing_for_the_next() {
    let shape = shape(OnNewField::Rescue, &[("a", "long", &[])]);
    let text = b"{\"a\":1,\"z\":1}\n{\"a\":\"x\",\"z\":2}\n{\"a\":2}\n{\"z\":3,\"a\":3}\n{\"a\":4,\"z\":\n{\"a\":5}\n";
    let outcome = read_shaped(&shape, small(), text, &[]);
    let rows: Vec<_> = outcome.rows.iter().map(|r| r.values.join(" ")).collect();
    assert_eq!(rows, [r#"1 {"z":1}"#, "2 -", r#"3 {"z":3}"#, "5 -"]);
}

#[test]
fn other_fields_are_counted_ignored_or_refused() {
    let columns: [(&str, &str, &[&str]); 2] = [("a", "long", &[]), ("s", "struct<b:long>", &[])];
    let text = br#"{"a":1}{"a":2,"z":1}{"a":3,"s":{"b":1,"x@y":1}}{"s":{"B":1}}"#;
    let read = |on| read_shaped(&shape(on, &columns), small(), text, &[]);
    let (warned, ignored, refused) = (read(OnNewField::Warn), read(OnNewField::Ignore), read(OnNewField::Quarantine));
    assert_eq!(warned.rows.len(), 4);
    assert_eq!(warned.counts.unknown_fields.by_name.keys().collect::<Vec<_>>(), ["s.x@y", "z"]);
    assert_eq!((ignored.rows, ignored.counts.unknown_fields.by_name.len()), (warned.rows, 0));
    let reasons: Vec<_> = refused.bad.iter().map(|b| b.reason.as_str()).collect();
    assert_eq!(
        reasons,
        ["field `z` is not declared", "a field of `s` is not declared whose name may be personal data"]
    );
    assert_eq!(refused.counts.unknown_fields.by_name.len(), 0);
}

/// Any values, nested as records are.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|m| Value::Object(m.into_iter().collect()))
        ]
    })
}

/// What a place of columns `a` and `b`, each a JSON value or an object of these, leaves of a value.
fn left(reading: &[(&str, Option<&[&str]>)], fields: &Map<String, Value>) -> Map<String, Value> {
    let mut rest = Map::new();
    for (name, value) in fields {
        match reading.iter().find(|(known, _)| known == name) {
            None => {
                rest.insert(name.clone(), value.clone());
            }
            Some((_, None)) => {}
            Some((_, Some(inside))) => {
                let inside: Vec<_> = inside.iter().map(|name| (*name, None)).collect();
                if let Value::Object(fields) = value {
                    let left = left(&inside, fields);
                    if !left.is_empty() {
                        rest.insert(name.clone(), Value::Object(left));
                    }
                }
            }
        }
    }
    rest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Nothing of a record is lost: what its columns do not hold is kept.
    #[test]
    fn nothing_is_lost(record in proptest::collection::btree_map("[a-d]", json(), 0..4)) {
        let record: Map<String, Value> = record.into_iter().collect();
        let mut all = shape(
            OnNewField::Rescue,
            &[("a", "json", &[]), ("b", "struct<a:json,c:json>", &[]), ("x", "json", &["c.a"])],
        );
        all.readings[1].inside[1] = Reading { from: vec!["d".into()], ..Reading::default() };
        let text = Value::Object(record.clone()).to_string();
        let Ok(kept) = kept(&all, &text) else {
            // `b` or `c` is no object.
            let is_object = |name: &str| record.get(name).is_none_or(|v| v.is_null() || v.is_object());
            prop_assert!(!is_object("b") || !is_object("c"), "{text}");
            return Ok(());
        };
        let expected = left(&[("a", None), ("b", Some(&["a", "d"])), ("c", Some(&["a"]))], &record);
        let kept: Value = if kept == "-" { Value::Object(Map::new()) } else { serde_json::from_str(&kept).unwrap() };
        prop_assert_eq!(kept, Value::Object(expected), "{}", text);
    }
}
