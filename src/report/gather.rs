//! The facts of a report.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{self, Scope};
use crate::clock::{self, rfc3339};
use crate::definition::Table;
use crate::error::{Error, Kind, Result};
use crate::inspect::{self, HistoryOptions};
use crate::lake::LakeTable;
use crate::migrate::{self, Moves};
use crate::outcome::{
    HistoryEntry, LakeReport, MigrationState, PinStatus, ReportedConsent, ReportedMigration, ReportedPin,
    ReportedTable, ReportedVerification, ReportedVersion,
};
use crate::pin;
use crate::travel::{self, Zone};
use crate::workspace::Workspace;

/// Versions of each table that are shown.
const VERSIONS: usize = 10;

/// The whole lake at its newest versions.
///
/// # Errors
/// If the lake cannot be read.
pub async fn lake(workspace: &Workspace, run: &str) -> Result<LakeReport> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let mut report = blank(workspace, run).await?;
    for zone in &workspace.project.zones {
        for table in shown(workspace).filter(|table| &table.zone == zone) {
            report.tables.push(reported(workspace, table, None).await?);
        }
    }
    audited(workspace, &mut report, None).await?;
    Ok(report)
}

/// One pinned version, and the versions of the tables above it from which it was computed.
///
/// # Errors
/// `Usage` if there is no such pin; if the lake cannot be read.
pub async fn pinned(workspace: &Workspace, name: &str, run: &str) -> Result<LakeReport> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let mut report = blank(workspace, run).await?;
    let Some(pin) = report.pins.iter().find(|pin| pin.name == name).cloned() else {
        return Err(Error::new(Kind::Usage, format!("there is no pin `{name}`")).help("stedi-delta pins"));
    };
    let present = travel::find(workspace, &pin.table).await?.name;
    // Table -> the version that is part of the pin.
    let mut versions = BTreeMap::from([(present.clone(), Some(pin.version))]);
    let mut due = vec![present.clone()];
    while let Some(name) = due.pop() {
        let Ok(table) = workspace.table(&name) else { continue };
        let found = reported(workspace, table, versions.get(&name).copied().flatten()).await?;
        for (source, version) in &found.sources {
            if !versions.contains_key(source) {
                versions.insert(source.clone(), *version);
                due.push(source.clone());
            }
        }
        report.tables.push(found);
    }
    let order: Vec<&str> = shown(workspace).map(|table| table.name.as_str()).collect();
    report.tables.sort_by_key(|table| order.iter().position(|name| *name == table.table));
    audited(workspace, &mut report, Some(&format!("{present}@v{}", pin.version))).await?;
    report.pin = Some(pin);
    Ok(report)
}

/// Tables, without the quarantines of derived ones.
fn shown(workspace: &Workspace) -> impl Iterator<Item = &Table> {
    workspace.project.tables.iter().filter(|table| table.quarantine_of().is_none())
}

async fn blank(workspace: &Workspace, run: &str) -> Result<LakeReport> {
    let state = |state| match state {
        MigrationState::Applied => "applied",
        MigrationState::Included => "included",
        MigrationState::Begun => "begun",
        MigrationState::Pending => "pending",
    };
    let migrations = migrate::status(workspace).await?;
    Ok(LakeReport {
        report: "report/1",
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        generated_at: rfc3339(clock::now_ms()),
        run: run.to_owned(),
        project: workspace.project.name.clone(),
        target: workspace.target.clone(),
        landing: workspace.landing_text.clone(),
        warehouse: workspace.warehouse_text.clone(),
        pin: None,
        tables: Vec::new(),
        consent: Vec::new(),
        verification: Vec::new(),
        pins: pin::pins(workspace).await?.iter().map(of_pin).collect(),
        migrations: migrations
            .iter()
            .map(|migration| ReportedMigration {
                number: migration.number,
                label: migration.label.clone(),
                state: state(migration.state),
                recorded_at: migration.recorded_ms.map(rfc3339),
            })
            .collect(),
        exit_code: 0,
    })
}

fn of_pin(PinStatus { pin, gone, withdrawn, .. }: &PinStatus) -> ReportedPin {
    ReportedPin {
        name: pin.name.clone(),
        table: pin.table.clone(),
        version: pin.version,
        committed_at: pin.committed_ms.map(rfc3339),
        pinned_at: rfc3339(pin.pinned_ms),
        until: pin.until_ms.map(rfc3339),
        rows: pin.rows,
        files: pin.files.len() as u64,
        files_gone: *gone,
        withdrawn: *withdrawn,
        digest: pin.digest.as_ref().map(|sealed| sealed.digest.clone()),
        digest_key: pin.digest.as_ref().map(|sealed| sealed.key.clone()),
    }
}

