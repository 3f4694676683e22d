//! For every query, the program takes little more memory than `memory_limit`, and reports what was too large.

use std::fs;
use std::process::Child;

use super::shell::{NOTES, Shell};

const MEGABYTE: u64 = 1 << 20;
/// Memory of the program beside its limit: itself, its stacks, and the allocator's reserve.
const BESIDE: u64 = 300 * MEGABYTE;

/// Peak memory of a process so far, in bytes.
fn peak(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Runs a query; its exit code, its output, and its peak memory.
fn measured(shell: &Shell, sql: &str) -> (Option<i32>, String, u64) {
    run(shell, &["query", sql, "--format", "csv"])
}

/// The same for any command.
fn run(shell: &Shell, args: &[&str]) -> (Option<i32>, String, u64) {
    let mut child = shell.command(&shell.project(), &[], args).spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(&child).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said, most)
}

#[test]
fn a_function_that_makes_too_much_is_an_error_and_takes_no_memory() {
    let shell = Shell::synced();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"256 MB\"\n"));
    for (call, function) in [
        ("length(repeat('x', 2000000000))", "repeat"),
        ("length(repeat(email, 100000000))", "repeat"),
        ("cardinality(array_repeat(1, 1000000000))", "array_repeat"),
        ("length(lpad(email, 2000000000, 'é'))", "lpad"),
        ("cardinality(range(0, at * 10000000000))", "range"),
        ("unnest(generate_series(1, 2000000000))", "generate_series"),
        ("cardinality(array_resize(make_array(at), 2000000000, 7))", "array_resize"),
        ("length(replace(repeat(email, 1000000), '', repeat('x', 10000)))", "replace"),
        ("length(array_to_string(range(0, 1000000), repeat('x', 100000)))", "array_to_string"),
    ] {
        let (code, said, most) = measured(&shell, &format!("select {call} as r from people"));
        assert_eq!(code, Some(1), "{call}: {said}");
        assert!(
            said.contains(&format!("error: the query cannot be run: a result of `{function}` would take ")),
            "{said}"
        );
        assert!(
            said.contains("the limit is 64 MB\n  next       make less of each row, or raise `memory_limit`"),
            "{said}"
        );
        assert!(most < 256 * MEGABYTE + BESIDE, "{call} took {} MB", most / MEGABYTE);
    }
    for sql in [
        "with a as (select repeat(email, 4000000) as s from people), b as (select s || s as s from a), \
         c as (select s || s as s from b), d as (select concat(s, s) as s from c) select length(s || s) as n from d",
        "select length(string_agg(repeat(email, 1000), ',')) as n from people, (select unnest(range(0, 1000000)) as i) as t",
        "select cardinality(array_agg(repeat(email, 1000))) as n from people, (select unnest(range(0, 1000000)) as i) as t",
        "select length(string_agg(repeat(email, 100), ',') over (order by i)) as n from people, \
         (select unnest(range(0, 10000)) as i) as t",
    ] {
        let (code, said, most) = measured(&shell, sql);
        assert_eq!(code, Some(1), "{sql}: {said}");
        assert!(said.starts_with("error: the query cannot be run: "), "{said}");
        assert!(most < 256 * MEGABYTE + BESIDE, "{sql} took {} MB", most / MEGABYTE);
    }
    let (code, said, _) = measured(&shell, "select length(repeat('x', 2000000)) as n, lpad('7', 3, '0') as p");
    assert_eq!((code, said.as_str()), (Some(0), "n,p\n2000000,007\n"));
}

#[test]
fn memory_that_runs_out_names_the_setting() {
    let shell = Shell::synced();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"32 MB\"\n"));
    // A hash join cannot spill, and its smaller side takes 80 MB.
    let numbers = "(select x.i * 10000 + y.i as k from (select unnest(generate_series(1, 1000)) as i) as x \
                   cross join (select unnest(generate_series(1, 10000)) as i) as y)";
    let sql = format!("select count(*) as n from {numbers} as a join {numbers} as b on a.k = b.k");
    let (code, said, _) = measured(&shell, &sql);
    let expected = "error: the query cannot be run: memory ran out\n  limit      memory_limit = \"32 MB\"\n  \
                    next       write `memory_limit = \"64 MB\"` under [defaults] of stedi-delta.toml\n";
    assert_eq!((code, said.as_str()), (Some(1), expected));
}

