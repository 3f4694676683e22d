//! `stedi-delta.toml`: name, zones, targets, defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{self, Entry, Table};
use super::keys::vocabulary::{ENCRYPTION, ON_WITHDRAWAL};
use super::keys::{DEFAULTS, PROJECT, Value};
use super::model::{AwsTarget, Glue, Target};
use super::notes::{self, Rule};
use super::notify::{self, Notify};
use super::retention::{self, Retention};
use super::{units, variables};
use crate::name::{self, misread_in_path};
use crate::privacy::{holds_credentials, what_it_holds};
use crate::source::faults::{Faults, suggestion};
use crate::source::{Fault, Place, SourceFile, Text};

/// Zone of the tool's own tables.
pub(super) const SYSTEM_ZONE: &str = "system";
const URL_SCHEMES: [&str; 2] = ["file", "s3"];

/// The content of `stedi-delta.toml`. Faulty values are absent or at their default.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub name: String,
    /// `None` if the list itself is faulty, so that no table is reported for its zone.
    pub zones: Option<Vec<String>>,
    pub targets: BTreeMap<String, Target>,
    /// Variables of targets that are not set.
    pub unset: BTreeMap<String, Vec<Fault>>,
    pub default_target: String,
    pub memory_limit: u64,
    pub target_file_size: u64,
    /// As written.
    pub spill_folder: Option<String>,
    /// Zones whose tables with personal data must have `[consent]`.
    pub require_consent: Vec<String>,
    /// Whether a sync merges small files of tables that do not say so themselves.
    pub auto_optimize: bool,
    /// Whether versions with rows of people whose consent has ended are unpinned.
    pub unpin_on_withdrawal: bool,
    /// How long old versions stay.
    pub retention: Retention,
    /// Rules whose notes are not wanted.
    pub allow: Vec<Rule>,
    /// Whom a sync tells of its result.
    pub notify: Option<Notify>,
}

/// `[defaults]`.
#[derive(Default)]
struct Defaults {
    memory_limit: u64,
    target_file_size: u64,
    spill_folder: Option<String>,
    require_consent: Vec<String>,
    auto_optimize: bool,
}

/// Reads the project file.
pub(super) fn settings(file: &Arc<SourceFile>, faults: &mut Faults) -> Settings {
    let Some(parsed) = document::parse(file, faults) else { return Settings::default() };
    let root = Table::root(file, &parsed, &PROJECT, faults);
    let name = root.required_string("name", faults).and_then(|t| valid_name("name", t, faults));
    let zones = zones(&root, faults);
    let Defaults { memory_limit, target_file_size, spill_folder, require_consent, auto_optimize } =
        defaults(&root, zones.as_deref(), faults);
    let pins = root.table("pins", faults);
    let unpin_on_withdrawal = pins.and_then(|pins| pins.choice("on_withdrawal", &ON_WITHDRAWAL, faults)) == Some(true);
    let retention = retention::of_project(&root, zones.as_deref(), faults);
    let allow = notes::allowed(&root, faults);
    let notify = notify::notify(&root, faults);
    let name = name.map(|t| t.value).unwrap_or_default();
    let before = faults.len();
    let (targets, unset) = targets(&root, &name, faults);
    let default_target = default_target(&root, &targets, faults.len() == before, faults);
    Settings {
        name,
        zones,
        targets,
        unset,
        default_target,
        memory_limit,
        target_file_size,
        spill_folder,
        require_consent,
        auto_optimize,
        unpin_on_withdrawal,
        retention,
        allow,
        notify,
    }
}

fn zones(root: &Table<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    let entry = root.require("zones", faults)?;
    let before = faults.len();
    let zones = entry.strings(faults);
    if zones.is_empty() && faults.len() == before {
        faults.add(entry.place().clone(), "`zones` is empty", "name at least one zone");
    }
    for zone in &zones {
        if let Err(reason) = name::check(&zone.value) {
            faults.add(zone.place.clone(), format!("`{}` cannot be a zone", zone.value), reason);
        } else if zone.value == SYSTEM_ZONE {
            faults.add(zone.place.clone(), format!("zone `{SYSTEM_ZONE}` is reserved"), "choose another name");
        }
    }
    (faults.len() == before).then(|| zones.into_iter().map(|z| z.value).collect())
}

fn defaults(root: &Table<'_>, zones: Option<&[String]>, faults: &mut Faults) -> Defaults {
    let table = root.table("defaults", faults);
    let table = table.as_ref();
    Defaults {
        auto_optimize: table.and_then(|table| table.boolean("auto_optimize", faults)).unwrap_or(true),
        require_consent: table.map(|table| require_consent(table, zones, faults)).unwrap_or_default(),
        spill_folder: table.and_then(|table| table.get("spill_folder")).and_then(|entry| folder(entry, faults)),
        memory_limit: size(table, "memory_limit", faults),
        target_file_size: size(table, "target_file_size", faults),
    }
}

