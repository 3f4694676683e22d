//! How long the records are that rows come from, by their landing files: so that they can be cut out of them.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use crate::error::Result;
use crate::ingest::{FileRow, Ledger, Located, locate as look_for};
use crate::lake::{LakeTable, app};
use crate::outcome::MembershipOutcome;
use crate::workspace::Workspace;

/// Files that are read together.
const TOGETHER: usize = 4;

/// Records of one file: the landing table, its version, and the path.
type File = (String, u64, String);

/// Adds the lengths of records and the compression of their files. Of files that are gone, have changed or cannot be read
/// nothing is known, which is said once per file.
pub(super) async fn locate(workspace: &Workspace, outcome: &mut MembershipOutcome) {
    let mut files: BTreeMap<File, Vec<usize>> = BTreeMap::new();
    for (at, node) in outcome.nodes.iter().enumerate() {
        if let Some((path, _)) = &node.place {
            files.entry((node.table.clone(), node.version, path.clone())).or_default().push(at);
        }
    }
    let known = match states(workspace, files.keys()).await {
        Ok(known) => known,
        Err(error) => {
            outcome.notes.push(format!("the length of records is not known: {}", workspace.told(error).message()));
            return;
        }
    };
    let look = |(file, nodes): (File, Vec<usize>)| {
        let offset = |at: &usize| outcome.nodes.get(*at)?.place.as_ref().map(|(_, offset)| offset.unsigned_abs());
        let offsets: BTreeSet<u64> = nodes.iter().filter_map(offset).collect();
        let known = known.get(&file);
        async move {
            let Some(landing) = workspace.landing_table(base(&file.0)).ok().and_then(|table| table.landing()) else {
                return (file, nodes, Located::default());
            };
            let found = look_for(&workspace.landing, (&file.2, known), landing.format, &offsets).await;
            let failed =
                |error| Located { why: Some(workspace.told(error).message().to_owned()), ..Located::default() };
            (file, nodes, found.unwrap_or_else(failed))
        }
    };
    let mut found: Vec<(File, Vec<usize>, Located)> =
        futures::stream::iter(files).map(look).buffer_unordered(TOGETHER).collect().await;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    for ((_, _, path), nodes, located) in found {
        let mut is_missed = false;
        for at in nodes {
            let Some(node) = outcome.nodes.get_mut(at) else { continue };
            let offset = node.place.as_ref().map(|(_, offset)| offset.unsigned_abs());
            node.compression = located.compression;
            node.length = node.length.or_else(|| located.lengths.get(&offset?).copied());
            is_missed |= node.length.is_none();
        }
        if let Some(why) = located.why.filter(|_| is_missed) {
            let note = format!("the length of records of {path} is not known: {why}");
            if !outcome.notes.contains(&note) {
                outcome.notes.push(note);
            }
        }
    }
}

/// The landing table of a table of records.
fn base(table: &str) -> &str {
    table.strip_suffix("_quarantine").unwrap_or(table)
}

/// The files as versions of landing tables ingested them.
async fn states(workspace: &Workspace, files: impl Iterator<Item = &File>) -> Result<BTreeMap<File, FileRow>> {
    let mut by_version: BTreeMap<(&str, u64), BTreeSet<&str>> = BTreeMap::new();
    for (table, version, path) in files {
        by_version.entry((table, *version)).or_default().insert(path);
    }
    let mut states = BTreeMap::new();
    if by_version.is_empty() {
        return Ok(states);
    }
    let session = workspace.session()?;
    let ledger = Ledger::read(&workspace.warehouse, &session, &workspace.places).await?;
    for ((name, version), paths) in by_version {
        let Ok(table) = workspace.landing_table(base(name)) else { continue };
        let Some(newest) = LakeTable::open(&workspace.location(table)?).await? else { continue };
        // The quarantine of a version is known by the newest state of its files.
        let batch = match name == table.name.as_str() {
            true => newest.at(version).await?.recorded_txn(app::BATCH).await?.unwrap_or(i64::MAX),
            false => i64::MAX,
        };
        let rows = ledger.rows_upto(&session, (table.name.as_str(), &newest.uuid()), &paths, batch).await?;
        states.extend(rows.into_iter().map(|(path, row)| ((name.to_owned(), version, path), row)));
    }
    Ok(states)
}
