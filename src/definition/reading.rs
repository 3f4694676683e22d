//! How records hold values: in which fields, and the format of times.

use super::model::ColumnType;

/// How the values of a landing column, or those inside of them, come in records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The fields that hold a column, or a field of a struct, in order of precedence. A name with dots is first looked for
    /// as it stands, then as a path into objects. Empty of what has no name: elements of arrays and values of maps.
    pub from: Vec<String>,
    /// How a time is written.
    pub times: TimeFormat,
    /// Nested values: the fields of a struct in order, the element of an array, the value of a map.
    pub inside: Vec<Reading>,
}

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// A text of RFC 3339.
    #[default]
    Rfc3339,
    /// A number of seconds since 1970.
    EpochSeconds,
    /// A number of milliseconds since 1970.
    EpochMillis,
    /// A number of microseconds since 1970.
    EpochMicros,
}

impl Reading {
    /// Values of a type in the field of a name; so what is inside.
    #[must_use]
    pub fn of(name: &str, column_type: &ColumnType) -> Self {
        Self { from: vec![name.to_owned()], ..Self::unnamed(column_type) }
    }

    /// Values of a type that have no name.
    fn unnamed(column_type: &ColumnType) -> Self {
        let inside = match column_type {
            ColumnType::Array(element) => vec![Self::unnamed(element)],
            ColumnType::Struct(fields) => fields.iter().map(|(name, t)| Self::of(name, t)).collect(),
            ColumnType::Map(entry) => vec![Self::unnamed(&entry.1)],
            _ => Vec::new(),
        };
        Self { inside, ..Self::default() }
    }

    /// Values that hold this one alone, as arrays and maps do.
    #[must_use]
    pub fn within(self) -> Self {
        Self { inside: vec![self], ..Self::default() }
    }

    /// The single nested value of an array or a map.
    #[must_use]
    pub fn element(&self) -> Self {
        self.inside.first().cloned().unwrap_or_default()
    }

    /// The same, with all times written so.
    #[must_use]
    pub fn with_times(self, times: TimeFormat) -> Self {
        let inside = self.inside.into_iter().map(|inside| inside.with_times(times)).collect();
        Self { times, inside, ..self }
    }

    /// Whether it, or something inside, is a time that records usually have to the microsecond.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        matches!(self.times, TimeFormat::EpochSeconds | TimeFormat::EpochMicros)
            || self.inside.iter().any(Self::is_fine)
    }

    /// The one field that holds it, if there is no other and it is no path.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        match self.from.as_slice() {
            [only] if !is_path(only) => Some(only),
            _ => None,
        }
    }
}

/// Whether the name of a field can be a path into objects: `address.city`, not `a..b`.
#[must_use]
pub(crate) fn is_path(source: &str) -> bool {
    source.contains('.') && source.split('.').all(|part| !part.is_empty())
}
