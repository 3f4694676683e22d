//! Windows with bounded frames: random frames, keys and changes, and what they read.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use deltalake::arrow::datatypes::{DataType, TimeUnit};

use super::support::{Bag, TestTable, Value, World, block_on, cases, law_in, session_of};
use crate::evaluate::Limits;
use crate::incremental::ChangeKind;
use crate::lake::Joins;

/// Bytes to choose by; zeros when they are used up.
struct Tape<'a>(&'a [u8]);

impl Tape<'_> {
    fn pick(&mut self, n: u8) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first % n
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::from(self.pick(u8::try_from(of.len()).expect("few")))]
    }

    /// An order key, in units of its type.
    fn key(&mut self, of: &DataType) -> Option<i64> {
        let (least, greatest, unit) = match of {
            DataType::Date32 => (-719_162, 2_932_896, 11),
            DataType::Timestamp(..) => (-62_135_596_800_000_000, 253_402_300_799_999_999, 7_200_000_000),
            DataType::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX), 1),
            _ => (i64::MIN, i64::MAX, 1),
        };
        let at = i64::from(self.pick(24));
        match self.pick(24) {
            0 | 1 => None,
            2 => Some(least + at * unit),
            3 => Some(greatest - at * unit),
            _ => Some(at * unit),
        }
    }

    fn row(&mut self, of: &DataType) -> Vec<Value> {
        let int = |n: u8| Value::Int(n.checked_sub(1).map(i64::from));
        let text = Value::Text(["a", "b"].get(usize::from(self.pick(3))).map(|s| (*s).to_owned()));
        vec![int(self.pick(3)), Value::Int(self.key(of)), text, int(self.pick(5))]
    }

    fn table(&mut self, name: &str, of: &DataType) -> TestTable {
        let kind = [ChangeKind::Mutating, ChangeKind::InsertOnly, ChangeKind::None][usize::from(self.pick(3))];
        let old: Bag = (0..self.pick(20)).map(|_| (self.row(of), 1)).collect();
        let mut change: Bag = Vec::new();
        if kind == ChangeKind::Mutating {
            for (row, _) in &old {
                match self.pick(8) {
                    1 => change.push((row.clone(), -1)),
                    2 => change.extend([(row.clone(), -1), (self.row(of), 1)]),
                    _ => {}
                }
            }
        }
        if kind != ChangeKind::None {
            change.extend((0..self.pick(3)).map(|_| (self.row(of), 1)));
        }
        let columns = [("k", DataType::Int64), ("d", of.clone()), ("s", DataType::Utf8), ("v", DataType::Int64)];
        TestTable { kind, ..TestTable::new(name, &columns, old, change) }
    }

    fn distance(&mut self, of: &DataType) -> &'static str {
        match of {
            DataType::Date32 => self.one(&["interval '11 days'", "interval '1 month'", "interval '2 months 3 days'"]),
            DataType::Timestamp(..) => {
                self.one(&["interval '2 hours'", "interval '1 day'", "interval '1 day 1 hour'", "interval '1 month'"])
            }
            _ => self.one(&["1", "2", "5", "0"]),
        }
    }

    fn over(&mut self, of: &DataType, partition: &str, order: &str) -> String {
        let (by, to) = (self.distance(of), self.distance(of));
        let frame = match self.pick(8) {
            0 | 1 => format!("{by} preceding and current row"),
            2 => format!("current row and {by} following"),
            3 => format!("{by} preceding and {to} following"),
            4 => format!("{by} following and {by} following"),
            5 => format!("{by} preceding and {by} preceding"),
            6 => "current row and current row".to_owned(),
            // Not bounded.
            _ => format!("unbounded preceding and {by} {}", self.one(&["following", "preceding"])),
        };
        let desc = self.one(&["", " desc", " desc nulls last", " nulls first"]);
        format!("over (partition by {partition} order by {order}{desc} range between {frame})")
    }

    /// A function that reads some rows around its own, or, rarely, more, in a window.
    fn of_rows(&mut self, window: &str) -> String {
        let n = self.one(&["1", "2", "0", "3"]);
        let m = self.one(&["1", "3", "2", "0"]);
        let function = match self.pick(10) {
            0 => "lag(v)".to_owned(),
            1 => "lead(s)".to_owned(),
            2 => format!("lag(v, {n}, 7)"),
            3 => format!("lead(v, {n})"),
            4 => format!("lag(v, -{n})"),
            5 => "lag(v) ignore nulls".to_owned(),
            6 => "row_number()".to_owned(),
            7 => "first_value(v)".to_owned(),
            _ => self.function().to_owned(),
        };
        let frame = match self.pick(9) {
            0 | 1 => format!("rows between {n} preceding and current row"),
            7 => "rows between unbounded preceding and current row".to_owned(),
            2 => format!("rows between current row and {n} following"),
            3 => format!("rows between {n} preceding and {m} following"),
            4 => format!("rows between 3 preceding and {n} preceding"),
            5 => format!("rows between {n} following and 3 following"),
            6 => format!("groups between {n} preceding and {m} following"),
            _ => format!("rows between unbounded preceding and {n} following"),
        };
        let frame = if function.starts_with('l') || function.starts_with("row") { "" } else { frame.as_str() };
        format!("{function} over ({window} {frame})")
    }

    /// A query with windows of [`Self::of_rows`].
    fn query_of_rows(&mut self, of: &DataType) -> String {
        let whole = matches!(of, DataType::Int64 | DataType::Int32);
        let order = if whole && self.pick(8) == 0 { "v" } else { "d" };
        let partition = self.one(&["k", "k", "k", "s", "k, s"]);
        let desc = self.one(&["", " desc", " desc nulls last", " nulls first"]);
        let other = if order == "v" { "d" } else { "v" };
        let rest = self.one(&["k, s, {}", "{} desc, s, k", "s desc, k, {}"]).replace("{}", other);
        // Of both the same: where rows are equal, their places in two windows are arbitrary.
        let window = format!("partition by {partition} order by {order}{desc}, {rest}");
        let (first, second) = (self.of_rows(&window), self.of_rows(&window));
        let from = self.one(&[
            "t",
            "t",
            "t",
            "(select k, d, s, v from t where v > 0) t",
            "(select k, d, s, v from t union all select k, d, s, v from u) t",
            "(select t.k, t.d, u.s, t.v from t join u on t.k = u.k and t.d = u.d) t",
            "(select k, d, min(s) as s, sum(v) as v from t group by k, d) t",
        ]);
        let window = format!("select k, d, s, v, {first} as x from {from}");
        match self.pick(8) {
            0..=2 => window,
            3 => format!("select k, s, v, {first} as x from {from}"),
            4 => format!("select k, d, s, v, {first} as x, {second} as y from {from}"),
            5 => format!("select k, d, x from ({window}) where v > 1"),
            6 => format!("select k, count(x) as n, count(*) as m from ({window}) group by k"),
            _ => format!("select w.k, w.d, w.x, u.v from ({window}) w join u on u.k = w.k and u.d = w.d"),
        }
    }

    fn function(&mut self) -> &'static str {
        self.one(&["sum(v)", "count(*)", "max(v)", "min(s)", "count(v) filter (where v > 1)", "avg(v)"])
    }

    fn query(&mut self, of: &DataType) -> String {
        let partition = self.one(&["k", "k, s", "k % 2", "s"]);
        let whole = matches!(of, DataType::Int64 | DataType::Int32);
        // Of other types than the column, where arithmetic cannot overflow.
        let order = if whole && self.pick(6) == 0 { "v" } else { "d" };
        let of_order = if order == "v" { DataType::Int64 } else { of.clone() };
        let (first, second) = (self.over(&of_order, partition, order), self.over(&of_order, "k", order));
        let (f, g) = (self.function(), self.function());
        let from = self.one(&[
            "t",
            "t",
            "(select k, d, s, v from t where v > 0) t",
            "(select k, d, min(s) as s, sum(v) as v from t group by k, d) t",
            "(select t.k, t.d, u.s, t.v from t join u on t.k = u.k and t.d = u.d) t",
            "(select k, d, s, v from t union all select k, d, s, v from u) t",
            "(select t.k, t.d, t.s, u.v from t left join u on t.k = u.k) t",
        ]);
        let window = format!("select k, d, s, v, {f} {first} as x from {from}");
        match self.pick(12) {
            0 | 1 => window,
            2 => format!("select k, s, v, {f} {first} as x from {from}"),
            3 => format!("select k, d, s, v, {f} {first} as x, {g} {second} as y from {from}"),
            4 => format!("select k, s, d, x from ({window}) where v > 1"),
            5 => format!("select k, s, d, {g} {second} as y from ({window})"),
            6 => format!(
                "select k, s, d, x, rank() over (partition by {partition} order by {order}) as n from ({window})"
            ),
            7 => format!("select k, count(x) as n, max(x) as x from ({window}) group by k"),
            8 => format!("select w.k, w.d, w.x, u.v from ({window}) w join u on u.k = w.k and u.d = w.d"),
            9 => format!("select w.k, w.d, w.x, u.v from ({window}) w left join u on u.s = w.s"),
            10 => format!("select w.k, w.d, w.x from ({window}) w where exists (select 1 from u where u.d = w.d)"),
            _ => format!("select distinct k, d, x from ({window})"),
        }
    }
}

