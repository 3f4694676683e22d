//! One record into one row: JSON object to columns.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::column::ColumnBuffer;
use super::plain;
use crate::definition::{Column, ColumnType, SOURCE_FILE, SOURCE_OFFSET};
use crate::ingest::format::texts::Texts;
use crate::ingest::format::{Landed, Options, Raw, UnknownFields};

/// A batch is closed at this many bytes of records and of missing values: memory holds a few batches, and the offsets
/// of their text columns fit 32 bits.
const BATCH_BYTES: usize = 8 << 20;
/// Bytes counted for a missing value.
const NULL_BYTES: usize = 9;

/// The result of one attempt at a record.
pub(super) enum Attempt {
    /// This many bytes are a record, and its row was appended.
    Landed(usize),
    /// This many bytes are an object that does not fit the table.
    Refused(usize, String),
    /// The text ends before the object does.
    Incomplete,
    /// Not JSON.
    Malformed(serde_json::Error),
}

/// The batch of landed rows under construction.
pub(super) struct Rows {
    columns: Vec<ColumnBuffer>,
    /// Column of a lower-case name.
    by_name: HashMap<String, usize>,
    schema: SchemaRef,
    source_file: Vec<u8>,
    offsets: Vec<i64>,
    raw: Option<(Texts, Vec<i64>)>,
    max_raw: usize,
    max_rows: usize,
    bytes: usize,
    /// Bytes of a row independent of its record.
    row_bytes: usize,
    pub(super) unknown: UnknownFields,
    record: Record,
}

/// The state of the record being read.
#[derive(Default)]
struct Record {
    /// The column of the next field if fields come in the order of the columns.
    expected: usize,
    refusal: Option<String>,
    /// Unknown names, concatenated, and their ends.
    unknown: String,
    unknown_ends: Vec<usize>,
}

impl Rows {
    pub(super) fn new(columns: &[Column], source_file: &str, options: &Options) -> Self {
        let mut fields: Vec<Field> = columns.iter().map(Column::field).collect();
        fields.push(Field::new(SOURCE_FILE, DataType::Utf8, false));
        fields.push(Field::new(SOURCE_OFFSET, DataType::Int64, false));
        Self {
            columns: columns.iter().map(ColumnBuffer::new).collect(),
            by_name: columns.iter().enumerate().map(|(i, c)| (c.name.to_ascii_lowercase(), i)).collect(),
            schema: Arc::new(Schema::new(fields)),
            source_file: source_file.as_bytes().to_vec(),
            offsets: Vec::new(),
            raw: options.keep_raw.then(|| (Texts::new(), Vec::new())),
            max_raw: options.max_raw,
            max_rows: options.batch_rows.max(1),
            bytes: 0,
            row_bytes: source_file.len() + NULL_BYTES * columns.iter().map(|c| leaves(&c.column_type)).sum::<usize>(),
            unknown: UnknownFields::default(),
            record: Record::default(),
        }
    }

    /// Reads the object at the start of `text`; `offset` is its place in the file.
    pub(super) fn read(&mut self, text: &str, offset: u64) -> Attempt {
        if let Some(length) = self.read_plain(text) {
            self.keep(&text.as_bytes()[..length], offset);
            return Attempt::Landed(length);
        }
        self.columns.iter_mut().for_each(|c| c.truncate(self.offsets.len()));
        self.record.expected = 0;
        let mut json = serde_json::Deserializer::from_str(text);
        let parsed = json.deserialize_map(ObjectVisitor(self));
        let length = json.into_iter::<IgnoredAny>().byte_offset();
        let attempt = match parsed {
            // A number at the end of the text (`-`, `1.`) is reported as invalid, not as unfinished.
            Err(error) if error.is_eof() || length == text.len() => Attempt::Incomplete,
            Err(error) => Attempt::Malformed(error),
            Ok(()) => match self.record.refusal.take().map_or_else(|| self.fill_missing(), Err) {
                Ok(()) => {
                    self.keep(&text.as_bytes()[..length], offset);
                    Attempt::Landed(length)
                }
                Err(reason) => Attempt::Refused(length, reason),
            },
        };
        if !matches!(attempt, Attempt::Landed(_)) {
            self.columns.iter_mut().for_each(|c| c.truncate(self.offsets.len()));
        }
        self.record.refusal = None;
        self.record.unknown.clear();
        self.record.unknown_ends.clear();
        attempt
    }

