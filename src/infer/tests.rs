//! Laws: a draft is a definition without faults, and lands what it is drafted from.

use std::fs;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::draft::{candidate_keys, definition};
use super::sample::{Sample, Samples};
use super::{Fate, columns, learn};
use crate::definition::Format;
use crate::ingest::format::{RecordShape, of};
use crate::name::TableName;
use crate::source::SourceFile;
use crate::workspace::load_with;

const PROJECT: &str =
    "name = \"p\"\nzones = [\"landing\"]\n[targets.dev]\nlanding = \"data\"\nwarehouse = \"warehouse\"\n";

/// The definition that is drafted for a file's content, checked as a project, and what becomes of the content with it.
fn drafted(content: &[u8]) -> (String, Fate) {
    drafted_of(Samples { files: vec![Sample::of("a.json", content)], matching: 1, partly: 0 })
}

fn drafted_of(samples: Samples) -> (String, Fate) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("stedi-delta.toml"), PROJECT).expect("a project");
    let format = of(Format::Json);
    let mut observed = learn::observe(&samples, format).expect("records");
    let (fields, _) = columns::of(&mut observed, 0);
    let keys = candidate_keys(&observed, &fields);
    let name = TableName::parse("t").expect("a name");
    let text = definition(("landing", &name), "a.json", &samples, &observed, &fields, &keys);
    let file = SourceFile { path: "tables/landing/t.toml".into(), text: text.clone() };
    let project = match load_with(folder.path(), file) {
        Ok(project) => project,
        Err(error) => panic!("{:?}\n{text}", error.faults()),
    };
    let shape = RecordShape::of(project.table(&name).expect("the table"));
    let fate = learn::rehearse(&samples, format, &shape).expect("records");
    (text, fate)
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// The declared columns, as they are written.
fn columns_of(records: &[Value]) -> String {
    let (text, _) = drafted(lines(records).as_bytes());
    text.split_once("[columns]\n").expect("columns").1.to_owned()
}

