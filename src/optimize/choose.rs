//! Which files of a table are merged: small ones, and those that overlap in `cluster_by`.
//!
//! A file is small if it has less than a quarter of the bytes, and of the rows, at which one is closed. A sync merges files
//! of about the same size, [`MANY`] at a time: a row is then written again once per tier, three times in all, and a table
//! keeps fewer than [`MANY`] small files of each.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use deltalake::arrow::datatypes::SchemaRef;
use serde_json::Value;

use crate::lake::DeltaFile;

/// A sync merges small files of a tier if there are so many.
pub(super) const MANY: usize = 16;
/// Fewer files are not merged by a sync even if its budget does not suffice for more.
const FEW: usize = 8;
/// The share of a full file below which a file is small.
const SMALL: f64 = 0.25;
/// The largest file of a tier has so many times the size of its smallest.
const TIER: f64 = 16.0;
/// More files than this may not hold the same value of the first column of `cluster_by`.
const MOST_OVERLAPPING: usize = 4;
/// Bytes of files that one commit merges.
const COMMIT_BYTES: u64 = 4 << 30;
/// Longer texts may be cut in statistics: whether such files overlap is unknown.
const WHOLE_TEXT: usize = 60;

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// A sync's share, of at most so many bytes.
    Share(u64),
    /// All small files, and those that overlap too much.
    Needed,
    /// Every file, unless it is sorted and full.
    Full,
}

/// What the files of a table are to be like.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Bytes at which a file is closed.
    pub target_file_size: u64,
    /// Rows at which it is.
    pub rows_per_file: u64,
    /// Columns by which rows are sorted; empty = they keep the order in which they came.
    pub sorted_by: Vec<String>,
}

impl Shape {
    /// Of a table with these columns, as far as it has those of `cluster_by`.
    pub(super) fn new(
        (target_file_size, rows_per_file): (u64, u64),
        cluster_by: &[String],
        schema: &SchemaRef,
    ) -> Self {
        let is_there = cluster_by.iter().all(|column| schema.field_with_name(column).is_ok());
        let sorted_by = if is_there { cluster_by.to_vec() } else { Vec::new() };
        Self { target_file_size, rows_per_file, sorted_by }
    }

    /// How full a file is, where 1 is full.
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    fn fullness(&self, file: &DeltaFile) -> f64 {
        let bytes = file.size as f64 / self.target_file_size.max(1) as f64;
        bytes.max(file.rows.unwrap_or(0) as f64 / self.rows_per_file as f64)
    }

    fn is_small(&self, file: &DeltaFile) -> bool {
        !file.is_full && self.fullness(file) < SMALL
    }

    /// The tier of a small file: 0 are the largest.
    fn tier(&self, file: &DeltaFile) -> Option<usize> {
        let fullness = self.fullness(file);
        let tier = if fullness >= SMALL / TIER { 0 } else { 1 + usize::from(fullness < SMALL / TIER / TIER) };
        self.is_small(file).then_some(tier)
    }

    /// About how many files the rows of these will be in.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
    pub(super) fn estimate(&self, files: &[DeltaFile]) -> u64 {
        let full: f64 = files.iter().map(|file| self.fullness(file)).sum();
        (full.ceil() as u64).clamp(1, files.len().max(1) as u64)
    }

    /// Whether an optimization has sorted the file as it should be.
    fn is_sorted(&self, file: &DeltaFile) -> bool {
        self.sorted_by.is_empty() || file.sorted_by.as_deref() == Some(self.sorted_by.join(",").as_str())
    }

    /// Most files that hold the same value of the first column, as far as the log tells; 1 without `cluster_by`.
    fn depth(&self, files: &[DeltaFile]) -> usize {
        self.overlapping(files, usize::MAX).0
    }

