//! A condition on the rows of a table that a user writes on the command line, through the same entry point as those of
//! definitions: parsed, rewritten and planned alike, with faults that have a place.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, SchemaRef};

use super::condition::{Condition, condition_of, is_row_wise, plan_condition};
use super::planner::Tables;
use super::refuse::report::report;
use super::text::Sql;
use crate::error::{Error, Result};
use crate::source::SourceFile;
use crate::source::faults::Faults;

/// Parses and plans a condition on the rows of `table`, which have these columns. `option` names the text in faults.
///
/// # Errors
/// `Failed`, with faults.
pub(crate) fn row_condition(text: &str, option: &str, table: &str, columns: SchemaRef) -> Result<Condition> {
    let mut faults = Faults::default();
    match planned(text, option, (table, columns), &mut faults) {
        Some(condition) if faults.len() == 0 => Ok(condition),
        _ => Err(Error::of_query(faults.into_sorted())),
    }
}

fn planned(text: &str, option: &str, (table, columns): (&str, SchemaRef), faults: &mut Faults) -> Option<Condition> {
    let file = Arc::new(SourceFile { path: PathBuf::from(option), text: text.to_owned() });
    let mut sql = Sql::file(&file);
    sql.scope = "not in this table";
    let expr = sql.condition(faults)?;
    sql.unsupported(faults);
    match plan_condition(expr, table, &Tables::new([(table.to_owned(), columns)])) {
        Ok(plan) => {
            if !is_row_wise(&plan) {
                faults.add(sql.start(), "a condition looks at one row of its table", "remove aggregates and windows");
            } else if *plan.schema().field(0).data_type() != DataType::Boolean {
                faults.add(sql.start(), "this is not a condition", "expected true or false");
            }
            let expr = condition_of(&plan).ok()?;
            Some(Condition { text: text.to_owned(), expr })
        }
        Err(error) => {
            report(&error, &sql, faults);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::datatypes::{Field, Schema};

    use super::*;

    fn condition(text: &str) -> Result<Condition> {
        let fields = vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)];
        row_condition(text, "--where", "people", Arc::new(Schema::new(fields)))
    }

    #[test]
    fn a_condition_is_planned_over_the_columns_of_its_table() {
        for text in ["id > 1 and name like 'a%'", "people.id is null", "ID in (1, 2)"] {
            assert_eq!(condition(text).expect(text).text, text);
        }
    }

    #[test]
    fn other_texts_are_faults_with_a_place() {
        for (text, message) in [
            ("id >", "this is not valid SQL"),
            ("nme = 'a'", "column `nme` is not in this table"),
            ("id + 1", "this is not a condition"),
            ("count(*) > 1", "a condition looks at one row of its table"),
            ("id in (select 1)", "a condition looks at one row of its table"),
            ("id = 1; drop table people", "this is not valid SQL"),
        ] {
            let error = condition(text).expect_err(text);
            let found: Vec<&str> = error.faults().iter().map(|fault| fault.message.as_str()).collect();
            assert_eq!(found, [message], "{text}");
            assert!(error.faults()[0].place.is_some(), "{text}");
        }
    }
}
