//! Compares a derived table with its query, recomputed over the versions that the table records, by another kind of
//! plan than a refresh uses.
//!
//! Rows are compared as multisets, exactly but for one thing: a sum of floating-point numbers depends on the order of
//! addition, so values of `double` columns may differ by one part in 10^9 and of `float` columns by one in 10^6, if all
//! other columns are equal. A sum that cancels to nearly zero can differ by more: `decimal` is exact.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use deltalake::arrow::array::{Array, AsArray, RecordBatch};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use deltalake::arrow::row::{RowConverter, SortField};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::Job;
use super::inputs::Inputs;
use crate::changes;
use crate::checks;
use crate::definition::Action;
use crate::error::{Context, Error, Kind, Result};
use crate::evaluate;
use crate::lake::{Joins, LakeTable, SessionOptions, out_of_memory, session};
use crate::name::TableName;
use crate::outcome::{Verified, VerifiedBy, counted};
use crate::plan;
use crate::sql::Planner;
use crate::storage::Location;

/// Maximum difference of two `double` values, relative to the greater.
const DOUBLE: f64 = 1e-9;

/// Maximum difference of two `float` values: their precision allows no less.
const FLOAT: f64 = 1e-6;

/// Maximum number of differing rows that are compared by value, in memory.
const COMPARED: usize = 1_000_000;

/// Compares a table with its query over the versions of its sources that it records.
///
/// # Errors
/// If one of these versions can no longer be read; `Evidence` if the rows equal the query's and fail an expectation.
pub(crate) async fn verify(job: &Job<'_>, table: &LakeTable) -> Result<Verified> {
    let name = &job.table.name;
    let cannot = |error: Error| {
        Error::failed(format!("{name} cannot be verified"))
            .because(error)
            .fact("table", format!("{} (v{})", table.location(), table.version()))
            .help(format!("stedi-delta sync -s {name} --full-refresh   (computes it from versions that can be read)"))
    };
    let sources = recorded(job, table).await.map_err(cannot)?;
    let session = session_of(job, table, Planner::Optimised, Joins::Hash)?;
    let failing = checks::failing(job.table, table, &session, |a| a == Action::Fail).await.map_err(cannot)?;
    let failing = failing.iter().filter(|(_, rows)| *rows > 0);
    let failing = failing.map(|(check, rows)| (check.name.as_str(), counted(*rows, "row"))).collect();
    checks::refused(name.as_str(), &failing).map_or(Ok(()), Err)?;
    recompute(job, table, &sources).await.map_err(cannot)
}

/// Compares a version of a table with its query over these versions of its sources.
///
/// # Errors
/// If one of them cannot be read, or the query cannot be computed.
pub(crate) async fn recompute(
    job: &Job<'_>,
    table: &LakeTable,
    sources: &BTreeMap<TableName, LakeTable>,
) -> Result<Verified> {
    let by = |planner| compare_within_memory(job, table, sources, planner);
    // Another kind of plan does not repeat the mistakes of the plan by which the table was computed.
    match by(Planner::Plain).await {
        Ok(found) if found.is_equal() => Ok(found),
        Ok(found) => match by(Planner::Optimised).await {
            Ok(other) if other.is_equal() => Ok(Verified { planner: VerifiedBy::PlannersDisagree, ..found }),
            _ => Ok(found),
        },
        // Without its rules the engine may have no plan, or none within the limit.
        Err(_) => by(Planner::Optimised).await,
    }
}

/// A session that reads a version of a table and its sources.
fn session_of(job: &Job<'_>, table: &LakeTable, planner: Planner, joins: Joins) -> Result<SessionContext> {
    let sources = job.sources.values().map(LakeTable::location);
    let stores: Vec<&Location> = sources.chain([table.location()]).collect();
    session(SessionOptions { joins, planner, ..SessionOptions::of(job.project) }, &stores)
}

/// Compares with hash joins, or with those that can spill.
async fn compare_within_memory(
    job: &Job<'_>,
    table: &LakeTable,
    sources: &BTreeMap<TableName, LakeTable>,
    planner: Planner,
) -> Result<Verified> {
    match compare(job, table, sources, planner, Joins::Hash).await {
        Err(error) if out_of_memory(&error) => compare(job, table, sources, planner, Joins::SortMerge).await,
        other => other,
    }
}

