//! The checker from texts to project or faults, with literal messages.

mod below;
mod elsewhere;
mod new_fields;
mod queries;
mod sources;
mod toml;
mod undetermined;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::name::TableName;
use crate::source::{Fault, SourceFile};

const PROJECT: &str = r#"name = "demo"
zones = ["landing", "trusted", "curated"]
[targets.dev]
landing = "in"
warehouse = "out"
"#;

const CUSTOMER: &str = r#"description = "Customers"
[source]
path = "customer/*.json"
format = "json"
[columns]
email = { type = "string", classification = "pii", description = "ResolvedTarget" }
serialnumber = "string"
birthday = "date"
updated = "long"
shares = "long"
[grants]
subjects = ["email", "serialnumber"]
granted = "shares is not null"
latest = ["updated"]
"#;

const READING: &str = r#"description = "Readings"
[source]
path = "reading/**/*.json"
format = "json"
min_age = "5m"
on_overwrite = "replace"
[columns]
timestamp = "bigint"
user = { type = "string", classification = "pii", description = "Who" }
x = { type = "double", nullable = false }
"#;

const TRUSTED: &str = "description = \"Trusted\"\n";

/// A project of these files on top of the usual ones; an empty text removes a usual file.
fn files(changes: &[(&str, &str)]) -> Vec<Arc<SourceFile>> {
    let mut files = vec![
        ("stedi-delta.toml", PROJECT),
        ("tables/landing/customer_landing.toml", CUSTOMER),
        ("tables/landing/reading_landing.toml", READING),
    ];
    for (path, text) in changes {
        files.retain(|(p, _)| p != path);
        files.push((path, text));
    }
    files.retain(|(_, text)| *text != "-");
    files.iter().map(|(path, text)| Arc::new(SourceFile { path: path.into(), text: (*text).into() })).collect()
}

fn checked(changes: &[(&str, &str)]) -> Result<Project, Vec<Fault>> {
    project::check(Path::new("/p"), &files(changes))
}

/// `path:line:column message | label | help` of each fault.
fn faults(changes: &[(&str, &str)]) -> Vec<String> {
    let Err(found) = checked(changes) else { return Vec::new() };
    found.iter().map(line).collect()
}

fn line(fault: &Fault) -> String {
    let place = fault.place.as_ref().map_or(String::new(), |p| {
        let (line, column) = p.line_column();
        format!("{}:{line}:{column} ", p.file.path.file_name().unwrap().to_string_lossy())
    });
    let help = fault.help.as_ref().map(|h| format!(" | {h}")).unwrap_or_default();
    format!("{place}{} | {}{help}", fault.message, fault.label)
}

/// A derived table `t` with this query and these lines in its definition.
fn derived(sql: &str, more: &str) -> Result<Project, Vec<Fault>> {
    let toml = format!("{TRUSTED}{more}");
    checked(&[("tables/trusted/t.toml", &toml), ("tables/trusted/t.sql", sql)])
}

fn table<'a>(project: &'a Project, name: &str) -> &'a Table {
    project.table(&TableName::parse(name).unwrap()).unwrap()
}

/// `name:type`, `!` if not nullable, `*` if values are personal.
fn columns(table: &Table) -> Vec<String> {
    let mark = |yes, mark| if yes { mark } else { "" };
    let column =
        |c: &Column| format!("{}:{}{}{}", c.name, c.column_type.delta_name(), mark(!c.nullable, "!"), mark(c.pii, "*"));
    table.columns.iter().map(column).collect()
}

