//! A vacuum by delta-rs: what it leaves of a pin, and what `pins` says of the rest.

use deltalake::{DeltaTable, DeltaTableBuilder};
use url::Url;

use super::*;
use crate::support::second::{DELTA, answered};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn opened(lake: &Lake, table: &str) -> DeltaTable {
    let url = Url::from_directory_path(lake.warehouse().join(table)).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap()
}

/// A vacuum with the retention of the table; returns how many files it removed.
async fn vacuum(lake: &Lake, table: &str) -> usize {
    opened(lake, table).await.vacuum().await.unwrap().1.files_deleted.len()
}

/// A vacuum that keeps nothing.
async fn vacuum_all(lake: &Lake, table: &str) -> usize {
    let vacuum = opened(lake, table).await.vacuum().with_retention_period(chrono::Duration::zero());
    vacuum.with_enforce_retention_duration(false).await.unwrap().1.files_deleted.len()
}

/// Lets the removals of a table be older.
fn age(lake: &Lake, table: &str, days: i64) {
    for entry in fs::read_dir(lake.warehouse().join(table).join("_delta_log")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            if let Some(removed) = action.get_mut("remove") {
                removed["deletionTimestamp"] = (removed["deletionTimestamp"].as_i64().unwrap() - days * DAY_MS).into();
            }
            action.to_string() + "\n"
        });
        let lines: String = lines.collect();
        fs::write(&path, lines).unwrap();
    }
}

/// Files of a pin that are gone, and how many it has.
async fn gone(lake: &Lake, name: &str) -> (u64, usize) {
    let pins = pin::pins(&lake.workspace().await).await.unwrap();
    let found = pins.iter().find(|found| found.pin.name == name).unwrap();
    (found.gone, found.pin.files.len())
}

/// Rows that a reader that knows nothing of Delta, DuckDB, reads from the files of the manifest; `None` without DuckDB.
pub(super) fn listed(lake: &Lake, name: &str) -> Option<Vec<String>> {
    let manifest = fs::read_to_string(lake.warehouse().join("_pins").join(name).join("manifest")).unwrap();
    let files: Vec<&str> = manifest.lines().map(|line| line.strip_prefix("file://").unwrap()).collect();
    let script = format!(
        "{DELTA}\nimport json, sys\nfiles = json.load(sys.stdin)\n\
         rows = connection.execute('select id, item, price from read_parquet(?)', [files]).fetchall()\n\
         print(json.dumps(sorted('|'.join(map(str, row)) for row in rows)))"
    );
    answered(&script, &json!(files)).unwrap()
}

/// Pins of the first versions of both tables, all of whose files were replaced since.
async fn pinned(retain: bool) -> (Lake, Vec<String>) {
    let lake = filled().await;
    let then = lake.rows("select id, item, price from cheap@v0").await;
    pin(&lake, "cheap@v0", &Options { catalog: true, retain, ..options("training_1") }).await.unwrap();
    pin(&lake, "orders@v0", &Options { catalog: true, ..options("arrived") }).await.unwrap();
    lake.land("orders/b.json", "");
    lake.sync().await;
    (lake, then)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuum_with_the_default_retention_leaves_a_pin_whole() {
    let (lake, then) = pinned(false).await;
    for table in ["trusted/cheap", "landing/orders"] {
        assert_eq!(vacuum(&lake, table).await, 0, "{table}");
    }
    assert_eq!((gone(&lake, "training_1").await.0, gone(&lake, "arrived").await.0), (0, 0));
    let pins = lake.program(&["pins"]).fine();
    assert!(!pins.out.contains("gone"), "{}", pins.out);
    if let Some(rows) = listed(&lake, "training_1") {
        assert_eq!(rows, then);
    }
    // After the retention only a pin that raised it is whole.
    age(&lake, "trusted/cheap", 30);
    assert!(vacuum(&lake, "trusted/cheap").await > 0);
    let (files_gone, files) = gone(&lake, "training_1").await;
    assert!(files_gone > 0 && files_gone <= files as u64, "{files_gone} of {files}");
    let pins = lake.program(&["pins", "--format", "json"]);
    assert_eq!((pins.code, &pins.json()["exit_code"]), (3, &3.into()), "{}", pins.out);
    let (lake, then) = pinned(true).await;
    age(&lake, "trusted/cheap", 30);
    assert_eq!(vacuum(&lake, "trusted/cheap").await, 0);
    assert_eq!(gone(&lake, "training_1").await.0, 0);
    if let Some(rows) = listed(&lake, "training_1") {
        assert_eq!(rows, then);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuum_that_keeps_nothing_is_detected() {
    let (lake, _) = pinned(true).await;
    assert!(vacuum_all(&lake, "trusted/cheap").await > 0);
    let (files_gone, files) = gone(&lake, "training_1").await;
    assert_eq!(files_gone, files as u64);
    assert_eq!(gone(&lake, "arrived").await.0, 0, "another table");
    let pins = lake.program(&["pins"]);
    let said = format!("{files_gone} of its {files} file");
    assert!(pins.code == 3 && pins.out.contains(&said), "{} {}", pins.code, pins.out);
    let error = lake.program(&["show", "cheap@v0"]);
    assert!(error.code == 1 && error.err.contains("vacuumed"), "{}", error.err);
    let report = lake.program(&["report", "--pin", "training_1", "--format", "json"]);
    assert_eq!(report.json()["pin"]["files_gone"], files_gone, "{}", report.out);
}
