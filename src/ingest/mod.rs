//! Landing files -> rows of a landing table, each file exactly once, although landing, quarantine and ledger are
//! different tables.
//!
//! A batch goes through four steps: its data files are written; the ledger commits its rows and a write-ahead log
//! ([`Ledger`]); the quarantine commit; the landing commit ([`finish`]). A crash before the second leaves orphan files
//! only, a crash after it is finished by the next run before it does anything else.

mod discover;
mod expect;
mod fields;
mod finish;
mod ledger;
mod notes;
mod parse;
mod quarantine;
pub mod read;
mod shape;

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::datafusion::prelude::SessionContext;
use futures::StreamExt;
use tokio::sync::Semaphore;

pub use finish::{Finished, check_open, finish};
pub use ledger::{Batch, FOLDER as LEDGER_FOLDER, FileRow, FileState, Ledger, TableLedger, Wal, WalColumn};
pub use parse::workers;
pub use quarantine::{Replay, count as count_quarantined, list as list_quarantined, replay};
pub(crate) use read::quarantine_layout;
pub use shape::{Shape, check_shape, shape};

use crate::clock;
use crate::definition::{Landing, OnOverwrite, Table};
use crate::error::{Error, Kind, Result};
use crate::lake::LakeTable;
use crate::outcome::Warning;
use crate::plan;
use crate::privacy::Privacy;
use crate::storage::{Location, ObjectMeta};
use parse::{Input, Parsed, Target};

/// A landing table and everything around it.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// Its definition.
    pub table: &'a Table,
    /// Root of the landing files.
    pub root: Location,
    /// Folder of the table.
    pub location: Location,
    /// Folder of its quarantine table.
    pub quarantine: Location,
    /// Size at which data files are closed.
    pub target_file_size: u64,
    /// One permit per file that may be read at a time, see [`workers`].
    pub workers: Arc<Semaphore>,
    /// Run id, for the log.
    pub run: String,
    /// Number of the newest migration.
    pub migration: i64,
    /// How names of fields appear in warnings.
    pub privacy: Privacy,
}

/// A landing table as it stands.
#[derive(Debug, Default)]
pub struct Standing {
    /// The table, if it exists.
    pub table: Option<LakeTable>,
    /// Its id, or the one that it will get.
    pub uuid: String,
    /// Its ledger.
    pub ledger: TableLedger,
    /// A batch that the ledger holds and the table lacks.
    pub open: Option<i64>,
    /// Files that another table of this name ingested: the quarantine, which outlives it, may hold records of theirs.
    pub former: BTreeSet<String>,
}

/// What a sync has to do about a landing table's files.
#[derive(Debug, Default)]
pub struct Pending {
    /// Files to be read.
    inputs: Vec<Input>,
    /// Of these, files whose older rows go.
    replaced: Vec<String>,
    /// Files that only look changed.
    refreshed: Vec<FileRow>,
    /// Files whose rows go and that are not read any more.
    unloaded: Vec<String>,
    /// Files too young to be read.
    pub waiting: Vec<String>,
    /// Files that are left out although they should be read: the others land.
    pub left_out: Vec<Error>,
    /// What else was found at the files.
    pub warnings: Vec<Warning>,
}

impl Pending {
    /// New files and replaced files.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.inputs.len() - self.replaced.len(), self.replaced.len())
    }

    /// Bytes of the files to be read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.meta.size).sum()
    }

    /// Files whose rows go and that are not read any more.
    #[must_use]
    pub fn unloaded(&self) -> &[String] {
        &self.unloaded
    }

    /// Whether a file that is read again, or is still too young to be, is `wanted`.
    #[must_use]
    pub fn names(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.replaced.iter().chain(&self.waiting).any(|path| wanted(path))
    }
}

/// A batch whose data files are written and that nobody knows of yet.
#[derive(Debug)]
pub struct Prepared {
    /// For the ledger.
    pub batch: Batch,
    /// Source files read.
    pub files_read: u64,
    /// Bytes of source files read.
    pub bytes_read: u64,
    /// Why the table changes: `3 new files`.
    pub reason: String,
    /// Unknown fields, quarantined records, failed warnings.
    pub warnings: Vec<Warning>,
}

