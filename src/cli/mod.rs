//! The command line: parse, call one operation, render.
//!
//! Nothing here makes decisions about data, and nothing outside `outlet` prints. A command returns its exit code;
//! errors become text here, once.

mod args;
mod caches;
mod document;
pub mod exit;
pub mod help;
mod journal;
mod lake;
mod outlet;
mod render;
mod spinner;
mod ui;
mod verbs;
mod version;

pub use args::{Cli, Color, Ended, Format, Globals, LogFormat, parse};
pub use journal::{harmless, tell_panic};
pub use ui::Ui;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::definition::find_root;
use crate::error::{Error, Kind, Result};
use crate::lake::close_spill;
use crate::privacy::escaped;
use crate::progress::Level;
use crate::workspace::WorkspaceOptions;
use lake::Lake;

/// Runs a command line on the process's own output; returns the exit code.
pub async fn main(args: Vec<OsString>) -> u8 {
    let mut ui = Ui::standard();
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(ended) => return end(&mut ui, &ended),
    };
    ui.configure(&cli.globals);
    ui.settle_width(&cli.globals);
    let (progress, journal, gate) = (ui.progress(), ui.journal(), ui.gate());
    let log_json = cli.globals.log_format == LogFormat::Json;
    if let Some(journal) = journal.as_ref().filter(|_| log_json) {
        journal::on_panic(Arc::clone(journal), cli.globals.reveal);
    }
    let work = async move {
        let exit_code = run(&cli, &mut ui).await;
        ui.finish(exit_code)
    };
    let ended = interruptible(work, stopped()).await;
    let exit_code = ended.unwrap_or(exit::INTERRUPTED);
    if ended.is_none() {
        // The work still runs: from here on it fails because its files are removed and its tasks are cancelled.
        gate.close();
        std::panic::set_hook(Box::new(|_| {}));
        progress.done();
        if !log_json {
            Ui::standard().problem("interrupted; commits already made stand, and the next sync continues from there\n");
        }
        if let Some(journal) = &journal {
            journal.interrupt(exit_code);
        }
    }
    close_spill();
    if let Some(journal) = journal {
        // A finished or interrupted command has written its last line already; one that panicked has not.
        journal.finish(exit_code);
    }
    exit_code
}

/// Waits for a signal to stop: from a person at a terminal, or from a scheduler. The first process of a container is
/// not even stopped by a signal without a handler.
async fn stopped() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// Works until it is done or a signal arrives; `None` = the signal came first. The work is a task of its own, so that a
/// signal is handled while it computes.
async fn interruptible(
    work: impl Future<Output = u8> + Send + 'static,
    signal: impl Future<Output = std::io::Result<()>>,
) -> Option<u8> {
    let work = tokio::spawn(work);
    tokio::select! {
        // A panic has been reported on standard error.
        exit_code = work => Some(exit_code.unwrap_or(exit::of(Kind::Internal))),
        Ok(()) = signal => None,
    }
}

/// Runs a parsed command line; returns the exit code.
pub async fn run(cli: &Cli, ui: &mut Ui) -> u8 {
    ui.begin(&cli.typed);
    if let Err(error) = crate::clock::check() {
        ui.error(&error);
        return exit::of(error.kind());
    }
    let mut session = Session { globals: &cli.globals, ui };
    let result = verbs::run(&mut session, &cli.verb).await;
    result.unwrap_or_else(|error| {
        ui.error(&error);
        exit::of(error.kind())
    })
}

/// Prints help, the version or a usage error.
fn end(ui: &mut Ui, ended: &Ended) -> u8 {
    let is_help = ended.exit_code == 0;
    let color = if is_help { ui.color_out() } else { ui.color_err() };
    let plain = ended.text.to_string();
    // The input is repeated, and may contain its own colours.
    let text = if color && escaped(&plain) == plain { outlet::styled(&ended.text.ansi().to_string()) } else { plain };
    if is_help {
        ui.answer(&text);
    } else if ended.log_json {
        let error = Error::new(Kind::Usage, ended.message.as_str());
        ui.log_json(Level::Info, None);
        ui.error(&match &ended.help {
            Some(help) => error.help(help.as_str()),
            None => error,
        });
    } else {
        ui.problem(&text);
    }
    ui.finish(ended.exit_code)
}

/// The state of a command.
struct Session<'a> {
    globals: &'a Globals,
    ui: &'a mut Ui,
}

impl Session<'_> {
    /// The requested format, if the verb supports it.
    fn format(&self, known: &[Format]) -> Result<Format> {
        let format = self.globals.format;
        if known.contains(&format) {
            return Ok(format);
        }
        let names: Vec<String> = known.iter().map(|f| format!("`--format {}`", name_of(*f))).collect();
        Err(Error::new(Kind::Usage, format!("this verb has no `--format {}`", name_of(format)))
            .help(format!("use {}", names.join(" or "))))
    }

    /// Says what should be said of the names on the command line.
    fn notes(&mut self, notes: &[String]) {
        for note in notes {
            self.ui.status(&format!("note: {note}\n"));
        }
    }

    /// The project's folder.
    fn root(&self) -> Result<PathBuf> {
        if let Some(root) = &self.globals.project {
            return Ok(root.clone());
        }
        let here = std::env::current_dir()
            .map_err(|cause| Error::failed("the current folder cannot be read").because(cause))?;
        find_root(&here).ok_or_else(|| {
            Error::new(Kind::Definition, "no stedi-delta.toml here or in a folder above")
                .fact("folder", here.display().to_string())
                .help("go to a project's folder, or name it: --project DIR")
        })
    }

    /// The lake that the command line names.
    fn options(&self) -> Result<WorkspaceOptions> {
        // CI systems set a variable to the empty string to leave it out.
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        Ok(WorkspaceOptions {
            root: self.root()?,
            target: given(&self.globals.target),
            landing: given(&self.globals.landing),
            warehouse: given(&self.globals.warehouse),
        })
    }

    /// The lake that the command line names.
    async fn lake(&mut self) -> Result<Lake> {
        Lake::open(&self.options()?, self.globals.reveal, self.ui.run().to_owned(), self.ui.progress()).await
    }

    /// The result; if it is an error and a document was requested, prints the document. A wrong command line gets none.
    fn or_document<T, R: serde::Serialize>(
        &mut self,
        format: Format,
        result: Result<T>,
        report: impl Fn(&Error) -> R,
    ) -> Result<T> {
        result.inspect_err(|error| {
            if format == Format::Json && error.kind() != Kind::Usage {
                self.ui.document(&report(error));
            }
        })
    }
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Table => "table",
        Format::Json => "json",
        Format::Ndjson => "ndjson",
        Format::Csv => "csv",
        Format::Mermaid => "mermaid",
        Format::OpenLineage => "openlineage",
    }
}

#[cfg(test)]
mod tests;
