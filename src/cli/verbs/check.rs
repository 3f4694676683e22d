//! `check`: the project's files. Its document is `check/1`: faults and notes.

use clap::Args;
use serde::Serialize;

use crate::cli::document::{ErrorReport, FaultReport};
use crate::cli::render::{error, text};
use crate::cli::{Format, Session, exit};
use crate::definition::{Note, Project};
use crate::error::{Error, Result};
use crate::shape::document;
use crate::source::Fault;
use crate::workspace;

/// Options of `check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Make notes faults: exit 1 if there are any
    #[arg(long)]
    pub strict: bool,
}

/// Characters of a line below a note.
const WIDTH: usize = 76;
/// Maximum places named of a rule, beside its first note.
const PLACES_SHOWN: usize = 5;

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &CheckArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let target = session.globals.target.clone().filter(|name| !name.is_empty());
    let checked = match session.root() {
        Ok(root) => workspace::check(&root, target.as_deref()).await.and_then(|project| judged(project, args.strict)),
        Err(error) => Err(error),
    };
    let project = session.or_document(format, checked, |error| document(Err(error)))?;
    session.ui.progress().opened(&project.name, None);
    if format == Format::Json {
        session.ui.document(&document(Ok((&project.name, project.tables.len(), &project.notes))));
    } else {
        for notes in by_rule(&project.notes) {
            let text = grouped(&notes, session.ui.color_err());
            session.ui.problem(&text);
        }
        session.ui.page(&answer(&project));
    }
    Ok(exit::DONE)
}

/// A project whose notes count as faults if `strict`.
fn judged(project: Project, strict: bool) -> Result<Project> {
    if strict && !project.notes.is_empty() {
        let rule = |note: &Note| format!("{}, which --strict does not allow", note.rule.name());
        let fault = |note: &Note| Fault { help: Some(rule(note)), ..note.fault.clone() };
        return Err(Error::definition(project.notes.iter().map(fault).collect()));
    }
    Ok(project)
}

/// Notes of one rule each, in the order of the rules' first places.
fn by_rule(notes: &[Note]) -> Vec<Vec<&Note>> {
    let mut groups: Vec<Vec<&Note>> = Vec::new();
    for note in notes {
        match groups.iter_mut().find(|group| group[0].rule == note.rule) {
            Some(group) => group.push(note),
            None => groups.push(vec![note]),
        }
    }
    groups
}

/// The first note of a rule, and how many more there are and where.
fn grouped(notes: &[&Note], color: bool) -> String {
    let [first, rest @ ..] = notes else { return String::new() };
    let mut text = error::note(&first.fault, color);
    text.truncate(text.trim_end().len());
    let rule = first.rule.name();
    let mut line = format!("{rule}: {}", text::count(notes.len() as u64, "note"));
    if !rest.is_empty() {
        let places: Vec<String> = rest.iter().take(PLACES_SHOWN).map(|note| place(&note.fault)).collect();
        line.push_str(&format!(", also at {}", places.join(", ")));
        if rest.len() > PLACES_SHOWN {
            line.push_str(&format!(" and {} more", rest.len() - PLACES_SHOWN));
        }
    }
    text.push_str(&format!("\n  {}\n\n", text::wrapped(&line, WIDTH).join("\n    ")));
    text
}

/// `tables/trusted/a.sql:3:7`.
fn place(note: &Fault) -> String {
    note.place.as_ref().map_or_else(String::new, |place| {
        let (line, column) = place.line_column();
        format!("{}:{line}:{column}", place.file.path.display())
    })
}

/// A project without faults.
fn answer(project: &Project) -> String {
    let tables = text::count(project.tables.len() as u64, "table");
    let zones = text::count(project.zones.len() as u64, "zone");
    let warnings = match project.notes.len() as u64 {
        0 => String::new(),
        notes => {
            let rules = by_rule(&project.notes).len() as u64;
            format!(", {} by {}", text::count(notes, "warning"), text::count(rules, "rule"))
        }
    };
    format!("{}: {tables} in {zones}, no errors{warnings}.\n", project.name)
}

document! {
/// The result of `check`.
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    /// `check/1`.
    pub report: &'static str,
    /// Project name; `null` if it could not be read.
    pub project: Option<String>,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Tables of a project without faults.
    pub tables: Option<usize>,
    /// All faults, in the order of files and places.
    pub faults: Vec<FaultReport>,
    /// Parts that Athena reads differently, or not at all, of a project without faults.
    pub warnings: Vec<NoteReport>,
    /// Another error that stopped the check: there is no project here, a file cannot be read.
    pub error: Option<ErrorReport>,
}
}

document! {
/// One note with its rule and place.
#[derive(Debug, Serialize)]
pub(crate) struct NoteReport {
    /// Its rule, as in `allow`: `athena/coarse_time`.
    pub rule: &'static str,
    /// What it says, and where.
    #[serde(flatten)]
    pub note: FaultReport,
}
}

/// The document of a check: `Ok` = name, number of tables and notes of a project without faults.
#[must_use]
pub(in crate::cli) fn document(result: Result<(&str, usize, &[Note]), &Error>) -> CheckReport {
    let error = result.err();
    CheckReport {
        report: "check/1",
        project: result.ok().map(|(name, ..)| name.to_owned()),
        exit_code: error.map_or(exit::DONE, |e| exit::of(e.kind())),
        tables: result.ok().map(|(_, tables, _)| tables),
        faults: error.map(|e| e.faults().iter().map(FaultReport::from).collect()).unwrap_or_default(),
        warnings: result.ok().map(|(.., notes)| notes.iter().map(note).collect()).unwrap_or_default(),
        error: error.filter(|e| e.faults().is_empty()).map(ErrorReport::from),
    }
}

fn note(note: &Note) -> NoteReport {
    NoteReport { rule: note.rule.name(), note: FaultReport::from(&note.fault) }
}
