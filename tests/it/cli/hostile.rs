//! Names, values and addresses that attack the terminal where they are printed: checks everything that the program
//! prints about them at its most verbose.

use super::shell::{NOTES, Ran, Shell};
use super::{person, shell};

/// Parts of credentials, which must never be printed; the addresses that contain them are below.
const SECRETS: [&str; 4] = ["5iGnAtUrE", "t0kEnT0kEn", "hunter2", "pa55"];
const SIGNED: &str =
    "https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=5iGnAtUrE&X-Amz-Security-Token=t0kEnT0kEn";
const QUERY: &str = "s3://bucket/raw?password=hunter2";
const USER: &str = "https://ann:pa55@example.com/x";
const ADDRESSES: [&str; 3] = [SIGNED, QUERY, USER];

/// Clears the screen, sets the title, changes the text direction, returns to the line's beginning.
const ACTS: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r";
const WHO: &str = "zoe@example.org";

/// The most verbose options of the program.
const TALKATIVE: [&[&str]; 4] = [
    &["--verbose"],
    &["--verbose", "--color", "always"],
    &["--verbose", "--log-format", "json"],
    &["--verbose", "--format", "json"],
];

/// Forbidden parts found in a text; escapes of colours are allowed if requested.
fn harm(text: &str, with_colours: bool) -> Option<String> {
    if let Some(secret) = SECRETS.iter().chain([&WHO]).find(|secret| text.contains(**secret)) {
        return Some((*secret).to_owned());
    }
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| {
        (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{2066}'
    }) {
        let acting = &rest[at..];
        let colour = acting.strip_prefix("\u{1b}[").and_then(|code| code.split_once('m'));
        let Some((_, after)) =
            colour.filter(|(code, _)| with_colours && code.bytes().all(|b| b.is_ascii_digit() || b == b';'))
        else {
            return Some(format!("{:?}", acting.chars().take(10).collect::<String>()));
        };
        rest = after;
    }
    None
}

fn assert_harmless(ran: &Ran, args: &[&str]) {
    for text in [&ran.out, &ran.err] {
        assert_eq!(harm(text, args.contains(&"always")), None, "{args:?}: {text:?}");
    }
}

/// Runs a command with each of the verbose options.
fn told(shell: &Shell, environment: &[(&str, &str)], args: &[&str]) -> Vec<Ran> {
    let run = |more: &&[&str]| {
        let args = [args, more].concat();
        let ran = shell.run_in(&shell.project(), environment, &args);
        assert_harmless(&ran, &args);
        ran
    };
    TALKATIVE.iter().map(run).collect()
}

/// A project whose landing files have names, fields and values with control characters.
fn hostile() -> Shell {
    let shell = Shell::shop();
    let nested = format!("{NOTES}at = {{ type = \"array<struct<city:string>>\" }}\n");
    shell.define("tables/landing/notes.toml", nested.replace("Notes", "Notes \\u001b[2J https://ann:pa55@example.com"));
    shell.land("people/a.json", &person("ann", 1, true));
    let acts = serde_json::to_string(ACTS).unwrap().replace('"', "");
    let fields = format!("{{\"id\":1,\"{WHO}\":1,\"x{acts}\":2,\"https://h/?password=hunter2\":3,\"street\":4}}\n");
    let inside = format!("{{\"id\":2,\"at\":[{{\"city\":\"x\",\"{WHO}\":1}}]}}\n");
    shell.land("notes/a.json", &format!("{fields}{inside}{{\"id\":\"{acts} {WHO} {QUERY}\"}}\n"));
    shell
}

#[cfg(unix)]
#[test]
fn what_is_told_of_hostile_files_does_no_harm() {
    let shell = hostile();
    let first = told(&shell, &[], &["sync"]).remove(0);
    assert!(first.err.contains("`street` in 1 record"), "{}", first.err);
    assert!(first.err.contains(", a hashed name of 15 characters, in 1 record"), "{}", first.err);
    assert!(first.err.contains("`at[]."), "{}", first.err);
    for args in [
        &["status"][..],
        &["plan", "--explain"],
        &["history", "notes"],
        &["check"],
        &["quarantine", "ls"],
        &["catalog", "check"],
        &["catalog", "ddl"],
        &["query", "select source_file, source_offset from notes"],
    ] {
        told(&shell, &[], args);
    }
    shell.land("notes/c?X-Amz-Signature=5iGnAtUrE.json", "{\"id\":\"two\"}\n");
    told(&shell, &[], &["sync"]);
    shell.land(&format!("notes/b{ACTS}.json"), "{\"id\":\"two\"}\n");
    shell.define("l/notes/a.json", "{}");
    told(&shell, &[], &["sync"]);
    let revealed = shell.run(&["sync", "--reload", "people", "--reveal", "-v"]);
    assert_eq!(harm(&revealed.err, false), None);
}

