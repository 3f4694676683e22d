//! Tells others of the result of a run: a command or a webhook gets the report. It never changes the result, and never takes
//! longer than its timeout.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::clock;
use crate::definition::Notify;
use crate::definition::expand_environment;
use crate::error::{Context, Error, Result};

/// Time between two looks at a running command.
const TICK: Duration = Duration::from_millis(10);

/// Sends a report to all who are notified; returns what could not be sent. `folder`: where the command runs.
pub async fn send(notify: &Notify, report: &str, folder: &std::path::Path) -> Vec<Error> {
    let mut failed = Vec::new();
    if !notify.command.is_empty() {
        failed.extend(command(notify, report, folder).await.err());
    }
    if let Some(webhook) = &notify.webhook {
        failed.extend(post(webhook, report, notify.timeout).await.err());
    }
    failed
}

async fn command(notify: &Notify, report: &str, folder: &std::path::Path) -> Result<()> {
    let [program, arguments @ ..] = notify.command.as_slice() else { return Ok(()) };
    let (doing, starting) = (failed_command, format!("the notification command `{program}` cannot be started"));
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    // What it prints is no part of ours, and may hold secrets.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let (report, timeout) = (report.to_owned(), notify.timeout);
    let run = move || -> Result<()> {
        let mut child = command.spawn().context(|| starting)?;
        if let Some(mut input) = child.stdin.take() {
            // A command that does not read it is no failure. The thread ends with the command.
            std::thread::spawn(move || input.write_all(report.as_bytes()));
        }
        let end = clock::instant() + timeout;
        waited(&mut child, end, timeout)
    };
    tokio::task::spawn_blocking(run).await.context(doing)?
}

#[expect(clippy::disallowed_methods, reason = "no attempt is repeated: it looks whether the command has ended")]
fn waited(child: &mut Child, end: Instant, timeout: Duration) -> Result<()> {
    loop {
        match child.try_wait().context(failed_command)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(Error::failed(format!("{}: {status}", failed_command()))),
            None if clock::instant() >= end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::failed(format!("the notification command was stopped after {timeout:?}")));
            }
            None => std::thread::sleep(TICK),
        }
    }
}

fn failed_command() -> String {
    "the notification command failed".to_owned()
}

async fn post(webhook: &str, report: &str, timeout: Duration) -> Result<()> {
    let url = expand_environment(webhook).map_err(|name| {
        Error::failed(format!("the webhook needs the environment variable `{name}`, which is not set"))
    })?;
    // An address may be a secret, so that errors are named by their kind alone.
    let failed = |error: &reqwest::Error| {
        let why = match () {
            () if error.is_timeout() => format!("no answer within {timeout:?}"),
            () if error.is_builder() => "its address is not a URL".to_owned(),
            () if error.is_connect() => "it cannot be reached".to_owned(),
            () => "the request failed".to_owned(),
        };
        Error::failed(format!("the webhook was not notified: {why}"))
    };
    let client = reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
    let client = client.build().map_err(|error| failed(&error))?;
    let request = client.post(url).header("content-type", "application/json").body(report.to_owned());
    let answer = request.send().await.map_err(|error| failed(&error))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(Error::failed(format!("the webhook was not notified: it answered {}", status.as_u16()))),
    }
}
