//! Nondeterministic queries: where the fault is reported, and what to write instead.

use super::*;

fn query_faults(sql: &str) -> Vec<String> {
    derived(sql, "").map_or_else(|found| found.iter().map(line).collect(), |_| Vec::new())
}

#[test]
fn each_is_a_fault_at_its_place_with_the_way_out() {
    for (sql, expected) in [
        (
            "select email, updated\nfrom customer_landing\norder by email\nlimit 10",
            "t.sql:4:1 `limit` keeps arbitrary rows: some tie in its `order by` [LIMIT_WITHOUT_TOTAL_ORDER] | \
             append `updated` to `order by`",
        ),
        (
            "select email from customer_landing where updated in (select updated from customer_landing order by shares limit 1)\n\
             order by email limit 10",
            "t.sql:1:107 `limit` keeps arbitrary rows: some tie in its `order by` [LIMIT_WITHOUT_TOTAL_ORDER] | \
             append `updated` to `order by`",
        ),
        (
            "select email from (select email from customer_landing order by email limit 7) c\noffset 3",
            "t.sql:2:1 `limit` without `order by` keeps arbitrary rows [LIMIT_WITHOUT_TOTAL_ORDER] | \
             append `email` to `order by`",
        ),
        (
            "select distinct email from (\n  select distinct on (email) email, updated from customer_landing order by email) x where updated > 1",
            "t.sql:2:10 `distinct on` keeps arbitrary rows: some tie in the `order by` [DISTINCT_ON_WITHOUT_TOTAL_ORDER] | \
             append `updated` to `order by`",
        ),
        (
            "select email, shares, m from (select email, shares,\n\
             row_number() over (partition by email order by updated, source_file, source_offset) as n,\n\
             row_number() over (partition by email order by updated) as m from customer_landing) x where n = 1",
            "t.sql:3:1 `row_number` is arbitrary where rows tie in its `order by` [WINDOW_WITHOUT_TOTAL_ORDER] | \
             append `source_file`, `source_offset` to its `order by`",
        ),
        (
            "select email, LAG(shares) over w as s from customer_landing window w as (partition by email order by updated)",
            "t.sql:1:15 `lag` is arbitrary where rows tie in its `order by` [WINDOW_WITHOUT_TOTAL_ORDER] | \
             append `shares` to its `order by`",
        ),
        (
            "select email, string_agg(serialnumber, ',') as s from customer_landing group by email",
            "t.sql:1:15 `string_agg` without `order by` depends on the order in which rows are read \
             [AGGREGATE_WITHOUT_TOTAL_ORDER] | write `string_agg(... order by ...)`, and order by what it is given, or by a key",
        ),
        (
            "select email, approx_distinct(serialnumber) as s from customer_landing group by email",
            "t.sql:1:15 `approx_distinct` only estimates its result [APPROXIMATE_AGGREGATE] | write `count(distinct ...)`",
        ),
        (
            "select email, current_timestamp as s from customer_landing",
            "t.sql:1:15 `current_timestamp` has a different value in every run [VOLATILE_FUNCTION] | \
             a query has the same result whenever it runs: use a column instead",
        ),
    ] {
        assert_eq!(query_faults(sql), [expected], "{sql}");
    }
}

#[test]
fn several_are_reported_together() {
    let sql = "select email, first_value(shares) as a, first_value(updated order by updated) as b,\n\
               last_value(shares order by updated) as c from customer_landing group by email limit 5";
    let places: Vec<_> = query_faults(sql).iter().map(|f| f.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(places, ["t.sql:1:15", "t.sql:2:1", "t.sql:2:79"]);
}

#[test]
fn keys_that_the_tool_enforces_make_an_order_total() {
    let latest = "select email, serialnumber, updated from (select *, row_number() over (\n\
                  partition by email order by updated desc, source_file, source_offset) as n from customer_landing) x where n = 1";
    let project = |toml: &str, quarantined: bool| {
        let table = if quarantined { "latest_quarantine" } else { "latest" };
        let sql = format!("select email, serialnumber, updated from {table} order by email limit 10");
        faults(&[
            ("tables/trusted/latest.toml", toml),
            ("tables/trusted/latest.sql", latest),
            ("tables/curated/top.toml", TRUSTED),
            ("tables/curated/top.sql", &sql),
        ])
    };
    let key = "description = \"L\"\nprimary_key = [\"email\"]\n";
    let check = "[[expectations]]\nname = \"a\"\ncheck = \"updated > 1\"\naction = \"quarantine\"\n";
    assert_eq!(project(key, false), Vec::<String>::new());
    assert_eq!(project(&format!("{key}{check}"), false), Vec::<String>::new());
    for (toml, quarantined) in [("description = \"L\"\n".to_owned(), false), (format!("{key}{check}"), true)] {
        let found = project(&toml, quarantined);
        assert!(found.len() == 1 && found[0].contains("[LIMIT_WITHOUT_TOTAL_ORDER]"), "{found:?}");
    }
}

#[test]
fn functions_of_one_window_are_one_fault() {
    let sql = "select email,\nlag(shares) over w as a, lead(shares) over w as b, row_number() over w as c,\n\
               first_value(shares) over w as d, lag(shares, 2) over w as e,\n\
               lag(updated) over v as f, ntile(4) over v as g, rank() over v as h\n\
               from customer_landing window w as (partition by email order by updated),\n\
               v as (partition by shares order by updated)";
    let text = "[WINDOW_WITHOUT_TOTAL_ORDER] | append";
    let found = query_faults(sql);
    assert_eq!(found.len(), 2, "{found:?}");
    let (w, v) = if found[0].starts_with("t.sql:2:1 ") { (&found[0], &found[1]) } else { (&found[1], &found[0]) };
    let start = "t.sql:2:1 `lag`, `lead`, `row_number` and 1 more of one window are arbitrary where rows tie in its \
                 `order by` ";
    assert!(w.starts_with(&format!("{start}{text}")), "{w}");
    assert!(v.contains("`ntile` is arbitrary where rows tie") || v.contains("`lag` and `ntile` of one window"), "{v}");
}
