//! A store whose writes go into a local folder: reads see them, and the store itself does not change. A rehearsal reads and
//! writes tables through it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::Path as FsPath;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::{
    self, CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, local::LocalFileSystem,
    path::Path,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::StoreRef;

/// A store, and what was written over it.
#[derive(Clone)]
pub(super) struct Scratch {
    inner: StoreRef,
    local: Arc<LocalFileSystem>,
    paths: Arc<Mutex<Paths>>,
}

/// How the folder differs from the store.
#[derive(Debug, Default)]
struct Paths {
    written: HashSet<Path>,
    deleted: HashSet<Path>,
}

/// Where an object is.
enum Held {
    /// In the folder.
    Here,
    /// In the store, if anywhere.
    There,
    /// It was deleted.
    Nowhere,
}

impl Scratch {
    /// `folder` exists, and nobody else writes into it.
    pub(super) fn new(inner: StoreRef, folder: &FsPath) -> object_store::Result<Self> {
        let local = Arc::new(LocalFileSystem::new_with_prefix(folder)?);
        Ok(Self { inner, local, paths: Arc::default() })
    }

    fn paths(&self) -> MutexGuard<'_, Paths> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, path: &Path) -> Held {
        let paths = self.paths();
        match (paths.written.contains(path), paths.deleted.contains(path)) {
            (true, _) => Held::Here,
            (false, true) => Held::Nowhere,
            (false, false) => Held::There,
        }
    }

    fn note_written(&self, path: &Path) {
        self.paths().written.insert(path.clone());
    }

    /// Refuses a path that has an object already.
    async fn check_free(&self, path: &Path) -> object_store::Result<()> {
        let found = match self.held(path) {
            Held::Here => true,
            Held::Nowhere => false,
            Held::There => match self.inner.head(path).await {
                Ok(_) => true,
                Err(Error::NotFound { .. }) => false,
                Err(other) => return Err(other),
            },
        };
        match found {
            true => Err(Error::AlreadyExists { path: path.to_string(), source: "the object exists".into() }),
            false => Ok(()),
        }
    }

    async fn delete(&self, path: Path) -> object_store::Result<Path> {
        if matches!(self.held(&path), Held::Here) {
            self.local.delete(&path).await?;
        }
        let mut paths = self.paths();
        paths.written.remove(&path);
        paths.deleted.insert(path.clone());
        Ok(path)
    }

    /// The objects of both, in order.
    async fn all(&self, prefix: Option<&Path>, after: Option<&Path>) -> object_store::Result<Vec<ObjectMeta>> {
        let of = |store: &dyn ObjectStore| match after {
            Some(after) => store.list_with_offset(prefix, after),
            None => store.list(prefix),
        };
        let mut all = BTreeMap::new();
        for meta in listed(of(&self.inner)).await? {
            if matches!(self.held(&meta.location), Held::There) {
                all.insert(meta.location.clone(), meta);
            }
        }
        all.extend(listed(of(&self.local)).await?.into_iter().map(|meta| (meta.location.clone(), meta)));
        Ok(all.into_values().collect())
    }

    fn stream(
        &self,
        prefix: Option<&Path>,
        after: Option<&Path>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (scratch, prefix, after) = (self.clone(), prefix.cloned(), after.cloned());
        let all = async move {
            let all = scratch.all(prefix.as_ref(), after.as_ref()).await?;
            Ok::<_, Error>(futures::stream::iter(all.into_iter().map(Ok)))
        };
        futures::stream::once(all).try_flatten().boxed()
    }
}

/// A missing folder has no objects.
async fn listed(list: BoxStream<'static, object_store::Result<ObjectMeta>>) -> object_store::Result<Vec<ObjectMeta>> {
    match list.try_collect().await {
        Err(Error::NotFound { .. }) => Ok(Vec::new()),
        found => found,
    }
}

fn not_found(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "the object was deleted".into() }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Display for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

