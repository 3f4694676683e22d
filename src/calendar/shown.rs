//! `to_char` and `date_format`.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, TimeUnit};
use deltalake::datafusion::common::{Result, plan_err};
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `to_char(time, format)`: the built-in function, without a cast to nanoseconds before it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ToChar {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ToChar {
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        Self { inner, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToChar {
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
        let [time, format] = arg_types else { return plan_err!("{} takes a time and a format", self.name()) };
        if !format.is_string() && !format.is_null() {
            return plan_err!("the format of {} is a text, such as '%Y-%m-%d'", self.name());
        }
        let time = match time {
            DataType::Timestamp(TimeUnit::Nanosecond, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => time.clone(),
            DataType::Timestamp(..) | DataType::Duration(_) => time.clone(),
            text if text.is_string() || text.is_null() => DataType::Timestamp(TimeUnit::Microsecond, None),
            other => return plan_err!("{} takes a date, a time or a timestamp, found {other}", self.name()),
        };
        Ok(vec![time, DataType::Utf8])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.inner().invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
