//! `tables/<zone>/<table>.toml`: the content of one file, before it is compared with others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::columns::{self, Declared, Rescued};
use super::document::{self, Table};
use super::keys::vocabulary::{ACTION, FORMAT, ON_NEW_FIELD, ON_OVERWRITE, REFRESH};
use super::keys::{TABLE, Value};
use super::model::{
    Action, Format, MaxQuarantined, OnNewField, OnOverwrite, Policy, RESCUED, SOURCE_FILE, SOURCE_OFFSET,
};
use super::notes::{self, Rule};
use super::retention;
use super::settings::location;
use super::units;
use crate::name::{self, TableName};
use crate::source::Text;
use crate::source::faults::Faults;
use crate::source::{Place, SourceFile};

/// A table's `.toml`, with its `.sql` if it is derived.
#[derive(Debug)]
pub(super) struct Spec {
    pub name: TableName,
    pub zone: String,
    pub file: Arc<SourceFile>,
    /// Present exactly on derived tables.
    pub sql: Option<Arc<SourceFile>>,
    pub description: String,
    pub tags: Vec<String>,
    pub properties: BTreeMap<String, String>,
    pub location: Option<Text>,
    /// How long its old versions stay.
    pub history: Option<Duration>,
    pub refresh: Policy,
    pub refresh_place: Option<Place>,
    pub primary_key: Vec<Text>,
    pub cluster_by: Vec<Text>,
    /// Whether a sync merges its small files, if it says so.
    pub auto_optimize: Option<bool>,
    /// `[columns]`; `None` if a column is faulty, or if a landing table declares none.
    pub columns: Option<Vec<Declared>>,
    /// What `[columns]` says of the column of undeclared fields.
    pub rescued: Option<Rescued>,
    /// Names under `[columns]`, including faulty columns.
    pub column_names: Vec<String>,
    pub source: Option<Source>,
    pub grants: Option<GrantsSpec>,
    pub consent: Option<ConsentSpec>,
    pub expectations: Vec<ExpectationSpec>,
    /// Rules whose notes on its query are not wanted.
    pub allow: Vec<Rule>,
}

/// `[source]`.
#[derive(Debug)]
pub(super) struct Source {
    pub path: String,
    pub exclude: Vec<String>,
    pub format: Format,
    pub min_age: Option<Duration>,
    pub on_overwrite: OnOverwrite,
    pub max_quarantined: Option<MaxQuarantined>,
    pub on_new_field: OnNewField,
}

/// `[grants]`.
#[derive(Debug)]
pub(super) struct GrantsSpec {
    pub subjects: Vec<Text>,
    pub granted: Option<Text>,
    pub latest: Vec<Text>,
}

/// `[consent]`.
#[derive(Debug)]
pub(super) struct ConsentSpec {
    pub header: Place,
    pub subject: Option<Text>,
    pub names: Option<Text>,
    pub by: Option<Text>,
    pub grants: Option<Text>,
    /// Whether all of its keys could be read: else what they would say together is not checked.
    pub is_read: bool,
}

/// One of `[[expectations]]`.
#[derive(Debug)]
pub(super) struct ExpectationSpec {
    pub name: Text,
    pub check: Text,
    pub action: Action,
}

/// Properties by which engines recognise and read a table.
pub(super) const RESERVED_PROPERTIES: [&str; 4] = ["external", "table_type", "classification", "comment"];
pub(super) const RESERVED_PREFIXES: [&str; 4] = ["delta.", "stedi-delta.", "parquet.", "spark."];
/// Glue's limit for the name of a parameter.
pub(super) const PROPERTY_BYTES: usize = 255;

/// Reads one table's file. `sql` is the query next to it.
pub(super) fn spec(
    name: TableName,
    zone: &str,
    file: &Arc<SourceFile>,
    sql: Option<&Arc<SourceFile>>,
    faults: &mut Faults,
) -> Option<Spec> {
    let parsed = document::parse(file, faults)?;
    let root = Table::root(file, &parsed, &TABLE, faults);
    kind(&root, sql, faults);
    let description = root.required_string("description", faults);
    let source = root.table("source", faults).and_then(|t| source(&t, faults));
    let rescued = rescued(&root, source.as_ref().filter(|_| sql.is_none()), faults);
    Some(Spec {
        name,
        zone: zone.to_owned(),
        file: file.clone(),
        sql: sql.cloned(),
        description: description.map(|t| t.value).unwrap_or_default(),
        tags: root.strings("tags", faults).into_iter().map(|t| t.value).collect(),
        properties: properties(&root, faults),
        location: root.string("location", faults).and_then(|t| location("location", t, faults)),
        history: retention::of_table(&root, faults),
        refresh: root.choice("refresh", &REFRESH, faults).unwrap_or(Policy::Auto),
        refresh_place: root.get("refresh").map(|entry| entry.place().clone()),
        primary_key: root.strings("primary_key", faults),
        cluster_by: root.strings("cluster_by", faults),
        auto_optimize: root.boolean("auto_optimize", faults),
        columns: declared(&root, sql.is_none(), faults),
        rescued,
        column_names: column_names(&root),
        source,
        grants: root.table("grants", faults).map(|t| grants(&t, faults)),
        consent: consent(&root, faults),
        expectations: expectations(&root, faults),
        allow: notes::allowed(&root, faults),
    })
}

