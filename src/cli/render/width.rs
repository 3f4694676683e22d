//! The width of text answers: what a person sees at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::text::wrapped;

/// The width of this process's standard output; 0 = nothing is shortened. The process has one standard output, and texts
/// are made in many places.
static WIDTH: AtomicUsize = AtomicUsize::new(0);

/// Fewer characters than this are no width.
const LEAST: usize = 20;
/// Maximum characters by which the rest of a folded line is moved to the right.
const INDENT: usize = 24;

/// The width: `COLUMNS` if it is set, else the terminal's. `None` = nothing is shortened.
pub(in crate::cli) fn of(columns: Option<&str>, terminal: Option<usize>, wide: bool) -> Option<usize> {
    let given = columns.and_then(|text| text.trim().parse().ok()).filter(|width| *width > 0);
    given.or(terminal).filter(|_| !wide).map(|width| width.max(LEAST))
}

/// Sets the width of all further texts.
pub(in crate::cli) fn set(width: Option<usize>) {
    WIDTH.store(width.unwrap_or(0), Ordering::Relaxed);
}

/// The width, if there is one.
pub(in crate::cli) fn limit() -> Option<usize> {
    Some(WIDTH.load(Ordering::Relaxed)).filter(|width| *width > 0)
}

/// A text of which lines that are longer than the width go on below, indented.
pub(in crate::cli) fn folded(text: &str) -> String {
    match limit() {
        Some(width) => folded_at(text, width),
        None => text.to_owned(),
    }
}

fn folded_at(text: &str, width: usize) -> String {
    let mut folded = String::new();
    for line in text.lines() {
        if line.chars().count() <= width {
            folded.push_str(line);
            folded.push('\n');
            continue;
        }
        let rest = line.trim_start_matches(' ');
        let start = line.len() - rest.len();
        let indent = (start + 2).min(INDENT);
        for (number, part) in wrapped(rest, width.saturating_sub(indent).max(LEAST)).iter().enumerate() {
            folded.push_str(&" ".repeat(if number == 0 { start } else { indent }));
            folded.push_str(part.trim_end());
            folded.push('\n');
        }
    }
    folded
}

/// A text of at most `width` characters; one that was longer ends with `…`.
pub(in crate::cli) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// The same where texts have a width; as it is where nothing is shortened.
pub(in crate::cli) fn clipped(text: &str, width: usize) -> String {
    limit().map_or_else(|| text.to_owned(), |_| shortened(text, width))
}

/// Widths of columns that fit into `room` together: the widest are shortened first, each down to what `least` says.
pub(in crate::cli) fn fitted(widths: &[usize], least: impl Fn(usize) -> usize, room: usize) -> Vec<usize> {
    // None of those that are shortened stays wider than all of the room: a cell may have megabytes.
    let most = |(at, width): (usize, &usize)| (*width).min(room.max(least(at)));
    let mut fitted: Vec<usize> = widths.iter().enumerate().map(most).collect();
    while fitted.iter().sum::<usize>() > room {
        let widest = (0..fitted.len()).filter(|at| fitted[*at] > least(*at)).max_by_key(|at| fitted[*at]);
        match widest {
            Some(at) => fitted[at] -= 1,
            None => break,
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_precedes_the_terminal_and_wide_has_none() {
        assert_eq!(of(Some("80"), Some(120), false), Some(80));
        assert_eq!(of(Some("eighty"), Some(120), false), Some(120));
        assert_eq!(of(Some("0"), None, false), None);
        assert_eq!(of(None, Some(3), false), Some(20));
        assert_eq!(of(Some("80"), Some(120), true), None);
    }

    #[test]
    fn a_long_line_goes_on_below() {
        assert_eq!(folded_at("  one two three four five\nsix\n", 20), "  one two three four\n    five\nsix\n");
        assert_eq!(folded_at("a-word-without-any-blank-in-it\n", 20), "a-word-without-any-blank-in-it\n");
    }

    #[test]
    fn the_widest_columns_are_shortened_first() {
        assert_eq!(fitted(&[4, 30, 20], |_| 8, 40), [4, 18, 18]);
        assert_eq!(fitted(&[4, 30, 20], |at| if at == 1 { 30 } else { 8 }, 40), [4, 30, 8]);
        assert_eq!(shortened("accelerometer", 6), "accel…");
        assert_eq!(shortened("a bc", 3), "a…");
    }
}
