//! `--log-format json`: standard error for machines, and the page on running unattended.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use stedi_delta::progress::EVENTS;

use super::person;
use super::shell::{MEMBERS_SQL, Ran, Shell};
use crate::support::repository;

/// The keys with which every line begins.
const FIXED: [&str; 6] = ["time", "level", "event", "run", "project", "target"];

/// Standard error, after the checks that apply to each of its lines.
fn lines(ran: &Ran) -> Vec<Value> {
    assert!(ran.err.is_empty() || ran.err.ends_with('\n'), "{}", ran.err);
    let lines: Vec<Value> = ran.err.lines().map(line).collect();
    let runs: BTreeSet<&str> = lines.iter().filter_map(|l| l["run"].as_str()).collect();
    assert!(runs.len() <= 1, "one run: {}", ran.err);
    lines
}

fn line(text: &str) -> Value {
    let line: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let mut rest = text;
    for key in FIXED {
        let at = rest.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} is not in its place: {text}"));
        rest = &rest[at..];
    }
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{text}");
    assert!(["debug", "info", "warn", "error"].contains(&line["level"].as_str().unwrap()), "{text}");
    assert_eq!(line["run"].as_str().unwrap().len(), 32, "{text}");
    let known = EVENTS.iter().find(|(name, _)| line["event"] == **name).unwrap_or_else(|| panic!("{text}")).1;
    for key in line.as_object().unwrap().keys().filter(|key| !FIXED.contains(&key.as_str())) {
        assert!(known.contains(&key.as_str()), "{key} is not a documented field: {text}");
    }
    assert!(!text.contains("example.com"), "{text}");
    line
}

/// The names of the events, those of a table followed by its name.
fn names(lines: &[Value]) -> Vec<String> {
    let name = |line: &Value| {
        let event = line["event"].as_str().unwrap();
        line["table"].as_str().map_or_else(|| event.to_owned(), |table| format!("{event} {table}"))
    };
    lines.iter().map(name).collect()
}

fn of<'l>(lines: &'l [Value], event: &str, table: &str) -> &'l Value {
    let found = lines.iter().find(|l| l["event"] == event && (table.is_empty() || l["table"] == table));
    found.unwrap_or_else(|| panic!("no {event} {table} in {lines:?}"))
}

/// The output of the program for a sync of the current project.
fn synced(shell: &Shell) -> (Ran, Vec<Value>) {
    let ran = shell.run(&["sync", "--format", "json", "--log-format", "json"]);
    let lines = lines(&ran);
    assert_eq!((lines[0]["event"].as_str(), &lines[0]["verb"]), (Some("run.started"), &"sync".into()));
    let last = lines.last().unwrap();
    assert_eq!((last["event"].as_str(), &last["exit_code"]), (Some("run.finished"), &ran.code.into()));
    (ran, lines)
}

#[test]
fn a_sync_tells_what_becomes_of_each_table_under_one_run_id() {
    let shell = Shell::shop();
    shell.land("people/a.json", &[person("ann", 1, true), person("bob", 1, false)].concat());
    let (ran, lines) = synced(&shell);
    assert_eq!(ran.code, 0);
    let told = names(&lines);
    let people: Vec<&str> = told.iter().map(String::as_str).filter(|name| name.ends_with(" people")).collect();
    assert_eq!(people[..3], ["table.started people", "files.found people", "table.committed people"]);
    let members: Vec<&str> = told.iter().map(String::as_str).filter(|name| name.ends_with(" members")).collect();
    assert_eq!(members[..2], ["table.started members", "table.committed members"]);
    let place = |name: &str| told.iter().position(|n| n == name);
    assert!(place("table.committed people") < place("table.started members"), "{told:?}");
    let found = of(&lines, "files.found", "people");
    assert_eq!([&found["new"], &found["replaced"], &found["waiting"]], [1, 0, 0]);
    let committed = of(&lines, "table.committed", "people");
    let document = ran.json();
    for (key, value) in document["tables"][1].as_object().unwrap() {
        if !["location", "waiting", "warnings", "verified", "error"].contains(&key.as_str()) {
            assert_eq!(&committed[key], value, "{key}");
        }
    }
    let last = lines.last().unwrap();
    for (key, value) in document["totals"].as_object().unwrap() {
        assert!(last[key] == *value || ["files_added", "files_removed"].contains(&key.as_str()), "{key}: {last}");
    }
    for line in &lines {
        assert_eq!((&line["project"], &line["target"]), (&"shop".into(), &"dev".into()));
    }
    let run = document["run"].as_str().unwrap();
    assert!(lines.iter().all(|l| l["run"] == run));
    assert_eq!(shell.run(&["query", "select run from runs", "--format", "csv"]).out, format!("run\n{run}\n"));
    assert!(shell.run(&["history", "members"]).out.contains(run));
}

