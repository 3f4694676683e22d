//! What a sync would do with every table, and why; from listings and logs. Writes nothing.

mod columns;
mod computed;

use std::collections::{BTreeMap, BTreeSet};

use super::saved;
use crate::definition::{Column, Derived, Landing, Policy, Table, TableKind};
use crate::error::Result;
use crate::incremental;
use crate::ingest::{self, Asked, Files, Ledger, Patience, Reload};
use crate::lake::{Annotation, Annotations, LakeTable, annotation_reason};
use crate::migrate::Pending;
use crate::name::TableName;
use crate::outcome::{
    Action, CatalogPlan, Estimate, Explanation, Mode, ModeTime, PlanOutcome, Rewrite, SavedTable, SchemaChange,
    TablePlan, Warning, counted, sized,
};
use crate::plan::cost::{Cost, Shape};
use crate::plan::{self, Decision};
use crate::refresh::{self, Foreseen, Job, Moved};
use crate::register::{self, Expected};
use crate::sync;
use crate::workspace::Workspace;

/// The options of a plan.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Selectors; empty = all tables.
    pub select: Vec<String>,
    /// With the delta rules of each query.
    pub explain: bool,
    /// With the changes of derived tables, computed over the rows that have landed.
    pub rows: bool,
}

/// What a sync of the selected tables would do.
///
/// # Errors
/// `Usage` for a selector that selects nothing; if the ledger cannot be read. An unreadable table is reported.
pub async fn plan(workspace: &Workspace, select: &[String]) -> Result<PlanOutcome> {
    plan_with(workspace, &PlanOptions { select: select.to_vec(), ..PlanOptions::default() }).await
}

/// The same with the delta rules.
///
/// # Errors
/// As for [`plan`].
pub async fn explain(workspace: &Workspace, select: &[String]) -> Result<PlanOutcome> {
    plan_with(workspace, &PlanOptions { select: select.to_vec(), explain: true, ..PlanOptions::default() }).await
}

/// The same with options.
///
/// # Errors
/// As for [`plan`].
pub async fn plan_with(workspace: &Workspace, options: &PlanOptions) -> Result<PlanOutcome> {
    let mut outcome = planned(workspace, options, Files::All, Entries::Compared).await?;
    if options.rows {
        // On the heap: it is a whole sync.
        Box::pin(computed::compute(workspace, options, &mut outcome)).await;
    }
    Ok(outcome)
}

/// Whether a plan has the entries of the catalog.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entries {
    /// They are compared with what they would be after a sync.
    Compared,
    /// The catalog is not asked.
    Unread,
}

/// The plan over some of the landing files.
pub(super) async fn planned(
    workspace: &Workspace,
    options: &PlanOptions,
    files: Files<'_>,
    catalog: Entries,
) -> Result<PlanOutcome> {
    let selection =
        sync::checked(workspace, &sync::Options { select: options.select.clone(), ..sync::Options::default() })?;
    let pending = Pending::find(workspace).await?;
    pending.check()?;
    let workspace = &pending.workspace.clone();
    let session = workspace.session()?;
    let ledger = Ledger::read(&workspace.warehouse, &session, &workspace.places).await?;
    let (standing, touched, found) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let explain = options.explain;
    let requests = pending.requests();
    let (reload, rescue) = (requests.reloads(), requests.rescued());
    let mut planner =
        Planner { workspace, ledger, session, files, reload, rescue, explain, pending, standing, touched, found };
    for table in workspace.project.tables.iter().filter(|t| selection.tables.contains(&t.name)) {
        planner.table(table).await?;
    }
    let catalog = match catalog {
        Entries::Compared => planner.catalog().await,
        Entries::Unread => CatalogPlan::default(),
    };
    let Planner { pending, found, .. } = planner;
    let (mut tables, mut saved_tables) = (Vec::new(), Vec::new());
    for Found { plan, saved, .. } in found {
        tables.push(plan);
        saved_tables.push(saved);
    }
    // The quarantine of a derived table has the fate of that table.
    let is_quarantine = |name: &TableName| {
        workspace.project.table(name).and_then(Table::derived).is_some_and(|d| d.quarantine_of.is_some())
    };
    tables.retain(|t| t.problem.is_some() || !is_quarantine(&t.table));
    tables.sort_by_key(|t| workspace.project.zones.iter().position(|z| z == &t.zone));
    Ok(PlanOutcome {
        project: workspace.project.name.clone(),
        target: workspace.target.clone(),
        landing: workspace.landing_text.clone(),
        warehouse: workspace.warehouse_text.clone(),
        tables,
        migrations: pending.outcomes(),
        catalog,
        saved: saved::saved(workspace, &options.select, &pending, saved_tables),
        problem: None,
    })
}

