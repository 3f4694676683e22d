//! Commits of Delta logs, read once: a store over a network that keeps the small objects which never change.
//!
//! The Delta library reads every commit since the last checkpoint two or three times to open a table. A commit's object
//! is written once; should a table be put back or made anew under the same name, its listing shows other tags, and what
//! was kept is forgotten.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::{
    self, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

use super::StoreRef;

/// Larger commits are read again.
const LARGEST: u64 = 1 << 20;
/// Bytes kept at most; what comes later is read again.
const ALL: u64 = 64 << 20;

/// A store and the commits that were read from it.
#[derive(Debug)]
pub(super) struct Kept {
    inner: StoreRef,
    commits: Arc<Mutex<Commits>>,
}

#[derive(Debug, Default)]
struct Commits {
    by_path: HashMap<Path, (ObjectMeta, Bytes)>,
    bytes: u64,
}

impl Commits {
    fn keep(&mut self, meta: ObjectMeta, bytes: Bytes) {
        if bytes.len() as u64 <= LARGEST && self.bytes + bytes.len() as u64 <= ALL {
            self.bytes += bytes.len() as u64;
            self.by_path.insert(meta.location.clone(), (meta, bytes));
        }
    }

    /// Forgets what a listing shows in another state.
    fn listed(&mut self, listed: &ObjectMeta) {
        if let Some((kept, bytes)) = self.by_path.get(&listed.location)
            && (kept.e_tag != listed.e_tag || kept.size != listed.size)
        {
            self.bytes -= bytes.len() as u64;
            self.by_path.remove(&listed.location);
        }
    }
}

impl Kept {
    pub(super) fn new(inner: StoreRef) -> Self {
        Self { inner, commits: Arc::default() }
    }

    fn validated(
        &self,
        listing: BoxStream<'static, object_store::Result<ObjectMeta>>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let commits = self.commits.clone();
        listing
            .inspect(move |item| {
                if let Ok(meta) = item {
                    commits.lock().unwrap_or_else(PoisonError::into_inner).listed(meta);
                }
            })
            .boxed()
    }
}

/// `.../_delta_log/00000000000000000007.json`.
fn is_commit(path: &Path) -> bool {
    let Some((folder, name)) = path.as_ref().rsplit_once('/') else { return false };
    let number = name.strip_suffix(".json").unwrap_or_default();
    folder.ends_with("_delta_log") && number.len() == 20 && number.bytes().all(|b| b.is_ascii_digit())
}

/// Whether all of the newest state is asked for.
fn is_plain(options: &GetOptions) -> bool {
    let GetOptions { if_match, if_none_match, if_modified_since, if_unmodified_since, range, version, head, .. } =
        options;
    if_match.is_none()
        && if_none_match.is_none()
        && if_modified_since.is_none()
        && if_unmodified_since.is_none()
        && range.is_none()
        && version.is_none()
        && !head
}

fn result(meta: ObjectMeta, bytes: Bytes) -> GetResult {
    let range = 0..meta.size;
    let payload = GetResultPayload::Stream(async move { Ok(bytes) }.into_stream().boxed());
    GetResult { payload, meta, range, attributes: Default::default() }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Kept {
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
        if !is_commit(from) || !is_plain(&options) {
            return self.inner.get_opts(from, options).await;
        }
        let kept = self.commits.lock().unwrap_or_else(PoisonError::into_inner).by_path.get(from).cloned();
        if let Some((meta, bytes)) = kept {
            return Ok(result(meta, bytes));
        }
        let read = self.inner.get_opts(from, options).await?;
        let meta = read.meta.clone();
        let bytes = read.bytes().await?;
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).keep(meta.clone(), bytes.clone());
        Ok(result(meta, bytes))
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
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        listed.objects.iter().for_each(|meta| commits.listed(meta));
        drop(commits);
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

    #[tokio::test]
    async fn a_commit_is_read_once_until_a_listing_shows_another_state() {
        let (below, commit) = (Arc::new(InMemory::new()), Path::from("t/_delta_log/00000000000000000007.json"));
        let store = Kept::new(below.clone());
        let read = async || store.get(&commit).await.expect("there").bytes().await.expect("bytes");
        below.put(&commit, PutPayload::from_static(b"first")).await.expect("written");
        assert_eq!(read().await, "first");
        below.put(&commit, PutPayload::from_static(b"second")).await.expect("written");
        assert_eq!(read().await, "first", "no listing has shown it");
        let listed: Vec<_> = store.list(Some(&Path::from("t/_delta_log"))).try_collect().await.expect("listed");
        assert_eq!((listed.len(), read().await), (1, Bytes::from_static(b"second")));
        assert_eq!(store.get_range(&commit, 0..3).await.expect("a part"), "sec");
    }

    #[test]
    fn only_commits_are_kept() {
        for (path, commit) in [
            ("t/_delta_log/00000000000000000007.json", true),
            ("_delta_log/00000000000000000007.json", true),
            ("t/_delta_log/_last_checkpoint", false),
            ("t/_delta_log/00000000000000000007.checkpoint.parquet", false),
            ("landing/00000000000000000007.json", false),
        ] {
            assert_eq!(is_commit(&Path::from(path)), commit, "{path}");
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut commits = Commits::default();
        let meta = |n: u64| ObjectMeta {
            location: Path::from(format!("{n}")),
            last_modified: Default::default(),
            size: LARGEST,
            e_tag: None,
            version: None,
        };
        for n in 0..100 {
            commits.keep(meta(n), Bytes::from(vec![0; usize::try_from(LARGEST).expect("fits")]));
        }
        assert_eq!(commits.bytes, ALL);
        commits.keep(meta(200), Bytes::from(vec![0; 2 << 20]));
        assert_eq!(commits.by_path.len(), 64);
    }
}
