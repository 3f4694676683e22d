//! How a table gets to the cut, decided from the logs before any row is read. `plan` asks the same question and gets
//! the same answer.

use std::collections::{HashMap, HashSet};

use super::inputs::Inputs;
use super::{Job, Opened, Work};
use crate::definition::Policy;
use crate::error::{Error, Result};
use crate::incremental::{self, Program};
use crate::lake::{CommitFacts, LakeTable};
use crate::name::TableName;
use crate::outcome::Action;
use crate::plan::cost::{self, Choice, Costs, Shape, Size, SourceSize};
use crate::plan::{self, Decision};

/// How a table gets to the cut.
pub(super) enum Way {
    /// It is there.
    UpToDate,
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

/// What happened to a source since the consumed version, by its log.
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
            Decision::UpToDate => Ok((Way::UpToDate, None)),
            Decision::Full(reason) => Ok((Way::Full { reason, repairs: false }, None)),
            Decision::Repair(reason) => Ok((Way::Full { reason, repairs: true }, None)),
            Decision::Incremental => self.by_change(curious).await,
        }
    }

    async fn by_change(&self, curious: bool) -> Result<(Way, Option<Figures>)> {
        let mut inputs = self.inputs(true)?;
        let consumed: HashMap<String, u64> =
            self.standing.sources.iter().filter_map(|s| Some((s.name.to_string(), s.consumed?))).collect();
        if let Err(reason) = inputs.since(&consumed).await? {
            return Ok((self.instead(reason), None));
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
        let moved = self.moved().await?;
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

    async fn moved(&self) -> Result<Vec<Moved>> {
        let mut moved = Vec::new();
        for source in &self.standing.sources {
            let from = source.consumed.filter(|from| *from < source.current);
            let (Some(from), Some(table)) = (from, self.job.sources.get(&source.name)) else { continue };
            moved.push(moved_since(&source.name, table, from).await?);
        }
        Ok(moved)
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

/// A table at its version.
pub(super) fn size(table: &LakeTable) -> Size {
    let (files, bytes) = table.size();
    Size { bytes, files, rows: table.rows() }
}

/// The size of a change, from the log. What it does not say is taken from the table's average row.
async fn moved_since(name: &TableName, table: &LakeTable, from: u64) -> Result<Moved> {
    let to = table.version();
    let whole = size(table);
    let mut known: HashMap<String, (u64, Option<u64>)> =
        table.files().into_iter().map(|f| (f.path, (f.size, f.rows))).collect();
    let commits = table.commits(from, to).await?;
    let (mut added, mut removed): (HashSet<String>, HashSet<String>) = (HashSet::new(), HashSet::new());
    let mut fed = Size { rows: Some(0), ..Size::default() };
    let mut feeds = 0_u64;
    match commits {
        Some(commits) => {
            for commit in commits {
                if !commit.files.cdc.is_empty() && commit.cdc_is_exact() {
                    feeds += 1;
                    fed.files += commit.files.cdc.len() as u64;
                    fed.rows = fed.rows.zip(written(&commit)).map(|(sum, rows)| sum.saturating_add(rows));
                    continue;
                }
                for (path, rows) in commit.files.added {
                    known.entry(path.clone()).or_insert((0, rows));
                    added.insert(path);
                }
                for path in commit.files.removed {
                    if !added.remove(&path) {
                        removed.insert(path);
                    }
                }
            }
        }
        None => {
            if let Ok(old) = table.at(from).await {
                let before: HashSet<String> = old.files().into_iter().map(|f| f.path).collect();
                let after: HashSet<String> = table.files().into_iter().map(|f| f.path).collect();
                added.extend(after.difference(&before).cloned());
                removed.extend(before.difference(&after).cloned());
            }
        }
    }
    if removed.iter().any(|path| !known.contains_key(path))
        && let Ok(old) = table.at(from).await
    {
        known.extend(old.files().into_iter().map(|f| (f.path, (f.size, f.rows))));
    }
    // Of a file that the log no longer describes the average is assumed.
    let a_file = whole.bytes.checked_div(whole.files).unwrap_or(0).max(1);
    let mut change = fed;
    change.bytes = match fed.rows {
        Some(rows) => of_rows(whole, rows),
        None => a_file.saturating_mul(fed.files),
    };
    for path in added.iter().chain(&removed) {
        let (bytes, rows) = known.get(path).copied().unwrap_or((0, None));
        let of_its_rows = rows.map_or(a_file, |rows| of_rows(whole, rows).max(1));
        change.bytes = change.bytes.saturating_add(if bytes > 0 { bytes } else { of_its_rows });
        change.files += 1;
        change.rows = change.rows.zip(rows).map(|(sum, rows)| sum.saturating_add(rows));
    }
    if feeds > 0 && change.rows != Some(0) {
        change.bytes = change.bytes.max(1);
    }
    let by = match (feeds, added.is_empty() && removed.is_empty()) {
        (0, _) => "data files",
        (_, true) => "change feed",
        (_, false) => "change feed and data files",
    };
    Ok(Moved { name: name.clone(), from, to, change, only_adds: removed.is_empty() && feeds == 0, by })
}

fn of_rows(whole: Size, rows: u64) -> u64 {
    let Some(all) = whole.rows.filter(|all| *all > 0) else { return rows };
    u64::try_from(u128::from(whole.bytes) * u128::from(rows) / u128::from(all)).unwrap_or(u64::MAX)
}

/// Rows in the change feed of a commit, where its metrics say so: ours do.
fn written(commit: &CommitFacts) -> Option<u64> {
    let metrics = commit.info.as_ref()?.info.get("operationMetrics")?;
    let count = |key: &str| {
        let value = metrics.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    Some(count("numOutputRows")?.saturating_add(count("numDeletedRows")?))
}