struct Planner<'a> {
    workspace: &'a Workspace,
    ledger: Ledger,
    session: deltalake::datafusion::prelude::SessionContext,
    files: Files<'a>,
    /// Landing tables of which pending statements have all files read again.
    reload: Vec<Reload>,
    /// Those of which they have the files with undeclared fields read again.
    rescue: Vec<TableName>,
    explain: bool,
    pending: Pending,
    standing: BTreeMap<TableName, LakeTable>,
    /// Columns that pending migrations change.
    touched: BTreeMap<TableName, BTreeSet<String>>,
    found: Vec<Found>,
}

/// A table in the plan.
struct Found {
    plan: TablePlan,
    saved: SavedTable,
    /// Its columns after the sync, if it gets others.
    columns: Option<Vec<Column>>,
}

impl Planner<'_> {
    async fn table(&mut self, table: &Table) -> Result<()> {
        let mut found = blank(self.workspace, table)?;
        let planned = async {
            if let Some(stands) = LakeTable::open(&self.workspace.location(table)?).await? {
                found.plan.version = Some(stands.version());
                (found.saved.id, found.saved.version) = (Some(stands.uuid()), Some(stands.version()));
                let twin = self.standing.iter().find(|(_, other)| other.uuid() == stands.uuid());
                if let Some(twin) = twin {
                    return Err(sync::one_id(&stands.uuid(), (&table.name, &stands), twin));
                }
                self.standing.insert(table.name.clone(), stands);
            }
            match &table.kind {
                TableKind::Landing(landing) => self.landing(table, landing, &mut found).await,
                TableKind::Derived(derived) => self.derived(table, derived, &mut found).await,
            }
        };
        if let Err(error) = planned.await {
            found.plan.action = Action::Stop;
            found.plan.problem = Some(error);
        }
        found.saved.action = found.plan.action.name().to_owned();
        self.found.push(found);
        Ok(())
    }

    async fn landing(&mut self, table: &Table, landing: &Landing, found: &mut Found) -> Result<()> {
        let Found { plan, saved, columns } = found;
        let place = self.workspace.place(table, "")?;
        let read = (&self.ledger, &self.session);
        let current = ingest::state_of(&place, read).await?;
        saved.batch = Some(current.ledger.newest);
        current.check(&place)?;
        let migrations = self.pending.of_table(&table.name);
        // They lead to what the definition says, or else there would be no plan.
        let rewrites = self.pending.rewrites(&table.name);
        let diff = match rewrites == 0 {
            true => ingest::check_schema(&place, current.table.as_ref())?,
            false => ingest::SchemaDiff::default(),
        };
        // As a sync does, wait for files written a moment ago.
        let asked = Asked { files: self.files, reload: &self.reload, rescue: &self.rescue, ..Asked::default() };
        let pending = ingest::pending(&place, landing, &current, read, asked, Patience::Waits).await?;
        saved.files = pending.files();
        let mut reasons = migrations.clone();
        reasons.extend(current.open().map(|number| format!("batch {number} of an earlier run is to be finished")));
        let (new, replaced) = pending.counts();
        for (count, what) in [(new, "new file"), (replaced, "replaced file")] {
            if count > 0 {
                reasons.push(counted(count as u64, what));
            }
        }
        if new + replaced > 0 {
            plan.estimate = Some(Estimate { rows: None, bytes: Some(pending.bytes()), at_most: false });
            plan.warnings.extend(diff.warning(table.name.as_str()));
        }
        if let Some(stands) = &current.table {
            let after = columns::landing(table, stands, &self.pending)?;
            plan.schema = after.changes;
            plan.schema.extend(diff.annotations.contains(&Annotation::Description).then(SchemaChange::description));
            *columns = after.columns;
            if rewrites > 0 {
                // Every statement reads and writes the whole table.
                let bytes = stands.size().1.saturating_mul(rewrites);
                plan.rewrite = Some(Rewrite { statements: rewrites, bytes });
                let landing = plan.estimate.and_then(|estimate| estimate.bytes).unwrap_or(0);
                let bytes = Some(bytes.saturating_add(landing));
                plan.estimate = Some(Estimate { rows: None, bytes, at_most: false });
            }
            if !after.touched.is_empty() {
                self.touched.insert(table.name.clone(), after.touched);
            }
        }
        reasons.extend(diff.reason());
        if unchecked(table, current.table.as_ref()) {
            reasons.push(plan::EXPECTATIONS_CHANGED.into());
        }
        if plan.version.is_none() && reasons.is_empty() {
            reasons.push("to be created".into());
        }
        if !reasons.is_empty() {
            plan.action = Action::Do(Mode::Ingest);
        }
        plan.reason = reasons.join(", ");
        plan.waiting.clone_from(&pending.waiting);
        plan.left_out = pending.left_out;
        plan.warnings.extend(pending.warnings);
        plan.warnings.extend(self.pending.unread(&table.name).iter().map(columns::unread));
        Ok(())
    }

    async fn derived(&self, table: &Table, derived: &Derived, found: &mut Found) -> Result<()> {
        let Found { plan, columns, .. } = found;
        let sources = self.workspace.sources(table);
        let stops =
            |name: &&TableName| self.above(name).is_some_and(|t| matches!(t.action, Action::Stop | Action::Skip));
        if let Some(source) = sources.iter().find(stops) {
            plan.action = Action::Skip;
            plan.reason = format!("{source} stops");
            return Ok(());
        }
        let moves = |name: &&TableName| self.above(name).is_some_and(|t| t.action != Action::Do(Mode::None));
        plan.after = sources.iter().filter(moves).cloned().collect();
        let is_landing = |name: &TableName| self.workspace.project.table(name).is_some_and(|t| t.landing().is_some());
        plan.after_ingest = !plan.after.is_empty() && plan.after.iter().all(is_landing);
        let standing = sources.iter().filter_map(|s| Some((s.clone(), self.standing.get(s)?.clone()))).collect();
        let job = self.workspace.job(table, standing, "")?;
        let stands = self.standing.get(&table.name);
        let foreseen = refresh::foresee(&job, stands, &self.touched).await?;
        let program = incremental::differentiate(&derived.plan);
        let decision = &foreseen.decision;
        (plan.action, plan.reason) = (decision.action(), decision.reason().to_owned());
        if matches!(decision, Decision::UpToDate | Decision::Check) && !plan.after.is_empty() {
            (plan.action, plan.reason) = match (&program, derived.refresh) {
                (_, Policy::Full) => (Action::Do(Mode::Full), "refresh = \"full\"".into()),
                (Err(why), _) => (Action::Do(Mode::Full), why.to_string()),
                (Ok(_), _) => (Action::Do(Mode::Incremental), plan.reason.clone()),
            };
        }
        let annotated = self.standing.get(&table.name).and_then(|stands| annotated(table, stands));
        if let (Some(reason), Action::Do(_)) = (annotated, plan.action) {
            if plan.action == Action::Do(Mode::None) {
                plan.action = Action::Do(Mode::Metadata);
            }
            let reasons = [std::mem::take(&mut plan.reason), reason];
            plan.reason = reasons.into_iter().filter(|reason| !reason.is_empty()).collect::<Vec<_>>().join(", ");
        }
        if let Decision::Repair(reason) = decision {
            plan.warnings.push(Warning {
                message: format!("{} has drifted and will be rebuilt: {reason}", table.name),
                details: Vec::new(),
                help: Some(format!("see its versions: stedi-delta history {}", table.name)),
            });
        }
        let asked = self.pending.of_table(&table.name);
        if !asked.is_empty() {
            (plan.action, plan.reason) = (Action::Do(Mode::Full), asked.join(", "));
        }
        if let (Some(stands), Action::Do(_)) = (stands, plan.action) {
            plan.schema = columns::derived(table, stands);
            *columns = (!plan.schema.is_empty()).then(|| table.columns.clone());
        }
        plan.estimate = self.estimate(&job, plan, &foreseen);
        if self.explain {
            let costs = foreseen.costs.map(|c| (c.incremental.bytes, c.full.bytes));
            let times = foreseen.costs.map(|c| (mode_time(c.incremental), mode_time(c.full)));
            let scan = |name: &str| scanned(&job, &foreseen.moved, &plan.after, name);
            plan.explanation = Some(match &program {
                Ok(program) => Explanation { operators: program.explain(&scan), reasons: Vec::new(), costs, times },
                Err(why) => {
                    let reasons = why.reasons.iter().map(ToString::to_string).collect();
                    Explanation { operators: Vec::new(), reasons, costs, times }
                }
            });
        }
        if let Decision::Stop(error) = foreseen.decision {
            plan.problem = Some(error);
        }
        Ok(())
    }

    fn above(&self, name: &TableName) -> Option<&TablePlan> {
        self.found.iter().map(|found| &found.plan).find(|plan| &plan.table == name)
    }

    /// What the sync would do in the catalog.
    async fn catalog(&self) -> CatalogPlan {
        let mut expected = Vec::new();
        for found in &self.found {
            let stands = self.standing.get(&found.plan.table);
            let Some(table) = self.workspace.project.table(&found.plan.table) else { continue };
            let goes_on = matches!(found.plan.action, Action::Do(_));
            let columns = found.columns.clone().filter(|_| goes_on);
            if goes_on || stands.is_some() {
                expected.push(Expected { table, stands, columns });
            }
        }
        register::foresee(self.workspace, &expected).await
    }

    /// The amount of changes to process: from logs, and from predictions for the tables above.
    fn estimate(&self, job: &Job<'_>, plan: &TablePlan, foreseen: &Foreseen) -> Option<Estimate> {
        let nothing = Estimate { rows: Some(0), bytes: Some(0), at_most: false };
        let logged = match plan.action {
            Action::Do(Mode::Full) => job.sources.values().fold(nothing, |sum, table| {
                let (_, bytes) = table.size();
                plus(sum, Estimate { rows: table.rows(), bytes: Some(bytes), at_most: false })
            }),
            Action::Do(Mode::Incremental) => foreseen.moved.iter().fold(nothing, |sum, moved| {
                plus(sum, Estimate { rows: moved.change.rows, bytes: Some(moved.change.bytes), at_most: false })
            }),
            _ => return None,
        };
        Some(plan.after.iter().fold(logged, |sum, name| plus(sum, self.passed_on(name))))
    }

    /// The predicted change of a table.
    fn passed_on(&self, name: &TableName) -> Estimate {
        let unknown = Estimate { rows: None, bytes: None, at_most: true };
        let Some(above) = self.above(name) else { return unknown };
        let taken = above.estimate.unwrap_or_default();
        let Some(derived) = self.workspace.project.table(name).and_then(Table::derived) else { return taken };
        let Ok(program) = incremental::differentiate(&derived.plan) else { return unknown };
        let diff = Shape::of(program.plan());
        if above.action != Action::Do(Mode::Incremental) || diff.fans_out {
            return unknown;
        }
        // A changed group is deleted and inserted.
        let times = if diff.groups { 2 } else { 1 };
        let many = |n: Option<u64>| n.map(|n| n.saturating_mul(times));
        Estimate { rows: many(taken.rows), bytes: many(taken.bytes), at_most: true }
    }
}

