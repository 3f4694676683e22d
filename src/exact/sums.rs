//! Sums and averages of integers and decimals, accumulated in numbers wide enough for any number of rows.
//!
//! The engine accumulates in the type of the result and wraps: two `9223372036854775807` give -2. Here only the result
//! must fit, so that no order of rows, and no row inserted and deleted in between, makes a sum fail that fits. Averages
//! of decimals are rounded half away from zero, as in Trino and PostgreSQL; the engine truncates them.

use std::collections::HashMap;
use std::fmt::Debug;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use deltalake::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, PrimitiveArray, UInt64Array,
};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type, UInt64Type, i256,
};
use deltalake::datafusion::common::{DataFusionError, Result, ScalarValue};
use deltalake::datafusion::logical_expr::utils::format_state_name;
use deltalake::datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use deltalake::datafusion::physical_expr::PhysicalExpr;
use deltalake::datafusion::physical_expr::expressions::{CastExpr, Column};

use super::accumulate::passes;
use super::checked::{fits, overflow, sql_name};

/// The result computed from the sum and the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// The sum itself.
    Sum,
    /// The sum divided by the count, with this many more decimal places.
    Mean(u32),
}

/// A sum or average of a query.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    finish: Finish,
    from: DataType,
    to: DataType,
    /// The summed column, for messages; `None` if it is no column.
    of: Option<String>,
    distinct: bool,
}

fn state_type(input: &DataType) -> DataType {
    match input {
        DataType::Decimal128(_, scale) => DataType::Decimal256(76, *scale),
        _ => DataType::Decimal128(38, 0),
    }
}

impl Asked {
    /// `None` if the values are not summed here.
    pub(super) fn new(means: bool, inputs: &[FieldRef], output: &FieldRef) -> Option<Self> {
        let [input] = inputs else { return None };
        let (from, to) = (input.data_type().clone(), output.data_type().clone());
        let finish = match (means, &from, &to) {
            (false, DataType::Int64, DataType::Int64) | (false, DataType::UInt64, DataType::UInt64) => Finish::Sum,
            (false, DataType::Decimal128(..), DataType::Decimal128(..)) => Finish::Sum,
            (false, DataType::Duration(from), DataType::Duration(to)) if from == to => Finish::Sum,
            (true, DataType::Duration(from), DataType::Duration(to)) if from == to => Finish::Mean(0),
            (true, DataType::Decimal128(_, s), DataType::Decimal128(_, t)) => {
                Finish::Mean(u32::try_from(t - s).unwrap_or(0))
            }
            _ => return None,
        };
        Some(Self { finish, from, to, of: None, distinct: false })
    }

    /// The same with this argument, whose column messages name.
    pub(super) fn of(self, arguments: &[Arc<dyn PhysicalExpr>], distinct: bool) -> Self {
        let of = arguments.first().and_then(column);
        Self { of, distinct, ..self }
    }

    /// The fields of a state: the sum and the count, or the distinct values.
    pub(super) fn state_fields(&self, name: &str, distinct: bool) -> Vec<FieldRef> {
        if distinct {
            let item = Field::new_list_field(DataType::Decimal128(38, 0), true);
            return vec![Arc::new(Field::new_list(format_state_name(name, "distinct"), item, true))];
        }
        let sum = state_type(&self.from);
        vec![
            Arc::new(Field::new(format_state_name(name, "sum"), sum, true)),
            Arc::new(Field::new(format_state_name(name, "count"), DataType::UInt64, true)),
        ]
    }

    /// The accumulator of one group.
    pub(super) fn single(self, distinct: bool) -> Box<dyn Accumulator> {
        match (self.is_decimal(), distinct) {
            (true, false) => Box::new(Single::<i256>::new(self)),
            (false, false) => Box::new(Single::<i128>::new(self)),
            (_, true) => Box::new(Distinct { values: HashMap::new(), asked: self }),
        }
    }

    /// The accumulator of many groups.
    pub(super) fn groups(self) -> Box<dyn GroupsAccumulator> {
        if self.is_decimal() { Box::new(Groups::<i256>::new(self)) } else { Box::new(Groups::<i128>::new(self)) }
    }

    fn is_decimal(&self) -> bool {
        matches!(self.from, DataType::Decimal128(..))
    }

    /// The result in units of its type; NULL if there are no values.
    fn result(&self, sum: i256, count: u64) -> Result<Option<i128>> {
        if count == 0 {
            return Ok(None);
        }
        let value = match self.finish {
            Finish::Sum => Some(sum),
            Finish::Mean(digits) => i256::from_i128(10)
                .checked_pow(digits)
                .and_then(|by| sum.checked_mul(by))
                .and_then(|sum| rounded(sum, i256::from_i128(i128::from(count)))),
        };
        match value.and_then(i256::to_i128).filter(|value| fits(*value, &self.to)) {
            Some(value) => Ok(Some(value)),
            None => Err(self.too_great()),
        }
    }

