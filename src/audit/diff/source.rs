//! The rows by which two versions of a table may differ, each with a weight: those of the data files that only one of
//! them holds. Rows that were only written anew cancel when they are consolidated.
//!
//! Files that commits in between only rewrote without changing a row are left out where the log tells which these are.

use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use deltalake::datafusion::common::{Column, DataFusionError};
use deltalake::datafusion::logical_expr::{Expr, ident, lit};
use deltalake::datafusion::prelude::{DataFrame, SessionContext};

use super::columns::Pair;
use super::doing;
use super::field_names::with_names;
use crate::changes::{ChangeSet, DifferingFiles, without_rewrites};
use crate::error::{Context, Error, Result};
use crate::incremental::WEIGHT;
use crate::lake::{DeltaFile, LakeTable, adapted};
use crate::outcome::DiffFiles;
use crate::sql::Condition;

/// Reading a commit of the log costs as much as about this many bytes of a data file.
const BYTES_OF_COMMIT: u64 = 64 << 10;

/// Two versions of a table.
pub(super) struct Source {
    old: LakeTable,
    new: LakeTable,
    files: Files,
}

enum Files {
    /// Those that only one of the two holds.
    Differing(DifferingFiles),
    /// Fewer: without those that commits only rewrote.
    Changed(Box<ChangeSet>),
}

impl Source {
    /// Finds the files. `old` is an earlier version of `new`, or the same.
    ///
    /// # Errors
    /// If a file of both versions does not have the same rows in both, or the log is broken.
    pub(super) async fn find(old: LakeTable, new: LakeTable) -> Result<Self> {
        for version in [&old, &new] {
            version.check_files()?;
        }
        let differing = DifferingFiles::find(&old, &new)
            .map_err(|why| Error::failed("the two versions cannot be compared").fact("because", why))?;
        let commits = new.version().saturating_sub(old.version());
        let is_worth_it = differing.bytes() > commits.saturating_mul(BYTES_OF_COMMIT);
        let changed = if is_worth_it { without_rewrites(&new, old.version()).await? } else { None };
        let files = match changed {
            // Files from before a migration are read there by the names of columns after it.
            Some(changed) if changed.touched().is_empty() && changed.bytes() < differing.bytes() => {
                Files::Changed(Box::new(changed))
            }
            _ => Files::Differing(differing),
        };
        Ok(Self { old, new, files })
    }

    /// What is read.
    pub(super) fn read(&self) -> DiffFiles {
        let (files, bytes) = match &self.files {
            Files::Differing(files) => (files.count(), files.bytes()),
            Files::Changed(changed) => (changed.files(), changed.bytes()),
        };
        DiffFiles { files, bytes }
    }

    /// The rows: columns `c0, c1, ...` as the pairs, then the weight, which is +1 for rows of the newer version.
    ///
    /// # Errors
    /// If a version cannot be read.
    pub(super) async fn rows(&self, session: &SessionContext, pairs: &[Pair]) -> Result<Option<DataFrame>> {
        match &self.files {
            Files::Changed(changed) if changed.is_empty() => Ok(None),
            Files::Changed(changed) => {
                let frame = session.read_table(changed.provider(session).await?).context(doing)?;
                positional(frame, pairs, true, ident(WEIGHT)).map(Some)
            }
            Files::Differing(files) => {
                let mut rows: Option<DataFrame> = None;
                for (version, files, is_new) in [(&self.old, &files.removed, false), (&self.new, &files.added, true)] {
                    if files.is_empty() {
                        continue;
                    }
                    let paths = files.iter().map(|file: &DeltaFile| file.path.clone()).collect();
                    let frame = session.read_table(version.provider(session, Some(paths)).await?).context(doing)?;
                    let weight = if is_new { 1_i64 } else { -1 };
                    let side = positional(frame, pairs, is_new, lit(weight))?;
                    rows = Some(match rows {
                        Some(rows) => rows.union(side).context(doing)?,
                        None => side,
                    });
                }
                Ok(rows)
            }
        }
    }
}

/// The name of a column of the comparison.
pub(super) fn nth(index: usize) -> String {
    format!("c{index}")
}

/// Rows of one version with the columns of the comparison; NULL in those that it does not have.
fn positional(frame: DataFrame, pairs: &[Pair], is_new: bool, weight: Expr) -> Result<DataFrame> {
    let mut columns = Vec::with_capacity(pairs.len() + 1);
    for (index, pair) in pairs.iter().enumerate() {
        let of_type = &pair.data_type;
        let value = match pair.name_in(is_new) {
            Some(name) => {
                let stored = frame.schema().field_with_unqualified_name(name).context(doing)?.data_type().clone();
                match &pair.renamed {
                    Some(names) if !is_new => adapted(with_names(ident(name), names), of_type),
                    _ if stored == *of_type => ident(name),
                    _ => adapted(ident(name), of_type),
                }
            }
            None => lit(ScalarValue::try_from(of_type).context(doing)?),
        };
        columns.push(value.alias(nth(index)));
    }
    columns.push(weight.alias(WEIGHT));
    frame.select(columns).context(doing)
}

/// A condition over the columns of the comparison; `at` has the pair of each column that it may name.
///
/// # Errors
/// It names another one.
pub(super) fn over_pairs(
    condition: &Condition,
    names: &deltalake::arrow::datatypes::Schema,
    at: &[usize],
) -> Result<Expr> {
    let found = |e: Expr| match e {
        Expr::Column(column) => {
            let index = names.index_of(&column.name)?;
            let pair = at.get(index).copied().unwrap_or(index);
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(nth(pair)))))
        }
        other => Ok(Transformed::no(other)),
    };
    let expr: Result<Expr, DataFusionError> = condition.expr.clone().transform(found).data();
    expr.context(doing)
}
