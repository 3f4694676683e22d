//! All exit codes and their precedence.

use crate::error::{Error, Kind};
use crate::outcome::{
    Action, CatalogOutcome, ConsentAudits, ConsentVerdict, EntryChange, LakeDiffOutcome, LakeReport, Mode,
    OptimizeOutcome, PlanOutcome, Problem, SyncOutcome, TableOutcome, TablePlan, TestOutcome, VacuumOutcome, Verdict,
    VerifyAudits, VerifyVerdict,
};

/// Their description in `--help`.
pub(super) const HELP: &str = "\
Exit codes:
    0  done, or nothing to do
    1  something failed; tables that do not depend on it were still processed
    2  changes are pending (`plan --detailed-exitcode`, `catalog check`)
    3  a check of the data failed: consent, an expectation with action `fail`, `sync --verify` or `audit`
    4  conflict: concurrent commits kept winning, so retry; or the plan of `sync --plan` is stale
   64  the command line is wrong
  130  interrupted
If several apply, 3 precedes 1, and 1 precedes 4.";

/// Done, or nothing to do.
pub const DONE: u8 = 0;

/// Changes are pending, if the command reports that.
pub const PENDING: u8 = 2;

/// An interrupted command, by the convention of shells.
pub const INTERRUPTED: u8 = 130;

/// A command that ends with an error of this kind.
#[must_use]
pub fn of(kind: Kind) -> u8 {
    match kind {
        Kind::Usage => 64,
        Kind::Definition | Kind::Failed | Kind::Internal => 1,
        Kind::Evidence => 3,
        Kind::Conflict => 4,
    }
}

/// Several errors: usage, then 3 before 1 before 4.
fn of_all(kinds: impl Iterator<Item = Kind>) -> u8 {
    let worst = kinds.max_by_key(|kind| match kind {
        Kind::Usage => 3,
        Kind::Evidence => 2,
        Kind::Failed | Kind::Definition | Kind::Internal => 1,
        Kind::Conflict => 0,
    });
    worst.map_or(DONE, of)
}

/// An optimization. A conflict is none: what another writer does goes first.
#[must_use]
pub fn of_optimize(outcome: &OptimizeOutcome) -> u8 {
    of_all(outcome.tables.iter().filter_map(|table| table.problem.as_ref()).map(Error::kind))
}

/// A sync. A skipped table adds nothing to the code of the failed one.
#[must_use]
pub fn of_sync(outcome: &SyncOutcome) -> u8 {
    let tables = outcome.tables.iter().filter_map(|t| match &t.problem {
        Some(Problem::Failed(error)) => Some(error.kind()),
        Some(Problem::Skipped(_)) | None => None,
    });
    let left_out = outcome.tables.iter().flat_map(|t| &t.left_out).map(Error::kind);
    of_all(tables.chain(left_out).chain(outcome.problem.as_ref().map(Error::kind)))
}

/// A vacuum.
#[must_use]
pub fn of_vacuum(outcome: &VacuumOutcome) -> u8 {
    of_all(outcome.tables.iter().filter_map(|table| table.problem.as_ref()).chain(&outcome.problem).map(Error::kind))
}

/// One table, requested by name: if it was skipped, that is a failure.
#[must_use]
pub fn of_table(outcome: &TableOutcome) -> u8 {
    match &outcome.problem {
        Some(Problem::Failed(error)) => of(error.kind()),
        Some(Problem::Skipped(_)) => of(Kind::Failed),
        None => DONE,
    }
}

/// A plan; `detailed` = [`PENDING`] if a sync would change something. Computed changes that would be refused count as in
/// a sync.
#[must_use]
pub fn of_plan(outcome: &PlanOutcome, detailed: bool) -> u8 {
    // Files left out make a sync exit with 1, too.
    let stops = |t: &&TablePlan| t.action == Action::Stop || !t.left_out.is_empty();
    let stops = outcome.tables.iter().filter(stops).map(|_| Kind::Failed);
    let refused = outcome.tables.iter().filter_map(|t| match &t.computed.as_ref()?.verdict {
        Verdict::Refused(error) => Some(error.kind()),
        Verdict::Holds | Verdict::Skipped(_) => None,
    });
    let failed = of_all(stops.chain(refused).chain(outcome.problem.as_ref().map(Error::kind)));
    if failed != DONE {
        failed
    } else if detailed && is_pending(outcome) {
        PENDING
    } else {
        DONE
    }
}

/// Whether a sync would change anything.
#[must_use]
pub fn is_pending(outcome: &PlanOutcome) -> bool {
    let is_due = |t: &TablePlan| !matches!(t.action, Action::Do(Mode::None) | Action::Stop | Action::Skip);
    let registers = outcome.catalog.changes.iter().any(|entry| entry.change != EntryChange::Refuse);
    !outcome.moves().is_empty() || outcome.tables.iter().any(is_due) || registers
}

/// Tests: whether one failed.
#[must_use]
pub fn of_test(outcome: &TestOutcome) -> u8 {
    if outcome.failed() == 0 { DONE } else { of(Kind::Failed) }
}

/// A comparison of the catalog.
#[must_use]
pub fn of_catalog(outcome: &CatalogOutcome) -> u8 {
    if outcome.entries.iter().all(|entry| entry.is_even()) { DONE } else { PENDING }
}

/// A comparison of cuts: tables that could not be compared.
#[must_use]
pub fn of_lake_diff(outcome: &LakeDiffOutcome) -> u8 {
    of_all(outcome.tables.iter().filter_map(|table| table.problem.as_ref().map(Error::kind)))
}

/// A report: whether it has evidence against the lake.
#[must_use]
pub fn of_report(report: &LakeReport) -> u8 {
    let [violated, different, _] = report.against();
    if violated + different == 0 { DONE } else { of(Kind::Evidence) }
}

/// A repair of the catalog.
#[must_use]
pub fn of_repair(outcome: &CatalogOutcome) -> u8 {
    outcome.problem.as_ref().map_or(DONE, |error| of(error.kind()))
}

/// An audit of consent; `strict` = versions that can no longer be judged count as violations.
#[must_use]
pub fn of_consent(audits: &ConsentAudits, strict: bool) -> u8 {
    let verdicts = audits.tables.iter().flat_map(|table| &table.versions).map(|version| version.verdict);
    let negative = |verdict: &ConsentVerdict| match verdict {
        ConsentVerdict::Holds => false,
        ConsentVerdict::Violated => true,
        ConsentVerdict::Unknown => strict,
    };
    let evidence = verdicts.filter(negative).map(|_| Kind::Evidence);
    of_all(evidence.chain(audits.tables.iter().filter_map(|table| table.problem.as_ref()).map(Error::kind)))
}

/// A verification; `strict` as above.
#[must_use]
pub fn of_verify(audits: &VerifyAudits, strict: bool) -> u8 {
    let kinds = audits.tables.iter().filter_map(|table| match (&table.problem, table.verdict) {
        (Some(problem), _) => Some(problem.kind()),
        (None, VerifyVerdict::Different) => Some(Kind::Evidence),
        (None, VerifyVerdict::Unknown) if strict => Some(Kind::Evidence),
        (None, _) => None,
    });
    of_all(kinds)
}
