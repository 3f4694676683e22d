//! Invalid folders, and names with special characters for a shell or a URL.

use super::person;
use super::shell::{NO_NOTES, Shell};

#[test]
fn names_that_a_shell_or_a_url_would_trip_over_are_only_names() {
    let shell = Shell::shop();
    let (landing, warehouse) = ("my landing #1 [x] 100% ?", "wäre house #2 [y] 日本");
    let folder = shell.project().join(landing).join("people/sub dir ü");
    std::fs::create_dir_all(&folder).unwrap();
    for (at, file) in ["file 1 %41 #x [y] ñ 😀.json", "a+b&c=d.json", "{b}?.json"].into_iter().enumerate() {
        let path = folder.join(file);
        std::fs::write(&path, person(&format!("p{at}"), 1, true)).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).unwrap();
    }
    let environment = [("STEDI_DELTA_LANDING", landing), ("STEDI_DELTA_WAREHOUSE", warehouse)];
    let run = |args: &[&str]| shell.run_in(&shell.project(), &environment, args);
    let first = run(&["sync"]);
    assert_eq!(first.code, 0, "{}", first.err);
    let files = "select source_file as f from people order by f";
    assert_eq!(
        run(&["query", files, "--format", "csv"]).out,
        "f\npeople/sub dir ü/a+b&c=d.json\npeople/sub dir ü/file 1 %41 #x [y] ñ 😀.json\npeople/sub dir ü/{b}?.json\n"
    );
    assert!(run(&["sync"]).out.starts_with("Nothing to do"));
    let person = person("p1", 2, false);
    std::fs::write(folder.join("später.json"), person).unwrap();
    let file = std::fs::File::options().write(true).open(folder.join("später.json")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let change = run(&["sync", "--format", "json"]).json();
    assert_eq!(change["tables"][2]["rows_deleted"], 1, "a merge reads the files it wrote: {change}");
    assert_eq!(run(&["query", "select count(*) as n from members", "--format", "csv"]).out, "n\n2\n");
}

#[test]
fn a_warehouse_that_delta_readers_would_mistake_is_refused_at_once() {
    let shell = Shell::shop();
    let ran = shell.run(&["sync", "--warehouse", "a%20b"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(
        ran.err,
        "error: the warehouse `<folder>/project/a%20b` cannot hold tables\n  \
         found      `%20` in its path: Delta readers take that for an escaped character\n  \
         next       choose another folder with --warehouse\n"
    );
}

#[test]
fn a_location_that_delta_readers_would_mistake_is_refused_before_anything_is_written() {
    for (location, found) in
        [("w/a%20b", "`%20`: Delta readers take that for an escaped character"), ("w/a\\\\b", "`\\`: ")]
    {
        let shell = Shell::shop();
        let path = shell.project().join("tables/trusted/members.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("location = \"{location}\"\n{text}")).unwrap();
        for verb in ["check", "sync"] {
            let ran = shell.run(&[verb]);
            assert_eq!(ran.code, 1);
            assert!(ran.err.contains("`location` is a path that cannot hold a table"), "{}", ran.err);
            assert!(ran.err.contains(found), "{}", ran.err);
        }
        // Decoded, it is such a path as well.
        let url = format!("file:///nowhere/{}", if location.contains('%') { "a%2520b" } else { "a%5Cb" });
        std::fs::write(&path, format!("location = \"{url}\"\n{text}")).unwrap();
        let ran = shell.run(&["sync"]);
        assert!(ran.err.starts_with("error: the location of members `/nowhere/a"), "{}", ran.err);
        assert!(!std::path::Path::new("/nowhere").exists());
    }
}

#[test]
fn roots_that_are_no_folders_are_named() {
    let shell = Shell::shop();
    for (args, message) in [
        (["--landing", "nowhere"], "the landing folder `<folder>/project/nowhere` does not exist"),
        (
            ["--landing", "stedi-delta.toml"],
            "the landing folder `<folder>/project/stedi-delta.toml` is a file, not a folder",
        ),
        (
            ["--warehouse", "stedi-delta.toml"],
            "the warehouse `<folder>/project/stedi-delta.toml` is a file, not a folder",
        ),
    ] {
        let ran = shell.run(&[&["sync"][..], &args].concat());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}");
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines[..2], [format!("error: {message}").as_str(), "  target     dev"], "{args:?}");
        assert!(lines[2].starts_with("  next       "), "{args:?}");
    }
    let nowhere = [("AWS_EC2_METADATA_DISABLED", "true")];
    let remote = shell.run_in(&shell.project(), &nowhere, &["sync", "--landing", "s3://bucket"]);
    assert_eq!(remote.code, 1);
    assert!(remote.err.starts_with("error: no AWS region is named\n"), "{}", remote.err);
    let other = shell.run(&["sync", "--landing", "gs://bucket"]);
    assert!(other.err.starts_with("error: `gs://bucket` has no store\n"), "{}", other.err);
}

