//! What `--help` says beside the options: an example of each verb, environment variables, exit codes.

use clap::{Command, CommandFactory};

use super::{Cli, exit};

/// The environment variables, in `--help`.
const ENVIRONMENT: &str = "\
Environment:
  STEDI_DELTA_TARGET      the target, without --target
  STEDI_DELTA_LANDING     the landing root, without --landing
  STEDI_DELTA_WAREHOUSE   the warehouse root, without --warehouse
  STEDI_DELTA_LOG_FORMAT  the format of standard error, without --log-format
  STEDI_DELTA_HASH_KEY    the key of the hashes that are printed instead of
                          personal data [default: a new one per run]
  NO_COLOR                no colour, if it is set
  AWS_*                   region, credentials and endpoints, as in AWS";

/// An example of each verb, and what it does.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    ("check", &[("check", "the project in this folder, or above it"), ("check --format json", "for scripts")]),
    (
        "sync",
        &[
            ("sync", "bring every table to the newest cut"),
            ("sync -s members+", "members, and the tables that are computed from it"),
            ("sync --reload orders:2026/a.json", "read a file again that was corrected"),
        ],
    ),
    (
        "plan",
        &[
            ("plan --rows", "also compute the changes of derived tables"),
            ("plan --out plan.json", "to be applied by `sync --plan plan.json`"),
        ],
    ),
    (
        "init",
        &[
            ("init lake", "an empty project in the folder lake"),
            ("init shop --example shop", "one with files and tables to try"),
        ],
    ),
    (
        "infer",
        &[
            ("infer \"data/orders/*.json\"", "print the definition of a table for them"),
            ("infer \"data/orders/*.json\" --table landing.orders --write", "write it"),
        ],
    ),
    ("test", &[("test", "every case of tests/*.toml"), ("test withdraw", "those with this in their name")]),
    ("optimize", &[("optimize --dry-run", "what would be merged"), ("optimize orders", "")]),
    (
        "vacuum",
        &[
            ("vacuum --lake", "what would be deleted; nothing is"),
            ("vacuum --lake --yes", "delete it"),
            ("vacuum --purge old_orders --yes", "everything of a dropped table"),
        ],
    ),
    ("status", &[("status --target prod", "the tables of another target")]),
    (
        "query",
        &[
            ("query \"select count(*) from members\"", ""),
            ("query \"select * from members@v12\" --format csv", "an older version, for other programs"),
        ],
    ),
    ("history", &[("history members --since 2026-11-01", "")]),
    ("report", &[("report --out report.html", "one page that needs nothing else")]),
    ("pin", &[("pin members@v12 --name audit_2026 --until 2027-11-20", "")]),
    ("unpin", &[("unpin audit_2026", "")]),
    ("pins", &[("pins", "")]),
    ("restore", &[("restore members --to v12", "asks first, unless there is `--yes`")]),
    ("audit", &[("audit consent members", "")]),
    ("audit consent", &[("audit consent members", "every version that can be read")]),
    ("audit verify", &[("audit verify members@v12", "")]),
    ("audit membership", &[("audit membership members --subject email=-", "the value is read from standard input")]),
    ("show", &[("show members@2026-11-20", "as it was at the end of that day")]),
    ("describe", &[("describe members", "")]),
    (
        "diff",
        &[
            ("diff members --from v12", "to the newest version"),
            ("diff --lake --from 2026-11-01 --to 2026-11-20", "count the rows of every table"),
        ],
    ),
    (
        "lineage",
        &[
            ("lineage members", "down to landing files"),
            ("lineage people --downstream --format mermaid", "what is computed from it, as a diagram"),
        ],
    ),
    ("migrate", &[("migrate status", "")]),
    ("migrate new", &[("migrate new short_names --rename members.mail=email", "")]),
    ("migrate status", &[("migrate status", "")]),
    ("migrate apply", &[("migrate apply --dry-run", "check them, rows included, and write nothing")]),
    ("migrate lint", &[("migrate lint", "")]),
    ("quarantine", &[("quarantine ls orders", "")]),
    ("quarantine ls", &[("quarantine ls orders -n 100 --format csv", "")]),
    ("quarantine replay", &[("quarantine replay orders", "after a change of the definition")]),
    ("catalog", &[("catalog check", "")]),
    ("catalog check", &[("catalog check --target prod", "")]),
    ("catalog register", &[("catalog register --prune", "also drop the entries of tables that left the project")]),
    ("catalog ddl", &[("catalog ddl members", "")]),
    ("schema", &[("schema table > schemas/table.json", "for an editor, see docs/reference.md")]),
    (
        "completions",
        &[
            ("completions bash > ~/.local/share/bash-completion/completions/stedi-delta", ""),
            ("completions zsh > ~/.zfunc/_stedi-delta", "a folder of `fpath`"),
            ("completions fish > ~/.config/fish/completions/stedi-delta.fish", ""),
            ("completions powershell >> $PROFILE", ""),
        ],
    ),
    ("man", &[("man --out ~/.local/share/man/man1", "then `man stedi-delta-sync`"), ("man | man -l -", "")]),
];

