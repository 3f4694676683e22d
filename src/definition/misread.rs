//! What the parser reads and the query engine ignores or takes for something else, said when the project is checked.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, NamedWindowExpr, Query, Select, SetExpr, Visit, Visitor, WindowSpec, WindowType,
};

use super::faults::Faults;
use super::sql::Sql;
use crate::determined::{Code, Reason};

/// Reports every such clause of a query.
pub(super) fn report(query: &Query, sql: &Sql, faults: &mut Faults) {
    let mut found = Found(Vec::new());
    let ControlFlow::Continue(()) = query.visit(&mut found);
    for (words, text, label) in found.0 {
        let words: Vec<String> = words.iter().flat_map(|w| [w.to_lowercase(), w.to_uppercase(), w.clone()]).collect();
        let reason = Reason::new(Code::ClauseMisread, text);
        faults.add(sql.find(&words).unwrap_or_else(|| sql.start()), reason.to_string(), label);
    }
}

/// Words to point at, what is wrong, and what to write instead.
struct Found(Vec<(Vec<String>, String, &'static str)>);

impl Found {
    fn add(&mut self, word: &str, text: impl Into<String>, label: &'static str) {
        self.0.push((vec![word.to_owned()], text.into(), label));
    }

    fn base(&mut self, name: &Ident) {
        let text = format!("a window that begins with another one (`{name}`) is read without that one");
        self.0.push((vec![name.value.clone()], text, "write its `partition by` and `order by` out"));
    }

    fn spec(&mut self, spec: &WindowSpec) {
        if let Some(name) = &spec.window_name {
            self.base(name);
        }
    }

    fn select(&mut self, select: &Select) {
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = &select.group_by;
        if let Some(modifier) = modifiers.first() {
            let (text, label) =
                (format!("`{modifier}` after `group by` is ignored").to_lowercase(), "write `group by rollup (...)`");
            self.add(text.trim_start_matches("`with ").split('`').next().unwrap_or_default(), text.clone(), label);
        }
        for window in &select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = &window.1 {
                self.spec(spec);
            }
        }
    }
}

impl Visitor for Found {
    type Break = std::convert::Infallible;

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
                // A query in brackets is visited by itself.
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Function(call) => {
                if let Some(WindowType::WindowSpec(spec)) = &call.over {
                    self.spec(spec);
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
