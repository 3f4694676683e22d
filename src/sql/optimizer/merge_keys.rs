//! Keys of sort-merge joins as values that the engine can compare.
//!
//! `compare_join_arrays` of DataFusion 55 has no case for timestamps with a zone, such as those of Delta tables: a join by
//! them ends with an error when memory is short. Of one unit, they are equal if their numbers are.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::Result;
use deltalake::datafusion::common::tree_node::Transformed;
use deltalake::datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};
use deltalake::datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Keys that are timestamps with a zone as numbers, in sessions with sort-merge joins.
#[derive(Debug)]
pub(crate) struct MergeKeys;

impl OptimizerRule for MergeKeys {
    fn name(&self) -> &str {
        "merge_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        let mut changed = false;
        if !config.options().optimizer.prefer_hash_join {
            for (left, right) in &mut join.on {
                let of_type = left.get_type(join.left.schema().as_ref())?;
                let is_same = right.get_type(join.right.schema().as_ref())? == of_type;
                if is_same && matches!(of_type, DataType::Timestamp(_, Some(_))) {
                    let number = |key: &Expr| cast(key.clone(), DataType::Int64);
                    (*left, *right) = (number(left), number(right));
                    changed = true;
                }
            }
        }
        let join = LogicalPlan::Join(join);
        Ok(if changed { Transformed::yes(join) } else { Transformed::no(join) })
    }
}
