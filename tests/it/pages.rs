//! Pages of the documentation, followed word by word: every ```` ```sh ```` block is run, one after the other, in an empty
//! folder, and a ```` ```text ```` block after it is what the commands print. Blocks with another language, or none, are not
//! run.
//!
//! Times, sizes and ids differ from run to run and are not compared. A block must succeed unless it says what it exits with:
//! ```` ```sh exit=1 ````.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::repository;

/// A block of a page.
pub(crate) struct Block {
    /// What stands behind the backquotes.
    pub(crate) info: String,
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block { info: info.trim().to_owned(), text: String::new(), line: at + 1 });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

/// A folder in which pages are followed.
pub(crate) struct Reader {
    home: tempfile::TempDir,
    /// The folder that the last block went to.
    here: PathBuf,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let here = home.path().canonicalize().unwrap();
        Self { home, here }
    }

    /// Where the last block went to.
    pub(crate) fn folder(&self) -> &Path {
        &self.here
    }

    /// Follows a page of the repository. `matches` compares what commands print with the text that the page says.
    pub(crate) fn follow(&mut self, page: &str, matches: impl Fn(&str, &str, &str)) {
        let text = fs::read_to_string(repository().join(page)).unwrap();
        let mut printed: Option<String> = None;
        let mut run = 0;
        for block in blocks(&text) {
            let place = format!("{page}:{}", block.line);
            let mut words = block.info.split(' ');
            match words.next() {
                Some("sh") => {
                    let expected = words.find_map(|word| word.strip_prefix("exit=")).unwrap_or("0");
                    let (code, output) = self.run(&block.text);
                    assert_eq!(code.to_string(), expected, "{place}\n{}\n{output}", block.text);
                    (printed, run) = (Some(output), run + 1);
                }
                Some("text") => {
                    let output = printed.take().unwrap_or_else(|| panic!("{place}: no command printed this"));
                    matches(&output, &block.text, &place);
                }
                _ => {}
            }
        }
        assert!(run > 0, "{page} has no commands");
    }

    /// Runs commands as a person types them; returns what a terminal shows.
    pub(crate) fn run(&mut self, commands: &str) -> (i32, String) {
        let state = self.home.path().join(".state");
        let script = format!("set -e\n{{\n{commands}\n}} 2>&1\npwd > '{}'\n", state.display());
        let program = Path::new(env!("CARGO_BIN_EXE_stedi-delta")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        for name in ["TARGET", "LANDING", "WAREHOUSE", "HASH_KEY", "LOG_FORMAT"] {
            command.env_remove(format!("STEDI_DELTA_{name}"));
        }
        command.env("XDG_CACHE_HOME", self.home.path().join(".cache"));
        command.env_remove("RUST_BACKTRACE").env("PATH", path).args(["-c", &script]).current_dir(&self.here);
        let ran = command.stdin(Stdio::null()).output().unwrap();
        if let Ok(folder) = fs::read_to_string(&state) {
            self.here = folder.trim_end().into();
        }
        (ran.status.code().unwrap_or(-1), String::from_utf8_lossy(&ran.stdout).into_owned())
    }
}

/// A text without what differs from run to run, and without blanks at the ends of lines.
fn steady(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_number = |word: &str| word.trim_start_matches('(').parse::<f64>().is_ok();
        let is_unit = |word: &&str| ["ms", "s", "B", "KB", "MB"].contains(&word.trim_end_matches([',', '.', ')', ':']));
        let is_time =
            |word: &str| word.len() >= 8 && word.bytes().filter(|b| *b == b':').count() == 2 && !word.contains('T');
        let is_id = |word: &str| {
            word.len() >= 26 && word.trim_end_matches([')', '.', ',']).bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let changed = words.iter().enumerate().map(|(at, word)| match words.get(at + 1) {
            Some(next) if is_number(word) && is_unit(next) => "#".to_owned(),
            Some(next) if is_time(next) => "#".to_owned(),
            _ if is_time(word) || is_id(word) => "#".to_owned(),
            _ => (*word).to_owned(),
        });
        changed.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn your_own_project_in_fifteen_minutes() {
    Reader::new().follow("docs/start.md", |output, text, place| {
        assert_eq!(steady(output), steady(text), "{place} should be:\n{output}");
    });
}

#[test]
fn a_page_s_blocks_are_found_with_their_lines() {
    let found = blocks("a\n```sh exit=1\nx\n```\n\n```\ny\n```\n");
    let found: Vec<_> = found.iter().map(|block| (block.info.as_str(), block.text.as_str(), block.line)).collect();
    assert_eq!(found, [("sh exit=1", "x\n", 2), ("", "y\n", 6)]);
    assert_eq!(
        steady("in 0.3 s. 13 files (10.8 MB), at 2026-12-01 07:55:42 UTC  \n"),
        "in # s. 13 files # MB), at # # UTC"
    );
}
