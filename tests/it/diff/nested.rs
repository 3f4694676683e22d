//! Differences across migrations that rename fields within columns.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stedi_delta::audit::{self, DiffOptions};
use stedi_delta::outcome::DiffOutcome;

use super::brute::optimize;
use super::options;
use crate::support::Lake;

fn landing(columns: &str) -> String {
    format!(
        "description = \"N\"\nprimary_key = [\"id\"]\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n\
         on_overwrite = \"replace\"\n[columns]\nid = \"integer\"\n{columns}"
    )
}

const BEFORE: &str = "s = \"struct<a:long,gone:string,deep:struct<x:long>>\"\n\
    items = \"array<struct<sku:string,n:integer>>\"\nprices = \"map<string,struct<net:long>>\"\n";

const AFTER: &str = "[columns.t]\ntype = \"struct\"\nfrom = \"s\"\n\
    fields = { b = { type = \"long\", from = \"a\" }, gone = \"string\", deep = { type = \"struct\", fields = { y = { type = \"long\", from = \"x\" } } }, more = \"string\" }\n\
    [columns.items]\ntype = \"array<struct>\"\nfields = { code = { type = \"string\", from = \"sku\" }, n = \"long\" }\n\
    [columns.prices]\ntype = \"map<string,struct>\"\nfields = { gross = { type = \"long\", from = \"net\" } }\n";

fn row(id: i64, number: i64) -> String {
    let row = json!({
        "id": id,
        "s": {"a": number, "gone": "g", "deep": {"x": number}},
        "items": [{"sku": format!("k{number}"), "n": number}, null],
        "prices": {"it": {"net": number}, "de": null},
    });
    format!("{row}\n")
}

/// Lines as JSON; NULLs are left out.
async fn diff(lake: &Lake, columns: &[&str], from: u64, to: u64) -> (Vec<Value>, DiffOutcome) {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    let options = DiffOptions { table: "n".into(), columns, ..options(from, to) };
    let mut diff = audit::diff(&lake.workspace().await, &options).await.unwrap_or_else(|e| panic!("{e}"));
    let mut found = Vec::new();
    while let Some(batch) = diff.next().await.unwrap() {
        let mut text = Vec::new();
        let mut writer = deltalake::arrow::json::LineDelimitedWriter::new(&mut text);
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        found.extend(serde_json::Deserializer::from_slice(&text).into_iter::<Value>().map(Result::unwrap));
    }
    (found, diff.outcome)
}

