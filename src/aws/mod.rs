//! AWS as configured by the environment: region, endpoints, credentials. The only user of `aws-config`.
//!
//! Credentials come from AWS's own chain only: environment, profile, SSO, web identity, container, instance role. They
//! are never printed, and [`Aws::scrub`] removes them from responses of services.

mod credentials;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::{ProvideRegion, RegionProviderChain};
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::region::Region;
use aws_types::service_config::ServiceConfigKey;

use url::{Host, Url};

use credentials::{Refreshed, Seen};

use crate::error::{Context, Error, Kind, Result};
use crate::privacy::without_credentials;

/// Timeout of a connection to Glue, STS or SSO, and of one attempt of a call.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(30);
/// Used if neither a region nor AWS itself is configured: an S3-compatible store ignores it.
const DEFAULT_REGION: &str = "us-east-1";

/// A target's settings for AWS; AWS's own variables override each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// Region.
    pub region: Option<String>,
    /// URL of an S3-compatible store, if it is not Amazon's.
    pub endpoint: Option<String>,
}

/// A configured AWS: one per command.
#[derive(Clone)]
pub struct Aws {
    config: SdkConfig,
    credentials: SharedCredentialsProvider,
    seen: Arc<Seen>,
    settings: AwsSettings,
    region_is_given: bool,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aws")
    }
}

impl Aws {
    /// Reads the environment and fetches credentials once, so that a missing login is reported before any work.
    ///
    /// # Errors
    /// There are no credentials, or no region.
    pub async fn load(settings: &AwsSettings) -> Result<Self> {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
        loader = loader.region(regions(settings)).timeout_config(timeouts);
        if let Ok(name) = AppName::new("stedi-delta") {
            loader = loader.app_name(name);
        }
        let mut aws = Self::from_config(loader.load().await, settings.clone());
        aws.region_is_given = region_is_given().await;
        aws.note_environment();
        for endpoint in [aws.s3_endpoint(), aws.glue_endpoint()].into_iter().flatten() {
            may_be_plain(&endpoint)?;
        }
        if aws.config.region().is_none() {
            return Err(Error::failed("no AWS region is named")
                .fact("looked at", "AWS_REGION, the profile, the target's `region`, the instance")
                .help("set AWS_REGION, or `region = \"us-east-1\"` in the target of stedi-delta.toml"));
        }
        aws.credentials().await?;
        Ok(aws)
    }

    /// An AWS configured by hand.
    #[must_use]
    pub fn from_config(config: SdkConfig, settings: AwsSettings) -> Self {
        let seen = Arc::new(Seen::default());
        let chain = config.credentials_provider();
        let refreshed = Refreshed::new(chain, seen.clone());
        let credentials = SharedCredentialsProvider::new(refreshed);
        let anywhere = config.region().is_none() && is_elsewhere(&config, &settings);
        let mut builder = config.into_builder().credentials_provider(credentials.clone());
        if anywhere {
            builder.set_region(Region::from_static(DEFAULT_REGION));
        }
        Self { config: builder.build(), credentials, seen, settings, region_is_given: false }
    }

    /// The configuration for clients of the AWS SDK.
    #[must_use]
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        self.config.region().map_or(DEFAULT_REGION, AsRef::as_ref)
    }

    /// The URL of S3 or a store like it, if it is not AWS's own: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the same in
    /// the profile, or the target's `endpoint`.
    #[must_use]
    pub fn s3_endpoint(&self) -> Option<String> {
        endpoint(&self.config, "S3").or_else(|| self.settings.endpoint.clone())
    }

    /// Whether the environment names the region, directly or by a profile.
    #[must_use]
    pub fn region_is_given(&self) -> bool {
        self.region_is_given
    }

    /// An error may quote keys from the environment before they were ever used.
    fn note_environment(&self) {
        for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            self.seen.note(std::env::var(variable).ok().as_deref());
        }
    }

    /// Whether the environment sets the number of retries.
    #[must_use]
    pub fn retries_are_given(&self) -> bool {
        ["AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"].into_iter().any(set)
    }

    /// The variant of AWS's S3 endpoint, by `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT`.
    #[must_use]
    pub fn s3_variant(&self) -> &'static str {
        match (self.config.use_fips().unwrap_or(false), self.config.use_dual_stack().unwrap_or(false)) {
            (false, false) => "s3",
            (true, false) => "s3-fips",
            (false, true) => "s3.dualstack",
            (true, true) => "s3-fips.dualstack",
        }
    }

    /// The URL of Glue, if the environment overrides AWS's own.
    #[must_use]
    pub fn glue_endpoint(&self) -> Option<String> {
        endpoint(&self.config, "Glue")
    }

    /// Valid credentials.
    ///
    /// # Errors
    /// The chain has none.
    pub async fn credentials(&self) -> Result<Credentials> {
        self.credentials.provide_credentials().await.map_err(|cause| {
            Error::failed("AWS's own chain gave no credentials")
                .because(self.scrub(&without_output(&chained(&cause))))
                .fact("looked at", "environment, profile, SSO, web identity, container, instance role")
                .help("log in (`aws sso login`, `aws configure`), or name a profile with AWS_PROFILE")
        })
    }

    /// `text` without any key, secret or token that was used.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        self.seen.scrub(text)
    }
}

