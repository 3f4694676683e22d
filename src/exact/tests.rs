//! Compared with a slow bitwise sum, in any order, and in SQL.

use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};

use super::accumulate::{Groups, Single};
use super::moments::{One, State, Two};

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> usize {
        usize::try_from(self.next() % n).unwrap()
    }

    fn double(&mut self, style: u64) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        match style {
            0 => unit - 0.5,
            1 => (self.next() % 2001) as f64 / 10.0 - 100.0,
            2 => loop {
                let x = f64::from_bits(self.next());
                if x.is_finite() {
                    break x;
                }
            },
            3 => f64::from_bits(self.next() & 0x800f_ffff_ffff_ffff),
            _ => [0.1, 0.2, 0.3, 1e300, -1e300, f64::MAX, -f64::MAX, 5e-324, -0.0, 1.0][self.below(10)],
        }
    }

    fn shuffle(&mut self, values: &mut [f64]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i as u64 + 1));
        }
    }
}

/// The sum bit by bit: one counter per power of two from 2^-1074, carried at the end, rounded by the rule.
fn slow_sum(values: &[f64]) -> f64 {
    let mut bits = vec![0_i64; 2200];
    for x in values {
        let raw = x.to_bits();
        let field = usize::try_from((raw >> 52) & 0x7ff).unwrap();
        let fraction = raw & ((1 << 52) - 1);
        let (significand, low) = if field == 0 { (fraction, 0) } else { (fraction | 1 << 52, field - 1) };
        for i in 0..53 {
            if significand >> i & 1 == 1 {
                bits[low + i] += if x.is_sign_negative() { -1 } else { 1 };
            }
        }
    }
    let top = |bits: &mut Vec<i64>| {
        let mut carry = 0;
        for b in bits.iter_mut() {
            let whole = *b + carry;
            *b = whole.rem_euclid(2);
            carry = whole.div_euclid(2);
        }
        carry
    };
    let mut digits = bits.clone();
    let negative = top(&mut digits) < 0;
    if negative {
        digits = bits.iter().map(|b| -b).collect();
        assert_eq!(top(&mut digits), 0);
    }
    let Some(highest) = digits.iter().rposition(|b| *b == 1) else { return 0.0 };
    let lowest = (highest + 1).saturating_sub(53);
    let mut m = 0_u64;
    for i in (lowest..=highest).rev() {
        m = m << 1 | u64::try_from(digits[i]).unwrap();
    }
    if lowest > 0 && digits[lowest - 1] == 1 && (m & 1 == 1 || digits[..lowest - 1].contains(&1)) {
        m += 1;
    }
    let bits = u128::from(m) + (u128::try_from(lowest).unwrap() << 52);
    let value = if bits >= 0x7ff << 52 { f64::INFINITY } else { f64::from_bits(u64::try_from(bits).unwrap()) };
    if negative { -value } else { value }
}

fn of<S: State>(values: &[f64]) -> S {
    let mut state = S::default();
    values.chunks(2).for_each(|c| state.add(c[0], *c.last().unwrap(), true));
    state
}

fn sum(values: &[f64]) -> f64 {
    let mut state = One::default();
    values.iter().for_each(|x| state.add(*x, *x, true));
    state.sum().unwrap()
}

#[test]
fn a_sum_is_the_true_sum_rounded_once() {
    let mut random = Random(1);
    for round in 0..400 {
        let styles = [round % 5, random.next() % 5];
        let count = 1 + random.below(60);
        let values: Vec<f64> = (0..count).map(|i| random.double(styles[i % 2])).collect();
        let expected = slow_sum(&values);
        assert_eq!(sum(&values).to_bits(), expected.to_bits(), "{values:?}");
        let mut at_once = One::default();
        at_once.add_all(&values);
        assert_eq!(at_once.sum().unwrap().to_bits(), expected.to_bits(), "at once {values:?}");
    }
    assert_eq!(sum(&[0.1, 0.2, 0.3, 1e300, -1e300]), 0.6);
    assert_eq!(sum(&[-0.0, -0.0]).to_bits(), 0, "a zero has no sign");
    assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
    assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
    assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    assert!(sum(&[f64::NAN, 1.0]).is_nan());
}

/// All results of a pair of columns, as bits.
fn results(state: &Two<true>) -> Vec<Option<u64>> {
    let all = [
        Two::covar_samp,
        Two::covar_pop,
        Two::corr,
        Two::regr_slope,
        Two::regr_intercept,
        Two::regr_r2,
        Two::regr_avgx,
        Two::regr_avgy,
        Two::regr_sxx,
        Two::regr_syy,
        Two::regr_sxy,
        Two::var_samp,
        Two::stddev_pop,
    ];
    all.iter().map(|f| f(state).map(f64::to_bits)).collect()
}

