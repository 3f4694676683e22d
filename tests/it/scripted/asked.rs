//! What commands print, in the form in which `tests/oracle/versions.py` answers the same questions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::script::{Cut, GUARDED, LANDING, RENAMED, Script, VACUUMED};
use crate::support::Ran;
use crate::support::second::answered;

const ORACLE: &str = include_str!("../../oracle/versions.py");

/// A command, the question that it answers, and its answer.
struct Asked {
    command: String,
    question: Value,
    answer: Value,
}

/// Commands on the lake, and their answers.
pub(super) struct Commands<'s> {
    script: &'s Script,
    asked: RefCell<Vec<Asked>>,
    spent: RefCell<BTreeMap<String, (u32, Duration)>>,
}

impl<'s> Commands<'s> {
    pub(super) fn on(script: &'s Script) -> Self {
        Self { script, asked: RefCell::default(), spent: RefCell::default() }
    }

    /// Runs a command.
    pub(super) fn run(&self, line: &[&str]) -> Ran {
        let began = Instant::now();
        let ran = self.script.lake.program(line);
        let verb = line[..if line[0] == "audit" { 2 } else { 1 }].join(" ");
        let mut spent = self.spent.borrow_mut();
        let of = spent.entry(verb).or_default();
        *of = (of.0 + 1, of.1 + began.elapsed());
        ran
    }

    fn document(&self, line: &[&str], codes: &[i32]) -> Value {
        let ran = self.run(&[line, &["--format", "json"]].concat());
        assert!(codes.contains(&ran.code), "{line:?}: {} {}{}", ran.code, ran.out, ran.err);
        ran.json()
    }

    /// The rows of a command, or `gone` if it says that the version is.
    fn lines(&self, line: &[&str]) -> Value {
        let ran = self.run(&[line, &["--format", "ndjson"]].concat());
        if ran.code != 0 {
            assert!(ran.err.contains("vacuumed"), "{line:?}: {}", ran.err);
            return "gone".into();
        }
        ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
    }

    fn answer(&self, command: String, question: Value, answer: Value) {
        self.asked.borrow_mut().push(Asked { command, question, answer });
    }

    pub(super) fn history(&self, table: &str) {
        let document = self.document(&["history", table, "-n", "100000", "--all"], &[0]);
        let is_derived = !LANDING.contains(&table);
        let version = |of: &Value| {
            let count = |key: &str| of[key].as_u64();
            let [inserted, updated, deleted] = ["rows_inserted", "rows_updated", "rows_deleted"].map(count);
            json!({
                "version": of["version"], "committed_at": of["committed_at"], "operation": of["operation"],
                "files_added": of["files_added"], "files_removed": of["files_removed"],
                "sources": if is_derived { of["sources"].clone() } else { json!({}) },
                "came": inserted.zip(updated).map(|(a, b)| a + b), "went": deleted.zip(updated).map(|(a, b)| a + b),
            })
        };
        let versions: Vec<Value> = document["versions"].as_array().unwrap().iter().rev().map(version).collect();
        self.answer(format!("history {table}"), json!({"ask": "history", "table": table}), versions.into());
    }

    pub(super) fn show(&self, table: &str, version: u64) {
        let name = format!("{table}@v{version}");
        let rows = self.lines(&["show", &name, "-n", "1000000", "--reveal"]);
        let question = json!({"ask": "rows", "table": table, "version": version});
        self.answer(format!("show {name}"), question, rows);
    }

    /// A query of one version, or of a version by its time.
    pub(super) fn version(&self, named: &str, table: &str, version: u64) {
        let sql = format!("select * from {named}");
        let rows = self.lines(&["query", &sql]);
        self.answer(sql, json!({"ask": "rows", "table": table, "version": version}), rows);
    }

    /// A query over the whole lake as of a time.
    pub(super) fn as_of(&self, time: &str, sql: &str, at: &BTreeMap<String, u64>) {
        let rows = self.lines(&["query", sql, "--as-of", time]);
        // Of other tables the files may be gone.
        let read: BTreeMap<&String, &u64> = at.iter().filter(|(table, _)| sql.contains(table.as_str())).collect();
        self.answer(format!("--as-of {time}: {sql}"), json!({"ask": "query", "sql": sql, "at": read}), rows);
    }

