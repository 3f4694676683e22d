//! Tests of queries as read from TOML, with literal faults.

use std::path::Path;
use std::sync::Arc;

use deltalake::arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::definition::project;

const PROJECT: &str =
    "name = \"demo\"\nzones = [\"landing\", \"trusted\"]\n[targets.dev]\nlanding = \"in\"\nwarehouse = \"out\"\n";

const ORDERS: &str = "description = \"Orders\"\n[source]\npath = \"orders/*.json\"\nformat = \"json\"\n[columns]\n\
                      id = { type = \"long\", nullable = false }\nat = \"timestamp\"\nday = \"date\"\nprice = \"decimal(6,2)\"\n\
                      small = \"byte\"\nraw = \"binary\"\ntags = \"array<string>\"\n\
                      address = \"struct<city:string,zip:int>\"\nprices = \"map<string,double>\"\nis_open = \"boolean\"\n";

fn project() -> Project {
    let files = [
        ("stedi-delta.toml", PROJECT),
        ("tables/landing/orders.toml", ORDERS),
        (
            "tables/landing/others.toml",
            "description = \"Others\"\n[source]\npath = \"o/*.json\"\nformat = \"json\"\n[columns]\nn = \"long\"\n",
        ),
        ("tables/trusted/dear.toml", "description = \"Dear orders\"\n"),
        ("tables/trusted/dear.sql", "select id, price from orders where price > 10"),
        ("tables/trusted/dearer.toml", "description = \"Dearer orders\"\n"),
        ("tables/trusted/dearer.sql", "select id, price from dear where price > 100"),
    ];
    let files: Vec<Arc<SourceFile>> =
        files.iter().map(|(path, text)| Arc::new(SourceFile { path: path.into(), text: (*text).to_owned() })).collect();
    project::check(Path::new("/p"), &files).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn read(text: &str) -> (Vec<Case>, Vec<String>) {
    let file = Arc::new(SourceFile { path: "tests/orders.toml".into(), text: text.to_owned() });
    let mut faults = Faults::default();
    let cases = of_file(&file, &project(), &mut faults);
    let line = |fault: Fault| {
        let at = fault.place.as_ref().map(Place::line_column).unwrap_or_default();
        format!("{}:{} {} | {}", at.0, at.1, fault.message, fault.label)
    };
    (cases, faults.into_sorted().into_iter().map(line).collect())
}

/// The faults of a test of `dear` with these lines.
fn faults(lines: &str) -> Vec<String> {
    read(&format!("[[test]]\nname = \"t\"\ntable = \"dear\"\n{lines}")).1
}

#[test]
fn values_have_the_types_of_their_columns() {
    let (cases, faults) = read(
        r#"[[test]]
name = "all types"
table = "dear"
expect = [{ id = 1, price = "12.5" }, {}]
[test.given]
orders = [
  { id = 1, at = "2026-11-20T10:00:00+02:00", day = "2026-11-20", price = "-12.50", small = -7, raw = "00fF",
    tags = ["a", "b"], address = { city = "Rome" }, prices = { list = 1, net = 0.5 }, is_open = true },
  { id = 2, at = 2026-11-20 08:00:00.000001, day = 2026-11-20, price = 3 },
]
[test.insert]
orders = [{ id = 3, source_file = "a.json", source_offset = 7 }]
[test.delete]
orders = [{ price = "3.00" }]
"#,
    );
    assert_eq!(faults, Vec::<String>::new());
    let [case] = cases.as_slice() else { panic!("{cases:?}") };
    let orders = TableName::parse("orders").expect("a name");
    let shown = |batch: &RecordBatch| pretty_format_batches(std::slice::from_ref(batch)).expect("texts").to_string();
    assert_eq!(
        shown(&case.given[&orders]),
        "\
+----+-----------------------------+------------+--------+-------+------+--------+---------------------+-----------------------+---------+-------------+---------------+
| id | at                          | day        | price  | small | raw  | tags   | address             | prices                | is_open | source_file | source_offset |
+----+-----------------------------+------------+--------+-------+------+--------+---------------------+-----------------------+---------+-------------+---------------+
| 1  | 2026-11-20T08:00:00Z        | 2026-11-20 | -12.50 | -7    | 00ff | [a, b] | {city: Rome, zip: } | {list: 1.0, net: 0.5} | true    | given       | 0             |
| 2  | 2026-11-20T08:00:00.000001Z | 2026-11-20 | 3.00   |       |      |        |                     |                       |         | given       | 1             |
+----+-----------------------------+------------+--------+-------+------+--------+---------------------+-----------------------+---------+-------------+---------------+"
    );
    assert_eq!(
        shown(case.rows.as_ref().expect("rows")),
        "+----+-------+\n| id | price |\n+----+-------+\n| 1  | 12.50 |\n|    |       |\n+----+-------+"
    );
    let change = &case.change.as_ref().expect("a change")[&orders];
    assert_eq!((change.inserted.num_rows(), change.deleted.as_slice()), (1, [1].as_slice()));
    assert!(shown(&change.inserted).contains("| a.json      | 7 "));
}

#[test]
fn every_fault_has_its_place() {
    for (lines, expected) in [
        ("", "1:1 this test expects nothing | add `expect = [...]`"),
        ("expect = []\nexpct = []", "5:1 unknown key `expct` | did you mean `expect`?"),
        ("expect = [{ prise = \"1\" }]", "4:13 column `prise` is not in dear | did you mean `price`?"),
        (
            "columns = [\"id\"]\nexpect = [{ price = \"1\" }]",
            "5:13 `price` is not compared | it is not among `columns` of this test",
        ),
        ("columns = [\"ids\"]\nexpect = []", "4:12 column `ids` is not in dear | did you mean `id`?"),
        (
            "expect = [{ price = 1.5 }]",
            "4:21 `price` has the wrong type | found number 1.5, expected a decimal(6,2) as a string, such as \"7.55\"",
        ),
        (
            "expect = [{ price = \"1.555\" }]",
            "4:21 `price` cannot be read | expected a decimal(6,2) as a string, such as \"7.55\"",
        ),
        (
            "expect = [{ price = \"12345.5\" }]",
            "4:21 `price` cannot be read | expected a decimal(6,2) as a string, such as \"7.55\"",
        ),
        ("expect = [{ id = \"1\" }]", "4:18 `id` has the wrong type | found string, expected an integer of 64 bits"),
        (
            "expect = []\n[test.given]\norders = [{ id = 1, small = 128 }]",
            "6:29 `small` has the wrong type | found integer 128, expected an integer of 8 bits",
        ),
        (
            "expect = []\n[test.given]\norders = [{ id = 1, day = \"20.11.2026\" }]",
            "6:27 `day` cannot be read | expected a date such as \"2026-11-20\"",
        ),
        (
            "expect = []\n[test.given]\norders = [{ id = 1, at = \"noon\" }]",
            "6:26 `at` cannot be read | expected a time such as \"2026-11-20T08:14:02Z\"",
        ),
        ("expect = []\n[test.given]\norders = [{ small = 1 }]", "6:11 `id` is missing | orders allows no NULL in it"),
        (
            "expect = []\n[test.given]\norders = [{ id = 1, address = { town = \"Rome\" } }]",
            "6:33 there is no field `town` | one of `city`, `zip`",
        ),
        (
            "expect = []\n[test.given]\norders = 1",
            "6:10 `orders` has the wrong type | found integer 1, expected a list",
        ),
        (
            "expect = []\n[test.given]\nordres = []",
            "6:1 table `ordres` is not in this project | did you mean `orders`?",
        ),
        (
            "expect = []\n[test.given]\nothers = []",
            "6:1 table `others` is not read for this test | did you mean `orders`?",
        ),
        ("expect = []\nexpect_after = []", "5:1 `expect_after` needs a change | add rows under `insert` or `delete`"),
        ("[test.delete]\norders = [{ id = 1 }]", "5:11 no given row has these values | only a given row can go"),
        ("[test.delete]\norders = [{ }]", "5:11 this names no row | write the values by which the rows are found"),
    ] {
        assert_eq!(faults(lines), [expected], "{lines}");
    }
}

#[test]
fn names_are_unique_and_tables_derived() {
    let (_, found) = read(
        "[[test]]\nname = \"t\"\ntable = \"dear\"\nexpect = []\n[[test]]\nname = \"t\"\ntable = \"dear\"\nexpect = []\n",
    );
    assert_eq!(found, ["6:8 two tests are called \"t\" | choose another name"]);
    let (_, found) = read("[[test]]\nname = \"t\"\ntable = \"orders\"\nexpect = []\n");
    assert_eq!(found, ["3:9 `orders` is a landing table | a test is of a table with a query"]);
    let (_, found) = read("[[test]]\nname = \"t\"\ntable = \"deer\"\nexpect = []\n");
    assert_eq!(found, ["3:9 table `deer` is not in this project | did you mean `dear`?"]);
    let (_, found) = read("[[tests]]\nname = \"t\"\n");
    assert_eq!(found, ["1:1 `test` is missing | add `[[test]]`", "1:3 unknown key `tests` | did you mean `test`?"]);
    let (_, found) = read("[[test]]\nname = \"t\"\ntable = \"dearer\"\n[test.insert]\ndear = [{ id = 1 }]\n");
    assert_eq!(
        found,
        [
            "5:1 `dear` is computed here, so no row of it comes or goes by itself | change a table that it reads, or add `dear = []` under `given`"
        ]
    );
}
