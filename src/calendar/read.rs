//! `to_timestamp` and its like.

use std::sync::Arc;

use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{NaiveDateTime, NaiveTime};
use deltalake::arrow::array::timezone::Tz;
use deltalake::arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::compute::{CastOptions, cast_with_options};
use deltalake::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit};
use deltalake::arrow::util::display::FormatOptions;
use deltalake::datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use deltalake::datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::Times;

/// Decimal places with which a number of seconds is parsed: microseconds.
const DIGITS: i8 = 6;

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    fn micros(self, number: i64) -> Option<i64> {
        match self {
            Self::Seconds => number.checked_mul(1_000_000),
            Self::Millis => number.checked_mul(1_000),
            Self::Micros => Some(number),
            Self::Nanos => Some(number.div_euclid(1_000)),
        }
    }
}

/// `to_timestamp(number)`, `to_timestamp(text[, format, ...])`, `to_timestamp(time)`: a timestamp without zone, in UTC.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToTimestamp {
    unit: Unit,
    /// Microseconds of the unit of the result: finer parts are truncated.
    grain: i64,
}

impl ToTimestamp {
    /// By the name of the function.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (unit, grain) = match name {
            "to_timestamp" => (Unit::Seconds, 1),
            "to_timestamp_seconds" => (Unit::Seconds, 1_000_000),
            "to_timestamp_millis" => (Unit::Millis, 1_000),
            "to_timestamp_micros" => (Unit::Micros, 1),
            "to_timestamp_nanos" => (Unit::Nanos, 1),
            _ => return None,
        };
        Some(Self { unit, grain })
    }
}

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

impl Times for ToTimestamp {
    fn coerce(&self, name: &str, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let Some((first, formats)) = arg_types.split_first() else {
            return plan_err!("{name} takes a number, a text or a time");
        };
        let are_texts = first.is_string() && formats.iter().all(DataType::is_string);
        if !formats.is_empty() && !are_texts {
            return plan_err!("{name} takes formats after a text, and nothing after anything else");
        }
        let first = match first {
            text if text.is_string() => DataType::Utf8,
            number if number.is_integer() => DataType::Int64,
            number if number.is_floating() => DataType::Float64,
            number if number.is_decimal() => DataType::Decimal128(38, DIGITS),
            DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => micros(),
            other => return plan_err!("{name} takes a number, a text or a time, found {other}"),
        };
        Ok(std::iter::once(first).chain(formats.iter().map(|_| DataType::Utf8)).collect())
    }

    fn returns(&self, _: Vec<DataType>) -> DataType {
        micros()
    }

    fn invoke(&self, built_in: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let moments = self.read(built_in.name(), &args)?;
        let moments = match self.grain {
            1 => moments,
            grain => moments.unary(|at| at - at.rem_euclid(grain)),
        };
        answer(&args, Arc::new(moments))
    }
}

/// A constant if all arguments are.
fn answer(args: &ScalarFunctionArgs, values: ArrayRef) -> Result<ColumnarValue> {
    if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
    }
    Ok(ColumnarValue::Array(values))
}

/// `to_unixtime(time)`, `to_unixtime(text[, format, ...])`: whole seconds since 1970.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToUnixtime;

impl ToUnixtime {
    const READS: ToTimestamp = ToTimestamp { unit: Unit::Seconds, grain: 1 };
}

impl Times for ToUnixtime {
    fn coerce(&self, name: &str, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Self::READS.coerce(name, arg_types)
    }

    fn returns(&self, _: Vec<DataType>) -> DataType {
        DataType::Int64
    }

    fn invoke(&self, built_in: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let moments = Self::READS.read(built_in.name(), &args)?;
        answer(&args, Arc::new(moments.unary::<_, Int64Type>(|at| at.div_euclid(1_000_000))))
    }
}

