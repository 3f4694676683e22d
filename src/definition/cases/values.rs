//! TOML -> values of a column's type. What is no value of it is a fault, and NULL.

use std::sync::Arc;

use chrono::Utc;
use deltalake::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use deltalake::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray, StructArray, new_null_array,
};
use deltalake::arrow::buffer::{NullBuffer, OffsetBuffer};
use deltalake::arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use deltalake::arrow::datatypes::{DataType, Fields};
use toml::de::DeValue;

use super::super::document::{Entry, Table};
use super::super::model::ColumnType;
use crate::source::faults::{Faults, suggestion};

/// A value, or none.
type Cell<'c, 'd> = Option<&'c Entry<'d>>;

/// The values of a column.
pub(super) fn array(column_type: &ColumnType, cells: &[Cell<'_, '_>], faults: &mut Faults) -> ArrayRef {
    match column_type {
        ColumnType::String | ColumnType::Json => Arc::new(texts(cells, faults).into_iter().collect::<StringArray>()),
        ColumnType::Long => Arc::new(longs(cells, faults).into_iter().collect::<PrimitiveArray<Int64Type>>()),
        ColumnType::Integer => integers::<Int32Type>("an integer of 32 bits", cells, faults),
        ColumnType::Short => integers::<Int16Type>("an integer of 16 bits", cells, faults),
        ColumnType::Byte => integers::<Int8Type>("an integer of 8 bits", cells, faults),
        ColumnType::Double => {
            let numbers = each(cells, faults, number);
            Arc::new(numbers.into_iter().collect::<PrimitiveArray<Float64Type>>())
        }
        ColumnType::Float => {
            #[expect(clippy::cast_possible_truncation, reason = "the column's precision")]
            let numbers = each(cells, faults, |cell, faults| number(cell, faults).map(|number| number as f32));
            Arc::new(numbers.into_iter().collect::<PrimitiveArray<Float32Type>>())
        }
        ColumnType::Boolean => {
            let values = each(cells, faults, |cell, faults| match cell.value() {
                DeValue::Boolean(value) => Some(*value),
                _ => cell.expected_to_be("true or false", faults),
            });
            Arc::new(values.into_iter().collect::<BooleanArray>())
        }
        ColumnType::Binary => {
            let values =
                each(cells, faults, |cell, faults| parsed(cell, "bytes as hexadecimal digits", hexadecimal, faults));
            Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>())
        }
        ColumnType::Date => {
            let days = each(cells, faults, |cell, faults| {
                parsed(cell, "a date such as \"2026-11-20\"", Date32Type::parse, faults)
            });
            Arc::new(days.into_iter().collect::<PrimitiveArray<Date32Type>>())
        }
        ColumnType::Timestamp => {
            const EXAMPLE: &str = "a time such as \"2026-11-20T08:14:02Z\"";
            let micros = |text: &str| string_to_datetime(&Utc, text).ok().map(|time| time.timestamp_micros());
            let times = each(cells, faults, |cell, faults| parsed(cell, EXAMPLE, micros, faults));
            let times = times.into_iter().collect::<PrimitiveArray<TimestampMicrosecondType>>();
            Arc::new(times.with_data_type(column_type.arrow()))
        }
        ColumnType::Decimal(precision, scale) => {
            let what =
                format!("a decimal({precision},{scale}) as a string, such as \"{}\"", example(*precision, *scale));
            let values = each(cells, faults, |cell, faults| {
                parsed(cell, &what, |text| decimal(text, *precision, *scale), faults)
            });
            let values = values.into_iter().collect::<PrimitiveArray<Decimal128Type>>();
            Arc::new(values.with_data_type(column_type.arrow()))
        }
        ColumnType::Array(element) => lists(column_type, element, cells, faults),
        ColumnType::Struct(fields) => structs(fields, cells, faults),
        ColumnType::Map(entry) => maps(column_type, &entry.0, &entry.1, cells, faults),
    }
}

/// Strings.
pub(super) fn texts(cells: &[Cell<'_, '_>], faults: &mut Faults) -> Vec<Option<String>> {
    each(cells, faults, |cell, faults| cell.string(faults).map(|text| text.value))
}

/// Integers of 64 bits.
pub(super) fn longs(cells: &[Cell<'_, '_>], faults: &mut Faults) -> Vec<Option<i64>> {
    each(cells, faults, |cell, faults| integer(cell, "an integer of 64 bits", faults))
}

