//! `check`: the project's files, and nothing else.

use crate::cli::{Format, Session, render, wiring};
use crate::error::Result;
use crate::report;

pub(in crate::cli) async fn run(session: &mut Session<'_>) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let checked = match session.root() {
        Ok(root) => wiring::check(&root).await,
        Err(error) => Err(error),
    };
    let project = checked.map_err(|error| session.fail(format, error, |error| report::check(Err(error))))?;
    session.ui.progress().opened(&project.name, None);
    if format == Format::Json {
        session.ui.document(&report::check(Ok((&project.name, project.tables.len(), &project.notes))));
    } else {
        for note in &project.notes {
            let text = render::error::note(note, session.ui.color_err());
            session.ui.problem(&text);
        }
        session.ui.answer(&render::check(&project));
    }
    Ok(0)
}
