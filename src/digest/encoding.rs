//! The canonical encoding of a row: by the names and values of its columns, and by nothing else.
//!
//! docs/digests.md has the encoding. What is left out on purpose: the order of columns, the width of integers and floats,
//! columns that are NULL (so that a column that a table gains changes no digest), and the way of storing an array.

use std::sync::Arc;

use deltalake::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Decimal128Array, Float64Array, Int64Array,
    LargeBinaryArray, LargeStringArray, ListArray, MapArray, RecordBatch, StringArray, StringViewArray, StructArray,
};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit};

use crate::error::{Context, Error, Kind, Result};

/// The first byte of a value.
mod tag {
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const INTEGER: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const DECIMAL: u8 = 4;
    pub(super) const STRING: u8 = 5;
    pub(super) const BINARY: u8 = 6;
    pub(super) const DATE: u8 = 7;
    pub(super) const TIMESTAMP: u8 = 8;
    pub(super) const LOCAL_TIMESTAMP: u8 = 9;
    pub(super) const ARRAY: u8 = 10;
    pub(super) const STRUCT: u8 = 11;
    pub(super) const MAP: u8 = 12;
    /// Of an element or a map's value that is NULL.
    pub(super) const NULL: u8 = 0;
}

/// Where the encoding of a row goes.
pub(super) trait Bytes {
    fn put(&mut self, bytes: &[u8]);
}

impl Bytes for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Bytes that name a column or a field.
type Name = [u8; 8];

/// The rows of a batch.
pub(super) struct Rows(Vec<(Name, Values)>);

impl Rows {
    /// Names are hashed with the key.
    pub(super) fn of(batch: &RecordBatch, key: &[u8; 32]) -> Result<Self> {
        let schema = batch.schema();
        Ok(Self(named(schema.fields(), batch.columns(), key)?))
    }

    /// Appends the encoding of a row.
    pub(super) fn encode(&self, row: usize, to: &mut impl Bytes) {
        encode_fields(&self.0, row, to);
    }
}

fn encode_fields(fields: &[(Name, Values)], row: usize, to: &mut impl Bytes) {
    for (name, values) in fields {
        if values.is_valid(row) {
            to.put(name);
            values.encode(row, to);
        }
    }
}

/// The columns in the order of their names.
fn named(fields: &[Arc<Field>], columns: &[ArrayRef], key: &[u8; 32]) -> Result<Vec<(Name, Values)>> {
    let mut sorted: Vec<_> = fields.iter().zip(columns).collect();
    sorted.sort_by_key(|(field, _)| field.name().as_str());
    let named = sorted.into_iter().map(|(field, column)| {
        let mut name = Name::default();
        name.copy_from_slice(&blake3::keyed_hash(key, field.name().as_bytes()).as_bytes()[..8]);
        Ok((name, Values::of(column, key)?))
    });
    named.collect()
}

/// The first column of a type that has no digest, and the type.
pub(crate) fn undigested(schema: &Schema) -> Option<(String, String)> {
    let found = schema.fields().iter().find(|field| !is_digested(field.data_type()))?;
    Some((found.name().clone(), found.data_type().to_string()))
}

fn is_digested(data_type: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Decimal32, Decimal64, Decimal128, Dictionary, FixedSizeBinary,
        FixedSizeList, Float16, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeList, LargeUtf8, List,
        Map, Null, Struct, Timestamp, UInt8, UInt16, UInt32, Utf8, Utf8View,
    };
    match data_type {
        Null | Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Float16 | Float32 | Float64
        | Date32 | Timestamp(..) | Decimal32(..) | Decimal64(..) | Decimal128(..) | Utf8 | LargeUtf8 | Utf8View
        | Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => true,
        List(field) | LargeList(field) | FixedSizeList(field, _) => is_digested(field.data_type()),
        Struct(fields) => fields.iter().all(|field| is_digested(field.data_type())),
        Map(field, _) => is_digested(field.data_type()),
        Dictionary(_, values) => is_digested(values),
        _ => false,
    }
}

