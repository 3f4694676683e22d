//! The keys of `stedi-delta.toml`.

use super::words::Words;
use super::{Absent, Key, Map, Relation, Section, Value, patterns, unseen, wrong};

/// What happens to a pin with rows of people whose consent has ended; `true` = it ends.
pub(in crate::definition) static ON_WITHDRAWAL: Words<bool> =
    Words(&[("keep", false, "`pins` counts these people"), ("unpin", true, "the next sync ends the pin")]);

/// S3's names of its encryption modes.
pub(in crate::definition) static ENCRYPTION: Words<&str> = Words(&[
    ("AES256", "AES256", "keys of S3"),
    ("aws:kms", "aws:kms", "a key of KMS"),
    ("aws:kms:dsse", "aws:kms:dsse", "a key of KMS, in two layers"),
]);

pub(in crate::definition) static PROJECT: Section = Section {
    header: "stedi-delta.toml",
    doc: "The file that makes a folder a project. Commands look for it in the current folder and in those above.",
    example: "",
    keys: &[
        Key {
            name: "name",
            value: Value::Name,
            absent: Absent::Required,
            example: "\"my_project\"",
            doc: "The project's name. It is also the database in the catalog, unless a target names another one.",
            wrong: &[
                wrong("\"My project\"", "`name` is \"My project\"", "a name begins with a letter a-z, found `M`"),
                wrong("\"my-project\"", "`name` is \"my-project\"", "a name holds a-z, 0-9 and `_`, found `-`"),
                wrong("\"\"", "`name` is empty", "write `name = \"my_project\"`"),
            ],
        },
        Key {
            name: "zones",
            value: Value::List { filled: true, of: &Value::Zone },
            absent: Absent::Required,
            example: "[\"landing\", \"trusted\", \"curated\"]",
            doc: "The zones in the order in which data flows. Each is a folder under `tables/`, and a folder of the warehouse.",
            wrong: &[
                wrong("[]", "`zones` is empty", "name at least one zone"),
                wrong("[\"landing\", \"landing\"]", "`landing` is twice in `zones`", "remove one"),
                wrong("[\"landing\", \"Big\"]", "`Big` cannot be a zone", "a name begins with a letter a-z, found `B`"),
                wrong("[\"landing\", \"system\"]", "zone `system` is reserved", "choose another name"),
            ],
        },
        Key {
            name: "default_target",
            value: Value::Text,
            absent: Absent::Means("the only target; needed if there are several"),
            example: "\"dev\"",
            doc: "The target of commands without `--target`.",
            wrong: &[unseen("\"dve\"", "target `dve` is not in this project", "did you mean `dev`?")],
        },
        Key {
            name: "defaults",
            value: Value::Table(&DEFAULTS),
            absent: Absent::Means("every key of it at its default"),
            example: "[defaults]",
            doc: "Settings of all commands.",
            wrong: &[],
        },
        Key {
            name: "allow",
            value: Value::List { filled: false, of: &Value::Text },
            absent: Absent::Default("[]"),
            example: "[\"athena/coarse_time\"]",
            doc: "Rules whose [notes](reading.md) `check` leaves out.",
            wrong: &[unseen(
                "[\"athena/coarse_tim\"]",
                "there is no rule `athena/coarse_tim`",
                "did you mean `athena/coarse_time`?",
            )],
        },
        Key {
            name: "retention",
            value: Value::Table(&RETENTION),
            absent: Absent::Means("every key of it at its default"),
            example: "[retention]",
            doc: "How long old versions stay; [`vacuum`](vacuum.md) deletes what is older.",
            wrong: &[],
        },
        Key {
            name: "notify",
            value: Value::Table(&NOTIFY),
            absent: Absent::Means("nobody is told"),
            example: "[notify]",
            doc: "Whom a sync tells of its result, with its report as JSON.",
            wrong: &[],
        },
        Key {
            name: "pins",
            value: Value::Table(&PINS),
            absent: Absent::Means("every key of it at its default"),
            example: "[pins]",
            doc: "Settings of [pins](pins.md).",
            wrong: &[],
        },
        Key {
            name: "targets",
            value: Value::Map(&Map {
                of: "name",
                names: patterns::name,
                value: Value::Table(&TARGET),
                known: &[],
                filled: true,
            }),
            absent: Absent::Required,
            example: "[targets.dev]",
            doc: "Where the project lives: one table per target.",
            wrong: &[
                wrong("{}", "`targets` is empty", "add `[targets.dev]`"),
                wrong(
                    "{ Dev = { landing = \"a\", warehouse = \"b\" } }",
                    "`Dev` cannot be a target",
                    "a name begins with a letter a-z, found `D`",
                ),
            ],
        },
    ],
    relations: &[],
};

