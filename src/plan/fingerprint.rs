//! Fingerprints of what a derived table's rows depend on besides the rows of its sources.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::LogicalPlan;

use super::reads::reads;
use crate::definition::{Action, ColumnType, Derived, Expectation, Project, Table};
use crate::migration::{Names, Places};
use crate::source::SourceFile;
use crate::sql::words::words;

/// Increased by hand when the same definition gets another meaning. 2: aggregates of floating-point numbers are exact.
/// 3: `is distinct from` ends before `and`; conditions without columns and keys over several tables are not lost.
/// 4: lists and NaN follow SQL, decimals beside doubles are doubles.
/// 5: rows are compared column by column, differences of row numbers are signed; columns of `using`, duplicate GROUP BY
/// keys and constants on the left of `=` are correct.
/// 6: NULL equals nothing beside null-safe keys; conditions are planned as they are checked.
const SEMANTICS: u32 = 6;

/// The fingerprint of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// As it is recorded.
    pub now: i64,
    /// As older versions recorded it, for the same rows.
    older: i64,
}

impl Fingerprint {
    /// Whether it is the recorded one.
    #[must_use]
    pub(crate) fn is(&self, recorded: Option<i64>) -> bool {
        recorded == Some(self.now) || recorded == Some(self.older)
    }
}

/// 63 bits over canonical SQL, quarantining checks, consent and the grants behind it, primary key, names and types of
/// what the query reads of its sources. If the value differs, the table must be rebuilt. Never over plan text: that
/// changes with the query engine. Tables count by what they are, not by their names: a table that a migration renamed is the
/// same one, and two that swapped their names are not.
#[must_use]
pub(crate) fn fingerprint(project: &Project, table: &Table, derived: &Derived, places: &Places) -> Fingerprint {
    let (reads, inputs) = (reads(&derived.plan), inputs(&derived.plan));
    let of =
        |label: &str, inputs: &BTreeSet<String>, names: &Names| over(project, table, derived, (label, inputs, names));
    let names = project.tables.iter().map(|t| (t.name.to_string(), places.identity(t.name.as_str(), &t.zone)));
    let names: Names = names.filter(|(name, identity)| name != identity).collect();
    // Older versions hashed every column that the query names. These include those that it reads: if they are the same, so
    // are those.
    Fingerprint { now: of("reads", &reads, &names), older: of("input", &inputs, &names) }
}

/// A text of SQL with names of tables that do not change. It is only compared: that a column may have the name of a table does not
/// matter, since the names of columns count by themselves.
fn renamed(sql: &str, names: &Names) -> String {
    if names.is_empty() {
        return sql.to_owned();
    }
    let file = Arc::new(SourceFile { path: PathBuf::new(), text: sql.to_owned() });
    let (mut text, mut at) = (String::new(), 0);
    // It was printed from a syntax tree, so it can be split.
    for word in words(&file).unwrap_or_default() {
        if let Some(name) = names.get(&word.text).filter(|_| word.is_name) {
            text.push_str(sql.get(at..word.place.span.start).unwrap_or_default());
            text.push_str(name);
            at = word.place.span.end;
        }
    }
    text + sql.get(at..).unwrap_or_default()
}

fn over(project: &Project, table: &Table, derived: &Derived, inputs: (&str, &BTreeSet<String>, &Names)) -> i64 {
    let (label, inputs, names) = inputs;
    let mut hash = Hash::default();
    let mut part = |label: &str, text: &str| hash.part(label, text);
    part("semantics", &SEMANTICS.to_string());
    part("sql", &renamed(&derived.canonical_sql, names));
    for expectation in table.expectations.iter().filter(|e| e.action == Action::Quarantine) {
        part("quarantine", &expectation.check.text);
    }
    if let Some(consent) = &table.consent {
        let grants = names.get(consent.grants.as_str()).map_or(consent.grants.as_str(), String::as_str);
        part("consent", &format!("{} {grants} {}", consent.subject, consent.names));
        if let Some(by) = &consent.by {
            part("consent by", &by.text);
        }
        if let Some(grants) = project.table(&consent.grants).and_then(Table::landing).and_then(|l| l.grants.as_ref()) {
            part("granted", &grants.granted.text);
            part("grants", &format!("{:?} {:?}", grants.subjects, grants.latest));
        }
    }
    part("primary key", &table.primary_key.join(" "));
    for column in &table.columns {
        part(&column.name, &format!("{} {}", column.column_type.delta_name(), column.nullable));
    }
    let identified = |input: &String| match input.split_once('.') {
        Some((table, rest)) => names.get(table).map_or_else(|| input.clone(), |name| format!("{name}.{rest}")),
        None => input.clone(),
    };
    for input in inputs.iter().map(identified).collect::<BTreeSet<_>>() {
        part(label, &input);
    }
    hash.finish()
}

/// 63 bits over the expectations of a table that are checked on its rows: all of a landing table; of a derived one
/// those that do not quarantine, since quarantining ones are part of its query. 0 if there are none. If the value
/// differs, no row of the table has been checked by them.
#[must_use]
pub fn expectations(table: &Table) -> i64 {
    let is_checked = |e: &&Expectation| table.landing().is_some() || e.action != Action::Quarantine;
    let mut checked = table.expectations.iter().filter(is_checked).peekable();
    if checked.peek().is_none() {
        return 0;
    }
    let mut hash = Hash::default();
    hash.part("semantics", &SEMANTICS.to_string());
    for expectation in checked {
        hash.part(&format!("{:?}", expectation.action), &expectation.check.text);
    }
    hash.finish()
}

#[derive(Default)]
struct Hash(blake3::Hasher);

impl Hash {
    fn part(&mut self, label: &str, text: &str) {
        for field in [label, text] {
            self.0.update(&(field.len() as u64).to_le_bytes());
            self.0.update(field.as_bytes());
        }
    }

    fn finish(&self) -> i64 {
        let mut first = [0_u8; 8];
        first.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        i64::from_le_bytes(first) & i64::MAX
    }
}

/// `table.column type` of every column of a source that the query names anywhere.
fn inputs(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut scans = Vec::new();
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            scans.push((scan.table_name.to_string(), scan.source.schema()));
        }
        for expr in node.expressions() {
            let _ = expr.apply(|e| {
                if let deltalake::datafusion::logical_expr::Expr::Column(column) = e {
                    names.insert(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        Ok(TreeNodeRecursion::Continue)
    });
    let mut inputs = BTreeSet::new();
    for (table, schema) in scans {
        for field in schema.fields().iter().filter(|f| names.contains(f.name())) {
            let data_type = field.data_type();
            // Arrow's text of a nested type may change.
            let name = if data_type.is_nested() { ColumnType::name_of(data_type) } else { data_type.to_string() };
            inputs.insert(format!("{table}.{} {name}", field.name()));
        }
    }
    inputs
}
