//! `migrate new` again: drafts that are drafted anew, edited or deleted; and what else is said of a migration.

use std::fs;

use super::shell::{NOTES, Shell};

const KINDS: &str = "kind = { type = \"string\" }\n";
const RENAME: [&str; 2] = ["--rename", "notes.kind=sort_of"];

fn fine(shell: &Shell, args: &[&str]) -> String {
    let ran = shell.run(args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    ran.out
}

fn refused(shell: &Shell, args: &[&str], expected: &str) {
    let ran = shell.run(args);
    assert!(ran.code != 0 && ran.err.contains(expected), "{args:?}: {} {}{}", ran.code, ran.out, ran.err);
}

/// A lake with notes of a kind, and a record of its columns.
fn recorded() -> Shell {
    let shell = Shell::shop();
    shell.define("tables/landing/notes.toml", format!("{NOTES}{KINDS}"));
    shell.land("people/a.json", "{\"email\":\"ann@example.com\",\"shares\":1,\"at\":1}\n");
    shell.land("notes/a.json", "{\"id\":1,\"kind\":\"x\"}\n{\"id\":2,\"kind\":\"7\"}\n{\"id\":3,\"kind\":\"y\"}\n");
    fine(&shell, &["sync"]);
    fine(&shell, &["migrate", "new", "base"]);
    shell
}

/// The same, with a draft that drops a column whose name has changed.
fn drafted() -> Shell {
    let shell = recorded();
    shell.define("tables/landing/notes.toml", format!("{NOTES}{}", KINDS.replace("kind", "sort_of")));
    fine(&shell, &["migrate", "new", "sorts"]);
    assert!(shell.definition("migrations/0001_sorts.sql").ends_with(
        "-- if `sort_of` is its new name: migrate new ... --replace --rename notes.kind=sort_of\nalter table notes drop \
         column kind;\n"
    ));
    fine(&shell, &["check"]);
    shell
}

#[test]
fn a_draft_is_drafted_again() {
    let shell = drafted();
    let again = "stedi-delta migrate new LABEL --replace --rename notes.kind=sort_of   (drafts 0001_sorts again)";
    refused(&shell, &["migrate", "new", "kinds", RENAME[0], RENAME[1]], again);
    let out = fine(&shell, &["migrate", "new", "kinds", "--replace", RENAME[0], RENAME[1]]);
    assert_eq!(
        out,
        "migrations/0001_kinds.sql\n  alter table notes rename column kind to sort_of;\nmigrations/0001_sorts.sql is \
         removed.\nmigrations/schema.json is written: commit it, too.\n"
    );
    assert!(!shell.project().join("migrations/0001_sorts.sql").exists());
    // And again, by the same label.
    let before = shell.definition("migrations/schema.json");
    fine(&shell, &["migrate", "new", "kinds", "--replace", RENAME[0], RENAME[1]]);
    assert_eq!(shell.definition("migrations/schema.json"), before);
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
    assert_eq!(fine(&shell, &["query", "select sort_of from notes where id = 1", "--format", "csv"]), "sort_of\nx\n");
    // Now the lake has it.
    refused(&shell, &["migrate", "new", "kinds", "--replace"], "migration 0001_kinds is in this lake");
    fs::remove_dir_all(shell.project().join("migrations")).unwrap();
    refused(&shell, &["migrate", "new", "kinds", "--replace"], "there is no migration to replace");
}

#[test]
fn a_draft_that_is_deleted_or_edited_is_told_and_mended() {
    let shell = drafted();
    let path = shell.project().join("migrations/0001_sorts.sql");
    fs::remove_file(&path).unwrap();
    refused(&shell, &["check"], "the columns of notes need a migration: drop column kind");
    fine(&shell, &["migrate", "new", "kinds", RENAME[0], RENAME[1]]);
    assert!(shell.definition("migrations/0001_kinds.sql").contains("rename column kind to sort_of"));
    fine(&shell, &["check"]);
    // The definition is put back, too.
    fs::remove_file(shell.project().join("migrations/0001_kinds.sql")).unwrap();
    shell.define("tables/landing/notes.toml", format!("{NOTES}{KINDS}"));
    refused(&shell, &["check"], "migrations/schema.json includes migration 0001, which is gone");
    assert!(fine(&shell, &["migrate", "new", "none"]).starts_with("Nothing needs a migration.\n"));
    fine(&shell, &["check"]);
    assert!(fine(&shell, &["sync"]).starts_with("Nothing to do"));

    // An edit that leads to the definitions is as good; one that does not is told.
    let shell = drafted();
    shell.define("migrations/0001_sorts.sql", "\u{feff}alter table notes rename column kind to sort_of;\r\n");
    fine(&shell, &["check"]);
    shell.define("migrations/0001_sorts.sql", "alter table notes rename column kind to sorts;\n");
    refused(&shell, &["check"], "the columns of notes need a migration: drop column sorts");
    fine(&shell, &["migrate", "new", "more", "--rename", "notes.sorts=sort_of"]);
    fine(&shell, &["check"]);
    // The older one is not the newest any more.
    shell.define("migrations/0001_sorts.sql", "alter table notes rename column kind to srts;\n");
    refused(&shell, &["check"], "migration 0001_sorts was edited after migrations/schema.json was written with it");
    shell.define("migrations/0002_more.sql", "alter table notes rename column srts to sort_of;\n");
    assert!(fine(&shell, &["migrate", "new", "anew"]).starts_with("Nothing needs a migration.\n"));
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
    assert_eq!(fine(&shell, &["query", "select sort_of from notes where id = 1", "--format", "csv"]), "sort_of\nx\n");
    shell.define("migrations/schema.json", "<<<<<<< ours\n");
    refused(&shell, &["check"], "this is not what `migrate new` wrote");
    fine(&shell, &["migrate", "new", "anew"]);
    fine(&shell, &["check"]);
}

#[test]
fn tables_that_swap_their_names_are_renamed() {
    let shell = recorded();
    let other = NOTES.replace("notes/", "memos/").replace("id = { type = \"long\" }", "at = \"long\"");
    shell.define("tables/landing/memos.toml", &other);
    shell.land("memos/a.json", "{\"at\":5}\n");
    fine(&shell, &["sync"]);
    fine(&shell, &["migrate", "new", "memos"]);
    shell.define("tables/landing/memos.toml", format!("{NOTES}{KINDS}"));
    shell.define("tables/landing/notes.toml", &other);
    refused(&shell, &["check"], "--rename memos=notes --rename notes=memos   (if they swapped their names)");
    fine(&shell, &["migrate", "new", "swap"]);
    let hint = "-- if memos and notes swapped their names: migrate new ... --replace --rename memos=notes --rename notes=memos";
    assert!(shell.definition("migrations/0001_swap.sql").contains(hint));
    let swap = ["migrate", "new", "swap", "--replace", "--rename", "memos=notes", "--rename", "notes=memos"];
    assert!(fine(&shell, &swap).starts_with(
        "migrations/0001_swap.sql\n  alter table memos rename to memos_old;\n  alter table notes rename to memos;\n  alter \
         table memos_old rename to notes;\nmigrations/schema.json is written"
    ));
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
    assert_eq!(fine(&shell, &["query", "select at from notes", "--format", "csv"]), "at\n5\n");
}

#[test]
fn a_rename_is_named_by_the_name_after_the_others() {
    let shell = recorded();
    fs::remove_file(shell.project().join("tables/landing/notes.toml")).unwrap();
    shell.define("tables/landing/memos.toml", format!("{NOTES}{}", KINDS.replace("kind", "sort_of")));
    let args = |column: &'static str| ["migrate", "new", "x", "--rename", "notes=memos", "--rename", column];
    refused(&shell, &args("notes.kind=sort_of"), "did you mean `--rename memos.kind=sort_of`?");
    let out = fine(&shell, &args("memos.kind=sort_of"));
    assert!(out.contains("alter table notes rename to memos;\n  alter table memos rename column kind to sort_of;\n"));
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
}

#[test]
fn a_renamed_column_that_is_not_read_by_its_old_name_is_warned_of() {
    let shell = drafted();
    fine(&shell, &["migrate", "new", "sorts", "--replace", RENAME[0], RENAME[1]]);
    let drafted = shell.definition("migrations/0001_sorts.sql");
    let hint =
        "-- files have `kind`: add `from = [\"sort_of\", \"kind\"]` to `sort_of` of the definition\nalter table notes";
    assert!(drafted.contains(hint), "{drafted}");
    let said = "`sort_of` of notes is not read from files that have `kind`";
    let ran = shell.run(&["plan"]);
    assert!(ran.code == 0 && ran.err.contains(said), "{}{}", ran.out, ran.err);
    let ran = shell.run(&["migrate", "lint"]);
    assert!(ran.code == 3 && ran.err.contains(said), "{}{}", ran.out, ran.err);
    let from = "sort_of = { type = \"string\", from = [\"sort_of\", \"kind\"] }\n";
    shell.define("tables/landing/notes.toml", format!("{NOTES}{from}"));
    assert!(!shell.run(&["plan"]).err.contains(said) && !shell.run(&["migrate", "lint"]).err.contains(said));
}

#[test]
fn status_tells_of_migrations_that_are_pending_or_stop_a_sync() {
    let shell = recorded();
    shell.define("tables/landing/notes.toml", format!("{NOTES}{}", KINDS.replace("kind", "sort_of")));
    let ran = shell.run(&["status"]);
    assert!(ran.code == 0 && ran.out.contains("stopped: column `kind` of notes is in the table"), "{}", ran.out);
    fine(&shell, &["migrate", "new", "sorts", RENAME[0], RENAME[1]]);
    let ran = shell.run(&["status"]);
    assert!(ran.out.contains("Migration 0001_sorts is pending.\n"), "{}{}", ran.out, ran.err);
    assert!(ran.err.ends_with("Next: stedi-delta sync\n"), "{}", ran.err);
    let document = shell.run(&["status", "--format", "json"]).json();
    assert_eq!(document["migrations"][0]["state"], "pending");
    shell.define("migrations/0001_sorts.sql", "alter table notes rename column kid to sort_of;\n");
    let ran = shell.run(&["status"]);
    assert!(ran.out.contains("Migrations stop a sync.\n") && ran.err.contains("did you mean `kind`?"), "{}", ran.err);
    fine(&shell, &["migrate", "new", "sorts", "--replace", RENAME[0], RENAME[1]]);
    fine(&shell, &["sync"]);
    assert!(shell.run(&["status"]).out.contains("3 tables are up to date."));
    // What only a sync can do.
    shell.define("migrations/0002_again.sql", "refresh table members full;\n");
    let ran = shell.run(&["sync", "--no-migrate"]);
    assert!(ran.err.contains("sync without --no-migrate: their statements need it"), "{}", ran.err);
    fine(&shell, &["migrate", "apply"]);
    let ran = shell.run(&["migrate", "status"]);
    assert!(ran.out.contains("0002_again  begun") && ran.err == "Next: stedi-delta sync\n", "{}{}", ran.out, ran.err);
    assert!(shell.run(&["status"]).out.contains("Migration 0002_again has begun, and is not finished.\n"));
    fine(&shell, &["sync"]);
    assert!(fine(&shell, &["migrate", "status"]).contains("0002_again  applied"));
}

#[test]
fn an_expression_that_is_none_of_a_row_is_told_with_its_place() {
    let shell = recorded();
    shell.define("tables/landing/notes.toml", NOTES.to_owned() + "kind = \"long\"\n");
    for (using, what, label) in [
        ("sum(id)", "an expression after `using` looks at one row of its table", "^^^ remove aggregates and windows"),
        ("row_number() over ()", "an expression after `using` looks at one row", "remove aggregates and windows"),
        ("(select 1)", "an expression after `using` looks at one row of its table", "remove the subquery"),
        ("cast(knd as bigint)", "column `knd` is not in this table", "did you mean `kind`?"),
    ] {
        shell.define(
            "migrations/0001_x.sql",
            format!("alter table notes alter column kind\n  type long using {using};\n"),
        );
        for args in [["check"].as_slice(), &["sync"]] {
            let ran = shell.run(args);
            assert!(
                ran.code == 1 && ran.err.contains(what) && ran.err.contains(label) && ran.err.contains("0001_x.sql:2:"),
                "{using}: {}",
                ran.err
            );
        }
    }
    let using = "alter table notes alter column kind type long using cast(kind as bigint);\n";
    shell.define("migrations/0001_x.sql", using);
    fine(&shell, &["check"]);
    let before = shell.warehouse();
    let ran = shell.run(&["sync"]);
    let first = "error: 2 rows of notes have no value by `using` for `kind`: the expression after `using` for `kind` ";
    let said = "\n  statement  alter table notes alter column kind type long using ...\n  \
                table      <folder>/project/w/landing/notes (v0, unchanged)\n  \
                first      notes/a.json at byte 0\n";
    assert!(ran.code == 1 && ran.err.starts_with(first) && ran.err.contains(said), "{}", ran.err);
    assert!(ran.err.contains("let the expression give those rows a value"), "{}", ran.err);
    assert_eq!(shell.warehouse(), before);
    shell.define("migrations/0001_x.sql", using.replace("cast(kind", "cast(nullif(nullif(kind, 'x'), 'y')"));
    fine(&shell, &["sync"]);
    assert_eq!(fine(&shell, &["query", "select sum(kind) as n from notes", "--format", "csv"]), "n\n7\n");
}

#[test]
fn not_null_is_set_on_a_column_that_the_definition_lets_be_null() {
    let shell = recorded();
    shell.define("migrations/0001_strict.sql", "alter table notes alter column kind set not null;\n");
    let said = "error: `kind` may be NULL by tables/landing/notes.toml\n --> migrations/0001_strict.sql:1:32\n  |\n1 | alter \
                table notes alter column kind set not null;\n  |                                ^^^^ write `nullable = false` \
                there, too, or take this statement out\n";
    let before = shell.warehouse();
    for args in [["check"].as_slice(), &["sync"], &["migrate", "apply"]] {
        let ran = shell.run(args);
        assert!(ran.code == 1 && ran.err.contains(said), "{args:?}: {}", ran.err);
    }
    let ran = shell.run(&["migrate", "lint"]);
    assert!(ran.code == 3 && ran.err.contains("`kind` may be NULL by"), "{}", ran.err);
    assert_eq!(shell.warehouse(), before);
    shell.define("tables/landing/notes.toml", format!("{NOTES}{}", KINDS.replace(" }", ", nullable = false }")));
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
    // Later it may be NULL again, without a migration.
    shell.define("tables/landing/notes.toml", format!("{NOTES}{KINDS}"));
    fine(&shell, &["migrate", "new", "loose"]);
    fine(&shell, &["check"]);
    fine(&shell, &["sync"]);
    assert!(fine(&shell, &["sync"]).starts_with("Nothing to do"));
}
