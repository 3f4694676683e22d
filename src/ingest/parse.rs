//! Landing files -> uncommitted data files of the landing and quarantine tables.
//!
//! Every worker takes one file after the other; reading and parsing overlap with encoding the previous rows. A file is
//! never completely in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::arrow::array::RecordBatch;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::expect::Expectations;
use super::fields::FURTHER;
use super::format::{
    self, Decoder, FileFormat, FileReader, Options, Piece, Ready, RecordShape, Separators, quarantine_columns,
    quarantine_layout,
};
use super::ledger::FileRow;
use crate::definition::{Column, Format, Table};
use crate::digest::{DigestKey, RowDigest};
use crate::error::{Context, Error, Result};
use crate::lake::{DataWriter, Layout, Written};
use crate::storage::{Location, ObjectMeta, is_denied};

/// Below this many bytes a second worker would only make more, smaller files.
const BYTES_PER_WORKER: u64 = 8 << 20;
/// Batches that may wait for the encoder, and how many KiB of them may be in flight from one worker.
const QUEUE: usize = 4;
const IN_FLIGHT: u32 = 32 << 10;

/// Peak memory of one worker: a record of maximum length in the buffer, in a batch and in the encoder.
const WORKER_MEMORY: u64 = 256 << 20;

/// How many files a process with `memory_limit` bytes may read concurrently, for all landing tables together.
#[must_use]
pub(crate) fn workers(memory_limit: u64) -> Arc<Semaphore> {
    let workers = usize::try_from(memory_limit / WORKER_MEMORY).unwrap_or(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(workers.clamp(1, Semaphore::MAX_PERMITS)))
}

/// A file to be read.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Path under the landing root.
    pub path: String,
    /// The store's metadata of it.
    pub meta: ObjectMeta,
}

/// The files read and the rows written.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// One row per file, in the order of the paths.
    pub files: Vec<FileRow>,
    /// Landing rows.
    pub landing: Written,
    /// Quarantined records.
    pub quarantine: Written,
    /// Separators that are not part of JSON, by file.
    pub separators: Vec<(String, Separators)>,
    /// Unknown fields and the number of their occurrences.
    pub unknown_fields: BTreeMap<String, u64>,
    /// Quarantined records: file, offset, reason; the first few.
    pub examples: Vec<(String, u64, String)>,
    /// Rows that failed a warning expectation, by its name.
    pub warned: BTreeMap<String, u64>,
    /// Files that may not be read.
    pub denied: Vec<String>,
    /// Bytes read from the landing store.
    pub bytes_read: u64,
}

/// The destination of the rows.
pub(super) struct Target<'a> {
    /// The landing table's definition.
    pub table: &'a Table,
    /// The format of its files.
    pub format: Format,
    /// Folder of the landing table.
    pub landing: Location,
    /// Folder of the quarantine table.
    pub quarantine: Location,
    /// Size at which data files are closed.
    pub target_file_size: u64,
    /// One permit per file that is read.
    pub workers: Arc<Semaphore>,
    /// The key with which rows are digested, if they are.
    pub digests: Option<DigestKey>,
}

