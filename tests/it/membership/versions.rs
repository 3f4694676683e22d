//! The timeline of a subject across migrations of its column, and of its table.

use stedi_delta::error::Kind;
use stedi_delta::outcome::MembershipOutcome;

use super::stretch;
use crate::support::Lake;

fn landing(columns: &str) -> String {
    format!(
        "description = \"P\"\n[source]\npath = \"people/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
         [columns]\n{columns}"
    )
}

fn lake() -> Lake {
    Lake::project(&[(
        "tables/landing/people.toml",
        &landing("who = { type = \"integer\", classification = \"pii\" }\nn = \"long\"\n"),
    )])
}

fn row(who: i64, n: i64) -> String {
    format!("{{\"who\":{who},\"n\":{n}}}\n")
}

fn versions(outcome: &MembershipOutcome) -> Vec<(u64, u64, u64, u64)> {
    let versions = outcome.versions.clone().unwrap();
    versions.iter().map(|v| (v.at.version, v.inserted, v.deleted, v.rows)).collect()
}

async fn timeline(lake: &Lake, table: &str, subject: &str) -> MembershipOutcome {
    let found = lake.try_membership(table, subject, true).await;
    found.unwrap_or_else(|e| panic!("{table} {subject}: {e} {:?}", e.facts()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_is_followed_through_renames_and_types() {
    let lake = lake();
    lake.land("people/a.json", row(7, 1) + &row(8, 1));
    lake.sync().await;
    lake.land("people/b.json", row(7, 2));
    lake.sync().await;
    lake.define(
        "migrations/0001_person.sql",
        "alter table people rename column who to person;\nalter table people alter column person type long;\n",
    );
    let person = "person = { type = \"long\", from = [\"who\"], classification = \"pii\" }\nn = \"long\"\n";
    lake.define("tables/landing/people.toml", &landing(person));
    lake.sync().await;
    // v2 and v3 are the migration.
    lake.land("people/c.json", row(7, 3));
    lake.sync().await;
    lake.land("people/a.json", row(8, 1));
    lake.sync().await;
    let expected = [(5, 0, 1, 2), (4, 1, 0, 3), (1, 1, 0, 2), (0, 1, 0, 1)];
    for (table, subject) in [
        ("people", "person=7"),
        ("people@v3", "person=7"),
        ("people@v2", "person=7"),
        ("people@v1", "who=7"),
        ("people@v0", "who=7"),
    ] {
        let found = timeline(&lake, table, subject).await;
        assert_eq!(versions(&found), expected, "{table}");
        assert_eq!((found.unknown.clone(), stretch(&found)), (None, Some((0, None, true))), "{table}: {found:?}");
    }
    // No integer, but a long: no row of a version before.
    lake.land("people/d.json", row(3_000_000_000, 1));
    lake.sync().await;
    let found = timeline(&lake, "people", "person=3000000000").await;
    assert_eq!((versions(&found), found.unknown), (vec![(6, 1, 0, 1)], None));
    // By its name in another version there is no such column in this one.
    let error = lake.try_membership("people", "who=7", true).await.expect_err("its name before");
    assert_eq!((error.kind(), error.message()), (Kind::Usage, "people has no column `who`"));
    // A hash is found under every name, and shown values are classified under every name.
    let hash = lake.membership("people@v0", "who=8").await.subject;
    assert!(hash.is_hashed, "{hash:?}");
    for (table, column) in [("people", "person"), ("people@v0", "who")] {
        let found = timeline(&lake, table, &format!("{column}=#{}", hash.value)).await;
        assert_eq!((found.rows, &found.subject.value), (1, &hash.value), "{table}");
        let node = &found.nodes[found.explained[0].node];
        let shown = |name: &str| node.values.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone());
        assert_eq!((shown(column), shown("n")), (Some(hash.value.clone().into()), Some(1.into())), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_dropped_or_computed_says_where_it_ends() {
    let lake = lake();
    lake.land("people/a.json", row(7, 1) + &row(7, 2));
    lake.sync().await;
    lake.define(
        "migrations/0001_text.sql",
        "alter table people alter column who type string using concat('p', cast(who as string));\n",
    );
    lake.define("tables/landing/people.toml", &landing("who = \"string\"\nn = \"long\"\n"));
    lake.sync().await;
    let found = timeline(&lake, "people", "who=p7").await;
    let unknown = found.unknown.clone().unwrap();
    assert_eq!(
        (unknown.before, unknown.why.as_str()),
        (1, "v1, a migration, computed the values of column `who` anew")
    );
    assert_eq!(stretch(&found), Some((1, None, false)));
    lake.define("migrations/0002_gone.sql", "alter table people drop column who;\n");
    lake.define("tables/landing/people.toml", &landing("n = \"long\"\n"));
    lake.sync().await;
    let found = timeline(&lake, "people@v1", "who=p7").await;
    assert_eq!(versions(&found), [(2, 0, 2, 0)]);
    assert_eq!(stretch(&found), Some((1, Some(1), false)));
    let note = "v2, a migration, dropped column `who`: later versions do not have it";
    assert!(found.notes.iter().any(|found| found == note), "{:?}", found.notes);
    let found = timeline(&lake, "people@v0", "who=7").await;
    assert_eq!((found.rows, found.unknown.map(|unknown| unknown.before)), (2, Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_followed_through_its_names() {
    let lake = lake();
    lake.define("tables/curated/few.toml", "description = \"F\"\n");
    lake.define("tables/curated/few.sql", "select who, n from people where n < 5");
    lake.land("people/a.json", row(7, 1));
    lake.sync().await;
    lake.define(
        "migrations/0001_tables.sql",
        "alter table people rename to persons;\nalter table few rename to some;\n",
    );
    for (from, to) in [("landing/people.toml", "landing/persons.toml"), ("curated/few.toml", "curated/some.toml")] {
        std::fs::rename(lake.root().join("tables").join(from), lake.root().join("tables").join(to)).unwrap();
    }
    std::fs::remove_file(lake.root().join("tables/curated/few.sql")).unwrap();
    lake.define("tables/curated/some.sql", "select who, n from persons where n < 5");
    lake.sync().await;
    lake.land("people/b.json", row(7, 2));
    lake.sync().await;
    for table in ["persons", "people", "some", "few"] {
        let found = timeline(&lake, table, "who=7").await;
        assert_eq!(
            versions(&found).iter().map(|v| (v.1, v.2, v.3)).collect::<Vec<_>>(),
            [(1, 0, 2), (1, 0, 1)],
            "{table}"
        );
        assert_eq!((found.unknown.clone(), stretch(&found)), (None, Some((0, None, true))), "{table}");
        assert_eq!(
            found.explained.iter().map(|row| row.records.len()).collect::<Vec<_>>(),
            [1, 1],
            "{table}: {found:?}"
        );
    }
    let found = timeline(&lake, "few@v0", "who=7").await;
    assert_eq!((found.rows, found.explained[0].records.len()), (1, 1), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_from_before_a_migration_is_counted_and_what_its_source_lacked_is_said() {
    let lake = lake();
    lake.define("tables/curated/known.toml", "description = \"K\"\n");
    lake.define("tables/curated/known.sql", "select who as person, n from people");
    lake.land("people/a.json", row(7, 1) + &row(8, 1));
    lake.sync().await;
    lake.define(
        "migrations/0001_person.sql",
        "alter table people rename column who to person;\nalter table people alter column n type string using cast(n as string);\n",
    );
    let columns = "person = { type = \"integer\", from = [\"who\"], classification = \"pii\" }\nn = \"string\"\n";
    lake.define("tables/landing/people.toml", &landing(columns));
    lake.define("tables/curated/known.sql", "select person, n from people");
    lake.sync().await;
    lake.land("people/b.json", "{\"who\":7,\"n\":\"2\"}\n");
    lake.sync().await;
    // The type of another column changed: the rows of both versions are counted.
    for table in ["known", "known@v0"] {
        let found = timeline(&lake, table, "person=7").await;
        assert_eq!((versions(&found), found.unknown.clone()), (vec![(2, 1, 0, 2), (0, 1, 0, 1)], None), "{table}");
        assert_eq!(stretch(&found), Some((0, None, true)), "{table}");
    }
    let found = timeline(&lake, "known@v0", "person=7").await;
    let source = &found.nodes[found.explained[0].node].sources[0];
    assert_eq!((source.table.as_str(), source.version, source.rows), ("people", Some(0), None));
    let why = "the rows of people that it read cannot be told apart: people v0 has no column `person`";
    assert_eq!(source.note.as_deref(), Some(why));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_a_query_no_longer_has_ends_the_timeline_where_it_was_asked() {
    let lake = lake();
    lake.define("tables/curated/known.toml", "description = \"K\"\n");
    lake.define("tables/curated/known.sql", "select who, n from people");
    lake.land("people/a.json", row(7, 1));
    lake.sync().await;
    lake.land("people/b.json", row(7, 2));
    lake.sync().await;
    lake.define("tables/curated/known.sql", "select n from people");
    lake.sync().await;
    let found = timeline(&lake, "known@v1", "who=7").await;
    assert_eq!((versions(&found), stretch(&found)), (vec![(1, 1, 0, 2), (0, 1, 0, 1)], Some((0, None, true))));
    let note = "v2 does not have column `who`: versions after v1 are left out";
    assert!(found.notes.iter().any(|found| found == note), "{:?}", found.notes);
}
