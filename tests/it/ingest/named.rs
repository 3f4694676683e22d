//! Files that are skipped: because of their names, because of links, because they are incomplete.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn hidden_and_temporary_files_do_not_land_and_neither_does_what_is_excluded() {
    let lake = shop(&orders("exclude = [\"orders/**/*.bak.json\", \"orders/old/**\"]", COLUMNS, ""));
    lake.land("orders/a.json", order(1));
    lake.land("orders/day=1/_part=2/b.json", order(2));
    for (at, path) in [
        "orders/_temporary/0/part.json",
        "orders/.x.json.crc",
        "orders/_SUCCESS.json",
        "orders/x.json._COPYING_",
        "orders/x.json.tmp",
        "orders/a.bak.json",
        "orders/old/a.json",
    ]
    .iter()
    .enumerate()
    {
        lake.land(path, order(10 + at as i64));
    }
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "orders").reason, "2 new files");
    assert_eq!(ids(&lake).await, ["1", "2"]);
    assert_still(&lake.sync().await);
    // A pattern that names them includes them.
    let named = orders("", COLUMNS, "").replace("orders/**/*.json*", "orders/_temporary/**/*.json");
    lake.define("tables/landing/orders.toml", &named);
    lake.sync().await;
    assert_eq!(ids(&lake).await, ["1", "10", "2"]);
}

