//! Rows of a test as a batch of a table's columns.

use std::sync::Arc;

use deltalake::arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::{Field, Schema};
use deltalake::arrow::row::{RowConverter, SortField};

use super::super::document::{Entry, Table};
use super::super::model::{self, Column, SOURCE_FILE, SOURCE_OFFSET};
use super::values;
use crate::source::Place;
use crate::source::faults::{Faults, suggestion};

/// The columns that rows have, and what an absent key means.
pub(super) struct Columns<'t> {
    table: &'t model::Table,
    columns: Vec<&'t Column>,
    absent: Absent<'t>,
}

/// What becomes of a column that a row does not have.
enum Absent<'t> {
    /// It is NULL, whether the table allows it or not.
    Null,
    /// It is NULL if the table allows that; the origin of landing rows is this file and their number.
    Allowed(&'t str),
}

impl<'t> Columns<'t> {
    /// For rows of a table.
    pub(super) fn given(table: &'t model::Table, file: &'t str) -> Self {
        Self { table, columns: table.columns.iter().collect(), absent: Absent::Allowed(file) }
    }

    /// For rows that are compared by some columns.
    pub(super) fn expected(table: &'t model::Table, names: &[String]) -> Self {
        let columns = table.columns.iter().filter(|column| names.contains(&column.name)).collect();
        Self { table, columns, absent: Absent::Null }
    }

    /// For values by which rows are found.
    pub(super) fn pattern(table: &'t model::Table) -> Self {
        Self { table, columns: table.columns.iter().collect(), absent: Absent::Null }
    }
}

/// Rows, and how they were written.
pub(super) struct Rows {
    pub(super) batch: RecordBatch,
    /// Where each row is.
    places: Vec<Place>,
    /// Which columns each row has.
    written: Vec<Vec<usize>>,
}

/// Reads a list of rows.
pub(super) fn read(entry: &Entry<'_>, columns: &Columns<'_>, faults: &mut Faults) -> Rows {
    let rows: Vec<Table<'_>> = entry.list(faults).iter().filter_map(|row| row.table(faults)).collect();
    for row in &rows {
        for cell in row.entries() {
            if columns.columns.iter().any(|column| column.name == cell.key) {
                continue;
            }
            let is_known = columns.table.columns.iter().any(|column| column.name == cell.key);
            let label = match is_known {
                true => "it is not among `columns` of this test".to_owned(),
                false => suggestion(&cell.key, columns.columns.iter().map(|column| column.name.as_str())),
            };
            let message = format!("column `{}` is not in {}", cell.key, columns.table.name);
            faults.add(
                cell.key_place.clone(),
                if is_known { format!("`{}` is not compared", cell.key) } else { message },
                label,
            );
        }
    }
    let arrays: Vec<ArrayRef> =
        columns.columns.iter().map(|column| self::column(column, &rows, columns, faults)).collect();
    let fields: Vec<Field> = columns
        .columns
        .iter()
        .zip(&arrays)
        // A missing value of a NOT NULL column is a fault already.
        .map(|(column, array)| {
            Field::new(&column.name, column.column_type.arrow(), column.nullable || array.null_count() > 0)
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap_or_else(|_| RecordBatch::new_empty(schema));
    let has = |row: &Table<'_>| {
        let all = columns.columns.iter().enumerate();
        all.filter(|(_, column)| row.get(&column.name).is_some()).map(|(at, _)| at).collect()
    };
    Rows { batch, written: rows.iter().map(has).collect(), places: rows.into_iter().map(|row| row.place).collect() }
}

/// The values of one column in all rows.
fn column(column: &Column, rows: &[Table<'_>], columns: &Columns<'_>, faults: &mut Faults) -> ArrayRef {
    let cells: Vec<Option<&Entry<'_>>> = rows.iter().map(|row| row.get(&column.name)).collect();
    if let (Absent::Allowed(file), true) = (&columns.absent, columns.table.landing().is_some()) {
        match column.name.as_str() {
            SOURCE_FILE => {
                let texts = values::texts(&cells, faults);
                return Arc::new(
                    texts
                        .into_iter()
                        .map(|text| Some(text.unwrap_or_else(|| (*file).to_owned())))
                        .collect::<StringArray>(),
                );
            }
            SOURCE_OFFSET => {
                let numbers = values::longs(&cells, faults).into_iter().zip(0_i64..);
                return Arc::new(numbers.map(|(number, row)| Some(number.unwrap_or(row))).collect::<Int64Array>());
            }
            _ => {}
        }
    }
    if matches!(columns.absent, Absent::Allowed(_)) && !column.nullable {
        for (row, _) in rows.iter().zip(&cells).filter(|(_, cell)| cell.is_none()) {
            let message = format!("`{}` is missing", column.name);
            faults.add(row.place.clone(), message, format!("{} allows no NULL in it", columns.table.name));
        }
    }
    values::array(&column.column_type, &cells, faults)
}

impl Rows {
    /// The numbers of the given rows that have these values.
    pub(super) fn found_in(&self, given: Option<&Self>, faults: &mut Faults) -> Vec<usize> {
        let mut gone = Vec::new();
        for (row, (place, columns)) in self.places.iter().zip(&self.written).enumerate() {
            if columns.is_empty() {
                faults.add(place.clone(), "this names no row", "write the values by which the rows are found");
                continue;
            }
            let found = given.map(|given| equal_rows((&self.batch, row), &given.batch, columns)).unwrap_or_default();
            if found.is_empty() {
                faults.add(place.clone(), "no given row has these values", "only a given row can go");
            }
            gone.extend(found);
        }
        gone.sort_unstable();
        gone.dedup();
        gone
    }
}

/// Rows of `given` that equal a row in some columns. Columns that cannot be compared equal nothing.
fn equal_rows((batch, row): (&RecordBatch, usize), given: &RecordBatch, columns: &[usize]) -> Vec<usize> {
    let fields = columns.iter().map(|at| SortField::new(batch.column(*at).data_type().clone())).collect();
    let Ok(converter) = RowConverter::new(fields) else { return Vec::new() };
    let of = |batch: &RecordBatch| columns.iter().map(|at| Arc::clone(batch.column(*at))).collect::<Vec<_>>();
    let (Ok(wanted), Ok(all)) =
        (converter.convert_columns(&of(&batch.slice(row, 1))), converter.convert_columns(&of(given)))
    else {
        return Vec::new();
    };
    (0..all.num_rows()).filter(|at| all.row(*at) == wanted.row(0)).collect()
}
