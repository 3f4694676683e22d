//! The same tables by plain DataFusion: JSON in, `COPY (query) TO` Parquet out. No log, no ledger, no checks.

use std::path::Path;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema};
use deltalake::datafusion::prelude::{JsonReadOptions, SessionConfig, SessionContext};

const LANDING: [(&str, &[(&str, DataType)]); 3] = [
    (
        "customer",
        &[
            ("customerName", DataType::Utf8),
            ("email", DataType::Utf8),
            ("phone", DataType::Utf8),
            ("birthDay", DataType::Utf8),
            ("serialNumber", DataType::Utf8),
            ("registrationDate", DataType::Int64),
            ("lastUpdateDate", DataType::Int64),
            ("shareWithResearchAsOfDate", DataType::Int64),
            ("shareWithPublicAsOfDate", DataType::Int64),
            ("shareWithFriendsAsOfDate", DataType::Int64),
        ],
    ),
    (
        "accelerometer",
        &[
            ("user", DataType::Utf8),
            ("timestamp", DataType::Int64),
            ("x", DataType::Float64),
            ("y", DataType::Float64),
            ("z", DataType::Float64),
        ],
    ),
    (
        "step_trainer",
        &[
            ("sensorReadingTime", DataType::Int64),
            ("serialNumber", DataType::Utf8),
            ("distanceFromObject", DataType::Int64),
        ],
    ),
];

const DERIVED: [&str; 5] = [
    "trusted/customer_trusted",
    "trusted/accelerometer_trusted",
    "curated/customers_curated",
    "trusted/step_trainer_trusted",
    "curated/machine_learning_curated",
];

/// Writes every table of the project as Parquet; a later query reads the files of an earlier one.
pub(crate) fn copy(landing: &Path, copies: &Path) {
    crate::runtime().block_on(async {
        let mut config = SessionConfig::new();
        config.options_mut().sql_parser.map_string_types_to_utf8view = false;
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let session = SessionContext::new_with_config(config);
        for (name, columns) in LANDING {
            read(&session, landing, name, columns).await;
            write(&session, copies, &format!("{name}_landing"), &format!("select * from {name}_view")).await;
        }
        for table in DERIVED {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tables/{table}.sql"));
            let sql = std::fs::read_to_string(file).expect("the project has this query");
            let (_, name) = table.split_once('/').expect("a zone and a table");
            write(&session, copies, name, sql.trim().trim_end_matches(';')).await;
        }
    });
}

async fn read(session: &SessionContext, landing: &Path, name: &str, columns: &[(&str, DataType)]) {
    let fields: Vec<Field> = columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let folder = landing.join(name).join("landing");
    let options = JsonReadOptions::default().schema(&schema);
    let raw = format!("{name}_raw");
    session.register_json(&raw, folder.to_str().expect("a text path"), options).await.expect("the files are JSON");
    let select: Vec<String> = columns.iter().map(|(n, _)| format!("\"{n}\" as {}", quoted(n))).collect();
    let sql = format!(
        "create view {name}_view as select {}, '' as source_file, row_number() over () as source_offset from {raw}",
        select.join(", ")
    );
    session.sql(&sql).await.expect("the view is SQL").collect().await.expect("the view is made");
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.to_lowercase())
}

async fn write(session: &SessionContext, copies: &Path, name: &str, sql: &str) {
    let file = copies.join(format!("{name}.parquet"));
    let file = file.to_str().expect("a text path");
    let copy = format!("copy ({sql}) to '{file}' stored as parquet");
    session.sql(&copy).await.expect("the query is SQL").collect().await.expect("the query runs");
    session.register_parquet(name, file, Default::default()).await.expect("the copy can be read");
}
