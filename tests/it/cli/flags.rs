//! Options that were refused or did nothing, and exit codes.

use super::shell::{MEMBERS_SQL, NO_NOTES, NOTES, Shell};

#[test]
fn verbose_may_be_given_twice() {
    let shell = Shell::synced();
    for flag in ["-v", "-vv"] {
        let ran = shell.run(&["sync", flag]);
        assert!(ran.code == 0 && ran.err.contains(" run.finished "), "{flag}: {}", ran.err);
    }
}

#[test]
fn an_empty_place_is_no_default() {
    let shell = Shell::synced();
    let before = shell.warehouse();
    for flag in ["--landing", "--warehouse", "--target"] {
        for args in [&["sync", flag, ""][..], &[flag, "", "sync"], &["status", flag, "", "--format", "json"]] {
            let ran = shell.run(args);
            assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{args:?}");
            let said = format!("error: `{flag}` is empty\n\n  tip: give it a value, or leave it out\n");
            assert!(ran.err.starts_with(&said), "{args:?}: {}", ran.err);
        }
    }
    let ran = shell.run(&["sync", "--project", ""]);
    assert!(ran.code == 64 && ran.err.contains("'--project <DIR>'"), "{}", ran.err);
    assert_eq!(shell.warehouse(), before);
}

