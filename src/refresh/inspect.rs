//! Checks every inserted or deleted row on its way to the files: expectations, subjects, primary keys.

use std::collections::{BTreeMap, HashMap};

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::logical_expr::Expr;

use crate::checks::{self, Check};
use crate::definition::{Action, Table};
use crate::error::Result;
use crate::outcome::{Warning, counted};
use crate::privacy::Privacy;

use super::consent::texts;
use super::identity::Keys;

/// Which rows of a table are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Those that come.
    NewRows,
    /// Also those that stay.
    AllRows,
}

/// An expectation, and the rows that fail it.
struct Counted {
    check: Check,
    come: u64,
    go: u64,
    /// Failing rows of the table before the change, if all of its rows were checked.
    stood: Option<u64>,
}

impl Counted {
    fn failing(&self) -> u64 {
        match self.stood {
            Some(stood) => (stood + self.come).saturating_sub(self.go),
            None => self.come,
        }
    }

    /// `2 new rows`, and if all were checked `2 rows`.
    fn rows(&self) -> String {
        counted(self.failing(), if self.stood.is_some() { "row" } else { "new row" })
    }
}

/// Checks of the rows seen so far, and their counts.
pub(super) struct Inspector {
    table: String,
    schema: SchemaRef,
    checks: Vec<Counted>,
    /// With [`Coverage::AllRows`] deleted rows are checked, too: they are included in the counts of the old rows.
    coverage: Coverage,
    subject: Option<usize>,
    /// Net rows per subject; `None` is NULL.
    subjects: HashMap<Option<String>, i64>,
    keys: Keys,
    /// Inserted rows seen.
    pub inserted: u64,
    /// Deleted rows seen.
    pub deleted: u64,
}

impl Inspector {
    /// For the rows of a table. With [`Coverage::AllRows`], kept rows are checked as well: [`Self::stood`]
    /// takes their counts.
    ///
    /// # Errors
    /// If a check cannot be compiled; `definition` reports that earlier.
    pub(super) fn new(table: &Table, coverage: Coverage) -> Result<Self> {
        let schema = table.schema();
        let checks = checks::compile(table, |action| action != Action::Quarantine)?;
        let checks = checks.into_iter().map(|check| Counted { check, come: 0, go: 0, stood: None }).collect();
        let index = |name: &String| schema.index_of(name).ok();
        Ok(Self {
            table: table.name.to_string(),
            subject: table.consent.as_ref().and_then(|c| index(&c.subject)),
            keys: Keys::new(table, &schema)?,
            schema,
            checks,
            coverage,
            subjects: HashMap::new(),
            inserted: 0,
            deleted: 0,
        })
    }

    /// Observes inserted rows.
    ///
    /// # Errors
    /// When a row does not fit the table.
    pub(super) fn inserts(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let batch = crate::lake::conform(batch, &self.schema)?;
        self.inserted += batch.num_rows() as u64;
        for counted in &mut self.checks {
            counted.come += counted.check.fails(&batch)?;
        }
        self.keys.observe_insert(&batch)?;
        self.count_subjects(&batch, 1)?;
        Ok(batch)
    }

    /// Observes deleted rows.
    ///
    /// # Errors
    /// When a row does not fit the table.
    pub(super) fn deletes(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = crate::lake::conform(batch, &self.schema)?;
        self.deleted += batch.num_rows() as u64;
        for counted in self.checks.iter_mut().filter(|_| self.coverage == Coverage::AllRows) {
            counted.go += counted.check.fails(&batch)?;
        }
        self.keys.observe_delete(&batch)?;
        self.count_subjects(&batch, -1)
    }

    /// Takes the number of rows that failed each expectation before the change, in the order of the checks.
    pub(super) fn stood(&mut self, failing: &[(Check, u64)]) {
        for (counted, (_, rows)) in self.checks.iter_mut().zip(failing) {
            counted.stood = Some(*rows);
        }
    }

    fn count_subjects(&mut self, batch: &RecordBatch, weight: i64) -> Result<()> {
        let Some(column) = self.subject else { return Ok(()) };
        let column = texts(batch.column(column))?;
        // Rows are usually sorted: a run of equal subjects is looked up once.
        let mut run: (Option<&str>, i64) = (None, 0);
        for value in &column {
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
    pub(super) fn subjects(&self) -> &HashMap<Option<String>, i64> {
        &self.subjects
    }

    /// Rows whose primary key is both deleted and inserted: updates.
    #[must_use]
    pub(super) fn updated(&self) -> u64 {
        self.keys.updated()
    }

    /// Whether the primary keys of kept rows must be checked: if a key is inserted that is not deleted, or if
    /// they have never been checked.
    #[must_use]
    pub(super) fn asks_who_stays(&self, coverage: Coverage) -> bool {
        self.keys.is_declared() && (coverage == Coverage::AllRows || self.keys.has_new())
    }

    /// A condition that holds for every row with the primary key of a row that is inserted and not deleted.
    #[must_use]
    pub(super) fn range_of_new_keys(&self) -> Option<Expr> {
        self.keys.range()
    }

    /// Observes the primary keys of rows of the table before the change, with [`Coverage::AllRows`] of every one.
    ///
    /// # Errors
    /// When the keys cannot be compared.
    pub(super) fn stays(&mut self, keys: &RecordBatch, coverage: Coverage) -> Result<()> {
        self.keys.observe_existing(keys, coverage)
    }

    /// Failed `warn` expectations, as warnings.
    #[must_use]
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let failed = |c: &&Counted| c.check.action == Action::Warn && c.failing() > 0;
        let warning = |c: &Counted| checks::warning(&c.check.name, &self.table, c.failing());
        self.checks.iter().filter(failed).map(warning).collect()
    }

    /// Refuses rows that fail a `fail` expectation, and duplicate keys.
    ///
    /// # Errors
    /// `Evidence` for expectations, `Failed` for keys.
    pub(super) fn verdict(&self, privacy: &Privacy) -> Result<()> {
        let failed = |c: &&Counted| c.check.action == Action::Fail && c.failing() > 0;
        let failing: BTreeMap<_, _> =
            self.checks.iter().filter(failed).map(|c| (c.check.name.as_str(), c.rows())).collect();
        checks::refused(&self.table, &failing).map_or(Ok(()), Err)?;
        self.keys.verdict(&self.table, privacy)
    }
}
