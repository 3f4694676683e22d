//! Fields into columns.

use super::*;

/// A field value in a column of a type: the stored value as text, or the reason.
pub(super) fn value(column_type: &ColumnType, json: &str) -> Result<String, String> {
    let record = format!("{{\"v\": {json} }}");
    let columns = [column("v", column_type.clone())];
    let one = Json.read_one(&RecordShape::plain(&columns), "f", 7, record.as_bytes(), Options::default());
    // The reader and the replay of quarantine follow the same rules.
    let outcome = read(&columns, record.as_bytes());
    match one {
        Ok(batch) => {
            let values = values_of(&batch, 0, 1);
            assert_eq!(outcome.rows[0].values, values);
            Ok(values[0].clone())
        }
        Err(reason) => {
            assert_eq!(outcome.bad[0].reason, reason);
            Err(reason)
        }
    }
}

#[track_caller]
pub(super) fn lands(column_type: &ColumnType, json: &str, expected: &str) {
    assert_eq!(value(column_type, json).as_deref(), Ok(expected), "{json}");
}

#[track_caller]
pub(super) fn refused(column_type: &ColumnType, json: &str, expected: &str) {
    assert_eq!(value(column_type, json), Err(format!("field `v` {expected}")), "{json}");
}

#[test]
fn strings() {
    lands(&ColumnType::String, r#""plain \"quoted\" \\ \u00e9 \ud83d\ude00""#, "plain \"quoted\" \\ \u{e9} \u{1f600}");
    lands(&ColumnType::String, r#""a\u0000b""#, "a\0b");
    lands(&ColumnType::String, "\"\"", "");
    lands(&ColumnType::String, "null", "-");
    refused(&ColumnType::String, r#""\ud800""#, "is a string with a lone surrogate, expected a string");
    refused(&ColumnType::String, r#""\udc00x""#, "is a string with a lone surrogate, expected a string");
    refused(&ColumnType::String, "1", "is a number, expected a string");
    refused(&ColumnType::String, "true", "is a boolean, expected a string");
    refused(&ColumnType::String, "{}", "is an object, expected a string");
    refused(&ColumnType::String, "[\"a\"]", "is an array, expected a string");
}

#[test]
fn integers() {
    for (json, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1.5e1", "15"),
        ("1200e-2", "12"),
        ("0.000e99999999999999999999", "0"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("922337203685477580.7e1", "9223372036854775807"),
    ] {
        lands(&ColumnType::Long, json, expected);
    }
    for json in [
        "9223372036854775808",
        "-9223372036854775809",
        "1e19",
        "1e99999999999999999999",
        "123456789012345678901234567890123456789012345",
    ] {
        refused(&ColumnType::Long, json, "is out of range for the type long");
    }
    for json in ["1.5", "1e-1", "9223372036854775807.5", "1e-99999999999999999999"] {
        refused(&ColumnType::Long, json, "is a number with a fraction, expected an integer");
    }
    refused(&ColumnType::Long, "\"1\"", "is a string, expected an integer");
    refused(&ColumnType::Long, "true", "is a boolean, expected an integer");
    lands(&ColumnType::Integer, "-2147483648", "-2147483648");
    refused(&ColumnType::Integer, "2147483648", "is out of range for the type integer");
    lands(&ColumnType::Short, "32767", "32767");
    refused(&ColumnType::Short, "32768", "is out of range for the type short");
    lands(&ColumnType::Byte, "-128", "-128");
    refused(&ColumnType::Byte, "128", "is out of range for the type byte");
}

#[test]
fn doubles() {
    let double = |json: &str| {
        let batch = Json.read_one(
            &RecordShape::plain(&[column("v", ColumnType::Double)]),
            "f",
            0,
            format!("{{\"v\":{json}}}").as_bytes(),
            Options::default(),
        )?;
        Ok::<_, String>(batch.column(0).as_primitive::<deltalake::arrow::datatypes::Float64Type>().value(0))
    };
    for json in [
        "0",
        "-0",
        "-0.0",
        "0.1",
        "1.0",
        "-1.0",
        "123456789012345",
        "12345678901234.5",
        "0.123456789012345",
        "1e308",
        "1e23",
        "5e-324",
        "1e-400",
        "9007199254740993.5",
        "0.30000000000000004",
        "9007199254740992",
        "-9007199254740994",
        "100000000000000000000",
        "1208925819614629174706176",
        "179769313486231570e291",
    ] {
        let expected: f64 = json.parse().expect("a number");
        assert_eq!(double(json).map(f64::to_bits), Ok(expected.to_bits()), "{json}");
    }
    let exactly = format!("{:.0}", f64::MAX);
    assert_eq!(double(&exactly), Ok(f64::MAX));
    for json in ["9007199254740993", "-9007199254740993", "100000000000000000001", "9223372036854775807"] {
        refused(&ColumnType::Double, json, "is a number that the type double cannot hold exactly");
    }
    refused(&ColumnType::Double, "1e309", "is out of range for the type double");
    refused(&ColumnType::Double, &"9".repeat(400), "is out of range for the type double");
    refused(&ColumnType::Double, "\"1.0\"", "is a string, expected a number");
}

#[test]
fn floats() {
    lands(&ColumnType::Float, "0.1", "0.1");
    lands(&ColumnType::Float, "0.5", "0.5");
    lands(&ColumnType::Float, "16777216", "16777216.0");
    lands(&ColumnType::Float, "3.4028235e38", "3.4028235e38");
    for json in ["0.123456789", "16777217", "16777217.0", "1e-60"] {
        refused(&ColumnType::Float, json, "is a number that the type float cannot hold exactly");
    }
    refused(&ColumnType::Float, "1e39", "is out of range for the type float");
}

#[test]
fn decimals() {
    let money = ColumnType::Decimal(5, 2);
    for (json, expected) in
        [("1", "1.00"), ("-1.5", "-1.50"), ("999.99", "999.99"), ("1.500", "1.50"), ("12e1", "120.00"), ("0.0", "0.00")]
    {
        lands(&money, json, expected);
    }
    refused(&money, "1000", "is out of range for the type decimal(5,2)");
    refused(&money, "1e40", "is out of range for the type decimal(5,2)");
    refused(&money, "0.001", "has too many decimal places, expected at most 2");
    refused(&money, "\"1.00\"", "is a string, expected a number");
    let nines = "9".repeat(38);
    lands(&ColumnType::Decimal(38, 0), &nines, &nines);
    refused(&ColumnType::Decimal(38, 0), &format!("1{}", "0".repeat(38)), "is out of range for the type decimal(38,0)");
}

#[test]
fn booleans_and_binaries() {
    lands(&ColumnType::Boolean, "true", "true");
    lands(&ColumnType::Boolean, "false", "false");
    refused(&ColumnType::Boolean, "1", "is a number, expected true or false");
    refused(&ColumnType::Boolean, "\"true\"", "is a string, expected true or false");
    for (json, hex) in
        [("\"\"", ""), ("\"AA==\"", "00"), ("\"AAE=\"", "0001"), ("\"+/8A\"", "fbff00"), ("\"\\u0041A==\"", "00")]
    {
        lands(&ColumnType::Binary, json, hex);
    }
    for json in ["\"A\"", "\"AA\"", "\"AA=A\"", "\"AB==\"", "\"====\"", "\"A===\"", "\"-_8A\"", "\"AA==AA==\""] {
        refused(&ColumnType::Binary, json, "is not base64, expected a base64 string");
    }
}

#[test]
fn dates_and_times() {
    lands(&ColumnType::Date, "\"1970-01-01\"", "1970-01-01");
    lands(&ColumnType::Date, "\"2024-02-29\"", "2024-02-29");
    for json in ["\"2023-02-29\"", "\"2024-2-29\"", "\"2024-02-29T00:00:00Z\"", "\"+024-02-29\"", "\"\""] {
        refused(&ColumnType::Date, json, "is a string that is not a date, expected a string YYYY-MM-DD");
    }
    refused(&ColumnType::Date, "19000", "is a number, expected a string YYYY-MM-DD");
    lands(&ColumnType::Timestamp, "\"2024-02-29T12:30:00Z\"", "2024-02-29T12:30:00Z");
    lands(&ColumnType::Timestamp, "\"2024-02-29T12:30:00.125+02:00\"", "2024-02-29T10:30:00.125Z");
    lands(&ColumnType::Timestamp, "\"2024-02-29T12:30:00.125000000Z\"", "2024-02-29T12:30:00.125Z");
    lands(&ColumnType::Timestamp, "\"1969-12-31T23:59:59.999Z\"", "1969-12-31T23:59:59.999Z");
    let shape = "expected an RFC 3339 string of at most milliseconds";
    for json in ["\"2024-02-29T12:30:00\"", "\"2024-02-29\"", "\"2024-02-30T00:00:00Z\"", "\"noon\""] {
        refused(&ColumnType::Timestamp, json, &format!("is a string that is not an RFC 3339 time, {shape}"));
    }
    refused(
        &ColumnType::Timestamp,
        "\"2024-02-29T12:30:00.1251Z\"",
        &format!("is a time finer than milliseconds, {shape}"),
    );
    refused(&ColumnType::Timestamp, "\"2016-12-31T23:59:60Z\"", &format!("is a leap second, {shape}"));
    refused(&ColumnType::Timestamp, "1655564444103", &format!("is a number, {shape}"));
}

#[test]
fn json_lands_as_it_stands() {
    for json in [
        "1.50",
        "-0",
        "1e400",
        "true",
        "\"a\\u0062 \\ud800\"",
        "{ \"a\" : [1,\n2] }",
        "[]",
        "{\"a\":1,\"a\":2}",
        "\"null\"",
    ] {
        lands(&ColumnType::Json, json, json);
    }
    lands(&ColumnType::Json, " null ", "-");
    lands(&ColumnType::parse("array<json>").expect("a type"), "[1 , null,{\"a\": 1}]", "[1, , {\"a\": 1}]");
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    lands(&ColumnType::Json, &deep, &deep);
}

#[test]
fn times_that_are_numbers() {
    use crate::definition::TimeFormat::{EpochMicros, EpochMillis, EpochSeconds};
    let at = |times, json: &str| {
        let mut shape = RecordShape::plain(&[column("v", ColumnType::parse("array<timestamp>").expect("a type"))]);
        shape.readings[0] = shape.readings[0].clone().with_times(times);
        let record = format!("{{\"v\":[{json}]}}");
        let batch = Json.read_one(&shape, "f", 0, record.as_bytes(), Options::default())?;
        Ok::<_, String>(values_of(&batch, 0, 1).remove(0))
    };
    for (times, json, expected) in [
        (EpochSeconds, "0", "1970-01-01T00:00:00Z"),
        (EpochSeconds, "1655564444.103", "2022-06-18T15:00:44.103Z"),
        (EpochSeconds, "1.655564444103001e9", "2022-06-18T15:00:44.103001Z"),
        (EpochSeconds, "-0.000001", "1969-12-31T23:59:59.999999Z"),
        (EpochSeconds, "253402300799.999999", "9999-12-31T23:59:59.999999Z"),
        (EpochSeconds, "-62167219200", "0000-01-01T00:00:00Z"),
        (EpochMillis, "1655564444103", "2022-06-18T15:00:44.103Z"),
        (EpochMillis, "1655564444103.250", "2022-06-18T15:00:44.103250Z"),
        (EpochMillis, "1655564444103.2500000", "2022-06-18T15:00:44.103250Z"),
        (EpochMicros, "1655564444103001", "2022-06-18T15:00:44.103001Z"),
        (EpochMicros, "9007199254740993", "2255-06-05T23:47:34.740993Z"),
        (EpochMicros, "null", ""),
    ] {
        assert_eq!(at(times, json), Ok(format!("[{expected}]")), "{json}");
    }
    let shape = "expected a number of";
    for (times, json, expected) in [
        (EpochSeconds, "1655564444103", format!("is a time outside the years 0 to 9999, {shape} seconds since 1970")),
        (
            EpochMillis,
            "253402300800000",
            format!("is a time outside the years 0 to 9999, {shape} milliseconds since 1970"),
        ),
        (
            EpochMillis,
            "-62167219200000.001",
            format!("is a time outside the years 0 to 9999, {shape} milliseconds since 1970"),
        ),
        (EpochMicros, "1e99", format!("is a time outside the years 0 to 9999, {shape} microseconds since 1970")),
        (EpochSeconds, "0.0000001", format!("is a time finer than microseconds, {shape} seconds since 1970")),
        (EpochMicros, "0.5", format!("is a time finer than microseconds, {shape} microseconds since 1970")),
        (EpochMillis, "\"1655564444103\"", format!("is a string, {shape} milliseconds since 1970")),
    ] {
        assert_eq!(at(times, json), Err(format!("field `v[1]` {expected}")), "{json}");
    }
}

#[test]
fn fields_match_ignoring_case_and_order() {
    let columns = [column("serialnumber", ColumnType::String), column("a", ColumnType::Long)];
    let outcome = read(
        &columns,
        br#"{"A":1,"serialNumber":"x","More":[{}]} {"\u0041":2,"SERIALNUMBER":null} {"more":1,"More":2}"#,
    );
    let values: Vec<_> = outcome.rows.iter().map(|r| r.values.join("|")).collect();
    assert_eq!(values, ["x|1", "-|2", "-|-"]);
    let unknown = outcome.counts.unknown_fields;
    assert_eq!(unknown.by_name.into_iter().collect::<Vec<_>>(), [("More".to_owned(), 2), ("more".to_owned(), 1)]);
    assert_eq!(unknown.other, 0);
}

#[test]
fn fields_that_are_there_twice() {
    let outcome = read(&columns(), br#"{"a":1,"a":1}{"b":"x","a":null,"B":"y"}{"a":1,"A":{"deep":[1]},"z":0}{"a":1}"#);
    let reasons: Vec<_> = outcome.bad.iter().map(|b| b.reason.as_str()).collect();
    assert_eq!(reasons, ["field `a` is there twice", "field `b` is there twice", "field `a` is there twice"]);
    assert_eq!(outcome.rows.len(), 1);
    assert_eq!(outcome.counts.unknown_fields.by_name.len(), 0, "only landed records drop values");
}

#[test]
fn values_that_must_be_there() {
    let columns = [Column { nullable: false, ..column("email", ColumnType::String) }, column("a", ColumnType::Long)];
    let outcome = read(&columns, br#"{"a":1}{"email":null,"a":2}{"email":"x"}{"a":"x"}"#);
    let reasons: Vec<_> = outcome.bad.iter().map(|b| b.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "field `email` is missing, expected a value",
            "field `email` is null, expected a value",
            "field `a` is a string, expected an integer"
        ]
    );
    assert_eq!(outcome.rows[0].values, ["x", "-"]);
    assert_eq!(outcome.counts.examples.len(), 3);
    assert_eq!(outcome.counts.examples[1], (7, reasons[1].to_owned()));
}

#[test]
fn a_lone_surrogate_in_a_name() {
    let outcome = read(&columns(), b"{\"\\ud800\":1,\n\"b\":\n{}}{\"a\":1}");
    assert_eq!(outcome.bad[0].reason, "not JSON: unexpected end of hex escape");
    assert_eq!((outcome.bad[0].length, outcome.rows.len()), (21, 1));
}

#[test]
fn one_record_again() {
    let one = |record: &str| {
        Json.read_one(&RecordShape::plain(&columns()), "dir/f.json", 41, record.as_bytes(), Options::default())
    };
    let batch = one(" {\"a\":1}\r\n").expect("a record");
    assert_eq!(values_of(&batch, 0, 4), ["1", "-", "dir/f.json", "41"]);
    for (record, reason) in [
        ("", "record is cut off"),
        ("{\"a\":1", "record is cut off"),
        ("{\"a\":1}{}", "not JSON: expected the record's end at byte 7"),
        ("[{\"a\":1}]", "a record must be an object, found an array"),
        ("a,b", "not JSON: expected value at byte 0"),
        ("{\"a\":x}", "not JSON: expected value"),
        ("{\"a\":\"x\"}", "field `a` is a string, expected an integer"),
    ] {
        assert_eq!(one(record).map(|_| ()), Err(reason.to_owned()), "{record}");
    }
    let invalid = Json.read_one(&RecordShape::plain(&columns()), "f", 0, b"{\"b\":\"\xFF\"}", Options::default());
    assert_eq!(invalid.map(|_| ()), Err("not UTF-8 at byte 6".to_owned()));
}
