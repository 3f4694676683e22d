//! The size in bytes of a function's result: exact, or an upper bound.

use std::ops::Range;

use deltalake::arrow::array::{Array, ArrayRef, AsArray};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, TimeUnit};
use deltalake::datafusion::common::Result;
use deltalake::datafusion::logical_expr::ColumnarValue;

/// Bytes of a value besides its own: an offset, or a length.
const OFFSET: u64 = 4;
/// Characters of a value of another type as text.
const SHOWN: u64 = 32;
const DAY_NANOS: i128 = 86_400_000_000_000;

/// How the size of a result depends on the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// The sum of all arguments.
    Sum,
    /// The same, with the first one between all others.
    Separated,
    /// A text, repeated.
    Repeat,
    /// A number of characters.
    Pad,
    /// A text for each occurrence of another one.
    Replace,
    /// A text for each match.
    Matches,
    /// A list of a number of numbers or times.
    Series,
    /// A list of copies of a value.
    Copies,
    /// A list extended by a value.
    Resize,
    /// A list with a value in place of others.
    Elements,
    /// Elements with a separator.
    Text,
}

impl Growth {
    /// The rule of a function; `None` if its result is not larger than its arguments.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "concat" | "overlay" | "translate" | "make_array" | "array_concat" | "array_append" | "array_prepend"
            | "struct" | "named_struct" | "map" => Self::Sum,
            "concat_ws" => Self::Separated,
            "repeat" => Self::Repeat,
            "lpad" | "rpad" => Self::Pad,
            "replace" => Self::Replace,
            "regexp_replace" => Self::Matches,
            "range" | "generate_series" => Self::Series,
            "array_repeat" => Self::Copies,
            "array_resize" => Self::Resize,
            "array_replace" | "array_replace_n" | "array_replace_all" => Self::Elements,
            "array_to_string" => Self::Text,
            _ => return None,
        })
    }

    /// Whether a numeric argument determines the size of the result.
    pub(super) fn is_by_number(self) -> bool {
        matches!(self, Self::Repeat | Self::Pad | Self::Series | Self::Copies | Self::Resize)
    }

    /// Whether the number of bytes is an upper bound that may be far above the true one.
    pub(super) fn is_guess(self) -> bool {
        self == Self::Matches
    }

    /// Bytes of the result for a number of rows; 0 for arguments of a wrong number or type, which the function will
    /// refuse.
    ///
    /// # Errors
    /// A constant cannot be an array of one row.
    pub(super) fn bytes(self, args: &[ColumnarValue], rows: usize) -> Result<u64> {
        let args: Vec<Arg> = args.iter().map(Arg::new).collect::<Result<_>>()?;
        let rows = if args.iter().any(|arg| arg.is_array) { rows } else { 1 };
        let sum = |of: &dyn Fn(usize) -> u64| (0..rows).map(of).fold(0, u64::saturating_add);
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|at| args.get(at));
        let (Some(first), rest) = (first, second) else { return Ok(0) };
        Ok(match (self, rest) {
            (Self::Sum | Self::Separated, _) => {
                let all = args.iter().map(|arg| arg.all(rows)).fold(0, u64::saturating_add);
                let between = if self == Self::Separated { args.len().saturating_sub(3) as u64 } else { 0 };
                all.saturating_add(first.all(rows).saturating_mul(between))
            }
            (Self::Series, _) => {
                let (start, stop) = rest.map_or((None, first), |stop| (Some(first), stop));
                sum(&|row| series(start, stop, third, row).saturating_mul(8))
            }
            (Self::Repeat, Some(times)) => sum(&|row| first.bytes(row).saturating_mul(times.count(row))),
            (Self::Copies, Some(times)) => sum(&|row| (first.bytes(row) + OFFSET).saturating_mul(times.count(row))),
            (Self::Pad, Some(length)) => {
                let wide = third.map_or(1, |fill| if fill.is_ascii() { 1 } else { 4 });
                sum(&|row| first.bytes(row).saturating_add(length.count(row).saturating_mul(wide)))
            }
            (Self::Replace, Some(from)) => {
                let to = third.unwrap_or(first);
                sum(&|row| replaced(first, from, row, to.bytes(row)))
            }
            (Self::Matches, Some(_)) => {
                let by = third.unwrap_or(first);
                let is_global = fourth.is_some();
                sum(&|row| {
                    let (text, by, groups) = (first.bytes(row), by.bytes(row), by.groups(row));
                    let times = if is_global { text.saturating_add(1) } else { 1 };
                    let copied = text.saturating_mul(groups.saturating_add(1));
                    by.saturating_mul(times).saturating_add(copied)
                })
            }
            (Self::Resize, Some(length)) => sum(&|row| {
                let more = length.count(row).saturating_sub(first.elements(row));
                let each = third.map_or(1, |value| value.bytes(row)) + OFFSET;
                first.bytes(row).saturating_add(more.saturating_mul(each))
            }),
            (Self::Elements, Some(_)) => {
                let to = third.unwrap_or(first);
                sum(&|row| first.bytes(row).saturating_add(first.elements(row).saturating_mul(to.bytes(row))))
            }
            (Self::Text, Some(between)) => sum(&|row| {
                let null = third.map_or(0, |null| null.bytes(row));
                let each = between.bytes(row).saturating_add(null).saturating_add(SHOWN);
                first.bytes(row).saturating_add(first.leaves(row).saturating_mul(each))
            }),
            (_, None) => 0,
        })
    }
}

