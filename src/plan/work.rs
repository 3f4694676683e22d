//! The work of both modes, operator by operator: computing a query, and computing its change by the rules of
//! [`incremental`](crate::incremental).
//!
//! Only sizes are known: rows, bytes and files of the sources, their changes and the table. So each rule is counted with
//! the rows that it reads. How many rows a filter keeps or a group has is unknown; both modes are counted with the same
//! guess. All numbers are integers, so that the same logs give the same work everywhere.

use deltalake::datafusion::logical_expr::expr::WindowFunction;
use deltalake::datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, WindowFunctionDefinition};

use super::cost::{Size, SourceSize};
use crate::incremental::{ResultReuse, Tops, is_subtracted};
use crate::node::window_function;

/// Time of one row in an operator, in ns, and of one byte of it: measured on one core of 2024.
const SCAN: Rate = Rate { row: 15, byte: 3 };
/// A row of which only the keys are read, to find those of the change.
const LOOKUP: Rate = Rate { row: 40, byte: 1 };
const JOIN: Rate = Rate { row: 80, byte: 1 };
const GROUP: Rate = Rate { row: 100, byte: 2 };
/// Sorting the rows of windows, and each function of them: by rank or neighbour, over all rows so far, over a frame.
const SORT: Rate = Rate { row: 300, byte: 4 };
const RANKED: u64 = 150;
const RUNNING: u64 = 400;
const FRAMED: u64 = 2_500;
/// Comparing results as multisets of rows.
const COMPARE: Rate = Rate { row: 350, byte: 5 };
const WRITE: Rate = Rate { row: 300, byte: 10 };
/// A row of a change, in the table's files and in its feed.
const APPLY: Rate = Rate { row: 800, byte: 20 };
/// A row of a file that is rewritten for others.
const REWRITE: Rate = Rate { row: 80, byte: 5 };

/// Planning a query, and a step of a change, in ns.
const PLAN: Work = Work { ns: 4_000_000, bytes: 0 };
const STEPS: Work = Work { ns: 1_000_000, bytes: 0 };

/// Rows of a group or partition, where nothing tells it.
const ROWS_OF_A_GROUP: u64 = 4;
/// Most rows and bytes that are counted: products of both stay in range.
const MOST_ROWS: u64 = 1 << 40;
const WIDEST: u64 = 1 << 16;
/// Shares are counted in millionths.
const WHOLE: u64 = 1_000_000;

#[derive(Clone, Copy)]
struct Rate {
    row: u64,
    byte: u64,
}

impl Rate {
    fn of(self, rows: u64, width: u64) -> Work {
        let row = self.row + self.byte * width.min(WIDEST);
        Work { ns: rows.min(MOST_ROWS).saturating_mul(row), bytes: 0 }
    }
}

/// An amount of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Time, in ns.
    pub ns: u64,
    /// Bytes of data files read and written.
    pub bytes: u64,
}

impl Work {
    fn and(self, other: Self) -> Self {
        Self { ns: self.ns.saturating_add(other.ns), bytes: self.bytes.saturating_add(other.bytes) }
    }

    fn times(self, times: u64) -> Self {
        Self { ns: self.ns.saturating_mul(times), bytes: self.bytes.saturating_mul(times) }
    }

    /// `of / all` of it.
    fn part(self, of: u64, all: u64) -> Self {
        Self { ns: part(self.ns, of, all), bytes: part(self.bytes, of, all) }
    }
}

/// `value * of / all`, at most `value`.
pub(crate) fn part(value: u64, of: u64, all: u64) -> u64 {
    let (of, all) = (u128::from(of.min(all)), u128::from(all));
    (u128::from(value) * of).checked_div(all).and_then(|part| u64::try_from(part).ok()).unwrap_or(0)
}

/// The rows of an operator, and the work up to it.
#[derive(Clone, Copy)]
struct Rows {
    rows: u64,
    /// Inserted and deleted.
    changed: u64,
    /// Bytes of a row.
    width: u64,
    /// Whether rows were only inserted.
    only_adds: bool,
    /// Data files of the sources below.
    files: u64,
    /// Computing all rows.
    whole: Work,
    /// Computing the change.
    change: Work,
    /// Reading the keys of all rows of the sources below.
    keys: Work,
}

