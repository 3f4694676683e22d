//! Spilled rows are personal data: their location, their permissions, and their removal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::shell::Shell;

/// A sort of 10^9 rows of 8 bytes.
const ENDLESS: &str = "select a.i * 7 % 1000003 as x from \
    (select unnest(generate_series(1, 10000)) as i) as a \
    cross join (select unnest(generate_series(1, 100000)) as i) as b order by x";

fn project(spill_folder: &str) -> Shell {
    let shell = Shell::synced();
    let settings = shell.definition("stedi-delta.toml");
    shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"32 MB\"\n{spill_folder}"));
    shell
}

/// The entries of a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// The sizes of all files below a folder.
fn bytes(folder: &Path) -> u64 {
    let size =
        |path: PathBuf| if path.is_dir() { bytes(&path) } else { path.metadata().map_or(0, |about| about.len()) };
    entries(folder).into_iter().map(size).sum()
}

/// A running query that has spilled to `folder`.
fn spilling(shell: &Shell, temporary: &Path, folder: &Path) -> Child {
    let environment = [("TMPDIR", temporary.to_str().unwrap())];
    let mut child = shell.command(&shell.project(), &environment, &["query", ENDLESS]).spawn().unwrap();
    let began = Instant::now();
    while bytes(folder) < 1 << 20 {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing was spilled");
        assert!(child.try_wait().unwrap().is_none(), "the query ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

fn signal(child: &mut Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap();
}

#[test]
fn nothing_spilled_stays_beyond_the_next_run() {
    let shell = project("");
    let temporary = shell.folder().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let environment = [("TMPDIR", temporary.to_str().unwrap())];
    let run = |args: &[&str]| shell.run_in(&shell.project(), &environment, args);
    for args in [&["status"][..], &["query", "select 1"]] {
        assert_eq!(run(args).code, 0);
        assert!(entries(&temporary).is_empty(), "nothing was spilled");
    }

    let mut killed = spilling(&shell, &temporary, &temporary);
    let folders = entries(&temporary);
    assert_eq!(folders.len(), 1, "one per run: {folders:?}");
    assert_eq!(folders[0].metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(run(&["status"]).code, 0);
    assert!(bytes(&temporary) > 0, "its owner lives");
    signal(&mut killed, "-KILL");
    assert!(bytes(&temporary) > 0);
    assert_eq!(run(&["status"]).code, 0);
    assert!(entries(&temporary).is_empty(), "{:?}", entries(&temporary));

    for name in ["-TERM", "-INT"] {
        signal(&mut spilling(&shell, &temporary, &temporary), name);
        assert!(entries(&temporary).is_empty(), "{name}: {:?}", entries(&temporary));
    }
    let sorted = run(&["query", &ENDLESS.replace("100000", "200"), "--format", "csv"]);
    assert_eq!((sorted.code, sorted.out.lines().count()), (0, 2_000_001), "{}", sorted.err);
    assert!(entries(&temporary).is_empty());
}

#[test]
fn a_setting_says_where() {
    let shell = project("spill_folder = \"scratch/a\"\n");
    let (temporary, scratch) = (shell.folder().join("tmp"), shell.project().join("scratch/a"));
    fs::create_dir(&temporary).unwrap();
    let mut child = spilling(&shell, &temporary, &scratch);
    assert!(entries(&temporary).is_empty());
    signal(&mut child, "-KILL");
    assert_eq!(shell.run(&["status"]).code, 0);
    assert!(entries(&scratch).is_empty());

    // If nothing can be spilled, the error says so.
    fs::remove_dir(&scratch).unwrap();
    fs::write(&scratch, "").unwrap();
    let failed = shell.run(&["query", ENDLESS]);
    assert_eq!(failed.code, 1);
    assert!(failed.err.contains("nothing can be spilled to"), "{}", failed.err);
    assert!(failed.err.contains("choose another folder with TMPDIR or `spill_folder`"), "{}", failed.err);
}
