//! `plan --out` and `sync --plan`: a saved plan does what a sync does, or nothing if anything of it has changed; `plan --rows`
//! computes what the sync then commits.

use std::fs;
use std::sync::Arc;

use deltalake::DeltaTableBuilder;
use stedi_delta::cli::exit;
use stedi_delta::error::{Error, Kind};
use stedi_delta::inspect::{self, PlanOptions};
use stedi_delta::migrate::{self, Asked};
use stedi_delta::outcome::{Action, Mode, PlanOutcome, SyncOutcome, Verdict};
use stedi_delta::sync;
use url::Url;

use crate::support::aws::Aws;
use crate::support::faulty::{Plan, intruded};
use crate::support::shop::{CHEAP, ORDERS, derived, orders, shop};
use crate::support::{Lake, assert_ok, foreign_delete, of, plan_of};

const PEOPLE: &str = "description = \"People\"\n[source]\npath = \"people/*.json\"\nformat = \"json\"\n[columns]\n\
     email = { type = \"string\", nullable = false, classification = \"pii\" }\nshares = \"long\"\nat = \"long\"\n\
     [grants]\nsubjects = [\"email\"]\ngranted = \"shares is not null\"\nlatest = [\"at\"]\n";
const MEMBERS: &str = "description = \"Who shares\"\n[consent]\nsubject = \"email\"\n";
const MEMBERS_SQL: &str = "select p.email, p.at from (select email, at, shares, row_number() over (partition by email \
     order by at desc nulls last, case when shares is null then 0 else 1 end, source_file, source_offset) as newest \
     from people) p where p.newest = 1 and p.shares is not null";

fn person(name: &str, at: i64, shares: &str) -> String {
    format!("{{\"email\":\"{name}@example.com\",\"at\":{at},\"shares\":{shares}}}\n")
}

/// A lake with orders and what is computed of them, and with people and those of them who consent.
async fn filled() -> Lake {
    let lake = shop("auto");
    lake.define("tables/landing/people.toml", PEOPLE);
    lake.define("tables/trusted/members.toml", MEMBERS);
    lake.define("tables/trusted/members.sql", MEMBERS_SQL);
    lake.land_first_orders();
    lake.land("people/a.json", person("ann", 1, "1") + &person("eve", 1, "1"));
    lake.sync().await;
    lake
}

const STRICT: &str = "[[expectations]]\nname = \"small\"\ncheck = \"price < 3\"\naction = \"quarantine\"\n";

/// Everything that may lie before a sync.
const STATES: [&str; 12] = [
    "first build",
    "nothing",
    "new files",
    "replaced file",
    "same bytes",
    "changed query",
    "other columns",
    "new column",
    "pending migration",
    "withdrawn consent",
    "drift",
    "changed expectations",
];

async fn in_state(state: &str) -> Lake {
    if state == "first build" {
        let lake = shop("auto");
        lake.land_first_orders();
        return lake;
    }
    let lake = filled().await;
    match state {
        "new files" => lake.land("orders/d.json", orders(20..24) + "{\"id\":}\n"),
        "replaced file" => lake.land_more_orders(),
        // Another time, the same bytes.
        "same bytes" => {
            let path = lake.landing().join("orders/a.json");
            let older = std::time::SystemTime::now() - std::time::Duration::from_secs(120);
            fs::File::options().write(true).open(path).unwrap().set_modified(older).unwrap();
        }
        "changed query" => lake.define("tables/trusted/cheap.sql", &CHEAP.replace("< 5", "< 4")),
        "other columns" => {
            lake.define("tables/trusted/cheap.sql", &CHEAP.replace("o.price from", "o.price * 2 as dear from"));
        }
        "new column" => {
            lake.define("tables/landing/orders.toml", &format!("{ORDERS}zone = \"string\"\n"));
            lake.define("tables/trusted/cheap.sql", &CHEAP.replace("o.price from", "o.price, o.zone from"));
            lake.land("orders/d.json", "{\"id\":30,\"item\":\"nut\",\"price\":1.0,\"zone\":\"north\"}\n");
        }
        "pending migration" => {
            lake.define("migrations/0001_sku.sql", "alter table orders rename column item to sku;\n");
            lake.define("tables/landing/orders.toml", &ORDERS.replace("item =", "sku ="));
            for (path, sql) in [("trusted/cheap", CHEAP), ("curated/items", crate::support::shop::ITEMS)] {
                lake.define(&format!("tables/{path}.sql"), &sql.replace("o.item", "o.sku"));
            }
            lake.land("orders/d.json", "{\"id\":31,\"sku\":\"nut\",\"price\":2.0}\n");
        }
        "withdrawn consent" => lake.land("people/b.json", person("ann", 2, "null")),
        "drift" => foreign_delete(&lake, "trusted/cheap", "id = 1").await,
        "changed expectations" => lake.define("tables/trusted/cheap.toml", &(derived("auto") + STRICT)),
        _ => {}
    }
    lake
}

