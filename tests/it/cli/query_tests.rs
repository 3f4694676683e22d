//! `test`: tests of queries, as a person reads their results.

use super::shell::Shell;
use crate::support::repository;

/// The people whose newest record consents, and those of them that write notes.
const PASSING: &str = r#"
[[test]]
name = "a refusal ends it"
table = "members"
expect = [{ email = "ann", at = 1 }, { email = "bob", at = 1 }]
expect_after = [{ email = "bob", at = 1 }]
expect_deleted = [{ email = "ann", at = 1 }]
expect_inserted = []
[test.given]
people = [{ email = "ann", shares = 1, at = 1 }, { email = "bob", shares = 1, at = 1 }]
[test.insert]
people = [{ email = "ann", at = 2 }]

[[test]]
name = "a record that goes brings the one before back"
table = "members"
columns = ["email"]
expect = []
expect_after = [{ email = "ann" }]
[test.given]
people = [{ email = "ann", shares = 1, at = 1 }, { email = "ann", at = 2 }]
[test.delete]
people = [{ at = 2 }]
"#;

#[test]
fn what_this_project_ships_passes() {
    let shell = Shell::shop();
    let ran = shell.run(&["test", "--project", repository().to_str().unwrap()]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let first = "\
tests/accelerometer_trusted.toml
  ok      readings of strangers stay out, and equal readings count twice
  ok      a withdrawal deletes the readings of before, and consent brings them back  (incremental, +1 -1)
";
    assert!(ran.out.starts_with(first), "{}", ran.out);
    assert!(ran.out.ends_with("\n\n7 passed\n"), "{}", ran.out);
}

#[test]
fn tests_pass_without_a_lake_and_write_nothing() {
    let shell = Shell::shop();
    shell.define("tests/members.toml", PASSING);
    shell.define("tests/notes.md", "not a test");
    shell.define("tests/other/below.toml", "not a test either");
    let ran = shell.run(&["test"]);
    let expected = "\
tests/members.toml
  ok      a refusal ends it  (incremental, -1)
  ok      a record that goes brings the one before back  (incremental, +1)

2 passed
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
    assert!(shell.warehouse().is_empty());
    let some = shell.run(&["test", "ENDS it"]);
    assert_eq!((some.code, some.out.lines().last()), (0, Some("1 passed")), "{}", some.err);
    assert_eq!(shell.run(&["test", "members"]).out.lines().last(), Some("2 passed"));
    assert_eq!(shell.run(&["test", "tests/members.toml"]).out.lines().last(), Some("2 passed"));
    let none = shell.run(&["test", "nobody"]);
    let expected = "\
error: no test fits `nobody`
  expected   a part of a test's name, a table, or a file of tests/
  next       stedi-delta test   (runs all of them, and names them)
";
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (64, "", expected));
}

#[test]
fn every_difference_is_shown() {
    let shell = Shell::shop();
    shell.define(
        "tests/members.toml",
        r#"[[test]]
name = "wrong everywhere"
table = "members"
expect = [{ email = "ann", at = 1 }, { email = "ann", at = 1 }, { email = "eve" }]
expect_after = []
expect_inserted = [{ email = "bob", at = 3 }]
[test.given]
people = [{ email = "ann", shares = 1, at = 1 }]
[test.insert]
people = [{ email = "bob", shares = 2, at = 2 }]
"#,
    );
    let ran = shell.run(&["test"]);
    let expected = "\
tests/members.toml
  FAILED  wrong everywhere  (incremental, +1)
          tests/members.toml:2:8: expect of members: 2 rows are missing
                        email  at
            missing     ann    1
            missing     eve    NULL
          tests/members.toml:2:8: expect_after of members: 2 rows are not expected
                        email  at
            unexpected  ann    1
            unexpected  bob    2
          tests/members.toml:2:8: expect_inserted of members: 1 row is missing, 1 row is not expected
                        email  at
            missing     bob    3
            unexpected  bob    2

0 passed, 1 failed
";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, expected, ""));
    let coloured = shell.run(&["test", "--color", "always"]).out;
    assert!(coloured.contains("  \u{1b}[1;31mFAILED\u{1b}[0m  wrong everywhere"), "{coloured}");
    assert!(coloured.contains("\u{1b}[31m            missing     ann    1\u{1b}[0m\n"), "{coloured}");
    let document = shell.run(&["test", "--format", "json"]).json();
    assert_eq!((&document["report"], &document["failed"]), (&serde_json::json!("test/1"), &serde_json::json!(1)));
    assert_eq!(document["tests"][0]["failures"][0]["missing"][1], serde_json::json!(["eve", null]));
    assert_eq!(document["tests"][0]["mode"], "incremental");
}

#[test]
fn consent_applies_as_in_the_lake() {
    let shell = Shell::shop();
    shell.define("tables/trusted/members.sql", "select email, at from people");
    shell.define(
        "tests/members.toml",
        "[[test]]\nname = \"everybody\"\ntable = \"members\"\nexpect = [{ email = \"ann\" }, { email = \"bob\" }]\n\
         [test.given]\npeople = [{ email = \"ann\", shares = 1 }, { email = \"bob\" }]\n",
    );
    let ran = shell.run(&["test"]);
    assert_eq!(ran.code, 1);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[1..3], ["  FAILED  everybody", "          tests/members.toml:2:8"], "{}", ran.out);
    assert!(lines[3].starts_with("          error: members would hold"), "{}", ran.out);
    assert_eq!(lines.last(), Some(&"0 passed, 1 failed"));
}

#[test]
fn a_faulty_test_is_a_fault_with_its_place_and_stops_no_sync() {
    let shell = Shell::shop();
    shell.define(
        "tests/members.toml",
        "[[test]]\nname = \"t\"\ntable = \"members\"\nexpect = [{ email = \"ann\", at = \"one\" }]\n",
    );
    let expected = "\
error: `at` has the wrong type
 --> tests/members.toml:4:33
  |
4 | expect = [{ email = \"ann\", at = \"one\" }]
  |                                 ^^^^^ found string, expected an integer of 64 bits

1 error in 1 file; nothing was read or written.
";
    for verb in ["test", "check"] {
        let ran = shell.run(&[verb]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{verb}");
        assert_eq!(ran.err, expected, "{verb}");
    }
    assert_eq!(shell.run(&["sync"]).code, 0);
}

#[test]
fn a_project_without_tests_says_so() {
    let ran = Shell::shop().run(&["test"]);
    let hint = "There are no tests: write tests/NAME.toml (docs/testing.md).\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "0 passed\n", hint));
}
