//! A project in a temporary folder, and the program run on it as a child.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::person;
pub(crate) use crate::support::Ran;

const PROJECT: &str = "name = \"shop\"\nzones = [\"landing\", \"trusted\"]\n\
                       [targets.dev]\nlanding = \"l\"\nwarehouse = \"w\"\n";
const PEOPLE: &str = "\
description = \"People\"
[source]
path = \"people/**/*.json\"
format = \"json\"
[columns]
email = { type = \"string\", nullable = false, classification = \"pii\" }
shares = { type = \"long\" }
at = { type = \"long\" }
[grants]
subjects = [\"email\"]
granted = \"shares is not null\"
latest = [\"at\"]
";
/// A landing table of numbers.
pub(crate) const NOTES: &str = "\
description = \"Notes\"
[source]
path = \"notes/*.json\"
format = \"json\"
[columns]
id = { type = \"long\" }
";
/// The message of a sync about them while they have no file.
pub(crate) const NO_NOTES: &str = "
warning: no file of notes is there: none under `<folder>/project/l` fits `notes/*.json`
  check the landing root, and `path` under [source] of notes
";
const MEMBERS: &str = "description = \"People who share\"\n[consent]\nsubject = \"email\"\n";
/// The people whose newest record consents.
pub(crate) const MEMBERS_SQL: &str = "\
select email, at
from (
  select email, at, shares, row_number() over (
    partition by email order by at desc nulls last, case when shares is null then 0 else 1 end,
    source_file, source_offset) as newest
  from people) as p
where newest = 1 and shares is not null
";

/// A project's folder.
pub(crate) struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    /// A project of three tables: `people` records consent, `members` depends on it, `notes` stands alone.
    pub(crate) fn shop() -> Self {
        let shell = Self { folder: tempfile::tempdir().unwrap() };
        shell.define("stedi-delta.toml", PROJECT);
        shell.define("tables/landing/people.toml", PEOPLE);
        shell.define("tables/landing/notes.toml", NOTES);
        shell.define("tables/trusted/members.toml", MEMBERS);
        shell.define("tables/trusted/members.sql", MEMBERS_SQL);
        fs::create_dir_all(shell.project().join("l")).unwrap();
        shell
    }

    /// A file of the project.
    pub(crate) fn definition(&self, path: &str) -> String {
        fs::read_to_string(self.project().join(path)).unwrap()
    }

    /// The same, with three people of whom two consent.
    pub(crate) fn synced() -> Self {
        let shell = Self::shop();
        shell
            .land("people/a.json", &[person("ann", 1, true), person("eve", 1, true), person("bob", 1, false)].concat());
        let ran = shell.run(&["sync"]);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        shell
    }

    /// The temporary folder, with nothing in it but the project.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The project's folder.
    pub(crate) fn project(&self) -> PathBuf {
        self.folder().join("project")
    }

    /// Writes a file of the project.
    pub(crate) fn define(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a landing file, old enough to be read.
    pub(crate) fn land(&self, path: &str, text: &str) {
        self.define(&format!("l/{path}"), text);
        let file = fs::File::options().write(true).open(self.project().join("l").join(path)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }

    /// Every file below the warehouse with its size and time.
    pub(crate) fn warehouse(&self) -> Vec<(PathBuf, u64, SystemTime)> {
        let mut files = Vec::new();
        walk(&self.project().join("w"), &mut files);
        files.sort();
        files
    }

    /// A command of the program in a folder, with only the given environment variables of ours.
    pub(crate) fn command(&self, folder: &Path, environment: &[(&str, &str)], args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stedi-delta"));
        for name in ["TARGET", "LANDING", "WAREHOUSE", "HASH_KEY", "LOG_FORMAT"] {
            command.env_remove(format!("STEDI_DELTA_{name}"));
        }
        command
            .env_remove("COLUMNS")
            .env_remove("RUST_BACKTRACE")
            .env("STEDI_DELTA_HASH_KEY", "test")
            .env("XDG_CACHE_HOME", self.folder().join("caches"))
            .envs(environment.iter().copied());
        command.args(args).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program in a folder.
    pub(crate) fn run_in(&self, folder: &Path, environment: &[(&str, &str)], args: &[&str]) -> Ran {
        let Ran { code, out, err } = Ran::of(&mut self.command(folder, environment, args));
        // The folder has another name in every run.
        let named = |text: String| text.replace(self.folder.path().to_str().unwrap(), "<folder>");
        Ran { code, out: named(out), err: named(err) }
    }

    /// Runs the program in the project's folder.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_in(&self.project(), &[], args)
    }
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, u64, SystemTime)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(Result::unwrap) {
        let about = entry.metadata().unwrap();
        if about.is_dir() {
            walk(&entry.path(), files);
        } else {
            files.push((entry.path(), about.len(), about.modified().unwrap()));
        }
    }
}