/// `[properties]`: names that are free in a log and in a catalog, with texts.
fn properties(root: &Table<'_>, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(table) = root.table("properties", faults) else { return found };
    for entry in table.entries() {
        let Some(text) = entry.string(faults) else { continue };
        let name = entry.key.to_ascii_lowercase();
        let is_ours = RESERVED_PROPERTIES.contains(&name.as_str())
            || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if is_ours {
            let message = format!("`{}` has a meaning to engines", entry.key);
            faults.add(entry.key_place.clone(), message, "choose a name of your own, such as `team`");
        } else if name.is_empty() || name.len() > PROPERTY_BYTES || !name.chars().all(is_plain) {
            let message = format!("`{}` cannot be a property", entry.key);
            let label = format!("expected letters, digits, `_`, `.` and `-`, at most {PROPERTY_BYTES}");
            faults.add(entry.key_place.clone(), message, label);
        }
        found.insert(entry.key.clone(), text.value);
    }
    found
}

/// Checks that a table is either landing (`[source]`) or derived (a query), and has only the keys of its kind.
fn kind(root: &Table<'_>, sql: Option<&Arc<SourceFile>>, faults: &mut Faults) {
    let stem = root.place.file.path.with_extension("sql");
    match (root.get("source"), sql) {
        (Some(source), Some(sql)) => {
            let label = format!("remove this, or {}", sql.path.display());
            faults.add(source.place().clone(), "a table has `[source]` or a query, not both", label);
        }
        (None, None) => {
            let label = format!("add `[source]`, or a query in {}", stem.display());
            faults.add(root.place.clone(), "nothing fills this table", label);
        }
        _ => {}
    }
    let (foreign, other): (&[&str], _) = match sql {
        Some(_) => (&["grants"], "a landing table"),
        None => (&["refresh", "consent", "allow"], "a derived table"),
    };
    for entry in foreign.iter().filter_map(|key| root.get(key)) {
        let message = format!("`{}` belongs to {other}", entry.key);
        let label = if sql.is_some() { "this one has a query" } else { "this one has no query" };
        faults.add(entry.key_place.clone(), message, label);
    }
}

fn declared(root: &Table<'_>, landing: bool, faults: &mut Faults) -> Option<Vec<Declared>> {
    if !landing && root.get("columns").is_none() {
        return Some(Vec::new());
    }
    // Without a source the table is faulty already; its columns are unknown.
    root.get("source").or(root.get("columns"))?;
    let entry = root.require("columns", faults)?;
    let table = entry.table(faults)?;
    if landing && table.entries().is_empty() {
        faults.add(table.place.clone(), "`columns` is empty", "name at least one column");
        return None;
    }
    let before = faults.len();
    let columns = columns::columns(&table, landing, faults);
    let appended = table.entries().iter().filter(|e| [SOURCE_FILE, SOURCE_OFFSET].contains(&e.key.as_str()));
    for entry in appended.filter(|_| landing) {
        let message = format!("`{}` is added to every landing table", entry.key);
        faults.add(entry.key_place.clone(), message, "remove this line");
    }
    columns.filter(|_| faults.len() == before)
}

/// What a landing table says of the column of undeclared fields, which it has if it asks for it under `[source]`.
fn rescued(root: &Table<'_>, source: Option<&Source>, faults: &mut Faults) -> Option<Rescued> {
    let source = source?;
    let columns = root.get("columns").filter(|entry| entry.is_table()).and_then(|entry| entry.table(faults))?;
    let entry = columns.get(RESCUED)?;
    if source.on_new_field != OnNewField::Rescue {
        let message = format!("`{RESCUED}` holds what `on_new_field = \"rescue\"` keeps");
        faults.add(entry.key_place.clone(), message, "add that under [source], or remove this line");
    }
    columns::rescued(entry, faults)
}

