//! Floating point numbers as the integers of their bits, and back. Grouping takes -0.0 for 0.0; a change is about the
//! rows as they are stored, where the two differ: the wrong one would not be found when it has to go.

use std::sync::Arc;

use deltalake::arrow::array::{ArrayData, make_array};
use deltalake::arrow::datatypes::{DataType, FieldRef};
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

/// `expr` of a type so that equal values are equal bits. Unchanged if it is so already.
pub fn to_bits(expr: Expr, data_type: &DataType) -> Expr {
    let bits = bits(data_type);
    if bits == *data_type { expr } else { call("bits", expr, bits) }
}

/// Takes [`to_bits`] back.
pub fn from_bits(expr: Expr, data_type: &DataType) -> Expr {
    if bits(data_type) == *data_type { expr } else { call("from_bits", expr, data_type.clone()) }
}

fn bits(data_type: &DataType) -> DataType {
    let inside = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(bits(field.data_type())));
    match data_type {
        DataType::Float16 => DataType::Int16,
        DataType::Float32 => DataType::Int32,
        DataType::Float64 => DataType::Int64,
        DataType::List(element) => DataType::List(inside(element)),
        DataType::LargeList(element) => DataType::LargeList(inside(element)),
        DataType::FixedSizeList(element, size) => DataType::FixedSizeList(inside(element), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inside).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inside(entries), *sorted),
        other => other.clone(),
    }
}

fn reinterpreted(data: ArrayData, to: &DataType) -> Result<ArrayData, ArrowError> {
    if data.data_type() == to {
        return Ok(data);
    }
    let inside: Vec<&FieldRef> = match to {
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) | DataType::Map(f, _) => vec![f],
        DataType::Struct(fields) => fields.iter().collect(),
        _ => Vec::new(),
    };
    let children = data.child_data().iter().zip(inside);
    let children = children.map(|(child, field)| reinterpreted(child.clone(), field.data_type()));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    data.into_builder().data_type(to.clone()).child_data(children).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake::arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, ListArray, StructArray};
    use deltalake::arrow::datatypes::{Field, Float64Type, Int64Type};

    #[test]
    fn every_bit_comes_back_also_from_within_and_from_a_slice() {
        let values = [Some(0.0), Some(-0.0), None, Some(f64::NAN), Some(-f64::NAN), Some(0.1)];
        let numbers = Float64Array::from(values.to_vec());
        let data = reinterpreted(numbers.to_data(), &DataType::Int64).expect("bits");
        assert_eq!(make_array(data).as_primitive::<Int64Type>().value(1), i64::MIN);

        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(values.to_vec()), None, Some(vec![])]);
        let narrow: ArrayRef = Arc::new(Float32Array::from(vec![-0.0, 1.0, f32::NAN]));
        let fields = [
            (Arc::new(Field::new("l", lists.data_type().clone(), true)), Arc::new(lists) as ArrayRef),
            (Arc::new(Field::new("f", DataType::Float32, true)), narrow),
        ];
        let structs = StructArray::from(fields.to_vec());
        for array in [structs.slice(0, 3), structs.slice(1, 2), structs.slice(0, 0)] {
            let of_type = array.data_type().clone();
            let there = reinterpreted(array.to_data(), &bits(&of_type)).expect("bits");
            assert_ne!(there.data_type(), &of_type);
            let back = reinterpreted(there, &of_type).expect("back");
            assert_eq!(format!("{:?}", make_array(back)), format!("{array:?}", array = &array as &dyn Array));
        }
    }

    #[test]
    fn what_has_no_floating_point_numbers_is_left_alone() {
        let texts = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
        assert_eq!(bits(&texts), texts);
    }
}
