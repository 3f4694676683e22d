//! `from` and `fields`: in which fields of records columns are found.

use super::*;

const T: &str = "tables/landing/t.toml";

fn landing(columns: &str) -> String {
    format!("description = \"T\"\n[source]\npath = \"t/*.json\"\nformat = \"json\"\n[columns]\n{columns}")
}

fn wrong(columns: &str) -> Vec<String> {
    faults(&[(T, &landing(columns))])
}

fn readings(columns: &str) -> (Vec<String>, Vec<Reading>) {
    let project =
        checked(&[(T, &landing(columns))]).unwrap_or_else(|f| panic!("{:?}", f.iter().map(line).collect::<Vec<_>>()));
    let table = table(&project, "t");
    (self::columns(table), table.landing().expect("a landing table").readings.clone())
}

fn from(names: &[&str], inside: Vec<Reading>) -> Reading {
    Reading { from: names.iter().map(|name| (*name).to_owned()).collect(), inside, ..Reading::default() }
}

#[test]
fn columns_say_where_they_are_found() {
    let (columns, found) = readings(
        r#"id = "long"
detail = { type = "string", from = "detail-type" }
city = { type = "string", from = ["address.city", "City Name"], classification = "pii" }
customer = { type = "struct", fields = { email = { type = "string", from = "e-mail", classification = "pii" }, at = "date" } }
lines = { type = "array< Struct >", from = "@lines", fields = { price = { type = "double", from = "unit-price" } } }
by = { type = "map<string,array<struct>>", fields = { x = "struct<y:int>" } }
geo = "struct<lat:double>"
"#,
    );
    assert_eq!(
        columns,
        [
            "id:long",
            "detail:string",
            "city:string*",
            "customer:struct<email:string,at:date>*",
            "lines:array<struct<price:double>>",
            "by:map<string,array<struct<x:struct<y:integer>>>>",
            "geo:struct<lat:double>",
            "source_file:string!",
            "source_offset:long!",
        ]
    );
    let unnamed = |inside| from(&[], vec![from(&[], inside)]).inside;
    assert_eq!(
        found,
        [
            from(&["id"], vec![]),
            from(&["detail-type"], vec![]),
            from(&["address.city", "City Name"], vec![]),
            from(&["customer"], vec![from(&["e-mail"], vec![]), from(&["at"], vec![])]),
            from(&["@lines"], unnamed(vec![from(&["unit-price"], vec![])])),
            from(&["by"], vec![from(&[], unnamed(vec![from(&["x"], vec![from(&["y"], vec![])])]))]),
            from(&["geo"], vec![from(&["lat"], vec![])]),
        ]
    );
}

#[test]
fn what_cannot_be_found_is_a_fault() {
    assert_eq!(
        wrong(
            r#"a = { type = "string", from = "" }
b = { type = "string", from = [] }
c = { type = "string", from = 3 }
d = { type = "string", from = ["x", "x"] }
e = { type = "string", form = "x" }
f = { type = "string", from = ["y", "Y"] }
"#
        ),
        [
            "t.toml:6:31 `from` is empty | write the name of a field",
            "t.toml:7:31 `from` is empty | write the name of a field",
            "t.toml:8:31 `from` has the wrong type | found integer 3, expected a string or a list of strings",
            "t.toml:9:37 `x` is twice in `from` | remove one",
            "t.toml:10:24 unknown key `form` | did you mean `from`?",
            "t.toml:11:37 field `Y` is read twice | remove one: names are found whatever their case",
        ]
    );
    assert_eq!(
        wrong("a = \"string\"\nb = { type = \"string\", from = [\"c\", \"A\"] }\nc = \"long\"\n"),
        [
            "t.toml:7:37 field `A` is read twice | `a` reads it, and a field is read once",
            "t.toml:8:1 field `c` is read twice | `b` reads it, and a field is read once",
        ]
    );
    assert_eq!(
        wrong("address = \"struct<zip:string>\"\ncity = { type = \"string\", from = \"Address.city\" }\n"),
        ["t.toml:7:34 `Address.city` leads into a field that `address` reads | \
          `address` is struct<zip:string>: take its part in a query, or read it otherwise"]
    );
}

