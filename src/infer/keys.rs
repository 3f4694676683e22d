//! Which fields of records identify them: those that every record has, with a value of its own.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

/// Records whose values are compared, and fields of which they are.
const MAX_RECORDS: usize = 200_000;
const MAX_COLUMNS: usize = 48;

/// Hashes of the values of the fields that every record so far had.
#[derive(Debug, Default)]
pub(super) struct Keys {
    records: usize,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    node: usize,
    hashes: Vec<u64>,
}

impl Keys {
    /// A value's hash.
    pub(super) fn of(value: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// A value of a field; `None` = one that identifies nothing.
    pub(super) fn value(&mut self, node: usize, hash: Option<u64>) {
        let Some(hash) = hash else { return };
        let records = self.records;
        if records >= MAX_RECORDS {
            return;
        }
        if let Some(column) = self.columns.iter_mut().find(|column| column.node == node) {
            if column.hashes.len() == records {
                column.hashes.push(hash);
            }
        } else if records == 0 && self.columns.len() < MAX_COLUMNS {
            self.columns.push(Column { node, hashes: vec![hash] });
        }
    }

    /// Ends a record: a field without a value in it is out.
    pub(super) fn end_record(&mut self) {
        if self.records < MAX_RECORDS {
            self.records += 1;
            let records = self.records;
            self.columns.retain(|column| column.hashes.len() == records);
        }
    }

    /// Records that were compared.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// The fields that have a value in every record: each with the number of different ones.
    pub(super) fn filled(&self) -> Vec<(usize, usize)> {
        self.columns.iter().map(|column| (column.node, distinct(column.hashes.iter()))).collect()
    }

    /// Whether two fields together have other values in every record.
    pub(super) fn are_unique(&self, one: usize, other: usize) -> bool {
        let of = |node: usize| self.columns.iter().find(|column| column.node == node).map(|column| &column.hashes);
        match (of(one), of(other)) {
            (Some(one), Some(other)) => distinct(one.iter().zip(other)) == self.records,
            _ => false,
        }
    }
}

fn distinct<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> usize {
    values.collect::<HashSet<T>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_one_record_lacks_is_no_key() {
        let mut keys = Keys::default();
        for record in [[1, 10, 5], [2, 10, 6], [2, 11, 7]] {
            for (node, value) in record.into_iter().enumerate().filter(|(node, value)| (*node, *value) != (2, 6)) {
                keys.value(node, Some(value));
            }
            keys.end_record();
        }
        assert_eq!((keys.records(), keys.filled()), (3, vec![(0, 2), (1, 2)]));
        assert!(keys.are_unique(0, 1) && !keys.are_unique(0, 2));
    }
}
