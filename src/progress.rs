//! What an operation says about itself while it runs: which table it is at. Nobody needs to listen.

/// Listens to an operation at work. Called from several tasks at once, so it must be quick.
pub trait Progress: Send + Sync {
    /// Work on a table entered a step: `reading 9 files`, `full refresh`, ... No personal data.
    fn table(&self, name: &str, what: &str);

    /// The operation is over; whatever was shown goes away.
    fn done(&self);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn table(&self, _name: &str, _what: &str) {}

    fn done(&self) {}
}
