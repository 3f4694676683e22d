//! What a table is: its declared types, keys and consent, its size, and how far back it can be read.

use super::classified::Classified;
use super::version_of;
use crate::changes;
use crate::definition::{Action, ColumnType, Table};
use crate::error::Result;
use crate::lake::LakeTable;
use crate::migrate::{self, ColumnNames, Journal, Moves};
use crate::outcome::{DescribeOutcome, DescribedColumn, DescribedExpectation, DiffVersion};
use crate::travel::{self, Named, NamedKind, Zone};
use crate::workspace::Workspace;

/// Describes a table as `t`, `t@v12` or `t@2026-11-20` name it. Columns and size are those of the version, all else is
/// that of the definition today.
///
/// # Errors
/// `Usage` if there is no such table or version; `Failed` if it can no longer be read.
pub async fn describe(workspace: &Workspace, table: &str, zone: &Zone) -> Result<DescribeOutcome> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let (named, table) = travel::open(workspace, table, zone).await?;
    let names = ColumnNames::of(&Journal::read(workspace).await?, &named.newest.uuid());
    let classified = Classified::of(workspace, &named, names);
    let defined = if named.kind == NamedKind::Table { workspace.table(&named.name).ok() } else { None };
    let (files, bytes) = table.size();
    let mut outcome = DescribeOutcome {
        table: named.name.clone(),
        kind: kind(&named, defined),
        description: table.description().unwrap_or_default(),
        location: table.location().to_string(),
        id: table.uuid(),
        version: version_of(&table).await?,
        newest: version_of(&named.newest).await?,
        oldest: oldest(&named.newest).await?,
        columns: columns(&table, &classified),
        files,
        bytes,
        rows: table.rows(),
        notes: named.notes,
        ..DescribeOutcome::default()
    };
    if let Some(defined) = defined {
        declared(&mut outcome, defined);
    }
    Ok(outcome)
}

fn kind(named: &Named, defined: Option<&Table>) -> &'static str {
    match (named.kind, defined) {
        (NamedKind::System, _) => "system",
        (NamedKind::Dropped, _) => "dropped",
        (NamedKind::Quarantine, _) => "quarantine",
        (NamedKind::Table, Some(table)) if table.quarantine_of().is_some() => "quarantine",
        (NamedKind::Table, Some(table)) if table.landing().is_some() => "landing",
        (NamedKind::Table, _) => "derived",
    }
}

async fn oldest(newest: &LakeTable) -> Result<DiffVersion> {
    let version = changes::oldest_readable(newest).await?;
    version_of(&newest.at(version).await?).await
}

fn columns(table: &LakeTable, classified: &Classified) -> Vec<DescribedColumn> {
    let version = table.version();
    let schema = table.schema();
    let column = |field: &deltalake::arrow::datatypes::FieldRef| {
        let defined = classified.defined(field.name(), version);
        let stored = ColumnType::exact(field.data_type());
        let declared = defined.filter(|defined| Some(defined.column_type.as_stored()) == stored);
        let stored = || ColumnType::name_of(field.data_type());
        DescribedColumn {
            name: field.name().clone(),
            data_type: declared.map_or_else(stored, |declared| declared.column_type.delta_name()),
            nullable: field.is_nullable(),
            is_personal: classified.is_personal(field.name(), version),
            today: defined.filter(|defined| defined.name != *field.name()).map(|defined| defined.name.clone()),
            is_declared: defined.is_some(),
            description: defined.map(|defined| defined.description.clone()).unwrap_or_default(),
        }
    };
    schema.fields().iter().map(column).collect()
}

fn declared(outcome: &mut DescribeOutcome, table: &Table) {
    outcome.zone = Some(table.zone.clone());
    outcome.description.clone_from(&table.description);
    outcome.tags.clone_from(&table.tags);
    outcome.primary_key.clone_from(&table.primary_key);
    outcome.cluster_by.clone_from(&table.cluster_by);
    outcome.consent = table.consent.as_ref().map(|of| [of.subject.clone(), of.grants.to_string(), of.names.clone()]);
    let grants = table.landing().and_then(|landing| landing.grants.as_ref());
    outcome.grants = grants.map(|of| (of.subjects.clone(), of.granted.text.clone(), of.latest.clone()));
    let sources = table.derived().map(|derived| derived.sources.as_slice()).unwrap_or_default();
    outcome.sources = sources.iter().map(ToString::to_string).collect();
    let expectation = |of: &crate::definition::Expectation| DescribedExpectation {
        name: of.name.clone(),
        check: of.check.text.clone(),
        action: match of.action {
            Action::Warn => "warn",
            Action::Quarantine => "quarantine",
            Action::Fail => "fail",
        },
    };
    outcome.expectations = table.expectations.iter().map(expectation).collect();
}
