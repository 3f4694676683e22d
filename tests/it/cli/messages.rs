//! Error messages: what was found, what was expected, where, and the next thing to type.

use serde_json::json;

use super::shell::{NOTES, Shell};

/// Exit code and standard error of a command without a result.
fn said(shell: &Shell, args: &[&str]) -> (i32, String) {
    let ran = shell.run(args);
    assert_eq!(ran.out, "", "{args:?}");
    (ran.code, ran.err)
}

#[test]
fn a_query_that_is_wrong_says_where() {
    let shell = Shell::synced();
    for (sql, code, message) in [
        (
            "select 1 form x",
            1,
            "error: this is not valid SQL\n --> query:1:15\n  |\n1 | select 1 form x\n  |               ^ expected end of \
             statement, found x\n",
        ),
        (
            "select * from memberz",
            64,
            "error: table `memberz` is not in this project\n  next       did you mean `members`?\n",
        ),
        (
            "select * from qwertz",
            64,
            "error: table `qwertz` is not in this project\n  tables     notes, people, members\n",
        ),
        (
            "select nosuch from members",
            1,
            "error: column `nosuch` is in no table of this query\n --> query:1:8\n  |\n1 | select nosuch from members\n  \
             |        ^^^^^^ one of `email`, `at`\n",
        ),
        (
            "select * from trusted.members",
            64,
            "error: `trusted.members` names a zone\n  expected   the table's name alone\n  next       write `members`\n",
        ),
        (
            "select * from information_schema.tables",
            64,
            "error: there is no `information_schema`\n  expected   a table of the project\n  \
             next       stedi-delta status   (lists the tables)\n",
        ),
        (
            "select * from \"members@v9\"",
            64,
            "error: members has no version 9\n  newest     v0\n  next       versions: stedi-delta history members\n",
        ),
        (
            "select * from \"members@vx\"",
            64,
            "error: `vx` is neither a version nor a time\n  \
             expected   `v12`, `2026-11-20` (the end of that day) or `2026-11-20T10:00:00Z`\n  \
             next       versions: stedi-delta history members\n",
        ),
        ("", 1, "error: there is no query\n--> query:1:1\n = help: expected `select` or `with`\n"),
        (
            "select 1; select 2",
            1,
            "error: found 2 statements\n --> query:1:1\n  |\n1 | select 1; select 2\n  | ^^^^^^ write one query: remove \
             the others\n",
        ),
    ] {
        assert_eq!(said(&shell, &["query", sql]), (code, message.to_owned()), "{sql}");
    }
}

#[test]
fn a_query_changes_nothing() {
    let shell = Shell::synced();
    let before = shell.warehouse();
    for sql in [
        "drop table members",
        "delete from members",
        "update members set at = 2",
        "insert into members select * from members",
        "explain insert into members select * from members",
        "create table x as select 1",
        "create view x as select 1",
        "create external table x stored as csv location '/etc/passwd'",
        "copy members to 'x.csv'",
        "set datafusion.execution.batch_size = 1",
        "truncate table members",
    ] {
        let expected = "error: `query` only reads\n  expected   one SELECT\n  \
                        next       what a table holds is declared under tables/ and brought there by `stedi-delta sync`\n";
        assert_eq!(said(&shell, &["query", sql]), (64, expected.to_owned()), "{sql}");
    }
    for sql in ["with a as (select 1) insert into members select * from a", "select 1 into x"] {
        assert_eq!(said(&shell, &["query", sql]).0, 1, "{sql}");
    }
    for sql in ["select * from '/etc/passwd'", "select * from 'tables/trusted/members.sql'"] {
        assert_eq!(said(&shell, &["query", sql]).0, 64, "{sql}");
    }
    assert_eq!(shell.warehouse(), before);
}

#[test]
fn names_that_no_table_has_come_with_the_nearest() {
    let shell = Shell::synced();
    let near = "error: table `peeple` is not in this project\n  next       did you mean `people`?\n";
    for args in [
        &["history", "peeple"][..],
        &["quarantine", "ls", "peeple"],
        &["quarantine", "replay", "peeple"],
        &["sync", "-s", "peeple"],
        &["sync", "--reload", "peeple"],
    ] {
        assert_eq!(said(&shell, args), (64, near.to_owned()), "{args:?}");
    }
    let derived = "error: members is a derived table\n  expected   a landing table: only these read files\n";
    assert_eq!(said(&shell, &["quarantine", "replay", "members"]), (64, derived.to_owned()));
    let selector = "error: `tag:nosuch` selects no table\n";
    assert_eq!(said(&shell, &["sync", "-s", "tag:nosuch"]), (64, selector.to_owned()));
    let target =
        "error: target `dve` is not in this project\n  targets    dev\n  next       did you mean `--target dev`?\n";
    assert_eq!(said(&shell, &["status", "-t", "dve"]), (64, target.to_owned()));
    let format = "error: this verb has no `--format csv`\n  next       use `--format table` or `--format json`\n";
    assert_eq!(said(&shell, &["status", "--format", "csv"]), (64, format.to_owned()));
}

