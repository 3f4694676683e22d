//! The command line. Global options may precede or follow the verb.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, FromArgMatches, Parser, ValueEnum, ValueHint};

use super::help::command;
use super::verbs::Verb;
use super::{exit, version};
use crate::error::{Kind, Result};
use crate::travel::Zone;

/// Environment variables that set the target and its roots if the command line does not.
pub(super) const TARGET: &str = "STEDI_DELTA_TARGET";
pub(super) const LANDING: &str = "STEDI_DELTA_LANDING";
pub(super) const WAREHOUSE: &str = "STEDI_DELTA_WAREHOUSE";

/// Environment variable that sets the log format if the command line does not.
const LOG_FORMAT: &str = "STEDI_DELTA_LOG_FORMAT";

/// Lakehouse tables over Delta Lake, declared in files and computed from one consistent cut of landing versions
#[derive(Clone, Debug, Parser)]
#[command(name = "stedi-delta", bin_name = "stedi-delta", version, propagate_version = false)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// The verb as typed: `sync`, `quarantine ls`.
    #[arg(skip)]
    pub typed: String,
}

/// Options of every verb.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every verb")]
pub struct Globals {
    /// Project folder [default: the nearest folder upwards with a stedi-delta.toml]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub project: Option<PathBuf>,
    /// Target of stedi-delta.toml to work on [default: the project's]
    #[arg(short, long, global = true, value_name = "NAME", env = TARGET, hide_env_values = true)]
    pub target: Option<String>,
    /// Root of the landing files, instead of the target's: a folder or a URL
    #[arg(long, global = true, value_name = "ROOT", env = LANDING, hide_env_values = true)]
    pub landing: Option<String>,
    /// Root of the tables, instead of the target's: a folder or a URL
    #[arg(long, global = true, value_name = "ROOT", env = WAREHOUSE, hide_env_values = true)]
    pub warehouse: Option<String>,
    /// Format of the result; ndjson and csv for rows only, mermaid and openlineage for lineage only
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Print personal data instead of hashes
    #[arg(long, global = true)]
    pub reveal: bool,
    /// No progress and no hints; warnings and errors stay
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Shorten nothing, however wide a line is [default: as wide as COLUMNS or the terminal]
    #[arg(long, global = true)]
    pub wide: bool,
    /// Format of standard error: text, or one JSON object per event
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    #[arg(env = LOG_FORMAT, hide_env_values = true)]
    pub log_format: LogFormat,
    /// Write every event to standard error, including debug events
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

/// How dates on the command line are meant.
#[derive(Args, Clone, Debug, Default)]
pub struct Dates {
    /// Time zone of dates and of times without an offset, such as Europe/Rome or +02:00 [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
}

impl Dates {
    /// The time zone.
    ///
    /// # Errors
    /// `Usage` if there is none of that name.
    pub fn zone(&self) -> Result<Zone> {
        self.timezone.as_deref().map_or_else(|| Ok(Zone::default()), Zone::parse)
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object per line.
    Ndjson,
    /// Comma-separated values with a header.
    Csv,
    /// A diagram for Mermaid.
    Mermaid,
    /// Events of OpenLineage, one JSON object per line.
    #[value(name = "openlineage")]
    OpenLineage,
}

/// How standard error is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    // CI systems set a variable to the empty string to leave it out.
    #[value(alias = "")]
    Text,
    /// One JSON object per event, and nothing else.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A command line that ends before any work: help, version, or a usage error.
#[derive(Debug)]
pub struct Ended {
    /// What to print.
    pub text: clap::builder::StyledStr,
    /// 0 for help and version, else 64.
    pub exit_code: u8,
    /// The error, on one line.
    pub message: String,
    /// The correct usage.
    pub help: Option<String>,
    /// Whether standard error is JSON.
    pub log_json: bool,
}

/// Parses a command line; the first argument is the program's name.
///
/// # Errors
/// The text to print instead of working.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Ended> {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = command().try_get_matches_from(&args).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))?;
        if let Some(flag) = empty_flag(&matches) {
            let message = format!("`--{flag}` is empty\n\n  tip: give it a value, or leave it out");
            return Err(command().error(ErrorKind::InvalidValue, message));
        }
        Ok(Cli { typed: typed(&matches), ..cli })
    });
    parsed.map_err(|error| {
        let ended = ended(&error, log_json(&args, std::env::var_os(LOG_FORMAT)));
        if error.kind() == ErrorKind::DisplayVersion && is_verbose(&args) {
            return Ended { text: version::long().into(), ..ended };
        }
        ended
    })
}

