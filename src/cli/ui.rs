//! The destinations of output: the result on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use super::args::{Color, Format, Globals, LANDING, LogFormat, TARGET, WAREHOUSE};
use super::journal::{Form, Journal};
use super::outlet::{Gate, Output, Sink};
use super::render;
use super::spinner::Spinner;
use super::verbs;
use super::verbs::sync::{Totals, text};
use crate::clock;
use crate::error::Error;
use crate::outcome::{Problem, TableOutcome};
use crate::privacy::{PROGRAM, quoted};
use crate::progress::{Level, Progress, Silent};

/// Standard output and standard error of one command.
pub struct Ui {
    out: Output,
    err: Sink,
    gate: Gate,
    out_terminal: bool,
    err_terminal: bool,
    color_out: bool,
    color_err: bool,
    quiet: bool,
    /// The typed options that select the workspace: `--target prod`.
    flags: Vec<String>,
    run: String,
    /// Standard error has only the lines of the journal.
    log_json: bool,
    journal: Option<Arc<Journal>>,
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
        let gate = Gate::default();
        Self {
            out: Output::new(out, gate.clone()),
            err: Sink::new(err, gate.clone()),
            gate,
            out_terminal: false,
            err_terminal: false,
            color_out: false,
            color_err: false,
            quiet: false,
            flags: Vec::new(),
            run: clock::run_id(),
            log_json: false,
            journal: None,
            progress: Arc::new(Silent),
        }
    }

    /// Applies the command line's options about printing.
    pub fn configure(&mut self, globals: &Globals) {
        self.quiet = globals.quiet;
        self.set_color(globals.color);
        let least = match (globals.verbose > 0, self.quiet) {
            (true, _) => Level::Debug,
            (false, true) => Level::Warn,
            (false, false) => Level::Info,
        };
        let given = [
            ("--target", &globals.target, TARGET),
            ("--landing", &globals.landing, LANDING),
            ("--warehouse", &globals.warehouse, WAREHOUSE),
        ];
        let flag = |(flag, value, variable): (&str, &Option<String>, &str)| {
            // A variable also applies to the next command.
            let is_typed = |value: &&String| !value.is_empty() && std::env::var(variable).ok().as_ref() != Some(*value);
            let value = value.as_ref().filter(is_typed)?;
            let between = if value.starts_with('-') { '=' } else { ' ' };
            Some(format!("{flag}{between}{}", quoted(value)))
        };
        self.flags = given.into_iter().filter_map(flag).collect();
        let target = globals.target.clone().filter(|name| !name.is_empty());
        if globals.log_format == LogFormat::Json {
            self.log_json(least, target);
        } else if globals.verbose > 0 {
            self.keep_journal(Form::Text, least, target);
        } else if self.err_terminal && !self.quiet {
            self.progress = Arc::new(Spinner::new());
        }
    }

    /// From now on standard error carries JSON lines only.
    pub(super) fn log_json(&mut self, least: Level, target: Option<String>) {
        (self.log_json, self.color_err) = (true, false);
        self.keep_journal(Form::Json, least, target);
    }

    fn keep_journal(&mut self, form: Form, least: Level, target: Option<String>) {
        let journal = Arc::new(Journal::new(form, least, &self.run, target, self.err.without_gate()));
        self.progress = journal.clone();
        self.journal = Some(journal);
    }

    /// Makes further texts as wide as `COLUMNS` or the terminal.
    pub(super) fn settle_width(&self, globals: &Globals) {
        let columns = std::env::var("COLUMNS").ok();
        let terminal = self.out_terminal.then(|| console::Term::stdout().size_checked()).flatten();
        let terminal = terminal.map(|(_, columns)| usize::from(columns));
        render::width::set(render::width::of(columns.as_deref(), terminal, globals.wide));
    }

    /// Whether standard output is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.out_terminal
    }

    /// The journal, if there is one.
    pub(super) fn journal(&self) -> Option<Arc<Journal>> {
        self.journal.clone()
    }

    /// Ends the output, except that of the journal.
    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// The journal, if standard error has nothing else.
    fn only_journal(&self) -> Option<&Arc<Journal>> {
        self.journal.as_ref().filter(|_| self.log_json)
    }

    /// Id of this run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// A command starts.
    pub(super) fn begin(&self, verb: &str) {
        if let Some(journal) = &self.journal {
            journal.begin(verb);
        }
    }

    /// Stores the totals of a sync for the journal's last line.
    pub(super) fn sums(&self, totals: &Totals) {
        if let Some(journal) = &self.journal {
            journal.sums(totals);
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

    /// Whether standard output is coloured.
    #[must_use]
    pub fn color_out(&self) -> bool {
        self.color_out
    }

    /// Whether standard error is coloured.
    #[must_use]
    pub fn color_err(&self) -> bool {
        self.color_err
    }

    /// The receiver of progress; shown on a terminal only.
    #[must_use]
    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.progress)
    }

    /// Standard output for streamed rows: CSV unaltered, unless a terminal shows it.
    pub fn rows(&mut self, format: Format) -> impl Write {
        self.progress.done();
        self.out.rows(format == Format::Csv && !self.out_terminal)
    }

    /// Writes a part of the result.
    pub fn answer(&mut self, text: &str) {
        self.progress.done();
        self.out.text(text);
    }

    /// Writes a part of the result for people: lines that are too long go on below.
    pub(super) fn page(&mut self, text: &str) {
        self.answer(&render::width::folded(text));
    }

    /// Writes a document as the result.
    pub fn document(&mut self, report: &impl serde::Serialize) {
        if let Ok(text) = serde_json::to_string_pretty(report) {
            self.answer(&(text + "\n"));
        }
    }

    /// `text` with the current options added to every command line in it, so that hints can be pasted.
    fn pasteable(&self, text: &str) -> String {
        if self.flags.is_empty() || !text.contains(PROGRAM) {
            return text.to_owned();
        }
        let verbs = verbs::names();
        let line = |line: &str| {
            let missing = self.flags.iter().filter(|flag| !line.contains(flag.as_str()));
            let flags: String = missing.map(|flag| format!("{flag} ")).collect();
            verbs.iter().fold(line.to_owned(), |line, verb| {
                line.replace(&format!("{PROGRAM}{verb}"), &format!("{PROGRAM}{flags}{verb}"))
            })
        };
        text.split_inclusive('\n').map(line).collect()
    }

    /// Prints a message that `--quiet` suppresses and machines do not need: a hint, a count.
    pub fn status(&mut self, text: &str) {
        if !self.quiet && !self.log_json {
            self.problem(text);
        }
    }

    /// Asks whether to go on; `None` if there is nobody to ask.
    pub fn asks(&mut self, question: &str) -> Option<bool> {
        if !(self.err_terminal && io::stdin().is_terminal()) || self.log_json {
            return None;
        }
        self.problem(&format!("{question}\ngo on? [y/N] "));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Prints a message that is never suppressed: a warning, an error.
    pub fn problem(&mut self, text: &str) {
        self.progress.done();
        // The result comes first if both go to one terminal.
        self.out.end();
        let text = self.pasteable(text);
        match self.only_journal() {
            Some(journal) => journal.said(&text),
            None => self.err.write(&text),
        }
    }

    /// Prints the error that ended the command.
    pub fn error(&mut self, error: &Error) {
        match self.only_journal() {
            Some(journal) => journal.error(None, error),
            None => self.problem(&render::error::error(error, self.color_err)),
        }
    }

    /// Prints the warnings and errors of tables, and the failure of a run that does not belong to a table.
    pub fn problems_of(&mut self, tables: &[TableOutcome], run: Option<&Error>) {
        let Some(journal) = self.only_journal() else {
            return self.problems(&text::problems(tables, run, self.color_err));
        };
        for table in tables {
            table.warnings.iter().for_each(|warning| journal.warning(&table.table, warning));
        }
        for table in tables {
            if let Some(Problem::Failed(error)) = &table.problem {
                journal.error(Some(&table.table), error);
            }
            table.left_out.iter().for_each(|error| journal.error(Some(&table.table), error));
        }
        if let Some(error) = run {
            journal.error(None, error);
        }
    }

    /// Prints warnings and errors, if there are any; separated from the result, if there is one.
    pub fn problems(&mut self, text: &str) {
        if !text.is_empty() {
            let apart = if self.out.has_text() { "\n" } else { "" };
            self.problem(&format!("{apart}{text}"));
        }
    }

    /// Ends the output; returns the exit code. If the reader closed the pipe early (`| head`), that is no failure; a
    /// result that could not be written is one.
    pub fn finish(&mut self, exit_code: u8) -> u8 {
        self.progress.done();
        self.out.end();
        let exit_code = match self.out.failure() {
            Some(failure) => {
                self.error(&Error::failed("the answer could not be written").because(failure));
                if exit_code == 0 { 1 } else { exit_code }
            }
            None => exit_code,
        };
        if let Some(journal) = &self.journal {
            journal.finish(exit_code);
        }
        exit_code
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::ErrorKind;
    use std::sync::Mutex;

    use super::*;

    /// A writer whose bytes can be inspected.
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
    fn a_hint_works_where_the_command_did() {
        let err = Captured::default();
        let mut ui = Ui::over(Box::new(Captured::default()), Box::new(err.clone()));
        ui.flags = vec!["--target prod".into(), format!("--landing {}", quoted("my files"))];
        ui.problem("Next: stedi-delta sync -s a\n  run stedi-delta again; stedi-delta catalog check --target prod\n");
        let expected = "Next: stedi-delta --target prod --landing 'my files' sync -s a\n  \
                        run stedi-delta again; stedi-delta --landing 'my files' catalog check --target prod\n";
        assert_eq!(err.text(), expected);
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
