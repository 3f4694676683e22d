//! `audit membership`: whether somebody is in a table, in which versions, and the records that their rows come from.

mod records;
mod versions;

use std::collections::BTreeSet;
use std::fs;

use stedi_delta::audit::{self, MembershipOptions, Wanted};
use stedi_delta::error::{Kind, Result};
use stedi_delta::outcome::{Explained, MembershipOutcome, Role};
use stedi_delta::travel::Zone;

use crate::support::{Lake, accelerometer, customer, real_data, repository, steps};

impl Lake {
    async fn try_membership(&self, table: &str, subject: &str, all_versions: bool) -> Result<MembershipOutcome> {
        let (column, value) = subject.split_once('=').unwrap();
        let subject = match value.strip_prefix('#') {
            Some(hash) => Wanted::Hash(hash.to_owned()),
            None => Wanted::Value(value.to_owned()),
        };
        let (table, column, zone) = (table.to_owned(), column.to_owned(), Zone::default());
        let options = MembershipOptions { table, zone, column, subject, limit: 20, all_versions };
        audit::membership(&self.workspace().await, &options).await
    }

    async fn membership(&self, table: &str, subject: &str) -> MembershipOutcome {
        let found = self.try_membership(table, subject, false).await;
        found.unwrap_or_else(|e| panic!("{table} {subject}: {e} {:?} {:?}", e.causes(), e.facts()))
    }

    /// The record of a landing file that begins at an offset.
    fn record(&self, file: &str, offset: i64) -> serde_json::Value {
        let bytes = fs::read(self.landing().join(file)).unwrap();
        let rest = &bytes[usize::try_from(offset).unwrap()..];
        serde_json::Deserializer::from_slice(rest).into_iter().next().unwrap().unwrap()
    }
}

/// The records of a row as `role table file@offset`, sorted.
fn records(outcome: &MembershipOutcome, row: &Explained) -> Vec<String> {
    let record = |record: &stedi_delta::outcome::Record| {
        let node = &outcome.nodes[record.node];
        let (file, offset) = node.place.clone().unwrap();
        format!("{:?} {} {file}@{offset}", record.role, node.table)
    };
    let mut records: Vec<String> = row.records.iter().map(record).collect();
    records.sort();
    records
}

/// Since which and until which version, and whether the first one is known.
fn stretch(outcome: &MembershipOutcome) -> Option<(u64, Option<u64>, bool)> {
    outcome.stretch.map(|s| (s.since.version, s.until.map(|until| until.version), s.is_since_known))
}

fn notes(outcome: &MembershipOutcome) -> BTreeSet<String> {
    let of_rows = outcome.nodes.iter().flat_map(|n| n.sources.iter().filter_map(|s| s.note.clone()));
    outcome.nodes.iter().flat_map(|n| n.notes.clone()).chain(of_rows).collect()
}

