//! A set of columns. The closure of columns under functional dependencies takes thousands of unions and comparisons of
//! such sets per query: a word of bits for every 64 columns is an order of magnitude faster than a tree.

use std::ops::{BitAnd, BitOr, Sub};

const BITS: usize = u64::BITS as usize;

/// Positions in the output of a plan, or in those of several plans in sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Columns {
    /// The last word is not 0, so that equal sets have equal words.
    words: Vec<u64>,
}

impl Columns {
    /// No columns.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The first columns.
    pub(crate) fn first(width: usize) -> Self {
        let mut words = vec![u64::MAX; width / BITS];
        if !width.is_multiple_of(BITS) {
            words.push((1 << (width % BITS)) - 1);
        }
        Self { words }
    }

    /// The columns in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    at * BITS + bit
                })
            })
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn contains(&self, column: usize) -> bool {
        self.words.get(column / BITS).is_some_and(|word| word & (1 << (column % BITS)) != 0)
    }

    pub(crate) fn is_subset(&self, of: &Self) -> bool {
        let within = self.words.iter().zip(&of.words).all(|(own, other)| own & !other == 0);
        self.words.len() <= of.words.len() && within
    }

    pub(crate) fn insert(&mut self, column: usize) {
        if self.words.len() <= column / BITS {
            self.words.resize(column / BITS + 1, 0);
        }
        self.words[column / BITS] |= 1 << (column % BITS);
    }

    pub(crate) fn remove(&mut self, column: usize) {
        if let Some(word) = self.words.get_mut(column / BITS) {
            *word &= !(1 << (column % BITS));
        }
        self.trim();
    }

    /// Adds all columns of another set.
    pub(crate) fn add_all(&mut self, others: &Self) {
        if self.words.len() < others.words.len() {
            self.words.resize(others.words.len(), 0);
        }
        self.words.iter_mut().zip(&others.words).for_each(|(own, other)| *own |= other);
    }

    fn trim(&mut self) {
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }
}

impl Extend<usize> for Columns {
    fn extend<I: IntoIterator<Item = usize>>(&mut self, columns: I) {
        columns.into_iter().for_each(|column| self.insert(column));
    }
}

impl FromIterator<usize> for Columns {
    fn from_iter<I: IntoIterator<Item = usize>>(columns: I) -> Self {
        let mut found = Self::new();
        found.extend(columns);
        found
    }
}

impl BitOr for &Columns {
    type Output = Columns;

    fn bitor(self, other: Self) -> Columns {
        let mut all = self.clone();
        all.add_all(other);
        all
    }
}

impl BitAnd for &Columns {
    type Output = Columns;

    fn bitand(self, other: Self) -> Columns {
        let mut both = Columns { words: self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect() };
        both.trim();
        both
    }
}

impl Sub for &Columns {
    type Output = Columns;

    fn sub(self, other: Self) -> Columns {
        let without = |(at, word): (usize, &u64)| word & !other.words.get(at).copied().unwrap_or(0);
        let mut rest = Columns { words: self.words.iter().enumerate().map(without).collect() };
        rest.trim();
        rest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_set_of_columns_is_a_set() {
        let samples: [&[usize]; 8] = [&[], &[0], &[63], &[64], &[0, 63, 64], &[5, 200], &[1, 2, 3, 64, 130], &[130]];
        let columns = |of: &BTreeSet<usize>| of.iter().copied().collect::<Columns>();
        for a in samples {
            let a = BTreeSet::from_iter(a.iter().copied());
            let mine = columns(&a);
            assert_eq!(mine.iter().collect::<Vec<_>>(), a.iter().copied().collect::<Vec<_>>());
            assert_eq!((mine.len(), mine.is_empty()), (a.len(), a.is_empty()));
            assert!((0..300).all(|c| mine.contains(c) == a.contains(&c)));
            for b in samples {
                let b = BTreeSet::from_iter(b.iter().copied());
                let other = columns(&b);
                assert_eq!(&mine | &other, columns(&(&a | &b)));
                assert_eq!(&mine & &other, columns(&(&a & &b)));
                assert_eq!(&mine - &other, columns(&(&a - &b)));
                assert_eq!(mine.is_subset(&other), a.is_subset(&b));
                assert_eq!(mine == other, a == b);
                let mut without = mine.clone();
                other.iter().for_each(|c| without.remove(c));
                assert_eq!(without, &mine - &other);
            }
        }
        for width in [0, 1, 63, 64, 65, 128, 129] {
            assert_eq!(Columns::first(width), (0..width).collect());
        }
    }
}
