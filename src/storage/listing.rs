//! What a listing finds: files, and entries that are none.

use std::fmt;

use deltalake::logstore::object_store::ObjectMeta;

/// Files of a folder that others write to.
#[derive(Debug, Default)]
pub struct Listing {
    /// Path relative to the location, and the store's metadata, sorted by path.
    pub files: Vec<(String, ObjectMeta)>,
    /// Entries that cannot be read as a file: the path as far as it can be printed, and why.
    pub odd: Vec<(String, Odd)>,
    /// Symbolic links that lead out of the location; they are not followed.
    pub outside: Vec<String>,
    /// Symbolic links that lead nowhere.
    pub dangling: Vec<String>,
}

impl Listing {
    /// A text that differs if a file was added, removed or replaced, or another entry was found.
    pub(crate) fn metadata_lines(&self) -> String {
        let files: String = self.files.iter().map(|(path, meta)| metadata_line(path, meta)).collect();
        format!("{files}{:?} {:?} {:?}\n", self.odd, self.outside, self.dangling)
    }
}

/// Why an entry cannot be read as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// Its name, for this reason.
    Name(String),
    /// A symbolic link that leads to itself: whether it is a file or a folder is unknown.
    Loop,
    /// A folder that may not be listed.
    Denied,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => f.write_str(why),
            Self::Loop => f.write_str("a symbolic link that leads to itself"),
            Self::Denied => f.write_str("a folder that may not be listed"),
        }
    }
}

/// A line that differs if the file was replaced.
pub(crate) fn metadata_line(name: &str, meta: &ObjectMeta) -> String {
    let ObjectMeta { size, e_tag, version, last_modified, .. } = meta;
    let nanos = last_modified.timestamp_nanos_opt();
    // Debug escapes line breaks.
    format!("{name:?} {size} {nanos:?} {e_tag:?} {version:?}\n")
}
