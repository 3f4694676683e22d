//! The files of a log, by a listing of the table's folder.
//!
//! Source: Delta protocol, "File Types".

use std::collections::{BTreeMap, BTreeSet};

use deltalake::datafusion::object_store::ObjectMeta;

/// The folder of a log.
const LOG: &str = "_delta_log/";

/// A file of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    /// Path under the table's folder.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// When the store last saw it change, ms since the epoch.
    pub modified_ms: i64,
}

/// The files of a log that belong to versions.
#[derive(Debug, Default)]
pub(crate) struct LogFiles {
    /// Version -> its commit.
    pub commits: BTreeMap<u64, LogFile>,
    /// Version -> its checkpoint, in one or several files.
    pub checkpoints: BTreeMap<u64, Vec<LogFile>>,
    /// Other files, with the newest version that they describe: checksums, compacted commits.
    others: Vec<(u64, LogFile)>,
}

impl LogFiles {
    /// Those among the files of a table.
    #[must_use]
    pub(crate) fn of(listed: &[(String, ObjectMeta)]) -> Self {
        let mut files = Self::default();
        for (path, meta) in listed {
            let Some((version, rest)) = path.strip_prefix(LOG).and_then(versioned) else { continue };
            let modified_ms = meta.last_modified.timestamp_millis();
            let file = LogFile { path: path.clone(), bytes: meta.size, modified_ms };
            match rest {
                "json" => {
                    files.commits.insert(version, file);
                }
                _ if rest.starts_with("checkpoint.") => files.checkpoints.entry(version).or_default().push(file),
                _ => {
                    let last = versioned(rest).map_or(version, |(last, _)| last);
                    files.others.push((last, file));
                }
            }
        }
        files
    }

    /// The oldest version that it can give: the first commit of the unbroken row up to the newest one if that created the
    /// table, else the first checkpoint from which on all commits are there.
    #[must_use]
    pub(crate) fn oldest(&self, newest: u64) -> u64 {
        let first = (0..=newest).rev().take_while(|version| self.commits.contains_key(version)).last();
        match first {
            Some(0) => 0,
            first => {
                let floor = first.map_or(newest, |first| first - 1);
                self.checkpoints.keys().copied().find(|version| (floor..=newest).contains(version)).unwrap_or(newest)
            }
        }
    }

    /// Everything that describes only versions before `version`.
    pub(crate) fn before(&self, version: u64) -> impl Iterator<Item = &LogFile> {
        let commits = self.commits.range(..version).map(|(_, file)| file);
        let checkpoints = self.checkpoints.range(..version).flat_map(|(_, files)| files);
        let others = self.others.iter().filter(move |(last, _)| *last < version).map(|(_, file)| file);
        commits.chain(checkpoints).chain(others)
    }

    /// The newest version up to `version` that has a checkpoint in one file.
    #[must_use]
    pub(crate) fn checkpoint_up_to(&self, version: u64) -> Option<u64> {
        let in_one = |files: &[LogFile]| matches!(files, [one] if one.path.ends_with(".checkpoint.parquet"));
        let checkpoints = self.checkpoints.range(..=version).rev();
        checkpoints.filter(|(_, files)| in_one(files)).map(|(version, _)| *version).next()
    }
}

/// `00000000000000000012.json` -> 12 and `json`.
fn versioned(name: &str) -> Option<(u64, &str)> {
    let (version, rest) = name.split_once('.')?;
    let is_version = version.len() == 20 && version.bytes().all(|byte| byte.is_ascii_digit());
    Some((version.parse().ok().filter(|_| is_version)?, rest))
}

/// The paths of a folder that its log does not describe, and that another table's folder in it does not hold.
pub(crate) fn outside_of_log(listed: &[(String, ObjectMeta)]) -> impl Iterator<Item = &(String, ObjectMeta)> {
    let marker = format!("/{LOG}");
    let inner: BTreeSet<String> =
        listed.iter().filter_map(|(path, _)| path.split_once(&marker)).map(|(table, _)| format!("{table}/")).collect();
    listed
        .iter()
        .filter(move |(path, _)| !path.starts_with(LOG) && !inner.iter().any(|folder| path.starts_with(folder)))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use deltalake::datafusion::object_store::path::Path;

    use super::*;

    fn listed(paths: &[String]) -> Vec<(String, ObjectMeta)> {
        let meta = |path: &str| ObjectMeta {
            location: Path::from(path),
            last_modified: DateTime::<Utc>::UNIX_EPOCH,
            size: 1,
            e_tag: None,
            version: None,
        };
        paths.iter().map(|path| (path.clone(), meta(path))).collect()
    }

    fn log(commits: &[u64], checkpoints: &[u64]) -> LogFiles {
        let commits = commits.iter().map(|v| format!("{LOG}{v:020}.json"));
        let checkpoints = checkpoints.iter().map(|v| format!("{LOG}{v:020}.checkpoint.parquet"));
        LogFiles::of(&listed(&commits.chain(checkpoints).chain(["a.parquet".to_owned()]).collect::<Vec<_>>()))
    }

    #[test]
    fn the_oldest_version_needs_its_commits_or_a_checkpoint() {
        assert_eq!(log(&[0, 1, 2], &[]).oldest(2), 0);
        assert_eq!(log(&[1, 2, 3], &[0]).oldest(3), 0);
        assert_eq!(log(&[3, 4, 5, 6], &[4]).oldest(6), 4);
        assert_eq!(log(&[0, 1, 3, 4], &[3]).oldest(4), 3);
        assert_eq!(log(&[3, 4], &[]).oldest(4), 4);
    }

    #[test]
    fn what_describes_only_older_versions_is_found() {
        let name = |version: u64, rest: &str| format!("{LOG}{version:020}.{rest}");
        let mut paths = vec![format!("{LOG}_last_checkpoint"), format!("{LOG}notes.json")];
        paths.extend((0..6).map(|version| name(version, "json")));
        paths.extend([name(2, "crc"), name(4, "crc"), name(2, "checkpoint.parquet")]);
        paths.extend([name(1, &format!("{:020}.compacted.json", 3)), name(3, &format!("{:020}.compacted.json", 5))]);
        paths.extend((1..=2).map(|part| name(5, &format!("checkpoint.{part:010}.{:010}.parquet", 2))));
        let log = LogFiles::of(&listed(&paths));
        let mut before: Vec<&str> = log.before(4).map(|file| file.path.as_str()).collect();
        before.sort_unstable();
        let mut expected: Vec<String> = (0..4).map(|version| name(version, "json")).collect();
        expected.extend([name(2, "crc"), name(2, "checkpoint.parquet"), name(1, &format!("{:020}.compacted.json", 3))]);
        expected.sort_unstable();
        assert_eq!(before, expected);
        assert_eq!((log.checkpoint_up_to(5), log.checkpoint_up_to(1)), (Some(2), None));
    }

    #[test]
    fn a_table_within_a_folder_is_not_of_it() {
        let paths = ["a.parquet", "_delta_log/x.json", "inner/_delta_log/0.json", "inner/b.parquet", "other/c.parquet"];
        let listed = listed(&paths.map(str::to_owned));
        let outside: Vec<&str> = outside_of_log(&listed).map(|(path, _)| path.as_str()).collect();
        assert_eq!(outside, ["a.parquet", "other/c.parquet"]);
    }
}
