//! The command line: parse, call one operation, render.
//!
//! Nothing here decides anything about data, and nothing outside `ui` prints. A command returns its exit code; errors
//! become text here, once.

mod args;
mod commands;
mod operations;
mod render;
mod spinner;
mod ui;
mod wiring;

pub use args::{Cli, Color, Ended, Format, Globals, QuarantineVerb, SyncArgs, Verb, parse};
pub use operations::{Open, Operations, Settings, SyncOptions};
pub use ui::Ui;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};

/// Exit code of an interrupted command, as shells give it.
pub const INTERRUPTED: u8 = 130;

/// Runs a command line on the process's own output; returns the exit code.
pub async fn main(args: Vec<OsString>) -> u8 {
    let mut ui = Ui::standard();
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(ended) => return end(&mut ui, &ended),
    };
    ui.configure(&cli.globals);
    let progress = ui.progress();
    let work = async move {
        let exit_code = run(&cli, &mut ui, &wiring::Lakes).await;
        ui.finish(exit_code)
    };
    match interruptible(work, tokio::signal::ctrl_c()).await {
        Some(exit_code) => exit_code,
        None => {
            progress.done();
            Ui::standard().problem("interrupted; what was committed stands, the next sync goes on from there\n");
            INTERRUPTED
        }
    }
}

/// Works until it is done or the signal comes; `None` = the signal came first. A task of its own, so that a signal is
/// heard while the work computes.
async fn interruptible(
    work: impl Future<Output = u8> + Send + 'static,
    signal: impl Future<Output = std::io::Result<()>>,
) -> Option<u8> {
    let work = tokio::spawn(work);
    tokio::select! {
        // A panic has said on standard error what is wrong.
        exit_code = work => Some(exit_code.unwrap_or(Kind::Internal.exit_code())),
        Ok(()) = signal => None,
    }
}

/// Runs a parsed command line; returns the exit code.
pub async fn run(cli: &Cli, ui: &mut Ui, lakes: &dyn Open) -> u8 {
    let mut session = Session { globals: &cli.globals, ui, lakes };
    let result = match &cli.verb {
        Verb::Check => commands::check::run(&mut session),
        Verb::Sync(args) => commands::sync::run(&mut session, args).await,
        Verb::Status => commands::status::run(&mut session).await,
        Verb::Query(args) => commands::query::run(&mut session, &args.sql).await,
        Verb::History(args) => commands::history::run(&mut session, &args.table, args.limit).await,
        Verb::Quarantine(QuarantineVerb::Ls(args)) => {
            commands::quarantine::list(&mut session, args.table.as_deref(), args.limit).await
        }
        Verb::Quarantine(QuarantineVerb::Replay(args)) => commands::quarantine::replay(&mut session, &args.table).await,
    };
    result.unwrap_or_else(|error| {
        let text = render::error::error(&error, ui.color_err());
        ui.problem(&text);
        error.kind().exit_code()
    })
}

/// Prints help, the version or a usage error.
fn end(ui: &mut Ui, ended: &Ended) -> u8 {
    let is_help = ended.exit_code == 0;
    let color = if is_help { ui.color_out() } else { ui.color_err() };
    let text = if color { ended.text.ansi().to_string() } else { ended.text.to_string() };
    if is_help {
        ui.answer(&text);
    } else {
        ui.problem(&text);
    }
    ui.finish(ended.exit_code)
}

/// What a command works with.
struct Session<'a> {
    globals: &'a Globals,
    ui: &'a mut Ui,
    lakes: &'a dyn Open,
}

impl Session<'_> {
    /// The format asked for, if the verb knows it.
    fn format(&self, known: &[Format]) -> Result<Format> {
        let format = self.globals.format;
        if known.contains(&format) {
            return Ok(format);
        }
        let names: Vec<String> = known.iter().map(|f| format!("`--format {}`", name_of(*f))).collect();
        Err(Error::new(Kind::Usage, format!("this verb has no `--format {}`", name_of(format)))
            .help(format!("use {}", names.join(" or "))))
    }

    /// The project's folder.
    fn root(&self) -> Result<PathBuf> {
        if let Some(root) = &self.globals.project {
            return Ok(root.clone());
        }
        let here = std::env::current_dir()
            .map_err(|cause| Error::failed("the current folder cannot be read").because(cause))?;
        wiring::find_root(&here).ok_or_else(|| {
            Error::new(Kind::Definition, "no stedi-delta.toml here or in a folder above")
                .fact("folder", here.display().to_string())
                .help("go to a project's folder, or name it: --project DIR")
        })
    }

    /// The lake that the command line names.
    async fn lake(&mut self) -> Result<Box<dyn Operations>> {
        // CI systems set a variable to nothing where they mean to leave it out.
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let settings = Settings {
            root: self.root()?,
            target: given(&self.globals.target),
            landing: given(&self.globals.landing),
            warehouse: given(&self.globals.warehouse),
            reveal: self.globals.reveal,
        };
        self.lakes.open(settings, self.ui.progress()).await
    }

    /// Answers an error with a document, where one was asked for. A wrong command line gets none.
    fn fail<R: serde::Serialize>(&mut self, format: Format, error: Error, report: impl Fn(&Error) -> R) -> Error {
        if format == Format::Json && error.kind() != Kind::Usage {
            self.ui.document(&report(&error));
        }
        error
    }
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Table => "table",
        Format::Json => "json",
        Format::Ndjson => "ndjson",
        Format::Csv => "csv",
    }
}

#[cfg(test)]
mod tests;
