//! `lineage`: from which versions of which tables a table was computed, down to landing files and by columns.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use stedi_delta::audit::{self, Direction, LineageOptions};
use stedi_delta::outcome::{ColumnUse, LineageOutcome};
use stedi_delta::travel::Zone;

use crate::support::{Lake, accelerometer, customer, repository, second, steps};

impl Lake {
    async fn lineage(&self, table: &str, direction: Direction) -> LineageOutcome {
        let options = LineageOptions { table: table.to_owned(), zone: Zone::default(), direction, columns: true };
        audit::lineage(&self.workspace().await, &options)
            .await
            .unwrap_or_else(|e| panic!("{table}: {e} {:?}", e.causes()))
    }
}

fn named(outcome: &LineageOutcome, at: usize) -> String {
    let table = &outcome.tables[at];
    table.version.map_or_else(|| format!("{}@?", table.name), |version| format!("{}@v{version}", table.name))
}

/// `a@v1 > b@v2`, and `a@v1 ~ b@v2` where only consent is read.
fn edges(outcome: &LineageOutcome) -> BTreeSet<String> {
    let edge = |edge: &stedi_delta::outcome::LineageEdge| {
        let arrow = if edge.is_consent { "~" } else { ">" };
        format!("{} {arrow} {}", named(outcome, edge.from), named(outcome, edge.to))
    };
    outcome.edges.iter().map(edge).collect()
}