#[test]
fn the_order_the_partition_and_what_was_taken_out_again_do_not_matter() {
    let mut random = Random(2);
    for round in 0..120 {
        let mut values: Vec<f64> = (0..2 + random.below(40)).map(|_| random.double(round % 5)).collect();
        let (once, pairs): (One, Two<true>) = (of_single(&values), of(&pairs_of(&values)));
        random.shuffle(&mut values);
        let mut parts: Vec<(One, Two<true>)> = vec![Default::default(); 4];
        for x in &values {
            let part = &mut parts[random.below(4)];
            part.0.add(*x, *x, true);
            part.1.add(*x, x * 0.5 + 1.0, true);
            let other = random.double(2);
            let part = &mut parts[random.below(4)];
            for forward in [true, false] {
                part.0.add(other, other, forward);
                part.1.add(other, 0.1, forward);
            }
            part.0.add(f64::NAN, f64::NAN, true);
            part.0.add(f64::NAN, f64::NAN, false);
        }
        let mut merged = (One::default(), Two::<true>::default());
        while !parts.is_empty() {
            let part = parts.swap_remove(random.below(parts.len() as u64));
            let mut bytes = Vec::new();
            part.0.encode(&mut bytes);
            merged.0.absorb(&bytes).unwrap();
            bytes.clear();
            part.1.encode(&mut bytes);
            merged.1.absorb(&bytes).unwrap();
        }
        assert_eq!(merged.0.sum().map(f64::to_bits), once.sum().map(f64::to_bits), "{values:?}");
        assert_eq!(merged.0.mean().map(f64::to_bits), once.mean().map(f64::to_bits), "{values:?}");
        assert_eq!(results(&merged.1), results(&pairs), "{values:?}");
    }
}

fn of_single(values: &[f64]) -> One {
    let mut state = One::default();
    state.add_all(values);
    state
}

fn pairs_of(values: &[f64]) -> Vec<f64> {
    values.iter().flat_map(|x| [*x, x * 0.5 + 1.0]).collect()
}

#[test]
fn the_spread_of_equal_numbers_is_zero_and_of_others_true() {
    let state = |values: &[f64]| {
        let mut state = Two::<false>::default();
        values.iter().for_each(|x| state.add(*x, *x, true));
        state
    };
    assert_eq!(state(&[0.1; 7]).var_samp(), Some(0.0));
    assert_eq!(state(&[0.1]).var_samp(), None);
    assert_eq!(state(&[0.1]).var_pop(), Some(0.0));
    assert_eq!(state(&[]).var_pop(), None);
    // Far from zero, where sums of rounded squares lose everything.
    assert_eq!(state(&[1e15 + 1.0, 1e15 + 2.0, 1e15 + 3.0]).var_samp(), Some(1.0));
    assert_eq!(state(&[1e15 + 1.0, 1e15 + 2.0, 1e15 + 3.0]).stddev_samp(), Some(1.0));
    assert_eq!(state(&[1e-200, 3e-200]).stddev_pop(), Some(1e-200));
    assert_eq!(state(&[1e200, 3e200]).stddev_pop(), Some(1e200));
    assert!(state(&[1.0, f64::INFINITY]).var_pop().unwrap().is_nan());
    let line = of::<Two<true>>(&[3.0, 1.0, 5.0, 2.0, 7.0, 3.0]);
    assert_eq!((line.regr_slope(), line.regr_intercept(), line.regr_r2()), (Some(2.0), Some(1.0), Some(1.0)));
    assert_eq!((line.corr(), line.covar_samp(), line.covar_pop()), (Some(1.0), Some(2.0), Some(4.0 / 3.0)));
    assert_eq!((line.regr_sxx(), line.regr_syy(), line.regr_sxy()), (Some(2.0), Some(8.0), Some(4.0)));
    assert_eq!((line.regr_avgx(), line.regr_avgy()), (Some(2.0), Some(5.0)));
}

#[test]
fn groups_are_emitted_in_part_and_go_on() {
    let column = |values: &[f64]| vec![Arc::new(Float64Array::from(values.to_vec())) as ArrayRef];
    let mut groups = Groups::new(One::sum);
    groups.update_batch(&column(&[0.1, 0.2, 0.3]), &[0, 1, 1], None, 2).unwrap();
    let first = groups.evaluate(EmitTo::First(1)).unwrap();
    assert_eq!(first.as_ref(), &Float64Array::from(vec![0.1]));
    groups.update_batch(&column(&[-0.2]), &[0], None, 1).unwrap();
    let states = groups.state(EmitTo::All).unwrap();
    let mut last = Single::new(One::sum);
    last.merge_batch(&states).unwrap();
    last.merge_batch(&groups.convert_to_state(&column(&[0.5]), None).unwrap()).unwrap();
    assert_eq!(last.evaluate().unwrap().to_string(), sum(&[0.2, 0.3, -0.2, 0.5]).to_string());
    assert!(One::default().absorb(&[1, 2, 3]).is_none());
}

