//! TOML with places: a document traversed by its declared keys, so that every fault points at its text.
//!
//! Getters return `None` both for an absent key and for one whose fault has been reported.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{Key, Section, Value, Words};
use super::units;
use crate::source::faults::{Faults, suggestion};
use crate::source::{Place, SourceFile, Text};

/// One key of a table with its value.
pub(super) struct Entry<'d> {
    pub key: String,
    pub key_place: Place,
    value: &'d DeValue<'d>,
    place: Place,
    /// What is declared of the value.
    declared: &'static Value,
}

/// A table of a document; its entries have the order of the text.
pub(super) struct Table<'d> {
    entries: Vec<Entry<'d>>,
    /// Its declared keys; empty if its keys are names.
    keys: &'static [Key],
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
    /// The top level of a document. Reports every key that is not declared.
    pub(super) fn root(
        file: &Arc<SourceFile>,
        table: &'d Spanned<DeTable<'d>>,
        section: &'static Section,
        faults: &mut Faults,
    ) -> Self {
        Self::of(file, (table.get_ref(), 0..0), section, faults)
    }

    /// A table with fixed keys: others are reported and left out.
    fn of(
        file: &Arc<SourceFile>,
        (table, span): (&'d DeTable<'d>, Range<usize>),
        section: &'static Section,
        faults: &mut Faults,
    ) -> Self {
        let known = || section.keys.iter().map(|key| key.name);
        let declared = |name: &str| section.keys.iter().find(|key| key.name == name).map(|key| &key.value);
        let mut unknown = Vec::new();
        let entries = Self::entries_of(file, table, |key, place| {
            if declared(key).is_none() {
                unknown.push((key.to_owned(), place.clone()));
            }
            declared(key)
        });
        for (key, place) in unknown {
            let label = suggestion(&key, known());
            faults.add(place, format!("unknown key `{key}`"), label);
        }
        Self { entries, keys: section.keys, place: Place { file: file.clone(), span } }
    }

    /// A table whose keys are names. `known` are those with a meaning of their own.
    fn named(
        file: &Arc<SourceFile>,
        (table, span): (&'d DeTable<'d>, Range<usize>),
        (known, value): (&'static [Key], &'static Value),
    ) -> Self {
        let declared = |name: &str| known.iter().find(|key| key.name == name).map_or(value, |key| &key.value);
        let entries = Self::entries_of(file, table, |key, _| Some(declared(key)));
        Self { entries, keys: known, place: Place { file: file.clone(), span } }
    }

    fn entries_of(
        file: &Arc<SourceFile>,
        table: &'d DeTable<'d>,
        mut declared: impl FnMut(&str, &Place) -> Option<&'static Value>,
    ) -> Vec<Entry<'d>> {
        let mut entries = Vec::new();
        for (key, value) in table.iter() {
            let key_place = Place { file: file.clone(), span: key.span() };
            let key = key.get_ref().to_string();
            let Some(declared) = declared(&key, &key_place) else { continue };
            let place = Place { file: file.clone(), span: value.span() };
            entries.push(Entry { key, key_place, value: value.get_ref(), place, declared });
        }
        entries.sort_by_key(|e| e.key_place.span.start);
        entries
    }

    /// The declaration of a key.
    fn declared(&self, key: &str) -> Option<&'static Key> {
        self.keys.iter().find(|declared| declared.name == key)
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
    pub(super) fn require(&self, key: &str, faults: &mut Faults) -> Option<&Entry<'d>> {
        let entry = self.get(key);
        if entry.is_none() {
            let line = self.declared(key).map(Key::line).unwrap_or_default();
            faults.add(self.place.clone(), format!("`{key}` is missing"), format!("add `{line}`"));
        }
        entry
    }

    /// An optional string.
    pub(super) fn string(&self, key: &str, faults: &mut Faults) -> Option<Text> {
        self.get(key)?.string(faults)
    }

    /// A required string that is not blank.
    pub(super) fn required_string(&self, key: &str, faults: &mut Faults) -> Option<Text> {
        let text = self.require(key, faults)?.string(faults)?;
        if text.value.trim().is_empty() {
            let line = self.declared(key).map(Key::line).unwrap_or_default();
            faults.add(text.place, format!("`{key}` is empty"), format!("write `{line}`"));
            return None;
        }
        Some(text)
    }

    /// An optional boolean.
    pub(super) fn boolean(&self, key: &str, faults: &mut Faults) -> Option<bool> {
        let entry = self.get(key)?;
        match entry.value {
            DeValue::Boolean(value) => Some(*value),
            _ => entry.expected(faults),
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

    /// One of several words; the declared default if absent or faulty, `None` if there is none.
    pub(super) fn choice<T: Copy + Debug>(
        &self,
        key: &str,
        words: &'static Words<T>,
        faults: &mut Faults,
    ) -> Option<T> {
        let default = || self.declared(key)?.default().and_then(|default| words.named(default.trim_matches('"')));
        let Some(text) = self.string(key, faults) else { return default() };
        words.read(key, text, faults).or_else(default)
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
            self.expected_to_be::<()>("a list", faults);
            return Vec::new();
        };
        items.iter().map(|item| self.item(item, self.declared.inner())).collect()
    }

    /// The value as a string.
    pub(super) fn string(&self, faults: &mut Faults) -> Option<Text> {
        match self.value {
            DeValue::String(value) => Some(Text { value: value.to_string(), place: self.place.clone() }),
            _ if matches!(self.declared, Value::Any) => self.expected_to_be("a string", faults),
            _ => self.expected(faults),
        }
    }

    /// The value as a time with a unit.
    pub(super) fn duration(&self, faults: &mut Faults) -> Option<Duration> {
        let text = self.string(faults)?.value;
        units::duration(&text).or_else(|| self.refuse(format!("`{}` is \"{text}\"", self.key), faults))
    }

    /// The value as a table, written as `[header]` or inline, with the keys that are declared for it.
    pub(super) fn table(&self, faults: &mut Faults) -> Option<Table<'d>> {
        let DeValue::Table(table) = self.value else {
            return match self.declared {
                Value::Any => self.expected_to_be("a table", faults),
                _ => self.expected(faults),
            };
        };
        let (file, table) = (&self.place.file, (table, self.place.span.clone()));
        match self.declared {
            Value::Table(section) | Value::Tables(section) => Some(Table::of(file, table, section, faults)),
            Value::TypeOr(section) => Some(Table::of(file, table, section(), faults)),
            Value::Map(map) => Some(Table::named(file, table, (map.known, &map.value))),
            Value::Any => Some(Table::named(file, table, (&[], &Value::Any))),
            _ => self.expected(faults),
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
            self.expected::<()>(faults);
            return Vec::new();
        };
        items.iter().filter_map(|item| self.item(item, self.declared).table(faults)).collect()
    }

    /// The value as a list of strings without repetitions.
    pub(super) fn strings(&self, faults: &mut Faults) -> Vec<Text> {
        let DeValue::Array(items) = self.value else {
            self.expected::<()>(faults);
            return Vec::new();
        };
        let mut texts: Vec<Text> = Vec::new();
        for item in items {
            let Some(text) = self.item(item, self.declared.inner()).string(faults) else { continue };
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
                self.expected::<()>(faults);
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

    /// Reports that the value cannot be one of the key; `message` says what it is.
    pub(super) fn refuse<T>(&self, message: impl Into<String>, faults: &mut Faults) -> Option<T> {
        faults.add(self.place.clone(), message, format!("expected {}", self.declared.expected()));
        None
    }

    /// Reports that the value has the wrong type.
    pub(super) fn expected<T>(&self, faults: &mut Faults) -> Option<T> {
        self.expected_to_be(&self.declared.expected(), faults)
    }

    /// The same for a value that is declared as any.
    pub(super) fn expected_to_be<T>(&self, what: &str, faults: &mut Faults) -> Option<T> {
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

    fn item(&self, item: &'d Spanned<DeValue<'d>>, declared: &'static Value) -> Entry<'d> {
        Entry {
            declared,
            key: self.key.clone(),
            key_place: self.key_place.clone(),
            value: item.get_ref(),
            place: Place { file: self.place.file.clone(), span: item.span() },
        }
    }
}
