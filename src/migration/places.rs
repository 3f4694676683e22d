//! Where tables are whose definition names no `location`: a table keeps the folder with which it was made, under every name
//! that migrations give it, and a folder that once had a table is never given to another one.
//!
//! A new table that takes the name of one that was moved has the first free folder of `t_2`, `t_3` and so on. A table `t_2` can
//! have that folder, too: whichever was there first keeps it, as the lake tells (`migrate::moves`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names of tables: the present one -> another one.
pub(crate) type Names = BTreeMap<String, String>;

/// A folder of the warehouse: zone and name with which its table was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home {
    /// Folder of the zone.
    pub zone: String,
    /// Folder in it.
    pub name: String,
}

impl Home {
    /// Reads `zone/name`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (zone, name) = text.split_once('/')?;
        Some(Self { zone: zone.to_owned(), name: name.to_owned() })
    }

    /// The folder beside it for what could not be used.
    #[must_use]
    pub fn quarantine(&self) -> Self {
        Self { zone: self.zone.clone(), name: format!("{}_quarantine", self.name) }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.zone, self.name)
    }
}

/// A table that got another name, or was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its name before.
    pub from: String,
    /// Its name from then on; `None` = it was dropped.
    pub to: Option<String>,
    /// Its folder.
    pub home: Home,
    /// The ids under which the ledger knows the files of its name.
    pub ids: Vec<String>,
}

/// The folders of all tables that migrations moved, and the names that they had.
#[derive(Clone, Debug, Default)]
pub struct Places {
    homes: BTreeMap<String, Home>,
    owners: BTreeMap<String, String>,
    moves: Vec<Move>,
    /// Folders that were looked up in the lake.
    settled: BTreeMap<String, Home>,
}

impl Places {
    /// After one more move.
    pub fn take(&mut self, step: Move) {
        self.homes.remove(&step.from);
        self.settled.clear();
        if let Some(to) = &step.to {
            self.homes.insert(to.clone(), step.home.clone());
            for owner in self.owners.values_mut().filter(|owner| **owner == step.from) {
                owner.clone_from(to);
            }
            self.owners.extend(step.ids.iter().map(|id| (id.clone(), to.clone())));
        }
        self.moves.push(step);
    }

    /// Whether no table was ever moved.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// The folder of a table. A new table takes the name of one that was moved, but not its folder.
    #[must_use]
    pub fn home(&self, name: &str, zone: &str) -> Home {
        if let Some(home) = self.homes.get(name).or(self.settled.get(name)) {
            return home.clone();
        }
        self.candidates(name, zone).next().unwrap_or_else(|| Home { zone: zone.to_owned(), name: name.to_owned() })
    }

    /// The folders that a table can have that no migration moved, in order: those that never had another one.
    pub(crate) fn candidates(&self, name: &str, zone: &str) -> impl Iterator<Item = Home> + use<> {
        let taken: BTreeSet<Home> = self.moves.iter().map(|step| step.home.clone()).collect();
        let (name, zone) = (name.to_owned(), zone.to_owned());
        let nth =
            move |n: u32| Home { zone: zone.clone(), name: if n == 1 { name.clone() } else { format!("{name}_{n}") } };
        (1..).map(nth).filter(move |home| !taken.contains(home))
    }

    /// Whether the folder of a table cannot be told by its name alone: its own once had another table, or it can be one of
    /// those that are given instead.
    #[must_use]
    pub(crate) fn is_unsure(&self, name: &str, zone: &str) -> bool {
        if self.homes.contains_key(name) {
            return false;
        }
        let stands_in = |home: &str| {
            let number = name.strip_prefix(home).and_then(|rest| rest.strip_prefix('_'));
            number.is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
            })
        };
        let homes = self.moves.iter().map(|step| &step.home).filter(|home| home.zone == zone);
        homes.into_iter().any(|home| home.name == name || stands_in(&home.name))
    }

    /// The folders of some tables, as they were found.
    pub(crate) fn settle(&mut self, found: BTreeMap<String, Home>) {
        self.settled = found;
    }

    /// Whether a migration gave the table its name.
    #[must_use]
    pub fn is_moved(&self, name: &str) -> bool {
        self.homes.contains_key(name)
    }

    /// The present name of the table for which the ledger recorded files under this name and id.
    #[must_use]
    pub fn owner<'n>(&'n self, name: &'n str, id: &str) -> &'n str {
        self.owners.get(id).map_or(name, String::as_str)
    }

    /// Names that tables had, each with the table's folder and, unless it was dropped, its present name.
    #[must_use]
    pub fn former(&self) -> Vec<(&str, &Home, Option<&str>)> {
        let present = |home: &Home| self.homes.iter().find(|(_, known)| *known == home).map(|(name, _)| name.as_str());
        self.moves.iter().map(|step| (step.from.as_str(), &step.home, present(&step.home))).collect()
    }

    /// A name for the table that no rename changes and no other table has: the first name that it had, or its folder if
    /// another table had that name before.
    #[must_use]
    pub fn identity(&self, name: &str, zone: &str) -> String {
        let home = self.home(name, zone);
        let moved = self.moves.iter().position(|step| step.home == home);
        let before = self.moves.get(..moved.unwrap_or(self.moves.len())).unwrap_or_default();
        let first = moved.and_then(|at| self.moves.get(at)).map_or(name, |step| step.from.as_str());
        if before.iter().any(|step| step.from == first) { home.to_string() } else { first.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(moves: &[(&str, Option<&str>, &str)]) -> Places {
        let mut places = Places::default();
        for (from, to, home) in moves {
            let home = Home::parse(home).expect("a folder");
            let ids = vec![format!("id of {home}")];
            places.take(Move { from: (*from).to_owned(), to: to.map(str::to_owned), home, ids });
        }
        places
    }

    fn home(places: &Places, name: &str) -> String {
        places.home(name, "z").to_string()
    }

    #[test]
    fn a_folder_stays_with_its_table_and_is_given_to_no_other() {
        let none = places(&[]);
        assert_eq!((home(&none, "t").as_str(), none.is_moved("t")), ("z/t", false));
        let all =
            places(&[("t", Some("u"), "y/t"), ("t", Some("v"), "z/t"), ("t", None, "z/t_2"), ("u", Some("w"), "y/t")]);
        assert_eq!(["w", "v", "u", "t", "x"].map(|name| home(&all, name)), ["y/t", "z/t", "z/u", "z/t_3", "z/x"]);
        assert_eq!(all.owner("t", "id of y/t"), "w");
        assert_eq!(["w", "v", "u", "t", "x"].map(|name| all.identity(name, "z")), ["t", "z/t", "z/u", "z/t_3", "x"]);
        assert_eq!(all.owner("t", "id of another"), "t");
        let former = all.former();
        assert_eq!(former.len(), 4);
        assert_eq!((former[0].0, former[0].2, former[2].0, former[2].2), ("t", Some("w"), "t", None));
    }

    #[test]
    fn two_tables_can_swap_their_names() {
        let all = places(&[("t", Some("tmp"), "z/t"), ("u", Some("t"), "z/u"), ("tmp", Some("u"), "z/t")]);
        assert_eq!(["t", "u"].map(|name| home(&all, name)), ["z/u", "z/t"]);
        assert_eq!(["t", "u", "x"].map(|name| all.identity(name, "z")), ["u", "t", "x"]);
        assert_eq!(all.owner("t", "id of z/t"), "u");
    }
}
