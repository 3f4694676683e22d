//! The keys of `tables/<zone>/<table>.toml`.

use super::columns::{COLUMN, RESCUED as RESCUED_COLUMN};
use super::words::Words;
use super::{Absent, Key, Map, Relation, Section, Value, patterns, unseen, wrong};
use crate::definition::model::{Action, Format, OnNewField, OnOverwrite, Policy, RESCUED};

/// How a derived table is refreshed.
pub(in crate::definition) static REFRESH: Words<Policy> = Words(&[
    ("auto", Policy::Auto, "incremental where possible, else full"),
    ("incremental", Policy::Incremental, "stop rather than go full; a query that cannot be is a fault"),
    ("full", Policy::Full, "always compute the whole query"),
]);

/// The formats of landing files.
pub(in crate::definition) static FORMAT: Words<Format> =
    Words(&[("json", Format::Json, "objects: one per line, one after the other, or in one array; also compressed")]);

/// How a changed file is treated.
pub(in crate::definition) static ON_OVERWRITE: Words<OnOverwrite> = Words(&[
    ("fail", OnOverwrite::Fail, "stop the table"),
    ("replace", OnOverwrite::Replace, "swap the rows of that file in one commit"),
]);

/// What becomes of fields without a column.
pub(in crate::definition) static ON_NEW_FIELD: Words<OnNewField> = Words(&[
    ("warn", OnNewField::Warn, "drop their values and say so"),
    ("quarantine", OnNewField::Quarantine, "put the record into quarantine"),
    ("ignore", OnNewField::Ignore, "drop their values"),
    ("rescue", OnNewField::Rescue, "keep them as JSON in the column `_rescued`"),
]);

/// What happens to rows that fail an expectation.
pub(in crate::definition) static ACTION: Words<Action> = Words(&[
    ("warn", Action::Warn, "keep it, count it and say so"),
    ("quarantine", Action::Quarantine, "move it to `<table>_quarantine`"),
    ("fail", Action::Fail, "stop the table before it is committed, exit code 3"),
]);

pub(super) static RETENTION: Section = Section {
    header: "[retention]",
    doc: "How long old versions of this table stay; [`vacuum`](vacuum.md) deletes what is older.",
    example: "",
    keys: &[Key {
        name: "history",
        value: Value::Duration,
        absent: Absent::Required,
        example: "\"30 days\"",
        doc: "Versions of this age and younger can be read.",
        wrong: &[wrong(
            "\"a while\"",
            "`history` is \"a while\"",
            "expected a time such as \"30 days\", \"5m\" or \"0s\"",
        )],
    }],
    relations: &[],
};

