//! What a log says of its table for people and catalogs: the description, comments of columns, and properties.
//!
//! They come from the definition. What another writer added stays where the definition says nothing. So the log records
//! which comments and properties are the definition's: these go when the definition no longer has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deltalake::kernel::{MetadataValue, StructField, StructType};

use super::commit::{Change, Commit};
use super::table::LakeTable;
use crate::definition::Table;
use crate::error::{Context, Result};
use crate::outcome::counted;

/// Delta's key of a column's comment, in the metadata of its field.
pub(super) const COMMENT: &str = "comment";
/// The property that lists the columns whose comment is the definition's.
const COMMENTED: &str = "stedi-delta.comments";
/// The property that lists the properties of the definition. Catalog entries have it, too.
pub(crate) const PROPERTIES: &str = "stedi-delta.properties";
/// Up to this many names are listed in a reason.
const LISTED: usize = 3;

/// What a definition says of its table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    description: String,
    comments: BTreeMap<String, String>,
    properties: BTreeMap<String, String>,
}

/// One of them that the log has otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Annotation {
    /// The description of the table.
    Description,
    /// The comment of this column.
    Comment(String),
    /// This property.
    Property(String),
}

impl Annotations {
    /// Those of a definition.
    #[must_use]
    pub(crate) fn of(table: &Table) -> Self {
        let described = table.columns.iter().filter(|column| !column.description.is_empty());
        Self {
            description: table.description.clone(),
            comments: described.map(|column| (column.name.clone(), column.description.clone())).collect(),
            properties: table.properties.clone(),
        }
    }

    /// The description, if there is one.
    pub(super) fn description(&self) -> Option<&str> {
        Some(self.description.as_str()).filter(|description| !description.is_empty())
    }

    /// A schema with the comments, for a table with these properties. Adds what properties get a value, and which go.
    pub(super) fn commented(
        &self,
        schema: &StructType,
        before: &HashMap<String, String>,
        (set, unset): (&mut BTreeMap<String, String>, &mut Vec<String>),
    ) -> Result<StructType> {
        let ours = listed(before, COMMENTED);
        let field = |field: &StructField| {
            let mut field = field.clone();
            match self.comments.get(field.name()) {
                Some(comment) => {
                    field.metadata.insert(COMMENT.to_owned(), MetadataValue::String(comment.clone()));
                }
                None if ours.contains(field.name().as_str()) => drop(field.metadata.remove(COMMENT)),
                None => {}
            }
            field
        };
        let commented = schema.fields().map(StructField::name).filter(|name| self.comments.contains_key(*name));
        record(COMMENTED, commented, before, (set, unset));
        let kept = |(name, value): &(&String, &String)| before.get(*name) != Some(*value);
        let changed = self.properties.iter().filter(kept);
        set.extend(changed.map(|(name, value)| (name.clone(), value.clone())));
        let gone = listed(before, PROPERTIES).into_iter().filter(|name| !self.properties.contains_key(*name));
        unset.extend(gone.filter(|name| before.contains_key(*name)).map(str::to_owned));
        record(PROPERTIES, self.properties.keys(), before, (set, unset));
        StructType::try_new(schema.fields().map(field)).context(|| "the columns cannot form a schema".into())
    }
}

/// Names in a property, separated by commas.
fn listed<'p>(properties: &'p HashMap<String, String>, name: &str) -> BTreeSet<&'p str> {
    let names = properties.get(name).into_iter().flat_map(|list| list.split(','));
    names.filter(|name| !name.is_empty()).collect()
}

/// Lists names in a property; without names there is none.
fn record<'n>(
    property: &str,
    names: impl Iterator<Item = &'n String>,
    before: &HashMap<String, String>,
    (set, unset): (&mut BTreeMap<String, String>, &mut Vec<String>),
) {
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    let list = names.into_iter().collect::<Vec<_>>().join(",");
    match before.get(property) {
        Some(known) if *known == list => {}
        None if list.is_empty() => {}
        Some(_) if list.is_empty() => unset.push(property.to_owned()),
        _ => drop(set.insert(property.to_owned(), list)),
    }
}

