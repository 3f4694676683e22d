//! What a vacuum frees.

use std::ops::AddAssign;

use crate::error::Error;
use crate::shape::document;

document! {
/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Files {
    /// How many.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}
}

impl Files {
    /// With one more.
    pub fn take(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl AddAssign for Files {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// Files by what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Freed {
    /// Data files of versions that end.
    pub data: Files,
    /// Change data of such versions.
    pub change_data: Files,
    /// Data files that no version names: of killed runs, and of versions whose log is gone.
    pub orphans: Files,
    /// Entries and checkpoints of the log.
    pub log: Files,
}

impl Freed {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Files {
        let mut all = self.data;
        all += self.change_data;
        all += self.orphans;
        all += self.log;
        all
    }
}

impl AddAssign for Freed {
    fn add_assign(&mut self, other: Self) {
        self.data += other.data;
        self.change_data += other.change_data;
        self.orphans += other.orphans;
        self.log += other.log;
    }
}

/// One folder.
#[derive(Debug, Default)]
pub struct VacuumTable {
    /// The table.
    pub table: String,
    /// What was freed, or would be.
    pub freed: Freed,
    /// The oldest version that stays; `None` = the table is gone, or was left alone.
    pub horizon: Option<u64>,
    /// Versions that end: the first and the last.
    pub ends: Option<(u64, u64)>,
    /// Why older versions stay than the retention asks for: `accelerometer_trusted was computed from v4`.
    pub kept_for: Option<String>,
    /// Why the folder was left as it is.
    pub left_alone: Option<String>,
    /// What failed.
    pub problem: Option<Error>,
}

/// A vacuum.
#[derive(Debug, Default)]
pub struct VacuumOutcome {
    /// By table.
    pub tables: Vec<VacuumTable>,
    /// Whether files were deleted; else it was a dry run.
    pub deleted: bool,
    /// A failure after the files were deleted.
    pub problem: Option<Error>,
}

impl VacuumOutcome {
    /// All tables together.
    #[must_use]
    pub fn freed(&self) -> Freed {
        self.tables.iter().fold(Freed::default(), |mut all, table| {
            all += table.freed;
            all
        })
    }
}
