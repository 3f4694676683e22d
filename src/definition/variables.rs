//! `${VAR}` and `${VAR:-default}` in a text: environment variables, whose values appear in no message.

use crate::source::faults::Faults;
use crate::source::{Fault, Place, Text};

/// A value of the environment by its name.
pub(crate) type Lookup<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The environment of this process. A variable that is empty counts as absent: CI systems leave one out so.
#[must_use]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A text with variables, and the first fault of it.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    /// The text; with [`Self::missing`] as it is written.
    pub text: Text,
    /// Whether there are variables in it.
    pub has_variables: bool,
    /// The variable that is not set and has no default.
    pub missing: Option<Fault>,
}

/// A part of a text.
enum Part<'t> {
    /// As it is.
    Plain(&'t str),
    /// A variable, with its default.
    Variable(&'t str, Option<&'t str>),
}

/// The parts of a text, or what is wrong with it and what is expected.
fn parts(text: &str) -> Result<Vec<Part<'_>>, (String, &'static str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        parts.push(Part::Plain(before));
        let Some((inside, after)) = after.split_once('}') else {
            return Err(("a `${` without its `}`".to_owned(), "expected `${VARIABLE}`"));
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            let message = format!("`${{{name}}}`, which is no variable");
            return Err((message, "expected `${VARIABLE}` or `${VARIABLE:-default}`"));
        }
        parts.push(Part::Variable(name, default));
        rest = after;
    }
    parts.push(Part::Plain(rest));
    Ok(parts)
}

/// The text of parts, or the first variable that is not set.
fn joined(parts: &[Part<'_>], lookup: Lookup<'_>) -> Result<String, String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Plain(plain) => text.push_str(plain),
            Part::Variable(name, default) => {
                let found = lookup(name).or_else(|| default.map(str::to_owned));
                text.push_str(&found.ok_or_else(|| (*name).to_owned())?);
            }
        }
    }
    Ok(text)
}

/// A text with the values of its variables.
///
/// # Errors
/// The variable that is not set, or what is no variable.
pub(super) fn expanded(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    joined(&parts(text).map_err(|(message, _)| message)?, lookup)
}

/// Replaces the variables of the value of `key`.
pub(super) fn expand(key: &str, text: Text, lookup: Lookup<'_>, faults: &mut Faults) -> Option<Expanded> {
    let parts = match parts(&text.value) {
        Ok(parts) => parts,
        Err((message, label)) => {
            faults.add(text.place, format!("`{key}` has {message}"), label);
            return None;
        }
    };
    let has_variables = parts.len() > 1;
    let (value, missing) = match joined(&parts, lookup) {
        Ok(value) => (value, None),
        Err(name) => (text.value.clone(), Some(unset(key, &name, &text.place))),
    };
    Some(Expanded { text: Text { value, place: text.place }, has_variables, missing })
}

fn unset(key: &str, name: &str, place: &Place) -> Fault {
    let message = format!("`{key}` needs the environment variable `{name}`, which is not set");
    Fault::at(place, message, format!("set it, or write `${{{name}:-default}}`"))
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

/// Reads an expanded value by `read`. What it says of a value with variables may hold a secret, and is not passed on; a value
/// with a missing variable is not read.
pub(super) fn checked<T>(
    key: &str,
    expanded: Expanded,
    faults: &mut Faults,
    read: impl FnOnce(Text, &mut Faults) -> Option<T>,
) -> Option<T> {
    if !expanded.has_variables {
        return read(expanded.text, faults);
    }
    let place = expanded.text.place.clone();
    let mut found = Faults::default();
    let read = read(expanded.text, &mut found);
    if found.len() > 0 {
        let message = format!("`{key}` is not valid with the values of its variables");
        faults.add(place, message, "their values are not shown");
        return None;
    }
    read
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::SourceFile;

    fn found(value: &str) -> (Option<String>, Vec<String>) {
        let file = Arc::new(SourceFile { path: "stedi-delta.toml".into(), text: value.to_owned() });
        let text = Text { value: value.to_owned(), place: Place { file, span: 0..value.len() } };
        let lookup = |name: &str| (name == "BUCKET").then(|| "lake".to_owned());
        let mut faults = Faults::default();
        let found = expand("landing", text, &lookup, &mut faults);
        let missing = found.as_ref().and_then(|found| found.missing.clone());
        let all = faults.into_sorted().into_iter().chain(missing);
        (found.map(|found| found.text.value), all.map(|fault| format!("{} | {}", fault.message, fault.label)).collect())
    }

    #[test]
    fn variables_are_replaced_and_missing_ones_named() {
        for (text, value) in [
            ("s3://${BUCKET}/raw", "s3://lake/raw"),
            ("s3://${BUCKET:-other}/${PREFIX:-raw}", "s3://lake/raw"),
            ("${PREFIX:-}x", "x"),
            ("no $BUCKET and no }", "no $BUCKET and no }"),
        ] {
            assert_eq!(found(text), (Some(value.to_owned()), Vec::new()));
        }
        let missing = "`landing` needs the environment variable `PREFIX`, which is not set | set it, or write `${PREFIX:-default}`";
        assert_eq!(found("s3://${BUCKET}/${PREFIX}"), (Some("s3://${BUCKET}/${PREFIX}".into()), vec![missing.into()]));
        assert_eq!(
            found("${BUCKET"),
            (None, vec!["`landing` has a `${` without its `}` | expected `${VARIABLE}`".into()])
        );
        let no_variable =
            "`landing` has `${a-b}`, which is no variable | expected `${VARIABLE}` or `${VARIABLE:-default}`";
        assert_eq!(found("${a-b}"), (None, vec![no_variable.into()]));
    }
}
