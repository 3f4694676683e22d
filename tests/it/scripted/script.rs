//! What happens to the lake: STEDI's own records of some people, in pieces, and what the people and other writers do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use deltalake::{DeltaTable, DeltaTableBuilder};
use serde_json::Value;
use stedi_delta::outcome::{Problem, SyncOutcome};
use stedi_delta::progress::Silent;
use stedi_delta::restore;
use stedi_delta::sync::{self, Reload};
use stedi_delta::travel::{Point, Zone};
use url::Url;

use super::people::{Person, people};
use crate::stedi::own_project;
use crate::support::{Lake, accelerometer, assert_ok, customer, foreign_delete, of};

/// Syncs without those that repair what another writer did.
pub(super) const SYNCS: usize = 60;
/// People of whom all records land.
const PEOPLE: usize = 24;
/// Customers of the first sync, and those of them whose readings come with it.
const FIRST: (usize, usize) = (8, 4);
/// Newer than every record of the data.
const LATER: i64 = 1_900_000_000_000;

/// The landing tables.
pub(super) const LANDING: [&str; 3] = ["customer_landing", "accelerometer_landing", "step_trainer_landing"];
/// The derived tables with their zone, and the subject of consent by which each names people.
pub(super) const GUARDED: [(&str, &str, &str, &str); 5] = [
    ("trusted", "customer_trusted", "email", "email"),
    ("trusted", "accelerometer_trusted", "user", "email"),
    ("curated", "customers_curated", "email", "email"),
    ("trusted", "step_trainer_trusted", "serialnumber", "serialnumber"),
    ("curated", "machine_learning_curated", "serialnumber", "serialnumber"),
];
/// The table whose older files another writer removes.
pub(super) const VACUUMED: &str = "customers_curated";
/// Table, old name and new name of the column that the migration renames.
pub(super) const RENAMED: [&str; 3] = ["step_trainer_landing", "distancefromobject", "distance"];

/// The lake as one sync left it.
#[derive(Clone)]
pub(super) struct Cut {
    /// A time after that sync and before the next one.
    pub ms: i64,
    /// Table -> version, from the file names of the logs.
    pub versions: BTreeMap<String, u64>,
    /// Whether a table failed.
    pub is_failed: bool,
}

impl Cut {
    /// Its time as it is typed.
    pub(super) fn time(&self) -> String {
        chrono::DateTime::from_timestamp_millis(self.ms).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    }
}

/// The lake and what is known of it.
pub(super) struct Script {
    pub lake: Lake,
    pub cuts: Vec<Cut>,
    /// The version of the training table to which another writer added a row.
    pub planted: u64,
    /// E-mail addresses and serial numbers of people of whom something happened.
    pub actors: Vec<(String, String)>,
    people: Vec<Person>,
    /// Those who consented at first, by number.
    consenting: Vec<usize>,
    customers: usize,
    readers: usize,
}

impl Script {
    /// All of it.
    pub(super) async fn played() -> Self {
        let people = people(PEOPLE);
        let consenting: Vec<usize> = (0..FIRST.0).filter(|n| people[*n].consents).collect();
        let actors = consenting.iter().map(|n| (people[*n].email.clone(), people[*n].serial.clone())).collect();
        let lake = own_project(&[]);
        let (customers, readers) = FIRST;
        let mut script = Self { lake, cuts: Vec::new(), planted: 0, actors, people, consenting, customers, readers };
        for step in 0..SYNCS {
            script.land(step);
            script.event(step).await;
            let outcome = script.lake.sync().await;
            assert_ok(&outcome);
            script.cut(false);
        }
        script
    }

