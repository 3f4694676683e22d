//! The file system as a store, with a cheaper listing of logs.
//!
//! The crate's own listing makes a path of every entry of a folder before it compares it with the offset: with a thousand
//! commits behind the newest checkpoint that takes longer than the rest of opening a table.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use deltalake::logstore::object_store::local::LocalFileSystem;
use deltalake::logstore::object_store::{
    self, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::runtime::Handle;

/// The folder of a log.
const LOG: &str = "_delta_log";

/// All of the file system.
#[derive(Debug, Default)]
pub(super) struct Folders {
    inner: LocalFileSystem,
}

impl fmt::Display for Folders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Folders {
    /// The folder of a listing of a log, and the name after which it begins.
    fn log(&self, prefix: Option<&Path>, offset: &Path) -> Option<(PathBuf, Path, String)> {
        let prefix = prefix.filter(|prefix| prefix.filename() == Some(LOG))?;
        let after = offset.as_ref().strip_prefix(prefix.as_ref())?.strip_prefix('/')?;
        let folder = self.inner.path_to_filesystem(prefix).ok()?;
        (!after.contains('/')).then(|| (folder, prefix.clone(), after.to_owned()))
    }
}

/// The files of a folder with greater names; `None` if an entry among them is no plain file with a plain name.
fn after(folder: &std::path::Path, prefix: &Path, name: &str) -> io::Result<Option<Vec<ObjectMeta>>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let entry_name = entry.file_name();
        let Some(text) = entry_name.to_str().filter(|text| is_plain(text)) else { return Ok(None) };
        if text <= name {
            continue;
        }
        if !entry.file_type()?.is_file() {
            return Ok(None);
        }
        match entry.metadata() {
            Ok(metadata) => found.push(meta(prefix.clone().join(text), &metadata)?),
            // It was deleted meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(found))
}

/// Whether a name is the same as a part of a path of the store, and none that the store hides.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// As the crate does.
fn meta(location: Path, metadata: &Metadata) -> io::Result<ObjectMeta> {
    let modified = metadata.modified()?;
    let micros = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    let e_tag = Some(format!("{:x}-{micros:x}-{:x}", inode(metadata), metadata.len()));
    Ok(ObjectMeta { location, last_modified: modified.into(), size: metadata.len(), e_tag, version: None })
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

#[async_trait::async_trait]
impl ObjectStore for Folders {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(to, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, opts).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(from, options).await
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.inner.get_ranges(from, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        // What is unusual, and every error, is the crate's.
        let all = self.inner.list_with_offset(prefix, offset);
        let Some((folder, prefix, name)) = self.log(prefix, offset) else { return all };
        let listing = async move {
            let look = move || after(&folder, &prefix, &name);
            let listed = match Handle::try_current() {
                Ok(runtime) => runtime.spawn_blocking(look).await.unwrap_or(Ok(None)),
                Err(_) => look(),
            };
            match listed {
                Ok(Some(found)) => stream::iter(found).map(Ok).boxed(),
                _ => all,
            }
        };
        stream::once(listing).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_log_is_listed_as_the_crate_lists_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("t").join(LOG);
        let store = Folders::default();
        fs::create_dir_all(&log).expect("a folder");
        let prefix = Path::from_absolute_path(&log).expect("a path");
        let same = async |what: &str, after: &str, files: usize| {
            let offset = prefix.clone().join(after);
            let mut ours: Vec<_> = store.list_with_offset(Some(&prefix), &offset).try_collect().await.expect("listed");
            let mut theirs: Vec<_> =
                store.inner.list_with_offset(Some(&prefix), &offset).try_collect().await.expect("listed");
            ours.sort_by(|a, b| a.location.cmp(&b.location));
            theirs.sort_by(|a, b| a.location.cmp(&b.location));
            assert_eq!((&ours, ours.len()), (&theirs, files), "{what}");
        };
        same("empty", "0", 0).await;
        for version in 0..30 {
            fs::write(log.join(format!("{version:020}.json")), "{}").expect("written");
        }
        fs::write(log.join(format!("{:020}.checkpoint.parquet", 19)), "PAR1").expect("written");
        fs::write(log.join("_last_checkpoint"), "{}").expect("written");
        same("a version", &format!("{:020}", 19), 13).await;
        same("a commit", &format!("{:020}.json", 29), 1).await;
        fs::write(log.join("a name#1"), "").expect("written");
        fs::write(log.join("a name"), "").expect("written");
        same("an odd name", &format!("{:020}", 19), 14).await;
        fs::create_dir(log.join("_sidecars")).expect("a folder");
        fs::write(log.join("_sidecars/1.parquet"), "PAR1").expect("written");
        same("a folder", &format!("{:020}", 19), 15).await;
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(log.join("_last_checkpoint"), log.join("link")).expect("a link");
            std::os::unix::fs::symlink("nowhere", log.join("lost")).expect("a link");
            same("a link", &format!("{:020}", 19), 16).await;
        }
        fs::remove_dir_all(&log).expect("removed");
        same("no folder", "0", 0).await;
    }
}
