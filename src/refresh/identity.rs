//! The primary keys of inserted, deleted and kept rows: each must be unique.

use std::collections::{HashMap, HashSet};

use deltalake::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use deltalake::arrow::compute::{cast, filter};
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::arrow::row::{RowConverter, SortField};
use deltalake::arrow::util::display::array_value_to_string;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::logical_expr::{Expr, ident, lit};

use super::inspect::Coverage;
use crate::definition::Table;
use crate::error::{Context, Error, Result};
use crate::evaluate::least_and_greatest;
use crate::merge::{grouped, hashed};
use crate::outcome::counted;
use crate::privacy::Privacy;

/// Maximum number of duplicate keys in a message.
const EXAMPLES: usize = 3;
/// Maximum characters of a value in a message.
const SHOWN: usize = 60;

/// A column of the key.
struct Column {
    name: String,
    index: usize,
    data_type: DataType,
    pii: bool,
    nulls: u64,
    /// Minimum and maximum of the new keys; `None` if files cannot be pruned by the type's order.
    range: Option<(ScalarValue, ScalarValue)>,
}

/// The keys seen so far, as 128-bit hashes. The probability of a collision is below 10^-20 at 10^9 rows.
pub(super) struct Keys {
    columns: Vec<Column>,
    converter: Option<RowConverter>,
    came: HashSet<u128>,
    went: HashSet<u128>,
    /// Deleted rows that were not yet found among the table's rows, by key.
    going: HashMap<u128, u64>,
    stayed: HashSet<u128>,
    repeated: u64,
    shown: HashSet<u128>,
    examples: Vec<Vec<String>>,
}

impl Keys {
    /// For the rows of a table; without a primary key nothing is checked.
    pub(super) fn new(table: &Table, schema: &SchemaRef) -> Result<Self> {
        let column = |name: &String| {
            let index = schema.index_of(name).ok()?;
            let declared = table.columns.iter().find(|c| c.name == *name);
            Some(Column {
                name: name.clone(),
                index,
                data_type: schema.field(index).data_type().clone(),
                pii: declared.is_some_and(|c| c.pii),
                nulls: 0,
                range: None,
            })
        };
        let columns: Vec<Column> = table.primary_key.iter().filter_map(column).collect();
        let converter = if columns.is_empty() {
            None
        } else {
            let fields = columns.iter().map(|c| SortField::new(c.data_type.clone())).collect();
            Some(RowConverter::new(fields).context(doing)?)
        };
        Ok(Self {
            columns,
            converter,
            came: HashSet::new(),
            went: HashSet::new(),
            going: HashMap::new(),
            stayed: HashSet::new(),
            repeated: 0,
            shown: HashSet::new(),
            examples: Vec::new(),
        })
    }

    /// Observes inserted rows. Deleted rows come first: a deleted key is not new.
    pub(super) fn observe_insert(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.converter.is_none() {
            return Ok(());
        }
        let columns = self.of(batch);
        for (column, values) in self.columns.iter_mut().zip(&columns) {
            column.nulls += values.null_count() as u64;
        }
        let keys = self.hashes(&columns)?;
        let new: BooleanArray = keys.iter().map(|key| Some(!self.went.contains(key))).collect();
        for (column, values) in self.columns.iter_mut().zip(&columns) {
            column.widen(&filter(values, &new).context(doing)?)?;
        }
        for (row, key) in keys.into_iter().enumerate() {
            if !self.came.insert(key) {
                self.repeats(&columns, row, key)?;
            }
        }
        Ok(())
    }

    /// Observes deleted rows.
    pub(super) fn observe_delete(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.converter.is_none() {
            return Ok(());
        }
        for key in self.hashes(&self.of(batch))? {
            self.went.insert(key);
            *self.going.entry(key).or_insert(0) += 1;
        }
        Ok(())
    }

    /// Observes rows of the table before the change, of which only the key columns, in order. If every row is
    /// passed, duplicates among kept rows are found, too.
    pub(super) fn observe_existing(&mut self, batch: &RecordBatch, coverage: Coverage) -> Result<()> {
        let all = coverage == Coverage::AllRows;
        let mut columns = Vec::new();
        for (column, values) in self.columns.iter().zip(batch.columns()) {
            columns.push(grouped(&cast(values, &column.data_type).context(doing)?));
        }
        for (row, key) in self.hashes(&columns)?.into_iter().enumerate() {
            if let Some(going) = self.going.get_mut(&key).filter(|going| **going > 0) {
                *going -= 1;
            } else if self.came.contains(&key) || (all && !self.stayed.insert(key)) {
                self.repeats(&columns, row, key)?;
            }
        }
        Ok(())
    }

