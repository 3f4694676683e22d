//! Checks a commit that declares that it changed no row (`dataChange` is false): an OPTIMIZE does so rightly, but its
//! name is no proof.
//!
//! The rows of the added files are compared with those of the removed ones, as multisets: each row is hashed under a
//! key drawn for the comparison, and the hashes are summed. Memory holds only one batch and two sums.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::arrow::row::{RowConverter, SortField};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::log::CommitFacts;
use super::session::{SessionOptions, session};
use super::table::{DeltaFile, LakeTable};
use super::write::conform;
use crate::clock;
use crate::error::{Context, Result};
use crate::sql::Planner;

/// Memory of a session that only scans.
const MEMORY: u64 = 64 << 20;

/// The result of checking a commit that declares that it changed no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MovedRows {
    /// The added rows equal the removed ones.
    Same,
    /// They differ.
    Others,
    /// This can no longer be determined.
    Unknown {
        /// Why.
        why: String,
        /// Whether the log counts equally many rows on both sides.
        same_count: bool,
    },
}

impl MovedRows {
    fn unknown(why: impl Into<String>, same_count: bool) -> Self {
        Self::Unknown { why: why.into(), same_count }
    }
}

/// The files that a commit without `dataChange` added and removed.
struct Sides {
    before: LakeTable,
    after: LakeTable,
    went: Vec<DeltaFile>,
    came: Vec<DeltaFile>,
}

/// The sources that are read to determine the effect of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The log.
    Log,
    /// Also the rows of data files, where the log does not decide.
    Rows,
}

impl LakeTable {
    /// Whether a commit changed rows without declaring it.
    ///
    /// # Errors
    /// When the engine cannot start; files that cannot be read make it [`MovedRows::Unknown`].
    pub async fn moved(&self, commit: &CommitFacts, evidence: Evidence) -> Result<MovedRows> {
        if !commit.moves_files() {
            return Ok(MovedRows::Same);
        }
        // Held until the result is known: tables with a common source ask concurrently, and the rows are compared once.
        let mut verdicts = self.verdicts().lock().await;
        if let Some(known) = verdicts.get(&commit.version) {
            return Ok(known.clone());
        }
        let sides = match self.sides(commit).await {
            Ok(sides) => sides,
            Err(why) => return Ok(MovedRows::unknown(why, false)),
        };
        let count = |files: &[DeltaFile]| files.iter().map(|file| file.rows).sum::<Option<u64>>();
        let counts = count(&sides.went).zip(count(&sides.came));
        let found = match counts {
            Some((went, came)) if went != came => MovedRows::Others,
            _ if sides.went.is_empty() && sides.came.is_empty() => MovedRows::Same,
            _ if evidence == Evidence::Log => return Ok(MovedRows::unknown("no row was looked at", counts.is_some())),
            _ => sides.compare(counts.is_some()).await?,
        };
        verdicts.insert(commit.version, found.clone());
        Ok(found)
    }

    async fn sides(&self, commit: &CommitFacts) -> std::result::Result<Sides, String> {
        let version = commit.version;
        if commit.changes_metadata {
            return Err("it changed the table's columns or properties, too".into());
        }
        let Some(above) = version.checked_sub(1) else { return Err("no version is before it".into()) };
        let gone = |v: u64| move |_| format!("v{v} can no longer be read");
        let (before, after) =
            (self.at(above).await.map_err(gone(above))?, self.at(version).await.map_err(gone(version))?);
        for at in [&before, &after] {
            at.check_files().map_err(|refused| refused.to_string())?;
        }
        let came = commit.files.moved_in.iter().map(|(path, _)| path);
        let moved: BTreeSet<&String> = came.chain(&commit.files.moved_out).collect();
        let by_identity = |table: &LakeTable| -> BTreeMap<_, DeltaFile> {
            let files = table.files().into_iter().filter(|file| moved.contains(&file.path));
            files.map(|file| ((file.path.clone(), file.deletion_vector.clone(), file.size), file)).collect()
        };
        let (mut went, mut came) = (by_identity(&before), by_identity(&after));
        // A file on both sides was only described again.
        let both: Vec<_> = went.keys().filter(|file| came.contains_key(*file)).cloned().collect();
        for file in both {
            went.remove(&file);
            came.remove(&file);
        }
        Ok(Sides { before, after, went: went.into_values().collect(), came: came.into_values().collect() })
    }
}

impl Sides {
    async fn compare(&self, same_count: bool) -> Result<MovedRows> {
        let options = SessionOptions { planner: Planner::Plain, ..SessionOptions::limited(MEMORY) };
        let session = session(options, &[self.after.location()])?;
        let key: [u8; 32] = *blake3::hash(clock::random_uuid().as_bytes()).as_bytes();
        let schema = self.after.schema();
        if self.before.schema() != schema {
            return Ok(MovedRows::unknown("it changed the table's columns, too", same_count));
        }
        let went = sum(&self.before, &self.went, (&session, &schema), &key).await;
        let came = sum(&self.after, &self.came, (&session, &schema), &key).await;
        Ok(match (went, came) {
            (Ok(went), Ok(came)) if went == came => MovedRows::Same,
            (Ok(_), Ok(_)) => MovedRows::Others,
            (Err(error), _) | (_, Err(error)) => {
                MovedRows::unknown(format!("its files cannot be read: {error}"), same_count)
            }
        })
    }
}

/// The number of rows and the sum of their hashes.
async fn sum(
    table: &LakeTable,
    files: &[DeltaFile],
    (session, schema): (&SessionContext, &SchemaRef),
    key: &[u8; 32],
) -> Result<(u64, u128, u128)> {
    let doing = || "rows cannot be compared".to_owned();
    let mut sum = (0_u64, 0_u128, 0_u128);
    if files.is_empty() {
        return Ok(sum);
    }
    let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields).context(doing)?;
    let files = files.iter().map(|file| file.path.clone()).collect();
    let frame = session.read_table(table.provider(session, Some(files)).await?).context(doing)?;
    let mut rows = frame.execute_stream().await.context(doing)?;
    while let Some(batch) = rows.try_next().await.context(doing)? {
        let batch: RecordBatch = conform(&batch, schema)?;
        for row in &converter.convert_columns(batch.columns()).context(doing)? {
            let hash = *blake3::keyed_hash(key, row.as_ref()).as_bytes();
            let half = |at: usize| hash[at..at + 16].iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
            sum = (sum.0 + 1, sum.1.wrapping_add(half(0)), sum.2.wrapping_add(half(16)));
        }
    }
    Ok(sum)
}
