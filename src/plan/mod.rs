//! A table as it stands -> what a refresh has to do about it, and why. Pure.

pub mod cost;
mod fingerprint;
mod reads;

pub use fingerprint::{Fingerprint, expectations, fingerprint};
pub use reads::{columns_read, overlap};

use crate::definition::{Derived, Policy, Project, Table};
use crate::determinism::Reason;
use crate::error::Error;
use crate::incremental;
use crate::name::TableName;
use crate::outcome::{Action, Mode};
use crate::source::{Fault, Place};
use crate::sql;

/// A derived table as it stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Its version; `None` when it does not exist.
    pub version: Option<u64>,
    /// Where it lives, for messages.
    pub location: String,
    /// Whether any commit of ours is in its log.
    pub ours: bool,
    /// Fingerprint of the definition that built it.
    pub definition: Option<i64>,
    /// Fingerprint of the expectations that all of its rows were checked by; 0 where nobody knows.
    pub expectations: i64,
    /// By which columns it differs from its definition: `+ zip string`.
    pub columns: Option<String>,
    /// What somebody else did to its rows since our newest commit.
    pub drift: Option<String>,
    /// Its sources, the grants table included.
    pub sources: Vec<SourceStanding>,
}

/// One source of a derived table.
#[derive(Clone, Debug)]
pub struct SourceStanding {
    /// Its name.
    pub name: TableName,
    /// The version that the table was computed from; `None` when it was computed from another table of that name.
    pub consumed: Option<u64>,
    /// The version of the cut.
    pub current: u64,
    /// Whether the consumed version is not what it was: its log was put back or replaced.
    pub replaced: bool,
}

/// Queries for which there is no plan, and those that say `refresh = "incremental"` and have no derivative.
#[must_use]
pub fn unmaintainable(project: &Project) -> Vec<Fault> {
    let mut faults = Vec::new();
    for table in &project.tables {
        // The quarantine half has the same query; one fault is enough.
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

/// The fault of a query for which there is no plan.
#[must_use]
pub fn unplannable(derived: &Derived, reason: &Reason, label: &str) -> Fault {
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
pub enum Decision {
    /// It is there.
    UpToDate,
    /// It is there, and its rows have not been checked by the expectations as they are now.
    Check,
    /// It is there, and somebody else has written its files anew: a commit of ours keeps that they hold the same rows, so
    /// that they are not compared again.
    Adopt(String),
    /// Compute the change, for a reason; none as long as nobody has looked at the change.
    Incremental(String),
    /// Compute the whole, for a reason.
    Full(String),
    /// Compute the whole, because what stands there is not what the newest commit of ours left: drift.
    Repair(String),
    /// Not at all.
    Stop(Error),
}

impl Decision {
    /// What it is to people.
    #[must_use]
    pub fn action(&self) -> Action {
        match self {
            Self::UpToDate => Action::Do(Mode::None),
            Self::Check => Action::Do(Mode::Check),
            Self::Adopt(_) | Self::Incremental(_) => Action::Do(Mode::Incremental),
            Self::Full(_) | Self::Repair(_) => Action::Do(Mode::Full),
            Self::Stop(_) => Action::Stop,
        }
    }

    /// Why; empty when there is nothing to say.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::UpToDate | Self::Stop(_) => "",
            Self::Check => EXPECTATIONS_CHANGED,
            Self::Adopt(reason) | Self::Incremental(reason) | Self::Full(reason) | Self::Repair(reason) => reason,
        }
    }
}

/// The change that a table has to take in, as far as the logs of its sources and its query tell.
#[derive(Debug)]
pub enum Change {
    /// Rows of a version that it was computed from are gone.
    Lost {
        /// Which.
        why: String,
        /// What is said where it may not be recomputed.
        error: Error,
    },
    /// Its query has no derivative.
    Underivable(String),
    /// It can be computed.
    Known {
        /// What happened to the sources.
        what: String,
        /// The cheaper way, where that was asked for.
        cheaper: Option<Decision>,
    },
}

/// Decides how a derived table is brought to the cut. [`Decision::Incremental`] is what its definition wants: once the
/// change has been looked at, [`by_change`] has the last word.
#[must_use]
pub fn decide(table: &Table, standing: &Standing, fingerprint: Fingerprint, full_refresh: bool) -> Decision {
    let policy = table.derived().map_or(Policy::Auto, |d| d.refresh);
    let Some(version) = standing.version else { return Decision::Full("first build".into()) };
    if full_refresh {
        return Decision::Full("--full-refresh".into());
    }
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

/// Decides about a table that is not what our newest commit left.
#[must_use]
pub fn drifted(table: &Table, standing: &Standing, reason: String) -> Decision {
    match table.derived().map_or(Policy::Auto, |d| d.refresh) {
        Policy::Incremental => stop(table, standing, &reason),
        Policy::Auto | Policy::Full => Decision::Repair(reason),
    }
}

/// Decides between the change and the whole.
#[must_use]
pub fn by_change(table: &Table, standing: &Standing, change: Change) -> Decision {
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

/// Why rows that nobody touched are checked.
pub const EXPECTATIONS_CHANGED: &str = "changed expectations";

/// Whether the rows of a table have yet to be checked by its expectations; `checked` is the fingerprint of those by
/// which they were.
#[must_use]
pub fn is_unchecked(table: &Table, checked: i64) -> bool {
    let expectations = expectations(table);
    expectations != 0 && expectations != checked
}

/// Stops a table that may not be recomputed.
fn stop(table: &Table, standing: &Standing, reason: &str) -> Decision {
    Decision::Stop(not_incremental(table, standing, reason))
}

/// The error of a table with `refresh = "incremental"` that cannot be refreshed so.
#[must_use]
pub fn not_incremental(table: &Table, standing: &Standing, reason: &str) -> Error {
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

/// What is wrong where a source's log was put back or replaced, and its numbers mean other rows.
#[must_use]
pub fn another_commit(source: &TableName, consumed: u64) -> String {
    format!(
        "{source} v{consumed} is another commit than the one that it was computed from: it was put back or replaced"
    )
}
