//! Notes: what `check` says of a project without faults, each by a rule that a project or a table may allow.

use super::document::Table;
use crate::source::faults::{Faults, suggestion};
use crate::source::{Fault, Place};

/// The rule of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A name that has to be quoted.
    ReservedWord,
    /// A clause or a spelling that Athena does not know.
    UnknownSyntax,
    /// A function that Athena does not know, or that may mean something else there.
    UnknownFunction,
    /// A function with another result.
    OtherFunction,
    /// A spelling with another meaning.
    OtherMeaning,
    /// A time that Athena rounds to milliseconds is compared.
    CoarseTime,
    /// NULL sorts elsewhere.
    NullOrder,
    /// `/` of integers or decimals.
    Division,
    /// A number with a decimal point is a decimal.
    DecimalLiteral,
    /// Types that Athena does not compare or combine.
    MixedTypes,
    /// A cast with another result, or none.
    Cast,
    /// Arithmetic of dates and times.
    DateArithmetic,
    /// An alias where Athena knows only expressions.
    Alias,
}

/// All rules by their names.
pub(crate) const RULES: [(&str, Rule); 13] = [
    ("athena/reserved_word", Rule::ReservedWord),
    ("athena/unknown_syntax", Rule::UnknownSyntax),
    ("athena/unknown_function", Rule::UnknownFunction),
    ("athena/other_function", Rule::OtherFunction),
    ("athena/other_meaning", Rule::OtherMeaning),
    ("athena/coarse_time", Rule::CoarseTime),
    ("athena/null_order", Rule::NullOrder),
    ("athena/division", Rule::Division),
    ("athena/decimal_literal", Rule::DecimalLiteral),
    ("athena/mixed_types", Rule::MixedTypes),
    ("athena/cast", Rule::Cast),
    ("athena/date_arithmetic", Rule::DateArithmetic),
    ("athena/alias", Rule::Alias),
];

impl Rule {
    /// Its name, as in `allow`.
    #[must_use]
    pub fn name(self) -> &'static str {
        RULES.iter().find(|(_, rule)| *rule == self).map_or("", |(name, _)| name)
    }
}

/// A note on a query, which is not a fault.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its rule.
    pub rule: Rule,
    /// What it says.
    pub fault: Fault,
}

/// Notes, collected while checking continues.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Adds a note.
    pub(super) fn add(&mut self, rule: Rule, place: &Place, message: impl Into<String>, label: impl Into<String>) {
        self.0.push(Note { rule, fault: Fault::at(place, message, label) });
    }

    /// The notes by file and place, each once, without those of allowed rules.
    pub(super) fn into_sorted(self, is_allowed: impl Fn(&Note) -> bool) -> Vec<Note> {
        let key = |note: &Note| note.fault.place.as_ref().map(|place| (place.file.path.clone(), place.span.start));
        let mut notes = self.0;
        notes.retain(|note| !is_allowed(note));
        notes.sort_by_key(key);
        notes.dedup_by(|a, b| key(a) == key(b) && a.fault.message == b.fault.message);
        notes
    }
}

/// `allow`: rules whose notes are not wanted.
pub(super) fn allowed(table: &Table<'_>, faults: &mut Faults) -> Vec<Rule> {
    let mut allowed = Vec::new();
    for text in table.strings("allow", faults) {
        if let Some((_, rule)) = RULES.iter().find(|(name, _)| *name == text.value) {
            allowed.push(*rule);
            continue;
        }
        let names = || RULES.iter().map(|(name, _)| *name);
        let label = suggestion(&text.value, names());
        faults.add(text.place, format!("there is no rule `{}`", text.value), label);
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_one_name_and_its_line_in_the_docs() {
        let page = include_str!("../../docs/reading.md");
        for (name, rule) in RULES {
            assert_eq!(rule.name(), name);
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
