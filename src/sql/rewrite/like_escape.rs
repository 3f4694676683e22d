//! `like 'a!_b' escape '!'`: the engine supports only the backslash, and always treats it as the escape character.

use std::ops::ControlFlow;

use deltalake::datafusion::sql::sqlparser::ast::{Expr, Value, VisitMut};

use crate::sql::visit::visit_expressions_mut;

/// Rewrites every pattern with its own escape character to use the backslash.
pub(crate) fn escape_with_backslashes(syntax: &mut impl VisitMut) {
    let _ = visit_expressions_mut(syntax, |expr| {
        if let Expr::Like { pattern, escape_char: own @ Some(_), .. }
        | Expr::ILike { pattern, escape_char: own @ Some(_), .. } = expr
            && let Expr::Value(of) = pattern.as_mut()
            && let Value::SingleQuotedString(text) = &mut of.value
            && let Some(Value::SingleQuotedString(escape)) = own.as_ref().map(|own| &own.value)
            && let Some(backslashed) = backslashed(text, escape)
        {
            *text = backslashed;
            *own = None;
        }
        ControlFlow::Continue(())
    });
}

fn backslashed(pattern: &str, escape: &str) -> Option<String> {
    let mut chars = escape.chars();
    let (Some(escape), None) = (chars.next(), chars.next()) else { return None };
    let mut chars = pattern.chars();
    let mut written = String::with_capacity(pattern.len());
    while let Some(c) = chars.next() {
        let letter = if c == escape { chars.next()? } else { c };
        // A backslash that is not the escape character is literal.
        if c == escape || letter == '\\' {
            written.push('\\');
        }
        written.push(letter);
    }
    Some(written)
}

#[cfg(test)]
mod tests {
    use super::backslashed;

    #[test]
    fn what_is_escaped_is_so_by_a_backslash() {
        for (pattern, escape, expected) in [
            ("a!_b%", "!", Some(r"a\_b%")),
            ("100!%!!", "!", Some(r"100\%\!")),
            (r"c:\x", "!", Some(r"c:\\x")),
            (r"a\_b", r"\", Some(r"a\_b")),
            ("a!", "!", None),
            ("a", "!!", None),
        ] {
            assert_eq!(backslashed(pattern, escape).as_deref(), expected, "{pattern}");
        }
    }
}
