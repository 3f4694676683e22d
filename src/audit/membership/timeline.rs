//! In which versions a subject has rows: from the newest version back, by what each commit changed.

use deltalake::arrow::array::AsArray;
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::logical_expr::{Expr, ident};
use deltalake::datafusion::prelude::{DataFrame, SessionContext};
use futures::TryStreamExt;

use crate::changes::{self, ChangeSet, Changes};
use crate::error::{Context, Result};
use crate::incremental::{WEIGHT, consolidate};
use crate::lake::LakeTable;
use crate::outcome::{Stretch, Unknown, VersionRows, VersionTime};
use crate::travel::CommitTime;

/// Which versions are walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// The version that was asked for.
    pub at: u64,
    /// Its rows of the subject.
    pub rows: u64,
    /// Whether all versions are asked for: otherwise the walk ends where its answer is known.
    pub all: bool,
}

/// The versions in which the number of a subject's rows changed.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Newest first.
    pub versions: Vec<VersionRows>,
    /// Versions that could not be read.
    pub unknown: Option<Unknown>,
    /// Whether the changes give the same number of rows as the version itself.
    pub adds_up: bool,
}

/// The rows of a relation that meet a condition.
pub(super) async fn count(session: &SessionContext, table: &LakeTable, condition: &Expr) -> Result<u64> {
    let rows = session.read_table(table.provider(session, None).await?).context(doing)?;
    let count = rows.filter(condition.clone()).context(doing)?.count().await.context(doing)?;
    Ok(count as u64)
}

/// Walks the versions of a table; `condition` is that on the rows of a version.
///
/// # Errors
/// When rows cannot be read.
pub(super) async fn timeline(
    session: &SessionContext,
    newest: &LakeTable,
    commits: &[CommitTime],
    condition: impl Fn(&LakeTable) -> Result<Expr>,
    walk: Walk,
) -> Result<Timeline> {
    let mut found = Timeline { adds_up: true, ..Timeline::default() };
    let mut rows = count(session, newest, &condition(newest)?).await?;
    // Whether a version up to the one that was asked for has been seen with rows.
    let mut is_found = false;
    for commit in commits.iter().rev() {
        let version = commit.facts.version;
        let at = VersionTime { version, committed_ms: Some(commit.ms) };
        if version == walk.at && rows != walk.rows {
            (found.adds_up, rows) = (false, walk.rows);
        }
        is_found |= version <= walk.at && rows > 0;
        if is_found && rows == 0 && !walk.all {
            return Ok(found);
        }
        if version == 0 {
            if rows > 0 {
                found.versions.push(VersionRows { at, inserted: rows, deleted: 0, rows });
            }
            return Ok(found);
        }
        let facts = &commit.facts;
        if !facts.changes_data() && !facts.changes_metadata && !facts.moves_files() {
            continue;
        }
        let unknown = |why: String| Some(Unknown { before: version, why });
        let Ok(table) = newest.at(version).await else {
            found.unknown = unknown(format!("v{version} can no longer be opened"));
            return Ok(found);
        };
        let Ok(condition) = condition(&table) else {
            found.unknown = Some(Unknown { before: version + 1, why: format!("v{version} lacks the column") });
            return Ok(found);
        };
        if facts.changes_metadata
            && let Ok(before) = newest.at(version - 1).await
            && before.uuid() != table.uuid()
        {
            if rows > 0 {
                found.versions.push(VersionRows { at, inserted: rows, deleted: 0, rows });
            }
            found.unknown = unknown(format!("the table was created anew with v{version}"));
            return Ok(found);
        }
        let change = match changes::of_older(newest, &table).await? {
            Changes::Known(change) => change,
            Changes::Lost(why) => {
                found.unknown = unknown(why);
                return Ok(found);
            }
        };
        if condition.column_refs().iter().any(|column| change.touched().contains(&column.name)) {
            found.unknown = unknown(format!("v{version}, a migration, changed the column"));
            return Ok(found);
        }
        let (inserted, deleted) = changed(session, &change, condition).await?;
        if inserted > 0 || deleted > 0 {
            found.versions.push(VersionRows { at, inserted, deleted, rows });
        }
        let before = (rows + deleted).checked_sub(inserted);
        found.adds_up &= before.is_some();
        rows = before.unwrap_or(0);
    }
    // The loop ends before version 0 only where the log does.
    if let Some(oldest) = commits.first() {
        let why = "older commits were removed from the log".to_owned();
        found.unknown = Some(Unknown { before: oldest.facts.version, why });
    }
    Ok(found)
}

