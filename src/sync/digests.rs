//! The digests that a sync records in `runs`: of the project's tables, the quarantines and the system tables.

use std::collections::BTreeMap;

use deltalake::datafusion::prelude::SessionContext;
use futures::future::join_all;

use crate::digest::{DigestKey, undigested};
use crate::error::Result;
use crate::horizons::FOLDER as VACUUMS_FOLDER;
use crate::ingest::LEDGER_FOLDER;
use crate::lake::LakeTable;
use crate::migrate::JOURNAL_FOLDER;
use crate::name::TableName;
use crate::outcome::{Begun, DigestNotice};
use crate::pins::FOLDER as PINS_FOLDER;
use crate::version_digest::{Entry, Followed, Recorded, VersionDigest, follow, scanned};
use crate::workspace::Workspace;

/// The system tables, without `runs`.
pub(super) const SYSTEM_TABLES: [(&str, &str); 4] =
    [("files", LEDGER_FOLDER), ("migrations", JOURNAL_FOLDER), ("pins", PINS_FOLDER), ("vacuums", VACUUMS_FOLDER)];

/// Digests by table name, and what should be said of them.
pub(super) type Digests = (BTreeMap<String, Entry>, Vec<DigestNotice>);

/// The digests of the tables of this run, of the quarantines and of the system tables. `before`: `runs` without the new row.
///
/// # Errors
/// When the recorded ones cannot be read. A table that cannot be digested has its reason among the notices.
pub(super) async fn digests(
    workspace: &Workspace,
    standing: &BTreeMap<TableName, LakeTable>,
    before: Option<&LakeTable>,
    key: &DigestKey,
) -> Result<Digests> {
    let session = workspace.session()?;
    let recorded = Recorded::newest(before, &session, key).await?;
    let mut tables: BTreeMap<String, LakeTable> =
        standing.iter().map(|(name, table)| (name.to_string(), table.clone())).collect();
    tables.extend(before.map(|runs| ("runs".to_owned(), runs.clone())));
    let mut others: Vec<(String, _)> =
        SYSTEM_TABLES.map(|(name, folder)| (name.to_owned(), workspace.warehouse.join(folder))).into();
    for table in workspace.project.tables.iter().filter(|table| table.landing().is_some()) {
        others.push((table.name.quarantine().to_string(), workspace.quarantine(table)?));
    }
    let opened =
        join_all(others.into_iter().map(|(name, location)| async move { (name, LakeTable::open(&location).await) }));
    // One that cannot be opened has no digest.
    tables.extend(opened.await.into_iter().filter_map(|(name, opened)| Some((name, opened.ok()??))));
    let (mut entries, mut notices) = (BTreeMap::new(), Vec::new());
    for (name, table) in tables {
        let (digest, notice) = digest(workspace, (&name, &table), (&session, &recorded), key).await;
        entries.extend(digest.map(|digest| (name, Entry::of(&table, digest, key))));
        notices.extend(notice);
    }
    Ok((entries, notices))
}

/// The digest of a table: followed, or by a scan.
async fn digest(
    workspace: &Workspace,
    (name, table): (&str, &LakeTable),
    (session, recorded): (&SessionContext, &Recorded),
    key: &DigestKey,
) -> (Option<VersionDigest>, Option<DigestNotice>) {
    let version = table.version();
    let notice =
        |rows, because: String, problem| Some(DigestNotice { table: name.to_owned(), version, rows, because, problem });
    if let Some((column, data_type)) = undigested(&table.schema()) {
        let problem = format!("column `{column}` is of type {data_type}, which has no digest");
        return (None, notice(None, String::new(), Some(problem)));
    }
    let because = match follow(table, version, recorded, key).await {
        Ok(Followed::Known(digest)) => return (Some(digest), None),
        Ok(Followed::UnlessForeign(_, foreign)) => foreign.told(),
        Ok(Followed::Unknown(why)) => why,
        Err(error) => workspace.told(error).message().to_owned(),
    };
    match scanned(table, session, key).await {
        Ok(rows) => {
            let begun = Some(Begun { version, because: because.clone() });
            (Some(VersionDigest { rows, begun }), notice(u64::try_from(rows.rows()).ok(), because, None))
        }
        Err(error) => (None, notice(None, because, Some(workspace.told(error).message().to_owned()))),
    }
}