    fn land(&mut self, step: usize) {
        let file = format!("{step:02}");
        let lake = &self.lake;
        if step == 0 {
            lake.land_customers(&file, self.people[..FIRST.0].iter().map(|p| p.customer.as_str()).collect::<String>());
            let readings = self.people[..FIRST.1].iter().flat_map(|p| p.readings.iter().map(String::as_str));
            lake.land_accelerometer(&file, readings.collect::<String>());
            lake.land_steps(&file, self.people[..FIRST.1].iter().map(|p| p.steps.as_str()).collect::<String>());
            return;
        }
        let reader = &self.people[self.readers];
        let half = reader.readings.len() / 2;
        match step % 4 {
            0 => {
                lake.land_customers(&file, &self.people[self.customers].customer);
                self.customers += 1;
            }
            1 => lake.land_accelerometer(&file, reader.readings[..half].concat()),
            2 => lake.land_steps(&file, &reader.steps),
            _ => {
                lake.land_accelerometer(&file, reader.readings[half..].concat());
                self.readers += 1;
            }
        }
    }

    /// A newer record of the n-th person who consented at first.
    fn consent(&self, step: usize, of: &[usize], shares: bool) {
        let now = LATER + i64::try_from(step).unwrap();
        let record = |n: &usize| {
            let person = &self.people[self.consenting[*n]];
            customer(&person.email, &person.serial, now, shares.then_some(now))
        };
        self.lake.land_customers(&format!("{step:02}-consent"), of.iter().map(record).collect::<String>());
    }

    /// What happens before a sync.
    async fn event(&mut self, step: usize) {
        let lake = &self.lake;
        match step {
            6 => self.consent(step, &[0], false),
            9 => self.consent(step, &[0], true),
            11 => self.consent(step, &[0, 1], false),
            14 => {
                // The device of the third one is passed on.
                let serial = &self.people[self.consenting[2]].serial;
                lake.land_customers("14-heir", customer("heir@test.com", serial, LATER, LATER));
            }
            16 => drop(open(lake, "trusted/accelerometer_trusted").await.optimize().await.unwrap()),
            20 => self.rename(),
            24 => self.consent(step, &[1], true),
            26 => self.plant().await,
            30 => {
                let path = "tables/landing/accelerometer_landing.toml";
                let text = fs::read_to_string(lake.root().join(path)).unwrap();
                lake.define(path, &format!("{text}battery = {{ type = \"long\" }}\n"));
                let mut reading: Value = serde_json::from_str(&accelerometer(&self.people[0].email, 5..6)).unwrap();
                reading["battery"] = 77.into();
                lake.land_accelerometer("30-battery", reading.to_string());
            }
            33 => {
                let workspace = lake.workspace().await;
                let point = Point::parse("v3", &Zone::default()).unwrap();
                let table = restore::prepare(&workspace, "machine_learning_curated", &point).await.unwrap();
                assert!(table.carry_out("a run", &Silent).await.unwrap().problem.is_none());
            }
            36 => {
                let user = &self.people[self.consenting[1]].email;
                foreign_delete(lake, "landing/accelerometer_landing", &format!("\"user\" = '{user}' and x > 0")).await;
            }
            40 => {
                // The heir gives the device back.
                let other = "00000000-0000-0000-0000-000000000000";
                lake.land_customers("40-heir", customer("heir@test.com", other, LATER + 40, LATER));
            }
            44 => {
                let unload = vec![Reload::parse("accelerometer_landing:accelerometer/landing/05.json")];
                assert_ok(&lake.try_sync_with(sync::Options { unload, ..sync::Options::default() }).await);
                self.cut(false);
            }
            46 => self.consent(step, &[1, 2], false),
            48 => vacuum(lake, &format!("curated/{VACUUMED}")).await,
            50 => self.plant_and_take_back().await,
            52 => self.consent(step, &[2], true),
            _ => {}
        }
    }

