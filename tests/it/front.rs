//! One entry point: a condition has the same meaning in an ad-hoc query, as a derived table, as an expectation of both
//! kinds of table and as a grant.

use stedi_delta::outcome::{Problem, SyncOutcome};

use crate::support::{Lake, of, second};

const COLUMNS: &str = "id = \"long\"\na = \"boolean\"\nb = \"boolean\"\nx = \"long\"\ny = \"long\"\n\
     d = \"decimal(10,2)\"\nf = \"double\"\ns = \"string\"\nt = \"string\"\nat = \"timestamp\"\nday = \"date\"\n\
     u = \"string\"\n";

const FACTS: &[&str] = &[
    r#"{"id":1,"a":true,"b":true,"x":1,"y":2,"d":0.1,"f":0.1,"s":"a_b","t":"a_b","at":"2024-07-01T00:00:00Z","day":"2024-06-30"}"#,
    r#"{"id":2,"a":false,"b":null,"x":0,"y":3,"d":0.15,"f":1e300,"s":"axb","t":null,"at":"2019-12-31T23:59:59Z","day":"2020-01-01"}"#,
    r#"{"id":3,"a":null,"b":false,"x":3,"y":null,"d":null,"f":null,"s":"a","t":"a","at":"9999-12-31T23:59:59Z","day":"9999-12-31","u":"9999-12-31"}"#,
    r#"{"id":4,"a":null,"b":null,"x":null,"y":null,"d":-1,"f":-1.0,"s":null,"t":null,"at":null,"day":null}"#,
    r#"{"id":5,"a":true,"b":false,"x":2,"y":2,"d":2,"f":2.0,"s":"b","t":"c","at":"2024-01-02T00:00:00.001Z","day":"2024-01-05","u":"2024-01-05T01:02:03Z"}"#,
];

/// Conditions whose text the engine reads, plans or simplifies differently than SQL does, and the records for which
/// they are true.
const CONDITIONS: &[(&str, &[i64])] = &[
    ("a is distinct from true and b is not null", &[3]),
    ("not a is distinct from b or x > 1", &[1, 3, 4, 5]),
    ("s is not distinct from t and x > 0", &[1, 3]),
    ("year(at) > 2020", &[1, 3, 5]),
    ("mod(x, 2) = 1", &[1, 3]),
    ("if(a, x, y) > 1", &[2, 5]),
    ("s like 'a!_%' escape '!'", &[1]),
    ("(x, y) = (1, 2)", &[1]),
    ("(x, y) in ((1, 2), (3, null))", &[1]),
    ("(x, y) not in ((1, 2), (3, null))", &[2, 5]),
    ("(x, y) < (2, 0)", &[1, 2]),
    ("x <> 0 and 100 / x > 40", &[1, 5]),
    ("case when x <> 0 then 100 / x > 40 else false end", &[1, 5]),
    ("x in (1, null) or y not in (2, null)", &[1]),
    ("x not in (1) or x not in (2)", &[1, 2, 3, 5]),
    ("x in (1, 2, 3) and x in (2, 3, 4)", &[3, 5]),
    ("d > 0.1", &[2, 5]),
    ("d = f", &[1, 4, 5]),
    ("d + f > 1e200", &[2]),
    ("round(d, 1) = 0.2", &[2]),
    ("d / 3 = 0.05", &[2]),
    ("at > '2024-01-01'", &[1, 3, 5]),
    ("at < timestamp '9999-12-31 00:00:00'", &[1, 2, 5]),
    ("day < at", &[1, 3]),
    ("year(u) > 2020", &[3, 5]),
    ("date_trunc('year', u) = timestamp '9999-01-01 00:00:00'", &[3]),
    ("to_unixtime(u) > 0", &[3, 5]),
    ("try_cast(at at time zone 'America/Denver' as date) = day", &[1, 3]),
    ("day - date '2024-01-01' > 100", &[1, 3]),
    ("at - timestamp '2024-01-01 00:00:00' > interval '1 day'", &[1, 3, 5]),
    ("date_trunc('day', at) = at", &[1]),
    ("to_timestamp(x) < at", &[1, 2, 3, 5]),
    ("cast(at at time zone 'America/Denver' as date) = day", &[1, 3]),
    ("coalesce(a, false)", &[1, 5]),
    ("nullif(x, 1) is null", &[1, 4]),
    ("greatest(x, y) = 2", &[1, 5]),
    ("-x < -1", &[3, 5]),
];

