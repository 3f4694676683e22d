//! URL or folder -> object store: the only user of `object_store`.
//!
//! Every byte that the tool reads or writes passes through a store created here, so that a test can put a faulty or
//! counting store under everything, and each table's bytes can be metered separately.

mod folder;
mod listing;
mod read_cache;
mod local;
mod meter;
mod read_only;
mod s3;
mod scratch;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Component, Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use deltalake::logstore::object_store;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, ObjectStoreExt};
pub(crate) use object_store::{ObjectMeta, ObjectStore};
use url::Url;

use folder::Folders;
pub(crate) use listing::{Listing, Odd, metadata_line};
pub use meter::Meter;
use meter::Metered;
use read_cache::{CachePolicy, CachedStore};
use read_only::ReadOnly;
pub use s3::{Encryption, PROBE};
use scratch::Scratch;

use crate::aws::Aws;
use crate::error::{Context, Error, Kind, Result};
use crate::privacy::{one_line, without_credentials};
use crate::progress::Progress;
use watch::Watched;

/// The problem of a local path that ends in something other than a folder.
pub(crate) const NOT_A_FOLDER: &str = "is a file, not a folder";
/// The scheme of folders on this machine under [`Storage::over`]. The Delta library looks for a `file` in the file system
/// itself, where a table of a rehearsal may not exist.
pub(crate) const SCRATCH: &str = "stedi-delta-scratch";
/// A store of a whole `scheme://authority`.
pub type StoreRef = Arc<dyn ObjectStore>;
/// Wraps every store; identity outside tests.
pub(crate) type Layer = Arc<dyn Fn(StoreRef) -> StoreRef + Send + Sync>;

/// Creates stores, one per `scheme://authority`.
#[derive(Clone, Default)]
pub struct Storage {
    layer: Option<Layer>,
    aws: Option<(Aws, Encryption)>,
    listener: Option<Arc<dyn Progress>>,
    /// The local folder that gets every write instead of the stores.
    scratch: Option<PathBuf>,
    /// Every store is in memory.
    in_memory: bool,
    /// Every store refuses writes.
    is_read_only: bool,
    stores: Arc<Mutex<HashMap<String, Opened>>>,
}

/// A wrapped store, and its bucket if it has one.
#[derive(Clone)]
struct Opened {
    store: StoreRef,
    bucket: Option<s3::S3Store>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Storage")
    }
}

