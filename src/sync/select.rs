//! The options of a sync, and `--select`: its tables, in dbt's syntax.

use std::collections::BTreeSet;

use super::Options;
use crate::error::{Error, Kind, Result};
use crate::ingest::Reload;
use crate::name::TableName;
use crate::storage::NOT_A_FOLDER;
use crate::workspace::Workspace;

/// Tables of a selection.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Tables to bring to the cut: those named, their ancestors, and those that consent requires.
    pub tables: BTreeSet<TableName>,
    /// Tables named.
    pub named: BTreeSet<TableName>,
}

/// The selection, after all options were validated.
///
/// # Errors
/// The invalid option.
pub fn checked(workspace: &Workspace, options: &Options) -> Result<Selection> {
    for reload in options.reload.iter().chain(&options.unload) {
        workspace.landing_table(&reload.table)?;
    }
    if let Some(whole) =
        options.unload.iter().find(|u| u.path.as_ref().is_none_or(|path| path.trim_matches('/').is_empty()))
    {
        return Err(Error::new(Kind::Usage, format!("`--unload {}` names no file", whole.table))
            .fact("expected", "TABLE:PATH, a file or a folder under the landing root")
            .help(format!("stedi-delta query \"select path from files where landing_table = '{}'\"", whole.table)));
    }
    if let Some((reload, unload)) = contradiction(options) {
        return Err(Error::new(
            Kind::Usage,
            format!("`--reload {reload}` and `--unload {unload}` name the same files"),
        )
        .fact("expected", "files are either read again or taken out")
        .help("leave one of the two out"));
    }
    if let Some(found) = workspace.landing.no_folder().filter(|_| options.deferred.is_none()) {
        return Err(Error::failed(format!("the landing folder `{}` {found}", workspace.landing))
            .fact("target", workspace.target.clone())
            .help("create it, or name another one with --landing"));
    }
    // A missing folder is created.
    if let Some(found @ NOT_A_FOLDER) = workspace.warehouse.no_folder() {
        return Err(Error::failed(format!("the warehouse `{}` {found}", workspace.warehouse))
            .fact("target", workspace.target.clone())
            .help("name a folder, existing or new, with --warehouse"));
    }
    let selection = select(workspace, &options.select)?;
    let computes = |name: &TableName| workspace.project.table(name).is_some_and(|table| table.landing().is_none());
    if options.full_refresh && !options.select.is_empty() && !selection.named.iter().any(computes) {
        let names: Vec<&str> = selection.named.iter().map(TableName::as_str).collect();
        return Err(Error::new(Kind::Usage, "`--full-refresh` computes derived tables")
            .fact("selected", names.join(", "))
            .help(format!("stedi-delta sync --reload {}   (reads its files again)", names[0])));
    }
    Ok(selection)
}

/// The same file or folder in `--reload` and in `--unload`, as typed. A file of a folder that is reloaded may be taken
/// out.
fn contradiction(options: &Options) -> Option<(String, String)> {
    let path = |asked: &Reload| asked.path.as_ref().map(|path| path.trim_end_matches('/').to_owned());
    let typed = |asked: &Reload| format!("{}:{}", asked.table, asked.path.as_deref().unwrap_or_default());
    options.unload.iter().find_map(|unload| {
        let same = |reload: &&Reload| reload.table == unload.table && path(reload) == path(unload);
        Some((typed(options.reload.iter().find(same)?), typed(unload)))
    })
}

/// Resolves selectors: `table`, `+table`, `table+`, `zone.*`, `tag:label`. The ancestors of a table are always
/// included, and so is every table with consent if its record of consent is. A derived table and its quarantine are
/// selected together: a row that leaves one is in the other.
///
/// # Errors
/// `Usage` for a selector that selects nothing.
fn select(workspace: &Workspace, selectors: &[String]) -> Result<Selection> {
    let all = || workspace.project.tables.iter();
    if selectors.is_empty() {
        let tables: BTreeSet<TableName> = all().map(|t| t.name.clone()).collect();
        return Ok(Selection { named: tables.clone(), tables });
    }
    let mut named = BTreeSet::new();
    for selector in selectors {
        let core = selector.trim_start_matches('+');
        let (core, downwards) = core.strip_suffix('+').map_or((core, false), |c| (c, true));
        let matches: Vec<TableName> = all()
            .filter(|t| match (core.strip_prefix("tag:"), core.strip_suffix(".*")) {
                (Some(tag), _) => t.tags.iter().any(|x| x == tag),
                (_, Some(zone)) => t.zone == zone,
                _ => t.name.as_str() == core || format!("{}.{}", t.zone, t.name) == core,
            })
            .map(|t| t.name.clone())
            .collect();
        if matches.is_empty() {
            return Err(match core.contains([':', '*', '.']) {
                true => Error::new(Kind::Usage, format!("`{selector}` selects no table")),
                false => workspace.unknown(core),
            });
        }
        if downwards {
            named.extend(matches.iter().flat_map(|name| workspace.graph.descendants(name)));
        }
        named.extend(matches);
    }
    let named = with_halves(workspace, named);
    let mut tables = with_ancestors(workspace, named.clone());
    // Changed grants make every table with consent due, and so its ancestors.
    let guarded = all().filter(|t| t.consent.as_ref().is_some_and(|c| tables.contains(&c.grants)));
    let guarded: BTreeSet<TableName> = guarded.map(|t| t.name.clone()).collect();
    tables.extend(with_ancestors(workspace, guarded));
    let tables = with_halves(workspace, tables);
    Ok(Selection { tables, named })
}

/// The tables with their quarantines, and quarantines with their tables. Both have one query, and so the same
/// ancestors.
fn with_halves(workspace: &Workspace, mut names: BTreeSet<TableName>) -> BTreeSet<TableName> {
    let halves = workspace.project.tables.iter().filter_map(|t| Some((t.quarantine_of()?, &t.name)));
    for (owner, quarantine) in halves {
        if names.contains(owner) || names.contains(quarantine) {
            names.extend([owner.clone(), quarantine.clone()]);
        }
    }
    names
}

fn with_ancestors(workspace: &Workspace, names: BTreeSet<TableName>) -> BTreeSet<TableName> {
    let above: Vec<TableName> = names.iter().flat_map(|name| workspace.graph.ancestors(name)).collect();
    names.into_iter().chain(above).collect()
}
