//! Rows per subject.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray};
use deltalake::arrow::datatypes::{DataType, Int64Type};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::functions_aggregate::expr_fn::sum;
use deltalake::datafusion::logical_expr::{Expr, ident, lit};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::rule::texts;
use crate::error::{Context, Error, Kind, Result};
use crate::incremental::WEIGHT;
use crate::name::TableName;

/// Above this number of literals, reading the whole column is cheaper.
const LITERALS: usize = 1000;

/// The subjects of a table whose rows are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subjects<'a> {
    /// The table.
    pub table: &'a TableName,
    /// Its column that names the person.
    pub column: &'a str,
    /// Only these.
    pub some: Option<&'a HashSet<String>>,
}

/// Rows of a relation by subject, `None` = NULL; of a change by their weight.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn rows_of(
    session: &SessionContext,
    relation: Arc<dyn TableProvider>,
    of: Subjects<'_>,
) -> Result<HashMap<Option<String>, i64>> {
    let doing = || format!("the subjects of {} cannot be counted", of.table);
    let schema = relation.schema();
    let is_text = schema
        .field_with_name(of.column)
        .is_ok_and(|field| matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View));
    let weight = if schema.field_with_name(WEIGHT).is_ok() { ident(WEIGHT) } else { lit(1_i64) };
    let column = ident(of.column);
    let mut frame = session.read_table(relation).context(doing)?;
    if let Some(some) = of.some.filter(|some| is_text && some.len() <= LITERALS) {
        // File statistics support only plain comparisons.
        let list: Vec<Expr> = some.iter().map(|s| lit(s.clone())).collect();
        frame = frame.filter(column.clone().in_list(list, false)).context(doing)?;
    }
    let frame = frame.select(vec![column.alias("subject"), weight.alias("n")]).context(doing)?;
    let frame = frame.aggregate(vec![ident("subject")], vec![sum(ident("n")).alias("rows")]).context(doing)?;
    let mut rows = HashMap::new();
    let mut stream = frame.execute_stream().await.context(doing)?;
    while let Some(batch) = stream.try_next().await.context(doing)? {
        let (subjects, counts) = (texts(batch.column(0))?, batch.column(1).as_primitive_opt::<Int64Type>());
        let counts = counts.ok_or_else(|| Error::new(Kind::Internal, "a count is no number"))?;
        for row in 0..batch.num_rows() {
            let subject = (!subjects.is_null(row)).then(|| subjects.value(row).to_owned());
            let is_wanted = of.some.is_none_or(|some| subject.as_ref().is_some_and(|value| some.contains(value)));
            if is_wanted && counts.value(row) != 0 {
                // Different values may have one text.
                *rows.entry(subject).or_insert(0) += counts.value(row);
            }
        }
    }
    Ok(rows)
}
