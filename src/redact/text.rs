//! Redaction of the query engine's messages by their words, for texts in which no type separates a value from the words
//! around it: of a message that quotes the value at which a computation failed, only known words of the engine are kept.

/// Prefixes of messages that may quote values: the names of the variants about rows, as in texts that a library made
/// from such an error.
const QUOTING: [&str; 11] = [
    "Cast error: ",
    "Parser error: ",
    "Compute error: ",
    "Arithmetic overflow: ",
    "Invalid argument error: ",
    "Csv error: ",
    "Json error: ",
    "Execution error: ",
    "regex parse error:",
    "Regular expression did not compile: ",
    "panicked with message ",
];

/// Prefixes of the engine's literals in plans, which may have been a key of a row.
const LITERALS: [&str; 26] = [
    "Utf8(\"",
    "LargeUtf8(\"",
    "Utf8View(\"",
    "Binary(\"",
    "Boolean(",
    "Int8(",
    "Int16(",
    "Int32(",
    "Int64(",
    "UInt8(",
    "UInt16(",
    "UInt32(",
    "UInt64(",
    "Float16(",
    "Float32(",
    "Float64(",
    "Date32(\"",
    "Date64(\"",
    "Decimal32(Some(",
    "Decimal64(Some(",
    "Decimal128(Some(",
    "Decimal256(Some(",
    "TimestampSecond(",
    "TimestampMillisecond(",
    "TimestampMicrosecond(",
    "TimestampNanosecond(",
];

/// The engine's own words in messages that quote values, without those that are also names (`max`, `may`, `mark`).
const WORDS: &str = "\
    a above accept all allowed already an and any are argument arguments arithmetic array arrays arrow as at backtrack be \
    been below between binary but by byte bytes can can't cannot cast casting cause caused character characters child \
    class closed column columns compile compiled component components compute contain contains conversion convert \
    converted converting could couldn't count data datatype date datetime day days decimal did digit digits divide does \
    doesn't duplicate duration each either element elements empty end ended entries equal error escape evaluate exceed \
    exceeded exceeds execution exhausted expect expected expects expression failed failure field fields first fit flag \
    flags float for format found from function functions greater group happened has have hour hours if in incorrect \
    index inner input insufficient integer internal interval into invalid is it join json key large larger least left \
    length less limit list look look-ahead look-around look-behind lookahead lookaround map match memory minute minutes \
    mismatch missing month months more must nanosecond nanoseconds negative nested no non non-null not nothing null \
    nulls number object of offset on one only open operation operator or order other out outside overflow overflowed \
    overflows parse parsed parser parsing partition pattern perform physical plan position positive precision provided \
    quantifier quantifiers range read received record recursion regex regexp regular repetition represent represented \
    requested required requires resources returned row rows same scalar scale schema second seconds sequence set should \
    signed single size small smaller store string string's struct structarray subquery supplied support supported \
    supports syntax target than that the time timestamp timezone to too trailing two type types unable unclosed \
    undefined unexpected unicode union unit unknown unmatched unopened unrecognized unsigned unsupported use used using \
    valid value values was when while with within would year years zero zone";

/// The engine's spelling of types.
const TYPES: &str = "\
    Binary BinaryView Boolean DataType Date32 Date64 Decimal128 Decimal256 Decimal32 Decimal64 Dictionary Duration \
    Float16 Float32 Float64 Int16 Int32 Int64 Int8 Interval LargeBinary LargeList LargeUtf8 List Map Microsecond \
    Millisecond MonthDayNano Nanosecond Null Second Some Struct Time32 Time64 Timestamp UInt16 UInt32 UInt64 UInt8 UTC \
    Utf8 Utf8View";

/// The replacement for a value.
pub(super) const HIDDEN: &str = "…";

/// A message of the engine without the values in it.
pub(super) fn redact(text: &str) -> String {
    let quoting = QUOTING.iter().filter_map(|before| text.find(before).map(|at| at + before.len())).min();
    let (said, about) = text.split_at(quoting.unwrap_or(text.len()));
    let mut redacted = without_literals(said);
    if quoting.is_some() && !redacted.ends_with(' ') {
        redacted.push(' ');
    }
    redacted.push_str(&own_words(about));
    redacted
}

/// A text without its literals.
fn without_literals(text: &str) -> String {
    let mut text = text.to_owned();
    for literal in LITERALS {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| rest.find(literal)) {
            let begins = from + at + literal.len();
            // A longer name ends with this one: `UInt8(`, which is handled separately, or a column's.
            let follows = text.get(..from + at).and_then(|before| before.chars().next_back());
            let ends = if literal.ends_with('"') { "\")" } else { ")" };
            let length = text.get(begins..).and_then(|rest| rest.find(ends));
            from = begins;
            if let (false, Some(length)) = (follows.is_some_and(char::is_alphanumeric), length) {
                text.replace_range(begins..begins + length, HIDDEN);
            }
        }
    }
    text
}

