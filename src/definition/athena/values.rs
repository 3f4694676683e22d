//! Operators and casts whose result depends on the types of their operands.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType as SqlType, Expr, Spanned, UnaryOperator, Value,
};
use deltalake::datafusion::sql::sqlparser::tokenizer::Span;

use super::Reader;
use super::Rule;
use super::functions::name_of;

/// The remedy for compared times.
pub(super) const COARSE_TIMES: &str = "microseconds decide here and not there: compare epoch milliseconds as bigint";

/// Notes on one operator or cast.
pub(super) fn expr(expr: &Expr, reader: &mut Reader<'_>) {
    let span = expr.span();
    match expr {
        Expr::BinaryOp { left, op, right } => binary(left, op, right, span, reader),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
            compared(left, &[right], span, reader);
        }
        Expr::Between { expr, low, high, .. } => compared(expr, &[low, high], span, reader),
        Expr::InList { expr, list, .. } => compared(expr, &list.iter().collect::<Vec<_>>(), span, reader),
        Expr::InSubquery { expr, .. } if is_fine_time(expr, reader) => coarse(expr.span(), reader),
        Expr::Cast { kind, expr, data_type, .. } if *kind != CastKind::SafeCast => cast(expr, data_type, reader),
        Expr::Case { conditions, else_result, .. } => {
            let results = conditions.iter().map(|case| &case.result).chain(else_result.as_deref());
            branches(&results.collect::<Vec<_>>(), span, reader);
        }
        Expr::AtTimeZone { timestamp, .. } => {
            if matches!(type_of(timestamp, reader), Some(DataType::Timestamp(_, None) | DataType::Date32)) {
                let message = "what has no zone is local time here, and UTC or an error in Athena";
                reader.note(Rule::DateArithmetic, span, message, "write `cast(... as timestamp with time zone)` first");
            }
        }
        _ => {}
    }
}

fn binary(left: &Expr, op: &BinaryOperator, right: &Expr, span: Span, reader: &mut Reader<'_>) {
    use BinaryOperator as Op;
    match op {
        Op::Divide => divided(left, right, span, reader),
        Op::Multiply => {
            literal(left, right, span, reader);
        }
        Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq => compared(left, &[right], span, reader),
        Op::StringConcat => joined(left, right, reader),
        Op::Plus | Op::Minus => days(left, op, right, span, reader),
        _ => {}
    }
}

fn divided(left: &Expr, right: &Expr, span: Span, reader: &mut Reader<'_>) {
    if literal(left, right, span, reader) {
        return;
    }
    let Some([left, right]) = types([left, right], reader) else { return };
    if left.is_integer() && right.is_integer() {
        let message = "`/` of integers gives an integer here and in Athena, and a fraction in Spark and DuckDB";
        reader.note(Rule::Division, span, message, "to mean a fraction, write `cast(... as double)` around one side");
    } else if (is_decimal(&left) && !right.is_floating()) || (is_decimal(&right) && !left.is_floating()) {
        let message = "`/` of decimals keeps more digits here than in Athena";
        reader.note(Rule::Division, span, message, "write `cast(... as double)` around one side");
    }
}

/// Athena reads `0.1` as a decimal, unless the other side is a double.
fn literal(left: &Expr, right: &Expr, span: Span, reader: &mut Reader<'_>) -> bool {
    let (exact, other) = match (is_exact(left), is_exact(right)) {
        (false, false) => return false,
        (true, false) => (left, Some(right)),
        (false, true) => (right, Some(left)),
        (true, true) => (left, None),
    };
    if other.is_some_and(|other| type_of(other, reader).is_none_or(|t| t.is_floating())) {
        return false;
    }
    let message = format!("`{exact}` is a double here, and a decimal in Athena, which rounds to its digits");
    reader.note(
        Rule::DecimalLiteral,
        span,
        message,
        format!("write `{}e0`", exact.to_string().trim_matches(['(', ')'])),
    );
    true
}

/// `0.1`, `.5`, `-0.1`; not `1e0`.
fn is_exact(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr: inner } => {
            is_exact(inner)
        }
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.contains('.') && !text.contains(['e', 'E']),
            _ => false,
        },
        _ => false,
    }
}

fn compared(left: &Expr, others: &[&Expr], span: Span, reader: &mut Reader<'_>) {
    if std::iter::once(left).chain(others.iter().copied()).any(|e| is_fine_time(e, reader)) {
        coarse(span, reader);
    }
    let Some(first) = type_of(left, reader) else { return };
    for other in others {
        let Some(second) = type_of(other, reader) else { continue };
        let foreign = match (is_text(&first), is_text(&second)) {
            (true, false) => &second,
            (false, true) => &first,
            _ => continue,
        };
        let Some((name, way_out)) = comparable(foreign) else { continue };
        reader.note(Rule::MixedTypes, span, format!("Athena does not compare text with {name}"), way_out);
        return;
    }
}

/// Types that Athena cannot compare with text, and how to write their literals.
fn comparable(data_type: &DataType) -> Option<(&'static str, &'static str)> {
    Some(match data_type {
        DataType::Date32 => ("a date", "write `date '...'`"),
        DataType::Timestamp(..) => ("a time", "write `cast(... as timestamp with time zone)`"),
        DataType::Boolean => ("a truth value", "write `true` or `false` without quotes"),
        t if t.is_numeric() => ("a number", "write the number without quotes, or `cast(... as bigint)`"),
        _ => return None,
    })
}

fn coarse(span: Span, reader: &mut Reader<'_>) {
    reader.note(Rule::CoarseTime, span, "compares a time, which Athena reads rounded to milliseconds", COARSE_TIMES);
}

