//! `diff`: the rows by which two versions of a table differ, or how many they are in every table of the lake.

mod report;
mod text;

use clap::Args;
use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use futures::StreamExt;

use super::query;
use crate::audit::{self, Diff, DiffOptions};
use crate::cli::args::Dates;
use crate::cli::{Format, Session, exit};
use crate::error::{Context, Error, Kind, Result};
use crate::inspect::{Answer, HELD};
use crate::travel::{AsOf, Point, Zone};
pub(in crate::cli) use report::{DiffReport, LakeDiffReport, document, failed, lake_document, lake_failed};
pub(super) use report::{VersionReport, version};
pub(in crate::cli) use text::{answer, lake_answer};

/// Rows shown in a table.
const SHOWN: usize = 20;

/// Options of `diff`.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// The table, as it is called or was called
    #[arg(required_unless_present = "lake")]
    pub table: Option<String>,
    /// The version before: v12, 2026-11-20 (the end of that day), 2026-11-20T10:00:00Z; with --lake a time or a run
    #[arg(long, value_name = "VERSION")]
    pub from: String,
    /// The version after; it may be an earlier one [default: the newest]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Count the rows of every table of the lake
    #[arg(long, conflicts_with_all = ["table", "columns", "condition", "limit"])]
    pub lake: bool,
    /// Only count the rows
    #[arg(long)]
    pub summary: bool,
    /// Compare only these columns, beside the primary key: a,b
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Compare only rows that meet this SQL condition
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Most rows to show [default: 20 in a table, else all]
    #[arg(short = 'n', long, value_name = "N")]
    pub limit: Option<usize>,
    #[command(flatten)]
    pub dates: Dates,
}

impl DiffArgs {
    fn options(&self, table: &str, format: Format) -> Result<DiffOptions> {
        let zone = self.dates.zone()?;
        let counts_only = self.summary || format == Format::Json;
        if self.summary && matches!(format, Format::Ndjson | Format::Csv) {
            return Err(Error::new(Kind::Usage, "`--summary` has no lines").help("use --format table or --format json"));
        }
        Ok(DiffOptions {
            table: table.to_owned(),
            from: Point::parse(&self.from, &zone)?,
            to: self.to.as_deref().map(|text| Point::parse(text, &zone)).transpose()?,
            columns: self.columns.iter().map(|name| name.trim().to_owned()).collect(),
            condition: self.condition.clone(),
            counts_only,
        })
    }
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &DiffArgs) -> Result<u8> {
    let Some(table) = &args.table else { return lake(session, args).await };
    let format = session.format(&[Format::Table, Format::Json, Format::Ndjson, Format::Csv])?;
    let options = args.options(table, format)?;
    let result = match session.lake().await {
        Ok(lake) => {
            let memory = lake.workspace.project.memory_limit;
            audit::diff(&lake.workspace, &options).await.map(|diff| (diff, memory / HELD))
        }
        Err(error) => Err(error),
    };
    let (diff, held) = session.or_document(format, result, |error| failed(table, error))?;
    match format {
        Format::Ndjson | Format::Csv => query::told(session, format, streamed(diff, format, args.limit, held)).await,
        Format::Json => {
            let counted = diff.count().await;
            let outcome = session.or_document(format, counted, |error| failed(table, error))?;
            session.notes(&outcome.notes);
            session.ui.document(&document(&outcome));
            Ok(exit::DONE)
        }
        _ => {
            let limit = if args.summary { 0 } else { args.limit.unwrap_or(SHOWN) };
            shown(session, diff, limit).await
        }
    }
}

