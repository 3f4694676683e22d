//! The digest of a version of a table: as `runs` records it, as the commits since tell it, or by a scan.
//!
//! Each commit of ours says in its `commitInfo` by how much it changes the digest. A sync adds that to the digest that the
//! newest row of `runs` has, and records the sum. It scans a table only where it cannot: after a commit that does not say
//! it. Then it records why.

mod follow;
mod recorded;
mod scan;

pub(crate) use follow::{Followed, ForeignCommit, follow};
pub(crate) use recorded::{Entry, Recorded};
pub(crate) use scan::scanned;

use crate::digest::RowDigest;
use crate::outcome::Begun;

/// The digest of a version.
#[derive(Clone, Debug)]
pub(crate) struct VersionDigest {
    /// Of its rows.
    pub rows: RowDigest,
    /// The newest scan on which it rests; `None` = the digest of every change since the table was made is known.
    pub begun: Option<Begun>,
}
