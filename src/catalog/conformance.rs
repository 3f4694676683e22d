//! The laws of a catalog, as checks that run on every implementation: in memory, on disk, or a service.
//!
//! The suite works only in the database `stedi_delta_conformance` and removes its tables.

use std::collections::BTreeMap;

use futures::future::join;

use super::entry::Declared;
use super::{Catalog, Entry, Put, put_once};
use crate::definition::{Column, ColumnType};
use crate::error::{Error, Result};
use crate::retry;

const DATABASE: &str = "stedi_delta_conformance";

/// Checks every law of [`Catalog`].
///
/// # Errors
/// The first law that does not hold, with the value found; or the catalog's own error.
pub async fn suite(catalog: &dyn Catalog) -> Result<()> {
    for table in ["people", "readings", "both"] {
        catalog.remove(DATABASE, table).await?;
    }
    absent_is_none(catalog).await?;
    put_creates_once(catalog).await?;
    put_updates_what_differs(catalog).await?;
    put_keeps_what_others_added(catalog).await?;
    put_follows_the_definition(catalog).await?;
    what_was_seen_saves_a_read_and_never_decides(catalog).await?;
    list_is_sorted(catalog).await?;
    remove_says_whether_there_was_one(catalog).await?;
    two_puts_at_once_leave_one_entry(catalog).await
}

/// Repeats [`put_once`] until it succeeds, for an entry that no newer log can supersede.
///
/// # Errors
/// As [`put_once`]; `Conflict` if concurrent changes of the entry keep winning.
pub async fn put(catalog: &dyn Catalog, database: &str, entry: &Entry, standing: Option<Entry>) -> Result<Put> {
    let mut seen = Some(standing);
    let attempt = || {
        let seen = seen.take();
        async move {
            let standing = match seen {
                Some(standing) => standing,
                None => catalog.get(database, &entry.name).await?,
            };
            put_once(catalog, database, entry, standing.as_ref()).await
        }
    };
    // The laws do not depend on time: no pauses.
    let put = retry::CATALOG_ENTRY.at_once().until(attempt, |put| !matches!(put, Ok(None))).await?;
    put.ok_or_else(|| {
        Error::conflict(format!("`{database}.{}` in {}: concurrent changes kept winning", entry.name, catalog.name()))
    })
}

/// An entry that every catalog accepts, at a version of its table.
#[must_use]
pub fn sample(name: &str, version: u64) -> Entry {
    with_columns(name, &["id", "email"], version)
}

fn with_columns(name: &str, columns: &[&str], version: u64) -> Entry {
    let columns: Vec<Column> = columns.iter().map(|name| Column::new(*name, ColumnType::String)).collect();
    let field = |c: &Column| serde_json::json!({"name": c.name, "type": "string", "nullable": true, "metadata": {}});
    let schema = serde_json::json!({"type": "struct", "fields": columns.iter().map(field).collect::<Vec<_>>()});
    let properties = BTreeMap::new();
    let declared = Declared { description: "", columns: &columns, properties: &properties };
    Entry::new(name, &format!("s3://bucket/{name}"), declared, &schema.to_string(), version, 1_700_000_000_000)
}

async fn absent_is_none(catalog: &dyn Catalog) -> Result<()> {
    law("an absent entry is none", &catalog.get(DATABASE, "people").await?, &None)?;
    law("an absent database has no entries", &catalog.list("stedi_delta_no_such_database").await?, &Vec::new())
}

async fn put_creates_once(catalog: &dyn Catalog) -> Result<()> {
    law("the first put creates", &put(catalog, DATABASE, &sample("people", 1), None).await?, &Put::Created)?;
    law("an entry reads back as it was put", &stored(catalog, "people").await?, &sample("people", 1))?;
    law(
        "the same put again changes nothing",
        &put(catalog, DATABASE, &sample("people", 1), None).await?,
        &Put::Unchanged,
    )?;
    law("a version alone is no change", &put(catalog, DATABASE, &sample("people", 2), None).await?, &Put::Unchanged)
}

async fn put_updates_what_differs(catalog: &dyn Catalog) -> Result<()> {
    let wider = with_columns("people", &["id", "email", "phone"], 3);
    law("a new column updates", &put(catalog, DATABASE, &wider, None).await?, &Put::Updated)?;
    law("an update brings the version along", &stored(catalog, "people").await?, &wider)
}

