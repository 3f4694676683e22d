//! `migrations/`: statements over tables whose rows are there, and what reads these tables.

use std::fs;

use deltalake::arrow::array::AsArray;
use stedi_delta::migrate::{self, Asked};
use stedi_delta::outcome::{Action, Mode, SyncOutcome};
use stedi_delta::{inspect, sync};

use crate::nested::assert_duckdb_reads_the_same;
use crate::support::faulty::{Fault, Plan, When};
use crate::support::{Lake, assert_still, of, verify};

const COLUMNS: &str = "id = \"integer\"\nname = { type = \"string\", classification = \"pii\" }\nk = \"integer\"\n\
     s = \"struct<a:integer,deep:struct<x:float>>\"\nitems = \"array<struct<sku:string>>\"\n";

/// Queries that name neither `name` nor `id`.
const BLIND: [(&str, &str); 4] = [
    ("plain", "select n.k, n.s.a as a from n where n.k > 0"),
    ("counted", "select n.k, count(*) as c from n group by n.k"),
    (
        "latest",
        "select t.k, t.a from (select n.k, n.s.a as a, row_number() over (partition by n.k order by n.source_file desc, \
         n.source_offset desc) as r from n) t where t.r = 1",
    ),
    ("joined", "select l.k, r.s.a as a from n l join n r on l.k = r.s.a"),
];

fn landing(columns: &str) -> String {
    format!(
        "description = \"N\"\nprimary_key = [\"id\"]\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n\
         on_overwrite = \"replace\"\n[columns]\n{columns}"
    )
}