    pub(super) fn diff(&self, table: &str, from: u64, to: u64) {
        let (old, new) = (format!("v{from}"), format!("v{to}"));
        let line = ["diff", table, "--from", &old, "--to", &new];
        let rows = self.lines(&[&line[..], &["--reveal"]].concat());
        if let Some(rows) = rows.as_array() {
            let counted = self.document(&[&line[..], &["--summary"]].concat(), &[0]);
            for (op, key) in [("insert", "rows_inserted"), ("update", "rows_updated"), ("delete", "rows_deleted")] {
                let lines = rows.iter().filter(|line| line["op"] == op).count();
                assert_eq!(counted[key], lines, "{line:?} {key}");
            }
        }
        self.answer(line.join(" "), json!({"ask": "diff", "table": table, "old": from, "new": to}), rows);
    }

    /// The counts of all tables between two cuts.
    pub(super) fn lake_diff(&self, from: &Cut, to: &Cut) {
        let line = ["diff", "--lake", "--from", &from.time(), "--to", &to.time()];
        let document = self.document(&line, &[0]);
        for (table, old) in &from.versions {
            let new = to.versions[table];
            let found = document["tables"].as_array().unwrap().iter().find(|of| of["table"] == table.as_str()).unwrap();
            assert_eq!((&found["version_from"], &found["version_to"]), (&(*old).into(), &new.into()), "{table}");
            let [inserted, updated, deleted] = ["rows_inserted", "rows_updated", "rows_deleted"].map(|key| &found[key]);
            let answer = json!({"insert": inserted, "update": updated, "delete": deleted});
            let question = json!({"ask": "counts", "table": table, "old": old, "new": new});
            self.answer(format!("diff --lake: {table} v{old} -> v{new}"), question, answer);
        }
    }

    /// The verdict of every version of every table.
    pub(super) fn consent(&self) -> Value {
        let document = self.document(&["audit", "consent", "--all-versions"], &[3]);
        for (_, table, ..) in GUARDED {
            let of_table = |of: &&Value| of["table"] == table;
            let version = |of: &Value| {
                let mut of = of.as_object().unwrap().clone();
                of.retain(|key, _| !["table", "because"].contains(&key.as_str()));
                // Of an unknown one, what is known is not said to be all.
                if of["verdict"] == "unknown" {
                    of.retain(|key, _| ["version", "grants_version", "verdict"].contains(&key.as_str()));
                }
                Value::Object(of)
            };
            let versions: Vec<Value> =
                document["versions"].as_array().unwrap().iter().filter(of_table).map(version).collect();
            self.answer(format!("audit consent {table}"), json!({"ask": "consent", "table": table}), versions.into());
        }
        document
    }

    pub(super) fn membership(&self, table: &str, column: &str, value: &str) {
        let subject = format!("{column}={value}");
        let line = ["audit", "membership", table, "--subject", &subject, "--all-versions", "-n", "0"];
        let document = self.document(&line, &[0]);
        let mut versions = document["versions"].clone();
        for version in versions.as_array_mut().unwrap() {
            version.as_object_mut().unwrap().remove("committed_at");
        }
        if !document["unknown"].is_null() {
            versions = "gone".into();
        }
        let question = json!({"ask": "membership", "table": table, "column": column, "value": value});
        self.answer(line[..3].join(" "), question, versions);
    }

    pub(super) fn lineage(&self, table: &str, version: u64) {
        let name = format!("{table}@v{version}");
        let ran = self.run(&["lineage", &name, "--format", "json"]);
        if ran.code != 0 {
            assert!(table == VACUUMED && ran.out.contains("vacuumed"), "{name}: {}{}", ran.out, ran.err);
            return;
        }
        let document = ran.json();
        let tables = document["tables"].as_array().unwrap();
        let named = |at: &Value| {
            let table = &tables[usize::try_from(at.as_u64().unwrap()).unwrap()];
            format!("{}@v{}", table["table"].as_str().unwrap(), table["version"])
        };
        let edge = |edge: &Value| {
            let arrow = if edge["consent_only"] == true { "~" } else { ">" };
            format!("{} {arrow} {}", named(&edge["from"]), named(&edge["to"]))
        };
        let edges: BTreeSet<String> = document["edges"].as_array().unwrap().iter().map(edge).collect();
        let files: Map<String, Value> = tables
            .iter()
            .filter_map(|table| {
                let files = table["files"].as_array()?.iter();
                let records =
                    files.map(|file| (file["source_file"].as_str().unwrap().to_owned(), file["records"].clone()));
                Some((named(&table["id"]), Value::Object(records.collect())))
            })
            .collect();
        let question = json!({"ask": "lineage", "table": table, "version": version});
        self.answer(format!("lineage {name}"), question, json!({"edges": edges, "files": files}));
    }

