//! Errors and warnings: what was found, its facts, and the next thing to type.

use std::collections::BTreeSet;

use super::text::{count, painted};
use crate::cli::outlet::styled;
use crate::definition::{render as render_fault, render_note};
use crate::error::{Error, Kind};
use crate::name::TableName;
use crate::outcome::Warning;
use crate::privacy::one_line;
use crate::source::Fault;

/// Facts are aligned in one column at least this wide, so that consecutive errors line up.
const LABEL_WIDTH: usize = 9;
const RED: &str = "1;31";
const YELLOW: &str = "1;33";

/// An error.
pub(in crate::cli) fn error(error: &Error, color: bool) -> String {
    table_error(None, error, None, color)
}

/// An error of a table; `behind` = the tables that it holds up.
pub(in crate::cli) fn table_error(
    table: Option<&TableName>,
    error: &Error,
    behind: Option<String>,
    color: bool,
) -> String {
    if !error.faults().is_empty() {
        return faults(error, color);
    }
    let mut causes = error.causes().into_iter();
    // The reason is on the line of the failed operation.
    let headline = match causes.next() {
        Some(cause) => format!("{}: {cause}", error.message()),
        None => error.message().to_owned(),
    };
    let mut facts: Vec<(String, String)> = Vec::new();
    if let Some(table) = table {
        let named = names(error.message(), table) || error.facts().iter().any(|(label, _)| label == "table");
        if !named {
            facts.push(("table".into(), table.to_string()));
        }
    }
    facts.extend(error.facts().iter().cloned());
    facts.extend(causes.map(|cause| ("because".into(), cause)));
    facts.extend(error.next().map(|help| ("next".into(), help.to_owned())));
    facts.extend(behind.map(|tables| ("meanwhile".into(), tables)));

    let width = facts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0).max(LABEL_WIDTH);
    let mut text = format!("{} {}\n", painted("error:", RED, color), headline.trim_end().replace('\n', "\n  "));
    for (label, value) in facts {
        let indent = format!("\n{}", " ".repeat(width + 4));
        text.push_str(&format!("  {label:<width$}  {}\n", value.trim_end().replace('\n', &indent)));
    }
    text
}

/// A warning without a table.
pub(in crate::cli) fn plain_warning(message: &str, lines: &[String], color: bool) -> String {
    let mut text = format!("{} {}\n", painted("warning:", YELLOW, color), one_line(message));
    for line in lines {
        text.push_str(&format!("  {}\n", one_line(line)));
    }
    text
}

/// A warning of a table.
pub(in crate::cli) fn warning(table: &TableName, warning: &Warning, color: bool) -> String {
    let lines = || warning.details.iter().chain(&warning.help);
    let named = std::iter::once(&warning.message).chain(lines()).any(|line| names(line, table));
    let subject = if named { String::new() } else { format!("{table}: ") };
    let mut text = format!("{} {subject}{}\n", painted("warning:", YELLOW, color), one_line(&warning.message));
    for line in lines() {
        text.push_str(&format!("  {}\n", one_line(line)));
    }
    text
}

/// A note on the project's files.
pub(in crate::cli) fn note(note: &Fault, color: bool) -> String {
    format!("{}\n\n", styled(&render_note(note, color)).trim_end())
}

/// Whether `text` names the table, as a whole word.
fn names(text: &str, table: &TableName) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == table.as_str())
}

fn faults(error: &Error, color: bool) -> String {
    let faults = error.faults();
    let mut text = String::new();
    for fault in faults {
        text.push_str(styled(&render_fault(fault, color)).trim_end());
        text.push_str("\n\n");
    }
    // A query is not in a file, and tables were opened for it.
    if error.kind() != Kind::Definition {
        text.truncate(text.trim_end().len() + 1);
        return text;
    }
    let files: BTreeSet<_> = faults.iter().filter_map(|f| f.place.as_ref().map(|p| &p.file.path)).collect();
    let errors = count(faults.len() as u64, "error");
    let place = if files.is_empty() { String::new() } else { format!(" in {}", count(files.len() as u64, "file")) };
    text.push_str(&format!("{errors}{place}; nothing was read or written.\n"));
    text
}
