//! The cost of finding one person if the log has no statistics of people: footers and bloom filters of all files that
//! other columns leave, against a table with statistics, in the same run.
//!
//! First in this process, over a local disk that answers after 30 ms, so that no server is the bottleneck; then a whole
//! withdrawal on a local AWS: requests, bytes, seconds, and whether a file was rewritten that does not hold the person.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use deltalake::arrow::array::{AsArray, RecordBatch, UInt64Array};
use deltalake::arrow::compute::{concat_batches, take_record_batch};
use futures::TryStreamExt;
use stedi_delta::Storage;
use stedi_delta::internals::lake::{Change, Commit, DataWriter, LakeTable, rows};

use crate::aws::{Aws, Request};
use crate::crowd::Crowd;
use crate::slow::Reads;
use crate::traces::decoded;

const LATENCY_MS: u64 = 30;
/// Data files of each table on S3.
const FILES: usize = 1000;
/// People on S3, all of whom consent.
const PEOPLE: usize = 5000;
const READINGS_OF_EACH: usize = 10;

/// Prints the tables.
pub(crate) fn measure() {
    let runtime = crate::runtime();
    println!("\none person goes, reads of data files wait for {LATENCY_MS} ms");
    println!(
        "{:<50} {:>7} {:>7} {:>10} {:>7} {:>9} {:>9}",
        "", "files", "GET", "received", "at once", "time", "rewritten"
    );
    let crowd = |files, files_of_a_day, classified| Crowd { files, rows: 20, files_of_a_day, classified };
    for (what, crowd) in [
        ("log: bounds that overlap", crowd(1000, 1000, false)),
        ("footers and filters", crowd(1000, 1000, true)),
        ("footers and filters", crowd(10_000, 10_000, true)),
        ("footers and filters, another column leaves 100", crowd(10_000, 100, true)),
    ] {
        runtime.block_on(in_process(what, crowd));
    }
    let Some(aws) = Aws::start() else { return };
    println!("\none person withdraws, {FILES} files in each table on S3, {LATENCY_MS} ms of latency");
    for (what, classified) in [("log: bounds that overlap", false), ("footers and filters", true)] {
        runtime.block_on(on_s3(&aws, what, classified));
    }
}

async fn in_process(what: &str, crowd: Crowd) {
    let folder = tempfile::tempdir().expect("a folder");
    let reads = Reads::after(Duration::from_millis(LATENCY_MS));
    let location = reads.storage().location("crowd", folder.path()).expect("a location");
    crowd.make(&location).await;
    let table = LakeTable::open(&location).await.expect("it opens").expect("it is there");
    let began = Instant::now();
    let (_, applied) = crowd.withdraw(&table, 4321).await;
    let time = began.elapsed();
    let (requests, bytes) = reads.sum();
    println!(
        "{what:<50} {:>7} {requests:>7} {:>7} KB {:>7} {:>7.2} s {:>9}",
        crowd.files,
        bytes >> 10,
        reads.at_once(),
        time.as_secs_f64(),
        applied.files_touched
    );
}

/// A project with a record of consent, readings, and the retained columns of both.
struct Project {
    folder: tempfile::TempDir,
    /// Where its bucket is, if it has moved there.
    bucket: Option<String>,
}

