//! Properties of rows that are known without reading them: keys and functional dependencies.

use std::collections::BTreeSet;

use super::columns::{Columns, Scope, shifted};
use deltalake::datafusion::logical_expr::Expr;

/// More than a query needs. Dropping a fact makes the check stricter, never wrong.
const MOST: usize = 48;

/// The known facts about the rows of a plan. NULL counts as a value like any other.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The number of columns.
    pub width: usize,
    /// Sets of columns that no two rows share. The empty set: there is at most one row.
    pub keys: Vec<Columns>,
    /// Functional dependencies: rows that agree in the first set agree in the second.
    pub dependencies: Vec<(Columns, Columns)>,
}

impl Facts {
    /// No facts except the number of columns.
    pub(super) fn nothing(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// All columns.
    pub(super) fn all(&self) -> Columns {
        Columns::first(self.width)
    }

    /// The closure of columns: all columns that they determine.
    pub(super) fn closure(&self, from: &Columns) -> Columns {
        let mut found = from.clone();
        loop {
            if self.keys.iter().any(|key| key.is_subset(&found)) {
                return self.all();
            }
            let before = found.len();
            for (from, to) in &self.dependencies {
                if from.is_subset(&found) {
                    found.add_all(to);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    /// Adds a key, without the columns that the others determine.
    pub(super) fn add_key(&mut self, key: Columns) {
        let key = self.reduced(key, &|_| false);
        if self.keys.len() < MOST && !self.keys.iter().any(|known| known.is_subset(&key)) {
            self.keys.push(key);
        }
    }

    /// Adds a functional dependency.
    pub(super) fn add(&mut self, from: Columns, to: Columns) {
        if self.dependencies.len() < MOST && !to.is_subset(&from) {
            self.dependencies.push((from, to));
        }
    }

    /// The dependencies and the keys as dependencies, for places where rows may be repeated.
    pub(super) fn determinants(&self) -> Vec<(Columns, Columns)> {
        let keys = self.keys.iter().map(|key| (key.clone(), self.all()));
        keys.chain(self.dependencies.iter().cloned()).collect()
    }

    /// The set without columns that the rest determines; unwanted columns are removed first.
    fn reduced(&self, columns: Columns, is_unwanted: &dyn Fn(usize) -> bool) -> Columns {
        let mut order: Vec<usize> = columns.iter().collect();
        order.sort_by_key(|c| !is_unwanted(*c));
        let mut kept = columns;
        for column in order {
            let mut rest = kept.clone();
            rest.remove(column);
            if self.closure(&rest).contains(column) {
                kept = rest;
            }
        }
        kept
    }

    /// Sets of visible columns that determine these: a hidden column is replaced by its determinants.
    fn expressed(&self, columns: &Columns, is_visible: &dyn Fn(usize) -> bool) -> Vec<Columns> {
        let is_hidden = |c: usize| !is_visible(c);
        let determinants = self.determinants();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![self.reduced(columns.clone(), &is_hidden)];
        let mut found = Vec::new();
        while let Some(set) = waiting.pop() {
            if seen.len() > MOST || !seen.insert(set.clone()) {
                continue;
            }
            let Some(hidden) = set.iter().find(|c| is_hidden(*c)) else {
                found.push(set);
                continue;
            };
            for (from, to) in determinants.iter().filter(|(from, to)| to.contains(hidden) && !from.contains(hidden)) {
                debug_assert!(!to.is_empty());
                let mut other = set.clone();
                other.remove(hidden);
                other.add_all(from);
                waiting.push(self.reduced(other, &is_hidden));
            }
        }
        found
    }

    /// The facts about rows of expressions over these rows.
    pub(super) fn projected<'e>(&self, exprs: impl IntoIterator<Item = &'e Expr>, scope: &Scope<'_>) -> Self {
        let exprs: Vec<&Expr> = exprs.into_iter().collect();
        let plain: Vec<Option<usize>> = exprs.iter().map(|e| scope.plain(e)).collect();
        let stands_on: Vec<Columns> = exprs.iter().map(|e| scope.columns(e)).collect();
        let image = |column: usize| plain.iter().position(|p| *p == Some(column));
        let is_visible = |column: usize| image(column).is_some();
        let mapped = |set: &Columns| set.iter().filter_map(image).collect::<Columns>();
        let reached = |set: &Columns| {
            let closure = self.closure(set);
            (0..exprs.len()).filter(|at| stands_on[*at].is_subset(&closure)).collect::<Columns>()
        };
        let mut found = Self::nothing(exprs.len());
        let visible = plain.iter().flatten().map(|c| Columns::from_iter([*c]));
        let sets = visible.chain([Columns::new()]).chain(stands_on.iter().cloned());
        let mut determinants: Vec<Columns> = sets.collect();
        determinants.extend(self.determinants().into_iter().map(|(from, _)| from));
        for from in determinants {
            for set in self.expressed(&from, &is_visible) {
                found.add(mapped(&set), reached(&set));
            }
        }
        for key in &self.keys {
            for set in self.expressed(key, &is_visible) {
                found.add_key(mapped(&set));
            }
        }
        found
    }

    /// These rows with more columns.
    pub(super) fn widened(mut self, by: usize) -> Self {
        self.width += by;
        self
    }

    /// The dependencies of two sides, including the keys of each.
    pub(super) fn beside(left: &Self, right: &Self) -> Self {
        let mut found = Self::nothing(left.width + right.width);
        for (from, to) in left.determinants() {
            found.add(from, to);
        }
        for (from, to) in right.determinants() {
            found.add(shifted(&from, left.width), shifted(&to, left.width));
        }
        found
    }
}
