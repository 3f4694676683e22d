//! `init`: a new project. Its document is `init/1`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::document::ErrorReport;
use crate::cli::render::text;
use crate::cli::{Format, Session, exit};
use crate::error::{Error, Result};
use crate::init::{Example, Initialized, change_folder, init};
use crate::shape::document;

/// Arguments of `init`.
#[derive(Args, Clone, Debug)]
pub struct InitArgs {
    /// Folder of the new project
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// An example with data instead of an empty project
    #[arg(long, value_enum, value_name = "NAME")]
    pub example: Option<ExampleName>,
}

/// The names of the examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExampleName {
    /// Balance-exercise readings of people who consented
    Stedi,
    /// Orders, customers, products and refunds of a shop
    Shop,
}

pub(in crate::cli) fn run(session: &mut Session<'_>, args: &InitArgs) -> Result<u8> {
    let format = session.format(&[Format::Table, Format::Json])?;
    let example = args.example.map(|example| match example {
        ExampleName::Stedi => Example::Stedi,
        ExampleName::Shop => Example::Shop,
    });
    let made = session.or_document(format, init(&args.folder, example), |error| document(Err(error)))?;
    if format == Format::Json {
        session.ui.document(&document(Ok(&made)));
        return Ok(exit::DONE);
    }
    session.ui.answer(&answer(&made));
    session.ui.status(&next(&made));
    Ok(exit::DONE)
}

fn answer(made: &Initialized) -> String {
    let files = text::count(made.files.len() as u64, "file");
    let mut text = format!("Project {}: {files} in {}\n\n", made.name, made.folder.display());
    for file in made.files.iter().filter(|file| !file.ends_with(".gitkeep")) {
        text.push_str(&format!("  {}\n", file.display()));
    }
    text
}

/// What to type.
fn next(made: &Initialized) -> String {
    let mut lines: Vec<String> = change_folder(&made.folder).into_iter().collect();
    match made.example {
        Some(_) => lines.push("stedi-delta sync".to_owned()),
        None => {
            lines.push("stedi-delta check".to_owned());
            lines.push("put JSON files into data/, one folder for each kind, then".to_owned());
            lines.push("stedi-delta infer 'data/FOLDER/*.json'".to_owned());
        }
    }
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\nNext:\n{lines}")
}

document! {
/// A new project.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct InitReport {
    /// `init/1`.
    report: &'static str,
    /// Exit code of the command.
    exit_code: u8,
    /// The project's name.
    project: Option<String>,
    /// Its folder, as it was named.
    folder: Option<String>,
    /// Its files, relative to the folder.
    files: Vec<String>,
    /// Why nothing was made.
    error: Option<ErrorReport>,
}
}

fn document(result: Result<&Initialized, &Error>) -> InitReport {
    let made = result.ok();
    InitReport {
        report: "init/1",
        exit_code: result.err().map_or(exit::DONE, |error| exit::of(error.kind())),
        project: made.map(|made| made.name.clone()),
        folder: made.map(|made| made.folder.display().to_string()),
        files: made.into_iter().flat_map(|made| &made.files).map(|file| file.display().to_string()).collect(),
        error: result.err().map(ErrorReport::from),
    }
}
