//! Applies a statement to the rows of a table: every data file is read once, in order, and written once.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::datatypes::Int64Type;
use deltalake::arrow::util::display::array_value_to_string;
use futures::{StreamExt, TryStreamExt};

use crate::definition::{SOURCE_FILE, SOURCE_OFFSET};
use crate::error::{Context, Error, Result};
use crate::lake::{Add, DataWriter, DeltaFile, LakeTable, Layout, rows};
use crate::merge::complete;
use crate::migration::Reshape;

/// Memory estimated for a file that is read and written: an open row group and its input.
const PER_FILE: u64 = 256 << 20;

/// The number of files that are read and written concurrently within a memory limit.
pub(super) fn at_once(memory_limit: u64) -> usize {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    usize::try_from(memory_limit / PER_FILE).unwrap_or(usize::MAX).clamp(1, processors)
}

/// Rows that violate a statement.
#[derive(Debug, Default)]
pub(super) struct Violations {
    /// Which of the statements.
    pub step: usize,
    /// How many rows.
    pub rows: u64,
    /// Where the first one came from: file and byte.
    pub first: Option<(String, i64)>,
    /// Its key, as text.
    pub key: Option<String>,
    /// Why its value cannot be computed; `None` = it is NULL where it cannot be.
    pub because: Option<Error>,
    /// Whether there may be more rows: not all were computed.
    pub is_least: bool,
}

/// Rows of a file whose values cannot be computed, after which the rest is not looked at: each is computed alone.
const MOST: u64 = 10_000;

/// The rows that violate the first violated one of several successive statements.
///
/// # Errors
/// If a file cannot be read, or a value cannot be computed.
pub(super) async fn violations(
    table: &LakeTable,
    steps: &Arc<Vec<Reshape>>,
    key: &[String],
    at_once: usize,
) -> Result<Option<Violations>> {
    let found = each(table, at_once, |file| {
        let (table, steps, key) = (table.clone(), Arc::clone(steps), key.to_vec());
        async move { violations_in(&table, &file, &steps, &key).await }
    });
    let mut all: Option<Violations> = None;
    for some in found.await?.into_iter().flatten() {
        all = Some(match all {
            None => some,
            Some(all) if some.step > all.step => all,
            Some(all) if some.step < all.step => some,
            Some(all) => Violations { rows: all.rows + some.rows, is_least: all.is_least || some.is_least, ..all },
        });
    }
    Ok(all)
}

async fn violations_in(
    table: &LakeTable,
    file: &DeltaFile,
    steps: &[Reshape],
    key: &[String],
) -> Result<Option<Violations>> {
    let schema = table.schema();
    let mut stream = rows(table.location(), file, None).await?;
    let mut found: Option<Violations> = None;
    while let Some(batch) = stream.try_next().await.context(|| file.unreadable())? {
        let stored = complete(&batch, &schema)?;
        let mut batch = stored.clone();
        for (step, reshape) in steps.iter().enumerate() {
            let violation = match reshape.checked(&batch) {
                Ok(next) => {
                    batch = next;
                    continue;
                }
                Err(violation) => violation,
            };
            match &mut found {
                Some(known) if known.step == step => known.rows += violation.rows,
                Some(known) if known.step < step => {}
                _ => {
                    let (first, key) = (place(&stored, violation.first), values(&stored, key, violation.first));
                    let (rows, because) = (violation.rows, violation.because);
                    found = Some(Violations { step, rows, first, key, because, is_least: false });
                }
            }
            break;
        }
        if let Some(known) = found.as_mut().filter(|known| known.because.is_some() && known.rows > MOST) {
            known.is_least = true;
            break;
        }
    }
    Ok(found)
}

/// Where a row of a landing table came from.
fn place(batch: &RecordBatch, row: usize) -> Option<(String, i64)> {
    let file = batch.column_by_name(SOURCE_FILE)?.as_string_opt::<i32>()?;
    let offset = batch.column_by_name(SOURCE_OFFSET)?.as_primitive_opt::<Int64Type>()?;
    (file.is_valid(row) && offset.is_valid(row)).then(|| (file.value(row).to_owned(), offset.value(row)))
}

fn values(batch: &RecordBatch, key: &[String], row: usize) -> Option<String> {
    let value = |name: &String| array_value_to_string(batch.column_by_name(name)?, row).ok();
    let values = key.iter().map(value).collect::<Option<Vec<_>>>()?;
    (!values.is_empty()).then(|| values.join(", "))
}

/// Writes new data files for a table by a statement. No version refers to them until a commit does.
///
/// # Errors
/// If a file cannot be read or written, or a row added since the check violates the statement. The new files are deleted
/// again.
pub(super) async fn rewritten(
    table: &LakeTable,
    step: &Arc<Reshape>,
    layout: &Layout,
    target_file_size: u64,
    at_once: usize,
) -> Result<Vec<Add>> {
    let written = each(table, at_once, |file| {
        let (table, step, layout) = (table.clone(), Arc::clone(step), layout.clone());
        async move { rewrite(&table, &file, &step, layout, target_file_size).await }
    });
    Ok(written.await?.into_iter().flatten().collect())
}

async fn rewrite(
    table: &LakeTable,
    file: &DeltaFile,
    step: &Reshape,
    layout: Layout,
    target_file_size: u64,
) -> Result<Vec<Add>> {
    let schema = table.schema();
    let mut stream = rows(table.location(), file, None).await?;
    let mut writer = DataWriter::over(table.location(), step.schema().clone(), target_file_size).layout(layout);
    let mut refused = None;
    while let Some(batch) = stream.try_next().await.context(|| file.unreadable())? {
        match step.checked(&complete(&batch, &schema)?) {
            Ok(batch) => writer.write(&batch).await?,
            Err(violation) => {
                refused = Some(violation);
                break;
            }
        }
    }
    let adds = writer.close().await?.adds;
    match refused {
        None => Ok(adds),
        Some(violation) => {
            discard(table, &adds).await;
            if let Some(because) = violation.because {
                return Err(because);
            }
            let message = format!("{} rows of {} do not fit what was checked", violation.rows, table.location());
            Err(Error::conflict(message).help("run the command again; it looks at the rows anew"))
        }
    }
}

/// Deletes files that no version will name.
pub(super) async fn discard(table: &LakeTable, adds: &[Add]) {
    for path in adds.iter().map(|add| add.path.as_str()).collect::<BTreeSet<_>>() {
        table.location().remove(path).await;
    }
}

/// The results of `work` for each data file.
async fn each<T, F>(table: &LakeTable, at_once: usize, work: impl Fn(DeltaFile) -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let mut running =
        futures::stream::iter(table.files()).map(|file| tokio::spawn(work(file))).buffer_unordered(at_once);
    let mut all = Vec::new();
    while let Some(result) = running.next().await {
        all.push(result.context(|| "the work on a data file was cut short".into())??);
    }
    Ok(all)
}
