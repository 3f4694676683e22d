//! Tables below a faulty one are checked, too: faults that do not depend on it are reported with its faults.

use super::*;

/// `a` with this query, `b` over it, `c` over that.
fn chain(a: &str, b: &str, c: &str) -> Vec<String> {
    faults(&[
        ("tables/trusted/a.toml", TRUSTED),
        ("tables/trusted/a.sql", a),
        ("tables/trusted/b.toml", TRUSTED),
        ("tables/trusted/b.sql", b),
        ("tables/curated/c.toml", TRUSTED),
        ("tables/curated/c.sql", c),
    ])
}

/// The places and the first words of faults.
fn brief(found: &[String]) -> Vec<String> {
    found.iter().map(|f| f.split(" | ").next().unwrap().to_owned()).collect()
}

#[test]
fn faults_below_a_faulty_table_are_reported_with_its_own() {
    let found = chain(
        "select emial as email, updated from customer_landing",
        "select a.email, a.updatet, nosuch(a.email) as x from a",
        "select b.email, r.usr from b join reading_landing r on r.user = b.email",
    );
    assert_eq!(
        brief(&found),
        [
            "c.sql:1:17 column `usr` is not in `r`",
            "a.sql:1:8 column `emial` is in no table of this query",
            "b.sql:1:17 column `updatet` is not in `a`",
            "b.sql:1:28 unknown function `nosuch`",
        ]
    );
}

#[test]
fn nothing_that_follows_from_a_fault_is_reported() {
    for (a, b, c) in [
        // Types are unknown, and everything that depends on them.
        (
            "select nosuch(email) as email, updated + 'x' as at from customer_landing where nosuch",
            "select a.email || 'x' as e, date_trunc('day', a.at) as day, sum(a.email) as s, a.at['x'] as f from a \
             group by a.email, a.at",
            "select b.e, b.s * 2 as s from b where b.day > date '2020-01-01' and b.f.g = 1",
        ),
        // Columns are unknown.
        (
            "select * from customer_landing c, nosuch(c.email)",
            "select email, shares from a",
            "select shares + 1 as s from b",
        ),
        ("select email frm customer_landing", "select a.*, a.x + 1 as y from a", "select z, y from b where x = 1"),
        ("select email from nosuch", "select email, other from a", "select b.email, b.other from b"),
    ] {
        let found = chain(a, b, c);
        assert!(!found.is_empty() && found.iter().all(|f| f.starts_with("a.sql")), "{found:?}");
    }
}

#[test]
fn a_table_whose_rows_alone_are_faulty_has_its_columns() {
    let found = chain(
        "select email, updated from customer_landing limit 3",
        "select email, updated + email['x'] as n from a",
        "select emial from a",
    );
    let found = brief(&found);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], "c.sql:1:8 column `emial` is in no table of this query");
    assert!(found[1].starts_with("a.sql:1:45 `limit` without `order by`"), "{found:?}");
    assert!(found[2].starts_with("b.sql:1:"), "{found:?}");
}

#[test]
fn a_faulty_landing_table_has_the_names_of_its_columns() {
    let found = faults(&[
        ("tables/landing/reading_landing.toml", &READING.replace("\"double\"", "\"dubble\"")),
        ("tables/trusted/a.toml", "description = \"A\"\nprimary_key = [\"usr\"]\n"),
        ("tables/trusted/a.sql", "select user as who, x * 2 as y, z, source_file from reading_landing"),
        (
            "tables/trusted/b.toml",
            &format!("{TRUSTED}[[expectations]]\nname = \"e\"\ncheck = \"yy > 1\"\naction = \"warn\"\n"),
        ),
        ("tables/trusted/b.sql", "select user, x * 2 as y from reading_landing"),
    ]);
    assert_eq!(
        brief(&found),
        [
            "reading_landing.toml:10:14 `dubble` is not a type of this tool",
            "a.sql:1:33 column `z` is in no table of this query",
            "a.toml:2:16 missing primary_key column `usr`",
            "b.toml:4:10 column `yy` is not in this table",
        ]
    );
}

#[test]
fn a_table_without_a_readable_definition_has_any_columns() {
    let found = faults(&[
        ("tables/trusted/a.toml", "description = \n"),
        ("tables/trusted/a.sql", "select email from customer_landing"),
        ("tables/trusted/b.toml", TRUSTED),
        (
            "tables/trusted/b.sql",
            "select a.email, a.anything, c.nothing from a join customer_landing c on c.email = a.email",
        ),
    ]);
    let found = brief(&found);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a.toml:1:") && found[1] == "b.sql:1:29 column `nothing` is not in `c`", "{found:?}");
}