#[async_trait]
impl ObjectStore for Scratch {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        match &opts.mode {
            PutMode::Overwrite => {}
            PutMode::Create => self.check_free(to).await?,
            PutMode::Update(_) => {
                let operation = "a put over one state of an object".to_owned();
                return Err(Error::NotImplemented { operation, implementer: "a rehearsal".to_owned() });
            }
        }
        let put = self.local.put_opts(to, payload, PutOptions::from(opts.mode)).await?;
        self.note_written(to);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let upload = self.local.put_multipart_opts(to, PutMultipartOptions::default()).await?;
        self.note_written(to);
        Ok(upload)
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        match self.held(from) {
            Held::Here => self.local.get_opts(from, options).await,
            Held::There => self.inner.get_opts(from, options).await,
            Held::Nowhere => Err(not_found(from)),
        }
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        match self.held(from) {
            Held::Here => self.local.get_ranges(from, ranges).await,
            Held::There => self.inner.get_ranges(from, ranges).await,
            Held::Nowhere => Err(not_found(from)),
        }
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let scratch = self.clone();
        paths
            .and_then(move |path| {
                let scratch = scratch.clone();
                async move { scratch.delete(path).await }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.stream(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.stream(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let empty = || ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
        let or_empty = |found: object_store::Result<ListResult>| match found {
            Err(Error::NotFound { .. }) => Ok(empty()),
            found => found,
        };
        let there = or_empty(self.inner.list_with_delimiter(prefix).await)?;
        let here = or_empty(self.local.list_with_delimiter(prefix).await)?;
        let mut all = empty();
        all.objects.extend(there.objects.into_iter().filter(|meta| matches!(self.held(&meta.location), Held::There)));
        all.objects.extend(here.objects);
        all.objects.sort_by(|a, b| a.location.cmp(&b.location));
        all.common_prefixes.extend(there.common_prefixes.into_iter().chain(here.common_prefixes));
        all.common_prefixes.sort();
        all.common_prefixes.dedup();
        Ok(all)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        if options.mode == CopyMode::Create {
            self.check_free(to).await?;
        }
        let bytes = self.get_opts(from, GetOptions::default()).await?.bytes().await?;
        self.put_opts(to, bytes.into(), PutOptions::default()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use deltalake::logstore::object_store::memory::InMemory;

    use super::*;

    async fn text(store: &dyn ObjectStore, path: &str) -> Option<String> {
        let found = store.get_opts(&Path::from(path), GetOptions::default()).await.ok()?.bytes().await;
        Some(String::from_utf8(found.expect("bytes").to_vec()).expect("UTF-8"))
    }

    async fn names(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
        let found: Vec<ObjectMeta> = store.list(Some(&Path::from(prefix))).try_collect().await.expect("a listing");
        found.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    #[tokio::test]
    async fn writes_are_seen_and_the_store_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner: StoreRef = Arc::new(InMemory::new());
        for path in ["t/a", "t/b", "t/c"] {
            inner.put(&Path::from(path), "old".into()).await.expect("a write");
        }
        let scratch = Scratch::new(inner.clone(), folder.path()).expect("a folder");
        let create = || PutOptions::from(PutMode::Create);
        let taken = scratch.put_opts(&Path::from("t/a"), "new".into(), create()).await;
        assert!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
        scratch.put_opts(&Path::from("t/d"), "new".into(), create()).await.expect("a free path");
        let twice = scratch.put_opts(&Path::from("t/d"), "new".into(), create()).await;
        assert!(matches!(twice, Err(Error::AlreadyExists { .. })), "{twice:?}");
        scratch.put(&Path::from("t/b"), "new".into()).await.expect("a write over another object");
        ObjectStoreExt::delete(&scratch, &Path::from("t/c")).await.expect("a deletion");
        scratch.put_opts(&Path::from("t/c"), "again".into(), create()).await.expect("a deleted path is free");
        ObjectStoreExt::delete(&scratch, &Path::from("t/a")).await.expect("a deletion");
        let mut upload = scratch.put_multipart(&Path::from("t/e")).await.expect("an upload");
        upload.put_part("whole".into()).await.expect("a part");
        upload.complete().await.expect("an upload");
        scratch.copy(&Path::from("t/e"), &Path::from("u/f")).await.expect("a copy");

        assert_eq!(names(&scratch, "t").await, ["t/b", "t/c", "t/d", "t/e"]);
        assert_eq!(text(&scratch, "t/a").await, None);
        assert_eq!(text(&scratch, "t/b").await.as_deref(), Some("new"));
        assert_eq!(text(&scratch, "t/c").await.as_deref(), Some("again"));
        assert_eq!(text(&scratch, "u/f").await.as_deref(), Some("whole"));
        let later: Vec<ObjectMeta> = scratch
            .list_with_offset(Some(&Path::from("t")), &Path::from("t/c"))
            .try_collect()
            .await
            .expect("a listing");
        assert_eq!(later.len(), 2);
        let level = scratch.list_with_delimiter(None).await.expect("a listing");
        assert_eq!(level.common_prefixes, [Path::from("t"), Path::from("u")]);

        assert_eq!(names(inner.as_ref(), "t").await, ["t/a", "t/b", "t/c"]);
        assert_eq!(text(inner.as_ref(), "t/b").await.as_deref(), Some("old"));
        assert!(names(inner.as_ref(), "u").await.is_empty());
    }
}
