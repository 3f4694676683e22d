//! Columns of definitions as the schema of a log.

use std::collections::BTreeMap;

use deltalake::kernel::{ArrayType, DataType, MapType, PrimitiveType, StructField, StructType};

use super::annotations::COMMENT;
use super::table::LakeTable;
use crate::definition::{Column, ColumnType};
use crate::error::{Context, Result};

/// New columns of a table. Comments and other metadata of columns that stay are kept.
#[derive(Clone, Debug)]
pub enum NewColumns {
    /// Exactly these.
    Only(Vec<Column>),
    /// These, followed by the table's other columns, which another writer added.
    Among(Vec<Column>),
    /// Exactly these, one of which had another name.
    Renamed {
        /// All of them.
        columns: Vec<Column>,
        /// Its name before.
        from: String,
        /// Its name from now on.
        to: String,
    },
    /// Exactly these, one of which has other values.
    Computed {
        /// All of them.
        columns: Vec<Column>,
        /// Its name.
        column: String,
        /// By what its values were computed.
        by: String,
    },
    /// Those of another version, with what its log says of them.
    As(StructType),
}

/// The mark of a column whose values a statement of a migration computed: in the metadata of its field, by which.
const COMPUTED: &str = "stedi-delta.computed";

impl LakeTable {
    /// The columns with values that statements of migrations computed, and by which.
    #[must_use]
    pub(crate) fn computed_columns(&self) -> BTreeMap<String, String> {
        let Ok(snapshot) = self.inner().snapshot() else { return BTreeMap::new() };
        let schema = snapshot.schema();
        let marked = schema.fields().filter_map(|field| Some((field.name().clone(), field.metadata.get(COMPUTED)?)));
        marked.map(|(name, by)| (name, by.to_string())).collect()
    }
}

impl NewColumns {
    pub(super) fn schema(&self, stored: &StructType) -> Result<StructType> {
        let kept = |field: StructField, before: &str| match stored.field(before) {
            Some(known) => keeping(field, known),
            None => field,
        };
        match self {
            Self::As(schema) => Ok(schema.clone()),
            Self::Only(columns) => struct_of(fields(columns)?.into_iter().map(|field| {
                let name = field.name.clone();
                kept(field, &name)
            })),
            Self::Renamed { columns, from, to } => struct_of(fields(columns)?.into_iter().map(|field| {
                let before = if field.name == *to { from.clone() } else { field.name.clone() };
                kept(field, &before)
            })),
            Self::Computed { columns, column, by } => struct_of(fields(columns)?.into_iter().map(|field| {
                let name = field.name.clone();
                let field = kept(field, &name);
                if name == *column { field.add_metadata([(COMPUTED, by.as_str())]) } else { field }
            })),
            Self::Among(columns) => {
                // A nullable column stays nullable: existing rows may have no value.
                let may_be_null = |name: &str| stored.field(name).is_some_and(|field| field.nullable);
                let ours = fields(columns)?.into_iter().map(|field| {
                    let name = field.name.clone();
                    let nullable = field.nullable || may_be_null(&name);
                    kept(StructField { nullable, ..field }, &name)
                });
                let others = stored.fields().filter(|field| columns.iter().all(|c| c.name != *field.name()));
                struct_of(ours.chain(others.cloned()))
            }
        }
    }
}

/// A field with the metadata of the stored one: all of it, or where the type is another one, the comment.
fn keeping(field: StructField, known: &StructField) -> StructField {
    let data_type = inside(field.data_type, &known.data_type);
    let is_same = match (&data_type, &known.data_type) {
        (DataType::Primitive(now), DataType::Primitive(before)) => now == before,
        _ => true,
    };
    let kept = known.metadata.iter().filter(|(key, _)| is_same || *key == COMMENT);
    let metadata = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    StructField { data_type, metadata, ..field }
}

/// A type with the metadata of the fields that the stored one has inside.
fn inside(now: DataType, known: &DataType) -> DataType {
    match (now, known) {
        (DataType::Struct(now), DataType::Struct(known)) => {
            let field = |field: &StructField| match known.field(field.name()) {
                Some(known) => keeping(field.clone(), known),
                None => field.clone(),
            };
            match StructType::try_new(now.fields().map(field)) {
                Ok(kept) => kept.into(),
                Err(_) => DataType::Struct(now),
            }
        }
        (DataType::Array(now), DataType::Array(known)) => {
            ArrayType::new(inside(now.element_type.clone(), &known.element_type), now.contains_null).into()
        }
        (DataType::Map(now), DataType::Map(known)) => {
            let value = inside(now.value_type.clone(), &known.value_type);
            MapType::new(now.key_type.clone(), value, now.value_contains_null).into()
        }
        (now, _) => now,
    }
}

/// The `schemaString` of a table with these columns.
#[must_use]
pub(crate) fn schema_string(columns: &[Column]) -> String {
    schema(columns).ok().and_then(|schema| serde_json::to_string(&schema).ok()).unwrap_or_default()
}

pub(super) fn schema(columns: &[Column]) -> Result<StructType> {
    struct_of(fields(columns)?)
}

fn fields(columns: &[Column]) -> Result<Vec<StructField>> {
    columns.iter().map(|c| Ok(StructField::new(c.name.clone(), data_type(&c.column_type)?, c.nullable))).collect()
}

fn struct_of(fields: impl IntoIterator<Item = StructField>) -> Result<StructType> {
    StructType::try_new(fields).context(|| "the columns cannot form a schema".into())
}

fn data_type(column_type: &ColumnType) -> Result<DataType> {
    Ok(DataType::Primitive(match column_type {
        ColumnType::Array(element) => return Ok(ArrayType::new(data_type(element)?, true).into()),
        ColumnType::Map(entry) => return Ok(MapType::new(data_type(&entry.0)?, data_type(&entry.1)?, true).into()),
        ColumnType::Struct(fields) => {
            let fields = fields.iter().map(|(name, t)| Ok(StructField::nullable(name.clone(), data_type(t)?)));
            let fields = StructType::try_new(fields.collect::<Result<Vec<_>>>()?);
            return Ok(fields.context(|| "a struct has faulty fields".into())?.into());
        }
        ColumnType::String | ColumnType::Json => PrimitiveType::String,
        ColumnType::Long => PrimitiveType::Long,
        ColumnType::Integer => PrimitiveType::Integer,
        ColumnType::Short => PrimitiveType::Short,
        ColumnType::Byte => PrimitiveType::Byte,
        ColumnType::Float => PrimitiveType::Float,
        ColumnType::Double => PrimitiveType::Double,
        ColumnType::Boolean => PrimitiveType::Boolean,
        ColumnType::Binary => PrimitiveType::Binary,
        ColumnType::Date => PrimitiveType::Date,
        ColumnType::Timestamp => PrimitiveType::Timestamp,
        ColumnType::Decimal(precision, scale) => PrimitiveType::decimal(*precision, scale.unsigned_abs())
            .context(|| "a decimal type is out of range".into())?,
    }))
}
