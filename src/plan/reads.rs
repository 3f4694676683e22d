//! The source columns, and fields of structs in them, on which the rows of a query depend. Columns that the query only
//! passes through a `select *` inside it can be added and dropped without a change of its result.
//!
//! The plan is walked from the top: each node maps the columns needed of its output to those needed of its inputs. Nodes
//! that are not known here need all.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::once;

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::DFSchema;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::logical_expr::utils::grouping_set_to_exprlist;
use deltalake::datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, JoinType, LogicalPlan, TableScan, Unnest};

use crate::definition::ColumnType;
use crate::determinism::{Columns, Scope, subquery_of};

/// A part of a value: names of fields, one within the other.
type Path = Vec<String>;

/// The needed parts of columns, by position of the column. The empty path is the whole value.
type Needed = BTreeMap<usize, BTreeSet<Path>>;

/// Stands in a [`Path`] for the elements of a list.
const ELEMENT: &str = "[]";
/// Stands at the end of a [`Path`] for how many elements a list has.
const LENGTH: &str = "#";

/// `table.column type` and `table.column.field type` of all that the rows of a query depend on.
#[must_use]
pub(super) fn reads(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut reads = Reads(BTreeSet::new());
    reads.plan(plan, all(plan.schema()));
    reads.0
}

/// The tables and columns on which the rows of a query depend; of some only fields: `s.a`, `items.[].sku`.
#[must_use]
pub(crate) fn columns_read(plan: &LogicalPlan) -> BTreeSet<(String, String)> {
    named(reads(plan))
}

/// The tables and columns that decide which rows a query gives, whatever values these have: those of conditions, joins
/// and groups.
#[must_use]
pub(crate) fn columns_deciding(plan: &LogicalPlan) -> BTreeSet<(String, String)> {
    let mut reads = Reads(BTreeSet::new());
    reads.plan(plan, Needed::new());
    named(reads.0)
}

fn named(reads: BTreeSet<String>) -> BTreeSet<(String, String)> {
    let column = |read: String| {
        let (table, rest) = read.split_once('.')?;
        Some((table.to_owned(), rest.split(' ').next()?.to_owned()))
    };
    reads.into_iter().filter_map(column).collect()
}

/// Whether one of two columns or fields is the other one, or within it.
#[must_use]
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(one, other) || within(other, one)
}

fn all(schema: &DFSchema) -> Needed {
    (0..schema.fields().len()).map(|at| (at, whole())).collect()
}

fn whole() -> BTreeSet<Path> {
    BTreeSet::from([Path::new()])
}

fn add(needed: &mut Needed, at: usize, paths: &BTreeSet<Path>) {
    needed.entry(at).or_default().extend(paths.iter().cloned());
}

fn wholes(columns: &Columns, needed: &mut Needed) {
    columns.iter().for_each(|at| add(needed, at, &whole()));
}

struct Reads(BTreeSet<String>);

