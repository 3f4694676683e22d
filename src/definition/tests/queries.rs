//! Queries: what is accepted, and each fault in the query's own text.

use super::*;
use crate::sql::plan_sql;

fn query_faults(sql: &str) -> Vec<String> {
    derived(sql, "").map_or_else(|found| found.iter().map(line).collect(), |_| Vec::new())
}

fn output(sql: &str) -> Vec<String> {
    let project = derived(sql, "").unwrap_or_else(|f| panic!("{sql}: {:?}", f.iter().map(line).collect::<Vec<_>>()));
    let t = table(&project, "t");
    let schema = t.derived().unwrap().plan.schema().as_arrow().clone();
    let types = |fields: &deltalake::arrow::datatypes::Fields| -> Vec<_> {
        fields.iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
    };
    assert_eq!(types(schema.fields()), types(t.schema().fields()), "the plan gives what the table holds");
    columns(t)
}

#[test]
fn names_that_other_engines_reserve_need_no_quotes() {
    for (sql, expected) in [
        ("select a.user, a.timestamp from reading_landing a", ["user:string*", "timestamp:long"]),
        (
            "select user, timestamp from reading_landing where timestamp is not null and user = 'x' order by user",
            ["user:string*", "timestamp:long"],
        ),
        (
            "select c.serialNumber, C.Updated from Customer_Landing c where exists \
             (select 1 from reading_landing a where c.email = a.user)",
            ["serialnumber:string", "updated:long"],
        ),
    ] {
        assert_eq!(output(sql), expected);
    }
}

#[test]
fn a_name_of_with_hides_a_table_only_where_it_is_in_scope() {
    let sql = "with customer_landing as (select email from customer_landing), r as (select * from customer_landing) \
               select email from r";
    let project = derived(sql, "").unwrap();
    assert_eq!(table(&project, "t").derived().unwrap().sources[0].as_str(), "customer_landing");
    assert_eq!(
        query_faults("select x from (with r as (select x from reading_landing) select x from r) as q, r"),
        ["t.sql:1:81 table `r` is not in this project | one of `customer_landing`, `reading_landing`"]
    );
}

#[test]
fn personal_data_stays_personal() {
    assert_eq!(
        output(
            "select lower(email) as e, email is null as missing, count(distinct email) over () as n, \
             cast(row_number() over (partition by email order by updated) as bigint) as r from customer_landing"
        ),
        ["e:string*", "missing:boolean", "n:long", "r:long"]
    );
    assert_eq!(
        output("select serialnumber as s from customer_landing union all select user from reading_landing"),
        ["s:string*"]
    );
    assert_eq!(output("select max(email) as m, count(email) as n from customer_landing"), ["m:string*", "n:long"]);
    // The keys of grouping sets, the id of the set, the aggregates.
    for grouping in ["rollup (updated)", "cube (updated)", "grouping sets ((updated), (shares, updated), ())"] {
        assert_eq!(
            output(&format!(
                "select updated as u, max(email) as m, count(*) as n from customer_landing group by {grouping}"
            )),
            ["u:long", "m:string*", "n:long"],
            "{grouping}"
        );
    }
    for grouping in ["cube (updated, email)", "rollup (email, updated)", "updated, email, updated"] {
        assert_eq!(
            output(&format!(
                "select updated as u, email as e, max(shares) as s from customer_landing group by {grouping}"
            )),
            ["u:long", "e:string*", "s:long"],
            "{grouping}"
        );
    }
}

