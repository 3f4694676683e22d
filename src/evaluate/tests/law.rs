//! Random queries over random changes.
//!
//! Queries and rows are read off a tape of bytes: a shorter tape, or one with more zeros, is a simpler case, so that
//! proptest shrinks a failure to something readable.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use deltalake::arrow::datatypes::DataType;

use super::support::{Bag, TestTable, Value, World, block_on, cases, law, second_opinions};
use crate::evaluate::Limits;
use crate::incremental::ChangeKind;

struct Tape<'a> {
    bytes: &'a [u8],
    aliases: usize,
}

impl Tape<'_> {
    fn pick(&mut self, n: u8) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first % n
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[usize::from(self.pick(u8::try_from(of.len()).expect("few")))]
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    fn row(&mut self) -> Vec<Value> {
        let int = |n: u8| Value::Int(if n == 0 { None } else { Some(i64::from(n) - 1) });
        let k = int(self.pick(4));
        let s = Value::Text(["a", "b", ""].get(usize::from(self.pick(4))).map(|s| (*s).to_owned()));
        vec![k, s, int(self.pick(4))]
    }

    fn table(&mut self, name: &str) -> TestTable {
        let kind = [ChangeKind::Mutating, ChangeKind::InsertOnly, ChangeKind::None][usize::from(self.pick(3))];
        let old: Bag = (0..self.pick(9)).map(|_| (self.row(), 1)).collect();
        let mut change: Bag = Vec::new();
        if kind == ChangeKind::Mutating {
            for (row, _) in &old {
                match self.pick(4) {
                    1 => change.push((row.clone(), -1)),
                    2 => {
                        // An update, possibly to the same row.
                        change.push((row.clone(), -1));
                        change.push((self.row(), 1));
                    }
                    3 => change.extend([(row.clone(), 1), (row.clone(), -1)]),
                    _ => {}
                }
            }
        }
        if kind != ChangeKind::None {
            for _ in 0..self.pick(4) {
                let row = self.row();
                change.push((row, 1 + i64::from(self.pick(2))));
            }
        }
        let columns = [("k", DataType::Int64), ("s", DataType::Utf8), ("v", DataType::Int64)];
        TestTable { kind, ..TestTable::new(name, &columns, old, change) }
    }

    fn condition(&mut self, t: &str) -> String {
        let condition = self.one(&[
            "{t}.k = 1",
            "{t}.v > 0",
            "{t}.k is null",
            "{t}.s <> 'a'",
            "{t}.s is not null and {t}.k < 2",
            "coalesce({t}.v, 0) = 0 or {t}.s = 'b'",
            "{t}.k = {t}.v",
            "{t}.s like 'a%'",
        ]);
        condition.replace("{t}", t)
    }

    /// A relation with columns `k`, `s` and `v`, to stand in a `from`.
    fn relation(&mut self, depth: u8) -> String {
        if depth == 0 {
            return self.one(&["a", "b", "c"]).to_owned();
        }
        format!("({})", self.query(depth))
    }

    fn query(&mut self, depth: u8) -> String {
        let (d, t) = (depth.saturating_sub(1), self.alias());
        match self.pick(27) {
            0 => format!("select k, s, v from {} {t}", self.relation(d)),
            1 => {
                let condition = self.condition(&t);
                format!("select k, s, v from {} {t} where {condition}", self.relation(d))
            }
            2 => {
                let list = self.one(&[
                    "v as k, s, k as v",
                    "k, upper(s) as s, coalesce(v, 0) + 1 as v",
                    "k, 'x' as s, v",
                    "k % 2 as k, s, v",
                ]);
                format!("select {list} from {} {t}", self.relation(d))
            }
            3 => {
                let (l, r) = (self.alias(), self.alias());
                let on = self.one(&[
                    "{l}.k = {r}.k",
                    "{l}.k = {r}.v and {l}.s = {r}.s",
                    "{l}.s = {r}.s and {l}.v <= {r}.v",
                    "{l}.k = {r}.k and {r}.s <> 'a'",
                    "{l}.k + 1 = {r}.k",
                    "{l}.k is not distinct from {r}.k",
                ]);
                let on = on.replace("{l}", &l).replace("{r}", &r);
                format!(
                    "select {l}.k, {r}.s, {l}.v from {} {l} join {} {r} on {on}",
                    self.relation(d),
                    self.relation(d)
                )
            }
            4 => {
                let (l, r, x) = (self.alias(), self.alias(), self.one(&["a", "b", "c"]));
                format!(
                    "select {l}.k, {r}.s, {t}.v from {} {l}, {} {r}, {x} {t} where {l}.k = {r}.k and {r}.s = {t}.s and {t}.v >= 0",
                    self.relation(d),
                    self.relation(d)
                )
            }
            5 | 6 => {
                let (l, r) = (self.alias(), self.alias());
                let not = self.one(&["", "not "]);
                let on = self.one(&[
                    "{r}.k = {l}.k",
                    "{r}.s = {l}.s and {r}.k = {l}.k",
                    "{r}.k = {l}.k and {r}.v > {l}.v",
                    "{r}.v = {l}.k and {r}.s <> 'b'",
                    "{r}.k = {l}.k and coalesce({r}.s, 'z') <> coalesce({l}.s, 'z')",
                ]);
                let on = on.replace("{l}", &l).replace("{r}", &r);
                format!(
                    "select {l}.k, {l}.s, {l}.v from {} {l} where {not}exists (select 1 from {} {r} where {on})",
                    self.relation(d),
                    self.relation(d)
                )
            }
            7 => {
                let (l, r) = (self.alias(), self.alias());
                let column = self.one(&["k", "v"]);
                format!(
                    "select {l}.k, {l}.s, {l}.v from {} {l} where {l}.k in (select {r}.{column} from {} {r})",
                    self.relation(d),
                    self.relation(d)
                )
            }
            8 | 24 | 25 => {
                let shape = self.one(&[
                    "select k, min(s) as s, count(*) as v from {x} {t} group by k",
                    "select k, s, sum(v) as v from {x} {t} group by k, s having count(*) = 1",
                    "select max(k) as k, s, count(distinct v) as v from {x} {t} group by s",
                    "select count(*) as k, max(s) as s, sum(v) as v from {x} {t}",
                    "select k % 2 as k, max(s) as s, count(v) as v from {x} {t} group by k % 2 having sum(v) > 0",
                    "select k, 'n' as s, count(*) filter (where v > 0) as v from {x} {t} where s <> 'b' group by k",
                    "select v as k, min(s) as s, max(k) as v from {x} {t} group by v having count(*) > 1",
                    "select count(*) as k, s, sum(v) as v from {x} {t} group by s",
                    "select count(*) as k, s, sum(coalesce(v, 0)) as v from {x} {t} group by s",
                    "select min(k) as k, s, max(v) as v from {x} {t} group by s",
                    "select count(k) as k, s, count(*) as v from {x} {t} group by s",
                    "select k, max(s) as s, sum(v) as v from {x} {t} group by k",
                    "select count(*) as k, max(s) as s, count(v) as v from {x} {t}",
                    "select k, s, count(*) as v from (select k, s, count(v) as v, sum(v) as n from {x} {t} group by k, s) {t} group by k, s, n",
                    "select count(*) as k, 'all' as s, sum(v) as v from {x} {t} union all select count(*) as k, 'few' as s, sum(coalesce(v, 0)) as v from a where k = 1",
                ]);
                let x = self.relation(d);
                shape.replace("{x}", &x).replace("{t}", &t)
            }
            9 | 10 => {
                let shape = self.one(&[
                    "select k, s, v from (select k, s, v, row_number() over (partition by k order by v desc nulls last, s nulls first) as rn from {x} {t}) where rn = 1",
                    "select k, s, sum(v) over (partition by s) as v from {x} {t}",
                    "select k, s, cast(rank() over (partition by k, s order by v) as bigint) as v from {x} {t}",
                    "select k, s, v from (select k, s, v, row_number() over (partition by s order by v, k) as rn, count(*) over (partition by s, k) as n from {x} {t}) where rn <= 2 and n = 1",
                    "select k, lag(s) over (partition by v order by k, s) as s, v from {x} {t}",
                    "select k, s, sum(v) over (partition by s order by k range between 1 preceding and current row) as v from {x} {t}",
                    "select k, s, count(v) over (partition by s order by 3 * k + v desc range between 2 preceding and 1 following) as v from {x} {t}",
                    "select k, s, v from (select k, s, max(v) over (partition by k order by v range between 1 following and 2 following) as v, sum(k) over (partition by k, s order by v desc range between current row and 1 following) as n from {x} {t}) where n > 0",
                ]);
                let x = self.relation(d);
                shape.replace("{x}", &x).replace("{t}", &t)
            }
            11 => format!("select distinct k, s, v from {} {t}", self.relation(d)),
            12 => {
                let union = self.one(&["union all", "union"]);
                format!(
                    "select k, s, v from {} {t} {union} select v, s, k from {} {t}",
                    self.relation(d),
                    self.relation(d)
                )
            }
            13 => {
                // A self-join of anything.
                let x = self.relation(d);
                format!(
                    "with w as (select * from {x} {t}) select l.k, r.s, r.v from w l join w r on l.k = r.k and l.s = r.s"
                )
            }
            14 => {
                let x = self.relation(d);
                format!(
                    "with w as (select * from {x} {t}) select k, s, v from w where k in (select k from w group by k having count(*) = 1)"
                )
            }
            15..=17 => {
                let (l, r) = (self.alias(), self.alias());
                let join = self.one(&["left join", "right join", "full join"]);
                let on = self.one(&[
                    "{l}.k = {r}.k",
                    "{l}.k = {r}.v and {l}.s = {r}.s",
                    "{l}.s = {r}.s and {l}.v <= {r}.v",
                    "{l}.k = {r}.k and {r}.s <> 'a'",
                    "{l}.k = {r}.k and {l}.v > 0",
                    "{l}.k is not distinct from {r}.k",
                    "{l}.v < {r}.v",
                    "{l}.k + 1 = {r}.k and {l}.s is not distinct from {r}.s",
                ]);
                let list = self.one(&[
                    "{l}.k, {r}.s, {r}.v",
                    "{r}.k, {l}.s, {l}.v",
                    "coalesce({l}.k, {r}.k) as k, {l}.s, {r}.v",
                    "{l}.k, coalesce({r}.s, 'none') as s, {l}.v + {r}.v as v",
                ]);
                let after = self.one(&["", "", " where {r}.k is null", " where {l}.s is null or {r}.v > 0"]);
                let text = format!(
                    "select {list} from {} {l} {join} {} {r} on {on}{after}",
                    self.relation(d),
                    self.relation(d)
                );
                text.replace("{l}", &l).replace("{r}", &r)
            }
            18 | 19 => {
                let (l, r) = (self.alias(), self.alias());
                let condition = self.one(&[
                    "{l}.k not in (select {r}.k from {x} {r})",
                    "{l}.k not in (select {r}.v from {x} {r} where {r}.s = {l}.s)",
                    "not ({l}.v in (select {r}.k from {x} {r} where {r}.v > 0))",
                    "{l}.k in (select {r}.k from {x} {r}) or {l}.v = 1",
                    "not ({l}.k in (select {r}.k from {x} {r}) or {l}.v = 1)",
                    "{l}.k not in (select {r}.k from {x} {r} where {r}.s = {l}.s) or {l}.s is null",
                    "exists (select 1 from {x} {r} where {r}.k = {l}.k and {r}.v > 0) or {l}.s = 'a'",
                    "not exists (select 1 from {x} {r} where {r}.k = {l}.k) or {l}.v = 0",
                    "case when exists (select 1 from {x} {r} where {r}.s = {l}.s) then {l}.k = 1 else {l}.k = 2 end",
                    "exists (select 1 from {x} {r} where {r}.v > 1)",
                    "not exists (select 1 from {x} {r} where {r}.v > {l}.v)",
                    "({l}.k in (select {r}.k from {x} {r})) is null",
                ]);
                let condition = condition.replace("{x}", &self.relation(d)).replace("{l}", &l).replace("{r}", &r);
                format!("select {l}.k, {l}.s, {l}.v from {} {l} where {condition}", self.relation(d))
            }
            20 | 21 => {
                let (l, r) = (self.alias(), self.alias());
                let shape = self.one(&[
                    "select {l}.k, {l}.s, (select max({r}.v) from {x} {r}) as v from {y} {l}",
                    "select {l}.k, {l}.s, (select count(*) from {x} {r} where {r}.k = {l}.k) as v from {y} {l}",
                    "select {l}.k, (select min({r}.s) from {x} {r} where {r}.k = {l}.v and {r}.v > 0) as s, {l}.v from {y} {l}",
                    "select {l}.k, {l}.s, {l}.v from {y} {l} where {l}.v = (select max({r}.v) from {x} {r})",
                    "select {l}.k, {l}.s, {l}.v from {y} {l} where {l}.v >= (select min({r}.v) from {x} {r} where {r}.s = {l}.s)",
                    "select {l}.k, {l}.s, {l}.v from {y} {l} where (select count(*) from {x} {r} where {r}.k = {l}.k) = 0",
                    "select {l}.k, {l}.s, sum({l}.v) as v from {y} {l} group by {l}.k, {l}.s having sum({l}.v) > (select min({r}.v) from {x} {r})",
                    "select {l}.k, case when {l}.k in (select {r}.k from {x} {r}) then 'in' when {l}.k not in (select {r}.k from {x} {r}) then 'out' else 'unknown' end as s, {l}.v from {y} {l}",
                    "select {l}.k, case when exists (select 1 from {x} {r} where {r}.k = {l}.k) then 'yes' else 'no' end as s, {l}.v from {y} {l}",
                ]);
                let (x, y) = (self.relation(d), self.relation(d));
                shape.replace("{x}", &x).replace("{y}", &y).replace("{l}", &l).replace("{r}", &r)
            }
            22 => {
                let (l, r) = (self.alias(), self.alias());
                let shape = self.one(&[
                    "select {l}.k, {r}.s, {l}.v from {x} {l} cross join {y} {r}",
                    "select {l}.k, {r}.s, {r}.v from {x} {l} join {y} {r} on {l}.v < {r}.v",
                    "select {l}.k, {r}.s, {l}.v from {x} {l}, {y} {r} where {l}.k = {r}.k or {l}.v = {r}.v",
                ]);
                let (x, y) = (self.relation(d), self.relation(d));
                shape.replace("{x}", &x).replace("{y}", &y).replace("{l}", &l).replace("{r}", &r)
            }
            23 => format!("select k, s, unnest(make_array(k, v, v)) as v from {} {t}", self.relation(d)),
            _ => {
                let set = self.one(&["intersect", "except"]);
                format!(
                    "select k, s, v from {} {t} {set} select k, s, v from {} {t}",
                    self.relation(d),
                    self.relation(d)
                )
            }
        }
    }
}

