//! The states of groups, and the results computed from them.

use std::fmt::Debug;

use super::big::{Int, Scaled};
use super::number::{Sum, take};

/// The state of a group: independent of the order of its rows.
pub(super) trait State: Clone + Debug + Default + Send + Sync + 'static {
    /// Adds or subtracts a row. With one argument both values are the same.
    fn add(&mut self, a: f64, b: f64, forward: bool);
    /// Adds rows of one argument.
    fn add_all(&mut self, values: &[f64]) {
        values.iter().for_each(|x| self.add(*x, *x, true));
    }
    /// Appends its bytes.
    fn encode(&self, into: &mut Vec<u8>);
    /// Adds an encoded state; `None` if it is invalid.
    fn absorb(&mut self, bytes: &[u8]) -> Option<()>;
    /// Bytes on the heap.
    fn heap(&self) -> usize;
}

/// A result; `None` is NULL.
pub(super) type Finish<S> = fn(&S) -> Option<f64>;

fn step(n: &mut u64, forward: bool) {
    *n = if forward { n.saturating_add(1) } else { n.saturating_sub(1) };
}

/// Count and sum.
#[derive(Clone, Debug, Default)]
pub(super) struct One {
    n: u64,
    sum: Sum<3>,
}

impl State for One {
    fn add(&mut self, a: f64, _: f64, forward: bool) {
        step(&mut self.n, forward);
        self.sum.add(a, forward);
    }

    fn add_all(&mut self, values: &[f64]) {
        self.n += values.len() as u64;
        self.sum.add_all(values);
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend(self.n.to_le_bytes());
        self.sum.encode(into);
    }

    fn absorb(&mut self, mut bytes: &[u8]) -> Option<()> {
        self.n += u64::from_le_bytes(take(&mut bytes)?);
        self.sum.absorb(&mut bytes)
    }

    fn heap(&self) -> usize {
        self.sum.heap()
    }
}

impl One {
    pub(super) fn sum(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum.special().unwrap_or_else(|| self.sum.int().round().value()))
    }

    pub(super) fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| mean(&self.sum, self.n))
    }
}

fn mean(sum: &Sum<3>, n: u64) -> f64 {
    sum.special().unwrap_or_else(|| sum.int().round().div(Scaled::count(n)).value())
}

/// Count, sums and sums of products of pairs. With `PAIR` false, both values are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Two<const PAIR: bool> {
    n: u64,
    x: Sum<3>,
    xx: Sum<5>,
    pair: Option<Box<Second>>,
}

#[derive(Clone, Debug, Default)]
struct Second {
    y: Sum<3>,
    yy: Sum<5>,
    xy: Sum<5>,
}

impl<const PAIR: bool> State for Two<PAIR> {
    /// The first of a pair is y, as in `regr_slope(y, x)`.
    fn add(&mut self, y: f64, x: f64, forward: bool) {
        step(&mut self.n, forward);
        self.x.add(x, forward);
        if x.is_finite() {
            self.xx.add_product(x, x, forward);
        }
        if PAIR {
            let second = self.pair.get_or_insert_default();
            second.y.add(y, forward);
            if y.is_finite() {
                second.yy.add_product(y, y, forward);
                if x.is_finite() {
                    second.xy.add_product(x, y, forward);
                }
            }
        }
    }

    fn encode(&self, into: &mut Vec<u8>) {
        into.extend(self.n.to_le_bytes());
        self.x.encode(into);
        self.xx.encode(into);
        if let Some(second) = &self.pair {
            second.y.encode(into);
            second.yy.encode(into);
            second.xy.encode(into);
        }
    }

    fn absorb(&mut self, mut bytes: &[u8]) -> Option<()> {
        self.n += u64::from_le_bytes(take(&mut bytes)?);
        self.x.absorb(&mut bytes)?;
        self.xx.absorb(&mut bytes)?;
        if !bytes.is_empty() {
            let second = self.pair.get_or_insert_default();
            second.y.absorb(&mut bytes)?;
            second.yy.absorb(&mut bytes)?;
            second.xy.absorb(&mut bytes)?;
        }
        Some(())
    }

    fn heap(&self) -> usize {
        let second = |s: &Second| size_of::<Second>() + s.y.heap() + s.yy.heap() + s.xy.heap();
        self.x.heap() + self.xx.heap() + self.pair.as_deref().map_or(0, second)
    }
}

/// `n * sum(xy) - sum(x) * sum(y)`: n² times the covariance.
fn spread(n: u64, xy: &Sum<5>, x: &Sum<3>, y: &Sum<3>) -> Int {
    xy.int().times(n).sub(&x.int().mul(&y.int()))
}

impl<const PAIR: bool> Two<PAIR> {
    /// The variance times n², over `n * (n - less)`.
    fn variance(&self, less: u64) -> Option<Scaled> {
        let over = Scaled::count(self.n).mul(Scaled::count(self.n - less));
        (self.n > less).then(|| spread(self.n, &self.xx, &self.x, &self.x).round().div(over))
    }

