//! TOML with places: a document traversed by hand, so that every fault points at its text.
//!
//! Getters return `None` both for an absent key and for one whose fault has been reported.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::name::nearest;
use crate::source::faults::{Faults, one_of};
use crate::source::{Place, SourceFile, Text};

/// One key of a table with its value.
pub(super) struct Entry<'d> {
    pub key: String,
    pub key_place: Place,
    value: &'d DeValue<'d>,
    place: Place,
}

/// A table of a document; its entries have the order of the text.
pub(super) struct Table<'d> {
    entries: Vec<Entry<'d>>,
    /// Where a missing key is reported: the header, or the beginning of the file.
    pub place: Place,
}

/// Parses a document; a syntax error is one fault.
pub(super) fn parse<'d>(file: &'d Arc<SourceFile>, faults: &mut Faults) -> Option<Spanned<DeTable<'d>>> {
    match DeTable::parse(&file.text) {
        Ok(table) => Some(table),
        Err(error) => {
            let place = Place { file: file.clone(), span: error.span().unwrap_or(0..0) };
            let lines: Vec<&str> = error.message().trim().lines().collect();
            faults.add(place, "this is not valid TOML", lines.join("; "));
            None
        }
    }
}

impl<'d> Table<'d> {
    /// The top level of a document.
    pub(super) fn root(file: &Arc<SourceFile>, table: &'d Spanned<DeTable<'d>>) -> Self {
        Self::new(file, table.get_ref(), 0..0)
    }

    fn new(file: &Arc<SourceFile>, table: &'d DeTable<'d>, span: Range<usize>) -> Self {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().to_string(),
                key_place: Place { file: file.clone(), span: key.span() },
                value: value.get_ref(),
                place: Place { file: file.clone(), span: value.span() },
            })
            .collect();
        entries.sort_by_key(|e| e.key_place.span.start);
        Self { entries, place: Place { file: file.clone(), span } }
    }

    /// Reports every key that is not one of `known`.
    pub(super) fn only(&self, known: &[&str], faults: &mut Faults) {
        for entry in self.entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            let label = match nearest(&entry.key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of {}", one_of(known.iter().copied())),
            };
            faults.add(entry.key_place.clone(), format!("unknown key `{}`", entry.key), label);
        }
    }

    /// All entries, for tables whose keys are names.
    pub(super) fn entries(&self) -> &[Entry<'d>] {
        &self.entries
    }

    /// All entries.
    pub(super) fn into_entries(self) -> Vec<Entry<'d>> {
        self.entries
    }

    /// The entry of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry<'d>> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// The entry of a key, or a fault that shows how to write it.
    pub(super) fn require(&self, key: &str, example: &str, faults: &mut Faults) -> Option<&Entry<'d>> {
        let entry = self.get(key);
        if entry.is_none() {
            faults.add(self.place.clone(), format!("`{key}` is missing"), format!("add `{example}`"));
        }
        entry
    }

    /// An optional string.
    pub(super) fn string(&self, key: &str, faults: &mut Faults) -> Option<Text> {
        self.get(key)?.string(faults)
    }

    /// A required string that is not blank.
    pub(super) fn required_string(&self, key: &str, example: &str, faults: &mut Faults) -> Option<Text> {
        let text = self.require(key, example, faults)?.string(faults)?;
        if text.value.trim().is_empty() {
            faults.add(text.place, format!("`{key}` is empty"), format!("write `{example}`"));
            return None;
        }
        Some(text)
    }

    /// An optional boolean.
    pub(super) fn boolean(&self, key: &str, faults: &mut Faults) -> Option<bool> {
        let entry = self.get(key)?;
        match entry.value {
            DeValue::Boolean(value) => Some(*value),
            _ => entry.expected("true or false", faults),
        }
    }

    /// A list of strings without repetitions; empty when absent or faulty.
    pub(super) fn strings(&self, key: &str, faults: &mut Faults) -> Vec<Text> {
        self.get(key).map(|e| e.strings(faults)).unwrap_or_default()
    }

    /// An optional sub-table.
    pub(super) fn table(&self, key: &str, faults: &mut Faults) -> Option<Table<'d>> {
        self.get(key)?.table(faults)
    }

    /// One of several values; `default` if absent or faulty.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)], default: T, faults: &mut Faults) -> T {
        let Some(text) = self.string(key, faults) else { return default };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text.value) {
            return *value;
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let label =
            if words.len() == 1 { format!("expected {}", words[0]) } else { format!("one of {}", words.join(", ")) };
        faults.add(text.place, format!("`{key}` is \"{}\"", text.value), label);
        default
    }
}