/// Zones of the project whose tables must say whose consent they require.
fn require_consent(table: &Table<'_>, zones: Option<&[String]>, faults: &mut Faults) -> Vec<String> {
    let asked = table.strings("require_consent", faults);
    asked.iter().for_each(|text| check_zone(&text.value, &text.place, zones, faults));
    asked.into_iter().map(|text| text.value).collect()
}

/// Reports a name that no zone of the project has. Without known zones none is missed.
pub(super) fn check_zone(name: &str, place: &Place, zones: Option<&[String]>, faults: &mut Faults) {
    if let Some(known) = zones.filter(|known| !known.iter().any(|zone| zone == name)) {
        let label = suggestion(name, known.iter().map(String::as_str));
        faults.add(place.clone(), format!("`{name}` is no zone of this project"), label);
    }
}

/// A folder of this machine.
fn folder(entry: &Entry<'_>, faults: &mut Faults) -> Option<String> {
    let text = without_credentials(&entry.key, entry.string(faults)?, faults)?;
    if text.value.is_empty() || text.value.contains("://") {
        return entry.refuse(format!("`{}` is \"{}\"", entry.key, text.value), faults);
    }
    Some(text.value)
}

/// A size of `[defaults]`, or its default.
fn size(table: Option<&Table<'_>>, key: &str, faults: &mut Faults) -> u64 {
    let given = table.and_then(|table| table.get(key)).and_then(|entry| given_size(entry, faults));
    let default = || DEFAULTS.default_of(key).and_then(|default| units::bytes(default.trim_matches('"')));
    given.or_else(default).unwrap_or_default()
}

fn given_size(entry: &Entry<'_>, faults: &mut Faults) -> Option<u64> {
    let bytes = match entry.integer() {
        Some(bytes) => bytes,
        None if entry.is_string() => units::bytes(&entry.string(faults)?.value),
        None => return entry.expected(faults),
    };
    bytes.filter(|bytes| *bytes > 0).or_else(|| entry.refuse(format!("`{}` is not a size", entry.key), faults))
}

/// The targets, and the variables of each that are not set.
fn targets(
    root: &Table<'_>,
    project: &str,
    faults: &mut Faults,
) -> (BTreeMap<String, Target>, BTreeMap<String, Vec<Fault>>) {
    let (mut found, mut missing) = (BTreeMap::new(), BTreeMap::new());
    let Some(entry) = root.require("targets", faults) else { return (found, missing) };
    let Some(table) = entry.table(faults) else { return (found, missing) };
    if table.entries().is_empty() {
        faults.add(table.place.clone(), "`targets` is empty", "add `[targets.dev]`");
    }
    for entry in table.entries() {
        if let Err(reason) = name::check(&entry.key) {
            faults.add(entry.key_place.clone(), format!("`{}` cannot be a target", entry.key), reason);
        }
        let mut unset = Vec::new();
        if let Some(target) = entry.table(faults).and_then(|t| target(&t, project, &mut unset, faults)) {
            found.insert(entry.key.clone(), target);
            missing.insert(entry.key.clone(), unset);
        }
    }
    (found, missing)
}

/// The value of a key of a target, with its variables, as `read` takes it. One with a variable that is not set is not read.
fn value<T>(
    table: &Table<'_>,
    key: &str,
    unset: &mut Vec<Fault>,
    faults: &mut Faults,
    read: impl FnOnce(Text, &mut Faults) -> Option<T>,
) -> Option<T> {
    let text = table.string(key, faults)?;
    let expanded = variables::expand(key, text, &variables::environment, faults)?;
    match &expanded.missing {
        Some(missing) => {
            unset.push(missing.clone());
            None
        }
        None => variables::checked(key, expanded, faults, read),
    }
}

/// A root of a target, with its variables; as it is written, if one of them is not set.
fn root_folder(table: &Table<'_>, key: &str, unset: &mut Vec<Fault>, faults: &mut Faults) -> Option<Text> {
    let text = table.required_string(key, faults)?;
    let expanded = variables::expand(key, text, &variables::environment, faults)?;
    if let Some(missing) = expanded.missing {
        unset.push(missing);
        return Some(expanded.text);
    }
    variables::checked(key, expanded, faults, |text, faults| location(key, text, faults))
}

