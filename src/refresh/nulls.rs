//! The error for a NULL that a query gives in a column that has none.

use crate::definition::Table;
use crate::error::Error;
use crate::lake::NullFound;

/// An error of a refresh; if it comes from such a NULL, with the declaration that forbids it.
pub(super) fn forbidden_null(error: Error, table: &Table) -> Error {
    let Some(NullFound { column, rows }) = error.cause_of() else { return error };
    let name = &table.name;
    let (forbids, help) = if table.primary_key.contains(column) {
        (
            format!("is in the primary key of {name}"),
            format!("filter these rows out, or take `{column}` out of `primary_key`"),
        )
    } else {
        let help = "filter these rows out, or drop `nullable = false` from the definition".to_owned();
        (format!("of {name} is declared `nullable = false`"), help)
    };
    Error::new(error.kind(), format!("column `{column}` {forbids}, and the query gives NULL"))
        .fact("rows", rows.to_string())
        .help(help)
}
