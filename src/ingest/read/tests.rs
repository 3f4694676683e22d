use deltalake::arrow::array::{Array, AsArray};
use deltalake::arrow::datatypes::{Float64Type, Int64Type};

use super::*;
use crate::definition::{Column, ColumnType};

fn column(name: &str, column_type: ColumnType, nullable: bool) -> Column {
    Column { name: name.into(), column_type, nullable, description: String::new(), pii: false }
}

fn readings() -> Vec<Column> {
    vec![
        column("user", ColumnType::String, true),
        column("timestamp", ColumnType::Long, true),
        column("x", ColumnType::Double, true),
        column("y", ColumnType::Double, true),
        column("z", ColumnType::Double, true),
    ]
}

/// Prints the speed of one core; run by hand with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let line = "{\"user\":\"Santosh.Clayton@test.com\",\"timestamp\":1655564444103,\"x\":1.0,\"y\":-1.0,\"z\":-1.0}\n";
    let chunk = line.repeat(4 << 20 >> 7);
    for name in ["ndjson", "array"] {
        let mut reader = RecordReader::new(&readings(), "a.json", Options::default());
        let started = std::time::Instant::now();
        let mut bytes = 0;
        while bytes < 512 << 20 {
            reader.push(chunk.as_bytes()).expect("push");
            bytes += chunk.len();
            while reader.next_landed().is_some() {}
        }
        reader.finish().expect("finish");
        let seconds = started.elapsed().as_secs_f64();
        assert_eq!(reader.counts().quarantined, 0);
        eprintln!(
            "{name}: {:.0} MB/s, {:.0} ns a record",
            bytes as f64 / 1e6 / seconds,
            seconds * 1e9 / reader.counts().landed as f64
        );
    }
}