fn target(table: &Table<'_>, project: &str, unset: &mut Vec<Fault>, faults: &mut Faults) -> Option<Target> {
    let landing = root_folder(table, "landing", unset, faults);
    let warehouse = root_folder(table, "warehouse", unset, faults);
    let database = value(table, "database", unset, faults, |t, faults| valid_name("database", t, faults));
    let catalog = table.table("catalog", faults);
    let glue = catalog.and_then(|catalog| catalog.table("glue", faults).map(|t| glue(&t, unset, faults)));
    let aws = aws(table, unset, faults);
    let (landing, warehouse) = (landing?, warehouse?);
    if landing.value == warehouse.value {
        let label = "the same folder as `landing`";
        faults.add(warehouse.place, "files and tables cannot share a folder", label);
        return None;
    }
    let database = database.map_or_else(|| project.to_owned(), |t| t.value);
    Some(Target { landing: landing.value, warehouse: warehouse.value, database, aws, glue })
}

/// Region, endpoint and encryption of S3.
fn aws(table: &Table<'_>, unset: &mut Vec<Fault>, faults: &mut Faults) -> AwsTarget {
    let region = value(table, "region", unset, faults, |t, _| Some(t.value));
    let endpoint = value(table, "endpoint", unset, faults, endpoint);
    let sse = value(table, "sse", unset, faults, |t, faults| ENCRYPTION.read("sse", t, faults));
    let kms_key_id = value(table, "kms_key_id", unset, faults, |t, faults| {
        if table.get("sse").is_none() || sse == Some("AES256") {
            faults.add(t.place, "`kms_key_id` has no use here", "add `sse = \"aws:kms\"`");
            return None;
        }
        Some(t.value)
    });
    AwsTarget { region, endpoint, sse: sse.map(str::to_owned), kms_key_id }
}

/// The URL of a service, without credentials in it.
fn endpoint(text: Text, faults: &mut Faults) -> Option<String> {
    let text = without_credentials("endpoint", text, faults)?;
    match url::Url::parse(&text.value) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Some(text.value),
        _ => {
            let message = format!("`endpoint` is \"{}\"", text.value);
            faults.add(text.place, message, format!("expected {}", Value::Url.expected()));
            None
        }
    }
}

/// Refuses an address with credentials in it. The line itself is not shown, since it holds them.
fn without_credentials(key: &str, text: Text, faults: &mut Faults) -> Option<Text> {
    if !holds_credentials(&text.value) {
        return Some(text);
    }
    let (line, _) = text.place.line_column();
    let what = what_it_holds(&text.value);
    let message = format!("`{key}` {what}: {}:{line}", text.place.file.path.display());
    faults.add_unshown(message, "take them out: credentials come from AWS's own chain, never from the project");
    None
}

fn glue(table: &Table<'_>, unset: &mut Vec<Fault>, faults: &mut Faults) -> Glue {
    let mut text = |key| value(table, key, unset, faults, |t, _| Some(t.value));
    let (region, catalog_id) = (text("region"), text("catalog_id"));
    let endpoint = value(table, "endpoint", unset, faults, endpoint);
    let name = |t, faults: &mut Faults| valid_name("database", t, faults).map(|t| t.value);
    let database = value(table, "database", unset, faults, name);
    Glue { database, region, catalog_id, endpoint }
}

fn default_target(
    root: &Table<'_>,
    targets: &BTreeMap<String, Target>,
    targets_are_sound: bool,
    faults: &mut Faults,
) -> String {
    let names = || targets.keys().map(String::as_str);
    if root.get("default_target").is_none() {
        if targets.len() > 1 {
            let label = format!("add `default_target = \"{}\"`", names().next().unwrap_or_default());
            faults.add(root.place.clone(), "`default_target` is missing, and there are several targets", label);
        }
        return names().next().unwrap_or_default().to_owned();
    }
    let Some(text) = root.string("default_target", faults) else { return String::new() };
    if targets_are_sound && !targets.contains_key(&text.value) {
        let label = suggestion(&text.value, names());
        faults.add(text.place, format!("target `{}` is not in this project", text.value), label);
    }
    text.value
}

fn valid_name(key: &str, text: Text, faults: &mut Faults) -> Option<Text> {
    match name::check(&text.value) {
        Ok(()) => Some(text),
        Err(reason) => {
            faults.add(text.place, format!("`{key}` is \"{}\"", text.value), reason);
            None
        }
    }
}

/// A folder or a URL of a scheme that the tool can open.
pub(super) fn location(key: &str, text: Text, faults: &mut Faults) -> Option<Text> {
    let text = without_credentials(key, text, faults)?;
    match text.value.split_once("://") {
        Some((scheme, _)) if !URL_SCHEMES.contains(&scheme) => {
            let label = format!("expected {}", Value::Root.expected());
            faults.add(text.place, format!("`{key}` is a `{scheme}://` address"), label);
            None
        }
        None if let ("location", Some((found, taken_for))) = (key, misread_in_path(&text.value)) => {
            let label = format!("`{found}`: Delta readers take that for {taken_for}");
            faults.add(text.place, "`location` is a path that cannot hold a table", label);
            None
        }
        _ => Some(text),
    }
}
