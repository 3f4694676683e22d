//! The entry of one Delta table, in the form that Athena v3 itself writes to Glue.
//!
//! Field names are those of Glue's `GetTable`. Three details are essential: the SerDe's `path`, without which Trino and
//! Athena find no table; `NumberOfBuckets`, without which Trino fails; and formats that are not Parquet, so that an
//! engine that ignores the Delta markers fails instead of reading removed files as well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::drift::differences;
use super::hive;
use crate::definition::Column;
use crate::error::{Error, Result};
use crate::lake::PROPERTIES;
use crate::outcome::Drift;

const UPDATE_VERSION: &str = "delta.lastUpdateVersion";
const COMMIT_TIMESTAMP: &str = "delta.lastCommitTimestamp";
const PROVIDER: &str = "spark.sql.sources.provider";
const TABLE_TYPE: &str = "table_type";
/// Table and version of a pin.
const PINNED_TABLE: &str = "stedi-delta.pin.table";
const PINNED_VERSION: &str = "stedi-delta.pin.version";
/// The parameter of a column by which policies for personal data find it.
const CLASSIFICATION: &str = "classification";
/// Everything below this prefix describes the schema and is ours: parts of an older, longer schema must be removed.
const SCHEMA_PREFIX: &str = "spark.sql.sources.schema";
/// Spark's `schemaStringLengthThreshold`: a Hive metastore holds 4,000 characters per value.
const SCHEMA_PART_CHARS: usize = 4000;
/// Glue's limit for a column comment, in characters.
const COMMENT_CHARS: usize = 255;
/// Glue's limit for a table description, in characters.
const DESCRIPTION_CHARS: usize = 2048;

/// The catalog's data of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// Lower-case table name.
    pub name: String,
    /// For people; at most 2,048 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Owner of the table, as written by others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `EXTERNAL_TABLE`; empty if another tool wrote none.
    #[serde(default)]
    pub table_type: String,
    /// Markers by which engines recognise the format, and the Delta schema.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Columns and location; empty for a view.
    #[serde(default)]
    pub storage_descriptor: StorageDescriptor,
    /// Always empty, and always present: Athena requires it.
    #[serde(default)]
    pub partition_keys: Vec<EntryColumn>,
}

/// Columns and location of a table. Fields that another tool omitted are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StorageDescriptor {
    /// Columns with Hive types.
    pub columns: Vec<EntryColumn>,
    /// Folder of the table, with a `/` at the end.
    pub location: String,
    /// Hadoop input format.
    pub input_format: String,
    /// Hadoop output format.
    pub output_format: String,
    /// Always false.
    pub compressed: bool,
    /// 0; `None` only in entries of other tools.
    pub number_of_buckets: Option<i32>,
    /// SerDe, whose `path` is the location for most engines.
    pub serde_info: SerdeInfo,
    /// Always empty.
    pub bucket_columns: Vec<String>,
    /// Always empty; objects in entries of other tools.
    pub sort_columns: Vec<serde_json::Value>,
    /// Always false.
    pub stored_as_sub_directories: bool,
    /// Parameters of others.
    pub parameters: BTreeMap<String, String>,
}

/// SerDe of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SerdeInfo {
    /// Java class.
    pub serialization_library: String,
    /// `path` and `serialization.format`.
    pub parameters: BTreeMap<String, String>,
}

/// A column in a catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EntryColumn {
    /// Lower-case name.
    pub name: String,
    /// Hive type.
    #[serde(default)]
    pub r#type: String,
    /// For people; one line of at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Parameters, such as the classification.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// What a definition says of its table.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// For people.
    pub description: &'a str,
    /// Columns, with their descriptions and classifications.
    pub columns: &'a [Column],
    /// Properties.
    pub properties: &'a BTreeMap<String, String>,
}