/// Whether a command line that asks for the version asks for all of it.
fn is_verbose(args: &[OsString]) -> bool {
    args.iter().filter_map(|arg| arg.to_str()).any(|arg| {
        let short = arg.strip_prefix('-').is_some_and(|flags| !flags.starts_with('-') && flags.contains('v'));
        short || arg == "--verbose"
    })
}

/// The option of the target or its roots that was typed with an empty value, as `"$UNSET"` gives: the default would be
/// another place than the user meant. A variable of ours that is empty counts as absent: CI systems leave one out so.
fn empty_flag(matches: &ArgMatches) -> Option<&'static str> {
    // `clap` itself refuses an empty path.
    ["target", "landing", "warehouse"].into_iter().find(|flag| {
        let is_typed = matches.value_source(flag) == Some(ValueSource::CommandLine);
        is_typed && matches.get_raw(flag).is_some_and(|mut values| values.any(OsStr::is_empty))
    })
}

fn typed(matches: &ArgMatches) -> String {
    let verbs = std::iter::successors(matches.subcommand(), |(_, matches)| matches.subcommand());
    verbs.map(|(verb, _)| verb).collect::<Vec<_>>().join(" ")
}

fn ended(error: &clap::Error, log_json: bool) -> Ended {
    let text = error.render();
    let plain = text.to_string();
    let mut blocks = plain.split("\n\n").map(|block| block.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = blocks.next().unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no verb is given".to_owned(),
        _ => first.strip_prefix("error: ").unwrap_or(&first).to_owned(),
    };
    let help = blocks.find(|block| block.starts_with("tip: ") || block.starts_with("Usage: "));
    let exit_code = if error.use_stderr() { exit::of(Kind::Usage) } else { 0 };
    Ended { text, exit_code, message, help, log_json }
}

