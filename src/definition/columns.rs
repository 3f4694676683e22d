//! `[columns]`: names and types, in the order of the text.

use super::document::{Entry, Table};
use super::faults::Faults;
use super::model::{Column, ColumnType};
use crate::name::{self, nearest};
use crate::source::Place;

/// A declared column with the places that faults about it point at.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub column: Column,
    /// The column's name in the text.
    pub place: Place,
    /// The column's type in the text.
    pub type_place: Place,
    /// Whether `nullable` is written.
    pub says_nullable: bool,
}

/// Names of types in the order in which help lists them.
const TYPES: [(&str, ColumnType); 15] = [
    ("string", ColumnType::String),
    ("long", ColumnType::Long),
    ("integer", ColumnType::Integer),
    ("short", ColumnType::Short),
    ("byte", ColumnType::Byte),
    ("float", ColumnType::Float),
    ("double", ColumnType::Double),
    ("boolean", ColumnType::Boolean),
    ("binary", ColumnType::Binary),
    ("date", ColumnType::Date),
    ("timestamp", ColumnType::Timestamp),
    ("bigint", ColumnType::Long),
    ("int", ColumnType::Integer),
    ("smallint", ColumnType::Short),
    ("tinyint", ColumnType::Byte),
];

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
    let column_type = match column_type(&text.value) {
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

/// The type of a Delta or Hive name.
fn column_type(text: &str) -> Result<ColumnType, String> {
    let lower = text.trim().to_ascii_lowercase();
    if let Some((_, found)) = TYPES.iter().find(|(name, _)| *name == lower) {
        return Ok(*found);
    }
    if lower == "decimal" || lower.starts_with("decimal(") {
        return decimal(&lower).ok_or_else(|| "expected `decimal(p,s)` with p from 1 to 38 and s from 0 to p".into());
    }
    let head = lower.split(['(', '<', ' ']).next().unwrap_or_default();
    Err(match head {
        "varchar" | "char" | "text" => "write `string`".into(),
        "array" | "map" | "struct" => "nested types are not supported: write `string` to keep the JSON text".into(),
        "timestamp_ntz" => "write `timestamp`: times are UTC".into(),
        "numeric" => "write `decimal(p,s)`".into(),
        "real" => "write `float`".into(),
        "bool" => "write `boolean`".into(),
        _ => match nearest(&lower, TYPES.iter().map(|(name, _)| *name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let names: Vec<_> = TYPES[..11].iter().map(|(name, _)| *name).collect();
                format!("one of {}, decimal(p,s)", names.join(", "))
            }
        },
    })
}

fn decimal(text: &str) -> Option<ColumnType> {
    let (precision, scale) = text.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=38).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(ColumnType::Decimal(precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delta_and_hive_names_mean_the_same() {
        assert_eq!(column_type("bigint"), column_type("long"));
        assert_eq!(column_type("INT"), Ok(ColumnType::Integer));
        assert_eq!(column_type("decimal(10, 2)"), Ok(ColumnType::Decimal(10, 2)));
    }

    #[test]
    fn other_types_come_with_a_way_out() {
        assert_eq!(column_type("varchar(20)"), Err("write `string`".into()));
        assert_eq!(column_type("timestamp_ntz"), Err("write `timestamp`: times are UTC".into()));
        assert_eq!(column_type("strin"), Err("did you mean `string`?".into()));
        for bad in ["array<int>", "decimal", "decimal(39,0)", "decimal(5,6)", "decimal(5,-1)", "xyzzy"] {
            assert!(column_type(bad).is_err(), "{bad}");
        }
    }
}
