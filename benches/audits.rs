//! What the commands about the past read: an audit of consent by the number of versions, and a difference of two versions
//! of a large table of which a few files were rewritten. In this process, on a local disk that counts bytes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use deltalake::DeltaTableBuilder;
use deltalake::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use stedi_delta::audit::{self, DiffOptions, Scope};
use stedi_delta::internals::definition::{Column, ColumnType};
use stedi_delta::internals::lake::{Change, Commit, DataWriter, LakeTable, Layout, Properties, TableSpec, create};
use stedi_delta::outcome::ConsentVerdict;
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::travel::Point;
use stedi_delta::workspace::WorkspaceOptions;
use stedi_delta::{Privacy, Storage, Workspace, sync};

use crate::slow::Reads;

/// Versions after which all are audited.
const VERSIONS: [u64; 3] = [10, 100, 1000];
/// The version to which another writer adds a row that it may not hold.
const PLANTED: u64 = 5;
const PEOPLE: u64 = 200;
const READINGS: u64 = 20_000;

/// Rows of the large table, its files, and how many of them are rewritten with one row changed in each.
const ROWS: u64 = 10_000_000;
const FILES: u64 = 1000;
const REWRITTEN: u64 = 10;

/// Prints the tables.
pub(crate) fn measure() {
    let runtime = crate::runtime();
    runtime.block_on(consent());
    runtime.block_on(difference());
}

/// A project in a temporary folder.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder") };
        let settings = "name = \"audits\"\nzones = [\"landing\", \"trusted\"]\n[targets.dev]\nlanding = \"l\"\n\
                        warehouse = \"w\"\n";
        project.write("stedi-delta.toml", settings);
        files.iter().for_each(|(path, text)| project.write(path, text));
        project
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(&path, text).expect("it can be written");
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(old)).expect("it can be aged");
    }

    async fn open(&self, storage: Storage) -> Workspace {
        let options = WorkspaceOptions { root: self.folder.path().into(), ..WorkspaceOptions::default() };
        Workspace::open(&options, storage, Privacy::new(Some("bench"), false)).await.expect("the project is valid")
    }

    async fn sync(&self) {
        let silent: Arc<dyn Progress> = Arc::new(Silent);
        let outcome = sync::sync(&self.open(Storage::default()).await, &sync::Options::default(), &silent).await;
        assert!(outcome.problem.is_none() && outcome.tables.iter().all(|table| table.problem.is_none()), "{outcome:?}");
    }

    async fn table(&self, path: &str) -> LakeTable {
        let location = Storage::default().location(path, &self.path("w")).expect("a location");
        LakeTable::open(&location).await.expect("it opens").expect("it is there")
    }
}

/// Bytes of data files, and of checkpoints.
fn read(reads: &Reads) -> (u64, u64) {
    let (checkpoints, data): (Vec<_>, Vec<_>) =
        reads.by_file().into_iter().partition(|(file, _)| file.contains("checkpoint"));
    let sum = |files: Vec<(String, (usize, u64))>| files.iter().map(|(_, (_, bytes))| bytes).sum();
    (sum(data), sum(checkpoints))
}

fn person(n: u64, shares: bool, at: u64) -> String {
    let shares = if shares { "1" } else { "null" };
    format!("{{\"email\":\"p{n}@example.com\",\"shares\":{shares},\"at\":{at}}}\n")
}

fn reading(n: u64, value: u64) -> String {
    format!("{{\"user\":\"p{n}@example.com\",\"n\":{value}}}\n")
}