impl Project {
    fn new(classified: bool) -> Self {
        let project = Self { folder: tempfile::tempdir().expect("a folder"), bucket: None };
        let pii = if classified { ", classification = \"pii\"" } else { "" };
        let settings = "name = \"people\"\nzones = [\"landing\", \"trusted\"]\ndefault_target = \"dev\"\n[targets.dev]\n\
             landing = \"l\"\nwarehouse = \"w\"\n[targets.prod]\nlanding = \"s3://l\"\nwarehouse = \"s3://w\"\n";
        project.write("stedi-delta.toml", settings);
        let landing = |name: &str, columns: &str| {
            format!(
                "description = \"{name}\"\n[source]\npath = \"{name}/*.json\"\nformat = \"json\"\n[columns]\n{columns}"
            )
        };
        let people = landing(
            "people",
            &format!(
                "email = {{ type = \"string\"{pii} }}\nshares = \"long\"\nat = \"long\"\n[grants]\n\
                 subjects = [\"email\"]\ngranted = \"shares is not null\"\nlatest = [\"at\"]\n"
            ),
        );
        project.write("tables/landing/people.toml", &people);
        let readings = format!("who = {{ type = \"string\"{pii} }}\nvalue = \"double\"\n");
        project.write("tables/landing/readings.toml", &landing("readings", &readings));
        let consent = |about: &str| format!("description = \"Kept\"\n[consent]\n{about}");
        project.write("tables/trusted/members.toml", &consent("subject = \"email\"\n"));
        project.write(
            "tables/trusted/members.sql",
            "select email, at from (select email, at, shares, row_number() over (partition by email \
             order by at desc nulls last, case when shares is null then 0 else 1 end, source_file, source_offset) as newest \
             from people) as p where newest = 1 and shares is not null",
        );
        project.write("tables/trusted/seen.toml", &consent("subject = \"who\"\nnames = \"email\"\n"));
        project.write(
            "tables/trusted/seen.sql",
            "select r.who, r.value from readings r join members m on m.email = r.who",
        );
        let record = |n| format!("{{\"email\":\"{}\",\"shares\":1,\"at\":1}}\n", email(n));
        project.write("l/people/a.json", &(0..PEOPLE).map(record).collect::<String>());
        let reading = |n| format!("{{\"who\":\"{}\",\"value\":{}.5}}\n", email(n / READINGS_OF_EACH), n % 97);
        project.write("l/readings/a.json", &(0..PEOPLE * READINGS_OF_EACH).map(reading).collect::<String>());
        project
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        fs::write(&path, text).expect("it can be written");
        let old = std::time::SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&path).and_then(|f| f.set_modified(old)).expect("it can be aged");
    }

    fn sync(&self, aws: &Aws) -> serde_json::Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stedi-delta"));
        command.args(["sync", "--format", "json", "--project"]).arg(self.folder.path());
        if let Some(bucket) = &self.bucket {
            command.args(["--target", "prod"]).envs(aws.env());
            command.args(["--landing", &format!("s3://{bucket}/l"), "--warehouse", &format!("s3://{bucket}/w")]);
        }
        let output = command.env("XDG_CACHE_HOME", "/dev/null").output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a document")
    }

    /// Rewrites a table as many files, rows of one person beside each other, people unordered so that bounds exclude
    /// nothing.
    async fn split(&self, table: &str, column: &str) {
        let location = Storage::default().location(table, &self.path("w")).expect("a location");
        let table = LakeTable::open(&location).await.expect("it opens").expect("it is there");
        let mut batches = Vec::new();
        for file in table.files() {
            let stream = rows(&location, &file, None).await.expect("a file");
            batches.extend(stream.try_collect::<Vec<RecordBatch>>().await.expect("its rows"));
        }
        let all = concat_batches(&table.schema(), &batches).expect("of one table");
        let subjects = all.column_by_name(column).expect("a column").as_string::<i32>();
        let mut order: Vec<u64> = (0..all.num_rows() as u64).collect();
        order.sort_by_key(|row| subjects.value(*row as usize).bytes().rev().collect::<Vec<u8>>());
        let all = take_record_batch(&all, &UInt64Array::from(order)).expect("the same rows");
        let rows_of_each = all.num_rows().div_ceil(FILES);
        let mut writer = DataWriter::new(&table, u64::MAX).rows_per_file(rows_of_each as u64);
        for start in (0..all.num_rows()).step_by(rows_of_each) {
            writer.write(&all.slice(start, rows_of_each.min(all.num_rows() - start))).await.expect("written");
        }
        let change = Change {
            adds: writer.close().await.expect("closed").adds,
            removes: table.removes(|_| true),
            ..Change::default()
        };
        let txns = table.state().txns.clone();
        let commit = Commit { operation: "OPTIMIZE", change, txns, ..Commit::default() };
        commit.commit(&table).await.expect("committed");
    }

    /// Names of the data files of a table, by its log on this disk.
    async fn files(&self, table: &str) -> BTreeSet<String> {
        let location = Storage::default().location(table, &self.path("w")).expect("a location");
        let table = LakeTable::open(&location).await.expect("it opens").expect("it is there");
        table.files().into_iter().map(|file| file.path).collect()
    }
}