fn each<T>(
    cells: &[Cell<'_, '_>],
    faults: &mut Faults,
    read: impl Fn(&Entry<'_>, &mut Faults) -> Option<T>,
) -> Vec<Option<T>> {
    cells.iter().map(|cell| cell.and_then(|cell| read(cell, faults))).collect()
}

fn integer(cell: &Entry<'_>, what: &str, faults: &mut Faults) -> Option<i64> {
    let DeValue::Integer(number) = cell.value() else { return cell.expected_to_be(what, faults) };
    let found = i64::from_str_radix(number.as_str(), number.radix()).ok();
    found.or_else(|| cell.expected_to_be(what, faults))
}

fn integers<T: ArrowPrimitiveType<Native: TryFrom<i64>>>(
    what: &str,
    cells: &[Cell<'_, '_>],
    faults: &mut Faults,
) -> ArrayRef {
    let numbers = each(cells, faults, |cell, faults| {
        let number = T::Native::try_from(integer(cell, what, faults)?).ok();
        number.or_else(|| cell.expected_to_be(what, faults))
    });
    Arc::new(numbers.into_iter().collect::<PrimitiveArray<T>>())
}

fn number(cell: &Entry<'_>, faults: &mut Faults) -> Option<f64> {
    let found = match cell.value() {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    };
    found.or_else(|| cell.expected_to_be("a number", faults))
}

/// A value that is written as a string; times may be TOML's own.
fn parsed<T>(cell: &Entry<'_>, what: &str, parse: impl Fn(&str) -> Option<T>, faults: &mut Faults) -> Option<T> {
    let found = match cell.value() {
        DeValue::String(text) => parse(text),
        DeValue::Datetime(time) => parse(&time.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => parse(number.as_str()),
        _ => None,
    };
    if found.is_none() && cell.is_string() {
        faults.add(cell.place().clone(), format!("`{}` cannot be read", cell.key), format!("expected {what}"));
        return None;
    }
    found.or_else(|| cell.expected_to_be(what, faults))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2);
    pairs.map(|pair| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok()).collect()
}

fn example(precision: u8, scale: i8) -> String {
    let scale = usize::from(scale.unsigned_abs());
    let whole = if usize::from(precision) > scale { "7" } else { "0" };
    if scale == 0 { whole.to_owned() } else { format!("{whole}.{}", "5".repeat(scale.min(2))) }
}

/// Exactly the written number, or none.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = usize::from(scale.unsigned_abs());
    let kept = fraction.trim_end_matches('0');
    let is_number = !whole.is_empty() && (whole.chars().chain(fraction.chars())).all(|c| c.is_ascii_digit());
    if !is_number || kept.len() > scale {
        return None;
    }
    let number: i128 = format!("{whole}{kept}{}", "0".repeat(scale - kept.len())).parse().ok()?;
    let is_held = number.checked_ilog10().is_none_or(|digits| digits < u32::from(precision));
    is_held.then_some(if is_negative { -number } else { number })
}

fn lists(list: &ColumnType, element: &ColumnType, cells: &[Cell<'_, '_>], faults: &mut Faults) -> ArrayRef {
    let items: Vec<Option<Vec<Entry<'_>>>> = cells.iter().map(|cell| cell.map(|cell| cell.list(faults))).collect();
    let lengths = items.iter().map(|items| items.as_ref().map_or(0, Vec::len));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let inner: Vec<Cell<'_, '_>> = items.iter().flatten().flatten().map(Some).collect();
    let values = array(element, &inner, faults);
    let nulls: NullBuffer = items.iter().map(Option::is_some).collect();
    let DataType::List(field) = list.arrow() else { return new_null_array(&list.arrow(), cells.len()) };
    match ListArray::try_new(field, offsets, values, Some(nulls)) {
        Ok(lists) => Arc::new(lists),
        Err(_) => new_null_array(&list.arrow(), cells.len()),
    }
}

/// The cells as tables.
fn tables<'d>(cells: &[Cell<'_, 'd>], faults: &mut Faults) -> Vec<Option<Table<'d>>> {
    cells.iter().map(|cell| cell.and_then(|cell| cell.table(faults))).collect()
}

fn structs(fields: &Arc<[(String, ColumnType)]>, cells: &[Cell<'_, '_>], faults: &mut Faults) -> ArrayRef {
    let rows = tables(cells, faults);
    for cell in rows.iter().flatten().flat_map(Table::entries) {
        if fields.iter().all(|(name, _)| *name != cell.key) {
            let label = suggestion(&cell.key, fields.iter().map(|(name, _)| name.as_str()));
            faults.add(cell.key_place.clone(), format!("there is no field `{}`", cell.key), label);
        }
    }
    let columns = fields.iter().map(|(name, field)| {
        let cells: Vec<Cell<'_, '_>> = rows.iter().map(|row| row.as_ref().and_then(|row| row.get(name))).collect();
        array(field, &cells, faults)
    });
    let columns: Vec<ArrayRef> = columns.collect();
    let whole = ColumnType::Struct(Arc::clone(fields)).arrow();
    let types = match &whole {
        DataType::Struct(fields) => fields.clone(),
        _ => Fields::empty(),
    };
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    match StructArray::try_new(types, columns, Some(nulls)) {
        Ok(structs) => Arc::new(structs),
        Err(_) => new_null_array(&whole, cells.len()),
    }
}

fn maps(
    map: &ColumnType,
    key: &ColumnType,
    value: &ColumnType,
    cells: &[Cell<'_, '_>],
    faults: &mut Faults,
) -> ArrayRef {
    let rows = tables(cells, faults);
    let entries: Vec<&Entry<'_>> = rows.iter().flatten().flat_map(Table::entries).collect();
    if *key != ColumnType::String
        && let Some(entry) = entries.first()
    {
        let message = format!("TOML has no keys of type {}", key.delta_name());
        faults.add(entry.key_place.clone(), message, "a test cannot write a map whose keys are not strings");
        return new_null_array(&map.arrow(), cells.len());
    }
    let DataType::Map(field, is_sorted) = map.arrow() else { return new_null_array(&map.arrow(), cells.len()) };
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, |row| row.entries().len())));
    let keys: ArrayRef = match key {
        ColumnType::String => Arc::new(entries.iter().map(|entry| Some(entry.key.as_str())).collect::<StringArray>()),
        other => new_null_array(&other.arrow(), 0),
    };
    let inner: Vec<Cell<'_, '_>> = entries.into_iter().map(Some).collect();
    let values = array(value, &inner, faults);
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let DataType::Struct(types) = field.data_type().clone() else { return new_null_array(&map.arrow(), cells.len()) };
    let maps = StructArray::try_new(types, vec![keys, values], None)
        .and_then(|entries| MapArray::try_new(field, offsets, entries, Some(nulls), is_sorted));
    match maps {
        Ok(maps) => Arc::new(maps),
        Err(_) => new_null_array(&map.arrow(), cells.len()),
    }
}
