//! Functions by their meaning in Athena: the same, another one, or missing.
//!
//! The lists hold the names that both engines have: `SHOW FUNCTIONS` of Trino 435 (and the forms of its grammar)
//! against the registry of DataFusion 55. Those of the first list were called in both, over rows with NULL and with
//! edge cases; those of the second to see how they differ.

use deltalake::arrow::datatypes::DataType;
use deltalake::datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Select, SelectItem, Spanned,
    TrimWhereField, UnaryOperator, Value,
};

use super::Rule;
use super::values::{COARSE_TIMES, is_decimal, is_fine_time, type_of};
use super::{Reader, order};

/// Both engines have them, with the same meaning.
pub(super) const SAME: &str = "\
    abs acos array_agg array_distinct array_except array_intersect array_join array_union asin atan atan2 avg \
    bool_and bool_or cardinality cbrt ceil chr coalesce concat_ws corr cos cosh count covar_pop covar_samp cume_dist \
    date_trunc degrees dense_rank exp flatten floor from_unixtime grouping json_extract_scalar lag lead length ln log10 log2 lower \
    map_keys map_values max min ntile nullif percent_rank pi pow power radians rank regr_intercept regr_slope \
    replace reverse round row_number sin sinh sqrt starts_with stddev stddev_pop stddev_samp strpos substr substring \
    sum tan tanh translate upper var_pop var_samp";

/// Both engines have them, with another meaning, always or for some arguments: see [`differs`].
pub(super) const OTHER: &str = "\
    any_value approx_distinct array_max array_min array_position array_remove array_sort arrays_overlap concat \
    contains date_format element_at first_value greatest json_extract last_value least log lpad ltrim md5 nth_value position \
    regexp_count regexp_like regexp_replace repeat rpad rtrim sha256 sha512 split_part to_hex to_unixtime trim";

/// Both engines have them; whether their meaning is the same is unknown.
pub(super) const UNKNOWN: &str = "\
    map map_entries row";

/// Functions that Athena does not have, with a replacement that both engines know, if there is one.
pub(super) const INSTEAD: &[(&str, &str)] = &[
    ("arrow_cast", "write `cast(... as type)`"),
    ("arrow_try_cast", "write `try_cast(... as type)`"),
    ("btrim", "write `trim(both ' ' from ...)`"),
    ("char_length", "write `length(...)`"),
    ("character_length", "write `length(...)`"),
    ("cot", "write `1e0 / tan(...)`"),
    ("covar", "write `covar_samp(...)`"),
    ("date_part", "write `extract(year from ...)`"),
    ("datepart", "write `extract(year from ...)`"),
    ("datetrunc", "write `date_trunc(...)`"),
    ("ends_with", "write `... like '%end'`"),
    ("ifnull", "write `coalesce(...)`"),
    ("instr", "write `strpos(...)`"),
    ("iszero", "write `... = 0`"),
    ("left", "write `substr(..., 1, n)`"),
    ("make_array", "write `array[...]`"),
    ("make_list", "write `array[...]`"),
    ("mean", "write `avg(...)`"),
    ("nvl", "write `coalesce(...)`"),
    ("nvl2", "write `case when ... is not null then ... else ... end`"),
    ("regexp_match", "write `regexp_like(...)`"),
    ("right", "write `reverse(substr(reverse(...), 1, n))`"),
    ("signum", "write `case when ... > 0 then 1 when ... < 0 then -1 when ... = 0 then 0 end`"),
    ("string_agg", "write `array_join(array_agg(... order by ...), ',')`"),
    ("to_char", "write `date_format(..., '%Y-%m-%d')`"),
    ("to_date", "write `cast(... as date)`"),
    ("to_timestamp", "write `cast(... as timestamp with time zone)`"),
    ("to_timestamp_micros", "keep epoch milliseconds as bigint"),
    ("to_timestamp_millis", "keep epoch milliseconds as bigint"),
    ("to_timestamp_nanos", "keep epoch milliseconds as bigint"),
    ("to_timestamp_seconds", "write `from_unixtime(...)`"),
    ("trunc", "write `floor(...)`, and `ceil(...)` for what is negative"),
    ("var", "write `var_samp(...)`"),
    ("var_population", "write `var_pop(...)`"),
    ("var_sample", "write `var_samp(...)`"),
];

/// What a function is in Athena, whatever its arguments.
pub(in crate::definition) enum Spelling {
    /// The same.
    Same,
    /// A function of that name, with another meaning for some arguments.
    Other,
    /// A function of that name; whether it means the same is unknown.
    Unknown,
    /// None, and what to write instead.
    Missing(Option<&'static str>),
}

/// What a function is in Athena.
pub(in crate::definition) fn spelling(name: &str) -> Spelling {
    match name {
        name if has(SAME, name) => Spelling::Same,
        name if has(OTHER, name) => Spelling::Other,
        name if has(UNKNOWN, name) => Spelling::Unknown,
        name => Spelling::Missing(INSTEAD.iter().find(|(known, _)| *known == name).map(|(_, instead)| *instead)),
    }
}

/// Whether a list of names contains this one.
pub(super) fn has(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|known| known == name)
}

