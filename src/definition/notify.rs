//! `[notify]`: whom a sync tells of its result.

use std::time::Duration;

use super::document::Table;
use super::keys::vocabulary::NOTIFY_ON;
use super::{units, variables};
use crate::source::faults::Faults;

/// How long a notification may take, unless the project says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that it may take.
const MAXIMUM_TIMEOUT: Duration = Duration::from_secs(300);

/// `[notify]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// A program and its arguments; it reads the report from standard input.
    pub command: Vec<String>,
    /// The URL to which the report is posted, with its variables.
    pub webhook: Option<String>,
    /// Only of a sync with an exit code other than 0.
    pub only_failures: bool,
    /// How long each of them may take.
    pub timeout: Duration,
}

/// Reads `[notify]`.
pub(super) fn notify(root: &Table<'_>, faults: &mut Faults) -> Option<Notify> {
    let table = root.table("notify", faults)?;
    let before = faults.len();
    let mut command = Vec::new();
    if let Some(entry) = table.get("command") {
        // An argument may be repeated.
        command.extend(entry.list(faults).iter().filter_map(|item| item.string(faults)).map(|text| text.value));
        if faults.len() == before && command.first().is_none_or(|program| program.trim().is_empty()) {
            faults.add(
                entry.place().clone(),
                "`command` names no program",
                "write `command = [\"program\", \"argument\"]`",
            );
        }
    }
    let webhook = table.string("webhook", faults).and_then(|text| {
        // One that is not set is no fault: only a sync that notifies needs it.
        variables::expand("webhook", text.clone(), &variables::environment, faults)?;
        let is_url = ["https://", "http://", "${"].iter().any(|start| text.value.starts_with(start));
        if is_url {
            return Some(text.value);
        }
        // It may be a secret: the value is not repeated.
        faults.add(text.place, "`webhook` is no URL", "expected `https://...`, or `${VARIABLE}` with it");
        None
    });
    if table.get("command").is_none() && table.get("webhook").is_none() {
        faults.add(table.place.clone(), "nobody is notified", "add `command = [...]` or `webhook = \"${VARIABLE}\"`");
    }
    let only_failures = table.choice("on", &NOTIFY_ON, faults) == Some(true);
    let timeout = table.string("timeout", faults).and_then(|text| {
        let timeout = units::duration(&text.value).filter(|t| !t.is_zero() && *t <= MAXIMUM_TIMEOUT);
        if timeout.is_none() {
            faults.add(text.place, "`timeout` is no such duration", "expected one from \"1ms\" to \"5m\"");
        }
        timeout
    });
    Some(Notify { command, webhook, only_failures, timeout: timeout.unwrap_or(DEFAULT_TIMEOUT) })
}

#[cfg(test)]
mod tests {
    use super::super::keys::NOTIFY;
    use super::*;

    #[test]
    fn the_default_is_the_one_that_is_declared() {
        let declared = NOTIFY.default_of("timeout").and_then(|text| units::duration(text.trim_matches('"')));
        assert_eq!(declared, Some(DEFAULT_TIMEOUT));
    }
}
