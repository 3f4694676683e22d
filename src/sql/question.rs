//! An ad-hoc query of a user, through the same entry point as the query of a table: parsed, rewritten and planned
//! alike, with faults that have a place.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake::arrow::datatypes::{Fields, SchemaRef};
use deltalake::datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use deltalake::datafusion::sql::sqlparser::ast::{Query, Statement};

use crate::error::{Context, Error, Kind, Result};
use crate::source::faults::Faults;
use crate::source::{Place, SourceFile};
use crate::sql::planner::{Tables, plan_query};
use crate::sql::references::{Reference, references};
use crate::sql::refuse::report::report;
use crate::sql::text::Sql;

/// The name of the text in faults: it is in no file.
const ASKED: &str = "query";

/// One query, parsed.
pub(crate) struct Question {
    sql: Sql,
    query: Box<Query>,
    references: Vec<Reference>,
    explain: Option<Explain>,
}

/// The variant of `explain`.
#[derive(Clone, Copy)]
struct Explain {
    verbose: bool,
    analyze: bool,
}

impl Question {
    /// Parses a query, or `explain` and a query.
    ///
    /// # Errors
    /// `Usage` for a statement that does not only read; `Failed`, with faults, for invalid SQL.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let file = Arc::new(SourceFile { path: PathBuf::from(ASKED), text: text.to_owned() });
        let mut sql = Sql::file(&file).with_versions();
        let mut faults = Faults::default();
        let statement = sql.statement(&mut faults);
        if !sql.reads() {
            return Err(only_reads());
        }
        let statement = statement.ok_or_else(|| wrong(std::mem::take(&mut faults)))?;
        let (query, explain) = match statement {
            Statement::Query(query) => (query, None),
            Statement::Explain { verbose, analyze, statement, .. } => match *statement {
                Statement::Query(query) => (query, Some(Explain { verbose, analyze })),
                _ => return Err(only_reads()),
            },
            _ => return Err(only_reads()),
        };
        let query = sql.understood(query, &mut faults);
        let references = references(&sql, &query, &mut faults);
        sql.unsupported(&mut faults);
        if faults.len() > 0 {
            return Err(wrong(faults));
        }
        Ok(Self { sql, query, references, explain })
    }

    /// The tables in it, each with the parts of its name and its place.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&[String], &Place)> {
        self.references.iter().map(|reference| (reference.parts.as_slice(), &reference.place))
    }

    /// Plans it over tables given by name and schema.
    ///
    /// # Errors
    /// `Failed`, with faults.
    pub(crate) fn plan(&self, tables: impl IntoIterator<Item = (String, SchemaRef)>) -> Result<LogicalPlan> {
        plan_query(Query::clone(&self.query), &Tables::new(tables)).map_err(|error| {
            let mut faults = Faults::default();
            report(&error, &self.sql, &mut faults);
            wrong(faults)
        })
    }

    /// The names of its columns, in the order of `fields`: those of expressions without one are their text.
    pub(crate) fn names(&self, fields: &Fields) -> Vec<String> {
        let planned: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let written = match self.explain {
            None => self.sql.unnamed(&self.query).filter(|written| written.len() == planned.len()),
            Some(_) => None,
        };
        let Some(written) = written else { return planned };
        let named = written.into_iter().zip(&planned).map(|(text, name)| text.unwrap_or_else(|| name.clone()));
        let named: Vec<String> = named.collect();
        let is_twice = |name: &String| named.iter().filter(|other| *other == name).count() > 1;
        if named.iter().any(is_twice) { planned } else { named }
    }

    /// The plan to run: the query's own, or that of `explain`.
    ///
    /// # Errors
    /// The plan cannot be explained.
    pub(crate) fn answered_by(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let Some(Explain { verbose, analyze }) = self.explain else { return Ok(plan) };
        let explained = LogicalPlanBuilder::from(plan).explain(verbose, analyze).and_then(LogicalPlanBuilder::build);
        explained.context(|| "the query cannot be explained".into())
    }
}

fn only_reads() -> Error {
    Error::new(Kind::Usage, "`query` only reads")
        .fact("expected", "one SELECT")
        .help("what a table holds is declared under tables/ and brought there by `stedi-delta sync`")
}

fn wrong(faults: Faults) -> Error {
    Error::of_query(faults.into_sorted())
}
