//! What `--version --verbose` prints: which build this is, and which formats it reads and writes.

use std::env::consts::{ARCH, OS};
use std::fmt::Write;

use deltalake::arrow::ARROW_VERSION;
use deltalake::datafusion::DATAFUSION_VERSION;

use crate::outcome::SavedPlan;

/// Version, build and formats, a line each.
pub(super) fn long() -> String {
    let mut text = String::new();
    for (label, value) in [
        ("stedi-delta", env!("CARGO_PKG_VERSION").to_owned()),
        ("commit", commit(option_env!("STEDI_DELTA_COMMIT"), env!("CARGO_MANIFEST_DIR"))),
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

/// The commit that was built: `scripts/dist` and the Dockerfile name it. `cargo install --git` builds in a folder that is
/// named after it. A build of a working tree may differ from every commit.
fn commit(named: Option<&str>, folder: &str) -> String {
    let checkout = || {
        let (_, checkout) = folder.split_once("/git/checkouts/")?;
        checkout.split('/').nth(1)
    };
    let found = named.filter(|commit| !commit.is_empty()).or_else(checkout);
    found.map_or_else(|| "unknown: built from a working tree".to_owned(), str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_by_who_built() {
        assert_eq!(commit(Some("26165e2"), "/home/a/stedi-delta"), "26165e2");
        assert_eq!(commit(None, "/home/a/.cargo/git/checkouts/stedi-delta-0123456789abcdef/26165e2"), "26165e2");
        for named in [None, Some("")] {
            assert_eq!(commit(named, "/home/a/stedi-delta"), "unknown: built from a working tree");
        }
    }
}
