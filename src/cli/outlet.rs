//! The only place that prints. Output has no control characters except our own colours and, unless it is a row of a
//! table, no credentials of a URL.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::clock;
use crate::privacy::{escaped, redacted};

/// Marks our own colours until they are printed. It is random, so that data cannot contain it.
static MARK: LazyLock<String> = LazyLock::new(|| format!("\u{fdd0}{}\u{fdd0}", clock::random_uuid()));

const ESCAPE: char = '\u{1b}';

/// A text with colours, made of trusted parts, so that they pass the outlet.
pub(super) fn styled(text: &str) -> String {
    if text.contains(ESCAPE) { text.replace(ESCAPE, &MARK) } else { text.to_owned() }
}

/// A text in printable form.
pub(super) fn printable(text: &str) -> String {
    let text = redacted(text);
    let text = escaped(&text);
    if text.contains('\u{fdd0}') { text.replace(MARK.as_str(), "\u{1b}") } else { text.into_owned() }
}

/// Ends the output of a command. Work that a signal interrupted still runs for a moment, and what it reports then is an
/// effect of the interruption.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Nothing is written from now on.
    pub(super) fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_closed(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Standard error, shared by all of its writers.
#[derive(Clone)]
pub(super) struct Sink {
    inner: Arc<Mutex<Box<dyn Write + Send>>>,
    gate: Gate,
}

impl Sink {
    pub(super) fn new(inner: Box<dyn Write + Send>, gate: Gate) -> Self {
        Self { inner: Arc::new(Mutex::new(inner)), gate }
    }

    /// The same for a writer that knows its last line.
    pub(super) fn without_gate(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), gate: Gate::default() }
    }

    /// Writes all of it at once, so that no other thread's output comes in between.
    pub(super) fn write(&self, text: &str) {
        let text = printable(text);
        if self.gate.is_closed() {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // If standard error is closed, the failure cannot be reported.
        let _ = inner.write_all(text.as_bytes());
        let _ = inner.flush();
    }
}

/// Standard output that records write failures.
pub(super) struct Output {
    inner: BufWriter<Box<dyn Write + Send>>,
    written: bool,
    closed: bool,
    failure: Option<io::Error>,
    gate: Gate,
}

impl Output {
    pub(super) fn new(inner: Box<dyn Write + Send>, gate: Gate) -> Self {
        Self { inner: BufWriter::new(inner), written: false, closed: false, failure: None, gate }
    }

    /// Writes text. A failure is kept for [`Self::failure`].
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(printable(text).as_bytes());
    }

    /// A writer of rows; `exact` = unaltered.
    pub(super) fn rows(&mut self, exact: bool) -> Rows<'_> {
        Rows { out: self, exact, begun: Vec::new() }
    }

    /// Writes buffered text.
    pub(super) fn end(&mut self) {
        if !self.closed && !self.gate.is_closed() {
            let result = self.inner.flush();
            self.note(result);
        }
    }

    /// Whether anything was written.
    pub(super) fn has_text(&self) -> bool {
        self.written
    }

    /// Why something could not be written; returned once.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if !self.closed && !self.gate.is_closed() {
            self.written |= !bytes.is_empty();
            let result = self.inner.write_all(bytes);
            self.note(result);
        }
    }

    /// Writes nothing after the reader closed the pipe or a write failed.
    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.closed = true;
            if error.kind() != ErrorKind::BrokenPipe {
                self.failure = Some(error);
            }
        }
    }
}

/// A writer of rows. Their data was requested, so nothing is hidden; only control characters are escaped.
pub(super) struct Rows<'o> {
    out: &'o mut Output,
    exact: bool,
    /// The beginning of an incomplete character.
    begun: Vec<u8>,
}

impl Write for Rows<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.exact {
            self.out.bytes(bytes);
            return Ok(bytes.len());
        }
        self.begun.extend_from_slice(bytes);
        let whole = match str::from_utf8(&self.begun) {
            Ok(text) => text.len(),
            // Invalid UTF-8 is not waited for.
            Err(error) if error.error_len().is_some() => self.begun.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = self.begun.split_off(whole);
        let text = std::mem::replace(&mut self.begun, rest);
        self.out.bytes(escaped(&String::from_utf8_lossy(&text)).as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ui::tests::Captured;

    #[test]
    fn only_our_own_colours_reach_a_terminal() {
        let ours = styled("\u{1b}[1;31merror:\u{1b}[0m");
        assert_eq!(
            printable(&format!("{ours} a\u{1b}[31mb\u{9b}2J")),
            "\u{1b}[1;31merror:\u{1b}[0m a\\u001b[31mb\\u009b2J"
        );
        assert_eq!(printable("\u{fdd0}[31m"), "\u{fdd0}[31m");
    }

    #[test]
    fn nothing_is_written_after_the_gate_was_closed() {
        let (captured, gate) = (Captured::default(), Gate::default());
        let err = Sink::new(Box::new(captured.clone()), gate.clone());
        let mut out = Output::new(Box::new(captured.clone()), gate.clone());
        err.write("before\n");
        gate.close();
        err.clone().write("after\n");
        out.text("after\n");
        out.end();
        err.without_gate().write("the last line\n");
        assert_eq!(captured.text(), "before\nthe last line\n");
    }

    #[test]
    fn rows_are_shown_as_they_are_but_for_what_acts() {
        let written = |exact: bool, parts: &[&[u8]]| {
            let captured = Captured::default();
            let mut out = Output::new(Box::new(captured.clone()), Gate::default());
            let mut rows = out.rows(exact);
            for part in parts {
                rows.write_all(part).expect("kept for later");
            }
            out.end();
            captured.text()
        };
        let parts: [&[u8]; 4] = [b"{\"a\":\"x?password=y\xc2", b"\x9b", b"\xe2\x80", b"\xae\xf0\x9f\x98\x80\x1b\"}\n"];
        assert_eq!(written(false, &parts), "{\"a\":\"x?password=y\\u009b\\u202e😀\\u001b\"}\n");
        assert_eq!(written(true, &parts), "{\"a\":\"x?password=y\u{9b}\u{202e}😀\u{1b}\"}\n");
    }
}