/// Keeps only the engine's words of a text.
pub(super) fn own_words(text: &str) -> String {
    let mut kept = String::new();
    let mut was_hidden = false;
    for word in without_quoted(text).split_whitespace() {
        let word = own_word(word);
        if was_hidden && word == HIDDEN {
            continue;
        }
        was_hidden = word == HIDDEN;
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(&word);
    }
    kept
}

/// A text with its quoted parts hidden, even if they consist of known words.
fn without_quoted(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        kept.push(next);
        if matches!(next, '\'' | '"' | '`') && !before.is_alphanumeric() {
            // A quote inside a word (`O'Brien`) is no end.
            let ends = rest
                .match_indices(next)
                .map(|(at, _)| at)
                .find(|at| !rest[at + next.len_utf8()..].chars().next().is_some_and(char::is_alphanumeric));
            if let Some(ends) = ends {
                kept.push_str(HIDDEN);
                kept.push(next);
                rest = &rest[ends + next.len_utf8()..];
            }
        }
        before = next;
    }
    kept
}

/// A word between spaces: unchanged if the engine uses it, else hidden, with the quotes and the punctuation around it
/// kept.
fn own_word(word: &str) -> String {
    let around = |c: char| "'\"`,.:;()[]{}".contains(c);
    let core = word.trim_matches(around);
    let is_own = |part: &str| {
        let lower = part.to_lowercase();
        WORDS.split_whitespace().any(|w| w == lower) || TYPES.split_whitespace().any(|t| t == part)
    };
    let parts = || core.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|part| !part.is_empty());
    let is_sign = core.is_ascii() && core.len() <= 2 && parts().next().is_none();
    if core == HIDDEN || is_sign || (parts().next().is_some() && parts().all(is_own)) {
        return word.to_owned();
    }
    let before = word.strip_suffix(word.trim_start_matches(['\'', '"', '`'])).unwrap_or_default();
    let after = word.strip_prefix(word.trim_end_matches(['\'', '"', '`', ',', '.', ':', ';'])).unwrap_or_default();
    format!("{before}{HIDDEN}{after}")
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn what_failed_is_told_and_not_at_which_value() {
        for (said, told) in [
            (
                "Arrow error: Cast error: Cannot cast string 'ada@x.org' to value of Int64 type",
                "Arrow error: Cast error: Cannot cast string '…' to value of Int64 type",
            ),
            (
                "Cast error: Cannot cast string 'Ada O'Brien's value' to value of Date32 type",
                "Cast error: Cannot cast string '…' to value of Date32 type",
            ),
            (
                "Cast error: Can't cast value 4711999000000 to type Int32",
                "Cast error: Can't cast value … to type Int32",
            ),
            (
                "Invalid argument error: 4711999.00 is too large to store in a Decimal128 of precision 4. Max is 99.99",
                "Invalid argument error: … is too large to store in a Decimal128 of precision …. … is …",
            ),
            (
                "Arithmetic overflow: Overflow happened on: 4711999 * 1000000000000",
                "Arithmetic overflow: Overflow happened on: … * …",
            ),
            (
                "External error: regex parse error:\n    (ada (lovelace)@x.org value\n    ^\nerror: unclosed group",
                "External error: regex parse error: … value ^ error: unclosed group",
            ),
            (
                "Parser error: Error parsing timestamp from 'ada': error parsing date",
                "Parser error: Error parsing timestamp from '…': error parsing date",
            ),
            (
                "Cast error: Failed to convert -4711999 to datetime for Timestamp(µs)",
                "Cast error: Failed to convert … to datetime for …",
            ),
            ("Execution error: Ada", "Execution error: …"),
            ("task 5 panicked with message \"no ada\"", "task 5 panicked with message \"…\""),
        ] {
            assert_eq!(redact(said), told);
        }
    }

    #[test]
    fn what_is_no_value_is_told() {
        for said in [
            "Error during planning: No field named k. Valid fields are a.id, a.v.",
            "Object Store error: Object at location w/trusted/f/part-0.parquet not found: No such file (os error 2)",
            "Resources exhausted: Failed to allocate additional 64.0 KB for HashJoinInput[0]",
            "Arrow error: Divide by zero error",
            "Execution error: Scalar subquery returned more than one row",
            "types Decimal128(10, 2) and Timestamp(Microsecond, Some(\"UTC\")) of `Int64` do not compare",
        ] {
            assert_eq!(redact(said), said);
        }
    }

    #[test]
    fn literals_of_a_plan_may_be_keys() {
        let said = "Internal error: k IN ([Utf8(\"ada (x)\"), Utf8(\"b\")]) AND UInt8(7) = Decimal128(Some(5),10,2)";
        let told = "Internal error: k IN ([Utf8(\"…\"), Utf8(\"…\")]) AND UInt8(…) = Decimal128(Some(…),10,2)";
        assert_eq!(redact(said), told);
    }
}
