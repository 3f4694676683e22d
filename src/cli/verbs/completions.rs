//! `completions` and `man`: what shells and the manual take from the command line's declaration.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::Shell;

use crate::cli::{Format, Session, exit, help};
use crate::error::{Error, Result};

/// Options of `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Options of `man`.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// Write a page of each verb into this folder, instead of printing the page of the program
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

pub(in crate::cli) fn completions(session: &mut Session<'_>, args: &CompletionsArgs) -> Result<u8> {
    session.format(&[Format::Table])?;
    let mut script = Vec::new();
    let mut command = help::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    // clap issue 6421: in its script for bash the `-` of a program's name is spelled in two ways, and nothing is completed after
    // a verb. This can go when `bash_completes_verbs_options_and_words` passes without it.
    let script = String::from_utf8_lossy(&script).replace("stedi__subcmd__delta", "stedi__delta");
    session.ui.answer(&script);
    Ok(exit::DONE)
}

pub(in crate::cli) fn man(session: &mut Session<'_>, args: &ManArgs) -> Result<u8> {
    session.format(&[Format::Table])?;
    match &args.out {
        Some(folder) => {
            let pages = written(folder)?;
            session.ui.answer(&format!("{}: {pages} pages.\n", folder.display()));
            session.ui.status(&format!("Next: man -l {}\n", folder.join("stedi-delta.1").display()));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(help::command())
                .render(&mut page)
                .map_err(|cause| Error::failed("the page cannot be written").because(cause))?;
            session.ui.answer(&String::from_utf8_lossy(&page));
        }
    }
    Ok(exit::DONE)
}

/// Writes the page of the program and one of each verb; returns their number.
fn written(folder: &Path) -> Result<usize> {
    let failed = |cause| Error::failed(format!("no page can be written into {}", folder.display())).because(cause);
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(help::command(), folder).map_err(failed)?;
    Ok(help::paths(&help::command()).len())
}
