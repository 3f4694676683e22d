//! The keys of `tests/*.toml`: tests of queries. Rows have the keys that are columns of their table.

use super::{Absent, Key, Map, Section, Value, patterns};

pub(in crate::definition) static TESTS: Section = Section {
    header: "tests/NAME.toml",
    doc: "Tests of queries.",
    example: "",
    keys: &[Key {
        name: "test",
        value: Value::Tables(&TEST),
        absent: Absent::Required,
        example: "[[test]]",
        doc: "A test of one derived table.",
        wrong: &[],
    }],
    relations: &[],
};

/// Rows by table.
static ROWS: Map = Map { of: "table", names: patterns::name, value: Value::Any, known: &[], filled: false };

static TEST: Section = Section {
    header: "[[test]]",
    doc: "A test of one derived table.",
    example: "",
    keys: &[
        required("name", "\"what the query is to do\"", "What is tested."),
        required("table", "\"a_derived_table\"", "The derived table whose rows are expected."),
        Key {
            name: "columns",
            value: Value::List { filled: false, of: &Value::Text },
            absent: Absent::Means("all"),
            example: "[\"email\"]",
            doc: "The compared columns.",
            wrong: &[],
        },
        rows("given", "[test.given]", "Rows of tables before the change."),
        rows("insert", "[test.insert]", "Rows that come."),
        rows("delete", "[test.delete]", "Given rows that go."),
        expected("expect", "The rows of the table before the change."),
        expected("expect_after", "Its rows after the change."),
        expected("expect_inserted", "Rows that the change inserts."),
        expected("expect_deleted", "Rows that the change deletes."),
    ],
    relations: &[],
};

const fn required(name: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, value: Value::Text, absent: Absent::Required, example, doc, wrong: &[] }
}

const fn rows(name: &'static str, example: &'static str, doc: &'static str) -> Key {
    Key { name, value: Value::Map(&ROWS), absent: Absent::Means("none"), example, doc, wrong: &[] }
}

const fn expected(name: &'static str, doc: &'static str) -> Key {
    Key { name, value: Value::Any, absent: Absent::Means("not compared"), example: "[]", doc, wrong: &[] }
}
