//! Texts that `unnest` repeats for the elements of a list are shared by their rows, not copied for each.
//!
//! The engine cuts batches by rows, and never splits the output of one input row: a text of megabytes beside a list of
//! thousands of elements would be one array of gigabytes. As a view of the text each element takes 16 bytes, and the
//! output is cut into batches before it is copied.
//!
//! The engine does not see that a cast to a view keeps the order of rows. Windows and groups above rely on the order that
//! the other rules found, so what casts back has the properties of the operator that it replaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Schema};
use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::physical_expr::PhysicalExpr;
use deltalake::datafusion::physical_expr::expressions::{CastExpr, Column};
use deltalake::datafusion::physical_optimizer::PhysicalOptimizerRule;
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use deltalake::datafusion::physical_plan::unnest::UnnestExec;

use super::drop_equivalences::ForgetExec;

/// The rule. It runs after all others, which would remove the casts again.
#[derive(Debug)]
pub(super) struct ShareTexts;

impl PhysicalOptimizerRule for ShareTexts {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let shared = node.downcast_ref::<UnnestExec>().map(shared).transpose()?.flatten();
            Ok(shared.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "share_texts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The view of a type of texts.
pub(super) fn view(of: &DataType) -> Option<DataType> {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 => Some(DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => Some(DataType::BinaryView),
        _ => None,
    }
}

/// The same operator over views, and the casts back to texts; `None` if it repeats no text.
fn shared(unnest: &UnnestExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (input, output) = (unnest.input().schema(), ExecutionPlan::schema(unnest));
    let count = |schema: &Schema, name: &str| schema.fields().iter().filter(|field| field.name() == name).count();
    let is_unnested = |at: usize| {
        unnest.list_column_indices().iter().any(|list| list.index_in_input_schema == at)
            || unnest.struct_column_indices().contains(&at)
    };
    let repeated = input.fields().iter().enumerate().filter(|(at, _)| !is_unnested(*at));
    // The operator itself finds its columns by name.
    let repeated = repeated.filter(|(_, f)| count(&input, f.name()) == 1 && count(&output, f.name()) == 1);
    let views: BTreeMap<&str, DataType> =
        repeated.filter_map(|(_, field)| Some((field.name().as_str(), view(field.data_type())?))).collect();
    if views.is_empty() {
        return Ok(None);
    }
    let below = cast(Arc::clone(unnest.input()), |name, _| views.get(name).cloned())?;
    let fields = output.fields().iter().map(|field| match views.get(field.name().as_str()) {
        Some(view) => Arc::new(field.as_ref().clone().with_data_type(view.clone())),
        None => Arc::clone(field),
    });
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), output.metadata().clone());
    let (lists, structs) = (unnest.list_column_indices().to_vec(), unnest.struct_column_indices().to_vec());
    let over_views = UnnestExec::new(below, lists, structs, Arc::new(schema), unnest.options().clone())?;
    let input = cast(Arc::new(over_views), |_, at| Some(output.field(at).data_type().clone()))?;
    if input.schema() != output {
        return Ok(None);
    }
    Ok(Some(Arc::new(ForgetExec::through_views(input, unnest.properties()))))
}

/// A projection of all columns with some cast.
pub(super) fn cast(
    input: Arc<dyn ExecutionPlan>,
    to: impl Fn(&str, usize) -> Option<DataType>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = input.schema();
    let exprs = schema.fields().iter().enumerate().map(|(at, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
        let expr = match to(field.name(), at).filter(|to| to != field.data_type()) {
            Some(to) => Arc::new(CastExpr::new(column, to, None)),
            None => column,
        };
        ProjectionExpr { expr, alias: field.name().clone() }
    });
    Ok(Arc::new(ProjectionExec::try_new(exprs.collect::<Vec<_>>(), input)?))
}
