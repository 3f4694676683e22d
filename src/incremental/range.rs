//! Ranges of keys that a step holds, one for each key of its rows: `least` and `greatest`, both included.
//!
//! A range can be widened where it is used. A widened end that leaves its type is the type's own end.

use deltalake::arrow::array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::logical_expr::expr::ScalarFunction;
use deltalake::datafusion::logical_expr::utils::split_conjunction;
use deltalake::datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

const SHIFTED: &str = "shifted";

/// A range of a step, by the positions of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The column of the least value.
    pub least: usize,
    /// The column of the greatest value.
    pub greatest: usize,
    /// By how much the range is wider than the columns say, towards lesser values.
    pub below: i64,
    /// Towards greater values.
    pub above: i64,
}

impl Range {
    /// A wider range.
    pub(super) fn widened(self, below: i64, above: i64) -> Self {
        Self { below: self.below.saturating_add(below), above: self.above.saturating_add(above), ..self }
    }

    /// Whether a value is in the range, or NULL. `column` is a column of the step.
    pub(super) fn holds(self, value: Expr, column: &dyn Fn(usize) -> Expr) -> Expr {
        let least = shifted(column(self.least), self.below.saturating_neg());
        let greatest = shifted(column(self.greatest), self.above);
        let within = value.clone().gt_eq(least).and(value.clone().lt_eq(greatest));
        within.or(value.is_null())
    }
}

/// Types whose values can be shifted exactly, up to the ends of the type.
pub(super) fn has_ranges(data_type: &DataType) -> bool {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
        DataType::Timestamp(_, zone) => zone.as_deref().is_none_or(|zone| matches!(zone, "UTC" | "+00:00" | "Z")),
        _ => false,
    }
}

/// `value` plus a constant.
pub(super) fn shifted(value: Expr, by: i64) -> Expr {
    if by == 0 {
        return value;
    }
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::from(Shift { signature }).call(vec![value, lit(by)])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    signature: Signature,
}

impl ScalarUDFImpl for Shift {
    fn name(&self) -> &str {
        SHIFTED
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, of: &[DataType]) -> Result<DataType> {
        Ok(of.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [value, ColumnarValue::Scalar(ScalarValue::Int64(Some(by)))] => {
                Ok(ColumnarValue::Array(shift(&value.to_array(args.number_rows)?, *by)?))
            }
            _ => Err(ArrowError::InvalidArgumentError("a constant is missing".into()).into()),
        }
    }
}

/// `value + (to - from)`, at most the ends of the type. All have one type.
pub(super) fn beyond(value: Expr, from: Expr, to: Expr) -> Expr {
    let signature = Signature::any(3, Volatility::Immutable);
    ScalarUDF::from(Beyond { signature }).call(vec![value, from, to])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Beyond {
    signature: Signature,
}

impl ScalarUDFImpl for Beyond {
    fn name(&self) -> &str {
        "beyond"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, of: &[DataType]) -> Result<DataType> {
        Ok(of.first().cloned().unwrap_or(DataType::Null))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, from, to] = args.args.as_slice() else {
            return Err(ArrowError::InvalidArgumentError("three values are needed".into()).into());
        };
        let number =
            |end: &ColumnarValue| -> Result<ArrayRef> { Ok(cast(&end.to_array(args.number_rows)?, &DataType::Int64)?) };
        let (from, to) = (number(from)?, number(to)?);
        let (from, to) = (from.as_primitive::<Int64Type>(), to.as_primitive::<Int64Type>());
        let by = |row: usize| i128::from(to.value(row)) - i128::from(from.value(row));
        Ok(ColumnarValue::Array(moved(&value.to_array(args.number_rows)?, &by)?))
    }
}

fn shift(values: &ArrayRef, by: i64) -> Result<ArrayRef> {
    // The greatest distance stands for every greater one.
    let is_endless = by == i64::MAX || by <= -i64::MAX;
    let by = if is_endless { i128::from(by.signum()) << 64 } else { i128::from(by) };
    moved(values, &|_| by)
}

/// Each value plus the distance of its row, at most the ends of the type.
fn moved(values: &ArrayRef, by: &dyn Fn(usize) -> i128) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        DataType::Int8 => each::<Int8Type>(values, by),
        DataType::Int16 => each::<Int16Type>(values, by),
        DataType::Int32 => each::<Int32Type>(values, by),
        DataType::Int64 => each::<Int64Type>(values, by),
        DataType::Date32 => each::<Date32Type>(values, by),
        DataType::Timestamp(TimeUnit::Second, _) => each::<TimestampSecondType>(values, by),
        DataType::Timestamp(TimeUnit::Millisecond, _) => each::<TimestampMillisecondType>(values, by),
        DataType::Timestamp(TimeUnit::Microsecond, _) => each::<TimestampMicrosecondType>(values, by),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => each::<TimestampNanosecondType>(values, by),
        other => return Err(ArrowError::NotYetImplemented(format!("{SHIFTED}({other})")).into()),
    })
}

fn each<T: ArrowPrimitiveType>(values: &ArrayRef, by: &dyn Fn(usize) -> i128) -> ArrayRef
where
    T::Native: Into<i64> + TryFrom<i64>,
{
    let one = |(row, value): (usize, Option<T::Native>)| {
        let by = by(row);
        let end = if by < 0 { T::Native::MIN_TOTAL_ORDER } else { T::Native::MAX_TOTAL_ORDER };
        let moved = i64::try_from(i128::from(value?.into()) + by).ok();
        Some(moved.and_then(|moved| T::Native::try_from(moved).ok()).unwrap_or(end))
    };
    let moved: PrimitiveArray<T> = values.as_primitive::<T>().iter().enumerate().map(one).collect();
    std::sync::Arc::new(moved.with_data_type(values.data_type().clone()))
}

