//! The program as used by a person or a pipeline: a child process, its standard output, standard error and exit code.

mod audit;
mod compare;
mod documents;
mod drafts;
mod faults;
mod flags;
mod hostile;
#[cfg(target_os = "linux")]
mod memory;
mod messages;
mod mistakes;
mod personal;
mod plan;
mod quarantine;
pub(crate) mod shell;
#[cfg(unix)]
mod spill;
#[cfg(unix)]
mod traces;
mod unattended;
#[cfg(unix)]
mod unrevealed;

use shell::{NO_NOTES, Shell};

const SQL_ROWS: &str = "select email, at from members order by email";

#[test]
fn a_first_sync_answers_on_standard_output_and_hints_on_standard_error() {
    let shell = Shell::shop();
    shell.land("people/a.json", &[person("ann", 1, true), person("bob", 1, false)].concat());
    let first = shell.run(&["sync"]);
    let hint = "Next: stedi-delta query \"select count(*) from members\"\n";
    assert_eq!((first.code, first.err.as_str()), (0, format!("{NO_NOTES}{hint}").as_str()));
    assert_eq!(
        first.head(),
        "shop -> dev  (landing l, warehouse w)\n\n\
         landing   notes      new -> v0        0 rows     no rows yet\n          \
         people     new -> v0        2 rows     1 file\n\
         trusted   members    new -> v0        1 row      full: first build\n\n\
         3 tables changed"
    );
    let second = shell.run(&["sync"]);
    assert_eq!((second.code, second.err.as_str()), (0, NO_NOTES));
    assert!(second.out.starts_with("Nothing to do: 3 tables are at the cut of 20"), "{}", second.out);
}

#[test]
fn a_query_comes_in_every_format() {
    let shell = Shell::synced();
    let rows = |format: &str| {
        let ran = shell.run(&["query", SQL_ROWS, "--format", format]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    };
    let table = rows("table");
    let expected = "\
+-----------------+----+
| email           | at |
+-----------------+----+
| ann@example.com | 1  |
| eve@example.com | 1  |
+-----------------+----+
";
    assert_eq!((table.out.as_str(), table.err.as_str()), (expected, "2 rows\n"));
    let json = rows("json");
    let expected = "[{\"email\":\"ann@example.com\",\"at\":1},{\"email\":\"eve@example.com\",\"at\":1}]\n";
    assert_eq!((json.out.as_str(), json.err.as_str()), (expected, ""));
    let expected = "{\"email\":\"ann@example.com\",\"at\":1}\n{\"email\":\"eve@example.com\",\"at\":1}\n";
    assert_eq!(rows("ndjson").out, expected);
    assert_eq!(rows("csv").out, "email,at\nann@example.com,1\neve@example.com,1\n");
}

#[test]
fn a_query_reads_a_version_by_its_number() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("ann", 2, false));
    assert_eq!(shell.run(&["sync"]).code, 0);
    let count = |table: &str| {
        let sql = format!("select count(*) as n from {table}");
        shell.run(&["query", &sql, "--format", "csv"]).out
    };
    assert_eq!(count("members"), "n\n1\n");
    assert_eq!(count("\"members@v0\""), "n\n2\n");
    assert_eq!(count("MEMBERS"), "n\n1\n");
}

#[test]
fn a_history_is_newest_first_and_says_what_each_version_came_from() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("ann", 2, false));
    shell.run(&["sync"]);
    let history = shell.run(&["history", "members"]);
    let lines: Vec<&str> = history.out.lines().collect();
    assert_eq!((history.code, lines.len()), (0, 4), "{}", history.out);
    assert!(lines[0].starts_with("v1  20") && lines[0].contains("MERGE  -1  "), "{}", lines[0]);
    assert!(lines[0].contains("  incremental: "), "{}", lines[0]);
    assert!(lines[2].starts_with("v0  20") && lines[2].contains("  full: first build"), "{}", lines[2]);
    assert!(lines[3].starts_with("    run ") && lines[3].ends_with(", from people v0"), "{}", lines[3]);
    assert_eq!(shell.run(&["history", "members", "-n", "1"]).out.lines().count(), 2);
    let document = shell.run(&["history", "members", "--format", "json"]).json();
    assert_eq!(document["report"], "history/1");
    assert_eq!(document["versions"][0]["version"], 1);
    assert_eq!(document["versions"][0]["sources"]["people"], 1);
}

