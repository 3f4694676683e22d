//! Definition files as text with places, to which faults point.

pub(crate) mod faults;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// A file of the project, read once. `path` is relative to the project folder, with `/` between parts.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the project folder.
    pub path: PathBuf,
    /// The whole text, as on disk but for a byte order mark.
    pub text: String,
}

/// A place in a file: a byte range of its text.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte range within `file.text`.
    pub span: Range<usize>,
}

impl Place {
    /// Line and column of the first character, both from 1; columns count characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.file.text[..self.span.start.min(self.file.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }
}

/// A fault of a definition, with its place and remedy.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What was found, as a lower-case fragment: ``table `x` is not in this project``.
    pub message: String,
    /// Where; `None` only for a whole missing file.
    pub place: Option<Place>,
    /// Text under the carets: what was expected, or "did you mean ...".
    pub label: String,
    /// The next thing to do, if the label does not say it.
    pub help: Option<String>,
}

impl Fault {
    /// A fault at a place, of which the label says all that is to be done.
    pub(crate) fn at(place: &Place, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self { message: message.into(), place: Some(place.clone()), label: label.into(), help: None }
    }
}

/// A piece of text with its place.
#[derive(Clone, Debug)]
pub struct Text {
    /// The text.
    pub value: String,
    /// Its place.
    pub place: Place,
}

/// BLAKE3 of texts, each preceded by its length, so that other boundaries between them give another hash. Hexadecimal.
#[must_use]
pub(crate) fn checksum(texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        let text = text.as_ref().as_bytes();
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text);
    }
    hasher.finalize().to_hex().to_string()
}
