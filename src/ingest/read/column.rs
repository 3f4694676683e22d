//! One column of the batch under construction. A value is appended as soon as its field was read and taken back when
//! the record turns out to be unusable, so that nothing is kept twice.

use std::sync::Arc;

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};
use deltalake::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int16Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use deltalake::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use deltalake::arrow::datatypes::DataType;
use deltalake::arrow::error::ArrowError;

use super::base64;
use super::number::{self, Misfit};
use crate::definition::{Column, ColumnType};

/// Values of variable length, one after the other.
pub(super) struct Texts {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }

    /// Appends a value. The reader closes a batch long before its offsets overflow.
    pub(super) fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.offsets.push(self.data.len() as i32);
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let Self { offsets, data } = std::mem::replace(self, Self::new());
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(data))
    }

    pub(super) fn strings(&mut self, nulls: Option<NullBuffer>) -> Result<StringArray, ArrowError> {
        let (offsets, data) = self.take();
        StringArray::try_new(offsets, data, nulls)
    }

    pub(super) fn binaries(&mut self, nulls: Option<NullBuffer>) -> Result<BinaryArray, ArrowError> {
        let (offsets, data) = self.take();
        BinaryArray::try_new(offsets, data, nulls)
    }
}

enum Values {
    String(Texts),
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
}

/// One declared column and the values of the rows so far.
pub(super) struct ColumnBuffer {
    name: String,
    nullable: bool,
    column_type: ColumnType,
    values: Values,
    /// One per value: false = NULL. `any_null` saves the bitmap of columns without NULL.
    valid: Vec<bool>,
    any_null: bool,
}

impl ColumnBuffer {
    pub(super) fn new(column: &Column) -> Self {
        let values = match column.column_type {
            ColumnType::String => Values::String(Texts::new()),
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
            ColumnType::Decimal(precision, scale) => Values::Decimal(Vec::new(), precision, scale),
        };
        let (name, nullable, column_type) = (column.name.clone(), column.nullable, column.column_type);
        Self { name, nullable, column_type, values, valid: Vec::new(), any_null: false }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Values so far.
    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    /// Takes back what is beyond `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.valid.truncate(rows);
        match &mut self.values {
            Values::String(v) | Values::Binary(v) => v.truncate(rows),
            Values::Long(v) | Values::Timestamp(v) => v.truncate(rows),
            Values::Integer(v) | Values::Date(v) => v.truncate(rows),
            Values::Short(v) => v.truncate(rows),
            Values::Byte(v) => v.truncate(rows),
            Values::Float(v) => v.truncate(rows),
            Values::Double(v) => v.truncate(rows),
            Values::Boolean(v) => v.truncate(rows),
            Values::Decimal(v, ..) => v.truncate(rows),
        }
    }

    /// Appends NULL; `how` says how the record has it: `null` or `missing`.
    pub(super) fn push_null(&mut self, how: &str) -> Result<(), String> {
        if !self.nullable {
            return Err(format!("field `{}` is {how}, expected a value", self.name));
        }
        match &mut self.values {
            Values::String(v) | Values::Binary(v) => v.push(b""),
            Values::Long(v) | Values::Timestamp(v) => v.push(0),
            Values::Integer(v) | Values::Date(v) => v.push(0),
            Values::Short(v) => v.push(0),
            Values::Byte(v) => v.push(0),
            Values::Float(v) => v.push(0.0),
            Values::Double(v) => v.push(0.0),
            Values::Boolean(v) => v.push(false),
            Values::Decimal(v, ..) => v.push(0),
        }
        self.valid.push(false);
        self.any_null = true;
        Ok(())
    }

    /// Appends a value, given as valid JSON without blanks around it.
    #[inline]
    pub(super) fn push(&mut self, json: &str) -> Result<(), String> {
        if json == "null" {
            return self.push_null("null");
        }
        match self.append(json) {
            Ok(()) => {
                self.valid.push(true);
                Ok(())
            }
            Err(refusal) => Err(self.explain(json, refusal)),
        }
    }

