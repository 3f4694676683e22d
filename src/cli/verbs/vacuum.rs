//! `vacuum`: deletes files that no version within the retention needs. Its document is `vacuum/1`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::render::text;
use crate::cli::{Format, Session, exit};
use crate::definition::units;
use crate::error::{Error, Kind, Result};
use crate::migrate::{self, Moves};
use crate::outcome::{Files, VacuumOutcome, VacuumTable};
use crate::shape::document;
use crate::vacuum::{VacuumOptions, vacuum};

/// Options of `vacuum`.
#[derive(Args, Clone, Debug)]
pub struct VacuumArgs {
    /// Tables, quarantines and system tables
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// All tables of the lake
    #[arg(long, conflicts_with = "tables")]
    pub lake: bool,
    /// Delete everything of a table that a migration dropped
    #[arg(long, value_name = "TABLE")]
    pub purge: Vec<String>,
    /// How long versions stay, instead of `history` of [retention]: "30 days", "12 hours", "0 days"
    #[arg(long, value_name = "TIME")]
    pub history: Option<String>,
    /// How long new files stay, which a running sync or query may need, instead of `grace` of [retention]
    #[arg(long, value_name = "TIME")]
    pub grace: Option<String>,
    /// Delete; without it nothing is
    #[arg(long)]
    pub yes: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &VacuumArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    if args.tables.is_empty() && !args.lake && args.purge.is_empty() {
        return Err(Error::new(Kind::Usage, "no table is named")
            .help("stedi-delta vacuum TABLE, or all of them: stedi-delta vacuum --lake"));
    }
    let options = VacuumOptions {
        tables: args.tables.clone(),
        lake: args.lake,
        purge: args.purge.clone(),
        history: time("history", args.history.as_deref())?,
        grace: time("grace", args.grace.as_deref())?,
        delete: args.yes,
    };
    let result = vacuumed(session, &options).await;
    let outcome = session.or_document(format, result, failed)?;
    if format == Format::Json {
        session.ui.document(&document(&outcome));
    } else {
        session.ui.page(&answer(&outcome));
        if !outcome.deleted && outcome.freed().all().files > 0 {
            session.ui.status(&format!("Next: {}\n", again(args)));
        }
    }
    for problem in outcome.tables.iter().filter_map(|table| table.problem.as_ref()).chain(&outcome.problem) {
        session.ui.error(problem);
    }
    Ok(exit::of_vacuum(&outcome))
}

async fn vacuumed(session: &mut Session<'_>, options: &VacuumOptions) -> Result<VacuumOutcome> {
    let lake = session.lake().await?;
    let workspace = migrate::placed(&lake.workspace, Moves::Pending).await?;
    vacuum(&workspace, options, &lake.run).await
}

fn time(option: &str, text: Option<&str>) -> Result<Option<Duration>> {
    let Some(text) = text else { return Ok(None) };
    let found = units::duration(text);
    found.map(Some).ok_or_else(|| {
        Error::new(Kind::Usage, format!("`--{option}` is \"{text}\""))
            .fact("expected", "a time such as \"30 days\", \"12 hours\" or \"0 days\"")
    })
}

/// The same command, deleting.
fn again(args: &VacuumArgs) -> String {
    let mut words = vec!["stedi-delta vacuum".to_owned()];
    words.extend(args.tables.iter().cloned());
    words.extend(args.lake.then(|| "--lake".to_owned()));
    words.extend(args.purge.iter().map(|table| format!("--purge {table}")));
    words.extend(args.history.iter().map(|time| format!("--history \"{time}\"")));
    words.extend(args.grace.iter().map(|time| format!("--grace \"{time}\"")));
    words.push("--yes".to_owned());
    words.join(" ")
}

