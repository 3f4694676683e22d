//! `sync`: brings tables to the newest cut.

use crate::cli::{Format, Session, SyncArgs, SyncOptions, render};
use crate::error::{Kind, Result};
use crate::report;

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &SyncArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let lake = session.lake().await.map_err(|error| session.fail(format, error, report::sync_failed))?;
    let options = SyncOptions {
        select: args.select.clone(),
        full_refresh: args.full_refresh,
        verify: args.verify,
        reload: args.reload.clone(),
        unload: args.unload.clone(),
    };
    if args.no_migrate {
        let text = render::sync::no_migrations(session.ui.color_err());
        session.ui.problem(&text);
    }
    let outcome = lake.sync(options).await;
    let exit_code = report::exit_code(&outcome);
    let ui = &mut *session.ui;
    if exit_code == Kind::Usage.exit_code() {
        // The request was wrong: there is nothing to report.
    } else if format == Format::Json {
        ui.document(&report::sync(&outcome));
    } else {
        ui.answer(&render::sync::answer(&outcome));
    }
    ui.sums(&report::Totals::of(&outcome));
    ui.problems_of(&outcome.tables, outcome.problem.as_ref());
    if let Some(left) = render::sync::left(&outcome, ui.color_err()) {
        ui.problems(&left);
    }
    if let (Format::Table, Some(next)) = (format, render::sync::next(&outcome)) {
        ui.status(&next);
    }
    Ok(exit_code)
}
