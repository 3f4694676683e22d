//! Applies a statement to the columns of a table, or finds the reason why that is impossible.

use std::sync::Arc;

use deltalake::arrow::datatypes::{Field, Schema, SchemaRef};

use super::statement::{Action, ColumnPath, Part, Statement};
use crate::definition::{Column, ColumnType};
use crate::source::faults::suggestion;
use crate::source::{Fault, Place};

/// A stored column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its name.
    pub name: String,
    /// Its type.
    pub of: ColumnType,
    /// Whether it can be NULL.
    pub nullable: bool,
}

/// The columns of a table in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Columns(pub Vec<Stored>);

/// The change at the end of a path.
enum Change<'a> {
    Rename(&'a str),
    Drop,
    Type(&'a ColumnType, bool),
}

/// Why a change is not possible: what was found, and what to do.
type Refusal = (String, String);

impl Columns {
    /// The columns of stored rows.
    ///
    /// # Errors
    /// The name and type of a column whose type is not supported.
    pub(crate) fn stored(schema: &Schema) -> Result<Self, (String, String)> {
        let column = |field: &Arc<Field>| {
            let other = || (field.name().clone(), ColumnType::name_of(field.data_type()));
            let of = ColumnType::exact(field.data_type()).ok_or_else(other)?;
            Ok(Stored { name: field.name().clone(), of, nullable: field.is_nullable() })
        };
        schema.fields().iter().map(column).collect::<Result<_, _>>().map(Self)
    }

    /// The columns of a definition.
    #[must_use]
    pub(crate) fn declared(columns: &[Column]) -> Self {
        let column = |c: &Column| Stored { name: c.name.clone(), of: c.column_type.as_stored(), nullable: c.nullable };
        Self(columns.iter().map(column).collect())
    }

    /// The Arrow schema of their rows.
    #[must_use]
    pub(crate) fn schema(&self) -> SchemaRef {
        let field = |column: &Stored| Field::new(&column.name, column.of.arrow(), column.nullable);
        Arc::new(Schema::new(self.0.iter().map(field).collect::<Vec<_>>()))
    }

    /// As columns without further properties.
    #[must_use]
    pub(crate) fn columns(&self) -> Vec<Column> {
        let column = |c: &Stored| Column { nullable: c.nullable, ..Column::new(&c.name, c.of.clone()) };
        self.0.iter().map(column).collect()
    }

    /// A column.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<&Stored> {
        self.0.iter().find(|column| column.name == name)
    }

    /// The columns after a statement.
    ///
    /// # Errors
    /// Why it cannot be done, at the word that cannot be meant.
    pub(crate) fn after(&self, statement: &Statement) -> Result<Self, Fault> {
        // The others leave the columns as they are.
        let Some(path) = statement.action.path() else { return Ok(self.clone()) };
        let found = match &statement.action {
            Action::Rename { to, .. } => {
                return self.with(path, &Change::Rename(&to.value)).map_err(|refusal| {
                    let is_taken = refusal.0.ends_with(" is there already");
                    at(if is_taken { &to.place } else { &path.place }, refusal)
                });
            }
            Action::Drop { .. } => self.with(path, &Change::Drop),
            Action::SetType { of, using, .. } => match using {
                Some(text) if !path.is_column() => {
                    let refusal = ("a field has no `using`".into(), "give the whole column a type and values".into());
                    return Err(at(&text.place, refusal));
                }
                using => self.with(path, &Change::Type(of, using.is_some())),
            },
            _ => self.not_null(path),
        };
        found.map_err(|refusal| at(&path.place, refusal))
    }

    fn with(&self, path: &ColumnPath, change: &Change<'_>) -> Result<Self, Refusal> {
        let all: Vec<(String, ColumnType)> = self.0.iter().map(|c| (c.name.clone(), c.of.clone())).collect();
        let changed = changed(&ColumnType::Struct(all.into()), &path.parts, "", change)?;
        let ColumnType::Struct(changed) = changed else { return Ok(self.clone()) };
        let nullable = |name: &str| {
            let before = match change {
                Change::Rename(to) if path.is_column() && name == *to => path.column(),
                _ => name,
            };
            self.get(before).is_none_or(|column| column.nullable)
        };
        let column =
            |(name, of): &(String, ColumnType)| Stored { name: name.clone(), of: of.clone(), nullable: nullable(name) };
        Ok(Self(changed.iter().map(column).collect()))
    }

    fn not_null(&self, path: &ColumnPath) -> Result<Self, Refusal> {
        if !path.is_column() {
            return Err((format!("`{path}` is no column"), "only a column can be `not null`".into()));
        }
        let mut columns = self.clone();
        let names: Vec<&str> = self.0.iter().map(|column| column.name.as_str()).collect();
        match columns.0.iter_mut().find(|column| column.name == path.column()) {
            None => Err(missing(path.column(), "", &names)),
            Some(column) if !column.nullable => {
                Err((format!("`{path}` cannot be NULL as it is"), "remove the statement".into()))
            }
            Some(column) => {
                column.nullable = false;
                Ok(columns)
            }
        }
    }
}

