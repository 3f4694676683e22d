//! A result that overflows its type is an error that says what to write, and nothing is committed; a result that fits
//! is right even if intermediate rows would overflow. Expected values are those of PostgreSQL and DuckDB.

use stedi_delta::inspect;
use stedi_delta::outcome::{Problem, SyncOutcome};

use crate::support::{Lake, of, verify};

const NUMBERS: &str = "description = \"Numbers\"\n[source]\npath = \"numbers/*.json\"\nformat = \"json\"\n\
     on_overwrite = \"replace\"\n[columns]\nid = \"long\"\nk = \"string\"\ni = \"integer\"\nl = \"long\"\n\
     m = \"decimal(38,18)\"\nn = \"decimal(10,2)\"\n";

const DERIVED: &str = "description = \"Derived\"\n";

fn lake(queries: &[(&str, &str)]) -> Lake {
    let lake = Lake::project(&[("tables/landing/numbers.toml", NUMBERS)]);
    for (name, sql) in queries {
        lake.define(&format!("tables/trusted/{name}.toml"), DERIVED);
        lake.define(&format!("tables/trusted/{name}.sql"), sql);
    }
    lake
}

fn failed(outcome: &SyncOutcome, table: &str) -> (String, String) {
    match &of(outcome, table).problem {
        Some(Problem::Failed(error)) => (error.to_string(), error.next().unwrap_or_default().to_owned()),
        other => panic!("{table}: {other:?}"),
    }
}

const LARGE: &str = "{\"id\":1,\"k\":\"a\",\"i\":50000,\"l\":9223372036854775807,\"m\":60000000000000000000,\"n\":1}\n\
     {\"id\":2,\"k\":\"a\",\"i\":3,\"l\":9223372036854775807,\"m\":60000000000000000000,\"n\":2}\n";
const SMALL: &str = "{\"id\":1,\"k\":\"a\",\"i\":5,\"l\":9,\"m\":6.5,\"n\":1}\n\
     {\"id\":2,\"k\":\"a\",\"i\":3,\"l\":-9,\"m\":6,\"n\":2}\n";

/// Each of them wraps or is truncated in the engine: the query, the message, and the replacement.
const LEAVING: &[(&str, &str, &str, &str)] = &[
    (
        "squares",
        "select id, i * i as square from numbers",
        "`i * i` has a value beyond integer, in column `square`",
        "write `cast(i as bigint) * i`",
    ),
    (
        "plus",
        "select id, l + 1 as next from numbers",
        "`l + 1` has a value beyond bigint, in column `next`",
        "write `cast(l as decimal(38, 0)) + 1`",
    ),
    (
        "minus",
        "select id, -2 - l as least from numbers",
        "`-2 - l` has a value beyond bigint, in column `least`",
        "write `cast(-2 as decimal(38, 0)) - l`",
    ),
    (
        "nested",
        "select id, (l - 1) * 2 as twice from numbers",
        "`(l - 1) * 2` has a value beyond bigint, in column `twice`",
        "write `cast((l - 1) as decimal(38, 0)) * 2`",
    ),
    (
        "within",
        "select id, coalesce(l - 1, 0) * 2 as twice from numbers",
        "`coalesce((l - 1), 0) * 2` has a value beyond bigint, in column `twice`",
        "write `cast(coalesce((l - 1), 0) as decimal(38, 0)) * 2`",
    ),
    (
        "filtered",
        "select id from numbers where l * 2 > 0",
        "`l * 2` has a value beyond bigint",
        "write `cast(l as decimal(38, 0)) * 2`",
    ),
    (
        "sums",
        "select k, sum(l) as total from numbers group by k",
        "`sum(l)` has a value beyond bigint",
        "write `sum(cast(l as decimal(38, 0)))`",
    ),
    (
        "decimals",
        "select k, sum(m) as total from numbers group by k",
        "`sum(m)` has a value beyond decimal(38, 18)",
        "write `sum(cast(m as double))`",
    ),
    (
        "added",
        "select id, m + m as twice from numbers",
        "`m + m` has a value beyond decimal(38, 18), in column `twice`",
        "write `cast(m as double) + m`",
    ),
    (
        "windows",
        "select id, sum(l) over (partition by k) as total from numbers",
        "`sum(l)` has a value beyond bigint",
        "write `sum(cast(l as decimal(38, 0)))`",
    ),
    (
        "whole",
        "select sum(m) as total, count(*) as n from numbers",
        "`sum(m)` has a value beyond decimal(38, 18)",
        "write `sum(cast(m as double))`",
    ),
];

