//! `status`: where every table stands.

use crate::cli::{Format, Session, render};
use crate::error::Result;
use crate::report;

pub(in crate::cli) async fn run(session: &mut Session<'_>) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => lake.status().await,
        Err(error) => Err(error),
    };
    let outcome = result.map_err(|error| session.fail(format, error, report::status_failed))?;
    if format == Format::Json {
        session.ui.document(&report::status(&outcome));
        return Ok(0);
    }
    session.ui.answer(&render::status::answer(&outcome));
    if let Some(next) = render::status::next(&outcome) {
        session.ui.status(next);
    }
    Ok(0)
}