pub(in crate::definition) static TABLE: Section = Section {
    header: "tables/ZONE/TABLE.toml",
    doc: "A table has the name of its file. With `[source]` it is a landing table; with a query in a `.sql` of the same name it is derived.",
    example: "",
    keys: &[
        Key {
            name: "description",
            value: Value::Filled,
            absent: Absent::Required,
            example: "\"Orders as they arrived\"",
            doc: "What the table holds, for people: a comment in the Delta log and in the catalog.",
            wrong: &[
                wrong("\" \"", "`description` is empty", "write `description = \"Orders as they arrived\"`"),
                wrong("3", "`description` has the wrong type", "found integer 3, expected a string"),
            ],
        },
        Key {
            name: "tags",
            value: Value::List { filled: false, of: &Value::Text },
            absent: Absent::Default("[]"),
            example: "[\"daily\"]",
            doc: "Labels to select by: `sync --select tag:daily`.",
            wrong: &[
                wrong("\"daily\"", "`tags` has the wrong type", "found string, expected a list of strings"),
                wrong("[\"a\", \"a\"]", "`a` is twice in `tags`", "remove one"),
            ],
        },
        Key {
            name: "location",
            value: Value::Location,
            absent: Absent::Means("`<warehouse>/<zone>/<table>`"),
            example: "\"s3://elsewhere/orders\"",
            doc: "A folder of its own, at every target.",
            wrong: &[
                wrong(
                    "\"gs://bucket/t\"",
                    "`location` is a `gs://` address",
                    "expected a folder, `file://...` or `s3://...`",
                ),
                wrong(
                    "\"a%20b\"",
                    "`location` is a path that cannot hold a table",
                    "`%20`: Delta readers take that for an escaped character",
                ),
            ],
        },
        Key {
            name: "refresh",
            value: Value::Words(&REFRESH),
            absent: Absent::Default("\"auto\""),
            example: "\"incremental\"",
            doc: "Derived tables: how a sync brings it up to date. [queries.md](queries.md) says which queries are incremental.",
            wrong: &[wrong(
                "\"incrementel\"",
                "`refresh` is \"incrementel\"",
                "one of \"auto\", \"incremental\", \"full\"",
            )],
        },
        Key {
            name: "primary_key",
            value: Value::List { filled: false, of: &Value::Text },
            absent: Absent::Default("[]"),
            example: "[\"email\"]",
            doc: "Columns that identify a row. They hold no NULL, and no two rows agree in them: every commit checks it.",
            wrong: &[
                unseen("[\"emial\"]", "missing primary_key column `emial`", "did you mean `email`?"),
                unseen(
                    "[\"amount\"]",
                    "`amount` cannot be in a primary key",
                    "a key must compare exactly: floating-point numbers do not",
                ),
            ],
        },
        Key {
            name: "cluster_by",
            value: Value::List { filled: false, of: &Value::Text },
            absent: Absent::Default("[]"),
            example: "[\"email\"]",
            doc: "Columns by which rows are sorted within and across files, so that queries and refreshes skip files.",
            wrong: &[unseen("[\"emial\"]", "missing cluster_by column `emial`", "did you mean `email`?")],
        },
        Key {
            name: "properties",
            value: Value::Map(&Map {
                of: "name",
                names: patterns::property,
                value: Value::Text,
                known: &[],
                filled: false,
            }),
            absent: Absent::Means("none"),
            example: "[properties]",
            doc: "Texts for other programs, in the Delta log and in the catalog: `team = \"shop\"`.",
            wrong: &[
                wrong(
                    "{ \"delta.appendOnly\" = \"true\" }",
                    "`delta.appendOnly` has a meaning to engines",
                    "choose a name of your own, such as `team`",
                ),
                wrong(
                    "{ \"a b\" = \"x\" }",
                    "`a b` cannot be a property",
                    "expected letters, digits, `_`, `.` and `-`, at most 255",
                ),
                wrong("{ team = 3 }", "`team` has the wrong type", "found integer 3, expected a string"),
            ],
        },
        Key {
            name: "source",
            value: Value::Table(&SOURCE),
            absent: Absent::Means("the table is derived: its query is the `.sql` beside"),
            example: "[source]",
            doc: "Landing tables: the files that fill it.",
            wrong: &[],
        },
        Key {
            name: "columns",
            value: Value::Map(&Map {
                of: "column",
                names: patterns::name,
                value: Value::TypeOr(|| &COLUMN),
                known: &[Key {
                    name: RESCUED,
                    value: Value::TypeOr(|| &RESCUED_COLUMN),
                    absent: Absent::Means("as it is with `on_new_field`"),
                    example: "{ type = \"string\", classification = \"none\" }",
                    doc: "Landing tables with `on_new_field = \"rescue\"`: what is said of the column of undeclared fields.",
                    wrong: &[],
                }],
                filled: false,
            }),
            absent: Absent::Means("derived tables: those of the query. Landing tables must have it"),
            example: "[columns]",
            doc: "Landing tables: every column, in order. Derived tables: what columns of the query are; it documents and is checked, it never casts. Each is a type, `id = \"long\"`, or a table, see [below](#columnsname).",
            wrong: &[
                wrong("{ Id = \"long\" }", "`Id` cannot be a column", "a name begins with a letter a-z, found `I`"),
                wrong(
                    "{ id = 3 }",
                    "`id` has the wrong type",
                    "found integer 3, expected a type such as \"string\", or { type = \"string\" }",
                ),
                wrong("{ id = \"lnog\" }", "`lnog` is not a type of this tool", "did you mean `long`?"),
                unseen("{}", "`columns` is empty", "name at least one column"),
                unseen(
                    "{ source_file = \"string\" }",
                    "`source_file` is added to every landing table",
                    "remove this line",
                ),
            ],
        },
        Key {
            name: "grants",
            value: Value::Table(&GRANTS),
            absent: Absent::Means("the table does not record consent"),
            example: "[grants]",
            doc: "Landing tables: this table is the record of consent.",
            wrong: &[],
        },
        Key {
            name: "consent",
            value: Value::Table(&CONSENT),
            absent: Absent::Means("no consent is required"),
            example: "[consent]",
            doc: "Derived tables: whose consent every row requires.",
            wrong: &[],
        },
        Key {
            name: "expectations",
            value: Value::Tables(&EXPECTATION),
            absent: Absent::Means("none"),
            example: "[[expectations]]",
            doc: "Checks on every row.",
            wrong: &[wrong("{}", "`expectations` has the wrong type", "found table, expected [[expectations]]")],
        },
        Key {
            name: "auto_optimize",
            value: Value::Boolean,
            absent: Absent::Means("that of `[defaults]`"),
            example: "false",
            doc: "Whether a sync merges its [small files](optimize.md).",
            wrong: &[],
        },
        Key {
            name: "allow",
            value: Value::List { filled: false, of: &Value::Text },
            absent: Absent::Default("[]"),
            example: "[\"athena/coarse_time\"]",
            doc: "Derived tables: rules whose [notes](reading.md) `check` leaves out.",
            wrong: &[],
        },
        Key {
            name: "retention",
            value: Value::Table(&RETENTION),
            absent: Absent::Means("that of its zone, or of the project"),
            example: "[retention]",
            doc: "How long its old versions stay.",
            wrong: &[],
        },
    ],
    relations: &[
        Relation::Needs("source", "columns"),
        Relation::Needs("grants", "source"),
        Relation::Excludes("refresh", "source"),
        Relation::Excludes("consent", "source"),
        Relation::Excludes("allow", "source"),
    ],
};

