//! Which files a landing table's glob names, and which of them are old enough to be read.

use std::time::Duration;

use globset::GlobBuilder;

use crate::clock;
use crate::definition::Landing;
use crate::error::{Context, Result};
use crate::storage::{Location, ObjectMeta, PROBE};

/// Files under a glob.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Path under the landing root and what the store knows, sorted by path.
    pub files: Vec<(String, ObjectMeta)>,
    /// Paths of files younger than `min_age`.
    pub waiting: Vec<String>,
}

/// A local file may still be being written; a PUT is atomic.
const LOCAL_MIN_AGE: Duration = Duration::from_secs(2);

/// Lists the files of `landing` under `root`. With `patience`, files that the default age alone keeps back are waited
/// for, once: who drops a file and syncs expects it to be read. An age that the definition names is never waited for.
///
/// # Errors
/// When the glob is wrong or the store cannot list.
pub async fn discover(root: &Location, landing: &Landing, patience: bool) -> Result<Discovery> {
    let discovery = list(root, landing, clock::now_ms()).await?;
    if discovery.waiting.is_empty() || landing.min_age.is_some() || !patience {
        return Ok(discovery);
    }
    tokio::time::sleep(LOCAL_MIN_AGE).await;
    // A file that is still young by now is still being written to.
    list(root, landing, clock::now_ms()).await
}

async fn list(root: &Location, landing: &Landing, now_ms: i64) -> Result<Discovery> {
    let glob = GlobBuilder::new(&landing.path).literal_separator(true).build();
    let glob = glob.context(|| format!("`{}` is not a path pattern", landing.path))?.compile_matcher();
    let min_age = landing.min_age.unwrap_or(if root.url.scheme() == "file" { LOCAL_MIN_AGE } else { Duration::ZERO });
    let mut discovery = Discovery::default();
    for (path, meta) in root.list(fixed_prefix(&landing.path)).await? {
        if !glob.is_match(&path) || of_a_table(&path) {
            continue;
        }
        let age_ms = now_ms - meta.last_modified.timestamp_millis();
        // A clock that is behind the store's would keep every file waiting for ever: only a young past counts.
        if age_ms >= 0 && u128::from(age_ms.unsigned_abs()) < min_age.as_millis() {
            discovery.waiting.push(path);
        } else {
            discovery.files.push((path, meta));
        }
    }
    Ok(discovery)
}

/// The logs of tables and their catalog are JSON too, and a warehouse may lie under the landing root.
fn of_a_table(path: &str) -> bool {
    path.split('/').any(|folder| folder == "_delta_log" || folder == "_catalog" || folder == PROBE)
}

/// The folders before the first wildcard.
fn fixed_prefix(pattern: &str) -> &str {
    let end = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    pattern[..end].rfind('/').map_or("", |slash| &pattern[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_before_the_first_wildcard_are_listed() {
        assert_eq!(fixed_prefix("customer/landing/*.json"), "customer/landing");
        assert_eq!(fixed_prefix("a/**/b/*.json"), "a");
        assert_eq!(fixed_prefix("*.json"), "");
        assert_eq!(fixed_prefix("a/b.json"), "a");
    }
}
