//! A lake whose definitions changed on the way equals a lake that was made from the last definitions over the same files.
//!
//! A random history changes columns and fields, writes and overwrites files, drafts each migration as `migrate new` does,
//! and syncs. Renamed columns list their former names in `from`, so the files of all times can be read by the last
//! definitions.

use std::collections::BTreeMap;
use std::fmt::Write;

use stedi_delta::migrate::{self, Asked, Before, Renamed, Wanted};
use stedi_delta::outcome::Mode;

use super::world::Rng;
use super::{block_on, variable};
use crate::nested::assert_duckdb_reads_the_same;
use crate::support::{Lake, assert_ok, assert_still, of, verify};

/// Types in the order in which a migration may change them.
const WHOLE: [&str; 4] = ["byte", "short", "integer", "long"];
const FLOATING: [&str; 2] = ["float", "double"];
const DECIMAL: [&str; 3] = ["decimal(4,1)", "decimal(8,2)", "decimal(12,3)"];
const TEXT: [&str; 1] = ["string"];
const LADDERS: [&[&str]; 4] = [&WHOLE, &FLOATING, &DECIMAL, &TEXT];

/// Whether a history has NULLs; without any, its columns can be made `not null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    None,
    Some,
}

/// A column or field. Its identity is its position; nothing is ever taken out of a list.
#[derive(Clone, Debug)]
struct Column {
    /// Its name, and those that it had before.
    names: Vec<String>,
    ladder: &'static [&'static str],
    /// Its type, on the ladder.
    rung: usize,
    fields: Vec<Column>,
    is_struct: bool,
    required: bool,
    dropped: bool,
}

impl Column {
    fn new(name: String, rng: &mut Rng) -> Self {
        let ladder = *rng.one(&LADDERS);
        let rung = rng.below(ladder.len());
        Self { names: vec![name], ladder, rung, fields: Vec::new(), is_struct: false, required: false, dropped: false }
    }

    fn name(&self) -> &str {
        self.names.last().unwrap()
    }

    fn fields(&self) -> impl Iterator<Item = &Column> {
        self.fields.iter().filter(|field| !field.dropped)
    }

    /// Its TOML, and the texts of its fields.
    fn toml(&self) -> String {
        let kind = if self.is_struct { "struct" } else { self.ladder[self.rung] };
        let from = self.names.iter().rev().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let mut text = format!("{{ type = \"{kind}\", from = [{from}]");
        if self.required {
            text.push_str(", nullable = false");
        }
        if self.is_struct {
            let fields: Vec<String> = self.fields().map(|f| format!("{} = {}", f.name(), f.toml())).collect();
            write!(text, ", fields = {{ {} }}", fields.join(", ")).unwrap();
        }
        text + " }"
    }

    /// A value that every type from its present one on can hold; NULL and absent where that is allowed.
    fn value(&self, rng: &mut Rng, nulls: Nulls) -> Option<String> {
        if !self.required && nulls == Nulls::Some && rng.chance(25) {
            return rng.chance(50).then(|| "null".to_owned());
        }
        if self.is_struct {
            return Some(object(self.fields(), rng, nulls));
        }
        let (n, rung) = (rng.below(6), u32::try_from(self.rung).unwrap());
        Some(match self.ladder[0] {
            "byte" => (n * 20_usize.pow(rung)).to_string(),
            "float" => format!("{n}.5"),
            "decimal(4,1)" => format!("{n}.{}", &"124"[..self.rung + 1]),
            _ => format!("\"t{n}\""),
        })
    }
}

