//! Files -> checked project: the order of the checks, and which ones are skipped after an earlier fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use deltalake::datafusion::sql::sqlparser::ast::Query;

use super::PROJECT_FILE;
use super::assembly::Assembly;
use super::layout;
use super::model::{Action, Project, Target};
use super::order::order;
use super::places::{Claim, clashes};
use super::settings;
use super::spec::{Spec, spec};
use crate::name::{TableName, nearest};
use crate::source::faults::{Faults, one_of};
use crate::source::{Fault, Place, SourceFile, checksum};
use crate::sql::references::{Reference, references};
use crate::sql::text::Sql;

/// A derived table's query, parsed but not planned.
pub(super) struct Parsed {
    pub sql: Sql,
    /// `None` if it is faulty itself.
    pub query: Option<Box<Query>>,
    pub references: Vec<Reference>,
}

/// Checks all files of a project.
#[cfg(test)]
pub(super) fn check(root: &Path, files: &[Arc<SourceFile>]) -> Result<Project, Vec<Fault>> {
    let (project, faults) = examine(root, files)?;
    if faults.is_empty() { Ok(project) } else { Err(faults) }
}

/// The project of these files, its tables without faults, and all faults.
///
/// # Errors
/// There is no project.
pub(super) fn examine(root: &Path, files: &[Arc<SourceFile>]) -> Result<(Project, Vec<Fault>), Vec<Fault>> {
    let mut faults = Faults::default();
    let Some(project_file) = files.iter().find(|f| f.path == Path::new(PROJECT_FILE)) else {
        let message = format!("{PROJECT_FILE} is not in {}", root.display());
        let help = Some("go to the project's folder, or name it: --project DIR".to_owned());
        return Err(vec![Fault { message, place: None, label: String::new(), help }]);
    };
    let settings = settings::settings(project_file, &mut faults);
    let pairs = layout::tables(files, settings.zones.as_deref(), &mut faults);
    let migrations = layout::migrations(files, &mut faults);
    let mut names: BTreeSet<String> = pairs.iter().map(|p| p.name.to_string()).collect();
    let specs: BTreeMap<TableName, Spec> = pairs
        .into_iter()
        .filter_map(|p| spec(p.name.clone(), &p.zone, &p.toml, p.sql.as_ref(), &mut faults).map(|s| (p.name, s)))
        .collect();
    locations(&specs, &settings.targets, root, &mut faults);
    let quarantines: BTreeMap<String, TableName> =
        specs.values().filter(|s| quarantines(s)).map(|s| (s.name.quarantine().to_string(), s.name.clone())).collect();
    names.extend(quarantines.keys().cloned());

    let parsed: BTreeMap<TableName, Parsed> =
        specs.values().filter_map(|s| Some((s.name.clone(), parse(s.sql.as_ref()?, &names, &mut faults)))).collect();
    let zones = settings.zones.clone().unwrap_or_default();
    let reads = |name: &TableName| -> BTreeSet<TableName> {
        let references = parsed.get(name).into_iter().flat_map(|p| &p.references);
        references.filter_map(|r| host(r, &specs, &quarantines)).collect()
    };
    let edges = specs.values().map(|s| {
        let zone = zones.iter().position(|z| *z == s.zone).unwrap_or(zones.len());
        let mut reads = reads(&s.name);
        // Consent is checked against the same cut, so the record of consent comes first.
        if s.consent.is_some() {
            reads.extend(specs.values().filter(|g| g.grants.is_some() && g.sql.is_none()).map(|g| g.name.clone()));
        }
        (s.name.clone(), (zone, reads))
    });
    let order = order(&edges.collect());
    for cycle in &order.cycles {
        report_cycle(cycle, &parsed, &specs, &quarantines, &mut faults);
    }

    let records: Vec<&Spec> = specs.values().filter(|s| s.grants.is_some() && s.sql.is_none()).collect();
    // Without Glue, Athena does not read the tables.
    let athena = settings.targets.values().any(|target| target.glue.is_some());
    let mut assembly = Assembly::new(order.tables.clone(), athena, settings.require_consent);
    for name in &order.tables {
        let Some(spec) = specs.get(name) else { continue };
        match parsed.get(name) {
            None => assembly.landing(spec, &mut faults),
            Some(parsed) => assembly.derived(spec, parsed, &records, &mut faults),
        }
    }

    let project = Project {
        name: settings.name,
        root: root.to_path_buf(),
        zones,
        targets: settings.targets,
        unset: settings.unset,
        default_target: settings.default_target,
        memory_limit: settings.memory_limit,
        target_file_size: settings.target_file_size,
        spill_folder: settings.spill_folder.map(|folder| root.join(folder)),
        auto_optimize: settings.auto_optimize,
        unpin_on_withdrawal: settings.unpin_on_withdrawal,
        retention: settings.retention,
        notify: settings.notify,
        tables: assembly.tables,
        migrations,
        checksum: checksum(files.iter().flat_map(|f| [f.path.to_string_lossy(), f.text.as_str().into()])),
        schema: files.iter().find(|file| file.path == Path::new(layout::SCHEMA)).cloned(),
        notes: assembly.notes.into_sorted(|note| {
            let file = note.fault.place.as_ref().map(|place| &place.file.path);
            let is_of = |spec: &&Spec| spec.sql.as_ref().is_some_and(|sql| Some(&sql.path) == file);
            let own = specs.values().find(is_of).is_some_and(|spec| spec.allow.contains(&note.rule));
            own || settings.allow.contains(&note.rule)
        }),
    };
    Ok((project, faults.into_sorted()))
}

