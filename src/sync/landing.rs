//! The first half of a sync: every landing table takes its files, and the ledger decides all batches in one commit.

use std::collections::BTreeMap;
use std::time::Instant;

use deltalake::datafusion::prelude::SessionContext;
use futures::future::join_all;

use super::{Attempt, Done, bounds_mended, check_migrations};
use crate::clock;
use crate::definition::Table;
use crate::error::{Error, Kind, Result};
use crate::ingest::{self, Asked, Batch, Finished, Ledger, Place, Prepared, Standing};
use crate::lake::{LakeTable, Layout};
use crate::name::TableName;
use crate::outcome::{Io, Mode, Rows, Warning, counted};
use crate::refresh;

/// A landing table on its way through the batch.
struct Moving<'a> {
    place: Place<'a>,
    started: Instant,
    standing: Standing,
    version_before: Option<u64>,
    prepared: Option<Prepared>,
    waiting: Vec<String>,
    left_out: Vec<Error>,
    warnings: Vec<Warning>,
    /// Files that are unloaded.
    unloaded: usize,
    /// An open batch of an earlier run, finished by this one.
    finished: Option<(i64, Finished)>,
}

impl Attempt<'_> {
    /// Ingests all selected landing tables. Each one's outcome or error, by name.
    ///
    /// # Errors
    /// `Conflict` when another sync decided batches meanwhile; a failure of the ledger itself.
    pub(super) async fn ingest(&self) -> Result<BTreeMap<TableName, Result<Done>>> {
        let session = self.site.session()?;
        let ledger = Ledger::read(&self.site.warehouse, &session).await?;
        let tables = self.site.project.tables.iter().filter(|t| t.landing().is_some() && self.selected(&t.name));
        let moving = join_all(tables.map(|table| async {
            let name = table.name.clone();
            let started = clock::instant();
            self.started(table);
            let place = self.site.place(table, self.run);
            let result = match place {
                Ok(place) => Box::pin(self.prepare(place, started, &ledger, &session)).await,
                Err(error) => Err(error),
            };
            let result = match result {
                Ok(moving) => Ok(moving),
                Err(error) => Err(self.explained(table, error).await),
            };
            if let Err(error) = &result {
                self.failed(table, started, error);
            }
            (name, result)
        }))
        .await;
        let mut results = BTreeMap::new();
        let mut ready = Vec::new();
        for (name, result) in moving {
            match result {
                Ok(moving) => ready.push(moving),
                // Another sync carried the same open batch out: look again.
                Err(error) if error.kind() == Kind::Conflict => return Err(error),
                Err(error) => {
                    results.insert(name, Err(error));
                }
            }
        }
        self.check_landing(&ready).await?;
        let batches: Vec<Batch> = ready.iter().filter_map(|m| m.prepared.as_ref()).map(|p| p.batch.clone()).collect();
        if !batches.is_empty() {
            ledger.commit(&self.site.warehouse, &batches, self.run).await?;
        }
        let done = join_all(ready.into_iter().map(|moving| async {
            let (table, started) = (moving.place.table, moving.started);
            let before = moving.standing.table.clone().filter(|_| moving.unloaded > 0);
            // On the heap: what a table needs on its way is much for the stack that waits for all of them.
            let settled = Box::pin(async {
                let mut done = settle(moving).await?;
                if let Some(before) = before {
                    done.warnings.extend(unloaded_consent(&session, table, &before, &done.table).await?);
                }
                self.checked(table, done).await
            });
            let result = match settled.await {
                Ok(done) => Ok(done),
                Err(error) => Err(self.explained(table, error).await),
            };
            self.ended(table, started, &result);
            (table.name.clone(), result)
        }))
        .await;
        results.extend(done);
        Ok(results)
    }

    /// An error of a table, with the data file that cannot be read where that is why.
    async fn explained(&self, table: &Table, error: Error) -> Error {
        let stands = match self.site.location(table) {
            Ok(location) => LakeTable::open(&location).await.ok().flatten(),
            Err(_) => None,
        };
        let found = match &stands {
            Some(stands) => refresh::unreadable(&error, table, stands).await,
            None => None,
        };
        self.site.told(found.unwrap_or(error))
    }

    /// A folder that is not there is refused; a store has no folders, so there a first sync that finds nothing at all
    /// under the landing root is taken for a mistyped one.
    async fn check_landing(&self, ready: &[Moving<'_>]) -> Result<()> {
        let root = &self.site.landing;
        let is_new = |m: &Moving<'_>| m.version_before.is_none() && m.prepared.is_none() && m.waiting.is_empty();
        if root.url.scheme() == "file" || ready.is_empty() || !ready.iter().all(is_new) || root.holds("").await? {
            return Ok(());
        }
        Err(Error::failed(format!("there is nothing under the landing root `{root}`"))
            .fact("target", self.site.target.clone())
            .help("make sure of the bucket and the prefix, or name another root with --landing"))
    }

    async fn prepare<'p>(
        &self,
        place: Place<'p>,
        started: Instant,
        ledger: &Ledger,
        session: &SessionContext,
    ) -> Result<Moving<'p>> {
        let name = place.table.name.as_str();
        let reload = |path: &str| self.options.reload.iter().any(|r| r.matches(name, path));
        let reload_path = |path: &str| self.options.reload.iter().any(|r| r.path.is_some() && r.matches(name, path));
        let unload = |path: &str| self.options.unload.iter().any(|r| r.matches(name, path));
        let asked = Asked { reload: &reload, reload_path: &reload_path, unload: &unload };
        let reloaded = self.options.reload.iter().any(|r| r.table == name && r.path.is_none());
        let mut standing = ingest::standing(&place, ledger, session, reloaded).await?;
        let version_before = standing.table.as_ref().map(LakeTable::version);
        check_migrations(self.site, name, standing.table.as_ref())?;
        // Once the ledger has decided on a batch it must be possible to carry it out.
        ingest::check_shape(&place, standing.table.as_ref())?;
        let mut finished = None;
        if let Some(number) = standing.open {
            self.progress.table(name, "finishing an earlier run's batch");
            let wal = ledger.wal(session, name, &standing.uuid, number).await?;
            match ingest::check_open(&place, standing.table.as_ref(), number, &wal) {
                // Given up: its landing files are read anew, under a number above it.
                Err(_) if reloaded => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let (table, done) = ingest::finish(&place, &standing.uuid, number, &wal).await?;
                    // The definition may have changed since the batch was written.
                    ingest::check_shape(&place, Some(&table))?;
                    standing.table = Some(table);
                    finished = Some((number, done));
                }
            }
        }
        let Some(landing) = place.table.landing() else {
            return Err(Error::new(Kind::Internal, format!("{name} is no landing table")));
        };
        let mut pending = ingest::pending(&place, landing, &standing, (ledger, session), &asked, true).await?;
        for wanted in self.options.reload.iter().filter(|r| r.table == name) {
            if let Some(path) = &wanted.path
                && !pending.names(|file| wanted.matches(name, file))
            {
                let gone = standing.ledger.files.keys().any(|file| wanted.matches(name, file));
                let help = if gone {
                    format!("stedi-delta sync --unload {name}:{path}   (takes out the rows of what is gone)")
                } else {
                    format!("stedi-delta query \"select path from files where landing_table = '{name}'\"")
                };
                return Err(Error::failed(format!("`{path}` is no file of {name}"))
                    .fact("landing", place.root.to_string())
                    .fact("expected", format!("a path below it that fits `{}`", landing.path))
                    .help(help));
            }
        }
        for wanted in self.options.unload.iter().filter(|u| u.table == name) {
            let path = wanted.path.as_deref().unwrap_or_default();
            if !pending.unloaded().iter().any(|file| wanted.matches(name, file)) {
                return Err(Error::failed(format!("`{path}` is no file of {name}"))
                    .fact(
                        "expected",
                        "a file or folder of which rows have landed, with its path under the landing root",
                    )
                    .help(format!("stedi-delta query \"select path from files where landing_table = '{name}'\"")));
            }
        }
        let waiting = pending.waiting.clone();
        let (left_out, warnings) = (std::mem::take(&mut pending.left_out), std::mem::take(&mut pending.warnings));
        let unloaded = pending.unloaded().len();
        let (new, replaced) = pending.counts();
        self.found(place.table, (new, replaced), waiting.len());
        if new + replaced > 0 {
            self.progress.table(name, &format!("reading {} files", new + replaced));
        }
        let prepared = ingest::prepare(&place, &standing, pending).await?;
        Ok(Moving {
            place,
            started,
            standing,
            version_before,
            prepared,
            waiting,
            left_out,
            warnings,
            unloaded,
            finished,
        })
    }
}

