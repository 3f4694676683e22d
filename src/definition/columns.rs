//! `[columns]`: names and types, in the order of the text, and in which fields of records they are found.

use std::sync::Arc;

use super::document::{Entry, Table};
use super::keys::vocabulary::{CLASSIFICATION, TIMES};
use super::model::{Column, ColumnType, RESCUED};
use super::reading::Reading;
use super::sources;
use crate::name;
use crate::source::faults::Faults;
use crate::source::{Place, Text};
use crate::types::MAX_LEVELS;

/// A declared column with the places for its faults.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub column: Column,
    /// How it comes in records.
    pub reading: Reading,
    /// The column's name in the text.
    pub place: Place,
    /// The column's type in the text.
    pub type_place: Place,
    /// Whether `nullable` is written explicitly.
    pub says_nullable: bool,
    /// Where `classification = "none"` is written.
    pub says_none: Option<Place>,
}

/// What is written of the column of undeclared fields.
#[derive(Clone, Debug)]
pub(super) struct Rescued {
    pub description: Option<String>,
    pub pii: bool,
}

/// What is written of a column, or of a field of a struct.
pub(super) struct Value {
    pub column_type: ColumnType,
    /// Names of fields, in order of precedence.
    pub sources: Vec<Text>,
    reading: Reading,
    type_place: Place,
    pii: bool,
    /// Paths to what is inside and is not.
    public: Vec<Vec<String>>,
    says_none: Option<Place>,
}

/// The columns of a table, or `None` if one of them is faulty.
pub(super) fn columns(table: &Table<'_>, landing: bool, faults: &mut Faults) -> Option<Vec<Declared>> {
    let before = faults.len();
    let entries = table.entries().iter().filter(|entry| !landing || entry.key != RESCUED);
    let found: Vec<_> = entries.filter_map(|entry| column(entry, landing, faults)).collect();
    if landing {
        let values: Vec<_> = found.iter().map(|(declared, value)| (declared.column.name.as_str(), value)).collect();
        sources::check(&values, faults);
    }
    (faults.len() == before).then(|| found.into_iter().map(|(declared, _)| declared).collect())
}

fn column(entry: &Entry<'_>, landing: bool, faults: &mut Faults) -> Option<(Declared, Value)> {
    if let Err(reason) = name::check(&entry.key) {
        faults.add(entry.key_place.clone(), format!("`{}` cannot be a column", entry.key), reason);
    }
    let value = value(entry, landing, faults);
    let table = if entry.is_table() { entry.table(faults) } else { None };
    let nullable = table.as_ref().and_then(|table| table.boolean("nullable", faults));
    let description = table.as_ref().and_then(|table| table.string("description", faults)).map(|t| t.value);
    let value = value?;
    if value.column_type.levels() > MAX_LEVELS {
        let message = format!("the type of `{}` is nested too deeply", entry.key);
        faults.add(value.type_place, message, format!("a type has at most {MAX_LEVELS} levels"));
        return None;
    }
    let column = Column {
        nullable: nullable.unwrap_or(true),
        description: description.unwrap_or_default(),
        pii: value.pii,
        public: value.public.clone(),
        ..Column::new(&entry.key, value.column_type.clone())
    };
    let declared = Declared {
        column,
        reading: value.reading.clone(),
        place: entry.key_place.clone(),
        type_place: value.type_place.clone(),
        says_nullable: nullable.is_some(),
        says_none: value.says_none.clone(),
    };
    Some((declared, value))
}

/// Reads what is said of the column of undeclared fields: a string, personal unless it says otherwise.
pub(super) fn rescued(entry: &Entry<'_>, faults: &mut Faults) -> Option<Rescued> {
    let value = value(entry, true, faults)?;
    if value.column_type != ColumnType::String {
        faults.add(
            value.type_place.clone(),
            format!("`{RESCUED}` is a string"),
            "write `string`: it holds JSON as text",
        );
    }
    let table = if entry.is_table() { entry.table(faults) } else { None };
    let description = table.and_then(|table| table.string("description", faults)).map(|text| text.value);
    Some(Rescued { description, pii: value.says_none.is_none() })
}

