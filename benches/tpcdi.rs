//! The choice between incremental and full on a warehouse like TPC-DI's (`examples/tpcdi`): how often `auto` takes the
//! cheaper mode, and what it costs against the best of both in every cell.
//!
//! ```text
//! cargo bench --bench main -- tpcdi
//! TPCDI_BENCH_TRADES=400000 TPCDI_BENCH_BATCHES=12 cargo bench --bench main -- tpcdi
//! ```
//!
//! A cell is a derived table in a batch of changes. Three lakes get the same batches: one in which every table is refreshed
//! incrementally, one in which every table is computed whole, and one with `auto`. Tables are refreshed one after the other,
//! so that they do not share the processors. Time is that of the table in the sync's report.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::child::{Run, verb};
use super::choice::Choices;
use super::{clear, repository};

#[expect(dead_code, reason = "the example's own main")]
#[path = "../examples/tpcdi/generate/main.rs"]
mod generate;

const MODES: [&str; 3] = ["incremental", "full", "auto"];

/// One refresh.
struct Refresh {
    seconds: f64,
    mode: String,
}

/// Prints the cells, the share in which `auto` is right, and the costs.
pub(crate) fn measure() {
    let trades = std::env::var("TPCDI_BENCH_TRADES").unwrap_or_else(|_| "200000".into());
    let batches = std::env::var("TPCDI_BENCH_BATCHES").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-tpcdi");
    clear(&folder);
    let landing = folder.join("landing");
    make(&landing, &trades, 0);
    let lakes = MODES.map(|mode| Lake::define(&folder, &landing, mode));
    for lake in &lakes {
        lake.sync(&[]);
    }
    println!("\na warehouse like TPC-DI's with {trades} trades: seconds by mode, and the choice of `auto`");
    println!("{:<12} {:<22} {:>9} {:>9}  auto", "batch", "table", "increm.", "full");
    let mut choices = Choices::default();
    for batch in 1..=batches {
        make(&landing, &trades, batch);
        let [incremental, full, auto] = lakes.each_ref().map(Lake::refresh);
        for (table, incremental) in &incremental {
            let (Some(full), Some(auto)) = (full.get(table), auto.get(table)) else { continue };
            let (incremental, full) = (incremental.seconds, full.seconds);
            let verdict = choices.add(incremental, full, auto.mode == "full");
            let kind = generate::Kind::ALL[(batch as usize - 1) % generate::Kind::ALL.len()].0;
            println!("{kind:<12} {table:<22} {incremental:>7.3} s {full:>7.3} s  {} {verdict}", auto.mode);
        }
    }
    choices.print();
}

fn make(landing: &Path, trades: &str, batch: u32) {
    let out = landing.to_str().expect("a text path");
    let number = batch.to_string();
    let mut args = vec!["--out", out, "--trades", trades];
    if batch > 0 {
        args.extend(["--batch", number.as_str()]);
    }
    let made = generate::run(args.into_iter().map(str::to_owned));
    assert!(made == ExitCode::SUCCESS, "the data can be made");
}

struct Lake {
    project: PathBuf,
    landing: PathBuf,
    warehouse: PathBuf,
    /// Names of its tables.
    landed: Vec<String>,
    derived: Vec<String>,
}

impl Lake {
    /// The example's project with this mode for every derived table.
    fn define(folder: &Path, landing: &Path, mode: &str) -> Self {
        let example = repository().join("examples/tpcdi");
        let project = folder.join(format!("project-{mode}"));
        let mut names = BTreeMap::new();
        for zone in ["landing", "warehouse"] {
            let to = project.join("tables").join(zone);
            fs::create_dir_all(&to).expect("the project can be written");
            for entry in fs::read_dir(example.join("tables").join(zone)).expect("the example can be read") {
                let path = entry.expect("the example can be read").path();
                let text = fs::read_to_string(&path).expect("the example can be read");
                let text = text.replace("refresh = \"auto\"", &format!("refresh = \"{mode}\""));
                fs::write(to.join(path.file_name().expect("a name")), text).expect("the project can be written");
                if path.extension().is_some_and(|end| end == "toml") {
                    let name = path.file_stem().and_then(OsStr::to_str).expect("a name").to_owned();
                    names.entry(zone).or_insert_with(Vec::new).push(name);
                }
            }
        }
        fs::copy(example.join("stedi-delta.toml"), project.join("stedi-delta.toml")).expect("it can be copied");
        let landed = names.remove("landing").unwrap_or_default();
        let derived = names.remove("warehouse").unwrap_or_default();
        Self { project, landing: landing.to_owned(), warehouse: folder.join(mode), landed, derived }
    }

    fn run(&self, name: &str, select: &[String]) -> Run {
        verb(name, (&self.project, &self.landing, &self.warehouse), select.iter().map(String::as_str))
    }

    fn sync(&self, select: &[String]) -> Run {
        self.run("sync", select)
    }

    /// Lands a batch, and refreshes each derived table by itself, in the order of data flow.
    fn refresh(&self) -> BTreeMap<String, Refresh> {
        self.sync(&self.landed);
        let plan = self.run("plan", &[]).document().expect("a plan");
        let ordered = plan["tables"].as_array().into_iter().flatten().filter_map(|table| table["table"].as_str());
        let mut refreshes = BTreeMap::new();
        for table in ordered.filter(|name| self.derived.iter().any(|derived| derived == name)) {
            let report = self.sync(&[table.to_owned()]).table(table).expect("the report has the table");
            let mode = report["mode"].as_str().unwrap_or_default().to_owned();
            if mode != "none" {
                let seconds = report["seconds"].as_f64().expect("the report has the time");
                refreshes.insert(table.to_owned(), Refresh { seconds, mode });
            }
        }
        refreshes
    }
}
