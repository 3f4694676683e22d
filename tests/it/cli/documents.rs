//! `--format json`: one document per command, even if it fails, with the command's exit code.

use serde_json::Value;

use super::person;
use super::shell::{MEMBERS_SQL, NO_NOTES, Ran, Shell};

/// Keys of every table of a `sync/1`.
const TABLE_KEYS: [&str; 22] = [
    "table",
    "zone",
    "location",
    "version_before",
    "version_after",
    "mode",
    "reason",
    "rows_inserted",
    "rows_updated",
    "rows_deleted",
    "rows_quarantined",
    "files_read",
    "rows_read",
    "files_added",
    "files_removed",
    "bytes_read",
    "bytes_written",
    "seconds",
    "waiting",
    "warnings",
    "verified",
    "error",
];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A sync's document, after the checks that apply to each of them.
fn document(ran: &Ran) -> Value {
    let document = ran.json();
    assert_eq!(document["report"], "sync/1");
    assert_eq!(document["exit_code"], ran.code);
    let mut expected = TABLE_KEYS;
    expected.sort_unstable();
    for table in document["tables"].as_array().unwrap() {
        assert_eq!(keys(table), expected);
    }
    document
}

fn table<'d>(document: &'d Value, name: &str) -> &'d Value {
    let tables = document["tables"].as_array().unwrap();
    tables.iter().find(|t| t["table"] == name).unwrap_or_else(|| panic!("{name} is not in {document}"))
}

fn names(document: &Value) -> Vec<&str> {
    document["tables"].as_array().unwrap().iter().map(|t| t["table"].as_str().unwrap()).collect()
}

fn versions(document: &Value, name: &str) -> [Option<u64>; 2] {
    ["version_before", "version_after"].map(|key| table(document, name)[key].as_u64())
}

#[test]
fn a_sync_lists_landing_and_derived_tables_and_no_others() {
    let shell = Shell::shop();
    shell.land("people/a.json", &[person("ann", 1, true), "{\"email\":1}\n".into()].concat());
    let ran = shell.run(&["sync", "--format", "json"]);
    let first = document(&ran);
    assert_eq!((ran.code, names(&first)), (0, vec!["notes", "people", "members"]));
    assert!(ran.err.starts_with("\nwarning: 1 record of the record of consent could not land"), "{}", ran.err);
    let people = table(&first, "people");
    assert_eq!(people["mode"], "ingest");
    assert_eq!(people["zone"], "landing");
    assert_eq!(people["location"], "<folder>/project/w/landing/people");
    assert_eq!(versions(&first, "people"), [None, Some(0)]);
    assert_eq!([&people["rows_inserted"], &people["rows_quarantined"]], [1, 1]);
    let members = table(&first, "members");
    assert_eq!((&members["mode"], &members["reason"]), (&"full".into(), &"first build".into()));
    assert_eq!(first["totals"]["rows_inserted"], 2);
    assert_eq!(first["error"], Value::Null);
}

#[test]
fn a_table_with_nothing_to_do_is_listed_with_equal_versions() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("zoe", 1, true));
    let changed = document(&shell.run(&["sync", "--format", "json"]));
    assert_eq!(table(&changed, "members")["mode"], "incremental");
    assert_eq!(versions(&changed, "members"), [Some(0), Some(1)]);
    assert_eq!((versions(&changed, "notes"), &table(&changed, "notes")["mode"]), ([Some(0); 2], &"none".into()));
    let ran = shell.run(&["sync", "--format", "json"]);
    let quiet = document(&ran);
    assert_eq!((ran.code, ran.err.as_str()), (0, NO_NOTES));
    for name in ["notes", "people", "members"] {
        let [before, after] = versions(&quiet, name);
        assert_eq!((before, table(&quiet, name)["mode"].as_str()), (after, Some("none")), "{name}");
        assert!(after.is_some());
    }
}

#[test]
fn a_failed_table_exits_1_and_stands_where_it_stood_while_others_go_on() {
    let shell = Shell::synced();
    let sound = shell.definition("tables/landing/people.toml");
    let new = "at = { type = \"long\" }\nmore = { type = \"long\", nullable = false }";
    shell.define("tables/landing/people.toml", sound.replace("at = { type = \"long\" }", new));
    shell.define("tables/trusted/members.sql", "select email, shares from people where shares is not null");
    shell.land("notes/a.json", "{\"id\":1}");
    let ran = shell.run(&["sync", "--format", "json"]);
    let failed = document(&ran);
    assert_eq!(ran.code, 1);
    assert_eq!(table(&failed, "people")["error"]["kind"], "failed");
    assert_eq!(table(&failed, "members")["error"]["kind"], "skipped");
    assert_eq!(versions(&failed, "people"), [Some(0); 2]);
    assert_eq!(versions(&failed, "members"), [Some(0); 2]);
    assert_eq!(versions(&failed, "notes"), [Some(0), Some(1)]);
    let text = shell.run(&["sync"]);
    assert!(text.err.ends_with("meanwhile  1 table below it is behind: members\n"), "{}", text.err);
}

