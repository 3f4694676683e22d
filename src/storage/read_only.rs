//! A store of which nothing can be changed: another target, from which tables are only read.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use deltalake::logstore::object_store::{
    self, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::StoreRef;

/// A store whose writes fail.
#[derive(Debug)]
pub(super) struct ReadOnly {
    pub inner: StoreRef,
}

impl fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

fn refused(path: &Path) -> Error {
    let source = format!("`{path}` is of a target that is only read").into();
    Error::Generic { store: "read-only", source }
}

#[async_trait::async_trait]
impl ObjectStore for ReadOnly {
    async fn put_opts(&self, to: &Path, _: PutPayload, _: PutOptions) -> object_store::Result<PutResult> {
        Err(refused(to))
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(refused(to))
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
        paths.map(|path| path.and_then(|path| Err(refused(&path)))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(refused(to))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::logstore::object_store::ObjectStoreExt;
    use deltalake::logstore::object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn nothing_can_be_written() {
        let inner: StoreRef = Arc::new(InMemory::new());
        let (path, other) = (Path::from("a"), Path::from("b"));
        inner.put(&path, "1".into()).await.expect("written");
        let store = ReadOnly { inner };
        assert!(store.put(&path, "2".into()).await.is_err());
        assert!(store.put_multipart(&other).await.is_err());
        assert!(store.delete(&path).await.is_err());
        assert!(store.copy(&path, &other).await.is_err());
        assert!(store.rename(&path, &other).await.is_err());
        let bytes = store.get(&path).await.expect("read").bytes().await.expect("read");
        assert_eq!(bytes.as_ref(), b"1");
        assert_eq!(store.list(None).count().await, 1);
    }
}
