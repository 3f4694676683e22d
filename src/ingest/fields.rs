//! Names of unknown fields in warnings: a record may have a person's address as a field name.

use super::format::{MAX_UNKNOWN_CHARS, RecordShape};
use crate::definition::{ColumnType, Reading, is_path};
use crate::privacy::{Privacy, is_field_name};

/// Stands for all names beyond those that are counted individually.
pub(super) const FURTHER: &str = "(further names)";

/// The path of such a field as the reason of a quarantine, which stays: a name that may be a value is left out.
pub(super) fn named(shape: &RecordShape, path: &str) -> String {
    let declared = declared_of(shape, path);
    let name = &path[declared.len()..];
    let above = declared.trim_end_matches('.');
    match (is_field_name(name) || name.is_empty(), above.is_empty()) {
        (true, _) => format!("field `{path}` is not declared"),
        (false, true) => "a field is not declared whose name may be personal data".to_owned(),
        (false, false) => format!("a field of `{above}` is not declared whose name may be personal data"),
    }
}

/// What a table declares of a path.
fn declared_of<'p>(shape: &RecordShape, path: &'p str) -> &'p str {
    let mut columns = shape.columns.iter().zip(&shape.readings);
    let name = columns.find_map(|(column, reading)| below(&column.column_type, reading, path)).unwrap_or(path);
    &path[..path.len() - name.len()]
}

/// The path of an unknown field: its declared part unchanged, the name at its end as [`Privacy::field`] shows it.
pub(super) fn shown(shape: &RecordShape, path: &str, privacy: &Privacy) -> String {
    if path == FURTHER {
        return format!("`{path}`");
    }
    let declared = declared_of(shape, path);
    let name = &path[declared.len()..];
    if name.is_empty() && !path.is_empty() {
        return format!("`{path}`");
    }
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
    fn a_reason_names_no_field_whose_name_may_be_a_value() {
        let of = ColumnType::Struct([("city".to_owned(), ColumnType::String)].into());
        let shape = RecordShape::plain(&[Column::new("address", ColumnType::Array(of.into()))]);
        for (path, said) in [
            ("zip", "field `zip` is not declared"),
            ("address[].zip", "field `address[].zip` is not declared"),
            ("ann@x.org", "a field is not declared whose name may be personal data"),
            ("address[].ann@x.org", "a field of `address[]` is not declared whose name may be personal data"),
        ] {
            assert_eq!(named(&shape, path), said);
        }
    }

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
