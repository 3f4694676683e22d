//! `query`: the rows of one SQL query.

use clap::Args;
use deltalake::arrow::array::RecordBatch;
use futures::TryStreamExt;

use crate::cli::args::Dates;
use crate::cli::{Format, Session, exit, render};
use crate::error::{Error, Result};
use crate::inspect::{self, Answer, QueryOptions};
use crate::travel::{AsOf, Point};

/// Options of `query`.
#[derive(Args, Clone, Debug)]
pub struct QueryArgs {
    /// One SQL query over table names; table@v12, table@2026-11-20 and `version as of` read older versions
    pub sql: String,
    /// Read the lake as the sync of this time left it: 2026-11-20 (the end of that day), 2026-11-20T10:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "cut")]
    pub as_of: Option<String>,
    /// Read the lake as this run left it (the beginning of its id is enough)
    #[arg(long, value_name = "RUN")]
    pub cut: Option<String>,
    #[command(flatten)]
    pub dates: Dates,
}

impl QueryArgs {
    fn at(&self) -> Result<QueryOptions> {
        let zone = self.dates.zone()?;
        let cut = match (&self.as_of, &self.cut) {
            (Some(time), _) => Some(AsOf::Time(Point::parse(time, &zone)?)),
            (None, Some(run)) => Some(AsOf::Run(run.clone())),
            (None, None) => None,
        };
        Ok(QueryOptions { cut, zone })
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &QueryArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json, Format::Ndjson, Format::Csv])?;
    let at = args.at()?;
    let lake = session.lake().await?;
    let answer = inspect::answer(&lake.workspace, &args.sql, &at).await?;
    told(session, format, answer).await
}

/// Prints the rows of a result.
pub(in crate::cli) async fn told(session: &mut Session<'_>, format: Format, answer: Answer) -> Result<u8> {
    let Answer { schema, mut batches, held, notes } = answer;
    session.notes(&notes);
    // A result that fits into memory is printed when it is complete, so that an error leaves no partial output.
    let (mut whole, mut bytes) = (Vec::new(), 0);
    let mut rest = None;
    while let Some(batch) = batches.try_next().await? {
        bytes += batch.get_array_memory_size() as u64;
        if bytes > held {
            rest = Some(batch);
            break;
        }
        whole.push(batch);
    }
    if let Some(batch) = rest {
        if format == Format::Table {
            return Err(Error::failed("the answer is too large for a table")
                .fact("limit", format!("{} MB of rows: a part of `memory_limit`", held >> 20))
                .help("take fewer rows with `limit`, or write them as they come: --format csv, --format ndjson"));
        }
        let mut rows = render::rows::writer(format, session.ui.rows(format));
        for batch in whole.drain(..).chain([batch]) {
            rows.write(&batch)?;
        }
        while let Some(batch) = batches.try_next().await? {
            rows.write(&batch)?;
        }
        rows.finish()?;
        return Ok(exit::DONE);
    }
    if whole.is_empty() {
        whole.push(RecordBatch::new_empty(schema));
    }
    render::rows::write(&whole, format, &mut session.ui.rows(format))?;
    if format == Format::Table {
        session.ui.status(&render::rows::count(&whole));
    }
    Ok(exit::DONE)
}