/// A lake with Ann and Ben, and then one more file of readings.
async fn two_syncs() -> Lake {
    let lake = Lake::stedi();
    lake.land_customers("0", customer("ann@x", "A", 100, 1) + &customer("ben@x", "B", 100, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3) + &accelerometer("ben@x", 0..3));
    lake.land_steps("0", steps("A", 0..3) + &steps("B", 0..3));
    lake.sync().await;
    lake.land_steps("1", steps("B", 3..5));
    lake.sync().await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_followed_to_the_versions_and_files_that_it_was_computed_from() {
    let lake = two_syncs().await;
    let outcome = lake.lineage("step_trainer_trusted@v0", Direction::Upstream).await;
    let expected = [
        "accelerometer_landing@v0 > accelerometer_trusted@v0",
        "accelerometer_trusted@v0 > customers_curated@v0",
        "customer_landing@v0 > customer_trusted@v0",
        "customer_landing@v0 > step_trainer_trusted@v0",
        "customer_landing@v0 ~ accelerometer_trusted@v0",
        "customer_landing@v0 ~ customers_curated@v0",
        "customer_trusted@v0 > accelerometer_trusted@v0",
        "customer_trusted@v0 > customers_curated@v0",
        "customers_curated@v0 > step_trainer_trusted@v0",
        "step_trainer_landing@v0 > step_trainer_trusted@v0",
    ];
    assert_eq!(edges(&outcome), expected.map(str::to_owned).into());
    let newest = lake.lineage("step_trainer_trusted", Direction::Upstream).await;
    assert!(edges(&newest).contains("step_trainer_landing@v1 > step_trainer_trusted@v1"));
    let files = |outcome: &LineageOutcome| {
        let landing = outcome.tables.iter().find(|table| table.name == "step_trainer_landing").unwrap();
        let files = landing.files.as_ref().unwrap().iter();
        files.map(|file| (file.path.clone(), file.records)).collect::<Vec<_>>()
    };
    let first = ("step_trainer/landing/0.json".to_owned(), 6);
    assert_eq!(files(&outcome), std::slice::from_ref(&first));
    assert_eq!(files(&newest), [first, ("step_trainer/landing/1.json".to_owned(), 2)]);
    assert!(newest.tables.iter().all(|table| table.notes.is_empty() && table.run.is_some()), "{newest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_computed_from_a_version_is_found() {
    let lake = two_syncs().await;
    let outcome = lake.lineage("step_trainer_landing", Direction::Downstream).await;
    assert_eq!(outcome.tables[0].version, Some(1));
    let found = edges(&outcome);
    assert!(found.contains("step_trainer_landing@v1 > step_trainer_trusted@v1"), "{found:?}");
    assert!(outcome.tables.iter().any(|table| table.name == "machine_learning_curated"));
    let older = lake.lineage("step_trainer_landing@v0", Direction::Downstream).await;
    let found = edges(&older);
    assert!(found.contains("step_trainer_landing@v0 > step_trainer_trusted@v0"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_come_from_columns() {
    let lake = two_syncs().await;
    let outcome = lake.lineage("machine_learning_curated", Direction::Upstream).await;
    let inputs = |column: Option<&str>| {
        let columns = outcome.columns.as_ref().unwrap();
        let found = columns.iter().find(|found| found.table == 0 && found.column.as_deref() == column).unwrap();
        let input = |input: &stedi_delta::outcome::ColumnInput| {
            (format!("{}.{}", outcome.tables[input.table].name, input.column), input.used)
        };
        found.inputs.iter().map(input).collect::<Vec<_>>()
    };
    let identity = Some(ColumnUse::Identity);
    assert_eq!(inputs(Some("x")), [("accelerometer_trusted.x".to_owned(), identity)]);
    assert_eq!(inputs(Some("serialnumber")), [("step_trainer_trusted.serialnumber".to_owned(), identity)]);
    let deciding: Vec<String> = inputs(None).into_iter().map(|(column, _)| column).collect();
    assert_eq!(
        deciding,
        [
            "accelerometer_trusted.timestamp",
            "accelerometer_trusted.user",
            "customers_curated.email",
            "customers_curated.serialnumber",
            "step_trainer_trusted.sensorreadingtime",
            "step_trainer_trusted.serialnumber"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lineage_is_printed_as_tree_document_diagram_and_events() {
    let lake = two_syncs().await;
    let tree = lake.program(&["lineage", "step_trainer_trusted"]);
    assert_eq!(tree.code, 0, "{}", tree.err);
    assert!(tree.out.starts_with("step_trainer_trusted v1  20"), "{}", tree.out);
    assert!(tree.out.contains("\n  step_trainer_landing v1  20"), "{}", tree.out);
    assert!(tree.out.contains("8 records of 2 files"), "{}", tree.out);
    assert!(tree.out.contains("for consent only"), "{}", tree.out);
    let document = lake.program(&["lineage", "step_trainer_trusted", "--format", "json", "--columns"]);
    let document: Value = serde_json::from_str(&document.out).unwrap();
    assert_eq!((&document["report"], &document["version"]), (&"lineage/1".into(), &1.into()));
    assert!(document["columns"].as_array().unwrap().len() > 3);
    let diagram = lake.program(&["lineage", "step_trainer_trusted", "--format", "mermaid"]);
    assert!(diagram.out.starts_with("flowchart LR\n  t0[\"step_trainer_trusted v1\"]\n"), "{}", diagram.out);
    assert!(diagram.out.contains("[(\"2 files\")] --> t"), "{}", diagram.out);
    let refused = lake.program(&["query", "select 1", "--format", "mermaid"]);
    assert_eq!(refused.code, 64, "{}", refused.err);
    let events = lake.program(&["lineage", "machine_learning_curated", "--format", "openlineage"]);
    let lines: Vec<Value> = events.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = lines.last().unwrap();
    assert_eq!(event["job"]["name"], "machine_learning_curated");
    let version = &event["outputs"][0]["facets"]["version"]["datasetVersion"];
    assert_eq!(version, "1", "{event}");
    assert_eq!(event["inputs"].as_array().unwrap().len(), 4, "{event}");
    let fields = &event["outputs"][0]["facets"]["columnLineage"]["fields"];
    assert_eq!(fields["x"]["inputFields"][0]["transformations"][0]["subtype"], "IDENTITY", "{event}");
    assert!(lines.iter().any(|line| line["job"]["name"] == "customer_landing"));
    valid(&events.out);
}

/// The events keep to OpenLineage's own schemas.
fn valid(events: &str) {
    let python = second::python();
    if !python.is_file() {
        eprintln!("SKIP: no Python at {} to check OpenLineage's schemas (scripts/setup installs it)", python.display());
        return;
    }
    let mut check = Command::new(python);
    check.arg(repository().join("tests/openlineage/check.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = check.spawn().unwrap();
    child.stdin.take().unwrap().write_all(events.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        eprintln!("SKIP: jsonschema is not installed (scripts/setup installs it)");
        return;
    }
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