    /// The verdict of a version.
    pub(super) fn verify(&self, table: &str, version: u64) {
        let name = format!("{table}@v{version}");
        let document = self.document(&["audit", "verify", &name], &[0, 3]);
        let of = &document["tables"][0];
        assert!(of["error"].is_null(), "{name}: {of}");
        // The second engine knows no digests, by which a foreign row is found also where nothing can be recomputed.
        let is_by_digest = of["rows_missing"].is_null() && of["digest"]["verdict"] == "different";
        let verdict = if is_by_digest { json!("unknown") } else { of["verdict"].clone() };
        let answer = json!({"verdict": verdict, "missing": of["rows_missing"], "extra": of["rows_extra"]});
        self.answer(
            format!("audit verify {name}"),
            json!({"ask": "verify", "table": table, "version": version}),
            answer,
        );
    }

    /// Compares all answers; returns those that were compared by kind of question, empty if there is no second engine.
    pub(super) fn compared(self) -> BTreeMap<String, Vec<Value>> {
        for (verb, (times, spent)) in self.spent.borrow().iter() {
            eprintln!("{times:>4} {verb:<18} {:>6.1} s", spent.as_secs_f64());
        }
        let asked = self.asked.into_inner();
        let questions: Vec<&Value> = asked.iter().map(|asked| &asked.question).collect();
        let lake = &self.script.lake;
        let mut tables = Map::new();
        for (zone, name) in LANDING.iter().map(|n| ("landing", *n)).chain(GUARDED.iter().map(|(z, n, ..)| (*z, *n))) {
            let mut about = json!({"folder": lake.warehouse().join(zone).join(name)});
            let sql = lake.root().join("tables").join(zone).join(name).with_extension("sql");
            if let Ok(sql) = std::fs::read_to_string(sql) {
                about["sql"] = sql.into();
            }
            if let Some((_, _, subject, names)) = GUARDED.iter().find(|(_, guarded, ..)| *guarded == name) {
                (about["subject"], about["names"]) = ((*subject).into(), (*names).into());
            }
            if ["customer_trusted", "customers_curated"].contains(&name) {
                about["key"] = json!(["email"]);
            }
            tables.insert(name.to_owned(), about);
        }
        let grants = json!({
            "table": "customer_landing", "subjects": ["email", "serialnumber"],
            "granted": "sharewithresearchasofdate is not null", "latest": ["lastupdatedate"]
        });
        let document = json!({"tables": tables, "grants": grants, "renames": [RENAMED], "questions": questions});
        let began = Instant::now();
        let Some(expected) = answered::<Vec<Value>>(ORACLE, &document).unwrap() else { return BTreeMap::new() };
        eprintln!("DuckDB answered {} questions in {:.1} s", expected.len(), began.elapsed().as_secs_f64());
        assert_eq!(expected.len(), asked.len());
        let mut compared: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (Asked { command, question, mut answer }, mut expected) in asked.into_iter().zip(expected) {
            if question["ask"] == "history" {
                uncounted(&mut answer, &mut expected);
            }
            let (found, expected) = (sorted(answer), sorted(expected));
            assert!(found == expected, "{command}\n{}", different(&found, &expected));
            compared.entry(question["ask"].as_str().unwrap().to_owned()).or_default().push(found);
        }
        compared
    }
}

/// Rows of a commit are compared where it counts them and its files are there.
fn uncounted(found: &mut Value, expected: &mut Value) {
    for (found, expected) in found.as_array_mut().unwrap().iter_mut().zip(expected.as_array_mut().unwrap()) {
        for key in ["came", "went"] {
            if found[key].is_null() || expected[key].is_null() {
                (found[key], expected[key]) = (Value::Null, Value::Null);
            }
        }
    }
}

/// A list in an order of its own, without fields that are NULL.
fn sorted(mut answer: Value) -> Value {
    if let Some(list) = answer.as_array_mut() {
        list.iter_mut().for_each(without_null);
        list.sort_by_key(ToString::to_string);
    }
    answer
}

fn without_null(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.values_mut().for_each(without_null);
        fields.retain(|_, value| !value.is_null());
    }
}

fn different(found: &Value, expected: &Value) -> String {
    let (Some(found), Some(expected)) = (found.as_array(), expected.as_array()) else {
        return format!("found    {found}\nexpected {expected}");
    };
    let only = |here: &[Value], there: &[Value]| {
        let only: Vec<String> = here.iter().filter(|of| !there.contains(of)).take(3).map(ToString::to_string).collect();
        only.join("\n         ")
    };
    let sizes = format!("{} found, {} expected", found.len(), expected.len());
    format!("{sizes}\nfound    {}\nexpected {}", only(found, expected), only(expected, found))
}
