//! A store that reports every request, for `--verbose`.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::{
    self, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::StoreRef;
use crate::clock;
use crate::progress::{Event, Progress};

/// A store and the listener to its requests.
pub(super) struct Watched {
    pub inner: StoreRef,
    pub listener: Arc<dyn Progress>,
    /// `s3://bucket`.
    pub name: String,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Watched {
    async fn tell<T>(
        &self,
        operation: &str,
        path: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        let started = clock::instant();
        let result = work.await;
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = Event::debug("request").with("store", &self.name).with("operation", operation).with("path", path);
        self.listener.event(&event.with("status", status(&result)).with("ms", ms));
        result
    }

    /// Reports a listing when it starts: its pages arrive as they are read.
    fn listing(&self, operation: &str, prefix: Option<&Path>) {
        let path = prefix.map_or("", |prefix| prefix.as_ref());
        let event = Event::debug("request").with("store", &self.name).with("operation", operation).with("path", path);
        self.listener.event(&event.with("status", "asked").with("ms", 0));
    }
}

fn status<T>(result: &object_store::Result<T>) -> &'static str {
    use object_store::Error as E;
    match result {
        Ok(_) => "ok",
        Err(E::NotFound { .. }) => "not found",
        Err(E::AlreadyExists { .. } | E::Precondition { .. }) => "condition failed",
        Err(E::PermissionDenied { .. } | E::Unauthenticated { .. }) => "denied",
        Err(_) => "failed",
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        self.tell("put", to.as_ref(), self.inner.put_opts(to, payload, opts)).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.tell("put in parts", to.as_ref(), self.inner.put_multipart_opts(to, opts)).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let operation = if options.head { "head" } else { "get" };
        self.tell(operation, from.as_ref(), self.inner.get_opts(from, options)).await
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.tell("get", from.as_ref(), self.inner.get_ranges(from, ranges)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.listing("delete", None);
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.listing("list", prefix);
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.listing("list", prefix);
        self.inner.list_with_offset(prefix, offset).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        let path = prefix.map_or("", |prefix| prefix.as_ref()).to_owned();
        self.tell("list", &path, self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.tell("copy", to.as_ref(), self.inner.copy_opts(from, to, options)).await
    }
}
