//! The first rows of a table, at any version.

use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;
use deltalake::datafusion::logical_expr::Expr;
use futures::StreamExt;

use super::classified::Classified;
use super::reading::told;
use crate::error::{Context, Result};
use crate::inspect::{Answer, HELD};
use crate::migrate::{self, ColumnNames, Journal, Moves};
use crate::sql::row_condition;
use crate::travel::{self, Zone};
use crate::workspace::Workspace;

/// Which rows are asked for.
#[derive(Clone, Debug)]
pub struct ShowOptions {
    /// The table, with or without a version: `t`, `t@v12`, `t@2026-11-20`.
    pub table: String,
    /// The time zone of dates.
    pub zone: Zone,
    /// A condition on them.
    pub condition: Option<String>,
    /// Most rows.
    pub limit: usize,
}

/// The first rows of a version in the order of its data files, with personal data as hashes.
///
/// # Errors
/// `Usage` if there is no such table or version; `Failed` if it can no longer be read, or the condition is wrong.
pub async fn show(workspace: &Workspace, options: &ShowOptions) -> Result<Answer> {
    let workspace = &migrate::placed(workspace, Moves::Pending).await?;
    let (named, table) = travel::open(workspace, &options.table, &options.zone).await?;
    let names = ColumnNames::of(&Journal::read(workspace).await?, &named.newest.uuid());
    let classified = Classified::of(workspace, &named, names);
    let version = table.version();
    let condition: Option<Expr> = match &options.condition {
        Some(text) => Some(row_condition(text, "--where", &named.name, table.schema())?.expr),
        None => None,
    };
    let session = workspace.session()?;
    let provider = table.provider(&session, None).await?;
    {
        // One file after the other: the same rows each time, and no more files than hold them.
        let state = session.state_ref();
        let mut state = state.write();
        let config = state.config_mut();
        *config = config.clone().with_target_partitions(1);
    }
    let mut rows = session.read_table(provider).context(doing)?;
    if let Some(condition) = condition {
        rows = rows.filter(condition).context(doing)?;
    }
    let rows = rows.limit(0, Some(options.limit)).context(doing)?;
    let empty = RecordBatch::new_empty(rows.schema().inner().clone());
    let schema = classified.shown(&empty, version)?.schema();
    let mut notes = named.notes.clone();
    let columns = empty.schema();
    let is_hidden = columns.fields().iter().any(|field| classified.is_hidden(field.name(), version));
    notes.extend(classified.note(is_hidden));
    let of = Arc::new((workspace.clone(), named, table, classified));
    let stream = match rows.execute_stream().await.context(doing) {
        Ok(stream) => stream,
        Err(error) => return Err(told(&of.0, &of.1, &[&of.2], error).await),
    };
    let batches = stream.then(move |batch| {
        let of = Arc::clone(&of);
        async move {
            match batch.context(doing) {
                Ok(batch) => of.3.shown(&batch, version),
                Err(error) => Err(told(&of.0, &of.1, &[&of.2], error).await),
            }
        }
    });
    Ok(Answer { schema, batches: batches.boxed(), held: workspace.project.memory_limit / HELD, notes })
}

fn doing() -> String {
    "the rows cannot be shown".into()
}
