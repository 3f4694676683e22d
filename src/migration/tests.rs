//! Texts to statements or faults, and what statements make of columns and rows.

use std::path::PathBuf;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::json::ReaderBuilder;
use deltalake::arrow::json::writer::{LineDelimited, WriterBuilder};

use super::shape::Stored;
use super::*;
use crate::definition::ColumnType;
use crate::source::SourceFile;

fn file(text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: PathBuf::from("migrations/0001_x.sql"), text: text.to_owned() })
}

fn parse(text: &str) -> Vec<Statement> {
    parse::statements(&file(text)).unwrap_or_else(|faults| panic!("{text}: {:?}", told(&faults)))
}

fn told(faults: &[Fault]) -> Vec<String> {
    let told = |fault: &Fault| {
        let (line, column) = fault.place.as_ref().map(Place::line_column).unwrap_or_default();
        format!("{line}:{column} {} | {}", fault.message, fault.label)
    };
    faults.iter().map(told).collect()
}

fn faults(text: &str) -> Vec<String> {
    parse::statements(&file(text))
        .map(|all| panic!("{text}: {all:?}"))
        .unwrap_err()
        .iter()
        .map(|f| told(std::slice::from_ref(f)).remove(0))
        .collect()
}

fn columns(all: &[(&str, &str, bool)]) -> Columns {
    let column = |(name, of, nullable): &(&str, &str, bool)| Stored {
        name: (*name).to_owned(),
        of: ColumnType::parse(of).expect("a type"),
        nullable: *nullable,
    };
    Columns(all.iter().map(column).collect())
}

fn base() -> Columns {
    columns(&[
        ("id", "integer", false),
        ("name", "string", true),
        ("price", "decimal(10,2)", true),
        ("day", "date", true),
        ("s", "struct<a:integer,deep:struct<x:float,y:string>>", true),
        ("items", "array<struct<sku:string,n:integer>>", true),
        ("m", "map<string,struct<v:integer,w:string>>", true),
        ("source_file", "string", true),
        ("source_offset", "long", true),
    ])
}

#[test]
fn statements_are_read_whatever_their_case_and_layout() {
    let text = "-- comment\nALTER TABLE orders\n  RENAME COLUMN Name TO title;;\nalter table orders drop column s.deep.x;\n\
                alter table orders alter column price type decimal(12, 2);\n\
                alter table orders alter column name type long using cast(name as bigint); -- done\n\
                alter table orders alter column id set not null;\nalter table t rename column items[].sku to code;\n\
                alter table t drop column m{}.w";
    let all = parse(text);
    let texts: Vec<String> = all.iter().map(Statement::text).collect();
    assert_eq!(
        texts,
        [
            "ALTER TABLE orders RENAME COLUMN Name TO title",
            "alter table orders drop column s.deep.x",
            "alter table orders alter column price type decimal(12, 2)",
            "alter table orders alter column name type long using ...",
            "alter table orders alter column id set not null",
            "alter table t rename column items[].sku to code",
            "alter table t drop column m{}.w",
        ]
    );
    let paths: Vec<String> = all.iter().filter_map(|s| Some(s.action.path()?.to_string())).collect();
    assert_eq!(paths, ["name", "s.deep.x", "price", "name", "id", "items[].sku", "m{}.w"]);
    assert!(
        matches!(&all[3].action, Action::SetType { using: Some(using), .. } if using.value == "cast(name as bigint)")
    );
    assert_eq!(all[1].place.line_column(), (4, 1));
}

