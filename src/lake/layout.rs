//! Which columns of a table have statistics in the log, and which have bloom filters instead.
//!
//! Columns classified as personal data have no statistics in the log: bounds are values, and nothing removes them.
//! Lookups by them, and by keys, use the footers of data files instead: row-group statistics and bloom filters. The
//! table's properties declare this to every writer, including a later rewrite.
//! Source: Delta protocol, "Per-file Statistics"; Parquet format, "Bloom Filter".

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::definition::{Column, ColumnType, Table};

/// Columns with statistics, separated by commas.
const STATS_COLUMNS: &str = "delta.dataSkippingStatsColumns";
/// Number of columns with statistics, if there is no list.
const INDEXED_COLUMNS: &str = "delta.dataSkippingNumIndexedCols";
/// Parquet's property "with a bloom filter", followed by a column.
const BLOOM: &str = "parquet.bloom.filter.enabled#";

/// Number of top-level columns with statistics if nothing is hidden, as in every Delta writer.
pub(super) const DESCRIBED_COLUMNS: usize = 32;

/// Which columns have statistics, and which have bloom filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Columns with statistics in the log, those within structs by their path; `None` = the first ones.
    described: Option<BTreeSet<String>>,
    /// Columns with a bloom filter.
    sought: BTreeSet<String>,
}

impl Layout {
    /// The layout of a table with these columns and this key.
    #[must_use]
    pub fn of(columns: &[Column], key: &[String]) -> Self {
        let is_sought = |column: &&Column| column.pii || key.contains(&column.name);
        let sought = columns.iter().filter(is_sought).filter(|column| is_findable(&column.column_type));
        let described = columns.iter().any(|column| column.pii).then(|| {
            let mut paths = Vec::new();
            for column in columns.iter().filter(|column| !column.pii) {
                leaves(&quoted(&column.name), &column.column_type, &mut paths);
            }
            paths.into_iter().take(DESCRIBED_COLUMNS).collect()
        });
        Self { described, sought: sought.map(|column| column.name.clone()).collect() }
    }

    /// The layout of a table with this definition.
    #[must_use]
    pub fn defined(table: &Table) -> Self {
        Self::of(&table.columns, &table.primary_key)
    }

    /// The layout of a table with these properties.
    pub(super) fn by(properties: &HashMap<String, String>) -> Self {
        let listed = properties.get(STATS_COLUMNS).map(|list| split(list));
        let none = || properties.get(INDEXED_COLUMNS).is_some_and(|n| n == "0").then(BTreeSet::new);
        let sought = properties.iter().filter(|(_, value)| *value == "true");
        let sought = sought.filter_map(|(name, _)| name.strip_prefix(BLOOM).map(str::to_owned));
        Self { described: listed.or_else(none), sought: sought.collect() }
    }

    /// The layout that fulfils `wanted` and keeps requests of other writers.
    pub(super) fn with(&self, wanted: &Self) -> Self {
        let described = wanted.described.clone().or_else(|| self.described.clone());
        Self { described, sought: self.sought.union(&wanted.sought).cloned().collect() }
    }

    /// This one of a table where a column, or a field within structs, has another name from now on; `None` = it is gone.
    #[must_use]
    pub fn moved(&self, path: &[String], to: Option<&str>) -> Self {
        let parts: Vec<String> = path.iter().map(|part| quoted(part)).collect();
        let from = parts.join(".");
        let within = |described: &String| {
            let rest = described.strip_prefix(from.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('.'));
            match (rest, to) {
                (None, _) => Some(described.clone()),
                (Some(_), None) => None,
                (Some(rest), Some(to)) => {
                    let above = parts.iter().rev().skip(1).rev().map(|part| format!("{part}."));
                    Some(format!("{}{}{rest}", above.collect::<String>(), quoted(to)))
                }
            }
        };
        let described = self.described.as_ref().map(|described| described.iter().filter_map(within).collect());
        let mut sought = self.sought.clone();
        if let [column] = path
            && sought.remove(column)
        {
            sought.extend(to.map(str::to_owned));
        }
        Self { described, sought }
    }

    /// What has to be done to a table's properties for another layout: those that get a value, and those that go.
    #[must_use]
    pub fn to(&self, other: &Self) -> (BTreeMap<String, String>, Vec<String>) {
        let (before, mut after) = (self.properties(), other.properties());
        let gone = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
        after.retain(|name, value| before.get(name) != Some(value));
        (after, gone)
    }

    /// The properties that say so.
    pub(super) fn properties(&self) -> BTreeMap<String, String> {
        let mut properties: BTreeMap<_, _> =
            self.sought.iter().map(|name| (format!("{BLOOM}{name}"), "true".to_owned())).collect();
        match &self.described {
            None => {}
            // Some engines ignore an empty list.
            Some(none) if none.is_empty() => drop(properties.insert(INDEXED_COLUMNS.to_owned(), "0".to_owned())),
            Some(paths) => {
                let list = paths.iter().map(String::as_str).collect::<Vec<_>>().join(",");
                properties.insert(STATS_COLUMNS.to_owned(), list);
            }
        }
        properties
    }

    /// Whether some columns have no statistics in the log.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.described.is_some()
    }

    /// Whether the log has statistics of the column with this path; `None` if that depends on the number of columns
    /// before it.
    pub(super) fn describes(&self, path: &[String]) -> Option<bool> {
        let described = self.described.as_ref()?;
        let parts: Vec<String> = path.iter().map(|part| quoted(part)).collect();
        Some((1..=parts.len()).any(|to| described.contains(&parts[..to].join("."))))
    }

    /// Whether lookups by a top-level column use the files rather than the log.
    #[must_use]
    pub fn is_found_by_files(&self, column: &str) -> bool {
        self.sought.contains(column) || self.describes(&[column.to_owned()]) == Some(false)
    }

    /// Columns with a bloom filter.
    pub(super) fn sought(&self) -> impl Iterator<Item = &str> {
        self.sought.iter().map(String::as_str)
    }
}

