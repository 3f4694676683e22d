//! Messages of the engine about a computation that fails on personal data.

use std::fs;
use std::path::Path;

use super::shell::{Ran, Shell};

const WHO: &str = "secret.person@example.org";
const NUMBER: &str = "4711999";

/// A project of one landing table of personal data and tables computed from it.
fn shell(expectation: &str, sql: &str, about: &str, classification: &str) -> Shell {
    let shell = Shell::shop();
    for file in ["landing/people.toml", "landing/notes.toml", "trusted/members.toml", "trusted/members.sql"] {
        fs::remove_file(shell.project().join("tables").join(file)).unwrap();
    }
    let personal = |of_type| format!("{{ type = \"{of_type}\"{classification} }}");
    let visits = format!(
        "description = \"Visits\"\n[source]\npath = \"visits/*.json\"\nformat = \"json\"\n[columns]\nwho = {}\n\
         number = {}\n{expectation}",
        personal("string"),
        personal("long")
    );
    shell.define("tables/landing/visits.toml", visits);
    shell.define("tables/trusted/seen.toml", format!("description = \"Seen\"\n{about}"));
    shell.define("tables/trusted/seen.sql", sql);
    shell
}

fn record(who: &str, number: &str) -> String {
    format!("{{\"who\":\"{who}\",\"number\":{number}}}\n")
}

fn expectation(check: &str, action: &str) -> String {
    format!("[[expectations]]\nname = \"ok\"\ncheck = \"{check}\"\naction = \"{action}\"\n")
}

fn assert_silent(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert!(!text.contains("secret") && !text.contains(NUMBER), "{text}");
    }
}

/// Checks that the records of runs and the `commitInfo` of commits contain no personal data.
fn assert_unwritten(folder: &Path, is_of_runs: bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            assert_unwritten(&path, is_of_runs || path.ends_with("system/runs"));
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        // Statistics of data files are data, and the ledger has those of open batches.
        let said = text.lines().filter(|line| is_of_runs || line.starts_with("{\"commitInfo\""));
        for line in said {
            assert!(!line.contains("secret") && !line.contains(NUMBER), "{}: {line}", path.display());
        }
    }
}

const PII: &str = ", classification = \"pii\"";

#[test]
fn values_of_personal_data_are_in_no_message_where_computing_fails() {
    let plain = "select who, number from visits";
    for (landing, sql, about, told) in [
        ("", "select cast(who as bigint) as n from visits", "", "Cannot cast string '…' to value of Int64 type"),
        ("", "select cast(who as date) as n from visits", "", "Cannot cast string '…' to value of Date32 type"),
        ("", "select cast(number * 1000000 as int) as n from visits", "", "Can't cast value … to type Int32"),
        ("", "select cast(number as decimal(4, 2)) as n from visits", "", "… is too large to store in a Decimal128"),
        ("", "select regexp_replace('x', '(' || who, 'y') as n from visits", "", "regex parse error:"),
        ("", plain, &expectation("cast(who as bigint) < 5", "warn"), "Cannot cast string '…' to value of Int64 type"),
        (&expectation("cast(who as bigint) < 5", "quarantine"), plain, "", "Cannot cast string '…' to value of Int64"),
    ] {
        let shell = shell(landing, sql, about, PII);
        shell.land("visits/a.json", &(record(WHO, NUMBER) + &record(WHO, NUMBER)));
        let at_once = shell.run(&["sync"]);
        assert_eq!(at_once.code, 1, "{sql}");
        assert!(at_once.err.contains(told), "{sql}: {}", at_once.err);
        assert!(
            at_once.err.contains("next       `…` replaces values that may be personal data; --reveal to print them")
        );
        assert_silent(&at_once);
        for args in [
            &["sync", "--format", "json"][..],
            &["sync", "--full-refresh", "-s", "seen"],
            &["sync", "--log-format", "json", "--verbose"],
            &["sync", "--verify"],
            &["status"],
            &["plan", "--format", "json"],
            &["plan", "--rows"],
            &["plan", "--rows", "--format", "json"],
        ] {
            assert_silent(&shell.run(args));
        }
        assert_unwritten(&shell.project().join("w"), false);
        let revealed = shell.run(&["sync", "--reveal"]);
        assert!(revealed.err.contains("secret") || revealed.err.contains(NUMBER), "{}", revealed.err);
    }
}

#[test]
fn a_change_that_cannot_be_computed_tells_no_values_either() {
    let shell = shell("", "select cast(who as bigint) as n, count(*) as c from visits group by 1", "", PII);
    shell.land("visits/a.json", &(record("1", "1") + &record("2", "2")));
    assert_eq!(shell.run(&["sync"]).code, 0);
    shell.land("visits/b.json", &record(WHO, NUMBER));
    let ran = shell.run(&["sync"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("Cannot cast string '…' to value of Int64 type"), "{}", ran.err);
    assert_silent(&ran);
    assert_unwritten(&shell.project().join("w"), false);
}

#[test]
fn values_are_told_where_a_project_has_no_personal_data() {
    let shell = shell("", "select cast(who as bigint) as n from visits", "", "");
    shell.land("visits/a.json", &record("n/a", "1"));
    let ran = shell.run(&["sync"]);
    assert!(ran.err.contains("Cannot cast string 'n/a' to value of Int64 type"), "{}", ran.err);
}