/// Parses `inputs` of the landing root `root`.
///
/// # Errors
/// If a file cannot be read, but for lack of permission, or has changed meanwhile, a data file cannot be written, or a `fail` expectation fails.
pub(super) async fn parse(root: &Location, inputs: Vec<Input>, target: &Target<'_>) -> Result<Parsed> {
    let bytes: u64 = inputs.iter().map(|i| i.meta.size).sum();
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let workers = usize::try_from(bytes / BYTES_PER_WORKER).unwrap_or(cores).clamp(1, cores).min(inputs.len().max(1));
    let queue = Arc::new(Mutex::new(VecDeque::from(inputs)));
    let plan = Arc::new(Plan {
        root: root.clone(),
        format: format::of(target.format),
        shape: RecordShape::of(target.table),
        expectations: Expectations::new(target.table)?,
    });
    let tasks: Vec<_> = (0..workers)
        .map(|_| {
            let (rows, rows_in) = mpsc::channel(QUEUE);
            let (faults, faults_in) = mpsc::channel(QUEUE);
            let size = target.target_file_size;
            let schema = (target.table.schema(), Layout::defined(target.table));
            let landing = encode((target.landing.clone(), target.digests.clone()), schema, size, rows_in);
            let schema = (schema_of(&quarantine_columns()), quarantine_layout());
            let quarantine = encode((target.quarantine.clone(), target.digests.clone()), schema, size, faults_in);
            let out = Out { rows, faults, budget: Arc::new(Semaphore::new(IN_FLIGHT as usize)) };
            let (plan, queue, slots) = (plan.clone(), queue.clone(), target.workers.clone());
            tokio::spawn(async move {
                // Held until all rows read are written.
                let _slot = slots.acquire_owned().await.context(cut_short)?;
                let (worker, landing, quarantine) =
                    (tokio::spawn(work(plan, queue, out)), tokio::spawn(landing), tokio::spawn(quarantine));
                Ok::<_, Error>((worker.await, landing.await, quarantine.await))
            })
        })
        .collect();
    let nothing = || Written { digest: target.digests.as_ref().map(|_| RowDigest::default()), ..Written::default() };
    let mut parsed = Parsed { bytes_read: bytes, landing: nothing(), quarantine: nothing(), ..Parsed::default() };
    let mut first_error = None;
    for task in tasks {
        let joined = async {
            let (worker, landing, quarantine) = task.await.context(cut_short)??;
            // Report the worker's error first: an encoder only sees its queue end.
            let worker = worker.context(cut_short)?;
            Ok::<_, Error>((worker?, landing.context(cut_short)??, quarantine.context(cut_short)??))
        };
        match joined.await {
            Ok((found, landing, quarantine)) => parsed.add(found, landing, quarantine),
            Err(error) => {
                // The other workers need not continue.
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                first_error.get_or_insert(error);
            }
        }
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    parsed.files.sort_by(|a, b| a.path.cmp(&b.path));
    parsed.denied.sort();
    parsed.examples.sort();
    parsed.separators.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(parsed)
}

fn cut_short() -> String {
    "reading the landing files was cut short".into()
}

fn schema_of(columns: &[Column]) -> deltalake::arrow::datatypes::SchemaRef {
    Arc::new(deltalake::arrow::datatypes::Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}

struct Plan {
    root: Location,
    format: &'static dyn FileFormat,
    shape: RecordShape,
    expectations: Expectations,
}

/// The results of one worker.
#[derive(Default)]
struct Found {
    files: Vec<FileRow>,
    unknown_fields: BTreeMap<String, u64>,
    examples: Vec<(String, u64, String)>,
    separators: Vec<(String, Separators)>,
    warned: BTreeMap<String, u64>,
    denied: Vec<String>,
    bytes_denied: u64,
}

/// The destination of a worker's batches.
struct Out {
    rows: mpsc::Sender<Sent>,
    faults: mpsc::Sender<Sent>,
    budget: Arc<Semaphore>,
}

/// A batch and its share of the bytes in flight.
type Sent = (RecordBatch, OwnedSemaphorePermit);

impl Out {
    async fn send(&self, to: &mpsc::Sender<Sent>, batch: RecordBatch) -> Result<()> {
        // A closed queue means that its encoder failed; report the encoder's error.
        let kib = u32::try_from(batch.get_array_memory_size() >> 10).unwrap_or(IN_FLIGHT).clamp(1, IN_FLIGHT);
        let share = self.budget.clone().acquire_many_owned(kib).await.context(cut_short)?;
        to.send((batch, share)).await.map_err(|_| Error::failed(cut_short()))
    }
}

impl Parsed {
    fn add(&mut self, found: Found, landing: Written, quarantine: Written) {
        self.files.extend(found.files);
        self.denied.extend(found.denied);
        self.bytes_read -= found.bytes_denied;
        self.separators.extend(found.separators);
        self.examples.extend(found.examples);
        for (to, from) in [(&mut self.unknown_fields, found.unknown_fields), (&mut self.warned, found.warned)] {
            for (name, count) in from {
                *to.entry(name).or_insert(0) += count;
            }
        }
        for (to, from) in [(&mut self.landing, landing), (&mut self.quarantine, quarantine)] {
            to.rows += from.rows;
            to.digest = to.digest.zip(from.digest).map(|(to, from)| to + from);
            to.adds.extend(from.adds);
        }
    }
}

async fn encode(
    (location, digests): (Location, Option<DigestKey>),
    (schema, layout): (deltalake::arrow::datatypes::SchemaRef, Layout),
    target_file_size: u64,
    mut batches: mpsc::Receiver<Sent>,
) -> Result<Written> {
    let mut writer = DataWriter::over(&location, schema, target_file_size).layout(layout).digested(digests);
    while let Some((batch, _share)) = batches.recv().await {
        writer.write(&batch).await?;
    }
    writer.close().await
}

async fn work(plan: Arc<Plan>, queue: Arc<Mutex<VecDeque<Input>>>, out: Out) -> Result<Found> {
    let mut found = Found::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(input) = next else { return Ok(found) };
        read(&plan, &input, &mut found, &out).await?;
    }
}

async fn read(plan: &Plan, input: &Input, found: &mut Found, out: &Out) -> Result<()> {
    let options = Options { keep_raw: plan.expectations.quarantine(), ..Options::default() };
    let mut reader = plan.format.reader(&plan.shape, &input.path, options);
    let mut decoder = Decoder::new();
    let mut hasher = blake3::Hasher::new();
    let mut chunks = plan.root.chunks(&input.meta);
    let mut by_check = 0;
    let mut broken: Option<String> = None;
    while let Some(chunk) = chunks.next().await {
        let chunk = match chunk {
            // Nothing of it has been sent yet.
            Err(error) if hasher.count() == 0 && is_denied(&error) => {
                found.denied.push(input.path.clone());
                found.bytes_denied += input.meta.size;
                return Ok(());
            }
            other => other?,
        };
        hasher.update(&chunk);
        let mut rest = chunk.as_ref();
        // In pieces: a chunk may decompress to a thousand times its size.
        while broken.is_none() {
            let more = decoder.step(&mut rest, &mut |piece| take(reader.as_mut(), piece));
            by_check += send(plan, reader.as_mut(), found, out).await?;
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(reason) => broken = Some(reason),
            }
        }
    }
    while broken.is_none() {
        let more = decoder.end(&mut |piece| take(reader.as_mut(), piece));
        by_check += send(plan, reader.as_mut(), found, out).await?;
        match more {
            Ok(true) => {}
            Ok(false) => break,
            Err(reason) => broken = Some(reason),
        }
    }
    match broken {
        Some(reason) => reader.break_off(reason),
        None => reader.finish(),
    }
    by_check += send(plan, reader.as_mut(), found, out).await?;
    let counts = reader.counts();
    for (name, count) in counts.unknown_fields.by_name {
        *found.unknown_fields.entry(name).or_insert(0) += count;
    }
    if counts.unknown_fields.other > 0 {
        *found.unknown_fields.entry(FURTHER.to_owned()).or_insert(0) += counts.unknown_fields.other;
    }
    if counts.separators != Separators::default() {
        found.separators.push((input.path.clone(), counts.separators));
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
        is_unloaded: false,
    });
    Ok(())
}

fn take(reader: &mut dyn FileReader, piece: Piece<'_>) {
    match piece {
        Piece::Bytes(bytes) => reader.push(bytes),
        Piece::Gap(reason) => reader.interrupt(reason),
    }
}

/// Sends finished batches; returns how many rows a check sent to quarantine.
async fn send(plan: &Plan, reader: &mut dyn FileReader, found: &mut Found, out: &Out) -> Result<u64> {
    let mut by_check = 0;
    while let Some(ready) = reader.next_batch()? {
        match ready {
            Ready::Landed(landed) => {
                let checked = plan.expectations.check(*landed, &mut found.warned)?;
                by_check += checked.quarantined.as_ref().map_or(0, |b| b.num_rows() as u64);
                if let Some(batch) = checked.quarantined {
                    out.send(&out.faults, batch).await?;
                }
                if checked.landed.num_rows() > 0 {
                    out.send(&out.rows, checked.landed).await?;
                }
            }
            Ready::Quarantined(batch) => out.send(&out.faults, batch).await?,
        }
    }
    Ok(by_check)
}
