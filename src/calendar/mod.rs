//! Functions of dates and timestamps for the years 1 to 9999.
//!
//! The engine's compute in nanoseconds of 64 bits, which end in 1677 and 2262: one row dated 9999-12-31 stopped every query
//! that called `date_trunc`. Tables hold microseconds, and so do these. They have the engine's names and meaning.

mod bin;
mod read;
mod shown;
#[cfg(test)]
mod tests;
mod truncate;

use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use deltalake::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use deltalake::datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use deltalake::datafusion::execution::SessionStateDefaults;
use deltalake::datafusion::logical_expr::{ColumnarValue, ScalarUDF};

/// All built-in scalar functions, those of times without end.
#[must_use]
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let ours = |inner: Arc<ScalarUDF>| match inner.name() {
        "date_trunc" => ScalarUDF::new_from_impl(truncate::Truncate::new(inner)).into(),
        "date_bin" => ScalarUDF::new_from_impl(bin::Bin::new(inner)).into(),
        "to_char" => ScalarUDF::new_from_impl(shown::ToChar::new(inner)).into(),
        "to_unixtime" => ScalarUDF::new_from_impl(read::ToUnixtime::new(inner)).into(),
        _ => match read::Unit::of(inner.name()) {
            Some(unit) => ScalarUDF::new_from_impl(read::ToTimestamp::new(inner, unit)).into(),
            None => inner,
        },
    };
    SessionStateDefaults::default_scalar_functions().into_iter().map(ours).collect()
}

/// The type in which a value of some type of time is computed with; `None` if it is none of times.
fn in_microseconds(of: &DataType) -> Option<DataType> {
    match of {
        DataType::Timestamp(_, zone) => Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        DataType::Date32 | DataType::Date64 | DataType::Null => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        text if text.is_string() => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        _ => None,
    }
}

/// Computes a timestamp of every timestamp.
fn each(of: &ColumnarValue, compute: impl Fn(i64) -> Result<i64>) -> Result<ColumnarValue> {
    let mapped = |array: &ArrayRef| -> Result<ArrayRef> {
        let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() else {
            return exec_err!("a timestamp in microseconds was expected, found {}", array.data_type());
        };
        let computed: TimestampMicrosecondArray = times.try_unary(&compute)?;
        Ok(Arc::new(computed.with_data_type(array.data_type().clone())))
    };
    match of {
        ColumnarValue::Array(array) => Ok(ColumnarValue::Array(mapped(array)?)),
        ColumnarValue::Scalar(value) => {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&mapped(&value.to_array()?)?, 0)?))
        }
    }
}

/// A constant text among the arguments.
fn constant(of: Option<&ColumnarValue>, what: &str) -> Result<String> {
    let text = match of {
        Some(ColumnarValue::Scalar(value)) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    };
    text.ok_or_else(|| exec_datafusion_err!("{what} must be a constant text"))
}
