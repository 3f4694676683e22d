//! Whether a single value could be stored in a column, by the rules of [`column`](super::column).

use super::column::Refusal;
use super::number;
use super::time::{date, since_epoch, timestamp};
use crate::definition::TimeFormat;

/// Whether a column of type `long` takes a number.
pub(crate) fn is_long(literal: &str) -> bool {
    number::integer(literal).is_ok()
}

/// Whether a column of type `double` takes a number.
pub(crate) fn is_double(literal: &str) -> bool {
    number::double(literal).is_ok()
}

/// Whether a column of type `timestamp` with this format takes a number.
pub(crate) fn is_since_epoch(literal: &str, format: TimeFormat) -> bool {
    since_epoch(literal, format).is_ok()
}

/// Whether a column of type `date` takes a text.
pub(crate) fn is_date(text: &str) -> bool {
    date(text).is_ok()
}

/// Whether a column of type `timestamp` takes a text; `None`: it is a time, but finer than the type.
pub(crate) fn is_timestamp(text: &str) -> Option<bool> {
    match timestamp(text) {
        Ok(_) => Some(true),
        Err(Refusal::Text(what)) if what == super::time::TOO_FINE => None,
        Err(_) => Some(false),
    }
}

/// Digits before and after the point that a `decimal` needs for a number: those of its value, without zeros at either end.
/// `None` if no decimal of 38 digits has it.
pub(crate) fn digits(literal: &str) -> Option<(u8, u8)> {
    let scale = (0..=38).find(|scale| !matches!(number::scaled(literal, *scale), Err(number::Misfit::Fraction)))?;
    let value = number::scaled(literal, scale).ok()?.unsigned_abs();
    let all = value.checked_ilog10().map_or(0, |log| log + 1);
    let scale = u32::try_from(scale).ok()?;
    Some((u8::try_from(all.saturating_sub(scale)).ok()?, u8::try_from(scale).ok()?)).filter(|(w, s)| w + s <= 38)
}