    /// Reads a usual record in which every field has a column and fits it.
    #[inline]
    fn read_plain(&mut self, text: &str) -> Option<usize> {
        let row = self.offsets.len();
        let mut expected = 0;
        let length = plain::object(text, |name, value| {
            let found = match self.columns.get(expected) {
                Some(column) if column.name() == name || column.name().eq_ignore_ascii_case(name) => Some(expected),
                _ => self.by_name.get(name).copied(),
            };
            let Some(at) = found else { return false };
            expected = at + 1;
            let column = &mut self.columns[at];
            column.len() == row && column.push(value).is_ok()
        })?;
        self.fill_missing().is_ok().then_some(length)
    }

    fn fill_missing(&mut self) -> Result<(), String> {
        let row = self.offsets.len();
        self.columns.iter_mut().filter(|c| c.len() == row).try_for_each(|c| c.push_null("missing"))
    }

    /// Makes the row final.
    fn keep(&mut self, record: &[u8], offset: u64) {
        self.offsets.push(offset as i64);
        self.bytes += record.len() + self.row_bytes;
        if let Some((texts, lengths)) = &mut self.raw {
            texts.push(&record[..record.len().min(self.max_raw)]);
            lengths.push(record.len() as i64);
        }
        let mut start = 0;
        for end in &self.record.unknown_ends {
            self.unknown.count(&self.record.unknown[start..*end]);
            start = *end;
        }
    }

    /// The column of a field; records the name if there is none.
    #[inline]
    fn column(&mut self, name: &str) -> Option<usize> {
        let expected = self.record.expected;
        let found = match self.columns.get(expected) {
            Some(column) if column.name() == name || column.name().eq_ignore_ascii_case(name) => Some(expected),
            _ if name.bytes().any(|b| b.is_ascii_uppercase()) => self.by_name.get(&name.to_ascii_lowercase()).copied(),
            _ => self.by_name.get(name).copied(),
        };
        match found {
            Some(column) => self.record.expected = column + 1,
            None => {
                self.record.unknown.push_str(name);
                self.record.unknown_ends.push(self.record.unknown.len());
            }
        }
        found
    }

    /// Stores a field's value; the first refusal decides.
    #[inline]
    fn store(&mut self, column: usize, json: &str) {
        if self.record.refusal.is_some() {
            return;
        }
        let row = self.offsets.len();
        let column = &mut self.columns[column];
        let stored = if column.len() > row {
            Err(format!("field `{}` is there twice", column.name()))
        } else {
            column.push(json)
        };
        match stored {
            Ok(()) => {
                for inside in column.take_unknown() {
                    self.record.unknown.push_str(column.name());
                    self.record.unknown.push_str(&inside);
                    self.record.unknown_ends.push(self.record.unknown.len());
                }
            }
            Err(reason) => {
                drop(column.take_unknown());
                self.record.refusal = Some(reason);
            }
        }
    }

    /// Whether the batch should be taken.
    pub(super) fn is_full(&self) -> bool {
        self.offsets.len() >= self.max_rows || self.bytes >= BATCH_BYTES
    }

    /// The rows so far as a batch; `None` if there are none. The rows are gone afterwards.
    ///
    /// # Errors
    /// None that a file can cause: the buffers hold equally many valid values of the schema's types.
    pub(super) fn take(&mut self) -> Result<Option<Landed>, ArrowError> {
        let rows = self.offsets.len();
        if rows == 0 {
            return Ok(None);
        }
        self.bytes = 0;
        let mut arrays = self.columns.iter_mut().map(ColumnBuffer::finish).collect::<Result<Vec<ArrayRef>, _>>()?;
        let mut files = Texts::new();
        (0..rows).for_each(|_| files.push(&self.source_file));
        arrays.push(Arc::new(files.strings(None)?));
        arrays.push(Arc::new(Int64Array::from(std::mem::take(&mut self.offsets))));
        let raw = match &mut self.raw {
            None => None,
            Some((texts, lengths)) => {
                Some(Raw { bytes: texts.binaries(None)?, lengths: Int64Array::from(std::mem::take(lengths)) })
            }
        };
        Ok(Some(Landed { batch: RecordBatch::try_new(Arc::clone(&self.schema), arrays)?, raw }))
    }
}

/// Leaf values that a NULL of a type takes.
fn leaves(column_type: &ColumnType) -> usize {
    match column_type {
        ColumnType::Struct(fields) => fields.iter().map(|(_, t)| leaves(t)).sum(),
        _ => 1,
    }
}

/// Reads an object's fields into the columns. Only syntax errors stop it: the end of a refused record must be found,
/// too.
struct ObjectVisitor<'r>(&'r mut Rows);

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(column) = map.next_key_seed(NameSeed(self.0))? {
            match column {
                Some(column) => {
                    let value: &'de RawValue = map.next_value()?;
                    self.0.store(column, value.get());
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a field's name and finds its column.
struct NameSeed<'r>(&'r mut Rows);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.column(name))
    }
}
