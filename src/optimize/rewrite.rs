//! Rows of some files -> other files, in the order of `cluster_by`, or else in the order of the files.

use std::collections::BTreeSet;

use deltalake::datafusion::logical_expr::ident;
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::choose::Shape;
use crate::error::{Context, Error, Kind, Result};
use crate::lake::{Compacted, DataWriter, DeltaFile, LakeTable, rows};
use crate::merge::complete;
use crate::outcome::counted;

/// Writes the rows of `files`, and counts them: exactly those that the files hold. Sorting spills.
///
/// # Errors
/// When a file cannot be read or written, or rows would be lost or doubled.
pub(super) async fn rewrite(
    table: &LakeTable,
    files: &[DeltaFile],
    shape: &Shape,
    session: &SessionContext,
) -> Result<(Compacted, u64)> {
    let doing = || format!("files of {} cannot be merged", table.location());
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let mut writer = DataWriter::new(table, shape.target_file_size).rows_per_file(shape.rows_per_file);
    let relation = || table.provider(session, Some(paths.clone()));
    if shape.sorted_by.is_empty() {
        let schema = table.schema();
        for file in files {
            let mut stream = rows(table.location(), file, None).await?;
            while let Some(batch) = stream.try_next().await.context(doing)? {
                writer.write(&complete(&batch, &schema)?).await?;
            }
        }
    } else {
        let order = shape.sorted_by.iter().map(|column| ident(column).sort(true, true)).collect();
        let frame = session.read_table(relation().await?).and_then(|frame| frame.sort(order)).context(doing)?;
        let mut stream = frame.execute_stream().await.context(doing)?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            writer.write(&batch).await?;
        }
    }
    let written = writer.close().await?;
    let held = match files.iter().map(|file| file.rows).sum::<Option<u64>>() {
        Some(held) => held,
        None => session.read_table(relation().await?).context(doing)?.count().await.context(doing)? as u64,
    };
    let adds: u64 = written.adds.iter().filter_map(|add| DeltaFile::from(add).rows).sum();
    let bytes = files.iter().map(|file| file.size).sum();
    let rows = written.rows;
    let compacted = Compacted {
        paths: paths.into_iter().collect::<BTreeSet<_>>(),
        written: written.adds,
        sorted_by: shape.sorted_by.clone(),
        bytes,
    };
    if rows != held || adds != held {
        discard(table, &compacted).await;
        return Err(Error::new(Kind::Internal, doing())
            .fact("found", format!("{} in them, {} after sorting", counted(held, "row"), counted(rows, "row")))
            .fact("table", format!("v{}, unchanged", table.version())));
    }
    Ok((compacted, rows))
}

/// Deletes files that no version names.
pub(super) async fn discard(table: &LakeTable, compacted: &Compacted) {
    for add in &compacted.written {
        table.location().remove(&add.path).await;
    }
}

/// The same after a conflict, unless the newest version names one of them: then the conflict was with this very commit.
pub(super) async fn discard_after_conflict(table: &LakeTable, written: &[String]) {
    let Ok(Some(newest)) = LakeTable::open(table.location()).await else { return };
    let paths = newest.paths();
    if written.iter().any(|path| paths.contains(path)) {
        return;
    }
    for path in written {
        table.location().remove(path).await;
    }
}
