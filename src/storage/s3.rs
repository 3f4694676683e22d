//! S3 and stores like it: the client, configured by [`Aws`], and a wrapper around every request.
//!
//! The wrapper does two things. Before the first write of a run the store must prove that it refuses a second
//! conditional PUT, on which Delta commits depend. And responses of the store are reduced to code and message, without
//! credentials: S3 repeats keys and tokens in some of its errors.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::{
    self, BackoffConfig, ClientOptions, CopyOptions, CredentialProvider, GetOptions, GetResult, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RetryConfig, UploadPart, path::Path,
};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use tokio::sync::OnceCell;

use crate::aws::{Aws, may_be_plain};
use crate::error::{Context, Result};

/// The object by which a store proves that it refuses a second conditional PUT. It stays: the next run then needs one
/// request for the proof.
pub const PROBE: &str = "_stedi_delta_probe";
/// Timeout for the upload of a data file of the usual size over a slow connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// How objects are encrypted by the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`; `None` = the bucket's default.
    pub sse: Option<String>,
    /// Id or ARN of a KMS key; `None` = AWS's own.
    pub kms_key_id: Option<String>,
}

/// The store of a bucket.
pub(super) fn store(aws: &Aws, encryption: &Encryption, bucket: &str) -> Result<S3Store> {
    let mut options = ClientOptions::new().with_timeout(REQUEST_TIMEOUT);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(aws.region())
        .with_retry(retries())
        .with_credentials(Arc::new(Chain(aws.clone())));
    if let Some(endpoint) = aws.s3_endpoint() {
        options = options.with_allow_http(may_be_plain(&endpoint)?);
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    } else {
        // AWS's certificate does not match a bucket name with a dot.
        let virtual_hosted = !bucket.contains('.');
        let endpoint = amazon(aws.region(), aws.s3_variant(), virtual_hosted.then_some(bucket));
        builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(virtual_hosted);
    }
    for (key, value) in
        [("aws_server_side_encryption", &encryption.sse), ("aws_sse_kms_key_id", &encryption.kms_key_id)]
    {
        if let Some(value) = value {
            let key: AmazonS3ConfigKey = key.parse().context(|| format!("`{key}` is no setting of S3"))?;
            builder = builder.with_config(key, value);
        }
    }
    let inner = builder.with_client_options(options).build();
    let inner = inner.context(|| format!("the bucket `{bucket}` cannot be used"))?;
    Ok(S3Store { inner: Arc::new(inner), gate: Arc::default(), aws: aws.clone() })
}

/// A throttled store is retried for about half a minute.
fn retries() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(10), base: 3.0 };
    RetryConfig { backoff, max_retries: 12, ..RetryConfig::default() }
}

/// AWS's own endpoint of a region; `variant` is `s3`, `s3-fips`, `s3.dualstack` or `s3-fips.dualstack`.
fn amazon(region: &str, variant: &str, bucket: Option<&str>) -> String {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let bucket = bucket.map(|bucket| format!("{bucket}.")).unwrap_or_default();
    format!("https://{bucket}{variant}.{region}.{suffix}")
}

/// The AWS chain as a credential provider of `object_store`.
#[derive(Debug)]
struct Chain(Aws);

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let found = self.0.credentials().await.map_err(|error| generic(error.to_string()))?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        }))
    }
}

fn generic(text: String) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: text.into() }
}

/// The state of the proof.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Known folders that are written to.
    roots: Mutex<BTreeSet<String>>,
    open: OnceCell<()>,
}

impl Gate {
    /// The longest known folder above a path that is about to be written.
    fn root(&self, path: &Path) -> String {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let above = |root: &&String| path.prefix_matches(&Path::from(root.as_str()));
        roots.iter().filter(above).max_by_key(|root| root.len()).cloned().unwrap_or_default()
    }
}

/// The store of one bucket.
#[derive(Clone, Debug)]
pub(super) struct S3Store {
    inner: Arc<AmazonS3>,
    gate: Arc<Gate>,
    aws: Aws,
}