/// Prints the first lines, and the counts of all.
async fn shown(session: &mut Session<'_>, mut diff: Diff, limit: usize) -> Result<u8> {
    let (mut lines, mut left): (Vec<RecordBatch>, usize) = (Vec::new(), limit);
    while left > 0 {
        let Some(batch) = diff.next().await? else { break };
        let batch = batch.slice(0, left.min(batch.num_rows()));
        left -= batch.num_rows();
        lines.push(batch);
    }
    let outcome = diff.count().await?;
    session.notes(&outcome.notes);
    session.ui.answer(&answer(&outcome, &lines)?);
    let (all, shown) = (outcome.rows, (limit - left) as u64);
    let rest = (all.inserted + all.updated + all.deleted).saturating_sub(shown);
    if shown > 0 && rest > 0 {
        let rest = crate::cli::render::text::count(rest, "more row");
        session.ui.status(&format!("{rest}: -n N, or all of them as lines: --format ndjson\n"));
    }
    Ok(exit::DONE)
}

/// All lines as the rows of an answer.
fn streamed(diff: Diff, format: Format, limit: Option<usize>, held: u64) -> Answer {
    let notes = diff.outcome.notes.clone();
    let schema = match format {
        Format::Csv => flat_schema(&diff.schema()),
        _ => diff.schema(),
    };
    let left = limit.unwrap_or(usize::MAX);
    let batches = futures::stream::try_unfold((diff, left), move |(mut diff, left)| async move {
        let Some(batch) = (if left == 0 { None } else { diff.next().await? }) else { return Ok(None) };
        let batch = batch.slice(0, left.min(batch.num_rows()));
        let left = left - batch.num_rows();
        let batch = if format == Format::Csv { flat(&batch)? } else { batch };
        Ok(Some((batch, (diff, left))))
    });
    Answer { schema, batches: batches.boxed(), held, notes }
}

/// The columns of lines with those within structs side by side: `key.id`, `before.name`, `after.name`.
fn flat_schema(lines: &Schema) -> deltalake::arrow::datatypes::SchemaRef {
    let flat = |field: &FieldRef| -> Vec<FieldRef> {
        match field.data_type() {
            DataType::Struct(fields) => {
                let named =
                    |inner: &FieldRef| Field::clone(inner).with_name(format!("{}.{}", field.name(), inner.name()));
                fields.iter().map(|inner| named(inner).into()).collect()
            }
            _ => vec![field.clone()],
        }
    };
    Schema::new(lines.fields().iter().flat_map(flat).collect::<Vec<_>>()).into()
}

fn flat(lines: &RecordBatch) -> Result<RecordBatch> {
    use deltalake::arrow::array::AsArray;

    let columns = lines.columns().iter().flat_map(|column| match column.as_struct_opt() {
        // Where a struct is NULL, so are its fields.
        Some(part) => part.columns().to_vec(),
        None => vec![column.clone()],
    });
    RecordBatch::try_new(flat_schema(&lines.schema()), columns.collect()).context(|| "the rows cannot be shown".into())
}

async fn lake(session: &mut Session<'_>, args: &DiffArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let zone = args.dates.zone()?;
    let (from, to) = (as_of(&args.from, &zone)?, args.to.as_deref().map(|text| as_of(text, &zone)).transpose()?);
    let result = match session.lake().await {
        Ok(lake) => audit::diff_lake(&lake.workspace, &from, to.as_ref()).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, lake_failed)?;
    if format == Format::Json {
        session.ui.document(&lake_document(&outcome));
    } else {
        session.ui.page(&lake_answer(&outcome));
    }
    for table in &outcome.tables {
        table.problem.iter().for_each(|error| session.ui.error(error));
    }
    Ok(exit::of_lake_diff(&outcome))
}

/// A time, or the id of a run.
fn as_of(text: &str, zone: &Zone) -> Result<AsOf> {
    match Point::parse(text, zone) {
        Ok(Point::Version(_)) if text.starts_with(['v', 'V']) => {
            Err(Error::new(Kind::Usage, format!("`{text}` is the version of one table"))
                .fact("expected", "a time or a run, which the whole lake has")
                .help("stedi-delta query \"select run, ended_at from runs order by ended_at\""))
        }
        Ok(point @ Point::Time { .. }) => Ok(AsOf::Time(point)),
        Ok(Point::Version(_)) | Err(_) => Ok(AsOf::Run(text.to_owned())),
    }
}
