//! Law 6: a table that declares consent never holds a row whose subject has not consented in the same cut.
//!
//! Grants are evaluated from the landing record of consent, never through a table derived by the same condition
//! ([`rule`]).

mod answers;
mod rows;
mod rule;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::inputs::Inputs;
use super::inspect::Inspector;
use crate::definition::{Consent, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::evaluate;
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::{Warning, counted};
use crate::privacy::Privacy;
pub(crate) use answers::Answers;
use answers::{Claims, Question};
pub(crate) use rows::{Subjects, rows_of};
pub(crate) use rule::{Moved as MovedGrants, Rule, is_bytes, texts};

/// Which rows of a table are checked.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// Inserted rows, and all rows of these subjects, whose grant ended.
    Change(Ended),
    /// Every row.
    All,
}

/// Subjects whose grant ended between the consumed version and the cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended(Arc<HashSet<String>>);

impl Ended {
    /// Their number.
    #[must_use]
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// How many persons' consent ends and begins between two versions of a record of consent; `None` if `table` is not one.
///
/// # Errors
/// When a version cannot be read.
pub(crate) async fn consent_changes(
    session: &SessionContext,
    table: &Table,
    before: &LakeTable,
    after: &LakeTable,
) -> Result<Option<(u64, u64)>> {
    let Some(grants) = table.landing().and_then(|landing| landing.grants.as_ref()) else { return Ok(None) };
    let (rule, mut persons) = (Rule::of_people(table, grants), Vec::new());
    for version in [before, after] {
        persons.push(rule.consenting(session, version).await?);
    }
    let [before, after] = persons.as_slice() else { return Ok(None) };
    Ok(Some((before.difference(after).count() as u64, after.difference(before).count() as u64)))
}

/// The record of consent behind a table's `[consent]`.
pub(super) struct Guard<'a> {
    /// The table to be checked.
    pub table: &'a Table,
    /// Its `[consent]`.
    pub consent: &'a Consent,
    /// Who has consented.
    pub rule: Rule<'a>,
    /// What is known of that at the cut.
    pub answers: &'a Answers,
}

