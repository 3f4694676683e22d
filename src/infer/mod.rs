//! Sample files -> the definition of a landing table, or an edit of one that exists.
//!
//! | step | action | module |
//! |---|---|---|
//! | place | what was typed becomes the table's `path` and its name | [`place`] |
//! | sample | the beginnings of the files, within a limit | [`sample`] |
//! | observe | what the records hold, read by the reader of landing files | [`observe`], [`learn`] |
//! | decide | the smallest type of each place; names, keys, personal data | [`lattice`], [`columns`], [`keys`], [`personal`] |
//! | write | the definition, checked as `check` does | [`toml_text`], [`change`] |
//! | rehearse | the samples once more, by that definition: what lands and what does not | [`learn`] |
//!
//! The last step is why the announced counts are right: they come from the reader that a sync uses, with the definition that it
//! would use. A new format of landing files implements [`FileFormat::values`](crate::ingest::format::FileFormat::values);
//! nothing here knows JSON.

mod change;
mod columns;
mod content;
mod diff;
mod draft;
mod edited;
mod keys;
mod lattice;
mod learn;
mod observe;
mod personal;
mod place;
mod sample;
#[cfg(test)]
mod tests;
mod toml_text;
mod words;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub use change::Change;
pub use learn::{Fate, Refused};

use crate::definition::{Format, Table};
use crate::error::{Context as _, Error, Kind, Result};
use crate::ingest::format::{RecordShape, of};
use crate::ingest::matching;
use crate::name::{TableName, nearest};
use crate::privacy::quoted;
use crate::source::SourceFile;
use crate::workspace::{Workspace, load_with};
use draft::{candidate_keys, definition, described};
use edited::edited;
use observe::Observed;
use sample::Samples;

/// Decompressed bytes that are read unless something else is asked for.
pub const DEFAULT_SAMPLE: u64 = 32 << 20;
/// Fewer bytes say nothing.
const LEAST_SAMPLE: u64 = 1 << 10;

/// What to infer from.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Patterns and files, as typed.
    pub globs: Vec<String>,
    /// `zone.name`, or a name.
    pub table: Option<String>,
    /// Most decompressed bytes to read.
    pub sample: u64,
    /// Whether a definition that exists is edited.
    pub write: bool,
    /// Whether nothing is written at all.
    pub print: bool,
}

/// Columns: each with its name, its type, and what a reader should know.
pub type Columns = Vec<(String, String, Vec<String>)>;

/// A drafted definition.
#[derive(Debug)]
pub struct Inferred {
    /// The table's name.
    pub table: String,
    /// Its zone.
    pub zone: String,
    /// Its file, relative to the project.
    pub file: PathBuf,
    /// Its `path`.
    pub path: String,
    /// The whole definition.
    pub text: String,
    /// What became of it.
    pub action: Action,
    /// Files that match, files that were read, of these and the others those that were not read whole, bytes that were read.
    pub files: [u64; 3],
    /// Decompressed bytes that were read.
    pub bytes: u64,
    /// What becomes of the sample's records with this definition.
    pub fate: Fate,
    /// The columns: name, type, and what a reader should know.
    pub columns: Columns,
    /// Candidate keys.
    pub keys: Vec<Vec<String>>,
    /// Fields that got no column, since their names may be values.
    pub left_out: u64,
    /// Of a definition that existed: what its records ask for.
    pub changes: Vec<Change>,
    /// The lines by which its text differs, with `-` and `+`.
    pub diff: Vec<String>,
    /// What becomes of the records without the edit.
    pub before: Option<Fate>,
}

/// What became of a drafted definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is a new file.
    Written,
    /// The file that existed was edited.
    Edited,
    /// The file that existed needs an edit, which was not made.
    Proposed,
    /// The file that existed fits.
    Unchanged,
    /// It is printed only.
    Printed,
}

/// Drafts the definition of a landing table from sample files; writes it if there is none.
///
/// # Errors
/// A pattern is not under the landing root, or nothing fits it; a file cannot be read or written; the table is another one.
pub async fn infer(workspace: &Workspace, asked: &Asked) -> Result<Inferred> {
    if asked.sample < LEAST_SAMPLE {
        let error = Error::new(Kind::Usage, format!("a sample of {} bytes says nothing", asked.sample));
        return Err(error.help("write --sample 32MB"));
    }
    let typed = place::under_root(workspace, &asked.globs).await?;
    let pattern = place::combined(&typed);
    let known = existing(workspace, asked, &pattern)?;
    let files = matching(&workspace.landing, &pattern).await?;
    if files.is_empty() {
        return Err(place::none(workspace, &pattern));
    }
    let samples = Samples::read(&workspace.landing, &files, asked.sample).await?;
    let format = known.as_ref().and_then(|table| table.landing()).map_or(Format::Json, |landing| landing.format);
    let mut observed = learn::observe(&samples, of(format))?;
    if observed.root().objects == 0 {
        return Err(no_records(&samples, format)?);
    }
    let mut inferred = match known {
        Some(table) => edited(workspace, table, &files, &samples, &mut observed)?,
        None => new(workspace, asked, &pattern, &samples, &mut observed)?,
    };
    let read = samples.files.len() as u64;
    (inferred.files, inferred.bytes) = ([samples.matching, read, samples.partly], samples.bytes());
    write(workspace, asked, &mut inferred)?;
    Ok(inferred)
}

