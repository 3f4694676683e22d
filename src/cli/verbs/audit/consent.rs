//! `audit consent`: its text, and its document `audit-consent/1`.

use serde::Serialize;

use super::ConsentArgs;
use crate::audit;
use crate::cli::document::ErrorReport;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{count, number};
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Result};
use crate::outcome::{ConsentAudit, ConsentAudits, ConsentVerdict, ConsentVersion, Offender};
use crate::shape::document;

/// Offenders of a table that are shown to people.
const SHOWN: usize = 20;

pub(super) async fn run(session: &mut Session<'_>, args: &ConsentArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let scope = args.scope()?;
    let result = match session.lake().await {
        Ok(lake) => audit::consent(&lake.workspace, &scope).await,
        Err(error) => Err(error),
    };
    let audits = session.or_document(format, result, failed)?;
    let code = exit::of_consent(&audits, args.strict);
    session.notes(&audits.notes);
    if format == Format::Json {
        session.ui.document(&document(&audits, code));
    } else {
        session.ui.page(&answer(&audits));
    }
    for problem in audits.tables.iter().filter_map(|table| table.problem.as_ref()) {
        session.ui.error(problem);
    }
    Ok(code)
}

/// The counts, then the versions of each table, successive ones of one verdict on one line, and the offenders.
fn answer(audits: &ConsentAudits) -> String {
    if audits.tables.is_empty() {
        return "No table here has [consent].\n".into();
    }
    let mut text = headline(audits);
    for table in &audits.tables {
        text.push_str(&format!("\n{}  (`{}` by {})\n", table.table, table.subject, table.grants));
        text.push_str(&versions(&table.versions));
        text.push_str(&offenders(table, audits.shown));
    }
    text
}

/// `61 versions of 2 tables: 1 violated, 12 unknown.`
fn headline(audits: &ConsentAudits) -> String {
    let verdicts = || audits.tables.iter().flat_map(|table| &table.versions).map(|version| version.verdict);
    let of = |verdict| verdicts().filter(|found| *found == verdict).count() as u64;
    let (violated, unknown) = (of(ConsentVerdict::Violated), of(ConsentVerdict::Unknown));
    let all = count(verdicts().count() as u64, "version");
    let tables = count(audits.tables.len() as u64, "table");
    let violated = if violated == 0 { "no violation".to_owned() } else { format!("{} violated", number(violated)) };
    let unknown = if unknown == 0 { String::new() } else { format!(", {} unknown", number(unknown)) };
    let failed = match audits.tables.iter().filter(|table| table.problem.is_some()).count() as u64 {
        0 => String::new(),
        failed => format!(", {} could not be audited", count(failed, "table")),
    };
    format!("{all} of {tables}: {violated}{unknown}{failed}.\n")
}

fn versions(versions: &[ConsentVersion]) -> String {
    let mut grid = Grid::new(vec![
        Column::left(2, 0),
        Column::left(3, 0),
        Column::right(3, 0),
        Column::right(3, 0),
        Column::left(3, 0),
    ]);
    let is_alike = |a: &ConsentVersion, b: &ConsentVersion| {
        a.verdict == b.verdict && a.because == b.because && (a.violations, a.offenders) == (b.violations, b.offenders)
    };
    for run in versions.chunk_by(is_alike) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let range = match first.version == last.version {
            true => format!("v{}", first.version),
            false => format!("v{}..v{}", first.version, last.version),
        };
        let (verdict, detail) = match last.verdict {
            ConsentVerdict::Holds => ("holds", String::new()),
            ConsentVerdict::Violated => {
                let rows = count(last.violations.unwrap_or_default(), "row");
                ("violated", format!("{rows} of {} without consent", count(last.offenders, "subject")))
            }
            ConsentVerdict::Unknown => ("unknown", last.because.clone().unwrap_or_default()),
        };
        let rows = span(run.iter().filter_map(|version| version.rows), "row");
        let subjects = span(run.iter().filter_map(|version| version.subjects), "subject");
        grid.row(vec![range, verdict.to_owned(), rows, subjects, detail]);
    }
    grid.text()
}

/// `32 to 33 rows`.
fn span(counts: impl Iterator<Item = u64> + Clone, noun: &str) -> String {
    let Some(most) = counts.clone().max() else { return String::new() };
    match counts.min().filter(|least| *least < most) {
        Some(least) => format!("{} to {}", number(least), count(most, noun)),
        None => count(most, noun),
    }
}