/// An argument; a constant has one row.
struct Arg {
    array: ArrayRef,
    is_array: bool,
    /// As 64-bit integers, if it is a number.
    numbers: Option<ArrayRef>,
}

impl Arg {
    fn new(value: &ColumnarValue) -> Result<Self> {
        let is_array = matches!(value, ColumnarValue::Array(_));
        let array = value.to_array(1)?;
        let numbers = match array.data_type() {
            of if of.is_integer() => cast(&array, &DataType::Int64).ok(),
            DataType::Date32 | DataType::Date64 => cast(&array, &DataType::Date32)
                .and_then(|days| cast(&days, &DataType::Int32))
                .and_then(|days| cast(&days, &DataType::Int64))
                .ok(),
            DataType::Timestamp(..) => cast(&array, &DataType::Int64).ok(),
            _ => None,
        };
        Ok(Self { array, is_array, numbers })
    }

    fn at(&self, row: usize) -> usize {
        if self.is_array { row } else { 0 }
    }

    fn bytes(&self, row: usize) -> u64 {
        row_bytes(self.array.as_ref(), self.at(row))
    }

    /// Bytes of a number of rows.
    fn all(&self, rows: usize) -> u64 {
        if self.is_array {
            return self.array.to_data().get_slice_memory_size().map_or(0, |bytes| bytes as u64);
        }
        self.bytes(0).saturating_mul(rows as u64)
    }

    fn number(&self, row: usize) -> Option<i64> {
        let numbers = self.numbers.as_ref()?.as_primitive_opt::<Int64Type>()?;
        let at = self.at(row);
        numbers.is_valid(at).then(|| numbers.value(at))
    }

    /// A number of repetitions: negative counts as 0.
    fn count(&self, row: usize) -> u64 {
        self.number(row).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }

    fn text(&self, row: usize) -> Option<&str> {
        let at = self.at(row);
        match self.array.data_type() {
            _ if self.array.is_null(at) => None,
            DataType::Utf8 => Some(self.array.as_string::<i32>().value(at)),
            DataType::LargeUtf8 => Some(self.array.as_string::<i64>().value(at)),
            DataType::Utf8View => Some(self.array.as_string_view().value(at)),
            _ => None,
        }
    }

    fn is_ascii(&self) -> bool {
        (0..self.array.len()).all(|row| self.text(row).is_none_or(str::is_ascii))
    }

    /// Positions in a replacement that groups of the match may fill.
    fn groups(&self, row: usize) -> u64 {
        self.text(row).map_or(0, |text| text.matches(['\\', '$']).count() as u64)
    }