/// Explains a row of the training table back to records that hold its values.
async fn assert_explained(lake: &Lake) {
    let rows = lake
        .rows(
            "select m.serialnumber, min(m.sensorreadingtime) from machine_learning_curated m \
             group by m.serialnumber order by m.serialnumber limit 1",
        )
        .await;
    let (serial, _) = rows[0].split_once('|').unwrap();
    let count =
        lake.count(&format!("select count(*) from machine_learning_curated where serialnumber = '{serial}'")).await;
    let outcome = lake.membership("machine_learning_curated", &format!("serialnumber={serial}")).await;
    assert_eq!(i64::try_from(outcome.rows).unwrap(), count);
    assert_eq!(stretch(&outcome), Some((0, None, true)));
    let listed: u64 = outcome.explained.iter().map(|row| row.copies).sum();
    assert_eq!(listed, outcome.rows.min(20));
    for row in &outcome.explained {
        let node = &outcome.nodes[row.node];
        let value = |column: &str| &node.values.iter().find(|(name, _)| name == column).unwrap().1;
        assert_ne!(value("serialnumber"), serial, "personal data is hashed");
        let mut values = [false; 3];
        for record in row.records.iter().filter(|record| record.role == Role::Value) {
            let source = &outcome.nodes[record.node];
            let (file, offset) = source.place.clone().unwrap();
            let cut = lake.record(&file, offset);
            // Fields of the real files differ in case from the columns.
            let field = |name: &str| {
                let cut = cut.as_object().unwrap();
                cut.iter().find(|(field, _)| field.to_lowercase() == name).unwrap().1.clone()
            };
            match source.table.as_str() {
                "step_trainer_landing" => {
                    values[0] = true;
                    assert_eq!(&field("sensorreadingtime"), value("sensorreadingtime"));
                    assert_eq!(&field("distancefromobject"), value("distancefromobject"));
                    assert_eq!(field("serialnumber"), serial);
                }
                "customer_landing" => {
                    values[1] = true;
                    assert_eq!(field("serialnumber"), serial);
                }
                "accelerometer_landing" => {
                    values[2] = true;
                    assert_eq!(&field("timestamp"), value("sensorreadingtime"));
                    for axis in ["x", "y", "z"] {
                        assert_eq!(field(axis).as_f64(), value(axis).as_f64(), "{axis}");
                    }
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(values, [true; 3], "{:?}", records(&outcome, row));
    }
    let notes = notes(&outcome);
    assert!(notes.iter().all(|note| !note.contains("not known") && !note.contains("does not give")), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_sample_is_explained_back_to_its_records() {
    let lake = Lake::stedi();
    lake.land_all(&repository().join("sample/landing"));
    lake.sync().await;
    assert_explained(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_the_real_data_is_explained_back_to_its_records() {
    let Some(data) = real_data() else { return };
    let lake = Lake::stedi();
    lake.land_all(&data);
    lake.sync().await;
    assert_explained(&lake).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_in_until_the_version_before_the_withdrawal() {
    let lake = Lake::stedi();
    lake.land_customers("0", customer("ann@x", "A", 100, 1) + &customer("ben@x", "B", 100, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3) + &accelerometer("ben@x", 0..3));
    lake.land_steps("0", steps("A", 0..3) + &steps("B", 0..3));
    lake.sync().await;
    lake.land_steps("1", steps("B", 3..5));
    lake.sync().await;
    lake.land_customers("1", customer("ann@x", "A", 200, None));
    lake.sync().await;
    lake.land_customers("2", customer("ann@x", "A", 300, 1));
    lake.sync().await;
    let versions = |outcome: &MembershipOutcome| {
        let versions = outcome.versions.clone().unwrap();
        versions.iter().map(|v| (v.at.version, v.inserted, v.deleted, v.rows)).collect::<Vec<_>>()
    };
    let newest = lake.membership("machine_learning_curated", "serialnumber=A").await;
    let again = newest.at.version;
    assert_eq!((newest.rows, stretch(&newest)), (3, Some((again, None, true))));
    let gone = again - 1;
    let outcome = lake.membership(&format!("machine_learning_curated@v{gone}"), "serialnumber=A").await;
    assert_eq!((outcome.rows, stretch(&outcome)), (0, Some((0, Some(gone - 1), true))));
    assert!(outcome.explained.is_empty());
    let outcome = lake.membership("machine_learning_curated@v0", "serialnumber=A").await;
    assert_eq!((outcome.rows, stretch(&outcome)), (3, Some((0, Some(gone - 1), true))));
    // Explained by the versions that it was computed from, and not by those of today.
    let customers: BTreeSet<u64> =
        outcome.nodes.iter().filter(|node| node.table == "customer_landing").map(|node| node.version).collect();
    assert_eq!(customers, BTreeSet::from([0]));
    let all = lake.try_membership("machine_learning_curated", "serialnumber=A", true).await.unwrap();
    assert_eq!(versions(&all), [(again, 3, 0, 3), (gone, 0, 3, 0), (0, 3, 0, 3)]);
    let ben = lake.try_membership("step_trainer_trusted", "serialnumber=B", true).await.unwrap();
    assert_eq!(versions(&ben), [(1, 2, 0, 5), (0, 3, 0, 3)]);
    // By the hash that was printed, also where the newest version has no such value.
    lake.land_customers("3", customer("ann@x", "A", 400, None));
    lake.sync().await;
    let hash = newest.subject.value;
    assert!(newest.subject.is_hashed && !hash.contains('A'));
    let outcome = lake.membership("machine_learning_curated", &format!("serialnumber=#{hash}")).await;
    assert_eq!((outcome.rows, stretch(&outcome)), (0, Some((again, Some(again), true))));
    assert_eq!(outcome.subject.value, hash);
    // Nobody.
    let outcome = lake.membership("machine_learning_curated", "serialnumber=C").await;
    assert_eq!((outcome.rows, outcome.stretch), (0, None));
    let outcome = lake.membership("machine_learning_curated", "serialnumber=#00000000").await;
    assert_eq!((outcome.rows, outcome.notes.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_whose_files_are_gone_follow_from_those_after_them() {
    let lake = Lake::stedi();
    lake.land_customers("0", customer("ann@x", "A", 100, 1) + &customer("ben@x", "B", 100, 1));
    lake.land_accelerometer("0", accelerometer("ann@x", 0..3));
    lake.sync().await;
    lake.land_accelerometer("1", accelerometer("ben@x", 0..2));
    lake.sync().await;
    lake.land_customers("1", customer("ben@x", "B", 200, None));
    lake.sync().await;
    lake.land_accelerometer("2", accelerometer("ann@x", 3..5));
    lake.sync().await;
    let table = "trusted/accelerometer_trusted";
    // The change feed of the withdrawal stays, the file that had ben's readings goes.
    let current: BTreeSet<String> = lake.table(table).await.files().into_iter().map(|file| file.path).collect();
    let mut gone = 0;
    for entry in fs::read_dir(lake.warehouse().join(table)).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".parquet") && !current.contains(&name) {
            fs::remove_file(entry.path()).unwrap();
            gone += 1;
        }
    }
    assert!(gone > 0);
    let outcome = lake.try_membership("accelerometer_trusted", "user=ben@x", true).await;
    let outcome = outcome.unwrap_or_else(|e| panic!("{e} {:?}", e.causes()));
    let versions: Vec<_> =
        outcome.versions.clone().unwrap().iter().map(|v| (v.at.version, v.deleted, v.rows)).collect();
    // What v1 had follows from what left with v2; of v0 the files are there.
    assert_eq!((outcome.rows, versions), (0, vec![(2, 2, 0), (1, 0, 2)]));
    assert!(outcome.unknown.is_none(), "{:?}", outcome.unknown);
    assert_eq!(stretch(&outcome), Some((1, Some(1), true)));
    // Also where only the hash is known, which has to be found in older rows.
    let hash = format!("user=#{}", outcome.subject.value);
    let outcome = lake.membership("accelerometer_trusted", &hash).await;
    let (since, until, _) = stretch(&outcome).unwrap();
    assert_eq!((outcome.rows, since, until), (0, 1, Some(1)));
}

const EVENTS: &str = "description = \"Events\"\n[source]\npath = \"events/*.json\"\nformat = \"json\"\n[columns]\n\
     id = \"long\"\nwho = { type = \"string\", classification = \"pii\" }\nprice = \"double\"\n\
     tags = \"array<string>\"\n";
const PLACES: &str = "description = \"Places\"\n[source]\npath = \"places/*.json\"\nformat = \"json\"\n[columns]\n\
     who = \"string\"\ncity = \"string\"\n";

/// Five events of three people, and where two of them live.
fn shop(sql: &str) -> Lake {
    let derived = "description = \"Derived\"\n";
    let lake = Lake::project(&[
        ("tables/landing/events.toml", EVENTS),
        ("tables/landing/places.toml", PLACES),
        ("tables/curated/derived.toml", derived),
        ("tables/curated/derived.sql", sql),
    ]);
    // Each line has 52 bytes.
    let event = |id: i64, who: &str, price: f64| {
        format!("{:<51}\n", format!("{{\"id\":{id},\"who\":\"{who}\",\"price\":{price:.2},\"tags\":[\"a\",\"b\"]}}"))
    };
    let events = [(1, "ann", 0.1), (2, "ann", 0.2), (3, "ben", 0.7), (4, "cid", 1.5), (5, "ben", 0.3)];
    lake.land("events/a.json", events.map(|(id, who, price)| event(id, who, price)).concat());
    let place = |who: &str, city: &str| format!("{:<39}\n", format!("{{\"who\":\"{who}\",\"city\":\"{city}\"}}"));
    lake.land("places/p.json", place("ann", "Rome") + &place("ben", "Oslo") + &place("ben", "Bern"));
    lake
}

/// `e1` for the first event, `p2` for the second place; `?` before those that only meet a condition, `+` before those of a
/// group.
fn short(outcome: &MembershipOutcome, row: &Explained) -> String {
    let record = |record: &stedi_delta::outcome::Record| {
        let node = &outcome.nodes[record.node];
        let (_, offset) = node.place.clone().unwrap();
        let (letter, length) = if node.table == "events" { ('e', 52) } else { ('p', 40) };
        let role = match record.role {
            Role::Value => "",
            Role::Group => "+",
            Role::Condition => "?",
            Role::Absence => "!",
        };
        format!("{role}{letter}{}", offset / length + 1)
    };
    row.records.iter().map(record).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operator_says_which_rows_a_row_comes_from() {
    for (sql, subject, expected) in [
        ("select e.id, e.who, e.price from events e where e.price < 1", "who=ann", vec!["e1", "e2"]),
        // Columns that are computed.
        ("select e.id * 2 as twice, upper(e.who) as who from events e", "who=CID", vec!["e4"]),
        ("select e.who, p.city from events e join places p on p.who = e.who", "city=Oslo", vec!["e3 e5 p2"]),
        ("select e.id, e.who, p.city from events e join places p on p.who = e.who", "id=3", vec!["e3 p3", "e3 p2"]),
        ("select e.id, p.city from events e left join places p on p.who = e.who", "id=4", vec!["e4"]),
        ("select e.id, p.city from events e left join places p on p.who = e.who", "id=1", vec!["e1 p1"]),
        (
            "select coalesce(e.who, p.who) as who, e.id from events e full join places p on p.who = e.who and e.id > 4",
            "who=ann",
            vec!["e1", "e2", "p1"],
        ),
        // A self join.
        (
            "select a.id, b.id as other from events a join events b on b.who = a.who and b.id > a.id",
            "id=1",
            vec!["e1 e2"],
        ),
        ("select e.who, sum(e.price) as total, count(*) as n from events e group by e.who", "who=ben", vec!["+e3 +e5"]),
        ("select distinct e.who from events e", "who=ann", vec!["+e1 +e2"]),
        ("select count(*) as n, max(e.price) as most from events e", "n=5", vec!["+e1 +e2 +e3 +e4 +e5"]),
        ("select e.id, e.who from events e union all select e.id + 10, e.who from events e", "id=13", vec!["e3"]),
        ("select e.who from events e union select p.who from places p", "who=ann", vec!["+e1 +e2 +p1"]),
        (
            "select e.id, e.who, row_number() over (partition by e.who order by e.id desc, e.source_file, e.source_offset) as n \
             from events e",
            "id=2",
            vec!["e2"],
        ),
        (
            "select e.id from events e where exists (select 1 from places p where p.who = e.who)",
            "id=3",
            vec!["e3 ?p2 ?p3"],
        ),
        (
            "select e.id from events e where exists (select 1 from places p where p.who < e.who and e.id > 3)",
            "id=5",
            vec!["e5 ?p1"],
        ),
        ("select e.id from events e where e.who in (select p.who from places p)", "id=1", vec!["e1 ?p1"]),
        ("select e.id from events e where not exists (select 1 from places p where p.who = e.who)", "id=4", vec!["e4"]),
        (
            "select e.id, exists (select 1 from places p where p.who = e.who) as known from events e",
            "id=3",
            vec!["e3 +p2 +p3"],
        ),
        (
            "select e.id, (select max(p.city) from places p where p.who = e.who) as city from events e",
            "id=3",
            vec!["e3 +p2 +p3"],
        ),
        ("select e.id, unnest(e.tags) as tag from events e", "id=2", vec!["e2", "e2"]),
        // A group of joined rows, a window over groups, a condition on groups.
        (
            "select p.city, count(*) as n from events e join places p on p.who = e.who group by p.city",
            "city=Oslo",
            vec!["+e3 +e5 +p2"],
        ),
        (
            "select g.who, g.n, rank() over (order by g.n desc, g.who) as r from \
             (select e.who, count(*) as n from events e group by e.who) g",
            "who=ann",
            vec!["+e1 +e2"],
        ),
        ("select e.who, count(*) as n from events e group by e.who having count(*) > 1", "who=ben", vec!["+e3 +e5"]),
        (
            "select e.id, e.who from events e where e.who in (select g.who from events g group by g.who having count(*) > 1)",
            "id=1",
            vec!["e1 ?e2"],
        ),
        (
            "select e.id, e.who from events e order by e.id desc, e.source_file, e.source_offset limit 2",
            "id=4",
            vec!["e4"],
        ),
        // Each row comes from the rows that are equal in the keys of its own grouping set.
        ("select e.who, count(*) as n from events e group by rollup (e.who)", "who=ann", vec!["+e1 +e2"]),
        ("select e.who, count(*) as n from events e group by rollup (e.who)", "n=5", vec!["+e1 +e2 +e3 +e4 +e5"]),
        (
            "select e.who, p.city, count(*) as n from events e left join places p on p.who = e.who \
             group by cube (e.who, p.city)",
            "city=Oslo",
            vec!["+e3 +e5 +p2", "+e3 +e5 +p2"],
        ),
        (
            "select e.who, e.id > 2 as late, count(*) as n from events e group by grouping sets ((e.id > 2), (e.who, e.id > 2), (e.who), (e.who))",
            "who=ben",
            vec!["+e3 +e5", "+e3 +e5"],
        ),
        (
            "select e.who, e.id > 2 as late, sum(e.id) as n from events e group by e.id > 2, rollup (e.who)",
            "n=3",
            vec!["+e1 +e2", "+e1 +e2"],
        ),
        (
            "select g.n, g.who from (select e.who, grouping(e.who) as g, count(*) as n from events e \
             group by grouping sets ((e.who), ())) g where g.g = 0",
            "n=1",
            vec!["+e4"],
        ),
    ] {
        let lake = shop(sql);
        lake.sync().await;
        let outcome = lake.membership("derived", subject).await;
        let found: Vec<String> = outcome.explained.iter().map(|row| short(&outcome, row)).collect();
        let mut by_text = found.clone();
        by_text.sort();
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        expected.sort();
        assert_eq!(by_text, expected, "{sql}\n{:?}", outcome.nodes);
        let notes = notes(&outcome);
        assert!(notes.iter().all(|note| !note.contains("not known") && !note.contains("cannot")), "{sql}: {notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_rule_is_said_and_not_guessed() {
    for (sql, subject, expected) in [
        (
            "select g.tags, g.n, rank() over (order by g.n) as r from \
             (select e.tags, count(*) as n from events e group by e.tags) g",
            "n=5",
            "cannot be told apart",
        ),
        (
            "with recursive r as (select e.id, 0 as d from events e union all select r.id, r.d + 1 from r where r.d < 1) \
             select r.id, r.d from r",
            "id=1",
            "its query is recursive: it is explained by all rows of events, each of which may take part",
        ),
    ] {
        let lake = shop(sql);
        lake.sync().await;
        let outcome = lake.membership("derived", subject).await;
        assert!(outcome.rows > 0, "{sql}");
        assert!(outcome.explained.iter().all(|row| row.records.is_empty()), "{sql}");
        assert!(notes(&outcome).iter().any(|note| note.contains(expected)), "{sql}: {:?}", notes(&outcome));
        let sources = &outcome.nodes[outcome.explained[0].node].sources;
        assert_eq!((sources[0].table.as_str(), sources[0].version, sources[0].rows), ("events", Some(0), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_query_does_not_give_is_said_to_be_no_row_of_it() {
    let lake = shop("select e.id, e.who, e.price from events e where e.price < 1");
    lake.sync().await;
    let table = lake.table("curated/derived").await;
    let batch = deltalake::arrow::array::RecordBatch::try_from_iter_with_nullable([
        (
            "id",
            std::sync::Arc::new(deltalake::arrow::array::Int64Array::from(vec![9]))
                as deltalake::arrow::array::ArrayRef,
            true,
        ),
        ("who", std::sync::Arc::new(deltalake::arrow::array::StringArray::from(vec!["eve"])), true),
        ("price", std::sync::Arc::new(deltalake::arrow::array::Float64Array::from(vec![0.5])), true),
    ])
    .unwrap();
    let url = url::Url::from_directory_path(lake.warehouse().join("curated/derived")).unwrap();
    let foreign = deltalake::DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    foreign.write(vec![batch]).await.unwrap();
    let outcome = lake.membership("derived", "who=eve").await;
    assert_eq!((outcome.rows, stretch(&outcome)), (1, Some((table.version() + 1, None, true))));
    let notes = notes(&outcome);
    assert!(notes.contains("the query of derived does not give this row from these sources"), "{notes:?}");
    // The others are explained as before.
    let outcome = lake.membership("derived", "who=ben").await;
    assert_eq!(outcome.explained.iter().map(|row| short(&outcome, row)).collect::<Vec<_>>(), ["e3", "e5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_definition_and_sources_that_are_gone_are_said() {
    let lake = shop("select e.id, e.who, e.price from events e where e.price < 1");
    lake.sync().await;
    lake.define("tables/curated/derived.sql", "select e.id, e.who, e.price from events e where e.price < 2");
    let outcome = lake.membership("derived", "who=ben").await;
    assert_eq!(outcome.explained.iter().map(|row| short(&outcome, row)).collect::<Vec<_>>(), ["e3", "e5"]);
    assert!(notes(&outcome).iter().any(|note| note.contains("by another definition")), "{:?}", notes(&outcome));
    fs::remove_dir_all(lake.warehouse().join("landing/events")).unwrap();
    let outcome = lake.membership("derived", "who=ben").await;
    assert_eq!(outcome.rows, 2);
    assert!(notes(&outcome).iter().any(|note| note.contains("events does not exist")), "{:?}", notes(&outcome));
}

#[tokio::test(flavor = "multi_thread")]
async fn landing_and_quarantine_are_asked_themselves() {
    let lake = shop("select e.id from events e");
    lake.land("events/b.json", "{\"id\":6,\"who\":\"eve\"}\n{\"id\":\"x\",\"who\":\"eve\"}\n");
    lake.sync().await;
    let outcome = lake.membership("events", "who=eve").await;
    assert_eq!(records(&outcome, &outcome.explained[0]), ["Value events events/b.json@0"]);
    let node = &outcome.nodes[0];
    assert!(node.values.iter().any(|(name, value)| name == "id" && *value == 6), "{node:?}");
    let outcome = lake.membership("events_quarantine", "source_file=events/b.json").await;
    assert_eq!(records(&outcome, &outcome.explained[0]), ["Value events_quarantine events/b.json@21"]);
    assert_eq!(outcome.nodes[0].length, Some(22));
    let outcome = lake.membership("files", "path=events/b.json").await;
    assert_eq!(outcome.rows, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_subject_is_a_wrong_command() {
    let lake = shop("select e.id, e.who, e.tags from events e");
    lake.sync().await;
    for (table, subject, message) in [
        ("derive", "who=ann", "table `derive` is not in this project"),
        ("derived", "hwo=ann", "derived has no column `hwo`"),
        ("derived", "id=ann", "the subject is no value of column `id`"),
        ("derived", "tags=a", "column `tags` of derived names nobody"),
        ("derived", "who=#12", "`#12` is not a hash"),
        ("derived@v7", "who=ann", "derived has no version 7"),
        ("derived@yesterday", "who=ann", "`yesterday` is neither a version nor a time"),
    ] {
        let error = lake.try_membership(table, subject, false).await.expect_err(message);
        assert_eq!((error.kind(), error.message()), (Kind::Usage, message), "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_hashes_and_takes_the_subject_from_standard_input_or_by_its_hash() {
    let lake = shop("select e.id, e.who, e.price from events e where e.price < 1");
    lake.sync().await;
    let asked = lake.program_reading("ben\n", &["audit", "membership", "derived", "--subject", "who=-"]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    let hash = asked.out.split(' ').nth(1).unwrap().to_owned();
    let head = format!("who {hash} is in derived v0 (20");
    assert!(asked.out.starts_with(&head) && asked.out.contains("): 2 rows, since v0 (20"), "{}", asked.out);
    assert!(
        asked.out.contains("\nRow 1 of 2\n") && asked.out.contains("    events v0  events/a.json @ 104, 50 bytes\n"),
        "{}",
        asked.out
    );
    assert!(!format!("{}{}", asked.out, asked.err).contains("ben"), "{}{}", asked.out, asked.err);
    assert!(
        asked.err.contains("note: personal data is shown as hashes (hashed with STEDI_DELTA_HASH_KEY"),
        "{}",
        asked.err
    );
    let again =
        lake.program(&["audit", "membership", "derived", "--subject", &format!("who=#{hash}"), "--format", "json"]);
    let document = again.json();
    assert_eq!((&document["report"], &document["member"]), (&"membership/1".into(), &true.into()));
    assert_eq!((&document["rows"], &document["subject"]["value"]), (&2.into(), &hash.as_str().into()));
    let record = &document["explained"][0]["records"][0];
    assert_eq!((&record["source_file"], &record["source_offset"]), (&"events/a.json".into(), &104.into()));
    assert_eq!((&record["length"], &record["compression"]), (&50.into(), &serde_json::Value::Null));
    assert!(!again.out.contains("ben"), "{}", again.out);
    let revealed = lake.program(&["audit", "membership", "derived", "--subject", "who=ben", "--reveal"]);
    assert!(revealed.out.starts_with("who ben is in derived v0"), "{}", revealed.out);
    let nobody = lake.program(&["audit", "membership", "derived", "--subject", "who=cid", "--format", "json"]);
    assert_eq!((nobody.code, &nobody.json()["member"]), (0, &false.into()));
    let timeline = lake.program(&["audit", "membership", "derived", "--subject", "id=3", "--all-versions", "-n", "0"]);
    assert!(timeline.out.contains("\n  v0  20") && timeline.out.contains("  +1  1 row\n"), "{}", timeline.out);
    let wrong = lake.program(&["audit", "membership", "derived", "--subject", "ben"]);
    assert_eq!(wrong.code, 64, "{}", wrong.err);
}
