//! The folder for rows that do not fit into memory. They are personal data: one folder per process, private to its
//! user, and removed with the process or, if that was killed, by the next one.
//!
//! A running process holds a lock on a file in its folder. The operating system releases it when the process ends in
//! any way, so a folder whose lock is free has no owner.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use deltalake::datafusion::common::DataFusionError;
use deltalake::datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use deltalake::datafusion::execution::{SpillFile, TempFileFactory};

use crate::clock;
use crate::error::{Context, Error, Kind};

/// Prefix of the names of folders.
const PREFIX: &str = "stedi-delta-spill-";
/// The file in it that its owner locks.
const LOCK: &str = "lock";
/// How often another process may remove the new folder, mistaking it for an orphan, before we give up.
const ATTEMPTS: usize = 16;

/// Folders of this process, by their parent.
static FOLDERS: LazyLock<Mutex<BTreeMap<PathBuf, Arc<Spill>>>> = LazyLock::new(Mutex::default);

/// Spill files below one folder.
pub(super) struct Spill {
    base: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// Nothing has been spilled yet.
    #[default]
    Unused,
    Used {
        files: Arc<DiskManager>,
        folder: Folder,
    },
    /// The process is about to end.
    Closed,
}

/// The folder in `base`; `None` = in the temporary folder of the operating system.
pub(super) fn below(base: Option<&Path>) -> Arc<Spill> {
    let base = base.map_or_else(std::env::temp_dir, Path::to_owned);
    lock(&FOLDERS).entry(base.clone()).or_insert_with(|| Arc::new(Spill::new(base))).clone()
}

/// Removes folders of killed processes, there and in the temporary folder of the operating system.
pub(crate) fn sweep(base: Option<&Path>) {
    let temporary = std::env::temp_dir();
    for base in base.into_iter().chain([temporary.as_path()]) {
        // A folder that cannot be read does not stop the command.
        let entries = fs::read_dir(base).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
        for path in ours.map(|entry| entry.path()).filter(|path| is_private(path)) {
            take_away(&path);
        }
    }
}

/// Removes all spill files of this process, which is about to end.
pub(crate) fn close() {
    lock(&FOLDERS).values().for_each(|spill| spill.close());
}

impl Spill {
    fn new(base: PathBuf) -> Self {
        Self { base, state: Mutex::default() }
    }

    fn close(&self) {
        *lock(&self.state) = State::Closed;
    }

    /// The state, after the folder was created at the first use.
    fn used(&self) -> Result<MutexGuard<'_, State>, DataFusionError> {
        let mut state = lock(&self.state);
        if matches!(*state, State::Unused) {
            let folder = Folder::create(&self.base).map_err(|cause| {
                let error = Error::failed(format!("nothing can be spilled to {}", self.base.display()));
                let error = error.help("choose another folder with TMPDIR or `spill_folder`").because(cause);
                DataFusionError::External(Box::new(error))
            })?;
            let mode = DiskManagerMode::Directories(vec![folder.path.clone()]);
            let files = Arc::new(DiskManagerBuilder::default().with_mode(mode).build()?);
            *state = State::Used { files, folder };
        }
        Ok(state)
    }
}

impl TempFileFactory for Spill {
    fn create_temp_file(&self, description: &str) -> Result<Arc<dyn SpillFile>, DataFusionError> {
        match &*self.used()? {
            State::Used { files, .. } => files.create_tmp_file(description),
            State::Unused | State::Closed => {
                Err(DataFusionError::ResourcesExhausted(format!("{description}: the program ends")))
            }
        }
    }
}

/// A folder among the spill files of this process, for files that a command writes and reads again. It is removed with this
/// value.
#[derive(Debug)]
pub(crate) struct SpillFolder(PathBuf);

