//! A case: landing tables with their types, derived tables, and the events. A seed determines all of it.

use super::history::{self, Op};
use super::query::{Generator, Node};

/// SplitMix64: one word of state, the same numbers everywhere.
#[derive(Debug)]
pub(crate) struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % (n.max(1) as u64)).unwrap()
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub(crate) fn one<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

/// A column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    Big,
    Text,
    Int,
    Double,
    Float,
    Bool,
    Date,
    Decimal,
    Time,
    /// Whole numbers at the ends of 64 bits.
    Huge,
    /// Whole numbers of up to 38 digits.
    Whole,
}

/// All types.
pub(crate) const TYPES: [Type; 11] = [
    Type::Big,
    Type::Text,
    Type::Int,
    Type::Double,
    Type::Float,
    Type::Bool,
    Type::Date,
    Type::Decimal,
    Type::Time,
    Type::Huge,
    Type::Whole,
];

impl Type {
    /// Its name in a definition.
    pub(crate) fn defined(self) -> &'static str {
        match self {
            Self::Big => "long",
            Self::Text => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Float => "float",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Decimal => "decimal(10,2)",
            Self::Time => "timestamp",
            Self::Huge => "long",
            Self::Whole => "decimal(38,0)",
        }
    }

    /// Its name in SQL.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Big | Self::Huge => "bigint",
            Self::Text => "varchar",
            other => other.defined(),
        }
    }

    /// The values of the domain. Doubles and floats are sums of powers of two: their sums are exact in any order.
    pub(crate) fn domain(self) -> &'static [&'static str] {
        match self {
            Self::Big | Self::Int => &["0", "1", "2", "3"],
            Self::Text => &["a", "b", "", "ab"],
            Self::Double | Self::Float => &["0.5", "1.5", "-2.25"],
            Self::Bool => &["true", "false"],
            Self::Date => &["2024-02-28", "2024-02-29", "1969-12-31", "9999-12-31", "0001-01-01"],
            Self::Decimal => &["1.50", "-0.25", "7.00"],
            Self::Time => &[
                "2024-02-29T12:00:00Z",
                "1969-12-31T23:59:59.999Z",
                "2024-02-29T12:00:00.001Z",
                "9999-12-31T23:59:59.999Z",
                "0001-01-01T00:00:00Z",
            ],
            Self::Huge => &["9223372036854775807", "-9223372036854775807", "0", "9007199254740993"],
            Self::Whole => &["18446744073709551615", "-9999999999999999999999999999999999999", "0", "1"],
        }
    }

    /// A value of the domain as SQL.
    pub(crate) fn literal(self, value: &str) -> String {
        match self {
            Self::Big | Self::Bool | Self::Huge => value.to_owned(),
            Self::Whole => format!("cast('{value}' as decimal(38,0))"),
            Self::Text => format!("'{value}'"),
            Self::Date => format!("date '{value}'"),
            Self::Time => format!("timestamp '{value}'"),
            _ => format!("cast({value} as {})", self.sql()),
        }
    }
}

/// A column: of a table, or of a query's result.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Its name, in a scope with the table's alias.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// The last digits depend on the order of the rows: compared with a tolerance, and not read by other queries.
    pub approximate: bool,
}

/// A row of a landing table; `None` is NULL.
pub(crate) type Row = Vec<Option<&'static str>>;

/// A landing table.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    /// Its name.
    pub name: String,
    /// Its columns, without file and offset.
    pub columns: Vec<Column>,
}

impl Landing {
    /// A random row.
    pub(crate) fn row(&self, rng: &mut Rng) -> Row {
        self.columns.iter().map(|c| (!rng.chance(25)).then(|| *rng.one(c.kind.domain()))).collect()
    }

    /// The definition.
    pub(crate) fn toml(&self) -> String {
        let columns: String = self.columns.iter().map(|c| format!("{} = \"{}\"\n", c.name, c.kind.defined())).collect();
        format!(
            "description = \"x\"\n[source]\npath = \"{}/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
             [columns]\n{columns}",
            self.name
        )
    }
}

