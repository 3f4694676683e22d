//! The columns of a table, or the fields of a struct, for the fields of observed objects.

use std::collections::BTreeSet;

use super::lattice::{Decided, Draft, Field, decide};
use super::observe::Observed;
use super::personal;
use super::words;
use crate::definition::{RESCUED, SOURCE_FILE, SOURCE_OFFSET, is_path};
use crate::name;

/// Most columns of a table: Athena's and Glue's own limits are not far.
const MAX_COLUMNS: usize = 1000;
/// A name has at most 200 bytes, and may get a number.
const MAX_BYTES: usize = 190;

/// The columns for the fields of the objects at a place, and how many fields are left out because their names may be values.
pub(super) fn of(observed: &mut Observed, at: usize) -> (Vec<Field>, usize) {
    let mut places: Vec<(usize, String)> = Vec::new();
    let mut left_out = 0;
    for field in observed.at(at).fields.clone() {
        let source = observed.at(field).name.clone();
        // Years and the like become columns of a table.
        let is_name = words::is_name(&source) || (at == 0 && words::is_short_name(&source));
        if is_name && places.len() < MAX_COLUMNS {
            places.push((field, source));
        } else {
            left_out += 1;
        }
    }
    let names = names(places.iter().map(|(_, source)| source.as_str()));
    let sources: Vec<&str> = places.iter().map(|(_, source)| source.as_str()).collect();
    let is_person = personal::is_person(&sources);
    let mut fields = Vec::new();
    for ((field, source), name) in places.iter().zip(names) {
        let Decided { mut draft, mut notes } = decide(observed, *field, source);
        // A name with dots is a path, too, and may lead into a field that another column reads.
        let leads = |path: &str, into: &str| {
            is_path(path)
                && path.get(..into.len()).is_some_and(|head| head.eq_ignore_ascii_case(into))
                && path[into.len()..].starts_with('.')
        };
        if sources.iter().any(|other| leads(other, source) || leads(source, other)) && draft != Draft::JSON {
            draft = Draft::JSON;
            notes = vec!["a field whose name has dots is found here, too".to_owned()];
        }
        let personal = personal::reason(source, observed.at(*field), is_person);
        fields.push(Field { name, source: source.clone(), draft, personal, notes });
    }
    (fields, left_out)
}

/// A name for each field, all different: its own in lower case where that is one, else one in snake case.
fn names<'s>(sources: impl Iterator<Item = &'s str> + Clone) -> Vec<String> {
    let own = |source: &str| {
        let lower = source.to_ascii_lowercase();
        let is_free = ![SOURCE_FILE, SOURCE_OFFSET, RESCUED].contains(&lower.as_str());
        (is_free && name::check(&lower).is_ok()).then_some(lower)
    };
    let mut taken: BTreeSet<String> = sources.clone().filter_map(own).collect();
    let reserved = [SOURCE_FILE, SOURCE_OFFSET].map(str::to_owned);
    taken.extend(reserved);
    let mut unique = |source: &str| {
        let mut base = words::snake_case(source);
        base.truncate(MAX_BYTES);
        let numbered = |n: usize| if n == 1 { base.clone() } else { format!("{base}_{n}") };
        let found = (1..).map(numbered).find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(found.clone());
        found
    };
    sources.map(|source| own(source).unwrap_or_else(|| unique(source))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_name_of_its_own() {
        let sources = ["orderId", "a-b", "a_b", "A.b", "source_file", "@id", "id", "_rescued"];
        let expected = ["orderid", "a_b_2", "a_b", "a_b_3", "source_file_2", "id_2", "id", "rescued"];
        assert_eq!(names(sources.into_iter()), expected);
    }
}
