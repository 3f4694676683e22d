//! Migrations of whole tables: renamed, dropped, computed or read again.

mod kills;
mod names;

use std::fs;

use stedi_delta::migrate::{self, Asked};
use stedi_delta::outcome::{Mode, SyncOutcome};
use stedi_delta::{inspect, replay, sync};

use crate::nested::assert_duckdb_reads_the_same;
use crate::support::{Lake, assert_no_full, assert_ok, assert_still, of};

const COLUMNS: &str = "id = \"long\"\nk = \"integer\"\n";

fn landing(columns: &str) -> String {
    format!(
        "description = \"N\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
         [columns]\n{columns}"
    )
}

const CHECKED: &str =
    "description = \"x\"\n[[expectations]]\nname = \"small\"\ncheck = \"k < 3\"\naction = \"quarantine\"\n";

/// `n` has files; `plain`, `checked` and `counted` read it, and `last` reads `plain`.
fn lake() -> Lake {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing(COLUMNS))]);
    derived(&lake, "n");
    lake.define("tables/curated/last.toml", "description = \"x\"\n");
    lake.define("tables/curated/last.sql", "select plain.id from plain where plain.k > 0");
    lake
}

/// The tables that read the landing table.
fn derived(lake: &Lake, name: &str) {
    for (table, toml, sql) in [
        ("plain", "description = \"x\"\n", format!("select {name}.id, {name}.k from {name}")),
        ("checked", CHECKED, format!("select id, k from {name} as r")),
        ("counted", "description = \"x\"\n", format!("select k, count(*) as c from {name} group by k")),
    ] {
        lake.define(&format!("tables/curated/{table}.toml"), toml);
        lake.define(&format!("tables/curated/{table}.sql"), &sql);
    }
}

fn record(id: i64) -> String {
    format!("{{\"id\":{id},\"k\":{}}}\n", id % 4)
}

fn records(ids: std::ops::Range<i64>) -> String {
    ids.map(record).collect()
}

/// Two files, of which one has a record that no row can be made of.
async fn filled() -> Lake {
    let lake = lake();
    lake.land("n/a.json", records(1..6));
    lake.sync().await;
    lake.land("n/b.json", records(6..9) + "{\"id\":\"x\"}\n");
    lake.sync().await;
    lake
}

fn rename(lake: &Lake, path: &str, to: &str) {
    fs::rename(lake.root().join(path), lake.root().join(to)).unwrap();
}

fn remove(lake: &Lake, table: &str) {
    for end in ["toml", "sql"] {
        let _ = fs::remove_file(lake.root().join(format!("tables/{table}.{end}")));
    }
}

/// The project with `n` as `u`, and the migration.
fn to_u(lake: &Lake) {
    rename(lake, "tables/landing/n.toml", "tables/landing/u.toml");
    derived(lake, "u");
    lake.define("migrations/0001_u.sql", "alter table n rename to u;\n");
}