#[test]
fn a_fault_has_its_place_and_what_was_expected_there() {
    for (text, expected) in [
        (
            "",
            "1:1 there is no statement | expected `alter table`, `drop table`, `refresh table` or `reload table`; or \
             remove the file",
        ),
        (
            "-- nothing yet\n",
            "1:1 there is no statement | expected `alter table`, `drop table`, `refresh table` or `reload table`; or \
             remove the file",
        ),
        (
            "insert into t values (1)",
            "1:1 `insert` is no statement of a migration | a migration changes what tables are, not which rows they have: \
             expected `alter table`, `drop table`, `refresh table` or `reload table`",
        ),
        ("alter view t", "1:7 found `view` | expected `table`, as in `alter table t`"),
        ("alter table", "1:12 the file ends within a statement | expected the name of a table"),
        ("alter table landing.t drop column a", "1:13 this is a qualified name | write the bare table name: `t`"),
        (
            "alter table t add column a long",
            "1:15 a column needs no migration to come | declare the column in tables/: a sync adds it",
        ),
        (
            "alter table t change a b",
            "1:15 found `change` | expected `rename to u`, `rename column a to b`, `drop column a`, \
             `alter column a type t` or `alter column a set not null`",
        ),
        (
            "alter table t rename a to b",
            "1:22 found `a` | expected `to` and a table's new name, or `column`, as in `rename column a to b`",
        ),
        ("alter table t rename column a b", "1:31 found `b` | expected `to` and the new name"),
        ("alter table t rename column a.b to a.c", "1:37 a field stays where it is | expected its new name alone"),
        ("alter table t rename column a to 1b", "1:34 found `1` | expected the new name"),
        (
            "alter table t rename column a to \"Größe\"",
            "1:34 `Größe` cannot be a name | a name begins with a letter a-z, found `G`",
        ),
        ("alter table t alter column a type", "1:34 the file ends within a statement | expected a type"),
        ("alter table t alter column a type text", "1:35 `text` is no type | write `string`"),
        (
            "alter table t alter column a drop not null",
            "1:30 found `drop` | expected `type` and a type, or `set not null`",
        ),
        (
            "alter table t alter column a type long using;",
            "1:45 found `;` | expected an expression over the columns of the table",
        ),
        ("alter table t drop column a cascade", "1:29 found `cascade` | expected `;` or the end of the file"),
        (
            "alter table t drop column source_file",
            "1:27 `source_file` cannot be changed | by it a sync knows which records have landed",
        ),
        ("alter table t drop column a[1]", "1:29 found `1` | expected `[]`, which stands for the elements of an array"),
    ] {
        assert_eq!(faults(text), [expected], "{text}");
    }
    let several = faults("alter table t drop a;\nalter table t drop column b;\nalter tble t");
    assert_eq!(several.len(), 2, "{several:?}");
    assert!(faults("alter table t drop column 'a")[0].contains("this is not valid SQL"));
}

fn after(columns: &Columns, text: &str) -> Result<Columns, String> {
    let statement = parse(text).remove(0);
    columns.after(&statement).map_err(|fault| told(&[fault]).remove(0))
}

