//! The shape of documents: a JSON Schema of a type that is serialised, from the declaration of the type itself.
//!
//! `document!` around a struct, or an enum of plain variants, leaves it as it is and adds [`Shape`]: names, types and comments of
//! the fields, and those attributes of `serde` that documents use.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A type that is part of a document.
pub(crate) trait Shape {
    /// Its schema. Named types are defined once, in `shapes`.
    fn shape(shapes: &mut Shapes) -> Value;
}

/// The named types of a schema.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    /// Their schemas by name.
    pub definitions: Map<String, Value>,
}

/// An attribute of a type or of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attribute {
    /// A line of its comment.
    Doc(&'static str),
    /// Its name in documents.
    Rename(&'static str),
    /// How the variants of an enum are named.
    RenameAll(&'static str),
    /// Its fields are those of the type around it.
    Flatten,
    /// It may be left out.
    Omitted,
    /// Anything else.
    Other,
}

/// A field of a struct.
pub(crate) struct Field {
    name: &'static str,
    attributes: Vec<Attribute>,
    shape: Value,
}

impl Shapes {
    /// A struct, defined if it is not yet.
    pub(crate) fn object(
        &mut self,
        (module, name): (&str, &str),
        attributes: &[Attribute],
        fields: impl FnOnce(&mut Self) -> Vec<Field>,
    ) -> Value {
        self.define((module, name), |shapes| {
            let mut properties = Map::new();
            let mut required = Vec::new();
            for field in fields(shapes) {
                shapes.add(field, &mut properties, &mut required);
            }
            json!({
                "description": comment(attributes),
                "type": "object",
                "properties": properties,
                "required": required,
            })
        })
    }

    fn add(&self, field: Field, properties: &mut Map<String, Value>, required: &mut Vec<Value>) {
        let Field { name, attributes, mut shape } = field;
        let has = |wanted: fn(&Attribute) -> bool| attributes.iter().any(wanted);
        if has(|attribute| matches!(attribute, Attribute::Flatten)) {
            let inner = self.resolved(&shape);
            if let Some(Value::Object(inner)) = inner.get("properties") {
                properties.extend(inner.clone());
            }
            required.extend(inner.get("required").and_then(Value::as_array).into_iter().flatten().cloned());
            return;
        }
        let renamed = attributes.iter().find_map(|attribute| match attribute {
            Attribute::Rename(name) => Some(*name),
            _ => None,
        });
        let name = renamed.unwrap_or(name);
        let comment = comment(&attributes);
        // The comment of a document's first field is its name.
        if name == "report" {
            shape["enum"] = json!([comment.trim_matches(['`', '.'])]);
        }
        if !has(|attribute| matches!(attribute, Attribute::Omitted)) {
            required.push(json!(name));
        }
        let mut described = if shape.get("$ref").is_some() { json!({ "allOf": [shape] }) } else { shape };
        described["description"] = json!(comment);
        properties.insert(name.to_owned(), described);
    }

    /// An enum of plain variants.
    pub(crate) fn words(
        &mut self,
        (module, name): (&str, &str),
        attributes: &[Attribute],
        variants: &[(&str, &[Attribute])],
    ) -> Value {
        let rule = attributes.iter().find_map(|attribute| match attribute {
            Attribute::RenameAll(rule) => Some(*rule),
            _ => None,
        });
        let (words, meanings): (Vec<String>, Vec<String>) =
            variants.iter().map(|(variant, of)| (renamed(variant, rule), comment(of))).unzip();
        self.define((module, name), |_| {
            json!({
                "description": comment(attributes),
                "type": "string",
                "enum": words,
                "x-taplo": { "docs": { "enumValues": meanings } },
            })
        })
    }

    fn define(&mut self, (module, name): (&str, &str), schema: impl FnOnce(&mut Self) -> Value) -> Value {
        let module = module.rsplit("::").find(|part| *part != "report").unwrap_or_default();
        let name = format!("{module}.{name}");
        if !self.definitions.contains_key(&name) {
            self.definitions.insert(name.clone(), Value::Null);
            let schema = schema(self);
            self.definitions.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/definitions/{name}") })
    }

    /// What a reference refers to.
    pub(crate) fn resolved(&self, shape: &Value) -> Value {
        let name = shape.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/definitions/"));
        name.and_then(|name| self.definitions.get(name)).unwrap_or(shape).clone()
    }
}

impl Field {
    /// A field of a type.
    pub(crate) fn of<T: Shape>(name: &'static str, attributes: &[Attribute], shapes: &mut Shapes) -> Self {
        Self { name, attributes: attributes.to_vec(), shape: T::shape(shapes) }
    }
}

/// The lines of a comment as one.
fn comment(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match attribute {
        Attribute::Doc(line) => Some(line.trim()),
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// The name of a variant by the rule of `serde`.
fn renamed(variant: &str, rule: Option<&str>) -> String {
    match rule {
        Some("lowercase") => variant.to_ascii_lowercase(),
        Some("snake_case") => {
            let mut name = String::new();
            for c in variant.chars() {
                if c.is_ascii_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(c.to_ascii_lowercase());
            }
            name
        }
        _ => variant.to_owned(),
    }
}

macro_rules! plain {
    ($($type:ty => $schema:expr),* $(,)?) => {
        $(impl Shape for $type {
            fn shape(_: &mut Shapes) -> Value {
                $schema
            }
        })*
    };
}

plain! {
    String => json!({ "type": "string" }),
    &'static str => json!({ "type": "string" }),
    crate::name::TableName => json!({ "type": "string" }),
    bool => json!({ "type": "boolean" }),
    f64 => json!({ "type": "number" }),
    i64 => json!({ "type": "integer" }),
    u8 => json!({ "type": "integer", "minimum": 0 }),
    u32 => json!({ "type": "integer", "minimum": 0 }),
    u64 => json!({ "type": "integer", "minimum": 0 }),
    usize => json!({ "type": "integer", "minimum": 0 }),
    Value => json!({}),
}

impl<T: Shape> Shape for Option<T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "anyOf": [T::shape(shapes), { "type": "null" }] })
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "array", "items": T::shape(shapes) })
    }
}

