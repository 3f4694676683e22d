//! The items of a select list, as they are written.

use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
use deltalake::datafusion::sql::sqlparser::keywords::Keyword;
use deltalake::datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// Words that end a select list.
const ENDS: [Keyword; 14] = [
    Keyword::FROM,
    Keyword::WHERE,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::WINDOW,
    Keyword::QUALIFY,
    Keyword::ORDER,
    Keyword::LIMIT,
    Keyword::OFFSET,
    Keyword::FETCH,
    Keyword::UNION,
    Keyword::INTERSECT,
    Keyword::EXCEPT,
    Keyword::INTO,
];

/// The texts of the items after the `select` at a place, each on one line; `None` if they cannot be told apart.
pub(crate) fn items(text: &str, select: Location) -> Option<Vec<String>> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().ok()?;
    let at_select = tokens.iter().position(|token| token.span.start == select)?;
    let mut items = Vec::new();
    let mut item: Vec<&TokenWithSpan> = Vec::new();
    let mut depth = 0_usize;
    for token in tokens.get(at_select + 1..)? {
        let keyword = match &token.token {
            Token::Word(word) if word.quote_style.is_none() => word.keyword,
            _ => Keyword::NoKeyword,
        };
        match &token.token {
            // With `on (...)` the list begins later than this reads.
            _ if item.is_empty() && items.is_empty() && keyword == Keyword::ON => return None,
            _ if item.is_empty() && items.is_empty() && [Keyword::DISTINCT, Keyword::ALL].contains(&keyword) => {
                continue;
            }
            Token::Whitespace(_) if item.is_empty() => continue,
            Token::Comma if depth == 0 => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            Token::SemiColon | Token::EOF => break,
            Token::RParen | Token::RBracket if depth == 0 => break,
            _ if depth == 0 && ENDS.contains(&keyword) => break,
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            _ => {}
        }
        item.push(token);
    }
    items.push(item);
    Some(items.iter().map(|item| one_line(item)).collect())
}

/// The tokens with one blank for every run of blanks and comments.
fn one_line(tokens: &[&TokenWithSpan]) -> String {
    let mut text = String::new();
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) if text.ends_with(' ') || text.is_empty() => {}
            Token::Whitespace(_) => text.push(' '),
            other => text.push_str(&other.to_string()),
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<Vec<String>> {
        items(text, Location { line: 1, column: 1 })
    }

    #[test]
    fn items_are_told_apart_by_their_commas() {
        let items =
            written("select Distinct count(*),\n  coalesce(A, 'x, y') -- why\n  + 1, \"From\" from t").expect("items");
        assert_eq!(items, ["count(*)", "coalesce(A, 'x, y') + 1", "\"From\""]);
        assert_eq!(written("select extract(year from d), 1").expect("items"), ["extract(year from d)", "1"]);
        assert_eq!(written("select distinct on (a) b from t"), None);
        assert_eq!(written("select sum(x) union all select 1").expect("items"), ["sum(x)"]);
    }
}