fn mode_time(cost: Cost) -> ModeTime {
    let (refreshes, mean_ms) = cost.history;
    ModeTime { estimated_ms: cost.expected, expected_ms: cost.corrected, refreshes, mean_ms }
}

/// What a commit makes the log say of a table.
fn annotated(table: &Table, stands: &LakeTable) -> Option<String> {
    annotation_reason(&stands.annotated_otherwise(&Annotations::of(table)))
}

fn plus(a: Estimate, b: Estimate) -> Estimate {
    let sum = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.saturating_add(b));
    Estimate { rows: sum(a.rows, b.rows), bytes: sum(a.bytes, b.bytes), at_most: a.at_most || b.at_most }
}

/// Whether the rows of a landing table have yet to be checked by its expectations.
pub(super) fn unchecked(table: &Table, stands: Option<&LakeTable>) -> bool {
    stands.is_some_and(|stands| plan::is_unchecked(table, stands.state().expectations()))
}

/// The change of a source, as text.
fn scanned(job: &Job<'_>, moved: &[Moved], after: &[TableName], name: &str) -> String {
    let mut parts = Vec::new();
    if let Some(moved) = moved.iter().find(|m| m.name.as_str() == name) {
        let rows = moved.change.rows.map_or_else(String::new, |rows| format!(", {}", counted(rows, "row")));
        parts.push(format!("{} v{} -> v{}{rows}, {}", moved.by, moved.from, moved.to, sized(moved.change.bytes)));
    }
    if after.iter().any(|a| a.as_str() == name) {
        parts.push("changes first".to_owned());
    }
    if parts.is_empty() {
        let version = job.sources.iter().find(|(source, _)| source.as_str() == name).map(|(_, table)| table.version());
        parts.push(version.map_or_else(|| "not created".to_owned(), |v| format!("v{v}")));
    }
    parts.join("; ")
}

fn blank(workspace: &Workspace, table: &Table) -> Result<Found> {
    let location = workspace.location(table)?.to_string();
    let plan = TablePlan {
        table: table.name.clone(),
        zone: table.zone.clone(),
        location: location.clone(),
        version: None,
        action: Action::Do(Mode::None),
        after: Vec::new(),
        after_ingest: false,
        reason: String::new(),
        estimate: None,
        schema: Vec::new(),
        rewrite: None,
        computed: None,
        waiting: Vec::new(),
        warnings: Vec::new(),
        left_out: Vec::new(),
        explanation: None,
        problem: None,
    };
    let saved = SavedTable {
        table: table.name.to_string(),
        location,
        definition: saved::definition(table),
        id: None,
        version: None,
        batch: None,
        action: String::new(),
        files: Vec::new(),
    };
    Ok(Found { plan, saved, columns: None })
}
