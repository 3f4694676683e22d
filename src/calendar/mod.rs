//! Functions of dates and timestamps for the years 1 to 9999.
//!
//! The engine computes in 64-bit nanoseconds, which end in 1677 and 2262: one row dated 9999-12-31 stopped every query
//! that called `date_trunc`. Tables hold microseconds, and these functions use them. They have the engine's names and
//! meaning.

mod bin;
mod read;
mod shown;
#[cfg(test)]
mod tests;
mod truncate;

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use deltalake::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use deltalake::datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use deltalake::datafusion::execution::SessionStateDefaults;
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The differences of a function of times from the engine's function of that name.
trait Times: Debug + Eq + Hash + Send + Sync + 'static {
    /// The types to which arguments of these types are cast; `name` is for messages.
    fn coerce(&self, name: &str, arg_types: &[DataType]) -> Result<Vec<DataType>>;

    /// The type of the result for arguments of these types.
    fn returns(&self, arg_types: Vec<DataType>) -> DataType;

    /// Computes it; `built_in` is the engine's.
    fn invoke(&self, built_in: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue>;
}

/// A function that replaces the built-in one, with its names.
#[derive(Debug, PartialEq, Eq, Hash)]
struct InPlace<T> {
    built_in: Arc<ScalarUDF>,
    signature: Signature,
    times: T,
}

impl<T: Times> InPlace<T> {
    fn of(built_in: Arc<ScalarUDF>, times: T) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { built_in, signature, times }))
    }
}

impl<T: Times> ScalarUDFImpl for InPlace<T> {
    fn name(&self) -> &str {
        self.built_in.name()
    }

    fn aliases(&self) -> &[String] {
        self.built_in.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.times.coerce(self.name(), arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.times.returns(self.coerce_types(arg_types)?))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.times.invoke(&self.built_in, args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.built_in.documentation()
    }
}

/// All built-in scalar functions, with those of times replaced.
#[must_use]
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let ours = |built_in: Arc<ScalarUDF>| match built_in.name() {
        "date_trunc" => InPlace::of(built_in, truncate::Truncate),
        "date_bin" => InPlace::of(built_in, bin::Bin),
        "to_char" => InPlace::of(built_in, shown::ToChar),
        "to_unixtime" => InPlace::of(built_in, read::ToUnixtime),
        name => match read::ToTimestamp::named(name) {
            Some(reads) => InPlace::of(built_in, reads),
            None => built_in,
        },
    };
    SessionStateDefaults::default_scalar_functions().into_iter().map(ours).collect()
}

/// The type in which a value of a type of time is computed; `None` if it is not a time.
fn in_microseconds(of: &DataType) -> Option<DataType> {
    match of {
        DataType::Timestamp(_, zone) => Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        DataType::Date32 | DataType::Date64 | DataType::Null => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        text if text.is_string() => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        _ => None,
    }
}

/// Maps every timestamp.
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