#[test]
fn a_sync_with_nothing_to_do_says_so_of_every_table() {
    let shell = Shell::synced();
    let (ran, lines) = synced(&shell);
    assert_eq!(ran.code, 0);
    let unchanged = names(&lines).iter().filter(|name| name.starts_with("table.unchanged ")).count();
    assert_eq!(unchanged, 3, "{lines:?}");
    assert_eq!(of(&lines, "table.unchanged", "people")["version"], 0);
    assert_eq!(of(&lines, "files.found", "people")["new"], 0);
}

/// Documents and events of a sync that compares only its inputs, without what differs from run to run.
#[test]
fn a_sync_that_opens_no_table_says_the_same() {
    let shell = Shell::synced();
    shell.land("notes/a.json", "{\"id\":1}\n");
    shell.run(&["sync"]).fine();
    let mut said = Vec::new();
    for _ in 0..5 {
        let (ran, mut lines) = synced(&shell);
        let mut document = ran.json();
        for key in ["run", "started_at", "seconds"] {
            document[key].take();
        }
        document["tables"].as_array_mut().unwrap().iter_mut().for_each(|table| drop(table["seconds"].take()));
        for line in &mut lines {
            for key in ["time", "run", "seconds"] {
                line.as_object_mut().unwrap().remove(key);
            }
        }
        let mut events: Vec<String> = lines.iter().map(Value::to_string).collect();
        events.sort();
        said.push((document.to_string(), events, ran.code));
    }
    for other in &said[1..] {
        assert_eq!(other, &said[0]);
    }
    let caches = shell.folder().join("caches/stedi-delta/unchanged");
    let cached = fs::read_to_string(fs::read_dir(caches).unwrap().next().unwrap().unwrap().path()).unwrap();
    assert!(cached.contains("\"is_confirmed\":true") && !cached.contains("example.com"), "{cached}");
}

#[test]
fn quarantined_records_are_told_when_they_are_and_warned_about() {
    let shell = Shell::synced();
    shell.land("notes/a.json", "{\"id\":1}\n{\"id\":\"ann@example.com\"}\n{\"id\"");
    let (ran, lines) = synced(&shell);
    assert_eq!(ran.code, 0);
    let grew = of(&lines, "quarantine.grew", "notes");
    assert_eq!((&grew["rows"], &grew["level"]), (&2.into(), &"warn".into()));
    let warning = of(&lines, "warning", "notes");
    assert_eq!((&warning["message"], &warning["level"]), (&"2 records could not land".into(), &"warn".into()));
    assert_eq!(warning["details"].as_array().unwrap().len(), 2);
    assert_eq!(warning["help"], "see them: stedi-delta quarantine ls notes");
    assert_eq!(lines.last().unwrap()["rows_quarantined"], 2);
    let replay = shell.run(&["quarantine", "replay", "notes", "--log-format", "json"]);
    let told = self::lines(&replay);
    assert_eq!(names(&told), ["run.started", "warning notes", "run.finished"]);
    assert!(told.iter().all(|l| l["verb"] == "quarantine replay"), "{}", replay.err);
}

