//! Files read for one person if the log has no statistics of people: one ranged read of those that other columns leave,
//! many concurrently, and nothing more of a file that does not hold the person.

use std::time::Duration;

use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::prelude::{col, lit};
use stedi_delta::internals::lake::{LakeTable, SessionOptions, session};

use crate::support::crowd::Crowd;
use crate::support::slow::Reads;

/// File ends that are read concurrently.
const AT_ONCE: usize = 64;

/// Files of which only the end was read, of which more was read, and of which nothing was read.
fn counts(table: &LakeTable, reads: &Reads) -> [usize; 3] {
    let by_file = reads.by_file();
    let mut counts = [0, 0, 0];
    for file in table.files() {
        match (by_file.get(&file.path), file.tail) {
            (None, _) => counts[2] += 1,
            (Some((1, bytes)), Some(tail)) if *bytes == tail => counts[0] += 1,
            _ => counts[1] += 1,
        }
    }
    counts
}

/// The [`counts`] of a withdrawal, and the maximum of concurrent reads.
async fn read(crowd: Crowd, number: u64) -> ([usize; 3], usize) {
    let folder = tempfile::tempdir().unwrap();
    let reads = Reads::after(Duration::from_millis(5));
    let location = reads.storage().location("crowd", folder.path()).unwrap();
    crowd.make(&location).await;
    let table = LakeTable::open(&location).await.unwrap().unwrap();
    let files = table.files();
    assert_eq!(files.len() as u64, crowd.files);
    assert_eq!(reads.sum(), (0, 0), "no data file is read to open a table");
    let (after, applied) = crowd.withdraw(&table, number).await;
    assert_eq!((applied.files_touched, applied.rows_deleted), (1, 1));
    assert_eq!(after.rows(), Some(crowd.files * crowd.rows - 1));
    let gone = files.iter().find(|file| after.files().iter().all(|left| left.path != file.path)).unwrap();
    assert!(reads.by_file()[&gone.path].0 > 1, "the file of the person is read");
    (counts(&table, &reads), reads.at_once())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_found_by_one_read_of_each_file_many_at_once() {
    let crowd = Crowd { files: 300, rows: 20, files_of_a_day: 300, classified: true };
    let ([by_end, further, unread], at_once) = read(crowd, 4321).await;
    assert_eq!((by_end + further, unread, at_once), (300, 0, AT_ONCE));
    // One bloom filter has a false positive for one value in a hundred, two of them hardly ever.
    assert!(further <= 2, "{further}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_other_columns_leave_out_are_not_read_at_all() {
    let crowd = Crowd { files: 300, rows: 20, files_of_a_day: 30, classified: true };
    let ([by_end, further, unread], _) = read(crowd, 4321).await;
    assert_eq!((by_end + further, unread), (30, 270));
    assert!(further <= 2, "{further}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_filters_every_file_is_read() {
    let crowd = Crowd { files: 20, rows: 20, files_of_a_day: 20, classified: false };
    let ([by_end, further, unread], _) = read(crowd, 321).await;
    assert_eq!((by_end, further + unread), (0, 20));
    assert!(further > 10, "{further}: of serial numbers without an order the log tells nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_for_a_person_opens_no_file_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let reads = Reads::after(Duration::from_millis(5));
    let location = reads.storage().location("crowd", folder.path()).unwrap();
    let crowd = Crowd { files: 300, rows: 20, files_of_a_day: 100, classified: true };
    crowd.make(&location).await;
    let table = LakeTable::open(&location).await.unwrap().unwrap();
    let serial = crowd.serial(4321);
    let session = session(SessionOptions::limited(64 << 20), &[&location]).unwrap();
    let rows = session.read_table(table.provider(&session, None).await.unwrap()).unwrap();
    // The log has statistics of the days.
    let rows = rows.filter(
        col("day")
            .gt_eq(lit(ScalarValue::Date32(Some(20_002))))
            .and(col("serial").in_list(vec![lit(serial), lit(-1_i64)], false)),
    );
    assert_eq!(rows.unwrap().count().await.unwrap(), 1);
    let [by_end, further, unread] = counts(&table, &reads);
    assert_eq!((by_end + further, unread, reads.at_once()), (100, 200, AT_ONCE));
    assert!(further <= 2, "{further}");
}
