//! Changes of a table's columns, one by one, for people: what `plan` lists.

use super::shape::{Columns, Stored};
use super::statement::{Action, Part, Statement};
use crate::definition::ColumnType;
use crate::shape::document;

/// One change of a table's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// What changes.
    pub kind: SchemaChangeKind,
    /// The column, or a field: `s.a`, `items[].sku`. Empty for a change of the table itself.
    pub column: String,
    /// The type before, or the name before a rename.
    pub before: Option<String>,
    /// The type after, or the name after a rename.
    pub after: Option<String>,
    /// The migration that makes it, `0001_label`; `None` = the sync itself.
    pub migration: Option<String>,
}

document! {
/// The kind of a [`SchemaChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChangeKind {
    /// A new column or field.
    Added,
    /// It goes.
    Removed,
    /// It gets another name.
    Renamed,
    /// It gets another type.
    Type,
    /// It may be NULL from now on.
    Nullable,
    /// It cannot be NULL any more.
    NotNull,
    /// The columns stand in another order.
    Order,
    /// The table gets another description.
    Description,
}
}

impl SchemaChangeKind {
    /// `+`, `-` or `~`.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            _ => '~',
        }
    }
}

impl SchemaChange {
    /// Another description of the table.
    #[must_use]
    pub(crate) fn description() -> Self {
        Self { kind: SchemaChangeKind::Description, column: String::new(), before: None, after: None, migration: None }
    }

    fn of(kind: SchemaChangeKind, column: &str, before: Option<String>, after: Option<String>) -> Self {
        Self { kind, column: column.to_owned(), before, after, migration: None }
    }
}

/// The changes that turn columns into others of the same names.
#[must_use]
pub(crate) fn changes(before: &Columns, after: &Columns) -> Vec<SchemaChange> {
    let mut found = Vec::new();
    fields("", (&row(before), &row(after)), &mut found);
    for Stored { name, nullable, .. } in &after.0 {
        let kind = match (before.get(name).map(|known| known.nullable), nullable) {
            (Some(true), false) => SchemaChangeKind::NotNull,
            (Some(false), true) => SchemaChangeKind::Nullable,
            _ => continue,
        };
        found.push(SchemaChange::of(kind, name, None, None));
    }
    let names = |columns: &Columns| columns.0.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    if found.is_empty() && names(before) != names(after) {
        found.push(SchemaChange::of(SchemaChangeKind::Order, "", None, None));
    }
    found
}

/// The change that a statement makes to these columns; `None` = it changes no column.
#[must_use]
pub(crate) fn change_by(statement: &Statement, before: &Columns) -> Option<SchemaChange> {
    let type_of = |parts: &[Part]| at(&ColumnType::Struct(row(before).into()), parts).map(|of| of.delta_name());
    let made = |kind, path: &super::statement::ColumnPath, before, after| {
        Some(SchemaChange::of(kind, &path.to_string(), before, after))
    };
    match &statement.action {
        Action::Rename { path, to } => {
            made(SchemaChangeKind::Renamed, path, Some(path.leaf().to_owned()), Some(to.value.clone()))
        }
        Action::Drop { path } => made(SchemaChangeKind::Removed, path, type_of(&path.parts), None),
        Action::SetType { path, of, .. } => {
            made(SchemaChangeKind::Type, path, type_of(&path.parts), Some(of.delta_name()))
        }
        Action::SetNotNull { path } => made(SchemaChangeKind::NotNull, path, None, None),
        Action::RenameTable { .. } | Action::DropTable | Action::Refresh | Action::Reload(_) => None,
    }
}

fn row(columns: &Columns) -> Vec<(String, ColumnType)> {
    columns.0.iter().map(|column| (column.name.clone(), column.of.clone())).collect()
}

