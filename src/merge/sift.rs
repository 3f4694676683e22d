//! Which of the files that the log leaves can hold a row that goes, by their own ends: where personal data is, the log is
//! silent.

use futures::StreamExt;

use super::prune::Probe;
use crate::lake::{AT_ONCE, DeltaFile, LakeTable, Tail, Wanted};

/// The files that may hold a value of every probe. One whose end cannot be read stays: who reads it says why.
pub async fn sift(table: &LakeTable, probes: &[Probe], files: Vec<DeltaFile>) -> Vec<DeltaFile> {
    let wanted: &Vec<Wanted<'_>> = &probes.iter().filter_map(Probe::wanted).collect();
    // One file is read as fast as its end.
    if wanted.is_empty() || files.len() < 2 {
        return files;
    }
    let asked = files.into_iter().map(|file| async move {
        let may_hold = Tail::read(table.location(), &file).await.map_or(true, |tail| tail.may_hold(wanted));
        may_hold.then_some(file)
    });
    futures::stream::iter(asked).buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}