impl Storage {
    /// A storage of empty stores in memory, whatever the address.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { in_memory: true, ..Self::default() }
    }

    /// The same of which nothing can be changed.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { is_read_only: true, stores: Arc::default(), ..self.clone() }
    }

    /// A storage whose every store is wrapped by `layer`.
    #[must_use]
    pub fn with_layer(layer: Layer) -> Self {
        Self { layer: Some(layer), ..Self::default() }
    }

    /// The same with access to S3.
    #[must_use]
    pub fn with_aws(self, aws: Aws, encryption: Encryption) -> Self {
        Self { aws: Some((aws, encryption)), stores: Arc::default(), ..self }
    }

    /// The same with a listener to every request.
    #[must_use]
    pub fn with_listener(self, listener: Arc<dyn Progress>) -> Self {
        Self { listener: Some(listener), stores: Arc::default(), ..self }
    }

    /// The same stores for reads, while every write goes into this local folder. Nobody else may write into it.
    #[must_use]
    pub fn over(&self, scratch: &FsPath) -> Self {
        Self { scratch: Some(scratch.to_owned()), stores: Arc::default(), ..self.clone() }
    }

    /// The access to AWS, if there is one.
    #[must_use]
    pub fn aws(&self) -> Option<&Aws> {
        self.aws.as_ref().map(|(aws, _)| aws)
    }

    /// The location that `text` names: a URL, an absolute folder, or a folder relative to `base`.
    ///
    /// # Errors
    /// When the URL cannot be parsed or its scheme has no store.
    pub fn location(&self, text: &str, base: &FsPath) -> Result<Location> {
        without_credentials(Kind::Failed, "the address of a folder", text)?;
        let url = if text.contains("://") {
            Url::parse(text).context(|| format!("`{text}` is not a URL"))?
        } else {
            let folder = normalised(&base.join(text))?;
            Url::from_directory_path(&folder)
                .map_err(|()| Error::failed(format!("`{}` is not an absolute folder", folder.display())))?
        };
        let mut url = url;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(
                Error::failed(format!("`{text}` has a `?` or a `#` in it")).fact("expected", "`s3://bucket/prefix`")
            );
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let opened = self.store(&url)?;
        let path = Path::from_url_path(url.path()).context(|| format!("`{text}` cannot be used as a path"))?;
        if let Some(bucket) = &opened.bucket {
            bucket.writes_below(&path);
        }
        if (self.scratch.is_some() || self.in_memory) && url.scheme() == "file" {
            let other = url.as_str().replacen("file:", &format!("{SCRATCH}:"), 1);
            url = Url::parse(&other).context(|| format!("`{other}` is not a URL"))?;
        }
        Ok(Location { url, store: opened.store, path, bucket: opened.bucket })
    }

    fn store(&self, url: &Url) -> Result<Opened> {
        let key = format!("{}://{}", url.scheme(), url.authority());
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = stores.get(&key) {
            return Ok(opened.clone());
        }
        let (store, bucket): (StoreRef, _) = match url.scheme() {
            _ if self.in_memory => (Arc::new(InMemory::new()), None),
            "file" => {
                let store = self.watched(Arc::new(Folders::default()), &key);
                (Arc::new(CachedStore::new(store, CachePolicy::Logs)), None)
            }
            "s3" => {
                let bucket = self.bucket(url)?;
                // A cached read is not a request.
                let store = self.watched(Arc::new(bucket.clone()), &key);
                (Arc::new(CachedStore::new(store, CachePolicy::LogsAndData)), Some(bucket))
            }
            other => {
                return Err(Error::failed(format!("`{key}` has no store"))
                    .fact("found", format!("scheme `{other}`"))
                    .fact("expected", "a folder, `file://...` or `s3://bucket/...`")
                    .help("name folders or buckets with --landing and --warehouse"));
            }
        };
        let store = match &self.layer {
            Some(layer) => layer(store),
            None => store,
        };
        let store = if self.is_read_only { Arc::new(ReadOnly { inner: store }) } else { store };
        let store = match &self.scratch {
            Some(folder) => over(store, &folder.join(stores.len().to_string()))?,
            None => store,
        };
        let opened = Opened { store, bucket };
        stores.insert(key, opened.clone());
        Ok(opened)
    }

    fn watched(&self, store: StoreRef, name: &str) -> StoreRef {
        match &self.listener {
            Some(listener) => Arc::new(Watched { inner: store, listener: listener.clone(), name: name.to_owned() }),
            None => store,
        }
    }

    /// The listener to every request.
    #[must_use]
    pub fn listener(&self) -> Option<Arc<dyn Progress>> {
        self.listener.clone()
    }

    fn bucket(&self, url: &Url) -> Result<s3::S3Store> {
        let Some((aws, encryption)) = &self.aws else {
            return Err(Error::failed(format!("`{url}` cannot be used: nothing has connected to AWS")));
        };
        match url.host_str() {
            Some(bucket) if url.username().is_empty() && url.port().is_none() => s3::store(aws, encryption, bucket),
            _ => Err(Error::failed("an `s3://` address names no bucket")
                .fact("expected", "`s3://bucket/prefix`, without user, password or port")),
        }
    }
}

/// A store whose writes go into a new folder.
fn over(store: StoreRef, folder: &FsPath) -> Result<StoreRef> {
    let doing = || format!("{} cannot be used for what would be written", folder.display());
    std::fs::create_dir_all(folder).context(doing)?;
    Ok(Arc::new(Scratch::new(store, folder).context(doing)?))
}

