//! Sorted rows with weights -> lines: inserts, deletes, and where a key has exactly one row before and one after, an
//! update.
//!
//! Rows come in batches, sorted by key. A key's rows may lie in two batches, so the last one or two rows of a batch wait
//! for the next. A key with more rows than that is no key: each of its rows is an insert or a delete.

use std::collections::VecDeque;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray, UInt32Array};
use deltalake::arrow::compute::{concat_batches, take};
use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Fields, Int64Type, Schema, SchemaRef};
use deltalake::arrow::row::{OwnedRow, RowConverter, SortField};
use deltalake::datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::doing;
use crate::audit::classified::{Classified, shown_field};
use crate::error::{Context, Error, Kind, Result};
use crate::outcome::DiffRows;

/// A column of lines.
#[derive(Clone, Debug)]
pub(super) struct LineColumn {
    /// Its place in the rows.
    pub at: usize,
    /// Its name before and after, `None` where there is none.
    pub names: [Option<String>; 2],
    /// Its type.
    pub data_type: DataType,
    /// Whether it is part of the key.
    pub is_key: bool,
    /// Whether its values are shown as hashes.
    pub is_hidden: bool,
}

/// One or more equal lines: places of its rows before and after in the batch.
#[derive(Clone, Copy, Debug)]
struct Run {
    before: Option<u32>,
    after: Option<u32>,
    count: u64,
}

/// The lines of a difference, in the order of its rows.
pub(super) struct Lines {
    input: Option<SendableRecordBatchStream>,
    columns: Vec<LineColumn>,
    classified: Classified,
    /// Most lines of a batch.
    at_once: usize,
    /// Compares keys; `None` = there is no key, so nothing is an update.
    keys: Option<RowConverter>,
    /// The rows of `runs`, and those that wait for the next batch.
    rows: Option<RecordBatch>,
    runs: VecDeque<Run>,
    waiting: Option<RecordBatch>,
    /// The key of which more rows were seen than an update has.
    no_update: Option<OwnedRow>,
}

impl Lines {
    /// The lines of rows whose last column is the weight: negative for rows before, positive for rows after.
    ///
    /// # Errors
    /// Keys cannot be compared.
    pub(super) fn of(
        input: Option<SendableRecordBatchStream>,
        columns: Vec<LineColumn>,
        classified: Classified,
        at_once: usize,
    ) -> Result<Self> {
        let mut fields = Vec::new();
        if let Some(input) = &input {
            let schema = input.schema();
            let keys = columns.iter().filter(|column| column.is_key);
            fields.extend(keys.map(|column| SortField::new(schema.field(column.at).data_type().clone())));
        }
        let keys = if fields.is_empty() { None } else { Some(RowConverter::new(fields).context(doing)?) };
        let (rows, runs, waiting, no_update) = (None, VecDeque::new(), None, None);
        Ok(Self { input, columns, classified, at_once: at_once.max(1), keys, rows, runs, waiting, no_update })
    }

    /// Counts the next lines without making them; `None` after the last one.
    ///
    /// # Errors
    /// A row cannot be computed.
    pub(super) async fn count(&mut self) -> Result<Option<DiffRows>> {
        if !self.fill().await? {
            return Ok(None);
        }
        let mut counts = DiffRows::default();
        self.runs.drain(..).for_each(|run| run.add_to(&mut counts, run.count));
        Ok(Some(counts))
    }

    /// The next lines: `op`, the struct `key` if there is one, and the structs `before` and `after`; and their counts.
    /// `None` after the last one.
    ///
    /// # Errors
    /// A row cannot be computed.
    pub(super) async fn next(&mut self) -> Result<Option<(RecordBatch, DiffRows)>> {
        if !self.fill().await? {
            return Ok(None);
        }
        let Some(rows) = &self.rows else { return Ok(None) };
        let (mut counts, mut before, mut after, mut ops) = (DiffRows::default(), Vec::new(), Vec::new(), Vec::new());
        while let Some(run) = self.runs.front_mut() {
            let room = (self.at_once - ops.len()) as u64;
            if room == 0 {
                break;
            }
            let taken = run.count.min(room);
            run.add_to(&mut counts, taken);
            for _ in 0..taken {
                before.push(run.before);
                after.push(run.after);
                ops.push(run.op());
            }
            run.count -= taken;
            if run.count == 0 {
                self.runs.pop_front();
            }
        }
        let sides = [UInt32Array::from(before), UInt32Array::from(after)];
        Ok(Some((self.lines(rows, &ops, sides)?, counts)))
    }

    /// Reads rows until there is a line; false after the last one.
    async fn fill(&mut self) -> Result<bool> {
        while self.runs.is_empty() {
            let Some(input) = &mut self.input else { return Ok(false) };
            let next = input.try_next().await.context(doing)?;
            let is_last = next.is_none();
            let rows = match (self.waiting.take(), next) {
                (Some(waiting), Some(next)) => concat_batches(&waiting.schema(), [&waiting, &next]).context(doing)?,
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => {
                    self.input = None;
                    return Ok(false);
                }
            };
            if is_last {
                self.input = None;
            }
            self.pair(rows, is_last)?;
        }
        Ok(true)
    }

