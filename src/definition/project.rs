//! Files -> checked project: the order in which things are looked at, and who is spared when something before failed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use deltalake::datafusion::sql::sqlparser::ast::Query;

use super::PROJECT_FILE;
use super::checks::{self, Known};
use super::faults::Faults;
use super::layout;
use super::lineage;
use super::model::{
    Action, Column, ColumnType, Derived, Landing, Project, SOURCE_FILE, SOURCE_OFFSET, Table, TableKind,
};
use super::order::order;
use super::planner::{Tables, plan_sql};
use super::query::{self, Planned};
use super::settings;
use super::spec::{Spec, spec};
use super::sql::{Reference, Sql};
use crate::name::{TableName, nearest};
use crate::source::{Fault, SourceFile};

/// A derived table's query as far as it can be understood alone.
struct Parsed {
    sql: Sql,
    query: Option<Box<Query>>,
    references: Vec<Reference>,
}

/// Checks all files of a project.
pub(super) fn check(root: &Path, files: &[Arc<SourceFile>]) -> Result<Project, Vec<Fault>> {
    let mut faults = Faults::default();
    let Some(project_file) = files.iter().find(|f| f.path == Path::new(PROJECT_FILE)) else {
        let message = format!("{PROJECT_FILE} is not there");
        let help = Some("stedi-delta init".to_owned());
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
    let mut assembly = Assembly {
        tables: Vec::new(),
        known: Known::new(),
        planner: Tables::new([]),
        lineage: HashMap::new(),
        order: order.tables.clone(),
    };
    for name in &order.tables {
        let Some(spec) = specs.get(name) else { continue };
        match parsed.get(name) {
            None => assembly.landing(spec, &mut faults),
            Some(parsed) => assembly.derived(spec, parsed, &records, &mut faults),
        }
    }

    let faults = faults.into_sorted();
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Project {
        name: settings.name,
        root: root.to_path_buf(),
        zones,
        targets: settings.targets,
        default_target: settings.default_target,
        memory_limit: settings.memory_limit,
        target_file_size: settings.target_file_size,
        tables: assembly.tables,
        migrations,
    })
}

fn quarantines(spec: &Spec) -> bool {
    spec.sql.is_some() && spec.expectations.iter().any(|e| e.action == Action::Quarantine)
}

/// The declared table that a reference leads to: itself, or the one whose quarantine it is.
fn host(
    reference: &Reference,
    specs: &BTreeMap<TableName, Spec>,
    quarantines: &BTreeMap<String, TableName>,
) -> Option<TableName> {
    let [name] = reference.parts.as_slice() else { return None };
    quarantines.get(name).cloned().or_else(|| TableName::parse(name).ok().filter(|n| specs.contains_key(n)))
}

