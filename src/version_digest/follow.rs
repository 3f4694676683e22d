//! The digest of a version by the commits of its log, from the newest one whose digest is recorded.

use super::VersionDigest;
use super::recorded::Recorded;
use crate::digest::{DigestKey, Place, RowDigest};
use crate::error::Result;
use crate::lake::{CommitFacts, LakeTable};
use crate::outcome::Begun;

/// What the log and the records say of the digest of a version.
#[derive(Clone, Debug)]
pub(crate) enum Followed {
    /// It is this.
    Known(VersionDigest),
    /// It is this if commits of other writers, such as this one, changed no row.
    UnlessForeign(VersionDigest, ForeignCommit),
    /// Nothing, for this reason.
    Unknown(String),
}

/// A commit of another writer that may have changed rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignCommit {
    /// The version that it made.
    pub version: u64,
    /// Its operation.
    pub operation: String,
}

impl ForeignCommit {
    /// What it is, for people.
    pub(crate) fn told(&self) -> String {
        format!("v{} ({}) is a commit of another writer", self.version, self.operation)
    }
}

/// Finds the digest of a version. `newest` is any later version of the table, or that one.
///
/// # Errors
/// When a commit cannot be read.
pub(crate) async fn follow(newest: &LakeTable, version: u64, recorded: &Recorded, key: &DigestKey) -> Result<Followed> {
    let id = newest.uuid();
    let mut since = RowDigest::default();
    let mut foreign = None;
    let known = |rows: RowDigest, begun: Option<Begun>, foreign: Option<ForeignCommit>| {
        let digest = VersionDigest { rows, begun };
        match foreign {
            Some(foreign) => Followed::UnlessForeign(digest, foreign),
            None => Followed::Known(digest),
        }
    };
    for at in (0..=version).rev() {
        if let Some((rows, begun)) = recorded.of(&id, at, key) {
            return Ok(known(rows + since, begun, foreign));
        }
        let Some(commit) = newest.commit_at(at).await? else {
            return Ok(Followed::Unknown(format!("the log no longer has v{at}, and no older digest is recorded")));
        };
        let told = commit.digest();
        if !commit.is_ours() {
            // A commit that declares to change no row is taken at its word: a scan shows whether that is true.
            if commit.changes_data() || commit.changes_metadata {
                foreign = Some(ForeignCommit { version: at, operation: commit.operation().to_owned() });
            }
        } else if let Some(told) = told {
            let Some(rows) = key.open(&told.sealed, &Place::Change(&id, at)) else {
                return Ok(Followed::Unknown("digested with another STEDI_DELTA_HASH_KEY".to_owned()));
            };
            since += rows;
            if told.is_whole() {
                return Ok(known(since, None, foreign));
            }
        } else if commit.changes_data() {
            return Ok(Followed::Unknown(without_digest(&commit)));
        } else if at == 0 {
            // Created without a row.
            return Ok(known(since, None, foreign));
        }
    }
    Ok(Followed::Unknown("made by another writer".to_owned()))
}

/// Why a commit of ours does not say by how much it changes the digest.
fn without_digest(commit: &CommitFacts) -> String {
    let version = commit.version;
    match commit.fact("mode").and_then(serde_json::Value::as_str) {
        Some("restore") => format!("v{version} is a restore"),
        _ if commit.is_migration() => format!("a migration rewrote the table in v{version}"),
        _ => "written without STEDI_DELTA_HASH_KEY".to_owned(),
    }
}
