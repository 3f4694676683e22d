//! The text of a new definition, with what its fields and its records say of themselves.

use super::lattice::Field;
use super::observe::Observed;
use super::sample::Samples;
use super::{toml_text, words};
use crate::name::TableName;

/// Candidate keys that are named.
const KEYS_NAMED: usize = 3;
/// Fewer records say nothing of keys.
const KEYS_LEAST: usize = 2;

/// A column for people: its name, its type, and what they should know.
pub(super) fn described(field: &Field) -> (String, String, Vec<String>) {
    let mut notes: Vec<String> = Vec::new();
    if field.has_from() {
        notes.push(format!("from `{}`", field.source));
    }
    notes.extend(field.personal.iter().map(|why| format!("pii: {why}")));
    let inside = field.draft.fields().map_or(0, personal_inside);
    if inside > 0 && field.personal.is_none() {
        notes.push(format!("pii: {inside} of its fields"));
    }
    notes.extend(field.notes.iter().cloned());
    if field.draft.has_json() && field.personal.is_none() && inside == 0 {
        notes.push("pii unless `classification = \"none\"`".to_owned());
    }
    (field.name.clone(), toml_text::written(&field.draft), notes)
}

fn personal_inside(fields: &[Field]) -> usize {
    let inside = |field: &Field| field.draft.fields().map_or(0, personal_inside);
    fields.iter().map(|field| usize::from(field.personal.is_some()) + inside(field)).sum()
}

/// The text of a new definition.
pub(super) fn definition(
    (zone, name): (&str, &TableName),
    pattern: &str,
    samples: &Samples,
    observed: &Observed,
    fields: &[Field],
    keys: &[Vec<String>],
) -> String {
    let records = observed.root().objects;
    // The zone is said by the folder.
    let bare = name.as_str().strip_suffix(zone).map_or(name.as_str(), |bare| bare.trim_end_matches('_'));
    let words = if bare.is_empty() { name.as_str() } else { bare }.replace('_', " ");
    let mut description = words.clone();
    if let Some(first) = words.chars().next() {
        description = format!("{}{}, as they arrived", first.to_uppercase(), &words[first.len_utf8()..]);
    }
    let of = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let (records, files) = (of(records, "record"), of(samples.files.len() as u64, "file"));
    let mut text = format!("# Drafted by `stedi-delta infer` from {records} of {files}.\n");
    text.push_str(&format!("description = {}\n\n", toml_text::string(&description)));
    text.push_str(&format!("[source]\npath = {}\nformat = \"json\"\n\n", toml_text::string(pattern)));
    if !keys.is_empty() {
        text.push_str(
            "# Without a repeated or missing value in the sample, so perhaps keys of the tables that read this one:\n",
        );
        for key in keys {
            let names: Vec<String> = key.iter().map(|name| toml_text::string(name)).collect();
            text.push_str(&format!("#   primary_key = [{}]\n", names.join(", ")));
        }
        text.push('\n');
    }
    text.push_str(&toml_text::columns(fields));
    text
}

/// Fields, alone or in pairs, that identify the records: those whose names say so first.
pub(super) fn candidate_keys(observed: &Observed, fields: &[Field]) -> Vec<Vec<String>> {
    use crate::definition::ColumnType::{Date, Long, String, Timestamp};
    let records = observed.keys.records();
    if records < KEYS_LEAST {
        return Vec::new();
    }
    let field_of = |node: usize| {
        let name = &observed.at(node).name;
        let field = fields.iter().find(|field| field.source == *name)?;
        matches!(field.draft.column_type(), Long | String | Date | Timestamp).then_some(field)
    };
    let filled: Vec<(usize, usize, &Field)> =
        observed.keys.filled().into_iter().filter_map(|(node, count)| Some((node, count, field_of(node)?))).collect();
    let says = |field: &Field| words::is_key(&field.source);
    let single = |wanted: bool| {
        let unique = filled.iter().filter(move |(_, count, field)| *count == records && says(field) == wanted);
        unique.map(|(_, _, field)| vec![field.name.clone()])
    };
    let mut keys: Vec<Vec<std::string::String>> = single(true).collect();
    if keys.is_empty() {
        for (at, (one, count, field)) in filled.iter().enumerate() {
            for (other, count_beside, beside) in &filled[at + 1..] {
                let is_key = says(field) || says(beside);
                let are_open = *count < records && *count_beside < records;
                if is_key && are_open && keys.len() < KEYS_NAMED && observed.keys.are_unique(*one, *other) {
                    keys.push(vec![field.name.clone(), beside.name.clone()]);
                }
            }
        }
    }
    if keys.is_empty() {
        keys = single(false).collect();
    }
    keys.truncate(KEYS_NAMED);
    keys
}
