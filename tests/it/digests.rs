//! Digests of tables: followed from change to change they are those of a scan, and they find what nobody declared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Float64Type, Schema};
use deltalake::parquet::arrow::ArrowWriter;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use deltalake::parquet::file::properties::{EnabledStatistics, WriterProperties};
use deltalake::{DeltaTable, DeltaTableBuilder};
use stedi_delta::audit::{self, Scope};
use stedi_delta::outcome::{DigestAudit, VerifyAudit, VerifyVerdict};
use stedi_delta::replay;
use stedi_delta::sync::{Options, Reload};
use url::Url;

use crate::law::{Case, Op};
use crate::support::shop::{ORDERS, orders, shop};
use crate::support::{Lake, assert_ok, foreign_delete};

/// Every table, compared with its digest.
pub(crate) async fn digests(lake: &Lake) -> BTreeMap<String, DigestAudit> {
    let workspace = lake.workspace().await;
    audit::digests(&workspace).await.unwrap_or_else(|e| panic!("{e} {:?}", e.facts())).into_iter().collect()
}

/// Every table has a digest that was followed from its first row on, and its rows are those of it.
pub(crate) async fn assert_followed(lake: &Lake, what: &str) {
    for (table, found) in digests(lake).await {
        let DigestAudit { verdict, begun, .. } = &found;
        assert!(*verdict == VerifyVerdict::Equal && begun.is_none(), "{what}: {table}: {found:?}");
    }
}

fn path(table: &str, path: &str) -> Vec<Reload> {
    vec![Reload { table: table.into(), path: Some(path.into()) }]
}

/// The shop with a table of a window, and expectations that quarantine.
fn lake() -> Lake {
    let lake = shop("auto");
    let checked = "[[expectations]]\nname = \"priced\"\ncheck = \"price is not null\"\naction = \"quarantine\"\n";
    lake.define("tables/landing/orders.toml", &format!("{ORDERS}{checked}"));
    lake.define(
        "tables/curated/latest.toml",
        "description = \"x\"\n[[expectations]]\nname = \"few\"\ncheck = \"id < 7\"\naction = \"quarantine\"\n",
    );
    lake.define(
        "tables/curated/latest.sql",
        "select t.item, t.id, t.price from (select o.item, o.id, o.price, row_number() over (partition by o.item \
         order by o.id desc nulls last, o.source_file, o.source_offset) as r from orders o) as t where t.r = 1",
    );
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_follows_every_change_without_a_scan() {
    let lake = lake();
    lake.land_first_orders();
    lake.land("orders/d.json", "{\"id\": 20, \"item\": \"nut\"}\n");
    let mut begun = lake.sync().await.digests;
    assert_followed(&lake, "first build").await;
    let sync = async |options: Options, what: &str| {
        let outcome = lake.try_sync_with(options).await;
        assert_ok(&outcome);
        assert_followed(&lake, what).await;
        outcome.digests
    };
    lake.land_more_orders();
    begun.extend(sync(Options::default(), "a replaced file, a new one").await);
    begun.extend(sync(Options { unload: path("orders", "orders/c.json"), ..Options::default() }, "unloaded").await);
    begun.extend(sync(Options { reload: path("orders", "orders/b.json"), ..Options::default() }, "reloaded").await);
    let select = vec!["items".to_owned()];
    begun.extend(sync(Options { select, full_refresh: true, ..Options::default() }, "computed whole").await);
    // Replaced as a whole: other columns.
    lake.define(
        "tables/curated/items.sql",
        "select o.item, count(*) as n, max(o.price) as most from orders o group by o.item",
    );
    begun.extend(sync(Options::default(), "another query").await);
    // A new column is NULL in rows from before.
    lake.define("tables/landing/orders.toml", &format!("{ORDERS}note = \"string\"\n"));
    lake.land("orders/e.json", "{\"id\": 30, \"item\": \"nut\", \"price\": 1.5, \"note\": \"n\"}\n");
    begun.extend(sync(Options::default(), "another column").await);
    // Records that the definition accepts by now.
    replay::replay(&lake.workspace().await, "orders").await.unwrap();
    assert_followed(&lake, "replayed").await;
    begun.extend(sync(Options::default(), "after the replay").await);
    // Nothing is left to do, and nothing was scanned.
    let files = lake.files();
    begun.extend(lake.sync().await.digests);
    assert_eq!((begun, files), (Vec::new(), lake.files()));
    let known = digests(&lake).await;
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["cheap", "files", "items", "latest", "latest_quarantine", "orders", "orders_quarantine", "runs"]
    );
}

