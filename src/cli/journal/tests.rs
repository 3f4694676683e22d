use std::ops::Range;
use std::sync::Arc;

use super::*;
use crate::cli::ui::tests::Captured;
use crate::outcome::Rows;
use crate::source::{Fault, Place, SourceFile};

fn journal(form: Form, least: Level) -> (Journal, Captured) {
    let written = Captured::default();
    (
        Journal::new(form, least, "r1", Some("dev".into()), Sink::new(Box::new(written.clone()), Gate::default())),
        written,
    )
}

/// The lines without their times, which are checked here.
fn lines(written: &Captured) -> Vec<String> {
    let lines = written.text();
    let without_time = |line: &str| {
        let (time, rest) = line.strip_prefix("{\"time\":\"")?.split_once("\",")?;
        chrono::DateTime::parse_from_rfc3339(time).ok().filter(|_| time.len() == "2026-11-23T08:14:02.120Z".len())?;
        Some(format!("{{{rest}"))
    };
    lines.lines().map(|line| without_time(line).unwrap_or_else(|| panic!("no time: {line}"))).collect()
}

fn table() -> TableName {
    TableName::parse("orders").expect("a valid name")
}

#[test]
fn a_line_begins_with_the_same_keys_and_goes_on_with_those_of_the_event() {
    let (journal, written) = journal(Form::Json, Level::Info);
    journal.begin("sync");
    journal.opened("shop", Some("prod"));
    journal.event(&Event::warn("quarantine.grew").with("table", "a \"b\"\n\u{1}é").with("rows", 2));
    assert_eq!(
        lines(&written),
        [
            format!(
                r#"{{"level":"info","event":"run.started","run":"r1","project":"shop","target":"prod","verb":"sync","version":"{}"}}"#,
                env!("CARGO_PKG_VERSION")
            ),
            r#"{"level":"warn","event":"quarantine.grew","run":"r1","project":"shop","target":"prod","table":"a \"b\"\n\u0001é","rows":2}"#
                .to_owned(),
        ]
    );
}

