//! Validated names.
//!
//! The rule is Athena's (lower case, no blanks or punctuation), restricted to names that need no quoting in any engine.

use std::cmp::Reverse;
use std::fmt;

/// The name of a table or zone: `[a-z][a-z0-9_]*`, at most 200 bytes, so that suffixes such as `_quarantine` fit
/// into Athena's 255.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct TableName(String);

/// Name of the landing column that holds the undeclared fields of a record. No other column has such a name, and it is in
/// the result of a query only where it is named.
pub(crate) const RESCUED: &str = "_rescued";

/// Longest accepted name, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 200;

impl TableName {
    /// Parses a name.
    ///
    /// # Errors
    /// The reason, as a lower-case fragment without a period, when `text` is not a valid name.
    pub fn parse(text: &str) -> Result<Self, String> {
        check(text).map(|()| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the quarantine table that belongs to this table.
    #[must_use]
    pub fn quarantine(&self) -> Self {
        Self(format!("{}_quarantine", self.0))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TableName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Characters that Delta readers misinterpret in the path of a folder, and as what.
#[must_use]
pub(crate) fn misread_in_path(path: &str) -> Option<(&str, &'static str)> {
    let is_escape = |at: &usize| {
        let digits = path.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if let Some((at, _)) = path.match_indices('%').find(|(at, _)| is_escape(at)) {
        return path.get(at..at + 3).map(|escape| (escape, "an escaped character"));
    }
    path.find('\\').and_then(|at| path.get(at..=at)).map(|found| (found, "the end of a folder's name"))
}

/// Checks that `text` is a valid table, zone or column name.
///
/// # Errors
/// The reason, as a lower-case fragment without a period.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let Some(first) = text.chars().next() else {
        return Err("a name cannot be empty".into());
    };
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("a name has at most {MAX_NAME_BYTES} bytes, this one has {}", text.len()));
    }
    if !first.is_ascii_lowercase() {
        return Err(format!("a name begins with a letter a-z, found `{first}`"));
    }
    match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_')) {
        Some(c) => Err(format!("a name holds a-z, 0-9 and `_`, found `{c}`")),
        None => Ok(()),
    }
}

/// The candidate nearest to `word`, if one is near enough to be a typing error. Of several at one distance the longest:
/// relative to its length it is the nearest.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= 1 + c.len().min(word.len()) / 4)
        .min_by_key(|(distance, c)| (*distance, Reverse(c.len()), *c))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_and_backslashes_are_misread_in_paths() {
        let found = |path| super::misread_in_path(path).map(|(found, _)| found);
        for path in ["a b/é#?[x]", "100%", "a%b", "a%2", "%é0"] {
            assert_eq!(found(path), None, "{path}");
        }
        assert_eq!(["a%20b", "%/%4A", "a\\b"].map(found), [Some("%20"), Some("%4A"), Some("\\")]);
    }

    use super::*;

    #[test]
    fn names_that_athena_shows_without_quotes_pass() {
        assert!(TableName::parse("customer_landing2").is_ok());
        for bad in ["", "Customer", "_x", "1x", "a-b", "a b", "é", &"x".repeat(201)] {
            assert!(TableName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        assert_eq!(nearest("customer_landng", ["customer_landing", "x"]), Some("customer_landing"));
        assert_eq!(nearest("zzz", ["customer_landing"]), None);
        assert_eq!(nearest("cont", ["cot", "count", "cos"]), Some("count"));
    }
}
