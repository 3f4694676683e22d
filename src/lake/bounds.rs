//! A minimum or maximum value -> the literal that bounds it in the log, so that every reader finds all values within.
//!
//! Readers parse a JSON number in one of two ways: exactly, or as a 64-bit float (DuckDB, Trino), which may lie on the
//! other side of the value: 991814.81 becomes 991814.81000000005. So a bound is moved outwards until it encloses the
//! value under both readings. It stays a literal of its type: within precision and scale, and without a fraction if the
//! type has none. If no such number exists there is no bound, which readers take as "anything".
//! Source: Delta protocol, "Per-file Statistics".

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

/// Which side of the values a bound is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The minimum.
    Min,
    /// The maximum.
    Max,
}

/// Numbers of up to this many digits survive a round trip through a 64-bit float.
const SAFE_DIGITS: u32 = 15;

/// Years that every engine can read.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// Digits after the point that hold any 64-bit float exactly.
const ALL_DIGITS: usize = 1074;

/// The integer that bounds `value`, moved outwards if its nearest float lies inside.
pub(super) fn integer(value: i64, end: End) -> i64 {
    let read = value as f64;
    match end {
        End::Min if read as i128 <= i128::from(value) => value,
        End::Min => read.next_down() as i64,
        End::Max if read as i128 >= i128::from(value) => value,
        // Above the largest float this is the largest integer, which a float reads as 2^63.
        End::Max => read.next_up() as i64,
    }
}

/// A 64-bit float as text that parses back exactly; `None` if JSON cannot represent it.
pub(super) fn double(value: f64) -> Option<String> {
    value.is_finite().then(|| serde_json::to_string(&value).ok()).flatten()
}

/// The decimal of this precision and scale that bounds `unscaled` / 10^`scale`.
pub(super) fn decimal(unscaled: i128, (precision, scale): (u32, u32), end: End) -> Option<String> {
    let limit = 10_i128.checked_pow(precision)?;
    let bound = match end {
        End::Min => below(unscaled, scale, limit)?,
        End::Max => -below(-unscaled, scale, limit)?,
    };
    Some(literal(bound, scale))
}

/// The largest decimal not above `value`, and below `limit`, that no reader reads as more than `value`.
fn below(value: i128, scale: u32, limit: i128) -> Option<i128> {
    let digits = value.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    let unit = 10_i128.pow(digits.saturating_sub(SAFE_DIGITS));
    let floor = value.div_euclid(unit) * unit;
    let candidates = [value, floor, floor - unit, floor - 2 * unit];
    candidates.into_iter().find(|c| -limit < *c && *c < limit && stays_below(*c, scale, value))
}

/// Whether every reading of the literal is at most `value`: the exact nearest float, the shortest text of that float,
/// and that float scaled up again.
fn stays_below(bound: i128, scale: u32, value: i128) -> bool {
    let Ok(read) = literal(bound, scale).parse::<f64>() else { return false };
    let exactly = ceiling(&format!("{read:.ALL_DIGITS$}"), scale);
    let shortest = ceiling(&format!("{read}"), scale);
    let scaled = (read * f64::from(10_i32).powi(scale.try_into().unwrap_or(0))).round() as i128;
    bound <= value && scaled <= value && [exactly, shortest].iter().all(|read| read.is_some_and(|read| read <= value))
}

/// The least number of units of `scale` that is at least a number in plain notation.
fn ceiling(text: &str, scale: u32) -> Option<i128> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let kept = fraction.len().min(scale as usize);
    let (fraction, rest) = fraction.split_at(kept);
    let padding = "0".repeat(scale as usize - kept);
    let units: i128 = format!("{whole}{fraction}{padding}").parse().ok()?;
    match (negative, rest.bytes().any(|digit| digit != b'0')) {
        (true, _) => Some(-units),
        (false, more) => units.checked_add(i128::from(more)),
    }
}

/// A decimal in plain notation, without trailing zeros.
fn literal(unscaled: i128, scale: u32) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// A day, counted from 1970.
pub(super) fn day(days: i32) -> Option<String> {
    let day = NaiveDate::default().checked_add_signed(TimeDelta::try_days(days.into())?)?;
    YEARS.contains(&day.year()).then(|| day.format("%Y-%m-%d").to_string())
}