/// Whether an expression is a time that was not truncated to milliseconds or coarser.
pub(super) fn is_fine_time(expr: &Expr, reader: &Reader<'_>) -> bool {
    let is_cut = match expr {
        Expr::Nested(inner) => return is_fine_time(inner, reader),
        Expr::Function(function) => name_of(function).is_some_and(|name| name == "date_trunc"),
        _ => false,
    };
    reader.has_microseconds && !is_cut && matches!(type_of(expr, reader), Some(DataType::Timestamp(..)))
}

fn joined(left: &Expr, right: &Expr, reader: &mut Reader<'_>) {
    for side in [left, right] {
        let Some(found) = type_of(side, reader) else { continue };
        if !is_text(&found) && (found.is_numeric() || found.is_temporal() || found == DataType::Boolean) {
            reader.note(
                Rule::MixedTypes,
                side.span(),
                "Athena joins only text with `||`",
                "write `cast(... as varchar)`",
            );
        }
    }
}

/// Here a number among texts becomes a text.
fn branches(results: &[&Expr], span: Span, reader: &mut Reader<'_>) {
    let types: Vec<_> = results.iter().filter_map(|result| type_of(result, reader)).collect();
    if types.iter().any(is_text) && types.iter().any(DataType::is_numeric) {
        let message = "Athena wants one type in all branches of `case`";
        reader.note(Rule::MixedTypes, span, message, "write `cast(... as varchar)` around the numbers");
    }
}

fn days(left: &Expr, op: &BinaryOperator, right: &Expr, span: Span, reader: &mut Reader<'_>) {
    let Some([left, right]) = types([left, right], reader) else { return };
    if (left == DataType::Date32 && right.is_integer()) || (left.is_integer() && right == DataType::Date32) {
        let message = format!("Athena does not know `{op}` of a date and a number");
        reader.note(Rule::DateArithmetic, span, message, format!("write `{op} interval '1' day`"));
    } else if left == DataType::Date32 && right == DataType::Date32 {
        let message = "a date minus a date is a number of days here, and an interval in Athena";
        reader.note(Rule::DateArithmetic, span, message, "Athena has `date_diff`, which this tool does not know");
    }
}

fn cast(expr: &Expr, target: &SqlType, reader: &mut Reader<'_>) {
    let span = expr.span();
    let Some(source) = type_of(expr, reader) else { return };
    let target_is_time = matches!(target, SqlType::Timestamp(..) | SqlType::Date);
    let (message, label) = match target {
        _ if is_whole(target) && (source.is_floating() || is_decimal(&source)) && !is_rounded(expr) => {
            ("this cast drops the fraction here, and rounds in Athena", "write `floor(...)` or `round(...)` inside")
        }
        _ if is_whole(target) && source.is_temporal() => {
            ("Athena does not cast a date or time to a number", "keep epoch milliseconds as bigint")
        }
        _ if target_is_time && source.is_numeric() => {
            ("Athena does not cast a number to a date or time", "write `from_unixtime(seconds)`")
        }
        SqlType::Timestamp(..) if is_text(&source) && !is_literal(expr) => {
            ("Athena refuses text such as `2020-01-02T03:04:05Z` here", "it takes `2020-01-02 03:04:05 UTC`")
        }
        SqlType::Decimal(_) | SqlType::Numeric(_) if source.is_floating() && !is_rounded(expr) => {
            ("this cast may round a half otherwise in Athena", "write `round(..., digits)` inside")
        }
        SqlType::Varchar(Some(_)) | SqlType::Char(Some(_)) if is_text(&source) => {
            ("a text is cut to this length in Athena, and not here", "write `varchar`, and `substr(..., 1, length)`")
        }
        SqlType::Varchar(_) if source.is_floating() => (
            "`1.0` becomes the text `1.0` here, and `1.0E0` in Athena",
            "write `cast(cast(... as decimal(p,s)) as varchar)`",
        ),
        SqlType::Varchar(_) if matches!(source, DataType::Timestamp(..)) => (
            "a time becomes `2020-01-02T03:04:05Z` here, and `2020-01-02 03:04:05.000 UTC` in Athena",
            "keep it a time",
        ),
        _ => return,
    };
    reader.note(Rule::Cast, span, message, label);
}

fn is_whole(target: &SqlType) -> bool {
    matches!(
        target,
        SqlType::TinyInt(_)
            | SqlType::SmallInt(_)
            | SqlType::Int(_)
            | SqlType::Integer(_)
            | SqlType::BigInt(_)
            | SqlType::Int2(_)
            | SqlType::Int4(_)
            | SqlType::Int8(_)
    )
}

/// `round(x)`, `floor(x)`, `ceil(x)`, `trunc(x)`: there is no fraction left that a cast could lose.
fn is_rounded(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_rounded(inner),
        Expr::Ceil { field: CeilFloorKind::DateTimeField(_), .. } => true,
        Expr::Floor { field: CeilFloorKind::DateTimeField(_), .. } => true,
        Expr::Function(function) => {
            name_of(function).is_some_and(|name| ["round", "floor", "ceil", "trunc"].contains(&name))
        }
        _ => false,
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if !value.value.to_string().contains('T'))
}

/// Whether a type holds text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether a type is an exact decimal.
pub(super) fn is_decimal(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..)
    )
}

fn types(exprs: [&Expr; 2], reader: &Reader<'_>) -> Option<[DataType; 2]> {
    let fields = reader.scope.fields(&exprs)?;
    let [first, second] = fields.as_slice() else { return None };
    Some([first.data_type().clone(), second.data_type().clone()])
}

/// The type of an expression, if it can be determined.
pub(super) fn type_of(expr: &Expr, reader: &Reader<'_>) -> Option<DataType> {
    reader.scope.field(expr).map(|f| f.data_type().clone())
}