#[test]
fn columns_follow_statements_or_say_why_not() {
    let base = base();
    let of = |text: &str, name: &str| {
        let columns = after(&base, text).unwrap_or_else(|e| panic!("{text}: {e}"));
        columns.get(name).map(|column| (column.of.delta_name(), column.nullable))
    };
    let is = |of: &str, nullable| Some((of.to_owned(), nullable));
    assert_eq!(of("alter table t rename column id to number", "number"), is("integer", false));
    assert_eq!(of("alter table t drop column name", "name"), None);
    assert_eq!(of("alter table t alter column id type long", "id"), is("long", false));
    assert_eq!(of("alter table t alter column day type timestamp", "day"), is("timestamp", true));
    assert_eq!(of("alter table t alter column price type decimal(12,4)", "price"), is("decimal(12,4)", true));
    assert_eq!(of("alter table t alter column name set not null", "name"), is("string", false));
    assert_eq!(
        of("alter table t rename column s.deep.x to z", "s"),
        is("struct<a:integer,deep:struct<z:float,y:string>>", true)
    );
    assert_eq!(
        of("alter table t alter column s.deep.x type double", "s"),
        is("struct<a:integer,deep:struct<x:double,y:string>>", true)
    );
    assert_eq!(of("alter table t drop column items[].n", "items"), is("array<struct<sku:string>>", true));
    assert_eq!(of("alter table t alter column m{}.v type long", "m"), is("map<string,struct<v:long,w:string>>", true));
    for (text, expected) in [
        ("alter table t drop column nme", "1:27 `nme` is not in this table | did you mean `name`?"),
        ("alter table t drop column s.deep.quark", "1:27 `quark` is not in `s.deep` | one of `x`, `y`"),
        ("alter table t drop column name.x", "1:27 `name` is string | no field `x` in it"),
        (
            "alter table t drop column s[]",
            "1:27 `s` is struct<a:integer,deep:struct<x:float,y:string>> | no `[]`: it is no array",
        ),
        (
            "alter table t drop column items[]",
            "1:27 `items[]` has no name of its own | expected the name of a column or field at the end",
        ),
        ("alter table t rename column name to price", "1:37 `price` is there already | expected a name that is free"),
        ("alter table t alter column id type integer", "1:28 `id` is integer as it is | remove the statement"),
        (
            "alter table t alter column name type long",
            "1:28 `name` does not become long without losing values | it is string: add `using` and an expression, as in \
             `using cast(name as ...)`",
        ),
        (
            "alter table t alter column price type decimal(10,4)",
            "1:28 `price` does not become decimal(10,4) without losing values | it is decimal(10,2): add `using` and an \
             expression, as in `using cast(price as ...)`",
        ),
        (
            "alter table t alter column s type struct<a:long>",
            "1:28 `s` cannot become struct<a:long> by itself | it is struct<a:integer,deep:struct<x:float,y:string>>: \
             change its fields one by one, or add `using` and an expression",
        ),
        ("alter table t alter column id set not null", "1:28 `id` cannot be NULL as it is | remove the statement"),
        ("alter table t alter column s.a set not null", "1:28 `s.a` is no column | only a column can be `not null`"),
        (
            "alter table t alter column s.a type long using 1",
            "1:48 a field has no `using` | give the whole column a type and values",
        ),
    ] {
        assert_eq!(after(&base, text).expect_err(text), expected, "{text}");
    }
}

fn rows(columns: &Columns, text: &str) -> RecordBatch {
    let reader = ReaderBuilder::new(columns.schema()).build(text.as_bytes()).expect("a reader");
    let all: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
    all.into_iter().next().expect("rows")
}

fn text(batch: &RecordBatch) -> String {
    let mut out = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut out);
    writer.write(batch).expect("written");
    writer.finish().expect("written");
    String::from_utf8(out).expect("text")
}

fn reshape(before: &Columns, sql: &str) -> (Columns, Reshape) {
    let statement = parse(sql).remove(0);
    let after = before.after(&statement).unwrap_or_else(|f| panic!("{sql}: {:?}", told(&[f])));
    let reshape = Reshape::new(&statement, before, &after).unwrap_or_else(|f| panic!("{sql}: {:?}", told(&f)));
    (after, reshape)
}

