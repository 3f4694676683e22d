//! Which versions of a table are there, by one listing of its folder.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::lake::{LakeTable, LogFiles};

/// The versions and files of a table that are there.
#[derive(Debug)]
pub(super) struct History {
    /// The oldest version that the log can still tell.
    pub oldest: u64,
    /// All files of the folder, and those of the newest version: no vacuum takes these, and one that is missing is reported
    /// when it is read.
    pub there: BTreeSet<String>,
}

impl History {
    /// Of a table, by its newest version.
    ///
    /// # Errors
    /// When its folder cannot be listed.
    pub(super) async fn of(newest: &LakeTable) -> Result<Self> {
        let listed = newest.location().list("").await?;
        let mut oldest = LogFiles::of(&listed).oldest(newest.version());
        // A checkpoint may be incomplete.
        while oldest < newest.version() && newest.at(oldest).await.is_err() {
            oldest += 1;
        }
        Ok(Self { oldest, there: listed.into_iter().map(|(path, _)| path).chain(newest.paths()).collect() })
    }

    /// Why versions before the oldest one are unknown.
    pub(super) fn why_gone(&self) -> String {
        format!("the log begins at v{}: older entries were removed", self.oldest)
    }
}
