//! Versions and the times of their commits.

use crate::error::Result;
use crate::lake::LakeTable;
use crate::outcome::DiffVersion;

/// A version, and when it was committed.
pub(crate) async fn version_of(table: &LakeTable) -> Result<DiffVersion> {
    let commit = table.commit_at(table.version()).await?;
    let info = commit.and_then(|commit| commit.info);
    let by_writer = info.and_then(|info| info.in_commit_timestamp.or(info.timestamp));
    Ok(DiffVersion { version: table.version(), committed_ms: by_writer.or_else(|| table.committed_ms()) })
}
