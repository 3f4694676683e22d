//! The keys of a column, and of a field of a struct.

use super::words::Words;
use super::{Absent, Key, Map, Section, Value, patterns, unseen, wrong};
use crate::definition::reading::TimeFormat;

/// Whether values are personal data.
pub(in crate::definition) static CLASSIFICATION: Words<bool> = Words(&[
    ("pii", true, "personal data: no value of it appears outside the tables"),
    ("none", false, "not personal, although it is `json`"),
]);

/// How times are written as numbers.
pub(in crate::definition) static TIMES: Words<TimeFormat> = Words(&[
    ("epoch_s", TimeFormat::EpochSeconds, "seconds since 1970"),
    ("epoch_ms", TimeFormat::EpochMillis, "milliseconds since 1970"),
    ("epoch_us", TimeFormat::EpochMicros, "microseconds since 1970"),
]);

const TYPE: Key = Key {
    name: "type",
    value: Value::Type,
    absent: Absent::Required,
    example: "\"string\"",
    doc: "The [type](columns.md). `struct`, `array<struct>` and `map<string,struct>` go with `fields`.",
    wrong: &[
        wrong("\"varchar\"", "`varchar` is not a type of this tool", "write `string`"),
        wrong("\"\"", "`type` is empty", "write `type = \"string\"`"),
        unseen(
            "\"decimal(40,2)\"",
            "`decimal(40,2)` is not a type of this tool",
            "expected `decimal(p,s)` with p from 1 to 38 and s from 0 to p",
        ),
        unseen("\"array<text>\"", "`array<text>` is not a type of this tool", "`text`: write `string`"),
    ],
};

const DESCRIPTION: Key = Key {
    name: "description",
    value: Value::Text,
    absent: Absent::Default("\"\""),
    example: "\"Where it was sent\"",
    doc: "What it holds, for people: a comment in the Delta log and in the catalog.",
    wrong: &[wrong("[]", "`description` has the wrong type", "found list, expected a string")],
};

const CLASSIFIED: Key = Key {
    name: "classification",
    value: Value::Words(&CLASSIFICATION),
    absent: Absent::Means("not personal; `json` is, and a column that a query computes from one that is"),
    example: "\"pii\"",
    doc: "Whether values are personal data.",
    wrong: &[wrong("\"secret\"", "`classification` is \"secret\"", "one of \"pii\", \"none\"")],
};

const FROM: Key = Key {
    name: "from",
    value: Value::OneOrMore,
    absent: Absent::Means("the field of its own name"),
    example: "[\"detail-type\", \"detail.type\"]",
    doc: "Landing tables: the fields of a record in which it is found, the first one that is not NULL counts. A name with dots is also a [path](columns.md#where-a-column-is-found).",
    wrong: &[
        wrong("\"\"", "`from` is empty", "write the name of a field"),
        wrong("[]", "`from` is empty", "write the name of a field"),
        wrong("3", "`from` has the wrong type", "found integer 3, expected a string or a list of strings"),
    ],
};

const TIME_FORMAT: Key = Key {
    name: "format",
    value: Value::Words(&TIMES),
    absent: Absent::Means("a text of RFC 3339"),
    example: "\"epoch_ms\"",
    doc: "Landing tables: how a `timestamp` is written as a number.",
    wrong: &[wrong("\"epoch\"", "`format` is \"epoch\"", "one of \"epoch_s\", \"epoch_ms\", \"epoch_us\"")],
};

const FIELDS: Key = Key {
    name: "fields",
    value: Value::Map(&Map {
        of: "field",
        names: patterns::name,
        value: Value::TypeOr(|| &FIELD),
        known: &[],
        filled: true,
    }),
    absent: Absent::Means("the type says it: `struct<city:string>`"),
    example: "fields = { city = \"string\" }",
    doc: "The fields of a struct, one by one: each a type, or a table with keys of its own, see below.",
    wrong: &[
        wrong("{}", "`fields` is empty", "name at least one field"),
        wrong("[]", "`fields` has the wrong type", "found list, expected a table"),
        wrong("{ City = \"string\" }", "`City` cannot be a field", "a name begins with a letter a-z, found `C`"),
    ],
};

pub(in crate::definition) static COLUMN: Section = Section {
    header: "[columns.NAME]",
    doc: "A column that is more than its type. Usually written in one line: `email = { type = \"string\", classification = \"pii\" }`.",
    example: "[columns]\nid = \"long\"\nemail = { type = \"string\", nullable = false, description = \"Where it was sent\", classification = \"pii\" }\nat = { type = \"timestamp\", format = \"epoch_ms\" }\nkind = { type = \"string\", from = [\"detail-type\", \"detail.type\"] }\naddress = { type = \"struct\", fields = { city = \"string\", zip = { type = \"string\", from = \"zip-code\" } } }\n",
    keys: &[
        TYPE,
        Key {
            name: "nullable",
            value: Value::Boolean,
            absent: Absent::Default("true"),
            example: "false",
            doc: "Whether NULL may be stored. A landing record without a value goes to quarantine; a query that gives one stops its table.",
            wrong: &[wrong("\"no\"", "`nullable` has the wrong type", "found string, expected true or false")],
        },
        DESCRIPTION,
        CLASSIFIED,
        FROM,
        TIME_FORMAT,
        FIELDS,
    ],
    relations: &[],
};

/// A field of a struct.
pub(super) static FIELD: Section = Section {
    header: "fields.NAME",
    doc: "A field of a struct that is more than its type.",
    example: "[columns.address]\ntype = \"struct\"\n[columns.address.fields]\ncity = \"string\"\nzip = { type = \"string\", from = \"zip-code\", classification = \"pii\" }\n",
    keys: &[TYPE, CLASSIFIED, FROM, TIME_FORMAT, FIELDS],
    relations: &[],
};

/// The column of undeclared fields.
pub(super) static RESCUED: Section = Section {
    header: "[columns._rescued]",
    doc: "Landing tables with `on_new_field = \"rescue\"` have this column, declared or not. It is personal data unless it says otherwise.",
    example: "[columns]\nid = \"long\"\n_rescued = { type = \"string\", description = \"Fields to look at\", classification = \"none\" }\n",
    keys: &[
        Key {
            name: "type",
            value: Value::Type,
            absent: Absent::Required,
            example: "\"string\"",
            doc: "Always `string`: it holds JSON as text.",
            wrong: &[unseen("\"long\"", "`_rescued` is a string", "write `string`: it holds JSON as text")],
        },
        DESCRIPTION,
        CLASSIFIED,
    ],
    relations: &[],
};