    /// Whether there is a primary key.
    pub(super) fn is_declared(&self) -> bool {
        self.converter.is_some()
    }

    /// Keys that are both deleted and inserted: updates.
    pub(super) fn updated(&self) -> u64 {
        self.came.intersection(&self.went).count() as u64
    }

    /// Whether a key is inserted without being deleted: it might be in the table already.
    pub(super) fn has_new(&self) -> bool {
        self.came.difference(&self.went).next().is_some()
    }

    /// A condition that holds for every row with one of the new keys.
    pub(super) fn range(&self) -> Option<Expr> {
        let within = |column: &Column| {
            let (least, greatest) = column.range.clone()?;
            Some(ident(&column.name).between(lit(least), lit(greatest)))
        };
        self.columns.iter().filter_map(within).reduce(Expr::and)
    }

    /// Refuses NULL and duplicates.
    pub(super) fn verdict(&self, table: &str, privacy: &Privacy) -> Result<()> {
        if let Some(column) = self.columns.iter().find(|c| c.nulls > 0) {
            return Err(Error::failed(format!("{table} gets NULL in the primary key column `{}`", column.name))
                .fact("rows", column.nulls.to_string())
                .help("filter these rows out in the query, or drop the column from `primary_key`"));
        }
        if self.repeated == 0 {
            return Ok(());
        }
        let names: Vec<String> = self.columns.iter().map(|c| format!("`{}`", c.name)).collect();
        let shown = |values: &Vec<String>| {
            let pairs = self.columns.iter().zip(values).map(|(column, value)| {
                let value = if column.pii { privacy.show(value) } else { short(value) };
                format!("{} = {value}", column.name)
            });
            pairs.collect::<Vec<_>>().join(", ")
        };
        let mut examples = self.examples.iter().map(shown).collect::<Vec<_>>().join("; ");
        if self.columns.iter().any(|c| c.pii) {
            examples.push_str(privacy.note());
        }
        let rows = counted(self.repeated, "row");
        Err(Error::failed(format!("the primary key of {table} is repeated by {rows}: {}", names.join(", ")))
            .fact("expected", "one row per primary key: the query decides which")
            .fact("for example", examples)
            .help("keep one row per key, for example with row_number() over (partition by ...) = 1"))
    }

    fn repeats(&mut self, columns: &[ArrayRef], row: usize, key: u128) -> Result<()> {
        self.repeated += 1;
        if self.examples.len() < EXAMPLES && self.shown.insert(key) {
            let values = columns.iter().map(|column| array_value_to_string(column, row));
            self.examples.push(values.collect::<std::result::Result<_, _>>().context(doing)?);
        }
        Ok(())
    }

    fn of(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| grouped(batch.column(column.index))).collect()
    }

    fn hashes(&self, columns: &[ArrayRef]) -> Result<Vec<u128>> {
        let Some(converter) = &self.converter else { return Ok(Vec::new()) };
        let rows = converter.convert_columns(columns).context(doing)?;
        Ok(rows.iter().map(hashed).collect())
    }
}

impl Column {
    /// Observes values of new keys.
    fn widen(&mut self, values: &ArrayRef) -> Result<()> {
        let is_ordered = self.data_type.is_integer()
            || matches!(self.data_type, DataType::Utf8 | DataType::Date32 | DataType::Timestamp(..))
            || matches!(self.data_type, DataType::Decimal128(..) | DataType::Boolean);
        if !is_ordered {
            return Ok(());
        }
        let Some((least, greatest)) = least_and_greatest(values).context(doing)? else { return Ok(()) };
        self.range = Some(match self.range.take() {
            Some((low, high)) => (if least < low { least } else { low }, if greatest > high { greatest } else { high }),
            None => (least, greatest),
        });
        Ok(())
    }
}

fn short(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn doing() -> String {
    "the primary key cannot be compared".into()
}