    /// Elements of a list.
    fn elements(&self, row: usize) -> u64 {
        range(self.array.as_ref(), self.at(row)).map_or(0, |(_, range)| range.len() as u64)
    }

    /// Elements of the innermost lists.
    fn leaves(&self, row: usize) -> u64 {
        leaves(self.array.as_ref(), self.at(row))
    }
}

/// The values of a list's row.
fn range(array: &dyn Array, row: usize) -> Option<(&ArrayRef, Range<usize>)> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let ends = lists.value_offsets();
            Some((lists.values(), ends[row] as usize..ends[row + 1] as usize))
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let ends = lists.value_offsets();
            Some((lists.values(), ends[row] as usize..ends[row + 1] as usize))
        }
        DataType::FixedSizeList(_, length) => {
            let lists = array.as_fixed_size_list();
            let begin = lists.value_offset(row) as usize;
            Some((lists.values(), begin..begin + *length as usize))
        }
        DataType::Map(..) => {
            let maps = array.as_map();
            let ends = maps.value_offsets();
            // There are as many keys as values; their size is estimated by the values.
            Some((maps.values(), ends[row] as usize..ends[row + 1] as usize))
        }
        _ => None,
    }
}

fn leaves(array: &dyn Array, row: usize) -> u64 {
    match range(array, row) {
        Some((values, range)) => range.map(|at| leaves(values.as_ref(), at)).sum(),
        None => 1,
    }
}

/// Bytes of one value.
fn row_bytes(array: &dyn Array, row: usize) -> u64 {
    if array.is_null(row) {
        return 0;
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_length(row) as u64,
        DataType::LargeUtf8 => array.as_string::<i64>().value_length(row) as u64,
        DataType::Utf8View => array.as_string_view().value(row).len() as u64,
        DataType::Binary => array.as_binary::<i32>().value_length(row) as u64,
        DataType::LargeBinary => array.as_binary::<i64>().value_length(row) as u64,
        DataType::BinaryView => array.as_binary_view().value(row).len() as u64,
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| row_bytes(column.as_ref(), row)).sum(),
        of => match range(array, row) {
            Some((values, range)) => match values.data_type().primitive_width() {
                Some(width) => (range.len() * width) as u64,
                None => range.map(|at| row_bytes(values.as_ref(), at) + OFFSET).sum(),
            },
            None => of.primitive_width().unwrap_or(1) as u64,
        },
    }
}

/// Bytes of a text in which each occurrence of another one is replaced by one of `to` bytes.
fn replaced(text: &Arg, from: &Arg, row: usize, to: u64) -> u64 {
    let (Some(text), Some(from)) = (text.text(row), from.text(row)) else { return 0 };
    let (length, taken) = (text.len() as u64, from.len() as u64);
    if to <= taken {
        return length;
    }
    // The empty text occurs before each character and at the end.
    let times = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
    length.saturating_add((to - taken).saturating_mul(times as u64))
}

/// Elements of a series.
fn series(start: Option<&Arg>, stop: &Arg, step: Option<&Arg>, row: usize) -> u64 {
    let Some(to) = stop.number(row) else { return 0 };
    let Some(from) = start.map_or(Some(0), |start| start.number(row)) else { return 0 };
    let unit = match stop.array.data_type() {
        DataType::Date32 | DataType::Date64 => DAY_NANOS,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        _ => 1,
    };
    let step = match step {
        None => unit,
        Some(step) => match step.array.as_primitive_opt::<IntervalMonthDayNanoType>() {
            Some(steps) if steps.is_null(step.at(row)) => return 0,
            Some(steps) => {
                let by = steps.value(step.at(row));
                // The shortest months have 28 days.
                (i128::from(by.months) * 28 + i128::from(by.days)) * DAY_NANOS + i128::from(by.nanoseconds)
            }
            None => step.number(row).map_or(0, i128::from),
        },
    };
    let span = (i128::from(to) - i128::from(from)) * unit;
    if step == 0 || (span < 0) != (step < 0) && span != 0 {
        return 0;
    }
    u64::try_from(span / step + 1).unwrap_or(u64::MAX)
}
