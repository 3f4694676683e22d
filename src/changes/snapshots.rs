//! The data files by which two snapshots differ.

use std::collections::BTreeMap;

use super::files::look_up;
use super::{ChangeSet, Changes, Part, Reading, Way};
use crate::error::Result;
use crate::lake::{DeltaFile, LakeTable};

/// The files that only one of the snapshots holds.
pub(super) async fn by_snapshots(table: &LakeTable, from: u64, why: &str) -> Result<Changes> {
    let Ok(old) = table.at(from).await else {
        return Ok(Changes::Lost(format!("v{from} can no longer be read")));
    };
    if let Err(refused) = old.check_files() {
        return Ok(Changes::Lost(format!("v{from} cannot be read: {refused}")));
    }
    if let Some(name) = table.column_stored_otherwise(&old) {
        return Ok(Changes::Lost(format!("column `{name}` is stored differently than in v{from}")));
    }
    let DifferingFiles { removed, added } = match DifferingFiles::find(&old, table) {
        Ok(differing) => differing,
        Err(why) => return Ok(Changes::Lost(why)),
    };
    let found = look_up(table, removed.iter().map(|file| file.path.as_str())).await?;
    if !found.gone.is_empty() {
        return Ok(Changes::Lost(format!("files of v{from} are gone")));
    }
    let plain = table.indirection().is_none()
        && old.indirection().is_none()
        && added.iter().chain(&removed).all(|file| file.deletion_vector.is_none());
    let widest = added.iter().chain(&removed).filter_map(|file| file.widest).max().unwrap_or(0);
    let sides = [(1, added, table), (-1, removed, &old)].into_iter().filter(|(_, files, _)| !files.is_empty());
    let seen = found.there.into_keys().collect();
    let mut change = ChangeSet { seen, widest, ..ChangeSet::nothing(table, from) };
    for (weight, files, at) in sides {
        change.bytes.0 += files.iter().map(|file| file.size).sum::<u64>();
        let files: Vec<String> = files.into_iter().map(|file| file.path).collect();
        let reading = if plain { Reading::Plain } else { Reading::Through(Box::new(at.clone())) };
        change.parts.push(Part { weight, files, reading });
    }
    if !change.is_empty() {
        change.way = if change.only_adds() { Way::Appends } else { Way::Files };
        change.why = (change.way == Way::Files).then(|| why.to_owned());
    }
    Ok(change.into())
}

/// The data files that only one of two versions holds.
pub(crate) struct DifferingFiles {
    /// Of the older one.
    pub(crate) removed: Vec<DeltaFile>,
    /// Of the newer one.
    pub(crate) added: Vec<DeltaFile>,
}

impl DifferingFiles {
    /// Compares the file lists of two versions. No data file is read.
    ///
    /// # Errors
    /// Why a file of both does not have the same rows in both.
    pub(crate) fn find(old: &LakeTable, new: &LakeTable) -> std::result::Result<Self, String> {
        let (before, after) = (by_identity(old), by_identity(new));
        if after.iter().any(|(identity, file)| before.get(identity).is_some_and(|old| old.size != file.size)) {
            let from = old.version();
            return Err(format!("a file of v{from} was overwritten by another one of the same name"));
        }
        let only = |here: &BTreeMap<Identity, DeltaFile>, there: &BTreeMap<Identity, DeltaFile>| {
            let only = here.iter().filter(|(identity, _)| !there.contains_key(*identity));
            only.map(|(_, file)| file.clone()).collect::<Vec<_>>()
        };
        Ok(Self { removed: only(&before, &after), added: only(&after, &before) })
    }

    /// Their number.
    pub(crate) fn count(&self) -> u64 {
        (self.removed.len() + self.added.len()) as u64
    }

    /// Their size in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.removed.iter().chain(&self.added).map(|file| file.size).sum()
    }
}

/// A file's path and its deletion vector, which determine its rows.
type Identity = (String, Option<String>);

fn by_identity(table: &LakeTable) -> BTreeMap<Identity, DeltaFile> {
    table.files().into_iter().map(|file| ((file.path.clone(), file.deletion_vector.clone()), file)).collect()
}
