//! The second engine: DuckDB computes each query over the rows that the lake's tables hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::compare::{Bag, Stored, bag, difference};
use super::world::{Case, Column};
use crate::support::second;

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

/// Compares every query with the same meaning in both engines; returns their number.
pub(crate) fn agrees(case: &Case, tables: &BTreeMap<String, Stored>) -> Result<usize, String> {
    let mut exports = BTreeMap::new();
    let columns = case.landing.iter().map(|l| (&l.name, &l.columns));
    for (name, columns) in columns.chain(case.derived.iter().map(|d| (&d.name, &d.query.columns))) {
        let stored = &tables[name];
        exports.insert(name, exported(columns, &bag(&stored.batches, &stored.schema)?));
    }
    let portable: Vec<_> = case.derived.iter().filter(|d| d.portable).collect();
    let queries: BTreeMap<&String, String> = portable.iter().map(|d| (&d.name, d.query.render())).collect();
    let input = json!({ "tables": exports, "queries": queries });
    let answer: Option<BTreeMap<String, Value>> = second::answered(SCRIPT, &input)?;
    let Some(answer) = answer else { return Ok(0) };
    let mut answered = 0;
    for derived in &portable {
        let answer = &answer[&derived.name];
        // For example, an outer join over outer columns of a subquery.
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