    fn of_variance(&self, less: u64, result: fn(Scaled) -> Scaled) -> Option<f64> {
        match self.n {
            n if n <= less => None,
            _ if self.x.special().is_some() => Some(f64::NAN),
            _ => self.variance(less).map(|v| result(v).value()),
        }
    }

    pub(super) fn var_samp(&self) -> Option<f64> {
        self.of_variance(1, |v| v)
    }

    pub(super) fn var_pop(&self) -> Option<f64> {
        self.of_variance(0, |v| v)
    }

    pub(super) fn stddev_samp(&self) -> Option<f64> {
        self.of_variance(1, Scaled::sqrt)
    }

    pub(super) fn stddev_pop(&self) -> Option<f64> {
        self.of_variance(0, Scaled::sqrt)
    }

    /// The other half of a pair, if there are more than `least` rows.
    fn second(&self, least: u64) -> Option<&Second> {
        if self.n > least { self.pair.as_deref() } else { None }
    }

    fn is_special(&self, second: &Second) -> bool {
        self.x.special().is_some() || second.y.special().is_some()
    }

    fn xx(&self) -> Int {
        spread(self.n, &self.xx, &self.x, &self.x)
    }

    fn yy(&self, second: &Second) -> Int {
        spread(self.n, &second.yy, &second.y, &second.y)
    }

    fn xy(&self, second: &Second) -> Int {
        spread(self.n, &second.xy, &self.x, &second.y)
    }

    fn covariance(&self, less: u64) -> Option<f64> {
        let second = self.second(less)?;
        if self.is_special(second) {
            return Some(f64::NAN);
        }
        let over = Scaled::count(self.n).mul(Scaled::count(self.n - less));
        Some(self.xy(second).round().div(over).value())
    }

    pub(super) fn covar_samp(&self) -> Option<f64> {
        self.covariance(1)
    }

    pub(super) fn covar_pop(&self) -> Option<f64> {
        self.covariance(0)
    }

    /// As the built-in: NaN if both columns have NaN, NULL if one has.
    pub(super) fn corr(&self) -> Option<f64> {
        let second = self.second(0)?;
        let nan = |s: &Sum<3>| s.special().is_some_and(f64::is_nan);
        match (nan(&self.x), nan(&second.y)) {
            (true, true) => return Some(f64::NAN),
            (false, false) if self.n > 1 => {}
            _ => return None,
        }
        if self.is_special(second) {
            return Some(f64::NAN);
        }
        let (xx, yy) = (self.xx(), self.yy(second));
        if xx.is_zero() || yy.is_zero() {
            return None;
        }
        let over = xx.round().mul(yy.round()).sqrt();
        Some(self.xy(second).round().div(over).value().clamp(-1.0, 1.0))
    }

    pub(super) fn regr_slope(&self) -> Option<f64> {
        let second = self.second(1)?;
        if self.is_special(second) {
            return Some(f64::NAN);
        }
        let xx = self.xx();
        (!xx.is_zero()).then(|| self.xy(second).round().div(xx.round()).value())
    }

    pub(super) fn regr_intercept(&self) -> Option<f64> {
        let second = self.second(1)?;
        if self.is_special(second) {
            return Some(f64::NAN);
        }
        let xx = self.xx();
        let above = second.y.int().mul(&self.xx.int()).sub(&self.x.int().mul(&second.xy.int()));
        (!xx.is_zero()).then(|| above.round().div(xx.round()).value())
    }

    pub(super) fn regr_r2(&self) -> Option<f64> {
        let second = self.second(1)?;
        if self.is_special(second) {
            return Some(f64::NAN);
        }
        let (xx, yy, xy) = (self.xx(), self.yy(second), self.xy(second));
        let over = || xx.round().mul(yy.round());
        (!xx.is_zero() && !yy.is_zero()).then(|| xy.mul(&xy).round().div(over()).value().clamp(0.0, 1.0))
    }

    pub(super) fn regr_avgx(&self) -> Option<f64> {
        self.second(0).map(|_| mean(&self.x, self.n))
    }

    pub(super) fn regr_avgy(&self) -> Option<f64> {
        self.second(0).map(|second| mean(&second.y, self.n))
    }

    fn over_n(&self, special: bool, spread: &Int) -> f64 {
        if special { f64::NAN } else { spread.round().div(Scaled::count(self.n)).value() }
    }

    pub(super) fn regr_sxx(&self) -> Option<f64> {
        self.second(0).map(|_| self.over_n(self.x.special().is_some(), &self.xx()))
    }

    pub(super) fn regr_syy(&self) -> Option<f64> {
        self.second(0).map(|s| self.over_n(s.y.special().is_some(), &self.yy(s)))
    }

    pub(super) fn regr_sxy(&self) -> Option<f64> {
        self.second(0).map(|s| self.over_n(self.is_special(s), &self.xy(s)))
    }
}
