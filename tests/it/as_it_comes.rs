//! Records as they come: fields of other names, times that are numbers, JSON as text, fields without a column.

use stedi_delta::outcome::{Mode, TableOutcome};
use stedi_delta::replay::replay;
use stedi_delta::sync::{Options, Reload};

use crate::support::faulty::{Fault, Plan, When};
use crate::support::{Lake, of, verify};

const EVENTS: &str = "description = \"Events\"\n[source]\npath = \"e/*.json\"\nformat = \"json\"\n[columns]\n";

fn lake(columns: &str, query: &str) -> Lake {
    Lake::project(&[
        ("tables/landing/events.toml", &format!("{EVENTS}{columns}")),
        ("tables/trusted/seen.toml", "description = \"Seen\"\nrefresh = \"incremental\"\n"),
        ("tables/trusted/seen.sql", query),
    ])
}

fn said(table: &TableOutcome) -> Vec<String> {
    table.warnings.iter().flat_map(|w| std::iter::once(w.message.clone()).chain(w.details.clone())).collect()
}

const NAMED: &str = r#"id = { type = "long", from = ["id", "Event Id"], nullable = false }
kind = { type = "string", from = "detail-type" }
at = { type = "timestamp", from = "@timestamp" }
city = { type = "string", from = "address.city" }
customer = { type = "struct", fields = { email = { type = "string", from = "e-mail", classification = "pii" } } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_other_names_land_are_quarantined_replayed_and_reloaded() {
    let lake = lake(NAMED, "select id, kind, city, customer.email as email from events");
    lake.land(
        "e/a.json",
        r#"{"id":1,"detail-type":"x","@timestamp":"2026-01-01T00:00:00Z","address":{"city":"Rome","zip":1}}
           {"Event Id":2,"customer":{"E-Mail":"a@x.org","name":"A"},"kind":"lost"}
           {"id":3,"Event Id":30,"address":{"city":"Bari"},"address.city":"Pisa"}
           {"Event Id":null,"detail-type":"y"}
           {"id":4,"address":"Rome"}
           {"id":5,"detail-type":"z"}"#,
    );
    let outcome = lake.sync().await;
    let events = of(&outcome, "events");
    assert_eq!((events.rows.inserted, events.rows.quarantined), (4, 2));
    assert_eq!(
        said(events)[..3],
        [
            "2 records could not land",
            "e/a.json at byte 273: field `Event Id` is null, expected a value",
            "e/a.json at byte 320: field `address` is a string, expected an object",
        ],
        "{:?}",
        said(events)
    );
    assert_eq!(
        said(events)[3..],
        [
            "values of 5 fields that events does not declare were dropped",
            "`Event Id` in 1 record",
            "`address.city` in 1 record",
            "`address.zip` in 1 record",
            "`customer.name` in 1 record",
            "`kind` in 1 record",
        ],
        "{:?}",
        said(events)
    );
    let rows = ["1|x|Rome|NULL", "2|NULL|NULL|a@x.org", "3|NULL|Pisa|NULL", "5|z|NULL|NULL"];
    assert_eq!(lake.rows("select * from seen").await, rows);
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));

    // The definition learns where they are.
    let corrected =
        NAMED.replace(", nullable = false", "").replace("city = { type = \"string\", from = \"address.city\" }\n", "");
    lake.define(
        "tables/landing/events.toml",
        &format!("{EVENTS}{corrected}city = {{ type = \"string\", from = [\"address.city\", \"address.town\"] }}\n"),
    );
    let replayed = replay(&lake.workspace().await, "events").await.unwrap();
    assert_eq!(replayed.rows.inserted, 1, "{:?}", said(&replayed));
    lake.define(
        "tables/landing/events.toml",
        &format!("{EVENTS}{corrected}city = {{ type = \"string\", from = \"address\" }}\n"),
    );
    let replayed = replay(&lake.workspace().await, "events").await.unwrap();
    assert_eq!(replayed.rows.inserted, 1, "{:?}", said(&replayed));
    lake.sync().await;
    assert_eq!(
        lake.rows("select id, kind, city from seen where id is null or id = 4").await,
        ["4|NULL|Rome", "NULL|y|NULL"]
    );

    // Another field for rows that have landed.
    let other = corrected.replace("\"detail-type\"", "\"kind\"");
    lake.define(
        "tables/landing/events.toml",
        &format!("{EVENTS}{other}city = {{ type = \"string\", from = \"address.city\" }}\n"),
    );
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    let reload = Options { reload: vec![Reload::parse("events")], ..verify() };
    let outcome = lake.try_sync_with(reload).await;
    assert_eq!(of(&outcome, "seen").mode, Mode::Incremental);
    assert_eq!(lake.rows("select id, kind, city from seen where id = 2").await, ["2|lost|NULL"]);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_are_numbers_land_to_the_microsecond() {
    let columns = "id = \"long\"\nat = { type = \"timestamp\", format = \"epoch_s\" }\n\
         d = { type = \"struct\", fields = { seen = { type = \"timestamp\", from = \"seen-at\", format = \"epoch_ms\" } } }\n";
    let lake = lake(columns, "select id, at, d.seen as seen from events where at > timestamp '2020-01-01 00:00:00'");
    lake.land(
        "e/a.json",
        r#"{"id":1,"at":1655564444.103001,"d":{"seen-at":1655564444103}}
           {"id":2,"at":1655564444103,"d":null}
           {"id":3,"at":"2022-06-18T15:00:44Z"}
           {"id":4,"at":0,"d":{"seen-at":0.25}}"#,
    );
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "events").rows.inserted, of(&outcome, "events").rows.quarantined), (2, 2));
    assert_eq!(lake.rows("select * from seen").await, ["1|2022-06-18T15:00:44.103001Z|2022-06-18T15:00:44.103Z"]);
    // The right unit, and another way to write a time.
    let corrected = columns.replace("epoch_s", "epoch_ms");
    lake.define("tables/landing/events.toml", &format!("{EVENTS}{corrected}"));
    let replayed = replay(&lake.workspace().await, "events").await.unwrap();
    assert_eq!(replayed.rows.inserted, 1, "{:?}", said(&replayed));
    lake.sync().await;
    assert_eq!(lake.rows("select id, at from seen where id = 2").await, ["2|2022-06-18T15:00:44.103Z"]);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lands_whatever_it_is_and_is_taken_apart_incrementally() {
    let columns = "id = \"long\"\npayload = { type = \"json\", from = \"detail\" }\n\
         kind = { type = \"string\", from = \"detail.type\" }\nmore = \"map<string,json>\"\n";
    let query = "select id, kind, json_extract_scalar(payload, '$.type') as same, json_extract(payload, '$.lines[1]') as \
         line, json_extract_scalar(more['a b'], '$') as ab from events where json_extract_scalar(payload, '$.gone') is null";
    let lake = lake(columns, query);
    lake.define("tables/curated/kinds.toml", "description = \"Kinds\"\nrefresh = \"incremental\"\n");
    lake.define("tables/curated/kinds.sql", "select same, count(*) as n from seen group by same");
    lake.land(
        "e/a.json",
        r#"{"id":1,"detail":{"type":"x", "lines":[1,{"b": 1.50, "c":"\u00e9"}]},"more":{"a b":"v","c":null}}
           {"id":2,"detail":"x"}
           {"id":3,"detail":[1.0, 2]}
           {"id":4,"detail":null}
           {"id":5}"#,
    );
    lake.sync().await;
    let payloads = [
        "1|{\"type\":\"x\", \"lines\":[1,{\"b\": 1.50, \"c\":\"\\u00e9\"}]}",
        "2|\"x\"",
        "3|[1.0, 2]",
        "4|NULL",
        "5|NULL",
    ];
    assert_eq!(lake.rows("select id, payload from events").await, payloads);
    let seen = [
        "1|x|x|{\"b\":1.50,\"c\":\"é\"}|v",
        "2|NULL|NULL|NULL|NULL",
        "3|NULL|NULL|NULL|NULL",
        "4|NULL|NULL|NULL|NULL",
        "5|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(lake.rows("select * from seen").await, seen);
    lake.land(
        "e/b.json",
        r#"{"id":6,"detail":{"type":"x"}} {"id":7,"detail":{"type":7,"gone":1}} {"id":8,"detail":{"type":"y"}}"#,
    );
    let outcome = lake.try_sync_with(verify()).await;
    assert_eq!(of(&outcome, "events").rows.quarantined, 1, "a field of the path is a number");
    for name in ["seen", "kinds"] {
        let table = of(&outcome, name);
        assert_eq!(table.mode, Mode::Incremental, "{}", table.reason);
        assert!(table.verified.is_some_and(|v| v.is_equal()), "{table:?}");
    }
    assert_eq!(lake.rows("select * from kinds").await, ["NULL|4", "x|2", "y|1"]);
    // Nothing of such a column is told by the log.
    let log =
        std::fs::read_to_string(lake.warehouse().join("landing/events/_delta_log/00000000000000000000.json")).unwrap();
    assert!(!log.contains("lines") && log.contains("payload"), "{log}");
    // A column that was text takes everything from now on, and its table stays as it is.
    lake.define(
        "tables/landing/events.toml",
        &format!(
            "{EVENTS}{}",
            columns.replace("kind = { type = \"string\"", "kind = { type = \"json\", classification = \"none\"")
        ),
    );
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    assert_eq!(replay(&lake.workspace().await, "events").await.unwrap().rows.inserted, 1);
}

fn with_new_fields(what: &str, columns: &str) -> String {
    EVENTS.replace("[columns]", &format!("on_new_field = \"{what}\"\n[columns]")) + columns
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_without_a_column_are_refused_ignored_and_kept() {
    let columns = "id = \"long\"\naddress = \"struct<city:string>\"\n";
    let lake = lake(columns, "select * from events");
    lake.define("tables/landing/events.toml", &with_new_fields("quarantine", columns));
    let record = |id: i64, more: &str| format!("{{\"id\":{id}{more}}}\n");
    lake.land(
        "e/a.json",
        record(1, "") + &record(2, ",\"zip\": 1") + &record(3, ",\"address\":{\"city\":\"x\",\"zip\":1}"),
    );
    let outcome = lake.sync().await;
    let events = of(&outcome, "events");
    assert_eq!((events.rows.inserted, events.rows.quarantined), (1, 2));
    assert_eq!(
        said(events),
        [
            "2 records could not land",
            "e/a.json at byte 9: field `zip` is not declared",
            "e/a.json at byte 27: field `address.zip` is not declared",
        ]
    );
    lake.define("tables/landing/events.toml", &with_new_fields("ignore", columns));
    lake.land("e/b.json", record(4, ",\"zip\":1"));
    assert_eq!(said(of(&lake.sync().await, "events")), [""; 0]);

    // The table that stands gains the column; quarantined records land with what they have.
    lake.define("tables/landing/events.toml", &with_new_fields("rescue", columns));
    let plan = stedi_delta::inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    assert!(plan.tables[0].warnings.is_empty(), "{:?}", plan.tables[0]);
    let outcome = lake.sync().await;
    assert!(of(&outcome, "events").reason.starts_with("new column"), "{}", of(&outcome, "events").reason);
    assert!(matches!(of(&outcome, "seen").mode, Mode::Incremental | Mode::None));
    assert_eq!(replay(&lake.workspace().await, "events").await.unwrap().rows.inserted, 2);
    lake.land("e/c.json", record(5, ",\"address\":{},\"to\":[1, {\"a\":null}]") + &record(6, ""));
    let outcome = lake.try_sync_with(verify()).await;
    assert_eq!(said(of(&outcome, "events")), [""; 0]);
    assert_eq!(of(&outcome, "seen").mode, Mode::Incremental);
    let kept =
        ["1|NULL", "2|{\"zip\":1}", "3|{\"address\":{\"zip\":1}}", "4|NULL", "5|{\"to\":[1, {\"a\":null}]}", "6|NULL"];
    assert_eq!(lake.rows("select id, _rescued from events").await, kept);
    assert_eq!(lake.rows("select json_extract_scalar(_rescued, '$.to[0]') as x from events where id = 5").await, ["1"]);
    assert_eq!(lake.rows("select * from events where id = 1").await, ["1|NULL|e/a.json|0"]);
    assert_eq!(lake.rows("select * from seen where id = 6").await.len(), 1);
    let reload = Options { reload: vec![Reload::parse("events:e/b.json")], ..Options::default() };
    lake.try_sync_with(reload).await;
    assert_eq!(lake.rows("select _rescued from events where id = 4").await, ["{\"zip\":1}"]);

    // In a table of its own, the column stands before the places of records.
    let fresh = lake.rows("select * from seen").await;
    lake.assert_recomputed().await;
    let other = self::lake(columns, "select id, _rescued as more from events where _rescued is not null");
    other.define("tables/landing/events.toml", &with_new_fields("rescue", columns));
    other.land("e/a.json", record(1, ",\"ann@x.org\":1") + &record(2, ""));
    other.sync().await;
    let table = other.table("landing/events").await;
    let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "address", "_rescued", "source_file", "source_offset"]);
    assert_eq!(other.rows("select * from seen").await, ["1|{\"ann@x.org\":1}"]);
    assert_eq!(fresh.len(), 6);
    // No longer wanted, it stays as it is.
    other.define("tables/landing/events.toml", &with_new_fields("ignore", columns));
    other.define("tables/trusted/seen.sql", "select * from events");
    other.land("e/b.json", record(3, ",\"zip\":1"));
    let outcome = other.sync().await;
    assert_eq!(said(of(&outcome, "events"))[..1], ["rows that land in events are NULL in 1 column"]);
    assert_eq!(other.rows("select id, _rescued from events").await, ["1|{\"ann@x.org\":1}", "2|NULL", "3|NULL"]);
    assert_eq!(other.rows("select * from events where id = 2").await, ["2|NULL|e/a.json|23"]);
}

