//! What messages must not say: personal data, which they hold as keyed hashes unless revealed by request, and
//! credentials, which they never hold.

use std::fmt;

use crate::error::{Error, Kind, Result};

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

    /// An error as it may be told: with the values that its causes quote where they are shown anyway, or nobody's; else
    /// it says that they are left out.
    #[must_use]
    pub fn tell(&self, error: Error, is_personal: bool) -> Error {
        if self.reveal || !is_personal {
            return error.unveiled();
        }
        if error.next().is_some() || !error.leaves_out() {
            return error;
        }
        error.help("what stands for … may be personal data; --reveal to print it")
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

/// Whether the part of a URL before its path names a user: `https://user:password@host`.
#[must_use]
pub fn holds_credentials(url: &str) -> bool {
    // A `/` may stand in a password, so that only the whole text is safe to look at.
    url.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@') || (rest.contains('@') && authority.contains(':') && !is_port(authority))
    })
}

/// Whether what stands after the `:` of an authority is a port.
fn is_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Refuses an address that [holds credentials](holds_credentials), without repeating it; `what` names it in the message.
///
/// # Errors
/// It does.
pub fn without_credentials(kind: Kind, what: &str, url: &str) -> Result<()> {
    if !holds_credentials(url) {
        return Ok(());
    }
    Err(Error::new(kind, format!("{what} holds a user or a password"))
        .help("take them out: credentials come from AWS's own chain"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_addresses_are_found() {
        for url in [
            "https://user:secret@host",
            "http://user:secret@127.0.0.1:9",
            "s3://KEY:SECRET@bucket/x",
            "s3://KEY:SEC/RET@bucket",
            "https://:secret@host",
            "s3n://user@bucket",
        ] {
            assert!(holds_credentials(url), "{url}");
        }
        for url in ["s3://bucket/a@b.json", "https://host:9000/a@b", "folder/a@b", "s3://bucket"] {
            assert!(!holds_credentials(url), "{url}");
        }
    }
}
