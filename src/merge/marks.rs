//! Finds the deleted rows of files in several passes, for changes whose rows cannot all be counted in memory at once.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake::arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use deltalake::arrow::buffer::BooleanBuffer;
use futures::TryStreamExt;

use super::change::RowChange;
use super::rewrite::{self, complete};
use super::rows::{At, DeletePredicate, Floats, Part, RowMultiset};
use crate::error::{Context, Error, Kind, Result};
use crate::lake::{DeltaFile, LakeTable, rows};

/// One bit per row of each file with a deleted row.
#[derive(Debug, Default)]
pub(super) struct Marks {
    files: HashMap<String, BooleanBuffer>,
}

impl Marks {
    /// Looks every deleted row up in the files of `table`, in `parts` passes, and counts those not found.
    pub(super) async fn find(table: &LakeTable, change: &RowChange, floats: Floats, parts: u64) -> Result<(Self, u64)> {
        let mut marks = Self::default();
        let (files, mut left) = (table.files(), 0);
        for part in 0..parts {
            let counted = RowMultiset::new(table, change, floats, Part { part, parts }).await?;
            let counted = Arc::new(counted);
            let found = rewrite::each(files.clone(), |file| {
                let (table, counted) = (table.clone(), counted.clone());
                async move { look(&table, &file, &counted).await }
            });
            for (path, bits) in found.await? {
                let Some(bits) = bits else { continue };
                let bits = match marks.files.remove(&path) {
                    Some(before) => &before | &bits,
                    None => bits,
                };
                marks.files.insert(path, bits);
            }
            left += counted.left();
        }
        Ok((marks, left))
    }
}

async fn look(table: &LakeTable, file: &DeltaFile, counted: &RowMultiset) -> Result<Option<BooleanBuffer>> {
    let schema = table.schema();
    let mut bits = BooleanBufferBuilder::new(0);
    let mut stream = rows(table.location(), file, None).await?;
    while let Some(batch) = stream.try_next().await.context(|| file.unreadable())? {
        let goes = counted.find(&complete(&batch, &schema)?)?;
        bits.append_buffer(goes.values());
    }
    let bits = bits.finish();
    Ok((bits.count_set_bits() > 0).then_some(bits))
}

impl DeletePredicate for Marks {
    fn may_be_in(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    fn goes(&self, at: At<'_>, candidates: &RecordBatch) -> Result<BooleanArray> {
        let bits = self.files.get(at.path).filter(|bits| at.row + candidates.num_rows() <= bits.len());
        let bits = bits.ok_or_else(|| Error::new(Kind::Internal, "a data file has other rows than before"))?;
        Ok(BooleanArray::new(bits.slice(at.row, candidates.num_rows()), None))
    }
}
