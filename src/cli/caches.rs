//! Where the program may keep what it can do without.

use std::env;
use std::path::PathBuf;

/// The program's folder among the user's caches; `None` if the user has no home.
/// Source: XDG Base Directory Specification; Apple's "File System Programming Guide"; Microsoft's "Known Folders".
pub(super) fn folder() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below_home = |path: &str| named("HOME").map(|home| home.join(path));
    let usual = || match env::consts::OS {
        "windows" => named("LOCALAPPDATA"),
        "macos" => below_home("Library/Caches"),
        _ => below_home(".cache"),
    };
    Some(named("XDG_CACHE_HOME").or_else(usual)?.join("stedi-delta"))
}
