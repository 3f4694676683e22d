//! Landing files -> uncommitted data files of the landing and quarantine tables.
//!
//! Every worker takes one file after the other; reading and parsing go on while the rows of before are encoded. A file
//! is never in memory whole.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::arrow::array::RecordBatch;
use deltalake::logstore::object_store::prefix::PrefixStore;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::expect::Expectations;
use super::fields::FURTHER;
use super::ledger::FileRow;
use super::read::{Decoder, Options, RecordReader, quarantine_columns};
use crate::definition::{Column, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Context, Error, Result};
use crate::lake::{DataWriter, Written};
use crate::storage::{Location, ObjectMeta};

/// Below this many bytes a second worker would only make more, smaller files.
const BYTES_PER_WORKER: u64 = 8 << 20;
/// Batches that may wait for the encoder.
const QUEUE: usize = 4;

/// A file to be read.
#[derive(Clone, Debug)]
pub struct Input {
    /// Path under the landing root.
    pub path: String,
    /// What the store knows of it.
    pub meta: ObjectMeta,
}

/// What was read and written.
#[derive(Debug, Default)]
pub struct Parsed {
    /// One row per file, in the order of the paths.
    pub files: Vec<FileRow>,
    /// Landing rows.
    pub landing: Written,
    /// Quarantined records.
    pub quarantine: Written,
    /// Unknown fields and how often each was there.
    pub unknown_fields: BTreeMap<String, u64>,
    /// Quarantined records: file, offset, reason; the first few.
    pub examples: Vec<(String, u64, String)>,
    /// Rows that failed a warning expectation, by its name.
    pub warned: BTreeMap<String, u64>,
    /// Bytes read from the landing store.
    pub bytes_read: u64,
}

/// Where the rows go.
pub struct Target<'a> {
    /// The landing table's definition.
    pub table: &'a Table,
    /// Folder of the landing table.
    pub landing: Location,
    /// Folder of the quarantine table.
    pub quarantine: Location,
    /// Size at which data files are closed.
    pub target_file_size: u64,
}

/// Parses `inputs` of the landing root `root`.
///
/// # Errors
/// When a file cannot be read or changed meanwhile, a data file cannot be written, or a `fail` expectation fails.
pub async fn parse(root: &Location, inputs: Vec<Input>, target: &Target<'_>) -> Result<Parsed> {
    let bytes: u64 = inputs.iter().map(|i| i.meta.size).sum();
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let workers = usize::try_from(bytes / BYTES_PER_WORKER).unwrap_or(cores).clamp(1, cores).min(inputs.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(inputs)));
    let plan = Arc::new(Plan {
        root: root.clone(),
        columns: declared(target.table),
        expectations: Expectations::new(target.table)?,
    });
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let (rows, rows_in) = mpsc::channel(QUEUE);
            let (faults, faults_in) = mpsc::channel(QUEUE);
            let landing = encode(target.landing.clone(), target.table.schema(), target.target_file_size, rows_in);
            let schema = schema_of(&quarantine_columns());
            let quarantine = encode(target.quarantine.clone(), schema, target.target_file_size, faults_in);
            let worker = tokio::spawn(work(plan.clone(), queue.clone(), rows, faults));
            (worker, tokio::spawn(landing), tokio::spawn(quarantine))
        })
        .collect();
    let mut parsed = Parsed { bytes_read: bytes, ..Parsed::default() };
    let mut first_error = None;
    for (worker, landing, quarantine) in tasks {
        let joined = async {
            // The worker's error first: an encoder only sees its queue end.
            let worker = worker.await.context(cut_short);
            let landing = landing.await.context(cut_short);
            let quarantine = quarantine.await.context(cut_short);
            Ok::<_, Error>((worker??, landing??, quarantine??))
        };
        match joined.await {
            Ok((found, landing, quarantine)) => parsed.add(found, landing, quarantine),
            Err(error) => {
                // The others need not go on.
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                first_error.get_or_insert(error);
            }
        }
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    parsed.files.sort_by(|a, b| a.path.cmp(&b.path));
    parsed.examples.sort();
    Ok(parsed)
}

fn cut_short() -> String {
    "reading the landing files was cut short".into()
}

/// The columns that a record can fill.
pub fn declared(table: &Table) -> Vec<Column> {
    table.columns.iter().filter(|c| c.name != SOURCE_FILE && c.name != SOURCE_OFFSET).cloned().collect()
}

