//! Makes TPC-H landing files of any size, and rounds of changes to them. The same options always give the same bytes.
//!
//! ```text
//! cargo run --release --example tpch -- --out examples/tpch/data --scale 0.01
//! cargo run --release --example tpch -- --out examples/tpch/data --scale 0.01 --round 1 --changed 1
//! ```
//!
//! A round changes a percentage of the orders: a third of them are new (TPC-H's RF1, in files of their own), a third is
//! deleted with its items (RF2), and a third gets other values (RF3): their files are overwritten. Unless `--facts` is
//! given, customers, parts, suppliers and their prices change as well.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

mod record;
mod round;
mod rows;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: tpch --out DIR [options]
  --scale N    TPC-H's scale factor; 1 is 1.5 million orders with 6 million items [0.01]
  --files N    files of each large table [20]
  --round N    do not make the data but its N-th round of changes, from 1; rounds build upon one another
  --changed N  percent of the orders that a round changes [1]
  --facts      a round changes orders and their items only
  --append     a round has new orders only";

fn main() -> ExitCode {
    run(std::env::args().skip(1))
}

/// Generates the files.
pub(crate) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let made = if options.round == 0 { rows::write_all(&options) } else { round::change(&options) };
    match made {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", options.out.display());
            ExitCode::FAILURE
        }
    }
}

/// What to make.
pub(crate) struct Options {
    out: PathBuf,
    scale: f64,
    files: u64,
    round: u64,
    changed: f64,
    facts: bool,
    append: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut out = None;
        let mut options =
            Self { out: PathBuf::new(), scale: 0.01, files: 20, round: 0, changed: 1.0, facts: false, append: false };
        while let Some(name) = args.next() {
            match name.as_str() {
                "--facts" => options.facts = true,
                "--append" => options.append = true,
                "--out" | "--scale" | "--files" | "--round" | "--changed" => {
                    let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
                    let number = || value.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
                    let whole = || value.parse::<u64>().ok().filter(|n| *n > 0);
                    let wrong = || format!("{name}: `{value}` is not a number above 0");
                    match name.as_str() {
                        "--out" => out = Some(PathBuf::from(&value)),
                        "--scale" => options.scale = number().ok_or_else(wrong)?,
                        "--changed" => options.changed = number().ok_or_else(wrong)?,
                        "--files" => options.files = whole().ok_or_else(wrong)?,
                        _ => options.round = whole().ok_or_else(wrong)?,
                    }
                }
                _ => return Err(format!("unknown option `{name}`")),
            }
        }
        options.out = out.ok_or("--out is missing")?;
        Ok(options)
    }

    /// The file of a table with this number.
    fn file(&self, table: &str, number: u64) -> PathBuf {
        self.out.join(table).join(format!("{table}-{number:03}.json"))
    }
}

/// Writes a file that is old enough to be read at once: `sync` skips files that may still be being written.
fn write(path: &std::path::Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)?;
    let minute = std::time::Duration::from_secs(60);
    std::fs::File::options().write(true).open(path)?.set_modified(std::time::SystemTime::now() - minute)
}