fn at(place: &Place, (message, label): Refusal) -> Fault {
    Fault::at(place, message, label)
}

fn missing(name: &str, of: &str, names: &[&str]) -> Refusal {
    let label = suggestion(name, names.iter().copied());
    (format!("`{name}` is not in {}", called(of)), label)
}

/// The name of the value at a path, for messages; the empty path is the table's row.
fn called(path: &str) -> String {
    if path.is_empty() { "this table".to_owned() } else { format!("`{path}`") }
}

/// A type with a change at the end of a path into it; `of` is the path to it.
fn changed(data_type: &ColumnType, parts: &[Part], of: &str, change: &Change<'_>) -> Result<ColumnType, Refusal> {
    match (data_type, parts) {
        (from, []) => match change {
            Change::Type(to, is_computed) => retyped(from, to, of, *is_computed),
            Change::Rename(_) | Change::Drop => {
                let label = "expected the name of a column or field at the end".to_owned();
                Err((format!("{} has no name of its own", called(of)), label))
            }
        },
        (ColumnType::Struct(fields), [Part::Field(name), rest @ ..]) => {
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            let Some(index) = names.iter().position(|known| known == name) else {
                return Err(missing(name, of, &names));
            };
            let mut fields = fields.to_vec();
            match change {
                Change::Rename(to) if rest.is_empty() => {
                    if names.contains(to) {
                        return Err((format!("`{to}` is there already"), "expected a name that is free".into()));
                    }
                    (*to).clone_into(&mut fields[index].0);
                }
                Change::Drop if rest.is_empty() => {
                    if fields.len() == 1 {
                        let label = "something has to stay: drop what it is in".to_owned();
                        return Err((format!("`{name}` is all that is in {}", called(of)), label));
                    }
                    fields.remove(index);
                }
                _ => {
                    let path = if of.is_empty() { name.clone() } else { format!("{of}.{name}") };
                    fields[index].1 = changed(&fields[index].1, rest, &path, change)?;
                }
            }
            Ok(ColumnType::Struct(fields.into()))
        }
        (ColumnType::Array(element), [Part::Element, rest @ ..]) => {
            Ok(ColumnType::Array(Arc::new(changed(element, rest, &format!("{of}[]"), change)?)))
        }
        (ColumnType::Map(entry), [Part::Value, rest @ ..]) => {
            let value = changed(&entry.1, rest, &format!("{of}{{}}"), change)?;
            Ok(ColumnType::Map(Arc::new((entry.0.clone(), value))))
        }
        (other, [part, ..]) => {
            let wanted = match part {
                Part::Field(name) => format!("no field `{name}` in it"),
                Part::Element => "no `[]`: it is no array".to_owned(),
                Part::Value => "no `{}`: it is no map".to_owned(),
            };
            Err((format!("{} is {}", called(of), other.delta_name()), wanted))
        }
    }
}

fn retyped(from: &ColumnType, to: &ColumnType, of: &str, is_computed: bool) -> Result<ColumnType, Refusal> {
    if from == to && !is_computed {
        return Err((format!("`{of}` is {} as it is", to.delta_name()), "remove the statement".into()));
    }
    if is_computed || holds(to, from) {
        return Ok(to.clone());
    }
    let (from, name) = (from.delta_name(), to.delta_name());
    if to.is_nested() {
        let label = format!("it is {from}: change its fields one by one, or add `using` and an expression");
        return Err((format!("`{of}` cannot become {name} by itself"), label));
    }
    let label = match of.contains(['.', '[', '{']) {
        true => format!(
            "it is {from}: give the whole column its type and values; `stedi-delta migrate new LABEL` drafts it"
        ),
        false => format!("it is {from}: add `using` and an expression, as in `using cast({of} as ...)`"),
    };
    Err((format!("`{of}` does not become {name} without losing values"), label))
}

/// Whether every value of `from` is a value of `to`, in another width.
#[must_use]
pub(crate) fn holds(to: &ColumnType, from: &ColumnType) -> bool {
    let bytes = |of: &ColumnType| match of {
        ColumnType::Byte => Some(1),
        ColumnType::Short => Some(2),
        ColumnType::Integer => Some(4),
        ColumnType::Long => Some(8),
        _ => None,
    };
    match (from, to) {
        (ColumnType::Float, ColumnType::Double) | (ColumnType::Date, ColumnType::Timestamp) => true,
        (ColumnType::Decimal(p, s), ColumnType::Decimal(precision, scale)) => {
            let whole = |p: u8, s: i8| i16::from(p) - i16::from(s);
            scale >= s && whole(*precision, *scale) >= whole(*p, *s)
        }
        (from, to) => bytes(from).zip(bytes(to)).is_some_and(|(from, to)| from < to),
    }
}
