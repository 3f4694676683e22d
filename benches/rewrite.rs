//! A statement of a migration, which rewrites a table, against a plain DataFusion `COPY` of the same files.
//!
//! Both read each data file once and write each row once. `COPY` sorts nothing, describes nothing and commits nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use deltalake::datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

use super::child::{Run, run};
use super::{bytes_below, clear, line, mib, shortest};

const ROWS: u64 = 4_000_000;
const ROUNDS: usize = 3;
const TABLE: &str = "landing/t";
const COLUMNS: [&str; 5] =
    ["id = \"long\"", "k = \"integer\"", "s = \"string\"", "v = \"double\"", "at = \"timestamp\""];

/// A statement, the columns that the definition has then, and what a `COPY` selects for it.
const STATEMENTS: [(&str, &str, [&str; 5], &str); 4] = [
    ("rename", "rename column v to reading", ["", "", "", "reading = \"double\"", ""], "id, k, s, v as reading, at"),
    ("drop", "drop column s", ["", "", "-", "", ""], "id, k, v, at"),
    ("type", "alter column k type long", ["", "k = \"long\"", "", "", ""], "id, cast(k as bigint) as k, s, v, at"),
    ("using", "alter column s type string using upper(s)", ["", "", "", "", ""], "id, k, upper(s) as s, v, at"),
];

/// Prints a line for each statement and for its `COPY`.
pub(crate) fn measure() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-rewrite");
    let _ = fs::remove_dir_all(&folder);
    let project = folder.join("project");
    define(&project, &[""; 5], None);
    land(&project.join("l/t/a.json"));
    run_in(&project, &["sync"]);
    let table = project.join("w").join(TABLE);
    println!("{ROWS} rows, {} of data files\n", mib(data(&table)));
    println!("{:<34} {:>9} {:>10} {:>10} {:>10}", "", "time", "peak", "read", "written");
    for (name, statement, columns, select) in STATEMENTS {
        let mut runs = Vec::new();
        let mut bytes = (0, 0);
        for _ in 0..ROUNDS {
            let copy = folder.join("copy");
            clear(&copy);
            copied(&project, &copy);
            define(&copy, &columns, Some(statement));
            let ran = run_in(&copy, &["migrate", "apply", "--format", "json"]);
            bytes = ran.document().map_or((0, 0), |document| {
                let of = |key: &str| document["migrations"][0]["statements"][0][key].as_u64().unwrap_or(0);
                (of("bytes_read"), of("bytes_written"))
            });
            runs.push(ran);
        }
        let ours = shortest(runs);
        line(&format!("{name}: {statement}"), &ours, Some(bytes));
        let out = folder.join("out");
        let copies = (0..ROUNDS).map(|_| {
            clear(&out);
            let program = std::env::current_exe().expect("this program has a path");
            run(&program, &["--rewrite".as_ref(), table.as_os_str(), out.as_os_str(), select.as_ref()])
        });
        let plain = shortest(copies.collect());
        line("  DataFusion COPY", &plain, Some((data(&table), bytes_below(&out))));
        println!("  statement / COPY                 {:>7.2}", ours.time.as_secs_f64() / plain.time.as_secs_f64());
    }
}

/// `COPY` of the data files of a table, with one expression for each column.
pub(crate) fn copy(table: &Path, out: &Path, select: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let mut config = SessionConfig::new();
        config.options_mut().execution.parquet.schema_force_view_types = false;
        config.options_mut().execution.parquet.compression = Some("snappy".into());
        let session = SessionContext::new_with_config(config);
        let table = table.to_str().expect("a text path");
        session.register_parquet("t", table, ParquetReadOptions::default()).await.expect("the table has files");
        let sql = format!(
            "copy (select {select}, source_file, source_offset from t) to '{}/' stored as parquet",
            out.display()
        );
        session.sql(&sql).await.expect("the query is SQL").collect().await.expect("the query runs");
    });
}

fn define(project: &Path, changed: &[&str; 5], statement: Option<&str>) {
    let mut columns = String::new();
    for (column, changed) in COLUMNS.iter().zip(changed) {
        match *changed {
            "" => columns.push_str(column),
            "-" => continue,
            other => columns.push_str(other),
        }
        columns.push('\n');
    }
    let write = |path: &str, text: String| {
        let path = project.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(path, text).expect("the project can be written");
    };
    write(
        "stedi-delta.toml",
        "name = \"rewrite\"\nzones = [\"landing\"]\n[targets.dev]\nlanding = \"l\"\nwarehouse = \"w\"\n".to_owned(),
    );
    let source = "[source]\npath = \"t/*.json\"\nformat = \"json\"\nmin_age = \"0s\"\n";
    write("tables/landing/t.toml", format!("description = \"T\"\n{source}[columns]\n{columns}"));
    if let Some(statement) = statement {
        write("migrations/0001_one.sql", format!("alter table t {statement};\n"));
    }
}

fn land(path: &Path) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    let mut text = String::new();
    for id in 0..ROWS {
        let (k, s, v) = (id % 1000, id.wrapping_mul(7919) % 1_000_003, id % 977);
        let _ = writeln!(
            text,
            "{{\"id\":{id},\"k\":{k},\"s\":\"reading {s}\",\"v\":{v}.5,\"at\":\"2024-01-01T00:00:{:02}Z\"}}",
            id % 60
        );
    }
    fs::write(path, text).expect("the landing file can be written");
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be made");
    for entry in fs::read_dir(from).expect("the folder is there").flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copied(&path, &to);
        } else {
            fs::copy(&path, &to).expect("the file can be copied");
        }
    }
}

/// Bytes of the data files of a table.
fn data(table: &Path) -> u64 {
    bytes_below(table) - bytes_below(&table.join("_delta_log"))
}

fn run_in(project: &Path, args: &[&str]) -> Run {
    let more = ["--project".as_ref(), project.as_os_str()];
    let args: Vec<&std::ffi::OsStr> = args.iter().map(|arg| std::ffi::OsStr::new(*arg)).chain(more).collect();
    run(Path::new(env!("CARGO_BIN_EXE_stedi-delta")), &args)
}
