//! `describe`: what a table is. Its document is `describe/1`.

use clap::Args;
use serde::Serialize;

use super::diff::VersionReport;
use super::diff::version;
use crate::audit;
use crate::cli::args::Dates;
use crate::cli::document::ErrorReport;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text;
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Result};
use crate::outcome::{DescribeOutcome, DescribedColumn, DiffVersion};
use crate::shape::document;

/// Options of `describe`.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// The table: members, members@v12, members@2026-11-20 (the end of that day)
    pub table: String,
    #[command(flatten)]
    pub dates: Dates,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &DescribeArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let zone = args.dates.zone()?;
    let result = match session.lake().await {
        Ok(lake) => audit::describe(&lake.workspace, &args.table, &zone).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, |error| failed(&args.table, error))?;
    session.notes(&outcome.notes);
    if format == Format::Json {
        session.ui.document(&document(&outcome));
    } else {
        session.ui.page(&answer(&outcome));
    }
    Ok(exit::DONE)
}

/// The description as text.
pub(in crate::cli) fn answer(outcome: &DescribeOutcome) -> String {
    let mut facts = Grid::new(vec![Column::left(2, 0), Column::left(3, 0)]);
    let mut fact = |label: &str, value: String| {
        if !value.is_empty() {
            facts.row(vec![label.to_owned(), value]);
        }
    };
    fact("location", outcome.location.clone());
    fact("version", at(outcome.version));
    if outcome.newest != outcome.version {
        fact("newest", at(outcome.newest));
    }
    fact("oldest", format!("{}, the oldest that can be read", at(outcome.oldest)));
    let rows = outcome.rows.map_or_else(|| "an unknown number of rows".into(), |rows| text::count(rows, "row"));
    fact("size", format!("{rows}, {}, {}", text::count(outcome.files, "file"), text::bytes(outcome.bytes)));
    fact("key", outcome.primary_key.join(", "));
    fact("sorted by", outcome.cluster_by.join(", "));
    fact("reads", outcome.sources.join(", "));
    fact("tags", outcome.tags.join(", "));
    if let Some([subject, grants, names]) = &outcome.consent {
        fact("consent", format!("of the person in `{subject}`, by `{names}` of {grants}"));
    }
    if let Some((subjects, granted, latest)) = &outcome.grants {
        let of = format!("of the person in {}", subjects.join(" or "));
        fact("grants", format!("{granted}; {of}, by the newest record ({})", latest.join(", ")));
    }
    for of in &outcome.expectations {
        fact("expects", format!("{} (else {}): {}", of.name, of.action, of.check));
    }
    let zone = outcome.zone.as_ref().map(|zone| format!("{zone}, ")).unwrap_or_default();
    let mut text = format!("{}  ({zone}{} table)\n", outcome.table, outcome.kind);
    if !outcome.description.is_empty() {
        text.push_str(&format!("  {}\n", crate::privacy::one_line(&outcome.description)));
    }
    text.push_str(&facts.text());
    let mut columns = Grid::new(vec![
        Column::left(2, 0),
        Column::left(2, 0),
        Column::left(2, 0),
        Column::left(2, 0),
        Column::left(2, 0),
    ]);
    for column in &outcome.columns {
        let nullable = if column.nullable { "" } else { "not null" };
        let personal = if column.is_personal { "pii" } else { "" };
        columns.row(vec![
            column.name.clone(),
            column.data_type.clone(),
            nullable.into(),
            personal.into(),
            remark(column, outcome.kind),
        ]);
    }
    text.push('\n');
    text.push_str(&columns.text());
    text
}

fn at(of: DiffVersion) -> String {
    match of.committed_ms {
        Some(ms) => format!("v{}, committed {}", of.version, text::date_time(ms)),
        None => format!("v{}", of.version),
    }
}

fn remark(column: &DescribedColumn, kind: &str) -> String {
    match &column.today {
        Some(today) if column.description.is_empty() => format!("called {today} today"),
        Some(today) => format!("{} (called {today} today)", column.description),
        None if !column.is_declared && matches!(kind, "landing" | "derived") => "not in the definition of today".into(),
        None => column.description.clone(),
    }
}

document! {
/// What a table is.
#[derive(Debug, Serialize)]
pub(crate) struct DescribeReport {
    /// `describe/1`.
    pub report: &'static str,
    /// Table name; if it failed, as asked for.
    pub table: String,
    /// Exit code of the command.
    pub exit_code: u8,
    /// What it is.
    pub description: Option<Description>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}
}

