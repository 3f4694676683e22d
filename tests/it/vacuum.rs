//! `vacuum`: what no version within the retention needs goes, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use stedi_delta::Storage;
use stedi_delta::outcome::{Mode, VacuumOutcome, VacuumTable};
use stedi_delta::pin;
use stedi_delta::sync;
use stedi_delta::travel::Zone;
use stedi_delta::vacuum::{VacuumOptions, vacuum};

use crate::cli::person;
use crate::cli::shell::Shell;
use crate::nested::assert_duckdb_reads_the_same;
use crate::support::faulty::{Fault, Plan, When};
use crate::support::shop::{orders, shop};
use crate::support::traces::decoded;
use crate::support::{Lake, assert_no_full, of};

/// Everything that only older versions need, however young it is.
pub(crate) fn all_at_once() -> VacuumOptions {
    VacuumOptions {
        lake: true,
        history: Some(Duration::ZERO),
        grace: Some(Duration::ZERO),
        delete: true,
        ..VacuumOptions::default()
    }
}

pub(crate) async fn try_vacuum(lake: &Lake, options: &VacuumOptions) -> Result<VacuumOutcome, String> {
    vacuum(&lake.workspace().await, options, "a run").await.map_err(|error| error.to_string())
}

pub(crate) async fn vacuumed(lake: &Lake, options: &VacuumOptions) -> VacuumOutcome {
    let outcome = try_vacuum(lake, options).await.unwrap();
    for table in &outcome.tables {
        assert!(table.problem.is_none(), "{table:?}");
    }
    assert!(outcome.problem.is_none(), "{outcome:?}");
    outcome
}

fn about<'o>(outcome: &'o VacuumOutcome, table: &str) -> &'o VacuumTable {
    outcome.tables.iter().find(|found| found.table == table).unwrap_or_else(|| panic!("{table}: {outcome:?}"))
}

/// Three syncs: files land, one is replaced, another one lands.
pub(crate) async fn busy() -> Lake {
    let lake = shop("incremental");
    lake.land("orders/a.json", orders(0..4) + "{\"id\":}\n");
    lake.sync().await;
    lake.land("orders/a.json", orders(1..3));
    lake.sync().await;
    lake.land("orders/b.json", orders(4..9));
    lake.sync().await;
    lake
}

/// Files of a folder of the warehouse.
fn files(lake: &Lake, folder: &str) -> BTreeSet<String> {
    let root = lake.warehouse().join(folder);
    let below = |path: &Path| Some(path.strip_prefix(&root).ok()?.display().to_string());
    lake.files().iter().filter_map(|(path, _)| below(path)).collect()
}

