//! Invented people, the same ones for the same seed and any other options.

use super::{DAY_MS, FIRST_DAY_MS, Options};

/// SplitMix64: small, fast and the same everywhere.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(n)) >> 64) as u64
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }
}

const FIRST: [&str; 24] = [
    "Ada", "Amara", "Bela", "Chidi", "Dana", "Elif", "Farid", "Gita", "Hana", "Ines", "Jonas", "Kofi", "Lena", "Mira",
    "Noor", "Olga", "Paulo", "Rosa", "Sven", "Tariq", "Ulla", "Vera", "Wei", "Yuki",
];
const LAST: [&str; 20] = [
    "Adeyemi", "Bauer", "Castro", "Dvorak", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya", "Lindt",
    "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Silva", "Tanaka", "Weber",
];

pub(crate) struct Person {
    pub name: String,
    pub email: String,
    pub phone: String,
    pub birthday: String,
    /// Serial number of the device that this person steps on.
    pub serial: String,
    pub registered_ms: u64,
    /// Whether the app ever sent a reading: some people never install it.
    pub has_readings: bool,
}

/// Every 15th person bought the device of the one before.
fn second_hand(i: u64) -> bool {
    i % 15 == 14
}

/// Every other seller has a new device by now; the rest still claim the one that they sold.
pub(crate) fn replaced(i: u64) -> bool {
    i % 30 == 28
}

pub(crate) fn people(options: &Options) -> Vec<Person> {
    let person = |i| {
        let mut random = options.random(1, i);
        let (first, last) = (random.pick(&FIRST), random.pick(&LAST));
        Person {
            name: format!("{first} {last}"),
            email: format!("{first}.{last}.{i}@example.com"),
            phone: format!("555{:07}", random.below(10_000_000)),
            birthday: format!("{}-{:02}-01", 1930 + random.below(70), 1 + random.below(12)),
            serial: serial(options.random(2, if second_hand(i) { i - 1 } else { i })),
            registered_ms: FIRST_DAY_MS + random.below(DAY_MS / 2),
            has_readings: i == 0 || !random.once_in(12),
        }
    };
    (0..options.people).map(person).collect()
}

pub(crate) fn serial(mut random: Random) -> String {
    let (a, b) = (random.draw(), random.draw());
    let (a1, a2, a3) = (a >> 32, (a >> 16) & 0xFFFF, a & 0xFFF);
    format!("{a1:08x}-{a2:04x}-4{a3:03x}-8{:03x}-{:012x}", b >> 52, b & 0xFFFF_FFFF_FFFF)
}
