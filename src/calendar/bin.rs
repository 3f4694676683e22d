//! `date_bin`.

use chrono::{Datelike, Months, NaiveDateTime};
use deltalake::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use deltalake::datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use deltalake::datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::truncate::{at, micros_of};
use super::{Times, each, in_microseconds};

/// `date_bin(stride, time[, origin])`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bin;

impl Times for Bin {
    fn coerce(&self, _: &str, arg_types: &[DataType]) -> Result<Vec<DataType>> {
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

    fn returns(&self, mut arg_types: Vec<DataType>) -> DataType {
        arg_types.swap_remove(1)
    }

    fn invoke(&self, built_in: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(DataType::Timestamp(TimeUnit::Microsecond, _)) = args.args.get(1).map(ColumnarValue::data_type) else {
            return built_in.inner().invoke_with_args(args);
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
}

fn out_of_range() -> deltalake::datafusion::common::DataFusionError {
    exec_datafusion_err!("a timestamp is out of range")
}

fn by_months(time: NaiveDateTime, origin: NaiveDateTime, stride: i32) -> Result<NaiveDateTime> {
    let since = (time.year() - origin.year()) * 12 + time.month0() as i32 - origin.month0() as i32;
    let mut bin = since - since.rem_euclid(stride);
    // If the origin is within a month, the bin of this month may begin after the time.
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