pub(in crate::definition) static DEFAULTS: Section = Section {
    header: "[defaults]",
    doc: "Settings of all commands.",
    example: "",
    keys: &[
        Key {
            name: "memory_limit",
            value: Value::Size,
            absent: Absent::Default("\"2 GB\""),
            example: "\"512 MB\"",
            doc: "The memory that queries and writers may hold; what does not fit is [spilled](memory.md) to disk. A number of bytes, or a text with KB, MB, GB or TB, which are powers of 1024.",
            wrong: &[
                wrong(
                    "\"2 parsecs\"",
                    "`memory_limit` is not a size",
                    "expected a size such as \"512 MB\" or \"2 GB\"",
                ),
                wrong("\"1.5 GB\"", "`memory_limit` is not a size", "expected a size such as \"512 MB\" or \"2 GB\""),
                wrong("0", "`memory_limit` is not a size", "expected a size such as \"512 MB\" or \"2 GB\""),
                unseen(
                    "\"99999999999 TB\"",
                    "`memory_limit` is not a size",
                    "expected a size such as \"512 MB\" or \"2 GB\"",
                ),
            ],
        },
        Key {
            name: "target_file_size",
            value: Value::Size,
            absent: Absent::Default("\"32 MB\""),
            example: "\"64 MB\"",
            doc: "The size at which a data file is closed and the next one begins.",
            wrong: &[wrong(
                "1.5",
                "`target_file_size` has the wrong type",
                "found number 1.5, expected a size such as \"512 MB\" or \"2 GB\"",
            )],
        },
        Key {
            name: "spill_folder",
            value: Value::Folder,
            absent: Absent::Means("`TMPDIR`, or `/tmp`"),
            example: "\"/scratch\"",
            doc: "The folder for rows that do not fit into memory, on a local disk. Relative to the project.",
            wrong: &[wrong(
                "\"s3://bucket\"",
                "`spill_folder` is \"s3://bucket\"",
                "expected a folder of this machine",
            )],
        },
        Key {
            name: "auto_optimize",
            value: Value::Boolean,
            absent: Absent::Default("true"),
            example: "false",
            doc: "Whether a sync merges [small files](optimize.md) after its work.",
            wrong: &[],
        },
        Key {
            name: "require_consent",
            value: Value::List { filled: false, of: &Value::Text },
            absent: Absent::Default("[]"),
            example: "[\"curated\"]",
            doc: "Zones whose tables must have [`[consent]`](#consent) if one of their columns is personal data.",
            wrong: &[unseen("[\"landin\"]", "`landin` is no zone of this project", "did you mean `landing`?")],
        },
    ],
    relations: &[],
};

pub(in crate::definition) static RETENTION: Section = Section {
    header: "[retention]",
    doc: "How long old versions stay; [`vacuum`](vacuum.md) deletes what is older. Nothing else does.",
    example: "",
    keys: &[
        Key {
            name: "history",
            value: Value::Duration,
            absent: Absent::Default("\"30 days\""),
            example: "\"90 days\"",
            doc: "Versions of this age and younger can be read.",
            wrong: &[wrong(
                "\"2 weeks\"",
                "`history` is \"2 weeks\"",
                "expected a time such as \"30 days\", \"5m\" or \"0s\"",
            )],
        },
        Key {
            name: "grace",
            value: Value::Duration,
            absent: Absent::Default("\"1 day\""),
            example: "\"12 hours\"",
            doc: "Files of this age and younger stay: a sync or a query that has begun may need them.",
            wrong: &[],
        },
        Key {
            name: "zones",
            value: Value::Map(&Map {
                of: "zone",
                names: patterns::name,
                value: Value::Duration,
                known: &[],
                filled: false,
            }),
            absent: Absent::Means("`history`"),
            example: "[retention.zones]",
            doc: "`history` of the tables of a zone.",
            wrong: &[unseen(
                "{ landin = \"1 day\" }",
                "`landin` is no zone of this project",
                "did you mean `landing`?",
            )],
        },
    ],
    relations: &[],
};

