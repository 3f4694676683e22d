//! The content of a local folder, including entries that cannot be read as files.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Odd;
use crate::privacy::one_line;

/// The entries found below a folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Whether there are only plain files and folders: no links, no irregular names.
    pub(super) is_plain: bool,
    /// Files that can be read, with their paths from the root.
    pub(super) files: Vec<String>,
    /// Entries that cannot be read, and why.
    pub(super) odd: Vec<(String, Odd)>,
    /// Links that lead out of the root.
    pub(super) outside: Vec<String>,
    /// Links that lead nowhere.
    pub(super) dangling: Vec<String>,
}

/// Lists everything below `folder` of `root`. Links are followed within the root only. A missing folder is empty.
pub(super) fn survey(root: &Path, folder: &str) -> io::Result<Survey> {
    let mut survey = Survey { is_plain: true, ..Survey::default() };
    let Ok(real_root) = fs::canonicalize(root) else { return Ok(survey) };
    // The folder may itself be a link.
    let Ok(real) = fs::canonicalize(root.join(folder)) else { return Ok(survey) };
    if !real.starts_with(&real_root) {
        (survey.is_plain, survey.outside) = (false, vec![folder.to_owned()]);
        return Ok(survey);
    }
    let folder = folder.trim_matches('/').to_owned();
    let mut waiting = vec![(root.join(&folder), folder.clone(), BTreeSet::from([real]))];
    while let Some((path, relative, above)) = waiting.pop() {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // It was deleted meanwhile, or the pattern names a file.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            // The pattern's own folder is not one of several.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && relative != folder => {
                survey.is_plain = false;
                survey.odd.push((relative, Odd::Denied));
                continue;
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let below = |name: &str| if relative.is_empty() { name.to_owned() } else { format!("{relative}/{name}") };
            let Some(text) = name.to_str().filter(|text| !text.chars().any(|c| c.is_ascii_control())) else {
                survey.is_plain = false;
                let shown = below(&one_line(&name.to_string_lossy()));
                let why =
                    if name.to_str().is_some() { "a control character in its name" } else { "its name is not UTF-8" };
                survey.odd.push((shown, Odd::Name(why.to_owned())));
                continue;
            };
            let (path, relative) = (entry.path(), below(text));
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                survey.is_plain = false;
                follow(path, relative, &real_root, &above, &mut survey, &mut waiting);
            } else if kind.is_dir() {
                waiting.push((path, relative, above.clone()));
            } else if kind.is_file() {
                survey.files.push(relative);
            }
        }
    }
    Ok(survey)
}

/// A folder to be listed: its path, its path from the root, and the targets of the links above it.
type Waiting = (PathBuf, String, BTreeSet<PathBuf>);

fn follow(
    path: PathBuf,
    relative: String,
    root: &Path,
    above: &BTreeSet<PathBuf>,
    survey: &mut Survey,
    waiting: &mut Vec<Waiting>,
) {
    let real = match fs::canonicalize(&path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return survey.dangling.push(relative),
        Err(_) => return survey.odd.push((relative, Odd::Loop)),
    };
    if !real.starts_with(root) {
        survey.outside.push(relative);
    } else if !real.is_dir() {
        survey.files.push(relative);
    } else if above.contains(&real) || is_above(&real, &path) {
        survey.odd.push((relative, Odd::Loop));
    } else {
        let mut above = above.clone();
        above.insert(real);
        waiting.push((path, relative, above));
    }
}

/// Whether a folder contains `path`.
fn is_above(folder: &Path, path: &Path) -> bool {
    path.parent().and_then(|parent| fs::canonicalize(parent).ok()).is_some_and(|parent| parent.starts_with(folder))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn odd_names_and_links_are_told_and_stop_nothing() {
        let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let root = folder.path();
        let write = |path: &Path| fs::write(path, "{}").expect("a file");
        fs::create_dir_all(root.join("a/b")).expect("folders");
        write(&root.join("a/x.json"));
        write(&root.join("a/b/y.json"));
        write(&other.path().join("secret.json"));
        assert!(survey(root, "a").expect("a survey").is_plain);
        write(&root.join("a/tab\t.json"));
        write(&root.join("a").join(std::ffi::OsStr::from_bytes(b"latin\xe9.json")));
        symlink("..", root.join("a/b/up")).expect("a link");
        symlink("self", root.join("a/self")).expect("a link");
        symlink("nowhere", root.join("a/dangling")).expect("a link");
        symlink(root.join("a/b"), root.join("a/within")).expect("a link");
        symlink(other.path(), root.join("a/folder")).expect("a link");
        symlink(other.path().join("secret.json"), root.join("a/z.json")).expect("a link");
        let mut found = survey(root, "a").expect("a survey");
        found.files.sort();
        found.odd.sort_by(|a, b| a.0.cmp(&b.0));
        found.outside.sort();
        assert_eq!(found.files, ["a/b/y.json", "a/within/y.json", "a/x.json"]);
        let odd: Vec<&str> = found.odd.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(odd, ["a/b/up", "a/latin\u{fffd}.json", "a/self", "a/tab\\t.json", "a/within/up"]);
        assert_eq!(found.outside, ["a/folder", "a/z.json"]);
        assert_eq!(found.dangling, ["a/dangling"]);
        assert!(!found.is_plain && survey(root, "none").expect("a survey").is_plain);
    }
}
