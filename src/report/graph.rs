//! The lineage of tables as a drawing: sources to the left of what is computed from them.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::outcome::{ReportedTable, number};

const WIDTH: usize = 208;
const HEIGHT: usize = 46;
const GAP_X: usize = 56;
const GAP_Y: usize = 18;

/// Column and row of each table.
fn placed(tables: &[ReportedTable]) -> BTreeMap<&str, (usize, usize)> {
    let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
    // Each pass moves tables behind their sources; without cycles the last one is the number of tables.
    for _ in tables {
        for table in tables {
            let sources = table.sources.keys().filter(|source| **source != table.table);
            let column = sources.filter_map(|source| columns.get(source.as_str())).max().map_or(0, |column| column + 1);
            columns.insert(&table.table, column);
        }
    }
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    let mut placed = BTreeMap::new();
    for table in tables {
        let column = columns.get(table.table.as_str()).copied().unwrap_or(0);
        // Each column begins a row lower, so that no line runs behind a box.
        let row = used.entry(column).or_insert(column);
        placed.insert(table.table.as_str(), (column, *row));
        *row += 1;
    }
    placed
}

/// The drawing.
pub(super) fn graph(tables: &[ReportedTable]) -> Markup {
    let placed = placed(tables);
    let at =
        |name: &str| placed.get(name).map(|(column, row)| (column * (WIDTH + GAP_X) + 2, row * (HEIGHT + GAP_Y) + 2));
    let most = |of: fn(&(usize, usize)) -> usize| placed.values().map(of).max().unwrap_or(0) + 1;
    let (width, height) = (most(|at| at.0) * (WIDTH + GAP_X), most(|at| at.1) * (HEIGHT + GAP_Y));
    let edges: Vec<String> = tables
        .iter()
        .flat_map(|table| table.sources.keys().map(move |source| (source.as_str(), table.table.as_str())))
        .filter_map(|(source, table)| {
            let ((x1, y1), (x2, y2)) = (at(source)?, at(table)?);
            let (x1, y1, y2) = (x1 + WIDTH, y1 + HEIGHT / 2, y2 + HEIGHT / 2);
            let middle = (x1 + x2) / 2;
            Some(format!("M{x1},{y1} C{middle},{y1} {middle},{y2} {x2},{y2}"))
        })
        .collect();
    html! {
        // It may be wider than the page: it can be scrolled, also by keyboard.
        div.graph tabindex="0" role="region" aria-label="Lineage" {
            svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img"
                aria-label="Which table is computed from which; the table of sources below says the same" {
                @for edge in &edges { path.edge d=(edge) {} }
                @for table in tables {
                    @if let Some((x, y)) = at(&table.table) {
                        rect.box.(table.kind) x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="6" {}
                        text.name x=(x + 10) y=(y + 19) { (shortened(&table.table)) }
                        text.small x=(x + 10) y=(y + 36) {
                            @match table.version { Some(version) => { "v" (version) }, None => "does not exist" }
                            @if let Some(rows) = table.rows { " · " (number(rows)) " rows" }
                        }
                    }
                }
            }
        }
    }
}

fn shortened(name: &str) -> String {
    const FITS: usize = 26;
    match name.char_indices().nth(FITS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, sources: &[&str]) -> ReportedTable {
        ReportedTable {
            table: name.into(),
            zone: "z".into(),
            description: String::new(),
            kind: "derived",
            location: String::new(),
            table_uuid: None,
            version: Some(3),
            committed_at: None,
            rows: Some(1_204),
            files: 1,
            bytes: 1,
            consent: None,
            personal: Vec::new(),
            sources: sources.iter().map(|source| ((*source).to_owned(), None)).collect(),
            versions: Vec::new(),
        }
    }

    #[test]
    fn a_table_stands_to_the_right_of_its_sources() {
        let tables =
            [table("d", &["b", "c"]), table("a", &[]), table("b", &["a"]), table("c", &["b", "a"]), table("e", &[])];
        let placed = placed(&tables);
        let columns: Vec<usize> = ["a", "b", "c", "d", "e"].map(|name| placed[name].0).to_vec();
        assert_eq!(columns, [0, 1, 2, 3, 0]);
        assert_ne!(placed["a"].1, placed["e"].1);
        let drawn = graph(&tables).into_string();
        assert_eq!(drawn.matches("<path").count(), 5);
        assert!(drawn.contains("v3 · 1,204 rows"), "{drawn}");
    }
}