/// Whom is told of which syncs; `true` = only of those that failed.
pub(in crate::definition) static NOTIFY_ON: Words<bool> =
    Words(&[("always", false, "every sync"), ("failure", true, "syncs with another exit code than 0")]);

pub(in crate::definition) static NOTIFY: Section = Section {
    header: "[notify]",
    doc: "Whom a sync tells of its result, with its report (`sync/1`) as JSON. A notification that fails is a warning. It needs `command` or `webhook`, or both.",
    example: "",
    keys: &[
        Key {
            name: "command",
            value: Value::Arguments,
            absent: Absent::Means("no program"),
            example: "[\"scripts/tell\", \"lake\"]",
            doc: "A program and its arguments; it gets the report on standard input.",
            wrong: &[
                wrong("[]", "`command` names no program", "write `command = [\"program\", \"argument\"]`"),
                unseen("[\" \"]", "`command` names no program", "write `command = [\"program\", \"argument\"]`"),
            ],
        },
        Key {
            name: "webhook",
            value: Value::Text,
            absent: Absent::Means("no URL"),
            example: "\"${SLACK_WEBHOOK}\"",
            doc: "A URL to which the report is posted. It may be a secret, so it is best a variable of the environment.",
            wrong: &[unseen("\"slack\"", "`webhook` is no URL", "expected `https://...`, or `${VARIABLE}` with it")],
        },
        Key {
            name: "on",
            value: Value::Words(&NOTIFY_ON),
            absent: Absent::Default("\"always\""),
            example: "\"failure\"",
            doc: "Of which syncs they are told.",
            wrong: &[wrong("\"never\"", "`on` is \"never\"", "one of \"always\", \"failure\"")],
        },
        Key {
            name: "timeout",
            value: Value::Pause,
            absent: Absent::Default("\"10s\""),
            example: "\"30s\"",
            doc: "How long each of them may take, at most 5 minutes.",
            wrong: &[unseen("\"1h\"", "`timeout` is no such duration", "expected one from \"1ms\" to \"5m\"")],
        },
    ],
    relations: &[],
};

pub(super) static PINS: Section = Section {
    header: "[pins]",
    doc: "Settings of [pins](pins.md).",
    example: "",
    keys: &[Key {
        name: "on_withdrawal",
        value: Value::Words(&ON_WITHDRAWAL),
        absent: Absent::Default("\"keep\""),
        example: "\"unpin\"",
        doc: "What happens to a pinned version that holds rows of people whose consent has ended.",
        wrong: &[wrong("\"drop\"", "`on_withdrawal` is \"drop\"", "one of \"keep\", \"unpin\"")],
    }],
    relations: &[],
};

