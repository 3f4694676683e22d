//! Incremental or full, by the bytes that each of them would read and write, from the logs, before any row is read.
//!
//! ```text
//! incremental = changes + looked up + rewritten
//! full        = sources + table     + rewritten
//! ```
//!
//! *Looked up* are the files of sources that may hold a key of the change: at most one file per changed row, and of it
//! the share that the filter by keys leaves; for a join once for each source that changed, for touched groups in the
//! old and the new snapshot, unless the maintained table makes that unnecessary. *Rewritten* are the table's files that
//! may hold a deleted row, read and written. A full refresh is applied as a difference and rewrites them, too. All
//! numbers are integers, so that the same logs give the same decision everywhere.

use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::logical_expr::{JoinType, LogicalPlan};

use super::Decision;
use crate::incremental::{self, ResultReuse};
use crate::outcome::sized;

/// If a full refresh reads less than this, both modes are cheap, and incremental is kept.
pub(crate) const SMALL: u64 = 4 << 20;

/// Percentage of a full refresh's cost up to which the change is computed: the costs are estimates, and a change that
/// costs nearly as much as the whole gains nothing.
pub(crate) const WORTHWHILE: u64 = 70;

/// The cost of a row that a filter by keys drops right after the scan, as a fraction of one that passes through the
/// whole query.
pub(crate) const LOOKUP_SHARE: u64 = 4;

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

/// Properties of a query that make its change cost more than its input's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Rows of one source are looked up by those of another.
    pub joins: bool,
    /// Groups or matches are computed twice, for the old and the new snapshot.
    pub groups: bool,
    /// The topmost groups or partitions, and which of their reads the maintained table saves.
    pub top: Option<ResultReuse>,
    /// One changed row can change any number of rows of the result.
    pub fans_out: bool,
}

