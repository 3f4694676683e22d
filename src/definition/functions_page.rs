//! `docs/functions.md`: the functions and types of queries from the engine's registry, with Athena's spelling beside.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use deltalake::datafusion::logical_expr::{Documentation, Volatility};

use super::athena::{self, Spelling};
use crate::determinism::{is_approximate, is_order_free};
use crate::source::SourceFile;
use crate::source::faults::Faults;
use crate::sql::functions::FUNCTIONS;
use crate::sql::planner::Tables;
use crate::sql::refuse::elsewhere::{ANOTHER_WAY, SPELLED};
use crate::sql::rewrite::function_aliases::SPELLINGS;
use crate::sql::text::Sql;
use crate::types::ColumnType;

const INTRODUCTION: &str = "\
# Functions and types

<!-- Written from the registry of the query engine; UPDATE_DOCS=1 rewrites it (CONTRIBUTING.md). -->

What a query may use. Functions are DataFusion's. The last column is what `stedi-delta check` notes if a target is in Glue:
*same* means the same in Athena (Trino); other cells say what differs there and how to write it so that both agree, or that
Athena does not know the function. [queries.md](queries.md) says how queries are refreshed, [athena.md](athena.md) how the
notes are meant, and [reference.md](reference.md) lists the keys of the files.
";

/// Types of TOML, the names that queries and Athena cast to, and what they hold.
const TYPES: &[(&str, &str, &str, &str)] = &[
    ("string", "varchar", "varchar", "text"),
    ("long", "bigint", "bigint", "64 bits, signed"),
    ("integer", "int", "integer", "32 bits, signed"),
    ("short", "smallint", "smallint", "16 bits, signed"),
    ("byte", "tinyint", "tinyint", "8 bits, signed"),
    ("float", "real", "real", "32-bit floating point"),
    ("double", "double", "double", "64-bit floating point"),
    ("decimal(p,s)", "decimal(p,s)", "decimal(p,s)", "exact, up to 38 digits"),
    ("boolean", "boolean", "boolean", "true or false"),
    ("binary", "bytea", "varbinary", "bytes"),
    ("date", "date", "date", "a calendar day"),
    ("timestamp", "timestamp", "timestamp(3) with time zone", "a moment, to the microsecond, UTC"),
    ("json", "varchar", "varchar", "landing columns: any value as its JSON text"),
    ("array<T>", "", "array(T)", "values of one type"),
    ("struct<name:T,...>", "", "row(name T, ...)", "named fields"),
    ("map<K,T>", "", "map(K, T)", "keys and values"),
];

/// A function of the registry.
struct Function {
    names: Vec<String>,
    syntax: String,
    doc: String,
    note: Option<&'static str>,
}

/// The page.
#[must_use]
pub fn functions() -> String {
    let mut page = INTRODUCTION.to_owned();
    types(&mut page);
    let mut scalar: BTreeMap<&str, BTreeMap<String, Function>> = BTreeMap::new();
    for function in FUNCTIONS.scalar.values() {
        let doc = function.documentation();
        let section = doc.map_or("JSON Functions", |doc| doc.doc_section.label);
        let note = match function.signature().volatility {
            Volatility::Immutable => None,
            Volatility::Stable | Volatility::Volatile => Some("refused: it differs in every run"),
        };
        let found = Function::of(function.name(), function.aliases(), doc, note);
        scalar.entry(section).or_default().insert(function.name().to_owned(), found);
    }
    for (section, functions) in &scalar {
        table(&format!("## {}", sentence(section)), functions, &mut page);
    }
    let mut aggregates = BTreeMap::new();
    for function in FUNCTIONS.aggregate.values() {
        let name = function.name();
        let note = match (is_approximate(name), is_order_free(name)) {
            (true, _) => Some("refused: it only estimates"),
            (false, true) => None,
            (false, false) => Some("needs `order by` with a [total order](queries.md#total-orders)"),
        };
        aggregates.insert(name.to_owned(), Function::of(name, function.aliases(), function.documentation(), note));
    }
    table("## Aggregates", &aggregates, &mut page);
    let windows = FUNCTIONS.window.values();
    let window = |name: &str, aliases: &[String], doc| (name.to_owned(), Function::of(name, aliases, doc, None));
    let windows = windows.map(|function| window(function.name(), function.aliases(), function.documentation()));
    table("## Windows", &windows.collect(), &mut page);
    spelled(&mut page);
    page
}

