//! Who has consented by successive versions of the record of consent.

use std::collections::{BTreeSet, HashSet};

use deltalake::datafusion::prelude::SessionContext;

use super::history::History;
use crate::error::{Error, Result};
use crate::lake::{Consumed, LakeTable};
use crate::plan::another_commit;
use crate::refresh::{MovedGrants, Rule};
use crate::storage::Location;
use crate::workspace::Workspace;

/// How those who have consented differ from those before.
pub(super) enum Step {
    /// Not at all.
    Same,
    /// By these.
    By(MovedGrants),
    /// They were determined anew.
    Whole,
}

/// Those who have consented by one version of the record of consent.
pub(super) struct Consenting<'w> {
    rule: Rule<'w>,
    newest: LakeTable,
    there: BTreeSet<String>,
    /// The version that was opened last.
    at: LakeTable,
    /// The version by which `subjects` have consented.
    version: Option<u64>,
    subjects: HashSet<String>,
}

impl<'w> Consenting<'w> {
    /// By no version yet.
    ///
    /// # Errors
    /// When the record of consent cannot be opened.
    pub(super) async fn of(workspace: &Workspace, rule: Rule<'w>) -> Result<Self> {
        // Every change of it reads the ends of its files.
        let location = workspace.location(rule.record)?.cached();
        let Some(newest) = LakeTable::open(&location).await? else {
            return Err(Error::failed(format!("{}, the record of consent, does not exist", rule.record.name))
                .help("stedi-delta sync"));
        };
        let there = History::of(&newest).await?.there;
        let (at, subjects) = (newest.clone(), HashSet::new());
        Ok(Self { rule, newest, there, at, version: None, subjects })
    }

    /// The id of the record of consent.
    pub(super) fn record_uuid(&self) -> String {
        self.newest.uuid()
    }

    /// The folder of the record of consent.
    pub(super) fn location(&self) -> &Location {
        self.newest.location()
    }

    /// Whether a subject has consented.
    pub(super) fn has(&self, subject: &str) -> bool {
        self.subjects.contains(subject)
    }

    /// Goes to the version of a cut. The reason if that is unknown.
    ///
    /// # Errors
    /// When the grants cannot be evaluated.
    pub(super) async fn at(
        &mut self,
        cut: Option<Consumed>,
        session: &SessionContext,
    ) -> Result<std::result::Result<Step, String>> {
        let record = &self.rule.record.name;
        let Some(cut) = cut else { return Ok(Err(format!("it records no version of {record}"))) };
        let version = cut.version;
        if self.version == Some(version) {
            return Ok(Ok(Step::Same));
        }
        if self.newest.is_other_than(cut).await? {
            return Ok(Err(another_commit(record, version)));
        }
        if version > self.newest.version() {
            return Ok(Err(format!("{record} has no v{version}")));
        }
        let opened = match self.at.version() <= version && version != self.newest.version() {
            true => self.at.advanced(version).await,
            false => self.newest.at(version).await,
        };
        let Ok(at) = opened else { return Ok(Err(format!("{record} v{version} can no longer be opened"))) };
        if !at.paths().is_subset(&self.there) {
            return Ok(Err(format!("{record} v{version} was vacuumed")));
        }
        if let Err(refused) = at.check_files() {
            return Ok(Err(refused.message().to_owned()));
        }
        let schema = at.schema();
        if let Some(column) = self.rule.columns().find(|column| schema.field_with_name(column).is_err()) {
            return Ok(Err(format!("{record} v{version} has no column `{column}`")));
        }
        let before = self.version.take().filter(|before| *before < version);
        let moved = match before {
            Some(before) => self.rule.moved(session, before, &at).await?,
            None => None,
        };
        let step = match moved {
            Some(moved) => {
                for subject in &moved.ended {
                    self.subjects.remove(subject);
                }
                self.subjects.extend(moved.begun.iter().cloned());
                Step::By(moved)
            }
            None => {
                self.subjects = self.rule.consenting(session, &at).await?;
                Step::Whole
            }
        };
        (self.at, self.version) = (at, Some(version));
        Ok(Ok(step))
    }
}