/// Why nothing of the samples can be used.
fn no_records(samples: &Samples, format: Format) -> Result<Error> {
    let shape = RecordShape { columns: Vec::new(), readings: Vec::new(), on_new_field: Default::default() };
    let fate = learn::rehearse(samples, of(format), &shape)?;
    let paths: Vec<&str> = samples.files.iter().take(3).map(|file| file.path.as_str()).collect();
    let mut error = Error::failed("no record could be read").fact("files", paths.join(", "));
    if let Some(first) = fate.reasons.first() {
        error = error.fact("found", format!("{} at byte {}: {}", first.file, first.offset, first.reason));
    }
    Ok(error.fact("expected", "JSON objects: one per line, or in one array (docs/landing.md)"))
}

/// The table that is there already: the one that is named, or the one with this `path` or name.
fn existing<'w>(workspace: &'w Workspace, asked: &Asked, pattern: &str) -> Result<Option<&'w Table>> {
    let tables = || workspace.project.tables.iter();
    let found = match &asked.table {
        Some(named) => {
            let name = named.rsplit('.').next().unwrap_or(named);
            tables().find(|table| table.name.as_str() == name)
        }
        None => {
            let name = named(workspace, None, pattern)?.1;
            let same = tables().find(|table| table.landing().is_some_and(|landing| landing.path == pattern));
            same.or_else(|| tables().find(|table| table.name == name))
        }
    };
    match found {
        Some(table) if table.landing().is_none() => {
            Err(Error::new(Kind::Usage, format!("`{}` is a derived table", table.name))
                .fact("definition", table.file.path.display().to_string())
                .help("name the landing table: --table ZONE.NAME"))
        }
        other => Ok(other),
    }
}

/// Zone and name of a new table.
fn named(workspace: &Workspace, table: Option<&str>, pattern: &str) -> Result<(String, TableName)> {
    let zones = &workspace.project.zones;
    let first = zones.first().cloned().unwrap_or_default();
    let Some(table) = table else {
        let base = place::name_of(pattern, &workspace.landing);
        // The short name is left to the table that is derived from it.
        let name = if base.ends_with(&format!("_{first}")) { base } else { format!("{base}_{first}") };
        let name =
            TableName::parse(&name).map_err(|reason| Error::failed(reason).help("name it: --table ZONE.NAME"))?;
        return Ok((first, name));
    };
    let (zone, name) = table.split_once('.').map_or((first.as_str(), table), |(zone, name)| (zone, name));
    if !zones.iter().any(|one| one == zone) {
        let error = Error::new(Kind::Usage, format!("`{zone}` is no zone of this project"));
        return Err(match nearest(zone, zones.iter().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean `--table {near}.{}`?", quoted(name))),
            None => error.fact("zones", zones.join(", ")),
        });
    }
    let name = TableName::parse(name)
        .map_err(|reason| Error::new(Kind::Usage, format!("`{table}` cannot be a table: {reason}")))?;
    Ok((zone.to_owned(), name))
}

/// A definition for records that no table reads.
fn new(
    workspace: &Workspace,
    asked: &Asked,
    pattern: &str,
    samples: &Samples,
    observed: &mut Observed,
) -> Result<Inferred> {
    let (zone, name) = named(workspace, asked.table.as_deref(), pattern)?;
    let (fields, left_out) = columns::of(observed, 0);
    if fields.is_empty() {
        let error = Error::failed("no field has a name that a column could have");
        return Err(error.help("write the definition by hand: docs/columns.md"));
    }
    let keys = candidate_keys(observed, &fields);
    let text = definition((&zone, &name), pattern, samples, observed, &fields, &keys);
    let file = PathBuf::from(format!("tables/{zone}/{name}.toml"));
    let (shape, _) = checked(workspace, &file, &text, &name)?;
    let fate = learn::rehearse(samples, of(Format::Json), &shape)?;
    Ok(Inferred {
        table: name.to_string(),
        zone,
        file,
        path: pattern.to_owned(),
        text,
        action: Action::Written,
        files: [0; 3],
        bytes: 0,
        fate,
        columns: fields.iter().map(described).collect(),
        keys,
        left_out: left_out as u64,
        changes: Vec::new(),
        diff: Vec::new(),
        before: None,
    })
}

/// How the records of a drafted table become rows, and its columns, as the checked project has them.
fn checked(workspace: &Workspace, file: &Path, text: &str, name: &TableName) -> Result<(RecordShape, Columns)> {
    let source = SourceFile { path: file.to_owned(), text: text.to_owned() };
    let project = load_with(&workspace.project.root, source)?;
    match project.table(name) {
        Some(table) => Ok((RecordShape::of(table), edited::known_columns(table))),
        None => Err(Error::new(Kind::Internal, "the drafted table is not in the project")),
    }
}

/// Writes the file, as far as that is asked for.
fn write(workspace: &Workspace, asked: &Asked, inferred: &mut Inferred) -> Result<()> {
    let path = workspace.project.root.join(&inferred.file);
    let doing = || format!("{} cannot be written", inferred.file.display());
    if asked.print {
        inferred.action = Action::Printed;
        return Ok(());
    }
    match inferred.action {
        Action::Written => {
            let folder = path.parent().unwrap_or(&workspace.project.root);
            fs::create_dir_all(folder).context(doing)?;
            // Nobody else's file of this name is overwritten.
            let mut file = fs::File::create_new(&path).context(doing)?;
            file.write_all(inferred.text.as_bytes()).context(doing)
        }
        Action::Proposed if asked.write && !inferred.diff.is_empty() => {
            let beside = path.with_extension("toml~");
            fs::write(&beside, &inferred.text).context(doing)?;
            fs::rename(&beside, &path).context(doing)?;
            inferred.action = Action::Edited;
            Ok(())
        }
        _ => Ok(()),
    }
}
