//! Substitutes real tables for the scans of a plan.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deltalake::arrow::datatypes::FieldRef;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use deltalake::datafusion::common::{Column, DFSchema, DFSchemaRef, DataFusionError, ScalarValue, TableReference};
use deltalake::datafusion::datasource::provider_as_source;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, Projection, TableScan, TableScanBuilder, lit};

use crate::error::{Context, Error, Result};
use crate::incremental::{Side, WEIGHT, parse_scan_name};
use crate::lake::adapted;

use super::Sources;

/// Opens every table side that the plan reads, once, and scans it.
pub(super) async fn bind(plan: LogicalPlan, sources: &dyn Sources) -> Result<LogicalPlan> {
    let mut open: HashMap<String, Arc<dyn TableProvider>> = HashMap::new();
    for (name, table, side) in scans(&plan).context(|| "a plan cannot be read".into())? {
        let provider = sources.provider(&table, side).await?;
        open.insert(name, provider);
    }
    bound(plan, |scan| Ok(open.get(scan.table_name.table()).map(Arc::clone)))
        .context(|| "a table does not have the columns that the query reads".into())
}

/// A plan with providers for the scans that have one.
pub(super) fn bound(
    plan: LogicalPlan,
    provider: impl Fn(&TableScan) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError>,
) -> Result<LogicalPlan, DataFusionError> {
    let bound = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::TableScan(scan) => match provider(scan)? {
            Some(provider) => {
                // A version from before a column was added has NULL in it.
                let is_old = matches!(parse_scan_name(scan.table_name.table()), Some((_, Side::Old)));
                let missing = if is_old { Missing::IsNull } else { Missing::IsAnError };
                let columns = (&scan.projected_schema, missing);
                Ok(Transformed::yes(scan_as(provider, scan.table_name.clone(), columns)?))
            }
            None => Ok(Transformed::no(node)),
        },
        // A table's schema may differ in nullability from its declaration.
        _ => Ok(Transformed::yes(node.recompute_schema()?)),
    });
    bound.map(|t| t.data)
}

/// Names, tables and sides of the scans of a plan, each once.
fn scans(plan: &LogicalPlan) -> Result<Vec<(String, String, Side)>, DataFusionError> {
    let mut found: Vec<(String, String, Side)> = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let name = scan.table_name.table();
            if let Some((table, side)) = parse_scan_name(name)
                && !found.iter().any(|(known, ..)| known == name)
            {
                found.push((name.to_owned(), table.to_owned(), side));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// What a column is that a provider lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// NULL in every row.
    IsNull,
    /// A mistake.
    IsAnError,
}

/// Scans a provider under a name, with the columns and types of `schema`, found by name.
pub(super) fn scan_as(
    provider: Arc<dyn TableProvider>,
    name: TableReference,
    (schema, missing): (&DFSchemaRef, Missing),
) -> Result<LogicalPlan, DataFusionError> {
    let actual = provider.schema();
    let mut projection = Vec::with_capacity(schema.fields().len());
    let (mut same, mut lacks) = (true, BTreeSet::new());
    for field in schema.fields() {
        match actual.index_of(field.name()) {
            Ok(at) => {
                same &= actual.field(at).data_type() == field.data_type();
                projection.push(at);
            }
            Err(_) if missing == Missing::IsNull => {
                same = false;
                lacks.insert(field.name().clone());
            }
            Err(error) => return Err(error.into()),
        }
    }
    let scan = TableScanBuilder::new(name.clone(), provider_as_source(provider)).with_projection(Some(projection));
    let scan = LogicalPlan::TableScan(scan.build()?);
    if same {
        return Ok(scan);
    }
    // A provider with views of strings, say, where the plan was made for plain ones; a version whose structs had fewer
    // fields.
    let expr = |(relation, field): (Option<&TableReference>, &FieldRef)| {
        let value = match lacks.contains(field.name()) {
            true => lit(ScalarValue::try_from(field.data_type())?),
            false => adapted(Expr::Column(Column::new(Some(name.clone()), field.name())), field.data_type()),
        };
        Ok(value.alias_qualified(relation.cloned(), field.name()))
    };
    let exprs = schema.iter().map(expr).collect::<Result<_, DataFusionError>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(scan))?))
}

/// Scans a provider with the columns of a result, found by name.
pub(super) fn scan_like(provider: Arc<dyn TableProvider>, result: &DFSchemaRef) -> Result<LogicalPlan> {
    let names = Arc::new(result.as_ref().clone().strip_qualifiers());
    scan_as(provider, TableReference::bare("old"), (&names, Missing::IsAnError))
        .map_err(|e| Error::failed("the table does not have the columns of its query").because(e))
}

/// Gives a change the column names of a result, without qualifiers.
pub(super) fn named_like(change: LogicalPlan, result: &DFSchema) -> Result<LogicalPlan> {
    let names = result.fields().iter().map(|f| f.name().clone()).chain([WEIGHT.to_owned()]);
    let exprs = change.schema().columns().into_iter().zip(names).map(|(c, name)| Expr::Column(c).alias(name)).collect();
    Projection::try_new(exprs, Arc::new(change))
        .map(LogicalPlan::Projection)
        .context(|| "the columns of a result cannot be named".into())
}