#[test]
fn structs_whose_fields_are_written_apart() {
    assert_eq!(
        wrong(
            r#"a = { type = "struct", fields = {} }
b = { type = "string", fields = { x = "int" } }
c = { type = "struct", fields = { X = "int", y = { type = "int", nullable = true }, z = "inte" } }
d = { type = "struct", fields = { x = "int", y = { type = "int", from = "X" } } }
e = { type = "struct" }
f = { type = "struct", fields = ["x"] }
"#
        ),
        [
            "t.toml:6:33 `fields` is empty | name at least one field",
            "t.toml:7:24 `fields` belongs to a struct | write `type = \"struct\"`, \"array<struct>\" or \"map<string,struct>\"",
            "t.toml:8:35 `X` cannot be a field | a name begins with a letter a-z, found `X`",
            "t.toml:8:66 unknown key `nullable` | one of `type`, `classification`, `from`, `format`, `fields`",
            "t.toml:8:89 `inte` is not a type of this tool | did you mean `int`?",
            "t.toml:9:73 field `X` is read twice | `x` reads it, and a field is read once",
            "t.toml:10:14 `struct` is not a type of this tool | write `struct<name:T,...>`, as in `struct<city:string,zip:int>`",
            "t.toml:11:33 `fields` has the wrong type | found list, expected a table",
        ]
    );
    let deep =
        format!("a = {{ type = \"{}struct{}\", fields = {{ x = \"int\" }} }}\n", "array<".repeat(15), ">".repeat(15));
    assert_eq!(wrong(&deep), ["t.toml:6:14 the type of `a` is nested too deeply | a type has at most 16 levels"]);
}

#[test]
fn times_that_are_numbers() {
    let (columns, found) = readings(
        r#"a = { type = "timestamp", format = "epoch_ms" }
b = { type = "array<timestamp>", format = "epoch_s" }
c = { type = "struct", fields = { at = { type = "timestamp", from = "@at", format = "epoch_us" }, other = "timestamp" } }
"#,
    );
    assert_eq!(columns[..2], ["a:timestamp", "b:array<timestamp>"]);
    let times =
        |reading: &Reading| (reading.times, reading.inside.iter().map(|inside| inside.times).collect::<Vec<_>>());
    use TimeFormat::{EpochMicros, EpochMillis, EpochSeconds, Rfc3339};
    assert_eq!(times(&found[0]), (EpochMillis, vec![]));
    assert_eq!(times(&found[1]).1, [EpochSeconds]);
    assert_eq!(times(&found[2]).1, [EpochMicros, Rfc3339]);
    assert_eq!(
        wrong(
            r#"a = { type = "timestamp", format = "epoch" }
b = { type = "long", format = "epoch_ms" }
c = { type = "struct", format = "epoch_ms", fields = { at = "timestamp" } }
"#
        ),
        [
            "t.toml:6:36 `format` is \"epoch\" | one of \"epoch_s\", \"epoch_ms\", \"epoch_us\"",
            "t.toml:7:22 `format` belongs to a timestamp | this is long: write `type = \"timestamp\"`",
            "t.toml:8:24 `format` belongs to a timestamp | give it to the fields that are one",
        ]
    );
}

#[test]
fn json_is_personal_unless_it_is_said_not_to_be() {
    let (found, _) = readings(
        r#"a = "json"
b = { type = "json", classification = "none" }
c = "map<string,json>"
d = { type = "struct", fields = { x = "json", y = "long" } }
e = { type = "struct", fields = { x = { type = "json", classification = "none" } } }
f = { type = "json", from = "detail", classification = "pii" }
g = { type = "string", from = "detail.type" }
h = { type = "string", classification = "none" }
"#,
    );
    let expected =
        ["a:string*", "b:string", "c:map<string,string>*", "d:struct<x:string,y:long>*", "e:struct<x:string>"];
    assert_eq!(found[..5], expected);
    assert_eq!(found[5..8], ["f:string*", "g:string", "h:string"]);
    assert_eq!(
        wrong("a = { type = \"struct\", classification = \"none\", fields = { x = \"json\" } }\n"),
        ["t.toml:6:41 `a` is not classified, and a field of it is `pii` | remove one of the two"]
    );
    assert_eq!(
        wrong("b = \"map<json,string>\"\n"),
        [
            "t.toml:6:5 column `b` is a map whose keys are not strings | names in JSON are strings: write `map<string,T>`"
        ]
    );
    let toml = landing("a = \"json\"\n").replace("[source]", "cluster_by = [\"a\"]\n[source]");
    assert_eq!(
        faults(&[(T, &toml)]),
        ["t.toml:2:15 `a` cannot be in `cluster_by` | it is json: name a column without values inside"]
    );
}

