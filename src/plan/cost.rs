//! Incremental or full, by the time that each of them is expected to take, from the logs, before any row is read.
//!
//! The expectation is the work of each mode by the sizes of sources, changes and table ([`work`](super::work)), corrected
//! by what this table's own refreshes took next to their expectations ([`history`](super::history)). All numbers are
//! integers, so that the same logs give the same decision everywhere.

use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::logical_expr::{JoinType, LogicalPlan};

use super::Decision;
use super::history::{AS_EXPECTED, History};
use super::work::{Sizes, part};
use crate::incremental::Tops;
use crate::outcome::{Mode, sized};

/// A full refresh must be expected to save this much, in ms: below, neither mode matters, and incremental is kept.
pub(crate) const MARGIN: u64 = 30;

/// An amount of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of data files.
    pub bytes: u64,
    /// Data files.
    pub files: u64,
    /// Rows, if the log has the count.
    pub rows: Option<u64>,
}

/// A source: its total size, and the change since the consumed version.
#[derive(Clone, Debug)]
pub(crate) struct SourceSize {
    /// Its name.
    pub name: String,
    /// At the cut.
    pub whole: Size,
    /// The inserted and deleted rows. No bytes: it did not change.
    pub change: Size,
    /// Whether rows were only inserted.
    pub only_adds: bool,
}

/// Properties of a query that make its change larger than its input's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Groups or matches are deleted and inserted.
    pub groups: bool,
    /// One changed row can change any number of rows of the result.
    pub fans_out: bool,
}

impl Shape {
    /// The shape of a normalised query.
    #[must_use]
    pub(crate) fn of(plan: &LogicalPlan) -> Self {
        let tops = Tops::of(plan);
        let mut shape = Self::default();
        let is_top = |node: &LogicalPlan| tops.reuse(node).is_some();
        // The closure never fails, so neither does the walk.
        let _ = plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::Join(join) => {
                    shape.fans_out = true;
                    shape.groups |= join.join_type != JoinType::Inner;
                }
                LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => shape.groups |= !is_top(node),
                LogicalPlan::Window(_) | LogicalPlan::Subquery(_) => {
                    shape.groups |= !is_top(node);
                    shape.fans_out = true;
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        shape
    }
}

/// What one mode costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Bytes of data files read and written.
    pub bytes: u64,
    /// Expected time by the sizes alone, in ms; at least 1.
    pub expected: u64,
    /// The same, corrected by history.
    pub corrected: u64,
    /// Refreshes in this mode that history has, and the mean of their times in ms.
    pub history: (u64, u64),
}

/// The costs of both modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Costs {
    /// Bytes of the changes.
    pub changed: u64,
    /// Bytes of the sources.
    pub sources: u64,
    /// Of an incremental refresh.
    pub incremental: Cost,
    /// Of a full refresh.
    pub full: Cost,
}

impl Costs {
    /// The cost of a mode.
    #[must_use]
    pub(crate) fn of(&self, mode: Mode) -> Cost {
        if mode == Mode::Full { self.full } else { self.incremental }
    }

    /// Whether a full refresh is cheaper.
    #[must_use]
    pub(crate) fn prefer_full(&self) -> bool {
        self.full.corrected.saturating_add(MARGIN) < self.incremental.corrected
    }
}

/// The costs of both modes for a query.
#[must_use]
pub(crate) fn costs(sizes: &Sizes<'_>, plan: &LogicalPlan, history: &History) -> Costs {
    let sum = |bytes: &dyn Fn(&SourceSize) -> u64| sizes.sources.iter().map(bytes).fold(0, u64::saturating_add);
    let (incremental, full) = sizes.work(plan);
    let expected = |ns: u64| ns.div_ceil(1_000_000).max(1);
    let cost = |mode: Mode, work: super::work::Work| {
        let expected = expected(work.ns);
        let corrected = u128::from(expected) * u128::from(history.ratio(mode)) / u128::from(AS_EXPECTED);
        let corrected = u64::try_from(corrected).unwrap_or(u64::MAX);
        Cost { bytes: work.bytes, expected, corrected, history: history.of(mode) }
    };
    Costs {
        changed: sum(&|s| s.change.bytes),
        sources: sum(&|s| s.whole.bytes),
        incremental: cost(Mode::Incremental, incremental),
        full: cost(Mode::Full, full),
    }
}

/// The cheaper mode, with the reason as text.
#[must_use]
pub(crate) fn choose(costs: &Costs, sources: &[SourceSize]) -> Decision {
    if !costs.prefer_full() {
        let said = format!("auto: {} of {} changed", sized(costs.changed), sized(costs.sources));
        return Decision::Incremental(said);
    }
    let most = sources.iter().filter(|s| s.change.bytes > 0).max_by_key(|s| share(s));
    let why = match most {
        // A small change of one source may still be looked up in all of another.
        Some(source) if share(source) >= 100 => {
            format!("auto: full is cheaper: {} % of {} changed", share(source) / 10, source.name)
        }
        _ => format!(
            "auto: full is cheaper: {} against {} for the change",
            seconds(costs.full.corrected),
            seconds(costs.incremental.corrected)
        ),
    };
    Decision::Full(why)
}

/// A time in ms, as text: `0.3 s`.
#[must_use]
pub(crate) fn seconds(ms: u64) -> String {
    if ms < 10_000 { format!("{}.{} s", ms / 1000, ms % 1000 / 100) } else { format!("{} s", ms / 1000) }
}

/// Changed rows per thousand; bytes, if row counts are unknown.
fn share(source: &SourceSize) -> u64 {
    let (change, whole) = match (source.change.rows, source.whole.rows) {
        (Some(change), Some(whole)) => (change, whole),
        _ => (source.change.bytes, source.whole.bytes),
    };
    part(1000, change.min(whole.max(1)), whole.max(1))
}

#[cfg(test)]
mod tests;