#[test]
fn types_that_tables_hold_are_stored_as_they_are_or_cast() {
    assert_eq!(
        output(
            "select cast('2020-01-01' as timestamp with time zone) as a, cast(birthday as timestamp(3) with time zone) as b, \
             cast(updated as decimal(10, 2)) as c, cast(updated as smallint) as d, birthday, \
             cast('x' as varchar) as e, concat(email, 'x') as f from customer_landing"
        ),
        ["a:timestamp", "b:timestamp", "c:decimal(10,2)", "d:short", "birthday:date", "e:string", "f:string*"]
    );
    assert_eq!(
        output(
            "select rank() over (order by email) as a, [length(email)] as b, array_length([1]) as c, \
                  to_timestamp_millis(updated) as d, date_trunc('month', birthday) as e from customer_landing"
        ),
        ["a:long", "b:array<integer>*", "c:long", "d:timestamp", "e:timestamp"]
    );
    let cannot = |sql: &str| query_faults(&format!("select {sql} as c from customer_landing"));
    for (sql, expected) in [
        ("null", "of no type, which a table cannot hold | write `cast(null as ...)` and a type"),
        (
            "interval '1 day'",
            "an interval, which a table cannot hold | \
             write a number with a unit in its name, or `cast(... as varchar)`",
        ),
        (
            "[]",
            "an array whose element is of no type, which a table cannot hold | write `cast(null as ...)` and a type",
        ),
        (
            "named_struct('City', 1)",
            "a struct with a field `City`, which a table cannot hold | a name begins with a letter a-z, found `C`",
        ),
    ] {
        let found = cannot(sql);
        assert!(found.len() == 1 && found[0].starts_with("t.sql:1:") && found[0].ends_with(expected), "{found:?}");
    }
}

#[test]
fn an_order_that_means_nothing_is_no_fault() {
    let grouped = "select email, max(updated) as updated from customer_landing group by email order by max(updated)";
    assert_eq!(output(grouped), ["email:string*", "updated:long"]);
    assert_eq!(query_faults(&format!("{grouped} limit 1")).len(), 1);
    assert_eq!(query_faults("select email from customer_landing order by nobody").len(), 1);
}

#[test]
fn what_fails_whatever_the_rows_hold_is_said_before() {
    for (sql, expected) in [
        ("updated / 0", "t.sql:1:1 `/` fails for every row: Divide by zero error | give it other constants"),
        ("1 % 0", "`%` fails for every row: Divide by zero error | give it other constants"),
        ("cast('abc' as bigint)", "`cast` fails for every row: Cannot cast string 'abc' to value of Int64 type"),
        ("date_trunc('foo', birthday)", "`date_trunc` fails for every row: Unsupported date_trunc granularity: 'foo'"),
        ("regexp_replace(email, '(', 'x')", "`regexp_replace` fails for every row: regex parse error"),
        ("power(0, -1)", "`power` fails for every row: zero raised to a negative power"),
    ] {
        let found = query_faults(&format!("select {sql} as c from customer_landing"));
        assert!(found.len() == 1 && found[0].contains(expected), "{sql}: {found:?}");
    }
    for sql in
        ["coalesce(updated, 0)", "nullif(email, '')", "1 / 2", "nvl(updated, 0)", "regexp_replace(email, 'a', 'b')"]
    {
        assert_eq!(query_faults(&format!("select {sql} as c from customer_landing")), [""; 0], "{sql}");
    }
}

#[test]
fn syntax() {
    for (sql, expected) in [
        ("select selec from", "t.sql:1:14 this is not valid SQL | expected identifier, found the end"),
        ("selec 1", "t.sql:1:1 this is not valid SQL | expected an SQL statement, found selec"),
        ("select\n  'abc", "t.sql:2:3 this is not valid SQL | unterminated string literal"),
        ("select 1 /* a", "t.sql:1:14 this is not valid SQL | unterminated comment"),
        ("select \"a", "t.sql:1:8 this is not valid SQL | expected close delimiter '\"' before the end"),
        // Quoted parts of the query are unchanged.
        (
            "select 1 from t u 'found: EOF'",
            "t.sql:1:19 this is not valid SQL | expected end of statement, found 'found: EOF'",
        ),
        ("select 1 as a; select 2 as b", "t.sql:1:1 found 2 statements | write one query: remove the others"),
        ("-- nothing", "t.sql:1:1 there is no query | expected `select` or `with`"),
        ("insert into x values (1)", "t.sql:1:1 this is not a query | expected `select` or `with`"),
    ] {
        assert_eq!(query_faults(sql), [expected]);
    }
}

