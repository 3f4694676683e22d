//! What was typed -> the `path` of a table under the landing root, and a name for it.

use std::path::{Component, Path, PathBuf};

use super::words;
use crate::error::{Error, Kind, Result};
use crate::privacy::{quoted, word};
use crate::storage::Location;
use crate::workspace::Workspace;

/// Characters of a pattern.
const WILD: [char; 6] = ['*', '?', '[', ']', '{', '}'];
/// Folders that say nothing of what is in them.
const GENERIC: [&str; 22] = [
    "landing", "raw", "data", "json", "jsonl", "ndjson", "file", "files", "in", "input", "export", "exports", "dump",
    "dumps", "daily", "latest", "sample", "samples", "api", "full", "part", "parts",
];
/// Ends of names that sync reads.
const ENDS: [&str; 3] = ["json", "jsonl", "ndjson"];

/// The patterns and files as typed, under the landing root.
///
/// # Errors
/// One is not under it: says what to type instead.
pub(super) async fn under_root(workspace: &Workspace, typed: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for text in typed {
        let path = relative(workspace, text)?;
        // A folder means its files.
        let is_folder = workspace.landing.url.scheme() == "file"
            && !path.contains(WILD)
            && Path::new(&workspace.landing.to_string()).join(&path).is_dir();
        if is_folder || path.is_empty() || path.ends_with('/') {
            let folder = path.trim_end_matches('/');
            let files = workspace.landing.list(folder).await?.into_iter().map(|(file, _)| file);
            let files: Vec<String> = files.filter(|file| is_data(file)).collect();
            if files.is_empty() {
                return Err(none(workspace, text));
            }
            // All of them, also those that come.
            found.push(match files.as_slice() {
                [one] => whole_folder(folder, one),
                _ => of_files(&files, Heads::Differ),
            });
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// No file is there.
pub(super) fn none(workspace: &Workspace, text: &str) -> Error {
    Error::failed(format!("no file fits `{text}`"))
        .fact("landing", workspace.landing.to_string())
        .help("check the pattern; files whose names begin with `_` or `.` are never read")
}

/// The pattern of a folder with one file.
fn whole_folder(folder: &str, file: &str) -> String {
    let pattern = of_file(file);
    if pattern.contains('*') || folder.is_empty() {
        return pattern;
    }
    let (folders, name) = pattern.rsplit_once('/').unwrap_or(("", &pattern));
    format!("{folders}/*{}", &name[end_at(name)..])
}

fn is_data(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_hidden = path.split('/').any(|part| part.starts_with(['_', '.']));
    !is_hidden && data_end(name).is_some()
}

/// A path relative to the landing root.
fn relative(workspace: &Workspace, text: &str) -> Result<String> {
    let root = &workspace.landing;
    let shown = root.to_string();
    let is_local = root.url.scheme() == "file";
    let local = text.strip_prefix("file://").or((!text.contains("://")).then_some(text));
    let Some(local) = local.filter(|_| is_local) else {
        return match text.strip_prefix(&format!("{shown}/")) {
            Some(rest) if !is_local => Ok(rest.to_owned()),
            _ => Err(outside(workspace, text, fixed(text).trim_end_matches('/'))),
        };
    };
    let here = std::env::current_dir().unwrap_or_else(|_| workspace.project.root.clone());
    let absolute = plain(&here.join(local));
    let under = |root: &Path| {
        let folder = plain(&here.join(fixed(local)));
        let rest = local.get(fixed(local).len()..).unwrap_or_default();
        // The same folder may have another name through a link.
        let folder = folder.canonicalize().ok()?;
        let below = folder.strip_prefix(root.canonicalize().ok()?).ok()?.to_str()?.to_owned();
        Some(if below.is_empty() { rest.to_owned() } else { format!("{below}/{rest}") })
    };
    let below = absolute.strip_prefix(&shown).ok().and_then(Path::to_str).map(str::to_owned);
    let below = below.or_else(|| under(Path::new(&shown)));
    below.ok_or_else(|| {
        let folder = plain(&here.join(fixed(local)));
        outside(workspace, text, folder.to_str().unwrap_or(text))
    })
}

/// A path that is not under the landing root; `folder` is where it is.
fn outside(workspace: &Workspace, text: &str, folder: &str) -> Error {
    let error =
        Error::new(Kind::Usage, format!("`{text}` is not under the landing root of target `{}`", workspace.target))
            .fact("landing", workspace.landing.to_string());
    // Typed as `path` has it.
    let root = workspace.landing.to_string();
    let is_below = !text.contains("://") && !text.starts_with(['/', '.']) && {
        let below = Path::new(&root).join(fixed(text));
        workspace.landing.url.scheme() != "file"
            || (below.is_dir() && !fixed(text).is_empty())
            || Path::new(&root).join(text).is_file()
    };
    if is_below {
        let shown = if workspace.landing_text.contains("://") { root } else { shorter(&root) };
        return error.help(format!("stedi-delta infer {}", quoted(&format!("{shown}/{text}"))));
    }
    match (word(folder), word(text)) {
        (Some(folder), Some(text)) if !folder.is_empty() => error.help(format!(
            "move the files there, or name their folder as the root: stedi-delta infer {text} --landing {folder}"
        )),
        _ => error.help("move the files there, or name their folder with --landing"),
    }
}

/// A folder as seen from here, if it is below.
fn shorter(folder: &str) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| Path::new(folder).strip_prefix(here).ok()).and_then(Path::to_str);
    below.filter(|below| !below.is_empty()).unwrap_or(folder).to_owned()
}

/// The folders before the first wildcard, with the last `/`.
fn fixed(pattern: &str) -> &str {
    let end = pattern.find(WILD).unwrap_or(pattern.len());
    pattern[..end].rfind('/').map_or("", |slash| &pattern[..=slash])
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// One pattern for patterns and files: a pattern as it is; for files one that also matches those which come next.
pub(super) fn combined(paths: &[String]) -> String {
    let is_pattern = |path: &&String| path.contains(['*', '?', '{']);
    match paths {
        [one] if is_pattern(&one) => one.clone(),
        [one] => of_file(one),
        _ if paths.iter().any(|path| is_pattern(&path)) => format!("{{{}}}", paths.join(",")),
        _ => of_files(paths, Heads::Same),
    }
}

/// Whether files that come next may have another beginning of their names than all of these.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heads {
    Same,
    Differ,
}

/// A file and those of the same kind: what is a day or a number in its name is another one in theirs.
fn of_file(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    let folders = folders(&parts);
    let (stem, end) = name.split_at(end_at(name));
    let (mut pattern, mut separator) = (String::new(), "");
    for piece in stem.split_inclusive(['-', '_', '.']) {
        let bare = piece.trim_end_matches(['-', '_', '.']);
        let changes =
            bare.bytes().any(|b| b.is_ascii_digit()) && bare.bytes().filter(u8::is_ascii_alphabetic).count() <= 8;
        match changes {
            true if pattern.ends_with('*') => {}
            true => pattern.push('*'),
            false if pattern.ends_with('*') && bare.is_empty() => {}
            // `2026-11-20_orders` is not `backorders`.
            false if pattern.ends_with('*') => pattern.push_str(&literal(&format!("{separator}{piece}"))),
            false => pattern.push_str(&literal(piece)),
        }
        separator = &piece[bare.len()..];
    }
    format!("{folders}{pattern}{}", literal(end))
}

/// Folders up to the first that is a day or a number: below it there are others of its kind.
fn folders(parts: &[&str]) -> String {
    let changes = |part: &&str| {
        let value = part.rsplit('=').next().unwrap_or(part);
        !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'-')
    };
    let steady: String =
        parts.iter().take_while(|part| !changes(part)).map(|part| format!("{}/", literal(part))).collect();
    if parts.iter().any(changes) { format!("{steady}**/") } else { steady }
}

