//! Which migrations a table's log includes.

use super::state::app;
use super::table::LakeTable;
use crate::error::{Error, Result};

impl LakeTable {
    /// A table that stands gets to its definition by migrations, the newest of which has this number; this build can only
    /// tell that some are pending.
    ///
    /// # Errors
    /// When some are.
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
