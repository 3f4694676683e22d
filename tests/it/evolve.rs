//! Definitions that gain columns and fields: the tables of a lake that stands follow by themselves.

use stedi_delta::outcome::{Action, Mode, SyncOutcome};
use stedi_delta::{inspect, replay};

use crate::nested::assert_duckdb_reads_the_same;
use crate::support::{Lake, assert_still, of, verify};

const BEFORE: &str = "id = \"long\"\nk = \"long\"\ns = \"struct<a:long,deep:struct<x:double>>\"\n\
     items = \"array<struct<sku:string>>\"\nm = \"map<string,struct<v:long>>\"\n\
     both = \"struct<n:long,by:map<string,array<struct<v:long>>>>\"\n";

const AFTER: &str = "id = \"long\"\nzone = \"string\"\nk = \"long\"\n\
     s = \"struct<a:long,b:string,deep:struct<x:double,y:array<long>>>\"\n\
     items = \"array<struct<color:string,sku:string>>\"\nm = \"map<string,struct<v:long,w:struct<z:long>>>\"\n\
     both = \"struct<n:long,by:map<string,array<struct<v:long,u:long>>>,t:date>\"\n";

const ADDED: &str = "new columns `s.b`, `s.deep.y`, `items[].color`, `m{}.w`, `both.by{}[].u`, `both.t`, `zone`";

/// Queries that do not see what comes.
const BLIND: [(&str, &str); 5] = [
    ("plain", "select n.id, n.k from n where n.k > 0"),
    ("fields", "select n.id, n.s.a as a, n.s.deep.x as x, n.both.n as n from n where n.s.a > 0"),
    (
        "latest",
        "with all_of as (select n.*, row_number() over (partition by n.k order by n.id desc, n.source_file, \
         n.source_offset) as r from n) select t.id, t.k, t.s.deep.x as x from all_of t where t.r = 1",
    ),
    ("joined", "select l.id, r.s.a as a from n l join n r on l.k = r.id and r.s.a is not null"),
    ("there", "select n.id from n where exists (select * from n o where o.id = n.k)"),
];

/// Queries that do.
const SEEING: [(&str, &str); 3] = [
    ("whole", "select n.id, n.s, n.items, n.m, n.both from n"),
    ("same", "select distinct n.s, n.m from n"),
    ("counted", "select n.s, count(*) as c from n group by n.s"),
];

fn landing(columns: &str) -> String {
    format!(
        "description = \"Nested\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
         [columns]\n{columns}"
    )
}

fn lake(columns: &str) -> Lake {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing(columns))]);
    for (name, sql) in BLIND.iter().chain(&SEEING) {
        lake.define(&format!("tables/curated/{name}.toml"), "description = \"x\"\n");
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake
}

fn record(id: i64) -> String {
    format!(
        "{{\"id\":{id},\"k\":{k},\"s\":{{\"a\":{id},\"deep\":{{\"x\":0.5}}}},\"items\":[{{\"sku\":\"i{id}\"}},null],\
         \"m\":{{\"p\":{{\"v\":{id}}},\"q\":null}},\"both\":{{\"n\":{id},\"by\":{{\"p\":[{{\"v\":{id}}}]}}}}}}\n",
        k = id % 3
    )
}

fn rich(id: i64) -> String {
    format!(
        "{{\"id\":{id},\"zone\":\"UTC\",\"k\":1,\"s\":{{\"a\":{id},\"b\":\"new\",\"deep\":{{\"y\":[{id}]}}}},\
         \"items\":[{{\"sku\":\"i\",\"color\":\"red\"}}],\"m\":{{\"p\":{{\"v\":1,\"w\":{{\"z\":{id}}}}}}},\
         \"both\":{{\"n\":{id},\"by\":{{\"p\":[{{\"v\":1,\"u\":{id}}}]}},\"t\":\"2026-01-01\"}}}}\n"
    )
}