#[test]
fn tables() {
    assert_eq!(
        query_faults(
            "select email from custmer_landing\nunion all select email from landing.customer_landing\n\
             union all select x from zzz"
        ),
        [
            "t.sql:1:19 table `custmer_landing` is not in this project | did you mean `customer_landing`?",
            "t.sql:2:29 `landing.customer_landing` is a qualified name | write the bare table name: `customer_landing`",
            "t.sql:3:25 table `zzz` is not in this project | one of `customer_landing`, `reading_landing`",
        ]
    );
    assert_eq!(
        query_faults("select email from t"),
        ["t.sql:1:19 tables read each other: `t -> t` | one of them must not"]
    );
    let sql = |from: &str| format!("select n from {from}");
    assert_eq!(
        faults(&[
            ("tables/trusted/a.toml", TRUSTED),
            ("tables/trusted/a.sql", &sql("b")),
            ("tables/curated/b.toml", TRUSTED),
            ("tables/curated/b.sql", &sql("c")),
            ("tables/curated/c.toml", TRUSTED),
            ("tables/curated/c.sql", &sql("a")),
            ("tables/curated/d.toml", TRUSTED),
            ("tables/curated/d.sql", &sql("a")),
        ]),
        ["a.sql:1:15 tables read each other: `a -> b -> c -> a` | one of them must not"]
    );
}

#[test]
fn columns_and_functions() {
    for (sql, expected) in [
        ("select a.usr, x from reading_landing a", "t.sql:1:8 column `usr` is not in `a` | did you mean `user`?"),
        (
            "select q.email from customer_landing a",
            "t.sql:1:8 `q` is not a table of this query | did you mean `a.email`?",
        ),
        (
            "select email from customer_landing\nwhere uptated = 1",
            "t.sql:2:7 column `uptated` is in no table of this query | did you mean `updated`?",
        ),
        (
            "select email from customer_landing a cross join customer_landing b",
            "t.sql:1:8 column `email` is in several tables of this query | write `<table>.email`",
        ),
        ("select lowr(email) as x from customer_landing", "t.sql:1:8 unknown function `lowr` | did you mean `lower`?"),
        ("select cont(*) as x from customer_landing", "t.sql:1:8 unknown function `cont` | did you mean `count`?"),
        ("select mx(email) as x from customer_landing", "t.sql:1:8 unknown function `mx` | did you mean `max`?"),
        (
            "select email, updated as email from customer_landing",
            "t.sql:1:15 two columns are called `email` | add `as` and another name, or remove it",
        ),
        (
            "select count(*) from customer_landing",
            "t.sql:1:8 `count(*)` cannot be a column | a name holds a-z, 0-9 and `_`, found `(` | add `as name`",
        ),
        (
            "select updated as \"Updated\" from customer_landing",
            "t.sql:1:8 `Updated` cannot be a column | a name begins with a letter a-z, found `U` | add `as name`",
        ),
        (
            "select email from customer_landing where updated",
            "t.sql:1:1 cannot create filter with non-boolean predicate `customer_landing.updated` returning Int64 | ",
        ),
    ] {
        assert_eq!(query_faults(sql), [expected]);
    }
    assert_eq!(query_faults("select usr, b.x from reading_landing a").len(), 2, "several of one query");
    assert_eq!(query_faults("select a.*, b.* from reading_landing a cross join reading_landing b").len(), 5);
}

#[test]
fn clauses_that_the_engine_would_ignore_are_refused() {
    for (sql, place) in [
        ("select email, count(*) over (w) as n from customer_landing window w as (partition by email)", "1:30"),
        (
            "select count(*) over x as n from customer_landing window w as (partition by email), x as (w order by updated)",
            "1:58",
        ),
        ("select email, count(*) as n from customer_landing group by email with rollup", "1:71"),
        ("select email from customer_landing for update", "1:36"),
        ("select email from customer_landing where email similar to 'a%'", "1:48"),
    ] {
        let faults = query_faults(sql);
        assert_eq!(faults.len(), 1, "{sql}: {faults:?}");
        assert!(faults[0].starts_with(&format!("t.sql:{place} ")), "{sql}: {faults:?}");
        assert!(faults[0].contains("[CLAUSE_MISREAD]"), "{sql}: {faults:?}");
    }
}