/// Reads a type, or a table with a type.
fn value(entry: &Entry<'_>, landing: bool, faults: &mut Faults) -> Option<Value> {
    let own_name = || vec![Text { value: entry.key.clone(), place: entry.key_place.clone() }];
    if entry.is_string() {
        let text = entry.string(faults)?;
        let column_type = parsed(&text, faults)?;
        let reading = Reading::of(&entry.key, &column_type);
        let pii = is_personal(&column_type);
        let (sources, type_place) = (own_name(), text.place.clone());
        no_json(&column_type, &text, landing, faults);
        return Some(Value { column_type, sources, reading, type_place, pii, public: Vec::new(), says_none: None });
    }
    if !entry.is_table() {
        return entry.expected(faults);
    }
    let table = entry.table(faults)?;
    let pii = table.choice("classification", &CLASSIFICATION, faults);
    let says_none = table.get("classification").filter(|_| pii == Some(false)).map(|entry| entry.place().clone());
    for key in ["from", "format"].iter().filter(|_| !landing).filter_map(|key| table.get(key)) {
        let message = format!("`{}` belongs to a landing table", key.key);
        faults.add(key.key_place.clone(), message, "this one has a query");
    }
    let sources = match table.get("from").filter(|_| landing) {
        Some(from) => from.one_or_more(faults),
        None => own_name(),
    };
    let times = table.choice("format", &TIMES, faults).unwrap_or_default();
    let text = table.required_string("type", faults)?;
    let mut inside =
        Inside { pii: false, public: Vec::new(), column_type: ColumnType::String, reading: Reading::default() };
    match table.get("fields") {
        Some(entry) => {
            let Some(around) = bare_struct(&text.value) else {
                let label = "write `type = \"struct\"`, \"array<struct>\" or \"map<string,struct>\"";
                faults.add(entry.key_place.clone(), "`fields` belongs to a struct", label);
                return None;
            };
            inside = fields(entry, landing, faults)?;
            if !around.is_empty() {
                // Of arrays and maps nothing is told apart.
                inside.public.clear();
            }
            for around in around.into_iter().rev() {
                let of = inside.column_type;
                inside.column_type = match around {
                    Around::Array => ColumnType::Array(Arc::new(of)),
                    Around::Map => ColumnType::Map(Arc::new((ColumnType::String, of))),
                };
                inside.reading = inside.reading.within();
            }
        }
        None => {
            inside.column_type = parsed(&text, faults)?;
            inside.reading = Reading::of(&entry.key, &inside.column_type).with_times(times);
        }
    }
    if let Some(format) = table.get("format")
        && (table.get("fields").is_some() || !inside.column_type.any(&|t| *t == ColumnType::Timestamp))
    {
        let label = match table.get("fields") {
            Some(_) => "give it to the fields that are one".to_owned(),
            None => format!("this is {}: write `type = \"timestamp\"`", inside.column_type.delta_name()),
        };
        faults.add(format.key_place.clone(), "`format` belongs to a timestamp", label);
    }
    no_json(&inside.column_type, &text, landing, faults);
    let Inside { column_type, reading, pii: has_personal, mut public } = inside;
    if pii.is_some() {
        public.clear();
    }
    if let Some(place) = says_none.clone().filter(|_| has_personal) {
        let message = format!("`{}` is not classified, and a field of it is `pii`", entry.key);
        faults.add(place, message, "remove one of the two");
    }
    let has_personal = has_personal || (table.get("fields").is_none() && is_personal(&column_type));
    let reading = Reading { from: sources.iter().map(|text| text.value.clone()).collect(), ..reading };
    let pii = pii.unwrap_or(has_personal);
    Some(Value { column_type, sources, reading, type_place: text.place, pii, public, says_none })
}

/// Whether values of a type are personal data unless something else is said: what comes as it is may hold anything.
fn is_personal(column_type: &ColumnType) -> bool {
    column_type.any(&|t| *t == ColumnType::Json)
}

/// A query gives strings, wherever they come from.
fn no_json(column_type: &ColumnType, text: &Text, landing: bool, faults: &mut Faults) {
    if !landing && is_personal(column_type) {
        faults.add(
            text.place.clone(),
            "`json` is a type of landing columns",
            "write `string`: that is what a query gives",
        );
    }
}

fn parsed(text: &Text, faults: &mut Faults) -> Option<ColumnType> {
    match ColumnType::parse(&text.value) {
        Ok(column_type) => Some(column_type),
        Err(label) => {
            faults.add(text.place.clone(), format!("`{}` is not a type of this tool", text.value), label);
            None
        }
    }
}

/// What `fields` says of a struct.
struct Inside {
    column_type: ColumnType,
    reading: Reading,
    /// Whether a field of it is classified `pii`: then the column is.
    pii: bool,
    /// Paths to fields that are not.
    public: Vec<Vec<String>>,
}

fn fields(entry: &Entry<'_>, landing: bool, faults: &mut Faults) -> Option<Inside> {
    let table = entry.table(faults)?;
    if table.entries().is_empty() {
        faults.add(entry.place().clone(), "`fields` is empty", "name at least one field");
        return None;
    }
    let before = faults.len();
    let mut found: Vec<(String, Value)> = Vec::new();
    for field in table.entries() {
        if let Err(reason) = name::check(&field.key) {
            faults.add(field.key_place.clone(), format!("`{}` cannot be a field", field.key), reason);
        }
        found.extend(value(field, landing, faults).map(|value| (field.key.clone(), value)));
    }
    if landing {
        sources::check(&found.iter().map(|(name, value)| (name.as_str(), value)).collect::<Vec<_>>(), faults);
    }
    if faults.len() > before {
        return None;
    }
    let pii = found.iter().any(|(_, value)| value.pii);
    let mut public: Vec<Vec<String>> = Vec::new();
    for (name, value) in &found {
        if !value.pii {
            public.push(vec![name.clone()]);
        }
        public.extend(value.public.iter().map(|path| std::iter::once(name).chain(path).cloned().collect()));
    }
    let inside = found.iter().map(|(_, value)| value.reading.clone()).collect();
    let reading = Reading { inside, ..Reading::default() };
    let column_type = ColumnType::Struct(found.into_iter().map(|(name, value)| (name, value.column_type)).collect());
    Some(Inside { column_type, reading, pii, public })
}

/// What stands around a struct whose fields are written apart.
enum Around {
    Array,
    Map,
}

/// `struct`, `array<struct>`, `map<string,struct>` and so on: what stands around the struct, from the outside in.
fn bare_struct(text: &str) -> Option<Vec<Around>> {
    let mut text = text.trim().to_ascii_lowercase();
    let mut around = Vec::new();
    while text != "struct" {
        let (head, rest) = text.split_once('<')?;
        let inner = rest.trim_end().strip_suffix('>')?;
        let inner = match head.trim() {
            "array" => {
                around.push(Around::Array);
                inner
            }
            "map" => {
                around.push(Around::Map);
                let (key, value) = inner.split_once(',')?;
                (key.trim() == "string").then_some(value)?
            }
            _ => return None,
        };
        text = inner.trim().to_owned();
    }
    Some(around)
}
