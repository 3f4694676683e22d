//! Differences across changes of a table's columns, and whose values are shown.

use std::fs;

use stedi_delta::audit::{self, DiffOptions, ShowOptions};
use stedi_delta::outcome::{DiffColumn, DiffOutcome};
use stedi_delta::travel::{AsOf, Point, Zone};

use super::{brute::lines, options};
use crate::support::Lake;

fn landing(columns: &str) -> String {
    format!(
        "description = \"N\"\nprimary_key = [\"id\"]\n[source]\npath = \"n/*.json\"\nformat = \"json\"\n\
         on_overwrite = \"replace\"\n[columns]\n{columns}"
    )
}

const NAME: &str = "{ type = \"string\", classification = \"pii\" }";

fn lake() -> Lake {
    let columns = format!("id = \"integer\"\nname = {NAME}\nk = \"integer\"\ngone = \"string\"\n");
    Lake::project(&[("tables/landing/n.toml", &landing(&columns))])
}

async fn diff(lake: &Lake, columns: &[&str], from: u64, to: u64) -> (Vec<String>, DiffOutcome) {
    let columns = columns.iter().map(|name| (*name).to_owned()).collect();
    let options = DiffOptions { table: "n".into(), columns, ..options(from, to) };
    let mut diff = audit::diff(&lake.workspace().await, &options).await.unwrap_or_else(|e| panic!("{e}"));
    let mut found = Vec::new();
    while let Some(batch) = diff.next().await.unwrap() {
        found.extend(lines(&batch));
    }
    (found, diff.outcome)
}

