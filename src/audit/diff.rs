//! The difference of two versions of a table: the rows that only one of them holds, counted as a multiset.
//!
//! It is computed from the data files by which the two differ, and from no change data feed. With a primary key, a row
//! that left and one that came under the same key are one update. Rows are consolidated, sorted and then streamed, so that
//! a difference of any size fits into memory.

mod columns;
mod lake;
mod lines;
mod source;

use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::execution::SendableRecordBatchStream;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Sort, ident, lit};
use deltalake::datafusion::prelude::{DataFrame, SessionContext};

use super::classified::Classified;
use super::version_of;
use crate::error::{Context, Error, Kind, Result};
use crate::incremental::{WEIGHT, consolidate};
use crate::lake::LakeTable;
use crate::migrate::{self, ColumnNames, Journal, Moves};
use crate::outcome::DiffOutcome;
use crate::sql::row_condition;
use crate::travel::{self, Named, NamedKind, Point};
use crate::workspace::Workspace;
use columns::{Pair, nameable, pairs, selected};
use lines::{LineColumn, Lines};
use source::{Source, nth, over_pairs};

pub use lake::diff_lake;

/// Which difference is asked for.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// The table.
    pub table: String,
    /// The version before.
    pub from: Point,
    /// The version after, also an earlier one; `None` = the newest.
    pub to: Option<Point>,
    /// The columns in which rows are compared, beside the primary key; empty = all.
    pub columns: Vec<String>,
    /// A condition on the rows of both versions.
    pub condition: Option<String>,
    /// Whether lines are only counted: then there are none but for their keys.
    pub counts_only: bool,
}

/// A difference as it is computed.
pub struct Diff {
    /// What is known of it: the counts are those of the lines so far.
    pub outcome: DiffOutcome,
    lines: Lines,
    workspace: Workspace,
}

impl Diff {
    /// The columns of lines.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.lines.schema()
    }

    /// The next lines: `op` (`insert`, `delete` or `update`), the struct `key` if the table has one, and the structs
    /// `before` and `after` of the other columns, each NULL where there is no such row. `None` after the last one.
    ///
    /// # Errors
    /// A row cannot be computed.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let next = self.lines.next().await.map_err(|error| self.workspace.told(error))?;
        Ok(next.map(|(lines, counts)| {
            self.outcome.rows += counts;
            lines
        }))
    }

    /// Counts the lines that are left.
    ///
    /// # Errors
    /// A row cannot be computed.
    pub async fn count(mut self) -> Result<DiffOutcome> {
        while let Some(counts) = self.lines.count().await.map_err(|error| self.workspace.told(error))? {
            self.outcome.rows += counts;
        }
        Ok(self.outcome)
    }
}

/// The difference of two versions of a table.
///
/// # Errors
/// `Usage` if there is no such table, version or column; `Failed` if a version can no longer be read, if the table was
/// created anew between the two, or the condition is wrong.
pub async fn diff(workspace: &Workspace, options: &DiffOptions) -> Result<Diff> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    if let (name, Some(_)) = travel::split(&options.table) {
        return Err(Error::new(Kind::Usage, format!("`{}` is one version", options.table))
            .fact("expected", "the table's name alone: two versions are compared")
            .help(format!("stedi-delta diff {name} --from v0 --to v1")));
    }
    let table = travel::find(workspace, &options.table).await?;
    let from = table.version(&options.from).await?;
    let to = match &options.to {
        Some(point) => table.version(point).await?,
        None => table.newest.version(),
    };
    let names = ColumnNames::of(&Journal::read(workspace).await?, &table.newest.uuid());
    compare(workspace, &table, (from, to), names, options).await
}

/// The difference of two versions of a table that was found.
async fn compare(
    workspace: &Workspace,
    table: &Named,
    (from, to): (u64, u64),
    names: ColumnNames,
    options: &DiffOptions,
) -> Result<Diff> {
    let reversed = from > to;
    let (old, new) = (table.at(from.min(to)).await?, table.at(from.max(to)).await?);
    check_same(table, &old, &new)?;
    let mut outcome = DiffOutcome {
        table: table.name.clone(),
        from: version_of(if reversed { &new } else { &old }).await?,
        to: version_of(if reversed { &old } else { &new }).await?,
        notes: table.notes.clone(),
        ..DiffOutcome::default()
    };
    let pairs = pairs(&old, &new, &names);
    let compared = selected(&pairs, &options.columns, &table.name)?;
    let key = key(workspace, table, &pairs, &names, new.version());
    if key.is_none() {
        outcome.notes.push("its key has a column that only one of the versions has: no line is an update".into());
    }
    let key = key.unwrap_or_default();
    let classified = Classified::of(workspace, table, names);
    let values: Vec<usize> = compared.iter().copied().filter(|at| !key.contains(at)).collect();
    outcome.key = key.iter().map(|at| pairs[*at].name(reversed).to_owned()).collect();
    outcome.columns = values.iter().map(|at| pairs[*at].described(reversed)).collect();
    let is_hidden = |pair: &Pair| {
        let is_hidden = |name: &Option<String>, of: &LakeTable| {
            name.as_ref().is_some_and(|name| classified.is_hidden(name, of.version()))
        };
        is_hidden(&pair.old, &old) || is_hidden(&pair.new, &new)
    };
    let column = |at: &usize, is_key| {
        let names = pairs[*at].names(reversed).map(|name| name.map(str::to_owned));
        let data_type = pairs[*at].data_type.clone();
        LineColumn { at: 0, names, data_type, is_key, is_hidden: is_hidden(&pairs[*at]) }
    };
    let columns = key.iter().map(|at| column(at, true)).chain(values.iter().map(|at| column(at, false)));
    let columns: Vec<LineColumn> = columns.enumerate().map(|(at, column)| LineColumn { at, ..column }).collect();
    outcome.notes.extend(classified.note(!options.counts_only && columns.iter().any(|column| column.is_hidden)));
    let session = workspace.session()?;
    let source = Source::find(old, new).await?;
    outcome.files = source.read();
    let rows = source.rows(&session, &pairs).await?;
    let query = Query { table: &table.name, pairs: &pairs, key: &key, values: &values, reversed, options };
    // Also where no file differs: the condition may be wrong.
    let stream = query.stream(&session, rows).await.map_err(|error| workspace.told(error))?;
    let at_once = session.state().config().batch_size();
    let columns =
        if options.counts_only { columns.into_iter().filter(|column| column.is_key).collect() } else { columns };
    let lines = Lines::of(stream, columns, classified, at_once)?;
    Ok(Diff { outcome, lines, workspace: workspace.clone() })
}