/// Whether values of a type have a bloom filter.
fn is_findable(of: &ColumnType) -> bool {
    !matches!(
        of,
        ColumnType::Float
            | ColumnType::Double
            | ColumnType::Boolean
            | ColumnType::Binary
            | ColumnType::Array(_)
            | ColumnType::Struct(_)
            | ColumnType::Map(_)
    )
}

/// The nested values of a column that have an order: Spark refuses a list with other types.
fn leaves(path: &str, of: &ColumnType, into: &mut Vec<String>) {
    match of {
        ColumnType::Boolean | ColumnType::Binary | ColumnType::Array(_) | ColumnType::Map(_) => {}
        ColumnType::Struct(fields) => {
            for (name, of) in fields.iter() {
                leaves(&format!("{path}.{}", quoted(name)), of, into);
            }
        }
        _ => into.push(path.to_owned()),
    }
}

/// A name as quoted in a list of columns.
fn quoted(name: &str) -> String {
    let is_plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_plain { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

/// The columns of a list, each as [`quoted`].
fn split(list: &str) -> BTreeSet<String> {
    let mut columns = vec![String::new()];
    let mut in_quotes = false;
    for character in list.chars() {
        in_quotes ^= character == '`';
        match (character, columns.last_mut()) {
            (',', _) if !in_quotes => columns.push(String::new()),
            (_, Some(last)) => last.push(character),
            (_, None) => {}
        }
    }
    columns.into_iter().map(|column| column.trim().to_owned()).filter(|column| !column.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, of: &str, pii: bool) -> Column {
        let column_type = ColumnType::parse(of).expect("a type");
        Column { pii, ..Column::new(name, column_type) }
    }

    fn by(layout: &Layout) -> Layout {
        Layout::by(&layout.properties().into_iter().collect())
    }

    #[test]
    fn a_layout_is_read_back_from_the_properties_that_say_it() {
        let plain = [column("id", "long", false), column("yes", "boolean", false)];
        assert_eq!(Layout::of(&plain, &[]), Layout::default());
        assert_eq!(Layout::of(&plain, &[]).properties(), BTreeMap::new());
        let keyed = Layout::of(&plain, &["id".into()]);
        assert_eq!(keyed.properties(), BTreeMap::from([("parquet.bloom.filter.enabled#id".into(), "true".into())]));
        let columns = [
            column("email", "string", true),
            column("id", "long", false),
            column("yes", "boolean", false),
            column("inner", "struct<at:timestamp,list:array<long>>", false),
            column("person", "struct<name:string>", true),
        ];
        let layout = Layout::of(&columns, &["id".into()]);
        let path = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let told = |name: &str| layout.describes(&path(name));
        assert_eq!((told("email"), told("id"), told("yes")), (Some(false), Some(true), Some(false)));
        assert_eq!((told("inner.at"), told("inner.list"), told("person.name")), (Some(true), Some(false), Some(false)));
        assert_eq!(layout.sought().collect::<Vec<_>>(), ["email", "id"]);
        for layout in [layout, keyed, Layout::of(&columns[..1], &[]), Layout::default()] {
            assert_eq!(by(&layout), layout);
        }
    }

    #[test]
    fn a_column_keeps_its_layout_under_another_name() {
        let columns = [
            column("email", "string", true),
            column("id", "long", false),
            column("s", "struct<a:long,deep:struct<x:long>>", false),
        ];
        let layout = Layout::of(&columns, &["id".into()]);
        let path = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let renamed =
            layout.moved(&path("id"), Some("number")).moved(&path("s.deep"), Some("d")).moved(&path("s"), Some("t"));
        let told = |layout: &Layout, name: &str| layout.describes(&path(name));
        assert_eq!(renamed.sought().collect::<Vec<_>>(), ["email", "number"]);
        assert_eq!((told(&renamed, "number"), told(&renamed, "id")), (Some(true), Some(false)));
        assert_eq!(
            (told(&renamed, "t.d.x"), told(&renamed, "t.a"), told(&renamed, "s.a")),
            (Some(true), Some(true), Some(false))
        );
        let (set, gone) = layout.to(&renamed);
        assert_eq!(gone, ["parquet.bloom.filter.enabled#id"]);
        assert_eq!(
            set.keys().collect::<Vec<_>>(),
            ["delta.dataSkippingStatsColumns", "parquet.bloom.filter.enabled#number"]
        );
        let dropped = layout.moved(&path("id"), None).moved(&path("s"), None);
        assert_eq!(layout.to(&dropped).1.len(), 2, "nothing is described any more: another property says so");
    }

    #[test]
    fn what_others_asked_for_stays_unless_it_tells_more() {
        let others = Layout::by(&HashMap::from([
            ("delta.dataSkippingStatsColumns".into(), "id, `a,b`".into()),
            ("parquet.bloom.filter.enabled#other".into(), "true".into()),
        ]));
        assert_eq!(others.describes(&["a,b".into()]), Some(true));
        assert_eq!(others.with(&Layout::default()), others);
        let ours = Layout::of(&[column("id", "long", true), column("n", "long", false)], &[]);
        let both = others.with(&ours);
        assert_eq!((both.describes(&["id".into()]), both.describes(&["n".into()])), (Some(false), Some(true)));
        assert_eq!(both.sought().collect::<Vec<_>>(), ["id", "other"]);
    }
}
