//! The undeclared fields of a record, as a JSON value of their own: `{"zip": 1}`, and inside declared values
//! `{"address": {"zip": 1}, "items": [null, {"color": "red"}]}`, so that paths are the same as in the record.

use super::names::{Candidate, Candidates, Names};
use super::nested::{Unknown, array, object};
use crate::definition::{Column, ColumnType, Reading};
use crate::ingest::format::RecordShape;

/// The declared fields of an object, and the declared values inside them.
pub(super) struct Fields {
    names: Names,
    values: Vec<Place>,
}

/// The declared part of a value.
enum Place {
    /// All of it.
    Whole,
    Object(Fields),
    Elements(Box<Place>),
    Entries(Box<Place>),
}

/// For each value of an object, its field: rank and text.
type Chosen<'t> = Vec<Option<(usize, &'t str)>>;

impl Fields {
    /// The declared fields of a table's records.
    pub(super) fn of(shape: &RecordShape) -> Self {
        let values = |(column, reading): (&Column, &Reading)| Place::of(&column.column_type, reading);
        Self {
            names: Names::new(&shape.readings),
            values: shape.columns.iter().zip(&shape.readings).map(values).collect(),
        }
    }

    /// The undeclared fields of a valid object; `None` if there are none.
    pub(super) fn leftover(&self, json: &str) -> Option<String> {
        let chosen = self.chosen(json);
        self.rest(&self.names, json, &chosen)
    }

    fn chosen<'t>(&self, json: &'t str) -> Chosen<'t> {
        let (mut candidates, mut unknown) = (Candidates::default(), Unknown::default());
        let mut chosen: Chosen<'t> = vec![None; self.values.len()];
        // The object has been read before: errors were reported then.
        let _ = object(json, |name, value| {
            let Some(at) = self.names.find(&name) else { return Ok(()) };
            let target = self.names.at(at);
            if let Some((of, rank)) = target.value {
                candidates.push(Candidate { value: of, rank, json: value });
            }
            target.look(value, false, &mut unknown, &mut candidates)
        });
        for found in self.names.chosen(candidates, |_| {}).unwrap_or_default() {
            chosen[found.value] = Some((found.rank, found.json));
        }
        chosen
    }

    /// The undeclared fields of an object with these `names`: of the record, or of an object that one of its paths leads into.
    fn rest<'t>(&self, names: &Names, json: &'t str, chosen: &Chosen<'t>) -> Option<String> {
        let mut rest = Rest::new();
        let _ = object(json, |name, value| {
            let target = names.find(&name).map(|at| names.at(at));
            match target.map(|target| (target.value, &target.inside)) {
                None => rest.field(&name, value),
                Some((Some((of, rank)), _)) => match chosen.get(of).copied().flatten() {
                    Some((other, text)) if other != rank => {
                        if value != "null" && value != text {
                            rest.field(&name, value);
                        }
                    }
                    _ => {
                        let left = self.values.get(of).and_then(|place| place.leftover(value));
                        left.iter().for_each(|left| rest.field(&name, left));
                    }
                },
                Some((None, inside)) => {
                    let inside = inside.as_ref().filter(|_| value.starts_with('{'));
                    let left = inside.and_then(|names| self.rest(names, value, chosen));
                    left.iter().for_each(|left| rest.field(&name, left));
                }
            }
            Ok(())
        });
        rest.finish()
    }
}

impl Place {
    fn of(column_type: &ColumnType, reading: &Reading) -> Self {
        match column_type {
            ColumnType::Struct(fields) => Self::Object(Fields {
                names: Names::new(&reading.inside),
                values: fields.iter().zip(&reading.inside).map(|((_, of), reading)| Self::of(of, reading)).collect(),
            }),
            ColumnType::Array(element) => match Self::of(element, &reading.element()) {
                Self::Whole => Self::Whole,
                element => Self::Elements(Box::new(element)),
            },
            ColumnType::Map(entry) => match Self::of(&entry.1, &reading.element()) {
                Self::Whole => Self::Whole,
                value => Self::Entries(Box::new(value)),
            },
            _ => Self::Whole,
        }
    }

    fn leftover(&self, json: &str) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Object(fields) => fields.leftover(json),
            Self::Elements(place) => {
                let (mut rest, mut is_any) = (String::from("["), false);
                let _ = array(json, |element| {
                    if rest.len() > 1 {
                        rest.push(',');
                    }
                    let left = place.leftover(element);
                    is_any |= left.is_some();
                    rest.push_str(left.as_deref().unwrap_or("null"));
                    Ok(())
                });
                rest.push(']');
                is_any.then_some(rest)
            }
            Self::Entries(place) => {
                let mut rest = Rest::new();
                let _ = object(json, |name, value| {
                    place.leftover(value).iter().for_each(|left| rest.field(&name, left));
                    Ok(())
                });
                rest.finish()
            }
        }
    }
}

/// An object that is being written.
struct Rest(String);

impl Rest {
    fn new() -> Self {
        Self(String::from("{"))
    }

    fn field(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(json);
    }

    fn finish(mut self) -> Option<String> {
        (self.0.len() > 1).then(|| {
            self.0.push('}');
            self.0
        })
    }
}
