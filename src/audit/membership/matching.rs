//! The rows that given rows of a query's result come from.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use deltalake::arrow::datatypes::{Field, Int64Type, Schema};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::{Column, DataFusionError, NullEquality, TableReference};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::logical_expr::{Expr, Filter, JoinType, LogicalPlan, TableScanBuilder, lit};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::rows::keys;
use crate::audit::provenance::{ORIGIN, Provenance};
use crate::error::{Context, Error, Kind, Result};
use crate::evaluate;
use crate::lake::adapt;
use crate::sql::shapes::{Columns, column, distinct, join, project};

/// The name of the given rows in the query for their origins.
const TARGETS: &str = "_targets";

/// Which columns have to be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Equal {
    /// All.
    InAll,
    /// All but floating-point numbers, whose last digits may differ.
    ButFloats,
}

/// Given rows of the result of a query.
pub(super) struct Targets {
    /// The columns of the query's result that they have: their position in it, and the values.
    columns: Vec<(usize, ArrayRef)>,
    rows: usize,
}

/// The rows of a scan that a given row comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    /// How many different ones.
    pub count: u64,
    /// The first ones in their order, each as a batch of one row.
    pub first: Vec<RecordBatch>,
}

impl Targets {
    /// Rows by the names of their columns.
    ///
    /// # Errors
    /// They have no column of the result, or one of another type.
    pub(super) fn of(rows: &RecordBatch, provenance: &Provenance) -> Result<Self> {
        let mut columns = Vec::new();
        for (at, field) in provenance.plan().schema().fields().iter().enumerate() {
            if let Some(values) = rows.column_by_name(field.name()) {
                let doing = || format!("column `{}` has another type than its query gives", field.name());
                columns.push((at, adapt(values, field.data_type()).context(doing)?));
            }
        }
        Ok(Self { columns, rows: rows.num_rows() })
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether the rows have floating-point numbers.
    pub(super) fn have_floats(&self) -> bool {
        self.columns.iter().any(|(_, values)| values.data_type().is_floating())
    }

    /// For each given row that the query gives, its origins in a scan.
    ///
    /// # Errors
    /// An operator has no rule, or the query cannot be computed.
    pub(super) async fn origins(
        &self,
        session: &SessionContext,
        tables: &BTreeMap<String, Arc<dyn TableProvider>>,
        (provenance, scan, carried): (&Provenance, usize, &[String]),
        (equal, most): (Equal, usize),
    ) -> Result<HashMap<usize, Origins>> {
        let doing = || "the rows that it read cannot be told apart".to_owned();
        let is_key = |values: &ArrayRef| !values.data_type().is_nested() && !values.data_type().is_null();
        let is_compared = |values: &ArrayRef| equal == Equal::InAll || !values.data_type().is_floating();
        let compared: Vec<&(usize, ArrayRef)> = self.columns.iter().filter(|(_, v)| is_compared(v)).collect();
        if compared.is_empty() && equal == Equal::ButFloats {
            return Ok(HashMap::new());
        }
        let (keyed, nested): (Vec<_>, Vec<_>) = compared.into_iter().partition(|(_, values)| is_key(values));
        let traced = provenance.rows(scan, carried).context(doing)?;
        let (plan, given) = self.matching(traced, provenance, &keyed, &nested).context(doing)?;
        let mut tables = tables.clone();
        tables.insert(TARGETS.to_owned(), given);
        let mut stream = evaluate::rows_over(plan, &tables, session, "the rows that it read").await?;
        let wanted = self.nested(&nested)?;
        let mut found: HashMap<usize, (u64, BTreeMap<Vec<u8>, RecordBatch>)> = HashMap::new();
        while let Some(batch) = stream.try_next().await.context(doing)? {
            let numbers = batch.column(0).as_primitive_opt::<Int64Type>();
            let origins = batch.column(1).as_struct_opt();
            let (Some(numbers), Some(origins)) = (numbers, origins) else {
                return Err(Error::new(Kind::Internal, "the origin of a row is no struct"));
            };
            let others = batch.columns().get(2..).unwrap_or_default();
            let others = encoded(others.iter().map(Arc::clone).collect(), batch.num_rows())?;
            // Where there is none, its parts are NULL.
            let fields = origins.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let values = RecordBatch::try_new(schema.clone(), origins.columns().to_vec()).context(doing)?;
            let order = keys(&values)?;
            for row in 0..batch.num_rows() {
                let Ok(number) = usize::try_from(numbers.value(row)) else { continue };
                if wanted.get(number) != others.get(row) {
                    continue;
                }
                let (count, first) = found.entry(number).or_default();
                if origins.is_null(row) {
                    continue;
                }
                *count += 1;
                let Some(key) = order.get(row) else { continue };
                if first.len() < most || first.last_key_value().is_some_and(|(last, _)| key < last) {
                    // A copy: a slice would hold the whole batch.
                    let one = [values.slice(row, 1)];
                    let one = deltalake::arrow::compute::concat_batches(&schema, &one).context(doing)?;
                    first.insert(key.clone(), one);
                    if first.len() > most {
                        first.pop_last();
                    }
                }
            }
        }
        let origins = |(count, first): (u64, BTreeMap<Vec<u8>, RecordBatch>)| Origins {
            count,
            first: first.into_values().collect(),
        };
        Ok(found.into_iter().map(|(number, found)| (number, origins(found))).collect())
    }

    /// The number of a given row, its origin, and the nested columns of the result, each combination once.
    fn matching(
        &self,
        traced: LogicalPlan,
        provenance: &Provenance,
        keyed: &[&(usize, ArrayRef)],
        nested: &[&(usize, ArrayRef)],
    ) -> Result<(LogicalPlan, Arc<dyn TableProvider>), DataFusionError> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(self.rows).unwrap_or(i64::MAX)));
        let (mut fields, mut arrays) = (vec![Field::new("_t", numbers.data_type().clone(), false)], vec![numbers]);
        for (at, values) in keyed {
            fields.push(Field::new(format!("_v{at}"), values.data_type().clone(), true));
            arrays.push(Arc::clone(values));
        }
        let schema = Arc::new(Schema::new(fields));
        let given = RecordBatch::try_new(schema.clone(), arrays)?;
        let name = TableReference::bare(TARGETS);
        let given_column = |column: String| Expr::Column(Column::new(Some(name.clone()), column));
        let scan = TableScanBuilder::new(name.clone(), Arc::new(Columns::new(schema.clone()))).build()?;
        let mut traced = traced;
        for (position, (at, _)) in keyed.iter().enumerate().filter(|(_, (at, _))| provenance.is_plain(*at)) {
            let batches = std::slice::from_ref(&given);
            let of = column(traced.schema(), *at);
            let nulls = NullEquality::NullEqualsNull;
            if let Some(condition) = evaluate::condition(&of, batches, position + 1, nulls)? {
                traced = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(traced))?);
            }
        }
        let on = |(at, _): &&(usize, ArrayRef)| (given_column(format!("_v{at}")), column(traced.schema(), *at));
        let on: Vec<(Expr, Expr)> = keyed.iter().map(on).collect();
        let mut exprs = vec![given_column("_t".to_owned()), Expr::Column(Column::new_unqualified(ORIGIN))];
        exprs.extend(nested.iter().map(|(at, _)| column(traced.schema(), *at).alias(format!("_n{at}"))));
        let filter = on.is_empty().then(|| lit(true));
        let nulls = NullEquality::NullEqualsNull;
        let joined = join(LogicalPlan::TableScan(scan), traced, on, filter, JoinType::Inner, nulls)?;
        let plan = distinct(project(joined, exprs)?)?;
        let given = MemTable::try_new(schema, vec![vec![given]])?;
        Ok((plan, Arc::new(given)))
    }

    /// The nested columns of the given rows, as bytes.
    fn nested(&self, nested: &[&(usize, ArrayRef)]) -> Result<Vec<Vec<u8>>> {
        encoded(nested.iter().map(|(_, values)| Arc::clone(values)).collect(), self.rows)
    }
}

/// Columns as bytes per row; empty ones if there are no columns.
fn encoded(columns: Vec<ArrayRef>, rows: usize) -> Result<Vec<Vec<u8>>> {
    if columns.is_empty() {
        return Ok(vec![Vec::new(); rows]);
    }
    let fields = columns.iter().enumerate();
    let fields = fields.map(|(at, values)| Field::new(format!("n{at}"), values.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(schema, columns).context(|| "nested values cannot be compared".into())?;
    keys(&batch)
}

/// The given rows that are missing from what was found.
pub(super) fn missing(rows: usize, found: &HashSet<usize>) -> Vec<usize> {
    (0..rows).filter(|row| !found.contains(row)).collect()
}
