//! Values of nested types that had fewer fields when they were written: read by the names of fields, with NULL in what
//! came later.
//!
//! Arrow's own cast takes the fields of structs by position where their names differ. DataFusion's adapter of Parquet
//! files goes by name, in structs and lists, but not within the values of maps: there it asks Arrow (datafusion-common
//! 55.2, `nested_struct::cast_column`), and a file whose entries lack a field could not be read. So maps are read as
//! they stand in the file, and adapted here.

use std::hash::Hash;
use std::sync::{Arc, LazyLock};

use deltalake::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use deltalake::arrow::compute::{CastOptions, cast_with_options};
use deltalake::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::config::ConfigOptions;
use deltalake::datafusion::functions::core::getfield::GetFieldFunc;
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast,
};
use deltalake::datafusion::physical_expr::expressions::{Column, Literal};
use deltalake::datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use deltalake::datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};

/// An array with the values of another one in the type `to`: fields of structs by name, NULL where there is none of a
/// name; never losing a value.
///
/// # Errors
/// When a value does not fit.
pub(crate) fn adapt(array: &ArrayRef, to: &DataType) -> std::result::Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let values = array.as_struct();
            let field = |field: &FieldRef| match values.column_by_name(field.name()) {
                Some(column) => adapt(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), values.len())),
            };
            let columns = fields.iter().map(field).collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, values.nulls().cloned())?))
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = adapt(list.values(), element.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let held: ArrayRef = Arc::new(map.entries().clone());
            let adapted = match (held.as_struct().columns(), entries.data_type()) {
                // Writers differ in what they call the two.
                ([keys, values], DataType::Struct(fields)) if fields.len() == 2 => {
                    let columns = vec![adapt(keys, fields[0].data_type())?, adapt(values, fields[1].data_type())?];
                    StructArray::try_new(fields.clone(), columns, map.entries().nulls().cloned())?
                }
                _ => return Err(ArrowError::CastError("a map has entries of a key and a value".into())),
            };
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, adapted, nulls, *sorted)?))
        }
        _ => cast_with_options(array, to, &CastOptions { safe: false, ..CastOptions::default() }),
    }
}

/// An expression in another type, as [`adapt`] where that is nested.
#[must_use]
pub(crate) fn adapted(expr: Expr, to: &DataType) -> Expr {
    if to.is_nested() { ScalarUDF::from(Adapt::to(to)).call(vec![expr]) } else { cast(expr, to.clone()) }
}

/// [`adapt`] as a function of the engine.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Adapt {
    to: DataType,
}

impl Adapt {
    fn to(to: &DataType) -> Self {
        Self { to: to.clone() }
    }

    /// The call over a physical expression, as values of `field`.
    fn call(inner: Arc<dyn PhysicalExpr>, field: &FieldRef, options: &Arc<ConfigOptions>) -> Arc<dyn PhysicalExpr> {
        let function = Arc::new(ScalarUDF::from(Self::to(field.data_type())));
        let (name, options) = (function.name().to_owned(), Arc::clone(options));
        Arc::new(ScalarFunctionExpr::new(&name, function, vec![inner], Arc::clone(field), options))
    }
}

static ONE_OF_ANY: LazyLock<Signature> = LazyLock::new(|| Signature::any(1, Volatility::Immutable));

impl ScalarUDFImpl for Adapt {
    fn name(&self) -> &'static str {
        "stedi_delta_adapt"
    }

    fn signature(&self) -> &Signature {
        &ONE_OF_ANY
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match args.args.first() {
            Some(ColumnarValue::Array(array)) => ColumnarValue::Array(adapt(array, &self.to)?),
            Some(ColumnarValue::Scalar(value)) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&adapt(&value.to_array()?, &self.to)?, 0)?)
            }
            None => ColumnarValue::Scalar(ScalarValue::try_from(&self.to)?),
        })
    }
}

/// Whether values of a type hold maps.
pub(super) fn holds_maps(of: &DataType) -> bool {
    match of {
        DataType::Map(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| holds_maps(field.data_type())),
        DataType::List(element) => holds_maps(element.data_type()),
        _ => false,
    }
}

/// Adapts what is read of Parquet files, maps included, and leaves all that holds none to another adapter.
#[derive(Debug)]
pub(super) struct MapAdapters {
    inner: Arc<dyn PhysicalExprAdapterFactory>,
}

