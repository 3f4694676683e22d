//! What turns a table back into an older version of it.

use std::collections::BTreeMap;

use deltalake::kernel::Add;

use super::columns::NewColumns;
use super::table::LakeTable;

impl LakeTable {
    /// Add actions for files of this version with these paths, as files that change rows.
    #[must_use]
    pub(crate) fn adds_again(&self, wanted: impl Fn(&str) -> bool) -> Vec<Add> {
        let adds = self.adds().into_iter();
        adds.filter(|add| wanted(self.path_of(&add.path))).map(|add| Add { data_change: true, ..add }).collect()
    }

    /// The columns of `old`, an older version, if they differ from this one's, with all that the log says of them.
    #[must_use]
    pub(crate) fn columns_of(&self, old: &Self) -> Option<NewColumns> {
        let schema = old.inner().snapshot().ok()?.schema().as_ref().clone();
        let is_same = self.inner().snapshot().is_ok_and(|snapshot| *snapshot.schema() == schema);
        (!is_same).then_some(NewColumns::As(schema))
    }

    /// The properties of this version.
    #[must_use]
    pub(crate) fn properties(&self) -> BTreeMap<String, String> {
        let Ok(snapshot) = self.inner().snapshot() else { return BTreeMap::new() };
        snapshot.metadata().configuration().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The properties that `old`, an older version, has otherwise, and those that it does not have.
    #[must_use]
    pub(crate) fn properties_towards(&self, old: &Self) -> (BTreeMap<String, String>, Vec<String>) {
        let (now, then) = (self.properties(), old.properties());
        let unset = now.keys().filter(|key| !then.contains_key(*key)).cloned().collect();
        (then.into_iter().filter(|(key, value)| now.get(key) != Some(value)).collect(), unset)
    }
}
