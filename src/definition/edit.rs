//! Where a table's file has its columns, for drafts of changes to it.

use std::ops::Range;
use std::sync::Arc;

use super::document::{self, Table};
use super::keys::TABLE;
use crate::source::SourceFile;
use crate::source::faults::Faults;

/// Where the columns of a file, or the fields of a struct in it, are.
#[derive(Debug)]
pub(crate) struct ColumnSpans {
    /// Each of them, in the order of the text.
    pub columns: Vec<ColumnSpan>,
    /// Where another one can be added.
    pub end: usize,
    /// Whether that is within a line: `{ a = "long" }`.
    pub is_inline: bool,
}

/// Where a column is.
#[derive(Debug)]
pub(crate) struct ColumnSpan {
    /// Its name.
    pub name: String,
    /// Its whole value.
    pub value: Range<usize>,
    /// Its type.
    pub column_type: Range<usize>,
    /// The fields of its struct, if they are written one by one.
    pub fields: Option<ColumnSpans>,
}

/// The places of the columns in a table's file; `None` if they are written in a way that a draft does not change.
#[must_use]
pub(crate) fn column_spans(file: &Arc<SourceFile>) -> Option<ColumnSpans> {
    let mut faults = Faults::default();
    let parsed = document::parse(file, &mut faults)?;
    let root = Table::root(file, &parsed, &TABLE, &mut faults);
    spans(&root.table("columns", &mut faults)?, &file.text)
}

fn spans(table: &Table<'_>, text: &str) -> Option<ColumnSpans> {
    let mut faults = Faults::default();
    let mut columns = Vec::new();
    let mut last = None;
    for entry in table.entries() {
        let value = entry.place().span.clone();
        let mut span = ColumnSpan { name: entry.key.clone(), value, column_type: 0..0, fields: None };
        if entry.is_table() {
            let inner = entry.table(&mut faults)?;
            span.column_type = inner.get("type")?.place().span.clone();
            span.fields = match inner.table("fields", &mut faults) {
                Some(fields) => Some(spans(&fields, text)?),
                None => None,
            };
        } else {
            span.column_type = span.value.clone();
        }
        // A column with a header of its own comes after all others.
        let key = entry.key_place.span.start;
        let line = text[..key].rfind('\n').map_or(0, |at| at + 1);
        if !text[line..key].trim_start().starts_with('[') {
            last = Some(span.value.end);
        }
        columns.push(span);
    }
    let is_inline = text[table.place.span.clone()].starts_with('{');
    let last = last?;
    let end = if is_inline { last } else { text[last..].find('\n').map_or(text.len(), |at| last + at) };
    Some(ColumnSpans { columns, end, is_inline })
}
