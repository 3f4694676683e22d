//! Notes on the meaning of a query in Athena: SQL that Athena reads differently, or not at all.
//!
//! A note never makes a project faulty: the tables are correct. It says that the same text, pasted into Athena, gives
//! another result. Athena's engine is Trino; both sides of every note were measured, DataFusion 55 against Trino 435
//! (`tests/athena/refused.sql` holds texts that Trino's own parser refuses). Uncertain differences are not reported.

mod fine;
mod functions;
mod order;
mod reserved;
mod scope;
mod syntax;
#[cfg(test)]
mod tests;
mod tokens;
mod values;

use std::ops::ControlFlow;

use deltalake::datafusion::common::Span;
use deltalake::datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Query, Select, TableFactor, Visitor};
use deltalake::datafusion::sql::sqlparser::tokenizer;

use super::notes::{Notes, Rule};
use crate::source::{Place, SourceFile};
use crate::sql::planner::Tables;
use crate::sql::text::Sql;
use crate::sql::visit::visit;
pub(super) use fine::has_microseconds;
pub(super) use functions::{Spelling, spelling};
use scope::Scope;

/// Adds the notes on a query that plans without faults over `tables`; `has_microseconds`: some of its times may be
/// finer than a millisecond.
pub(super) fn query(
    file: &SourceFile,
    (sql, query): (&Sql, &Query),
    tables: &Tables,
    has_microseconds: bool,
    notes: &mut Notes,
) {
    tokens::tokens(file, sql, notes);
    let mut reader = Reader { sql, scope: Scope::new(tables), has_microseconds, notes, agreed: Vec::new() };
    // The visitor never breaks.
    let _ = visit(query, &mut reader);
}

/// Traverses a query and notes differences; knows the visible tables at every expression.
struct Reader<'a> {
    sql: &'a Sql,
    scope: Scope<'a>,
    has_microseconds: bool,
    notes: &'a mut Notes,
    /// Calls, and `*`, inside something that makes both engines agree.
    agreed: Vec<tokenizer::Span>,
}

impl Reader<'_> {
    /// The place of a span of the parser, or of the query's first word.
    fn place(&self, span: tokenizer::Span) -> Place {
        Span::try_from_sqlparser_span(span).map_or_else(|| self.sql.start(), |span| self.sql.place(span))
    }

    fn note(&mut self, rule: Rule, span: tokenizer::Span, message: impl Into<String>, label: impl Into<String>) {
        let place = self.place(span);
        self.notes.add(rule, &place, message, label);
    }

    /// Notes a name that has to be quoted.
    fn name(&mut self, ident: &Ident) {
        if ident.quote_style.is_none() && reserved::is_reserved(&ident.value) {
            let message = format!("`{}` is a reserved word in Athena", ident.value);
            self.note(Rule::ReservedWord, ident.span, message, format!("write `\"{}\"`, or another name", ident.value));
        }
    }
}

impl Visitor for Reader<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scope.enter(query);
        syntax::query(query, self);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        order::query(query, self);
        self.scope.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.scope.select(select);
        syntax::select(select, self);
        order::select(select, self);
        functions::select(select, self);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        syntax::table(table, self);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        relation.0.iter().filter_map(|part| part.as_ident()).for_each(|ident| self.name(ident));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Exists { subquery, .. } = expr {
            syntax::exists(subquery, self);
        }
        syntax::expr(expr, self);
        values::expr(expr, self);
        functions::expr(expr, self);
        ControlFlow::Continue(())
    }
}
