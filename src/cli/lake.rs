//! The lake that a command line names.

use std::sync::Arc;

use crate::error::Result;
use crate::privacy::Privacy;
use crate::progress::{Level, Progress};
use crate::storage::Storage;
use crate::workspace::{ResolvedTarget, Workspace, WorkspaceOptions};

/// The key with which personal data is hashed in messages.
const HASH_KEY: &str = "STEDI_DELTA_HASH_KEY";

/// A limit from which on freed memory need not go back at once.
const AMPLE: u64 = 1 << 30;

/// An open lake and the settings of a command.
pub(super) struct Lake {
    pub(super) workspace: Workspace,
    pub(super) progress: Arc<dyn Progress>,
    /// Id of this run, in its events, commits and document.
    pub(super) run: String,
}

impl Lake {
    /// Loads and checks the project and connects to its stores; `reveal` prints personal data in clear.
    ///
    /// # Errors
    /// The project has faults, there is no such target, or its stores cannot be reached.
    pub(super) async fn open(
        options: &WorkspaceOptions,
        reveal: bool,
        run: String,
        progress: Arc<dyn Progress>,
    ) -> Result<Self> {
        let address = ResolvedTarget::find(options)?;
        progress.opened(&address.project.name, Some(&address.target));
        let storage = match progress.hears(Level::Debug) {
            true => Storage::default().with_listener(progress.clone()),
            false => Storage::default(),
        };
        if address.project.memory_limit < AMPLE {
            stedi_delta_allocator::give_back_at_once();
        }
        let workspace = Workspace::connect(address, storage, privacy(reveal)).await?;
        Ok(Self { workspace, progress, run })
    }
}

/// How personal data appears. An empty key, such as that of a secret that is not set, would be no secret.
pub(super) fn privacy(reveal: bool) -> Privacy {
    let key = std::env::var(HASH_KEY).ok().filter(|key| !key.is_empty());
    Privacy::new(key.as_deref(), reveal)
}
