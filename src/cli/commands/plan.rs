//! `plan`: what a sync would do, and why.

use crate::cli::{Format, PlanArgs, Session, render};
use crate::error::{Kind, Result};
use crate::report;

/// Exit code where a sync would change something, if that is asked for.
const PENDING: u8 = 2;

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &PlanArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => lake.plan(&args.select, args.explain).await,
        Err(error) => Err(error),
    };
    let outcome = result.map_err(|error| session.fail(format, error, report::plan_failed))?;
    let exit_code = if report::plan_stops(&outcome) {
        Kind::Failed.exit_code()
    } else if args.detailed_exitcode && report::plan_is_pending(&outcome) {
        PENDING
    } else {
        0
    };
    let ui = &mut *session.ui;
    if format == Format::Json {
        ui.document(&report::plan(&outcome, exit_code));
    } else {
        ui.answer(&render::plan::answer(&outcome));
    }
    let problems = render::plan::problems(&outcome, ui.color_err());
    ui.problems(&problems);
    if let (Format::Table, Some(next)) = (format, render::plan::next(&outcome)) {
        ui.status(next);
    }
    Ok(exit_code)
}