/// Notes on one call, or on one of the forms that look like a call.
pub(super) fn expr(expr: &Expr, reader: &mut Reader<'_>) {
    match expr {
        Expr::Function(function) => call(function, reader),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => agreed(inner, reader),
        Expr::Trim { trim_where, trim_what, trim_characters, expr: inner } => {
            let plain = trim_what.is_none() && trim_characters.is_none();
            let side = match trim_where {
                Some(TrimWhereField::Leading) => "leading",
                Some(TrimWhereField::Trailing) => "trailing",
                _ => "both",
            };
            if plain {
                let label = format!("write `trim({side} ' ' from ...)`");
                reader.note(
                    Rule::OtherFunction,
                    inner.span(),
                    "trims blanks only here, and line breaks and tabs too in Athena",
                    label,
                );
            }
        }
        Expr::Substring { expr, substring_from: Some(start), .. } if is_below_one(start) => {
            let message =
                "a start below 1 begins before the text here; in Athena 0 gives '' and -n counts from the end";
            reader.note(Rule::OtherFunction, expr.span().union(&start.span()), message, "begin at 1 or later");
        }
        _ => {}
    }
}

/// Notes on the columns of a select: shown as it is, JSON and its text are one.
pub(super) fn select(select: &Select, reader: &mut Reader<'_>) {
    for item in &select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            agreed(expr, reader);
        }
    }
}

/// A call of `json_extract` where its text means the same as JSON.
fn agreed(expr: &Expr, reader: &mut Reader<'_>) {
    if let Expr::Function(inner) = expr
        && name_of(inner) == Some("json_extract")
    {
        reader.agreed.push(inner.name.span());
    }
}

/// The name of a call, if it has one part.
pub(super) fn name_of(function: &Function) -> Option<&str> {
    let [part] = function.name.0.as_slice() else { return None };
    part.as_ident().map(|ident| ident.value.as_str())
}

/// The arguments of a call that are expressions.
fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let expr = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(expr).collect()
}

fn call(function: &Function, reader: &mut Reader<'_>) {
    order::call(function, reader);
    let Some(name) = name_of(function) else { return };
    let span = function.name.span();
    let args = arguments(function);
    distinct(function, &args, reader);
    if ["coalesce", "nullif"].contains(&name)
        && let [Expr::Function(inner), Expr::Value(value)] = args.as_slice()
        && matches!(&value.value, Value::SingleQuotedString(text) if text.is_empty())
    {
        reader.agreed.push(inner.name.span());
    }
    if let ("json_extract" | "json_extract_scalar", Some(Expr::Function(inner))) = (name, args.first()) {
        reader.agreed.push(inner.name.span());
    }
    if let Some((message, label)) = differs(name, function, &args, reader) {
        reader.note(Rule::OtherFunction, span, message, label);
        return;
    }
    match spelling(name) {
        Spelling::Same | Spelling::Other => {}
        Spelling::Unknown => {
            let message = format!("`{name}` may mean something else in Athena");
            reader.note(Rule::UnknownFunction, span, message, "compare its result there");
        }
        Spelling::Missing(instead) => {
            let label = instead.unwrap_or("both know no other spelling: compute it in a table of its own");
            reader.note(Rule::UnknownFunction, span, format!("Athena does not know `{name}`"), label);
        }
    }
}

fn distinct(function: &Function, args: &[&Expr], reader: &mut Reader<'_>) {
    let FunctionArguments::List(list) = &function.args else { return };
    if list.duplicate_treatment != Some(DuplicateTreatment::Distinct) {
        return;
    }
    for arg in args.iter().filter(|arg| is_fine_time(arg, reader)).collect::<Vec<_>>() {
        let message = "`distinct` compares a time, which Athena reads rounded to milliseconds";
        reader.note(Rule::CoarseTime, arg.span(), message, COARSE_TIMES);
    }
    if function.over.is_some() {
        let message = "Athena does not know `distinct` in a window call";
        reader.note(Rule::UnknownSyntax, function.name.span(), message, "write `distinct` in a subquery");
    }
}

