//! Fingerprints of what a derived table's rows depend on besides the rows of its sources.

use std::collections::BTreeSet;

use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::LogicalPlan;

use super::reads::reads;
use crate::definition::{Action, ColumnType, Derived, Expectation, Project, Table};

/// Increased by hand when the same definition gets another meaning. 2: aggregates of floating-point numbers are exact.
/// 3: `is distinct from` ends before `and`; conditions without columns and keys over several tables are not lost.
/// 4: lists and NaN follow SQL, decimals beside doubles are doubles.
/// 5: rows are compared column by column, differences of row numbers are signed; columns of `using`, duplicate GROUP BY
/// keys and constants on the left of `=` are correct.
/// 6: NULL equals nothing beside null-safe keys; conditions are planned as they are checked.
const SEMANTICS: u32 = 6;

/// The fingerprint of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// As it is recorded.
    pub now: i64,
    /// As it was recorded before it told what the query reads from what it passes by. Over more than the other one: while
    /// it is the same, so is that.
    before: i64,
}

impl Fingerprint {
    /// Whether it is the recorded one.
    #[must_use]
    pub(crate) fn is(&self, recorded: Option<i64>) -> bool {
        recorded == Some(self.now) || recorded == Some(self.before)
    }
}

/// 63 bits over canonical SQL, quarantining checks, consent and the grants behind it, primary key, names and types of
/// what the query reads of its sources. If the value differs, the table must be rebuilt. Never over plan text: that
/// changes with the query engine.
#[must_use]
pub(crate) fn fingerprint(project: &Project, table: &Table, derived: &Derived) -> Fingerprint {
    let of = |label: &str, inputs: BTreeSet<String>| over(project, table, derived, (label, inputs));
    Fingerprint { now: of("reads", reads(&derived.plan)), before: of("input", inputs(&derived.plan)) }
}

fn over(project: &Project, table: &Table, derived: &Derived, inputs: (&str, BTreeSet<String>)) -> i64 {
    let mut hash = Hash::default();
    let mut part = |label: &str, text: &str| hash.part(label, text);
    part("semantics", &SEMANTICS.to_string());
    part("sql", &derived.canonical_sql);
    for expectation in table.expectations.iter().filter(|e| e.action == Action::Quarantine) {
        part("quarantine", &expectation.check.text);
    }
    if let Some(consent) = &table.consent {
        part("consent", &format!("{} {} {}", consent.subject, consent.grants, consent.names));
        if let Some(grants) = project.table(&consent.grants).and_then(Table::landing).and_then(|l| l.grants.as_ref()) {
            part("granted", &grants.granted.text);
            part("grants", &format!("{:?} {:?}", grants.subjects, grants.latest));
        }
    }
    part("primary key", &table.primary_key.join(" "));
    for column in &table.columns {
        part(&column.name, &format!("{} {}", column.column_type.delta_name(), column.nullable));
    }
    let (label, inputs) = inputs;
    for input in inputs {
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
