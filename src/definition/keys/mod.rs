//! Every key of `stedi-delta.toml` and of a table's `.toml`: the reader, the JSON Schemas and `docs/reference.md` take names,
//! types, words, defaults and examples from here.
//!
//! A [`Table`](super::document::Table) is read by its [`Section`], so that a key that is not declared cannot be read: it is
//! reported as unknown. A declared key that nobody reads is found by `tests/keys.rs`.

mod columns;
mod pages;
mod patterns;
mod project;
mod samples;
mod schema;
mod table;
mod tests;
mod words;

use columns::COLUMN;
pub use pages::reference;
pub(super) use project::{DEFAULTS, PROJECT};
#[cfg(test)]
pub(super) use project::{NOTIFY, RETENTION};
pub use samples::{Sample, samples};
pub(crate) use schema::{project_schema, table_schema};
pub(super) use table::TABLE;
pub(super) use tests::TESTS;
pub(super) use words::{Vocabulary, Words};
pub(super) mod vocabulary {
    pub(in crate::definition) use super::columns::{CLASSIFICATION, TIMES};
    pub(in crate::definition) use super::project::{ENCRYPTION, NOTIFY_ON, ON_WITHDRAWAL};
    pub(in crate::definition) use super::table::{ACTION, FORMAT, ON_NEW_FIELD, ON_OVERWRITE, REFRESH};
}

/// A table of TOML whose keys are fixed.
#[derive(Debug)]
pub(super) struct Section {
    /// How its header is written: `[source]`.
    pub header: &'static str,
    /// What it is for, in Markdown.
    pub doc: &'static str,
    /// An example as TOML; empty = every key with its own example.
    pub example: &'static str,
    /// Its keys, in the order in which they are usually written.
    pub keys: &'static [Key],
    /// Keys that only go together, or never.
    pub relations: &'static [Relation],
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub value: Value,
    pub absent: Absent,
    /// A value as TOML; of a section and of a map, the header with which it begins.
    pub example: &'static str,
    /// What it is, in Markdown.
    pub doc: &'static str,
    /// Values that are refused, and why.
    pub wrong: &'static [Wrong],
}

