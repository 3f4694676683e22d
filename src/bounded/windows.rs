//! Lists and texts that a window builds for each of its rows: ten thousand rows of `string_agg(s) over (order by id)`
//! have fifty million pieces. The engine holds them all outside of the memory pool.

use std::sync::Arc;

use deltalake::arrow::array::ArrayRef;
use deltalake::arrow::datatypes::{DataType, FieldRef};
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::logical_expr::expr::WindowFunctionParams;
use deltalake::datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use deltalake::datafusion::logical_expr::utils::AggregateOrderSensitivity;
use deltalake::datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature, WindowFunctionDefinition,
};

use super::too_large;

/// Rows that the engine computes and passes on together.
const BATCH_ROWS: u64 = 8192;

/// A bounded aggregate of a window; `None` if its values are not larger than those of its rows, or if it is bounded
/// already.
pub(super) fn bounded(of: &WindowFunctionDefinition, limit: u64) -> Option<WindowFunctionDefinition> {
    match of {
        WindowFunctionDefinition::AggregateUDF(inner)
            if ["array_agg", "string_agg"].contains(&inner.name()) && !inner.inner().is::<Windowed>() =>
        {
            Some(WindowFunctionDefinition::AggregateUDF(Windowed::around(inner, limit)))
        }
        _ => None,
    }
}

/// An aggregate of the engine over the rows of a window.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Windowed {
    inner: Arc<AggregateUDF>,
    limit: u64,
}

impl Windowed {
    fn around(inner: &Arc<AggregateUDF>, limit: u64) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::new_from_impl(Self { inner: Arc::clone(inner), limit }))
    }

    fn counted(&self, inner: Box<dyn Accumulator>) -> Box<dyn Accumulator> {
        Box::new(Counted { inner, name: self.inner.name().to_owned(), rows: 0, limit: self.limit })
    }
}

impl AggregateUDFImpl for Windowed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.inner.window_function_schema_name(params)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(arg_fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(self.counted(self.inner.accumulator(args)?))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(self.counted(self.inner.create_sliding_accumulator(args)?))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_udf() {
            ReversedUDAF::Reversed(inner) => ReversedUDAF::Reversed(Self::around(&inner, self.limit)),
            other => other,
        }
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }
}

/// An accumulator whose value is built for each of its rows.
#[derive(Debug)]
struct Counted {
    inner: Box<dyn Accumulator>,
    name: String,
    /// Rows so far: each of them, or each group that the engine passes on together, gets a value.
    rows: u64,
    limit: u64,
}

impl Accumulator for Counted {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.rows += values.first().map_or(0, |column| column.len() as u64);
        self.inner.update_batch(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.inner.evaluate()?;
        let bytes = (value.size() as u64).saturating_mul(self.rows.clamp(1, BATCH_ROWS));
        if bytes > self.limit {
            return Err(too_large(&format!("results of `{}` over a window", self.name), bytes, self.limit));
        }
        Ok(value)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(values)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}
