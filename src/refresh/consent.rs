//! Law 6: a table that declares consent never holds a row whose subject has not consented in the same cut.
//!
//! Grants are evaluated from the landing record of consent, never through a table derived by the same condition. A
//! person's newest record decides, on a tie the one that refuses; a value that the current records of several people
//! claim has not consented, and neither has NULL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Int64Type};
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::functions_aggregate::expr_fn::count;
use deltalake::datafusion::logical_expr::{
    Expr, LogicalPlan, Projection, SubqueryAlias, cast as cast_expr, ident, lit, when,
};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::inputs::Inputs;
use super::inspect::Inspector;
use crate::definition::{Consent, Grants, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::evaluate;
use crate::incremental;
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::{Warning, counted};
use crate::privacy::Privacy;
use crate::sql::{plan_sql, scan};

/// The name of the records in the query for grants.
const RECORDS: &str = "_records";

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
pub(super) struct Ended(HashSet<String>);

impl Ended {
    /// Their number.
    #[must_use]
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The subjects, by the values of the column `names`, that have consented, as one string column `subject`.
fn granted(names: &str, grants: &Grants, table: &Table) -> Result<LogicalPlan> {
    subjects(names, grants, table, "count(*) = 1 and min(granted) = 1")
}

/// The subjects that the current records of several people claim.
fn ambiguous(consent: &Consent, grants: &Grants, table: &Table) -> Result<LogicalPlan> {
    subjects(&consent.names, grants, table, "count(*) > 1")
}

/// Subjects selected by a condition on the current records of the people who claim them.
fn subjects(names: &str, grants: &Grants, table: &Table, having: &str) -> Result<LogicalPlan> {
    let quoted = |name: &str| format!("\"{name}\"");
    let granted = granted_name(table);
    let person = quoted(grants.subjects.first().map_or("", String::as_str));
    let names = quoted(names);
    let newest: String = grants.latest.iter().map(|c| format!("{} desc nulls last, ", quoted(c))).collect();
    // One line per step: the newest record of each person, whether it grants, and the other people with the same value.
    let sql = format!(
        "select cast(subject as varchar) as subject from ( \
           select {names} as subject, {granted} as granted, \
                  row_number() over (partition by {person} order by {newest} \
                    {granted}, {SOURCE_FILE}, {SOURCE_OFFSET}) as newest \
           from {RECORDS}) as records \
         where newest = 1 and subject is not null \
         group by subject having {having}"
    );
    let doing = || format!("[grants] of {} cannot be evaluated", table.name);
    let records = records(grants, table, &granted).context(doing)?;
    let schema = Arc::new(records.schema().as_arrow().clone());
    let plan = plan_sql(&sql, &[(RECORDS.to_owned(), schema)]).context(doing)?;
    let over_records = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(_) => Ok(Transformed::yes(records.clone())),
        _ => Ok(Transformed::no(node)),
    });
    over_records.map(|plan| plan.data).context(doing)
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
    let person = grants.subjects.first().map_or("", String::as_str);
    let plan = granted(person, grants, table)?;
    let mut persons = Vec::new();
    for version in [before, after] {
        let inputs = Inputs::at_cut(session.clone(), [(table.name.as_str(), version)]);
        let mut stream = evaluate::full(&plan, session, &inputs).await?;
        let mut granted = HashSet::new();
        while let Some(batch) = stream.try_next().await.context(|| "the grants cannot be evaluated".into())? {
            granted.extend(strings(&batch, 0)?.iter().flatten().map(str::to_owned));
        }
        persons.push(granted);
    }
    let [before, after] = persons.as_slice() else { return Ok(None) };
    Ok(Some((before.difference(after).count() as u64, after.difference(before).count() as u64)))
}

/// A name for the grant of a record that no column of the table has.
fn granted_name(table: &Table) -> String {
    let mut name = "_granted".to_owned();
    while table.columns.iter().any(|column| column.name == name) {
        name.push('_');
    }
    name
}

/// The records of a grants table under the name [`RECORDS`], with 1 for those that grant and 0 for the others.
fn records(grants: &Grants, table: &Table, granted: &str) -> Result<LogicalPlan, DataFusionError> {
    let scan = scan(table.name.as_str(), table.schema())?;
    let mut columns: Vec<Expr> = scan.schema().columns().into_iter().map(Expr::Column).collect();
    let grants = grants.granted.over(&scan)?.is_true();
    columns.push(when(grants, lit(1_i64)).otherwise(lit(0_i64))?.alias(granted));
    let records = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(scan))?);
    Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(records), RECORDS)?))
}

/// The record of consent behind a table's `[consent]`.
pub(super) struct Guard<'a> {
    /// The table to be checked.
    pub table: &'a Table,
    /// Its `[consent]`.
    pub consent: &'a Consent,
    /// The landing table with `[grants]`.
    pub record: &'a Table,
    /// Its `[grants]`.
    pub grants: &'a Grants,
}

