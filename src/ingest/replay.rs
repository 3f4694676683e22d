//! Reads records in quarantine again: those that the current definition accepts land, as a batch like any other.

use std::collections::BTreeMap;

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};

use super::expect::Expectations;
use super::finish::finish;
use super::format::{self, Decoder, Landed, Options, Piece, RecordShape};
use super::ledger::{Batch, FileRow, Ledger, Wal};
use super::recover::{LandedFiles, Recovered, TableState, recover, state_of};
use super::schema_diff::evolve_schema;
use super::{LandingContext, Report};
use crate::digest::{DigestKey, Place, RowDigest};
use crate::error::{Context, Error, Result};
use crate::lake::{DataWriter, LakeTable, Layout};
use crate::outcome::Io;
use crate::plan;
use crate::storage::Location;

/// The result for a landing table and its quarantine.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The current table.
    pub table: LakeTable,
    /// Its version before.
    pub version_before: Option<u64>,
    /// Records that landed.
    pub landed: u64,
    /// Records that stay, by reason.
    pub stay: BTreeMap<String, u64>,
    /// Files and bytes.
    pub io: Io,
}

/// Records that can land, as a batch for the ledger.
struct Accepted {
    /// `None` if no record can.
    batch: Option<Batch>,
    landed: u64,
    stay: BTreeMap<String, u64>,
}

/// Reads every record in quarantine again, by the current definition, and lands those that it accepts.
///
/// # Errors
/// When the table does not exist yet; when the quarantine or a source file cannot be read; as [`recover`] and the
/// commits.
pub(crate) async fn replay(
    context: &LandingContext<'_>,
    warehouse: &Location,
    (ledger, session): (&Ledger, &SessionContext),
    report: &Report<'_>,
) -> Result<Replayed> {
    let Recovered { current, version_before, .. } =
        recover(context, state_of(context, (ledger, session)).await?, (ledger, session), LandedFiles::Stay, report)
            .await?;
    let Some(table) = current.table.clone() else {
        return Err(Error::failed(format!("{} does not exist yet", context.table.name)).help("stedi-delta sync"));
    };
    let shaped = evolve_schema(context, &current.uuid, Some(table.clone())).await?;
    let mut table = shaped.map_or(table, |(table, _)| table);
    let Accepted { batch, landed, stay } = accept(context, (ledger, session), &current).await?;
    let mut io = Io::default();
    if let Some((batch, wal)) = batch.as_ref().and_then(|batch| Some((batch, batch.wal.as_ref()?))) {
        ledger.commit(warehouse, std::slice::from_ref(batch), &context.run).await?;
        let (after, done) = finish(context, &current.uuid, batch.number, wal).await?;
        io = Io { files_added: done.io.files_added, bytes_written: done.io.bytes_written, ..io };
        table = after;
    }
    Ok(Replayed { table, version_before, landed, stay, io })
}

/// Reads every record in quarantine again.
async fn accept(
    context: &LandingContext<'_>,
    (ledger, session): (&Ledger, &SessionContext),
    current: &TableState,
) -> Result<Accepted> {
    let doing = || format!("the quarantine of {} cannot be read", context.table.name);
    let mut outcome = Accepted { batch: None, landed: 0, stay: BTreeMap::new() };
    let Some(table) = LakeTable::open(&context.quarantine).await? else { return Ok(outcome) };
    let frame = session.read_table(table.provider(session, None).await?).context(doing)?;
    let mut rows = frame.execute_stream().await.context(doing)?;
    let (shape, format) = (RecordShape::of(context.table), format::of(context.format()));
    let expectations = Expectations::new(context.table)?;
    let digests = DigestKey::of(&context.privacy);
    let mut writer = DataWriter::over(&context.location, context.table.schema(), context.target_file_size)
        .layout(Layout::defined(context.table))
        .digested(digests.clone());
    let mut replayed: Vec<(String, i64)> = Vec::new();
    // Then the ledger does not know that some of these files were read: a sync reads them again completely.
    let is_ahead = table.state().batch() > current.ledger.newest;
    let unread = |file: &str| is_ahead && !current.ledger.files.contains_key(file);
    while let Some(batch) = rows.try_next().await.context(doing)? {
        for row in 0..batch.num_rows() {
            let Some(record) = Record::at(&batch, row) else {
                *outcome.stay.entry("it has no file or no offset: another writer wrote it".into()).or_insert(0) += 1;
                continue;
            };
            let attempt = match record.bytes(context).await {
                Ok(_) if unread(&record.file) => Err("its file is not in the ledger: stedi-delta sync".into()),
                Ok(bytes) => {
                    format.read_one(&shape, &record.file, record.offset.unsigned_abs(), &bytes, Options::default())
                }
                Err(reason) => Err(reason),
            };
            match attempt.and_then(|batch| accepted(&expectations, batch)) {
                Ok(batch) => {
                    writer.write(&batch).await?;
                    replayed.push((record.file, record.offset));
                }
                Err(reason) => *outcome.stay.entry(reason).or_insert(0) += 1,
            }
        }
    }
    let written = writer.close().await?;
    outcome.landed = written.rows;
    if !replayed.is_empty() {
        let number = current.ledger.newest.max(table.state().batch()) + 1;
        let sealed = |rows: Option<RowDigest>, place: Place<'_>| Some(digests.as_ref()?.seal(&rows?, &place));
        outcome.batch = Some(Batch {
            table: context.table.name.to_string(),
            uuid: current.uuid.clone(),
            number,
            files: recount((ledger, session), context.table.name.as_str(), &current.uuid, &replayed).await?,
            wal: Some(Wal {
                rows_landed: written.rows,
                landing: written.adds,
                replayed,
                digest_landing: sealed(written.digest, Place::Landing(&current.uuid, number)),
                digest_quarantine: sealed(Some(RowDigest::default()), Place::Quarantine(&current.uuid, number)),
                columns: Wal::written_with(&context.table.columns),
                expectations: plan::expectations(context.table),
                ..Wal::default()
            }),
        });
    }
    Ok(outcome)
}

