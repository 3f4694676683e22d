//! Rows of `grouping sets`, `rollup` and `cube`: each comes from the rows that are equal in the keys of its own set.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::datafusion::common::{DataFusionError, Result, ScalarValue};
use deltalake::datafusion::logical_expr::utils::grouping_set_to_exprlist;
use deltalake::datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Filter, GroupingSet, LogicalPlan, Operator, Union, binary_expr, lit,
};

use super::trace::{Traced, Tracer, no_rule, origin};
use crate::sql::shapes::{column, columns, project};

impl Tracer<'_> {
    /// An aggregate over grouping sets. The engine gives its rows an id with a bit per key, the last key in the lowest bit: it
    /// is set where the row's set does not have the key.
    pub(super) fn grouping_sets(&mut self, plan: &LogicalPlan, aggregate: &Aggregate, scan: usize) -> Result<Traced> {
        let keys: Vec<Expr> = grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
        let fields = aggregate.schema.fields();
        let is_id = fields.get(keys.len()).is_some_and(|field| field.name() == Aggregate::INTERNAL_GROUPING_ID);
        if !is_id || fields.len() != keys.len() + 1 + aggregate.aggr_expr.len() || keys.len() >= 64 {
            return Err(no_rule(plan));
        }
        let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else { return Err(no_rule(plan)) };
        let traced = self.trace(&aggregate.input, scan)?.plan;
        let id = column(&aggregate.schema, keys.len());
        let of_type = id.get_type(aggregate.schema.as_ref())?;
        let number = |number: u64| ScalarValue::from(number).cast_to(&of_type).map(lit);
        // The bits above count equal sets.
        let own = binary_expr(id, Operator::BitwiseAnd, number((1 << keys.len()) - 1)?);
        let mut parts = Vec::new();
        for without in masks(sets, &keys)? {
            let rows = Filter::try_new(own.clone().eq(number(without)?), Arc::new(plan.clone()))?;
            let has = |at: &usize| without & (1 << (keys.len() - 1 - at)) == 0;
            let of_set: Vec<usize> = (0..keys.len()).filter(has).collect();
            let of_rows = of_set.iter().map(|at| column(&aggregate.schema, *at)).collect();
            let of_input = of_set.iter().filter_map(|at| keys.get(*at).cloned()).collect();
            let part = self.attach(&LogicalPlan::Filter(rows), of_rows, traced.clone(), of_input)?;
            parts.push(Arc::new(part.plan));
        }
        let parts = match parts.len() {
            1 => parts.swap_remove(0).as_ref().clone(),
            _ => LogicalPlan::Union(Union::try_new_with_loose_types(parts)?),
        };
        // A union has no relations in its schema.
        let original = columns(plan.schema()).into_iter().enumerate().map(|(at, original)| match original {
            Expr::Column(of) => column(parts.schema(), at).alias_qualified(of.relation, of.name),
            other => other,
        });
        let all = original.chain([origin()]).collect();
        Ok(Traced { plan: project(parts, all)?, is_exact: false })
    }
}

/// The sets by their ids, each once.
fn masks(sets: &GroupingSet, keys: &[Expr]) -> Result<BTreeSet<u64>> {
    let all = keys.len();
    Ok(match sets {
        GroupingSet::Rollup(_) => (0..=all).map(|without| (1 << without) - 1).collect(),
        GroupingSet::Cube(_) if all < 16 => (0..(1 << all)).collect(),
        GroupingSet::Cube(_) => return Err(DataFusionError::NotImplemented("a cube of so many keys".into())),
        GroupingSet::GroupingSets(sets) => {
            let id = |set: &Vec<Expr>| keys.iter().fold(0, |id, key| (id << 1) | u64::from(!set.contains(key)));
            sets.iter().map(id).collect()
        }
    })
}