impl Entry {
    /// The entry of a table by its log.
    ///
    /// `location` is the table's URL or absolute path, `delta_schema_string` the `schemaString` of the log's metadata,
    /// from which the columns come; `declared` describes the table and its columns. `version` and `commit_timestamp_ms`
    /// (since the epoch) are those of the newest commit.
    #[must_use]
    pub fn new(
        name: &str,
        location: &str,
        declared: Declared<'_>,
        delta_schema_string: &str,
        version: u64,
        commit_timestamp_ms: i64,
    ) -> Self {
        let location = format!("{}/", location.trim_end_matches('/'));
        let mut parameters = text_map([
            ("EXTERNAL", "TRUE"),
            (TABLE_TYPE, "delta"),
            (PROVIDER, "delta"),
            ("spark.sql.partitionProvider", "catalog"),
            ("classification", "delta"),
        ]);
        parameters.insert(UPDATE_VERSION.into(), version.to_string());
        parameters.insert(COMMIT_TIMESTAMP.into(), commit_timestamp_ms.to_string());
        let parts = parts(delta_schema_string);
        parameters.insert(format!("{SCHEMA_PREFIX}.numParts"), parts.len().to_string());
        for (number, part) in parts.into_iter().enumerate() {
            parameters.insert(format!("{SCHEMA_PREFIX}.part.{number}"), part);
        }
        if !declared.properties.is_empty() {
            let names = declared.properties.keys().map(String::as_str).collect::<Vec<_>>();
            parameters.insert(PROPERTIES.into(), names.join(","));
            parameters.extend(declared.properties.clone());
        }
        Self {
            name: name.to_lowercase(),
            description: one_line(declared.description, DESCRIPTION_CHARS),
            owner: None,
            table_type: "EXTERNAL_TABLE".into(),
            parameters,
            storage_descriptor: StorageDescriptor {
                columns: columns(delta_schema_string, declared.columns),
                input_format: "org.apache.hadoop.mapred.SequenceFileInputFormat".into(),
                output_format: "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat".into(),
                compressed: false,
                number_of_buckets: Some(0),
                serde_info: SerdeInfo {
                    serialization_library: "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe".into(),
                    parameters: text_map([("path", location.as_str()), ("serialization.format", "1")]),
                },
                location,
                bucket_columns: Vec::new(),
                sort_columns: Vec::new(),
                stored_as_sub_directories: false,
                parameters: BTreeMap::new(),
            },
            partition_keys: Vec::new(),
        }
    }

    /// The entry of a pinned version: Hive's symlink format over the Parquet files that the manifest in `location` lists.
    #[must_use]
    pub fn manifest(
        name: &str,
        location: &str,
        (description, declared): (&str, &[Column]),
        delta_schema_string: &str,
        table: &str,
        version: u64,
    ) -> Self {
        let mut parameters = text_map([("EXTERNAL", "TRUE"), ("classification", "parquet"), (PINNED_TABLE, table)]);
        parameters.insert(PINNED_VERSION.into(), version.to_string());
        Self {
            name: name.to_lowercase(),
            description: one_line(description, DESCRIPTION_CHARS),
            owner: None,
            table_type: "EXTERNAL_TABLE".into(),
            parameters,
            storage_descriptor: StorageDescriptor {
                columns: columns(delta_schema_string, declared),
                location: format!("{}/", location.trim_end_matches('/')),
                input_format: "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat".into(),
                output_format: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat".into(),
                compressed: false,
                number_of_buckets: Some(0),
                serde_info: SerdeInfo {
                    serialization_library: "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe".into(),
                    parameters: text_map([("serialization.format", "1")]),
                },
                ..StorageDescriptor::default()
            },
            partition_keys: Vec::new(),
        }
    }

    /// Whether it is that of a pinned version.
    #[must_use]
    pub fn is_pin(&self) -> bool {
        self.parameters.contains_key(PINNED_TABLE)
    }

