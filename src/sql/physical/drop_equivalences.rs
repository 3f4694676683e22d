//! Corrects wrong assumptions of the query engine about outer joins, unions, conditions and doubles, with an operator
//! that passes rows on and drops some of their properties.
//!
//! `EquivalenceGroup::join` of DataFusion 55 takes over the constants of both sides, also of the side whose columns are
//! NULL in unmatched rows. After `left join q on q.id = p.w and q.v = 1` it assumes that `q.v` is 1 everywhere, and
//! drops it from `order by q.v, p.id`: limits and windows pick the wrong rows. So that side drops its constants.
//!
//! A union in which one part has a constant where the others have an order is sorted part by part, found unsorted, and
//! refused (`SanityCheckPlan`). Its parts drop their constants too.
//!
//! `CastExpr::propagate_constraints` widens the bounds of a column: the estimate for
//! `where cast(cast(at as date) as timestamp) = at` has more output than input rows, and an assertion fails. So scans
//! drop their bounds; they keep the number of rows and bytes.
//!
//! A log can describe columns with metadata, such as comments, and two versions of a table differently. The engine takes
//! such fields for different ones where it joins plans. So scans drop it from their schemas, too.
//!
//! Bounds of doubles omit NaN, in the log and in Parquet's row groups (the Parquet format says so), while the engine
//! orders NaN by its sign bit above or below every number: `where f > 5` would lose it with its file. So conditions on
//! doubles are not pushed to the files.

use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use deltalake::arrow::compute::{CastOptions, cast_with_options};
use deltalake::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::stats::Precision;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{JoinType, Result, Statistics, plan_datafusion_err};
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use deltalake::datafusion::physical_optimizer::PhysicalOptimizerRule;
use deltalake::datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use deltalake::datafusion::physical_plan::execution_plan::CardinalityEffect;
use deltalake::datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use deltalake::datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use deltalake::datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::union::UnionExec;
use deltalake::datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};

use futures::StreamExt;

use super::first_rows::FirstRows;
use super::in_turn::InTurn;
use super::repeated_texts::ShareJoinedTexts;
use super::satisfied::satisfied;
use super::shared_texts::ShareTexts;
use crate::sql::unary::unary_operator;
use crate::types::plain_schema;

/// The engine's rules for physical plans, between the rules that drop properties and run unions in turn, and the rules
/// that read first rows and share texts.
#[must_use]
pub(crate) fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = satisfied(PhysicalOptimizer::new().rules);
    rules.insert(0, Arc::new(InTurn));
    rules.insert(0, Arc::new(Forget));
    rules.push(Arc::new(FirstRows));
    rules.push(Arc::new(ShareTexts));
    rules.push(Arc::new(ShareJoinedTexts));
    rules
}

/// Those of them without which no plan runs within its memory, or which establish the order and the partitions that an
/// input needs.
#[must_use]
pub(crate) fn plain_physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    const NEEDED: [&str; 9] = [
        "forget",
        "in_turn",
        "OutputRequirements",
        "join_selection",
        "EnsureRequirements",
        "EnsureCooperative",
        "SanityCheckPlan",
        "share_texts",
        "share_joined_texts",
    ];
    physical_rules().into_iter().filter(|rule| NEEDED.contains(&rule.name())).collect()
}

#[derive(Debug)]
struct Forget;

impl PhysicalOptimizerRule for Forget {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let forget = |node: Arc<dyn ExecutionPlan>| {
            let forgotten = match join_type(&node) {
                Some(JoinType::Left) => vec![None, Some(Forgotten::Constants)],
                Some(JoinType::Right) => vec![Some(Forgotten::Constants), None],
                Some(JoinType::Full) => vec![Some(Forgotten::Constants); 2],
                None if node.downcast_ref::<UnionExec>().is_some() => {
                    vec![Some(Forgotten::Constants); node.children().len()]
                }
                _ => return Ok(Transformed::no(node)),
            };
            let children = node.children().into_iter().zip(forgotten);
            let children = children.map(|(child, what)| match what {
                Some(what) => Arc::new(ForgetExec::new(child.clone(), what)),
                None => child.clone(),
            });
            let children = children.collect();
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            node.replace_children(children, options).map(Transformed::yes)
        };
        plan.transform_up(forget).data()
    }

    fn name(&self) -> &'static str {
        "forget"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn join_type(node: &Arc<dyn ExecutionPlan>) -> Option<JoinType> {
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        return Some(*join.join_type());
    }
    if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        return Some(join.join_type());
    }
    node.downcast_ref::<NestedLoopJoinExec>().map(|join| *join.join_type())
}

