//! Law 2: wherever a process dies, running again gives the result of an uninterrupted run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use stedi_delta::Privacy;
use stedi_delta::Workspace;
use stedi_delta::progress::{Progress, Silent};
use stedi_delta::sync;
use stedi_delta::workspace::WorkspaceOptions;

use crate::support::aws::Aws;
use crate::support::faulty::{Fault, Plan, When};
use crate::support::shop::shop;
use crate::support::{Lake, assert_ok, repository};

/// The location of lakes: in folders, or in buckets of a local AWS.
type Place = Option<&'static Aws>;

/// A lake in one of the states from which the faulty sync starts.
async fn prepared(place: Place, second: bool) -> Lake {
    let lake = match place {
        None => shop("incremental"),
        Some(aws) => shop("incremental").in_cloud(aws),
    };
    lake.land_first_orders();
    if second {
        lake.sync().await;
        lake.land_more_orders();
    }
    lake
}

/// The result of an uninterrupted sync, and how many operations it takes: all, and those that write.
async fn undisturbed(place: Place, second: bool) -> (Vec<(String, Vec<String>)>, usize, Vec<usize>) {
    let plan = Plan::counting();
    let lake = prepared(place, second).await.through(plan.storage());
    lake.sync().await;
    let (calls, writes) = (plan.calls(), plan.writes());
    (lake.everything().await, calls, writes)
}

/// Whether the run had that many operations.
async fn dies_and_recovers(
    place: Place,
    second: bool,
    at: usize,
    fault: Fault,
    when: When,
    expected: &[(String, Vec<String>)],
) -> bool {
    let plan = Plan::new(at, fault, when);
    let lake = prepared(place, second).await.through(plan.storage());
    let _ = lake.try_sync().await;
    if !plan.reached() {
        return false;
    }
    let (lake, what) = (lake.through(Default::default()), format!("{fault:?} {when:?} operation {at}"));
    recovered(&lake, &what, expected).await;
    // After a read that failed a digest may be begun anew.
    if place.is_none() && fault != Fault::Fails {
        crate::digests::assert_followed(&lake, &what).await;
    }
    true
}

/// Every operation is the last one in turn: before its effect, and for writes also after it. On S3, where each takes long,
/// every other one before its effect.
async fn dies_everywhere(place: Place, second: bool) {
    let (expected, calls, writes) = undisturbed(place, second).await;
    let (mut at, step) = (1, if place.is_some() { 2 } else { 1 });
    while dies_and_recovers(place, second, at, Fault::Dead, When::Before, &expected).await {
        at += step;
    }
    // Reads run concurrently, so that runs differ by a few operations, not by many.
    assert!(at.abs_diff(calls) < 20, "{at} operations, {calls} undisturbed");
    for at in writes {
        dies_and_recovers(place, second, at, Fault::Dead, When::After, &expected).await;
    }
}

async fn recovered(lake: &Lake, what: &str, expected: &[(String, Vec<String>)]) {
    let outcome = lake.try_sync().await;
    assert_ok(&outcome);
    assert_eq!(lake.everything().await, expected, "after {what}");
    let files = lake.files();
    assert_ok(&lake.try_sync().await);
    assert_eq!(lake.files(), files, "a third sync after {what} wrote something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_that_dies_at_any_operation_is_completed_by_the_next() {
    dies_everywhere(None, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_of_replaced_and_new_files_that_dies_at_any_operation_is_completed_by_the_next() {
    dies_everywhere(None, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_to_s3_that_dies_at_any_operation_is_completed_by_the_next() {
    if let Some(aws) = Aws::shared() {
        dies_everywhere(Some(aws), false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_to_s3_of_replaced_and_new_files_that_dies_at_any_operation_is_completed_by_the_next() {
    if let Some(aws) = Aws::shared() {
        dies_everywhere(Some(aws), true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_fails_or_only_says_so_loses_and_doubles_nothing() {
    let place = None;
    for second in [false, true] {
        let (expected, calls, writes) = undisturbed(place, second).await;
        for at in (1..=calls).step_by(2) {
            dies_and_recovers(place, second, at, Fault::Fails, When::Before, &expected).await;
        }
        for at in writes {
            dies_and_recovers(place, second, at, Fault::Fails, When::After, &expected).await;
        }
    }
}

const ROOT: &str = "STEDI_TEST_ROOT";
const FOLDER: &str = "STEDI_TEST_FOLDER";
const AT: &str = "STEDI_TEST_AT";

/// One sync of `root` over `folder` in a process of its own that is killed at operation `at`, before or after its
/// effect; whether it was killed.
fn child_dies(root: &Path, folder: &Path, at: usize, when: When) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["faults::a_child_that_dies", "--exact", "--ignored", "--test-threads", "1"])
        .env(ROOT, root)
        .env(FOLDER, folder)
        .env(AT, format!("{at} {when:?}"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    // A panic of the child would be an exit code, not SIGABRT.
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(6)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of the tests below"]
async fn a_child_that_dies() {
    let Ok(at) = std::env::var(AT) else { return };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let text = |name: &str| Some(folder.join(name).to_str().unwrap().to_owned());
    let options = WorkspaceOptions {
        root: std::env::var(ROOT).unwrap().into(),
        target: None,
        landing: text("landing"),
        warehouse: text("warehouse"),
    };
    let (at, when) = at.split_once(' ').unwrap();
    let when = if when == "After" { When::After } else { When::Before };
    let plan = Plan::new(at.parse().unwrap(), Fault::Aborts, when);
    let workspace = Workspace::open(&options, plan.storage(), Privacy::new(Some("test"), false)).await.unwrap();
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    sync::sync(&workspace, &sync::Options::default(), &progress).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_is_followed_by_one_that_completes_its_work() {
    let place = None;
    for second in [false, true] {
        let (expected, calls, _) = undisturbed(place, second).await;
        for at in (3..calls.saturating_sub(4)).step_by(calls / 7) {
            for when in [When::Before, When::After] {
                let lake = prepared(place, second).await;
                let folder = lake.landing().parent().unwrap().to_owned();
                assert!(child_dies(lake.root(), &folder, at, when), "the child survived operation {at}");
                recovered(&lake, &format!("a kill {when:?} operation {at}"), &expected).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_project_survives_being_killed() {
    let landed = || {
        let lake = Lake::stedi();
        lake.land_all(&repository().join("sample/landing"));
        lake
    };
    let plan = Plan::counting();
    let lake = landed().through(plan.storage());
    lake.sync().await;
    let calls = plan.calls();
    let expected = lake.contents().await;
    for at in (5..calls.saturating_sub(5)).step_by(calls / 8) {
        let lake = landed();
        let folder = lake.landing().parent().unwrap().to_owned();
        assert!(child_dies(lake.root(), &folder, at, When::After), "the child survived operation {at}");
        lake.sync().await;
        assert!(lake.contents().await == expected, "after a kill at operation {at}");
        assert!(fs::read_dir(lake.warehouse()).is_ok());
    }
}