pub(in crate::cli) fn answer(outcome: &VacuumOutcome) -> String {
    let width = outcome.tables.iter().map(|table| table.table.len()).max().unwrap_or(0);
    let mut said = String::new();
    for table in &outcome.tables {
        let all = table.freed.all();
        let what = match (&table.left_alone, all.files) {
            (Some(why), _) => format!("left alone: {why}"),
            (None, 0) if table.ends.is_none() => String::new(),
            _ => kinds(table).join(", "),
        };
        let mut notes = Vec::from_iter((!what.is_empty()).then_some(what));
        notes.extend(table.ends.map(|(from, to)| match (from == to, outcome.deleted) {
            (true, true) => format!("v{from} can no longer be read"),
            (true, false) => format!("v{from} could no longer be read"),
            (false, true) => format!("v{from} to v{to} can no longer be read"),
            (false, false) => format!("v{from} to v{to} could no longer be read"),
        }));
        notes.extend(table.kept_for.as_ref().map(|why| format!("older versions stay: {why}")));
        for (at, note) in notes.iter().enumerate() {
            let name = if at == 0 { table.table.as_str() } else { "" };
            said.push_str(&format!("{name:width$}  {note}\n"));
        }
    }
    let all = outcome.freed().all();
    if !said.is_empty() {
        said.push('\n');
    }
    said.push_str(&match (all.files, outcome.deleted) {
        (0, _) => "Nothing to delete.\n".to_owned(),
        (_, true) => format!("Deleted {}.\n", amount(all)),
        (_, false) => format!("Would delete {}.\n", amount(all)),
    });
    said
}

fn kinds(table: &VacuumTable) -> Vec<String> {
    let freed = &table.freed;
    let kinds = [
        (freed.data, "of old versions"),
        (freed.change_data, "of change data"),
        (freed.orphans, "that no version names"),
        (freed.log, "of the log"),
    ];
    kinds
        .iter()
        .filter(|(files, _)| files.files > 0)
        .map(|(files, kind)| format!("{} {kind}", amount(*files)))
        .collect()
}

fn amount(files: Files) -> String {
    format!("{} ({})", text::count(files.files, "file"), text::bytes(files.bytes))
}

document! {
/// A vacuum.
#[derive(Debug, Serialize)]
pub(crate) struct VacuumReport {
    /// `vacuum/1`.
    pub report: &'static str,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Whether files were deleted; else it was a dry run.
    pub deleted: bool,
    /// Files, of all tables.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// By table.
    pub tables: Vec<TableReport>,
    /// What failed.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A table.
#[derive(Debug, Serialize)]
pub(crate) struct TableReport {
    /// Its name.
    pub table: String,
    /// Data files of versions that end.
    pub data: Files,
    /// Change data of such versions.
    pub change_data: Files,
    /// Data files that no version names.
    pub orphans: Files,
    /// Entries and checkpoints of the log.
    pub log: Files,
    /// The oldest version that stays.
    pub horizon: Option<u64>,
    /// Versions that end: the first and the last.
    pub ends: Option<(u64, u64)>,
    /// Why older versions stay than the retention asks for.
    pub kept_for: Option<String>,
    /// Why it was left as it is.
    pub left_alone: Option<String>,
    /// What failed.
    pub error: Option<ErrorReport>,
}
}

pub(in crate::cli) fn document(outcome: &VacuumOutcome) -> VacuumReport {
    let all = outcome.freed().all();
    let table = |table: &VacuumTable| TableReport {
        table: table.table.clone(),
        data: table.freed.data,
        change_data: table.freed.change_data,
        orphans: table.freed.orphans,
        log: table.freed.log,
        horizon: table.horizon,
        ends: table.ends,
        kept_for: table.kept_for.clone(),
        left_alone: table.left_alone.clone(),
        error: table.problem.as_ref().map(Into::into),
    };
    VacuumReport {
        report: "vacuum/1",
        exit_code: exit::of_vacuum(outcome),
        deleted: outcome.deleted,
        files: all.files,
        bytes: all.bytes,
        tables: outcome.tables.iter().map(table).collect(),
        error: outcome.problem.as_ref().map(Into::into),
    }
}

fn failed(error: &Error) -> VacuumReport {
    VacuumReport { exit_code: exit::of(error.kind()), error: Some(error.into()), ..document(&VacuumOutcome::default()) }
}
