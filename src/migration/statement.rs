//! The statements of a migration.

use std::fmt;

use crate::definition::ColumnType;
use crate::source::{Place, Text};

/// A statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The table that it changes.
    pub table: Text,
    /// Its action.
    pub action: Action,
    /// All of its text.
    pub place: Place,
}

impl Statement {
    /// Its text on one line, without the expression after `using`, which may name values.
    #[must_use]
    pub fn text(&self) -> String {
        let (span, rest) = match &self.action {
            Action::SetType { using: Some(using), .. } => (self.place.span.start..using.place.span.start, " ..."),
            _ => (self.place.span.clone(), ""),
        };
        let text = self.place.file.text.get(span).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ") + rest
    }
}

/// The action of a statement.
#[derive(Clone, Debug)]
pub enum Action {
    /// `rename column`: the column or field of this path gets another name.
    Rename {
        /// Which.
        path: ColumnPath,
        /// Its new name.
        to: Text,
    },
    /// `drop column`.
    Drop {
        /// Which.
        path: ColumnPath,
    },
    /// `alter column ... type`.
    SetType {
        /// Which.
        path: ColumnPath,
        /// Its new type.
        of: ColumnType,
        /// The expression of the new values; `None` = values stay, and the new type can hold all of them.
        using: Option<Text>,
    },
    /// `alter column ... set not null`.
    SetNotNull {
        /// Which.
        path: ColumnPath,
    },
    /// `rename to`: the table gets another name.
    RenameTable {
        /// Its zone in `tables/` from then on, if the statement names it.
        zone: Option<Text>,
        /// Its new name.
        to: Text,
    },
    /// `drop table`: the table leaves the project. Its files stay.
    DropTable,
    /// `refresh table ... full`: a derived table is computed whole.
    Refresh,
    /// `reload table`: the files of a landing table are read again.
    Reload(Files),
}

/// Files to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// All of the table.
    All,
    /// `from rescued`: those of which a row has undeclared fields.
    Rescued,
}

impl Action {
    /// The column or field that it is about; `None` = the table itself.
    #[must_use]
    pub fn path(&self) -> Option<&ColumnPath> {
        match self {
            Self::Rename { path, .. }
            | Self::Drop { path }
            | Self::SetType { path, .. }
            | Self::SetNotNull { path } => Some(path),
            Self::RenameTable { .. } | Self::DropTable | Self::Refresh | Self::Reload(_) => None,
        }
    }

    /// Whether the table has another name afterwards, or none.
    #[must_use]
    pub fn moves(&self) -> bool {
        matches!(self, Self::RenameTable { .. } | Self::DropTable)
    }

    /// Whether a sync carries it out with its own work, after all other statements.
    #[must_use]
    pub fn is_request(&self) -> bool {
        matches!(self, Self::Refresh | Self::Reload(_))
    }
}

/// A column, or a field within one.
#[derive(Clone, Debug)]
pub struct ColumnPath {
    /// The column's name, and what follows.
    pub parts: Vec<Part>,
    /// Where it stands.
    pub place: Place,
}

impl ColumnPath {
    /// The column.
    #[must_use]
    pub fn column(&self) -> &str {
        match self.parts.first() {
            Some(Part::Field(name)) => name,
            _ => "",
        }
    }

    /// The last name.
    #[must_use]
    pub fn leaf(&self) -> &str {
        match self.parts.last() {
            Some(Part::Field(name)) => name,
            _ => "",
        }
    }

    /// Whether it is a column, and no field within one.
    #[must_use]
    pub fn is_column(&self) -> bool {
        self.parts.len() == 1
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&path_text(&self.parts))
    }
}

/// `a.b`, `a[].b`, `a{}.b`.
#[must_use]
pub(crate) fn path_text(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Field(name) if text.is_empty() => text.push_str(name),
            Part::Field(name) => text.extend([".", name]),
            Part::Element => text.push_str("[]"),
            Part::Value => text.push_str("{}"),
        }
    }
    text
}

/// A step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A field of a struct; a column of the table.
    Field(String),
    /// `[]`: the elements of an array.
    Element,
    /// `{}`: the values of a map.
    Value,
}

/// The steps of `a.b`, `a[].b`, `a{}.b`.
#[must_use]
pub(crate) fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for name in text.split('.') {
        let end = name.find(['[', '{']).unwrap_or(name.len());
        let (name, inside) = name.split_at(end);
        parts.push(Part::Field(name.to_owned()));
        let steps = inside.chars().filter_map(|sign| match sign {
            '[' => Some(Part::Element),
            '{' => Some(Part::Value),
            _ => None,
        });
        parts.extend(steps);
    }
    parts
}
