//! The events between two syncs, as random values, and their execution.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deltalake::arrow::array::{ArrayRef, RecordBatch, StringArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{Field, Schema};
use deltalake::datafusion::prelude::SessionContext;
use deltalake::kernel::{DataType, StructField};
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder};
use stedi_delta::vacuum::{VacuumOptions, vacuum};

use super::world::{Derived, Landing, Rng, Row, Type};
use crate::support::Lake;

/// One event. It contains all of its random values, so that it can be replayed.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A landing file is written or overwritten.
    Land { table: usize, file: usize, rows: Vec<Row> },
    /// Rows are appended, or replace all others.
    Write { table: usize, overwrite: bool, rows: Vec<Row> },
    /// Rows with this value in the first column are deleted.
    Delete { table: usize, value: &'static str },
    /// A column of some rows gets this value, in rows with that one in the first column.
    Update { table: usize, value: &'static str, column: usize, set: Option<&'static str> },
    /// Matched rows are updated or deleted, others inserted.
    Merge { table: usize, delete: bool, row: Row },
    /// Small files become larger ones.
    Optimize(String),
    /// RESTORE of an earlier version: this share of them.
    Restore { table: usize, share: usize },
    /// Files that the newest version does not hold are deleted.
    Vacuum(String),
    /// The program's own `vacuum` of all tables, which keeps no history.
    VacuumLake,
    /// A column that the definition does not have.
    AddColumn(String),
    /// The change feed is switched.
    Feed { table: usize, on: bool },
    /// The folder is deleted; the next sync makes another table.
    Recreate { table: usize },
}

impl Op {
    /// The rows it carries.
    pub(crate) fn rows(&mut self) -> Option<&mut Vec<Row>> {
        match self {
            Self::Land { rows, .. } | Self::Write { rows, .. } => Some(rows),
            _ => None,
        }
    }

    /// Its landing table.
    pub(crate) fn table(&self) -> Option<usize> {
        match self {
            Self::Optimize(_) | Self::Vacuum(_) | Self::VacuumLake | Self::AddColumn(_) => None,
            Self::Land { table, .. }
            | Self::Write { table, .. }
            | Self::Delete { table, .. }
            | Self::Update { table, .. }
            | Self::Merge { table, .. }
            | Self::Restore { table, .. }
            | Self::Feed { table, .. }
            | Self::Recreate { table } => Some(*table),
        }
    }

    /// Its folder.
    pub(crate) fn path(&self) -> Option<&String> {
        match self {
            Self::Optimize(path) | Self::Vacuum(path) | Self::AddColumn(path) => Some(path),
            _ => None,
        }
    }
}

/// 3 to 8 steps, the first one landing something in every table.
pub(crate) fn random(rng: &mut Rng, landing: &[Landing], derived: &[Derived]) -> Vec<Vec<Op>> {
    let lands_only = rng.chance(20);
    let mut steps = Vec::new();
    let land = |table: usize, rng: &mut Rng| {
        let rows = (0..rng.below(7)).map(|_| landing[table].row(rng)).collect();
        Op::Land { table, file: rng.below(4), rows }
    };
    steps.push((0..landing.len()).map(|table| land(table, rng)).collect());
    for _ in 0..2 + rng.below(6) {
        let count = 1 + rng.below(3);
        let mut ops = Vec::new();
        for _ in 0..count {
            let table = rng.below(landing.len());
            let of = &landing[table];
            let value = *rng.one(of.columns[0].kind.domain());
            let any = |rng: &mut Rng| {
                if rng.chance(50) {
                    format!("landing/{}", of.name)
                } else {
                    format!("curated/{}", rng.one(derived).name)
                }
            };
            ops.push(match rng.below(26) {
                _ if lands_only => land(table, rng),
                0..=7 => land(table, rng),
                8..=10 => {
                    let rows = (0..1 + rng.below(3)).map(|_| of.row(rng)).collect();
                    Op::Write { table, overwrite: false, rows }
                }
                11 => Op::Write { table, overwrite: true, rows: (0..1 + rng.below(6)).map(|_| of.row(rng)).collect() },
                12 | 13 => Op::Delete { table, value },
                14 | 15 => {
                    let column = rng.below(of.columns.len());
                    let set = (!rng.chance(30)).then(|| *rng.one(of.columns[column].kind.domain()));
                    Op::Update { table, value, column, set }
                }
                16 | 17 => Op::Merge { table, delete: rng.chance(40), row: of.row(rng) },
                18 => Op::Optimize(any(rng)),
                19 => Op::Restore { table, share: rng.below(100) },
                20 => Op::Vacuum(any(rng)),
                21 | 22 => Op::Feed { table, on: rng.chance(70) },
                23 => Op::AddColumn(any(rng)),
                24 => Op::VacuumLake,
                _ => Op::Recreate { table },
            });
        }
        steps.push(ops);
    }
    steps
}