#[test]
fn a_file_that_is_left_out_exits_1_and_stops_nothing() {
    let shell = Shell::synced();
    shell.land("people/a.json", &person("another", 1, true));
    shell.land("people/b.json", &person("zoe", 1, true));
    let ran = shell.run(&["sync", "--format", "json"]);
    let document = ran.json();
    assert_eq!((ran.code, &document["exit_code"]), (1, &1.into()));
    let people = table(&document, "people");
    assert_eq!((&people["error"], &people["left_out"][0]["kind"]), (&Value::Null, &"failed".into()));
    assert_eq!([versions(&document, "people"), versions(&document, "members")], [[Some(0), Some(1)]; 2]);
    let text = shell.run(&["sync"]);
    assert_eq!(text.code, 1);
    assert_eq!(
        text.err.strip_prefix(NO_NOTES).unwrap(),
        "\nerror: 1 file of people changed after being ingested\n  \
         first      people/a.json\n  \
         expected   landing files are written once (`on_overwrite = \"fail\"`)\n  \
         meanwhile  the rows that landed stay, and the other files land\n  \
         next       stedi-delta sync --reload people:people/a.json   (swaps that file's rows)\n"
    );
    // What stands before it says the same; the tables below are at the cut.
    let left_out = "left out: 1 file of people changed after being ingested";
    let (plan, status) = (shell.run(&["plan"]), shell.run(&["status"]));
    assert_eq!((plan.code, status.code), (1, 0));
    let line = |text: &str, name: &str| text.lines().find(|line| line.contains(name)).unwrap().trim_end().to_owned();
    let unwrapped = plan.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unwrapped.contains(&format!("people v1 up to date; {left_out}")), "{}", plan.out);
    assert!(line(&status.out, "people").ends_with(left_out), "{}", status.out);
    for out in [&plan.out, &status.out] {
        assert!(line(out, "members").ends_with("up to date"), "{out}");
    }
    assert_eq!(plan.err, text.err);
    let (plan, status) =
        (shell.run(&["plan", "--format", "json"]).json(), shell.run(&["status", "--format", "json"]).json());
    assert_eq!(plan["exit_code"], 1);
    assert_eq!(table(&plan, "people")["left_out"], people["left_out"]);
    assert_eq!(table(&status, "people")["left_out"], people["left_out"][0]["message"]);
    assert_eq!(table(&status, "members")["up_to_date"], true);
    assert_eq!(shell.run(&["sync", "--reload", "people:people/a.json"]).code, 0);
    assert_eq!(shell.run(&["plan"]).code, 0);
}

#[test]
fn missing_consent_exits_3_before_anything_else_and_names_nobody() {
    let shell = Shell::synced();
    shell.define("tables/trusted/members.sql", "select email, at from people");
    let ran = shell.run(&["sync", "--format", "json"]);
    let stopped = document(&ran);
    assert_eq!((ran.code, &table(&stopped, "members")["error"]["kind"]), (3, &"evidence".into()));
    assert_eq!(versions(&stopped, "members"), [Some(0); 2]);
    let text = shell.run(&["sync"]);
    assert_eq!(
        text.err.strip_prefix(NO_NOTES).unwrap(),
        "\nerror: members would hold rows of 1 person who has not consented\n  \
         table      members (v0, unchanged)\n  \
         rows       1, subject column `email`\n  \
         first      c247…8b16 (hashed with STEDI_DELTA_HASH_KEY; --reveal to print)\n  \
         because    the query keeps rows that `people` does not grant\n  \
         next       tables/trusted/members.sql: filter by consent, then sync again\n"
    );
    // Evidence precedes failure.
    shell.land("notes/a.json", "{\"id\":1}");
    assert_eq!(shell.run(&["sync"]).code, 3);
    shell.land("notes/a.json", "{\"id\":2222}");
    assert_eq!(shell.run(&["sync"]).code, 3);
    shell.define("tables/trusted/members.sql", MEMBERS_SQL);
    assert_eq!(shell.run(&["sync"]).code, 1);
    for args in
        [&["sync"][..], &["sync", "--format", "json"], &["status"], &["history", "members"], &["quarantine", "ls"]]
    {
        let ran = shell.run(args);
        assert!(!format!("{}{}", ran.out, ran.err).contains("example.com"), "{args:?}: {}{}", ran.out, ran.err);
    }
    shell.define("tables/trusted/members.sql", "select email, at from people");
    let revealed = shell.run(&["sync", "--reveal"]);
    assert!(revealed.err.contains("  first      bob@example.com\n"), "{}", revealed.err);
}

