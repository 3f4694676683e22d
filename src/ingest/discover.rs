//! The files that a landing table's glob matches, and those of them that are old enough to be read.

use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};

use crate::clock;
use crate::definition::{Format, Landing, OnNewField, OnOverwrite};
use crate::error::{Context, Result};
use crate::retry;
use crate::storage::{Listing, Location, ObjectMeta, Odd, PROBE};

/// Files under a glob.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// Path under the landing root and the store's metadata, sorted by path.
    pub files: Vec<(String, ObjectMeta)>,
    /// Paths of files younger than `min_age`.
    pub waiting: Vec<String>,
    /// Paths that cannot be read as a file, and why.
    pub odd: Vec<(String, String)>,
    /// Folders that may not be listed.
    pub denied: Vec<String>,
    /// Symbolic links that lead out of the landing root.
    pub outside: Vec<String>,
    /// Symbolic links that lead nowhere.
    pub dangling: Vec<String>,
}

impl Discovery {
    /// Whether nothing at all was found.
    pub(super) fn is_empty(&self) -> bool {
        let unread = [&self.waiting, &self.denied, &self.outside, &self.dangling];
        self.files.is_empty() && self.odd.is_empty() && unread.iter().all(|paths| paths.is_empty())
    }
}

/// Whether any of these paths matches the source's glob.
///
/// # Errors
/// If a pattern of the source is invalid.
pub(super) fn any_fits<'p>(landing: &Landing, mut paths: impl Iterator<Item = &'p String>) -> Result<bool> {
    let names = Names::new(landing)?;
    Ok(paths.any(|path| names.take(path)))
}

/// The files under `root` that a table with this `path` would read, whatever their age.
///
/// # Errors
/// If the pattern is invalid, or the store cannot list.
pub(crate) async fn matching(root: &Location, path: &str) -> Result<Vec<(String, ObjectMeta)>> {
    let landing = Landing {
        path: path.to_owned(),
        exclude: Vec::new(),
        format: Format::Json,
        min_age: Some(Duration::ZERO),
        on_overwrite: OnOverwrite::Fail,
        max_quarantined: None,
        on_new_field: OnNewField::Warn,
        readings: Vec::new(),
        grants: None,
    };
    Ok(list(root, &landing, clock::now_ms()).await?.files)
}

/// Whether a table reads the file of a path.
///
/// # Errors
/// If a pattern of its source is invalid.
pub(crate) fn covers(landing: &Landing, path: &str) -> Result<bool> {
    Ok(Names::new(landing)?.take(path))
}

/// A local file may still be being written; a PUT is atomic.
const LOCAL_MIN_AGE: Duration = Duration::from_secs(2);

/// Whether to wait for files that were written a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Waits once, for files held back by the default age: a user who drops a file and syncs expects it to be read.
    /// Never waits for an age that the definition sets.
    Waits,
    /// Does not wait.
    Hurries,
}

/// Lists the files of `landing` under `root`.
///
/// # Errors
/// When the glob is wrong or the store cannot list.
pub(super) async fn discover(root: &Location, landing: &Landing, patience: Patience) -> Result<Discovery> {
    let waits = landing.min_age.is_none() && patience == Patience::Waits;
    // A file that is still young in the second listing is still being written.
    let policy = retry::Policy::once_more_after(LOCAL_MIN_AGE);
    let is_done = |found: &Result<Discovery>| !waits || found.as_ref().map_or(true, |d| d.waiting.is_empty());
    policy.until(|| list(root, landing, clock::now_ms()), is_done).await
}

async fn list(root: &Location, landing: &Landing, now_ms: i64) -> Result<Discovery> {
    let names = Names::new(landing)?;
    let min_age = landing.min_age.unwrap_or(if root.url.scheme() == "file" { LOCAL_MIN_AGE } else { Duration::ZERO });
    let listing = list_folder(root, landing).await?;
    let mut discovery = Discovery::default();
    // A link may be a folder of files, and so may a link that leads to itself.
    discovery.outside.extend(listing.outside.into_iter().filter(|path| !names.leave_out(path)));
    discovery.outside.sort();
    // Below a folder of the pattern's depth nothing matches it.
    let depth = |path: &str| path.matches('/').count();
    let reaches = |path: &str| landing.path.contains("**") || depth(path) < depth(&landing.path);
    // What it led to may have been a file or a folder.
    let is_wanted = |path: &String| names.take(path) || (reaches(path) && !names.leave_out(path));
    discovery.dangling.extend(listing.dangling.into_iter().filter(is_wanted));
    discovery.dangling.sort();
    for (path, why) in listing.odd {
        match why {
            Odd::Denied if reaches(&path) && !names.leave_out(&path) => discovery.denied.push(path),
            Odd::Loop if !names.leave_out(&path) => discovery.odd.push((path, why.to_string())),
            Odd::Name(_) if names.take(&path) => discovery.odd.push((path, why.to_string())),
            _ => {}
        }
    }
    discovery.denied.sort();
    discovery.odd.sort();
    for (path, meta) in listing.files {
        if !names.take(&path) {
            continue;
        }
        let age_ms = now_ms - meta.last_modified.timestamp_millis();
        // If our clock is behind the store's, ages are negative: such files must not wait forever.
        if age_ms >= 0 && u128::from(age_ms.unsigned_abs()) < min_age.as_millis() {
            discovery.waiting.push(path);
        } else {
            discovery.files.push((path, meta));
        }
    }
    Ok(discovery)
}

