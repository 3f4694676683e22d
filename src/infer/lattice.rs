//! The type of a place in records: the smallest one that takes all of its values.
//!
//! ```text
//!                          json
//!    ______________________/ | \______________________
//!   string      decimal(38,s)  boolean  array<T>  struct, map<string,T>
//!   /   \        /   |   \                |          by field, by value
//! date timestamp | double |             join of
//!              long   timestamp         elements
//!                     (epoch_*)
//! ```
//! Values of different kinds have only `json` in common. If at most one in a hundred is of another kind, it is more likely a
//! mistake than a meaning: the type is that of the others, and its record is announced for quarantine. Text that is no date
//! stays text: nothing is lost by `string`.

use super::columns;
use super::content::{EPOCHS, Numbers, Texts};
use super::observe::{Node, Observed};
use super::words;
use crate::definition::{ColumnType, TimeFormat};

/// One value of another kind among so many is taken for a mistake.
pub(super) const RARE: u64 = 100;
/// Digits of a decimal before the point if values need fewer: there may be larger ones.
const ROOM: u8 = 16;
const MAX_DIGITS: u8 = 38;
/// An object with more names than this, each in few of the objects, is a map.
const MANY_NAMES: usize = 40;

/// The type of a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Draft {
    /// A type without parts.
    Plain(ColumnType),
    /// A time that is a number.
    Epoch(TimeFormat),
    Array(Box<Draft>),
    /// A map from texts.
    Map(Box<Draft>),
    Struct(Vec<Field>),
}

/// A column, or a field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// Its name in the table.
    pub name: String,
    /// Its name in records.
    pub source: String,
    pub draft: Draft,
    /// Why it is taken for personal data.
    pub personal: Option<String>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

impl Field {
    /// Whether the name in records has to be written.
    pub(super) fn has_from(&self) -> bool {
        !self.name.eq_ignore_ascii_case(&self.source)
    }
}

impl Draft {
    pub(super) const JSON: Self = Self::Plain(ColumnType::Json);

    /// Its type.
    pub(super) fn column_type(&self) -> ColumnType {
        match self {
            Self::Plain(plain) => plain.clone(),
            Self::Epoch(_) => ColumnType::Timestamp,
            Self::Array(element) => ColumnType::Array(element.column_type().into()),
            Self::Map(value) => ColumnType::Map((ColumnType::String, value.column_type()).into()),
            Self::Struct(fields) => {
                ColumnType::Struct(fields.iter().map(|field| (field.name.clone(), field.draft.column_type())).collect())
            }
        }
    }

    /// Whether it is `json`, or something inside is.
    pub(super) fn has_json(&self) -> bool {
        self.column_type().any(&|one| *one == ColumnType::Json)
    }

    /// The fields of the struct that it is, or that its elements or values are.
    pub(super) fn fields(&self) -> Option<&[Field]> {
        match self {
            Self::Struct(fields) => Some(fields),
            Self::Array(inner) | Self::Map(inner) => inner.fields(),
            Self::Plain(_) | Self::Epoch(_) => None,
        }
    }
}

/// A type, and what a reader should know of it.
pub(super) struct Decided {
    pub draft: Draft,
    pub notes: Vec<String>,
}

impl Decided {
    fn of(draft: Draft) -> Self {
        Self { draft, notes: Vec::new() }
    }

