//! Functions of other engines: the suggested replacements are valid.

use super::*;
use crate::sql::functions::function_names;
use crate::sql::refuse::elsewhere::{SPELLED, hint};

const VALUES: &str = "description = \"V\"\n[source]\npath = \"v/*.json\"\nformat = \"json\"\n[columns]\ns = \"string\"\n\
     t = \"string\"\nx = \"long\"\ny = \"long\"\nf = \"double\"\nb = \"boolean\"\nd = \"date\"\ne = \"date\"\n\
     at = \"timestamp\"\nto = \"timestamp\"\ntags = \"array<string>\"\nm = \"map<string,long>\"\n";

fn said(expr: &str) -> Vec<String> {
    let sql = format!("select {expr} as result from v");
    faults(&[("tables/landing/v.toml", VALUES), ("tables/trusted/t.toml", TRUSTED), ("tables/trusted/t.sql", &sql)])
}

#[test]
fn what_is_said_of_functions_of_other_engines_can_be_written() {
    let mut wrong = Vec::new();
    for expr in SPELLED.iter().flat_map(|(.., here)| here.iter()) {
        wrong.extend(said(expr).into_iter().map(|fault| format!("{expr}: {fault}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_there_is_not_called_missing() {
    let there: Vec<&str> = function_names().filter(|name| hint(name).is_some()).collect();
    assert!(there.is_empty(), "{there:?}");
    let names = SPELLED.iter().flat_map(|(names, ..)| names.split_whitespace());
    let known: Vec<&str> =
        names.filter(|name| said(&format!("{name}(s)")).iter().all(|f| !f.contains("unknown"))).collect();
    assert!(known.is_empty(), "{known:?}");
}

#[test]
fn functions_of_other_engines_get_a_hint() {
    for (expr, expected) in [
        (
            "date_diff('day', d, e)",
            "t.sql:1:8 unknown function `date_diff` | Athena and DuckDB have it; here write `e - d` or \
          `to_unixtime(to) - to_unixtime(at)`",
        ),
        (
            "collect_list(s)",
            "t.sql:1:8 unknown function `collect_list` | Spark has it; here write `array_agg(s order by s)`",
        ),
        (
            "json_parse(s)",
            "t.sql:1:8 unknown function `json_parse` | Athena has it; here give the column \
          its type under [columns], such as `struct<a:long,b:array<string>>`, or write `json_extract_scalar(s, '$.a')`",
        ),
        (
            "skewness(f)",
            "t.sql:1:8 unknown function `skewness` | Athena has it, and there is nothing like it here: compute it \
          before the files land",
        ),
        ("uper(s)", "t.sql:1:8 unknown function `uper` | did you mean `upper`?"),
        ("frobnicate(s)", "t.sql:1:8 unknown function `frobnicate` | no function has this name"),
    ] {
        assert_eq!(said(expr), [expected]);
    }
}
