//! Every key with a valid value, with every value that its declaration calls wrong, with values of every other type, and left
//! out: what the reader and the schemas have to agree on.

use toml::{Table as Document, Value as Toml};

use super::columns::{FIELD, RESCUED as RESCUED_COLUMN};
use super::project::{CATALOG, GLUE, NOTIFY, PINS, RETENTION, TARGET};
use super::table::{CONSENT, EXPECTATION, GRANTS, RETENTION as OF_TABLE, SOURCE};
use super::{Absent, COLUMN, DEFAULTS, Key, PROJECT, Relation, Section, Seen, TABLE, Value};

/// A project of which one file is to be judged.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What is tried: `[source] path = 3`.
    pub name: String,
    /// The schema of that file: `project` or `table`.
    pub schema: &'static str,
    /// Its path.
    pub file: &'static str,
    /// All files of the project, by their paths.
    pub files: Vec<(&'static str, String)>,
    /// The fault of it: the message, and if it is declared, what is expected. `None` if it is sound.
    pub fault: Option<(String, Option<String>)>,
    /// Whether the schema refuses it, too.
    pub is_seen: bool,
}

const PROJECT_TEXT: &str = "name = \"my_project\"\nzones = [\"landing\", \"trusted\", \"curated\"]\n\
    [targets.dev]\nlanding = \"landing\"\nwarehouse = \"warehouse\"\n";
const LANDING: &str = "description = \"Orders\"\n[source]\npath = \"orders/*.json\"\nformat = \"json\"\n\
    [columns]\nemail = \"string\"\namount = \"double\"\nconsented = \"long\"\nupdated = \"long\"\n\
    [grants]\nsubjects = [\"email\"]\ngranted = \"consented is not null\"\nlatest = [\"updated\"]\n";
const DERIVED: &str = "description = \"People\"\n";
const QUERY: &str = "select email, amount from orders";

const PROJECT_FILE: &str = "stedi-delta.toml";
const LANDING_FILE: &str = "tables/landing/orders.toml";
const DERIVED_FILE: &str = "tables/trusted/people.toml";
const QUERY_FILE: &str = "tables/trusted/people.sql";

/// Where a section stands in one of these files, and what it has there.
struct Site {
    section: &'static Section,
    file: &'static str,
    path: &'static [&'static str],
    base: &'static str,
}

const fn site(
    section: &'static Section,
    file: &'static str,
    path: &'static [&'static str],
    base: &'static str,
) -> Site {
    Site { section, file, path, base }
}

static SITES: [Site; 20] = [
    site(&PROJECT, PROJECT_FILE, &[], ""),
    site(&DEFAULTS, PROJECT_FILE, &["defaults"], ""),
    site(&PINS, PROJECT_FILE, &["pins"], ""),
    site(&RETENTION, PROJECT_FILE, &["retention"], ""),
    site(&NOTIFY, PROJECT_FILE, &["notify"], "command = [\"tell\"]\n"),
    site(&TARGET, PROJECT_FILE, &["targets", "dev"], "landing = \"landing\"\nwarehouse = \"warehouse\"\n"),
    site(&CATALOG, PROJECT_FILE, &["targets", "dev", "catalog"], ""),
    site(&GLUE, PROJECT_FILE, &["targets", "dev", "catalog", "glue"], ""),
    site(&TABLE, LANDING_FILE, &[], ""),
    site(&TABLE, DERIVED_FILE, &[], ""),
    site(&OF_TABLE, LANDING_FILE, &["retention"], "history = \"1 day\"\n"),
    site(&OF_TABLE, DERIVED_FILE, &["retention"], "history = \"1 day\"\n"),
    site(&SOURCE, LANDING_FILE, &["source"], "path = \"orders/*.json\"\nformat = \"json\"\n"),
    site(&COLUMN, LANDING_FILE, &["columns", "note"], "type = \"string\"\n"),
    site(&FIELD, LANDING_FILE, &["columns", "detail", "fields", "city"], "type = \"string\"\n"),
    site(&RESCUED_COLUMN, LANDING_FILE, &["columns", "_rescued"], "type = \"string\"\n"),
    site(&GRANTS, LANDING_FILE, &["grants"], "subjects = [\"email\"]\ngranted = \"true\"\nlatest = [\"updated\"]\n"),
    site(&CONSENT, DERIVED_FILE, &["consent"], "subject = \"email\"\n"),
    site(
        &EXPECTATION,
        LANDING_FILE,
        &["expectations"],
        "name = \"some\"\ncheck = \"amount is not null\"\naction = \"fail\"\n",
    ),
    site(
        &EXPECTATION,
        DERIVED_FILE,
        &["expectations"],
        "name = \"some\"\ncheck = \"amount is not null\"\naction = \"fail\"\n",
    ),
];

/// Keys of which the other ones of their section have to say something else.
const COMPANIONS: [(&str, &str, &str); 3] =
    [("format", "type", "\"timestamp\""), ("fields", "type", "\"struct\""), ("kms_key_id", "sse", "\"aws:kms\"")];