fn of_files(paths: &[String], heads: Heads) -> String {
    let split = |path: &String| -> (Vec<String>, String) {
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        let name = parts.pop().unwrap_or_default();
        (parts, name)
    };
    let all: Vec<(Vec<String>, String)> = paths.iter().map(split).collect();
    let Some((first, name)) = all.first() else { return "*".to_owned() };
    let same = |at: usize| all.iter().all(|(folders, _)| folders.get(at) == first.get(at));
    let common = (0..first.len()).take_while(|at| same(*at)).count();
    let deeper = all.iter().any(|(folders, _)| folders.len() > common);
    let steady: Vec<&str> = first[..common].iter().map(String::as_str).collect();
    let mut pattern = folders(&steady);
    if deeper && !pattern.ends_with("**/") {
        pattern.push_str("**/");
    }
    let names = || all.iter().map(|(_, name)| name.as_str());
    let mut head = name.chars().count();
    while !names().all(|other| other.starts_with(&prefix(name, head))) {
        head -= 1;
    }
    let head = prefix(name, head);
    let end = |name: &str| name[end_at(name)..].to_owned();
    if names().all(|other| other == name) {
        return format!("{pattern}{}", literal(name));
    }
    let (head, tail) = match heads {
        Heads::Same => {
            let head = steady_head(&head[..head.len().min(end_at(name))], names());
            (head, steady_tail(&names().map(|name| &name[head.len()..end_at(name)]).collect::<Vec<_>>()))
        }
        Heads::Differ => ("", ""),
    };
    let ends = match names().all(|other| end(other) == end(name)) {
        true => literal(&end(name)),
        false if names().all(|other| end(other).starts_with(".json")) => ".json*".to_owned(),
        false => String::new(),
    };
    format!("{pattern}{}*{}{ends}", literal(head), literal(tail))
}

