//! How a table gets to the cut, decided from the logs before any row is read. `plan` uses the same decision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::inputs::{Inputs, Lost};
use super::{Job, Opened, Work};
use crate::changes::{ChangeSet, size};
use crate::definition::Policy;
use crate::error::Result;
use crate::evaluate::Limits;
use crate::incremental::{self, Program};
use crate::lake::{Joins, LakeTable};
use crate::name::TableName;
use crate::outcome::Mode;
use crate::plan::cost::{self, Costs, Size, SourceSize};
use crate::plan::history::History;
use crate::plan::work::Sizes;
use crate::plan::{self, Change, Decision};
use crate::sql::normalise::normalise;

/// How a table gets to the cut, and the facts on which that depends.
pub(super) struct Strategy {
    pub(super) decision: Decision,
    /// For [`Decision::Incremental`].
    pub(super) planned: Option<Box<Planned>>,
    moved: Vec<Moved>,
    pub(super) costs: Option<Costs>,
}

impl From<Decision> for Strategy {
    fn from(decision: Decision) -> Self {
        Self { decision, planned: None, moved: Vec::new(), costs: None }
    }
}

/// A change ready to be computed.
pub(super) struct Planned {
    pub(super) program: Program,
    pub(super) inputs: Inputs,
}

/// The change of a source since the consumed version.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    /// Its name.
    pub name: TableName,
    /// The consumed version.
    pub from: u64,
    /// The version of the cut.
    pub to: u64,
    /// Inserted and deleted rows.
    pub change: Size,
    /// Whether rows were only inserted.
    pub only_adds: bool,
    /// The source of the change: `change feed`, `data files`.
    pub by: &'static str,
}

/// The prediction of a refresh.
#[derive(Debug)]
pub(crate) struct Foreseen {
    /// The decision.
    pub decision: Decision,
    /// Sources that changed; empty if their changes were not read.
    pub moved: Vec<Moved>,
    /// The costs of both modes.
    pub costs: Option<Costs>,
}

/// Whether to compute estimates that do not affect the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Estimates {
    /// Yes, for people.
    All,
    /// Only those on which the decision depends.
    Needed,
}

/// Predicts what [`super::refresh`] would do, and writes nothing. `touched`: columns of sources that pending migrations
/// change first.
///
/// # Errors
/// When a log cannot be read.
pub(crate) async fn foresee(
    job: &Job<'_>,
    current: Option<&LakeTable>,
    touched: &BTreeMap<TableName, BTreeSet<String>>,
) -> Result<Foreseen> {
    let work = Work::new(job, Opened::with(job, current.cloned())).await?;
    let Strategy { decision, moved, costs, .. } = work.strategy(Estimates::All).await?;
    let decision = match decision {
        Decision::UpToDate | Decision::Check | Decision::Adopt(_) | Decision::Incremental(_) => {
            match work.read_among(|source| touched.get(source)) {
                Some(lost) => work.decide_lost(&lost),
                None => decision,
            }
        }
        other => other,
    };
    Ok(Foreseen { decision, moved, costs })
}

