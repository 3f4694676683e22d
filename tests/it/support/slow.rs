//! A store with latency that counts its reads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use deltalake::logstore::object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, path::Path,
};
use futures::stream::BoxStream;
use stedi_delta::Storage;
use stedi_delta::internals::storage::StoreRef;

/// Reads of data files.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    latency: Duration,
    under_way: AtomicUsize,
    most: AtomicUsize,
    /// Requests and bytes by file.
    files: Mutex<BTreeMap<String, (usize, u64)>>,
}

impl Reads {
    /// A counter of none so far; each read will wait.
    pub(crate) fn after(latency: Duration) -> Arc<Self> {
        Arc::new(Self { latency, ..Self::default() })
    }

    /// A storage with this counter.
    pub(crate) fn storage(self: &Arc<Self>) -> Storage {
        let reads = self.clone();
        Storage::with_layer(Arc::new(move |inner| Arc::new(Slow { inner, reads: reads.clone() }) as StoreRef))
    }

    /// Requests by file; a name of a file is its last part.
    pub(crate) fn by_file(&self) -> BTreeMap<String, (usize, u64)> {
        self.files.lock().unwrap().clone()
    }

    /// Requests and bytes of all files.
    pub(crate) fn sum(&self) -> (usize, u64) {
        self.by_file().values().fold((0, 0), |(n, bytes), one| (n + one.0, bytes + one.1))
    }

    /// Maximum number of concurrent requests.
    pub(crate) fn at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    async fn wait(&self, path: &Path) {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        if path.extension() == Some("parquet") {
            self.most.fetch_max(under_way, Ordering::SeqCst);
        }
        tokio::time::sleep(self.latency).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }

    fn count(&self, path: &Path, bytes: u64) {
        if path.extension() == Some("parquet") {
            let name = path.filename().unwrap_or_default().to_owned();
            let mut files = self.files.lock().unwrap();
            let file = files.entry(name).or_default();
            *file = (file.0 + 1, file.1 + bytes);
        }
    }
}

#[derive(Debug)]
struct Slow {
    inner: StoreRef,
    reads: Arc<Reads>,
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slow")
    }
}

#[async_trait]
impl ObjectStore for Slow {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(to, payload, opts).await
    }

    async fn put_multipart_opts(&self, to: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, opts).await
    }

    /// Ranges of one file are requested one by one, as from S3 if they are not adjacent.
    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.reads.wait(from).await;
        let result = self.inner.get_opts(from, options).await?;
        self.reads.count(from, result.range.end - result.range.start);
        Ok(result)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
