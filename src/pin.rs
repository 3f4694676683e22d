//! Pins: `pin` keeps a version of a table for audits, `unpin` ends that, `pins` says what is left of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{self, rfc3339};
use crate::definition::Table;
use crate::digest::{DigestKey, Place, Sealed, undigested};
use crate::error::{Error, Kind, Result};
use crate::lake::{Change, Commit, LakeTable};
use crate::migrate::{self, Moves};
use crate::name;
use crate::outcome::{Pin, PinNotice, PinOutcome, PinStatus, SyncOutcome, TableOutcome};
use crate::pins::{self, Pins};
use crate::restore::withdrawn;
use crate::sync::RUNS_FOLDER;
use crate::travel::{self, Named, NamedKind, Zone, system_tables};
use crate::version_digest::{Followed, Recorded, follow, scanned};
use crate::workspace::Workspace;

/// The settings by which other engines decide when files and log entries may go.
const RETENTION: [&str; 2] = ["delta.deletedFileRetentionDuration", "delta.logRetentionDuration"];
/// Days that stand for ever.
const FOR_EVER: i64 = 36_500;
const DAY_MS: i64 = 86_400_000;

/// How a version is pinned.
#[derive(Clone, Debug)]
pub struct Options {
    /// The pin's name.
    pub name: String,
    /// Until when it is to be kept, ms since the epoch.
    pub until_ms: Option<i64>,
    /// Raise the table's retention settings, which other engines' vacuum obeys.
    pub retain: bool,
    /// Make it a table of the catalog.
    pub catalog: bool,
}

/// Pins a version of a table, named as `t`, `t@v12` or `t@2026-11-20`. The same pin again completes what a run that died
/// left undone.
///
/// # Errors
/// `Usage` for a name that is taken, and for what cannot be pinned; if the version can no longer be read.
pub async fn pin(workspace: &Workspace, at: &str, zone: &Zone, options: &Options, run: &str) -> Result<PinOutcome> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    check_name(workspace, &options.name)?;
    if let Some(until) = options.until_ms.filter(|until| *until <= clock::now_ms()) {
        return Err(Error::new(Kind::Usage, format!("`--until {}` is over", rfc3339(until))));
    }
    let (named, table) = travel::open(workspace, at, zone).await?;
    if named.kind == NamedKind::System {
        return Err(Error::new(Kind::Usage, format!("{} is a system table", named.name))
            .fact("expected", "a table of the project"));
    }
    if let Some(why) = table.indirection() {
        return Err(Error::failed(format!("version {} of {} cannot be pinned", table.version(), named.name))
            .fact("because", format!("its data files alone do not determine its rows: {why}")));
    }
    table.check_files()?;
    let mut pins = Pins::read(workspace).await?;
    let known = pins.all.get(&options.name).cloned();
    if let Some(other) = known.as_ref().filter(|pin| pin.uuid != table.uuid() || pin.version != table.version()) {
        return Err(Error::new(Kind::Usage, format!("the pin `{}` exists", other.name))
            .fact("pins", format!("{} v{}", other.table, other.version))
            .help(format!("choose another name, or first: stedi-delta unpin {}", other.name)));
    }
    let digest = match known.as_ref().and_then(|known| known.digest.clone()) {
        Some(digest) => Some(digest),
        None => digest(workspace, &named, &table).await?,
    };
    let mut pin = Pin { digest, ..described(&named, &table, options).await? };
    if let Some(known) = &known {
        (pin.retained, pin.pinned_ms) = (known.retained.clone(), known.pinned_ms);
    }
    if options.retain && pin.retained.is_none() {
        check_undrifted(&named)?;
        // What it was before the first pin that raised it.
        let earlier = pins.all.values().filter(|other| other.uuid == pin.uuid).find_map(|other| other.retained.clone());
        pin.retained = Some(earlier.unwrap_or_else(|| retention(&named.newest)));
    }
    if known.as_ref() != Some(&pin) {
        // First, so that a vacuum that begins now obeys it.
        pins.record(&pin, true, run).await?;
    }
    if let Some(before) = pin.retained.as_ref().filter(|_| options.retain) {
        raise(&named.newest, before, options.until_ms, run).await?;
    }
    if options.catalog {
        pins::publish(workspace, &pin).await?;
        pins::register(workspace, &pin).await?;
    }
    let mut notes = named.notes;
    if pin.digest.is_none() {
        notes.push(match undigested(&table.schema()) {
            Some((column, data_type)) if DigestKey::of(&workspace.privacy).is_some() => {
                format!("no digest of it is kept: column `{column}` is of type {data_type}, which has none")
            }
            _ => "no digest of it is kept: STEDI_DELTA_HASH_KEY is not set".to_owned(),
        });
    }
    if options.retain {
        notes.push(format!(
            "removed rows of every version of {} now stay in its files until the pin ends, those of people who withdraw too",
            named.name
        ));
    }
    Ok(PinOutcome { pin, notes })
}

