//! Values of rows as they are shown: those of personal data as keyed hashes.
//!
//! The definition of today says which columns hold personal data. A column that it does not have, such as one that was
//! dropped since, may hold anything: it counts as personal.

use std::collections::BTreeSet;

use deltalake::arrow::array::{Array, ArrayRef, RecordBatch};
use deltalake::arrow::datatypes::FieldRef;
use deltalake::arrow::json::EncoderOptions;
use deltalake::arrow::json::writer::make_encoder;
use serde_json::Value;

use crate::audit::classified::texts;
use crate::error::{Context, Result};
use crate::privacy::Privacy;
use crate::travel::{Named, NamedKind};
use crate::workspace::Workspace;

/// The columns of one table by their classification.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Columns whose values are no personal data; `None` = all of them.
    open: Option<BTreeSet<String>>,
    privacy: Privacy,
}

/// What a quarantine says of a record besides the record itself.
const OF_QUARANTINE: [&str; 4] = ["source_file", "source_offset", "length", "reason"];

impl Shown {
    /// Those of a table of the project.
    pub(super) fn of_table(workspace: &Workspace, name: &str) -> Self {
        let columns = workspace.table(name).map(|table| table.columns.as_slice()).unwrap_or_default();
        let open = columns.iter().filter(|column| !column.pii).map(|column| column.name.clone());
        Self { open: Some(open.collect()), privacy: workspace.privacy.clone() }
    }

    /// Those of any table that can be named.
    pub(super) fn of(workspace: &Workspace, table: &Named) -> Self {
        let privacy = workspace.privacy.clone();
        match table.kind {
            NamedKind::Table => Self::of_table(workspace, &table.name),
            // Law 8: the tool's own tables hold none.
            NamedKind::System => Self { open: None, privacy },
            NamedKind::Quarantine => Self { open: Some(OF_QUARANTINE.map(str::to_owned).into()), privacy },
            NamedKind::Dropped => Self { open: Some(BTreeSet::new()), privacy },
        }
    }

    /// Whether a column may hold personal data.
    pub(super) fn is_personal(&self, column: &str) -> bool {
        self.open.as_ref().is_some_and(|open| !open.contains(column))
    }

    /// The value of a column as text.
    pub(super) fn text(&self, column: &str, value: &str) -> String {
        if self.is_personal(column) { self.privacy.show(value) } else { value.to_owned() }
    }

    /// The values of the rows of a batch, by column.
    ///
    /// # Errors
    /// A value has no text.
    pub(super) fn values(&self, rows: &RecordBatch) -> Result<Vec<Vec<(String, Value)>>> {
        let mut shown = vec![Vec::with_capacity(rows.num_columns()); rows.num_rows()];
        let schema = rows.schema();
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            let is_personal = self.is_personal(field.name());
            let values = if is_personal { self.hashes(field, column)? } else { json(field, column)? };
            for (row, value) in shown.iter_mut().zip(values) {
                row.push((field.name().clone(), value));
            }
        }
        Ok(shown)
    }

    fn hashes(&self, field: &FieldRef, column: &ArrayRef) -> Result<Vec<Value>> {
        let shown = |text: Option<&str>| text.map_or(Value::Null, |text| Value::String(self.privacy.show(text)));
        Ok(texts(field, column)?.iter().map(shown).collect())
    }
}

/// The values of a column; bytes as hexadecimal text.
fn json(field: &FieldRef, column: &ArrayRef) -> Result<Vec<Value>> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, column.as_ref(), &options).context(doing)?;
    let mut values = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let mut text = Vec::new();
        if column.is_valid(row) {
            encoder.encode(row, &mut text);
        }
        // Numbers that JSON does not have, such as NaN, become null.
        values.push(serde_json::from_slice(&text).unwrap_or(Value::Null));
    }
    Ok(values)
}

fn doing() -> String {
    "a row cannot be shown".into()
}
