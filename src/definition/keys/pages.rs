//! `docs/reference.md`, written from the declarations.

use std::fmt::Write;

use super::{Absent, Key, PROJECT, Section, TABLE, Value};

const INTRODUCTION: &str = "\
# Reference of the files

<!-- Written from the declarations in src/definition/keys; UPDATE_DOCS=1 rewrites it (CONTRIBUTING.md). -->

Every key of `stedi-delta.toml` and of a table's `.toml`. `stedi-delta check` reports every fault with its place, and reads no
data: an unknown key with the nearest known one, a missing key with a line to add, a value of another type with what is
expected, and what stands below under *what goes wrong*. [functions.md](functions.md) lists the functions of queries.

## In an editor

`stedi-delta schema project` and `stedi-delta schema table` print JSON Schemas of these files. With
[taplo](https://taplo.tamasfe.dev), or with Even Better TOML in Visual Studio Code, they complete keys and values, show
what a key is, and mark what is wrong. Write the schemas into the project once, and again with a new version:

```sh
mkdir -p schemas
stedi-delta schema project > schemas/project.json
stedi-delta schema table > schemas/table.json
```

and say in `.taplo.toml` which file has which:

```toml
[[rule]]
include = [\"stedi-delta.toml\"]
[rule.schema]
path = \"schemas/project.json\"

[[rule]]
include = [\"tables/**/*.toml\"]
[rule.schema]
path = \"schemas/table.json\"
```

`taplo lint` then checks them without `stedi-delta`. Instead of the rules, a file may begin with the line
`#:schema ../../schemas/table.json`. A schema knows a file alone: names of columns and tables, SQL and nested types are
left to `check`.

`stedi-delta schema report` is the schema of the documents that commands print with `--format json`.
";

/// The page.
#[must_use]
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for root in [&PROJECT, &TABLE] {
        let mut seen = Vec::new();
        section(root, "##", &mut seen, &mut page);
    }
    page
}

/// A section, and those in it.
fn section(of: &'static Section, level: &str, seen: &mut Vec<&'static str>, page: &mut String) {
    if seen.contains(&of.header) {
        return;
    }
    seen.push(of.header);
    let _ = write!(page, "\n{level} `{}`\n\n{}\n", of.header, of.doc);
    let example = example(of);
    if !example.is_empty() {
        let _ = write!(page, "\n```toml\n{example}```\n");
    }
    page.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
    of.keys.iter().for_each(|key| row(key, page));
    let wrong: Vec<String> = of.keys.iter().flat_map(mistakes).collect();
    if !wrong.is_empty() {
        let _ = write!(page, "\nWhat goes wrong:\n\n| written | `check` says |\n|---|---|\n{}", wrong.concat());
    }
    for inner in of.keys.iter().flat_map(|key| inner(&key.value)) {
        section(inner, "###", seen, page);
    }
}

/// The sections of a value.
fn inner(value: &'static Value) -> Vec<&'static Section> {
    match value {
        Value::Table(section) | Value::Tables(section) => vec![section],
        Value::TypeOr(section) => vec![section()],
        Value::Map(map) => {
            inner(&map.value).into_iter().chain(map.known.iter().flat_map(|key| inner(&key.value))).collect()
        }
        _ => Vec::new(),
    }
}

/// The section with every key that is a value.
fn example(of: &Section) -> String {
    if !of.example.is_empty() {
        return of.example.to_owned();
    }
    let mut text = String::new();
    if of.header.starts_with('[') {
        let _ = writeln!(text, "{}", of.header.replace("NAME", "dev"));
    }
    let is_plain = |key: &&Key| !matches!(key.value, Value::Table(_) | Value::Tables(_) | Value::Map(_));
    let plain: Vec<String> = of.keys.iter().filter(is_plain).map(|key| format!("{}\n", key.line())).collect();
    text + &plain.concat()
}

fn row(key: &Key, page: &mut String) {
    let absent = match key.absent {
        Absent::Required => "**required**".to_owned(),
        Absent::Default(text) => format!("`{text}`"),
        Absent::Means(text) => text.to_owned(),
    };
    let mut doc = key.doc.to_owned();
    let value = if let Value::WithVariables(value) = &key.value { value } else { &key.value };
    if let Value::Words(words) = value {
        let words: Vec<String> =
            words.words().iter().map(|(word, meaning)| format!("`\"{word}\"`: {meaning}")).collect();
        let _ = write!(doc, " {}.", words.join("; "));
    }
    let _ = writeln!(page, "| `{}` | {} | {absent} | {doc} |", key.name, shown(&key.value));
}

/// A kind of values, for people.
fn shown(value: &Value) -> String {
    match value {
        Value::Text | Value::Filled => "text".into(),
        Value::Sql => "SQL".into(),
        Value::Name | Value::Zone => "name".into(),
        Value::Words(_) => "word".into(),
        Value::Boolean => "`true` or `false`".into(),
        Value::Arguments => "list of texts".into(),
        Value::Any => "value".into(),
        Value::WithVariables(value) => shown(value),
        Value::Size => "size".into(),
        Value::Duration | Value::Pause => "time".into(),
        Value::Limit => "number or share".into(),
        Value::Root | Value::Location => "folder or URL".into(),
        Value::Folder => "folder".into(),
        Value::Url => "URL".into(),
        Value::Pattern => "pattern".into(),
        Value::Type => "type".into(),
        Value::List { of, .. } => format!("list of {}s", shown(of)),
        Value::OneOrMore => "text or list of texts".into(),
        Value::Table(_) => "table".into(),
        Value::Tables(_) => "list of tables".into(),
        Value::TypeOr(_) => "type or table".into(),
        Value::Map(map) => format!("table: {} = {}", map.of, shown(&map.value)),
    }
}

fn mistakes(key: &Key) -> Vec<String> {
    let line = |wrong: &super::Wrong| {
        let written = format!("`{} = {}`", key.name, wrong.value);
        format!("| {written} | {}: {} |\n", wrong.says, wrong.expected)
    };
    key.wrong.iter().map(line).collect()
}