/// The error of a table that does not equal its query.
pub(crate) fn mismatch(job: &Job<'_>, table: &LakeTable, found: Verified) -> Error {
    let name = &job.table.name;
    let error = Error::new(Kind::Evidence, format!("{name} does not hold what its query gives"))
        .fact("table", format!("{} (v{})", table.location(), table.version()))
        .fact("missing", format!("{} rows that the query gives", found.rows_missing))
        .fact("too many", format!("{} rows that it does not give", found.rows_extra))
        .fact("computed", "over the versions of its sources that the table records");
    if found.planner == VerifiedBy::PlannersDisagree {
        return error
            .fact("because", "the query engine gives other rows with its optimizer: one of the two results is wrong")
            .help("write the query another way, and tell us: a full refresh would compute the same rows again");
    }
    error.help(format!("stedi-delta sync -s {name} --full-refresh"))
}

/// The sources at the versions that the table records.
async fn recorded(job: &Job<'_>, table: &LakeTable) -> Result<BTreeMap<TableName, LakeTable>> {
    let mut sources = BTreeMap::new();
    for (name, source) in &job.sources {
        let Some(consumed) = table.consumed(&source.uuid()).await? else {
            return Err(Error::failed(format!("it was computed from another {name} than the current one")));
        };
        let version = consumed.version;
        if source.is_other_than(consumed).await? {
            return Err(Error::failed(plan::another_commit(name, version)));
        }
        sources.insert(name.clone(), changes::readable_at(source, name.as_str(), version).await?);
    }
    Ok(sources)
}

async fn compare(
    job: &Job<'_>,
    table: &LakeTable,
    sources: &BTreeMap<TableName, LakeTable>,
    planner: Planner,
    joins: Joins,
) -> Result<Verified> {
    let session = session_of(job, table, planner, joins)?;
    let inputs = Inputs::at_cut(session.clone(), sources.iter().map(|(name, table)| (name.as_str(), table)));
    let old = table.provider(&session, None).await?;
    let plan = &job.derived.plan;
    let (change, planner) = match planner {
        Planner::Plain => (evaluate::plain_difference(plan, old, &session, &inputs).await?, VerifiedBy::PlainPlan),
        Planner::Optimised => (evaluate::difference(plan, old, &session, &inputs).await?, VerifiedBy::SamePlanner),
    };
    let mut stream = change.into_stream();
    let mut found = Verified { rows_missing: 0, rows_extra: 0, planner };
    let mut batches = Some(Vec::new());
    let mut held = 0;
    while let Some(batch) = stream.try_next().await.context(|| "its query stopped".into())? {
        for weight in weights(&batch)? {
            if weight > 0 {
                found.rows_missing += weight.unsigned_abs();
            } else {
                found.rows_extra += weight.unsigned_abs();
            }
        }
        held += batch.num_rows();
        batches = batches.filter(|_| held <= COMPARED);
        if let Some(batches) = &mut batches {
            batches.push(batch);
        }
    }
    let has_floats = job.table.schema().fields().iter().any(|f| f.data_type().is_floating());
    if !has_floats || found.rows_missing == 0 || found.rows_extra == 0 {
        return Ok(found);
    }
    let Some(batches) = batches else {
        return Err(Error::failed(format!(
            "more than {COMPARED} rows differ in a bit and cannot be compared by value"
        )));
    };
    let paired = paired(&batches)?;
    Ok(Verified { rows_missing: found.rows_missing - paired, rows_extra: found.rows_extra - paired, planner })
}

fn weights(batch: &RecordBatch) -> Result<Vec<i64>> {
    let last = batch.columns().last().and_then(|c| c.as_primitive_opt::<Int64Type>());
    let weights = last.ok_or_else(|| Error::new(Kind::Internal, "a change has no weight"))?;
    Ok(weights.values().to_vec())
}

/// Values of the floating-point columns of a row, and the number of its unpaired copies.
type Floats = (Vec<Option<f64>>, u64);

/// How many surplus rows equal missing rows except for the last digits of floating-point numbers.
fn paired(batches: &[RecordBatch]) -> Result<u64> {
    let Some(first) = batches.first() else { return Ok(0) };
    let schema = first.schema();
    let data = schema.fields().len() - 1;
    let (floats, exact): (Vec<usize>, Vec<usize>) = (0..data).partition(|i| schema.field(*i).data_type().is_floating());
    let bounds = bounds(&schema, &floats);
    let doing = || "rows cannot be compared".to_owned();
    let fields = exact.iter().map(|i| SortField::new(schema.field(*i).data_type().clone())).collect();
    let converter = RowConverter::new(fields).context(doing)?;
    let mut groups: HashMap<Box<[u8]>, [Vec<Floats>; 2]> = HashMap::new();
    for batch in batches {
        let columns: Vec<_> = exact.iter().map(|i| batch.column(*i).clone()).collect();
        // Only floating-point columns: one group.
        let rows = if columns.is_empty() { None } else { Some(converter.convert_columns(&columns).context(doing)?) };
        let mut values = Vec::new();
        for i in &floats {
            values.push(cast(batch.column(*i), &DataType::Float64).context(doing)?);
        }
        for (row, weight) in weights(batch)?.into_iter().enumerate() {
            let key: Box<[u8]> = rows.as_ref().map_or_else(Box::default, |rows| Box::from(rows.row(row).as_ref()));
            let of = |column: &deltalake::arrow::array::ArrayRef| {
                // One NaN, so that those of either sign sort together.
                let value = |v: f64| if v.is_nan() { f64::NAN } else { v };
                (!column.is_null(row)).then(|| value(column.as_primitive::<Float64Type>().value(row)))
            };
            let side = usize::from(weight < 0);
            let group = groups.entry(key).or_default();
            group[side].push((values.iter().map(of).collect(), weight.unsigned_abs()));
        }
    }
    Ok(groups.into_values().map(|group| paired_in(group, &bounds)).sum())
}

