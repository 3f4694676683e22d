//! Compared with dates computed by hand, at both ends of the calendar.

use std::sync::Arc;

use deltalake::arrow::array::{Array, RecordBatch, StringArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use deltalake::arrow::util::display::array_value_to_string;
use deltalake::datafusion::prelude::SessionContext;

use super::functions;

/// A query over the moments 0001-01-01, 1600-02-29 13:14:15.123, 2024-07-01 18:00 and 9999-12-31 23:59:59.999, in UTC.
async fn asked(sql: &str) -> Vec<String> {
    let session = SessionContext::new();
    for function in functions() {
        session.register_udf(function.as_ref().clone());
    }
    let texts = StringArray::from(vec![
        "0001-01-01T00:00:00Z",
        "1600-02-29T13:14:15.123Z",
        "2024-07-01T18:00:00Z",
        "9999-12-31T23:59:59.999Z",
    ]);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let times = cast(&texts, &utc).expect("timestamps");
    let schema = Schema::new(vec![Field::new("s", DataType::Utf8, true), Field::new("at", utc, true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts), times]).expect("rows");
    session.register_batch("t", batch).expect("registered");
    let frame = session.sql(&format!("select {sql} as x from t")).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let shown = |batch: &RecordBatch| -> Vec<String> {
        let column = batch.column(0);
        (0..column.len()).map(|row| array_value_to_string(column, row).expect("text")).collect()
    };
    batches.iter().flat_map(shown).collect()
}

#[tokio::test]
async fn times_of_every_year_are_truncated_binned_shown_and_read() {
    for (sql, expected) in [
        (
            "date_trunc('year', at)",
            ["0001-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "9999-01-01T00:00:00Z"],
        ),
        (
            "date_trunc('quarter', at)",
            ["0001-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "2024-07-01T00:00:00Z", "9999-10-01T00:00:00Z"],
        ),
        (
            "date_trunc('month', at)",
            ["0001-01-01T00:00:00Z", "1600-02-01T00:00:00Z", "2024-07-01T00:00:00Z", "9999-12-01T00:00:00Z"],
        ),
        (
            "date_trunc('week', at)",
            ["0001-01-01T00:00:00Z", "1600-02-28T00:00:00Z", "2024-07-01T00:00:00Z", "9999-12-27T00:00:00Z"],
        ),
        (
            "date_trunc('second', at)",
            ["0001-01-01T00:00:00Z", "1600-02-29T13:14:15Z", "2024-07-01T18:00:00Z", "9999-12-31T23:59:59Z"],
        ),
        (
            "date_bin(interval '6 hours', at)",
            ["0001-01-01T00:00:00Z", "1600-02-29T12:00:00Z", "2024-07-01T18:00:00Z", "9999-12-31T18:00:00Z"],
        ),
        (
            "date_bin(interval '3 months', at, timestamp '2000-02-15')",
            ["0000-11-15T00:00:00Z", "1600-02-15T00:00:00Z", "2024-05-15T00:00:00Z", "9999-11-15T00:00:00Z"],
        ),
        ("to_char(at, '%Y %j')", ["0001 001", "1600 060", "2024 183", "9999 365"]),
        (
            "to_timestamp(s)",
            ["0001-01-01T00:00:00", "1600-02-29T13:14:15.123", "2024-07-01T18:00:00", "9999-12-31T23:59:59.999"],
        ),
        (
            "to_timestamp_millis(replace(s, 'T', ' at '), '%Y-%m-%d at %H:%M:%S%.fZ')",
            ["0001-01-01T00:00:00", "1600-02-29T13:14:15.123", "2024-07-01T18:00:00", "9999-12-31T23:59:59.999"],
        ),
        (
            "date_trunc('second', to_timestamp(extract(epoch from at)))",
            ["0001-01-01T00:00:00", "1600-02-29T13:14:15", "2024-07-01T18:00:00", "9999-12-31T23:59:59"],
        ),
        (
            "to_timestamp_millis(cast(extract(epoch from at) as bigint) * 1000)",
            ["0001-01-01T00:00:00", "1600-02-29T13:14:16", "2024-07-01T18:00:00", "9999-12-31T23:59:59"],
        ),
    ] {
        assert_eq!(asked(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_zone_truncates_what_its_clocks_show() {
    for (moment, granularity, zone, expected) in [
        ("2024-07-01T02:30:00Z", "day", "America/Denver", "2024-06-30T00:00:00-06:00"),
        ("2024-07-01T02:30:00Z", "month", "America/Denver", "2024-06-01T00:00:00-06:00"),
        ("2024-07-01T18:20:00Z", "hour", "Asia/Kathmandu", "2024-07-02T00:00:00+05:45"),
        // The hour that occurs twice.
        ("2024-11-03T07:30:00Z", "hour", "America/Denver", "2024-11-03T01:00:00-06:00"),
        ("2024-11-03T08:30:00Z", "hour", "America/Denver", "2024-11-03T01:00:00-07:00"),
        ("9999-12-31T03:00:00Z", "year", "Europe/Paris", "9999-01-01T00:00:00+01:00"),
        ("0001-01-01T12:00:00Z", "day", "UTC", "0001-01-01T00:00:00Z"),
    ] {
        let sql =
            format!("date_trunc('{granularity}', arrow_cast('{moment}', 'Timestamp(Microsecond, Some(\"{zone}\"))'))");
        assert_eq!(asked(&sql).await[0], expected, "{sql}");
    }
}

#[tokio::test]
async fn numbers_are_read_to_the_microsecond() {
    for (sql, expected) in [
        ("to_timestamp(0)", "1970-01-01T00:00:00"),
        ("to_timestamp(1.5)", "1970-01-01T00:00:01.500"),
        ("to_timestamp(arrow_cast(1.000001, 'Decimal128(10, 6)'))", "1970-01-01T00:00:01.000001"),
        ("to_timestamp_millis(-1)", "1969-12-31T23:59:59.999"),
        // Parts finer than the function's unit are truncated, as in the engine.
        ("to_timestamp_seconds('2024-07-01T18:00:00.5Z')", "2024-07-01T18:00:00"),
        ("to_timestamp_seconds(1.7)", "1970-01-01T00:00:01"),
        ("to_timestamp_millis('2024-07-01T18:00:00.123456Z')", "2024-07-01T18:00:00.123"),
        ("to_unixtime('9999-12-31T00:00:00Z')", "253402214400"),
        ("to_unixtime('0001-01-01T00:00:00Z')", "-62135596800"),
        ("to_unixtime('2024-07-01', '%Y-%m-%d')", "1719792000"),
        ("to_timestamp_nanos(-1)", "1969-12-31T23:59:59.999999"),
        ("to_timestamp('2024-07-01 12:00 America/Denver', '%Y-%m-%d %H:%M %Z')", "2024-07-01T18:00:00"),
        ("to_timestamp('07/01/2024', '%Y', '%m/%d/%Y')", "2024-07-01T00:00:00"),
    ] {
        assert_eq!(asked(sql).await[0], expected, "{sql}");
    }
}

/// A result beyond the calendar, or a stride beyond it, is an error and not another time.
#[tokio::test]
async fn what_is_beyond_the_calendar_is_said() {
    let beyond = "arrow_cast(8210266876799999999, 'Timestamp(Microsecond, Some(\"Asia/Tokyo\"))')";
    for sql in [
        format!("date_trunc('day', {beyond})"),
        "date_bin(interval '213503983 days', at)".to_owned(),
        "date_bin(interval '106751992 days', at)".to_owned(),
        "to_timestamp(9300000000000)".to_owned(),
    ] {
        let session = SessionContext::new();
        for function in functions() {
            session.register_udf(function.as_ref().clone());
        }
        let from = "(select to_timestamp('2024-07-01T18:00:00Z') as at) as t";
        let frame = session.sql(&format!("select {sql} as x from {from}")).await.expect("a plan");
        let error = frame.collect().await.expect_err(&sql).to_string();
        assert!(error.contains("out of range") || error.contains("is no timestamp"), "{sql}: {error}");
    }
}

#[test]
fn every_function_keeps_its_name() {
    let names: Vec<String> = functions().iter().map(|function| function.name().to_owned()).collect();
    for name in ["date_trunc", "date_bin", "to_char", "to_timestamp", "to_timestamp_millis", "lower"] {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}
