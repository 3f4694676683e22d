//! `migrations/schema.json`: the columns in `tables/` when the newest migration was written. With it, differences that need
//! a migration are found without access to a lake.
//!
//! It also has the checksums of the migrations that it includes, and what the newest of them changed: if that one is edited
//! or deleted, the tables before it count, and it is drafted again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::known::{Known, Tables};
use super::shape::{Columns, Stored};
use super::{Parsed, is_system};
use crate::definition::ColumnType;
use crate::source::{Fault, Place, SourceFile};

/// Where it is in a project.
pub(crate) const PATH: &str = "migrations/schema.json";

/// The command that resolves a difference.
pub(super) const DRAFT: &str = "stedi-delta migrate new LABEL";

/// The tables of a project after a migration.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The newest migration that they include.
    pub migration: u32,
    /// The tables.
    pub tables: Known,
    /// [`Parsed::checksum`] of the migrations that they include.
    pub checksums: BTreeMap<u32, String>,
    /// The tables before the newest of these migrations, if they are known.
    pub before: Option<Known>,
    /// The file that it was read from.
    file: Arc<SourceFile>,
}

/// The tables that the migrations of a project lead to.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The tables after all migrations.
    pub tables: Known,
    /// The tables before the newest migration, if they are known.
    pub before: Option<Known>,
    /// Whether the newest migration that is recorded is not what it was.
    pub changed: Changed,
}

/// What became of the newest migration that a record includes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It is as it was.
    #[default]
    No,
    /// It has another text.
    Edited,
    /// It is gone.
    Deleted,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    migration: u32,
    tables: BTreeMap<String, Vec<FileColumn>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    derived: Option<BTreeMap<String, Vec<FileColumn>>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    checksums: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Older>,
}

/// What tables were before the newest migration.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Older {
    /// Landing tables that had other columns, or are gone.
    tables: BTreeMap<String, Vec<FileColumn>>,
    /// Derived tables that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    derived: Option<BTreeMap<String, Vec<FileColumn>>>,
    /// Tables that were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileColumn {
    name: String,
    r#type: String,
    #[serde(default = "nullable", skip_serializing_if = "Clone::clone")]
    nullable: bool,
}

fn nullable() -> bool {
    true
}

impl Snapshot {
    /// Tables that include these migrations.
    #[must_use]
    pub(crate) fn new(tables: Known, migrations: &[Parsed], before: Option<Known>) -> Self {
        let checksums = migrations.iter().map(|parsed| (parsed.migration.number, parsed.checksum())).collect();
        let migration = migrations.last().map_or(0, |parsed| parsed.migration.number);
        let file = Arc::new(SourceFile { path: PathBuf::from(PATH), text: String::new() });
        Self { migration, tables, checksums, before, file }
    }

    /// Reads the file of a project.
    ///
    /// # Errors
    /// Its fault.
    pub(crate) fn parse(file: &Arc<SourceFile>) -> Result<Self, Fault> {
        let at = |line: usize, column: usize| {
            let start: usize = file.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
            let at = (start + column.saturating_sub(1)).min(file.text.len());
            Place { file: file.clone(), span: at..at }
        };
        let fault = |place: Place, label: String| Fault {
            help: Some(format!("put it back, or run {DRAFT}, which writes it anew from the target's tables")),
            ..Fault::at(&place, "this is not what `migrate new` wrote", label)
        };
        let parsed: File = serde_json::from_str(&file.text)
            .map_err(|error| fault(at(error.line(), error.column()), error.to_string()))?;
        let of = |tables: BTreeMap<String, Vec<FileColumn>>| {
            let mut found = Tables::new();
            for (name, columns) in tables {
                let mut all = Vec::new();
                for column in columns {
                    let of = ColumnType::parse(&column.r#type)
                        .map_err(|label| fault(at(1, 1), format!("column `{}` of {name}: {label}", column.name)))?;
                    all.push(Stored { name: column.name, of, nullable: column.nullable });
                }
                found.insert(name, Columns(all));
            }
            Ok(found)
        };
        let tables = Known { landing: of(parsed.tables)?, derived: parsed.derived.map(of).transpose()? };
        let before = match parsed.before {
            None => None,
            Some(older) => {
                let mut before = tables.clone();
                before.landing.extend(of(older.tables)?);
                before.landing.retain(|name, _| !older.without.contains(name));
                let derived = before.derived.take().unwrap_or_default();
                before.derived = older.derived.map(of).transpose()?.map(|gone| {
                    derived.into_iter().chain(gone).filter(|(name, _)| !older.without.contains(name)).collect()
                });
                Some(before)
            }
        };
        let number = |(name, checksum): (String, String)| {
            let number = name.parse().map_err(|_| fault(at(1, 1), format!("`{name}` is no number of a migration")))?;
            Ok((number, checksum))
        };
        let checksums = parsed.checksums.into_iter().map(number).collect::<Result<_, Fault>>()?;
        Ok(Self { migration: parsed.migration, tables, checksums, before, file: file.clone() })
    }

    /// The text of the file.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let column = |c: &Stored| FileColumn { name: c.name.clone(), r#type: c.of.delta_name(), nullable: c.nullable };
        let own = |c: &&Stored| !is_system(&c.name);
        let columns = |columns: &Columns| columns.0.iter().filter(own).map(column).collect::<Vec<FileColumn>>();
        let of = |tables: &Tables| tables.iter().map(|(name, of)| (name.clone(), columns(of))).collect();
        let older = |before: &Known| {
            let own = |columns: &Columns| columns.0.iter().filter(own).cloned().collect::<Vec<_>>();
            let is_other = |name: &str, of: &Columns| self.tables.landing.get(name).map(own) != Some(own(of));
            let (mut tables, mut derived) = (before.landing.clone(), before.derived.clone());
            tables.retain(|name, of| is_other(name, of));
            if let Some(derived) = &mut derived {
                derived.retain(|name, _| !self.tables.derived.as_ref().is_some_and(|now| now.contains_key(name)));
            }
            let without = self.tables.names().filter(|name| !before.has(name)).map(str::to_owned).collect();
            Older { tables: of(&tables), derived: derived.as_ref().map(of), without }
        };
        let text = serde_json::to_string_pretty(&File {
            migration: self.migration,
            tables: of(&self.tables.landing),
            derived: self.tables.derived.as_ref().map(of),
            checksums: self.checksums.iter().map(|(number, sum)| (format!("{number:04}"), sum.clone())).collect(),
            before: self.before.as_ref().map(older),
        });
        text.unwrap_or_default() + "\n"
    }

