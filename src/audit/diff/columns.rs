//! Which column of the older of two versions is which column of the newer one.
//!
//! Columns, and fields at any depth in them, are followed through the migrations that renamed them. A column that was
//! dropped and a later one of the same name are two columns, and so are those of types of which the newer does not hold
//! every value of the older: one is shown as dropped, the other as added, and each is NULL in the rows of the other version.

use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::definition::ColumnType;
use crate::error::{Error, Kind, Result};
use crate::lake::LakeTable;
use crate::migrate::ColumnNames;
use crate::migration::holds;
use crate::name::nearest;
use crate::outcome::DiffColumn;

/// One column of the comparison.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// Its name in the older version; `None` = it was added.
    pub old: Option<String>,
    /// Its name in the newer version; `None` = it was dropped.
    pub new: Option<String>,
    /// The type in which both are compared: that of the newer one.
    pub data_type: DataType,
    /// The type of the older one with the names that its fields have in the newer one, if they had others.
    pub renamed: Option<DataType>,
}

impl Pair {
    /// The name by which it is called: that of `to`, else that of `from`.
    pub(super) fn name(&self, reversed: bool) -> &str {
        let (first, second) = if reversed { (&self.old, &self.new) } else { (&self.new, &self.old) };
        first.as_deref().or(second.as_deref()).unwrap_or_default()
    }

    /// Its names in `from` and in `to`.
    pub(super) fn names(&self, reversed: bool) -> [Option<&str>; 2] {
        let names = [self.old.as_deref(), self.new.as_deref()];
        if reversed { [names[1], names[0]] } else { names }
    }

    /// Its name in the older or the newer version.
    pub(super) fn name_in(&self, is_new: bool) -> Option<&str> {
        if is_new { self.new.as_deref() } else { self.old.as_deref() }
    }

    /// The column for people.
    pub(super) fn described(&self, reversed: bool) -> DiffColumn {
        let [before, after] = self.names(reversed).map(|name| name.map(str::to_owned));
        DiffColumn { before, after, data_type: ColumnType::name_of(&self.data_type) }
    }
}

/// All columns of two versions: those of the newer one in their order, then those that it lacks.
pub(super) fn pairs(old: &LakeTable, new: &LakeTable, names: &ColumnNames) -> Vec<Pair> {
    let (before, after) = (old.schema(), new.schema());
    let (from, to) = (old.version(), new.version());
    let later = |known: &FieldRef| (Arc::clone(known), names.later_type(known, from, to));
    let is_column = |(known, later): &(FieldRef, DataType), column: &Field| {
        names.later(known.name(), from, to).as_deref() == Some(column.name()) && compares(later, column.data_type())
    };
    let mut left: Vec<(FieldRef, DataType)> = before.fields().iter().map(later).collect();
    let mut pairs = Vec::with_capacity(after.fields().len());
    for column in after.fields() {
        let found = left.iter().position(|known| is_column(known, column)).map(|at| left.remove(at));
        let (old, renamed) = found.unzip();
        let is_renamed = |later: &DataType| old.as_ref().is_some_and(|known| known.data_type() != later);
        pairs.push(Pair {
            renamed: renamed.filter(is_renamed),
            old: old.map(|known| known.name().clone()),
            new: Some(column.name().clone()),
            data_type: column.data_type().clone(),
        });
    }
    let dropped = |(column, _): (FieldRef, DataType)| Pair {
        old: Some(column.name().clone()),
        new: None,
        data_type: column.data_type().clone(),
        renamed: None,
    };
    pairs.extend(left.into_iter().map(dropped));
    pairs
}

/// Whether every value of a type is a value of another one.
fn compares(before: &DataType, after: &DataType) -> bool {
    let types = ColumnType::exact(before).zip(ColumnType::exact(after));
    before == after || types.is_some_and(|(before, after)| holds_all(&after, &before))
}

/// The same at every depth: fields may be wider, and there may be more of them.
fn holds_all(after: &ColumnType, before: &ColumnType) -> bool {
    match (before, after) {
        (ColumnType::Struct(before), ColumnType::Struct(after)) => before.iter().all(|(name, of)| {
            let now = after.iter().find(|(known, _)| known == name);
            now.is_some_and(|(_, now)| holds_all(now, of))
        }),
        (ColumnType::Array(before), ColumnType::Array(after)) => holds_all(after, before),
        (ColumnType::Map(before), ColumnType::Map(after)) => before.0 == after.0 && holds_all(&after.1, &before.1),
        (before, after) => before == after || holds(after, before),
    }
}

/// The columns in which rows are compared: all, or those that are named, in the order of the table.
///
/// # Errors
/// `Usage` if there is none of a name.
pub(super) fn selected(pairs: &[Pair], wanted: &[String], table: &str) -> Result<Vec<usize>> {
    let is_called = |pair: &Pair, name: &str| [&pair.old, &pair.new].into_iter().flatten().any(|known| known == name);
    for name in wanted {
        if !pairs.iter().any(|pair| is_called(pair, name)) {
            let error = Error::new(Kind::Usage, format!("{table} has no column `{name}` in these versions"));
            let known = pairs.iter().flat_map(|pair| [&pair.old, &pair.new]).flatten().map(String::as_str);
            return Err(match nearest(name, known) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!("stedi-delta describe {table}   (lists the columns)")),
            });
        }
    }
    let is_wanted = |at: &usize| wanted.is_empty() || wanted.iter().any(|name| is_called(&pairs[*at], name));
    Ok((0..pairs.len()).filter(is_wanted).collect())
}

/// The columns by which a condition names them, and the pair of each: a name means the column that has it in `to`, else
/// the one that has it in `from`.
pub(super) fn nameable(pairs: &[Pair], reversed: bool) -> (SchemaRef, Vec<usize>) {
    let mut fields: Vec<Field> = Vec::new();
    let mut at = Vec::new();
    for is_of_to in [true, false] {
        for (index, pair) in pairs.iter().enumerate() {
            let name = pair.name_in(is_of_to != reversed);
            if let Some(name) = name.filter(|name| fields.iter().all(|field| field.name() != name)) {
                fields.push(Field::new(name, pair.data_type.clone(), true));
                at.push(index);
            }
        }
    }
    (Arc::new(Schema::new(fields)), at)
}
