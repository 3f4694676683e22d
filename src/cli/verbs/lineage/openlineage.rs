//! A lineage as events of OpenLineage: one `RunEvent` per table, each the run that committed its version.
//!
//! A table is the dataset of its folder, by OpenLineage's naming of files: `file` and the path, or `s3://bucket` and the
//! key. Source: OpenLineage, spec 2-0-2, and its facets.

use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::outcome::{ColumnInput, ColumnLineage, ColumnUse, LineageOutcome, LineageTable};

/// The writer of the events.
const PRODUCER: &str = concat!("urn:stedi-delta:", env!("CARGO_PKG_VERSION"));
const SPEC: &str = "https://openlineage.io/spec";

/// The events, one per line, sources first.
pub(super) fn events(outcome: &LineageOutcome) -> String {
    let mut lines = String::new();
    for (at, table) in outcome.tables.iter().enumerate().rev() {
        if table.version.is_some() && table.kind != "system" {
            lines.push_str(&event(outcome, at, table).to_string());
            lines.push('\n');
        }
    }
    lines
}

fn event(outcome: &LineageOutcome, at: usize, table: &LineageTable) -> Value {
    let namespace = format!("{}.{}", outcome.project, outcome.target);
    let edges = outcome.edges.iter().filter(|edge| edge.to == at);
    let inputs = edges.filter_map(|edge| Some((edge, outcome.tables.get(edge.from)?)));
    let mut inputs: Vec<Value> = inputs.map(|(edge, source)| dataset(source, edge.read, Map::new())).collect();
    for file in table.files.iter().flatten() {
        let url = format!("{}/{}", outcome.landing.trim_end_matches('/'), file.path);
        let (namespace, name) = named(&url);
        inputs.push(json!({"namespace": namespace, "name": name}));
    }
    let columns = outcome.columns.iter().flatten().filter(|column| column.table == at);
    let lineage = column_lineage(outcome, columns);
    let facets: Map<String, Value> = lineage.map(|lineage| ("columnLineage".to_owned(), lineage)).into_iter().collect();
    let mut job = Map::new();
    if let Some(sql) = &table.sql {
        job.insert("sql".to_owned(), facet("1-1-0", "SQLJobFacet", json!({"query": sql})));
    }
    let mut run = Map::new();
    if let Some(id) = table.run.as_deref().and_then(uuid) {
        let parent = json!({"run": {"runId": id}, "job": {"namespace": namespace, "name": "sync"}});
        run.insert("parent".to_owned(), facet("1-2-0", "ParentRunFacet", parent));
    }
    json!({
        "eventType": "COMPLETE",
        "eventTime": rfc3339(table.committed_ms.unwrap_or_default()),
        "producer": PRODUCER,
        "schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"),
        "run": {"runId": run_id(table), "facets": run},
        "job": {"namespace": namespace, "name": table.name, "facets": job},
        "inputs": inputs,
        "outputs": [dataset(table, table.version, facets)],
    })
}

/// A table at a version.
fn dataset(table: &LineageTable, version: Option<u64>, mut facets: Map<String, Value>) -> Value {
    let (namespace, name) = named(&table.url);
    if let Some(version) = version {
        let version = json!({"datasetVersion": version.to_string()});
        facets.insert("version".to_owned(), facet("1-0-1", "DatasetVersionDatasetFacet", version));
    }
    // The columns of the graph are those of its own version.
    if version == table.version && !table.columns.is_empty() {
        let fields = table.columns.iter().map(|(name, of)| json!({"name": name, "type": of}));
        let fields = json!({"fields": fields.collect::<Vec<_>>()});
        facets.insert("schema".to_owned(), facet("1-2-0", "SchemaDatasetFacet", fields));
    }
    json!({"namespace": namespace, "name": name, "facets": facets})
}

fn facet(version: &str, name: &str, mut content: Value) -> Value {
    if let Some(content) = content.as_object_mut() {
        content.insert("_producer".to_owned(), PRODUCER.into());
        content.insert("_schemaURL".to_owned(), format!("{SPEC}/facets/{version}/{name}.json#/$defs/{name}").into());
    }
    content
}

fn column_lineage<'c>(outcome: &LineageOutcome, columns: impl Iterator<Item = &'c ColumnLineage>) -> Option<Value> {
    let (mut fields, mut deciding) = (Map::new(), Vec::new());
    for column in columns {
        let inputs: Vec<Value> = column.inputs.iter().filter_map(|of| input(outcome, of)).collect();
        match &column.column {
            Some(name) => drop(fields.insert(name.clone(), json!({"inputFields": inputs}))),
            None => deciding = inputs,
        }
    }
    let content = json!({"fields": fields, "dataset": deciding});
    (!content["fields"].as_object()?.is_empty()).then(|| facet("1-2-0", "ColumnLineageDatasetFacet", content))
}

fn input(outcome: &LineageOutcome, input: &ColumnInput) -> Option<Value> {
    let (namespace, name) = named(&outcome.tables.get(input.table)?.url);
    let transformation = match input.used {
        Some(ColumnUse::Identity) => json!({"type": "DIRECT", "subtype": "IDENTITY"}),
        Some(ColumnUse::Transformation) => json!({"type": "DIRECT", "subtype": "TRANSFORMATION"}),
        Some(ColumnUse::Aggregation) => json!({"type": "DIRECT", "subtype": "AGGREGATION"}),
        None => json!({"type": "INDIRECT"}),
    };
    Some(json!({
        "namespace": namespace,
        "name": name,
        "field": input.column,
        "transformations": [transformation],
    }))
}

/// Namespace and name of what is at a URL.
fn named(url: &str) -> (String, String) {
    let url = url.trim_end_matches('/');
    match url.split_once("://") {
        Some(("file", path)) => ("file".to_owned(), path.to_owned()),
        Some((scheme, rest)) => {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, "/"));
            (format!("{scheme}://{bucket}"), key.to_owned())
        }
        None => ("file".to_owned(), url.to_owned()),
    }
}

/// The id of the run that committed a version: each table of a sync is a run of its own, and the same version has always
/// the same.
fn run_id(table: &LineageTable) -> String {
    let hash = blake3::hash(format!("{} {}", table.id, table.version.unwrap_or_default()).as_bytes());
    let mut hex = hash.to_hex().as_str().get(..32).unwrap_or_default().to_owned();
    // Version 8 of RFC 9562: any content.
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "a");
    uuid(&hex).unwrap_or(hex)
}

/// A UUID with hyphens.
fn uuid(hex: &str) -> Option<String> {
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    is_hex.then(|| parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_are_named_as_openlineage_names_files() {
        let pair = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        assert_eq!(named("file:///lake/w/t/"), pair("file", "/lake/w/t"));
        assert_eq!(named("s3://bucket/w/t/"), pair("s3://bucket", "w/t"));
        assert_eq!(named("s3://bucket/"), pair("s3://bucket", "/"));
    }

    #[test]
    fn a_version_has_one_run_id() {
        let table = LineageTable { id: "a".into(), version: Some(3), ..LineageTable::default() };
        let id = run_id(&table);
        assert_eq!((id.len(), id.as_bytes()[14], id.as_bytes()[19]), (36, b'8', b'a'));
        assert_eq!(id, run_id(&table));
        assert_ne!(id, run_id(&LineageTable { version: Some(4), ..table }));
        assert_eq!(uuid("r1"), None);
    }
}
