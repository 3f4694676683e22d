//! SQL over the project's tables, at their newest or at named versions.

use deltalake::arrow::array::RecordBatch;
use deltalake::datafusion::common::{DataFusionError, TableReference};
use deltalake::datafusion::execution::context::SQLOptions;
use deltalake::datafusion::prelude::SessionContext;
use deltalake::datafusion::sql::parser::Statement;
use deltalake::datafusion::sql::sqlparser::ast;
use deltalake::datafusion::sql::sqlparser::parser::ParserError;

use crate::definition::{as_meant, bracket, respelled};
use crate::error::{Context, Error, Kind, Result};
use crate::incremental::asked;
use crate::ingest::LEDGER_FOLDER;
use crate::lake::LakeTable;
use crate::site::Site;
use crate::storage::Location;
use crate::sync::RUNS_FOLDER;

/// Runs one query. Tables are named as in the project; `"table@v3"` reads a version, `<table>_quarantine` a
/// quarantine, `files` and `runs` the system tables. At least one batch comes back, so that the columns are known.
///
/// # Errors
/// `Usage` when a table is unknown, `Failed` when the query is wrong or cannot run.
pub async fn query(site: &Site, sql: &str) -> Result<Vec<RecordBatch>> {
    let session = site.session()?;
    let dialect = session.state().config_options().sql_parser.dialect;
    let mut statement = session.state().sql_to_statement(sql, &dialect).map_err(wrong)?;
    if let Statement::Statement(syntax) = &mut statement {
        bracket(syntax.as_mut());
        as_meant(syntax.as_mut(), &|_| None);
    }
    if !only_reads(&statement) {
        return Err(Error::new(Kind::Usage, "`query` only reads")
            .fact("expected", "one SELECT")
            .help("what a table holds is declared under tables/ and brought there by `stedi-delta sync`"));
    }
    for reference in session.state().resolve_table_references(&statement).map_err(wrong)? {
        register(site, &session, &reference).await?;
    }
    // A query can still hide an INSERT.
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let mut plan = session.state().statement_to_plan(statement.clone()).await;
    if let Statement::Statement(syntax) = &mut statement
        && let ast::Statement::Query(query) = syntax.as_mut()
        && let Some(spelled) = respelled(query, &plan)
    {
        **query = spelled;
        plan = session.state().statement_to_plan(statement).await;
    }
    let plan = plan.map_err(wrong)?;
    options.verify_plan(&plan).map_err(wrong)?;
    let plan = session.state().analyzer().execute_and_check(plan, session.copied_config().options(), |_, _| {});
    let plan = asked(plan.map_err(wrong)?);
    let frame = session.execute_logical_plan(plan).await.map_err(wrong)?;
    let schema = frame.schema().inner().clone();
    let mut batches = frame.collect().await.map_err(wrong)?;
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(schema));
    }
    Ok(batches)
}

fn only_reads(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(statement) => {
            matches!(**statement, ast::Statement::Query(_) | ast::Statement::ExplainTable { .. })
        }
        Statement::Explain(explain) => only_reads(&explain.statement),
        _ => false,
    }
}

/// The engine's message without its wrapping.
fn wrong(cause: DataFusionError) -> Error {
    const WRAPPINGS: [&str; 5] = [
        "Error during planning: ",
        "Schema error: ",
        "Arrow error: ",
        "This feature is not implemented: ",
        "SQL error: ",
    ];
    if let DataFusionError::SQL(syntax, _) = cause.find_root() {
        let (ParserError::ParserError(text) | ParserError::TokenizerError(text)) = syntax.as_ref() else {
            return Error::failed("the query is too deeply nested");
        };
        let text = text.replace(" at Line: ", " at line ").replace(", Column: ", ", column ");
        return Error::failed(format!("the query is not valid SQL: {text}"));
    }
    let text = cause.find_root().strip_backtrace();
    let mut text = text.trim();
    while let Some(inner) = WRAPPINGS.iter().find_map(|wrapping| text.strip_prefix(wrapping)) {
        text = inner;
    }
    Error::failed(format!("the query cannot be run: {text}"))
}

async fn register(site: &Site, session: &SessionContext, reference: &TableReference) -> Result<()> {
    let full = reference.table();
    if reference.schema().is_some() {
        // A zone is not part of a table's name, and there are no other schemas.
        let what = if site.project.zones.iter().any(|z| Some(z.as_str()) == reference.schema()) {
            "names a zone"
        } else {
            "has a dot in it"
        };
        return Err(Error::new(Kind::Usage, format!("`{reference}` {what}"))
            .fact("expected", "the table's name alone")
            .help(format!("write `{full}`")));
    }
    let (name, version) = match full.rsplit_once("@v") {
        Some((name, version)) => (name, Some(version)),
        None => (full, None),
    };
    let version = version.map(|text| {
        text.parse::<u64>().map_err(|_| {
            Error::new(Kind::Usage, format!("`{full}` has no version number"))
                .help(format!("write \"{name}@v0\", with the quotes; versions: stedi-delta history {name}"))
        })
    });
    let version = version.transpose()?;
    let Some(table) = LakeTable::open(&location(site, name)?).await? else {
        return Err(Error::failed(format!("{name} does not exist yet")).help("stedi-delta sync"));
    };
    let table = match version {
        Some(version) if version > table.version() => {
            return Err(Error::new(Kind::Usage, format!("{name} has no version {version}"))
                .fact("newest", format!("v{}", table.version())));
        }
        Some(version) => table.at(version).await?,
        None => table,
    };
    let provider = table.provider(session, None).await?;
    let name = TableReference::bare(full.to_owned());
    session.register_table(name, provider).map(drop).context(|| format!("`{full}` cannot be read"))
}

fn location(site: &Site, name: &str) -> Result<Location> {
    match name {
        "files" => return Ok(site.warehouse.join(LEDGER_FOLDER)),
        "runs" => return Ok(site.warehouse.join(RUNS_FOLDER)),
        _ => {}
    }
    match site.table(name) {
        Ok(table) => site.location(table),
        Err(unknown) => match name.strip_suffix("_quarantine").and_then(|base| site.landing_table(base).ok()) {
            Some(table) => site.quarantine(table),
            None => Err(unknown),
        },
    }
}