/// Rows of the subject that a change inserts and deletes.
async fn changed(session: &SessionContext, change: &ChangeSet, condition: Expr) -> Result<(u64, u64)> {
    if change.is_empty() {
        return Ok((0, 0));
    }
    let rows = session.read_table(change.provider(session).await?).context(doing)?;
    let rows = rows.filter(condition).context(doing)?;
    let rows = DataFrame::new(session.state(), consolidate(rows.into_unoptimized_plan())?);
    let mut stream = rows.select(vec![ident(WEIGHT)]).context(doing)?.execute_stream().await.context(doing)?;
    let (mut inserted, mut deleted) = (0, 0);
    while let Some(batch) = stream.try_next().await.context(doing)? {
        let weights = batch.column(0).as_primitive_opt::<Int64Type>();
        for weight in weights.into_iter().flat_map(|weights| weights.values()) {
            if *weight > 0 {
                inserted += weight.unsigned_abs();
            } else {
                deleted += weight.unsigned_abs();
            }
        }
    }
    Ok((inserted, deleted))
}

impl Timeline {
    /// The versions with rows around the one that was asked for; else the newest ones before it.
    pub(super) fn stretch(&self, walk: Walk, commits: &[CommitTime]) -> Option<Stretch> {
        let time = |version: u64| {
            let commit = commits.iter().find(|commit| commit.facts.version == version);
            VersionTime { version, committed_ms: commit.map(|commit| commit.ms) }
        };
        // Newest first: the rows of a change stand until the next one.
        let later = self.versions.iter().take_while(|change| change.at.version > walk.at).count();
        let (later, upto) = self.versions.split_at(later);
        let last = |change: &VersionRows| time(change.at.version.saturating_sub(1));
        let (until, upto) = if walk.rows > 0 {
            (later.iter().rev().find(|change| change.rows == 0).map(last), upto)
        } else {
            let ended = upto.iter().position(|change| change.rows == 0)?;
            (upto.get(ended).map(last), upto.get(ended + 1..).unwrap_or_default())
        };
        let begins = |change: &&VersionRows| change.rows + change.deleted == change.inserted;
        let begin = upto.iter().take_while(|change| change.rows > 0).find(begins);
        Some(match begin {
            Some(change) => Stretch { since: change.at, is_since_known: true, until },
            // It was there before all that can be read.
            None => {
                let oldest = self.unknown.as_ref().map_or(0, |unknown| unknown.before);
                Stretch { since: time(oldest), is_since_known: false, until }
            }
        })
    }
}

fn doing() -> String {
    "the rows of the subject cannot be counted".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(changes: &[(u64, u64, u64, u64)], unknown: Option<u64>) -> Timeline {
        let at = |version| VersionTime { version, committed_ms: None };
        let change = |(version, inserted, deleted, rows)| VersionRows { at: at(version), inserted, deleted, rows };
        let unknown = unknown.map(|before| Unknown { before, why: String::new() });
        Timeline { versions: changes.iter().copied().map(change).collect(), unknown, adds_up: true }
    }

    #[test]
    fn a_stretch_begins_with_the_first_row_and_ends_before_the_last_one_goes() {
        // Rows in v1-v3 (two from v2 on), none in v4-v5, one in v6-v8.
        let all = [(9, 0, 1, 0), (6, 1, 0, 1), (4, 0, 2, 0), (2, 1, 0, 2), (1, 1, 0, 1)];
        let found = |at, rows, changes: &[_], unknown| {
            let walk = Walk { at, rows, all: true };
            let stretch = timeline(changes, unknown).stretch(walk, &[])?;
            Some((stretch.since.version, stretch.is_since_known, stretch.until.map(|until| until.version)))
        };
        assert_eq!(found(0, 0, &all, None), None);
        for at in [1, 2, 3] {
            assert_eq!(found(at, 1, &all, None), Some((1, true, Some(3))), "{at}");
        }
        for at in [4, 5] {
            assert_eq!(found(at, 0, &all, None), Some((1, true, Some(3))), "{at}");
        }
        assert_eq!(found(7, 1, &all, None), Some((6, true, Some(8))));
        assert_eq!(found(10, 0, &all, None), Some((6, true, Some(8))));
        assert_eq!(found(10, 1, &all[1..], None), Some((6, true, None)));
        // The oldest change that is known found rows already.
        assert_eq!(found(3, 2, &all[..4], Some(2)), Some((2, false, Some(3))));
        assert_eq!(found(3, 5, &[], Some(2)), Some((2, false, None)));
    }
}
