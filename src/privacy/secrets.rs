//! Credentials in addresses: detected, refused, and hidden in printed text.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, Kind, Result};

/// The replacement for a credential.
const HIDDEN: &str = "…";

/// Parts of the names of query parameters with credentials, in lower case and without separators: those of presigned S3
/// URLs, of other clouds, and of passwords.
const SECRET_PARTS: [&str; 8] =
    ["signature", "token", "password", "passwd", "secret", "credential", "apikey", "accesskey"];
/// Whole names, too short to be searched inside others.
const SECRET_NAMES: [&str; 4] = ["sig", "pwd", "pass", "auth"];

/// Where credentials in a text end.
#[derive(Clone, Copy)]
enum Until {
    /// At a character that cannot be in a URL: other text surrounds it.
    Text,
    /// At a blank: the text is a line of a file, in which a quote may be part of the password.
    Blank,
}

impl Until {
    fn ends(self, c: char) -> bool {
        match self {
            Self::Text => c.is_whitespace() || "\"'`<>\\".contains(c),
            Self::Blank => c.is_whitespace(),
        }
    }
}

/// Whether a URL names a user (`https://user:password@host`) or has a credential in its query (`?X-Amz-Signature=...`).
#[must_use]
pub(crate) fn holds_credentials(url: &str) -> bool {
    names_user(url) || !parameters(url, Until::Blank).is_empty()
}

fn names_user(url: &str) -> bool {
    // A `/` may be in a password, so only the whole text is safe to examine.
    url.split_once("://").is_some_and(|(_, rest)| user(rest).is_some())
}

/// Length of the user and the password at the start of an authority.
fn user(rest: &str) -> Option<usize> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some(at) = authority.rfind('@') {
        return Some(at);
    }
    rest.rfind('@').filter(|_| authority.contains(':') && !is_port(authority))
}

/// Whether the part after the `:` of an authority is a port.
fn is_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Refuses an address that [holds credentials](holds_credentials), without repeating it; `what` names it in the
/// message.
///
/// # Errors
/// If it holds credentials.
pub(crate) fn without_credentials(kind: Kind, what: &str, url: &str) -> Result<()> {
    if !holds_credentials(url) {
        return Ok(());
    }
    Err(Error::new(kind, format!("{what} {}", what_it_holds(url)))
        .help("take them out: credentials come from AWS's own chain"))
}

/// `holds a user or a password`, or the other kind of credential that an address [holds](holds_credentials).
#[must_use]
pub(crate) fn what_it_holds(url: &str) -> &'static str {
    if names_user(url) { "holds a user or a password" } else { "holds a signature, a token or a password" }
}

/// A text with `…` for the credentials of all URLs in it.
#[must_use]
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    replaced(text, found(text, Until::Text), |_| HIDDEN.to_owned())
}

/// A text of the same length in bytes with `*` for credentials, so that places in it stay valid.
#[must_use]
pub(crate) fn masked(text: &str) -> Cow<'_, str> {
    replaced(text, found(text, Until::Blank), |secret| "*".repeat(secret.len()))
}

fn replaced(text: &str, secrets: Vec<Range<usize>>, by: impl Fn(&str) -> String) -> Cow<'_, str> {
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
    for secret in secrets {
        // One may be inside another: a password that looks like a parameter.
        if let Some(before) = text.get(from..secret.start) {
            shown.push_str(before);
            shown.push_str(&by(&text[secret.clone()]));
            from = secret.end;
        }
    }
    shown.push_str(&text[from..]);
    Cow::Owned(shown)
}

/// The ranges of all credentials.
fn found(text: &str, until: Until) -> Vec<Range<usize>> {
    let mut found = parameters(text, until);
    for (at, scheme) in text.match_indices("://") {
        let begins = at + scheme.len();
        let rest = &text[begins..];
        let url = &rest[..rest.find(|c| until.ends(c)).unwrap_or(rest.len())];
        found.extend(user(url).filter(|length| *length > 0).map(|length| begins..begins + length));
    }
    found.sort_by_key(|secret| secret.start);
    found
}

/// The ranges of the values of query parameters that are credentials.
fn parameters(text: &str, until: Until) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // A URL inside a URL has escaped separators.
    for equals in ["=", "%3D", "%3d"] {
        for (at, _) in text.match_indices(equals).filter(|(at, _)| is_secret(&text[..*at])) {
            let begins = at + equals.len();
            let value = &text[begins..];
            let length = value.find(|c: char| until.ends(c) || c == '&' || c == '#').unwrap_or(value.len());
            if length > 0 {
                found.push(begins..begins + length);
            }
        }
    }
    found
}

/// Whether a text ends with the name of a parameter that holds a credential.
fn is_secret(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let before = text.trim_end_matches(is_name);
    let name = &text[before.len()..];
    let name = match before.chars().next_back() {
        Some('?' | '&' | ';' | '#') => name,
        // `%26`, whose digits would be taken as the beginning of the name.
        Some('%') => match name.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("3f" | "26" | "3b" | "23") => &name[2..],
            _ => return false,
        },
        _ => return false,
    };
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_PARTS.iter().any(|part| name.contains(part))
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
            "https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=ab12",
            "https://b.s3.amazonaws.com/k?x-amz-security-token=ab12",
            "folder?password=ab",
            "https://h/?u=https%3A%2F%2Fg%2F%3Fa%3D1%26Signature%3Dab12",
            "jdbc:x://host/db;pwd=a",
        ] {
            assert!(holds_credentials(url), "{url}");
        }
        for url in [
            "s3://bucket/a@b.json",
            "https://host:9000/a@b",
            "folder/a@b",
            "s3://bucket",
            "s3://b/token=1/secret=2",
            "",
        ] {
            assert!(!holds_credentials(url), "{url}");
        }
    }

    #[test]
    fn credentials_are_hidden_and_nothing_else() {
        for (text, shown) in [
            (
                "GET https://h/k?X-Amz-Expires=60&X-Amz-Signature=ab12&x=1 failed",
                "GET https://h/k?X-Amz-Expires=60&X-Amz-Signature=…&x=1 failed",
            ),
            ("{\"a\":\"https://u:p@h/x\",\"b\":\"c@d\"}", "{\"a\":\"https://…@h/x\",\"b\":\"c@d\"}"),
            ("'s3://K:SE/C@b/x' and s3://b/c@d", "'s3://…@b/x' and s3://b/c@d"),
            ("https://h/?q=%3Ftoken%3Dab%26x", "https://h/?q=%3Ftoken%3D…"),
            ("https://h/?password=a?token=b", "https://h/?password=…"),
            ("h/x&amp;Signature=ab</Url>", "h/x&amp;Signature=…</Url>"),
            ("select token='x' from t where password = 'y'", "select token='x' from t where password = 'y'"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn places_in_a_masked_text_stay() {
        let line = "landing = \"https://h/?password=a\\\"ß&x=1\" # s3://u:p@b";
        let masked = masked(line);
        assert_eq!(masked, "landing = \"https://h/?password=*****&x=1\" # s3://***@b");
        assert_eq!(masked.len(), line.len());
    }
}
