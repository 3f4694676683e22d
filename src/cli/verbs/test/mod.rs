//! `test`: the tests of queries in `tests/*.toml`. Its document is `test/1`.

mod report;
pub(in crate::cli) mod text;

use clap::Args;

pub(in crate::cli) use report::{TestReport, document, failed};

use crate::cli::lake::privacy;
use crate::cli::{Format, Session, exit};
use crate::error::Result;
use crate::testing;

/// Options of `test`.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// Only tests whose name has this in it, or of this table or file [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &TestArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = match session.root() {
        Ok(root) => {
            let privacy = privacy(session.globals.reveal);
            testing::run(&root, &args.names, &privacy, &session.ui.progress()).await
        }
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    session.ui.progress().opened(&outcome.project, None);
    if format == Format::Json {
        session.ui.document(&document(&outcome));
    } else {
        session.ui.answer(&text::answer(&outcome, session.ui.color_out()));
        if outcome.tests.is_empty() {
            session.ui.status(text::NONE);
        }
    }
    Ok(exit::of_test(&outcome))
}
