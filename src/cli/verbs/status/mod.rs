//! `status`: the state of every table.

mod report;
pub(in crate::cli) mod text;

pub(in crate::cli) use report::{StatusReport, document, failed};

use crate::cli::{Format, Session, exit};
use crate::error::Result;
use crate::inspect;

pub(in crate::cli) async fn run(session: &mut Session<'_>) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => inspect::status(&lake.workspace).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    if format == Format::Json {
        session.ui.document(&document(&outcome));
        return Ok(exit::DONE);
    }
    session.ui.page(&text::answer(&outcome));
    if let Some(problem) = &outcome.problem {
        session.ui.error(problem);
    }
    if let Some(next) = text::next(&outcome) {
        session.ui.status(next);
    }
    Ok(exit::DONE)
}