/// Ends a pin: its entry in the catalog and its manifest go, and retention settings that it raised are what they were.
///
/// # Errors
/// `Usage` if there is no such pin; if the lake or the catalog cannot be written.
pub async fn unpin(workspace: &Workspace, name: &str, run: &str) -> Result<PinOutcome> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let mut pins = Pins::read(workspace).await?;
    let Some(pin) = pins.all.get(name).cloned() else {
        let known: Vec<&str> = pins.all.keys().map(String::as_str).collect();
        let error = Error::new(Kind::Usage, format!("there is no pin `{name}`"));
        return Err(match name::nearest(name, known.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => error.help("stedi-delta pins   (there is none)"),
            None => error.fact("pins", known.join(", ")),
        });
    };
    let database = &workspace.database;
    let entry = workspace.catalog.get(database, &pin.name).await?;
    if entry.is_some_and(|entry| entry.is_pin()) {
        workspace.catalog.remove(database, &pin.name).await?;
    }
    pins::withdraw(workspace, &pin.name).await;
    let is_last =
        !pins.all.values().any(|other| other.name != pin.name && other.uuid == pin.uuid && other.retained.is_some());
    if let Some(before) = pin.retained.as_ref().filter(|_| is_last) {
        lower(workspace, &pin, before, run).await?;
    }
    // Last: a run that dies is repeated.
    pins.record(&pin, false, run).await?;
    Ok(PinOutcome { pin, notes: Vec::new() })
}

/// All pins, with what is left of their files and how many of their people have no consent any more.
///
/// # Errors
/// If the lake cannot be read.
pub async fn pins(workspace: &Workspace) -> Result<Vec<PinStatus>> {
    pins_of(&migrate::placed(workspace, Moves::Pending).await?).await
}

/// [`pins`] of a workspace that has its tables where migrations moved them.
pub(crate) async fn pins_of(workspace: &Workspace) -> Result<Vec<PinStatus>> {
    let pins = Pins::read(workspace).await?;
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut all = Vec::new();
    for pin in pins.all.into_values() {
        if !there.contains_key(&pin.location) {
            let listed = workspace.place_at(&pin.location)?.list("").await?;
            there.insert(pin.location.clone(), listed.into_iter().map(|(path, _)| path).collect());
        }
        let listed = there.get(&pin.location);
        let gone = pin.files.keys().filter(|path| listed.is_none_or(|there| !there.contains(*path))).count() as u64;
        let withdrawn = if gone > 0 { None } else { people(workspace, &pin).await };
        let is_over = pin.until_ms.is_some_and(|until| until < clock::now_ms());
        let entry = match pin.in_catalog {
            true => workspace.catalog.get(&workspace.database, &pin.name).await?,
            false => None,
        };
        let wanted = pins::entry(workspace, &pin);
        let catalog_differs = pin.in_catalog && entry.is_none_or(|entry| wanted.differs(&entry));
        all.push(PinStatus { pin, gone, withdrawn, is_over, catalog_differs });
    }
    Ok(all)
}

