//! `catalog`: what query engines are told about the tables.

use crate::cli::{CatalogRegisterArgs, Format, Session, render, wiring};
use crate::error::Result;
use crate::report;

/// Exit code where the catalog is not as it should be.
const PENDING: u8 = 2;

pub(in crate::cli) async fn check(session: &mut Session<'_>) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => lake.catalog_check().await,
        Err(error) => Err(error),
    };
    let outcome = result.map_err(|error| session.fail(format, error, report::catalog_failed))?;
    let exit_code = if report::catalog_is_even(&outcome) { 0 } else { PENDING };
    if format == Format::Json {
        session.ui.document(&report::catalog(&outcome, exit_code));
    } else {
        session.ui.answer(&render::catalog::check(&outcome));
    }
    if let (Format::Table, Some(next)) = (format, render::catalog::next(&outcome)) {
        session.ui.status(&next);
    }
    Ok(exit_code)
}

pub(in crate::cli) async fn register(session: &mut Session<'_>, args: &CatalogRegisterArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.lake().await {
        Ok(lake) => lake.catalog_register(args.relocate, args.prune).await,
        Err(error) => Err(error),
    };
    let mut outcome = result.map_err(|error| session.fail(format, error, report::catalog_failed))?;
    let exit_code = outcome.problem.as_ref().map_or(0, |error| error.kind().exit_code());
    if format == Format::Json {
        session.ui.document(&report::catalog(&outcome, exit_code));
    } else {
        session.ui.answer(&render::catalog::registered(&outcome));
    }
    match outcome.problem.take() {
        Some(error) => {
            session.ui.error(&error);
            Ok(exit_code)
        }
        None => Ok(0),
    }
}

pub(in crate::cli) fn ddl(session: &mut Session<'_>, tables: &[String]) -> Result<u8> {
    session.format(&[Format::Table])?;
    let text = wiring::ddl(&session.settings()?, tables)?;
    session.ui.answer(&text);
    Ok(0)
}