/// Where the end of a file name begins that says what is in it: `.json.gz`. A name may have dots before it.
fn end_at(name: &str) -> usize {
    data_end(name).or_else(|| name.find('.')).unwrap_or(name.len())
}

/// The dot of the end that says that a file has records.
fn data_end(name: &str) -> Option<usize> {
    let mut dots = name.match_indices('.').map(|(at, _)| at);
    dots.find(|at| is_end(name[at + 1..].split('.').next().unwrap_or_default()))
}

/// Whether files with this end have records, not compressed.
pub(super) fn is_end(end: &str) -> bool {
    ENDS.contains(&end.to_ascii_lowercase().as_str())
}

/// What names end with, from a separator on: `_orders`.
fn steady_tail<'n>(names: &[&'n str]) -> &'n str {
    let Some(first) = names.first() else { return "" };
    let is_same = |at: &usize| names.iter().all(|name| name.ends_with(&first[*at..]) && name.len() > first.len() - at);
    let starts = first.char_indices().filter(|(_, c)| ['-', '_', '.'].contains(c)).map(|(at, _)| at);
    starts.into_iter().find(is_same).map_or("", |at| &first[at..])
}

/// What names begin with, as far as it is the name of their kind: no part of a word, a number or a day.
fn steady_head<'h, 'n>(head: &'h str, mut names: impl Iterator<Item = &'n str>) -> &'h str {
    let is_cut = names.any(|name| name[head.len()..].starts_with(char::is_alphabetic));
    let head = if is_cut { head.trim_end_matches(char::is_alphabetic) } else { head };
    let mut head = head.trim_end_matches(|c: char| c.is_ascii_digit());
    // `orders-2026-11-`: days have the same year and month only for a while.
    loop {
        let bare = head.trim_end_matches(|c: char| !c.is_alphanumeric());
        let separator = bare.char_indices().rev().find(|(_, c)| !c.is_alphanumeric());
        let piece = separator.map_or(0, |(at, c)| at + c.len_utf8());
        if !bare[piece..].contains(|c: char| c.is_ascii_digit()) {
            break;
        }
        head = &head[..piece];
    }
    if head.contains(char::is_alphabetic) { head } else { "" }
}

