//! `plan` as used by a person and a pipeline.

use super::person;
use super::shell::{NO_NOTES, Shell};

#[test]
fn a_plan_is_a_line_per_table_and_touches_nothing() {
    let shell = Shell::shop();
    shell.land("people/a.json", &person("ann", 1, true));
    let first = shell.run(&["plan"]);
    assert_eq!((first.code, first.err.as_str()), (0, format!("{NO_NOTES}Next: stedi-delta sync\n").as_str()));
    assert!(first.out.contains("people     new   ingest: 1 new file "), "{}", first.out);
    assert!(first.out.contains("members    new   full (after ingest): first build"), "{}", first.out);
    assert!(first.out.ends_with("\nPlan: 2 to ingest, 1 full.\n"), "{}", first.out);
    assert!(!shell.project().join("w").exists());
    assert_eq!(shell.run(&["plan", "--detailed-exitcode"]).code, 2);
    assert_eq!(shell.run(&["sync", "--verify"]).code, 0);

    let stands = shell.warehouse();
    let even = shell.run(&["plan", "--detailed-exitcode"]);
    assert_eq!((even.code, even.err.as_str()), (0, NO_NOTES));
    assert!(even.out.ends_with("\nPlan: 3 up to date.\n"), "{}", even.out);
    shell.land("people/b.json", &person("bob", 1, true));
    let explained = shell.run(&["plan", "--explain", "-s", "members"]);
    assert!(explained.out.contains("members    v0   incremental (after ingest)"), "{}", explained.out);
    assert!(
        explained.out.contains(
            "changed rows compared with the table's row; \
             recompute affected partitions of email where the order keys shown tie\n"
        ),
        "{}",
        explained.out
    );
    assert_eq!(shell.warehouse(), stands);
}

#[test]
fn an_explained_plan_shows_estimate_history_and_choice() {
    let shell = Shell::shop();
    shell.define("tables/trusted/times.toml", "description = \"When people changed\"\n");
    shell.define("tables/trusted/times.sql", "select at, count(*) as n from people group by at\n");
    shell.land("people/a.json", &person("ann", 1, true));
    assert_eq!(shell.run(&["sync"]).code, 0);
    shell.land("people/b.json", &person("bob", 2, true));
    assert_eq!(shell.run(&["sync", "-s", "people"]).code, 0);
    let explained = shell.run(&["plan", "--explain", "-s", "times"]).out;
    let lines: Vec<&str> = explained.lines().skip_while(|line| !line.starts_with("  would cost ")).take(3).collect();
    let [_, incremental, full] = lines[..] else { panic!("{explained}") };
    assert!(incremental.starts_with("  incremental   estimated ") && incremental.ends_with("no recent refresh"));
    assert!(full.starts_with("  full          estimated ") && full.ends_with(" (1 time)"), "{full}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{explained}");
    assert!(explained.contains("times"), "{explained}");
    let document = shell.run(&["plan", "--explain", "-s", "times", "--format", "json"]).json();
    let times = document["tables"].as_array().unwrap().iter().find(|t| t["table"] == "times").unwrap();
    assert_eq!((&times["action"], &times["explain"]["full"]["refreshes"]), (&"incremental".into(), &1.into()));
    assert_eq!(times["explain"]["incremental"]["refreshes"], 0);
    assert!(times["explain"]["incremental"]["expected_ms"].as_u64() > Some(0));
}

#[test]
fn a_plan_is_a_document() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("bob", 1, true));
    let document = shell.run(&["plan", "--format", "json", "--detailed-exitcode"]).json();
    assert_eq!((&document["report"], &document["exit_code"]), (&"plan/1".into(), &2.into()));
    assert_eq!(document["pending"], true);
    let members = document["tables"].as_array().unwrap().iter().find(|t| t["table"] == "members").unwrap();
    assert_eq!((&members["action"], &members["after"][0]), (&"incremental".into(), &"people".into()));
    assert_eq!(members["explain"], serde_json::Value::Null);
    let wrong = shell.run(&["plan", "-s", "nobody"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (64, ""));
}

