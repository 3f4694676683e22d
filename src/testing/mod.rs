//! Tests of queries: given rows become tables in memory, and the tables computed from them are compared with what is
//! expected. Computing is the refresh of a sync, with its expectations, keys and consent.

mod compare;
mod lake;

use std::path::Path;
use std::sync::Arc;

use deltalake::arrow::array::RecordBatch;

use crate::clock;
use crate::definition::Project;
use crate::definition::cases::{self, Case};
use crate::error::{Error, Kind, Result};
use crate::outcome::{TestFailure, TestOutcome, TestResult, TestedChange};
use crate::privacy::Privacy;
use crate::progress::Progress;
use crate::source::faults::sorted;
use crate::workspace::{self, Workspace};
use lake::TestLake;

/// Runs the tests of a project whose name, table or file fits one of `names`; all without any.
///
/// # Errors
/// Faults of the project or of its tests; a name that fits no test.
pub async fn run(
    root: &Path,
    names: &[String],
    privacy: &Privacy,
    progress: &Arc<dyn Progress>,
) -> Result<TestOutcome> {
    let started = clock::instant();
    let project = workspace::load(root)?;
    let (all, faults) = cases::cases(root, &project)?;
    if !faults.is_empty() {
        return Err(Error::definition(sorted(faults)));
    }
    if let Some(name) = names.iter().find(|name| !all.iter().any(|case| fits(case, name))) {
        return Err(unknown(name, &all));
    }
    let chosen: Vec<&Case> =
        all.iter().filter(|case| names.is_empty() || names.iter().any(|name| fits(case, name))).collect();
    let project = Arc::new(project);
    let mut tests = Vec::new();
    for (number, case) in chosen.iter().enumerate() {
        progress.table(&case.name, &format!("test {} of {}", number + 1, chosen.len()));
        // On the heap: the future of a refresh is large.
        tests.push(Box::pin(test(&project, case, privacy)).await?);
    }
    progress.done();
    Ok(TestOutcome {
        project: project.name.clone(),
        left_out: all.len() - tests.len(),
        tests,
        elapsed: started.elapsed(),
    })
}

fn fits(case: &Case, name: &str) -> bool {
    let file = &case.place.file.path;
    case.name.to_lowercase().contains(&name.to_lowercase())
        || case.table.as_str() == name
        || file.as_path() == Path::new(name)
        || file.file_stem().is_some_and(|stem| stem == name)
}

fn unknown(name: &str, all: &[Case]) -> Error {
    let error = Error::new(Kind::Usage, format!("no test fits `{name}`"))
        .fact("expected", "a part of a test's name, a table, or a file of tests/");
    let names: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
    match names.len() {
        0 => error.fact("tests", "none: there is no `.toml` in tests/"),
        _ => error.help("stedi-delta test   (runs all of them, and names them)"),
    }
}

/// Runs one test. What the tested query does wrong is its result.
///
/// # Errors
/// Only what no query can cause: there is no session, or no table in memory.
async fn test(project: &Arc<Project>, case: &Case, privacy: &Privacy) -> Result<TestResult> {
    let started = clock::instant();
    let workspace = Workspace::in_memory(Arc::clone(project), privacy.clone())?;
    let mut result = TestResult {
        file: case.place.file.path.display().to_string(),
        at: case.place.line_column(),
        name: case.name.clone(),
        table: case.table.clone(),
        change: None,
        failures: Vec::new(),
        elapsed: std::time::Duration::ZERO,
    };
    let mut lake = TestLake::new(&workspace, case)?;
    let tried = compared(&mut lake, case, &mut result).await;
    if let Err(error) = tried {
        result.failures.push(TestFailure::Error(workspace.told(error)));
    }
    result.elapsed = started.elapsed();
    Ok(result)
}

async fn compared(lake: &mut TestLake<'_>, case: &Case, result: &mut TestResult) -> Result<()> {
    lake.given().await?;
    lake.compute().await?;
    let before = lake.rows().await?;
    let compare =
        |key: &'static str, expected: &Option<RecordBatch>, found: &compare::Counted, result: &mut TestResult| {
            let Some(expected) = expected else { return Ok(()) };
            let expected = compare::counted(std::slice::from_ref(expected), &case.columns)?;
            let difference = compare::difference(key, &case.columns, &expected, found);
            result.failures.extend(difference.map(|difference| TestFailure::Rows(Box::new(difference))));
            Ok::<(), Error>(())
        };
    let old = compare::counted(&before, &case.columns)?;
    compare("expect", &case.rows, &old, result)?;
    if case.change.is_none() {
        return Ok(());
    }
    lake.change().await?;
    let refreshed = lake.compute().await?;
    result.change = refreshed.map(|refreshed| TestedChange {
        mode: refreshed.mode,
        reason: refreshed.reason,
        rows: refreshed.rows,
    });
    let after = lake.rows().await?;
    compare("expect_after", &case.rows_after, &compare::counted(&after, &case.columns)?, result)?;
    let (inserted, deleted) = compare::change(&before, &after, &case.columns)?;
    compare("expect_inserted", &case.inserted, &inserted, result)?;
    compare("expect_deleted", &case.deleted, &deleted, result)?;
    if let Some(mismatch) = lake.verify().await? {
        result.failures.push(TestFailure::Law(mismatch));
    }
    Ok(())
}