impl<'d> Entry<'d> {
    /// Place of the value.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The value.
    pub(super) fn value(&self) -> &'d DeValue<'d> {
        self.value
    }

    /// The items of the value as a list.
    pub(super) fn list(&self, faults: &mut Faults) -> Vec<Self> {
        let DeValue::Array(items) = self.value else {
            self.expected::<()>("a list", faults);
            return Vec::new();
        };
        items.iter().map(|item| self.item(item)).collect()
    }

    /// The value as a string.
    pub(super) fn string(&self, faults: &mut Faults) -> Option<Text> {
        match self.value {
            DeValue::String(value) => Some(Text { value: value.to_string(), place: self.place.clone() }),
            _ => self.expected("a string", faults),
        }
    }

    /// The value as a table, written as `[header]` or inline.
    pub(super) fn table(&self, faults: &mut Faults) -> Option<Table<'d>> {
        match self.value {
            DeValue::Table(table) => Some(Table::new(&self.place.file, table, self.place.span.clone())),
            _ => self.expected("a table", faults),
        }
    }

    /// The value as a non-negative integer; the outer `None` if it is not an integer.
    pub(super) fn integer(&self) -> Option<Option<u64>> {
        match self.value {
            DeValue::Integer(i) => Some(u64::from_str_radix(i.as_str(), i.radix()).ok()),
            _ => None,
        }
    }

    /// Whether the value is a string.
    pub(super) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    /// Whether the value is a table.
    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// The value as an array of tables.
    pub(super) fn tables(&self, faults: &mut Faults) -> Vec<Table<'d>> {
        let DeValue::Array(items) = self.value else {
            self.expected::<()>(&format!("[[{}]]", self.key), faults);
            return Vec::new();
        };
        items.iter().filter_map(|item| self.item(item).table(faults)).collect()
    }

    /// The value as a list of strings without repetitions.
    pub(super) fn strings(&self, faults: &mut Faults) -> Vec<Text> {
        let DeValue::Array(items) = self.value else {
            self.expected::<()>("a list of strings", faults);
            return Vec::new();
        };
        let mut texts: Vec<Text> = Vec::new();
        for item in items {
            let Some(text) = self.item(item).string(faults) else { continue };
            if texts.iter().any(|t| t.value == text.value) {
                faults.add(text.place, format!("`{}` is twice in `{}`", text.value, self.key), "remove one");
            } else {
                texts.push(text);
            }
        }
        texts
    }

    /// The value as one string or a list of strings, none of them empty.
    pub(super) fn one_or_more(&self, faults: &mut Faults) -> Vec<Text> {
        let texts = match self.value {
            DeValue::String(_) => self.string(faults).into_iter().collect(),
            DeValue::Array(_) => self.strings(faults),
            _ => {
                self.expected::<()>("a string or a list of strings", faults);
                return Vec::new();
            }
        };
        if let Some(empty) = texts.iter().find(|text| text.value.is_empty()) {
            faults.add(empty.place.clone(), format!("`{}` is empty", self.key), "write the name of a field");
        } else if texts.is_empty() {
            faults.add(self.place.clone(), format!("`{}` is empty", self.key), "write the name of a field");
        }
        texts
    }

    /// Reports that the value has the wrong type.
    pub(super) fn expected<T>(&self, what: &str, faults: &mut Faults) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "string".to_owned(),
            DeValue::Integer(i) => format!("integer {i}"),
            DeValue::Float(f) => format!("number {f}"),
            DeValue::Boolean(b) => format!("boolean {b}"),
            DeValue::Datetime(d) => format!("time {d}"),
            DeValue::Array(_) => "list".to_owned(),
            DeValue::Table(_) => "table".to_owned(),
        };
        let message = format!("`{}` has the wrong type", self.key);
        faults.add(self.place.clone(), message, format!("found {found}, expected {what}"));
        None
    }

    fn item(&self, item: &'d Spanned<DeValue<'d>>) -> Entry<'d> {
        Entry {
            key: self.key.clone(),
            key_place: self.key_place.clone(),
            value: item.get_ref(),
            place: Place { file: self.place.file.clone(), span: item.span() },
        }
    }
}
