//! Retries: how often an operation is repeated after a conflict, or because it is not done yet, and the pauses between.
//!
//! The only module that uses `backon`, and the only place that sleeps. Calls that AWS throttles or fails are retried by
//! the SDK.

#![expect(clippy::disallowed_methods, reason = "the only place that sleeps")]

use std::time::Duration;

use backon::RetryableWithContext;

use crate::clock;
use crate::error::{Kind, Result};

/// The number of attempts, and the pauses between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Total attempts, including the first one.
    attempts: u32,
    /// Pause before the second attempt; twice as long before the third, three times before the fourth, and so on.
    pause: Duration,
    /// Adds jitter of up to 150 ms, different for each process.
    is_spread: bool,
}

/// A commit after a conflict: it is planned again from the newest version, and needs no pause.
pub(crate) const COMMIT: Policy = Policy { attempts: 4, pause: Duration::ZERO, is_spread: false };

/// A sync that found a table past its cut pins a new one. Two syncs with the same conflict should not retry in
/// parallel.
pub(crate) const CUT: Policy = Policy { attempts: 4, pause: Duration::from_millis(100), is_spread: true };

/// A sync of a saved plan: after a conflict the lake is not the one of the plan any more.
pub(crate) const ONCE: Policy = Policy { attempts: 1, pause: Duration::ZERO, is_spread: false };

/// The row of a run: concurrent syncs each have a row to add; none depends on another's.
pub(crate) const RUN: Policy = Policy { attempts: 8, pause: Duration::ZERO, is_spread: false };

/// A catalog entry that was changed between our read and our write.
pub(crate) const CATALOG_ENTRY: Policy = Policy { attempts: 8, pause: Duration::from_millis(50), is_spread: false };

impl Policy {
    /// One more attempt after a pause.
    #[must_use]
    pub(crate) const fn once_more_after(pause: Duration) -> Self {
        Self { attempts: 2, pause, is_spread: false }
    }

    /// The same number of attempts, without pauses.
    #[must_use]
    pub(crate) const fn at_once(self) -> Self {
        Self { pause: Duration::ZERO, is_spread: false, ..self }
    }

    /// Total attempts.
    #[cfg(test)]
    pub(crate) const fn attempts(self) -> u32 {
        self.attempts
    }

    /// Repeats an attempt while concurrent commits conflict with it; every attempt plans from the newest version.
    ///
    /// # Errors
    /// `Conflict` if concurrent commits keep winning, else as the attempt.
    pub(crate) async fn until_no_conflict<T, F>(self, attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.until(attempt, |outcome| !is_conflict(outcome)).await
    }

    /// Repeats an attempt until its outcome `is_done`; returns the last outcome.
    pub(crate) async fn until<T, F>(self, mut attempt: impl FnMut() -> F, is_done: impl Fn(&T) -> bool) -> T
    where
        F: Future<Output = T>,
    {
        let attempt = move |()| {
            let attempt = attempt();
            async move { ((), attempt.await) }
        };
        self.with((), attempt, is_done, |_| {}).await
    }

    /// As [`until`](Self::until), for attempts that pass a state to the next one; `again` is called with every outcome
    /// that is followed by another attempt.
    pub(crate) async fn with<S, T, F>(
        self,
        state: S,
        mut attempt: impl FnMut(S) -> F,
        is_done: impl Fn(&T) -> bool,
        mut again: impl FnMut(&T),
    ) -> T
    where
        F: Future<Output = (S, T)>,
    {
        let is_done = &is_done;
        let attempt = move |state| {
            let attempt = attempt(state);
            async move {
                let (state, outcome) = attempt.await;
                (state, if is_done(&outcome) { Ok(outcome) } else { Err(outcome) })
            }
        };
        let retried = attempt.retry(self.pauses()).sleep(wait).context(state).notify(|outcome: &T, _| again(outcome));
        let (_, Ok(outcome) | Err(outcome)) = retried.await;
        outcome
    }

    fn pauses(self) -> impl Iterator<Item = Duration> + Send + Sync + Unpin {
        (1..self.attempts).map(move |tried| self.pause * tried + if self.is_spread { spread() } else { Duration::ZERO })
    }
}

/// Whether the outcome is a conflict with a concurrent commit.
pub(crate) fn is_conflict<T>(outcome: &Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == Kind::Conflict)
}

fn spread() -> Duration {
    let by_time = u64::try_from(clock::now_ms()).unwrap_or(0) % 97;
    Duration::from_millis(by_time + u64::from(std::process::id()) % 53)
}

/// Sleeps; a pause of zero uses no timer.
async fn wait(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// The outcome if the first `conflicts` attempts fail with a conflict, and the number of attempts.
    async fn attempts(policy: Policy, conflicts: u32) -> (Result<u32>, u32) {
        let mut made = 0;
        let outcome = policy.until_no_conflict(|| {
            made += 1;
            let attempt = made;
            async move { if attempt <= conflicts { Err(Error::conflict("late")) } else { Ok(attempt) } }
        });
        (outcome.await, made)
    }

    #[tokio::test]
    async fn a_conflict_is_met_again_as_often_as_the_policy_says() {
        assert!(matches!(attempts(COMMIT, 0).await, (Ok(1), 1)));
        assert!(matches!(attempts(COMMIT, 3).await, (Ok(4), 4)));
        let (outcome, made) = attempts(COMMIT, 4).await;
        assert_eq!((is_conflict(&outcome), made), (true, 4));
        let (outcome, made) = attempts(CATALOG_ENTRY.at_once(), 9).await;
        assert_eq!((is_conflict(&outcome), made), (true, CATALOG_ENTRY.attempts()));
    }

    #[tokio::test]
    async fn what_is_no_conflict_ends_it() {
        let mut made = 0;
        let outcome: Result<()> = COMMIT
            .until_no_conflict(|| {
                made += 1;
                async { Err(Error::failed("no store")) }
            })
            .await;
        assert_eq!((outcome.map_err(|e| e.kind()), made), (Err(Kind::Failed), 1));
    }

    #[tokio::test]
    async fn each_attempt_has_the_state_of_the_one_before_and_is_announced() {
        let mut announced = Vec::new();
        let attempt = |mut seen: Vec<u32>| async {
            seen.push(0);
            let count = seen.len();
            (seen, count)
        };
        let outcome = RUN.with(Vec::new(), attempt, |count| *count == 3, |count| announced.push(*count)).await;
        assert_eq!((outcome, announced), (3, vec![1, 2]));
    }

    #[test]
    fn pauses_grow_and_two_cuts_are_spread() {
        let ms = |policy: Policy| policy.pauses().map(|pause| pause.as_millis()).collect::<Vec<_>>();
        assert_eq!(ms(COMMIT), [0; 3]);
        assert_eq!(ms(CATALOG_ENTRY), [50, 100, 150, 200, 250, 300, 350]);
        assert_eq!(ms(Policy::once_more_after(Duration::from_secs(2))), [2000]);
        let cuts = ms(CUT);
        assert_eq!(cuts.len(), 3);
        for (pause, least) in cuts.iter().zip([100, 200, 300]) {
            assert!((least..=least + 150).contains(pause), "{cuts:?}");
        }
    }
}
