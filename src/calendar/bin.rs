//! `date_bin`.

use std::sync::Arc;

use chrono::{Datelike, Months, NaiveDateTime};
use deltalake::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use deltalake::datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use deltalake::datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::truncate::{at, micros_of};
use super::{each, in_microseconds};

/// `date_bin(stride, time[, origin])`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bin {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl Bin {
    pub fn new(inner: Arc<ScalarUDF>) -> Self {
        Self { inner, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Bin {
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
        let ([_, time] | [_, time, _]) = arg_types else {
            return plan_err!("date_bin takes an interval, a timestamp and, if it is not 1970-01-01, an origin");
        };
        let time = match time {
            DataType::Time32(_) | DataType::Time64(_) => time.clone(),
            other => match in_microseconds(other) {
                Some(time) => time,
                None => return plan_err!("date_bin takes a date or a timestamp, found {other}"),
            },
        };
        let mut types = vec![DataType::Interval(IntervalUnit::MonthDayNano), time.clone()];
        if arg_types.len() == 3 {
            types.push(time);
        }
        Ok(types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.coerce_types(arg_types)?.swap_remove(1))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(DataType::Timestamp(TimeUnit::Microsecond, _)) = args.args.get(1).map(ColumnarValue::data_type) else {
            return self.inner.inner().invoke_with_args(args);
        };
        let Some(ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(stride)))) = args.args.first() else {
            return exec_err!("the stride of date_bin must be a constant interval");
        };
        let origin = match args.args.get(2) {
            None => 0,
            Some(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(Some(origin), _))) => *origin,
            Some(_) => return exec_err!("the origin of date_bin must be a constant timestamp"),
        };
        if stride.months == 0 {
            let days = i64::from(stride.days).checked_mul(86_400_000_000);
            let micros = days.and_then(|days| days.checked_add(stride.nanoseconds / 1_000)).ok_or_else(out_of_range)?;
            if micros <= 0 || stride.nanoseconds % 1_000 != 0 {
                return exec_err!("the stride of date_bin must be at least a microsecond, and in whole ones");
            }
            return each(&args.args[1], |time| {
                let since = time.checked_sub(origin).map(|since| since - since.rem_euclid(micros));
                since.and_then(|since| origin.checked_add(since)).ok_or_else(out_of_range)
            });
        }
        if stride.months < 0 || stride.days != 0 || stride.nanoseconds != 0 {
            return exec_err!("the stride of date_bin must be in months, or in days and shorter units, and above zero");
        }
        let origin = at(origin)?;
        each(&args.args[1], |time| by_months(at(time)?, origin, stride.months).map(micros_of))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

fn out_of_range() -> deltalake::datafusion::common::DataFusionError {
    exec_datafusion_err!("a timestamp is out of range")
}

fn by_months(time: NaiveDateTime, origin: NaiveDateTime, stride: i32) -> Result<NaiveDateTime> {
    let since = (time.year() - origin.year()) * 12 + time.month0() as i32 - origin.month0() as i32;
    let mut bin = since - since.rem_euclid(stride);
    // An origin within a month: the bin of this month may begin after the time.
    if shifted(origin, bin)? > time {
        bin -= stride;
    }
    shifted(origin, bin)
}

fn shifted(origin: NaiveDateTime, months: i32) -> Result<NaiveDateTime> {
    let by = Months::new(months.unsigned_abs());
    let moved = if months < 0 { origin.checked_sub_months(by) } else { origin.checked_add_months(by) };
    moved.ok_or_else(out_of_range)
}