impl Guard<'_> {
    /// Whether it depends on a column of a table who has consented.
    pub(super) fn reads(&self, table: &TableName, column: &str) -> bool {
        let named = self.grants.subjects.iter().chain(&self.grants.latest).any(|name| name == column);
        let in_condition = || self.grants.granted.expr.column_refs().iter().any(|found| found.name == column);
        table == &self.record.name && (named || in_condition())
    }

    /// Subjects whose grant ended since the consumed version of the record of consent; `inputs` knows its change.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn ended(&self, inputs: &Inputs) -> Result<Ended> {
        let program = incremental::differentiate(&granted(&self.consent.names, self.grants, self.record)?)
            .map_err(|why| Error::new(Kind::Internal, "the change of grants cannot be computed").because(why))?;
        let change = evaluate::run(&program, inputs.session(), inputs).await?.collect().await?;
        let mut ended = HashSet::new();
        for batch in &change {
            let (subjects, weights) = (strings(batch, 0)?, batch.column(1).as_primitive_opt::<Int64Type>());
            let weights = weights.ok_or_else(|| Error::new(Kind::Internal, "a change has no weight"))?;
            let gone = (0..batch.num_rows()).filter(|row| weights.value(*row) < 0 && !subjects.is_null(*row));
            ended.extend(gone.map(|row| subjects.value(row).to_owned()));
        }
        Ok(Ended(ended))
    }

    /// How many values of the subject column several people claim, unless the column itself identifies a person.
    ///
    /// # Errors
    /// When the record of consent cannot be read.
    pub(super) async fn ambiguous(&self, inputs: &Inputs) -> Result<u64> {
        if self.grants.subjects.first() == Some(&self.consent.names) {
            return Ok(0);
        }
        let plan = ambiguous(self.consent, self.grants, self.record)?;
        let mut stream = evaluate::full(&plan, inputs.session(), inputs).await?;
        let mut count = 0;
        while let Some(batch) = stream.try_next().await.context(|| "the grants cannot be evaluated".into())? {
            count += batch.num_rows() as u64;
        }
        Ok(count)
    }

    /// The warning about them.
    #[must_use]
    pub(super) fn ambiguity(&self, count: u64) -> Warning {
        Warning {
            message: format!(
                "several people's newest records in {} claim the same `{}`: {} that identif{} nobody",
                self.record.name,
                self.consent.names,
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
            .fact("because", format!("the query keeps rows that `{}` does not grant", self.record.name))
            .help(format!("{sql}: filter by consent, then sync again")))
    }

    /// Rows of `table` per subject, all or some of them.
    async fn rows_of(
        &self,
        session: &SessionContext,
        table: &LakeTable,
        some: Option<&HashSet<String>>,
    ) -> Result<HashMap<Option<String>, i64>> {
        /// Above this number of literals, reading the whole column is cheaper.
        const LITERALS: usize = 1000;
        let doing = || format!("the subjects of {} cannot be counted", self.table.name);
        let column = ident(&self.consent.subject);
        let mut frame = session.read_table(table.provider(session, None).await?).context(doing)?;
        let text = matches!(self.subject_type(), DataType::Utf8);
        if let Some(some) = some.filter(|s| text && s.len() <= LITERALS) {
            // File statistics support only plain comparisons.
            let list: Vec<Expr> = some.iter().map(|s| lit(s.clone())).collect();
            frame = frame.filter(column.clone().in_list(list, false)).context(doing)?;
        }
        let subject = cast_expr(column, DataType::Utf8).alias("subject");
        let frame = frame.select(vec![subject]).context(doing)?;
        let frame = frame.aggregate(vec![ident("subject")], vec![count(lit(1_i64)).alias("n")]).context(doing)?;
        let mut rows = HashMap::new();
        for batch in frame.collect().await.context(doing)? {
            let subjects = strings(&batch, 0)?;
            let counts = batch.column(1).as_primitive_opt::<Int64Type>();
            let counts = counts.ok_or_else(|| Error::new(Kind::Internal, "a count is no number"))?;
            for row in 0..batch.num_rows() {
                let subject = (!subjects.is_null(row)).then(|| subjects.value(row).to_owned());
                if some.is_none_or(|s| subject.as_ref().is_some_and(|v| s.contains(v))) {
                    rows.insert(subject, counts.value(row));
                }
            }
        }
        Ok(rows)
    }

    fn subject_type(&self) -> DataType {
        let column = self.table.columns.iter().find(|c| c.name == self.consent.subject);
        column.map_or(DataType::Utf8, |c| c.column_type.arrow())
    }

    /// Those of `subjects` that have not consented at the cut.
    async fn refused(&self, inputs: &Inputs, subjects: &HashMap<Option<String>, i64>) -> Result<Vec<Option<String>>> {
        let doing = || format!("the grants of {} cannot be evaluated", self.record.name);
        let plan = granted(&self.consent.names, self.grants, self.record)?;
        let mut stream = evaluate::full(&plan, inputs.session(), inputs).await?;
        let mut refused: HashSet<&Option<String>> = subjects.keys().collect();
        while let Some(batch) = stream.try_next().await.context(doing)? {
            for subject in strings(&batch, 0)?.iter().flatten() {
                refused.remove(&Some(subject.to_owned()));
            }
        }
        let mut names: Vec<Option<String>> = refused.into_iter().cloned().collect();
        names.sort();
        Ok(names)
    }
}

fn strings(batch: &RecordBatch, column: usize) -> Result<StringArray> {
    let column = cast(batch.column(column), &DataType::Utf8).context(|| "a subject cannot be read".into())?;
    Ok(column.as_string::<i32>().clone())
}