/// The rows of a query over `t(k, i, v, w)` whose rows come in another order and in other batches with every seed.
async fn query(seed: u64, partitions: usize, sql: &str) -> Vec<String> {
    let mut random = Random(7);
    let mut rows: Vec<(i64, i64, Option<f64>, f64)> = Vec::new();
    for i in 0..240 {
        let style = [0, 1, 4][random.below(3)];
        let v = if random.below(9) == 0 { None } else { Some(random.double(style)) };
        rows.push((i % 5, i, v, random.double(1)));
    }
    let mut order = Random(seed);
    for i in (1..rows.len()).rev() {
        rows.swap(i, order.below(i as u64 + 1));
    }
    let mut parts = vec![Vec::new(); partitions];
    for chunk in rows.chunks(1 + order.below(50)) {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("k", Arc::new(chunk.iter().map(|r| Some(r.0)).collect::<Int64Array>())),
            ("i", Arc::new(chunk.iter().map(|r| Some(r.1)).collect::<Int64Array>())),
            ("v", Arc::new(chunk.iter().map(|r| r.2).collect::<Float64Array>())),
            ("w", Arc::new(chunk.iter().map(|r| Some(r.3)).collect::<Float64Array>())),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        parts[order.below(partitions as u64)].push(batch);
    }
    let schema = parts.iter().flatten().next().unwrap().schema();
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(partitions));
    super::functions().iter().for_each(|f| ctx.register_udaf(f.as_ref().clone()));
    ctx.register_table("t", Arc::new(MemTable::try_new(schema, parts).unwrap())).unwrap();
    let batches = ctx.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let batches = batches.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let mut lines = Vec::new();
    for batch in batches {
        let options = FormatOptions::default().with_null("null");
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        for i in 0..batch.num_rows() {
            lines.push(columns.iter().map(|c| c.value(i).to_string()).collect::<Vec<_>>().join(" "));
        }
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn queries_give_the_same_bits_whatever_the_order_and_the_partitions() {
    let queries = [
        "select k, sum(v), avg(v), mean(w), var(w), var_pop(w), stddev(w), stddev_pop(w) from t group by k",
        "select sum(v), avg(v), stddev_samp(v), var_samp(w), sum(i), avg(i), stddev(i) from t",
        "select k, corr(v, w), covar_samp(v, w), covar_pop(w, i), regr_slope(v, w), regr_intercept(w, v) from t group by k",
        "select k, regr_r2(v, w), regr_count(v, w), regr_avgx(v, w), regr_avgy(v, w), regr_sxx(w, i) from t group by k",
        "select k, sum(distinct w), count(*) from t group by k",
        "select k, sum(distinct w), avg(distinct v), stddev(distinct w) from t group by k",
        "select k, sum(v), sum(distinct w) from t group by k",
        "select k, sum(v) filter (where w > 0), avg(w) filter (where i % 2 = 0) from t group by k",
        "select k, sum(w) from t group by k having sum(w) > 0.3",
        "select i, sum(v) over (partition by k), avg(w) over (partition by k) from t",
        "select i, sum(v) over (partition by k order by i), stddev(w) over (partition by k order by i) from t",
        "select i, sum(v) over (partition by k order by i rows between 2 preceding and 1 following),
                corr(v, w) over (partition by k order by i rows between 5 preceding and current row),
                sum(distinct w) over (partition by k order by i rows between 9 preceding and current row) from t",
        "select sum(v + 0.1), sum(v + 0.2), count(v), sum(cast(w as float)), sum(cast(i as decimal(20, 2))) from t",
        "select sum(v), avg(v), stddev(v) from t where i < 0",
    ];
    for sql in queries {
        let expected = query(0, 1, sql).await;
        for (seed, partitions) in [(1, 1), (2, 3), (3, 4), (4, 2)] {
            assert_eq!(query(seed, partitions, sql).await, expected, "{sql}");
        }
    }
    assert_eq!(query(1, 2, "select sum(v), avg(v), var(v) from t where i < 0").await, ["null null null"]);
    assert_eq!(query(1, 2, "select arrow_typeof(sum(v)), arrow_typeof(sum(i)) from t").await, ["Float64 Int64"]);
    let sliding = "select i, sum(w) over (order by i rows between 3 preceding and current row) as s from t";
    let joined = "select t.i, sum(u.w) as s from t join t u on u.i between t.i - 3 and t.i group by t.i";
    assert_eq!(query(1, 2, sliding).await, query(2, 3, joined).await);
}
