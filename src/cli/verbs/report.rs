//! `report`: a page for auditors. Its document is `report/1`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Kind, Result};
use crate::outcome::LakeReport;
use crate::report;
use crate::shape::document;

/// Options of `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// The file to write: one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Only of this pin: the version, and those from which it was computed
    #[arg(long, value_name = "NAME")]
    pub pin: Option<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &ReportArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    if args.out.is_none() && format == Format::Table {
        return Err(Error::new(Kind::Usage, "the page needs a file")
            .help("stedi-delta report --out report.html, or --format json for the facts alone"));
    }
    let result = match session.lake().await {
        Ok(lake) => match &args.pin {
            Some(pin) => report::pinned(&lake.workspace, pin, &lake.run).await,
            None => report::lake(&lake.workspace, &lake.run).await,
        },
        Err(error) => Err(error),
    };
    let mut report = session.or_document(format, result, failed)?;
    report.exit_code = exit::of_report(&report);
    if let Some(path) = &args.out {
        let shown = path.display();
        let page = report::page(&report);
        std::fs::write(path, page)
            .map_err(|cause| Error::failed(format!("`{shown}` cannot be written")).because(cause))?;
        if format == Format::Table {
            session.ui.page(&answer(&report, &shown.to_string()));
        }
    }
    if format == Format::Json {
        session.ui.document(&report);
    }
    Ok(report.exit_code)
}

/// The verdicts in a sentence, and where the page is.
fn answer(report: &LakeReport, path: &str) -> String {
    let [violated, different, unknown] = report.against();
    let against = violated + different;
    let said = if against == 0 { "no violation found".to_owned() } else { format!("{against} verdicts against it") };
    let unknown = match unknown {
        0 => String::new(),
        unknown => format!(", {unknown} unknown"),
    };
    format!("{path}: {said}{unknown}.\n")
}

document! {
/// A report that could not be made.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct FailedReport {
    /// `report/1`.
    report: &'static str,
    /// Exit code of the command.
    exit_code: u8,
    /// Why there is no result.
    error: ErrorReport,
}
}

fn failed(error: &Error) -> FailedReport {
    FailedReport { report: "report/1", exit_code: exit::of(error.kind()), error: error.into() }
}
