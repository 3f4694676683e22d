//! `optimize` beside other writers: theirs go first, and it undoes and hides nothing.

use std::sync::Arc;

use deltalake::DeltaTableBuilder;
use futures::FutureExt;
use stedi_delta::optimize::{self, Options};
use stedi_delta::outcome::Mode;
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::sync;
use url::Url;

use super::{optimized, order, ordered, table, unshared};
use crate::support::faulty::intruded;
use crate::support::shop::orders;
use crate::support::{assert_ok, foreign_delete, of};

fn only(name: &str) -> Options {
    Options { tables: vec![name.to_owned()], ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_commits_meanwhile_goes_first() {
    let lake = Arc::new(unshared("incremental"));
    ordered(&lake, 0..5).await;
    let other = lake.clone();
    let intrusion = async move { order(&other, 5).await };
    let storage = intruded("orders/_delta_log/00000000000000000005.json", Box::new(move || intrusion.boxed()));
    let workspace = lake.site_through(storage).await;
    let files = lake.files().len();
    let outcome = optimize::optimize(&workspace, &only("orders"), "run", &Silent).await.unwrap();
    let done = table(&outcome, "orders");
    assert_eq!((done.commits, done.skipped.as_deref()), (0, Some("another writer committed meanwhile")), "{done:?}");
    assert!(done.problem.is_none());
    assert!(lake.files().len() > files);
    lake.assert_recomputed().await;
    assert_eq!(table(&optimized(&lake, &only("orders")).await, "orders").files_merged, 6);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_is_not_disturbed_by_it() {
    let lake = Arc::new(unshared("incremental"));
    ordered(&lake, 0..5).await;
    lake.land("orders/next.json", orders(3..4));
    // Between the read of ledger and tables and the first commit of each.
    let other = lake.clone();
    let intrusion = async move { drop(optimized(&other, &Options::default()).await) };
    let storage = intruded("files/_delta_log/00000000000000000005.json", Box::new(move || intrusion.boxed()));
    let workspace = lake.site_through(storage).await;
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let outcome = sync::sync(&workspace, &sync::Options::default(), &progress).await;
    assert_ok(&outcome);
    assert_eq!(of(&outcome, "orders").rows.inserted, 1);
    assert_eq!(lake.table("system/files").await.version(), 6, "the row was put on top of the optimization");
    assert_eq!(lake.count("select count(*) from files where path = 'orders/next.json'").await, 1);
    lake.assert_recomputed().await;
    assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_file_whose_rows_were_moved_meanwhile_is_a_conflict_and_retried() {
    let lake = Arc::new(unshared("incremental"));
    ordered(&lake, 0..5).await;
    lake.land("orders/0002.json", orders(7..9));
    let other = lake.clone();
    let intrusion = async move { drop(optimized(&other, &only("orders")).await) };
    let storage = intruded("landing/orders/_delta_log/00000000000000000005.json", Box::new(move || intrusion.boxed()));
    let workspace = lake.site_through(storage).await;
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let outcome = sync::sync(&workspace, &sync::Options::default(), &progress).await;
    assert_ok(&outcome);
    assert_eq!(lake.count("select count(*) from orders where id = 2").await, 0);
    assert_eq!(lake.count("select count(*) from orders").await, 6);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_writer_committed_is_not_hidden() {
    let lake = unshared("auto");
    ordered(&lake, 0..5).await;
    foreign_delete(&lake, "trusted/cheap", "id = 1").await;
    let outcome = optimized(&lake, &only("cheap")).await;
    let skipped = table(&outcome, "cheap").skipped.as_deref();
    assert_eq!(skipped, Some("another writer has committed since the last sync"));
    let outcome = lake.sync().await;
    assert!(of(&outcome, "cheap").mode == Mode::Full, "{outcome:?}");
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_of_another_engine_over_ours_is_consumed_as_before() {
    let lake = unshared("incremental");
    ordered(&lake, 0..4).await;
    optimized(&lake, &Options::default()).await;
    order(&lake, 4).await;
    let url = Url::from_directory_path(lake.warehouse().join("trusted/cheap")).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap().optimize().await.unwrap();
    lake.land("orders/more.json", orders(1..3));
    lake.sync().await;
    order(&lake, 5).await;
    optimized(&lake, &Options::default()).await;
    let outcome = lake.sync().await;
    assert!(outcome.tables.iter().all(|t| t.mode == Mode::None), "{outcome:?}");
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syncs_and_optimizes_at_once_lose_and_double_nothing() {
    let lake = unshared("incremental");
    let mut expected = 0;
    for step in 0..6_i64 {
        for file in 0..3 {
            lake.land(&format!("orders/{step}-{file}.json"), orders(step..step + 2));
            expected += 2;
        }
        let work = (0..2).map(|_| async {
            let workspace = lake.fresh_site().await;
            tokio::spawn(
                async move { drop(optimize::optimize(&workspace, &Options::default(), "run", &Silent).await) },
            )
            .await
            .unwrap();
        });
        let (codes, _) = futures::join!(crate::concurrency::at_once(&lake, 2), futures::future::join_all(work));
        assert!(codes.iter().all(|code| [0, 4].contains(code)), "{codes:?}");
        lake.sync().await;
        assert_eq!(lake.count("select count(*) from orders").await, expected);
        lake.assert_recomputed().await;
    }
}
