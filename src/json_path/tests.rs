use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn value(json: &str, path: &str) -> Option<String> {
    Part::Value.of(&steps(path).unwrap_or_else(|| panic!("{path}")), json)
}

fn scalar(json: &str, path: &str) -> Option<String> {
    Part::Scalar.of(&steps(path).unwrap_or_else(|| panic!("{path}")), json)
}

const STORE: &str = r#" { "store": { "book": [
    { "author": "Nigel Rees", "price": 8.950, "by": [["Adam", "Levine"], ["Bob"]], "sold": true },
    { "author": "Evelyn \"W\" \u00e9\/", "isbn": "0", "owner": null, "n:s": 1, "a b": 2, "q\"\\": 3, "0": 4 } ] } } "#;

#[test]
fn parts_are_those_of_athena() {
    for (path, whole, text) in [
        ("$.store.book[0].author", Some("\"Nigel Rees\""), Some("Nigel Rees")),
        ("$.store.book[0].price", Some("8.950"), Some("8.950")),
        ("$.store.book[0].sold", Some("true"), Some("true")),
        ("$.store.book[0].isbn", None, None),
        ("$.store.book[1].owner", Some("null"), None),
        ("$.store.book[0].by[0][1]", Some("\"Levine\""), Some("Levine")),
        ("$.store.book[0].by", Some(r#"[["Adam","Levine"],["Bob"]]"#), None),
        ("$[\"store\"][\"book\"][1][\"author\"]", Some(r#""Evelyn \"W\" é/""#), Some("Evelyn \"W\" é/")),
        ("$.store[book][1].n:s", Some("1"), Some("1")),
        ("$.store.book[1][\"a b\"]", Some("2"), Some("2")),
        ("$.store.book[1][\"q\\\"\\\\\"]", Some("3"), Some("3")),
        ("$.store.book[1][0]", Some("4"), Some("4")),
        ("$.store.book.1[\"isbn\"]", Some("\"0\""), Some("0")),
        ("$.store.book[2]", None, None),
        ("$.store.book[99999999999]", None, None),
        ("$.store.book.author", None, None),
        ("$.store.book[0].author.x", None, None),
        ("$.Store", None, None),
    ] {
        assert_eq!((value(STORE, path).as_deref(), scalar(STORE, path).as_deref()), (whole, text), "{path}");
    }
    assert_eq!(value(" [1, {\"a\" :\t\"x y\"}]\n", "$").as_deref(), Some("[1,{\"a\":\"x y\"}]"));
    assert_eq!(
        value(r#"{"a\u0001":"\b\f\n\r\t\u001f\u0041"}"#, "$").as_deref(),
        Some(r#"{"a\u0001":"\b\f\n\r\t\u001FA"}"#)
    );
    assert_eq!(scalar("12", "$").as_deref(), Some("12"));
    assert_eq!(scalar(r#"{"a":1,"a":2}"#, "$.a").as_deref(), Some("1"), "the first one");
    assert_eq!(scalar(r#"{"a":{"c":1},"a":{"b":2}}"#, "$.a.b"), None, "the first one");
    assert_eq!(scalar(r#"{"a":{"c":1},"b":2}"#, "$.a.b"), None);
}

#[test]
fn what_is_no_json_has_no_parts_from_there_on() {
    assert_eq!(scalar(r#"{"a":{"b":1,"c":"#, "$.a.b").as_deref(), Some("1"));
    for (json, path) in [
        ("", "$"),
        ("x", "$"),
        (r#"{"a":tru}"#, "$.a"),
        (r#"{"a" 1}"#, "$.a"),
        (r#"{"b":[1,}"#, "$.a"),
        (r#"{"a":"\ud800"}"#, "$.a"),
        (r#"{"a":"x"#, "$.a"),
    ] {
        assert_eq!((value(json, path), scalar(json, path)), (None, None), "{json}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(value(&deep, "$").map(|text| text.len()), Some(deep.len()));
    assert_eq!(scalar(&format!("[{deep},7]"), "$[1]").as_deref(), Some("7"));
    assert_eq!(
        value(&deep, &format!("${}", "[0]".repeat(MAX_STEPS))).map(|t| t.len()),
        Some(deep.len() - 2 * MAX_STEPS)
    );
}

#[test]
fn other_paths_are_none() {
    for path in [
        "",
        "a",
        ".a",
        "$a",
        "$.",
        "$..a",
        "$.a-b",
        "$[",
        "$[]",
        "$[\"a]",
        "$[\"a\"",
        "$[\"\\n\"]",
        "$.*",
        "$[*]",
        "$.a b",
        " $",
    ] {
        assert_eq!(steps(path), None, "{path}");
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-c\"\\\\é]{1,2}", inner, 0..3)
                .prop_map(|m| Value::Object(m.into_iter().collect()))
        ]
    })
}

proptest! {
    /// Every part is found by its path, however the text is laid out.
    #[test]
    fn every_part_is_found(whole in json(), ways in proptest::collection::vec(any::<proptest::sample::Index>(), 0..5)) {
        let (mut part, mut path) = (&whole, "$".to_owned());
        for way in ways {
            match part {
                Value::Array(elements) if !elements.is_empty() => {
                    let at = way.index(elements.len());
                    path.push_str(&format!("[{at}]"));
                    part = &elements[at];
                }
                Value::Object(fields) if !fields.is_empty() => {
                    let (name, field) = fields.iter().nth(way.index(fields.len())).unwrap();
                    path.push_str(&format!("[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\"")));
                    part = field;
                }
                _ => break,
            }
        }
        for text in [whole.to_string(), serde_json::to_string_pretty(&whole).unwrap()] {
            let found = value(&text, &path).unwrap();
            prop_assert!(found.len() <= text.len());
            prop_assert_eq!(&serde_json::from_str::<Value>(&found).unwrap(), part);
            let expected = match part {
                Value::String(text) => Some(text.clone()),
                Value::Bool(_) | Value::Number(_) => Some(part.to_string()),
                _ => None,
            };
            prop_assert_eq!(scalar(&text, &path), expected);
        }
    }
}
