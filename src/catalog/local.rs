//! A catalog of JSON files beside the tables: `<warehouse>/_catalog/<database>/<table>.json`, one [`Entry`] each.
//!
//! For development and for engines without a catalog service. With two concurrent writers, one creates, the other sees
//! its file and compares. Updates overwrite (local file systems have no conditional update); the next sync repairs a
//! lost one.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake::datafusion::object_store::path::Path;
use deltalake::datafusion::object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use futures::{StreamExt, TryStreamExt};

use super::{Catalog, Entry};
use crate::error::{Context, Error, Result};

/// Folder under the warehouse root.
const FOLDER: &str = "_catalog";
/// Entries read concurrently by a listing.
const READS_AT_ONCE: usize = 16;

/// Entries as pretty-printed JSON files in an object store.
#[derive(Clone, Debug)]
pub(crate) struct LocalCatalog {
    store: Arc<dyn ObjectStore>,
    root: Path,
}

impl LocalCatalog {
    /// The catalog of a warehouse; `warehouse` is its root within `store`.
    #[must_use]
    pub(crate) fn new(store: Arc<dyn ObjectStore>, warehouse: &Path) -> Self {
        Self { store, root: warehouse.clone().join(FOLDER) }
    }

    fn folder(&self, database: &str) -> Path {
        self.root.clone().join(database.to_lowercase())
    }

    fn file(&self, database: &str, table: &str) -> Path {
        self.folder(database).join(format!("{}.json", table.to_lowercase()))
    }

    async fn read(&self, path: &Path) -> Result<Option<Entry>> {
        let cannot = || format!("cannot read catalog entry `{path}`");
        let bytes = match self.store.get(path).await {
            Ok(found) => found.bytes().await.context(cannot)?,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::failed(cannot()).because(error)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .context(|| format!("`{path}` is not a catalog entry"))
            .map_err(|error| error.help(format!("remove `{path}`; the next sync writes it again")))
    }

    /// Writes an entry; `false` = `mode` was to create and the file exists already.
    async fn write(&self, path: &Path, entry: &Entry, mode: PutMode) -> Result<bool> {
        let cannot = || format!("cannot write catalog entry `{path}`");
        let mut text = serde_json::to_vec_pretty(entry).context(cannot)?;
        text.push(b'\n');
        match self.store.put_opts(path, PutPayload::from(text), PutOptions::from(mode)).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(Error::failed(cannot()).because(error)),
        }
    }
}

#[async_trait]
impl Catalog for LocalCatalog {
    fn name(&self) -> String {
        "the local catalog".into()
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn get(&self, database: &str, table: &str) -> Result<Option<Entry>> {
        self.read(&self.file(database, table)).await
    }

    async fn list(&self, database: &str) -> Result<Vec<Entry>> {
        let folder = self.folder(database);
        let cannot = || format!("cannot list catalog folder `{folder}`");
        let found = self.store.list_with_delimiter(Some(&folder)).await.context(cannot)?;
        let paths: Vec<Path> =
            found.objects.into_iter().map(|o| o.location).filter(|p| p.extension() == Some("json")).collect();
        let mut entries: Vec<Option<Entry>> = futures::stream::iter(paths)
            .map(|path| async move { self.read(&path).await })
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        entries.sort_by(|a, b| a.as_ref().map(|e| &e.name).cmp(&b.as_ref().map(|e| &e.name)));
        Ok(entries.into_iter().flatten().collect())
    }

    async fn create(&self, database: &str, entry: &Entry) -> Result<bool> {
        self.write(&self.file(database, &entry.name), entry, PutMode::Create).await
    }

    async fn replace(&self, database: &str, old: &Entry, new: &Entry) -> Result<bool> {
        let path = self.file(database, &new.name);
        if self.read(&path).await?.as_ref() != Some(old) {
            return Ok(false);
        }
        self.write(&path, new, PutMode::Overwrite).await
    }

    async fn remove(&self, database: &str, table: &str) -> Result<bool> {
        let path = self.file(database, table);
        // Local file systems report a missing file, object stores do not: check first.
        match self.store.head(&path).await {
            Err(StoreError::NotFound { .. }) => return Ok(false),
            other => other.context(|| format!("cannot read catalog entry `{path}`"))?,
        };
        match self.store.delete(&path).await {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::failed(format!("cannot remove catalog entry `{path}`")).because(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use deltalake::datafusion::object_store::local::LocalFileSystem;
    use deltalake::datafusion::object_store::memory::InMemory;

    use super::super::Put;
    use super::super::conformance::{self, put};
    use super::*;

    #[tokio::test]
    async fn conforms_in_memory() {
        let catalog = LocalCatalog::new(Arc::new(InMemory::new()), &Path::from("wh"));
        conformance::suite(&catalog).await.expect("the laws of a catalog hold");
    }

    #[tokio::test]
    async fn conforms_on_a_local_file_system() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = LocalFileSystem::new_with_prefix(folder.path()).expect("a local store");
        let catalog = LocalCatalog::new(Arc::new(store), &Path::default());
        conformance::suite(&catalog).await.expect("the laws of a catalog hold");
    }

    #[tokio::test]
    async fn an_unchanged_put_leaves_the_file_alone() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let catalog = LocalCatalog::new(Arc::clone(&store), &Path::default());
        put(&catalog, "lake", &conformance::sample("people", 1), None).await.expect("created");
        let path = Path::from("_catalog/lake/people.json");
        let before = store.head(&path).await.expect("the file is where engines look for it").e_tag;
        let again = put(&catalog, "lake", &conformance::sample("people", 2), None).await;
        assert_eq!(again.expect("compared"), Put::Unchanged);
        assert_eq!(store.head(&path).await.expect("still there").e_tag, before);
    }

    #[tokio::test]
    async fn a_damaged_entry_names_its_file() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("_catalog/lake/people.json");
        store.put(&path, PutPayload::from_static(b"{")).await.expect("written");
        let catalog = LocalCatalog::new(store, &Path::default());
        let error = catalog.get("lake", "people").await.expect_err("it is no entry");
        assert_eq!(error.message(), "`_catalog/lake/people.json` is not a catalog entry");
        assert!(error.next().is_some());
    }
}
