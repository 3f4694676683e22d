//! JSON Schemas of the project's files, for editors. They use what draft 4 and draft 7 have in common.

use serde_json::{Map as Object, Value as Json, json};

use super::{Absent, Key, Map, PROJECT, Relation, Section, TABLE, Value, patterns};
use crate::definition::settings::SYSTEM_ZONE;
use crate::types::ColumnType;

/// The schema of `stedi-delta.toml`.
#[must_use]
pub(crate) fn project_schema() -> Json {
    document(&PROJECT, "A project of stedi-delta")
}

/// The schema of `tables/<zone>/<table>.toml`.
#[must_use]
pub(crate) fn table_schema() -> Json {
    document(&TABLE, "A table of stedi-delta")
}

fn document(root: &'static Section, title: &str) -> Json {
    let mut definitions = Object::new();
    let mut schema = section(root, &mut definitions);
    let mut found = Object::new();
    found.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    found.insert("title".into(), json!(title));
    if let Json::Object(parts) = &mut schema {
        found.append(parts);
    }
    if !definitions.is_empty() {
        found.insert("definitions".into(), Json::Object(definitions));
    }
    Json::Object(found)
}

/// A table of TOML with fixed keys; no others are allowed.
fn section(section: &'static Section, definitions: &mut Object<String, Json>) -> Json {
    let mut properties = Object::new();
    for key in section.keys {
        properties.insert(key.name.into(), described(key, definitions));
    }
    let required: Vec<&str> =
        section.keys.iter().filter(|key| matches!(key.absent, Absent::Required)).map(|key| key.name).collect();
    let mut schema = json!({
        "description": plain(section.doc),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
        schema["x-taplo"] = json!({ "initKeys": required });
    }
    let mut dependencies = Object::new();
    for relation in section.relations {
        match relation {
            Relation::Needs(key, other) => dependencies.insert((*key).into(), json!([other])),
            Relation::Excludes(key, other) => {
                dependencies.insert((*key).into(), json!({ "not": { "required": [other] } }))
            }
        };
    }
    if !dependencies.is_empty() {
        schema["dependencies"] = Json::Object(dependencies);
    }
    schema
}

/// A key with what editors show of it.
fn described(key: &'static Key, definitions: &mut Object<String, Json>) -> Json {
    let mut schema = value(&key.value, definitions);
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    schema["description"] = json!(plain(key.doc));
    if let Some(default) = key.default().and_then(as_json) {
        schema["default"] = default;
    }
    if !matches!(key.value, Value::Table(_) | Value::Tables(_) | Value::Map(_))
        && let Some(example) = as_json(key.example)
    {
        schema["examples"] = json!([example]);
    }
    if let (Value::Pattern, Absent::Required) = (&key.value, &key.absent) {
        schema["allOf"] = json!([{ "pattern": patterns::FILLED }]);
    }
    if let Value::Words(words) = key.value {
        let meanings: Vec<String> = words.words().iter().map(|(_, meaning)| plain(meaning)).collect();
        schema["x-taplo"] = json!({ "docs": { "main": plain(key.doc), "enumValues": meanings } });
    }
    schema
}

fn value(of: &'static Value, definitions: &mut Object<String, Json>) -> Json {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match of {
        Value::Text => json!({ "type": "string" }),
        Value::Filled | Value::Sql => text(patterns::FILLED),
        Value::Name => text(&patterns::name()),
        Value::Zone => text(&patterns::name_except(SYSTEM_ZONE)),
        Value::Words(words) => {
            json!({ "type": "string", "enum": words.words().iter().map(|(word, _)| *word).collect::<Vec<_>>() })
        }
        Value::Boolean => json!({ "type": "boolean" }),
        Value::Arguments => json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }),
        Value::Any => json!({}),
        Value::WithVariables(of) => json!({ "anyOf": [value(of, definitions), text("\\$\\{")] }),
        Value::Size => json!({ "anyOf": [text(patterns::SIZE), { "type": "integer", "minimum": 1 }] }),
        Value::Duration | Value::Pause => text(patterns::DURATION),
        Value::Limit => json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, text(patterns::SHARE)] }),
        // Only these are required, and a blank text is none.
        Value::Root => json!({ "allOf": [text(patterns::ROOT), text(patterns::FILLED)], "type": "string" }),
        Value::Location => text(patterns::LOCATION),
        Value::Folder => text(patterns::FOLDER),
        Value::Url => text(patterns::URL),
        Value::Pattern => text(patterns::FILES),
        Value::Type => column_type(true),
        Value::List { filled, of } => list(value(of, definitions), *filled),
        Value::OneOrMore => {
            let field = json!({ "type": "string", "minLength": 1 });
            json!({ "anyOf": [field, list(field.clone(), true)] })
        }
        Value::Table(of) => section(of, definitions),
        Value::Tables(of) => json!({ "type": "array", "items": section(of, definitions) }),
        Value::TypeOr(of) => type_or(of(), definitions),
        Value::Map(map) => names(map, definitions),
    }
}