#[test]
fn frames_that_the_engine_miscounts_are_refused() {
    let query = |order: &str, frame: &str| {
        format!("select email, count(*) over (partition by email order by {order} {frame}) as n from customer_landing")
    };
    for (order, frame, what) in [
        ("updated", "range between 2 preceding and 5 preceding", "a frame that ends before it begins"),
        ("updated", "range between 5 following and 2 following", "a frame that ends before it begins"),
        ("updated", "range between current row and 1 preceding", "a frame that ends before it begins"),
        ("updated", "range between 3 following and 2 preceding", "a frame that ends before it begins"),
        (
            "cast('2024-01-01' as date)",
            "range between interval '12 hours' preceding and current row",
            "hours over dates",
        ),
        (
            "cast('2024-01-01' as date)",
            "range between interval '1 month' preceding and interval '30 days' preceding",
            "ends before",
        ),
        (
            "cast('2024-01-01' as date)",
            "range between interval '1 month -3 days' preceding and current row",
            "a negative offset",
        ),
    ] {
        let faults = query_faults(&query(order, frame));
        assert!(
            faults.iter().any(|f| f.starts_with("t.sql:1:15 ") && f.contains(what) && f.contains("[CLAUSE_MISREAD]")),
            "{frame}: {faults:?}"
        );
    }
    for (order, frame) in [
        ("updated", "range between 5 preceding and 2 preceding"),
        ("updated", "range between 2 following and 2 following"),
        ("updated", "range between 0 following and current row"),
        ("updated", "range between unbounded preceding and 5 preceding"),
        ("updated", "range between 3 following and unbounded following"),
        ("cast('2024-01-01' as date)", "range between interval '1 month' preceding and interval '28 days' preceding"),
        ("cast('2024-01-01' as date)", "range between interval '1 year' preceding and current row"),
    ] {
        assert_eq!(query_faults(&query(order, frame)), Vec::<String>::new(), "{frame}");
    }
}

#[test]
fn what_the_engine_would_take_from_another_place_is_refused() {
    let joined = "from customer_landing a left join reading_landing b";
    for (sql, expected) in [
        (
            "select * from customer_landing a natural left join reading_landing b".to_owned(),
            "t.sql:1:34 `*` over a left join with `natural` may take the shared column from the right side \
             [USING_OF_OUTER_JOIN] | list the columns, or write `on`",
        ),
        ("from customer_landing".to_owned(), "t.sql:1:1 this query has no columns | write `select *`, or list them"),
        (
            format!("select a.email {joined} on interval '1 day' < interval '25 hours'"),
            "t.sql:1:1 intervals of months, days and hours have no order: compare moments, `b > a + interval `1 day`` \
             [INTERVAL_ORDER] | ",
        ),
    ] {
        assert_eq!(query_faults(&sql), [expected], "{sql}");
    }
}

#[test]
fn a_recursive_query_is_read_in_from_and_has_a_name_of_its_own() {
    for (sql, expected) in [
        (
            "with recursive up as (select email from customer_landing union select c.email from customer_landing c \
             where c.email in (select email from up)) select email from up",
            "can be read in `from` alone",
        ),
        (
            "with recursive reading_landing as (select email from customer_landing union all \
             select email || 'x' from reading_landing where email = 'a') select email from reading_landing",
            "has the name of a table",
        ),
    ] {
        let faults = query_faults(sql);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{sql}: {faults:?}");
    }
}

#[test]
fn what_cannot_be_repeated_or_is_planned_wrongly() {
    let repeat = "has a different value in every run [VOLATILE_FUNCTION] | a query has the same result whenever it runs: use a column instead";
    assert_eq!(
        query_faults(
            "select uuid() as u, current_date as d from customer_landing\n\
             where updated > (select random() from reading_landing)"
        ),
        [
            format!("t.sql:1:8 `uuid` {repeat}"),
            format!("t.sql:1:21 `current_date` {repeat}"),
            format!("t.sql:2:25 `random` {repeat}"),
        ]
    );
    for (sql, expected) in [
        (
            "select email from customer_landing except all select user from reading_landing",
            "t.sql:1:36 `except all` is not supported [SET_OPERATION_ALL] | write `except`, or `exists` with a count",
        ),
        (
            "select email from customer_landing intersect all select user from reading_landing",
            "t.sql:1:36 `intersect all` is not supported [SET_OPERATION_ALL] | write `intersect`, or `exists` with a count",
        ),
        ("select $1 as x from customer_landing", "t.sql:1:8 `$1` is a parameter [PARAMETER] | write the value"),
        (
            "select email from customer_landing tablesample bernoulli (10)",
            "t.sql:1:19 versions, samples and hints are not supported | \
             a query reads the whole table at the cut: remove what follows the name",
        ),
    ] {
        assert_eq!(query_faults(sql), [expected]);
    }
}