/// Parquet allocates 110 KB for each written column before its first value.
#[test]
fn a_struct_of_thousands_of_fields_lands_within_the_limit() {
    let shell = Shell::shop();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"128 MB\"\n"));
    let list = |of: fn(usize) -> String| (0..5_000).map(of).collect::<Vec<_>>().join(",");
    let fields = list(|n| format!("f{n}:int"));
    shell.define("tables/landing/notes.toml", NOTES.replace("\"long\"", &format!("\"struct<{fields}>\"")));
    let record = format!("{{\"id\":{{{}}}}}\n", list(|n| format!("\"f{n}\":{n}")));
    shell.land("notes/a.json", &record.repeat(100));
    let (code, said, most) = run(&shell, &["sync"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(most < 128 * MEGABYTE + BESIDE, "{} MB", most / MEGABYTE);
    let (_, said, _) = measured(&shell, "select count(*) as n, sum(id['f4999']) as s from notes");
    assert_eq!(said, "n,s\n100,499900\n");
}

/// The engine cuts the output of joins and `unnest` by rows, and copies a text for each of them.
#[test]
fn a_large_text_that_a_query_repeats_takes_the_memory_of_a_few() {
    let shell = Shell::shop();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"128 MB\"\n"));
    let columns = "k = { type = \"long\" }\ns = { type = \"string\" }\nl = { type = \"array<long>\" }\n";
    shell.define("tables/landing/notes.toml", NOTES.to_owned() + columns);
    let text = "x".repeat(1 << 20);
    let list = (0..2_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let wide = |id: i32| format!("{{\"id\":{id},\"s\":\"{text}\",\"l\":[{list}]}}\n");
    let narrow = (0..2_000).map(|n| format!("{{\"id\":{},\"k\":{n},\"s\":\"\"}}\n", n + 1_000)).collect::<String>();
    shell.land("notes/a.json", &((0..400).map(wide).collect::<String>() + &narrow));
    let ran = shell.run(&["sync"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for (sql, texts) in [
        ("select sum(length(s)) / 1048576 as n from notes", 400),
        ("select sum(length(b.s)) / 1048576 as n from notes as a join notes as b on a.k * 0 = b.id", 2_000),
        ("select sum(length(b.s)) / 1048576 as n from notes as a join notes as b on a.k >= 0 and b.id = 0", 2_000),
        (
            "select sum(length(s)) / 1048576 as n from (select b.s, a.k from notes as a left join notes as b \
             on a.k * 0 = b.id) as j where s > 'a' or k > 7",
            2_000,
        ),
        ("select sum(length(s)) / 1048576 as n from (select s, unnest(l) as e from notes where id < 2) as u", 4_000),
        (
            "select count(*) as n from (select s, unnest(l) as e from notes where id = 2) as u where s > 'a' and e > 9",
            1_990,
        ),
    ] {
        let (code, said, most) = measured(&shell, sql);
        assert_eq!((code, said.as_str()), (Some(0), format!("n\n{texts}\n").as_str()), "{sql}");
        assert!(most < 128 * MEGABYTE + BESIDE, "{sql} took {} MB", most / MEGABYTE);
    }
}

/// A reader holds a row group, a page and a batch, a writer a row several times.
#[test]
fn rows_of_megabytes_are_copied_a_few_at_a_time() {
    let shell = Shell::shop();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"256 MB\"\n"));
    let notes = NOTES.replace("[columns]", "on_overwrite = \"replace\"\n[columns]");
    shell.define("tables/landing/notes.toml", notes + "s = { type = \"string\" }\n");
    shell.define("tables/trusted/copies.toml", "description = \"Copies\"\n");
    shell.define("tables/trusted/copies.sql", "select id, s from notes");
    // Texts without a pattern take as much memory encoded as decoded.
    let mut seed = 7_u64;
    let mut noise = |bytes: usize| {
        let step = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[(seed >> 58) as usize])
        };
        (0..bytes).map(step).collect::<String>()
    };
    let mut file = |ids: std::ops::Range<i32>, bytes: usize| {
        ids.map(|id| format!("{{\"id\":{id},\"s\":\"{}\"}}\n", noise(bytes))).collect::<String>()
    };
    for (what, path, text) in [
        ("the first build", "a", file(0..120, 1 << 20)),
        ("new rows", "b", file(200..320, 1 << 20)),
        ("wider rows", "c", file(400..406, 8 << 20)),
        ("changed rows", "c", file(400..406, 8 << 20)),
    ] {
        shell.land(&format!("notes/{path}.json"), &text);
        let (code, said, most) = run(&shell, &["sync"]);
        assert_eq!(code, Some(0), "{what}: {said}");
        assert!(most < 256 * MEGABYTE + BESIDE, "{what} took {} MB", most / MEGABYTE);
    }
    let sql = "select count(*) as n, sum(length(s)) / 1048576 as mb from copies";
    assert_eq!(measured(&shell, sql).1, "n,mb\n246,288\n");
}

/// How long a text is that the query makes is not known before it runs.
#[test]
fn a_text_that_a_query_makes_and_a_join_repeats_takes_the_memory_of_a_few() {
    let shell = Shell::synced();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"128 MB\"\n"));
    let many = "(select unnest(range(0, 4000)) as i) as a";
    let long = "(select i % 2 as k, string_agg(repeat('x', 500), '' order by i) as s \
                from (select unnest(range(0, 2000)) as i) as r group by i % 2) as b";
    for on in [
        format!("{many} join {long} on a.i % 2 = b.k"),
        format!("{many} left join {long} on a.i % 2 = b.k"),
        format!("{many} join {long} on a.i % 2 = b.k and a.i > b.k - 1"),
        format!("{many} cross join (select s from {long} where k = 0) as c"),
    ] {
        let sql = format!("select sum(length(s)) as n from {on}");
        let (code, said, most) = measured(&shell, &sql);
        assert_eq!((code, said.as_str()), (Some(0), "n\n2000000000\n"), "{sql}");
        assert!(most < 128 * MEGABYTE + BESIDE, "{sql} took {} MB", most / MEGABYTE);
    }
}
