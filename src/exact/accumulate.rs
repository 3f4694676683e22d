//! The accumulators: of one group, of many, and of distinct values.

use std::collections::HashMap;
use std::mem::size_of_val;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, Float64Array};
use deltalake::datafusion::common::{DataFusionError, Result, ScalarValue};
use deltalake::datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::moments::{Finish, State};

fn unexpected(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("exact aggregate: {what}"))
}

fn float(array: &ArrayRef) -> Result<&Float64Array> {
    array.as_any().downcast_ref().ok_or_else(|| unexpected("the argument is not Float64"))
}

fn binary(states: &[ArrayRef]) -> Result<&BinaryArray> {
    let array = states.first().ok_or_else(|| unexpected("no state"))?;
    array.as_any().downcast_ref().ok_or_else(|| unexpected("the state is not Binary"))
}

/// First and last argument: the same one if there is only one.
fn arguments(values: &[ArrayRef]) -> Result<(&Float64Array, &Float64Array)> {
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return Err(unexpected("no argument"));
    };
    Ok((float(first)?, float(last)?))
}

/// Calls `each` with the number and the values of every row without NULL.
fn rows(values: &[ArrayRef], mut each: impl FnMut(usize, f64, f64)) -> Result<()> {
    let (a, b) = arguments(values)?;
    if a.null_count() + b.null_count() == 0 {
        a.values().iter().zip(b.values()).enumerate().for_each(|(i, (x, y))| each(i, *x, *y));
        return Ok(());
    }
    for i in 0..a.len() {
        if a.is_valid(i) && b.is_valid(i) {
            each(i, a.value(i), b.value(i));
        }
    }
    Ok(())
}

fn encoded<S: State>(state: &S) -> Vec<u8> {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes
}

/// One group.
#[derive(Debug)]
pub(super) struct Single<S> {
    state: S,
    finish: Finish<S>,
}

impl<S: State> Single<S> {
    pub(super) fn new(finish: Finish<S>) -> Self {
        Self { state: S::default(), finish }
    }
}

impl<S: State> Accumulator for Single<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let [only] = values {
            let only = float(only)?;
            if only.null_count() == 0 {
                self.state.add_all(only.values());
                return Ok(());
            }
        }
        rows(values, |_, a, b| self.state.add(a, b, true))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.finish)(&self.state)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.state.heap()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(encoded(&self.state)))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in binary(states)?.iter().flatten() {
            self.state.absorb(bytes).ok_or_else(|| unexpected("a state that is none"))?;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values, |_, a, b| self.state.add(a, b, false))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

/// One group of distinct values, or of distinct pairs, with their counts. As in SQL, all zeros are one value, and so
/// are all NaNs.
#[derive(Debug)]
pub(super) struct Distinct<S> {
    values: HashMap<[u64; 2], u64>,
    finish: Finish<S>,
}

fn value(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() }
}

impl<S: State> Distinct<S> {
    pub(super) fn new(finish: Finish<S>) -> Self {
        Self { values: HashMap::new(), finish }
    }
}

impl<S: State> Accumulator for Distinct<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values, |_, a, b| *self.values.entry([value(a), value(b)]).or_default() += 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut state = S::default();
        self.values.keys().for_each(|[a, b]| state.add(f64::from_bits(*a), f64::from_bits(*b), true));
        Ok(ScalarValue::Float64((self.finish)(&state)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<([u64; 2], u64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = self.values.keys().flatten().flat_map(|word| word.to_le_bytes()).collect();
        Ok(vec![ScalarValue::Binary(Some(bytes))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in binary(states)?.iter().flatten() {
            let (words, []) = bytes.as_chunks::<8>() else { return Err(unexpected("a state that is none")) };
            for pair in words.chunks_exact(2) {
                *self.values.entry([u64::from_le_bytes(pair[0]), u64::from_le_bytes(pair[1])]).or_default() += 1;
            }
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        rows(values, |_, a, b| {
            let key = [value(a), value(b)];
            if let Some(n) = self.values.get_mut(&key) {
                *n -= 1;
                if *n == 0 {
                    self.values.remove(&key);
                }
            }
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}

/// Many groups.
pub(super) struct Groups<S> {
    states: Vec<S>,
    heap: usize,
    finish: Finish<S>,
}

impl<S: State> Groups<S> {
    pub(super) fn new(finish: Finish<S>) -> Self {
        Self { states: Vec::new(), heap: 0, finish }
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<S> {
        let taken = emit_to.take_needed(&mut self.states);
        self.heap = self.states.iter().map(State::heap).sum();
        taken
    }
}

pub(super) fn passes(filter: Option<&BooleanArray>, i: usize) -> bool {
    filter.is_none_or(|f| f.is_valid(i) && f.value(i))
}

impl<S: State> GroupsAccumulator for Groups<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.states.resize_with(total_num_groups, S::default);
        let (states, heap) = (&mut self.states, &mut self.heap);
        rows(values, |i, a, b| {
            if passes(opt_filter, i) {
                let state = &mut states[group_indices[i]];
                let before = state.heap();
                state.add(a, b, true);
                *heap += state.heap().saturating_sub(before);
            }
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let finish = self.finish;
        Ok(Arc::new(self.take(emit_to).iter().map(finish).collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let taken = self.take(emit_to);
        let mut states = BinaryBuilder::with_capacity(taken.len(), taken.len() * 32);
        let mut bytes = Vec::new();
        for state in taken {
            bytes.clear();
            state.encode(&mut bytes);
            states.append_value(&bytes);
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.states.resize_with(total_num_groups, S::default);
        for (bytes, group) in binary(values)?.iter().zip(group_indices) {
            let Some(bytes) = bytes else { continue };
            let state = &mut self.states[*group];
            let before = state.heap();
            state.absorb(bytes).ok_or_else(|| unexpected("a state that is none"))?;
            self.heap += state.heap().saturating_sub(before);
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let (a, b) = arguments(values)?;
        let mut states = BinaryBuilder::with_capacity(a.len(), a.len() * 32);
        let mut bytes = Vec::new();
        for i in 0..a.len() {
            if a.is_null(i) || b.is_null(i) || !passes(opt_filter, i) {
                states.append_null();
                continue;
            }
            let mut state = S::default();
            state.add(a.value(i), b.value(i), true);
            bytes.clear();
            state.encode(&mut bytes);
            states.append_value(&bytes);
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.states.capacity() * size_of::<S>() + self.heap
    }
}
