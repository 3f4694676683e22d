//! All faults of a project, collected while checking continues.

use crate::name::nearest;
use crate::source::{Fault, Place};

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault at a place.
    pub(crate) fn add(&mut self, place: Place, message: impl Into<String>, label: impl Into<String>) {
        self.0.push(Fault::at(&place, message, label));
    }

    /// Adds a fault at a place with the next thing to do.
    pub(crate) fn add_with_help(
        &mut self,
        place: Place,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.0.push(Fault { help: Some(help.into()), ..Fault::at(&place, message, label) });
    }

    /// Adds a fault whose place must not be shown; `message` names it.
    pub(crate) fn add_unshown(&mut self, message: impl Into<String>, help: impl Into<String>) {
        let (message, help) = (message.into(), Some(help.into()));
        self.0.push(Fault { message, place: None, label: String::new(), help });
    }

    /// Adds separately collected faults.
    pub(crate) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All faults, by file and place, each once.
    pub(crate) fn into_sorted(self) -> Vec<Fault> {
        sorted(self.0)
    }
}

/// Faults by file and place, each once.
#[must_use]
pub(crate) fn sorted(mut faults: Vec<Fault>) -> Vec<Fault> {
    let key = |f: &Fault| f.place.as_ref().map(|p| (p.file.path.clone(), p.span.start));
    faults.sort_by_key(key);
    faults.dedup_by(|a, b| key(a) == key(b) && a.message == b.message);
    faults
}

/// What to write instead of a name that is none of the known ones: the nearest of them, or else all.
pub(crate) fn suggestion<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of {}", one_of(known)),
    }
}

/// `` `a`, `b`, `c` ``, at most twelve of them.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let words: Vec<_> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.len().checked_sub(SHOWN) {
        Some(rest) if rest > 0 => format!("{} and {rest} more", words[..SHOWN].join(", ")),
        _ => words.join(", "),
    }
}
