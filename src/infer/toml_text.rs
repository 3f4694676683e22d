//! Drafts as TOML.

use super::lattice::{Draft, Field};
use crate::definition::TimeFormat;
use crate::privacy::one_line;

/// A longer line is divided: a struct gets a header of its own.
const WIDTH: usize = 110;

/// A text as a basic string of TOML.
pub(super) fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// All of `[columns]`.
pub(super) fn columns(fields: &[Field]) -> String {
    let mut text = String::from("[columns]\n");
    let mut apart = Vec::new();
    // A header ends the columns without one, so that those with one come last.
    for field in fields {
        let value = value(field);
        if field.name.len() + value.len() > WIDTH && is_apart(field) {
            apart.push(field);
        } else {
            text.push_str(&line(field, &value));
        }
    }
    for field in apart {
        text.push('\n');
        header("columns", field, &mut text);
    }
    text
}

/// A column's line, with what a reader should know of it.
pub(super) fn line(field: &Field, value: &str) -> String {
    let said = said(field, "");
    let first = format!("{} = {value}", field.name);
    match said.as_slice() {
        [] => format!("{first}\n"),
        [one] if first.len() + one.len() + 4 <= WIDTH => format!("{first}  # {one}\n"),
        several => {
            let above: String = several.iter().map(|one| format!("# {one}\n")).collect();
            format!("{above}{first}\n")
        }
    }
}

/// What a reader should know of a field and of those inside of it.
fn said(field: &Field, path: &str) -> Vec<String> {
    let mut said = Vec::new();
    let place = if path.is_empty() { String::new() } else { format!("{path}{}: ", field.name) };
    said.extend(field.personal.iter().map(|why| format!("{place}personal data: {why}")));
    said.extend(field.notes.iter().map(|note| format!("{place}{}", one_line(note))));
    let path = format!("{path}{}.", field.name);
    said.extend(field.draft.fields().into_iter().flatten().flat_map(|inner| self::said(inner, &path)));
    said
}

/// Whether a field, or one inside of it, needs more than its type.
fn is_special(field: &Field) -> bool {
    field.has_from() || field.personal.is_some() || needs_fields(&field.draft)
}

/// Whether a type is written with `fields`.
fn needs_fields(draft: &Draft) -> bool {
    is_epoch(draft) || draft.fields().is_some_and(|fields| fields.iter().any(is_special))
}

/// Whether it is a time that is a number, or an array or a map of such.
fn is_epoch(draft: &Draft) -> bool {
    epoch(draft).is_some()
}

/// How the times in it that are numbers are written.
pub(super) fn epoch(draft: &Draft) -> Option<TimeFormat> {
    match draft {
        Draft::Epoch(format) => Some(*format),
        Draft::Array(inner) | Draft::Map(inner) => epoch(inner),
        Draft::Plain(_) | Draft::Struct(_) => None,
    }
}

fn is_apart(field: &Field) -> bool {
    needs_fields(&field.draft) && field.draft.fields().is_some()
}

/// The keys of a field but for `fields`, where they are apart.
fn keys(field: &Field) -> Vec<String> {
    let bare = field.draft.fields().is_some() && needs_fields(&field.draft);
    let type_name = if bare { around(&field.draft) } else { field.draft_name() };
    let mut keys = vec![format!("type = {}", string(&type_name))];
    if field.has_from() {
        keys.push(format!("from = {}", string(&field.source)));
    }
    match epoch(&field.draft) {
        Some(TimeFormat::EpochSeconds) => keys.push("format = \"epoch_s\"".to_owned()),
        Some(TimeFormat::EpochMillis) => keys.push("format = \"epoch_ms\"".to_owned()),
        Some(TimeFormat::EpochMicros) => keys.push("format = \"epoch_us\"".to_owned()),
        Some(TimeFormat::Rfc3339) | None => {}
    }
    if field.personal.is_some() {
        keys.push("classification = \"pii\"".to_owned());
    }
    keys
}

