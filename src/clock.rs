//! The only place that asks what time it is or draws a random number.

use chrono::{DateTime, SecondsFormat, Utc};

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}

/// The time of day, for expiries.
#[must_use]
pub fn system_time() -> std::time::SystemTime {
    Utc::now().into()
}

/// A new run id: a UUIDv7, so that ids sort by time.
#[must_use]
pub fn run_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// A random UUIDv4, for table ids and file names.
#[must_use]
pub fn random_uuid() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// `2026-11-23T08:14:02.120Z`, for a time in milliseconds since the epoch.
#[must_use]
pub fn rfc3339(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}
