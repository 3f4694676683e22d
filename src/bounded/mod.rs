//! Functions whose result may be far larger than their arguments, such as `repeat`: the size is computed before they
//! run, and above a limit they fail with an error. The engine would allocate without a limit.

mod sizes;
#[cfg(test)]
mod tests;
mod texts;
mod windows;

use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef};
use deltalake::arrow::compute::concat;
use deltalake::arrow::datatypes::{DataType, FieldRef};
use deltalake::datafusion::common::config::{ConfigExtension, ConfigOptions};
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{DFSchema, DataFusionError, Result, extensions_options};
use deltalake::datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use deltalake::datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Documentation, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use deltalake::datafusion::optimizer::AnalyzerRule;

use crate::error::Error;
use crate::node::visible;
use sizes::Growth;
pub(crate) use texts::JOINED;

extensions_options! {
    /// Maximum bytes that a function may produce for one batch of rows.
    pub struct OutputLimit {
        /// A quarter of a command's memory limit; less than 32-bit offsets can address. The default, without a session,
        /// as in expectations, is small.
        pub bytes: u64, default = 64 << 20
    }
}

impl ConfigExtension for OutputLimit {
    const PREFIX: &'static str = "stedi_delta_output";
}

impl OutputLimit {
    /// The limit for a command with this memory limit.
    #[must_use]
    pub(crate) fn of_memory(memory_limit: u64) -> Self {
        Self { bytes: (memory_limit / 4).min(i32::MAX as u64) }
    }

    /// The limit in the options of a session.
    #[must_use]
    pub(crate) fn within(options: &ConfigOptions) -> u64 {
        options.extensions.get::<Self>().cloned().unwrap_or_default().bytes
    }
}

/// The error of a result that would exceed the limit.
#[must_use]
pub(crate) fn too_large(what: &str, bytes: u64, limit: u64) -> DataFusionError {
    let megabytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let message = format!("{what} would take {} MB at once, the limit is {} MB", megabytes(bytes), megabytes(limit));
    let help = "make less of each row, or raise `memory_limit` of stedi-delta.toml: four times as much as the limit";
    DataFusionError::External(Box::new(Error::failed(message).help(help)))
}

/// The rule that bounds all such functions of a plan. Names and types stay.
#[derive(Debug)]
pub(crate) struct BoundedFunctions;

impl AnalyzerRule for BoundedFunctions {
    fn name(&self) -> &'static str {
        "bounded_functions"
    }

    fn analyze(&self, plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
        let limit = OutputLimit::within(options);
        let in_node = |node: LogicalPlan| {
            let schema = visible(&node);
            node.map_expressions(|expr| rewritten(expr, &schema, limit))
        };
        plan.transform_up_with_subqueries(in_node).data()
    }
}

/// The same for an expression over rows of a schema.
///
/// # Errors
/// It is no expression over these columns.
pub(crate) fn bounded_within(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    rewritten(expr, schema, OutputLimit::default().bytes).data()
}

fn rewritten(expr: Expr, schema: &DFSchema, limit: u64) -> Result<Transformed<Expr>> {
    let long = |expr: Expr| match texts::is_long(&expr, schema)? {
        true => {
            let joined = texts::joined(expr, |operand| rewritten(operand, schema, limit).data())?;
            Ok(Transformed::new(joined, true, TreeNodeRecursion::Jump))
        }
        false => Ok(Transformed::no(expr)),
    };
    expr.transform_down_up(long, |e| bounded(e, schema, limit))
}

fn bounded(expr: Expr, schema: &DFSchema, limit: u64) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(mut call) => {
            let growth = Growth::of(call.func.name()).filter(|_| !call.func.inner().is::<Bounded>());
            let Some(growth) = growth else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
            let mut signature = call.func.signature().clone();
            if growth.is_by_number() && call.args.iter().all(|arg| !arg.any_column_refs()) {
                // The engine would fold it to a constant, and copy that for each row of a batch.
                signature.volatility = Volatility::Volatile;
            }
            call.func = ScalarUDF::new_from_impl(Bounded { inner: Arc::clone(&call.func), growth, signature }).into();
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right })
            if left.get_type(schema)? == DataType::Utf8 && right.get_type(schema)? == DataType::Utf8 =>
        {
            Ok(Transformed::yes(texts::call(vec![*left, *right])))
        }
        Expr::WindowFunction(mut call) => {
            let Some(fun) = windows::bounded(&call.fun, limit) else {
                return Ok(Transformed::no(Expr::WindowFunction(call)));
            };
            call.fun = fun;
            Ok(Transformed::yes(Expr::WindowFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// A bounded function of the engine.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    signature: Signature,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.preserves_lex_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    // The engine's simplified form of such a call would not be bounded, so `simplify` is not forwarded.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let limit = OutputLimit::within(&args.config_options);
        let bytes = self.growth.bytes(&args.args, args.number_rows)?;
        // A constant is copied for each row.
        let copies = if args.args.iter().any(is_array) { 1 } else { args.number_rows as u64 };
        let bytes = bytes.saturating_mul(copies);
        if bytes <= limit {
            return self.inner.invoke_with_args(args);
        }
        if args.number_rows > 1 && self.growth.is_guess() && args.args.iter().any(is_array) {
            return self.in_halves(args, limit);
        }
        Err(too_large(&format!("a result of `{}`", self.name()), bytes, limit))
    }
}

fn is_array(value: &ColumnarValue) -> bool {
    matches!(value, ColumnarValue::Array(_))
}

impl Bounded {
    /// Computes a batch whose result may be too large in parts.
    fn in_halves(&self, args: ScalarFunctionArgs, limit: u64) -> Result<ColumnarValue> {
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let mut bytes = 0;
        let mut parts = vec![(0, args.number_rows)];
        while let Some((from, rows)) = parts.pop() {
            let part = |value: &ColumnarValue| match value {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, rows)),
                scalar => scalar.clone(),
            };
            let values: Vec<ColumnarValue> = args.args.iter().map(part).collect();
            let guess = self.growth.bytes(&values, rows)?;
            if guess > limit && rows > 1 {
                parts.extend([(from + rows / 2, rows - rows / 2), (from, rows / 2)]);
                continue;
            }
            let part = ScalarFunctionArgs { args: values, number_rows: rows, ..args.clone() };
            let array = match guess > limit {
                true => return Err(too_large(&format!("a result of `{}`", self.name()), guess, limit)),
                false => self.inner.invoke_with_args(part)?.into_array(rows)?,
            };
            bytes += array.to_data().get_slice_memory_size()? as u64;
            if bytes > limit {
                return Err(too_large(&format!("a result of `{}`", self.name()), bytes, limit));
            }
            arrays.push(array);
        }
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&arrays)?))
    }
}
