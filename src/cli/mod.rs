//! The command line: parse, call one operation, render.
//!
//! Nothing here decides anything about data, and nothing outside `outlet` prints. A command returns its exit code; errors
//! become text here, once.

mod args;
mod commands;
mod journal;
mod operations;
mod outlet;
mod render;
mod spinner;
mod ui;
mod wiring;

pub use args::{
    CatalogDdlArgs, CatalogRegisterArgs, CatalogVerb, Cli, Color, Ended, Format, Globals, LogFormat, PlanArgs,
    QuarantineVerb, SyncArgs, Verb, parse,
};
pub use journal::{harmless, tell_panic};
pub use operations::{Open, Operations, Settings, SyncOptions};
pub use ui::Ui;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::privacy::escaped;
use crate::progress::Level;

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
    let (progress, journal) = (ui.progress(), ui.journal());
    let log_json = cli.globals.log_format == LogFormat::Json;
    if let Some(journal) = journal.as_ref().filter(|_| log_json) {
        journal::on_panic(Arc::clone(journal), cli.globals.reveal);
    }
    let work = async move {
        let exit_code = run(&cli, &mut ui, &wiring::Lakes).await;
        ui.finish(exit_code)
    };
    let ended = interruptible(work, stopped()).await;
    let exit_code = ended.unwrap_or(INTERRUPTED);
    wiring::close_spill();
    if ended.is_none() {
        progress.done();
        if !log_json {
            Ui::standard().problem("interrupted; what was committed stands, the next sync goes on from there\n");
        }
    }
    if let Some(journal) = journal {
        // A command that came to its end has written its last line already; one that panicked has not.
        if ended.is_none() { journal.interrupt(exit_code) } else { journal.finish(exit_code) }
    }
    exit_code
}

/// Somebody wants the command to stop: a person at a terminal, or who runs it unattended. As the first process of a
/// container it would not even be stopped by a signal that it does not listen to.
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
    ui.begin(&cli.typed);
    if let Err(error) = crate::clock::check() {
        ui.error(&error);
        return error.kind().exit_code();
    }
    let mut session = Session { globals: &cli.globals, ui, lakes };
    let result = match &cli.verb {
        Verb::Check => commands::check::run(&mut session).await,
        Verb::Sync(args) => commands::sync::run(&mut session, args).await,
        Verb::Plan(args) => commands::plan::run(&mut session, args).await,
        Verb::Status => commands::status::run(&mut session).await,
        Verb::Query(args) => commands::query::run(&mut session, &args.sql).await,
        Verb::History(args) => commands::history::run(&mut session, &args.table, args.limit).await,
        Verb::Quarantine(QuarantineVerb::Ls(args)) => {
            commands::quarantine::list(&mut session, args.table.as_deref(), args.limit).await
        }
        Verb::Quarantine(QuarantineVerb::Replay(args)) => commands::quarantine::replay(&mut session, &args.table).await,
        Verb::Catalog(CatalogVerb::Check) => commands::catalog::check(&mut session).await,
        Verb::Catalog(CatalogVerb::Register(args)) => commands::catalog::register(&mut session, args).await,
        Verb::Catalog(CatalogVerb::Ddl(args)) => commands::catalog::ddl(&mut session, &args.tables),
    };
    result.unwrap_or_else(|error| {
        ui.error(&error);
        error.kind().exit_code()
    })
}

/// Prints help, the version or a usage error.
fn end(ui: &mut Ui, ended: &Ended) -> u8 {
    let is_help = ended.exit_code == 0;
    let color = if is_help { ui.color_out() } else { ui.color_err() };
    let plain = ended.text.to_string();
    // What was typed is repeated, and may have colours of its own.
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

    /// What the command line names.
    fn settings(&self) -> Result<Settings> {
        // CI systems set a variable to nothing where they mean to leave it out.
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        Ok(Settings {
            root: self.root()?,
            target: given(&self.globals.target),
            landing: given(&self.globals.landing),
            warehouse: given(&self.globals.warehouse),
            reveal: self.globals.reveal,
            run: self.ui.run().to_owned(),
        })
    }

    /// The lake that the command line names.
    async fn lake(&mut self) -> Result<Box<dyn Operations>> {
        self.lakes.open(self.settings()?, self.ui.progress()).await
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
