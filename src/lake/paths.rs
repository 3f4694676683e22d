//! A data file's path as spelled in a log -> its path within the table's folder. The only resolver: scans, change sets
//! and rewrites all use it.
//!
//! A path is a URI, relative to the table or absolute, with percent escapes. Other engines write `/abs/x.parquet`,
//! `file:/abs/x.parquet`, `sub/../x.parquet` and `x%2Eparquet`; all of them are `x.parquet` here. The log treats two
//! spellings as two files (a `remove` only removes its own), so the spelling is kept beside the path.
//! Source: Delta protocol, "Add File and Remove File"; delta-rs 1.1, `parse_path` of its scan, which this agrees with.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::AsArray;
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::DataType;
use deltalake::logstore::object_store::path::Path;
use deltalake::table::state::DeltaTableState;
use url::Url;

use super::file::identity;
use crate::error::{Context, Error, Result};
use crate::storage::{Location, SCRATCH};

/// Schemes that Hadoop's clients use for S3.
const S3: [&str; 3] = ["s3", "s3a", "s3n"];

/// The path within the folder of the file that `spelled` names, or the reason why there is none.
pub(super) fn resolve(table: &Location, spelled: &str) -> std::result::Result<String, String> {
    if is_plain(spelled) {
        return Ok(spelled.to_owned());
    }
    let no_path = || "is not a path".to_owned();
    let url = Url::parse(spelled).or_else(|_| table.url.join(spelled)).map_err(|_| no_path())?;
    if !is_same_store(&url, &table.url) {
        return Err("is in another store".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a `?` or a `#` in it that is not escaped".into());
    }
    let path = Path::from_url_path(url.path()).map_err(|_| no_path())?;
    let below = path.as_ref().strip_prefix(table.path.as_ref()).and_then(|below| below.strip_prefix('/'));
    below.map(str::to_owned).ok_or_else(|| "is outside of the table's folder".to_owned())
}

/// The same as an absolute URL, by which scans select files.
pub(super) fn url(table: &Location, spelled: &str) -> String {
    let url = Url::parse(spelled).or_else(|_| table.url.join(spelled));
    url.map_or_else(|_| spelled.to_owned(), String::from)
}

/// Whether the path has only this spelling.
fn is_plain(spelled: &str) -> bool {
    spelled.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.=/".contains(&b))
        && spelled.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_same_store(one: &Url, other: &Url) -> bool {
    let both = |schemes: &[&str]| [one, other].iter().all(|url| schemes.contains(&url.scheme()));
    let same_scheme = one.scheme() == other.scheme() || both(&S3) || both(&["file", SCRATCH]);
    same_scheme && one.host_str() == other.host_str() && one.port_or_known_default() == other.port_or_known_default()
}

/// Files of a version whose path the log spells differently than we do.
#[derive(Debug, Default)]
pub(super) struct Spelled {
    /// Path within the folder by decoded spelling, the Delta library's name of a file.
    paths: BTreeMap<String, String>,
    /// Spelling in the log by path within the folder.
    spellings: BTreeMap<String, String>,
    /// The first file that is outside of the folder or listed twice, and the reason.
    refused: Option<(String, String)>,
}

impl Spelled {
    /// Reads all files of a version.
    pub(super) fn of(table: &Location, state: &DeltaTableState) -> Self {
        let mut spelled = Self::default();
        let raw: LazyCell<Result<Vec<String>>, _> = LazyCell::new(|| spellings(state));
        for (row, file) in state.log_data().iter().enumerate() {
            let decoded = file.path();
            let spelling = match &decoded {
                Cow::Borrowed(plain) if is_plain(plain) => continue,
                Cow::Borrowed(other) => Ok((*other).to_owned()),
                // If decoding changed it, look it up once more in its raw form.
                Cow::Owned(_) => match raw.as_ref() {
                    Ok(raw) => raw.get(row).cloned().ok_or_else(|| "has an unknown spelling".to_owned()),
                    Err(error) => Err(format!("has an unknown spelling: {error}")),
                },
            };
            spelled.note(table, decoded.into_owned(), spelling);
        }
        if spelled.any() {
            spelled.look_for_twins(state);
        }
        spelled
    }

    fn note(&mut self, table: &Location, decoded: String, spelling: std::result::Result<String, String>) {
        let resolved = spelling.as_ref().map_err(Clone::clone).and_then(|spelling| resolve(table, spelling));
        let spelling = spelling.unwrap_or_else(|_| decoded.clone());
        let path = resolved.unwrap_or_else(|why| {
            self.refused.get_or_insert((spelling.clone(), why));
            decoded.clone()
        });
        self.spellings.insert(path.clone(), spelling);
        self.paths.insert(decoded, path);
    }

    fn look_for_twins(&mut self, state: &DeltaTableState) {
        let mut seen = BTreeSet::new();
        for file in state.log_data().iter() {
            let decoded = file.path();
            let path = self.path(&decoded).to_owned();
            let vector = file.deletion_vector_descriptor().as_ref().map(identity);
            if !seen.insert((path, vector)) {
                self.refused.get_or_insert((decoded.into_owned(), "is there twice, in two spellings".into()));
            }
        }
    }

    /// The path within the folder of the file that the Delta library calls `decoded`.
    pub(super) fn path<'a>(&'a self, decoded: &'a str) -> &'a str {
        self.paths.get(decoded).map_or(decoded, String::as_str)
    }

    /// The spelling in the log of the file with this path.
    pub(super) fn spelling<'a>(&'a self, path: &'a str) -> &'a str {
        self.spellings.get(path).map_or(path, String::as_str)
    }

    /// The spelling in the log of a file that the Delta library calls `decoded`, if a commit of ours would spell it
    /// differently.
    pub(super) fn other_spelling(&self, decoded: &str) -> Option<&str> {
        self.spellings.get(self.paths.get(decoded)?).map(String::as_str)
    }

    /// Whether any file is spelled differently than ours.
    pub(super) fn any(&self) -> bool {
        !self.paths.is_empty()
    }

    /// The first file that must not be read, and why.
    pub(super) fn refused(&self) -> Option<&(String, String)> {
        self.refused.as_ref()
    }
}

/// The paths of all files as the log spells them, in the order of `log_data`.
fn spellings(state: &DeltaTableState) -> Result<Vec<String>> {
    let doing = || "the paths of data files cannot be read".to_owned();
    let mut all = Vec::new();
    for batch in state.add_actions_batches(false).context(doing)? {
        let paths = batch.column_by_name("path").ok_or_else(|| Error::failed(doing()))?;
        let paths = cast(paths, &DataType::Utf8).context(doing)?;
        all.extend(paths.as_string::<i32>().iter().map(|path| path.unwrap_or_default().to_owned()));
    }
    Ok(all)
}
