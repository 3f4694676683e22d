//! The folders of tables: each table needs its own, since two in one folder would overwrite each other's log, and files
//! of one inside another would look like orphans of that.

use std::path::{Component, Path};

use url::Url;

/// Folders under a warehouse that belong to no table: ledger and runs, and the local catalog.
const OURS: [&str; 2] = ["system", "_catalog"];

/// A table that claims its folders.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Its own `location`.
    pub location: Option<String>,
    /// Whether it is a landing table, whose quarantine is beside it.
    pub is_landing: bool,
    /// Whether it is derived and has a quarantine.
    pub has_quarantine: bool,
}

/// A folder and its owner.
struct Folder {
    /// Index of the claim; `None` = the tool's own.
    claim: Option<usize>,
    whose: String,
    parts: Vec<String>,
}

/// The claims that conflict, each with the reason: at most one of each.
pub(crate) fn clashes(
    claims: &[Claim],
    (warehouse, warehouse_base): (&str, &Path),
    root: &Path,
) -> Vec<(usize, String)> {
    // An invalid address is a fault of its own.
    let Some(warehouse) = parts(warehouse, warehouse_base) else { return Vec::new() };
    let below = |names: &[&str]| warehouse.iter().cloned().chain(names.iter().map(|&n| n.to_owned())).collect();
    let ours = |name: &str| Folder { claim: None, whose: "that this tool keeps".into(), parts: below(&[name]) };
    let mut folders: Vec<Folder> = OURS.into_iter().map(ours).collect();
    for (at, claim) in claims.iter().enumerate() {
        let own = match &claim.location {
            Some(text) => parts(text, root),
            None => Some(below(&[&claim.zone, &claim.name])),
        };
        let Some(own) = own else { continue };
        let quarantine = format!("{}_quarantine", claim.name);
        let beside = match own.split_last() {
            _ if claim.is_landing => Some((&own[..own.len().max(2) - 1], quarantine)),
            Some((last, above)) if claim.has_quarantine && claim.location.is_some() => {
                Some((above, format!("{last}_quarantine")))
            }
            Some((_, above)) if claim.has_quarantine => Some((above, quarantine)),
            _ => None,
        };
        let beside = beside.map(|(above, name)| above.iter().cloned().chain([name]).collect());
        folders.push(Folder { claim: Some(at), whose: format!("of table `{}`", claim.name), parts: own });
        if let Some(parts) = beside {
            folders.push(Folder { claim: Some(at), whose: format!("of the quarantine of `{}`", claim.name), parts });
        }
    }
    let mut found: Vec<(usize, String)> = Vec::new();
    for (at, one) in folders.iter().enumerate() {
        for other in &folders[..at] {
            if !one.parts.starts_with(&other.parts) && !other.parts.starts_with(&one.parts) {
                continue;
            }
            let is_located = |folder: &Folder| folder.claim.is_some_and(|c| claims[c].location.is_some());
            let (asks, has) = if is_located(other) && !is_located(one) { (other, one) } else { (one, other) };
            let Some(claim) = asks.claim else { continue };
            let is_new = found.iter().all(|(known, _)| *known != claim);
            let relation = match asks.parts.len().cmp(&has.parts.len()) {
                std::cmp::Ordering::Equal => "is",
                std::cmp::Ordering::Greater => "is inside",
                std::cmp::Ordering::Less => "holds",
            };
            if is_new {
                found.push((claim, format!("the folder {} {relation} the folder {}", asks.whose, has.whose)));
            }
        }
    }
    found
}

/// A folder or URL as store and path, each part as its store spells it. `None` if it is neither.
fn parts(text: &str, base: &Path) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    if text.contains("://") {
        let url = Url::parse(text).ok()?;
        parts.push(format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()));
        parts.extend(url.path().split('/').filter(|part| !part.is_empty()).map(decoded));
        return Some(parts);
    }
    parts.push("file://".to_owned());
    for part in std::path::absolute(base.join(text)).ok()?.components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir if parts.len() > 1 => drop(parts.pop()),
            _ => {}
        }
    }
    Some(parts)
}

/// A part of a URL without its escapes.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(located: &[(&str, &str)]) -> Vec<String> {
        let claim = |name: &str, is_landing, has_quarantine| Claim {
            name: name.to_owned(),
            zone: if is_landing { "landing".into() } else { "trusted".into() },
            location: located.iter().find(|(table, _)| *table == name).map(|(_, place)| (*place).to_owned()),
            is_landing,
            has_quarantine,
        };
        let claims = [claim("a", true, false), claim("f", false, true), claim("h", false, false)];
        let root = Path::new("/p/project");
        clashes(&claims, ("../w", root), root)
            .into_iter()
            .map(|(at, why)| format!("{}: {why}", claims[at].name))
            .collect()
    }

    #[test]
    fn a_folder_is_one_table_s_however_it_is_written() {
        assert_eq!(found(&[]), [""; 0]);
        for fine in ["/p/w/trusted/other", "s3://b/t", "/p/w/landing", "elsewhere", "/p/w/landing/a_", "file:///p/x"] {
            let expected: &[&str] = match fine {
                "/p/w/landing" => &["h: the folder of table `h` holds the folder of table `a`"],
                _ => &[],
            };
            assert_eq!(found(&[("h", fine)]), expected, "{fine}");
        }
        for same in [
            "/p/w/landing/a",
            "/p/w/landing/a/",
            "../w/landing//a",
            "./../w/x/.././landing/a",
            "file:///p/w/landing/a",
            "file://localhost/p/w/landing/%61/",
            "file:///p/w/x/../landing/./a",
        ] {
            assert_eq!(found(&[("h", same)]), ["h: the folder of table `h` is the folder of table `a`"], "{same}");
        }
        for (place, why) in [
            ("../w/landing/a_quarantine", "h: the folder of table `h` is the folder of the quarantine of `a`"),
            ("../w/trusted/f_quarantine", "h: the folder of table `h` is the folder of the quarantine of `f`"),
            ("../w/landing/a/b", "h: the folder of table `h` is inside the folder of table `a`"),
            ("../w/system/files", "h: the folder of table `h` is inside the folder that this tool keeps"),
            ("../w/_catalog", "h: the folder of table `h` is the folder that this tool keeps"),
            ("../w", "h: the folder of table `h` holds the folder that this tool keeps"),
        ] {
            assert_eq!(found(&[("h", place)]), [why], "{place}");
        }
    }

    #[test]
    fn quarantines_move_with_their_tables() {
        let same = "h: the folder of table `h` is the folder of the quarantine of `a`";
        assert_eq!(found(&[("a", "s3://b/x/a1"), ("h", "s3://b/x/./a_quarantine/")]), [same]);
        let same = "h: the folder of table `h` is the folder of the quarantine of `f`";
        assert_eq!(found(&[("f", "s3://b/x/f1"), ("h", "s3://b/x/f1_quarantine")]), [same]);
        assert_eq!(found(&[("f", "s3://b/x/f1"), ("h", "s3://c/x/f1")]), [""; 0]);
        let inside = "a: the folder of the quarantine of `a` is inside the folder of table `a`";
        assert_eq!(found(&[("a", "s3://b")]), [inside]);
    }
}
