//! The first half of a sync: every landing table ingests its files, and the ledger decides all batches in one commit.

use std::collections::BTreeMap;
use std::time::Instant;

use deltalake::datafusion::prelude::SessionContext;
use futures::future::join_all;

use super::{Attempt, Done};
use crate::clock;
use crate::definition::Table;
use crate::digest::DigestKey;
use crate::error::{Error, Kind, Result};
use crate::ingest::{self, Asked, Batch, Landed, LandingContext, Ledger, Report, TableState};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::{Mode, Warning, counted};
use crate::refresh;

impl Attempt<'_> {
    /// Ingests all selected landing tables. Returns the result or error of each, by name.
    ///
    /// # Errors
    /// `Conflict` if another sync has decided batches meanwhile; a failure of the ledger itself.
    pub(super) async fn ingest(&self) -> Result<BTreeMap<TableName, Result<Done>>> {
        let session = self.workspace.session()?;
        let ledger = Ledger::read(&self.workspace.warehouse, &session, &self.workspace.places).await?;
        let ledger = ledger.digested(DigestKey::of(&self.workspace.privacy));
        let tables = self.workspace.project.tables.iter().filter(|t| t.landing().is_some() && self.selected(&t.name));
        let (ledger, session) = (&ledger, &session);
        let looked = join_all(tables.map(|table| async move {
            let started = clock::instant();
            self.started(table);
            (table, started, self.look(table, (ledger, session)).await)
        }))
        .await;
        let rescue = self.requests.rescued();
        let asked = Asked { rescue: &rescue, ..self.options.asked(self.purpose) };
        // Before anything is read.
        without_migration(looked.iter().filter_map(|(.., looked)| looked.as_ref().ok()))?;
        self.check_landing(looked.iter().filter_map(|(.., looked)| looked.as_ref().ok()))?;
        let landing = join_all(looked.into_iter().map(|(table, started, looked)| async move {
            let name = table.name.clone();
            let report = Report { table, progress: self.progress };
            let result = match looked {
                Ok(looked) => Box::pin(ingest::land(looked, (ledger, session), asked, &report)).await,
                Err(error) => Err(error),
            };
            let result = match result {
                Ok(landing) => Ok((table, started, landing)),
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
        for (name, result) in landing {
            match result {
                Ok(landing) => ready.push(landing),
                // Another sync carried the same open batch out: start again.
                Err(error) if error.kind() == Kind::Conflict => return Err(error),
                Err(error) => {
                    results.insert(name, Err(error));
                }
            }
        }
        if ready.is_empty() && !results.is_empty() {
            // A missing bucket is not the fault of a table, and is reported once.
            self.workspace.landing.check_bucket().await?;
        }
        let batches: Vec<Batch> = ready.iter().filter_map(|(.., landing)| landing.batch().cloned()).collect();
        if !batches.is_empty() {
            ledger.commit(&self.workspace.warehouse, &batches, self.run).await?;
        }
        let landed = join_all(ready.into_iter().map(|(table, started, landing)| async move {
            let before = landing.unloads_from().cloned();
            // On the heap: the future of a table is large for a stack that waits for all of them.
            let settled = Box::pin(async {
                let mut done = done(landing.carry_out().await?, started);
                if let Some(before) = before {
                    done.warnings.extend(unloaded_consent(session, table, &before, &done.table).await?);
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
        results.extend(landed);
        Ok(results)
    }

    /// A landing table as it stands.
    async fn look<'t>(
        &self,
        table: &'t Table,
        read: (&Ledger, &SessionContext),
    ) -> Result<(LandingContext<'t>, TableState)> {
        let place = self.workspace.place(table, self.run)?;
        let state = ingest::state_of(&place, read).await?;
        Ok((place, state))
    }

    /// An error of a table, with the data file that cannot be read where that is why.
    async fn explained(&self, table: &Table, error: Error) -> Error {
        let stands = match self.workspace.location(table) {
            Ok(location) => LakeTable::open(&location).await.ok().flatten(),
            Err(_) => None,
        };
        let found = match &stands {
            Some(stands) => refresh::unreadable(&error, table, stands).await,
            None => None,
        };
        self.workspace.told(found.unwrap_or(error))
    }
}

/// Refuses definitions to which their tables get by a migration alone, and there is none.
fn without_migration<'l>(looked: impl Iterator<Item = &'l (LandingContext<'l>, TableState)>) -> Result<()> {
    let mut needs = looked.filter_map(|(context, state)| {
        let table = state.table.as_ref()?;
        let lacking = ingest::lacking_migration(context, table);
        let statements: Vec<&str> = lacking.statements.iter().map(|(statement, _)| statement.as_str()).collect();
        let command = lacking.command(context.table.name.as_str());
        (!statements.is_empty()).then(|| (context, table, statements.join(", "), command))
    });
    let Some((context, table, statements, command)) = needs.next() else { return Ok(()) };
    let error = Error::failed(format!("the columns of {} need a migration: {statements}", context.table.name))
        .fact("table", format!("{} (v{}, unchanged)", table.location(), table.version()));
    let also = |error: Error, (context, _, statements, _): (&LandingContext<'_>, &LakeTable, String, String)| {
        error.fact("also", format!("{}: {statements}", context.table.name))
    };
    let error = needs.fold(error, also);
    Err(error.help(format!("{command}; or put the definition back")))
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

/// The result of a landing table.
fn done(landed: Landed, started: Instant) -> Done {
    let Landed { table, version_before, reason, rows, io, waiting, left_out, warnings } = landed;
    let mode = if version_before == Some(table.version()) { Mode::None } else { Mode::Ingest };
    let elapsed = started.elapsed();
    Done { table, version_before, mode, reason, rows, io, elapsed, waiting, warnings, left_out, grants_ended: 0 }
}
