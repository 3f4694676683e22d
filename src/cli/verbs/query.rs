//! `query`: the rows of one SQL query.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use deltalake::arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt};

use crate::cli::args::Dates;
use crate::cli::{Format, Session, exit, render};
use crate::error::{Context, Error, Kind, Result};
use crate::inspect::{self, Answer, QueryOptions};
use crate::travel::{AsOf, Point};

/// Rows that a terminal shows unless it is asked for more.
const ROWS_ON_TERMINAL: usize = 1_000;

/// Options of `query`.
#[derive(Args, Clone, Debug)]
pub struct QueryArgs {
    /// One SQL query over table names; table@v12, table@2026-11-20 and `version as of` read older versions; - reads it from
    /// standard input
    #[arg(required_unless_present = "file")]
    pub sql: Option<String>,
    /// Read the query from a file; - is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "sql")]
    pub file: Option<PathBuf>,
    /// Most rows to show; 0 = all [default: 1000 on a terminal, else all]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
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
    /// The query: typed, or read from a file or standard input.
    fn text(&self) -> Result<String> {
        let file = match (&self.sql, &self.file) {
            (Some(sql), _) if sql != "-" => return Ok(sql.clone()),
            (_, Some(file)) => file.as_path(),
            _ => Path::new("-"),
        };
        let mut bytes = Vec::new();
        let is_input = file == Path::new("-");
        let name = if is_input { "standard input".to_owned() } else { format!("`{}`", file.display()) };
        let doing = || format!("{name} cannot be read");
        if is_input {
            std::io::stdin().read_to_end(&mut bytes).context(doing)?;
        } else {
            bytes = std::fs::read(file).context(doing)?;
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::new(Kind::Usage, format!("{name} is not UTF-8 text")).fact("expected", "one SQL query")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if text.trim().is_empty() {
            return Err(Error::new(Kind::Usage, format!("{name} is empty")).fact("expected", "one SQL query"));
        }
        Ok(text.to_owned())
    }

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
    let sql = args.text()?;
    let lake = session.lake().await?;
    let answer = inspect::answer(&lake.workspace, &sql, &at).await?;
    let limit = match args.limit {
        Some(rows) => (rows > 0).then_some(rows),
        None => session.ui.is_terminal().then_some(ROWS_ON_TERMINAL),
    };
    limited(session, format, answer, limit).await
}

/// Prints the rows of a result.
pub(in crate::cli) async fn told(session: &mut Session<'_>, format: Format, answer: Answer) -> Result<u8> {
    limited(session, format, answer, None).await
}

/// Prints the first rows of a result, and says if there are more.
async fn limited(session: &mut Session<'_>, format: Format, answer: Answer, limit: Option<usize>) -> Result<u8> {
    let Some(rows) = limit else { return written(session, format, answer).await };
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let mut left = rows;
    let batches = answer.batches.try_take_while(move |_| futures::future::ready(Ok(!cut.load(Ordering::Relaxed))));
    let cut = Arc::clone(&is_cut);
    let batches = batches.map_ok(move |batch| {
        let shown = batch.slice(0, batch.num_rows().min(left));
        cut.fetch_or(batch.num_rows() > left, Ordering::Relaxed);
        left -= shown.num_rows();
        shown
    });
    let done = written(session, format, Answer { batches: batches.boxed(), ..answer }).await?;
    if is_cut.load(Ordering::Relaxed) {
        let rows = render::text::count(rows as u64, "row");
        session.ui.status(&format!("There are more than {rows}: --limit N shows more, --limit 0 all.\n"));
    }
    Ok(done)
}

async fn written(session: &mut Session<'_>, format: Format, answer: Answer) -> Result<u8> {
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