/// Everything in the folder of a source's files, which may be more than its own.
///
/// # Errors
/// When the store cannot list.
pub(crate) async fn list_folder(root: &Location, landing: &Landing) -> Result<Listing> {
    root.survey(fixed_prefix(&landing.path)).await
}

/// Matches paths to a source.
struct Names {
    pattern: GlobMatcher,
    exclude: Vec<GlobMatcher>,
    /// Parts of the pattern that name otherwise hidden folders: `_staging` in `_staging/*.json`.
    hidden: Vec<GlobMatcher>,
    /// Whether the pattern ends in the suffix of an unfinished file.
    temporary: bool,
}

/// Suffixes of unfinished files, from Hadoop and others.
const TEMPORARY: [&str; 2] = ["._COPYING_", ".tmp"];

impl Names {
    fn new(landing: &Landing) -> Result<Self> {
        let parts = landing.path.split('/').filter(|part| part.starts_with(['_', '.']));
        Ok(Self {
            pattern: matcher(&landing.path)?,
            exclude: landing.exclude.iter().map(|pattern| matcher(pattern)).collect::<Result<_>>()?,
            hidden: parts.map(matcher).collect::<Result<_>>()?,
            temporary: TEMPORARY.iter().any(|end| landing.path.ends_with(end)),
        })
    }

    fn take(&self, path: &str) -> bool {
        self.pattern.is_match(path) && !self.leave_out(path)
    }

    /// Whether a path is excluded even if the pattern matches it.
    fn leave_out(&self, path: &str) -> bool {
        let unfinished = !self.temporary && TEMPORARY.iter().any(|end| path.ends_with(end));
        let hidden = |part: &str| is_hidden(part) && !self.hidden.iter().any(|named| named.is_match(part));
        unfinished
            || path.split('/').any(|part| hidden(part) || of_a_table(part))
            || self.exclude.iter().any(|pattern| pattern.is_match(path))
    }
}

/// Names that Spark, Hive and Athena skip, except a value of a partition (`_day=1`).
fn is_hidden(part: &str) -> bool {
    part.starts_with('.') || (part.starts_with('_') && !part.contains('='))
}

/// The logs of tables and the catalog are JSON too, and a warehouse may be under the landing root.
fn of_a_table(part: &str) -> bool {
    part == "_delta_log" || part == "_catalog" || part == PROBE
}

fn matcher(pattern: &str) -> Result<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    Ok(glob.context(|| format!("`{pattern}` is not a path pattern"))?.compile_matcher())
}

/// The folders before the first wildcard.
fn fixed_prefix(pattern: &str) -> &str {
    let end = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    pattern[..end].rfind('/').map_or("", |slash| &pattern[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_before_the_first_wildcard_are_listed() {
        assert_eq!(fixed_prefix("customer/landing/*.json"), "customer/landing");
        assert_eq!(fixed_prefix("a/**/b/*.json"), "a");
        assert_eq!(fixed_prefix("*.json"), "");
        assert_eq!(fixed_prefix("a/b.json"), "a");
    }

    #[test]
    fn hidden_and_temporary_files_are_left_out_unless_the_pattern_names_them() {
        let names = |path: &str, exclude: &[&str]| {
            let exclude = exclude.iter().map(|e| (*e).to_owned()).collect();
            let (path, on_overwrite) = (path.to_owned(), OnOverwrite::Fail);
            Names::new(&Landing {
                path,
                exclude,
                format: Format::Json,
                min_age: None,
                on_overwrite,
                max_quarantined: None,
                on_new_field: OnNewField::Warn,
                readings: Vec::new(),
                grants: None,
            })
            .expect("patterns")
        };
        let usual = names("X/**/*.json*", &["X/**/*.bak.json", "X/old/**"]);
        for path in ["X/a.json", "X/day=1/_part=2/a.json.gz", "X/a_b/c.json", "X/a.tmp.json"] {
            assert!(usual.take(path), "{path}");
        }
        for path in [
            "X/_temporary/0/part.json",
            "X/.x.json.crc",
            "X/_SUCCESS.json",
            "X/x.json._COPYING_",
            "X/x.json.tmp",
            "X/.hidden/a.json",
            "X/_delta_log/0.json",
            "X/a.bak.json",
            "X/old/a.json",
        ] {
            assert!(!usual.take(path), "{path}");
        }
        assert!(names("X/_temporary/**/*.json", &[]).take("X/_temporary/0/part.json"));
        assert!(!names("X/_temporary/**/*.json", &[]).take("X/_temporary/_0/part.json"));
        assert!(names("X/.*.json", &[]).take("X/.x.json") && names("X/*.tmp", &[]).take("X/a.tmp"));
        assert!(!names("X/_*/*.json", &[]).take("X/_delta_log/0.json"));
    }
}
