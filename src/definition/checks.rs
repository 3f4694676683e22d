//! The parts of a table's `.toml` that refer to its columns, checked once these are known: keys, conditions, consent.

use std::collections::BTreeMap;

use deltalake::arrow::datatypes::DataType;

use super::columns::Declared;
use super::guess::certain;
use super::model::{Column, ColumnType, Condition, Consent, Expectation, Grants};
use super::spec::{GrantsSpec, Spec};
use crate::name::{TableName, nearest};
use crate::source::faults::{Faults, one_of, suggestion};
use crate::source::{Place, Text};
use crate::sql::planner::Tables;
use crate::sql::refuse::report::report;
use crate::sql::refuse::undetermined::repeatable;
use crate::sql::text::Sql;
use crate::sql::{condition_of, is_row_wise, plan_condition};

/// The columns of every table whose columns have no faults.
pub(super) type Known = BTreeMap<TableName, Vec<Column>>;

/// Checks that values of the columns of a landing table can be read from JSON.
pub(super) fn landable(declared: &[Declared], faults: &mut Faults) {
    let other_keys = |t: &ColumnType| matches!(t, ColumnType::Map(entry) if entry.0 != ColumnType::String);
    for d in declared.iter().filter(|d| d.column.column_type.any(&other_keys)) {
        let message = format!("column `{}` is a map whose keys are not strings", d.column.name);
        faults.add(d.type_place.clone(), message, "names in JSON are strings: write `map<string,T>`");
    }
}

/// Checks that columns exist, and that those of a primary key can be compared.
pub(super) fn keys(spec: &Spec, columns: &[Column], faults: &mut Faults) {
    for text in &spec.primary_key {
        let column = plain_column(text, "primary_key", columns, faults);
        if let Some(ColumnType::Float | ColumnType::Double) = column.map(|c| &c.column_type) {
            let label = "a key must compare exactly: floating-point numbers do not";
            faults.add(text.place.clone(), format!("`{}` cannot be in a primary key", text.value), label);
        }
    }
    for text in &spec.cluster_by {
        plain_column(text, "cluster_by", columns, faults);
    }
}

/// A column whose values all engines compare and order alike.
fn plain_column<'a>(text: &Text, key: &str, columns: &'a [Column], faults: &mut Faults) -> Option<&'a Column> {
    let column = column_named(text, key, columns, faults)?;
    let is_json = column.column_type == ColumnType::Json;
    if is_json || column.column_type.is_nested() {
        let message = format!("`{}` cannot be in `{key}`", text.value);
        let found = if is_json { "json".to_owned() } else { column.column_type.delta_name() };
        let label = format!("it is {found}: name a column without values inside");
        faults.add(text.place.clone(), message, label);
        return None;
    }
    Some(column)
}

fn column_named<'a>(text: &Text, key: &str, columns: &'a [Column], faults: &mut Faults) -> Option<&'a Column> {
    let found = columns.iter().find(|c| c.name == text.value);
    if found.is_none() {
        let names = || columns.iter().map(|c| c.name.as_str());
        let label = suggestion(&text.value, names());
        faults.add(text.place.clone(), format!("missing {key} column `{}`", text.value), label);
    }
    found
}

/// Checks and plans a condition on the rows of a table. If not all columns of the table are known (`is_vague`), only
/// faults that do not depend on the unknown ones are reported.
fn condition(
    text: &Text,
    table: &TableName,
    tables: &Tables,
    is_vague: bool,
    faults: &mut Faults,
) -> Option<Condition> {
    let (condition, data_type) = row_expression(text, table, tables, is_vague, faults)?;
    if data_type != DataType::Boolean && !is_vague {
        faults.add(text.place.clone(), "this is not a condition", "expected true or false");
        return None;
    }
    Some(condition)
}

/// Checks and plans an expression on the rows of a table; returns its type, too.
fn row_expression(
    text: &Text,
    table: &TableName,
    tables: &Tables,
    is_vague: bool,
    faults: &mut Faults,
) -> Option<(Condition, DataType)> {
    let mut sql = Sql::value(text);
    let expr = sql.condition(faults)?;
    let before = faults.len();
    sql.unsupported(faults);
    let mut planned = None;
    match plan_condition(expr, table.as_str(), tables) {
        Ok(plan) => {
            planned = condition_of(&plan).ok().map(|expr| (expr, plan.schema().field(0).data_type().clone()));
            if !is_row_wise(&plan) {
                faults.add(sql.start(), "a condition looks at one row of its table", "remove aggregates and windows");
            }
            repeatable(&plan, &sql, faults);
        }
        Err(error) if is_vague => certain(&error, &sql, faults),
        Err(error) => report(&error, &sql, faults),
    }
    let (expr, data_type) = planned.filter(|_| faults.len() == before)?;
    Some((Condition { text: text.value.clone(), expr }, data_type))
}

/// Checks the expectations of a table.
pub(super) fn expectations(spec: &Spec, tables: &Tables, is_vague: bool, faults: &mut Faults) -> Vec<Expectation> {
    let mut found = Vec::new();
    for e in &spec.expectations {
        let Some(check) = condition(&e.check, &spec.name, tables, is_vague, faults) else { continue };
        found.push(Expectation { name: e.name.value.clone(), check, action: e.action });
    }
    found
}

