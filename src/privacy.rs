//! Personal data in messages: keyed hashes, unless revealed by request.

use std::fmt;

/// How values of columns classified `pii` appear outside the data.
#[derive(Clone)]
pub struct Privacy {
    key: [u8; 32],
    reveal: bool,
    keyed: bool,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Privacy")
    }
}

impl Privacy {
    /// Hashes with `key`, or with a random key that nobody learns; `reveal` shows values as they are.
    #[must_use]
    pub fn new(key: Option<&str>, reveal: bool) -> Self {
        const CONTEXT: &str = "stedi-delta 2026-11-23 subjects in messages";
        let keyed = key.is_some();
        let material = key.map_or_else(|| crate::clock::random_uuid().into_bytes().to_vec(), |k| k.as_bytes().to_vec());
        Self { key: blake3::derive_key(CONTEXT, &material), reveal, keyed }
    }

    /// A value as it may be shown.
    #[must_use]
    pub fn show(&self, value: &str) -> String {
        if self.reveal {
            return value.to_owned();
        }
        let hash = blake3::keyed_hash(&self.key, value.as_bytes()).to_hex();
        format!("{}…{}", &hash[..4], &hash[60..])
    }

    /// What to say about the values shown.
    #[must_use]
    pub fn note(&self) -> &'static str {
        match (self.reveal, self.keyed) {
            (true, _) => "",
            (false, true) => " (hashed with STEDI_DELTA_HASH_KEY; --reveal to print)",
            (false, false) => " (hashed with a key of this run; --reveal to print)",
        }
    }
}
