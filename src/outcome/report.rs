//! The document of `report`: `report/1`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Begun, ConsentVerdict, VerifyVerdict};

/// What the lake, or one pinned version, holds, and whether its laws held.
#[derive(Debug, Serialize)]
pub struct LakeReport {
    /// `report/1`.
    pub report: &'static str,
    /// The version of this tool.
    pub tool: String,
    /// When it was made.
    pub generated_at: String,
    /// Id of the command.
    pub run: String,
    /// Project name.
    pub project: String,
    /// Target name.
    pub target: String,
    /// Landing root, as given.
    pub landing: String,
    /// Warehouse root, as given.
    pub warehouse: String,
    /// The pin of which it is; `null` = the whole lake.
    pub pin: Option<ReportedPin>,
    /// Tables by zone; with a pin, its table and those above it.
    pub tables: Vec<ReportedTable>,
    /// Consent in the versions reported.
    pub consent: Vec<ReportedConsent>,
    /// The versions reported, recomputed or compared with their digests.
    pub verification: Vec<ReportedVerification>,
    /// All pins.
    pub pins: Vec<ReportedPin>,
    /// Migrations in the lake.
    pub migrations: Vec<ReportedMigration>,
    /// Exit code of the command: 3 if consent was violated, or a table does not equal its query.
    pub exit_code: u8,
}

impl LakeReport {
    /// How many versions violate consent, how many differ from their query, and how many verdicts are unknown.
    #[must_use]
    pub fn against(&self) -> [usize; 3] {
        let consent = |verdict| self.consent.iter().filter(|version| version.verdict == verdict).count();
        let verified = |verdict| self.verification.iter().filter(|version| version.verdict == verdict).count();
        let unknown = consent(ConsentVerdict::Unknown) + verified(VerifyVerdict::Unknown);
        [consent(ConsentVerdict::Violated), verified(VerifyVerdict::Different), unknown]
    }
}

/// One table.
#[derive(Debug, Serialize)]
pub struct ReportedTable {
    /// Its name.
    pub table: String,
    /// Its zone.
    pub zone: String,
    /// For people.
    pub description: String,
    /// `landing` or `derived`.
    pub kind: &'static str,
    /// URL or absolute path.
    pub location: String,
    /// Its id.
    pub table_uuid: Option<String>,
    /// The version reported; `null` = it does not exist.
    pub version: Option<u64>,
    /// When that was committed.
    pub committed_at: Option<String>,
    /// Rows.
    pub rows: Option<u64>,
    /// Data files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// The column that names the person whose consent every row needs, and the record of consent.
    pub consent: Option<(String, String)>,
    /// Columns with personal data.
    pub personal: Vec<String>,
    /// Source table -> version from which it was computed, where its log says so.
    pub sources: BTreeMap<String, Option<u64>>,
    /// Its newest versions that changed something, newest first.
    pub versions: Vec<ReportedVersion>,
}

/// One version.
#[derive(Debug, Serialize)]
pub struct ReportedVersion {
    /// Delta version.
    pub version: u64,
    /// When it was committed.
    pub committed_at: String,
    /// Delta operation.
    pub operation: String,
    /// Who made it: a run of ours, or another writer.
    pub by: String,
    /// Rows inserted, updated and deleted, if the log has them.
    pub rows: Option<[u64; 3]>,
    /// How and why.
    pub mode: String,
}

/// Consent in one version.
#[derive(Debug, Serialize)]
pub struct ReportedConsent {
    /// The table.
    pub table: String,
    /// The version.
    pub version: u64,
    /// The version of the record of consent in its cut.
    pub grants: Option<u64>,
    /// Rows.
    pub rows: Option<u64>,
    /// Subjects.
    pub subjects: Option<u64>,
    /// Rows whose subject had not consented.
    pub violations: Option<u64>,
    /// The verdict.
    pub verdict: ConsentVerdict,
    /// Why it is unknown.
    pub because: Option<String>,
}

/// One version, recomputed, or compared with its digest.
#[derive(Debug, Serialize)]
pub struct ReportedVerification {
    /// The table.
    pub table: String,
    /// The version.
    pub version: Option<u64>,
    /// The verdict.
    pub verdict: VerifyVerdict,
    /// The digest of its rows, of this table and version, as far as one is recorded.
    pub digest: Option<String>,
    /// Identifies the key of the digest.
    pub digest_key: Option<String>,
    /// Whether its rows are those of the digest.
    pub digest_verdict: Option<VerifyVerdict>,
    /// The newest scan on which the digest rests.
    pub digest_begun: Option<Begun>,
    /// Why it is different or unknown.
    pub because: Option<String>,
}

/// A pin.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedPin {
    /// Its name.
    pub name: String,
    /// The table.
    pub table: String,
    /// The version.
    pub version: u64,
    /// When that was committed.
    pub committed_at: Option<String>,
    /// When it was pinned.
    pub pinned_at: String,
    /// Until when it is to be kept.
    pub until: Option<String>,
    /// Rows.
    pub rows: Option<u64>,
    /// Data files.
    pub files: u64,
    /// How many of them are gone.
    pub files_gone: u64,
    /// People in it without consent today.
    pub withdrawn: Option<u64>,
    /// The digest of its rows, of this table and version; `null` = it was pinned without a key.
    pub digest: Option<String>,
    /// Identifies the key of the digest.
    pub digest_key: Option<String>,
}

/// A migration.
#[derive(Debug, Serialize)]
pub struct ReportedMigration {
    /// Its number.
    pub number: u32,
    /// The rest of its name.
    pub label: String,
    /// `applied`, `included`, `begun` or `pending`.
    pub state: &'static str,
    /// When that was recorded.
    pub recorded_at: Option<String>,
}
