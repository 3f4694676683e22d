//! Random people land, consent, withdraw, violate expectations and are refused, with the most verbose output. Then all
//! output is searched for them, and every object except data files, change data and quarantine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::shell::{Ran, Shell};
use crate::support::traces::{Secrets, seed};

const PEOPLE: &str = "\
description = \"People\"
[source]
path = \"people/*.json\"
format = \"json\"
on_overwrite = \"replace\"
[columns]
email = { type = \"string\", classification = \"pii\" }
serial = { type = \"long\", classification = \"pii\" }
home = { type = \"struct<street:string,number:long>\", classification = \"pii\" }
balance = { type = \"decimal(18,2)\", classification = \"pii\" }
shares = \"long\"
at = \"long\"
kind = \"string\"
[grants]
subjects = [\"email\"]
granted = \"shares is not null\"
latest = [\"at\"]
[[expectations]]
name = \"known\"
check = \"kind <> 'unknown'\"
action = \"quarantine\"
[[expectations]]
name = \"early\"
check = \"at < 9 or serial < 0\"
action = \"warn\"
";
const MEMBERS: &str = "description = \"Members\"\nprimary_key = [\"email\"]\n[consent]\nsubject = \"email\"\n\
     [[expectations]]\nname = \"kept\"\ncheck = \"kind <> 'odd'\"\naction = \"quarantine\"\n";
const MEMBERS_SQL: &str = "select email, serial, home, balance, kind, at from (\
     select p.*, row_number() over (partition by email order by at desc nulls last, \
     case when shares is null then 0 else 1 end, source_file, source_offset) as newest from people p) \
     where newest = 1 and shares is not null";
const TOLD_SQL: &str = "select lower(email) as who, serial + 0 as number, max(balance) as most, count(*) as n \
     from members group by lower(email), serial";
/// Enough pairs of people to spill, and for a while.
const PAIRS_SQL: &str = "select p.email || q.email as pair, min(p.balance) as least, count(*) as n \
     from people p join people q on p.kind = q.kind group by p.email || q.email";

/// A person that no other run has.
pub(super) struct Person {
    pub(super) email: String,
    pub(super) serial: i64,
    street: String,
    cents: i64,
}

impl Person {
    fn new(seed: u64, number: u64) -> Self {
        let mut state = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut next = || {
            state = (state ^ state >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x94D0_49BB_1331_11EB);
            state ^ state >> 29
        };
        let mut word = |letters: usize| -> String {
            (0..letters).map(|_| char::from(b'a' + u8::try_from(next() >> 32 & 15).unwrap())).collect()
        };
        let (email, street) = (format!("{}.{}@Example.org", word(9), word(6)), format!("Übel{}weg", word(12)));
        let mut digits = |most: i64| most / 10 + i64::try_from(next() >> 2).unwrap() % (most / 10 * 9);
        Self { email, serial: digits(9_000_000_000_000_000), street, cents: digits(9_000_000_000_000_000) }
    }

    pub(super) fn record(&self, shares: &str, at: u64, kind: &str) -> String {
        let Self { email, serial, street, cents } = self;
        let balance = format!("{}.{:02}", cents / 100, cents % 100);
        format!(
            "{{\"email\":\"{email}\",\"serial\":{serial},\"home\":{{\"street\":\"{street}\",\"number\":{serial}}},\
             \"balance\":{balance},\"shares\":{shares},\"at\":{at},\"kind\":\"{kind}\"}}\n"
        )
    }

    /// Records that cannot land, and one with an undeclared field.
    fn broken(&self) -> String {
        let Self { email, serial, street, .. } = self;
        format!(
            "{{\"email\":\"{email}\",\"serial\":\"{serial}\"}}\n{{\"email\":\"{email}\",\"serial\":{serial}.5}}\n\
             {{\"email\":\"{email}\",\"home\":\"{street}\"}}\n{{\"email\":\"{email}\",\"serial\":{serial}\n\
             {{\"email\":\"{email}\",\"serial\":{serial},\"{email}\":1,\"at\":1,\"kind\":\"k\"}}\n"
        )
    }

    fn told_to(&self, secrets: &mut Secrets) {
        let local = self.email.split('@').next().unwrap();
        secrets.text(local);
        secrets.text(&self.street["Ü".len()..]);
        secrets.number(self.serial);
        secrets.number(self.cents);
        // Bounds may be next to their values.
        for number in [self.serial, self.cents] {
            secrets.text(&number.to_string()[..12]);
        }
    }
}

/// A project of random people; `classified`: whether it classifies their columns.
pub(super) struct Scene {
    pub(super) shell: Shell,
    pub(super) people: Vec<Person>,
    pub(super) secrets: Secrets,
    pub(super) seed: u64,
    /// Commands and their output.
    pub(super) printed: Vec<(String, String)>,
}

impl Scene {
    pub(super) fn new(classified: bool) -> Self {
        let (shell, seed) = (Shell::shop(), seed());
        for file in ["landing/notes.toml", "trusted/members.toml", "trusted/members.sql"] {
            fs::remove_file(shell.project().join("tables").join(file)).unwrap();
        }
        let said = |text: &str| match classified {
            true => text.to_owned(),
            false => text.replace(", classification = \"pii\"", ""),
        };
        shell.define("tables/landing/people.toml", said(PEOPLE));
        shell.define("tables/trusted/members.toml", MEMBERS);
        shell.define("tables/trusted/members.sql", MEMBERS_SQL);
        shell.define("tables/trusted/told.toml", "description = \"Told\"\n");
        shell.define("tables/trusted/told.sql", TOLD_SQL);
        fs::create_dir(shell.folder().join("tmp")).unwrap();
        let people: Vec<Person> = (0..12).map(|number| Person::new(seed, number)).collect();
        let mut secrets = Secrets::default();
        people.iter().for_each(|person| person.told_to(&mut secrets));
        Self { shell, people, secrets, seed, printed: Vec::new() }
    }

    fn temporary(&self) -> PathBuf {
        self.shell.folder().join("tmp")
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let temporary = self.temporary();
        self.shell.command(&self.shell.project(), &[("TMPDIR", temporary.to_str().unwrap())], args)
    }

    /// Runs a command at its most verbose, and keeps its output.
    fn run(&mut self, args: &[&str], code: i32) {
        for more in [&["-vv", "--color", "always"][..], &["-vv", "--log-format", "json", "--format", "json"]] {
            let args = [args, more].concat();
            let Ran { code: found, out, err } = Ran::of(&mut self.command(&args));
            assert_eq!(found, code, "{args:?} of seed {}:\n{out}\n{err}", self.seed);
            self.printed.push((args.join(" "), format!("{out}\n{err}")));
            // The same command again may have nothing to do.
            if args[0] == "sync" || args.contains(&"replay") {
                break;
            }
        }
    }

    pub(super) fn land(&self, file: &str, text: &str) {
        self.shell.land(&format!("people/{file}.json"), text);
    }

    /// The output about people, and the objects that hold some of them.
    fn found(&self) -> Vec<String> {
        let printed = self.printed.iter().filter_map(|(command, text)| {
            let found = self.secrets.within(text.as_bytes());
            (!found.is_empty()).then(|| format!("printed by {command}: {found:?}"))
        });
        let mut files = Vec::new();
        walk(&self.shell.folder(), &mut files);
        let mut data = 0;
        let held = files.iter().filter_map(|path| {
            let below = path.strip_prefix(self.shell.project()).unwrap_or(path);
            if below.starts_with("l") {
                return None;
            }
            let found = self.secrets.within_file(path);
            if is_data(below) {
                data += usize::from(!found.is_empty());
                return None;
            }
            (!found.is_empty()).then(|| format!("{}: {found:?}", below.display()))
        });
        let found = printed.chain(held).collect();
        assert!(data > 2, "people are found where they are");
        found
    }

    pub(super) fn assert_silent(&self) {
        assert_eq!(self.found(), Vec::<String>::new(), "seed {}", self.seed);
    }
}

/// Data files, change data and quarantine, by their paths in the project.
fn is_data(below: &Path) -> bool {
    let is_table = below.starts_with("w/landing") || below.starts_with("w/trusted");
    let is_log = below.components().any(|part| part.as_os_str() == "_delta_log");
    is_table && !is_log && below.extension().is_some_and(|e| e == "parquet")
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Whether a file below a folder holds people; the folder may be removed meanwhile.
fn holds_people(folder: &Path) -> bool {
    let is_person = |bytes: &[u8]| bytes.windows(12).any(|window| window == b"@Example.org");
    let holds = |path: PathBuf| match path.is_dir() {
        true => holds_people(&path),
        false => fs::read(path).is_ok_and(|bytes| is_person(&bytes[..bytes.len().min(1 << 20)])),
    };
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| holds(entry.path()))
}

/// A history of the project: every success and failure that concerns a person.
pub(super) fn live(scene: &mut Scene) {
    let records =
        |people: &[Person], kind: &str| -> String { people.iter().map(|person| person.record("1", 2, kind)).collect() };
    scene.land("a", &records(&scene.people[..6], "k"));
    scene.run(&["check"], 0);
    scene.run(&["plan", "--explain"], 0);
    scene.run(&["sync"], 0);
    // Invalid, refused by an expectation, warned of.
    let refused = records(&scene.people[8..9], "unknown") + &records(&scene.people[9..10], "odd");
    scene.land("b", &(records(&scene.people[6..8], "k") + &refused + &scene.people[10].broken()));
    scene.land("c", &scene.people[11].record("1", 20, "k"));
    scene.run(&["plan", "--explain"], 0);
    scene.run(&["plan", "--rows", "--out", "plan.json"], 0);
    scene.run(&["sync"], 0);
    for listed in [&["quarantine", "ls"][..], &["quarantine", "ls", "people"], &["quarantine", "ls", "members"]] {
        scene.run(listed, 0);
    }
    scene.run(&["quarantine", "replay", "people"], 0);
    // Withdrawn, unloaded, replaced, reloaded.
    scene.land("d", &scene.people[0].record("null", 3, "k"));
    scene.run(&["sync"], 0);
    scene.run(&["sync", "--unload", "people:people/c.json"], 0);
    scene.land("a", &records(&scene.people[..4], "k"));
    scene.run(&["sync", "--verify"], 0);
    scene.run(&["sync", "--reload", "people:people/c.json"], 0);
    // Without consent; with a failing expression.
    let shell = &scene.shell;
    shell.define("tables/trusted/leaky.toml", "description = \"Leaky\"\n[consent]\nsubject = \"email\"\n");
    shell.define("tables/trusted/leaky.sql", "select email, serial from people");
    shell.define("tables/trusted/cast.toml", "description = \"Cast\"\n");
    shell.define("tables/trusted/cast.sql", "select cast(email as bigint) as n from people");
    scene.run(&["sync"], 3);
    scene.run(&["query", "select cast(email as date) from people"], 1);
    for file in ["leaky.toml", "leaky.sql", "cast.toml", "cast.sql"] {
        fs::remove_file(scene.shell.project().join("tables/trusted").join(file)).unwrap();
    }
    scene.run(&["sync", "--full-refresh"], 0);
    for verb in [&["status"][..], &["history", "people"], &["history", "members"], &["catalog", "check"]] {
        scene.run(verb, 0);
    }
}

#[test]
fn random_people_are_in_data_files_alone_whatever_happens_to_them() {
    let mut scene = Scene::new(true);
    live(&mut scene);
    assert!(scene.printed.len() > 20);
    scene.assert_silent();
}

#[test]
fn people_whom_nobody_calls_personal_data_are_found_by_the_same_search() {
    let mut scene = Scene::new(false);
    live(&mut scene);
    let found = scene.found().join("\n");
    for place in ["w/landing/people/_delta_log", "w/trusted/told/_delta_log", "w/system/files", "printed by query"] {
        assert!(found.contains(place), "{place}: {found}");
    }
}

#[test]
fn spilled_people_go_with_the_run_that_was_killed() {
    let mut scene = Scene::new(true);
    let settings = scene.shell.definition("stedi-delta.toml");
    scene.shell.define("stedi-delta.toml", format!("{settings}[defaults]\nmemory_limit = \"32 MB\"\n"));
    let crowd: Vec<Person> = (0..3000).map(|number| Person::new(scene.seed, 1000 + number)).collect();
    let records: String = crowd.iter().chain(&scene.people).map(|person| person.record("1", 2, "k")).collect();
    scene.land("a", &records);
    scene.run(&["sync"], 0);
    scene.shell.define("tables/trusted/pairs.toml", "description = \"Pairs\"\n");
    scene.shell.define("tables/trusted/pairs.sql", PAIRS_SQL);
    let said = |name: &str| fs::File::create(scene.shell.folder().join(name)).unwrap();
    let mut child = scene.command(&["sync", "-vv"]).stdout(said("out")).stderr(said("err")).spawn().unwrap();
    let (began, temporary) = (Instant::now(), scene.temporary());
    while !holds_people(&temporary) {
        assert!(began.elapsed() < Duration::from_secs(120), "nobody was spilled");
        assert!(child.try_wait().unwrap().is_none(), "the sync ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(holds_people(&temporary), "they stay until somebody comes");
    scene.shell.define("tables/trusted/pairs.sql", PAIRS_SQL.replace("p.kind = q.kind", "p.serial = q.serial"));
    scene.run(&["sync"], 0);
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "what was spilled is gone");
    scene.assert_silent();
}
