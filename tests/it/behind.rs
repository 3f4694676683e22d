//! Lakes that did not sync between two changes of the definitions, and new ones.

use std::fs;
use stedi_delta::migrate;

use crate::support::{Lake, assert_ok, assert_still};

fn landing(columns: &str) -> String {
    format!(
        "description = \"N\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n[columns]\nid = \"long\"\n{columns}"
    )
}

/// A lake whose table has one column.
async fn synced() -> Lake {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing("s = \"struct<a:long>\"\n"))]);
    lake.land("n/a.json", "{\"id\":1,\"s\":{\"a\":1}}\n{\"id\":2}\n");
    lake.sync().await;
    lake
}

async fn states(lake: &Lake) -> Vec<String> {
    let all = migrate::status(&lake.workspace().await).await.unwrap();
    all.iter().map(|one| format!("{:?} {}", one.state, one.statements.len())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_came_and_was_renamed_in_between_comes_by_its_last_name() {
    let lake = synced().await;
    lake.define("migrations/0001_a.sql", "alter table n rename column zone to region;\n");
    lake.define(
        "migrations/0002_b.sql",
        "alter table n alter column region type long;\nalter table n rename column region to area;\n\
         alter table n rename column s.x to y;\nalter table n rename column id to number;\n\
         alter table n rename column scratch to scrap;\nalter table n drop column scrap;\n",
    );
    // Of a column that goes again, only a further migration tells that the name is right.
    lake.define("migrations/0003_c.sql", "alter table n rename column s.a to aa;\n");
    let columns = landing("area = \"long\"\ns = \"struct<aa:long,y:string>\"\n").replace("\nid =", "\nnumber =");
    lake.define("tables/landing/n.toml", &columns);
    let outcome = lake.sync().await;
    let applied: Vec<usize> = outcome.migrations.iter().map(|migration| migration.statements.len()).collect();
    assert_eq!(applied.iter().filter(|n| **n > 0).count(), 2, "{:?}", outcome.migrations);
    assert_eq!(
        lake.rows("select n.number, n.area, n.s.aa as aa, n.s.y as y from n").await,
        ["1|NULL|1|NULL", "2|NULL|NULL|NULL"]
    );
    assert_eq!(states(&lake).await, ["Included 0", "Applied 6", "Applied 1"]);
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_wrong_is_not_taken_for_one_of_these() {
    let lake = synced().await;
    let files = lake.files();
    for (sql, columns, expected) in [
        ("alter table n rename column idd to number", "number = \"long\"\n", "`idd` is not in this table"),
        ("alter table n drop column ss", "", "`ss` is not in this table"),
        ("alter table n drop column other", "s = \"struct<a:long>\"\n", "`other` is not in this table"),
        (
            "alter table n alter column zone type string using coalesce(zone, 'x')",
            "s = \"struct<a:long>\"\nzone = \"string\"\n",
            "`zone` is not in this table",
        ),
    ] {
        let columns = landing(columns);
        let columns = if sql.contains("idd") {
            columns.replace("id = \"long\"\n", "") + "s = \"struct<a:long>\"\n"
        } else {
            columns
        };
        lake.define("tables/landing/n.toml", &columns);
        lake.define("migrations/0001_x.sql", sql);
        let error = lake.try_sync().await.problem.unwrap_or_else(|| panic!("{sql}"));
        assert!(error.faults().iter().any(|fault| fault.message == expected), "{sql}: {error} {:?}", error.faults());
        assert_eq!(lake.files(), files, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_not_null_that_was_taken_back_is_not_set_any_more() {
    let lake = synced().await;
    lake.define("migrations/0001_strict.sql", "alter table n alter column s set not null;\n");
    lake.define("migrations/0002_number.sql", "alter table n rename column id to number;\n");
    let columns = landing("s = \"struct<a:long>\"\n").replace("\nid =", "\nnumber =");
    lake.define("tables/landing/n.toml", &columns);
    // A row has NULL, which is allowed by now.
    lake.sync().await;
    assert_eq!(lake.rows("select n.number, n.s.a as a from n").await, ["1|1", "2|NULL"]);
    assert_still(&lake.sync().await);
    assert_eq!(states(&lake).await, ["Included 0", "Applied 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_moves_through_two_zones_in_a_new_lake_and_in_one_that_lacks_both_steps() {
    let toml = "description = \"x\"\n";
    for synced in [0, 1, 3] {
        let lake = Lake::project(&[
            (
                "stedi-delta.toml",
                "name = \"shop\"\nzones = [\"landing\", \"a\", \"b\", \"c\"]\n[targets.dev]\nlanding = \"l\"\nwarehouse = \"w\"\n",
            ),
            ("tables/landing/n.toml", &landing("")),
            ("tables/a/t.toml", toml),
            ("tables/a/t.sql", "select id from n"),
        ]);
        lake.land("n/a.json", "{\"id\":1}\n");
        if synced > 0 {
            assert_ok(&lake.try_sync().await);
        }
        for (at, (from, to)) in [("a", "b"), ("b", "c")].into_iter().enumerate() {
            fs::create_dir_all(lake.root().join(format!("tables/{to}"))).unwrap();
            for end in ["toml", "sql"] {
                let path = |zone: &str| lake.root().join(format!("tables/{zone}/t.{end}"));
                fs::rename(path(from), path(to)).unwrap();
            }
            lake.define(&format!("migrations/{:04}_{to}.sql", at + 1), &format!("alter table t rename to {to}.t;\n"));
            if synced == 3 {
                lake.sync().await;
            }
        }
        lake.sync().await;
        assert_eq!(lake.rows("select id from t").await, ["1"], "{synced}");
        assert_still(&lake.sync().await);
        let folder = if synced > 0 { "a/t" } else { "c/t" };
        assert!(lake.warehouse().join(folder).is_dir(), "{synced}");
        // And back to where it was.
        for end in ["toml", "sql"] {
            let path = |zone: &str| lake.root().join(format!("tables/{zone}/t.{end}"));
            fs::rename(path("c"), path("a")).unwrap();
        }
        lake.define("migrations/0003_a.sql", "alter table t rename to a.t;\n");
        lake.sync().await;
        assert_eq!(lake.rows("select id from t").await, ["1"], "{synced}");
        assert_still(&lake.sync().await);
    }
}