#[test]
fn each_kind_of_value_has_its_type() {
    // A `Value` has its fields in the order of their names.
    let records = [
        json!({"id": 1, "price": 5, "score": 0.5, "day": "2026-11-20", "at": "2026-11-20T10:00:00Z", "ok": true,
               "createdAt": 1655293823654_i64, "name": "x", "list-price": 1.25, "tags": ["a"], "nothing": null,
               "mixed": 1, "code": "7", "zone": "007"}),
        json!({"id": 2, "price": 7.125, "score": 1, "day": "2026-11-21", "at": "2026-11-20T10:00:00.123Z", "ok": null,
               "createdAt": 1655293824000_i64, "name": "2026-11-20", "list-price": 3, "tags": [], "nothing": null,
               "mixed": "a", "code": "8", "zone": "08"}),
    ];
    let expected = "\
at = \"timestamp\"
code = \"string\"  # numbers as text: cast them
createdat = { type = \"timestamp\", format = \"epoch_ms\" }
day = \"date\"
id = \"long\"
list_price = { type = \"decimal(18,2)\", from = \"list-price\" }
mixed = \"json\"  # mixed: texts and numbers
name = \"string\"
nothing = \"json\"  # no value in the sample: anything fits, write the type once it is known
ok = \"boolean\"
price = \"decimal(19,3)\"
score = \"double\"
tags = \"array<string>\"
zone = \"string\"
";
    assert_eq!(columns_of(&records), expected);
}

#[test]
fn nested_values_and_personal_data_are_written_where_they_are() {
    let records = [
        json!({"order": 1, "customer": {"email": "ann@example.com", "Home City": "Turin"},
               "lines": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2, "note": null}], "prices": {"2026-11-20": 1, "2026-11-21": 2}}),
        json!({"order": 2, "customer": {"email": "bob@example.com"}, "lines": [], "prices": {"2026-11-22": 1.5}}),
    ];
    let expected = "\
# lines.note: no value in the sample: anything fits, write the type once it is known
lines = \"array<struct<qty:long,sku:string,note:json>>\"
order = \"long\"
prices = \"map<string,decimal(18,2)>\"

[columns.customer]
type = \"struct\"
[columns.customer.fields]
home_city = { type = \"string\", from = \"Home City\" }
email = { type = \"string\", classification = \"pii\" }  # personal data: its values look like e-mail addresses
";
    assert_eq!(columns_of(&records), expected);
}

#[test]
fn a_rare_mistake_goes_to_quarantine_and_is_announced() {
    let mut records: Vec<Value> = (0..200).map(|n| json!({"id": n, "reading": 0.5 + f64::from(n)})).collect();
    records[77]["reading"] = json!("error");
    let text = format!("{}{{\"id\": 1, \"id\": 2}}\n[1]\nnot json\n", lines(&records));
    let (toml, fate) = drafted(text.as_bytes());
    assert!(toml.contains("reading = \"double\"\n"), "{toml}");
    assert_eq!((fate.records, fate.landed, fate.quarantined), (203, 199, 4));
    let reasons: Vec<(&str, u64)> = fate.reasons.iter().map(|one| (one.reason.as_str(), one.count)).collect();
    assert!(reasons.contains(&("field `reading` is a string, expected a number", 1)), "{reasons:?}");
    assert!(reasons.contains(&("field `id` is there twice", 1)), "{reasons:?}");
}

#[test]
fn keys_are_what_no_two_records_share() {
    let with = |records: &[Value]| drafted(lines(records).as_bytes()).0;
    let ops: Vec<Value> = (0..20)
        .map(|n| json!({"op": "u", "id": n % 5, "at": format!("2026-11-20T10:{:02}:00Z", n / 5), "x": n % 2}))
        .collect();
    assert!(with(&ops).contains("#   primary_key = [\"at\", \"id\"]\n"), "{}", with(&ops));
    let plain: Vec<Value> = (0..20).map(|n| json!({"order_id": n, "total": 3 * n})).collect();
    assert!(with(&plain).contains("#   primary_key = [\"order_id\"]\n"), "{}", with(&plain));
    assert!(!with(&plain[..1]).contains("primary_key"));
}

#[test]
fn what_the_limit_cuts_off_is_no_fault() {
    let records: Vec<Value> = (0..500).map(|n| json!({"id": n, "text": "x".repeat(50)})).collect();
    for content in [lines(&records), json!(records).to_string()] {
        for limit in [200, 5_000, 20_000] {
            let mut sample = Sample::of("a.json", content.as_bytes());
            sample.cut(limit);
            let (_, fate) = drafted_of(Samples { files: vec![sample], matching: 1, partly: 1 });
            assert!(fate.landed > 0 && fate.quarantined == 0, "{fate:?}");
        }
    }
}

/// The reader of landing files takes any depth, and so does what is learned of it.
#[test]
fn a_record_of_any_depth_has_a_draft() {
    for (open, close) in [("[", "]"), ("{\"x\":", "}")] {
        let (open, close) = (open.repeat(200_000), close.repeat(200_000));
        let (text, fate) = drafted(format!("{{\"id\":1,\"deep\":{open}7{close},\"n\":2}}\n").as_bytes());
        assert!(text.contains("n = \"long\"\n"), "{text}");
        assert_eq!((fate.landed, fate.quarantined), (1, 0));
    }
}

/// Values as files have them.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("2026-11-20".to_owned()),
        Just("2026-11-20T10:00:00Z".to_owned()),
        Just("2026-11-20T10:00:00.123456Z".to_owned()),
        Just("ann@example.com".to_owned()),
        Just("12.50".to_owned()),
        Just(String::new()),
        "\\PC{0,6}",
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<u64>().prop_map(|n| json!(n)),
        (-1000..1000_i64).prop_map(|n| json!(n)),
        (1_600_000_000_000..1_700_000_000_000_i64).prop_map(|n| json!(n)),
        (-1e6..1e6_f64).prop_map(|n| json!(n)),
        (0..10_000_u32).prop_map(|n| json!(f64::from(n) / 100.0)),
    ];
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(|b| json!(b)), number, text.prop_map(|t| json!(t))];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((name(), inner), 0..3).prop_map(object),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let names = [
        "a",
        "b",
        "c",
        "a.b",
        "b.c",
        "a-b",
        "a_b",
        "@t",
        "price",
        "created_at",
        "email",
        "x y",
        "1",
        "",
        "2026-11-20",
        "source_file",
        "_rescued",
        "größe",
        "ann@x.org",
        "\"",
        "\\",
        "\u{1}",
    ];
    prop::sample::select(names.map(str::to_owned).to_vec())
}

fn object(fields: Vec<(String, Value)>) -> Value {
    Value::Object(fields.into_iter().collect::<Map<String, Value>>())
}

fn record() -> impl Strategy<Value = Value> {
    prop::collection::vec((name(), value()), 1..6).prop_map(object)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_records_hold_the_draft_is_a_definition_and_lands_them_all(
        mut records in prop::collection::vec(record(), 1..8),
        as_array in any::<bool>(),
    ) {
        // A table has a column.
        records.push(json!({"id": 1}));
        let content = if as_array { Value::Array(records.clone()).to_string() } else { lines(&records) };
        let (text, fate) = drafted(content.as_bytes());
        let all = records.len() as u64;
        prop_assert_eq!((fate.records, fate.landed, fate.quarantined), (all, all, 0), "{:?}\n{}", fate.reasons, text);
    }

    #[test]
    fn what_is_announced_adds_up_whatever_the_bytes(content in prop::collection::vec(
        prop_oneof![record().prop_map(|r| r.to_string()), "[\\{\\}\\[\\]\",:a1 \n]{0,12}"], 0..8)
    ) {
        let text = format!("{}\n{{\"id\": 1}}\n", content.join("\n"));
        let samples = || Samples { files: vec![Sample::of("a.json", text.as_bytes())], matching: 1, partly: 0 };
        let mut observed = learn::observe(&samples(), of(Format::Json)).expect("records");
        prop_assume!(!columns::of(&mut observed, 0).0.is_empty());
        let (_, fate) = drafted_of(samples());
        prop_assert_eq!(fate.records, fate.landed + fate.quarantined);
        prop_assert_eq!(fate.quarantined, fate.reasons.iter().map(|one| one.count).sum::<u64>());
    }
}