/// Whose consent changes with the files of the record of consent that were unloaded.
async fn unloaded_consent(
    session: &SessionContext,
    table: &Table,
    before: &LakeTable,
    after: &LakeTable,
) -> Result<Option<Warning>> {
    let changes = refresh::consent_changes(session, table, before, after).await?;
    Ok(changes.map(|(ended, begun)| Warning {
        message: format!(
            "what was unloaded of {} ends the consent of {} and gives it back to {}",
            table.name,
            counted(ended, "person"),
            counted(begun, "person")
        ),
        details: Vec::new(),
        help: None,
    }))
}

/// Carries out what the ledger decided.
async fn settle(moving: Moving<'_>) -> Result<Done> {
    let Moving {
        place, started, standing, version_before, prepared, waiting, left_out, mut warnings, finished, ..
    } = moving;
    let files_before = standing.table.as_ref().map_or(0, |t| t.size().0);
    let (mut rows, mut io) = (Rows::default(), Io::default());
    let mut reasons = Vec::new();
    if let Some((number, done)) = finished {
        reasons.push(format!("finished batch {number} of an earlier run"));
        rows += done.rows;
        io += done.io;
    }
    let mut table = standing.table;
    if let Some(prepared) = prepared {
        io.files_read = prepared.files_read;
        io.bytes_read = prepared.bytes_read;
        warnings.extend(prepared.warnings);
        if !prepared.reason.is_empty() {
            reasons.push(prepared.reason);
        }
        if let Some(wal) = &prepared.batch.wal {
            let (after, done) = ingest::finish(&place, &standing.uuid, prepared.batch.number, wal).await?;
            table = Some(after);
            rows += done.rows;
            io += done.io;
        }
    }
    let shaped = ingest::shape(&place, &standing.uuid, table.clone()).await?;
    let table = match (shaped, table) {
        (Some(shaped), before) => {
            reasons.push(if before.is_some() { "new columns".into() } else { "no rows yet".into() });
            shaped
        }
        (None, Some(table)) => table,
        (None, None) => return Err(Error::new(Kind::Internal, "a landing table was not created")),
    };
    if table.is_told_otherwise(&Layout::defined(place.table))
        && let Some(quarantine) = LakeTable::open(&place.quarantine).await?
    {
        quarantine.mended(&ingest::quarantine_layout(), &place.run).await?;
    }
    let table = match table.mended(&Layout::defined(place.table), &place.run).await? {
        Some((mended, files)) => {
            reasons.push(bounds_mended(files));
            mended
        }
        None => table,
    };
    // What the rows that landed lack is told with them, and not again while nothing lands.
    if rows.inserted > 0 {
        warnings.extend(ingest::check_shape(&place, Some(&table))?.warning(place.table.name.as_str()));
    }
    let changed = version_before != Some(table.version());
    io.files_before = files_before;
    Ok(Done {
        version_before,
        mode: if changed { Mode::Ingest } else { Mode::None },
        reason: reasons.join(", "),
        rows,
        io,
        elapsed: started.elapsed(),
        waiting,
        warnings,
        left_out,
        grants_ended: 0,
        table,
    })
}
