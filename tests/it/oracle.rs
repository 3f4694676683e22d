//! A second engine computes every table from the landing files and reads the lake's own tables back.

use std::process::Command;

use crate::support::second::second_engine;
use crate::support::{Lake, real_data, repository};

/// Panics if the second engine computes or reads anything else than the lake's tables.
async fn assert_agrees(lake: &Lake) {
    let Some(python) = second_engine() else { return };
    let output = Command::new(python)
        .arg(repository().join("tests/oracle/oracle.py"))
        .arg("compare")
        .args(["--landing".into(), lake.landing(), "--warehouse".into(), lake.warehouse()])
        .args(["--tables".into(), lake.root().join("tables")])
        .output()
        .unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => {
            assert_eq!(text.matches(" equal ").count(), lake.workspace().await.project.tables.len(), "{text}");
        }
        Some(77) => eprintln!("SKIP: {errors}"),
        _ => panic!("the second engine does not agree\n{text}{errors}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_is_what_duckdb_computes_also_after_a_withdrawal_consent_and_new_readings() {
    let lake = Lake::stedi();
    lake.land_all(&repository().join("sample/landing"));
    lake.sync().await;
    assert_agrees(&lake).await;
    let person = lake
        .rows("select distinct c.email, c.serialnumber from customers_curated c, machine_learning_curated m where c.serialnumber = m.serialnumber")
        .await;
    let (email, serial) = person[0].split_once('|').unwrap();
    lake.land_customers("withdraws", crate::support::customer(email, serial, 1_999_999_999_998, None));
    lake.advance().await;
    assert_agrees(&lake).await;
    lake.land_customers("returns", crate::support::customer(email, serial, 1_999_999_999_999, 7));
    let times = 2_000_000_000_000..2_000_000_000_040;
    lake.land_accelerometer("new", crate::support::accelerometer(email, times.clone()));
    lake.land_steps("new", crate::support::steps(serial, times));
    lake.advance().await;
    assert_agrees(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_files_give_what_duckdb_computes_also_after_a_withdrawal() {
    let Some(data) = real_data() else { return };
    let lake = Lake::stedi();
    lake.land_all(&data);
    lake.sync().await;
    assert_agrees(&lake).await;
    let person = lake.rows("select email, serialnumber from customers_curated").await;
    let (email, serial) = person[0].split_once('|').unwrap();
    lake.land_customers("withdraws", crate::support::customer(email, serial, 1_999_999_999_999, None));
    lake.advance().await;
    assert_agrees(&lake).await;
}
