//! What audits find.

use crate::error::Error;
use crate::outcome::{DigestAudit, Verified};

/// The verdict of `audit consent` on a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentVerdict {
    /// Every row is of a subject that had consented.
    Holds,
    /// Some rows are not.
    Violated,
    /// It cannot be determined any more.
    Unknown,
}

impl ConsentVerdict {
    /// Its name in documents and for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Violated => "violated",
            Self::Unknown => "unknown",
        }
    }
}

/// One version, audited by the cut that it was computed from.
#[derive(Clone, Debug)]
pub struct ConsentVersion {
    /// The version.
    pub version: u64,
    /// The version of the record of consent; `None` = it records none.
    pub grants: Option<u64>,
    /// Its rows; `None` = it cannot be read.
    pub rows: Option<u64>,
    /// The subjects of its rows.
    pub subjects: Option<u64>,
    /// Rows whose subject had not consented; `None` = unknown.
    pub violations: Option<u64>,
    /// The subjects of those rows.
    pub offenders: u64,
    /// The verdict.
    pub verdict: ConsentVerdict,
    /// Why it is unknown.
    pub because: Option<String>,
}

/// A subject without consent in successive versions of a table.
#[derive(Clone, Debug)]
pub struct Offender {
    /// The subject, as a keyed hash unless it is to be revealed; `None` = NULL, which names nobody.
    pub subject: Option<String>,
    /// Most rows that a version holds of it.
    pub rows: u64,
    /// The first of these versions.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// One table in `audit consent`.
#[derive(Debug)]
pub struct ConsentAudit {
    /// Its name.
    pub table: String,
    /// The column that names the person.
    pub subject: String,
    /// The record of consent.
    pub grants: String,
    /// The audited versions, oldest first.
    pub versions: Vec<ConsentVersion>,
    /// Subjects without consent, by their first version; at most [`ConsentAudit::LISTED`].
    pub offenders: Vec<Offender>,
    /// How many more there are.
    pub offenders_left_out: u64,
    /// Why the table could not be audited, or not all of it.
    pub problem: Option<Error>,
}

impl ConsentAudit {
    /// Most offenders that are listed of a table.
    pub const LISTED: usize = 1000;
}

/// The result of `audit consent`.
#[derive(Debug, Default)]
pub struct ConsentAudits {
    /// Tables with `[consent]`, in the order of the project.
    pub tables: Vec<ConsentAudit>,
    /// What should be said of the names of tables.
    pub notes: Vec<String>,
    /// How subjects are shown.
    pub shown: &'static str,
}

/// The verdict of `audit verify` on a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyVerdict {
    /// It holds exactly the rows of its query, or of its digest.
    Equal,
    /// It holds other rows, or a data file cannot be decoded.
    Different,
    /// It cannot be determined, or not any more.
    Unknown,
}

impl VerifyVerdict {
    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Different => "different",
            Self::Unknown => "unknown",
        }
    }
}

/// One table in `audit verify`.
#[derive(Debug)]
pub struct VerifyAudit {
    /// Its name.
    pub table: String,
    /// The version; `None` = there is none.
    pub version: Option<u64>,
    /// Source table -> version from which it was recomputed.
    pub sources: Vec<(String, u64)>,
    /// The comparison with its query; `None` = it has none, or could not be recomputed.
    pub verified: Option<Verified>,
    /// The comparison with its digest.
    pub digest: Option<DigestAudit>,
    /// The verdict.
    pub verdict: VerifyVerdict,
    /// Why it is different or unknown, if not by the comparison.
    pub because: Option<String>,
    /// Why the table could not be compared.
    pub problem: Option<Error>,
}

/// The result of `audit verify`.
#[derive(Debug, Default)]
pub struct VerifyAudits {
    /// Tables in the order of the project, then system tables.
    pub tables: Vec<VerifyAudit>,
    /// What should be said of the names of tables.
    pub notes: Vec<String>,
}
