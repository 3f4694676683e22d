//! SQL as text with places: parsing, the tables that a query names, and checks before planning.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use deltalake::datafusion::common::{Location, Span};
use deltalake::datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, SelectItem, SetExpr, Spanned, Statement, Visitor,
};
use deltalake::datafusion::sql::sqlparser::dialect::GenericDialect;
use deltalake::datafusion::sql::sqlparser::keywords::Keyword;
use deltalake::datafusion::sql::sqlparser::parser::{Parser, ParserError};
use deltalake::datafusion::sql::sqlparser::tokenizer::{self, Token, TokenWithSpan, Tokenizer};

use crate::determinism::{Code, Reason};
use crate::source::faults::Faults;
use crate::source::{Place, SourceFile, Text};
use crate::sql::refuse::{long_chains, misread};
use crate::sql::rewrite::precedence::fix_distinct_from;
use crate::sql::visit::visit;
use crate::sql::{versions, written};

/// What an expression usually is.
const CONDITION: &str = "a condition";

/// A piece of SQL and its place in its file.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    text: String,
    file: Arc<SourceFile>,
    /// Where an unknown column was looked for, as in messages.
    pub scope: &'static str,
    /// What an expression on one row is, as in messages.
    pub unit: &'static str,
    /// Offset of `text` in the file; `None` if the file spells it with escapes.
    base: Option<usize>,
    /// Its range in the file.
    whole: Range<usize>,
    tokens: Vec<TokenWithSpan>,
    /// Whether a table may be named at a version.
    has_versions: bool,
}

impl Sql {
    /// A whole `.sql` file.
    pub(crate) fn file(file: &Arc<SourceFile>) -> Self {
        let whole = 0..file.text.len();
        Self {
            text: file.text.clone(),
            scope: "in no table of this query",
            unit: CONDITION,
            file: file.clone(),
            base: Some(0),
            whole,
            tokens: Vec::new(),
            has_versions: false,
        }
    }

    /// The same if it may name tables at versions.
    pub(crate) fn with_versions(self) -> Self {
        Self { has_versions: true, ..self }
    }

    /// A string of a `.toml` file.
    pub(crate) fn value(text: &Text) -> Self {
        let Place { file, span } = text.place.clone();
        let base = file.text.get(span.clone()).and_then(|raw| raw.find(&text.value)).map(|at| span.start + at);
        let scope = "not in this table";
        let tokens = Vec::new();
        Self { text: text.value.clone(), scope, unit: CONDITION, file, base, whole: span, tokens, has_versions: false }
    }

    /// The place of a span of the parser.
    pub(crate) fn place(&self, span: Span) -> Place {
        let Some(base) = self.base else { return self.whole_place() };
        let (start, end) = (self.offset(span.start), self.offset(span.end));
        Place { file: self.file.clone(), span: base + start..base + end.max(start) }
    }

    /// The first word, for faults without their own place.
    pub(crate) fn start(&self) -> Place {
        match self.words().next() {
            Some(token) => self.place(span_of(token.span)),
            None => self.whole_place(),
        }
    }

    fn whole_place(&self) -> Place {
        Place { file: self.file.clone(), span: self.whole.clone() }
    }

    /// The place of the first unquoted word that is one of `names` and not part of a qualified name.
    pub(crate) fn find(&self, names: &[String]) -> Option<Place> {
        let mut before = None;
        for token in self.words() {
            if let Token::Word(word) = &token.token
                && names.contains(&word.value)
                && before != Some(&Token::Period)
            {
                return Some(self.place(span_of(token.span)));
            }
            before = Some(&token.token);
        }
        None
    }

    /// The last call of one of these functions before a place, or else the first one.
    pub(crate) fn call(&self, names: &[String], before: Option<Location>) -> Option<Place> {
        let words: Vec<_> = self.words().collect();
        let is_qualified = |at: usize| at > 0 && words.get(at - 1).is_some_and(|t| t.token == Token::Period);
        let is_call = |at: usize| matches!(&words[at].token, Token::Word(w) if names.contains(&w.value));
        let calls: Vec<usize> = (0..words.len()).filter(|at| is_call(*at) && !is_qualified(*at)).collect();
        self.nearest_before(&words, &calls, before)
    }