#[test]
fn a_verified_sync_says_so() {
    let shell = Shell::synced();
    let ran = shell.run(&["sync", "--verify"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, NO_NOTES));
    assert!(ran.out.ends_with("1 table verified: it equals its query.\n"), "{}", ran.out);
    let document = shell.run(&["sync", "--verify", "--format", "json"]).json();
    assert_eq!(document["totals"]["tables_verified"], 1);
}

#[test]
fn a_saved_plan_is_applied_once() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("bob", 2, true));
    let planned = shell.run(&["plan", "--out", "plan.json"]);
    assert_eq!(
        (planned.code, planned.err.as_str()),
        (0, format!("{NO_NOTES}Next: stedi-delta sync --plan plan.json\n").as_str())
    );
    shell.land("people/c.json", &person("zoe", 1, true));
    let applied = shell.run(&["sync", "--plan", "plan.json"]);
    assert_eq!(applied.code, 0, "{}", applied.err);
    assert!(applied.out.contains("people     v0 -> v1        +1          1 file\n"), "{}", applied.out);
    assert_eq!(
        applied.err,
        format!(
            "{NO_NOTES}\nwarning: 1 file of people came after the plan was made\n  \
             the next sync reads what this one leaves: stedi-delta sync\n"
        )
    );
    let stands = shell.warehouse();
    let stale = shell.run(&["sync", "--plan", "plan.json"]);
    let made = shell.definition("plan.json");
    let made = made.split("\"made_at\": \"").nth(1).unwrap().split('"').next().unwrap();
    let said = format!(
        "error: the plan is stale: 2 changes since it was made\n  \
         changed    people is at v1, planned at v0\n  \
         changed    members is at v1, planned at v0\n  \
         made       {made}\n  \
         meanwhile  nothing was written\n  \
         next       stedi-delta plan --out plan.json   (makes a new one)\n"
    );
    assert_eq!((stale.code, stale.err.as_str(), stale.out.as_str()), (4, said.as_str(), ""));
    let document = shell.run(&["sync", "--plan", "plan.json", "--format", "json"]).json();
    assert_eq!((&document["report"], &document["exit_code"]), (&"sync/1".into(), &4.into()));
    assert_eq!(document["error"]["kind"], "conflict");
    assert_eq!(shell.warehouse(), stands);
    assert_eq!(shell.run(&["sync"]).code, 0);
}

