//! The versions of a table and their commits, from its log.

use crate::error::Result;
use crate::lake::{LakeTable, app};
use crate::migrate::{self, Moves};
use crate::outcome::{History, HistoryEntry};
use crate::travel::{self, Clock, CommitTime, Point};
use crate::workspace::Workspace;

/// Which versions `history` shows.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// At most so many that changed something, and all between them that did not.
    pub limit: usize,
    /// Only versions since then.
    pub since: Option<Point>,
}

/// The newest versions of a table, newest first, as far as the log reaches.
///
/// # Errors
/// `Usage` if there is no such table, `Failed` if it does not exist yet or its log cannot be read.
pub async fn history(workspace: &Workspace, name: &str, shown: &HistoryOptions) -> Result<History> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let named = travel::find(workspace, name).await?;
    let found = versions(&named.newest, shown).await?;
    let ended = if found.begins.is_some() { named.ended().await } else { None };
    let notes = named.notes.into_iter().chain(ended).collect();
    Ok(History { notes, ..found })
}

/// The versions of a table up to one of it, newest first, as far as the log reaches.
///
/// # Errors
/// If the log cannot be read.
pub(crate) async fn versions(table: &LakeTable, shown: &HistoryOptions) -> Result<History> {
    // Twice as many as are shown, and one before the first: whether its definition changed.
    let mut read = (shown.limit as u64).saturating_mul(2).saturating_add(16);
    loop {
        let commits = travel::newest_times(table, read).await?;
        let is_all = (commits.len() as u64) < read;
        let entries = entries(&commits, shown);
        let loud = entries.iter().filter(|entry| !entry.is_quiet).count();
        let is_enough = loud >= shown.limit || entries.len() + 1 < commits.len();
        if is_all || is_enough {
            let begins = commits.first().map_or(0, |first| first.facts.version);
            let is_cut = is_all && begins > 0 && shown.since.is_none() && loud < shown.limit;
            return Ok(History { entries, begins: is_cut.then_some(begins), notes: Vec::new() });
        }
        read = read.saturating_mul(4);
    }
}

/// Newest first.
fn entries(commits: &[CommitTime], shown: &HistoryOptions) -> Vec<HistoryEntry> {
    let mut entries: Vec<HistoryEntry> = Vec::new();
    let mut loud = 0;
    for (at, commit) in commits.iter().enumerate().rev() {
        let is_since = match &shown.since {
            Some(Point::Version(version)) => commit.facts.version >= *version,
            Some(Point::Time { ms, .. }) => commit.ms >= *ms,
            None => true,
        };
        if !is_since || loud == shown.limit {
            break;
        }
        let mut entry = entry(commit);
        loud += usize::from(!entry.is_quiet);
        let before = commits[..at].iter().rev().find_map(|before| before.facts.txns.get(app::DEFINITION));
        entry.is_new_definition =
            before.is_some_and(|before| commit.facts.txns.get(app::DEFINITION).is_some_and(|now| now != before));
        entries.push(entry);
    }
    entries
}

fn entry(CommitTime { facts: commit, ms, clock }: &CommitTime) -> HistoryEntry {
    let operation = commit.operation().to_owned();
    let files = &commit.files;
    let (added, removed) = (files.added.len() + files.moved_in.len(), files.removed.len() + files.moved_out.len());
    let definition = commit.txns.get(app::DEFINITION).filter(|_| commit.is_ours());
    let is_quiet = commit.is_ours() && !commit.changes_data() && !commit.changes_metadata && !commit.moves_files();
    let text = |key: &str| commit.fact(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let count = |key: &str| commit.fact(key)?.as_u64();
    let rows = match (count("rowsInserted"), count("rowsUpdated"), count("rowsDeleted")) {
        (None, None, None) => None,
        (inserted, updated, deleted) => Some([inserted.unwrap_or(0), updated.unwrap_or(0), deleted.unwrap_or(0)]),
    };
    let mut sources = commit.sources();
    sources.extend(count("batch").map(|number| ("batch".to_owned(), number)));
    HistoryEntry {
        version: commit.version,
        committed_ms: *ms,
        clock: match clock {
            Clock::InCommit => "in_commit",
            Clock::Writer => "writer",
            Clock::Object => "object",
        },
        operation,
        engine: commit.info.as_ref().and_then(|info| info.engine_info.clone()),
        mode: text("mode"),
        reason: text("reason"),
        run: commit.run().map(str::to_owned),
        rows,
        files: [added as u64, removed as u64],
        definition: definition.map(|hash| format!("{hash:016x}")),
        is_new_definition: false,
        is_quiet,
        sources,
    }
}
