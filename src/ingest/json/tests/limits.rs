//! Records that are long, deep or both.

use std::time::{Duration, Instant};

use super::*;

/// Reads within a time limit that quadratic work would exceed by far.
fn read_soon(options: Options, bytes: &[u8]) -> Outcome {
    let started = Instant::now();
    let outcome = read_in(&columns(), options, bytes, &[64 << 10]);
    // Quadratic time would be a quarter of an hour.
    assert!(started.elapsed() < Duration::from_secs(120), "took {:?}", started.elapsed());
    outcome
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    let array = read_soon(small(), deep("[", "]").as_bytes());
    assert_eq!(array.bad[0].reason, "a record must be an object, found an array");
    let open = read_soon(small(), "[".repeat(100_000).as_bytes());
    assert_eq!((open.bad.len(), open.bad[0].length), (1, 99_999));
    let objects = read_soon(small(), format!("{}\n{{\"a\":2}}", deep("{\"b\":", "}")).as_bytes());
    assert_eq!(objects.bad[0].reason, "field `b` is an object, expected a string");
    assert_eq!(objects.rows[0].values[0], "2");
    let unknown = read_soon(small(), format!("{{\"deep\":{},\"a\":1}}", deep("[", "]")).as_bytes());
    assert_eq!(unknown.rows[0].values[0], "1");
    let cut = read_soon(small(), "{\"a\":".repeat(100_000).as_bytes());
    assert_eq!((cut.rows.len(), cut.bad.len()), (0, 1));
}

#[test]
fn long_records_land_up_to_the_limit() {
    let options = Options { max_record: 1000, max_raw: 100, ..small() };
    let record = |length: usize| format!("{{\"a\":1,\"b\":\"{}\"}}", "x".repeat(length - 14));
    for lines in [false, true] {
        let next = if lines { "\n{\"a\":2}\n" } else { "{\"a\":2}" };
        for (length, lands) in [(999, true), (1000, true), (1001, false), (5000, false)] {
            let bytes = format!("{{\"a\":0}} {}{next}", record(length));
            let outcomes = [&[][..], &[1], &[7], &[999], &[1000]]
                .map(|sizes| read_in(&columns(), options, bytes.as_bytes(), sizes));
            let outcome = &outcomes[0];
            assert!(outcomes.iter().all(|other| other == outcome), "{length}: depends on the pieces");
            assert_eq!(outcome.rows.len(), if lands { 3 } else { 2 }, "{length}");
            if lands {
                assert_eq!((outcome.rows[1].length, outcome.rows[1].raw.len()), (length, 100));
            } else {
                let bad = &outcome.bad[0];
                assert_eq!((bad.offset, bad.length, bad.raw.len()), (8, length, 100));
                assert_eq!(bad.reason, "record is longer than 1000 bytes");
            }
        }
    }
}

#[test]
fn long_records_that_never_end() {
    let options = Options { max_record: 1000, max_raw: 100, ..small() };
    // An unclosed text ends with its line, an unclosed object with the file.
    let text = format!("{{\"b\":\"{}\n{{\"a\":2}}", "x".repeat(5000));
    let object = format!("{{\"b\":[{}\n{{\"a\":2}}", "1, ".repeat(5000));
    let number = format!("{}\n{{\"a\":2}}", "1".repeat(5000));
    let array =
        format!("[{{\"b\":[{{\n{}]}},{{\"a\":2}}]", "\"x\":0,\n".repeat(5000).trim_end_matches(",\n").to_owned() + "}");
    for (bytes, rows) in [(text, 1), (object, 0), (number, 1), (array, 1)] {
        let whole = read_in(&columns(), options, bytes.as_bytes(), &[]);
        assert_eq!(whole, read_in(&columns(), options, bytes.as_bytes(), &[1]));
        assert_eq!((whole.rows.len(), whole.bad.len()), (rows, 1), "{}", &bytes[..10]);
        assert!(whole.bad[0].length >= 5000);
    }
}

#[test]
fn the_largest_records_are_read_in_linear_time() {
    let size = 48 << 20;
    let record = format!("{{\"a\":1,\"b\":\"{}\"}}\n{{\"a\":2}}", "x".repeat(size));
    let outcome = read_soon(Options { batch_rows: 100, ..Options::default() }.with_raw(), record.as_bytes());
    assert_eq!(outcome.rows.len(), 2);
    let too_long = format!("{{\"a\":1,\"b\":\"{}\"}}\n{{\"a\":2}}", "x".repeat(80 << 20));
    let outcome = read_soon(Options::default().with_raw(), too_long.as_bytes());
    assert_eq!((outcome.rows.len(), outcome.bad[0].length), (1, (80 << 20) + 14));
    assert_eq!(outcome.bad[0].raw.len(), 1 << 20);
}

#[test]
fn garbage_is_read_in_linear_time() {
    for piece in [
        "{\"a\":\n",
        "{\"a\":[\n",
        "[{\n",
        "{\n",
        "{\"b\":\"\n",
        "[[",
        "\"",
        "\\",
        "{\"a\":1,\n {\"b\":\n",
        "\u{e9}\n",
        "{,",
    ] {
        let outcome = read_soon(Options::default().with_raw(), piece.repeat((4 << 20) / piece.len()).as_bytes());
        assert_eq!(outcome.rows.len(), 0, "{piece}");
    }
    let outcome = read_soon(Options::default().with_raw(), &b"{\"b\":\"\xFF\"}\n".repeat(100_000));
    assert_eq!(outcome.bad.len(), 100_000);
}

#[test]
fn unknown_names_are_bounded() {
    let record: String = (0..1500).map(|i| format!("\"field{i}\":0,")).collect();
    let record = format!("{{{record}\"{}\":0}}", "\u{e9}".repeat(500));
    let unknown = read_in(&columns(), small(), record.repeat(2).as_bytes(), &[]).counts.unknown_fields;
    assert_eq!((unknown.by_name.len(), unknown.other), (1000, 2 * 501));
    let long = format!("{{\"{}\":0}}", "\u{e9}".repeat(500));
    let unknown = read_in(&columns(), small(), long.as_bytes(), &[]).counts.unknown_fields;
    assert_eq!(unknown.by_name.keys().map(|name| name.chars().count()).collect::<Vec<_>>(), [100]);
}

impl Options {
    fn with_raw(self) -> Self {
        Self { keep_raw: true, ..self }
    }
}
