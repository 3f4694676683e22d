//! Makes landing files of a brokerage like that of TPC-DI, of any size, and batches of changes to them. The same options
//! always give the same bytes.
//!
//! ```text
//! cargo run --release --example tpcdi -- --out examples/tpcdi/data --trades 10000
//! cargo run --release --example tpcdi -- --out examples/tpcdi/data --trades 10000 --batch 1
//! ```

#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

mod batch;
mod random;
mod rows;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: tpcdi --out DIR [options]
  --trades N   trades of the historical load; the other tables follow [10000]
  --batch N    do not make the data but its N-th batch of changes, from 1
  --kind K     what a batch is: day, month, customers, prospects, corrections, brokers [by its number, in this order]";

/// What a batch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A day of trades, prices, cash and watches.
    Day,
    /// Twenty such days.
    Month,
    /// A hundredth of the customers and accounts move or change their tier.
    Customers,
    /// The file of prospects is replaced by one in which every row has changed.
    Prospects,
    /// A file of trades is replaced, with other prices.
    Corrections,
    /// The file of brokers is replaced, and a few companies and securities change.
    Brokers,
}

impl Kind {
    /// All of them, with their names.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("day", Self::Day),
        ("month", Self::Month),
        ("customers", Self::Customers),
        ("prospects", Self::Prospects),
        ("corrections", Self::Corrections),
        ("brokers", Self::Brokers),
    ];
}

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
    let files = if options.batch == 0 { rows::history(&options) } else { batch::changes(&options) };
    let bytes: usize = files.values().map(String::len).sum();
    match files.iter().try_for_each(|(path, text)| write(&options.out.join(path), text)) {
        Ok(()) => {
            println!("{} files, {bytes} bytes", files.len());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", options.out.display());
            ExitCode::FAILURE
        }
    }
}

/// Path under the landing root -> content.
pub(crate) type Files = BTreeMap<String, String>;

/// What to make.
pub(crate) struct Options {
    out: PathBuf,
    /// Trades of the historical load.
    pub(crate) trades: u64,
    /// 0: the historical load.
    pub(crate) batch: u64,
    /// What the batch changes.
    pub(crate) kind: Kind,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut out, mut kind) = (None, None);
        let mut options = Self { out: PathBuf::new(), trades: 10_000, batch: 0, kind: Kind::Day };
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{name} needs a value"));
            let number = |value: String| {
                let whole = value.parse::<u64>().ok().filter(|n| *n > 0);
                whole.ok_or_else(|| format!("{name}: `{value}` is not a number above 0"))
            };
            match name.as_str() {
                "--out" => out = Some(PathBuf::from(value()?)),
                "--trades" => options.trades = number(value()?)?,
                "--batch" => options.batch = number(value()?)?,
                "--kind" => {
                    let value = value()?;
                    let found = Kind::ALL.iter().find(|(name, _)| *name == value);
                    kind = Some(found.ok_or_else(|| format!("--kind: there is no `{value}`"))?.1);
                }
                _ => return Err(format!("unknown option `{name}`")),
            }
        }
        let at = usize::try_from(options.batch.saturating_sub(1) % Kind::ALL.len() as u64).unwrap_or(0);
        options.kind = kind.unwrap_or(Kind::ALL[at].1);
        options.out = out.ok_or("--out is missing")?;
        Ok(options)
    }
}

/// Writes a file that is old enough to be read at once: `sync` skips files that may still be being written.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)?;
    let minute = std::time::Duration::from_secs(60);
    std::fs::File::options().write(true).open(path)?.set_modified(std::time::SystemTime::now() - minute)
}