impl Function {
    fn of(name: &str, aliases: &[String], doc: Option<&Documentation>, note: Option<&'static str>) -> Self {
        let mut names = vec![name.to_owned()];
        let others: BTreeSet<&String> = aliases.iter().filter(|alias| *alias != name).collect();
        names.extend(others.into_iter().cloned());
        let syntax = doc.map_or_else(|| format!("{name}(json, path)"), |doc| doc.syntax_example.clone());
        let doc = match (name, doc) {
            ("json_extract", None) => {
                "The part of a JSON text at a [path](columns.md#json-as-it-comes), as JSON.".into()
            }
            ("json_extract_scalar", None) => "The same of a string, number or boolean, as text.".into(),
            (_, doc) => doc.map(|doc| first_sentence(&doc.description)).unwrap_or_default(),
        };
        Self { names, syntax, doc, note }
    }
}

fn types(page: &mut String) {
    page.push_str("\n## Types\n\nIn TOML, in a query's `cast`, and in Athena. [columns.md](columns.md) says what of a JSON file fits.\n");
    page.push_str(
        "\n| TOML | also | `cast(... as ...)` | Athena | in the catalog | holds |\n|---|---|---|---|---|---|\n",
    );
    for (name, cast, athena, holds) in TYPES {
        let parsed = ColumnType::parse(name).ok();
        let same = |other: &&str| parsed.is_some() && ColumnType::parse(other).ok() == parsed && other != name;
        let also: Vec<String> = ColumnType::scalar_names().filter(same).map(|other| format!("`{other}`")).collect();
        let catalog = parsed.map_or_else(|| (*name).to_owned(), |parsed| parsed.hive_name());
        let cast = if cast.is_empty() { String::new() } else { format!("`{cast}`") };
        let _ = writeln!(page, "| `{name}` | {} | {cast} | `{athena}` | `{catalog}` | {holds} |", also.join(", "));
    }
}

