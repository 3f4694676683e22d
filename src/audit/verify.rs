//! Whether a version of a derived table holds exactly the rows of its query over the versions of its sources that it
//! records.

use std::collections::BTreeMap;

use super::recorded::{Newest, recorded};
use super::scope::{Scope, What, is_of_project};
use crate::definition::{Derived, Table};
use crate::error::Result;
use crate::lake::LakeTable;
use crate::migrate::{self, Moves};
use crate::name::TableName;
use crate::outcome::{VerifyAudit, VerifyAudits, VerifyVerdict};
use crate::refresh;
use crate::travel::{Named, find_existing, system_tables};
use crate::workspace::Workspace;

/// Recomputes one version of each table of a scope.
///
/// # Errors
/// `Usage` if there is no such table, zone or version. A table that cannot be compared has its error in the result.
pub async fn verify(workspace: &Workspace, scope: &Scope) -> Result<VerifyAudits> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let (mut audits, mut newest) = (VerifyAudits::default(), Newest::default());
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
                match scope.did_not_exist(&named, &error).await {
                    Some(note) => audits.notes.push(note),
                    None => audits.tables.push(VerifyAudit { problem: Some(error), ..empty(&found.name) }),
                }
                continue;
            }
        };
        let mut audit = VerifyAudit { version: Some(version), ..empty(&named.name) };
        let table = workspace.table(&named.name).ok().filter(|_| is_of_project(&named));
        if let Some((table, derived)) = table.and_then(|table| Some((table, table.derived()?))) {
            if let Err(error) = verified(workspace, &mut newest, (table, derived), (&named, &mut audit)).await {
                audit.problem = Some(workspace.told(error));
            }
        } else {
            audit.verdict = VerifyVerdict::NotComputed;
        }
        audits.tables.push(audit);
    }
    if scope.what == What::Lake {
        for name in system_tables() {
            let audit = match find_existing(workspace, name).await {
                Ok(None) => continue,
                Ok(Some(table)) => match scope.version(&table).await {
                    Ok(version) => VerifyAudit {
                        version: version.or_else(|| Some(table.newest.version())),
                        verdict: VerifyVerdict::NotComputed,
                        ..empty(name)
                    },
                    Err(error) => match scope.did_not_exist(&table, &error).await {
                        Some(_) => continue,
                        None => VerifyAudit { problem: Some(error), ..empty(name) },
                    },
                },
                Err(error) => VerifyAudit { problem: Some(error), ..empty(name) },
            };
            audits.tables.push(audit);
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
        verdict: VerifyVerdict::Unknown,
        because: None,
        problem: None,
    }
}

async fn verified(
    workspace: &Workspace,
    newest: &mut Newest,
    (table, derived): (&Table, &Derived),
    (named, audit): (&Named, &mut VerifyAudit),
) -> Result<()> {
    let version = audit.version.unwrap_or_default();
    let (opened, sources) = match inputs(workspace, newest, (table, derived), (named, version)).await? {
        Ok(inputs) => inputs,
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
async fn inputs(
    workspace: &Workspace,
    newest: &mut Newest,
    (table, derived): (&Table, &Derived),
    (named, version): (&Named, u64),
) -> Result<std::result::Result<Inputs, String>> {
    let opened = match newest.readable(&named.newest, &named.name, version).await? {
        Ok(opened) => opened,
        Err(why) => return Ok(Err(why)),
    };
    let recorded = recorded(workspace, newest, (table, derived), &opened).await?;
    if !recorded.is_ours {
        return Ok(Err("no commit of this tool made it: it records no versions".to_owned()));
    }
    if !recorded.is_same_definition {
        return Ok(Err("it was computed by another definition than the present one".to_owned()));
    }
    let mut sources = BTreeMap::new();
    for source in recorded.sources {
        if let Some(why) = source.why {
            return Ok(Err(why));
        }
        let (Some(current), Some(version)) = (newest.table(workspace, &source.name).await?, source.version) else {
            return Ok(Err(format!("{} does not exist", source.name)));
        };
        match newest.readable(&current, source.name.as_str(), version).await? {
            Ok(opened) => drop(sources.insert(source.name, opened)),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok((opened, sources)))
}