/// AWS's variables, then the named profile, then the target, then the default profile, then the instance.
fn regions(settings: &AwsSettings) -> RegionProviderChain {
    let profile = |wanted: bool| wanted.then(ProfileFileRegionProvider::new);
    let named = set("AWS_PROFILE");
    let mut chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
    if let Some(profile) = profile(named) {
        chain = chain.or_else(profile);
    }
    chain = chain.or_else(settings.region.clone().map(Region::new));
    if let Some(profile) = profile(!named) {
        chain = chain.or_else(profile);
    }
    // Another store needs no region, so the instance metadata need not be queried.
    let elsewhere = settings.endpoint.is_some() || set("AWS_ENDPOINT_URL") || set("AWS_ENDPOINT_URL_S3");
    if elsewhere { chain } else { chain.or_else(ImdsRegionProvider::builder().build()) }
}

/// Whether a variable names the region, or the profile that a variable names does.
async fn region_is_given() -> bool {
    if set("AWS_REGION") || set("AWS_DEFAULT_REGION") {
        return true;
    }
    set("AWS_PROFILE") && ProfileFileRegionProvider::new().region().await.is_some()
}

/// HTTP with the machine's own certificates and proxies (`HTTPS_PROXY`, `NO_PROXY`).
fn http_client() -> SharedHttpClient {
    let proxy = ProxyConfig::from_env();
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(sleep) = components.and_then(RuntimeComponents::sleep_impl) {
            connector.set_sleep_impl(Some(sleep));
        }
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}

/// Whether an endpoint may be used without TLS: on this machine, or if the user allows it.
///
/// # Errors
/// It may not, it is not a URL, or it holds credentials. The message contains none of them.
pub(crate) fn may_be_plain(endpoint: &str) -> Result<bool> {
    without_credentials(Kind::Failed, "the URL of an AWS endpoint", endpoint)?;
    let url = Url::parse(endpoint)
        .context(|| format!("the AWS endpoint `{endpoint}` is not a URL"))
        .map_err(|error| error.help(format!("write `https://{endpoint}`, or `http://` for one on this machine")))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let allowed = std::env::var("AWS_ALLOW_HTTP").is_ok_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    match url.scheme() {
        "https" => Ok(false),
        "http" if here || allowed => Ok(true),
        "http" => Err(Error::failed("an AWS endpoint has no TLS, and is not on this machine")
            .fact("endpoint", endpoint)
            .help("use https://, or set AWS_ALLOW_HTTP=true for a network that you trust")),
        other => Err(Error::failed(format!("an AWS endpoint is a `{other}://` address")).fact("expected", "https://")),
    }
}

/// Removes the output of foreign programs, and request data that a service repeats, from an error text.
fn without_output(text: &str) -> String {
    let end = ["Stderr:", "stderr:", "Canonical"].iter().filter_map(|mark| text.find(mark)).min();
    end.map_or_else(|| text.to_owned(), |end| format!("{}(its output is left out)", &text[..end]))
}

fn set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether S3 is not AWS's own.
fn is_elsewhere(config: &SdkConfig, settings: &AwsSettings) -> bool {
    settings.endpoint.is_some() || endpoint(config, "S3").is_some()
}

/// The endpoint of a service by the rules of every AWS SDK.
fn endpoint(config: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_service = key.ok().and_then(|key| config.service_config()?.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned)).filter(|url| !url.is_empty())
}

/// An error and its sources, on one line.
pub(crate) fn chained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for (endpoint, plain) in [
            ("http://127.0.0.1:9000", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("https://s3.example", false),
        ] {
            assert_eq!(may_be_plain(endpoint).expect(endpoint), plain, "{endpoint}");
        }
        let error = may_be_plain("http://minio:9000").expect_err("another machine");
        assert_eq!(error.message(), "an AWS endpoint has no TLS, and is not on this machine");
        assert!(may_be_plain("s3").is_err());
        assert!(may_be_plain("ftp://x").is_err());
    }

    #[test]
    fn credentials_in_an_endpoint_are_refused_and_not_said() {
        for url in ["https://user:secret@host", "http://user:secret@127.0.0.1:9", "https://:secret@host"] {
            let error = may_be_plain(url).expect_err("refused");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn what_a_program_said_about_credentials_is_left_out() {
        let said = "Error retrieving credentials from external process: exit status 1. Stderr: token=abc";
        let expected = "Error retrieving credentials from external process: exit status 1. (its output is left out)";
        assert_eq!(without_output(said), expected);
        assert_eq!(without_output("nothing was found"), "nothing was found");
    }
}