/// A derived table.
#[derive(Clone, Debug)]
pub(crate) struct Derived {
    /// Its name.
    pub name: String,
    /// Its query.
    pub query: Node,
    /// Whether another engine gives the same result.
    pub portable: bool,
    /// Whether the plain engine gives the right one.
    pub plain: bool,
    /// Its refresh policy.
    pub policy: &'static str,
}

/// The content of a seed.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub landing: Vec<Landing>,
    pub derived: Vec<Derived>,
    /// The events before each sync.
    pub steps: Vec<Vec<Op>>,
}

impl Case {
    /// The case of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng(seed.wrapping_mul(0x2545_F491_4F6C_DD1D));
        let landing: Vec<Landing> = (0..2 + rng.below(4)).map(|n| table(n, &mut rng)).collect();
        let mut derived: Vec<Derived> = Vec::new();
        let count = 2 + rng.below(3);
        let mut readable: Vec<Node> = landing.iter().map(|l| Node::table(&l.name, &l.columns, 12.0)).collect();
        for number in 0..count {
            let mut generator = Generator::new(&mut rng, &readable);
            let query = generator.derived();
            let (portable, plain) = (generator.portable, generator.plain);
            let name = format!("d{number}");
            let columns: Vec<Column> = query.columns.iter().filter(|c| !c.approximate).cloned().collect();
            if !columns.is_empty() {
                let node = Node::table(&name, &columns, query.rows);
                // Later tables read earlier ones more often than landing tables.
                readable.extend([node.clone(), node]);
            }
            derived.push(Derived { name, query, portable, plain, policy: "auto" });
        }
        if rng.chance(25) {
            let twin = rng.one(&derived).clone();
            let policy = if rng.chance(50) { "full" } else { "auto" };
            derived.push(Derived { name: format!("{}_twin", twin.name), policy, ..twin });
        }
        let steps = history::random(&mut rng, &landing, &derived);
        Self { landing, derived, steps }
    }

    /// The definition files, by path.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let landing = self.landing.iter().map(|l| (format!("tables/landing/{}.toml", l.name), l.toml()));
        let derived = self.derived.iter().flat_map(|d| {
            let toml = format!("description = \"x\"\nrefresh = \"{}\"\n", d.policy);
            [
                (format!("tables/curated/{}.toml", d.name), toml),
                (format!("tables/curated/{}.sql", d.name), d.query.render()),
            ]
        });
        landing.chain(derived).collect()
    }

    /// Whether only files landed: the same files at once must give the same tables.
    pub(crate) fn only_lands(&self) -> bool {
        self.steps.iter().flatten().all(|op| matches!(op, Op::Land { .. }))
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for table in &self.landing {
            let columns: Vec<String> = table.columns.iter().map(|c| format!("{} {}", c.name, c.kind.sql())).collect();
            writeln!(f, "  {} ({})", table.name, columns.join(", "))?;
        }
        for table in &self.derived {
            writeln!(f, "  {} [{}]: {}", table.name, table.policy, table.query.render())?;
        }
        for (number, step) in self.steps.iter().enumerate() {
            for op in step {
                writeln!(f, "  {number}: {op:?}")?;
            }
            writeln!(f, "  {number}: sync")?;
        }
        Ok(())
    }
}

fn table(number: usize, rng: &mut Rng) -> Landing {
    let count = 3 + rng.below(2);
    let column = |at: usize, rng: &mut Rng| {
        let kind = match at {
            0 => Type::Big,
            1 if rng.chance(50) => Type::Text,
            _ => *rng.one(&TYPES),
        };
        Column { name: ["a", "b", "c", "d"][at].to_owned(), kind, approximate: false }
    };
    Landing { name: format!("l{number}"), columns: (0..count).map(|at| column(at, rng)).collect() }
}
