//! The names of a table's columns and of the fields in them in its versions, by the statements in the journal that
//! renamed or dropped one.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef};

use super::journal::Journal;
use crate::migration::{self, Action, Part};
use crate::outcome::StatementOutcome;

/// How the columns of one table were named.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames {
    /// In the order of their versions.
    steps: Vec<Step>,
}

/// A statement that renamed or dropped a column or a field.
#[derive(Clone, Debug)]
struct Step {
    /// The version that it made.
    version: u64,
    /// Where it was before.
    path: Vec<Part>,
    /// Its name since then; `None` = it was dropped.
    after: Option<String>,
}

impl ColumnNames {
    /// Those of the table with this id.
    #[must_use]
    pub fn of(journal: &Journal, uuid: &str) -> Self {
        let statements = journal.entries.values().flat_map(|entry| &entry.statements);
        let mut steps: Vec<_> =
            statements.filter(|of| of.table_uuid.as_deref() == Some(uuid)).filter_map(step).collect();
        steps.sort_by_key(|step| step.version);
        Self { steps }
    }

    fn between(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(move |step| from < step.version && step.version <= to)
    }

    /// The name in version `to` of a column that version `from`, an earlier one, has under this name. `None` = it was
    /// dropped: a column of that name in `to` is another one.
    #[must_use]
    pub fn later(&self, column: &str, from: u64, to: u64) -> Option<String> {
        match self.later_path(&[Part::Field(column.to_owned())], from, to)?.pop()? {
            Part::Field(name) => Some(name),
            _ => None,
        }
    }

    /// The same for the name in version `to`, an earlier one, of a column of version `from`. `None` = it was added since,
    /// as far as the journal tells: a column of that name in `to` is another one.
    #[must_use]
    pub fn earlier(&self, column: &str, from: u64, to: u64) -> Option<String> {
        let mut name = column.to_owned();
        for Step { path, after, .. } in self.between(to, from).rev() {
            let [Part::Field(before)] = path.as_slice() else { continue };
            if after.as_ref() == Some(&name) {
                name.clone_from(before);
            } else if *before == name {
                return None;
            }
        }
        Some(name)
    }

    /// The name in any version of a column that a version has under this name.
    #[must_use]
    pub fn at(&self, column: &str, version: u64, wanted: u64) -> Option<String> {
        match version <= wanted {
            true => self.later(column, version, wanted),
            false => self.earlier(column, version, wanted),
        }
    }

    /// The version that drops a column of an earlier version.
    #[must_use]
    pub fn dropped_in(&self, column: &str, from: u64) -> Option<u64> {
        let mut drops = self.between(from, u64::MAX).filter(|step| step.after.is_none()).map(|step| step.version);
        drops.find(|version| self.later(column, from, *version).is_none())
    }

    /// The place in version `to` of a column or field of version `from`, an earlier one; `None` = it was dropped.
    fn later_path(&self, path: &[Part], from: u64, to: u64) -> Option<Vec<Part>> {
        let mut found = path.to_vec();
        for Step { path, after, .. } in self.between(from, to) {
            if found.starts_with(path) {
                *found.get_mut(path.len() - 1)? = Part::Field(after.clone()?);
            }
        }
        Some(found)
    }

    /// The type of a column of version `from` with the names that its fields have in version `to`, a later one. Fields
    /// that were dropped have a name that no other field can have.
    #[must_use]
    pub fn later_type(&self, column: &Field, from: u64, to: u64) -> DataType {
        self.renamed(&mut vec![Part::Field(column.name().clone())], column.data_type(), (from, to))
    }

    fn renamed(&self, path: &mut Vec<Part>, of: &DataType, versions: (u64, u64)) -> DataType {
        let mut inside = |part: Part, field: &FieldRef| {
            path.push(part);
            let field = field.as_ref().clone().with_data_type(self.renamed(path, field.data_type(), versions));
            let later = self.later_path(path, versions.0, versions.1);
            let is_named = matches!(path.pop(), Some(Part::Field(_)));
            Arc::new(match later.map(|mut path| path.pop()) {
                Some(Some(Part::Field(name))) => field.with_name(name),
                // No stored name holds a blank.
                None if is_named => {
                    let name = format!("{} dropped", field.name());
                    field.with_name(name)
                }
                _ => field,
            })
        };
        match of {
            DataType::Struct(fields) => {
                let renamed = fields.iter().map(|field| inside(Part::Field(field.name().clone()), field));
                DataType::Struct(renamed.collect())
            }
            DataType::List(element) => DataType::List(inside(Part::Element, element)),
            DataType::Map(entries, sorted) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    let value = inside(Part::Value, &fields[1]);
                    let held = DataType::Struct(vec![Arc::clone(&fields[0]), value].into());
                    DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(held)), *sorted)
                }
                _ => of.clone(),
            },
            _ => of.clone(),
        }
    }
}

