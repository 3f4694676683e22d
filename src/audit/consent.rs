//! Whether versions of a table held only rows of people who had consented, by the version of the record of consent that
//! each version was computed from.

use super::grants::Consenting;
use super::history::History;
use super::scope::{Scope, What, is_of_project};
use super::walk::{Walk, unknown};
use crate::definition::{Consent, Table};
use crate::error::{Error, Kind, Result};
use crate::lake::{SessionOptions, session};
use crate::migrate::{self, Moves};
use crate::outcome::{ConsentAudit, ConsentAudits};
use crate::refresh::{Rule, Subjects};
use crate::travel::Named;
use crate::workspace::Workspace;

/// Audits the tables with `[consent]` of a scope.
///
/// # Errors
/// `Usage` if there is no such table, zone or version, or if a table that was named has no `[consent]`. A table that cannot
/// be audited has its error in the result.
pub async fn consent(workspace: &Workspace, scope: &Scope) -> Result<ConsentAudits> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let mut audits = ConsentAudits { shown: workspace.privacy.note(), ..ConsentAudits::default() };
    for found in scope.tables(workspace, |table| table.consent.is_some()).await? {
        let named = match found.table {
            Ok(named) => named,
            // Its log cannot be read.
            Err(error) => {
                audits.tables.push(ConsentAudit { problem: Some(error), ..empty(workspace, &found.name)? });
                continue;
            }
        };
        audits.notes.extend(named.notes.iter().cloned());
        let mut audit = empty(workspace, &found.name).map_err(|error| match is_of_project(&named) {
            true => error,
            false => Error::new(Kind::Usage, format!("{} has no [consent]", named.name))
                .fact("expected", "a derived table of the project"),
        })?;
        let done = match scope.version(&named).await {
            Ok(version) => audited(workspace, &named, version, &mut audit).await,
            Err(error) if matches!(scope.what, What::Table(_)) => return Err(error),
            Err(error) => match scope.did_not_exist(&named, &error).await {
                Some(note) => {
                    audits.notes.push(note);
                    continue;
                }
                None => Err(error),
            },
        };
        audit.problem = done.err().map(|error| workspace.told(error));
        audits.tables.push(audit);
    }
    Ok(audits)
}

/// The audit of a table before any version.
fn empty(workspace: &Workspace, name: &str) -> Result<ConsentAudit> {
    let (table, consent) = guarded(workspace, name)?;
    Ok(ConsentAudit {
        table: table.name.to_string(),
        subject: consent.subject.clone(),
        grants: consent.grants.to_string(),
        versions: Vec::new(),
        offenders: Vec::new(),
        offenders_left_out: 0,
        problem: None,
    })
}

fn guarded<'w>(workspace: &'w Workspace, name: &str) -> Result<(&'w Table, &'w Consent)> {
    let table = workspace.table(name)?;
    let consent = table.consent.as_ref().ok_or_else(|| {
        Error::new(Kind::Usage, format!("{name} has no [consent]"))
            .fact("expected", "a derived table that says whose consent it requires")
            .help(format!(
                "add [consent] to {}; tables that have it: stedi-delta audit consent",
                table.file.path.display()
            ))
    })?;
    Ok((table, consent))
}

/// Audits one version of a table, or all (`None`).
async fn audited(workspace: &Workspace, named: &Named, only: Option<u64>, audit: &mut ConsentAudit) -> Result<()> {
    let (table, consent) = guarded(workspace, &named.name)?;
    let no_record = || Error::new(Kind::Internal, format!("{} has no record of consent", table.name));
    let rule = Rule::of(&workspace.project, consent).ok_or_else(no_record)?;
    let history = History::of(&named.newest).await?;
    let (first, last) = only.map_or((0, named.newest.version()), |version| (version, version));
    for version in (first..=last).take_while(|version| *version < history.oldest) {
        audit.versions.push(unknown(version, None, history.why_gone()));
    }
    let oldest = history.oldest;
    let subjects = Subjects { table: &table.name, column: &consent.subject, some: None };
    let consenting = Consenting::of(workspace, rule).await?;
    // If both are in one store, the one of the record of consent is used, which caches.
    let stores = [named.newest.location(), consenting.location()];
    let session = session(SessionOptions::of(&workspace.project), &stores)?;
    let mut walk = Walk::of((&named.newest, history), subjects, consenting, session);
    let mut result = Ok(());
    for version in first.max(oldest)..=last {
        match walk.step(version).await {
            Ok(found) => audit.versions.push(found),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    let last = audit.versions.last().map_or(last, |last| last.version);
    (audit.offenders, audit.offenders_left_out) = walk.offenders.listed(last, &workspace.privacy);
    result
}
