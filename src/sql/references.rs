//! The tables that a query names, as the planner will resolve them.

use std::ops::ControlFlow;

use deltalake::datafusion::common::Span;
use deltalake::datafusion::sql::sqlparser::ast::{ObjectName, Query, Spanned, TableFactor, Visit, Visitor};

use crate::source::Place;
use crate::source::faults::Faults;
use crate::sql::text::Sql;

/// A table that a query names.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// Its parts; more than one is a fault.
    pub parts: Vec<String>,
    pub place: Place,
}

/// The tables that a query names, without its own `with` names, in the order of the text.
pub(crate) fn references(sql: &Sql, query: &Query, faults: &mut Faults) -> Vec<Reference> {
    let mut visitor = References { sql, frames: Vec::new(), function: false, found: Vec::new(), faults };
    let _: ControlFlow<()> = query.visit(&mut visitor);
    visitor.found
}

/// One query during the traversal, with the names of its `with` clause.
struct Frame {
    /// Each name with the identity of its query.
    names: Vec<(*const Query, String)>,
    /// How many of the names are visible: each only after its own query, unless the clause is recursive.
    visible: usize,
}

struct References<'a> {
    sql: &'a Sql,
    frames: Vec<Frame>,
    /// Whether the next relation is the name of a table function.
    function: bool,
    found: Vec<Reference>,
    faults: &'a mut Faults,
}

impl Visitor for References<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let names: Vec<_> = query
            .with
            .iter()
            .flat_map(|with| &with.cte_tables)
            .map(|cte| (std::ptr::from_ref::<Query>(&cte.query), cte.alias.name.value.clone()))
            .collect();
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        self.frames.push(Frame { visible: if recursive { names.len() } else { 0 }, names });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.frames.pop();
        if let Some(frame) = self.frames.last_mut()
            && let Some(at) = frame.names.iter().position(|(id, _)| std::ptr::eq(*id, query))
        {
            frame.visible = frame.visible.max(at + 1);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args, with_hints, version, partitions, sample, .. } = factor {
            self.function = args.is_some();
            // The planner would silently ignore these.
            let extra = !with_hints.is_empty() || version.is_some() || !partitions.is_empty() || sample.is_some();
            if extra && let Some(span) = Span::try_from_sqlparser_span(name.span()) {
                let label = "a query reads the whole table at the cut: remove what follows the name";
                self.faults.add(self.sql.place(span), "versions, samples and hints are not supported", label);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        if std::mem::take(&mut self.function) {
            return ControlFlow::Continue(());
        }
        let parts: Vec<_> = name.0.iter().filter_map(|p| p.as_ident()).map(|i| i.value.clone()).collect();
        let own = |part: &String| self.frames.iter().any(|f| f.names[..f.visible].iter().any(|(_, name)| name == part));
        if let [part] = parts.as_slice()
            && own(part)
        {
            return ControlFlow::Continue(());
        }
        let place = Span::try_from_sqlparser_span(name.span()).map(|s| self.sql.place(s));
        self.found.push(Reference { parts, place: place.unwrap_or_else(|| self.sql.start()) });
        ControlFlow::Continue(())
    }
}
