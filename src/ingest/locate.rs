//! Records of a landing file by the bytes at which they begin: how long each is.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;

use super::format::{self, Decoder, Extent, FileFormat, Options, Piece};
use super::ledger::FileRow;
use crate::definition::Format;
use crate::error::Result;
use crate::storage::Location;

/// Bytes up to the next record that are rather read than skipped.
const SKIPPED: u64 = 16 << 20;
/// Bytes of a record that are looked at first.
const FIRST: usize = 4 << 10;

/// What is known of the records of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Located {
    /// The lengths of records, by the bytes at which they begin.
    pub lengths: BTreeMap<u64, u64>,
    /// How the file is compressed, if it is: then offsets and lengths are those of the decompressed bytes.
    pub compression: Option<&'static str>,
    /// Why the file does not tell.
    pub why: Option<String>,
}

/// Looks for records in a landing file, which is the one that was ingested as `known`.
///
/// # Errors
/// If the store fails.
pub(crate) async fn locate(
    root: &Location,
    (path, known): (&str, Option<&FileRow>),
    format: Format,
    offsets: &BTreeSet<u64>,
) -> Result<Located> {
    let unknown = |why: &str| Ok(Located { why: Some(why.to_owned()), ..Located::default() });
    let Some(known) = known else { return unknown("the ledger does not have it") };
    let Some(meta) = root.find(path).await? else { return unknown("it is gone") };
    let changed = "it has changed since it was read";
    if meta.size != known.size {
        return unknown(changed);
    }
    let is_as_known = meta.e_tag == known.etag && meta.last_modified.timestamp_millis() == known.modified_ms;
    // The same bytes may have been written again.
    let mut hasher = (!is_as_known).then(blake3::Hasher::new);
    let mut finder = Finder::new(format::of(format), offsets);
    let mut decoder = Decoder::new();
    let mut chunks = root.chunks(&meta);
    let mut is_damaged = false;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&chunk);
        }
        // A file may be damaged after its records.
        is_damaged = is_damaged || decoder.push(&chunk, &mut |piece| finder.take(&piece)).is_err();
        if hasher.is_some() {
            continue;
        }
        match finder.next() {
            Some(next) if !is_damaged => {
                if decoder.compression().is_none() && next > finder.read + SKIPPED {
                    chunks = root.chunks_from(&meta, next);
                    finder.skip_to(next);
                }
            }
            _ => break,
        }
    }
    if !is_damaged && finder.next().is_some() {
        let _ = decoder.finish(&mut |piece| finder.take(&piece));
    }
    finder.look();
    if hasher.is_some_and(|hasher| hasher.finalize().to_hex().as_str() != known.content_hash) {
        return unknown(changed);
    }
    Ok(Located { lengths: finder.lengths, compression: decoder.compression(), why: None })
}

/// Measures records in passing.
struct Finder {
    format: &'static dyn FileFormat,
    /// Records that were not measured yet.
    wanted: BTreeSet<u64>,
    lengths: BTreeMap<u64, u64>,
    /// Bytes of the content that were taken.
    read: u64,
    /// The last of them, from the first record that is wanted on.
    held: Vec<u8>,
    /// Bytes of the record without which looking at it again is of no use.
    needed: usize,
}

impl Finder {
    fn new(format: &'static dyn FileFormat, offsets: &BTreeSet<u64>) -> Self {
        let (lengths, held) = (BTreeMap::new(), Vec::new());
        Self { format, wanted: offsets.clone(), lengths, read: 0, held, needed: FIRST }
    }

    /// Where the next record begins.
    fn next(&self) -> Option<u64> {
        self.wanted.first().copied()
    }

    /// The content goes on at a byte.
    fn skip_to(&mut self, at: u64) {
        self.held.clear();
        self.read = at;
    }

    fn take(&mut self, piece: &Piece<'_>) {
        let bytes = match piece {
            Piece::Bytes(bytes) => bytes,
            // It counts as a byte that is in no record.
            Piece::Gap(_) => &[0][..],
        };
        self.read += bytes.len() as u64;
        let Some(next) = self.next() else { return };
        self.held.extend_from_slice(bytes);
        self.forget_before(next);
        if self.held.len() >= self.needed {
            self.look();
        }
    }

    fn forget_before(&mut self, at: u64) {
        let begins = self.read - self.held.len() as u64;
        let before = usize::try_from(at.saturating_sub(begins)).unwrap_or(usize::MAX);
        self.held.drain(..before.min(self.held.len()));
    }

    /// Measures the records that end in the bytes that are held.
    fn look(&mut self) {
        let begins = self.read - self.held.len() as u64;
        while let Some(next) = self.next() {
            let at = next.checked_sub(begins).and_then(|at| usize::try_from(at).ok());
            let record = at.and_then(|at| self.held.get(at..)).filter(|record| !record.is_empty());
            let Some(record) = record else {
                // It lies ahead, or before what was taken.
                if next >= self.read {
                    break;
                }
                self.wanted.pop_first();
                continue;
            };
            match self.format.extent(record) {
                Extent::Whole(length) => drop(self.lengths.insert(next, length as u64)),
                Extent::Incomplete if record.len() <= Options::default().max_record => {
                    self.needed = record.len().saturating_mul(2);
                    self.forget_before(next);
                    return;
                }
                Extent::Incomplete | Extent::Broken => {}
            }
            self.needed = FIRST;
            self.wanted.pop_first();
        }
        match self.next() {
            Some(next) => self.forget_before(next),
            None => self.held.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_measured_however_the_bytes_come() {
        let long = "x".repeat(3 * FIRST);
        let text = format!("{{\"a\":1}}\n\n{{\"b\":\"{long}\"}} , {{\"c\":{{}}}}[{{\"d\":2}},{{\"e\":");
        let at = |part: &str| text.find(part).expect(part) as u64;
        let offsets = BTreeSet::from([0, at("{\"b"), at("{\"c"), at("{\"d"), at("{\"e"), text.len() as u64 + 9]);
        let expected = BTreeMap::from([(0, 7), (at("{\"b"), long.len() as u64 + 8), (at("{\"c"), 8), (at("{\"d"), 7)]);
        for size in [1, 7, 1000, 1 << 20] {
            let mut finder = Finder::new(format::of(Format::Json), &offsets);
            text.as_bytes().chunks(size).for_each(|bytes| finder.take(&Piece::Bytes(bytes)));
            finder.look();
            assert_eq!(finder.lengths, expected, "{size}");
        }
        // Only the last one, after a skip.
        let mut finder = Finder::new(format::of(Format::Json), &BTreeSet::from([at("{\"d")]));
        finder.skip_to(at("{\"d"));
        finder.take(&Piece::Bytes(&text.as_bytes()[at("{\"d") as usize..]));
        finder.look();
        assert_eq!(finder.lengths, BTreeMap::from([(at("{\"d"), 7)]));
    }
}
