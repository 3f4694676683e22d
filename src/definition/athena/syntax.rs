//! Syntax that our grammar has and Trino's does not.

use deltalake::datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CastKind, DataType, DateTimeField, Distinct, Expr, ExtractSyntax, FunctionArg,
    FunctionArgumentClause, FunctionArguments, GroupByExpr, Interval, JoinConstraint, JoinOperator, LimitClause,
    OrderByKind, Query, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetQuantifier,
    Spanned, Subscript, TableAlias, TableFactor, TimezoneInfo, TypedString, UnaryOperator, Value,
    WildcardAdditionalOptions,
};
use deltalake::datafusion::sql::sqlparser::tokenizer::Span;

use super::Reader;
use super::Rule;
use crate::name::RESCUED;

/// Notes on the clauses of a query.
pub(super) fn query(query: &Query, reader: &mut Reader<'_>) {
    for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
        aliased(&cte.alias, reader);
    }
    if let Some(order) = &query.order_by
        && let OrderByKind::All(_) = &order.kind
    {
        reader.note(Rule::UnknownSyntax, order.span(), "Athena does not know `order by all`", "name the columns");
    }
    match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(limit), .. }) if !matches!(limit, Expr::Value(_)) => {
            reader.note(Rule::UnknownSyntax, limit.span(), "Athena wants a number after `limit`", "write the number");
        }
        Some(LimitClause::OffsetCommaLimit { offset, .. }) => {
            reader.note(
                Rule::UnknownSyntax,
                offset.span(),
                "Athena does not know `limit a, b`",
                "write `offset a limit b`",
            );
        }
        _ => {}
    }
    if !query.pipe_operators.is_empty() {
        reader.note(Rule::UnknownSyntax, query.body.span(), "Athena does not know `|>`", "write a subquery");
    }
    if let SetExpr::SetOperation { set_quantifier, left, .. } = query.body.as_ref() {
        use SetQuantifier as By;
        if matches!(set_quantifier, By::ByName | By::AllByName | By::DistinctByName) {
            reader.note(
                Rule::UnknownSyntax,
                left.span(),
                "Athena does not know `by name`",
                "list the columns in the same order",
            );
        }
    }
}

/// Notes on the clauses of a select.
pub(super) fn select(select: &Select, reader: &mut Reader<'_>) {
    let start = select.select_token.0.span;
    if select.flavor != SelectFlavor::Standard {
        reader.note(Rule::UnknownSyntax, select.span(), "Athena wants `select` first", "write `select ... from ...`");
    }
    if let Some(Distinct::On(_)) = &select.distinct {
        let label = "write `row_number() over (...)` in a subquery, and take number 1";
        reader.note(Rule::UnknownSyntax, start, "Athena does not know `distinct on`", label);
    }
    if let Some(qualify) = &select.qualify {
        let label = "write the window call in a subquery, and `where` around it";
        reader.note(Rule::UnknownSyntax, qualify.span(), "Athena does not know `qualify`", label);
    }
    if let GroupByExpr::All(_) = &select.group_by {
        reader.note(Rule::UnknownSyntax, start, "Athena does not know `group by all`", "name the columns");
    }
    if let GroupByExpr::Expressions(_, modifiers) = &select.group_by
        && !modifiers.is_empty()
    {
        reader.note(
            Rule::UnknownSyntax,
            start,
            "Athena does not know `with rollup` and its like",
            "write `group by rollup (...)`",
        );
    }
    if select.projection.is_empty() {
        reader.note(Rule::UnknownSyntax, start, "Athena wants something to select", "write `select 1`");
    }
    for item in &select.projection {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => reader.name(alias),
            SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => wildcard(options, reader),
            _ => {}
        }
        star(item, select, reader);
    }
    for join in select.from.iter().flat_map(|t| &t.joins) {
        joined(&join.join_operator, join.span(), reader);
    }
}

/// Notes a `*` over a table with a column that it leaves out here.
fn star(item: &SelectItem, select: &Select, reader: &mut Reader<'_>) {
    let (of, options) = match item {
        SelectItem::Wildcard(options) => (None, options),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
            (name.0.last().and_then(|part| part.as_ident()), options)
        }
        _ => return,
    };
    let from = select.from.iter();
    let mut factors = from.flat_map(|f| std::iter::once(&f.relation).chain(f.joins.iter().map(|join| &join.relation)));
    let has_it = factors.any(|factor| {
        let TableFactor::Table { name, alias, .. } = factor else { return false };
        let Some(table) = name.0.last().and_then(|part| part.as_ident()) else { return false };
        let called = alias.as_ref().map_or(table, |alias| &alias.name);
        of.is_none_or(|of| of.value == called.value) && reader.scope.has_column(&table.value, RESCUED)
    });
    let span = options.wildcard_token.0.span;
    if has_it && !reader.agreed.contains(&span) {
        let message = format!("`*` leaves out `{RESCUED}` here, and has it in Athena");
        reader.note(Rule::OtherMeaning, span, message, "list the columns");
    }
}

