//! A new project's files: an empty project, or one of the examples of this repository.
//!
//! Nothing that exists is overwritten, and after a failure nothing is left: all files are looked for first, and those that
//! were written are removed again.

mod examples;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub use examples::Example;

use crate::definition::PROJECT_FILE;
use crate::error::{Context as _, Error, Kind, Result};
use crate::name;
use crate::privacy::word;

/// The files of every project, by their paths.
const PROJECT: &str = include_str!("project.toml");
const README: &str = include_str!("README.md");
const IGNORED: &str = "# The tables. `sync` makes them again from the landing files.\n/warehouse\n";
const CHECK: &str = include_str!("check.yml");
/// The workflow's path.
const WORKFLOW: &str = ".github/workflows/check.yml";
/// Stands for the project's name in these files.
const NAME: &str = "PROJECT_NAME";
/// Keeps a folder in a repository until there is something in it. Files of such names are never read.
const KEEP: &str = ".gitkeep";
/// A project's name if its folder has none that could be one.
const DEFAULT_NAME: &str = "lake";

/// A project that was made.
#[derive(Debug)]
pub struct Initialized {
    /// Its name.
    pub name: String,
    /// Its folder, as it was named.
    pub folder: PathBuf,
    /// Its files, relative to the folder.
    pub files: Vec<PathBuf>,
    /// The example that it is.
    pub example: Option<Example>,
}

/// Makes a project in a folder.
///
/// # Errors
/// One of its files exists already, or cannot be written: nothing is there then that was not before.
pub fn init(folder: &Path, example: Option<Example>) -> Result<Initialized> {
    let name = match example {
        Some(example) => example.project_name().to_owned(),
        None => project_name(folder),
    };
    let files = files(&name, example);
    for (path, _) in &files {
        occupied(folder, path)?;
    }
    let mut made = Made::default();
    for (path, bytes) in &files {
        if let Err(error) = made.write(&folder.join(path), bytes) {
            made.undo();
            let error = Err(error).context(|| format!("{} cannot be written", shown(folder, path)));
            return error.map_err(|error: Error| {
                error.help("nothing was written; choose another folder: stedi-delta init DIR")
            });
        }
    }
    let files = files.into_iter().map(|(path, _)| PathBuf::from(path)).collect();
    Ok(Initialized { name, folder: folder.to_owned(), files, example })
}

/// Refuses a path that is taken, or whose folder is a file.
fn occupied(folder: &Path, path: &str) -> Result<()> {
    let whole = folder.join(path);
    // Also a link that leads nowhere.
    if fs::symlink_metadata(&whole).is_ok() {
        let error = Error::new(Kind::Usage, format!("{} exists, and nothing is overwritten", shown(folder, path)));
        return Err(match path {
            PROJECT_FILE => error.help("this is a project already: stedi-delta check"),
            _ => error.help("move it away, or choose another folder: stedi-delta init DIR"),
        });
    }
    let above = whole.ancestors().skip(1).find(|above| above.exists());
    match above.filter(|above| !above.is_dir()) {
        Some(file) => Err(Error::new(
            Kind::Usage,
            format!("{} is a file, not a folder", file.strip_prefix(".").unwrap_or(file).display()),
        )
        .help("choose another folder: stedi-delta init DIR")),
        None => Ok(()),
    }
}

fn shown(folder: &Path, path: &str) -> String {
    let path = folder.join(path);
    path.strip_prefix(".").unwrap_or(&path).display().to_string()
}

/// The folder's name as the name of a project.
fn project_name(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let absolute = absolute.canonicalize().unwrap_or(absolute);
    let last = absolute.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let plain = plain.trim_matches('_').trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    if name::check(plain).is_ok() { plain.to_owned() } else { DEFAULT_NAME.to_owned() }
}

/// The paths and contents of a project's files.
fn files(name: &str, example: Option<Example>) -> Vec<(String, Vec<u8>)> {
    let text = |template: &str| template.replace(NAME, name).into_bytes();
    let mut files: Vec<(String, Vec<u8>)> = match example {
        Some(example) => example.files().iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect(),
        None => {
            let empty = ["data", "tables/landing", "tables/trusted", "tables/curated"];
            let keep = empty.into_iter().map(|folder| (format!("{folder}/{KEEP}"), Vec::new()));
            [(PROJECT_FILE.to_owned(), text(PROJECT)), ("README.md".to_owned(), text(README))]
                .into_iter()
                .chain(keep)
                .collect()
        }
    };
    files.push((".gitignore".to_owned(), text(IGNORED)));
    files.push((WORKFLOW.to_owned(), text(CHECK)));
    files
}

/// What was made so far.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Made {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().skip(1).take_while(|above| !above.exists()).collect();
        for folder in above.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir(folder)?;
            self.folders.push(folder.to_owned());
        }
        let mut file = fs::File::create_new(path)?;
        self.files.push(path.to_owned());
        file.write_all(bytes)
    }

    /// Removes it again, as far as that is possible.
    fn undo(self) {
        for file in self.files {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.into_iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The command that goes to a project's folder; `None` if it is this one.
#[must_use]
pub fn change_folder(folder: &Path) -> Option<String> {
    let is_here = folder.as_os_str().is_empty() || folder == Path::new(".");
    (!is_here).then(|| format!("cd {}", word(&folder.display().to_string()).unwrap_or_else(|| "DIR".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_names_its_project() {
        for (folder, expected) in
            [("/x/My-Lake", "my_lake"), ("/x/2026 sales", "sales"), ("/", "lake"), ("/x/é", "lake")]
        {
            assert_eq!(project_name(Path::new(folder)), expected);
        }
    }

    #[test]
    fn what_was_made_is_removed_after_a_failure() {
        let temporary = tempfile::tempdir().expect("a folder");
        let mut made = Made::default();
        made.write(&temporary.path().join("a/b/c"), b"x").expect("a file");
        assert!(made.write(&temporary.path().join("a/b/c/d"), b"x").is_err());
        made.undo();
        assert_eq!(fs::read_dir(temporary.path()).expect("a folder").count(), 0);
    }
}