impl Reads {
    fn plan(&mut self, plan: &LogicalPlan, needed: Needed) {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, needed),
            LogicalPlan::Projection(projection) => {
                let wanted = needed.iter().filter_map(|(at, paths)| Some((projection.expr.get(*at)?, paths)));
                self.over(&projection.input, wanted, Needed::new());
            }
            LogicalPlan::Filter(filter) => self.over(&filter.input, once((&filter.predicate, &whole())), needed),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input, needed),
            LogicalPlan::Sort(sort) => {
                let whole = whole();
                self.over(&sort.input, sort.expr.iter().map(|by| (&by.expr, &whole)), needed);
            }
            LogicalPlan::Limit(limit) => self.plan(&limit.input, needed),
            LogicalPlan::Distinct(Distinct::All(input)) => self.plan(input, all(input.schema())),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, &needed),
            LogicalPlan::Window(window) => {
                let columns = window.input.schema().fields().len();
                let (mut passed, computed): (Needed, Needed) = needed.into_iter().partition(|(at, _)| *at < columns);
                passed.retain(|at, _| *at < columns);
                let whole = whole();
                let wanted = computed.keys().filter_map(|at| Some((window.window_expr.get(at - columns)?, &whole)));
                self.over(&window.input, wanted, passed);
            }
            LogicalPlan::Join(join) => self.join(join, needed),
            LogicalPlan::Union(union) => {
                for input in &union.inputs {
                    self.plan(input, needed.clone());
                }
            }
            LogicalPlan::Unnest(unnest) => self.unnest(unnest, &needed),
            other => {
                let inputs = other.inputs();
                let scope = Scope::of_inputs(&inputs);
                for expr in other.expressions() {
                    self.expr(&expr, &whole(), &scope, &mut Needed::new());
                }
                for input in inputs {
                    self.plan(input, all(input.schema()));
                }
            }
        }
    }

    /// The only input of a node: `needed` of it, and what expressions need.
    fn over<'e>(
        &mut self,
        input: &LogicalPlan,
        wanted: impl Iterator<Item = (&'e Expr, &'e BTreeSet<Path>)>,
        mut needed: Needed,
    ) {
        let scope = Scope::of(input);
        for (expr, paths) in wanted {
            self.expr(expr, paths, &scope, &mut needed);
        }
        self.plan(input, needed);
    }

    /// Parts of a value of an expression.
    fn expr(&mut self, expr: &Expr, paths: &BTreeSet<Path>, scope: &Scope<'_>, needed: &mut Needed) {
        match expr {
            Expr::Alias(alias) => return self.expr(&alias.expr, paths, scope, needed),
            Expr::Column(column) => {
                if let Some(at) = scope.index(column) {
                    add(needed, at, paths);
                }
                return;
            }
            Expr::ScalarFunction(call) if matches!(call.func.name(), "get_field" | "array_element") => {
                if let Some((base, names)) = call.args.split_first()
                    && let Some(names) = part(call.func.name(), names)
                {
                    for argument in call.args.iter().skip(1) {
                        self.expr(argument, &whole(), scope, needed);
                    }
                    let within = |path: &Path| names.iter().chain(path).cloned().collect();
                    return self.expr(base, &paths.iter().map(within).collect(), scope, needed);
                }
            }
            _ => {}
        }
        if let Some(subquery) = subquery_of(expr) {
            let plan = &subquery.subquery;
            wholes(&scope.outer(plan), needed);
            let columns = if matches!(expr, Expr::Exists(_)) { Needed::new() } else { all(plan.schema()) };
            self.plan(plan, columns);
        }
        // The visitor never returns an error.
        let _ = expr.apply_children(|child| {
            self.expr(child, &whole(), scope, needed);
            Ok(TreeNodeRecursion::Continue)
        });
    }

    fn aggregate(&mut self, aggregate: &Aggregate, needed: &Needed) {
        let whole = whole();
        if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
            let wanted = aggregate.group_expr.iter().chain(&aggregate.aggr_expr).map(|expr| (expr, &whole));
            return self.over(&aggregate.input, wanted, Needed::new());
        }
        // A key that is named twice is one column.
        let groups = grouping_set_to_exprlist(&aggregate.group_expr).map_or(0, |keys| keys.len());
        let computed = needed.keys().filter_map(|at| aggregate.aggr_expr.get(at.checked_sub(groups)?));
        let wanted = aggregate.group_expr.iter().chain(computed).map(|expr| (expr, &whole));
        self.over(&aggregate.input, wanted, Needed::new());
    }

    fn join(&mut self, join: &Join, needed: Needed) {
        let columns = join.left.schema().fields().len();
        let mut both = Needed::new();
        for (at, paths) in &needed {
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark if *at >= columns => {}
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => add(&mut both, columns + at, paths),
                _ => add(&mut both, *at, paths),
            }
        }
        let scope = Scope::of_both(&join.left, &join.right);
        let keys = join.on.iter().flat_map(|(left, right)| [left, right]);
        for expr in keys.chain(&join.filter) {
            self.expr(expr, &whole(), &scope, &mut both);
        }
        // A lateral one names columns of the left side within the right one.
        wholes(&Scope::of(&join.left).outer(&join.right), &mut both);
        let right = both.split_off(&columns);
        self.plan(&join.left, both);
        self.plan(&join.right, right.into_iter().map(|(at, paths)| (at - columns, paths)).collect());
    }

    fn unnest(&mut self, unnest: &Unnest, needed: &Needed) {
        let lists = &unnest.list_type_columns;
        if !unnest.struct_type_columns.is_empty() || lists.iter().any(|(_, column)| column.depth != 1) {
            return self.plan(&unnest.input, all(unnest.input.schema()));
        }
        let mut below = Needed::new();
        for (at, _) in lists {
            add(&mut below, *at, &BTreeSet::from([vec![LENGTH.to_owned()]]));
        }
        for (at, paths) in needed {
            let Some(input) = unnest.dependency_indices.get(*at) else { continue };
            let element = |path: &Path| once(ELEMENT.to_owned()).chain(path.iter().cloned()).collect();
            match lists.iter().any(|(list, _)| list == input) {
                true => add(&mut below, *input, &paths.iter().map(element).collect()),
                false => add(&mut below, *input, paths),
            }
        }
        self.plan(&unnest.input, below);
    }

    fn scan(&mut self, scan: &TableScan, mut needed: Needed) {
        let schema = &scan.projected_schema;
        let scope = Scope::of_schema(schema);
        for filter in &scan.filters {
            self.expr(filter, &whole(), &scope, &mut needed);
        }
        for (at, paths) in needed {
            let Some(field) = schema.fields().get(at) else { continue };
            let column = format!("{}.{}", scan.table_name, field.name());
            let read = paths.iter().map(|path| typed(&column, field.data_type(), path));
            let read: BTreeSet<(String, String)> = read.collect();
            // A part inside another part that is read is read with it.
            let is_inside = |name: &str| {
                read.iter()
                    .any(|(other, _)| name.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('.')))
            };
            self.0.extend(read.iter().filter(|(name, _)| !is_inside(name)).map(|(name, of)| format!("{name} {of}")));
        }
    }
}

