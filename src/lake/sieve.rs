//! Prunes files of a scan by their own ends, for columns without statistics in the log.
//!
//! The engine uses footers and bloom filters too, but reads one file after the other in each partition, with several
//! requests each. With many files that dominates a scan for one person; here it is one request per file, many at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use deltalake::arrow::datatypes::SchemaRef;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use deltalake::datafusion::datasource::source::DataSourceExec;
use deltalake::datafusion::logical_expr::utils::split_conjunction;
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use deltalake::datafusion::physical_plan::ExecutionPlan;
use deltalake::logstore::object_store::path::Path;
use futures::StreamExt;

use super::layout::Layout;
use super::table::{DeltaFile, LakeTable};
use super::tail::{AT_ONCE, Tail, Values, Wanted};

/// Up to this many files, opening them costs the engine no more than reading their ends here.
const FEW_FILES: usize = 8;

/// `scan` of a version of `table` without the files in which no row can meet all `filters`.
pub(super) async fn sieved(
    scan: Arc<dyn ExecutionPlan>,
    filters: &[Expr],
    table: &LakeTable,
) -> Result<Arc<dyn ExecutionPlan>> {
    let (layout, schema) = (table.layout(), table.schema());
    let asked: Vec<Asked> =
        filters.iter().flat_map(split_conjunction).filter_map(|filter| asked(filter, &layout, &schema)).collect();
    if asked.is_empty() {
        return Ok(scan);
    }
    let mut paths = Vec::new();
    scan.apply(|node| {
        let groups = config(node).into_iter().flat_map(|config| config.file_groups.iter());
        paths.extend(groups.flat_map(FileGroup::iter).map(|file| file.object_meta.location.clone()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    if paths.len() <= FEW_FILES {
        return Ok(scan);
    }
    let known: HashMap<Path, DeltaFile> =
        table.files().into_iter().filter_map(|file| Some((table.location().file(&file.path).ok()?, file))).collect();
    let wanted: &Vec<Wanted<'_>> = &asked.iter().map(Asked::wanted).collect();
    let known = &known;
    let looks = paths.into_iter().map(|path| async move {
        // A file that is unknown by this name, or cannot be read, is kept: the engine reports the error.
        let tail = Tail::read(table.location(), known.get(&path)?).await.ok()?;
        (!tail.may_hold(wanted)).then_some(path)
    });
    let looked = futures::stream::iter(looks).buffer_unordered(AT_ONCE);
    let gone: HashSet<Path> = looked.filter_map(std::future::ready).collect().await;
    scan.transform_up(|node| {
        let Some(config) = config(&node) else { return Ok(Transformed::no(node)) };
        let mut config = FileScanConfig::clone(config);
        for group in &mut config.file_groups {
            let mut files = std::mem::take(group).into_inner();
            // The engine has no partition for an empty list of files.
            let first = files.first().cloned();
            files.retain(|file| !gone.contains(&file.object_meta.location));
            if files.is_empty() {
                files.extend(first);
            }
            *group = FileGroup::new(files);
        }
        Ok(Transformed::yes(DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>))
    })
    .data()
}

fn config(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref()
}

/// Values of a column; a row must have one of them.
struct Asked {
    column: String,
    texts: Vec<String>,
    numbers: Vec<i64>,
    or_null: bool,
}

impl Asked {
    fn wanted(&self) -> Wanted<'_> {
        let values = if self.numbers.is_empty() { Values::Texts(&self.texts) } else { Values::Numbers(&self.numbers) };
        Wanted { column: &self.column, values, or_null: self.or_null }
    }
}

/// The values that a condition requires of a column that is pruned by file ends.
fn asked(filter: &Expr, layout: &Layout, schema: &SchemaRef) -> Option<Asked> {
    let mut found = Found::default();
    found.add(filter)?;
    let column = found.column?.to_owned();
    let field = schema.field_with_name(&column).ok()?;
    let mut asked = Asked { column, texts: Vec::new(), numbers: Vec::new(), or_null: found.or_null };
    for value in found.values.into_iter().filter(|value| !value.is_null()) {
        if value.data_type() != *field.data_type() {
            return None;
        }
        match value {
            ScalarValue::Utf8(Some(text)) => asked.texts.push(text.clone()),
            ScalarValue::Int64(Some(n)) | ScalarValue::TimestampMicrosecond(Some(n), _) => asked.numbers.push(*n),
            ScalarValue::Int32(Some(n)) | ScalarValue::Date32(Some(n)) => asked.numbers.push((*n).into()),
            ScalarValue::Int16(Some(n)) => asked.numbers.push((*n).into()),
            ScalarValue::Int8(Some(n)) => asked.numbers.push((*n).into()),
            _ => return None,
        }
    }
    asked.texts.sort();
    asked.numbers.sort_unstable();
    layout.is_found_by_files(&asked.column).then_some(asked)
}

/// Literals that one column is compared with.
#[derive(Default)]
struct Found<'e> {
    column: Option<&'e str>,
    values: Vec<&'e ScalarValue>,
    or_null: bool,
}

impl<'e> Found<'e> {
    /// Accepts `x = 1`, `x in (1, 2)`, `x is null`, an `and` with one of them, and an `or` of several; `None`: another
    /// condition.
    fn add(&mut self, filter: &'e Expr) -> Option<()> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                self.add(left)?;
                self.add(right)
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                let mut one = Self { column: self.column, ..Self::default() };
                if one.add(left).is_none() {
                    one = Self { column: self.column, ..Self::default() };
                    one.add(right)?;
                }
                self.column = one.column;
                self.values.extend(one.values);
                self.or_null |= one.or_null;
                Some(())
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(value, _)) | (Expr::Literal(value, _), column) => {
                    self.of(column)?;
                    self.values.push(value);
                    Some(())
                }
                _ => None,
            },
            Expr::InList(list) if !list.negated => {
                self.of(&list.expr)?;
                for value in &list.list {
                    let Expr::Literal(value, _) = value else { return None };
                    self.values.push(value);
                }
                Some(())
            }
            Expr::IsNull(column) => {
                self.of(column)?;
                self.or_null = true;
                Some(())
            }
            _ => None,
        }
    }

    fn of(&mut self, column: &'e Expr) -> Option<()> {
        let Expr::Column(column) = column else { return None };
        (*self.column.get_or_insert(&column.name) == column.name).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::datatypes::{DataType, Field, Schema};
    use deltalake::datafusion::logical_expr::{col, lit};

    use super::*;
    use crate::definition::{Column, ColumnType};

    fn told(filter: &Expr) -> Option<(String, Vec<String>, Vec<i64>, bool)> {
        let column = |name: &str, of, pii| Column { pii, ..Column::new(name, of) };
        let columns = [
            column("s", ColumnType::String, true),
            column("n", ColumnType::Long, true),
            column("open", ColumnType::Long, false),
        ];
        let fields = [("s", DataType::Utf8), ("n", DataType::Int64), ("open", DataType::Int64)];
        let fields: Vec<Field> = fields.map(|(name, of)| Field::new(name, of, true)).into();
        let asked = asked(filter, &Layout::of(&columns, &[]), &Arc::new(Schema::new(fields)))?;
        Some((asked.column, asked.texts, asked.numbers, asked.or_null))
    }

    #[test]
    fn conditions_on_one_hidden_column_are_understood_and_no_others() {
        let one = |numbers: &[i64], or_null| Some(("n".to_owned(), Vec::new(), numbers.to_vec(), or_null));
        let eq = |n: i64| col("n").eq(lit(n));
        let within = |n: &[i64]| col("n").in_list(n.iter().map(|n| lit(*n)).collect(), false);
        assert_eq!(told(&col("s").eq(lit("a"))), Some(("s".into(), vec!["a".into()], Vec::new(), false)));
        assert_eq!(told(&lit(3_i64).eq(col("n"))), one(&[3], false));
        assert_eq!(told(&within(&[5, 3])), one(&[3, 5], false));
        assert_eq!(told(&eq(2).or(eq(1)).or(col("n").is_null())), one(&[1, 2], true));
        let between = col("n").between(lit(1_i64), lit(9_i64));
        assert_eq!(told(&between.clone().and(within(&[4, 2])).or(col("n").is_null())), one(&[2, 4], true));
        for other in [
            between,
            col("open").eq(lit(1_i64)),
            eq(1).or(col("s").eq(lit("a"))),
            eq(1).or(col("open").gt(lit(1_i64))),
            col("n").in_list(vec![lit(1_i64)], true),
            col("n").eq(lit(1_i32)),
            col("n").eq(col("open")),
        ] {
            assert_eq!(told(&other), None, "{other}");
        }
    }
}