impl MapAdapters {
    /// Before the adapter that a scan has already.
    pub(super) fn before(inner: Option<Arc<dyn PhysicalExprAdapterFactory>>) -> Arc<dyn PhysicalExprAdapterFactory> {
        Arc::new(Self { inner: inner.unwrap_or_else(|| Arc::new(DefaultPhysicalExprAdapterFactory)) })
    }
}

impl PhysicalExprAdapterFactory for MapAdapters {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let read = |field: &FieldRef| match physical.field_with_name(field.name()) {
            Ok(stored) => {
                Arc::new(field.as_ref().clone().with_data_type(as_read(field.data_type(), stored.data_type())))
            }
            Err(_) => Arc::clone(field),
        };
        let fields: Vec<FieldRef> = logical.fields().iter().map(read).collect();
        let read = Arc::new(Schema::new_with_metadata(fields, logical.metadata().clone()));
        let inner = self.inner.create(Arc::clone(&read), physical)?;
        Ok(if read == logical { inner } else { Arc::new(MapAdapter { logical, read, inner }) })
    }
}

/// The type that is asked of a file: that of the table, with the maps that the file has where their values lack fields.
fn as_read(wanted: &DataType, stored: &DataType) -> DataType {
    let inside = |wanted: &FieldRef, stored: &FieldRef| {
        Arc::new(wanted.as_ref().clone().with_data_type(as_read(wanted.data_type(), stored.data_type())))
    };
    match (wanted, stored) {
        (DataType::Struct(fields), DataType::Struct(known)) => {
            let field = |field: &FieldRef| match known.find(field.name()) {
                Some((_, stored)) => inside(field, stored),
                None => Arc::clone(field),
            };
            DataType::Struct(fields.iter().map(field).collect())
        }
        (DataType::List(element), DataType::List(stored)) => DataType::List(inside(element, stored)),
        (DataType::Map(..), DataType::Map(..)) if !same_fields(wanted, stored) => stored.clone(),
        (wanted, _) => wanted.clone(),
    }
}

/// Whether two types have the same fields at every level.
fn same_fields(a: &DataType, b: &DataType) -> bool {
    let same = |a: &FieldRef, b: &FieldRef| same_fields(a.data_type(), b.data_type());
    match (a, b) {
        (DataType::Map(a, _), DataType::Map(b, _)) => match (a.data_type(), b.data_type()) {
            // Writers choose the names of keys and values.
            (DataType::Struct(a), DataType::Struct(b)) => a.iter().zip(b).all(|(a, b)| same(a, b)),
            _ => true,
        },
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name() == b.name() && same(a, b))
        }
        (DataType::List(a), DataType::List(b)) => same(a, b),
        _ => true,
    }
}

/// Adapts expressions over one file.
#[derive(Debug)]
struct MapAdapter {
    logical: SchemaRef,
    /// As the inner adapter gives columns: maps as in the file.
    read: SchemaRef,
    inner: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for MapAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let options = Arc::new(ConfigOptions::default());
        let expr = expr.transform_up(|node| {
            if let Some(column) = node.downcast_ref::<Column>() {
                let fields = (self.logical.field_with_name(column.name()), self.read.field_with_name(column.name()));
                return Ok(match fields {
                    (Ok(wanted), Ok(read)) if wanted.data_type() != read.data_type() => {
                        let wanted = Arc::new(wanted.clone());
                        Transformed::yes(Adapt::call(node, &wanted, &options))
                    }
                    _ => Transformed::no(node),
                });
            }
            Ok(match self.narrowed(&node, &options)? {
                Some(narrowed) => Transformed::yes(narrowed),
                None => Transformed::no(node),
            })
        });
        self.inner.rewrite(expr.data()?)
    }
}