async fn everything(lake: &Lake) -> Vec<(String, Vec<String>)> {
    let mut all = lake.contents().await;
    let ledger =
        "select landing_table, batch, path, size, records, landed, quarantined from files where path is not null";
    for (name, sql) in
        [("ledger", ledger), ("quarantine", "select source_file, source_offset, reason from orders_quarantine")]
    {
        all.push((name.to_owned(), lake.rows(sql).await));
    }
    all
}

/// What a sync did, but for ids and times.
fn done(outcome: &SyncOutcome) -> Vec<String> {
    let table = |t: &stedi_delta::outcome::TableOutcome| {
        let warnings: Vec<&str> = t.warnings.iter().map(|w| w.message.as_str()).collect();
        let versions = (t.version_before, t.version_after);
        format!("{} {:?} {:?} {:?} {} {warnings:?} {}", t.table, versions, t.mode, t.rows, t.reason, t.io.files_read)
    };
    let mut all: Vec<String> = outcome.tables.iter().map(table).collect();
    all.push(format!("{} {} {:?}", outcome.registered, outcome.grants_ended, outcome.migrations.len()));
    all
}

/// The saved plan, as a text.
async fn saved(lake: &Lake) -> String {
    let plan = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    inspect::plan_text(&plan.saved).unwrap()
}

