//! Whole processes on generated STEDI data: a first sync against plain DataFusion, a withdrawal against a full refresh.
//!
//! ```text
//! cargo bench                                          # 1,000,000 and 10,000,000 readings
//! STEDI_BENCH_READINGS=2000000 cargo bench             # other sizes, separated by commas
//! STEDI_BENCH_DUCKDB=target/venv/bin/python cargo bench # and DuckDB, from a Python that has it
//! cargo bench -- aws                                    # what a sync asks of S3 and Glue (scripts/setup before it)
//! cargo bench --bench main -- people                    # how one person is found among many files (scripts/setup before it)
//! cargo bench --bench main -- audits                    # what audits read: by versions, and of a large table
//! cargo bench --bench main -- tpch                      # joins of TPC-H: incremental against full, by changed rows
//! cargo bench --bench main -- tpcdi                     # a warehouse like TPC-DI's: does `auto` take the cheaper mode
//! cargo bench --bench main -- apply                     # a change of a large table: next to whole files, and to MERGE
//! cargo bench --bench main -- rewrite                   # statements of migrations against a plain COPY of the table
//! ```
//!
//! Prints ratios, bytes and peak memory; asserts nothing: machines are noisy. Times are the best of three.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

mod apply;
mod audits;
mod baseline;
mod child;
mod choice;
#[expect(dead_code, reason = "the example's own main")]
#[path = "../examples/generate/main.rs"]
mod generate;
#[path = "../tests/it/support/aws.rs"]
mod aws;
#[path = "../tests/it/support/crowd.rs"]
mod crowd;
mod people;
mod requests;
mod rewrite;
#[path = "../tests/it/support/slow.rs"]
mod slow;
#[expect(dead_code, reason = "the tests' own needs")]
#[path = "../tests/it/support/traces.rs"]
mod traces;
mod tpcdi;
mod tpch;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use child::{Run, run};

const ROUNDS: usize = 3;

/// Threads with room for deep plans, like those of the program.
fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(16 << 20).build();
    runtime.expect("a runtime starts")
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--baseline") {
        baseline::copy(Path::new(&args[at + 1]), Path::new(&args[at + 2]));
        return;
    }
    if let Some(at) = args.iter().position(|a| a == "--rewrite") {
        rewrite::copy(Path::new(&args[at + 1]), Path::new(&args[at + 2]), &args[at + 3]);
        return;
    }
    if args.iter().any(|a| a == "rewrite") {
        return rewrite::measure();
    }
    if args.iter().any(|a| a == "apply") {
        return apply::measure();
    }
    if args.iter().any(|a| a == "aws") {
        return requests::measure();
    }
    if args.iter().any(|a| a == "people") {
        return people::measure();
    }
    if args.iter().any(|a| a == "audits") {
        return audits::measure();
    }
    if args.iter().any(|a| a == "tpcdi") {
        return tpcdi::measure();
    }
    if args.iter().any(|a| a == "tpch") {
        return tpch::measure();
    }
    let sizes = std::env::var("STEDI_BENCH_READINGS").unwrap_or_else(|_| "1000000,10000000".into());
    for size in sizes.split(',') {
        let readings = size.trim().replace('_', "").parse().expect("STEDI_BENCH_READINGS holds numbers");
        measure(readings);
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn measure(readings: u64) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{readings}"));
    let landing = folder.join("landing");
    if !landing.exists() {
        make(readings, &landing);
    }
    let warehouse = folder.join("warehouse");
    let copies = folder.join("copies");
    println!("\n{readings} readings, {} of JSON", mib(bytes_below(&landing)));
    println!("{:<34} {:>9} {:>10} {:>10} {:>10}", "", "time", "peak", "read", "written");

    let copy = best(|| {
        clear(&copies);
        run(
            std::env::current_exe().expect("this program has a path").as_path(),
            &["--baseline".as_ref(), landing.as_os_str(), copies.as_os_str()],
        )
    });
    line("DataFusion COPY of the same queries", &copy, Some((bytes_below(&landing), bytes_below(&copies))));
    let duckdb = duckdb(&landing, &copies);
    if let Some(duckdb) = &duckdb {
        line("DuckDB COPY of the same queries", duckdb, None);
    }
    let first = best(|| {
        clear(&warehouse);
        sync(&landing, &warehouse, &[])
    });
    line("first sync", &first, None);
    let nothing = best(|| sync(&landing, &warehouse, &[]));
    line("sync with nothing new", &nothing, None);

    let mut withdrawals = Vec::new();
    for round in 0..ROUNDS {
        withdraw(&landing, &warehouse, round);
        withdrawals.push(sync(&landing, &warehouse, &[]));
    }
    let withdrawal = shortest(withdrawals);
    line("one withdrawal", &withdrawal, None);
    let full = best(|| sync(&landing, &warehouse, &["--full-refresh"]));
    line("full refresh, nothing changed", &full, None);
    for round in 0..ROUNDS {
        let _ = fs::remove_file(withdrawal_file(&landing, round));
    }

    let ratio = |a: &Run, b: &Run| a.time.as_secs_f64() / b.time.as_secs_f64();
    println!("first sync / DataFusion COPY     {:>6.2}", ratio(&first, &copy));
    if let Some(duckdb) = &duckdb {
        println!("first sync / DuckDB COPY         {:>6.2}", ratio(&first, duckdb));
    }
    println!("withdrawal / first sync          {:>6.2}", ratio(&withdrawal, &first));
    println!("withdrawal / full refresh        {:>6.2}", ratio(&withdrawal, &full));
}

