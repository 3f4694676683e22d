//! A walk through the versions of a table, with its rows by subject and those who have consented.
//!
//! A version is counted whole once: rows by subject. From there on, each commit adds and removes rows by subject, and each
//! newer version of the record of consent adds and removes subjects that have consented: only what changed is read. All
//! subjects of a table and all that have consented are held in memory.

use std::collections::{BTreeSet, HashMap, HashSet};

use deltalake::datafusion::prelude::SessionContext;

use super::grants::{Consenting, Step};
use super::history::History;
use super::offenders::Offenders;
use crate::changes::{self, Changes};
use crate::error::Result;
use crate::lake::{CommitFacts, Consumed, LakeTable};
use crate::outcome::{ConsentVerdict, ConsentVersion};
use crate::refresh::{Subjects, rows_of};

/// A version of which nothing is known.
pub(super) fn unknown(version: u64, grants: Option<u64>, because: String) -> ConsentVersion {
    ConsentVersion {
        version,
        grants,
        rows: None,
        subjects: None,
        violations: None,
        offenders: 0,
        verdict: ConsentVerdict::Unknown,
        because: Some(because),
    }
}

/// Rows by subject; `None` = NULL.
#[derive(Default)]
struct Counts {
    by_subject: HashMap<Option<String>, i64>,
    all: i64,
}

impl Counts {
    fn of(by_subject: HashMap<Option<String>, i64>) -> Self {
        Self { all: by_subject.values().sum(), by_subject }
    }

    /// Adds rows of a subject; returns how many it has then.
    fn add(&mut self, subject: &Option<String>, rows: i64) -> i64 {
        self.all += rows;
        let now = self.by_subject.get(subject).copied().unwrap_or(0) + rows;
        match now {
            0 => drop(self.by_subject.remove(subject)),
            _ => drop(self.by_subject.insert(subject.clone(), now)),
        }
        now
    }
}

/// The subjects of which it is not known whether they violate.
enum Stale {
    /// All.
    All,
    /// These.
    Some(HashSet<Option<String>>),
}

impl Stale {
    fn add(&mut self, subjects: impl IntoIterator<Item = Option<String>>) {
        if let Self::Some(known) = self {
            known.extend(subjects);
        }
    }
}

/// A walk through the versions of a table, in their order.
pub(super) struct Walk<'w> {
    subjects: Subjects<'w>,
    newest: &'w LakeTable,
    history: History,
    session: SessionContext,
    consenting: Consenting<'w>,
    /// A version with the columns of the present one.
    at: LakeTable,
    /// The data files of the present version; `None` = to be read from its snapshot.
    files: Option<BTreeSet<String>>,
    /// The version of the record of consent that the present version was computed from.
    cut: Option<Consumed>,
    /// Its rows by subject, if they are known.
    rows: Option<Counts>,
    /// Those of subjects without consent.
    violating: HashMap<Option<String>, i64>,
    stale: Stale,
    pub offenders: Offenders,
}