/// Keys of a landing table only, and of a derived table only.
const OF_LANDING: [&str; 3] = ["source", "columns", "grants"];
const OF_DERIVED: [&str; 5] = ["refresh", "consent", "primary_key", "cluster_by", "allow"];

/// All of them.
#[must_use]
pub fn samples() -> Vec<Sample> {
    let mut found = Vec::new();
    for site in &SITES {
        found.push(site.sample("as it is", &site.base(), None, true));
        let mut unknown = site.base();
        unknown.insert("zzz".into(), Toml::Integer(1));
        found.push(site.sample("zzz = 1", &unknown, Some(("unknown key `zzz`".into(), None)), true));
        for key in site.section.keys.iter().filter(|key| site.has(key)) {
            site.key(key, &mut found);
        }
        site.relations(&mut found);
        if !site.section.example.is_empty() {
            found.push(site.example());
        }
    }
    found
}

impl Site {
    /// Whether a key is tried here: a table is a landing table or a derived one.
    fn has(&self, key: &Key) -> bool {
        !std::ptr::eq(self.section, &raw const TABLE)
            || match self.file {
                LANDING_FILE => !OF_DERIVED.contains(&key.name),
                _ => !OF_LANDING.contains(&key.name),
            }
    }

    fn text(&self) -> &'static str {
        match self.file {
            PROJECT_FILE => PROJECT_TEXT,
            LANDING_FILE => LANDING,
            _ => DERIVED,
        }
    }

    /// The section without what is tried.
    fn base(&self) -> Document {
        parsed(if self.path.is_empty() { self.text() } else { self.base })
    }

    fn key(&self, key: &Key, found: &mut Vec<Sample>) {
        let base = || {
            let mut base = self.base();
            for (_, other, value) in COMPANIONS.iter().filter(|(of, other, _)| *of == key.name && self.declares(other))
            {
                base.insert((*other).into(), value_of(value));
            }
            base
        };
        let with = |value: &str| {
            let mut section = base();
            section.insert(key.name.into(), value_of(value));
            section
        };
        for value in valid(key) {
            found.push(self.sample(&format!("{} = {value}", key.name), &with(&value), None, true));
        }
        for wrong in key.wrong {
            let fault = Some((wrong.says.to_owned(), Some(wrong.expected.to_owned())));
            let is_seen = wrong.seen == Seen::BySchema;
            found.push(self.sample(&format!("{} = {}", key.name, wrong.value), &with(wrong.value), fault, is_seen));
        }
        let message = match key.value {
            Value::Limit => format!("`{}` is neither a number nor a share", key.name),
            _ => format!("`{}` has the wrong type", key.name),
        };
        for value in of_other_types(&key.value) {
            let fault = Some((message.clone(), None));
            found.push(self.sample(&format!("{} = {value}", key.name), &with(value), fault, true));
        }
        if matches!(key.absent, Absent::Required) {
            let mut section = base();
            section.remove(key.name);
            let fault = Some((format!("`{}` is missing", key.name), Some(format!("add `{}`", key.line()))));
            found.push(self.sample(&format!("without {}", key.name), &section, fault, true));
        }
    }

    fn declares(&self, key: &str) -> bool {
        self.section.keys.iter().any(|declared| declared.name == key)
    }

    /// The example of columns, in a table without further ones.
    fn example(&self) -> Sample {
        let source = "path = \"o/*.json\"\nformat = \"json\"\non_new_field = \"rescue\"\n";
        let mut document = parsed("description = \"Orders\"\n");
        document.insert("source".into(), Toml::Table(parsed(source)));
        document.extend(parsed(self.section.example));
        let files = vec![(PROJECT_FILE, PROJECT_TEXT.to_owned()), (LANDING_FILE, document.to_string())];
        let name = format!("the example of {}", self.section.header);
        Sample { name, schema: "table", file: LANDING_FILE, files, fault: None, is_seen: true }
    }

    /// Keys that do not go together.
    fn relations(&self, found: &mut Vec<Sample>) {
        let is = |file| self.file == file;
        for relation in self.section.relations {
            let (section, name) = match relation {
                Relation::Needs("source", "columns") if is(LANDING_FILE) => {
                    let mut section = self.base();
                    section.remove("columns");
                    section.remove("grants");
                    (section, "`columns` is missing")
                }
                Relation::Needs("grants", "source") if is(DERIVED_FILE) => {
                    let mut section = self.base();
                    section.insert("grants".into(), parsed(LANDING)["grants"].clone());
                    (section, "`grants` belongs to a landing table")
                }
                Relation::Excludes("refresh", "source") if is(LANDING_FILE) => {
                    let mut section = self.base();
                    section.insert("refresh".into(), value_of("\"full\""));
                    (section, "`refresh` belongs to a derived table")
                }
                Relation::Excludes("allow", "source") if is(LANDING_FILE) => {
                    let mut section = self.base();
                    section.insert("allow".into(), value_of("[]"));
                    (section, "`allow` belongs to a derived table")
                }
                Relation::Excludes("consent", "source") if is(LANDING_FILE) => {
                    let mut section = self.base();
                    section.insert("consent".into(), value_of("{ subject = \"email\" }"));
                    (section, "`consent` belongs to a derived table")
                }
                Relation::Needs("kms_key_id", "sse") => {
                    let mut section = self.base();
                    section.insert("kms_key_id".into(), value_of("\"alias/lake\""));
                    (section, "`kms_key_id` has no use here")
                }
                _ => continue,
            };
            found.push(self.sample(&format!("{relation:?}"), &section, Some((name.to_owned(), None)), true));
        }
    }

    /// The project in which this section is `section`.
    fn sample(&self, name: &str, section: &Document, fault: Option<(String, Option<String>)>, is_seen: bool) -> Sample {
        let mut document = parsed(self.text());
        let is_list = std::ptr::eq(self.section, &raw const EXPECTATION);
        match self.path {
            [] => document = section.clone(),
            [leaf] if is_list => {
                document.insert((*leaf).into(), Toml::Array(vec![Toml::Table(section.clone())]));
            }
            path => put(&mut document, path, section),
        }
        if self.path == ["columns", "_rescued"] {
            put(
                &mut document,
                &["source"],
                &parsed("path = \"o/*.json\"\nformat = \"json\"\non_new_field = \"rescue\"\n"),
            );
        }
        let text = document.to_string();
        let mut files = vec![
            (PROJECT_FILE, PROJECT_TEXT.to_owned()),
            (LANDING_FILE, LANDING.to_owned()),
            (DERIVED_FILE, DERIVED.to_owned()),
            (QUERY_FILE, QUERY.to_owned()),
        ];
        files.iter_mut().filter(|(path, _)| *path == self.file).for_each(|(_, old)| text.clone_into(old));
        let schema = if self.file == PROJECT_FILE { "project" } else { "table" };
        let name = format!("{} {} {name}", self.file, self.section.header);
        Sample { name, schema, file: self.file, files, fault, is_seen }
    }
}

