//! Regular expressions for JSON Schema (those of ECMAScript), each of a check of the reader.

use crate::definition::spec::{PROPERTY_BYTES, RESERVED_PREFIXES, RESERVED_PROPERTIES};
use crate::name::MAX_NAME_BYTES;
use crate::types::ColumnType;

/// The names of tables, zones, columns and targets.
pub(super) fn name() -> String {
    format!("^[a-z][a-z0-9_]{{0,{}}}$", MAX_NAME_BYTES - 1)
}

/// A name, but not this one.
pub(super) fn name_except(reserved: &str) -> String {
    format!("^(?!{reserved}$)[a-z][a-z0-9_]{{0,{}}}$", MAX_NAME_BYTES - 1)
}

/// Names of properties that are free.
pub(super) fn property() -> String {
    let whole: Vec<String> = RESERVED_PROPERTIES.iter().map(|name| format!("{}$", any_case(name))).collect();
    let prefixes: Vec<String> = RESERVED_PREFIXES.iter().map(|prefix| any_case(prefix)).collect();
    format!("^(?!{}|{})[A-Za-z0-9_.-]{{1,{PROPERTY_BYTES}}}$", whole.join("|"), prefixes.join("|"))
}

/// A text that is not blank.
pub(super) const FILLED: &str = "\\S";

/// A size that is not 0.
pub(super) const SIZE: &str = "^\\s*0*[1-9][0-9]*\\s*(?:[bB]|[kKmMgGtT][iI]?[bB])?\\s*$";

/// A time with a unit.
pub(super) const DURATION: &str = "^\\s*[0-9]+\\s*(?:ms|s|seconds?|m|minutes?|h|hours?|d|days?)\\s*$";

/// At most 100 %.
pub(super) const SHARE: &str = "^\\s*(?:0?100(?:\\.0{1,4})?|0{0,2}[0-9]{1,2}(?:\\.[0-9]{1,4})?)\\s*%\\s*$";

/// A folder, or a URL of a scheme that the tool can open.
pub(super) const ROOT: &str = "^(?:(?:file|s3)://|(?![\\s\\S]*://))";

/// The same for a table: a path has no escapes and no backslashes.
pub(super) const LOCATION: &str = "^(?:(?:file|s3)://|(?![\\s\\S]*(?:://|%[0-9A-Fa-f]{2}|\\\\)))";

/// A folder of this machine.
pub(super) const FOLDER: &str = "^(?![\\s\\S]*://)[\\s\\S]+$";

/// The URL of a service.
pub(super) const URL: &str = "^\\s*[hH][tT][tT][pP][sS]?:";

/// Files under the landing root.
pub(super) const FILES: &str = "^(?!/)(?![\\s\\S]*://)(?!(?:[\\s\\S]*/)?\\.\\.(?:/|$))";

/// Types, as far as an expression can tell; `bare`: `struct` and its like, whose fields stand apart.
pub(super) fn column_type(bare: bool) -> String {
    let scalars: Vec<String> = ColumnType::scalar_names().map(any_case).collect();
    let nested = ["array", "map", "struct"].map(any_case).join("|");
    let bare = if bare { format!("|{}", any_case("struct")) } else { String::new() };
    let decimal = any_case("decimal");
    format!("^\\s*(?:{}|{decimal}\\([\\s\\S]*\\)|(?:{nested})\\s*<[\\s\\S]*>{bare})\\s*$", scalars.join("|"))
}

/// A word in upper and lower case.
fn any_case(word: &str) -> String {
    let letter = |c: char| match c {
        c if c.is_ascii_alphabetic() => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
        '.' => "\\.".to_owned(),
        c => c.to_string(),
    };
    word.chars().map(letter).collect()
}
