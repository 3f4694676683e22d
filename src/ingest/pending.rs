//! Classifies landing files: to be read, to be unloaded, waiting, or left out, with the messages about them.

use std::collections::{BTreeMap, BTreeSet};

use deltalake::arrow::array::AsArray;
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::logical_expr::{Expr, ident, lit};
use deltalake::datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::discover::{Discovery, Patience, any_fits, discover};
use super::ledger::{FileRow, FileState, Ledger};
use super::parse::Input;
use super::recover::TableState;
use super::{LandingContext, notes};
use crate::definition::{Landing, OnOverwrite, RESCUED, SOURCE_FILE};
use crate::error::{Context, Error, Result};
use crate::lake::LakeTable;
use crate::name::TableName;
use crate::outcome::{PlannedFile, Warning, counted};
use crate::privacy::word;
use crate::storage::{Location, ObjectMeta, is_denied};

/// `TABLE` or `TABLE:PATH`: files to be read again, or to be unloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Landing table.
    pub table: String,
    /// One file or folder under the landing root; `None` = all of the table's.
    pub path: Option<String>,
}

impl Reload {
    /// Parses `TABLE` or `TABLE:PATH`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((table, path)) => Self { table: table.to_owned(), path: Some(path.to_owned()) },
            None => Self { table: text.to_owned(), path: None },
        }
    }

    /// Whether it names a file of a table.
    fn matches(&self, table: &str, path: &str) -> bool {
        let under = |wanted: &str| {
            path == wanted || path.strip_prefix(wanted.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        };
        self.table == table && self.path.as_deref().is_none_or(under)
    }
}

/// The files of a saved plan: by landing table, then by path.
pub(crate) type PlannedFiles = BTreeMap<String, BTreeMap<String, PlannedFile>>;

/// Which of the landing files are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Files<'a> {
    /// All that are there.
    #[default]
    All,
    /// Those of a plan, in the state that it names.
    Planned(&'a PlannedFiles),
    /// None, and they are not listed either: a rehearsal.
    None,
}

/// Requests about single files of landing tables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// Which files are read at all.
    pub(crate) files: Files<'a>,
    /// Files to be read again.
    pub reload: &'a [Reload],
    /// Files whose rows are to be removed; each names a path.
    pub unload: &'a [Reload],
    /// Tables of which files are to be read again that have rows with undeclared fields.
    pub rescue: &'a [TableName],
}

impl Asked<'_> {
    /// Whether every file of a table is to be read again.
    #[must_use]
    pub(crate) fn reloads_all(&self, table: &str) -> bool {
        self.reload.iter().any(|r| r.table == table && r.path.is_none())
    }

    fn reloads(&self, table: &str, path: &str) -> bool {
        self.reload.iter().any(|r| r.matches(table, path))
    }

    /// The same by the file's own path: only that reads an unloaded file again.
    fn reloads_path(&self, table: &str, path: &str) -> bool {
        self.reload.iter().any(|r| r.path.is_some() && r.matches(table, path))
    }

    fn unloads(&self, table: &str, path: &str) -> bool {
        self.unload.iter().any(|r| r.matches(table, path))
    }

    /// Refuses requests about files that the table does not have.
    fn check(
        &self,
        context: &LandingContext<'_>,
        landing: &Landing,
        current: &TableState,
        (pending, unloaded): (&Pending, &BTreeSet<String>),
    ) -> Result<()> {
        let name = context.table.name.as_str();
        let files = || format!("stedi-delta query \"select path from files where landing_table = '{name}'\"");
        for wanted in self.reload.iter().filter(|r| r.table == name) {
            let Some(path) = &wanted.path else { continue };
            if pending.replaced.iter().chain(&pending.waiting).any(|file| wanted.matches(name, file)) {
                continue;
            }
            let is_gone = current.ledger.files.keys().any(|file| wanted.matches(name, file));
            let gone = word(&format!("{name}:{path}")).filter(|_| is_gone);
            let unload = |word| format!("stedi-delta sync --unload {word}   (takes out the rows of what is gone)");
            return Err(Error::failed(format!("`{path}` is no file of {name}"))
                .fact("landing", context.root.to_string())
                .fact("expected", format!("a path below it that fits `{}`", landing.path))
                .help(gone.map_or_else(files, unload)));
        }
        for wanted in self.unload.iter().filter(|u| u.table == name) {
            let path = wanted.path.as_deref().unwrap_or_default();
            // What was unloaded before is done.
            if !pending.unloaded.iter().chain(unloaded).any(|file| wanted.matches(name, file)) {
                let expected = "a file or folder of which rows have landed, with its path under the landing root";
                return Err(Error::failed(format!("`{path}` is no file of {name}"))
                    .fact("expected", expected)
                    .help(files()));
            }
        }
        Ok(())
    }
}

