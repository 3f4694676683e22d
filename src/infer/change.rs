//! A definition that exists, and records that it does not fit: the smallest edit of its text with which it does.
//!
//! Everything that a person wrote stays: descriptions, classifications, names, order. Types get larger, never smaller, since
//! older files may need them.

use std::ops::Range;

use super::content::EPOCHS;
use super::lattice::{Decided, Draft, Field, RARE, decide};
use super::observe::{Node, Observed};
use super::{columns, toml_text};
use crate::definition::{ColumnSpan, ColumnSpans, ColumnType, Reading, TimeFormat, is_path};

/// What is declared of a column, or of a field of a struct.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub name: String,
    pub column_type: ColumnType,
    pub reading: Reading,
}

impl Known {
    /// What is declared inside of a struct, or of the elements of an array or the values of a map that are structs.
    fn fields(column_type: &ColumnType, reading: &Reading) -> Vec<Self> {
        match column_type {
            ColumnType::Struct(fields) => {
                let readings = reading.inside.iter().cloned().chain(std::iter::repeat(Reading::default()));
                let known = |((name, column_type), reading): (&(String, ColumnType), Reading)| Self {
                    name: name.clone(),
                    column_type: column_type.clone(),
                    reading,
                };
                fields.iter().zip(readings).map(known).collect()
            }
            _ => Vec::new(),
        }
    }

    fn as_field(&self) -> Field {
        let source = self.reading.from.first().cloned().unwrap_or_else(|| self.name.clone());
        let draft = drafted(&self.column_type, &self.reading);
        Field { name: self.name.clone(), source, draft, personal: None, notes: Vec::new() }
    }
}

/// A declared type as a draft.
fn drafted(column_type: &ColumnType, reading: &Reading) -> Draft {
    match column_type {
        ColumnType::Timestamp if reading.times != TimeFormat::Rfc3339 => Draft::Epoch(reading.times),
        ColumnType::Array(element) => Draft::Array(Box::new(drafted(element, &reading.element()))),
        ColumnType::Map(entry) => Draft::Map(Box::new(drafted(&entry.1, &reading.element()))),
        ColumnType::Struct(_) => {
            Draft::Struct(Known::fields(column_type, reading).iter().map(Known::as_field).collect())
        }
        plain => Draft::Plain(plain.clone()),
    }
}

/// A change of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The column, or the path to the field of a struct.
    pub path: String,
    /// Its type; `None` = it is new.
    pub from: Option<String>,
    /// Its type with the edit.
    pub to: String,
    /// Whether the edit is left to a person.
    pub by_hand: bool,
}

/// Changes, and the text's replacements that make them.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub changes: Vec<Change>,
    replacements: Vec<(Range<usize>, String)>,
}

impl Edits {
    /// The text with all replacements.
    pub(super) fn apply(mut self, text: &str) -> String {
        // Of several at one place the last comes first, so that they end up in order.
        self.replacements.reverse();
        self.replacements.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
        let mut text = text.to_owned();
        for (range, new) in self.replacements {
            text.replace_range(range, &new);
        }
        text
    }
}

/// The changes that the records at a place ask for. `spans` = where their columns are in the text, if an edit can be made.
pub(super) fn compare(
    observed: &mut Observed,
    at: usize,
    known: &[Known],
    spans: Option<&ColumnSpans>,
    path: &str,
    edits: &mut Edits,
) {
    let mut covered: Vec<usize> = Vec::new();
    for one in known {
        let fields = observed.at(at).fields.clone();
        let is_source = |field: &usize| {
            let name = &observed.at(*field).name;
            one.reading.from.iter().any(|from| from.eq_ignore_ascii_case(name))
        };
        // A path leads into what is no column itself.
        let leads = |field: &usize| {
            let head = format!("{}.", observed.at(*field).name.to_ascii_lowercase());
            one.reading.from.iter().any(|from| is_path(from) && from.to_ascii_lowercase().starts_with(&head))
        };
        covered.extend(fields.iter().copied().filter(leads));
        let places: Vec<usize> = fields.iter().copied().filter(is_source).collect();
        covered.extend(&places);
        let span = spans.and_then(|spans| spans.columns.iter().find(|span| span.name == one.name));
        let path = format!("{path}{}", one.name);
        places.into_iter().for_each(|place| compare_one(observed, place, one, span, &path, edits));
    }
    let (all, _) = columns::of(observed, at);
    let is_new = |field: &Field| {
        let mut places = covered.iter().map(|place| &observed.at(*place).name);
        !places.any(|name| name.eq_ignore_ascii_case(&field.source))
    };
    let mut added: Vec<Field> = all.into_iter().filter(is_new).collect();
    for field in &mut added {
        let mut number = 1;
        let base = field.name.clone();
        while known.iter().any(|one| one.name == field.name) {
            number += 1;
            field.name = format!("{base}_{number}");
        }
    }
    for field in &added {
        let change = |by_hand| Change {
            path: format!("{path}{}", field.name),
            from: None,
            to: toml_text::written(&field.draft),
            by_hand,
        };
        let value = toml_text::value(field);
        let text = spans.map(|spans| match spans.is_inline {
            true => format!(", {} = {value}", field.name),
            false => format!("\n{}", toml_text::line(field, &value).trim_end()),
        });
        edits.changes.push(change(text.is_none()));
        if let (Some(spans), Some(text)) = (spans, text) {
            edits.replacements.push((spans.end..spans.end, text));
        }
    }
}