/// Makes every file of the warehouse so many days old.
fn age(lake: &Lake, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    for (path, _) in lake.files() {
        fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_versions_are_left_and_the_lake_goes_on() {
    let lake = busy().await;
    let before = lake.contents().await;
    // A dry run counts the same.
    let there = lake.files();
    let dry = vacuumed(&lake, &VacuumOptions { delete: false, ..all_at_once() }).await;
    assert_eq!(lake.files(), there);
    let outcome = vacuumed(&lake, &all_at_once()).await;
    assert_eq!(dry.freed(), outcome.freed());
    let orders_table = about(&outcome, "orders");
    assert_eq!((orders_table.ends, orders_table.horizon), (Some((0, 1)), Some(2)));
    assert!(orders_table.freed.data.files > 0 && orders_table.freed.log.files > 0, "{orders_table:?}");
    assert!(about(&outcome, "cheap").freed.change_data.files > 0);

    // Of each table what its newest version names, and a log of one entry and one checkpoint.
    for folder in ["landing/orders", "trusted/cheap", "curated/items", "landing/orders_quarantine", "system/files"] {
        let table = lake.table(folder).await;
        let data: BTreeSet<String> = table.paths();
        let left = files(&lake, folder);
        let (log, rest): (BTreeSet<_>, BTreeSet<_>) = left.into_iter().partition(|path| path.starts_with("_delta_log"));
        let rest: BTreeSet<String> = rest.into_iter().filter(|path| !path.starts_with("_change_data")).collect();
        assert_eq!(rest, data, "{folder}");
        assert!(log.len() <= 3, "{folder}: {log:?}");
    }
    assert_eq!(lake.contents().await, before);
    assert_duckdb_reads_the_same(&lake).await;
    lake.assert_recomputed().await;

    // Old versions are said to be gone, by whom.
    let gone = stedi_delta::travel::open(&lake.workspace().await, "orders@v0", &Zone::default()).await.unwrap_err();
    assert!(gone.to_string().starts_with("version 0 of orders"), "{gone}");
    let facts = format!("{:?}", gone.facts());
    assert!(facts.contains("`stedi-delta vacuum` ended the versions before v2"), "{facts}");

    // Nothing is left to do, and the next change is incremental.
    let again = vacuumed(&lake, &all_at_once()).await;
    let shop_tables = again.tables.iter().filter(|table| !["vacuums", "runs"].contains(&table.table.as_str()));
    assert!(shop_tables.clone().all(|table| table.freed.all().files == 0 && table.ends.is_none()), "{again:?}");
    lake.land("orders/c.json", orders(0..2));
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_retention_keeps_stays() {
    let lake = busy().await;
    let files = lake.files();
    let young = vacuumed(&lake, &VacuumOptions { lake: true, delete: true, ..VacuumOptions::default() }).await;
    assert_eq!((young.freed().all().files, lake.files()), (0, files));

    // The version of 30 days ago, and all since; of one zone also older ones.
    age(&lake, 40);
    lake.land("orders/d.json", orders(20..22));
    lake.sync().await;
    let text = fs::read_to_string(lake.root().join("stedi-delta.toml")).unwrap();
    lake.define("stedi-delta.toml", &(text + "[retention]\nzones = { curated = \"60 days\" }\n"));
    let outcome = vacuumed(&lake, &VacuumOptions { lake: true, delete: true, ..VacuumOptions::default() }).await;
    assert_eq!((about(&outcome, "orders").ends, about(&outcome, "cheap").ends), (Some((0, 1)), Some((0, 1))));
    assert_eq!((about(&outcome, "items").ends, about(&outcome, "items").freed.all().files), (None, 0));
    for table in ["orders@v2", "orders@v3", "items@v0"] {
        let opened = stedi_delta::travel::open(&lake.workspace().await, table, &Zone::default()).await;
        assert!(opened.is_ok(), "{table}: {opened:?}");
    }
    lake.assert_recomputed().await;

    // A table's own setting.
    lake.define("tables/curated/items.toml", "description = \"Derived\"\n[retention]\nhistory = \"1 day\"\n");
    let outcome = vacuumed(&lake, &VacuumOptions { lake: true, delete: true, ..VacuumOptions::default() }).await;
    assert_eq!(about(&outcome, "items").ends, Some((0, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_a_table_below_was_computed_from_stays() {
    let lake = busy().await;
    let only = |table: &str| sync::Options { select: vec![table.into()], ..sync::Options::default() };
    for file in ["c", "d", "e"] {
        lake.land(&format!("orders/{file}.json"), orders(0..3));
        let outcome = lake.try_sync_with(only("orders")).await;
        assert!(outcome.problem.is_none());
    }
    let outcome = vacuumed(&lake, &all_at_once()).await;
    let landing = about(&outcome, "orders");
    assert_eq!((landing.ends, landing.kept_for.as_deref()), (Some((0, 1)), Some("cheap was computed from v2")));
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    assert_eq!(of(&outcome, "cheap").mode, Mode::Incremental);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_and_files_that_are_not_data_stay_and_strays_go() {
    let lake = busy().await;
    let options = pin::Options { name: "study".into(), until_ms: None, retain: false, catalog: false };
    pin::pin(&lake.workspace().await, "orders@v0", &Zone::default(), &options, "a run").await.unwrap();
    let pinned = lake.table("landing/orders").await.at(0).await.unwrap().paths();
    let folder = lake.warehouse().join("landing/orders");
    let some = lake.table("landing/orders").await.paths().into_iter().next().unwrap();
    for name in ["stray.parquet", "notes.txt", "_hidden/a.parquet", "inner/_delta_log/0.json", "inner/b.parquet"] {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(folder.join(&some), path).unwrap();
    }
    let outcome = vacuumed(&lake, &all_at_once()).await;
    assert_eq!(about(&outcome, "orders").freed.orphans.files, 1, "{outcome:?}");
    let left = files(&lake, "landing/orders");
    assert!(!left.contains("stray.parquet"), "{left:?}");
    for name in ["notes.txt", "_hidden/a.parquet", "inner/_delta_log/0.json", "inner/b.parquet"] {
        assert!(left.contains(name), "{name}: {left:?}");
    }
    assert!(pinned.is_subset(&left), "{left:?}");
    let pins = pin::pins(&lake.workspace().await).await.unwrap();
    assert!(pins.iter().all(|pin| pin.gone == 0), "{pins:?}");
}

/// The commits of an interrupted run are carried out by the next one: their files are in no version yet.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_open_batch_stay() {
    let writes = {
        let plan = Plan::counting();
        let lake = shop("incremental").through(plan.storage());
        lake.land_first_orders();
        lake.sync().await;
        plan.writes()
    };
    let mut open = 0;
    for at in writes {
        let plan = Plan::new(at, Fault::Dead, When::After);
        let lake = shop("incremental").through(plan.storage());
        lake.land_first_orders();
        let _ = lake.try_sync().await;
        let lake = lake.through(Storage::default());
        age(&lake, 400);
        let decided = lake.warehouse().join("system/files/_delta_log/00000000000000000000.json").exists();
        let landed = lake.warehouse().join("landing/orders/_delta_log/00000000000000000000.json").exists();
        vacuumed(&lake, &all_at_once()).await;
        open += usize::from(decided && !landed);
        let outcome = lake.sync().await;
        assert_eq!(lake.count("select count(*) from orders").await, 10, "{at}: {outcome:?}");
        lake.assert_recomputed().await;
    }
    assert!(open > 0, "no run was interrupted between the two commits");
}

/// A copy of a lake, with the times of its files.
fn copied(from: &Lake) -> Lake {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            let (path, to) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() {
                copy(&path, &to);
                continue;
            }
            fs::copy(&path, &to).unwrap();
            let time = entry.metadata().unwrap().modified().unwrap();
            fs::File::options().write(true).open(&to).unwrap().set_modified(time).unwrap();
        }
    }
    let lake = shop("incremental");
    copy(&from.landing(), &lake.landing());
    copy(&from.warehouse(), &lake.warehouse());
    lake
}

/// Wherever it dies, the newest versions are whole, and the next one finishes.
#[tokio::test(flavor = "multi_thread")]
async fn it_may_die_at_every_operation() {
    let busy = busy().await;
    let before = busy.contents().await;
    let plan = Plan::counting();
    vacuumed(&copied(&busy).through(plan.storage()), &all_at_once()).await;
    let writes = plan.writes();
    assert!(writes.len() > 10, "{writes:?}");
    for (number, at) in writes.into_iter().enumerate() {
        // After its effect is before the next one; only what a checkpoint leaves behind differs.
        let when = if number % 4 == 0 { When::After } else { When::Before };
        let lake = copied(&busy).through(Plan::new(at, Fault::Dead, when).storage());
        let _ = try_vacuum(&lake, &all_at_once()).await;
        let lake = lake.through(Storage::default());
        assert_eq!(lake.contents().await, before, "{when:?} {at}");
        vacuumed(&lake, &all_at_once()).await;
        lake.land("orders/c.json", orders(0..2));
        let outcome = lake.sync().await;
        assert_no_full(&outcome);
        assert_eq!(of(&outcome, "cheap").rows.inserted, 2, "{when:?} {at}");
    }
}

/// A person who was taken out of the landing files is in no file of the warehouse.
#[test]
fn nothing_is_left_of_a_person_but_landing_files() {
    let shell = Shell::synced();
    let secret = "ann@";
    shell.land("people/c.json", &person("ann", 3, true));
    shell.run(&["sync"]).fine();
    assert!(!traces(&shell, secret).is_empty());
    shell.land("people/a.json", &[person("eve", 1, true), person("bob", 1, false)].concat());
    shell.land("people/c.json", "");
    shell.run(&["sync", "--reload", "people"]).fine();
    assert!(!traces(&shell, secret).is_empty());
    shell.run(&["vacuum", "--lake", "--history", "0 days", "--grace", "0s", "--yes"]).fine();
    assert_eq!(traces(&shell, secret), Vec::<PathBuf>::new());
    shell.run(&["sync"]).fine();
}

/// Files of the warehouse that hold a text.
fn traces(shell: &Shell, text: &str) -> Vec<PathBuf> {
    let files = shell.warehouse().into_iter().map(|(path, _, _)| path);
    let holds = |path: &PathBuf| {
        let is_parquet = path.extension().is_some_and(|extension| extension == "parquet");
        let plain = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        plain.contains(text) || (is_parquet && decoded(path).contains(text))
    };
    files.filter(holds).collect()
}

#[test]
fn it_says_what_it_would_delete() {
    let shell = Shell::synced();
    let says = |args: &[&str], said: &str| {
        let ran = shell.run(args);
        assert_eq!((ran.code, ran.err.contains(said)), (64, true), "{args:?}: {}", ran.err);
    };
    says(&["vacuum"], "stedi-delta vacuum --lake");
    says(&["vacuum", "--lake", "--history", "2 weeks"], "`--history` is \"2 weeks\"");
    says(&["vacuum", "--purge", "people"], "people was not dropped");
    says(&["vacuum", "peeple"], "did you mean `people`?");
    assert_eq!(shell.run(&["vacuum", "--lake"]).fine().out, "Nothing to delete.\n");

    shell.land("people/b.json", &person("ann", 2, false));
    shell.run(&["sync"]).fine();
    let now = ["vacuum", "members", "--history", "0 days", "--grace", "0s"];
    let dry = shell.run(&now).fine();
    assert!(
        dry.err.ends_with("Next: stedi-delta vacuum members --history \"0 days\" --grace \"0s\" --yes\n"),
        "{}",
        dry.err
    );
    let words: Vec<&str> = dry.out.lines().collect();
    assert_eq!(words.len(), 4, "{}", dry.out);
    assert!(words[0].starts_with("members  1 file ("), "{}", dry.out);
    assert_eq!(words[1], "         v0 could no longer be read");
    assert!(words[3].starts_with("Would delete "), "{}", dry.out);
    let files = shell.warehouse();
    assert_eq!(shell.run(&now).fine().out, dry.out);
    assert_eq!(shell.warehouse(), files);

    let done = shell.run(&[&now[..], &["--yes"]].concat()).fine();
    assert!(done.out.contains("v0 can no longer be read") && done.out.contains("Deleted "), "{}", done.out);
    let history = shell.run(&["history", "members"]).fine();
    let said = format!("{}{}", history.out, history.err);
    assert!(said.contains("`stedi-delta vacuum` ended the versions before v1"), "{said}");
    let json = shell.run(&["vacuum", "members", "--format", "json"]).fine();
    let document: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&document["report"], &document["files"]), (&"vacuum/1".into(), &0.into()), "{document}");
}

#[test]
fn everything_of_a_dropped_table_can_go() {
    let shell = Shell::synced();
    for file in ["tables/trusted/members.toml", "tables/trusted/members.sql"] {
        fs::remove_file(shell.project().join(file)).unwrap();
    }
    shell.define("migrations/0001_no_members.sql", "drop table members;\n");
    shell.run(&["sync"]).fine();
    assert!(shell.project().join("w/trusted/members").exists());
    shell.run(&["vacuum", "--purge", "members"]).fine();
    shell.run(&["query", "select count(*) from members"]).fine();
    shell.run(&["vacuum", "--purge", "members", "--yes"]).fine();
    let left: Vec<_> =
        shell.warehouse().into_iter().filter(|(path, _, _)| path.to_string_lossy().contains("/members/")).collect();
    assert!(left.is_empty(), "{left:?}");
    shell.run(&["sync"]).fine();
    let gone = shell.run(&["vacuum", "--purge", "members"]);
    assert_eq!((gone.code, gone.err.contains("there is nothing left of members")), (64, true), "{}", gone.err);
}
