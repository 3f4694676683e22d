//! Messages about landing files: why they are left out, and what happened to their records.

use std::collections::BTreeSet;

use super::format::RecordShape;
use super::ledger::FileRow;
use super::parse::Parsed;
use super::recover::TableState;
use super::{LandingContext, fields};
use crate::definition::Landing;
use crate::error::{Error, Kind, Result};
use crate::outcome::{UNREAD_CONSENT, Warning, counted};
use crate::privacy::word;

/// Maximum lines of details: more would hide the rest of the report.
const SHOWN: usize = 5;

/// The error for files that cannot be read because of their names.
pub(super) fn odd(name: &str, odd: &[(String, String)]) -> Option<Error> {
    let (files, whose) = match odd.len() {
        0 => return None,
        1 => ("1 file".to_owned(), "its name"),
        several => (format!("{several} files"), "their names"),
    };
    let error = Error::failed(format!("{files} of {name} cannot be read because of {whose}"));
    let named = |error: Error, (path, why): &(String, String)| error.fact("file", format!("{path}: {why}"));
    let them = if odd.len() == 1 { "it" } else { "them" };
    Some(
        and_more(odd.iter().take(SHOWN).fold(error, named), odd.len())
            .fact("meanwhile", "the other files land")
            .help(format!("rename {them}, or leave {them} out: `exclude = [...]` under [source] of {name}")),
    )
}

/// Counts the files that an error does not name.
fn and_more(error: Error, files: usize) -> Error {
    match files.saturating_sub(SHOWN) {
        0 => error,
        more => error.fact("files", format!("{more} more")),
    }
}

/// The error for files that may not be read.
pub(super) fn denied(name: &str, paths: &[String]) -> Option<Error> {
    let files = counted(paths.len() as u64, "file");
    let error = Error::failed(format!("{files} of {name} cannot be read: permission denied"));
    let error = paths.iter().take(SHOWN).fold(error, |error, path| error.fact("file", path.as_str()));
    let error = and_more(error, paths.len());
    (!paths.is_empty()).then(|| {
        error.fact("meanwhile", "the other files land").help(format!(
            "give the user or role of this sync permission to read, then sync again; or leave files out: \
             `exclude = [...]` under [source] of {name}"
        ))
    })
}

/// The warning for links that are not followed.
pub(super) fn outside(name: &str, links: &[String]) -> Option<Warning> {
    let count = links.len() as u64;
    (count > 0).then(|| Warning {
        message: format!("{} of {name} out of the landing root {} not followed", counted(count, "link"), are(count)),
        details: links.iter().take(SHOWN).cloned().collect(),
        help: Some("put the files themselves there, or choose a landing root that holds them".to_owned()),
    })
}

/// The warning for files that `reload ... from rescued` cannot read again.
pub(super) fn not_rescued(name: &str, files: &BTreeSet<String>) -> Option<Warning> {
    let count = files.len() as u64;
    (count > 0).then(|| Warning {
        message: format!("{} of {name} with undeclared fields {} gone", counted(count, "file"), are(count)),
        details: files.iter().take(SHOWN).cloned().chain(["their rows stay as they are".to_owned()]).collect(),
        help: Some(format!("query `_rescued` of {name}: it has the fields as JSON")),
    })
}

/// The warning for links that lead nowhere.
pub(super) fn dangling(name: &str, links: &[String]) -> Option<Warning> {
    let count = links.len() as u64;
    let (leads, it, leads_to) = if count == 1 { ("leads", "it", "it leads") } else { ("lead", "them", "they lead") };
    (count > 0).then(|| Warning {
        message: format!("{} of {name} {leads} to no file", counted(count, "link")),
        details: links.iter().take(SHOWN).cloned().collect(),
        help: Some(format!(
            "restore what {leads_to} to, or leave {it} out: `exclude = [...]` under [source] of {name}"
        )),
    })
}

fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// The error for files that changed after they landed.
pub(super) fn overwritten(name: &str, paths: &[String]) -> Option<Error> {
    let first = paths.first()?;
    let files = counted(paths.len() as u64, "file");
    let next = match word(&format!("{name}:{first}")) {
        Some(file) => format!("stedi-delta sync --reload {file}   (swaps that file's rows)"),
        None => format!("stedi-delta sync --reload {name}   (swaps the rows of every file)"),
    };
    Some(
        Error::failed(format!("{files} of {name} changed after being ingested"))
            .fact("first", first.clone())
            .fact("expected", "landing files are written once (`on_overwrite = \"fail\"`)")
            .fact("meanwhile", "the rows that landed stay, and the other files land")
            .help(next),
    )
}

/// The warning for present files that were unloaded.
pub(super) fn skipped(name: &str, paths: &[String]) -> Option<Warning> {
    let first = paths.first()?;
    let count = paths.len() as u64;
    let or = word(&format!("{name}:{first}")).map(|file| format!(", or: stedi-delta sync --reload {file}"));
    Some(Warning {
        message: format!("{} of {name} {} skipped: unloaded before", counted(count, "file"), are(count)),
        details: paths.iter().take(SHOWN).cloned().collect(),
        help: Some(format!("delete what is not to come back{}", or.unwrap_or_default())),
    })
}

/// The warning for files that are not in the plan of this sync.
pub(super) fn later(name: &str, count: u64) -> Option<Warning> {
    (count > 0).then(|| Warning {
        message: format!("{} of {name} came after the plan was made", counted(count, "file")),
        details: Vec::new(),
        help: Some("the next sync reads what this one leaves: stedi-delta sync".to_owned()),
    })
}

