//! Values of variable length for Arrow arrays.

use deltalake::arrow::array::{BinaryArray, StringArray};
use deltalake::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use deltalake::arrow::error::ArrowError;

/// Values of variable length, concatenated.
pub(in crate::ingest) struct Texts {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Texts {
    pub(in crate::ingest) fn new() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }

    /// Appends a value. The reader closes a batch long before its offsets overflow.
    pub(in crate::ingest) fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.offsets.push(self.data.len() as i32);
    }

    pub(in crate::ingest) fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let Self { offsets, mut data } = std::mem::replace(self, Self::new());
        // A text that grew may have allocated twice its size.
        data.shrink_to_fit();
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(data))
    }

    pub(in crate::ingest) fn strings(&mut self, nulls: Option<NullBuffer>) -> Result<StringArray, ArrowError> {
        let (offsets, data) = self.take();
        StringArray::try_new(offsets, data, nulls)
    }

    pub(in crate::ingest) fn binaries(&mut self, nulls: Option<NullBuffer>) -> Result<BinaryArray, ArrowError> {
        let (offsets, data) = self.take();
        BinaryArray::try_new(offsets, data, nulls)
    }
}
