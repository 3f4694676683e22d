//! The names of a table's columns in its versions, by the statements in the journal that renamed or dropped one.

use super::journal::Journal;
use crate::migration::{self, Action};
use crate::outcome::StatementOutcome;

/// How the columns of one table were named.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames {
    /// The version that a statement made, the column's name before, and its name since then; in their order.
    steps: Vec<(u64, String, Option<String>)>,
}

impl ColumnNames {
    /// Those of the table with this id.
    #[must_use]
    pub fn of(journal: &Journal, uuid: &str) -> Self {
        let statements = journal.entries.values().flat_map(|entry| &entry.statements);
        let mut steps: Vec<_> =
            statements.filter(|of| of.table_uuid.as_deref() == Some(uuid)).filter_map(step).collect();
        steps.sort_by_key(|(version, _, _)| *version);
        Self { steps }
    }

    /// The name in version `to` of a column that version `from`, an earlier one, has under this name. `None` = it was
    /// dropped: a column of that name in `to` is another one.
    #[must_use]
    pub fn later(&self, column: &str, from: u64, to: u64) -> Option<String> {
        let mut name = column.to_owned();
        for (_, before, after) in self.steps.iter().filter(|(version, _, _)| from < *version && *version <= to) {
            if *before == name {
                name.clone_from(after.as_ref()?);
            }
        }
        Some(name)
    }
}

fn step(statement: &StatementOutcome) -> Option<(u64, String, Option<String>)> {
    let version = statement.version_after?;
    let after = match migration::statement(&statement.text)?.action {
        Action::Rename { path, to } if path.is_column() => (path, Some(to.value)),
        Action::Drop { path } if path.is_column() => (path, None),
        _ => return None,
    };
    Some((version, after.0.column().to_owned(), after.1))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