/// A record of a landing file.
fn json(table: &Landing, row: &Row) -> String {
    let mut fields = Vec::new();
    for (column, value) in table.columns.iter().zip(row) {
        let text = match (value, column.kind) {
            (None, _) => "null".to_owned(),
            (Some(v), Type::Text | Type::Date | Type::Time) => format!("\"{v}\""),
            (Some(v), _) => (*v).to_owned(),
        };
        fields.push(format!("\"{}\":{text}", column.name));
    }
    format!("{{{}}}\n", fields.join(","))
}

/// A Delta table, if there is one.
pub(crate) async fn open(folder: &Path) -> Option<DeltaTable> {
    if !folder.join("_delta_log").is_dir() {
        return None;
    }
    let url = url::Url::from_directory_path(folder).ok()?;
    DeltaTableBuilder::from_url(url).ok()?.load().await.ok()
}

/// Rows with the current columns of the table, by a writer of this name.
fn batch(delta: &DeltaTable, table: &Landing, rows: &[Row], by: &str) -> RecordBatch {
    let schema = delta.snapshot().unwrap().snapshot().arrow_schema();
    let fields = schema.fields().iter().map(|f| Field::new(f.name(), f.data_type().clone(), f.is_nullable()));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let column = |field: &Field| -> ArrayRef {
        let texts: ArrayRef = match table.columns.iter().position(|c| c.name == *field.name()) {
            Some(at) => Arc::new(rows.iter().map(|row| row[at]).collect::<StringArray>()),
            None if field.name() == "source_file" => Arc::new(StringArray::from(vec![by; rows.len()])),
            None if field.name() == "source_offset" => Arc::new(StringArray::from(vec!["0"; rows.len()])),
            None => Arc::new(StringArray::from(vec!["of somebody"; rows.len()])),
        };
        cast(&texts, field.data_type()).unwrap()
    };
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(|f| column(f)).collect()).unwrap()
}

