//! Caches small immutable objects of a store for one run.
//!
//! The Delta library reads every commit since the last checkpoint two or three times to open a table, and the checkpoint in
//! ten parts; every table that reads a source reads the source's new files. Commits, checkpoints and data files are written
//! once. If a table is restored or recreated under the same name, the listing of its log shows other tags, and what is cached
//! of it is dropped; data files have random names.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use deltalake::logstore::object_store::{
    self, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

use super::StoreRef;
use crate::clock;

/// Larger objects are not cached; only the requested parts are read.
const LARGEST: u64 = 256 << 10;
/// Maximum bytes of the cache; further objects are not cached.
const ALL: u64 = 64 << 20;
/// Maximum number of objects that are remembered as too large.
const MOST_LARGE: usize = 1 << 16;

/// Which files are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CachePolicy {
    /// Commits and checkpoints. For local folders: a range of a local data file is cheap to read.
    Logs,
    /// Commits, checkpoints and data files. For remote stores: every request costs.
    LogsAndData,
}

/// A store and the cache of objects read from or written to it.
#[derive(Debug)]
pub(super) struct CachedStore {
    inner: StoreRef,
    policy: CachePolicy,
    objects: Arc<Mutex<Objects>>,
}

#[derive(Debug, Default)]
struct Objects {
    by_path: HashMap<Path, (ObjectMeta, Bytes)>,
    bytes: u64,
    /// Objects that are known to be too large: none of their requests tries again.
    large: HashSet<Path>,
}

impl Objects {
    fn keep(&mut self, meta: ObjectMeta, bytes: Bytes) {
        if bytes.len() as u64 <= LARGEST && self.bytes + bytes.len() as u64 <= ALL {
            self.bytes += bytes.len() as u64;
            if let Some((_, old)) = self.by_path.insert(meta.location.clone(), (meta, bytes)) {
                self.bytes -= old.len() as u64;
            }
        }
    }

    fn too_large(&mut self, path: &Path) {
        if self.large.len() < MOST_LARGE {
            self.large.insert(path.clone());
        }
    }

    fn forget(&mut self, path: &Path) {
        self.large.remove(path);
        if let Some((_, bytes)) = self.by_path.remove(path) {
            self.bytes -= bytes.len() as u64;
        }
    }

    /// Drops cached objects that a listing shows in another state.
    fn listed(&mut self, listed: &ObjectMeta) {
        if listed.size <= LARGEST {
            self.large.remove(&listed.location);
        }
        if let Some((kept, _)) = self.by_path.get(&listed.location)
            && (kept.e_tag != listed.e_tag || kept.size != listed.size)
        {
            self.forget(&listed.location);
        }
    }
}

impl CachedStore {
    pub(super) fn new(inner: StoreRef, policy: CachePolicy) -> Self {
        Self { inner, policy, objects: Arc::default() }
    }

