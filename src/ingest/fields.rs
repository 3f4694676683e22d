//! Names of unknown fields in warnings: a record may have a person's address as a field name.

use super::format::MAX_UNKNOWN_CHARS;
use crate::definition::{Column, ColumnType};
use crate::privacy::Privacy;

/// Stands for all names beyond those that are counted individually.
pub const FURTHER: &str = "(further names)";

/// The path of an unknown field: its declared part unchanged, the name at its end as [`Privacy::field`] shows it.
pub fn shown(columns: &[Column], path: &str, privacy: &Privacy) -> String {
    if path == FURTHER {
        return format!("`{path}`");
    }
    let nested = columns.iter().find_map(|c| inside(&c.column_type, path.strip_prefix(&c.name)?));
    let name = nested.unwrap_or(path);
    let declared = &path[..path.len() - name.len()];
    // Within quotes the path is one name.
    let is_cut = path.chars().nth(MAX_UNKNOWN_CHARS - 1).is_some();
    privacy.field(declared, name, is_cut)
}

/// The name of a field that a value of this type does not declare, after the path that leads to it.
fn inside<'p>(of: &ColumnType, path: &'p str) -> Option<&'p str> {
    match of {
        ColumnType::Array(element) => inside(element, path.strip_prefix("[]")?),
        ColumnType::Map(entry) => inside(&entry.1, path.strip_prefix("{}")?),
        ColumnType::Struct(fields) => {
            let path = path.strip_prefix('.')?;
            let deeper = fields.iter().find_map(|(name, of)| inside(of, path.strip_prefix(name.as_str())?));
            Some(deeper.unwrap_or(path))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_of_a_path_is_shown() {
        let privacy = Privacy::new(Some("k"), false);
        let of = |name: &str, t| ColumnType::Struct([(name.to_owned(), t)].into());
        let prices = ColumnType::Array(of("price", ColumnType::Double).into());
        let lines = of("by", ColumnType::Map((ColumnType::String, prices).into()));
        let columns = [Column::new("a", ColumnType::Long), Column::new("lines", lines)];
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
        ] {
            let shown = shown(&columns, path, &privacy);
            assert!(shown.starts_with(&told), "{shown} is not {told}");
            assert_eq!(shown.contains("hashed"), told.contains('…'), "{shown}");
        }
    }
}
