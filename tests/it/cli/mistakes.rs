//! The likeliest mistakes with definitions and migrations: what is said of each, word by word, and that the command or the
//! edit that is suggested mends it.

use std::fs;

use super::shell::{MEMBERS_SQL, NOTES, Shell};

/// Notes of a kind, some of which have none.
const KINDS: &str = "kind = { type = \"string\" }\nat = { type = \"long\" }\n";

fn notes(columns: &str) -> String {
    format!("primary_key = [\"id\"]\n{NOTES}{columns}")
}

/// A lake with notes.
fn written() -> Shell {
    let shell = Shell::shop();
    shell.define("tables/landing/notes.toml", notes(KINDS));
    shell.land("people/a.json", "{\"email\":\"ann@example.com\",\"shares\":1,\"at\":1}\n");
    shell.land(
        "notes/a.json",
        "{\"id\":7001,\"kind\":\"x\",\"at\":1}\n{\"id\":7002,\"at\":2}\n{\"id\":7003,\"at\":3}\n",
    );
    fine(&shell, &["sync"]);
    shell
}

fn fine(shell: &Shell, args: &[&str]) -> String {
    let ran = shell.run(args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    ran.out
}

/// A command fails and says this; it changes nothing in the warehouse.
fn refused(shell: &Shell, args: &[&str], expected: &str) {
    let before = shell.warehouse();
    let ran = shell.run(args);
    assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (1, expected, ""), "{args:?}");
    assert_eq!(shell.warehouse(), before, "{args:?}");
}

fn asked(shell: &Shell, sql: &str) -> String {
    fine(shell, &["query", sql, "--format", "csv"])
}

#[test]
fn a_column_is_taken_out_of_its_definition() {
    let shell = written();
    shell.define("tables/landing/notes.toml", notes("at = { type = \"long\" }\n"));
    let said = "\
error: the columns of notes need a migration: drop column kind
  table      <folder>/project/w/landing/notes (v0, unchanged)
  next       stedi-delta migrate new LABEL   (drafts it); or put the definition back
";
    refused(&shell, &["sync"], said);
    fine(&shell, &["migrate", "new", "no_kind"]);
    fine(&shell, &["sync"]);
    assert_eq!(
        asked(&shell, "select * from notes where id = 7001"),
        "id,at,source_file,source_offset\n7001,1,notes/a.json,0\n"
    );
}

