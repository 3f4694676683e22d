//! Text -> statements, or every fault with its place and what was expected there.

use std::sync::Arc;

use super::is_system;
use super::statement::{Action, ColumnPath, Files, Part, Statement};
use crate::definition::ColumnType;
use crate::name;
use crate::source::{Fault, Place, SourceFile, Text};
use crate::sql::words::{Word, words};

/// The words that can follow `alter table t`.
const CHANGES: &str = "`rename to u`, `rename column a to b`, `drop column a`, `alter column a type t` or \
                       `alter column a set not null`";
/// The words with which a statement can begin.
const BEGINNINGS: &str = "`alter table`, `drop table`, `refresh table` or `reload table`";

/// The statements of a file, separated by `;`.
///
/// # Errors
/// Every fault; after one, reading goes on behind the next `;`.
pub(super) fn statements(file: &Arc<SourceFile>) -> Result<Vec<Statement>, Vec<Fault>> {
    let words = words(file).map_err(|fault| vec![fault])?;
    let mut parser = Parser { words: &words, at: 0, file };
    let (mut statements, mut faults) = (Vec::new(), Vec::new());
    while parser.at < words.len() {
        if parser.eats(";") {
            continue;
        }
        match parser.statement() {
            Ok(statement) => statements.push(statement),
            Err(fault) => {
                faults.push(fault);
                while parser.word().is_some_and(|word| word.text != ";") {
                    parser.at += 1;
                }
            }
        }
    }
    if statements.is_empty() && faults.is_empty() {
        let place = Place { file: file.clone(), span: 0..0 };
        faults.push(Fault::at(&place, "there is no statement", format!("expected {BEGINNINGS}; or remove the file")));
    }
    if faults.is_empty() { Ok(statements) } else { Err(faults) }
}

struct Parser<'a> {
    words: &'a [Word],
    at: usize,
    file: &'a Arc<SourceFile>,
}

