//! Versions and the times of their commits.

use crate::error::Result;
use crate::lake::LakeTable;
use crate::outcome::DiffVersion;

/// A version, and when it was committed.
pub(crate) async fn version_of(table: &LakeTable) -> Result<DiffVersion> {
    let commit = table.commit_at(table.version()).await?;
    let by_itself = commit.and_then(|commit| commit.committed_ms());
    Ok(DiffVersion { version: table.version(), committed_ms: by_itself.or_else(|| table.committed_ms()) })
}
