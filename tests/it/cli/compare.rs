//! `diff`, `show` and `describe` as commands.

use super::person;
use super::shell::Shell;

/// Three versions of `members`: two people, one of them later, and a third.
fn shell() -> Shell {
    let shell = Shell::synced();
    let keyed = "description = \"People who share\"\nprimary_key = [\"email\"]\n[consent]\nsubject = \"email\"\n";
    shell.define("tables/trusted/members.toml", keyed);
    shell.run(&["sync"]).fine();
    shell.land("people/b.json", &[person("ann", 2, true), person("eve", 2, false), person("bob", 3, true)].concat());
    shell.run(&["sync"]).fine();
    shell
}

/// The version before the newest one.
fn before(shell: &Shell) -> String {
    let described = shell.run(&["describe", "members", "--format", "json"]).fine().json();
    format!("v{}", described["description"]["version"]["version"].as_u64().unwrap() - 1)
}

#[test]
fn a_difference_comes_as_text_lines_and_a_document() {
    let shell = shell();
    let from = before(&shell);
    let text = shell.run(&["diff", "members", "--from", &from]).fine();
    let lines: Vec<&str> = text.out.lines().collect();
    assert!(lines[0].starts_with(&format!("members {from} (20")), "{}", text.out);
    assert_eq!(lines[1], "1 row inserted, 1 row updated, 1 row deleted");
    assert!(text.out.contains("| op     | email     | at     |"), "{}", text.out);
    assert!(text.out.contains(" | 1 -> 2 |"), "{}", text.out);
    assert_eq!(
        text.err,
        "note: personal data is shown as hashes (hashed with STEDI_DELTA_HASH_KEY; --reveal to print)\n"
    );
    let revealed = |format: &str| {
        let args = ["diff", "members", "--from", &from, "--to", "2999-01-01", "--format", format, "--reveal"];
        shell.run(&args).fine().out
    };
    assert_eq!(
        revealed("ndjson"),
        "{\"op\":\"update\",\"key\":{\"email\":\"ann@example.com\"},\"before\":{\"at\":1},\"after\":{\"at\":2}}\n\
         {\"op\":\"insert\",\"key\":{\"email\":\"bob@example.com\"},\"before\":null,\"after\":{\"at\":3}}\n\
         {\"op\":\"delete\",\"key\":{\"email\":\"eve@example.com\"},\"before\":{\"at\":1},\"after\":null}\n"
    );
    assert_eq!(
        revealed("csv"),
        "op,key.email,before.at,after.at\nupdate,ann@example.com,1,2\ninsert,bob@example.com,,3\ndelete,eve@example.com,1,\n"
    );
    let document = shell.run(&["diff", "members", "--from", &from, "--format", "json"]).fine().json();
    assert_eq!(
        (&document["report"], &document["table"], &document["exit_code"]),
        (&"diff/1".into(), &"members".into(), &0.into())
    );
    let counts = ["rows_inserted", "rows_updated", "rows_deleted"].map(|key| document[key].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(document["key"][0], "email");
    assert_eq!(document["columns"][0]["after"], "at");
    let summary = shell.run(&["diff", "members", "--from", &from, "--summary"]).fine();
    assert_eq!(summary.out.lines().count(), 2, "{}", summary.out);
    let same = shell.run(&["diff", "members", "--from", &from, "--to", &from]).fine();
    assert!(same.out.ends_with("\nno row differs\n"), "{}", same.out);
    let empty = shell.run(&["diff", "members", "--from", &from, "--to", &from, "--format", "csv"]).fine();
    assert_eq!(empty.out, "op,key.email,before.at,after.at\n");
    let first = shell.run(&["diff", "members", "--from", &from, "-n", "1", "--format", "ndjson"]).fine();
    assert_eq!(first.out.lines().count(), 1);
    let one = shell.run(&["diff", "members", "--from", &from, "-n", "1"]).fine();
    assert!(one.err.contains("2 more rows: -n N, or all of them as lines: --format ndjson\n"), "{}", one.err);
}

#[test]
fn no_value_of_personal_data_is_printed_unless_revealed() {
    let shell = shell();
    let from = before(&shell);
    let members = format!("members@{from}");
    for args in [
        &["diff", "members", "--from", &from][..],
        &["diff", "members", "--from", &from, "--format", "ndjson"],
        &["diff", "members", "--from", &from, "--format", "csv"],
        &["diff", "members", "--from", &from, "--format", "json"],
        &["diff", "people", "--from", "v0", "--where", "email like '%@%'"],
        &["diff", "--lake", "--from", "2000-01-01"],
        &["show", "members"],
        &["show", &members, "--format", "json"],
        &["show", "people", "--format", "csv", "--where", "at > 0"],
        &["describe", "members"],
        &["describe", &members, "--format", "json"],
    ] {
        let ran = shell.run(args);
        assert!(
            !ran.out.contains("example.com") && !ran.err.contains("example.com"),
            "{args:?} {}{}",
            ran.out,
            ran.err
        );
        assert_eq!(ran.code, 0, "{args:?} {}", ran.err);
        let revealed = shell.run(&[args, &["--reveal"]].concat());
        let has_rows = args[0] != "describe" && args[1] != "--lake" && !args.contains(&"json") || args[0] == "show";
        assert_eq!(revealed.out.contains("example.com"), has_rows, "{args:?} {}", revealed.out);
    }
}

#[test]
fn the_first_rows_of_any_version_are_shown() {
    let shell = shell();
    let from = before(&shell);
    let csv = |table: &str, more: &[&str]| {
        let args = [&["show", table, "--format", "csv", "--reveal"], more].concat();
        let mut lines: Vec<String> = shell.run(&args).fine().out.lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    assert_eq!(csv("members", &[]), ["email,at", "ann@example.com,2", "bob@example.com,3"]);
    assert_eq!(csv(&format!("members@{from}"), &[]), ["email,at", "ann@example.com,1", "eve@example.com,1"]);
    assert_eq!(csv("members", &["--where", "at = 3"]), ["email,at", "bob@example.com,3"]);
    assert_eq!(csv("members", &["-n", "1"]).len(), 2);
    assert_eq!(csv("members", &["-n", "0"]), ["email,at"]);
    assert!(csv("runs", &["-n", "1"])[0].starts_with("run,started_at,"));
    let wrong = shell.run(&["show", "members", "--where", "att = 3"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("--where:1:1") && wrong.err.contains("did you mean `at`?"), "{}", wrong.err);
}

#[test]
fn a_table_is_described() {
    let shell = shell();
    let ran = shell.run(&["describe", "members"]).fine();
    assert!(ran.out.starts_with("members  (trusted, derived table)\n  People who share\n"), "{}", ran.out);
    for part in [
        "  location   <folder>/project/w/trusted/members\n",
        "  oldest     v0, committed 20",
        "  key        email\n",
        "  reads      people\n",
        "  consent    of the person in `email`, by `email` of people\n",
        "  email  string",
        "  at     long",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let document = shell.run(&["describe", "people", "--format", "json"]).fine().json();
    let of = &document["description"];
    assert_eq!(
        (&document["report"], &of["kind"], &of["zone"]),
        (&"describe/1".into(), &"landing".into(), &"landing".into())
    );
    assert_eq!(of["grants"]["granted"], "shares is not null");
    assert_eq!(of["rows"], 6);
    assert_eq!((&of["columns"][0]["name"], &of["columns"][0]["pii"]), (&"email".into(), &true.into()));
}

#[test]
fn mistakes_are_told_with_the_next_thing_to_type() {
    let shell = Shell::synced();
    for (args, code, said) in [
        (&["diff", "memberz", "--from", "v0"][..], 64, "did you mean `members`?"),
        (&["diff", "members", "--from", "v9"], 64, "members has no version 9"),
        (&["diff", "members", "--from", "yesterday"], 64, "`yesterday` is neither a version nor a time"),
        (&["diff", "members", "--from", "1999-01-01"], 64, "has no version of 1999-01-01"),
        (&["diff", "members"], 64, "--from <VERSION>"),
        (&["diff", "--from", "v0"], 64, "<TABLE>"),
        (&["diff", "members@v0", "--from", "v0"], 64, "`members@v0` is one version"),
        (&["diff", "members", "--from", "v0", "--columns", "emial"], 64, "did you mean `email`?"),
        (&["diff", "members", "--from", "v0", "--summary", "--format", "csv"], 64, "`--summary` has no lines"),
        (&["diff", "--lake", "--from", "v0"], 64, "`v0` is the version of one table"),
        (&["diff", "--lake", "--from", "nothing"], 64, "there is no run `nothing`"),
        (&["show", "members@v7"], 64, "members has no version 7"),
        (&["describe", "nothing"], 64, "table `nothing` is not in this project"),
        (&["describe", "members", "--format", "csv"], 64, "this verb has no `--format csv`"),
    ] {
        let ran = shell.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{args:?} {}", ran.err);
        assert!(ran.err.contains(said), "{args:?} {}", ran.err);
    }
}

#[test]
fn all_tables_are_counted() {
    let shell = shell();
    let runs = shell.run(&["query", "select run from runs order by ended_at", "--format", "csv"]).out;
    let runs: Vec<&str> = runs.lines().skip(1).collect();
    let ran = shell.run(&["diff", "--lake", "--from", runs[0]]).fine();
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.out);
    assert!(lines.iter().any(|line| line.starts_with("trusted") && line.contains("members")), "{}", ran.out);
    let document = shell.run(&["diff", "--lake", "--from", runs[0], "--format", "json"]).fine().json();
    assert_eq!(document["report"], "lake_diff/1");
    let tables = document["tables"].as_array().unwrap();
    let people = tables.iter().find(|table| table["table"] == "people").unwrap();
    assert_eq!(
        (&people["version_from"], &people["rows_inserted"], &people["error"]),
        (&0.into(), &3.into(), &serde_json::Value::Null)
    );
}