    /// Whether it is written once, and so may be kept.
    fn is_kept(&self, path: &Path) -> bool {
        is_commit(path) || (is_parquet(path) && (self.policy == CachePolicy::LogsAndData || is_in_log(path)))
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn validated(
        &self,
        listing: BoxStream<'static, object_store::Result<ObjectMeta>>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let objects = self.objects.clone();
        listing
            .inspect(move |item| {
                if let Ok(meta) = item {
                    objects.lock().unwrap_or_else(PoisonError::into_inner).listed(meta);
                }
            })
            .boxed()
    }

    /// The object, if it is small: from memory, or completely in one request. `None` = it is too large for the cache.
    async fn whole(&self, path: &Path) -> object_store::Result<Option<(ObjectMeta, Bytes)>> {
        {
            let objects = self.objects();
            if let Some(kept) = objects.by_path.get(path) {
                return Ok(Some(kept.clone()));
            }
            if objects.large.contains(path) {
                return Ok(None);
            }
        }
        let first = GetOptions { range: Some((0..LARGEST).into()), ..GetOptions::default() };
        let read = match self.inner.get_opts(path, first).await {
            Ok(read) => read,
            // An empty file has no such range: the request itself tells what there is. A bucket has had all its retries.
            Err(object_store::Error::Generic { .. }) if self.policy == CachePolicy::Logs => return Ok(None),
            Err(error) => return Err(error),
        };
        let meta = read.meta.clone();
        if meta.size > LARGEST {
            self.objects().too_large(path);
            return Ok(None);
        }
        let bytes = read.bytes().await?;
        self.objects().keep(meta.clone(), bytes.clone());
        Ok(Some((meta, bytes)))
    }
}

/// `.../_delta_log/00000000000000000007.json`.
fn is_commit(path: &Path) -> bool {
    let Some((folder, name)) = path.as_ref().rsplit_once('/') else { return false };
    let number = name.strip_suffix(".json").unwrap_or_default();
    folder.ends_with("_delta_log") && number.len() == 20 && number.bytes().all(|b| b.is_ascii_digit())
}

/// A data file, one of the change feed, or a checkpoint.
fn is_parquet(path: &Path) -> bool {
    path.as_ref().ends_with(".parquet")
}

fn is_in_log(path: &Path) -> bool {
    path.as_ref().rsplit_once('/').is_some_and(|(folder, _)| folder.ends_with("_delta_log"))
}

/// Whether the request is for the current state without conditions.
fn is_plain(options: &GetOptions) -> bool {
    let GetOptions { if_match, if_none_match, if_modified_since, if_unmodified_since, version, .. } = options;
    if_match.is_none()
        && if_none_match.is_none()
        && if_modified_since.is_none()
        && if_unmodified_since.is_none()
        && version.is_none()
}

/// The bytes of a range of an object of `size` bytes.
fn bounds(range: Option<&GetRange>, size: u64) -> Range<u64> {
    match range {
        None => 0..size,
        Some(GetRange::Bounded(range)) => range.start.min(size)..range.end.min(size),
        Some(GetRange::Offset(start)) => (*start).min(size)..size,
        Some(GetRange::Suffix(length)) => size.saturating_sub(*length)..size,
    }
}

/// Whether a range is within the size of a cacheable object: if not, the object is large.
fn may_be_small(range: Option<&GetRange>) -> bool {
    match range {
        None => true,
        Some(GetRange::Bounded(range)) => range.end <= LARGEST,
        Some(GetRange::Offset(start)) => *start <= LARGEST,
        Some(GetRange::Suffix(_)) => true,
    }
}

fn slice(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}

fn result(meta: ObjectMeta, bytes: &Bytes, range: Range<u64>) -> GetResult {
    let part = slice(bytes, &range);
    let payload = GetResultPayload::Stream(async move { Ok(part) }.into_stream().boxed());
    GetResult { payload, meta, range, attributes: Default::default() }
}

impl fmt::Display for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for CachedStore {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        if !self.is_kept(to) {
            return self.inner.put_opts(to, payload, opts).await;
        }
        let written = self.inner.put_opts(to, payload.clone(), opts).await?;
        let meta = ObjectMeta {
            location: to.clone(),
            last_modified: DateTime::from_timestamp_millis(clock::now_ms()).unwrap_or_default(),
            size: payload.content_length() as u64,
            e_tag: written.e_tag.clone(),
            version: written.version.clone(),
        };
        self.objects().keep(meta, payload.into());
        Ok(written)
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, opts).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let range = options.range.as_ref();
        let ours = self.is_kept(from) && is_plain(&options) && may_be_small(range);
        // A HEAD alone does not fetch the object; it is only answered from memory.
        let known = || self.objects().by_path.contains_key(from);
        if !ours || (options.head && !known()) {
            return self.inner.get_opts(from, options).await;
        }
        match self.whole(from).await? {
            Some((meta, bytes)) => {
                let range = bounds(range, meta.size);
                Ok(result(meta, &bytes, range))
            }
            None => self.inner.get_opts(from, options).await,
        }
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        if self.is_kept(from)
            && ranges.iter().all(|range| range.end <= LARGEST)
            && let Some((_, bytes)) = self.whole(from).await?
        {
            return Ok(ranges.iter().map(|range| slice(&bytes, range)).collect());
        }
        self.inner.get_ranges(from, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let objects = self.objects.clone();
        let forgotten = paths.inspect(move |path| {
            if let Ok(path) = path {
                objects.lock().unwrap_or_else(PoisonError::into_inner).forget(path);
            }
        });
        self.inner.delete_stream(forgotten.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.validated(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.validated(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let listed = self.inner.list_with_delimiter(prefix).await?;
        let mut objects = self.objects();
        listed.objects.iter().for_each(|meta| objects.listed(meta));
        drop(objects);
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use deltalake::logstore::object_store::ObjectStoreExt;
    use deltalake::logstore::object_store::memory::InMemory;
    use futures::TryStreamExt;

    use super::*;

    fn commit() -> Path {
        Path::from("t/_delta_log/00000000000000000007.json")
    }

    fn store() -> (Arc<InMemory>, CachedStore) {
        let below = Arc::new(InMemory::new());
        (below.clone(), CachedStore::new(below, CachePolicy::LogsAndData))
    }

    #[tokio::test]
    async fn a_commit_is_read_once_until_a_listing_shows_another_state() {
        let (below, store) = store();
        let read = async || store.get(&commit()).await.expect("there").bytes().await.expect("bytes");
        below.put(&commit(), PutPayload::from_static(b"first")).await.expect("written");
        assert_eq!(read().await, "first");
        below.put(&commit(), PutPayload::from_static(b"second")).await.expect("written");
        assert_eq!(read().await, "first", "no listing has shown it");
        let listed: Vec<_> = store.list(Some(&Path::from("t/_delta_log"))).try_collect().await.expect("listed");
        assert_eq!((listed.len(), read().await), (1, Bytes::from_static(b"second")));
    }

    /// Another writer may write the checkpoint of a version again.
    #[tokio::test]
    async fn a_checkpoint_is_read_once_until_a_listing_shows_another_one() {
        let (below, store) = store();
        let path = Path::from("t/_delta_log/00000000000000000019.checkpoint.parquet");
        let read = async || store.get_range(&path, 0..3).await.expect("there");
        below.put(&path, PutPayload::from_static(b"one and more")).await.expect("written");
        assert_eq!(read().await, "one");
        below.put(&path, PutPayload::from_static(b"two and less")).await.expect("written");
        assert_eq!(read().await, "one", "no listing has shown it");
        let from = Path::from("t/_delta_log/00000000000000000018.json");
        let listed: Vec<_> = store.list_with_offset(None, &from).try_collect().await.expect("listed");
        assert_eq!((listed.len(), read().await), (1, Bytes::from_static(b"two")));
    }

    #[tokio::test]
    async fn what_was_written_is_not_read_back_and_what_was_deleted_is_gone() {
        let (below, store) = store();
        let file = Path::from("t/part-1.parquet");
        store.put(&file, PutPayload::from_static(b"0123456789")).await.expect("written");
        below.delete(&file).await.expect("gone below");
        assert_eq!(store.get_range(&file, 2..4).await.expect("kept"), "23");
        assert_eq!(store.head(&file).await.expect("kept").size, 10);
        store.delete(&file).await.ok();
        assert!(store.get_range(&file, 2..4).await.is_err());
        assert!(store.head(&file).await.is_err());
    }

    #[tokio::test]
    async fn an_empty_commit_is_read_as_the_store_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = Arc::new(object_store::local::LocalFileSystem::new_with_prefix(folder.path()).expect("a store"));
        below.put(&commit(), PutPayload::new()).await.expect("written");
        let store = CachedStore::new(below, CachePolicy::Logs);
        assert_eq!(store.get(&commit()).await.expect("there").bytes().await.expect("bytes"), "");
    }

    #[tokio::test]
    async fn every_range_is_that_of_the_store() {
        let (below, store) = store();
        let (small, large) = (Path::from("t/small.parquet"), Path::from("t/large.parquet"));
        let bytes = |n: u64| (0..n).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        below.put(&small, bytes(1000).into()).await.expect("written");
        below.put(&large, bytes(LARGEST + 1000).into()).await.expect("written");
        for path in [&small, &large] {
            for range in [
                GetRange::Bounded(0..10),
                GetRange::Bounded(900..1000),
                GetRange::Bounded(990..2000),
                GetRange::Offset(995),
                GetRange::Suffix(8),
                GetRange::Suffix(5000),
            ] {
                let options = || GetOptions { range: Some(range.clone()), ..GetOptions::default() };
                let (kept, plain) = (store.get_opts(path, options()).await, below.get_opts(path, options()).await);
                let (kept, plain) = (kept.expect("kept"), plain.expect("plain"));
                assert_eq!((&kept.range, &kept.meta), (&plain.range, &plain.meta), "{path} {range:?}");
                assert_eq!(kept.bytes().await.expect("bytes"), plain.bytes().await.expect("bytes"), "{path} {range:?}");
            }
            let ranges = [3..7, 500..1000];
            let (kept, plain) = (store.get_ranges(path, &ranges).await, below.get_ranges(path, &ranges).await);
            assert_eq!(kept.expect("kept"), plain.expect("plain"));
        }
        let objects = store.objects();
        assert!(objects.by_path.contains_key(&small) && !objects.by_path.contains_key(&large));
        assert!(objects.large.contains(&large) && !objects.large.contains(&small));
    }

    #[test]
    fn only_what_never_changes_is_kept() {
        let (logs, all) =
            (CachedStore::new(store().0, CachePolicy::Logs), CachedStore::new(store().0, CachePolicy::LogsAndData));
        for (path, of_logs, of_all) in [
            ("t/_delta_log/00000000000000000007.json", true, true),
            ("_delta_log/00000000000000000007.json", true, true),
            ("t/part-0.snappy.parquet", false, true),
            ("t/_change_data/cdc-0.parquet", false, true),
            ("t/_delta_log/00000000000000000007.checkpoint.parquet", true, true),
            ("t/_delta_log/_last_checkpoint", false, false),
            ("landing/00000000000000000007.json", false, false),
        ] {
            let path = Path::from(path);
            assert_eq!((logs.is_kept(&path), all.is_kept(&path)), (of_logs, of_all), "{path}");
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut objects = Objects::default();
        let meta = |n: u64| ObjectMeta {
            location: Path::from(format!("{n}")),
            last_modified: Default::default(),
            size: LARGEST,
            e_tag: None,
            version: None,
        };
        let full = || Bytes::from(vec![0; usize::try_from(LARGEST).expect("fits")]);
        for n in 0..ALL / LARGEST + 50 {
            objects.keep(meta(n), full());
            objects.keep(meta(0), full());
        }
        assert_eq!((objects.bytes, objects.by_path.len() as u64), (ALL, ALL / LARGEST));
        objects.forget(&Path::from("3"));
        assert_eq!(objects.bytes, ALL - LARGEST);
    }
}
