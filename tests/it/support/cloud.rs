//! A lake whose landing files and tables are in a bucket of the local AWS, registered in its Glue.

use std::path::{Path, PathBuf};

use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use stedi_delta::Storage;
use stedi_delta::internals::aws::{Aws as Connection, AwsSettings};
use stedi_delta::internals::storage::{Encryption, PROBE};
use stedi_delta::workspace::WorkspaceOptions;

use super::Lake;
use super::aws::{ACCESS_KEY, Aws, SECRET_KEY};

/// A bucket with `landing/` and `warehouse/`.
pub(crate) struct Cloud {
    aws: &'static Aws,
    bucket: String,
}

impl Lake {
    /// The same project in a new bucket of `aws`; its database in Glue is named after the bucket.
    pub(crate) fn in_cloud(mut self, aws: &'static Aws) -> Self {
        let bucket = aws.bucket();
        if self.root.starts_with(self.folder.path()) {
            let database = database(&bucket);
            self.define(
                "stedi-delta.toml",
                &format!(
                    "name = \"shop\"\nzones = [\"landing\", \"trusted\", \"curated\"]\n[targets.prod]\n\
                     landing = \"s3://l\"\nwarehouse = \"s3://w\"\n[targets.prod.catalog.glue]\n\
                     database = \"{database}\"\n"
                ),
            );
        }
        self.cloud = Some(Cloud { aws, bucket });
        self
    }

    /// The lake's bucket.
    pub(crate) fn bucket(&self) -> &str {
        self.cloud.as_ref().map_or("", |cloud| &cloud.bucket)
    }

    /// Access to the lake's AWS.
    pub(crate) async fn connection(&self) -> Option<Connection> {
        self.cloud.as_ref()?.storage(Storage::default()).await.aws().cloned()
    }

    /// The lake's database in Glue.
    pub(crate) fn database(&self) -> String {
        database(self.bucket())
    }
}

fn database(bucket: &str) -> String {
    bucket.replace(['-', '.'], "_")
}

impl Cloud {
    pub(crate) fn land(&self, path: &str, bytes: &[u8]) {
        self.aws.put(&self.bucket, &format!("landing/{path}"), bytes);
    }

    pub(crate) fn land_all(&self, from: &Path) {
        self.aws.put_all(&self.bucket, "landing", from);
    }

    pub(crate) fn options(&self, options: WorkspaceOptions) -> WorkspaceOptions {
        let root = |folder: &str| Some(format!("s3://{}/{folder}", self.bucket));
        WorkspaceOptions {
            target: Some("prod".into()),
            landing: root("landing"),
            warehouse: root("warehouse"),
            ..options
        }
    }

    /// `storage` with access to this AWS.
    pub(crate) async fn storage(&self, storage: Storage) -> Storage {
        // On another kind of runtime delta-rs reads logs in one of its own, and the connections that this one made for it end
        // with it: now and then a request fails with "runtime dropped the dispatch task".
        let flavor = tokio::runtime::Handle::current().runtime_flavor();
        assert_eq!(flavor, tokio::runtime::RuntimeFlavor::MultiThread, "a test on S3 needs flavor = \"multi_thread\"");
        let credentials = aws_credential_types::Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        let loader = loader.region(Region::new("us-east-1")).endpoint_url(self.aws.endpoint());
        let config = loader.credentials_provider(credentials).load().await;
        storage.with_aws(Connection::from_config(config, AwsSettings::default()), Encryption::default())
    }

    /// Every object below the warehouse except the probe, without its size.
    pub(crate) fn files(&self) -> Vec<(PathBuf, u64)> {
        let keys = self.aws.keys(&self.bucket, "warehouse/");
        keys.into_iter().filter(|key| !key.ends_with(PROBE)).map(|key| (key.into(), 0)).collect()
    }
}