impl Rows {
    /// No rows, and no work.
    const NONE: Self = Self {
        rows: 0,
        changed: 0,
        width: 0,
        only_adds: true,
        files: 0,
        whole: Work { ns: 0, bytes: 0 },
        change: Work { ns: 0, bytes: 0 },
        keys: Work { ns: 0, bytes: 0 },
    };

    /// Computing the rows with one of some keys, which are a share of all rows: the keys are looked up in the files that
    /// may hold them, and the rows found pass through the operators.
    fn with_keys(&self, keys: u64, share: u64) -> Work {
        self.keys.part(keys, self.files).and(self.whole.part(share, WHOLE))
    }

    fn scan(source: &SourceSize, columns: (u64, u64)) -> Self {
        let Size { bytes, files, rows } = source.whole;
        // Without a count: rows of 100 bytes.
        let rows = rows.unwrap_or(bytes / 100).min(MOST_ROWS);
        let read = part(bytes, columns.0, columns.1);
        let width = read.checked_div(rows).unwrap_or(0).min(WIDEST);
        let change = source.change.rows.unwrap_or(source.change.bytes / 100).min(MOST_ROWS);
        let change = change.max(u64::from(source.change.bytes > 0));
        let with = |rate: Rate, rows: u64, bytes: u64| Work { bytes, ..rate.of(rows, width) };
        let read_change = part(source.change.bytes, columns.0, columns.1);
        Self {
            rows,
            changed: change,
            width,
            only_adds: source.only_adds,
            files,
            whole: with(SCAN, rows, read),
            change: with(SCAN, change, read_change),
            keys: with(LOOKUP, rows, read / 4),
        }
    }

    /// The change summed up by rows, to be read repeatedly. Rows that were only inserted cannot cancel.
    fn held(&self) -> Work {
        if self.only_adds { Work::default() } else { COMPARE.of(self.changed, self.width) }
    }

    fn union(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            changed: self.changed.saturating_add(other.changed),
            width: self.width.max(other.width),
            only_adds: self.only_adds && other.only_adds,
            files: self.files.saturating_add(other.files),
            whole: self.whole.and(other.whole),
            change: self.change.and(other.change),
            keys: self.keys.and(other.keys),
        }
    }
}

/// The sizes on which the work depends.
pub(crate) struct Sizes<'a> {
    /// The sources.
    pub sources: &'a [SourceSize],
    /// The table.
    pub table: Size,
    /// Whether it exists.
    pub exists: bool,
    /// Bytes in memory up to which a change is held. A larger one is computed wherever it is read, and looks up all rows.
    pub held: u64,
}

