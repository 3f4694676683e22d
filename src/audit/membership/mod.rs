//! `audit membership`: whether a person or a thing is in a table, since and until which version, and why: the records of
//! landing files that its rows come from.

mod explain;
mod matching;
mod rows;
mod shown;
mod subject;
mod timeline;

use std::collections::BTreeSet;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::compute::concat_batches;
use deltalake::datafusion::logical_expr::{Expr, ident};
use deltalake::datafusion::prelude::SessionContext;

use crate::changes::{self, Changes};
use crate::error::{Context, Result};
use crate::lake::LakeTable;
use crate::migrate::{self, Moves};
use crate::outcome::{MembershipOutcome, Subject, VersionTime};
use crate::travel::{self, CommitTime, Named, NamedKind, Zone};
use crate::workspace::Workspace;
use explain::Explainer;
use shown::Shown;
pub use subject::Wanted;
use timeline::{Walk, timeline};

/// Who is looked for, and where.
#[derive(Clone, Debug)]
pub struct MembershipOptions {
    /// The table, with or without a version: `t`, `t@v12`, `t@2026-11-20`.
    pub table: String,
    /// The time zone of dates.
    pub zone: Zone,
    /// The column that names the subject.
    pub column: String,
    /// The subject.
    pub subject: Wanted,
    /// Most rows that are explained, and most rows of one kind that are followed for one of them.
    pub limit: usize,
    /// Whether every version is asked for.
    pub all_versions: bool,
}

/// Whether a subject is in a table, in which versions, and why.
///
/// # Errors
/// `Usage` if there is no such table, version or column, or if the subject is no value of it; `Failed` if the version can
/// no longer be read.
pub async fn membership(workspace: &Workspace, options: &MembershipOptions) -> Result<MembershipOutcome> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    answer(workspace, options).await.map_err(|error| workspace.told(error))
}

async fn answer(workspace: &Workspace, options: &MembershipOptions) -> Result<MembershipOutcome> {
    let (named, table) = travel::open(workspace, &options.table, &options.zone).await?;
    let schema = table.schema();
    let column = options.column.to_lowercase();
    let field = subject::column(&schema, &column, &named.name)?;
    let session = workspace.session()?;
    let commits = named.commits().await?;
    let shown = Shown::of(workspace, &named);
    let mut outcome = MembershipOutcome {
        table: named.name.clone(),
        at: time(&commits, &table),
        newest: named.newest.version(),
        notes: named.notes.clone(),
        ..MembershipOutcome::default()
    };
    let values = match &options.subject {
        Wanted::Value(value) => {
            outcome.subject = shown_subject(&shown, &column, value);
            BTreeSet::from([value.clone()])
        }
        Wanted::Hash(text) => {
            let hash = subject::hash(text, &workspace.privacy)?;
            let found = find(workspace, &session, (&named, &table, &commits), &column, &hash).await?;
            outcome.subject = match found.first() {
                Some(value) if found.len() == 1 => shown_subject(&shown, &column, value),
                _ => Subject { column: column.clone(), value: hash, is_hashed: true },
            };
            match found.len() {
                0 => {
                    let note = format!("no value of `{column}` in any version that can be read has this hash");
                    outcome.notes.push(note);
                }
                1 => {}
                several => outcome.notes.push(format!("{several} values of `{column}` have this hash: all are meant")),
            }
            found
        }
    };
    if values.is_empty() {
        return Ok(outcome);
    }
    let condition = subject::condition(field, &values)?;
    outcome.rows = timeline::count(&session, &table, &condition).await?;
    let walk = Walk { at: table.version(), rows: outcome.rows, all: options.all_versions };
    let of_version = |version: &LakeTable| {
        let schema = version.schema();
        subject::condition(subject::column(&schema, &column, &named.name)?, &values)
    };
    let found = timeline(&session, &named.newest, &commits, of_version, walk).await?;
    outcome.stretch = found.stretch(walk, &commits);
    outcome.unknown =
        found.unknown.filter(|_| options.all_versions || !outcome.stretch.is_some_and(|s| s.is_since_known));
    if !found.adds_up {
        outcome
            .notes
            .push("the changes between its versions give another number of rows than the versions hold".into());
    }
    outcome.versions = options.all_versions.then_some(found.versions);
    if outcome.rows > 0 && options.limit > 0 {
        let rows = first_rows(&session, &table, condition, options.limit).await?;
        explain(workspace, &session, &mut outcome, (&rows, &shown), options.limit).await?;
    }
    if outcome.rows > 0 && matches!(named.kind, NamedKind::System | NamedKind::Dropped) {
        outcome.notes.push(format!("nothing records what {} was computed from", named.name));
    }
    if outcome.subject.is_hashed {
        outcome.notes.push(format!("personal data is shown as hashes{}", workspace.privacy.note()));
    }
    Ok(outcome)
}

