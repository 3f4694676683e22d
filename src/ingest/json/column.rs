//! One column of the batch under construction. A value is appended when its field is read, and removed if the record
//! turns out to be unusable, so that nothing is stored twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use deltalake::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, TimestampMicrosecondArray,
};
use deltalake::arrow::buffer::NullBuffer;
use deltalake::arrow::datatypes::DataType;
use deltalake::arrow::error::ArrowError;

use super::nested::{Arrays, Maps, Structs, Unknown};
use super::number::{self, Misfit};
use super::time::{date, since_epoch, timestamp};
use crate::definition::{Column, ColumnType, Reading, TimeFormat};
use crate::ingest::format::texts::Texts;

enum Values {
    String(Texts),
    Json(Texts),
    Long(Vec<i64>),
    Integer(Vec<i32>),
    Short(Vec<i16>),
    Byte(Vec<i8>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Boolean(Vec<bool>),
    Binary(Texts),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    Decimal(Vec<i128>, u8, i8),
    Array(Box<Arrays>),
    Struct(Structs),
    Map(Box<Maps>),
}

/// One declared column and the values of the rows so far.
pub(super) struct ColumnBuffer {
    nullable: bool,
    buffer: Buffer,
    unknown: Unknown,
}

impl ColumnBuffer {
    pub(super) fn new(column: &Column, reading: &Reading) -> Self {
        let buffer = Buffer::new(&column.column_type, reading);
        Self { nullable: column.nullable, buffer, unknown: Unknown::default() }
    }

    /// Values so far.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Removes the values beyond `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.buffer.truncate(rows);
    }

    /// Appends NULL; whether the column may hold it.
    pub(super) fn push_null(&mut self) -> bool {
        if self.nullable {
            self.buffer.push_null();
        }
        self.nullable
    }

    /// Appends a value, given as valid JSON without blanks around it, of the field `source`. What is wrong is said without
    /// the value: it may be personal data.
    #[inline]
    pub(super) fn push(&mut self, source: &str, json: &str) -> Result<(), String> {
        if json == "null" {
            return match self.push_null() {
                true => Ok(()),
                false => Err(format!("field `{source}` is null, expected a value")),
            };
        }
        let pushed = self.buffer.push(json, &mut self.unknown);
        pushed.map_err(|refused| format!("field `{source}{}` {}", refused.path, refused.what))
    }

    /// Fields inside the values pushed since the last call that the type does not have; each once.
    pub(super) fn take_unknown(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.unknown.names)
    }

    /// The column's values as an array; the buffer is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.buffer.finish()
    }
}

/// Values of one type: of a column, or inside the values of another.
pub(super) struct Buffer {
    column_type: ColumnType,
    times: TimeFormat,
    values: Values,
    /// One per value: false = NULL. `any_null` saves the bitmap of columns without NULL.
    valid: Vec<bool>,
    any_null: bool,
}

/// Why a value was refused: its place inside the value, and the problem.
pub(super) struct Refused {
    pub(super) path: String,
    pub(super) what: String,
}

impl Refused {
    pub(super) fn new(what: String) -> Self {
        Self { path: String::new(), what }
    }

    /// A repeated name in an object.
    pub(super) fn twice() -> Self {
        Self::new("is there twice".to_owned())
    }
}

impl Buffer {
    pub(super) fn new(column_type: &ColumnType, reading: &Reading) -> Self {
        let values = match column_type {
            ColumnType::String => Values::String(Texts::new()),
            ColumnType::Json => Values::Json(Texts::new()),
            ColumnType::Long => Values::Long(Vec::new()),
            ColumnType::Integer => Values::Integer(Vec::new()),
            ColumnType::Short => Values::Short(Vec::new()),
            ColumnType::Byte => Values::Byte(Vec::new()),
            ColumnType::Float => Values::Float(Vec::new()),
            ColumnType::Double => Values::Double(Vec::new()),
            ColumnType::Boolean => Values::Boolean(Vec::new()),
            ColumnType::Binary => Values::Binary(Texts::new()),
            ColumnType::Date => Values::Date(Vec::new()),
            ColumnType::Timestamp => Values::Timestamp(Vec::new()),
            ColumnType::Decimal(precision, scale) => Values::Decimal(Vec::new(), *precision, *scale),
            ColumnType::Array(element) => Values::Array(Box::new(Arrays::new(element, reading))),
            ColumnType::Struct(fields) => Values::Struct(Structs::new(fields, reading)),
            ColumnType::Map(entry) => Values::Map(Box::new(Maps::new(&entry.0, &entry.1, reading))),
        };
        let times = reading.times;
        Self { column_type: column_type.clone(), times, values, valid: Vec::new(), any_null: false }
    }

