//! `plan`: what a sync would do, and why.

mod report;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

pub(in crate::cli) use report::{PlanReport, document, failed};

use clap::Args;

use crate::cli::{Format, Session, exit};
use crate::error::{Context, Error, Result};
use crate::inspect::{self, PlanOptions};
use crate::outcome::SavedPlan;

/// Options of `plan`.
#[derive(Args, Clone, Debug, Default)]
pub struct PlanArgs {
    /// Only these tables and those they read
    #[arg(short, long, value_name = "TABLES", num_args = 1.., value_delimiter = ',')]
    pub select: Vec<String>,
    /// Show the delta rules of each query, or why it has none
    #[arg(long)]
    pub explain: bool,
    /// Compute the changes of derived tables, and check expectations and consent, over the rows that have landed
    #[arg(long)]
    pub rows: bool,
    /// Write the plan to this file, for `sync --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit 2 if a sync would change something
    #[arg(long)]
    pub detailed_exitcode: bool,
}

impl PlanArgs {
    fn options(&self) -> PlanOptions {
        PlanOptions { select: self.select.clone(), explain: self.explain, rows: self.rows }
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &PlanArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => inspect::plan_with(&lake.workspace, &args.options()).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    let written = args.out.as_ref().map_or(Ok(()), |path| write(path, &outcome.saved));
    session.or_document(format, written, failed)?;
    let out = args.out.as_ref().map(|path| path.display().to_string());
    let exit_code = exit::of_plan(&outcome, args.detailed_exitcode);
    let ui = &mut *session.ui;
    if format == Format::Json {
        ui.document(&document(&outcome, exit_code, out.clone()));
    } else {
        ui.page(&text::answer(&outcome));
    }
    let problems = text::problems(&outcome, ui.color_err());
    ui.problems(&problems);
    if let (Format::Table, Some(next)) = (format, text::next(&outcome, out.as_deref())) {
        ui.status(&next);
    }
    Ok(exit_code)
}

fn write(path: &Path, plan: &SavedPlan) -> Result<()> {
    let unwritten = || format!("the plan cannot be written to {}", path.display());
    fs::write(path, inspect::plan_text(plan)?)
        .context(unwritten)
        .map_err(|error| error.help("name a file in a folder that exists: --out FILE"))
}

/// Reads a plan that `--out` wrote.
///
/// # Errors
/// If the file cannot be read, or is no such plan.
pub(in crate::cli) fn read(path: &Path) -> Result<SavedPlan> {
    let place = |error: Error| error.fact("file", path.display().to_string());
    let text = fs::read_to_string(path).context(|| format!("the plan {} cannot be read", path.display()));
    let text = text.map_err(|error| error.help("stedi-delta plan --out plan.json   (makes one)"))?;
    inspect::parse_plan(&text).map_err(place)
}
