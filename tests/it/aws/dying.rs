//! `optimize` and `vacuum` on S3, whose writes are the last one in turn. In folders it is every one (`optimize`, `vacuum`).

use stedi_delta::Storage;
use stedi_delta::optimize::{self, Options};
use stedi_delta::progress::Silent;

use crate::optimize::{ordered, unshared};
use crate::support::Lake;
use crate::support::aws::Aws;
use crate::support::faulty::{Fault, Plan, When};
use crate::support::shop::shop;
use crate::vacuum::{all_at_once, busy, try_vacuum, vacuumed};

/// A lake in a new bucket, with the files of one in a folder.
fn moved(from: &Lake, aws: &'static Aws) -> Lake {
    let lake = shop("incremental").in_cloud(aws);
    aws.put_all(lake.bucket(), "landing", &from.landing());
    aws.put_all(lake.bucket(), "warehouse", &from.warehouse());
    lake
}

/// Every `step`-th write that this work does, before it and after it; `work` may fail.
async fn dies_at_writes(from: &Lake, step: usize, work: impl AsyncFn(&Lake), then: impl AsyncFn(&Lake)) {
    let Some(aws) = Aws::shared() else { return };
    let plan = Plan::counting();
    let lake = moved(from, aws);
    let before = lake.everything().await;
    work(&lake.through(plan.storage())).await;
    let writes = plan.writes();
    assert!(writes.len() > 3, "{writes:?}");
    for at in writes.into_iter().step_by(step) {
        for when in [When::Before, When::After] {
            let plan = Plan::new(at, Fault::Dead, when);
            let lake = moved(from, aws).through(plan.storage());
            work(&lake).await;
            let lake = lake.through(Storage::default());
            assert_eq!(lake.everything().await, before, "{when:?} {at}");
            then(&lake).await;
            assert_eq!(lake.everything().await, before, "{when:?} {at}, and once more");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_on_s3_may_die_at_every_write() {
    let from = unshared("incremental");
    from.land("orders/broken.json", "{\"id\":}\n");
    ordered(&from, 0..3).await;
    let merge = async |lake: &Lake| {
        let options = Options { tables: vec!["orders".into(), "files".into()], ..Options::default() };
        optimize::optimize(&lake.workspace().await, &options, "run", &Silent).await
    };
    let tried = async |lake: &Lake| drop(merge(lake).await);
    let ends = async |lake: &Lake| {
        merge(lake).await.unwrap();
        let again = merge(lake).await.unwrap();
        assert!(again.tables.iter().all(|table| table.version_before == table.version_after), "{again:?}");
    };
    dies_at_writes(&from, 1, tried, ends).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vacuum_on_s3_may_die_at_its_writes() {
    let from = busy().await;
    let tried = async |lake: &Lake| drop(try_vacuum(lake, &all_at_once()).await);
    let ends = async |lake: &Lake| drop(vacuumed(lake, &all_at_once()).await);
    dies_at_writes(&from, 8, tried, ends).await;
}
