//! Conditions on materialised keys in a form by which files can be pruned.

use std::collections::HashSet;

use deltalake::arrow::array::{Array, RecordBatch};
use deltalake::arrow::compute::{SortOptions, concat, sort_to_indices};
use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::{DataFusionError, NullEquality, Result, ScalarValue};
use deltalake::datafusion::logical_expr::{Expr, lit};

use crate::incremental::Within;

/// Maximum number of values listed individually.
const LISTED: usize = 1_000;

/// A condition that holds for every value of `expr` among the keys of one column: `expr in (...)`, and
/// `expr between minimum and maximum`, because not every reader prunes files by a long list. If NULL equals
/// NULL, it is a key. `None`: no useful condition.
pub(crate) fn condition(
    expr: &Expr,
    batches: &[RecordBatch],
    column: usize,
    nulls: NullEquality,
) -> Result<Option<Expr>> {
    let arrays: Vec<&dyn Array> = batches.iter().map(|b| b.column(column).as_ref()).collect();
    if arrays.first().is_none_or(|a| !is_ordered(a.data_type())) {
        return Ok(None);
    }
    let values = concat(&arrays)?;
    let has_null = values.null_count() > 0;
    let mut all = None;
    if let Some((least, greatest)) = least_and_greatest(&values)? {
        let mut known = if least == greatest {
            expr.clone().eq(lit(least))
        } else {
            expr.clone().between(lit(least), lit(greatest))
        };
        if values.len() <= LISTED {
            let mut listed = HashSet::with_capacity(values.len());
            for i in 0..values.len() {
                let value = ScalarValue::try_from_array(&values, i)?;
                if !value.is_null() {
                    listed.insert(value);
                }
            }
            if listed.len() > 1 {
                known = known.and(expr.clone().in_list(listed.into_iter().map(lit).collect(), false));
            }
        }
        all = Some(known);
    }
    if nulls == NullEquality::NullEqualsNull && has_null {
        let null = expr.clone().is_null();
        all = Some(all.map_or(null.clone(), |known| known.or(null)));
    }
    Ok(all)
}

/// A condition that holds for the values within all ranges of a step, and for NULL. `None`: it would exclude nothing.
pub(super) fn range_condition(range: &Within<'_>, batches: &[RecordBatch]) -> Result<Option<Expr>> {
    let ends = |column: &str| {
        let column = |batch: &RecordBatch| Ok::<_, DataFusionError>(batch.schema().index_of(column)?);
        let arrays = batches.iter().map(|batch| Ok(batch.column(column(batch)?).as_ref()));
        least_and_greatest(&concat(&arrays.collect::<Result<Vec<&dyn Array>>>()?)?)
    };
    let [least, greatest] = range.columns();
    match (ends(least)?, ends(greatest)?) {
        (Some((least, _)), Some((_, greatest))) => range.hull(&least, &greatest),
        _ => Ok(None),
    }
}

/// The minimum and the maximum; `None` if all are NULL.
pub(crate) fn least_and_greatest(values: &dyn Array) -> Result<Option<(ScalarValue, ScalarValue)>> {
    let first = |descending| {
        let order = SortOptions { descending, nulls_first: false };
        let at = sort_to_indices(values, Some(order), Some(1))?;
        let value = at.values().first().map(|at| ScalarValue::try_from_array(values, *at as usize)).transpose()?;
        Ok::<_, DataFusionError>(value.filter(|v| !v.is_null()))
    };
    Ok(first(false)?.zip(first(true)?))
}

/// Types whose order is the same in every reader that prunes files by it.
fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_temporal()
        || data_type.is_string()
        || matches!(data_type, DataType::Decimal128(..) | DataType::Boolean)
}
