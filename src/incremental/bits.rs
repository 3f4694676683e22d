//! Floating-point numbers as the integers of their bits, and back. Grouping treats -0.0 and 0.0 as equal; a change must
//! not, since the stored rows differ: a delete with the other zero would not be found. Inside arrays, maps and structs
//! grouping distinguishes them by itself (`nested::minus_zero_comes_and_goes_as_itself`).

use deltalake::arrow::array::{ArrayData, make_array};
use deltalake::arrow::datatypes::DataType;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::common::Result;
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The same values under a type of the same layout.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Reinterpret {
    name: &'static str,
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Reinterpret {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let reinterpreted = arrays.iter().map(|array| reinterpreted(array.to_data(), &self.to)).next();
        match reinterpreted.transpose()? {
            Some(data) => Ok(ColumnarValue::Array(make_array(data))),
            None => Err(ArrowError::InvalidArgumentError("a value is missing".into()).into()),
        }
    }
}

fn call(name: &'static str, expr: Expr, to: DataType) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(Reinterpret { name, to, signature }).call(vec![expr])
}

/// `expr` as a type in which equal values have equal bits. Unchanged if its type already has that property.
pub(super) fn to_bits(expr: Expr, data_type: &DataType) -> Expr {
    let bits = bits(data_type);
    if bits == *data_type { expr } else { call("bits", expr, bits) }
}

/// The inverse of [`to_bits`].
pub(super) fn from_bits(expr: Expr, data_type: &DataType) -> Expr {
    if bits(data_type) == *data_type { expr } else { call("from_bits", expr, data_type.clone()) }
}

fn bits(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Float16 => DataType::Int16,
        DataType::Float32 => DataType::Int32,
        DataType::Float64 => DataType::Int64,
        other => other.clone(),
    }
}

fn reinterpreted(data: ArrayData, to: &DataType) -> Result<ArrayData, ArrowError> {
    data.into_builder().data_type(to.clone()).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake::arrow::array::{Array, AsArray, Float32Array, Float64Array};
    use deltalake::arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type};

    #[test]
    fn every_bit_comes_back_also_from_a_slice() {
        let values = [Some(0.0), Some(-0.0), None, Some(f64::NAN), Some(-f64::NAN), Some(0.1)];
        let wide = Float64Array::from(values.to_vec()).slice(1, 4);
        let there = reinterpreted(wide.to_data(), &DataType::Int64).expect("bits");
        assert_eq!(make_array(there.clone()).as_primitive::<Int64Type>().value(0), i64::MIN);
        let back = make_array(reinterpreted(there, &DataType::Float64).expect("back"));
        let bits = |array: &Float64Array| array.iter().map(|v| v.map(f64::to_bits)).collect::<Vec<_>>();
        assert_eq!(bits(back.as_primitive::<Float64Type>()), bits(&wide));

        let narrow = Float32Array::from(vec![-0.0, 1.0]);
        let there = reinterpreted(narrow.to_data(), &DataType::Int32).expect("bits");
        assert_eq!(make_array(there.clone()).as_primitive::<Int32Type>().value(0), i32::MIN);
        let back = make_array(reinterpreted(there, &DataType::Float32).expect("back"));
        assert!(back.as_primitive::<Float32Type>().value(0).is_sign_negative());
    }
}
