//! `pin`, `unpin` and `pins`: versions kept for audits. Their document is `pins/1`.

use clap::Args;
use serde::Serialize;

use crate::cli::args::Dates;
use crate::cli::document::ErrorReport;
use crate::cli::render::grid::{Column, Grid};
use crate::cli::render::text;
use crate::cli::{Format, Session, exit};
use crate::clock::rfc3339;
use crate::digest::Sealed;
use crate::error::{Error, Kind, Result};
use crate::outcome::{Pin, PinStatus};
use crate::pin::{self, Options};
use crate::travel::Point;

/// Options of `pin`.
#[derive(Args, Clone, Debug)]
pub struct PinArgs {
    /// The table, or one of its versions: t, t@v12, t@2026-11-20, t@2026-11-20T10:00:00Z
    pub table: String,
    /// Name of the pin, such as gait_3
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Until when it is to be kept: 2027-11-20 (the end of that day) [default: until it is unpinned]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Raise the table's retention settings, which a vacuum of other engines obeys
    #[arg(long)]
    pub retain: bool,
    /// Make it a table of the catalog, which Athena can query at that version
    #[arg(long)]
    pub catalog: bool,
    #[command(flatten)]
    pub dates: Dates,
}

/// Options of `unpin`.
#[derive(Args, Clone, Debug)]
pub struct UnpinArgs {
    /// Name of the pin
    pub name: String,
}

pub(in crate::cli) async fn set(session: &mut Session<'_>, args: &PinArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let zone = args.dates.zone()?;
    let until_ms = match args.until.as_deref().map(|text| Point::time(text, &zone)).transpose()? {
        Some(Point::Time { ms, .. }) => Some(ms),
        _ => None,
    };
    let options = Options { name: args.name.clone(), until_ms, retain: args.retain, catalog: args.catalog };
    let result = match session.lake().await {
        Ok(lake) => pin::pin(&lake.workspace, &args.table, &zone, &options, &lake.run).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    session.notes(&outcome.notes);
    let status = PinStatus { pin: outcome.pin, gone: 0, withdrawn: None, is_over: false, catalog_differs: false };
    if format == Format::Json {
        session.ui.document(&document(std::slice::from_ref(&status), exit::DONE));
    } else {
        session.ui.answer(&answer(std::slice::from_ref(&status)));
        if status.pin.in_catalog {
            let sql = format!("select count(*) from {}", status.pin.name);
            session.ui.status(&format!("Next, in Athena: {sql}\n"));
        }
    }
    Ok(exit::DONE)
}

pub(in crate::cli) async fn remove(session: &mut Session<'_>, args: &UnpinArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => pin::unpin(&lake.workspace, &args.name, &lake.run).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    if format == Format::Json {
        session.ui.document(&document(&[], exit::DONE));
    } else {
        let Pin { name, table, version, .. } = &outcome.pin;
        session.ui.answer(&format!("{name} is no longer pinned: {table} v{version} is a version like any other.\n"));
    }
    Ok(exit::DONE)
}

pub(in crate::cli) async fn list(session: &mut Session<'_>) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => pin::pins(&lake.workspace).await,
        Err(error) => Err(error),
    };
    let pins = session.or_document(format, result, failed)?;
    let exit_code = if pins.iter().any(|pin| pin.gone > 0) { exit::of(Kind::Evidence) } else { exit::DONE };
    if format == Format::Json {
        session.ui.document(&document(&pins, exit_code));
    } else {
        session.ui.answer(&answer(&pins));
    }
    Ok(exit_code)
}

/// Pins, each with what is wrong with it below.
pub(in crate::cli) fn answer(pins: &[PinStatus]) -> String {
    if pins.is_empty() {
        return "No version is pinned.\n".into();
    }
    let mut grid = Grid::new(vec![
        Column::left(0, 0),
        Column::left(2, 0),
        Column::left(2, 0),
        Column::right(2, 0),
        Column::right(2, 0),
        Column::left(2, 0),
    ]);
    for PinStatus { pin, is_over, .. } in pins {
        let until = pin.until_ms.map(|ms| format!("until {}", text::date_time(ms)));
        grid.row(vec![
            pin.name.clone(),
            format!("{}@v{}", pin.table, pin.version),
            pin.committed_ms.map(text::date_time).unwrap_or_default(),
            pin.rows.map(|rows| text::count(rows, "row")).unwrap_or_default(),
            text::bytes(pin.files.values().sum()),
            match (until, is_over) {
                (Some(until), true) => format!("{until}, which is over"),
                (Some(until), false) => until,
                (None, _) => String::new(),
            },
        ]);
    }
    let mut said = String::new();
    for (line, status) in grid.text().lines().zip(pins) {
        said.push_str(line);
        said.push('\n');
        for problem in problems(status) {
            said.push_str(&format!("  {problem}\n"));
        }
    }
    said
}

