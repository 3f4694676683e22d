//! A sum of doubles, or of products of doubles, without rounding.

use super::big::Int;

/// An exact sum: a two's complement integer of 64-bit words, the lowest of which counts `2^(64 * at)`.
///
/// `K` words are stored inline; a sum whose terms lie further apart uses the heap. NaN and the infinities are counted
/// separately, so that they can be subtracted again.
#[derive(Clone, Debug)]
pub(super) struct Sum<const K: usize> {
    words: [u64; K],
    at: i32,
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default)]
struct More {
    /// The words, if they do not fit inline.
    words: Vec<u64>,
    /// The number of NaN, +inf, -inf.
    special: [i64; 3],
}

impl<const K: usize> Default for Sum<K> {
    fn default() -> Self {
        Self { words: [0; K], at: 0, more: None }
    }
}

/// The value of the words of a number above those stored, by its sign.
fn above(negative: bool) -> u64 {
    if negative { u64::MAX } else { 0 }
}

fn is_negative(words: &[u64]) -> bool {
    words.last().is_some_and(|w| w >> 63 == 1)
}

/// Significand and exponent of a finite double.
fn parts(x: f64) -> (u64, i32) {
    let bits = x.to_bits();
    // Eleven bits: the cast keeps them all.
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    if exponent == 0 { (fraction, -1074) } else { (fraction | (1 << 52), exponent - 1075) }
}

#[allow(clippy::cast_possible_truncation, reason = "an integer is cut into words")]
fn cut(wide: u128) -> [u64; 2] {
    [wide as u64, (wide >> 64) as u64]
}

impl<const K: usize> Sum<K> {
    /// Adds or subtracts a double.
    pub(super) fn add(&mut self, x: f64, forward: bool) {
        if !x.is_finite() {
            return self.count_special(x, if forward { 1 } else { -1 });
        }
        let (significand, exponent) = parts(x);
        let words = cut(u128::from(significand) << exponent.rem_euclid(64));
        self.add_words(exponent.div_euclid(64), &words, x.is_sign_negative() == forward);
    }

    /// Adds or subtracts the product of two finite doubles.
    pub(super) fn add_product(&mut self, x: f64, y: f64, forward: bool) {
        let ((a, i), (b, j)) = (parts(x), parts(y));
        let (product, exponent) = (u128::from(a) * u128::from(b), i + j);
        let shift = exponent.rem_euclid(64);
        let [low, high] = cut(product);
        let [w0, carried] = cut(u128::from(low) << shift);
        let [w1, w2] = cut((u128::from(high) << shift) | u128::from(carried));
        let negative = x.is_sign_negative() != y.is_sign_negative();
        self.add_words(exponent.div_euclid(64), &[w0, w1, w2], negative == forward);
    }

    /// Adds many doubles. If their exponents are close to each other, a single addition suffices.
    pub(super) fn add_all(&mut self, values: &[f64]) {
        for chunk in values.chunks(1024) {
            let (mut least, mut most) = (u64::MAX, 0);
            for x in chunk {
                let exponent = (x.to_bits() >> 52) & 0x7ff;
                // A zero has the exponent of the smallest numbers, but adds nothing.
                least = least.min(if *x == 0.0 { u64::MAX } else { exponent });
                most = most.max(exponent);
            }
            // 53 bits of significand, 10 of 1024 values and 62 of distance stay within 126.
            if most == 0x7ff || least == 0 || most.saturating_sub(least) > 62 {
                chunk.iter().for_each(|x| self.add(*x, true));
                continue;
            }
            let mut total = 0_i128;
            for x in chunk {
                let bits = x.to_bits();
                if bits << 1 == 0 {
                    continue;
                }
                let significand = i128::from((bits & ((1 << 52) - 1)) | (1 << 52));
                let shifted = significand << (((bits >> 52) & 0x7ff) - least);
                total += if x.is_sign_negative() { -shifted } else { shifted };
            }
            // At most 2046, unless all were zeros.
            let exponent = i32::try_from(least).unwrap_or(0) - 1075;
            let shift = exponent.rem_euclid(64);
            let [low, high] = cut(total.unsigned_abs());
            let [w0, carried] = cut(u128::from(low) << shift);
            let [w1, w2] = cut((u128::from(high) << shift) | u128::from(carried));
            self.add_words(exponent.div_euclid(64), &[w0, w1, w2], total < 0);
        }
    }

    fn count_special(&mut self, x: f64, by: i64) {
        let which = if x.is_nan() { 0 } else { 1 + usize::from(x.is_sign_negative()) };
        self.more.get_or_insert_default().special[which] += by;
    }

    fn words(&self) -> &[u64] {
        match &self.more {
            Some(more) if !more.words.is_empty() => &more.words,
            _ => &self.words,
        }
    }

