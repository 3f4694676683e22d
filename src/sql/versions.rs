//! Versions of tables in a query: `t@v12`, `t@2026-11-20T10:00:00Z`, `t version as of 12`, `t timestamp as of '2026-11-20'`.
//!
//! The engine knows tables by their names alone, so each becomes a table of the name `t@v12`, called `t` unless the query
//! calls it otherwise.

use deltalake::datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use deltalake::datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

/// Replaces versions by quoted names; `offset` is that of a token in `text`.
pub(super) fn named(
    tokens: Vec<TokenWithSpan>,
    text: &str,
    offset: impl Fn(deltalake::datafusion::sql::sqlparser::tokenizer::Location) -> usize,
) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let is_marked =
            matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.contains('@'));
        let begins = if is_marked { offset(token.span.start) } else { text.len() };
        let found = marked(token, text.get(begins..).unwrap_or_default())
            .and_then(|(name, point, length)| {
                // The tokens that the text of the version was split into.
                let rest = tokens.get(at..)?;
                let count = rest.iter().take_while(|token| offset(token.span.start) < begins + length).count();
                (offset(rest.get(count - 1)?.span.end) == begins + length).then_some((name, point, at + count))
            })
            .or_else(|| as_of(&tokens, at));
        let Some((name, point, next)) = found else {
            out.push(token.clone());
            at += 1;
            continue;
        };
        let span = Span::new(token.span.start, tokens.get(next - 1).map_or(token.span.end, |last| last.span.end));
        let mut push = |token| out.push(TokenWithSpan { token, span });
        push(quoted(format!("{name}@{point}")));
        if !is_alias(&tokens, next) {
            push(Token::make_keyword("AS"));
            push(quoted(name));
        }
        at = next;
    }
    out
}

fn quoted(value: String) -> Token {
    Token::Word(Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword })
}

/// The name and the version of `t@v12...`, and the length of both in the text.
fn marked(token: &TokenWithSpan, text: &str) -> Option<(String, String, usize)> {
    let Token::Word(Word { value, quote_style: None, .. }) = &token.token else { return None };
    let (name, _) = value.split_once('@').filter(|(name, _)| !name.is_empty())?;
    let point = text.get(text.find('@')? + 1..)?;
    let length = number(point).or_else(|| time(point))?;
    let written = point.get(..length)?.to_uppercase().replace('V', "v");
    Some((name.to_owned(), written, text.find('@')? + 1 + length))
}

/// The length of `v12` at the beginning of a text.
fn number(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['v', 'V'])?;
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let ends = digits.as_bytes().get(count).is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_');
    (count > 0 && ends).then_some(1 + count)
}

/// The length of `2026-11-20`, or of a time such as `2026-11-20T10:00:00.000+01:00`, at the beginning of a text.
fn time(text: &str) -> Option<usize> {
    let matches = |from: usize, pattern: &str| {
        let bytes = text.as_bytes().get(from..from + pattern.len())?;
        let fits = bytes.iter().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            wanted => byte.eq_ignore_ascii_case(&wanted),
        });
        fits.then_some(from + pattern.len())
    };
    let day = matches(0, "0000-00-00")?;
    let Some(minutes) = matches(day, "T00:00") else { return Some(day) };
    let seconds = matches(minutes, ":00").unwrap_or(minutes);
    let fraction = matches(seconds, ".0").map_or(seconds, |begins| {
        begins + text.as_bytes()[begins..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    });
    let offset = ["Z", "+00:00", "-00:00", "+0000", "-0000"].iter().find_map(|offset| matches(fraction, offset));
    Some(offset.unwrap_or(fraction))
}