#[test]
fn quarantined_records_are_listed_and_land_once_the_definition_accepts_them() {
    let shell = Shell::synced();
    shell.land("notes/a.json", "{\"id\":1}\n{\"id\":\"two\"}\n{\"id\"");
    let sync = shell.run(&["sync"]);
    assert_eq!(sync.code, 0);
    assert_eq!(
        sync.err,
        "\nwarning: 2 records could not land\n  \
         notes/a.json at byte 9: field `id` is a string, expected an integer\n  \
         notes/a.json at byte 22: record is cut off\n  \
         see them: stedi-delta quarantine ls notes\n"
    );
    let listed = shell.run(&["quarantine", "ls", "notes", "--format", "csv"]);
    assert_eq!(
        listed.out,
        "table,source_file,source_offset,length,reason\n\
         notes,notes/a.json,9,12,\"field `id` is a string, expected an integer\"\n\
         notes,notes/a.json,22,5,record is cut off\n"
    );
    let revealed = shell.run(&["quarantine", "ls", "-n", "1", "--format", "ndjson", "--reveal"]);
    assert!(revealed.out.contains(r#""raw":"{\"id\":\"two\"}"#), "{}", revealed.out);
    let replay = shell.run(&["quarantine", "replay", "notes"]);
    assert_eq!((replay.code, replay.out.as_str()), (0, "Nothing of notes could be replayed: 0 rows changed.\n"));
    assert!(replay.err.starts_with("\nwarning: 2 records of notes stay in quarantine\n  1: "), "{}", replay.err);
}

#[test]
fn a_replay_lands_what_the_definition_accepts_by_now() {
    let shell = Shell::synced();
    let strict = "[[expectations]]\nname = \"small\"\ncheck = \"id < 10\"\naction = \"quarantine\"\n";
    shell.define("tables/landing/notes.toml", format!("{}{strict}", shell::NOTES));
    shell.land("notes/a.json", "{\"id\":1}\n{\"id\":99}\n");
    assert_eq!(shell.run(&["sync"]).code, 0);
    shell.define("tables/landing/notes.toml", shell::NOTES);
    let replay = shell.run(&["quarantine", "replay", "notes", "--format", "json"]);
    let document = replay.json();
    assert_eq!((replay.code, replay.err.as_str()), (0, ""));
    assert_eq!((&document["report"], &document["table"]["rows_inserted"]), (&"replay/1".into(), &1.into()));
    let rows = shell.run(&["query", "select id from notes order by id", "--format", "csv"]);
    assert_eq!(rows.out, "id\n1\n99\n");
    assert_eq!(shell.run(&["quarantine", "ls", "notes"]).out, "Nothing is in quarantine.\n");
}

#[test]
fn options_of_every_verb_stand_before_or_after_it() {
    let shell = Shell::synced();
    let project = shell.project().display().to_string();
    let elsewhere = shell.folder();
    for args in [
        ["--project", &project, "--format", "json", "-t", "dev", "status"],
        ["status", "--project", &project, "--format", "json", "-t", "dev"],
        ["--project", &project, "status", "--target", "dev", "--format", "json"],
    ] {
        let ran = shell.run_in(&elsewhere, &[], &args);
        assert_eq!(ran.json()["tables"][1]["version"], 0, "{args:?}");
    }
}

#[test]
fn a_project_is_found_from_its_folders_and_its_roots_stay_its_own() {
    let shell = Shell::synced();
    let below = shell.project().join("tables/landing");
    let ran = shell.run_in(&below, &[], &["query", "select count(*) as n from people", "--format", "csv"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "n\n3\n"));
}

#[test]
fn roots_come_from_the_environment_unless_the_command_line_names_others() {
    let shell = Shell::synced();
    let other = shell.folder().join("elsewhere");
    std::fs::create_dir(&other).unwrap();
    let environment = [("STEDI_DELTA_LANDING", "l"), ("STEDI_DELTA_WAREHOUSE", other.to_str().unwrap())];
    let count = ["query", "select count(*) as n from people", "--format", "csv"];
    let project = shell.project();
    assert_eq!(shell.run_in(&project, &environment, &count).code, 1, "nothing is there yet");
    assert_eq!(shell.run_in(&project, &environment, &["sync"]).code, 0);
    assert!(other.join("landing/people/_delta_log").is_dir());
    let named = [&count[..], &["--warehouse", "w"]].concat();
    assert_eq!(shell.run_in(&project, &[("STEDI_DELTA_WAREHOUSE", "/nowhere")], &named).out, "n\n3\n");
    // CI systems set a variable to the empty string to leave it out.
    let empty = [("STEDI_DELTA_LANDING", ""), ("STEDI_DELTA_WAREHOUSE", ""), ("STEDI_DELTA_TARGET", "")];
    assert_eq!(shell.run_in(&project, &empty, &count).out, "n\n3\n");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let shell = Shell::synced();
    let mut child = shell.command(&shell.project(), &[], &["query", "select * from people"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn an_interruption_exits_130_and_says_what_holds() {
    let shell = Shell::synced();
    let endless = "with recursive n(i) as (select 1 union all select (i + 1) % 1000 from n) select count(*) from n";
    let child = shell.command(&shell.project(), &[], &["query", endless]).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let listens = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 1) != 0
    };
    while !listens() {
        std::thread::yield_now();
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "interrupted; commits already made stand, and the next sync continues from there\n"
    );
}

/// Whatever the work was doing: what it reports after the signal is an effect of it.
#[cfg(target_os = "linux")]
#[test]
fn a_stop_at_any_moment_of_a_sync_prints_its_own_message_only() {
    let message = "interrupted; commits already made stand, and the next sync continues from there\n";
    for round in 0..12 {
        let shell = Shell::shop();
        for file in 0..20 {
            let people: String = (0..2_000).map(|i| person(&format!("p{file}_{i}"), i, i % 3 > 0)).collect();
            shell.land(&format!("people/{file}.json"), &people);
        }
        let child = shell.command(&shell.project(), &[], &["sync"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100 + 50 * round));
        let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        // It may have been killed before it listened, or have ended.
        assert!(output.status.code() != Some(130) || err.ends_with(message), "{err}");
        assert!(!err.contains("error:"), "{err}");
    }
}

/// One record of a person.
pub(crate) fn person(name: &str, at: i64, shares: bool) -> String {
    let shares = if shares { "1" } else { "null" };
    format!("{{\"email\":\"{name}@example.com\",\"shares\":{shares},\"at\":{at}}}\n")
}
