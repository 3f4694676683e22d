//! Specs and queries -> the project's tables, one after the other: each is planned over the previous ones.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deltalake::arrow::datatypes::{Schema, SchemaRef};
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::logical_expr::{Expr, Filter, LogicalPlan};

use super::athena;
use super::checks::{self, Known};
use super::guess::{self, Guess};
use super::lineage;
use super::model::{
    Action, Column, ColumnType, Condition, Consent, Derived, Expectation, Landing, OnNewField, RESCUED, SOURCE_FILE,
    SOURCE_OFFSET, Table, TableKind,
};
use super::notes::Notes;
use super::project::{Parsed, quarantines};
use super::query::{self, Planned};
use super::spec::Spec;
use crate::name::TableName;
use crate::source::Text;
use crate::source::faults::{Faults, suggestion};
use crate::sql::planner::Tables;
use crate::sql::refuse::report::report;
use crate::sql::refuse::undetermined::Keys;

/// The project's tables processed so far, in order.
pub(super) struct Assembly {
    /// Tables without faults, in order.
    pub tables: Vec<Table>,
    /// Columns of the tables that can be read.
    known: Known,
    planner: Tables,
    /// The same columns by name, for lineage.
    lineage: HashMap<String, Vec<Column>>,
    /// Keys that the tool enforces.
    keys: Keys,
    /// Tables with faults.
    supposed: BTreeSet<TableName>,
    /// Those of them with some unknown column.
    vague: BTreeSet<TableName>,
    /// Those of them that may have further columns.
    open: BTreeSet<String>,
    order: Vec<TableName>,
    /// Whether some target is read by Athena.
    athena: bool,
    /// If so, tables that may have times finer than a millisecond.
    fine: BTreeSet<String>,
    /// Zones whose tables with personal data must have `[consent]`.
    require_consent: Vec<String>,
    /// Notes on differences in Athena.
    pub notes: Notes,
}

impl Assembly {
    /// The state before any table, for tables in this order.
    pub(super) fn new(order: Vec<TableName>, athena: bool, require_consent: Vec<String>) -> Self {
        Self {
            tables: Vec::new(),
            known: Known::new(),
            planner: Tables::new([]),
            lineage: HashMap::new(),
            keys: Keys::new(),
            supposed: BTreeSet::new(),
            vague: BTreeSet::new(),
            open: BTreeSet::new(),
            order,
            athena,
            fine: BTreeSet::new(),
            require_consent,
            notes: Notes::default(),
        }
    }

    /// Makes a table's columns known to the queries after it.
    fn learn(&mut self, name: &TableName, columns: &[Column]) {
        // Rows appended by other writers may lack an offset: no rule may assume it.
        let planned = columns.iter().map(|c| Column { nullable: c.nullable || c.name == SOURCE_OFFSET, ..c.clone() });
        self.planner.add(name.to_string(), schema(&planned.collect::<Vec<_>>()));
        self.lineage.insert(name.to_string(), columns.to_vec());
        self.known.insert(name.clone(), columns.to_vec());
    }

    /// Makes the known columns of a faulty table available to the queries after it, and checks the parts of its `.toml`
    /// that refer to them.
    fn suppose(&mut self, spec: &Spec, guess: &Guess, faults: &mut Faults) {
        self.suppose_as(&spec.name, guess);
        if quarantines(spec) {
            self.suppose_as(&spec.name.quarantine(), guess);
        }
        let key: Vec<String> = spec.primary_key.iter().map(|k| k.value.clone()).collect();
        self.keys.insert(spec.name.to_string(), vec![key]);
        if !guess.is_open {
            checks::keys(spec, &guess.named(), faults);
            checks::expectations(spec, &self.planner, true, faults);
        }
    }

    fn suppose_as(&mut self, name: &TableName, guess: &Guess) {
        self.planner.add(name.to_string(), guess.schema());
        self.supposed.insert(name.clone());
        if guess.is_vague() {
            self.vague.insert(name.clone());
        }
        if guess.is_open {
            self.open.insert(name.to_string());
        }
    }

