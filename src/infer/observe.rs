//! What records hold: a tree of their fields with counts of the values, of bounded size.
//!
//! Whether a value fits a type is asked of the reader of landing files itself ([`fits`]), so that a type which fits all
//! observed values lands all of them. A field of a record without a value is no value.

use std::collections::HashMap;

use super::content::{Numbers, Texts};
use super::keys::Keys;
use crate::ingest::format::Values;

/// Names of fields that are told apart in one object; further ones count as one.
const MAX_FIELDS: usize = 1000;
/// Places that are told apart in all records.
const MAX_NODES: usize = 50_000;
/// Levels below which values are taken as they come: a type has at most 16.
const MAX_DEPTH: usize = 12;

/// The place of a value in records: a field, or the elements of an array.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The field's name, as it first came.
    pub name: String,
    pub nulls: u64,
    pub booleans: u64,
    pub numbers: Numbers,
    pub texts: Texts,
    pub objects: u64,
    pub arrays: u64,
    /// Values that only a column of type `json` takes.
    pub others: u64,
    /// The fields of the objects, in the order in which they first came.
    pub fields: Vec<usize>,
    by_name: HashMap<String, usize>,
    /// Fields beyond those that are told apart.
    pub further: Option<usize>,
    /// The elements of the arrays.
    pub element: Option<usize>,
}

impl Node {
    /// Values that are not NULL.
    pub(super) fn values(&self) -> u64 {
        self.booleans + self.numbers.count + self.texts.count + self.objects + self.arrays + self.others
    }

    /// How many records, or objects, have the field.
    pub(super) fn present(&self) -> u64 {
        self.values() + self.nulls
    }
}

/// The values of records.
#[derive(Debug)]
pub(super) struct Observed {
    nodes: Vec<Node>,
    /// The places that the next values belong to, the innermost last; whether one is left after a single value.
    stack: Vec<(usize, bool)>,
    /// Which fields identify records.
    pub keys: Keys,
}

impl Observed {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], stack: vec![(0, false)], keys: Keys::default() }
    }

    /// The records themselves.
    pub(super) fn root(&self) -> &Node {
        &self.nodes[0]
    }

    pub(super) fn at(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    /// The fields of a node, with those that are not told apart at the end.
    pub(super) fn fields<'o>(&'o self, node: &'o Node) -> impl Iterator<Item = &'o Node> {
        node.fields.iter().map(move |at| &self.nodes[*at])
    }

    /// All fields of an object as one, as the values of a map are; `None` if it has none.
    pub(super) fn entries(&mut self, node: usize) -> Option<usize> {
        let Node { fields, further, .. } = &self.nodes[node];
        let all: Vec<usize> = fields.iter().copied().chain(*further).collect();
        if all.is_empty() {
            return None;
        }
        let entry = self.add(String::new());
        all.into_iter().for_each(|field| self.merge(entry, field));
        Some(entry)
    }

    /// Ends a record.
    pub(super) fn end_record(&mut self) {
        self.keys.end_record();
        self.stack.truncate(1);
    }

    fn add(&mut self, name: String) -> usize {
        self.nodes.push(Node { name, ..Node::default() });
        self.nodes.len() - 1
    }

    /// Adds the values of a place to those of another one.
    fn merge(&mut self, into: usize, from: usize) {
        let Node { nulls, booleans, numbers, texts, objects, arrays, others, fields, further, element, .. } =
            &self.nodes[from];
        let (fields, further, element) = (fields.clone(), *further, *element);
        let (numbers, texts) = (numbers.clone(), texts.clone());
        let counts = [*nulls, *booleans, *objects, *arrays, *others];
        let node = &mut self.nodes[into];
        let all = [&mut node.nulls, &mut node.booleans, &mut node.objects, &mut node.arrays, &mut node.others];
        all.into_iter().zip(counts).for_each(|(total, count)| *total += count);
        node.numbers.merge(&numbers);
        node.texts.merge(&texts);
        for field in fields {
            let name = self.nodes[field].name.clone();
            let same = self.child(into, &name);
            self.merge(same, field);
        }
        if let Some(further) = further {
            let same = self.further(into);
            self.merge(same, further);
        }
        if let Some(element) = element {
            let same = self.element(into);
            self.merge(same, element);
        }
    }

    /// The field of a name, in any case as records are read.
    fn child(&mut self, node: usize, name: &str) -> usize {
        let lower = name.to_ascii_lowercase();
        if let Some(found) = self.nodes[node].by_name.get(&lower) {
            return *found;
        }
        // The fields of records always have room: one large one does not take it from those after it.
        let is_full = node != 0 && self.nodes.len() >= MAX_NODES;
        if self.nodes[node].fields.len() >= MAX_FIELDS || is_full {
            return self.further(node);
        }
        let added = self.add(name.to_owned());
        self.nodes[node].fields.push(added);
        self.nodes[node].by_name.insert(lower, added);
        added
    }

    fn further(&mut self, node: usize) -> usize {
        if let Some(found) = self.nodes[node].further {
            return found;
        }
        let added = self.add(String::new());
        self.nodes[node].further = Some(added);
        added
    }

    fn element(&mut self, node: usize) -> usize {
        if let Some(found) = self.nodes[node].element {
            return found;
        }
        let added = self.add(String::new());
        self.nodes[node].element = Some(added);
        added
    }

    /// The place of the next value.
    fn top(&mut self) -> &mut Node {
        let at = self.stack.last().map_or(0, |(at, _)| *at);
        &mut self.nodes[at]
    }

    /// Counts a value.
    fn value(&mut self, key: Option<u64>, count: impl FnOnce(&mut Node)) {
        count(self.top());
        // The record, and a field of it.
        if let [_, (at, true)] = self.stack.as_slice() {
            self.keys.value(*at, key);
        }
        self.done();
    }

    fn done(&mut self) {
        if let Some((_, true)) = self.stack.last() {
            self.stack.pop();
        }
    }

    /// Whether what begins here is too deep to be told apart.
    fn is_too_deep(&mut self) -> bool {
        if self.stack.len() < MAX_DEPTH {
            return false;
        }
        self.top().others += 1;
        self.done();
        true
    }
}

impl Values for Observed {
    fn null(&mut self) {
        self.value(None, |node| node.nulls += 1);
    }

    fn boolean(&mut self) {
        self.value(None, |node| node.booleans += 1);
    }

    fn number(&mut self, literal: &str) {
        let key = Keys::of(literal);
        self.value(Some(key), |node| node.numbers.add(literal));
    }

    fn text(&mut self, text: &str) {
        let key = Keys::of(text);
        self.value(Some(key), |node| node.texts.add(text));
    }

    fn unreadable(&mut self) {
        self.value(None, |node| node.others += 1);
    }

    fn begin_object(&mut self) -> bool {
        if self.is_too_deep() {
            return false;
        }
        self.top().objects += 1;
        true
    }

    fn field(&mut self, name: &str) {
        let at = self.stack.last().map_or(0, |(at, _)| *at);
        let field = self.child(at, name);
        self.stack.push((field, true));
    }

    fn end_object(&mut self) {
        self.done();
    }

    fn begin_array(&mut self) -> bool {
        if self.is_too_deep() {
            return false;
        }
        let at = self.stack.last().map_or(0, |(at, _)| *at);
        self.nodes[at].arrays += 1;
        let element = self.element(at);
        self.stack.push((element, false));
        true
    }

    fn end_array(&mut self) {
        self.stack.pop();
        self.done();
    }
}
