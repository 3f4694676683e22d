//! Undeclared fields of the record being read, and how they are handled.

use std::sync::Arc;

use deltalake::arrow::array::ArrayRef;
use deltalake::arrow::buffer::NullBuffer;
use deltalake::arrow::error::ArrowError;

use super::leftover::Fields;
use super::nested::Unknown;
use crate::definition::OnNewField;
use crate::ingest::fields;
use crate::ingest::format::texts::Texts;
use crate::ingest::format::{RecordShape, UnknownFields};

/// The undeclared fields of the record being read.
pub(super) struct NewFields {
    fate: Fate,
    /// Their names, one after the other, and where each ends.
    names: String,
    ends: Vec<usize>,
    /// Undeclared fields of objects that paths lead into.
    pub(super) inside: Unknown,
}

/// How they are handled.
enum Fate {
    Counted(UnknownFields),
    Ignored,
    /// The record is refused.
    Refused(RecordShape),
    Kept(Box<Kept>),
}

/// The fields of the rows so far, as JSON.
struct Kept {
    declared: Fields,
    texts: Texts,
    /// One per row: whether there are any.
    valid: Vec<bool>,
    /// The undeclared fields of the record being read.
    record: Option<String>,
}

impl NewFields {
    pub(super) fn new(shape: &RecordShape) -> Self {
        let fate = match shape.on_new_field {
            OnNewField::Warn => Fate::Counted(UnknownFields::default()),
            OnNewField::Ignore => Fate::Ignored,
            OnNewField::Quarantine => Fate::Refused(shape.clone()),
            OnNewField::Rescue => Fate::Kept(Box::new(Kept {
                declared: Fields::of(shape),
                texts: Texts::new(),
                valid: Vec::new(),
                record: None,
            })),
        };
        Self { fate, names: String::new(), ends: Vec::new(), inside: Unknown::default() }
    }

    /// Remembers a field, by its path.
    pub(super) fn add(&mut self, before: &str, name: &str) {
        self.names.push_str(before);
        self.names.push_str(name);
        self.ends.push(self.names.len());
    }

    /// Forgets those of the last record.
    pub(super) fn clear(&mut self) {
        self.inside.names.clear();
        self.names.clear();
        self.ends.clear();
    }

    /// Takes note of those of a record that was read whole.
    ///
    /// # Errors
    /// Why the record is refused.
    pub(super) fn settle(&mut self, record: &str) -> Result<(), String> {
        for path in std::mem::take(&mut self.inside.names) {
            self.add("", path.trim_start_matches('.'));
        }
        let Some(first) = self.ends.first() else { return Ok(()) };
        match &mut self.fate {
            Fate::Refused(shape) => return Err(fields::named(shape, &self.names[..*first])),
            Fate::Kept(kept) => kept.record = kept.declared.leftover(record),
            Fate::Counted(_) | Fate::Ignored => {}
        }
        Ok(())
    }

    /// Makes those of a record final, with its row; the bytes that they take.
    pub(super) fn keep(&mut self) -> usize {
        match &mut self.fate {
            Fate::Counted(unknown) => {
                let mut start = 0;
                for end in &self.ends {
                    unknown.count(&self.names[start..*end]);
                    start = *end;
                }
                0
            }
            Fate::Kept(kept) => {
                let record = kept.record.take();
                let text = record.as_deref().unwrap_or_default();
                kept.valid.push(record.is_some());
                kept.texts.push(text.as_bytes());
                text.len()
            }
            Fate::Ignored | Fate::Refused(_) => 0,
        }
    }

    /// How often which fields were there, where they are counted.
    pub(super) fn counts(&self) -> UnknownFields {
        match &self.fate {
            Fate::Counted(unknown) => unknown.clone(),
            _ => UnknownFields::default(),
        }
    }

    /// Takes the undeclared fields of the rows so far, if they are kept.
    pub(super) fn finish(&mut self) -> Result<Option<ArrayRef>, ArrowError> {
        let Fate::Kept(kept) = &mut self.fate else { return Ok(None) };
        let nulls = NullBuffer::from(std::mem::take(&mut kept.valid));
        Ok(Some(Arc::new(kept.texts.strings(Some(nulls))?)))
    }
}
