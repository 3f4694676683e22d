//! Counting the files of a range.

use deltalake::kernel::CommitInfo;

use super::file_history::{FileHistory, file_history};
use super::*;
use crate::lake::DataFiles;

fn commit(version: u64, added: &[&str], removed: &[&str], feed: &[&str]) -> CommitFacts {
    let owned = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect::<Vec<String>>();
    let files = DataFiles {
        added: owned(added).into_iter().map(|path| (path, None)).collect(),
        removed: owned(removed),
        cdc: owned(feed),
        ..DataFiles::default()
    };
    let info = CommitInfo {
        operation: Some("DELETE".into()),
        engine_info: Some("somebody/1".into()),
        ..CommitInfo::default()
    };
    CommitFacts { version, files, info: Some(info), ..CommitFacts::default() }
}

fn counted(commits: &[CommitFacts]) -> (Vec<(String, i64)>, Vec<String>, Option<String>) {
    let tally = tally(commits, &Unfit::new()).unwrap_or_default();
    (tally.net.into_iter().collect(), tally.feed, tally.why)
}

fn net(files: &[(&str, i64)]) -> Vec<(String, i64)> {
    files.iter().map(|(path, weight)| ((*path).to_owned(), *weight)).collect()
}

#[test]
fn a_file_that_came_and_went_counts_nothing_and_one_that_went_and_came_back_neither() {
    assert_eq!(counted(&[commit(1, &["a"], &[], &[]), commit(2, &["b"], &["a"], &[])]).0, net(&[("b", 1)]));
    assert_eq!(counted(&[commit(1, &["b"], &["a"], &[]), commit(2, &["a"], &["b"], &[])]).0, net(&[]));
    // Added and removed twice.
    let there_and_back = [
        commit(1, &["b"], &["a"], &[]),
        commit(2, &["a"], &["b"], &[]),
        commit(3, &["b"], &["a"], &[]),
        commit(4, &["a"], &["b"], &[]),
    ];
    assert_eq!(counted(&there_and_back).0, net(&[]));
}

#[test]
fn files_count_on_top_of_a_feed_that_tells_the_same_rows() {
    // v1 adds `a`; the feed of v2 replaces `a` by `b`: the rows of `a` were still inserted.
    let (files, feed, _) = counted(&[commit(1, &["a"], &[], &[]), commit(2, &["b"], &["a"], &["f"])]);
    assert_eq!((files, feed), (net(&[("a", 1)]), vec!["f".to_owned()]));
    // v3 restores v1: `a` is inserted a second time, and `b`, which no commit without a feed added, is deleted.
    let restored = [commit(1, &["a"], &[], &[]), commit(2, &["b"], &["a"], &["f"]), commit(3, &["a"], &["b"], &[])];
    let (files, feed, why) = counted(&restored);
    assert_eq!((files, feed), (net(&[("a", 2), ("b", -1)]), vec!["f".to_owned()]));
    assert_eq!(why.as_deref(), Some("v3 (DELETE) has no change feed"));
}

#[test]
fn a_feed_that_is_gone_is_replaced_by_the_files_of_its_own_commit_only() {
    let commits = [commit(1, &["b"], &["a"], &["f"]), commit(2, &["c"], &["b"], &["g"])];
    let vacuumed = feeds::vacuumed(&commits, &Unfit::new(), &BTreeSet::from(["g".to_owned(), "c".to_owned()]));
    let tally = tally(&commits, &vacuumed).unwrap_or_default();
    assert_eq!(tally.net.into_iter().collect::<Vec<_>>(), net(&[("b", -1), ("c", 1)]));
    assert_eq!(tally.feed, ["f"]);
    assert_eq!(tally.why.as_deref(), Some("the change feed of v2 is vacuumed"));
}

#[test]
fn feeds_of_updates_by_delta_rs_and_of_nobody_in_particular_are_not_trusted() {
    let by = |engine: Option<&str>, operation: &str| {
        let mut commit = commit(1, &["b"], &["a"], &["f"]);
        if let Some(info) = &mut commit.info {
            info.engine_info = engine.map(str::to_owned);
            info.operation = Some(operation.to_owned());
        }
        counted(&[commit]).1.len()
    };
    assert_eq!(by(Some("delta-rs:1.1.3"), "UPDATE"), 0);
    assert_eq!(by(None, "MERGE"), 0);
    assert_eq!(by(Some("delta-rs:1.1.3"), "MERGE"), 1);
    assert_eq!(by(Some("Apache-Spark/3.5"), "UPDATE"), 1);
}

