//! `audit verify`: its text, and its document `audit-verify/1`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::VerifyArgs;
use crate::audit;
use crate::cli::document::ErrorReport;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text::{count, number};
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Result};
use crate::outcome::{Begun, DigestAudit, VerifiedBy, VerifyAudit, VerifyAudits, VerifyVerdict};

pub(super) async fn run(session: &mut Session<'_>, args: &VerifyArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let scope = args.scope()?;
    let result = match session.lake().await {
        Ok(lake) => audit::verify(&lake.workspace, &scope).await,
        Err(error) => Err(error),
    };
    let audits = session.or_document(format, result, failed)?;
    let code = exit::of_verify(&audits, args.strict);
    session.notes(&audits.notes);
    if format == Format::Json {
        session.ui.document(&document(&audits, code));
    } else {
        session.ui.answer(&answer(&audits));
    }
    for problem in audits.tables.iter().filter_map(|table| table.problem.as_ref()) {
        session.ui.error(problem);
    }
    Ok(code)
}

/// The counts, then a line per table.
fn answer(audits: &VerifyAudits) -> String {
    let of = |verdict| {
        let found = audits.tables.iter().filter(|table| table.problem.is_none() && table.verdict == verdict);
        found.count() as u64
    };
    let (different, unknown) = (of(VerifyVerdict::Different), of(VerifyVerdict::Unknown));
    let mut text = format!("{} equal their queries or digests", count(of(VerifyVerdict::Equal), "version"));
    for (tables, what) in [(different, "different"), (unknown, "unknown")] {
        if tables > 0 {
            text.push_str(&format!(", {} {what}", number(tables)));
        }
    }
    text.push_str(".\n\n");
    let mut grid = Grid::new(vec![Column::left(2, 0), Column::left(3, 0), Column::left(3, 0), Column::left(3, 0)]);
    for table in &audits.tables {
        let version = table.version.map(|version| format!("v{version}")).unwrap_or_default();
        grid.row(vec![table.table.clone(), version, verdict(table).to_owned(), detail(table)]);
    }
    text.push_str(&grid.text());
    text
}

fn verdict(table: &VerifyAudit) -> &'static str {
    match (&table.problem, table.verdict) {
        (Some(_), _) => "failed",
        (None, VerifyVerdict::Equal) => "equal",
        (None, VerifyVerdict::Different) => "different",
        (None, VerifyVerdict::Unknown) => "unknown",
    }
}

fn detail(table: &VerifyAudit) -> String {
    if let Some(why) = &table.because {
        return why.clone();
    }
    match table.verified.filter(|found| !found.is_equal()) {
        Some(found) => {
            let engine = match found.planner {
                VerifiedBy::PlannersDisagree => "; the query engine gives other rows with its optimizer",
                VerifiedBy::PlainPlan | VerifiedBy::SamePlanner => "",
            };
            let (missing, extra) = (number(found.rows_missing), number(found.rows_extra));
            format!("{missing} missing, {extra} too many{engine}")
        }
        None => {
            let sources = table.sources.iter().map(|(name, version)| format!("{name} v{version}"));
            let sources = sources.collect::<Vec<_>>().join(", ");
            let sources = if sources.is_empty() { sources } else { format!("from {sources}") };
            let parts = [sources, table.digest.as_ref().map(digested).unwrap_or_default()];
            parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
        }
    }
}

/// What a version was compared with, if it holds the rows of its digest.
fn digested(digest: &DigestAudit) -> String {
    let Some(rows) = digest.rows.filter(|_| digest.verdict == VerifyVerdict::Equal) else { return String::new() };
    let text = format!("digest of {}", count(rows, "row"));
    match &digest.begun {
        Some(Begun { version, because }) => format!("{text}, begun at v{version}: {because}"),
        None => text,
    }
}

/// The result of a verification.
#[derive(Debug, Serialize)]
struct VerifyReport {
    /// `audit-verify/1`.
    report: &'static str,
    /// Exit code of the command.
    exit_code: u8,
    /// The tables.
    tables: Vec<TableReport>,
    /// Why there is no result.
    error: Option<ErrorReport>,
}

/// One table.
#[derive(Debug, Serialize)]
struct TableReport {
    /// Its name.
    table: String,
    /// Delta version.
    version: Option<u64>,
    /// `equal`, `different` or `unknown`.
    verdict: VerifyVerdict,
    /// Rows that its query gives and it lacks.
    rows_missing: Option<u64>,
    /// Rows that its query does not give.
    rows_extra: Option<u64>,
    /// How the query was planned for the comparison.
    planner: Option<VerifiedBy>,
    /// Source table -> version from which it was recomputed.
    sources: BTreeMap<String, u64>,
    /// The comparison with its digest; of a table without a query it gives the verdict.
    digest: Option<DigestReport>,
    /// Why it is unknown, or different without a comparison.
    because: Option<String>,
    /// Why it could not be compared.
    error: Option<ErrorReport>,
}

/// The comparison of a version with its digest.
#[derive(Debug, Serialize)]
struct DigestReport {
    /// `equal`, `different` or `unknown`.
    verdict: VerifyVerdict,
    /// The digest that it should have, of this table and version: 64 hexadecimal digits.
    digest: Option<String>,
    /// Identifies the key of the digest.
    key: Option<String>,
    /// Rows of which it is the digest.
    rows_expected: Option<i64>,
    /// Rows that were read.
    rows: Option<u64>,
    /// The newest scan on which the digest rests; `null` = every change since the table was made is known.
    begun: Option<Begun>,
    /// Why it is different or unknown.
    because: Option<String>,
}

impl From<&DigestAudit> for DigestReport {
    fn from(audit: &DigestAudit) -> Self {
        let expected = audit.expected.as_ref();
        Self {
            verdict: audit.verdict,
            digest: expected.map(|sealed| sealed.digest.clone()),
            key: expected.map(|sealed| sealed.key.clone()),
            rows_expected: expected.map(|sealed| sealed.rows),
            rows: audit.rows,
            begun: audit.begun.clone(),
            because: audit.because.clone(),
        }
    }
}

fn document(audits: &VerifyAudits, exit_code: u8) -> VerifyReport {
    let table = |table: &VerifyAudit| TableReport {
        table: table.table.clone(),
        version: table.version,
        verdict: table.verdict,
        rows_missing: table.verified.map(|found| found.rows_missing),
        rows_extra: table.verified.map(|found| found.rows_extra),
        planner: table.verified.map(|found| found.planner),
        sources: table.sources.iter().cloned().collect(),
        digest: table.digest.as_ref().map(Into::into),
        because: table.because.clone(),
        error: table.problem.as_ref().map(ErrorReport::from),
    };
    VerifyReport { report: "audit-verify/1", exit_code, tables: audits.tables.iter().map(table).collect(), error: None }
}

fn failed(error: &Error) -> VerifyReport {
    VerifyReport { error: Some(error.into()), ..document(&VerifyAudits::default(), exit::of(error.kind())) }
}
