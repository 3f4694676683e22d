//! The checker from texts to project or faults, and the words in which it says them.

use std::path::{Path, PathBuf};
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
email = { type = "string", classification = "pii", description = "Address" }
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

/// Faults of a derived table `t` with this query.
fn query_faults(sql: &str) -> Vec<String> {
    faults(&[("tables/trusted/t.toml", TRUSTED), ("tables/trusted/t.sql", sql)])
}

#[test]
fn explore() {
    for sql in [
        "select a.user, a.timestamp from reading_landing a",
        "select user, timestamp from reading_landing where timestamp is not null and user = 'x'",
        "select user from reading_landing where user is not null order by user",
        "select a.user from reading_landing a where exists (select 1 from customer_landing c where c.email = a.user)",
        "select c.serialNumber from customer_landing c;",
        "select usr, b.x from reading_landing a",
        "select a.usr, a.y\nfrom reading_landing a\nwhere a.z = 1",
        "select count(*) from reading_landing",
        "select count(*) as n, email as e from customer_landing group by email",
        "select row_number() over (partition by email order by updated) as n from customer_landing",
        "select now() as n, uuid() as u, current_date as d, current_timestamp as ts, random() as r from customer_landing",
        "select selec from",
        "selec 1",
        "select 'abc",
        "select 1 as a; select 2 as b",
        "",
        "-- nothing",
        "insert into x values (1)",
        "select null as x, interval '1 day' as y, timestamp '2020-01-01' as ts, [1,2] as l",
        "select cast('2020-01-01' as timestamp with time zone) as ts, to_timestamp_millis(updated) as tt, cast(updated as timestamp(3) with time zone) as t3 from customer_landing",
        "select email from custmer_landing union all select email from landing.customer_landing union all select x from zzz",
        "with customer_landing as (select * from customer_landing) select email from customer_landing",
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 5) select n from r",
        "select email from customer_landing except all select user from reading_landing",
        "select email from customer_landing intersect select user from reading_landing",
        "select email from customer_landing, reading_landing where uptated = 1",
        "select email from customer_landing where email + 1",
        "select email from customer_landing where updated",
        "select nosuch(email) as x from customer_landing",
        "select email, count(*) as n from customer_landing",
        "select email, updated as email from customer_landing",
        "select a.*, b.* from customer_landing a cross join customer_landing b",
        "select q.email from customer_landing a",
        "select email from customer_landing a cross join customer_landing b",
        "select $1 as x from customer_landing",
        "select email from customer_landing tablesample bernoulli (10)",
        "select email from t",
        "select lower(email) as e, email is null as missing, count(distinct email) over () as n, substr(email, 1, 2) as s from customer_landing",
        "select email from customer_landing limit 5",
        "select extract(year from birthday) as y, date_trunc('month', birthday) as m, birthday + interval '1 day' as n, cast(updated as decimal(10,2)) as d, 1.5 as l, round(1.5) as ro, array_agg(email) as ag from customer_landing group by 1,2,3,4",
    ] {
        let found = query_faults(sql);
        println!("{sql}");
        found.iter().for_each(|f| println!("      {f}"));
        if found.is_empty() {
            let p = checked(&[("tables/trusted/t.toml", TRUSTED), ("tables/trusted/t.sql", sql)]).unwrap();
            let t = p.tables.last().unwrap();
            println!("  ok {}", t.derived().unwrap().canonical_sql);
            for c in &t.columns {
                println!("     {} {} pii={} {}", c.name, c.column_type.delta_name(), c.pii, c.description);
            }
        }
    }
    panic!();
}
