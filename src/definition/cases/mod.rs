//! `tests/*.toml`: tests of queries, as rows that are given and rows that are expected.
//!
//! ```toml
//! [[test]]
//! name = "a newer record without consent ends it"
//! table = "customer_trusted"             # the derived table whose rows are expected
//! columns = ["email"]                    # compared columns; default: all
//! expect = [{ email = "ann@x" }]         # its rows; an absent key is NULL
//! expect_after = []                      # its rows after the change
//! expect_inserted = []                   # rows that the change inserts
//! expect_deleted = [{ email = "ann@x" }] # rows that the change deletes
//!
//! [test.given]                           # rows of tables; landing tables without any are empty, other tables computed
//! customer_landing = [{ email = "ann@x", lastupdatedate = 1, sharewithresearchasofdate = 1 }]
//!
//! [test.insert]                          # the change: rows that come
//! customer_landing = [{ email = "ann@x", lastupdatedate = 2 }]
//!
//! [test.delete]                          # and given rows that go: every one with these values
//! customer_landing = [{ email = "bob@x" }]
//! ```

mod rows;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;

use super::document::{self, Entry, Table};
use super::keys::TESTS;
use super::model::{self, Project};
use super::read;
use crate::error::Result;
use crate::name::TableName;
use crate::source::faults::{Faults, suggestion};
use crate::source::{Fault, Place, SourceFile, Text};
use rows::{Columns, Rows};

/// A test of a derived table's query.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Unique in its file.
    pub name: String,
    /// Its name's place.
    pub place: Place,
    /// The table whose rows are expected.
    pub table: TableName,
    /// The compared columns.
    pub columns: Vec<String>,
    /// Rows of tables before the change.
    pub given: BTreeMap<TableName, RecordBatch>,
    /// The change, if there is one.
    pub change: Option<BTreeMap<TableName, TableChange>>,
    /// Expected rows before the change.
    pub rows: Option<RecordBatch>,
    /// Expected rows after it.
    pub rows_after: Option<RecordBatch>,
    /// Expected rows that the change inserts.
    pub inserted: Option<RecordBatch>,
    /// Expected rows that it deletes.
    pub deleted: Option<RecordBatch>,
}

/// The change of a given table.
#[derive(Clone, Debug)]
pub(crate) struct TableChange {
    /// Rows that come.
    pub inserted: RecordBatch,
    /// Which given rows go, by number, ascending.
    pub deleted: Vec<usize>,
}

/// Reads the tests of a project: those without faults, and all faults.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn cases(root: &Path, project: &Project) -> Result<(Vec<Case>, Vec<Fault>)> {
    let mut faults = Faults::default();
    let mut cases = Vec::new();
    for file in read::tests(root)? {
        cases.extend(of_file(&file, project, &mut faults));
    }
    Ok((cases, faults.into_sorted()))
}

fn of_file(file: &Arc<SourceFile>, project: &Project, faults: &mut Faults) -> Vec<Case> {
    let Some(parsed) = document::parse(file, faults) else { return Vec::new() };
    let root = Table::root(file, &parsed, &TESTS, faults);
    let Some(entry) = root.require("test", faults) else { return Vec::new() };
    let mut cases: Vec<Case> = Vec::new();
    let mut names = BTreeSet::new();
    for test in entry.tables(faults) {
        let before = faults.len();
        let case = (Reader { project, test: &test }).case(faults);
        if let Some(name) = test.get("name").and_then(|name| name.string(&mut Faults::default()))
            && !names.insert(name.value.clone())
        {
            faults.add(name.place, format!("two tests are called \"{}\"", name.value), "choose another name");
        }
        cases.extend(case.filter(|_| faults.len() == before));
    }
    cases
}

struct Reader<'a> {
    project: &'a Project,
    test: &'a Table<'a>,
}