    fn with(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// The kinds of values, by their number.
fn kinds(node: &Node) -> [(u64, &'static str); 6] {
    [
        (node.texts.count, "texts"),
        (node.numbers.count, "numbers"),
        (node.objects, "objects"),
        (node.arrays, "arrays"),
        (node.booleans, "booleans"),
        (node.others, "others"),
    ]
}

/// The type of the place `at`, whose field has this name.
pub(super) fn decide(observed: &mut Observed, at: usize, name: &str) -> Decided {
    let node = observed.at(at);
    let all = node.values();
    if all == 0 {
        return Decided::of(Draft::JSON).with("no value in the sample: anything fits, write the type once it is known");
    }
    let mut kinds = kinds(node);
    kinds.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let [(most, kind), second, ..] = kinds;
    if kind == "others" {
        return Decided::of(Draft::JSON).with("nested too deeply, or not UTF-8");
    }
    if (all - most) * RARE > all {
        return Decided::of(Draft::JSON).with(format!("mixed: {kind} and {}", second.1));
    }
    match kind {
        "texts" => text(&node.texts),
        "numbers" => number(&node.numbers, name),
        "booleans" => Decided::of(Draft::Plain(ColumnType::Boolean)),
        "arrays" => match node.element {
            Some(element) if observed.at(element).present() > 0 => {
                let element = decide(observed, element, name);
                let draft = Draft::Array(Box::new(element.draft));
                Decided { draft, notes: element.notes }
            }
            _ => Decided::of(Draft::Array(Box::new(Draft::JSON))).with("always empty in the sample"),
        },
        _ => object(observed, at, name),
    }
}

fn text(texts: &Texts) -> Decided {
    let string = Decided::of(Draft::Plain(ColumnType::String));
    let all_but = |count: u64, what: &str| match texts.count - count {
        0 => what.to_owned(),
        others => format!("{what}, but for {others} of {}", texts.count),
    };
    let almost = |count: u64| count > 0 && (texts.count - count) * RARE <= texts.count;
    match texts {
        Texts { count, dates, .. } if dates == count => Decided::of(Draft::Plain(ColumnType::Date)),
        Texts { count, timestamps, .. } if timestamps == count => Decided::of(Draft::Plain(ColumnType::Timestamp)),
        Texts { timestamps, fine, .. } if *fine > 0 && almost(timestamps + fine) => {
            string.with(all_but(timestamps + fine, "times finer than milliseconds"))
        }
        Texts { dates, .. } if almost(*dates) => string.with(all_but(*dates, "dates")),
        Texts { timestamps, .. } if almost(*timestamps) => string.with(all_but(*timestamps, "times")),
        Texts { numbers, .. } if almost(*numbers) => string.with(all_but(*numbers, "numbers as text: cast them")),
        _ => string,
    }
}

fn number(numbers: &Numbers, name: &str) -> Decided {
    let Numbers { count, longs, doubles, decimals, digits, pointed, .. } = numbers;
    let decimal =
        |before: u8, after: u8| Decided::of(Draft::Plain(ColumnType::Decimal(before + after, after.cast_signed())));
    let (before, after) = *digits;
    let money = words::money(name);
    if decimals == count
        && after <= 4
        && before + after.max(2) <= MAX_DIGITS
        && (money == words::Money::Surely || (money == words::Money::Maybe && *pointed > 0))
    {
        let after = after.max(2);
        return decimal(before.max(ROOM).min(MAX_DIGITS - after).max(before), after);
    }
    if words::is_time(name) {
        let recent = |(at, _): &(usize, &TimeFormat)| numbers.recent[*at] == *count && numbers.times[*at] == *count;
        if let Some((_, format)) = EPOCHS.iter().enumerate().find(recent) {
            return Decided::of(Draft::Epoch(*format));
        }
    }
    if longs == count && *pointed == 0 {
        return Decided::of(Draft::Plain(ColumnType::Long));
    }
    if doubles == count {
        return Decided::of(Draft::Plain(ColumnType::Double));
    }
    if decimals == count && before + after <= MAX_DIGITS {
        let decided = decimal((MAX_DIGITS - after).min(before.max(20)), after);
        return decided.with("too large for a long, too exact for a double");
    }
    Decided::of(Draft::JSON).with("numbers that no type holds")
}

/// An object: a struct, or a map if its names are data.
fn object(observed: &mut Observed, at: usize, name: &str) -> Decided {
    let node = observed.at(at);
    let objects = node.objects;
    let names = node.fields.len();
    if names == 0 {
        let why = match node.further {
            Some(_) => "the sample has more different fields than are told apart",
            None => "always empty in the sample",
        };
        return Decided::of(Draft::JSON).with(why);
    }
    let odd = observed.fields(node).filter(|field| !words::is_name(&field.name)).count();
    let present: u64 = observed.fields(node).map(Node::present).sum();
    let is_sparse = names > MANY_NAMES && present * 4 < objects * names as u64;
    let is_map = node.further.is_some() || 2 * odd > names || is_sparse;
    // Names that no column can have are kept if all values are alike.
    if (is_map || odd > 0)
        && let Some(entry) = observed.entries(at)
    {
        let value = decide(observed, entry, name);
        if is_map || matches!(&value.draft, Draft::Plain(plain) if *plain != ColumnType::Json) {
            return Decided { draft: Draft::Map(Box::new(value.draft)), notes: value.notes };
        }
    }
    match columns::of(observed, at).0 {
        fields if fields.is_empty() => Decided::of(Draft::JSON).with("names that may be values"),
        fields => Decided::of(Draft::Struct(fields)),
    }
}