fn assert_no_full(outcome: &SyncOutcome) {
    for (name, _) in BLIND {
        let done = of(outcome, name);
        assert!(matches!(done.mode, Mode::Incremental | Mode::None), "{name}: {:?} {}", done.mode, done.reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_a_definition_gains_at_any_depth_are_null_in_older_rows_and_what_does_not_see_them_is_not_rebuilt()
{
    let lake = lake(BEFORE);
    lake.land("n/a.json", (1..9).map(record).collect::<String>() + "{\"id\":20}\n");
    lake.land("n/b.json", (9..12).map(record).collect::<String>());
    lake.sync().await;
    let before = lake.contents().await;
    lake.define("tables/landing/n.toml", &landing(AFTER));

    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    let of_plan = |name: &str| planned.tables.iter().find(|t| t.table.as_str() == name).unwrap();
    assert_eq!((of_plan("n").action, of_plan("n").reason.as_str()), (Action::Do(Mode::Ingest), ADDED));
    assert_eq!(of_plan("whole").action, Action::Do(Mode::Full));
    let whole = "the definition changed, replaced whole: ~ s struct<a:long,deep:struct<x:double>> -> \
                 struct<a:long,b:string,deep:struct<x:double,y:array<long>>>, ~ items ";
    assert!(of_plan("whole").reason.starts_with(whole), "{}", of_plan("whole").reason);
    for (name, _) in BLIND {
        assert!(matches!(of_plan(name).action, Action::Do(Mode::Incremental | Mode::None)), "{:?}", of_plan(name));
    }

    let outcome = lake.sync().await;
    let done = of(&outcome, "n");
    assert_eq!((done.version_after, done.reason.as_str(), done.io.files_added), (Some(1), ADDED, 0));
    assert_no_full(&outcome);
    let commit = lake.table("landing/n").await.commit_at(1).await.unwrap().unwrap();
    let facts = commit.info.unwrap().info["stediDelta"]["columns"].clone();
    assert_eq!((facts[6].as_str(), facts[2].as_str()), (Some("+ zone"), Some("+ items[].color")), "{facts}");
    assert_still(&lake.sync().await);
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
    let plain = |contents: &[(String, Vec<String>)]| contents.iter().find(|(n, _)| n == "plain").unwrap().1.clone();
    assert_eq!(plain(&before), plain(&lake.contents().await));

    // Older and newer files side by side; conditions on what only some of them have.
    lake.land("n/c.json", (30..33).map(rich).collect::<String>());
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    for (condition, rows) in [
        ("n.s.b = 'new'", 3),
        ("n.s.b is null", 12),
        ("n.s.deep.y[1] = 31", 1),
        ("n.s.deep.x = 0.5", 11),
        ("n.zone is null", 12),
        ("n.items[1]['color'] = 'red'", 3),
        ("n.m['p']['w']['z'] = 30", 1),
        ("n.m['p']['v'] = 4", 1),
        ("n.both.n = 10", 1),
        ("n.both.n = 30 and n.both.t is not null", 1),
        ("n.both.t is null", 12),
        ("n.both.by['p'][1]['u'] = 32", 1),
    ] {
        assert_eq!(lake.count(&format!("select count(*) from n where {condition}")).await, rows, "{condition}");
    }
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
    // The version from before has the columns that it had.
    assert_eq!(lake.count("select count(*) from \"n@v0\"").await, 12);
    assert_eq!(lake.rows("select n.s.a, n.m['p']['v'] from \"n@v0\" n where n.id = 4").await, ["4|4"]);

    // Data files from before are rewritten: rows go from them, and the others stay.
    lake.land("n/a.json", (2..5).map(record).collect::<String>() + &rich(40));
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    assert_eq!(lake.count("select count(*) from n").await, 10);
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
    let outcome = lake.try_sync_with(verify()).await;
    assert!(outcome.tables.iter().all(|t| t.problem.is_none()), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_in_quarantine_land_with_the_fields_that_came_meanwhile() {
    let strict = BEFORE.replace("k = \"long\"", "k = { type = \"long\", nullable = false }");
    let lake = lake(&strict);
    lake.land("n/a.json", record(1) + &rich(2).replace("\"k\":1,", ""));
    lake.sync().await;
    assert_eq!(lake.count("select count(*) from n_quarantine").await, 1);
    lake.define("tables/landing/n.toml", &landing(AFTER));
    let workspace = lake.workspace().await;
    replay::replay(&workspace, "n").await.unwrap();
    assert_eq!(
        lake.rows("select n.id, n.k, n.s.b, n.m['p']['w']['z'] from n").await,
        ["1|1|NULL|NULL", "2|NULL|new|2"]
    );
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_gain_is_refused_before_anything_is_read() {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing(BEFORE))]);
    lake.land("n/a.json", record(1));
    lake.sync().await;
    let files = lake.files();
    for (column, wanted) in
        [("s = \"struct<a:long>\"", "a field less"), ("s = \"struct<a:string,deep:struct<x:double>>\"", "another type")]
    {
        let columns: Vec<&str> =
            BEFORE.lines().map(|line| if line.starts_with("s =") { column } else { line }).collect();
        lake.define("tables/landing/n.toml", &landing(&(columns.join("\n") + "\n")));
        let outcome = lake.try_sync().await;
        let problem = outcome.problem.unwrap();
        assert!(problem.message().starts_with("the columns of n need a migration: "), "{wanted}: {problem}");
        assert!(problem.next().unwrap().starts_with("stedi-delta migrate new LABEL"), "{wanted}: {problem}");
        assert_eq!(lake.files(), files, "{wanted}");
    }
    let order =
        BEFORE.replace("s = \"struct<a:long,deep:struct<x:double>>\"", "s = \"struct<deep:struct<x:double>,a:long>\"");
    lake.define("tables/landing/n.toml", &landing(&order));
    let outcome = lake.try_sync().await;
    let problem = format!("{:?}", of(&outcome, "n").problem);
    assert!(
        problem.contains("column `s` of n is `struct<") && problem.contains("declare `s` as it is stored"),
        "{problem}"
    );
    assert_eq!(lake.files(), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_reaches_the_log_and_changes_no_row() {
    let lake = lake(BEFORE);
    lake.land("n/a.json", record(1));
    lake.sync().await;
    lake.define("tables/landing/n.toml", &landing(BEFORE).replace("\"Nested\"", "\"What came\""));
    let outcome = lake.sync().await;
    let done = of(&outcome, "n");
    assert_eq!((done.reason.as_str(), done.io.files_added), ("another description", 0));
    assert_eq!(lake.table("landing/n").await.description().as_deref(), Some("What came"));
    assert_no_full(&outcome);
    assert_still(&lake.sync().await);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_whose_line_is_taken_out_stops_the_sync_until_a_migration_drops_or_renames_it() {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing(BEFORE))]);
    lake.land("n/a.json", record(1));
    lake.sync().await;
    let without = BEFORE.replace("k = \"long\"\n", "");
    lake.define("tables/landing/n.toml", &landing(&without));
    lake.land("n/b.json", record(2));
    let files = lake.files();
    let problem = lake.try_sync().await.problem.unwrap();
    assert_eq!(problem.message(), "the columns of n need a migration: drop column k");
    assert_eq!(lake.files(), files);
    let renamed = BEFORE.replace("k = \"long\"\n", "kind = \"long\"\n");
    lake.define("tables/landing/n.toml", &landing(&renamed));
    let problem = lake.try_sync().await.problem.unwrap();
    assert_eq!(problem.message(), "the columns of n need a migration: drop column k", "it is not guessed");
    lake.define("migrations/0001_kind.sql", "alter table n rename column k to kind;\n");
    lake.sync().await;
    assert_eq!(lake.rows("select n.id, n.kind from n").await, ["1|1", "2|NULL"], "the files have the old name");
    // And so is the one that it has become.
    lake.define("tables/landing/n.toml", &landing(&without));
    let problem = lake.try_sync().await.problem.unwrap();
    assert_eq!(problem.message(), "the columns of n need a migration: drop column kind");
    lake.define("migrations/0002_drop.sql", "alter table n drop column kind;\n");
    lake.sync().await;
    assert_still(&lake.sync().await);
}
