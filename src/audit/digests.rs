//! Whether a version holds the rows of its recorded digest, by reading all of them.

use deltalake::datafusion::prelude::SessionContext;

use super::verify::readable;
use crate::digest::{DigestKey, Place, RowDigest, undigested};
use crate::error::Result;
use crate::lake::LakeTable;
use crate::migrate::{self, Moves};
use crate::outcome::{DigestAudit, VerifyVerdict, counted};
use crate::pins::Pins;
use crate::sync::RUNS_FOLDER;
use crate::travel::{find_existing, system_tables};
use crate::version_digest::{Followed, ForeignCommit, Recorded, VersionDigest, follow, scanned};
use crate::workspace::Workspace;

/// The digests of a lake.
pub(super) struct Digests<'a> {
    workspace: &'a Workspace,
    session: SessionContext,
    /// `None` without `STEDI_DELTA_HASH_KEY`.
    key: Option<DigestKey>,
    recorded: Recorded,
    /// Why recorded digests could not be read: commits still tell some.
    pub(super) problem: Option<String>,
}

impl<'a> Digests<'a> {
    /// Reads those that `runs` and the pins record, as far as they can be read.
    ///
    /// # Errors
    /// When the query engine cannot start.
    pub(super) async fn of(workspace: &'a Workspace) -> Result<Self> {
        let session = workspace.session()?;
        let key = DigestKey::of(&workspace.privacy);
        let mut digests = Self { workspace, session, key, recorded: Recorded::default(), problem: None };
        if digests.key.is_some()
            && let Err(error) = digests.read().await
        {
            digests.problem = Some(workspace.told(error).message().to_owned());
        }
        Ok(digests)
    }

    async fn read(&mut self) -> Result<()> {
        let runs = LakeTable::open(&self.workspace.warehouse.join(RUNS_FOLDER)).await?;
        self.recorded = Recorded::all(runs.as_ref(), &self.session).await?;
        for pin in Pins::read(self.workspace).await?.all.into_values() {
            pin.digest.iter().for_each(|digest| self.recorded.add_sealed(&pin.uuid, pin.version, digest));
        }
        Ok(())
    }

    /// Compares a version with its digest.
    ///
    /// # Errors
    /// When its log or its rows cannot be read.
    pub(super) async fn check(&self, newest: &LakeTable, name: &str, version: u64) -> Result<DigestAudit> {
        let Some(key) = &self.key else {
            return Ok(unknown("no digest is kept without STEDI_DELTA_HASH_KEY".to_owned()));
        };
        let opened = match readable(newest, name, version).await? {
            Ok(opened) => opened,
            Err(why) => return Ok(unknown(why)),
        };
        if let Some((column, data_type)) = undigested(&opened.schema()) {
            return Ok(unknown(format!("column `{column}` is of type {data_type}, which has no digest")));
        }
        let (expected, foreign) = match follow(newest, version, &self.recorded, key).await? {
            Followed::Known(expected) => (expected, None),
            Followed::UnlessForeign(expected, foreign) => (expected, Some(foreign)),
            Followed::Unknown(why) => {
                let next = if version == newest.version() { "; a sync of all tables begins one" } else { "" };
                return Ok(unknown(format!("it has no digest: {why}{next}")));
            }
        };
        let VersionDigest { rows, begun } = expected;
        let id = opened.uuid();
        let audit = DigestAudit {
            verdict: VerifyVerdict::Equal,
            expected: Some(key.seal(&rows, &Place::Version(&id, version))),
            rows: None,
            begun,
            because: None,
        };
        let different = |because: String| DigestAudit {
            verdict: VerifyVerdict::Different,
            because: Some(because),
            ..audit.clone()
        };
        match scanned(&opened, &self.session, key).await {
            Ok(found) if found == rows => Ok(DigestAudit { rows: count(found), ..audit }),
            Ok(found) => Ok(DigestAudit { rows: count(found), ..different(difference(found, rows, foreign.as_ref())) }),
            // A file that is there and cannot be decoded does not hold the rows that were written.
            // A decoder may panic at one.
            Err(error) => match tokio::spawn(async move { opened.broken().await }).await {
                Ok(Some((file, _))) => Ok(different(format!("data file `{file}` cannot be read"))),
                Ok(None) => Err(self.workspace.told(error)),
                Err(_) => Ok(different("a data file cannot be decoded".to_owned())),
            },
        }
    }
}

/// Every table of a lake at its newest version, compared with its digest: those of the project, the quarantines and the system
/// tables. The workspace has its tables where migrations moved them.
///
/// # Errors
/// When a table cannot be read.
pub async fn digests(workspace: &Workspace) -> Result<Vec<(String, DigestAudit)>> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let digests = Digests::of(workspace).await?;
    let mut names: Vec<String> = Vec::new();
    for table in &workspace.project.tables {
        names.push(table.name.to_string());
        names.extend(table.landing().is_some().then(|| table.name.quarantine().to_string()));
    }
    names.extend(system_tables().map(str::to_owned));
    let mut found = Vec::new();
    for name in names {
        let Some(table) = find_existing(workspace, &name).await? else { continue };
        let audit = digests.check(&table.newest, &name, table.newest.version()).await?;
        found.push((name, audit));
    }
    Ok(found)
}

fn unknown(because: String) -> DigestAudit {
    DigestAudit { verdict: VerifyVerdict::Unknown, expected: None, rows: None, begun: None, because: Some(because) }
}

fn count(rows: RowDigest) -> Option<u64> {
    u64::try_from(rows.rows()).ok()
}

/// How the rows of a version differ from those of its digest.
fn difference(found: RowDigest, expected: RowDigest, foreign: Option<&ForeignCommit>) -> String {
    let found_rows = counted(found.rows().unsigned_abs(), "row");
    let rows = match found.rows() == expected.rows() {
        true => format!("of its {found_rows}, some are not those of its digest"),
        false => format!("{found_rows}, and its digest is of {}", expected.rows()),
    };
    match foreign {
        Some(foreign) => format!("{rows}; {}", foreign.told()),
        None => rows,
    }
}
