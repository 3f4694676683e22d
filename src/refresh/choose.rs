//! How a table gets to the cut, decided from the logs before any row is read. `plan` asks the same question and gets
//! the same answer.

use std::collections::HashMap;

use super::inputs::Inputs;
use super::{Job, Opened, Work};
use crate::changes::size;
use crate::definition::Policy;
use crate::error::{Error, Result};
use crate::incremental::{self, Program};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::Action;
use crate::plan::cost::{self, Choice, Costs, Shape, Size, SourceSize};
use crate::plan::{self, Decision, EXPECTATIONS_CHANGED};

/// How a table gets to the cut.
pub(super) enum Way {
    /// It is there.
    UpToDate,
    /// It is there, and its rows are checked by the expectations as they are now.
    Check,
    /// It is there, and somebody else has written its files anew: a commit of ours keeps that they hold the same rows, so
    /// that they are not compared again.
    Adopt(String),
    /// By the change of its query.
    Incremental(Box<Planned>),
    /// By its query computed whole.
    Full {
        /// Why.
        reason: String,
        /// Somebody else changed what our newest commit left.
        repairs: bool,
    },
    /// Not at all.
    Stop(Error),
}

/// A change ready to be computed.
pub(super) struct Planned {
    pub(super) program: Program,
    pub(super) inputs: Inputs,
    pub(super) reason: String,
}

/// What happened to a source since the consumed version.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Its name.
    pub name: TableName,
    /// The consumed version.
    pub from: u64,
    /// The version of the cut.
    pub to: u64,
    /// Rows that came and went.
    pub change: Size,
    /// Whether rows only came.
    pub only_adds: bool,
    /// What tells the change: `change feed`, `data files`.
    pub by: &'static str,
}

/// What a refresh would do.
#[derive(Debug)]
pub struct Foreseen {
    /// What.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// Somebody else changed what our newest commit left.
    pub repairs: bool,
    /// Why it stops.
    pub problem: Option<Error>,
    /// Sources that moved; empty where their changes were not looked at.
    pub moved: Vec<Moved>,
    /// What both ways would cost.
    pub costs: Option<Costs>,
}

/// Finds out what [`super::refresh`] would do, and writes nothing.
///
/// # Errors
/// When a log cannot be read.
pub async fn foresee(job: &Job<'_>, current: Option<&LakeTable>) -> Result<Foreseen> {
    let work = Work::new(job, Opened::with(job, current.cloned())).await?;
    let (way, figures) = work.way(true).await?;
    let (moved, costs) = figures.unwrap_or_default();
    let foreseen =
        Foreseen { action: Action::None, reason: String::new(), repairs: false, problem: None, moved, costs };
    Ok(match way {
        Way::UpToDate => foreseen,
        Way::Check => Foreseen { action: Action::Check, reason: EXPECTATIONS_CHANGED.to_owned(), ..foreseen },
        Way::Adopt(reason) => Foreseen { action: Action::Incremental, reason, ..foreseen },
        Way::Incremental(planned) => Foreseen { action: Action::Incremental, reason: planned.reason, ..foreseen },
        Way::Full { reason, repairs } => Foreseen { action: Action::Full, reason, repairs, ..foreseen },
        Way::Stop(error) => Foreseen { action: Action::Stop, problem: Some(error), ..foreseen },
    })
}

type Figures = (Vec<Moved>, Option<Costs>);

impl Work<'_> {
    /// Decides. The figures are found out where the choice depends on them, or somebody is `curious`.
    pub(super) async fn way(&self, curious: bool) -> Result<(Way, Option<Figures>)> {
        match plan::decide(self.job.table, &self.standing, self.fingerprint, self.job.full_refresh) {
            Decision::Stop(error) => Ok((Way::Stop(error), None)),
            Decision::UpToDate => Ok((self.adoptable().map_or(Way::UpToDate, Way::Adopt), None)),
            Decision::Check => Ok((Way::Check, None)),
            Decision::Full(reason) => Ok((Way::Full { reason, repairs: false }, None)),
            Decision::Repair(reason) => Ok((Way::Full { reason, repairs: true }, None)),
            Decision::Incremental => self.by_change(curious).await,
        }
    }

    /// Which commit of somebody else moved rows of a table that is up to date.
    fn adoptable(&self) -> Option<String> {
        let foreign = &self.current.as_ref()?.state().foreign;
        let moves = foreign.iter().rfind(|commit| commit.moves_files())?;
        Some(format!("v{} ({}) by somebody else holds the same rows", moves.version, moves.operation()))
    }

    async fn by_change(&self, curious: bool) -> Result<(Way, Option<Figures>)> {
        let mut inputs = self.inputs(true)?;
        let consumed: HashMap<String, u64> =
            self.standing.sources.iter().filter_map(|s| Some((s.name.to_string(), s.consumed?))).collect();
        if let Err(lost) = inputs.since(&consumed).await? {
            let is_incremental = self.job.derived.refresh == Policy::Incremental;
            let stops = || Way::Stop(self.loses(&lost));
            let full = || Way::Full { reason: lost.to_string(), repairs: false };
            return Ok((if is_incremental { stops() } else { full() }, None));
        }
        let program = match incremental::differentiate(&self.job.derived.plan) {
            Ok(program) => program,
            Err(why) => return Ok((self.instead(why.to_string()), None)),
        };
        let is_auto = self.job.derived.refresh == Policy::Auto;
        let mut reason = inputs.what_changed();
        if !is_auto && !curious {
            return Ok((Way::Incremental(Box::new(Planned { program, inputs, reason })), None));
        }
        let moved = self.moved(&inputs).await;
        let (choice, costs) = self.costs(&program, &moved);
        let figures = Some((moved, Some(costs)));
        match choice {
            Choice::Full(reason) if is_auto => return Ok((Way::Full { reason, repairs: false }, figures)),
            Choice::Incremental(why) if is_auto => reason = format!("{reason}; {why}"),
            Choice::Full(_) | Choice::Incremental(_) => {}
        }
        Ok((Way::Incremental(Box::new(Planned { program, inputs, reason })), figures))
    }

    /// A full refresh where an incremental one was due, if the definition allows it.
    fn instead(&self, reason: String) -> Way {
        if self.job.derived.refresh == Policy::Incremental {
            return Way::Stop(plan::not_incremental(self.job.table, &self.standing, &reason));
        }
        Way::Full { reason, repairs: false }
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

    fn costs(&self, program: &Program, moved: &[Moved]) -> (Choice, Costs) {
        // The record of consent is read whole both ways.
        let read = self.job.sources.iter().filter(|(name, _)| program.tables().contains(name.as_str()));
        let sources: Vec<SourceSize> = read
            .map(|(name, table)| {
                let change = moved.iter().find(|m| &m.name == name);
                SourceSize {
                    name: name.to_string(),
                    whole: size(table),
                    change: change.map(|m| m.change).unwrap_or_default(),
                    only_adds: change.is_none_or(|m| m.only_adds),
                }
            })
            .collect();
        let table = self.current.as_ref().map(size).unwrap_or_default();
        cost::choose(&sources, table, Shape::of(program.plan()))
    }
}