fn column_names(root: &Table<'_>) -> Vec<String> {
    let columns = root.get("columns").filter(|entry| entry.is_table());
    // It is known to be a table: no fault is possible.
    let columns = columns.and_then(|entry| entry.table(&mut Faults::default()));
    columns.map(|table| table.entries().iter().map(|entry| entry.key.clone()).collect()).unwrap_or_default()
}

fn source(table: &Table<'_>, faults: &mut Faults) -> Option<Source> {
    let path = table.required_string("path", faults);
    let format = table.require("format", faults).and_then(|_| table.choice("format", &FORMAT, faults));
    let on_overwrite = table.choice("on_overwrite", &ON_OVERWRITE, faults).unwrap_or(OnOverwrite::Fail);
    let on_new_field = table.choice("on_new_field", &ON_NEW_FIELD, faults).unwrap_or_default();
    let min_age = table.get("min_age").and_then(|entry| entry.duration(faults));
    let max_quarantined = table.get("max_quarantined").and_then(|entry| {
        let limit = match entry.integer() {
            Some(count) => count.map(MaxQuarantined::Records),
            None if entry.is_string() => {
                entry.string(faults).and_then(|text| units::share(&text.value)).map(MaxQuarantined::Share)
            }
            None => None,
        };
        limit.or_else(|| entry.refuse("`max_quarantined` is neither a number nor a share", faults))
    });
    let exclude: Vec<Option<String>> =
        table.strings("exclude", faults).into_iter().map(|text| pattern("exclude", text, faults)).collect();
    let path = pattern("path", path?, faults)?;
    // If a pattern is unusable, its files must not pass.
    let exclude = exclude.into_iter().collect::<Option<Vec<String>>>()?;
    let format = format.unwrap_or(Format::Json);
    Some(Source { path, exclude, format, min_age, on_overwrite, max_quarantined, on_new_field })
}

/// A pattern of files under the landing root.
fn pattern(key: &str, text: Text, faults: &mut Faults) -> Option<String> {
    let found = format!("`{key}` is \"{}\"", text.value);
    if text.value.contains("://") || text.value.starts_with('/') || text.value.split('/').any(|part| part == "..") {
        let label = format!("expected {}", Value::Pattern.expected());
        faults.add(text.place, found, label);
        return None;
    }
    if let Err(error) = globset::Glob::new(&text.value) {
        faults.add(text.place, found, error.kind().to_string());
        return None;
    }
    Some(text.value)
}

fn grants(table: &Table<'_>, faults: &mut Faults) -> GrantsSpec {
    GrantsSpec {
        subjects: required_list(table, "subjects", faults),
        granted: table.required_string("granted", faults),
        latest: required_list(table, "latest", faults),
    }
}

fn required_list(table: &Table<'_>, key: &str, faults: &mut Faults) -> Vec<Text> {
    let Some(entry) = table.require(key, faults) else { return Vec::new() };
    let before = faults.len();
    let texts = entry.strings(faults);
    if texts.is_empty() && faults.len() == before {
        faults.add(entry.place().clone(), format!("`{key}` is empty"), "name at least one column");
    }
    texts
}

/// `[consent]`; its keys are checked further if none of it is faulty.
fn consent(root: &Table<'_>, faults: &mut Faults) -> Option<ConsentSpec> {
    let before = faults.len();
    let table = root.table("consent", faults)?;
    let spec = ConsentSpec {
        header: table.place.clone(),
        subject: table.required_string("subject", faults),
        names: table.string("names", faults),
        by: table.string("by", faults),
        grants: table.string("grants", faults),
        is_read: true,
    };
    Some(ConsentSpec { is_read: faults.len() == before, ..spec })
}

fn expectations(root: &Table<'_>, faults: &mut Faults) -> Vec<ExpectationSpec> {
    let Some(entry) = root.get("expectations") else { return Vec::new() };
    let mut found: Vec<ExpectationSpec> = Vec::new();
    for table in entry.tables(faults) {
        let name = table.required_string("name", faults);
        let check = table.required_string("check", faults);
        let has_action = table.require("action", faults).is_some();
        let action = table.choice("action", &ACTION, faults).unwrap_or(Action::Fail);
        let (Some(name), Some(check), true) = (name, check, has_action) else { continue };
        if let Err(reason) = name::check(&name.value) {
            faults.add(name.place.clone(), format!("`{}` cannot be an expectation", name.value), reason);
        } else if found.iter().any(|e| e.name.value == name.value) {
            let label = "choose another name";
            faults.add(name.place.clone(), format!("expectation `{}` is there twice", name.value), label);
        }
        found.push(ExpectationSpec { name, check, action });
    }
    found
}
