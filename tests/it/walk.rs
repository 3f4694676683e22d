//! The definitions of the shipped project change, one after the other, over a lake that stands: what follows by itself,
//! what a migration does, and what is refused until all of the project follows.

use std::fs;
use std::process::Command;

use stedi_delta::outcome::{Mode, SyncOutcome};

use crate::nested::assert_duckdb_reads_the_same;
use crate::support::{Lake, Ran, assert_ok, assert_still, of, repository, verify};

const LANDING: &str = "tables/landing/customer_landing.toml";

struct Walk {
    lake: Lake,
}

impl Walk {
    /// A copy of the project over its sample, with two tables more that read telephone numbers.
    async fn begin() -> Self {
        let lake = Lake::project(&[]);
        for folder in ["", "tables/landing", "tables/trusted", "tables/curated"] {
            for file in fs::read_dir(repository().join(folder)).unwrap().map(|file| file.unwrap().path()) {
                if file.extension().is_some_and(|ext| ext == "sql" || ext == "toml") {
                    let path = file.strip_prefix(repository()).unwrap().to_str().unwrap();
                    if folder.is_empty() && path != "stedi-delta.toml" {
                        continue;
                    }
                    lake.define(path, &fs::read_to_string(&file).unwrap());
                }
            }
        }
        lake.define("tables/curated/phones.toml", "description = \"Numbers\"\n");
        lake.define(
            "tables/curated/phones.sql",
            "select distinct l.phone from customer_landing l where l.phone is not null",
        );
        lake.define("tables/curated/shared_phones.toml", "description = \"Numbers of several records\"\n");
        lake.define(
            "tables/curated/shared_phones.sql",
            "select l.phone, count(*) as records from customer_landing l group by l.phone having count(*) > 1",
        );
        lake.land_all(&repository().join("sample/landing"));
        let walk = Self { lake };
        walk.lake.sync().await;
        walk
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.lake.root().join(path)).unwrap()
    }

    fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        assert!(text.contains(from), "{path}: {from}");
        self.lake.define(path, &text.replace(from, to));
    }

    /// The program on this lake.
    fn run(&self, args: &[&str]) -> Ran {
        let (landing, warehouse) = (self.lake.landing(), self.lake.warehouse());
        let mut command = Command::new(env!("CARGO_BIN_EXE_stedi-delta"));
        command.args(args).arg("--project").arg(self.lake.root()).env("STEDI_DELTA_HASH_KEY", "test");
        command.env("XDG_CACHE_HOME", self.lake.caches());
        if args[0] != "check" {
            command.arg("--landing").arg(landing).arg("--warehouse").arg(warehouse);
        }
        Ran::of(&mut command)
    }

    /// Whatever is a law after a change; `blind`: tables that do not see it.
    async fn follows(&self, outcome: &SyncOutcome, blind: &[&str]) {
        for name in blind {
            let done = of(outcome, name);
            assert!(done.mode != Mode::Full, "{name}: {}", done.reason);
        }
        assert_still(&self.lake.sync().await);
        self.lake.assert_recomputed().await;
        assert_ok(&self.lake.try_sync_with(verify()).await);
        assert_duckdb_reads_the_same(&self.lake).await;
        let ran = self.run(&["catalog", "check"]);
        assert!(ran.code == 0 && ran.out.contains("the catalog matches the logs"), "{}{}", ran.out, ran.err);
        // Every version stays readable.
        let landing = self.lake.table("landing/customer_landing").await.version();
        for version in 0..=landing {
            let rows = self.lake.count(&format!("select count(*) from \"customer_landing@v{version}\"")).await;
            assert!(rows >= 187, "v{version}: {rows}");
        }
    }
}

