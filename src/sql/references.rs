//! The tables that a query names, as the planner will resolve them.

use std::ops::ControlFlow;

use deltalake::datafusion::common::Span;
use deltalake::datafusion::sql::sqlparser::ast::{ObjectName, Query, Spanned, TableFactor, Visitor};

use crate::source::Place;
use crate::source::faults::Faults;
use crate::sql::text::Sql;
use crate::sql::visit::visit;

/// A table that a query names.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// Its parts; more than one is a fault.
    pub parts: Vec<String>,
    pub place: Place,
}

/// The tables that a query names, without its own `with` names, in the order of the text.
pub(crate) fn references(sql: &Sql, query: &Query, faults: &mut Faults) -> Vec<Reference> {
    let mut visitor = References {
        sql,
        frames: Vec::new(),
        function: false,
        found: Vec::new(),
        copied: None,
        is_reported: false,
        faults,
    };
    let _ = visit(query, &mut visitor);
    visitor.found
}

/// One query during the traversal, with the names of its `with` clause.
struct Frame {
    names: Vec<Named>,
    /// How many of the names are visible: each only after its own query, unless the clause is recursive.
    visible: usize,
    /// The tables that it reads.
    reads: Reads,
}

/// A query of a `with` clause.
struct Named {
    /// The identity of its query.
    query: *const Query,
    name: String,
    reads: Reads,
    is_used: bool,
}

/// How often a query reads tables: the planner inserts a query of a `with` clause wherever its name stands.
#[derive(Clone, Copy, Default)]
struct Reads {
    /// In all.
    all: usize,
    /// Those of them that are there because a query of a `with` clause is inserted again.
    again: usize,
}

/// So many reads of tables may come from inserting queries of a `with` clause again. A query that names the one before it
/// twice doubles them: ten levels are a thousand reads, twenty a million.
const MOST_AGAIN: usize = 500;

struct References<'a> {
    sql: &'a Sql,
    frames: Vec<Frame>,
    /// Whether the next relation is the name of a table function.
    function: bool,
    found: Vec<Reference>,
    /// The last query that is inserted again.
    copied: Option<(String, Place)>,
    is_reported: bool,
    faults: &'a mut Faults,
}

impl References<'_> {
    /// The query of a `with` clause with this name, if one is visible: the innermost.
    fn named(&mut self, name: &str) -> Option<&mut Named> {
        let mut visible = self.frames.iter_mut().rev().flat_map(|frame| frame.names[..frame.visible].iter_mut().rev());
        visible.find(|named| named.name == name)
    }

    /// Adds reads to the query at hand, and reports when they become too many.
    fn read(&mut self, reads: Reads) {
        let Some(frame) = self.frames.last_mut() else { return };
        frame.reads.all = frame.reads.all.saturating_add(reads.all);
        frame.reads.again = frame.reads.again.saturating_add(reads.again);
        let again = frame.reads.again;
        if again > MOST_AGAIN
            && !std::mem::replace(&mut self.is_reported, true)
            && let Some((name, place)) = self.copied.take()
        {
            let message = format!(
                "`{name}` is inserted wherever it is named: the query reads tables {again} times more than it is written"
            );
            let label = format!("at most {MOST_AGAIN}: make `{name}`, or one that it reads, a table of its own");
            self.faults.add(place, message, label);
        }
    }
}

impl Visitor for References<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let names: Vec<_> = query
            .with
            .iter()
            .flat_map(|with| &with.cte_tables)
            .map(|cte| Named {
                query: std::ptr::from_ref::<Query>(&cte.query),
                name: cte.alias.name.value.clone(),
                reads: Reads::default(),
                is_used: false,
            })
            .collect();
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        self.frames.push(Frame { visible: if recursive { names.len() } else { 0 }, names, reads: Reads::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let reads = self.frames.pop().map(|frame| frame.reads).unwrap_or_default();
        let Some(frame) = self.frames.last_mut() else { return ControlFlow::Continue(()) };
        match frame.names.iter().position(|named| std::ptr::eq(named.query, query)) {
            Some(at) => {
                frame.visible = frame.visible.max(at + 1);
                frame.names[at].reads = reads;
            }
            None => self.read(reads),
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
        let span = Span::try_from_sqlparser_span(name.span());
        let place = |sql: &Sql| span.map_or_else(|| sql.start(), |span| sql.place(span));
        if let [part] = parts.as_slice()
            && let Some(named) = self.named(part)
        {
            let all = named.reads.all;
            let is_again = std::mem::replace(&mut named.is_used, true);
            let again = if is_again { all } else { named.reads.again };
            if is_again {
                self.copied = Some((part.clone(), place(self.sql)));
            }
            self.read(Reads { all, again });
            return ControlFlow::Continue(());
        }
        let place = place(self.sql);
        self.found.push(Reference { parts, place });
        self.read(Reads { all: 1, again: 0 });
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::source::SourceFile;

    /// The tables that a query names, and its faults.
    fn read(text: &str) -> (usize, Vec<String>) {
        let file = Arc::new(SourceFile { path: PathBuf::from("q.sql"), text: text.to_owned() });
        let (mut sql, mut faults) = (Sql::file(&file), Faults::default());
        let query = sql.query(&mut faults).expect("a query");
        let found = references(&sql, &query, &mut faults);
        (found.len(), faults.into_sorted().into_iter().map(|f| format!("{}; {}", f.message, f.label)).collect())
    }

    /// Each level reads the one before twice.
    fn doubled(levels: usize, part: &dyn Fn(usize) -> String) -> String {
        let levels: Vec<String> = (1..=levels).map(|i| format!("c{i} as ({})", part(i - 1))).collect();
        let sql = format!("with c0 as (select a from t), {} select a from c{}", levels.join(", "), levels.len());
        assert_eq!(read(&sql).0, 1);
        sql
    }

    #[test]
    fn a_query_that_doubles_at_each_level_is_refused_before_it_is_planned() {
        let twice = |i: usize| format!("select x.a from c{i} x join c{i} y on x.a = y.a");
        assert_eq!(read(&doubled(8, &twice)).1, Vec::<String>::new());
        let expected = "`c8` is inserted wherever it is named: the query reads tables 511 times more than it is written; \
                        at most 500: make `c8`, or one that it reads, a table of its own";
        // 2^60 reads are not counted one by one.
        for levels in [9, 60, 200] {
            assert_eq!(read(&doubled(levels, &twice)).1, [expected]);
        }
        let nested = |i: usize| format!("select a from (select a from c{i} union all select a from c{i}) as u");
        assert_eq!(read(&doubled(9, &nested)).1, [expected]);
    }

    #[test]
    fn a_long_query_that_inserts_nothing_again_is_not() {
        let long = vec!["select a from t"; 2000].join(" union all ");
        assert_eq!(read(&long), (2000, Vec::new()));
        assert_eq!(read(&format!("with c as ({long}) select a from c")), (2000, Vec::new()));
        let once: Vec<String> = (1..300).map(|i| format!("c{i} as (select a from c{} where a > {i})", i - 1)).collect();
        let sql = format!("with c0 as (select a from t), {} select a from c299", once.join(", "));
        assert_eq!(read(&sql), (1, Vec::new()));
        let recursive =
            "with recursive r as (select 1 as n union all select n + 1 from r where n < 9) select * from r, r s";
        assert_eq!(read(recursive), (0, Vec::new()));
    }
}
