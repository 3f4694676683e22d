//! A version of a table as a person names it: by its number or by a time.

use chrono::{DateTime, Days, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use deltalake::arrow::array::timezone::Tz;

use crate::error::{Error, Kind, Result};

/// The time zone of dates, and of times that name none.
#[derive(Clone, Copy, Debug)]
pub struct Zone(Option<Tz>);

impl Default for Zone {
    /// UTC.
    fn default() -> Self {
        Self(None)
    }
}

impl Zone {
    /// Reads `Europe/Rome` or `+02:00`.
    ///
    /// # Errors
    /// `Usage` for any other text.
    pub fn parse(text: &str) -> Result<Self> {
        text.parse().map(|zone| Self(Some(zone))).map_err(|_| {
            Error::new(Kind::Usage, format!("`{text}` is not a time zone"))
                .fact("expected", "a name such as `Europe/Rome`, or an offset such as `+02:00`")
        })
    }

    fn moment(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let Some(zone) = self.0 else { return Some(local.and_utc()) };
        match zone.from_local_datetime(&local) {
            LocalResult::Single(time) => Some(time.to_utc()),
            // When clocks are set back, the later of the two: no commit of that time is left out.
            LocalResult::Ambiguous(_, later) => Some(later.to_utc()),
            LocalResult::None => None,
        }
    }

    /// The last millisecond of a day.
    fn end_of(&self, day: NaiveDate) -> Option<i64> {
        Some(self.begin_of(day.checked_add_days(Days::new(1))?)? - 1)
    }

    /// The first millisecond of a day.
    fn begin_of(&self, day: NaiveDate) -> Option<i64> {
        let midnight = day.and_hms_opt(0, 0, 0)?;
        // Where clocks are set forward at midnight, the day begins an hour later.
        let begins = self.moment(midnight).or_else(|| self.moment(midnight + chrono::Duration::hours(1)))?;
        Some(begins.timestamp_millis())
    }
}

/// A version, or a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// The version of this number.
    Version(u64),
    /// The newest version at a time.
    Time {
        /// Milliseconds since the epoch.
        ms: i64,
        /// As written.
        text: String,
    },
}

/// Times as people and programs write them, without an offset.
const LOCAL: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

impl Point {
    /// Reads `v12` (or `12`), `2026-11-20`, which is the end of that day, or `2026-11-20T10:00:00Z`.
    ///
    /// # Errors
    /// `Usage` for any other text.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self> {
        let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return digits.parse().map(Self::Version).map_err(|_| unknown(text));
        }
        Self::time(text, zone)
    }

    /// Reads a date, which is the end of that day, or a time.
    ///
    /// # Errors
    /// `Usage` for any other text.
    pub fn time(text: &str, zone: &Zone) -> Result<Self> {
        let at = |ms| Self::Time { ms, text: text.to_owned() };
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return zone.end_of(day).map(at).ok_or_else(|| unknown(text));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(at(time.timestamp_millis()));
        }
        // The offset of some programs has no colon.
        if let Ok(time) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
            return Ok(at(time.timestamp_millis()));
        }
        let local = text.strip_suffix(" UTC").map_or((text, zone), |local| (local, &Zone(None)));
        let Some(time) = LOCAL.iter().find_map(|form| NaiveDateTime::parse_from_str(local.0, form).ok()) else {
            return Err(unknown(text));
        };
        local.1.moment(time).map(|time| at(time.timestamp_millis())).ok_or_else(|| {
            Error::new(Kind::Usage, format!("there was no `{text}` in this time zone"))
                .fact("because", "clocks were set forward")
                .help("write it with its offset: 2026-11-20T10:00:00+01:00")
        })
    }

    /// Reads the beginning of a range: as [`Self::parse`], but a date is the beginning of that day.
    ///
    /// # Errors
    /// `Usage` for any other text.
    pub fn since(text: &str, zone: &Zone) -> Result<Self> {
        let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") else { return Self::parse(text, zone) };
        let ms = zone.begin_of(day).ok_or_else(|| unknown(text))?;
        Ok(Self::Time { ms, text: text.to_owned() })
    }

    /// As in a name: `v12`, or the time as written.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Version(version) => format!("v{version}"),
            Self::Time { text, .. } => text.clone(),
        }
    }
}

fn unknown(text: &str) -> Error {
    Error::new(Kind::Usage, format!("`{text}` is neither a version nor a time"))
        .fact("expected", "`v12`, `2026-11-20` (the end of that day) or `2026-11-20T10:00:00Z`")
}

/// The name in `t`, `t@v12`, `t@2026-11-20`, and the text of its version.
#[must_use]
pub fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once('@').map_or((text, None), |(name, point)| (name, Some(point)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str, zone: &str) -> String {
        let zone = if zone.is_empty() { Zone::default() } else { Zone::parse(zone).expect(zone) };
        match Point::parse(text, &zone).expect(text) {
            Point::Version(version) => format!("v{version}"),
            Point::Time { ms, .. } => crate::clock::rfc3339(ms),
        }
    }

    #[test]
    fn points_are_numbers_days_and_times() {
        for (text, zone, expected) in [
            ("v12", "", "v12"),
            ("12", "", "v12"),
            ("2026-11-20", "", "2026-11-20T23:59:59.999Z"),
            ("2026-11-20", "Europe/Rome", "2026-11-20T22:59:59.999Z"),
            ("2026-11-20", "-05:00", "2026-11-21T04:59:59.999Z"),
            ("2026-11-20T10:00:00Z", "Europe/Rome", "2026-11-20T10:00:00.000Z"),
            ("2026-11-20T10:00:00.250+0200", "", "2026-11-20T08:00:00.250Z"),
            ("2026-11-20T10:00:00+02:00", "", "2026-11-20T08:00:00.000Z"),
            ("2026-11-20 10:00:00 UTC", "Europe/Rome", "2026-11-20T10:00:00.000Z"),
            ("2026-11-20 10:00", "Europe/Rome", "2026-11-20T09:00:00.000Z"),
            // Clocks are set back: the later one.
            ("2026-10-25T02:30:00", "Europe/Rome", "2026-10-25T01:30:00.000Z"),
            // Clocks are set forward at midnight.
            ("2026-04-23", "Africa/Cairo", "2026-04-23T21:59:59.999Z"),
            ("2026-04-24", "Africa/Cairo", "2026-04-24T20:59:59.999Z"),
        ] {
            assert_eq!(ms(text, zone), expected, "{text} {zone}");
        }
    }

    #[test]
    fn a_range_begins_with_the_day() {
        let since = Point::since("2026-11-20", &Zone::parse("Europe/Rome").expect("a zone")).expect("a day");
        assert_eq!(since, Point::Time { ms: 1_795_129_200_000, text: "2026-11-20".into() });
        assert_eq!(Point::since("v3", &Zone::default()).expect("a version"), Point::Version(3));
    }

    #[test]
    fn other_texts_are_refused_with_what_can_be_written() {
        for text in ["", "v", "vv1", "yesterday", "2026-13-01", "2026-11-20T25:00:00Z", "99999999999999999999", "-1"] {
            let error = Point::parse(text, &Zone::default()).expect_err(text);
            assert_eq!(error.message(), format!("`{text}` is neither a version nor a time"));
        }
        let rome = Zone::parse("Europe/Rome").expect("a zone");
        let error = Point::parse("2026-03-29T02:30:00", &rome).expect_err("it never was");
        assert_eq!(error.facts()[0].1, "clocks were set forward");
        assert!(Zone::parse("Mars/Base").is_err());
    }
}