/// The values of a column, in one of few layouts.
enum Values {
    Null,
    Boolean(BooleanArray),
    /// Integers, dates and times, with their tag.
    Integer(u8, Int64Array),
    Float(Float64Array),
    Decimal(i8, Decimal128Array),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Bytes(BinaryArray),
    LargeBytes(LargeBinaryArray),
    BytesView(BinaryViewArray),
    /// The lists, their elements, and the position of the first of these.
    Array(ListArray, Box<Values>, i32),
    Struct(StructArray, Vec<(Name, Values)>),
    /// The maps, their keys and values, and the position of the first entry.
    Map(MapArray, Box<(Values, Values)>, i32),
}

impl Values {
    fn of(column: &ArrayRef, key: &[u8; 32]) -> Result<Self> {
        let strange = || Error::new(Kind::Internal, format!("a column of type {} has no digest", column.data_type()));
        let doing = || "a column cannot be digested".to_owned();
        let as_is = |to: &DataType| cast(column, to).context(doing);
        let integer = |tag: u8, column: &ArrayRef| {
            let column = cast(column, &DataType::Int64).context(doing)?;
            Ok(Self::Integer(tag, column.as_primitive::<Int64Type>().clone()))
        };
        match column.data_type() {
            DataType::Null => Ok(Self::Null),
            DataType::Boolean => Ok(Self::Boolean(column.as_boolean().clone())),
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => integer(tag::INTEGER, column),
            DataType::Date32 => integer(tag::DATE, &as_is(&DataType::Int32)?),
            DataType::Timestamp(_, zone) => {
                let tag = if zone.is_some() { tag::TIMESTAMP } else { tag::LOCAL_TIMESTAMP };
                integer(tag, &as_is(&DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?)
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Ok(Self::Float(as_is(&DataType::Float64)?.as_primitive::<Float64Type>().clone()))
            }
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) => {
                Self::of(&as_is(&DataType::Decimal128(38, *scale))?, key)
            }
            DataType::Decimal128(_, scale) => {
                let values = column.as_any().downcast_ref::<Decimal128Array>().ok_or_else(strange)?;
                Ok(Self::Decimal(*scale, values.clone()))
            }
            DataType::Utf8 => Ok(Self::Text(column.as_string().clone())),
            DataType::LargeUtf8 => Ok(Self::LargeText(column.as_string().clone())),
            DataType::Utf8View => Ok(Self::TextView(column.as_string_view().clone())),
            DataType::Binary => Ok(Self::Bytes(column.as_binary().clone())),
            DataType::LargeBinary => Ok(Self::LargeBytes(column.as_binary().clone())),
            DataType::BinaryView => Ok(Self::BytesView(column.as_binary_view().clone())),
            DataType::FixedSizeBinary(_) => Self::of(&as_is(&DataType::Binary)?, key),
            DataType::Dictionary(_, values) => Self::of(&as_is(values)?, key),
            DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                Self::of(&as_is(&DataType::List(Arc::clone(field)))?, key)
            }
            DataType::List(_) => {
                let lists = column.as_list::<i32>().clone();
                // Only the elements of this part of the array.
                let (first, last) = ends(lists.value_offsets());
                let elements = lists.values().slice(position(first), position(last - first));
                let elements = Self::of(&elements, key)?;
                Ok(Self::Array(lists, Box::new(elements), first))
            }
            DataType::Struct(fields) => {
                let values = column.as_struct().clone();
                let fields = named(fields, values.columns(), key)?;
                Ok(Self::Struct(values, fields))
            }
            DataType::Map(..) => {
                let maps = column.as_map().clone();
                let (first, last) = ends(maps.value_offsets());
                let part = |values: &ArrayRef| values.slice(position(first), position(last - first));
                let entries = (Self::of(&part(maps.keys()), key)?, Self::of(&part(maps.values()), key)?);
                Ok(Self::Map(maps, Box::new(entries), first))
            }
            _ => Err(strange()),
        }
    }

    fn is_valid(&self, row: usize) -> bool {
        match self {
            Self::Null => false,
            Self::Boolean(values) => values.is_valid(row),
            Self::Integer(_, values) => values.is_valid(row),
            Self::Float(values) => values.is_valid(row),
            Self::Decimal(_, values) => values.is_valid(row),
            Self::Text(values) => values.is_valid(row),
            Self::LargeText(values) => values.is_valid(row),
            Self::TextView(values) => values.is_valid(row),
            Self::Bytes(values) => values.is_valid(row),
            Self::LargeBytes(values) => values.is_valid(row),
            Self::BytesView(values) => values.is_valid(row),
            Self::Array(values, ..) => values.is_valid(row),
            Self::Struct(values, _) => values.is_valid(row),
            Self::Map(values, ..) => values.is_valid(row),
        }
    }

    /// A value that is not NULL.
    fn encode(&self, row: usize, to: &mut impl Bytes) {
        match self {
            Self::Null => to.put(&[tag::NULL]),
            Self::Boolean(values) => to.put(&[tag::BOOLEAN, u8::from(values.value(row))]),
            Self::Integer(tag, values) => {
                to.put(&[*tag]);
                to.put(&values.value(row).to_le_bytes());
            }
            Self::Float(values) => {
                to.put(&[tag::FLOAT]);
                to.put(&canonical(values.value(row)).to_le_bytes());
            }
            Self::Decimal(scale, values) => {
                to.put(&[tag::DECIMAL]);
                to.put(&scale.to_le_bytes());
                to.put(&values.value(row).to_le_bytes());
            }
            Self::Text(values) => text(tag::STRING, values.value(row).as_bytes(), to),
            Self::LargeText(values) => text(tag::STRING, values.value(row).as_bytes(), to),
            Self::TextView(values) => text(tag::STRING, values.value(row).as_bytes(), to),
            Self::Bytes(values) => text(tag::BINARY, values.value(row), to),
            Self::LargeBytes(values) => text(tag::BINARY, values.value(row), to),
            Self::BytesView(values) => text(tag::BINARY, values.value(row), to),
            Self::Array(lists, elements, first) => {
                let (from, end) = part(lists.value_offsets(), row, *first);
                to.put(&[tag::ARRAY]);
                length(end - from, to);
                for element in from..end {
                    elements.encode_or_null(element, to);
                }
            }
            Self::Struct(_, fields) => {
                to.put(&[tag::STRUCT]);
                length(fields.iter().filter(|(_, values)| values.is_valid(row)).count(), to);
                encode_fields(fields, row, to);
            }
            Self::Map(maps, entries, first) => {
                let (from, end) = part(maps.value_offsets(), row, *first);
                let (keys, values) = entries.as_ref();
                let entry = |at: usize| {
                    let mut bytes = Vec::new();
                    keys.encode_or_null(at, &mut bytes);
                    values.encode_or_null(at, &mut bytes);
                    bytes
                };
                let mut encoded: Vec<Vec<u8>> = (from..end).map(entry).collect();
                // A map has no order.
                encoded.sort();
                to.put(&[tag::MAP]);
                length(encoded.len(), to);
                encoded.iter().for_each(|entry| to.put(entry));
            }
        }
    }

    fn encode_or_null(&self, row: usize, to: &mut impl Bytes) {
        if self.is_valid(row) {
            self.encode(row, to);
        } else {
            to.put(&[tag::NULL]);
        }
    }
}

fn text(tag: u8, bytes: &[u8], to: &mut impl Bytes) {
    to.put(&[tag]);
    length(bytes.len(), to);
    to.put(bytes);
}

fn length(length: usize, to: &mut impl Bytes) {
    to.put(&(length as u64).to_le_bytes());
}

/// One zero and one NaN, as in SQL's equality: of equal rows a merge may keep either.
fn canonical(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

fn position(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

fn ends(offsets: &[i32]) -> (i32, i32) {
    (offsets.first().copied().unwrap_or_default(), offsets.last().copied().unwrap_or_default())
}

/// The elements of a row, counted from `first`.
fn part(offsets: &[i32], row: usize, first: i32) -> (usize, usize) {
    let at = |row: usize| position(offsets.get(row).copied().unwrap_or_default() - first);
    (at(row), at(row + 1))
}
