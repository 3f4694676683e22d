//! What turns the columns of a table into those of its definition: statements of a migration, and additions that a sync
//! makes by itself.

use super::shape::Columns;
use super::snapshot::DRAFT;
use super::{arrow_cast, is_system};
use crate::definition::ColumnType;

/// The changes that turn columns into the declared ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Statements without their table: `drop column a`; each with a word about it where it needs one.
    pub statements: Vec<(String, Option<String>)>,
    /// Additions that a sync makes without a migration: `+ zone`.
    pub additions: Vec<String>,
    /// Columns that a statement drops, each with a new name that may be its own.
    pub renames: Vec<(String, String)>,
    /// Those of the given renames that the statements make.
    pub renamed: Vec<(String, String)>,
}

impl Difference {
    /// The command that drafts a table's migration, and what it does.
    #[must_use]
    pub(crate) fn command(&self, table: &str) -> String {
        if self.renames.is_empty() {
            return format!("{DRAFT}   (drafts it)");
        }
        let renames = self.renames.iter().map(|(path, to)| format!(" --rename {table}.{path}={to}"));
        let paths = self.renames.iter().map(|(path, _)| format!("`{path}`")).collect::<Vec<_>>();
        format!("{DRAFT}{}   (drafts it; without --rename it drops {})", renames.collect::<String>(), paths.join(", "))
    }

    /// Whether there is none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.additions.is_empty()
    }
}

/// The difference between columns and those that are declared; `renamed`: paths and the names that they get.
#[must_use]
pub(crate) fn difference(before: &Columns, declared: &Columns, renamed: &[(String, String)]) -> Difference {
    let mut found = Difference::default();
    let row = |columns: &Columns| -> Vec<(String, ColumnType)> {
        let own = columns.0.iter().filter(|c| !is_system(&c.name));
        own.map(|c| (c.name.clone(), c.of.clone())).collect()
    };
    fields("", (&row(before), &row(declared)), None, renamed, &mut found);
    for column in declared.0.iter().filter(|c| !is_system(&c.name)) {
        let renamed = found.renamed.iter().find(|(from, to)| *to == column.name && before.get(from).is_some());
        let from = renamed.map_or(&column.name, |(from, _)| from);
        match before.get(from) {
            Some(known) if known.nullable && !column.nullable => {
                found.statements.push((format!("alter column {} set not null", column.name), None));
            }
            Some(known) if !known.nullable && column.nullable => {
                found.additions.push(format!("~ {}: nullable", column.name));
            }
            _ => {}
        }
    }
    found
}

/// Renames in an order in which every new name is free. Names that change places go by a third one. `is_taken`: names that
/// no third one can be.
#[must_use]
pub(crate) fn in_order(renames: &[(String, String)], is_taken: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
    let (mut left, mut steps) = (renames.to_vec(), Vec::new());
    while !left.is_empty() {
        let is_free = |(_, to): &(String, String)| left.iter().all(|(from, _)| from != to);
        match left.iter().position(is_free) {
            Some(at) => steps.push(left.remove(at)),
            None => {
                let from = left[0].0.clone();
                let is_used = |name: &str| is_taken(name) || left.iter().any(|(a, b)| a == name || b == name);
                let nth = |n: u32| if n == 1 { format!("{from}_old") } else { format!("{from}_old{n}") };
                let third = (1..).map(nth).find(|name| !is_used(name)).unwrap_or_default();
                left[0].0.clone_from(&third);
                steps.push((from, third));
            }
        }
    }
    steps
}

/// The fields of a struct, or the columns of a table.
type Fields<'f> = &'f [(String, ColumnType)];

/// The renames that concern the fields at a path: each from a name that only the present ones have to one that only the
/// declared ones have, but for names that change places.
fn renames(
    path: &str,
    (before, declared): (Fields<'_>, Fields<'_>),
    renamed: &[(String, String)],
) -> Vec<(String, String)> {
    let has = |of: Fields<'_>, name: &str| of.iter().any(|(known, _)| known == name);
    let here = renamed.iter().filter_map(|(from, to)| {
        let name = match path {
            "" => from.as_str(),
            path => from.strip_prefix(path)?.strip_prefix('.')?,
        };
        (has(before, name) && has(declared, to)).then(|| (name.to_owned(), to.clone()))
    });
    let mut here: Vec<(String, String)> = here.collect();
    loop {
        let fits = |(from, to): &(String, String)| {
            (!has(before, to) || here.iter().any(|(other, _)| other == to))
                && (!has(declared, from) || here.iter().any(|(_, other)| other == from))
                && here.iter().filter(|(a, b)| a == from || b == to).count() == 1
        };
        match here.iter().position(|one| !fits(one)) {
            Some(at) => drop(here.remove(at)),
            None => return here,
        }
    }
}

/// A column, for what differs inside.
#[derive(Clone, Copy)]
struct Top<'c> {
    name: &'c str,
    before: &'c ColumnType,
    declared: &'c ColumnType,
}

