//! Features that make a table unreadable for other engines, Athena first.
//!
//! Athena reads reader versions up to 3 with column mapping, deletion vectors and timestamps without time zone, and no
//! other feature; names in lower case; no nested or binary partition columns.
//! Sources: Athena user guide, "Query Linux Foundation Delta Lake tables"; Delta protocol, "Table Features".

use deltalake::kernel::{DataType, Metadata, PrimitiveType, Protocol, StructType};

use crate::error::{Error, Result};
use crate::storage::Location;

/// Reader features that Athena knows.
const ATHENA_KNOWS: [&str; 3] = ["columnMapping", "deletionVectors", "timestampNtz"];
/// The property by which a table requests checkpoints that older readers do not find.
const CHECKPOINT_POLICY: &str = "delta.checkpointPolicy";
/// Maximum bytes of a name in Glue.
const NAME_BYTES: usize = 255;

/// A feature of a table that an engine cannot read, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The obstacle.
    pub found: String,
    /// The remedy.
    pub way_out: String,
}

/// All obstacles to reading a table with this protocol, schema and partition columns.
#[must_use]
pub(super) fn obstacles(protocol: &Protocol, metadata: &Metadata, schema: &StructType) -> Vec<Obstacle> {
    let mut found = Vec::new();
    features(protocol, &mut found);
    if metadata.configuration().get(CHECKPOINT_POLICY).is_some_and(|policy| policy == "v2") {
        found.push(Obstacle {
            found: format!("`{CHECKPOINT_POLICY}` asks for checkpoints of version 2"),
            way_out: format!("ALTER TABLE ... SET TBLPROPERTIES ('{CHECKPOINT_POLICY}' = 'classic')"),
        });
    }
    names("", schema, &mut found);
    for field in schema.fields() {
        types(field.name(), field.data_type(), &mut found);
    }
    for name in metadata.partition_columns() {
        match schema.field(name).map(|field| field.data_type()) {
            Some(DataType::Primitive(PrimitiveType::Binary)) => partition(name, "binary", &mut found),
            Some(DataType::Primitive(_)) | None => {}
            Some(_) => partition(name, "nested", &mut found),
        }
    }
    found
}

/// Stops a commit that would leave a table unreadable.
///
/// # Errors
/// The first obstacle, as a message for people.
pub(super) fn check(location: &Location, obstacles: &[Obstacle]) -> Result<()> {
    let Some(first) = obstacles.first() else { return Ok(()) };
    let error = Error::failed(format!("{location} would not be readable by Athena: {}", first.found));
    let rest = obstacles.iter().skip(1);
    let error = rest.fold(error, |error, next| error.fact("also", next.found.clone()));
    Err(error.fact("table", "nothing was committed").help(first.way_out.clone()))
}

fn features(protocol: &Protocol, found: &mut Vec<Obstacle>) {
    let way_out = "in the engine that switched it on: ALTER TABLE ... DROP FEATURE; or move the table's folder away \
                   and sync, which builds it anew";
    let features = protocol.reader_features().unwrap_or_default();
    for feature in features.iter().map(ToString::to_string) {
        if !ATHENA_KNOWS.contains(&feature.as_str()) {
            found.push(Obstacle { found: format!("table feature `{feature}` is on"), way_out: way_out.into() });
        }
    }
    if protocol.min_reader_version() > 3 {
        let version = protocol.min_reader_version();
        found.push(Obstacle { found: format!("it needs reader version {version}"), way_out: way_out.into() });
    }
}

/// Names of one level. Athena treats two that differ by case only as one; the Delta library refuses such a schema
/// itself, so that no table with one is ever opened or written.
fn names(above: &str, schema: &StructType, found: &mut Vec<Obstacle>) {
    for field in schema.fields() {
        let name = field.name();
        if name.len() > NAME_BYTES {
            found.push(Obstacle {
                found: format!("the name `{above}{name}` has more than {NAME_BYTES} bytes"),
                way_out: "give the column a shorter name".into(),
            });
        }
        if let DataType::Struct(inner) = field.data_type() {
            names(&format!("{above}{name}."), inner, found);
        }
    }
}

