//! `audit consent` and `audit verify` over histories with foreign writers, withdrawals and vacuums.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::array::{Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::Value;
use stedi_delta::audit::{self, Scope};
use stedi_delta::cli::exit;
use stedi_delta::outcome::{
    ConsentAudit, ConsentAudits, ConsentVerdict, ConsentVersion, Mode, Problem, VerifyAudit, VerifyVerdict,
};
use stedi_delta::{Privacy, Workspace};
use url::Url;

use crate::support::slow::Reads;
use crate::support::traces::seed;
use crate::support::{Lake, foreign_delete, of};

const PEOPLE: &str = "description = \"People\"\n[source]\npath = \"people/*.json\"\nformat = \"json\"\n[columns]\n\
     email = { type = \"string\", classification = \"pii\" }\nshares = \"long\"\nat = \"long\"\n\
     [grants]\nsubjects = [\"email\"]\ngranted = \"shares is not null\"\nlatest = [\"at\"]\n";
const READINGS: &str = "description = \"Readings\"\n[source]\npath = \"readings/*.json\"\nformat = \"json\"\n[columns]\n\
     user = { type = \"string\", classification = \"pii\" }\nn = \"long\"\n";
const MEMBERS: &str = "select email from (select email, shares, row_number() over (partition by email \
     order by at desc nulls last, case when shares is null then 0 else 1 end, source_file, source_offset) as newest \
     from people) as p where newest = 1 and shares is not null";
const TRUSTED: &str = "trusted/kept";

/// `kept` holds the readings of people who share.
fn lake() -> Lake {
    let sql = format!("select r.user, r.n from readings r where r.user in ({MEMBERS})");
    Lake::project(&[
        ("tables/landing/people.toml", PEOPLE),
        ("tables/landing/readings.toml", READINGS),
        ("tables/trusted/kept.toml", "description = \"Kept\"\n[consent]\nsubject = \"user\"\nnames = \"email\"\n"),
        ("tables/trusted/kept.sql", &sql),
    ])
}

fn person(name: &str, shares: bool, at: u64) -> String {
    let shares = if shares { "1" } else { "null" };
    format!("{{\"email\":\"{name}@example.com\",\"shares\":{shares},\"at\":{at}}}\n")
}

fn reading(name: &str, n: u64) -> String {
    format!("{{\"user\":\"{name}@example.com\",\"n\":{n}}}\n")
}

fn folder(lake: &Lake, table: &str) -> PathBuf {
    lake.warehouse().join(table)
}

async fn open(folder: &Path) -> DeltaTable {
    DeltaTableBuilder::from_url(Url::from_directory_path(folder).unwrap()).unwrap().load().await.unwrap()
}

/// Another writer appends a reading.
async fn plant(lake: &Lake, name: &str, n: i64) {
    let fields = vec![Field::new("user", DataType::Utf8, true), Field::new("n", DataType::Int64, true)];
    let user = StringArray::from(vec![format!("{name}@example.com")]);
    let columns: Vec<deltalake::arrow::array::ArrayRef> = vec![Arc::new(user), Arc::new(Int64Array::from(vec![n]))];
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    open(&folder(lake, TRUSTED)).await.write(vec![rows]).await.unwrap();
}

/// The newest commit declares that it changed no row.
fn pretend(lake: &Lake, version: u64) {
    let commit = folder(lake, TRUSTED).join(format!("_delta_log/{version:020}.json"));
    let text = fs::read_to_string(&commit).unwrap();
    let lines = text.lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        for name in ["add", "remove"] {
            if let Some(file) = action.get_mut(name) {
                file["dataChange"] = false.into();
            }
        }
        action.to_string() + "\n"
    });
    fs::write(&commit, lines.collect::<String>()).unwrap();
}

async fn vacuum(lake: &Lake, table: &str) {
    let vacuum = open(&folder(lake, table)).await.vacuum().with_retention_period(chrono::Duration::zero());
    vacuum.with_enforce_retention_duration(false).await.unwrap();
}

async fn audits(workspace: &Workspace, text: Option<&str>, all: bool) -> ConsentAudits {
    let scope = Scope::parse(text, None, &Default::default()).unwrap();
    let scope = if all { scope.at_all_versions().unwrap() } else { scope };
    audit::consent(workspace, &scope).await.unwrap_or_else(|e| panic!("{e} {:?}", e.facts()))
}