/// The work of a sync on a landing table's files.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Files to be read.
    pub(super) inputs: Vec<Input>,
    /// Those of them whose older rows are removed.
    pub(super) replaced: Vec<String>,
    /// Files that look changed but are not.
    pub(super) refreshed: Vec<FileRow>,
    /// Files whose rows are removed and that are not read any more.
    pub(super) unloaded: Vec<String>,
    /// Those of them that were unloaded before, and whose rows are back.
    pub(super) put_back: BTreeSet<String>,
    /// Files too young to be read.
    pub waiting: Vec<String>,
    /// Files that cannot be read although they should be: the others land.
    pub left_out: Vec<Error>,
    /// Other warnings about the files.
    pub warnings: Vec<Warning>,
}

impl Pending {
    /// New files and replaced files.
    #[must_use]
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.inputs.len() - self.replaced.len(), self.replaced.len())
    }

    /// The files of which a batch records a new state: to be read, or unchanged under another tag or time.
    #[must_use]
    pub(crate) fn files(&self) -> Vec<PlannedFile> {
        let refreshed = self.refreshed.iter().map(|row| PlannedFile {
            path: row.path.clone(),
            size: row.size,
            etag: row.etag.clone(),
            modified_ms: row.modified_ms,
        });
        let mut files: Vec<PlannedFile> =
            self.inputs.iter().map(|input| as_planned(&input.path, &input.meta)).chain(refreshed).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Bytes of the files to be read.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.meta.size).sum()
    }
}