/// Puts a table at a path; a struct on the way has its type.
fn put(document: &mut Document, path: &[&str], section: &Document) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        document.insert((*first).into(), Toml::Table(section.clone()));
        return;
    }
    if *first == "fields" {
        document.insert("type".into(), value_of("\"struct\""));
    }
    let below = document.entry(*first).or_insert_with(|| Toml::Table(Document::new()));
    if let Toml::Table(below) = below {
        put(below, rest, section);
    }
}

fn parsed(text: &str) -> Document {
    toml::from_str(text).unwrap_or_default()
}

/// A value as TOML; a text that is none stands for itself.
fn value_of(text: &str) -> Toml {
    let document = parsed(&format!("value = {text}"));
    document.get("value").cloned().unwrap_or_else(|| Toml::String(format!("not TOML: {text}")))
}

/// Values of a key that are sound.
fn valid(key: &Key) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    if !matches!(key.value, Value::Table(_) | Value::Tables(_) | Value::Map(_)) {
        found.push(key.example.to_owned());
    }
    found.extend(key.default().map(str::to_owned));
    let more: &[&str] = match key.value {
        Value::Boolean => &["true", "false"],
        Value::Size => &["1024", "\"64MiB\"", "\"100\"", "\" 2 tb \""],
        Value::Duration => &["\"0s\"", "\"500 ms\"", "\"1d\"", "\"30 days\"", "\"1 hour\""],
        Value::Limit => &["0", "\"0.25%\"", "\"100 %\""],
        Value::OneOrMore => &["\"a\"", "[\"b\"]"],
        Value::Root => &["\"s3://bucket/folder\"", "\"file:///srv/lake\"", "\"a b/c\""],
        Value::Location => &["\"file:///srv/t\"", "\"elsewhere/t\""],
        Value::Pattern => &["\"a/**/*.json\"", "\"*.json.gz\"", "\"..a/b..c/*\""],
        Value::WithVariables(Value::Words(words)) => return found.into_iter().chain(quoted(words.words())).collect(),
        Value::Words(words) => return found.into_iter().chain(quoted(words.words())).collect(),
        _ => &[],
    };
    found.extend(more.iter().map(|text| (*text).to_owned()));
    found
}

fn quoted(words: Vec<(&'static str, &'static str)>) -> impl Iterator<Item = String> {
    words.into_iter().map(|(word, _)| format!("\"{word}\""))
}

/// A value of each type that a key does not take.
fn of_other_types(value: &Value) -> Vec<&'static str> {
    let mut found = vec!["1.5", "true", "2026-11-20"];
    let (text, number, list, table) = ("\"x\"", "7", "[7]", "{ x = 7 }");
    found.extend(match value {
        Value::Size | Value::Limit => vec![list, table],
        Value::List { .. } | Value::Arguments => vec![text, number, table],
        Value::OneOrMore => vec![number, table],
        Value::Table(_) | Value::Map(_) => vec![text, number, list],
        Value::Tables(_) => vec![text, number, table],
        Value::TypeOr(_) => vec![number, list],
        Value::Boolean => vec![text, number, list, table],
        _ => vec![number, list, table],
    });
    let accepts_true = matches!(value, Value::Boolean);
    found.retain(|text| !(accepts_true && *text == "true"));
    found
}