#[test]
fn a_sound_project_says_what_its_files_say() {
    let project = format!(
        "{PROJECT}database = \"lake\"\n[targets.dev.catalog.glue]\nregion = \"eu-central-1\"\n\
         [defaults]\nmemory_limit = \"512 MB\"\ntarget_file_size = 65536\nspill_folder = \"s\"\n\
         auto_optimize = false\n"
    );
    let toml = "description = \"Latest\"\ntags = [\"daily\"]\nrefresh = \"incremental\"\nprimary_key = [\"email\"]\n\
        cluster_by = [\"updated\"]\nauto_optimize = true\nlocation = \"s3://b/t\"\n[columns]\nupdated = { type = \"bigint\", description = \"When\" }\n\
        [consent]\nsubject = \"email\"\n[[expectations]]\nname = \"recent\"\ncheck = \"updated > 0\"\naction = \"warn\"\n";
    let sql = "-- a comment\nselect Email, max(updated) as updated from customer_landing group by email;\n";
    let project = checked(&[
        ("stedi-delta.toml", &project),
        ("tables/curated/a.toml", toml),
        ("tables/curated/a.sql", sql),
        ("tables/trusted/z.toml", TRUSTED),
        ("tables/trusted/z.sql", "select r.user, r.x, a.email from reading_landing r join a on a.email = r.user"),
        ("migrations/0002_later.sql", "alter"),
        ("migrations/0001_first.sql", "alter"),
    ])
    .unwrap();
    assert_eq!((project.name.as_str(), project.default_target.as_str()), ("demo", "dev"));
    assert_eq!((project.memory_limit, project.target_file_size), (512 << 20, 65536));
    let says = |name: &str| project.tables.iter().find(|t| t.name.as_str() == name).map(|t| t.auto_optimize);
    assert_eq!((project.auto_optimize, says("a"), says("z")), (false, Some(Some(true)), Some(None)));
    assert_eq!(project.spill_folder.as_deref(), Some(project.root.join("s").as_path()));
    let dev = &project.targets["dev"];
    assert_eq!((dev.landing.as_str(), dev.warehouse.as_str(), dev.database.as_str()), ("in", "out", "lake"));
    assert_eq!(dev.glue.as_ref().unwrap().region.as_deref(), Some("eu-central-1"));
    let migrations: Vec<_> = project.migrations.iter().map(|m| (m.number, m.label.as_str())).collect();
    assert_eq!(migrations, [(1, "first"), (2, "later")]);
    let names: Vec<_> = project.tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["customer_landing", "reading_landing", "a", "z"], "sources first, then zone, then name");

    let reading = table(&project, "reading_landing");
    assert_eq!(
        columns(reading),
        ["timestamp:long", "user:string*", "x:double!", "source_file:string!", "source_offset:long!"],
        "in the order of the text"
    );
    let landing = reading.landing().unwrap();
    assert_eq!(landing.min_age, Some(std::time::Duration::from_secs(300)));
    assert_eq!(landing.on_overwrite, OnOverwrite::Replace);
    assert_eq!(table(&project, "customer_landing").landing().unwrap().grants.as_ref().unwrap().subjects.len(), 2);

    let a = table(&project, "a");
    assert_eq!(columns(a), ["email:string!*", "updated:long"], "a key holds no NULL");
    assert_eq!((a.columns[0].description.as_str(), a.columns[1].description.as_str()), ("ResolvedTarget", "When"));
    assert_eq!((a.tags.as_slice(), a.location.as_deref()), (&["daily".to_owned()][..], Some("s3://b/t")));
    let consent = a.consent.as_ref().unwrap();
    assert_eq!((consent.grants.as_str(), consent.names.as_str()), ("customer_landing", "email"));
    let derived = a.derived().unwrap();
    assert_eq!(derived.refresh, Policy::Incremental);
    assert_eq!(
        derived.canonical_sql, "SELECT email, max(updated) AS updated FROM customer_landing GROUP BY email",
        "case, layout and comments do not matter"
    );
    let sources: Vec<_> = table(&project, "z").derived().unwrap().sources.iter().map(TableName::as_str).collect();
    assert_eq!(sources, ["reading_landing", "a"]);
}

