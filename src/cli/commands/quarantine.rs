//! `quarantine`: records that could not land.

use crate::cli::{Format, Session, render};
use crate::error::Result;
use crate::report;

pub(in crate::cli) async fn list(session: &mut Session<'_>, table: Option<&str>, limit: usize) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json, Format::Ndjson, Format::Csv])?;
    let batches = session.lake().await?.quarantine(table, limit).await?;
    let shown = render::rows::quarantined(&batches, session.globals.reveal)?;
    let rows: usize = shown.iter().map(|batch| batch.num_rows()).sum();
    if rows == 0 && format == Format::Table {
        session.ui.answer("Nothing is in quarantine.\n");
        return Ok(0);
    }
    render::rows::write(&shown, format, &mut session.ui.rows(format))?;
    if format == Format::Table {
        session.ui.status(&render::rows::count(&shown));
    }
    Ok(0)
}

pub(in crate::cli) async fn replay(session: &mut Session<'_>, table: &str) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => lake.replay(table).await,
        Err(error) => Err(error),
    };
    let outcome = result.map_err(|error| session.fail(format, error, report::replay_failed))?;
    let ui = &mut *session.ui;
    if format == Format::Json {
        ui.document(&report::replay(&outcome));
    } else {
        ui.answer(&render::sync::replay(&outcome));
    }
    ui.problems_of(std::slice::from_ref(&outcome), None);
    Ok(report::table_exit_code(&outcome))
}
