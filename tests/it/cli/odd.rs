//! Audit commands with odd names and versions, and over tables that are damaged.

use std::fs;

use super::person;
use super::shell::Shell;

#[test]
fn names_that_no_table_has_lead_to_the_one_that_is_meant() {
    let shell = Shell::synced();
    let long = "x".repeat(5000);
    for (args, said) in [
        (&["history", "members@v0"][..], "  expected   the table's name alone\n  next       did you mean `members`?\n"),
        (&["history", "MEMBERS"], "did you mean `members`?"),
        (&["describe", "trusted.members"], "did you mean `members`?"),
        (&["show", "members "], "did you mean `members`?"),
        (&["history", "../../etc"], "  tables     notes, people, members\n"),
        (&["lineage", ""], "table `` is not in this project"),
    ] {
        let ran = shell.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{args:?} {}", ran.err);
        assert!(ran.err.contains(said), "{args:?} {}", ran.err);
    }
    let ran = shell.run(&["history", &long]);
    assert!(ran.code == 64 && ran.err.len() < 500 && ran.err.contains("xx…`"), "{}", ran.err);
    for (name, why) in [
        ("people_quarantine", "no record was put into it"),
        ("migrations", "no sync has had a migration"),
        ("pins", "no version is pinned"),
    ] {
        let ran = shell.run(&["history", name]);
        assert_eq!(ran.err, format!("error: {name} does not exist yet\n  because    {why}\n"));
    }
}

#[test]
fn versions_and_times_out_of_range_are_wrong_commands() {
    let shell = Shell::synced();
    for (point, said) in [
        ("v9", "members has no version 9\n  newest     v0\n  next       versions: stedi-delta history members\n"),
        ("v18446744073709551615", "has no version 18446744073709551615"),
        ("v18446744073709551616", "is neither a version nor a time"),
        ("-1", "is neither a version nor a time"),
        ("2026-02-30", "is neither a version nor a time"),
        ("262143-12-31", "is neither a version nor a time"),
        ("2026-01-01T00:00:00+99:00", "is neither a version nor a time"),
        ("0000-01-01", "members has no version of 0000-01-01\n  oldest     v0, committed at "),
        ("v0@v0", "is neither a version nor a time"),
    ] {
        let table = format!("members@{point}");
        for args in [
            &["show", &table][..],
            &["describe", &table],
            &["lineage", &table],
            &["audit", "verify", &table],
            &["audit", "consent", &table],
            &["audit", "membership", &table, "--subject", "at=1"],
            &["diff", "members", &format!("--from={point}")],
            &["restore", "members", &format!("--to={point}"), "--yes"],
            &["pin", &table, "--name", "kept"],
        ] {
            let ran = shell.run(args);
            assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{args:?} {}", ran.err);
            assert!(ran.err.contains(said), "{args:?} {}", ran.err);
        }
    }
    let ran = shell.run(&["show", "members@"]);
    assert!(ran.code == 64 && ran.err.contains("`` is neither a version nor a time"), "{}", ran.err);
    for args in [&["history", "members"][..], &["show", "members@2999-01-01"], &["lineage", "members@2999-01-01"]] {
        for zone in ["Mars/Base", "", "+25:00"] {
            let ran = shell.run(&[args, &["--timezone", zone]].concat());
            assert!(ran.code == 64 && ran.err.contains("is not a time zone"), "{args:?} {zone} {}", ran.err);
        }
        shell.run(&[args, &["--timezone", "Pacific/Kiritimati"]].concat()).fine();
    }
}

/// The newest version has a row fewer than the one before, in another file.
fn withdrawn() -> Shell {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("eve", 2, false));
    shell.run(&["sync"]).fine();
    shell
}

/// The data file that a version added.
fn file_of(shell: &Shell, table: &str, version: u64) -> std::path::PathBuf {
    let folder = shell.project().join("w").join(table);
    let log = fs::read_to_string(folder.join(format!("_delta_log/{version:020}.json"))).unwrap();
    let mut adds = log.lines().filter_map(|line| {
        let action: serde_json::Value = serde_json::from_str(line).unwrap();
        Some(folder.join(action["add"]["path"].as_str()?))
    });
    adds.next().unwrap()
}

