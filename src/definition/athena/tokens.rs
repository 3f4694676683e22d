//! Syntax that Trino's grammar does not have and that is visible only in the text, not in the syntax tree.

use deltalake::datafusion::common::Span;
use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
use deltalake::datafusion::sql::sqlparser::keywords::Keyword;
use deltalake::datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::{Notes, Rule};
use crate::source::SourceFile;
use crate::sql::text::Sql;

/// Notes on the tokens of a query.
pub(super) fn tokens(file: &SourceFile, sql: &Sql, notes: &mut Notes) {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, &file.text).tokenize_with_location() else { return };
    // Open parentheses, each with whether it contains a `limit`.
    let mut limits = vec![false];
    let mut before = None;
    for token in tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_))) {
        let after_comma = before.replace(&token.token) == Some(&Token::Comma);
        let (message, label) = match &token.token {
            Token::Word(word) if word.keyword == Keyword::FROM && word.quote_style.is_none() && after_comma => {
                ("Athena does not know a comma after the last column", "remove the comma")
            }
            Token::LParen => {
                limits.push(false);
                continue;
            }
            Token::RParen => {
                limits.pop();
                continue;
            }
            Token::Word(word) if word.keyword == Keyword::LIMIT && word.quote_style.is_none() => {
                limits.last_mut().into_iter().for_each(|limit| *limit = true);
                continue;
            }
            Token::Word(word) if word.keyword == Keyword::OFFSET && limits.last() == Some(&true) => {
                ("Athena wants `offset` before `limit`", "write `offset ... limit ...`")
            }
            Token::Word(word) if word.quote_style.is_none() && !word.value.is_ascii() => {
                ("Athena wants quotes around a name with such letters", "write `\"...\"`")
            }
            other => match spelling(other, token, file, sql) {
                Some(found) => found,
                None => continue,
            },
        };
        let span = Span::new(token.span.start.into(), token.span.end.into());
        notes.add(Rule::UnknownSyntax, &sql.place(span), message, label);
    }
}

/// Tokens that Trino does not have, or reads differently.
fn spelling(token: &Token, at: &TokenWithSpan, file: &SourceFile, sql: &Sql) -> Option<(&'static str, &'static str)> {
    Some(match token {
        Token::DoubleColon => ("Athena does not know `::`", "write `cast(... as type)`"),
        Token::DoubleEq => ("Athena does not know `==`", "write `=`"),
        Token::Word(word) if word.quote_style == Some('`') => {
            ("Athena does not know backticks in a query", "write `\"...\"`, or no quotes")
        }
        Token::EscapedStringLiteral(_) => {
            ("Athena does not know `E'...'`", "write `'...'`, and `chr(10)` for a line break")
        }
        Token::DollarQuotedString(_) => ("Athena does not know `$$`", "write `'...'`"),
        Token::HexStringLiteral(_) => {
            let start = sql.place(Span::new(at.span.start.into(), at.span.end.into())).span.start;
            let is_number = file.text.get(start..).is_some_and(|text| text.starts_with('0'));
            return is_number.then_some(("`0x...` is bytes here, and a number in Athena", "write `x'...'`"));
        }
        _ => return None,
    })
}
