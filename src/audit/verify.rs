//! Whether a version holds the rows that it should: those of its query over the versions of its sources that it records,
//! and those of its digest.

use std::collections::BTreeMap;

use super::digests::Digests;
use super::history::History;
use super::recorded::Newest;
use super::scope::{Scope, What, is_of_project};
use crate::definition::{Derived, Table};
use crate::error::{Error, Result};
use crate::lake::{CommitFacts, LakeTable, app};
use crate::migrate::{self, Moves};
use crate::name::TableName;
use crate::outcome::{DigestAudit, VerifyAudit, VerifyAudits, VerifyVerdict};
use crate::plan::{another_commit, fingerprint};
use crate::refresh;
use crate::travel::{Named, find_existing, system_tables};
use crate::workspace::Workspace;

/// Recomputes one version of each table of a scope, and compares it with its digest.
///
/// # Errors
/// `Usage` if there is no such table, zone or version. A table that cannot be compared has its error in the result.
pub async fn verify(workspace: &Workspace, scope: &Scope) -> Result<VerifyAudits> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let (mut audits, mut newest) = (VerifyAudits::default(), Newest::default());
    let digests = Digests::of(workspace).await?;
    audits.notes.extend(digests.problem.clone());
    for found in scope.tables(workspace, |_| true).await? {
        let named = match found.table {
            Ok(named) => named,
            Err(error) => {
                audits.tables.push(VerifyAudit { problem: Some(error), ..empty(&found.name) });
                continue;
            }
        };
        audits.notes.extend(named.notes.iter().cloned());
        let version = match scope.version(&named).await {
            Ok(version) => version.unwrap_or_else(|| named.newest.version()),
            Err(error) if matches!(scope.what, What::Table(_)) => return Err(error),
            Err(error) => {
                audits.tables.push(VerifyAudit { problem: Some(error), ..empty(&found.name) });
                continue;
            }
        };
        let mut audit = VerifyAudit { version: Some(version), ..empty(&named.name) };
        let table = workspace.table(&named.name).ok().filter(|_| is_of_project(&named));
        if let Some((table, derived)) = table.and_then(|table| Some((table, table.derived()?)))
            && let Err(error) = verified(workspace, &mut newest, (table, derived), (&named, &mut audit)).await
        {
            audit.problem = Some(workspace.told(error));
        }
        add_digest(&mut audit, (&digests, workspace), &named).await;
        audits.tables.push(audit);
        if !matches!(scope.what, What::Table(_)) && table.is_some_and(|table| table.landing().is_some()) {
            let quarantine = format!("{}_quarantine", named.name);
            audits.tables.extend(by_digest(scope, &quarantine, (&digests, workspace)).await);
        }
    }
    if scope.what == What::Lake {
        for name in system_tables() {
            audits.tables.extend(by_digest(scope, name, (&digests, workspace)).await);
        }
    }
    Ok(audits)
}

fn empty(name: &str) -> VerifyAudit {
    VerifyAudit {
        table: name.to_owned(),
        version: None,
        sources: Vec::new(),
        verified: None,
        digest: None,
        verdict: VerifyVerdict::Unknown,
        because: None,
        problem: None,
    }
}

