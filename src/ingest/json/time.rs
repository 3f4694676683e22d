//! Texts and numbers as days and moments.

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};

use super::column::Refusal;
use super::number::{self, Misfit};
use crate::definition::TimeFormat;

/// What is said of a time that a column of type `timestamp` cannot hold.
pub(super) const TOO_FINE: &str = "a time finer than milliseconds";

/// Days since the epoch.
pub(super) fn date(text: &str) -> Result<i32, Refusal> {
    const EPOCH_FROM_CE: i32 = 719_163;
    let refused = Refusal::Text("a string that is not a date");
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| if matches!(i, 4 | 7) { b == b'-' } else { b.is_ascii_digit() });
    if !shape {
        return Err(refused);
    }
    match (text[..4].parse(), text[5..7].parse(), text[8..].parse()) {
        (Ok(year), Ok(month), Ok(day)) => {
            NaiveDate::from_ymd_opt(year, month, day).map(|date| date.num_days_from_ce() - EPOCH_FROM_CE).ok_or(refused)
        }
        _ => Err(refused),
    }
}

/// Microseconds since the epoch.
pub(super) fn timestamp(text: &str) -> Result<i64, Refusal> {
    let time =
        DateTime::parse_from_rfc3339(text).map_err(|_| Refusal::Text("a string that is not an RFC 3339 time"))?;
    // Microseconds since the epoch cannot represent a leap second.
    if time.nanosecond() >= 1_000_000_000 {
        return Err(Refusal::Text("a leap second"));
    }
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    if fraction.bytes().take_while(u8::is_ascii_digit).skip(3).any(|digit| digit != b'0') {
        return Err(Refusal::Text(TOO_FINE));
    }
    Ok(time.timestamp_micros())
}

/// Microseconds since the epoch of a number of seconds, milliseconds or microseconds.
pub(super) fn since_epoch(literal: &str, format: TimeFormat) -> Result<i64, Refusal> {
    /// The years 0 to 9999, as texts have them.
    const FIRST: i64 = -62_167_219_200_000_000;
    const END: i64 = 253_402_300_800_000_000;
    let zeros = match format {
        TimeFormat::EpochSeconds => 6,
        TimeFormat::EpochMillis => 3,
        TimeFormat::EpochMicros | TimeFormat::Rfc3339 => 0,
    };
    match number::scaled(literal, zeros) {
        Ok(at) => i64::try_from(at).ok().filter(|at| (FIRST..END).contains(at)).ok_or(Refusal::Year),
        Err(Misfit::Fraction) => Err(Refusal::Text("a time finer than microseconds")),
        Err(_) => Err(Refusal::Year),
    }
}
