//! `audit`: exit codes, texts and documents, without personal data.

use std::path::Path;

use super::person;
use super::shell::{Ran, Shell};

/// Another writer restores a version of the members in which people are who have withdrawn since.
pub(super) fn restore(shell: &Shell, version: u64) {
    let url = url::Url::from_directory_path(shell.project().join("w/trusted/members")).unwrap();
    let work = async {
        let table = deltalake::DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
        table.restore().with_version_to_restore(version).await.unwrap();
    };
    tokio::runtime::Runtime::new().unwrap().block_on(work);
}

/// Eve withdraws, and another writer brings her row back.
fn violated() -> Shell {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("eve", 2, false));
    shell.run(&["sync"]).fine();
    restore(&shell, 0);
    shell
}

fn assert_silent(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert!(!text.contains("example.com"), "{text}");
    }
}

#[test]
fn an_audit_of_consent_says_which_versions_violate_it() {
    let shell = violated();
    let ran = shell.run(&["audit", "consent", "members", "--all-versions"]);
    assert_silent(&ran);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "3 versions of 1 table: 1 violated.");
    assert_eq!(lines[2], "members  (`email` by people)");
    assert_eq!(lines[3], "  v0..v1   holds      1 to 2 rows   1 to 2 subjects");
    assert_eq!(lines[4], "  v2       violated        2 rows        2 subjects   1 row of 1 subject without consent");
    assert_eq!(lines[5], "  without consent (hashed with STEDI_DELTA_HASH_KEY; --reveal to print):");
    assert!(lines[6].contains('…') && lines[6].ends_with("1 row   in v2"), "{}", lines[6]);
    let revealed = shell.run(&["audit", "consent", "members", "--reveal"]);
    assert!(revealed.out.contains("eve@example.com"), "{}", revealed.out);
    for (line, code) in [
        ("audit consent", 3),
        ("audit consent members@v1", 0),
        ("audit consent --zone trusted", 3),
        ("audit consent --zone landing", 0),
        ("audit consent people", 64),
        ("audit consent nobody", 64),
        ("audit consent --zone nowhere", 64),
        ("audit consent @v1", 64),
        ("audit consent members@v9", 64),
        ("audit consent members@v1 --all-versions", 64),
        ("audit verify members", 3),
        ("audit verify members@v1", 0),
        ("audit verify people", 0),
        ("audit verify --lake", 3),
        ("audit verify", 64),
    ] {
        let ran = shell.run(&line.split(' ').collect::<Vec<_>>());
        assert_silent(&ran);
        assert_eq!(ran.code, code, "{line}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn the_documents_of_audits() {
    let shell = violated();
    let ran = shell.run(&["audit", "consent", "members", "--all-versions", "--format", "json"]);
    assert_silent(&ran);
    let document = ran.json();
    assert_eq!((document["report"].as_str(), document["exit_code"].as_u64()), (Some("audit-consent/1"), Some(3)));
    let versions = document["versions"].as_array().unwrap();
    let facts = |version: &serde_json::Value| {
        ["version", "rows", "subjects", "violations", "verdict"].map(|key| version[key].to_string()).join(" ")
    };
    let found: Vec<String> = versions.iter().map(facts).collect();
    assert_eq!(found, ["0 2 2 0 \"holds\"", "1 1 1 0 \"holds\"", "2 2 2 1 \"violated\""]);
    assert_eq!(document["offenders"][0]["first_version"], 2);
    let document = shell.run(&["audit", "verify", "--lake", "--format", "json"]).json();
    assert_eq!(document["report"], "audit-verify/1");
    let tables = document["tables"].as_array().unwrap();
    let found: Vec<String> = tables.iter().map(|table| format!("{} {}", table["table"], table["verdict"])).collect();
    assert!(found.contains(&"\"members\" \"different\"".to_owned()), "{found:?}");
    assert!(found.contains(&"\"people\" \"equal\"".to_owned()), "{found:?}");
    let failed = shell.run_in(Path::new(&shell.folder()), &[], &["audit", "consent", "--format", "json"]);
    assert_eq!((failed.code, failed.json()["exit_code"].as_u64()), (1, Some(1)), "{}", failed.out);
}

#[test]
fn versions_that_are_gone_change_the_exit_code_only_if_asked() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("eve", 2, false));
    shell.run(&["sync"]).fine();
    let log = shell.project().join("w/trusted/members");
    let data = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = data.filter(|path| path.extension().is_some_and(|e| e == "parquet")).collect();
    files.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
    std::fs::remove_file(&files[0]).unwrap();
    for (flag, code) in [(None, 0), (Some("--strict"), 3)] {
        let args: Vec<&str> = ["audit", "consent", "--all-versions"].into_iter().chain(flag).collect();
        let ran = shell.run(&args);
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
        assert!(ran.out.starts_with("2 versions of 1 table: no violation, 1 unknown.\n"), "{}", ran.out);
        assert!(ran.out.contains("v0   unknown"), "{}", ran.out);
        assert!(ran.out.contains("v0 was vacuumed"), "{}", ran.out);
        let args: Vec<&str> = ["audit", "verify", "members@v0"].into_iter().chain(flag).collect();
        let ran = shell.run(&args);
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    }
}
