//! Nested columns, from the landing files to tables that a second engine reads.

use std::fs;
use std::process::Command;

use deltalake::arrow::json::writer::{LineDelimited, WriterBuilder};
use stedi_delta::inspect;
use stedi_delta::migrate::{self, Moves};
use stedi_delta::outcome::Mode;

use crate::support::second::{DELTA, second_engine};
use crate::support::{Lake, assert_ok, of};

const LANDING: &str = "description = \"Nested\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n\
     on_overwrite = \"replace\"\n[columns]\nid = \"long\"\nk = \"long\"\ntags = \"array<string>\"\n\
     s = \"struct<a:bigint, b:string, deep:struct<x:double,l:array<struct<v:int>>>>\"\nm = \"map<string,double>\"\nx = \"double\"\n";

/// Derived tables, and whether they are maintained incrementally.
const TABLES: [(&str, bool, &str); 17] = [
    ("filtered", true, "select n.id, n.tags, n.s, n.m, n.x from n where n.k > 0"),
    ("by_part", true, "select n.id, n.tags, n.m from n where n.s.a > 0 or n.tags[1] = 'x' or n.m['a'] is not null"),
    ("joined", true, "select l.id, l.tags, r.m, r.s from n l join n r on l.k = r.k"),
    ("joined_by_array", true, "select l.id, r.id as other, l.tags, r.m from n l join n r on l.tags = r.tags"),
    ("joined_by_struct", true, "select l.id, r.id as other, l.s from n l join n r on l.s = r.s"),
    ("both", true, "select n.tags, n.m from n union all select n.tags, n.m from n where n.k = 1"),
    ("different", true, "select distinct n.tags, n.s from n"),
    ("different_maps", true, "select distinct n.m from n"),
    ("by_tags", true, "select n.tags, count(*) as c, sum(n.k) as t from n group by n.tags"),
    ("by_struct", true, "select n.s, n.m, count(*) as c from n group by n.s, n.m"),
    (
        "latest",
        true,
        "select t.k, t.tags, t.s, t.m from (select n.*, row_number() over (partition by n.k order by n.id desc nulls \
         last, n.source_file, n.source_offset) as r from n) t where t.r = 1",
    ),
    (
        "latest_by_tags",
        true,
        "select t.tags, t.m from (select n.*, row_number() over (partition by n.tags order by n.id desc nulls last, \
         n.source_file, n.source_offset) as r from n) t where t.r = 1",
    ),
    ("some", true, "select n.id, n.m from n where exists (select 1 from n o where o.k = n.k and o.id > n.id)"),
    (
        "made",
        true,
        "select n.id, [n.id, n.k] as pair, named_struct('a', n.id, 'b', n.tags) as s, n.tags[1] as first, \
         n.s.deep.x as x, n.s['deep']['l'][1]['v'] as v, n.m['a'] as ma, array_length(n.tags) = 2 as two from n",
    ),
    ("above", true, "select f.id, f.s.a as a, d.tags from filtered f join different d on f.tags = d.tags"),
    ("unnested", false, "select n.id, unnest(n.tags) as tag from n"),
    ("collected", false, "select n.k, array_agg(n.id order by n.id, n.source_offset) as ids from n group by n.k"),
];

