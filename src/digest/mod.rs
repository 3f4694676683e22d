//! Digests of multisets of rows: whatever the order of the rows, the files and the batches, equal multisets have equal
//! digests, and the digest of a changed table is that of the old one plus the inserted rows minus the deleted ones.
//!
//! A row is encoded by its values alone (`encoding`), hashed with a keyed pseudo-random function to 256 bits, and the
//! hashes are added modulo 2^256. A digest that is written anywhere has a mask added, another pseudo-random value for
//! each table and version ([`Place`]). That is MSet-Add-Hash of D. Clarke, S. Devadas, M. van Dijk, B. Gassend and G. E.
//! Suh, "Incremental Multiset Hash Functions and Their Application to Memory Integrity Checking", ASIACRYPT 2003, with
//! the place as its nonce. Both functions are keyed BLAKE3. Without the mask the sums of known rows could be combined
//! into a collision; with it, only somebody with the key can compare two digests of different versions.

mod encoding;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};

pub(crate) use encoding::undigested;

use crate::error::Result;
use crate::privacy::Privacy;
use crate::shape::document;
use encoding::Bytes;

/// The digest of a multiset of rows, or the difference of two. It is secret: it is written only [`Sealed`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct RowDigest {
    /// The sum of the rows' hashes modulo 2^256, least significant limb first.
    sum: [u64; 4],
    /// The number of rows.
    rows: i64,
}

impl fmt::Debug for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowDigest of {} rows", self.rows)
    }
}

impl RowDigest {
    /// The number of rows; of a difference, how many more there are.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.rows
    }

    fn of(hash: &[u8; 32], rows: i64) -> Self {
        let mut sum = [0; 4];
        for (limb, bytes) in sum.iter_mut().zip(hash.chunks_exact(8)) {
            *limb = bytes.iter().rev().fold(0, |limb, byte| (limb << 8) | u64::from(*byte));
        }
        Self { sum, rows }
    }

    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, limb) in bytes.chunks_exact_mut(8).zip(self.sum) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }
}

impl AddAssign for RowDigest {
    fn add_assign(&mut self, other: Self) {
        let mut carry = false;
        for (limb, other) in self.sum.iter_mut().zip(other.sum) {
            let (sum, first) = limb.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
        self.rows = self.rows.wrapping_add(other.rows);
    }
}

impl Neg for RowDigest {
    type Output = Self;

    fn neg(self) -> Self {
        let mut negated = Self { sum: self.sum.map(|limb| !limb), rows: 0 };
        negated += Self { sum: [1, 0, 0, 0], rows: 0 };
        Self { rows: self.rows.wrapping_neg(), ..negated }
    }
}

impl SubAssign for RowDigest {
    fn sub_assign(&mut self, other: Self) {
        *self += -other;
    }
}

impl Add for RowDigest {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sub for RowDigest {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

impl Sum for RowDigest {
    fn sum<I: Iterator<Item = Self>>(digests: I) -> Self {
        digests.fold(Self::default(), Add::add)
    }
}

/// What a digest is of. Each place has a mask of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The rows of a version of a table, by the table's id.
    Version(&'a str, u64),
    /// The rows that a commit inserted minus those that it deleted, by the table's id and the version that it made.
    Change(&'a str, u64),
    /// The rows that a batch lands, by the landing table's id and the batch's number.
    Landing(&'a str, i64),
    /// The records that a batch puts into quarantine.
    Quarantine(&'a str, i64),
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        let (kind, id, number) = match self {
            Self::Version(id, version) => (b'v', id, version.to_le_bytes()),
            Self::Change(id, version) => (b'c', id, version.to_le_bytes()),
            Self::Landing(id, number) => (b'l', id, number.to_le_bytes()),
            Self::Quarantine(id, number) => (b'q', id, number.to_le_bytes()),
        };
        [&[kind], number.as_slice(), id.as_bytes()].concat()
    }
}

document! {
/// A digest as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The id of the key.
    pub key: String,
    /// The masked sum, 64 hexadecimal digits.
    pub digest: String,
    /// The number of rows.
    pub rows: i64,
}
}

/// The key of digests, derived from `STEDI_DELTA_HASH_KEY`.
#[derive(Clone)]
pub struct DigestKey(Arc<Keys>);

struct Keys {
    rows: [u8; 32],
    names: [u8; 32],
    masks: [u8; 32],
    id: String,
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestKey {}", self.0.id)
    }
}

impl DigestKey {
    /// The key of a run; `None` if none is set: digests with a key of one run could never be compared.
    #[must_use]
    pub fn of(privacy: &Privacy) -> Option<Self> {
        privacy.digest_key().map(|key| Self::derived(&key))
    }