#[test]
fn a_quarantining_expectation_splits_a_table_in_two() {
    let more = "primary_key = [\"user\"]\nlocation = \"t_here\"\n[consent]\nsubject = \"user\"\nnames = \"email\"\n\
        [[expectations]]\nname = \"a\"\ncheck = \"x > 0 or x < -1\"\naction = \"quarantine\"\n\
        [[expectations]]\nname = \"b\"\ncheck = \"timestamp is not null\"\naction = \"quarantine\"\n\
        [[expectations]]\nname = \"c\"\ncheck = \"x < 9\"\naction = \"warn\"\n";
    let sql = "with r as (select * from reading_landing) select user, timestamp, x from r order by x -- end";
    let toml = format!("{TRUSTED}{more}");
    let project = checked(&[
        ("tables/trusted/t.toml", &toml),
        ("tables/trusted/t.sql", sql),
        ("tables/trusted/u.toml", TRUSTED),
        ("tables/trusted/u.sql", "select count(*) as n from t_quarantine"),
    ])
    .unwrap();
    let names: Vec<_> = project.tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["customer_landing", "reading_landing", "t", "t_quarantine", "u"]);
    let (t, q) = (table(&project, "t"), table(&project, "t_quarantine"));
    let filter = |of: &Table| of.derived().unwrap().plan.to_string().lines().next().unwrap().to_owned();
    let all = "(r.x > CAST(Int64(0) AS Float64) OR r.x < CAST(Int64(-1) AS Float64)) AND r.timestamp IS NOT NULL";
    assert_eq!(filter(t), format!("Filter: {all}"));
    assert_eq!(filter(q), format!("Filter: {all} IS NOT TRUE"));
    let of_all = "((x > 0 or x < -1) and (timestamp is not null)) is not true";
    assert!(q.derived().unwrap().canonical_sql.ends_with(of_all), "{}", q.derived().unwrap().canonical_sql);
    assert_eq!(q.derived().unwrap().quarantine_of.as_ref(), Some(&t.name));
    assert_eq!(
        (columns(t), columns(q)),
        (
            vec!["user:string!*".to_owned(), "timestamp:long".into(), "x:double".into()],
            vec!["user:string*".to_owned(), "timestamp:long".into(), "x:double".into()],
        )
    );
    assert_eq!((t.expectations.len(), q.expectations.len(), q.primary_key.len()), (3, 0, 0));
    assert_eq!(q.consent.as_ref().unwrap().names, "email");
    assert_eq!(q.location.as_deref(), Some("t_here_quarantine"));
    let sources: Vec<_> = table(&project, "u").derived().unwrap().sources.iter().map(TableName::as_str).collect();
    assert_eq!(sources, ["t_quarantine"]);
}

#[test]
fn a_project_is_found_from_below_and_read_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let write = |path: &str, text: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("stedi-delta.toml", PROJECT.as_bytes());
    write("tables/landing/reading_landing.toml", READING.as_bytes());
    for ignored in ["tables/landing/README.md", "tables/landing/x.toml~", "tables/.keep", "migrations/README.md"] {
        write(ignored, b"anything");
    }
    let below = root.join("tables/landing");
    assert_eq!(find_root(&below).as_deref(), Some(root.as_path()));
    let project = examine(&root, None).unwrap().0;
    assert_eq!((project.root.as_path(), project.tables.len()), (root.as_path(), 1));

    write("tables/landing/y.sql", b"select '\xff'");
    let error = examine(&root, None).unwrap_err();
    assert!(error.message().contains("y.sql is not UTF-8 text: byte 8"), "{error}");
    std::fs::remove_file(root.join("tables/landing/y.sql")).unwrap();
    std::fs::remove_file(root.join("stedi-delta.toml")).unwrap();
    assert!(examine(&root, None).unwrap_err().faults()[0].message.starts_with("stedi-delta.toml is not in "));
}