    /// This entry, with the fields of others in `existing` that this one does not set: parameters, owner, and
    /// descriptions and comments that are empty here. Comments of an older log and properties of an older definition go.
    #[must_use]
    pub fn merged_into(&self, existing: &Self) -> Self {
        let mut merged = self.clone();
        let ours = existing.parameters.get(PROPERTIES).map(String::as_str).unwrap_or_default();
        let is_ours =
            |key: &str| key.starts_with(SCHEMA_PREFIX) || key == PROPERTIES || ours.split(',').any(|o| o == key);
        for (key, value) in &existing.parameters {
            if !is_ours(key) {
                merged.parameters.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        merged.description = merged.description.or_else(|| existing.description.clone());
        merged.owner = merged.owner.or_else(|| existing.owner.clone());
        let (ours, theirs) = (&mut merged.storage_descriptor, &existing.storage_descriptor);
        keep(&mut ours.parameters, &theirs.parameters);
        keep(&mut ours.serde_info.parameters, &theirs.serde_info.parameters);
        let of_log = existing.comments();
        for column in &mut ours.columns {
            let Some(same) = theirs.columns.iter().find(|c| c.name == column.name) else { continue };
            if column.comment.is_none() && same.comment.is_some() && of_log.get(&column.name) != same.comment.as_ref() {
                column.comment.clone_from(&same.comment);
            }
            // The classification is the definition's.
            let others = same.parameters.iter().filter(|(key, _)| *key != CLASSIFICATION);
            for (key, value) in others {
                column.parameters.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        merged
    }

    /// The comments of columns in the log that the entry was made from.
    fn comments(&self) -> BTreeMap<String, String> {
        let part = |number: usize| self.parameters.get(&format!("{SCHEMA_PREFIX}.part.{number}"));
        let schema: String = (0..).map_while(part).map(String::as_str).collect();
        let comments = hive::columns(&schema).into_iter().filter_map(|(name, _, comment)| Some((name, comment?)));
        comments.filter_map(|(name, comment)| Some((name.to_lowercase(), one_line(&comment, COMMENT_CHARS)?))).collect()
    }

    /// Whether putting this entry over `existing` would change anything that an engine or a person sees. Version and
    /// time of the last commit alone are not a difference: engines read them from the log, and an update per commit
    /// would exhaust Glue's quota of table versions.
    #[must_use]
    pub fn differs(&self, existing: &Self) -> bool {
        self.merged_into(existing).without_commit() != existing.clone().without_commit()
    }

    /// Where `existing` [differs](Self::differs), field by field.
    #[must_use]
    pub fn drift(&self, existing: &Self) -> Vec<Drift> {
        let document = |entry: Self| serde_json::to_value(entry.without_commit()).unwrap_or_default();
        differences(&document(existing.clone()), &document(self.merged_into(existing)))
    }

    /// Whether both describe the same columns: if so, no old version of the entry needs to be kept.
    #[must_use]
    pub fn has_schema_of(&self, other: &Self) -> bool {
        let parts = |entry: &Self| -> Vec<(String, String)> {
            let of_schema = entry.parameters.iter().filter(|(key, _)| key.starts_with(SCHEMA_PREFIX));
            of_schema.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        self.storage_descriptor.columns == other.storage_descriptor.columns && parts(self) == parts(other)
    }

    /// The version of the table at which the entry was written.
    #[must_use]
    pub fn version(&self) -> Option<u64> {
        self.parameters.get(UPDATE_VERSION)?.parse().ok()
    }

    /// The folder of the table that engines read.
    #[must_use]
    pub fn location(&self) -> &str {
        self.storage_descriptor.serde_info.parameters.get("path").unwrap_or(&self.storage_descriptor.location)
    }

    /// Whether engines read the same folder by both, in any spelling.
    #[must_use]
    pub fn is_at(&self, location: &str) -> bool {
        let plain = |text: &str| text.trim_end_matches('/').replacen("s3a://", "s3://", 1);
        plain(self.location()) == plain(location)
    }

    /// Whether the entry has one of the markers of a Delta table.
    #[must_use]
    pub fn is_delta(&self) -> bool {
        let marked = |key: &&str| self.parameters.get(*key).is_some_and(|value| value.eq_ignore_ascii_case("delta"));
        [PROVIDER, TABLE_TYPE].iter().any(marked)
    }

    /// Refuses to replace an entry of something else, such as a Hive table over JSON files, by this one.
    ///
    /// # Errors
    /// `existing` has none of the markers of a Delta table.
    pub fn may_replace(&self, database: &str, existing: &Self) -> Result<()> {
        if existing.is_delta() {
            return Ok(());
        }
        Err(Error::failed(format!("`{database}.{}` in the catalog is not a Delta table", self.name))
            .fact("location", existing.location())
            .fact("wanted", self.location())
            .help(format!("remove `{database}.{}` from the catalog, or give the target another database", self.name)))
    }

    fn without_commit(mut self) -> Self {
        self.parameters.remove(UPDATE_VERSION);
        self.parameters.remove(COMMIT_TIMESTAMP);
        self
    }
}

/// The columns of the log, with their declared descriptions and classifications.
fn columns(delta_schema_string: &str, declared: &[Column]) -> Vec<EntryColumn> {
    let columns = hive::columns(delta_schema_string).into_iter();
    columns
        .map(|(name, r#type, comment)| {
            let name = name.to_lowercase();
            let column = declared.iter().find(|c| c.name.to_lowercase() == name);
            let described = column.and_then(|c| one_line(&c.description, COMMENT_CHARS));
            let comment = described.or_else(|| one_line(&comment?, COMMENT_CHARS));
            let parameters = match column {
                Some(column) if column.pii => text_map([(CLASSIFICATION, "pii")]),
                _ => BTreeMap::new(),
            };
            EntryColumn { name, r#type, comment, parameters }
        })
        .collect()
}

fn text_map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn keep(ours: &mut BTreeMap<String, String>, theirs: &BTreeMap<String, String>) {
    for (key, value) in theirs {
        ours.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// One line of at most `limit` characters; `None` for no text at all.
fn one_line(text: &str, limit: usize) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        Some((end, _)) => Some(line[..end].to_owned()),
        None => (!line.is_empty()).then_some(line),
    }
}

fn parts(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(SCHEMA_PART_CHARS).map(|part| part.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::ColumnType;

    fn column(name: &str, column_type: ColumnType, description: &str) -> Column {
        Column { description: description.into(), ..Column::new(name, column_type) }
    }

    const SCHEMA: &str = r#"{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}},{"name":"region","type":"string","nullable":true,"metadata":{}}]}"#;

    fn entry(schema: &str, version: u64) -> Entry {
        let columns = [column("id", ColumnType::Long, "the\nnumber"), column("region", ColumnType::String, "")];
        let properties = BTreeMap::new();
        let declared = Declared { description: "Orders", columns: &columns, properties: &properties };
        Entry::new("Orders", "s3://bucket/wh/orders", declared, schema, version, 1_791_371_800_952)
    }

    #[test]
    fn the_shape_is_that_of_athena() {
        let expected = serde_json::json!({
            "Name": "orders",
            "Description": "Orders",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {
                "EXTERNAL": "TRUE",
                "table_type": "delta",
                "spark.sql.sources.provider": "delta",
                "spark.sql.partitionProvider": "catalog",
                "spark.sql.sources.schema.numParts": "1",
                "spark.sql.sources.schema.part.0": SCHEMA,
                "delta.lastUpdateVersion": "3",
                "delta.lastCommitTimestamp": "1791371800952",
                "classification": "delta"
            },
            "PartitionKeys": [],
            "StorageDescriptor": {
                "Location": "s3://bucket/wh/orders/",
                "Columns": [
                    {"Name": "id", "Type": "bigint", "Comment": "the number"},
                    {"Name": "region", "Type": "string"}
                ],
                "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
                "Compressed": false,
                "NumberOfBuckets": 0,
                "BucketColumns": [],
                "SortColumns": [],
                "StoredAsSubDirectories": false,
                "Parameters": {},
                "SerdeInfo": {
                    "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                    "Parameters": {"path": "s3://bucket/wh/orders/", "serialization.format": "1"}
                }
            }
        });
        assert_eq!(serde_json::to_value(entry(SCHEMA, 3)).expect("an entry is JSON"), expected);
    }

    #[test]
    fn a_long_schema_is_split_and_the_parts_of_an_older_one_go() {
        let long = entry(&"é".repeat(9000), 1);
        assert_eq!(long.parameters["spark.sql.sources.schema.numParts"], "3");
        assert_eq!(long.parameters["spark.sql.sources.schema.part.2"].chars().count(), 1000);
        let merged = entry("{}", 2).merged_into(&long);
        assert_eq!(merged.parameters.keys().filter(|k| k.contains("schema.part")).count(), 1);
    }

    #[test]
    fn a_new_version_alone_is_no_difference() {
        assert!(!entry("{}", 2).differs(&entry("{}", 1)));
        assert!(entry("{ }", 1).differs(&entry("{}", 1)));
        let mut unbucketed = entry("{}", 1);
        unbucketed.storage_descriptor.number_of_buckets = None;
        assert!(entry("{}", 1).differs(&unbucketed), "Trino cannot read an entry without it");
    }

    #[test]
    fn what_others_added_stays() {
        let mut theirs = entry(SCHEMA, 1);
        theirs.parameters.insert("team".into(), "ml".into());
        theirs.owner = Some("ada".into());
        theirs.storage_descriptor.columns[0].comment = Some("overwritten".into());
        theirs.storage_descriptor.columns[1].comment = Some("kept".into());
        let merged = entry(SCHEMA, 2).merged_into(&theirs);
        assert_eq!(merged.parameters["team"], "ml");
        assert_eq!(merged.parameters[UPDATE_VERSION], "2");
        assert_eq!(merged.owner.as_deref(), Some("ada"));
        let comments: Vec<_> = merged.storage_descriptor.columns.iter().map(|c| c.comment.as_deref()).collect();
        assert_eq!(comments, [Some("the number"), Some("kept")]);
    }

    #[test]
    fn what_came_from_an_older_log_or_definition_goes() {
        let with = |comment: &str, team: &[(&str, &str)]| {
            let schema = SCHEMA.replacen("{}}", &format!("{{{comment}}}}}"), 1);
            let columns = [column("region", ColumnType::String, "")];
            let properties = team.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let declared = Declared { description: "Orders", columns: &columns, properties: &properties };
            Entry::new("orders", "s3://bucket/wh/orders", declared, &schema, 1, 1_791_371_800_952)
        };
        let mut before = with("\"comment\":\"of the log\"", &[("team", "ml"), ("owner", "ada")]);
        assert_eq!(before.storage_descriptor.columns[0].comment.as_deref(), Some("of the log"));
        let merged = with("", &[("owner", "eve")]).merged_into(&before);
        assert_eq!(merged.storage_descriptor.columns[0].comment, None);
        assert_eq!((merged.parameters.get("team"), merged.parameters["owner"].as_str()), (None, "eve"));
        assert_eq!(merged.parameters["stedi-delta.properties"], "owner");
        // A comment that somebody wrote into the catalog alone.
        before.storage_descriptor.columns[0].comment = Some("theirs".into());
        let merged = with("", &[]).merged_into(&before);
        assert_eq!(merged.storage_descriptor.columns[0].comment.as_deref(), Some("theirs"));
        assert!(
            !merged.parameters.keys().any(|key| ["team", "owner", "stedi-delta.properties"].contains(&key.as_str()))
        );
    }

    #[test]
    fn a_table_of_another_format_is_not_replaced() {
        let mut json = entry("{}", 1);
        json.parameters = text_map([("classification", "json")]);
        let error = entry("{}", 1).may_replace("lake", &json).expect_err("it is no Delta table");
        assert_eq!(error.message(), "`lake.orders` in the catalog is not a Delta table");
        let mut upper = entry("{}", 1);
        upper.parameters = text_map([(PROVIDER, "DELTA")]);
        assert!(entry("{}", 1).may_replace("lake", &upper).is_ok());
    }

    #[test]
    fn comments_are_one_line_within_glues_limit() {
        assert_eq!(one_line(" a\n b ", 255).as_deref(), Some("a b"));
        assert_eq!(one_line(&"é".repeat(300), 255).map(|c| c.chars().count()), Some(255));
        assert_eq!(one_line(" \n", 255), None);
    }
}