/// The warning for a source that has no file and never had one.
pub(super) async fn nothing(context: &LandingContext<'_>, landing: &Landing) -> Result<Warning> {
    let (name, root) = (&context.table.name, &context.root);
    let help = Some(format!("check the landing root, and `path` under [source] of {name}"));
    if !root.holds("").await? {
        // True for every table, so it is reported once.
        let message = format!("there is nothing under the landing root `{root}`");
        return Ok(Warning { message, details: vec![format!("pattern of {name}: `{}`", landing.path)], help });
    }
    let message = format!("no file of {name} is there: none under `{root}` fits `{}`", landing.path);
    Ok(Warning { message, details: Vec::new(), help })
}

/// The warning for landed rows that another writer deleted.
pub(super) fn deleted(context: &LandingContext<'_>, current: &TableState) -> Option<Warning> {
    let table = current.table.as_ref()?;
    // It was reported before our latest commit on top of it.
    if table.state().head() == Some(table.version()) {
        return None;
    }
    let (landed, rows) = (current.ledger.files.values().map(|file| file.landed).sum::<u64>(), table.rows()?);
    let name = &context.table.name;
    (rows < landed).then(|| Warning {
        message: format!(
            "{} of {name} {} gone that the ledger counts as landed",
            counted(landed - rows, "row"),
            are(landed - rows)
        ),
        details: vec![format!("{landed} landed, {rows} in {name} v{}: another writer deleted them", table.version())],
        help: Some(format!(
            "see who: stedi-delta history {name}; to land them again: stedi-delta sync --reload {name}"
        )),
    })
}

/// Above `max_quarantined` nothing lands.
///
/// # Errors
/// `Evidence` if more records than that went to quarantine.
pub(super) fn check_quarantined(context: &LandingContext<'_>, parsed: &Parsed) -> Result<()> {
    let Some(most) = context.table.landing().and_then(|landing| landing.max_quarantined) else { return Ok(()) };
    let records: u64 = parsed.files.iter().map(|file| file.records).sum();
    let quarantined = parsed.quarantine.rows;
    if !most.is_exceeded(quarantined, records) {
        return Ok(());
    }
    let name = &context.table.name;
    let mut error = Error::new(Kind::Evidence, format!("too many records of {name} cannot land"))
        .fact("found", format!("{quarantined} of {}", counted(records, "record")))
        .fact("expected", format!("`max_quarantined` allows {most}"));
    for (file, at, why) in parsed.examples.iter().take(SHOWN) {
        error = error.fact("because", format!("{file} at byte {at}: {why}"));
    }
    Err(error
        .fact("meanwhile", format!("nothing of these files has landed; {name} stays as it is"))
        .help(format!("correct or remove the files, or the definition of {name}, then sync again")))
}

/// The warnings about the records of a batch.
pub(super) fn of_records(context: &LandingContext<'_>, parsed: &Parsed) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let name = &context.table.name;
    if parsed.quarantine.rows > 0 {
        let count = parsed.quarantine.rows;
        let details = parsed.examples.iter().take(SHOWN).map(|(file, at, why)| format!("{file} at byte {at}: {why}"));
        let records = counted(count, "record");
        let is_record = context.table.landing().is_some_and(|landing| landing.grants.is_some());
        warnings.push(Warning {
            message: if is_record {
                format!("{records} {UNREAD_CONSENT}: a withdrawal among them has not taken effect")
            } else {
                format!("{records} could not land")
            },
            details: details.collect(),
            help: Some(format!("see them: stedi-delta quarantine ls {name}")),
        });
    }
    let rejected: Vec<&FileRow> = parsed.files.iter().filter(|f| f.records > 0 && f.landed == 0).collect();
    if !rejected.is_empty() {
        let details = rejected.iter().take(SHOWN).map(|f| format!("{}: {}", f.path, counted(f.records, "record")));
        let file = word(&format!("{name}:{}", rejected[0].path));
        let or = file.map(|file| format!("; or take them back: stedi-delta sync --unload {file}"));
        warnings.push(Warning {
            message: format!("no record of {} of {name} could land", counted(rejected.len() as u64, "file")),
            details: details.collect(),
            help: Some(format!(
                "correct the definition, then: stedi-delta quarantine replay {name}{}",
                or.unwrap_or_default()
            )),
        });
    }
    if !parsed.separators.is_empty() {
        let details = parsed.separators.iter().take(SHOWN).map(|(file, found)| format!("{file}: {}", found.describe()));
        warnings.push(Warning {
            message: format!(
                "{} of {name} separate records by what JSON does not know; it was skipped",
                counted(parsed.separators.len() as u64, "file")
            ),
            details: details.collect(),
            help: None,
        });
    }
    if !parsed.unknown_fields.is_empty() {
        let shape = RecordShape::of(context.table);
        let shown = |path: &str| fields::shown(&shape, path, &context.privacy);
        let details = parsed
            .unknown_fields
            .iter()
            .take(SHOWN)
            .map(|(field, n)| format!("{} in {}", shown(field), counted(*n, "record")));
        warnings.push(Warning {
            message: format!(
                "values of {} that {name} does not declare were dropped",
                counted(parsed.unknown_fields.len() as u64, "field")
            ),
            details: details.collect(),
            help: Some(format!("declare them under [columns], then: stedi-delta sync --reload {name}")),
        });
    }
    for (check, count) in &parsed.warned {
        warnings.push(Warning {
            message: format!("expectation `{check}` of {name} is not met by {}", counted(*count, "row")),
            details: Vec::new(),
            help: None,
        });
    }
    warnings
}