/// The command line with its examples.
#[must_use]
pub fn command() -> Command {
    let command = Cli::command().after_help(format!("{ENVIRONMENT}\n\n{}", exit::HELP));
    with_examples(command, "")
}

/// Every verb as it is typed: `sync`, `quarantine`, `quarantine ls`. The first one, empty, is the program itself.
#[must_use]
pub fn paths(command: &Command) -> Vec<String> {
    let mut found = vec![String::new()];
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let name = verb.get_name();
        found.extend(paths(verb).into_iter().map(|path| format!("{name} {path}").trim_end().to_owned()));
    }
    found
}

fn with_examples(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let below = |name: &str| format!("{path} {name}").trim_start().to_owned();
    let command = names
        .iter()
        .fold(command, |command, name| command.mut_subcommand(name, |verb| with_examples(verb, &below(name))));
    match EXAMPLES.iter().find(|(verb, _)| *verb == path) {
        Some((_, examples)) => command.after_help(shown(examples)),
        None => command,
    }
}

/// The examples, each with what it does in the line below.
fn shown(examples: &[(&str, &str)]) -> String {
    let mut text = String::from(if examples.len() == 1 { "Example:" } else { "Examples:" });
    for (line, what) in examples {
        text.push_str(&format!("\n  stedi-delta {line}"));
        if !what.is_empty() {
            text.push_str(&format!("\n      {what}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    #[test]
    fn every_verb_has_an_example_and_every_example_is_a_command_line() {
        let verbs = paths(&command());
        let without: Vec<&String> =
            verbs.iter().filter(|verb| !verb.is_empty() && EXAMPLES.iter().all(|(name, _)| name != verb)).collect();
        assert!(without.is_empty(), "verbs without an example in src/cli/help.rs: {without:?}");
        for (verb, examples) in EXAMPLES {
            assert!(verbs.iter().any(|known| known == verb), "there is no `{verb}`");
            for (line, _) in *examples {
                assert!(line.starts_with(verb), "{line}");
                let typed = line.split(['>', '|']).next().unwrap();
                let mut words = vec!["stedi-delta".to_owned()];
                for (at, part) in typed.split('"').enumerate() {
                    if at % 2 == 1 {
                        words.push(part.to_owned());
                    } else {
                        words.extend(part.split_whitespace().map(str::to_owned));
                    }
                }
                let parsed = parse(words.iter().map(std::ffi::OsString::from));
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err().text);
            }
        }
    }

    #[test]
    fn no_line_of_the_examples_is_wider_than_eighty_columns() {
        let lines =
            EXAMPLES.iter().flat_map(|(_, examples)| shown(examples).lines().map(str::to_owned).collect::<Vec<_>>());
        for line in lines.chain(ENVIRONMENT.lines().map(str::to_owned)) {
            assert!(line.len() <= 80 || line.contains('>'), "{line}");
        }
    }
}
