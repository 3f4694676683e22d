//! One JSON record as a line of text, and changes to it. The texts of TPC-H need no escaping.

use std::fmt::{Display, Write};

/// A record being written.
#[derive(Default)]
pub(crate) struct Record(String);

impl Record {
    /// A record without fields.
    pub(crate) fn new() -> Self {
        Self(String::with_capacity(256))
    }

    /// Adds a number.
    pub(crate) fn number(mut self, name: &str, value: impl Display) -> Self {
        let before = if self.0.is_empty() { '{' } else { ',' };
        let _ = write!(self.0, "{before}\"{name}\":{value}");
        self
    }

    /// Adds a text.
    pub(crate) fn text(mut self, name: &str, value: impl Display) -> Self {
        let before = if self.0.is_empty() { '{' } else { ',' };
        let _ = write!(self.0, "{before}\"{name}\":\"{value}\"");
        self
    }

    /// The record as a line.
    pub(crate) fn line(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

/// Where the value of a field stands in a line, quotes included.
fn place(line: &str, name: &str) -> Option<(usize, usize)> {
    let start = line.find(&format!("\"{name}\":"))? + name.len() + 3;
    let rest = line.get(start..)?;
    let end = match rest.strip_prefix('"') {
        Some(text) => text.find('"')? + 2,
        None => rest.find([',', '}'])?,
    };
    Some((start, start + end))
}

/// A number of a record.
pub(crate) fn number(line: &str, name: &str) -> i64 {
    decimal(line, name) / 100
}

/// A number of a record, times 100.
pub(crate) fn decimal(line: &str, name: &str) -> i64 {
    let value = place(line, name).and_then(|(start, end)| line.get(start..end)).unwrap_or("0");
    let (whole, cents) = value.split_once('.').unwrap_or((value, "00"));
    let cents: i64 = format!("{cents:0<2}").parse().unwrap_or(0);
    let whole_number: i64 = whole.parse().unwrap_or(0);
    whole_number * 100 + if whole.starts_with('-') { -cents } else { cents }
}

/// Hundredths as a decimal number.
pub(crate) fn hundredths(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", value.abs() / 100, value.abs() % 100)
}

/// The record with another value of a field, in JSON.
pub(crate) fn set(line: &mut String, name: &str, value: &str) {
    if let Some((start, end)) = place(line, name) {
        line.replace_range(start..end, value);
    }
}
