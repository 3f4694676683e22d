//! STEDI's landing records written by hand, and the allowed effects of a sync of them.

use std::ops::Range;

use stedi_delta::outcome::{Mode, SyncOutcome};

use super::{Lake, assert_ok, of};

/// The derived tables, in the order of [`Lake::sizes`].
pub(crate) const DERIVED: [&str; 5] = [
    "customer_trusted",
    "accelerometer_trusted",
    "customers_curated",
    "step_trainer_trusted",
    "machine_learning_curated",
];

/// A customer's record; times are epoch ms, `None` is null.
pub(crate) fn customer(
    email: &str,
    serial: &str,
    updated: impl Into<Option<i64>>,
    shares: impl Into<Option<i64>>,
) -> String {
    let number = |n: Option<i64>| n.map_or("null".to_owned(), |n| n.to_string());
    format!(
        "{{\"customerName\":\"x\",\"email\":\"{email}\",\"serialNumber\":\"{serial}\",\"lastUpdateDate\":{},\
         \"shareWithResearchAsOfDate\":{}}}\n",
        number(updated.into()),
        number(shares.into())
    )
}

/// One accelerometer reading of `user` per time.
pub(crate) fn accelerometer(user: &str, times: Range<i64>) -> String {
    times.map(|t| format!("{{\"user\":\"{user}\",\"timestamp\":{t},\"x\":{t}.5,\"y\":0.25,\"z\":-1.0}}\n")).collect()
}

/// One step-trainer reading of `serial` per time.
pub(crate) fn steps(serial: &str, times: Range<i64>) -> String {
    let line =
        |t| format!("{{\"sensorReadingTime\":{t},\"serialNumber\":\"{serial}\",\"distanceFromObject\":{}}}\n", t + 200);
    times.map(line).collect()
}

impl Lake {
    /// Writes a file of customer records.
    pub(crate) fn land_customers(&self, file: &str, records: impl AsRef<[u8]>) {
        self.land(&format!("customer/landing/{file}.json"), records);
    }

    /// Writes a file of accelerometer readings.
    pub(crate) fn land_accelerometer(&self, file: &str, records: impl AsRef<[u8]>) {
        self.land(&format!("accelerometer/landing/{file}.json"), records);
    }

    /// Writes a file of step-trainer readings.
    pub(crate) fn land_steps(&self, file: &str, records: impl AsRef<[u8]>) {
        self.land(&format!("step_trainer/landing/{file}.json"), records);
    }

    /// A first sync, after which every derived table equals its query.
    pub(crate) async fn build(&self) -> SyncOutcome {
        let outcome = self.sync().await;
        self.assert_recomputed().await;
        outcome
    }

    /// A later sync: no derived table is rebuilt, and afterwards each equals its query.
    pub(crate) async fn advance(&self) -> SyncOutcome {
        let outcome = self.sync().await;
        for table in DERIVED {
            let done = of(&outcome, table);
            let fine = matches!(done.mode, Mode::Incremental | Mode::None);
            assert!(fine, "{table} was refreshed as {:?}: {}", done.mode, done.reason);
        }
        self.assert_recomputed().await;
        outcome
    }

    /// A sync in which the table `failed` fails and those in `skipped` are skipped; the error as printed.
    pub(crate) async fn sync_failing(&self, failed: &str, skipped: &[&str]) -> (SyncOutcome, String) {
        use stedi_delta::outcome::Problem;
        let mut outcome = self.try_sync().await;
        assert!(outcome.problem.is_none(), "{:?}", outcome.problem);
        let mut text = String::new();
        for table in &mut outcome.tables {
            match &table.problem {
                Some(Problem::Failed(error)) if table.table.as_str() == failed => {
                    text = format!("{error} {:?} {:?}", error.facts(), error.next());
                }
                Some(Problem::Skipped(_)) if skipped.contains(&table.table.as_str()) => {}
                None if table.table.as_str() != failed && !skipped.contains(&table.table.as_str()) => {}
                other => panic!("{}: {other:?}", table.table),
            }
        }
        (outcome, text)
    }

    /// Rows of [`DERIVED`].
    pub(crate) async fn sizes(&self) -> [i64; 5] {
        let mut sizes = [0; 5];
        for (size, table) in sizes.iter_mut().zip(DERIVED) {
            *size = self.count(&format!("select count(*) from {table}")).await;
        }
        sizes
    }
}

/// The outcome has no problem and every table is unchanged.
pub(crate) fn assert_still(outcome: &SyncOutcome) {
    assert_ok(outcome);
    for table in &outcome.tables {
        assert!(table.mode == Mode::None && table.version_before == table.version_after, "{}", table.table);
    }
}