/// Checks that every table has its own folders, at every target.
fn locations(specs: &BTreeMap<TableName, Spec>, targets: &BTreeMap<String, Target>, root: &Path, faults: &mut Faults) {
    let claim = |spec: &'_ Spec| Claim {
        name: spec.name.to_string(),
        zone: spec.zone.clone(),
        location: spec.location.as_ref().map(|l| l.value.clone()),
        is_landing: spec.sql.is_none(),
        has_quarantine: quarantines(spec),
    };
    let claims: Vec<Claim> = specs.values().map(claim).collect();
    let mut found = BTreeSet::new();
    for (name, target) in targets {
        for (at, message) in clashes(&claims, (&target.warehouse, root), root) {
            let Some(spec) = specs.values().nth(at).filter(|_| found.insert(at)) else { continue };
            let place = match &spec.location {
                Some(location) => location.place.clone(),
                None => Place { file: spec.file.clone(), span: 0..0 },
            };
            let label = match targets.len() {
                1 => "choose another place".to_owned(),
                _ => format!("choose another place: so it is at target `{name}`"),
            };
            faults.add(place, message, label);
        }
    }
}

/// Whether rows of a derived table may go to quarantine.
pub(super) fn quarantines(spec: &Spec) -> bool {
    spec.sql.is_some() && spec.expectations.iter().any(|e| e.action == Action::Quarantine)
}

/// The declared table of a reference: itself, or the table of a quarantine.
fn host(
    reference: &Reference,
    specs: &BTreeMap<TableName, Spec>,
    quarantines: &BTreeMap<String, TableName>,
) -> Option<TableName> {
    let [name] = reference.parts.as_slice() else { return None };
    quarantines.get(name).cloned().or_else(|| TableName::parse(name).ok().filter(|n| specs.contains_key(n)))
}

/// Parses a query and reports every invalid table name in it.
fn parse(file: &Arc<SourceFile>, names: &BTreeSet<String>, faults: &mut Faults) -> Parsed {
    let mut sql = Sql::file(file);
    let before = faults.len();
    let Some(query) = sql.query(faults) else { return Parsed { sql, query: None, references: Vec::new() } };
    sql.unsupported(faults);
    // A table that names itself is a cycle, not something to suggest.
    let own = file.path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let others = || names.iter().filter(|n| Some(*n) != own.as_ref()).map(String::as_str);
    let references = references(&sql, &query, faults);
    for reference in &references {
        let (message, label) = match reference.parts.as_slice() {
            [name] if names.contains(name) => continue,
            [name] => {
                let message = format!("table `{name}` is not in this project");
                let label = match nearest(name, others()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if others().next().is_none() => "it has no other tables".into(),
                    None => format!("one of {}", one_of(others())),
                };
                (message, label)
            }
            parts => {
                let bare = parts.last().map_or("", String::as_str);
                let message = format!("`{}` is a qualified name", parts.join("."));
                (message, format!("write the bare table name: `{bare}`"))
            }
        };
        faults.add(reference.place.clone(), message, label);
    }
    let query = (faults.len() == before).then_some(query);
    Parsed { sql, query, references }
}

fn report_cycle(
    cycle: &[TableName],
    parsed: &BTreeMap<TableName, Parsed>,
    specs: &BTreeMap<TableName, Spec>,
    quarantines: &BTreeMap<String, TableName>,
    faults: &mut Faults,
) {
    let [first, ..] = cycle else { return };
    let next = cycle.get(1).unwrap_or(first);
    let Some(parsed) = parsed.get(first) else { return };
    let place = parsed.references.iter().find(|r| host(r, specs, quarantines).as_ref() == Some(next));
    let place = place.map_or_else(|| parsed.sql.start(), |r| r.place.clone());
    let path: Vec<_> = cycle.iter().chain([first]).map(TableName::as_str).collect();
    faults.add(place, format!("tables read each other: `{}`", path.join(" -> ")), "one of them must not");
}
