mod decoder;
mod framing;
mod limits;
mod nested;
mod new_fields;
mod properties;
mod sources;
mod values;

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::datatypes::Int64Type;
use deltalake::arrow::util::display::array_value_to_string;

use super::Json;
use super::reader::RecordReader;
use crate::definition::{Column, ColumnType};
use crate::ingest::format::{
    Counts, Decoder, FileFormat, FileReader, Landed, Options, Piece, Ready, RecordShape, quarantine_columns,
};

fn column(name: &str, column_type: ColumnType) -> Column {
    Column::new(name, column_type)
}

/// `a` long, `b` string.
fn columns() -> Vec<Column> {
    vec![column("a", ColumnType::Long), column("b", ColumnType::String)]
}

/// A landed row: offset, length, values as text ("" = NULL).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    offset: usize,
    raw: Vec<u8>,
    length: usize,
    values: Vec<String>,
}

/// A quarantined record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bad {
    offset: usize,
    length: usize,
    reason: String,
    raw: Vec<u8>,
}

/// The whole result of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    rows: Vec<Row>,
    bad: Vec<Bad>,
    counts: Counts,
}

/// Options under which batches are small and raw records are kept.
fn small() -> Options {
    Options { batch_rows: 3, keep_raw: true, ..Options::default() }
}

/// Takes the finished batches.
fn take(reader: &mut RecordReader, outcome: &mut Outcome) {
    while let Some(ready) = reader.next_batch().expect("a batch") {
        match ready {
            Ready::Landed(landed) => outcome.rows.extend(rows_of(&landed)),
            Ready::Quarantined(batch) => outcome.bad.extend(bad_of(&batch)),
        }
    }
}

/// Takes the rest of a file that was ended.
fn collect(mut reader: RecordReader, mut outcome: Outcome) -> Outcome {
    take(&mut reader, &mut outcome);
    let counts = reader.counts();
    assert_eq!(counts.landed, outcome.rows.len() as u64);
    assert_eq!(counts.quarantined, outcome.bad.len() as u64);
    assert_eq!(counts.records, counts.landed + counts.quarantined);
    Outcome { counts, ..outcome }
}

fn bad_of(batch: &RecordBatch) -> Vec<Bad> {
    assert_eq!(batch.num_columns(), quarantine_columns().len());
    let long = |column: usize| batch.column(column).as_primitive::<Int64Type>();
    (0..batch.num_rows())
        .map(|row| {
            assert_eq!(batch.column(0).as_string::<i32>().value(row), "dir/a.json");
            Bad {
                offset: long(1).value(row) as usize,
                length: long(2).value(row) as usize,
                reason: batch.column(3).as_string::<i32>().value(row).to_owned(),
                raw: batch.column(4).as_binary::<i32>().value(row).to_vec(),
            }
        })
        .collect()
}

fn rows_of(landed: &Landed) -> Vec<Row> {
    let batch = &landed.batch;
    let last = batch.num_columns() - 1;
    let raw = landed.raw.as_ref().expect("raw was asked for");
    (0..batch.num_rows())
        .map(|row| {
            assert_eq!(batch.column(last - 1).as_string::<i32>().value(row), "dir/a.json");
            Row {
                offset: batch.column(last).as_primitive::<Int64Type>().value(row) as usize,
                raw: raw.bytes.value(row).to_vec(),
                length: raw.lengths.value(row) as usize,
                values: values_of(batch, row, last - 1),
            }
        })
        .collect()
}

/// The first columns of a row as text; NULL is `-`.
fn values_of(batch: &RecordBatch, row: usize, columns: usize) -> Vec<String> {
    let text = |array: &dyn Array| {
        if array.is_null(row) { "-".to_owned() } else { array_value_to_string(array, row).expect("printable") }
    };
    (0..columns).map(|column| text(batch.column(column).as_ref())).collect()
}

/// Reads a file pushed in pieces of these sizes, repeatedly.
fn read_in(columns: &[Column], options: Options, bytes: &[u8], sizes: &[usize]) -> Outcome {
    read_shaped(&RecordShape::plain(columns), options, bytes, sizes)
}

