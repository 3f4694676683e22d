//! Tables as multisets of rows, read independently of the tested code, and their differences.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake::arrow::array::{AsArray, RecordBatch, new_null_array};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::execution::SessionStateBuilder;
use deltalake::datafusion::logical_expr::expr_rewriter::NamePreserver;
use deltalake::datafusion::logical_expr::{Expr, LogicalPlan, when};
use deltalake::datafusion::optimizer::Optimizer;
use deltalake::datafusion::physical_plan::collect;
use deltalake::datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::history;
use super::world::Column;

/// Rows as text, `|` between the values, with how often each is there.
pub(crate) type Bag = BTreeMap<String, i64>;

/// The current state of a table.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Its identity: a table recreated under the same name is another one.
    pub id: String,
    pub version: u64,
    /// Its data files.
    pub files: Vec<String>,
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

/// Reads the files that the log names, one after the other.
pub(crate) async fn read(folder: &Path) -> Result<Stored, String> {
    let table = history::open(folder).await.ok_or_else(|| format!("{} is no table", folder.display()))?;
    let snapshot = table.snapshot().map_err(|e| e.to_string())?;
    let id = snapshot.metadata().id().to_owned();
    let declared = snapshot.snapshot().arrow_schema();
    let fields: Vec<_> = declared.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    let mut files: Vec<String> = table.get_file_uris().map_err(|e| e.to_string())?.collect();
    files.sort();
    for uri in &files {
        let path = url::Url::parse(uri).ok().and_then(|u| u.to_file_path().ok()).unwrap_or_else(|| PathBuf::from(uri));
        let file = File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|b| b.build());
        for batch in reader.map_err(|e| e.to_string())? {
            let batch = batch.map_err(|e| e.to_string())?;
            let column = |f: &deltalake::arrow::datatypes::Field| match batch.column_by_name(f.name()) {
                Some(array) => cast(array, f.data_type()),
                None => Ok(new_null_array(f.data_type(), batch.num_rows())),
            };
            let columns = schema.fields().iter().map(|f| column(f)).collect::<Result<Vec<_>, _>>();
            let batch = columns.and_then(|columns| RecordBatch::try_new(schema.clone(), columns));
            batches.push(batch.map_err(|e| e.to_string())?);
        }
    }
    Ok(Stored { id, version: table.version().unwrap_or(0), files, schema, batches })
}

/// A plain session over the tables' rows. It runs expressions as written: the engine's simplifier has faults with
/// lists.
pub(crate) fn session(tables: &BTreeMap<String, Stored>) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let rules = Optimizer::new().rules.into_iter().filter(|rule| rule.name() != "simplify_expressions").collect();
    let state = SessionStateBuilder::new().with_default_features().with_config(config).with_optimizer_rules(rules);
    let context = SessionContext::new_with_state(state.build());
    for (name, stored) in tables {
        let table = MemTable::try_new(stored.schema.clone(), vec![stored.batches.clone()]).unwrap();
        context.register_table(name.as_str(), Arc::new(table)).unwrap();
    }
    context
}

/// A query, if the plain engine can plan it: it cannot for `exists` in a select list or in a `case`.
pub(crate) async fn planned(context: &SessionContext, sql: &str) -> Option<DataFrame> {
    let plan = context.sql(sql).await.ok()?.into_unoptimized_plan();
    let plan = plan.transform_up_with_subqueries(spelled_out).ok()?.data;
    let frame = DataFrame::new(context.state(), plan);
    frame.clone().create_physical_plan().await.ok().map(|_| frame)
}

/// `coalesce` as `case`: the engine leaves that to its simplifier.
fn spelled_out(node: LogicalPlan) -> deltalake::datafusion::common::Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let spelled = expr.transform_up(|e| match e {
            Expr::ScalarFunction(call) if call.func.name() == "coalesce" => {
                let case = when(call.args[0].clone().is_not_null(), call.args[0].clone());
                Ok(Transformed::yes({ case }.otherwise(call.args[1].clone())?))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(spelled.update_data(|expr| name.restore(expr)))
    })
}

/// Adds rows to a bag; the columns are cast to the stored ones first.
pub(crate) fn bag(batches: &[RecordBatch], schema: &SchemaRef) -> Result<Bag, String> {
    let mut bag = Bag::new();
    for batch in batches {
        for row in texts(batch, schema)? {
            *bag.entry(row).or_default() += 1;
        }
    }
    Ok(bag)
}