    /// Adds a landing table.
    pub(super) fn landing(&mut self, spec: &Spec, faults: &mut Faults) {
        let Some(declared) = &spec.columns else {
            let key = vec![SOURCE_FILE.to_owned(), SOURCE_OFFSET.to_owned()];
            self.suppose(spec, &Guess::landing(spec), faults);
            self.keys.insert(spec.name.to_string(), vec![key]);
            return;
        };
        checks::landable(declared, faults);
        let mut columns: Vec<Column> = declared.iter().map(|d| d.column.clone()).collect();
        columns.extend(rescued(spec));
        let appended = [
            (SOURCE_FILE, ColumnType::String, "Path of the file under the landing root"),
            (SOURCE_OFFSET, ColumnType::Long, "Byte offset of the record in the decompressed file"),
        ];
        columns.extend(appended.map(|(name, column_type, description)| Column {
            nullable: false,
            description: description.into(),
            ..Column::new(name, column_type)
        }));
        self.learn(&spec.name, &columns);
        // Every record lands once.
        let key = vec![SOURCE_FILE.to_owned(), SOURCE_OFFSET.to_owned()];
        self.keys.insert(spec.name.to_string(), vec![key]);
        checks::keys(spec, &columns, faults);
        checks::requires_consent(spec, &columns, &self.require_consent, faults);
        let expectations = checks::expectations(spec, &self.planner, false, faults);
        let grants = spec.grants.as_ref().and_then(|g| checks::grants(g, &spec.name, &columns, &self.planner, faults));
        if self.athena && declared.iter().any(|d| d.reading.is_fine()) {
            self.fine.insert(spec.name.to_string());
        }
        let Some(source) = &spec.source else { return };
        let kind = TableKind::Landing(Box::new(Landing {
            path: source.path.clone(),
            exclude: source.exclude.clone(),
            format: source.format,
            min_age: source.min_age,
            on_overwrite: source.on_overwrite,
            max_quarantined: source.max_quarantined,
            on_new_field: source.on_new_field,
            readings: declared.iter().map(|d| d.reading.clone()).collect(),
            grants,
        }));
        self.tables.push(table(spec, columns, expectations, None, kind));
    }

    /// Adds a derived table and its quarantine, unless a table that it reads has faults.
    pub(super) fn derived(&mut self, spec: &Spec, parsed: &Parsed, records: &[&Spec], faults: &mut Faults) {
        let (Some(query), Some(file)) = (&parsed.query, &spec.sql) else {
            return self.without_plan(spec, parsed, &mut Faults::default(), faults);
        };
        let mut sources: Vec<TableName> = Vec::new();
        for reference in &parsed.references {
            let name = reference.parts.first().and_then(|n| TableName::parse(n).ok());
            let Some(name) = name.filter(|name| !sources.contains(name)) else { continue };
            // Its own fault is reported; its columns are unknown.
            if !self.known.contains_key(&name) && !self.supposed.contains(&name) {
                self.suppose_as(&name, &Guess::nothing());
            }
            sources.push(name);
        }
        if sources.iter().any(|source| self.vague.contains(source)) {
            let mut found = Faults::default();
            self.without_plan(spec, parsed, &mut found, faults);
            return faults.append(found);
        }
        sources.sort_by_key(|s| self.position(s));
        let Some(planned) = query::plan(&parsed.sql, query, &self.planner, &self.keys, faults) else {
            return self.without_plan(spec, parsed, &mut Faults::default(), faults);
        };
        if self.athena {
            let has_microseconds = athena::has_microseconds(&planned.plan, &self.fine);
            if has_microseconds {
                self.fine.insert(spec.name.to_string());
                self.fine.insert(spec.name.quarantine().to_string());
            }
            athena::query(file, (&parsed.sql, query), &self.planner, has_microseconds, &mut self.notes);
        }
        let Some(columns) = columns(spec, &planned, &self.lineage, faults) else {
            let known = planned.columns.iter().map(|(name, column_type, _)| (name.clone(), Some(column_type.clone())));
            return self.suppose(spec, &Guess { columns: known.collect(), is_open: false }, faults);
        };
        self.learn(&spec.name, &columns);
        // Every commit enforces it.
        let key: Vec<String> = spec.primary_key.iter().map(|k| k.value.clone()).collect();
        self.keys.insert(spec.name.to_string(), vec![key]);
        checks::keys(spec, &columns, faults);
        let expectations = checks::expectations(spec, &self.planner, false, faults);
        let consent = checks::consent(spec, records, (&self.known, &self.planner), faults);
        checks::requires_consent(spec, &columns, &self.require_consent, faults);
        let canonical_sql = query.to_string();
        let derived = Derived {
            sql: file.text.clone(),
            canonical_sql: canonical_sql.clone(),
            sql_file: file.clone(),
            sources,
            refresh: spec.refresh,
            refresh_place: spec.refresh_place.clone(),
            plan: planned.plan,
            quarantine_of: None,
        };
        if !quarantines(spec) {
            let kind = TableKind::Derived(Box::new(derived));
            return self.tables.push(table(spec, columns, expectations, consent, kind));
        }
        let quarantine = spec.name.quarantine();
        self.learn(&quarantine, &unconstrained(&columns));
        let quarantining = || expectations.iter().filter(|e| e.action == Action::Quarantine).map(|e| &e.check);
        let (kept, rest) = match split(&derived.plan, quarantining()) {
            Ok(Some(plans)) => plans,
            Ok(None) => return, // Their faults are reported.
            Err(error) => return report(&error, &parsed.sql, faults),
        };
        let checks = quarantining().map(|check| format!("({})", check.text)).collect::<Vec<_>>().join(" and ");
        let canonical_rest = format!("select * from ({canonical_sql}) as {} where ({checks}) is not true", spec.name);
        let quarantine_of = Some(spec.name.clone());
        let other = Derived {
            sql: derived.sql.clone(),
            canonical_sql: canonical_rest,
            sql_file: derived.sql_file.clone(),
            sources: derived.sources.clone(),
            refresh: derived.refresh,
            refresh_place: derived.refresh_place.clone(),
            plan: rest,
            quarantine_of,
        };
        let derived = Derived { plan: kept, ..derived };
        let other = Table {
            name: quarantine,
            zone: spec.zone.clone(),
            description: format!("Rows of {} that do not meet its quarantining expectations", spec.name),
            tags: spec.tags.clone(),
            properties: spec.properties.clone(),
            columns: unconstrained(&columns),
            primary_key: Vec::new(),
            cluster_by: Vec::new(),
            auto_optimize: spec.auto_optimize,
            expectations: Vec::new(),
            consent: consent.clone(),
            location: spec.location.as_ref().map(|l| format!("{}_quarantine", l.value.trim_end_matches('/'))),
            history: spec.history,
            kind: TableKind::Derived(Box::new(other)),
            file: spec.file.clone(),
        };
        let kind = TableKind::Derived(Box::new(derived));
        self.tables.push(table(spec, columns, expectations, consent, kind));
        self.tables.push(other);
    }