/// Every fifth version changes consent, the others add a row.
async fn consent() {
    let landing = |name: &str, columns: &str| {
        format!("description = \"x\"\n[source]\npath = \"{name}/*.json\"\nformat = \"json\"\n[columns]\n{columns}")
    };
    let pii = "{ type = \"string\", classification = \"pii\" }";
    let people = format!(
        "email = {pii}\nshares = \"long\"\nat = \"long\"\n[grants]\nsubjects = [\"email\"]\n\
         granted = \"shares is not null\"\nlatest = [\"at\"]\n"
    );
    let project = Project::new(&[
        ("tables/landing/people.toml", &landing("people", &people)),
        ("tables/landing/readings.toml", &landing("readings", &format!("user = {pii}\nn = \"long\"\n"))),
        ("tables/trusted/kept.toml", "description = \"x\"\n[consent]\nsubject = \"user\"\nnames = \"email\"\n"),
        (
            "tables/trusted/kept.sql",
            "select r.user, r.n from readings r where r.user in (select email from (select email, shares, \
             row_number() over (partition by email order by at desc nulls last, case when shares is null then 0 else 1 end, \
             source_file, source_offset) as newest from people) as p where newest = 1 and shares is not null)",
        ),
    ]);
    project.write("l/people/a.json", &(0..PEOPLE).map(|n| person(n, true, 1)).collect::<String>());
    project.write("l/readings/a.json", &(0..READINGS).map(|n| reading(n % PEOPLE, n)).collect::<String>());
    project.sync().await;
    println!("\naudit consent --all-versions, of {READINGS} rows of {PEOPLE} people at first");
    println!("{:>8} {:>9} {:>12} {:>12} {:>9}", "versions", "time", "data files", "checkpoints", "violated");
    for versions in VERSIONS {
        loop {
            let version = project.table("trusted/kept").await.version();
            if version + 1 >= versions {
                break;
            }
            if version + 1 == PLANTED {
                plant(&project).await;
            } else if version % 5 == 0 {
                project.write(
                    &format!("l/people/{version}.json"),
                    &person(version % (PEOPLE - 1), version % 2 == 0, version),
                );
            } else {
                project.write(&format!("l/readings/{version}.json"), &reading(PEOPLE - 1, version));
            }
            if version + 1 != PLANTED {
                project.sync().await;
            }
        }
        let reads = Reads::after(Duration::ZERO);
        let workspace = project.open(reads.storage()).await;
        let scope = Scope::parse(Some("kept"), None, &Default::default()).and_then(Scope::at_all_versions);
        let began = Instant::now();
        let audits = audit::consent(&workspace, &scope.expect("a scope")).await.expect("an audit");
        let time = began.elapsed();
        let found = &audits.tables[0].versions;
        let violated = found.iter().filter(|version| version.verdict == ConsentVerdict::Violated);
        let violated: Vec<u64> = violated.map(|version| version.version).collect();
        assert_eq!(violated, [PLANTED], "the version with the planted row and no other");
        let (data, checkpoints) = read(&reads);
        println!(
            "{:>8} {:>7.2} s {:>9} KB {:>9} KB {:>9}",
            found.len(),
            time.as_secs_f64(),
            data >> 10,
            checkpoints >> 10,
            format!("v{}", violated[0])
        );
    }
}

/// Another writer adds a row of somebody who is in no record of consent.
async fn plant(project: &Project) {
    let url = url::Url::from_directory_path(project.path("w/trusted/kept")).expect("a path");
    let table = DeltaTableBuilder::from_url(url).expect("a table").load().await.expect("it opens");
    let columns: [(&str, ArrayRef, bool); 2] = [
        ("user", Arc::new(StringArray::from(vec!["nobody@example.com"])), true),
        ("n", Arc::new(Int64Array::from(vec![1])), true),
    ];
    let row = RecordBatch::try_from_iter_with_nullable(columns).expect("a row");
    table.write(vec![row]).await.expect("it is written");
}