    /// Values so far.
    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    /// Removes the values beyond `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.valid.truncate(rows);
        match &mut self.values {
            Values::String(v) | Values::Json(v) | Values::Binary(v) => v.truncate(rows),
            Values::Long(v) | Values::Timestamp(v) => v.truncate(rows),
            Values::Integer(v) | Values::Date(v) => v.truncate(rows),
            Values::Short(v) => v.truncate(rows),
            Values::Byte(v) => v.truncate(rows),
            Values::Float(v) => v.truncate(rows),
            Values::Double(v) => v.truncate(rows),
            Values::Boolean(v) => v.truncate(rows),
            Values::Decimal(v, ..) => v.truncate(rows),
            Values::Array(v) => v.truncate(rows),
            Values::Struct(v) => v.truncate(rows),
            Values::Map(v) => v.truncate(rows),
        }
    }

    /// Appends NULL.
    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Values::String(v) | Values::Json(v) | Values::Binary(v) => v.push(b""),
            Values::Long(v) | Values::Timestamp(v) => v.push(0),
            Values::Integer(v) | Values::Date(v) => v.push(0),
            Values::Short(v) => v.push(0),
            Values::Byte(v) => v.push(0),
            Values::Float(v) => v.push(0.0),
            Values::Double(v) => v.push(0.0),
            Values::Boolean(v) => v.push(false),
            Values::Decimal(v, ..) => v.push(0),
            Values::Array(v) => v.push_null(),
            Values::Struct(v) => v.push_null(),
            Values::Map(v) => v.push_null(),
        }
        self.valid.push(false);
        self.any_null = true;
    }

    /// Appends a value, given as valid JSON without surrounding blanks. If it is refused, parts of it may remain until
    /// the next [`Self::truncate`].
    #[inline]
    pub(super) fn push(&mut self, json: &str, unknown: &mut Unknown) -> Result<(), Refused> {
        if json == "null" {
            self.push_null();
            return Ok(());
        }
        match self.append(json, unknown) {
            Ok(()) => {
                self.valid.push(true);
                Ok(())
            }
            Err(refusal) => Err(self.explain(json, refusal)),
        }
    }

    #[inline]
    fn append(&mut self, json: &str, unknown: &mut Unknown) -> Result<(), Refusal> {
        match &mut self.values {
            Values::Double(v) => v.push(number::double(number(json)?)?),
            Values::Long(v) => v.push(number::integer(number(json)?)?),
            Values::String(v) => with_text(json, |text| {
                v.push(text.as_bytes());
                Ok(())
            })?,
            Values::Json(v) => v.push(json.as_bytes()),
            Values::Integer(v) => v.push(narrow(json)?),
            Values::Short(v) => v.push(narrow(json)?),
            Values::Byte(v) => v.push(narrow(json)?),
            Values::Float(v) => v.push(number::float(number(json)?)?),
            Values::Boolean(v) => match json {
                "true" => v.push(true),
                "false" => v.push(false),
                _ => return Err(Refusal::Kind),
            },
            Values::Decimal(v, precision, scale) => {
                let value = number::scaled(number(json)?, i64::from(*scale))?;
                if value.unsigned_abs() >= 10_u128.saturating_pow(u32::from(*precision)) {
                    return Err(Misfit::Range.into());
                }
                v.push(value);
            }
            Values::Binary(v) => with_text(json, |text| {
                v.push(&BASE64.decode(text).map_err(|_| Refusal::Text("not base64"))?);
                Ok(())
            })?,
            Values::Date(v) => with_text(json, |text| {
                v.push(date(text)?);
                Ok(())
            })?,
            Values::Timestamp(v) if self.times != TimeFormat::Rfc3339 => {
                v.push(since_epoch(number(json)?, self.times)?);
            }
            Values::Timestamp(v) => with_text(json, |text| {
                v.push(timestamp(text)?);
                Ok(())
            })?,
            Values::Array(v) => v.append(json, unknown)?,
            Values::Struct(v) => v.append(json, unknown)?,
            Values::Map(v) => v.append(json, unknown)?,
        }
        Ok(())
    }

    /// The problem, without the value.
    fn explain(&self, json: &str, refusal: Refusal) -> Refused {
        let type_name = self.column_type.delta_name();
        let what = match refusal {
            Refusal::Inside(refused) => return *refused,
            Refusal::Kind => format!("is {}, expected {}", kind(json), self.expected()),
            Refusal::Text(what) => format!("is {what}, expected {}", self.expected()),
            Refusal::Year => format!("is a time outside the years 0 to 9999, expected {}", self.expected()),
            Refusal::Number(Misfit::Range) => format!("is out of range for the type {type_name}"),
            Refusal::Number(Misfit::Fraction) => match self.column_type {
                ColumnType::Decimal(_, scale) => format!("has too many decimal places, expected at most {scale}"),
                _ => "is a number with a fraction, expected an integer".to_owned(),
            },
            Refusal::Number(Misfit::Inexact) => format!("is a number that the type {type_name} cannot hold exactly"),
        };
        Refused::new(what)
    }

    fn expected(&self) -> &'static str {
        match self.column_type {
            ColumnType::String => "a string",
            ColumnType::Json => "a value",
            ColumnType::Long | ColumnType::Integer | ColumnType::Short | ColumnType::Byte => "an integer",
            ColumnType::Float | ColumnType::Double | ColumnType::Decimal(..) => "a number",
            ColumnType::Boolean => "true or false",
            ColumnType::Binary => "a base64 string",
            ColumnType::Date => "a string YYYY-MM-DD",
            ColumnType::Timestamp => match self.times {
                TimeFormat::Rfc3339 => "an RFC 3339 string of at most milliseconds",
                TimeFormat::EpochSeconds => "a number of seconds since 1970",
                TimeFormat::EpochMillis => "a number of milliseconds since 1970",
                TimeFormat::EpochMicros => "a number of microseconds since 1970",
            },
            ColumnType::Array(_) => "an array",
            ColumnType::Struct(_) | ColumnType::Map(_) => "an object",
        }
    }

    /// The column's values as an array; the buffer is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let valid = std::mem::take(&mut self.valid);
        let nulls = std::mem::take(&mut self.any_null).then(|| NullBuffer::from(valid));
        Ok(match &mut self.values {
            Values::String(v) | Values::Json(v) => Arc::new(v.strings(nulls)?),
            Values::Binary(v) => Arc::new(v.binaries(nulls)?),
            Values::Long(v) => Arc::new(Int64Array::new(std::mem::take(v).into(), nulls)),
            Values::Integer(v) => Arc::new(Int32Array::new(std::mem::take(v).into(), nulls)),
            Values::Short(v) => Arc::new(Int16Array::new(std::mem::take(v).into(), nulls)),
            Values::Byte(v) => Arc::new(Int8Array::new(std::mem::take(v).into(), nulls)),
            Values::Float(v) => Arc::new(Float32Array::new(std::mem::take(v).into(), nulls)),
            Values::Double(v) => Arc::new(Float64Array::new(std::mem::take(v).into(), nulls)),
            Values::Boolean(v) => Arc::new(BooleanArray::new(std::mem::take(v).into(), nulls)),
            Values::Date(v) => Arc::new(Date32Array::new(std::mem::take(v).into(), nulls)),
            Values::Timestamp(v) => {
                Arc::new(TimestampMicrosecondArray::new(std::mem::take(v).into(), nulls).with_timezone("UTC"))
            }
            Values::Decimal(v, precision, scale) => Arc::new(
                Decimal128Array::new(std::mem::take(v).into(), nulls)
                    .with_data_type(DataType::Decimal128(*precision, *scale)),
            ),
            Values::Array(v) => v.finish(nulls)?,
            Values::Struct(v) => v.finish(nulls)?,
            Values::Map(v) => v.finish(nulls)?,
        })
    }
}