    #[inline]
    fn append(&mut self, json: &str) -> Result<(), Refusal> {
        match &mut self.values {
            Values::Double(v) => v.push(number::double(number(json)?)?),
            Values::Long(v) => v.push(number::integer(number(json)?)?),
            Values::String(v) => with_text(json, |text| {
                v.push(text.as_bytes());
                Ok(())
            })?,
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
                v.push(&base64::decode(text.as_bytes()).ok_or(Refusal::Text("not base64"))?);
                Ok(())
            })?,
            Values::Date(v) => with_text(json, |text| {
                v.push(date(text)?);
                Ok(())
            })?,
            Values::Timestamp(v) => with_text(json, |text| {
                v.push(timestamp(text)?);
                Ok(())
            })?,
        }
        Ok(())
    }

    /// What is wrong, without the value: it may be personal data.
    fn explain(&self, json: &str, refusal: Refusal) -> String {
        let name = &self.name;
        let type_name = self.column_type.delta_name();
        match refusal {
            Refusal::Kind => format!("field `{name}` is {}, expected {}", kind(json), self.expected()),
            Refusal::Text(what) => format!("field `{name}` is {what}, expected {}", self.expected()),
            Refusal::Number(Misfit::Range) => format!("field `{name}` is out of range for the type {type_name}"),
            Refusal::Number(Misfit::Fraction) => match self.column_type {
                ColumnType::Decimal(_, scale) => {
                    format!("field `{name}` has too many decimal places, expected at most {scale}")
                }
                _ => format!("field `{name}` is a number with a fraction, expected an integer"),
            },
            Refusal::Number(Misfit::Inexact) => {
                format!("field `{name}` is a number that the type {type_name} cannot hold exactly")
            }
        }
    }

    fn expected(&self) -> &'static str {
        match self.column_type {
            ColumnType::String => "a string",
            ColumnType::Long | ColumnType::Integer | ColumnType::Short | ColumnType::Byte => "an integer",
            ColumnType::Float | ColumnType::Double | ColumnType::Decimal(..) => "a number",
            ColumnType::Boolean => "true or false",
            ColumnType::Binary => "a base64 string",
            ColumnType::Date => "a string YYYY-MM-DD",
            ColumnType::Timestamp => "an RFC 3339 string of at most milliseconds",
        }
    }

    /// The column's values as an array; the buffer is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let valid = std::mem::take(&mut self.valid);
        let nulls = std::mem::take(&mut self.any_null).then(|| NullBuffer::from(valid));
        Ok(match &mut self.values {
            Values::String(v) => Arc::new(v.strings(nulls)?),
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
        })
    }
}

/// Why a value cannot be stored in its column.
enum Refusal {
    /// Another kind of JSON value than the column takes.
    Kind,
    /// A number that does not fit.
    Number(Misfit),
    /// A string whose text is not what the column takes.
    Text(&'static str),
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

/// Calls `then` with the text of a JSON string: borrowed where it has no escapes.
#[inline]
fn with_text(json: &str, then: impl FnOnce(&str) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(Refusal::Kind);
    };
    if inner.as_bytes().contains(&b'\\') {
        // The syntax was checked before: what is left to go wrong is half a surrogate pair.
        let text: String = serde_json::from_str(json).map_err(|_| Refusal::Text("a string with a lone surrogate"))?;
        then(&text)
    } else {
        then(inner)
    }
}

/// Days since the epoch.
fn date(text: &str) -> Result<i32, Refusal> {
    const EPOCH_FROM_CE: i32 = 719_163;
    let refused = Refusal::Text("a string that is no date");
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    if !shape {
        return Err(refused);
    }
    match (text[..4].parse(), text[5..7].parse(), text[8..].parse()) {
        (Ok(year), Ok(month), Ok(day)) => {
            NaiveDate::from_ymd_opt(year, month, day).map(|date| date.num_days_from_ce() - EPOCH_FROM_CE).ok_or(refused)
        }
        _ => Err(refused),
    }
}

/// Microseconds since the epoch.
fn timestamp(text: &str) -> Result<i64, Refusal> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| Refusal::Text("a string that is no RFC 3339 time"))?;
    // A leap second has no place among the microseconds since the epoch.
    if time.nanosecond() >= 1_000_000_000 {
        return Err(Refusal::Text("a leap second"));
    }
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    if fraction.bytes().take_while(u8::is_ascii_digit).skip(3).any(|digit| digit != b'0') {
        return Err(Refusal::Text("a time finer than milliseconds"));
    }
    Ok(time.timestamp_micros())
}
