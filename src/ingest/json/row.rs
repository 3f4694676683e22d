//! One record into one row: JSON object to columns.

use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::column::{ColumnBuffer, Refusal};
use super::names::{Candidate, Candidates, Names};
use super::new_fields::NewFields;
use super::plain;
use crate::definition::{Column, ColumnType, OnNewField, RESCUED, SOURCE_FILE, SOURCE_OFFSET};
use crate::ingest::format::texts::Texts;
use crate::ingest::format::{Landed, Options, Raw, RecordShape, UnknownFields};

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
    names: Names,
    new_fields: NewFields,
    schema: SchemaRef,
    source_file: Vec<u8>,
    offsets: Vec<i64>,
    raw: Option<(Texts, Vec<i64>)>,
    max_raw: usize,
    max_rows: usize,
    bytes: usize,
    /// Bytes of a row independent of its record.
    row_bytes: usize,
    record: Record,
}

/// The state of the record being read.
#[derive(Default)]
struct Record {
    /// The column of the next field if fields come in the order of the columns.
    expected: usize,
    refusal: Option<String>,
}

impl Record {
    /// What is wrong with something that no column holds.
    fn refuse(&mut self, refusal: Refusal) {
        if let Refusal::Inside(refused) = refusal {
            let path = refused.path.trim_start_matches('.');
            self.refusal.get_or_insert(format!("field `{path}` {}", refused.what));
        }
    }
}