/// A table that is not one of the project's, compared with its digest; `None` if it does not exist.
async fn by_digest(scope: &Scope, name: &str, read: (&Digests<'_>, &Workspace)) -> Option<VerifyAudit> {
    let table = find_existing(read.1, name).await.ok()??;
    // At a time from before it there is nothing to compare.
    let version = scope.version(&table).await.ok().flatten()?;
    let mut audit = VerifyAudit { version: Some(version), ..empty(name) };
    add_digest(&mut audit, read, &table).await;
    Some(audit)
}

/// Compares a version with its digest. A difference is one whatever its query gives; a table without a query has the verdict
/// of its digest.
async fn add_digest(audit: &mut VerifyAudit, (digests, workspace): (&Digests<'_>, &Workspace), named: &Named) {
    let (Some(version), None) = (audit.version, &audit.problem) else { return };
    let found = match digests.check(&named.newest, &named.name, version).await {
        Ok(found) => found,
        Err(error) => {
            audit.problem = Some(workspace.told(error));
            return;
        }
    };
    let has_query = workspace.table(&named.name).is_ok_and(|table| table.derived().is_some()) && is_of_project(named);
    let DigestAudit { verdict, because, .. } = &found;
    let is_news = *verdict == VerifyVerdict::Different && audit.verdict != VerifyVerdict::Different;
    if is_news || !has_query {
        (audit.verdict, audit.because) = (*verdict, because.clone());
    }
    audit.digest = Some(found);
}

async fn verified(
    workspace: &Workspace,
    newest: &mut Newest,
    (table, derived): (&Table, &Derived),
    (named, audit): (&Named, &mut VerifyAudit),
) -> Result<()> {
    let version = audit.version.unwrap_or_default();
    let (opened, sources) = match recorded(workspace, newest, (table, derived), (named, version)).await? {
        Ok(recorded) => recorded,
        Err(why) => {
            audit.because = Some(why);
            return Ok(());
        }
    };
    audit.sources = sources.iter().map(|(name, source)| (name.to_string(), source.version())).collect();
    let job = workspace.job(table, sources.clone(), "")?;
    match Box::pin(refresh::recompute(&job, &opened, &sources)).await {
        Ok(found) => {
            audit.verdict = if found.is_equal() { VerifyVerdict::Equal } else { VerifyVerdict::Different };
            audit.verified = Some(found);
        }
        // A file that is there and cannot be decoded does not hold the rows that were written.
        Err(error) => match refresh::unreadable(&error, table, &opened).await {
            Some(found) => {
                audit.verdict = VerifyVerdict::Different;
                audit.because = Some(workspace.told(found).message().to_owned());
            }
            None => return Err(error),
        },
    }
    Ok(())
}

/// A version and the versions of the sources that it records, by name.
type Inputs = (LakeTable, BTreeMap<TableName, LakeTable>);

/// What a version is recomputed from, or why it cannot be.
async fn recorded(
    workspace: &Workspace,
    newest: &mut Newest,
    (table, derived): (&Table, &Derived),
    (named, version): (&Named, u64),
) -> Result<std::result::Result<Inputs, String>> {
    let opened = match readable(&named.newest, &named.name, version).await? {
        Ok(opened) => opened,
        Err(why) => return Ok(Err(why)),
    };
    let state = Recorded::by(&opened, &named.newest).await?;
    if !fingerprint(&workspace.project, table, derived, &workspace.places).is(state.definition(&opened).await?) {
        return Ok(Err("it was computed by another definition than the present one".to_owned()));
    }
    let mut sources = BTreeMap::new();
    for name in workspace.sources(table) {
        match state.source((workspace, newest), &opened, &name).await? {
            Ok(source) => drop(sources.insert(name, source)),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok((opened, sources)))
}

/// A version of a table, or why it cannot be read.
pub(super) async fn readable(
    newest: &LakeTable,
    name: &str,
    version: u64,
) -> Result<std::result::Result<LakeTable, String>> {
    if version > newest.version() {
        return Ok(Err(format!("{name} has no v{version}")));
    }
    let history = History::of(newest).await?;
    if version < history.oldest {
        return Ok(Err(format!("{name} v{version} is gone: {}", history.why_gone())));
    }
    let Ok(table) = newest.at(version).await else {
        return Ok(Err(format!("{name} v{version} can no longer be opened")));
    };
    Ok(match table.paths().is_subset(&history.there) {
        true => Ok(table),
        false => Err(format!("{name} v{version} was vacuumed")),
    })
}

/// What a version records: in its own commit if that is ours, else in the newest one before it.
struct Recorded {
    ours: Option<CommitFacts>,
}

impl Recorded {
    async fn by(version: &LakeTable, newest: &LakeTable) -> Result<Self> {
        Ok(Self { ours: newest.commit_at(version.version()).await?.filter(CommitFacts::is_ours) })
    }

    async fn definition(&self, version: &LakeTable) -> Result<Option<i64>> {
        match &self.ours {
            Some(commit) => Ok(commit.txns.get(app::DEFINITION).copied()),
            None => version.recorded_txn(app::DEFINITION).await,
        }
    }

    /// A source at the recorded version, or why that cannot be read.
    async fn source(
        &self,
        (workspace, newest): (&Workspace, &mut Newest),
        version: &LakeTable,
        name: &TableName,
    ) -> Result<std::result::Result<LakeTable, String>> {
        let Some(newest) = newest.table(workspace, name).await? else {
            return Err(Error::failed(format!("{name} does not exist")).help("stedi-delta sync"));
        };
        let uuid = newest.uuid();
        let consumed = match &self.ours {
            Some(commit) => commit.consumed(&uuid),
            None => version.recorded(&uuid).await?,
        };
        let Some(consumed) = consumed else { return Ok(Err(format!("it records no version of {name}"))) };
        if newest.is_other_than(consumed).await? {
            return Ok(Err(another_commit(name, consumed.version)));
        }
        readable(&newest, name.as_str(), consumed.version).await
    }
}