fn compare_one(
    observed: &mut Observed,
    place: usize,
    known: &Known,
    span: Option<&ColumnSpan>,
    path: &str,
    edits: &mut Edits,
) {
    let declared = drafted(&known.column_type, &known.reading);
    let wanted = join(&declared, observed, place);
    if wanted == declared {
        return;
    }
    let fields = span.and_then(|span| span.fields.as_ref());
    // Of a struct that is written field by field, each field is edited where it is.
    if let Some(spans) = fields.filter(|_| wanted.fields().is_some())
        && let Some((inner, column_type, reading)) = struct_at(observed, place, &known.column_type, &known.reading)
    {
        let fields = Known::fields(&column_type, &reading);
        compare(observed, inner, &fields, Some(spans), &format!("{path}."), edits);
        return;
    }
    let to = toml_text::written(&wanted);
    let is_epoch = toml_text::epoch(&declared).is_some();
    let field = known.as_field();
    let value = toml_text::value(&Field { source: field.name.clone(), draft: wanted, ..field });
    let is_bare = |span: &&ColumnSpan| span.value == span.column_type;
    // That values of other kinds go to quarantine may be what is wanted.
    let is_of_several_kinds = to == "json";
    let replacement = match value.starts_with('{') {
        _ if is_of_several_kinds => None,
        // More than a type: only a bare type has room for that.
        true => span.filter(is_bare).map(|span| (span.value.clone(), value)),
        // Other keys are of that type.
        false => span
            .filter(|_| fields.is_none() && !is_epoch)
            .map(|span| (span.column_type.clone(), toml_text::string(&to))),
    };
    let from = Some(toml_text::written(&declared));
    edits.changes.push(Change { path: path.to_owned(), from, to, by_hand: replacement.is_none() });
    edits.replacements.extend(replacement);
}

/// The place of the struct inside of arrays and maps, with what is declared of it.
fn struct_at(
    observed: &mut Observed,
    place: usize,
    column_type: &ColumnType,
    reading: &Reading,
) -> Option<(usize, ColumnType, Reading)> {
    match column_type {
        ColumnType::Struct(_) => Some((place, column_type.clone(), reading.clone())),
        ColumnType::Array(element) => {
            let inner = observed.at(place).element?;
            struct_at(observed, inner, element, &reading.element())
        }
        ColumnType::Map(entry) => {
            let inner = observed.entries(place)?;
            struct_at(observed, inner, &entry.1, &reading.element())
        }
        _ => None,
    }
}

/// The values of a place that a type without parts does not take.
fn misfits(node: &Node, declared: &Draft) -> u64 {
    let numbers = &node.numbers;
    let fits = match declared {
        Draft::Epoch(format) => numbers.times_as(*format),
        Draft::Array(_) => node.arrays,
        Draft::Map(_) | Draft::Struct(_) => node.objects,
        Draft::Plain(plain) => match plain {
            ColumnType::Json => node.values(),
            ColumnType::String | ColumnType::Binary => node.texts.count,
            ColumnType::Long | ColumnType::Integer | ColumnType::Short | ColumnType::Byte => numbers.longs,
            ColumnType::Float | ColumnType::Double => numbers.doubles,
            ColumnType::Boolean => node.booleans,
            ColumnType::Date => node.texts.dates,
            ColumnType::Timestamp => node.texts.timestamps,
            ColumnType::Decimal(precision, scale) => {
                let (before, after) = numbers.digits;
                let scale = scale.unsigned_abs();
                if after <= scale && before <= precision - scale { numbers.decimals } else { 0 }
            }
            _ => node.values(),
        },
    };
    node.values() - fits.min(node.values())
}

