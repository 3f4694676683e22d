//! A change across migrations: a statement of ours writes every data file anew, and changes no row but in the column that
//! it is about. So it is left out, and the change is that of the versions before it and of those after it.
//!
//! Files from before are read by the names of columns as they are now. What that gives for a column that was changed means
//! nothing: [`ChangeSet::touched`] names it, and who reads it has to compute in full.

use std::collections::BTreeSet;

use deltalake::arrow::datatypes::{DataType, Fields, Schema};

use super::files::look_up;
use super::{ChangeSet, Changes, Way, since};
use crate::error::Result;
use crate::lake::{CommitFacts, LakeTable};

/// The change set of `table` since version `from`, with migrations among the `commits` since then.
pub(super) async fn migrations(table: &LakeTable, from: u64, commits: &[CommitFacts]) -> Result<Changes> {
    let mut whole = ChangeSet::nothing(table, from);
    let mut begin = from;
    for migration in commits.iter().filter(|commit| commit.is_migration()).map(|commit| commit.version) {
        let (Ok(before), Ok(after)) = (table.at(migration - 1).await, table.at(migration).await) else {
            return Ok(Changes::Lost(format!("v{migration}, a migration, can no longer be read")));
        };
        whole.touched.extend(touched(&before.schema(), &after.schema()));
        whole.touched.extend(computed(&before, &after));
        if begin < before.version() {
            match since(&before, begin).await? {
                Changes::Known(part) => add(&mut whole, *part),
                Changes::Lost(why) => return Ok(Changes::Lost(why)),
            }
        }
        begin = migration;
    }
    // Files that an older version holds were not looked for.
    let files = whole.parts.iter().flat_map(|part| &part.files).chain(&whole.feed).map(String::as_str);
    let found = look_up(table, files).await?;
    if !found.gone.is_empty() {
        return Ok(Changes::Lost("files from before a migration are gone".into()));
    }
    whole.seen.extend(found.there.into_keys());
    if begin < table.version() {
        match since(table, begin).await? {
            Changes::Known(part) => add(&mut whole, *part),
            Changes::Lost(why) => return Ok(Changes::Lost(why)),
        }
    }
    Ok(whole.into())
}

/// Columns, and fields within structs and lists, that are in one of two versions only, or of another type.
#[must_use]
pub(crate) fn touched(before: &Schema, after: &Schema) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    fields("", before.fields(), after.fields(), &mut found);
    found
}

/// Columns whose values a migration computed between two versions.
fn computed(before: &LakeTable, after: &LakeTable) -> impl Iterator<Item = String> {
    let known = before.computed_columns();
    let computed = after.computed_columns().into_iter().filter(move |(column, by)| known.get(column) != Some(by));
    computed.map(|(column, _)| column)
}

fn fields(path: &str, before: &Fields, after: &Fields, found: &mut BTreeSet<String>) {
    let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for field in before {
        match after.find(field.name()) {
            Some((_, now)) => values(&at(field.name()), field.data_type(), now.data_type(), found),
            None => drop(found.insert(at(field.name()))),
        }
    }
    let new = after.iter().filter(|field| before.find(field.name()).is_none());
    found.extend(new.map(|field| at(field.name())));
}

fn values(path: &str, before: &DataType, after: &DataType, found: &mut BTreeSet<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (DataType::Struct(before), DataType::Struct(after)) => fields(path, before, after, found),
        (DataType::List(before), DataType::List(after)) => {
            values(&format!("{path}.[]"), before.data_type(), after.data_type(), found);
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

fn add(whole: &mut ChangeSet, part: ChangeSet) {
    whole.way = match (whole.way, part.way) {
        (Way::Nothing, way) | (way, Way::Nothing) => way,
        (one, other) if one == other => one,
        _ => Way::Files,
    };
    whole.why = whole.why.take().or(part.why);
    whole.parts.extend(part.parts);
    whole.feed.extend(part.feed);
    whole.bytes = (whole.bytes.0 + part.bytes.0, whole.bytes.1 + part.bytes.1);
    whole.rows_fed = whole.rows_fed.zip(part.rows_fed).map(|(one, other)| one + other);
    whole.rows.extend(part.rows);
    whole.widest = whole.widest.max(part.widest);
    whole.seen.extend(part.seen);
    whole.touched.extend(part.touched);
}
