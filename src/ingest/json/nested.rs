//! Nested values: arrays, structs and maps. Their parts have buffers of their own.
//!
//! A part is read as JSON text, from the outside in: a text is read once per level of its type.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use deltalake::arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use deltalake::arrow::error::ArrowError;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::column::{Buffer, Refusal, Refused};
use super::names::{Candidate, Candidates, Names};
use crate::definition::{ColumnType, Reading};
use crate::ingest::format::texts::Texts;

/// Unknown names that are recorded per value.
const MAX_UNKNOWN: usize = 1000;

/// Unknown fields inside a value, as paths: `.city`, `[].price`.
#[derive(Default)]
pub(super) struct Unknown {
    pub(super) names: BTreeSet<String>,
    /// The reader's current position.
    path: String,
}

impl Unknown {
    pub(super) fn add(&mut self, name: &str) {
        if self.names.len() < MAX_UNKNOWN {
            self.names.insert(format!("{}.{name}", self.path));
        }
    }

    /// Runs `then` one level deeper.
    pub(super) fn within<T>(&mut self, step: &str, then: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let done = then(self);
        self.path.truncate(length);
        done
    }
}

/// The end offsets of several lists in one buffer.
struct Ends(Vec<i32>);

impl Ends {
    fn new() -> Self {
        Self(vec![0])
    }

    fn last(&self) -> usize {
        self.0.last().map_or(0, |end| *end as usize)
    }

    /// The reader closes a batch long before its offsets overflow.
    fn push(&mut self, end: usize) {
        self.0.push(end as i32);
    }

    fn take(&mut self) -> OffsetBuffer<i32> {
        OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(self, Self::new()).0))
    }
}

/// Arrays of one type.
pub(super) struct Arrays {
    field: FieldRef,
    ends: Ends,
    elements: Buffer,
}

impl Arrays {
    pub(super) fn new(element: &ColumnType, reading: &Reading) -> Self {
        Self { field: element.element(), ends: Ends::new(), elements: Buffer::new(element, &reading.element()) }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.0.truncate(rows + 1);
        self.elements.truncate(self.ends.last());
    }

    pub(super) fn push_null(&mut self) {
        self.ends.push(self.elements.len());
    }

    pub(super) fn append(&mut self, json: &str, unknown: &mut Unknown) -> Result<(), Refusal> {
        let elements = &mut self.elements;
        let mut position = 0_usize;
        unknown.within("[]", |unknown| {
            array(json, |element| {
                position += 1;
                elements.push(element, unknown).map_err(|refused| inside(&format!("[{position}]"), refused))
            })
        })?;
        self.ends.push(self.elements.len());
        Ok(())
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let elements = self.elements.finish()?;
        Ok(Arc::new(ListArray::try_new(self.field.clone(), self.ends.take(), elements, nulls)?))
    }
}

/// Structs of one type. A missing field is NULL.
pub(super) struct Structs {
    fields: Fields,
    buffers: Vec<Buffer>,
    names: Names,
    /// Values so far.
    rows: usize,
}

impl Structs {
    pub(super) fn new(fields: &[(String, ColumnType)], reading: &Reading) -> Self {
        let field = |(name, t): &(String, ColumnType)| Arc::new(Field::new(name, t.arrow(), true));
        let buffers = fields.iter().zip(&reading.inside).map(|((_, t), reading)| Buffer::new(t, reading)).collect();
        let names = Names::new(&reading.inside);
        Self { fields: fields.iter().map(field).collect(), buffers, names, rows: 0 }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.buffers.iter_mut().for_each(|b| b.truncate(rows));
    }

    pub(super) fn push_null(&mut self) {
        self.buffers.iter_mut().for_each(Buffer::push_null);
        self.rows += 1;
    }

    pub(super) fn append(&mut self, json: &str, unknown: &mut Unknown) -> Result<(), Refusal> {
        let Self { buffers, names, rows, .. } = self;
        let mut put = |found: &Candidate<'_>, unknown: &mut Unknown| {
            let step = format!(".{}", names.source(found.value, found.rank));
            let buffer = &mut buffers[found.value];
            if buffer.len() > *rows {
                return Err(inside(&step, Refused::twice()));
            }
            unknown.within(&step, |unknown| buffer.push(found.json, unknown)).map_err(|refused| inside(&step, refused))
        };
        let mut candidates = Candidates::default();
        // The next field, if they come in the order of the type.
        let mut expected = 0;
        object(json, |name, value| {
            let Some(at) = names.find_from(expected, &name) else {
                unknown.add(&name);
                return Ok(());
            };
            expected = at + 1;
            let target = names.at(at);
            if let Some((of, rank)) = target.value {
                let found = Candidate { value: of, rank, json: value };
                if names.is_late(of) {
                    candidates.push(found);
                } else {
                    put(&found, unknown)?;
                }
            }
            target.look(value, false, unknown, &mut candidates)
        })?;
        for found in names.chosen(candidates, |source| unknown.add(source))? {
            put(&found, unknown)?;
        }
        buffers.iter_mut().filter(|b| b.len() == *rows).for_each(Buffer::push_null);
        *rows += 1;
        Ok(())
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        self.rows = 0;
        let arrays = self.buffers.iter_mut().map(Buffer::finish).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(StructArray::try_new(self.fields.clone(), arrays, nulls)?))
    }
}