/// Why a value cannot be stored in its column.
pub(super) enum Refusal {
    /// Another kind of JSON value than the column accepts.
    Kind,
    /// A problem inside the value.
    Inside(Box<Refused>),
    /// A number that does not fit.
    Number(Misfit),
    /// A string whose text is not what the column takes, or a number that is no time of the column's.
    Text(&'static str),
    /// A time out of range.
    Year,
}

impl From<Misfit> for Refusal {
    fn from(misfit: Misfit) -> Self {
        Self::Number(misfit)
    }
}

/// A JSON value's kind, for people.
pub(super) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[inline]
fn number(json: &str) -> Result<&str, Refusal> {
    match json.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => Ok(json),
        _ => Err(Refusal::Kind),
    }
}

fn narrow<T: TryFrom<i64>>(json: &str) -> Result<T, Refusal> {
    T::try_from(number::integer(number(json)?)?).map_err(|_| Misfit::Range.into())
}

/// Calls `then` with the text of a JSON string: borrowed if it has no escapes.
#[inline]
pub(super) fn with_text(json: &str, then: impl FnOnce(&str) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(Refusal::Kind);
    };
    if inner.as_bytes().contains(&b'\\') {
        // The syntax was checked before: only a lone surrogate can fail.
        let text: String = serde_json::from_str(json).map_err(|_| Refusal::Text("a string with a lone surrogate"))?;
        then(&text)
    } else {
        then(inner)
    }
}
