//! What holds for any file.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Pieces of files: good records, bad ones, separators and noise.
const PIECES: [&[u8]; 44] = [
    b"{\"a\":1}",
    b"{\"a\":2,\"b\":\"x\"}",
    b"{\"a\":3}\n",
    b"{}\n",
    b"{\n  \"a\": 4,\n  \"b\": \"y\"\n}\n",
    b"\n",
    b"\r\n",
    b" ",
    b",",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"\\",
    b":",
    b"1",
    b"-",
    b"null",
    b"tru",
    b"{\"a\":",
    b"{\"a\":[\n",
    b"{\"b\":\"",
    b"{\"a\":\"x\"}\n",
    b"{\"b\":\"\xFF\"}\n",
    b"\xFF",
    b"\xE2\x82",
    b"{\"a\":1,\"A\":2}\n",
    b"{\"z\":{\"a\":[1,{}]}}\n",
    b"[[1],2]",
    b"{'a':1}\n",
    b"{\"\\ud800\":1}",
    b"{\"b\":\"\\ud800\"}",
    b"\\u12",
    b"\xEF\xBB\xBF",
    b"{\n",
    b"\n  {\n",
    b"\n}",
    b"{\"a\":1},\n",
    b"{\"a\":1.5}",
    b"x,y\n",
    b"\x1f\x8b",
    b"\0",
    b"{\"b\":\"\xC3\xA9\"}\n",
];

fn file() -> impl Strategy<Value = Vec<u8>> {
    vec(0..PIECES.len(), 0..40).prop_map(|pieces| pieces.into_iter().flat_map(|i| PIECES[i].to_vec()).collect())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("B".to_owned()), Just("c".to_owned()), "[d-z\u{e9}\"\\\\]{1,3}"]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..3).prop_map(|m| Value::Object(m.into_iter().collect()))
        ]
    })
}

/// An object that is a row of `a` long, `b` string, `c` double.
fn record() -> impl Strategy<Value = Value> {
    let a = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from)];
    let b = prop_oneof![Just(Value::Null), any::<String>().prop_map(Value::from)];
    let c = prop_oneof![Just(Value::Null), any::<f64>().prop_map(Value::from), any::<i32>().prop_map(Value::from)];
    (a, b, c, proptest::option::of(json())).prop_map(|(a, b, c, more)| {
        let mut fields = serde_json::Map::new();
        fields.extend(more.map(|value| ("more".to_owned(), value)));
        fields.extend([("a".to_owned(), a), ("B".to_owned(), b), ("c".to_owned(), c)]);
        Value::Object(fields)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_is_in_one_record(bytes in file(), sizes in vec(1_usize..20, 1..5)) {
        let whole = read_in(&columns(), small(), &bytes, &[]);
        check_coverage(&bytes, &whole);
        prop_assert_eq!(&whole, &read_in(&columns(), small(), &bytes, &sizes));
        prop_assert_eq!(&whole, &read_in(&columns(), small(), &bytes, &[1]));
        for row in &whole.rows {
            let value: Value = serde_json::from_slice(&row.raw).expect("a landed record is JSON");
            let expected = match &value["a"] {
                Value::Null => "-".to_owned(),
                other => other.to_string(),
            };
            prop_assert_eq!(&row.values[0], &expected);
            let again = read_one(&columns(), "f", 0, &row.raw, small()).expect("what landed once lands again");
            prop_assert_eq!(values_of(&again, 0, 2), row.values.clone());
        }
    }

    #[test]
    fn a_low_limit_changes_nothing_about_that(bytes in file(), sizes in vec(1_usize..20, 1..5), max_record in 1_usize..30) {
        let options = Options { max_record, ..small() };
        let whole = read_in(&columns(), options, &bytes, &[]);
        check_coverage(&bytes, &whole);
        prop_assert_eq!(&whole, &read_in(&columns(), options, &bytes, &sizes));
        prop_assert_eq!(&whole, &read_in(&columns(), options, &bytes, &[1]));
        prop_assert!(whole.rows.iter().all(|row| row.length <= max_record));
    }

    #[test]
    fn valid_files_land_whole(records in vec(record(), 0..20), layout in 0..4, sizes in vec(1_usize..50, 1..5)) {
        let columns = [column("a", ColumnType::Long), column("b", ColumnType::String), column("c", ColumnType::Double)];
        let pretty = |r: &Value| serde_json::to_string_pretty(r).expect("JSON");
        let lines: Vec<String> = records.iter().map(|r| if layout == 1 { pretty(r) } else { r.to_string() }).collect();
        let bytes = match layout {
            0 => lines.join("\n"),
            1 => lines.join("\r\n"),
            2 => lines.concat(),
            _ => serde_json::to_string_pretty(&records).expect("JSON"),
        };
        let outcome = read_in(&columns, small(), bytes.as_bytes(), &sizes);
        prop_assert_eq!(&outcome.bad, &vec![]);
        prop_assert_eq!(outcome.rows.len(), records.len());
        for (row, record) in outcome.rows.iter().zip(&records) {
            let text = |name: &str| match &record[name] {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            prop_assert_eq!(&row.values[0], &text("a"));
            prop_assert_eq!(&row.values[1], &text("B"));
            let double = |text: &str| text.parse::<f64>().ok().map(f64::to_bits);
            prop_assert_eq!(double(&row.values[2]), double(&text("c")));
        }
    }
}
