//! Queries and their notes; places; the project of this repository, which has no notes.

use std::path::Path;
use std::sync::Arc;

use crate::definition::{Project, examine, project};
use crate::source::{Fault, SourceFile};
use crate::sql::functions::function_names;

use super::functions::{INSTEAD, OTHER, SAME, UNKNOWN};

const PROJECT: &str = r#"name = "demo"
zones = ["landing", "trusted"]
[targets.dev]
landing = "in"
warehouse = "out"
[targets.dev.catalog.glue]
"#;

const T: &str = r#"description = "t"
[source]
path = "t/*.json"
format = "json"
[columns]
x = "long"
s = "string"
key = { type = "string", nullable = false }
f = "double"
g = "float"
c = "decimal(10,2)"
d = "date"
m = { type = "timestamp" }
b = "boolean"
"#;

const U: &str = "description = \"u\"\n[source]\npath = \"u/*.json\"\nformat = \"json\"\n[columns]\nx = \"long\"\n";

fn check(project_file: &str, sql: &str) -> Result<Project, Vec<Fault>> {
    let files = [
        ("stedi-delta.toml", project_file),
        ("tables/landing/t.toml", T),
        ("tables/landing/u.toml", U),
        ("tables/landing/w.toml", &U.replace("[columns]", "on_new_field = \"rescue\"\n[columns]")),
        ("tables/trusted/fine.toml", "description = \"Times to the microsecond\"\n"),
        ("tables/trusted/fine.sql", "select x, d, to_timestamp_micros(x) as m from t"),
        ("tables/trusted/r.toml", "description = \"r\"\n"),
        ("tables/trusted/r.sql", sql),
    ];
    let files = files.map(|(path, text)| Arc::new(SourceFile { path: path.into(), text: text.into() }));
    project::check(Path::new("demo"), &files)
}

/// `line:column message | label` of every note on a query.
fn notes(sql: &str) -> Vec<String> {
    let project = match check(PROJECT, sql) {
        Ok(project) => project,
        Err(faults) => panic!("{sql}: {:?}", faults.iter().map(line).collect::<Vec<_>>()),
    };
    let ours = |note: &&Fault| note.place.as_ref().is_some_and(|p| p.file.path.ends_with("r.sql"));
    project.notes.iter().map(|note| &note.fault).filter(ours).map(line).collect()
}

fn line(fault: &Fault) -> String {
    let (line, column) = fault.place.as_ref().unwrap().line_column();
    format!("{line}:{column} {} | {}", fault.message, fault.label)
}

