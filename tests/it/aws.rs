//! The shipped project on S3 and Glue, with faults of the store: the program as a child process against its own local
//! AWS.

mod catalog;
mod credentials;
mod dying;
mod faults;
mod pinned;

use std::process::Command;

use serde_json::Value;

use crate::support::aws::{Aws, Request};
use crate::support::second::python;
use crate::support::{Ran, real_data, repository};

/// Rows of the sample's tables, in the order of the project.
const SAMPLE: [(&str, &str, u64); 8] = [
    ("landing", "customer_landing", 187),
    ("landing", "accelerometer_landing", 7_994),
    ("landing", "step_trainer_landing", 3_064),
    ("trusted", "customer_trusted", 33),
    ("trusted", "accelerometer_trusted", 4_762),
    ("trusted", "step_trainer_trusted", 1_474),
    ("curated", "customers_curated", 30),
    ("curated", "machine_learning_curated", 4_309),
];
/// Rows of STEDI's own data.
const STEDI: [u64; 8] = [956, 81_273, 28_680, 482, 40_981, 14_460, 482, 40_981];

/// A local AWS for one test, with a bucket: `landing/` holds files, `warehouse/` will hold tables.
pub(crate) struct Prod {
    pub aws: Aws,
    pub bucket: String,
}

impl Prod {
    /// With the sample's files. `None`, with the skip printed, if there is no local AWS.
    pub(crate) fn sample() -> Option<Self> {
        let prod = Self::empty()?;
        prod.aws.put_all(&prod.bucket, "landing", &repository().join("sample/landing"));
        Some(prod)
    }

    pub(crate) fn empty() -> Option<Self> {
        let aws = Aws::start()?;
        let bucket = aws.bucket();
        Some(Self { aws, bucket })
    }

    /// The program on the shipped project's target `prod`, unedited, in this environment.
    pub(crate) fn run_in(&self, env: &[(String, String)], args: &[&str]) -> Ran {
        let root = |folder: &str| format!("s3://{}/{folder}", self.bucket);
        let project = repository().to_str().unwrap();
        let (landing, warehouse) = (root("landing"), root("warehouse"));
        let more = ["--project", project, "--target", "prod", "--landing", &landing, "--warehouse", &warehouse];
        bare(env, &[args, &more].concat())
    }

    /// The same with keys in the environment.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_in(&self.aws.env(), args)
    }

    /// Requests of a command, and the command.
    pub(crate) fn watched(&self, args: &[&str]) -> (Ran, Vec<Request>) {
        self.aws.clear_requests();
        let ran = self.run(args);
        (ran, self.aws.requests())
    }
}

/// The program with these arguments alone.
fn bare(env: &[(String, String)], args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stedi-delta"));
    command.args(args).env_clear().envs(env.iter().cloned()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    Ran::of(&mut command)
}

fn rows(document: &Value) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tables = document["tables"].as_array().unwrap().iter();
    let row = |t: &Value| (text(&t["zone"]), text(&t["table"]), t["rows_inserted"].as_u64().unwrap());
    let mut rows: Vec<_> = tables.map(row).collect();
    rows.sort();
    rows
}

fn expected(counts: impl Iterator<Item = u64>) -> Vec<(String, String, u64)> {
    let row = |((zone, table, _), rows): (&(&str, &str, u64), u64)| ((*zone).into(), (*table).into(), rows);
    let mut rows: Vec<_> = SAMPLE.iter().zip(counts).map(row).collect();
    rows.sort();
    rows
}

/// Operations that write, by name.
fn writes(requests: &[Request]) -> Vec<String> {
    let is_write = |r: &&Request| {
        ["Put", "Create", "Update", "Delete", "Upload", "Complete", "Copy", "Abort"]
            .iter()
            .any(|w| r.operation.starts_with(w))
    };
    requests.iter().filter(is_write).map(|r| format!("{} {}", r.operation, r.path)).collect()
}

#[test]
fn the_shipped_project_lands_on_s3_and_in_glue_and_a_second_sync_writes_nothing() {
    let Some(prod) = Prod::sample() else { return };
    let first = prod.run(&["sync", "--format", "json"]).fine();
    assert_eq!(rows(&first.json()), expected(SAMPLE.iter().map(|t| t.2)));
    let (second, requests) = prod.watched(&["sync"]);
    assert!(second.fine().out.starts_with("Nothing to do: 8 tables"));
    assert_eq!(writes(&requests), Vec::<String>::new());
    let glue: Vec<_> = requests.iter().filter(|r| r.service == "glue").map(|r| r.operation.as_str()).collect();
    assert_eq!(glue, ["GetTables"], "one listing tells that nothing differs");
    assert!(prod.run(&["catalog", "check"]).fine().out.contains("the catalog matches the logs"));
    let count = prod.run(&["query", "select count(*) as n from machine_learning_curated", "--format", "csv"]).fine();
    assert_eq!(count.out, "n\n4309\n");
}