/// `t [for] version as of 12` and `t [for] timestamp as of '2026-11-20'` that begin at a token: the name, the version, and
/// the index of the token behind.
fn as_of(tokens: &[TokenWithSpan], at: usize) -> Option<(String, String, usize)> {
    let Token::Word(table) = &tokens.get(at)?.token else { return None };
    let mut next = at;
    let mut word = || {
        next += 1;
        while matches!(tokens.get(next)?.token, Token::Whitespace(_)) {
            next += 1;
        }
        tokens.get(next).map(|token| &token.token)
    };
    let mut kind = word()?;
    if is(kind, "for") {
        kind = word()?;
    }
    let is_number = is(kind, "version") || is(kind, "system_version");
    if !(is_number || is(kind, "timestamp") || is(kind, "system_time")) {
        return None;
    }
    if !(is(word()?, "as") && is(word()?, "of")) {
        return None;
    }
    // Before a literal, `timestamp` may say its type.
    let mut point = word()?;
    if !is_number && is(point, "timestamp") {
        point = word()?;
    }
    let point = match point {
        Token::Number(number, _) if is_number => format!("v{number}"),
        Token::SingleQuotedString(number) if is_number => format!("v{number}"),
        Token::SingleQuotedString(time) if !is_number => time.clone(),
        _ => return None,
    };
    Some((table.value.clone(), point, next + 1))
}

fn is(token: &Token, name: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

/// Whether a table's alias begins at or after a token.
fn is_alias(tokens: &[TokenWithSpan], at: usize) -> bool {
    let mut rest = tokens.iter().skip(at).filter(|token| !matches!(token.token, Token::Whitespace(_)));
    match rest.next().map(|token| &token.token) {
        Some(Token::Word(Word { quote_style: Some(_), .. })) => true,
        Some(Token::Word(word)) => word.keyword == Keyword::AS || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::text::Sql;
    use crate::source::SourceFile;
    use crate::source::faults::Faults;

    fn read(text: &str) -> String {
        let file = Arc::new(SourceFile { path: PathBuf::from("query"), text: text.to_owned() });
        let mut faults = Faults::default();
        let statement = Sql::file(&file).with_versions().statement(&mut faults);
        statement.map_or_else(|| format!("{:?}", faults.into_sorted()), |statement| statement.to_string())
    }

    #[test]
    fn every_spelling_is_the_table_of_that_version() {
        for (text, expected) in [
            ("select 1 from t@v12", r#"SELECT 1 FROM "t@v12" AS "t""#),
            ("select t.x from T@V12 where x = 1", r#"SELECT t.x FROM "t@v12" AS "t" WHERE x = 1"#),
            ("select 1 from t@2026-11-20 a", r#"SELECT 1 FROM "t@2026-11-20" a"#),
            ("select 1 from t@2026-11-20t10:00:00z as a", r#"SELECT 1 FROM "t@2026-11-20T10:00:00Z" AS a"#),
            (
                "select 1 from (select 1 from t@2026-11-20T10:00:00.25+01:00)",
                r#"SELECT 1 FROM (SELECT 1 FROM "t@2026-11-20T10:00:00.25+01:00" AS "t")"#,
            ),
            (
                "select 1 from t@2026-11-20T10:00 join u@v1 on true",
                r#"SELECT 1 FROM "t@2026-11-20T10:00" AS "t" JOIN "u@v1" AS "u" ON true"#,
            ),
            ("select 1 from t version as of 12 join u on true", r#"SELECT 1 FROM "t@v12" AS "t" JOIN u ON true"#),
            ("select 1 from t for version as of '12' a", r#"SELECT 1 FROM "t@v12" a"#),
            ("select 1 from t timestamp as of '2026-11-20 10:00'", r#"SELECT 1 FROM "t@2026-11-20 10:00" AS "t""#),
            ("select 1 from t for timestamp as of timestamp '2026-11-20'", r#"SELECT 1 FROM "t@2026-11-20" AS "t""#),
            (r#"select 1 from "T" version as of 1, "t@v3""#, r#"SELECT 1 FROM "T@v1" AS "T", "t@v3""#),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_version_stays() {
        for (text, expected) in [
            ("select version as of from t", "SELECT version AS of FROM t"),
            ("select a as timestamp from t", "SELECT a AS timestamp FROM t"),
            ("select 't@v1' from t", "SELECT 't@v1' FROM t"),
            ("select 1 from t@v12x", "SELECT 1 FROM t@v12x"),
            ("select 1 from t@yesterday", "SELECT 1 FROM t@yesterday"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
