//! Where the commands meet the rest of the house: opening the lake of a project and running operations on it.

use std::sync::Arc;

use async_trait::async_trait;
use deltalake::arrow::array::RecordBatch;

use super::operations::{Open, Operations, Settings, SyncOptions};
use crate::error::Result;
use crate::outcome::{CatalogOutcome, HistoryEntry, PlanOutcome, StatusOutcome, SyncOutcome, TableOutcome};
use crate::privacy::Privacy;
use crate::progress::{Level, Progress};
use crate::site::{Address, Site, SiteOptions};
use crate::storage::Storage;
use crate::{look, register, replay, sync};

pub(super) use crate::definition::{find_root, render as render_fault, render_note};
pub(super) use crate::lake::close_spill;
pub(super) use crate::site::check;

/// The key with which personal data is hashed in messages.
const HASH_KEY: &str = "STEDI_DELTA_HASH_KEY";

/// Opens lakes for real.
#[derive(Debug)]
pub(super) struct Lakes;

#[async_trait]
impl Open for Lakes {
    async fn open(&self, settings: Settings, progress: Arc<dyn Progress>) -> Result<Box<dyn Operations>> {
        let address = Address::find(&addressed(&settings))?;
        progress.opened(&address.project.name, Some(&address.target));
        let storage = match progress.hears(Level::Debug) {
            true => Storage::default().with_listener(progress.clone()),
            false => Storage::default(),
        };
        let key = std::env::var(HASH_KEY).ok();
        let site = Site::connect(address, storage, Privacy::new(key.as_deref(), settings.reveal)).await?;
        Ok(Box::new(Lake { site, progress, run: settings.run }))
    }
}

fn addressed(settings: &Settings) -> SiteOptions {
    SiteOptions {
        root: settings.root.clone(),
        target: settings.target.clone(),
        landing: settings.landing.clone(),
        warehouse: settings.warehouse.clone(),
    }
}

/// The statements that register tables in Athena by hand. Connects to nothing.
pub(super) fn ddl(settings: &Settings, tables: &[String]) -> Result<String> {
    register::ddl(&Address::find(&addressed(settings))?, tables)
}

struct Lake {
    site: Site,
    progress: Arc<dyn Progress>,
    run: String,
}

#[async_trait]
impl Operations for Lake {
    async fn sync(&self, options: SyncOptions) -> SyncOutcome {
        let options = sync::Options {
            select: options.select,
            full_refresh: options.full_refresh,
            verify: options.verify,
            reload: options.reload.iter().map(|text| sync::Reload::parse(text)).collect(),
            unload: options.unload.iter().map(|text| sync::Reload::parse(text)).collect(),
            run: Some(self.run.clone()),
        };
        sync::sync(&self.site, &options, &self.progress).await
    }

    async fn status(&self) -> Result<StatusOutcome> {
        look::status(&self.site).await
    }

    async fn plan(&self, select: &[String], explain: bool) -> Result<PlanOutcome> {
        look::plan(&self.site, select, explain).await
    }

    async fn query(&self, sql: &str) -> Result<look::Answer> {
        look::answer(&self.site, sql).await
    }

    async fn history(&self, table: &str, limit: usize) -> Result<Vec<HistoryEntry>> {
        look::history(&self.site, table, limit).await
    }

    async fn quarantine(&self, table: Option<&str>, limit: usize) -> Result<Vec<RecordBatch>> {
        look::quarantine(&self.site, table, limit).await
    }

    async fn catalog_check(&self) -> Result<CatalogOutcome> {
        register::check(&self.site).await
    }

    async fn catalog_register(&self, relocate: bool, prune: bool) -> Result<CatalogOutcome> {
        register::repair(&self.site, register::Repairs { relocate, prune }, self.progress.as_ref()).await
    }

    async fn replay(&self, table: &str) -> Result<TableOutcome> {
        replay::replay_as(&self.site, table, &self.run, self.progress.as_ref()).await
    }
}
