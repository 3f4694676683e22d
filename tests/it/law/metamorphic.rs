//! Equal results by different paths: a change from each of its sources, and rows inserted and deleted again.

use std::collections::BTreeMap;

use stedi_delta::Storage;
use stedi_delta::internals::changes::{self, ChangeSet, ChangeSource, Changes};
use stedi_delta::internals::lake::{LakeTable, SessionOptions, session};

use super::compare::{Bag, Stored, bag, difference, minus, net};
use super::history;
use super::world::{Case, Rng};
use crate::support::Lake;

/// How often a change was computed by all sources, by the feed, by the files of the commits, by the two snapshots.
pub(crate) type Told = [usize; 4];

const WAYS: [(&str, Option<ChangeSource>); 4] = [
    ("the ladder", None),
    ("the feed", Some(ChangeSource::Feed)),
    ("the files of the commits", Some(ChangeSource::Commits)),
    ("the snapshots", Some(ChangeSource::Snapshots)),
];

/// The change of a table since the previous sync, from each source that can give it, equals the difference of its rows.
/// Checked for one changed table, a different one at every step.
pub(crate) async fn change_sources_agree(
    lake: &Lake,
    case: &Case,
    step: usize,
    before: &BTreeMap<String, Stored>,
    now: &BTreeMap<String, Stored>,
) -> Result<Told, String> {
    let mut told = Told::default();
    let moved =
        |name: &&String| before.get(*name).is_some_and(|o| o.id == now[*name].id && o.version < now[*name].version);
    let moved: Vec<&String> = now.keys().filter(moved).collect();
    let Some(name) = moved.get(step % moved.len().max(1)) else { return Ok(told) };
    let (old, new) = (&before[*name], &now[*name]);
    // Old rows lack columns that another writer added since, after all others; a change has the current columns.
    let Some(added) = new.schema.fields().len().checked_sub(old.schema.fields().len()) else { return Ok(told) };
    let padded = |(row, copies)| (format!("{row}{}", "|NULL".repeat(added)), copies);
    let was = bag(&old.batches, &old.schema)?.into_iter().map(padded).collect();
    let expected = minus(&bag(&new.batches, &new.schema)?, &was);
    let zone = if case.landing.iter().any(|l| l.name == **name) { "landing" } else { "curated" };
    let folder = lake.warehouse().join(zone).join(name);
    let location = Storage::default().location(".", &folder).map_err(|e| e.to_string())?;
    let table = LakeTable::open(&location).await.map_err(|e| e.to_string())?.ok_or("no table")?;
    for (at, (way, source)) in WAYS.into_iter().enumerate() {
        let change = match source {
            None => changes::since(&table, old.version).await,
            Some(source) => changes::since_by(&table, old.version, source).await,
        };
        let Changes::Known(change) = change.map_err(|e| e.to_string())? else { continue };
        let found = rows(&change, &table, new).await?;
        if let Some(text) = difference(&minus(&found, &expected), &Bag::new(), &[]) {
            return Err(format!("the change of {name} since v{} is another one by {way}\n    {text}", old.version));
        }
        told[at] += 1;
    }
    Ok(told)
}

async fn rows(change: &ChangeSet, table: &LakeTable, stored: &Stored) -> Result<Bag, String> {
    let session = session(SessionOptions::limited(256 << 20), &[table.location()]).map_err(|e| e.to_string())?;
    let provider = change.provider(&session).await.map_err(|e| e.to_string())?;
    let frame = session.read_table(provider).map_err(|e| e.to_string())?;
    net(&frame.collect().await.map_err(|e| e.to_string())?, &stored.schema)
}

/// Inserts rows into every landing table and deletes them again, with their files compacted in between or not.
pub(crate) async fn in_passing(lake: &Lake, case: &Case) -> Result<(), String> {
    let mut rng = Rng(case.steps.iter().map(Vec::len).sum::<usize>() as u64);
    for (at, table) in case.landing.iter().enumerate() {
        let rows: Vec<_> = (0..1 + rng.below(3)).map(|_| table.row(&mut rng)).collect();
        history::there_and_back(lake, table, &rows, at % 2 == 1).await.map_err(|e| format!("in passing: {e}"))?;
    }
    Ok(())
}

/// No derived table has other files than before.
pub(crate) fn untouched(
    case: &Case,
    before: &BTreeMap<String, Stored>,
    now: &BTreeMap<String, Stored>,
) -> Result<usize, String> {
    for name in case.derived.iter().map(|d| &d.name) {
        if before[name].files != now[name].files {
            return Err(format!("{name} was written although rows only came and went"));
        }
    }
    Ok(case.derived.len())
}
