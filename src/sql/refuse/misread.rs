//! Clauses that the parser accepts and the query engine ignores or misinterprets, reported when the project is checked.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, NamedWindowExpr, Query, Select, SelectItem, SetExpr,
    TableFactor, TableWithJoins, Visitor, WindowSpec, WindowType,
};

use crate::determinism::{Code, Reason};
use crate::source::faults::Faults;
use crate::sql::text::Sql;
use crate::sql::visit::visit;

/// Reports every such clause of a query.
pub(crate) fn report(query: &Query, sql: &Sql, faults: &mut Faults) {
    let mut found = Found(Vec::new());
    let _ = visit(query, &mut found);
    for (code, word, text, label) in found.0 {
        let words = [word.to_lowercase(), word.to_uppercase(), word];
        let reason = Reason::new(code, text);
        faults.add(sql.find(&words).unwrap_or_else(|| sql.start()), reason.to_string(), label);
    }
}

/// The code, the word to point at, the problem, and the replacement.
struct Found(Vec<(Code, String, String, &'static str)>);

impl Found {
    fn add(&mut self, word: &str, text: impl Into<String>, label: &'static str) {
        self.0.push((Code::ClauseMisread, word.to_owned(), text.into(), label));
    }

    fn window(&mut self, spec: &WindowSpec) {
        if let Some(name) = &spec.window_name {
            let text = format!("a window that begins with another one (`{name}`) is read without that one");
            self.add(&name.value, text, "write its `partition by` and `order by` out");
        }
    }

    fn select(&mut self, select: &Select) {
        // The engine expands `*` to the shared column of the side whose name comes first in the alphabet.
        if select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)))
            && let Some(word) = select.from.iter().find_map(shared_column)
        {
            let text = format!("`*` over a left join with `{word}` may take the shared column from the right side");
            let label = "list the columns, or write `on`";
            self.0.push((Code::UsingOfOuterJoin, word.to_owned(), text, label));
        }
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = &select.group_by;
        if let Some(modifier) = modifiers.first() {
            let modifier = modifier.to_string().to_lowercase();
            let word = modifier.trim_start_matches("with ");
            self.add(word, format!("`{modifier}` after `group by` is ignored"), "write `group by rollup (...)`");
        }
        for window in &select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &window.1 {
                self.window(spec);
            }
        }
    }
}

/// The keyword that gives a left join shared columns.
fn shared_column(tables: &TableWithJoins) -> Option<&'static str> {
    let of_join = |join: &Join| match &join.join_operator {
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => match on {
            JoinConstraint::Using(_) => Some("using"),
            JoinConstraint::Natural => Some("natural"),
            JoinConstraint::On(_) | JoinConstraint::None => None,
        },
        _ => None,
    };
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin { table_with_joins, .. } => shared_column(table_with_joins),
        _ => None,
    };
    let factors = std::iter::once(&tables.relation).chain(tables.joins.iter().map(|join| &join.relation));
    tables.joins.iter().find_map(of_join).or_else(|| factors.into_iter().find_map(nested))
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let ignored = [
            ("for", !query.locks.is_empty() || query.for_clause.is_some()),
            ("settings", query.settings.is_some()),
            ("format", query.format_clause.is_some()),
        ];
        for (word, _) in ignored.into_iter().filter(|(_, is_there)| *is_there) {
            self.add(word, format!("`{word}` is ignored"), "leave it out");
        }
        let mut left = vec![query.body.as_ref()];
        while let Some(body) = left.pop() {
            match body {
                SetExpr::Select(select) => self.select(select),
                SetExpr::SetOperation { left: one, right: two, .. } => left.extend([one.as_ref(), two.as_ref()]),
                // A query in parentheses is visited separately.
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Function(call) => {
                if let Some(WindowType::WindowSpec(spec)) = &call.over {
                    self.window(spec);
                }
            }
            Expr::SimilarTo { .. } => {
                let text = "`similar to` is read as a regular expression that may match anywhere";
                self.add("similar", text, "write `like`, or `regexp_like(text, '^(...)$')`");
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
