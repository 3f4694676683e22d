//! How wide texts are, how many rows are shown, notes by rule, and who is told of a run.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use super::person;
use super::shell::{MEMBERS_SQL, Shell};

const WIDE: &str = "select email, at, email || ' has written this long remark on the thirtieth of the month' as remark, \
                    1 as n from members order by email";

fn at_80(shell: &Shell, args: &[&str]) -> super::shell::Ran {
    shell.run_in(&shell.project(), &[("COLUMNS", "80")], args)
}

#[test]
fn eighty_columns_suffice_for_every_answer() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("ann", 2, false));
    shell.land("notes/a_file_with_quite_a_long_name_that_is_wrong.json", "{\"id\":\"two\"}\n");
    for args in [
        vec!["plan"],
        vec!["plan", "--rows"],
        vec!["sync"],
        vec!["sync"],
        vec!["status"],
        vec!["history", "members", "--all"],
        vec!["describe", "people"],
        vec!["show", "people"],
        vec!["query", WIDE],
        vec!["query", "select * from files"],
        vec!["query", "select * from runs"],
        vec!["quarantine", "ls"],
        vec!["diff", "members", "--from", "v0", "--to", "v1"],
        vec!["lineage", "members"],
        vec!["audit", "consent", "--all-versions"],
        vec!["audit", "verify", "--lake"],
        vec!["catalog", "check"],
        vec!["migrate", "status"],
        vec!["pin", "members", "--name", "a_pin_with_a_name_that_says_a_lot_of_things"],
        vec!["pins"],
        vec!["check"],
    ] {
        for color in ["never", "always"] {
            let ran = at_80(&shell, &[&args[..], &["--color", color]].concat());
            let plain = uncoloured(&ran.out);
            let long: Vec<&str> = plain.lines().filter(|line| line.chars().count() > 80).collect();
            // A path or an address has no blank at which it could go on below.
            let long: Vec<&&str> =
                long.iter().filter(|line| line.split_whitespace().all(|word| word.len() < 40)).collect();
            assert_eq!(long, Vec::<&&str>::new(), "{args:?}\n{}\n{}", ran.out, ran.err);
        }
    }
}