/// Parses a query and reports every table that it names wrongly.
fn parse(file: &Arc<SourceFile>, names: &BTreeSet<String>, faults: &mut Faults) -> Parsed {
    let mut sql = Sql::file(file);
    let before = faults.len();
    let Some(query) = sql.query(faults) else { return Parsed { sql, query: None, references: Vec::new() } };
    sql.unsupported(faults);
    let references = sql.references(&query, faults);
    for reference in &references {
        let (message, label) = match reference.parts.as_slice() {
            [name] if names.contains(name) => continue,
            [name] => {
                let message = format!("table `{name}` is not in this project");
                let label = match nearest(name, names.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if names.is_empty() => "the project has no tables".into(),
                    None => format!("one of {}", super::faults::one_of(names.iter().map(String::as_str))),
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

/// The project's tables as they come to be known, in order.
struct Assembly {
    tables: Vec<Table>,
    /// Columns of the tables that can be read.
    known: Known,
    planner: Tables,
    /// The same columns by name, for lineage.
    lineage: HashMap<String, Vec<Column>>,
    order: Vec<TableName>,
}

impl Assembly {
    /// Makes a table's columns known to the queries after it.
    fn learn(&mut self, name: &TableName, columns: &[Column]) {
        let fields: Vec<_> = columns.iter().map(Column::field).collect();
        self.planner.add(name.to_string(), Arc::new(deltalake::arrow::datatypes::Schema::new(fields)));
        self.lineage.insert(name.to_string(), columns.to_vec());
        self.known.insert(name.clone(), columns.to_vec());
    }

    fn landing(&mut self, spec: &Spec, faults: &mut Faults) {
        let Some(declared) = &spec.columns else { return };
        let mut columns: Vec<Column> = declared.iter().map(|d| d.column.clone()).collect();
        let appended = [
            (SOURCE_FILE, ColumnType::String, "Path of the file under the landing root"),
            (SOURCE_OFFSET, ColumnType::Long, "Byte offset of the record in the decompressed file"),
        ];
        columns.extend(appended.map(|(name, column_type, description)| Column {
            name: name.into(),
            column_type,
            nullable: false,
            description: description.into(),
            pii: false,
        }));
        self.learn(&spec.name, &columns);
        checks::keys(spec, &columns, faults);
        let (expectations, _) = checks::expectations(spec, &self.planner, faults);
        let grants = spec.grants.as_ref().and_then(|g| checks::grants(g, &spec.name, &columns, &self.planner, faults));
        let Some(source) = &spec.source else { return };
        let kind = TableKind::Landing(Landing {
            path: source.path.clone(),
            min_age: source.min_age,
            on_overwrite: source.on_overwrite,
            grants,
        });
        self.tables.push(table(spec, columns, expectations, None, kind));
    }

    fn derived(&mut self, spec: &Spec, parsed: &Parsed, records: &[&Spec], faults: &mut Faults) {
        let (Some(query), Some(file)) = (&parsed.query, &spec.sql) else { return };
        let mut sources: Vec<TableName> = Vec::new();
        for reference in &parsed.references {
            let name = reference.parts.first().and_then(|n| TableName::parse(n).ok());
            match name.filter(|n| self.known.contains_key(n)) {
                Some(name) if !sources.contains(&name) => sources.push(name),
                Some(_) => {}
                // Its own fault is reported; what follows from it is noise.
                None => return,
            }
        }
        sources.sort_by_key(|s| self.position(s));
        let Some(planned) = query::plan(&parsed.sql, query, &self.planner, faults) else { return };
        let Some(columns) = columns(spec, &planned, &self.lineage, faults) else { return };
        self.learn(&spec.name, &columns);
        checks::keys(spec, &columns, faults);
        let (expectations, quarantining) = checks::expectations(spec, &self.planner, faults);
        let consent = checks::consent(spec, records, &self.known, faults);
        let canonical_sql = query.to_string();
        let schemas: Vec<_> = sources.iter().filter_map(|s| Some((s.to_string(), self.schema(s)?))).collect();
        let derived = Derived {
            sql: file.text.clone(),
            canonical_sql: canonical_sql.clone(),
            sql_file: file.clone(),
            sources,
            refresh: spec.refresh,
            effective_sql: canonical_sql.clone(),
            plan: planned.plan,
            quarantine_of: None,
        };
        if !quarantines(spec) {
            let kind = TableKind::Derived(Box::new(derived));
            return self.tables.push(table(spec, columns, expectations, consent, kind));
        }
        let quarantine = spec.name.quarantine();
        self.learn(&quarantine, &unconstrained(&columns));
        let all = quarantining.iter().map(|c| format!("({c})")).collect::<Vec<_>>().join(" and ");
        let from = format!("select * from ({canonical_sql}) as {}", spec.name);
        let kept = format!("{from} where {all}");
        let rest = format!("{from} where not coalesce({all}, false)");
        let types: Vec<_> = planned.columns.iter().map(|(name, t, _)| (name.as_str(), *t)).collect();
        let replan = |sql: &str| plan_sql(sql, &schemas).and_then(|plan| query::store(plan, &types));
        if quarantining.is_empty() {
            return; // Their faults are reported.
        }
        let (kept_plan, rest_plan) = match (replan(&kept), replan(&rest)) {
            (Ok(kept), Ok(rest)) => (kept, rest),
            (Err(error), _) | (_, Err(error)) => return query::report(&error, &parsed.sql, faults),
        };
        let quarantine_of = Some(spec.name.clone());
        let other = Derived {
            sql: rest.clone(),
            canonical_sql: rest.clone(),
            sql_file: derived.sql_file.clone(),
            sources: derived.sources.clone(),
            refresh: derived.refresh,
            effective_sql: rest,
            plan: rest_plan,
            quarantine_of,
        };
        let derived = Derived { effective_sql: kept, plan: kept_plan, ..derived };
        let other = Table {
            name: quarantine,
            zone: spec.zone.clone(),
            description: format!("Rows of {} that do not meet its quarantining expectations", spec.name),
            tags: spec.tags.clone(),
            columns: unconstrained(&columns),
            primary_key: Vec::new(),
            cluster_by: Vec::new(),
            expectations: Vec::new(),
            consent: consent.clone(),
            location: spec.location.as_ref().map(|l| format!("{}_quarantine", l.trim_end_matches('/'))),
            kind: TableKind::Derived(Box::new(other)),
            file: spec.file.clone(),
        };
        let kind = TableKind::Derived(Box::new(derived));
        self.tables.push(table(spec, columns, expectations, consent, kind));
        self.tables.push(other);
    }

    fn schema(&self, name: &TableName) -> Option<deltalake::arrow::datatypes::SchemaRef> {
        let fields: Vec<_> = self.known.get(name)?.iter().map(Column::field).collect();
        Some(Arc::new(deltalake::arrow::datatypes::Schema::new(fields)))
    }

    /// Rank of a table in the project; a quarantine ranks right after its host.
    fn position(&self, name: &TableName) -> (usize, bool) {
        let rank = |name: &str| self.order.iter().position(|n| n.as_str() == name);
        match rank(name.as_str()) {
            Some(at) => (at, false),
            None => (name.as_str().strip_suffix("_quarantine").and_then(rank).unwrap_or(usize::MAX), true),
        }
    }
}

/// Columns of a quarantine: what its rows break must not keep them out.
fn unconstrained(columns: &[Column]) -> Vec<Column> {
    columns.iter().map(|c| Column { nullable: true, ..c.clone() }).collect()
}

fn table(
    spec: &Spec,
    columns: Vec<Column>,
    expectations: Vec<super::model::Expectation>,
    consent: Option<super::model::Consent>,
    kind: TableKind,
) -> Table {
    let names = |texts: &[super::document::Text]| texts.iter().map(|t| t.value.clone()).collect();
    Table {
        name: spec.name.clone(),
        zone: spec.zone.clone(),
        description: spec.description.clone(),
        tags: spec.tags.clone(),
        columns,
        primary_key: names(&spec.primary_key),
        cluster_by: names(&spec.cluster_by),
        expectations,
        consent,
        location: spec.location.clone(),
        kind,
        file: spec.file.clone(),
    }
}

/// The columns of a derived table: names and types of its query, what `[columns]` asserts and documents, and what
/// plain columns have from their sources.
fn columns(
    spec: &Spec,
    planned: &Planned,
    sources: &HashMap<String, Vec<Column>>,
    faults: &mut Faults,
) -> Option<Vec<Column>> {
    let declared = spec.columns.as_ref()?;
    let before = faults.len();
    let names = || planned.columns.iter().map(|(name, ..)| name.as_str());
    for d in declared {
        let Some((name, found, _)) = planned.columns.iter().find(|(name, ..)| *name == d.column.name) else {
            let label = match nearest(&d.column.name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of {}", super::faults::one_of(names())),
            };
            faults.add(d.place.clone(), format!("the query has no column `{}`", d.column.name), label);
            continue;
        };
        if *found != d.column.column_type {
            let message = format!("column `{name}` is declared {}", d.column.column_type.delta_name());
            let label = format!("the query gives {}: `[columns]` documents, it does not cast", found.delta_name());
            faults.add(d.type_place.clone(), message, label);
        }
    }
    let columns = planned.columns.iter().enumerate().map(|(index, (name, column_type, _))| {
        let declared = declared.iter().find(|d| d.column.name == *name);
        let origin = lineage::origin(&planned.plan, index, sources);
        let description = declared.map(|d| d.column.description.clone()).filter(|d| !d.is_empty());
        let is_key = spec.primary_key.iter().any(|k| k.value == *name);
        let is_required = declared.is_some_and(|d| d.says_nullable && !d.column.nullable);
        Column {
            name: name.clone(),
            column_type: *column_type,
            nullable: !(is_key || is_required),
            description: description.unwrap_or(origin.description),
            pii: declared.is_some_and(|d| d.column.pii) || origin.pii,
        }
    });
    let columns = columns.collect();
    (faults.len() == before).then_some(columns)
}
