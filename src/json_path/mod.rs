//! `json_extract` and `json_extract_scalar`: parts of JSON texts, with the paths of Athena's engine.
//!
//! A path is a constant: `check` reports a wrong one, and a result is never longer than its input. Parsing stops at the
//! sought part. A text that is not valid JSON up to there gives NULL.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use deltalake::arrow::array::builder::StringBuilder;
use deltalake::arrow::array::{Array, AsArray};
use deltalake::arrow::datatypes::{DataType, Field, FieldRef};
use deltalake::datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use deltalake::datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Maximum number of steps of a path; each is a level of nesting.
const MAX_STEPS: usize = 100;

/// The functions.
#[must_use]
pub(crate) fn functions() -> [Arc<ScalarUDF>; 2] {
    [Part::Value, Part::Scalar].map(|part| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Extract { part, signature }))
    })
}

/// The part of a text that a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    /// Any value, as the text of its JSON.
    Value,
    /// A text, a number or a truth value, as text; NULL for all others.
    Scalar,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extract {
    part: Part,
    signature: Signature,
}

impl ScalarUDFImpl for Extract {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Value => "json_extract",
            Part::Scalar => "json_extract_scalar",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [json, path] if [json, path].iter().all(|of| of.is_string() || of.is_null()) => {
                Ok(vec![DataType::Utf8, DataType::Utf8])
            }
            _ => plan_err!("{} takes a text and a path, such as '$.a[0]'", self.name()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.scalar_arguments {
            [_, Some(path)] => drop(self.path(path)?),
            _ => return plan_err!("the path of {} must be a constant text, such as '$.a[0]'", self.name()),
        }
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = args.args.as_slice() else { return exec_err!("{} takes a text and a path", self.name()) };
        let ColumnarValue::Scalar(path) = path else {
            return exec_err!("the path of {} must be a constant text", self.name());
        };
        let Some(path) = self.path(path)? else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
        };
        match json {
            ColumnarValue::Scalar(json) => {
                let text = json.try_as_str().flatten();
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(text.and_then(|text| self.part.of(&path, text)))))
            }
            ColumnarValue::Array(array) => {
                let Some(texts) = array.as_string_opt::<i32>() else {
                    return exec_err!("{} takes a text, found {}", self.name(), array.data_type());
                };
                let mut parts = StringBuilder::with_capacity(texts.len(), 0);
                texts.iter().for_each(|text| parts.append_option(text.and_then(|text| self.part.of(&path, text))));
                Ok(ColumnarValue::Array(Arc::new(parts.finish())))
            }
        }
    }
}

impl Extract {
    /// A path; `None` = NULL.
    fn path(&self, path: &ScalarValue) -> Result<Option<Vec<Step>>> {
        let Some(text) = path.try_as_str().flatten() else { return Ok(None) };
        match steps(text) {
            Some(steps) if steps.len() <= MAX_STEPS => Ok(Some(steps)),
            Some(_) => plan_err!("the path of {} has at most {MAX_STEPS} steps", self.name()),
            None => plan_err!(
                "'{text}' is no path of {}: write `$`, and after it `.name`, `[0]` or `[\"any name\"]`",
                self.name()
            ),
        }
    }
}

/// One step of a path: a field by its name, or an element if the name is a number.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    name: String,
    index: Option<usize>,
}

/// The steps of a path; `None` if it is none.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix('.') {
            (name, rest) = word(after, |c| is_plain(c) || c == ':')?;
        } else if let Some(after) = rest.strip_prefix("[\"") {
            (name, rest) = quoted_name(after)?;
            rest = rest.strip_prefix(']')?;
        } else {
            (name, rest) = word(rest.strip_prefix('[')?, is_plain)?;
            rest = rest.strip_prefix(']')?;
        }
        // A number beyond that is never reached.
        let index = name.parse::<i32>().ok().and_then(|index| usize::try_from(index).ok());
        steps.push(Step { name, index });
    }
    Some(steps)
}

