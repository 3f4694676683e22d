//! What is known of the numbers and the texts at one place of the records.

use crate::definition::TimeFormat;
use crate::ingest::fits;

/// The formats of times that are numbers.
pub(super) const EPOCHS: [TimeFormat; 3] = [TimeFormat::EpochSeconds, TimeFormat::EpochMillis, TimeFormat::EpochMicros];
/// The years 1990 to 2100 in seconds: times of records are in between.
const RECENT: (f64, f64) = (631_152_000.0, 4_102_444_800.0);

/// Numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub count: u64,
    /// Those that a `long` holds.
    pub longs: u64,
    /// Those that a `double` holds.
    pub doubles: u64,
    /// Those that some `decimal` holds; and the digits that all of these need, before and after the point.
    pub decimals: u64,
    pub digits: (u8, u8),
    /// Those with digits after the point, or written as if they had some: `1.50`, `2.0`.
    pub pointed: u64,
    /// Those that are a time, and those that are one of our days, by format.
    pub times: [u64; 3],
    pub recent: [u64; 3],
}

impl Numbers {
    pub(super) fn add(&mut self, literal: &str) {
        self.count += 1;
        self.longs += u64::from(fits::is_long(literal));
        self.doubles += u64::from(fits::is_double(literal));
        self.pointed += u64::from(literal.contains('.'));
        if let Some((before, after)) = fits::digits(literal) {
            self.decimals += 1;
            self.digits = (self.digits.0.max(before), self.digits.1.max(after));
        }
        let value: f64 = literal.parse().unwrap_or_default();
        for (at, (format, per_second)) in EPOCHS.iter().zip([1.0, 1e3, 1e6]).enumerate() {
            if fits::is_since_epoch(literal, *format) {
                self.times[at] += 1;
                self.recent[at] += u64::from((RECENT.0..RECENT.1).contains(&(value / per_second)));
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.longs += other.longs;
        self.doubles += other.doubles;
        self.decimals += other.decimals;
        self.pointed += other.pointed;
        self.digits = (self.digits.0.max(other.digits.0), self.digits.1.max(other.digits.1));
        for at in 0..EPOCHS.len() {
            self.times[at] += other.times[at];
            self.recent[at] += other.recent[at];
        }
    }

    /// Those that a time of this format holds.
    pub(super) fn times_as(&self, format: TimeFormat) -> u64 {
        EPOCHS.iter().position(|one| *one == format).map_or(0, |at| self.times[at])
    }
}

/// Texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    pub count: u64,
    pub empty: u64,
    /// Those that a `date` holds.
    pub dates: u64,
    /// Those that a `timestamp` holds, and times that are finer.
    pub timestamps: u64,
    pub fine: u64,
    /// Numbers in quotes.
    pub numbers: u64,
    /// Those that look like personal data.
    pub emails: u64,
    pub phones: u64,
    pub addresses: u64,
    pub accounts: u64,
}

impl Texts {
    pub(super) fn add(&mut self, text: &str) {
        self.count += 1;
        if text.is_empty() {
            self.empty += 1;
            return;
        }
        // Most texts are none of these.
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            self.dates += u64::from(fits::is_date(text));
            match fits::is_timestamp(text) {
                Some(is_one) => self.timestamps += u64::from(is_one),
                None => self.fine += 1,
            }
        }
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        // A cast would lose the sign or the zeros of what is a code: `+297`, `004`.
        let is_code =
            text.starts_with('+') || (text.starts_with('0') && text[1..].starts_with(|c: char| c.is_ascii_digit()));
        let is_number = digits > 0 && !is_code && text.len() <= 40 && text.parse::<f64>().is_ok_and(f64::is_finite);
        self.numbers += u64::from(is_number);
        self.emails += u64::from(is_email(text));
        self.phones += u64::from(is_phone(text, digits));
        self.addresses += u64::from(text.len() <= 45 && is_ip_address(text));
        self.accounts += u64::from(is_iban(text) || is_card(text, digits));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.empty += other.empty;
        self.dates += other.dates;
        self.timestamps += other.timestamps;
        self.fine += other.fine;
        self.numbers += other.numbers;
        self.emails += other.emails;
        self.phones += other.phones;
        self.addresses += other.addresses;
        self.accounts += other.accounts;
    }
}

fn is_email(text: &str) -> bool {
    // `Ann Example <ann@example.com>`
    let text = text.strip_suffix('>').and_then(|text| text.rsplit_once('<')).map_or(text, |(_, address)| address);
    let Some((user, host)) = text.split_once('@') else { return false };
    let is_plain = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
    let ends =
        host.rsplit_once('.').is_some_and(|(_, end)| end.len() >= 2 && end.bytes().all(|b| b.is_ascii_alphabetic()));
    !user.is_empty() && user.chars().all(is_plain) && ends && host.chars().all(is_plain)
}