fn prefix(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// A text as a part of a pattern that matches nothing else.
fn literal(text: &str) -> String {
    text.chars().map(|c| if WILD.contains(&c) || c == '\\' { format!("[{c}]") } else { c.to_string() }).collect()
}

/// What a table of these files is called: the last folder that says something, else the files' name, else the root's.
pub(super) fn name_of(pattern: &str, root: &Location) -> String {
    let fixed = fixed(pattern);
    let says = |part: &&str| {
        let letters = part.bytes().filter(u8::is_ascii_alphabetic).count();
        letters > 1 && !part.contains('=') && !GENERIC.contains(&part.to_ascii_lowercase().as_str())
    };
    let file = pattern[fixed.len()..].rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    let letters: String = stem.chars().take_while(|c| !c.is_ascii_digit() && !WILD.contains(c)).collect();
    let letters = letters.trim_matches(['-', '_', ' ']);
    let shown = root.to_string();
    let folder = fixed.split('/').rev().find(says);
    let short =
        || fixed.split('/').rev().find(|part| part.bytes().any(|b| b.is_ascii_alphabetic()) && !part.contains('='));
    let of_root = || shown.rsplit('/').find(says);
    let name = folder.or(Some(letters).filter(says)).or_else(short).or_else(of_root).unwrap_or("records");
    words::snake_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&str]) -> String {
        combined(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_pattern_matches_the_files_that_come_next() {
        for (paths, expected) in [
            (&["orders/*.json"][..], "orders/*.json"),
            (&["customers.json"], "customers.json"),
            (&["products-2026-11-20.json"], "products-*.json"),
            (&["events/dt=2026-11-20/part-00000.json.gz"], "events/**/part-*.json.gz"),
            (&["logs/2026/11/20/app.json"], "logs/**/app.json"),
            (&["o/a-1.json", "o/a-2.json"], "o/a-*.json"),
            (&["o/2026-11-20.json", "o/2026-11-21.json.gz"], "o/*.json*"),
            (&["o/x/a.json", "o/y/b.json"], "o/**/*.json"),
            (&["o/[a].json"], "o/[[]a[]].json"),
            (&["a/*.json", "b/*.json"], "{a/*.json,b/*.json}"),
            (&["o/day10.json", "o/day11.json"], "o/day*.json"),
            (&["f/f-2001-01-01.json", "f/f-2001-01-02.json"], "f/f-*.json"),
            (&["f/log_20010101_a.json", "f/log_20010102_a.json"], "f/log_*_a.json"),
            (&["l/2026-11-20_orders.json", "l/2026-11-21_orders.json"], "l/*_orders.json"),
            (&["l/2026-11-20_orders.json"], "l/*_orders.json"),
            (&["o/order1a.json", "o/order1b.json"], "o/order*.json"),
            (&["o/events.2026-11-20.json"], "o/events.*.json"),
            (&["o/events.2026-11-20.json", "o/events.2026-11-21.json.gz"], "o/events.*.json*"),
            (&["o/gro\u{308}1.json", "o/gro\u{308}2.json"], "o/gro\u{308}*.json"),
            (&["o/a–b-1.json", "o/a–b-2.json"], "o/a–b-*.json"),
            (&["o/alpha.json", "o/alpine.json"], "o/*.json"),
            (&["o/v2-alpha.json", "o/v2-beta.json"], "o/*.json"),
            (&["o/orders-ab.json", "o/orders-ac.json"], "o/orders-*.json"),
            (&["o/größe1.json", "o/größe2.json"], "o/größe*.json"),
        ] {
            assert_eq!(of(paths), expected, "{paths:?}");
        }
    }
}
