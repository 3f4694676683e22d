//! The requests of a sync to S3 and Glue: requests, bytes and time, against a local AWS with and without latency.
//!
//! The baseline is the first line: the minimum number of requests, which is a listing of each landing folder and each
//! log, the reads of a snapshot and the ledger, and one listing of the catalog.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use stedi_delta::Privacy;
use stedi_delta::Storage;
use stedi_delta::Workspace;
use stedi_delta::internals::ingest::{Batch, FileRow, Ledger};
use stedi_delta::internals::lake::LakeTable;
use stedi_delta::workspace::WorkspaceOptions;

use crate::aws::{Aws, Request};
use crate::repository;

/// Files in the large ledger.
const FILES: usize = 1_000_000;
const LATENCY_MS: u64 = 30;

/// The folder of the program's cache.
fn caches() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("requests-caches")
}

/// Prints the tables.
pub(crate) fn measure() {
    let Some(aws) = Aws::start() else { return };
    let _ = fs::remove_dir_all(caches());
    let sample = repository().join("sample/landing");
    for latency in [0, LATENCY_MS] {
        println!("\nthe sample on S3 and Glue, {latency} ms of latency");
        header();
        let bucket = aws.bucket();
        aws.put_all(&bucket, "landing", &sample);
        aws.latency(latency);
        line("first sync", &sync(&aws, &bucket, latency));
        let nothing = sync(&aws, &bucket, latency);
        line("nothing new", &nothing);
        sync(&aws, &bucket, latency);
        line("unchanged", &sync(&aws, &bucket, latency));
        aws.put(
            &bucket,
            "landing/customer/landing/new.json",
            "{\"email\": \"new@example.com\", \"lastUpdateDate\": 1}",
        );
        line("one file", &sync(&aws, &bucket, latency));
        if latency > 0 {
            folders(&nothing, &bucket);
        }
        aws.latency(0);
        aws.reset();
    }
    let bucket = aws.bucket();
    aws.put_all(&bucket, "landing", &sample);
    let folder = large_ledger(&sample);
    aws.put_all(&bucket, "warehouse", &folder);
    let latency = LATENCY_MS;
    aws.latency(latency);
    println!("\nthe same with {FILES} files in the ledger, {LATENCY_MS} ms of latency");
    header();
    sync(&aws, &bucket, latency);
    let nothing = sync(&aws, &bucket, latency);
    line("nothing new", &nothing);
    sync(&aws, &bucket, latency);
    line("unchanged", &sync(&aws, &bucket, latency));
    aws.put(&bucket, "landing/customer/landing/new.json", "{\"email\": \"new@example.com\", \"lastUpdateDate\": 1}");
    line("one file", &sync(&aws, &bucket, latency));
    folders(&nothing, &bucket);
}

struct Run {
    time: Duration,
    latency_ms: u64,
    requests: Vec<Request>,
}

fn sync(aws: &Aws, bucket: &str, latency_ms: u64) -> Run {
    aws.clear_requests();
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_stedi-delta"))
        .args(["sync", "--target", "prod", "--project"])
        .arg(repository())
        .args(["--landing", &format!("s3://{bucket}/landing"), "--warehouse", &format!("s3://{bucket}/warehouse")])
        .envs(aws.env())
        .env("XDG_CACHE_HOME", caches())
        .output()
        .expect("the program starts");
    let time = started.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Run { time, latency_ms, requests: aws.requests() }
}

fn header() {
    println!(
        "{:<14} {:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>10} {:>10} {:>8}",
        "", "time", "LIST", "GET", "HEAD", "PUT", "Glue", "received", "sent", "in turn"
    );
}

fn line(what: &str, run: &Run) {
    let count =
        |wanted: &[&str]| run.requests.iter().filter(|r| wanted.iter().any(|w| r.operation.starts_with(w))).count();
    let s3 = |wanted: &[&str]| {
        run.requests.iter().filter(|r| r.service == "s3" && wanted.iter().any(|w| r.operation.starts_with(w))).count()
    };
    let glue = run.requests.iter().filter(|r| r.service == "glue").count();
    let bytes = |of: fn(&Request) -> u64| run.requests.iter().map(of).sum::<u64>();
    println!(
        "{what:<14} {:>6.2} s {:>6} {:>6} {:>6} {:>6} {glue:>6} {:>10} {:>10} {:>8}",
        run.time.as_secs_f64(),
        count(&["List"]),
        s3(&["GetObject"]),
        s3(&["HeadObject"]),
        s3(&["Put", "Upload", "Create", "Complete"]),
        kib(bytes(|r| r.bytes_out)),
        kib(bytes(|r| r.bytes_in)),
        in_turn(run),
    );
}