#[test]
fn a_data_file_that_is_gone_is_named_with_what_brings_it_back() {
    let shell = withdrawn();
    let file = file_of(&shell, "trusted/members", 1);
    fs::remove_file(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    for args in [
        &["show", "members"][..],
        &["diff", "members", "--from", "v0"],
        &["diff", "members", "--from", "v0", "--summary"],
        &["audit", "membership", "members", "--subject", "at=1"],
    ] {
        let ran = shell.run(args);
        assert_eq!(ran.code, 1, "{args:?} {}{}", ran.out, ran.err);
        assert!(ran.err.contains(&format!("data file `{name}` of members cannot be read")), "{args:?} {}", ran.err);
        assert!(ran.err.contains("stedi-delta sync -s members+ --full-refresh"), "{args:?} {}", ran.err);
    }
    let ran = shell.run(&["audit", "verify", "members"]);
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("0 versions equal their queries or digests, 1 different.\n"), "{}", ran.out);
    assert!(ran.out.contains(&format!("data file `{name}` of members cannot be read")), "{}", ran.out);
    shell.run(&["show", "members@v0"]).fine();
    shell.run(&["sync", "-s", "members", "--full-refresh"]).fine();
    let ran = shell.run(&["audit", "verify", "members"]).fine();
    assert!(ran.out.starts_with("1 version equals its query or digest.\n"), "{}", ran.out);
}

#[test]
fn a_table_whose_log_is_damaged_is_counted_and_no_other_is_hidden() {
    let shell = withdrawn();
    let damage = |table: &str, version: u64| {
        let path = shell.project().join("w").join(table).join(format!("_delta_log/{version:020}.json"));
        fs::write(path, "{\"add\":").unwrap();
    };
    damage("system/runs", 1);
    let ran = shell.run(&["audit", "verify", "--lake"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("4 versions equal their queries or digests, 1 failed.\n"), "{}", ran.out);
    assert!(ran.out.contains("  runs") && ran.err.contains("system/runs cannot be opened"), "{}{}", ran.out, ran.err);
    damage("trusted/members", 1);
    let ran = shell.run(&["audit", "consent"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let head = "0 versions of 1 table: no violation, 1 table could not be audited.\n";
    assert!(ran.out.starts_with(head), "{}", ran.out);
    for args in [&["history", "members"][..], &["describe", "members"], &["lineage", "members"]] {
        let ran = shell.run(args);
        assert!(ran.code == 1 && ran.err.contains("trusted/members cannot be opened"), "{args:?} {}", ran.err);
    }
    // Lengths of records need the ledger; the rows do not.
    damage("system/files", 1);
    let ran = shell.run(&["audit", "membership", "people", "--subject", "at=1"]).fine();
    assert!(
        ran.out.contains(" @ 0\n") && ran.err.contains("the length of records is not known"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn a_column_of_another_source_is_not_said_to_come_from_none() {
    let shell = Shell::synced();
    shell.define("tables/trusted/both.toml", "description = \"B\"\n");
    let sql = "select n.id, m.at from notes n join members m on m.at > 0 where n.id is not null";
    shell.define("tables/trusted/both.sql", sql);
    shell.run(&["sync"]).fine();
    let ran = shell.run(&["lineage", "notes", "--downstream", "--columns"]).fine();
    assert!(ran.out.contains("id <- notes.id") && !ran.out.contains("no column"), "{}", ran.out);
}

#[test]
fn an_audit_of_all_tables_at_a_time_leaves_out_those_that_did_not_exist() {
    let shell = Shell::synced();
    shell.define("tables/trusted/later.toml", "description = \"L\"\n[consent]\nsubject = \"email\"\n");
    shell.define("tables/trusted/later.sql", "select email from members");
    shell.run(&["sync"]).fine();
    // Between the two runs. The first one's end may be the millisecond in which it was recorded.
    let runs = shell.run(&["query", "select max(started_at) as at from runs", "--format", "csv"]).out;
    let first = format!("@{}", runs.lines().nth(1).unwrap());
    let ran = shell.run(&["audit", "verify", "--lake", &first]).fine();
    assert!(ran.out.starts_with("5 versions equal their queries or digests.\n"), "{}", ran.out);
    assert!(!ran.out.contains("later") && ran.err.contains("note: later did not exist then"), "{}{}", ran.out, ran.err);
    let ran = shell.run(&["audit", "consent", &first]).fine();
    assert!(ran.out.starts_with("1 version of 1 table: no violation.\n"), "{}", ran.out);
    assert!(ran.err.contains("note: later did not exist then"), "{}", ran.err);
    let ran = shell.run(&["audit", "consent", "@2000-01-01"]).fine();
    assert!(ran.err.contains("note: members did not exist then"), "{}{}", ran.out, ran.err);
    assert_eq!(shell.run(&["audit", "verify", &format!("later{first}")]).code, 64);
}
