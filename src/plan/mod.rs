//! The state of a table -> what a refresh has to do, and why. Pure.

pub(crate) mod cost;
mod fingerprint;
pub(crate) mod history;
mod reads;
pub(crate) mod work;

pub use fingerprint::expectations;
pub(crate) use fingerprint::{Fingerprint, fingerprint};
pub(crate) use reads::{columns_deciding, columns_read, overlap};

use crate::definition::{Derived, Policy, Project, Table};
use crate::determinism::Reason;
use crate::error::Error;
use crate::incremental;
use crate::name::TableName;
use crate::outcome::{Action, Mode};
use crate::source::{Fault, Place};
use crate::sql;

/// The state of a derived table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// Its version; `None` if it does not exist.
    pub version: Option<u64>,
    /// Its location, for messages.
    pub location: String,
    /// Whether its log contains a commit of ours.
    pub ours: bool,
    /// Fingerprint of the definition with which it was built.
    pub definition: Option<i64>,
    /// Fingerprint of the expectations by which all of its rows were checked; 0 if unknown.
    pub expectations: i64,
    /// The columns by which it differs from its definition: `+ zip string`.
    pub columns: Option<String>,
    /// Changes of its rows by another writer since our newest commit.
    pub drift: Option<String>,
    /// Its sources, including the grants table.
    pub sources: Vec<SourceStanding>,
}

/// One source of a derived table.
#[derive(Clone, Debug)]
pub(crate) struct SourceStanding {
    /// Its name.
    pub name: TableName,
    /// The version from which the table was computed; `None` if it was computed from another table of that name.
    pub consumed: Option<u64>,
    /// The version of the cut.
    pub current: u64,
    /// Whether the consumed version now has another content: its log was restored or replaced.
    pub replaced: bool,
}

/// Queries without a plan, and queries with `refresh = "incremental"` that have no derivative.
#[must_use]
pub(crate) fn unmaintainable(project: &Project) -> Vec<Fault> {
    let mut faults = Vec::new();
    for table in &project.tables {
        // The quarantine has the same query; one fault is enough.
        let Some(derived) = table.derived().filter(|d| d.quarantine_of.is_none()) else { continue };
        if let Err(reason) = sql::plannable(&derived.plan) {
            faults.push(unplannable(derived, &reason, "write the subquery as a join"));
        } else if derived.refresh == Policy::Incremental
            && let Err(why) = incremental::differentiate(&derived.plan)
        {
            let start = || Place { file: table.file.clone(), span: 0..0 };
            faults.push(Fault {
                message: format!("{} cannot be refreshed incrementally", table.name),
                place: Some(derived.refresh_place.clone().unwrap_or_else(start)),
                label: why.to_string(),
                help: Some("rewrite the query, or write `refresh = \"auto\"`".into()),
            });
        }
    }
    faults
}

/// The fault of a query without a plan.
#[must_use]
pub(crate) fn unplannable(derived: &Derived, reason: &Reason, label: &str) -> Fault {
    Fault {
        message: reason.to_string(),
        place: Some(Place { file: derived.sql_file.clone(), span: first_word(&derived.sql) }),
        label: label.into(),
        help: None,
    }
}

fn first_word(sql: &str) -> std::ops::Range<usize> {
    let start = sql.len() - sql.trim_start().len();
    start..start + sql[start..].find(char::is_whitespace).unwrap_or(sql.len() - start)
}

/// How a derived table gets to the cut.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It is at the cut.
    UpToDate,
    /// It is at the cut, and its rows have not been checked by the current expectations.
    Check,
    /// It is at the cut, and another writer rewrote its files: a commit of ours records that they hold the same rows,
    /// so that they are not compared again.
    Adopt(String),
    /// Compute the change, for a reason; the reason is empty until the change has been examined.
    Incremental(String),
    /// Compute the whole query, for a reason.
    Full(String),
    /// Compute the whole query, because the table has drifted since our newest commit.
    Repair(String),
    /// It cannot be brought there.
    Stop(Error),
}

impl Decision {
    /// The mode shown to people.
    #[must_use]
    pub(crate) fn action(&self) -> Action {
        match self {
            Self::UpToDate => Action::Do(Mode::None),
            Self::Check => Action::Do(Mode::Check),
            Self::Adopt(_) | Self::Incremental(_) => Action::Do(Mode::Incremental),
            Self::Full(_) | Self::Repair(_) => Action::Do(Mode::Full),
            Self::Stop(_) => Action::Stop,
        }
    }

    /// The reason; may be empty.
    #[must_use]
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::UpToDate | Self::Stop(_) => "",
            Self::Check => EXPECTATIONS_CHANGED,
            Self::Adopt(reason) | Self::Incremental(reason) | Self::Full(reason) | Self::Repair(reason) => reason,
        }
    }
}

/// The change to apply to a table, as far as the logs of its sources and its query determine it.
#[derive(Debug)]
pub(crate) enum Change {
    /// Rows of a version from which it was computed are missing.
    Lost {
        /// The reason.
        why: String,
        /// The error if the table may not be recomputed.
        error: Error,
    },
    /// Its query has no derivative.
    Underivable(String),
    /// It can be computed.
    Known {
        /// The changes of the sources.
        what: String,
        /// The cheaper mode, if requested.
        cheaper: Option<Decision>,
    },
}

