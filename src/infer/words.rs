//! What names of fields say about their values.

use crate::privacy::is_field_name;

/// Whether a field of this name holds amounts of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Money {
    /// Also if all of them are whole numbers.
    Surely,
    /// If they have digits after the point.
    Maybe,
    No,
}

const SURELY: [&str; 17] = [
    "price", "prices", "amount", "amounts", "cost", "costs", "fee", "fees", "subtotal", "salary", "revenue", "money",
    "usd", "eur", "gbp", "chf", "fare",
];
const MAYBE: [&str; 17] = [
    "total",
    "balance",
    "tax",
    "vat",
    "discount",
    "refund",
    "payment",
    "paid",
    "charge",
    "credit",
    "debit",
    "net",
    "gross",
    "tip",
    "tips",
    "shipping",
    "surcharge",
];
/// Amounts in the smallest unit are whole numbers, and a share of an amount is none.
const NOT_MONEY: [&str; 12] =
    ["cents", "minor", "count", "percent", "pct", "rate", "ratio", "share", "id", "number", "micros", "index"];

const TIMES: [&str; 16] = [
    "at",
    "time",
    "timestamp",
    "ts",
    "date",
    "datetime",
    "created",
    "updated",
    "modified",
    "epoch",
    "millis",
    "ms",
    "on",
    "since",
    "until",
    "expires",
];

/// The words of a name: `unitPrice`, `unit-price` and `UNIT_PRICE` have two.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() {
            before = ' ';
            continue;
        }
        let begins = before == ' ' || (c.is_uppercase() && !before.is_uppercase());
        match words.last_mut() {
            Some(word) if !begins => word.extend(c.to_lowercase()),
            _ => words.push(c.to_lowercase().collect()),
        }
        before = c;
    }
    words
}

/// Whether a field of this name holds money.
pub(super) fn money(name: &str) -> Money {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    match (has(&NOT_MONEY), has(&SURELY), has(&MAYBE)) {
        (true, ..) | (_, false, false) => Money::No,
        (_, true, _) => Money::Surely,
        (_, _, true) => Money::Maybe,
    }
}

/// Whether a field of this name holds times.
pub(super) fn is_time(name: &str) -> bool {
    let words = words(name);
    // Names in lower case have no words: `lastupdatedate`.
    let ends = ["date", "time", "timestamp", "asofdate"];
    let glued = words.last().is_some_and(|last| ends.iter().any(|end| last.ends_with(end)));
    glued || words.iter().any(|word| TIMES.contains(&word.as_str()))
}

/// Whether a field of this name identifies something.
pub(super) fn is_key(name: &str) -> bool {
    const KEYS: [&str; 12] =
        ["id", "key", "uuid", "guid", "number", "code", "sku", "email", "serial", "serialnumber", "isbn", "no"];
    // Names in lower case have no words.
    const GLUED: [&str; 10] = [
        "userid",
        "orderid",
        "customerid",
        "productid",
        "itemid",
        "accountid",
        "sessionid",
        "deviceid",
        "eventid",
        "serialnumber",
    ];
    let words = words(name);
    let is_glued = words.last().is_some_and(|last| GLUED.iter().any(|end| last.ends_with(end)));
    is_glued || words.iter().any(|word| KEYS.contains(&word.as_str()))
}

/// Whether a text can be the name of a field. Others are data: days, numbers, addresses.
pub(super) fn is_name(text: &str) -> bool {
    if is_field_name(text) {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        // Hashes and numbers of things.
        return digits < 8 && !is_hash(text);
    }
    let is_plain = |c: char| c.is_alphanumeric() || " _.-/$#%()&:+".contains(c);
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let digits = text.chars().filter(|c| c.is_numeric()).count();
    let count = text.chars().count();
    (1..=64).contains(&count) && text.chars().all(is_plain) && letters > digits && text.trim() == text
}

/// Whether a text may be the name of a field in a record all the same: a year, a number of two digits, `3d`, `@a/b`.
pub(super) fn is_short_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let bare = text.strip_prefix('@').unwrap_or(text);
    // Other numbers may be those of people or things.
    let is_number =
        text.len() == digits && digits > 2 && !(digits == 4 && (text.starts_with("19") || text.starts_with("20")));
    let is_short = text.len() <= 24 && digits <= 4 && !is_number;
    is_short && bare.starts_with(|c: char| c.is_ascii_alphanumeric()) && bare.chars().all(is_plain)
}

fn is_hash(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// A name in the table's spelling: lower case, digits and `_`.
pub(super) fn snake_case(name: &str) -> String {
    let ascii =
        |word: String| word.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
    let joined = words(name).into_iter().map(ascii).collect::<Vec<_>>().join("_");
    let mut clean = String::new();
    for c in joined.chars() {
        if c != '_' || !clean.ends_with('_') {
            clean.push(c);
        }
    }
    let clean = clean.trim_matches('_');
    match clean.chars().next() {
        None => "field".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("n{clean}"),
        Some(_) => clean.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_names_of_columns() {
        for (name, expected) in [
            ("detail-type", "detail_type"),
            ("@timestamp", "timestamp"),
            ("Unit Price ($)", "unit_price"),
            ("1st", "n1st"),
            ("$", "field"),
            ("größe", "gr_e"),
            ("HTTPStatus", "httpstatus"),
            ("a.b", "a_b"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
    }

    #[test]
    fn a_name_says_what_its_values_are() {
        assert_eq!(
            ["unitPrice", "total", "amount_cents", "discount_rate", "priceless"].map(money),
            [Money::Surely, Money::Maybe, Money::No, Money::No, Money::No]
        );
        assert!(["createdAt", "ts", "lastupdatedate", "event_time"].into_iter().all(is_time));
        assert!(!["candidates", "status", "format"].into_iter().any(is_time));
        assert!(["order_id", "orderId", "userid", "sku"].into_iter().all(is_key) && !is_key("paid"));
    }

    #[test]
    fn data_are_no_names() {
        assert!(["id", "First Name", "@type", "1st", "größe", "x1"].into_iter().all(is_name));
        let data = ["", "2026-11-20", "4711", "ann@x.org", "6af3ffb2-4503-4fdc-8404-97183f65b989", " a", "u12345678"];
        assert!(!data.into_iter().any(is_name));
        assert!(["2020", "3d", "@a/b", "24"].into_iter().all(is_short_name));
        assert!(!["", "#", "12345", "4711", "a@b.org", "2026-11-20", "a b", "/ann"].into_iter().any(is_short_name));
    }
}