/// Executes it. If the writing library does not support it, that is printed and skipped: the table did not change.
pub(crate) async fn apply(lake: &Lake, landing: &[Landing], op: &Op) -> Result<(), String> {
    let folder = |table: &usize| lake.warehouse().join("landing").join(&landing[*table].name);
    let fail = |e: deltalake::DeltaTableError| format!("{op:?}: {e}");
    match op {
        Op::Land { table, file, rows } => {
            let of = &landing[*table];
            let records: String = rows.iter().map(|row| json(of, row)).collect();
            lake.land(&format!("{}/{file}.json", of.name), records);
        }
        Op::Write { table, overwrite, rows } => {
            let Some(delta) = open(&folder(table)).await else { return Ok(()) };
            let batch = batch(&delta, &landing[*table], rows, "somebody");
            let mode = if *overwrite { SaveMode::Overwrite } else { SaveMode::Append };
            delta.write(vec![batch]).with_save_mode(mode).await.map_err(fail)?;
        }
        Op::Delete { table, value } => {
            let Some(delta) = open(&folder(table)).await else { return Ok(()) };
            delta.delete().with_predicate(format!("a = {value}")).await.map_err(fail)?;
        }
        Op::Update { table, value, column, set } => {
            let Some(delta) = open(&folder(table)).await else { return Ok(()) };
            let column = &landing[*table].columns[*column];
            let set = match set {
                Some(set) => format!("arrow_cast('{set}', '{}')", arrow_name(column.kind)),
                None => "null".to_owned(),
            };
            let update = delta.update().with_predicate(format!("a = {value}"));
            update.with_update(column.name.as_str(), set).await.map_err(fail)?;
        }
        Op::Merge { table, delete, row } => {
            let Some(delta) = open(&folder(table)).await else { return Ok(()) };
            let batch = batch(&delta, &landing[*table], std::slice::from_ref(row), "somebody");
            let names: Vec<String> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
            let source = SessionContext::new().read_batch(batch).map_err(|e| e.to_string())?;
            let merge = delta.merge(source, "t.a = s.a").with_source_alias("s").with_target_alias("t");
            let merge = if *delete {
                merge.when_matched_delete(|d| d)
            } else {
                let changed = names.iter().filter(|n| ["b", "c", "d"].contains(&n.as_str()));
                merge.when_matched_update(|u| changed.fold(u, |u, n| u.update(n.as_str(), format!("s.{n}"))))
            };
            let merge = merge.map_err(fail)?;
            let insert = |i| {
                names
                    .iter()
                    .fold(i, |i: deltalake::operations::merge::InsertBuilder, n| i.set(n.as_str(), format!("s.{n}")))
            };
            merge.when_not_matched_insert(insert).map_err(fail)?.await.map_err(fail)?;
        }
        Op::Optimize(name) => {
            let Some(delta) = open(&lake.warehouse().join(name)).await else { return Ok(()) };
            delta.optimize().await.map_err(fail)?;
        }
        Op::Restore { table, share } => {
            let Some(delta) = open(&folder(table)).await else { return Ok(()) };
            let newest = delta.version().unwrap_or(0);
            let version = newest * (*share as u64) / 100;
            delta.restore().with_version_to_restore(version).await.map_err(fail)?;
        }
        Op::Vacuum(name) => {
            let Some(delta) = open(&lake.warehouse().join(name)).await else { return Ok(()) };
            let vacuum = delta.vacuum().with_retention_period(chrono::Duration::zero());
            vacuum.with_enforce_retention_duration(false).await.map_err(fail)?;
        }
        Op::VacuumLake => {
            let all = VacuumOptions {
                lake: true,
                history: Some(Duration::ZERO),
                grace: Some(Duration::ZERO),
                delete: true,
                ..VacuumOptions::default()
            };
            let outcome = vacuum(&lake.workspace().await, &all, "a run").await.map_err(|e| format!("{op:?}: {e}"))?;
            let problem = outcome.tables.iter().find_map(|table| table.problem.as_ref()).or(outcome.problem.as_ref());
            if let Some(problem) = problem {
                return Err(format!("{op:?}: {problem}"));
            }
        }
        Op::AddColumn(name) => {
            let Some(delta) = open(&lake.warehouse().join(name)).await else { return Ok(()) };
            delta.add_columns().with_fields([StructField::nullable("extra", DataType::STRING)]).await.map_err(fail)?;
        }
        Op::Feed { table, on } => {
            let Some(delta) = open(&folder(table)).await else { return Ok(()) };
            let property = ("delta.enableChangeDataFeed".to_owned(), on.to_string());
            delta.set_tbl_properties().with_properties([property].into()).await.map_err(fail)?;
        }
        Op::Recreate { table } => {
            if folder(table).is_dir() {
                fs::remove_dir_all(folder(table)).map_err(|e| e.to_string())?;
            }
        }
    }
    Ok(())
}

/// Inserts rows into a landing table and deletes them again; `optimize`: its files are compacted in between.
pub(crate) async fn there_and_back(lake: &Lake, table: &Landing, rows: &[Row], optimize: bool) -> Result<(), String> {
    let folder = lake.warehouse().join("landing").join(&table.name);
    let Some(delta) = open(&folder).await else { return Ok(()) };
    let batch = batch(&delta, table, rows, "in passing");
    let mut delta = delta.write(vec![batch]).await.map_err(|e| e.to_string())?;
    if optimize {
        delta = delta.optimize().await.map_err(|e| e.to_string())?.0;
    }
    let gone = delta.delete().with_predicate("source_file = 'in passing'").await;
    let (_, metrics) = gone.map_err(|e| e.to_string())?;
    (metrics.num_deleted_rows == Some(rows.len())).then_some(()).ok_or_else(|| format!("{metrics:?}"))
}

fn arrow_name(kind: Type) -> &'static str {
    match kind {
        Type::Big | Type::Huge => "Int64",
        Type::Whole => "Decimal128(38, 0)",
        Type::Int => "Int32",
        Type::Text => "Utf8",
        Type::Double => "Float64",
        Type::Float => "Float32",
        Type::Bool => "Boolean",
        Type::Date => "Date32",
        Type::Decimal => "Decimal128(10, 2)",
        Type::Time => "Timestamp(Microsecond, Some(\"UTC\"))",
    }
}