#[test]
fn a_plan_is_of_one_lake_and_of_one_selection() {
    let shell = Shell::synced();
    shell.land("people/b.json", &person("bob", 2, true));
    assert_eq!(shell.run(&["plan", "-s", "people", "--out", "people.json"]).code, 0);
    for flag in [
        &["-s", "people"][..],
        &["--full-refresh"],
        &["--reload", "people"],
        &["--unload", "people:a"],
        &["--no-migrate"],
    ] {
        let ran = shell.run(&[&["sync", "--plan", "people.json"], flag].concat());
        assert_eq!(ran.code, 64, "{flag:?}: {}", ran.err);
        assert!(ran.err.contains("cannot be used with"), "{}", ran.err);
    }
    let stands = shell.warehouse();
    let elsewhere = shell.run(&["sync", "--plan", "people.json", "--warehouse", "other"]);
    let said = "error: the plan was made for another warehouse\n  \
                planned    file://<folder>/project/w/\n  \
                here       file://<folder>/project/other/\n  \
                next       name the target and roots of the plan, or make one for these: stedi-delta --warehouse other plan --out plan.json\n";
    assert_eq!((elsewhere.code, elsewhere.err.as_str()), (64, said));
    assert!(!shell.project().join("other").exists());
    let missing = shell.run(&["sync", "--plan", "none.json"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.starts_with("error: the plan none.json cannot be read: No such file"), "{}", missing.err);
    shell.define("broken.json", "{\"format\": \"stedi-delta-plan/2\"}");
    let said = "error: this file is not a plan of `plan --out`\n  \
                found      `stedi-delta-plan/2`: another version of this program made it\n  \
                expected   `\"format\": \"stedi-delta-plan/1\"`\n  \
                file       broken.json\n  \
                next       stedi-delta plan --out plan.json   (makes one)\n";
    let broken = shell.run(&["sync", "--plan", "broken.json"]);
    assert_eq!((broken.code, broken.err.as_str()), (1, said));
    shell.define("broken.json", shell.definition("people.json").replace("\"action\"", "\"deed\""));
    assert!(shell.run(&["sync", "--plan", "broken.json"]).err.contains("unknown field `deed`"));
    assert_eq!(shell.warehouse(), stands);
    let unwritten = shell.run(&["plan", "--out", "none/plan.json"]);
    assert_eq!(unwritten.code, 1);
    assert!(unwritten.err.contains("the plan cannot be written to none/plan.json: No such file"), "{}", unwritten.err);
    assert_eq!(shell.run(&["sync", "--plan", "people.json"]).code, 0);
}

#[test]
fn a_plan_shows_columns_rows_and_catalog_within_eighty_characters() {
    let shell = Shell::synced();
    shell.define("migrations/0001_when.sql", "alter table people rename column at to changed;\n");
    let people = shell.definition("tables/landing/people.toml");
    let people = people.replace("at = {", "changed = {").replace("[\"at\"]", "[\"changed\"]");
    shell.define("tables/landing/people.toml", people.replace("shares = {", "zip = { type = \"string\" }\nshares = {"));
    let members = shell.definition("tables/trusted/members.sql");
    let members = members
        .replace("select email, at\n", "select email, changed\n")
        .replace("select email, at, shares", "select email, changed, shares");
    shell.define("tables/trusted/members.sql", members.replace("order by at desc", "order by changed desc"));
    let temporary = shell.folder().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let stands = shell.warehouse();
    let environment = [("TMPDIR", temporary.to_str().unwrap())];
    let ran = shell.run_in(&shell.project(), &environment, &["plan", "--rows"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let size = ran.out.split(" of people to be rewritten").next().unwrap().rsplit("migrations: ").next().unwrap();
    let expected = format!(
        "\nColumns\n  \
         people    ~ at: renamed to changed   0001_when\n            \
         + zip string\n  \
         members   - at\n            \
         + changed long\n  \
         1 statement of migrations: {size} of people to be rewritten\n\n\
         Rows, without landing files that are to be ingested\n  \
         members   +2 -2   full\n\n\
         Catalog: 2 entries to update: people, members\n\
         Plan: 1 to ingest, 1 full, 1 up to date.\n"
    );
    assert!(ran.out.ends_with(&expected), "{}\n{expected}", ran.out);
    for line in ran.out.lines().skip(1) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(shell.warehouse(), stands);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "the scratch copy is removed");
    let document = shell.run(&["plan", "--rows", "--format", "json", "--out", "plan.json"]).json();
    let members = document["tables"].as_array().unwrap().iter().find(|t| t["table"] == "members").unwrap();
    assert_eq!(members["schema"][1]["change"], "added");
    assert_eq!(
        (&members["computed"]["rows_inserted"], &members["computed"]["error"]),
        (&2.into(), &serde_json::Value::Null)
    );
    assert_eq!(
        (&document["out"], &document["catalog"]["changes"][1]["change"]),
        (&"plan.json".into(), &"update".into())
    );
    assert_eq!(document["migrations"][0]["label"], "when");
    assert_eq!(shell.run(&["sync", "--plan", "plan.json"]).code, 0);
    assert_eq!(shell.run(&["plan", "--detailed-exitcode"]).code, 0);
}

#[test]
fn rows_that_consent_forbids_exit_3_before_any_sync() {
    let shell = Shell::synced();
    shell.define("tables/trusted/members.sql", "select email, at from people");
    assert_eq!(shell.run(&["plan"]).code, 0);
    let ran = shell.run(&["plan", "--rows"]);
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(
        ran.out.contains("\n  members   members would hold rows of 1 person who has not consented\n"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("error: members would hold rows of 1 person who has not consented\n"), "{}", ran.err);
    let document = shell.run(&["plan", "--rows", "--format", "json"]).json();
    let members = document["tables"].as_array().unwrap().iter().find(|t| t["table"] == "members").unwrap();
    assert_eq!((&members["computed"]["error"]["kind"], &document["exit_code"]), (&"evidence".into(), &3.into()));
}
