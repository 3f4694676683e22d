//! TPC-H as a project (`examples/tpch`): the 22 queries as tables, over data that is inserted, deleted and updated.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use stedi_delta::outcome::Mode;

use crate::support::second::python;
use crate::support::{Lake, of, repository};

#[expect(dead_code, reason = "the example's own main")]
#[path = "../../examples/tpch/generate/main.rs"]
mod generate;

const SCALE: &str = "0.01";
const ROUNDS: u32 = 3;
/// Percentage of the orders that a round changes.
const CHANGED: &str = "10";

/// Whether a query is maintained incrementally. `docs/proof/tpch.md` shows the same table, with the reasons.
const INCREMENTAL: [(&str, bool); 22] = [
    ("q01", true),
    ("q02", false),
    ("q03", false),
    ("q04", true),
    ("q05", true),
    ("q06", true),
    ("q07", true),
    ("q08", true),
    ("q09", true),
    ("q10", false),
    ("q11", true),
    ("q12", true),
    ("q13", true),
    ("q14", true),
    ("q15", true),
    ("q16", true),
    ("q17", true),
    ("q18", false),
    ("q19", true),
    ("q20", true),
    ("q21", false),
    ("q22", true),
];

fn project() -> PathBuf {
    repository().join("examples/tpch")
}

fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// The example's project. Incremental maintenance is required: `auto` could recompute small tables.
fn lake() -> Lake {
    let lake = Lake::project(&[]);
    let tables = project().join("tables");
    for file in files_below(&tables).unwrap() {
        let mut text = fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        if INCREMENTAL.contains(&(name, true)) {
            text = text.replace("refresh = \"auto\"", "refresh = \"incremental\"");
        }
        let path = Path::new("tables").join(file.strip_prefix(&tables).unwrap());
        lake.define(path.to_str().unwrap(), &text);
    }
    lake.define("stedi-delta.toml", &fs::read_to_string(project().join("stedi-delta.toml")).unwrap());
    lake
}

fn make(lake: &Lake, round: u32) {
    let (out, round) = (lake.landing(), round.to_string());
    let mut args = vec!["--out", out.to_str().unwrap(), "--scale", SCALE];
    if round != "0" {
        args.extend(["--round", &round, "--changed", CHANGED]);
    }
    let made = generate::run(args.into_iter().map(str::to_owned));
    assert_eq!(made, std::process::ExitCode::SUCCESS);
}

/// DuckDB reads the landing files, runs the queries unchanged, and compares with our tables row by row.
fn second_opinion(lake: &Lake) {
    let python = python();
    if !python.is_file() {
        eprintln!("SKIP: TPC-H against DuckDB: there is no Python at {}", python.display());
        return;
    }
    let output = Command::new(python)
        .arg(project().join("compare.py"))
        .args([lake.landing(), lake.warehouse()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => println!("{said}"),
        Some(77) => eprintln!("SKIP: TPC-H against DuckDB: {}", said.trim()),
        _ => panic!("{said}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_queries_are_their_recompute_after_inserts_updates_and_deletes() {
    let lake = lake();
    make(&lake, 0);
    lake.sync().await;
    lake.assert_recomputed().await;
    second_opinion(&lake);
    let mut shown = String::new();
    let mut wrong = String::new();
    let mut changed = vec![0; INCREMENTAL.len()];
    for round in 1..=ROUNDS {
        make(&lake, round);
        let outcome = lake.sync().await;
        lake.assert_recomputed().await;
        for (at, (query, incremental)) in INCREMENTAL.into_iter().enumerate() {
            let table = of(&outcome, query);
            let expected = if incremental { Mode::Incremental } else { Mode::Full };
            if table.mode != expected {
                writeln!(wrong, "round {round}: {query} is {:?} ({}), not {expected:?}", table.mode, table.reason)
                    .unwrap();
            }
            changed[at] += table.rows.inserted + table.rows.updated + table.rows.deleted;
            writeln!(shown, "round {round} {query} {:?}: {}", table.mode, table.reason).unwrap();
        }
    }
    println!("{shown}");
    second_opinion(&lake);
    assert_eq!(wrong, "");
    let moved = changed.iter().filter(|n| **n > 0).count();
    assert!(moved >= 18, "the rounds change too little: rows changed by query {changed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tpch_documentation_says_what_is_maintained() {
    let text = fs::read_to_string(repository().join("docs/proof/tpch.md")).unwrap();
    let lake = lake();
    let workspace = lake.workspace().await;
    for (query, incremental) in INCREMENTAL {
        let table = workspace.project.tables.iter().find(|t| t.name.as_str() == query).unwrap();
        let derivative = stedi_delta::internals::incremental::differentiate(&table.derived().unwrap().plan);
        assert_eq!(derivative.is_ok(), incremental, "{query}: {:?}", derivative.err());
        let row = text.lines().find(|l| l.starts_with(&format!("| `{query}` |"))).unwrap();
        let mode = if incremental { "| incremental |" } else { "| full |" };
        assert!(row.contains(mode), "docs/proof/tpch.md: {row}");
    }
}
