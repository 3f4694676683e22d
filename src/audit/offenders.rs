//! Subjects without consent, and the versions that held their rows.

use std::collections::HashMap;

use crate::outcome::{ConsentAudit, Offender};
use crate::privacy::Privacy;

/// Rows of one of them, and since which version.
#[derive(Clone, Copy, Debug)]
struct Since {
    first: u64,
    rows: u64,
}

/// A subject, and the versions from the first to the last one that held rows of it.
type Past = (Option<String>, Since, u64);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Offenders {
    now: HashMap<Option<String>, Since>,
    past: Vec<Past>,
    left_out: u64,
}

impl Offenders {
    /// Notes the rows of one subject in a version; `None` = none.
    pub(super) fn one(&mut self, version: u64, subject: Option<String>, rows: Option<i64>) {
        match rows.map(i64::unsigned_abs) {
            Some(rows) => {
                let since = self.now.entry(subject).or_insert(Since { first: version, rows });
                since.rows = since.rows.max(rows);
            }
            None => {
                if let Some(since) = self.now.remove(&subject) {
                    self.close((subject, since, version.saturating_sub(1)));
                }
            }
        }
    }

    /// Notes all subjects of a version.
    pub(super) fn all(&mut self, version: u64, rows: &HashMap<Option<String>, i64>) {
        let gone: Vec<Option<String>> =
            self.now.keys().filter(|subject| !rows.contains_key(*subject)).cloned().collect();
        gone.into_iter().for_each(|subject| self.one(version, subject, None));
        rows.iter().for_each(|(subject, rows)| self.one(version, subject.clone(), Some(*rows)));
    }

    /// Notes that nothing is known of a version.
    pub(super) fn end(&mut self, version: u64) {
        for (subject, since) in std::mem::take(&mut self.now) {
            self.close((subject, since, version.saturating_sub(1)));
        }
    }

    fn close(&mut self, past: Past) {
        if self.past.len() < ConsentAudit::LISTED {
            self.past.push(past);
        } else {
            self.left_out += 1;
        }
    }

    /// All of them, by the first version, and how many more there are. `last`: the last version.
    pub(super) fn listed(mut self, last: u64, privacy: &Privacy) -> (Vec<Offender>, u64) {
        self.end(last + 1);
        let offender = |(subject, since, last): Past| Offender {
            subject: subject.map(|subject| privacy.show(&subject)),
            rows: since.rows,
            first: since.first,
            last,
        };
        let mut listed: Vec<Offender> = self.past.into_iter().map(offender).collect();
        listed.sort_by(|a, b| (a.first, a.last, &a.subject).cmp(&(b.first, b.last, &b.subject)));
        (listed, self.left_out)
    }
}
