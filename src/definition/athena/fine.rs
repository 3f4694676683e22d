//! Whether times can be finer than a millisecond, to which Athena rounds them. What lands as a text is not: a record with
//! such a time goes to quarantine. So it takes a number that lands as a time, or an expression that makes them.

use std::collections::BTreeSet;

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use deltalake::datafusion::common::{DFSchema, ScalarValue};
use deltalake::datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::values::is_text;

/// Functions that create such times from numbers.
const MAKERS: [&str; 4] = ["to_timestamp_micros", "to_timestamp_nanos", "arrow_cast", "arrow_try_cast"];

/// Whether a plan has times finer than a millisecond; `tables` are those that may hold some.
pub(in crate::definition) fn has_microseconds(plan: &LogicalPlan, tables: &BTreeSet<String>) -> bool {
    let mut found = false;
    // The closures never fail, so neither do the walks.
    let _ = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(scan) if tables.contains(scan.table_name.table()));
        let mut schema = DFSchema::empty();
        node.inputs().iter().for_each(|input| schema.merge(input.schema()));
        let _ = node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found |= makes(expr, &schema);
                Ok(TreeNodeRecursion::Continue)
            })
        });
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

fn makes(expr: &Expr, schema: &DFSchema) -> bool {
    let cast = |expr: &Expr, to: &DataType| {
        matches!(to, DataType::Timestamp(..) | DataType::Interval(_) | DataType::Duration(_)) && reads(expr, schema)
    };
    match expr {
        Expr::Literal(value, _) => is_fine(value),
        Expr::Cast(of) => cast(&of.expr, of.field.data_type()),
        Expr::TryCast(of) => cast(&of.expr, of.field.data_type()),
        Expr::ScalarFunction(call) if call.func.name() == "to_timestamp" => {
            call.args.first().is_none_or(|of| reads(of, schema) && !is_integer(of, schema))
        }
        Expr::ScalarFunction(call) => MAKERS.contains(&call.func.name()),
        _ => false,
    }
}

/// Whether a time parsed from this value can be that fine: from a text or a number.
fn reads(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) => {
            let fraction = text.as_deref().and_then(|text| text.split_once('.')).map_or("", |(_, fraction)| fraction);
            fraction.bytes().take_while(u8::is_ascii_digit).skip(3).any(|digit| digit != b'0')
        }
        other => match other.get_type(schema) {
            Ok(of) => is_text(&of) || of.is_numeric(),
            Err(_) => true,
        },
    }
}

fn is_integer(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|of| of.is_integer())
}

fn is_fine(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::TimestampMicrosecond(Some(at), _) | ScalarValue::DurationMicrosecond(Some(at)) => at % 1_000 != 0,
        ScalarValue::TimestampNanosecond(Some(at), _) | ScalarValue::DurationNanosecond(Some(at)) => {
            at % 1_000_000 != 0
        }
        ScalarValue::IntervalMonthDayNano(Some(of)) => of.nanoseconds % 1_000_000 != 0,
        _ => false,
    }
}