/// The type at a path.
fn at(of: &ColumnType, parts: &[Part]) -> Option<ColumnType> {
    match (of, parts) {
        (of, []) => Some(of.clone()),
        (ColumnType::Struct(fields), [Part::Field(name), rest @ ..]) => {
            at(&fields.iter().find(|(known, _)| known == name)?.1, rest)
        }
        (ColumnType::Array(element), [Part::Element, rest @ ..]) => at(element, rest),
        (ColumnType::Map(entry), [Part::Value, rest @ ..]) => at(&entry.1, rest),
        _ => None,
    }
}

/// The fields of a struct, or the columns of a table.
type Fields<'f> = &'f [(String, ColumnType)];

fn fields(path: &str, (before, after): (Fields<'_>, Fields<'_>), found: &mut Vec<SchemaChange>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, of) in before {
        match after.iter().find(|(known, _)| known == name) {
            Some((_, now)) => values(&below(name), (of, now), found),
            None => {
                found.push(SchemaChange::of(SchemaChangeKind::Removed, &below(name), Some(of.delta_name()), None));
            }
        }
    }
    let new = after.iter().filter(|(name, _)| before.iter().all(|(known, _)| known != name));
    found.extend(
        new.map(|(name, of)| SchemaChange::of(SchemaChangeKind::Added, &below(name), None, Some(of.delta_name()))),
    );
}

fn values(path: &str, (before, after): (&ColumnType, &ColumnType), found: &mut Vec<SchemaChange>) {
    match (before, after) {
        (before, after) if before == after => {}
        (ColumnType::Struct(before), ColumnType::Struct(after)) => fields(path, (before, after), found),
        (ColumnType::Array(before), ColumnType::Array(after)) => values(&format!("{path}[]"), (before, after), found),
        (ColumnType::Map(before), ColumnType::Map(after)) if before.0 == after.0 => {
            values(&format!("{path}{{}}"), (&before.1, &after.1), found);
        }
        (before, after) => {
            let (before, after) = (before.delta_name(), after.delta_name());
            found.push(SchemaChange::of(SchemaChangeKind::Type, path, Some(before), Some(after)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(of: &[(&str, &str, bool)]) -> Columns {
        let column = |(name, of, nullable): &(&str, &str, bool)| Stored {
            name: (*name).to_owned(),
            of: ColumnType::parse(of).expect("a type"),
            nullable: *nullable,
        };
        Columns(of.iter().map(column).collect())
    }

    fn lines(before: &Columns, after: &Columns) -> Vec<String> {
        let line = |change: SchemaChange| {
            let text = |side: Option<String>| side.unwrap_or_default();
            let (sign, kind) = (change.kind.sign(), format!("{:?}", change.kind));
            format!("{sign} {} {kind} {}>{}", change.column, text(change.before), text(change.after))
        };
        changes(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn every_level_has_its_changes() {
        let before = columns(&[
            ("id", "integer", true),
            ("s", "struct<a:integer,deep:struct<x:float>>", true),
            ("items", "array<struct<sku:string>>", true),
            ("prices", "map<string,struct<net:double>>", true),
            ("gone", "string", true),
        ]);
        let after = columns(&[
            ("id", "long", false),
            ("s", "struct<a:integer,deep:struct<x:float,y:float>>", true),
            ("items", "array<struct<code:string>>", true),
            ("prices", "map<string,struct<net:decimal(10,2)>>", true),
            ("zone", "string", true),
        ]);
        assert_eq!(
            lines(&before, &after),
            [
                "~ id Type integer>long",
                "+ s.deep.y Added >float",
                "- items[].sku Removed string>",
                "+ items[].code Added >string",
                "~ prices{}.net Type double>decimal(10,2)",
                "- gone Removed string>",
                "+ zone Added >string",
                "~ id NotNull >",
            ]
        );
        assert_eq!(lines(&after, &after), Vec::<String>::new());
    }

    #[test]
    fn an_order_alone_is_a_change() {
        let (ab, ba) = ([("a", "long", true), ("b", "long", true)], [("b", "long", true), ("a", "long", true)]);
        assert_eq!(lines(&columns(&ab), &columns(&ba)), ["~  Order >"]);
    }
}
