//! Looks at every row that comes or goes, on its way to the files: expectations, subjects, primary keys.

use std::collections::{BTreeMap, HashMap};

use deltalake::arrow::array::{AsArray, RecordBatch};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::datafusion::logical_expr::Expr;

use crate::checks::{self, Check};
use crate::definition::{Action, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::outcome::{Warning, counted};
use crate::privacy::Privacy;

use super::identity::Keys;

/// What was seen so far.
pub struct Inspector {
    table: String,
    schema: SchemaRef,
    checks: Vec<(Check, u64)>,
    subject: Option<usize>,
    /// Net rows per subject; `None` is NULL.
    subjects: HashMap<Option<String>, i64>,
    keys: Keys,
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
        Ok(Self {
            table: table.name.to_string(),
            subject: table.consent.as_ref().and_then(|c| index(&c.subject)),
            keys: Keys::new(table, &schema)?,
            schema,
            checks,
            subjects: HashMap::new(),
            inserted: 0,
            deleted: 0,
        })
    }

    /// Takes rows that come.
    ///
    /// # Errors
    /// When a row does not fit the table.
    pub fn inserts(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = crate::lake::conform(batch, &self.schema)?;
        self.inserted += batch.num_rows() as u64;
        for (check, failing) in &mut self.checks {
            let passes = check.passes(&batch)?;
            *failing += (batch.num_rows() - passes.true_count()) as u64;
        }
        self.keys.come(&batch)?;
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
        self.keys.go(&batch)?;
        self.count_subjects(&batch, -1)?;
        Ok(batch)
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
        self.keys.updated()
    }

    /// Whether the primary keys of the rows that stay have to be looked at: where a key comes that does not go, or,
    /// `all` of them, where nobody has looked at them before.
    #[must_use]
    pub fn asks_who_stays(&self, all: bool) -> bool {
        self.keys.is_declared() && (all || self.keys.has_new())
    }

    /// A condition that holds for every row with the primary key of one that comes and does not go.
    #[must_use]
    pub fn range_of_new_keys(&self) -> Option<Expr> {
        self.keys.range()
    }

    /// Takes the primary keys of rows of the table before the change; `all`: of every one.
    ///
    /// # Errors
    /// When the keys cannot be compared.
    pub fn stays(&mut self, keys: &RecordBatch, all: bool) -> Result<()> {
        self.keys.stay(keys, all)
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
    pub fn verdict(&self, privacy: &Privacy) -> Result<()> {
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
        self.keys.verdict(&self.table, privacy)
    }
}