impl Rows {
    pub(super) fn new(shape: &RecordShape, source_file: &str, options: &Options) -> Self {
        let RecordShape { columns, readings, on_new_field } = shape;
        let mut fields: Vec<Field> = columns.iter().map(Column::field).collect();
        if *on_new_field == OnNewField::Rescue {
            fields.push(Field::new(RESCUED, DataType::Utf8, true));
        }
        fields.push(Field::new(SOURCE_FILE, DataType::Utf8, false));
        fields.push(Field::new(SOURCE_OFFSET, DataType::Int64, false));
        Self {
            columns: columns.iter().zip(readings).map(|(column, reading)| ColumnBuffer::new(column, reading)).collect(),
            names: Names::new(readings),
            new_fields: NewFields::new(shape),
            schema: Arc::new(Schema::new(fields)),
            source_file: source_file.as_bytes().to_vec(),
            offsets: Vec::new(),
            raw: options.keep_raw.then(|| (Texts::new(), Vec::new())),
            max_raw: options.max_raw,
            max_rows: options.batch_rows.max(1),
            bytes: 0,
            row_bytes: source_file.len() + NULL_BYTES * columns.iter().map(|c| leaves(&c.column_type)).sum::<usize>(),
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
        let mut candidates = Candidates::default();
        let mut json = serde_json::Deserializer::from_str(text);
        let parsed = json.deserialize_map(ObjectVisitor { rows: self, candidates: &mut candidates });
        let length = json.into_iter::<IgnoredAny>().byte_offset();
        let attempt = match parsed {
            // A number at the end of the text (`-`, `1.`) is reported as invalid, not as unfinished.
            Err(error) if error.is_eof() || length == text.len() => Attempt::Incomplete,
            Err(error) => Attempt::Malformed(error),
            Ok(()) => match self.finish_record(&text[..length], candidates) {
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
        self.new_fields.clear();
        attempt
    }

    /// Reads a usual record in which every field has a column and fits it.
    #[inline]
    fn read_plain(&mut self, text: &str) -> Option<usize> {
        let row = self.offsets.len();
        let mut expected = 0;
        let Self { names, columns, .. } = self;
        let length = plain::object(text, |name, value| {
            let Some(at) = names.find_from(expected, name) else { return false };
            expected = at + 1;
            let target = names.at(at);
            let Some((value_at, rank)) = target.value else { return false };
            let column = &mut columns[value_at];
            // Of several fields a later one may be the value.
            let is_open = value == "null" && names.is_late(value_at);
            column.len() == row && !is_open && column.push(names.source(value_at, rank), value).is_ok()
        })?;
        self.fill_missing().is_ok().then_some(length)
    }

    /// Stores what is known of a record once it was read whole.
    fn finish_record(&mut self, text: &str, candidates: Candidates<'_>) -> Result<(), String> {
        if !candidates.is_empty() && self.record.refusal.is_none() {
            let Self { names, record, new_fields, .. } = self;
            match names.chosen(candidates, |source| new_fields.add("", source)) {
                Ok(chosen) => chosen.into_iter().for_each(|found| self.store(&found)),
                Err(refusal) => record.refuse(refusal),
            }
        }
        self.record.refusal.take().map_or_else(|| self.fill_missing(), Err)?;
        self.new_fields.settle(text)
    }

    fn fill_missing(&mut self) -> Result<(), String> {
        let row = self.offsets.len();
        let mut missing = self.columns.iter_mut().enumerate().filter(|(_, column)| column.len() == row);
        match missing.find_map(|(at, column)| (!column.push_null()).then_some(at)) {
            Some(at) => Err(format!("field {} is missing, expected a value", self.names.all_sources(at))),
            None => Ok(()),
        }
    }

    /// Makes the row final.
    fn keep(&mut self, record: &[u8], offset: u64) {
        self.offsets.push(offset as i64);
        self.bytes += record.len() + self.row_bytes;
        if let Some((texts, lengths)) = &mut self.raw {
            texts.push(&record[..record.len().min(self.max_raw)]);
            lengths.push(record.len() as i64);
        }
        self.bytes += self.new_fields.keep();
    }

    /// The target of a field, remembering the name if there is none.
    #[inline]
    fn target(&mut self, name: &str) -> Option<usize> {
        let found = self.names.find_from(self.record.expected, name);
        match found {
            Some(target) => self.record.expected = target + 1,
            None => self.new_fields.add("", name),
        }
        found
    }

    /// Takes a field's value; the first refusal decides the record's fate.
    #[inline]
    fn take_field<'t>(&mut self, target: usize, json: &'t str, candidates: &mut Candidates<'t>) {
        if self.record.refusal.is_some() {
            return;
        }
        if let Some((value, rank)) = self.names.at(target).value {
            let found = Candidate { value, rank, json };
            if self.names.is_late(value) {
                candidates.push(found);
            } else {
                self.store(&found);
            }
        }
        let Self { names, record, new_fields, .. } = self;
        if let Err(refusal) = names.at(target).look(json, false, &mut new_fields.inside, candidates) {
            record.refuse(refusal);
        }
    }

    /// Stores a value.
    #[inline]
    fn store(&mut self, found: &Candidate<'_>) {
        let Self { names, columns, record, new_fields, offsets, .. } = self;
        if record.refusal.is_some() {
            return;
        }
        let (column, source) = (&mut columns[found.value], names.source(found.value, found.rank));
        let stored = match column.len() > offsets.len() {
            true => Err(format!("field `{source}` is there twice")),
            false => column.push(source, found.json),
        };
        let unknown = column.take_unknown();
        match stored {
            Ok(()) => unknown.iter().for_each(|inside| new_fields.add(source, inside)),
            Err(reason) => record.refusal = Some(reason),
        }
    }

    /// How often which fields without a column were there, where they are counted.
    pub(super) fn unknown(&self) -> UnknownFields {
        self.new_fields.counts()
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
        arrays.extend(self.new_fields.finish()?);
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
struct ObjectVisitor<'r, 'c, 't> {
    rows: &'r mut Rows,
    candidates: &'c mut Candidates<'t>,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(target) = map.next_key_seed(NameSeed(self.rows))? {
            match target {
                Some(target) => {
                    let value: &'de RawValue = map.next_value()?;
                    self.rows.take_field(target, value.get(), self.candidates);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a field's name and finds its target.
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
        Ok(self.0.target(name))
    }
}
