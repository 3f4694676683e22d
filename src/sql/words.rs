//! The words of a file of SQL and where they stand, for statements that are ours to parse.

use std::sync::Arc;

use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
use deltalake::datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};

use crate::source::{Fault, Place, SourceFile};

/// A token that is neither blank nor a comment.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    /// The form for comparison: unquoted names in lower case, quoted ones without their quotes.
    pub text: String,
    /// Whether it is a name or a keyword, and no sign, number or text.
    pub is_name: bool,
    /// Whether it is in quotes: then it is no keyword.
    pub is_quoted: bool,
    /// Where it stands.
    pub place: Place,
}

/// Splits a file into its words.
///
/// # Errors
/// A word that does not end or is invalid, and where it begins.
pub(crate) fn words(file: &Arc<SourceFile>) -> Result<Vec<Word>, Fault> {
    let lines = Lines::of(&file.text);
    let place = |start: Location, end: Location| Place { file: file.clone(), span: lines.at(start)..lines.at(end) };
    let tokens = Tokenizer::new(&GenericDialect {}, &file.text).tokenize_with_location().map_err(|error| {
        let mut end = error.location;
        end.column += 1;
        Fault {
            message: "this is not valid SQL".into(),
            place: Some(place(error.location, end)),
            label: super::text::lower_first(&error.message),
            help: None,
        }
    })?;
    let word = |token: &deltalake::datafusion::sql::sqlparser::tokenizer::TokenWithSpan| {
        let place = place(token.span.start, token.span.end);
        let (text, is_name, is_quoted) = match &token.token {
            Token::Whitespace(_) | Token::EOF => return None,
            Token::Word(word) if word.quote_style.is_some() => (word.value.clone(), true, true),
            Token::Word(word) => (word.value.to_lowercase(), true, false),
            other => (other.to_string(), false, false),
        };
        Some(Word { text, is_name, is_quoted, place })
    };
    Ok(tokens.iter().filter_map(word).collect())
}

/// Where the lines of a text begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Byte offset of a place; lines and characters count from 1.
    fn at(&self, location: Location) -> usize {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
    }
}
