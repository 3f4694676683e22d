//! Options that were refused or did nothing, and exit codes.

use super::shell::{NO_NOTES, NOTES, Shell};

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
fn no_migrate_says_that_it_changes_nothing() {
    let shell = Shell::synced();
    let ran = shell.run(&["sync", "--no-migrate"]);
    let said = "warning: `--no-migrate` changes nothing\n  \
                this version applies no migrations: a table without one stops the sync\n";
    assert_eq!((ran.code, ran.err.as_str()), (0, format!("{said}{NO_NOTES}").as_str()));
    shell.define("migrations/0001_more.sql", "alter table notes add columns (x bigint)");
    let ran = shell.run(&["sync"]);
    assert!(ran.code == 1 && ran.err.contains("take the files out of migrations/ again"), "{}", ran.err);
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