/// In `exists` it makes no difference what is selected.
pub(super) fn exists(subquery: &Query, reader: &mut Reader<'_>) {
    let SetExpr::Select(select) = subquery.body.as_ref() else { return };
    for item in &select.projection {
        if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
            reader.agreed.push(options.wildcard_token.0.span);
        }
    }
}

fn wildcard(options: &WildcardAdditionalOptions, reader: &mut Reader<'_>) {
    let is_plain = options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none();
    if !is_plain {
        let message = "Athena does not know `*` with `exclude`, `except` or `replace`";
        reader.note(Rule::UnknownSyntax, options.wildcard_token.0.span, message, "list the columns");
    }
}

fn joined(operator: &JoinOperator, span: Span, reader: &mut Reader<'_>) {
    use JoinOperator as Join;
    let (message, label) = match operator {
        Join::Semi(_) | Join::LeftSemi(_) | Join::RightSemi(_) => {
            ("Athena does not know `semi join`", "write `where exists (select 1 from ... where ...)`")
        }
        Join::Anti(_) | Join::LeftAnti(_) | Join::RightAnti(_) => {
            ("Athena does not know `anti join`", "write `where not exists (select 1 from ... where ...)`")
        }
        Join::Join(constraint)
        | Join::Inner(constraint)
        | Join::Left(constraint)
        | Join::LeftOuter(constraint)
        | Join::Right(constraint)
        | Join::RightOuter(constraint)
        | Join::FullOuter(constraint) => match constraint {
            JoinConstraint::Natural => ("Athena does not know `natural join`", "write `join ... using (columns)`"),
            JoinConstraint::None => ("Athena wants a condition for this join", "write `on ...`, or `cross join`"),
            _ => return,
        },
        _ => return,
    };
    reader.note(Rule::UnknownSyntax, span, message, label);
}

/// Notes on the name of a table in `from`.
pub(super) fn table(table: &TableFactor, reader: &mut Reader<'_>) {
    match table {
        TableFactor::Derived { subquery, alias, .. }
            if matches!(subquery.body.as_ref(), SetExpr::Values(_))
                && alias.as_ref().is_none_or(|alias| alias.columns.is_empty()) =>
        {
            let message = "Athena names the columns of `values` otherwise";
            reader.note(Rule::OtherMeaning, subquery.span(), message, "write `(values ...) as name (columns)`");
        }
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => aliased(alias, reader),
        _ => {}
    }
}

fn aliased(alias: &TableAlias, reader: &mut Reader<'_>) {
    reader.name(&alias.name);
    for column in &alias.columns {
        reader.name(&column.name);
    }
}