/// Looks at a landing table and its ledger.
///
/// # Errors
/// When the table was put back to a state from which the ledger's batches cannot be finished, or the ledger to one that
/// lacks the table's, unless it is `reloaded`; `Conflict` when another sync landed a batch since the ledger was read.
pub async fn standing(
    place: &Place<'_>,
    ledger: &Ledger,
    session: &SessionContext,
    reloaded: bool,
) -> Result<Standing> {
    let name = place.table.name.as_str();
    let Some(table) = LakeTable::open(&place.location).await? else {
        // The ledger decides on a batch before the table exists: its files show that. Where there are none, the table may
        // as well have been deleted by hand, and then it starts anew under another id: with the same one, who consumed
        // v0 of the old table would take it for v0 of the new one.
        if let Some(uuid) = ledger.newest_uuid(name) {
            let known = ledger.of(name, uuid);
            if let [only] = known.logged.as_slice() {
                let wal = ledger.wal(session, name, uuid, *only).await?;
                if !wal.landing.is_empty() && files_exist(&place.location, &wal).await {
                    let open = Some(*only);
                    return Ok(Standing { uuid: uuid.to_owned(), ledger: known, open, ..Standing::default() });
                }
            }
        }
        let (newest, former) = ledger.all_of(name);
        let uuid = clock::random_uuid().to_string();
        let known = TableLedger { newest, ..TableLedger::default() };
        return Ok(Standing { uuid, ledger: known, former, ..Standing::default() });
    };
    table.check_files()?;
    if let Some(number) = table.state().impossible_batch().filter(|_| !reloaded) {
        return Err(Error::failed(format!("batch {number} of {name} is none that a sync gave out"))
            .fact("table", format!("{} (v{}, unchanged)", table.location(), table.version()))
            .fact("because", "somebody else wrote it into the table's log: nobody knows which batches have landed")
            .help(format!("stedi-delta sync --reload {name}   (swaps the rows of every landing file)")));
    }
    let uuid = table.uuid();
    let mut known = ledger.of(name, &uuid);
    if table.state().batch() > known.newest {
        behind(&table, &known, (name, ledger), reloaded).await?;
    }
    let lacking: Vec<i64> = known.logged.iter().copied().filter(|n| *n > table.state().batch()).collect();
    let finishable = match lacking.as_slice() {
        // A copy put back from before the batch lacks its data files, too.
        // Nobody knows whether the table holds it.
        [_] if table.state().impossible_batch().is_some() => false,
        [only] => files_exist(&place.location, &ledger.wal(session, name, &uuid, *only).await?).await,
        _ => false,
    };
    let open = match lacking.as_slice() {
        [] => None,
        [only] if finishable => Some(*only),
        [..] if reloaded => None,
        [first, ..] => {
            return Err(Error::new(Kind::Failed, format!("{name} was put back to a state before batch {first}"))
                .fact("found", format!("batch {} in the table, {} in the ledger", table.state().batch(), known.newest))
                .fact("because", "the ledger says that these files have landed, and the table does not hold them")
                .help(format!("stedi-delta sync --reload {name}")));
        }
    };
    // Another table of this name came later, and this one was put in its place again.
    let former = if ledger.newest(name) > known.newest { ledger.all_of(name).1 } else { BTreeSet::new() };
    known.newest = ledger.newest(name).max(table.state().batch());
    Ok(Standing { table: Some(table), uuid, ledger: known, open, former })
}

/// The table holds a batch that the ledger lacks. Its number would be given out again, and a batch with a number that
/// the table has counts as carried out.
async fn behind(table: &LakeTable, known: &TableLedger, (name, ledger): (&str, &Ledger), reloaded: bool) -> Result<()> {
    let batch = table.state().batch();
    if ledger.moved().await? {
        return Err(Error::conflict(format!("another sync has landed batch {batch} of {name} meanwhile"))
            .help("run the command again; it reads the ledger anew"));
    }
    if reloaded {
        return Ok(());
    }
    Err(Error::new(Kind::Failed, format!("the ledger of ingested files lacks batch {batch} of {name}"))
        .fact("found", format!("batch {batch} in the table, {} in the ledger", known.newest))
        .fact("table", format!("{} (v{}, unchanged)", table.location(), table.version()))
        .fact(
            "because",
            format!(
                "`{LEDGER_FOLDER}` was deleted or put back, or the table's folder came from elsewhere: nobody knows \
                 which files have landed"
            ),
        )
        .help(format!("stedi-delta sync --reload {name}   (swaps the rows of every landing file)")))
}