fn bounds(schema: &Schema, floats: &[usize]) -> Vec<f64> {
    let of = |i: &usize| if *schema.field(*i).data_type() == DataType::Float64 { DOUBLE } else { FLOAT };
    floats.iter().map(of).collect()
}

/// Pairs rows in the order of their first value.
fn paired_in([mut come, mut go]: [Vec<Floats>; 2], bounds: &[f64]) -> u64 {
    come.sort_by(first);
    go.sort_by(first);
    let near = |a: &Floats, b: &Floats, columns: usize| {
        a.0.iter().zip(&b.0).zip(bounds).take(columns).all(|((a, b), bound)| is_near(*a, *b, *bound))
    };
    let (mut pairs, mut from) = (0, 0);
    for row in &mut come {
        while go.get(from).is_some_and(|other| other.1 == 0 || (first(other, row).is_lt() && !near(other, row, 1))) {
            from += 1;
        }
        for other in go.iter_mut().skip(from) {
            if row.1 == 0 || (first(other, row).is_gt() && !near(other, row, 1)) {
                break;
            }
            if near(row, other, bounds.len()) {
                let copies = row.1.min(other.1);
                row.1 -= copies;
                other.1 -= copies;
                pairs += copies;
            }
        }
    }
    pairs
}

fn first(a: &Floats, b: &Floats) -> Ordering {
    match (a.0.first().copied().flatten(), b.0.first().copied().flatten()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn is_near(a: Option<f64>, b: Option<f64>, bound: f64) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
        // Also equal infinities.
        (Some(a), Some(b)) if a.total_cmp(&b).is_eq() => true,
        (Some(a), Some(b)) if a.is_finite() && b.is_finite() => (a - b).abs() <= bound * a.abs().max(b.abs()),
        (Some(_), Some(_)) => false,
        (a, b) => a.is_none() && b.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::array::{Float64Array, Int64Array};

    use super::*;

    fn rows(rows: &[(i64, Option<f64>, i64)]) -> RecordBatch {
        let keys = Int64Array::from_iter_values(rows.iter().map(|r| r.0));
        let values: Float64Array = rows.iter().map(|r| r.1).collect();
        let weights = Int64Array::from_iter_values(rows.iter().map(|r| r.2));
        let columns: Vec<(&str, Arc<dyn Array>)> =
            vec![("k", Arc::new(keys)), ("v", Arc::new(values)), ("_w", Arc::new(weights))];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).expect("a batch")
    }

    #[test]
    fn last_digits_pair_up_and_nothing_else_does() {
        let sum = 0.1 + 0.2;
        for (batch, expected) in [
            (vec![(1, Some(sum), 1), (1, Some(0.3), -1)], 1),
            (vec![(1, Some(sum), 3), (1, Some(0.3), -2)], 2),
            (vec![(1, Some(sum), 1), (2, Some(0.3), -1)], 0),
            (vec![(1, Some(0.3), 1), (1, Some(0.300_001), -1)], 0),
            (vec![(1, None, 1), (1, Some(0.0), -1)], 0),
            (vec![(1, Some(f64::NAN), 1), (1, Some(-f64::NAN), -1)], 1),
            (vec![(1, Some(f64::INFINITY), 1), (1, Some(f64::NEG_INFINITY), -1)], 0),
            (vec![(1, Some(0.0), 1), (1, Some(-0.0), -1)], 1),
            (vec![(1, Some(1.0), 1), (1, Some(2.0), 1), (1, Some(2.0 + 1e-12), -1), (1, Some(1.0 - 1e-12), -1)], 2),
        ] {
            assert_eq!(paired(&[rows(&batch)]).expect("compared"), expected, "{batch:?}");
        }
    }
}