#[test]
fn what_the_engine_plans_wrongly_is_refused() {
    let tail = "in a right or full join takes its column from the left side, even if that has no row \
                [USING_OF_OUTER_JOIN] | write `on`, and `coalesce(l.k, r.k)` for the column of both";
    for (kind, rest, at) in [("right join", " using (email)", 79), ("full join", " using (email)", 78)] {
        let sql = format!("select email, l.updated from customer_landing l {kind} customer_landing r{rest}");
        assert_eq!(query_faults(&sql), [format!("t.sql:1:{at} `using` {tail}")]);
    }
    let natural = "select l.updated from customer_landing l natural full join customer_landing r";
    assert_eq!(query_faults(natural), [format!("t.sql:1:1 `using` {tail}")]);
    for kind in ["join", "left join"] {
        let sql = format!("select email, l.updated from customer_landing l {kind} customer_landing r using (email)");
        assert_eq!(query_faults(&sql), Vec::<String>::new());
    }
}

#[test]
fn plans_of_other_modules_mean_the_same() {
    use std::sync::Arc;

    use deltalake::arrow::datatypes::{FieldRef, Schema};
    use deltalake::datafusion::logical_expr::LogicalPlan;

    use crate::definition::SOURCE_OFFSET;
    let project = derived("select email from customer_landing", "").unwrap();
    let schema = table(&project, "customer_landing").schema();
    // Rows of other writers may have none.
    let nullable = |field: &FieldRef| match field.name().as_str() {
        SOURCE_OFFSET => Arc::new(field.as_ref().clone().with_nullable(true)),
        _ => field.clone(),
    };
    let schema = Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>()));
    let plan = plan_sql("select Email from customer_landing", &[("customer_landing".into(), schema)]).unwrap();
    assert_eq!(plan, table(&project, "t").derived().unwrap().plan);
    let LogicalPlan::Projection(p) = &plan else { panic!("{plan}") };
    let LogicalPlan::TableScan(scan) = p.input.as_ref() else { panic!("{plan}") };
    assert_eq!(scan.table_name.to_string(), "customer_landing");
    assert!(plan_sql("select 1; select 2", &[]).is_err());
}

#[test]
fn the_latest_record_of_each_key_and_what_is_joined_to_it() {
    let latest = "select email, serialnumber, updated from (\
          select *, row_number() over (partition by email order by updated desc nulls last, \
            case when shares is null then 0 else 1 end, source_file, source_offset) as n from customer_landing) c \
        where n = 1 and shares is not null";
    let joined = "select r.user, r.timestamp, r.x, c.serialnumber from reading_landing r \
        join latest c on c.email = r.user and c.serialnumber not in \
        (select serialnumber from latest group by serialnumber having count(*) > 1)";
    let consent = "description = \"T\"\n[consent]\nsubject = \"user\"\nnames = \"email\"\n";
    let project = checked(&[
        (
            "tables/trusted/latest.toml",
            "description = \"L\"\nprimary_key = [\"email\"]\n[consent]\nsubject = \"email\"\n",
        ),
        ("tables/trusted/latest.sql", latest),
        ("tables/curated/joined.toml", consent),
        ("tables/curated/joined.sql", joined),
    ])
    .unwrap_or_else(|f| panic!("{:?}", f.iter().map(line).collect::<Vec<_>>()));
    let joined = table(&project, "joined");
    assert_eq!(columns(joined), ["user:string*", "timestamp:long", "x:double", "serialnumber:string"]);
    let sources: Vec<_> = joined.derived().unwrap().sources.iter().map(TableName::as_str).collect();
    assert_eq!(sources, ["reading_landing", "latest"]);
}

#[test]
fn nested_values_are_columns() {
    assert_eq!(
        output(
            "select [updated, 1] as pair, named_struct('who', email, 'when', updated) as s, \
             map(['a'], [[updated]]) as m, [arrow_cast('x', 'Utf8View')] as views, \
             named_struct('who', email)['who'] as w from customer_landing"
        ),
        [
            "pair:array<long>",
            "s:struct<who:string,when:long>*",
            "m:map<string,array<long>>",
            "views:array<string>",
            "w:string*"
        ]
    );
    let landing = LANDING_NESTED;
    let files = [
        ("tables/landing/n_landing.toml", landing),
        ("tables/trusted/t.toml", TRUSTED),
        (
            "tables/trusted/t.sql",
            "select n.id, n.tags, n.tags[1] as first, n.address, n.address.city as city, n.address['geo']['lat'] as lat, n.prices, n.prices['x'] as x from n_landing n",
        ),
    ];
    let project = checked(&files).unwrap_or_else(|f| panic!("{:?}", f.iter().map(line).collect::<Vec<_>>()));
    assert_eq!(
        columns(table(&project, "t")),
        [
            "id:long",
            "tags:array<string>",
            "first:string",
            "address:struct<city:string,geo:struct<lat:double>>*",
            "city:string*",
            "lat:double*",
            "prices:map<string,double>",
            "x:double"
        ]
    );
}

