//! The only place that reads the time or draws a random number.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use uuid::{NoContext, Timestamp, Uuid};

use crate::error::{Error, Result};

/// Milliseconds since the Unix epoch; negative if the clock is before it.
#[must_use]
pub(crate) fn now_ms() -> i64 {
    ms(SystemTime::now())
}

fn ms(time: SystemTime) -> i64 {
    let ms = |since: std::time::Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -ms(before.duration()), ms)
}

/// Refuses a clock before 1970: the libraries panic on one in the middle of their work.
///
/// # Errors
/// The clock's time.
pub(crate) fn check() -> Result<()> {
    refuse_before_epoch(now_ms())
}

fn refuse_before_epoch(now_ms: i64) -> Result<()> {
    if now_ms >= 0 {
        return Ok(());
    }
    Err(Error::failed("the clock of this machine is before 1970")
        .fact("found", rfc3339(now_ms))
        .help("set the clock: commits and requests carry its time"))
}

/// The time of day, for expiries.
#[must_use]
pub(crate) fn system_time() -> SystemTime {
    SystemTime::now()
}

/// A point in time to measure from, by a monotonic clock.
#[must_use]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// A new run id: a UUIDv7, so that ids sort by time.
#[must_use]
pub(crate) fn run_id() -> String {
    // A UUID of the present panics before 1970.
    let id = if now_ms() < 0 { Uuid::new_v7(Timestamp::from_unix(NoContext, 0, 0)) } else { Uuid::now_v7() };
    id.simple().to_string()
}

/// A random UUIDv4, for table ids and file names.
#[must_use]
pub(crate) fn random_uuid() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// `2026-11-23T08:14:02.120Z`, for a time in milliseconds since the epoch.
#[must_use]
pub(crate) fn rfc3339(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_before_1970_is_refused_and_no_panic() {
        let before = ms(UNIX_EPOCH - Duration::from_millis(1_500));
        assert_eq!((before, ms(UNIX_EPOCH)), (-1_500, 0));
        let error = refuse_before_epoch(before).expect_err("refused");
        assert_eq!(error.facts()[0].1, "1969-12-31T23:59:58.500Z");
        assert!(refuse_before_epoch(0).is_ok() && check().is_ok());
        assert!(now_ms() > 1_700_000_000_000, "{}", now_ms());
    }
}
