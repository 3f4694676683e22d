//! Classifies the project's files: pairs of `.toml` and `.sql` under `tables/`, and the numbered files of
//! `migrations/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Component;
use std::sync::Arc;

use super::model::Migration;
use crate::name::{self, TableName, nearest};
use crate::source::faults::{Faults, one_of};
use crate::source::{Place, SourceFile};

/// The tool's own tables.
const RESERVED_TABLES: [&str; 2] = ["files", "runs"];
const QUARANTINE_SUFFIX: &str = "_quarantine";

/// The files of one table.
#[derive(Debug)]
pub(super) struct TableFiles {
    pub name: TableName,
    pub zone: String,
    pub toml: Arc<SourceFile>,
    pub sql: Option<Arc<SourceFile>>,
}

/// The beginning of a file.
pub(super) fn top(file: &Arc<SourceFile>) -> Place {
    Place { file: file.clone(), span: 0..0 }
}

/// Pairs the files under `tables/`. `zones` are the declared ones, unless they are faulty themselves.
pub(super) fn tables(files: &[Arc<SourceFile>], zones: Option<&[String]>, faults: &mut Faults) -> Vec<TableFiles> {
    let mut pairs: BTreeMap<(String, String), [Option<Arc<SourceFile>>; 2]> = BTreeMap::new();
    let mut foreign_zones = BTreeSet::new();
    for file in files {
        let parts = parts(file);
        let [folder, zone, rest @ ..] = parts.as_slice() else { continue };
        if folder != "tables" {
            continue;
        }
        let [leaf] = rest else {
            let (message, label) = match rest {
                [] => ("a table is in the folder of its zone", "move it to tables/<zone>/"),
                _ => ("a zone has no folders", "move the file to tables/<zone>/"),
            };
            faults.add(top(file), message, label);
            continue;
        };
        if let Some(zones) = zones.filter(|zones| !zones.contains(zone)) {
            if foreign_zones.insert(zone.clone()) {
                let label = match nearest(zone, zones.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("zones are {}", one_of(zones.iter().map(String::as_str))),
                };
                faults.add(top(file), format!("folder tables/{zone} is not a zone of this project"), label);
            }
            continue;
        }
        match leaf.rsplit_once('.') {
            Some((stem, "toml")) => pairs.entry((zone.clone(), stem.to_owned())).or_default()[0] = Some(file.clone()),
            Some((stem, "sql")) => pairs.entry((zone.clone(), stem.to_owned())).or_default()[1] = Some(file.clone()),
            _ => {
                faults.add(
                    top(file),
                    format!("`{leaf}` is no table"),
                    "a table is a `.toml` and, if derived, a `.sql`",
                );
            }
        }
    }
    let mut found: Vec<TableFiles> = Vec::new();
    for ((zone, stem), [toml, sql]) in pairs {
        let Some(toml) = toml else {
            let Some(sql) = sql else { continue };
            let label = format!("add {} with a `description`", sql.path.with_extension("toml").display());
            faults.add(top(&sql), format!("`{stem}` has a query and no definition"), label);
            continue;
        };
        let Some(name) = table_name(&stem, &toml, faults) else { continue };
        if let Some(other) = found.iter().find(|t| t.name == name) {
            let label = format!("also in {}: names are unique in the project", other.toml.path.display());
            faults.add(top(&toml), format!("table `{name}` is there twice"), label);
            continue;
        }
        found.push(TableFiles { name, zone, toml, sql });
    }
    found
}

fn table_name(stem: &str, file: &Arc<SourceFile>, faults: &mut Faults) -> Option<TableName> {
    let reason = match TableName::parse(stem) {
        Ok(_) if RESERVED_TABLES.contains(&stem) => "the tool has a table of this name: rename the file".to_owned(),
        Ok(_) if stem.ends_with(QUARANTINE_SUFFIX) => {
            format!("names ending in `{QUARANTINE_SUFFIX}` are the tool's: rename the file")
        }
        Ok(name) => return Some(name),
        Err(reason) => reason,
    };
    faults.add(top(file), format!("`{stem}` cannot be a table"), reason);
    None
}

/// The columns of the newest migration, as `migrate new` writes them.
pub(super) const SCHEMA: &str = "migrations/schema.json";

/// The numbered files of `migrations/`, by number.
pub(super) fn migrations(files: &[Arc<SourceFile>], faults: &mut Faults) -> Vec<Migration> {
    let mut found: Vec<Migration> = Vec::new();
    for file in files {
        let parts = parts(file);
        let [folder, rest @ ..] = parts.as_slice() else { continue };
        if folder != "migrations" || file.path == std::path::Path::new(SCHEMA) {
            continue;
        }
        let [leaf] = rest else {
            faults.add(top(file), "`migrations` has no folders", "move the file to migrations/");
            continue;
        };
        let Some((number, label)) = migration_name(leaf) else {
            let label = "expected `NNNN_label.sql`, such as `0001_add_region.sql`";
            faults.add(top(file), format!("`{leaf}` is no migration"), label);
            continue;
        };
        if let Some(other) = found.iter().find(|m| m.number == number) {
            let label = format!("also {}: give one of them the next number", other.file.path.display());
            faults.add(top(file), format!("migration {number:04} is there twice"), label);
            continue;
        }
        found.push(Migration { number, label: label.to_owned(), file: file.clone() });
    }
    found.sort_by_key(|m| m.number);
    found
}

fn migration_name(leaf: &str) -> Option<(u32, &str)> {
    let (number, label) = leaf.strip_suffix(".sql")?.split_once('_')?;
    let is_number = number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit());
    name::check(label).ok()?;
    number.parse().ok().filter(|_| is_number).map(|number| (number, label))
}

fn parts(file: &SourceFile) -> Vec<String> {
    let normal = |c: Component<'_>| match c {
        Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
        _ => None,
    };
    file.path.components().filter_map(normal).collect()
}