/// The JSON object of some columns, each under one of its names.
fn object<'c>(columns: impl Iterator<Item = &'c Column>, rng: &mut Rng, nulls: Nulls) -> String {
    let fields = columns.filter_map(|column| {
        let value = column.value(rng, nulls)?;
        Some(format!("\"{}\":{value}", rng.one(&column.names)))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// Queries over columns by position: whatever these are called.
const QUERIES: [(&str, &str); 4] = [
    ("plain", "select n.{0} as id, n.{1} as x from n where n.{0} % 2 = 0"),
    ("counted", "select n.{1} as x, count(*) as c from n group by n.{1}"),
    ("joined", "select l.{0} as id, r.{1} as x from n l left join n r on r.{0} = l.{0} + 1"),
    (
        "latest",
        "select t.id, t.x from (select n.{0} as id, n.{1} as x, row_number() over (partition by n.{0} order by \
         n.source_file desc, n.source_offset desc) as r from n) t where t.r = 1",
    ),
];

struct World {
    rng: Rng,
    columns: Vec<Column>,
    /// The column that each query reads beside `id`.
    read: BTreeMap<&'static str, usize>,
    named: usize,
    nulls: Nulls,
    /// How many files there are.
    files: usize,
    /// Whether every record of every file has a value of a column.
    always: Vec<bool>,
    migrations: usize,
    /// Whether a column was added that the lake does not have yet: a migration of it would find nothing there.
    ahead: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: Rng(seed),
            columns: Vec::new(),
            read: BTreeMap::new(),
            named: 0,
            nulls: if seed.is_multiple_of(3) { Nulls::None } else { Nulls::Some },
            files: 0,
            always: Vec::new(),
            migrations: 0,
            ahead: true,
        };
        let id = Column { ladder: &WHOLE, rung: 1, required: true, ..world.column() };
        world.columns.push(id);
        for _ in 0..3 {
            let column = world.column();
            world.columns.push(column);
        }
        let fields = vec![world.column(), world.column()];
        let nested = Column { is_struct: true, fields, ..world.column() };
        world.columns.push(nested);
        world.always = vec![true; world.columns.len()];
        for (name, _) in QUERIES {
            let read = world.any();
            world.read.insert(name, read);
        }
        world
    }

    fn column(&mut self) -> Column {
        self.named += 1;
        Column::new(format!("c{}", self.named), &mut self.rng)
    }

    /// The position of a column that is there, but `id`.
    fn any(&mut self) -> usize {
        let there: Vec<usize> = (1..self.columns.len()).filter(|&at| !self.columns[at].dropped).collect();
        *self.rng.one(&there)
    }

    fn define(&self, lake: &Lake) {
        let columns = self.columns.iter().filter(|column| !column.dropped);
        let columns: String = columns.map(|c| format!("{} = {}\n", c.name(), c.toml())).collect();
        lake.define(
            "tables/landing/n.toml",
            &format!(
                "description = \"N\"\nprimary_key = [\"{}\"]\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n\
                 on_overwrite = \"replace\"\n[columns]\n{columns}",
                self.columns[0].name()
            ),
        );
        for (name, sql) in QUERIES {
            lake.define(&format!("tables/curated/{name}.toml"), "description = \"x\"\n");
            let names = [self.columns[0].name(), self.columns[self.read[name]].name()];
            lake.define(&format!("tables/curated/{name}.sql"), &sql.replace("{0}", names[0]).replace("{1}", names[1]));
        }
    }

    /// A new file, or other contents of one.
    fn land(&mut self, lake: &Lake) {
        let at = self.rng.below(self.files + 2).min(self.files);
        let mut text = String::new();
        for _ in 0..1 + self.rng.below(4) {
            let there = self.columns.iter().filter(|column| !column.dropped);
            text.push_str(&object(there, &mut self.rng, self.nulls));
            text.push('\n');
        }
        for (always, column) in self.always.iter_mut().zip(&self.columns) {
            *always &= column.required || self.nulls == Nulls::None;
        }
        lake.land(&format!("n/{at}.json"), &text);
        self.files = self.files.max(at + 1);
    }

    /// One change of the definitions; what `migrate new` has to be told of it.
    fn change(&mut self) -> Option<String> {
        let at = self.any();
        let nested = self.columns[at].is_struct && self.rng.chance(60);
        match self.rng.below(6) {
            0 => {
                self.ahead = true;
                let new = self.column();
                if nested {
                    self.columns[at].fields.push(new);
                } else {
                    self.columns.push(new);
                    self.always.push(self.files == 0);
                }
                None
            }
            1 => {
                self.named += 1;
                let name = format!("c{}", self.named);
                let at = if self.rng.chance(20) { 0 } else { at };
                let column = &mut self.columns[at];
                if nested && at != 0 {
                    let path = column.name().to_owned();
                    let field = column.fields.iter_mut().find(|field| !field.dropped)?;
                    let told = format!("n.{path}.{}={name}", field.name());
                    field.names.push(name);
                    return Some(told);
                }
                let told = format!("n.{}={name}", column.name());
                column.names.push(name);
                Some(told)
            }
            2 if nested => {
                let column = &mut self.columns[at];
                if column.fields().count() > 1 {
                    column.fields.iter_mut().find(|field| !field.dropped)?.dropped = true;
                }
                None
            }
            2 => {
                if self.columns.iter().filter(|column| !column.dropped).count() > 3 {
                    self.columns[at].dropped = true;
                    for (name, _) in QUERIES {
                        if self.read[name] == at {
                            let other = self.any();
                            self.read.insert(name, other);
                        }
                    }
                }
                None
            }
            3 => {
                let at = if self.rng.chance(20) { 0 } else { at };
                let column = &mut self.columns[at];
                let of = if column.is_struct { column.fields.iter_mut().find(|f| !f.dropped)? } else { column };
                of.rung = (of.rung + 1).min(of.ladder.len() - 1);
                None
            }
            4 => {
                let column = &mut self.columns[at];
                column.required = if column.required { false } else { self.always[at] };
                None
            }
            _ => {
                let name = self.rng.one(&QUERIES).0;
                self.read.insert(name, at);
                None
            }
        }
    }

    /// Changes of the definitions, and the migration that they need, as a person would make it.
    async fn evolve(&mut self, lake: &Lake) {
        let mut told = Vec::new();
        for _ in 0..1 + self.rng.below(3) {
            told.extend(self.change());
            if !told.is_empty() || self.ahead {
                // A further change would have to name the column as the lake does.
                break;
            }
        }
        self.define(lake);
        let project = lake.workspace().await.project;
        let renamed: Vec<Renamed> = told.iter().map(|told| Renamed::parse(told).unwrap()).collect();
        let before = match Before::recorded(&project).unwrap() {
            Some(before) => before,
            None => Before::stored(&lake.workspace().await).await.unwrap(),
        };
        self.migrations += 1;
        let label = format!("m{}", self.migrations);
        let draft = migrate::draft(&project, Wanted { label: &label, renamed: &renamed, replaced: None }, &before)
            .unwrap_or_else(|e| panic!("{e} {:?} {:?}", e.facts(), e.faults()));
        if draft.file.is_some() && self.rng.chance(30) {
            let asked = Asked { run: "apply", dry_run: false };
            migrate::apply(&lake.workspace().await, asked)
                .await
                .unwrap_or_else(|e| panic!("{e} {:?} {:?}", e.facts(), e.faults()));
        }
    }

    /// A sync; how many tables it refreshed incrementally.
    async fn sync(&mut self, lake: &Lake) -> usize {
        let outcome = lake.sync().await;
        self.ahead = false;
        lake.assert_recomputed().await;
        QUERIES.iter().filter(|(name, _)| of(&outcome, name).mode == Mode::Incremental).count()
    }

    /// The rows of all tables, the columns in the order of the definitions.
    async fn contents(&self, lake: &Lake) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        let mut exprs = Vec::new();
        for column in self.columns.iter().filter(|column| !column.dropped) {
            if column.is_struct {
                exprs.extend(column.fields().map(|field| format!("n.{}.{}", column.name(), field.name())));
            } else {
                exprs.push(format!("n.{}", column.name()));
            }
        }
        let sql = format!("select n.source_file, n.source_offset, {} from n", exprs.join(", "));
        all.push(("n".to_owned(), lake.rows(&sql).await));
        for (name, _) in QUERIES {
            all.push((name.to_owned(), lake.rows(&format!("select * from {name}")).await));
        }
        if lake.warehouse().join("landing/n_quarantine").exists() {
            assert_eq!(lake.rows("select * from n_quarantine").await, Vec::<String>::new());
        }
        all
    }
}