pub(super) static TARGET: Section = Section {
    header: "[targets.NAME]",
    doc: "A place in which the project lives, chosen by `--target NAME`. Relative folders are relative to the project. Access to S3 is described in [aws.md](aws.md); credentials never stand here. Texts of a target may have variables of the environment: `\"s3://${BUCKET}/raw\"`, `\"${REGION:-eu-west-1}\"`.",
    example: "",
    keys: &[
        Key {
            name: "landing",
            value: Value::Root,
            absent: Absent::Required,
            example: "\"landing\"",
            doc: "The root of the landing files: a folder, `file://` or `s3://`.",
            wrong: &[
                wrong("\"\"", "`landing` is empty", "write `landing = \"landing\"`"),
                wrong(
                    "\"gs://bucket\"",
                    "`landing` is a `gs://` address",
                    "expected a folder, `file://...` or `s3://...`",
                ),
                unseen("\"warehouse\"", "files and tables cannot share a folder", "the same folder as `landing`"),
            ],
        },
        Key {
            name: "warehouse",
            value: Value::Root,
            absent: Absent::Required,
            example: "\"warehouse\"",
            doc: "The root of the tables, which are at `<warehouse>/<zone>/<table>`.",
            wrong: &[wrong(
                "\"ftp://host/x\"",
                "`warehouse` is a `ftp://` address",
                "expected a folder, `file://...` or `s3://...`",
            )],
        },
        Key {
            name: "database",
            value: Value::WithVariables(&Value::Name),
            absent: Absent::Means("the project's `name`"),
            example: "\"lake\"",
            doc: "The database of its tables in the catalog.",
            wrong: &[wrong("\"a-b\"", "`database` is \"a-b\"", "a name holds a-z, 0-9 and `_`, found `-`")],
        },
        Key {
            name: "region",
            value: Value::Text,
            absent: Absent::Means("the instance's"),
            example: "\"eu-central-1\"",
            doc: "The AWS region of its buckets and of Glue. `AWS_REGION` and the profile override it.",
            wrong: &[wrong("1", "`region` has the wrong type", "found integer 1, expected a string")],
        },
        Key {
            name: "endpoint",
            value: Value::WithVariables(&Value::Url),
            absent: Absent::Means("Amazon's"),
            example: "\"https://s3.example.com\"",
            doc: "The URL of a store that speaks S3's language.",
            wrong: &[
                wrong(
                    "\"s3.example.com\"",
                    "`endpoint` is \"s3.example.com\"",
                    "expected a URL such as \"https://s3.example.com\"",
                ),
                unseen(
                    "\"https://\"",
                    "`endpoint` is \"https://\"",
                    "expected a URL such as \"https://s3.example.com\"",
                ),
            ],
        },
        Key {
            name: "sse",
            value: Value::WithVariables(&Value::Words(&ENCRYPTION)),
            absent: Absent::Means("the bucket's own setting"),
            example: "\"aws:kms\"",
            doc: "How S3 encrypts what is written.",
            wrong: &[wrong("\"kms\"", "`sse` is \"kms\"", "one of \"AES256\", \"aws:kms\", \"aws:kms:dsse\"")],
        },
        Key {
            name: "kms_key_id",
            value: Value::Text,
            absent: Absent::Means("the account's own key for S3"),
            example: "\"alias/lake\"",
            doc: "The key of KMS for `sse`.",
            wrong: &[],
        },
        Key {
            name: "catalog",
            value: Value::Table(&CATALOG),
            absent: Absent::Means("a local catalog in the warehouse"),
            example: "[targets.dev.catalog]",
            doc: "Where its tables are registered.",
            wrong: &[],
        },
    ],
    relations: &[Relation::Needs("kms_key_id", "sse")],
};

pub(super) static CATALOG: Section = Section {
    header: "[targets.NAME.catalog]",
    doc: "Where the tables of a target are registered.",
    example: "",
    keys: &[Key {
        name: "glue",
        value: Value::Table(&GLUE),
        absent: Absent::Means("a local catalog in the warehouse"),
        example: "[targets.dev.catalog.glue]",
        doc: "The AWS Glue Data Catalog, from which Athena reads. `check` then also notes what [Athena](athena.md) reads differently.",
        wrong: &[],
    }],
    relations: &[],
};

pub(super) static GLUE: Section = Section {
    header: "[targets.NAME.catalog.glue]",
    doc: "The AWS Glue Data Catalog. The table may be empty.",
    example: "",
    keys: &[
        Key {
            name: "database",
            value: Value::WithVariables(&Value::Name),
            absent: Absent::Means("the target's `database`"),
            example: "\"lake\"",
            doc: "The database in Glue.",
            wrong: &[wrong("\"Lake\"", "`database` is \"Lake\"", "a name begins with a letter a-z, found `L`")],
        },
        Key {
            name: "region",
            value: Value::Text,
            absent: Absent::Means("the target's `region`"),
            example: "\"eu-central-1\"",
            doc: "The AWS region of the catalog.",
            wrong: &[wrong("true", "`region` has the wrong type", "found boolean true, expected a string")],
        },
        Key {
            name: "catalog_id",
            value: Value::Text,
            absent: Absent::Means("the account of the credentials"),
            example: "\"123456789012\"",
            doc: "The account whose catalog it is.",
            wrong: &[wrong(
                "123456789012",
                "`catalog_id` has the wrong type",
                "found integer 123456789012, expected a string",
            )],
        },
        Key {
            name: "endpoint",
            value: Value::WithVariables(&Value::Url),
            absent: Absent::Means("Amazon's"),
            example: "\"https://glue.example.com\"",
            doc: "The URL of the service, for private endpoints.",
            wrong: &[wrong("\"glue\"", "`endpoint` is \"glue\"", "expected a URL such as \"https://s3.example.com\"")],
        },
    ],
    relations: &[],
};
