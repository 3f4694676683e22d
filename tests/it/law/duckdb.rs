//! The second engine: DuckDB computes each query over the rows that the lake's tables hold.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::compare::{Bag, Stored, bag, difference};
use super::world::{Case, Column};
use crate::support::repository;

const SCRIPT: &str = r"
import json, sys, datetime, decimal
try:
    import duckdb
except ImportError:
    sys.exit(77)
case = json.load(sys.stdin)
db = duckdb.connect()
for name, table in case['tables'].items():
    db.execute('create table %s (%s)' % (name, ', '.join('%s %s' % tuple(c) for c in table['columns'])))
    if table['rows']:
        marks = ', '.join('?' for _ in table['columns'])
        db.executemany('insert into %s values (%s)' % (name, marks), table['rows'])
def text(v):
    if v is None: return 'NULL'
    if isinstance(v, bool): return 'true' if v else 'false'
    if isinstance(v, datetime.datetime):
        # `strftime` writes the year 1 with one digit.
        return v.isoformat(timespec='milliseconds' if v.microsecond else 'seconds') + 'Z'
    return str(v)
answer = {}
for name, sql in case['queries'].items():
    try:
        answer[name] = ['|'.join(text(v) for v in row) for row in db.execute(sql).fetchall()]
    except Exception as e:
        answer[name] = str(e)
json.dump(answer, sys.stdout)
";

fn interpreter() -> Option<PathBuf> {
    let given = std::env::var_os("ORACLE_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| repository().join("target/venv/bin/python"));
    if !python.is_file() {
        eprintln!("SKIP: no second engine at {} (scripts/setup installs it)", python.display());
    }
    python.is_file().then_some(python)
}

fn exported(columns: &[Column], bag: &Bag) -> Value {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for (row, count) in bag {
        let cells = row.split('|').take(columns.len()).map(|v| if v == "NULL" { Value::Null } else { json!(v) });
        let cells: Vec<Value> = cells.collect();
        rows.extend((0..*count).map(|_| cells.clone()));
    }
    let types: Vec<[&str; 2]> = columns.iter().map(|c| [c.name.as_str(), c.kind.sql()]).collect();
    json!({ "columns": types, "rows": rows })
}

/// Compares every query that means the same in both engines; how many there were.
pub fn agrees(case: &Case, tables: &BTreeMap<String, Stored>) -> Result<usize, String> {
    let Some(python) = interpreter() else { return Ok(0) };
    let mut exports = BTreeMap::new();
    let columns = case.landing.iter().map(|l| (&l.name, &l.columns));
    for (name, columns) in columns.chain(case.derived.iter().map(|d| (&d.name, &d.query.columns))) {
        let stored = &tables[name];
        exports.insert(name, exported(columns, &bag(&stored.batches, &stored.schema)?));
    }
    let portable: Vec<_> = case.derived.iter().filter(|d| d.portable).collect();
    let queries: BTreeMap<&String, String> = portable.iter().map(|d| (&d.name, d.query.render())).collect();
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let input = json!({ "tables": exports, "queries": queries }).to_string();
    child.stdin.take().ok_or("no input")?.write_all(input.as_bytes()).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    match output.status.code() {
        Some(0) => {}
        Some(77) => {
            eprintln!("SKIP: DuckDB is not installed");
            return Ok(0);
        }
        code => return Err(format!("duckdb: exit code {code:?}")),
    }
    let answer: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let mut answered = 0;
    for derived in &portable {
        let answer = &answer[&derived.name];
        // An outer join around what a subquery takes from outside, say.
        if answer.as_str().is_some_and(|why| why.contains("Not implemented Error")) {
            continue;
        }
        let Some(rows) = answer.as_array() else { return Err(format!("duckdb: {}: {answer}", derived.name)) };
        answered += 1;
        let mut expected = Bag::new();
        for row in rows.iter().filter_map(Value::as_str) {
            *expected.entry(row.to_owned()).or_default() += 1;
        }
        let stored = &tables[&derived.name];
        if let Some(text) = difference(&bag(&stored.batches, &stored.schema)?, &expected, &derived.query.columns) {
            return Err(format!("duckdb: {} is not what DuckDB computes: {text}", derived.name));
        }
    }
    Ok(answered)
}
