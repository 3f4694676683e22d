//! Which columns of a table's versions hold personal data, and their values as keyed hashes.
//!
//! The definition of today says so, also of older versions: columns are followed through the migrations that renamed
//! them. A column that it does not have, such as one that was dropped since, may hold anything: it counts as personal.

use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use deltalake::arrow::json::EncoderOptions;
use deltalake::arrow::json::writer::make_encoder;
use serde_json::Value;

use crate::definition::Column;
use crate::error::{Context, Result};
use crate::ingest::format::quarantine_columns;
use crate::lake::LakeTable;
use crate::migrate::ColumnNames;
use crate::privacy::Privacy;
use crate::refresh;
use crate::travel::{Named, NamedKind};
use crate::workspace::Workspace;

/// The columns of a table by their classification.
#[derive(Clone, Debug)]
pub(super) struct Classified {
    /// Columns of the definition; `None` = nothing in the table is personal data.
    columns: Option<Vec<Column>>,
    names: ColumnNames,
    newest: u64,
    privacy: Privacy,
}

impl Classified {
    /// Those of a table of the project.
    pub(super) fn of_table(workspace: &Workspace, name: &str, newest: &LakeTable, names: ColumnNames) -> Self {
        let columns = workspace.table(name).map(|table| table.columns.clone()).unwrap_or_default();
        Self { columns: Some(columns), names, newest: newest.version(), privacy: workspace.privacy.clone() }
    }

    /// Those of a table; `names` are the names that its columns had.
    pub(super) fn of(workspace: &Workspace, table: &Named, names: ColumnNames) -> Self {
        let columns = match table.kind {
            // Law 8: the tool's own tables hold none.
            NamedKind::System => None,
            NamedKind::Quarantine => Some(quarantine_columns()),
            NamedKind::Dropped => Some(Vec::new()),
            NamedKind::Table => return Self::of_table(workspace, &table.name, &table.newest, names),
        };
        Self { columns, names, newest: table.newest.version(), privacy: workspace.privacy.clone() }
    }

    /// The column of the definition that a column of a version is today.
    pub(super) fn defined(&self, column: &str, version: u64) -> Option<&Column> {
        let today = self.names.later(column, version, self.newest)?;
        self.columns.as_ref()?.iter().find(|defined| defined.name == today)
    }

    /// Whether a column of a version is, or may be, personal data.
    pub(super) fn is_personal(&self, column: &str, version: u64) -> bool {
        self.columns.is_some() && self.defined(column, version).is_none_or(|defined| defined.pii)
    }

    /// Whether values of a column of a version are shown as hashes.
    pub(super) fn is_hidden(&self, column: &str, version: u64) -> bool {
        !self.privacy.reveals() && self.is_personal(column, version)
    }

    /// A value of a column of a version as text.
    pub(super) fn text(&self, column: &str, version: u64, value: &str) -> String {
        if self.is_hidden(column, version) { self.privacy.show(value) } else { value.to_owned() }
    }

    /// The rows of a version as JSON, by column.
    ///
    /// # Errors
    /// A value has no text.
    pub(super) fn values(&self, rows: &RecordBatch, version: u64) -> Result<Vec<Vec<(String, Value)>>> {
        let rows = self.shown(rows, version)?;
        let mut values = vec![Vec::with_capacity(rows.num_columns()); rows.num_rows()];
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            for (row, value) in values.iter_mut().zip(json(field, column)?) {
                row.push((field.name().clone(), value));
            }
        }
        Ok(values)
    }

    /// What should be said of rows with hidden values.
    pub(super) fn note(&self, is_hidden: bool) -> Option<String> {
        is_hidden.then(|| format!("personal data is shown as hashes{}", self.privacy.note()))
    }

    /// The rows of a version, with hashes for hidden values.
    ///
    /// # Errors
    /// A value has no text.
    pub(super) fn shown(&self, rows: &RecordBatch, version: u64) -> Result<RecordBatch> {
        let schema = rows.schema();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            let is_hidden = self.is_hidden(field.name(), version);
            fields.push(shown_field(field, is_hidden));
            columns.push(if is_hidden { self.hashed(field, column)? } else { Arc::clone(column) });
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).context(doing)
    }

    /// The hashes of values; NULL stays NULL.
    ///
    /// # Errors
    /// A value has no text.
    pub(super) fn hashed(&self, field: &FieldRef, values: &ArrayRef) -> Result<ArrayRef> {
        let texts = texts(field, values)?;
        let hashes = texts.iter().map(|text| text.map(|text| self.privacy.show(text)));
        Ok(Arc::new(hashes.collect::<StringArray>()))
    }
}

/// A column of rows, or of hashes in its place.
pub(super) fn shown_field(field: &FieldRef, is_hidden: bool) -> FieldRef {
    if is_hidden { Arc::new(Field::new(field.name(), DataType::Utf8, true)) } else { Arc::clone(field) }
}

/// Values as the text by which they are hashed: nested ones as JSON, bytes in hexadecimal.
///
/// # Errors
/// A value has no text.
pub(super) fn texts(field: &FieldRef, values: &ArrayRef) -> Result<StringArray> {
    if !values.data_type().is_nested() {
        return refresh::texts(values);
    }
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, values.as_ref(), &options).context(doing)?;
    let texts = (0..values.len()).map(|row| {
        values.is_valid(row).then(|| {
            let mut json = Vec::new();
            encoder.encode(row, &mut json);
            String::from_utf8_lossy(&json).into_owned()
        })
    });
    Ok(texts.collect())
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
    "rows cannot be shown".into()
}