pub(super) static SOURCE: Section = Section {
    header: "[source]",
    doc: "The files of a landing table. [landing.md](landing.md) says what a file may hold.",
    example: "",
    keys: &[
        Key {
            name: "path",
            value: Value::Pattern,
            absent: Absent::Required,
            example: "\"folder/*.json\"",
            doc: "The files, under the target's landing root. `*` stays within a folder, `**` crosses folders. Names that begin with `_` or `.` are left out.",
            wrong: &[
                wrong(
                    "\"../x.json\"",
                    "`path` is \"../x.json\"",
                    "expected a path under the target's landing root, such as \"folder/*.json\"",
                ),
                wrong(
                    "\"s3://bucket/*.json\"",
                    "`path` is \"s3://bucket/*.json\"",
                    "expected a path under the target's landing root, such as \"folder/*.json\"",
                ),
                unseen("\"x/[a.json\"", "`path` is \"x/[a.json\"", "unclosed character class; missing ']'"),
            ],
        },
        Key {
            name: "exclude",
            value: Value::List { filled: false, of: &Value::Pattern },
            absent: Absent::Default("[]"),
            example: "[\"folder/**/*.bak.json\"]",
            doc: "Files that are left out.",
            wrong: &[wrong(
                "[\"/abs/*.json\"]",
                "`exclude` is \"/abs/*.json\"",
                "expected a path under the target's landing root, such as \"folder/*.json\"",
            )],
        },
        Key {
            name: "format",
            value: Value::Words(&FORMAT),
            absent: Absent::Required,
            example: "\"json\"",
            doc: "What the files hold.",
            wrong: &[wrong("\"csv\"", "`format` is \"csv\"", "expected \"json\"")],
        },
        Key {
            name: "min_age",
            value: Value::Duration,
            absent: Absent::Means("`\"2s\"` in a folder, which a sync waits for itself; `\"0s\"` on S3"),
            example: "\"5m\"",
            doc: "Younger files wait for the next sync: they may still be written. ms, s, m, h, d.",
            wrong: &[
                wrong("\"2\"", "`min_age` is \"2\"", "expected a time such as \"30 days\", \"5m\" or \"0s\""),
                wrong(
                    "2",
                    "`min_age` has the wrong type",
                    "found integer 2, expected a time such as \"30 days\", \"5m\" or \"0s\"",
                ),
            ],
        },
        Key {
            name: "on_overwrite",
            value: Value::Words(&ON_OVERWRITE),
            absent: Absent::Default("\"fail\""),
            example: "\"replace\"",
            doc: "How a file is treated that changed after it was ingested.",
            wrong: &[wrong("\"replac\"", "`on_overwrite` is \"replac\"", "one of \"fail\", \"replace\"")],
        },
        Key {
            name: "max_quarantined",
            value: Value::Limit,
            absent: Absent::Means("any number"),
            example: "\"5 %\"",
            doc: "Records of one sync that may go to quarantine, as a number or as a share. If there are more, nothing of the table lands.",
            wrong: &[
                wrong(
                    "\"5\"",
                    "`max_quarantined` is neither a number nor a share",
                    "expected a number of records, or a share such as \"5 %\"",
                ),
                wrong(
                    "-1",
                    "`max_quarantined` is neither a number nor a share",
                    "expected a number of records, or a share such as \"5 %\"",
                ),
            ],
        },
        Key {
            name: "on_new_field",
            value: Value::Words(&ON_NEW_FIELD),
            absent: Absent::Default("\"warn\""),
            example: "\"rescue\"",
            doc: "What becomes of [fields without a column](columns.md#fields-without-a-column).",
            wrong: &[wrong(
                "\"drop\"",
                "`on_new_field` is \"drop\"",
                "one of \"warn\", \"quarantine\", \"ignore\", \"rescue\"",
            )],
        },
    ],
    relations: &[],
};

