//! Constraints on the rows of a table that need no newer protocol: its engine would check them on every row, and a
//! writer that ignores them violates them.

use deltalake::kernel::{MetadataValue, StructType};

use super::table::LakeTable;
use crate::error::{Error, Result};

/// Prefix of the property of a CHECK constraint.
const CHECK: &str = "delta.constraints.";
/// The property that forbids removing rows.
const APPEND_ONLY: &str = "delta.appendOnly";
/// Constraints of columns, in their metadata.
const OF_COLUMNS: [(&str, &str); 2] =
    [("delta.invariants", "has an invariant"), (GENERATED, "is computed by the engine")];
/// Delta's mark of a column that the writer has to compute.
const GENERATED: &str = "delta.generationExpression";

impl LakeTable {
    /// Refuses tables with constraints on rows that other engines added and this tool does not check.
    pub(super) fn check_promises(&self) -> Result<()> {
        let Ok(snapshot) = self.inner().snapshot() else { return Ok(()) };
        let mut names: Vec<&String> = snapshot.metadata().configuration().keys().collect();
        names.sort();
        if let Some(name) = names.into_iter().find_map(|name| name.strip_prefix(CHECK)) {
            return Err(self.promises(
                &format!("has the CHECK constraint `{name}`"),
                &format!("in the engine that made it: ALTER TABLE ... DROP CONSTRAINT {name}"),
            ));
        }
        match of_columns("", snapshot.schema().as_ref()) {
            Some((column, what)) => Err(self.promises(
                &format!("has a rule on rows: column `{column}` {what}"),
                "drop it in the engine that made it, or move the table's folder away and sync",
            )),
            None => Ok(()),
        }
    }

    /// Whether the writer has to compute a column.
    #[must_use]
    pub(crate) fn is_computed(&self, column: &str) -> bool {
        let Ok(snapshot) = self.inner().snapshot() else { return false };
        snapshot.schema().field(column).is_some_and(|field| field.metadata().contains_key(GENERATED))
    }

    /// Refuses to remove rows from an append-only table.
    ///
    /// # Errors
    /// If the table is append-only.
    pub fn check_removable(&self) -> Result<()> {
        let Ok(snapshot) = self.inner().snapshot() else { return Ok(()) };
        let asked = snapshot.metadata().configuration().get(APPEND_ONLY);
        if asked.is_none_or(|asked| !asked.eq_ignore_ascii_case("true")) {
            return Ok(());
        }
        Err(self.promises(
            &format!("is `{APPEND_ONLY}`, and rows have to go"),
            &format!("in the engine that asked for it: ALTER TABLE ... SET TBLPROPERTIES ('{APPEND_ONLY}' = 'false')"),
        ))
    }

    fn promises(&self, what: &str, way_out: &str) -> Error {
        Error::failed(format!("{} {what}", self.location()))
            .fact("table", format!("v{}, unchanged", self.version()))
            .fact("because", "another writer added it, and this tool does not enforce it")
            .help(way_out)
    }
}

/// The first column with its own constraint, at any depth.
fn of_columns(above: &str, schema: &StructType) -> Option<(String, &'static str)> {
    schema.fields().find_map(|field| {
        let name = format!("{above}{}", field.name());
        let rule = OF_COLUMNS.iter().find(|(key, _)| {
            field.metadata().get(*key).is_some_and(|v| !matches!(v, MetadataValue::String(text) if text.is_empty()))
        });
        match (rule, field.data_type()) {
            (Some((_, what)), _) => Some((name, *what)),
            (None, deltalake::kernel::DataType::Struct(inner)) => of_columns(&format!("{name}."), inner),
            (None, _) => None,
        }
    })
}