    /// Whether a function of this name is called with `*`.
    pub(crate) fn is_of_rows(&self, name: &str) -> bool {
        let words: Vec<_> = self.words().collect();
        let is_named = |token: &Token| matches!(token, Token::Word(w) if w.value.eq_ignore_ascii_case(name));
        words.windows(4).any(|of| {
            let rest = of[1..].iter().map(|word| &word.token);
            is_named(&of[0].token) && rest.eq([&Token::LParen, &Token::Mul, &Token::RParen])
        })
    }

    /// The last `distinct on` before a place, or else the first one.
    pub(crate) fn distinct_on(&self, before: Option<Location>) -> Option<Place> {
        let words: Vec<_> = self.words().collect();
        let is_on = |at: usize| is_keyword(words.get(at).copied(), &[Keyword::ON]);
        let found = (0..words.len()).filter(|at| is_keyword(words.get(*at).copied(), &[Keyword::DISTINCT]));
        let found: Vec<usize> = found.filter(|at| is_on(at + 1)).collect();
        self.nearest_before(&words, &found, before)
    }

    fn nearest_before(&self, words: &[&TokenWithSpan], found: &[usize], before: Option<Location>) -> Option<Place> {
        let is_before = |at: &&usize| before.is_some_and(|b| is_earlier(words[**at].span.start.into(), b));
        let at = found.iter().rfind(is_before).or(found.first())?;
        Some(self.place(span_of(words.get(*at)?.span)))
    }

    /// The first `limit` or `offset` after a place, with this number if there is one.
    pub(crate) fn limit(&self, number: Option<i64>, after: Option<Location>) -> Option<Place> {
        let limits = [Keyword::LIMIT, Keyword::OFFSET];
        let words: Vec<_> = self.words().collect();
        let found = (0..words.len()).filter(|at| is_keyword(words.get(*at).copied(), &limits));
        let found: Vec<usize> = found.collect();
        let is_after = |at: &usize| after.is_none_or(|a| !is_earlier(words[*at].span.start.into(), a));
        let text = number.map(|n| n.to_string());
        let has_number = |at: &usize| {
            let next = words.get(at + 1).map(|t| &t.token);
            matches!((next, &text), (Some(Token::Number(n, _)), Some(text)) if n == text)
        };
        let later = || found.iter().filter(|at| is_after(at));
        let at = later().find(|at| has_number(at)).or(later().next()).or(found.first())?;
        Some(self.place(span_of(words.get(*at)?.span)))
    }

    /// Byte offset within the text; the parser counts lines and characters from 1.
    fn offset(&self, at: Location) -> usize {
        let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = match line {
            0 => 0,
            _ => self.text.match_indices('\n').nth(line - 1).map_or(self.text.len(), |(at, _)| at + 1),
        };
        let rest = &self.text[start..];
        start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
    }

    /// Tokens other than blanks and comments.
    fn words(&self) -> impl Iterator<Item = &TokenWithSpan> {
        self.tokens.iter().filter(|t| !matches!(t.token, Token::Whitespace(_)))
    }

    /// Splits the text into tokens, with unquoted identifiers in lower case: text printed from the syntax tree is then
    /// the same for every spelling.
    fn tokenize(&mut self) -> Result<(), ParserError> {
        self.tokens = Tokenizer::new(&GenericDialect {}, &self.text).tokenize_with_location()?;
        for token in &mut self.tokens {
            if let Token::Word(word) = &mut token.token
                && word.quote_style.is_none()
            {
                word.value = word.value.to_lowercase();
            }
        }
        if self.has_versions {
            let tokens = std::mem::take(&mut self.tokens);
            self.tokens = versions::named(tokens, &self.text, |at| self.offset(at.into()));
        }
        Ok(())
    }

