//! The digest of a version by reading all of its rows.

use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use futures::future::join_all;

use crate::digest::{DigestKey, RowDigest};
use crate::error::{Context, Error, Result};
use crate::lake::LakeTable;

/// Reads every row of a version.
///
/// # Errors
/// When one cannot be read.
pub(crate) async fn scanned(table: &LakeTable, session: &SessionContext, key: &DigestKey) -> Result<RowDigest> {
    let doing = || format!("the rows of {} (v{}) cannot be digested", table.location(), table.version());
    let frame = session.read_table(table.provider(session, None).await?).context(doing)?;
    let parts = frame.execute_stream_partitioned().await.context(doing)?;
    let tasks = parts.into_iter().map(|mut batches| {
        let key = key.clone();
        tokio::spawn(async move {
            let mut digest = RowDigest::default();
            while let Some(batch) = batches.try_next().await.context(|| "a data file cannot be read".into())? {
                digest += key.rows(&batch)?;
            }
            Ok::<_, Error>(digest)
        })
    });
    let mut digest = RowDigest::default();
    for part in join_all(tasks).await {
        digest += part.context(doing)??;
    }
    Ok(digest)
}