/// Takes the permissions of a file or folder away; `false` if this user can read it all the same, as root can.
#[cfg(unix)]
fn deny(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    fs::File::open(path).is_err()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_be_read_stops_nothing_but_itself() {
    use std::os::unix::fs::PermissionsExt as _;
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.land("orders/b.json", order(2));
    let path = lake.landing().join("orders/b.json");
    if !deny(&path) {
        return;
    }
    for landed in ["1 new file", ""] {
        let outcome = lake.try_sync().await;
        assert_eq!(exit::of_sync(&outcome), 1);
        let done = of(&outcome, "orders");
        assert!(done.problem.is_none() && of(&outcome, "sold").problem.is_none(), "{outcome:?}");
        assert_eq!(done.reason, landed);
        let [left_out] = done.left_out.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(left_out.message(), "1 file of orders cannot be read: permission denied");
        assert_eq!(left_out.facts()[0], ("file".to_owned(), "orders/b.json".to_owned()));
        assert!(left_out.next().unwrap().contains("permission to read, then sync again"), "{left_out:?}");
        assert_eq!(ids(&lake).await, ["1"]);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    lake.sync().await;
    assert_eq!(ids(&lake).await, ["1", "2"]);
    // Its rows stay if it is to be read again.
    deny(&path);
    let options = Options { reload: vec![Reload::parse("orders")], ..Options::default() };
    assert_eq!(exit::of_sync(&lake.try_sync_with(options).await), 1);
    assert_eq!(ids(&lake).await, ["1", "2"]);
    // A folder, too.
    lake.land("orders/c.json", order(3));
    lake.land("orders/shut/d.json", order(4));
    deny(&lake.landing().join("orders/shut"));
    let outcome = lake.try_sync().await;
    fs::set_permissions(lake.landing().join("orders/shut"), fs::Permissions::from_mode(0o755)).unwrap();
    let [left_out] = of(&outcome, "orders").left_out.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(left_out.facts()[0].1, "orders/shut");
    assert_eq!(ids(&lake).await, ["1", "2", "3"]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_told_one_by_one_up_to_five() {
    let lake = plain();
    lake.land("orders/a\u{1b}.json", order(1));
    let told = |outcome: &SyncOutcome| {
        let [left_out] = of(outcome, "orders").left_out.as_slice() else { panic!("{outcome:?}") };
        (left_out.message().to_owned(), left_out.facts().to_vec(), left_out.next().unwrap().to_owned())
    };
    let (message, facts, next) = told(&lake.try_sync().await);
    assert_eq!(message, "1 file of orders cannot be read because of its name");
    assert_eq!(facts[0].1, "orders/a\\u001b.json: a control character in its name");
    assert!(next.starts_with("rename it, or leave it out: "), "{next}");
    for letter in ["b", "c", "d", "e", "f", "g"] {
        lake.land(&format!("orders/{letter}\n.json"), order(1));
    }
    let (message, facts, _) = told(&lake.try_sync().await);
    assert_eq!(message, "7 files of orders cannot be read because of their names");
    let labels: Vec<&str> = facts.iter().map(|fact| fact.0.as_str()).collect();
    assert_eq!(labels, ["file", "file", "file", "file", "file", "files", "meanwhile"]);
    assert_eq!(
        (facts[1].1.as_str(), facts[5].1.as_str()),
        ("orders/b\\n.json: a control character in its name", "2 more")
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_odd_name_stops_nothing_but_its_file_until_it_is_excluded() {
    use std::os::unix::ffi::OsStrExt as _;
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.land("orders/tab\there.json", order(2));
    let latin = lake.landing().join("orders").join(std::ffi::OsStr::from_bytes(b"caf\xe9.json"));
    fs::write(latin, order(3)).unwrap();
    std::os::unix::fs::symlink("loop", lake.landing().join("orders/loop")).unwrap();
    let outcome = lake.try_sync().await;
    assert_eq!(ids(&lake).await, ["1"]);
    assert_eq!(exit::of_sync(&outcome), 1);
    let done = of(&outcome, "orders");
    assert!(done.problem.is_none() && of(&outcome, "sold").problem.is_none(), "{outcome:?}");
    let [left_out] = done.left_out.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(left_out.message(), "3 files of orders cannot be read because of their names");
    let files: Vec<&str> = left_out.facts().iter().filter(|f| f.0 == "file").map(|f| f.1.as_str()).collect();
    assert_eq!(
        files,
        [
            "orders/caf\u{fffd}.json: its name is not UTF-8",
            "orders/loop: a symbolic link that leads to itself",
            "orders/tab\\there.json: a control character in its name",
        ]
    );
    assert!(left_out.next().unwrap().starts_with("rename them, or leave them out: "), "{left_out:?}");
    lake.land("orders/b.json", order(4));
    assert_eq!(exit::of_sync(&lake.try_sync().await), 1);
    assert_eq!(ids(&lake).await, ["1", "4"]);
    let exclude = "exclude = [\"orders/tab*\", \"orders/caf*\", \"orders/loop\"]";
    lake.define("tables/landing/orders.toml", &orders(exclude, COLUMNS, ""));
    assert_still(&lake.sync().await);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn links_out_of_the_landing_root_are_not_followed() {
    use std::os::unix::fs::symlink;
    let lake = plain();
    lake.land("orders/a.json", order(1));
    lake.land("elsewhere/b.json", order(2));
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("shadow"), order(3)).unwrap();
    symlink(other.path().join("shadow"), lake.landing().join("orders/x.json")).unwrap();
    symlink(other.path(), lake.landing().join("orders/folder")).unwrap();
    symlink("../elsewhere", lake.landing().join("orders/within")).unwrap();
    for dangling in ["orders/gone.json", "orders/.hidden.json"] {
        symlink("nowhere", lake.landing().join(dangling)).unwrap();
    }
    let outcome = lake.sync().await;
    assert_eq!(exit::of_sync(&outcome), 0);
    assert_eq!(ids(&lake).await, ["1", "2"]);
    let [warning, dangling] = of(&outcome, "orders").warnings.as_slice() else { panic!("{outcome:?}") };
    assert_eq!(warning.message, "2 links of orders out of the landing root are not followed");
    assert_eq!(warning.details, ["orders/folder", "orders/x.json"]);
    assert_eq!(dangling.message, "1 link of orders leads to no file");
    assert_eq!(dangling.details, ["orders/gone.json"]);
    // As the hint says.
    lake.define("tables/landing/orders.toml", &orders("exclude = [\"orders/gone.json\"]", COLUMNS, ""));
    assert_eq!(of(&lake.sync().await, "orders").warnings.len(), 1);
}