fn lake() -> Lake {
    let lake = Lake::project(&[("tables/landing/n.toml", LANDING)]);
    for (name, incremental, sql) in TABLES {
        let refresh = if incremental { "incremental" } else { "auto" };
        let toml = format!("description = \"x\"\nrefresh = \"{refresh}\"\n");
        lake.define(&format!("tables/curated/{name}.toml"), &toml);
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake
}

/// Pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    /// A record of values that collide, or differ only in empty, missing and NULL.
    fn record(&mut self) -> String {
        let id = self.one(&["1", "2", "3", "4", "null"]);
        let k = self.one(&["0", "1", "2", "null"]);
        let tags = self.one(&["null", "[]", "[null]", "[\"x\"]", "[\"x\",\"y\"]", "[\"x\",null]", "[\"\"]"]);
        let s = self.one(&[
            "null",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":1,"b":""}"#,
            r#"{"deep":{}}"#,
            r#"{"deep":{"x":0.0}}"#,
            r#"{"deep":{"x":-0.0}}"#,
            r#"{"a":0,"deep":{"x":1.5,"l":[]}}"#,
            r#"{"a":0,"deep":{"x":1.5,"l":[null,{"v":7}]}}"#,
            r#"{"a":0,"deep":{"x":1.5,"l":[{"v":7},{}]}}"#,
        ]);
        let m = self.one(&[
            "null",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"b":2,"a":1}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":-0.0}"#,
            r#"{"a":0}"#,
        ]);
        let x = self.one(&["null", "0.0", "-0.0", "1.5"]);
        format!("{{\"id\":{id},\"k\":{k},\"tags\":{tags},\"s\":{s},\"m\":{m},\"x\":{x}}}\n")
    }

    fn records(&mut self, most: u64) -> String {
        (0..self.below(most + 1)).map(|_| self.record()).collect()
    }
}

