//! `restore`: a derived table as it was at an older version, as a new version.
//!
//! The commit takes over the state of the older version: its consumed versions and its definition. This is the one exception
//! to law 3; the next sync brings the table forward from there, as if it had never gone further. No data file is written:
//! the files that only the older version has are added again, and those that only the newest has are removed.

use std::collections::BTreeMap;

use serde_json::json;

use crate::definition::{Table, TableKind};
use crate::error::{Error, Kind, Result};
use crate::lake::{Change, Commit, CommitFacts, LakeTable, app};
use crate::outcome::RestoreOutcome;
use crate::progress::Progress;
use crate::refresh::{Rule, Subjects, rows_of};
use crate::register::register;
use crate::travel::{self, Named, NamedKind, Point};
use crate::workspace::Workspace;

/// A table about to be restored: everything is known and nothing is written.
#[derive(Debug)]
pub struct Restoration {
    workspace: Workspace,
    named: Named,
    old: LakeTable,
    /// State that the new version takes over.
    txns: BTreeMap<String, i64>,
    /// The versions of the sources in it, by their names.
    sources: BTreeMap<String, u64>,
    /// What it is going to do.
    pub outcome: RestoreOutcome,
}

/// Finds out what a restore would do. The workspace has its tables where migrations moved them (`migrate::placed`).
///
/// # Errors
/// `Usage` for a table that is not derived, and for a version that it does not have; `Failed` if that version can no longer
/// be read, or has rows that another writer changed.
pub async fn prepare(workspace: &Workspace, name: &str, to: &Point) -> Result<Restoration> {
    let named = travel::find(workspace, name).await?;
    let table = derived(workspace, &named)?;
    let version = named.version(to).await?;
    let old = named.at(version).await?;
    if old.uuid() != named.newest.uuid() {
        return Err(Error::failed(format!("version {version} of {} belongs to another table", named.name))
            .fact("because", "the table was created anew since")
            .help(format!("versions: stedi-delta history {}", named.name)));
    }
    old.check_files()?;
    let (txns, sources) = state(&named, version).await?;
    let withdrawn = withdrawn(workspace, table, &old).await?;
    let (now, then) = (named.newest.paths(), old.paths());
    let outcome = RestoreOutcome {
        table: named.name.clone(),
        restored: version,
        version_before: named.newest.version(),
        version_after: None,
        files_added: then.difference(&now).count() as u64,
        files_removed: now.difference(&then).count() as u64,
        rows: old.rows(),
        withdrawn,
        problem: None,
    };
    Ok(Restoration { workspace: workspace.clone(), named, old, txns, sources, outcome })
}

/// The definition of a table that can be restored.
fn derived<'a>(workspace: &'a Workspace, named: &Named) -> Result<&'a Table> {
    let name = &named.name;
    let usage = |message: String| Error::new(Kind::Usage, message).fact("expected", "a derived table");
    match named.kind {
        NamedKind::Table => {}
        NamedKind::Quarantine => return Err(usage(format!("{name} is the quarantine of a landing table"))),
        NamedKind::System => return Err(usage(format!("{name} is a system table"))),
        NamedKind::Dropped => {
            return Err(usage(format!("{name} was dropped"))
                .help(format!("its rows can still be read: stedi-delta query \"select * from {name}\"")));
        }
    }
    let table = workspace.table(name)?;
    match (&table.kind, table.quarantine_of()) {
        (TableKind::Landing(_), _) => Err(usage(format!("{name} is a landing table")).help(format!(
            "stedi-delta sync --unload {name}:FILE takes a file's rows out, --reload {name}:FILE reads it again"
        ))),
        (_, Some(owner)) => Err(usage(format!("{name} is the quarantine of {owner}"))),
        (_, None) => Ok(table),
    }
}

