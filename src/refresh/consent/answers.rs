//! What the refreshes of one cut ask about consent. Tables with the same subjects ask the same, so each question is
//! answered once: the windows over a record of consent are most of what a small change costs.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::rule::Rule;
use crate::error::Result;
use crate::name::TableName;

/// Up to how many bytes of subjects an answer is kept. A longer one is found again by each table that needs it.
const KEPT: usize = 8 << 20;

/// What a set takes for a subject beside its text.
const OF_ONE: usize = 48;

/// The answers to the questions of one cut.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    ended: Answered<HashSet<String>>,
    claims: Answered<Claims>,
}

/// Who has consented, by the values that several people or one of them claim.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Subjects that have consented; `None` if they are too many to be kept.
    pub granted: Option<HashSet<String>>,
    /// How many subjects several people claim.
    pub ambiguous: u64,
}

/// The rule and the versions by which a question is the same for two tables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The record of consent.
    record: TableName,
    /// Its version at the cut.
    cut: u64,
    /// The version with which it is compared.
    from: Option<u64>,
    /// The subjects.
    subject: String,
}

impl Question {
    /// About subjects of a rule.
    pub(super) fn of(rule: &Rule<'_>, cut: u64, from: Option<u64>) -> Self {
        Self { record: rule.record.name.clone(), cut, from, subject: rule.subject().to_owned() }
    }

    /// About the cut alone.
    pub(super) fn at_cut(self) -> Self {
        Self { from: None, ..self }
    }
}

impl Answers {
    /// The subjects whose grant ended; `find` looks for them.
    ///
    /// # Errors
    /// Those of `find`, which is asked again the next time.
    pub(super) async fn ended<F>(&self, question: Question, find: impl Fn() -> F) -> Result<Arc<HashSet<String>>>
    where
        F: Future<Output = Result<HashSet<String>>>,
    {
        self.ended.ask(question, find, |ended| size(ended) <= KEPT).await
    }

    /// Who has consented; `find` looks for it.
    ///
    /// # Errors
    /// Those of `find`, which is asked again the next time.
    pub(super) async fn claims<F>(&self, question: Question, find: impl Fn() -> F) -> Result<Arc<Claims>>
    where
        F: Future<Output = Result<Claims>>,
    {
        self.claims.ask(question, find, |_| true).await
    }
}

impl Claims {
    /// Claims of nobody.
    pub(super) fn none() -> Self {
        Self { granted: Some(HashSet::new()), ambiguous: 0 }
    }

    /// Notes subjects that have consented; `room`: how many bytes of them may still be kept.
    pub(super) fn grant<'s>(&mut self, subjects: impl Iterator<Item = &'s str>, room: &mut Room) {
        let Some(granted) = &mut self.granted else { return };
        for subject in subjects {
            if !room.takes(subject) {
                self.granted = None;
                return;
            }
            granted.insert(subject.to_owned());
        }
    }
}

/// What may still be kept.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(KEPT)
    }
}

impl Room {
    fn takes(&mut self, subject: &str) -> bool {
        let left = self.0.checked_sub(subject.len() + OF_ONE);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

fn size(subjects: &HashSet<String>) -> usize {
    subjects.iter().map(|subject| subject.len() + OF_ONE).sum()
}

/// An answer; `None`: found, but too long to be kept.
type Cell<T> = Arc<OnceCell<Option<Arc<T>>>>;

/// Answers of one kind.
#[derive(Debug)]
struct Answered<T>(Mutex<HashMap<Question, Cell<T>>>);

impl<T> Default for Answered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Answered<T> {
    async fn ask<F>(&self, question: Question, find: impl Fn() -> F, is_kept: impl Fn(&T) -> bool) -> Result<Arc<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let cell = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(question).or_default());
        let mut found = None;
        let known = cell.get_or_try_init(async || {
            let answer = Arc::new(find().await?);
            found = Some(Arc::clone(&answer));
            Ok(is_kept(&answer).then_some(answer))
        });
        let known = known.await?.clone();
        match found.or(known) {
            Some(answer) => Ok(answer),
            None => Ok(Arc::new(find().await?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::{join, ready};

    use super::*;
    use crate::error::Error;

    fn question(from: Option<u64>) -> Question {
        let record = TableName::parse("customer_landing").unwrap();
        Question { record, cut: 2, from, subject: "email".into() }
    }

    fn people(n: usize) -> HashSet<String> {
        (0..n).map(|i| format!("person {i}")).collect()
    }

    #[tokio::test]
    async fn a_question_is_answered_once() {
        let (answers, asked) = (Answers::default(), AtomicUsize::new(0));
        let find = || async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(people(3))
        };
        let (one, other) = join(answers.ended(question(Some(1)), find), answers.ended(question(Some(1)), find)).await;
        assert_eq!((one.unwrap(), asked.load(Ordering::SeqCst)), (other.unwrap(), 1));
        assert_eq!(*answers.ended(question(Some(0)), || ready(Ok(people(2)))).await.unwrap(), people(2), "another one");
        assert_eq!(*answers.ended(question(Some(1)), || ready(Ok(people(9)))).await.unwrap(), people(3));
    }

    #[tokio::test]
    async fn a_failure_is_not_an_answer() {
        let answers = Answers::default();
        let failed = answers.ended(question(None), || ready(Err(Error::failed("a file is gone".to_owned())))).await;
        assert!(failed.is_err());
        assert_eq!(*answers.ended(question(None), || ready(Ok(people(1)))).await.unwrap(), people(1));
    }

    #[tokio::test]
    async fn a_long_answer_is_not_kept() {
        let (answers, asked) = (Answers::default(), AtomicUsize::new(0));
        let many = KEPT / OF_ONE;
        for n in 1..=2 {
            let found =
                answers.ended(question(None), || ready(Ok(people(many + asked.fetch_add(1, Ordering::SeqCst)))));
            assert_eq!(found.await.unwrap().len(), many + n - 1);
        }
        let (mut claims, mut room) = (Claims::none(), Room::default());
        let people = people(many);
        claims.grant(people.iter().map(String::as_str), &mut room);
        assert!(claims.granted.is_none());
        claims.grant(["one more"].into_iter(), &mut room);
        assert!(claims.granted.is_none(), "an incomplete set would refuse the others");
    }
}
