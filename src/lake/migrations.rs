//! The migrations that a table's log includes.

use super::state::app;
use super::table::LakeTable;
use crate::error::{Error, Result};

impl LakeTable {
    /// Checks that an existing table includes all migrations up to `newest`. This build cannot apply migrations, only
    /// report pending ones.
    ///
    /// # Errors
    /// If some are pending.
    pub fn check_migrations(&self, name: &str, newest: i64) -> Result<()> {
        let included = self.state().txns.get(app::MIGRATION).copied().unwrap_or(newest);
        if included >= newest {
            return Ok(());
        }
        Err(Error::failed(format!("{name} lacks migrations {} to {newest}", included + 1))
            .fact("table", format!("{} (v{})", self.location(), self.version()))
            .help("this version of stedi-delta does not apply migrations; take the files out of migrations/ again"))
    }
}