#[test]
fn a_command_line_that_cannot_be_read_exits_64() {
    let shell = Shell::shop();
    for args in [
        &[][..],
        &["synk"],
        &["sync", "--frobnicate"],
        &["query"],
        &["history", "people", "-n", "99999999999999999999"],
        &["history", "people", "-n", "-1"],
        &["status", "--format", "yaml"],
    ] {
        let (code, err) = said(&shell, args);
        assert!(code == 64 && !err.is_empty(), "{args:?}: {code} {err}");
    }
    let help = shell.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    for verb in ["check", "sync", "status", "query", "history", "show", "describe", "diff", "quarantine"] {
        assert!(help.out.contains(&format!("  {verb} ")), "{verb}: {}", help.out);
        assert_eq!(shell.run(&[verb, "--help"]).code, 0, "{verb}");
    }
}

#[test]
fn a_null_where_none_may_be_names_what_forbids_it() {
    let shell = Shell::synced();
    shell.land("notes/a.json", "{\"id\":1}\n{\"id\":null}\n");
    shell.define("tables/trusted/keyed.sql", "select id from notes");
    for (declared, expected) in [
        (
            "primary_key = [\"id\"]\n",
            "error: column `id` is in the primary key of keyed, and the query gives NULL\n  rows       1\n  \
             next       filter these rows out, or take `id` out of `primary_key`\n",
        ),
        (
            "[columns]\nid = { type = \"long\", nullable = false }\n",
            "error: column `id` of keyed is declared `nullable = false`, and the query gives NULL\n  rows       1\n  \
             next       filter these rows out, or drop `nullable = false` from the definition\n",
        ),
    ] {
        shell.define("tables/trusted/keyed.toml", format!("description = \"Keyed\"\n{declared}"));
        let ran = shell.run(&["sync"]);
        assert!(ran.code == 1 && ran.err.contains(expected), "{}", ran.err);
    }
}

#[test]
fn a_folder_without_a_project_is_named() {
    let shell = Shell::shop();
    let here = shell.run_in(&shell.folder(), &[], &["status"]);
    assert_eq!(
        (here.code, here.err.as_str()),
        (
            1,
            "error: no stedi-delta.toml here or in a folder above\n  folder     <folder>\n  \
             next       go to a project's folder, or name it: --project DIR\n"
        )
    );
    let named = shell.run(&["check", "--project", "../nowhere"]);
    assert_eq!(
        (named.code, named.err.as_str()),
        (
            1,
            "error: stedi-delta.toml is not in ../nowhere\n |\n \
             = help: go to the project's folder, or name it: --project DIR\n\n1 error; nothing was read or written.\n"
        )
    );
}