document! {
/// A table at a version.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    /// `landing`, `derived`, `quarantine`, `system` or `dropped`.
    pub kind: &'static str,
    /// Its zone.
    pub zone: Option<String>,
    /// For people.
    pub description: String,
    /// Labels to select by.
    pub tags: Vec<String>,
    /// URL or absolute path.
    pub location: String,
    /// The id that it got when it was created.
    pub id: String,
    /// The version described.
    pub version: VersionReport,
    /// The newest version.
    pub newest: VersionReport,
    /// The oldest version from which on all can be read.
    pub oldest_readable: VersionReport,
    /// Rows, if the log has their number.
    pub rows: Option<u64>,
    /// Data files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Columns that identify a row.
    pub primary_key: Vec<String>,
    /// Columns by which rows are sorted.
    pub cluster_by: Vec<String>,
    /// Tables that its query reads.
    pub sources: Vec<String>,
    /// Whose consent it requires.
    pub consent: Option<ConsentReport>,
    /// How it records consent.
    pub grants: Option<GrantsReport>,
    /// Checks on its rows.
    pub expectations: Vec<ExpectationReport>,
    /// Columns of the version.
    pub columns: Vec<ColumnReport>,
    /// What should be said besides.
    pub notes: Vec<String>,
}
}

document! {
/// `[consent]`.
#[derive(Debug, Serialize)]
pub(crate) struct ConsentReport {
    /// The column that names the person.
    pub subject: String,
    /// The table with the grants.
    pub grants: String,
    /// The column of that table.
    pub names: String,
}
}

document! {
/// `[grants]`.
#[derive(Debug, Serialize)]
pub(crate) struct GrantsReport {
    /// Columns that name the person.
    pub subjects: Vec<String>,
    /// The condition that grants.
    pub granted: String,
    /// Columns that order records.
    pub latest: Vec<String>,
}
}

document! {
/// An expectation.
#[derive(Debug, Serialize)]
pub(crate) struct ExpectationReport {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub check: String,
    /// `warn`, `quarantine` or `fail`.
    pub action: &'static str,
}
}

document! {
/// A column.
#[derive(Debug, Serialize)]
pub(crate) struct ColumnReport {
    /// Its name in the version.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether its values are personal data, as far as the definition of today says.
    pub pii: bool,
    /// Its name today, if that is another one.
    pub name_today: Option<String>,
    /// Whether the definition of today has it.
    pub declared: bool,
    /// For people.
    pub description: String,
}
}

/// The document of a description.
#[must_use]
pub(in crate::cli) fn document(outcome: &DescribeOutcome) -> DescribeReport {
    let of = outcome.clone();
    let consent = of.consent.map(|[subject, grants, names]| ConsentReport { subject, grants, names });
    let grants = of.grants.map(|(subjects, granted, latest)| GrantsReport { subjects, granted, latest });
    let expectations = of.expectations.into_iter();
    let column = |of: DescribedColumn| ColumnReport {
        name: of.name,
        data_type: of.data_type,
        nullable: of.nullable,
        pii: of.is_personal,
        name_today: of.today,
        declared: of.is_declared,
        description: of.description,
    };
    let description = Description {
        kind: of.kind,
        zone: of.zone,
        description: of.description,
        tags: of.tags,
        location: of.location,
        id: of.id,
        version: version(of.version),
        newest: version(of.newest),
        oldest_readable: version(of.oldest),
        rows: of.rows,
        files: of.files,
        bytes: of.bytes,
        primary_key: of.primary_key,
        cluster_by: of.cluster_by,
        sources: of.sources,
        consent,
        grants,
        expectations: expectations
            .map(|of| ExpectationReport { name: of.name, check: of.check, action: of.action })
            .collect(),
        columns: of.columns.into_iter().map(column).collect(),
        notes: of.notes,
    };
    let table = of.table;
    DescribeReport { report: "describe/1", table, exit_code: exit::DONE, description: Some(description), error: None }
}

/// The document of a table that could not be described.
#[must_use]
pub(in crate::cli) fn failed(table: &str, error: &Error) -> DescribeReport {
    let (exit_code, error) = (exit::of(error.kind()), Some(error.into()));
    DescribeReport { report: "describe/1", table: table.to_owned(), exit_code, description: None, error }
}