/// The reason to build a table that does not exist.
const FIRST_BUILD: &str = "first build";

/// Decides how a derived table is brought to the cut. [`Decision::Incremental`] follows its definition; after the
/// change has been examined, [`by_change`] decides finally.
#[must_use]
pub(crate) fn decide(table: &Table, standing: &Standing, fingerprint: &Fingerprint) -> Decision {
    let policy = table.derived().map_or(Policy::Auto, |d| d.refresh);
    let Some(version) = standing.version else { return Decision::Full(FIRST_BUILD.into()) };
    if !standing.ours {
        return Decision::Stop(
            Error::failed(format!("{} is not a table of stedi-delta", standing.location))
                .fact("found", format!("a Delta table at version {version} that no sync wrote"))
                .help(format!("move it away, or replace its rows: stedi-delta sync -s {} --full-refresh", table.name)),
        );
    }
    if !fingerprint.is(standing.definition) {
        return Decision::Full(match &standing.columns {
            Some(columns) => format!("the definition changed, replaced whole: {columns}"),
            None => "the definition changed".into(),
        });
    }
    if let Some(reason) = drift_of(standing) {
        return drifted(table, standing, reason);
    }
    if standing.sources.iter().all(|s| s.consumed == Some(s.current)) {
        return if is_unchecked(table, standing.expectations) { Decision::Check } else { Decision::UpToDate };
    }
    match policy {
        Policy::Full => Decision::Full("refresh = \"full\"".into()),
        Policy::Auto | Policy::Incremental => Decision::Incremental(String::new()),
    }
}

/// The decision of a sync that was asked to compute the table whole.
#[must_use]
pub(crate) fn full_refresh(standing: &Standing, why: &'static str) -> Decision {
    Decision::Full(standing.version.map_or(FIRST_BUILD, |_| why).into())
}

/// Decides about a drifted table.
#[must_use]
pub(crate) fn drifted(table: &Table, standing: &Standing, reason: String) -> Decision {
    match table.derived().map_or(Policy::Auto, |d| d.refresh) {
        Policy::Incremental => stop(table, standing, &reason),
        Policy::Auto | Policy::Full => Decision::Repair(reason),
    }
}

/// Decides between incremental and full.
#[must_use]
pub(crate) fn by_change(table: &Table, standing: &Standing, change: Change) -> Decision {
    let policy = table.derived().map_or(Policy::Auto, |d| d.refresh);
    match (change, policy) {
        (Change::Lost { error, .. }, Policy::Incremental) => Decision::Stop(error),
        (Change::Underivable(why), Policy::Incremental) => stop(table, standing, &why),
        (Change::Lost { why, .. } | Change::Underivable(why), _) => Decision::Full(why),
        (Change::Known { what, cheaper: Some(Decision::Incremental(why)) }, Policy::Auto) => {
            Decision::Incremental(format!("{what}; {why}"))
        }
        (Change::Known { cheaper: Some(whole), .. }, Policy::Auto) => whole,
        (Change::Known { what, .. }, _) => Decision::Incremental(what),
    }
}

/// The reason for checking unchanged rows.
pub(crate) const EXPECTATIONS_CHANGED: &str = "changed expectations";

/// Whether the rows of a table have yet to be checked by its expectations; `checked` is the fingerprint of those by
/// which they were.
#[must_use]
pub(crate) fn is_unchecked(table: &Table, checked: i64) -> bool {
    let expectations = expectations(table);
    expectations != 0 && expectations != checked
}

/// Stops a table that may not be recomputed.
fn stop(table: &Table, standing: &Standing, reason: &str) -> Decision {
    Decision::Stop(not_incremental(table, standing, reason))
}

/// The error of a table with `refresh = "incremental"` that cannot be refreshed so.
#[must_use]
pub(crate) fn not_incremental(table: &Table, standing: &Standing, reason: &str) -> Error {
    let version = standing.version.map_or_else(String::new, |v| format!(" (v{v}, unchanged)"));
    Error::failed(format!("{} cannot be refreshed incrementally: {reason}", table.name))
        .fact("table", format!("{}{version}", standing.location))
        .fact("because", "its definition says `refresh = \"incremental\"`")
        .help(format!("stedi-delta sync -s {} --full-refresh", table.name))
}

fn drift_of(standing: &Standing) -> Option<String> {
    if let Some(drift) = &standing.drift {
        return Some(drift.clone());
    }
    standing.sources.iter().find_map(|source| match source.consumed {
        None => Some(format!("{} is another table than the one that it was computed from", source.name)),
        Some(consumed) if consumed > source.current => {
            Some(format!("{} is at v{}, before v{consumed}, which it was computed from", source.name, source.current))
        }
        Some(consumed) if source.replaced => Some(another_commit(&source.name, consumed)),
        Some(_) => None,
    })
}

/// The problem of a source whose log was restored or replaced, so that its version numbers mean other rows.
#[must_use]
pub(crate) fn another_commit(source: &TableName, consumed: u64) -> String {
    format!(
        "{source} v{consumed} is another commit than the one that it was computed from: it was restored or replaced"
    )
}