const LANDING_NESTED: &str = "description = \"Nested\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n[columns]\n\
     id = \"long\"\ntags = \"array<string>\"\n\
     address = { type = \"struct<city:string, geo:struct<lat:double>>\", classification = \"pii\" }\n\
     prices = \"map<string,double>\"\n";

#[test]
fn nested_columns_are_no_keys_and_their_types_are_checked() {
    let found = faults(&[
        ("tables/landing/n_landing.toml", &format!("{LANDING_NESTED}m = \"map<int,int>\"\n")),
        (
            "tables/trusted/t.toml",
            &format!(
                "{TRUSTED}primary_key = [\"tags\"]\ncluster_by = [\"address\"]\n[columns]\ntags = \"array<int>\"\n"
            ),
        ),
        ("tables/trusted/t.sql", "select n.tags, n.address from n_landing n"),
    ]);
    assert_eq!(
        found,
        [
            "n_landing.toml:10:5 column `m` is a map whose keys are not strings | names in JSON are strings: write `map<string,T>`",
            "t.toml:2:16 `tags` cannot be in `primary_key` | it is array<string>: name a column without values inside",
            "t.toml:3:15 `address` cannot be in `cluster_by` | it is struct<city:string,geo:struct<lat:double>>: name a column without values inside",
            "t.toml:5:8 column `tags` is declared array<integer> | the query gives array<string>: `[columns]` documents, it does not cast",
        ]
    );
    let found = faults(&[
        ("tables/landing/n_landing.toml", LANDING_NESTED),
        ("tables/trusted/t.toml", &format!("{TRUSTED}primary_key = [\"tags\"]\ncluster_by = [\"address\"]\n")),
        ("tables/trusted/t.sql", "select n.tags, n.address from n_landing n"),
    ]);
    assert_eq!(
        found,
        [
            "t.toml:2:16 `tags` cannot be in `primary_key` | it is array<string>: name a column without values inside",
            "t.toml:3:15 `address` cannot be in `cluster_by` | it is struct<city:string,geo:struct<lat:double>>: name a column without values inside",
        ]
    );
}

#[test]
fn values_with_null_inside_have_no_order() {
    let found = query_faults("select email from customer_landing where struct(email, updated) > struct('a', 2)");
    assert!(
        found.len() == 1 && found[0].contains("`>` between values of struct<c0:string,c1:long> has no answer"),
        "{found:?}"
    );
    assert!(query_faults("select email from customer_landing where (email, updated) = ('a', 2)").is_empty());
}

#[test]
fn what_the_engine_cannot_do_with_nested_values_is_said_before() {
    for (sql, expected) in [
        (
            "select n.id, max(n.address) as m from n_landing n group by n.id",
            "t.sql:1:14 `max` of struct<city:string,geo:struct<lat:double>> has no answer | such values have no order \
             that covers NULL inside: use a part of them",
        ),
        (
            "select n.id, cast(n.prices as varchar) as m from n_landing n",
            "t.sql:1:14 map<string,double> cannot be cast to string | select its parts",
        ),
        (
            "select n.id from n_landing n where exists (select 1 from unnest(n.tags) as t(tag) where t.tag = 'a')",
            "t.sql:1:58 `unnest` of a column cannot stand here | write `cross join unnest(tags) as t(tag)` after the \
             table that has the column",
        ),
        (
            "select n.address['geo'].lat as x from n_landing n",
            "t.sql:1:1 a `.` cannot stand before a field here | after `[...]` and `(...)` write `['name']`",
        ),
    ] {
        let found = faults(&[
            ("tables/landing/n_landing.toml", LANDING_NESTED),
            ("tables/trusted/t.toml", TRUSTED),
            ("tables/trusted/t.sql", sql),
        ]);
        assert_eq!(found, [expected]);
    }
}