/// An address whose first and last letters are uninformative.
fn email(n: usize) -> String {
    let mixed = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{:016x}@{:04x}.example.org", mixed, (mixed >> 20) & 0xffff)
}

async fn on_s3(aws: &Aws, what: &str, classified: bool) {
    let mut project = Project::new(classified);
    project.sync(aws);
    for (table, column) in [
        ("landing/people", "email"),
        ("landing/readings", "who"),
        ("trusted/members", "email"),
        ("trusted/seen", "who"),
    ] {
        project.split(table, column).await;
    }
    project.sync(aws);
    let who = email(4321);
    let mut holding = BTreeMap::new();
    for table in ["members", "seen"] {
        let folder = project.path("w/trusted").join(table);
        let files = project.files(&format!("trusted/{table}")).await;
        assert_eq!(files.len(), FILES, "{table}");
        let held: BTreeSet<String> = files.into_iter().filter(|f| decoded(&folder.join(f)).contains(&who)).collect();
        holding.insert(table, held);
    }
    let bucket = aws.bucket();
    aws.put_all(&bucket, "l", &project.path("l"));
    let _ = fs::remove_dir_all(project.path("w/_catalog"));
    aws.put_all(&bucket, "w", &project.path("w"));
    project.bucket = Some(bucket.clone());
    project.sync(aws);
    aws.put(&bucket, "l/people/b.json", format!("{{\"email\":\"{who}\",\"shares\":null,\"at\":2}}\n"));
    aws.latency(LATENCY_MS);
    aws.clear_requests();
    let began = Instant::now();
    let report = project.sync(aws);
    let time = began.elapsed();
    aws.latency(0);
    let requests = aws.requests();
    let bytes: u64 = requests.iter().map(|request| request.bytes_out).sum();
    println!("\n{what}: {:.2} s, {} requests, {} KB received", time.as_secs_f64(), requests.len(), bytes >> 10);
    by_folder(&requests, &bucket);
    for (table, held) in holding {
        let done = report["tables"].as_array().and_then(|all| all.iter().find(|t| t["table"] == table));
        let removed = removed(aws, &bucket, &format!("w/trusted/{table}/_delta_log/"));
        println!(
            "  {table}: {} of {FILES} files hold the person, {} were rewritten, {} of them without need; {} rows went, {:.2} s",
            held.len(),
            removed.len(),
            removed.difference(&held).count(),
            done.map_or(0, |t| t["rows_deleted"].as_u64().unwrap_or(0)),
            done.map_or(0.0, |t| t["seconds"].as_f64().unwrap_or(0.0)),
        );
    }
    aws.reset();
}

/// Files that the newest commit removes.
fn removed(aws: &Aws, bucket: &str, log: &str) -> BTreeSet<String> {
    let commits =
        aws.keys(bucket, log).into_iter().filter(|key| Path::new(key).extension().is_some_and(|e| e == "json"));
    let newest = commits.max().expect("a commit");
    let text = String::from_utf8(aws.get(bucket, &newest).expect("it is there")).expect("text");
    let removes = text.lines().filter_map(|line| {
        let action: serde_json::Value = serde_json::from_str(line).expect("JSON");
        action["remove"]["path"].as_str().map(str::to_owned)
    });
    removes.collect()
}

/// Requests by folder: logs, and data files of each table.
fn by_folder(requests: &[Request], bucket: &str) {
    let mut by: BTreeMap<String, BTreeMap<&str, (usize, u64)>> = BTreeMap::new();
    for request in requests {
        let path = request.path.trim_start_matches('/').trim_start_matches(bucket).trim_start_matches('/');
        let place = match (path.find("_delta_log"), path.rsplit_once('/')) {
            (Some(_), _) => "logs",
            (None, Some((folder, file))) if file.ends_with(".parquet") => folder,
            _ => "listings and landing files",
        };
        let entry = by.entry(place.to_owned()).or_default().entry(request.operation.as_str()).or_default();
        *entry = (entry.0 + 1, entry.1 + request.bytes_out);
    }
    for (place, operations) in by {
        let parts: Vec<String> =
            operations.iter().map(|(operation, (n, bytes))| format!("{n} {operation} ({} KB)", bytes >> 10)).collect();
        println!("  {place:<34} {}", parts.join(", "));
    }
}
