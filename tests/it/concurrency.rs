//! Several concurrent syncs on one warehouse: no row is lost or doubled.

use std::sync::Arc;

use stedi_delta::cli::exit;
use stedi_delta::outcome::Mode;
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::sync;

use crate::support::shop::{orders, shop};
use crate::support::{Lake, assert_ok};

/// `n` concurrent syncs, each with its own stores; the exit code of each.
pub(crate) async fn at_once(lake: &Lake, n: usize) -> Vec<u8> {
    let mut syncs = Vec::new();
    for _ in 0..n {
        let workspace = lake.fresh_site().await;
        syncs.push(tokio::spawn(async move {
            let progress: Arc<dyn Progress> = Arc::new(Silent);
            let outcome = sync::sync(&workspace, &sync::Options::default(), &progress).await;
            (exit::of_sync(&outcome), outcome)
        }));
    }
    let mut codes = Vec::new();
    for sync in syncs {
        let (code, outcome) = sync.await.unwrap();
        if code != 4 {
            assert_ok(&outcome);
        }
        codes.push(code);
    }
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn syncs_at_once_end_as_one_sync_would() {
    for _ in 0..4 {
        let (lake, alone) = (shop("incremental"), shop("incremental"));
        for step in 0..3 {
            for lake in [&lake, &alone] {
                match step {
                    0 => lake.land_first_orders(),
                    1 => lake.land_more_orders(),
                    _ => lake.land("orders/a.json", orders(50..60)),
                }
            }
            let codes = at_once(&lake, 4).await;
            assert!(codes.iter().all(|code| [0, 4].contains(code)) && codes.contains(&0), "{codes:?}");
            alone.sync().await;
            // The rest of a loser's work.
            lake.sync().await;
            assert_eq!(lake.everything().await, alone.everything().await, "step {step}");
            assert!(lake.sync().await.tables.iter().all(|t| t.mode == Mode::None));
            lake.assert_recomputed().await;
        }
    }
}