/// Asserts that these queries have exactly one note each, which begins with these words.
fn assert_noted(expected: &[(&str, &str)]) {
    let wrong: Vec<_> = expected
        .iter()
        .map(|(sql, begins)| (sql, begins, notes(sql)))
        .filter(|(_, begins, found)| found.len() != 1 || !found[0].starts_with(*begins))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn assert_agreed(queries: &[&str]) {
    let wrong: Vec<_> = queries.iter().map(|sql| (sql, notes(sql))).filter(|(_, found)| !found.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn arithmetic_that_depends_on_types_is_noted() {
    assert_noted(&[
        ("select x / 2 as y from t", "1:8 `/` of integers gives an integer here and in Athena"),
        ("select sum(x) / count(*) as y from t", "1:8 `/` of integers"),
        ("select b,\n  x / count(*) as y\nfrom t\ngroup by b, x", "2:3 `/` of integers"),
        ("select (select max(u.x) / 2 from u) as y from t", "1:16 `/` of integers"),
        ("select s from t where exists (select 1 from u where u.x / t.x > 1)", "1:53 `/` of integers"),
        ("with q as (select x as n from t) select n / 2 as y from q", "1:41 `/` of integers"),
        ("select x * 0.1 as y from t", "1:8 `0.1` is a double here, and a decimal in Athena"),
        ("select x / 3.0 as y from t", "1:8 `3.0` is a double here"),
        ("select 1.5 * 0.1 as y from t", "1:8 `1.5` is a double here"),
        ("select c / x as y from t", "1:8 `/` of decimals keeps more digits here"),
        ("select avg(c) as y from t", "1:8 `avg` of decimals keeps more digits here"),
        ("select sum(g) as y from t", "1:8 gives a double here, and a real in Athena"),
        ("select d + 1 as y from t", "1:8 Athena does not know `+` of a date and a number"),
        ("select d - d as y from t", "1:8 a date minus a date is a number of days here"),
        ("select s || x as y from t", "1:13 Athena joins only text"),
    ]);
    assert_agreed(&[
        "select x / 3e0 as y, f / 2 as z, x / f as w, f * 0.1 as v, f / 3.0 as u, x * 2 as q from t",
        "select cast(x as double) / 2 as y, c * c as z, x % 2 as w, x + 1 as v, avg(x) over () as u from t",
        "select d + interval '1' day as y, s || key as z, 0.5 as w from t",
    ]);
}

#[test]
fn times_that_are_compared_are_noted() {
    for (sql, place) in [
        ("select x from fine where m > timestamp '2020-01-01 00:00:00'", "1:26"),
        ("select t.x from fine t join fine as o on t.m = o.m", "1:42"),
        ("select m, count(*) as n from fine group by m", "1:44"),
        ("select distinct m from fine", "1:17"),
        ("select x, cast(row_number() over (partition by m order by x) as bigint) as n from fine", "1:48"),
        ("select x, cast(row_number() over (order by m, x) as bigint) as n from fine", "1:44"),
        ("select m as at from fine order by at limit 1", "1:35"),
        ("select count(distinct m) as n from fine", "1:23"),
        ("select x from fine where m in (select m from fine)", "1:26"),
        ("select x from fine where m between m and m", "1:26"),
    ] {
        let found = notes(sql);
        assert_eq!(found.len(), 1, "{sql}: {found:?}");
        assert!(found[0].starts_with(place) && found[0].contains("rounded to milliseconds"), "{sql}: {found:?}");
    }
    assert_agreed(&[
        "select m, x from fine where m is not null and d > date '2020-01-01'",
        "select x from fine where date_trunc('millisecond', m) = date_trunc('millisecond', m)",
        "select max(m) as latest from fine",
    ]);
}

#[test]
fn times_without_microseconds_are_compared_alike() {
    // A record with a finer time goes to quarantine.
    assert_agreed(&[
        "select m, count(*) as n from t group by m",
        "select distinct m from t",
        "select t.x from t join t as o on t.m = o.m and t.m > timestamp '2020-01-01 00:00:00.123'",
        "select x, m + interval '1' day as n from t where m < m + interval '1' hour",
        "select x from t where from_unixtime(x) > m",
        "select x from t where cast(d as timestamp) < m",
    ]);
    for sql in [
        "select x from t where m > timestamp '2020-01-01 00:00:00.123456'",
        "select x from t where m > m + interval '1' microsecond",
        "select x from t where cast(s as timestamp) > m",
        "select x from (select x, m - interval '5' microsecond as m from t) as q where m > timestamp '2020-01-01 00:00:00'",
    ] {
        let found = notes(sql);
        assert!(found.iter().any(|note| note.contains("rounded to milliseconds")), "{sql}: {found:?}");
    }
}

#[test]
fn descending_order_without_a_place_for_null_is_noted() {
    assert_noted(&[
        ("select x from t order by x desc limit 1", "1:26 `desc` puts NULL first here, and last in Athena"),
        ("select x, cast(rank() over (order by x desc) as bigint) as n from t", "1:38 `desc` puts NULL first"),
        ("select array_join(array_agg(s order by s desc), ',') as y from t", "1:40 `desc` puts NULL first"),
        ("select x, sum(x) over w as n from t window w as (order by x desc)", "1:59 `desc` puts NULL first"),
    ]);
    assert_agreed(&[
        "select x from t order by x desc nulls last limit 1",
        "select x from t order by x asc, s limit 1",
        "select x, cast(rank() over (order by x desc nulls first, s) as bigint) as n from t",
    ]);
}

#[test]
fn casts_and_comparisons_that_differ_are_noted() {
    assert_noted(&[
        ("select cast(f as bigint) as y from t", "1:13 this cast drops the fraction here, and rounds in Athena"),
        ("select cast(c as integer) as y from t", "1:13 this cast drops the fraction here"),
        ("select cast(f as varchar) as y from t", "1:13 `1.0` becomes the text `1.0` here, and `1.0E0`"),
        ("select cast(m as varchar) as y from t", "1:13 a time becomes"),
        ("select cast(s as varchar(3)) as y from t", "1:13 a text is cut to this length in Athena"),
        ("select cast(s as timestamp with time zone) as y from t", "1:13 Athena refuses text such as"),
        ("select cast(f as decimal(10, 2)) as y from t", "1:13 this cast may round a half otherwise"),
        ("select cast(d as bigint) as y from t", "1:13 Athena does not cast a date or time to a number"),
        ("select cast(x as timestamp with time zone) as y from t", "1:13 Athena does not cast a number to a date"),
        ("select x from t where x = '1'", "1:23 Athena does not compare text with a number"),
        ("select x from t where d >= '2020-01-01'", "1:23 Athena does not compare text with a date"),
        ("select case when b then 1 else 'a' end as y from t", "1:8 Athena wants one type in all branches"),
        ("select x from t where x in ('1', '2')", "1:23 Athena does not compare text with a number"),
    ]);
    assert_agreed(&[
        "select cast(floor(f) as bigint) as y, cast(round(c) as integer) as z, cast(x as varchar) as w from t",
        "select cast(round(f, 2) as decimal(10, 2)) as y, cast(s as varchar) as z, cast(s as bigint) as w from t",
        "select x from t where s = 'a' and d = date '2020-01-01' and x in (1, 2) and b = true and x = f",
    ]);
}

#[test]
fn functions_that_mean_something_else_are_noted() {
    assert_noted(&[
        ("select concat(s, 'a') as y from t", "1:8 `concat` skips NULL here, and gives NULL in Athena"),
        ("select greatest(x, 1) as y from t", "1:8 skips NULL here, and gives NULL in Athena"),
        ("select concat(key, x) as y from t", "1:8 Athena joins only text"),
        ("select position('a', s) as y from t", "1:8 Athena knows another form of `position`"),
        ("select log(f) as y from t", "1:8 Athena wants the base"),
        ("select substr(s, 0) as y from t", "1:15 a start below 1"),
        ("select substring(s from -2) as y from t", "1:18 a start below 1"),
        ("select trim(s) as y from t", "1:13 trims blanks only here"),
        ("select ltrim(s) as y from t", "1:8 trims blanks only here"),
        ("select lpad(s, 3) as y from t", "1:8 Athena wants the letter to fill with"),
        ("select regexp_replace(s, 'a', 'b') as y from t", "1:8 replaces the first match here, and every match"),
        ("select regexp_replace(s, 'a', 'b', 'g') as y from t", "1:8 Athena knows no flags here, and always"),
        ("select split_part(s, ',', -1) as y from t", "1:8 Athena counts parts from the left only"),
        ("select split_part(s, ',', 2) as y from t", "1:8 past the last part this is '' here, and NULL in Athena"),
        ("select x from t where s like 'a\\%'", "1:23 a backslash escapes the next letter here"),
        ("select extract(dow from d) as y from t", "1:25 Sunday is 0 here, and 7 in Athena"),
        ("select repeat(s, 2) as y from t", "1:8 `repeat` makes an array in Athena"),
        ("select contains(s, 'a') as y from t", "1:8 `contains` looks into arrays only"),
        ("select first_value(x order by x) as y from t", "1:8 Athena wants `over (...)`"),
        ("select date_format(d, '%H:%M') as y from t", "1:8 Athena takes MySQL's letters"),
        ("select x from t where json_extract(s, '$.a') = '1'", "1:23 gives text here, and JSON in Athena"),
        ("select cast(json_extract(s, '$.a') as varchar) as y from t", "1:13 gives text here, and JSON in Athena"),
        ("select sha256(s) as y from t", "1:8 takes bytes and gives bytes in Athena"),
    ]);
    assert_agreed(&[
        "select concat(key, 'a') as y, greatest(1, 2) as z, log(2, f) as w, substr(s, 1, 2) as v from t",
        "select trim(both ' ' from s) as y, ltrim(s, ' ') as z, lpad(s, 3, ' ') as w from t",
        "select coalesce(split_part(s, ',', 2), '') as y, nullif(split_part(s, ',', 2), '') as z from t",
        "select x from t where s like 'a\\%' escape '\\' or s like 'a_%' or regexp_like(s, '^\\w$')",
        "select extract(year from d) as y, date_format(d, '%Y-%m-%d') as z, lag(x) over (order by s, source_file, source_offset) as w from t",
        "select json_extract(json_extract(s, '$.a'), '$.b') as y, json_extract_scalar(s, '$[0]') as z from t \
         where json_extract(s, '$.c') is not null",
        "select first_value(x) over (order by s, x) as y, coalesce(x, 1) as z, nullif(x, 1) as w, round(f, 2) as v from t",
    ]);
}

#[test]
fn functions_that_athena_has_not_are_noted_with_what_to_write() {
    assert_eq!(notes("select left(s, 1) as y from t"), ["1:8 Athena does not know `left` | write `substr(..., 1, n)`"]);
    assert_eq!(
        notes("select initcap(s) as y from t"),
        ["1:8 Athena does not know `initcap` | both know no other spelling: compute it in a table of its own"]
    );
    assert_eq!(
        notes("select array_join(map_keys(map(array[key], array[s])), ',') as y from t"),
        ["1:28 `map` may mean something else in Athena | compare its result there"]
    );
    for missing in [
        "nvl(s, 'a')",
        "btrim(s)",
        "ifnull(s, 'a')",
        "median(x)",
        "string_agg(s, ',' order by s nulls last)",
        "to_date(s)",
    ] {
        let found = notes(&format!("select {missing} as y from t"));
        assert!(found.len() == 1 && found[0].contains("Athena does not know `"), "{missing}: {found:?}");
    }
}

#[test]
fn a_star_over_undeclared_fields_is_noted() {
    assert_noted(&[
        ("select * from w", "1:8 `*` leaves out `_rescued` here, and has it in Athena"),
        ("select u.x as y, q.* from w as q join u on q.x = u.x where q.x > 0", "1:20 `*` leaves out"),
        ("select x from (select * from w) as q", "1:23 `*` leaves out"),
    ]);
    assert_agreed(&[
        "select u.* from w join u on w.x = u.x",
        "select x from u where exists (select * from w where w.x = u.x)",
        "with w as (select x from u) select * from w",
    ]);
}

#[test]
fn aliases_and_reserved_words_are_noted() {
    assert_noted(&[
        (
            "select lower(s) as y, count(*) as n from t group by y",
            "1:53 `y` is an alias, which Athena does not know in",
        ),
        ("select s, sum(x) as n from t group by s having n > 1", "1:48 `n` is an alias, which Athena does not know in"),
        ("select s, sum(x) as n from t group by s having (s > 'a' and n > 1)", "1:61 `n` is an alias"),
        ("select x as escape from t", "1:13 `escape` is a reserved word in Athena | write `\"escape\"`"),
        ("select 1 as x from t as skip", "1:25 `skip` is a reserved word in Athena"),
    ]);
    assert_agreed(&[
        "select s as y, count(*) as n from t group by s having count(*) > 1 order by n, y limit 1",
        "select lower(s) as s, count(*) as n from t group by s",
        "select lower(s) as y, count(*) as n from t group by 1",
        "select \"escape\".x as user, b as timestamp from t as \"escape\"",
    ]);
}

#[test]
fn what_trino_refuses_is_noted() {
    let text = include_str!("../../../tests/athena/refused.sql");
    let statements: Vec<_> = text.lines().filter(|line| !line.starts_with("--")).collect();
    assert!(statements.len() > 40);
    let here = |note: &&Fault| note.place.as_ref().is_some_and(|p| p.file.path.ends_with("r.sql"));
    let unnoted = statements.iter().filter_map(|line| {
        let (sql, _) = line.split_once(';').unwrap();
        match check(PROJECT, sql) {
            Ok(project) if project.notes.iter().map(|note| &note.fault).filter(here).count() > 0 => None,
            Ok(_) => Some(format!("no note: {sql}")),
            Err(faults) => Some(format!("{sql}: {:?}", faults.iter().map(self::line).collect::<Vec<_>>())),
        }
    });
    assert_eq!(unnoted.collect::<Vec<_>>(), Vec::<String>::new());
    for (sql, begins) in [
        ("select x from t where s = E'a'", "1:27 Athena does not know `E'...'`"),
        ("select cast(x as float) as y from t", "1:13 Athena does not know the type `float`"),
        ("select cast(x as string) as y from t", "1:13 Athena does not know the type `string`"),
        ("select d + interval '1 day' as y from t", "1:21 Athena wants the unit of an interval outside"),
        ("select column1 as y from (values (1)) as q", "1:34 Athena names the columns of `values` otherwise"),
        ("select x from t natural join u", "1:30 Athena does not know `natural join`"),
        ("select b, count(*) as n from t group by all", "1:1 Athena does not know `group by all`"),
    ] {
        let found = notes(sql);
        assert!(found.len() == 1 && found[0].starts_with(begins), "{sql}: {found:?}");
    }
}

#[test]
fn without_glue_nothing_is_noted() {
    let project = check(&PROJECT.replace("[targets.dev.catalog.glue]\n", ""), "select x / 2 as y from t").unwrap();
    assert!(project.notes.is_empty());
}

#[test]
fn the_project_of_this_repository_means_the_same_in_athena() {
    let project = examine(Path::new(env!("CARGO_MANIFEST_DIR")), None).unwrap().0;
    assert!(project.targets.values().any(|target| target.glue.is_some()));
    assert_eq!(project.notes.iter().map(|note| line(&note.fault)).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn the_lists_of_functions_name_functions_once() {
    let known: Vec<_> = function_names().collect();
    let lists = [SAME, OTHER, UNKNOWN].map(|list| list.split_whitespace().collect::<Vec<_>>());
    let instead: Vec<_> = INSTEAD.iter().map(|(name, _)| *name).collect();
    let mut all: Vec<_> = lists.iter().chain([&instead]).flatten().copied().collect();
    // Forms of the grammar rather than functions.
    let unknown: Vec<_> =
        all.iter().filter(|n| !known.contains(*n) && **n != "coalesce" && **n != "position").collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    for list in lists.iter().chain([&instead]) {
        assert!(list.is_sorted(), "{list:?}");
    }
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
}
