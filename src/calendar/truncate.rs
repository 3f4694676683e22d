//! `date_trunc`.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use deltalake::arrow::array::timezone::Tz;
use deltalake::arrow::datatypes::{DataType, TimeUnit};
use deltalake::datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use deltalake::datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::{Times, constant, each, in_microseconds};

/// `date_trunc(granularity, time)`: a timestamp keeps its zone and is truncated in it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Truncate;

impl Times for Truncate {
    fn coerce(&self, _: &str, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [granularity, time] = arg_types else {
            return plan_err!("date_trunc takes a granularity and a timestamp");
        };
        if !granularity.is_string() {
            return plan_err!("the granularity of date_trunc is a text, such as 'day'");
        }
        let time = match time {
            DataType::Time32(_) | DataType::Time64(_) => time.clone(),
            other => match in_microseconds(other) {
                Some(time) => time,
                None => return plan_err!("date_trunc takes a date or a timestamp, found {other}"),
            },
        };
        Ok(vec![DataType::Utf8, time])
    }

    fn returns(&self, mut arg_types: Vec<DataType>) -> DataType {
        arg_types.swap_remove(1)
    }

    fn invoke(&self, built_in: &ScalarUDF, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(DataType::Timestamp(TimeUnit::Microsecond, zone)) = args.args.get(1).map(ColumnarValue::data_type)
        else {
            return built_in.inner().invoke_with_args(args);
        };
        let granularity = Granularity::named(&constant(args.args.first(), "the granularity of date_trunc")?)?;
        let zone = zone.map(|zone| zone.parse::<Tz>()).transpose()?;
        match zone {
            Some(zone) => each(&args.args[1], |micros| in_zone(micros, granularity, zone)),
            None => each(&args.args[1], |micros| truncated(at(micros)?, granularity).map(micros_of)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granularity {
    /// This many microseconds, a divisor of a day.
    Part(i64),
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Granularity {
    fn named(name: &str) -> Result<Self> {
        Ok(match name.to_lowercase().as_str() {
            "microsecond" => Self::Part(1),
            "millisecond" => Self::Part(1_000),
            "second" => Self::Part(1_000_000),
            "minute" => Self::Part(60_000_000),
            "hour" => Self::Part(3_600_000_000),
            "day" => Self::Day,
            "week" => Self::Week,
            "month" => Self::Month,
            "quarter" => Self::Quarter,
            "year" => Self::Year,
            other => {
                return exec_err!(
                    "Unsupported date_trunc granularity: '{other}'. Supported values are: microsecond, millisecond, \
                     second, minute, hour, day, week, month, quarter, year"
                );
            }
        })
    }
}

/// A point in time as date and time of day, in UTC.
pub(super) fn at(micros: i64) -> Result<NaiveDateTime> {
    let moment = DateTime::from_timestamp_micros(micros).map(|moment| moment.naive_utc());
    moment.ok_or_else(|| exec_datafusion_err!("a timestamp is out of range"))
}

pub(super) fn micros_of(moment: NaiveDateTime) -> i64 {
    moment.and_utc().timestamp_micros()
}

fn truncated(moment: NaiveDateTime, granularity: Granularity) -> Result<NaiveDateTime> {
    let day = moment.date();
    let first = match granularity {
        Granularity::Part(length) => {
            let micros = micros_of(moment);
            return at(micros - micros.rem_euclid(length));
        }
        Granularity::Day => Some(day),
        Granularity::Week => day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))),
        Granularity::Month => day.with_day(1),
        Granularity::Quarter => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1),
        Granularity::Year => NaiveDate::from_ymd_opt(day.year(), 1, 1),
    };
    let first = first.ok_or_else(|| exec_datafusion_err!("a timestamp is out of range"))?;
    Ok(first.and_time(NaiveTime::MIN))
}

/// Truncates in the local time of a zone. If the local time occurs twice, the one with the offset of the argument is
/// used; if it was skipped, the result is as long after the last existing time as it would be without the gap.
fn in_zone(micros: i64, granularity: Granularity, zone: Tz) -> Result<i64> {
    const SKIPPED: TimeDelta = TimeDelta::hours(3);
    let utc = at(micros)?;
    let local = zone.from_utc_datetime(&utc);
    let beyond = || exec_datafusion_err!("a timestamp is out of range");
    let shown = utc.checked_add_offset(local.offset().fix()).ok_or_else(beyond)?;
    let shown = truncated(shown, granularity)?;
    let found = match zone.from_local_datetime(&shown) {
        LocalResult::Single(moment) => Some(moment.naive_utc()),
        LocalResult::Ambiguous(first, second) => {
            let same = first.offset().fix() == local.offset().fix();
            Some(if same { first } else { second }.naive_utc())
        }
        LocalResult::None => {
            let before = shown.checked_sub_signed(SKIPPED).and_then(|shown| zone.from_local_datetime(&shown).single());
            before.and_then(|moment| moment.naive_utc().checked_add_signed(SKIPPED))
        }
    };
    found.map(micros_of).ok_or_else(beyond)
}