#[test]
fn a_check_warns_of_what_athena_reads_in_another_way() {
    let shell = Shell::shop();
    shell.define("tables/landing/notes.toml", format!("{NOTES}at = {{ type = \"timestamp\" }}\n"));
    shell.define("tables/trusted/halves.toml", "description = \"Halves\"\n");
    shell.define("tables/trusted/halves.sql", "select id / 2 as half\nfrom notes\norder by id desc\nlimit 10\n");
    assert_eq!(shell.run(&["check"]).out, "shop: 4 tables in 2 zones, no errors.\n");
    let project = std::fs::read_to_string(shell.project().join("stedi-delta.toml")).unwrap();
    shell.define("stedi-delta.toml", format!("{project}[targets.dev.catalog.glue]\n"));
    let ran = shell.run(&["check"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "shop: 4 tables in 2 zones, no errors, 2 warnings by 2 rules.\n"));
    let expected = "\
warning: `/` of integers gives an integer here and in Athena, and a fraction in Spark and DuckDB
 --> tables/trusted/halves.sql:1:8
  |
1 | select id / 2 as half
  |        ^^^^^^ to mean a fraction, write `cast(... as double)` around one side
  athena/division: 1 note

warning: `desc` puts NULL first here, and last in Athena
 --> tables/trusted/halves.sql:3:10
  |
3 | order by id desc
  |          ^^ write `desc nulls last`, or `desc nulls first`
  athena/null_order: 1 note

";
    assert_eq!(ran.err, expected);
    let document = shell.run(&["check", "--format", "json"]).json();
    assert_eq!((&document["exit_code"], &document["faults"]), (&json!(0), &json!([])));
    assert_eq!(document["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(
        document["warnings"][1],
        json!({
            "rule": "athena/null_order",
            "file": "tables/trusted/halves.sql", "line": 3, "column": 10,
            "message": "`desc` puts NULL first here, and last in Athena",
            "label": "write `desc nulls last`, or `desc nulls first`", "help": null
        })
    );
}

#[test]
fn a_check_plans_every_query() {
    let shell = Shell::shop();
    shell.define("tables/trusted/joined.toml", "description = \"x\"\n");
    shell.define(
        "tables/trusted/joined.sql",
        "select at, string_agg(email, email order by email) as all from people group by at",
    );
    let (code, err) = said(&shell, &["check"]);
    assert_eq!(code, 1);
    assert_eq!(
        err,
        "error: the query cannot be computed: This feature is not implemented: string_agg delimiter must be a string \
         literal [NOT_PLANNED]\n \
         --> tables/trusted/joined.sql:1:1\n  |\n\
         1 | select at, string_agg(email, email order by email) as all from people group by at\n  \
         | ^^^^^^ write it another way\n\n\
         1 error in 1 file; nothing was read or written.\n"
    );
}

/// Queries whose condition lets no made-up row pass, and queries that only a made-up row makes fail.
#[test]
fn a_check_refuses_what_the_engine_cannot_do_and_nothing_else() {
    let shell = Shell::shop();
    shell.define("tables/trusted/made.toml", "description = \"x\"\n");
    let check = |sql: &str| {
        shell.define("tables/trusted/made.sql", sql);
        shell.run(&["check"]).code
    };
    assert_eq!(check("select at, count(distinct email, at) as n from people where email = 'ann' group by at"), 1);
    assert_eq!(check("select at, count(*) / count(email) as n from people group by at"), 0);
    assert_eq!(check("select at, cast(coalesce(email, '') as int) as n from people"), 0);
    assert_eq!(check("select at in (1, null) as j, count(*) as n from people group by rollup (at in (1, null))"), 0);
    let terms: Vec<String> = (0..600).map(|n| format!("at <> {n}")).collect();
    assert_eq!(check(&format!("select email from people where {}", terms.join(" and "))), 0);
}

#[test]
fn a_check_shows_every_fault_at_its_place() {
    let shell = Shell::shop();
    assert_eq!(shell.run(&["check"]).out, "shop: 3 tables in 2 zones, no errors.\n");
    shell.define(
        "tables/trusted/members.toml",
        "description = 5\nrefresh = \"incrementel\"\ncolour = \"red\"\n[columns]\nemail = { type = \"strng\" }\n",
    );
    shell.define("tables/trusted/members.sql", "select email, at\nfrom peeple\n");
    shell.define("tables/trusted/later.toml", "description = \"x\"\n");
    shell.define("tables/trusted/later.sql", "select email, now() as at from people");
    shell.define("tables/landing/broken.toml", "a = [\n");
    let (code, err) = said(&shell, &["check"]);
    assert_eq!(code, 1);
    let expected = "\
error: this is not valid TOML
 --> tables/landing/broken.toml:1:6
  |
1 | a = [
  |      ^ unclosed array, expected `]`

error: `now` has a different value in every run [VOLATILE_FUNCTION]
 --> tables/trusted/later.sql:1:15
  |
1 | select email, now() as at from people
  |               ^^^ a query has the same result whenever it runs: use a column instead

error: table `peeple` is not in this project
 --> tables/trusted/members.sql:2:6
  |
2 | from peeple
  |      ^^^^^^ did you mean `people`?

error: `description` has the wrong type
 --> tables/trusted/members.toml:1:15
  |
1 | description = 5
  |               ^ found integer 5, expected a string

error: `refresh` is \"incrementel\"
 --> tables/trusted/members.toml:2:11
  |
2 | refresh = \"incrementel\"
  |           ^^^^^^^^^^^^^ one of \"auto\", \"incremental\", \"full\"

error: unknown key `colour`
 --> tables/trusted/members.toml:3:1
  |
3 | colour = \"red\"
  | ^^^^^^ one of `description`, `tags`, `location`, `refresh`, `primary_key`, `cluster_by`, `properties`, `source`, `columns`, \
     `grants`, `consent`, `expectations` and 3 more

error: `strng` is not a type of this tool
 --> tables/trusted/members.toml:5:18
  |
5 | email = { type = \"strng\" }
  |                  ^^^^^^^ did you mean `string`?

7 errors in 4 files; nothing was read or written.
";
    assert_eq!(err, expected);
    let document = shell.run(&["check", "--format", "json"]).json();
    let places: Vec<String> = document["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| format!("{}:{}:{}", f["file"].as_str().unwrap(), f["line"], f["column"]))
        .collect();
    assert_eq!(
        places,
        [
            "tables/landing/broken.toml:1:6",
            "tables/trusted/later.sql:1:15",
            "tables/trusted/members.sql:2:6",
            "tables/trusted/members.toml:1:15",
            "tables/trusted/members.toml:2:11",
            "tables/trusted/members.toml:3:1",
            "tables/trusted/members.toml:5:18",
        ]
    );
    // Faults stop every verb alike, and nothing was changed.
    assert_eq!(said(&shell, &["sync"]), (1, expected.to_owned()));
    assert!(shell.warehouse().is_empty());
}