impl<'w> Walk<'w> {
    /// Before any version.
    pub(super) fn of(
        (newest, history): (&'w LakeTable, History),
        subjects: Subjects<'w>,
        consenting: Consenting<'w>,
        session: SessionContext,
    ) -> Self {
        Self {
            subjects,
            newest,
            history,
            session,
            consenting,
            at: newest.clone(),
            files: None,
            cut: None,
            rows: None,
            violating: HashMap::new(),
            stale: Stale::All,
            offenders: Offenders::default(),
        }
    }

    /// Goes to a version: the first one, or the next.
    ///
    /// # Errors
    /// When the store fails; a version that is gone is unknown.
    pub(super) async fn step(&mut self, version: u64) -> Result<ConsentVersion> {
        let is_first = self.files.is_none() && self.cut.is_none();
        let uuid = self.consenting.record_uuid();
        let commit = self.newest.commit_at(version).await?;
        if let Some(commit) = commit.as_ref().filter(|commit| commit.is_ours()) {
            self.cut = commit.consumed(&uuid);
        } else if is_first || commit.is_none() {
            let Ok(at) = self.newest.at(version).await else {
                return Ok(self.lost(version, format!("v{version} can no longer be opened")));
            };
            self.cut = at.recorded(&uuid).await?;
        }
        if let Err(why) = self.count(version, commit.filter(|_| !is_first)).await? {
            return Ok(self.lost(version, why));
        }
        match self.consenting.at(self.cut, &self.session).await? {
            Ok(Step::Same) => {}
            Ok(Step::Whole) => self.stale = Stale::All,
            Ok(Step::By(moved)) => self.stale.add(moved.ended.into_iter().chain(moved.begun).map(Some)),
            Err(why) => {
                self.stale = Stale::All;
                self.offenders.end(version);
                let (rows, subjects) = self.size();
                return Ok(ConsentVersion { rows, subjects, ..unknown(version, self.cut.map(|c| c.version), why) });
            }
        }
        Ok(self.judged(version))
    }

    /// A version whose rows cannot be read.
    fn lost(&mut self, version: u64, why: String) -> ConsentVersion {
        (self.rows, self.stale) = (None, Stale::All);
        self.offenders.end(version);
        unknown(version, self.cut.map(|cut| cut.version), why)
    }

    /// The rows of the present version, and their subjects.
    fn size(&self) -> (Option<u64>, Option<u64>) {
        let Some(rows) = &self.rows else { return (None, None) };
        let nobody = u64::from(rows.by_subject.contains_key(&None));
        (Some(rows.all.unsigned_abs()), Some(rows.by_subject.len() as u64 - nobody))
    }

    /// The verdict, where rows and consent are known.
    fn judged(&mut self, version: u64) -> ConsentVersion {
        let rows = self.rows.take().unwrap_or_default();
        let is_violating = |subject: &Option<String>| !subject.as_ref().is_some_and(|s| self.consenting.has(s));
        match std::mem::replace(&mut self.stale, Stale::Some(HashSet::new())) {
            Stale::All => {
                let found = rows.by_subject.iter().filter(|(subject, _)| is_violating(subject));
                self.violating = found.map(|(subject, count)| (subject.clone(), *count)).collect();
                self.offenders.all(version, &self.violating);
            }
            Stale::Some(subjects) => {
                for subject in subjects {
                    let count = rows.by_subject.get(&subject).copied().filter(|_| is_violating(&subject));
                    match count {
                        Some(count) => drop(self.violating.insert(subject.clone(), count)),
                        None => drop(self.violating.remove(&subject)),
                    }
                    self.offenders.one(version, subject, count);
                }
            }
        }
        self.rows = Some(rows);
        let violations: u64 = self.violating.values().map(|count| count.unsigned_abs()).sum();
        let (rows, subjects) = self.size();
        ConsentVersion {
            version,
            grants: self.cut.map(|cut| cut.version),
            rows,
            subjects,
            violations: Some(violations),
            offenders: self.violating.len() as u64,
            verdict: if violations == 0 { ConsentVerdict::Holds } else { ConsentVerdict::Violated },
            because: None,
        }
    }

    /// Brings the rows by subject to a version: by its commit if the version before is known, else by all of its rows. The
    /// reason if they cannot be read.
    async fn count(&mut self, version: u64, commit: Option<CommitFacts>) -> Result<std::result::Result<(), String>> {
        let before = self.files.take();
        let (Some(commit), Some(before)) = (commit, before) else { return self.count_whole(version).await };
        let there = &self.history.there;
        let changed = changes::of_commit(&self.at, &commit, &before, there);
        let is_plain = !commit.changes_metadata && !commit.files.deletion_vectors && commit.files.odd_path.is_none();
        if is_plain {
            let mut files = before;
            for path in commit.files.removed.iter().chain(&commit.files.moved_out) {
                files.remove(path);
            }
            let came = || commit.files.added.iter().chain(&commit.files.moved_in).map(|(path, _)| path);
            files.extend(came().cloned());
            // The version before is there if its rows are known.
            let is_whole =
                if self.rows.is_some() { came().all(|file| there.contains(file)) } else { files.is_subset(there) };
            self.files = Some(files);
            if !is_whole {
                return Ok(Err(format!("v{version} was vacuumed")));
            }
        }
        if self.rows.is_none() {
            return self.count_whole(version).await;
        }
        let change = match changed {
            Some(change) => change,
            None => {
                let Ok(at) = self.at.advanced(version).await else {
                    return Ok(Err(format!("v{version} can no longer be opened")));
                };
                (self.files, self.at) = (Some(at.paths()), at);
                if let Some(why) = self.unreadable(version) {
                    return Ok(Err(why));
                }
                match changes::since(&self.at, version - 1).await? {
                    Changes::Known(change) if !change.touched().contains(self.subjects.column) => *change,
                    _ => return self.count_whole(version).await,
                }
            }
        };
        let Some(mut rows) = self.rows.take() else { return self.count_whole(version).await };
        if !change.is_empty() {
            for (subject, count) in rows_of(&self.session, change.provider(&self.session).await?, self.subjects).await?
            {
                if rows.add(&subject, count) < 0 {
                    // The log does not tell what happened.
                    return self.count_whole(version).await;
                }
                self.stale.add([subject]);
            }
        }
        self.rows = Some(rows);
        Ok(Ok(()))
    }

    /// Why the version at which the walk is cannot be read.
    fn unreadable(&self, version: u64) -> Option<String> {
        if self.files.as_ref().is_some_and(|files| !files.is_subset(&self.history.there)) {
            return Some(format!("v{version} was vacuumed"));
        }
        if let Err(refused) = self.at.check_files() {
            return Some(refused.message().to_owned());
        }
        let column = self.subjects.column;
        let has = self.at.schema().field_with_name(column).is_ok();
        (!has).then(|| format!("v{version} has no column `{column}`"))
    }

    async fn count_whole(&mut self, version: u64) -> Result<std::result::Result<(), String>> {
        self.rows = None;
        let opened = match self.at.version() <= version && version != self.newest.version() {
            true => self.at.advanced(version).await,
            false => self.newest.at(version).await,
        };
        let Ok(at) = opened else { return Ok(Err(format!("v{version} can no longer be opened"))) };
        (self.files, self.at) = (Some(at.paths()), at);
        if let Some(why) = self.unreadable(version) {
            return Ok(Err(why));
        }
        let relation = self.at.provider(&self.session, None).await?;
        self.rows = Some(Counts::of(rows_of(&self.session, relation, self.subjects).await?));
        self.stale = Stale::All;
        Ok(Ok(()))
    }
}
