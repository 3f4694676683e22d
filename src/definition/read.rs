//! The only file of this module that accesses the disk: reads a project's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::PROJECT_FILE;
use crate::error::{Context, Error, Result};
use crate::source::SourceFile;

/// Folders whose files are read recursively.
const FOLDERS: [&str; 2] = ["tables", "migrations"];

/// The folder itself or the nearest one above it that holds `stedi-delta.toml`.
#[must_use]
pub(crate) fn find_root(start: &Path) -> Option<PathBuf> {
    let start = std::path::absolute(start).ok()?;
    start.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file()).map(Path::to_path_buf)
}

/// The tests of queries: the `.toml` files at the top of `tests/`, in the order of their names. What else is in that folder
/// belongs to others.
pub(super) fn tests(root: &Path) -> Result<Vec<Arc<SourceFile>>> {
    let folder = Path::new("tests");
    if !root.join(folder).is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = || format!("cannot read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(folder)).context(unreadable)? {
        let name = entry.context(unreadable)?.file_name();
        let path = folder.join(&name);
        if path.extension().is_some_and(|e| e == "toml")
            && !ignored(&name.to_string_lossy())
            && root.join(&path).is_file()
        {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(|path| text(root, path).map(Arc::new)).collect()
}

/// Every file of the project in the order of their paths. Only `.toml`, `.sql` and `migrations/schema.json` are read; others
/// have no text.
pub(super) fn read(root: &Path) -> Result<Vec<Arc<SourceFile>>> {
    let mut paths = Vec::new();
    if root.join(PROJECT_FILE).is_file() {
        paths.push(PathBuf::from(PROJECT_FILE));
    }
    for folder in FOLDERS {
        if root.join(folder).is_dir() {
            walk(root, Path::new(folder), &mut paths)?;
        }
    }
    paths.sort();
    paths.into_iter().map(|path| text(root, path).map(Arc::new)).collect()
}

fn walk(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable = || format!("cannot read the folder {}", folder.display());
    for entry in fs::read_dir(root.join(folder)).context(unreadable)? {
        let entry = entry.context(unreadable)?;
        let path = folder.join(entry.file_name());
        if ignored(&entry.file_name().to_string_lossy()) {
            continue;
        }
        // Not `entry.file_type()`: a link counts as its target.
        if root.join(&path).is_dir() {
            walk(root, &path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// Dotfiles, notes and files left by editors.
fn ignored(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.to_ascii_lowercase().ends_with(".md")
}

fn text(root: &Path, path: PathBuf) -> Result<SourceFile> {
    let is_read =
        path.extension().is_some_and(|e| e == "toml" || e == "sql") || path == Path::new(super::layout::SCHEMA);
    if !is_read {
        return Ok(SourceFile { path, text: String::new() });
    }
    let bytes = fs::read(root.join(&path)).context(|| format!("cannot read {}", path.display()))?;
    match String::from_utf8(bytes) {
        // Some editors begin a file with a byte order mark.
        Ok(text) => {
            Ok(SourceFile { path, text: text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned) })
        }
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let message = format!("{} is not UTF-8 text: byte {at} is no part of a character", path.display());
            Err(Error::new(crate::error::Kind::Definition, message).help("save the file as UTF-8"))
        }
    }
}