/// Every table as DuckDB reads it, row by row as JSON, equals our rows.
pub(crate) async fn assert_duckdb_reads_the_same(lake: &Lake) {
    const SCRIPT: &str = r#"
import json
plain = lambda rows: sorted(json.dumps(json.loads(row), sort_keys=True) for row in rows)
for arguments in sys.argv[1:]:
    folder, ours = arguments.split("|")
    rows = connection.execute(f"select to_json(whole_row) from delta_scan('{folder}') whole_row").fetchall()
    theirs, ours = plain(row for row, in rows), plain(open(ours).read().splitlines())
    if theirs != ours:
        different = [pair for pair in zip(theirs, ours) if pair[0] != pair[1]]
        sys.exit(f"{folder}: {len(theirs)} rows, ours are {len(ours)}; {different[:1]}")
"#;
    let Some(python) = second_engine() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = Vec::new();
    let placed = migrate::placed(&lake.workspace().await, Moves::Recorded).await.unwrap();
    for table in &placed.project.tables {
        let batches = inspect::query(&lake.workspace().await, &format!("select * from {}", table.name)).await.unwrap();
        let ours = folder.path().join(table.name.as_str());
        let mut writer =
            WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(fs::File::create(&ours).unwrap());
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
        arguments.push(format!("{}|{}", placed.location(table).unwrap(), ours.display()));
    }
    let output = Command::new(python).arg("-c").arg(format!("{DELTA}{SCRIPT}")).args(arguments).output().unwrap();
    match output.status.code() {
        Some(0) => {}
        Some(77) => eprintln!("SKIP: {}", String::from_utf8_lossy(&output.stderr)),
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Further queries, each tried on its own.
const FURTHER: [&str; 39] = [
    "select l.id, r.id as other from n l join n r on l.m = r.m",
    "select n.m, count(*) as c from n group by n.m having count(*) > 1",
    "select t.id, t.m from (select n.*, row_number() over (partition by n.m order by n.id nulls last, n.source_file, n.source_offset) as r from n) t where t.r = 1",
    "select t.id, t.s from (select n.*, row_number() over (partition by n.s order by n.id nulls last, n.source_file, n.source_offset) as r from n) t where t.r = 1",
    "select t.id, t.tags from (select n.*, row_number() over (partition by n.k order by n.tags, n.id nulls last, n.source_file, n.source_offset) as r from n) t where t.r = 1",
    "select n.k, count(distinct n.tags) as c from n group by n.k",
    "select n.k, count(distinct n.m) as c from n group by n.k",
    "select n.k, max(n.tags) as c from n group by n.k",
    "select n.id, coalesce(n.tags, ['none']) as t, case when n.k = 1 then n.s end as s from n",
    "select n.id, n.tags from n where n.tags = ['x', 'y']",
    "select n.id, n.tags from n where n.tags in (['x'], [''])",
    "select [cast(1 as int)] as a, named_struct('x', 1) as s from n union all select [n.id], named_struct('x', n.k) from n",
    "select n.tags as a from n union all select null from n",
    "select n.tags, n.s from n union select r.tags, r.s from n r where r.k = 1",
    "select l.id, r.tags, r.s, r.m from n l left join n r on l.k = r.id",
    "select l.id, r.tags, r.s, r.m from n l full join n r on l.k = r.id and r.id > 2",
    "select n.id, n.s from n where n.s in (select r.s from n r where r.k = 1)",
    "select n.id, n.tags from n where exists (select 1 from n r where r.tags = n.tags and r.k = 1)",
    "select n.id, n.tags from n where not exists (select 1 from n r where r.tags = n.tags and r.id > n.id)",
    "select n.id, (select max(r.tags) from n r where r.k = n.k) as t from n",
    "select n.k, array_agg(n.s order by n.id, n.source_offset, n.source_file) as l, first_value(n.tags order by n.id, n.source_file, n.source_offset) as f from n group by n.k",
    "select n.id, map_keys(n.m) as mk, map_values(n.m) as mv from n",
    "select n.id, n.tags[1:1] as h from n",
    "select n.id, array_has(n.tags, 'x') as x, n.tags is null as y from n",
    "select distinct on (n.k) n.k, n.tags from n order by n.k, n.id, n.source_file, n.source_offset",
    "select n.id, unnest(map_entries(n.m)) as e from n",
    "select l.id from n l where l.tags > (select max(r.tags) from n r where r.k = 0)",
    "select n.k, array_agg(distinct n.id order by n.id) as ids from n group by n.k",
    "select n.id, array_concat(n.tags, ['z']) as t, cast(cardinality(n.m) as bigint) as c from n",
    "select n.id, struct(n.id, n.m) as s, n.s.deep.l[1]['v'] as v, n.x from n",
    "select n.id, cast(array_length(n.tags) as bigint) as l, array_sort(n.tags) as a, array_distinct(n.tags) as d, array_to_string(n.tags, ',') as j from n",
    "select n.id, cast(n.tags as varchar) as t from n",
    "select t.id, t.s from (select n.*, row_number() over (partition by n.k order by n.s.deep.l, n.id nulls last, n.source_file, n.source_offset) as r from n) t where t.r = 1",
    "select n.k, array_agg(n.id order by n.m, n.id, n.source_file, n.source_offset) as l from n group by n.k",
    "select n.id, n.x from n where n.x < 1",
    "select distinct n.x from n",
    "select n.x, count(*) as c from n group by n.x",
    "select l.x, r.id from n l join n r on l.x = r.x",
    "select n.id, named_struct('x', n.x) as s, [n.x] as l from n",
];

#[tokio::test(flavor = "multi_thread")]
async fn further_queries_over_nested_values_follow_their_sources() {
    for sql in FURTHER {
        let lake = Lake::project(&[
            ("tables/landing/n.toml", LANDING),
            ("tables/curated/t.toml", "description = \"x\"\n"),
            ("tables/curated/t.sql", sql),
        ]);
        let mut dice = Dice(7);
        for sync in 0..4 {
            lake.land(&format!("n/{}.json", sync % 3), dice.records(8) + &dice.record());
            lake.sync().await;
            let (stored, computed) = (lake.rows("select * from t").await, lake.rows(sql).await);
            let different = stored.iter().zip(&computed).find(|(a, b)| a != b);
            assert!(stored == computed, "{sql}: {} and {} rows, {different:?}", stored.len(), computed.len());
        }
    }
}

async fn history(seed: u64, syncs: usize) -> Lake {
    let lake = lake();
    let mut dice = Dice(seed);
    lake.land("n/0.json", (0..12).map(|_| dice.record()).collect::<String>());
    for sync in 0..syncs {
        for _ in 0..=dice.below(2) {
            let file = dice.below(4);
            let records = dice.records(6);
            lake.land(&format!("n/{file}.json"), records);
        }
        let outcome = lake.try_sync().await;
        assert_ok(&outcome);
        for (name, incremental, _) in TABLES {
            let full = sync > 0 && of(&outcome, name).mode == Mode::Full;
            assert!(!(incremental && full), "seed {seed}: {name} was computed in full");
        }
        lake.assert_recomputed().await;
        // Another writer compacts a table.
        let all = TABLES.len() as u64;
        let table = match dice.below(2 * all) {
            at if at < all => format!("curated/{}", TABLES[usize::try_from(at).unwrap()].0),
            _ => "landing/n".to_owned(),
        };
        let url = url::Url::from_directory_path(lake.warehouse().join(table)).unwrap();
        deltalake::DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap().optimize().await.unwrap();
    }
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_over_nested_values_follow_their_sources() {
    for seed in 0..3 {
        let lake = history(seed, 5).await;
        assert_duckdb_reads_the_same(&lake).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_empty_missing_or_null_stays_so_and_maps_have_one_order() {
    let lake = lake();
    lake.land(
        "n/a.json",
        r#"{"id":1,"tags":[],"s":{},"m":{}}
           {"id":2,"tags":null,"s":null,"m":null}
           {"id":3,"tags":[null],"s":{"deep":{}},"m":{"a":null}}
           {"id":4,"tags":["b","a","b"],"s":{"deep":{"x":-0.0}},"m":{"b":1,"a":2}}
           {"id":5,"TAGS":["b","a","b"],"S":{"DEEP":{"X":-0.0}},"M":{"a":2,"b":1}}"#,
    );
    lake.sync().await;
    let rows = lake
        .rows("select id, tags, tags is null as t, s is null as s, s.deep is null as d, s.deep.x as x, m from n")
        .await;
    assert_eq!(
        rows,
        [
            "1|[]|false|false|true|NULL|{}",
            "2|NULL|true|true|true|NULL|NULL",
            "3|[NULL]|false|false|false|NULL|{a: NULL}",
            "4|[b, a, b]|false|false|false|-0.0|{a: 2.0, b: 1.0}",
            "5|[b, a, b]|false|false|false|-0.0|{a: 2.0, b: 1.0}",
        ]
    );
    assert_eq!(lake.rows("select count(*) as n from different_maps").await, ["4"]);
    assert_eq!(lake.rows("select c from by_tags where tags = ['b', 'a', 'b']").await, ["2"]);
    assert_duckdb_reads_the_same(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_go_to_quarantine_with_the_place_and_what_has_no_place_is_named() {
    let lake = lake();
    lake.land(
        "n/a.json",
        r#"{"id":1,"tags":["x",1]}
           {"id":2,"s":{"deep":{"l":[{"v":1},{"v":"secret"}]}}}
           {"id":3,"m":{"secret":"secret"}}
           {"id":4,"tags":"x"}
           {"id":5,"s":{"a":1,"more":{"x":1}},"other":[1,2]}"#,
    );
    let outcome = lake.sync().await;
    assert_eq!(
        lake.rows("select reason from n_quarantine").await,
        [
            "field `m{entry 1}` is a string, expected a number",
            "field `s.deep.l[2].v` is a string, expected an integer",
            "field `tags[2]` is a number, expected a string",
            "field `tags` is a string, expected an array",
        ]
    );
    assert_eq!(lake.rows("select id from n").await, ["5"]);
    let warnings: String = of(&outcome, "n").warnings.iter().map(|w| format!("{w:?}")).collect();
    assert!(warnings.contains("s.more") && warnings.contains("other"), "{warnings}");
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expectations_look_inside_and_quarantine_keeps_the_rest() {
    let lake = Lake::project(&[
        ("tables/landing/n.toml", LANDING),
        (
            "tables/curated/t.toml",
            "description = \"x\"\nrefresh = \"incremental\"\nprimary_key = [\"id\"]\n[[expectations]]\n\
             name = \"has_a\"\ncheck = \"s.a > 0 and tags[1] is not null\"\naction = \"quarantine\"\n\
             [[expectations]]\nname = \"cheap\"\ncheck = \"coalesce(m['a'], 0) < 10\"\naction = \"warn\"\n",
        ),
        ("tables/curated/t.sql", "select n.id, n.tags, n.s, n.m from n"),
    ]);
    lake.land(
        "n/a.json",
        r#"{"id":1,"tags":["x"],"s":{"a":1},"m":{"a":11}}
           {"id":2,"tags":[null],"s":{"a":1}}
           {"id":3,"tags":["x"],"s":{"a":0}}
           {"id":4,"tags":["x"]}"#,
    );
    let outcome = lake.sync().await;
    assert_eq!(lake.rows("select id from t").await, ["1"]);
    assert_eq!(lake.rows("select id from t_quarantine").await, ["2", "3", "4"]);
    let warnings = format!("{:?}", of(&outcome, "t").warnings);
    assert!(warnings.contains("expectation `cheap` of t is not met by 1 row"), "{warnings}");
    lake.land("n/a.json", r#"{"id":1,"tags":[null],"s":{"a":1},"m":{"a":11}} {"id":2,"tags":["y"],"s":{"a":1}}"#);
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "t").mode, Mode::Incremental);
    assert_eq!(lake.rows("select id from t").await, ["2"]);
    assert_eq!(lake.rows("select id, m from t_quarantine").await, ["1|{a: 11.0}"]);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_rows_have_null_in_a_nested_column_that_came_later() {
    let lake = Lake::project(&[
        ("tables/landing/n.toml", LANDING),
        ("tables/curated/t.toml", "description = \"x\"\n"),
        ("tables/curated/t.sql", "select n.id, n.s from n"),
    ]);
    lake.land("n/a.json", r#"{"id":1,"s":{"a":1}} {"id":2}"#);
    lake.land("n/b.json", r#"{"id":3,"s":{"a":3}}"#);
    lake.sync().await;
    let later =
        "a2 = \"array<struct<q:int>>\"\nm2 = \"map<string,array<string>>\"\ns2 = \"struct<p:struct<q:date>>\"\n";
    lake.define("tables/landing/n.toml", &format!("{LANDING}{later}"));
    lake.define("tables/curated/t.sql", "select n.id, n.s, n.a2, n.m2, n.s2, n.s2.p.q as q from n");
    lake.land("n/b.json", r#"{"id":4,"a2":[{"q":1},null],"m2":{"k":["v"]},"s2":{"p":{"q":"2024-01-01"}}}"#);
    lake.sync().await;
    let expected = [
        "1|{a: 1, b: NULL, deep: NULL}|NULL|NULL|NULL|NULL",
        "2|NULL|NULL|NULL|NULL|NULL",
        "4|NULL|[{q: 1}, NULL]|{k: [v]}|{p: {q: 2024-01-01}}|2024-01-01",
    ];
    assert_eq!(lake.rows("select * from t").await, expected);
    // The file that lacks the columns is rewritten.
    lake.land("n/a.json", r#"{"id":1,"s":{"a":1}} {"id":2,"a2":[]}"#);
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "t").mode, Mode::Incremental);
    assert_eq!(lake.rows("select id, a2 from t").await, ["1|NULL", "2|[]", "4|[{q: 1}, NULL]"]);
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minus_zero_comes_and_goes_as_itself() {
    let tables = [
        ("plain", "select n.id, n.x from n where n.id > 0"),
        ("single", "select n.id, cast(n.x as real) as x from n where n.id > 0"),
        ("inside", "select n.id, n.m, [n.x] as l, struct(n.x) as s from n"),
        ("least", "select n.k, min(n.x) as x from n group by n.k"),
        ("pairs", "select l.id, r.x from n l join n r on l.k = r.k"),
    ];
    let lake = Lake::project(&[("tables/landing/n.toml", LANDING)]);
    for (name, sql) in tables {
        lake.define(&format!("tables/curated/{name}.toml"), "description = \"x\"\nrefresh = \"incremental\"\n");
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    let zero = |x: &str| format!("{{\"id\":1,\"k\":1,\"x\":{x},\"m\":{{\"a\":{x}}}}}\n");
    let histories = [
        zero("-0.0"),
        zero("0.0"),
        zero("-0.0") + &zero("0.0"),
        zero("-0.0"),
        zero("0.0") + &zero("0.0") + &zero("-0.0"),
        zero("0.0"),
        String::new(),
    ];
    for records in histories {
        lake.land("n/a.json", &records);
        lake.sync().await;
        lake.assert_recomputed().await;
        let expected = records.matches("\"x\":-0.0").count();
        for (table, x) in
            [("plain", "x"), ("single", "x"), ("inside", "l[1]"), ("inside", "s.c0"), ("inside", "m['a']")]
        {
            let minus = lake.rows(&format!("select cast({x} as varchar) as x from {table}")).await;
            assert_eq!(minus.iter().filter(|x| x.starts_with('-')).count(), expected, "{table} {x} {records}{minus:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_inside_a_column_is_another_table() {
    let lake = lake();
    lake.land("n/a.json", r#"{"id":1,"tags":["x"]}"#);
    lake.sync().await;
    lake.define("tables/landing/n.toml", &LANDING.replace("deep:struct<x:double,", "deep:struct<x:float,"));
    lake.define("tables/curated/made.sql", "select n.id from n");
    let error = lake.try_sync().await.problem.unwrap();
    let expected = "the columns of n need a migration: alter column s type \
                    struct<a:long,b:string,deep:struct<x:float,l:array<struct<v:integer>>>> using arrow_cast(s, 'Struct(";
    assert!(error.message().starts_with(expected), "{error}");
}

/// Little memory: the window over whole rows, nested ones among them, spills.
#[tokio::test(flavor = "multi_thread")]
async fn the_latest_of_many_nested_rows_fits_into_little_memory() {
    let sql = "select t.k, t.tags, t.s, t.m from (select n.*, row_number() over (partition by n.k order by n.id desc \
               nulls last, n.source_file, n.source_offset) as r from n) t where t.r = 1";
    let lake = Lake::project(&[
        ("tables/landing/n.toml", LANDING),
        ("tables/curated/t.toml", "description = \"x\"\n"),
        ("tables/curated/t.sql", sql),
    ]);
    lake.define(
        "stedi-delta.toml",
        "name = \"shop\"\nzones = [\"landing\", \"trusted\", \"curated\"]\n[defaults]\nmemory_limit = \"48 MB\"\n\
         [targets.dev]\nlanding = \"l\"\nwarehouse = \"w\"\n",
    );
    let rows = 100_000;
    let record = |i: usize| {
        let (id, k) = (i, i % 5_000);
        format!(
            "{{\"id\":{id},\"k\":{k},\"tags\":[\"tag {id}\",\"{k}\"],\"s\":{{\"a\":{id},\"b\":\"text of {id}\",\
             \"deep\":{{\"x\":0.5,\"l\":[{{\"v\":{k}}}]}}}},\"m\":{{\"a\":{k},\"b\":{id}}},\"x\":1.5}}\n"
        )
    };
    lake.land("n/0.json", (0..rows).map(record).collect::<String>());
    lake.sync().await;
    assert_eq!(lake.count("select count(*) from t").await, 5_000);
    lake.land("n/1.json", (rows..rows + 10).map(record).collect::<String>());
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "t").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}