async fn put_keeps_what_others_added(catalog: &dyn Catalog) -> Result<()> {
    let mut theirs = with_columns("people", &["id", "email", "phone"], 3);
    theirs.parameters.insert("team".into(), "ml".into());
    theirs.storage_descriptor.columns[1].comment = Some("in lower case".into());
    law("a foreign parameter updates", &put(catalog, DATABASE, &theirs, None).await?, &Put::Updated)?;
    let ours = with_columns("people", &["id", "email"], 4);
    law("a foreign parameter is no drift, a column is", &put(catalog, DATABASE, &ours, None).await?, &Put::Updated)?;
    let found = stored(catalog, "people").await?;
    law("a foreign parameter stays", &found.parameters.get("team").map(String::as_str), &Some("ml"))?;
    let comment = found.storage_descriptor.columns.get(1).and_then(|c| c.comment.as_deref());
    law("a foreign comment stays", &comment, &Some("in lower case"))?;
    law("after a put nothing differs", &ours.differs(&found), &false)
}

async fn put_follows_the_definition(catalog: &dyn Catalog) -> Result<()> {
    let parameter = |entry: &Entry, column: usize| {
        entry.storage_descriptor.columns.get(column).map(|c| c.parameters.clone()).unwrap_or_default()
    };
    let mut classified = with_columns("people", &["id", "email"], 4);
    classified.storage_descriptor.columns[1].parameters.insert("classification".into(), "pii".into());
    classified.storage_descriptor.columns[0].parameters.insert("team".into(), "ml".into());
    law("a classification updates", &put(catalog, DATABASE, &classified, None).await?, &Put::Updated)?;
    let pii = BTreeMap::from([("classification".to_owned(), "pii".to_owned())]);
    law("a classification reads back", &parameter(&stored(catalog, "people").await?, 1), &pii)?;
    let ours = with_columns("people", &["id", "email"], 5);
    law("a classification that ended updates", &put(catalog, DATABASE, &ours, None).await?, &Put::Updated)?;
    let found = stored(catalog, "people").await?;
    law("a classification that ended goes", &parameter(&found, 1), &BTreeMap::new())?;
    law(
        "a foreign parameter of a column stays",
        &parameter(&found, 0).keys().map(String::as_str).collect::<Vec<_>>(),
        &vec!["team"],
    )
}

async fn what_was_seen_saves_a_read_and_never_decides(catalog: &dyn Catalog) -> Result<()> {
    let stands = stored(catalog, "people").await?;
    let wider = with_columns("people", &["id", "email", "born"], 5);
    let seen = put(catalog, DATABASE, &wider, Some(stands.clone())).await?;
    law("what was seen is replaced", &seen, &Put::Updated)?;
    law("what is gone cannot be replaced", &catalog.replace(DATABASE, &stands, &stands).await?, &false)?;
    let stale = put(catalog, DATABASE, &with_columns("people", &["id"], 6), Some(stands)).await?;
    law("what was seen wrongly is read again", &stale, &Put::Updated)?;
    let unseen = with_columns("people", &["id"], 6);
    law("what was not seen is found", &catalog.create(DATABASE, &unseen).await?, &false)
}

async fn list_is_sorted(catalog: &dyn Catalog) -> Result<()> {
    put(catalog, DATABASE, &sample("readings", 1), None).await?;
    put(catalog, DATABASE, &sample("both", 1), None).await?;
    let names: Vec<String> = catalog.list(DATABASE).await?.into_iter().map(|e| e.name).collect();
    law("a listing is sorted by name", &names, &["both", "people", "readings"].map(String::from).to_vec())
}

async fn remove_says_whether_there_was_one(catalog: &dyn Catalog) -> Result<()> {
    for table in ["people", "readings", "both"] {
        law("removing an entry says so", &catalog.remove(DATABASE, table).await?, &true)?;
        law("removing it again does nothing", &catalog.remove(DATABASE, table).await?, &false)?;
        law("a removed entry is gone", &catalog.get(DATABASE, table).await?, &None)?;
    }
    Ok(())
}

async fn two_puts_at_once_leave_one_entry(catalog: &dyn Catalog) -> Result<()> {
    for _ in 0..10 {
        let entry = sample("both", 1);
        let (a, b) = join(put(catalog, DATABASE, &entry, None), put(catalog, DATABASE, &entry, None)).await;
        let results = [a?, b?];
        law("of two puts at once one creates", &results.iter().filter(|p| **p == Put::Created).count(), &1)?;
        law("and the other finds it", &results.iter().filter(|p| **p == Put::Unchanged).count(), &1)?;
        law("two puts leave one entry", &stored(catalog, "both").await?, &entry)?;
        catalog.remove(DATABASE, "both").await?;
    }
    Ok(())
}

async fn stored(catalog: &dyn Catalog, table: &str) -> Result<Entry> {
    catalog
        .get(DATABASE, table)
        .await?
        .ok_or_else(|| Error::failed(format!("`{DATABASE}.{table}` is absent after a put")))
}

fn law<T: PartialEq + std::fmt::Debug>(law: &str, found: &T, expected: &T) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::failed(format!("a catalog breaks a law: {law}"))
        .fact("found", format!("{found:?}"))
        .fact("expected", format!("{expected:?}")))
}