/// Microseconds since 1970, in milliseconds as the log stores them: a maximum is rounded up.
pub(super) fn moment(micros: i64, end: End) -> Option<String> {
    let down = micros.div_euclid(1_000);
    let up = i64::from(end == End::Max && micros.rem_euclid(1_000) > 0);
    let moment: DateTime<Utc> = DateTime::from_timestamp_millis(down.checked_add(up)?)?;
    YEARS.contains(&moment.year()).then(|| moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of every size and sign up to a limit, including those at the edges of floats.
    fn values(limit: i128) -> impl Iterator<Item = i128> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let spread = (0..400).map(move |_| {
            let wide = (i128::from(random()) << 63) | i128::from(random() >> 1);
            let bits = random() % 127;
            wide >> bits
        });
        let edges = (0..127).flat_map(|bits| [-1_i128, 0, 1].map(|by| (1_i128 << bits) - 1 + by));
        let decimal = (0..39_u32).filter_map(|digits| 10_i128.checked_pow(digits)).flat_map(|p| [p - 1, p, p + 1]);
        let all = spread.chain(edges).chain(decimal).chain([99_181_481, 123_456_789_012_345_678, 9_999, 7, 29, 57]);
        all.flat_map(|v| [v, v.wrapping_neg()]).filter(move |v| -limit < *v && *v < limit)
    }

    #[test]
    fn a_decimal_lies_within_its_bounds_however_they_are_read() {
        let types = [(38, 18), (38, 0), (38, 38), (20, 0), (18, 2), (18, 18), (9, 4), (4, 2), (2, 2), (1, 0), (22, 21)];
        for (precision, scale) in types {
            let limit = 10_i128.pow(precision);
            for value in values(limit) {
                for (end, sign) in [(End::Min, 1), (End::Max, -1)] {
                    let Some(bound) = decimal(value, (precision, scale), end) else {
                        // Only near the limit there is no room to move.
                        let room = 3 * 10_i128.pow(precision.saturating_sub(SAFE_DIGITS));
                        assert!(value.abs() + room >= limit, "decimal({precision},{scale}) {value} has no {end:?}");
                        continue;
                    };
                    let about = format!("decimal({precision},{scale}) {value}: {end:?} {bound}");
                    let fraction = bound.split_once('.').map_or(0, |(_, fraction)| fraction.len());
                    let units = ceiling(&bound, scale).expect("a decimal");
                    assert!(fraction <= scale as usize && units.abs() < limit, "{about}");
                    // The bound is a ceiling on one side and a floor on the other: negate for the floor.
                    let turned = |text: &str| match (sign, text.strip_prefix('-')) {
                        (1, _) => text.to_owned(),
                        (_, Some(text)) => text.to_owned(),
                        (_, None) => format!("-{text}"),
                    };
                    let read: f64 = bound.parse().expect("a float");
                    for read in [bound.clone(), format!("{read:.ALL_DIGITS$}"), format!("{read}")] {
                        assert!(
                            ceiling(&turned(&read), scale).expect("a decimal") <= sign * value,
                            "{about} as {read}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn an_integer_lies_within_its_bounds_however_they_are_read() {
        for value in values(1 << 63).filter_map(|v| i64::try_from(v).ok()).chain([i64::MIN, i64::MAX, i64::MAX - 700]) {
            let (min, max) = (integer(value, End::Min), integer(value, End::Max));
            assert!(min <= value && value <= max, "{min} {value} {max}");
            let wide = i128::from(value);
            assert!(min as f64 as i128 <= wide && wide <= max as f64 as i128, "{min} {value} {max}");
            if value.abs() < 1 << 53 {
                assert_eq!((min, max), (value, value));
            }
        }
    }

    #[test]
    fn bounds_are_no_wider_than_they_must_be() {
        let bound = |unscaled, of, end| decimal(unscaled, of, end).expect("a bound");
        // 12.34 is read as 12.339999999999999857, 0.5 as itself.
        assert_eq!((bound(1234, (10, 2), End::Min), bound(1234, (10, 2), End::Max)), ("12.34".into(), "12.35".into()));
        assert_eq!((bound(50, (10, 2), End::Min), bound(50, (10, 2), End::Max)), ("0.5".into(), "0.5".into()));
        assert_eq!(bound(18_446_744_073_709_551_615, (20, 0), End::Max), "18446744073709551615");
        assert_eq!(bound(18_446_744_073_709_551_615, (20, 0), End::Min), "18446744073709500000");
        assert_eq!(decimal(9_999, (4, 2), End::Max), None, "100.00 has a digit too many");
    }

    #[test]
    fn times_are_cut_to_milliseconds_outwards_and_to_years_that_everybody_reads() {
        let both = |micros| (moment(micros, End::Min), moment(micros, End::Max));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(both(1), (some("1970-01-01T00:00:00.000Z"), some("1970-01-01T00:00:00.001Z")));
        assert_eq!(both(-1), (some("1969-12-31T23:59:59.999Z"), some("1970-01-01T00:00:00.000Z")));
        assert_eq!(both(5_000), (some("1970-01-01T00:00:00.005Z"), some("1970-01-01T00:00:00.005Z")));
        let last = 253_402_300_799_999_999;
        assert_eq!(both(last), (some("9999-12-31T23:59:59.999Z"), None));
        assert_eq!((both(i64::MAX), both(i64::MIN)), ((None, None), (None, None)));
        assert_eq!((day(0), day(-719_162)), (some("1970-01-01"), some("0001-01-01")));
        assert_eq!((day(-719_163), day(i32::MAX), day(2_932_896)), (None, None, some("9999-12-31")));
    }

    #[test]
    fn doubles_are_written_as_they_are() {
        for value in [0.1, -0.0, 1e300, f64::MIN_POSITIVE, f64::MAX, 0.1_f32.into()] {
            let text = double(value).expect("a number");
            assert_eq!(text.parse::<f64>().expect("a number").to_bits(), value.to_bits(), "{text}");
        }
        assert_eq!([f64::INFINITY, f64::NAN].map(double), [None, None]);
    }
}