fn step(statement: &StatementOutcome) -> Option<Step> {
    let version = statement.version_after?;
    let (path, after) = match migration::statement(&statement.text)?.action {
        Action::Rename { path, to } => (path.parts, Some(to.value)),
        Action::Drop { path } => (path.parts, None),
        _ => return None,
    };
    (!path.is_empty()).then_some(Step { version, path, after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::ColumnType;

    fn statement(version: u64, text: &str) -> StatementOutcome {
        StatementOutcome {
            number: 1,
            text: text.to_owned(),
            table: "t".into(),
            table_uuid: None,
            version_before: version.checked_sub(1),
            version_after: Some(version),
            bytes_read: 0,
            bytes_written: 0,
            moved: None,
            needs_sync: false,
        }
    }

    #[test]
    fn a_column_is_followed_through_statements() {
        let texts = [
            (3, "alter table t rename column a to b"),
            (4, "alter table t alter column c type long using ..."),
            (5, "alter table t rename column s.x to y"),
            (6, "alter table t drop column d"),
            (8, "alter table t rename column b to d"),
        ];
        let steps = texts.iter().filter_map(|(version, text)| step(&statement(*version, text))).collect();
        let names = ColumnNames { steps };
        let later = |column: &str, from, to| names.later(column, from, to);
        assert_eq!(later("a", 2, 2).as_deref(), Some("a"));
        assert_eq!(later("a", 2, 3).as_deref(), Some("b"));
        assert_eq!(later("a", 0, 9).as_deref(), Some("d"));
        assert_eq!(later("a", 3, 9).as_deref(), Some("a"), "another column of that name");
        assert_eq!(later("d", 5, 7), None);
        assert_eq!(later("d", 6, 9).as_deref(), Some("d"), "added since");
        assert_eq!(later("s", 0, 9).as_deref(), Some("s"));
        let earlier = |column: &str, from, to| names.earlier(column, from, to);
        assert_eq!(earlier("d", 9, 8).as_deref(), Some("d"));
        assert_eq!(earlier("d", 9, 7).as_deref(), Some("b"));
        assert_eq!(earlier("d", 9, 0).as_deref(), Some("a"));
        assert_eq!(earlier("d", 5, 0).as_deref(), Some("d"), "the one that was dropped");
        assert_eq!(earlier("d", 7, 5), None, "added since");
        assert_eq!(earlier("b", 9, 7), None, "another column of that name");
        assert_eq!(names.dropped_in("d", 5), Some(6));
        assert_eq!(names.dropped_in("d", 6), None);
        assert_eq!(names.dropped_in("a", 0), None);
    }

    #[test]
    fn fields_are_followed_at_any_depth() {
        let texts = [
            (3, "alter table t rename column s.a to b"),
            (4, "alter table t rename column s to t"),
            (5, "alter table t rename column t.list[].x to y"),
            (6, "alter table t rename column t.by_name{}.x to z"),
            (7, "alter table t drop column t.gone"),
            (8, "alter table t rename column t.list[].deep.v to w"),
        ];
        let names = ColumnNames { steps: texts.iter().filter_map(|(v, text)| step(&statement(*v, text))).collect() };
        let of = |text: &str| ColumnType::parse(text).expect(text).arrow();
        let before = "struct<a:long,gone:long,list:array<struct<x:long,deep:struct<v:long>>>,by_name:map<string,struct<x:long>>>";
        let later = |from, to| names.later_type(&Field::new("s", of(before), true), from, to);
        assert_eq!(later(0, 2), of(before));
        assert_eq!(later(3, 3), of(before));
        let text = format!("{:?}", later(0, 9)).replace("gone dropped", "gone_dropped");
        let expected = "struct<b:long,gone_dropped:long,list:array<struct<y:long,deep:struct<w:long>>>,by_name:map<string,struct<z:long>>>";
        assert_eq!(text, format!("{:?}", of(expected)));
        assert_eq!(names.later("s", 0, 9).as_deref(), Some("t"));
    }
}