async fn all_versions(lake: &Lake) -> ConsentAudit {
    let mut audits = audits(&lake.workspace().await, Some("kept"), true).await;
    assert_eq!(audits.tables.len(), 1);
    let audit = audits.tables.remove(0);
    assert!(audit.problem.is_none(), "{:?}", audit.problem);
    audit
}

/// `holds`, `violated 2 of 1` or `unknown: why` of each version.
fn verdicts(audit: &ConsentAudit) -> Vec<String> {
    let verdict = |version: &ConsentVersion| match version.verdict {
        ConsentVerdict::Holds => "holds".to_owned(),
        ConsentVerdict::Violated => format!("violated {} of {}", version.violations.unwrap(), version.offenders),
        ConsentVerdict::Unknown => format!("unknown: {}", version.because.clone().unwrap()),
    };
    assert!(audit.versions.iter().map(|v| v.version).eq(0..audit.versions.len() as u64));
    audit.versions.iter().map(verdict).collect()
}

/// Each readable version, audited on its own and by a query over the recorded cut, is as in the audit of all versions.
async fn assert_alike(lake: &Lake, audit: &ConsentAudit) {
    let workspace = lake.workspace().await;
    for found in &audit.versions {
        let alone = audits(&workspace, Some(&format!("kept@v{}", found.version)), false).await.tables.remove(0);
        let alone = &alone.versions[0];
        let facts =
            |v: &ConsentVersion| (v.version, v.grants, v.rows, v.subjects, v.violations, v.offenders, v.verdict);
        assert_eq!(facts(alone), facts(found));
        let (Some(grants), Some(violations)) = (found.grants, found.violations) else { continue };
        let members = MEMBERS.replace("from people", &format!("from \"people@v{grants}\""));
        let (version, rows) = (found.version, found.rows.unwrap());
        let kept = format!("\"kept@v{version}\"");
        let counted = lake.count(&format!("select count(*) from {kept} as k")).await;
        assert_eq!(u64::try_from(counted).unwrap(), rows, "v{version}");
        let sql = format!(
            "select count(*) from {kept} as k where not exists (select 1 from ({members}) m where m.email = k.user)"
        );
        assert_eq!(u64::try_from(lake.count(&sql).await).unwrap(), violations, "v{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_row_is_found_in_the_versions_that_hold_it_and_in_no_other() {
    let lake = lake();
    lake.land("people/a.json", person("ann", true, 1) + &person("bob", false, 1));
    lake.land("readings/a.json", reading("ann", 1) + &reading("ann", 2) + &reading("bob", 3));
    lake.sync().await;
    plant(&lake, "bob", 9).await;
    plant(&lake, "ann", 10).await;
    lake.sync().await;
    lake.land("readings/b.json", reading("ann", 4));
    lake.sync().await;
    let audit = all_versions(&lake).await;
    assert_eq!(verdicts(&audit), ["holds", "violated 1 of 1", "violated 1 of 1", "holds", "holds"]);
    let sizes: Vec<_> =
        audit.versions.iter().map(|v| (v.rows.unwrap(), v.subjects.unwrap(), v.grants.unwrap())).collect();
    assert_eq!(sizes, [(2, 1, 0), (3, 2, 0), (4, 2, 0), (2, 1, 0), (3, 1, 0)]);
    let [offender] = audit.offenders.as_slice() else { panic!("{:?}", audit.offenders) };
    let shown = Privacy::new(Some("test"), false).show("bob@example.com");
    assert_eq!((offender.subject.as_deref(), offender.rows), (Some(shown.as_str()), 1));
    assert_eq!((offender.first, offender.last), (1, 2));
    assert!(!format!("{audit:?}").contains("example.com"));
    assert_alike(&lake, &audit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_found_whatever_its_commit_declares() {
    let lake = lake();
    lake.land("people/a.json", person("ann", true, 1) + &person("bob", false, 1));
    lake.land("readings/a.json", reading("ann", 1));
    lake.sync().await;
    plant(&lake, "bob", 9).await;
    pretend(&lake, 1);
    let audit = all_versions(&lake).await;
    assert_eq!(verdicts(&audit), ["holds", "violated 1 of 1"]);
    // An honest one changes nothing.
    open(&folder(&lake, TRUSTED)).await.optimize().await.unwrap();
    let audit = all_versions(&lake).await;
    assert_eq!(verdicts(&audit)[2..], ["violated 1 of 1"]);
    assert_alike(&lake, &audit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_is_judged_by_the_cut_that_it_was_computed_from() {
    let lake = lake();
    lake.land("people/a.json", person("ann", true, 1) + &person("bob", true, 1));
    lake.land("readings/a.json", reading("ann", 1) + &reading("bob", 2) + &reading("bob", 3));
    lake.sync().await;
    lake.land("people/b.json", person("bob", false, 2));
    lake.sync().await;
    lake.land("people/c.json", person("bob", true, 3) + &person("ann", false, 3));
    lake.sync().await;
    let audit = all_versions(&lake).await;
    assert_eq!(verdicts(&audit), ["holds"; 3]);
    assert!(audit.versions.iter().map(|v| v.rows.unwrap()).eq([3, 1, 2]));
    // Readings of people whose consent ended since come back.
    open(&folder(&lake, TRUSTED)).await.restore().with_version_to_restore(0).await.unwrap();
    foreign_delete(&lake, TRUSTED, "n = 2").await;
    let audit = all_versions(&lake).await;
    assert_eq!(verdicts(&audit)[3..], ["violated 1 of 1", "violated 1 of 1"]);
    assert_alike(&lake, &audit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_judged_as_each_version_alone() {
    let lake = lake();
    let names = ["ann", "bob", "eve", "joe"];
    let mut random = seed();
    eprintln!("seed {random}");
    let mut next = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    for step in 0..24 {
        let name = names[usize::try_from(next(4)).unwrap()];
        match next(8) {
            0..3 => lake.land(&format!("people/{step}.json"), person(name, next(3) > 0, step)),
            3..5 => lake.land(&format!("readings/{step}.json"), reading(name, step) + &reading("ann", step)),
            _ if step == 0 => {}
            5 => plant(&lake, name, 1000).await,
            6 => foreign_delete(&lake, TRUSTED, "n < 5").await,
            _ => drop(open(&folder(&lake, TRUSTED)).await.optimize().await.unwrap()),
        }
        if next(3) > 0 || step == 0 {
            lake.sync().await;
        }
    }
    let audit = all_versions(&lake).await;
    assert!(audit.versions.len() > 8, "{:?}", verdicts(&audit));
    assert_alike(&lake, &audit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_were_vacuumed_or_left_the_log_are_unknown() {
    let lake = lake();
    lake.land("people/a.json", person("ann", true, 1) + &person("bob", true, 1));
    lake.land("readings/a.json", reading("ann", 1) + &reading("bob", 2));
    lake.sync().await;
    lake.land("people/b.json", person("bob", false, 2));
    lake.sync().await;
    vacuum(&lake, TRUSTED).await;
    lake.land("readings/b.json", reading("ann", 3));
    lake.sync().await;
    let audit = all_versions(&lake).await;
    let verdicts_now = verdicts(&audit);
    assert_eq!(verdicts_now[0], "unknown: v0 was vacuumed");
    assert!(verdicts_now[1..].iter().all(|verdict| verdict == "holds"), "{verdicts_now:?}");
    assert_eq!(audit.versions[0].rows, None);
    let audits = audits(&lake.workspace().await, None, true).await;
    assert_eq!((exit::of_consent(&audits, false), exit::of_consent(&audits, true)), (0, 3));
    // The log up to its checkpoint is removed.
    while lake.table(TRUSTED).await.version() < 22 {
        lake.land(&format!("readings/{}.json", lake.table(TRUSTED).await.version()), reading("ann", 4));
        lake.sync().await;
    }
    for version in 0..19 {
        fs::remove_file(folder(&lake, TRUSTED).join(format!("_delta_log/{version:020}.json"))).unwrap();
    }
    let audit = all_versions(&lake).await;
    let verdicts_now = verdicts(&audit);
    assert!(verdicts_now[..19].iter().all(|v| v == "unknown: the log begins at v19: older entries were removed"));
    assert!(verdicts_now[19..].iter().all(|verdict| verdict == "holds"), "{verdicts_now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_consent_that_is_gone_leaves_the_version_unknown() {
    let lake = lake();
    lake.land("people/a.json", person("ann", true, 1));
    lake.land("readings/a.json", reading("ann", 1));
    lake.sync().await;
    lake.define("tables/landing/people.toml", &PEOPLE.replace("format", "on_overwrite = \"replace\"\nformat"));
    lake.land("people/a.json", person("ann", true, 2));
    lake.sync().await;
    vacuum(&lake, "landing/people").await;
    lake.land("readings/b.json", reading("ann", 2));
    lake.sync().await;
    let audit = all_versions(&lake).await;
    let found = verdicts(&audit);
    assert_eq!(found[0], "unknown: people v0 was vacuumed");
    assert!(found.len() > 1 && found[1..].iter().all(|verdict| verdict == "holds"), "{found:?}");
    assert_eq!(audit.versions[0].rows, Some(1), "its own rows are there");
}

/// Bytes of Parquet files, but for checkpoints, that an audit of all versions reads, and the versions.
async fn cost(lake: &Lake) -> (u64, usize) {
    let reads = Reads::after(Duration::ZERO);
    let workspace = lake.site_through(reads.storage()).await;
    let started = std::time::Instant::now();
    let audits = audits(&workspace, Some("kept"), true).await;
    let versions = &audits.tables[0].versions;
    assert!(versions.iter().all(|version| version.verdict == ConsentVerdict::Holds));
    let is_data = |file: &str| file.ends_with(".parquet") && !file.contains("checkpoint");
    let bytes: u64 = reads.by_file().iter().filter(|(file, _)| is_data(file)).map(|(_, (_, bytes))| bytes).sum();
    eprintln!("{} versions: {bytes} bytes of data files, {:?}", versions.len(), started.elapsed());
    (bytes, versions.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_of_all_versions_grows_with_the_changes() {
    let lake = lake();
    // Merged files are versions of their own.
    let project = fs::read_to_string(lake.root().join("stedi-delta.toml")).unwrap();
    lake.define("stedi-delta.toml", &(project + "[defaults]\nauto_optimize = false\n"));
    let crowd: String = (0..200).map(|n| person(&format!("p{n}"), true, 1)).collect();
    lake.land("people/a.json", crowd);
    let readings: String = (0..20_000).map(|n| reading(&format!("p{}", n % 200), n)).collect();
    lake.land("readings/a.json", readings);
    lake.sync().await;
    let mut read = Vec::new();
    for rounds in [20, 40, 60] {
        while lake.table(TRUSTED).await.version() < rounds {
            let version = lake.table(TRUSTED).await.version();
            match version % 5 {
                0 => lake.land(&format!("people/{version}.json"), person(&format!("p{version}"), false, 2)),
                _ => lake.land(&format!("readings/{version}.json"), reading("p199", version)),
            }
            lake.sync().await;
        }
        read.push(cost(&lake).await.0);
    }
    eprintln!("the table has {} bytes", lake.table(TRUSTED).await.size().1);
    // The same number of changes costs the same, however many versions there are.
    let (first, second) = (read[1] - read[0], read[2] - read[1]);
    assert!(second < first + first / 2, "{read:?}");
    assert_eq!(cost(&lake).await.1, 61);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pseudonymous_table_is_guarded_like_any_other() {
    let lake = lake();
    let consent = "description = \"T\"\n[consent]\nsubject = \"who\"\nnames = \"email\"\nby = \"sha256(email)\"\n";
    lake.define("tables/curated/training.toml", consent);
    lake.define("tables/curated/training.sql", "select sha256(k.user) as who, k.n from kept k");
    lake.land("people/a.json", person("ann", true, 1) + &person("bob", true, 1) + &person("eve", false, 1));
    lake.land("readings/a.json", reading("ann", 1) + &reading("bob", 2) + &reading("eve", 3));
    lake.sync().await;
    lake.land("people/b.json", person("bob", false, 2));
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "training").mode, Mode::Incremental, "{}", of(&outcome, "training").reason);
    assert_eq!(lake.rows("select n from training").await, ["1"]);
    lake.assert_recomputed().await;
    let mut found = audits(&lake.workspace().await, Some("training"), true).await;
    assert_eq!(verdicts(&found.tables.remove(0)), ["holds", "holds"]);
    // A query that forgets its filter is refused, and its subjects are named by hashes of their pseudonyms.
    lake.define("tables/curated/training.sql", "select sha256(r.user) as who, r.n from readings r");
    let outcome = lake.try_sync().await;
    let Some(Problem::Failed(error)) = &of(&outcome, "training").problem else { panic!("{outcome:?}") };
    assert_eq!(error.message(), "training would hold rows of 2 people who have not consented");
    // Rows of another writer.
    lake.define("tables/curated/training.sql", "select sha256(k.user) as who, k.n from kept k");
    open(&folder(&lake, "curated/training")).await.restore().with_version_to_restore(0).await.unwrap();
    let found = audits(&lake.workspace().await, Some("training"), true).await.tables.remove(0);
    assert_eq!(verdicts(&found), ["holds", "holds", "violated 1 of 1"]);
}

async fn verified(lake: &Lake, text: &str) -> VerifyAudit {
    let scope = Scope::parse(Some(text), None, &Default::default()).unwrap();
    let mut found = audit::verify(&lake.workspace().await, &scope).await.unwrap_or_else(|e| panic!("{e}"));
    let found = found.tables.remove(0);
    assert!(found.problem.is_none(), "{:?}", found.problem);
    found
}

async fn verify_all(lake: &Lake) -> Vec<(u64, VerifyVerdict)> {
    let mut found = Vec::new();
    for version in 0..=lake.table(TRUSTED).await.version() {
        found.push((version, verified(lake, &format!("kept@v{version}")).await.verdict));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_recomputed_from_the_versions_that_it_records() {
    use VerifyVerdict::{Different, Equal, Unknown};
    let lake = lake();
    lake.land("people/a.json", person("ann", true, 1) + &person("bob", true, 1));
    lake.land("readings/a.json", reading("ann", 1) + &reading("bob", 2));
    lake.sync().await;
    lake.land("people/b.json", person("bob", false, 2));
    lake.sync().await;
    plant(&lake, "ann", 77).await;
    lake.sync().await;
    lake.land("readings/b.json", reading("ann", 5));
    lake.sync().await;
    assert_eq!(verify_all(&lake).await, [(0, Equal), (1, Equal), (2, Different), (3, Equal), (4, Equal)]);
    let planted = verified(&lake, "kept@v2").await.verified.unwrap();
    assert_eq!((planted.rows_missing, planted.rows_extra), (0, 1));
    // Landing and system tables are compared with their digests.
    let scope = Scope::parse(None, None, &Default::default()).unwrap();
    let found = audit::verify(&lake.workspace().await, &scope).await.unwrap();
    assert_eq!((exit::of_verify(&found, false), exit::of_verify(&found, true)), (0, 0));
    let found: Vec<_> = found.tables.iter().map(|table| (table.table.as_str(), table.verdict)).collect();
    let expected = [("people", Equal), ("readings", Equal), ("kept", Equal), ("files", Equal), ("runs", Equal)];
    assert_eq!(found, expected);
    // One byte of a data file.
    let file = lake.table(TRUSTED).await.files().remove(0).path;
    let path = folder(&lake, TRUSTED).join(&file);
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    flipped[48] ^= 0x10;
    fs::write(&path, flipped).unwrap();
    let found = verified(&lake, "kept").await;
    assert_eq!(found.verdict, Different, "{found:?}");
    fs::write(&path, bytes).unwrap();
    // Without the older files of its source.
    lake.define("tables/landing/people.toml", &PEOPLE.replace("format", "on_overwrite = \"replace\"\nformat"));
    lake.land("people/a.json", person("ann", true, 3) + &person("bob", true, 1));
    lake.sync().await;
    vacuum(&lake, "landing/people").await;
    let found = verified(&lake, "kept@v1").await;
    assert_eq!(found.verdict, Unknown);
    assert_eq!(found.because.unwrap(), "people v1 was vacuumed");
    // Another query did not compute it.
    lake.define(
        "tables/trusted/kept.sql",
        &format!("select r.user, r.n from readings r where r.n > 1 and r.user in ({MEMBERS})"),
    );
    let found = verified(&lake, "kept").await;
    assert_eq!(found.because.unwrap(), "it was computed by another definition than the present one");
}