    /// The tables after all migrations: those that came since, and the newest of those that are included, if it has changed.
    ///
    /// # Errors
    /// Statements that cannot be applied to them; an older migration that has changed.
    pub(crate) fn state(&self, migrations: &[Parsed]) -> Result<State, Vec<Fault>> {
        let changed = self.changed(migrations)?;
        let (mut tables, recorded) = match (changed, &self.before) {
            (Changed::No, _) | (_, None) => (self.tables.clone(), self.migration),
            (_, Some(before)) => (before.clone(), self.migration.saturating_sub(1)),
        };
        let (mut before, mut faults) = (self.before.clone().filter(|_| changed == Changed::No), Vec::new());
        let newest = migrations.last().map(|parsed| parsed.migration.number);
        for parsed in migrations.iter().filter(|parsed| parsed.migration.number > recorded) {
            if Some(parsed.migration.number) == newest {
                before = Some(tables.clone());
            }
            faults.extend(parsed.statements.iter().filter_map(|statement| tables.take(statement).err()).flatten());
        }
        if faults.is_empty() { Ok(State { tables, before, changed }) } else { Err(faults) }
    }

    /// Whether the tables before or after the present migrations are known.
    #[must_use]
    pub(crate) fn fits(&self, migrations: &[Parsed]) -> bool {
        self.changed(migrations).is_ok()
    }

    /// What became of the newest included migration.
    ///
    /// # Errors
    /// The tables before a migration that has changed are not known.
    fn changed(&self, migrations: &[Parsed]) -> Result<Changed, Vec<Fault>> {
        let start = |file: &Arc<SourceFile>| Place { file: file.clone(), span: 0..0 };
        let help =
            |what: &str| Some(format!("{what}; or run {DRAFT}, which writes {PATH} anew from the target's tables"));
        let found = |number: u32| migrations.iter().find(|parsed| parsed.migration.number == number);
        for (number, checksum) in self.checksums.iter().filter(|(number, _)| **number < self.migration) {
            if let Some(parsed) = found(*number).filter(|parsed| parsed.checksum() != *checksum) {
                let message = format!("migration {} was edited after {PATH} was written with it", parsed.name());
                let label = "restore its text, and write the change as a new migration";
                let fault = Fault::at(&start(&parsed.migration.file), message, label);
                return Err(vec![Fault { help: help("that is the only way if any lake has it"), ..fault }]);
            }
        }
        let changed = match (found(self.migration), self.checksums.get(&self.migration)) {
            (None, _) if self.migration > 0 => Changed::Deleted,
            (Some(parsed), Some(checksum)) if parsed.checksum() != *checksum => Changed::Edited,
            _ => return Ok(Changed::No),
        };
        let newest = migrations.last().map_or(0, |parsed| parsed.migration.number);
        // A record from before it had checksums knows nothing of the tables before; neither does one of several that are gone.
        if self.before.is_none() || newest + 1 < self.migration {
            let message = format!("migration {:04} is in {PATH}, and is not as it was in migrations/", self.migration);
            let fault = Fault::at(&start(&self.file), message, "put it back as it was");
            return Err(vec![Fault { help: help("it may be on another branch"), ..fault }]);
        }
        Ok(changed)
    }
}