/// v0 has three rows; a migration renames fields at every depth, and one item gets a wider type; the newest version has
/// another second row.
async fn migrated() -> Lake {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing(BEFORE))]);
    lake.land("n/a.json", row(1, 10) + &row(2, 20));
    lake.land("n/b.json", "{\"id\":3}\n{\"id\":4,\"items\":[],\"prices\":{},\"s\":{}}\n");
    lake.sync().await;
    lake.define(
        "migrations/0001_fields.sql",
        "alter table n rename column s.a to b;\nalter table n rename column s.deep.x to y;\n\
         alter table n rename column items[].sku to code;\nalter table n rename column prices{}.net to gross;\n\
         alter table n alter column items[].n type long;\nalter table n rename column s to t;\n",
    );
    lake.define("tables/landing/n.toml", &landing(AFTER));
    lake.sync().await;
    lake.land("n/a.json", row(1, 10) + &row(2, 21));
    lake.sync().await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_paired_by_the_journal_at_any_depth() {
    let lake = migrated().await;
    let newest = lake.table("landing/n").await.version();
    let columns = ["t", "items", "prices"];
    let (found, outcome) = diff(&lake, &columns, 0, newest - 1).await;
    assert_eq!(found, Vec::<Value>::new(), "renames alone change no row: {outcome:?}");
    for (from, to, [before, after]) in [(0, newest, [20, 21]), (newest, 0, [21, 20])] {
        let (found, outcome) = diff(&lake, &columns, from, to).await;
        assert_eq!((outcome.rows.updated, outcome.rows.inserted, outcome.rows.deleted), (1, 0, 0), "{outcome:?}");
        let side = |name: &str, number: i64| {
            json!({
                name: {"b": number, "gone": "g", "deep": {"y": number}},
                "items": [{"code": format!("k{number}"), "n": number}, null],
                "prices": {"it": {"gross": number}},
            })
        };
        let [old, new] = if from == 0 { ["s", "t"] } else { ["t", "s"] };
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0]["key"]["id"], &found[0]["op"]), (&json!(2), &json!("update")));
        assert_eq!(found[0]["before"], side(old, before));
        assert_eq!(found[0]["after"], side(new, after));
        let said = |field: &str| outcome.notes.iter().any(|note| note.starts_with(field));
        for field in ["`s.a` of v0 is `t.b`", "`s.deep.x` of v0 is `t.deep.y`", "`items[].sku` of v0 is `items[].code`"]
        {
            assert!(said(field), "{field}: {:?}", outcome.notes);
        }
        assert!(said("`prices{}.net` of v0 is `prices{}.gross`"), "{:?}", outcome.notes);
    }
    // A condition names fields as the newer version has them.
    let options = DiffOptions { table: "n".into(), condition: Some("t.b = 20".into()), ..options(0, newest) };
    let outcome = audit::diff(&lake.workspace().await, &options).await.unwrap().count().await.unwrap();
    assert_eq!((outcome.rows.deleted, outcome.rows.inserted), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_the_name_of_a_dropped_one_is_another_field() {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing("s = \"struct<a:long,keep:long>\"\n"))]);
    lake.land("n/a.json", "{\"id\":1,\"s\":{\"a\":1,\"keep\":1}}\n");
    lake.sync().await;
    lake.define("migrations/0001_drop.sql", "alter table n drop column s.a;\n");
    lake.define("tables/landing/n.toml", &landing("s = \"struct<keep:long>\"\n"));
    lake.sync().await;
    lake.define("tables/landing/n.toml", &landing("s = \"struct<keep:long,a:long>\"\n"));
    lake.land("n/b.json", "{\"id\":2,\"s\":{\"a\":2,\"keep\":2}}\n");
    lake.sync().await;
    let newest = lake.table("landing/n").await.version();
    let (_, outcome) = diff(&lake, &["s"], 0, newest).await;
    let names: Vec<_> = outcome.columns.iter().map(|of| (of.before.as_deref(), of.after.as_deref())).collect();
    assert_eq!(names, [(None, Some("s")), (Some("s"), None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_between_does_not_hide_renamed_columns() {
    let columns = "s = \"struct<a:long,text:string>\"\nname = \"string\"\n";
    let lake = Lake::project(&[("tables/landing/n.toml", &landing(columns))]);
    let mut seed = 1_u64;
    let mut text = || {
        let mut word = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("{seed:016x}")
        };
        (0..60).map(|_| word()).collect::<String>()
    };
    // Files of so many bytes that the commits in between are read.
    let rows: BTreeMap<i64, String> = (0..1200).map(|id| (id, text())).collect();
    for part in 0..2 {
        let of_part = rows.iter().filter(|(id, _)| **id % 2 == part);
        let row = |(id, text): (&i64, &String)| {
            format!("{}\n", json!({"id": id, "s": {"a": id, "text": text}, "name": text}))
        };
        lake.land(&format!("n/{part}.json"), of_part.map(row).collect::<String>());
        lake.sync().await;
    }
    lake.define(
        "migrations/0001_fields.sql",
        "alter table n rename column s.a to b;\nalter table n rename column name to title;\n",
    );
    lake.define(
        "tables/landing/n.toml",
        &landing(
            "title = { type = \"string\", from = \"name\" }\n[columns.s]\ntype = \"struct\"\n\
             fields = { b = { type = \"long\", from = \"a\" }, text = \"string\" }\n",
        ),
    );
    lake.sync().await;
    let folder = lake.warehouse().join("landing/n");
    optimize(&folder).await;
    let newest = lake.table("landing/n").await.version();
    let (found, outcome) = diff(&lake, &["s", "title"], 1, newest).await;
    assert!(outcome.files.bytes > newest * (64 << 10), "{:?}", outcome.files);
    assert_eq!(found.len(), 0, "{:?}", outcome.rows);
    let (_, outcome) = diff(&lake, &["s", "title"], 0, newest).await;
    assert_eq!((outcome.rows.inserted, outcome.rows.updated, outcome.rows.deleted), (600, 0, 0));
}