#[test]
fn a_table_in_another_table_s_folder_is_refused_before_anything_is_done() {
    let shell = Shell::synced();
    let before = shell.warehouse();
    let members =
        |place: &str| format!("description = \"Members\"\nlocation = \"{place}\"\n[consent]\nsubject = \"email\"\n");
    for (place, found) in [
        ("w/landing/people/", "is the folder of table `people`"),
        ("w/landing/people/inside", "is inside the folder of table `people`"),
        ("w/x/../landing/people_quarantine", "is the folder of the quarantine of `people`"),
        ("w/system/runs", "is inside the folder that this tool keeps"),
    ] {
        shell.define("tables/trusted/members.toml", members(place));
        for args in [&["check"][..], &["sync"], &["plan"], &["status"]] {
            let ran = shell.run(args);
            assert_eq!(ran.code, 1, "{args:?}");
            let fault = format!("error: the folder of table `members` {found}\n");
            assert!(ran.err.starts_with(&fault), "{args:?} {}", ran.err);
            assert!(ran.err.contains("tables/trusted/members.toml:2:12\n"), "{}", ran.err);
        }
    }
    // A conflict that only the command line causes.
    shell.define("tables/trusted/members.toml", members("o/landing/people"));
    assert_eq!(shell.run(&["check"]).code, 0);
    let ran = shell.run(&["sync", "--warehouse", "o"]);
    assert_eq!(ran.code, 64);
    assert_eq!(
        ran.err,
        "error: the folder of table `members` is the folder of table `people`\n  \
         warehouse  o\n  \
         next       name another one with --warehouse, or choose another `location` for the table\n"
    );
    assert_eq!(shell.warehouse(), before);
}

#[test]
fn a_warehouse_that_cannot_be_written_to_says_so_without_a_stack() {
    let shell = Shell::shop();
    shell.land("people/a.json", &person("ann", 1, true));
    // A file instead of a folder: even root cannot write there.
    shell.define("w/landing", "");
    let ran = shell.run_in(&shell.project(), &[("RUST_BACKTRACE", "1")], &["sync"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("error: a data file cannot be written: Generic LocalFileSystem error: "), "{}", ran.err);
    assert!(ran.err.contains("<folder>/project/w/landing/people"), "{}", ran.err);
    assert!(ran.err.contains("\n  next       make sure that the warehouse can be written to\n"), "{}", ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

#[test]
fn a_warehouse_below_the_landing_root_is_not_read_as_landing_files() {
    let shell = Shell::synced();
    let everything =
        "description = \"All\"\n[source]\npath = \"**/*.json\"\nformat = \"json\"\n[columns]\nid = \"long\"\n";
    shell.define("tables/landing/notes.toml", everything);
    shell.define("tables/landing/people.toml", everything.replace("id =", "email ="));
    std::fs::remove_file(shell.project().join("tables/trusted/members.sql")).unwrap();
    std::fs::remove_file(shell.project().join("tables/trusted/members.toml")).unwrap();
    shell.land("x.json", "{\"id\":1}");
    let below = ["--warehouse", "l/house"];
    assert_eq!(shell.run(&[&["sync"][..], &below].concat()).code, 0);
    let files = shell
        .run(&[&["query", "select distinct path from files order by path", "--format", "csv"][..], &below].concat());
    assert!(files.out.contains("x.json") && !files.out.contains("house"), "{}", files.out);
    let again = shell.run(&[&["status", "--format", "json"][..], &below].concat()).json();
    assert_eq!(again["tables"][0]["pending"], serde_json::json!([]));
}

#[test]
fn a_file_to_be_read_again_has_to_be_there() {
    let shell = Shell::synced();
    let ran = shell.run(&["sync", "--reload", "people:people/b.json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err.strip_prefix(NO_NOTES).unwrap(),
        "\nerror: `people/b.json` is no file of people\n  \
         landing    <folder>/project/l\n  \
         expected   a path below it that fits `people/**/*.json`\n  \
         next       stedi-delta query \"select path from files where landing_table = 'people'\"\n  \
         meanwhile  1 table below it is behind: members\n"
    );
    let whole = shell.run(&["sync", "--reload", "people", "--format", "json"]).json();
    assert_eq!([&whole["tables"][1]["rows_inserted"], &whole["tables"][1]["rows_deleted"]], [3, 3]);
}

#[test]
fn what_does_not_exist_yet_is_not_created_by_looking_at_it() {
    let shell = Shell::shop();
    for args in [&["query", "select * from people"][..], &["history", "people"], &["quarantine", "replay", "people"]] {
        let ran = shell.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}");
        assert_eq!(ran.err, "error: people does not exist yet\n  next       stedi-delta sync\n", "{args:?}");
    }
    assert_eq!(shell.run(&["quarantine", "ls"]).out, "Nothing is in quarantine.\n");
    assert!(!shell.project().join("w").exists());
}

#[test]
fn files_that_may_still_be_written_to_are_named_and_left_for_later() {
    let shell = Shell::synced();
    shell.define(
        "tables/landing/notes.toml",
        super::shell::NOTES.replace("[columns]", "min_age = \"10000d\"\n[columns]"),
    );
    shell.land("notes/young.json", "{\"id\":1}");
    let ran = shell.run(&["sync"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "Next: stedi-delta sync   (files are read once they have their `min_age`)\n")
    );
    assert!(
        ran.out.ends_with("\nToo young to be read, for the next sync of notes:\n  notes/young.json\n"),
        "{}",
        ran.out
    );
    let status = shell.run(&["status", "--format", "json"]).json();
    assert_eq!(status["tables"][0]["pending"][0], "1 file too young to be read, waiting");
}