fn lake() -> Lake {
    let lake = Lake::project(&[
        ("tables/landing/n.toml", &landing(COLUMNS)),
        ("tables/curated/named.toml", "description = \"x\"\n"),
        ("tables/curated/named.sql", "select n.id, n.name from n"),
    ]);
    for (name, sql) in BLIND {
        lake.define(&format!("tables/curated/{name}.toml"), "description = \"x\"\n");
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake
}

fn record(id: i64) -> String {
    format!(
        "{{\"id\":{id},\"name\":\"{id}00\",\"k\":{},\"s\":{{\"a\":{id},\"deep\":{{\"x\":0.5}}}},\"items\":[{{\"sku\":\"i\"}}]}}\n",
        id % 4
    )
}

fn assert_no_full(outcome: &SyncOutcome) {
    for (name, _) in BLIND {
        let done = of(outcome, name);
        assert!(matches!(done.mode, Mode::Incremental | Mode::None), "{name}: {:?} {}", done.mode, done.reason);
    }
}

async fn filled() -> Lake {
    let lake = lake();
    lake.land("n/a.json", (1..9).map(record).collect::<String>());
    lake.sync().await;
    lake.land("n/b.json", (9..12).map(record).collect::<String>());
    lake.sync().await;
    lake
}

/// What the journal has: number, state, statement, versions.
async fn journal(lake: &Lake) -> Vec<String> {
    let table = lake.table("system/migrations").await;
    let session = lake.workspace().await.session().unwrap();
    let frame = session.read_table(table.provider(&session, None).await.unwrap()).unwrap();
    let mut all = Vec::new();
    for batch in frame.collect().await.unwrap() {
        let number = |name: &str, row| {
            let column =
                batch.column_by_name(name).unwrap().as_primitive::<deltalake::arrow::datatypes::Int64Type>().clone();
            deltalake::arrow::array::Array::is_valid(&column, row).then(|| column.value(row))
        };
        let state = batch.column_by_name("state").unwrap().as_string::<i32>().clone();
        for row in 0..batch.num_rows() {
            let versions = (number("version_before", row), number("version_after", row));
            all.push(format!(
                "{:?} {} {:?} {versions:?}",
                number("migration", row).unwrap(),
                state.value(row),
                number("statement", row)
            ));
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn each_statement_is_one_commit_and_what_does_not_read_its_column_stays_incremental() {
    let lake = filled().await;
    let version = lake.table("landing/n").await.version();
    let before = lake.rows("select * from plain").await;
    lake.define(
        "migrations/0001_names.sql",
        "-- the CRM calls it so\nalter table n rename column name to title;\nalter table n alter column id type long;\n",
    );
    lake.define(
        "migrations/0002_fields.sql",
        "alter table n rename column s.deep to d;\nalter table n drop column items[].sku;\n",
    );
    // Something has to stay in a struct.
    let outcome = lake.try_sync().await;
    let error = outcome.problem.unwrap();
    assert!(format!("{:?}", error.faults()).contains("is all that is in `items[]`"), "{error:?}");
    lake.define(
        "migrations/0002_fields.sql",
        "alter table n rename column s.deep to d;\nalter table n rename column items[].sku to code;\n",
    );
    // The definition and a query still have the old names.
    let outcome = lake.try_sync().await;
    assert!(
        format!("{:?}", outcome.problem.unwrap().faults())
            .contains("`name` is still declared in tables/landing/n.toml")
    );
    let columns = COLUMNS
        .replace("name = {", "title = {")
        .replace("id = \"integer\"", "id = \"long\"")
        .replace("deep:", "d:")
        .replace("sku:", "code:");
    lake.define("tables/landing/n.toml", &landing(&columns));
    lake.define("tables/curated/named.sql", "select n.id, n.title from n");
    let files = lake.files();

    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    let n = planned.tables.iter().find(|t| t.table.as_str() == "n").unwrap();
    assert_eq!(n.action, Action::Do(Mode::Ingest));
    assert!(
        n.reason.starts_with("migration 0001_names: alter table n rename column name to title, migration 0001"),
        "{}",
        n.reason
    );
    let dry = migrate::apply(&lake.workspace().await, Asked { run: "dry", dry_run: true }).await.unwrap();
    assert_eq!(dry.iter().map(|m| (m.number, m.statements.len())).collect::<Vec<_>>(), [(1, 2), (2, 2)]);
    assert_eq!(lake.files(), files, "a dry run writes nothing");

    lake.land("n/c.json", record(20).replace("\"name\"", "\"title\"").replace("deep", "d").replace("sku", "code"));
    let outcome = lake.sync().await;
    let versions: Vec<_> = outcome
        .migrations
        .iter()
        .flat_map(|m| m.statements.iter().map(|s| (m.number, s.number, s.version_before, s.version_after)))
        .collect();
    let v = |n: u64| Some(version + n);
    assert_eq!(versions, [(1, 1, v(0), v(1)), (1, 2, v(1), v(2)), (2, 1, v(2), v(3)), (2, 2, v(3), v(4))]);
    assert_no_full(&outcome);
    assert_eq!(of(&outcome, "named").mode, Mode::Full);
    assert_eq!(
        lake.rows("select n.id, n.title, n.s.d.x, n.items[1]['code'] from n where n.id in (3, 20)").await,
        ["20|2000|0.5|i", "3|300|0.5|i"]
    );
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
    assert_still(&lake.sync().await);
    assert_eq!(before.len() + usize::from(20 % 4 > 0), lake.rows("select * from plain").await.len());
    // Older versions have the columns that they had.
    let old = format!("select n.id, n.name, n.s.deep.x from \"n@v{version}\" n where n.id = 3");
    assert_eq!(lake.rows(&old).await, ["3|300|0.5"]);
    // What the log tells of columns follows their names.
    let layout = format!("{:?}", lake.table("landing/n").await.layout());
    assert!(layout.contains("title") && !layout.contains("\"name\"") && layout.contains("s.d.x"), "{layout}");
    let recorded = journal(&lake).await;
    assert_eq!(recorded.len(), 6, "{recorded:?}");
    assert!(
        recorded.contains(&format!("1 applied Some(2) (Some({}), Some({}))", version + 1, version + 2)),
        "{recorded:?}"
    );

    // Data files from before the migrations are gone; rows go from those that came since.
    lake.land("n/a.json", (1..4).map(record).collect::<String>().replace("\"name\"", "\"title\""));
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    lake.assert_recomputed().await;
    let outcome = lake.try_sync_with(verify()).await;
    assert!(outcome.tables.iter().all(|t| t.problem.is_none()), "{outcome:?}");

    // What was carried out cannot be edited; only the ends of lines may differ.
    let text = fs::read_to_string(lake.root().join("migrations/0001_names.sql")).unwrap();
    lake.define("migrations/0001_names.sql", &text.replace('\n', "\r\n"));
    assert_still(&lake.sync().await);
    lake.define("migrations/0001_names.sql", &text.replace("CRM", "ERP"));
    let error = lake.try_sync().await.problem.unwrap();
    assert_eq!(error.message(), "migration 0001_names was edited after it was applied in this lake");
    fs::remove_file(lake.root().join("migrations/0002_fields.sql")).unwrap();
    lake.define("migrations/0001_names.sql", &text);
    let error = lake.try_sync().await.problem.unwrap();
    assert_eq!(error.message(), "migration 0002_fields is in this lake, and not in this project");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_warehouse_has_them_included_and_one_without_a_journal_has_none() {
    let lake = lake();
    lake.define("migrations/0001_names.sql", "alter table n rename column old to name;");
    lake.land("n/a.json", record(1));
    let outcome = lake.sync().await;
    assert!(outcome.migrations.is_empty());
    assert_eq!(journal(&lake).await, ["1 included None (None, None)"]);
    assert_still(&lake.sync().await);
    let status = migrate::status(&lake.workspace().await).await.unwrap();
    assert_eq!(format!("{:?}", status[0].state), "Included");

    // A lake from before there was one.
    let lake = filled().await;
    lake.define("migrations/0001_names.sql", "alter table n rename column name to title;");
    let columns = COLUMNS.replace("name = {", "title = {");
    lake.define("tables/landing/n.toml", &landing(&columns));
    lake.define("tables/curated/named.sql", "select n.id, n.title from n");
    let status = migrate::status(&lake.workspace().await).await.unwrap();
    assert_eq!((format!("{:?}", status[0].state), status[0].statements.len()), ("Pending".into(), 1));
    let options = sync::Options { no_migrate: true, ..sync::Options::default() };
    let files = lake.files();
    let error = lake.try_sync_with(options).await.problem.unwrap();
    assert_eq!(error.message(), "1 migration is pending: 0001_names");
    assert_eq!(lake.files(), files);
    assert_eq!(lake.sync().await.migrations.len(), 1);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn not_null_and_values_are_checked_against_all_rows_before_anything_is_changed() {
    let lake = filled().await;
    lake.land("n/c.json", "{\"id\":30,\"k\":1}\n{\"id\":31,\"name\":\"x\"}\n{\"id\":32,\"k\":null,\"name\":\"5\"}\n");
    lake.sync().await;
    let files = lake.files();
    lake.define(
        "migrations/0001_strict.sql",
        "alter table n drop column items;\nalter table n alter column k set not null;\n",
    );
    let strict = COLUMNS.replace("k = \"integer\"", "k = { type = \"integer\", nullable = false }");
    let strict = strict.lines().filter(|line| !line.starts_with("items")).collect::<Vec<_>>().join("\n") + "\n";
    lake.define("tables/landing/n.toml", &landing(&strict));
    let error = lake.try_sync().await.problem.unwrap();
    assert_eq!(error.message(), "2 rows of n have NULL in `k`");
    let facts = format!("{:?}", error.facts());
    assert!(
        facts.contains("n/c.json at byte 16") && facts.contains("alter table n alter column k set not null"),
        "{facts}"
    );
    assert!(facts.contains("key") && facts.contains('…') && !facts.contains("\"31\""), "the key is hashed: {facts}");
    assert_eq!(lake.files(), files, "nothing was changed");

    lake.define(
        "migrations/0001_strict.sql",
        "alter table n drop column items;\nalter table n alter column k type long using coalesce(k, -1);\n\
         alter table n alter column k set not null;\n",
    );
    lake.define("tables/landing/n.toml", &landing(&strict.replace("type = \"integer\", n", "type = \"long\", n")));
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 3);
    assert_eq!(lake.count("select count(*) from n where k = -1").await, 2);
    assert!(!lake.table("landing/n").await.schema().field_with_name("k").unwrap().is_nullable());
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;

    // A value that an expression cannot be computed of.
    let files = lake.files();
    lake.define("migrations/0002_number.sql", "alter table n alter column name type long using cast(name as bigint);");
    let strict = strict.replace("type = \"integer\", n", "type = \"long\", n");
    lake.define("tables/landing/n.toml", &landing(&strict.replace("type = \"string\", c", "type = \"long\", c")));
    let error = lake.try_sync().await.problem.unwrap();
    assert_eq!(error.message(), "1 row of n has no value by `using` for `name`");
    let facts = format!("{:?}", error.facts());
    assert!(
        facts.contains("alter table n alter column name type long using ...") && facts.contains("n/c.json at byte 16"),
        "{facts}"
    );
    assert!(!error.causes().join(" ").contains("'x'"), "{:?}", error.causes());
    assert_eq!(lake.files(), files, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_gets_other_values_in_the_type_that_it_has_and_who_reads_it_follows() {
    let lake = filled().await;
    let before = lake.rows("select * from plain").await;
    lake.define(
        "migrations/0001_names.sql",
        "alter table n alter column name type string using concat('n', name);\n\
         alter table n alter column id type integer using cast(id + 100 as int);\n",
    );
    lake.land("n/c.json", record(20));
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 2);
    assert_no_full(&outcome);
    let named = of(&outcome, "named");
    assert_eq!(named.mode, Mode::Full, "{}", named.reason);
    assert_eq!(lake.rows("select n.id, n.name from n where n.id in (20, 103)").await, ["103|n300", "20|2000"]);
    assert_eq!(before.len(), lake.rows("select * from plain").await.len());
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
    assert_still(&lake.sync().await);
    // And again, by the same expression.
    lake.define("migrations/0002_ids.sql", "alter table n alter column id type integer using cast(id + 100 as int);\n");
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "named").mode, Mode::Full);
    assert_no_full(&outcome);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_takes_the_name_of_another_is_not_taken_for_it() {
    let lake = lake();
    lake.land("n/a.json", "{\"id\":1,\"k\":10}\n{\"id\":2,\"k\":20}\n");
    lake.sync().await;
    lake.define(
        "migrations/0001_swap.sql",
        "alter table n rename column id to tmp;\nalter table n rename column k to id;\nalter table n rename column tmp to k;\n",
    );
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 3);
    let plain = of(&outcome, "plain");
    assert_eq!((plain.mode, plain.reason.as_str()), (Mode::Full, "a migration changed column `k` (n)"));
    assert_eq!(lake.rows("select k from plain").await, ["1", "2"]);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_migration_names_wrongly_is_told_with_its_place() {
    let lake = filled().await;
    for (sql, expected) in [
        ("alter table m drop column k;", "table `m` is not in this project"),
        ("alter table plain drop column k;", "plain is a derived table: it has the columns of its query"),
        ("alter table n drop column q;", "`q` is not in this table"),
        ("alter table n drop column k;", "`k` is still declared in tables/landing/n.toml"),
    ] {
        lake.define("migrations/0001_x.sql", sql);
        let error = lake.try_sync().await.problem.unwrap();
        let faults = error.faults();
        assert!(faults.len() == 1 && faults[0].message == expected, "{sql}: {faults:?}");
        let place = faults[0].place.as_ref().unwrap();
        assert_eq!(place.file.path.to_str(), Some("migrations/0001_x.sql"));
    }
    // What the statements lead to is not what the definition says.
    lake.define("migrations/0001_x.sql", "alter table n alter column k type long;");
    let error = lake.try_sync().await.problem.unwrap();
    assert!(error.message().starts_with("column `k` of n is `integer` in its definition"), "{error}");
}

/// A small lake, a migration of every kind of statement, and files that land after it.
async fn about_to_migrate() -> Lake {
    let lake = Lake::project(&[
        ("tables/landing/n.toml", &landing(COLUMNS)),
        ("tables/curated/plain.toml", "description = \"x\"\n"),
        ("tables/curated/plain.sql", BLIND[0].1),
    ]);
    lake.land("n/a.json", (1..4).map(record).collect::<String>());
    lake.sync().await;
    lake.define(
        "migrations/0001_all.sql",
        "alter table n rename column name to title;\nalter table n drop column items;\n\
         alter table n alter column id type long;\nalter table n alter column title set not null;\n",
    );
    let columns = "id = \"long\"\ntitle = { type = \"string\", classification = \"pii\", nullable = false }\n\
                   k = \"integer\"\ns = \"struct<a:integer,deep:struct<x:float>>\"\n";
    lake.define("tables/landing/n.toml", &landing(columns));
    lake.land("n/b.json", record(9).replace("\"name\"", "\"title\""));
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_dies_at_any_operation_of_a_migration_is_completed_by_the_next() {
    let plan = Plan::counting();
    let lake = about_to_migrate().await.through(plan.storage());
    lake.sync().await;
    let (expected, writes) = (lake.contents().await, plan.writes());
    let mut at = 1;
    loop {
        let mut any = false;
        for when in [When::Before, When::After] {
            if when == When::After && !writes.contains(&at) {
                continue;
            }
            let plan = Plan::new(at, Fault::Dead, when);
            let lake = about_to_migrate().await.through(plan.storage());
            let _ = lake.try_sync().await;
            if !plan.reached() {
                continue;
            }
            any = true;
            let lake = lake.through(Default::default());
            lake.sync().await;
            assert_eq!(lake.contents().await, expected, "{when:?} operation {at}");
            let state = migrate::status(&lake.workspace().await).await.unwrap().remove(0).state;
            assert_eq!(format!("{state:?}"), "Applied", "{when:?} operation {at}");
            let files = lake.files();
            assert_still(&lake.sync().await);
            assert_eq!(lake.files(), files, "a third sync after {when:?} operation {at} wrote something");
        }
        if !any {
            break;
        }
        at += 1;
    }
    assert!(at > 50, "{at} operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_carries_each_statement_out() {
    let lake = about_to_migrate().await;
    let (one, other) = (lake.workspace().await, lake.fresh_site().await);
    let (first, second) = tokio::join!(
        migrate::apply(&one, Asked { run: "first", dry_run: false }),
        migrate::apply(&other, Asked { run: "second", dry_run: false }),
    );
    let count =
        |done: &[stedi_delta::outcome::MigrationOutcome]| done.iter().map(|m| m.statements.len()).sum::<usize>();
    let done = count(&first.unwrap()) + count(&second.unwrap());
    assert_eq!((done, lake.table("landing/n").await.version()), (4, 4));
    lake.sync().await;
    lake.assert_recomputed().await;
}