impl Guard<'_> {
    /// Whether it depends on a column of a table who has consented.
    pub(super) fn reads(&self, table: &TableName, column: &str) -> bool {
        table == &self.rule.record.name && self.rule.reads(column)
    }

    /// Subjects whose grant ended since the consumed version of the record of consent; `inputs` knows its change.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn ended(&self, inputs: &Inputs) -> Result<Ended> {
        let find = || async { Ok(self.rule.moved_in(inputs).await?.ended) };
        Ok(Ended(self.answers.ended(self.question(inputs)?, find).await?))
    }

    /// Who has consented at the cut.
    async fn claims(&self, inputs: &Inputs) -> Result<Arc<Claims>> {
        self.answers.claims(self.question(inputs)?.at_cut(), || self.rule.claims_in(inputs)).await
    }

    fn question(&self, inputs: &Inputs) -> Result<Question> {
        let record = &self.rule.record.name;
        let versions = inputs.versions(record.as_str());
        let (cut, from) = versions
            .ok_or_else(|| Error::new(Kind::Internal, format!("{record} is no source of {}", self.table.name)))?;
        Ok(Question::of(&self.rule, cut, from))
    }

    /// How many values of the subject column several people claim, unless the column itself identifies a person.
    ///
    /// # Errors
    /// When the record of consent cannot be read.
    pub(super) async fn ambiguous(&self, inputs: &Inputs) -> Result<u64> {
        if self.rule.is_of_people() {
            return Ok(0);
        }
        Ok(self.claims(inputs).await?.ambiguous)
    }

    /// The warning about them.
    #[must_use]
    pub(super) fn ambiguity(&self, count: u64) -> Warning {
        Warning {
            message: format!(
                "several people's newest records in {} claim the same `{}`: {} that identif{} nobody",
                self.rule.record.name,
                self.rule.subject(),
                counted(count, "value"),
                if count == 1 { "ies" } else { "y" }
            ),
            details: vec!["rows that carry them have no consent and must stay out of tables with [consent]".into()],
            help: None,
        }
    }

    /// Refuses the change if it would leave a row of a person who has not consented.
    ///
    /// # Errors
    /// `Evidence`; names the subjects only as hashes.
    pub(super) async fn check(
        &self,
        inputs: &Inputs,
        before: Option<&LakeTable>,
        seen: &Inspector,
        scope: &Scope,
        privacy: &Privacy,
    ) -> Result<()> {
        // Rows per subject after the commit: those of the table plus the change.
        let mut after: HashMap<Option<String>, i64> = HashMap::new();
        match (scope, before) {
            (Scope::All, Some(before)) => after = self.rows_of(inputs.session(), before, None).await?,
            (Scope::Change(ended), Some(before)) if !ended.0.is_empty() => {
                after = self.rows_of(inputs.session(), before, Some(&ended.0)).await?;
            }
            _ => {}
        }
        for (subject, net) in seen.subjects() {
            *after.entry(subject.clone()).or_insert(0) += net;
        }
        after.retain(|_, rows| *rows > 0);
        if after.is_empty() {
            return Ok(());
        }
        let refused = self.refused(inputs, &after).await?;
        if refused.is_empty() {
            return Ok(());
        }
        let rows: i64 = refused.iter().map(|subject| after.get(subject).copied().unwrap_or(0)).sum();
        let people = refused.len();
        let first = match refused.first().and_then(Option::as_ref) {
            Some(value) => format!("{}{}", privacy.show(value), privacy.note()),
            None => "NULL, which names nobody".to_owned(),
        };
        let name = &self.table.name;
        let noun = if people == 1 { "person who has" } else { "people who have" };
        let version = before.map_or_else(|| "not created".to_owned(), |t| format!("v{}, unchanged", t.version()));
        let sql = self.table.derived().map_or_else(String::new, |d| d.sql_file.path.display().to_string());
        Err(Error::new(Kind::Evidence, format!("{name} would hold rows of {people} {noun} not consented"))
            .fact("table", format!("{name} ({version})"))
            .fact("rows", format!("{rows}, subject column `{}`", self.consent.subject))
            .fact("first", first)
            .fact("because", format!("the query keeps rows that `{}` does not grant", self.rule.record.name))
            .help(format!("{sql}: filter by consent, then sync again")))
    }

    async fn rows_of(
        &self,
        session: &SessionContext,
        table: &LakeTable,
        some: Option<&HashSet<String>>,
    ) -> Result<HashMap<Option<String>, i64>> {
        let subjects = Subjects { table: &self.table.name, column: &self.consent.subject, some };
        rows_of(session, table.provider(session, None).await?, subjects).await
    }

    /// Those of `subjects` that have not consented at the cut.
    async fn refused(&self, inputs: &Inputs, subjects: &HashMap<Option<String>, i64>) -> Result<Vec<Option<String>>> {
        let mut refused: HashSet<&Option<String>> = subjects.keys().collect();
        match &self.claims(inputs).await?.granted {
            Some(granted) => refused.retain(|subject| !subject.as_ref().is_some_and(|one| granted.contains(one))),
            None => self.refused_of_many(inputs, &mut refused).await?,
        }
        let mut names: Vec<Option<String>> = refused.into_iter().cloned().collect();
        names.sort();
        Ok(names)
    }

    /// The same for a record of more people than are kept: removes from `refused` those that have consented.
    async fn refused_of_many(&self, inputs: &Inputs, refused: &mut HashSet<&Option<String>>) -> Result<()> {
        let doing = || format!("the grants of {} cannot be evaluated", self.rule.record.name);
        let mut stream = evaluate::full(&self.rule.granted()?, inputs.session(), inputs).await?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            for subject in texts(batch.column(0))?.iter().flatten() {
                refused.remove(&Some(subject.to_owned()));
            }
        }
        Ok(())
    }
}