    /// Finds the lines of a batch.
    fn pair(&mut self, rows: RecordBatch, is_last: bool) -> Result<()> {
        let weights = weights(&rows)?;
        let total = weights.len();
        let Some(converter) = &self.keys else {
            self.runs = (0..total).map(|at| single(at, weights[at])).collect();
            self.rows = Some(rows);
            return Ok(());
        };
        let keys: Vec<ArrayRef> = self
            .columns
            .iter()
            .filter(|column| column.is_key)
            .map(|column| Arc::clone(rows.column(column.at)))
            .collect();
        let keys = converter.convert_columns(&keys).context(doing)?;
        let mut at = 0;
        while at < total {
            let key = keys.row(at);
            if self.no_update.as_ref().is_some_and(|no_update| no_update.row() == key) {
                self.runs.push_back(single(at, weights[at]));
                at += 1;
                continue;
            }
            // Rows of this key here, and whether there may be more.
            let same = (at..total.min(at + 3)).take_while(|other| keys.row(*other) == key).count();
            if at + same == total && !is_last && same < 3 {
                break;
            }
            match (same, weights[at], weights.get(at + 1)) {
                (1, weight, _) => {
                    self.runs.push_back(single(at, weight));
                    at += 1;
                }
                (2, first, Some(second)) if first * second == -1 => {
                    let [before, after] = if first < 0 { [at, at + 1] } else { [at + 1, at] };
                    self.runs.push_back(Run { before: place(before), after: place(after), count: 1 });
                    at += 2;
                }
                _ => self.no_update = Some(key.owned()),
            }
        }
        self.waiting = (at < total).then(|| rows.slice(at, total - at));
        self.rows = Some(rows);
        Ok(())
    }

    /// The columns of lines.
    pub(super) fn schema(&self) -> SchemaRef {
        let mut fields = vec![Field::new("op", DataType::Utf8, false)];
        for part in self.parts() {
            let columns =
                self.columns_of(part).map(|(column, name)| shown_field(&column.field(name), column.is_hidden));
            fields.push(Field::new(part.name(), DataType::Struct(columns.collect()), true));
        }
        Arc::new(Schema::new(fields))
    }

    fn parts(&self) -> impl Iterator<Item = Part> {
        let has_key = self.columns.iter().any(|column| column.is_key);
        has_key.then_some(Part::Key).into_iter().chain([Part::Before, Part::After])
    }

    /// The columns of a part of lines, each with its name there.
    fn columns_of(&self, part: Part) -> impl Iterator<Item = (&LineColumn, &str)> {
        let named = move |column: &'_ LineColumn| match part {
            Part::Key if column.is_key => column.names[1].is_some().then_some(1),
            Part::Before if !column.is_key => column.names[0].is_some().then_some(0),
            Part::After if !column.is_key => column.names[1].is_some().then_some(1),
            _ => None,
        };
        self.columns.iter().filter_map(move |column| Some((column, column.names[named(column)?].as_deref()?)))
    }

    fn lines(&self, rows: &RecordBatch, ops: &[&str], [before, after]: [UInt32Array; 2]) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(ops.to_vec()))];
        for part in self.parts() {
            columns.push(Arc::new(match part {
                Part::Before => self.part(part, rows, &before)?,
                Part::After => self.part(part, rows, &after)?,
                // A line has a row on at least one side, and both have the same key.
                Part::Key => {
                    let either = before.iter().zip(&after).map(|(before, after)| after.or(before));
                    self.part(part, rows, &either.collect())?
                }
            }));
        }
        RecordBatch::try_new(self.schema(), columns).context(doing)
    }

    /// A part of lines of these rows; NULL where there is none.
    fn part(&self, part: Part, rows: &RecordBatch, at: &UInt32Array) -> Result<StructArray> {
        let (mut fields, mut values) = (Vec::new(), Vec::new());
        for (column, name) in self.columns_of(part) {
            let taken = take(rows.column(column.at), at, None).context(doing)?;
            let field = column.field(name);
            values.push(if column.is_hidden { self.classified.hashed(&field, &taken)? } else { taken });
            fields.push(shown_field(&field, column.is_hidden));
        }
        let nulls = at.nulls().cloned();
        if fields.is_empty() {
            return Ok(StructArray::new_empty_fields(at.len(), nulls));
        }
        StructArray::try_new(Fields::from(fields), values, nulls).context(doing)
    }
}

/// A struct of a line.
#[derive(Clone, Copy, Debug)]
enum Part {
    Key,
    Before,
    After,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

impl LineColumn {
    fn field(&self, name: &str) -> FieldRef {
        Arc::new(Field::new(name, self.data_type.clone(), true))
    }
}

impl Run {
    fn op(&self) -> &'static str {
        match (self.before, self.after) {
            (Some(_), Some(_)) => "update",
            (Some(_), None) => "delete",
            (None, _) => "insert",
        }
    }

    fn add_to(&self, counts: &mut DiffRows, lines: u64) {
        match (self.before, self.after) {
            (Some(_), Some(_)) => counts.updated += lines,
            (Some(_), None) => counts.deleted += lines,
            (None, _) => counts.inserted += lines,
        }
    }
}

fn place(at: usize) -> Option<u32> {
    u32::try_from(at).ok()
}

fn single(at: usize, weight: i64) -> Run {
    let count = weight.unsigned_abs();
    if weight < 0 {
        Run { before: place(at), after: None, count }
    } else {
        Run { before: None, after: place(at), count }
    }
}

fn weights(rows: &RecordBatch) -> Result<Vec<i64>> {
    let last = rows.columns().last().and_then(|column| column.as_primitive_opt::<Int64Type>());
    let weights = last.ok_or_else(|| Error::new(Kind::Internal, "a row has no weight"))?;
    Ok(weights.values().to_vec())
}