/// `column`: the one that contains the path.
fn fields(
    path: &str,
    (before, declared): (Fields<'_>, Fields<'_>),
    column: Option<Top<'_>>,
    renamed: &[(String, String)],
    found: &mut Difference,
) {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let own = renames(path, (before, declared), renamed);
    let has = |name: &str| before.iter().chain(declared).any(|(known, _)| known == name);
    for (from, to) in in_order(&own, &has) {
        found.statements.push((format!("rename column {} to {to}", at(&from)), None));
    }
    let (mut taken, mut offered): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (name, of) in before {
        let now = own.iter().find(|(from, _)| from == name).map_or_else(|| name.clone(), |(_, to)| to.clone());
        match declared.iter().find(|(known, _)| *known == now) {
            Some((_, wanted)) => {
                let column = column.unwrap_or(Top { name: &now, before: of, declared: wanted });
                values(&at(&now), (of, wanted), column, renamed, found);
                taken.push(now);
            }
            None => {
                let like = |(new, wanted): &&(String, ColumnType)| {
                    wanted == of && !before.iter().any(|(known, _)| known == new)
                };
                let hint = declared.iter().find(like).map(|(new, _)| {
                    format!("if `{new}` is its new name: migrate new ... --replace --rename TABLE.{}={new}", at(name))
                });
                let is_new = |new: &str| {
                    !before.iter().any(|(known, _)| known == new)
                        && !offered.iter().any(|other| other == new)
                        && !renamed.iter().any(|(_, to)| to == new)
                };
                let of_type = declared.iter().find(|(new, wanted)| wanted == of && is_new(new));
                if let Some((new, _)) = of_type.or_else(|| declared.iter().find(|(new, _)| is_new(new))) {
                    offered.push(new.clone());
                    found.renames.push((at(name), new.clone()));
                }
                found.statements.push((format!("drop column {}", at(name)), hint));
            }
        }
    }
    found.renamed.extend(own.into_iter().map(|(from, to)| (at(&from), to)));
    let new = declared.iter().filter(|(name, _)| !taken.contains(name));
    found.additions.extend(new.map(|(name, _)| format!("+ {}", at(name))));
}

fn values(
    path: &str,
    (before, wanted): (&ColumnType, &ColumnType),
    column: Top<'_>,
    renamed: &[(String, String)],
    found: &mut Difference,
) {
    match (before, wanted) {
        (before, wanted) if before == wanted => {}
        (ColumnType::Struct(before), ColumnType::Struct(wanted)) => {
            fields(path, (before, wanted), Some(column), renamed, found);
        }
        (ColumnType::Array(before), ColumnType::Array(wanted)) => {
            values(&format!("{path}[]"), (before, wanted), column, renamed, found);
        }
        (ColumnType::Map(before), ColumnType::Map(wanted)) if before.0 == wanted.0 => {
            values(&format!("{path}{{}}"), (&before.1, &wanted.1), column, renamed, found);
        }
        (before, wanted) => {
            let (name, top) = (wanted.delta_name(), column.name);
            let statement = if super::shape::holds(wanted, before) {
                (format!("alter column {path} type {name}"), None)
            } else if path == top {
                (format!("alter column {path} type {name} using cast({path} as {})", sql_name(wanted)), None)
            } else {
                let whole = format!("alter column {top} type {} using", column.declared.delta_name());
                if is_cast(column.before, column.declared) {
                    (format!("{whole} {}", arrow_cast(top, &column.declared.arrow())), None)
                } else {
                    // The expression has to be written by a person.
                    let what =
                        format!("write what makes the new values of those of {path}, such as `named_struct(...)`");
                    (whole, Some(what))
                }
            };
            if found.statements.iter().all(|(text, _)| *text != statement.0) {
                found.statements.push(statement);
            }
        }
    }
}

/// Whether a cast gives the same value in another type, or none: a number is no time, and the text of a list is no list.
fn means_the_same(before: &ColumnType, wanted: &ColumnType) -> bool {
    use ColumnType::{Boolean, Byte, Decimal, Double, Float, Integer, Long, Short, String};
    let is_number = |of: &ColumnType| matches!(of, Byte | Short | Integer | Long | Float | Double | Decimal(..));
    match (before, wanted) {
        (String, to) => is_number(to),
        (from, String) => is_number(from) || *from == Boolean,
        (from, to) => is_number(from) && is_number(to),
    }
}

/// Whether two types differ in what a cast converts, and in nothing else. A cast of a whole column makes all that is new inside
/// at once: beside other statements about the column it would undo or repeat them.
fn is_cast(before: &ColumnType, wanted: &ColumnType) -> bool {
    match (before, wanted) {
        (before, wanted) if before == wanted => true,
        (ColumnType::Struct(before), ColumnType::Struct(wanted)) => {
            let same = |(name, of): &(String, ColumnType)| wanted.iter().any(|(n, w)| n == name && is_cast(of, w));
            before.len() == wanted.len() && before.iter().all(same)
        }
        (ColumnType::Array(before), ColumnType::Array(wanted)) => is_cast(before, wanted),
        (ColumnType::Map(before), ColumnType::Map(wanted)) => before.0 == wanted.0 && is_cast(&before.1, &wanted.1),
        (before, wanted) => means_the_same(before, wanted) && !super::shape::holds(wanted, before),
    }
}

/// A type as queries name it.
fn sql_name(of: &ColumnType) -> String {
    match of {
        ColumnType::String => "varchar".into(),
        ColumnType::Long => "bigint".into(),
        ColumnType::Integer => "int".into(),
        ColumnType::Short => "smallint".into(),
        ColumnType::Byte => "tinyint".into(),
        ColumnType::Float => "real".into(),
        other => other.delta_name(),
    }
}