#[tokio::test]
async fn what_leaves_its_type_stops_its_table_and_heals_with_the_data() {
    let queries: Vec<(&str, &str)> = LEAVING.iter().map(|(name, sql, ..)| (*name, *sql)).collect();
    let lake = lake(&queries);
    lake.land("numbers/a.json", LARGE);
    let outcome = lake.try_sync().await;
    for (name, sql, said, way_out) in LEAVING {
        let (error, next) = failed(&outcome, name);
        assert!(error.contains(said), "{name}: {error}");
        assert_eq!(next, *way_out, "{name}");
        assert_eq!(of(&outcome, name).version_after, None, "{name}: nothing is committed");
        let Err(asked) = inspect::query(&lake.workspace().await, sql).await else { panic!("{name} was answered") };
        assert!(asked.to_string().contains(said), "{name}: {asked}");
    }
    // The replacement works.
    for (name, sql, _, way_out) in LEAVING {
        let written = way_out.trim_start_matches("write `").trim_end_matches('`');
        let wrong = said_in(sql, written);
        assert!(inspect::query(&lake.workspace().await, &wrong).await.is_ok(), "{name}: {wrong}");
    }
    lake.land("numbers/a.json", SMALL);
    lake.sync().await;
    lake.assert_recomputed().await;
    assert_eq!(lake.rows("select id, square from squares").await, ["1|25", "2|9"]);
    assert_eq!(lake.rows("select k, total from decimals").await, ["a|12.500000000000000000"]);
    // A change that overflows the type leaves the table unchanged.
    lake.land(
        "numbers/b.json",
        "{\"id\":3,\"k\":\"a\",\"i\":50000,\"l\":9223372036854775807,\"m\":99999999999999999999}",
    );
    let outcome = lake.try_sync().await;
    for (name, _, said, _) in LEAVING {
        // 9 - 9 + the maximum fits.
        if matches!(*name, "sums" | "windows") {
            assert!(of(&outcome, name).problem.is_none(), "{name}");
            continue;
        }
        assert!(failed(&outcome, name).0.contains(said), "{name}");
    }
    assert_eq!(lake.rows("select k, total from decimals").await, ["a|12.500000000000000000"]);
    assert_eq!(lake.rows("select k, total from sums").await, ["a|9223372036854775807"]);
}

#[tokio::test]
async fn an_aggregate_is_told_as_the_query_has_it() {
    let lake = lake(&[]);
    lake.land("numbers/a.json", LARGE);
    lake.sync().await;
    for (sql, said, way_out) in [
        (
            "select max(c.l) * 2 as twice from numbers as c",
            "`max(c.l) * 2` has a value beyond bigint, in column `twice`",
            "write `cast(max(c.l) as decimal(38, 0)) * 2`",
        ),
        // The engine displays the 1 as its own literal.
        (
            "select max(c.l - 1) * 2 as twice from numbers as c",
            "`... * 2` has a value beyond bigint, in column `twice`",
            "write `cast(... as decimal(38, 0)) * 2`",
        ),
    ] {
        let Err(error) = inspect::query(&lake.workspace().await, sql).await else { panic!("{sql} was answered") };
        assert!(error.to_string().contains(said), "{sql}: {error}");
        assert_eq!(error.next(), Some(way_out), "{sql}");
    }
    let right = "select cast(max(c.l) as decimal(38, 0)) * 2 as twice from numbers as c";
    assert_eq!(lake.rows(right).await, ["18446744073709551614"]);
}

/// A query with an expression instead of the one that it casts.
fn said_in(sql: &str, written: &str) -> String {
    for (wrong, right) in [
        ("i * i", "cast(i as bigint) * i"),
        ("(l - 1) * 2", "cast((l - 1) as decimal(38, 0)) * 2"),
        ("coalesce(l - 1, 0) * 2", "cast(coalesce((l - 1), 0) as decimal(38, 0)) * 2"),
        ("l + 1", "cast(l as decimal(38, 0)) + 1"),
        ("-2 - l", "cast(-2 as decimal(38, 0)) - l"),
        ("l * 2", "cast(l as decimal(38, 0)) * 2"),
        ("sum(l)", "sum(cast(l as decimal(38, 0)))"),
        ("sum(m)", "sum(cast(m as double))"),
        ("m + m", "cast(m as double) + m"),
    ] {
        if written == right && sql.contains(wrong) {
            return sql.replace(wrong, right);
        }
    }
    panic!("`{written}` is in no query")
}