impl SpillFolder {
    /// A new folder below `base`; `None` = in the temporary folder of the operating system.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn create(base: Option<&Path>) -> crate::error::Result<Self> {
        let spill = below(base);
        let doing = || format!("nothing can be spilled to {}", spill.base.display());
        let path = match &*spill.used().context(doing)? {
            State::Used { folder, .. } => folder.path.join(clock::random_uuid().simple().to_string()),
            State::Unused | State::Closed => return Err(Error::new(Kind::Internal, "the program ends")),
        };
        fs::create_dir(&path).context(doing)?;
        Ok(Self(path))
    }

    /// Its path.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// A folder that this process owns. It is removed when this value is dropped.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn create(base: &Path) -> io::Result<Self> {
        fs::create_dir_all(base)?;
        for _ in 0..ATTEMPTS {
            let path = base.join(format!("{PREFIX}{}", clock::random_uuid().simple()));
            create_private(&path)?;
            let held = File::create_new(path.join(LOCK)).and_then(|file| match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(cause)) => Err(cause),
            });
            match held {
                // Another process may have removed it as an orphan before it was locked.
                Ok(Some(lock)) if path.join(LOCK).exists() => return Ok(Self { path, _lock: lock }),
                Ok(_) => {}
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                Err(cause) => {
                    // Report the first error.
                    let _ = fs::remove_dir_all(&path);
                    return Err(cause);
                }
            }
        }
        Err(io::Error::other("other processes keep removing new folders"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Running work may add a file while the others are removed. The next run removes what is left.
fn remove(folder: &Path) {
    for _ in 0..ATTEMPTS {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            break;
        }
    }
}

/// Removes a folder unless somebody holds its lock.
fn take_away(path: &Path) {
    let lock = path.join(LOCK);
    let is_missing = || lock.symlink_metadata().is_err_and(|cause| cause.kind() == ErrorKind::NotFound);
    // If it cannot be removed now, the next run does it.
    let _ = if is_missing() {
        // Its owner died before it was locked, or is about to lock it and will try again.
        match fs::remove_dir(path) {
            // The lock is an owner's first file: the rest is of a folder that was being removed.
            Err(_) if is_missing() => fs::remove_dir_all(path),
            done => done,
        }
    } else {
        match File::options().write(true).open(&lock).map(|file| (file.try_lock(), file)) {
            Ok((Ok(()), _held)) => fs::remove_dir_all(path),
            _ => Ok(()),
        }
    };
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<()> {
    std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// Whether it is a folder into which no other user could have put a file.
fn is_private(path: &Path) -> bool {
    let Ok(about) = path.symlink_metadata() else { return false };
    #[cfg(unix)]
    let is_open = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0;
    #[cfg(not(unix))]
    let is_open = false;
    about.is_dir() && !is_open
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(base: &Path) -> Vec<PathBuf> {
        fs::read_dir(base).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    }

    #[test]
    fn a_folder_goes_away_with_its_owner_and_not_before() {
        let base = tempfile::tempdir().expect("a temporary folder");
        let spill = Spill::new(base.path().to_owned());
        sweep(Some(base.path()));
        assert_eq!(folders(base.path()), Vec::<PathBuf>::new(), "nothing was spilled");
        let file = spill.create_temp_file("a test").expect("a file");
        assert_eq!(folders(base.path()).len(), 1);
        assert!(is_private(&folders(base.path())[0]));
        assert!(file.path().expect("a local file").exists());
        sweep(Some(base.path()));
        assert!(file.path().expect("a local file").exists(), "its owner lives");
        spill.close();
        assert_eq!(folders(base.path()), Vec::<PathBuf>::new());
        assert!(spill.create_temp_file("a test").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn only_what_is_nobodys_is_taken_away() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let base = tempfile::tempdir().expect("a temporary folder");
        let other = tempfile::tempdir().expect("a temporary folder");
        fs::write(other.path().join(LOCK), "").expect("a file");
        let of = |name: &str| base.path().join(format!("{PREFIX}{name}"));
        for name in ["dead", "empty", "half", "open"] {
            create_private(&of(name)).expect(name);
        }
        for name in ["dead", "open"] {
            fs::write(of(name).join(LOCK), "").expect(name);
            fs::write(of(name).join("rows"), "ann@example.org").expect(name);
        }
        fs::write(of("half").join("rows"), "").expect("a file");
        fs::set_permissions(of("open"), fs::Permissions::from_mode(0o777)).expect("permissions");
        fs::create_dir(base.path().join("somebody's")).expect("a folder");
        symlink(other.path(), of("link")).expect("a link");
        sweep(Some(base.path()));
        let mut left = folders(base.path());
        left.sort();
        assert_eq!(left, [base.path().join("somebody's"), of("link"), of("open")]);
        assert!(other.path().join(LOCK).exists());
    }
}