/// The different meaning of a call in Athena.
fn differs(
    name: &str,
    function: &Function,
    args: &[&Expr],
    reader: &Reader<'_>,
) -> Option<(&'static str, &'static str)> {
    let may_be_null = || args.iter().any(|arg| reader.scope.field(arg).is_none_or(|f| f.is_nullable()));
    let is = |arg: &Expr, test: fn(&DataType) -> bool| type_of(arg, reader).is_some_and(|t| test(&t));
    Some(match name {
        "concat" | "concat_ws" if args.iter().any(|arg| is(arg, DataType::is_numeric)) => {
            ("Athena joins only text", "write `cast(... as varchar)` around the numbers")
        }
        "concat" if may_be_null() => {
            ("`concat` skips NULL here, and gives NULL in Athena", "write `||`, with `coalesce(..., '')`")
        }
        "greatest" | "least" if may_be_null() => {
            ("skips NULL here, and gives NULL in Athena", "write `coalesce(...)` around what may be NULL")
        }
        "json_extract" if !reader.agreed.contains(&function.name.span()) => (
            "gives text here, and JSON in Athena, which is no text there",
            "write `json_extract_scalar(...)` for a value",
        ),
        "log" if args.len() == 1 => ("Athena wants the base: `log(base, x)`", "write `log10(...)` or `ln(...)`"),
        "lpad" | "rpad" if args.len() == 2 => ("Athena wants the letter to fill with", "write `lpad(..., n, ' ')`"),
        "ltrim" if args.len() == 1 => {
            ("trims blanks only here, and line breaks and tabs too in Athena", "write `trim(leading ' ' from ...)`")
        }
        "rtrim" if args.len() == 1 => {
            ("trims blanks only here, and line breaks and tabs too in Athena", "write `trim(trailing ' ' from ...)`")
        }
        "regexp_replace" if args.len() > 3 => {
            ("Athena knows no flags here, and always replaces every match", "for a fixed text write `replace(...)`")
        }
        "regexp_replace" => {
            ("replaces the first match here, and every match in Athena", "for a fixed text write `replace(...)`")
        }
        "regexp_like" if args.len() > 2 => ("Athena knows no flags here", "write them into the pattern: `(?i)...`"),
        "regexp_count" if args.len() > 2 => {
            ("Athena knows no start and flags here", "write flags into the pattern: `(?i)...`")
        }
        "split_part" if args.get(2).is_some_and(|n| is_below_one(n)) => {
            ("Athena counts parts from the left only, from 1", "write `reverse(split_part(reverse(...), ...))`")
        }
        "split_part" if !reader.agreed.contains(&function.name.span()) => {
            ("past the last part this is '' here, and NULL in Athena", "write `coalesce(split_part(...), '')`")
        }
        "contains" => ("`contains` looks into arrays only in Athena", "write `strpos(text, part) > 0`"),
        "date_format" if !args.get(1).is_some_and(|f| has_common_letters(f)) => (
            "Athena takes MySQL's letters: `%i` is the minute, and `%M` the name of the month",
            "both know %Y %m %d %H %S %y %j",
        ),
        "position" => ("Athena knows another form of `position`", "write `position(part in text)`"),
        "to_unixtime" => {
            ("gives whole seconds here, and a double in Athena", "write `cast(floor(to_unixtime(...)) as bigint)`")
        }
        "to_hex" => ("`to_hex` takes bytes only in Athena", "both know no other spelling"),
        "md5" | "sha256" | "sha512" => ("takes bytes and gives bytes in Athena", "both know no other spelling"),
        "repeat" => ("`repeat` makes an array in Athena", "write `rpad('', n * length(text), text)`"),
        "approx_distinct" => ("this is another estimate in Athena", "write `count(distinct ...)`"),
        "any_value" => ("the engines may choose another value", "write `min(...)`"),
        "first_value" | "last_value" | "nth_value" if function.over.is_none() => (
            "Athena wants `over (...)` after this call",
            "write `row_number() over (...)` in a subquery, and take number 1",
        ),
        "count" if args.len() > 1 => ("Athena counts one value", "write `count(case when ... is not null then 1 end)`"),
        "date_trunc" if args.first().is_some_and(|unit| is_microsecond(unit)) => {
            ("Athena does not know this unit", "millisecond, second, minute, hour, day, week, month, quarter or year")
        }
        "avg" if args.first().is_some_and(|x| is(x, is_decimal)) => {
            ("`avg` of decimals keeps more digits here than in Athena", "write `avg(cast(... as double))`")
        }
        "avg" | "sum" if args.first().is_some_and(|x| is(x, |t| *t == DataType::Float32)) => {
            ("gives a double here, and a real in Athena", "write `cast(... as double)` inside")
        }
        "array_max" | "array_min" => ("skips NULL here, and gives NULL in Athena", "both know no other spelling"),
        "array_position" => ("gives NULL here, and 0 in Athena, for what is not there", "both know no other spelling"),
        "arrays_overlap" => ("takes NULL for a value here, and not in Athena", "both know no other spelling"),
        "array_remove" => ("removes the first one here, and every one in Athena", "both know no other spelling"),
        "array_sort" => ("puts NULL first here, and last in Athena", "write `array_agg(... order by ... nulls last)`"),
        "element_at" => ("gives an array here, and the value in Athena", "both know no other spelling"),
        _ => return None,
    })
}

/// `0`, `-1` and so on.
fn is_below_one(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_below_one(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, .. } => true,
        Expr::Value(value) => matches!(&value.value, Value::Number(text, _) if text.parse() == Ok(0_i64)),
        _ => false,
    }
}

/// Whether a format of times has only letters that mean the same in both.
fn has_common_letters(format: &Expr) -> bool {
    let Expr::Value(value) = format else { return false };
    let Value::SingleQuotedString(text) = &value.value else { return false };
    text.split('%').skip(1).all(|part| part.starts_with(['Y', 'm', 'd', 'H', 'S', 'y', 'j']))
}

fn is_microsecond(unit: &Expr) -> bool {
    let text = unit.to_string().to_lowercase();
    text.contains("microsecond") || text.contains("nanosecond")
}