    fn too_great(&self) -> DataFusionError {
        let name = if self.finish == Finish::Sum { "sum" } else { "avg" };
        let distinct = if self.distinct { "distinct " } else { "" };
        let call = |argument: &str| format!("{name}({distinct}{argument})");
        let wider = |argument: &str| match &self.from {
            DataType::Decimal128(..) => format!("cast({argument} as double)"),
            // As a number of microseconds.
            DataType::Duration(_) => format!("cast(cast({argument} as bigint) as decimal(38, 0))"),
            _ => format!("cast({argument} as decimal(38, 0))"),
        };
        let way_out = match &self.of {
            Some(column) => format!("write `{}`", call(&wider(column))),
            None => format!("write `{}` around what is added up, x", call(&wider("x"))),
        };
        let what = self.of.as_ref().map_or_else(|| call("..."), |column| call(column));
        overflow(&what, &self.to, None, &way_out)
    }

    fn array(&self, values: impl Iterator<Item = Result<Option<i128>>>) -> Result<ArrayRef> {
        let narrow = || DataFusionError::Internal(format!("a sum does not fit {}", sql_name(&self.to)));
        Ok(match &self.to {
            DataType::Decimal128(p, s) => {
                let values = values.collect::<Result<Decimal128Array>>()?;
                Arc::new(values.with_precision_and_scale(*p, *s)?)
            }
            DataType::UInt64 => {
                let whole = |v: Option<i128>| v.map(|v| u64::try_from(v).map_err(|_| narrow())).transpose();
                Arc::new(values.map(|v| v.and_then(whole)).collect::<Result<UInt64Array>>()?)
            }
            of_type => {
                let whole = |v: Option<i128>| v.map(|v| i64::try_from(v).map_err(|_| narrow())).transpose();
                let values: ArrayRef = Arc::new(values.map(|v| v.and_then(whole)).collect::<Result<Int64Array>>()?);
                // A duration is a number of units.
                cast(&values, of_type)?
            }
        })
    }
}

/// The column of an argument, without the engine's casts.
fn column(argument: &Arc<dyn PhysicalExpr>) -> Option<String> {
    match argument.downcast_ref::<CastExpr>() {
        Some(cast) => column(cast.expr()),
        None => argument.downcast_ref::<Column>().map(|column| column.name().to_owned()),
    }
}

/// A quotient, rounded half away from zero.
pub(super) fn rounded(dividend: i256, divisor: i256) -> Option<i256> {
    let (quotient, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
    let (rest, half) = (rest.wrapping_abs(), divisor.wrapping_abs().wrapping_sub(rest.wrapping_abs()));
    if rest < half {
        return Some(quotient);
    }
    let one = if dividend.is_negative() == divisor.is_negative() { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(one)
}

/// A number wide enough for the sum of the maximum number of values.
pub(super) trait Wide: Copy + Debug + Default + Send + Sync + 'static {
    type State: ArrowPrimitiveType<Native = Self>;
    fn of(value: i128) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn widest(self) -> i256;
}

/// 2^63 values of 64 bits.
impl Wide for i128 {
    type State = Decimal128Type;
    fn of(value: i128) -> Self {
        value
    }
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    fn widest(self) -> i256 {
        i256::from_i128(self)
    }
}

/// 2^63 values of 127 bits.
impl Wide for i256 {
    type State = Decimal256Type;
    fn of(value: i128) -> Self {
        Self::from_i128(value)
    }
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    fn widest(self) -> i256 {
        self
    }
}

fn unexpected(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("sum: {what}"))
}

fn only(values: &[ArrayRef]) -> Result<&ArrayRef> {
    values.first().ok_or_else(|| unexpected("no argument"))
}

/// Calls `each` with the number and the value of every row that is not NULL.
fn rows(values: &ArrayRef, mut each: impl FnMut(usize, i128)) -> Result<()> {
    fn of<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, mut each: impl FnMut(usize, T::Native)) {
        if array.null_count() == 0 {
            array.values().iter().enumerate().for_each(|(i, v)| each(i, *v));
        } else {
            array.iter().enumerate().for_each(|(i, v)| v.into_iter().for_each(|v| each(i, v)));
        }
    }
    match values.data_type() {
        DataType::Int64 => of(values.as_primitive::<Int64Type>(), |i, v| each(i, i128::from(v))),
        DataType::UInt64 => of(values.as_primitive::<UInt64Type>(), |i, v| each(i, i128::from(v))),
        DataType::Decimal128(..) => of(values.as_primitive::<Decimal128Type>(), each),
        DataType::Duration(_) => {
            let units = cast(values, &DataType::Int64)?;
            of(units.as_primitive::<Int64Type>(), |i, v| each(i, i128::from(v)));
        }
        other => return Err(unexpected(&format!("an argument of type {other}"))),
    }
    Ok(())
}

