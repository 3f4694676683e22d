//! Records as they come: fields of other names, times that are numbers, JSON as text.

use stedi_delta::outcome::{Mode, TableOutcome};
use stedi_delta::replay::replay;
use stedi_delta::sync::{Options, Reload};

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
        &format!("{EVENTS}{}", columns.replace("kind = { type = \"string\"", "kind = { type = \"json\", classification = \"none\"")),
    );
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
    assert_eq!(replay(&lake.workspace().await, "events").await.unwrap().rows.inserted, 1);
}
