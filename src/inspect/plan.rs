//! What a sync would do with every table, and why; from listings and logs. Writes nothing.

use std::collections::BTreeMap;

use crate::definition::{Derived, Landing, Policy, Table, TableKind};
use crate::error::Result;
use crate::incremental;
use crate::ingest::{self, Asked, Ledger, Patience};
use crate::lake::LakeTable;
use crate::migrate::Pending;
use crate::name::TableName;
use crate::outcome::{Action, Estimate, Explanation, Mode, PlanOutcome, TablePlan, Warning, counted, sized};
use crate::plan::{self, Decision, cost::Shape};
use crate::refresh::{self, Foreseen, Job, Moved};
use crate::register;
use crate::sync;
use crate::workspace::Workspace;

/// What a sync of the selected tables would do.
///
/// # Errors
/// `Usage` for a selector that selects nothing; if the ledger cannot be read. An unreadable table is reported.
pub async fn plan(workspace: &Workspace, select: &[String]) -> Result<PlanOutcome> {
    planned(workspace, select, false).await
}

/// The same with the delta rules.
///
/// # Errors
/// As for [`plan`].
pub async fn explain(workspace: &Workspace, select: &[String]) -> Result<PlanOutcome> {
    planned(workspace, select, true).await
}

async fn planned(workspace: &Workspace, select: &[String], explain: bool) -> Result<PlanOutcome> {
    let options = sync::Options { select: select.to_vec(), ..sync::Options::default() };
    let selection = sync::checked(workspace, &options)?;
    let pending = Pending::find(workspace).await?;
    pending.check()?;
    let workspace = &pending.workspace.clone();
    let session = workspace.session()?;
    let ledger = Ledger::read(&workspace.warehouse, &session, &workspace.places).await?;
    let (standing, tables) = (BTreeMap::new(), Vec::new());
    let mut planner = Planner { workspace, ledger, session, explain, pending, standing, tables };
    for table in workspace.project.tables.iter().filter(|t| selection.tables.contains(&t.name)) {
        planner.table(table).await?;
    }
    let mut tables = std::mem::take(&mut planner.tables);
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
        moves: planner.pending.moves(),
        left: register::departed(workspace).await.into_iter().map(|(name, _)| name).collect(),
        catalog: workspace.catalog.name(),
    })
}

struct Planner<'a> {
    workspace: &'a Workspace,
    ledger: Ledger,
    session: deltalake::datafusion::prelude::SessionContext,
    explain: bool,
    pending: Pending,
    standing: BTreeMap<TableName, LakeTable>,
    tables: Vec<TablePlan>,
}

impl Planner<'_> {
    async fn table(&mut self, table: &Table) -> Result<()> {
        let mut plan = blank(self.workspace, table)?;
        let found = async {
            if let Some(found) = LakeTable::open(&self.workspace.location(table)?).await? {
                plan.version = Some(found.version());
                let twin = self.standing.iter().find(|(_, other)| other.uuid() == found.uuid());
                if let Some(twin) = twin {
                    return Err(sync::one_id(&found.uuid(), (&table.name, &found), twin));
                }
                self.standing.insert(table.name.clone(), found);
            }
            match &table.kind {
                TableKind::Landing(landing) => self.landing(table, landing, &mut plan).await,
                TableKind::Derived(derived) => self.derived(table, derived, &mut plan).await,
            }
        };
        if let Err(error) = found.await {
            plan.action = Action::Stop;
            plan.problem = Some(error);
        }
        self.tables.push(plan);
        Ok(())
    }

    async fn landing(&self, table: &Table, landing: &Landing, plan: &mut TablePlan) -> Result<()> {
        let place = self.workspace.place(table, "")?;
        let read = (&self.ledger, &self.session);
        let current = ingest::state_of(&place, read).await?;
        current.check(&place)?;
        let migrations = self.pending.of_table(&table.name);
        // They lead to what the definition says, or else there would be no plan.
        let rewrites = self.pending.rewrites(&table.name);
        let diff = match rewrites == 0 {
            true => ingest::check_schema(&place, current.table.as_ref())?,
            false => ingest::SchemaDiff::default(),
        };
        // As a sync does, wait for files written a moment ago.
        let pending = ingest::pending(&place, landing, &current, read, Asked::default(), Patience::Waits).await?;
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
        if let (true, Some(stands)) = (rewrites > 0, &current.table) {
            // Every such statement reads and writes the whole table.
            let bytes = stands.size().1.saturating_mul(rewrites);
            let landing = plan.estimate.and_then(|estimate| estimate.bytes).unwrap_or(0);
            plan.estimate = Some(Estimate { rows: None, bytes: Some(bytes.saturating_add(landing)), at_most: false });
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
        // The first kind would make a sync exit with 1.
        plan.warnings.extend(pending.left_out.iter().map(Warning::from));
        plan.warnings.extend(pending.warnings);
        Ok(())
    }

    async fn derived(&self, table: &Table, derived: &Derived, plan: &mut TablePlan) -> Result<()> {
        let sources = self.workspace.sources(table);
        let above = |name: &TableName| self.tables.iter().find(|t| &t.table == name);
        let stops = |name: &&TableName| above(name).is_some_and(|t| matches!(t.action, Action::Stop | Action::Skip));
        if let Some(source) = sources.iter().find(stops) {
            plan.action = Action::Skip;
            plan.reason = format!("{source} stops");
            return Ok(());
        }
        let moves = |name: &&TableName| above(name).is_some_and(|t| t.action != Action::Do(Mode::None));
        plan.after = sources.iter().filter(moves).cloned().collect();
        let is_landing = |name: &TableName| self.workspace.project.table(name).is_some_and(|t| t.landing().is_some());
        plan.after_ingest = !plan.after.is_empty() && plan.after.iter().all(is_landing);
        let standing = sources.iter().filter_map(|s| Some((s.clone(), self.standing.get(s)?.clone()))).collect();
        let job = self.workspace.job(table, standing, "")?;
        let foreseen = refresh::foresee(&job, self.standing.get(&table.name)).await?;
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
        plan.estimate = self.estimate(&job, plan, &foreseen);
        if self.explain {
            let costs = foreseen.costs.map(|c| (c.incremental, c.full));
            let scan = |name: &str| scanned(&job, &foreseen.moved, &plan.after, name);
            plan.explanation = Some(match &program {
                Ok(program) => Explanation { operators: program.explain(&scan), reasons: Vec::new(), costs },
                Err(why) => {
                    let reasons = why.reasons.iter().map(ToString::to_string).collect();
                    Explanation { operators: Vec::new(), reasons, costs }
                }
            });
        }
        if let Decision::Stop(error) = foreseen.decision {
            plan.problem = Some(error);
        }
        Ok(())
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
        let Some(above) = self.tables.iter().find(|t| &t.table == name) else { return unknown };
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

fn blank(workspace: &Workspace, table: &Table) -> Result<TablePlan> {
    Ok(TablePlan {
        table: table.name.clone(),
        zone: table.zone.clone(),
        location: workspace.location(table)?.to_string(),
        version: None,
        action: Action::Do(Mode::None),
        after: Vec::new(),
        after_ingest: false,
        reason: String::new(),
        estimate: None,
        waiting: Vec::new(),
        warnings: Vec::new(),
        explanation: None,
        problem: None,
    })
}
