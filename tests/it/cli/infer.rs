//! `infer`: what it prints, and what it refuses.

use super::shell::Shell;

/// A project without tables, and files of orders in it.
fn project() -> Shell {
    let shell = Shell::shop();
    for path in [
        "tables/landing/people.toml",
        "tables/landing/notes.toml",
        "tables/trusted/members.toml",
        "tables/trusted/members.sql",
    ] {
        std::fs::remove_file(shell.project().join(path)).unwrap();
    }
    shell.land(
        "orders/2026-11-01.json",
        "{\"order_id\": 1, \"email\": \"ann@example.com\", \"placed-at\": \"2026-11-01T08:00:00Z\", \
         \"items\": [{\"sku\": \"a\", \"qty\": 1, \"price\": 2.5}], \"total\": 2.5}\n\
         {\"order_id\": 2, \"email\": \"bob@example.com\", \"placed-at\": \"2026-11-01T09:00:00Z\", \
         \"items\": [], \"total\": 0}\nnot json\n",
    );
    shell
}

#[test]
fn a_definition_is_written_and_the_next_commands_work() {
    let shell = project();
    let ran = shell.run_in(&shell.project(), &[("COLUMNS", "80")], &["infer", "l/orders/*.json"]);
    let expected = "\
tables/landing/orders_landing.toml: 5 columns
from 3 records, 259 B: all of 1 file

  order_id   long
  email      string                      pii: its values look like e-mail
                                         addresses
  placed_at  timestamp                   from `placed-at`
  items      array<struct<sku:string,q…
  total      decimal(18,2)

perhaps keys: order_id, email

2 of 3 records land, 1 in quarantine:
  1 x not JSON: expected ident
      orders/2026-11-01.json at byte 250
";
    let next = "Next: read tables/landing/orders_landing.toml, then stedi-delta sync\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, next));
    let text = "\
# Drafted by `stedi-delta infer` from 2 records of 1 file.
description = \"Orders, as they arrived\"

[source]
path = \"orders/*.json\"
format = \"json\"

# Without a repeated or missing value in the sample, so perhaps keys of the tables that read this one:
#   primary_key = [\"order_id\"]
#   primary_key = [\"email\"]

[columns]
order_id = \"long\"
email = { type = \"string\", classification = \"pii\" }  # personal data: its values look like e-mail addresses
placed_at = { type = \"timestamp\", from = \"placed-at\" }
items = \"array<struct<sku:string,qty:long,price:decimal(18,2)>>\"
total = \"decimal(18,2)\"
";
    assert_eq!(shell.definition("tables/landing/orders_landing.toml"), text);
    assert_eq!(shell.run(&["check"]).out, "shop: 1 table in 2 zones, no errors.\n");
    let synced = shell.run(&["sync"]);
    assert!(
        synced.code == 0 && synced.out.contains("new -> v0        2 rows     1 file, 1 record in quarantine"),
        "{}",
        synced.out
    );
    let again = shell.run(&["infer", "l/orders/2026-11-01.json"]);
    assert_eq!(
        again.out.lines().next(),
        Some("tables/landing/orders_landing.toml fits; nothing to change"),
        "{}",
        again.err
    );
}

#[test]
fn a_definition_is_printed_on_request_and_nothing_is_written() {
    let shell = project();
    let ran = shell.run(&["infer", "l/orders", "--print", "--table", "trusted.o"]);
    assert!(ran.code == 0 && ran.out.contains("[columns]\norder_id = \"long\"\n"), "{}", ran.err);
    assert!(ran.out.contains("path = \"orders/*.json\"\n"), "{}", ran.out);
    assert!(!shell.project().join("tables/trusted/o.toml").exists());
    let document = shell.run(&["infer", "l/orders/*.json", "--print", "--format", "json"]).json();
    assert_eq!((&document["report"], &document["action"]), (&"infer/1".into(), &"printed".into()));
    assert_eq!((&document["fate"]["landed"], &document["fate"]["quarantined"]), (&2.into(), &1.into()));
}

#[test]
fn new_fields_are_proposed_as_an_edit_of_the_definition() {
    let shell = project();
    assert_eq!(shell.run(&["infer", "l/orders/*.json"]).code, 0);
    shell.land("orders/2026-11-02.json", "{\"order_id\": 3, \"total\": 1.125, \"coupon\": \"X\"}\n");
    let ran = shell.run(&["infer", "l/orders/*.json"]);
    let expected = "\
tables/landing/orders_landing.toml needs 2 changes
from 4 records, 306 B: all of 2 files

  changes  total  decimal(18,2) -> decimal(19,3)
  new      coupon  string

--- tables/landing/orders_landing.toml
-total = \"decimal(18,2)\"
+total = \"decimal(19,3)\"
+coupon = \"string\"

without this 2 would land, with it 3 of 4 records land, 1 in quarantine:
  1 x not JSON: expected ident
      orders/2026-11-01.json at byte 250
";
    let next = "Next: stedi-delta infer 'l/orders/*.json' --write\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, next));
    let ran = shell.run(&["infer", "l/orders/*.json", "--write"]);
    assert_eq!(ran.out.lines().next(), Some("tables/landing/orders_landing.toml is edited: 2 changes"), "{}", ran.err);
    assert!(
        shell
            .definition("tables/landing/orders_landing.toml")
            .ends_with("total = \"decimal(19,3)\"\ncoupon = \"string\"\n")
    );
}

#[test]
fn what_is_not_under_the_landing_root_is_refused_with_what_to_type() {
    let shell = project();
    shell.define("other/clicks/a.json", "{\"id\": 1}\n");
    for (args, code, expected) in [
        (
            &["infer", "other/clicks/*.json"][..],
            64,
            "error: `other/clicks/*.json` is not under the landing root of target `dev`\n  \
             landing    <folder>/project/l\n  \
             next       move the files there, or name their folder as the root: stedi-delta infer 'other/clicks/*.json' \
             --landing <folder>/project/other/clicks\n",
        ),
        (
            &["infer", "orders/*.json"],
            64,
            "error: `orders/*.json` is not under the landing root of target `dev`\n  \
             landing    <folder>/project/l\n  next       stedi-delta infer 'l/orders/*.json'\n",
        ),
        (
            &["infer", "s3://bucket/orders/*.json"],
            64,
            "error: `s3://bucket/orders/*.json` is not under the landing root of target `dev`\n  \
             landing    <folder>/project/l\n  \
             next       move the files there, or name their folder as the root: stedi-delta infer \
             's3://bucket/orders/*.json' --landing s3://bucket/orders\n",
        ),
        (
            &["infer", "l/none/*.json"],
            1,
            "error: no file fits `none/*.json`\n  landing    <folder>/project/l\n  \
             next       check the pattern; files whose names begin with `_` or `.` are never read\n",
        ),
        (
            &["infer", "l/orders/*.json", "--table", "landng.o"],
            64,
            "error: `landng` is no zone of this project\n  next       did you mean `--table landing.o`?\n",
        ),
        (
            &["infer", "l/orders/*.json", "--table", "landing.My Orders"],
            64,
            "error: `landing.My Orders` cannot be a table: a name begins with a letter a-z, found `M`\n",
        ),
        (
            &["infer", "l/orders/*.json", "--sample", "1"],
            64,
            "error: a sample of 1 bytes says nothing\n  next       write --sample 32MB\n",
        ),
    ] {
        let ran = shell.run(args);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (code, "", expected), "{args:?}");
    }
    // What was suggested works.
    let landing = shell.project().join("other/clicks");
    let ran = shell.run(&["infer", "other/clicks/*.json", "--landing", landing.to_str().unwrap()]);
    assert_eq!(
        (ran.code, ran.out.lines().next()),
        (0, Some("tables/landing/clicks_landing.toml: 1 column")),
        "{}",
        ran.err
    );
}

#[test]
fn files_without_a_record_and_tables_of_another_kind_are_refused() {
    let shell = Shell::shop();
    shell.land("x/a.json", "[1, 2]\n");
    let ran = shell.run(&["infer", "l/x/*.json"]);
    let expected = "\
error: no record could be read
  files      x/a.json
  found      x/a.json at byte 1: a record must be an object, found a number
  expected   JSON objects: one per line, or in one array (docs/landing.md)
";
    assert_eq!((ran.code, ran.err.as_str()), (1, expected));
    shell.land("x/b.json", "{\"id\": 1}\n");
    let ran = shell.run(&["infer", "l/x/*.json", "--table", "members"]);
    let expected = "\
error: `members` is a derived table
  definition  tables/trusted/members.toml
  next        name the landing table: --table ZONE.NAME
";
    assert_eq!((ran.code, ran.err.as_str()), (64, expected));
    let ran = shell.run(&["infer", "l/x/*.json", "--table", "notes"]);
    let expected = "\
error: `notes` does not read `x/a.json`
  path        notes/*.json
  definition  tables/landing/notes.toml
  next        name another table: --table ZONE.NAME, or write another `path` there
";
    assert_eq!((ran.code, ran.err.as_str()), (64, expected));
}

#[test]
fn a_number_inside_an_array_is_widened_by_what_is_drafted() {
    let shell = project();
    shell.land("a/1.json", "{\"items\": [{\"v\": 1}, {\"v\": null}], \"s\": {\"v\": 3}}\n");
    shell.run(&["infer", "l/a/*.json"]).fine();
    shell.run(&["sync"]).fine();
    shell.land("a/2.json", "{\"items\": [{\"v\": 1.5}], \"s\": {\"v\": 3}}\n");
    shell.run(&["infer", "l/a/*.json", "--write"]).fine();
    let ran = shell.run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let drafted = shell.run(&["migrate", "new", "widen"]).fine().out;
    let statement = "alter table a_landing alter column items type array<struct<v:double>> using arrow_cast(items, \
                     'List(Struct(\"v\": Float64), field: ''element'')');";
    assert!(drafted.contains(statement), "{drafted}");
    shell.run(&["check"]).fine();
    shell.run(&["sync"]).fine();
    let rows =
        shell.run(&["query", "select items from a_landing order by source_file", "--format", "ndjson"]).fine().out;
    assert_eq!(rows, "{\"items\":[{\"v\":1.0},{\"v\":null}]}\n{\"items\":[{\"v\":1.5}]}\n");
}

#[test]
fn files_that_come_later_are_matched_and_fields_that_are_years_are_columns() {
    let shell = project();
    for day in 1..=3 {
        shell.land(&format!("f/f-2001-01-0{day}.json"), "{\"2020\": 5, \"3d\": \"x\", \"id\": 1}\n");
    }
    let ran = shell.run(&["infer", "l/f"]).fine();
    assert!(ran.out.starts_with("tables/landing/f_landing.toml: 3 columns\n"), "{}", ran.out);
    let text = shell.definition("tables/landing/f_landing.toml");
    assert!(text.contains("path = \"f/*.json\"\n"), "{text}");
    assert!(text.contains("n2020 = { type = \"long\", from = \"2020\" }\n"), "{text}");
    shell.run(&["sync"]).fine();
    shell.land("f/later.json", "{\"2020\": 6, \"new\": 1}\n");
    shell.run(&["sync"]).fine();
    let edited = shell.run(&["infer", "l/f", "--write"]).fine();
    assert_eq!(edited.err, "Next: stedi-delta sync --reload f_landing\n");
    shell.run(&["sync", "--reload", "f_landing"]).fine();
    let rows =
        shell.run(&["query", "select sum(n2020) as s, sum(new) as n from f_landing", "--format", "csv"]).fine().out;
    assert_eq!(rows, "s,n\n21,1\n");
}