/// `path` with `.` and `..` resolved textually, made absolute; it need not exist.
fn normalised(path: &FsPath) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).context(|| format!("`{}` cannot be made absolute", path.display()))?;
    let mut out = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    Ok(out)
}

/// A folder in a store.
#[derive(Clone)]
pub struct Location {
    /// URL of the folder, with a trailing slash.
    pub url: Url,
    /// Store of the whole `scheme://authority`.
    pub store: StoreRef,
    /// Path of the folder within `store`.
    pub path: Path,
    bucket: Option<s3::S3Store>,
}

/// Whether an error of a read says that this user, or these credentials, may not read.
#[must_use]
pub(crate) fn is_denied(error: &Error) -> bool {
    let by_system = error.cause_of::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
    let by_store = error.cause_of::<object_store::Error>();
    by_system || matches!(by_store, Some(object_store::Error::PermissionDenied { .. }))
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

/// Whether S3 reports that the bucket itself does not exist; the client has no error kind for that.
fn is_no_bucket(cause: &object_store::Error) -> bool {
    cause.to_string().contains("NoSuchBucket")
}

impl fmt::Display for Location {
    /// An absolute path for a folder, else the URL; without a trailing slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.url.as_str().strip_prefix(SCRATCH).map(|rest| Url::parse(&format!("file{rest}")));
        let url = local.and_then(Result::ok).unwrap_or_else(|| self.url.clone());
        match (url.scheme(), url.to_file_path()) {
            ("file", Ok(path)) => f.write_str(path.to_string_lossy().trim_end_matches('/')),
            _ => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

impl Location {
    /// The folder `name` in this one; `name` may hold `/`.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        let mut path = self.path.clone();
        for part in name.split('/').filter(|p| !p.is_empty()) {
            path = path.join(part);
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop_if_empty().push(part).push("");
            }
        }
        Self { url, path, ..self.clone() }
    }

    /// The store with this folder as its root.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn rooted(&self) -> StoreRef {
        Arc::new(PrefixStore::new(self.store.clone(), self.path.clone()))
    }

    /// The folder `name` beside this one.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().pop();
        }
        let parts: Vec<_> = self.path.parts().collect();
        let parent = Path::from_iter(parts[..parts.len().saturating_sub(1)].iter().cloned());
        Self { url, path: parent, ..self.clone() }.join(name)
    }

    /// The same folder, with all of its traffic counted by `meter`.
    #[must_use]
    pub fn metered(&self, meter: &Arc<Meter>) -> Self {
        let store: StoreRef = Arc::new(Metered { inner: self.store.clone(), meter: meter.clone() });
        Self { store, ..self.clone() }
    }

    /// The same folder with a read cache that also has small data files, for work that reads them repeatedly. A bucket has
    /// such a cache already.
    #[must_use]
    pub fn cached(&self) -> Self {
        match self.bucket {
            Some(_) => self.clone(),
            None => {
                Self { store: Arc::new(CachedStore::new(self.store.clone(), CachePolicy::LogsAndData)), ..self.clone() }
            }
        }
    }

    /// The problem of a local path that is not a folder: [`NOT_A_FOLDER`] or `does not exist`. Object stores have no
    /// folders.
    #[must_use]
    pub fn no_folder(&self) -> Option<&'static str> {
        // Without the trailing slash: with it even a file does not exist.
        let path = (self.url.scheme() == "file").then(|| PathBuf::from(self.to_string()))?;
        match (path.is_dir(), path.exists()) {
            (true, _) => None,
            (false, true) => Some(NOT_A_FOLDER),
            (false, false) => Some("does not exist"),
        }
    }

    /// Every file under `folder` (relative to this location), with its path relative to this location.
    ///
    /// # Errors
    /// If the listing fails. A missing folder holds no files.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, ObjectMeta)>> {
        self.listed(folder, self.store.list(Some(&self.join(folder).path))).await
    }

    /// The files of `folder` whose names come after `name`, as [`Self::list`] gives them.
    ///
    /// # Errors
    /// If the listing fails. A missing folder holds no files.
    pub(crate) async fn list_after(&self, folder: &str, name: &str) -> Result<Vec<(String, ObjectMeta)>> {
        let prefix = self.join(folder).path;
        self.listed(folder, self.store.list_with_offset(Some(&prefix), &prefix.clone().join(name))).await
    }

    async fn listed(
        &self,
        folder: &str,
        listing: BoxStream<'_, object_store::Result<ObjectMeta>>,
    ) -> Result<Vec<(String, ObjectMeta)>> {
        match listing.try_collect().await {
            Ok(listed) => Ok(self.relative(listed)),
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(cause) => Err(self.unlisted(folder, cause)),
        }
    }

    fn relative(&self, listed: Vec<ObjectMeta>) -> Vec<(String, ObjectMeta)> {
        let mut files: Vec<(String, ObjectMeta)> = listed
            .into_iter()
            .filter_map(|meta| {
                let relative = meta.location.as_ref().strip_prefix(self.path.as_ref())?;
                Some((relative.trim_start_matches('/').to_owned(), meta))
            })
            .collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }

    /// [`Self::list`] of a folder that others write to: entries that no path can name are reported and do not stop the
    /// rest. Links that lead out of the location are not followed.
    ///
    /// # Errors
    /// If the listing fails, or the bucket does not exist. A missing folder holds no files.
    pub async fn survey(&self, folder: &str) -> Result<Listing> {
        if let ("file", Ok(root)) = (self.url.scheme(), self.url.to_file_path()) {
            let (below, folder_name) = (folder.to_owned(), folder);
            let surveyed = tokio::task::spawn_blocking(move || local::survey(&root, &below)).await;
            let unlisted = || format!("`{self}/{folder_name}` cannot be listed");
            let survey = surveyed.context(unlisted)?.context(unlisted)?;
            if survey.is_plain {
                return Ok(Listing { files: self.list(folder).await?, ..Listing::default() });
            }
            // The store's own listing follows every link and ends at the first irregular name.
            let (outside, dangling) = (survey.outside, survey.dangling);
            let mut listing = Listing { odd: survey.odd, outside, dangling, ..Listing::default() };
            for file in survey.files {
                if let Some(meta) = self.find(&file).await? {
                    listing.files.push((file, meta));
                }
            }
            listing.files.sort_by(|a, b| a.0.cmp(&b.0));
            return Ok(listing);
        }
        let prefix = self.join(folder).path;
        let cause = match (self.store.list(Some(&prefix)).try_collect().await, &self.bucket) {
            (Ok(listed), _) => return Ok(Listing { files: self.relative(listed), ..Listing::default() }),
            // A bucket has no folders that could be missing: the bucket itself was not found.
            (Err(object_store::Error::NotFound { .. }), None) => return Ok(Listing::default()),
            (Err(object_store::Error::InvalidPath { .. }), Some(bucket)) => match bucket.list_around(&prefix).await {
                Ok((listed, odd)) => {
                    let root = format!("{}/", self.path);
                    let below = |key: &str| one_line(key.strip_prefix(&root).unwrap_or(key)).into_owned();
                    let odd = odd.into_iter().map(|(key, why)| (below(&key), Odd::Name(why))).collect();
                    return Ok(Listing { files: self.relative(listed), odd, ..Listing::default() });
                }
                Err(cause) => cause,
            },
            (Err(cause), _) => cause,
        };
        Err(self.unlisted(folder, cause))
    }

    /// Whether there is any object under `folder`.
    ///
    /// # Errors
    /// When the listing fails.
    pub async fn holds(&self, folder: &str) -> Result<bool> {
        let prefix = self.join(folder).path;
        match self.store.list(Some(&prefix)).next().await {
            Some(Ok(_)) => Ok(true),
            Some(Err(object_store::Error::NotFound { .. })) | None => Ok(false),
            // A missing bucket holds no object.
            Some(Err(cause)) if is_no_bucket(&cause) => Ok(false),
            Some(Err(cause)) => Err(self.unlisted(folder, cause)),
        }
    }

    /// Checks that the bucket, if the location is in one, exists.
    ///
    /// # Errors
    /// If it does not.
    pub async fn check_bucket(&self) -> Result<()> {
        match (self.store.list(Some(&self.path)).next().await, &self.bucket) {
            (Some(Err(cause)), Some(_)) if is_no_bucket(&cause) => {
                let error = Error::failed(format!("`{self}` is in a bucket that does not exist")).because(cause);
                Err(error.help("check the bucket and AWS_REGION, or name another root with --landing"))
            }
            _ => Ok(()),
        }
    }

    fn unlisted(&self, folder: &str, cause: object_store::Error) -> Error {
        let is_odd = cause.to_string().contains("path segment");
        let error = Error::failed(format!("`{self}/{folder}` cannot be listed")).because(cause);
        if is_odd {
            return error
                .help("rename that object: between two `/` of a key there must be a name other than `.` and `..`");
        }
        error
    }

    /// The path in the store of a file, from its path relative to this location as in a listing or a Delta table.
    /// Percent escapes in it are part of the name; [`Self::join`] is for new names.
    ///
    /// # Errors
    /// If it contains an empty name, `.` or `..`.
    pub fn file(&self, file: &str) -> Result<Path> {
        let path = format!("{}/{file}", self.path);
        Path::parse(path.trim_start_matches('/')).context(|| format!("`{file}` is not a path"))
    }

    /// Removes a file, if it exists and the store allows it.
    pub async fn remove(&self, file: &str) {
        if let Ok(path) = self.file(file) {
            let _ = self.store.delete(&path).await;
        }
    }

    /// Deletes a file; there need not be one.
    ///
    /// # Errors
    /// When the store fails or refuses it.
    pub async fn delete(&self, file: &str) -> Result<()> {
        match self.store.delete(&self.file(file)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(cause).context(|| format!("`{file}` cannot be deleted")),
        }
    }

    /// The store's metadata of a file.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub async fn head(&self, file: &str) -> Result<ObjectMeta> {
        self.store.head(&self.file(file)?).await.context(|| format!("`{file}` cannot be read"))
    }

    /// The store's metadata of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, file: &str) -> Result<Option<ObjectMeta>> {
        match self.store.head(&self.file(file)?).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(cause) => Err(cause).context(|| format!("files of {self} cannot be looked up")),
        }
    }

    /// The bytes of a file in large chunks, all of the one state that `meta` describes.
    ///
    /// # Errors
    /// The stream yields an error if the file changed meanwhile or the store fails.
    pub fn chunks(&self, meta: &ObjectMeta) -> BoxStream<'static, Result<Bytes>> {
        self.chunks_from(meta, 0)
    }

    /// The same from a byte on.
    ///
    /// # Errors
    /// As [`Self::chunks`].
    pub fn chunks_from(&self, meta: &ObjectMeta, from: u64) -> BoxStream<'static, Result<Bytes>> {
        // A local file's own stream has 8 KiB pieces, and a store's is one slow connection.
        const CHUNK: u64 = 4 << 20;
        let (store, meta) = (self.store.clone(), meta.clone());
        let path = meta.location.as_ref();
        let name = path.strip_prefix(self.path.as_ref()).unwrap_or(path).trim_start_matches('/').to_owned();
        let starts = (from..meta.size).step_by(CHUNK as usize);
        futures::stream::iter(starts)
            .map(move |start| {
                let (store, meta, name) = (store.clone(), meta.clone(), name.clone());
                async move {
                    let options = GetOptions {
                        range: Some((start..(start + CHUNK).min(meta.size)).into()),
                        if_match: meta.e_tag.clone(),
                        ..GetOptions::default()
                    };
                    let read = async { store.get_opts(&meta.location, options).await?.bytes().await };
                    read.await.context(|| format!("`{name}` cannot be read"))
                }
            })
            .buffered(2)
            .boxed()
    }
}