/// The events of a random case that only land files, and delete tables.
fn landing_only(seed: u64) -> Case {
    let mut case = Case::of(seed);
    for step in &mut case.steps {
        step.retain(|op| matches!(op, Op::Land { .. } | Op::Recreate { .. }));
    }
    case
}

#[tokio::test(flavor = "multi_thread")]
async fn random_histories_have_the_digests_of_a_scan() {
    let mut compared = 0;
    for seed in 0..24 {
        let mut stats = Default::default();
        let Some(case) = crate::law::accepted(landing_only(seed), &mut stats).await else { continue };
        let files = case.files();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let lake = Lake::project(&files);
        for (number, step) in case.steps.iter().enumerate() {
            for op in step {
                crate::law::apply(&lake, &case.landing, op).await.unwrap();
            }
            let outcome = lake.try_sync().await;
            assert_ok(&outcome);
            assert!(outcome.digests.is_empty(), "seed {seed}, step {number}: {:?}\n{case}", outcome.digests);
            assert_followed(&lake, &format!("seed {seed}, step {number}\n{case}")).await;
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

fn folder(lake: &Lake, table: &str) -> PathBuf {
    lake.warehouse().join(table)
}

async fn open(folder: &Path) -> DeltaTable {
    DeltaTableBuilder::from_url(Url::from_directory_path(folder).unwrap()).unwrap().load().await.unwrap()
}

/// Another writer appends an order.
async fn plant(lake: &Lake) {
    let table = open(&folder(lake, "landing/orders")).await;
    let fields = [("id", DataType::Int64), ("item", DataType::Utf8), ("price", DataType::Float64)];
    let own = [("source_file", DataType::Utf8), ("source_offset", DataType::Int64)];
    let fields: Vec<Field> = fields.into_iter().chain(own).map(|(name, kind)| Field::new(name, kind, true)).collect();
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as Arc<dyn Array>;
    let long = |value| Arc::new(Int64Array::from(vec![value])) as Arc<dyn Array>;
    let price = Arc::new(deltalake::arrow::array::Float64Array::from(vec![9.0]));
    let columns = vec![long(77), text("nut"), price, text("somebody"), long(0)];
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    table.write(vec![rows]).await.unwrap();
}

async fn verified(lake: &Lake, text: &str) -> VerifyAudit {
    let scope = Scope::parse(Some(text), None, &Default::default()).unwrap();
    let mut found = audit::verify(&lake.workspace().await, &scope).await.unwrap_or_else(|e| panic!("{e}"));
    let found = found.tables.remove(0);
    assert!(found.problem.is_none(), "{:?}", found.problem);
    found
}

/// The verdict, and why.
async fn verdict(lake: &Lake, text: &str) -> (VerifyVerdict, String) {
    let found = verified(lake, text).await;
    let begun = found
        .digest
        .and_then(|digest| digest.begun)
        .map(|begun| format!("begun at v{}: {}", begun.version, begun.because));
    (found.verdict, found.because.or(begun).unwrap_or_default())
}

fn because(text: &str, verdict: VerifyVerdict) -> (VerifyVerdict, String) {
    (verdict, text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_by_another_writer_is_found_until_a_sync_takes_it_in() {
    use VerifyVerdict::{Different, Equal};
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..4));
    lake.sync().await;
    plant(&lake).await;
    let found = "5 rows, and its digest is of 4; v1 (WRITE) is a commit of another writer";
    assert_eq!(verdict(&lake, "orders").await, because(found, Different));
    assert_eq!(verdict(&lake, "orders@v0").await, because("", Equal));
    // A sync takes a foreign commit of a landing table as a change like any other, and says so.
    let begun = lake.sync().await.digests;
    let facts: Vec<_> =
        begun.iter().map(|d| (d.table.as_str(), d.version, d.rows, d.because.as_str(), &d.problem)).collect();
    assert_eq!(facts, [("orders", 1, Some(5), "v1 (WRITE) is a commit of another writer", &None)]);
    let begun = "begun at v1: v1 (WRITE) is a commit of another writer";
    assert_eq!(verdict(&lake, "orders").await, because(begun, Equal));
    // Where it began stays known.
    lake.land("orders/b.json", orders(4..6));
    assert!(lake.sync().await.digests.is_empty());
    assert_eq!(verdict(&lake, "orders").await, because(begun, Equal));
    // Rows that it exchanges are found, and a compaction changes none.
    let table = open(&folder(&lake, "landing/orders")).await;
    table.optimize().await.unwrap();
    assert_eq!(verdict(&lake, "orders").await, because(begun, Equal));
    assert!(lake.sync().await.digests.is_empty());
    foreign_delete(&lake, "landing/orders", "id = 77").await;
    plant(&lake).await;
    assert_eq!(verdict(&lake, "orders").await.0, Equal, "the same row again");
    foreign_delete(&lake, "landing/orders", "id = 3").await;
    plant(&lake).await;
    let (found, why) = verdict(&lake, "orders").await;
    assert_eq!(found, Different);
    assert!(why.starts_with("of its 7 rows, some are not those of its digest; v"), "{why}");
}

/// Where the footer of a Parquet file begins.
fn footer_at(bytes: &[u8]) -> usize {
    let end = bytes.len() - 8;
    end - u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering_with_a_table_and_what_is_computed_from_it_is_found() {
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..4));
    lake.sync().await;
    // 3.0 becomes 4.0 in the data file, which keeps its size.
    for table in ["landing/orders", "trusted/cheap"] {
        let file = lake.table(table).await.files().remove(0);
        let data = folder(&lake, table).join(&file.path);
        let batches = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&data).unwrap()).unwrap();
        let batches: Vec<RecordBatch> = batches.build().unwrap().map(Result::unwrap).collect();
        let plain = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None);
        let plain = plain.set_offset_index_disabled(true).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(plain)).unwrap();
        for batch in &batches {
            let at = batch.schema().index_of("price").unwrap();
            let mut columns = batch.columns().to_vec();
            let prices = batch.column(at).as_primitive::<Float64Type>();
            columns[at] = Arc::new(prices.unary::<_, Float64Type>(|price| if price == 3.0 { 4.0 } else { price }));
            writer.write(&RecordBatch::try_new(batch.schema(), columns).unwrap()).unwrap();
        }
        let mut bytes = writer.into_inner().unwrap();
        // Nobody looks at what is between the rows and the footer.
        let footer = footer_at(&bytes);
        let gap = usize::try_from(file.size).unwrap() - bytes.len();
        drop(bytes.splice(footer..footer, vec![0; gap]));
        fs::write(&data, bytes).unwrap();
    }
    let found = verified(&lake, "cheap").await;
    let edited = "of its 4 rows, some are not those of its digest";
    assert!(found.verified.unwrap().is_equal(), "its query gives the edited rows too");
    assert_eq!((found.verdict, found.because.as_deref()), (VerifyVerdict::Different, Some(edited)));
    assert_eq!(verdict(&lake, "orders").await, because(edited, VerifyVerdict::Different));
    // Also after the rest of the file was rewritten by a sync.
    lake.land("orders/a.json", orders(0..3));
    lake.sync().await;
    let (found, _) = verdict(&lake, "orders").await;
    assert_eq!(found, VerifyVerdict::Different, "the row that left is not the one that came");
}