/// Which part a function takes of its first argument.
fn part(function: &str, arguments: &[Expr]) -> Option<Path> {
    if function == "array_element" {
        return Some(vec![ELEMENT.to_owned()]);
    }
    let name = |expr: &Expr| match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    };
    arguments.iter().map(name).collect()
}

/// The name and the type of a part of a column. Maps are not divided.
fn typed(column: &str, of: &DataType, path: &[String]) -> (String, String) {
    let (mut name, mut of) = (column.to_owned(), of);
    for part in path {
        let inside = match of {
            DataType::Struct(fields) => fields.find(part).map(|(_, field)| field.data_type()),
            DataType::List(element) if part == ELEMENT => Some(element.data_type()),
            DataType::List(_) if part == LENGTH => return (format!("{name}.{LENGTH}"), "list".to_owned()),
            _ => None,
        };
        let Some(inside) = inside else { break };
        name = format!("{name}.{part}");
        of = inside;
    }
    // How Arrow writes a nested type is not for ever.
    (name, if of.is_nested() { ColumnType::name_of(of) } else { of.to_string() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::sql::plan_sql;

    fn read(sql: &str) -> Vec<String> {
        let table = |name: &str, columns: &[(&str, &str)]| {
            let field =
                |(name, of): &(&str, &str)| Field::new(*name, ColumnType::parse(of).expect("a type").arrow(), true);
            (name.to_owned(), Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())))
        };
        let n = [
            ("id", "long"),
            ("k", "long"),
            ("new", "string"),
            ("s", "struct<a:long,deep:struct<x:double,y:string>,m:map<string,struct<v:long>>>"),
            ("items", "array<struct<sku:string,color:string>>"),
        ];
        let plan = plan_sql(sql, &[table("n", &n), table("o", &[("k", "long"), ("other", "string")])]);
        reads(&plan.unwrap_or_else(|e| panic!("{sql}: {e}"))).into_iter().collect()
    }

    #[test]
    fn what_a_query_passes_by_is_not_read() {
        let all = "(select * from n)";
        assert_eq!(read(&format!("select t.id from {all} t")), ["n.id Int64"]);
        let latest = "(select n.*, row_number() over (partition by n.k order by n.id) as r from n)";
        assert_eq!(read(&format!("select t.id from {latest} t where t.r = 1")), ["n.id Int64", "n.k Int64"]);
        assert_eq!(
            read("select n.id from n where exists (select * from o where o.k = n.k)"),
            ["n.id Int64", "n.k Int64", "o.k Int64"]
        );
        assert_eq!(
            read("select n.id from n where n.k in (select o.k from o)"),
            ["n.id Int64", "n.k Int64", "o.k Int64"]
        );
        assert_eq!(
            read("select t.id, o.other from (select * from n) t left join o on t.k = o.k"),
            ["n.id Int64", "n.k Int64", "o.k Int64", "o.other Utf8"]
        );
        assert_eq!(read("select n.k, count(*) as c from n group by n.k"), ["n.k Int64"]);
        assert_eq!(
            read("select n.k, max(n.new) as m from n group by n.k, n.id, n.k"),
            ["n.id Int64", "n.k Int64", "n.new Utf8"],
            "a key that is named twice"
        );
        assert_eq!(
            read("select count(*) as c from (select distinct n.k, n.new from n) t"),
            ["n.k Int64", "n.new Utf8"]
        );
        assert_eq!(read("select n.id from n union all select o.k from o"), ["n.id Int64", "o.k Int64"]);
    }

    #[test]
    fn of_a_struct_only_the_fields_that_are_taken_are_read() {
        assert_eq!(read("select n.s.a as a from n"), ["n.s.a Int64"]);
        assert_eq!(read("select t.s.deep.x as x from (select * from n) t"), ["n.s.deep.x Float64"]);
        assert_eq!(
            read("select n.s.deep as d, n.s.deep.x as x from n"),
            ["n.s.deep struct<x:double,y:string>"],
            "a part of a part"
        );
        assert_eq!(read("select n.items[1]['sku'] as sku from n"), ["n.items.[].sku Utf8"]);
        assert_eq!(read("select n.s.m['a'] as v from n"), ["n.s.m map<string,struct<v:long>>"]);
        assert_eq!(
            read("select n.id, t.sku from n cross join unnest(n.items) as t(sku, color)"),
            ["n.id Int64", "n.items.# list", "n.items.[].sku Utf8"]
        );
        assert_eq!(read("select n.id from n where n.s = n.s").len(), 2, "a struct that is compared is read whole");
    }
}
