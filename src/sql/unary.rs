//! The part of an operator that all operators with one input and no expressions of their own have in common.

/// The methods of [`ExecutionPlan`](deltalake::datafusion::physical_plan::ExecutionPlan) for a struct that has `input`,
/// `properties`, and `over`, which makes the same operator over another input.
macro_rules! unary_operator {
    ($name:literal) => {
        fn name(&self) -> &'static str {
            $name
        }

        fn properties(&self) -> &std::sync::Arc<deltalake::datafusion::physical_plan::PlanProperties> {
            &self.properties
        }

        fn children(&self) -> Vec<&std::sync::Arc<dyn ExecutionPlan>> {
            vec![&self.input]
        }

        fn apply_expressions(
            &self,
            _: &mut dyn FnMut(
                &std::sync::Arc<dyn deltalake::datafusion::physical_expr::PhysicalExpr>,
            ) -> Result<deltalake::datafusion::common::tree_node::TreeNodeRecursion>,
        ) -> Result<deltalake::datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(deltalake::datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }

        fn replace_children(
            self: std::sync::Arc<Self>,
            mut children: Vec<std::sync::Arc<dyn ExecutionPlan>>,
            _: deltalake::datafusion::physical_plan::ReplaceChildrenOptions,
        ) -> Result<std::sync::Arc<dyn ExecutionPlan>> {
            let one = || deltalake::datafusion::common::plan_datafusion_err!("{} has one input", $name);
            Ok(std::sync::Arc::new(self.over(children.pop().ok_or_else(one)?)))
        }

        fn with_new_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn ExecutionPlan>>,
        ) -> Result<std::sync::Arc<dyn ExecutionPlan>> {
            use deltalake::datafusion::physical_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
            self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
        }
    };
}

pub(super) use unary_operator;