/// What a person should know of a pin.
pub(in crate::cli) fn problems(status: &PinStatus) -> Vec<String> {
    let PinStatus { pin, gone, withdrawn, catalog_differs, .. } = status;
    let mut problems = Vec::new();
    if let Some(count) = withdrawn.filter(|count| *count > 0) {
        let people = match count {
            1 => "1 person in it has".to_owned(),
            count => format!("{} people in it have", text::number(count)),
        };
        problems.push(format!("{people} no consent any more: stedi-delta unpin {}", pin.name));
    }
    if *gone > 0 {
        let of = text::count(pin.files.len() as u64, "file");
        problems.push(format!("{} of its {of} {} gone", text::number(*gone), if *gone == 1 { "is" } else { "are" }));
    }
    if *catalog_differs {
        problems.push("its entry in the catalog is missing or differs: stedi-delta catalog register".to_owned());
    }
    problems
}

/// Pins.
#[derive(Debug, Serialize)]
pub(crate) struct PinsReport {
    /// `pins/1`.
    pub report: &'static str,
    /// Exit code of the command.
    pub exit_code: u8,
    /// By name.
    pub pins: Vec<PinReport>,
    /// Why there is no result.
    pub error: Option<ErrorReport>,
}

/// One pin.
#[derive(Debug, Serialize)]
pub(crate) struct PinReport {
    /// Its name.
    pub name: String,
    /// The table.
    pub table: String,
    /// Its id.
    pub table_uuid: String,
    /// Folder or URL of the table.
    pub location: String,
    /// The version.
    pub version: u64,
    /// When that was committed.
    pub committed_at: Option<String>,
    /// When it was pinned.
    pub pinned_at: String,
    /// Until when it is to be kept.
    pub until: Option<String>,
    /// Whether the table's retention settings were raised.
    pub retained: bool,
    /// Whether it is a table of the catalog.
    pub in_catalog: bool,
    /// Whether its entry there is missing, or differs.
    pub catalog_differs: bool,
    /// Rows.
    pub rows: Option<u64>,
    /// Data files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How many of the files are gone.
    pub files_gone: u64,
    /// People in it without consent today.
    pub withdrawn: Option<u64>,
    /// Source table -> version from which it was computed.
    pub sources: std::collections::BTreeMap<String, u64>,
    /// The digest of its rows, of this table and version; `null` = it was pinned without a key.
    pub digest: Option<Sealed>,
}

impl From<&PinStatus> for PinReport {
    fn from(PinStatus { pin, gone, withdrawn, catalog_differs, .. }: &PinStatus) -> Self {
        Self {
            name: pin.name.clone(),
            table: pin.table.clone(),
            table_uuid: pin.uuid.clone(),
            location: pin.location.clone(),
            version: pin.version,
            committed_at: pin.committed_ms.map(rfc3339),
            pinned_at: rfc3339(pin.pinned_ms),
            until: pin.until_ms.map(rfc3339),
            retained: pin.retained.is_some(),
            in_catalog: pin.in_catalog,
            catalog_differs: *catalog_differs,
            rows: pin.rows,
            files: pin.files.len() as u64,
            bytes: pin.files.values().sum(),
            files_gone: *gone,
            withdrawn: *withdrawn,
            sources: pin.sources.clone(),
            digest: pin.digest.clone(),
        }
    }
}

fn document(pins: &[PinStatus], exit_code: u8) -> PinsReport {
    PinsReport { report: "pins/1", exit_code, pins: pins.iter().map(Into::into).collect(), error: None }
}

fn failed(error: &Error) -> PinsReport {
    PinsReport { report: "pins/1", exit_code: exit::of(error.kind()), pins: Vec::new(), error: Some(error.into()) }
}