const ALL: [&str; 7] = [
    "customer_trusted",
    "accelerometer_trusted",
    "step_trainer_trusted",
    "customers_curated",
    "machine_learning_curated",
    "phones",
    "shared_phones",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_only_adds_needs_no_migration() {
    let walk = Walk::begin().await;
    let lake = &walk.lake;
    // A column, carried into the last zone by the queries of two tables.
    walk.edit(
        LANDING,
        "\n# This table",
        "timezone = { type = \"string\", description = \"Where the customer lives\" }\n\n# This table",
    );
    let record = "{\"email\":\"new@example.com\",\"serialNumber\":\"new\",\"lastUpdateDate\":1,\
                  \"shareWithResearchAsOfDate\":1,\"timezone\":\"UTC\"}\n";
    lake.land("customer/landing/zoned.json", record);
    let outcome = lake.sync().await;
    walk.follows(&outcome, &ALL).await;
    walk.edit("tables/trusted/customer_trusted.sql", "    r.customername,", "    r.customername,\n    r.timezone,");
    walk.edit(
        "tables/trusted/customer_trusted.sql",
        "        l.customername,",
        "        l.customername,\n        l.timezone,",
    );
    walk.edit("tables/curated/customers_curated.sql", "    c.customername,", "    c.customername,\n    c.timezone,");
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "customers_curated").reason, "the definition changed, replaced whole: + timezone string");
    let others =
        ["accelerometer_trusted", "step_trainer_trusted", "machine_learning_curated", "phones", "shared_phones"];
    walk.follows(&outcome, &others).await;
    let catalog = fs::read_to_string(lake.warehouse().join("_catalog/stedi/customers_curated.json")).unwrap();
    assert!(catalog.contains("\"timezone\"") && catalog.contains("Where the customer lives"), "{catalog}");

    // A struct, and then a field two levels deep in it.
    walk.edit(
        LANDING,
        "timezone = ",
        "address = \"struct<city:string,geo:struct<at:struct<lat:double>>>\"\ntimezone = ",
    );
    let outcome = lake.sync().await;
    walk.follows(&outcome, &ALL).await;
    walk.edit(LANDING, "lat:double", "lat:double,lon:double");
    let outcome = lake.sync().await;
    let reason = &of(&outcome, "customer_landing").reason;
    assert!(reason.starts_with("new column `address.geo.at.lon`"), "{reason}");
    walk.follows(&outcome, &ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rewrites_needs_a_migration_and_what_does_not_read_the_column_is_not_computed_whole() {
    let walk = Walk::begin().await;
    let lake = &walk.lake;
    // A wider type, of a column that no query reads.
    let source = "\n# This table";
    walk.edit(LANDING, source, &format!("floor = \"integer\"\n{source}"));
    lake.land(
        "customer/landing/floors.json",
        "{\"email\":\"high@example.com\",\"serialNumber\":\"high\",\"floor\":7}\n",
    );
    lake.sync().await;
    walk.edit(LANDING, "floor = \"integer\"", "floor = \"long\"");
    let ran = walk.run(&["sync"]);
    assert!(ran.code == 1 && ran.err.contains("need a migration: alter column floor type long"), "{}", ran.err);
    lake.define("migrations/0001_floor.sql", "alter table customer_landing alter column floor type long;\n");
    let outcome = lake.sync().await;
    walk.follows(&outcome, &ALL).await;
    assert_eq!(lake.rows("select floor from customer_landing where floor is not null").await, ["7"]);

    // NOT NULL over rows that violate it: nothing changes.
    walk.edit(LANDING, "floor = \"long\"", "floor = { type = \"long\", nullable = false }");
    lake.define("migrations/0002_floor.sql", "alter table customer_landing alter column floor set not null;\n");
    let files = lake.files();
    let ran = walk.run(&["sync"]);
    assert!(
        ran.code == 1 && ran.err.contains("error: 187 rows of customer_landing have NULL in `floor`"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("@"), "no value of a person: {}", ran.err);
    assert_eq!(lake.files(), files);

    // Dropped instead.
    walk.edit(LANDING, "floor = { type = \"long\", nullable = false }\n", "");
    lake.define("migrations/0002_floor.sql", "alter table customer_landing drop column floor;\n");
    let outcome = lake.sync().await;
    walk.follows(&outcome, &ALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_the_project_names_gets_another_name_once_all_of_it_follows() {
    let walk = Walk::begin().await;
    let lake = &walk.lake;
    // In three queries.
    walk.edit(LANDING, "phone   ", "mobile  ");
    lake.define("migrations/0001_mobile.sql", "alter table customer_landing rename column phone to mobile;\n");
    let ran = walk.run(&["check"]);
    for place in ["customer_trusted.sql", "phones.sql", "shared_phones.sql"] {
        assert!(ran.code == 1 && ran.err.contains(place), "{place}: {}", ran.err);
    }
    walk.edit("tables/trusted/customer_trusted.sql", "l.phone", "l.mobile as phone");
    for table in ["phones", "shared_phones"] {
        walk.edit(&format!("tables/curated/{table}.sql"), "l.phone", "l.mobile");
    }
    let ran = walk.run(&["check"]);
    assert!(ran.code == 0 || !ran.err.contains("mobile"), "{}", ran.err);
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 1);
    walk.follows(&outcome, &["accelerometer_trusted", "machine_learning_curated", "customers_curated"]).await;

    // In the record of consent.
    walk.edit(LANDING, "lastupdatedate            =", "updated                   =");
    lake.define(
        "migrations/0002_updated.sql",
        "alter table customer_landing rename column lastupdatedate to updated;\n",
    );
    let ran = walk.run(&["check"]);
    for place in ["customer_landing.toml", "customer_trusted.sql", "step_trainer_trusted.sql"] {
        assert!(ran.code == 1 && ran.err.contains(place), "{place}: {}", ran.err);
    }
    walk.edit(LANDING, "latest = [\"lastupdatedate\"]", "latest = [\"updated\"]");
    walk.edit(
        "tables/trusted/customer_trusted.sql",
        "        l.lastupdatedate,",
        "        l.updated as lastupdatedate,",
    );
    walk.edit("tables/trusted/customer_trusted.sql", "l.lastupdatedate desc", "l.updated desc");
    walk.edit("tables/trusted/step_trainer_trusted.sql", "l.lastupdatedate", "l.updated");
    let before = lake.rows("select * from customers_curated").await;
    let outcome = lake.sync().await;
    walk.follows(&outcome, &["phones", "shared_phones"]).await;
    assert_eq!(lake.rows("select * from customers_curated").await, before);
    // Who has consented is found by the new name.
    let email = before[0].split('|').nth(1).unwrap().to_owned();
    let ends = format!("{{\"email\":\"{email}\",\"updated\":1999999999999}}\n");
    lake.land("customer/landing/ends.json", ends);
    let outcome = lake.sync().await;
    assert_eq!((outcome.grants_ended, of(&outcome, "customers_curated").rows.deleted), (1, 1));
    walk.follows(&outcome, &ALL).await;
}
