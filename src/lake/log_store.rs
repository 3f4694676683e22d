//! Logs are read in the thread that asks for them.
//!
//! The kernel of the Delta library is synchronous, and its default engine hands every read to a task of the runtime: for each
//! commit since the last checkpoint two threads wait for each other twice, which took longer than the read.

use std::sync::Arc;

use async_trait::async_trait;
use buoyant_kernel::{DeltaResult as KernelResult, Engine, Error as KernelError};
use buoyant_kernel_engine::DefaultEngineBuilder;
use buoyant_kernel_engine::executor::TaskExecutor;
use bytes::Bytes;
use deltalake::kernel::Version;
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::object_store::path::Path;
use deltalake::logstore::{
    CommitOrBytes, LogStore, LogStoreConfig, LogStoreFactory, LogStoreRef, ObjectStoreRef, StorageConfig,
    default_logstore, logstore_factories,
};
use deltalake::{DeltaResult, ObjectStore};
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use tokio::runtime::{EnterGuard, Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use url::Url;
use uuid::Uuid;

/// Lets delta-rs keep the logs of these schemes over our own stores. Its S3 crate would resolve credentials itself.
pub(super) fn register(schemes: &[&str]) {
    for scheme in schemes {
        if let Ok(scheme) = Url::parse(&format!("{scheme}://")) {
            logstore_factories().insert(scheme, Arc::new(OnOurStore));
        }
    }
}

#[derive(Debug)]
struct OnOurStore;

impl LogStoreFactory for OnOurStore {
    fn with_options(
        &self,
        prefixed: ObjectStoreRef,
        root: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<LogStoreRef> {
        Ok(Arc::new(ReadInPlace(default_logstore(prefixed, root, location, options))))
    }
}

/// The library's own log of a store, with another engine.
struct ReadInPlace(LogStoreRef);

#[async_trait]
impl LogStore for ReadInPlace {
    fn name(&self) -> String {
        self.0.name()
    }

    async fn refresh(&self) -> DeltaResult<()> {
        self.0.refresh().await
    }

    async fn read_commit_entry(&self, version: Version) -> DeltaResult<Option<Bytes>> {
        self.0.read_commit_entry(version).await
    }

    async fn write_commit_entry(
        &self,
        version: Version,
        commit: CommitOrBytes,
        operation: Uuid,
    ) -> Result<(), TransactionError> {
        self.0.write_commit_entry(version, commit, operation).await
    }

    async fn abort_commit_entry(
        &self,
        version: Version,
        commit: CommitOrBytes,
        operation: Uuid,
    ) -> Result<(), TransactionError> {
        self.0.abort_commit_entry(version, commit, operation).await
    }

    async fn get_latest_version(&self, start: Version) -> DeltaResult<Version> {
        self.0.get_latest_version(start).await
    }

    fn object_store(&self, operation: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.0.object_store(operation)
    }

    fn root_object_store(&self, operation: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.0.root_object_store(operation)
    }

    fn engine(&self, operation: Option<Uuid>) -> Arc<dyn Engine> {
        match Handle::try_current() {
            // Another runtime has nobody who goes on while this thread waits.
            Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
                let engine = DefaultEngineBuilder::new(self.root_object_store(operation));
                Arc::new(engine.with_task_executor(Arc::new(InPlace(runtime))).build())
            }
            _ => self.0.engine(operation),
        }
    }

    fn to_uri(&self, location: &Path) -> String {
        self.0.to_uri(location)
    }

    fn root_url(&self) -> &Url {
        self.0.root_url()
    }

    fn log_path(&self) -> &Path {
        self.0.log_path()
    }

    fn transaction_url(&self, operation: Option<Uuid>) -> DeltaResult<Url> {
        self.0.transaction_url(operation)
    }

    async fn is_delta_table_location(&self) -> DeltaResult<bool> {
        self.0.is_delta_table_location().await
    }

    fn config(&self) -> &LogStoreConfig {
        self.0.config()
    }
}

/// Runs a task in the thread that waits for it. Connections and timers are driven by the runtime's other threads.
struct InPlace(Handle);

impl TaskExecutor for InPlace {
    type Guard<'a> = EnterGuard<'a>;

    fn block_on<T>(&self, task: T) -> T::Output
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let _runtime = self.0.enter();
        // Most reads of a log are answered from memory, and need nobody else.
        let mut task = Box::pin(task);
        if let Some(output) = task.as_mut().now_or_never() {
            return output;
        }
        block_in_place(|| futures::executor::block_on(task))
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.spawn(task);
    }

    fn spawn_blocking<T, R>(&self, task: T) -> BoxFuture<'_, KernelResult<R>>
    where
        T: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        Box::pin(self.0.spawn_blocking(task).map_err(KernelError::join_failure))
    }

    fn enter(&self) -> EnterGuard<'_> {
        self.0.enter()
    }
}