#[test]
fn faults_of_all_files_come_together_without_those_that_follow_from_them() {
    let found = faults(&[
        ("stedi-delta.toml", &PROJECT.replace("name =", "nam =")),
        ("tables/landing/customer_landing.toml", &CUSTOMER.replace("\"date\"", "\"day\"")),
        ("tables/trusted/a.toml", "refresh = \"incrementel\"\n"),
        ("tables/trusted/a.sql", "select nothing from customer_landing"),
        ("tables/trusted/b.toml", TRUSTED),
        ("tables/trusted/b.sql", "select y from reading_landing"),
        ("tables/trusted/c.toml", TRUSTED),
        ("tables/trusted/c.sql", "select y from b"),
        ("tables/trusted/d.toml", TRUSTED),
        ("tables/trusted/d.sql", "select x from b where"),
    ]);
    assert_eq!(
        found,
        [
            "stedi-delta.toml:1:1 unknown key `nam` | did you mean `name`?",
            "stedi-delta.toml:1:1 `name` is missing | add `name = \"my_project\"`",
            "customer_landing.toml:8:12 `day` is not a type of this tool | one of string, long, integer, short, byte, \
             float, double, boolean, binary, date, timestamp, json, decimal(p,s), array<T>, struct<name:T,...>, map<string,T>",
            "a.sql:1:8 column `nothing` is in no table of this query | one of `email`, `serialnumber`, `birthday`, \
             `updated`, `shares`, `source_file`, `source_offset`",
            "a.toml:1:1 `description` is missing | add `description = \"Orders as they arrived\"`",
            "a.toml:1:11 `refresh` is \"incrementel\" | one of \"auto\", \"incremental\", \"full\"",
            "b.sql:1:8 column `y` is in no table of this query | did you mean `x`?",
            "d.sql:1:17 this is not valid SQL | expected an expression, found the end",
        ]
    );
}

#[test]
fn a_fault_is_rendered_with_its_line() {
    let fault = |sql| derived(sql, "").unwrap_err().remove(0);
    let expected = "error: table `custmer_landing` is not in this project
 --> tables/trusted/t.sql:2:6
  |
2 | from custmer_landing
  |      ^^^^^^^^^^^^^^^ did you mean `customer_landing`?";
    assert_eq!(render(&fault("select email\nfrom custmer_landing\n"), false), expected);
    assert!(render(&fault("select email\nfrom custmer_landing\n"), true).contains("\u{1b}["));
    let expected = "error: `count(*)` cannot be a column
 --> tables/trusted/t.sql:1:8
  |
1 | select count(*)
  |        ^^^^^ a name holds a-z, 0-9 and `_`, found `(`
  |
  = help: add `as name`";
    assert_eq!(render(&fault("select count(*)\nfrom customer_landing\n"), false), expected);
    let expected = "error: there is no query
--> tables/trusted/t.sql:1:1
 = help: expected `select` or `with`";
    assert_eq!(render(&fault(""), false), expected);
}

#[test]
fn half_written_files_are_faults_that_can_be_shown() {
    let sql =
        "select a.user, 'é' as é, count(*) as n from reading_landing a /* x */ group by a.user, \"b\" order by 1;";
    let toml = "description = \"é\"\n[consent]\nsubject = \"user\"\nnames = \"email\"\n[[expectations]]\nname = \"a\"\n\
        check = \"\\u0078 > 0 and user <> 'é'\"\naction = \"fail\"\n";
    let cut = |text: &'static str| (0..=text.len()).filter(|i| text.is_char_boundary(*i)).map(move |i| &text[..i]);
    let shown = |changes: &[(&str, &str)]| {
        for fault in checked(changes).err().unwrap_or_default() {
            assert!(!render(&fault, false).is_empty());
        }
    };
    for part in cut(sql) {
        shown(&[("tables/trusted/t.toml", TRUSTED), ("tables/trusted/t.sql", part)]);
    }
    for part in cut(toml) {
        let query = "select user, x, timestamp from reading_landing";
        shown(&[("tables/trusted/t.toml", part), ("tables/trusted/t.sql", query)]);
    }
    for (path, text) in [("stedi-delta.toml", PROJECT), ("tables/landing/customer_landing.toml", CUSTOMER)] {
        for part in cut(text) {
            shown(&[(path, part)]);
        }
    }
}
