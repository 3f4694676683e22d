//! One error type for the whole tool: what happened, its facts, and the next thing to type.

use std::fmt;

use crate::redact::{redacted, without_frames};
use crate::source::Fault;

/// The kind of an error. It determines the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The project's files are wrong; nothing was read or written.
    Definition,
    /// The operation failed: input, storage, drift.
    Failed,
    /// A check of the data failed: a consent violation or a failed expectation.
    Evidence,
    /// Conflict: concurrent commits kept winning.
    Conflict,
    /// Our own mistake.
    Internal,
}

impl Kind {
    /// Its name in documents and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Definition => "definition",
            Self::Failed => "failed",
            Self::Evidence => "evidence",
            Self::Conflict => "conflict",
            Self::Internal => "internal",
        }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error as shown to people.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    facts: Vec<(String, String)>,
    help: Option<String>,
    faults: Vec<Fault>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Causes are shown with the values that they quote.
    unredacted: bool,
}

impl Error {
    /// An error of a kind; `message` is a lower-case fragment without a period.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            facts: Vec::new(),
            help: None,
            faults: Vec::new(),
            cause: None,
            unredacted: false,
        }))
    }

    /// An operation failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// A concurrent commit conflicted.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// Faults of the project's files, all together.
    #[must_use]
    pub fn definition(faults: Vec<Fault>) -> Self {
        let mut error = Self::new(Kind::Definition, "the project has errors");
        error.0.faults = faults;
        error
    }

    /// Faults of a query that is not in a file of the project.
    #[must_use]
    pub fn of_query(faults: Vec<Fault>) -> Self {
        let mut error = Self::failed("the query cannot be run");
        error.0.faults = faults;
        error
    }

    /// Adds a labelled fact, printed on its own line: `table`, `rows`, `because`, ...
    #[must_use]
    pub fn fact(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.facts.push((label.into(), value.into()));
        self
    }

    /// Adds the next thing to type.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Keeps the cause, printed after the message.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Lets the causes quote values: if they contain no personal data, or the user asked to see it. Otherwise causes
    /// are [redacted], so that unforeseen errors do not leak values.
    #[must_use]
    pub fn unredacted(mut self) -> Self {
        self.unredact();
        self
    }

    fn unredact(&mut self) {
        self.0.unredacted = true;
        if let Some(below) = self.0.cause.as_mut().and_then(|cause| cause.downcast_mut::<Self>()) {
            below.unredact();
        }
    }

    /// Whether values quoted by the causes are removed.
    #[must_use]
    pub fn leaves_out(&self) -> bool {
        let below = self.0.cause.as_ref().and_then(|cause| cause.downcast_ref::<Self>());
        let quotes = || self.texts(redacted) != self.texts(spelled_out);
        !self.0.unredacted && (quotes() || below.is_some_and(Self::leaves_out))
    }

    /// An error of ours inside an error of the query engine, among an error's causes.
    #[must_use]
    pub fn within<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        first(error)
    }

    /// The first cause of a type.
    #[must_use]
    pub fn cause_of<E: std::error::Error + 'static>(&self) -> Option<&E> {
        let cause = self.0.cause.as_deref()?;
        first(cause).or_else(|| Self::within(cause)?.cause_of())
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The message alone.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Labelled facts, in the order in which they were added.
    #[must_use]
    pub fn facts(&self) -> &[(String, String)] {
        &self.0.facts
    }

    /// The next thing to type.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Faults of the project's files, or of a query.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// The causes, outermost first, each as one line, without the values that they quote unless
    /// [unredacted](Self::unredacted).
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        self.texts(if self.0.unredacted { spelled_out } else { redacted })
    }

    fn texts(&self, say: Say) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = self.0.cause.as_deref().map(|c| c as &dyn std::error::Error);
        while let Some(cause) = next {
            let text = plain(&say(cause));
            // Foreign errors often repeat their source in their own text.
            if !causes.iter().any(|c: &String| c.contains(&text)) {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

/// Formats a cause.
type Say = fn(&(dyn std::error::Error + 'static)) -> String;

fn spelled_out(cause: &(dyn std::error::Error + 'static)) -> String {
    without_frames(&cause.to_string()).to_owned()
}

/// A store's message, without the names of the layers that it came through.
fn plain(text: &str) -> String {
    let text = text.rsplit_once("Generic S3 error: ").map_or(text, |(_, said)| said);
    text.strip_prefix("External error: ").unwrap_or(text).to_owned()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for cause in self.causes() {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Adds to a foreign error what was being done.
pub trait Context<T> {
    /// Turns the error into a [`Kind::Failed`] with this message.
    ///
    /// # Errors
    /// The original error as the cause.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|cause| {
            let cause = cause.into();
            match OutOfRange::within(cause.as_ref()) {
                Some(found) => Error::failed(message()).help(found.way_out.clone()).because(found.clone()),
                None => match cause.source().and_then(Error::within).and_then(Error::next).map(str::to_owned) {
                    Some(help) => Error::failed(message()).help(help).because(cause),
                    None => Error::failed(message()).because(cause),
                },
            }
        })
    }
}

/// A result of the query's arithmetic that does not fit its type. It quotes no value, only the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The expression, as in the query.
    pub what: String,
    /// The type of the result.
    pub type_name: String,
    /// The column of a select list that contains it, if known.
    pub column: Option<String>,
    /// What to write instead.
    pub way_out: String,
}

impl OutOfRange {
    /// The first one among an error and its causes.
    #[must_use]
    pub fn within<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        first(error)
    }
}

/// The first one of a type among an error and its causes.
fn first<'e, E: std::error::Error + 'static>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has a value beyond {}", self.what, self.type_name)?;
        match &self.column {
            Some(column) => write!(f, ", in column `{column}`"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OutOfRange {}
