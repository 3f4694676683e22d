//! Law 1 on real tables, for random projects and random histories (docs/proof/law.md).

mod compare;
mod correlated;
mod duckdb;
mod evolution;
mod fixed;
mod history;
mod metamorphic;
mod operators;
mod outside;
mod query;
mod run;
mod shrink;
mod world;

use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub(crate) use history::{Op, apply};
pub(crate) use run::accepted;
use run::{Stats, run};
pub(crate) use world::Case;

/// DuckDB also computes the tables for every so many seeds.
const SECOND_ENGINE: u64 = 20;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().thread_stack_size(16 << 20).build().unwrap().block_on(future)
}

/// One seed: its statistics, or the failure for the reader.
async fn seed(seed: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    let Some(case) = accepted(Case::of(seed), &mut stats).await else { return Ok(stats) };
    let second_engine = seed.is_multiple_of(SECOND_ENGINE);
    let done = run(&case, second_engine).await;
    match done {
        Ok(done) => {
            stats.add(&done);
            Ok(stats)
        }
        Err(why) => {
            let (small, shrunk) = if std::env::var_os("LAW_SHRINK").is_some_and(|v| v == "0") {
                (case, why.clone())
            } else {
                shrink::shrink(case, why.clone(), second_engine).await
            };
            Err(format!(
                "seed {seed}: {why}\n  shrunk to: {shrunk}\n{small}  again: LAW_SEED={seed} cargo test --release \
                 --test it law::replay -- --nocapture\n"
            ))
        }
    }
}

/// `LAW_HISTORIES` seeds from `LAW_FROM` on, as many at a time as there are processors.
#[test]
fn histories() {
    let count = variable("LAW_HISTORIES").unwrap_or(300);
    let from = variable("LAW_FROM").unwrap_or(1);
    let progress = count > 300;
    let next = AtomicU64::new(from);
    let total = Mutex::new((0_u64, Stats::default(), Vec::<String>::new()));
    let began = Instant::now();
    let work = || {
        block_on(async {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= from + count || total.lock().unwrap().2.len() >= 10 {
                    break;
                }
                let done = seed(number).await;
                let mut total = total.lock().unwrap();
                total.0 += 1;
                match done {
                    Ok(stats) => total.1.add(&stats),
                    Err(text) => {
                        eprintln!("{text}");
                        total.2.push(text);
                    }
                }
                if progress && total.0 % 100 == 0 {
                    eprintln!("{}", summary(total.0, &total.1, total.2.len(), began));
                }
            }
        });
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            // Plans of deeply nested queries are walked recursively.
            std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work).unwrap();
        }
    });
    let (seeds, stats, failures) = total.into_inner().unwrap();
    eprintln!("{}", summary(seeds, &stats, failures.len(), began));
    assert!(failures.is_empty(), "{} of {seeds} histories fail (above)", failures.len());
    assert!(stats.refused * 5 < stats.queries, "too many queries are refused: {stats:?}");
    assert!(stats.incremental >= stats.full, "most refreshes are not incremental: {stats:?}");
    assert!(stats.verified * 3 < stats.compared, "too many tables are only verified: {stats:?}");
    assert!(stats.told.iter().all(|told| *told > 0), "a source of changes told no change: {stats:?}");
    assert!(stats.optimized > 0, "no file was merged: {stats:?}");
}

fn summary(seeds: u64, s: &Stats, failures: usize, began: Instant) -> String {
    let share = 100 * s.incremental / (s.incremental + s.full).max(1);
    format!(
        "{seeds} seeds, {} syncs, {} tables compared and {} verified, {share} % of {} refreshes incremental, \
         {} change feeds, {}/{}/{} changes told by feed, commits and snapshots, {} tables untouched in passing, \
         {} of {} queries refused, {} by DuckDB, {} operations passed over, \
         {failures} failures, {} s",
        s.syncs,
        s.compared,
        s.verified,
        s.incremental + s.full,
        s.feeds,
        s.told[1],
        s.told[2],
        s.told[3],
        s.in_passing,
        s.refused,
        s.queries,
        s.duckdb,
        s.passed_over,
        began.elapsed().as_secs()
    )
}

/// The seed `LAW_SEED`, shrunk where it fails; without one, nothing.
#[test]
fn replay() {
    let Some(number) = variable("LAW_SEED") else { return };
    let work = move || {
        eprintln!("{}", Case::of(number));
        block_on(seed(number))
    };
    let done = std::thread::Builder::new().stack_size(64 << 20).spawn(work).unwrap().join().unwrap();
    match done {
        Ok(stats) => eprintln!("seed {number} holds: {stats:?}"),
        Err(text) => panic!("{text}"),
    }
}