/// Only files of versions that ended may be vacuumed.
#[tokio::test(flavor = "multi_thread")]
async fn a_data_file_that_is_missing_was_not_vacuumed() {
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..4));
    lake.sync().await;
    for table in ["landing/orders", "trusted/cheap"] {
        let file = lake.table(table).await.files().remove(0);
        fs::remove_file(folder(&lake, table).join(file.path)).unwrap();
        let name = table.rsplit('/').next().unwrap();
        for version in ["", "@v0"] {
            let (found, why) = verdict(&lake, &format!("{name}{version}")).await;
            assert_eq!(found, VerifyVerdict::Different, "{why}");
            assert!(why.contains("data file `part-") && why.contains("cannot be read"), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_is_found_if_and_only_if_it_changes_a_row() {
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..4));
    lake.sync().await;
    let file = lake.table("landing/orders").await.files().remove(0).path;
    let path = folder(&lake, "landing/orders").join(file);
    let bytes = fs::read(&path).unwrap();
    let sql = "select id, item, price, source_file, source_offset from orders";
    let rows = lake.rows(sql).await;
    let workspace = lake.workspace().await;
    let scope = Scope::parse(Some("orders"), None, &Default::default()).unwrap();
    let (mut found, mut unchanged) = (0, 0);
    // Metadata that is damaged lets the decoder panic.
    for at in (4..footer_at(&bytes)).step_by(11) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, flipped).unwrap();
        let read = stedi_delta::inspect::query(&workspace, sql).await;
        let same = match read {
            Ok(_) => lake.rows(sql).await == rows,
            Err(_) => false,
        };
        let verdict = audit::verify(&workspace, &scope).await.unwrap().tables.remove(0);
        assert!(verdict.problem.is_none(), "byte {at}: {:?}", verdict.problem);
        let expected = if same { VerifyVerdict::Equal } else { VerifyVerdict::Different };
        assert_eq!(verdict.verdict, expected, "byte {at} of {}: {:?}", bytes.len(), verdict.because);
        if same { unchanged += 1 } else { found += 1 }
    }
    assert!(found > 10, "{found} found, {unchanged} without a changed row");
    fs::write(&path, bytes).unwrap();
    assert_eq!(verdict(&lake, "orders").await, because("", VerifyVerdict::Equal));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_begun_anew_where_no_change_leads_to_it() {
    use stedi_delta::progress::Silent;
    use stedi_delta::restore;
    use stedi_delta::travel::Point;
    let lake = shop("auto");
    lake.land("orders/a.json", orders(0..4));
    lake.sync().await;
    lake.land("orders/b.json", orders(4..6));
    lake.sync().await;
    // A restore takes back what the recorded digest is of.
    let workspace = lake.workspace().await;
    let restoration = restore::prepare(&workspace, "cheap", &Point::Version(0)).await.unwrap();
    restoration.carry_out("r", &Silent).await.unwrap();
    let found = verdict(&lake, "cheap").await;
    assert_eq!(found.0, VerifyVerdict::Equal, "its query over the versions that it took over");
    let found = verified(&lake, "cheap").await.digest.unwrap();
    let why = "it has no digest: v2 is a restore; a sync of all tables begins one";
    assert_eq!((found.verdict, found.because.as_deref()), (VerifyVerdict::Unknown, Some(why)));
    let said = |digests: Vec<stedi_delta::outcome::DigestNotice>| {
        digests.into_iter().map(|d| format!("{} v{}: {}", d.table, d.version, d.because)).collect::<Vec<_>>()
    };
    assert_eq!(said(lake.sync().await.digests), ["cheap v3: v2 is a restore"]);
    // A migration that rewrites: the rows of other columns have other digests.
    lake.define("tables/landing/orders.toml", &ORDERS.replace("price = \"double\"", "cost = \"double\""));
    lake.define("tables/trusted/cheap.sql", "select o.id, o.item, o.cost as price from orders o where o.cost < 5");
    lake.define("migrations/0001_cost.sql", "alter table orders rename column price to cost;\n");
    let begun = said(lake.sync().await.digests);
    assert_eq!(begun.len(), 1, "{begun:?}");
    assert!(begun[0].starts_with("orders v") && begun[0].contains("a migration rewrote the table in v"), "{begun:?}");
    for (table, found) in digests(&lake).await {
        assert_eq!(found.verdict, VerifyVerdict::Equal, "{table}: {found:?}");
        assert_eq!(found.begun.is_some(), ["cheap", "orders"].contains(&table.as_str()), "{table}: {found:?}");
    }
}