    /// A derived table without a plan, because of its own faults or those of a table that it reads: faults in its query
    /// are added to `found`.
    fn without_plan(&mut self, spec: &Spec, parsed: &Parsed, found: &mut Faults, faults: &mut Faults) {
        let query = (&parsed.sql, parsed.query.as_deref());
        let guess = guess::below(spec, query, &self.planner, &self.open, &self.keys, found);
        self.suppose(spec, &guess, faults);
    }

    /// Rank of a table in the project; a quarantine follows its table.
    fn position(&self, name: &TableName) -> (usize, bool) {
        let rank = |name: &str| self.order.iter().position(|n| n.as_str() == name);
        match rank(name.as_str()) {
            Some(at) => (at, false),
            None => (name.as_str().strip_suffix("_quarantine").and_then(rank).unwrap_or(usize::MAX), true),
        }
    }
}

/// The rows of a plan for which all conditions are true, and the others; `None` without conditions.
fn split<'c>(
    plan: &LogicalPlan,
    conditions: impl Iterator<Item = &'c Condition>,
) -> Result<Option<(LogicalPlan, LogicalPlan)>, DataFusionError> {
    let all = conditions.map(|condition| condition.over(plan)).collect::<Result<Vec<_>, _>>()?;
    let Some(all) = all.into_iter().reduce(Expr::and) else { return Ok(None) };
    let filtered = |condition: Expr| Filter::try_new(condition, Arc::new(plan.clone())).map(LogicalPlan::Filter);
    Ok(Some((filtered(all.clone())?, filtered(all.is_not_true())?)))
}

fn schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}

/// The column of undeclared fields, if a landing table keeps them.
fn rescued(spec: &Spec) -> Option<Column> {
    spec.source.as_ref().filter(|source| source.on_new_field == OnNewField::Rescue)?;
    let said = spec.rescued.as_ref();
    let description = said.and_then(|said| said.description.clone());
    Some(Column {
        description: description.unwrap_or_else(|| "Fields of the record that are not declared, as JSON".into()),
        pii: said.is_none_or(|said| said.pii),
        ..Column::new(RESCUED, ColumnType::String)
    })
}

/// Columns of a quarantine: no constraint may exclude its rows.
fn unconstrained(columns: &[Column]) -> Vec<Column> {
    columns.iter().map(|c| Column { nullable: true, ..c.clone() }).collect()
}

fn table(
    spec: &Spec,
    columns: Vec<Column>,
    expectations: Vec<Expectation>,
    consent: Option<Consent>,
    kind: TableKind,
) -> Table {
    let names = |texts: &[Text]| texts.iter().map(|t| t.value.clone()).collect();
    Table {
        name: spec.name.clone(),
        zone: spec.zone.clone(),
        description: spec.description.clone(),
        tags: spec.tags.clone(),
        properties: spec.properties.clone(),
        columns,
        primary_key: names(&spec.primary_key),
        cluster_by: names(&spec.cluster_by),
        auto_optimize: spec.auto_optimize,
        expectations,
        consent,
        location: spec.location.as_ref().map(|l| l.value.clone()),
        history: spec.history,
        kind,
        file: spec.file.clone(),
    }
}

/// The columns of a derived table: names and types of its query, assertions and descriptions of `[columns]`, and the
/// properties that plain columns inherit from their sources.
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
            let label = suggestion(&d.column.name, names());
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
        if let Some(place) = declared.and_then(|d| d.says_none.clone()).filter(|_| origin.pii) {
            let message = format!("column `{name}` is computed from personal data");
            faults.add(place, message, "it stays `pii`: remove `classification`");
        }
        Column {
            name: name.clone(),
            column_type: column_type.clone(),
            nullable: !(is_key || is_required),
            description: description.unwrap_or(origin.description),
            pii: declared.is_some_and(|d| d.column.pii) || origin.pii,
            public: if declared.is_some_and(|d| d.column.pii) { Vec::new() } else { origin.public },
        }
    });
    let columns: Vec<Column> = columns.collect();
    (faults.len() == before).then_some(columns)
}
