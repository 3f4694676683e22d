//! `--select`: the tables of a sync, in dbt's syntax.

use std::collections::BTreeSet;

use crate::error::{Error, Kind, Result};
use crate::name::TableName;
use crate::workspace::Workspace;

/// Tables of a selection.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Tables to bring to the cut: those named, their ancestors, and those that consent requires.
    pub tables: BTreeSet<TableName>,
    /// Tables named.
    pub named: BTreeSet<TableName>,
}

/// Resolves selectors: `table`, `+table`, `table+`, `zone.*`, `tag:label`. The ancestors of a table are always
/// included, and so is every table with consent if its record of consent is. A derived table and its quarantine are
/// selected together: a row that leaves one is in the other.
///
/// # Errors
/// `Usage` for a selector that selects nothing.
pub(super) fn select(workspace: &Workspace, selectors: &[String]) -> Result<Selection> {
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
