//! Expectations of a landing table, checked on parsed rows before they are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use deltalake::arrow::compute::{and, filter, filter_record_batch, not};

use super::format::{Landed, Raw, quarantine_columns};
use crate::checks::{self, Check};
use crate::definition::{Action, Column, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Context, Error, Kind, Result};

/// Compiled checks.
pub(super) struct Expectations {
    checks: Vec<Check>,
}

/// Rows after the checks.
pub(super) struct Checked {
    /// Rows that land.
    pub landed: RecordBatch,
    /// Rows of the quarantine table.
    pub quarantined: Option<RecordBatch>,
}

impl Expectations {
    /// Compiles the checks of a table.
    ///
    /// # Errors
    /// If a check is not a condition on the table's columns; `definition` reports that earlier.
    pub(super) fn new(table: &Table) -> Result<Self> {
        Ok(Self { checks: checks::compile(table, |_| true)? })
    }

    /// Whether rows can go to quarantine, so that their bytes must be kept.
    pub(super) fn quarantine(&self) -> bool {
        self.checks.iter().any(|c| c.action == Action::Quarantine)
    }

    /// Checks a batch; counts rows that fail a warning in `warned`.
    ///
    /// # Errors
    /// `Evidence` if a row fails a `fail` expectation.
    pub(super) fn check(&self, landed: Landed, warned: &mut BTreeMap<String, u64>) -> Result<Checked> {
        let Landed { batch, raw } = landed;
        let mut keep = BooleanArray::from(vec![true; batch.num_rows()]);
        let mut reasons: Vec<Option<String>> = vec![None; batch.num_rows()];
        for check in &self.checks {
            let name = &check.name;
            let passes = check.passes(&batch)?;
            let failing = (passes.len() - passes.true_count()) as u64;
            if failing == 0 {
                continue;
            }
            match check.action {
                Action::Warn => *warned.entry(name.clone()).or_insert(0) += failing,
                Action::Fail => {
                    return Err(Error::new(Kind::Evidence, format!("{failing} records fail the expectation `{name}`"))
                        .help("correct the files, or let the expectation `warn` or `quarantine`"));
                }
                Action::Quarantine => {
                    for (row, reason) in reasons.iter_mut().enumerate() {
                        if reason.is_none() && !passes.value(row) {
                            *reason = Some(format!("expectation `{name}` is not met"));
                        }
                    }
                    keep = and(&keep, &passes).context(|| "checks cannot be combined".into())?;
                }
            }
        }
        if keep.true_count() == batch.num_rows() {
            return Ok(Checked { landed: batch, quarantined: None });
        }
        let quarantined = raw.map(|raw| quarantined(&batch, &raw, reasons, &keep)).transpose()?;
        let landed = filter_record_batch(&batch, &keep).context(|| "rows cannot be filtered".into())?;
        Ok(Checked { landed, quarantined })
    }
}

fn quarantined(
    batch: &RecordBatch,
    raw: &Raw,
    reasons: Vec<Option<String>>,
    keep: &BooleanArray,
) -> Result<RecordBatch> {
    let doing = || "a record cannot be put into quarantine".to_owned();
    let fails = not(keep).context(doing)?;
    let column = |name: &str| batch.column_by_name(name).cloned().ok_or_else(|| Error::failed(doing()));
    let columns: Vec<ArrayRef> = vec![
        column(SOURCE_FILE)?,
        column(SOURCE_OFFSET)?,
        Arc::new(raw.lengths.clone()),
        Arc::new(StringArray::from(reasons)),
        Arc::new(raw.bytes.clone()),
    ];
    let columns = columns.iter().map(|c| filter(c, &fails)).collect::<std::result::Result<Vec<_>, _>>();
    let fields: Vec<_> = quarantine_columns().iter().map(Column::field).collect();
    let schema = Arc::new(deltalake::arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new(schema, columns.context(doing)?).context(doing)
}