#[test]
fn another_file_under_a_known_name_is_no_file_diff() {
    let (mut one, mut two) = (commit(1, &["a"], &[], &[]), commit(3, &["a"], &[], &[]));
    one.files.bytes.insert("a".into(), 10);
    two.files.bytes.insert("a".into(), 11);
    let error = tally(&[one, commit(2, &[], &["a"], &[]), two], &Unfit::new()).err();
    assert_eq!(error.as_deref(), Some("v3 has a file under the name of another one"));
}

fn odd(commits: &[CommitFacts], before: &[&str]) -> Option<String> {
    let before = before.iter().map(|path| (*path).to_owned()).collect();
    match file_history(commits, &Unfit::new(), Some(&before)) {
        FileHistory::Odd(why) => Some(why),
        FileHistory::InTurns => None,
        FileHistory::Depends => panic!("depends on what is known"),
    }
}

#[test]
fn files_come_that_were_not_there_and_go_that_were() {
    let restored = [commit(1, &["b"], &["a"], &[]), commit(2, &["a"], &["b"], &[])];
    assert_eq!(odd(&restored, &["a"]), None);
    assert_eq!(odd(&restored, &["a", "b"]).as_deref(), Some("v1 adds a file that is there already"));
    assert_eq!(odd(&restored, &[]).as_deref(), Some("v1 removes a file that is not there"));
    let twice = [commit(1, &["b"], &[], &[]), commit(2, &["b"], &[], &[])];
    assert_eq!(odd(&twice, &[]).as_deref(), Some("v2 adds a file that is there already"));
    let twice = [commit(1, &["b"], &["b"], &[])];
    assert_eq!(odd(&twice, &["b"]).as_deref(), Some("v1 adds and removes one and the same file"));
    assert_eq!(odd(&[commit(1, &["b", "b"], &[], &[])], &[]).as_deref(), Some("v1 adds a file twice"));
    assert_eq!(odd(&[commit(1, &[], &["b", "b"], &[])], &["b"]).as_deref(), Some("v1 removes a file twice"));
}

#[test]
fn files_that_only_move_come_and_go_as_well() {
    let mut compacted = commit(1, &[], &[], &[]);
    (compacted.files.moved_in, compacted.files.moved_out) = (vec![("b".into(), None)], vec!["a".into()]);
    assert_eq!(odd(&[compacted.clone(), commit(2, &["a"], &["b"], &[])], &["a"]), None);
    assert_eq!(
        odd(&[compacted, commit(2, &["b"], &[], &[])], &["a"]).as_deref(),
        Some("v2 adds a file that is there already")
    );
    let mut described = commit(1, &[], &[], &[]);
    described.files.moved_in = vec![("a".into(), None)];
    assert_eq!(odd(&[described], &["a"]), None);
}

#[test]
fn what_was_there_before_matters_where_somebody_else_counts_files() {
    let ask = |commits: &[CommitFacts]| file_history(commits, &Unfit::new(), None);
    assert_eq!(ask(&[commit(1, &["b"], &["a"], &[])]), FileHistory::Depends);
    assert_eq!(ask(&[commit(1, &["b"], &["a"], &["f"])]), FileHistory::InTurns);
    // The feed determines the change of the existing rows.
    assert_eq!(ask(&[commit(1, &["b"], &["a"], &["f"]), commit(2, &["a"], &["b"], &[])]), FileHistory::InTurns);
    let mut ours = commit(1, &["b"], &["a"], &[]);
    ours.txns.insert("stedi-delta/head".into(), 1);
    assert_eq!(ask(std::slice::from_ref(&ours)), FileHistory::InTurns);
    let again = ask(&[ours, commit(2, &["b"], &[], &[])]);
    assert_eq!(again, FileHistory::Odd("v2 adds a file that is there already".into()));
    let unfit = Unfit::from([(1, "vacuumed".to_owned())]);
    assert_eq!(file_history(&[commit(1, &["b"], &["a"], &["f"])], &unfit, None), FileHistory::Depends);
}