/// Lists the landing files and compares them with the ledger; reads only files that look changed.
///
/// # Errors
/// If the store fails, or if a request matches no file of the table.
pub(crate) async fn pending(
    context: &LandingContext<'_>,
    landing: &Landing,
    current: &TableState,
    (ledger, session): (&Ledger, &SessionContext),
    asked: Asked<'_>,
    patience: Patience,
) -> Result<Pending> {
    let name = context.table.name.as_str();
    let none = BTreeMap::new();
    let (planned, patience) = match asked.files {
        Files::All => (None, patience),
        // The files of a plan are old enough.
        Files::Planned(files) => (Some(files.get(name).unwrap_or(&none)), Patience::Hurries),
        Files::None => return Ok(Pending::default()),
    };
    let found = discover(&context.root, landing, patience).await?;
    if let Some(planned) = planned {
        check_planned(name, planned, &found)?;
    }
    let is_planned = |path: &str| planned.is_none_or(|files| files.contains_key(path));
    let mut later = 0;
    let mut pending = Pending { waiting: found.waiting.clone(), ..Pending::default() };
    pending.left_out.extend(notes::odd(name, &found.odd));
    pending.warnings.extend(notes::outside(name, &found.outside));
    pending.warnings.extend(notes::dangling(name, &found.dangling));
    pending.warnings.extend(notes::deleted(context, current));
    if found.is_empty() {
        let known = current.ledger.files.keys().chain(&current.previous_files);
        // Files that landed may have been deleted since: stores delete old ones.
        if !any_fits(landing, known)? {
            pending.warnings.push(notes::nothing(context, landing).await?);
        }
    }
    let unloaded = ledger.unloaded(name);
    let again = unloaded.iter().filter(|path| asked.unloads(name, path)).cloned().collect();
    pending.put_back = put_back(context, current, session, again).await?;
    pending.unloaded = unload(name, current, (&found, &unloaded), asked);
    pending.unloaded.extend(pending.put_back.iter().cloned());
    let mut rescued = match asked.rescue.contains(&context.table.name) {
        true => rescued_files(context, current, session).await?,
        false => BTreeSet::new(),
    };
    let mut overwritten = Vec::new();
    let mut suspect = Vec::new();
    let mut skipped = Vec::new();
    pending.waiting.retain(|path| !asked.unloads(name, path));
    for (path, meta) in found.files {
        let is_unloaded = unloaded.contains(&path);
        if asked.unloads(name, &path) && !is_unloaded {
            continue;
        }
        if is_unloaded && !asked.reloads_path(name, &path) {
            skipped.push(path);
            continue;
        }
        if is_planned(&path) && (rescued.remove(&path) || asked.reloads(name, &path)) {
            pending.replaced.push(path.clone());
            pending.inputs.push(Input { path, meta });
            continue;
        }
        match current.ledger.files.get(&path) {
            Some(known) if same_state(known, &meta) => {}
            // A changed file that is not to be replaced is an error at any time.
            known if !is_planned(&path) && (known.is_none() || landing.on_overwrite == OnOverwrite::Replace) => {
                later += 1;
            }
            None => pending.inputs.push(Input { path, meta }),
            Some(known) => suspect.push((path, known.size == meta.size, meta)),
        }
    }
    // Only a file of unchanged length can be unchanged, and only then is its hash needed.
    let wanted = suspect.iter().filter(|(_, as_long, _)| *as_long).map(|(path, ..)| path.as_str()).collect();
    let rows = ledger.rows(session, context.table.name.as_str(), &current.uuid, &wanted).await?;
    let mut denied = found.denied;
    for (path, as_long, meta) in suspect {
        let known = rows.get(&path).filter(|_| as_long);
        let content_hash = match known {
            Some(_) => match hash(&context.root, &meta).await {
                Err(error) if is_denied(&error) => {
                    denied.push(path);
                    continue;
                }
                hash => Some(hash?),
            },
            None => None,
        };
        if let Some(known) = known
            && content_hash.as_ref() == Some(&known.content_hash)
        {
            if !is_planned(&path) {
                later += 1;
                continue;
            }
            pending.refreshed.push(FileRow {
                etag: meta.e_tag.clone(),
                modified_ms: meta.last_modified.timestamp_millis(),
                ..known.clone()
            });
        } else if landing.on_overwrite == OnOverwrite::Replace {
            pending.replaced.push(path.clone());
            pending.inputs.push(Input { path, meta });
        } else {
            overwritten.push(path);
        }
    }
    pending.warnings.extend(notes::not_rescued(name, &rescued));
    pending.left_out.extend(notes::denied(name, &denied));
    pending.left_out.extend(notes::overwritten(name, &overwritten));
    pending.warnings.extend(notes::skipped(name, &skipped));
    pending.warnings.extend(notes::later(name, later));
    asked.check(context, landing, current, (&pending, &unloaded))?;
    Ok(pending)
}

fn as_planned(path: &str, meta: &ObjectMeta) -> PlannedFile {
    PlannedFile {
        path: path.to_owned(),
        size: meta.size,
        etag: meta.e_tag.clone(),
        modified_ms: meta.last_modified.timestamp_millis(),
    }
}

