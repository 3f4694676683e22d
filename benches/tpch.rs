//! Joins of TPC-H with aggregation: an incremental refresh against a full one of the same change, by the same program.
//!
//! ```text
//! cargo bench --bench main -- tpch
//! TPCH_BENCH_SCALE=0.1 TPCH_BENCH_CHANGED=0.1,1 cargo bench --bench main -- tpch   # a tenth of the data
//! ```
//!
//! Each query is two tables, `refresh = "incremental"` and `refresh = "full"`, and a third, `"auto"`, that shows the
//! mode it would choose. A round changes a percentage of the orders with their items: once new orders only, once a
//! third each new, deleted and updated. Both tables are then brought to the same cut, from the same state, three times
//! each; the fastest counts. Time is that of the table in the sync's report: reading, computing, writing and
//! committing, without the start of the process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::child::{Run, verb};
use super::choice::Choices;
use super::{ROUNDS, clear, mib, repository};

#[expect(dead_code, reason = "the example's own main")]
#[path = "../examples/tpch/generate/main.rs"]
mod generate;

/// Name, what it is, and the query.
const QUERIES: [(&str, &str, &str); 3] = [
    (
        "customers",
        "two-way join, revenue by customer",
        "select o_custkey, count(*) as items, sum(l_extendedprice * (1 - l_discount)) as revenue \
         from orders join lineitem on l_orderkey = o_orderkey group by o_custkey",
    ),
    (
        "priorities",
        "two-way join, revenue by priority",
        "select o_orderpriority, count(*) as items, sum(l_extendedprice * (1 - l_discount)) as revenue \
         from orders join lineitem on l_orderkey = o_orderkey group by o_orderpriority",
    ),
    (
        "star",
        "four-way star, by brand, nation and year",
        "select p_brand, s_nationkey, extract(year from o_orderdate) as o_year, count(*) as items, \
         sum(l_extendedprice * (1 - l_discount)) as revenue \
         from lineitem join orders on o_orderkey = l_orderkey join part on p_partkey = l_partkey \
         join supplier on s_suppkey = l_suppkey group by p_brand, s_nationkey, extract(year from o_orderdate)",
    ),
];

/// OpenIVM on DuckDB, refresh over recompute of a two-way join with aggregation, 6 million items: percent and ratio.
const OPENIVM: [(&str, &str); 3] = [("0.1", "0.34"), ("1", "0.43"), ("10", "0.59")];

struct Bench {
    project: PathBuf,
    landing: PathBuf,
    warehouse: PathBuf,
    saved: PathBuf,
    scale: String,
}

/// Prints the ratios.
pub(crate) fn measure() {
    let scale = std::env::var("TPCH_BENCH_SCALE").unwrap_or_else(|_| "1".into());
    let changed = std::env::var("TPCH_BENCH_CHANGED").unwrap_or_else(|_| "0.01,0.1,1,10,20".into());
    let percents: Vec<&str> = changed.split(',').map(str::trim).collect();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-tpch");
    clear(&folder);
    let bench = Bench {
        project: folder.join("project"),
        landing: folder.join("landing"),
        warehouse: folder.join("warehouse"),
        saved: folder.join("saved"),
        scale,
    };
    bench.define();
    bench.make(&[]);
    bench.sync(None);
    let (mut round, mut choices) = (0, Choices::default());
    for (kind, append) in [("new orders only", true), ("new, gone and changed orders", false)] {
        println!("\nTPC-H at scale {}, {kind}: incremental / full", bench.scale);
        println!(
            "{:<42} {:>7} {:>9} {:>9} {:>6} {:>10} {:>10} {:>10} {:>10} {:>7} {:>8}",
            "", "changed", "increm.", "full", "ratio", "rows read", "full", "bytes read", "full", "auto", "OpenIVM"
        );
        for percent in &percents {
            round += 1;
            bench.change(round, percent, append);
            for (name, what, _) in QUERIES {
                let auto = bench.auto(&format!("{name}_auto"));
                let incremental = bench.best(name);
                let full = bench.best(&format!("{name}_full"));
                let verdict = choices.add(incremental.seconds, full.seconds, auto == "full");
                line(what, percent, (&incremental, &full), (&auto, verdict));
            }
        }
    }
    choices.print();
}

/// The cost of one refresh of one table.
struct Refresh {
    seconds: f64,
    rows: u64,
    bytes: u64,
}

