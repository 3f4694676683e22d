//! Change data files that are not there any more.

use std::collections::BTreeSet;

use super::tally::{Unfit, is_fed};
use crate::lake::CommitFacts;

/// Commits of whose change data files some are in `gone`.
pub(super) fn vacuumed(commits: &[CommitFacts], unfit: &Unfit, gone: &BTreeSet<String>) -> Unfit {
    let is_gone = |commit: &&CommitFacts| is_fed(commit, unfit) && commit.files.cdc.iter().any(|p| gone.contains(p));
    let version = |commit: &CommitFacts| commit.version;
    let why = |version| (version, format!("the change feed of v{version} is vacuumed"));
    commits.iter().filter(is_gone).map(version).map(why).collect()
}
