//! `history`: the versions of a table.

use crate::cli::{Format, Session, render};
use crate::error::Result;
use crate::report;

pub(in crate::cli) async fn run(session: &mut Session<'_>, table: &str, limit: usize) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => lake.history(table, limit).await,
        Err(error) => Err(error),
    };
    let entries = result.map_err(|error| session.fail(format, error, |e| report::history_failed(table, e)))?;
    if format == Format::Json {
        session.ui.document(&report::history(table, &entries));
    } else {
        session.ui.answer(&render::history(&entries));
    }
    Ok(0)
}