/// Whether values of a type are doubles or contain some.
pub(crate) fn holds_doubles(of_type: &DataType) -> bool {
    match of_type {
        DataType::Struct(fields) => fields.iter().any(|field| holds_doubles(field.data_type())),
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => {
            holds_doubles(field.data_type())
        }
        other => other.is_floating(),
    }
}

/// The properties of rows that are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgotten {
    /// Constants, orders, equal columns.
    Constants,
    /// Minima and maxima, and metadata of columns. Conditions on doubles are not pushed below.
    Bounds,
    /// That texts went through views: the rows have the properties of the operator that is replaced.
    Views,
}

/// Passes rows on and drops some of their properties.
#[derive(Debug)]
pub(crate) struct ForgetExec {
    input: Arc<dyn ExecutionPlan>,
    what: Forgotten,
    properties: Arc<PlanProperties>,
}

impl ForgetExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, what: Forgotten) -> Self {
        let with = |known: EquivalenceProperties| {
            Arc::new(PlanProperties::clone(input.properties()).with_eq_properties(known))
        };
        let properties = match (what, plain_schema(&input.schema())) {
            (Forgotten::Constants, _) => with(EquivalenceProperties::new(input.schema())),
            (Forgotten::Bounds, Some(plain)) => with(EquivalenceProperties::new(plain)),
            (Forgotten::Bounds, None) | (Forgotten::Views, _) => Arc::clone(input.properties()),
        };
        Self { input, what, properties }
    }

    /// The same rows as those of an operator with these properties, but through views.
    pub(super) fn through_views(input: Arc<dyn ExecutionPlan>, properties: &Arc<PlanProperties>) -> Self {
        Self { input, what: Forgotten::Views, properties: Arc::clone(properties) }
    }

    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        match self.what {
            Forgotten::Views => Self::through_views(input, &self.properties),
            what => Self::new(input, what),
        }
    }
}

/// A batch with a schema that differs in the metadata of fields alone.
pub(super) fn in_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |(column, field): (&ArrayRef, &FieldRef)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..CastOptions::default() }),
    };
    let columns =
        batch.columns().iter().zip(schema.fields()).map(column).collect::<std::result::Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

impl DisplayAs for ForgetExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForgetExec: {:?}", self.what)
    }
}

impl ExecutionPlan for ForgetExec {
    unary_operator!("ForgetExec");

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let schema = self.schema();
        if self.input.schema() == schema {
            return Ok(rows);
        }
        let plain = Arc::clone(&schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows.map(move |batch| in_schema(&batch?, &plain)))))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let input = inputs.first().ok_or_else(|| plan_datafusion_err!("ForgetExec has one input"))?;
        if self.what != Forgotten::Bounds {
            return Ok(Arc::clone(input));
        }
        let mut known = Statistics::clone(input);
        for column in &mut known.column_statistics {
            (column.min_value, column.max_value) = (Precision::Absent, Precision::Absent);
            column.sum_value = Precision::Absent;
        }
        Ok(Arc::new(known))
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        if self.what != Forgotten::Bounds {
            return FilterDescription::from_children(parent_filters, &self.children());
        }
        let schema = self.schema();
        let fields = schema.fields().iter().enumerate();
        let others = fields.filter(|(_, field)| !holds_doubles(field.data_type())).map(|(i, _)| i).collect();
        let child = ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, others, &self.input)?;
        Ok(FilterDescription::new().with_child(child))
    }

    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}
