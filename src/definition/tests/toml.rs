//! Faults of `.toml` files and of the folder.

use super::*;

const CUSTOMER_TOML: &str = "tables/landing/customer_landing.toml";

fn with_derived(more: &str) -> Vec<String> {
    let Err(found) = derived("select user as email, user, timestamp, x from reading_landing", more) else {
        return Vec::new();
    };
    found.iter().map(line).collect()
}

fn with_grants(from: &str, to: &str) -> Vec<String> {
    faults(&[(CUSTOMER_TOML, &CUSTOMER.replace(from, to))])
}

#[test]
fn project_file() {
    let project = |text: &str| faults(&[("stedi-delta.toml", text)]);
    assert_eq!(
        project("name = \"demo\nzones = []"),
        ["stedi-delta.toml:1:13 this is not valid TOML | invalid basic string, expected `\"`"]
    );
    let text = "name = 3
zones = [\"landing\", \"landing\", \"Bad\", \"system\", 4]
default_targt = 1
[defaults]
memory_limit = \"2 parsecs\"
target_file_size = 1.5
spill_folder = \"s3://b\"
[targets.dev]
landing = \"ftp://x\"
access_key = \"x\"
[targets.prod]
landing = \"a\"
warehouse = \"a\"
[targets.prod.catalog.glue]
regon = \"x\"
";
    assert_eq!(
        project(text),
        [
            "stedi-delta.toml:1:8 `name` has the wrong type | found integer 3, expected a string",
            "stedi-delta.toml:2:21 `landing` is twice in `zones` | remove one",
            "stedi-delta.toml:2:32 `Bad` cannot be a zone | a name begins with a letter a-z, found `B`",
            "stedi-delta.toml:2:39 zone `system` is reserved | choose another name",
            "stedi-delta.toml:2:49 `zones` has the wrong type | found integer 4, expected a string",
            "stedi-delta.toml:3:1 unknown key `default_targt` | did you mean `default_target`?",
            "stedi-delta.toml:5:16 `memory_limit` is not a size | expected a size such as \"512 MB\" or \"2 GB\"",
            "stedi-delta.toml:6:20 `target_file_size` has the wrong type | \
             found number 1.5, expected a size such as \"512 MB\" or \"2 GB\"",
            "stedi-delta.toml:7:16 `spill_folder` is \"s3://b\" | expected a folder of this machine",
            "stedi-delta.toml:8:1 `warehouse` is missing | add `warehouse = \"warehouse\"`",
            "stedi-delta.toml:9:11 `landing` is a `ftp://` address | expected a folder, `file://...` or `s3://...`",
            "stedi-delta.toml:10:1 unknown key `access_key` | one of `landing`, `warehouse`, `database`, `region`, `endpoint`, `sse`, `kms_key_id`, `catalog`",
            "stedi-delta.toml:13:13 files and tables cannot share a folder | the same folder as `landing`",
            "stedi-delta.toml:15:1 unknown key `regon` | did you mean `region`?",
        ]
    );
    assert_eq!(
        project(&format!("default_target = \"dve\"\n{PROJECT}")),
        ["stedi-delta.toml:1:18 target `dve` is not in this project | did you mean `dev`?"]
    );
    assert_eq!(
        project(&format!("{PROJECT}[targets.prod]\nlanding = \"a\"\nwarehouse = \"b\"\n")),
        ["stedi-delta.toml:1:1 `default_target` is missing, and there are several targets | \
          add `default_target = \"dev\"`"]
    );
}

#[test]
fn landing_table() {
    let text = "descripton = \"x\"
description = 3
tags = \"a\"
refresh = \"full\"
location = \"gs://x\"
[source]
path = \"../x\"
format = \"csv\"
min_age = \"2\"
on_overwrite = \"replac\"
[columns]
Email = \"string\"
email = \"varchar\"
x = { type = \"int\", nulable = false, classification = \"secret\" }
source_file = \"string\"
y = {}
z = 3
[consent]
subject = \"email\"
[[expectations]]
name = \"a b\"
check = \"\"
action = \"wran\"
";
    assert_eq!(
        faults(&[(CUSTOMER_TOML, text)]),
        [
            "customer_landing.toml:1:1 unknown key `descripton` | did you mean `description`?",
            "customer_landing.toml:2:15 `description` has the wrong type | found integer 3, expected a string",
            "customer_landing.toml:3:8 `tags` has the wrong type | found string, expected a list of strings",
            "customer_landing.toml:4:1 `refresh` belongs to a derived table | this one has no query",
            "customer_landing.toml:5:12 `location` is a `gs://` address | \
             expected a folder, `file://...` or `s3://...`",
            "customer_landing.toml:7:8 `path` is \"../x\" | \
             expected a path under the target's landing root, such as \"folder/*.json\"",
            "customer_landing.toml:8:10 `format` is \"csv\" | expected \"json\"",
            "customer_landing.toml:9:11 `min_age` is \"2\" | expected a time such as \"30 days\", \"5m\" or \"0s\"",
            "customer_landing.toml:10:16 `on_overwrite` is \"replac\" | one of \"fail\", \"replace\"",
            "customer_landing.toml:12:1 `Email` cannot be a column | a name begins with a letter a-z, found `E`",
            "customer_landing.toml:13:9 `varchar` is not a type of this tool | write `string`",
            "customer_landing.toml:14:21 unknown key `nulable` | did you mean `nullable`?",
            "customer_landing.toml:14:55 `classification` is \"secret\" | one of \"pii\", \"none\"",
            "customer_landing.toml:15:1 `source_file` is added to every landing table | remove this line",
            "customer_landing.toml:16:5 `type` is missing | add `type = \"string\"`",
            "customer_landing.toml:17:5 `z` has the wrong type | \
             found integer 3, expected a type such as \"string\", or { type = \"string\" }",
            "customer_landing.toml:18:2 `consent` belongs to a derived table | this one has no query",
            "customer_landing.toml:22:9 `check` is empty | write `check = \"amount is not null\"`",
            "customer_landing.toml:23:10 `action` is \"wran\" | one of \"warn\", \"quarantine\", \"fail\"",
        ]
    );
    assert_eq!(
        faults(&[(CUSTOMER_TOML, &CUSTOMER.replace("shares = \"long\"", "updated = \"long\""))]),
        ["customer_landing.toml:10:1 this is not valid TOML | duplicate key"]
    );
}

#[test]
fn keys_and_columns() {
    assert_eq!(
        with_derived("primary_key = [\"x\", \"usr\"]\ncluster_by = [\"timstamp\"]\n"),
        [
            "t.toml:2:16 `x` cannot be in a primary key | \
             a key must compare exactly: floating-point numbers do not",
            "t.toml:2:21 missing primary_key column `usr` | did you mean `user`?",
            "t.toml:3:15 missing cluster_by column `timstamp` | did you mean `timestamp`?",
        ]
    );
    assert_eq!(
        with_derived("[columns]\nusr = \"string\"\nx = \"float\"\n"),
        [
            "t.toml:3:1 the query has no column `usr` | did you mean `user`?",
            "t.toml:4:5 column `x` is declared float | \
             the query gives double: `[columns]` documents, it does not cast",
        ]
    );
}

#[test]
fn grants_and_consent() {
    assert_eq!(
        with_grants("[\"email\", \"s", "[\"emal\", \"s"),
        ["customer_landing.toml:12:13 missing subjects column `emal` | did you mean `email`?"]
    );
    assert_eq!(
        with_grants("[\"updated\"]", "[\"updatd\"]"),
        ["customer_landing.toml:14:11 missing latest column `updatd` | did you mean `updated`?"]
    );
    assert_eq!(
        with_derived("[consent]\nsubject = \"user\"\n"),
        ["t.toml:3:11 `user` is no subject of `customer_landing` | \
          add `names = ` and the one whose values it holds: `email`, `serialnumber`"]
    );
    assert_eq!(
        with_derived("[consent]\nsubject = \"user\"\nnames = \"emal\"\n"),
        ["t.toml:4:9 `emal` is no subject of `customer_landing` | one of `email`, `serialnumber`"]
    );
    assert_eq!(
        with_derived("[consent]\nsubject = \"user\"\ngrants = \"reading_landing\"\n"),
        ["t.toml:4:10 `reading_landing` is no table with `[grants]` | one of `customer_landing`"]
    );
    assert_eq!(
        with_derived("[consent]\nsubject = \"timestamp\"\nnames = \"email\"\n"),
        ["t.toml:3:11 `timestamp` is long, and `email` of `customer_landing` is string | \
          subjects are compared as they are: make the types equal"]
    );
    assert_eq!(
        with_derived("[consent]\nsubject = \"emil\"\nnames = \"email\"\n"),
        ["t.toml:3:11 missing consent column `emil` | did you mean `email`?"]
    );
    let consent = ("tables/trusted/t.toml", "description = \"T\"\n[consent]\nsubject = \"email\"\n");
    let query = ("tables/trusted/t.sql", "select email from customer_landing");
    let without = CUSTOMER.split("[grants]").next().unwrap();
    assert_eq!(
        faults(&[consent, query, (CUSTOMER_TOML, without)]),
        ["t.toml:2:1 no table of this project has `[grants]` | \
          add `[grants]` to the landing table that records consent"]
    );
    assert_eq!(
        faults(&[consent, query, ("tables/landing/other.toml", CUSTOMER)]),
        ["t.toml:2:1 several tables of this project have `[grants]` | \
          add `grants = ` and one of `customer_landing`, `other`"]
    );
}

#[test]
fn a_subject_may_be_a_pseudonym() {
    let hashed = |more: &str| {
        let toml = format!("{TRUSTED}[consent]\nsubject = \"who\"\n{more}");
        let sql = "select sha256(user) as who, length(user) as n from reading_landing";
        faults(&[("tables/trusted/t.toml", &toml), ("tables/trusted/t.sql", sql)])
    };
    assert!(hashed("names = \"email\"\nby = \"sha256(email)\"\n").is_empty());
    assert_eq!(
        hashed("names = \"email\"\nby = \"email || 'x'\"\n"),
        ["t.toml:5:6 `who` is binary, and `by` is string | subjects are compared as they are: make the types equal"]
    );
    for by in ["sha256('x')", "sha256(email || serialnumber)"] {
        assert_eq!(
            hashed(&format!("names = \"email\"\nby = \"{by}\"\n")),
            ["t.toml:5:6 `by` is no pseudonym of `email` | \
              expected an expression over `email` alone, such as `sha256(email)`"]
        );
    }
    let found = hashed("names = \"email\"\nby = \"sha256(email || cast(random() as varchar))\"\n");
    assert!(found.len() == 1 && found[0].contains("random"), "{found:?}");
    let found = hashed("names = \"email\"\nby = \"sha256(emial)\"\n");
    assert!(found.len() == 1 && found[0].contains("emial"), "{found:?}");
    // A key that cannot be read is not missed as well.
    for (wrong, said) in [
        ("names = 3\nby = \"sha256(email)\"\n", "`names` has the wrong type"),
        ("names = \"email\"\nby = [\"sha256(email)\"]\n", "`by` has the wrong type"),
        ("nams = \"email\"\nby = \"sha256(email)\"\n", "unknown key `nams`"),
    ] {
        let found = hashed(wrong);
        assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
    }
}

#[test]
fn zones_may_require_consent_of_tables_with_personal_data() {
    let project = |zones: &str| format!("{PROJECT}[defaults]\nrequire_consent = [{zones}]\n");
    let consent = format!("{TRUSTED}[consent]\nsubject = \"who\"\nnames = \"email\"\n");
    let check = |zones: &str, toml: &str, sql: &str| {
        faults(&[("stedi-delta.toml", &project(zones)), ("tables/trusted/t.toml", toml), ("tables/trusted/t.sql", sql)])
    };
    let personal = "select upper(user) as who, x from reading_landing";
    assert_eq!(
        check("\"trusted\"", TRUSTED, personal),
        ["t.toml:1:1 `t` has personal data (`who`) and no `[consent]` | \
          add `[consent]`, and in it `subject`, the column that names the person | \
          or take `trusted` out of `require_consent` of stedi-delta.toml"]
    );
    assert!(check("\"trusted\"", &consent, personal).is_empty());
    assert!(check("\"curated\"", TRUSTED, personal).is_empty());
    assert!(check("\"trusted\"", TRUSTED, "select count(user) as n from reading_landing").is_empty());
    assert_eq!(
        check("\"trustd\"", TRUSTED, personal),
        ["stedi-delta.toml:7:20 `trustd` is no zone of this project | did you mean `trusted`?"]
    );
    let landing = check("\"landing\"", &consent, personal);
    assert_eq!(landing.len(), 2, "{landing:?}");
    assert!(landing[0].contains("a landing table cannot have it"), "{landing:?}");
}

#[test]
fn conditions() {
    let granted = |condition| with_grants("shares is not null", condition);
    let one_row = "a condition looks at one row of its table";
    let aggregate = format!("customer_landing.toml:13:12 {one_row} | remove aggregates and windows");
    let subquery = format!("customer_landing.toml:13:12 {one_row} | remove the subquery");
    for (condition, expected) in [
        ("shares", "customer_landing.toml:13:11 this is not a condition | expected true or false"),
        ("count(shares) > 1", &aggregate),
        ("row_number() over (order by shares) > 1", &aggregate),
        ("email in (select email from customer_landing)", &subquery),
        (
            "sharez is not null",
            "customer_landing.toml:13:12 column `sharez` is not in this table | did you mean `shares`?",
        ),
        (
            "shares is not null; drop table x",
            "customer_landing.toml:13:30 this is not valid SQL | expected the end, found ;",
        ),
        (
            "now() > birthday",
            "customer_landing.toml:13:12 `now` has a different value in every run [VOLATILE_FUNCTION] | \
             a query has the same result whenever it runs: use a column instead",
        ),
    ] {
        assert_eq!(granted(condition), [expected], "{condition}");
    }
    for sound in ["customer_landing.shares > 1", "SHARES is not null", "true", "email like '%@example.com'"] {
        assert!(granted(sound).is_empty(), "{sound}");
    }
    assert_eq!(
        with_derived(
            "[[expectations]]\nname = \"a\"\ncheck = \"usr is not null\"\naction = \"quarantine\"\n\
             [[expectations]]\nname = \"a\"\ncheck = \"x > 'a\"\naction = \"fail\"\n[[expectations]]\ncheck = \"x > 1\"\n"
        ),
        [
            "t.toml:4:10 column `usr` is not in this table | did you mean `user`?",
            "t.toml:7:8 expectation `a` is there twice | choose another name",
            "t.toml:8:14 this is not valid SQL | unterminated string literal",
            "t.toml:10:1 `name` is missing | add `name = \"amount_present\"`",
            "t.toml:10:1 `action` is missing | add `action = \"fail\"`",
        ]
    );
}

#[test]
fn both_kinds_or_none() {
    assert_eq!(
        with_derived("[source]\npath = \"x\"\nformat = \"json\"\n"),
        ["t.toml:2:1 a table has `[source]` or a query, not both | remove this, or tables/trusted/t.sql"]
    );
    assert_eq!(
        with_derived("[grants]\nsubjects = [\"user\"]\ngranted = \"true\"\nlatest = [\"x\"]\n"),
        ["t.toml:2:2 `grants` belongs to a landing table | this one has a query"]
    );
    assert_eq!(
        faults(&[("tables/trusted/none.toml", TRUSTED)]),
        ["none.toml:1:1 nothing fills this table | add `[source]`, or a query in tables/trusted/none.sql"]
    );
}

#[test]
fn layout() {
    let place = |path: &str| {
        let found = faults(&[(path, TRUSTED)]);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    };
    for (path, expected) in [
        ("tables/x.toml", "x.toml:1:1 a table is in the folder of its zone | move it to tables/<zone>/"),
        ("tables/landing/sub/x.toml", "x.toml:1:1 a zone has no folders | move the file to tables/<zone>/"),
        (
            "tables/trustd/x.toml",
            "x.toml:1:1 folder tables/trustd is not a zone of this project | did you mean `trusted`?",
        ),
        ("tables/trusted/a.csv", "a.csv:1:1 `a.csv` is no table | a table is a `.toml` and, if derived, a `.sql`"),
        (
            "tables/trusted/lone.sql",
            "lone.sql:1:1 `lone` has a query and no definition | add tables/trusted/lone.toml with a `description`",
        ),
        ("tables/trusted/Up.toml", "Up.toml:1:1 `Up` cannot be a table | a name begins with a letter a-z, found `U`"),
        (
            "tables/trusted/files.toml",
            "files.toml:1:1 `files` cannot be a table | the tool has a table of this name: rename the file",
        ),
        (
            "tables/trusted/x_quarantine.toml",
            "x_quarantine.toml:1:1 `x_quarantine` cannot be a table | \
             names ending in `_quarantine` are the tool's: rename the file",
        ),
        (
            "tables/trusted/reading_landing.toml",
            "reading_landing.toml:1:1 table `reading_landing` is there twice | \
             also in tables/landing/reading_landing.toml: names are unique in the project",
        ),
        (
            "migrations/1_x.sql",
            "1_x.sql:1:1 `1_x.sql` is no migration | expected `NNNN_label.sql`, such as `0001_add_region.sql`",
        ),
        (
            "migrations/0002_B.sql",
            "0002_B.sql:1:1 `0002_B.sql` is no migration | expected `NNNN_label.sql`, such as `0001_add_region.sql`",
        ),
        ("migrations/x/0001_a.sql", "0001_a.sql:1:1 `migrations` has no folders | move the file to migrations/"),
    ] {
        assert_eq!(place(path), expected);
    }
    assert_eq!(
        faults(&[("migrations/0001_a.sql", ""), ("migrations/0001_b.sql", "")]),
        ["0001_b.sql:1:1 migration 0001 is there twice | also migrations/0001_a.sql: give one of them the next number"]
    );
}

#[test]
fn one_place_holds_one_table() {
    let at = |text: &str, place: &str| format!("location = \"{place}\"\n{text}");
    assert_eq!(
        faults(&[
            (CUSTOMER_TOML, &at(CUSTOMER, "s3://b/t/")),
            ("tables/landing/reading_landing.toml", &at(READING, "s3://b/t")),
        ]),
        [
            "reading_landing.toml:1:12 the folder of table `reading_landing` is the folder of table `customer_landing` | \
          choose another place"
        ]
    );
    // `out` is the warehouse of the only target.
    for (place, why) in [
        ("out/landing/customer_landing", "is the folder of table `customer_landing`"),
        ("./out//landing/x/../customer_landing/", "is the folder of table `customer_landing`"),
        ("out/landing/customer_landing_quarantine", "is the folder of the quarantine of `customer_landing`"),
        ("out/landing/customer_landing/_delta_log", "is inside the folder of table `customer_landing`"),
        ("out/system/files", "is inside the folder that this tool keeps"),
        ("out", "holds the folder that this tool keeps"),
    ] {
        assert_eq!(
            faults(&[(CUSTOMER_TOML, CUSTOMER), ("tables/landing/reading_landing.toml", &at(READING, place))]),
            [format!("reading_landing.toml:1:12 the folder of table `reading_landing` {why} | choose another place")]
        );
    }
}