    /// A migration renames a column of a landing table; its readers follow.
    fn rename(&self) {
        let (lake, [table, old, new]) = (&self.lake, RENAMED);
        lake.define("migrations/0001_rename.sql", &format!("alter table {table} rename column {old} to {new};\n"));
        let edit = |path: &str, from: &str, to: &str| {
            let text = fs::read_to_string(lake.root().join(path)).unwrap();
            assert!(text.contains(from), "{path}");
            lake.define(path, &text.replace(from, to));
        };
        let (before, after) = (format!("{old} = {{ "), format!("{new} = {{ from = \"{old}\", "));
        edit(&format!("tables/landing/{table}.toml"), &before, &after);
        let path = "tables/trusted/step_trainer_trusted.sql";
        edit(path, "s.distancefromobject", "s.distance as distancefromobject");
    }

    /// Another writer adds a row of somebody who has not consented to the training table: its sync fails, and a full
    /// refresh repairs it.
    async fn plant(&mut self) {
        let person = self.people.iter().find(|person| !person.consents).unwrap();
        let path = "curated/machine_learning_curated";
        plant(&self.lake, path, &person.serial).await;
        self.planted = self.lake.table(path).await.version();
        let outcome = self.lake.try_sync().await;
        assert!(matches!(of(&outcome, "machine_learning_curated").problem, Some(Problem::Failed(_))), "{outcome:?}");
        self.cut(true);
        let select = vec!["machine_learning_curated".to_owned()];
        let options = sync::Options { full_refresh: true, select, ..sync::Options::default() };
        let outcome: SyncOutcome = self.lake.try_sync_with(options).await;
        assert_ok(&outcome);
        self.cut(false);
    }

    /// The same without a sync in between: another writer restores what was there.
    async fn plant_and_take_back(&mut self) {
        let (lake, path) = (&self.lake, "trusted/step_trainer_trusted");
        let version = lake.table(path).await.version();
        foreign_delete(lake, path, "distancefromobject > 250").await;
        open(lake, path).await.restore().with_version_to_restore(version).await.unwrap();
        let outcome = lake.try_sync().await;
        let is_failed = of(&outcome, "step_trainer_trusted").problem.is_some();
        self.cut(is_failed);
        if is_failed {
            let select = vec!["step_trainer_trusted".to_owned()];
            let options = sync::Options { full_refresh: true, select, ..sync::Options::default() };
            assert_ok(&self.lake.try_sync_with(options).await);
            self.cut(false);
        }
    }

    fn cut(&mut self, is_failed: bool) {
        let names =
            LANDING.iter().map(|name| ("landing", *name)).chain(GUARDED.iter().map(|(zone, name, ..)| (*zone, *name)));
        let newest = |(zone, name): (&str, &str)| {
            let log = self.lake.warehouse().join(zone).join(name).join("_delta_log");
            (name.to_owned(), newest(&log))
        };
        let versions = names.map(newest).collect();
        std::thread::sleep(std::time::Duration::from_millis(3));
        let ms = chrono::Utc::now().timestamp_millis();
        std::thread::sleep(std::time::Duration::from_millis(3));
        self.cuts.push(Cut { ms, versions, is_failed });
    }
}

fn newest(log: &Path) -> u64 {
    let names = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).max().unwrap()
}

async fn open(lake: &Lake, table: &str) -> DeltaTable {
    let url = Url::from_directory_path(lake.warehouse().join(table)).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap()
}

async fn vacuum(lake: &Lake, table: &str) {
    let vacuum = open(lake, table).await.vacuum().with_retention_period(chrono::Duration::zero());
    let (_, metrics) = vacuum.with_enforce_retention_duration(false).await.unwrap();
    assert!(!metrics.files_deleted.is_empty());
}

async fn plant(lake: &Lake, table: &str, serial: &str) {
    let float = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let long = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let row = RecordBatch::try_from_iter_with_nullable([
        ("sensorreadingtime", long(LATER), true),
        ("serialnumber", Arc::new(StringArray::from(vec![serial])) as ArrayRef, true),
        ("distancefromobject", long(1), true),
        ("x", float(0.5), true),
        ("y", float(0.25), true),
        ("z", float(0.125), true),
    ]);
    open(lake, table).await.write(vec![row.unwrap()]).await.unwrap();
}