#[test]
fn a_file_is_either_reloaded_or_unloaded() {
    let shell = Shell::synced();
    let before = shell.warehouse();
    for (reload, unload) in
        [("people:people/a.json", "people:people/a.json"), ("people:people", "people:people/"), ("notes:x", "notes:x")]
    {
        let ran = shell.run(&["sync", "--reload", reload, "--unload", unload]);
        let said = format!(
            "error: `--reload {reload}` and `--unload {unload}` name the same files\n  \
             expected   files are either read again or taken out\n  next       leave one of the two out\n"
        );
        assert_eq!((ran.code, ran.out.as_str(), ran.err), (64, "", said));
    }
    assert_eq!(shell.warehouse(), before);
    // All but one.
    let ran = shell.run(&["sync", "--reload", "people", "--unload", "people:people/a.json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn no_migrate_stops_where_a_migration_is_pending() {
    let shell = Shell::synced();
    let ran = shell.run(&["sync", "--no-migrate"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, NO_NOTES));
    shell.define(
        "migrations/0001_wide.sql",
        "alter table notes alter column id type decimal(20,0)\n  using cast(id as decimal(20,0));\n",
    );
    shell.define("tables/landing/notes.toml", NOTES.replace("long", "decimal(20,0)"));
    let ran = shell.run(&["sync", "--no-migrate"]);
    let said = "error: 1 migration is pending: 0001_wide\n  \
                next       stedi-delta migrate apply   (or sync without --no-migrate)\n";
    assert_eq!((ran.code, ran.err.as_str()), (1, said));
    let ran = shell.run(&["migrate", "status"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, "Next: stedi-delta migrate apply\n"));
    assert!(ran.out.starts_with("0001_wide  pending\n"), "{}", ran.out);
    assert!(ran.out.contains("alter table notes alter column id type decimal(20,0) using ..."), "{}", ran.out);
    let ran = shell.run(&["migrate", "apply", "--format", "json"]);
    let document = ran.json();
    assert_eq!((ran.code, &document["report"], &document["done"]), (0, &"migrations/1".into(), &"applied".into()));
    assert_eq!(document["migrations"][0]["statements"][0]["table"], "notes");
    let ran = shell.run(&["migrate", "apply"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "Nothing to do: no migration is pending.\n"));
    assert_eq!(shell.run(&["sync", "--no-migrate"]).code, 0);
}

#[test]
fn a_plan_that_stops_exits_1() {
    let shell = Shell::synced();
    // A column of another type needs a migration.
    shell.define("tables/landing/notes.toml", NOTES.replace("long", "string"));
    for args in [&["plan"][..], &["plan", "--detailed-exitcode"]] {
        let ran = shell.run(args);
        assert!(ran.code == 1 && ran.out.contains("to stop"), "{args:?}: {}", ran.out);
    }
    assert_eq!(shell.run(&["plan", "--format", "json"]).json()["exit_code"], 1);
    assert_eq!(shell.run(&["plan", "-s", "people"]).code, 0);
}

#[test]
fn a_stack_is_no_part_of_a_message() {
    let shell = Shell::synced();
    let commit = "w/landing/people/_delta_log/00000000000000000000.json";
    shell.define(commit, "{\"metaData\":{\"id\":1}}\n");
    let said = |backtrace: &str| {
        let ran = shell.run_in(&shell.project(), &[("RUST_BACKTRACE", backtrace)], &["query", "select * from people"]);
        assert_eq!(ran.code, 1);
        ran.err
    };
    assert_eq!(said("1"), said("0"));
    shell.define(commit, "no json\n");
    assert_eq!(said("1"), said("0"));
    assert!(!said("1").contains(" 0: "), "{}", said("1"));
}

#[test]
fn the_caret_stands_under_the_refresh_that_cannot_be() {
    let shell = Shell::shop();
    shell.define(
        "tables/trusted/few.toml",
        "# refresh whenever\ndescription = \"refresh me\"\nrefresh = \"incremental\"\n",
    );
    shell.define(
        "tables/trusted/few.sql",
        "select id, source_offset from notes order by id, source_file, source_offset limit 3",
    );
    let ran = shell.run(&["check"]);
    assert!(ran.err.contains("--> tables/trusted/few.toml:3:11\n"), "{}", ran.err);
}

#[test]
fn a_derived_table_that_loses_a_column_is_warned_of() {
    let shell = Shell::synced();
    let ran = shell.run(&["migrate", "new", "first"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "Nothing needs a migration.\nmigrations/schema.json is written: commit it, too.\n")
    );
    assert_eq!(shell.run(&["migrate", "lint"]).code, 0);
    shell.define("tables/trusted/members.sql", MEMBERS_SQL.replace("select email, at\n", "select email, at as seen\n"));
    // A derived table needs no migration.
    assert_eq!(shell.run(&["check"]).code, 0);
    let ran = shell.run(&["migrate", "lint"]);
    let said = "warning: members no longer has `at`\n --> tables/trusted/members.sql:1:1\n  |\n1 | select email, at as seen\n  \
                | ^ queries outside of this project have to follow; older versions keep them\n\n";
    assert_eq!((ran.code, ran.err.as_str()), (3, said));
    assert_eq!(
        shell.run(&["migrate", "lint", "--format", "json"]).json()["findings"][0]["message"],
        "members no longer has `at`"
    );
    let ran = shell.run(&["migrate", "new", "seen"]);
    let drafted = "Nothing needs a migration.\nDerived tables lose columns with their queries:\n  members: - at\n\
                   migrations/schema.json is written: commit it, too.\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, drafted));
    assert_eq!(shell.run(&["migrate", "lint"]).code, 0);
    let ran = shell.run(&["sync"]);
    assert!(ran.out.contains("replaced whole: + seen long, - at"), "{}", ran.out);
}

#[test]
fn a_migration_is_drafted_from_the_lake_and_then_from_the_record_of_it() {
    let shell = Shell::synced();
    // The first time the lake itself says what its tables have.
    shell.define("tables/landing/notes.toml", NOTES.replace("long", "string") + "at = \"timestamp\"\n");
    let ran = shell.run(&["sync"]);
    assert!(ran.code == 1, "{}", ran.err);
    assert!(
        ran.err
            .contains("the columns of notes need a migration: alter column id type string using cast(id as varchar)"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("stedi-delta migrate new LABEL"), "{}", ran.err);
    let ran = shell.run(&["migrate", "new", "texts"]);
    let drafted = "migrations/0001_texts.sql\n  alter table notes alter column id type string using cast(id as varchar);\n\
                   The next sync adds by itself:\n  notes: + at\nmigrations/schema.json is written: commit it, too.\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, drafted), "{}", ran.err);
    assert_eq!(shell.run(&["check"]).code, 0);
    assert_eq!(shell.run(&["sync"]).code, 0);
    // From now on a clone knows it without a lake.
    shell.define("tables/landing/notes.toml", NOTES.replace("id = ", "number = ").replace("long", "string"));
    let ran = shell.run(&["check"]);
    assert_eq!(ran.code, 1);
    let said = "the columns of notes need a migration: drop column id, drop column at";
    assert!(ran.err.contains(said) && ran.err.contains("stedi-delta migrate new LABEL"), "{}", ran.err);
    let ran = shell.run(&["migrate", "new", "names", "--rename", "notes.id=number"]);
    assert!(
        ran.out.contains("  alter table notes rename column id to number;\n  alter table notes drop column at;\n"),
        "{}",
        ran.out
    );
    assert_eq!(shell.run(&["check"]).code, 0);
    let ran = shell.run(&["migrate", "lint"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.err.contains("loses the values of `at` of notes") && ran.err.contains("migrations/0002_names.sql:3:1"),
        "{}",
        ran.err
    );
    let ran = shell.run(&["sync"]);
    assert!(ran.code == 0 && ran.out.contains("0002_names  applied"), "{} {}", ran.out, ran.err);
    // What only adds needs a record, and no migration.
    shell.define("tables/landing/notes.toml", shell.definition("tables/landing/notes.toml") + "more = \"date\"\n");
    assert!(shell.run(&["check"]).err.contains("migrations/schema.json lacks changes of notes: + more"));
    let ran = shell.run(&["migrate", "new", "more"]);
    assert_eq!(
        ran.out,
        "Nothing needs a migration.\nThe next sync adds by itself:\n  notes: + more\nmigrations/schema.json is written: commit it, too.\n"
    );
    assert_eq!(shell.run(&["check"]).code, 0);
}

#[test]
fn a_table_that_is_renamed_or_gone_is_drafted_applied_and_told() {
    let shell = Shell::synced();
    assert!(shell.run(&["migrate", "new", "base"]).out.starts_with("Nothing needs a migration.\n"));
    assert_eq!(shell.run(&["check"]).code, 0);
    let tables = shell.project().join("tables");
    std::fs::rename(tables.join("landing/notes.toml"), tables.join("landing/memos.toml")).unwrap();
    let ran = shell.run(&["check"]);
    assert_eq!(ran.code, 1);
    let said = "notes is in migrations/schema.json and not in tables/: it needs a migration, drop table notes";
    assert!(ran.err.contains(said) && ran.err.contains("--rename notes=NAME"), "{}", ran.err);
    let ran = shell.run(&["migrate", "new", "memos", "--rename", "notes=memo"]);
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("`--rename notes=memo` renames nothing"), "{}", ran.err);
    let ran = shell.run(&["migrate", "new", "memos"]);
    assert!(ran.out.starts_with("migrations/0001_memos.sql\n  drop table notes;\n"), "{} {}", ran.out, ran.err);
    let hint = "-- if `memos` is its new name: migrate new ... --replace --rename notes=memos\ndrop table notes;\n";
    assert!(shell.definition("migrations/0001_memos.sql").ends_with(hint), "it is not guessed");
    shell.define("migrations/0001_memos.sql", "alter table notes rename to memos;\n");
    assert_eq!(shell.run(&["check"]).code, 0);

    let ran = shell.run(&["migrate", "lint"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("breaks readers of notes: the catalog has it as memos from then on"), "{}", ran.err);
    let line = "0001_memos  pending\n  alter table notes rename to memos   notes v0 stays in landing/notes";
    for args in [&["migrate", "status"][..], &["migrate", "apply", "--dry-run"]] {
        let ran = shell.run(args);
        assert!(ran.code == 0 && ran.out.contains(line), "{args:?}: {} {}", ran.out, ran.err);
    }
    let ran = shell.run(&["plan"]);
    assert!(ran.out.contains("migration 0001_memos: alter table notes rename to memos\n"), "{}", ran.out);
    assert_eq!(shell.run(&["plan", "--detailed-exitcode"]).code, 2);
    let ran = shell.run(&["migrate", "apply", "--format", "json"]);
    let statement = ran.json()["migrations"][0]["statements"][0].clone();
    assert_eq!(
        (&statement["renamed_to"], &statement["folder"]),
        (&"memos".into(), &"landing/notes".into()),
        "{}",
        ran.err
    );
    let check = shell.run(&["catalog", "check"]);
    assert_eq!(check.code, 0, "{}", check.out);
    assert!(shell.run(&["migrate", "status"]).out.contains("0001_memos  applied"));

    // A derived table, by the record that `migrate new` wrote.
    for end in ["toml", "sql"] {
        std::fs::remove_file(tables.join(format!("trusted/members.{end}"))).unwrap();
    }
    assert!(shell.run(&["check"]).err.contains("members is in migrations/schema.json and not in tables/"));
    let ran = shell.run(&["plan"]);
    assert!(
        ran.err.contains("1 table in the local catalog is not in this project any more\n  members\n"),
        "{}",
        ran.err
    );
    assert!(shell.run(&["migrate", "new", "less"]).out.contains("0002_less.sql\n  drop table members;\n"));
    assert_eq!(shell.run(&["check"]).code, 0);
    let ran = shell.run(&["sync"]);
    assert!(
        ran.code == 0 && ran.out.contains("drop table members   members v0 stays in trusted/members"),
        "{}",
        ran.out
    );
    assert!(!ran.err.contains("is not in this project any more"), "{}", ran.err);
    let ran = shell.run(&["catalog", "register", "--prune"]);
    assert!(ran.code == 0 && !ran.out.contains("members"), "{}", ran.out);
    assert!(shell.run(&["sync"]).out.starts_with("Nothing to do"));
}

#[test]
fn landing_tables_are_not_computed() {
    let shell = Shell::synced();
    let ran = shell.run(&["sync", "--full-refresh", "-s", "people"]);
    let said = "error: `--full-refresh` computes derived tables\n  selected   people\n  next       stedi-delta sync --reload people   \
                (reads its files again)\n";
    assert_eq!((ran.code, ran.err.as_str()), (64, said));
    assert_eq!(shell.run(&["sync", "--reload", "people"]).code, 0);
    assert_eq!(shell.run(&["sync", "--full-refresh", "-s", "people+"]).code, 0);
}
