//! Applying a change to a large table: rows updated by key, next to writing the touched files whole, and to delta-rs' MERGE.
//!
//! In a clustered table the keys of a file are neighbours, and so are those of the change; in a scattered one every file has
//! some of them. Commits of ours are left out, they cost a few milliseconds; MERGE commits to a copy.
//!
//! The table has a change feed, as derived tables do: both ways write every changed row as it was and as it is now.
//!
//! The physical need is what no such change can do without: reading the key column of the touched files, writing the rows of
//! the touched row groups, and the change feed. The last two are the time of writing the whole files, by their number of rows.
//!
//! Requests are those to the table's folder, each range of a file one of them; those of MERGE go past the store that counts. The
//! memory of a way is the most that the process holds while it runs, beside the change itself and what was held before.
//!
//! ```text
//! APPLY_BENCH_ROWS=40000000 cargo bench --bench main -- apply
//! ```

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deltalake::DeltaTableBuilder;
use deltalake::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::Int64Type;
use deltalake::datafusion::prelude::{SessionContext, col};
use futures::{StreamExt, TryStreamExt};
use stedi_delta::Storage;
use stedi_delta::internals::definition::{Column, ColumnType};
use stedi_delta::internals::lake::{
    Change, Commit, DataWriter, LakeTable, Layout, Properties, TableSpec, create, rows as file_rows,
};
use stedi_delta::internals::merge::{CdcChange, Merged, Taking, apply};
use stedi_delta::internals::storage::Meter;

use super::{bytes_below, child, clear, mib};

const ROWS: i64 = 10_000_000;
/// Rows of a row group.
const ROWS_PER_GROUP: i64 = 131_072;
/// As files of derived tables are written.
const ROWS_PER_FILE: u64 = 262_144;
const FILE_BYTES: u64 = 128 << 20;
const ROUNDS: usize = 3;
/// A prime: in a scattered table, neighbours are far from each other.
const STRIDE: i64 = 7_654_321;
/// One key, and parts of all keys.
const SHARES: [(&str, i64); 4] = [("one key", 0), ("0.1 % of the keys", 1000), ("1 %", 100), ("20 %", 5)];
const BATCH: i64 = 65_536;