/// A table whose columns migrations rename, widen and drop, and a sync adds to: v0 has two rows; v4 has all changes of
/// columns; v5 has one row more, and another one changed.
async fn migrated() -> Lake {
    let lake = lake();
    let row = |id: i64, name: &str, k: i64| format!("{{\"id\":{id},\"name\":\"{name}\",\"k\":{k},\"gone\":\"g\"}}\n");
    lake.land("n/a.json", row(1, "ann@example.org", 1) + &row(2, "bob@example.org", 2));
    lake.sync().await;
    lake.define(
        "migrations/0001_columns.sql",
        "alter table n rename column name to title;\nalter table n alter column k type long;\n\
         alter table n drop column gone;\n",
    );
    let title = NAME.replace("}", ", from = \"name\" }");
    let columns = format!("id = \"integer\"\ntitle = {title}\nk = \"long\"\nextra = \"string\"\n");
    lake.define("tables/landing/n.toml", &landing(&columns));
    lake.sync().await;
    lake.land("n/a.json", row(1, "ann@example.org", 1) + &row(2, "eve@example.org", 2));
    lake.land("n/b.json", "{\"id\":3,\"name\":\"cyd@example.org\",\"k\":3,\"extra\":\"e\"}\n");
    lake.sync().await;
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_paired_by_the_journal_of_migrations() {
    let lake = migrated().await;
    let newest = lake.table("landing/n").await.version();
    let revealed = ["k", "source_offset"];
    // A rename and a wider type alone change no row.
    let (found, outcome) = diff(&lake, &["title", "k"], 0, newest - 1).await;
    assert_eq!(found, Vec::<String>::new(), "{outcome:?}");
    let column = |before: Option<&str>, after: Option<&str>, of: &str| DiffColumn {
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        data_type: of.to_owned(),
    };
    assert_eq!(outcome.columns, [column(Some("name"), Some("title"), "string"), column(Some("k"), Some("k"), "long")]);
    let (_, all) = diff(&lake, &[], 0, newest).await;
    assert!(all.columns.contains(&column(None, Some("extra"), "string")), "{all:?}");
    assert!(all.columns.contains(&column(Some("gone"), None, "string")), "{all:?}");
    assert_eq!(all.key, ["id"]);
    // A dropped column has no values afterwards, an added one none before.
    assert_eq!((all.rows.inserted, all.rows.updated, all.rows.deleted), (1, 2, 0));
    let (back, outcome) = diff(&lake, &revealed, newest, 0).await;
    assert_eq!(back, ["delete 3|3|0"], "{outcome:?}");
    let (_, outcome) = diff(&lake, &["name"], newest, 0).await;
    assert_eq!(outcome.columns, [column(Some("title"), Some("name"), "string")]);
    assert_eq!((outcome.rows.updated, outcome.rows.deleted), (1, 1));
    // A name means the column that has it in the version after, or else in the one before.
    for condition in ["title like 'eve%'", "gone is null and id = 2 and title like 'e%'"] {
        let options = DiffOptions {
            table: "n".into(),
            condition: Some(condition.into()),
            columns: vec!["k".into()],
            ..options(0, newest)
        };
        let outcome = audit::diff(&lake.workspace().await, &options).await.unwrap().count().await.unwrap();
        assert_eq!((outcome.rows.inserted, outcome.rows.updated), (1, 0), "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_is_hashed_under_every_name_and_what_the_definition_lacks_is_too() {
    let lake = migrated().await;
    let newest = lake.table("landing/n").await.version();
    for (from, to) in [(0, newest), (newest, 0), (newest - 1, newest)] {
        let (found, outcome) = diff(&lake, &[], from, to).await;
        let text = found.join("\n");
        assert!(!text.contains("example.org") && text.contains('…'), "{text}");
        assert!(!text.contains("|g"), "the definition of today does not say what `gone` is: {text}");
        assert!(outcome.notes.iter().any(|note| note.starts_with("personal data is shown as hashes")), "{outcome:?}");
    }
    for (table, name) in [("n", "title"), ("n@v0", "name"), ("n@v1", "title")] {
        let options =
            ShowOptions { table: table.into(), zone: Zone::default(), condition: Some("id = 1".into()), limit: 5 };
        let answer = audit::show(&lake.workspace().await, &options).await.unwrap();
        assert!(answer.schema.field_with_name(name).is_ok(), "{table}");
        let batches: Vec<_> = futures::TryStreamExt::try_collect(answer.batches).await.unwrap();
        let text = deltalake::arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        assert!(!text.contains("example.org") && text.contains('…') && text.contains("n/a.json"), "{text}");
    }
    let described = audit::describe(&lake.workspace().await, "n@v0", &Zone::default()).await.unwrap();
    let columns: Vec<_> = described
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.data_type.as_str(), c.is_personal, c.today.as_deref()))
        .collect();
    assert_eq!(
        columns[..4],
        [
            ("id", "integer", false, None),
            ("name", "string", true, Some("title")),
            ("k", "integer", false, None),
            ("gone", "string", true, None),
        ]
    );
    assert_eq!(
        (described.kind, described.rows, described.primary_key.as_slice()),
        ("landing", Some(2), &["id".to_owned()][..])
    );
    assert_eq!((described.version.version, described.oldest.version), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_the_name_of_a_dropped_one_is_another_column() {
    let lake = lake();
    lake.land("n/a.json", "{\"id\":1,\"name\":\"ann\",\"k\":1,\"gone\":\"old\"}\n");
    lake.sync().await;
    lake.define("migrations/0001_drop.sql", "alter table n drop column gone;\n");
    let columns = format!("id = \"integer\"\nname = {NAME}\nk = \"integer\"\n");
    lake.define("tables/landing/n.toml", &landing(&columns));
    lake.sync().await;
    lake.define("tables/landing/n.toml", &landing(&format!("{columns}gone = \"string\"\n")));
    lake.land("n/b.json", "{\"id\":2,\"name\":\"bob\",\"k\":1,\"gone\":\"new\"}\n");
    lake.sync().await;
    let newest = lake.table("landing/n").await.version();
    let (_, outcome) = diff(&lake, &["gone"], 0, newest).await;
    let names: Vec<_> = outcome.columns.iter().map(|of| (of.before.as_deref(), of.after.as_deref())).collect();
    assert_eq!(names, [(None, Some("gone")), (Some("gone"), None)]);
    assert_eq!((outcome.rows.inserted, outcome.rows.updated), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_difference_of_a_lake_counts_the_rows_of_every_table() {
    let lake = lake();
    lake.define("tables/curated/few.toml", "description = \"F\"\nprimary_key = [\"id\"]\n");
    lake.define("tables/curated/few.sql", "select id, k from n where k < 5 and id is not null");
    lake.land("n/a.json", "{\"id\":1,\"k\":1}\n{\"id\":2,\"k\":2}\n{\"id\":3,\"k\":9}\n");
    let first = lake.sync().await;
    lake.define("tables/curated/late.toml", "description = \"L\"\n");
    lake.define("tables/curated/late.sql", "select id from n");
    lake.land("n/a.json", "{\"id\":1,\"k\":1}\n{\"id\":2,\"k\":3}\n{\"id\":3,\"k\":9}\n{\"id\":\"x\"}\n");
    let second = lake.sync().await;
    let workspace = lake.workspace().await;
    let counts = async |from: &AsOf, to: Option<&AsOf>| -> Vec<String> {
        let outcome = audit::diff_lake(&workspace, from, to).await.unwrap_or_else(|e| panic!("{e} {:?}", e.facts()));
        let one = |of: &stedi_delta::outcome::LakeDiffTable| {
            assert!(of.problem.is_none(), "{of:?}");
            let rows = of.rows;
            format!("{} {:?} {:?} +{} ~{} -{}", of.table, of.from, of.to, rows.inserted, rows.updated, rows.deleted)
        };
        outcome.tables.iter().map(one).collect()
    };
    let (first, second) = (AsOf::Run(first.run), AsOf::Run(second.run));
    let expected = [
        "n Some(0) Some(1) +0 ~1 -0",
        "n_quarantine None Some(0) +1 ~0 -0",
        "few Some(0) Some(1) +0 ~1 -0",
        "late None Some(0) +3 ~0 -0",
    ];
    let found = counts(&first, Some(&second)).await;
    assert_eq!(found.len(), 4, "{found:?}");
    for line in expected {
        assert!(found.iter().any(|found| found == line), "{line}: {found:?}");
    }
    assert_eq!(counts(&first, None).await, found);
    let back = counts(&second, Some(&first)).await;
    assert!(back.contains(&"late Some(0) None +0 ~0 -3".to_owned()), "{back:?}");
    assert!(counts(&second, None).await.iter().all(|line| line.ends_with("+0 ~0 -0")));
    let now = AsOf::Time(Point::parse("2999-01-01", &Zone::default()).unwrap());
    assert_eq!(counts(&first, Some(&now)).await, found);
    // A table that cannot be compared does not hide the others.
    let gone = lake.warehouse().join("curated/few");
    for entry in fs::read_dir(&gone).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|of| of == "parquet") {
            fs::remove_file(path).unwrap();
        }
    }
    let outcome = audit::diff_lake(&lake.workspace().await, &first, None).await.unwrap();
    let failed: Vec<_> = outcome.tables.iter().filter(|of| of.problem.is_some()).map(|of| of.table.as_str()).collect();
    assert_eq!(failed, ["few"]);
}
