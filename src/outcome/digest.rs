//! Digests of tables: what a sync and an audit say of them.

use serde::{Deserialize, Serialize};

use super::VerifyVerdict;
use crate::digest::Sealed;

/// Where a digest that is followed from there was computed by a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The version that was scanned.
    pub version: u64,
    /// Why its digest did not follow from the one before.
    pub because: String,
}

/// A digest that a sync did not follow from the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DigestNotice {
    /// The table.
    pub table: String,
    /// Its version.
    pub version: u64,
    /// Rows that were scanned; `None` = it has no digest.
    pub rows: Option<u64>,
    /// Why it had to be.
    pub because: String,
    /// Why it has no digest.
    pub problem: Option<String>,
}

/// A version, compared with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestAudit {
    /// Whether its rows are those of the digest.
    pub verdict: VerifyVerdict,
    /// The digest that it should have.
    pub expected: Option<Sealed>,
    /// Its rows, if they were read.
    pub rows: Option<u64>,
    /// The newest scan on which the digest rests.
    pub begun: Option<Begun>,
    /// Why it is different or unknown.
    pub because: Option<String>,
}
