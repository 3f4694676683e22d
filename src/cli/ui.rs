//! The only place that prints: the answer on standard output, everything else on standard error.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::sync::Arc;

use super::args::{Color, Globals};
use super::spinner::Spinner;
use crate::progress::{Progress, Silent};

/// Standard output and standard error of one command.
pub struct Ui {
    out: Output,
    err: Box<dyn Write + Send>,
    out_terminal: bool,
    err_terminal: bool,
    color_out: bool,
    color_err: bool,
    quiet: bool,
    progress: Arc<dyn Progress>,
}

impl Ui {
    /// The process's own standard output and standard error.
    #[must_use]
    pub fn standard() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
        let mut ui = Self::over(Box::new(out), Box::new(err));
        (ui.out_terminal, ui.err_terminal) = (out_terminal, err_terminal);
        ui.set_color(Color::Auto);
        ui
    }

    /// Any two writers, neither of them a terminal.
    #[must_use]
    pub fn over(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self {
            out: Output { inner: BufWriter::new(out), written: false, closed: false, failure: None },
            err,
            out_terminal: false,
            err_terminal: false,
            color_out: false,
            color_err: false,
            quiet: false,
            progress: Arc::new(Silent),
        }
    }

    /// Applies what the command line says about printing.
    pub fn configure(&mut self, globals: &Globals) {
        self.quiet = globals.quiet;
        self.set_color(globals.color);
        if self.err_terminal && !self.quiet {
            self.progress = Arc::new(Spinner::new());
        }
    }

    fn set_color(&mut self, color: Color) {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let on = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && wanted,
        };
        (self.color_out, self.color_err) = (on(self.out_terminal), on(self.err_terminal));
    }

    /// Whether standard output takes colour.
    #[must_use]
    pub fn color_out(&self) -> bool {
        self.color_out
    }

    /// Whether standard error takes colour.
    #[must_use]
    pub fn color_err(&self) -> bool {
        self.color_err
    }

    /// What operations tell about themselves; shown on a terminal only.
    #[must_use]
    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.progress)
    }

    /// Standard output, for answers that are written as they come.
    pub fn out(&mut self) -> &mut impl Write {
        self.progress.done();
        &mut self.out
    }

    /// Writes a part of the answer.
    pub fn answer(&mut self, text: &str) {
        // A failure is kept and told by `finish`.
        let _ = self.out().write_all(text.as_bytes());
    }

    /// Writes a document as the answer.
    pub fn document(&mut self, report: &impl serde::Serialize) {
        let out = self.out();
        if serde_json::to_writer_pretty(&mut *out, report).is_ok() {
            let _ = out.write_all(b"\n");
        }
    }

    /// Says something that `--quiet` silences: a hint, a count.
    pub fn status(&mut self, text: &str) {
        if !self.quiet {
            self.problem(text);
        }
    }

    /// Says something that must be said: a warning, an error.
    pub fn problem(&mut self, text: &str) {
        self.progress.done();
        // What was answered first stands first where both go to one terminal.
        let _ = self.out.flush();
        // Where standard error is closed there is nobody left to tell.
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }

    /// Says warnings and errors, if there are any; apart from the answer, if there is one.
    pub fn problems(&mut self, text: &str) {
        if !text.is_empty() {
            let apart = if self.out.written { "\n" } else { "" };
            self.problem(&format!("{apart}{text}"));
        }
    }

    /// Ends the output; returns the exit code. A reader that went away early (`| head`) is no failure; an answer that
    /// could not be written is one.
    pub fn finish(&mut self, exit_code: u8) -> u8 {
        self.progress.done();
        let _ = self.out.flush();
        match self.out.failure.take() {
            Some(failure) => {
                self.problem(&format!("error: the answer could not be written: {failure}\n"));
                if exit_code == 0 { 1 } else { exit_code }
            }
            None => exit_code,
        }
    }
}

/// Standard output that remembers what became of it.
struct Output {
    inner: BufWriter<Box<dyn Write + Send>>,
    written: bool,
    closed: bool,
    failure: Option<io::Error>,
}

impl Output {
    /// Nothing is written after the reader went away or a write failed, and the failure is told once.
    fn noted<T>(&mut self, result: io::Result<T>, done: T) -> io::Result<T> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                self.closed = true;
                if error.kind() != ErrorKind::BrokenPipe {
                    self.failure = Some(error);
                }
                Ok(done)
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        self.written |= !bytes.is_empty();
        let result = self.inner.write(bytes);
        self.noted(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.noted(result, ())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A writer whose bytes can be looked at.
    #[derive(Clone, Default)]
    pub(in crate::cli) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(in crate::cli) fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let err = Captured::default();
        let mut ui = Ui::over(Box::new(Broken(ErrorKind::BrokenPipe)), Box::new(err.clone()));
        ui.answer(&"x".repeat(100_000));
        assert_eq!(ui.finish(0), 0);
        assert_eq!(err.text(), "");
    }

    #[test]
    fn an_answer_that_is_lost_is_a_failure() {
        let err = Captured::default();
        let mut ui = Ui::over(Box::new(Broken(ErrorKind::StorageFull)), Box::new(err.clone()));
        ui.answer("x");
        assert_eq!(ui.finish(0), 1);
        assert_eq!(err.text(), "error: the answer could not be written: no storage space\n");
    }
}