fn make(readings: u64, landing: &Path) {
    let people = (readings / 1000).max(100).to_string();
    let (out, readings) = (landing.to_str().expect("a text path"), readings.to_string());
    let args = ["--clean", "--out", out, "--readings", &readings, "--people", &people];
    generate::run(args.iter().map(|a| (*a).to_owned()));
}

fn sync(landing: &Path, warehouse: &Path, more: &[&str]) -> Run {
    let mut args: Vec<&std::ffi::OsStr> = vec!["sync".as_ref(), "--format".as_ref(), "json".as_ref()];
    args.extend(["--project".as_ref(), repository().as_os_str()]);
    args.extend(["--landing".as_ref(), landing.as_os_str(), "--warehouse".as_ref(), warehouse.as_os_str()]);
    args.extend(more.iter().map(|m| std::ffi::OsStr::new(*m)));
    run(Path::new(env!("CARGO_BIN_EXE_stedi-delta")), &args)
}

fn withdrawal_file(landing: &Path, round: usize) -> PathBuf {
    landing.join(format!("customer/landing/withdrawal-{round}.json"))
}

/// A record of a consenting customer with readings, newer than all others, without consent.
fn withdraw(landing: &Path, warehouse: &Path, round: usize) {
    let sql = "select email, serialnumber from customers_curated where serialnumber in \
               (select serialnumber from machine_learning_curated) order by email limit 1";
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stedi-delta"))
        .args(["query", sql, "--format", "csv", "--project"])
        .arg(repository())
        .arg("--warehouse")
        .arg(warehouse)
        .output()
        .expect("the query starts");
    let text = String::from_utf8(output.stdout).expect("CSV is text");
    let (email, serial) = text.lines().nth(1).and_then(|l| l.split_once(',')).expect("somebody consents");
    let record = format!("{{\"email\":\"{email}\",\"serialNumber\":\"{serial}\",\"lastUpdateDate\":1999999999999}}\n");
    let file = withdrawal_file(landing, round);
    fs::write(&file, record).expect("the landing folder can be written");
    let old = std::time::SystemTime::now() - Duration::from_secs(60);
    fs::File::options().write(true).open(&file).and_then(|f| f.set_modified(old)).expect("the file can be aged");
}

fn duckdb(landing: &Path, copies: &Path) -> Option<Run> {
    let Ok(python) = std::env::var("STEDI_BENCH_DUCKDB") else {
        println!("SKIP: DuckDB (STEDI_BENCH_DUCKDB names no Python that has it)");
        return None;
    };
    let script = repository().join("benches/duckdb_copy.py");
    Some(best(|| {
        clear(copies);
        run(Path::new(&python), &[script.as_os_str(), landing.as_os_str(), copies.as_os_str()])
    }))
}

fn best(mut measured: impl FnMut() -> Run) -> Run {
    shortest((0..ROUNDS).map(|_| measured()).collect())
}

fn shortest(runs: Vec<Run>) -> Run {
    runs.into_iter().min_by_key(|r| r.time).expect("there was a round")
}

fn clear(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("the target folder can be written");
}

fn line(what: &str, run: &Run, bytes: Option<(u64, u64)>) {
    let (read, written) =
        bytes.or_else(|| run.bytes()).map_or((String::new(), String::new()), |(r, w)| (mib(r), mib(w)));
    let peak = run.peak_bytes.map_or_else(|| "?".to_owned(), mib);
    println!("{what:<34} {:>7.2} s {peak:>10} {read:>10} {written:>10}", run.time.as_secs_f64());
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|e| if e.path().is_dir() { bytes_below(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) })
        .sum()
}
