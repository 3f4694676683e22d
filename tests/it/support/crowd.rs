//! A table of many small files of people, unordered and without useful bounds.

use std::sync::Arc;

use deltalake::arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use deltalake::arrow::datatypes::SchemaRef;
use stedi_delta::internals::definition::{Column, ColumnType};
use stedi_delta::internals::lake::{Change, Commit, DataWriter, LakeTable, Layout, Properties, TableSpec, create};
use stedi_delta::internals::merge::{Applied, CdcChange, Merged, Taking, apply};
use stedi_delta::internals::storage::Location;

/// Their number and properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// Data files.
    pub files: u64,
    /// People in each.
    pub rows: u64,
    /// Consecutive files with the same day, of which the log has statistics.
    pub files_of_a_day: u64,
    /// Whether they are personal data.
    pub classified: bool,
}

impl Crowd {
    fn columns(self) -> Vec<Column> {
        let column = |name: &str, column_type, pii| Column { pii, ..Column::new(name, column_type) };
        vec![
            column("serial", ColumnType::Long, self.classified),
            column("email", ColumnType::String, self.classified),
            column("day", ColumnType::Date, false),
            column("value", ColumnType::Long, false),
        ]
    }

    /// The number that identifies a person.
    pub(crate) fn serial(self, n: u64) -> i64 {
        7_310_000_000_000_000 + (n.wrapping_mul(2_654_435_761) % 1_000_000_007 * 1_000_003) as i64
    }

    /// The people with these numbers, spread over the files.
    fn batch(self, numbers: impl Iterator<Item = u64> + Clone, schema: &SchemaRef) -> RecordBatch {
        let serial = |n: u64| self.serial(n);
        let day = |n: u64| i32::try_from(20_000 + n / self.rows / self.files_of_a_day).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(numbers.clone().map(serial).collect::<Int64Array>()),
            Arc::new(numbers.clone().map(|n| Some(format!("{}@example.org", serial(n)))).collect::<StringArray>()),
            Arc::new(numbers.clone().map(|n| Some(day(n))).collect::<Date32Array>()),
            Arc::new(numbers.map(|n| (n % 7) as i64).collect::<Int64Array>()),
        ];
        RecordBatch::try_new(schema.clone(), columns).unwrap()
    }

    /// Writes the table.
    pub(crate) async fn make(self, location: &Location) {
        let spec = TableSpec {
            uuid: "00000000-0000-4000-8000-000000000000".into(),
            name: "crowd".into(),
            description: String::new(),
            columns: self.columns(),
            properties: Properties { change_data_feed: true },
            layout: Layout::of(&self.columns(), &[]),
        };
        let write = || Commit { operation: "WRITE", ..Commit::default() };
        let table = create(location, &spec, write()).await.unwrap();
        let mut writer = DataWriter::new(&table, u64::MAX).rows_per_file(self.rows);
        for file in 0..self.files {
            writer.write(&self.batch(file * self.rows..(file + 1) * self.rows, &table.schema())).await.unwrap();
        }
        let change = Change { adds: writer.close().await.unwrap().adds, ..Change::default() };
        Commit { change, ..write() }.commit(&table).await.unwrap();
    }

    /// Deletes the person with this number, and commits.
    pub(crate) async fn withdraw(self, table: &LakeTable, number: u64) -> (LakeTable, Applied) {
        let mut taking = Taking::new(table, usize::MAX);
        let row = self.batch(std::iter::once(number), &table.schema());
        taking.add(&row, CdcChange::Delete).await.unwrap();
        let change = taking.close().await.unwrap();
        let nobody = async { Ok(Change::default()) };
        let Merged::Done(mut applied) = apply(table, change, u64::MAX, nobody).await.unwrap() else {
            panic!("person {number} is not in the table");
        };
        let change = std::mem::take(&mut applied.change);
        let commit = Commit { operation: "MERGE", change, ..Commit::default() };
        (commit.commit(table).await.unwrap(), applied)
    }
}
