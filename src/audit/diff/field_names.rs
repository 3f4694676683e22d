//! Values of an older version under the names that their fields have in a newer one.

use std::sync::{Arc, LazyLock};

use deltalake::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_empty_array};
use deltalake::arrow::datatypes::{DataType, Field, FieldRef};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// An expression whose fields, by their places at every depth, have the names that those of a type have.
pub(super) fn with_names(expr: Expr, names: &DataType) -> Expr {
    ScalarUDF::from(FieldNames { names: names.clone() }).call(vec![expr])
}

/// The fields of a type that have another name in `names`: both paths of each, as `s.a`, `items[].sku` or `prices{}.net`.
pub(super) fn renames((before, after): (&str, &str), of: &DataType, names: &DataType) -> Vec<(String, String)> {
    match (of, names) {
        (DataType::Struct(fields), DataType::Struct(names)) => {
            let mut found = Vec::new();
            for (field, name) in fields.iter().zip(names) {
                let paths = (format!("{before}.{}", field.name()), format!("{after}.{}", name.name()));
                let below = renames((&paths.0, &paths.1), field.data_type(), name.data_type());
                if field.name() != name.name() {
                    found.push(paths);
                }
                found.extend(below);
            }
            found
        }
        (DataType::List(element), DataType::List(names)) => {
            renames((&format!("{before}[]"), &format!("{after}[]")), element.data_type(), names.data_type())
        }
        (DataType::Map(entries, _), DataType::Map(names, _)) => match (entries.data_type(), names.data_type()) {
            (DataType::Struct(pair), DataType::Struct(names)) if pair.len() == 2 && names.len() == 2 => {
                let paths = (format!("{before}{{}}"), format!("{after}{{}}"));
                renames((&paths.0, &paths.1), pair[1].data_type(), names[1].data_type())
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Values with the same fields under other names.
fn named(values: &ArrayRef, names: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    match (values.data_type(), names) {
        (DataType::Struct(fields), DataType::Struct(names)) if fields.len() == names.len() => {
            let values = values.as_struct();
            let (mut fields, mut columns) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
            for ((field, column), name) in values.fields().iter().zip(values.columns()).zip(names) {
                let column = named(column, name.data_type())?;
                fields.push(under(field, name.name(), &column));
                columns.push(column);
            }
            Ok(Arc::new(StructArray::try_new(fields.into(), columns, values.nulls().cloned())?))
        }
        (DataType::List(element), DataType::List(names)) => {
            let list = values.as_list::<i32>();
            let held = named(list.values(), names.data_type())?;
            let element = under(element, element.name(), &held);
            Ok(Arc::new(ListArray::try_new(element, list.offsets().clone(), held, list.nulls().cloned())?))
        }
        (DataType::Map(entries, sorted), DataType::Map(names, _)) => {
            let map = values.as_map();
            let held: ArrayRef = Arc::new(map.entries().clone());
            // Writers differ in what they call the two.
            let of_value = match names.data_type() {
                DataType::Struct(pair) if pair.len() == 2 => pair[1].data_type(),
                _ => return Ok(Arc::clone(values)),
            };
            let ([keys, values], [key, value]) = (held.as_struct().columns(), &held.as_struct().fields()[..]) else {
                return Err(ArrowError::CastError("a map has entries of a key and a value".into()));
            };
            let values = named(values, of_value)?;
            let pair = vec![Arc::clone(key), under(value, value.name(), &values)];
            let held = StructArray::try_new(pair.into(), vec![Arc::clone(keys), values], held.nulls().cloned())?;
            let entries = Arc::new(entries.as_ref().clone().with_data_type(held.data_type().clone()));
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(entries, offsets, held, nulls, *sorted)?))
        }
        _ => Ok(Arc::clone(values)),
    }
}

fn under(field: &FieldRef, name: &str, values: &ArrayRef) -> FieldRef {
    Arc::new(Field::new(name, values.data_type().clone(), field.is_nullable()))
}

/// [`named`] as a function of the engine.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FieldNames {
    /// A type with these names.
    names: DataType,
}

static ONE_OF_ANY: LazyLock<Signature> = LazyLock::new(|| Signature::any(1, Volatility::Immutable));

impl ScalarUDFImpl for FieldNames {
    fn name(&self) -> &'static str {
        "stedi_delta_field_names"
    }

    fn signature(&self) -> &Signature {
        &ONE_OF_ANY
    }

    fn return_type(&self, of: &[DataType]) -> Result<DataType> {
        Ok(match of.first() {
            Some(of) => named(&new_empty_array(of), &self.names)?.data_type().clone(),
            None => self.names.clone(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match args.args.first() {
            Some(ColumnarValue::Array(array)) => ColumnarValue::Array(named(array, &self.names)?),
            Some(ColumnarValue::Scalar(value)) => {
                let named = named(&value.to_array()?, &self.names)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&named, 0)?)
            }
            None => ColumnarValue::Scalar(ScalarValue::try_from(&self.names)?),
        })
    }
}