impl Shape {
    /// The shape of a normalised query.
    #[must_use]
    pub(crate) fn of(plan: &LogicalPlan) -> Self {
        let tops = incremental::result_reuse(plan);
        let mut shape = Self { top: tops.iter().map(|(_, reuse)| *reuse).min(), ..Self::default() };
        let is_top = |node: &LogicalPlan| tops.iter().any(|(top, _)| std::ptr::eq(*top, node));
        // The closure never fails, so neither does the walk.
        let _ = plan.apply_with_subqueries(|node| {
            match node {
                LogicalPlan::Join(join) => {
                    shape.joins = true;
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

    /// How often the rows of touched groups are looked up, for the old and the new snapshot.
    fn sides(self, only_adds: bool) -> u64 {
        let of_top = match self.top {
            None | Some(ResultReuse::All) => 0,
            Some(ResultReuse::AllOfAppends) => u64::from(!only_adds),
            Some(ResultReuse::Before) => 1,
        };
        if self.groups { 2 } else { of_top }
    }
}

/// The cost of both modes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Costs {
    /// Bytes of the changes.
    pub changed: u64,
    /// Bytes of the sources.
    pub sources: u64,
    /// Of an incremental refresh.
    pub incremental: u64,
    /// Of a full refresh.
    pub full: u64,
}

/// The cost of both modes.
#[must_use]
pub(crate) fn costs(sources: &[SourceSize], table: Size, shape: Shape) -> Costs {
    let changed: Vec<&SourceSize> = sources.iter().filter(|s| s.change.bytes > 0).collect();
    let mut looked_up = 0_u64;
    for source in &changed {
        let of = |other: &SourceSize| keyed(other.whole, keys(source), share(source));
        if shape.joins {
            let others = sources.iter().filter(|other| other.name != source.name);
            looked_up = others.fold(looked_up, |sum, other| sum.saturating_add(of(other)));
        }
    }
    let only_adds = changed.iter().all(|s| s.only_adds);
    let touched: u64 = changed.iter().map(|s| keys(s)).fold(0, u64::saturating_add);
    let most = changed.iter().map(|s| share(s)).max().unwrap_or(0);
    for source in sources {
        let rows = keyed(source.whole, touched, most).saturating_mul(shape.sides(only_adds));
        looked_up = looked_up.saturating_add(rows);
    }
    let appends = !shape.groups && shape.top.is_none() && only_adds;
    let rewritten =
        if appends { 0 } else { part(table.bytes, touched.min(table.files), table.files).saturating_mul(2) };
    let sum = |bytes: &dyn Fn(&SourceSize) -> u64| sources.iter().map(bytes).fold(0, u64::saturating_add);
    let (delta, whole) = (sum(&|s| s.change.bytes), sum(&|s| s.whole.bytes));
    Costs {
        changed: delta,
        sources: whole,
        incremental: delta.saturating_add(looked_up).saturating_add(rewritten),
        full: whole.saturating_add(table.bytes).saturating_add(rewritten),
    }
}

/// The cheaper mode, with the reason as text.
#[must_use]
pub(crate) fn choose(sources: &[SourceSize], table: Size, shape: Shape) -> (Decision, Costs) {
    let costs = costs(sources, table, shape);
    let said = format!("auto: {} of {} changed", sized(costs.changed), sized(costs.sources));
    if is_small(&costs) || u128::from(costs.incremental) * 100 <= u128::from(costs.full) * u128::from(WORTHWHILE) {
        return (Decision::Incremental(said), costs);
    }
    let most = sources.iter().filter(|s| s.change.bytes > 0).max_by_key(|s| share(s));
    let why = match most {
        // A small change of one source may still be looked up in all of another.
        Some(source) if share(source) >= 100 => {
            format!("auto: full is cheaper: {} % of {} changed", share(source) / 10, source.name)
        }
        _ => {
            format!("auto: full is cheaper: {} against {} for the change", sized(costs.full), sized(costs.incremental))
        }
    };
    (Decision::Full(why), costs)
}

/// Whether the costs are too small to matter.
fn is_small(costs: &Costs) -> bool {
    costs.full < SMALL && costs.changed < SMALL
}

/// Changed rows, each of which may have its own key.
fn keys(source: &SourceSize) -> u64 {
    source.change.rows.unwrap_or(u64::MAX)
}

/// Changed rows per thousand; bytes, if row counts are unknown.
fn share(source: &SourceSize) -> u64 {
    let (change, whole) = match (source.change.rows, source.whole.rows) {
        (Some(change), Some(whole)) => (change, whole),
        _ => (source.change.bytes, source.whole.bytes),
    };
    part(1000, change.min(whole.max(1)), whole.max(1))
}

/// The cost of a lookup by `keys` keys, if `share` of a thousand rows are wanted.
fn keyed(whole: Size, keys: u64, share: u64) -> u64 {
    let files = part(whole.bytes, keys.min(whole.files), whole.files);
    let dropped = 1000 / LOOKUP_SHARE;
    part(files, dropped + part(1000 - dropped, share, 1000), 1000)
}

/// `value * of / all`; 0 if `all` is 0.
fn part(value: u64, of: u64, all: u64) -> u64 {
    let all = u128::from(all);
    (u128::from(value) * u128::from(of)).checked_div(all).and_then(|p| u64::try_from(p).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn size(bytes: u64, files: u64, rows: u64) -> Size {
        Size { bytes, files, rows: Some(rows) }
    }

    /// A source of 100 MB in four files, with this many of its million rows changed.
    fn source(name: &str, rows: u64) -> SourceSize {
        SourceSize {
            name: name.into(),
            whole: size(100 * MB, 4, 1_000_000),
            change: size(rows * 105, 1, rows),
            only_adds: false,
        }
    }

    fn chosen(sources: &[SourceSize], table: Size, shape: Shape) -> (bool, String) {
        match choose(sources, table, shape).0 {
            Decision::Incremental(why) => (true, why),
            Decision::Full(why) => (false, why),
            other => panic!("neither of both ways: {other:?}"),
        }
    }

    const LINEAR: Shape = Shape { joins: false, groups: false, top: None, fans_out: false };
    const GROUPS: Shape = Shape { groups: true, ..LINEAR };
    const JOINS: Shape = Shape { joins: true, fans_out: true, ..LINEAR };
    const BOTH: Shape = Shape { groups: true, ..JOINS };
    const SUMS: Shape = Shape { top: Some(ResultReuse::All), ..JOINS };

    #[test]
    fn small_changes_are_computed_and_large_ones_are_not() {
        let table = size(MB, 1, 10_000);
        for shape in [LINEAR, GROUPS, JOINS] {
            let sources = [source("orders", 1000), source("items", 0)];
            let (incremental, why) = chosen(&sources, table, shape);
            assert!(incremental, "{shape:?}: {why}");
            assert_eq!(why, "auto: 102.5 KB of 200.0 MB changed");
            let sources = [source("orders", 900_000), source("items", 900_000)];
            let (incremental, why) = chosen(&sources, table, shape);
            assert!(!incremental, "{shape:?}: {why}");
            assert_eq!(why, "auto: full is cheaper: 90 % of items changed");
        }
    }

    #[test]
    fn the_choice_turns_once_as_the_change_grows() {
        for shape in [LINEAR, GROUPS, JOINS, BOTH, SUMS] {
            let all: Vec<bool> = (0..=100)
                .map(|percent| chosen(&[source("orders", percent * 10_000)], size(20 * MB, 2, 10), shape).0)
                .collect();
            let turns = all.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(all[0] && !all[100] && turns == 1, "{shape:?}: {all:?}");
        }
    }

    #[test]
    fn what_the_table_spares_is_not_looked_up() {
        let sources = [source("orders", 1000), source("items", 1000)];
        let cost = |top, only_adds| {
            let sources = sources.clone().map(|s| SourceSize { only_adds, ..s });
            costs(&sources, size(MB, 1, 10), Shape { top, ..JOINS }).incremental
        };
        let nothing = cost(None, false);
        assert_eq!(cost(Some(ResultReuse::All), false), nothing);
        assert!(cost(Some(ResultReuse::AllOfAppends), false) > nothing);
        assert_eq!(cost(Some(ResultReuse::AllOfAppends), true), cost(Some(ResultReuse::All), true));
        assert_eq!(cost(Some(ResultReuse::Before), true), cost(Some(ResultReuse::Before), false));
        assert!(cost(Some(ResultReuse::Before), false) < costs(&sources, size(MB, 1, 10), BOTH).incremental);
    }

    #[test]
    fn tiny_tables_stay_incremental_whatever_changed() {
        let tiny =
            SourceSize { name: "orders".into(), whole: size(2000, 1, 10), change: size(4000, 2, 20), only_adds: false };
        assert_eq!(chosen(&[tiny], size(900, 1, 3), BOTH), (true, "auto: 3.9 KB of 2.0 KB changed".into()));
    }

    #[test]
    fn a_change_that_is_looked_for_everywhere_says_what_it_would_cost() {
        let sources: Vec<_> = (0..6).map(|i| source(&format!("t{i}"), 50_000)).collect();
        let (incremental, why) = chosen(&sources, size(MB, 1, 10), BOTH);
        assert!(!incremental);
        assert!(why.starts_with("auto: full is cheaper: 60") && why.ends_with(" for the change"), "{why}");
    }

    #[test]
    fn rows_that_only_come_rewrite_nothing_unless_groups_change() {
        let adds = SourceSize { only_adds: true, ..source("orders", 10) };
        let table = size(400 * MB, 4, 1_000_000);
        assert_eq!(costs(std::slice::from_ref(&adds), table, LINEAR).incremental, 1050);
        assert!(costs(&[adds], table, GROUPS).incremental > 400 * MB);
        assert!(costs(&[source("orders", 1)], table, LINEAR).incremental > 200 * MB);
    }

    #[test]
    fn unknown_rows_count_by_their_bytes_and_nothing_overflows() {
        let unknown = SourceSize {
            name: "orders".into(),
            whole: Size { bytes: u64::MAX, files: u64::MAX, rows: None },
            change: Size { bytes: u64::MAX, files: 1, rows: None },
            only_adds: false,
        };
        let whole = Size { bytes: u64::MAX, files: 0, rows: None };
        for shape in [LINEAR, GROUPS, JOINS, BOTH, SUMS] {
            assert!(!chosen(&[unknown.clone(), unknown.clone()], whole, shape).0);
            assert!(chosen(&[], Size::default(), shape).0);
        }
    }
}