    fn derived(key: &[u8; 32]) -> Self {
        let rows = blake3::derive_key("stedi-delta 2026-12-01 digests: rows", key);
        let names = blake3::derive_key("stedi-delta 2026-12-01 digests: names", key);
        let masks = blake3::derive_key("stedi-delta 2026-12-01 digests: masks", key);
        let ids = blake3::derive_key("stedi-delta 2026-12-01 digests: id of the key", key);
        let id = blake3::keyed_hash(&ids, b"id").to_hex();
        Self(Arc::new(Keys { rows, names, masks, id: id[..16].to_owned() }))
    }

    /// Identifies the key and does not tell it: 16 hexadecimal digits of a keyed hash of a constant.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// 63 bits of [`Self::id`], never 0.
    #[must_use]
    pub fn number(&self) -> i64 {
        let bits = u64::from_str_radix(&self.0.id, 16).unwrap_or_default();
        i64::try_from(bits >> 1).unwrap_or_default().max(1)
    }

    /// The digest of the rows of a batch.
    ///
    /// # Errors
    /// If a column has a type that no table has.
    pub fn rows(&self, batch: &RecordBatch) -> Result<RowDigest> {
        let rows = encoding::Rows::of(batch, &self.0.names)?;
        let mut digest = RowDigest::default();
        let mut hash = RowHash { hasher: blake3::Hasher::new_keyed(&self.0.rows), bytes: Vec::new() };
        for row in 0..batch.num_rows() {
            rows.encode(row, &mut hash);
            digest += RowDigest::of(hash.finish().as_bytes(), 1);
        }
        Ok(digest)
    }

    /// The same key if rows of this schema have digests.
    #[must_use]
    pub fn for_rows_of(self, schema: &Schema) -> Option<Self> {
        undigested(schema).is_none().then_some(self)
    }

    fn mask(&self, place: &Place<'_>) -> RowDigest {
        RowDigest::of(blake3::keyed_hash(&self.0.masks, &place.bytes()).as_bytes(), 0)
    }

    /// A digest to be written down.
    #[must_use]
    pub fn seal(&self, digest: &RowDigest, place: &Place<'_>) -> Sealed {
        let masked = *digest + self.mask(place);
        let digest = masked.bytes().iter().rev().map(|byte| format!("{byte:02x}")).collect();
        Sealed { key: self.id().to_owned(), digest, rows: masked.rows }
    }

    /// A digest that was written down; `None` if that was with another key, or is not one.
    #[must_use]
    pub fn open(&self, sealed: &Sealed, place: &Place<'_>) -> Option<RowDigest> {
        let text = sealed.digest.as_str();
        if sealed.key != self.id() || text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut sum = [0; 4];
        for (at, limb) in sum.iter_mut().rev().enumerate() {
            *limb = u64::from_str_radix(text.get(at * 16..at * 16 + 16)?, 16).ok()?;
        }
        Some(RowDigest { sum, rows: sealed.rows } - self.mask(place))
    }
}

/// The digest of what a commit does to the rows of its table.
#[derive(Clone, Debug)]
pub struct ChangeDigest {
    /// The key.
    pub key: DigestKey,
    /// The inserted rows minus the deleted ones; or all rows.
    pub rows: RowDigest,
    /// Whether it is of all rows that the table has then.
    pub is_whole: bool,
}

impl ChangeDigest {
    /// Of inserted rows minus deleted ones, if both are known.
    #[must_use]
    pub fn of(key: Option<&DigestKey>, inserted: Option<RowDigest>, deleted: Option<RowDigest>) -> Option<Self> {
        Some(Self { key: key?.clone(), rows: inserted? - deleted?, is_whole: false })
    }

    /// The same digest, as that of all rows.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// As the commit that makes a version writes it.
    #[must_use]
    pub fn told(&self, id: &str, version: u64) -> ToldChange {
        let sealed = self.key.seal(&self.rows, &Place::Change(id, version));
        ToldChange { of: if self.is_whole { "table" } else { "change" }.to_owned(), sealed }
    }
}

/// A [`ChangeDigest`] as a commit writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldChange {
    /// `change` or `table`.
    of: String,
    /// The digest.
    #[serde(flatten)]
    pub sealed: Sealed,
}

impl ToldChange {
    /// Whether it is of all rows.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.of == "table"
    }
}

/// The hash of a row. Small values are gathered, and a large text is not copied.
struct RowHash {
    hasher: blake3::Hasher,
    bytes: Vec<u8>,
}

/// Bytes that are gathered.
const GATHERED: usize = 64 << 10;

impl Bytes for RowHash {
    fn put(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > GATHERED {
            self.hasher.update(&self.bytes);
            self.bytes.clear();
        }
        if bytes.len() > GATHERED {
            self.hasher.update(bytes);
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

impl RowHash {
    /// The hash of what was put, and ready for the next row.
    fn finish(&mut self) -> blake3::Hash {
        self.hasher.update(&self.bytes);
        let hash = self.hasher.finalize();
        self.hasher.reset();
        self.bytes.clear();
        hash
    }
}

#[cfg(test)]
mod tests;