/// The pins with people whose consent has ended, after a sync in which consent changed. They are unpinned if the project says
/// so (`[pins] on_withdrawal`).
///
/// # Errors
/// If the lake cannot be read or written.
pub async fn after_sync(workspace: &Workspace, outcome: &SyncOutcome) -> Result<Vec<PinNotice>> {
    let is_record = |table: &TableOutcome| {
        let landing = workspace.project.table(&table.table).and_then(Table::landing);
        landing.is_some_and(|landing| landing.grants.is_some()) && table.version_before != table.version_after
    };
    let mut notices = Vec::new();
    if !outcome.tables.iter().any(is_record) {
        return Ok(notices);
    }
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    for pin in Pins::read(workspace).await?.all.into_values() {
        let Some(withdrawn) = people(workspace, &pin).await.filter(|count| *count > 0) else { continue };
        let unpinned = workspace.project.unpin_on_withdrawal;
        if unpinned {
            unpin(workspace, &pin.name, &outcome.run).await?;
        }
        let Pin { name, table, version, .. } = pin;
        notices.push(PinNotice { name, table, version, withdrawn, unpinned });
    }
    Ok(notices)
}

/// People with rows in a pin and without consent today; `None` if that is unknown, or the table declares no consent.
async fn people(workspace: &Workspace, pin: &Pin) -> Option<u64> {
    let named = travel::find(workspace, &pin.table).await.ok()?;
    let table = workspace.table(&named.name).ok().filter(|_| named.newest.uuid() == pin.uuid)?;
    let old = named.newest.at(pin.version).await.ok()?;
    withdrawn(workspace, table, &old).await.ok()?
}

fn check_name(workspace: &Workspace, name: &str) -> Result<()> {
    name::check(name).map_err(|why| Error::new(Kind::Usage, format!("`{name}` cannot be a pin: {why}")))?;
    let is_table = |table: &str| workspace.table(table).is_ok();
    let quarantine = name.strip_suffix("_quarantine").is_some_and(is_table);
    if is_table(name) || quarantine || system_tables().any(|table| table == name) {
        return Err(Error::new(Kind::Usage, format!("`{name}` is a table"))
            .help("choose another name: pins and tables have names of their own, so that both can be in the catalog"));
    }
    Ok(())
}

/// A pin of a version, without retention settings.
async fn described(named: &Named, table: &LakeTable, options: &Options) -> Result<Pin> {
    let version = table.version();
    let commits = named.commits().await?;
    // The newest commit of ours says it; those after it changed no row.
    let ours = commits.iter().rev().find(|commit| commit.facts.version <= version && commit.facts.is_ours());
    Ok(Pin {
        name: options.name.clone(),
        table: named.name.clone(),
        uuid: table.uuid(),
        location: table.location().to_string(),
        version,
        committed_ms: commits.iter().find(|commit| commit.facts.version == version).map(|commit| commit.ms),
        pinned_ms: clock::now_ms(),
        until_ms: options.until_ms,
        retained: None,
        in_catalog: options.catalog,
        rows: table.rows(),
        files: table.files().into_iter().map(|file| (file.path, file.size)).collect(),
        schema: table.schema_string(),
        sources: ours.map(|commit| commit.facts.sources()).unwrap_or_default(),
        digest: None,
    })
}

/// The digest of a version, as it is recorded, else by a scan; `None` without a key.
async fn digest(workspace: &Workspace, named: &Named, table: &LakeTable) -> Result<Option<Sealed>> {
    let Some(key) = DigestKey::of(&workspace.privacy).and_then(|key| key.for_rows_of(&table.schema())) else {
        return Ok(None);
    };
    let session = workspace.session()?;
    let runs = LakeTable::open(&workspace.warehouse.join(RUNS_FOLDER)).await?;
    let recorded = Recorded::all(runs.as_ref(), &session).await?;
    let rows = match follow(&named.newest, table.version(), &recorded, &key).await? {
        Followed::Known(digest) => digest.rows,
        Followed::UnlessForeign(..) | Followed::Unknown(_) => {
            scanned(table, &session, &key).await.map_err(|error| workspace.told(error))?
        }
    };
    Ok(Some(key.seal(&rows, &Place::Version(&table.uuid(), table.version()))))
}