/// Refuses versions of two tables in one log.
fn check_same(table: &Named, old: &LakeTable, new: &LakeTable) -> Result<()> {
    if old.uuid() == new.uuid() {
        return Ok(());
    }
    let (before, name) = (old.version(), &table.name);
    Err(Error::failed(format!("v{before} of {name} is a version of another table"))
        .fact("because", format!("{name} was created anew in the same folder between v{before} and v{}", new.version()))
        .help(format!("compare versions of one of the two; versions: stedi-delta history {name}")))
}

/// The columns of the primary key; empty if the table declares none. `None` = one of them is not in both versions.
fn key(workspace: &Workspace, table: &Named, pairs: &[Pair], names: &ColumnNames, version: u64) -> Option<Vec<usize>> {
    let defined = if table.kind == NamedKind::Table { workspace.table(&table.name).ok() } else { None };
    let today = |pair: &Pair| names.later(pair.new.as_ref()?, version, table.newest.version());
    let find = |column: &String| {
        let found = pairs.iter().position(|pair| pair.old.is_some() && today(pair).as_ref() == Some(column));
        found.filter(|at| !pairs[*at].data_type.is_nested())
    };
    defined.map_or_else(|| Some(Vec::new()), |table| table.primary_key.iter().map(find).collect())
}

struct Query<'a> {
    table: &'a str,
    pairs: &'a [Pair],
    key: &'a [usize],
    values: &'a [usize],
    reversed: bool,
    options: &'a DiffOptions,
}

impl Query<'_> {
    /// The rows of the difference: key, other columns, weight; in the order of the lines. Only key and weight if lines are
    /// only counted.
    async fn stream(
        &self,
        session: &SessionContext,
        rows: Option<DataFrame>,
    ) -> Result<Option<SendableRecordBatchStream>> {
        let condition = match &self.options.condition {
            Some(text) => {
                let (schema, at) = nameable(self.pairs, self.reversed);
                let condition = row_condition(text, "--where", self.table, schema.clone())?;
                Some(over_pairs(&condition, &schema, &at)?)
            }
            None => None,
        };
        let Some(mut rows) = rows else { return Ok(None) };
        if let Some(condition) = condition {
            rows = rows.filter(condition).context(doing)?;
        }
        let columns = || self.key.iter().chain(self.values).map(|at| ident(nth(*at)));
        let weight = if self.reversed { ident(WEIGHT) * lit(-1_i64) } else { ident(WEIGHT) };
        let rows = rows.select(columns().chain([weight.alias(WEIGHT)]).collect::<Vec<_>>()).context(doing)?;
        let rows = DataFrame::new(session.state(), consolidate(rows.into_unoptimized_plan())?);
        let rows = if self.options.counts_only {
            let key = self.key.iter().map(|at| ident(nth(*at)));
            let rows = rows.select(key.chain([ident(WEIGHT)]).collect::<Vec<_>>()).context(doing)?;
            if self.key.is_empty() { rows } else { in_order(session, rows) }
        } else {
            in_order(session, rows)
        };
        rows.execute_stream().await.context(doing).map(Some)
    }
}

/// Rows in the order of their columns, the first one first.
///
/// `DataFrame::sort` takes a name for that of a column below the projection under it, if there is one: where that renames
/// `c0` to `c1` and `c1` to `c0`, as a key that is not the first column is, it sorts by the other one.
fn in_order(session: &SessionContext, rows: DataFrame) -> DataFrame {
    let plan = rows.into_unoptimized_plan();
    let expr = plan.schema().columns().into_iter().map(|column| Expr::Column(column).sort(true, false)).collect();
    DataFrame::new(session.state(), LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch: None }))
}

fn doing() -> String {
    "the two versions cannot be compared".into()
}
