//! `unnest` in `from`, in Athena's syntax: in queries and in tables, full and incremental.

use crate::support::{Lake, assert_ok, verify};

const N: &str = "description = \"N\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n[columns]\n\
     id = \"long\"\ntag = \"string\"\ntags = \"array<string>\"\nmore = \"array<long>\"\nm = \"map<string,long>\"\n\
     items = \"array<struct<a:long,b:string>>\"\n";

const ROWS: [&str; 4] = [
    r#"{"id":1,"tag":"own","tags":["x","y",null],"more":[7],"m":{"k":1,"l":2},"items":[{"a":1,"b":"p"},{"a":2,"b":null}]}"#,
    r#"{"id":2,"tags":[],"more":[8,9],"m":{},"items":[]}"#,
    r#"{"id":3}"#,
    r#"{"id":4,"tags":["x","x"],"more":[1,2,3],"m":{"k":5},"items":[null]}"#,
];

/// Queries, and their rows over [`ROWS`].
const QUERIES: &[(&str, &[&str])] = &[
    ("select n.id, t.tag from n cross join unnest(n.tags) as t(tag)", &["1|NULL", "1|x", "1|y", "4|x", "4|x"]),
    ("select id, x from n cross join unnest(tags) as t(x) where x = 'x' and id > 1", &["4|x", "4|x"]),
    ("select n.tag, x from n, unnest(n.tags) as t(x) where n.id = 1", &["own|NULL", "own|x", "own|y"]),
    ("select id, x from n join unnest(n.tags) as t(x) on x = 'y'", &["1|y"]),
    (
        "select id, x from n left join unnest(n.tags) as t(x) on true",
        &["1|NULL", "1|x", "1|y", "2|NULL", "3|NULL", "4|x", "4|x"],
    ),
    (
        "select id, x, i from n cross join unnest(tags) with ordinality as t(x, i)",
        &["1|NULL|3", "1|x|1", "1|y|2", "4|x|1", "4|x|2"],
    ),
    (
        "select id, x, y from n cross join unnest(tags, more) as t(x, y)",
        &["1|NULL|NULL", "1|x|7", "1|y|NULL", "2|NULL|8", "2|NULL|9", "4|NULL|3", "4|x|1", "4|x|2"],
    ),
    ("select id, k, v from n cross join unnest(m) as t(k, v)", &["1|k|1", "1|l|2", "4|k|5"]),
    ("select id, a, b from n cross join unnest(items) as t(a, b)", &["1|1|p", "1|2|NULL", "4|NULL|NULL"]),
    ("select id, i.a as a from n cross join unnest(items) as t(i)", &["1|1", "1|2", "4|NULL"]),
    (
        "select id, x, y from n cross join unnest(tags) as t(x) cross join unnest(more) as u(y) where x = 'x'",
        &["1|x|7", "4|x|1", "4|x|1", "4|x|2", "4|x|2", "4|x|3", "4|x|3"],
    ),
    (
        "select x, count(*) as n, sum(id) as ids from n cross join unnest(tags) as t(x) group by x",
        &["NULL|1|1", "x|3|9", "y|1|1"],
    ),
    (
        "select distinct o.id, t.x from n as o join n as p on p.id = o.id cross join unnest(p.tags) as t(x)",
        &["1|NULL", "1|x", "1|y", "4|x"],
    ),
    (
        "select id, x from (select id, tags from n where id < 4) as s cross join unnest(s.tags) as t(x)",
        &["1|NULL", "1|x", "1|y"],
    ),
    ("select id from n where id in (select o.id from n as o cross join unnest(o.tags) as t(x) where x = 'y')", &["1"]),
    ("select id, x from n cross join unnest(array[id, id + 1]) as t(x) where id < 3", &["1|1", "1|2", "2|2", "2|3"]),
    ("select id, x from n cross join unnest(array['a', 'b']) as t(x) where id = 3", &["3|a", "3|b"]),
    ("select x from unnest(array[1, 2]) as t(x)", &["1", "2"]),
    (
        "select id, x from n cross join lateral (select y as x from unnest(n.tags) as u(y) where y <> 'x') as t",
        &["1|y"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_apart_beside_their_rows() {
    let mut files = vec![("tables/landing/n.toml".to_owned(), N.to_owned())];
    for (i, (sql, _)) in QUERIES.iter().enumerate() {
        files
            .push((format!("tables/trusted/q{i}.toml"), "description = \"Q\"\nrefresh = \"incremental\"\n".to_owned()));
        files.push((format!("tables/trusted/q{i}.sql"), (*sql).to_owned()));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let lake = Lake::project(&files);
    // Row by row, then one is deleted and one inserted again.
    lake.land("n/1.json", ROWS[0]);
    lake.land("n/4.json", ROWS[3].replace("\"x\",\"x\"", "\"z\""));
    assert_ok(&lake.try_sync_with(verify()).await);
    lake.land("n/2.json", ROWS[1..3].join("\n"));
    lake.land("n/4.json", ROWS[3]);
    assert_ok(&lake.try_sync_with(verify()).await);
    for (i, (sql, expected)) in QUERIES.iter().enumerate() {
        assert_eq!(lake.rows(sql).await, *expected, "{sql}");
        assert_eq!(lake.rows(&format!("select * from q{i}")).await, *expected, "by its change: {sql}");
    }
}
