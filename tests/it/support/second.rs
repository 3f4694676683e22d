//! The second engine: DuckDB, in a Python that `scripts/setup` installs.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::repository;

/// The beginning of a script that reads Delta tables with DuckDB, by its `connection`. It exits with 77 without DuckDB.
pub(crate) const DELTA: &str = include_str!("delta.py");

/// The Python of the tests, even if it is not installed.
pub(crate) fn python() -> PathBuf {
    let given = std::env::var_os("ORACLE_PYTHON").map(PathBuf::from);
    given.unwrap_or_else(|| repository().join("target/venv/bin/python"))
}

/// The Python with DuckDB. Prints the skip if it is not installed.
pub(crate) fn second_engine() -> Option<PathBuf> {
    let python = python();
    if !python.is_file() {
        eprintln!("SKIP: no second engine at {} (scripts/setup installs it)", python.display());
    }
    python.is_file().then_some(python)
}

/// The result of a script, from JSON to JSON. It exits with 77 without DuckDB; that prints the skip.
pub(crate) fn answered<T: DeserializeOwned>(script: &str, input: &Value) -> Result<Option<T>, String> {
    let Some(python) = second_engine() else { return Ok(None) };
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    child.stdin.take().ok_or("no input")?.write_all(input.to_string().as_bytes()).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout).map(Some).map_err(|e| e.to_string()),
        Some(77) => {
            eprintln!("SKIP: DuckDB is not installed");
            Ok(None)
        }
        code => Err(format!("duckdb: exit code {code:?}")),
    }
}