/// Maps from strings to values of one type. Entries are kept in the order of their keys: objects that differ only in
/// the order of their names are one value.
pub(super) struct Maps {
    field: FieldRef,
    ends: Ends,
    keys: Texts,
    values: Buffer,
}

impl Maps {
    /// The project's check guarantees that `key` is the type string.
    pub(super) fn new(key: &ColumnType, value: &ColumnType, reading: &Reading) -> Self {
        let field = ColumnType::entries(key, value);
        Self { field, ends: Ends::new(), keys: Texts::new(), values: Buffer::new(value, &reading.element()) }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.0.truncate(rows + 1);
        self.keys.truncate(self.ends.last());
        self.values.truncate(self.ends.last());
    }

    pub(super) fn push_null(&mut self) {
        self.ends.push(self.values.len());
    }

    pub(super) fn append(&mut self, json: &str, unknown: &mut Unknown) -> Result<(), Refusal> {
        let mut entries: Vec<(String, &str, usize)> = Vec::new();
        object(json, |name, value| {
            entries.push((name, value, entries.len() + 1));
            Ok(())
        })?;
        entries.sort();
        unknown.within("{}", |unknown| {
            for (at, (key, value, position)) in entries.iter().enumerate() {
                // The key itself may be personal data.
                let step = || format!("{{entry {position}}}");
                if at > 0 && entries[at - 1].0 == *key {
                    return Err(inside(&step(), Refused::twice()));
                }
                self.keys.push(key.as_bytes());
                self.values.push(value, unknown).map_err(|refused| inside(&step(), refused))?;
            }
            Ok(())
        })?;
        self.ends.push(self.values.len());
        Ok(())
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let (keys, values): (ArrayRef, ArrayRef) = (Arc::new(self.keys.strings(None)?), self.values.finish()?);
        let DataType::Struct(fields) = self.field.data_type() else {
            return Err(ArrowError::SchemaError("the entries of a map are no struct".into()));
        };
        let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        Ok(Arc::new(MapArray::try_new(self.field.clone(), self.ends.take(), entries, nulls, false)?))
    }
}

/// A refusal with the path extended by one outer level.
pub(super) fn inside(step: &str, mut refused: Refused) -> Refusal {
    refused.path.insert_str(0, step);
    Refusal::Inside(Box::new(refused))
}

/// Passes each element of an array to `take`, until one is refused.
pub(super) fn array<'j>(json: &'j str, take: impl FnMut(&'j str) -> Result<(), Refusal>) -> Result<(), Refusal> {
    if !json.starts_with('[') {
        return Err(Refusal::Kind);
    }
    let mut parts = Elements { take, refusal: None };
    // The syntax was checked before.
    serde_json::Deserializer::from_str(json).deserialize_seq(&mut parts).map_err(|_| Refusal::Text("no JSON"))?;
    parts.refusal.map_or(Ok(()), Err)
}

/// Passes name and value of each field of an object to `take`, until one is refused.
pub(super) fn object<'j>(
    json: &'j str,
    take: impl FnMut(String, &'j str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if !json.starts_with('{') {
        return Err(Refusal::Kind);
    }
    let mut parts = Members { take, refusal: None };
    // The syntax was checked before: only a lone surrogate in a name can fail.
    serde_json::Deserializer::from_str(json)
        .deserialize_map(&mut parts)
        .map_err(|_| Refusal::Text("an object with a lone surrogate in a name"))?;
    parts.refusal.map_or(Ok(()), Err)
}

struct Elements<F> {
    take: F,
    refusal: Option<Refusal>,
}

impl<'j, F: FnMut(&'j str) -> Result<(), Refusal>> Visitor<'j> for &mut Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&'j RawValue>()? {
            if self.refusal.is_none() {
                self.refusal = (self.take)(element.get()).err();
            }
        }
        Ok(())
    }
}

struct Members<F> {
    take: F,
    refusal: Option<Refusal>,
}

impl<'j, F: FnMut(String, &'j str) -> Result<(), Refusal>> Visitor<'j> for &mut Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<String, &'j RawValue>()? {
            if self.refusal.is_none() {
                self.refusal = (self.take)(name, value.get()).err();
            }
        }
        Ok(())
    }
}