impl<T: Shape, const N: usize> Shape for [T; N] {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "array", "items": T::shape(shapes), "minItems": N, "maxItems": N })
    }
}

impl<T: Shape> Shape for BTreeMap<String, T> {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "object", "additionalProperties": T::shape(shapes) })
    }
}

impl Shape for Map<String, Value> {
    fn shape(_: &mut Shapes) -> Value {
        json!({ "type": "object" })
    }
}

impl<A: Shape, B: Shape> Shape for (A, B) {
    fn shape(shapes: &mut Shapes) -> Value {
        json!({ "type": "array", "items": [A::shape(shapes), B::shape(shapes)], "minItems": 2, "maxItems": 2 })
    }
}

/// Declares a type of a document: as written, and with its [`Shape`].
macro_rules! document {
    (
        $(#[$($meta:tt)*])*
        $vis:vis struct $name:ident {
            $($(#[$($attribute:tt)*])* $field_vis:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[$($meta)*])*
        $vis struct $name {
            $($(#[$($attribute)*])* $field_vis $field: $type),*
        }

        impl $crate::shape::Shape for $name {
            fn shape(shapes: &mut $crate::shape::Shapes) -> serde_json::Value {
                let attributes = [$($crate::shape::attribute!($($meta)*)),*];
                shapes.object((module_path!(), stringify!($name)), &attributes, |shapes| {
                    vec![$($crate::shape::Field::of::<$type>(
                        stringify!($field),
                        &[$($crate::shape::attribute!($($attribute)*)),*],
                        shapes,
                    )),*]
                })
            }
        }
    };
    (
        $(#[$($meta:tt)*])*
        $vis:vis enum $name:ident {
            $($(#[$($attribute:tt)*])* $variant:ident),* $(,)?
        }
    ) => {
        $(#[$($meta)*])*
        $vis enum $name {
            $($(#[$($attribute)*])* $variant),*
        }

        impl $crate::shape::Shape for $name {
            fn shape(shapes: &mut $crate::shape::Shapes) -> serde_json::Value {
                let attributes = [$($crate::shape::attribute!($($meta)*)),*];
                let variants: &[(&str, &[$crate::shape::Attribute])] =
                    &[$((stringify!($variant), &[$($crate::shape::attribute!($($attribute)*)),*])),*];
                shapes.words((module_path!(), stringify!($name)), &attributes, variants)
            }
        }
    };
}

/// An attribute, as far as the shape depends on it.
macro_rules! attribute {
    (doc = $line:literal) => {
        $crate::shape::Attribute::Doc($line)
    };
    (serde(rename = $name:literal)) => {
        $crate::shape::Attribute::Rename($name)
    };
    (serde(rename_all = $rule:literal)) => {
        $crate::shape::Attribute::RenameAll($rule)
    };
    (serde(flatten)) => {
        $crate::shape::Attribute::Flatten
    };
    (serde(skip_serializing_if = $test:literal)) => {
        $crate::shape::Attribute::Omitted
    };
    ($($other:tt)*) => {
        $crate::shape::Attribute::Other
    };
}

pub(crate) use {attribute, document};
