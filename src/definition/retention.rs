//! `[retention]`: how long versions can be read once `vacuum` runs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::Table;
use super::settings::check_zone;
use crate::source::faults::Faults;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long what no newest version needs stays. `vacuum` alone deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Versions of this age and younger can be read.
    pub history: Duration,
    /// The same for the tables of some zones.
    pub zones: BTreeMap<String, Duration>,
    /// Files of this age and younger stay: a sync or a query that has begun may need them.
    pub grace: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { history: DAY * 30, zones: BTreeMap::new(), grace: DAY }
    }
}

/// `[retention]` of a project; `zones` are its own, if they are known.
pub(super) fn of_project(root: &Table<'_>, zones: Option<&[String]>, faults: &mut Faults) -> Retention {
    let mut retention = Retention::default();
    let Some(table) = root.table("retention", faults) else { return retention };
    if let Some(history) = table.get("history").and_then(|entry| entry.duration(faults)) {
        retention.history = history;
    }
    if let Some(grace) = table.get("grace").and_then(|entry| entry.duration(faults)) {
        retention.grace = grace;
    }
    let Some(of_zones) = table.table("zones", faults) else { return retention };
    for entry in of_zones.entries() {
        check_zone(&entry.key, &entry.key_place, zones, faults);
        if let Some(history) = entry.duration(faults) {
            retention.zones.insert(entry.key.clone(), history);
        }
    }
    retention
}

/// `[retention]` of a table.
pub(super) fn of_table(root: &Table<'_>, faults: &mut Faults) -> Option<Duration> {
    let table = root.table("retention", faults)?;
    table.require("history", faults)?.duration(faults)
}

#[cfg(test)]
mod tests {
    use super::super::keys::RETENTION;
    use super::super::units;
    use super::*;

    #[test]
    fn the_defaults_are_those_that_are_declared() {
        let declared = |key: &str| units::duration(RETENTION.default_of(key)?.trim_matches('"'));
        let Retention { history, grace, .. } = Retention::default();
        assert_eq!((declared("history"), declared("grace")), (Some(history), Some(grace)));
    }
}