/// The net of rows with a weight, their last column.
pub(crate) fn net(batches: &[RecordBatch], schema: &SchemaRef) -> Result<Bag, String> {
    let mut net = Bag::new();
    for batch in batches {
        let weights = batch.column(batch.num_columns() - 1).as_primitive::<Int64Type>();
        for (row, weight) in texts(batch, schema)?.into_iter().zip(weights.values()) {
            *net.entry(row).or_default() += weight;
        }
    }
    net.retain(|_, weight| *weight != 0);
    Ok(net)
}

fn texts(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<String>, String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = schema.fields().iter().enumerate().map(|(at, f)| cast(batch.column(at), f.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let formats = columns.iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect::<Result<Vec<_>, _>>();
    let formats = formats.map_err(|e| e.to_string())?;
    let row = |at| formats.iter().map(|f| f.value(at).to_string()).collect::<Vec<_>>().join("|");
    Ok((0..batch.num_rows()).map(row).collect())
}

/// How two bags differ: nothing, or the rows. Approximate columns may differ by 1e-9 of their value.
pub(crate) fn difference(found: &Bag, expected: &Bag, columns: &[Column]) -> Option<String> {
    let (mut more, mut less) = (Vec::new(), Vec::new());
    for row in found.keys().chain(expected.keys().filter(|r| !found.contains_key(*r))) {
        let by = found.get(row).unwrap_or(&0) - expected.get(row).unwrap_or(&0);
        let side = if by > 0 { &mut more } else { &mut less };
        side.extend((0..by.abs()).map(|_| row.clone()));
    }
    more.retain(|row| {
        let near = less.iter().position(|other| close(row, other, columns));
        near.map(|at| less.swap_remove(at)).is_none()
    });
    if more.is_empty() && less.is_empty() {
        return None;
    }
    let list = |rows: &[String]| rows.iter().take(8).map(|r| format!("\n      {r}")).collect::<String>();
    Some(format!("{} rows too many:{}\n    {} rows missing:{}", more.len(), list(&more), less.len(), list(&less)))
}

fn close(one: &str, two: &str, columns: &[Column]) -> bool {
    let (one, two): (Vec<&str>, Vec<&str>) = (one.split('|').collect(), two.split('|').collect());
    one.len() == two.len()
        && one.iter().zip(&two).enumerate().all(|(at, (a, b))| {
            let approximate = columns.get(at).is_some_and(|c| c.approximate);
            let number = |t: &str| t.parse::<f64>().ok().filter(|_| approximate);
            a == b || number(a).zip(number(b)).is_some_and(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()))
        })
}

/// The net of a table's own change feed between two versions.
pub(crate) async fn feed(folder: &Path, from: u64, to: u64, schema: &SchemaRef) -> Result<Bag, String> {
    let table = history::open(folder).await.ok_or("no table")?;
    let context = SessionContext::new();
    let scan = table.scan_cdf().with_starting_version(from + 1).with_ending_version(to);
    let plan = scan.build(&context.state(), None).await.map_err(|e| e.to_string())?;
    let batches = collect(plan, context.task_ctx()).await.map_err(|e| e.to_string())?;
    let mut net = Bag::new();
    for batch in batches.iter().filter(|b| b.num_rows() > 0) {
        let kind = batch.schema().index_of("_change_type").map_err(|e| e.to_string())?;
        let kinds =
            cast(batch.column(kind), &deltalake::arrow::datatypes::DataType::Utf8).map_err(|e| e.to_string())?;
        let names = schema.fields().iter().map(|f| batch.schema().index_of(f.name())).collect::<Result<Vec<_>, _>>();
        let rows = batch.project(&names.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
        for (at, row) in texts(&rows, schema)?.into_iter().enumerate() {
            let gone = ["delete", "update_preimage"].contains(&kinds.as_string::<i32>().value(at));
            *net.entry(row).or_default() += if gone { -1 } else { 1 };
        }
    }
    net.retain(|_, weight| *weight != 0);
    Ok(net)
}

/// New minus old.
pub(crate) fn minus(new: &Bag, old: &Bag) -> Bag {
    let mut net = new.clone();
    for (row, count) in old {
        *net.entry(row.clone()).or_default() -= count;
    }
    net.retain(|_, weight| *weight != 0);
    net
}
