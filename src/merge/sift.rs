//! Prunes the files that the log leaves by their own ends: personal data has no statistics in the log.

use futures::StreamExt;

use super::prune::Probe;
use crate::lake::{AT_ONCE, DeltaFile, LakeTable, Tail, Wanted};

/// The files that may hold a value of every probe. A file whose end cannot be read is kept: its reader reports the
/// error.
pub(super) async fn sift(table: &LakeTable, probes: &[Probe], files: Vec<DeltaFile>) -> Vec<DeltaFile> {
    let wanted: &Vec<Wanted<'_>> = &probes.iter().filter_map(Probe::wanted).collect();
    // Reading one file costs as much as reading its end.
    if wanted.is_empty() || files.len() < 2 {
        return files;
    }
    let asked = files.into_iter().map(|file| async move {
        let may_hold = Tail::read(table.location(), &file).await.map_or(true, |tail| tail.may_hold(wanted));
        may_hold.then_some(file)
    });
    futures::stream::iter(asked).buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}