/// A user pastes what is suggested.
#[cfg(unix)]
#[test]
fn a_suggested_command_has_the_name_of_a_file_as_one_word_of_a_shell() {
    for (name, word) in [
        ("$(touch pwned).json", "'notes:notes/$(touch pwned).json'"),
        ("sp ace.json", "'notes:notes/sp ace.json'"),
        ("x;id.json", "'notes:notes/x;id.json'"),
        ("ann's $HOME.json", r"'notes:notes/ann'\''s $HOME.json'"),
        ("day=1,a+b@c.json", "notes:notes/day=1,a+b@c.json"),
    ] {
        let shell = Shell::shop();
        let path = format!("notes/{name}");
        shell.land(&path, "{\"id\":1}\n");
        assert_eq!(shell.run(&["sync"]).code, 0);
        shell.land(&path, "{\"id\":1}\n{\"id\":2}\n");
        let ran = shell.run(&["sync"]);
        let next = format!("stedi-delta sync --reload {word}");
        assert!(ran.err.contains(&format!("  next       {next}   (swaps that file's rows)\n")), "{}", ran.err);
        let pasted = next.replacen("stedi-delta", "\"$0\"", 1);
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", &pasted, env!("CARGO_BIN_EXE_stedi-delta")]).current_dir(shell.project());
        let output = sh.output().unwrap();
        assert!(output.status.success(), "{pasted}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!shell.project().join("pwned").exists());
        assert_eq!(shell.run(&["query", "select count(*) as n from notes", "--format", "csv"]).out, "n\n2\n");
    }
    // This name is not printed unchanged, and would name no file.
    let shell = Shell::shop();
    shell.land("notes/a\u{202e}b.json", "{\"id\":1}\n");
    assert_eq!(shell.run(&["sync"]).code, 0);
    shell.land("notes/a\u{202e}b.json", "{\"id\":1}\n{\"id\":2}\n");
    let ran = shell.run(&["sync"]);
    let next = "  next       stedi-delta sync --reload notes   (swaps the rows of every file)\n";
    assert!(ran.err.contains(next), "{}", ran.err);
}

#[test]
fn rows_are_shown_without_what_acts_and_as_they_are_to_a_machine() {
    let shell = Shell::shop();
    shell.define("tables/landing/notes.toml", NOTES.replace("long", "string"));
    let value = format!("{QUERY} {}", ACTS.replace('\r', ""));
    shell.land("notes/a.json", &format!("{{\"id\":{}}}\n", serde_json::to_string(&value).unwrap()));
    assert_eq!(shell.run(&["sync"]).code, 0);
    let rows = |format: &str| shell.run(&["query", "select id from notes", "--format", format]).out;
    assert!(
        rows("table").contains("password=hunter2 \\u001b[2J\\u001b]0;x\\u0007\\u009b31m\\u202e"),
        "{}",
        rows("table")
    );
    assert_eq!(rows("csv"), format!("id\n{value}\n"));
    for format in ["json", "ndjson"] {
        let rows = rows(format);
        assert!(!rows.contains(|c: char| c.is_control() && c != '\n'), "{rows:?}");
        let row: serde_json::Value = serde_json::from_str(&rows).unwrap();
        assert_eq!(row.as_array().map_or(&row, |rows| &rows[0])["id"], value);
    }
}

#[test]
fn addresses_with_credentials_are_refused_and_never_repeated() {
    let shell = Shell::synced();
    for address in ADDRESSES {
        for verb in ["sync", "status", "plan"] {
            for flag in ["--landing", "--warehouse"] {
                let ran = told(&shell, &[], &[verb, flag, address]).remove(0);
                assert_eq!(ran.code, 64, "{}", ran.err);
                assert!(ran.err.contains(&format!("{flag} holds a ")), "{}", ran.err);
                assert!(ran.err.contains("take them out"), "{}", ran.err);
            }
        }
        for variable in ["STEDI_DELTA_LANDING", "STEDI_DELTA_WAREHOUSE"] {
            assert_eq!(told(&shell, &[(variable, address)], &["sync"]).remove(0).code, 64);
        }
        // An invalid address is repeated, without its credentials.
        for args in [
            &["sync", address][..],
            &[address],
            &["sync", "--select", address],
            &["sync", "--reload", address],
            &["status", "--target", address],
            &["status", "--project", address],
            &["history", address],
            &["catalog", "ddl", address],
            &["query", &format!("select '{address}', nosuch from people")],
            &["query", &format!("select * from \"{address}\"")],
            &["query", &format!("select cast('{address}' as date)")],
        ] {
            assert_ne!(told(&shell, &[], args).remove(0).code, 0, "{args:?}");
        }
        for name in ["sync", "nosuch"] {
            told(&shell, &[], &[name, &format!("--select={address}"), &format!("--lading={address}")]);
        }
    }
}

#[test]
fn credentials_in_the_files_of_a_project_are_not_told() {
    let target =
        |key: &str, value: &str| format!("[targets.dev]\nlanding = \"l\"\nwarehouse = \"w\"\n{key} = \"{value}\"\n");
    let head = "name = \"shop\"\nzones = [\"landing\", \"trusted\"]\n";
    for address in ADDRESSES {
        for key in ["endpoint", "nosuch", "region", "sse"] {
            let shell = Shell::synced();
            shell.define("stedi-delta.toml", format!("{head}{}", target(key, address)));
            for verb in ["check", "sync", "status"] {
                told(&shell, &[], &[verb]);
            }
        }
        for key in ["landing", "warehouse"] {
            let shell = Shell::synced();
            let other = if key == "landing" { "warehouse" } else { "landing" };
            shell.define("stedi-delta.toml", format!("{head}[targets.dev]\n{other} = \"o\"\n{key} = \"{address}\"\n"));
            for verb in ["check", "sync"] {
                let ran = told(&shell, &[], &[verb]).remove(0);
                assert!(ran.err.contains("holds a ") && ran.err.contains("stedi-delta.toml:5"), "{}", ran.err);
            }
        }
        let shell = Shell::synced();
        let long = "x".repeat(300);
        shell.define("tables/landing/more.toml", NOTES.replace("notes/*", address));
        shell.define(
            "tables/landing/even.toml",
            format!("location = \"{address}\"\nx = \"{long} {address} {long}\" = 1\n"),
        );
        shell.define("tables/trusted/members.sql", format!("select '{address}' as a, '{address}', nosuch from people"));
        told(&shell, &[], &["check"]);
        told(&shell, &[], &["sync"]);
    }
}

#[test]
fn control_characters_in_the_files_of_a_project_are_shown_instead() {
    let shell = Shell::synced();
    shell.define("tables/landing/more.toml", shell::NOTES.replace("id =", &format!("\"{}\" =", "a\\u001b[2J\\u202eb")));
    shell.define("tables/trusted/members.sql", format!("select '{ACTS}' as a,\r\n nosuch\r\nfrom people"));
    shell.define("tables/trusted/new.sql", format!("select \"{ACTS}\" from people"));
    shell.define("tables/trusted/new.toml", format!("description = \"x\"\nx{ACTS} = 1\n"));
    told(&shell, &[], &["check"]);
    for text in [ACTS, "\u{1b}]0;x\u{7}"] {
        for args in [&["history", text][..], &["sync", text], &["query", text], &["status", "--target", text]] {
            assert_ne!(told(&shell, &[], args).remove(0).code, 0, "{args:?}");
        }
    }
}

#[test]
fn a_query_that_fails_at_a_value_does_not_tell_it() {
    let shell = Shell::synced();
    for sql in [
        "select cast(email as date) from people",
        "select cast(email as bigint) from people order by 1",
        "select sum(cast(email as double)) from people group by at",
        "select email from people where cast(email as int) > 1",
        "select regexp_replace('x', '(' || email, 'y') from people",
    ] {
        for ran in told(&shell, &[], &["query", sql]) {
            assert!(!ran.err.contains("example.com") && !ran.out.contains("example.com"), "{}{}", ran.out, ran.err);
            assert!(ran.err.contains("the query cannot be run") && ran.err.contains('…'), "{}", ran.err);
            assert!(ran.err.contains("--reveal to print them"), "{}", ran.err);
        }
        let revealed = shell.run(&["query", sql, "--reveal"]);
        assert!(revealed.err.contains("@example.com"), "{}", revealed.err);
    }
}
