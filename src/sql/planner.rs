//! SQL -> analysed logical plan, with one set of options for every query of the tool.
//!
//! Plans are analysed (types are coerced) and not optimised. Scans are bare table names over schema-only sources that
//! take no filters: to run a plan, real tables are substituted. Only the working table of a recursive query is already
//! the engine's own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use deltalake::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use deltalake::datafusion::common::config::ConfigOptions;
use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::common::{DFSchema, DataFusionError, TableReference, plan_datafusion_err, plan_err};
use deltalake::datafusion::datasource::cte_worktable::CteWorkTable;
use deltalake::datafusion::datasource::{provider_as_source, source_as_provider};
use deltalake::datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use deltalake::datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF,
};
use deltalake::datafusion::optimizer::{Analyzer, AnalyzerRule};
use deltalake::datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use deltalake::datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, Distinct, Expr as SqlExpr, Query, SetExpr, Statement, Value, VisitMut,
};

use crate::exact::CheckedArithmetic;
use crate::name::RESCUED;
use crate::source::SourceFile;
use crate::source::faults::Faults;
use crate::sql::analyse::subquery_in_join_condition::Beside;
use crate::sql::analyse::type_coercion::{Operands, Timestamps};
use crate::sql::functions::FUNCTIONS;
use crate::sql::hidden_columns;
use crate::sql::long_unions::flattened;
use crate::sql::options::engine_options;
use crate::sql::relations::ColumnsOf;
use crate::sql::rewrite::cast_column_names;
use crate::sql::rewrite::derived_table_aliases::name_derived;
use crate::sql::rewrite::function_aliases::spell_functions;
use crate::sql::rewrite::lateral::without_lateral_unnest;
use crate::sql::rewrite::like_escape::escape_with_backslashes;
use crate::sql::rewrite::long_conditions::balance_conditions;
use crate::sql::rewrite::order_by_limit_one::take_first;
use crate::sql::rewrite::row_value_comparison::compare_rows;
use crate::sql::rewrite::using_columns::qualify_shared;
use crate::sql::text::Sql;

/// Plans one query over tables given by name and schema.
///
/// # Errors
/// The error of the parser, the planner or the analyser.
pub(crate) fn plan_sql(sql: &str, tables: &[(String, SchemaRef)]) -> Result<LogicalPlan, DataFusionError> {
    let file = Arc::new(SourceFile { path: PathBuf::new(), text: sql.to_owned() });
    let mut faults = Faults::default();
    match Sql::file(&file).query(&mut faults) {
        Some(query) if faults.len() == 0 => {
            plan_query(*query, &Tables::new(tables.iter().map(|(n, s)| (n.clone(), s.clone()))))
        }
        _ => {
            let said = faults.into_sorted().into_iter().map(|f| format!("{}: {}", f.message, f.label));
            Err(plan_datafusion_err!("{}", said.collect::<Vec<_>>().join("; ")))
        }
    }
}

/// Rewrites syntax that the engine misinterprets or does not support.
pub(crate) fn to_dialect(syntax: &mut (impl VisitMut + ToString), columns_of: ColumnsOf<'_>) {
    spell_functions(syntax);
    take_first(syntax, |name| FUNCTIONS.aggregate.contains_key(name));
    escape_with_backslashes(syntax);
    compare_rows(syntax);
    name_derived(syntax);
    qualify_shared(syntax, columns_of);
    balance_conditions(syntax);
}

/// Plans a parsed query.
pub(crate) fn plan_query(mut query: Query, tables: &Tables) -> Result<LogicalPlan, DataFusionError> {
    let names_it = hidden_columns::may_name(&query);
    let hiding = if names_it { None } else { tables.without(RESCUED) };
    let tables = hiding.as_ref().unwrap_or(tables);
    to_dialect(&mut query, &|table| tables.columns_of(table));
    if names_it {
        hidden_columns::leave_out(&mut query, &|table| tables.columns_of(table));
    }
    let planner = SqlToRel::new_with_options(tables, ParserOptions::from(&tables.options.sql_parser));
    let planned = |query: Query| planner.sql_statement_to_plan(Statement::Query(Box::new(query)));
    let mut plan = planned(query.clone());
    if let Some(spelled) = disambiguate_casts(&query, &plan)
        && let Ok(other) = planned(spelled)
    {
        plan = Ok(other);
    }
    // `select sum(x) as x ... order by sum(x)` has a duplicate name for the engine, because of an order without effect.
    if plan.is_err() && cast_column_names::are_confused(&plan) && means_nothing(&query) {
        plan = planned(Query { order_by: None, ..query });
    }
    let plan = analyse(without_lateral_unnest(plan?)?, &tables.options)?;
    recursion(&plan, tables)?;
    flattened(plan)
}

/// Whether the order of a query has no effect on its rows.
fn means_nothing(query: &Query) -> bool {
    query.limit_clause.is_none()
        && query.fetch.is_none()
        && matches!(query.body.as_ref(), SetExpr::Select(of) if !matches!(of.distinct, Some(Distinct::On(_))))
}

/// Another spelling of a query in which the engine confuses a cast with another cast, or with its operand.
fn disambiguate_casts(query: &Query, planned: &Result<LogicalPlan, DataFusionError>) -> Option<Query> {
    if !cast_column_names::are_confused(planned) {
        return None;
    }
    let none = Tables::new([]);
    let planner = SqlToRel::new_with_options(&none, ParserOptions::from(&none.options.sql_parser));
    cast_column_names::spelled_out(query, |of| arrow_type(&planner, of))
}