fn types(path: &str, data_type: &DataType, found: &mut Vec<Obstacle>) {
    match data_type {
        DataType::Primitive(PrimitiveType::TimestampNtz) => found.push(Obstacle {
            found: format!(
                "column `{path}` is a timestamp without time zone, which raises the table to reader version 3"
            ),
            way_out: "write times as `timestamp` (UTC), or as milliseconds since the epoch (`long`)".into(),
        }),
        DataType::Primitive(known) if is_known(known) => {}
        DataType::Array(array) => types(&format!("{path}.element"), array.element_type(), found),
        DataType::Map(map) => {
            types(&format!("{path}.key"), map.key_type(), found);
            types(&format!("{path}.value"), map.value_type(), found);
        }
        DataType::Struct(inner) => {
            for field in inner.fields() {
                types(&format!("{path}.{}", field.name()), field.data_type(), found);
            }
        }
        other => found.push(Obstacle {
            found: format!("column `{path}` has the type {other}, which Athena does not know"),
            way_out: "store it as a string, a number or a struct".into(),
        }),
    }
}

fn is_known(primitive: &PrimitiveType) -> bool {
    matches!(
        primitive,
        PrimitiveType::String
            | PrimitiveType::Long
            | PrimitiveType::Integer
            | PrimitiveType::Short
            | PrimitiveType::Byte
            | PrimitiveType::Float
            | PrimitiveType::Double
            | PrimitiveType::Boolean
            | PrimitiveType::Binary
            | PrimitiveType::Date
            | PrimitiveType::Timestamp
            | PrimitiveType::Decimal(_)
    )
}

fn partition(name: &str, what: &str, found: &mut Vec<Obstacle>) {
    found.push(Obstacle {
        found: format!("the partition column `{name}` is {what}"),
        way_out: "partition by a string, a number or a date, or not at all".into(),
    });
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    fn found(protocol: serde_json::Value, schema: serde_json::Value, partitions: &[&str]) -> Vec<String> {
        let protocol: Protocol = serde_json::from_value(protocol).expect("a protocol");
        let schema: StructType = serde_json::from_value(schema).expect("a schema");
        let partitions = partitions.iter().map(|p| (*p).to_owned());
        let metadata = deltalake::kernel::new_metadata(&schema, partitions, HashMap::<String, String>::new());
        obstacles(&protocol, &metadata.expect("metadata"), &schema).into_iter().map(|o| o.found).collect()
    }

    fn field(name: &str, data_type: serde_json::Value) -> serde_json::Value {
        json!({"name": name, "type": data_type, "nullable": true, "metadata": {}})
    }

    fn table(fields: &[serde_json::Value]) -> serde_json::Value {
        json!({"type": "struct", "fields": fields})
    }

    fn plain() -> serde_json::Value {
        json!({"minReaderVersion": 1, "minWriterVersion": 4})
    }

    #[test]
    fn what_we_write_is_readable() {
        let types = ["string", "long", "integer", "short", "byte", "float", "double", "boolean", "binary", "date"];
        let mut fields: Vec<_> = types.iter().map(|t| field(&format!("c_{t}"), json!(t))).collect();
        fields.push(field("t", json!("timestamp")));
        fields.push(field("d", json!("decimal(38,2)")));
        assert_eq!(found(plain(), table(&fields), &["c_string", "c_date"]), Vec::<String>::new());
    }

    #[test]
    fn features_that_athena_does_not_know_are_named() {
        let protocol = |features: serde_json::Value| json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features});
        let known = protocol(json!(["columnMapping", "deletionVectors", "timestampNtz"]));
        assert_eq!(found(known, table(&[]), &[]), Vec::<String>::new());
        let unknown = found(protocol(json!(["v2Checkpoint", "deletionVectors"])), table(&[]), &[]);
        assert_eq!(unknown, ["table feature `v2Checkpoint` is on"]);
    }

    #[test]
    fn names_types_and_partitions_that_athena_cannot_show_are_named() {
        let inner = table(&[field("a", json!("long")), field("b", json!("timestamp_ntz"))]);
        let long = "n".repeat(256);
        let fields = [field(&long, json!("long")), field("s", inner), field("b", json!("binary"))];
        let too_long = format!("the name `{long}` has more than 255 bytes");
        let expected = [
            too_long.as_str(),
            "column `s.b` is a timestamp without time zone, which raises the table to reader version 3",
            "the partition column `b` is binary",
        ];
        assert_eq!(found(plain(), table(&fields), &["b"]), expected);
    }

    #[test]
    fn names_that_differ_by_case_only_are_no_schema_at_all() {
        let schema = table(&[field("Id", json!("long")), field("id", json!("long"))]);
        let error = serde_json::from_value::<StructType>(schema).expect_err("refused");
        assert!(error.to_string().contains("Duplicate field name (case-insensitive)"), "{error}");
    }
}
