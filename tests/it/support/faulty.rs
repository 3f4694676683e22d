//! A store that fails or dies at its n-th operation, or lets another writer act in between.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::{
    self, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use stedi_delta::Storage;
use stedi_delta::internals::storage::StoreRef;

/// The fault at the n-th operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and so does everything after it: for the state on disk, the process died.
    Dead,
    /// It fails, once.
    Fails,
    /// The process is killed.
    Aborts,
}

/// When, relative to the operation's effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before it.
    Before,
    /// "Written, but reported failed".
    After,
}

/// What is done right before an operation.
type Act = Box<dyn FnOnce() + Send>;

/// Counts the operations of every store that it wraps.
pub(crate) struct Plan {
    act: Mutex<Option<Act>>,
    paths: Mutex<BTreeSet<String>>,
    at: usize,
    fault: Fault,
    when: When,
    calls: AtomicUsize,
    reached: AtomicBool,
    writes: Mutex<Vec<usize>>,
}

impl Plan {
    /// A plan for the `at`-th operation, from 1.
    pub(crate) fn new(at: usize, fault: Fault, when: When) -> Arc<Self> {
        let (calls, reached, writes, act, paths) = Default::default();
        Arc::new(Self { at, fault, when, calls, reached, writes, act, paths })
    }

    /// Something is done right before the `at`-th operation, which succeeds.
    pub(crate) fn acting(at: usize, act: impl FnOnce() + Send + 'static) -> Arc<Self> {
        let plan = Self::new(at, Fault::Fails, When::Before);
        *plan.act.lock().unwrap() = Some(Box::new(act));
        plan
    }

    /// What has been read, listed and written.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        self.paths.lock().unwrap().clone()
    }

    /// Counts, without a fault.
    pub(crate) fn counting() -> Arc<Self> {
        Self::new(usize::MAX, Fault::Fails, When::Before)
    }

    /// Operations so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether the fault has happened.
    pub(crate) fn reached(&self) -> bool {
        self.reached.load(Ordering::SeqCst)
    }

    /// Numbers of the operations that write.
    pub(crate) fn writes(&self) -> Vec<usize> {
        self.writes.lock().unwrap().clone()
    }

    /// A storage under this plan.
    pub(crate) fn storage(self: &Arc<Self>) -> Storage {
        let plan = self.clone();
        Storage::with_layer(Arc::new(move |inner| Arc::new(Faulty { inner, plan: plan.clone() }) as StoreRef))
    }

    async fn run<T>(&self, writes: bool, path: Option<&Path>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        self.paths.lock().unwrap().extend(path.map(ToString::to_string));
        if writes {
            self.writes.lock().unwrap().push(call);
        }
        if call < self.at || (call > self.at && self.fault != Fault::Dead) {
            return work.await;
        }
        self.reached.store(true, Ordering::SeqCst);
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            act();
            return work.await;
        }
        if call == self.at && self.when == When::After {
            let _ = work.await;
        }
        if self.fault == Fault::Aborts {
            std::process::abort();
        }
        Err(broken())
    }
}

fn broken() -> Error {
    Error::Generic { store: "faulty", source: "the test let this operation fail".into() }
}

#[derive(Debug)]
struct Faulty {
    inner: StoreRef,
    plan: Arc<Plan>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({}, {:?}, {:?})", self.at, self.fault, self.when)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.plan.run(true, Some(to), self.inner.put_opts(to, payload, opts)).await
    }

    async fn put_multipart_opts(&self, to: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.plan.run(true, Some(to), self.inner.put_multipart_opts(to, opts)).await?;
        Ok(Box::new(Upload { inner, plan: self.plan.clone() }))
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.plan.run(false, Some(from), self.inner.get_opts(from, options)).await
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.plan.run(false, Some(from), self.inner.get_ranges(from, ranges)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (plan, inner) = (self.plan.clone(), self.inner.clone());
        let gate = async move { plan.run(true, None, async { Ok(()) }).await };
        gate.map(move |open| match open {
            Ok(()) => inner.delete_stream(paths),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        })
        .flatten_stream()
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        gated(self.plan.clone(), prefix, self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        gated(self.plan.clone(), prefix, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.plan.run(false, prefix, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.plan.run(true, Some(to), self.inner.copy_opts(from, to, options)).await
    }
}

/// A listing counts as one operation.
fn gated(
    plan: Arc<Plan>,
    prefix: Option<&Path>,
    inner: BoxStream<'static, Result<ObjectMeta>>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let prefix = prefix.cloned();
    let gate = async move { plan.run(false, prefix.as_ref(), async { Ok(()) }).await };
    gate.map(move |open| match open {
        Ok(()) => inner,
        Err(error) => futures::stream::once(async { Err(error) }).boxed(),
    })
    .flatten_stream()
    .boxed()
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    plan: Arc<Plan>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (plan, part) = (self.plan.clone(), self.inner.put_part(data));
        async move { plan.run(true, None, part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.plan.run(true, None, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// The action of another writer.
pub(crate) type Intrusion = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// A storage in which another writer acts right before the first write to a path that ends with `path`.
pub(crate) fn intruded(path: &'static str, intrusion: Intrusion) -> Storage {
    let intrusion = Arc::new(Mutex::new(Some(intrusion)));
    Storage::with_layer(Arc::new(move |inner| {
        Arc::new(Intruded { inner, path, intrusion: intrusion.clone() }) as StoreRef
    }))
}

struct Intruded {
    inner: StoreRef,
    path: &'static str,
    intrusion: Arc<Mutex<Option<Intrusion>>>,
}

impl fmt::Debug for Intruded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intruded")
    }
}

impl fmt::Display for Intruded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intruded")
    }
}

#[async_trait]
impl ObjectStore for Intruded {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if to.as_ref().ends_with(self.path) {
            let intrusion = self.intrusion.lock().unwrap().take();
            if let Some(intrusion) = intrusion {
                intrusion().await;
            }
        }
        self.inner.put_opts(to, payload, opts).await
    }

    async fn put_multipart_opts(&self, to: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, opts).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(from, options).await
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

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