/// Whether a wrong command line requests JSON. The option overrides the environment.
fn log_json(args: &[OsString], environment: Option<OsString>) -> bool {
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    let mut given = words.iter().enumerate().filter_map(|(at, word)| match word.strip_prefix("--log-format")? {
        "" => words.get(at + 1).copied(),
        value => value.strip_prefix('='),
    });
    let environment = environment.as_ref().and_then(|value| value.to_str());
    given.next_back().or(environment) == Some("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, Ended> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn globals_stand_before_or_after_the_verb() {
        for line in [
            "stedi-delta -t prod --format json --reveal -q sync -s a b --reload x:y.json",
            "stedi-delta sync -s a,b --reload x:y.json -t prod --format json --reveal -q",
            "stedi-delta --target prod -q sync --reload x:y.json --select a --select b --format=json --reveal",
        ] {
            let cli = parsed(line).expect(line);
            let globals = &cli.globals;
            assert_eq!(globals.target.as_deref(), Some("prod"), "{line}");
            assert_eq!((globals.format, globals.reveal, globals.quiet), (Format::Json, true, true), "{line}");
            let Verb::Sync(sync) = cli.verb else { panic!("{line}") };
            assert_eq!(sync.select, ["a", "b"], "{line}");
            assert_eq!(sync.reload, ["x:y.json"], "{line}");
        }
        for (line, times) in [("stedi-delta sync", 0), ("stedi-delta -v sync", 1), ("stedi-delta sync -vv", 2)] {
            assert_eq!(parsed(line).expect(line).globals.verbose, times, "{line}");
        }
        let nested = parsed("stedi-delta quarantine ls people -n 5 --project dir").expect("a nested verb");
        assert_eq!(nested.globals.project, Some(PathBuf::from("dir")));
    }

    #[test]
    fn mistakes_exit_64_and_help_0() {
        for line in [
            "stedi-delta",
            "stedi-delta synk",
            "stedi-delta sync --frobnicate",
            "stedi-delta history",
            "stedi-delta history t -n many",
            "stedi-delta status --format yaml",
            "stedi-delta quarantine",
        ] {
            assert_eq!(parsed(line).expect_err(line).exit_code, 64, "{line}");
        }
        for line in ["stedi-delta --help", "stedi-delta --version", "stedi-delta sync --help"] {
            assert_eq!(parsed(line).expect_err(line).exit_code, 0, "{line}");
        }
    }

    #[test]
    fn a_verb_is_known_as_it_was_typed() {
        for verb in ["sync", "quarantine ls"] {
            let line = format!("stedi-delta -t prod {verb} -q");
            assert_eq!(parsed(&line).expect(&line).typed, verb);
        }
    }

    #[test]
    fn a_wrong_command_line_says_what_is_wrong_on_one_line() {
        let says = |line: &str| {
            let ended = parsed(line).expect_err(line);
            (ended.message, ended.help.unwrap_or_default())
        };
        let (message, help) = says("stedi-delta sync --frobnicate");
        assert_eq!(message, "unexpected argument '--frobnicate' found");
        assert!(help.starts_with("Usage: stedi-delta sync") || help.starts_with("tip: "), "{help}");
        assert_eq!(says("stedi-delta history").0, "the following required arguments were not provided: <TABLE>");
        assert_eq!(says("stedi-delta").0, "no verb is given");
        assert_eq!(says("stedi-delta synk").1, "tip: a similar subcommand exists: 'sync'");
    }

    #[test]
    fn a_wrong_command_line_may_ask_for_json() {
        let asks = |line: &str, environment: &str| {
            let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            log_json(&args, Some(environment.into()).filter(|e: &OsString| !e.is_empty()))
        };
        assert!(asks("stedi-delta synk --log-format json", ""));
        assert!(asks("stedi-delta --log-format=json synk", ""));
        assert!(asks("stedi-delta synk", "json"));
        assert!(asks("stedi-delta synk --log-format text --log-format json", "text"));
        assert!(!asks("stedi-delta synk --log-format text", "json"));
        assert!(!asks("stedi-delta synk --log-format", ""));
        assert!(!asks("stedi-delta synk", ""));
    }

    #[test]
    fn an_empty_place_is_refused_before_and_after_the_verb() {
        for (line, flag) in [
            ("stedi-delta sync --landing=", "--landing"),
            ("stedi-delta --warehouse= sync", "--warehouse"),
            ("stedi-delta quarantine ls --target=", "--target"),
        ] {
            let ended = parsed(line).expect_err(line);
            assert_eq!((ended.exit_code, ended.message), (64, format!("`{flag}` is empty")), "{line}");
            assert_eq!(ended.help.as_deref(), Some("tip: give it a value, or leave it out"), "{line}");
        }
        let project = parsed("stedi-delta status --project=").expect_err("an empty path");
        assert_eq!(
            (project.exit_code, project.message.contains("'--project <DIR>'")),
            (64, true),
            "{}",
            project.message
        );
        let args = ["stedi-delta", "sync", "-t", ""].map(OsString::from);
        assert_eq!(parse(args).expect_err("an empty target").message, "`--target` is empty");
    }

    #[test]
    fn an_empty_log_format_is_text() {
        for line in ["stedi-delta sync --log-format=", "stedi-delta sync --log-format=text", "stedi-delta sync"] {
            assert_eq!(parsed(line).expect(line).globals.log_format, LogFormat::Text, "{line}");
        }
        assert_eq!(parsed("stedi-delta sync --log-format=yaml").expect_err("no format").exit_code, 64);
    }

    #[test]
    fn help_names_the_exit_codes() {
        let help = parsed("stedi-delta --help").expect_err("help").text.to_string();
        assert!(help.contains("130  interrupted"), "{help}");
        assert_eq!(parsed("stedi-delta --version").expect_err("version").text.to_string(), "stedi-delta 0.1.0\n");
        for line in ["stedi-delta --version --verbose", "stedi-delta -vV", "stedi-delta -v --version"] {
            let ended = parsed(line).expect_err(line);
            let text = ended.text.to_string();
            let labels: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
            let expected = ["stedi-delta", "commit", "target", "rust", "engine", "tables", "documents"];
            assert_eq!((labels.as_slice(), ended.exit_code), (&expected[..], 0), "{line}");
        }
    }
}
