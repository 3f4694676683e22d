//! Intervals in the offsets of window frames.

use deltalake::datafusion::common::ScalarValue;

/// Nanoseconds of a day.
pub(crate) const NANOS_OF_A_DAY: i128 = 86_400_000_000_000;

/// An interval of any of the engine's three types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    /// Months, of 28 to 31 days.
    pub months: i32,
    /// Days, of 24 hours.
    pub days: i32,
    /// Nanoseconds.
    pub nanos: i64,
}

impl Interval {
    /// The interval that a value is; `None` if it is none, or NULL.
    #[must_use]
    pub(crate) fn of(value: &ScalarValue) -> Option<Self> {
        let (months, days, nanos) = match value {
            ScalarValue::IntervalYearMonth(Some(months)) => (*months, 0, 0),
            ScalarValue::IntervalDayTime(Some(by)) => (0, by.days, i64::from(by.milliseconds) * 1_000_000),
            ScalarValue::IntervalMonthDayNano(Some(by)) => (by.months, by.days, by.nanoseconds),
            _ => return None,
        };
        Some(Self { months, days, nanos })
    }

    /// Whether a part is negative: parts of both signs may add up to either.
    #[must_use]
    pub(crate) fn is_negative(self) -> bool {
        self.months < 0 || self.days < 0 || self.nanos < 0
    }

    /// Its length in nanoseconds, with months of so many days.
    #[must_use]
    pub(crate) fn length(self, days_of_a_month: i128) -> i128 {
        let days = i128::from(self.months) * days_of_a_month + i128::from(self.days);
        days * NANOS_OF_A_DAY + i128::from(self.nanos)
    }
}
