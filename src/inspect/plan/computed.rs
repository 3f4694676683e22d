//! `plan --rows`: the changes of derived tables, by a rehearsal of the sync over a scratch copy of the lake.

use super::PlanOptions;
use crate::outcome::{Computed, PlanOutcome, Problem, TableOutcome, Verdict, Warning};
use crate::sync;
use crate::workspace::Workspace;

/// Adds the computed changes to a plan.
pub(super) async fn compute(workspace: &Workspace, options: &PlanOptions, outcome: &mut PlanOutcome) {
    let options = sync::Options { select: options.select.clone(), ..sync::Options::default() };
    let rehearsed = match sync::rehearse(workspace, &options).await {
        Ok(rehearsed) => rehearsed,
        Err(error) => {
            outcome.problem = Some(error);
            return;
        }
    };
    outcome.problem = rehearsed.problem;
    for found in rehearsed.tables {
        let is_landing = workspace.project.table(&found.table).is_some_and(|table| table.landing().is_some());
        // The rows of a landing table come from files, which are not read.
        if is_landing && found.problem.is_none() {
            continue;
        }
        if let Some(plan) = outcome.tables.iter_mut().find(|plan| plan.table == found.table) {
            let mut computed = of(found);
            computed.warnings.retain(|warning| plan.warnings.iter().all(|known| known.message != warning.message));
            plan.computed = Some(computed);
        }
    }
}

fn of(found: TableOutcome) -> Computed {
    let TableOutcome { mode, reason, rows, warnings, problem, .. } = found;
    let verdict = match problem {
        None => Verdict::Holds,
        Some(Problem::Failed(error)) => Verdict::Refused(error),
        Some(Problem::Skipped(source)) => Verdict::Skipped(source),
    };
    // Nothing was rebuilt.
    let told = |warning: Warning| {
        let message =
            warning.message.replacen(" had drifted and was rebuilt: ", " has drifted and will be rebuilt: ", 1);
        Warning { message, ..warning }
    };
    let warnings = warnings.into_iter().map(told).collect();
    Computed { mode, reason, rows, warnings, verdict }
}
