//! `query`: the rows of one SQL query.

use crate::cli::{Format, Session, render};
use crate::error::Result;

pub(in crate::cli) async fn run(session: &mut Session<'_>, sql: &str) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json, Format::Ndjson, Format::Csv])?;
    let batches = session.lake().await?.query(sql).await?;
    render::rows::write(&batches, format, &mut session.ui.rows(format == Format::Csv))?;
    if format == Format::Table {
        session.ui.status(&render::rows::count(&batches));
    }
    Ok(0)
}
