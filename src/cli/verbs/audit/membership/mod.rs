//! `audit membership`: whether a subject is in a table, and why. `membership/1` is its document.

mod report;
mod text;

use clap::Args;

pub(in crate::cli) use report::{MembershipReport, document, failed};

use crate::audit::{self, MembershipOptions, Wanted};
use crate::cli::args::Dates;
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Kind, Result};

/// Options of `audit membership`.
#[derive(Args, Clone, Debug)]
pub struct MembershipArgs {
    /// The table, also at a version: table, table@v12, table@2026-11-20 (the end of that day)
    #[arg(value_name = "TABLE[@VERSION]")]
    pub table: String,
    /// Who: COLUMN=VALUE, COLUMN=- (the value is on standard input), COLUMN=#HASH (a hash that was printed)
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub subject: String,
    /// Show every version in which the number of rows changed
    #[arg(long)]
    pub all_versions: bool,
    /// Most rows to explain, and most source rows to follow for each
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    #[command(flatten)]
    pub dates: Dates,
}

impl MembershipArgs {
    fn options(&self) -> Result<MembershipOptions> {
        let Some((column, value)) = self.subject.split_once('=').filter(|(column, _)| !column.is_empty()) else {
            return Err(Error::new(Kind::Usage, "`--subject` names no column")
                .fact("expected", "COLUMN=VALUE")
                .help("COLUMN=- reads the value from standard input"));
        };
        let subject = match value {
            "-" => Wanted::Value(typed()?),
            value => match value.strip_prefix('#') {
                Some(hash) => Wanted::Hash(hash.to_owned()),
                None => Wanted::Value(value.to_owned()),
            },
        };
        Ok(MembershipOptions {
            table: self.table.clone(),
            zone: self.dates.zone()?,
            column: column.to_owned(),
            subject,
            limit: self.limit,
            all_versions: self.all_versions,
        })
    }
}

/// The first line of standard input.
fn typed() -> Result<String> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|cause| Error::failed("standard input cannot be read").because(cause))?;
    let value = line.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(Error::new(Kind::Usage, "there is no subject on standard input")
            .help("printf '%s' \"$SUBJECT\" | stedi-delta audit membership TABLE --subject COLUMN=-"));
    }
    Ok(value.to_owned())
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &MembershipArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let options = args.options()?;
    let result = match session.lake().await {
        Ok(lake) => Box::pin(audit::membership(&lake.workspace, &options)).await,
        Err(error) => Err(error),
    };
    let outcome = session.or_document(format, result, failed)?;
    session.notes(&outcome.notes);
    if format == Format::Json {
        session.ui.document(&document(&outcome));
    } else {
        session.ui.page(&text::answer(&outcome));
    }
    Ok(exit::DONE)
}
