//! Which tables are audited, and at which versions.

use crate::definition::Table;
use crate::error::{Error, Kind, Result};
use crate::name::nearest;
use crate::travel::{Named, NamedKind, Point, Zone, find, find_existing, split};
use crate::workspace::Workspace;

/// The tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// One.
    Table(String),
    /// Those of a zone.
    Zone(String),
    /// All.
    Lake,
}

/// Their versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// The newest one.
    Newest,
    /// The one at a point.
    At(Point),
    /// All.
    All,
}

/// The tables and their versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The tables.
    pub what: What,
    /// Their versions.
    pub versions: Versions,
}

/// A table of the project in a scope, or why it cannot be opened.
pub(super) struct Found {
    pub name: String,
    pub table: Result<Named>,
}

impl Scope {
    /// Reads `t`, `t@v12`, `t@2026-11-20`, or `@2026-11-20` for several tables.
    ///
    /// # Errors
    /// `Usage` for any other text.
    pub fn parse(text: Option<&str>, in_zone: Option<&str>, zone: &Zone) -> Result<Self> {
        let (name, point) = text.map_or(("", None), split);
        let versions = match point {
            Some(point) => Versions::At(Point::parse(point, zone)?),
            None => Versions::Newest,
        };
        let what = match (name, in_zone) {
            ("", Some(zone)) => What::Zone(zone.to_owned()),
            ("", None) => What::Lake,
            (name, None) => What::Table(name.to_owned()),
            (name, Some(_)) => {
                return Err(Error::new(Kind::Usage, format!("`{name}` is a table, and --zone names several"))
                    .help("leave one of them out"));
            }
        };
        if let (What::Zone(_) | What::Lake, Versions::At(point @ Point::Version(_))) = (&what, &versions) {
            return Err(Error::new(Kind::Usage, format!("`{}` is the version of one table", point.text()))
                .fact("expected", "a time, which all tables have")
                .help(format!("write \"table@{}\"", point.text())));
        }
        Ok(Self { what, versions })
    }

    /// The same tables at all their versions.
    ///
    /// # Errors
    /// `Usage` if a version was named.
    pub fn at_all_versions(self) -> Result<Self> {
        match self.versions {
            Versions::Newest => Ok(Self { versions: Versions::All, ..self }),
            _ => Err(Error::new(Kind::Usage, "--all-versions and a version exclude each other")
                .help("leave one of them out")),
        }
    }

    /// The same, where `--lake` may name all tables.
    ///
    /// # Errors
    /// `Usage` if that and a table are named, or neither is.
    pub fn of_lake(self, is_lake: bool) -> Result<Self> {
        match (&self.what, is_lake) {
            (What::Table(name), true) => {
                Err(Error::new(Kind::Usage, format!("`{name}` is a table, and --lake names all"))
                    .help("leave one of them out"))
            }
            (What::Lake, false) => Err(Error::new(Kind::Usage, "no table is named").help("name one, or write --lake")),
            _ => Ok(self),
        }
    }

    /// The tables of the project, placed, that are wanted; one that was asked for by its name in any case.
    ///
    /// # Errors
    /// `Usage` if there is no such table or zone, `Failed` if a table asked for by its name does not exist yet.
    pub(super) async fn tables(&self, workspace: &Workspace, wanted: impl Fn(&Table) -> bool) -> Result<Vec<Found>> {
        let project = &workspace.project;
        match &self.what {
            What::Table(name) => {
                let table = find(workspace, name).await?;
                return Ok(vec![Found { name: table.name.clone(), table: Ok(table) }]);
            }
            What::Zone(zone) if !project.zones.contains(zone) => {
                let error = Error::new(Kind::Usage, format!("`{zone}` is no zone of this project"));
                return Err(match nearest(zone, project.zones.iter().map(String::as_str)) {
                    Some(near) => error.help(format!("did you mean `--zone {near}`?")),
                    None => error.fact("zones", project.zones.join(", ")),
                });
            }
            What::Zone(_) | What::Lake => {}
        }
        let is_in = |zone: &str| match &self.what {
            What::Zone(wanted) => wanted == zone,
            _ => true,
        };
        let mut found = Vec::new();
        for table in project.tables.iter().filter(|table| is_in(&table.zone) && wanted(table)) {
            let name = table.name.to_string();
            // Of a table that the next sync will make there is nothing to audit.
            let Some(table) = find_existing(workspace, &name).await.transpose() else { continue };
            found.push(Found { table, name });
        }
        Ok(found)
    }

    /// What is said of one of several tables that has no version in the scope because it did not exist then; `None` = its
    /// log no longer tells, or it was asked for by its name.
    pub(super) async fn did_not_exist(&self, table: &Named, error: &Error) -> Option<String> {
        if matches!(self.what, What::Table(_)) || error.kind() != Kind::Usage {
            return None;
        }
        let commits = table.commits().await.ok()?;
        let begins = commits.first().is_some_and(|commit| commit.facts.version == 0);
        begins.then(|| format!("{} did not exist then", table.name))
    }

    /// The version that is audited of a table; `None` = all.
    ///
    /// # Errors
    /// `Usage` if the table has none.
    pub(super) async fn version(&self, table: &Named) -> Result<Option<u64>> {
        match &self.versions {
            Versions::Newest => Ok(Some(table.newest.version())),
            Versions::At(point) => table.version(point).await.map(Some),
            Versions::All => Ok(None),
        }
    }
}

/// Whether a name stands for a table of the project.
pub(super) fn is_of_project(table: &Named) -> bool {
    table.kind == NamedKind::Table
}