/// Requests that waited for another one to end: the longest chain, by which latency is multiplied.
fn in_turn(run: &Run) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "tens of milliseconds")]
    let latency = run.latency_ms as f64;
    let mut spans: Vec<(f64, f64)> = run.requests.iter().map(|r| (r.at_ms, r.at_ms + latency + r.ms)).collect();
    spans.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut chain, mut end) = (0, f64::NEG_INFINITY);
    for (start, stop) in spans {
        if start >= end {
            (chain, end) = (chain + 1, stop);
        }
    }
    chain
}

/// Requests of a run by folder of the bucket.
fn folders(run: &Run, bucket: &str) {
    println!("\nby folder, nothing new");
    let mut by: BTreeMap<String, BTreeMap<&str, (usize, u64)>> = BTreeMap::new();
    for request in &run.requests {
        let place = if request.service == "glue" { "Glue".to_owned() } else { folder(request, bucket) };
        let entry = by.entry(place).or_default().entry(request.operation.as_str()).or_default();
        *entry = (entry.0 + 1, entry.1 + request.bytes_out);
    }
    for (place, operations) in by {
        let parts: Vec<String> =
            operations.iter().map(|(operation, (n, bytes))| format!("{n} {operation} ({})", kib(*bytes))).collect();
        println!("  {place:<48} {}", parts.join(", "));
    }
}

/// `trusted/customer_trusted/_delta_log`, `landing/customer/landing`.
fn folder(request: &Request, bucket: &str) -> String {
    let asked = request.query.split('&').find_map(|part| part.strip_prefix("prefix="));
    let path = asked.map_or_else(|| request.path.clone(), |prefix| prefix.replace("%2F", "/"));
    let path = path.trim_start_matches('/').trim_start_matches(bucket).trim_start_matches('/').to_owned();
    match (path.find("_delta_log"), asked) {
        (Some(at), _) => path[..at + "_delta_log".len()].to_owned(),
        (None, Some(_)) => path,
        (None, None) => path.rsplit_once('/').map_or(path.clone(), |(folder, _)| folder.to_owned()),
    }
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KB", bytes as f64 / 1024.0)
}

/// A synced warehouse in a folder whose ledger knows a million files of one landing table.
fn large_ledger(sample: &Path) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("large-ledger");
    let warehouse = folder.join("warehouse");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let text = |path: &Path| path.to_str().expect("a text path").to_owned();
    let synced = Command::new(env!("CARGO_BIN_EXE_stedi-delta"))
        .args(["sync", "--target", "dev", "--project"])
        .arg(repository())
        .args(["--landing", &text(sample), "--warehouse", &text(&warehouse)])
        .env("XDG_CACHE_HOME", caches())
        .output()
        .expect("the program starts");
    assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
    let options = WorkspaceOptions {
        root: repository().to_path_buf(),
        target: Some("dev".into()),
        landing: Some(text(sample)),
        warehouse: Some(text(&warehouse)),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let workspace =
            Workspace::open(&options, Storage::default(), Privacy::new(None, false)).await.expect("a workspace");
        let session = workspace.session().expect("a session");
        let ledger = Ledger::read(&workspace.warehouse, &session, &workspace.places).await.expect("a ledger");
        let table = workspace.landing_table("accelerometer_landing").expect("it is in the project");
        let location = workspace.location(table).expect("it has a place");
        let uuid = LakeTable::open(&location).await.expect("it opens").expect("it is there").uuid();
        let number = ledger.of("accelerometer_landing", &uuid).newest + 1;
        let files = (0..FILES).map(row).collect();
        let batch = Batch { table: "accelerometer_landing".into(), uuid, number, files, wal: None };
        ledger.commit(&workspace.warehouse, &[batch], "bench").await.expect("a commit");
    });
    // The catalog and the probe of a folder are not used on S3.
    let _ = fs::remove_dir_all(warehouse.join("_catalog"));
    warehouse
}

/// A file that has long been deleted by the bucket's lifecycle.
fn row(number: usize) -> FileRow {
    let hash = |part: u64| format!("{:016x}", (number as u64 + 1).wrapping_mul(part));
    FileRow {
        path: format!(
            "accelerometer/landing/{:04}/{:02}/reading-{number:09}.json",
            2000 + number / 40_000,
            number % 28
        ),
        size: 4096 + number as u64 % 977,
        etag: Some(format!("\"{}{}\"", hash(0x9E37_79B9_7F4A_7C15), hash(0xC2B2_AE3D_27D4_EB4F))),
        modified_ms: 1_600_000_000_000 + number as i64 * 1000,
        content_hash: [0x1656_67B1, 0xD6E8_FEB8_6659_FD93, 0xFF51_AFD7_ED55_8CCD, 0xC4CE_B9FE_1A85_EC53]
            .map(hash)
            .concat(),
        records: 20,
        landed: 20,
        quarantined: 0,
        is_unloaded: false,
    }
}
