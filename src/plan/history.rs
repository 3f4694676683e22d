//! What recent refreshes of a table took, next to what the model expected of them: read back from `commitInfo`, to choose
//! between incremental and full. Whatever it says changes the time of a refresh, never its rows.

use serde_json::{Value, json};

use crate::outcome::Mode;

/// Refreshes of each mode that are kept: the newest.
const KEPT: usize = 4;
/// Entries that are looked at: others are not ours.
const MOST: usize = 20;
/// A time above this, in ms, is none: a day.
const LONGEST: u64 = 86_400_000;
/// A refresh counts as at most this many times faster or slower than expected: the machine was busy, or the figure is
/// wrong.
const FARTHEST: u64 = 8;
/// Weight of the expectation itself, in ms: short refreshes say little.
const PRIOR: u64 = 50;
/// A ratio of 1.
pub(crate) const AS_EXPECTED: u64 = 1000;

/// One refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Took {
    /// [`Mode::Incremental`] or [`Mode::Full`].
    pub mode: Mode,
    /// Its time, in ms.
    pub ms: u64,
    /// What the model expected by itself, in ms; at least 1.
    pub expected: u64,
}

/// Recent refreshes, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History(Vec<Took>);

impl History {
    /// From `commitInfo`. An entry that no refresh of ours can have written is left out.
    #[must_use]
    pub(crate) fn read(told: &Value) -> Self {
        let entries = told.as_array().map(Vec::as_slice).unwrap_or_default();
        let entry = |told: &Value| {
            let mode = match told.get("mode")?.as_str()? {
                "incremental" => Mode::Incremental,
                "full" => Mode::Full,
                _ => return None,
            };
            let number = |key: &str| told.get(key)?.as_u64().filter(|ms| *ms <= LONGEST);
            let (ms, expected) = (number("ms")?, number("expectedMs").filter(|ms| *ms > 0)?);
            Some(Took { mode, ms, expected })
        };
        let oldest_first = entries.iter().take(MOST).rev().filter_map(entry);
        oldest_first.fold(Self::default(), |history, took| history.and(took))
    }

    /// For `commitInfo`.
    #[must_use]
    pub(crate) fn told(&self) -> Value {
        let entry = |took: &Took| json!({ "mode": took.mode, "ms": took.ms, "expectedMs": took.expected });
        self.0.iter().map(entry).collect()
    }

    /// With a newer refresh.
    #[must_use]
    pub(crate) fn and(&self, took: Took) -> Self {
        let of = |mode: Mode| self.0.iter().filter(move |old| old.mode == mode);
        let kept = of(took.mode).take(KEPT - 1).chain(of(other(took.mode)));
        Self(std::iter::once(took).chain(kept.copied()).collect())
    }

    /// Refreshes in a mode: their number, and their mean time in ms.
    #[must_use]
    pub(crate) fn of(&self, mode: Mode) -> (u64, u64) {
        let times = self.0.iter().filter(|took| took.mode == mode).map(|took| took.ms);
        let (count, sum) = times.fold((0, 0), |(count, sum), ms| (count + 1, sum + ms));
        (count, sum.checked_div(count).unwrap_or(0))
    }

    /// How a mode's time compares to the expectation, in thousandths. If only the other mode is known, its ratio is the
    /// machine's, and holds for both. If both are known, they count with half of their distance, as a factor: each of them
    /// was measured at other times, beside other work.
    #[must_use]
    pub(crate) fn ratio(&self, mode: Mode) -> u64 {
        match (self.observed(mode), self.observed(other(mode))) {
            (Some(own), Some(other)) => (own * (own * other).isqrt()).isqrt(),
            (own, other) => own.or(other).unwrap_or(AS_EXPECTED),
        }
    }

    fn observed(&self, mode: Mode) -> Option<u64> {
        let mut of = self.0.iter().filter(|took| took.mode == mode).peekable();
        of.peek()?;
        let (took, expected) = of.fold((PRIOR, PRIOR), |(took, expected), one| {
            let ms = one.ms.clamp(one.expected / FARTHEST, one.expected * FARTHEST);
            (took + ms, expected + one.expected)
        });
        Some(took * AS_EXPECTED / expected)
    }
}

fn other(mode: Mode) -> Mode {
    if mode == Mode::Full { Mode::Incremental } else { Mode::Full }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(mode: Mode, ms: u64, expected: u64) -> Took {
        Took { mode, ms, expected }
    }

    #[test]
    fn the_newest_refreshes_of_each_mode_are_kept_and_read_back() {
        let mut history = History::default().and(took(Mode::Full, 900, 300));
        for ms in 1..=10 {
            history = history.and(took(Mode::Incremental, ms, 5));
        }
        assert_eq!((history.of(Mode::Full), history.of(Mode::Incremental)), ((1, 900), (4, 8)));
        assert_eq!(History::read(&history.told()), history);
        assert_eq!(history.told()[0], json!({ "mode": "incremental", "ms": 10, "expectedMs": 5 }));
    }

    #[test]
    fn one_mode_alone_tells_the_machine_and_both_their_distance() {
        let history = History::default().and(took(Mode::Full, 7_950, 1_950));
        assert_eq!((history.ratio(Mode::Full), history.ratio(Mode::Incremental)), (4_000, 4_000));
        let history = history.and(took(Mode::Incremental, 200, 200));
        assert_eq!((history.ratio(Mode::Full), history.ratio(Mode::Incremental)), (2_828, 1_414));
        assert_eq!(History::default().ratio(Mode::Full), 1_000);
    }

    #[test]
    fn short_and_absurd_times_say_little() {
        assert_eq!(History::default().and(took(Mode::Full, 9, 1)).ratio(Mode::Full), 58 * 1000 / 51);
        assert_eq!(History::default().and(took(Mode::Full, LONGEST, 1_000)).ratio(Mode::Full), 8_050 * 1000 / 1_050);
        assert_eq!(History::default().and(took(Mode::Full, 0, 1_000)).ratio(Mode::Full), 175 * 1000 / 1_050);
    }

    #[test]
    fn what_no_refresh_can_have_written_is_left_out() {
        let right = json!({ "mode": "full", "ms": 3, "expectedMs": 2 });
        let wrong = [
            json!({ "mode": "full", "ms": -3, "expectedMs": 2 }),
            json!({ "mode": "full", "ms": 3, "expectedMs": 0 }),
            json!({ "mode": "full", "ms": 1.5, "expectedMs": 2 }),
            json!({ "mode": "full", "ms": "3", "expectedMs": 2 }),
            json!({ "mode": "full", "ms": null, "expectedMs": 2 }),
            json!({ "mode": "full", "ms": u64::MAX, "expectedMs": 2 }),
            json!({ "mode": "ingest", "ms": 3, "expectedMs": 2 }),
            json!({ "ms": 3 }),
            json!("NaN"),
            json!([[]]),
        ];
        let all: Value = wrong.iter().cloned().chain([right]).collect();
        assert_eq!(History::read(&all), History::default().and(took(Mode::Full, 3, 2)));
        let others = [json!(null), json!("x"), json!({}), json!(3), json!([])];
        assert!(others.iter().all(|told| History::read(told) == History::default()));
    }
}