#[test]
fn the_first_line_waits_for_the_project_but_not_beyond_the_next_event() {
    let (journal, written) = journal(Form::Json, Level::Info);
    journal.begin("sync");
    assert_eq!(written.text(), "");
    journal.error(None, &Error::failed("no store").because(std::io::Error::other("gone")).fact("url", "x").help("y"));
    journal.opened("shop", Some("dev"));
    journal.finish(1);
    let lines = lines(&written);
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with(r#"{"level":"info","event":"run.started","run":"r1","project":null,"target":"dev","#));
    assert_eq!(
        lines[1],
        r#"{"level":"error","event":"error","run":"r1","project":null,"target":"dev","verb":"sync","table":null,"kind":"failed","message":"no store","causes":["gone"],"facts":[{"label":"url","value":"x"}],"help":"y"}"#
    );
    assert!(lines[2].contains(r#""event":"run.finished","run":"r1","project":"shop""#), "{}", lines[2]);
    assert!(lines[2].contains(r#""verb":"sync","exit_code":1,"seconds":"#), "{}", lines[2]);
}

#[test]
fn every_fault_is_an_event_with_its_place() {
    let (journal, written) = journal(Form::Json, Level::Info);
    let file = Arc::new(SourceFile { path: "tables/a.sql".into(), text: "select\nx, y".into() });
    let fault = |span: Range<usize>, message: &str| Fault {
        message: message.into(),
        place: Some(Place { file: file.clone(), span }),
        label: "no such column".into(),
        help: None,
    };
    journal.error(None, &Error::definition(vec![fault(7..8, "`x`"), fault(10..11, "`y`")]));
    let lines = lines(&written);
    assert_eq!(lines.len(), 2);
    let tail = r#""kind":"definition","message":"`y`","causes":[],"facts":[],"help":null,"file":"tables/a.sql","line":2,"column":4,"label":"no such column"}"#;
    assert!(lines[1].ends_with(tail), "{}", lines[1]);
}

#[test]
fn a_warning_of_no_table_is_taken_from_its_text() {
    let (journal, written) = journal(Form::Json, Level::Info);
    journal.said("\nwarning: 2 tables are left\n  a, ...\n  drop them\n");
    let tail = r#""table":null,"message":"2 tables are left","details":["a, ...","drop them"],"help":null}"#;
    assert!(written.text().trim_end().ends_with(tail), "{}", written.text());
}

#[test]
fn the_last_line_carries_the_sums_and_nothing_follows_it() {
    let (journal, written) = journal(Form::Json, Level::Debug);
    journal.begin("sync");
    journal.sums(&Totals {
        tables_changed: 2,
        rows: Rows { inserted: 7, ..Rows::default() },
        bytes_written: 9,
        ..Totals::default()
    });
    journal.interrupt(130);
    journal.finish(0);
    journal.event(&Event::error("table.failed"));
    journal.opened("shop", None);
    let lines = lines(&written);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].starts_with(r#"{"level":"warn","event":"run.interrupted""#), "{}", lines[1]);
    let sums = r#""exit_code":130,"tables_changed":2,"tables_unchanged":0,"#;
    assert!(lines[2].contains(sums) && lines[2].contains(r#""rows_inserted":7"#), "{}", lines[2]);
}

#[test]
fn a_wrong_command_line_is_one_event() {
    let (journal, written) = journal(Form::Json, Level::Info);
    journal.error(None, &Error::new(Kind::Usage, "no verb is given"));
    journal.finish(64);
    assert_eq!(lines(&written).len(), 1);
}

#[test]
fn what_matters_less_is_left_out() {
    let count = |least| {
        let (journal, written) = journal(Form::Json, least);
        journal.begin("sync");
        journal.event(&Event::debug("request"));
        journal.warning(&table(), &Warning { message: "m".into(), details: vec!["d".into()], help: None });
        journal.finish(0);
        lines(&written).len()
    };
    assert_eq!([Level::Debug, Level::Info, Level::Warn, Level::Error].map(count), [4, 3, 1, 0]);
}

#[test]
fn lines_of_several_threads_do_not_mix() {
    let (journal, written) = journal(Form::Json, Level::Info);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..200_u64 {
                    let filler = "x".repeat(usize::try_from(n).unwrap_or_default());
                    journal.event(&Event::info("table.started").with("table", filler).with("thread", thread));
                }
            });
        }
    });
    let mut seen = [0; 8];
    for line in lines(&written) {
        let line: Value = serde_json::from_str(&line).expect("one object per line");
        let thread = usize::try_from(line["thread"].as_u64().expect("a number")).expect("small");
        assert_eq!(line["table"].as_str().map(str::len), Some(seen[thread]), "in the order of the thread");
        seen[thread] += 1;
    }
    assert_eq!(seen, [200; 8]);
}

#[test]
fn as_text_an_event_is_a_line_of_words_and_problems_are_left_to_others() {
    let (journal, written) = journal(Form::Text, Level::Debug);
    journal.error(None, &Error::failed("told in full elsewhere"));
    let request = Event::debug("request").with("store", "warehouse").with("path", "a b").with("status", 200);
    journal.event(&request.with("none", Value::Null));
    let text = written.text();
    let (time, rest) = text.split_once(' ').expect("words");
    assert!(time.ends_with('Z'), "{text}");
    assert_eq!(rest, "run r1 request store=warehouse path=\"a b\" status=200\n");
}

#[test]
fn a_panic_says_where_and_what_it_quotes_only_on_request() {
    let shown = |reveal| {
        let error = panicked(Some("src/x.rs:1:2".into()), Some("no row of ada@example.org"), reveal);
        assert_eq!(error.kind(), Kind::Internal);
        format!("{error} {:?}", error.facts())
    };
    assert!(shown(false).contains("src/x.rs:1:2") && !shown(false).contains("ada"), "{}", shown(false));
    assert!(shown(true).contains("ada@example.org"));
}

#[test]
fn nothing_comes_after_an_interruption() {
    let (journal, written) = journal(Form::Json, Level::Info);
    journal.begin("sync");
    journal.interrupt(130);
    journal.error(None, &Error::failed("the spill folder is gone"));
    journal.finish(1);
    let events: Vec<String> =
        lines(&written).iter().map(|line| line.split('"').nth(7).unwrap_or_default().to_owned()).collect();
    assert_eq!(events, ["run.started", "run.interrupted", "run.finished"]);
}