#[test]
fn fields_beside_a_personal_one_are_not_personal() {
    let v = landing(
        r#"c = { type = "struct", fields = { mail = { type = "string", classification = "pii" }, city = "string", deep = { type = "struct", fields = { x = "long", y = "json" } } } }
whole = { type = "struct", classification = "pii", fields = { city = "string" } }
many = { type = "array<struct>", fields = { mail = { type = "string", classification = "pii" }, city = "string" } }
"#,
    );
    let of = |sql: &str| {
        let files =
            [("tables/landing/v.toml", v.as_str()), ("tables/trusted/t.toml", TRUSTED), ("tables/trusted/t.sql", sql)];
        let project = checked(&files).unwrap_or_else(|f| panic!("{:?}", f.iter().map(line).collect::<Vec<_>>()));
        let named = |c: &Column| format!("{}{}", c.name, if c.pii { "*" } else { "" });
        table(&project, "t").columns.iter().map(named).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        of(
            "select c, c.mail as mail, c.city as city, c['deep']['x'] as x, c.deep.y as y, c.deep as d, upper(c.city) as u from v"
        ),
        "c* mail* city x y* d* u"
    );
    assert_eq!(of("select whole.city as a, many[1]['city'] as b from v"), "a* b*");
    assert_eq!(of("select q.d.x as x, q.d.y as y, q.d.x + 1 as z from (select c.deep as d from v) as q"), "x y* z");
    assert_eq!(of("select c.city as a from v union all select c.mail from v"), "a*");
    assert_eq!(of("select q.s.city as a from (select c as s from v union all select c as s from v) as q"), "a");
    assert_eq!(
        of("select max(c.city) as a, max(c.mail) as b, min(named_struct('a', c.city)['a']) as e from v"),
        "a b* e"
    );
    assert_eq!(of("select coalesce(c, c)['city'] as a from v"), "a*");
}

#[test]
fn what_is_computed_from_personal_data_stays_personal() {
    let found = |more: &str| {
        let toml = format!("{TRUSTED}[columns]\n{more}");
        let sql = "select json_extract_scalar(a, '$.kind') as kind, b from v";
        let v = landing("a = \"json\"\nb = \"long\"\n");
        faults(&[("tables/landing/v.toml", &v), ("tables/trusted/t.toml", &toml), ("tables/trusted/t.sql", sql)])
    };
    assert_eq!(
        found(
            "kind = { type = \"string\", classification = \"none\" }\nb = { type = \"long\", classification = \"none\" }\n"
        ),
        ["t.toml:3:44 column `kind` is computed from personal data | it stays `pii`: remove `classification`"]
    );
    assert_eq!(
        found("kind = \"json\"\n"),
        ["t.toml:3:8 `json` is a type of landing columns | write `string`: that is what a query gives"]
    );
}

#[test]
fn a_path_into_json_is_a_constant() {
    let found = |call: &str| {
        let sql = format!("select {call} as y from v");
        let v = landing("a = \"json\"\nb = \"string\"\n");
        faults(&[("tables/landing/v.toml", &v), ("tables/trusted/t.toml", TRUSTED), ("tables/trusted/t.sql", &sql)])
    };
    assert_eq!(found("json_extract_scalar(a, '$.x[0]')"), [""; 0]);
    for (call, says) in [
        ("json_extract_scalar(a, '$.x-y')", "`$.x-y` is no path of json_extract_scalar: write `$`"),
        ("json_extract(a, b)", "the path of json_extract must be a constant text"),
        ("json_extract(a, 1)", "json_extract takes a text and a path"),
        ("json_extract(a)", "json_extract takes a text and a path"),
    ] {
        let found = found(call);
        assert!(found.len() == 1 && found[0].contains(says), "{call}: {found:?}");
    }
}

#[test]
fn a_derived_table_reads_no_fields() {
    let found = derived("select user from reading_landing", "[columns]\nuser = { type = \"string\", from = \"x\" }\n");
    let found: Vec<_> = found.expect_err("a fault").iter().map(line).collect();
    assert_eq!(found, ["t.toml:3:27 `from` belongs to a landing table | this one has a query"]);
    let text = "[columns]\ns = { type = \"struct\", fields = { a = \"long\" } }\n";
    assert_eq!(
        columns(table(&derived("select named_struct('a', timestamp) as s from reading_landing", text).unwrap(), "t")),
        ["s:struct<a:long>"]
    );
}
