//! The system table `pins`: versions of tables that are kept for audits, each with a name.
//!
//! A pin has all that identifies its version after the log no longer does: files, columns, and the versions of the sources
//! from which it was computed. It is evidence of a past cut, not a table of the lake: nothing removes rows from it. Rows are
//! only added; the newest row of a name says whether it is pinned.

mod manifest;

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use deltalake::arrow::datatypes::{Int64Type, Schema, TimestampMicrosecondType};
use futures::TryStreamExt;

use crate::definition::{Column, ColumnType};
use crate::digest::DigestKey;
use crate::error::{Context, Result};
use crate::lake::{Commit, LakeTable, SystemTable};
use crate::outcome::Pin;
use crate::storage::Location;
use crate::workspace::Workspace;

pub(crate) use manifest::{entry, publish, register, withdraw};

/// Under the warehouse root.
pub(crate) const FOLDER: &str = "system/pins";

/// The pins of a lake.
#[derive(Debug)]
pub(crate) struct Pins {
    location: Location,
    table: Option<LakeTable>,
    /// The key with which its rows are digested.
    digests: Option<DigestKey>,
    /// By name.
    pub(crate) all: BTreeMap<String, Pin>,
}

impl Pins {
    /// Reads all pins; a lake without the table has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read(workspace: &Workspace) -> Result<Self> {
        let doing = || "the table of pins cannot be read".to_owned();
        let location = workspace.warehouse.join(FOLDER);
        let table = LakeTable::open(&location).await?;
        let mut pins = Self { location, table, digests: DigestKey::of(&workspace.privacy), all: BTreeMap::new() };
        let Some(table) = &pins.table else { return Ok(pins) };
        let session = workspace.session()?;
        let frame = session.read_table(table.provider(&session, None).await?).context(doing)?;
        let mut batches = frame.execute_stream().await.context(doing)?;
        // Name -> number of its newest row, and what that says.
        let mut newest: BTreeMap<String, (i64, Option<Pin>)> = BTreeMap::new();
        while let Some(batch) = batches.try_next().await.context(doing)? {
            for row in 0..batch.num_rows() {
                let Some((number, is_pinned, pin)) = pin(&batch, row) else { continue };
                let known = newest.get(&pin.name).map_or(-1, |(number, _)| *number);
                if number > known {
                    newest.insert(pin.name.clone(), (number, is_pinned.then_some(pin)));
                }
            }
        }
        pins.all = newest.into_iter().filter_map(|(name, (_, pin))| Some((name, pin?))).collect();
        Ok(pins)
    }

    /// Adds a row in one commit after the version that was read: a pin is set, or removed.
    ///
    /// # Errors
    /// `Conflict` after a concurrent commit; if the store fails.
    pub(crate) async fn record(&mut self, pin: &Pin, is_pinned: bool, run: &str) -> Result<()> {
        let doing = || "the pin cannot be recorded".to_owned();
        let number = self.table.as_ref().map_or(0, |table| table.version() + 1);
        let schema = Arc::new(Schema::new(columns().iter().map(Column::field).collect::<Vec<_>>()));
        let row = RecordBatch::try_new(schema, arrays(pin, is_pinned, number, run)?).context(doing)?;
        let commit = Commit {
            info: BTreeMap::from([("stediDelta".to_owned(), serde_json::json!({"run": run}))]),
            ..Commit::default()
        };
        let table = SystemTable {
            name: "pins",
            description: "Versions kept for audits",
            columns: columns(),
            digests: self.digests.clone(),
        };
        self.table = Some(table.append((&self.location, self.table.as_ref()), &row, commit, run).await?);
        if is_pinned {
            self.all.insert(pin.name.clone(), pin.clone());
        } else {
            self.all.remove(&pin.name);
        }
        Ok(())
    }
}

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type, nullable| Column { nullable, ..Column::new(name, column_type) };
    vec![
        column("pin", ColumnType::String, false),
        column("number", ColumnType::Long, false),
        column("state", ColumnType::String, false),
        column("run", ColumnType::String, false),
        column("table_name", ColumnType::String, false),
        column("table_uuid", ColumnType::String, false),
        column("location", ColumnType::String, false),
        column("version", ColumnType::Long, false),
        column("committed_at", ColumnType::Timestamp, true),
        column("pinned_at", ColumnType::Timestamp, false),
        column("until", ColumnType::Timestamp, true),
        column("retained", ColumnType::String, true),
        column("in_catalog", ColumnType::Boolean, false),
        column("rows", ColumnType::Long, true),
        column("files", ColumnType::String, false),
        column("schema", ColumnType::String, false),
        column("sources", ColumnType::String, false),
        // Rows of older versions of this tool have none.
        column("digest", ColumnType::String, true),
    ]
}

fn arrays(pin: &Pin, is_pinned: bool, number: u64, run: &str) -> Result<Vec<ArrayRef>> {
    let text = |value: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
    let long = |value: Option<u64>| -> ArrayRef {
        Arc::new(Int64Array::from(vec![value.and_then(|value| i64::try_from(value).ok())]))
    };
    let time = |ms: Option<i64>| -> ArrayRef {
        let micros = ms.map(|ms| ms.saturating_mul(1000));
        Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
    };
    let doing = || "the pin cannot be written".to_owned();
    let retained = pin.retained.as_ref().map(serde_json::to_string).transpose().context(doing)?;
    let digest = pin.digest.as_ref().map(serde_json::to_string).transpose().context(doing)?;
    Ok(vec![
        text(Some(&pin.name)),
        long(Some(number)),
        text(Some(if is_pinned { "pinned" } else { "unpinned" })),
        text(Some(run)),
        text(Some(&pin.table)),
        text(Some(&pin.uuid)),
        text(Some(&pin.location)),
        long(Some(pin.version)),
        time(pin.committed_ms),
        time(Some(pin.pinned_ms)),
        time(pin.until_ms),
        text(retained.as_deref()),
        Arc::new(BooleanArray::from(vec![pin.in_catalog])),
        long(pin.rows),
        text(Some(&serde_json::to_string(&pin.files).context(doing)?)),
        text(Some(&pin.schema)),
        text(Some(&serde_json::to_string(&pin.sources).context(doing)?)),
        text(digest.as_deref()),
    ])
}

/// The number of a row, whether it sets the pin, and the pin.
fn pin(batch: &RecordBatch, row: usize) -> Option<(i64, bool, Pin)> {
    let text = |name: &str| {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let long = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let ms = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row).div_euclid(1000))
    };
    let pin = Pin {
        name: text("pin")?.to_owned(),
        table: text("table_name")?.to_owned(),
        uuid: text("table_uuid")?.to_owned(),
        location: text("location")?.to_owned(),
        version: u64::try_from(long("version")?).ok()?,
        committed_ms: ms("committed_at"),
        pinned_ms: ms("pinned_at")?,
        until_ms: ms("until"),
        retained: text("retained").and_then(|text| serde_json::from_str(text).ok()),
        in_catalog: batch.column_by_name("in_catalog")?.as_boolean_opt()?.value(row),
        rows: long("rows").and_then(|rows| u64::try_from(rows).ok()),
        files: serde_json::from_str(text("files")?).ok()?,
        schema: text("schema")?.to_owned(),
        sources: serde_json::from_str(text("sources")?).ok()?,
        digest: text("digest").and_then(|text| serde_json::from_str(text).ok()),
    };
    Some((long("number")?, text("state")? == "pinned", pin))
}
