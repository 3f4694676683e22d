//! What `--version --verbose` prints: which build this is, and which formats it reads and writes.

use std::env::consts::{ARCH, OS};
use std::fmt::Write;

use deltalake::arrow::ARROW_VERSION;
use deltalake::datafusion::DATAFUSION_VERSION;

use crate::outcome::SavedPlan;
use crate::program;

/// Version, build and formats, a line each.
pub(super) fn long() -> String {
    let mut text = String::new();
    for (label, value) in [
        ("stedi-delta", program::VERSION.to_owned()),
        ("commit", program::commit().unwrap_or("unknown: built from a working tree").to_owned()),
        ("target", target()),
        ("rust", format!("{} or newer", env!("CARGO_PKG_RUST_VERSION"))),
        (
            "engine",
            format!("deltalake {}, DataFusion {DATAFUSION_VERSION}, Arrow {ARROW_VERSION}", deltalake::crate_version()),
        ),
        ("tables", "Delta Lake reader version 1, writer version 2 or 4".to_owned()),
        ("documents", format!("sync/1 and others of `--format json`; {} of `plan --out`", SavedPlan::FORMAT)),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<12} {value}");
    }
    text
}

fn target() -> String {
    let environment = if cfg!(target_env = "gnu") {
        "-gnu"
    } else if cfg!(target_env = "musl") {
        "-musl"
    } else {
        ""
    };
    format!("{ARCH}-{OS}{environment}")
}