/// What it means that a key is not there.
#[derive(Debug)]
pub(super) enum Absent {
    /// A fault.
    Required,
    /// The same as this value, as TOML.
    Default(&'static str),
    /// What the text says.
    Means(&'static str),
}

/// A refused value, as TOML, with the message of the fault and of its place.
#[derive(Debug)]
pub(super) struct Wrong {
    pub value: &'static str,
    pub says: &'static str,
    pub expected: &'static str,
    /// Who refuses it.
    pub seen: Seen,
}

/// Who refuses a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The schema, too.
    BySchema,
    /// Only `check`: a schema does not compare values with others, and parses no SQL, types and URLs.
    ByCheck,
}

/// What two keys of a section have to do with each other.
#[derive(Debug)]
pub(super) enum Relation {
    /// The first one needs the second one.
    Needs(&'static str, &'static str),
    /// The first one excludes the second one.
    Excludes(&'static str, &'static str),
}

/// The values of a key.
#[derive(Debug)]
pub(super) enum Value {
    /// Any string.
    Text,
    /// A string that is not blank.
    Filled,
    /// SQL: an expression over the columns of a row.
    Sql,
    /// A name of a table, zone, column or target.
    Name,
    /// A name of a zone: one is the tool's own.
    Zone,
    /// One of some words.
    Words(&'static (dyn Vocabulary + Sync)),
    /// True or false.
    Boolean,
    /// A number of bytes, or a text with a unit.
    Size,
    /// A time with a unit.
    Duration,
    /// A time of at most some minutes.
    Pause,
    /// A number of records, or a share.
    Limit,
    /// A folder or URL that the tool can open.
    Root,
    /// The same for a table, whose path engines must not misread.
    Location,
    /// A folder of this machine.
    Folder,
    /// The URL of a service.
    Url,
    /// A pattern of files under the landing root.
    Pattern,
    /// A type of columns, or `struct` with `fields`.
    Type,
    /// A list of a program and its arguments.
    Arguments,
    /// Any value; of a table of TOML, any keys.
    Any,
    /// The same value, or a text with variables of the environment.
    WithVariables(&'static Value),
    /// A list of strings without repetitions; `filled`: it must have one.
    List { filled: bool, of: &'static Value },
    /// A string or a list of strings.
    OneOrMore,
    /// A section.
    Table(&'static Section),
    /// A list of sections, `[[...]]`.
    Tables(&'static Section),
    /// A type, or a section with one.
    TypeOr(fn() -> &'static Section),
    /// A table whose keys are names.
    Map(&'static Map),
}

/// A table of TOML whose keys are names.
#[derive(Debug)]
pub(super) struct Map {
    /// What its keys are: `name`.
    pub of: &'static str,
    /// Which names there may be, as a pattern of JSON Schema.
    pub names: fn() -> String,
    /// What each has.
    pub value: Value,
    /// Keys with a meaning of their own.
    pub known: &'static [Key],
    /// Whether it must have one.
    pub filled: bool,
}

impl Value {
    /// What is expected, after `expected`.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text | Self::Filled | Self::Sql | Self::Name | Self::Zone | Self::Words(_) => "a string".into(),
            Self::Boolean => "true or false".into(),
            Self::Arguments => "a list of strings".into(),
            Self::Any => "a value".into(),
            Self::WithVariables(value) => value.expected(),
            Self::Size => "a size such as \"512 MB\" or \"2 GB\"".into(),
            Self::Duration => "a time such as \"30 days\", \"5m\" or \"0s\"".into(),
            Self::Pause => "one from \"1ms\" to \"5m\"".into(),
            Self::Limit => "a number of records, or a share such as \"5 %\"".into(),
            Self::Root | Self::Location => "a folder, `file://...` or `s3://...`".into(),
            Self::Folder => "a folder of this machine".into(),
            Self::Url => "a URL such as \"https://s3.example.com\"".into(),
            Self::Pattern => "a path under the target's landing root, such as \"folder/*.json\"".into(),
            Self::Type => "a type such as \"string\"".into(),
            Self::TypeOr(_) => "a type such as \"string\", or { type = \"string\" }".into(),
            Self::List { .. } => "a list of strings".into(),
            Self::OneOrMore => "a string or a list of strings".into(),
            Self::Table(_) | Self::Map(_) => "a table".into(),
            Self::Tables(section) => section.header.into(),
        }
    }

    /// The values of a list.
    pub(super) fn inner(&self) -> &'static Self {
        match self {
            Self::List { of, .. } => of,
            Self::Any => &Self::Any,
            _ => &Self::Text,
        }
    }
}

impl Section {
    /// The default of a key as TOML.
    pub(super) fn default_of(&self, key: &str) -> Option<&'static str> {
        self.keys.iter().find(|declared| declared.name == key)?.default()
    }
}

impl Key {
    /// The line, or the header, with which it is written.
    pub(super) fn line(&self) -> String {
        match self.value {
            Value::Table(_) | Value::Tables(_) | Value::Map(_) => self.example.to_owned(),
            _ => format!("{} = {}", self.name, self.example),
        }
    }

    /// The default as TOML, if there is one.
    pub(super) fn default(&self) -> Option<&'static str> {
        match self.absent {
            Absent::Default(text) => Some(text),
            Absent::Required | Absent::Means(_) => None,
        }
    }
}

/// A value that both the schema and `check` refuse.
const fn wrong(value: &'static str, says: &'static str, expected: &'static str) -> Wrong {
    Wrong { value, says, expected, seen: Seen::BySchema }
}

/// A value that only `check` refuses.
const fn unseen(value: &'static str, says: &'static str, expected: &'static str) -> Wrong {
    Wrong { value, says, expected, seen: Seen::ByCheck }
}
