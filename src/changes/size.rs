//! The size of a change, from what is known of its files.

use super::ChangeSet;
use super::files::rows_of;
use crate::plan::cost::Size;

impl ChangeSet {
    /// Rows, files and bytes of the change. A feed counts by its rows, at the table's average: its files are too small
    /// for their size to be meaningful.
    pub async fn size(&self) -> Size {
        let whole = size(&self.table);
        let (data, feed) = self.bytes;
        let fed = match self.rows_fed {
            _ if self.feed.is_empty() => 0,
            Some(rows) => of_rows(whole, rows).max(u64::from(rows > 0)),
            None => feed,
        };
        let rows = self.rows_of_files().await.zip(self.rows_fed);
        Size {
            bytes: data.saturating_add(fed),
            files: self.files(),
            rows: rows.map(|(data, fed)| data.saturating_add(fed)),
        }
    }

    async fn rows_of_files(&self) -> Option<u64> {
        let files = self.parts.iter().flat_map(|part| &part.files);
        let rows = rows_of(&self.table, self.from, &self.rows, files.clone()).await;
        files.map(|path| rows.get(path.as_str()).copied()).sum()
    }

    /// The source of the change, for people.
    #[must_use]
    pub fn told_by(&self) -> &'static str {
        match (self.feed.is_empty(), self.parts.is_empty()) {
            (true, _) => "data files",
            (false, true) => "change feed",
            (false, false) => "change feed and data files",
        }
    }
}

/// The size of a table at its version.
#[must_use]
pub(crate) fn size(table: &crate::lake::LakeTable) -> Size {
    let (files, bytes) = table.size();
    Size { bytes, files, rows: table.rows() }
}

fn of_rows(whole: Size, rows: u64) -> u64 {
    let Some(all) = whole.rows.filter(|all| *all > 0) else { return rows };
    u64::try_from(u128::from(whole.bytes) * u128::from(rows) / u128::from(all)).unwrap_or(u64::MAX)
}