fn table(heading: &str, functions: &BTreeMap<String, Function>, page: &mut String) {
    let _ = write!(page, "\n{heading}\n\n| function | meaning | Athena |\n|---|---|---|\n");
    for function in functions.values() {
        let mut doc = function.doc.clone();
        if let Some(note) = function.note {
            doc = format!("{doc} **{note}**.").trim_start().to_owned();
        }
        if let [_, others @ ..] = function.names.as_slice()
            && !others.is_empty()
        {
            let others: Vec<String> = others.iter().map(|other| format!("`{other}`")).collect();
            doc = format!("{doc} Also {}.", others.join(", "));
        }
        let cells = [code(&function.syntax), cell(&doc), cell(&in_athena(&function.names))];
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

/// What Athena makes of a function, by all of its names here.
fn in_athena(names: &[String]) -> String {
    let spellings: Vec<(&String, Spelling)> = names.iter().map(|name| (name, athena::spelling(name))).collect();
    let known: Vec<String> = spellings
        .iter()
        .filter_map(|(name, spelling)| match spelling {
            Spelling::Same => Some(if *name == &names[0] { "same".to_owned() } else { format!("`{name}`") }),
            Spelling::Unknown => Some(format!("`{name}` may mean something else: compare its result")),
            Spelling::Other => {
                let notes = probed(name);
                let what = if *name == &names[0] { String::new() } else { format!("`{name}`: ") };
                Some(format!("{what}{}", if notes.is_empty() { "same".to_owned() } else { notes.join("; ") }))
            }
            Spelling::Missing(_) => None,
        })
        .collect();
    if !known.is_empty() {
        return known.join("; ");
    }
    match &spellings[0].1 {
        Spelling::Missing(Some(instead)) => format!("not known: {instead}"),
        _ => "not known".to_owned(),
    }
}

/// The notes of `check` on calls of a function with arguments of several numbers and types.
fn probed(name: &str) -> Vec<String> {
    let column = |name: &str, data_type| Field::new(name, data_type, true);
    let schema = Arc::new(Schema::new(vec![
        column("s", DataType::Utf8),
        column("n", DataType::Int64),
        column("f", DataType::Float64),
        column("r", DataType::Float32),
        column("c", DataType::Decimal128(10, 2)),
        column("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    ]));
    let tables = Tables::new([("t".to_owned(), schema)]);
    let mut calls: Vec<String> = Vec::new();
    for column in ["s", "n", "f", "r", "c", "at"] {
        calls.extend((1..=4).map(|arguments| vec![column; arguments].join(", ")));
    }
    calls.extend(["s, s, -1", "'microsecond', at"].map(str::to_owned));
    let mut found: Vec<String> = Vec::new();
    for call in calls {
        // Inside another call, so that what only a select list settles is not settled.
        const BEFORE: &str = "select coalesce(";
        let text = format!("{BEFORE}{name}({call})) as x from t");
        let file = Arc::new(SourceFile { path: PathBuf::from("t.sql"), text });
        let mut sql = Sql::file(&file);
        let Some(query) = sql.query(&mut Faults::default()) else { continue };
        let mut notes = Faults::default();
        athena::query(&file, (&sql, &query), &tables, false, &mut notes);
        for note in notes.into_sorted() {
            let is_of_the_call = note.place.is_some_and(|place| place.span.start == BEFORE.len());
            let said = format!("{}: {}", note.message, note.label);
            if is_of_the_call && !found.contains(&said) {
                found.push(said);
            }
        }
    }
    found
}

/// What other engines call otherwise.
fn spelled(page: &mut String) {
    page.push_str("\n## Names of Athena that work here\n\nThey are read as the expression beside.\n\n| written | read as |\n|---|---|\n");
    for (name, reading) in SPELLINGS {
        let _ = writeln!(page, "| `{name}` | `{reading}` |");
    }
    page.push_str(
        "\n## Functions of Athena, Spark and DuckDB that are not here\n\n`check` says what to write instead.\n",
    );
    page.push_str("\n| function | of | write |\n|---|---|---|\n");
    for (names, engines, here) in SPELLED {
        let here: Vec<String> = here.iter().map(|text| format!("`{text}`")).collect();
        let _ = writeln!(page, "| {} | {engines} | {} |", listed(names), cell(&here.join(" or ")));
    }
    for (names, engines, way) in ANOTHER_WAY {
        let _ = writeln!(page, "| {} | {engines} | {} |", listed(names), cell(way.trim_start_matches("write ")));
    }
}

fn listed(names: &str) -> String {
    names.split_whitespace().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The first sentence of a description, on one line.
fn first_sentence(text: &str) -> String {
    let text = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    let sentence = text[..end].trim();
    if sentence.is_empty() || sentence.ends_with('.') { sentence.to_owned() } else { format!("{sentence}.") }
}

/// `Math Functions` as `Math functions`.
fn sentence(title: &str) -> String {
    let (first, rest) = title.split_once(' ').unwrap_or((title, ""));
    format!("{first} {}", rest.to_lowercase())
}

/// Each line of a text as code.
fn code(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(|line| format!("`{}`", cell(&line))).collect();
    lines.join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::planner::plan_sql;

    #[test]
    fn casts_give_the_types_that_the_page_says() {
        for (name, cast, ..) in TYPES.iter().filter(|(_, cast, ..)| !cast.is_empty()) {
            let (name, cast) = (name.replace("(p,s)", "(10,2)"), cast.replace("(p,s)", "(10,2)"));
            let plan = plan_sql(&format!("select cast(null as {cast}) as x"), &[]).expect("a plan");
            let found = ColumnType::stored(plan.schema().field(0).data_type()).expect("a stored type");
            assert_eq!(found, ColumnType::parse(&name).expect("a type").as_stored(), "{cast}");
        }
    }

    #[test]
    fn every_plain_type_is_on_the_page() {
        for name in ColumnType::scalar_names() {
            let found = ColumnType::parse(name).expect("a type");
            assert!(TYPES.iter().any(|(known, ..)| ColumnType::parse(known).as_ref() == Ok(&found)), "{name}");
        }
    }

    #[test]
    fn differences_are_found_by_calls() {
        assert!(probed("concat").iter().any(|note| note.contains("gives NULL in Athena")), "{:?}", probed("concat"));
        assert_eq!(in_athena(&["abs".to_owned()]), "same");
        assert_eq!(in_athena(&["char_length".to_owned(), "length".to_owned()]), "`length`");
        assert_eq!(in_athena(&["nvl".to_owned()]), "not known: write `coalesce(...)`");
    }
}
