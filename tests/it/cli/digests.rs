//! What is said of digests: by `audit verify`, `sync`, `pin` and `report`; without a key, and with another one.

use std::fs;

use deltalake::DeltaTableBuilder;
use serde_json::{Value, json};
use url::Url;

use super::person;
use super::shell::{Ran, Shell};

const OTHER: &str = "zebra-4711";

/// The program without a key, or with this one.
fn run_with(shell: &Shell, key: &str, args: &[&str]) -> Ran {
    shell.run_in(&shell.project(), &[("STEDI_DELTA_HASH_KEY", key)], args)
}

fn verify(shell: &Shell, key: &str) -> Ran {
    run_with(shell, key, &["audit", "verify", "--lake"])
}

/// Another writer deletes a person.
fn delete(shell: &Shell, email: &str) {
    let url = Url::from_directory_path(shell.project().join("w/landing/people")).unwrap();
    let work = async {
        let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
        table.delete().with_predicate(format!("email = '{email}'")).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(work);
}

/// The newest row's digests by table, and how many rows `runs` has.
fn recorded(shell: &Shell) -> (Value, usize) {
    let sql = "select digests from runs order by ended_at desc";
    let rows = shell.run(&["query", sql, "--format", "json"]).fine().json();
    let rows = rows.as_array().unwrap().clone();
    let newest = rows[0]["digests"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
    (newest, rows.len())
}

#[test]
fn a_verification_says_what_it_compared() {
    let shell = Shell::synced();
    let ran = verify(&shell, "test").fine();
    assert_eq!(
        ran.out,
        "5 versions equal their queries or digests.\n\n  \
         notes     v0   equal   digest of 0 rows\n  \
         people    v0   equal   digest of 3 rows\n  \
         members   v0   equal   from people v0; digest of 2 rows\n  \
         files     v0   equal   digest of 2 rows\n  \
         runs      v0   equal   digest of 1 row\n"
    );
    delete(&shell, "bob@example.com");
    let ran = run_with(&shell, "test", &["audit", "verify", "people"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            3,
            "0 versions equal their queries or digests, 1 different.\n\n  \
             people   v1   different   2 rows, and its digest is of 3; v1 (DELETE) is a commit of another writer\n"
        )
    );
    let synced = shell.run(&["sync"]).fine();
    let begun = "Digest of people v1 begun by a scan of 2 rows: v1 (DELETE) is a commit of another writer.\n";
    assert!(synced.out.contains(begun), "{}", synced.out);
    let document = shell.run(&["audit", "verify", "people", "--format", "json"]).fine().json();
    let table = &document["tables"][0];
    let digest = &table["digest"];
    assert_eq!((&table["verdict"], &digest["verdict"]), (&json!("equal"), &json!("equal")));
    assert_eq!(digest["begun"], json!({"version": 1, "because": "v1 (DELETE) is a commit of another writer"}));
    assert_eq!((&digest["rows"], &digest["rows_expected"]), (&json!(2), &json!(2)));
    let (recorded, _) = recorded(&shell);
    let known = &recorded["people"];
    assert_eq!((&known["digest"], &known["key"]), (&digest["digest"], &digest["key"]));
    assert_eq!((&known["version"], &known["rows"], &known["begun"]), (&json!(1), &json!(2), &digest["begun"]));
    assert_eq!(digest["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn without_a_key_no_digest_is_kept_and_that_is_said() {
    let shell = Shell::shop();
    shell.land("people/a.json", &person("ann", 1, true));
    run_with(&shell, "", &["sync"]).fine();
    let (digests, rows) = recorded(&shell);
    assert_eq!((digests, rows), (Value::Null, 1));
    for file in shell.warehouse().iter().filter(|(path, ..)| path.extension().is_some_and(|e| e == "json")) {
        let text = fs::read_to_string(&file.0).unwrap();
        assert!(!text.contains("\"digest\""), "{}", file.0.display());
    }
    let ran = verify(&shell, "").fine();
    let why = "no digest is kept without STEDI_DELTA_HASH_KEY";
    assert_eq!(
        ran.out,
        format!(
            "1 version equals its query or digest, 4 unknown.\n\n  \
             notes     v0   unknown   {why}\n  \
             people    v0   unknown   {why}\n  \
             members   v0   equal     from people v0\n  \
             files     v0   unknown   {why}\n  \
             runs      v0   unknown   {why}\n"
        )
    );
    let pinned = run_with(&shell, "", &["pin", "members", "--name", "set_1"]).fine();
    assert!(pinned.err.contains("note: no digest of it is kept: STEDI_DELTA_HASH_KEY is not set"), "{}", pinned.err);
    let pins = shell.run(&["pins", "--format", "json"]).json();
    assert_eq!(pins["pins"][0]["digest"], Value::Null);
    // With a key, each table is read once, and never again.
    let ran = verify(&shell, "test").fine();
    let why = "it has no digest: written without STEDI_DELTA_HASH_KEY; a sync of all tables begins one";
    assert!(ran.out.contains(&format!("people    v0   unknown   {why}\n")), "{}", ran.out);
    let synced = shell.run(&["sync"]).fine();
    let begun = "Digests of 5 tables begun by a scan of 6 rows: written without STEDI_DELTA_HASH_KEY.\n";
    assert!(synced.out.contains(begun), "{}", synced.out);
    let document = shell.run(&["sync", "--format", "json"]).fine().json();
    assert_eq!(document.get("digests"), None);
    assert_eq!(recorded(&shell).1, 2);
    let ran = verify(&shell, "test").fine();
    let begun = "digest of 1 row, begun at v0: written without STEDI_DELTA_HASH_KEY";
    assert!(ran.out.contains(&format!("people    v0   equal   {begun}\n")), "{}", ran.out);
    // The pin is what it was; pinned again, it has a digest.
    shell.run(&["pin", "members", "--name", "set_1"]).fine();
    let pins = shell.run(&["pins", "--format", "json"]).json();
    assert_eq!(pins["pins"][0]["digest"]["rows"], 1);
}

#[test]
fn with_another_key_digests_begin_anew_and_the_old_ones_stay_known() {
    let shell = Shell::synced();
    let first = recorded(&shell).0["people"]["key"].clone();
    let ran = verify(&shell, OTHER).fine();
    let why = "it has no digest: digested with another STEDI_DELTA_HASH_KEY; a sync of all tables begins one";
    assert!(ran.out.contains(&format!("people    v0   unknown   {why}\n")), "{}", ran.out);
    let synced = run_with(&shell, OTHER, &["sync", "--format", "json"]).fine().json();
    let notices = synced["digests"].as_array().unwrap();
    let tables: Vec<&str> = notices.iter().map(|notice| notice["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["files", "members", "people", "runs"]);
    assert_eq!(
        notices[2],
        json!({
            "table": "people", "version": 0, "rows": 3,
            "because": "digested with another STEDI_DELTA_HASH_KEY", "problem": null
        })
    );
    let second = recorded(&shell).0["people"]["key"].clone();
    assert!(first != second && first.as_str().unwrap().len() == 16, "{first} {second}");
    for key in ["test", OTHER] {
        let ran = verify(&shell, key).fine();
        let people = ran.out.lines().find(|line| line.starts_with("  people")).unwrap();
        assert!(people.contains("v0   equal"), "{key}: {}", ran.out);
    }
    // Neither key, nor anything that it was derived from, is anywhere.
    for (path, ..) in shell.warehouse() {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(OTHER.len()).any(|window| window == OTHER.as_bytes()), "{}", path.display());
    }
}

#[test]
fn a_lake_of_an_older_version_goes_on() {
    // `runs` without the column, as that version wrote it.
    let shell = Shell::shop();
    shell.land("people/a.json", &person("ann", 1, true));
    run_with(&shell, "", &["sync"]).fine();
    let log = shell.project().join("w/system/runs/_delta_log/00000000000000000000.json");
    let text = fs::read_to_string(&log).unwrap();
    let column = r#",{\"name\":\"digests\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}"#;
    assert!(text.contains(column), "{text}");
    fs::write(&log, text.replace(column, "")).unwrap();
    assert_ne!(shell.run(&["query", "select digests from runs"]).code, 0);
    shell.run(&["query", "select count(*) from people", "--as-of", "2100-01-01"]).fine();
    shell.land("people/b.json", &person("eve", 1, true));
    run_with(&shell, "", &["sync"]).fine();
    shell.run(&["sync"]).fine();
    assert_eq!(recorded(&shell).1, 3);
    assert_eq!(recorded(&shell).0["people"]["rows"], 2);
    assert!(verify(&shell, "test").fine().out.starts_with("5 versions equal their queries or digests.\n"));
}

#[test]
fn a_pin_and_a_report_have_the_digests() {
    let shell = Shell::synced();
    shell.run(&["pin", "members", "--name", "set_1"]).fine();
    let pins = shell.run(&["pins", "--format", "json"]).json();
    let pinned = &pins["pins"][0]["digest"];
    assert_eq!((&pinned["digest"], &pinned["rows"]), (&recorded(&shell).0["members"]["digest"], &json!(2)));
    let report = shell.run(&["report", "--format", "json"]).json();
    let verification = report["verification"].as_array().unwrap();
    let found: Vec<String> = verification
        .iter()
        .map(|table| format!("{} {} {}", table["table"], table["verdict"], table["digest_verdict"]).replace('"', ""))
        .collect();
    let expected = ["notes", "people", "members", "files", "pins", "runs"];
    assert_eq!(found, expected.map(|table| format!("{table} equal equal")));
    assert_eq!(verification[2]["digest"], pinned["digest"]);
    assert_eq!(report["pins"][0]["digest"], pinned["digest"]);
    assert_eq!(report["pins"][0]["digest_key"], pinned["key"]);
    shell.run(&["report", "--pin", "set_1", "--out", "r.html"]).fine();
    let page = fs::read_to_string(shell.project().join("r.html")).unwrap();
    let code = format!("<code>{}</code>", pinned["digest"].as_str().unwrap());
    // Of the pin, and of its verification.
    assert_eq!(page.matches(&code).count(), 2, "{page}");
}