impl MapAdapter {
    /// A field of an adapted struct, where it is one: taken first, adapted then. The scan of a Parquet file knows
    /// conditions on fields by their form, and promises to apply them before it sees the file (datafusion#24109).
    fn narrowed(
        &self,
        node: &Arc<dyn PhysicalExpr>,
        options: &Arc<ConfigOptions>,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(call) = ScalarFunctionExpr::try_downcast_func::<GetFieldFunc>(node.as_ref()) else { return Ok(None) };
        let Some((source, names)) = call.args().split_first() else { return Ok(None) };
        let Some(source) = ScalarFunctionExpr::try_downcast_func::<Adapt>(source.as_ref()) else { return Ok(None) };
        let [column] = source.args() else { return Ok(None) };
        let name = |name: &Arc<dyn PhysicalExpr>| {
            let literal = name.downcast_ref::<Literal>()?.value().try_as_str().flatten()?;
            Some(literal.to_owned())
        };
        let Some(path) = names.iter().map(name).collect::<Option<Vec<String>>>() else { return Ok(None) };
        let read = column.data_type(&self.read)?;
        let Some((wanted, read)) = field(source.return_type(), &path).zip(field(&read, &path)) else { return Ok(None) };
        let mut args = vec![Arc::clone(column)];
        args.extend(names.iter().cloned());
        let (function, config) = (Arc::new(call.fun().clone()), Arc::new(call.config_options().clone()));
        let taken: Arc<dyn PhysicalExpr> = Arc::new(ScalarFunctionExpr::try_new(function, args, &self.read, config)?);
        Ok(Some(if wanted.data_type() == read.data_type() { taken } else { Adapt::call(taken, &wanted, options) }))
    }
}

/// The field at the end of a path through structs.
fn field(of: &DataType, path: &[String]) -> Option<FieldRef> {
    let (first, rest) = path.split_first()?;
    let DataType::Struct(fields) = of else { return None };
    let (_, found) = fields.find(first)?;
    if rest.is_empty() { Some(Arc::clone(found)) } else { field(found.data_type(), rest) }
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::datatypes::Field;

    use super::*;
    use crate::definition::ColumnType;

    /// Rows of one column `c` of a type, from JSON.
    fn rows(of: &str, lines: &[&str]) -> ArrayRef {
        let field = Field::new("c", ColumnType::parse(of).expect("a type").arrow(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let text: String = lines.iter().map(|line| format!("{{\"c\":{line}}}\n")).collect();
        let reader = deltalake::arrow::json::ReaderBuilder::new(schema).build(text.as_bytes()).expect("a reader");
        let batches: Vec<_> = reader.map(|batch| batch.expect("rows")).collect();
        Arc::clone(batches[0].column(0))
    }

    #[test]
    fn fields_that_came_later_are_null_at_every_depth_and_the_others_keep_their_values() {
        let cases = [
            (
                "struct<b:long>",
                "struct<a:string,b:long,c:struct<d:long>>",
                vec![(r#"{"b":1}"#, r#"{"a":null,"b":1,"c":null}"#), ("null", "null"), ("{}", "{}")],
            ),
            (
                "array<struct<x:long>>",
                "array<struct<x:long,y:string>>",
                vec![(r#"[{"x":1},null,{}]"#, r#"[{"x":1,"y":null},null,{}]"#), ("[]", "[]"), ("null", "null")],
            ),
            (
                "map<string,struct<x:long>>",
                "map<string,struct<y:array<long>,x:long>>",
                vec![
                    (r#"{"k":{"x":1},"l":null}"#, r#"{"k":{"y":null,"x":1},"l":null}"#),
                    ("{}", "{}"),
                    ("null", "null"),
                ],
            ),
            (
                "struct<m:map<string,array<struct<x:long>>>>",
                "struct<m:map<string,array<struct<x:long,y:long>>>,z:long>",
                vec![(r#"{"m":{"k":[{"x":1}]}}"#, r#"{"m":{"k":[{"x":1,"y":null}]},"z":null}"#)],
            ),
        ];
        for (before, after, values) in cases {
            let (old, new): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let (old, new) = (rows(before, &old), rows(after, &new));
            assert_eq!(&adapt(&old, new.data_type()).expect(after), &new, "{before} -> {after}");
            let (before, after) =
                (ColumnType::parse(before).expect("a type"), ColumnType::parse(after).expect("a type"));
            assert!(after.fields_beyond(&before, "c").is_some_and(|fields| !fields.is_empty()));
            assert_eq!(before.fields_beyond(&after, "c"), None);
        }
        let lossy = adapt(&rows("long", &["9000000000"]), &DataType::Int32);
        assert!(lossy.is_err(), "a value that does not fit is no NULL");
    }
}
