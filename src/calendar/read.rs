//! `to_timestamp` and its like.

use std::sync::Arc;

use chrono::format::{Parsed, StrftimeItems, parse};
use chrono::{NaiveDateTime, NaiveTime};
use deltalake::arrow::array::timezone::Tz;
use deltalake::arrow::array::{Array, ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use deltalake::arrow::compute::{CastOptions, cast_with_options};
use deltalake::arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use deltalake::arrow::util::display::FormatOptions;
use deltalake::datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Digits after the point of a decimal that a number of seconds is read as: microseconds.
const DIGITS: i8 = 6;

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

/// The microseconds between two values that the function of this name gives: what is finer is cut off.
fn grain(name: &str) -> i64 {
    match name {
        "to_timestamp_seconds" => 1_000_000,
        "to_timestamp_millis" => 1_000,
        _ => 1,
    }
}

impl Unit {
    /// By the name of the function.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "to_timestamp" | "to_timestamp_seconds" => Self::Seconds,
            "to_timestamp_millis" => Self::Millis,
            "to_timestamp_micros" => Self::Micros,
            "to_timestamp_nanos" => Self::Nanos,
            _ => return None,
        })
    }

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
    inner: Arc<ScalarUDF>,
    unit: Unit,
    signature: Signature,
}

impl ToTimestamp {
    pub fn new(inner: Arc<ScalarUDF>, unit: Unit) -> Self {
        Self { inner, unit, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

impl ScalarUDFImpl for ToTimestamp {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let Some((first, formats)) = arg_types.split_first() else {
            return plan_err!("{} takes a number, a text or a time", self.name());
        };
        let are_texts = first.is_string() && formats.iter().all(DataType::is_string);
        if !formats.is_empty() && !are_texts {
            return plan_err!("{} takes formats after a text, and nothing after anything else", self.name());
        }
        let first = match first {
            text if text.is_string() => DataType::Utf8,
            number if number.is_integer() => DataType::Int64,
            number if number.is_floating() => DataType::Float64,
            number if number.is_decimal() => DataType::Decimal128(38, DIGITS),
            DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null => micros(),
            other => return plan_err!("{} takes a number, a text or a time, found {other}", self.name()),
        };
        Ok(std::iter::once(first).chain(formats.iter().map(|_| DataType::Utf8)).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(micros())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some((first, formats)) = arrays.split_first() else { return exec_err!("{} of nothing", self.name()) };
        let grain = grain(self.name());
        let result = self.read(first, formats)?;
        let result = match result.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(moments) if grain > 1 => {
                Arc::new(moments.unary::<_, TimestampMicrosecondType>(|at| at - at.rem_euclid(grain))) as ArrayRef
            }
            _ => result,
        };
        if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// `to_unixtime(time)`, `to_unixtime(text[, format, ...])`: whole seconds since 1970.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToUnixtime {
    inner: Arc<ScalarUDF>,
    reads: ToTimestamp,
}

impl ToUnixtime {
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        Self { reads: ToTimestamp::new(inner.clone(), Unit::Seconds), inner }
    }
}

impl ScalarUDFImpl for ToUnixtime {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.reads.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.reads.coerce_types(arg_types)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let moments = self.reads.invoke_with_args(args)?;
        let of_one = matches!(moments, ColumnarValue::Scalar(_));
        let moments = moments.into_array(if of_one { 1 } else { rows })?;
        let moments = moments.as_primitive::<TimestampMicrosecondType>();
        let seconds: ArrayRef = Arc::new(moments.unary::<_, Int64Type>(|at| at.div_euclid(1_000_000)));
        Ok(if of_one {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&seconds, 0)?)
        } else {
            ColumnarValue::Array(seconds)
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

impl ToTimestamp {
    fn read(&self, values: &ArrayRef, formats: &[ArrayRef]) -> Result<ArrayRef> {
        let beyond = || exec_datafusion_err!("{} of a number that is no timestamp", self.name());
        let moments: TimestampMicrosecondArray = match values.data_type() {
            DataType::Int64 => {
                let numbers = values.as_primitive::<Int64Type>().iter();
                numbers.map(|n| n.map(|n| self.unit.micros(n).ok_or_else(beyond)).transpose()).collect::<Result<_>>()?
            }
            DataType::Float64 => {
                let whole = |n: f64| {
                    let micros = match self.unit {
                        Unit::Nanos => n / 1_000.0,
                        unit => n * unit.micros(1).map_or(1.0, |m| m as f64),
                    };
                    // 2^63 is a double, and one more than the greatest number.
                    let fits = micros.abs() < 9_223_372_036_854_775_808.0;
                    #[expect(clippy::cast_possible_truncation, reason = "what is finer than a microsecond is cut off")]
                    if fits { Ok(micros.floor() as i64) } else { Err(beyond()) }
                };
                values.as_primitive::<Float64Type>().iter().map(|n| n.map(whole).transpose()).collect::<Result<_>>()?
            }
            DataType::Decimal128(_, DIGITS) => {
                let whole = |n: i128| {
                    let micros = n.checked_mul(i128::from(self.unit.micros(1_000).unwrap_or(1)));
                    let micros = micros.map(|m| m.div_euclid(1_000 * 10_i128.pow(DIGITS.unsigned_abs().into())));
                    micros.and_then(|m| i64::try_from(m).ok()).ok_or_else(beyond)
                };
                values
                    .as_primitive::<Decimal128Type>()
                    .iter()
                    .map(|n| n.map(whole).transpose())
                    .collect::<Result<_>>()?
            }
            DataType::Utf8 if !formats.is_empty() => return by_formats(values.as_string(), formats),
            _ => {
                let options = CastOptions { safe: false, format_options: FormatOptions::default() };
                return Ok(cast_with_options(values, &micros(), &options)?);
            }
        };
        Ok(Arc::new(moments))
    }
}

/// Texts by the first of several formats that fits.
fn by_formats(texts: &StringArray, formats: &[ArrayRef]) -> Result<ArrayRef> {
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
    Ok(Arc::new(TimestampMicrosecondArray::from(moments)))
}

/// A text by one format of `chrono`; ` %Z` at its end is the name of a zone.
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
