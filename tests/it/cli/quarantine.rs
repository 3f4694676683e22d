//! Rows of derived tables in quarantine, beside records of landing tables.

use std::fs;

use super::shell::Shell;

const SMALL: &str = "[[expectations]]\nname = \"small\"\ncheck = \"id < 3\"\naction = \"quarantine\"\n";

#[test]
fn quarantined_rows_of_derived_tables_are_listed_and_counted() {
    let shell = Shell::synced();
    shell.define("tables/trusted/few.toml", format!("description = \"Few\"\n{SMALL}"));
    shell.define("tables/trusted/few.sql", "select id, source_file from notes");
    shell.land("notes/a.json", "{\"id\":1}\n{\"id\":7}\n{\"id\":\"two\"}\n");
    assert_eq!(shell.run(&["sync"]).code, 0);
    let status = shell.run(&["status", "--format", "json"]).json();
    let few = status["tables"].as_array().unwrap().iter().find(|t| t["table"] == "few").unwrap();
    assert_eq!((few["rows"].as_u64(), few["rows_in_quarantine"].as_u64()), (Some(1), Some(1)));
    let text = shell.run(&["status"]).out;
    assert!(
        text.contains("up to date; 1 record in quarantine") && text.contains("; 1 row in few_quarantine"),
        "{text}"
    );
    let listed = shell.run(&["quarantine", "ls", "--format", "csv"]);
    assert_eq!(
        listed.out,
        "table,source_file,source_offset,length,reason\n\
         notes,notes/a.json,18,12,\"field `id` is a string, expected an integer\"\n\
         few,notes/a.json,,,expectation `small` is not met\n"
    );
    for name in ["few", "few_quarantine"] {
        let revealed = shell.run(&["quarantine", "ls", name, "--format", "ndjson", "--reveal"]);
        assert!(revealed.out.contains(r#""raw":"{\"id\":7,\"source_file\":\"notes/a.json\"}"#), "{}", revealed.out);
    }
    assert_eq!(shell.run(&["quarantine", "ls", "members"]).out, "Nothing is in quarantine.\n");
    // A quarantine that is not at the cut keeps its table from being up to date.
    fs::remove_dir_all(shell.project().join("w/trusted/few_quarantine")).unwrap();
    let status = shell.run(&["status"]).out;
    assert!(status.contains("few_quarantine: full: first build"), "{status}");
}
