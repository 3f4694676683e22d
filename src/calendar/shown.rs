//! `to_char` and `date_format`.

use deltalake::arrow::datatypes::{DataType, TimeUnit};
use deltalake::datafusion::common::{Result, plan_err};
use deltalake::datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::Times;

/// `to_char(time, format)`: the built-in function, without a preceding cast to nanoseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToChar;

impl Times for ToChar {
    fn coerce(&self, name: &str, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [time, format] = arg_types else { return plan_err!("{name} takes a time and a format") };
        if !format.is_string() && !format.is_null() {
            return plan_err!("the format of {name} is a text, such as '%Y-%m-%d'");
        }
        let time = match time {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => time.clone(),
            DataType::Timestamp(..) | DataType::Duration(_) => time.clone(),
            text if text.is_string() || text.is_null() => DataType::Timestamp(TimeUnit::Microsecond, None),
            other => return plan_err!("{name} takes a date, a time or a timestamp, found {other}"),
        };
        Ok(vec![time, DataType::Utf8])
    }

    fn returns(&self, _: Vec<DataType>) -> DataType {
        DataType::Utf8
    }

    fn invoke(&self, built_in: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        built_in.inner().invoke_with_args(args)
    }
}