impl Work<'_> {
    /// Decides.
    pub(super) async fn strategy(&self, estimates: Estimates) -> Result<Strategy> {
        if let Some(why) = self.job.full_refresh {
            return Ok(plan::full_refresh(&self.standing, why).into());
        }
        match plan::decide(self.job.table, &self.standing, &self.fingerprint) {
            Decision::UpToDate => Ok(self.adoptable().map_or(Decision::UpToDate, Decision::Adopt).into()),
            Decision::Incremental(_) => self.by_change(estimates).await,
            other => Ok(other.into()),
        }
    }

    /// The commit of another writer that moved rows of an up-to-date table.
    fn adoptable(&self) -> Option<String> {
        let foreign = &self.current.as_ref()?.state().foreign;
        let moves = foreign.iter().rfind(|commit| commit.moves_files())?;
        Some(format!("v{} ({}) by another writer holds the same rows", moves.version, moves.operation()))
    }

    async fn by_change(&self, estimates: Estimates) -> Result<Strategy> {
        let decide = |change: Change| plan::by_change(self.job.table, &self.standing, change);
        let mut inputs = self.inputs(Joins::Hash)?;
        let consumed: HashMap<String, u64> =
            self.standing.sources.iter().filter_map(|s| Some((s.name.to_string(), s.consumed?))).collect();
        if let Some(lost) = inputs.since(&consumed).await? {
            return Ok(self.decide_lost(&lost).into());
        }
        let touched = |source: &TableName| inputs.change(source.as_str()).map(ChangeSet::touched);
        if let Some(lost) = self.read_among(touched) {
            return Ok(self.decide_lost(&lost).into());
        }
        let program = match incremental::differentiate(&self.job.derived.plan) {
            Ok(program) => program,
            Err(why) => return Ok(decide(Change::Underivable(why.to_string())).into()),
        };
        let what = inputs.what_changed();
        let (mut moved, mut costs, mut cheaper) = (Vec::new(), None, None);
        if self.job.derived.refresh == Policy::Auto || estimates == Estimates::All {
            moved = self.moved(&inputs).await;
            let held = Limits::of(inputs.session()).bytes as u64;
            let (choice, of_both) = self.costs(&program, &moved, held);
            (cheaper, costs) = (Some(choice), Some(of_both));
        }
        let decision = decide(Change::Known { what, cheaper });
        let planned = matches!(decision, Decision::Incremental(_)).then(|| Box::new(Planned { program, inputs }));
        Ok(Strategy { decision, planned, moved, costs })
    }

    /// The decision if the change of a source cannot be computed.
    fn decide_lost(&self, lost: &Lost) -> Decision {
        let change = Change::Lost { why: lost.to_string(), error: self.loses(lost) };
        plan::by_change(self.job.table, &self.standing, change)
    }

    /// A column that a migration changes, and on which rows of this table depend; `touched`: such columns of a source.
    fn read_among<'t>(&self, touched: impl Fn(&TableName) -> Option<&'t BTreeSet<String>>) -> Option<Lost> {
        let columns = plan::columns_read(&self.job.derived.plan);
        let guard = self.guard();
        self.job.sources.keys().find_map(|source| {
            let is_read = |touched: &&String| {
                let is_it = |(table, read): &(String, String)| table == source.as_str() && plan::overlap(read, touched);
                let column = touched.split('.').next().unwrap_or_default();
                columns.iter().any(is_it) || guard.as_ref().is_some_and(|guard| guard.reads(source, column))
            };
            let column = touched(source)?.iter().find(is_read)?;
            Some(Lost { source: source.to_string(), why: format!("a migration changed column `{column}`") })
        })
    }

    async fn moved(&self, inputs: &Inputs) -> Vec<Moved> {
        let mut moved = Vec::new();
        for source in &self.standing.sources {
            let Some(change) = inputs.change(source.name.as_str()).filter(|c| c.from() < source.current) else {
                continue;
            };
            moved.push(Moved {
                name: source.name.clone(),
                from: change.from(),
                to: source.current,
                change: change.size().await,
                only_adds: change.only_adds(),
                by: change.told_by(),
            });
        }
        moved
    }

    fn costs(&self, program: &Program, moved: &[Moved], held: u64) -> (Decision, Costs) {
        let sources = self.source_sizes(&|name| program.tables().contains(name.as_str()), moved);
        let (table, history) = self.standing_work();
        let sizes = Sizes { sources: &sources, table, exists: true, held };
        let costs = cost::costs(&sizes, program.plan(), &history);
        (cost::choose(&costs, &sources), costs)
    }

    /// What the model expects of a refresh in this mode by itself, in ms. Of a full one also if nothing was to be chosen.
    pub(super) fn expected(&self, mode: Mode) -> Option<u64> {
        if let Some(costs) = &self.costs {
            return Some(costs.of(mode).expected);
        }
        if mode != Mode::Full {
            return None;
        }
        let plan = normalise(&self.job.derived.plan).ok()?;
        let sources = self.source_sizes(&|_| true, &[]);
        let (table, history) = self.standing_work();
        let exists = self.current.as_ref().is_some_and(|t| t.schema() == self.job.table.schema());
        let sizes = Sizes { sources: &sources, table, exists, held: u64::MAX };
        Some(cost::costs(&sizes, &plan, &history).full.expected)
    }

    /// The table's size, and what its refreshes took.
    fn standing_work(&self) -> (Size, History) {
        let current = self.current.as_ref();
        (current.map(size).unwrap_or_default(), current.map(|t| t.state().history.clone()).unwrap_or_default())
    }

    /// The record of consent is read completely in both modes, and is no source of the query then.
    fn source_sizes(&self, is_read: &dyn Fn(&TableName) -> bool, moved: &[Moved]) -> Vec<SourceSize> {
        let read = self.job.sources.iter().filter(|(name, _)| is_read(name));
        read.map(|(name, table)| {
            let change = moved.iter().find(|m| &m.name == name);
            SourceSize {
                name: name.to_string(),
                whole: size(table),
                change: change.map(|m| m.change).unwrap_or_default(),
                only_adds: change.is_none_or(|m| m.only_adds),
            }
        })
        .collect()
    }
}