/// One value plus a constant.
fn shift_one(value: &ScalarValue, by: i64) -> Result<ScalarValue> {
    ScalarValue::try_from_array(shift(&value.to_array()?, by)?.as_ref(), 0)
}

/// The condition of a restriction that [`Range::holds`] made: a value, and the columns of the step between which it is.
#[derive(Debug)]
pub(crate) struct Within<'a> {
    /// The value.
    pub expr: &'a Expr,
    least: End<'a>,
    greatest: End<'a>,
}

#[derive(Debug)]
struct End<'a> {
    column: &'a str,
    by: i64,
}

/// The conditions on ranges in the filter of a join.
pub(crate) fn ranges(filter: Option<&Expr>) -> Vec<Within<'_>> {
    filter.map(split_conjunction).unwrap_or_default().into_iter().filter_map(within).collect()
}

fn within(condition: &Expr) -> Option<Within<'_>> {
    let (within, _) = operands(condition, Operator::Or)?;
    let (from, to) = operands(within, Operator::And)?;
    let (expr, least) = operands(from, Operator::GtEq)?;
    let (_, greatest) = operands(to, Operator::LtEq)?;
    Some(Within { expr, least: end(least)?, greatest: end(greatest)? })
}

fn operands(expr: &Expr, of: Operator) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if *op == of => Some((left, right)),
        _ => None,
    }
}

fn end(expr: &Expr) -> Option<End<'_>> {
    match expr {
        Expr::Column(column) => Some(End { column: &column.name, by: 0 }),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == SHIFTED => match args.as_slice() {
            [Expr::Column(column), Expr::Literal(ScalarValue::Int64(Some(by)), _)] => {
                Some(End { column: &column.name, by: *by })
            }
            _ => None,
        },
        _ => None,
    }
}

impl Within<'_> {
    /// The columns of the step.
    pub(crate) fn columns(&self) -> [&str; 2] {
        [self.least.column, self.greatest.column]
    }

    /// A condition that holds for the values of all ranges, and for NULL, if it excludes any: `least` is the least value
    /// of the first column, `greatest` the greatest one of the second.
    ///
    /// # Errors
    /// A value has another type.
    pub(crate) fn hull(&self, least: &ScalarValue, greatest: &ScalarValue) -> Result<Option<Expr>> {
        let least = shift_one(least, self.least.by)?;
        let greatest = shift_one(greatest, self.greatest.by)?;
        let of = least.data_type();
        let from = (ScalarValue::min(&of).as_ref() != Some(&least)).then(|| self.expr.clone().gt_eq(lit(least)));
        let to = (ScalarValue::max(&of).as_ref() != Some(&greatest)).then(|| self.expr.clone().lt_eq(lit(greatest)));
        let within = match (from, to) {
            (Some(from), Some(to)) => Some(from.and(to)),
            (from, to) => from.or(to),
        };
        Ok(within.map(|within| within.or(self.expr.clone().is_null())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use deltalake::arrow::array::{Int8Array, Int64Array, TimestampMicrosecondArray};
    use deltalake::datafusion::logical_expr::col;

    #[test]
    fn a_shifted_value_stays_in_its_type() {
        let bytes: ArrayRef = Arc::new(Int8Array::from(vec![Some(-128), None, Some(100)]));
        let expected = |values: Vec<Option<i8>>| Arc::new(Int8Array::from(values)) as ArrayRef;
        assert_eq!(&shift(&bytes, 27).expect("bytes"), &expected(vec![Some(-101), None, Some(127)]));
        assert_eq!(&shift(&bytes, 28).expect("bytes"), &expected(vec![Some(-100), None, Some(127)]));
        assert_eq!(&shift(&bytes, i64::MIN).expect("bytes"), &expected(vec![Some(-128), None, Some(-128)]));
        let moments: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX - 1]).with_timezone("UTC"));
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![-5]));
        let end = |end: i64| Arc::new(Int64Array::from(vec![end])) as ArrayRef;
        assert_eq!(&shift(&keys, i64::MAX).expect("keys"), &end(i64::MAX), "it stands for every greater distance");
        assert_eq!(&shift(&keys, -i64::MAX).expect("keys"), &end(i64::MIN));
        let last: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX]).with_timezone("UTC"));
        assert_eq!(&shift(&moments, 5).expect("moments"), &last);
    }

    #[test]
    fn a_condition_is_read_back_and_an_open_end_is_left_out() {
        let range = Range { least: 1, greatest: 2, below: 0, above: 3 };
        let condition = range.widened(2, i64::MAX).holds(col("d"), &|i| col(format!("c{i}")));
        let found = ranges(Some(&condition));
        assert_eq!(found.len(), 1, "{condition}");
        assert_eq!((found[0].expr, found[0].columns()), (&col("d"), ["c1", "c2"]));
        let hull = |least: i64, greatest: i64| found[0].hull(&least.into(), &greatest.into()).expect("a hull");
        assert_eq!(hull(10, 20), Some(col("d").gt_eq(lit(8_i64)).or(col("d").is_null())));
        assert_eq!(hull(i64::MIN + 1, 20), None);
        assert!(ranges(Some(&col("a").eq(col("b")))).is_empty());
    }
}