impl S3Store {
    /// Registers a folder that may be written to, for the probe.
    pub(super) fn writes_below(&self, path: &Path) {
        self.gate.roots.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_string());
    }

    /// Objects below a folder, and keys that no path can name, with the reason: for a listing that failed on one of
    /// those.
    pub(super) async fn list_around(
        &self,
        folder: &Path,
    ) -> object_store::Result<(Vec<ObjectMeta>, Vec<(String, String)>)> {
        use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
        /// Keys per page of the store.
        const PAGE: usize = 1000;
        let prefix = format!("{folder}/");
        let (mut found, mut odd) = (Vec::new(), Vec::new());
        let (mut offset, mut page_token, mut most) = (None, None, PAGE);
        loop {
            let options = PaginatedListOptions {
                offset: Option::clone(&offset),
                page_token: Option::clone(&page_token),
                max_keys: Some(most),
                ..PaginatedListOptions::default()
            };
            match self.inner.list_paginated(Some(&prefix), options).await {
                Ok(page) => {
                    found.extend(page.result.objects);
                    match page.page_token {
                        Some(next) => page_token = Some(next),
                        None => return Ok((found, odd)),
                    }
                    most = (2 * most).min(PAGE);
                }
                // One irregular key fails its page: reduce the page size until the key is alone.
                Err(object_store::Error::InvalidPath { .. }) if most > 1 => most = most.div_ceil(4),
                Err(object_store::Error::InvalidPath { source }) => {
                    use object_store::path::Error as P;
                    let why = match &source {
                        P::EmptySegment { .. } => "an empty name between two `/` of its key",
                        _ => "a name that no path can have in its key",
                    };
                    let (P::EmptySegment { path: key } | P::BadSegment { path: key, .. }) = source else {
                        return Err(self.plain(object_store::Error::InvalidPath { source }));
                    };
                    odd.push((key.clone(), why.to_owned()));
                    (offset, page_token) = (Some(key), None);
                }
                Err(error) => return Err(self.plain(error)),
            }
        }
    }

    /// Delays a write until the store has refused a second conditional PUT.
    async fn gate(&self, to: &Path) -> object_store::Result<()> {
        self.gate.open.get_or_try_init(|| self.probe(to)).await.copied()
    }

    async fn probe(&self, to: &Path) -> object_store::Result<()> {
        let probe = Path::from(self.gate.root(to)).join(PROBE);
        // The object may exist from an earlier run; one refused PUT is then sufficient.
        for _ in 0..2 {
            let text = PutPayload::from_static(b"stedi-delta: this store refuses a second conditional PUT\n");
            match self.inner.put_opts(&probe, text, PutMode::Create.into()).await {
                Err(object_store::Error::AlreadyExists { .. }) => return Ok(()),
                Err(object_store::Error::PermissionDenied { .. }) => {
                    let text = format!("`s3:PutObject` on `{probe}` is denied; docs/athena.md has the policies");
                    return Err(generic(text));
                }
                Err(error) => return Err(self.plain(error)),
                Ok(_) => {}
            }
        }
        let _ = self.inner.delete(&probe).await;
        Err(generic(
            "the store does not honour `If-None-Match: *`: it let a second writer overwrite an object, and so would \
             lose commits. Nothing was written. Use a store with conditional writes (Amazon S3 has them, and recent \
             releases of most others)"
                .into(),
        ))
    }

    /// The error without credentials and request data.
    fn plain(&self, error: object_store::Error) -> object_store::Error {
        use object_store::Error as E;
        let text = |source: Box<dyn std::error::Error + Send + Sync>| -> Box<dyn std::error::Error + Send + Sync> {
            self.aws.scrub(&shortened(&crate::aws::chained(source.as_ref()))).into()
        };
        match error {
            E::Generic { store, source } => E::Generic { store, source: text(source) },
            E::NotFound { path, source } => E::NotFound { path, source: text(source) },
            E::AlreadyExists { path, source } => E::AlreadyExists { path, source: text(source) },
            E::Precondition { path, source } => E::Precondition { path, source: text(source) },
            E::NotModified { path, source } => E::NotModified { path, source: text(source) },
            E::PermissionDenied { path, source } => E::PermissionDenied { path, source: text(source) },
            E::Unauthenticated { path, source } => E::Unauthenticated { path, source: text(source) },
            E::NotSupported { source } => E::NotSupported { source: text(source) },
            other => other,
        }
    }

    fn plainly<'a, T: 'a>(
        &self,
        stream: BoxStream<'a, object_store::Result<T>>,
    ) -> BoxStream<'a, object_store::Result<T>> {
        let this = self.clone();
        stream.map_err(move |error| this.plain(error)).boxed()
    }
}

