//! The changes of a table's columns, by the sync itself and by pending migrations.

use std::collections::BTreeSet;

use crate::definition::{Column, Table};
use crate::error::Result;
use crate::lake::LakeTable;
use crate::migrate::Pending;
use crate::migration::{Columns, Stored, Unread, changes};
use crate::outcome::{SchemaChange, SchemaChangeKind, Warning};

/// The columns of a landing table after a sync.
#[derive(Debug, Default)]
pub(super) struct After {
    /// The changes, one by one, those of migrations first.
    pub changes: Vec<SchemaChange>,
    /// The columns, if any changes.
    pub columns: Option<Vec<Column>>,
    /// Columns that migrations change: tables that read them are computed in full.
    pub touched: BTreeSet<String>,
}

/// The columns of a landing table after pending migrations and additions.
pub(super) fn landing(table: &Table, stands: &LakeTable, pending: &Pending) -> Result<After> {
    let migrated = pending.foreseen(table, stands)?;
    // Columns of other writers may have types that no definition has.
    let stored = match migrated.columns {
        Some(columns) => columns,
        None => match Columns::stored(&stands.schema()) {
            Ok(columns) => columns,
            Err(_) => return Ok(After::default()),
        },
    };
    let after = with_others(&Columns::declared(&table.columns), &stored);
    let mut found = migrated.changes;
    // A sync leaves the order of columns as it is.
    found.extend(changes(&stored, &after).into_iter().filter(|change| change.kind != SchemaChangeKind::Order));
    let columns = (!found.is_empty()).then(|| after.columns());
    Ok(After { changes: found, columns, touched: migrated.touched })
}

/// The declared columns, then those of other writers. A nullable column stays nullable.
fn with_others(declared: &Columns, stored: &Columns) -> Columns {
    let may_be_null = |name: &str| stored.get(name).is_some_and(|column| column.nullable);
    let ours = declared.0.iter().map(|c| Stored { nullable: c.nullable || may_be_null(&c.name), ..c.clone() });
    let others = stored.0.iter().filter(|column| declared.get(&column.name).is_none());
    Columns(ours.chain(others.cloned()).collect())
}

/// The changes of a derived table: it follows its query.
pub(super) fn derived(table: &Table, stands: &LakeTable) -> Vec<SchemaChange> {
    match Columns::stored(&stands.schema()) {
        Ok(stored) => changes(&stored, &Columns::declared(&table.columns)),
        Err(_) => Vec::new(),
    }
}

/// The warning of a renamed column that files have under its old name.
pub(super) fn unread(unread: &Unread) -> Warning {
    Warning {
        message: format!(
            "`{}` of {} is not read from files that have `{}`",
            unread.column, unread.table, unread.before
        ),
        details: Vec::new(),
        help: Some(format!("if files have the old name, declare it: {}", unread.from)),
    }
}