/// `struct`, `array<struct>` and so on.
fn around(draft: &Draft) -> String {
    match draft {
        Draft::Array(inner) => format!("array<{}>", around(inner)),
        Draft::Map(inner) => format!("map<string,{}>", around(inner)),
        _ => "struct".to_owned(),
    }
}

/// A column's value on one line.
pub(super) fn value(field: &Field) -> String {
    let mut keys = keys(field);
    if is_apart(field) {
        let inner = field.draft.fields().into_iter().flatten();
        let inner: Vec<String> = inner.map(|field| format!("{} = {}", field.name, value(field))).collect();
        keys.push(format!("fields = {{ {} }}", inner.join(", ")));
    }
    match keys.as_slice() {
        [only] => only.trim_start_matches("type = ").to_owned(),
        several => format!("{{ {} }}", several.join(", ")),
    }
}

/// A column with a header of its own.
fn header(path: &str, field: &Field, text: &mut String) {
    let said = Field { draft: Draft::JSON, ..field.clone() };
    for one in self::said(&said, "") {
        text.push_str(&format!("# {one}\n"));
    }
    let path = format!("{path}.{}", field.name);
    text.push_str(&format!("[{path}]\n"));
    keys(field).iter().for_each(|key| text.push_str(&format!("{key}\n")));
    text.push_str(&format!("[{path}.fields]\n"));
    let mut apart = Vec::new();
    for inner in field.draft.fields().into_iter().flatten() {
        let value = value(inner);
        if inner.name.len() + value.len() > WIDTH && is_apart(inner) {
            apart.push(inner);
        } else {
            text.push_str(&line(inner, &value));
        }
    }
    apart.into_iter().for_each(|inner| header(&format!("{path}.fields"), inner, text));
}

impl Field {
    /// Its type as a definition writes it.
    pub(super) fn draft_name(&self) -> String {
        written(&self.draft)
    }
}

/// The name of a type, with `json` where the table has text.
pub(super) fn written(draft: &Draft) -> String {
    match draft {
        Draft::Plain(crate::definition::ColumnType::Json) => "json".to_owned(),
        Draft::Plain(plain) => plain.delta_name(),
        Draft::Epoch(_) => "timestamp".to_owned(),
        Draft::Array(inner) => format!("array<{}>", written(inner)),
        Draft::Map(inner) => format!("map<string,{}>", written(inner)),
        Draft::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{}:{}", field.name, written(&field.draft))).collect();
            format!("struct<{}>", fields.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::ColumnType;

    fn field(name: &str, source: &str, draft: Draft) -> Field {
        Field { name: name.into(), source: source.into(), draft, personal: None, notes: Vec::new() }
    }

    #[test]
    fn only_what_differs_from_the_name_is_written() {
        let plain = Draft::Plain(ColumnType::Long);
        assert_eq!(value(&field("id", "ID", plain.clone())), "\"long\"");
        assert_eq!(value(&field("a_b", "a-b", plain.clone())), "{ type = \"long\", from = \"a-b\" }");
        let personal = Field { personal: Some("so".into()), ..field("e", "e", Draft::Plain(ColumnType::String)) };
        let list = Draft::Array(Box::new(Draft::Struct(vec![field("n", "n", plain), personal])));
        assert_eq!(
            value(&field("l", "l", list)),
            "{ type = \"array<struct>\", fields = { n = \"long\", e = { type = \"string\", classification = \"pii\" } } }"
        );
        let times = Draft::Array(Box::new(Draft::Epoch(TimeFormat::EpochMillis)));
        assert_eq!(value(&field("t", "t", times)), "{ type = \"array<timestamp>\", format = \"epoch_ms\" }");
        let json = Draft::Map(Box::new(Draft::JSON));
        assert_eq!(value(&field("m", "m", json)), "\"map<string,json>\"");
        assert_eq!(string("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000A\"");
    }
}