fn landing(more: &str) -> String {
    format!("description = \"Facts\"\n[source]\npath = \"facts/*.json\"\nformat = \"json\"\n[columns]\n{COLUMNS}{more}")
}

/// A project that uses each condition in every place.
fn asking(conditions: &[&str]) -> Lake {
    let mut files = vec![("tables/landing/facts.toml".to_owned(), landing(""))];
    for (i, condition) in conditions.iter().enumerate() {
        let check =
            format!("[[expectations]]\nname = \"holds\"\ncheck = \"\"\"{condition}\"\"\"\naction = \"quarantine\"\n");
        let grants =
            format!("[grants]\nsubjects = [\"id\"]\ngranted = \"\"\"{condition}\"\"\"\nlatest = [\"source_offset\"]\n");
        files.extend([
            (format!("tables/landing/landed_{i}.toml"), landing(&check)),
            (format!("tables/landing/grants_{i}.toml"), landing(&grants)),
            (format!("tables/trusted/derived_{i}.toml"), "description = \"D\"\n".to_owned()),
            (format!("tables/trusted/derived_{i}.sql"), format!("select id from facts where {condition}")),
            (format!("tables/trusted/kept_{i}.toml"), format!("description = \"K\"\n{check}")),
            (format!("tables/trusted/kept_{i}.sql"), "select * from facts".to_owned()),
            (
                format!("tables/trusted/consented_{i}.toml"),
                format!("description = \"C\"\n[consent]\nsubject = \"id\"\ngrants = \"grants_{i}\"\n"),
            ),
            (format!("tables/trusted/consented_{i}.sql"), format!("select id from grants_{i}")),
        ]);
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Lake::project(&files)
}

/// How many people have not consented by the record of consent.
fn refused(outcome: &SyncOutcome, table: &str) -> usize {
    match &of(outcome, table).problem {
        None => 0,
        Some(Problem::Failed(error)) => {
            let said = error.to_string();
            let number = said.split(" would hold rows of ").nth(1).and_then(|rest| rest.split(' ').next());
            number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{table}: {said}"))
        }
        Some(Problem::Skipped(above)) => panic!("{table} waits for {above}"),
    }
}

/// The result of each condition in every place, compared with the expected one.
async fn assert_agree(lake: &Lake, outcome: &SyncOutcome, conditions: &[(&str, Vec<String>)], records: usize) {
    for (i, (condition, expected)) in conditions.iter().enumerate() {
        for (door, sql) in [
            ("query", format!("select id from facts where {condition}")),
            ("derived table", format!("select id from derived_{i}")),
            ("expectation of a derived table", format!("select id from kept_{i}")),
            ("expectation of a landing table", format!("select id from landed_{i}")),
        ] {
            assert_eq!(lake.rows(&sql).await, *expected, "{door}: {condition}");
        }
        let rest = lake.rows(&format!("select id from kept_{i}_quarantine")).await.len();
        assert_eq!(rest, records - expected.len(), "quarantine of a derived table: {condition}");
        let refused = refused(outcome, &format!("consented_{i}"));
        assert_eq!(refused, records - expected.len(), "grant: {condition}");
    }
}

#[tokio::test]
async fn conditions_mean_the_same_at_every_door() {
    let conditions: Vec<&str> = CONDITIONS.iter().map(|(condition, _)| *condition).collect();
    let lake = asking(&conditions);
    lake.land("facts/a.json", FACTS.join("\n"));
    let outcome = lake.try_sync().await;
    let expected: Vec<(&str, Vec<String>)> =
        CONDITIONS.iter().map(|(c, ids)| (*c, ids.iter().map(ToString::to_string).collect())).collect();
    assert_agree(&lake, &outcome, &expected, FACTS.len()).await;
}

/// Random numbers that are the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn number(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 3 } else { 7 }) {
            0 | 1 => self.one(&["x", "y"]).to_owned(),
            2 => self.one(&["0", "1", "2", "-1", "null"]).to_owned(),
            3 => format!("coalesce({}, {})", self.number(depth - 1), self.number(depth - 1)),
            4 => format!("({} + {})", self.number(depth - 1), self.number(depth - 1)),
            5 => format!("case when {} then {} end", self.condition(depth - 1), self.number(depth - 1)),
            _ => format!("nullif({}, {})", self.number(depth - 1), self.number(depth - 1)),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.below(7) {
                0 => self.one(&["a", "b"]).to_owned(),
                1 => format!("x {} y", self.one(&["=", "<>", "<", ">="])),
                2 => format!("s {} t", self.one(&["=", "<>", "is distinct from", "is not distinct from"])),
                3 => format!("{} is {}null", self.one(&["a", "x", "s"]), self.one(&["", "not "])),
                4 => format!("x {}in ({}, 1, y)", self.one(&["", "not "]), self.one(&["0", "null", "2"])),
                5 => format!("f {} {}", self.one(&["<", ">"]), self.one(&["x", "0.5", "y"])),
                _ => format!("s like '{}'", self.one(&["a%", "_", "%b", "b"])),
            };
        }
        match self.below(9) {
            0 => format!("{} and {}", self.condition(depth - 1), self.condition(depth - 1)),
            1 => format!("{} or {}", self.condition(depth - 1), self.condition(depth - 1)),
            2 => format!("not {}", self.condition(depth - 1)),
            3 => format!("({}) is {}", self.condition(depth - 1), self.one(&["true", "not true", "false", "null"])),
            4 => format!("a is distinct from {} and {}", self.one(&["b", "true"]), self.condition(depth - 1)),
            5 => format!("b is not distinct from ({}) or {}", self.condition(depth - 1), self.condition(depth - 1)),
            6 => format!("{} between {} and {}", self.number(depth), self.number(1), self.number(1)),
            7 => format!("x <> 0 and 6 / x > {} and {}", self.below(4), self.condition(depth - 1)),
            _ => format!("{} {} {}", self.number(depth), self.one(&["=", "<", "is distinct from"]), self.number(1)),
        }
    }
}