async fn files_exist(location: &Location, wal: &Wal) -> bool {
    for add in &wal.landing {
        if location.head(&add.path).await.is_err() {
            return false;
        }
    }
    true
}

/// What is asked about single files of a landing table.
pub struct Asked<'a> {
    /// Whether a file is to be read again.
    pub reload: &'a (dyn Fn(&str) -> bool + Sync),
    /// The same for one that is named by its path: only that brings back what was unloaded.
    pub reload_path: &'a (dyn Fn(&str) -> bool + Sync),
    /// Whether a file's rows are to be taken out.
    pub unload: &'a (dyn Fn(&str) -> bool + Sync),
}

impl Asked<'_> {
    /// Nothing is asked.
    pub const NOTHING: Self = Self { reload: &|_| false, reload_path: &|_| false, unload: &|_| false };
}

/// Lists the landing files and compares them with the ledger; reads only files that look changed. With `patience`,
/// files that were written a moment ago are waited for.
///
/// # Errors
/// When the store fails.
pub async fn pending(
    place: &Place<'_>,
    landing: &Landing,
    standing: &Standing,
    (ledger, session): (&Ledger, &SessionContext),
    asked: &Asked<'_>,
    patience: bool,
) -> Result<Pending> {
    let found = discover::discover(&place.root, landing, patience).await?;
    let mut pending = Pending { waiting: found.waiting.clone(), ..Pending::default() };
    let name = place.table.name.as_str();
    pending.left_out.extend(notes::odd(name, &found.odd));
    pending.warnings.extend(notes::outside(name, &found.outside));
    pending.warnings.extend(notes::deleted(place, standing));
    if found.is_empty() {
        let known = standing.ledger.files.keys().chain(&standing.former);
        // Files that landed and are gone since were there: stores delete old ones.
        if !discover::any_fits(landing, known)? {
            pending.warnings.push(notes::nothing(place, landing).await?);
        }
    }
    let unloaded = ledger.unloaded(name);
    pending.unloaded = unload(standing, &found, asked);
    let mut overwritten = Vec::new();
    let mut suspect = Vec::new();
    let mut skipped = Vec::new();
    pending.waiting.retain(|path| !(asked.unload)(path));
    for (path, meta) in found.files {
        if (asked.unload)(&path) {
            continue;
        }
        if unloaded.contains(&path) && !(asked.reload_path)(&path) {
            skipped.push(path);
            continue;
        }
        if (asked.reload)(&path) {
            pending.replaced.push(path.clone());
            pending.inputs.push(Input { path, meta });
            continue;
        }
        match standing.ledger.files.get(&path) {
            None => pending.inputs.push(Input { path, meta }),
            Some(known) if same_state(known, &meta) => {}
            Some(known) => suspect.push((path, known.size == meta.size, meta)),
        }
    }
    // Only what is as long as it was can be the same, and only then its hash is asked for.
    let wanted = suspect.iter().filter(|(_, as_long, _)| *as_long).map(|(path, ..)| path.as_str()).collect();
    let rows = ledger.rows(session, place.table.name.as_str(), &standing.uuid, &wanted).await?;
    for (path, as_long, meta) in suspect {
        let known = rows.get(&path).filter(|_| as_long);
        if let Some(known) = known
            && hash(&place.root, &meta).await? == known.content_hash
        {
            pending.refreshed.push(FileRow {
                etag: meta.e_tag.clone(),
                modified_ms: meta.last_modified.timestamp_millis(),
                ..known.clone()
            });
        } else if landing.on_overwrite == OnOverwrite::Replace {
            pending.replaced.push(path.clone());
            pending.inputs.push(Input { path, meta });
        } else {
            overwritten.push(path);
        }
    }
    pending.left_out.extend(notes::overwritten(name, &overwritten));
    pending.warnings.extend(notes::skipped(name, &skipped));
    Ok(pending)
}