/// The smallest type that takes the values of a declared one and those of a place.
fn join(declared: &Draft, observed: &mut Observed, place: usize) -> Draft {
    let node = observed.at(place);
    let (all, misfits) = (node.values(), misfits(node, declared));
    if all == 0 {
        return declared.clone();
    }
    if misfits * RARE > all {
        let name = node.name.clone();
        let Decided { draft, .. } = decide(observed, place, &name);
        return join_types(declared, &draft);
    }
    match declared {
        Draft::Array(element) => match observed.at(place).element {
            Some(inner) => Draft::Array(Box::new(join(element, observed, inner))),
            None => declared.clone(),
        },
        Draft::Map(value) => match observed.entries(place) {
            Some(inner) => Draft::Map(Box::new(join(value, observed, inner))),
            None => declared.clone(),
        },
        Draft::Struct(fields) => {
            let (found, _) = columns::of(observed, place);
            let places = observed.at(place).fields.clone();
            let is_same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
            let mut joined: Vec<Field> = Vec::new();
            for field in fields {
                let inner = places.iter().find(|inner| is_same(&observed.at(**inner).name, &field.source)).copied();
                let draft = inner.map_or_else(|| field.draft.clone(), |inner| join(&field.draft, observed, inner));
                joined.push(Field { draft, ..field.clone() });
            }
            let is_new =
                |field: &Field| !fields.iter().any(|one| is_same(&one.source, &field.source) || one.name == field.name);
            joined.extend(found.into_iter().filter(is_new));
            Draft::Struct(joined)
        }
        Draft::Plain(_) | Draft::Epoch(_) => declared.clone(),
    }
}

/// The smallest type that takes the values of both.
fn join_types(one: &Draft, other: &Draft) -> Draft {
    use ColumnType::{Byte, Date, Decimal, Double, Float, Integer, Long, Short, String, Timestamp};
    let whole = |draft: &Draft| match draft {
        Draft::Plain(Long | Integer | Short | Byte) => true,
        Draft::Epoch(format) => EPOCHS.contains(format),
        _ => false,
    };
    let texts = |draft: &Draft| matches!(draft, Draft::Plain(String | Date | Timestamp));
    let digits = |draft: &Draft| match draft {
        Draft::Plain(Decimal(precision, scale)) => Some((precision - scale.unsigned_abs(), scale.unsigned_abs())),
        draft if whole(draft) => Some((19, 0)),
        _ => None,
    };
    match (one, other) {
        _ if one == other => one.clone(),
        _ if texts(one) && texts(other) => Draft::Plain(String),
        _ if whole(one) && whole(other) => Draft::Plain(Long),
        (Draft::Plain(Double | Float), other) | (other, Draft::Plain(Double | Float))
            if whole(other) || matches!(other, Draft::Plain(Double | Float | Decimal(..))) =>
        {
            Draft::Plain(Double)
        }
        (Draft::Array(one), Draft::Array(other)) => Draft::Array(Box::new(join_types(one, other))),
        (Draft::Map(one), Draft::Map(other)) => Draft::Map(Box::new(join_types(one, other))),
        _ => match (digits(one), digits(other)) {
            (Some(one), Some(other)) => {
                let (before, after) = (one.0.max(other.0), one.1.max(other.1));
                let precision = before + after;
                if precision > 38 { Draft::JSON } else { Draft::Plain(Decimal(precision, after.cast_signed())) }
            }
            _ => Draft::JSON,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_grows_to_the_smallest_that_takes_both() {
        let plain = |text: &str| Draft::Plain(ColumnType::parse(text).expect("a type"));
        for (one, other, expected) in [
            ("long", "double", "double"),
            ("integer", "long", "long"),
            ("date", "timestamp", "string"),
            ("decimal(10,2)", "decimal(6,4)", "decimal(12,4)"),
            ("decimal(18,2)", "long", "decimal(21,2)"),
            ("decimal(10,2)", "double", "double"),
            ("long", "string", "json"),
            ("boolean", "long", "json"),
        ] {
            let (one, other, expected) = (plain(one), plain(other), plain(expected));
            assert_eq!(join_types(&one, &other), expected);
            assert_eq!(join_types(&other, &one), expected);
        }
        let millis = Draft::Epoch(TimeFormat::EpochMillis);
        assert_eq!(join_types(&millis, &plain("long")), plain("long"));
        assert_eq!(join_types(&millis, &millis), millis);
    }
}
