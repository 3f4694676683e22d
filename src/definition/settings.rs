//! `stedi-delta.toml`: name, zones, targets, defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::document::{self, Entry, Table};
use super::keys::vocabulary::{ENCRYPTION, ON_WITHDRAWAL};
use super::keys::{DEFAULTS, PROJECT, Value};
use super::model::{AwsTarget, Glue, Target};
use super::units;
use crate::name::{self, misread_in_path, nearest};
use crate::privacy::{holds_credentials, what_it_holds};
use crate::source::SourceFile;
use crate::source::Text;
use crate::source::faults::{Faults, one_of};

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
    pub default_target: String,
    pub memory_limit: u64,
    pub target_file_size: u64,
    /// As written.
    pub spill_folder: Option<String>,
    /// Zones whose tables with personal data must have `[consent]`.
    pub require_consent: Vec<String>,
    /// Whether versions with rows of people whose consent has ended are unpinned.
    pub unpin_on_withdrawal: bool,
}

/// `[defaults]`.
#[derive(Default)]
struct Defaults {
    memory_limit: u64,
    target_file_size: u64,
    spill_folder: Option<String>,
    require_consent: Vec<String>,
}

/// Reads the project file.
pub(super) fn settings(file: &Arc<SourceFile>, faults: &mut Faults) -> Settings {
    let Some(parsed) = document::parse(file, faults) else { return Settings::default() };
    let root = Table::root(file, &parsed, &PROJECT, faults);
    let name = root.required_string("name", faults).and_then(|t| valid_name("name", t, faults));
    let zones = zones(&root, faults);
    let Defaults { memory_limit, target_file_size, spill_folder, require_consent } =
        defaults(&root, zones.as_deref(), faults);
    let pins = root.table("pins", faults);
    let unpin_on_withdrawal = pins.and_then(|pins| pins.choice("on_withdrawal", &ON_WITHDRAWAL, faults)) == Some(true);
    let name = name.map(|t| t.value).unwrap_or_default();
    let before = faults.len();
    let targets = targets(&root, &name, faults);
    let default_target = default_target(&root, &targets, faults.len() == before, faults);
    Settings {
        name,
        zones,
        targets,
        default_target,
        memory_limit,
        target_file_size,
        spill_folder,
        require_consent,
        unpin_on_withdrawal,
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
        require_consent: table.map(|table| require_consent(table, zones, faults)).unwrap_or_default(),
        spill_folder: table.and_then(|table| table.get("spill_folder")).and_then(|entry| folder(entry, faults)),
        memory_limit: size(table, "memory_limit", faults),
        target_file_size: size(table, "target_file_size", faults),
    }
}

/// Zones of the project whose tables must say whose consent they require. Without known zones none is missed.
fn require_consent(table: &Table<'_>, zones: Option<&[String]>, faults: &mut Faults) -> Vec<String> {
    let asked = table.strings("require_consent", faults);
    for text in &asked {
        let Some(known) = zones.filter(|known| !known.contains(&text.value)) else { continue };
        let label = match nearest(&text.value, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", one_of(known.iter().map(String::as_str))),
        };
        faults.add(text.place.clone(), format!("`{}` is no zone of this project", text.value), label);
    }
    asked.into_iter().map(|text| text.value).collect()
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

fn targets(root: &Table<'_>, project: &str, faults: &mut Faults) -> BTreeMap<String, Target> {
    let mut found = BTreeMap::new();
    let Some(entry) = root.require("targets", faults) else { return found };
    let Some(table) = entry.table(faults) else { return found };
    if table.entries().is_empty() {
        faults.add(table.place.clone(), "`targets` is empty", "add `[targets.dev]`");
    }
    for entry in table.entries() {
        if let Err(reason) = name::check(&entry.key) {
            faults.add(entry.key_place.clone(), format!("`{}` cannot be a target", entry.key), reason);
        }
        if let Some(target) = entry.table(faults).and_then(|t| target(&t, project, faults)) {
            found.insert(entry.key.clone(), target);
        }
    }
    found
}

fn target(table: &Table<'_>, project: &str, faults: &mut Faults) -> Option<Target> {
    let landing = table.required_string("landing", faults);
    let warehouse = table.required_string("warehouse", faults);
    let database = table.string("database", faults).and_then(|t| valid_name("database", t, faults));
    let catalog = table.table("catalog", faults);
    let glue = catalog.and_then(|catalog| catalog.table("glue", faults).map(|t| glue(&t, faults)));
    let aws = aws(table, faults);
    let landing = landing.and_then(|t| location("landing", t, faults))?;
    let warehouse = warehouse.and_then(|t| location("warehouse", t, faults))?;
    if landing.value == warehouse.value {
        let label = "the same folder as `landing`";
        faults.add(warehouse.place, "files and tables cannot share a folder", label);
        return None;
    }
    let database = database.map_or_else(|| project.to_owned(), |t| t.value);
    Some(Target { landing: landing.value, warehouse: warehouse.value, database, aws, glue })
}

/// Region, endpoint and encryption of S3.
fn aws(table: &Table<'_>, faults: &mut Faults) -> AwsTarget {
    let region = table.string("region", faults).map(|t| t.value);
    let endpoint = table.string("endpoint", faults).and_then(|t| endpoint(t, faults));
    let sse = table.choice("sse", &ENCRYPTION, faults);
    let kms_key_id = table.string("kms_key_id", faults).and_then(|t| {
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

fn glue(table: &Table<'_>, faults: &mut Faults) -> Glue {
    let mut text = |key| table.string(key, faults).map(|t| t.value);
    let (region, catalog_id) = (text("region"), text("catalog_id"));
    let endpoint = table.string("endpoint", faults).and_then(|t| endpoint(t, faults));
    let database = table.string("database", faults).and_then(|t| valid_name("database", t, faults)).map(|t| t.value);
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
        let label = match nearest(&text.value, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", one_of(names())),
        };
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
