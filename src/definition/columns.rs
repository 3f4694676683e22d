//! `[columns]`: names and types, in the order of the text.

use super::document::{Entry, Table};
use super::model::{Column, ColumnType};
use crate::name;
use crate::source::Place;
use crate::source::faults::Faults;

/// A declared column with the places for its faults.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub column: Column,
    /// The column's name in the text.
    pub place: Place,
    /// The column's type in the text.
    pub type_place: Place,
    /// Whether `nullable` is written explicitly.
    pub says_nullable: bool,
}

/// The columns of a table, or `None` if one of them is faulty.
pub(super) fn columns(table: &Table<'_>, faults: &mut Faults) -> Option<Vec<Declared>> {
    let before = faults.len();
    let columns: Vec<_> = table.entries().iter().filter_map(|entry| column(entry, faults)).collect();
    (faults.len() == before).then_some(columns)
}

fn column(entry: &Entry<'_>, faults: &mut Faults) -> Option<Declared> {
    if let Err(reason) = name::check(&entry.key) {
        faults.add(entry.key_place.clone(), format!("`{}` cannot be a column", entry.key), reason);
    }
    let (text, nullable, description, pii) = if entry.is_string() {
        (entry.string(faults), None, None, false)
    } else {
        if !entry.is_table() {
            return entry.expected("a type such as \"string\", or { type = \"string\" }", faults);
        }
        let table = entry.table(faults)?;
        table.only(&["type", "nullable", "description", "classification"], faults);
        let pii = table.choice("classification", &[("pii", true)], false, faults);
        let description = table.string("description", faults).map(|t| t.value);
        (
            table.required_string("type", "type = \"string\"", faults),
            table.boolean("nullable", faults),
            description,
            pii,
        )
    };
    let text = text?;
    let column_type = match ColumnType::parse(&text.value) {
        Ok(column_type) => column_type,
        Err(label) => {
            faults.add(text.place, format!("`{}` is not a type of this tool", text.value), label);
            return None;
        }
    };
    let description = description.unwrap_or_default();
    let column = Column { name: entry.key.clone(), column_type, nullable: nullable.unwrap_or(true), description, pii };
    let place = entry.key_place.clone();
    Some(Declared { column, place, type_place: text.place, says_nullable: nullable.is_some() })
}