#[test]
fn rows_follow_statements_at_every_depth_and_keep_what_is_null() {
    let before = columns(&[
        ("id", "integer", false),
        ("name", "string", true),
        ("s", "struct<a:integer,deep:struct<x:float,y:string>>", true),
        ("items", "array<struct<sku:string,n:integer>>", true),
        ("m", "map<string,struct<v:integer,w:string>>", true),
    ]);
    let lines = concat!(
        r#"{"id":1,"name":"7","s":{"a":2,"deep":{"x":0.5,"y":"q"}},"items":[{"sku":"a","n":3},null],"m":{"k":{"v":4,"w":"z"},"l":null}}"#,
        "\n",
        r#"{"id":2,"name":null,"s":{"a":null,"deep":null},"items":[],"m":{}}"#,
        "\n",
        r#"{"id":3,"name":"8","s":null,"items":null,"m":null}"#,
        "\n",
    );
    let batch = rows(&before, lines);
    for (sql, from, to) in [
        ("rename column id to number", "\"id\":", "\"number\":"),
        ("rename column s.deep to d", "\"deep\":", "\"d\":"),
        ("rename column items[].sku to code", "\"sku\":", "\"code\":"),
        ("rename column m{}.w to word", "\"w\":", "\"word\":"),
        ("drop column s.deep.y", ",\"y\":\"q\"", ""),
        ("drop column items[].n", ",\"n\":3", ""),
        ("drop column m{}.v", "\"v\":4,", ""),
        ("alter column s.deep.x type double", "", ""),
        ("alter column m{}.v type long", "", ""),
        ("alter column items[].n type long", "", ""),
        ("alter column id type long", "", ""),
    ] {
        let (after, reshape) = reshape(&before, &format!("alter table t {sql}"));
        let made = reshape.apply(&batch).expect(sql).expect(sql);
        assert_eq!(made.schema(), after.schema(), "{sql}");
        assert_eq!(text(&made), lines.replace(from, to), "{sql}");
    }
    let (_, computed) = reshape(&before, "alter table t alter column name type long using cast(name as bigint) * id");
    let made = text(&computed.apply(&batch).expect("rows").expect("rows"));
    assert!(made.contains("\"name\":7,") && made.contains("\"name\":24,") && made.contains("\"name\":null,"), "{made}");
    let (_, not_null) = reshape(&before, "alter table t alter column name set not null");
    let violation = not_null.apply(&batch).expect("rows").expect_err("NULL");
    assert_eq!((violation.rows, violation.first, violation.because.is_none()), (1, 1, true));
    let (_, lossless) = reshape(&before, "alter table t alter column s.a type long");
    assert!(!lossless.can_fail(&|name| name == "id") && not_null.can_fail(&|name| name == "id"));
}

#[test]
fn an_expression_is_over_the_columns_of_its_table_and_of_the_type_that_is_asked_for() {
    let before = base();
    for (using, expected) in [
        ("name", "1:49 this expression is string | expected long: write `cast(... as ...)` around it"),
        ("cast(nme as bigint)", "column `nme`"),
        ("random()", "random"),
        ("sum(id)", "1:49 an expression after `using` looks at one row of its table | remove aggregates and windows"),
        ("row_number() over ()", "an expression after `using` looks at one row of its table"),
    ] {
        let statement = parse(&format!("alter table t alter column name type long using {using}")).remove(0);
        let after = before.after(&statement).expect("columns");
        let faults = Reshape::new(&statement, &before, &after).expect_err(using);
        let told = told(&faults);
        assert!(told.iter().any(|told| told.contains(expected)), "{using}: {told:?}");
    }
}

#[test]
fn a_checksum_is_of_the_text_whatever_ends_its_lines() {
    let parsed = |text: &str| Parsed {
        migration: Migration { number: 1, label: "x".into(), file: file(text) },
        statements: Vec::new(),
    };
    assert_eq!(parsed("a\r\nb\r\n").checksum(), parsed("a\nb\n").checksum());
    assert_ne!(parsed("a\nb").checksum(), parsed("a\nb\n").checksum());
}

#[test]
fn numbers_have_no_gap() {
    let migration = |number| Migration { number, label: "x".into(), file: file("") };
    let found = gaps(&[migration(1), migration(2), migration(4), migration(8)]);
    assert_eq!(
        told(&found),
        [
            "1:1 migration 0003 is missing | put it back, or give this one the number 0003",
            "1:1 migration 0005 to 0007 are missing | put it back, or give this one the number 0005"
        ]
    );
    assert!(gaps(&[migration(1)]).is_empty() && gaps(&[]).is_empty());
}