#[tokio::test]
async fn what_comes_and_goes_does_not_matter_where_the_sum_fits() {
    let sums = "select k, sum(l) as total, sum(m) as wide, count(*) as n from numbers group by k";
    let lake =
        lake(&[("sums", sums), ("running", "select id, sum(l) over (partition by k order by id) as t from numbers")]);
    let row = |id: i64, l: i64, m: &str| format!("{{\"id\":{id},\"k\":\"a\",\"l\":{l},\"m\":{m}}}\n");
    lake.land("numbers/a.json", row(1, i64::MAX - 5, "99999999999999999990"));
    lake.land("numbers/b.json", row(2, -10, "-99999999999999999990"));
    lake.sync().await;
    // Within the change the sums of the inserted and of the deleted rows overflow the type.
    lake.land("numbers/a.json", row(1, i64::MAX, "99999999999999999999"));
    lake.land("numbers/b.json", row(2, i64::MIN, "-99999999999999999999"));
    lake.land("numbers/c.json", row(3, i64::MAX, "99999999999999999998") + &row(4, i64::MIN, "-99999999999999999998"));
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "sums").rows.updated + of(&outcome, "sums").rows.inserted, 1);
    assert_eq!(lake.rows("select total, wide, n from sums").await, ["-2|0.000000000000000000|4"]);
    lake.assert_recomputed().await;
    assert!(lake.try_sync_with(verify()).await.tables.iter().all(|t| t.problem.is_none()));
}

#[tokio::test]
async fn sums_are_added_up_at_once_beside_distinct_values() {
    let lake = lake(&[("both", "select k, count(distinct i) as n, sum(l) as total from numbers group by k")]);
    let row = |id: i64, i: i64, l: i64| format!("{{\"id\":{id},\"k\":\"a\",\"i\":{i},\"l\":{l}}}\n");
    let most = i64::MAX;
    lake.land("numbers/a.json", row(1, 1, most) + &row(2, 1, most) + &row(3, 2, -most) + &row(4, 2, -most));
    lake.sync().await;
    assert_eq!(lake.rows("select n, total from both").await, ["2|0"]);
    assert!(lake.try_sync_with(verify()).await.tables.iter().all(|t| t.problem.is_none()));
}

#[tokio::test]
async fn keys_of_a_rollup_are_computed_as_elsewhere() {
    let lake = lake(&[]);
    lake.land("numbers/a.json", "{\"id\":1,\"l\":5}\n{\"id\":2,\"l\":5}\n");
    lake.sync().await;
    assert_eq!(
        lake.rows("select -l as m, count(*) as n from numbers group by rollup(-l) order by 2, 1").await,
        ["-5|2", "NULL|2"]
    );
    lake.land("numbers/b.json", "{\"id\":3,\"l\":-9223372036854775808}");
    lake.sync().await;
    let asked =
        inspect::query(&lake.workspace().await, "select -l as m from numbers").await.expect_err("it leaves its type");
    assert!(asked.to_string().contains("`- l` has a value beyond bigint"), "{asked}");
    assert_eq!(asked.next(), Some("write `- cast(l as decimal(38, 0))`"));
}

#[tokio::test]
async fn sums_of_times_do_not_wrap() {
    let spans = "description = \"Spans\"\n[source]\npath = \"spans/*.json\"\nformat = \"json\"\n\
         [columns]\nid = \"long\"\nbegins = \"timestamp\"\nends = \"timestamp\"\n";
    let lake = Lake::project(&[("tables/landing/spans.toml", spans)]);
    let row =
        |id: i64| format!("{{\"id\":{id},\"begins\":\"0001-01-01T00:00:00Z\",\"ends\":\"9999-12-31T23:59:59Z\"}}\n");
    lake.land("spans/a.json", (0..20).map(row).collect::<String>());
    lake.sync().await;
    let long = "select count(*) from spans having sum(ends - begins) > interval '1 day'";
    assert_eq!(lake.rows(long).await, ["20"]);
    assert_eq!(lake.rows(&long.replace("sum", "avg")).await, ["20"]);
    lake.land("spans/b.json", (20..40).map(row).collect::<String>());
    lake.sync().await;
    assert_eq!(lake.rows(&long.replace("sum", "avg")).await, ["40"]);
    let asked = inspect::query(&lake.workspace().await, long).await.expect_err("it leaves its type");
    assert!(asked.to_string().contains("`sum(...)` has a value beyond interval day to second"), "{asked}");
    // As a number of microseconds.
    let micros = "select sum(cast(cast(ends - begins as bigint) as decimal(38, 0))) from spans";
    assert_eq!(lake.rows(micros).await, ["12621515903960000000"]);
}

