//! `infer` against real ingestion: what it announces is what a sync does.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use stedi_delta::infer::{Action, Asked, DEFAULT_SAMPLE, Inferred, infer};

use crate::support::aws::Aws;
use crate::support::{Lake, of};

fn asked(globs: &[&str]) -> Asked {
    Asked {
        globs: globs.iter().map(|glob| (*glob).to_owned()).collect(),
        table: Some("landing.t".to_owned()),
        sample: DEFAULT_SAMPLE,
        write: false,
        print: false,
    }
}

/// Infers from files under the landing folder.
async fn inferred(lake: &Lake, glob: &str, change: impl FnOnce(&mut Asked)) -> Inferred {
    let glob = format!("{}/{glob}", lake.landing().display());
    let mut asked = asked(&[&glob]);
    change(&mut asked);
    let result = infer(&lake.workspace().await, &asked).await;
    result.unwrap_or_else(|error| panic!("{error} {:?} {:?}", error.facts(), error.faults()))
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// A value, and now and then something else.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => (0..1000_i64).prop_map(|n| json!(n)),
        2 => (0..10_000_u32).prop_map(|n| json!(f64::from(n) / 100.0)),
        2 => Just(json!("2026-11-20T10:00:00Z")),
        2 => Just(json!("x")),
        1 => Just(Value::Null),
        1 => any::<u64>().prop_map(|n| json!(n)),
        1 => any::<bool>().prop_map(|b| json!(b)),
    ];
    leaf.prop_recursive(2, 8, 2, |inner| {
        let name = prop::sample::select(vec!["a", "b", "C-1", "@t"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..3).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "A", "b", "price", "created_at", "a.b", "x y", "email", "1"]);
    let record = prop::collection::vec((name, value()), 0..5);
    let text = record.prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        format!("{{{}}}", fields.join(","))
    });
    prop_oneof![
        12 => text,
        1 => Just("[1, 2]".to_owned()),
        1 => Just("{\"a\": nan}".to_owned()),
        1 => Just("oops".to_owned()),
    ]
}

#[test]
fn a_sync_lands_what_was_announced_whatever_the_records() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 25, failure_persistence: None, ..Config::default() });
    let files = prop::collection::vec(prop::collection::vec(line(), 1..12), 1..4);
    let law = |files: Vec<Vec<String>>| {
        runtime.block_on(async {
            let lake = Lake::project(&[]);
            lake.land("x/0.json", "{\"id\": 0}\n");
            for (at, file) in files.iter().enumerate() {
                lake.land(&format!("x/{}.json", at + 1), file.join("\n"));
            }
            let inferred = inferred(&lake, "x/*.json", |_| {}).await;
            assert_eq!(inferred.action, Action::Written);
            let outcome = lake.sync().await;
            let rows = &of(&outcome, "t").rows;
            assert_eq!(
                (rows.inserted, rows.quarantined),
                (inferred.fate.landed, inferred.fate.quarantined),
                "{}",
                inferred.text
            );
            // The definition is as it would be drafted again.
            let again = self::inferred(&lake, "x/*.json", |_| {}).await;
            assert_eq!(
                (again.action, again.diff.len()),
                (Action::Unchanged, 0),
                "{}\n{:?}",
                inferred.text,
                again.changes
            );
        });
        Ok(())
    };
    runner.run(&files, law).unwrap();
}

#[tokio::test]
async fn a_definition_that_no_longer_fits_is_edited_and_what_was_written_by_hand_stays() {
    let lake = Lake::project(&[(
        "tables/landing/t.toml",
        "description = \"mine\"\n[source]\npath = \"x/*.json\"\nformat = \"json\"\n[columns]\n\
         id    = { type = \"integer\", description = \"Identifies it\", classification = \"pii\" }  # mine\n\
         day   = \"date\"\n\
         who   = { type = \"string\", from = [\"person\", \"user\"] }\n\
         lines = { type = \"array<struct>\", fields = { sku = \"string\", qty = \"long\" } }\n\
         geo   = \"struct<lat:double>\"\n\
         [[expectations]]\nname = \"e\"\ncheck = \"id is not null\"\naction = \"warn\"\n",
    )]);
    let records = [
        json!({"id": 1, "day": "2026-11-20", "user": "u", "lines": [{"sku": "a", "qty": 1.5, "unit-price": 2}],
               "geo": {"lat": 1, "lon": 2}, "New Field": true}),
        json!({"id": 2, "day": "yesterday", "person": "p", "lines": [], "geo": null, "New Field": null}),
    ];
    lake.land("x/a.json", lines(&records));
    let proposed = inferred(&lake, "x/a.json", |_| {}).await;
    let expected = [
        "-day   = \"date\"",
        "+day   = \"string\"",
        "-lines = { type = \"array<struct>\", fields = { sku = \"string\", qty = \"long\" } }",
        "-geo   = \"struct<lat:double>\"",
        "+lines = { type = \"array<struct>\", fields = { sku = \"string\", qty = \"double\", unit_price = { type = \"decimal(18,2)\", \
         from = \"unit-price\" } } }",
        "+geo   = \"struct<lat:double,lon:long>\"",
        "+new_field = { type = \"boolean\", from = \"New Field\" }",
    ];
    assert_eq!((proposed.action, proposed.diff.as_slice()), (Action::Proposed, &expected.map(str::to_owned)[..]));
    assert_eq!((proposed.before.as_ref().map(|fate| fate.landed), proposed.fate.landed), (Some(0), 2));
    let file = lake.root().join("tables/landing/t.toml");
    assert!(std::fs::read_to_string(&file).unwrap().contains("day   = \"date\""), "nothing is written");
    let edited = inferred(&lake, "x/a.json", |asked| asked.write = true).await;
    assert_eq!(edited.action, Action::Edited);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("description = \"Identifies it\", classification = \"pii\" }  # mine\n")
            && text.ends_with("action = \"warn\"\n")
    );
    assert_eq!(inferred(&lake, "x/a.json", |_| {}).await.action, Action::Unchanged);
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "t").rows.inserted, 2);
}