    fn parser(&self) -> Parser<'static> {
        Parser::new(&GenericDialect {}).with_tokens_with_locations(self.tokens.clone())
    }

    /// Parses exactly one query.
    pub(crate) fn query(&mut self, faults: &mut Faults) -> Option<Box<Query>> {
        match self.statement(faults)? {
            Statement::Query(query) => Some(self.understood(query, faults)),
            _ => {
                faults.add(self.start(), "this is not a query", "expected `select` or `with`");
                None
            }
        }
    }

    /// Parses exactly one statement.
    pub(crate) fn statement(&mut self, faults: &mut Faults) -> Option<Statement> {
        let parsed = self.tokenize().and_then(|()| self.parser().parse_statements());
        let mut statements = match parsed {
            Ok(statements) => statements,
            Err(error) => {
                self.syntax(&error, faults);
                return None;
            }
        };
        if statements.len() > 1 {
            let label = "write one query: remove the others";
            faults.add(self.start(), format!("found {} statements", statements.len()), label);
            return None;
        }
        let statement = statements.pop();
        if statement.is_none() {
            faults.add(self.start(), "there is no query", "expected `select` or `with`");
        }
        statement.filter(|statement| !long_chains::report(statement, self, faults))
    }

    /// Corrects a query that the parser reads differently than SQL. Clauses that the engine would misread are faults.
    pub(crate) fn understood(&self, mut query: Box<Query>, faults: &mut Faults) -> Box<Query> {
        fix_distinct_from(&mut query);
        misread::report(&query, self, faults);
        query
    }

    /// Whether the text begins like a query: an unparsable text may be a statement of another kind.
    pub(crate) fn reads(&self) -> bool {
        const WRITING: [Keyword; 12] = [
            Keyword::ALTER,
            Keyword::COPY,
            Keyword::CREATE,
            Keyword::DELETE,
            Keyword::DROP,
            Keyword::GRANT,
            Keyword::INSERT,
            Keyword::MERGE,
            Keyword::REPLACE,
            Keyword::SET,
            Keyword::TRUNCATE,
            Keyword::UPDATE,
        ];
        !is_keyword(self.words().next(), &WRITING)
    }

    /// Parses a condition on one row.
    pub(crate) fn condition(&mut self, faults: &mut Faults) -> Option<Expr> {
        let parsed = self.tokenize().and_then(|()| {
            let mut parser = self.parser();
            let expr = parser.parse_expr()?;
            parser.expect_token(&Token::EOF).map(|_| expr)
        });
        let mut expr = match parsed {
            Ok(expr) => expr,
            Err(error) => {
                self.syntax(&error, faults);
                return None;
            }
        };
        if long_chains::report(&expr, self, faults) {
            return None;
        }
        fix_distinct_from(&mut expr);
        if visit(&expr, &mut HasQuery).is_break() {
            faults.add(self.start(), format!("{} looks at one row of its table", self.unit), "remove the subquery");
            return None;
        }
        Some(expr)
    }

    /// The parser gives the place only in its message.
    fn syntax(&self, error: &ParserError, faults: &mut Faults) {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
            ParserError::RecursionLimitExceeded => "too deeply nested",
        };
        let (message, location) = match text.rsplit_once(" at Line: ") {
            Some((message, at)) => (message, parse_location(at)),
            None => (text, None),
        };
        let place = location.map_or_else(|| self.end_or_start(), |at| self.token_place(at));
        faults.add(place, "this is not valid SQL", told(message, location.is_some()));
    }

    fn end_or_start(&self) -> Place {
        match self.words().last() {
            Some(token) => self.place(span_of(token.span)),
            None => self.whole_place(),
        }
    }

    fn token_place(&self, at: Location) -> Place {
        let token = self.words().find(|t| Location::from(t.span.start) == at);
        self.place(token.map_or(Span::new(at, Location { line: at.line, column: at.column + 1 }), |t| span_of(t.span)))
    }

    /// Reports constructs that the planner accepts but gets wrong, or that are not repeatable.
    pub(crate) fn unsupported(&self, faults: &mut Faults) {
        let words: Vec<_> = self.words().collect();
        for pair in words.windows(2) {
            let both = span_of(pair[0].span).union(&span_of(pair[1].span));
            let [Token::Word(first), Token::Word(second)] = [&pair[0].token, &pair[1].token] else { continue };
            let is_set = [Keyword::EXCEPT, Keyword::INTERSECT, Keyword::MINUS].contains(&first.keyword);
            if is_set && second.keyword == Keyword::ALL {
                let name = format!("{} all", first.value);
                let label = format!("write `{}`, or `exists` with a count", first.value);
                let reason = Reason::new(Code::SetOperationAll, format!("`{name}` is not supported"));
                faults.add(self.place(both), reason.to_string(), label);
            }
        }
        for token in words {
            if let Token::Placeholder(name) = &token.token {
                let place = self.place(span_of(token.span));
                let reason = Reason::new(Code::Parameter, format!("`{name}` is a parameter"));
                faults.add(place, reason.to_string(), "write the value");
            }
        }
    }

    /// The place of the n-th output column, if the query lists its columns individually up to there.
    pub(crate) fn item(&self, query: &Query, index: usize) -> Option<Place> {
        let items = &first_select(&query.body)?.projection;
        let listed = items.iter().take(index + 1).all(|i| name_of(i).is_some() || is_expr(i));
        let span = Span::try_from_sqlparser_span(items.get(index)?.span())?;
        listed.then(|| self.place(span))
    }

    /// The names of the output columns, if the query gives all of them.
    pub(crate) fn names(&self, query: &Query) -> Option<Vec<String>> {
        first_select(&query.body)?.projection.iter().map(name_of).collect()
    }

    /// The output columns that have no name of their own, as they are written; `None` if the query does not list its
    /// columns.
    pub(crate) fn unnamed(&self, query: &Query) -> Option<Vec<Option<String>>> {
        let select = first_select(&query.body)?;
        if !select.projection.iter().all(|item| name_of(item).is_some() || is_expr(item)) {
            return None;
        }
        let texts = written::items(&self.text, select.select_token.0.span.start)?;
        let of = |(item, text): (&SelectItem, String)| name_of(item).is_none().then_some(text);
        (texts.len() == select.projection.len()).then(|| select.projection.iter().zip(texts).map(of).collect())
    }

    /// Reports output columns that have the same name.
    pub(crate) fn duplicates(&self, query: &Query, faults: &mut Faults) -> bool {
        let Some(select) = first_select(&query.body) else { return false };
        let mut seen: Vec<String> = Vec::new();
        let before = faults.len();
        for (index, item) in select.projection.iter().enumerate() {
            let Some(name) = name_of(item) else { continue };
            if seen.contains(&name) {
                let place = self.item(query, index).unwrap_or_else(|| self.start());
                let label = "add `as` and another name, or remove it";
                faults.add(place, format!("two columns are called `{name}`"), label);
            } else {
                seen.push(name);
            }
        }
        faults.len() > before
    }
}

