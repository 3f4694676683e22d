//! Which fields look like personal data: by their names, and by what their values look like.
//!
//! A hint, not a promise: it finds the usual cases, and each carries its reason so that a person can decide.

use super::observe::Node;
use super::words::words;

/// Parts of names that stand for something about a person, and what it is.
const NAMES: [(&str, &str); 33] = [
    ("email", "an e-mail address"),
    ("e_mail", "an e-mail address"),
    ("phone", "a phone number"),
    ("mobile_number", "a phone number"),
    ("telephone", "a phone number"),
    ("msisdn", "a phone number"),
    ("birthday", "a date of birth"),
    ("birthdate", "a date of birth"),
    ("birth_date", "a date of birth"),
    ("date_of_birth", "a date of birth"),
    ("dob", "a date of birth"),
    ("first_name", "a person's name"),
    ("firstname", "a person's name"),
    ("last_name", "a person's name"),
    ("lastname", "a person's name"),
    ("surname", "a person's name"),
    ("full_name", "a person's name"),
    ("fullname", "a person's name"),
    ("given_name", "a person's name"),
    ("family_name", "a person's name"),
    ("middle_name", "a person's name"),
    ("customer_name", "a person's name"),
    ("customername", "a person's name"),
    ("user_name", "a person's name"),
    ("username", "a person's name"),
    ("street", "an address"),
    ("passport", "an identity document"),
    ("ssn", "an identity document"),
    ("social_security", "an identity document"),
    ("iban", "an account number"),
    ("card_number", "an account number"),
    ("ip_address", "an IP address"),
    ("client_ip", "an IP address"),
];
/// Names that are personal beside others about a person.
const BESIDE: [(&str, &str); 8] = [
    ("name", "a person's name"),
    ("address", "an address"),
    ("postcode", "an address"),
    ("postal_code", "an address"),
    ("zip", "an address"),
    ("zip_code", "an address"),
    ("gender", "about a person"),
    ("ip", "an IP address"),
];
/// Addresses of something.
const ADDRESSES: [&str; 6] =
    ["shipping_address", "billing_address", "home_address", "delivery_address", "postal_address", "street_address"];

/// What a name says: `Some` if it stands for something about a person.
fn by_name(name: &str) -> Option<&'static str> {
    let name = words(name).join("_");
    let parts = |wanted: &str| format!("_{name}_").contains(&format!("_{wanted}_"));
    let is_flag = ["is_", "has_"].iter().any(|head| name.starts_with(head))
        || ["_count", "_verified", "_type", "_domain", "_opt_in", "_consent"].iter().any(|end| name.ends_with(end));
    if is_flag {
        return None;
    }
    if ADDRESSES.contains(&name.as_str()) {
        return Some("an address");
    }
    NAMES.iter().find(|(wanted, _)| parts(wanted)).map(|(_, what)| *what)
}

/// Whether objects with these fields are about persons.
pub(super) fn is_person(names: &[&str]) -> bool {
    names.iter().any(|name| by_name(name).is_some())
}

/// Why the values of a field look like personal data; `is_person` = other fields beside it do.
pub(super) fn reason(name: &str, node: &Node, is_person: bool) -> Option<String> {
    let texts = &node.texts;
    let looks = [
        (texts.emails, "e-mail addresses"),
        (texts.phones, "phone numbers"),
        (texts.addresses, "IP addresses"),
        (texts.accounts, "account numbers"),
    ];
    let found = looks.into_iter().find(|(count, _)| *count > 0 && 2 * count >= texts.count - texts.empty);
    if let Some((_, what)) = found {
        return Some(format!("its values look like {what}"));
    }
    // Neither a flag nor a count is an address.
    if node.texts.count + node.objects == 0 && node.numbers.count == 0 {
        return None;
    }
    let beside = || {
        let name = words(name).join("_");
        BESIDE.iter().find(|(wanted, _)| *wanted == name && is_person).map(|(_, what)| *what)
    };
    by_name(name).or_else(beside).map(|what| format!("its name stands for {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_personal() {
        for name in ["email", "userEmail", "customername", "Phone", "date-of-birth", "shippingAddress", "client_ip"] {
            assert!(by_name(name).is_some(), "{name}");
        }
        for name in ["name", "product_name", "email_verified", "address", "is_phone", "streetcar", "filename", "ip"] {
            assert!(by_name(name).is_none(), "{name}");
        }
        let mut node = Node::default();
        node.texts.add("x");
        assert_eq!(reason("name", &node, true).as_deref(), Some("its name stands for a person's name"));
        assert_eq!(reason("name", &node, false), None);
        node.texts.add("ann@example.com");
        assert_eq!(reason("user", &node, false).as_deref(), Some("its values look like e-mail addresses"));
    }
}
