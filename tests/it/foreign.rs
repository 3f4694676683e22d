//! Files of other engines in our tables are read with their meaning.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use deltalake::parquet::data_type::{ByteArrayType, Int64Type, Int96, Int96Type};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::parquet::file::writer::SerializedFileWriter;
use deltalake::parquet::schema::parser::parse_message_type;

use crate::support::Lake;
use crate::support::shop::derived;

const THINGS: &str = "description = \"Things\"\n[source]\npath = \"things/*.json\"\nformat = \"json\"\n\
     [columns]\nid = \"long\"\nmoment = \"timestamp\"\n";

/// Two rows as Spark writes them by default: times as a Julian day and nanoseconds of the day, in 96 bits.
fn write_as_spark_does(file: &Path, ids: [i64; 2], days: [u32; 2]) -> u64 {
    let message = "message spark_schema { optional int64 id; optional int96 moment; \
                   required binary source_file (UTF8); required int64 source_offset; }";
    let schema = Arc::new(parse_message_type(message).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(fs::File::create(file).unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&ids, Some(&[1, 1]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    // Noon and a microsecond.
    let nanoseconds = 43_200_000_001_000_u64;
    let time = |day: u32| {
        let mut time = Int96::new();
        time.set_data((nanoseconds & 0xFFFF_FFFF) as u32, (nanoseconds >> 32) as u32, day);
        time
    };
    column.typed::<Int96Type>().write_batch(&days.map(time), Some(&[1, 1]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&["spark".into(), "spark".into()], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[0, 1], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    fs::metadata(file).unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_spark_wrote_in_96_bits_keep_their_century() {
    let lake = Lake::project(&[
        ("tables/landing/things.toml", THINGS),
        ("tables/trusted/late.toml", &derived("incremental")),
        ("tables/trusted/late.sql", "select t.id, t.moment from things t where t.id < 3"),
    ]);
    lake.land("things/a.json", "{\"id\": 0, \"moment\": \"2026-11-24T12:00:00Z\"}\n");
    lake.sync().await;
    let table = lake.warehouse().join("landing/things");
    // 9999-12-31 and 1582-10-15, at noon.
    let size = write_as_spark_does(&table.join("spark.snappy.parquet"), [1, 2], [5_373_484, 2_299_161]);
    let add = format!(
        "{{\"add\":{{\"path\":\"spark.snappy.parquet\",\"partitionValues\":{{}},\"size\":{size},\
         \"modificationTime\":0,\"dataChange\":true}}}}\n"
    );
    fs::write(table.join("_delta_log/00000000000000000001.json"), add).unwrap();
    lake.sync().await;
    let expected = ["0|2026-11-24T12:00:00Z", "1|9999-12-31T12:00:00.000001Z", "2|1582-10-15T12:00:00.000001Z"];
    for table in ["things", "late"] {
        assert_eq!(lake.rows(&format!("select id, moment from {table}")).await, expected, "{table}");
    }
    // A change of the same file rewrites it: row by row, by another reader.
    lake.define("tables/landing/things.toml", &THINGS.replace("format", "on_overwrite = \"replace\"\nformat"));
    lake.land("things/a.json", "{\"id\": 7, \"moment\": \"2026-11-24T12:00:00Z\"}\n");
    lake.sync().await;
    assert_eq!(lake.rows("select id, moment from late").await, expected[1..]);
    lake.assert_recomputed().await;
}

/// Adds a commit that switches table features on.
fn switch_on(table: &Path, version: u64, features: &[&str]) {
    let features: Vec<String> = features.iter().map(|f| format!("\"{f}\"")).collect();
    let features = features.join(",");
    let protocol = format!(
        "{{\"protocol\":{{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[{features}],\
         \"writerFeatures\":[{features}]}}}}\n"
    );
    fs::write(table.join(format!("_delta_log/{version:020}.json")), protocol).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_athena_could_not_read_is_not_committed_to() {
    let lake = Lake::project(&[("tables/landing/things.toml", THINGS)]);
    lake.land("things/a.json", "{\"id\": 0, \"moment\": \"2026-11-24T12:00:00Z\"}\n");
    lake.sync().await;
    let table = lake.warehouse().join("landing/things");
    switch_on(&table, 1, &["v2Checkpoint"]);
    lake.land("things/b.json", "{\"id\": 1, \"moment\": \"2026-11-24T12:00:00Z\"}\n");
    let outcome = lake.try_sync().await;
    let Some(stedi_delta::outcome::Problem::Failed(error)) = &outcome.tables[0].problem else { panic!("{outcome:?}") };
    assert!(
        error.message().ends_with("would not be readable by Athena: table feature `v2Checkpoint` is on"),
        "{error}"
    );
    assert!(error.next().unwrap().contains("DROP FEATURE"), "{error}");
    assert_eq!(lake.count("select count(*) from files where path like '%b.json'").await, 0, "no batch is left open");
    let checked = stedi_delta::register::check(&lake.workspace().await).await.unwrap();
    assert_eq!(checked.entries[0].notes, ["Athena cannot read it: table feature `v2Checkpoint` is on"]);
}