    /// [`Self::depth`], and the files at places where more than `most` overlap.
    fn overlapping(&self, files: &[DeltaFile], most: usize) -> (usize, BTreeSet<usize>) {
        let (mut deepest, mut found) = (1, BTreeSet::new());
        let Some(column) = self.sorted_by.first() else { return (deepest, found) };
        let mut ends = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let Some((least, greatest)) = range(file, column) else { continue };
            if least.order(&greatest) == Ordering::Less {
                ends.push((least, true, at));
                ends.push((greatest, false, at));
            }
        }
        // Two files that share one value only do not overlap: the end of one comes before the beginning of the other.
        ends.sort_by(|one, other| one.0.order(&other.0).then(one.1.cmp(&other.1)));
        let mut open = BTreeSet::new();
        for (_, begins, at) in ends {
            if begins {
                open.insert(at);
                deepest = deepest.max(open.len());
                // What is open then is found once; from then on each one that is added.
                if open.len() == most.saturating_add(1) {
                    found.extend(&open);
                } else if open.len() > most {
                    found.insert(at);
                }
            } else {
                open.remove(&at);
            }
        }
        (deepest, found)
    }

    /// The files to be merged, those of each commit together.
    pub(super) fn choose(&self, files: &[DeltaFile], effort: Effort) -> Vec<Vec<DeltaFile>> {
        let chosen = match effort {
            Effort::Share(bytes) => self.share(files, bytes),
            Effort::Needed => self.needed(files),
            Effort::Full => {
                let open = files.iter().filter(|file| !file.is_full).count();
                let is_done = open <= 1 && files.iter().all(|file| self.is_sorted(file)) && self.depth(files) <= 1;
                if is_done { Vec::new() } else { files.to_vec() }
            }
        };
        self.groups(chosen, effort)
    }

    /// Small files of a tier of which there are many, and smaller ones: the largest tier for which the bytes suffice.
    fn share(&self, files: &[DeltaFile], bytes: u64) -> Vec<DeltaFile> {
        for largest in 0..=2 {
            let in_tier = files.iter().filter(|file| self.tier(file) == Some(largest)).count();
            if in_tier < MANY {
                continue;
            }
            let mut small: Vec<&DeltaFile> =
                files.iter().filter(|file| self.tier(file).is_some_and(|tier| tier >= largest)).collect();
            small.sort_by_key(|file| file.size);
            let mut left = bytes;
            let fits = |file: &&DeltaFile| {
                let fits = file.size <= left;
                left = left.saturating_sub(file.size);
                fits
            };
            let chosen: Vec<DeltaFile> = small.into_iter().take_while(fits).cloned().collect();
            if chosen.len() >= FEW && self.estimate(&chosen) * 2 <= chosen.len() as u64 {
                return chosen;
            }
        }
        Vec::new()
    }

    /// All small files if that makes them fewer, and files that overlap too much.
    fn needed(&self, files: &[DeltaFile]) -> Vec<DeltaFile> {
        let small: Vec<DeltaFile> = files.iter().filter(|file| self.is_small(file)).cloned().collect();
        let is_fewer = small.len() > 1 && self.estimate(&small) < small.len() as u64;
        let (_, deep) = self.overlapping(files, MOST_OVERLAPPING);
        let is_chosen = |(at, file): &(usize, &DeltaFile)| deep.contains(at) || (is_fewer && self.is_small(file));
        files.iter().enumerate().filter(is_chosen).map(|(_, file)| file.clone()).collect()
    }

    /// In the order in which their rows are to be, as many for each commit as it may read.
    fn groups(&self, mut files: Vec<DeltaFile>, effort: Effort) -> Vec<Vec<DeltaFile>> {
        files.sort_by(|one, other| (one.modified_ms, &one.path).cmp(&(other.modified_ms, &other.path)));
        if let Some(column) = self.sorted_by.first() {
            let least = |file: &DeltaFile| range(file, column).map(|(least, _)| least);
            let mut keyed: Vec<_> = files.into_iter().map(|file| (least(&file), file)).collect();
            keyed.sort_by(|(one, _), (other, _)| match (one, other) {
                (Some(one), Some(other)) => one.order(other),
                (one, other) => other.is_some().cmp(&one.is_some()),
            });
            files = keyed.into_iter().map(|(_, file)| file).collect();
        }
        let mut groups: Vec<Vec<DeltaFile>> = Vec::new();
        let mut bytes = 0;
        for file in files {
            bytes += file.size;
            match groups.last_mut() {
                Some(group) if bytes <= COMMIT_BYTES => group.push(file),
                _ => {
                    bytes = file.size;
                    groups.push(vec![file]);
                }
            }
        }
        let is_worth = |group: &Vec<DeltaFile>| {
            group.len() > 1 || (effort == Effort::Full && !group.iter().all(|file| self.is_sorted(file)))
        };
        groups.retain(is_worth);
        groups
    }

    /// Whether files are better than those that they replace.
    pub(super) fn gains(&self, before: &[DeltaFile], after: &[DeltaFile]) -> bool {
        let sorts = || before.iter().any(|file| !self.is_sorted(file)) && !self.sorted_by.is_empty();
        after.len() < before.len() || (after.len() == before.len() && sorts()) || self.depth(after) < self.depth(before)
    }
}

/// A least or greatest value, as the log has it.
#[derive(Clone, Debug)]
enum Bound {
    Number(f64),
    Text(String),
}