#[test]
fn a_withdrawal_is_counted() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("ann", 2, false));
    let (ran, lines) = synced(&shell);
    assert_eq!(ran.code, 0);
    let ended = of(&lines, "consent.ended", "");
    assert_eq!([&ended["persons"], &ended["tables"]], [1, 1]);
    assert_eq!(of(&lines, "table.committed", "members")["rows_deleted"], 1);
}

#[test]
fn a_failed_table_is_told_at_once_and_explained_at_the_end() {
    let shell = Shell::synced();
    let sound = shell.definition("tables/landing/people.toml");
    shell.define(
        "tables/landing/people.toml",
        sound.replace(
            "at = { type = \"long\" }",
            "at = { type = \"long\" }\nmore = { type = \"long\", nullable = false }",
        ),
    );
    let (ran, lines) = synced(&shell);
    assert_eq!(ran.code, 1);
    let failed = of(&lines, "table.failed", "people");
    assert!(failed["message"].as_str().unwrap().contains("people"), "{failed}");
    assert_eq!((&failed["kind"], &failed["level"]), (&"failed".into(), &"error".into()));
    assert_eq!(of(&lines, "table.skipped", "members")["because"], "people");
    let error = of(&lines, "error", "people");
    let mut document = ran.json()["tables"][1]["error"].clone();
    document.as_object_mut().unwrap().remove("faults");
    for (key, value) in document.as_object().unwrap() {
        assert_eq!(&error[key], value, "{key}");
    }
    let last = lines.last().unwrap();
    assert_eq!([&last["tables_failed"], &last["tables_skipped"]], [1, 1]);
}

#[test]
fn missing_consent_is_evidence_and_exits_3() {
    let shell = Shell::synced();
    shell.define("tables/trusted/members.sql", "select email, at from people");
    let (ran, lines) = synced(&shell);
    assert_eq!(ran.code, 3);
    assert_eq!(of(&lines, "table.failed", "members")["kind"], "evidence");
    assert_eq!(of(&lines, "error", "members")["kind"], "evidence");
    shell.define("tables/trusted/members.sql", MEMBERS_SQL);
    assert_eq!(synced(&shell).0.code, 0);
}

#[test]
fn attempts_after_a_conflict_are_told_until_it_is_given_up() {
    let shell = Shell::synced();
    shell.define("w/landing/people/_delta_log/00000000000000000001.json/x", "");
    shell.land("people/b.json", &person("zoe", 1, true));
    let (ran, lines) = synced(&shell);
    assert_eq!(ran.code, 4);
    let attempts: Vec<&Value> = lines.iter().filter(|l| l["event"] == "run.retried").map(|l| &l["attempt"]).collect();
    assert_eq!(attempts, [2, 3, 4]);
    assert!(!names(&lines).iter().any(|name| name.starts_with("table.failed")), "{}", ran.err);
    assert_eq!(of(&lines, "error", "")["kind"], "conflict");
}

#[test]
fn every_fault_of_the_project_is_one_error_at_its_place() {
    let shell = Shell::shop();
    shell.define("tables/trusted/members.sql", "select email, at\nfrom peeple\n");
    shell.define("tables/landing/broken.toml", "a = [\n");
    for verb in ["check", "sync", "status"] {
        let ran = shell.run(&[verb, "--log-format", "json"]);
        let lines = lines(&ran);
        assert_eq!(
            (ran.code, names(&lines)),
            (1, ["run.started", "error", "error", "run.finished"].map(str::to_owned).to_vec())
        );
        let at = |line: &Value| format!("{}:{}:{}", line["file"].as_str().unwrap(), line["line"], line["column"]);
        assert_eq!(at(&lines[1]), "tables/landing/broken.toml:1:6");
        assert_eq!(at(&lines[2]), "tables/trusted/members.sql:2:6");
        assert_eq!(
            (&lines[2]["message"], &lines[2]["kind"]),
            (&"table `peeple` is not in this project".into(), &"definition".into())
        );
    }
}

