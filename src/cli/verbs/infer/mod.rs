//! `infer`: the definition of a landing table, drafted from sample files. Its document is `infer/1`.

mod report;
mod text;

use clap::Args;

use crate::cli::{Format, Session, exit};
use crate::definition::units;
use crate::error::Result;
use crate::infer::{Asked, Inferred, infer};
pub(in crate::cli) use report::InferReport;
use report::document;

/// Arguments of `infer`.
#[derive(Args, Clone, Debug)]
pub struct InferArgs {
    /// Sample files: patterns, files or folders, also on s3://, under the target's landing root
    #[arg(value_name = "GLOB", required = true)]
    pub globs: Vec<String>,
    /// Table to define [default: named after the files' folder, in the first zone]
    #[arg(long, value_name = "ZONE.NAME")]
    pub table: Option<String>,
    /// Most data to read, decompressed: from each file about as much
    #[arg(long, value_name = "SIZE", default_value = "32MB", value_parser = size)]
    pub sample: u64,
    /// Print the definition and write nothing
    #[arg(long)]
    pub print: bool,
    /// Edit a definition that exists, instead of printing the edit
    #[arg(long, conflicts_with = "print")]
    pub write: bool,
}

fn size(text: &str) -> Result<u64, String> {
    units::bytes(text).ok_or_else(|| "expected a size such as 64MB or 1GB".to_owned())
}

pub(in crate::cli) async fn run(session: &mut Session<'_>, args: &InferArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let result = inferred(session, args).await;
    let inferred = session.or_document(format, result, |error| document(Err(error)))?;
    if format == Format::Json {
        session.ui.document(&document(Ok(&inferred)));
        return Ok(exit::DONE);
    }
    if args.print {
        session.ui.answer(&inferred.text);
        session.ui.status(&format!("\n{}", text::read(&inferred)));
        session.ui.status(&text::fate(&inferred));
        return Ok(exit::DONE);
    }
    session.ui.answer(&text::answer(&inferred));
    session.ui.status(&text::next(&inferred, args));
    Ok(exit::DONE)
}

async fn inferred(session: &mut Session<'_>, args: &InferArgs) -> Result<Inferred> {
    let lake = session.lake().await?;
    let asked = Asked {
        globs: args.globs.clone(),
        table: args.table.clone(),
        sample: args.sample,
        write: args.write,
        print: args.print,
    };
    infer(&lake.workspace, &asked).await
}