async fn apply(lake: &Lake, plan: &str) -> Result<SyncOutcome, Error> {
    let saved = inspect::parse_plan(plan)?;
    let planned = inspect::bind(&lake.workspace().await, &saved).await?;
    Ok(lake.try_sync_with(sync::Options { plan: Some(Arc::new(planned)), ..sync::Options::default() }).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_does_what_the_sync_would_have_done() {
    for state in STATES {
        let (plain, planned) = (in_state(state).await, in_state(state).await);
        let expected = plain.sync().await;
        let plan = saved(&planned).await;
        let outcome = apply(&planned, &plan).await.unwrap_or_else(|e| panic!("{state}: {e} {:?}", e.facts()));
        assert_ok(&outcome);
        assert_eq!(done(&outcome), done(&expected), "{state}");
        assert_eq!(everything(&planned).await, everything(&plain).await, "{state}");
        assert_eq!(planned.files().len(), plain.files().len(), "{state}");
        planned.assert_recomputed().await;
        let still = planned.sync().await;
        assert!(still.tables.iter().all(|t| t.mode == Mode::None), "{state}: nothing is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_comes_after_the_plan_waits_for_the_next_sync() {
    let lake = in_state("new files").await;
    let plan = saved(&lake).await;
    lake.land("orders/e.json", orders(40..43));
    lake.land("orders/a.json", orders(2..4));
    let outcome = apply(&lake, &plan).await.unwrap();
    assert_ok(&outcome);
    let landed = of(&outcome, "orders");
    assert_eq!((landed.rows.inserted, landed.rows.deleted, landed.io.files_read), (4, 0, 1));
    let warnings: Vec<_> = landed.warnings.iter().map(|w| w.message.as_str()).collect();
    assert!(warnings.contains(&"2 files of orders came after the plan was made"), "{warnings:?}");
    lake.assert_recomputed().await;
    let next = lake.sync().await;
    assert_eq!((of(&next, "orders").rows.inserted, of(&next, "orders").io.files_read), (5, 2));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overwritten_file_is_an_error_of_a_plan_as_of_a_sync() {
    let (plain, planned) = (filled().await, filled().await);
    for lake in [&plain, &planned] {
        lake.land("people/a.json", person("ann", 1, "1"));
        lake.land("people/b.json", person("bob", 1, "1"));
    }
    let expected = plain.try_sync().await;
    let outcome = apply(&planned, &saved(&planned).await).await.unwrap();
    assert_eq!((exit::of_sync(&outcome), exit::of_sync(&expected)), (1, 1));
    assert_eq!(done(&outcome), done(&expected));
    assert_eq!(everything(&planned).await, everything(&plain).await);
}

/// What changes between plan and sync, and what the message says of it.
const CHANGES: [(&str, &str, &str); 14] = [
    ("new files", "sync", "orders is at v1, planned at v0"),
    ("new files", "commit on a landing table", "orders is at v1, planned at v0"),
    ("changed query", "commit on a derived table", "cheap is at v1, planned at v0"),
    ("first build", "sync", "orders was created"),
    ("new files", "table gone", "cheap is gone"),
    ("new files", "another table", "cheap is another table"),
    ("changed query", "query", "the definition of cheap changed"),
    ("new files", "definition", "the definition of orders changed"),
    ("new files", "new table", "more is selected, and not in the plan"),
    ("pending migration", "migration edited", "migration 0001_sku changed"),
    ("pending migration", "migration applied", "migration 0001_sku was applied"),
    ("new files", "file gone", "file `orders/d.json` of orders is gone"),
    ("new files", "file changed", "file `orders/d.json` of orders changed"),
    ("nothing", "ledger", "people has ingested files"),
];

async fn change(lake: &Lake, what: &str) {
    match what {
        "sync" => drop(lake.sync().await),
        "commit on a landing table" => foreign_delete(lake, "landing/orders", "id = 1").await,
        "commit on a derived table" => foreign_delete(lake, "trusted/cheap", "id = 1").await,
        "table gone" => fs::remove_dir_all(lake.warehouse().join("trusted/cheap")).unwrap(),
        "another table" => {
            let other = filled().await;
            let (from, to) = (other.warehouse().join("trusted/cheap"), lake.warehouse().join("trusted/cheap"));
            fs::remove_dir_all(&to).unwrap();
            fs::rename(from, to).unwrap();
        }
        "query" => lake.define("tables/trusted/cheap.sql", &CHEAP.replace("< 5", "< 3")),
        "definition" => lake.define("tables/landing/orders.toml", &format!("{ORDERS}note = \"string\"\n")),
        "new table" => {
            lake.define("tables/curated/more.toml", &derived("auto"));
            lake.define("tables/curated/more.sql", "select o.id from orders o");
        }
        "migration edited" => {
            lake.define("migrations/0001_sku.sql", "-- as agreed\nalter table orders rename column item to sku;\n");
        }
        "migration applied" => {
            migrate::apply(&lake.workspace().await, Asked { run: "m", dry_run: false }).await.unwrap();
        }
        "file gone" => fs::remove_file(lake.landing().join("orders/d.json")).unwrap(),
        "file changed" => lake.land("orders/d.json", orders(20..25)),
        // A file of no row: only the ledger changes.
        "ledger" => {
            lake.land("people/empty.json", "");
            assert_ok(&lake.try_sync_with(sync::Options { select: vec!["people".into()], ..Default::default() }).await);
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_which_anything_has_changed_writes_nothing() {
    for (state, what, says) in CHANGES {
        let lake = in_state(state).await;
        let plan = saved(&lake).await;
        change(&lake, what).await;
        let before = lake.files();
        let counting = Plan::counting();
        let workspace = lake.site_through(counting.storage()).await;
        let stale = inspect::bind(&workspace, &inspect::parse_plan(&plan).unwrap()).await.unwrap_err();
        assert_eq!((stale.kind(), exit::of(stale.kind())), (Kind::Conflict, 4), "{what}: {stale}");
        assert!(stale.message().starts_with("the plan is stale: "), "{what}: {stale}");
        let facts: Vec<&str> = stale.facts().iter().map(|(_, fact)| fact.as_str()).collect();
        assert!(facts.contains(&says), "{what}: {facts:?}");
        assert_eq!(stale.next(), Some("stedi-delta plan --out plan.json   (makes a new one)"));
        assert_eq!(lake.files(), before, "{what}");
        assert_eq!(counting.writes(), Vec::<usize>::new(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_writer_in_the_middle_ends_it_and_nothing_is_tried_again() {
    let lake = in_state("new files").await;
    let saved = inspect::parse_plan(&saved(&lake).await).unwrap();
    let planned = inspect::bind(&lake.workspace().await, &saved).await.unwrap();
    let other = lake.workspace().await.location(lake.workspace().await.table("cheap").unwrap()).unwrap().to_string();
    let intrusion = async move {
        let table =
            DeltaTableBuilder::from_url(Url::from_directory_path(other).unwrap()).unwrap().load().await.unwrap();
        table.delete().with_predicate("id = 1").await.unwrap();
    };
    let lake =
        lake.through(intruded("trusted/cheap/_delta_log/00000000000000000001.json", Box::new(|| Box::pin(intrusion))));
    let outcome = lake.try_sync_with(sync::Options { plan: Some(Arc::new(planned)), ..Default::default() }).await;
    assert_eq!(exit::of_sync(&outcome), 4, "{outcome:?}");
    let after = lake.sync().await;
    assert_eq!(of(&after, "cheap").mode, Mode::Full);
    lake.assert_recomputed().await;
}

async fn with_rows(lake: &Lake) -> PlanOutcome {
    let options = PlanOptions { rows: true, ..PlanOptions::default() };
    inspect::plan_with(&lake.workspace().await, &options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn computed_rows_are_those_that_the_sync_commits() {
    // Without landing files that are pending, both see the same rows.
    for state in ["nothing", "changed query", "other columns", "pending migration", "drift", "changed expectations"] {
        let lake = in_state(state).await;
        let _ = fs::remove_file(lake.landing().join("orders/d.json"));
        let before = lake.files();
        let plan = with_rows(&lake).await;
        assert!(plan.problem.is_none(), "{state}: {:?}", plan.problem);
        assert_eq!(lake.files(), before, "{state}: a plan writes nothing");
        let outcome = lake.sync().await;
        for table in ["cheap", "items", "members"] {
            let (computed, done) = (plan_of(&plan, table).computed.as_ref().unwrap(), of(&outcome, table));
            assert!(matches!(computed.verdict, Verdict::Holds), "{state}: {table}");
            let facts = (computed.mode, computed.rows, computed.reason.as_str());
            assert_eq!(facts, (done.mode, done.rows, done.reason.as_str()), "{state}: {table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn computed_rows_do_without_landing_files_and_with_the_columns_to_come() {
    let lake = in_state("new column").await;
    let plan = with_rows(&lake).await;
    let cheap = plan_of(&plan, "cheap").computed.as_ref().unwrap();
    // The five orders that have landed get a NULL; the file of the sixth is not read.
    assert_eq!((cheap.mode, cheap.rows.inserted, cheap.rows.deleted), (Mode::Full, 5, 5));
    assert!(plan_of(&plan, "orders").computed.is_none());
    lake.sync().await;
    assert_eq!(lake.count("select count(*) from cheap").await, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_knows_whether_consent_and_expectations_would_hold() {
    let lake = filled().await;
    lake.land("people/b.json", person("bob", 1, "null"));
    lake.sync().await;
    lake.define("tables/trusted/members.sql", "select p.email, p.at from people p");
    let fail = "[[expectations]]\nname = \"few\"\ncheck = \"n < 3\"\naction = \"fail\"\n";
    lake.define("tables/curated/items.toml", &(derived("auto") + fail));
    let before = lake.files();
    let plan = with_rows(&lake).await;
    assert_eq!(lake.files(), before);
    let refused = |table: &str| match &plan_of(&plan, table).computed.as_ref().unwrap().verdict {
        Verdict::Refused(error) => (error.kind(), error.message().to_owned()),
        other => panic!("{table}: {other:?}"),
    };
    assert_eq!(
        refused("members"),
        (Kind::Evidence, "members would hold rows of 1 person who has not consented".to_owned())
    );
    assert_eq!(refused("items").0, Kind::Evidence);
    assert_eq!(exit::of_plan(&plan, false), 3);
    assert_eq!(exit::of_sync(&lake.try_sync().await), 3);
}

/// All forms of a plan.
fn forms() -> [PlanOptions; 4] {
    let plain = PlanOptions::default;
    [
        plain(),
        PlanOptions { explain: true, ..plain() },
        PlanOptions { rows: true, ..plain() },
        PlanOptions { rows: true, select: vec!["cheap".into()], ..plain() },
    ]
}

/// A plan of a form, which writes into no store.
async fn read_only(lake: &Lake, form: &PlanOptions, what: &str) -> PlanOutcome {
    let counting = Plan::counting();
    let plan = inspect::plan_with(&lake.site_through(counting.storage()).await, form).await.unwrap();
    assert!(plan.problem.is_none(), "{what}: {form:?}: {:?}", plan.problem);
    assert_eq!(counting.writes(), Vec::<usize>::new(), "{what}: {form:?}");
    assert!(counting.calls() > 0, "{what}: {form:?}");
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plan_writes_into_any_store() {
    for state in STATES {
        let lake = in_state(state).await;
        let before = lake.files();
        for form in forms() {
            read_only(&lake, &form, state).await;
        }
        assert_eq!(lake.files(), before, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_on_s3_needs_no_right_to_write() {
    let Some(aws) = Aws::shared() else { return };
    let lake = shop("auto").in_cloud(aws);
    lake.land("orders/a.json", orders(0..8));
    for form in forms() {
        read_only(&lake, &form, "before the first sync").await;
    }
    assert!(lake.files().is_empty(), "not even a probe");
    lake.sync().await;
    lake.define("tables/trusted/cheap.sql", &CHEAP.replace("< 5", "< 3"));
    lake.land("orders/b.json", orders(8..12));
    let (plan, before) = (saved(&lake).await, lake.files());
    for form in forms() {
        let plan = read_only(&lake, &form, "a changed query").await;
        if form.rows {
            assert_eq!(plan_of(&plan, "cheap").computed.as_ref().unwrap().rows.deleted, 2);
        }
    }
    assert_eq!(lake.files(), before);
    lake.land("orders/c.json", orders(12..13));
    let outcome = apply(&lake, &plan).await.unwrap();
    assert_ok(&outcome);
    assert_eq!(of(&outcome, "orders").rows.inserted, 4);
    let stale = apply(&lake, &plan).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_lists_every_change_of_columns_and_who_makes_it() {
    let lake = in_state("pending migration").await;
    lake.define(
        "tables/landing/orders.toml",
        &format!("{}zone = \"string\"\n", ORDERS.replace("item =", "sku =").replace("price = \"double\"", "")),
    );
    lake.define(
        "migrations/0001_sku.sql",
        "alter table orders rename column item to sku;\nalter table orders drop column price;\n",
    );
    lake.define("tables/trusted/cheap.sql", "select o.id, o.sku from orders o where o.id < 5");
    let plan = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    let lines = |table: &str| -> Vec<String> {
        let line = |c: &stedi_delta::outcome::SchemaChange| {
            let side = |text: &Option<String>| text.clone().unwrap_or_default();
            let by = side(&c.migration);
            format!("{} {} {}>{} {by}", c.kind.sign(), c.column, side(&c.before), side(&c.after))
        };
        plan_of(&plan, table).schema.iter().map(line).collect()
    };
    assert_eq!(lines("orders"), ["~ item item>sku 0001_sku", "- price double> 0001_sku", "+ zone >string "]);
    assert_eq!(lines("cheap"), ["- item string> ", "- price double> ", "+ sku >string "]);
    let bytes = lake.table("landing/orders").await.size().1;
    assert_eq!(plan_of(&plan, "orders").rewrite.map(|r| (r.statements, r.bytes)), Some((2, 2 * bytes)));
    assert_eq!(plan.migrations.iter().map(|m| m.statements.len()).collect::<Vec<_>>(), [2]);
    let changed: Vec<&str> = plan.catalog.changes.iter().map(|c| c.table.as_str()).collect();
    assert_eq!(changed, ["orders", "cheap", "items"]);
    assert_eq!(plan_of(&plan, "members").action, Action::Do(Mode::None));
    // The catalog then has nothing left to do.
    lake.sync().await;
    let even = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    assert_eq!(even.catalog.changes, []);
    assert!(!exit::is_pending(&even));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_a_column_that_a_migration_changes_is_planned_in_full_and_nothing_else() {
    let landing = "description = \"N\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n[columns]\nid = \"long\"\na = \"long\"\nb = \"long\"\n";
    let lake = Lake::project(&[
        ("tables/landing/n.toml", landing),
        ("tables/trusted/reads.toml", &derived("auto")),
        ("tables/trusted/reads.sql", "select n.id, n.a from n"),
        ("tables/trusted/only.toml", &derived("incremental")),
        ("tables/trusted/only.sql", "select n.a from n"),
        ("tables/trusted/blind.toml", &derived("auto")),
        ("tables/trusted/blind.sql", "select n.id from n"),
    ]);
    lake.land("n/a.json", "{\"id\":1,\"a\":2,\"b\":3}\n");
    lake.sync().await;
    // The same names and types afterwards: only the migration tells.
    let renamed = |from: &str, to: &str| format!("alter table n rename column {from} to {to};\n");
    let swap = renamed("a", "t") + &renamed("b", "a") + &renamed("t", "b");
    lake.define("migrations/0001_swap.sql", &swap);
    let plan = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    let reads = plan_of(&plan, "reads");
    assert_eq!((reads.action, reads.reason.as_str()), (Action::Do(Mode::Full), "a migration changed column `a` (n)"));
    assert_eq!(plan_of(&plan, "only").action, Action::Stop);
    assert_eq!(plan_of(&plan, "blind").action, Action::Do(Mode::Incremental));
    let outcome = lake.try_sync().await;
    assert_eq!(
        (of(&outcome, "reads").mode, of(&outcome, "reads").reason.as_str()),
        (Mode::Full, reads.reason.as_str())
    );
    assert!(of(&outcome, "only").problem.is_some());
    assert_ne!(of(&outcome, "blind").mode, Mode::Full);
}
