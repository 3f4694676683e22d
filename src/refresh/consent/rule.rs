//! The rule of consent, the only place where it is written: who has consented by the records of a landing table with
//! `[grants]`.
//!
//! A person's newest record decides, on a tie the one that refuses; a value that the current records of several people
//! claim has not consented, and neither has NULL.

use std::collections::HashSet;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Int64Type};
use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Projection, SubqueryAlias, lit, when};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::answers::{Claims, Room};
use crate::definition::{Condition, Consent, Grants, Project, SOURCE_FILE, SOURCE_OFFSET, Table};
use crate::error::{Context, Error, Kind, Result};
use crate::evaluate;
use crate::incremental;
use crate::lake::LakeTable;
use crate::refresh::inputs::Inputs;
use crate::sql::{plan_sql, scan};

/// The name of the records in the query for grants.
const RECORDS: &str = "_records";

/// Who has consented, by the values that a table has for its subjects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule<'a> {
    /// The landing table with `[grants]`.
    pub record: &'a Table,
    /// Its `[grants]`.
    pub grants: &'a Grants,
    /// The subject of the record.
    names: &'a str,
    /// The pseudonym of it, if tables have one.
    by: Option<&'a Condition>,
}

/// Subjects whose grant ended, and whose grant began, between two versions of the record of consent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moved {
    /// Ended.
    pub ended: HashSet<String>,
    /// Began.
    pub begun: HashSet<String>,
}

impl<'a> Rule<'a> {
    /// The rule for the subjects of a `[consent]`.
    #[must_use]
    pub(crate) fn of(project: &'a Project, consent: &'a Consent) -> Option<Self> {
        let record = project.table(&consent.grants)?;
        let grants = record.landing()?.grants.as_ref()?;
        Some(Self { record, grants, names: &consent.names, by: consent.by.as_ref() })
    }

    /// The rule for the people themselves.
    pub(super) fn of_people(record: &'a Table, grants: &'a Grants) -> Self {
        Self { record, grants, names: grants.subjects.first().map_or("", String::as_str), by: None }
    }

    /// Whether it depends on a column of the record who has consented.
    #[must_use]
    pub(crate) fn reads(&self, column: &str) -> bool {
        let named = self.grants.subjects.iter().chain(&self.grants.latest).any(|name| name == column);
        named || self.grants.granted.expr.column_refs().iter().any(|found| found.name == column)
    }

