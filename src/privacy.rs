//! Redaction of messages: personal data appear only as keyed hashes unless revealed on request, and credentials never.

mod controls;
mod secrets;
mod shell;

use std::fmt;

pub(crate) use controls::{covered, escaped, one_line};
pub(crate) use secrets::{holds_credentials, masked, redacted, what_it_holds, without_credentials};
pub(crate) use shell::{PROGRAM, quoted, word};

use crate::error::Error;

/// How values of columns classified `pii` appear outside the data.
#[derive(Clone)]
pub struct Privacy {
    key: [u8; 32],
    reveal: bool,
    keyed: bool,
    /// For digests of rows; `None` without a key, and where none are to be made.
    digests: Option<[u8; 32]>,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Privacy")
    }
}

impl Privacy {
    /// Hashes with `key`, or with a random key that is never stored; `reveal` shows values unchanged.
    #[must_use]
    pub fn new(key: Option<&str>, reveal: bool) -> Self {
        const CONTEXT: &str = "stedi-delta 2026-11-23 subjects in messages";
        let keyed = key.is_some();
        let material = key.map_or_else(|| crate::clock::random_uuid().into_bytes().to_vec(), |k| k.as_bytes().to_vec());
        let digests = key.map(|key| blake3::derive_key("stedi-delta 2026-12-01 digests", key.as_bytes()));
        Self { key: blake3::derive_key(CONTEXT, &material), reveal, keyed, digests }
    }

    /// The key from which those of row digests are derived; `None` without a key that outlives the run.
    #[must_use]
    pub(crate) fn digest_key(&self) -> Option<[u8; 32]> {
        self.digests
    }

    /// The same without digests of rows.
    #[must_use]
    pub(crate) fn without_digests(self) -> Self {
        Self { digests: None, ..self }
    }

    /// Whether values are shown unchanged.
    #[must_use]
    pub fn reveals(&self) -> bool {
        self.reveal
    }

    /// A value for display.
    #[must_use]
    pub fn show(&self, value: &str) -> String {
        if self.reveal { value.to_owned() } else { self.hash(value) }
    }

    /// The keyed hash of a value: what [`Self::show`] prints unless values are revealed.
    #[must_use]
    pub fn hash(&self, value: &str) -> String {
        let hash = blake3::keyed_hash(&self.key, value.as_bytes()).to_hex();
        format!("{}…{}", &hash[..4], &hash[60..])
    }

    /// Whether other runs print the same hashes.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// The name of a record's field for display. It is shown if it looks like a name; otherwise it may be a value, such
    /// as a person's address, and is shown as a keyed hash with its length; `is_cut` = the name is longer. `path` is the
    /// path to the field, as in the definition.
    #[must_use]
    pub fn field(&self, path: &str, name: &str, is_cut: bool) -> String {
        if self.reveal || is_field_name(name) {
            return format!("`{path}{name}`");
        }
        let length = name.chars().count();
        let characters = match (length, is_cut) {
            (length, true) => format!("{length} characters or more"),
            (1, false) => "1 character".to_owned(),
            (length, false) => format!("{length} characters"),
        };
        format!("`{path}{}`, a hashed name of {characters},", self.show(name))
    }

    /// An error for display: with the values that its causes quote if they may be shown; else it says that they are
    /// left out.
    #[must_use]
    pub fn tell(&self, error: Error, is_personal: bool) -> Error {
        if self.reveal || !is_personal {
            return error.unredacted();
        }
        if error.next().is_some() || !error.leaves_out() {
            return error;
        }
        error.help("`…` replaces values that may be personal data; --reveal to print them")
    }

    /// A note about the values shown.
    #[must_use]
    pub fn note(&self) -> &'static str {
        match (self.reveal, self.keyed) {
            (true, _) => "",
            (false, true) => " (hashed with STEDI_DELTA_HASH_KEY; --reveal to print)",
            (false, false) => " (hashed with a key of this run; --reveal to print)",
        }
    }
}

/// Whether a text looks like the name of a field, and not like a value used as one: `@type`, `unit-price`.
#[must_use]
pub(crate) fn is_field_name(text: &str) -> bool {
    let name = text.strip_prefix('@').unwrap_or(text);
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_next = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.starts_with(is_first) && name.len() <= 64 && name.chars().all(is_next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_unless_its_name_may_be_a_value() {
        let privacy = Privacy::new(Some("k"), false);
        let long = "a".repeat(64);
        for name in ["city", "@type", "_x", "unit-price", "a.b", "A1", &long] {
            assert_eq!(privacy.field("", name, false), format!("`{name}`"));
        }
        let hashed = format!("`{}`, a hashed name of 9 characters,", privacy.show("ann@x.org"));
        assert_eq!(privacy.field("", "ann@x.org", false), hashed);
        let longer = format!("{long}a");
        for name in ["", "4711999", "a b", "é", "a\u{1b}[2J", "@", "@1", "a\n", &longer] {
            assert!(privacy.field("", name, false).contains("a hashed name of "), "{name:?}");
        }
        assert_eq!(Privacy::new(None, true).field("", "ann@x.org", false), "`ann@x.org`");
    }
}