/// Notes on the spelling of one expression.
pub(super) fn expr(expr: &Expr, reader: &mut Reader<'_>) {
    let (message, label) = match expr {
        Expr::Identifier(name) => return reader.name(name),
        Expr::CompoundIdentifier(names) => return names.iter().for_each(|name| reader.name(name)),
        Expr::IsTrue(_) => ("Athena does not know `is true`", "write `coalesce(..., false)`"),
        Expr::IsNotTrue(_) => ("Athena does not know `is not true`", "write `not coalesce(..., false)`"),
        Expr::IsFalse(_) => ("Athena does not know `is false`", "write `not coalesce(..., true)`"),
        Expr::IsNotFalse(_) => ("Athena does not know `is not false`", "write `coalesce(..., true)`"),
        Expr::IsUnknown(_) => ("Athena does not know `is unknown`", "write `is null`"),
        Expr::IsNotUnknown(_) => ("Athena does not know `is not unknown`", "write `is not null`"),
        Expr::ILike { .. } => ("Athena does not know `ilike`", "write `lower(...) like '...'`"),
        Expr::RLike { .. } => ("Athena does not know `rlike`", "write `regexp_like(..., '...')`"),
        Expr::Like { any: true, .. } => ("Athena does not know `like any`", "write `... like '...' or ... like '...'`"),
        Expr::Like { pattern, escape_char: None, .. } if has_backslash(pattern) => {
            ("a backslash escapes the next letter here, and is a plain letter in Athena", "add `escape '\\'`")
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if !matches!(right.as_ref(), Expr::Subquery(_)) => {
            ("Athena wants a subquery after `any` and `all`", "write `in (...)`")
        }
        Expr::BinaryOp { op, .. } => match operator(op) {
            Some(found) => found,
            None => return,
        },
        Expr::UnaryOp { op, .. } if !matches!(op, UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not) => {
            ("Athena does not know this operator", "write a call, or arithmetic")
        }
        Expr::Cast { kind: CastKind::SafeCast, .. } => ("Athena does not know `safe_cast`", "write `try_cast(...)`"),
        Expr::Substring { substring_from: None, .. } => ("Athena wants a start", "write `substr(text, 1, length)`"),
        Expr::Substring { special: false, shorthand: true, .. } => {
            ("Athena does not know `substr(text from start)`", "write `substr(text, start, length)`")
        }
        Expr::TypedString(TypedString { data_type: DataType::Timestamp(_, TimezoneInfo::WithTimeZone), .. }) => {
            ("Athena does not know this literal", "write `cast('...' as timestamp with time zone)`")
        }
        Expr::Extract { syntax: ExtractSyntax::Comma, .. } => {
            ("Athena does not know `extract(unit, time)`", "write `extract(unit from time)`")
        }
        Expr::Cast { data_type, .. } => match type_name(data_type) {
            Some(found) => {
                return reader.note(
                    Rule::UnknownSyntax,
                    expr.span(),
                    format!("Athena does not know the type `{}`", data_type.to_string().to_lowercase()),
                    found,
                );
            }
            None => return,
        },
        Expr::TypedString(typed) => match type_name(&typed.data_type) {
            Some(found) => {
                return reader.note(
                    Rule::UnknownSyntax,
                    expr.span(),
                    format!("Athena does not know the type `{}`", typed.data_type.to_string().to_lowercase()),
                    found,
                );
            }
            None => return,
        },
        Expr::Interval(interval) if !is_plain_interval(interval) => (
            "Athena wants the unit of an interval outside of the quotes",
            "write `interval '1' day`: year, month, day, hour, minute or second",
        ),
        Expr::Array(Array { named: false, .. }) => ("Athena does not know `[...]`", "write `array[...]`"),
        Expr::Struct { .. } | Expr::Dictionary(_) | Expr::Map(_) | Expr::Named { .. } => {
            ("Athena does not know this literal", "write the values as columns of their own")
        }
        Expr::CompoundFieldAccess { access_chain, .. } if access_chain.iter().any(is_slice) => {
            ("Athena does not know `[a:b]`", "take the elements one by one")
        }
        Expr::JsonAccess { .. } => {
            ("Athena does not know `:` into a value", "write the fields as columns of their own")
        }
        Expr::Overlay { .. } => ("Athena does not know `overlay`", "write `substr(...) || '...' || substr(...)`"),
        Expr::Collate { .. } => ("Athena does not know `collate`", "leave it out"),
        Expr::Extract { field, .. } => match extracted(field) {
            Some(found) => found,
            None => return,
        },
        Expr::Function(function) => return arguments(&function.args, expr, reader),
        _ => return,
    };
    reader.note(Rule::UnknownSyntax, expr.span(), message, label);
}

fn has_backslash(pattern: &Expr) -> bool {
    matches!(pattern, Expr::Value(value) if value.value.to_string().contains('\\'))
}

fn is_slice(access: &AccessExpr) -> bool {
    matches!(access, AccessExpr::Subscript(Subscript::Slice { .. }))
}

fn operator(operator: &BinaryOperator) -> Option<(&'static str, &'static str)> {
    use BinaryOperator as Op;
    Some(match operator {
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::StringConcat => return None,
        Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq | Op::And | Op::Or => return None,
        Op::Spaceship => ("Athena does not know `<=>`", "write `is not distinct from`"),
        Op::PGRegexMatch | Op::Match | Op::Regexp => ("Athena does not know `~`", "write `regexp_like(..., '...')`"),
        Op::PGRegexIMatch => ("Athena does not know `~*`", "write `regexp_like(..., '(?i)...')`"),
        Op::PGRegexNotMatch => ("Athena does not know `!~`", "write `not regexp_like(..., '...')`"),
        Op::PGRegexNotIMatch => ("Athena does not know `!~*`", "write `not regexp_like(..., '(?i)...')`"),
        Op::PGLikeMatch | Op::PGNotLikeMatch => ("Athena does not know `~~`", "write `like`"),
        Op::PGILikeMatch | Op::PGNotILikeMatch => ("Athena does not know `~~*`", "write `lower(...) like '...'`"),
        Op::DuckIntegerDivide | Op::MyIntegerDivide => ("Athena does not know this division", "write `/` of integers"),
        Op::Xor => ("Athena does not know `xor`", "write `<>` of two truth values"),
        Op::BitwiseXor | Op::PGBitwiseXor | Op::PGExp => {
            ("Athena does not know this operator", "Athena has `bitwise_xor` and `power`; this tool has `power`")
        }
        Op::BitwiseAnd | Op::BitwiseOr | Op::PGBitwiseShiftLeft | Op::PGBitwiseShiftRight => {
            ("Athena has no operators on bits", "it has `bitwise_and` and its like, which this tool does not know")
        }
        Op::PGStartsWith => ("Athena does not know `^@`", "write `starts_with(..., '...')`"),
        _ => ("Athena does not know this operator", "write a call, or arithmetic"),
    })
}

/// The replacement for a type that Trino does not know by this name.
fn type_name(data_type: &DataType) -> Option<&'static str> {
    use DataType as Type;
    Some(match data_type {
        Type::Boolean | Type::TinyInt(None) | Type::SmallInt(None) | Type::Int(None) | Type::Integer(None) => {
            return None;
        }
        Type::BigInt(None) | Type::Real | Type::Double(_) | Type::DoublePrecision | Type::Decimal(_) => return None,
        Type::Varchar(_) | Type::Char(_) | Type::Date | Type::Array(_) | Type::Interval { .. } => return None,
        Type::Time(_, zone) | Type::Timestamp(_, zone) if *zone != TimezoneInfo::Tz => return None,
        Type::Time(..) => "write `time`",
        Type::Timestamp(..) => "write `timestamp with time zone`",
        Type::Text | Type::String(_) => "write `varchar`",
        Type::Int2(_) => "write `smallint`",
        Type::Int4(_) => "write `integer`",
        Type::Int8(_) => "write `bigint`",
        Type::Float(_) | Type::Float4 => "write `real`",
        Type::Float8 => "write `double`",
        Type::Bool => "write `boolean`",
        Type::Numeric(_) => "write `decimal(p,s)`",
        Type::Bytea => "it calls it `varbinary`, which this tool does not know",
        _ => "one of boolean, tinyint, smallint, integer, bigint, real, double, decimal(p,s), varchar, date, timestamp",
    })
}