fn check(tape: &[u8]) -> Result<(), TestCaseError> {
    let mut tape = Tape { bytes: tape, aliases: 0 };
    let depth = 1 + tape.pick(3);
    let sql = tape.query(depth);
    let limits = match tape.pick(3) {
        0 => Limits::default(),
        1 => Limits { bytes: 0 },
        // Some results are held, some are not.
        _ => Limits { bytes: 600 },
    };
    let world = World { tables: ["a", "b", "c"].map(|n| tape.table(n)).into(), before: false };
    block_on(law(&world, &sql, limits)).map_err(|e| {
        let rows: Vec<String> = world
            .tables
            .iter()
            .map(|t| format!("{} {:?}\n  old {:?}\n  change {:?}", t.name, t.kind, t.old, t.change))
            .collect();
        TestCaseError::fail(format!("{sql}\n{limits:?}\n{}\n{e}", rows.join("\n")))
    })?;
    let (asked, answered) = second_opinions();
    prop_assert!(asked < 50 || 10 * answered >= 8 * asked, "the plain plan has no opinion: {answered} of {asked}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 3000, ..cases(64) })]

    #[test]
    fn the_change_applied_to_the_old_result_is_the_new_result(tape in prop::collection::vec(any::<u8>(), 60..400)) {
        check(&tape)?;
    }
}
