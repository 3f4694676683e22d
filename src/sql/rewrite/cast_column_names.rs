//! Gives casts unique names, for queries in which the engine confuses two of them.
//!
//! In DataFusion 55 `cast(n as int)` is named `n`, in a grouping `t.n`: beside `n` itself, or `cast(n as varchar)`, it
//! is refused as a duplicate name, or resolved to the other one. `arrow_cast(n, 'Int32')` has its own name. So such a
//! query is planned again with this spelling.

use std::ops::ControlFlow;

use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::common::{DataFusionError, SchemaError};
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Select,
    SelectItem, VisitorMut,
};

use crate::sql::rewrite::function_aliases::parsed;
use crate::sql::visit::{visit_expressions_mut, visit_mut};

/// Whether planning found the name of a cast twice: as an error, or as columns of one name.
pub(crate) fn are_confused(planned: &Result<LogicalPlan, DataFusionError>) -> bool {
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => {
            let root = error.find_root();
            let duplicate = |e: &SchemaError| {
                !matches!(e, SchemaError::FieldNotFound { .. } | SchemaError::AmbiguousReference { .. })
            };
            return matches!(root, DataFusionError::SchemaError(e, _) if duplicate(e))
                || root.message().contains("require unique expression names");
        }
    };
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            let names: Vec<String> = aggregate.group_expr.iter().map(|e| e.schema_name().to_string()).collect();
            found |= names.iter().enumerate().any(|(i, name)| names[..i].contains(name));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found || walked.is_err()
}

/// Spells every cast of a query so that its type is part of its name. `type_of` is the engine's name of a type; if it
/// has none, the query is unchanged.
pub(crate) fn spelled_out(query: &Query, type_of: impl Fn(&SqlType) -> Option<String>) -> Option<Query> {
    let mut spelled = query.clone();
    // A cast in the select list keeps its visible name.
    let _ = visit_mut(&mut spelled, &mut Named);
    let mut any = false;
    let flow = visit_expressions_mut(&mut spelled, |expr| {
        let Expr::Cast { kind, expr: of, data_type, array: false, format: None } = expr else {
            return ControlFlow::Continue(());
        };
        let function = match kind {
            CastKind::Cast | CastKind::DoubleColon => "arrow_cast",
            CastKind::TryCast | CastKind::SafeCast => "arrow_try_cast",
        };
        let Some(mut call) = type_of(data_type).and_then(|to| call(function, &to)) else {
            return ControlFlow::Break(());
        };
        if let Expr::Function(f) = &mut call
            && let FunctionArguments::List(list) = &mut f.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))) = list.args.first_mut()
        {
            std::mem::swap(arg, of);
            any = true;
        }
        *expr = call;
        ControlFlow::Continue(())
    });
    (any && flow.is_continue()).then_some(spelled)
}

/// `function(0, 'to')`.
fn call(function: &str, to: &str) -> Option<Expr> {
    parsed(&format!("{function}(0, '{}')", to.replace('\'', "''")))
}

/// Gives casts in select lists the names that the engine would give them.
struct Named;

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr @ Expr::Cast { .. }) = item
                && let Some(alias) = column(expr)
            {
                let expr = std::mem::replace(expr, Expr::Identifier(alias.clone()));
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
        ControlFlow::Continue(())
    }
}

fn column(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => column(expr),
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        _ => None,
    }
}