/// Checks `[grants]` of a landing table.
pub(super) fn grants(
    spec: &GrantsSpec,
    table: &TableName,
    columns: &[Column],
    tables: &Tables,
    faults: &mut Faults,
) -> Option<Grants> {
    let before = faults.len();
    for (key, texts) in [("subjects", &spec.subjects), ("latest", &spec.latest)] {
        for text in texts {
            plain_column(text, key, columns, faults);
        }
    }
    let granted = condition(spec.granted.as_ref()?, table, tables, false, faults)?;
    let values = |texts: &[Text]| texts.iter().map(|t| t.value.clone()).collect();
    (faults.len() == before).then(|| Grants { subjects: values(&spec.subjects), granted, latest: values(&spec.latest) })
}

/// Checks `[consent]` of a derived table. `records` are the landing tables with `[grants]`.
pub(super) fn consent(
    spec: &Spec,
    records: &[&Spec],
    (known, tables): (&Known, &Tables),
    faults: &mut Faults,
) -> Option<Consent> {
    let consent = spec.consent.as_ref().filter(|consent| consent.is_read)?;
    let names = || records.iter().map(|r| r.name.as_str());
    let record = match (&consent.grants, records) {
        (Some(text), _) => match records.iter().find(|r| r.name.as_str() == text.value) {
            Some(record) => *record,
            None => {
                let label = match nearest(&text.value, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if records.is_empty() => "no landing table has `[grants]`".into(),
                    None => format!("one of {}", one_of(names())),
                };
                faults.add(text.place.clone(), format!("`{}` is no table with `[grants]`", text.value), label);
                return None;
            }
        },
        (None, [record]) => *record,
        (None, []) => {
            let label = "add `[grants]` to the landing table that records consent";
            faults.add(consent.header.clone(), "no table of this project has `[grants]`", label);
            return None;
        }
        (None, _) => {
            let label = format!("add `grants = ` and one of {}", one_of(names()));
            faults.add(consent.header.clone(), "several tables of this project have `[grants]`", label);
            return None;
        }
    };
    let subject = consent.subject.as_ref()?;
    let columns = known.get(&spec.name)?;
    let column = column_named(subject, "consent", columns, faults)?;
    let subjects = &record.grants.as_ref()?.subjects;
    let one_of_subjects = || one_of(subjects.iter().map(|s| s.value.as_str()));
    let (named, place) = match &consent.names {
        Some(text) => (text.value.clone(), text.place.clone()),
        None => (subject.value.clone(), subject.place.clone()),
    };
    if subjects.is_empty() {
        return None; // Reported where they are declared.
    }
    if !subjects.iter().any(|s| s.value == named) {
        let message = format!("`{named}` is no subject of `{}`", record.name);
        let label = match &consent.names {
            Some(_) => format!("one of {}", one_of_subjects()),
            None => format!("add `names = ` and the one whose values it holds: {}", one_of_subjects()),
        };
        faults.add(place, message, label);
        return None;
    }
    let granted = known.get(&record.name)?.iter().find(|c| c.name == named)?;
    let by = match &consent.by {
        Some(text) => Some(pseudonym(text, (column, subject), (&record.name, &named), tables, faults)?),
        None => None,
    };
    if by.is_none() && granted.column_type != column.column_type {
        let message = format!(
            "`{}` is {}, and `{named}` of `{}` is {}",
            subject.value,
            column.column_type.delta_name(),
            record.name,
            granted.column_type.delta_name()
        );
        faults.add(subject.place.clone(), message, "subjects are compared as they are: make the types equal");
        return None;
    }
    Some(Consent { subject: subject.value.clone(), grants: record.name.clone(), names: named, by })
}

/// Checks `by` of `[consent]`: an expression over the subject `names` of the record of consent, whose values are those of
/// `column`.
fn pseudonym(
    text: &Text,
    (column, subject): (&Column, &Text),
    (record, names): (&TableName, &str),
    tables: &Tables,
    faults: &mut Faults,
) -> Option<Condition> {
    let (by, data_type) = row_expression(text, record, tables, false, faults)?;
    let columns = by.expr.column_refs();
    if columns.is_empty() || columns.iter().any(|found| found.name != names) {
        let label = format!("expected an expression over `{names}` alone, such as `sha256({names})`");
        faults.add(text.place.clone(), format!("`by` is no pseudonym of `{names}`"), label);
        return None;
    }
    let found = ColumnType::stored(&data_type).map_err(|(found, _)| found);
    if !column.column_type.is_nested() && found.as_ref() == Ok(&column.column_type) {
        return Some(by);
    }
    let found = found.map_or_else(|name| name.to_string(), |found| found.delta_name());
    let message = format!("`{}` is {}, and `by` is {found}", subject.value, column.column_type.delta_name());
    faults.add(text.place.clone(), message, "subjects are compared as they are: make the types equal");
    None
}

/// Checks that a table of a zone of `require_consent` says whose consent it requires, if it has personal data.
pub(super) fn requires_consent(spec: &Spec, columns: &[Column], zones: &[String], faults: &mut Faults) {
    let personal: Vec<&str> = columns.iter().filter(|c| c.pii).map(|c| c.name.as_str()).collect();
    let Some(first) = personal.first().filter(|_| zones.contains(&spec.zone) && spec.consent.is_none()) else { return };
    let message = format!("`{}` has personal data (`{first}`) and no `[consent]`", spec.name);
    let place = Place { file: spec.file.clone(), span: 0..0 };
    let zone = &spec.zone;
    let (label, help) = match spec.sql {
        Some(_) => ("add `[consent]`, and in it `subject`, the column that names the person", "or"),
        None => ("a landing table cannot have it", "move the table, or"),
    };
    let help = format!("{help} take `{zone}` out of `require_consent` of stedi-delta.toml");
    faults.add_with_help(place, message, label, help);
}