#[test]
fn a_wrong_command_line_is_one_error_where_json_is_asked_for() {
    let shell = Shell::shop();
    for args in [&["sync", "--frobnicate", "--log-format", "json"][..], &["synk", "--log-format=json"]] {
        let ran = shell.run(args);
        let lines = lines(&ran);
        assert_eq!((ran.code, lines.len(), &lines[0]["kind"]), (64, 1, &"usage".into()), "{}", ran.err);
    }
    let json = [("STEDI_DELTA_LOG_FORMAT", "json")];
    let ran = shell.run_in(&shell.project(), &json, &["history"]);
    assert_eq!(lines(&ran)[0]["message"], "the following required arguments were not provided: <TABLE>");
    let ran = shell.run_in(&shell.project(), &json, &["sync", "--frobnicate", "--log-format", "text"]);
    assert!(ran.err.starts_with("error: unexpected argument"), "{}", ran.err);
    let ran = shell.run(&["sync", "--select", "memberz", "--log-format", "json"]);
    let told = lines(&ran);
    assert_eq!((ran.code, names(&told)), (64, ["run.started", "error", "run.finished"].map(str::to_owned).to_vec()));
    assert_eq!(told[1]["help"], "did you mean `members`?");
}

#[test]
fn the_answer_is_the_same_whatever_the_log_format() {
    let shell = Shell::synced();
    shell.land("notes/a.json", "{\"id\":1}\n{\"id\":\"two\"}\n");
    shell.run(&["sync"]);
    let asked: [&[&str]; 9] = [
        &["check"],
        &["check", "--format", "json"],
        &["status"],
        &["status", "--format", "json"],
        &["history", "members"],
        &["query", "select * from people order by email"],
        &["query", "select nosuch from people"],
        &["quarantine", "ls", "--format", "ndjson"],
        &["--help"],
    ];
    for args in asked {
        let text = shell.run(args);
        let empty = shell.run_in(&shell.project(), &[("STEDI_DELTA_LOG_FORMAT", "")], args);
        let json = shell.run_in(&shell.project(), &[("STEDI_DELTA_LOG_FORMAT", "json")], args);
        assert_eq!((text.code, &text.out), (json.code, &json.out), "{args:?}");
        assert_eq!((&text.err, &text.out), (&empty.err, &empty.out), "{args:?}");
        let lines = lines(&json);
        let ends = (lines.first().map(|l| &l["event"]), lines.last().map(|l| &l["event"]));
        let whole = (Some(&Value::from("run.started")), Some(&Value::from("run.finished")));
        assert!(ends == whole || args == ["--help"], "{args:?}: {}", json.err);
    }
    let told = lines(&shell.run(&["query", "select 1", "--log-format", "json"]));
    assert_eq!(names(&told), ["run.started", "run.finished"], "hints and counts are for people");
}

#[test]
fn fewer_or_more_events_are_written_on_request() {
    let shell = Shell::synced();
    shell.land("notes/a.json", "{\"id\":\"two\"}\n");
    let quiet = shell.run(&["sync", "-q", "--log-format", "json"]);
    assert!(lines(&quiet).iter().all(|l| l["level"] == "warn"), "{}", quiet.err);
    assert_eq!(names(&lines(&quiet)), ["quarantine.grew notes", "warning notes", "warning notes"]);
    shell.land("notes/b.json", "{\"id\":\"two\"}\n");
    let plain = shell.run(&["sync"]);
    shell.land("notes/c.json", "{\"id\":\"two\"}\n");
    let verbose = shell.run(&["sync", "-v"]);
    let (events, others): (Vec<&str>, Vec<&str>) = verbose.err.lines().partition(|line| line.contains("Z run 0"));
    assert!(events[0].contains(" run.started verb=sync version="), "{}", verbose.err);
    assert!(events.iter().any(|line| line.contains(" quarantine.grew table=notes rows=1")), "{}", verbose.err);
    assert_eq!(others.join("\n").replace("c.json", "b.json"), plain.err.trim_end(), "the text stays as it is");
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_that_is_stopped_says_so_and_ends_with_the_usual_line() {
    for (signal, number) in [("-INT", 2), ("-TERM", 15)] {
        let shell = Shell::synced();
        let endless = "with recursive n(i) as (select 1 union all select (i + 1) % 1000 from n) select count(*) from n";
        let args = ["query", endless, "--log-format", "json"];
        let mut child = shell.command(&shell.project(), &[], &args).spawn().unwrap();
        // The first line is written once the project is read.
        let mut first = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.as_mut().unwrap()), &mut first).unwrap();
        assert_eq!(line(&first)["event"], "run.started");
        let status = format!("/proc/{}/status", child.id());
        let listens = || {
            let text = std::fs::read_to_string(&status).unwrap();
            let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (number - 1)) != 0
        };
        while !listens() {
            std::thread::yield_now();
        }
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}");
        let text = String::from_utf8(output.stderr).unwrap();
        let rest: Vec<Value> = text.lines().map(line).collect();
        assert_eq!(names(&rest), ["run.interrupted", "run.finished"], "{text}");
        assert_eq!(rest[1]["exit_code"], 130);
    }
}

