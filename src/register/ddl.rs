//! The statements to register tables in Athena by hand.

use crate::error::{Error, Result};
use crate::migration::Places;
use crate::workspace::{ResolvedTarget, TablePlace, unknown_table};

/// `CREATE EXTERNAL TABLE` for the named tables, or all of them. Athena takes only the location: columns come from the
/// log. Names are quoted as DDL requires: `order` is a keyword of Hive's grammar.
/// Source: Athena user guide, "Create Delta Lake tables", "Escape reserved keywords in queries". `moved`: where tables are
/// that migrations moved.
///
/// # Errors
/// A table is unknown, or not on S3.
pub fn ddl(address: &ResolvedTarget, moved: &Places, tables: &[String]) -> Result<String> {
    let places = address.places(moved);
    let known: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
    if let Some(name) = tables.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(unknown_table(name, &known));
    }
    let database = address.database();
    let mut text = format!("CREATE DATABASE IF NOT EXISTS `{database}`;\n");
    // A quarantine may not exist, so it must be named explicitly.
    let asked = |place: &TablePlace| {
        if tables.is_empty() { !place.is_quarantine } else { tables.contains(&place.name) }
    };
    for TablePlace { name, place, .. } in places.into_iter().filter(asked) {
        if !place.starts_with("s3://") {
            return Err(Error::failed(format!("Athena cannot read `{place}`"))
                .fact("table", name)
                .fact("target", address.target.clone())
                .fact("expected", "a warehouse on `s3://`")
                .help("name a target on S3 with --target, or --warehouse s3://bucket/prefix"));
        }
        let place = place.trim_end_matches('/').replace('\'', "''");
        text.push_str(&format!(
            "\nCREATE EXTERNAL TABLE `{database}`.`{name}`\nLOCATION '{place}/'\nTBLPROPERTIES ('table_type' = 'DELTA');\n"
        ));
    }
    Ok(text)
}