#[tokio::test]
async fn decimals_are_rounded_half_away_from_zero() {
    let lake = lake(&[(
        "rounded",
        "select k, avg(n) as mean, sum(n) / 7 as share, -sum(n) / 7 as less, sum(n) / 8 as eighth, avg(m) as wide \
         from numbers group by k",
    )]);
    let row = |id: i64, n: &str| format!("{{\"id\":{id},\"k\":\"a\",\"n\":{n},\"m\":{n}}}\n");
    lake.land("numbers/a.json", row(1, "0.01") + &row(2, "0.01") + &row(3, "0.03"));
    lake.sync().await;
    // 0.05 / 3 = 0.01666..., 0.05 / 7 = 0.00714285..., 0.05 / 8 = 0.00625
    assert_eq!(
        lake.rows("select mean, share, less, eighth, wide from rounded").await,
        ["0.016667|0.007143|-0.007143|0.006250|0.0166666666666666666667"]
    );
    lake.land("numbers/b.json", row(4, "0.02"));
    lake.sync().await;
    lake.assert_recomputed().await;
    // 0.07 / 4 = 0.0175
    assert_eq!(lake.rows("select mean, share from rounded").await, ["0.017500|0.010000"]);
    assert_eq!(lake.rows("select cast(2 as decimal(3,1)) / 3").await, ["0.66667"]);
    assert_eq!(lake.rows("select cast(-2 as decimal(3,1)) / 3").await, ["-0.66667"]);
}

#[tokio::test]
async fn times_of_every_year_stop_nothing() {
    let times = "description = \"Times\"\n[source]\npath = \"times/*.json\"\nformat = \"json\"\n\
         on_overwrite = \"replace\"\n[columns]\nid = \"long\"\nat = \"timestamp\"\nday = \"date\"\n";
    let lake = Lake::project(&[
        ("tables/landing/times.toml", times),
        ("tables/trusted/days.toml", DERIVED),
        (
            "tables/trusted/days.sql",
            "select date_trunc('month', at) as month, date_trunc('week', day) as week, to_char(at, '%Y-%m') as shown, \
             date_bin(interval '1 day', at) as bin, to_timestamp(cast(at as varchar)) as again, year(at) as y, \
             day - date '2000-01-01' as since, nullif(at, to_timestamp(0)) as known, count(*) as n \
             from times group by all",
        ),
        ("tables/trusted/local.toml", DERIVED),
        (
            "tables/trusted/local.sql",
            "select id, cast(at at time zone 'America/Denver' as timestamp) as there, \
             cast(at at time zone 'America/Denver' as date) as day_there, at at time zone 'America/Denver' as same \
             from times",
        ),
    ]);
    let row = |id: i64, at: &str| format!("{{\"id\":{id},\"at\":\"{at}\",\"day\":\"{}\"}}\n", &at[..10]);
    lake.land("times/a.json", row(1, "0001-01-01T00:00:00Z") + &row(2, "2024-07-01T18:00:00Z"));
    lake.sync().await;
    lake.land("times/b.json", row(3, "9999-12-31T23:59:59.999Z") + &row(4, "2024-07-02T05:59:59Z"));
    lake.sync().await;
    assert!(lake.try_sync_with(verify()).await.tables.iter().all(|t| t.problem.is_none()));
    assert_eq!(
        lake.rows("select id, there, day_there, same from local where id in (2, 4)").await,
        [
            "2|2024-07-01T12:00:00Z|2024-07-01|2024-07-01T18:00:00Z",
            "4|2024-07-01T23:59:59Z|2024-07-01|2024-07-02T05:59:59Z"
        ]
    );
    assert_eq!(
        lake.rows("select month, week, shown, bin, again, y, since, n from days where y in (1, 9999)").await,
        [
            "0001-01-01T00:00:00Z|0001-01-01T00:00:00Z|0001-01|0001-01-01T00:00:00Z|0001-01-01T00:00:00Z|1|-730119|1",
            "9999-12-01T00:00:00Z|9999-12-27T00:00:00Z|9999-12|9999-12-31T00:00:00Z|9999-12-31T23:59:59.999Z|9999|2921939|1",
        ]
    );
}

#[tokio::test]
async fn a_product_is_as_great_as_its_factors_together() {
    let lake = lake(&[]);
    lake.land("numbers/a.json", LARGE);
    lake.sync().await;
    let cube = "select cast(i as bigint) * i * i as cube from numbers where id = 1";
    assert_eq!(lake.rows(cube).await, ["125000000000000"]);
    let fifth = "select cast(i as bigint) * i * i * i * i as fifth from numbers";
    let asked = inspect::query(&lake.workspace().await, fifth).await.expect_err("it leaves its type");
    assert!(asked.to_string().contains("has a value beyond bigint, in column `fifth`"), "{asked}");
}
