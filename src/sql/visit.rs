//! Visits of syntax trees.
//!
//! The parser's crate compiles the visit of all syntax once more for each type of visitor. Here it is compiled once, and calls
//! the visitor by reference.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};

/// Visits every node of some syntax.
pub(crate) fn visit(syntax: &impl Visit, visitor: &mut dyn Visitor<Break = ()>) -> ControlFlow<()> {
    syntax.visit(&mut ByReference(visitor))
}

/// Visits every node of some syntax, and may change it.
pub(crate) fn visit_mut(syntax: &mut impl VisitMut, visitor: &mut dyn VisitorMut<Break = ()>) -> ControlFlow<()> {
    syntax.visit(&mut ByMutableReference(visitor))
}

/// Visits every expression before those in it.
pub(crate) fn visit_expressions(
    syntax: &impl Visit,
    mut each: impl FnMut(&Expr) -> ControlFlow<()>,
) -> ControlFlow<()> {
    visit(syntax, &mut Expressions(&mut each))
}

/// Visits every expression after those in it, and may change it.
pub(crate) fn visit_expressions_mut(
    syntax: &mut impl VisitMut,
    mut each: impl FnMut(&mut Expr) -> ControlFlow<()>,
) -> ControlFlow<()> {
    visit_mut(syntax, &mut Expressions(&mut each))
}

struct ByReference<'v>(&'v mut dyn Visitor<Break = ()>);

struct ByMutableReference<'v>(&'v mut dyn VisitorMut<Break = ()>);

struct Expressions<F>(F);

macro_rules! delegate {
    ($($hook:ident($node:ty);)*) => {
        type Break = ();

        $(fn $hook(&mut self, node: $node) -> ControlFlow<()> {
            self.0.$hook(node)
        })*
    };
}

impl Visitor for ByReference<'_> {
    delegate! {
        pre_visit_query(&Query);
        post_visit_query(&Query);
        pre_visit_select(&Select);
        post_visit_select(&Select);
        pre_visit_relation(&ObjectName);
        post_visit_relation(&ObjectName);
        pre_visit_table_factor(&TableFactor);
        post_visit_table_factor(&TableFactor);
        pre_visit_expr(&Expr);
        post_visit_expr(&Expr);
        pre_visit_statement(&Statement);
        post_visit_statement(&Statement);
        pre_visit_value(&ValueWithSpan);
        post_visit_value(&ValueWithSpan);
    }
}

impl VisitorMut for ByMutableReference<'_> {
    delegate! {
        pre_visit_query(&mut Query);
        post_visit_query(&mut Query);
        pre_visit_select(&mut Select);
        post_visit_select(&mut Select);
        pre_visit_relation(&mut ObjectName);
        post_visit_relation(&mut ObjectName);
        pre_visit_table_factor(&mut TableFactor);
        post_visit_table_factor(&mut TableFactor);
        pre_visit_expr(&mut Expr);
        post_visit_expr(&mut Expr);
        pre_visit_statement(&mut Statement);
        post_visit_statement(&mut Statement);
        pre_visit_value(&mut ValueWithSpan);
        post_visit_value(&mut ValueWithSpan);
    }
}

impl<F: FnMut(&Expr) -> ControlFlow<()>> Visitor for Expressions<F> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        (self.0)(expr)
    }
}

impl<F: FnMut(&mut Expr) -> ControlFlow<()>> VisitorMut for Expressions<F> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        (self.0)(expr)
    }
}
