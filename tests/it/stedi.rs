//! The STEDI project end to end: first build, withdrawals, consent given again.

use stedi_delta::outcome::Mode;

use crate::support::{Lake, modes, of, real_data, repository};

const DERIVED: [&str; 5] = [
    "customer_trusted",
    "accelerometer_trusted",
    "step_trainer_trusted",
    "customers_curated",
    "machine_learning_curated",
];

fn customer(email: &str, serial: &str, updated: i64, shares: Option<i64>) -> String {
    let shares = shares.map_or("null".to_owned(), |at| at.to_string());
    format!(
        "{{\"customerName\":\"x\",\"email\":\"{email}\",\"serialNumber\":\"{serial}\",\"lastUpdateDate\":{updated},\
         \"shareWithResearchAsOfDate\":{shares}}}\n"
    )
}

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
        assert!(done.rows_deleted > 0 && done.rows_inserted == 0, "{table}");
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
    lake.land("customer/landing/returns.json", customer(email, serial, 2_000_000_000_000, Some(1)));
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