/// Names in the local catalog.
fn entries(lake: &Lake) -> Vec<String> {
    let files = lake.files();
    let entries = files.iter().filter(|(path, _)| path.components().any(|part| part.as_os_str() == "_catalog"));
    entries.map(|(path, _)| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn folders(lake: &Lake, zone: &str) -> Vec<String> {
    let entries = fs::read_dir(lake.warehouse().join(zone)).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn faults(outcome: &SyncOutcome) -> Vec<String> {
    let problem = outcome.problem.as_ref().unwrap_or_else(|| panic!("no problem: {outcome:?}"));
    let faults = problem.faults().iter();
    faults.map(|fault| format!("{}: {}", fault.place.as_ref().unwrap().file.path.display(), fault.message)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_table_keeps_its_folder_its_files_and_its_readers() {
    let lake = filled().await;
    let before = lake.table("landing/n").await;
    let names = ["checked", "checked_quarantine", "counted", "last", "n", "n_quarantine", "plain"];
    assert_eq!(entries(&lake), names);
    to_u(&lake);
    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    assert_eq!(planned.moves(), ["migration 0001_u: alter table n rename to u"]);
    assert!(planned.catalog.left.is_empty(), "{:?}", planned.catalog.left);
    assert!(planned.tables.iter().all(|t| t.problem.is_none() && t.version.is_some()), "{planned:?}");
    let files = lake.files();
    migrate::apply(&lake.workspace().await, Asked { run: "dry", dry_run: true }).await.unwrap();
    assert_eq!(lake.files(), files, "a dry run writes nothing");
    assert_eq!(lake.count("select count(*) from u").await, 8, "it is found before it is renamed");

    let outcome = lake.sync().await;
    let [migration] = outcome.migrations.as_slice() else { panic!("{outcome:?}") };
    let moved = migration.statements[0].moved.as_ref().unwrap();
    assert_eq!((moved.to.as_deref(), moved.home.to_string().as_str()), (Some("u"), "landing/n"));
    let u = of(&outcome, "u");
    assert_eq!((u.version_before, u.version_after), (Some(before.version()), Some(before.version())));
    assert!(outcome.tables.iter().all(|t| t.mode == Mode::None), "{outcome:?}");
    assert!(outcome.left.is_empty(), "{:?}", outcome.left);
    let names = ["checked", "checked_quarantine", "counted", "last", "plain", "u", "u_quarantine"];
    assert_eq!(entries(&lake), names);
    assert_eq!(folders(&lake, "landing"), ["n", "n_quarantine"]);
    assert_still(&lake.sync().await);

    // Files that landed are known, new ones land, one that changed is replaced.
    lake.land("n/c.json", records(9..12));
    lake.land("n/a.json", records(2..4));
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    assert_eq!((of(&outcome, "u").rows.inserted, of(&outcome, "u").rows.deleted), (5, 5));
    assert_eq!(lake.count("select count(*) from u").await, 8);
    let options = sync::Options { reload: vec![sync::Reload::parse("u:n/b.json")], ..sync::Options::default() };
    let outcome = lake.try_sync_with(options).await;
    assert_ok(&outcome);
    assert_eq!(of(&outcome, "u").rows.deleted, 3);
    lake.land("n/b.json", "{\"id\":\"x\"}\n");
    lake.sync().await;
    lake.define("tables/landing/u.toml", &landing(COLUMNS).replace("id = \"long\"", "id = \"string\""));
    lake.define("migrations/0002_id.sql", "alter table u alter column id type string using cast(id as varchar);\n");
    lake.sync().await;
    let replayed = replay::replay(&lake.workspace().await, "u").await.unwrap();
    assert_eq!(replayed.rows.inserted, 1, "{replayed:?}");
    assert_eq!(lake.table("landing/n").await.uuid(), before.uuid());
    lake.sync().await;
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
    assert_eq!(lake.rows(&format!("select count(*) from \"u@v{}\"", before.version())).await, ["8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_of_the_name_takes_a_folder_of_its_own() {
    let lake = filled().await;
    to_u(&lake);
    lake.sync().await;
    let options = sync::Options { unload: vec![sync::Reload::parse("u:n/a.json")], ..sync::Options::default() };
    assert_ok(&lake.try_sync_with(options).await);
    lake.define("tables/landing/n.toml", &landing(COLUMNS));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "n").rows.inserted, of(&outcome, "u").rows.inserted), (8, 0));
    assert_eq!(folders(&lake, "landing"), ["n", "n_2", "n_2_quarantine", "n_quarantine"]);
    assert_eq!(lake.count("select count(*) from u").await, 3);
    assert_eq!(lake.count("select count(*) from n_quarantine").await, 1);
    assert_eq!(lake.count("select count(*) from u_quarantine").await, 1);
    assert_still(&lake.sync().await);
    lake.land("n/d.json", records(20..22));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "n").rows.inserted, of(&outcome, "u").rows.inserted), (2, 2));
    assert_no_full(&outcome);
    lake.assert_recomputed().await;
    // And again: the second one is renamed, a third one comes.
    rename(&lake, "tables/landing/n.toml", "tables/landing/v.toml");
    lake.define("migrations/0002_v.sql", "alter table n rename to landing.v;\n");
    lake.sync().await;
    lake.define("tables/landing/n.toml", &landing(COLUMNS));
    lake.sync().await;
    assert!(folders(&lake, "landing").contains(&"n_3".to_owned()), "{:?}", folders(&lake, "landing"));
    assert_eq!(
        lake.rows("select (select count(*) from n) as n, (select count(*) from v) as v from n limit 1").await,
        ["10|10"]
    );
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn derived_tables_are_renamed_and_change_their_zone_and_names_can_be_swapped() {
    let lake = filled().await;
    lake.define("tables/landing/m.toml", &landing("id = \"long\"\n").replace("n/*", "m/*"));
    lake.land("m/a.json", "{\"id\":100}\n");
    lake.sync().await;
    for end in ["toml", "sql"] {
        fs::create_dir_all(lake.root().join("tables/trusted")).unwrap();
        rename(&lake, &format!("tables/curated/checked.{end}"), &format!("tables/trusted/sound.{end}"));
        rename(&lake, &format!("tables/curated/plain.{end}"), &format!("tables/curated/simple.{end}"));
    }
    lake.define("tables/curated/last.sql", "select simple.id from simple where simple.k > 0");
    // The landing tables swap their names.
    let definitions =
        ["n", "m"].map(|name| fs::read_to_string(lake.root().join(format!("tables/landing/{name}.toml"))));
    let [n, m] = definitions.map(Result::unwrap);
    lake.define("tables/landing/n.toml", &m);
    lake.define("tables/landing/m.toml", &n);
    lake.define("tables/curated/simple.sql", "select m.id, m.k from m");
    lake.define("tables/trusted/sound.sql", "select id, k from m as r");
    lake.define("tables/curated/counted.sql", "select k, count(*) as c from m group by k");
    lake.define(
        "migrations/0001_names.sql",
        "alter table checked rename to trusted.sound;\nalter table plain rename to simple;\n\
         alter table n rename to tmp;\nalter table m rename to n;\nalter table tmp rename to m;\n",
    );
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 5);
    // The description of a quarantine names its table.
    let expected = |name: &str| if name == "sound_quarantine" { Mode::Metadata } else { Mode::None };
    assert!(outcome.tables.iter().all(|t| t.mode == expected(t.table.as_str())), "{outcome:?}");
    let names = ["counted", "last", "m", "m_quarantine", "n", "simple", "sound", "sound_quarantine"];
    assert_eq!(entries(&lake), names);
    assert_eq!(lake.rows("select id from n").await, ["100"]);
    assert!(folders(&lake, "curated").contains(&"checked_quarantine".to_owned()));
    lake.land("n/c.json", records(9..12));
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    assert_eq!((of(&outcome, "m").rows.inserted, of(&outcome, "n").rows.inserted), (3, 0));
    lake.assert_recomputed().await;
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_its_own_location_keeps_it_and_its_quarantine() {
    let lake = lake();
    let place = lake.landing().parent().unwrap().join("elsewhere/a1");
    let own = format!("location = \"{}\"\n", place.display());
    lake.define("tables/landing/n.toml", &(own.clone() + &landing(COLUMNS)));
    lake.land("n/a.json", records(1..3) + "{\"id\":\"x\"}\n");
    lake.sync().await;
    to_u(&lake);
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "u").mode, Mode::None);
    assert!(place.with_file_name("n_quarantine").is_dir() && !place.with_file_name("u_quarantine").exists());
    assert_eq!(lake.count("select count(*) from u_quarantine").await, 1);
    assert!(!entries(&lake).contains(&"n".to_owned()) && entries(&lake).contains(&"u_quarantine".to_owned()));
    assert!(!entries(&lake).contains(&"n_quarantine".to_owned()), "{:?}", entries(&lake));
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_is_refused_while_the_project_names_the_old_table() {
    let lake = filled().await;
    lake.define("tables/landing/u.toml", &landing(COLUMNS));
    lake.define("migrations/0001_u.sql", "alter table n rename to u;\n");
    let files = lake.files();
    let outcome = lake.try_sync().await;
    assert_eq!(
        faults(&outcome),
        [
            "tables/curated/checked.sql: n is renamed to `u` by migrations/0001_u.sql, and checked reads it",
            "tables/curated/counted.sql: n is renamed to `u` by migrations/0001_u.sql, and counted reads it",
            "tables/curated/plain.sql: n is renamed to `u` by migrations/0001_u.sql, and plain reads it",
            "tables/landing/n.toml: n is renamed to `u` by migrations/0001_u.sql, and defined here",
        ]
    );
    assert_eq!(lake.files(), files);
    for (sql, expected) in [
        ("alter table n rename to w;", "migrations/0001_u.sql: table `w` is not in this project"),
        ("alter table n rename to curated.u;", "migrations/0001_u.sql: table `u` is in zone `landing`"),
    ] {
        remove(&lake, "landing/n");
        derived(&lake, "u");
        lake.define("migrations/0001_u.sql", sql);
        assert_eq!(faults(&lake.try_sync().await), [expected], "{sql}");
    }
    assert_eq!(lake.files(), files);
    // A sync that came before the migration has made the table anew.
    fs::remove_file(lake.root().join("migrations/0001_u.sql")).unwrap();
    lake.sync().await;
    lake.define("migrations/0001_u.sql", "alter table n rename to u;\n");
    assert_eq!(faults(&lake.try_sync().await), ["migrations/0001_u.sql: table `u` is in this lake already"]);
    fs::remove_dir_all(lake.warehouse().join("landing/u")).unwrap();
    fs::remove_dir_all(lake.warehouse().join("landing/u_quarantine")).unwrap();
    lake.sync().await;
    assert_eq!(lake.count("select count(*) from u").await, 8);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_columns_follow_the_names_of_their_tables() {
    let lake = filled().await;
    rename(&lake, "tables/landing/n.toml", "tables/landing/u.toml");
    lake.define("tables/landing/u.toml", &landing("id = \"long\"\nkind = \"long\"\n"));
    for table in ["curated/checked", "curated/counted"] {
        remove(&lake, table);
    }
    lake.define("tables/curated/plain.sql", "select u.id, u.kind as k from u");
    lake.define(
        "migrations/0001_all.sql",
        "drop table checked;\nalter table n rename column k to kind;\nalter table n rename to u;\ndrop table counted;\n\
         alter table u alter column kind type long;\n",
    );
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 5);
    lake.assert_recomputed().await;
    assert_eq!(lake.count("select count(*) from u where kind is not null").await, 8);
    assert_eq!(entries(&lake), ["last", "plain", "u", "u_quarantine"]);
    assert_still(&lake.sync().await);
    // A new warehouse is made with their result.
    fs::remove_dir_all(lake.warehouse()).unwrap();
    let outcome = lake.sync().await;
    assert!(outcome.migrations.is_empty());
    assert_eq!(folders(&lake, "landing"), ["u", "u_quarantine"]);
    let status = migrate::status(&lake.workspace().await).await.unwrap();
    assert_eq!(format!("{:?}", status[0].state), "Included");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_leaves_the_catalog_and_its_files_stay() {
    let lake = filled().await;
    lake.define("migrations/0001_drop.sql", "drop table plain;\n");
    let files = lake.files();
    assert_eq!(
        faults(&lake.try_sync().await),
        [
            "tables/curated/last.sql: plain is dropped by migrations/0001_drop.sql, and last reads it",
            "tables/curated/plain.toml: plain is dropped by migrations/0001_drop.sql, and defined here",
        ]
    );
    assert_eq!(lake.files(), files);
    remove(&lake, "curated/last");
    remove(&lake, "curated/plain");
    remove(&lake, "curated/checked");
    remove(&lake, "landing/n");
    remove(&lake, "curated/counted");
    lake.define("tables/landing/m.toml", &landing(COLUMNS).replace("n/*", "m/*"));
    lake.define("migrations/0001_drop.sql", "drop table plain;\ndrop table n;\ndrop table checked;\n");
    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    assert_eq!((planned.moves().len(), planned.catalog.left), (3, vec!["counted".to_owned(), "last".to_owned()]));
    lake.land("m/a.json", record(1));
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 3);
    // Those that left without a migration keep their entries.
    assert_eq!(outcome.left, ["counted", "last"]);
    assert_eq!(entries(&lake), ["counted", "last", "m"]);
    assert!(folders(&lake, "landing").contains(&"n".to_owned()));
    assert_eq!(lake.sync().await.left, ["counted", "last"]);
    // A table that takes the name again is a new one.
    lake.define("tables/landing/n.toml", &landing(COLUMNS));
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "n").rows.inserted, 8);
    assert!(folders(&lake, "landing").contains(&"n_2".to_owned()));
    assert_eq!(lake.count("select count(*) from n_quarantine").await, 1);
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_read_without_the_folder_of_migrations() {
    let lake = filled().await;
    to_u(&lake);
    lake.sync().await;
    fs::remove_dir_all(lake.root().join("migrations")).unwrap();
    assert_eq!(lake.count("select count(*) from u").await, 8, "a query needs no migration to find its table");
    let files = lake.files();
    let error = lake.try_sync().await.problem.unwrap();
    assert_eq!(error.message(), "migration 0001_u is in this lake, and not in this project");
    assert!(inspect::plan(&lake.workspace().await, &[]).await.is_err());
    assert_eq!(lake.files(), files);
    // An older project stops as well.
    let older = self::lake().over(&lake);
    let error = older.try_sync().await.problem.unwrap();
    assert_eq!(error.message(), "migration 0001_u is in this lake, and not in this project");
    assert_eq!(lake.files(), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_alone_updates_the_catalog_and_leaves_the_rest_to_a_sync() {
    let lake = filled().await;
    to_u(&lake);
    lake.define("migrations/0001_u.sql", "refresh table plain full;\nalter table n rename to u;\n");
    let done = migrate::apply(&lake.workspace().await, Asked { run: "r", dry_run: false }).await.unwrap();
    assert_eq!(format!("{:?}", done[0].state), "Begun");
    assert!(entries(&lake).contains(&"u".to_owned()) && !entries(&lake).contains(&"n".to_owned()));
    let status = migrate::status(&lake.workspace().await).await.unwrap();
    assert_eq!((format!("{:?}", status[0].state), status[0].statements.len()), ("Begun".into(), 1));
    let options = sync::Options { no_migrate: true, ..sync::Options::default() };
    assert_eq!(lake.try_sync_with(options).await.problem.unwrap().message(), "1 migration is pending: 0001_u");
    let outcome = lake.sync().await;
    let plain = of(&outcome, "plain");
    assert_eq!((plain.mode, plain.reason.as_str()), (Mode::Full, "a migration refreshes it"));
    assert_eq!(format!("{:?}", outcome.migrations[0].state), "Applied");
    assert_eq!(of(&outcome, "counted").mode, Mode::None);
    assert_still(&lake.sync().await);
    let status = migrate::status(&lake.workspace().await).await.unwrap();
    assert_eq!((format!("{:?}", status[0].state), status[0].statements.len()), ("Applied".into(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_by_a_migration_all_or_those_with_undeclared_fields() {
    let lake = lake();
    let rescue = |columns: &str| landing(columns).replace("on_over", "on_new_field = \"rescue\"\non_over");
    lake.define("tables/landing/n.toml", &rescue(COLUMNS));
    lake.land("n/a.json", "{\"id\":1,\"k\":1,\"zip\":11}\n");
    lake.land("n/b.json", record(2));
    lake.land("n/c.json", "{\"id\":3,\"k\":3,\"zip\":33,\"more\":true}\n");
    lake.sync().await;
    fs::remove_file(lake.landing().join("n/c.json")).unwrap();
    lake.define("tables/landing/n.toml", &rescue(&format!("{COLUMNS}zip = \"long\"\n")));
    lake.define("migrations/0001_zip.sql", "reload table n from rescued;\n");
    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    let n = planned.tables.iter().find(|t| t.table.as_str() == "n").unwrap();
    assert!(n.reason.starts_with("migration 0001_zip: reload table n from rescued"), "{}", n.reason);
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "n").rows.inserted, of(&outcome, "n").io.files_read), (1, 1));
    let [warning] = of(&outcome, "n").warnings.iter().filter(|w| w.message.contains("gone")).collect::<Vec<_>>()[..]
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(warning.message, "1 file of n with undeclared fields is gone");
    assert_eq!(
        lake.rows("select id, zip, _rescued from n").await,
        ["1|11|NULL", "2|NULL|NULL", "3|NULL|{\"zip\":33,\"more\":true}"]
    );
    assert_eq!(format!("{:?}", outcome.migrations[0].state), "Applied");
    lake.assert_recomputed().await;
    assert_still(&lake.sync().await);
    lake.define("migrations/0002_all.sql", "reload table n;\n");
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "n").rows.inserted, of(&outcome, "n").rows.deleted), (2, 2));
    assert_no_full(&outcome);
    assert_still(&lake.sync().await);
    for (sql, expected) in [
        ("reload table plain;", "plain is a derived table: it reads no files"),
        ("refresh table n full;", "n is a landing table: it has no query"),
        ("reload table m;", "table `m` is not in this project"),
    ] {
        lake.define("migrations/0003_x.sql", sql);
        assert_eq!(faults(&lake.try_sync().await), [format!("migrations/0003_x.sql: {expected}")], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_renames() {
    let lake = filled().await;
    to_u(&lake);
    let (one, other) = (lake.workspace().await, lake.fresh_site().await);
    let (first, second) = tokio::join!(
        migrate::apply(&one, Asked { run: "first", dry_run: false }),
        migrate::apply(&other, Asked { run: "second", dry_run: false }),
    );
    let count =
        |done: &[stedi_delta::outcome::MigrationOutcome]| done.iter().map(|m| m.statements.len()).sum::<usize>();
    assert_eq!(count(&first.unwrap()) + count(&second.unwrap()), 1);
    let outcome = lake.sync().await;
    assert!(outcome.tables.iter().all(|t| t.mode == Mode::None), "{outcome:?}");
    lake.assert_recomputed().await;
}

/// The text of a query is the same after a swap, and what it means is not.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_same_columns_swap_their_names_and_queries_that_did_not_follow_are_computed_anew() {
    let landing = |path: &str| {
        format!(
            "description = \"L\"\n[source]\npath = \"{path}/*.json\"\nformat = \"json\"\n[columns]\nid = \"long\"\nx = \"long\"\n"
        )
    };
    let queries = [
        ("pairs", "select l.id, l.x as lx, r.x as rx from l join r on l.id = r.id"),
        ("both", "select l.id, l.x, 'l' as src from l union all select r.id, r.x, 'r' as src from r"),
        ("one", "select l.id, l.x from l where l.x > 0"),
        ("above", "select p.lx, count(*) as n from pairs p group by p.lx"),
    ];
    let lake = Lake::project(&[("tables/landing/l.toml", &landing("l")), ("tables/landing/r.toml", &landing("r"))]);
    for (name, sql) in queries {
        lake.define(&format!("tables/curated/{name}.toml"), "description = \"x\"\n");
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    let records = |times: i64| (1..6).map(|id| format!("{{\"id\":{id},\"x\":{}}}\n", id * times)).collect::<String>();
    lake.land("l/a.json", records(1));
    lake.land("r/a.json", records(100));
    lake.sync().await;
    lake.define("tables/landing/l.toml", &landing("r"));
    lake.define("tables/landing/r.toml", &landing("l"));
    lake.define(
        "migrations/0001_swap.sql",
        "alter table l rename to t;\nalter table r rename to l;\nalter table t rename to r;\n",
    );
    lake.sync().await;
    assert_eq!(lake.rows("select lx, rx from pairs where id = 2").await, ["200|2"]);
    lake.assert_recomputed().await;
    lake.land("l/b.json", records(7));
    lake.land("r/b.json", records(9));
    lake.sync().await;
    lake.assert_recomputed().await;
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_name_does_not_leave_a_table_behind() {
    let landing = "description = \"O\"\n[source]\npath = \"o/*.json\"\nformat = \"json\"\n[columns]\nid = \"long\"\n";
    let lake = Lake::project(&[("tables/landing/orders.toml", landing)]);
    lake.land("o/a.json", "{\"id\":1}\n");
    lake.sync().await;
    rename(&lake, "tables/landing/orders.toml", "tables/landing/sales.toml");
    let files = lake.files();
    for sql in ["alter table ordrs rename to sales;", "drop table ordrs;"] {
        lake.define("migrations/0001_x.sql", sql);
        let error = lake.try_sync().await.problem.unwrap();
        let faults = error.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].message, "table `ordrs` is not in this lake");
        assert!(faults[0].label.starts_with("did you mean `orders`?"), "{faults:?}");
        assert_eq!(lake.files(), files);
    }
    lake.define("migrations/0001_x.sql", "alter table orders rename to sales;");
    lake.sync().await;
    assert_eq!(lake.rows("select id from sales").await, ["1"]);
}
