//! The order in which tables are computed.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::TableName;

/// Tables in topological order: each as early as its zone and name allow.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Every table once, including those in cycles.
    pub tables: Vec<TableName>,
    /// Tables that read each other, each cycle starting with its smallest name.
    pub cycles: Vec<Vec<TableName>>,
}

/// Orders tables by the number of their zone, the tables that they read, and their name.
pub(super) fn order(tables: &BTreeMap<TableName, (usize, BTreeSet<TableName>)>) -> Order {
    let mut order = Order::default();
    let mut left: BTreeSet<(usize, &TableName)> = tables.iter().map(|(name, (zone, _))| (*zone, name)).collect();
    while !left.is_empty() {
        let waits = |name: &TableName| tables[name].1.iter().filter(|d| left.iter().any(|(_, l)| l == d)).min();
        if let Some(next) = left.iter().find(|(_, name)| waits(name).is_none()).copied() {
            left.remove(&next);
            order.tables.push(next.1.clone());
            continue;
        }
        // Every remaining table waits for a remaining one, so following the waits finds a cycle.
        let mut path: Vec<&TableName> = left.iter().map(|(_, name)| *name).take(1).collect();
        let cycle = loop {
            let Some(next) = path.last().and_then(|name| waits(name)) else { break path };
            if let Some(at) = path.iter().position(|p| *p == next) {
                break path.split_off(at);
            }
            path.push(next);
        };
        let smallest = cycle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
        let cycle: Vec<TableName> = (0..cycle.len()).map(|i| cycle[(smallest + i) % cycle.len()].clone()).collect();
        left.retain(|(_, name)| !cycle.contains(name));
        order.tables.extend(cycle.iter().cloned());
        order.cycles.push(cycle);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TableName {
        TableName::parse(text).unwrap()
    }

    fn ordered(tables: &[(&str, usize, &[&str])]) -> (String, Vec<String>) {
        let tables = tables.iter().map(|(n, zone, deps)| (name(n), (*zone, deps.iter().map(|d| name(d)).collect())));
        let order = order(&tables.collect());
        let join = |names: &[TableName]| names.iter().map(TableName::as_str).collect::<Vec<_>>().join(" ");
        (join(&order.tables), order.cycles.iter().map(|c| join(c)).collect())
    }

    #[test]
    fn tables_follow_what_they_read_then_zone_then_name() {
        let (tables, cycles) = ordered(&[("a", 1, &["z"]), ("b", 0, &[]), ("z", 1, &["b"]), ("c", 1, &["b"])]);
        assert_eq!(tables, "b c z a");
        assert!(cycles.is_empty());
    }

    #[test]
    fn each_cycle_is_named_once_and_does_not_hold_up_the_rest() {
        let (tables, cycles) =
            ordered(&[("a", 0, &["c"]), ("b", 0, &["a"]), ("c", 0, &["b"]), ("d", 0, &["a"]), ("e", 0, &["e"])]);
        assert_eq!(cycles, ["a c b", "e"]);
        assert_eq!(tables.split(' ').count(), 5);
        assert!(tables.contains('d'));
    }
}