/// Rows with these keys; every row of a file that is written anew has the same values but for its first one.
fn rows(keys: std::ops::Range<u64>, changed: bool) -> RecordBatch {
    let first = keys.start;
    let value = |k: u64| if changed && k == first { -1.0 } else { (k % 977) as f64 };
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("k", Arc::new(keys.clone().map(|k| i64::try_from(k).expect("few")).collect::<Int64Array>()), true),
        (
            "v",
            Arc::new(keys.clone().map(|k| Some(format!("value {}", k * 7919 % 1_000_003))).collect::<StringArray>()),
            true,
        ),
        ("x", Arc::new(keys.map(|k| Some(value(k))).collect::<Float64Array>()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("rows")
}

async fn difference() {
    let source = "description = \"S\"\n[source]\npath = \"s/*.json\"\nformat = \"json\"\n[columns]\nk = \"long\"\n\
                  v = \"string\"\nx = \"double\"\n";
    let project = Project::new(&[
        ("tables/landing/s.toml", source),
        ("tables/trusted/things.toml", "description = \"Things\"\nprimary_key = [\"k\"]\n"),
        ("tables/trusted/things.sql", "select k, v, x from s where k is not null"),
    ]);
    let columns = vec![
        Column::new("k", ColumnType::Long),
        Column::new("v", ColumnType::String),
        Column::new("x", ColumnType::Double),
    ];
    let layout = Layout::of(&columns, &[]);
    let spec = TableSpec {
        uuid: "00000000-0000-4000-8000-000000000000".into(),
        name: "things".into(),
        description: String::new(),
        columns,
        properties: Properties { change_data_feed: true },
        layout,
    };
    let location = Storage::default().location("trusted/things", &project.path("w")).expect("a location");
    let write = || Commit { operation: "WRITE", ..Commit::default() };
    let table = create(&location, &spec, write()).await.expect("a table");
    let of_each = ROWS / FILES;
    let written = async |table: &LakeTable, files: Vec<u64>, changed| {
        let mut writer = DataWriter::new(table, u64::MAX).rows_per_file(of_each);
        for file in files {
            writer.write(&rows(file * of_each..(file + 1) * of_each, changed)).await.expect("written");
        }
        writer.close().await.expect("closed").adds
    };
    let adds = written(&table, (0..FILES).collect(), false).await;
    let names: Vec<String> = adds.iter().map(|add| add.path.clone()).collect();
    let bytes: i64 = adds.iter().map(|add| add.size).sum();
    let table =
        Commit { change: Change { adds, ..Change::default() }, ..write() }.commit(&table).await.expect("committed");
    let rewritten: Vec<u64> = (0..REWRITTEN).map(|n| n * FILES / REWRITTEN).collect();
    let adds = written(&table, rewritten.clone(), true).await;
    let old: Vec<&String> = rewritten.iter().map(|file| &names[usize::try_from(*file).expect("few")]).collect();
    let removes = table.removes(|path| old.iter().any(|old| old.as_str() == path));
    let change = Change { adds, removes, ..Change::default() };
    Commit { change, ..write() }.commit(&table).await.expect("committed");

    let reads = Reads::after(Duration::ZERO);
    let workspace = project.open(reads.storage()).await;
    let options = DiffOptions {
        table: "things".into(),
        from: Point::Version(1),
        to: Some(Point::Version(2)),
        columns: Vec::new(),
        condition: None,
        counts_only: false,
    };
    let began = Instant::now();
    let diff = audit::diff(&workspace, &options).await.expect("a difference");
    let outcome = diff.count().await.expect("it is counted");
    let time = began.elapsed();
    assert_eq!((outcome.rows.updated, outcome.rows.inserted, outcome.rows.deleted), (REWRITTEN, 0, 0));
    let data: Vec<_> = reads.by_file().into_iter().filter(|(file, _)| !file.contains("checkpoint")).collect();
    println!("\ndiff of {ROWS} rows in {FILES} files, {} MB, of which {REWRITTEN} files were rewritten", bytes >> 20);
    println!(
        "{} rows updated: {} files read, {} KB of data files, {:.2} s",
        outcome.rows.updated,
        data.len(),
        data.iter().map(|(_, (_, bytes))| bytes).sum::<u64>() >> 10,
        time.as_secs_f64()
    );
}
