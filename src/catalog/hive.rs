//! Delta's types -> Hive's, as Glue wants them: `{"type":"array","elementType":"long",...}` is `array<bigint>`.
//! Source: Delta protocol, "Schema Serialization Format"; Athena, "Data types in Amazon Athena".

use serde_json::Value;

/// Name, Hive type and comment of every column of a `schemaString`, in its order; a type unknown to Hive keeps Delta's
/// name. Empty if it is not a schema.
#[must_use]
pub(crate) fn columns(schema_string: &str) -> Vec<(String, String, Option<String>)> {
    let schema: Value = serde_json::from_str(schema_string).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fields = schema["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
    fields
        .iter()
        .map(|field| {
            let comment = field["metadata"]["comment"].as_str().map(str::to_owned);
            (text(&field["name"]), hive_type(&field["type"]), comment)
        })
        .collect()
}

fn hive_type(delta: &Value) -> String {
    if let Some(name) = delta.as_str() {
        return match name {
            "long" => "bigint",
            "integer" => "int",
            "short" => "smallint",
            "byte" => "tinyint",
            "timestamp_ntz" => "timestamp",
            other => other,
        }
        .to_owned();
    }
    match delta["type"].as_str() {
        Some("array") => format!("array<{}>", hive_type(&delta["elementType"])),
        Some("map") => format!("map<{},{}>", hive_type(&delta["keyType"]), hive_type(&delta["valueType"])),
        Some("struct") => {
            let fields = delta["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
            let field = |f: &Value| format!("{}:{}", f["name"].as_str().unwrap_or_default(), hive_type(&f["type"]));
            format!("struct<{}>", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        _ => "binary".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delta_type_has_its_hive_type() {
        let cases = [
            (r#""byte""#, "tinyint"),
            (r#""decimal(38,2)""#, "decimal(38,2)"),
            (r#""timestamp_ntz""#, "timestamp"),
            (r#"{"type":"array","elementType":"integer","containsNull":true}"#, "array<int>"),
            (r#"{"type":"map","keyType":"string","valueType":"long","valueContainsNull":true}"#, "map<string,bigint>"),
            (
                r#"{"type":"struct","fields":[{"name":"a","type":"short"},{"name":"b","type":{"type":"array","elementType":"date"}}]}"#,
                "struct<a:smallint,b:array<date>>",
            ),
        ];
        for (delta, hive) in cases {
            assert_eq!(hive_type(&serde_json::from_str(delta).expect(delta)), hive);
        }
    }

    #[test]
    fn columns_keep_their_order_and_comments() {
        let schema = r#"{"type":"struct","fields":[{"name":"b","type":"long","nullable":true,"metadata":{"comment":"x"}},
                         {"name":"a","type":"string","nullable":true,"metadata":{}}]}"#;
        let expected = [("b", "bigint", Some("x")), ("a", "string", None)];
        let expected: Vec<_> =
            expected.map(|(n, t, c)| (n.to_owned(), t.to_owned(), c.map(str::to_owned))).into_iter().collect();
        assert_eq!(columns(schema), expected);
        assert!(columns("no schema").is_empty());
    }
}
