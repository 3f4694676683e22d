//! The folders of new tables that take names which other tables had, beside tables that have the names of such folders.

use std::fs;

use super::{COLUMNS, entries, folders, landing, records, rename};
use crate::support::{Lake, assert_still};

fn at(path: &str) -> String {
    landing(COLUMNS).replace("n/*", &format!("{path}/*"))
}

/// A lake whose first `n` is now `u`.
async fn renamed() -> Lake {
    let lake = Lake::project(&[("tables/landing/n.toml", &at("n"))]);
    lake.land("n/a.json", records(1..3) + "{\"id\":\"x\"}\n");
    lake.sync().await;
    rename(&lake, "tables/landing/n.toml", "tables/landing/u.toml");
    lake.define("migrations/0001_u.sql", "alter table n rename to u;\n");
    lake.sync().await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_table_passes_over_the_folder_of_a_table_that_is_called_so() {
    let lake = renamed().await;
    lake.land("m/a.json", records(10..15) + "{\"id\":\"x\"}\n");
    lake.define("tables/landing/n_2.toml", &at("m"));
    lake.sync().await;
    lake.define("tables/landing/n.toml", &at("n"));
    lake.sync().await;
    let own = ["n", "n_2", "n_2_quarantine", "n_3", "n_3_quarantine", "n_quarantine"];
    assert_eq!(folders(&lake, "landing"), own);
    let counts = "select (select count(*) from n) as n, (select count(*) from n_2) as m, (select count(*) from u) as u, (select \
                  count(*) from n_2_quarantine) as q from u limit 1";
    assert_eq!(lake.rows(counts).await, ["2|5|2|1"]);
    assert_still(&lake.sync().await);
    // The other one is renamed away, and dropped: the folder stays.
    rename(&lake, "tables/landing/n_2.toml", "tables/landing/m.toml");
    lake.define("migrations/0002_m.sql", "alter table n_2 rename to m;\n");
    lake.sync().await;
    assert_eq!(lake.rows("select count(*) from n").await, ["2"]);
    assert_still(&lake.sync().await);
    rename(&lake, "tables/landing/n.toml", "tables/landing/v.toml");
    lake.define("migrations/0003_v.sql", "alter table n rename to v;\n");
    lake.sync().await;
    assert_eq!(lake.rows("select count(*) from v").await, ["2"]);
    assert_eq!(folders(&lake, "landing"), own);
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_at_once_have_each_a_folder() {
    let lake = renamed().await;
    lake.land("m/a.json", records(10..15));
    lake.define("tables/landing/n_2.toml", &at("m"));
    lake.define("tables/landing/n.toml", &at("n"));
    lake.sync().await;
    assert!(["n_2", "n_3"].iter().all(|name| folders(&lake, "landing").contains(&(*name).to_owned())));
    assert_eq!(lake.rows("select count(*) from n_2").await, ["5"]);
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_called_like_the_folder_of_another_has_one_of_its_own() {
    let lake = renamed().await;
    lake.define("tables/landing/n.toml", &at("n"));
    lake.sync().await;
    lake.land("m/a.json", records(10..15));
    lake.define("tables/landing/n_2.toml", &at("m"));
    lake.sync().await;
    assert_eq!(
        lake.rows("select (select count(*) from n) as n, (select count(*) from n_2) as m from u limit 1").await,
        ["2|5"]
    );
    assert!(folders(&lake, "landing").contains(&"n_2_2".to_owned()), "{:?}", folders(&lake, "landing"));
    assert_still(&lake.sync().await);
    // Without a migration the first one leaves the project: its folder is not taken for that of the other.
    fs::remove_file(lake.root().join("tables/landing/n.toml")).unwrap();
    lake.sync().await;
    assert_eq!(lake.rows("select count(*) from n_2").await, ["5"]);
    assert!(entries(&lake).contains(&"n".to_owned()));
    lake.define("migrations/0002_n.sql", "drop table n;\n");
    lake.sync().await;
    assert!(!entries(&lake).contains(&"n".to_owned()));
    assert_eq!(lake.rows("select count(*) from n_2").await, ["5"]);
    assert_still(&lake.sync().await);
}