fn time(commits: &[CommitTime], table: &LakeTable) -> VersionTime {
    let commit = commits.iter().find(|commit| commit.facts.version == table.version());
    let committed_ms = commit.map(|commit| commit.ms).or_else(|| table.committed_ms());
    VersionTime { version: table.version(), committed_ms }
}

fn shown_subject(shown: &Shown, column: &str, value: &str) -> Subject {
    let text = shown.text(column, value);
    Subject { column: column.to_owned(), is_hashed: text != value, value: text }
}

/// The values with a hash: those of the version, else of the newest one, else of the rows that older versions had.
async fn find(
    workspace: &Workspace,
    session: &SessionContext,
    (named, table, commits): (&Named, &LakeTable, &[CommitTime]),
    column: &str,
    hash: &str,
) -> Result<BTreeSet<String>> {
    let wanted = (hash, &workspace.privacy);
    let has_column = |table: &LakeTable| table.schema().field_with_name(column).is_ok();
    for version in [table, &named.newest].into_iter().filter(|version| has_column(version)) {
        let rows = version.provider(session, None).await?;
        let found = subject::hashed(session, rows, column, wanted).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    for commit in commits.iter().rev().filter(|commit| commit.facts.version > 0 && commit.facts.changes_data()) {
        let version = commit.facts.version;
        let Ok(at) = named.newest.at(version).await else { break };
        let Changes::Known(change) = changes::of_older(&named.newest, &at).await? else { break };
        if change.is_empty() || !has_column(&at) {
            continue;
        }
        let found = subject::hashed(session, change.provider(session).await?, column, wanted).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(BTreeSet::new())
}

/// The first rows that meet a condition, in the order of their values.
async fn first_rows(session: &SessionContext, table: &LakeTable, condition: Expr, limit: usize) -> Result<RecordBatch> {
    let doing = || "the rows of the subject cannot be read".to_owned();
    let schema = table.schema();
    let ordered = schema.fields().iter().filter(|field| !field.data_type().is_nested());
    let order: Vec<_> = ordered.map(|field| ident(field.name()).sort(true, false)).collect();
    let rows = session.read_table(table.provider(session, None).await?).context(doing)?;
    let rows = rows.filter(condition).context(doing)?;
    let rows = if order.is_empty() { rows } else { rows.sort(order).context(doing)? };
    let rows = rows.limit(0, Some(limit)).context(doing)?;
    let schema = rows.schema().inner().clone();
    concat_batches(&schema, &rows.collect().await.context(doing)?).context(doing)
}

async fn explain(
    workspace: &Workspace,
    session: &SessionContext,
    outcome: &mut MembershipOutcome,
    (rows, shown): (&RecordBatch, &Shown),
    limit: usize,
) -> Result<()> {
    let mut explainer = Explainer::new(workspace, session, limit);
    let mut roots: Vec<(usize, u64)> = Vec::new();
    for row in 0..rows.num_rows() {
        let at = (outcome.table.as_str(), outcome.at.version);
        let node = explainer.rows.node(workspace, at, &rows.slice(row, 1), Some(shown))?;
        match roots.iter_mut().find(|(known, _)| *known == node) {
            Some((_, copies)) => *copies += 1,
            None => roots.push((node, 1)),
        }
    }
    explainer.follow().await?;
    outcome.explained = roots.into_iter().map(|(node, copies)| explainer.explained(node, copies)).collect();
    outcome.nodes = explainer.rows.nodes;
    // The place of a record says all of it.
    let is_root = |at: usize| outcome.explained.iter().any(|explained| explained.node == at);
    let hidden: Vec<usize> = (0..outcome.nodes.len())
        .filter(|at| !is_root(*at) && outcome.nodes.get(*at).is_some_and(|node| node.place.is_some()))
        .collect();
    for at in hidden {
        if let Some(node) = outcome.nodes.get_mut(at) {
            node.values.clear();
        }
    }
    Ok(())
}