impl<'a> Parser<'a> {
    fn word(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    /// Whether the next word is this keyword or sign.
    fn sees(&self, text: &str) -> bool {
        self.word().is_some_and(|word| !word.is_quoted && word.text == text)
    }

    fn eats(&mut self, text: &str) -> bool {
        let is_next = self.sees(text);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes one word after the other, or else says what was expected in their place.
    fn expects(&mut self, texts: &[&str], expected: &str) -> Result<(), Fault> {
        for text in texts {
            if !self.eats(text) {
                return Err(self.unexpected(expected));
            }
        }
        Ok(())
    }

    fn unexpected(&self, expected: &str) -> Fault {
        match self.word() {
            Some(word) => Fault::at(&word.place, format!("found `{}`", word.text), format!("expected {expected}")),
            None => Fault::at(&self.end(), "the file ends within a statement", format!("expected {expected}")),
        }
    }

    /// Behind the last word that was taken.
    fn end(&self) -> Place {
        let end = self.at.checked_sub(1).and_then(|at| self.words.get(at)).map_or(0, |word| word.place.span.end);
        Place { file: self.file.clone(), span: end..end }
    }

    fn statement(&mut self) -> Result<Statement, Fault> {
        let start = self.word().map_or(0, |word| word.place.span.start);
        let data = ["insert", "update", "delete", "merge", "create", "truncate"];
        if let Some(word) = self.word().filter(|word| data.contains(&word.text.as_str())) {
            let label = format!("a migration changes what tables are, not which rows they have: expected {BEGINNINGS}");
            return Err(Fault::at(&word.place, format!("`{}` is no statement of a migration", word.text), label));
        }
        let verb = ["alter", "drop", "refresh", "reload"].into_iter().find(|verb| self.eats(verb));
        let Some(verb) = verb else { return Err(self.unexpected(BEGINNINGS)) };
        self.expects(&["table"], &format!("`table`, as in `{verb} table t`"))?;
        let table = self.name("the name of a table")?;
        if self.sees(".") {
            let place = Place { file: self.file.clone(), span: table.place.span.start..self.next_end(2) };
            let bare = self.words.get(self.at + 1).map_or("", |word| word.text.as_str());
            return Err(Fault::at(&place, "this is a qualified name", format!("write the bare table name: `{bare}`")));
        }
        let action = match verb {
            "drop" => Action::DropTable,
            "refresh" => {
                self.expects(&["full"], "`full`: every sync refreshes tables by their changes")?;
                Action::Refresh
            }
            "reload" if self.eats("from") => {
                self.expects(&["rescued"], "`rescued`: the files of which a row has undeclared fields")?;
                Action::Reload(Files::Rescued)
            }
            "reload" => Action::Reload(Files::All),
            _ => self.action()?,
        };
        if let Action::RenameTable { zone: None, to } = &action
            && to.value == table.value
        {
            let label = "expected another name, or the name of its new zone before it";
            return Err(Fault::at(&to.place, format!("`{}` is its name already", to.value), label));
        }
        let span = start..self.end().span.end;
        if self.word().is_some() && !self.sees(";") {
            return Err(self.unexpected("`;` or the end of the file"));
        }
        Ok(Statement { table, action, place: Place { file: self.file.clone(), span } })
    }

    /// Where the n-th word from here ends.
    fn next_end(&self, n: usize) -> usize {
        self.words.get(self.at + n - 1).or(self.words.last()).map_or(0, |word| word.place.span.end)
    }

    fn action(&mut self) -> Result<Action, Fault> {
        if self.eats("rename") {
            if self.eats("to") {
                return self.new_name();
            }
            self.expects(&["column"], "`to` and a table's new name, or `column`, as in `rename column a to b`")?;
            let path = self.path()?;
            self.expects(&["to"], "`to` and the new name")?;
            let to = self.name("the new name")?;
            if self.sees(".") {
                let place = self.word().map_or_else(|| self.end(), |word| word.place.clone());
                return Err(Fault::at(&place, "a field stays where it is", "expected its new name alone"));
            }
            return Ok(Action::Rename { path, to });
        }
        if self.eats("drop") {
            self.expects(&["column"], "`column`, as in `drop column a`")?;
            return Ok(Action::Drop { path: self.path()? });
        }
        if self.eats("alter") {
            self.expects(&["column"], "`column`, as in `alter column a type long`")?;
            let path = self.path()?;
            if self.eats("set") {
                self.expects(&["not", "null"], "`not null`")?;
                return Ok(Action::SetNotNull { path });
            }
            self.expects(&["type"], "`type` and a type, or `set not null`")?;
            return self.new_type(path);
        }
        if let Some(word) = self.word().filter(|word| word.text == "add") {
            let label = "declare the column in tables/: a sync adds it";
            return Err(Fault::at(&word.place, "a column needs no migration to come", label));
        }
        Err(self.unexpected(CHANGES))
    }

    /// The name of a table after `rename to`, with or without its zone.
    fn new_name(&mut self) -> Result<Action, Fault> {
        let first = self.name("the table's new name")?;
        if !self.eats(".") {
            return Ok(Action::RenameTable { zone: None, to: first });
        }
        Ok(Action::RenameTable { zone: Some(first), to: self.name("the table's new name")? })
    }

    fn new_type(&mut self, path: ColumnPath) -> Result<Action, Fault> {
        let text = self.until(&["using", ";"], "a type")?;
        let of = ColumnType::parse(&text.value)
            .map_err(|label| Fault::at(&text.place, format!("`{}` is no type", text.value), label))?
            .as_stored();
        let using = match self.eats("using") {
            true => Some(self.until(&[";"], "an expression over the columns of the table")?),
            false => None,
        };
        if let Some(text) = &using {
            super::values::well_formed(text)?;
        }
        Ok(Action::SetType { path, of, using })
    }

    /// The text up to one of these words that stands in no brackets.
    fn until(&mut self, ends: &[&str], expected: &str) -> Result<Text, Fault> {
        let first = self.at;
        let mut depth = 0_usize;
        while let Some(word) = self.word() {
            match word.text.as_str() {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                ";" => break,
                text if depth == 0 && !word.is_quoted && ends.contains(&text) => break,
                _ => {}
            }
            self.at += 1;
        }
        let Some(start) = self.words.get(first).filter(|_| self.at > first) else {
            return Err(self.unexpected(expected));
        };
        let span = start.place.span.start..self.end().span.end;
        let value = self.file.text.get(span.clone()).unwrap_or_default().to_owned();
        Ok(Text { value, place: Place { file: self.file.clone(), span } })
    }

    /// A name as tables, columns and fields have it.
    fn name(&mut self, expected: &str) -> Result<Text, Fault> {
        let Some(word) = self.word().filter(|word| word.is_name) else { return Err(self.unexpected(expected)) };
        if let Err(reason) = name::check(&word.text) {
            return Err(Fault::at(&word.place, format!("`{}` cannot be a name", word.text), reason));
        }
        self.at += 1;
        Ok(Text { value: word.text.clone(), place: word.place.clone() })
    }

    /// `a`, `a.b`, `a[].b`, `a{}.b`.
    fn path(&mut self) -> Result<ColumnPath, Fault> {
        let first = self.name("the name of a column")?;
        let start = first.place.span.start;
        let mut parts = vec![Part::Field(first.value)];
        loop {
            if self.eats(".") {
                parts.push(Part::Field(self.name("the name of a field")?.value));
            } else if self.eats("[") {
                self.expects(&["]"], "`[]`, which stands for the elements of an array")?;
                parts.push(Part::Element);
            } else if self.eats("{") {
                self.expects(&["}"], "`{}`, which stands for the values of a map")?;
                parts.push(Part::Value);
            } else {
                break;
            }
        }
        let place = Place { file: self.file.clone(), span: start..self.end().span.end };
        let path = ColumnPath { parts, place };
        if is_system(path.column()) {
            let message = format!("`{}` cannot be changed", path.column());
            return Err(Fault::at(&path.place, message, "by it a sync knows which records have landed"));
        }
        Ok(path)
    }
}
