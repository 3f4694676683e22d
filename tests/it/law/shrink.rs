//! Shrinks a failing case: parts are removed as long as it still fails.

use super::query::Node;
use super::run::{Stats, accepted, run};
use super::world::{Case, Type};

/// Maximum number of smaller cases to try.
const TRIES: usize = 400;

/// The smallest failing case found, and its failure.
pub(crate) async fn shrink(mut case: Case, mut why: String, second_engine: bool) -> (Case, String) {
    let mut left = TRIES;
    'again: loop {
        for smaller in smaller(&case) {
            if left == 0 {
                return (case, why);
            }
            left -= 1;
            let derived = smaller.derived.len();
            let Some(smaller) = accepted(smaller, &mut Stats::default()).await else { continue };
            if smaller.derived.len() < derived {
                continue;
            }
            if let Err(found) = run(&smaller, second_engine).await
                && kind(&found) == kind(&why)
            {
                (case, why) = (smaller, found);
                continue 'again;
            }
        }
        return (case, why);
    }
}

/// The kind of failure: another one would be another bug.
fn kind(why: &str) -> usize {
    let kinds = [
        "not its query",
        "in passing",
        "only came and went",
        "failed",
        "second sync",
        "the feed of",
        "the change of",
        "at once",
        "duckdb",
        "panic",
    ];
    kinds.iter().position(|k| why.contains(k)).unwrap_or(kinds.len())
}

/// Cases with less in them, the smallest first.
fn smaller(case: &Case) -> Vec<Case> {
    let mut smaller = Vec::new();
    for at in 0..case.derived.len() {
        let name = &case.derived[at].name;
        let read = |node: &Node| reads(node, name);
        if case.derived.len() > 1 && !case.derived.iter().any(|d| read(&d.query)) {
            let mut less = case.clone();
            less.derived.remove(at);
            smaller.push(less);
        }
    }
    for at in (1..case.steps.len()).rev() {
        let mut less = case.clone();
        less.steps.remove(at);
        smaller.push(less);
    }
    for at in 0..case.landing.len() {
        if !case.derived.iter().any(|d| reads(&d.query, &case.landing[at].name)) {
            let mut less = case.clone();
            let name = format!("landing/{}", case.landing[at].name);
            for step in &mut less.steps {
                step.retain(|op| op.table() != Some(at) && op.path() != Some(&name));
            }
            if less.steps.iter().map(Vec::len).sum::<usize>() < case.steps.iter().map(Vec::len).sum() {
                smaller.push(less);
            }
        }
    }
    for derived in 0..case.derived.len() {
        for path in paths(&case.derived[derived].query) {
            let Some(table) = base(case, &case.derived[derived].query, &path) else { continue };
            let mut less = case.clone();
            replace(&mut less.derived[derived].query, &path, table);
            smaller.push(less);
        }
    }
    for step in 0..case.steps.len() {
        for at in 0..case.steps[step].len() {
            let mut less = case.clone();
            less.steps[step].remove(at);
            smaller.push(less);
        }
    }
    for step in 0..case.steps.len() {
        for at in 0..case.steps[step].len() {
            let mut half = case.clone();
            let Some(rows) = half.steps[step][at].rows() else { continue };
            let all = std::mem::take(rows);
            for part in [&all[..all.len() / 2], &all[all.len() / 2..]] {
                if part.len() < all.len() {
                    let mut less = half.clone();
                    if let Some(rows) = less.steps[step][at].rows() {
                        *rows = part.to_vec();
                    }
                    smaller.push(less);
                }
            }
        }
    }
    smaller
}

fn reads(node: &Node, table: &str) -> bool {
    (node.table && node.text == table) || node.inner.iter().any(|n| reads(n, table))
}

/// Where a query has queries inside.
fn paths(node: &Node) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for (at, inner) in node.inner.iter().enumerate().filter(|(_, n)| !n.table) {
        all.push(vec![at]);
        all.extend(paths(inner).into_iter().map(|mut path| {
            path.insert(0, at);
            path
        }));
    }
    all
}

fn find<'n>(node: &'n Node, path: &[usize]) -> &'n Node {
    path.iter().fold(node, |node, at| &node.inner[*at])
}

fn replace(node: &mut Node, path: &[usize], with: Node) {
    *path.iter().fold(node, |node, at| &mut node.inner[*at]) = with;
}

/// A landing table's rows in the shape of the query at `path`.
fn base(case: &Case, node: &Node, path: &[usize]) -> Option<Node> {
    let old = find(node, path);
    if old.text.starts_with("select") && old.inner.len() == 1 && old.inner[0].table && old.text.ends_with("{0} b") {
        return None;
    }
    let landing = case.landing.iter().find(|l| reads(old, &l.name)).or_else(|| case.landing.first())?;
    let mut list = Vec::new();
    for column in &old.columns {
        let fitting = landing.columns.iter().find(|c| c.kind == column.kind);
        let value = match fitting {
            Some(c) => format!("b.{}", c.name),
            None if column.kind == Type::Time => return None,
            None => format!("cast(null as {})", column.kind.sql()),
        };
        list.push(format!("{value} as {}", column.name));
    }
    let table = Node::table(&landing.name, &landing.columns, 12.0);
    Some(Node { text: format!("select {} from {{0}} b", list.join(", ")), inner: vec![table], ..old.clone() })
}
