//! A lineage as a tree, and as a diagram.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::render::text::{count, date_time};
use crate::outcome::{ColumnInput, ColumnUse, LineageOutcome, LineageTable};
use crate::privacy::one_line;

fn name(table: &LineageTable) -> String {
    match table.version {
        Some(version) => format!("{} v{version}", table.name),
        None => format!("{} (version unknown)", table.name),
    }
}

/// The tables beside one in the direction of the graph: with the version that they read, if they did, and whether only for
/// consent.
fn next(outcome: &LineageOutcome, at: usize) -> Vec<(usize, Option<u64>, bool)> {
    let edges = outcome.edges.iter();
    if outcome.is_downstream {
        edges.filter(|edge| edge.from == at).map(|edge| (edge.to, edge.read, edge.is_consent)).collect()
    } else {
        edges.filter(|edge| edge.to == at).map(|edge| (edge.from, None, edge.is_consent)).collect()
    }
}

/// The tree, each table with what it was computed from below it.
pub(super) fn answer(outcome: &LineageOutcome) -> String {
    let mut text = String::new();
    let mut shown = BTreeSet::new();
    let mut pending: Vec<(usize, usize, Option<u64>, bool)> = vec![(0, 0, None, false)];
    while let Some((at, depth, read, is_consent)) = pending.pop() {
        let Some(table) = outcome.tables.get(at) else { continue };
        let indent = "  ".repeat(depth);
        let mut said: Vec<String> = Vec::new();
        said.extend(table.committed_ms.map(date_time));
        said.extend(is_consent.then(|| "for consent only".to_owned()));
        let edge = outcome.edges.iter().find(|edge| edge.to == at && edge.read == read);
        let source = edge.and_then(|edge| outcome.tables.get(edge.from));
        said.extend(read.zip(source).map(|(read, source)| format!("from {} v{read}", source.name)));
        if let Some(files) = &table.files {
            let records: u64 = files.iter().map(|file| file.records).sum();
            said.push(format!("{} of {}", count(records, "record"), count(files.len() as u64, "file")));
        }
        let is_new = shown.insert(at);
        let sources = next(outcome, at);
        if !is_new && !sources.is_empty() {
            said.push("see above".to_owned());
        }
        let said = if said.is_empty() { String::new() } else { format!("  {}", said.join(", ")) };
        text.push_str(&format!("{indent}{}{said}\n", name(table)));
        if !is_new {
            continue;
        }
        for note in &table.notes {
            text.push_str(&format!("{indent}    {}\n", one_line(note)));
        }
        columns(outcome, at, &indent, &mut text);
        pending.extend(sources.into_iter().rev().map(|(next, read, is_consent)| (next, depth + 1, read, is_consent)));
    }
    text
}

fn columns(outcome: &LineageOutcome, at: usize, indent: &str, text: &mut String) {
    for column in outcome.columns.iter().flatten().filter(|column| column.table == at) {
        let inputs = column.inputs.iter().filter_map(|input| {
            let table = outcome.tables.get(input.table)?;
            let computed = match input.used {
                Some(ColumnUse::Transformation) => " (computed)",
                Some(ColumnUse::Aggregation) => " (of several rows)",
                Some(ColumnUse::Identity) | None => "",
            };
            Some(format!("{}.{}{computed}", table.name, input.column))
        });
        let inputs = inputs.collect::<Vec<_>>();
        let inputs = if inputs.is_empty() { "no column".to_owned() } else { inputs.join(", ") };
        match &column.column {
            Some(name) => text.push_str(&format!("{indent}    {name} <- {inputs}\n")),
            None => text.push_str(&format!("{indent}    which rows there are <- {inputs}\n")),
        }
    }
}

/// The diagram, from landing files to the right.
pub(super) fn mermaid(outcome: &LineageOutcome) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let mut ids: BTreeMap<(usize, &str), String> = BTreeMap::new();
    for (at, table) in outcome.tables.iter().enumerate() {
        let label = quoted(&name(table));
        match &outcome.columns {
            None => text.push_str(&format!("  t{at}[{label}]\n")),
            Some(_) => {
                text.push_str(&format!("  subgraph t{at}[{label}]\n"));
                for (number, (column, _)) in table.columns.iter().enumerate() {
                    let id = format!("t{at}c{number}");
                    text.push_str(&format!("    {id}[{}]\n", quoted(column)));
                    ids.insert((at, column), id);
                }
                text.push_str("  end\n");
            }
        }
        if let Some(files) = &table.files {
            let label = quoted(&count(files.len() as u64, "file"));
            text.push_str(&format!("  f{at}[({label})] --> t{at}\n"));
        }
    }
    for edge in &outcome.edges {
        let arrow = if edge.is_consent { "-. consent .->" } else { "-->" };
        text.push_str(&format!("  t{} {arrow} t{}\n", edge.from, edge.to));
    }
    for column in outcome.columns.iter().flatten() {
        let to = column.column.as_deref().and_then(|name| ids.get(&(column.table, name)));
        for ColumnInput { table, column: name, .. } in &column.inputs {
            if let (Some(from), Some(to)) = (ids.get(&(*table, name.as_str())), to) {
                text.push_str(&format!("  {from} --> {to}\n"));
            }
        }
    }
    text
}

/// A label of Mermaid.
fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(text).replace('"', "#quot;"))
}