#[test]
fn a_difference_is_told_as_statements_and_guesses_no_name() {
    let before = base();
    let declared = columns(&[
        ("id", "long", false),
        ("title", "string", true),
        ("price", "decimal(10,2)", false),
        ("day", "string", true),
        ("s", "struct<a:integer,deep:struct<x:double,z:string>,more:date>", true),
        ("items", "array<struct<sku:string,n:long>>", true),
        ("m", "map<string,struct<v:integer>>", true),
        ("source_file", "string", true),
        ("source_offset", "long", false),
    ]);
    let texts = |renamed: &[(&str, &str)]| {
        let renamed: Vec<_> = renamed.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let found = difference(&before, &declared, &renamed);
        let hints = found.statements.iter().filter(|(_, hint)| hint.is_some()).count();
        (found.statements.into_iter().map(|(text, _)| text).collect::<Vec<_>>(), found.additions, hints)
    };
    let common = [
        "alter column id type long",
        "alter column day type string using cast(day as varchar)",
        "alter column s.deep.x type double",
    ];
    let (statements, additions, hints) = texts(&[]);
    assert!(common.iter().all(|statement| statements.iter().any(|found| found == statement)), "{statements:?}");
    for statement in
        ["drop column name", "drop column s.deep.y", "drop column m{}.w", "alter column items[].n type long"]
    {
        assert!(statements.iter().any(|found| found == statement), "{statement}: {statements:?}");
    }
    assert_eq!((additions, hints), (vec!["+ s.deep.z".to_owned(), "+ s.more".into(), "+ title".into()], 2));
    let found = difference(&before, &declared, &[]);
    let renames: Vec<(&str, &str)> = found.renames.iter().map(|(path, to)| (path.as_str(), to.as_str())).collect();
    assert_eq!(renames, [("name", "title"), ("s.deep.y", "z")]);
    assert_eq!(
        found.command("t"),
        "stedi-delta migrate new LABEL --rename t.name=title --rename t.s.deep.y=z   (drafts it; without --rename it drops \
         `name`, `s.deep.y`)"
    );
    let (statements, additions, _) = texts(&[("name", "title"), ("s.deep.y", "z")]);
    assert_eq!(additions, ["+ s.more"]);
    for statement in ["rename column name to title", "rename column s.deep.y to z", "alter column price set not null"] {
        assert!(statements.iter().any(|found| found == statement), "{statement}: {statements:?}");
    }
    // What is drafted leads to what is declared.
    let mut columns = before.clone();
    for statement in statements {
        columns = after(&columns, &format!("alter table t {statement}")).unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    assert!(difference(&columns, &declared, &[]).statements.is_empty());
}

#[test]
fn a_cast_of_a_column_is_drafted_where_nothing_else_differs_inside() {
    let of = |text: &str| columns(&[("s", text, true), ("m", "map<string,struct<a:long,b:string>>", true)]);
    let drafted = |before: &str, wanted: &str| -> Vec<(String, bool)> {
        let found = difference(&of(before), &of(wanted), &[]);
        found.statements.into_iter().map(|(text, hint)| (text, hint.is_some())).collect()
    };
    for (before, wanted) in [
        ("struct<a:long>", "struct<a:double>"),
        ("array<struct<a:long,b:string>>", "array<struct<a:string,b:string>>"),
        ("struct<a:string,b:string>", "struct<a:long,b:double>"),
    ] {
        let found = drafted(before, wanted);
        assert!(found.len() == 1 && found[0].0.contains(" using arrow_cast(s, '") && !found[0].1, "{found:?}");
        let after = after(&of(before), &format!("alter table t {}", found[0].0)).unwrap_or_else(|e| panic!("{e}"));
        assert!(difference(&after, &of(wanted), &[]).statements.is_empty(), "{wanted}");
    }
    for (before, wanted) in [
        // A number of what?
        ("struct<a:long>", "struct<a:timestamp>"),
        ("struct<a:array<string>>", "struct<a:string>"),
        ("struct<a:string,b:string>", "struct<a:double>"),
        ("struct<a:string,w:integer>", "struct<a:double,w:long>"),
        ("struct<a:string>", "struct<a:double,more:string>"),
    ] {
        let found = drafted(before, wanted);
        let by_hand = found.iter().filter(|(text, hint)| *hint && text.ends_with(" using")).count();
        assert!(by_hand == 1 && !found.iter().any(|(text, _)| text.contains("arrow_cast")), "{found:?}");
    }
}

fn known(derived: &[&str]) -> Known {
    let derived = derived.iter().map(|name| ((*name).to_owned(), Columns(Vec::new()))).collect();
    Known { landing: [("t".to_owned(), base())].into(), derived: Some(derived) }
}

/// The first migration of a project.
fn first(text: &str) -> Parsed {
    let migration = Migration { number: 1, label: "x".into(), file: file(text) };
    let statements = if text.is_empty() { Vec::new() } else { parse(text) };
    Parsed { migration, statements }
}

#[test]
fn statements_about_whole_tables_are_read() {
    let text = "alter table t rename to u; ALTER TABLE u RENAME TO curated.V;\ndrop table v; refresh table d full;\n\
                reload table t; reload table t from rescued";
    let all = parse(text);
    assert!(all.iter().all(|statement| statement.action.path().is_none()));
    assert_eq!(all.iter().filter(|statement| statement.action.moves()).count(), 3);
    assert_eq!(all.iter().filter(|statement| statement.action.is_request()).count(), 3);
    let Action::RenameTable { zone: Some(zone), to } = &all[1].action else { panic!("{:?}", all[1]) };
    assert_eq!((zone.value.as_str(), to.value.as_str()), ("curated", "v"));
    assert!(matches!(all[5].action, Action::Reload(Files::Rescued)));
    for (text, expected) in [
        ("drop t", "1:6 found `t` | expected `table`, as in `drop table t`"),
        ("drop table t cascade", "1:14 found `cascade` | expected `;` or the end of the file"),
        (
            "refresh table t",
            "1:16 the file ends within a statement | expected `full`: every sync refreshes tables by their changes",
        ),
        (
            "reload table t from quarantine",
            "1:21 found `quarantine` | expected `rescued`: the files of which a row has undeclared fields",
        ),
        ("alter table t rename to", "1:24 the file ends within a statement | expected the table's new name"),
        ("alter table t rename to a.b.c", "1:28 found `.` | expected `;` or the end of the file"),
        (
            "alter table t rename to T",
            "1:25 `t` is its name already | expected another name, or the name of its new zone before it",
        ),
        (
            "alter table t alter column a type long using (select 1)",
            "1:46 an expression after `using` looks at one row of its table | remove the subquery",
        ),
    ] {
        assert_eq!(faults(text), [expected], "{text}");
    }
}

#[test]
fn the_record_follows_tables_that_are_renamed_and_dropped() {
    let of = |derived: &[&str], text: &str| {
        let migration = Migration { number: 2, label: "x".into(), file: file(text) };
        let statements = parse::statements(&migration.file).expect("statements");
        let all = [first(""), Parsed { migration, statements }];
        let snapshot = Snapshot::new(known(derived), &all[..1], None);
        snapshot.state(&all).map(|state| state.tables).map_err(|faults| told(&faults))
    };
    let swap = "alter table t rename to tmp; alter table d rename to t; alter table tmp rename to z.d; \
                alter table d drop column m; drop table e";
    let after = of(&["d", "e"], swap).expect("tables");
    assert!(after.landing["d"].get("m").is_none() && after.landing.len() == 1);
    assert!(after.derived.is_some_and(|derived| derived.keys().eq(["t"])));
    for (text, expected) in [
        ("drop table tt", "1:12 table `tt` is not in migrations/schema.json | did you mean `t`?"),
        ("alter table t rename to d", "1:25 table `d` is there already | rename or drop `d` first"),
    ] {
        assert_eq!(of(&["d"], text).expect_err("a fault"), [expected], "{text}");
    }
    // A record from before it had derived tables.
    let text = Snapshot::new(Known { derived: None, ..known(&[]) }, &[first("")], None).text();
    assert!(!text.contains("derived"), "{text}");
    let read = Snapshot::parse(&file(&text)).expect("a record");
    let statements = parse("drop table curated_one");
    let migration = Migration { number: 2, label: "x".into(), file: file("") };
    assert!(read.state(&[first(""), Parsed { migration, statements }]).is_ok());
}

#[test]
fn a_draft_that_is_edited_or_deleted_is_told_by_the_record() {
    let dropped = "alter table t drop column name; drop table e;";
    let (before, mut after) = (known(&["d", "e"]), known(&["d", "f"]));
    after.landing.insert("new".into(), base());
    let columns = columns(&[("id", "integer", false)]);
    after.landing.insert("t".into(), columns.clone());
    let text = Snapshot::new(after, &[first(dropped)], Some(before)).text();
    let read = Snapshot::parse(&file(&text)).unwrap_or_else(|fault| panic!("{:?}", told(&[fault])));
    assert_eq!(read.text(), text);
    let state = |all: &[Parsed]| read.state(all).map_err(|faults| told(&faults));
    let same = state(&[first(dropped)]).expect("the tables");
    assert_eq!((same.tables.landing["t"].clone(), same.tables.has("new")), (columns, true));
    assert!(same.before.is_some_and(|before| before.has("e") && before.landing["t"].get("name").is_some()));
    let edited = state(&[first("alter table t rename column name to title")]).expect("the tables");
    assert!(edited.tables.landing["t"].get("title").is_some() && edited.tables.has("e"));
    assert!(!edited.tables.has("new") && !edited.tables.has("f") && edited.tables.has("d"));
    let deleted = state(&[]).expect("the tables");
    assert!(deleted.tables.landing["t"].get("name").is_some() && deleted.before.is_none());
    // An older one.
    let second = |text: &str| Parsed { migration: Migration { number: 2, ..first("").migration }, ..first(text) };
    let all = [first(dropped), second("drop table d")];
    let text = Snapshot::new(known(&[]), &all, Some(known(&["d"]))).text();
    let read = Snapshot::parse(&file(&text)).expect("a record");
    assert!(read.fits(&all) && read.fits(&all[..1]) && !read.fits(&[]));
    let found = read.state(&[first("drop table e"), second("drop table d")]).expect_err("an edit");
    assert_eq!(
        told(&found),
        [
            "1:1 migration 0001_x was edited after migrations/schema.json was written with it | restore its text, and write the \
          change as a new migration"
        ]
    );
}

#[test]
fn names_that_change_places_go_by_a_third_one() {
    let pairs = |all: &[(&str, &str)]| all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    let steps = in_order(&pairs(&[("a", "b"), ("b", "a")]), &|name| name == "a_old");
    assert_eq!(steps, pairs(&[("a", "a_old2"), ("b", "a"), ("a_old2", "b")]));
    let steps = in_order(&pairs(&[("a", "b"), ("b", "c")]), &|_| false);
    assert_eq!(steps, pairs(&[("b", "c"), ("a", "b")]));
    let (before, declared) = (
        columns(&[("a", "long", true), ("b", "string", true)]),
        columns(&[("a", "string", true), ("b", "long", true)]),
    );
    let found = difference(&before, &declared, &pairs(&[("a", "b"), ("b", "a")]));
    let mut now = before;
    for (statement, _) in &found.statements {
        now = after(&now, &format!("alter table t {statement}")).expect("columns");
    }
    assert!(difference(&now, &declared, &[]).is_empty(), "{found:?}");
}

#[test]
fn the_record_of_columns_is_read_back_and_followed() {
    let snapshot = Snapshot::new(known(&["d"]), &[first("")], None);
    let text = snapshot.text();
    let read = Snapshot::parse(&file(&text)).unwrap_or_else(|fault| panic!("{:?}", told(&[fault])));
    assert_eq!((read.migration, read.text()), (1, text.clone()));
    assert!(text.contains("derived"), "{text}");
    let later = Parsed {
        migration: Migration { number: 2, label: "x".into(), file: file("") },
        statements: parse("alter table t drop column name; alter table other drop column x"),
    };
    let after = read.state(&[first(""), later]).unwrap_or_else(|faults| panic!("{:?}", told(&faults)));
    let t = &after.tables.landing["t"];
    assert!(t.get("name").is_none() && t.get("id").is_some());
    let fault = Snapshot::parse(&file(&text.replace("\"integer\"", "\"int eger\""))).expect_err("no type");
    assert!(fault.label.starts_with("column `id` of t: "), "{}", fault.label);
    assert!(Snapshot::parse(&file("{")).is_err());
}