/// The same for a table that names the fields of its columns.
fn read_shaped(shape: &RecordShape, options: Options, bytes: &[u8], sizes: &[usize]) -> Outcome {
    let mut reader = RecordReader::new(shape, "dir/a.json", options);
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    let mut outcome = Outcome::default();
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |n| (*n).clamp(1, rest.len()));
        reader.push(&rest[..size]);
        take(&mut reader, &mut outcome);
        rest = &rest[size..];
    }
    reader.finish();
    collect(reader, outcome)
}

/// Reads a file whole, and checks that pieces of 1 and of 7 bytes give the same.
fn read(columns: &[Column], bytes: &[u8]) -> Outcome {
    let whole = read_in(columns, small(), bytes, &[]);
    assert_eq!(whole, read_in(columns, small(), bytes, &[1]), "byte by byte");
    assert_eq!(whole, read_in(columns, small(), bytes, &[7]), "7 bytes at a time");
    check_coverage(bytes, &whole);
    whole
}

/// Every byte that is neither blank nor a separator is in exactly one record.
fn check_coverage(bytes: &[u8], outcome: &Outcome) {
    let mut records: Vec<(usize, usize)> = outcome.rows.iter().map(|r| (r.offset, r.length)).collect();
    records.extend(outcome.bad.iter().map(|b| (b.offset, b.length)));
    records.sort_unstable();
    let mut at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    for (offset, length) in records {
        assert!(offset >= at, "records overlap at {offset}");
        check_between(&bytes[at..offset]);
        at = offset + length;
    }
    check_between(&bytes[at..]);
    for row in &outcome.rows {
        assert_eq!(row.raw, bytes[row.offset..row.offset + row.length], "the row's bytes are the file's");
    }
    for bad in &outcome.bad {
        let kept = bad.raw.len();
        assert!(kept == bad.length || kept == small().max_raw, "what is kept of the record");
        assert_eq!(bad.raw, bytes[bad.offset..bad.offset + kept], "the record's bytes are the file's");
    }
}

fn check_between(mut bytes: &[u8]) {
    const SEPARATORS: [&[u8]; 12] =
        [b" ", b"\t", b"\r", b"\n", b",", b"[", b"]", b"\x1e", b"\0", b"\\n", b"\\r", b"\xEF\xBB\xBF"];
    while !bytes.is_empty() {
        let next = SEPARATORS.iter().find_map(|s| bytes.strip_prefix(*s)).or_else(|| bytes.strip_prefix(b"\\t"));
        bytes = next.unwrap_or_else(|| panic!("a byte is in no record: {}", String::from_utf8_lossy(bytes)));
    }
}

/// Prints the speed of one core; run by hand with `--ignored --nocapture`. A record with an exponent in its first number
/// is read by the general reader instead of `plain`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let columns = [
        column("x", ColumnType::Double),
        column("y", ColumnType::Double),
        column("z", ColumnType::Double),
        column("user", ColumnType::String),
        column("timestamp", ColumnType::Long),
    ];
    let rest = "\"y\":-1.0,\"z\":-1.0,\"user\":\"Santosh.Clayton@test.com\",\"timestamp\":1655564444103}";
    for (reader, x) in [("plain", "1.0"), ("general", "1e0")] {
        let object = format!("{{\"x\":{x},{rest}");
        for (name, begin, separator) in [("lines", "", "\n"), ("concatenated", "", ""), ("array", "[", ",\n")] {
            let (bytes, records, seconds) = timed(&columns, begin, &format!("{object}{separator}"));
            let (speed, each) = (bytes / 1e6 / seconds, seconds * 1e9 / records);
            eprintln!("{reader}, {name}: {speed:.0} MB/s, {each:.0} ns a record");
        }
    }
}

/// Reads half a gigabyte of copies of one record; returns bytes, records and seconds.
fn timed(columns: &[Column], begin: &str, record: &str) -> (f64, f64, f64) {
    let chunk = record.repeat(40_000);
    let mut reader = RecordReader::new(&RecordShape::plain(columns), "a.json", Options::default());
    reader.push(begin.as_bytes());
    let started = std::time::Instant::now();
    let mut bytes = 0;
    while bytes < 512 << 20 {
        reader.push(chunk.as_bytes());
        bytes += chunk.len();
        while reader.next_batch().expect("a batch").is_some() {}
    }
    let seconds = started.elapsed().as_secs_f64();
    let counts = reader.counts();
    assert_eq!(counts.quarantined, 0);
    (bytes as f64, counts.landed as f64, seconds)
}
