//! Looks at every row that comes or goes, on its way to the files: expectations, subjects, primary keys.

use std::collections::{BTreeMap, HashMap, HashSet};

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::arrow::row::{Row, RowConverter, SortField};

use crate::checks::{self, Check};
use crate::definition::{Action, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::outcome::{Warning, counted};

/// What was seen so far.
pub struct Inspector {
    table: String,
    schema: SchemaRef,
    checks: Vec<(Check, u64)>,
    subject: Option<usize>,
    /// Net rows per subject; `None` is NULL.
    subjects: HashMap<Option<String>, i64>,
    key: Vec<usize>,
    converter: Option<RowConverter>,
    /// 128-bit hashes of primary keys. Two different keys share one with a chance below 10^-20 at 10^9 rows.
    inserted_keys: HashSet<u128>,
    deleted_keys: HashSet<u128>,
    twice: u64,
    /// Rows seen coming.
    pub inserted: u64,
    /// Rows seen going.
    pub deleted: u64,
}

impl Inspector {
    /// For the rows of a table.
    ///
    /// # Errors
    /// When a check cannot be compiled; `definition` has found that before.
    pub fn new(table: &Table) -> Result<Self> {
        let schema = table.schema();
        let checks = checks::compile(table, |action| action != Action::Quarantine)?;
        let checks = checks.into_iter().map(|check| (check, 0)).collect();
        let index = |name: &String| schema.index_of(name).ok();
        let key: Vec<usize> = table.primary_key.iter().filter_map(index).collect();
        let converter = if key.is_empty() {
            None
        } else {
            let fields = key.iter().map(|i| SortField::new(schema.field(*i).data_type().clone())).collect();
            Some(RowConverter::new(fields).context(|| "the primary key cannot be compared".into())?)
        };
        Ok(Self {
            table: table.name.to_string(),
            subject: table.consent.as_ref().and_then(|c| index(&c.subject)),
            schema,
            checks,
            subjects: HashMap::new(),
            key,
            converter,
            inserted_keys: HashSet::new(),
            deleted_keys: HashSet::new(),
            twice: 0,
            inserted: 0,
            deleted: 0,
        })
    }

    /// Takes rows that come.
    ///
    /// # Errors
    /// When a row does not fit the table or its primary key is NULL.
    pub fn inserts(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = crate::lake::conform(batch, &self.schema)?;
        self.inserted += batch.num_rows() as u64;
        for (check, failing) in &mut self.checks {
            let passes = check.passes(&batch)?;
            *failing += (batch.num_rows() - passes.true_count()) as u64;
        }
        for &column in &self.key {
            if batch.column(column).null_count() > 0 {
                return Err(Error::failed(format!(
                    "{} gets NULL in the primary key column `{}`",
                    self.table,
                    self.schema.field(column).name()
                ))
                .fact("rows", batch.column(column).null_count().to_string())
                .help("filter these rows out in the query, or drop the column from `primary_key`"));
            }
        }
        for key in self.keys(&batch)? {
            if !self.inserted_keys.insert(key) {
                self.twice += 1;
            }
        }
        self.count_subjects(&batch, 1)?;
        Ok(batch)
    }

    /// Takes rows that go.
    ///
    /// # Errors
    /// When a row does not fit the table.
    pub fn deletes(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = crate::lake::conform(batch, &self.schema)?;
        self.deleted += batch.num_rows() as u64;
        let keys = self.keys(&batch)?;
        self.deleted_keys.extend(keys);
        self.count_subjects(&batch, -1)?;
        Ok(batch)
    }

    fn keys(&self, batch: &RecordBatch) -> Result<Vec<u128>> {
        let Some(converter) = &self.converter else { return Ok(Vec::new()) };
        let columns: Vec<_> = self.key.iter().map(|i| batch.column(*i).clone()).collect();
        let rows = converter.convert_columns(&columns).context(|| "the primary key cannot be compared".into())?;
        Ok(rows.iter().map(hash).collect())
    }

    fn count_subjects(&mut self, batch: &RecordBatch, weight: i64) -> Result<()> {
        let Some(column) = self.subject else { return Ok(()) };
        let column = cast(batch.column(column), &DataType::Utf8).context(|| "the subject cannot be read".into())?;
        // Rows come sorted more often than not: a run of equal subjects is looked up once.
        let column = column.as_string::<i32>();
        let mut run: (Option<&str>, i64) = (None, 0);
        for value in column {
            if value != run.0 {
                self.add_subject(run.0, run.1);
                run = (value, 0);
            }
            run.1 += weight;
        }
        self.add_subject(run.0, run.1);
        Ok(())
    }

    fn add_subject(&mut self, subject: Option<&str>, rows: i64) {
        if rows != 0 {
            *self.subjects.entry(subject.map(str::to_owned)).or_insert(0) += rows;
        }
    }

    /// Net rows per subject; `None` is NULL.
    #[must_use]
    pub fn subjects(&self) -> &HashMap<Option<String>, i64> {
        &self.subjects
    }

    /// Rows whose primary key both goes and comes: updates.
    #[must_use]
    pub fn updated(&self) -> u64 {
        self.inserted_keys.intersection(&self.deleted_keys).count() as u64
    }

    /// Whether a key that comes without going might be in the table already.
    #[must_use]
    pub fn has_new_keys(&self) -> bool {
        self.inserted_keys.difference(&self.deleted_keys).next().is_some()
    }

    /// How many of these primary keys come although a row that stays has them.
    ///
    /// # Errors
    /// When the keys cannot be compared.
    pub fn clashes(&self, keys: &RecordBatch) -> Result<u64> {
        let Some(converter) = &self.converter else { return Ok(0) };
        let mut columns = Vec::new();
        for (index, column) in self.key.iter().zip(keys.columns()) {
            let wanted = self.schema.field(*index).data_type();
            columns.push(cast(column, wanted).context(|| "the primary key cannot be compared".into())?);
        }
        let rows = converter.convert_columns(&columns).context(|| "the primary key cannot be compared".into())?;
        let clash = |key: &u128| self.inserted_keys.contains(key) && !self.deleted_keys.contains(key);
        Ok(rows.iter().map(hash).filter(clash).count() as u64)
    }

    /// Rows that warn, as warnings.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let warning = self.checks.iter().filter(|(check, failing)| check.action == Action::Warn && *failing > 0);
        warning
            .map(|(check, failing)| Warning {
                message: format!(
                    "expectation `{}` of {} is not met by {}",
                    check.name,
                    self.table,
                    counted(*failing, "row")
                ),
                details: Vec::new(),
                help: None,
            })
            .collect()
    }

    /// Refuses rows that fail a `fail` expectation and keys that come twice.
    ///
    /// # Errors
    /// `Evidence` for expectations, `Failed` for keys.
    pub fn verdict(&self) -> Result<()> {
        let failing: BTreeMap<_, _> = self
            .checks
            .iter()
            .filter(|(check, failing)| check.action == Action::Fail && *failing > 0)
            .map(|(check, failing)| (check.name.as_str(), *failing))
            .collect();
        if let Some((name, rows)) = failing.iter().next() {
            let mut error = Error::new(
                Kind::Evidence,
                format!("expectation `{name}` of {} is not met by {}", self.table, counted(*rows, "new row")),
            );
            for (name, rows) in failing.iter().skip(1) {
                error = error.fact("also", format!("`{name}` is not met by {}", counted(*rows, "new row")));
            }
            return Err(error.help("correct the data or the query, or let the expectation `warn` or `quarantine`"));
        }
        if self.twice > 0 {
            return Err(not_unique(&self.table, self.twice));
        }
        Ok(())
    }
}

fn hash(row: Row<'_>) -> u128 {
    let mut first = [0_u8; 16];
    first.copy_from_slice(&blake3::hash(row.as_ref()).as_bytes()[..16]);
    u128::from_le_bytes(first)
}

/// The error of a primary key that is there twice.
pub fn not_unique(table: &str, keys: u64) -> Error {
    Error::failed(format!("the primary key of {table} is repeated by {}", counted(keys, "row")))
        .fact("expected", "one row per primary key: the query decides which")
        .help("keep one row per key, for example with row_number() over (partition by ...) = 1")
}