fn check(tape: &[u8], query: impl Fn(&mut Tape<'_>, &DataType) -> String) -> Result<(), TestCaseError> {
    let mut tape = Tape(tape);
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let of = [DataType::Int64, DataType::Date32, micros, DataType::Int32][usize::from(tape.pick(4))].clone();
    let sql = query(&mut tape, &of);
    let limits = [Limits::default(), Limits::default(), Limits { bytes: 0 }, Limits { bytes: 600 }];
    let limits = limits[usize::from(tape.pick(4))];
    let world = World { tables: ["t", "u"].map(|name| tape.table(name, &of)).into(), before: false };
    let joins = [Joins::Hash, Joins::Hash, Joins::SortMerge][usize::from(tape.pick(3))];
    block_on(law_in(&session_of(joins), &world, &sql, limits)).map_err(|e| {
        let table = |t: &TestTable| format!("{} {:?}\n  old {:?}\n  change {:?}", t.name, t.kind, t.old, t.change);
        let tables: Vec<String> = world.tables.iter().map(table).collect();
        TestCaseError::fail(format!("{sql}\n{limits:?}\n{}\n{e}", tables.join("\n")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 3000, ..cases(48) })]

    #[test]
    fn ranges_of_partitions_are_recomputed_as_whole_partitions_would_be(
        tape in prop::collection::vec(any::<u8>(), 80..500),
    ) {
        check(&tape, |tape, of| tape.query(of))?;
    }

    #[test]
    fn rows_around_a_change_are_recomputed_as_whole_partitions_would_be(
        tape in prop::collection::vec(any::<u8>(), 80..500),
    ) {
        check(&tape, |tape, of| tape.query_of_rows(of))?;
    }
}
