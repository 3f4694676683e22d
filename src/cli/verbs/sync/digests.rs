//! Digests that a sync began by a scan, and tables that have none.

use std::collections::BTreeMap;

use crate::cli::render::text::{count, number};
use crate::outcome::DigestNotice;

/// One line for all tables with the same reason.
pub(super) fn digests(notices: &[DigestNotice]) -> String {
    let mut begun: BTreeMap<&str, Vec<&DigestNotice>> = BTreeMap::new();
    let mut text = String::new();
    for notice in notices {
        match &notice.problem {
            Some(problem) => {
                text.push_str(&format!("No digest of {} v{}: {problem}.\n", notice.table, notice.version));
            }
            None => begun.entry(&notice.because).or_default().push(notice),
        }
    }
    for (because, notices) in begun {
        let rows = count(notices.iter().filter_map(|notice| notice.rows).sum(), "row");
        let line = match notices.as_slice() {
            [one] => format!("Digest of {} v{} begun by a scan of {rows}: {because}.\n", one.table, one.version),
            all => {
                format!("Digests of {} tables begun by a scan of {rows}: {because}.\n", number(all.len() as u64))
            }
        };
        text.push_str(&line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_with_one_reason_share_a_line() {
        let notice = |table: &str, because: &str, problem: Option<&str>| DigestNotice {
            table: table.into(),
            version: 3,
            rows: problem.is_none().then_some(1200),
            because: because.into(),
            problem: problem.map(str::to_owned),
        };
        let notices = [
            notice("files", "written without STEDI_DELTA_HASH_KEY", None),
            notice("people", "v3 is a restore", None),
            notice("readings", "written without STEDI_DELTA_HASH_KEY", None),
            notice("runs", "", Some("its rows cannot be read")),
        ];
        assert_eq!(
            digests(&notices),
            "No digest of runs v3: its rows cannot be read.\n\
             Digest of people v3 begun by a scan of 1,200 rows: v3 is a restore.\n\
             Digests of 2 tables begun by a scan of 2,400 rows: written without STEDI_DELTA_HASH_KEY.\n"
        );
        assert_eq!(digests(&[]), "");
    }
}
