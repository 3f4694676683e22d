//! Building blocks of texts for people.

pub(super) mod error;
pub(super) mod grid;
pub(super) mod rows;
pub(super) mod text;
pub(super) mod width;

pub(super) use text::duration;

/// `full: the query changed`.
pub(super) fn explained(mode: &str, reason: &str) -> String {
    match (mode, reason) {
        (mode, "") => mode.to_owned(),
        ("", reason) => reason.to_owned(),
        (mode, reason) => format!("{mode}: {reason}"),
    }
}