/// Checks that the files of a plan are there, in the state that it names.
///
/// # Errors
/// `Conflict` if not.
fn check_planned(name: &str, planned: &BTreeMap<String, PlannedFile>, found: &Discovery) -> Result<()> {
    let young = &found.waiting;
    let mut other = planned.values().filter_map(|file| {
        let at = found.files.binary_search_by(|(path, _)| path.cmp(&file.path));
        match at.ok().and_then(|at| found.files.get(at)) {
            Some((path, meta)) if as_planned(path, meta) == *file => None,
            Some(_) => Some((file, "changed")),
            // Written a moment ago.
            None if young.contains(&file.path) => Some((file, "changed")),
            None => Some((file, "is gone")),
        }
    });
    let Some((first, what)) = other.next() else { return Ok(()) };
    let more = match other.count() as u64 {
        0 => String::new(),
        more => format!(", and {} more", counted(more, "file")),
    };
    Err(Error::conflict(format!("file `{}` of {name} {what}{more}", first.path))
        .fact("expected", "the files of the plan"))
}

/// The files to unload, among those that landed under any id of the table and those that exist, without those that were
/// unloaded before.
fn unload(
    name: &str,
    current: &TableState,
    (found, unloaded): (&Discovery, &BTreeSet<String>),
    asked: Asked<'_>,
) -> Vec<String> {
    let landed = current.ledger.files.keys().chain(&current.previous_files);
    let there = found.files.iter().map(|(path, _)| path).chain(&found.waiting);
    let is_wanted = |path: &&String| asked.unloads(name, path) && !unloaded.contains(*path);
    let wanted: BTreeSet<&String> = landed.chain(there).filter(is_wanted).collect();
    wanted.into_iter().cloned().collect()
}

/// The files among `paths`, unloaded before, that have rows in the table or in its quarantine: another writer may have
/// restored an older version.
async fn put_back(
    context: &LandingContext<'_>,
    current: &TableState,
    session: &SessionContext,
    paths: Vec<String>,
) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    if paths.is_empty() {
        return Ok(found);
    }
    let doing = || format!("the rows of unloaded files of {} cannot be looked up", context.table.name);
    let quarantine = LakeTable::open(&context.quarantine).await?;
    for table in current.table.iter().chain(&quarantine) {
        let is_of_these = ident(SOURCE_FILE).in_list(paths.iter().map(|path| lit(path.as_str())).collect(), false);
        found.extend(files_of(table, session, is_of_these).await.context(doing)?);
    }
    Ok(found)
}

/// The files of which a row has fields that no column took.
async fn rescued_files(
    context: &LandingContext<'_>,
    current: &TableState,
    session: &SessionContext,
) -> Result<BTreeSet<String>> {
    let doing = || format!("the undeclared fields of {} cannot be looked up", context.table.name);
    match current.table.as_ref().filter(|table| table.schema().field_with_name(RESCUED).is_ok()) {
        Some(table) => files_of(table, session, ident(RESCUED).is_not_null()).await.context(doing),
        None => Ok(BTreeSet::new()),
    }
}

/// The landing files of the rows that meet a condition.
async fn files_of(table: &LakeTable, session: &SessionContext, condition: Expr) -> Result<BTreeSet<String>> {
    let doing = || format!("the rows of {} cannot be read", table.location());
    let mut found = BTreeSet::new();
    let frame = session.read_table(table.provider(session, None).await?).context(doing)?;
    let frame = frame.filter(condition).and_then(|f| f.select(vec![ident(SOURCE_FILE)])).context(doing)?;
    for batch in frame.distinct().context(doing)?.collect().await.context(doing)? {
        let files = cast(batch.column(0), &DataType::Utf8).context(doing)?;
        found.extend(files.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(found)
}

fn same_state(known: &FileState, meta: &ObjectMeta) -> bool {
    known.size == meta.size && known.etag == meta.e_tag && known.modified_ms == meta.last_modified.timestamp_millis()
}

async fn hash(root: &Location, meta: &ObjectMeta) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut chunks = root.chunks(meta);
    while let Some(chunk) = chunks.next().await {
        hasher.update(&chunk?);
    }
    Ok(hasher.finalize().to_hex().to_string())
}