fn accepted(expectations: &Expectations, batch: RecordBatch) -> std::result::Result<RecordBatch, String> {
    let checked = expectations.check(Landed { batch, raw: None }, &mut BTreeMap::new());
    match checked {
        Ok(checked) if checked.landed.num_rows() > 0 => Ok(checked.landed),
        Ok(_) => Err("an expectation is not met".into()),
        Err(error) => Err(error.message().to_owned()),
    }
}

/// The files' ledger rows with the replayed records moved from quarantined to landed.
async fn recount(
    (ledger, session): (&Ledger, &SessionContext),
    table: &str,
    uuid: &str,
    replayed: &[(String, i64)],
) -> Result<Vec<FileRow>> {
    let mut moved: BTreeMap<&str, u64> = BTreeMap::new();
    for (file, _) in replayed {
        *moved.entry(file).or_insert(0) += 1;
    }
    let known = ledger.rows(session, table, uuid, &moved.keys().copied().collect()).await?;
    let mut rows: Vec<FileRow> = moved
        .into_iter()
        .filter_map(|(file, count)| {
            let mut row = known.get(file)?.clone();
            row.landed += count;
            row.quarantined = row.quarantined.saturating_sub(count);
            Some(row)
        })
        .collect();
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(rows)
}

struct Record {
    file: String,
    offset: i64,
    length: u64,
    raw: Vec<u8>,
}

impl Record {
    fn at(batch: &RecordBatch, row: usize) -> Option<Self> {
        let raw = batch.column_by_name("raw")?.as_binary_opt::<i32>()?;
        let long = |name: &str| {
            let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
            column.is_valid(row).then(|| column.value(row))
        };
        let file = batch.column_by_name("source_file")?.as_string_opt::<i32>()?;
        Some(Self {
            file: file.is_valid(row).then(|| file.value(row).to_owned())?,
            offset: long("source_offset")?,
            length: long("length")?.unsigned_abs(),
            raw: if raw.is_null(row) { Vec::new() } else { raw.value(row).to_vec() },
        })
    }

    /// The whole record: from quarantine if it keeps all bytes, else from the file.
    async fn bytes(&self, context: &LandingContext<'_>) -> std::result::Result<Vec<u8>, String> {
        if self.raw.len() as u64 == self.length {
            return Ok(self.raw.clone());
        }
        let limit = Options::default().max_record as u64;
        if self.length > limit {
            return Err(format!("record is longer than {limit} bytes"));
        }
        let gone = || format!("its file is gone, and quarantine keeps only the first {} bytes", self.raw.len());
        let meta = context.root.find(&self.file).await.map_err(|e| e.to_string())?.ok_or_else(gone)?;
        let mut decoder = Decoder::new();
        let (from, to) = (self.offset.unsigned_abs(), self.offset.unsigned_abs() + self.length);
        let (mut at, mut record) = (0_u64, Vec::new());
        let mut take = |piece: Piece<'_>| {
            let bytes = match piece {
                Piece::Bytes(bytes) => bytes,
                // It counts as a byte that is in no record.
                Piece::Gap(_) => &[0],
            };
            let end = at + bytes.len() as u64;
            let (start, stop) = (from.clamp(at, end) - at, to.clamp(at, end) - at);
            record.extend_from_slice(&bytes[start as usize..stop as usize]);
            at = end;
        };
        let mut chunks = context.root.chunks(&meta);
        // A file may be damaged after the record.
        let mut damage = None;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|e| e.to_string())?;
            damage = decoder.push(&chunk, &mut take).err();
            if damage.is_some() {
                break;
            }
        }
        if damage.is_none() {
            damage = decoder.finish(&mut take).err();
        }
        if record.len() as u64 == self.length && record.starts_with(&self.raw) {
            Ok(record)
        } else {
            Err(damage.unwrap_or_else(|| "its file changed since".into()))
        }
    }
}
