//! Minima and maxima of floating-point numbers: NaN is greater than all others, and -0.0 is less than 0.0.
//!
//! The built-in functions compare by `<`, for which NaN is neither less nor greater: a leading NaN stays, any other is
//! skipped, so that the result depends on the order of the rows.

use std::collections::BTreeMap;
use std::mem::size_of_val;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Float64Type};
use deltalake::datafusion::common::{DataFusionError, Result, ScalarValue};
use deltalake::datafusion::logical_expr::function::AccumulatorArgs;
use deltalake::datafusion::logical_expr::utils::AggregateOrderSensitivity;
use deltalake::datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature, StatisticsArgs,
};

use super::accumulate::passes;

/// Minimum or maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Least,
    Greatest,
}

impl End {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "min" => Some(Self::Least),
            "max" => Some(Self::Greatest),
            _ => None,
        }
    }

    fn better(self, one: Option<u64>, two: Option<u64>) -> Option<u64> {
        match (one, two, self) {
            (Some(one), Some(two), Self::Least) => Some(one.min(two)),
            (Some(one), Some(two), Self::Greatest) => Some(one.max(two)),
            (one, two, _) => one.or(two),
        }
    }
}

/// Maps a number to an integer of the same order.
fn rank(x: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    match x.to_bits() {
        _ if x.is_nan() => u64::MAX,
        bits if bits & SIGN == 0 => bits | SIGN,
        bits => !bits,
    }
}

fn unranked(rank: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    match rank {
        u64::MAX => f64::NAN,
        rank if rank & SIGN == 0 => f64::from_bits(!rank),
        rank => f64::from_bits(rank & !SIGN),
    }
}

/// The ranks of a column of any width.
fn ranks(values: &[ArrayRef]) -> Result<Vec<Option<u64>>> {
    let column = values.first().ok_or_else(|| DataFusionError::Internal("min or max without an argument".into()))?;
    let wide = cast(column, &DataType::Float64)?;
    Ok(wide.as_primitive::<Float64Type>().iter().map(|x| x.map(rank)).collect())
}

fn column(of: &DataType, ranks: impl Iterator<Item = Option<u64>>) -> Result<ArrayRef> {
    let wide: ArrayRef = Arc::new(ranks.map(|rank| rank.map(unranked)).collect::<Float64Array>());
    Ok(cast(&wide, of)?)
}

fn scalar(of: &DataType, rank: Option<u64>) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&column(of, std::iter::once(rank))?, 0)
}

/// `min` or `max` with a total order for floating-point numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Extreme {
    pub inner: Arc<AggregateUDF>,
    pub end: End,
}

impl Extreme {
    fn built_in(&self) -> &dyn AggregateUDFImpl {
        self.inner.inner().as_ref()
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.built_in().name()
    }

    fn signature(&self) -> &Signature {
        self.built_in().signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.built_in().return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let of = args.return_field.data_type();
        if of.is_floating() {
            return Ok(Box::new(Single { end: self.end, of: of.clone(), best: None }));
        }
        self.built_in().accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        args.return_field.data_type().is_floating() || self.built_in().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let of = args.return_field.data_type();
        if of.is_floating() {
            return Ok(Box::new(Groups { end: self.end, of: of.clone(), best: Vec::new() }));
        }
        self.built_in().create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let of = args.return_field.data_type();
        if of.is_floating() {
            return Ok(Box::new(Sliding { end: self.end, of: of.clone(), counts: BTreeMap::new() }));
        }
        self.built_in().create_sliding_accumulator(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.built_in().coerce_types(arg_types)
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        // Statistics omit NaN.
        if args.return_type.is_floating() { None } else { self.built_in().value_from_stats(args) }
    }

    fn is_descending(&self) -> Option<bool> {
        self.built_in().is_descending()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.built_in().order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.built_in().reverse_expr()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.built_in().documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.built_in().set_monotonicity(data_type)
    }
}

/// One group.
#[derive(Debug)]
struct Single {
    end: End,
    of: DataType,
    best: Option<u64>,
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.best = ranks(values)?.into_iter().fold(self.best, |best, rank| self.end.better(best, rank));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        scalar(&self.of, self.best)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

/// A moving frame: the count of each number in it.
#[derive(Debug)]
struct Sliding {
    end: End,
    of: DataType,
    counts: BTreeMap<u64, u64>,
}

impl Accumulator for Sliding {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        ranks(values)?.into_iter().flatten().for_each(|rank| *self.counts.entry(rank).or_default() += 1);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut ranks = self.counts.keys();
        let best = if self.end == End::Least { ranks.next() } else { ranks.next_back() };
        scalar(&self.of, best.copied())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.len() * size_of::<(u64, u64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for rank in ranks(values)?.into_iter().flatten() {
            if let Some(count) = self.counts.get_mut(&rank) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&rank);
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

/// Many groups.
struct Groups {
    end: End,
    of: DataType,
    best: Vec<Option<u64>>,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.best.resize(total_num_groups, None);
        for (i, (rank, group)) in ranks(values)?.into_iter().zip(group_indices).enumerate() {
            if passes(opt_filter, i) {
                self.best[*group] = self.end.better(self.best[*group], rank);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        column(&self.of, emit_to.take_needed(&mut self.best).into_iter())
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let ranks = ranks(values)?.into_iter().enumerate().map(|(i, rank)| rank.filter(|_| passes(opt_filter, i)));
        Ok(vec![column(&self.of, ranks)?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.best.capacity() * size_of::<Option<u64>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_have_the_order_of_numbers_and_come_back() {
        let ordered =
            [f64::NEG_INFINITY, f64::MIN, -1.0, -f64::MIN_POSITIVE, -0.0, 0.0, 5e-324, 1.0, f64::MAX, f64::INFINITY];
        assert!(ordered.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])));
        assert!(ordered.iter().all(|x| unranked(rank(*x)).to_bits() == x.to_bits()));
        assert!(rank(f64::INFINITY) < rank(f64::NAN) && rank(f64::NAN) == rank(-f64::NAN));
        assert!(unranked(rank(-f64::NAN)).is_nan());
    }
}