    /// The columns of the record that it reads.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &'a str> {
        let record = self.record.columns.iter().map(|column| column.name.as_str());
        let rule = *self;
        record.filter(move |name| rule.reads(name) || [SOURCE_FILE, SOURCE_OFFSET].contains(name))
    }

    /// Whether the subject is the person itself, which several people cannot claim.
    pub(super) fn is_of_people(&self) -> bool {
        self.by.is_none() && self.grants.subjects.first().is_some_and(|person| person == self.names)
    }

    /// The name of the subject, as people write it.
    pub(super) fn subject(&self) -> &'a str {
        self.by.map_or(self.names, |by| by.text.as_str())
    }

    /// The subjects that have consented, as one column `subject`.
    pub(super) fn granted(&self) -> Result<LogicalPlan> {
        self.subjects("", "having count(*) = 1 and min(granted) = 1")
    }

    /// All subjects, whether they have consented, and whether the current records of several people claim them.
    fn claims(&self) -> Result<LogicalPlan> {
        self.subjects(", count(*) = 1 and min(granted) = 1 as granted, count(*) > 1 as ambiguous", "")
    }

    /// Subjects, and `more` about the current records of the people who claim them.
    fn subjects(&self, more: &str, having: &str) -> Result<LogicalPlan> {
        let quoted = |name: &str| format!("\"{name}\"");
        let [granted, subject] = ["_granted", "_subject"].map(|name| self.free(name));
        let person = quoted(self.grants.subjects.first().map_or("", String::as_str));
        let newest: String = self.grants.latest.iter().map(|c| format!("{} desc nulls last, ", quoted(c))).collect();
        // One line per step: the newest record of each person, whether it grants, and the other people with the same value.
        let sql = format!(
            "select subject{more} from ( \
               select {subject} as subject, {granted} as granted, \
                      row_number() over (partition by {person} order by {newest} \
                        {granted}, {SOURCE_FILE}, {SOURCE_OFFSET}) as newest \
               from {RECORDS}) as records \
             where newest = 1 and subject is not null \
             group by subject {having}"
        );
        let doing = || format!("[grants] of {} cannot be evaluated", self.record.name);
        let records = self.records(&granted, &subject).context(doing)?;
        let schema = Arc::new(records.schema().as_arrow().clone());
        let plan = plan_sql(&sql, &[(RECORDS.to_owned(), schema)]).context(doing)?;
        let over_records = plan.transform_up_with_subqueries(|node| match &node {
            LogicalPlan::TableScan(_) => Ok(Transformed::yes(records.clone())),
            _ => Ok(Transformed::no(node)),
        });
        over_records.map(|plan| plan.data).context(doing)
    }

    /// A name that no column of the record has.
    fn free(&self, name: &str) -> String {
        let mut name = name.to_owned();
        while self.record.columns.iter().any(|column| column.name == name) {
            name.push('_');
        }
        name
    }

    /// The records under the name [`RECORDS`], with 1 for those that grant and 0 for the others, and with their subject as
    /// tables have it.
    fn records(&self, granted: &str, subject: &str) -> Result<LogicalPlan, DataFusionError> {
        let scan = scan(self.record.name.as_str(), self.record.schema())?;
        let mut columns: Vec<Expr> = scan.schema().columns().into_iter().map(Expr::Column).collect();
        let grants = self.grants.granted.over(&scan)?.is_true();
        columns.push(when(grants, lit(1_i64)).otherwise(lit(0_i64))?.alias(granted));
        let named = match self.by {
            Some(by) => by.over(&scan)?,
            None => Expr::Column(scan.schema().qualified_field_with_unqualified_name(self.names)?.into()),
        };
        columns.push(named.alias(subject));
        let records = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(scan))?);
        Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(records), RECORDS)?))
    }

    /// All subjects that have consented by a version of the record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn consenting(&self, session: &SessionContext, record: &LakeTable) -> Result<HashSet<String>> {
        self.consenting_in(&Inputs::at_cut(session.clone(), [(self.record.name.as_str(), record)])).await
    }

    pub(super) async fn consenting_in(&self, inputs: &Inputs) -> Result<HashSet<String>> {
        let mut granted = HashSet::new();
        let doing = || format!("the grants of {} cannot be evaluated", self.record.name);
        let mut stream = evaluate::full(&self.granted()?, inputs.session(), inputs).await?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            granted.extend(texts(batch.column(0))?.iter().flatten().map(str::to_owned));
        }
        Ok(granted)
    }

    /// Whom the record has consent of at the cut, and whom it confuses.
    pub(super) async fn claims_in(&self, inputs: &Inputs) -> Result<Claims> {
        let doing = || format!("the grants of {} cannot be evaluated", self.record.name);
        let (mut claims, mut room) = (Claims::none(), Room::default());
        let mut stream = evaluate::full(&self.claims()?, inputs.session(), inputs).await?;
        while let Some(batch) = stream.try_next().await.context(doing)? {
            let subjects = texts(batch.column(0))?;
            let [granted, ambiguous] = [1, 2].map(|at| batch.column(at).as_boolean());
            let rows = (0..batch.num_rows()).filter(|row| !subjects.is_null(*row) && granted.value(*row));
            claims.grant(rows.map(|row| subjects.value(row)), &mut room);
            claims.ambiguous += ambiguous.true_count() as u64;
        }
        Ok(claims)
    }

    /// Whose grant ended and began between an older version of the record and this one; `None` if that can no longer be
    /// determined by what changed.
    ///
    /// # Errors
    /// When the change cannot be computed.
    pub(crate) async fn moved(&self, session: &SessionContext, from: u64, record: &LakeTable) -> Result<Option<Moved>> {
        let name = self.record.name.as_str();
        let mut inputs = Inputs::at_cut(session.clone(), [(name, record)]);
        if inputs.since(&[(name.to_owned(), from)].into()).await?.is_some() {
            return Ok(None);
        }
        if inputs.change(name).is_some_and(|change| change.touched().iter().any(|column| self.reads(column))) {
            return Ok(None);
        }
        match self.moved_in(&inputs).await {
            Err(_) if inputs.gone().is_some() => Ok(None),
            other => other.map(Some),
        }
    }

    /// The same, where the inputs know the change of the record.
    pub(super) async fn moved_in(&self, inputs: &Inputs) -> Result<Moved> {
        let program = incremental::differentiate(&self.granted()?)
            .map_err(|why| Error::new(Kind::Internal, "the change of grants cannot be computed").because(why))?;
        let mut moved = Moved::default();
        for batch in &evaluate::run(&program, inputs.session(), inputs).await?.collect().await? {
            let (subjects, weights) = (texts(batch.column(0))?, batch.column(1).as_primitive_opt::<Int64Type>());
            let weights = weights.ok_or_else(|| Error::new(Kind::Internal, "a change has no weight"))?;
            for row in (0..batch.num_rows()).filter(|row| !subjects.is_null(*row)) {
                let side = if weights.value(row) < 0 { &mut moved.ended } else { &mut moved.begun };
                side.insert(subjects.value(row).to_owned());
            }
        }
        Ok(moved)
    }
}

/// Whether values of a type are bytes, in whatever form.
#[must_use]
pub(crate) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// The values of a subject column as text, bytes in hexadecimal: the form in which subjects are compared and shown.
///
/// # Errors
/// When the column has no such form.
pub(crate) fn texts(column: &ArrayRef) -> Result<StringArray> {
    let doing = || "a subject cannot be read".to_owned();
    if !is_bytes(column.data_type()) {
        return Ok(cast(column, &DataType::Utf8).context(doing)?.as_string::<i32>().clone());
    }
    let bytes = cast(column, &DataType::Binary).context(doing)?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(bytes.as_binary::<i32>().iter().map(|value| value.map(hex)).collect())
}
