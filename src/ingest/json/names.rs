//! Maps the fields of an object to values: by name, by another name, or by a path into nested objects.

use std::collections::HashMap;

use super::column::{Refusal, Refused, kind};
use super::nested::{Unknown, inside, object};
use crate::definition::{Reading, is_path};

/// The declared fields of an object.
pub(super) struct Names {
    /// Target of a lower-case name.
    by_name: HashMap<String, usize>,
    /// The first ones are the values that are found in one field alone, at their own places.
    targets: Vec<Target>,
    /// For each value with one source, the name of its field.
    only: Vec<Option<String>>,
    /// For each value, the names of its sources, by rank.
    sources: Vec<Vec<String>>,
}

/// The target of a field.
#[derive(Default)]
pub(super) struct Target {
    name: String,
    /// The value, and the field's rank among the sources of that value.
    pub(super) value: Option<(usize, usize)>,
    /// The targets of nested fields.
    pub(super) inside: Option<Box<Names>>,
}

/// A field that may provide a value, unless a source of higher rank does.
pub(super) struct Candidate<'t> {
    pub(super) value: usize,
    pub(super) rank: usize,
    pub(super) json: &'t str,
}

/// The fields found in one object.
#[derive(Default)]
pub(super) struct Candidates<'t> {
    found: Vec<Candidate<'t>>,
    /// Fields that paths led into; each may occur once.
    ways: Vec<*const Target>,
}

impl<'t> Candidates<'t> {
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn push(&mut self, found: Candidate<'t>) {
        self.found.push(found);
    }
}

impl Names {
    /// The fields that hold values which are read so.
    pub(super) fn new(readings: &[Reading]) -> Self {
        let only: Vec<Option<String>> = readings.iter().map(|reading| reading.only().map(str::to_owned)).collect();
        let place = |(at, only): (usize, &Option<String>)| Target {
            name: only.clone().unwrap_or_default(),
            value: Some((at, 0)),
            inside: None,
        };
        let targets = only.iter().enumerate().map(place).collect();
        let mut names = Self { by_name: HashMap::new(), targets, only, sources: Vec::new() };
        for (at, reading) in readings.iter().enumerate() {
            match &names.only[at] {
                Some(only) => {
                    names.by_name.insert(only.to_ascii_lowercase(), at);
                    names.sources.push(vec![only.clone()]);
                }
                None => {
                    let mut ranked = Vec::new();
                    for source in &reading.from {
                        names.add(source, source, at, &mut ranked);
                    }
                    names.sources.push(ranked);
                }
            }
        }
        names
    }

    /// Adds a source of a value: `rest` of it is looked for in these objects.
    fn add(&mut self, source: &str, rest: &str, value: usize, ranked: &mut Vec<String>) {
        self.target(rest).value.get_or_insert((value, ranked.len()));
        ranked.push(source.to_owned());
        if let Some((head, rest)) = rest.split_once('.')
            && is_path(source)
        {
            let inside = self.target(head).inside.get_or_insert_with(|| Box::new(Self::new(&[])));
            inside.add(source, rest, value, ranked);
        }
    }

    fn target(&mut self, name: &str) -> &mut Target {
        let at = *self.by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| {
            self.targets.push(Target { name: name.to_owned(), ..Target::default() });
            self.targets.len() - 1
        });
        &mut self.targets[at]
    }

    /// The place of the target of a field.
    #[inline]
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        match name.bytes().any(|b| b.is_ascii_uppercase()) {
            true => self.by_name.get(&name.to_ascii_lowercase()).copied(),
            false => self.by_name.get(name).copied(),
        }
    }

    /// The same, where the value of a place is expected next.
    #[inline]
    pub(super) fn find_from(&self, expected: usize, name: &str) -> Option<usize> {
        match self.only.get(expected) {
            Some(Some(only)) if only == name || only.eq_ignore_ascii_case(name) => Some(expected),
            _ => self.find(name),
        }
    }

    #[inline]
    /// A target by its place.
    pub(super) fn at(&self, target: usize) -> &Target {
        &self.targets[target]
    }

    /// Whether a value may be found in several fields.
    #[inline]
    pub(super) fn is_late(&self, value: usize) -> bool {
        self.only[value].is_none()
    }

    /// The name of a source of a value.
    pub(super) fn source(&self, value: usize, rank: usize) -> &str {
        self.sources[value].get(rank).map_or("", String::as_str)
    }

    /// The names of a value's fields, for messages: `a` or `b`.
    pub(super) fn all_sources(&self, value: usize) -> String {
        let mut names: Vec<String> = self.sources[value].iter().map(|name| format!("`{name}`")).collect();
        names.dedup();
        names.join(" or ")
    }

    /// Chooses the values among the candidates of an object: for each value the first one that is not NULL. Later ones with
    /// another value count as undeclared fields.
    pub(super) fn chosen<'t>(
        &self,
        candidates: Candidates<'t>,
        mut other: impl FnMut(&str),
    ) -> Result<Vec<Candidate<'t>>, Refusal> {
        let mut candidates = candidates.found;
        candidates.sort_by_key(|found| (found.value, found.rank));
        let is_twice = |pair: &&[Candidate<'t>]| (pair[0].value, pair[0].rank) == (pair[1].value, pair[1].rank);
        if let Some([found, _]) = candidates.windows(2).find(is_twice) {
            return Err(inside(&format!(".{}", self.source(found.value, found.rank)), Refused::twice()));
        }
        let mut chosen: Vec<Candidate<'t>> = Vec::new();
        for found in candidates {
            match chosen.last_mut().filter(|first| first.value == found.value) {
                None => chosen.push(found),
                Some(first) if first.json == "null" => *first = found,
                Some(first) if found.json == "null" || found.json == first.json => {}
                Some(_) => other(self.source(found.value, found.rank)),
            }
        }
        Ok(chosen)
    }
}

impl Target {
    /// Finds candidates among the fields inside of such a field; `is_taken`: all of it is a value, whatever it is.
    pub(super) fn look<'t>(
        &self,
        json: &'t str,
        is_taken: bool,
        unknown: &mut Unknown,
        candidates: &mut Candidates<'t>,
    ) -> Result<(), Refusal> {
        let Some(names) = &self.inside else { return Ok(()) };
        if self.value.is_none() {
            if candidates.ways.iter().any(|way| std::ptr::eq(*way, self)) {
                return Err(inside(&format!(".{}", self.name), Refused::twice()));
            }
            candidates.ways.push(self);
        }
        let is_taken = is_taken || self.value.is_some();
        if json == "null" || (is_taken && !json.starts_with('{')) {
            return Ok(());
        }
        let step = format!(".{}", self.name);
        let found = unknown.within(&step, |unknown| {
            object(json, |name, value| {
                let Some(at) = names.find(&name) else {
                    if !is_taken {
                        unknown.add(&name);
                    }
                    return Ok(());
                };
                let target = names.at(at);
                if let Some((of, rank)) = target.value {
                    candidates.push(Candidate { value: of, rank, json: value });
                }
                target.look(value, is_taken, unknown, candidates)
            })
        });
        found.map_err(|refusal| match refusal {
            Refusal::Inside(refused) => inside(&step, *refused),
            Refusal::Text(what) => inside(&step, Refused::new(format!("is {what}, expected an object"))),
            _ => inside(&step, Refused::new(format!("is {}, expected an object", kind(json)))),
        })
    }
}
