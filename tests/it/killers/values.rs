//! Values that compare in surprising ways, stored and read again.

use stedi_delta::outcome::Mode;

use crate::support::shop::{derived, shop};
use crate::support::{Lake, of};

const THINGS: &str = "description = \"Things\"\n[source]\npath = \"things/*.json\"\nformat = \"json\"\n\
     on_overwrite = \"replace\"\n[columns]\nid = \"long\"\nv = \"double\"\ns = \"string\"\n";

fn lake(tables: &[(&str, &str)]) -> Lake {
    let lake = Lake::project(&[("tables/landing/things.toml", THINGS)]);
    for (name, sql) in tables {
        lake.define(&format!("tables/curated/{name}.toml"), &derived("incremental"));
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_negative_zero_and_nan_are_replaced_as_they_were_written() {
    const TABLES: [(&str, &str); 6] = [
        // Both zeros are deleted at once here, and in the change they are one row that is deleted twice.
        ("bare", "select t.v from things t"),
        ("plain", "select t.id, t.v, cast(t.s as double) as f from things t"),
        ("keyed", "select t.v, count(*) as n from things t group by t.v"),
        (
            "spread",
            "select cast(t.s as double) as f, count(*) as n, max(t.v) as m from things t group by cast(t.s as double)",
        ),
        ("single", "select distinct t.v from things t"),
        ("joined", "select a.id, b.s from things a join things b on a.v = b.v"),
    ];
    let lake = lake(&TABLES);
    let line = |id: i64, v: &str, s: &str| format!("{{\"id\":{id},\"v\":{v},\"s\":\"{s}\"}}\n");
    for text in [
        line(1, "-0.0", "NaN") + &line(2, "0.0", "-0.0"),
        line(1, "0.0", "NaN") + &line(2, "0.0", "0.0"),
        line(1, "-0.0", "-0.0") + &line(2, "-0.0", "NaN") + &line(3, "1.5", "NaN"),
        line(3, "1.5", "0.0"),
    ] {
        lake.land("things/a.json", text);
        let outcome = lake.sync().await;
        assert!(["plain", "keyed", "single"].iter().all(|t| of(&outcome, t).problem.is_none()));
        // The engine groups both zeros as one, so which of them is stored is undefined; everything else is defined.
        for (table, sql) in TABLES {
            let one_zero = |rows: Vec<String>| {
                let mut rows: Vec<String> = rows.into_iter().map(|row| row.replace("-0.0", "0.0")).collect();
                rows.sort();
                rows
            };
            let stored = one_zero(lake.rows(&format!("select * from {table}")).await);
            assert_eq!(stored, one_zero(lake.rows(sql).await), "{table}");
        }
    }
    assert_eq!(lake.rows("select id, v, f from plain").await, ["3|1.5|0.0"]);
}

/// Delta stores microseconds: values that differ in nanoseconds are equal once stored.
#[tokio::test(flavor = "multi_thread")]
async fn ns_timestamps_end_as_the_microseconds_that_are_stored() {
    let lake = lake(&[
        ("moments", "select cast(to_timestamp_nanos(t.id) as timestamp with time zone) as moment, t.s from things t"),
        ("counted", "select m.moment, count(*) as n from moments m group by m.moment"),
    ]);
    let line = |id: i64| format!("{{\"id\":{id},\"s\":\"x\"}}\n");
    lake.land("things/a.json", line(1_000) + &line(1_001) + &line(2_000));
    lake.sync().await;
    let stored = || lake.rows("select moment, n from counted");
    assert_eq!(stored().await, ["1970-01-01T00:00:00.000001Z|2", "1970-01-01T00:00:00.000002Z|1"]);
    lake.land("things/a.json", line(1_999) + &line(2_000));
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "counted").mode, Mode::Incremental);
    assert_eq!(stored().await, ["1970-01-01T00:00:00.000001Z|1", "1970-01-01T00:00:00.000002Z|1"]);
    lake.land("things/a.json", line(2_001));
    lake.sync().await;
    assert_eq!(stored().await, ["1970-01-01T00:00:00.000002Z|1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_values_that_look_like_sql_are_deleted_as_values() {
    let lake = lake(&[
        ("plain", "select t.s, t.id from things t"),
        ("counted", "select t.s, count(*) as n, max(t.id) as m from things t group by t.s"),
    ]);
    let values = ["a' or 'a' = 'a", "null", "-- x", "$1", "t.s", "%", "''"];
    let lines = |values: &[&str]| values.iter().map(|s| format!("{{\"id\":1,\"s\":\"{s}\"}}\n")).collect::<String>();
    lake.land("things/a.json", lines(&values));
    lake.sync().await;
    for i in 0..values.len() {
        lake.land("things/a.json", lines(&[&values[..i], &values[i + 1..]].concat()));
        let outcome = lake.sync().await;
        let done = of(&outcome, "plain");
        assert_eq!((done.mode, done.rows.deleted), (Mode::Incremental, 1), "{}", values[i]);
        lake.assert_recomputed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn null_keys_are_groups_of_their_own_on_real_tables() {
    let lake = lake(&[
        ("counted", "select t.s, t.id, count(*) as n from things t group by t.s, t.id"),
        ("joined", "select a.id, b.v from things a left join things b on a.s = b.s"),
    ]);
    for text in
        ["{\"id\":1}\n{\"s\":\"a\"}\n{}\n{}\n", "{\"id\":1}\n{}\n{\"s\":\"a\",\"id\":1}\n", "{\"s\":null,\"v\":1.0}\n"]
    {
        lake.land("things/a.json", text);
        lake.sync().await;
        lake.assert_recomputed().await;
    }
}

/// deltalake 1.1 reports a condition without columns as applied exactly, and treats NULL as true. The engine makes one
/// of these conditions, and splits it off.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_is_null_whatever_the_row_keeps_nothing() {
    let lake = shop("auto");
    let sql = "select t.id from (select o.id, cast(null as double) as x from orders o) t \
               where t.x = 2.0 and t.id is not distinct from t.id";
    let union = "select t.id, t.item from (select o.id, o.item from orders o where o.id < 5 union \
                 select o.id, cast(null as varchar) as item from orders o) t where t.id <> 2 and t.item <> t.item";
    for (name, sql) in [("never", sql), ("neither", union)] {
        lake.define(&format!("tables/curated/{name}.toml"), &derived("auto"));
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake.land_first_orders();
    lake.sync().await;
    lake.land_more_orders();
    lake.sync().await;
    for sql in ["select * from never", "select * from neither", sql, union] {
        assert_eq!(lake.rows(sql).await, [""; 0], "{sql}");
    }
}

/// Even if the statistics of files, which omit NaN, could answer the query.
#[tokio::test(flavor = "multi_thread")]
async fn nan_is_the_greatest_number_to_min_and_max() {
    const TABLES: [(&str, &str); 3] = [
        ("plain", "select t.id, cast(t.s as double) as f, cast(cast(t.s as double) as float) as g from things t"),
        ("greatest", "select max(p.f) as f, min(p.g) as g, count(*) as n from plain p"),
        ("of_each", "select p.id, max(p.f) as f, min(p.g) as g from plain p group by p.id"),
    ];
    let lake = lake(&TABLES);
    let thing = |id: i64, s: &str| format!("{{\"id\":{id},\"s\":\"{s}\"}}\n");
    lake.land("things/a.json", thing(1, "1.5") + &thing(2, "NaN") + &thing(2, "0.5"));
    lake.sync().await;
    assert_eq!(lake.rows("select * from greatest").await, ["NaN|0.5|3"]);
    lake.land("things/b.json", thing(1, "NaN") + &thing(3, "2.5"));
    lake.sync().await;
    assert_eq!(lake.rows("select * from of_each").await, ["1|NaN|1.5", "2|NaN|0.5", "3|2.5|2.5"]);
    lake.land("things/a.json", thing(1, "1.5") + &thing(2, "0.5"));
    lake.sync().await;
    lake.assert_recomputed().await;
}

/// DataFusion 55 checks that a plan and its physical form agree about nullability, and simplifies `coalesce` to a
/// `case` whose nullability it knows less precisely.
#[tokio::test(flavor = "multi_thread")]
async fn a_distinct_value_that_cannot_be_null_is_planned() {
    let lake = shop("incremental");
    lake.define("tables/curated/priced.toml", &derived("incremental"));
    lake.define(
        "tables/curated/priced.sql",
        "select t.p, t.r, t.i from (select distinct coalesce(o.price, cast(1.5 as double)) as p, o.price as r, o.id as i \
         from orders o) t where t.i in (select c.id from cheap c)",
    );
    lake.land_first_orders();
    lake.sync().await;
    lake.land_more_orders();
    assert_eq!(of(&lake.sync().await, "priced").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}
