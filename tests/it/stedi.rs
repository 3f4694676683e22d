//! The STEDI project end to end: first build, withdrawals, consent given again.

use deltalake::parquet::file::reader::{FileReader, SerializedFileReader};
use deltalake::parquet::file::statistics::Statistics;
use std::collections::BTreeSet;

use stedi_delta::cli::exit;
use stedi_delta::error::Kind;
use stedi_delta::internals::lake::LakeTable;
use stedi_delta::outcome::{Mode, Problem, SyncOutcome};

use crate::support::{DERIVED, Lake, accelerometer, assert_still, customer, modes, of, real_data, repository, steps};

#[tokio::test(flavor = "multi_thread")]
async fn the_real_files_give_the_known_counts_and_the_second_sync_writes_nothing() {
    let Some(data) = real_data() else { return };
    let lake = Lake::stedi();
    lake.land_all(&data);
    let first = lake.sync().await;
    assert!(first.tables.iter().all(|t| t.version_after == Some(0)));
    for (table, rows) in [
        ("customer_landing", 956),
        ("accelerometer_landing", 81_273),
        ("step_trainer_landing", 28_680),
        ("customer_trusted", 482),
        ("accelerometer_trusted", 40_981),
        ("customers_curated", 482),
        ("step_trainer_trusted", 14_460),
        ("machine_learning_curated", 40_981),
    ] {
        assert_eq!(lake.count(&format!("select count(*) from {table}")).await, rows, "{table}");
    }
    let before = lake.files();
    let second = lake.sync().await;
    assert!(modes(&second).iter().all(|(_, mode)| *mode == Mode::None));
    assert_eq!(lake.files(), before);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_removes_one_person_from_every_derived_table_and_consent_brings_them_back() {
    let lake = Lake::stedi();
    lake.land_all(&repository().join("sample/landing"));
    lake.sync().await;
    let before = lake.contents().await;
    let person = lake
        .rows(
            "select c.email, c.serialnumber from customers_curated c \
             where c.serialnumber in (select m.serialnumber from machine_learning_curated m)",
        )
        .await;
    let (email, serial) = person[0].split_once('|').unwrap();
    lake.land("customer/landing/withdraws.json", customer(email, serial, 1_999_999_999_999, None));
    let outcome = lake.sync().await;
    for table in DERIVED {
        let done = of(&outcome, table);
        assert_eq!(done.mode, Mode::Incremental, "{table}");
        assert!(done.rows.deleted > 0 && done.rows.inserted == 0, "{table}");
    }
    lake.assert_recomputed().await;
    for table in DERIVED {
        let column = match table {
            "accelerometer_trusted" => format!("\"user\" = '{email}'"),
            "customer_trusted" | "customers_curated" => format!("email = '{email}'"),
            _ => format!("serialnumber = '{serial}'"),
        };
        let here = lake.count(&format!("select count(*) from {table} where {column}")).await;
        let others = lake.count(&format!("select count(*) from {table}")).await;
        let others_before = lake.count(&format!("select count(*) from \"{table}@v0\" where not ({column})")).await;
        assert_eq!((here, others), (0, others_before), "{table}");
    }
    assert_eq!(outcome.grants_ended, 1);
    // The same record as at first, only newer: the same rows return.
    lake.land("customer/landing/returns.json", customer(email, serial, 2_000_000_000_000, 1));
    let outcome = lake.sync().await;
    assert!(DERIVED.iter().all(|t| of(&outcome, t).mode == Mode::Incremental));
    lake.assert_recomputed().await;
    let after = lake.contents().await;
    for ((table, before), (_, after)) in before.iter().zip(&after) {
        if !table.starts_with("customer") {
            assert_eq!(before.len(), after.len(), "{table}");
        }
    }
}

/// A lake in which Ann (serial `A`) and Ben (serial `B`) consent, with three readings of each sensor each.
async fn ann_and_ben() -> Lake {
    let lake = Lake::stedi();
    lake.land_customers("0", customer("ann@x", "A", 100, 1) + &customer("ben@x", "B", 100, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3) + &accelerometer("ben@x", 0..3));
    lake.land_steps("0", steps("A", 0..3) + &steps("B", 0..3));
    lake.build().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 6, 6]);
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_records_of_the_same_time_the_one_that_refuses_wins_in_whatever_order_they_come() {
    let lake = ann_and_ben().await;
    lake.land_customers("1", customer("ann@x", "A", 100, None));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [1, 3, 1, 3, 3]);
    lake.land_customers("2", customer("ann@x", "A", 100, 5));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [1, 3, 1, 3, 3]);
    lake.land_customers("3", customer("ann@x", "A", 101, 5));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 6, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_a_time_is_older_than_every_other_one() {
    let lake = Lake::stedi();
    lake.land_customers("0", customer("ann@x", "A", None, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3));
    lake.land_steps("0", steps("A", 0..3));
    lake.build().await;
    assert_eq!(lake.sizes().await, [1, 3, 1, 3, 3]);
    // Two without a time are a tie.
    lake.land_customers("1", customer("ann@x", "A", None, None));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [0; 5]);
    lake.land_customers("2", customer("ann@x", "A", -5, 1));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [1, 3, 1, 3, 3]);
    lake.land_customers("3", customer("ann@x", "A", None, None));
    assert_eq!(lake.advance().await.grants_ended, 0);
    assert_eq!(lake.sizes().await, [1, 3, 1, 3, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_an_email_goes_to_quarantine_and_the_others_land() {
    let lake = ann_and_ben().await;
    let nobody = "{\"email\":null,\"serialNumber\":\"A\",\"lastUpdateDate\":900}\n{\"serialNumber\":\"A\"}\n";
    lake.land_customers("1", nobody.to_owned() + &customer("cid@x", "C", 100, 1));
    let outcome = lake.advance().await;
    let landing = of(&outcome, "customer_landing");
    assert_eq!((landing.rows.inserted, landing.rows.quarantined), (1, 2));
    assert_eq!(lake.sizes().await, [3, 6, 2, 6, 6]);
    assert_eq!(lake.count("select count(*) from customer_landing_quarantine").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_records_of_a_person_only_the_newest_counts_while_consent_comes_and_goes() {
    let lake = ann_and_ben().await;
    for (at, shares) in [(200, None), (300, Some(1)), (400, Some(2)), (500, None), (600, None), (700, Some(3))] {
        lake.land_customers(&at.to_string(), customer("ann@x", "A", at, shares));
        lake.advance().await;
        let expected = if shares.is_some() { [2, 6, 2, 6, 6] } else { [1, 3, 1, 3, 3] };
        assert_eq!(lake.sizes().await, expected, "at {at}");
    }
    // The whole history again, newest first, in one file: nothing changes.
    let story: String = (1..7).rev().map(|n| customer("ann@x", "A", n * 100, (n % 2 == 0).then_some(1))).collect();
    lake.land_customers("again", story);
    assert_eq!(lake.advance().await.grants_ended, 0);
    assert_eq!(lake.sizes().await, [2, 6, 2, 6, 6]);
    assert_eq!(lake.rows("select sharewithresearchasofdate from customer_trusted").await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_number_that_somebody_else_also_claims_takes_its_readings_out_and_no_customer() {
    let lake = ann_and_ben().await;
    lake.land_customers("1", customer("cid@x", "A", 100, None));
    let outcome = lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 3, 3]);
    assert_eq!(lake.rows("select distinct serialnumber from step_trainer_trusted").await, ["B"]);
    assert_eq!(outcome.grants_ended, 1);
    let warned = |outcome: &SyncOutcome, table: &str| -> Vec<String> {
        of(outcome, table).warnings.iter().map(|warning| warning.message.clone()).collect()
    };
    let shared = "several people's newest records in customer_landing claim the same `serialnumber`: \
                  1 value that identifies nobody";
    // Once, of the first table.
    for (table, expected) in [("step_trainer_trusted", 1), ("machine_learning_curated", 0), ("customer_trusted", 0)] {
        assert_eq!(warned(&outcome, table), vec![shared; expected], "{table}");
    }
    // New readings of the shared device stay out too.
    lake.land_steps("1", steps("A", 3..5));
    lake.land_accelerometer("1", accelerometer("ann@x", 3..5));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 8, 2, 3, 3]);
    // The other person gets another device.
    lake.land_customers("2", customer("cid@x", "C", 101, None));
    let outcome = lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 8, 2, 8, 8]);
    assert!(warned(&outcome, "step_trainer_trusted").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_a_device_that_was_passed_on_follow_its_only_owner() {
    let lake = ann_and_ben().await;
    lake.land_customers("1", customer("ben@x", "A", 200, 1));
    lake.advance().await;
    // Both claim A, and nobody claims B any more.
    assert_eq!(lake.sizes().await, [2, 6, 2, 0, 0]);
    lake.land_customers("2", customer("ann@x", "A2", 200, 1));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 3, 3]);
    lake.land_accelerometer("1", accelerometer("ben@x", 5..6));
    lake.land_steps("1", steps("A", 5..6) + &steps("A2", 5..6));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 7, 2, 5, 4]);
    assert_eq!(lake.rows("select distinct serialnumber from machine_learning_curated").await, ["A"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_readings_and_a_withdrawal_in_one_sync_keep_the_new_readings_of_the_others_only() {
    let lake = ann_and_ben().await;
    lake.land_customers("1", customer("ann@x", "A", 200, None));
    lake.land_accelerometer("1", accelerometer("ann@x", 3..6) + &accelerometer("ben@x", 3..6));
    lake.land_steps("1", steps("A", 3..6) + &steps("B", 3..6));
    let outcome = lake.advance().await;
    assert_eq!(lake.sizes().await, [1, 6, 1, 6, 6]);
    let readings = of(&outcome, "accelerometer_trusted");
    assert_eq!((readings.rows.inserted, readings.rows.deleted), (3, 3));
    assert_eq!((outcome.grants_ended, outcome.grants_ended_tables), (1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn readings_of_somebody_unknown_wait_in_the_landing_zone_until_their_owner_consents() {
    let lake = ann_and_ben().await;
    lake.land_accelerometer("1", accelerometer("cid@x", 0..4));
    lake.land_steps("1", steps("C", 0..4));
    let outcome = lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 6, 6]);
    assert_eq!(of(&outcome, "accelerometer_trusted").rows.inserted, 0);
    lake.land_customers("1", customer("cid@x", "C", 100, None));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 6, 6]);
    lake.land_customers("2", customer("cid@x", "C", 101, 9));
    lake.advance().await;
    assert_eq!(lake.sizes().await, [3, 10, 3, 10, 10]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_that_came_three_times_is_there_three_times_also_after_a_withdrawal_and_a_return() {
    let lake = ann_and_ben().await;
    lake.land_accelerometer("1", accelerometer("ann@x", 0..1) + &accelerometer("ann@x", 0..1));
    lake.land_steps("1", steps("A", 0..1));
    lake.advance().await;
    // 2 customers, 6 + 2, 6 + 1, and at time 0 three readings meet two.
    let full = [2, 8, 2, 7, 3 + 2 + 6];
    assert_eq!(lake.sizes().await, full);
    lake.land_customers("1", customer("ann@x", "A", 200, None));
    assert_eq!(of(&lake.advance().await, "accelerometer_trusted").rows.deleted, 5);
    assert_eq!(lake.sizes().await, [1, 3, 1, 3, 3]);
    lake.land_customers("2", customer("ann@x", "A", 201, 1));
    lake.advance().await;
    assert_eq!(lake.sizes().await, full);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_arrives_after_newer_consent_changes_no_derived_row() {
    let lake = ann_and_ben().await;
    lake.land_customers("1", customer("ann@x", "A", 99, None) + &customer("ben@x", "A", 50, None));
    let outcome = lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 6, 6]);
    assert_eq!(outcome.grants_ended, 0);
    for table in DERIVED {
        let done = of(&outcome, table);
        assert_eq!((done.rows.inserted, done.rows.updated, done.rows.deleted), (0, 0, 0), "{table}");
        assert_eq!((done.io.files_added, done.io.files_removed), (0, 0), "{table}");
    }
    assert_still(&lake.advance().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_withdrawals_in_one_sync_leave_nobody() {
    let lake = ann_and_ben().await;
    lake.land_customers("1", customer("ann@x", "A", 200, None));
    lake.land_customers("2", customer("ben@x", "B", 200, None));
    let outcome = lake.advance().await;
    assert_eq!(lake.sizes().await, [0; 5]);
    assert_eq!((outcome.grants_ended, outcome.grants_ended_tables), (2, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_differ_in_case_are_different_people() {
    let lake = ann_and_ben().await;
    lake.land_customers("1", customer("Ann@x", "A9", 200, None));
    lake.land_accelerometer("1", accelerometer("Ann@x", 0..2));
    let outcome = lake.advance().await;
    assert_eq!(lake.sizes().await, [2, 6, 2, 6, 6]);
    assert_eq!(outcome.grants_ended, 0);
}

/// A copy of the STEDI project in its own lake, with files that its test replaces.
pub(crate) fn own_project(changed: &[(&str, &str)]) -> Lake {
    let lake = Lake::project(&[]);
    let mut paths = vec!["stedi-delta.toml".to_owned()];
    for zone in ["landing", "trusted", "curated"] {
        let files = std::fs::read_dir(repository().join("tables").join(zone)).unwrap();
        paths.extend(files.map(|f| format!("tables/{zone}/{}", f.unwrap().file_name().to_str().unwrap())));
    }
    for path in paths {
        lake.define(&path, &std::fs::read_to_string(repository().join(&path)).unwrap());
    }
    for (path, text) in changed {
        lake.define(path, text);
    }
    lake
}

/// The files of readings with their first and last person, from their own footers: the log has no statistics.
async fn readings_files(lake: &Lake) -> Vec<(String, String, String)> {
    let workspace = lake.workspace().await;
    let location = workspace.location(workspace.table("accelerometer_trusted").unwrap()).unwrap();
    let files = LakeTable::open(&location).await.unwrap().unwrap().files();
    let folder = lake.warehouse().join("trusted/accelerometer_trusted");
    let range = |path: &str| {
        let file = std::fs::File::open(folder.join(path)).unwrap();
        let footer = SerializedFileReader::new(file).unwrap().metadata().clone();
        let of_user = |bytes: fn(&Statistics) -> Option<&[u8]>| {
            let chunks = footer.row_groups().iter().flat_map(|group| group.columns());
            let chunks = chunks.filter(|chunk| chunk.column_path().string() == "user");
            chunks
                .map(|c| String::from_utf8(bytes(c.statistics().unwrap()).unwrap().to_vec()).unwrap())
                .collect::<Vec<_>>()
        };
        let (least, greatest) = (of_user(Statistics::min_bytes_opt), of_user(Statistics::max_bytes_opt));
        (least.into_iter().min().unwrap(), greatest.into_iter().max().unwrap())
    };
    files
        .into_iter()
        .map(|f| {
            assert!(!f.stats.as_deref().unwrap().contains("\"user\""));
            let (min, max) = range(&f.path);
            (f.path, min, max)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_rewrites_only_the_files_that_hold_readings_of_that_person() {
    let settings = std::fs::read_to_string(repository().join("stedi-delta.toml")).unwrap();
    let settings = format!("{settings}\n[defaults]\ntarget_file_size = \"64 KB\"\n");
    let lake = own_project(&[("stedi-delta.toml", &settings)]);
    let person = |n: i64| format!("p{n:02}@x");
    lake.land_customers("0", (0..40).map(|n| customer(&person(n), &format!("S{n}"), 100, 1)).collect::<String>());
    // Numbers that do not compress, or all of them would fit into one file.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / 9e15
    };
    let mut readings = String::new();
    for time in 0..1500 {
        for n in 0..40 {
            let (user, x, y, z) = (person(n), noise(), noise(), noise());
            readings += &format!("{{\"user\":\"{user}\",\"timestamp\":{time},\"x\":{x},\"y\":{y},\"z\":{z}}}\n");
        }
    }
    lake.land_accelerometer("0", readings);
    lake.build().await;
    let before = readings_files(&lake).await;
    let leaves = person(21);
    let holding: BTreeSet<&String> =
        before.iter().filter(|(_, min, max)| *min <= leaves && leaves <= *max).map(|(path, ..)| path).collect();
    assert!(before.len() >= 4 && holding.len() <= before.len() / 2, "{before:?}");
    lake.land_customers("1", customer(&leaves, "S21", 200, None));
    let outcome = lake.advance().await;
    let after = readings_files(&lake).await;
    let stay: BTreeSet<&String> = after.iter().map(|(path, ..)| path).collect();
    let gone: BTreeSet<&String> = before.iter().map(|(path, ..)| path).filter(|path| !stay.contains(path)).collect();
    assert_eq!(gone, holding);
    let done = of(&outcome, "accelerometer_trusted");
    assert_eq!((done.io.files_removed, done.io.files_before), (holding.len() as u64, before.len() as u64));
    assert_eq!((done.rows.deleted, done.rows.inserted), (1500, 0));
}

const BELOW_READINGS: [&str; 3] = ["customers_curated", "step_trainer_trusted", "machine_learning_curated"];

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_forgets_consent_cannot_commit_a_row_of_somebody_who_withdrew() {
    let sql = "select a.user, a.timestamp, a.x, a.y, a.z from accelerometer_landing a";
    let lake = own_project(&[("tables/trusted/accelerometer_trusted.sql", sql)]);
    lake.land_customers("0", customer("ann@x", "A", 100, 1) + &customer("ben@x", "B", 100, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3) + &accelerometer("ben@x", 0..3));
    lake.land_steps("0", steps("A", 0..3) + &steps("B", 0..3));
    lake.build().await;
    lake.land_customers("1", customer("ann@x", "A", 200, None));
    let before = lake.contents().await;
    // The second attempt ends like the first: the change is refused again.
    for _ in 0..2 {
        let (outcome, text) = lake.sync_failing("accelerometer_trusted", &BELOW_READINGS).await;
        assert_eq!(exit::of_sync(&outcome), 3);
        let refused = of(&outcome, "accelerometer_trusted");
        let Some(Problem::Failed(error)) = &refused.problem else { panic!("it did not fail") };
        assert_eq!(error.kind(), Kind::Evidence);
        assert!(!text.contains("ann@x") && !text.contains("ben@x"), "{text}");
        assert!(text.contains("3, subject column `user`"), "{text}");
        assert_eq!((refused.version_before, refused.mode), (refused.version_after, Mode::None));
        let after = lake.contents().await;
        for (before, after) in before.iter().zip(&after).filter(|(b, _)| BELOW_READINGS.contains(&b.0.as_str())) {
            assert_eq!(before, after);
        }
        assert_eq!(lake.count("select count(*) from customer_trusted").await, 1);
    }
    // New rows of a person who never consented are refused too.
    let first = own_project(&[("tables/trusted/accelerometer_trusted.sql", sql)]);
    first.land_accelerometer("0", accelerometer("eve@x", 0..3));
    let (outcome, text) = first.sync_failing("accelerometer_trusted", &BELOW_READINGS).await;
    assert_eq!((exit::of_sync(&outcome), of(&outcome, "accelerometer_trusted").version_after), (3, None));
    assert!(!text.contains("eve@x"), "{text}");
    // The corrected query applies the withdrawal.
    let path = "tables/trusted/accelerometer_trusted.sql";
    lake.define(path, &std::fs::read_to_string(repository().join(path)).unwrap());
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "accelerometer_trusted").reason, "the definition changed");
    for table in BELOW_READINGS {
        assert_eq!(of(&outcome, table).mode, Mode::Incremental, "{table}");
    }
    lake.assert_recomputed().await;
    assert_eq!(lake.sizes().await, [1, 3, 1, 3, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_left_behind_asks_for_itself_whose_consent_ended() {
    let sql = "select a.user, a.timestamp, a.x, a.y, a.z from accelerometer_landing a";
    let lake = own_project(&[("tables/trusted/accelerometer_trusted.sql", sql)]);
    lake.land_customers("0", customer("ann@x", "A", 100, 1) + &customer("ben@x", "B", 100, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3) + &accelerometer("ben@x", 0..3));
    lake.build().await;
    lake.land_customers("1", customer("ann@x", "A", 200, None));
    let (_, text) = lake.sync_failing("accelerometer_trusted", &BELOW_READINGS).await;
    assert!(text.contains("1 person who has not consented") && text.contains("3, subject column `user`"), "{text}");
    // `customer_trusted` has consumed the first withdrawal, and asks for the second one alone.
    lake.land_customers("2", customer("ben@x", "B", 200, None));
    let (outcome, text) = lake.sync_failing("accelerometer_trusted", &BELOW_READINGS).await;
    assert!(text.contains("2 people who have not consented") && text.contains("6, subject column `user`"), "{text}");
    assert_eq!((outcome.grants_ended, outcome.grants_ended_tables), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_that_fails_holds_the_table_and_says_that_it_holds_back_a_withdrawal() {
    let path = "tables/trusted/accelerometer_trusted.toml";
    let definition = std::fs::read_to_string(repository().join(path)).unwrap();
    let strict =
        format!("{definition}\n[[expectations]]\nname = \"x_small\"\ncheck = \"x < 100\"\naction = \"fail\"\n");
    let lake = own_project(&[(path, &strict)]);
    lake.land_customers("0", customer("ann@x", "A", 100, 1) + &customer("ben@x", "B", 100, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3) + &accelerometer("ben@x", 0..3));
    lake.land_steps("0", steps("A", 0..3) + &steps("B", 0..3));
    lake.build().await;
    lake.land_customers("1", customer("ann@x", "A", 200, None));
    lake.land_accelerometer("1", accelerometer("ben@x", 100..102));
    let (outcome, text) = lake.sync_failing("accelerometer_trusted", &BELOW_READINGS).await;
    assert_eq!(exit::of_sync(&outcome), 3);
    let refused = of(&outcome, "accelerometer_trusted");
    let Some(Problem::Failed(error)) = &refused.problem else { panic!("it did not fail") };
    assert_eq!(error.kind(), Kind::Evidence);
    assert_eq!((refused.version_before, refused.mode), (refused.version_after, Mode::None));
    assert!(text.contains("2 new rows") && text.contains("`x_small`"), "{text}");
    assert!(text.contains("the withdrawal of 1 person"), "{text}");
    assert!(!text.contains("@x"), "{text}");
    lake.define(path, &definition);
    lake.advance().await;
    assert_eq!(lake.sizes().await, [1, 5, 1, 3, 3]);
}

/// Step `n` of a long history: sixteen customer records of eight people, and a few readings.
fn history(lake: &Lake, n: i64) {
    let mut state = (n + 1).unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut dice = |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % sides).cast_signed()
    };
    let mut records = String::new();
    for _ in 0..16 {
        let person = dice(8);
        // Now and then a person has the device of a neighbour, a record is late, or has no time.
        let serial = if dice(12) == 0 { (person + 1) % 8 } else { person };
        let updated = (dice(40) != 0).then(|| n * 10 + dice(10) - if dice(6) == 0 { 300 } else { 0 });
        let shares = (dice(3) != 0).then_some(n);
        records += &customer(&format!("p{person}@x"), &format!("S{serial}"), updated, shares);
    }
    lake.land_customers(&format!("{n:03}"), records);
    if n % 3 == 0 {
        let (person, serial, from) = (dice(9), dice(9), n / 10);
        lake.land_accelerometer(&format!("{n:03}"), accelerometer(&format!("p{person}@x"), from..from + 5));
        lake.land_steps(&format!("{n:03}"), steps(&format!("S{serial}"), from..from + 5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_ends_the_same_whether_it_came_bit_by_bit_or_at_once() {
    const FILES: i64 = 150;
    let (slow, fast) = (Lake::stedi(), Lake::stedi());
    history(&slow, 0);
    slow.build().await;
    // Most of it in larger pieces, the last thirty file by file.
    let ends: Vec<i64> = (10..=120).step_by(10).chain(121..=FILES).collect();
    let mut next = 1;
    for end in ends {
        (next..end).for_each(|n| history(&slow, n));
        next = end;
        let outcome = slow.sync().await;
        for table in DERIVED {
            let done = of(&outcome, table);
            assert!(matches!(done.mode, Mode::Incremental | Mode::None), "{table} by {end}: {}", done.reason);
        }
        if end % 30 == 0 {
            slow.assert_recomputed().await;
        }
    }
    (0..FILES).for_each(|n| history(&fast, n));
    fast.build().await;
    assert!(slow.count("select count(*) from customer_landing").await == FILES * 16);
    assert!(slow.sizes().await.iter().all(|rows| *rows > 0), "{:?}", slow.sizes().await);
    for (slow, fast) in slow.contents().await.iter().zip(&fast.contents().await) {
        assert!(slow == fast, "{}: {} and {} rows", slow.0, slow.1.len(), fast.1.len());
    }
}