/// One history. What it did: migrations, incremental refreshes.
async fn history(seed: u64) -> (usize, usize) {
    let mut world = World::new(seed);
    let lake = Lake::project(&[]);
    world.define(&lake);
    let mut refreshed = 0;
    for _ in 0..8 {
        for _ in 0..world.rng.below(3) {
            world.land(&lake);
        }
        if world.rng.chance(60) {
            if world.ahead {
                refreshed += world.sync(&lake).await;
            }
            world.evolve(&lake).await;
        }
        if world.rng.chance(80) {
            refreshed += world.sync(&lake).await;
        }
    }
    lake.sync().await;
    assert_still(&lake.sync().await);
    assert_ok(&lake.try_sync_with(verify()).await);
    assert_duckdb_reads_the_same(&lake).await;
    let direct = Lake::project(&[]);
    world.define(&direct);
    if lake.landing().join("n").exists() {
        direct.land_all(&lake.landing());
    }
    direct.sync().await;
    let (evolved, made) = (world.contents(&lake).await, world.contents(&direct).await);
    assert_eq!(evolved, made, "seed {seed}");
    let statements = migrate::status(&lake.workspace().await).await.unwrap();
    (statements.iter().map(|migration| migration.statements.len()).sum(), refreshed)
}

/// `EVOLVE_HISTORIES` seeds from `EVOLVE_FROM` on.
#[test]
fn definitions_that_change_on_the_way_end_where_the_last_ones_begin() {
    let (count, from) = (variable("EVOLVE_HISTORIES").unwrap_or(12), variable("EVOLVE_FROM").unwrap_or(1));
    let (mut statements, mut refreshed) = (0, 0);
    for seed in from..from + count {
        eprintln!("seed {seed}");
        let done = block_on(history(seed));
        (statements, refreshed) = (statements + done.0, refreshed + done.1);
    }
    eprintln!("{count} histories: {statements} statements, {refreshed} incremental refreshes");
    assert!(count < 10 || (statements > count as usize && refreshed > count as usize), "{statements} {refreshed}");
}
