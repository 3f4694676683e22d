//! `on_new_field`, and the column that keeps what is not declared.

use super::*;

const T: &str = "tables/landing/v.toml";

fn landing(source: &str, columns: &str) -> String {
    format!("description = \"V\"\n[source]\npath = \"v/*.json\"\nformat = \"json\"\n{source}[columns]\n{columns}")
}

fn rescued(columns: &str) -> Vec<String> {
    let text = landing("on_new_field = \"rescue\"\n", columns);
    let project = checked(&[(T, &text)]).unwrap_or_else(|f| panic!("{:?}", f.iter().map(line).collect::<Vec<_>>()));
    self::columns(table(&project, "v"))
}

#[test]
fn undeclared_fields_have_a_column_where_they_are_kept() {
    assert_eq!(rescued("a = \"long\"\n"), ["a:long", "_rescued:string*", "source_file:string!", "source_offset:long!"]);
    let said = "_rescued = { type = \"string\", classification = \"none\", description = \"More\" }\na = \"long\"\n";
    assert_eq!(rescued(said), ["a:long", "_rescued:string", "source_file:string!", "source_offset:long!"]);
    assert_eq!(rescued("a = \"long\"\n_rescued = \"string\"\n")[1], "_rescued:string*");
    for other in ["warn", "quarantine", "ignore"] {
        let text = landing(&format!("on_new_field = \"{other}\"\n"), "a = \"long\"\n");
        assert_eq!(self::columns(table(&checked(&[(T, &text)]).unwrap(), "v")).len(), 3);
    }
}

#[test]
fn what_cannot_be_kept_is_a_fault() {
    assert_eq!(
        faults(&[(T, &landing("on_new_field = \"rescu\"\n", "a = \"long\"\n"))]),
        ["v.toml:5:16 `on_new_field` is \"rescu\" | one of \"warn\", \"quarantine\", \"ignore\", \"rescue\""]
    );
    assert_eq!(
        faults(&[(T, &landing("", "a = \"long\"\n_rescued = \"string\"\n"))]),
        [
            "v.toml:7:1 `_rescued` holds what `on_new_field = \"rescue\"` keeps | add that under [source], or remove this line"
        ]
    );
    assert_eq!(
        faults(&[(
            T,
            &landing("on_new_field = \"rescue\"\n", "a = \"long\"\n_rescued = { type = \"json\", from = \"x\" }\n")
        )]),
        [
            "v.toml:8:21 `_rescued` is a string | write `string`: it holds JSON as text",
            "v.toml:8:29 unknown key `from` | one of `type`, `description`, `classification`",
        ]
    );
    let found = derived("select user as _rescued from reading_landing", "").expect_err("a fault");
    assert_eq!(
        found.iter().map(line).collect::<Vec<_>>(),
        ["t.sql:1:8 `_rescued` cannot be a column | a name begins with a letter a-z, found `_` | add `as name`"]
    );
}

/// Columns of a query over `v`, `w` and `x`, the first two of which keep undeclared fields.
fn of(sql: &str) -> Result<Vec<String>, Vec<String>> {
    let v = landing("on_new_field = \"rescue\"\n", "a = \"long\"\nb = \"long\"\n");
    let w = landing("on_new_field = \"rescue\"\n", "b = \"long\"\nc = \"long\"\n");
    let x = landing("", "b = \"long\"\nd = \"long\"\n");
    let found = checked(&[
        (T, &v),
        ("tables/landing/w.toml", &w),
        ("tables/landing/x.toml", &x),
        ("tables/trusted/t.toml", TRUSTED),
        ("tables/trusted/t.sql", sql),
    ]);
    let project = found.map_err(|faults| faults.iter().map(line).collect::<Vec<_>>())?;
    Ok(self::columns(table(&project, "t")))
}

#[track_caller]
fn gives(sql: &str, expected: &str) {
    assert_eq!(of(sql).map(|found| found.join(" ")), Ok(expected.to_owned()), "{sql}");
}

#[test]
fn undeclared_fields_are_in_no_star() {
    const V: &str = "a:long b:long source_file:string source_offset:long";
    gives("select * from v", V);
    gives("select v.* from v", V);
    gives("select * from (select * from v) as q", V);
    gives("with q as (select * from v) select * from q", V);
    gives("select * from v where exists (select * from w where w.b = v.b)", V);
    gives("select _rescued as more, source_offset from v", "more:string* source_offset:long");
    gives("select *, _rescued as more from v", &format!("{V} more:string*"));
    gives("select q.*, q._rescued as more from v as q", &format!("{V} more:string*"));
    gives("select * from v where _rescued is null", V);
    gives("select * from (select a, _rescued as more from v) as q", "a:long more:string*");
    gives("select * except (a) from v where _rescued is null", &V["a:long ".len()..]);
    gives("select v.*, w.c from v join w on v.b = w.b where w._rescued is null", &format!("{V} c:long"));
    gives(
        "select * from (select a, b from v) q cross join (select c from w where _rescued is null) r",
        "a:long b:long c:long",
    );
    gives("select count(*) as n, count(_rescued) as m from v", "n:long! m:long!".replace('!', "").as_str());
    gives("with _rescued_rows as (select * from v) select * from _rescued_rows", V);
    let found = of("select * from v join x on v.b = x.b where _rescued is null").expect_err("two columns `b`");
    assert!(found.iter().all(|fault| !fault.contains("_rescued")), "{found:?}");
    let found = of("select * from v join w on v.b = w.b where v._rescued is null").expect_err("two columns `b`");
    assert!(found.iter().all(|fault| !fault.contains("_rescued")), "{found:?}");
    // What reads all columns of a table reads this one where it is named.
    gives("select json_extract_scalar(_rescued, '$.zip') as zip from v group by _rescued", "zip:string*");
}

#[test]
fn a_faulty_table_keeps_its_column_of_undeclared_fields_for_queries() {
    let v = landing("on_new_field = \"rescue\"\n", "a = \"lang\"\n");
    let sql = "select _rescued as more, nope from v";
    let found = faults(&[(T, &v), ("tables/trusted/t.toml", TRUSTED), ("tables/trusted/t.sql", sql)]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].contains("`nope`"), "{found:?}");
}

#[test]
fn a_condition_may_name_what_is_kept() {
    let check = "[[expectations]]\nname = \"known\"\ncheck = \"_rescued is null\"\naction = \"warn\"\n";
    let text = landing("on_new_field = \"rescue\"\n", "a = \"long\"\n") + check;
    assert_eq!(table(&checked(&[(T, &text)]).unwrap(), "v").expectations.len(), 1);
    let found = faults(&[(T, &(landing("", "a = \"long\"\n") + check))]);
    assert_eq!(found.len(), 1, "{found:?}");
}