fn line(what: &str, percent: &str, (incremental, full): (&Refresh, &Refresh), (auto, verdict): (&str, &str)) {
    let published = OPENIVM.iter().find(|(p, _)| *p == percent && what.starts_with("two-way")).map_or("", |(_, r)| r);
    println!(
        "{what:<42} {percent:>5} % {:>7.3} s {:>7.3} s {:>6.2} {:>10} {:>10} {:>10} {:>10} {auto:>7} {published:>8} {verdict}",
        incremental.seconds,
        full.seconds,
        incremental.seconds / full.seconds,
        incremental.rows,
        full.rows,
        mib(incremental.bytes),
        mib(full.bytes),
    );
}

impl Bench {
    fn define(&self) {
        let example = repository().join("examples/tpch");
        let (landing, queries) = (self.project.join("tables/landing"), self.project.join("tables/queries"));
        fs::create_dir_all(&queries).expect("the project can be written");
        copy(&example.join("tables/landing"), &landing);
        fs::copy(example.join("stedi-delta.toml"), self.project.join("stedi-delta.toml")).expect("it can be copied");
        for (name, what, sql) in QUERIES {
            let named = |more: &str| format!("{name}{more}");
            for (name, refresh) in [(named(""), "incremental"), (named("_full"), "full"), (named("_auto"), "auto")] {
                let toml = format!("description = \"{what}\"\nrefresh = \"{refresh}\"\n");
                fs::write(queries.join(format!("{name}.toml")), toml).expect("the project can be written");
                fs::write(queries.join(format!("{name}.sql")), sql).expect("the project can be written");
            }
        }
    }

    fn make(&self, more: &[&str]) {
        let out = self.landing.to_str().expect("a text path");
        let args = ["--out", out, "--scale", &self.scale, "--files", "100"];
        let made = generate::run(args.iter().chain(more).map(|a| (*a).to_owned()));
        assert!(made == ExitCode::SUCCESS, "the data can be made");
    }

    /// Lands a round, and returns how many rows of the landing tables were inserted and deleted.
    fn change(&self, round: u32, percent: &str, append: bool) {
        // The refreshes of the previous round were undone.
        self.sync(None);
        let round = round.to_string();
        let mut more = vec!["--round", &round, "--changed", percent, "--facts"];
        if append {
            more.push("--append");
        }
        self.make(&more);
        let landed = self.sync(Some("lineitem,orders,part,supplier"));
        let rows = |table: &str, key: &str| landed.table(table).and_then(|t| t[key].as_u64()).unwrap_or(0);
        for table in ["orders", "lineitem"] {
            let (new, gone) = (rows(table, "rows_inserted"), rows(table, "rows_deleted"));
            println!("  {table}: {new} rows landed, {gone} rows gone");
        }
        clear(&self.saved);
        copy(&self.warehouse.join("queries"), &self.saved);
    }

    fn sync(&self, select: Option<&str>) -> Run {
        self.command("sync", select)
    }

    fn command(&self, name: &str, select: Option<&str>) -> Run {
        let tables = select.into_iter().flat_map(|tables| tables.split(','));
        verb(name, (&self.project, &self.landing, &self.warehouse), tables)
    }

    /// The action that `auto` would choose.
    fn auto(&self, table: &str) -> String {
        let plan = self.command("plan", Some(table)).table(table).expect("the plan has the table");
        match plan["action"].as_str() {
            Some("incremental") => "increm.".into(),
            other => other.unwrap_or_default().into(),
        }
    }

    /// The fastest refresh of a table, each from the state before the round.
    fn best(&self, table: &str) -> Refresh {
        let refresh = |_| {
            let queries = self.warehouse.join("queries");
            clear(&queries);
            copy(&self.saved, &queries);
            let report = self.sync(Some(table)).table(table).expect("the report has the table");
            let number = |key: &str| report[key].as_u64().unwrap_or(0);
            let seconds = report["seconds"].as_f64().expect("the report has the time");
            Refresh { seconds, rows: number("rows_read"), bytes: number("bytes_read") }
        };
        let refreshes = (0..ROUNDS).map(refresh);
        refreshes.min_by(|a, b| a.seconds.total_cmp(&b.seconds)).expect("there was a round")
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the copy can be written");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("the file can be copied");
        }
    }
}