    /// Adds or subtracts the non-negative integer `words`, whose lowest word counts `2^(64 * at)`.
    fn add_words(&mut self, mut at: i32, mut words: &[u64], subtract: bool) {
        while let [0, rest @ ..] = words {
            words = rest;
            at += 1;
        }
        while let [rest @ .., 0] = words {
            words = rest;
        }
        if words.is_empty() {
            return;
        }
        // One word more if the highest bit would otherwise be the sign.
        self.make_room(at, words.len() + usize::from(is_negative(words)));
        let from = usize::try_from(at - self.at).unwrap_or(0);
        let held = match &mut self.more {
            Some(more) if !more.words.is_empty() => more.words.as_mut_slice(),
            _ => self.words.as_mut_slice(),
        };
        let before = is_negative(held);
        let mut carry = false;
        for (i, word) in held[from..].iter_mut().enumerate() {
            let add = words.get(i).copied().unwrap_or(0);
            if i >= words.len() && !carry {
                break;
            }
            let (first, second);
            (*word, first) = if subtract { word.overflowing_sub(add) } else { word.overflowing_add(add) };
            (*word, second) =
                if subtract { word.overflowing_sub(u64::from(carry)) } else { word.overflowing_add(u64::from(carry)) };
            carry = first | second;
        }
        // A number overflows only towards its own sign; the true sign is then the previous one.
        if before == subtract && is_negative(held) != before {
            self.spill();
            if let Some(more) = &mut self.more {
                more.words.push(above(before));
            }
        }
    }

    /// Makes room for the words `[at, at + count)`.
    fn make_room(&mut self, at: i32, count: usize) {
        // A sum has at most some 140 words.
        let end = at + i32::try_from(count).unwrap_or(i32::MAX);
        let held = i32::try_from(self.words().len()).unwrap_or(i32::MAX);
        if at >= self.at && end <= self.at + held {
            return;
        }
        let in_place = self.more.as_ref().is_none_or(|m| m.words.is_empty());
        if in_place && self.move_in_place(at, count, end) {
            return;
        }
        self.spill();
        let Some(more) = &mut self.more else { return };
        if at < self.at {
            let missing = usize::try_from(self.at - at).unwrap_or(0);
            more.words.splice(0..0, std::iter::repeat_n(0, missing));
            self.at = at;
        }
        let needed = usize::try_from(end - self.at).unwrap_or(0);
        if needed > more.words.len() {
            let fill = above(is_negative(&more.words));
            more.words.resize(needed, fill);
        }
    }

    /// Tries to make room by moving the window over zeros and copies of the sign.
    fn move_in_place(&mut self, at: i32, count: usize, end: i32) -> bool {
        if self.words.iter().all(|w| *w == 0) {
            self.at = at;
            return count <= K;
        }
        let size = i32::try_from(K).unwrap_or(0);
        let fill = above(is_negative(&self.words));
        if at < self.at {
            let Ok(by) = usize::try_from(self.at - at) else { return false };
            if by >= K || end > at + size {
                return false;
            }
            let (kept, lost) = self.words.split_at(K - by);
            if lost.iter().any(|w| *w != fill) || above(is_negative(kept)) != fill {
                return false;
            }
            self.words.copy_within(..K - by, by);
            self.words[..by].fill(0);
            self.at = at;
        } else {
            let Ok(by) = usize::try_from(end - self.at - size) else { return false };
            if by >= K || self.words[..by].iter().any(|w| *w != 0) || at < end - size {
                return false;
            }
            self.words.copy_within(by.., 0);
            self.words[K - by..].fill(fill);
            self.at = end - size;
        }
        true
    }

    fn spill(&mut self) {
        let more = self.more.get_or_insert_default();
        if more.words.is_empty() {
            more.words = self.words.to_vec();
        }
    }

    /// NaN or an infinity if the terms contained one.
    pub(super) fn special(&self) -> Option<f64> {
        match self.more.as_ref()?.special {
            [0, 0, 0] => None,
            [0, _, 0] => Some(f64::INFINITY),
            [0, 0, _] => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// The sum of the finite terms.
    pub(super) fn int(&self) -> Int {
        let words = self.words();
        let negative = is_negative(words);
        Int::new(negative, magnitude(words, negative), self.at)
    }

    /// Bytes on the heap.
    pub(super) fn heap(&self) -> usize {
        self.more.as_ref().map_or(0, |m| size_of::<More>() + m.words.capacity() * 8)
    }

    /// Appends the sum to the bytes of a state.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        let words = self.words();
        let fill = above(is_negative(words));
        let mut kept = words.len();
        while kept > 1 && words[kept - 1] == fill && above(is_negative(&words[..kept - 1])) == fill {
            kept -= 1;
        }
        let special = self.more.as_ref().map(|m| m.special).filter(|s| *s != [0; 3]);
        into.extend(self.at.to_le_bytes());
        into.push(u8::try_from(kept).unwrap_or(u8::MAX));
        into.push(u8::from(special.is_some()));
        words[..kept].iter().for_each(|w| into.extend(w.to_le_bytes()));
        special.iter().flatten().for_each(|n| into.extend(n.to_le_bytes()));
    }

    /// Adds an encoded sum and advances the bytes; `None` if they are invalid.
    pub(super) fn absorb(&mut self, bytes: &mut &[u8]) -> Option<()> {
        let at = i32::from_le_bytes(take(bytes)?);
        let [count, special] = take(bytes)?;
        let mut words = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            words.push(u64::from_le_bytes(take(bytes)?));
        }
        let negative = is_negative(&words);
        self.add_words(at, &magnitude(&words, negative), negative);
        if special == 1 {
            for which in 0..3 {
                let n = i64::from_le_bytes(take(bytes)?);
                self.more.get_or_insert_default().special[which] += n;
            }
        }
        Some(())
    }
}

/// Takes the first bytes.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn magnitude(words: &[u64], negative: bool) -> Vec<u64> {
    let mut carry = negative;
    let mut magnitude = Vec::with_capacity(words.len());
    for word in words {
        let word = if negative { !word } else { *word };
        let (word, carried) = word.overflowing_add(u64::from(carry));
        carry = carried;
        magnitude.push(word);
    }
    magnitude
}
