//! The program as a finished child process.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Lake;

/// The result of a command.
pub(crate) struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as a document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.out, self.err))
    }

    /// A command that succeeded.
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// The result up to the elapsed time.
    pub(crate) fn head(&self) -> &str {
        self.out.rsplit_once(" in ").map_or(self.out.as_str(), |(head, _)| head)
    }

    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Lake {
    /// The program on this lake, hashing as its [`Workspace`](stedi_delta::Workspace) does.
    pub(crate) fn program(&self, args: &[&str]) -> Ran {
        self.program_reading("", args)
    }

    /// The same with this on its standard input.
    pub(crate) fn program_reading(&self, input: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stedi-delta"));
        command.args(args).arg("--project").arg(self.root());
        command.arg("--landing").arg(self.landing()).arg("--warehouse").arg(self.warehouse());
        command.current_dir(self.root()).env("STEDI_DELTA_HASH_KEY", "test").env_remove("STEDI_DELTA_TARGET");
        command.env("XDG_CACHE_HOME", self.caches());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
