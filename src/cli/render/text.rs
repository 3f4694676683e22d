//! Numbers, sizes and times for people.

use std::time::Duration;

use crate::cli::outlet::styled;
use crate::clock::rfc3339;
pub(in crate::cli) use crate::outcome::number;
use crate::outcome::sized;

/// The answer about a project without tables, and what to type.
pub(in crate::cli) const NO_TABLES: &str = "No tables yet.\n";
pub(in crate::cli) const FIRST_TABLE: &str = "Next: stedi-delta infer 'data/FOLDER/*.json'\n";

/// The line above the list of tables: `shop -> dev  (landing s3://raw, warehouse s3://lake)`.
pub(in crate::cli) fn heading(project: &str, target: &str, landing: &str, warehouse: &str) -> String {
    format!("{project} -> {target}  (landing {landing}, warehouse {warehouse})\n\n")
}

/// A zone's cell: its name in its first row, then empty.
pub(in crate::cli) fn unless_same(zone: &str, above: &str) -> String {
    if zone == above { String::new() } else { zone.to_owned() }
}

/// `1 file`, `1,204 files`.
pub(in crate::cli) fn count(value: u64, noun: &str) -> String {
    format!("{} {}", number(value), plural(value, noun))
}

/// `file` or `files`; `entry` or `entries`.
pub(in crate::cli) fn plural(value: u64, noun: &str) -> String {
    match (value, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    }
}

/// `812 B`, `31.0 KB`, `1.9 MB`: powers of 1024.
pub(in crate::cli) fn bytes(value: u64) -> String {
    sized(value)
}

/// `40 ms`, `0.9 s`, `42 s`, `2 min 5 s`, `3 h 20 min`.
pub(in crate::cli) fn duration(elapsed: Duration) -> String {
    let milliseconds = elapsed.as_millis();
    let seconds = (milliseconds + 500) / 1000;
    match milliseconds {
        0..95 => format!("{milliseconds} ms"),
        95..9_950 => {
            let tenths = (milliseconds + 50) / 100;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        9_950..59_500 => format!("{seconds} s"),
        59_500..3_599_500 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `2026-11-23 08:14:02`, in UTC.
pub(in crate::cli) fn date_time(ms: i64) -> String {
    let text = rfc3339(ms);
    text.split('.').next().unwrap_or(&text).replace('T', " ")
}

/// `+1 ~2 -85`; `0` for no change.
pub(in crate::cli) fn change(inserted: u64, updated: u64, deleted: u64) -> String {
    let parts: Vec<String> = [("+", inserted), ("~", updated), ("-", deleted)]
        .into_iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(sign, rows)| format!("{sign}{}", number(rows)))
        .collect();
    if parts.is_empty() { "0".into() } else { parts.join(" ") }
}

/// A text in lines of at most `width` characters, broken at blanks; a longer word has a line of its own.
pub(in crate::cli) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text in a colour, if colour is enabled.
pub(in crate::cli) fn painted(text: &str, ansi: &str, color: bool) -> String {
    if color { styled(&format!("\u{1b}[{ansi}m{text}\u{1b}[0m")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 81_273, 1_000_000].map(number), ["0", "999", "1,000", "81,273", "1,000,000"]);
        assert_eq!(count(1, "entry"), "1 entry");
        assert_eq!(count(1204, "entry"), "1,204 entries");
    }

    #[test]
    fn sizes_have_one_decimal() {
        let sizes = [812, 1024, 31_744, 1_992_294, 1_048_575, 11_744_051, u64::MAX];
        assert_eq!(sizes.map(bytes), ["812 B", "1.0 KB", "31.0 KB", "1.9 MB", "1.0 MB", "11.2 MB", "16.0 EB"]);
    }

    #[test]
    fn times_are_rounded_to_what_a_person_can_use() {
        let times = [0, 40, 99, 940, 9_940, 9_960, 59_400, 59_900, 125_000, 3_599_900, 12_000_000];
        assert_eq!(
            times.map(|ms| duration(Duration::from_millis(ms))),
            [
                "0 ms",
                "40 ms",
                "0.1 s",
                "0.9 s",
                "9.9 s",
                "10 s",
                "59 s",
                "1 min 0 s",
                "2 min 5 s",
                "1 h 0 min",
                "3 h 20 min"
            ]
        );
    }

    #[test]
    fn a_text_is_broken_at_blanks() {
        assert_eq!(wrapped("full: first build", 20), ["full: first build"]);
        assert_eq!(wrapped("full: first build", 11), ["full: first", "build"]);
        assert_eq!(wrapped("a machine_learning_curated b", 5), ["a", "machine_learning_curated", "b"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn a_change_names_only_what_changed() {
        assert_eq!(change(1, 2, 1085), "+1 ~2 -1,085");
        assert_eq!(change(0, 0, 0), "0");
    }
}