fn page() -> String {
    std::fs::read_to_string(repository().join("docs/unattended.md")).unwrap()
}

/// Code blocks of the page in a language.
fn blocks(language: &str) -> Vec<String> {
    let page = page();
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix(&format!("{language}\n"))).map(str::to_owned).collect()
}

#[test]
fn the_page_explains_every_event_and_no_other() {
    let page = page();
    let table = page.split("| event | level | fields |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().filter(|l| l.starts_with("| `")).map(|l| l.split('|').map(str::trim).collect()).collect();
    let explained: Vec<&str> = rows.iter().map(|row| row[1].trim_matches('`')).collect();
    let expected: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(explained, expected);
    for ((name, fields), row) in EVENTS.iter().zip(&rows) {
        for field in *fields {
            assert!(row[3].contains(&format!("`{field}`")), "{field} of {name} is not explained: {}", row[3]);
        }
    }
}

#[test]
fn the_json_of_the_page_is_json_and_its_state_machine_is_whole() {
    let documents: Vec<Value> = blocks("json").iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert!(documents.len() >= 3, "a line, a task and a state machine");
    let machine = documents.iter().find(|d| !d["StartAt"].is_null()).unwrap();
    let states = machine["States"].as_object().unwrap();
    let exists = |name: &Value| assert!(states.contains_key(name.as_str().unwrap()), "no state {name}");
    exists(&machine["StartAt"]);
    for state in states.values() {
        let choices = state["Choices"].as_array().into_iter().flatten();
        let catches = state["Catch"].as_array().into_iter().flatten();
        choices.chain(catches).for_each(|next| exists(&next["Next"]));
        ["Next", "Default"].iter().filter(|key| !state[**key].is_null()).for_each(|key| exists(&state[*key]));
        assert!(["Succeed", "Fail", "Choice"].contains(&state["Type"].as_str().unwrap()) || !state["Next"].is_null());
    }
    let text = machine.to_string();
    assert!(text.contains("\"Retry\"") && text.contains("\"Catch\""));
    let task = documents.iter().find(|d| !d["containerDefinitions"].is_null()).unwrap();
    assert_eq!(task["containerDefinitions"][0]["logConfiguration"]["logDriver"], "awslogs");
    for line in blocks("json").iter().filter(|text| text.starts_with("{\"time\"")) {
        line.lines().for_each(|text| drop(self::line(text)));
    }
}

#[test]
fn the_queries_of_the_page_ask_for_events_and_fields_that_there_are() {
    let names: BTreeSet<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
    let known: BTreeSet<&str> = EVENTS.iter().flat_map(|(_, fields)| fields.iter().copied()).chain(FIXED).collect();
    let queries = blocks("text");
    assert!(queries.len() >= 5);
    for query in queries {
        for quoted in query.split("event = \"").skip(1) {
            assert!(names.contains(quoted.split('"').next().unwrap()), "{query}");
        }
        for list in query.lines().filter_map(|line| line.trim_start_matches("| ").strip_prefix("fields ")) {
            for field in list.split(", ").filter(|field| *field != "@timestamp") {
                assert!(known.contains(field), "{field}: {query}");
            }
        }
    }
}
