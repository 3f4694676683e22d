//! Expectations that changed since the rows of a table were checked: they apply to all rows, not only to new ones.

use super::inspect::{Coverage, Inspector};
use super::{Refreshed, Work};
use crate::checks;
use crate::definition::Action;
use crate::error::{Error, Kind, Result};
use crate::lake::{Joins, LakeTable};
use crate::outcome::{Io, Mode};
use crate::plan::EXPECTATIONS_CHANGED;

impl Work<'_> {
    /// Checks all rows of a table at the cut, and records that it has.
    pub(super) async fn check(self) -> Result<Refreshed> {
        let Some(current) = self.current.clone() else {
            return Err(Error::new(Kind::Internal, "a table that does not exist cannot be checked"));
        };
        let session = self.session(Joins::Hash)?;
        let mut seen = Inspector::new(self.job.table, Coverage::AllRows)?;
        self.standing_rows(&current, &session, &mut seen).await?;
        seen.verdict(&self.job.privacy)?;
        let table = checks::record(&current, self.job.table, &self.job.run).await?;
        let io = Io { files_before: current.size().0, bytes_read: self.meter.bytes_read(), ..Io::default() };
        let done =
            Refreshed { table, mode: Mode::Check, reason: EXPECTATIONS_CHANGED.to_owned(), io, ..self.up_to_date()? };
        Ok(Refreshed { warnings: seen.warnings(), ..done })
    }

    /// Checks the rows from before the change.
    pub(super) async fn standing_rows(
        &self,
        current: &LakeTable,
        session: &deltalake::datafusion::prelude::SessionContext,
        seen: &mut Inspector,
    ) -> Result<()> {
        seen.stood(&checks::failing(self.job.table, current, session, |a| a != Action::Quarantine).await?);
        Ok(())
    }
}