/// The state of our newest commit up to a version and the sources that it names, unless another writer changed rows after
/// it.
async fn state(named: &Named, version: u64) -> Result<(BTreeMap<String, i64>, BTreeMap<String, u64>)> {
    for at in (0..=version).rev() {
        let Some(commit) = named.newest.commit_at(at).await? else { break };
        if commit.is_ours() {
            return Ok((carried(&named.newest, &commit), commit.sources()));
        }
        if commit.changes_data() || commit.changes_metadata {
            return Err(Error::failed(format!("version {version} of {} is not what its query gave", named.name))
                .fact("because", format!("another writer committed v{at} ({})", commit.operation()))
                .help(format!("choose a version of ours: stedi-delta history {}", named.name)));
        }
    }
    Err(Error::failed(format!("it is unknown from which versions v{version} of {} was computed", named.name))
        .fact("because", "the log no longer holds the commit")
        .help(format!("choose a newer version: stedi-delta history {}", named.name)))
}

/// What of a commit's state the new version takes over. Migrations that the table has stay in it; how its files are
/// described is found out anew.
fn carried(newest: &LakeTable, commit: &CommitFacts) -> BTreeMap<String, i64> {
    let mut txns = commit.txns.clone();
    for id in [app::HEAD, app::STATEMENT, app::BOUNDS, app::MIGRATION] {
        txns.remove(id);
    }
    txns.extend(newest.state().txns.get(app::MIGRATION).map(|number| (app::MIGRATION.to_owned(), *number)));
    txns
}

/// How many people, or devices, have rows in a version of a table with `[consent]` and have no consent by the newest version
/// of the record of consent; `None` if the table does not declare consent.
///
/// # Errors
/// When the version or the record cannot be read.
pub(crate) async fn withdrawn(workspace: &Workspace, table: &Table, version: &LakeTable) -> Result<Option<u64>> {
    let Some(consent) = &table.consent else { return Ok(None) };
    let Some(rule) = Rule::of(&workspace.project, consent) else { return Ok(None) };
    let Some(record) = LakeTable::open(&workspace.location(rule.record)?).await? else { return Ok(None) };
    let session = workspace.session()?;
    let subjects = Subjects { table: &table.name, column: &consent.subject, some: None };
    let rows = rows_of(&session, version.provider(&session, None).await?, subjects).await?;
    let consenting = rule.consenting(&session, &record).await?;
    Ok(Some(rows.keys().filter(|subject| subject.as_ref().is_none_or(|one| !consenting.contains(one))).count() as u64))
}

impl Restoration {
    /// Restores, and updates the catalog. Nothing is committed if the newest version is the one to restore.
    ///
    /// # Errors
    /// `Conflict` after a concurrent commit; if the store fails. A failure of the catalog is in the outcome.
    pub async fn carry_out(self, run: &str, progress: &dyn Progress) -> Result<RestoreOutcome> {
        let Self { workspace, named, old, txns, sources, mut outcome } = self;
        let newest = &named.newest;
        if old.version() == newest.version() {
            return Ok(outcome);
        }
        let (now, then) = (newest.paths(), old.paths());
        let (properties, unset) = newest.properties_towards(&old);
        let facts = json!({
            "run": run,
            "mode": "restore",
            "reason": format!("as of v{}", old.version()),
            "restored": old.version(),
            "sources": sources,
        });
        let commit = Commit {
            operation: "RESTORE",
            change: Change {
                adds: old.adds_again(|path| !now.contains(path)),
                removes: newest.removes(|path| !then.contains(path)),
                schema: newest.columns_of(&old),
                properties,
                unset,
                ..Change::default()
            },
            txns,
            info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
            ..Commit::default()
        };
        let restored = commit.commit(newest).await?;
        outcome.version_after = Some(restored.version());
        let table = workspace.table(&named.name)?;
        let standing = BTreeMap::from([(table.name.clone(), restored)]);
        outcome.problem = match register(&workspace, &standing, progress).await {
            Ok(registered) => registered.problem,
            Err(error) => Some(error),
        };
        Ok(outcome)
    }
}