/// Characters that every release of the engine accepts in a name without quotes.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || (!c.is_ascii() && c.is_alphabetic())
}

fn word(text: &str, belongs: impl Fn(char) -> bool) -> Option<(String, &str)> {
    let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// A name up to its closing quote. Quotes and backslashes in it have a backslash before them.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, &text[at + 1..])),
            '\\' => name.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\\'))?),
            other => name.push(other),
        }
    }
    None
}

impl Part {
    /// The part of a text that a path leads to; `None` where there is none.
    fn of(self, path: &[Step], text: &str) -> Option<String> {
        let mut found = None;
        let mut json = serde_json::Deserializer::from_str(text);
        // It stops at the part that it finds, and at invalid JSON.
        let _ = Find { steps: path, found: &mut found }.deserialize(&mut json);
        let found: &str = found?;
        match (self, found.as_bytes().first()?) {
            (Self::Value, _) => compact(found),
            (Self::Scalar, b'{' | b'[' | b'n') => None,
            (Self::Scalar, b'"') => serde_json::from_str(found).ok(),
            (Self::Scalar, _) => Some(found.to_owned()),
        }
    }
}

/// Looks for the value at the end of a path. The first field of a name decides.
struct Find<'p, 'f, 't> {
    steps: &'p [Step],
    found: &'f mut Option<&'t str>,
}

/// The error that ends the search, so that the rest is not read.
fn over<E: serde::de::Error>() -> E {
    E::custom("the search is over")
}

impl<'de> DeserializeSeed<'de> for Find<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        if !self.steps.is_empty() {
            return deserializer.deserialize_any(self);
        }
        *self.found = Some(<&'de RawValue>::deserialize(deserializer)?.get());
        Err(D::Error::custom("the search is over"))
    }
}

impl<'de> Visitor<'de> for Find<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let Some((step, steps)) = self.steps.split_first() else { return Err(over()) };
        while let Some(is_it) = map.next_key_seed(Is(&step.name))? {
            if is_it {
                map.next_value_seed(Find { steps, found: self.found })?;
                return Err(over());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let Some((Step { index: Some(index), .. }, steps)) = self.steps.split_first() else { return Err(over()) };
        for _ in 0..*index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Err(over());
            }
        }
        seq.next_element_seed(Find { steps, found: self.found })?;
        Err(over())
    }
}

/// Whether a name is the one that is looked for.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> std::result::Result<bool, E> {
        Ok(name == self.0)
    }
}

/// A valid value without blanks between its parts, its texts spelled alike. `None` where half a surrogate pair is no text.
fn compact(json: &str) -> Option<String> {
    let mut compact = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('"') {
        push_dense(&rest[..at], &mut compact);
        let end = at + 1 + text_length(&rest.as_bytes()[at + 1..])?;
        let text = &rest[at..end];
        if text.contains('\\') {
            push_quoted(&serde_json::from_str::<String>(text).ok()?, &mut compact);
        } else {
            compact.push_str(text);
        }
        rest = &rest[end..];
    }
    push_dense(rest, &mut compact);
    Some(compact)
}

/// Bytes of a text up to and with its closing quote.
fn text_length(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = bytes.iter().position(|byte| {
        let ends = !escaped && *byte == b'"';
        escaped = !escaped && *byte == b'\\';
        ends
    });
    end.map(|at| at + 1)
}

fn push_dense(between: &str, compact: &mut String) {
    compact.extend(between.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')));
}

/// A text in quotes; what must be escaped is spelled as short as it can be.
fn push_quoted(text: &str, compact: &mut String) {
    compact.push('"');
    for c in text.chars() {
        match c {
            '"' => compact.push_str("\\\""),
            '\\' => compact.push_str("\\\\"),
            '\n' => compact.push_str("\\n"),
            '\r' => compact.push_str("\\r"),
            '\t' => compact.push_str("\\t"),
            '\u{8}' => compact.push_str("\\b"),
            '\u{c}' => compact.push_str("\\f"),
            control if control < ' ' => compact.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => compact.push(other),
        }
    }
    compact.push('"');
}
