//! Where the commands meet the rest of the house: finding a project, loading it, showing its faults, opening its lake.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::operations::{Open, Operations, Settings};
use crate::definition::Project;
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::source::Fault;

/// Name of the file that makes a folder a project.
const PROJECT_FILE: &str = "stedi-delta.toml";

/// The nearest folder, upwards from `start`, that is a project.
pub(super) fn find_root(start: &Path) -> Option<PathBuf> {
    start.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file()).map(Path::to_path_buf)
}

/// Loads and checks the project in a folder.
pub(super) fn load(root: &Path) -> Result<Project> {
    Err(Error::new(Kind::Internal, "loading a project is not wired yet").fact("project", root.display().to_string()))
}

/// A fault with its place, as text that ends with a line break.
pub(super) fn render_fault(fault: &Fault, _color: bool) -> String {
    let place = fault.place.as_ref().map_or_else(String::new, |place| {
        let (line, column) = place.line_column();
        format!("  --> {}:{line}:{column}\n", place.file.path.display())
    });
    format!("error: {}\n{place}   = {}\n", fault.message, fault.label)
}

/// Opens lakes for real.
#[derive(Debug)]
pub(super) struct Lakes;

#[async_trait]
impl Open for Lakes {
    async fn open(&self, settings: Settings, _progress: Arc<dyn Progress>) -> Result<Box<dyn Operations>> {
        load(&settings.root)?;
        Err(Error::new(Kind::Internal, "opening a lake is not wired yet"))
    }
}
