//! Primary keys: duplicates are never committed, and the message names column, rows and values.

use stedi_delta::outcome::{Mode, Problem};

use crate::support::shop::derived;
use crate::support::{Lake, of};

const PEOPLE: &str = "description = \"People\"\n[source]\npath = \"people/*.json\"\nformat = \"json\"\n\
     on_overwrite = \"replace\"\n[columns]\nid = \"long\"\nday = \"date\"\n\
     email = { type = \"string\", classification = \"pii\" }\n";

/// A derived table over all people with this primary key.
fn lake(primary_key: &str) -> Lake {
    let lake = Lake::project(&[
        ("tables/landing/people.toml", PEOPLE),
        ("tables/curated/known.sql", "select p.id, p.day, p.email from people p"),
    ]);
    key(&lake, primary_key);
    lake
}

fn key(lake: &Lake, primary_key: &str) {
    lake.define("tables/curated/known.toml", &format!("{}{primary_key}\n", derived("incremental")));
}

fn person(id: i64, day: &str, email: &str) -> String {
    format!("{{\"id\":{id},\"day\":\"{day}\",\"email\":\"{email}\"}}\n")
}

/// A sync that a duplicate key stops: nothing was committed, and this is the message.
async fn refused(lake: &Lake) -> String {
    let before =
        lake.files().into_iter().filter(|(p, _)| p.to_string_lossy().contains("curated/known")).collect::<Vec<_>>();
    let outcome = lake.try_sync().await;
    let done = of(&outcome, "known");
    let Some(Problem::Failed(error)) = &done.problem else { panic!("not refused: {done:?}") };
    let after =
        lake.files().into_iter().filter(|(p, _)| p.to_string_lossy().contains("curated/known")).collect::<Vec<_>>();
    let log = |files: &[(std::path::PathBuf, u64)]| {
        files.iter().filter(|(p, _)| p.extension().is_some_and(|e| e == "json")).count()
    };
    assert_eq!(log(&before), log(&after), "something was committed");
    let facts: Vec<String> = error.facts().iter().map(|fact| format!("{fact:?}")).collect();
    format!("{error} {}", facts.join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_twice_at_once_or_again_is_named_with_its_columns_rows_and_values() {
    let lake = lake("primary_key = [\"id\", \"day\"]");
    lake.land(
        "people/a.json",
        person(1, "2026-01-01", "a@x") + &person(1, "2026-01-01", "b@x") + &person(1, "2026-01-01", "c@x"),
    );
    let text = refused(&lake).await;
    assert!(text.contains("the primary key of known is repeated by 2 rows: `id`, `day`"), "{text}");
    assert!(text.contains("id = 1, day = 2026-01-01"), "{text}");
    lake.land("people/a.json", person(1, "2026-01-01", "a@x") + &person(1, "2026-01-02", "b@x"));
    lake.sync().await;
    // A kept row has the key.
    lake.land("people/b.json", person(1, "2026-01-02", "c@x") + &person(2, "2026-01-02", "c@x"));
    let text = refused(&lake).await;
    assert!(text.contains("is repeated by 1 row: `id`, `day`") && text.contains("id = 1, day = 2026-01-02"), "{text}");
    lake.land("people/b.json", person(2, "2026-01-02", "c@x"));
    lake.sync().await;
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_in_a_key_is_shown_as_hashes() {
    let lake = lake("primary_key = [\"email\"]");
    lake.land(
        "people/a.json",
        person(1, "2026-01-01", "amara@example.com") + &person(2, "2026-01-01", "amara@example.com"),
    );
    let text = refused(&lake).await;
    assert!(text.contains("repeated by 1 row: `email`") && text.contains("email = ") && text.contains('…'), "{text}");
    assert!(text.contains("hashed") && !text.contains("amara"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn null_in_a_key_is_refused_with_all_its_rows() {
    let lake = lake("primary_key = [\"id\", \"email\"]");
    lake.land("people/a.json", "{\"id\":1,\"email\":\"a\"}\n{\"id\":2}\n{\"id\":3}\n");
    let text = refused(&lake).await;
    assert!(text.contains("column `email`") && text.contains("NULL") && text.contains("\"2\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_move_and_swap_are_updates_and_a_row_updated_to_the_key_of_another_is_not() {
    let lake = lake("primary_key = [\"id\"]");
    lake.land("people/a.json", person(1, "2026-01-01", "a") + &person(2, "2026-01-01", "b"));
    lake.land("people/b.json", person(3, "2026-01-01", "c"));
    lake.sync().await;
    lake.land("people/a.json", person(2, "2026-01-01", "a") + &person(1, "2026-01-01", "b"));
    let outcome = lake.sync().await;
    assert_eq!((of(&outcome, "known").mode, of(&outcome, "known").rows.updated), (Mode::Incremental, 2));
    lake.land("people/a.json", person(4, "2026-01-01", "a") + &person(1, "2026-01-01", "b"));
    lake.sync().await;
    lake.land("people/a.json", person(3, "2026-01-01", "a") + &person(1, "2026-01-01", "b"));
    let text = refused(&lake).await;
    assert!(text.contains("is repeated by 1 row: `id`") && text.contains("id = 3"), "{text}");
    // Once the other row is deleted, it may have its key.
    lake.land("people/b.json", person(5, "2026-01-01", "c"));
    lake.sync().await;
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_declared_later_is_asked_of_the_rows_that_are_there() {
    let lake = lake("");
    lake.land("people/a.json", person(1, "2026-01-01", "a") + &person(1, "2026-01-01", "b"));
    lake.sync().await;
    key(&lake, "primary_key = [\"id\"]");
    // The query gives the same rows: no row is inserted or deleted.
    let text = refused(&lake).await;
    assert!(text.contains("is repeated by 1 row: `id`"), "{text}");
    key(&lake, "primary_key = [\"email\"]");
    lake.sync().await;
    lake.assert_recomputed().await;
}