fn comment(field: &StructField) -> Option<&str> {
    match field.metadata.get(COMMENT) {
        Some(MetadataValue::String(comment)) => Some(comment),
        _ => None,
    }
}

/// Why a commit changes them: `comment of `zone`, property `team``.
#[must_use]
pub(crate) fn reason(annotations: &[Annotation]) -> Option<String> {
    let mut reasons = Vec::new();
    if annotations.contains(&Annotation::Description) {
        reasons.push("another description".to_owned());
    }
    let name = |annotation: &Annotation| match annotation {
        Annotation::Comment(column) => Some(column.clone()),
        _ => None,
    };
    let property = |annotation: &Annotation| match annotation {
        Annotation::Property(property) => Some(property.clone()),
        _ => None,
    };
    let comments: Vec<String> = annotations.iter().filter_map(name).collect();
    let properties: Vec<String> = annotations.iter().filter_map(property).collect();
    match comments.as_slice() {
        [] => {}
        [one] => reasons.push(format!("comment of `{one}`")),
        some if some.len() <= LISTED => reasons.push(format!("comments of {}", quoted(some))),
        many => reasons.push(format!("comments of {}", counted(many.len() as u64, "column"))),
    }
    match properties.as_slice() {
        [] => {}
        [one] => reasons.push(format!("property `{one}`")),
        some => reasons.push(format!("properties {}", quoted(some))),
    }
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl LakeTable {
    /// What the log says otherwise than a definition. Nothing of a table that this tool cannot write to.
    #[must_use]
    pub(crate) fn annotated_otherwise(&self, wanted: &Annotations) -> Vec<Annotation> {
        let Ok(snapshot) = self.inner().snapshot() else { return Vec::new() };
        let (schema, before) = (snapshot.schema(), snapshot.metadata().configuration());
        let (mut set, mut unset) = (BTreeMap::new(), Vec::new());
        let Ok(after) = wanted.commented(schema.as_ref(), before, (&mut set, &mut unset)) else { return Vec::new() };
        let mut found = Vec::new();
        if wanted.description().is_some_and(|wanted| self.description().as_deref() != Some(wanted)) {
            found.push(Annotation::Description);
        }
        let fields = schema.fields().zip(after.fields());
        let other = fields.filter(|(before, after)| comment(before) != comment(after));
        found.extend(other.map(|(_, after)| Annotation::Comment(after.name().clone())));
        let (records, properties): (Vec<String>, Vec<String>) =
            set.into_keys().chain(unset).partition(|name| name == COMMENTED || name == PROPERTIES);
        found.extend(properties.into_iter().map(Annotation::Property));
        if found.is_empty() {
            found.extend(records.into_iter().map(Annotation::Property));
        }
        if found.is_empty() || self.check_writable().is_err() {
            return Vec::new();
        }
        found
    }

    /// Commits what a definition says of the table, without rows; also says what changed. `None` if the log says it, or
    /// if this tool cannot write to the table.
    ///
    /// # Errors
    /// `Conflict` after a concurrent commit; as [`Commit::commit`].
    pub(crate) async fn annotated(&self, wanted: &Annotations, run: &str) -> Result<Option<(Self, String)>> {
        let changes = self.annotated_otherwise(wanted);
        let Some(reason) = reason(&changes) else { return Ok(None) };
        let facts = changes.iter().map(Annotation::fact).collect::<Vec<_>>();
        let facts = serde_json::json!({"mode": "metadata", "run": run, "reason": reason, "columns": facts});
        let commit = Commit {
            operation: "UPDATE TABLE METADATA",
            change: Change { annotations: Some(wanted.clone()), ..Change::default() },
            txns: self.state().carried(),
            info: BTreeMap::from([("stediDelta".to_owned(), facts)]),
            metrics: BTreeMap::new(),
        };
        Ok(Some((commit.commit(self).await?, reason)))
    }
}

impl Annotation {
    /// The change, for `commitInfo`.
    #[must_use]
    pub(crate) fn fact(&self) -> String {
        match self {
            Self::Description => "~ description".to_owned(),
            Self::Comment(column) => format!("~ {column}: comment"),
            Self::Property(name) => format!("~ property {name}"),
        }
    }
}
