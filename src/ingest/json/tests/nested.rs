//! Fields with nested values.

use super::values::{lands, refused};
use super::*;

fn parsed(text: &str) -> ColumnType {
    ColumnType::parse(text).expect(text)
}

#[test]
fn arrays() {
    let numbers = parsed("array<long>");
    lands(&numbers, "[1, 2 ,null,3]", "[1, 2, , 3]");
    lands(&numbers, "[]", "[]");
    lands(&numbers, "null", "-");
    lands(&numbers, " [ ] ", "[]");
    refused(&numbers, "1", "is a number, expected an array");
    refused(&numbers, "{}", "is an object, expected an array");
    refused(&numbers, "\"[1]\"", "is a string, expected an array");
    let inside = |json, at, expected| {
        assert_eq!(super::values::value(&numbers, json), Err(format!("field `v{at}` {expected}")), "{json}");
    };
    inside("[1,\"2\"]", "[2]", "is a string, expected an integer");
    inside("[1,2.5,\"x\"]", "[2]", "is a number with a fraction, expected an integer");
    inside("[[1]]", "[1]", "is an array, expected an integer");
    lands(&parsed("array<array<string>>"), "[[\"a\",\"b\"],[],null]", "[[a, b], [], ]");
    lands(&parsed("array<timestamp>"), "[\"2024-01-01T00:00:00Z\"]", "[2024-01-01T00:00:00Z]");
}

#[test]
fn structs() {
    let address = parsed("struct<city:string,geo:struct<lat:double,lon:double>,tags:array<byte>>");
    lands(
        &address,
        r#"{"City":"Rome","geo":{"lon":-0.0,"LAT":1.5},"tags":[1]}"#,
        "{city: Rome, geo: {lat: 1.5, lon: -0.0}, tags: [1]}",
    );
    lands(&address, "{}", "{city: , geo: , tags: }");
    lands(&address, r#"{"geo":{}}"#, "{city: , geo: {lat: , lon: }, tags: }");
    lands(&address, "null", "-");
    refused(&address, "[]", "is an array, expected an object");
    let inside = |json, at, expected| {
        assert_eq!(super::values::value(&address, json), Err(format!("field `v{at}` {expected}")), "{json}");
    };
    inside(r#"{"geo":{"lat":"x"}}"#, ".geo.lat", "is a string, expected a number");
    inside(r#"{"city":"a","CITY":null}"#, ".city", "is there twice");
    inside(r#"{"tags":[1,2,300]}"#, ".tags[3]", "is out of range for the type byte");
    inside(r#"{"geo":1,"city":2}"#, ".geo", "is a number, expected an object");
    refused(&address, r#"{"\ud800":1}"#, "is an object with a lone surrogate in a name, expected an object");
}

#[test]
fn maps_are_kept_in_the_order_of_their_keys() {
    let prices = parsed("map<string,struct<v:long>>");
    lands(&prices, r#"{"b":{"v":1},"a":null,"":{}}"#, "{: {v: }, a: , b: {v: 1}}");
    lands(&prices, "{}", "{}");
    lands(&prices, "null", "-");
    refused(&prices, "[]", "is an array, expected an object");
    let inside = |json, at, expected| {
        assert_eq!(super::values::value(&prices, json), Err(format!("field `v{at}` {expected}")), "{json}");
    };
    inside(r#"{"b":{"v":1},"a":{"v":true}}"#, "{entry 2}.v", "is a boolean, expected an integer");
    inside(r#"{"b":{"v":1},"\u0062":{"v":1}}"#, "{entry 2}", "is there twice");
}

#[test]
fn a_refused_value_leaves_nothing_behind() {
    let columns = [
        column("id", ColumnType::Long),
        column("v", parsed("array<struct<a:long,m:map<string,array<long>>>>")),
        column("s", parsed("struct<a:array<long>>")),
    ];
    let lines = [
        r#"{"id":1,"v":[{"a":1,"m":{"x":[1,2]}}],"s":{"a":[7]}}"#,
        r#"{"id":2,"v":[{"a":1,"m":{"x":[1,2],"y":[3,"no"]}}],"s":{"a":[7]}}"#,
        r#"{"id":3,"v":[],"s":{"a":[1,2,{}]}}"#,
        r#"{"id":4,"v":[{"a":4}],"s":null}"#,
        r#"{"id":"no","v":[{"a":5},{"a":6}],"s":{"a":[7]}}"#,
        r#"{"id":6,"v":[null,{"m":{}}]}"#,
        r#"{"id":7,"v":[{"a":1,"#,
    ];
    let outcome = read(&columns, lines.join("\n").as_bytes());
    let rows: Vec<_> = outcome.rows.iter().map(|r| r.values.join("|")).collect();
    assert_eq!(rows, ["1|[{a: 1, m: {x: [1, 2]}}]|{a: [7]}", "4|[{a: 4, m: }]|-", "6|[, {a: , m: {}}]|-",]);
    let reasons: Vec<_> = outcome.bad.iter().map(|b| b.reason.as_str()).collect();
    assert_eq!(
        reasons[..3],
        [
            "field `v[1].m{entry 2}[2]` is a string, expected an integer",
            "field `s.a[3]` is an object, expected an integer",
            "field `id` is a string, expected an integer",
        ]
    );
    assert_eq!(reasons.len(), 4);
}

#[test]
fn unknown_fields_inside_are_counted_once_a_record_by_their_path() {
    let columns = [column("v", parsed("array<struct<a:long>>")), column("m", parsed("map<string,struct<a:long>>"))];
    let text = r#"{"v":[{"a":1,"b":2},{"b":3}],"m":{"k":{"c":1}},"z":[1]}
                  {"v":[{"b":1}],"m":{"k":{"a":"no","c":1}}}
                  {"v":[{"b":1}]}"#;
    let outcome = read(&columns, text.as_bytes());
    let unknown: Vec<_> = outcome.counts.unknown_fields.by_name.iter().map(|(n, c)| format!("{n} {c}")).collect();
    assert_eq!(unknown, ["m{}.c 1", "v[].b 2", "z 1"]);
}