impl Sizes<'_> {
    /// The work of an incremental and of a full refresh.
    #[must_use]
    pub(crate) fn work(&self, plan: &LogicalPlan) -> (Work, Work) {
        let tops = Tops::of(plan);
        let result = self.rows_of(plan, &tops);
        let table = self.table.rows.unwrap_or(self.table.bytes / 100).min(MOST_ROWS);
        let new = if self.exists && table > 0 { table } else { result.rows };
        let width = self.table.bytes.checked_div(table).map_or(result.width, |width| width.min(WIDEST));
        let full = PLAN.and(result.whole);
        if !self.exists {
            return (Work::default(), full.and(WRITE.of(new, width)));
        }
        // More rows than the old and the new ones cannot change.
        let changed = result.changed.min(table.saturating_add(new));
        let applied = if result.only_adds && tops.count() == 0 {
            WRITE.of(changed, width)
        } else {
            let touched = Work { bytes: self.table.bytes.saturating_mul(2), ..REWRITE.of(table, width) };
            APPLY.of(changed, width).and(touched.part(changed, self.table.files))
        };
        let read = Work { bytes: self.table.bytes, ..SCAN.of(table, width) };
        let compared = read.and(COMPARE.of(table.saturating_add(new), width));
        let change = PLAN.and(result.change).and(result.held());
        (change.and(applied), full.and(compared).and(applied))
    }

    /// How often a change is computed that is read so many times, and whether its keys restrict what is looked up.
    fn readings(&self, change: &Rows, times: u64) -> (u64, bool) {
        // In memory rows are not compressed.
        let bytes = change.changed.saturating_mul(32 + 4 * change.width);
        if bytes > self.held { (times, false) } else { (1, true) }
    }

    fn rows_of(&self, plan: &LogicalPlan, tops: &Tops<'_>) -> Rows {
        let below = |input: &LogicalPlan| self.rows_of(input, tops);
        match plan {
            LogicalPlan::TableScan(scan) => {
                let source = self.sources.iter().find(|source| source.name == scan.table_name.table());
                let all = scan.source.schema().fields().len() as u64;
                let read = scan.projection.as_ref().map_or(all, |columns| columns.len() as u64);
                source.map_or(Rows::NONE, |source| Rows::scan(source, (read, all)))
            }
            LogicalPlan::Join(join) => self.joined(join, &below(&join.left), &below(&join.right)),
            LogicalPlan::Aggregate(aggregate) => {
                let input = below(&aggregate.input);
                let groups = match tops.reuse(plan) {
                    _ if aggregate.group_expr.is_empty() => 1,
                    Some(_) if self.exists => self.table.rows.unwrap_or(input.rows / ROWS_OF_A_GROUP),
                    _ => input.rows / ROWS_OF_A_GROUP,
                };
                self.grouped(plan, tops, &input, groups, GROUP)
            }
            LogicalPlan::Window(window) => {
                let input = below(&window.input);
                let functions = window.window_expr.iter().map(time_of_function).fold(0, u64::saturating_add);
                let rate = Rate { row: SORT.row.saturating_add(functions), ..SORT };
                self.grouped(plan, tops, &input, input.rows / ROWS_OF_A_GROUP, rate)
            }
            LogicalPlan::Union(union) => union.inputs.iter().fold(Rows::NONE, |all, input| all.union(below(input))),
            other => other.inputs().first().map_or(Rows::NONE, |input| below(input)),
        }
    }

    /// Groups or partitions: those of the change are computed from their rows, after and before it, unless the table
    /// holds what is needed.
    fn grouped(&self, plan: &LogicalPlan, tops: &Tops<'_>, input: &Rows, groups: u64, rate: Rate) -> Rows {
        let is_window = matches!(plan, LogicalPlan::Window(_));
        let groups = groups.clamp(1, input.rows.max(1));
        let touched = input.changed.min(groups);
        let reuse = tops.reuse(plan);
        let sides = match reuse {
            Some(ResultReuse::All) => 0,
            Some(ResultReuse::AllOfAppends | ResultReuse::FirstRow | ResultReuse::Running) => {
                u64::from(!input.only_adds)
            }
            Some(ResultReuse::Before | ResultReuse::FirstRowOfKnown) => 1,
            None => match plan {
                LogicalPlan::Aggregate(aggregate) if is_subtracted(aggregate) => 1,
                _ => 2,
            },
        };
        let (reads, restricts) = self.readings(input, 2 + sides);
        let share = if restricts { part(WHOLE, touched, groups) } else { WHOLE };
        let found = part(input.rows, share, WHOLE);
        let rows = if is_window { input.rows } else { groups };
        let computed = if is_window { found } else { touched };
        let side = input.with_keys(input.changed, share).and(rate.of(found, input.width));
        let mut change = input.change.times(reads);
        if input.changed > 0 {
            let keys = GROUP.of(input.changed, input.width);
            change = change.and(input.held()).and(keys).and(STEPS.times(2 + sides)).and(side.times(sides));
            // The old rows are the table's.
            if reuse.is_some() {
                let old = self.table.rows.unwrap_or(0);
                let keys = LOOKUP.of(old, input.width).part(input.changed, self.table.files);
                change = change.and(keys).and(SCAN.of(part(old, share, WHOLE), input.width));
            }
            change = change.and(COMPARE.of(computed.saturating_mul(2), input.width));
        }
        // A row of a partition changes if its neighbour does; a group is deleted and inserted.
        let changed = if is_window { input.changed.saturating_mul(4) } else { touched.saturating_mul(2) };
        Rows {
            rows,
            changed: changed.min(computed.saturating_mul(2)),
            width: input.width,
            only_adds: input.only_adds && input.changed == 0,
            files: input.files,
            whole: input.whole.and(rate.of(input.rows, input.width)),
            change,
            keys: input.keys,
        }
    }

    fn joined(&self, join: &Join, left: &Rows, right: &Rows) -> Rows {
        let keeps_left = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark);
        let rows = match join.join_type {
            _ if keeps_left => left.rows,
            _ if join.on.is_empty() => left.rows.saturating_mul(right.rows).min(MOST_ROWS),
            _ => left.rows.max(right.rows),
        };
        let width = if keeps_left { left.width } else { (left.width + right.width).min(WIDEST) };
        // Each row of the smaller side has its rows of the larger one.
        let fewer = left.rows.min(right.rows).max(1);
        // How often the rows of one side that match the change of the other one are computed: an inner join adds them,
        // others compare the matches before and after.
        let times = if join.join_type == JoinType::Inner { 1 } else { 2 };
        let of_left = if join.join_type == JoinType::Full { times } else { 1 };
        let ((left_reads, by_left), (right_reads, by_right)) =
            (self.readings(left, 1 + of_left), self.readings(right, 1 + times));
        let share = |side: &Rows, restricts: bool| if restricts { part(WHOLE, side.changed, fewer) } else { WHOLE };
        let (of_left_keys, of_right_keys) = (share(left, by_left), share(right, by_right));
        let fan_out = |side: &Rows| side.changed.saturating_mul(rows.div_ceil(side.rows.max(1)).max(1)).min(MOST_ROWS);
        let mut change = left.change.times(left_reads).and(right.change.times(right_reads));
        let mut changed = 0_u64;
        if left.changed > 0 {
            let found =
                right.with_keys(left.changed, of_left_keys).and(JOIN.of(part(right.rows, of_left_keys, WHOLE), width));
            change = change
                .and(found.times(of_left))
                .and(JOIN.of(fan_out(left), width))
                .and(left.held())
                .and(STEPS.times(2));
            changed = changed.saturating_add(if keeps_left { left.changed } else { fan_out(left) });
        }
        if right.changed > 0 {
            let found =
                left.with_keys(right.changed, of_right_keys).and(JOIN.of(part(left.rows, of_right_keys, WHOLE), width));
            change = change
                .and(found.times(times))
                .and(JOIN.of(fan_out(right), width))
                .and(right.held())
                .and(STEPS.times(1 + times));
            if times > 1 {
                change = change.and(right.with_keys(right.changed, of_right_keys).times(2));
            }
            let matched = if keeps_left { part(left.rows, of_right_keys, WHOLE) } else { fan_out(right) };
            changed = changed.saturating_add(matched.saturating_mul(times));
        }
        Rows {
            rows,
            changed: changed.min(rows.saturating_mul(2)),
            width,
            only_adds: left.only_adds && right.only_adds && join.join_type == JoinType::Inner,
            files: left.files.saturating_add(right.files),
            whole: left
                .whole
                .and(right.whole)
                .and(JOIN.of(left.rows.saturating_add(right.rows).saturating_add(rows), width)),
            change,
            keys: left.keys.and(right.keys),
        }
    }
}

/// Time of a window function for a row, in ns.
fn time_of_function(expr: &Expr) -> u64 {
    let Some(WindowFunction { fun: WindowFunctionDefinition::AggregateUDF(_), params }) = window_function(expr) else {
        return RANKED;
    };
    if params.window_frame.start_bound.is_unbounded() { RUNNING } else { FRAMED }
}