fn is_keyword(token: Option<&TokenWithSpan>, keywords: &[Keyword]) -> bool {
    matches!(token.map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && keywords.contains(&w.keyword))
}

fn is_earlier(a: Location, b: Location) -> bool {
    (a.line, a.column) < (b.line, b.column)
}

/// A span of the parser, as the engine has it.
pub(crate) fn span_of(span: tokenizer::Span) -> Span {
    Span::new(span.start.into(), span.end.into())
}

/// A message of the parser in our style; `is_at_token`: the message has the place of the token found. Quoted parts of
/// the query are unchanged.
fn told(message: &str, is_at_token: bool) -> String {
    const END: &str = "the end";
    if let Some((expected, found)) = message.strip_prefix("Expected").and_then(|rest| rest.split_once(", found: ")) {
        let expected = match expected.trim_start_matches(':').trim() {
            "EOF" => END,
            expected => expected,
        };
        let found = if found == "EOF" && !is_at_token { END } else { found };
        return format!("expected {expected}, found {found}");
    }
    match message.strip_suffix(" before EOF.") {
        Some(delimiter) => format!("{} before {END}", lower_first(delimiter)),
        None if message == "Unexpected EOF while in a multi-line comment" => "unterminated comment".to_owned(),
        None => lower_first(message),
    }
}

fn parse_location(text: &str) -> Option<Location> {
    let (line, column) = text.split_once(", Column: ")?;
    let digits = column.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Location { line: line.trim().parse().ok()?, column: digits.parse().ok()? })
}

/// A message of a foreign crate in our style: a lower-case fragment.
pub(crate) fn lower_first(text: &str) -> String {
    let mut chars = text.trim().trim_end_matches('.').chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

fn is_expr(item: &SelectItem) -> bool {
    matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
}

/// The name of an output column, if the text gives one.
fn name_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(|p| p.value.clone()),
        _ => None,
    }
}

struct HasQuery;

impl Visitor for HasQuery {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
