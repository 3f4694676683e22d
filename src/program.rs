//! Which build of the program this is.

use std::time::UNIX_EPOCH;

/// The version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built, if that is known.
#[must_use]
pub(crate) fn commit() -> Option<&'static str> {
    built(option_env!("STEDI_DELTA_COMMIT"), env!("CARGO_MANIFEST_DIR"))
}

/// `scripts/dist` and the Dockerfile name it. `cargo install --git` builds in a folder that is named after it. A build of a
/// working tree may differ from every commit.
fn built<'t>(named: Option<&'t str>, folder: &'t str) -> Option<&'t str> {
    let checkout = || folder.split_once("/git/checkouts/")?.1.split('/').nth(1);
    named.filter(|commit| !commit.is_empty()).or_else(checkout)
}

/// A text that no other build has: version and commit, or the size and time of the program's file. `None` if neither is known.
#[must_use]
pub(crate) fn identity() -> Option<String> {
    if let Some(commit) = commit() {
        return Some(format!("{VERSION} {commit}"));
    }
    let file = std::env::current_exe().ok()?.metadata().ok()?;
    let modified = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{VERSION} {} {}", file.len(), modified.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_by_who_built() {
        assert_eq!(built(Some("26165e2"), "/home/a/stedi-delta"), Some("26165e2"));
        let checkout = "/home/a/.cargo/git/checkouts/stedi-delta-0123456789abcdef/26165e2";
        assert_eq!(built(None, checkout), Some("26165e2"));
        for named in [None, Some("")] {
            assert_eq!(built(named, "/home/a/stedi-delta"), None);
        }
    }

    #[test]
    fn a_build_is_itself() {
        let identity = identity().expect("a build");
        assert!(identity.starts_with(VERSION) && Some(identity) == super::identity());
    }
}
