//! Commands that die at any operation of a migration, on a folder and on S3.
//!
//! A dead process leaves behind what it has written. So where a run takes long, it dies before its first write and after
//! each one: at a read it would leave the same as before the next write.

use std::collections::BTreeSet;

use stedi_delta::migrate::{self, Asked};

use super::{COLUMNS, landing, record, records, remove, rename};
use crate::support::aws::Aws;
use crate::support::faulty::{Fault, Plan, When};
use crate::support::{Lake, assert_still};

/// Two landing tables and two derived ones, whose migration is about to come.
fn before() -> Lake {
    let lake = Lake::project(&[
        ("tables/landing/n.toml", &rescuing(COLUMNS)),
        ("tables/landing/old.toml", &landing(COLUMNS).replace("n/*", "old/*")),
        ("tables/curated/plain.toml", "description = \"x\"\n"),
        ("tables/curated/plain.sql", "select n.id, n.k from n"),
        ("tables/curated/counted.toml", "description = \"x\"\n"),
        ("tables/curated/counted.sql", "select plain.k, count(*) as c from plain group by plain.k"),
    ]);
    land(&lake);
    lake
}

fn land(lake: &Lake) {
    lake.land("n/a.json", "{\"id\":1,\"k\":1,\"zip\":11}\n{\"id\":\"x\"}\n");
    lake.land("n/b.json", records(2..4));
    lake.land("old/a.json", record(1));
}

fn rescuing(columns: &str) -> String {
    landing(columns).replace("on_over", "on_new_field = \"rescue\"\non_over")
}

/// The migration: every kind of statement about tables, and one about a column of a renamed table.
async fn about_to_migrate(lake: Lake) -> Lake {
    lake.sync().await;
    for (from, to) in [
        ("landing/n.toml", "landing/u.toml"),
        ("curated/plain.toml", "curated/simple.toml"),
        ("curated/plain.sql", "curated/simple.sql"),
    ] {
        rename(&lake, &format!("tables/{from}"), &format!("tables/{to}"));
    }
    remove(&lake, "landing/old");
    lake.define("tables/landing/u.toml", &rescuing("id = \"long\"\nkind = \"integer\"\nzip = \"long\"\n"));
    lake.define("tables/curated/simple.sql", "select u.id, u.kind as k from u");
    lake.define("tables/curated/counted.sql", "select simple.k, count(*) as c from simple group by simple.k");
    lake.define(
        "migrations/0001_tables.sql",
        "alter table n rename to u;\nalter table u rename column k to kind;\ndrop table old;\nreload table u from rescued;\n\
         alter table plain rename to simple;\nrefresh table simple full;\n",
    );
    lake.land("n/c.json", record(9));
    lake
}

/// A migration of every kind of statement about columns.
async fn about_to_change_columns(lake: Lake) -> Lake {
    lake.sync().await;
    lake.define(
        "migrations/0001_columns.sql",
        "alter table n rename column k to kind;\nalter table n alter column id type string using cast(id as varchar);\n\
         alter table n alter column kind type long;\nalter table n alter column id set not null;\n\
         alter table old drop column k;\n",
    );
    let columns = "id = { type = \"string\", nullable = false }\nkind = \"long\"\n";
    lake.define("tables/landing/n.toml", &rescuing(columns));
    lake.define("tables/landing/old.toml", &landing("id = \"long\"\n").replace("n/*", "old/*"));
    lake.define("tables/curated/plain.sql", "select n.id, n.kind as k from n");
    lake.land("n/c.json", record(9));
    lake
}

/// Everything by which two lakes can differ: rows, entries of the catalog, and how the migration stands.
type End = (Vec<(String, Vec<String>)>, BTreeSet<String>, String);

async fn ends(lake: &Lake) -> End {
    let workspace = lake.workspace().await;
    let entries = workspace.catalog.list(&workspace.database).await.unwrap();
    let names = entries.into_iter().map(|entry| entry.name.clone()).collect();
    let status = migrate::status(&workspace).await.unwrap();
    (lake.contents().await, names, format!("{:?} {}", status[0].state, status[0].statements.len()))
}

/// After a death the next sync does the rest, and the one after it nothing.
async fn is_completed(lake: Lake, expected: &End, when: &str) {
    let lake = lake.through(Default::default());
    lake.sync().await;
    assert_eq!(&ends(&lake).await, expected, "{when}");
    let files = lake.files();
    assert_still(&lake.sync().await);
    assert_eq!(lake.files(), files, "a third sync after {when} wrote something");
}

/// The command that dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Apply,
    Sync,
}

async fn run(lake: &Lake, command: Command) {
    match command {
        Command::Apply => drop(migrate::apply(&lake.workspace().await, Asked { run: "r", dry_run: false }).await),
        Command::Sync => drop(lake.try_sync().await),
    }
}

/// Lets a command die before and after each of these operations: `reads`, too, or only those that write.
async fn dies(prepared: impl AsyncFn() -> Lake, command: Command, reads: bool) -> usize {
    let plan = Plan::counting();
    let lake = prepared().await.through(plan.storage());
    run(&lake, command).await;
    let (calls, writes) = (plan.calls(), plan.writes());
    let lake = lake.through(Default::default());
    lake.sync().await;
    let expected = ends(&lake).await;
    assert!(expected.2.starts_with("Applied"), "{}", expected.2);
    let mut deaths = 0;
    for at in 1..=calls {
        let is_first = writes.first() == Some(&at);
        for when in [When::Before, When::After] {
            let is_wanted = match when {
                When::Before => reads || is_first,
                When::After => writes.contains(&at),
            };
            if !is_wanted {
                continue;
            }
            let plan = Plan::new(at, Fault::Dead, when);
            let lake = prepared().await.through(plan.storage());
            run(&lake, command).await;
            if plan.reached() {
                is_completed(lake, &expected, &format!("{when:?} operation {at}")).await;
                deaths += 1;
            }
        }
    }
    deaths
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_of_tables_that_dies_at_any_operation_is_completed_by_the_next_sync() {
    let deaths = dies(async || about_to_migrate(before()).await, Command::Apply, true).await;
    assert!(deaths > 50, "{deaths}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_with_a_migration_of_tables_that_dies_after_any_write_is_completed_by_the_next() {
    let deaths = dies(async || about_to_migrate(before()).await, Command::Sync, false).await;
    assert!(deaths > 20, "{deaths}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_a_sync_that_dies_after_a_write_about_tables_is_completed_by_the_next() {
    let Some(aws) = Aws::shared() else { return };
    let deaths = dies(async || about_to_migrate(before_in_cloud(aws)).await, Command::Sync, false).await;
    assert!(deaths > 20, "{deaths}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_a_sync_that_dies_after_a_write_about_columns_is_completed_by_the_next() {
    let Some(aws) = Aws::shared() else { return };
    let deaths = dies(async || about_to_change_columns(before_in_cloud(aws)).await, Command::Sync, false).await;
    assert!(deaths > 20, "{deaths}");
}

fn before_in_cloud(aws: &'static Aws) -> Lake {
    let lake = before().in_cloud(aws);
    land(&lake);
    lake
}