/// Refuses a table whose newest rows are not ours: a commit of ours on top would vouch for them.
fn check_undrifted(named: &Named) -> Result<()> {
    let state = named.newest.state();
    let changed = state.foreign.iter().any(|commit| commit.changes_data() || commit.changes_metadata);
    if state.readable && !changed {
        return Ok(());
    }
    Err(Error::failed(format!("the settings of {} cannot be changed now", named.name))
        .fact("because", "another writer committed to it since the last sync")
        .help("stedi-delta sync   (then pin again)"))
}

/// The retention settings of a table.
fn retention(table: &LakeTable) -> BTreeMap<String, Option<String>> {
    let properties = table.properties();
    RETENTION.iter().map(|key| ((*key).to_owned(), properties.get(*key).cloned())).collect()
}

/// Raises retention settings that are lower than the pin needs.
async fn raise(
    table: &LakeTable,
    before: &BTreeMap<String, Option<String>>,
    until_ms: Option<i64>,
    run: &str,
) -> Result<()> {
    let days = until_ms.map_or(FOR_EVER, |until| (until - clock::now_ms()).div_euclid(DAY_MS) + 2);
    let now = table.properties();
    let is_lower = |key: &&String| now.get(*key).and_then(|text| in_days(text)).is_none_or(|known| known < days);
    let raised = before.keys().filter(is_lower).map(|key| (key.clone(), format!("interval {days} days"))).collect();
    set(table, raised, Vec::new(), run).await
}

/// Gives a table the retention settings back that it had.
async fn lower(workspace: &Workspace, pin: &Pin, before: &BTreeMap<String, Option<String>>, run: &str) -> Result<()> {
    let Some(table) = LakeTable::open(&workspace.place_at(&pin.location)?).await? else { return Ok(()) };
    if table.uuid() != pin.uuid {
        return Ok(());
    }
    let (mut properties, mut unset) = (BTreeMap::new(), Vec::new());
    let now = table.properties();
    for (key, value) in before {
        match value {
            Some(value) if now.get(key) != Some(value) => drop(properties.insert(key.clone(), value.clone())),
            None if now.contains_key(key) => unset.push(key.clone()),
            _ => {}
        }
    }
    set(&table, properties, unset, run).await
}

async fn set(table: &LakeTable, properties: BTreeMap<String, String>, unset: Vec<String>, run: &str) -> Result<()> {
    if properties.is_empty() && unset.is_empty() {
        return Ok(());
    }
    let commit = Commit {
        operation: "SET TBLPROPERTIES",
        change: Change { properties, unset, ..Change::default() },
        txns: table.state().carried(),
        info: BTreeMap::from([(
            "stediDelta".to_owned(),
            serde_json::json!({"run": run, "mode": "metadata", "reason": "retention of a pin"}),
        )]),
        ..Commit::default()
    };
    commit.commit(table).await.map(drop)
}

/// Days of a setting such as `interval 30 days` or `interval 1 week`; `None` if it is written otherwise.
fn in_days(setting: &str) -> Option<i64> {
    let words: Vec<String> = setting.split_whitespace().map(str::to_lowercase).collect();
    let [first, number, unit] = words.as_slice() else { return None };
    let number: i64 = number.parse().ok().filter(|_| first == "interval")?;
    match unit.trim_end_matches('s') {
        "day" => Some(number),
        "week" => Some(number.saturating_mul(7)),
        "hour" => Some(number.div_euclid(24)),
        "month" => Some(number.saturating_mul(30)),
        "year" => Some(number.saturating_mul(365)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_settings_are_days() {
        let known =
            [("interval 30 days", 30), ("INTERVAL 1 week", 7), ("interval 168 hours", 7), ("interval 1 year", 365)];
        for (text, days) in known {
            assert_eq!(in_days(text), Some(days), "{text}");
        }
        for text in ["", "30 days", "interval P1D", "interval many days", "interval 1 fortnight"] {
            assert_eq!(in_days(text), None, "{text}");
        }
    }
}