/// A batch that the ledger has decided on lands with the columns that it was written with.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_dies_lands_what_comes_as_it_is_once() {
    let columns = "id = { type = \"long\", from = [\"id\", \"key\"] }\npayload = \"json\"\n\
         at = { type = \"timestamp\", format = \"epoch_ms\" }\n";
    let prepared = || {
        let lake = lake(columns, "select id, payload, _rescued as more, at from events");
        lake.define("tables/landing/events.toml", &with_new_fields("rescue", columns));
        lake.land("e/a.json", "{\"id\":1,\"payload\":[1],\"zip\":2,\"at\":0}\n{\"key\":2}\n{\"id\":\"x\"}\n");
        lake
    };
    let rows = ["1|[1]|{\"zip\":2}|1970-01-01T00:00:00Z", "2|NULL|NULL|NULL"];
    let counting = Plan::counting();
    prepared().through(counting.storage()).sync().await;
    for at in counting.writes() {
        let dies = Plan::new(at, Fault::Dead, When::After);
        let lake = prepared().through(dies.storage());
        let _ = lake.try_sync().await;
        let lake = lake.through(Default::default());
        lake.sync().await;
        assert_eq!(lake.rows("select * from seen").await, rows, "after operation {at}");
        assert_eq!(lake.count("select count(*) from events_quarantine").await, 1, "after operation {at}");
        // The same by a definition that does not keep such fields any more.
        let lake = prepared().through(Plan::new(at, Fault::Dead, When::After).storage());
        let _ = lake.try_sync().await;
        lake.define("tables/landing/events.toml", &with_new_fields("ignore", columns));
        lake.define("tables/trusted/seen.sql", "select id, payload, at from events");
        let lake = lake.through(Default::default());
        lake.sync().await;
        assert_eq!(lake.count("select count(*) from seen").await, 2, "after operation {at}");
    }
}