/// A number with its country, or in groups, so that other numbers are none.
fn is_phone(text: &str, digits: usize) -> bool {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b" -.()/+x".contains(&b));
    (8..=17).contains(&digits)
        && is_plain
        && (text.starts_with('+') || text.starts_with('('))
        && !text[1..].contains('+')
}

/// An address of the Internet, unless it names no machine.
fn is_ip_address(text: &str) -> bool {
    match text.parse::<std::net::IpAddr>() {
        Ok(address) => !address.is_unspecified() && !address.is_loopback(),
        Err(_) => false,
    }
}

fn is_iban(text: &str) -> bool {
    let compact: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    let is_shaped = (15..=34).contains(&compact.len())
        && compact[..2].iter().all(u8::is_ascii_uppercase)
        && compact[2..4].iter().all(u8::is_ascii_digit)
        && compact.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let turned = || compact[4..].iter().chain(&compact[..4]);
    let remainder = |rest: u64, b: &u8| match b {
        b'0'..=b'9' => (rest * 10 + u64::from(b - b'0')) % 97,
        _ => (rest * 100 + u64::from(b - b'A') + 10) % 97,
    };
    is_shaped && turned().fold(0, remainder) == 1
}

/// A number of a payment card: its last digit is the check of the others.
fn is_card(text: &str, digits: usize) -> bool {
    if !(15..=19).contains(&digits) || !text.bytes().all(|b| b.is_ascii_digit() || b == b' ' || b == b'-') {
        return false;
    }
    let doubled = |(at, b): (usize, u8)| match (at % 2, u32::from(b - b'0')) {
        (0, digit) => digit,
        (_, digit) if digit > 4 => 2 * digit - 9,
        (_, digit) => 2 * digit,
    };
    let sum: u32 = text.bytes().rev().filter(u8::is_ascii_digit).enumerate().map(doubled).sum();
    // Numbers of cards begin with 3 to 6; identifiers of these lengths mostly with 1 or 2.
    sum.is_multiple_of(10) && matches!(text.as_bytes().first(), Some(b'3'..=b'6'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Texts {
        let mut texts = Texts::default();
        all.iter().for_each(|text| texts.add(text));
        texts
    }

    fn numbers(all: &[&str]) -> Numbers {
        let mut numbers = Numbers::default();
        all.iter().for_each(|literal| numbers.add(literal));
        numbers
    }

    #[test]
    fn texts_are_recognised_by_what_they_look_like() {
        let found = texts(&[
            "ann@example.com",
            "a.b+c@mail.example.co.uk",
            "@ann",
            "ann@",
            "ann@host",
            "a b@example.com",
            "A <a@b.org>",
        ]);
        assert_eq!((found.count, found.emails), (7, 3));
        assert_eq!(texts(&["+297", "004", "0", "0.5", "7"]).numbers, 3);
        let found = texts(&["+44 20 7946 0958", "(020) 7946-0958", "2026-11-20", "1234567890", "+1+2345678"]);
        assert_eq!(found.phones, 2);
        let found = texts(&["192.0.2.7", "2001:db8::1", "127.0.0.1", "0.0.0.0", "1.2.3"]);
        assert_eq!(found.addresses, 2);
        let found = texts(&[
            "GB82 WEST 1234 5698 7654 32",
            "GB83 WEST 1234 5698 7654 32",
            "4111 1111 1111 1111",
            "4111111111111112",
        ]);
        assert_eq!(found.accounts, 2);
        let found =
            texts(&["2026-11-20", "2026-11-20T10:00:00Z", "2026-11-20T10:00:00.123456Z", "", "12.50", "1e3", "nan"]);
        assert_eq!((found.dates, found.timestamps, found.fine, found.empty, found.numbers), (1, 1, 1, 1, 2));
    }

    #[test]
    fn numbers_know_what_holds_them() {
        let found = numbers(&["1", "-12.50", "1e2", "9223372036854775808", "9007199254740993", "1e400"]);
        assert_eq!((found.count, found.longs, found.doubles, found.pointed), (6, 3, 4, 1));
        assert_eq!((found.decimals, found.digits), (5, (19, 1)));
        let found = numbers(&["1655293823654", "1655293823", "5"]);
        assert_eq!(found.recent, [1, 1, 0]);
        assert_eq!((found.times_as(TimeFormat::EpochMillis), found.times_as(TimeFormat::Rfc3339)), (3, 0));
    }
}