/// A response of S3 as `Code: message`, with its remedy; its other fields repeat the request, including keys.
fn shortened(text: &str) -> String {
    const REDIRECT: &str = "redirect without LOCATION";
    let Some(start) = ["<?xml", "<Error>"].iter().filter_map(|mark| text.find(mark)).min() else {
        let elsewhere = text.contains(REDIRECT);
        return if elsewhere { "the bucket is in another region; set AWS_REGION".into() } else { text.to_owned() };
    };
    let field = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    };
    let Some(code) = field("Code") else { return format!("{}(no error code)", &text[..start]) };
    let message = field("Message").map(|message| format!(": {}", message.trim_end_matches('.'))).unwrap_or_default();
    let advice = match code {
        "AccessDenied" => "; docs/athena.md has the policies",
        "NoSuchBucket" => "; check its name, and that AWS_REGION is its region",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => "; set AWS_REGION to the bucket's region",
        "ExpiredToken" | "InvalidAccessKeyId" | "InvalidToken" => "; log in again",
        "RequestTimeTooSkewed" => "; set this machine's clock",
        _ => "",
    };
    format!("{code}{message}{advice}")
}

impl fmt::Display for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put_opts(&self, to: &Path, payload: PutPayload, opts: PutOptions) -> object_store::Result<PutResult> {
        self.gate(to).await?;
        self.inner.put_opts(to, payload, opts).await.map_err(|e| self.plain(e))
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.gate(to).await?;
        let inner = self.inner.put_multipart_opts(to, opts).await.map_err(|e| self.plain(e))?;
        Ok(Box::new(Upload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(from, options).await.map_err(|e| self.plain(e))
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.inner.get_ranges(from, ranges).await.map_err(|e| self.plain(e))
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.plainly(self.inner.delete_stream(paths))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.plainly(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.plainly(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await.map_err(|e| self.plain(e))
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.gate(to).await?;
        self.inner.copy_opts(from, to, options).await.map_err(|e| self.plain(e))
    }
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    store: S3Store,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, store): (BoxFuture<'static, _>, _) = (self.inner.put_part(data), self.store.clone());
        async move { part.await.map_err(|e| store.plain(e)) }.boxed()
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        self.inner.complete().await.map_err(|e| self.store.plain(e))
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.inner.abort().await.map_err(|e| self.store.plain(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_code_and_message() {
        let answer = "Error performing PUT http://h/b/k in 1ms - Server returned non-2xx status code: 403 Forbidden: \
                      <?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message>\
                      <AWSAccessKeyId>AKIA</AWSAccessKeyId><CanonicalRequest>x-amz-security-token:T</CanonicalRequest>";
        assert_eq!(shortened(answer), "SignatureDoesNotMatch: No");
        let denied = "403: <Error><Code>AccessDenied</Code><Message>No.</Message>";
        assert_eq!(shortened(denied), "AccessDenied: No; docs/athena.md has the policies");
        assert_eq!(shortened("a <Error>x"), "a (no error code)");
        assert_eq!(shortened("connection refused"), "connection refused");
    }

    #[test]
    fn endpoints_are_those_of_the_region() {
        assert_eq!(amazon("eu-central-1", "s3", Some("lake")), "https://lake.s3.eu-central-1.amazonaws.com");
        assert_eq!(amazon("cn-north-1", "s3.dualstack", None), "https://s3.dualstack.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn the_probe_stands_at_the_top_of_what_is_written() {
        let gate = Gate::default();
        for root in ["", "wh", "wh/own"] {
            gate.roots.lock().expect("not poisoned").insert(root.to_owned());
        }
        assert_eq!(gate.root(&Path::from("wh/landing/t/x.parquet")), "wh");
        assert_eq!(gate.root(&Path::from("wh/own/t")), "wh/own");
        assert_eq!(gate.root(&Path::from("elsewhere/t")), "");
    }
}