#[tokio::test]
async fn an_edit_that_breaks_a_query_says_so_and_is_not_made() {
    let lake = Lake::project(&[
        (
            "tables/landing/t.toml",
            "description = \"t\"\n[source]\npath = \"x/*.json\"\nformat = \"json\"\n[columns]\nday = \"date\"\n",
        ),
        ("tables/trusted/u.toml", "description = \"u\"\n[columns]\nday = \"date\"\n"),
        ("tables/trusted/u.sql", "select day from t"),
    ]);
    lake.land("x/a.json", "{\"day\": \"never\"}\n");
    let mut asked = asked(&[&format!("{}/x/*.json", lake.landing().display())]);
    asked.write = true;
    let error = infer(&lake.workspace().await, &asked).await.unwrap_err();
    assert_eq!(error.message(), "with the edit that `t` needs, other tables have errors");
    assert!(
        error.facts().iter().any(|(label, fact)| label == "edit" && fact == "-day = \"date\"\n+day = \"string\""),
        "{:?}",
        error.facts()
    );
}

#[tokio::test]
async fn a_limited_sample_is_spread_over_the_files_and_said() {
    let lake = Lake::project(&[]);
    for day in 1..=20 {
        let field = if day == 20 { "new" } else { "old" };
        let records: Vec<Value> = (0..12_000).map(|n| json!({"id": n, field: "x".repeat(80)})).collect();
        lake.land(&format!("x/2026-11-{day:02}.json"), lines(&records));
    }
    let found = inferred(&lake, "x/*.json", |asked| asked.sample = 4 << 20).await;
    assert_eq!(found.files, [20, 4, 20]);
    assert!(found.bytes <= 4 << 20 && found.fate.quarantined == 0, "{:?}", found.fate);
    let names: Vec<&str> = found.columns.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["id", "old", "new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_on_s3_are_read_through_the_project_s_own_storage() {
    let Some(aws) = Aws::shared() else { return };
    let lake = Lake::project(&[]).in_cloud(aws);
    lake.land("x/day=1/a.json", "{\"id\": 1, \"detail-type\": \"a\"}\n");
    lake.land("x/day=2/b.json", "[{\"id\": 2, \"detail-type\": null}]");
    let workspace = lake.workspace().await;
    let root = workspace.landing.to_string();
    let found = infer(&workspace, &asked(&[&format!("{root}/x/**/*.json")])).await.unwrap();
    assert_eq!((found.path.as_str(), found.fate.landed, found.files), ("x/**/*.json", 2, [2, 2, 0]));
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "t").rows.inserted, 2);
    let error = infer(&workspace, &asked(&["x/**/*.json"])).await.unwrap_err();
    assert_eq!(error.next(), Some(format!("stedi-delta infer '{root}/x/**/*.json'").as_str()));
    let error = infer(&workspace, &asked(&["s3://elsewhere/x/*.json"])).await.unwrap_err();
    let next = "move the files there, or name their folder as the root: stedi-delta infer 's3://elsewhere/x/*.json' --landing s3://elsewhere/x";
    assert_eq!(error.next(), Some(next));
}

#[tokio::test]
async fn small_files_are_all_read() {
    let lake = Lake::project(&[]);
    for n in 0..100 {
        let field = if n == 37 { "rare" } else { "usual" };
        lake.land(&format!("x/{n}.json"), lines(&[json!({"id": n, field: n})]));
    }
    let found = inferred(&lake, "x/*.json", |_| {}).await;
    assert_eq!(found.files, [100, 100, 0]);
    let names: Vec<&str> = found.columns.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["id", "usual", "rare"]);
}

#[tokio::test]
async fn a_record_with_very_many_fields_takes_no_column_from_those_after_it() {
    let lake = Lake::project(&[]);
    let many = |n: usize| (0..20).map(|m| (format!("m{m}x{n}"), json!({"v": {"z": m}}))).collect::<Map<_, _>>();
    let large: Map<String, Value> =
        (0..1_000).map(|n| (format!("name{}", n % 997 + n), Value::Object(many(n)))).collect();
    lake.land("x/a.json", json!({"large": large, "css": {"x": 1}, "z": 5}).to_string() + "\n");
    let found = inferred(&lake, "x/*.json", |_| {}).await;
    let names: Vec<&str> = found.columns.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["css", "large", "z"]);
    assert_eq!(found.fate.landed, 1);
}
