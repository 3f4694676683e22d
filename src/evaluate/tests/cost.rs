//! Limits on the cost of a change: which tables are opened, which results are held, which conditions a table's reader
//! gets.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use deltalake::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::common::Result as EngineResult;
use deltalake::datafusion::datasource::{MemTable, TableType};
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;

use super::consent::{TRUSTED, readings, steps, world};
use super::support::{TestTable, Value, World, counted, law, program, session};
use crate::error::Result;
use crate::evaluate::{Limits, Sources, full, run, run_with};
use crate::incremental::{ChangeKind, ChangeSize, OldResult, Side, WEIGHT, scan_name};

/// Records which tables were opened, and with which filters.
#[derive(Debug)]
struct Watched {
    world: World,
    /// The maintained table.
    result: Option<Arc<dyn TableProvider>>,
    opened: Mutex<Vec<String>>,
    filters: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct WatchedTable {
    name: String,
    table: Arc<dyn TableProvider>,
    filters: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl TableProvider for WatchedTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let text: Vec<String> = filters.iter().map(ToString::to_string).collect();
        self.filters.lock().expect("lock").push(format!("{}: {}", self.name, text.join(" AND ")));
        self.table.scan(state, projection, &[], limit).await
    }
}

#[async_trait]
impl Sources for Watched {
    async fn provider(&self, table: &str, side: Side) -> Result<Arc<dyn TableProvider>> {
        let name = scan_name(table, side);
        self.opened.lock().expect("lock").push(name.clone());
        let table = match (side, &self.result) {
            (Side::Maintained, Some(result)) => Arc::clone(result),
            _ => self.world.provider(table, side).await?,
        };
        Ok(Arc::new(WatchedTable { name, table, filters: Arc::clone(&self.filters) }))
    }

    fn change_kind(&self, table: &str) -> ChangeKind {
        self.world.change_kind(table)
    }

    fn old_result(&self) -> OldResult {
        if self.result.is_some() { OldResult::Maintained } else { OldResult::Computed }
    }
}

impl Watched {
    fn new(world: World) -> Self {
        Self { world, result: None, opened: Mutex::default(), filters: Arc::default() }
    }

    /// Names of the opened tables, each once, sorted.
    fn opened(&self) -> Vec<String> {
        let mut names = self.opened.lock().expect("lock").clone();
        names.sort();
        names.dedup();
        names
    }
}

/// A draw that is an old row, or a change, of `customers` or `readings`.
fn draw(person: u8, consent: u8, updated: u8, what: u8) -> Vec<u8> {
    vec![person, 0, consent, updated, 0, what]
}

async fn rows(watched: &Watched, sql: &str) -> usize {
    let ctx = session();
    let (_, program) = program(&watched.world, sql);
    let change = run(&program, &ctx, watched).await.expect("change").collect().await.expect("rows");
    counted(&change, true).len()
}