fn schema_of(columns: &[Column]) -> deltalake::arrow::datatypes::SchemaRef {
    Arc::new(deltalake::arrow::datatypes::Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}

struct Plan {
    root: Location,
    columns: Vec<Column>,
    expectations: Expectations,
}

/// What one worker found.
#[derive(Default)]
struct Found {
    files: Vec<FileRow>,
    unknown_fields: BTreeMap<String, u64>,
    examples: Vec<(String, u64, String)>,
    warned: BTreeMap<String, u64>,
}

impl Parsed {
    fn add(&mut self, found: Found, landing: Written, quarantine: Written) {
        self.files.extend(found.files);
        self.examples.extend(found.examples);
        for (to, from) in [(&mut self.unknown_fields, found.unknown_fields), (&mut self.warned, found.warned)] {
            for (name, count) in from {
                *to.entry(name).or_insert(0) += count;
            }
        }
        for (to, from) in [(&mut self.landing, landing), (&mut self.quarantine, quarantine)] {
            to.rows += from.rows;
            to.adds.extend(from.adds);
        }
    }
}

async fn encode(
    location: Location,
    schema: deltalake::arrow::datatypes::SchemaRef,
    target_file_size: u64,
    mut batches: mpsc::Receiver<RecordBatch>,
) -> Result<Written> {
    let store = Arc::new(PrefixStore::new(location.store.clone(), location.path.clone()));
    let mut writer = DataWriter::over(store, schema, target_file_size);
    while let Some(batch) = batches.recv().await {
        writer.write(&batch).await?;
    }
    writer.close().await
}

async fn work(
    plan: Arc<Plan>,
    queue: Arc<Mutex<VecDeque<Input>>>,
    rows: mpsc::Sender<RecordBatch>,
    faults: mpsc::Sender<RecordBatch>,
) -> Result<Found> {
    let mut found = Found::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(input) = next else { return Ok(found) };
        read(&plan, &input, &mut found, &rows, &faults).await?;
    }
}

async fn read(
    plan: &Plan,
    input: &Input,
    found: &mut Found,
    rows: &mpsc::Sender<RecordBatch>,
    faults: &mpsc::Sender<RecordBatch>,
) -> Result<()> {
    let options = Options { keep_raw: plan.expectations.quarantine(), ..Options::default() };
    let mut reader = RecordReader::new(&plan.columns, &input.path, options);
    let mut decoder = Decoder::new();
    let mut hasher = blake3::Hasher::new();
    let mut chunks = plan.root.chunks(&input.meta);
    let mut by_check = 0;
    let mut broken: Option<String> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        hasher.update(&chunk);
        if broken.is_none() {
            // Decoded pieces are small, so what piles up before it is sent stays small too.
            let mut failure = None;
            let decoded = decoder.push(&chunk, &mut |piece| {
                if failure.is_none() {
                    failure = reader.push(piece).err();
                }
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
            broken = decoded.err();
        }
        by_check += send(plan, &mut reader, found, rows, faults).await?;
    }
    if broken.is_none() {
        let mut failure = None;
        let ended = decoder.finish(&mut |piece| {
            if failure.is_none() {
                failure = reader.push(piece).err();
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        broken = ended.err();
    }
    match broken {
        Some(reason) => reader.break_off(reason)?,
        None => reader.finish()?,
    }
    by_check += send(plan, &mut reader, found, rows, faults).await?;
    let counts = reader.counts().clone();
    for (name, count) in counts.unknown_fields.by_name {
        *found.unknown_fields.entry(name).or_insert(0) += count;
    }
    if counts.unknown_fields.other > 0 {
        *found.unknown_fields.entry(FURTHER.to_owned()).or_insert(0) += counts.unknown_fields.other;
    }
    found.examples.extend(counts.examples.into_iter().map(|(at, why)| (input.path.clone(), at, why)));
    found.files.push(FileRow {
        path: input.path.clone(),
        size: input.meta.size,
        etag: input.meta.e_tag.clone(),
        modified_ms: input.meta.last_modified.timestamp_millis(),
        content_hash: hasher.finalize().to_hex().to_string(),
        records: counts.records,
        landed: counts.landed - by_check,
        quarantined: counts.quarantined + by_check,
    });
    Ok(())
}

/// Hands over what is ready; returns how many rows a check sent to quarantine.
async fn send(
    plan: &Plan,
    reader: &mut RecordReader,
    found: &mut Found,
    rows: &mpsc::Sender<RecordBatch>,
    faults: &mpsc::Sender<RecordBatch>,
) -> Result<u64> {
    // A closed queue means that its encoder failed, and its own error is the one to report.
    let gone = |_| Error::failed(cut_short());
    let mut by_check = 0;
    while let Some(landed) = reader.next_landed() {
        let checked = plan.expectations.check(landed, &mut found.warned)?;
        by_check += checked.quarantined.as_ref().map_or(0, |b| b.num_rows() as u64);
        if let Some(batch) = checked.quarantined {
            faults.send(batch).await.map_err(gone)?;
        }
        if checked.landed.num_rows() > 0 {
            rows.send(checked.landed).await.map_err(gone)?;
        }
    }
    while let Some(batch) = reader.next_quarantined() {
        faults.send(batch).await.map_err(gone)?;
    }
    Ok(by_check)
}
