//! The versions of a table and their commits, from its log.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::lake::{CommitFacts, LakeTable};
use crate::migrate::{self, Moves};
use crate::outcome::HistoryEntry;
use crate::workspace::Workspace;

/// The newest `limit` versions of a table or of a landing table's quarantine, newest first, as far as the log reaches.
///
/// # Errors
/// `Usage` if there is no such table, `Failed` if it does not exist yet or its log cannot be read.
pub async fn history(workspace: &Workspace, name: &str, limit: usize) -> Result<Vec<HistoryEntry>> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let location = match name.strip_suffix("_quarantine").and_then(|base| workspace.landing_table(base).ok()) {
        Some(table) => workspace.quarantine(table)?,
        None => workspace.location(workspace.table(name)?)?,
    };
    let Some(table) = LakeTable::open(&location).await? else {
        return Err(Error::failed(format!("{name} does not exist yet")).help("stedi-delta sync"));
    };
    let mut entries = Vec::new();
    for version in (0..=table.version()).rev().take(limit) {
        let Some(commit) = table.commit_at(version).await? else { break };
        entries.push(entry(commit));
    }
    Ok(entries)
}

fn entry(commit: CommitFacts) -> HistoryEntry {
    let operation = commit.operation().to_owned();
    let info = commit.info.unwrap_or_default();
    let ours = info.info.get("stediDelta").cloned().unwrap_or(Value::Null);
    let text = |key: &str| ours[key].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let count = |key: &str| ours[key].as_u64();
    let rows = match (count("rowsInserted"), count("rowsUpdated"), count("rowsDeleted")) {
        (None, None, None) => None,
        (inserted, updated, deleted) => Some([inserted.unwrap_or(0), updated.unwrap_or(0), deleted.unwrap_or(0)]),
    };
    let mut sources: BTreeMap<String, u64> = BTreeMap::new();
    if let Some(map) = ours["sources"].as_object() {
        sources.extend(map.iter().filter_map(|(name, version)| Some((name.clone(), version.as_u64()?))));
    }
    sources.extend(count("batch").map(|number| ("batch".to_owned(), number)));
    HistoryEntry {
        version: commit.version,
        committed_ms: info.timestamp,
        operation,
        engine: info.engine_info,
        mode: text("mode"),
        reason: text("reason"),
        run: text("run"),
        rows,
        sources,
    }
}