/// Sums and counts of states.
fn states<W: Wide>(states: &[ArrayRef]) -> Result<(&PrimitiveArray<W::State>, &UInt64Array)> {
    let [sums, counts] = states else { return Err(unexpected("a state that is none")) };
    let sums = sums.as_primitive_opt::<W::State>().ok_or_else(|| unexpected("a state of another type"))?;
    Ok((sums, counts.as_primitive_opt::<UInt64Type>().ok_or_else(|| unexpected("a state of another type"))?))
}

fn state_arrays<W: Wide>(sums: Vec<W>, counts: Vec<u64>, from: &DataType) -> Vec<ArrayRef> {
    let sums = PrimitiveArray::<W::State>::from_iter_values(sums).with_data_type(state_type(from));
    vec![Arc::new(sums), Arc::new(UInt64Array::from(counts))]
}

/// One group.
#[derive(Debug)]
struct Single<W> {
    sum: W,
    count: u64,
    asked: Asked,
}

impl<W: Wide> Single<W> {
    fn new(asked: Asked) -> Self {
        Self { sum: W::default(), count: 0, asked }
    }
}

impl<W: Wide> Accumulator for Single<W> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = only(values)?;
        self.count += (values.len() - values.null_count()) as u64;
        rows(values, |_, v| self.sum = self.sum.plus(W::of(v)))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = only(values)?;
        self.count -= (values.len() - values.null_count()) as u64;
        rows(values, |_, v| self.sum = self.sum.minus(W::of(v)))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.asked.result(self.sum.widest(), self.count);
        ScalarValue::try_from_array(&self.asked.array(std::iter::once(result))?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let arrays = state_arrays(vec![self.sum], vec![self.count], &self.asked.from);
        arrays.iter().map(|array| ScalarValue::try_from_array(array, 0)).collect()
    }

    fn merge_batch(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        let (sums, counts) = states::<W>(arrays)?;
        for (sum, count) in sums.iter().zip(counts) {
            let (Some(sum), Some(count)) = (sum, count) else { continue };
            self.sum = self.sum.plus(sum);
            self.count += count;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// One group of distinct values, with their counts.
#[derive(Debug)]
struct Distinct {
    values: HashMap<i128, u64>,
    asked: Asked,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(only(values)?, |_, v| *self.values.entry(v).or_default() += 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(only(values)?, |_, v| {
            if let Some(n) = self.values.get_mut(&v) {
                *n -= 1;
                if *n == 0 {
                    self.values.remove(&v);
                }
            }
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.values.keys().fold(i256::ZERO, |sum, v| sum.plus(i256::of(*v)));
        let result = self.asked.result(sum, self.values.len() as u64);
        ScalarValue::try_from_array(&self.asked.array(std::iter::once(result))?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.keys().map(|v| ScalarValue::Decimal128(Some(*v), 38, 0)).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Decimal128(38, 0)))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = only(states)?.as_list_opt::<i32>().ok_or_else(|| unexpected("a state of another type"))?;
        lists.iter().flatten().try_for_each(|values| rows(&values, |_, v| *self.values.entry(v).or_default() += 1))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<(i128, u64)>()
    }
}

/// Many groups.
struct Groups<W> {
    sums: Vec<W>,
    counts: Vec<u64>,
    asked: Asked,
}

impl<W: Wide> Groups<W> {
    fn new(asked: Asked) -> Self {
        Self { sums: Vec::new(), counts: Vec::new(), asked }
    }

    fn resize(&mut self, groups: usize) {
        self.sums.resize(groups, W::default());
        self.counts.resize(groups, 0);
    }
}

impl<W: Wide> GroupsAccumulator for Groups<W> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.resize(total_num_groups);
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        rows(only(values)?, |i, v| {
            if passes(opt_filter, i) {
                let group = group_indices[i];
                sums[group] = sums[group].plus(W::of(v));
                counts[group] += 1;
            }
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = (emit_to.take_needed(&mut self.sums), emit_to.take_needed(&mut self.counts));
        self.asked.array(sums.into_iter().zip(counts).map(|(sum, count)| self.asked.result(sum.widest(), count)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, counts) = (emit_to.take_needed(&mut self.sums), emit_to.take_needed(&mut self.counts));
        Ok(state_arrays(sums, counts, &self.asked.from))
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.resize(total_num_groups);
        let (sums, counts) = states::<W>(values)?;
        for ((sum, count), group) in sums.iter().zip(counts).zip(group_indices) {
            let (Some(sum), Some(count)) = (sum, count) else { continue };
            self.sums[*group] = self.sums[*group].plus(sum);
            self.counts[*group] += count;
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = only(values)?;
        let (mut sums, mut counts) = (vec![W::default(); values.len()], vec![0; values.len()]);
        rows(values, |i, v| {
            if passes(opt_filter, i) {
                (sums[i], counts[i]) = (W::of(v), 1);
            }
        })?;
        Ok(state_arrays(sums, counts, &self.asked.from))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.capacity() * size_of::<W>() + self.counts.capacity() * size_of::<u64>()
    }
}
