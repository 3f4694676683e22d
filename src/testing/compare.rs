//! Multisets of rows as text, and how they differ.

use std::collections::BTreeMap;

use deltalake::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use deltalake::arrow::compute::cast;
use deltalake::arrow::datatypes::{DataType, Float64Type};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Context, Error, Result};
use crate::outcome::RowDifference;

/// Rows by what is compared of them: their values as shown, and how often they are there.
pub(super) type Counted = BTreeMap<Row, (Row, i64)>;

/// Rows, counted.
///
/// # Errors
/// A column is missing, or has no text.
pub(super) fn counted(batches: &[RecordBatch], columns: &[String]) -> Result<Counted> {
    let mut found = Counted::new();
    for batch in batches {
        let mut keys = Vec::new();
        let mut texts = Vec::new();
        for name in columns {
            let missing = || Error::failed(format!("the rows have no column `{name}`"));
            let column = batch.column_by_name(name).ok_or_else(missing)?;
            let shown = shown(column)?;
            keys.push(compared(column)?.unwrap_or_else(|| shown.clone()));
            texts.push(shown);
        }
        for row in 0..batch.num_rows() {
            let of = |columns: &[Vec<Option<String>>]| columns.iter().map(|column| column[row].clone()).collect();
            found.entry(of(&keys)).or_insert_with(|| (of(&texts), 0)).1 += 1;
        }
    }
    Ok(found)
}

fn shown(column: &ArrayRef) -> Result<Vec<Option<String>>> {
    let doing = || "the rows cannot be shown".to_owned();
    let options = FormatOptions::new().with_null("NULL").with_display_error(true);
    let values = ArrayFormatter::try_new(column.as_ref(), &options).context(doing)?;
    Ok((0..column.len()).map(|row| column.is_valid(row).then(|| values.value(row).to_string())).collect())
}

/// Floating-point numbers to twelve digits (`float`: to six): the last ones depend on the order of additions.
fn compared(column: &ArrayRef) -> Result<Option<Vec<Option<String>>>> {
    let digits = match column.data_type() {
        DataType::Float64 => 11,
        DataType::Float32 => 5,
        _ => return Ok(None),
    };
    let numbers = cast(column, &DataType::Float64).context(|| "numbers cannot be compared".into())?;
    let text = |number: f64| match number {
        // There is one zero.
        0.0 => "0".to_owned(),
        number => format!("{number:.digits$e}"),
    };
    Ok(Some(numbers.as_primitive::<Float64Type>().iter().map(|number| number.map(text)).collect()))
}

/// A row as it is compared and as it is shown.
type Row = Vec<Option<String>>;

/// Rows that are more often in `these`, and how often more.
fn beyond<'a>(these: &'a Counted, others: &'a Counted) -> impl Iterator<Item = (&'a Row, &'a Row, i64)> {
    these.iter().filter_map(|(row, (shown, count))| {
        let more = count - others.get(row).map_or(0, |(_, count)| *count);
        (more > 0).then_some((row, shown, more))
    })
}

/// The rows by which two multisets differ; `None` if they are equal.
pub(super) fn difference(
    key: &'static str,
    columns: &[String],
    expected: &Counted,
    found: &Counted,
) -> Option<RowDifference> {
    let rows = |these, others| {
        let rows = beyond(these, others).flat_map(|(_, shown, more)| (0..more).map(|_| shown.clone()));
        rows.collect::<Vec<_>>()
    };
    let (missing, unexpected) = (rows(expected, found), rows(found, expected));
    let is_equal = missing.is_empty() && unexpected.is_empty();
    (!is_equal).then(|| RowDifference { key, columns: columns.to_vec(), missing, unexpected })
}

/// Rows that are in `after` and not in `before`, and the reverse. Whole rows are compared, and some columns shown.
///
/// # Errors
/// As [`counted`].
pub(super) fn change(before: &[RecordBatch], after: &[RecordBatch], columns: &[String]) -> Result<(Counted, Counted)> {
    let all: Vec<String> = match before.first().or(after.first()) {
        Some(batch) => batch.schema().fields().iter().map(|field| field.name().clone()).collect(),
        None => return Ok((Counted::new(), Counted::new())),
    };
    let (old, new) = (counted(before, &all)?, counted(after, &all)?);
    let places: Vec<usize> = columns.iter().filter_map(|name| all.iter().position(|other| other == name)).collect();
    let of = |row: &[Option<String>]| places.iter().map(|at| row[*at].clone()).collect::<Vec<_>>();
    let chosen = |these, others| {
        let mut rows = Counted::new();
        for (row, shown, more) in beyond(these, others) {
            rows.entry(of(row)).or_insert_with(|| (of(shown), 0)).1 += more;
        }
        rows
    };
    Ok((chosen(&new, &old), chosen(&old, &new)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltalake::arrow::array::{Float64Array, Int64Array};

    use super::*;

    fn rows(rows: &[(Option<i64>, f64)]) -> RecordBatch {
        let keys = rows.iter().map(|row| row.0).collect::<Int64Array>();
        let values = Float64Array::from_iter_values(rows.iter().map(|row| row.1));
        let columns: [(&str, ArrayRef); 2] = [("k", Arc::new(keys)), ("v", Arc::new(values))];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
    }

    fn differ(expected: &[(Option<i64>, f64)], found: &[(Option<i64>, f64)]) -> (usize, usize) {
        let columns = ["k".to_owned(), "v".to_owned()];
        let [expected, found] = [expected, found].map(|these| counted(&[rows(these)], &columns).expect("texts"));
        let difference = difference("expect", &columns, &expected, &found);
        difference.map_or((0, 0), |difference| (difference.missing.len(), difference.unexpected.len()))
    }

    #[test]
    fn duplicates_count_and_order_does_not() {
        let (one, two) = ((Some(1), 1.0), (Some(2), 2.0));
        assert_eq!(differ(&[one, two], &[two, one]), (0, 0));
        assert_eq!(differ(&[one, one], &[one]), (1, 0));
        assert_eq!(differ(&[one], &[one, one, two]), (0, 2));
        assert_eq!(differ(&[(None, 1.0)], &[(Some(0), 1.0)]), (1, 1));
        assert_eq!(differ(&[(None, 0.3), (None, 0.0)], &[(None, 0.1 + 0.2), (None, -0.0)]), (0, 0));
        assert_eq!(differ(&[(None, 0.3)], &[(None, 0.300_000_1)]), (1, 1));
    }
}