/// The files that are asked to be unloaded, of those that landed, whoever's table it was, and those that are there.
fn unload(standing: &Standing, found: &discover::Discovery, asked: &Asked<'_>) -> Vec<String> {
    let landed = standing.ledger.files.keys().chain(&standing.former);
    let there = found.files.iter().map(|(path, _)| path).chain(&found.waiting);
    let wanted: BTreeSet<&String> = landed.chain(there).filter(|path| (asked.unload)(path)).collect();
    wanted.into_iter().cloned().collect()
}

fn same_state(known: &FileState, meta: &ObjectMeta) -> bool {
    known.size == meta.size && known.etag == meta.e_tag && known.modified_ms == meta.last_modified.timestamp_millis()
}

async fn hash(root: &Location, meta: &ObjectMeta) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut chunks = root.chunks(meta);
    while let Some(chunk) = chunks.next().await {
        hasher.update(&chunk?);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// The newest batch of the quarantine table. It may be ahead of the ledger and the landing table, where these two were
/// deleted or put back and it was not.
async fn quarantined(place: &Place<'_>) -> Result<i64> {
    Ok(LakeTable::open(&place.quarantine).await?.map_or(0, |table| table.state().batch()))
}

/// Reads the pending files and writes their data files; `None` when there is nothing to record.
///
/// # Errors
/// As those of reading and writing files.
pub async fn prepare(place: &Place<'_>, standing: &Standing, pending: Pending) -> Result<Option<Prepared>> {
    if pending.inputs.is_empty() && pending.refreshed.is_empty() && pending.unloaded.is_empty() {
        return Ok(None);
    }
    // Once the ledger has decided on the batch it must be possible to commit it.
    if let Some(table) = &standing.table {
        table.check_writable()?;
    }
    let (new, replaced) = pending.counts();
    let mut gone = pending.replaced;
    gone.extend(pending.unloaded.iter().cloned());
    let in_quarantine = quarantined(place).await?;
    let newest = standing.ledger.newest;
    // It may hold records of these files, from batches that nobody else knows of.
    let held = |path: &String| in_quarantine > newest || standing.former.contains(path);
    let known: BTreeSet<String> = gone.iter().cloned().collect();
    let inputs = pending.inputs.iter().map(|input| &input.path);
    gone.extend(inputs.filter(|path| held(path) && !known.contains(*path)).cloned());
    if let Some(table) = standing.table.as_ref().filter(|_| !gone.is_empty()) {
        table.check_removable()?;
    }
    let target = Target {
        table: place.table,
        landing: place.location.clone(),
        quarantine: place.quarantine.clone(),
        target_file_size: place.target_file_size,
        workers: place.workers.clone(),
    };
    let parsed = parse::parse(&place.root, pending.inputs, &target).await?;
    let warnings = notes::of_records(place, &parsed);
    notes::check_quarantined(place, &parsed)?;
    let Parsed { mut files, landing, quarantine, bytes_read, .. } = parsed;
    let files_read = files.len() as u64;
    files.extend(pending.refreshed);
    files.extend(pending.unloaded.iter().map(|path| FileRow::unloaded(path)));
    let wal = Wal {
        rows_landed: landing.rows,
        rows_quarantined: quarantine.rows,
        landing: landing.adds,
        quarantine: quarantine.adds,
        quarantine_uuid: clock::random_uuid().to_string(),
        replaced: gone,
        replayed: Vec::new(),
        columns: Wal::written_with(&place.table.columns),
        expectations: plan::expectations(place.table),
    };
    let nothing = wal.landing.is_empty() && wal.quarantine.is_empty() && wal.replaced.is_empty();
    Ok(Some(Prepared {
        batch: Batch {
            table: place.table.name.to_string(),
            uuid: standing.uuid.clone(),
            number: newest.max(in_quarantine) + 1,
            files,
            wal: (!nothing).then_some(wal),
        },
        files_read,
        bytes_read,
        reason: reason(&[(new, "new"), (replaced, "replaced"), (pending.unloaded.len(), "unloaded")]),
        warnings,
    }))
}

fn reason(counts: &[(usize, &str)]) -> String {
    let files = |(n, what): &(usize, &str)| format!("{n} {what} file{}", if *n == 1 { "" } else { "s" });
    counts.iter().filter(|(n, _)| *n > 0).map(files).collect::<Vec<_>>().join(", ")
}