/// Prints a line for each share of both tables.
pub(crate) fn measure() {
    let rows = std::env::var("APPLY_BENCH_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
    crate::runtime().block_on(async {
        for (name, is_clustered) in [("clustered", true), ("scattered", false)] {
            layout(name, is_clustered, rows).await;
        }
    });
}

/// Rows with these keys.
fn batch(keys: &[i64], changed: bool) -> RecordBatch {
    let change = if changed { 1.0 } else { 0.0 };
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("k", Arc::new(Int64Array::from(keys.to_vec())), true),
        (
            "s",
            Arc::new(keys.iter().map(|k| Some(format!("value {}", k * 7919 % 1_000_003))).collect::<StringArray>()),
            true,
        ),
        ("x", Arc::new(keys.iter().map(|k| Some((k % 977) as f64 + change)).collect::<Float64Array>()), true),
        ("n", Arc::new(keys.iter().map(|k| Some(k * 31)).collect::<Int64Array>()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("rows")
}

fn batches(keys: std::ops::Range<i64>, key: impl Fn(i64) -> i64, changed: bool) -> Vec<RecordBatch> {
    let starts = keys.clone().step_by(usize::try_from(BATCH).expect("small"));
    let of = |from: i64| (from..(from + BATCH).min(keys.end)).map(&key).collect::<Vec<_>>();
    starts.map(|from| batch(&of(from), changed)).collect()
}

async fn layout(name: &str, is_clustered: bool, rows: i64) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-apply");
    clear(&folder);
    let columns = vec![
        Column::new("k", ColumnType::Long),
        Column::new("s", ColumnType::String),
        Column::new("x", ColumnType::Double),
        Column::new("n", ColumnType::Long),
    ];
    let layout = Layout::of(&columns, &["k".into()]);
    let spec = TableSpec {
        uuid: "00000000-0000-4000-8000-000000000000".into(),
        name: "t".into(),
        description: String::new(),
        columns,
        properties: Properties { change_data_feed: true },
        layout,
    };
    let location = Storage::default().location("t", &folder).expect("a location");
    let write = || Commit { operation: "WRITE", ..Commit::default() };
    let table = create(&location, &spec, write()).await.expect("a table");
    let mut writer = DataWriter::new(&table, FILE_BYTES).rows_per_file(ROWS_PER_FILE);
    let key = |at: i64| if is_clustered { at } else { at * STRIDE % rows };
    for from in (0..rows).step_by(usize::try_from(BATCH).expect("small")) {
        for batch in batches(from..(from + BATCH).min(rows), key, false) {
            writer.write(&batch).await.expect("written");
        }
    }
    let adds = writer.close().await.expect("closed").adds;
    let (files, bytes) = (adds.len(), adds.iter().map(|add| add.size.unsigned_abs()).sum());
    let change = Change { adds, ..Change::default() };
    let table = Commit { change, ..write() }.commit(&table).await.expect("committed");
    println!("\n{name}: {rows} rows, {files} files, {}", mib(bytes));
    println!(
        "{:<20} {:>9} {:>9} {:>12} {:>9} {:>7}   {:>10} {:>10} {:>10} {:>10}",
        "", "ours", "need", "whole files", "MERGE", "files", "requests", "read", "written", "memory"
    );
    for (name, part) in SHARES {
        let from = rows / 3;
        let keys = from..from + rows.checked_div(part).unwrap_or(1);
        let mut best: Option<(Cost, Vec<String>)> = None;
        for _ in 0..ROUNDS {
            let ours = ours(&table, keys.clone()).await;
            if best.as_ref().is_none_or(|(best, _)| ours.0.time < best.time) {
                best = Some(ours);
            }
        }
        let (ours, touched) = best.expect("a round");
        let whole = whole(&table, &touched).await;
        let (scan, share) = scanned(&table, &touched, &keys).await;
        let rewritten = table.files().into_iter().filter(|file| touched.contains(&file.path));
        let rows_touched: u64 = rewritten.filter_map(|file| file.rows).sum();
        let told = 2.0 * (keys.end - keys.start) as f64 / rows_touched as f64;
        let merge = merged(&folder, keys).await;
        println!(
            "{name:<20} {:>7.2} s {:>7.2} s {:>10.2} s {:>7.2} s {:>7}   {}",
            ours.time.as_secs_f64(),
            scan.as_secs_f64() + whole.as_secs_f64() * (share + told),
            whole.as_secs_f64(),
            merge.time.as_secs_f64(),
            touched.len(),
            ours.told()
        );
        println!("{:>71}   {}", "MERGE", merge.told());
    }
    clear(&folder);
}

/// What one way of applying a change took.
struct Cost {
    time: Duration,
    /// Requests and the bytes that they read, where they are counted.
    read: Option<(u64, u64)>,
    bytes_written: u64,
    /// `None` where the system does not tell.
    memory: Option<u64>,
}

impl Cost {
    fn told(&self) -> String {
        let or_dash = |told: Option<String>| told.unwrap_or_else(|| "-".to_owned());
        let requests = or_dash(self.read.map(|(requests, _)| requests.to_string()));
        let (read, memory) = (or_dash(self.read.map(|(_, bytes)| mib(bytes))), or_dash(self.memory.map(mib)));
        format!("{requests:>10} {read:>10} {:>10} {memory:>10}", mib(self.bytes_written))
    }
}

/// What is counted while a change is applied.
struct Counting<'m> {
    began: Instant,
    held: Option<u64>,
    /// Requests, and the bytes that they read, before.
    before: Option<(u64, u64)>,
    meter: Option<&'m Meter>,
}

fn counts(meter: &Meter) -> (u64, u64) {
    (meter.requests(), meter.bytes_read())
}

impl<'m> Counting<'m> {
    /// From now.
    fn begin(meter: Option<&'m Meter>) -> Self {
        // Linux: forgets the peak so far.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Self { held: child::held("VmRSS:"), before: meter.map(counts), meter, began: Instant::now() }
    }

    fn end(self, bytes_written: impl FnOnce() -> u64) -> Cost {
        let time = self.began.elapsed();
        let memory = child::held("VmHWM:").zip(self.held).map(|(peak, before)| peak.saturating_sub(before));
        let read = self.meter.map(counts).zip(self.before).map(|(now, before)| (now.0 - before.0, now.1 - before.1));
        Cost { time, read, bytes_written: bytes_written(), memory }
    }
}

/// The change as a sync applies it, without the commit, and the touched files.
async fn ours(table: &LakeTable, keys: std::ops::Range<i64>) -> (Cost, Vec<String>) {
    let (old, new) = (batches(keys.clone(), |k| k, false), batches(keys, |k| k, true));
    let meter = Arc::new(Meter::default());
    let table = &LakeTable::open(&table.location().metered(&meter)).await.expect("it opens").expect("a table");
    let counting = Counting::begin(Some(&meter));
    let mut taking = Taking::new(table, usize::MAX);
    for (rows, what) in [(&old, CdcChange::Delete), (&new, CdcChange::Insert)] {
        for batch in rows {
            taking.add(batch, what).await.expect("taken");
        }
    }
    let change = taking.close().await.expect("closed");
    let come = async {
        let mut writer = DataWriter::new(table, FILE_BYTES).rows_per_file(ROWS_PER_FILE);
        for batch in &new {
            writer.write(batch).await?;
        }
        Ok(Change { adds: writer.close().await?.adds, ..Change::default() })
    };
    let Merged::Done(applied) = apply(table, change, FILE_BYTES, come).await.expect("applied") else {
        panic!("the table has these rows");
    };
    let Change { adds, cdc, .. } = &applied.change;
    let cost = counting.end(|| {
        let new: u64 = adds.iter().map(|add| add.size.unsigned_abs()).sum();
        new + cdc.iter().map(|(_, size)| size).sum::<u64>()
    });
    for path in adds.iter().map(|add| &add.path).chain(cdc.iter().map(|(path, _)| path)) {
        let _ = fs::remove_file(folder_of(table).join(path));
    }
    (cost, applied.change.removes.into_iter().map(|remove| remove.path).collect())
}

fn folder_of(table: &LakeTable) -> std::path::PathBuf {
    table.location().to_string().into()
}

/// The touched files, decoded and encoded whole, as many at once as there are processors.
async fn whole(table: &LakeTable, touched: &[String]) -> Duration {
    let files: Vec<_> = table.files().into_iter().filter(|file| touched.contains(&file.path)).collect();
    let began = Instant::now();
    let written = futures::stream::iter(files.into_iter().map(|file| {
        let table = table.clone();
        Ok::<_, stedi_delta::error::Error>(async move {
            let mut writer = DataWriter::new(&table, FILE_BYTES).rows_per_file(ROWS_PER_FILE);
            let mut stream = file_rows(table.location(), &file, None).await?;
            while let Some(batch) = stream.try_next().await.expect("rows") {
                writer.write(&batch).await?;
            }
            Ok(writer.close().await?.adds)
        })
    }));
    let at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let adds: Vec<_> = written.try_buffer_unordered(at_once).try_collect().await.expect("written");
    let time = began.elapsed();
    for add in adds.iter().flatten() {
        let _ = fs::remove_file(folder_of(table).join(&add.path));
    }
    time
}

/// Reading the key column of the touched files, as many at once as there are processors, and the share of their row groups
/// that hold a key.
async fn scanned(table: &LakeTable, touched: &[String], keys: &std::ops::Range<i64>) -> (Duration, f64) {
    let files: Vec<_> = table.files().into_iter().filter(|file| touched.contains(&file.path)).collect();
    let began = Instant::now();
    let groups = futures::stream::iter(files.into_iter().map(|file| async move {
        let mut stream = file_rows(table.location(), &file, Some("k")).await.expect("a file");
        let (mut row, mut holding, mut groups) = (0_i64, 0_u32, 0_u32);
        let mut last = (-1, false);
        while let Some(batch) = stream.try_next().await.expect("rows") {
            for key in batch.column(0).as_primitive::<Int64Type>().values() {
                let group = row / ROWS_PER_GROUP;
                if group != last.0 {
                    (last, groups) = ((group, false), groups + 1);
                }
                if !last.1 && keys.contains(key) {
                    (last.1, holding) = (true, holding + 1);
                }
                row += 1;
            }
        }
        (holding, groups)
    }));
    let at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let groups: Vec<_> = groups.buffer_unordered(at_once).collect().await;
    let time = began.elapsed();
    let sum = |of: fn(&(u32, u32)) -> u32| f64::from(groups.iter().map(of).sum::<u32>());
    (time, sum(|group| group.0) / sum(|group| group.1))
}

/// The same change by delta-rs, on a copy.
async fn merged(folder: &Path, keys: std::ops::Range<i64>) -> Cost {
    let copy = folder.join("copy");
    clear(&copy);
    for part in ["", "_delta_log"] {
        let (from, to) = (folder.join("t").join(part), copy.join(part));
        fs::create_dir_all(&to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
            if entry.path().is_file() {
                fs::hard_link(entry.path(), to.join(entry.file_name())).expect("a link");
            }
        }
    }
    let before = bytes_below(&copy);
    let url = url::Url::from_directory_path(&copy).expect("a path");
    let table = DeltaTableBuilder::from_url(url).expect("a table").load().await.expect("it opens");
    let source = SessionContext::new().read_batches(batches(keys, |k| k, true)).expect("rows");
    let counting = Counting::begin(None);
    table
        .merge(source, col("t.k").eq(col("s.k")))
        .with_source_alias("s")
        .with_target_alias("t")
        .when_matched_update(|update| update.update("s", col("s.s")).update("x", col("s.x")).update("n", col("s.n")))
        .expect("a clause")
        .await
        .expect("merged");
    let cost = counting.end(|| bytes_below(&copy) - before);
    clear(&copy);
    cost
}
