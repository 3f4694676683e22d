//! The commands that answer for the past, in every format and at their most verbose: without `--reveal` nothing that they
//! print, record or write holds personal data. The same random people as in [`traces`](super::traces), after all that
//! happens to them there.

use std::process::Stdio;

use super::audit;
use super::shell::Ran;
use super::traces::{Scene, live};

const DOCUMENT: &[&str] = &["table", "json"];
const ROWS: &[&str] = &["table", "json", "ndjson", "csv"];
const GRAPH: &[&str] = &["table", "json", "mermaid", "openlineage"];

/// Runs a command in each format at its most verbose, with standard error as text and as JSON in turn, and keeps its output;
/// `~` stands for a space within a word.
fn told(scene: &mut Scene, line: &str, formats: &[&str], code: i32) {
    told_reading(scene, "", line, formats, code);
}

/// The same with something on standard input.
fn told_reading(scene: &mut Scene, input: &str, line: &str, formats: &[&str], code: i32) {
    for (at, format) in formats.iter().enumerate() {
        let log = if at % 2 == 0 { ["--color", "always"] } else { ["--log-format", "json"] };
        let words: Vec<String> = line.split(' ').map(|word| word.replace('~', " ")).collect();
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["-vv", "--format", format]).chain(log).collect();
        let Ran { code: found, out, err } = run(scene, input, &args);
        assert_eq!(found, code, "{args:?} of seed {}:\n{out}\n{err}", scene.seed);
        // What the person who typed it wrote is not part of it.
        scene.printed.push((line.split(" --subject").next().unwrap().to_owned(), format!("{out}\n{err}")));
    }
}

fn run(scene: &Scene, input: &str, args: &[&str]) -> Ran {
    use std::io::Write;

    let mut child = scene.command(args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn rows(scene: &mut Scene) {
    for table in ["people", "people@v0", "people_quarantine", "members", "members@v0", "told", "runs", "files"] {
        told(scene, &format!("show {table} -n 100"), ROWS, 0);
        told(scene, &format!("describe {table}"), DOCUMENT, 0);
    }
    told(scene, "show members --where at<9", ROWS, 0);
    // A condition that cannot be computed.
    told(scene, "show members --where cast(email~as~bigint)>1", ROWS, 1);
    for table in ["people", "people_quarantine", "members", "told"] {
        told(scene, &format!("history {table} --all"), DOCUMENT, 0);
        told(scene, &format!("diff {table} --from v1"), ROWS, 0);
        told(scene, &format!("diff {table} --from v1 --to v0 --summary"), DOCUMENT, 0);
    }
    told(scene, "diff members --from v1 --columns email,serial", ROWS, 0);
    told(scene, "diff members --from v1 --where cast(email~as~bigint)>1", ROWS, 1);
    told(scene, "diff --lake --from 2000-01-01", DOCUMENT, 0);
}

fn audits(scene: &mut Scene) {
    for table in ["told", "members@v1", "people"] {
        told(scene, &format!("lineage {table} --columns"), GRAPH, 0);
    }
    told(scene, "lineage people --downstream", GRAPH, 0);
    let (email, serial) = (scene.people[0].email.clone(), scene.people[1].serial);
    let who = email.to_lowercase();
    for subject in ["people --subject email=-", "members@v0 --subject email=-", "members --subject email=-"] {
        told_reading(scene, &email, &format!("audit membership {subject} --all-versions"), DOCUMENT, 0);
    }
    told_reading(scene, &who, "audit membership told --subject who=-", DOCUMENT, 0);
    told(scene, &format!("audit membership told --subject number={serial}"), DOCUMENT, 0);
    told(scene, &format!("audit membership people --subject serial={email}"), DOCUMENT, 64);
    told(scene, &format!("audit membership people --subject e.mail={email}"), DOCUMENT, 64);
    told(scene, &format!("audit membership people --subject {email}"), DOCUMENT, 64);
    told(scene, "audit consent", DOCUMENT, 3);
    told(scene, "audit consent members --all-versions --strict", DOCUMENT, 3);
    told(scene, "audit verify members", DOCUMENT, 3);
    told(scene, "audit verify --lake", DOCUMENT, 3);
}

/// Commands that write: pins, pages, and a restore.
fn records(scene: &mut Scene) {
    // The other writer has to be looked at first.
    told(scene, "pin members@v0 --name set_1 --retain", DOCUMENT, 1);
    told(scene, "pin members@v0 --name set_1 --catalog", DOCUMENT, 0);
    for (table, name) in [("told@v0", "set_2"), ("people@v0", "set_3")] {
        told(scene, &format!("pin {table} --name {name} --catalog --retain --until 2099-01-01"), DOCUMENT, 0);
    }
    told(scene, "pins", DOCUMENT, 0);
    told(scene, "show pins", ROWS, 0);
    told(scene, "describe pins", DOCUMENT, 0);
    told(scene, "report --out lake.html", DOCUMENT, 3);
    told(scene, "report --pin set_1 --out pin.html", DOCUMENT, 0);
    told(scene, "unpin set_2", &["table"], 0);
    told(scene, "unpin set_2", DOCUMENT, 64);
    told(scene, "catalog check", DOCUMENT, 0);
    told(scene, "sync --full-refresh", &["json"], 0);
    told(scene, "restore members --to v0", DOCUMENT, 64);
    told(scene, "restore members --to v0 --yes", DOCUMENT, 0);
    told(scene, "status", DOCUMENT, 0);
    told(scene, "sync", DOCUMENT, 0);
}

#[test]
fn audits_of_random_people_print_and_record_none_of_them() {
    let mut scene = Scene::new(true);
    live(&mut scene);
    audit::restore(&scene.shell, 0);
    rows(&mut scene);
    audits(&mut scene);
    records(&mut scene);
    assert!(scene.printed.len() > 150, "{}", scene.printed.len());
    for page in ["lake.html", "pin.html", "w/_pins/set_1/manifest"] {
        assert!(scene.shell.project().join(page).is_file(), "{page}");
    }
    scene.assert_silent();
    // The same search finds them where they are asked for.
    for line in [
        "show members@v0 --format ndjson",
        "show people_quarantine --format json",
        "diff members --from v1 --format csv",
        "audit consent members --all-versions",
    ] {
        let args: Vec<&str> = line.split(' ').chain(["--reveal"]).collect();
        let Ran { out, .. } = run(&scene, "", &args);
        assert!(!scene.secrets.within(out.as_bytes()).is_empty(), "{line}: {out}");
    }
}