#[test]
fn rows_that_were_refused_leave_no_file_behind() {
    let shell = Shell::shop();
    shell.land("people/a.json", &person("bob", 1, false));
    shell.define("tables/trusted/members.sql", "select email, at from people");
    assert_eq!(shell.run(&["sync"]).code, 3);
    let left: Vec<_> =
        shell.warehouse().into_iter().filter(|(path, ..)| path.to_string_lossy().contains("trusted")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_failed_expectation_exits_3() {
    let shell = Shell::synced();
    let expectation = "description = \"x\"\n[consent]\nsubject = \"email\"\n[[expectations]]\n\
                       name = \"recent\"\ncheck = \"at < 5\"\naction = \"fail\"\n";
    shell.define("tables/trusted/members.toml", expectation);
    assert_eq!(shell.run(&["sync"]).code, 0);
    shell.land("people/b.json", &person("ann", 9, true));
    let ran = shell.run(&["sync", "--format", "json"]);
    assert_eq!((ran.code, &table(&document(&ran), "members")["error"]["kind"]), (3, &"evidence".into()));
    assert!(ran.err.contains("error: expectation `recent` of members is not met by 1 new row\n"), "{}", ran.err);
}

#[test]
fn a_writer_that_is_always_faster_exits_4() {
    let shell = Shell::synced();
    // The path of the next commit is taken by an object that no listing shows as a commit.
    let taken = "w/landing/people/_delta_log/00000000000000000001.json/x";
    shell.define(taken, "");
    shell.land("people/b.json", &person("zoe", 1, true));
    let ran = shell.run(&["sync", "--format", "json"]);
    let conflict = document(&ran);
    assert_eq!((ran.code, &conflict["error"]["kind"]), (4, &"conflict".into()));
    assert_eq!(names(&conflict), ["notes", "people", "members"]);
    assert_eq!(versions(&conflict, "people"), [Some(0); 2]);
    std::fs::remove_dir_all(shell.project().join(taken).parent().unwrap()).unwrap();
    let after = shell.run(&["sync", "--format", "json"]);
    assert_eq!((after.code, versions(&document(&after), "people")), (0, [Some(0), Some(1)]));
}

#[test]
fn a_project_with_faults_still_gets_a_document_and_a_wrong_command_line_none() {
    let shell = Shell::shop();
    for args in [
        &["sync", "--select", "memberz", "--format", "json"][..],
        &["sync", "--reload", "members", "--format", "json"],
        &["sync", "-t", "prod", "--format", "json"],
        &["sync", "--frobnicate", "--format", "json"],
        &["history", "memberz", "--format", "json"],
    ] {
        let ran = shell.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{args:?}");
    }
    shell.define("tables/trusted/members.sql", "select email from peeple");
    for (verb, report) in [("sync", "sync/1"), ("status", "status/1"), ("check", "check/1")] {
        let ran = shell.run(&[verb, "--format", "json"]);
        let document = ran.json();
        assert_eq!((&document["report"], &document["exit_code"], ran.code), (&report.into(), &1.into(), 1));
    }
    assert!(shell.warehouse().is_empty());
}

#[test]
fn a_status_changes_nothing_and_says_what_a_sync_would_do() {
    let shell = Shell::shop();
    let empty = shell.run(&["status", "--format", "json"]).json();
    assert_eq!((&empty["report"], &empty["exit_code"]), (&"status/1".into(), &0.into()));
    assert_eq!(table(&empty, "people")["version"], Value::Null);
    assert!(!shell.project().join("w").exists());
    shell.land("people/a.json", &person("ann", 1, true));
    assert_eq!(table(&shell.run(&["status", "--format", "json"]).json(), "people")["pending"][0], "1 new file");
    shell.run(&["sync"]);
    let before = shell.warehouse();
    let status = shell.run(&["status", "--format", "json"]).json();
    assert_eq!(names(&status), ["notes", "people", "members"]);
    let expected = [
        "behind",
        "bytes",
        "committed_at",
        "files",
        "left_out",
        "location",
        "pending",
        "personal_log_entries",
        "problem",
        "quarantine",
        "rows",
        "rows_in_quarantine",
        "table",
        "up_to_date",
        "version",
        "zone",
    ];
    assert_eq!(keys(table(&status, "members")), expected);
    assert!(status["tables"].as_array().unwrap().iter().all(|t| t["up_to_date"] == true), "{status}");
    shell.land("people/b.json", &person("zoe", 1, true));
    let status = shell.run(&["status", "--format", "json"]).json();
    assert_eq!(
        (&table(&status, "people")["up_to_date"], &table(&status, "members")["behind"][0]),
        (&false.into(), &"people".into())
    );
    let text = shell.run(&["status"]);
    assert!(text.out.ends_with("\n\n2 of 3 tables are behind.\n"), "{}", text.out);
    assert_eq!((text.code, text.err.as_str()), (0, "Next: stedi-delta sync\n"));
    assert_eq!(shell.warehouse(), before);
}