impl ToTimestamp {
    /// The moments, to the microsecond.
    fn read(&self, name: &str, args: &ScalarFunctionArgs) -> Result<TimestampMicrosecondArray> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some((values, formats)) = arrays.split_first() else { return exec_err!("{name} of nothing") };
        let beyond = || exec_datafusion_err!("{name} of a number that is no timestamp");
        match values.data_type() {
            DataType::Int64 => {
                let numbers = values.as_primitive::<Int64Type>().iter();
                numbers.map(|n| n.map(|n| self.unit.micros(n).ok_or_else(beyond)).transpose()).collect()
            }
            DataType::Float64 => {
                let whole = |n: f64| {
                    let micros = match self.unit {
                        Unit::Nanos => n / 1_000.0,
                        unit => n * unit.micros(1).map_or(1.0, |m| m as f64),
                    };
                    // 2^63 is a double, and exceeds the maximum by one.
                    let fits = micros.abs() < 9_223_372_036_854_775_808.0;
                    #[expect(clippy::cast_possible_truncation, reason = "what is finer than a microsecond is cut off")]
                    if fits { Ok(micros.floor() as i64) } else { Err(beyond()) }
                };
                values.as_primitive::<Float64Type>().iter().map(|n| n.map(whole).transpose()).collect()
            }
            DataType::Decimal128(_, DIGITS) => {
                let whole = |n: i128| {
                    let micros = n.checked_mul(i128::from(self.unit.micros(1_000).unwrap_or(1)));
                    let micros = micros.map(|m| m.div_euclid(1_000 * 10_i128.pow(DIGITS.unsigned_abs().into())));
                    micros.and_then(|m| i64::try_from(m).ok()).ok_or_else(beyond)
                };
                values.as_primitive::<Decimal128Type>().iter().map(|n| n.map(whole).transpose()).collect()
            }
            DataType::Utf8 if !formats.is_empty() => by_formats(values.as_string(), formats),
            _ => {
                let options = CastOptions { safe: false, format_options: FormatOptions::default() };
                Ok(cast_with_options(values, &micros(), &options)?.as_primitive().clone())
            }
        }
    }
}

/// Parses texts by the first matching one of several formats.
fn by_formats(texts: &StringArray, formats: &[ArrayRef]) -> Result<TimestampMicrosecondArray> {
    let mut moments = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        if texts.is_null(row) {
            moments.push(None);
            continue;
        }
        let mut found: Option<Result<NaiveDateTime>> = None;
        for format in formats.iter().map(|formats| formats.as_string::<i32>()) {
            if !format.is_null(row) && !matches!(found, Some(Ok(_))) {
                found = Some(by_format(texts.value(row), format.value(row)));
            }
        }
        moments.push(found.transpose()?.map(|moment| moment.and_utc().timestamp_micros()));
    }
    Ok(TimestampMicrosecondArray::from(moments))
}

/// Parses a text by one format of `chrono`; ` %Z` at its end is the name of a zone.
fn by_format(text: &str, format: &str) -> Result<NaiveDateTime> {
    let wrong = |why: &dyn std::fmt::Display| {
        DataFusionError::Execution(format!("Error parsing timestamp from '{text}' using format '{format}': {why}"))
    };
    let zoned =
        format.trim_end().strip_suffix(" %Z").and_then(|before| Some((before, text.trim_end().rsplit_once(' ')?)));
    let (format, text, zone) = match zoned {
        Some((format, (text, zone))) => (format, text, Some(zone.parse::<Tz>().map_err(|e| wrong(&e))?)),
        None => (format, text, None),
    };
    let mut parsed = Parsed::new();
    parse(&mut parsed, text, StrftimeItems::new(format)).map_err(|e| wrong(&e))?;
    let zoned = match zone {
        Some(zone) => parsed.to_datetime_with_timezone(&zone).map(|moment| moment.naive_utc()),
        None => parsed.to_datetime().map(|moment| moment.naive_utc()),
    };
    let plain = || parsed.to_naive_datetime_with_offset(0);
    let day = || parsed.to_naive_date().map(|day| day.and_time(NaiveTime::MIN));
    zoned.or_else(|_| plain()).or_else(|_| day()).map_err(|e| wrong(&e))
}