#[test]
fn stedis_own_data_gives_the_same_counts_as_in_a_folder() {
    let (Some(data), Some(prod)) = (real_data(), Prod::empty()) else { return };
    prod.aws.put_all(&prod.bucket, "landing", &data);
    let first = prod.run(&["sync", "--format", "json"]).fine();
    assert_eq!(rows(&first.json()), expected(STEDI.into_iter()));
}

#[test]
fn duckdb_reads_every_table_from_s3_and_agrees_row_for_row() {
    let Some(prod) = Prod::sample() else { return };
    prod.run(&["sync"]).fine();
    let output = Command::new(python())
        .arg(repository().join("tests/oracle/oracle.py"))
        .args(["compare", "--landing", &format!("s3://{}/landing", prod.bucket)])
        .args(["--warehouse", &format!("s3://{}/warehouse", prod.bucket), "--tables"])
        .arg(repository().join("tables"))
        .envs(prod.aws.env())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => assert_eq!(out.matches(" equal ").count(), SAMPLE.len(), "{out}"),
        Some(77) => eprintln!("SKIP: {err}"),
        _ => panic!("the second engine does not agree\n{out}{err}"),
    }
}

#[test]
fn a_withdrawal_on_s3_leaves_every_table_at_the_next_sync() {
    let Some(prod) = Prod::sample() else { return };
    prod.run(&["sync"]).fine();
    let record = "{\"email\": \"Amara.Haddad.15@example.com\", \"lastUpdateDate\": 1655700000000, \
                  \"serialNumber\": \"6af3ffb2-4503-4fdc-8404-97183f65b989\"}";
    prod.aws.put(&prod.bucket, "landing/customer/landing/withdrawal.json", record);
    let (ran, requests) = prod.watched(&["sync", "--format", "json"]);
    let document = ran.fine().json();
    assert_eq!((&document["grants_ended"], &document["grants_ended_tables"]), (&1.into(), &5.into()));
    let deleted: Vec<u64> =
        document["tables"].as_array().unwrap().iter().map(|t| t["rows_deleted"].as_u64().unwrap()).collect();
    assert_eq!(deleted.iter().sum::<u64>(), 1 + 192 + 68 + 1 + 192, "{deleted:?}");
    let glue: Vec<_> = requests.iter().filter(|r| r.service == "glue").map(|r| r.operation.as_str()).collect();
    assert_eq!(glue, ["GetTables"], "new rows are no change of the catalog");
}

#[test]
fn a_plan_asks_s3_and_glue_for_nothing_but_reads() {
    let Some(prod) = Prod::sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("plan.json");
    let out = out.to_str().unwrap();
    let forms = [&["plan"][..], &["plan", "--explain"], &["plan", "--rows"], &["plan", "--out", out]];
    for synced in [false, true] {
        if synced {
            prod.run(&["sync"]).fine();
        }
        for form in forms {
            let (ran, requests) = prod.watched(form);
            ran.fine();
            assert_eq!(writes(&requests), Vec::<String>::new(), "{form:?}");
            assert!(!requests.is_empty());
        }
    }
}

#[test]
fn objects_are_encrypted_as_the_target_says() {
    let Some(prod) = Prod::empty() else { return };
    let lake = crate::support::shop::shop("auto");
    lake.define(
        "stedi-delta.toml",
        "name = \"shop\"\nzones = [\"landing\", \"trusted\", \"curated\"]\n[targets.prod]\nlanding = \"s3://l\"\n\
         warehouse = \"s3://w\"\nsse = \"aws:kms\"\nkms_key_id = \"alias/lake\"\n",
    );
    prod.aws.put(&prod.bucket, "landing/orders/a.json", crate::support::shop::orders(0..5));
    let root = lake.root().to_str().unwrap().to_owned();
    prod.aws.clear_requests();
    let ran = Command::new(env!("CARGO_BIN_EXE_stedi-delta"))
        .args(["sync", "--project", &root, "--landing", &format!("s3://{}/landing", prod.bucket)])
        .args(["--warehouse", &format!("s3://{}/warehouse", prod.bucket)])
        .env_clear()
        .envs(prod.aws.env())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let puts: Vec<Request> = prod.aws.requests().into_iter().filter(|r| r.operation == "PutObject").collect();
    assert!(puts.len() > 10);
    for put in puts {
        let header = |name: &str| put.headers.get(name).and_then(Value::as_str).map(str::to_owned);
        assert_eq!(header("x-amz-server-side-encryption").as_deref(), Some("aws:kms"), "{}", put.path);
        assert_eq!(header("x-amz-server-side-encryption-aws-kms-key-id").as_deref(), Some("alias/lake"));
    }
}
