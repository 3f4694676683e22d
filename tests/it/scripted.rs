//! A long history on STEDI's own data: files in pieces, consents withdrawn and given, a migration, an optimize, a foreign
//! write, restores and a vacuum. What every command says of its versions is compared with DuckDB over their data files.

mod asked;
mod people;
mod script;

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use asked::Commands;
use chrono::{Days, NaiveDate};
use script::{Cut, GUARDED, LANDING, SYNCS, Script, VACUUMED};
use serde_json::Value;

const TRAINING: &str = "machine_learning_curated";
/// Queries of several tables at once.
const QUERIES: [&str; 2] = [
    "select c.email, count(*) as n, sum(a.timestamp) as times from customer_trusted c \
     join accelerometer_trusted a on a.user = c.email group by c.email",
    "select (select count(*) from machine_learning_curated) as rows_of_training, \
     (select sum(distancefromobject) from step_trainer_trusted) as distance, \
     (select count(*) from customer_landing) as customers, (select count(*) from accelerometer_landing) as readings",
];

/// Some versions up to one of them, both ends included.
fn some(newest: u64) -> BTreeSet<u64> {
    (0..=5).map(|n| newest * n / 5).collect()
}

fn day(version: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().checked_add_days(Days::new(version)).unwrap()
}

/// Lets each version of the training table, from which nothing is computed, be of a day of its own.
fn one_version_a_day(script: &Script) {
    let log = script.lake.warehouse().join("curated").join(TRAINING).join("_delta_log");
    for version in 0..=script.cuts.last().unwrap().versions[TRAINING] {
        let file = log.join(format!("{version:020}.json"));
        let text = fs::read_to_string(&file).unwrap();
        let ms = day(version).and_hms_opt(12, 0, 0).unwrap().and_utc().timestamp_millis();
        let lines = text.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            if let Some(info) = action.get_mut("commitInfo") {
                info["timestamp"] = ms.into();
            }
            action.to_string() + "\n"
        });
        let lines: String = lines.collect();
        fs::write(&file, lines).unwrap();
    }
}

/// Rows, differences and queries of versions, by number and by time.
fn ask_of_rows(commands: &Commands<'_>, cuts: &[Cut]) {
    let newest = &cuts.last().unwrap().versions;
    for (table, newest) in newest {
        commands.history(table);
        let versions: Vec<u64> = some(*newest).into_iter().collect();
        for version in &versions {
            commands.show(table, *version);
        }
        commands.version(&format!("{table}@v{}", versions[2]), table, versions[2]);
        commands.version(&format!("{table} version as of {}", versions[3]), table, versions[3]);
        for pair in versions.windows(2) {
            commands.diff(table, pair[0], pair[1]);
        }
        commands.diff(table, 0, *newest);
        commands.diff(table, *newest, versions[2]);
    }
    for cut in cuts.iter().step_by(7).chain(cuts.iter().filter(|cut| cut.is_failed)) {
        for (table, version) in cut.versions.iter().filter(|(table, _)| *table != TRAINING).step_by(3) {
            commands.version(&format!("{table}@{}", cut.time()), table, *version);
        }
        for sql in QUERIES.iter().filter(|_| !cut.is_failed) {
            commands.as_of(&cut.time(), sql, &cut.versions);
        }
        if cut.is_failed {
            let refused = commands.run(&["query", QUERIES[0], "--as-of", &cut.time()]);
            assert!(refused.code == 64 && refused.err.contains("failed: it left no cut"), "{}", refused.err);
        }
    }
    for version in some(newest[TRAINING]) {
        commands.version(&format!("{TRAINING}@{}", day(version)), TRAINING, version);
    }
    let of_some: Vec<&Cut> = cuts.iter().filter(|cut| !cut.is_failed).step_by(20).collect();
    for pair in of_some.windows(2).filter(|pair| pair[0].versions[VACUUMED] == pair[1].versions[VACUUMED]) {
        commands.lake_diff(pair[0], pair[1]);
    }
    commands.lake_diff(&cuts[cuts.len() - 8], &cuts[cuts.len() - 1]);
}

fn ask_audits(commands: &Commands<'_>, script: &Script) {
    let newest = &script.cuts.last().unwrap().versions;
    let audit = commands.consent();
    for (email, serial) in &script.actors[..3] {
        for (table, column, value) in [
            ("customer_landing", "email", email),
            ("accelerometer_landing", "user", email),
            (VACUUMED, "email", email),
            ("accelerometer_trusted", "user", email),
            ("step_trainer_trusted", "serialnumber", serial),
            (TRAINING, "serialnumber", serial),
        ] {
            commands.membership(table, column, value);
        }
    }
    for (_, table, ..) in GUARDED {
        for version in some(newest[table]) {
            commands.lineage(table, version);
        }
        let violated = audit["versions"].as_array().unwrap().iter();
        let violated = violated.filter(|of| of["table"] == table && of["verdict"] == "violated");
        let mut versions: BTreeSet<u64> = violated.map(|of| of["version"].as_u64().unwrap()).collect();
        versions.extend((0..=newest[table]).step_by(if table == TRAINING { 4 } else { 8 }));
        versions.insert(newest[table]);
        for version in versions {
            commands.verify(table, version);
        }
    }
    for table in LANDING {
        commands.lineage(table, newest[table] / 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some minutes: scripts/test --test it -- --ignored scripted::"]
async fn every_command_says_of_a_long_history_what_duckdb_finds_in_the_files_of_its_versions() {
    let began = Instant::now();
    let script = Script::played().await;
    assert!(script.cuts.len() > SYNCS && script.cuts.iter().any(|cut| cut.is_failed));
    eprintln!("{} syncs in {:.1} s", script.cuts.len(), began.elapsed().as_secs_f64());
    one_version_a_day(&script);
    let commands = Commands::on(&script);
    ask_of_rows(&commands, &script.cuts);
    ask_audits(&commands, &script);
    let compared = commands.compared();
    eprintln!("{:.1} s in all", began.elapsed().as_secs_f64());
    // Without a second engine nothing was compared.
    let Some(verified) = compared.get("verify") else { return };
    let of = |verdict: &str| verified.iter().filter(|of| of["verdict"] == verdict).count();
    assert!(of("equal") > 20 && of("unknown") > 0, "{verified:?}");
    let judged = || compared["consent"].iter().flat_map(|of| of.as_array().unwrap());
    let of = |verdict: &str| judged().filter(|of| of["verdict"] == verdict).count();
    assert!(of("holds") > 100 && of("violated") == 1 && of("unknown") > 0);
    let violated = judged().find(|of| of["verdict"] == "violated").unwrap();
    assert_eq!((&violated["version"], &violated["violations"]), (&script.planted.into(), &1.into()));
    let gone = |kind: &str| compared[kind].iter().filter(|of| **of == "gone").count();
    assert!(gone("rows") > 0 && gone("diff") > 0 && gone("membership") > 0);
    let changed = compared["membership"].iter().filter_map(Value::as_array).map(Vec::len).max();
    assert!(changed > Some(2), "somebody went and came back");
    let counted = compared["history"].iter().flat_map(|of| of.as_array().unwrap());
    assert!(counted.filter(|of| of["came"].is_number()).count() > 100);
}