impl Bound {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_f64().map(Self::Number),
            Value::String(text) if text.len() < WHOLE_TEXT => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.total_cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            // One column has values of one type.
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// The least and the greatest value of a column in a file, where the log tells them.
fn range(file: &DeltaFile, column: &str) -> Option<(Bound, Bound)> {
    let stats: Value = serde_json::from_str(file.stats.as_deref().filter(|_| file.is_vouched)?).ok()?;
    Some((Bound::of(stats["minValues"].get(column)?)?, Bound::of(stats["maxValues"].get(column)?)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape(sorted_by: &[&str]) -> Shape {
        let sorted_by = sorted_by.iter().map(|column| (*column).to_owned()).collect();
        Shape { target_file_size: 32 << 20, rows_per_file: u64::MAX, sorted_by }
    }

    fn file(number: usize, size: u64) -> DeltaFile {
        DeltaFile { modified_ms: i64::try_from(number).unwrap_or(0), ..DeltaFile::bare(format!("f{number:04}"), size) }
    }

    fn between(number: usize, size: u64, least: i64, greatest: i64) -> DeltaFile {
        let stats = json!({"minValues": {"k": least}, "maxValues": {"k": greatest}});
        DeltaFile { stats: Some(stats.to_string()), is_vouched: true, is_full: true, ..file(number, size) }
    }

    fn chosen(shape: &Shape, files: &[DeltaFile], effort: Effort) -> Vec<usize> {
        shape.choose(files, effort).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_sync_leaves_a_handful_of_small_files_and_merges_many() {
        let shape = shape(&[]);
        let files = |count: usize, size: u64| (0..count).map(|number| file(number, size)).collect::<Vec<_>>();
        let share = Effort::Share(64 << 20);
        assert_eq!(chosen(&shape, &files(15, 5_000), share), [0_usize; 0]);
        assert_eq!(chosen(&shape, &files(16, 5_000), share), [16]);
        assert_eq!(chosen(&shape, &files(1_000, 5_000), share), [1_000]);
        assert_eq!(chosen(&shape, &files(100, 9 << 20), share), [0_usize; 0], "they are not small");
        assert_eq!(chosen(&shape, &files(100, 4 << 20), share), [16], "as many as the bytes suffice for");
        // One of each tier and fifteen of the next: no tier has many.
        let mixed: Vec<DeltaFile> = [files(15, 5_000), files(15, 100_000), files(15, 1 << 20)].concat();
        assert_eq!(chosen(&shape, &mixed, share), [0_usize; 0]);
        let mixed = [mixed, files(1, 1 << 20)].concat();
        assert_eq!(chosen(&shape, &mixed, share), [46], "smaller ones go along");
    }

    #[test]
    fn asked_for_it_merges_what_makes_files_fewer() {
        let shape = shape(&[]);
        assert_eq!(chosen(&shape, &[file(1, 5_000), file(2, 5_000)], Effort::Needed), [2]);
        assert_eq!(chosen(&shape, &[file(1, 5_000), file(2, 30 << 20)], Effort::Needed), [0_usize; 0]);
        let full = DeltaFile { is_full: true, ..file(2, 5_000) };
        assert_eq!(chosen(&shape, &[file(1, 5_000), full], Effort::Needed), [0_usize; 0], "it was closed as full");
        let rows = Shape { rows_per_file: 1_000, ..shape };
        let many = |number| DeltaFile { rows: Some(600), ..file(number, 5_000) };
        assert_eq!(chosen(&rows, &[many(1), many(2)], Effort::Needed), [0_usize; 0], "they have many rows");
    }

    #[test]
    fn files_that_overlap_more_than_they_should_are_merged() {
        let shape = shape(&["k"]);
        let size = 30 << 20;
        let apart: Vec<DeltaFile> = (0..9).map(|at| between(at, size, at as i64 * 10, at as i64 * 10 + 10)).collect();
        assert_eq!(shape.depth(&apart), 1, "they share one value with the next");
        assert_eq!(chosen(&shape, &apart, Effort::Needed), [0_usize; 0]);
        let across: Vec<DeltaFile> = (9..13).map(|at| between(at, size, 5, 15)).collect();
        let both = [apart, across].concat();
        assert_eq!(shape.depth(&both), 5);
        assert_eq!(chosen(&shape, &both, Effort::Needed), [6], "four and the two that they cross");
        let merged = [between(20, size, 0, 9), between(21, size, 9, 20)];
        assert!(shape.gains(&both, &merged));
    }

    #[test]
    fn full_rewrites_all_files_once() {
        let shape = shape(&["k"]);
        let sorted = |at, is_full| DeltaFile { sorted_by: Some("k".into()), is_full, ..between(at, 9 << 20, 0, 0) };
        assert_eq!(chosen(&shape, &[between(1, 9 << 20, 0, 9)], Effort::Full), [1]);
        assert_eq!(chosen(&shape, &[sorted(1, true), sorted(2, false)], Effort::Full), [0_usize; 0]);
        assert_eq!(chosen(&shape, &[sorted(1, false), sorted(2, false)], Effort::Full), [2]);
    }

    #[test]
    fn rows_keep_the_order_in_which_they_came() {
        let files = [file(3, 5_000), file(1, 5_000), file(2, 5_000)];
        let groups = shape(&[]).choose(&files, Effort::Needed);
        let paths: Vec<&str> = groups.iter().flatten().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["f0001", "f0002", "f0003"]);
    }
}
