//! Names of unknown fields in warnings: a record may have a person's address as a field name.

use super::format::{MAX_UNKNOWN_CHARS, RecordShape};
use crate::definition::{ColumnType, Reading, is_path};
use crate::privacy::Privacy;

/// Stands for all names beyond those that are counted individually.
pub const FURTHER: &str = "(further names)";

/// The path of an unknown field: its declared part unchanged, the name at its end as [`Privacy::field`] shows it.
pub fn shown(shape: &RecordShape, path: &str, privacy: &Privacy) -> String {
    if path == FURTHER {
        return format!("`{path}`");
    }
    let mut columns = shape.columns.iter().zip(&shape.readings);
    let nested = columns.find_map(|(column, reading)| below(&column.column_type, reading, path));
    let name = nested.unwrap_or(path);
    if name.is_empty() && !path.is_empty() {
        return format!("`{path}`");
    }
    let declared = &path[..path.len() - name.len()];
    // Within quotes the path is one name.
    let is_cut = path.chars().nth(MAX_UNKNOWN_CHARS - 1).is_some();
    privacy.field(declared, name, is_cut)
}

/// The name of a field that a value of this type, or an object on the way to it, has no place for, after the path that leads
/// to it. Empty if the path is where the value itself may be found.
fn below<'p>(of: &ColumnType, reading: &Reading, path: &'p str) -> Option<&'p str> {
    reading.from.iter().find_map(|source| {
        if path == source {
            return Some("");
        }
        let on_the_way = source.match_indices('.').filter(|_| is_path(source)).map(|(at, _)| &source[..=at]);
        let within = path.strip_prefix(source.as_str()).and_then(|path| inside(of, reading, path));
        within.or_else(|| on_the_way.rev().find_map(|before| path.strip_prefix(before)))
    })
}

/// The same after the path to the value.
fn inside<'p>(of: &ColumnType, reading: &Reading, path: &'p str) -> Option<&'p str> {
    let within = |of, path| inside(of, reading.inside.first()?, path);
    match of {
        ColumnType::Array(element) => within(element, path.strip_prefix("[]")?),
        ColumnType::Map(entry) => within(&entry.1, path.strip_prefix("{}")?),
        ColumnType::Struct(fields) => {
            let path = path.strip_prefix('.')?;
            let mut fields = fields.iter().zip(&reading.inside);
            Some(fields.find_map(|((_, of), reading)| below(of, reading, path)).unwrap_or(path))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Column;

    #[test]
    fn what_is_declared_of_a_path_is_shown() {
        let privacy = Privacy::new(Some("k"), false);
        let of = |name: &str, t| ColumnType::Struct([(name.to_owned(), t)].into());
        let prices = ColumnType::Array(of("price", ColumnType::Double).into());
        let lines = of("by", ColumnType::Map((ColumnType::String, prices).into()));
        let city = Reading { from: vec!["geo.at.city".into(), "The City".into()], ..Reading::default() };
        let mut shape = RecordShape::plain(&[
            Column::new("a", ColumnType::Long),
            Column::new("lines", lines),
            Column::new("city", ColumnType::String),
        ]);
        shape.readings[2] = city;
        for (path, told) in [
            ("city", "`city`".to_owned()),
            ("lines.size", "`lines.size`".to_owned()),
            ("lines.by{}[].colour", "`lines.by{}[].colour`".to_owned()),
            ("lines.by{}[].ann@x.org", format!("`lines.by{{}}[].{}`", privacy.show("ann@x.org"))),
            ("lines.by{}[", format!("`lines.{}`", privacy.show("by{}["))),
            (
                &"é".repeat(100),
                format!("`{}`, a hashed name of 100 characters or more,", privacy.show(&"é".repeat(100))),
            ),
            ("ann@x.org[].a", format!("`{}`", privacy.show("ann@x.org[].a"))),
            ("a[].b", format!("`{}`", privacy.show("a[].b"))),
            ("geo.at.ann@x.org", format!("`geo.at.{}`", privacy.show("ann@x.org"))),
            ("geo.ann@x.org", format!("`geo.{}`", privacy.show("ann@x.org"))),
            ("The City", "`The City`".to_owned()),
        ] {
            let shown = shown(&shape, path, &privacy);
            assert!(shown.starts_with(&told), "{shown} is not {told}");
            assert_eq!(shown.contains("hashed"), told.contains('…'), "{shown}");
        }
    }
}