/// One table at a version, or at its newest one.
async fn reported(workspace: &Workspace, table: &Table, version: Option<u64>) -> Result<ReportedTable> {
    let sources: BTreeSet<String> = workspace.sources(table).iter().map(ToString::to_string).collect();
    let mut found = ReportedTable {
        table: table.name.to_string(),
        zone: table.zone.clone(),
        description: table.description.clone(),
        kind: if table.landing().is_some() { "landing" } else { "derived" },
        location: workspace.location(table)?.to_string(),
        table_uuid: None,
        version: None,
        committed_at: None,
        rows: None,
        files: 0,
        bytes: 0,
        consent: table.consent.as_ref().map(|consent| (consent.subject.clone(), consent.grants.to_string())),
        personal: table.columns.iter().filter(|column| column.pii).map(|column| column.name.clone()).collect(),
        sources: sources.into_iter().map(|name| (name, None)).collect(),
        versions: Vec::new(),
    };
    let Some(named) = travel::find_existing(workspace, table.name.as_str()).await? else { return Ok(found) };
    let version = version.unwrap_or(named.newest.version());
    found.table_uuid = Some(named.newest.uuid());
    found.version = Some(version);
    // The log of a version may be gone, of which its pin still tells.
    if let Ok(at) = named.newest.at(version).await {
        found.rows = at.rows();
        (found.files, found.bytes) = at.size();
        history(&at, &mut found).await?;
    }
    Ok(found)
}

/// What the log says of a version and of those before it.
async fn history(at: &LakeTable, found: &mut ReportedTable) -> Result<()> {
    let entries = inspect::versions(at, &HistoryOptions { limit: VERSIONS, since: None }).await?.entries;
    found.committed_at = entries.first().map(|entry| rfc3339(entry.committed_ms));
    if let Some(ours) = entries.iter().find(|entry| entry.run.is_some()) {
        for (source, consumed) in &mut found.sources {
            *consumed = ours.sources.get(source).copied();
        }
    }
    found.versions = entries.iter().filter(|entry| !entry.is_quiet).map(reported_version).collect();
    Ok(())
}

fn reported_version(entry: &HistoryEntry) -> ReportedVersion {
    ReportedVersion {
        version: entry.version,
        committed_at: rfc3339(entry.committed_ms),
        operation: entry.operation.clone(),
        by: match (&entry.run, &entry.engine) {
            (Some(run), _) => format!("run {run}"),
            (None, engine) => engine.clone().unwrap_or_else(|| "unknown".to_owned()),
        },
        rows: entry.rows,
        mode: [entry.mode.as_deref(), entry.reason.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": "),
    }
}

/// Audits consent and recomputes: the newest versions of all tables, or one version.
async fn audited(workspace: &Workspace, report: &mut LakeReport, one: Option<&str>) -> Result<()> {
    let scope = Scope::parse(one, None, &Zone::default())?;
    let has_consent = |name: &str| {
        let (name, _) = travel::split(name);
        workspace.table(name).is_ok_and(|table| table.consent.is_some())
    };
    if one.is_none_or(has_consent) {
        for audit in audit::consent(workspace, &scope).await?.tables {
            let problem = audit.problem.as_ref().map(ToString::to_string);
            report.consent.extend(audit.versions.iter().map(|version| ReportedConsent {
                table: audit.table.clone(),
                version: version.version,
                grants: version.grants,
                rows: version.rows,
                subjects: version.subjects,
                violations: version.violations,
                verdict: version.verdict,
                because: version.because.clone().or_else(|| problem.clone()),
            }));
        }
    }
    for verified in audit::verify(workspace, &scope).await?.tables {
        let expected = verified.digest.as_ref().and_then(|digest| digest.expected.as_ref());
        report.verification.push(ReportedVerification {
            table: verified.table.clone(),
            version: verified.version,
            verdict: verified.verdict,
            digest: expected.map(|sealed| sealed.digest.clone()),
            digest_key: expected.map(|sealed| sealed.key.clone()),
            digest_verdict: verified.digest.as_ref().map(|digest| digest.verdict),
            digest_begun: verified.digest.as_ref().and_then(|digest| digest.begun.clone()),
            because: verified.because.clone().or_else(|| verified.problem.as_ref().map(ToString::to_string)),
        });
    }
    Ok(())
}