fn uncoloured(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn a_status_leaves_out_what_has_no_room() {
    let shell = Shell::synced();
    let status = at_80(&shell, &["status"]).out;
    let lines: Vec<&str> = status.lines().skip_while(|line| !line.starts_with("landing")).collect();
    assert_eq!(
        lines.join("\n"),
        "landing   notes      v0   0 rows   up to date\n          \
         people     v0   3 rows   up to date\n\
         trusted   members    v0   2 rows   up to date\n\n\
         3 tables are up to date."
    );
    let wide = at_80(&shell, &["status", "--wide"]).out;
    assert_eq!(wide, shell.run(&["status"]).out);
    assert!(wide.contains("1 file"), "{wide}");
}

#[test]
fn rows_are_cut_and_columns_left_out_by_name() {
    let shell = Shell::synced();
    let expected = "\
+-----------------+----+---------------------------------------------------+---+
| email           | at | remark                                            | n |
+-----------------+----+---------------------------------------------------+---+
| ann@example.com | 1  | ann@example.com has written this long remark on … | 1 |
| eve@example.com | 1  | eve@example.com has written this long remark on … | 1 |
+-----------------+----+---------------------------------------------------+---+
";
    assert_eq!(at_80(&shell, &["query", WIDE]).out, expected);
    let many = "select 1 as a_long_name_1, 2 as a_long_name_2, 3 as a_long_name_3, 4 as a_long_name_4";
    let narrow = shell.run_in(&shell.project(), &[("COLUMNS", "34")], &["query", many]).out;
    let expected = "\
+----------+----------+----------+
| a_long_… | a_long_… | a_long_… |
+----------+----------+----------+
| 1        | 2        | 3        |
+----------+----------+----------+
1 column not shown, --wide shows
  all: a_long_name_4
";
    assert_eq!(narrow, expected);
    let csv = shell.run_in(&shell.project(), &[("COLUMNS", "34")], &["query", many, "--format", "csv"]).out;
    assert_eq!(csv, "a_long_name_1,a_long_name_2,a_long_name_3,a_long_name_4\n1,2,3,4\n");
}

#[test]
fn a_query_comes_from_a_file_or_standard_input() {
    let shell = Shell::synced();
    let sql = "\u{feff}-- all of them\nselect count(*), max(at)  from members;\n";
    shell.define("count.sql", sql);
    let expected = "count(*),max(at)\n2,1\n";
    assert_eq!(shell.run(&["query", "-f", "count.sql", "--format", "csv"]).out, expected);
    for args in [["query", "-"].as_slice(), ["query", "-f", "-"].as_slice()] {
        let mut command = shell.command(&shell.project(), &[], &[args, &["--format", "csv"]].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(sql.trim_start_matches('\u{feff}').as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
    let missing = shell.run(&["query", "-f", "none.sql"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.starts_with("error: `none.sql` cannot be read: "), "{}", missing.err);
    let empty = shell.run(&["query", "-"]);
    assert_eq!((empty.code, empty.err.as_str()), (64, "error: standard input is empty\n  expected   one SQL query\n"));
    assert_eq!(shell.run(&["query"]).code, 64);
    assert_eq!(shell.run(&["query", "select 1", "-f", "count.sql"]).code, 64);
}

#[test]
fn a_limit_says_that_there_are_more() {
    let shell = Shell::synced();
    let limited =
        |n: &str| shell.run(&["query", "select email from members order by email", "-n", n, "--format", "csv"]);
    let one = limited("1");
    assert_eq!(one.out, "email\nann@example.com\n");
    assert_eq!(one.err, "There are more than 1 row: --limit N shows more, --limit 0 all.\n");
    for n in ["0", "2", "3"] {
        let all = limited(n);
        assert_eq!((all.out.lines().count(), all.err.as_str()), (3, ""), "{n}");
    }
}

#[test]
fn notes_are_grouped_by_rule_and_can_be_allowed() {
    let shell = Shell::shop();
    let project = shell
        .definition("stedi-delta.toml")
        .replace("warehouse = \"w\"\n", "warehouse = \"s3://b/w\"\n[targets.dev.catalog.glue]\n");
    shell.define("stedi-delta.toml", &project);
    assert_eq!(shell.run(&["check"]).out, "shop: 3 tables in 2 zones, no errors.\n");
    shell.define("tables/trusted/halves.toml", "description = \"Halves\"\n");
    shell.define("tables/trusted/halves.sql", "select id / 2 as a,\n  id / 3 as b, id::string as c\nfrom notes");
    let noted = shell.run(&["check"]);
    assert_eq!(
        (noted.code, noted.out.as_str()),
        (0, "shop: 4 tables in 2 zones, no errors, 4 warnings by 2 rules.\n"),
        "{}",
        noted.err
    );
    assert!(
        noted.err.contains("\n  athena/division: 2 notes, also at tables/trusted/halves.sql:2:3\n"),
        "{}",
        noted.err
    );
    assert_eq!(noted.err.matches("warning:").count(), 2, "{}", noted.err);
    let document = shell.run(&["check", "--format", "json"]).json();
    assert_eq!(document["warnings"][0]["rule"], "athena/division");
    let strict = shell.run(&["check", "--strict"]);
    assert_eq!((strict.code, strict.out.as_str()), (1, ""));
    assert!(strict.err.contains("athena/division, which --strict does not allow"), "{}", strict.err);
    assert!(strict.err.ends_with("4 errors in 1 file; nothing was read or written.\n"), "{}", strict.err);
    shell.define("tables/trusted/halves.toml", "description = \"Halves\"\nallow = [\"athena/division\"]\n");
    assert!(shell.run(&["check"]).out.ends_with("2 warnings by 1 rule.\n"));
    shell.define("stedi-delta.toml", project.replace("zones", "allow = [\"athena/unknown_syntax\"]\nzones"));
    assert_eq!(shell.run(&["check", "--strict"]).out, "shop: 4 tables in 2 zones, no errors.\n");
    shell.define("tables/trusted/halves.toml", "description = \"Halves\"\nallow = [\"athena/divison\"]\n");
    let unknown = shell.run(&["check"]);
    assert!(unknown.err.starts_with("error: there is no rule `athena/divison`\n"), "{}", unknown.err);
    assert!(unknown.err.contains("did you mean `athena/division`?"), "{}", unknown.err);
}

fn notify(shell: &Shell, lines: &str) {
    let project = shell.definition("stedi-delta.toml");
    let project = project.split("[notify]").next().unwrap();
    shell.define("stedi-delta.toml", format!("{project}[notify]\n{lines}"));
}

#[cfg(unix)]
#[test]
fn a_command_gets_the_report_and_never_changes_the_result() {
    let shell = Shell::shop();
    shell.land("people/a.json", &person("ann", 1, true));
    notify(&shell, "command = [\"sh\", \"-c\", \"echo noise; cat > told.json\"]\n");
    let ran = shell.run(&["sync", "--format", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let named = |text: &str| text.replace(shell.folder().to_str().unwrap(), "<folder>");
    let told: serde_json::Value = serde_json::from_str(&named(&shell.definition("told.json"))).unwrap();
    assert_eq!(told, ran.json());
    notify(&shell, "command = [\"sh\", \"-c\", \"rm told.json; exit 3\"]\non = \"failure\"\n");
    assert_eq!(shell.run(&["sync"]).code, 0);
    assert!(shell.project().join("told.json").exists(), "the sync did not fail");
    notify(&shell, "command = [\"sh\", \"-c\", \"exit 3\"]\n");
    let failed = shell.run(&["sync"]);
    assert_eq!(failed.code, 0);
    assert!(failed.err.ends_with("warning: the notification command failed: exit status: 3\n"), "{}", failed.err);
    notify(&shell, "command = [\"sleep\", \"60\"]\ntimeout = \"200ms\"\n");
    let slow = shell.run(&["sync"]);
    assert!(slow.err.ends_with("warning: the notification command was stopped after 200ms\n"), "{}", slow.err);
    notify(&shell, "command = [\"no-such-program-anywhere\"]\n");
    let none = shell.run(&["sync"]);
    assert_eq!(none.code, 0);
    let why = "warning: the notification command `no-such-program-anywhere` cannot be started\n  because: ";
    assert!(none.err.contains(why), "{}", none.err);
    // A sync that cannot start has a report, too.
    notify(&shell, "command = [\"sh\", \"-c\", \"cat > told.json\"]\n");
    let stopped = shell.run(&["sync", "--landing", "ftp://x/y"]);
    assert_eq!(stopped.code, 1, "{}", stopped.err);
    let told: serde_json::Value = serde_json::from_str(&shell.definition("told.json")).unwrap();
    assert_eq!((&told["report"], &told["exit_code"]), (&serde_json::json!("sync/1"), &serde_json::json!(1)));
}

#[test]
fn a_webhook_gets_the_report_and_its_address_is_never_shown() {
    let shell = Shell::shop();
    notify(&shell, "webhook = \"${SHOP_WEBHOOK}\"\ntimeout = \"2s\"\n");
    let unset = shell.run(&["sync"]);
    assert_eq!(unset.code, 0);
    let warning = "warning: the webhook needs the environment variable `SHOP_WEBHOOK`, which is not set\n";
    assert!(unset.err.ends_with(warning), "{}", unset.err);
    let answer = |status: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hidden-secret", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !String::from_utf8_lossy(&request).ends_with('}') {
                let read = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..read]);
            }
            stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let ran = shell.run_in(&shell.project(), &[("SHOP_WEBHOOK", &url)], &["sync"]);
        (ran, served.join().unwrap())
    };
    let (ran, request) = answer("204 No Content");
    assert!(request.starts_with("POST /hidden-secret HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\"report\":\"sync/1\""), "{request}");
    assert!(!ran.err.contains("webhook"), "{}", ran.err);
    let (ran, _) = answer("500 Internal Server Error");
    assert_eq!(ran.code, 0);
    assert!(ran.err.ends_with("warning: the webhook was not notified: it answered 500\n"), "{}", ran.err);
    for (url, why) in
        [("http://127.0.0.1:9/hidden-secret", "it cannot be reached"), ("hidden-secret", "its address is not a URL")]
    {
        let ran = shell.run_in(&shell.project(), &[("SHOP_WEBHOOK", url)], &["sync"]);
        assert_eq!(ran.code, 0);
        assert!(ran.err.ends_with(&format!("warning: the webhook was not notified: {why}\n")), "{}", ran.err);
        assert!(!ran.err.contains("hidden-secret"), "{}", ran.err);
    }
}

#[test]
fn a_notification_of_nobody_or_nothing_is_a_fault() {
    let shell = Shell::shop();
    for (lines, expected) in [
        ("", "error: nobody is notified\n"),
        ("command = []\n", "error: `command` names no program\n"),
        ("webhook = \"secret-address\"\n", "error: `webhook` is no URL\n"),
        ("command = [\"a\"]\ntimeout = \"1h\"\n", "error: `timeout` is no such duration\n"),
        ("comand = [\"a\"]\nwebhook = \"https://x\"\n", "error: unknown key `comand`\n"),
    ] {
        notify(&shell, lines);
        let ran = shell.run(&["check"]);
        assert_eq!(ran.code, 1, "{lines}");
        assert!(ran.err.starts_with(expected), "{lines}: {}", ran.err);
    }
}

#[test]
fn the_quarantine_of_a_derived_table_is_named() {
    let shell = Shell::shop();
    let members = "description = \"m\"\n[consent]\nsubject = \"email\"\n[[expectations]]\nname = \"early\"\ncheck = \"at < 5\"\naction = \"quarantine\"\n";
    shell.define("tables/trusted/members.toml", members);
    shell.define("tables/trusted/members.sql", MEMBERS_SQL);
    shell.land("people/a.json", &[person("ann", 1, true), person("eve", 9, true)].concat());
    assert_eq!(shell.run(&["sync"]).code, 0);
    let status = shell.run(&["status"]).out;
    assert!(status.contains("up to date; 1 row in members_quarantine\n"), "{status}");
    assert_eq!(shell.run(&["status", "--format", "json"]).json()["tables"][2]["quarantine"], "members_quarantine");
    let listed = shell.run(&["quarantine", "ls"]).out;
    assert!(listed.contains("| members | ") && listed.contains("expectation `early` is not met"), "{listed}");
}

/// The turns of a sync.
#[derive(Default)]
struct Turns(std::sync::Mutex<Vec<(usize, usize)>>);

impl stedi_delta::progress::Progress for Turns {
    fn table(&self, _: &str, _: &str) {}

    fn done(&self) {}

    fn turn(&self, number: usize, of: usize) {
        self.0.lock().unwrap().push((number, of));
    }
}

#[tokio::test]
async fn progress_says_which_of_how_many_tables_it_is_at() {
    let lake = crate::support::Lake::stedi();
    let turns = std::sync::Arc::new(Turns::default());
    let progress: std::sync::Arc<dyn stedi_delta::progress::Progress> = turns.clone();
    let outcome =
        stedi_delta::sync::sync(&lake.workspace().await, &stedi_delta::sync::Options::default(), &progress).await;
    assert!(outcome.problem.is_none());
    let turns = turns.0.lock().unwrap().clone();
    assert_eq!((turns.first(), turns.last()), (Some(&(1, 8)), Some(&(8, 8))));
    assert!(turns.is_sorted(), "{turns:?}");
}