fn list(items: Json, filled: bool) -> Json {
    let mut schema = json!({ "type": "array", "items": items, "uniqueItems": true });
    if filled {
        schema["minItems"] = json!(1);
    }
    schema
}

/// A type, as far as a pattern can tell. The plain ones are there for editors to choose from.
fn column_type(bare: bool) -> Json {
    let names: Vec<&str> = ColumnType::scalar_names().collect();
    json!({
        "type": "string",
        "pattern": patterns::column_type(bare),
        "anyOf": [{ "enum": names }, {}],
    })
}

/// A type, or a section that may hold itself. Each keyword applies to one of the two, so that a validator names the key that is
/// wrong; with `anyOf` it would name none.
fn type_or(of: &'static Section, definitions: &mut Object<String, Json>) -> Json {
    let name: String = of.header.chars().filter(|c| c.is_ascii_lowercase() || "._".contains(*c)).collect();
    let name = name.trim_matches('.').to_owned();
    if !definitions.contains_key(&name) {
        definitions.insert(name.clone(), Json::Null);
        let mut schema = section(of, definitions);
        if let (Json::Object(schema), Json::Object(text)) = (&mut schema, column_type(false)) {
            schema.extend(text);
        }
        schema["type"] = json!(["string", "object"]);
        definitions.insert(name.clone(), schema);
    }
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// A table of TOML whose keys are names.
fn names(map: &'static Map, definitions: &mut Object<String, Json>) -> Json {
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    let mut properties = Object::new();
    for key in map.known {
        properties.insert(key.name.into(), described(key, definitions));
    }
    if !properties.is_empty() {
        schema["properties"] = Json::Object(properties);
    }
    let mut patterns = Object::new();
    patterns.insert((map.names)(), value(&map.value, definitions));
    schema["patternProperties"] = Json::Object(patterns);
    if map.filled {
        schema["minProperties"] = json!(1);
    }
    schema
}

/// Markdown without its links.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once("](") {
        let (before, shown) = before.split_at(opening(before));
        text.push_str(before);
        text.push_str(shown.strip_prefix('[').unwrap_or(shown));
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    text + rest
}

/// Where the bracket stands whose closing one follows the text.
fn opening(text: &str) -> usize {
    let mut inside = 0_u32;
    for (at, c) in text.char_indices().rev() {
        match c {
            ']' => inside += 1,
            '[' if inside == 0 => return at,
            '[' => inside -= 1,
            _ => {}
        }
    }
    text.len()
}

/// A value of TOML as JSON.
pub(super) fn as_json(toml: &str) -> Option<Json> {
    let table: toml::Table = toml::from_str(&format!("value = {toml}")).ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_markdown_leave_their_text() {
        assert_eq!(plain("Settings of [pins](pins.md)."), "Settings of pins.");
        assert_eq!(plain("a `[x]` and [`[b]`](#b), [c](d)"), "a `[x]` and `[b]`, c");
    }
}
