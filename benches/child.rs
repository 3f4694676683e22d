//! A child process with its time and its peak memory.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The result of a child.
pub(crate) struct Run {
    /// From start to end.
    pub time: Duration,
    /// Peak resident size, if `/proc` has it.
    pub peak_bytes: Option<u64>,
    stdout: String,
}

impl Run {
    /// Bytes read and written, from a sync's document.
    pub(crate) fn bytes(&self) -> Option<(u64, u64)> {
        let report: serde_json::Value = serde_json::from_str(&self.stdout).ok()?;
        let sum = |key: &str| report["tables"].as_array().map(|t| t.iter().filter_map(|t| t[key].as_u64()).sum());
        Some((sum("bytes_read")?, sum("bytes_written")?))
    }

    /// What it wrote, as a document.
    pub(crate) fn document(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.stdout).ok()
    }

    /// The entry of a table in a sync's document.
    pub(crate) fn table(&self, name: &str) -> Option<serde_json::Value> {
        let mut report: serde_json::Value = serde_json::from_str(&self.stdout).ok()?;
        report["tables"].as_array_mut()?.iter_mut().find(|t| t["table"] == name).map(serde_json::Value::take)
    }
}

/// Runs a program to its end; it must succeed.
pub(crate) fn run(program: &Path, args: &[&OsStr]) -> Run {
    let started = Instant::now();
    let mut command = Command::new(program);
    // All of the work is measured: nothing is kept from run to run.
    command.args(args).env("XDG_CACHE_HOME", "/dev/null").stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let status_file = format!("/proc/{}/status", child.id());
    let mut out = child.stdout.take().expect("its output is piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut out, &mut text).map(|_| text).unwrap_or_default()
    });
    let mut peak_bytes = None;
    let status = loop {
        // The kernel drops the peak with the process, so it is read while the process runs.
        peak_bytes = peak(&status_file).or(peak_bytes);
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let time = started.elapsed();
    assert!(status.success(), "{} {args:?} failed", program.display());
    Run { time, peak_bytes, stdout: reader.join().unwrap_or_default() }
}

/// Runs a verb over a project and its folders, for these tables or for all, with a document as its answer.
pub(crate) fn verb<'a>(
    verb: &str,
    (project, landing, warehouse): (&Path, &Path, &Path),
    select: impl IntoIterator<Item = &'a str>,
) -> Run {
    let mut args: Vec<&OsStr> = vec![verb.as_ref(), "--format".as_ref(), "json".as_ref()];
    for (option, folder) in [("--project", project), ("--landing", landing), ("--warehouse", warehouse)] {
        args.extend([option.as_ref(), folder.as_os_str()]);
    }
    for table in select {
        args.extend([OsStr::new("--select"), OsStr::new(table)]);
    }
    run(Path::new(env!("CARGO_BIN_EXE_stedi-delta")), &args)
}

fn peak(status_file: &str) -> Option<u64> {
    size(status_file, "VmHWM:")
}

/// A size of this process, if `/proc` has it.
pub(crate) fn held(key: &str) -> Option<u64> {
    size("/proc/self/status", key)
}

fn size(status_file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status_file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