impl Reader<'_> {
    fn case(&self, faults: &mut Faults) -> Option<Case> {
        let test = self.test;
        let name = test.required_string("name", faults);
        let table = self.tested(faults)?;
        let columns = self.columns(table, faults);
        let above = above(self.project, &table.name);
        let given = self.tables("given", &above, faults);
        let inserted = self.tables("insert", &above, faults);
        let deleted = self.tables("delete", &above, faults);
        let change = test.get("insert").or(test.get("delete"));
        let rows = |key: &str, faults: &mut Faults| {
            let entry = test.get(key)?;
            Some(rows::read(entry, &Columns::expected(table, &columns), faults).batch)
        };
        let before = rows("expect", faults);
        let [rows_after, added, removed] =
            ["expect_after", "expect_inserted", "expect_deleted"].map(|key| match (test.get(key), change) {
                (Some(entry), None) => {
                    let label = "add rows under `insert` or `delete`";
                    faults.add(entry.key_place.clone(), format!("`{key}` needs a change"), label);
                    None
                }
                _ => rows(key, faults),
            });
        if before.is_none() && change.is_none() {
            faults.add(test.place.clone(), "this test expects nothing", "add `expect = [...]`");
        }
        let name = name?;
        let given: BTreeMap<TableName, Rows> = given
            .into_iter()
            .map(|(table, entry)| (table.name.clone(), given_rows(table, entry, "given", faults)))
            .collect();
        let changes = self.changes(&given, (inserted, deleted), faults);
        Some(Case {
            name: name.value,
            place: name.place,
            table: table.name.clone(),
            columns,
            given: given.into_iter().map(|(table, rows)| (table, rows.batch)).collect(),
            change: change.map(|_| changes),
            rows: before,
            rows_after,
            inserted: added,
            deleted: removed,
        })
    }

    /// The derived table that is tested.
    fn tested(&self, faults: &mut Faults) -> Option<&model::Table> {
        let text = self.test.required_string("table", faults)?;
        let derived = || self.project.tables.iter().filter(|table| table.derived().is_some());
        let found = self.project.tables.iter().find(|table| table.name.as_str() == text.value);
        if let Some(table) = found.filter(|table| table.derived().is_some()) {
            return Some(table);
        }
        let (message, label) = match found {
            Some(_) => (format!("`{}` is a landing table", text.value), "a test is of a table with a query".to_owned()),
            None => (
                format!("table `{}` is not in this project", text.value),
                suggestion(&text.value, derived().map(|table| table.name.as_str())),
            ),
        };
        faults.add(text.place, message, label);
        None
    }

    /// The compared columns, in the order of the table.
    fn columns(&self, table: &model::Table, faults: &mut Faults) -> Vec<String> {
        let all = || table.columns.iter().map(|column| column.name.as_str());
        let chosen = self.test.strings("columns", faults);
        for Text { value, place } in &chosen {
            if !all().any(|name| name == value) {
                let message = format!("column `{value}` is not in {}", table.name);
                faults.add(place.clone(), message, suggestion(value, all()));
            }
        }
        if chosen.is_empty() {
            return all().map(str::to_owned).collect();
        }
        all().filter(|name| chosen.iter().any(|text| text.value == *name)).map(str::to_owned).collect()
    }

    /// The lists of rows by table under a key. Each must be a table from which the tested one is computed.
    fn tables(&self, key: &str, above: &BTreeSet<TableName>, faults: &mut Faults) -> Vec<(&model::Table, Entry<'_>)> {
        let Some(tables) = self.test.get(key).and_then(|entry| entry.table(faults)) else { return Vec::new() };
        let mut found = Vec::new();
        for entry in tables.into_entries() {
            let table = self.project.tables.iter().find(|table| table.name.as_str() == entry.key);
            let (message, names) = match table {
                Some(table) if above.contains(&table.name) => {
                    found.push((table, entry));
                    continue;
                }
                Some(_) => ("is not read for this test", above.iter().map(TableName::as_str).collect::<Vec<_>>()),
                None => ("is not in this project", self.project.tables.iter().map(|t| t.name.as_str()).collect()),
            };
            let label = suggestion(&entry.key, names.into_iter());
            faults.add(entry.key_place.clone(), format!("table `{}` {message}", entry.key), label);
        }
        found
    }

    /// The change of every given table.
    fn changes(
        &self,
        given: &BTreeMap<TableName, Rows>,
        (inserted, deleted): (Lists<'_>, Lists<'_>),
        faults: &mut Faults,
    ) -> BTreeMap<TableName, TableChange> {
        let mut changes: BTreeMap<TableName, TableChange> = BTreeMap::new();
        let computed = |table: &model::Table, entry: &Entry<'_>, faults: &mut Faults| {
            let is_computed = table.derived().is_some() && !given.contains_key(&table.name);
            if is_computed {
                let message = format!("`{}` is computed here, so no row of it comes or goes by itself", table.name);
                let label = format!("change a table that it reads, or add `{} = []` under `given`", table.name);
                faults.add(entry.key_place.clone(), message, label);
            }
            is_computed
        };
        let nothing = |table: &model::Table| TableChange {
            inserted: RecordBatch::new_empty(table.schema()),
            deleted: Vec::new(),
        };
        for (table, entry) in inserted {
            if !computed(table, &entry, faults) {
                let rows = given_rows(table, entry, "inserted", faults).batch;
                changes.entry(table.name.clone()).or_insert_with(|| nothing(table)).inserted = rows;
            }
        }
        for (table, entry) in deleted {
            if !computed(table, &entry, faults) {
                let rows = rows::read(&entry, &Columns::pattern(table), faults);
                let gone = rows.found_in(given.get(&table.name), faults);
                changes.entry(table.name.clone()).or_insert_with(|| nothing(table)).deleted = gone;
            }
        }
        changes
    }
}

/// Lists of rows by table.
type Lists<'d> = Vec<(&'d model::Table, Entry<'d>)>;

/// Given rows of a table; `file` is what a landing table has for the file of a row that names none.
fn given_rows(table: &model::Table, entry: Entry<'_>, file: &str, faults: &mut Faults) -> Rows {
    rows::read(&entry, &Columns::given(table, file), faults)
}

/// Tables that a table is computed from, directly or not, and records of consent.
fn above(project: &Project, table: &TableName) -> BTreeSet<TableName> {
    let mut found = BTreeSet::new();
    let mut left = vec![table.clone()];
    while let Some(name) = left.pop() {
        let Some(table) = project.table(&name) else { continue };
        let read = table.derived().into_iter().flat_map(|derived| derived.sources.iter());
        for source in read.chain(table.consent.iter().map(|consent| &consent.grants)) {
            if found.insert(source.clone()) {
                left.push(source.clone());
            }
        }
    }
    found
}
