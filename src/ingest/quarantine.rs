//! Records in quarantine.

use deltalake::arrow::array::RecordBatch;
use deltalake::datafusion::prelude::SessionContext;

use super::LandingContext;
use crate::error::{Context, Result};
use crate::lake::LakeTable;

/// Records in quarantine, from file statistics.
///
/// # Errors
/// When the table cannot be opened.
pub async fn count(context: &LandingContext<'_>) -> Result<u64> {
    let table = LakeTable::open(&context.quarantine).await?;
    Ok(table.and_then(|t| t.rows()).unwrap_or(0))
}

/// The first `limit` records in quarantine, by file and offset.
///
/// # Errors
/// When the table cannot be read.
pub async fn list(context: &LandingContext<'_>, session: &SessionContext, limit: usize) -> Result<Vec<RecordBatch>> {
    let doing = || format!("the quarantine of {} cannot be read", context.table.name);
    let Some(table) = LakeTable::open(&context.quarantine).await? else { return Ok(Vec::new()) };
    let frame = session.read_table(table.provider(session, None).await?).context(doing)?;
    let sort = ["source_file", "source_offset"].map(|c| deltalake::datafusion::logical_expr::ident(c).sort(true, true));
    let frame = frame.sort(sort.to_vec()).and_then(|f| f.limit(0, Some(limit))).context(doing)?;
    frame.collect().await.context(doing)
}
