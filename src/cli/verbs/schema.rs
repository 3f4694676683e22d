//! `schema`: JSON Schemas of the project's files and of the documents that commands print.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::audit::{ConsentReport, MembershipReport, VerifyReport};
use super::catalog::CatalogReport;
use super::check::CheckReport;
use super::describe::DescribeReport;
use super::diff::{DiffReport, LakeDiffReport};
use super::history::HistoryReport;
use super::infer::InferReport;
use super::init::InitReport;
use super::lineage::LineageReport;
use super::migrate::{DraftReport, LintReport, MigrationsReport};
use super::optimize::OptimizeReport;
use super::pin::PinsReport;
use super::plan::PlanReport;
use super::quarantine::ReplayReport;
use super::report::FailedReport;
use super::restore::RestoreReport;
use super::status::StatusReport;
use super::sync::SyncReport;
use super::test::TestReport;
use super::vacuum::VacuumReport;
use crate::cli::{Format, Session, exit};
use crate::definition::keys::{project_schema, table_schema};
use crate::error::Result;
use crate::outcome::LakeReport;
use crate::shape::{Shape, Shapes};

/// Options of `schema`.
#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// What has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The file stedi-delta.toml.
    Project,
    /// A table's file, tables/ZONE/TABLE.toml.
    Table,
    /// The documents of `--format json`.
    Report,
}

pub(in crate::cli) fn run(session: &mut Session<'_>, args: &SchemaArgs) -> Result<u8> {
    session.format(&[Format::Table, Format::Json])?;
    session.ui.document(&schema(args.of));
    Ok(exit::DONE)
}

fn schema(of: SchemaOf) -> Value {
    match of {
        SchemaOf::Project => project_schema(),
        SchemaOf::Table => table_schema(),
        SchemaOf::Report => report_schema(),
    }
}

/// Every document: which one it is, is in `report`.
fn report_schema() -> Value {
    let mut shapes = Shapes::default();
    let documents: Vec<Value> = [
        CheckReport::shape,
        SyncReport::shape,
        PlanReport::shape,
        StatusReport::shape,
        HistoryReport::shape,
        LakeReport::shape,
        FailedReport::shape,
        PinsReport::shape,
        RestoreReport::shape,
        ConsentReport::shape,
        VerifyReport::shape,
        MembershipReport::shape,
        DescribeReport::shape,
        DiffReport::shape,
        LakeDiffReport::shape,
        LineageReport::shape,
        MigrationsReport::shape,
        DraftReport::shape,
        LintReport::shape,
        ReplayReport::shape,
        CatalogReport::shape,
        OptimizeReport::shape,
        VacuumReport::shape,
        TestReport::shape,
        InitReport::shape,
        InferReport::shape,
    ]
    .map(|shape| shape(&mut shapes))
    .into();
    let names: Vec<Value> = documents
        .iter()
        .filter_map(|document| shapes.resolved(document)["properties"]["report"]["enum"].get(0).cloned())
        .collect();
    // `report/1` is there twice: with a result and without.
    let mut known: Vec<Value> = Vec::new();
    for name in names {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    let definitions: Map<String, Value> = shapes.definitions;
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A document of stedi-delta",
        "description": "What a command prints with `--format json`. New keys may be added under the same number.",
        "type": "object",
        "properties": {
            "report": { "description": "Which document it is, and the number of its form.", "type": "string", "enum": known },
            "exit_code": { "description": "Exit code of the command.", "type": "integer", "minimum": 0 },
        },
        "required": ["report"],
        "anyOf": documents,
        "definitions": definitions,
    })
}