pub(super) static GRANTS: Section = Section {
    header: "[grants]",
    doc: "The record of consent: the newest record of a person decides. [audit-consent.md](audit-consent.md).",
    example: "",
    keys: &[
        Key {
            name: "subjects",
            value: Value::List { filled: true, of: &Value::Text },
            absent: Absent::Required,
            example: "[\"email\"]",
            doc: "Columns by which derived tables may name a person; the first one identifies the person.",
            wrong: &[
                wrong("[]", "`subjects` is empty", "name at least one column"),
                unseen("[\"emial\"]", "missing subjects column `emial`", "did you mean `email`?"),
            ],
        },
        Key {
            name: "granted",
            value: Value::Sql,
            absent: Absent::Required,
            example: "\"consented is not null\"",
            doc: "The condition under which a record grants consent. NULL does not.",
            wrong: &[
                wrong("\"\"", "`granted` is empty", "write `granted = \"consented is not null\"`"),
                unseen("\"consented\"", "this is not a condition", "expected true or false"),
                unseen(
                    "\"count(*) > 1\"",
                    "a condition looks at one row of its table",
                    "remove aggregates and windows",
                ),
            ],
        },
        Key {
            name: "latest",
            value: Value::List { filled: true, of: &Value::Text },
            absent: Absent::Required,
            example: "[\"updated\"]",
            doc: "Columns that order a person's records; the greatest is the newest, NULL the least. On a tie the record that refuses decides.",
            wrong: &[
                wrong("\"updated\"", "`latest` has the wrong type", "found string, expected a list of strings"),
                unseen("[\"updatd\"]", "missing latest column `updatd`", "did you mean `updated`?"),
            ],
        },
    ],
    relations: &[],
};

pub(super) static CONSENT: Section = Section {
    header: "[consent]",
    doc: "Every row needs the consent of the person that it names, in the same cut. [audit-consent.md](audit-consent.md).",
    example: "",
    keys: &[
        Key {
            name: "subject",
            value: Value::Filled,
            absent: Absent::Required,
            example: "\"email\"",
            doc: "The column of this table that names the person.",
            wrong: &[
                wrong("\"\"", "`subject` is empty", "write `subject = \"email\"`"),
                unseen("\"emial\"", "missing consent column `emial`", "did you mean `email`?"),
            ],
        },
        Key {
            name: "names",
            value: Value::Text,
            absent: Absent::Means("the subject of the same name"),
            example: "\"email\"",
            doc: "The subject of the record of consent whose values the column holds.",
            wrong: &[unseen("\"emial\"", "`emial` is no subject of `orders`", "one of `email`")],
        },
        Key {
            name: "by",
            value: Value::Text,
            absent: Absent::Means("the values themselves"),
            example: "\"upper(email)\"",
            doc: "The column holds a pseudonym: this expression over that subject.",
            wrong: &[unseen(
                "\"upper('x')\"",
                "`by` is no pseudonym of `email`",
                "expected an expression over `email` alone, such as `sha256(email)`",
            )],
        },
        Key {
            name: "grants",
            value: Value::Text,
            absent: Absent::Means("the only table with `[grants]`"),
            example: "\"orders\"",
            doc: "The record of consent.",
            wrong: &[unseen("\"ordrs\"", "`ordrs` is no table with `[grants]`", "did you mean `orders`?")],
        },
    ],
    relations: &[],
};

pub(super) static EXPECTATION: Section = Section {
    header: "[[expectations]]",
    doc: "A check on every row. [expectations.md](expectations.md).",
    example: "",
    keys: &[
        Key {
            name: "name",
            value: Value::Name,
            absent: Absent::Required,
            example: "\"amount_present\"",
            doc: "Its name, unique in the table.",
            wrong: &[wrong("\"a b\"", "`a b` cannot be an expectation", "a name holds a-z, 0-9 and `_`, found ` `")],
        },
        Key {
            name: "check",
            value: Value::Sql,
            absent: Absent::Required,
            example: "\"amount is not null\"",
            doc: "A condition on a row. A row fails unless it is true: NULL fails.",
            wrong: &[
                wrong("\"\"", "`check` is empty", "write `check = \"amount is not null\"`"),
                unseen("\"amont > 0\"", "column `amont` is not in this table", "did you mean `amount`?"),
            ],
        },
        Key {
            name: "action",
            value: Value::Words(&ACTION),
            absent: Absent::Required,
            example: "\"fail\"",
            doc: "What happens to a row that fails.",
            wrong: &[wrong("\"wran\"", "`action` is \"wran\"", "one of \"warn\", \"quarantine\", \"fail\"")],
        },
    ],
    relations: &[],
};