/// The engine's name of a type of SQL.
fn arrow_type(planner: &SqlToRel<'_, Tables>, of: &SqlType) -> Option<String> {
    let (kind, data_type) = (CastKind::Cast, of.clone());
    let null = Box::new(SqlExpr::Value(Value::Null.into()));
    let cast = SqlExpr::Cast { kind, expr: null, data_type, array: false, format: None };
    match planner.sql_to_expr(cast, &DFSchema::empty(), &mut PlannerContext::new()).ok()? {
        Expr::Cast(cast) => Some(cast.field.data_type().to_string()),
        _ => None,
    }
}

/// Checks that a recursive query is read only in `from`, by its own name: elsewhere the planner takes it for a table.
fn recursion(plan: &LogicalPlan, tables: &Tables) -> Result<(), DataFusionError> {
    let (mut recursive, mut read) = (Vec::new(), Vec::new());
    plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::RecursiveQuery(query) => recursive.push(query.name.clone()),
            LogicalPlan::TableScan(scan) if source_as_provider(&scan.source).is_ok() => {
                read.push(scan.table_name.table().to_owned());
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if let Some(name) = recursive.iter().chain(&read).find(|name| tables.sources.contains_key(*name)) {
        return plan_err!("the recursive query `{name}` has the name of a table: give it another one");
    }
    match read.iter().find(|name| !recursive.contains(name)) {
        Some(name) => plan_err!("the recursive query `{name}` can be read in `from` alone, not in a subquery"),
        None => Ok(()),
    }
}

/// A scan of a table by its schema alone.
///
/// # Errors
/// Two columns have one name.
pub(crate) fn scan(table: &str, schema: SchemaRef) -> Result<LogicalPlan, DataFusionError> {
    LogicalPlanBuilder::scan(TableReference::bare(table), Arc::new(SchemaOnly(schema)), None)?.build()
}

/// Runs the analyser twice, so that our rules also see casts that the engine inserts: a session that runs the plan
/// analyses it again, but a condition compiled alone does not.
pub(crate) fn analyse(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan, DataFusionError> {
    let analyser = Analyzer::with_rules(analyser_rules());
    let once = analyser.execute_and_check(plan, options, |_, _| {})?;
    analyser.execute_and_check(once, options, |_, _| {})
}

/// The engine's rules that type every expression, and ours before and after.
#[must_use]
pub(crate) fn analyser_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let ours: [Arc<dyn AnalyzerRule + Send + Sync>; 2] = [Arc::new(Beside), Arc::new(Operands)];
    let checked: Arc<dyn AnalyzerRule + Send + Sync> = Arc::new(CheckedArithmetic);
    ours.into_iter().chain(Analyzer::new().rules).chain([checked]).collect()
}

/// A schema-only table. It takes no filters, so that a plan over it has the same meaning over any other source.
#[derive(Debug)]
struct SchemaOnly(SchemaRef);

impl TableSource for SchemaOnly {
    fn schema(&self) -> SchemaRef {
        self.0.clone()
    }
}

/// The tables that a query may name.
#[derive(Clone)]
pub(crate) struct Tables {
    sources: HashMap<String, Arc<dyn TableSource>>,
    options: ConfigOptions,
}

impl Tables {
    /// Tables by name and schema.
    pub(crate) fn new(tables: impl IntoIterator<Item = (String, SchemaRef)>) -> Self {
        let mut found = Self { sources: HashMap::new(), options: engine_options() };
        tables.into_iter().for_each(|(name, schema)| found.add(name, schema));
        found
    }

    pub(crate) fn columns_of(&self, table: &str) -> Option<Vec<String>> {
        let schema = self.sources.get(table)?.schema();
        Some(schema.fields().iter().map(|field| field.name().clone()).collect())
    }

    /// The same tables without a column; `None` if none of them has it.
    fn without(&self, column: &str) -> Option<Self> {
        let having = self.sources.iter().filter(|(_, source)| source.schema().field_with_name(column).is_ok());
        let mut having = having.map(|(name, source)| (name.clone(), source.schema())).peekable();
        having.peek()?;
        let mut tables = self.clone();
        for (name, schema) in having {
            let fields: Vec<FieldRef> = schema.fields().iter().filter(|f| f.name() != column).cloned().collect();
            tables.add(name, Arc::new(Schema::new(fields)));
        }
        Some(tables)
    }

    /// Adds a table.
    pub(crate) fn add(&mut self, name: String, schema: SchemaRef) {
        self.sources.insert(name, Arc::new(SchemaOnly(schema)));
    }

    /// Adds columns to a table of which only the names are known.
    pub(crate) fn widen(&mut self, table: &str, names: &[String]) {
        let Some(source) = self.sources.get(table) else { return };
        let mut fields: Vec<FieldRef> = source.schema().fields().iter().cloned().collect();
        let new = names.iter().filter(|name| source.schema().field_with_name(name).is_err());
        fields.extend(new.map(|name| Arc::new(Field::new(name, DataType::Null, true))));
        self.add(table.to_owned(), Arc::new(Schema::new(fields)));
    }
}

impl ContextProvider for Tables {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        match &name {
            TableReference::Bare { table } => self.sources.get(table.as_ref()).cloned(),
            _ => None,
        }
        .ok_or_else(|| plan_datafusion_err!("table '{name}' not found"))
    }

    fn get_table_function_source(&self, name: &str, _: Vec<Expr>) -> Result<Arc<dyn TableSource>, DataFusionError> {
        plan_err!("`{name}(...)` cannot stand in `from`: write `from (select unnest({name}(...)) as x) as t`")
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>, DataFusionError> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        FUNCTIONS.scalar.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        FUNCTIONS.aggregate.get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        FUNCTIONS.window.get(name).cloned()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &FUNCTIONS.relations
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Timestamps))
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &FUNCTIONS.planners
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        FUNCTIONS.scalar.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        FUNCTIONS.aggregate.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        FUNCTIONS.window.keys().cloned().collect()
    }
}