#[tokio::test]
async fn a_withdrawal_reads_the_readings_of_one_person() {
    // p and q consent; then q's newer record refuses.
    let customers = [draw(0, 1, 0, 0), draw(1, 1, 0, 0), draw(1, 2, 1, 2)];
    let watched = Watched::new(world(&customers, &[draw(0, 0, 0, 0), draw(1, 0, 0, 0)], &[]));
    assert_eq!(rows(&watched, &readings()).await, 1);
    assert_eq!(watched.opened(), ["customers@change", "customers@new", "customers@old", "readings@new"]);
    let filters = watched.filters.lock().expect("lock").clone();
    for name in ["customers@old", "customers@new", "readings@new"] {
        assert!(
            filters.iter().filter(|f| f.starts_with(name)).all(|f| f.contains(r#"= Utf8("q")"#)),
            "{name}: {filters:?}"
        );
    }
}

#[tokio::test]
async fn a_change_without_consequence_stops_early() {
    // q's newer record still consents.
    let customers = [draw(0, 1, 0, 0), draw(1, 1, 0, 0), draw(1, 1, 1, 2)];
    let watched = Watched::new(world(&customers, &[draw(1, 0, 0, 0)], &[]));
    assert_eq!(rows(&watched, &readings()).await, 0);
    assert!(!watched.opened().contains(&"readings@new".to_owned()), "{:?}", watched.opened());
}

#[tokio::test]
async fn keys_that_are_no_partitions_still_restrict_a_window() {
    // p and q claim the same device; then q refuses, and the device is p's alone.
    let customers = [draw(0, 1, 0, 0), draw(1, 1, 0, 0), draw(1, 2, 1, 2)];
    let watched = Watched::new(world(&customers, &[], &[draw(0, 0, 0, 0)]));
    assert_eq!(rows(&watched, &steps()).await, 1);
    let filters = watched.filters.lock().expect("lock").clone();
    let read = filters.iter().filter(|f| f.starts_with("customers@") && !f.starts_with("customers@change"));
    assert!(read.clone().count() >= 4 && read.clone().all(|f| f.contains("Utf8(")), "{filters:?}");
}

#[tokio::test]
async fn what_combines_with_the_result_reads_nothing_else() {
    // One row that stays, one that is inserted twice.
    let world = world(&[], &[], &[draw(0, 0, 0, 0), draw(0, 0, 0, 2), draw(0, 0, 0, 2)]);
    let ctx = session();
    // The engine wraps `count(*)` in two names.
    for aggregates in ["count(*) as n", "count(*), sum(distance) as s", "max(distance), count(sensorreadingtime) as n"]
    {
        let sql = format!("select serialnumber as d, {aggregates} from steps group by serialnumber");
        let (plan, program) = program(&world, &sql);
        let old = full(&plan, &ctx, &World { before: true, ..world.clone() }).await.expect("old");
        let (schema, old) = (old.schema(), old.try_collect::<Vec<_>>().await.expect("rows"));
        let result = MemTable::try_new(schema, vec![old]).expect("table");
        let watched = Watched { result: Some(Arc::new(result)), ..Watched::new(world.clone()) };
        let change = run(&program, &ctx, &watched).await.expect("change").collect().await.expect("rows");
        assert_eq!(counted(&change, true).len(), 2, "{sql}");
        assert_eq!(watched.opened(), ["@result", "steps@change"], "{sql}");
    }
}

#[tokio::test]
async fn a_bounded_frame_reads_the_days_within_its_reach() {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    let row = |d: i64| (vec![Value::Int(Some(1)), Value::Int(Some(d)), Value::Int(Some(d))], 1);
    let table = TestTable::new("t", &columns, (0..1000).map(row).collect(), vec![row(1000)]);
    let world = World { tables: vec![table], before: false };
    let sql =
        "select k, d, max(v) over (partition by k order by d range between 7 preceding and current row) as x from t";
    let watched = Watched::new(world);
    assert_eq!(rows(&watched, sql).await, 1);
    let filters = watched.filters.lock().expect("lock").clone();
    let read = filters.iter().filter(|f| f.starts_with("t@new") || f.starts_with("t@old"));
    assert!(read.clone().count() >= 2 && read.clone().all(|f| f.contains("d >= Int64(993)")), "{filters:?}");
}

#[tokio::test]
async fn one_aggregate_combines_with_its_row_and_a_grouping_below_reads_the_new_rows_only() {
    let columns = [("k", DataType::Int64), ("v", DataType::Int64)];
    let row = |k: i64, v: i64| (vec![Value::Int(Some(k)), Value::Int(Some(v))], 1);
    let table = TestTable::new("t", &columns, vec![row(1, 1), row(1, 2), row(2, 5)], vec![row(1, 3), row(3, 4)]);
    let world = World { tables: vec![table], before: false };
    for (sql, opened) in [
        ("select count(*) as n, sum(v) as s from t", &["@result", "t@change"][..]),
        ("select max(v) as m from (select k, v from t where v > 1)", &["@result", "t@change"]),
        (
            "select 'all' as name, count(*) as n from t union all select 'great', count(*) from t where v > 2",
            &["@result", "t@change"],
        ),
        ("select count(*) as n from (select distinct k from t)", &["@result", "t@change", "t@new"]),
        (
            "select n, count(*) as c from (select k, count(*) as n, sum(v) as s from t group by k) group by n",
            &["@result", "t@change", "t@new"],
        ),
    ] {
        assert_eq!(opened_over_result(&world, sql).await, opened, "{sql}");
    }
}

#[tokio::test]
async fn a_newest_row_is_compared_with_the_one_of_the_result() {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    let row = |k: i64, d: i64, v: i64| (vec![Value::Int(Some(k)), Value::Int(Some(d)), Value::Int(Some(v))], 1);
    let old = vec![row(1, 5, 1), row(1, 6, 1), row(2, 5, 0)];
    let query = |shown: &str, further: &str| {
        format!(
            "select {shown} from (select *, row_number() over (partition by k order by d desc, v) as n from t) \
             where n = 1{further}"
        )
    };
    let newer = || vec![row(1, 7, 1), row(1, 8, 1), row(1, 8, 2)];
    let all = &["@result", "t@change", "t@new"][..];
    let combined = &["@result", "t@change"][..];
    for (change, sql, opened) in [
        (newer(), query("k, d", ""), combined),
        (newer(), query("k, d, v", " and v > 0"), combined),
        (vec![row(1, 4, 1), row(3, 1, 1)], query("k, d, v", ""), combined),
        (vec![row(1, 6, 1), row(1, 7, 1)], query("d, k", ""), combined),
        (vec![row(1, 6, 2)], query("k, d, v", ""), combined),
        // A tie of the keys that are shown.
        (vec![row(1, 6, 2)], query("k, d", ""), all),
        // A partition whose first row is hidden, or which is new.
        (vec![row(2, 9, 1)], query("k, d, v", " and v > 0"), all),
        (vec![row(3, 9, 1)], query("k, d, v", " and v > 0"), all),
        // The first row goes, and none comes that is before it.
        (vec![(row(1, 6, 1).0, -1)], query("k, d", ""), all),
        // The first order key is one of the partition, and the next is not shown.
        (newer(), query("k, v", "").replace("order by d", "order by k, d"), all),
        // The first order key is not shown.
        (newer(), query("k, v", ""), all),
        // Not the first row.
        (newer(), query("k, d", "").replace("n = 1", "n = 2"), all),
    ] {
        let world = World { tables: vec![TestTable::new("t", &columns, old.clone(), change)], before: false };
        assert_eq!(opened_over_result(&world, &sql).await, opened, "{sql}: {:?}", world.tables[0].change);
    }
}

#[test]
fn rows_are_not_compared_by_keys_that_tie_in_each_partition() {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    let world = World { tables: vec![TestTable::new("t", &columns, Vec::new(), Vec::new())], before: false };
    let compares = |order: &str| {
        let sql = format!(
            "select k, v from (select *, row_number() over (partition by k order by {order}) as n from t) where n = 1"
        );
        let (_, program) = program(&world, &sql);
        let stages =
            program.stages(&|_| ChangeKind::Mutating, OldResult::Maintained, ChangeSize::Unknown).expect("a plan");
        stages.steps.iter().any(|step| step.must_be_held)
    };
    assert!(compares("v, d"));
    assert!(compares("k, v, d"));
    assert!(!compares("k, d, v"));
    assert!(!compares("k desc, d"));
    assert!(!compares("k"));
}

#[tokio::test]
async fn a_change_of_too_many_partitions_is_not_compared_with_the_result() {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    let row = |k: i64, d: i64| (vec![Value::Int(Some(k)), Value::Int(Some(d)), Value::Int(Some(k))], 1);
    let sql =
        "select k, d from (select *, row_number() over (partition by k order by d desc, v) as n from t) where n = 1";
    let old: Vec<_> = (0..500).map(|k| row(k, 0)).collect();
    let held = Limits { bytes: 16 << 10 };
    for (partitions, opened) in [(2, &["@result", "t@change"][..]), (500, &["@result", "t@change", "t@new"])] {
        // Larger than the limit, so that it is computed wherever it is read.
        let change = (1..1001).map(|d| row(d % partitions, d)).collect();
        let world = World { tables: vec![TestTable::new("t", &columns, old.clone(), change)], before: false };
        assert_eq!(opened_within(&world, sql, held).await, opened, "{partitions} partitions");
        assert_eq!(law(&world, sql, held).await, Ok(()), "{partitions} partitions");
    }
}

/// The tables that the change of a query opens, over its old result.
async fn opened_over_result(world: &World, sql: &str) -> Vec<String> {
    opened_within(world, sql, Limits::default()).await
}

/// The same, with little memory.
async fn opened_within(world: &World, sql: &str, limits: Limits) -> Vec<String> {
    watched_within(world, sql, limits).await.opened()
}

/// The tables after the change of a query, over its old result.
async fn watched_within(world: &World, sql: &str, limits: Limits) -> Watched {
    let ctx = session();
    let (plan, program) = program(world, sql);
    let old = full(&plan, &ctx, &World { before: true, ..world.clone() }).await.expect("old");
    let (schema, old) = (old.schema(), old.try_collect::<Vec<_>>().await.expect("rows"));
    let result = MemTable::try_new(schema, vec![old]).expect("table");
    let watched = Watched { result: Some(Arc::new(result)), ..Watched::new(world.clone()) };
    run_with(&program, &ctx, &watched, limits).await.expect("change").collect().await.expect("rows");
    watched
}

/// What a window function over the days of partitions reads of tables, by the least day that each scan asks for.
async fn days_read(function: &str, old: &[(i64, i64)], change: &[(i64, i64)]) -> Vec<(String, String)> {
    let columns = [("k", DataType::Int64), ("d", DataType::Int64), ("v", DataType::Int64)];
    let row = |(k, d): &(i64, i64)| (vec![Value::Int(Some(*k)), Value::Int(Some(*d)), Value::Int(Some(d % 7))], 1);
    let bag = |rows: &[(i64, i64)]| rows.iter().map(row).collect();
    let world = World { tables: vec![TestTable::new("t", &columns, bag(old), bag(change))], before: false };
    let sql = format!("select k, d, v, {function} over (partition by k order by d) as x from t");
    let watched = watched_within(&world, &sql, Limits::default()).await;
    let least = |filters: &str| {
        let at = filters.split_once("d >= Int64(").map(|(_, rest)| rest.split(')').next().unwrap_or_default());
        at.unwrap_or("all").to_owned()
    };
    let filters = watched.filters.lock().expect("lock").clone();
    let scans = filters.iter().filter_map(|text| text.split_once(": "));
    let read = scans.filter(|(name, _)| *name != "t@change").map(|(name, of)| (name.to_owned(), least(of)));
    let mut read: Vec<_> = read.collect();
    read.sort();
    read
}

#[tokio::test]
async fn neighbours_are_read_around_the_change() {
    let old: Vec<(i64, i64)> = (0..500).flat_map(|d| [(1, d), (2, d)]).chain([(3, 5), (3, 400)]).collect();
    let read = |scans: &[(&str, &str)]| -> Vec<(String, String)> {
        scans.iter().map(|(name, least)| ((*name).to_owned(), (*least).to_owned())).collect()
    };
    // Ten days more: a look ten days back, one at what follows, the day before and the new ones.
    let days = |k: i64| (500..510).map(move |d| (k, d));
    let batch: Vec<(i64, i64)> = days(1).chain(days(2)).collect();
    let expected = [("@result", "500"), ("t@new", "491"), ("t@new", "499"), ("t@new", "509")];
    assert_eq!(days_read("lag(v)", &old, &batch).await, read(&expected));
    // Of one partition, the row before is further back than that: all before it is asked for, of this partition.
    let late: Vec<(i64, i64)> = days(1).chain([(3, 505)]).collect();
    let expected = [("@result", "500"), ("t@new", "400"), ("t@new", "491"), ("t@new", "505"), ("t@new", "all")];
    assert_eq!(days_read("lag(v)", &old, &late).await, read(&expected));
}

#[tokio::test]
async fn a_running_sum_reads_the_rows_from_the_first_changed_one_on() {
    let old: Vec<(i64, i64)> = (0..500).flat_map(|d| [(1, d), (2, d)]).chain([(3, 5)]).collect();
    let read = |scans: &[(&str, &str)]| -> Vec<(String, String)> {
        scans.iter().map(|(name, least)| ((*name).to_owned(), (*least).to_owned())).collect()
    };
    // Ten days more: the values of the ten days before, and the new rows, where the table has none.
    let days = |k: i64| (500..510).map(move |d| (k, d));
    let batch: Vec<(i64, i64)> = days(1).chain(days(2)).collect();
    let expected = [("@result", "491"), ("@result", "500"), ("t@new", "500")];
    for function in ["sum(v)", "row_number()", "last_value(v) ignore nulls"] {
        assert_eq!(days_read(function, &old, &batch).await, read(&expected), "{function}");
    }
    // The last row of one partition is further back, and another partition begins: the table's rows of those are read.
    let late: Vec<(i64, i64)> = days(1).chain([(3, 505), (4, 505)]).collect();
    let expected = [("@result", "491"), ("@result", "500"), ("@result", "all"), ("t@new", "500")];
    assert_eq!(days_read("sum(v)", &old, &late).await, read(&expected));
    // One late row: no range before it, so all of the table's rows before it are; and all rows from it on.
    let expected = [("@result", "250"), ("@result", "all"), ("@result", "all"), ("t@new", "250")];
    assert_eq!(days_read("sum(v)", &old, &[(1, 250)]).await, read(&expected));
}

#[tokio::test]
async fn nothing_changed_nothing_opened() {
    let watched = Watched::new(world(&[draw(0, 1, 0, 0)], &[draw(0, 0, 0, 0)], &[]));
    assert_eq!(rows(&watched, &readings()).await, 0);
    assert_eq!(rows(&watched, TRUSTED).await, 0);
    assert!(watched.opened().is_empty());
}

/// Many readings, appended: more than the engine's memory limit.
#[derive(Debug)]
struct Append {
    world: World,
    change: Arc<dyn TableProvider>,
}

#[async_trait]
impl Sources for Append {
    async fn provider(&self, table: &str, side: Side) -> Result<Arc<dyn TableProvider>> {
        if table == "readings" && side == Side::Change {
            return Ok(Arc::clone(&self.change));
        }
        self.world.provider(table, side).await
    }

    fn change_kind(&self, table: &str) -> ChangeKind {
        if table == "readings" { ChangeKind::InsertOnly } else { self.world.change_kind(table) }
    }
}

#[tokio::test]
async fn an_append_streams_through_a_semi_join() {
    let fields = [("user", DataType::Utf8), ("timestamp", DataType::Int64), ("x", DataType::Int64)];
    let mut schema: Vec<Field> = fields.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect();
    schema.push(Field::new(WEIGHT, DataType::Int64, false));
    let schema = Arc::new(Schema::new(schema));
    let batch = |from: i64| {
        let n = from..from + 8192;
        let users: StringArray =
            n.clone().map(|i| Some(["p", "q", "r"][usize::try_from(i % 3).expect("small")])).collect();
        let times: Int64Array = n.clone().map(Some).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(users),
            Arc::new(times.clone()),
            Arc::new(times),
            Arc::new(n.map(|_| Some(1)).collect::<Int64Array>()),
        ];
        RecordBatch::try_new(Arc::clone(&schema), columns).expect("batch")
    };
    let batches: Vec<RecordBatch> = (0..100).map(|i| batch(i * 8192)).collect();
    let change = Arc::new(MemTable::try_new(Arc::clone(&schema), vec![batches]).expect("table"));
    let customers = [draw(0, 1, 0, 0), draw(1, 2, 0, 0)];
    let mut world = world(&customers, &[], &[]);
    world.tables[1] = TestTable::new("readings", &fields, vec![], vec![]);
    let (_, program) = program(&world, &readings());
    let runtime = RuntimeEnvBuilder::new().with_memory_limit(8 << 20, 1.0).build_arc().expect("runtime");
    let mut config = SessionConfig::new().with_target_partitions(2);
    config.options_mut().execution.sort_spill_reservation_bytes = 1 << 20;
    let ctx = SessionContext::new_with_config_rt(config, runtime);
    let change = run(&program, &ctx, &Append { world, change }).await.expect("change");
    assert!(change.insert_only);
    let rows = change.into_stream().try_fold(0, |n, b| async move { Ok(n + b.num_rows()) }).await.expect("rows");
    assert_eq!(rows, (8192_usize * 100).div_ceil(3));
}

#[tokio::test]
async fn one_aggregate_whose_row_is_missing_is_computed() {
    let row = |v: i64| (vec![Value::Int(Some(v))], 1);
    let table = TestTable::new("t", &[("v", DataType::Int64)], vec![row(1), row(2)], vec![row(3)]);
    let world = World { tables: vec![table], before: false };
    let sql = "select count(*) as n, sum(v) as s from t";
    let (plan, _) = program(&world, sql);
    let result = MemTable::try_new(Arc::new(plan.schema().as_arrow().clone()), vec![vec![]]).expect("table");
    let watched = Watched { result: Some(Arc::new(result)), ..Watched::new(world) };
    let (_, program) = program(&watched.world, sql);
    let change = run(&program, &session(), &watched).await.expect("change").collect().await.expect("rows");
    assert_eq!(counted(&change, true).into_iter().collect::<Vec<_>>(), [(vec!["3".to_owned(), "6".to_owned()], 1)]);
}