fn is_plain_interval(interval: &Interval) -> bool {
    use DateTimeField as Field;
    let is_text = matches!(interval.value.as_ref(), Expr::Value(v) if matches!(v.value, Value::SingleQuotedString(_)));
    let unit = matches!(
        interval.leading_field,
        Some(Field::Year | Field::Month | Field::Day | Field::Hour | Field::Minute | Field::Second)
    );
    is_text && unit && interval.last_field.is_none()
}

fn extracted(field: &DateTimeField) -> Option<(&'static str, &'static str)> {
    use DateTimeField as Field;
    Some(match field {
        Field::Year | Field::Quarter | Field::Month | Field::Week(None) | Field::Day | Field::Doy => return None,
        Field::Hour | Field::Minute | Field::Second => return None,
        Field::Dow => ("Sunday is 0 here, and 7 in Athena", "write `extract(dow from ...) % 7`"),
        Field::Epoch => {
            ("Athena does not know `extract(epoch from ...)`", "write `cast(floor(to_unixtime(...)) as bigint)`")
        }
        _ => ("Athena does not know this field", "year, quarter, month, week, day, doy, hour, minute or second"),
    })
}

fn arguments(args: &FunctionArguments, expr: &Expr, reader: &mut Reader<'_>) {
    let FunctionArguments::List(list) = args else { return };
    if list.args.iter().any(|arg| !matches!(arg, FunctionArg::Unnamed(_))) {
        reader.note(
            Rule::UnknownSyntax,
            expr.span(),
            "Athena does not know arguments by name",
            "write the values in their order",
        );
    }
    let is_nulls = |c: &_| matches!(c, FunctionArgumentClause::IgnoreOrRespectNulls(_));
    if list.clauses.iter().any(is_nulls) {
        reader.note(
            Rule::UnknownSyntax,
            expr.span(),
            "Athena wants `ignore nulls` after the call",
            "write `lag(...) ignore nulls over (...)`",
        );
    }
}