fn offenders(table: &ConsentAudit, note: &str) -> String {
    if table.offenders.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new(vec![Column::left(4, 0), Column::right(3, 0), Column::left(3, 0)]);
    for offender in table.offenders.iter().take(SHOWN) {
        let range = match offender.first == offender.last {
            true => format!("in v{}", offender.first),
            false => format!("from v{} to v{}", offender.first, offender.last),
        };
        grid.row(vec![name(offender).to_owned(), count(offender.rows, "row"), range]);
    }
    let more = table.offenders.len().saturating_sub(SHOWN) as u64 + table.offenders_left_out;
    let more = if more == 0 { String::new() } else { format!("    and {} more\n", number(more)) };
    format!("  without consent{note}:\n{}{more}", grid.text())
}

fn name(offender: &Offender) -> &str {
    offender.subject.as_deref().unwrap_or("NULL, which names nobody")
}

document! {
/// The result of an audit of consent.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct ConsentReport {
    /// `audit-consent/1`.
    report: &'static str,
    /// Exit code of the command.
    exit_code: u8,
    /// The tables.
    tables: Vec<TableReport>,
    /// Their versions, oldest first within each table.
    versions: Vec<VersionReport>,
    /// Subjects without consent and the versions that hold their rows, as keyed hashes; at most 1000 of a table.
    offenders: Vec<OffenderReport>,
    /// How many more there are.
    offenders_left_out: u64,
    /// Why there is no result.
    error: Option<ErrorReport>,
}
}

document! {
/// One table.
#[derive(Debug, Serialize)]
struct TableReport {
    /// Its name.
    table: String,
    /// The column that names the person.
    subject: String,
    /// The record of consent.
    grants: String,
    /// Why not all of it could be audited.
    error: Option<ErrorReport>,
}
}

document! {
/// One version.
#[derive(Debug, Serialize)]
struct VersionReport {
    /// Its table.
    table: String,
    /// Delta version.
    version: u64,
    /// The version of the record of consent that it was computed from.
    grants_version: Option<u64>,
    /// Its rows.
    rows: Option<u64>,
    /// Their subjects.
    subjects: Option<u64>,
    /// Rows whose subject had not consented.
    violations: Option<u64>,
    /// The subjects of these rows.
    violating_subjects: u64,
    /// `holds`, `violated` or `unknown`.
    verdict: ConsentVerdict,
    /// Why it is unknown.
    because: Option<String>,
}
}

document! {
/// A subject without consent.
#[derive(Debug, Serialize)]
struct OffenderReport {
    /// Its table.
    table: String,
    /// Its keyed hash; `null` = NULL.
    subject: Option<String>,
    /// Most rows in a version.
    rows: u64,
    /// The first version.
    first_version: u64,
    /// The last one in a row.
    last_version: u64,
}
}

fn document(audits: &ConsentAudits, exit_code: u8) -> ConsentReport {
    let versions = audits.tables.iter().flat_map(|table| table.versions.iter().map(|found| version(table, found)));
    let offenders = audits.tables.iter().flat_map(|table| {
        table.offenders.iter().map(|offender| OffenderReport {
            table: table.table.clone(),
            subject: offender.subject.clone(),
            rows: offender.rows,
            first_version: offender.first,
            last_version: offender.last,
        })
    });
    let table = |table: &ConsentAudit| TableReport {
        table: table.table.clone(),
        subject: table.subject.clone(),
        grants: table.grants.clone(),
        error: table.problem.as_ref().map(ErrorReport::from),
    };
    ConsentReport {
        report: "audit-consent/1",
        exit_code,
        tables: audits.tables.iter().map(table).collect(),
        versions: versions.collect(),
        offenders: offenders.collect(),
        offenders_left_out: audits.tables.iter().map(|table| table.offenders_left_out).sum(),
        error: None,
    }
}

fn version(table: &ConsentAudit, found: &ConsentVersion) -> VersionReport {
    VersionReport {
        table: table.table.clone(),
        version: found.version,
        grants_version: found.grants,
        rows: found.rows,
        subjects: found.subjects,
        violations: found.violations,
        violating_subjects: found.offenders,
        verdict: found.verdict,
        because: found.because.clone(),
    }
}

fn failed(error: &Error) -> ConsentReport {
    let report = document(&ConsentAudits::default(), exit::of(error.kind()));
    ConsentReport { error: Some(error.into()), ..report }
}