const SCRIPT: &str = r"
import json, sys
try:
    import duckdb
except ImportError:
    sys.exit(77)
case = json.load(sys.stdin)
db = duckdb.connect()
db.execute('create table facts (id bigint, a boolean, b boolean, x bigint, y bigint, f double, s varchar, t varchar)')
db.executemany('insert into facts values (?, ?, ?, ?, ?, ?, ?, ?)', case['rows'])
answer = []
for condition in case['conditions']:
    # Its own division is of doubles.
    sql = 'select cast(id as varchar) from facts where ' + condition.replace('6 / x', '6 // x')
    answer.append(sorted(row[0] for row in db.execute(sql).fetchall()))
json.dump(answer, sys.stdout)
";

#[tokio::test]
async fn random_conditions_mean_what_duckdb_says_at_every_door() {
    let mut random = Random(std::env::var("FRONT_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_129));
    let conditions: Vec<String> = (0..40).map(|i| random.condition(1 + i % 3)).collect();
    let mut rows = Vec::new();
    for id in 0..24 {
        let mut any = |of: &[&str]| serde_json::from_str(random.one(of)).unwrap();
        let (truth, number, text) =
            (["true", "false", "null"], ["0", "1", "2", "3", "null"], ["\"a\"", "\"b\"", "\"ab\"", "null"]);
        let row: Vec<serde_json::Value> = vec![
            serde_json::json!(id),
            any(&truth),
            any(&truth),
            any(&number),
            any(&number),
            any(&["0.5", "1.0", "2.5", "null"]),
            any(&text),
            any(&text),
        ];
        rows.push(row);
    }
    let names = ["id", "a", "b", "x", "y", "f", "s", "t"];
    let record = |row: &Vec<serde_json::Value>| {
        let fields = names.iter().zip(row).map(|(name, value)| ((*name).to_owned(), value.clone()));
        serde_json::Value::Object(fields.collect()).to_string()
    };
    let input = serde_json::json!({ "rows": rows, "conditions": conditions });
    let answer: Result<Option<Vec<Vec<String>>>, _> = second::answered(SCRIPT, &input);
    let Some(answer) = answer.unwrap_or_else(|why| panic!("{why}: {conditions:#?}")) else { return };
    let lake = asking(&conditions.iter().map(String::as_str).collect::<Vec<_>>());
    lake.land("facts/a.json", rows.iter().map(record).collect::<Vec<_>>().join("\n"));
    let outcome = lake.try_sync().await;
    let expected: Vec<(&str, Vec<String>)> = conditions.iter().map(String::as_str).zip(answer).collect();
    assert_agree(&lake, &outcome, &expected, rows.len()).await;
}