#[test]
fn a_column_gets_another_name_without_saying_so() {
    let shell = written();
    let sorted = KINDS.replace("kind", "sort_of");
    shell.define("tables/landing/notes.toml", notes(&sorted));
    let said = "\
error: the columns of notes need a migration: drop column kind
  table      <folder>/project/w/landing/notes (v0, unchanged)
  next       stedi-delta migrate new LABEL --rename notes.kind=sort_of   (drafts it; without --rename it drops `kind`); or put the definition back
";
    refused(&shell, &["sync"], said);
    fine(&shell, &["migrate", "new", "sorts", "--rename", "notes.kind=sort_of"]);
    fine(&shell, &["sync"]);
    assert_eq!(asked(&shell, "select sort_of from notes where id = 7001"), "sort_of\nx\n");
    // Without access to the lake.
    shell.define("tables/landing/notes.toml", notes(KINDS));
    let said = "\
error: the columns of notes need a migration: drop column sort_of
 --> tables/landing/notes.toml:1:1
  |
1 | primary_key = [\"id\"]
  | ^ stedi-delta migrate new LABEL --rename notes.sort_of=kind   (drafts it; without --rename it drops `sort_of`)

1 error in 1 file; nothing was read or written.
";
    refused(&shell, &["check"], said);
    fine(&shell, &["migrate", "new", "back", "--rename", "notes.sort_of=kind"]);
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
}

#[test]
fn a_migration_is_edited_after_it_was_applied() {
    let shell = written();
    shell.define("tables/landing/notes.toml", notes(&KINDS.replace("at =", "noted =")));
    shell.define("migrations/0001_noted.sql", "alter table notes rename column at to noted;\n");
    fine(&shell, &["sync"]);
    shell.define("migrations/0001_noted.sql", "alter table notes rename column at to noted_at;\n");
    let before = shell.warehouse();
    let ran = shell.run(&["sync"]);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(lines[1].starts_with("  recorded   20") && lines[1].contains(" as 0001_noted, run "), "{}", ran.err);
    assert_eq!(
        (ran.code, lines[0], lines[2], lines.len()),
        (
            1,
            "error: migration 0001_noted was edited after it was applied in this lake",
            "  next       restore its text, and write the change as a new migration",
            3
        )
    );
    assert_eq!(shell.warehouse(), before);
    shell.define("migrations/0001_noted.sql", "alter table notes rename column at to noted;\n");
    shell.define("migrations/0002_noted_at.sql", "alter table notes rename column noted to noted_at;\n");
    shell.define("tables/landing/notes.toml", notes(&KINDS.replace("at =", "noted_at =")));
    fine(&shell, &["sync"]);
}

#[test]
fn a_number_is_missing() {
    let shell = written();
    shell.define(
        "migrations/0001_a.sql",
        "alter table notes alter column at type decimal(20,0) using cast(at as decimal(20,0));\n",
    );
    shell.define("migrations/0003_b.sql", "alter table notes drop column kind;\n");
    shell.define("tables/landing/notes.toml", notes("at = \"decimal(20,0)\"\n"));
    let said = "\
error: migration 0002 is missing
 --> migrations/0003_b.sql:1:1
  |
1 | alter table notes drop column kind;
  | ^ put it back, or give this one the number 0002

1 error in 1 file; nothing was read or written.
";
    refused(&shell, &["check"], said);
    refused(&shell, &["sync"], said);
    let folder = shell.project().join("migrations");
    fs::rename(folder.join("0003_b.sql"), folder.join("0002_b.sql")).unwrap();
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
}

#[test]
fn two_branches_take_one_number() {
    let shell = written();
    shell.define("migrations/0001_a.sql", "alter table notes rename column at to noted;\n");
    shell.define("migrations/0001_b.sql", "alter table notes drop column kind;\n");
    shell.define("tables/landing/notes.toml", notes("noted = \"long\"\n"));
    let said = "\
error: migration 0001 is there twice
 --> migrations/0001_b.sql:1:1
  |
1 | alter table notes drop column kind;
  | ^ also migrations/0001_a.sql: give one of them the next number

1 error in 1 file; nothing was read or written.
";
    refused(&shell, &["check"], said);
    let folder = shell.project().join("migrations");
    fs::rename(folder.join("0001_b.sql"), folder.join("0002_b.sql")).unwrap();
    fine(&shell, &["sync"]);
}

#[test]
fn no_table_has_a_column_of_the_name() {
    let shell = written();
    shell.define("migrations/0001_kind.sql", "-- Nobody reads it.\nalter table notes drop column knid;\n");
    shell.define("tables/landing/notes.toml", notes("at = \"long\"\n"));
    let said = "\
error: `knid` is not in this table
 --> migrations/0001_kind.sql:2:31
  |
2 | alter table notes drop column knid;
  |                               ^^^^ did you mean `kind`?

1 error in 1 file; nothing was read or written.
";
    refused(&shell, &["sync"], said);
    shell.define("migrations/0001_kind.sql", "-- Nobody reads it.\nalter table notes drop column kind;\n");
    fine(&shell, &["sync"]);
}

#[test]
fn an_error_of_a_query_asks_for_no_migration() {
    let shell = written();
    shell.define("tables/landing/notes.toml", notes("at = { type = \"long\" }\n"));
    fine(&shell, &["migrate", "new", "no_kind"]);
    fine(&shell, &["check"]);
    shell.define("tables/trusted/members.sql", "selec email from people");
    let ran = shell.run(&["check"]);
    assert!(ran.code == 1 && ran.err.contains("members.sql:1:1"), "{}", ran.err);
    assert!(
        !ran.err.contains("migration") && ran.err.ends_with("1 error in 1 file; nothing was read or written.\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_type_gets_narrower_without_an_expression() {
    let shell = written();
    shell.define("migrations/0001_at.sql", "alter table notes alter column at type integer;\n");
    shell.define("tables/landing/notes.toml", notes(&KINDS.replace("long", "integer")));
    let said = "\
error: `at` does not become integer without losing values
 --> migrations/0001_at.sql:1:32
  |
1 | alter table notes alter column at type integer;
  |                                ^^ it is long: add `using` and an expression, as in `using cast(at as ...)`

1 error in 1 file; nothing was read or written.
";
    refused(&shell, &["sync"], said);
    shell.define("migrations/0001_at.sql", "alter table notes alter column at type integer using cast(at as int);\n");
    fine(&shell, &["sync"]);
    assert_eq!(asked(&shell, "select sum(at) as n from notes"), "n\n6\n");
}

#[test]
fn not_null_is_set_over_rows_that_have_none() {
    let shell = written();
    shell.define("migrations/0001_kind.sql", "alter table notes alter column kind set not null;\n");
    let strict = KINDS.replace("type = \"string\"", "type = \"string\", nullable = false");
    shell.define("tables/landing/notes.toml", notes(&strict));
    let said = "\
error: 2 rows of notes have NULL in `kind`
  statement  alter table notes alter column kind set not null
  table      <folder>/project/w/landing/notes (v0, unchanged)
  first      notes/a.json at byte 30
  key        e8af…a2ce (hashed with STEDI_DELTA_HASH_KEY; --reveal to print)
  next       correct the landing files and `sync --reload` them, or give it values: `alter column kind type string using coalesce(kind, ...)`
";
    refused(&shell, &["sync"], said);
    refused(&shell, &["migrate", "apply", "--dry-run"], said);
    shell.define(
        "migrations/0001_kind.sql",
        "alter table notes alter column kind type string using coalesce(kind, 'none');\n\
         alter table notes alter column kind set not null;\n",
    );
    fine(&shell, &["sync"]);
    assert_eq!(asked(&shell, "select count(*) as n from notes where kind = 'none'"), "n\n2\n");
}

#[test]
fn a_column_is_dropped_that_the_project_still_names() {
    let shell = written();
    let people = shell.definition("tables/landing/people.toml").replace("at = { type = \"long\" }\n", "");
    shell.define("tables/landing/people.toml", format!("primary_key = [\"email\", \"at\"]\n{people}"));
    shell.define("migrations/0001_at.sql", "alter table people drop column at;\n");
    let said = "\
error: missing primary_key column `at`
 --> tables/landing/people.toml:1:25
  |
1 | primary_key = [\"email\", \"at\"]
  |                         ^^^^ one of `email`, `shares`, `source_file`, `source_offset`

error: missing latest column `at`
  --> tables/landing/people.toml:12:11
   |
12 | latest = [\"at\"]
   |           ^^^^ one of `email`, `shares`, `source_file`, `source_offset`

error: column `at` is in no table of this query
 --> tables/trusted/members.sql:3:17
  |
3 |   select email, at, shares, row_number() over (
  |                 ^^ one of `email`, `shares`, `source_file`, `source_offset`

error: column `at` is in no table of this query
 --> tables/trusted/members.sql:4:33
  |
4 |     partition by email order by at desc nulls last, case when shares is null then 0 else 1 end,
  |                                 ^^ one of `email`, `shares`, `source_file`, `source_offset`

4 errors in 2 files; nothing was read or written.
";
    refused(&shell, &["check"], said);
    shell.define("tables/landing/people.toml", people.replace("latest = [\"at\"]", "latest = [\"shares\"]"));
    let sql = MEMBERS_SQL
        .replace("select email, at\n", "select email\n")
        .replace("select email, at, shares", "select email, shares");
    shell.define("tables/trusted/members.sql", sql.replace("order by at desc", "order by shares desc"));
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
    assert_eq!(asked(&shell, "select email from members"), "email\nann@example.com\n");
}

#[test]
fn a_statement_is_none() {
    let shell = written();
    shell
        .define("migrations/0001_x.sql", "alter table notes alter column at tpye long;\nalter notes drop column at;\n");
    let said = "\
error: found `tpye`
 --> migrations/0001_x.sql:1:35
  |
1 | alter table notes alter column at tpye long;
  |                                   ^^^^ expected `type` and a type, or `set not null`

error: found `notes`
 --> migrations/0001_x.sql:2:7
  |
2 | alter notes drop column at;
  |       ^^^^^ expected `table`, as in `alter table t`

2 errors in 1 file; nothing was read or written.
";
    refused(&shell, &["check"], said);
    refused(&shell, &["sync"], said);
    shell.define("migrations/0001_x.sql", "update notes set at = 1;\n");
    let said = "\
error: `update` is no statement of a migration
 --> migrations/0001_x.sql:1:1
  |
1 | update notes set at = 1;
  | ^^^^^^ a migration changes what tables are, not which rows they have: expected `alter table`, `drop table`, `refresh table` or `reload table`

1 error in 1 file; nothing was read or written.
";
    refused(&shell, &["check"], said);
    shell.define("migrations/0001_x.sql", "alter table notes drop column at;\n");
    shell.define("tables/landing/notes.toml", notes("kind = \"string\"\n"));
    fine(&shell, &["sync"]);
}
