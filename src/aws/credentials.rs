//! Credentials with a limited lifetime, and their removal from messages.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use crate::clock;

/// Credentials are renewed this long before they expire, so that no request uses expiring ones.
const REFRESH_BEFORE: Duration = Duration::from_secs(300);
/// After a failed renewal, valid old ones are used this long before the next attempt.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Minimum length of a key, secret or token that is searched in texts.
const SHORTEST: usize = 12;

/// Every key, secret and token that was used.
#[derive(Default)]
pub(super) struct Seen(Mutex<Vec<String>>);

impl Seen {
    pub(super) fn note(&self, part: Option<&str>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Real ones are longer; the `test` of an emulator is an ordinary word.
        if let Some(part) = part.filter(|part| part.len() >= SHORTEST && !seen.iter().any(|known| known == part)) {
            seen.push(part.to_owned());
            // A secret may contain another one: remove the longest first.
            seen.sort_by_key(|known| std::cmp::Reverse(known.len()));
        }
    }

    pub(super) fn scrub(&self, text: &str) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "(credential)"))
    }
}

/// The chain's credentials, cached and renewed before they expire.
pub(super) struct Refreshed {
    chain: Option<SharedCredentialsProvider>,
    seen: Arc<Seen>,
    current: tokio::sync::Mutex<Option<Current>>,
}

struct Current {
    credentials: Credentials,
    /// When to renew; `None` = they do not expire.
    refresh_at: Option<SystemTime>,
}

impl fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refreshed")
    }
}

impl Refreshed {
    /// Over a chain; all its credentials are recorded in `seen`.
    pub(super) fn new(chain: Option<SharedCredentialsProvider>, seen: Arc<Seen>) -> Self {
        Self { chain, seen, current: tokio::sync::Mutex::default() }
    }

    async fn credentials(&self) -> std::result::Result<Credentials, CredentialsError> {
        // Tasks that wait here get the credentials that the first one fetched.
        let mut current = self.current.lock().await;
        let now = clock::system_time();
        let kept = current.as_ref().filter(|c| c.refresh_at.is_none_or(|at| now < at)).map(|c| c.credentials.clone());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let Some(chain) = &self.chain else {
            return Err(CredentialsError::not_loaded("no credentials provider is configured"));
        };
        let expiry = current.as_ref().and_then(|old| old.credentials.expiry());
        match chain.provide_credentials().await {
            Ok(credentials) => {
                self.seen.note(Some(credentials.access_key_id()));
                self.seen.note(Some(credentials.secret_access_key()));
                self.seen.note(credentials.session_token());
                let refresh_at = credentials.expiry().map(|expiry| refresh_at(now, expiry));
                *current = Some(Current { credentials: credentials.clone(), refresh_at });
                Ok(credentials)
            }
            // The old ones may still be valid, and the service may recover. Do not retry with every request.
            Err(error) => match current.as_mut().zip(expiry) {
                Some((old, expiry)) if now < expiry => {
                    old.refresh_at = Some((now + RETRY_AFTER).min(expiry));
                    Ok(old.credentials.clone())
                }
                _ => Err(error),
            },
        }
    }
}

/// Five minutes before expiry, or half-way if they live shorter than twice that.
fn refresh_at(now: SystemTime, expiry: SystemTime) -> SystemTime {
    let left = expiry.duration_since(now).unwrap_or_default();
    now + left.saturating_sub(REFRESH_BEFORE.min(left / 2))
}

impl ProvideCredentials for Refreshed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_types::SdkConfig;

    use super::super::{Aws, AwsSettings};
    use super::*;

    /// Returns numbered credentials of one lifetime; fails from a number on.
    #[derive(Debug)]
    struct Numbered {
        calls: Arc<AtomicU64>,
        lifetime: Option<Duration>,
        fails_from: u64,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let expiry = self.lifetime.map(|lifetime| clock::system_time() + lifetime);
            future::ProvideCredentials::ready(if call >= self.fails_from {
                Err(CredentialsError::not_loaded("gone"))
            } else {
                Ok(Credentials::new(
                    format!("KEY-NUMBER-{call}"),
                    format!("SECRET-NUMBER-{call}"),
                    None,
                    expiry,
                    "test",
                ))
            })
        }
    }

    fn aws(lifetime: Option<Duration>, fails_from: u64) -> (Aws, Arc<AtomicU64>) {
        let calls = Arc::new(AtomicU64::new(0));
        let chain = Numbered { calls: calls.clone(), lifetime, fails_from };
        let config = SdkConfig::builder().credentials_provider(SharedCredentialsProvider::new(chain)).build();
        (Aws::from_config(config, AwsSettings::default()), calls)
    }

    #[tokio::test]
    async fn credentials_are_kept_while_they_are_good() {
        for lifetime in [None, Some(Duration::from_secs(3600)), Some(Duration::from_secs(60))] {
            let (aws, calls) = aws(lifetime, u64::MAX);
            for _ in 0..5 {
                assert_eq!(aws.credentials().await.expect("they are there").access_key_id(), "KEY-NUMBER-1");
            }
            assert_eq!(calls.load(Ordering::SeqCst), 1, "{lifetime:?}");
        }
    }

    #[tokio::test]
    async fn credentials_that_ended_are_fetched_anew_and_old_ones_serve_until_their_end() {
        let (ended, calls) = aws(Some(Duration::ZERO), u64::MAX);
        for call in 1..4 {
            let key = ended.credentials().await.expect("a new one");
            assert_eq!(key.access_key_id(), format!("KEY-NUMBER-{call}"));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        let (failing, _) = aws(Some(Duration::ZERO), 2);
        failing.credentials().await.expect("the first one");
        let error = failing.credentials().await.expect_err("it ended, and there is no other");
        assert_eq!(error.message(), "AWS's own chain gave no credentials");
    }

    #[test]
    fn the_refresh_comes_before_the_end() {
        let now = clock::system_time();
        let at = |seconds| refresh_at(now, now + Duration::from_secs(seconds)).duration_since(now).expect("later");
        assert_eq!(at(3600), Duration::from_secs(3300));
        assert_eq!(at(400), Duration::from_secs(200));
        assert_eq!(at(0), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_was_in_use_is_taken_out_of_texts() {
        let (aws, _) = aws(None, u64::MAX);
        aws.credentials().await.expect("they are there");
        assert_eq!(
            aws.scrub("<AWSAccessKeyId>KEY-NUMBER-1</…> SECRET-NUMBER-1"),
            "<AWSAccessKeyId>(credential)</…> (credential)"
        );
    }
}
