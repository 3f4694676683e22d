//! The AWS Glue Data Catalog. The only user of `aws-sdk-glue`.
//!
//! The SDK signs, retries and pages; tables are passed as our own JSON documents. The SDK's typed `TableInput` omits
//! `NumberOfBuckets` if it is 0, without which Trino reads no table, and drops unknown fields, which the next update
//! would then remove.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use aws_sdk_glue::Client;
use aws_sdk_glue::config::http::HttpRequest;
use aws_sdk_glue::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::{ConfigBag, Intercept, Region, RuntimeComponents};
use aws_sdk_glue::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_glue::types::{DatabaseInput, TableInput};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use serde_json::{Map, Value};

use super::{Catalog, Entry};
use crate::aws::{Aws, chained, may_be_plain};
use crate::clock;
use crate::definition::Glue;
use crate::error::{Context, Error, Result};
use crate::progress::{Event, Progress};

/// Maximum attempts of a throttled or failing call; the SDK's own default is 3.
const ATTEMPTS: u32 = 8;
/// Entries per page; Glue's maximum.
const PAGE: i32 = 100;
/// Fields of `GetTable` that `TableInput` does not accept.
const READ_ONLY: [&str; 12] = [
    "DatabaseName",
    "CatalogId",
    "CreateTime",
    "UpdateTime",
    "CreatedBy",
    "VersionId",
    "IsRegisteredWithLakeFormation",
    "FederatedTable",
    "IsMultiDialectView",
    "IsMaterializedView",
    "Status",
    "IsIcebergTable",
];

/// What an entry says of a column besides its name and type.
const OF_COLUMNS: [&str; 2] = ["Comment", "Parameters"];

/// Tables in Glue.
pub struct GlueCatalog {
    client: Client,
    catalog_id: Option<String>,
    region: String,
    aws: Aws,
}

impl fmt::Debug for GlueCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GlueCatalog")
    }
}

/// An entry as stored in Glue.
struct Stored {
    entry: Entry,
    /// The whole document.
    document: Map<String, Value>,
}

impl GlueCatalog {
    /// The catalog of a target; `listener` receives every call.
    ///
    /// # Errors
    /// The target's endpoint cannot be used.
    pub fn new(aws: &Aws, glue: &Glue, listener: Option<Arc<dyn Progress>>) -> Result<Self> {
        let mut config = aws_sdk_glue::config::Builder::from(aws.config());
        let region = match &glue.region {
            Some(region) if !aws.region_is_given() => region.clone(),
            _ => aws.region().to_owned(),
        };
        config.set_region(Some(Region::new(region.clone())));
        if let (None, Some(endpoint)) = (aws.glue_endpoint(), &glue.endpoint) {
            may_be_plain(endpoint)?;
            config.set_endpoint_url(Some(endpoint.clone()));
        }
        if !aws.retries_are_given() {
            config.set_retry_config(Some(RetryConfig::standard().with_max_attempts(ATTEMPTS)));
        }
        if let Some(listener) = listener {
            config = config.interceptor(Told(listener));
        }
        let client = Client::from_conf(config.build());
        Ok(Self { client, catalog_id: glue.catalog_id.clone(), region, aws: aws.clone() })
    }

    async fn read(&self, database: &str, table: &str) -> Result<Option<Stored>> {
        let answer = Answer::default();
        let call = self.client.get_table().set_catalog_id(self.catalog_id.clone()).database_name(database).name(table);
        match call.customize().interceptor(answer.clone()).send().await {
            Ok(_) => stored(answer.document()?["Table"].take()).map(Some),
            Err(error) if is(&error, NOT_FOUND) => Ok(None),
            Err(error) => Err(self.refused("GetTable", database, Some(table), &error)),
        }
    }

    /// `None` = there is no such database; false = the table exists already.
    async fn try_create(&self, database: &str, entry: &Entry) -> Result<Option<bool>> {
        let document = document_of(entry, Map::new())?;
        let call = self.client.create_table().set_catalog_id(self.catalog_id.clone()).database_name(database);
        let call = call.table_input(named(&entry.name)?).customize();
        match call.map_request(move |request| put_document(request, &document)).send().await {
            Ok(_) => Ok(Some(true)),
            Err(error) if is(&error, EXISTS) => Ok(Some(false)),
            Err(error) if is(&error, NOT_FOUND) => Ok(None),
            Err(error) => Err(self.refused("CreateTable", database, Some(&entry.name), &error)),
        }
    }

    async fn create_database(&self, database: &str) -> Result<()> {
        let input = DatabaseInput::builder().name(database).description("Delta tables, kept by stedi-delta").build();
        let input = input.context(|| format!("`{database}` cannot be a database"))?;
        let call = self.client.create_database().set_catalog_id(self.catalog_id.clone()).database_input(input);
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) if is(&error, EXISTS) => Ok(()),
            Err(error) => Err(self.refused("CreateDatabase", database, None, &error)),
        }
    }

    /// The error of a call, with its remedy and without credentials.
    fn refused<E, R>(&self, call: &str, database: &str, table: Option<&str>, error: &SdkError<E, R>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: fmt::Debug,
    {
        let what = table.map_or_else(|| format!("`{database}`"), |table| format!("`{database}.{table}`"));
        let cause = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            _ => chained(error),
        };
        let help = match error.code() {
            Some(DENIED) => {
                format!("allow glue:{call} on {what}, in IAM and in Lake Formation: docs/athena.md has the policies")
            }
            Some("ExpiredTokenException" | "UnrecognizedClientException" | "InvalidSignatureException") => {
                "log in again (`aws sso login`), or name another profile with AWS_PROFILE".to_owned()
            }
            Some("ResourceNumberLimitExceededException") => "raise Glue's quota, or drop what is not needed".to_owned(),
            Some("InvalidInputException") => "stedi-delta catalog check   (says what the entry should be)".to_owned(),
            Some(_) => "run the command again; a sync registers what is missing".to_owned(),
            None => "check that Glue can be reached: AWS_REGION, AWS_ENDPOINT_URL_GLUE, the network".to_owned(),
        };
        let did = if error.code().is_some() { "refused" } else { "did not answer" };
        Error::failed(format!("Glue {did} {call} of {what}"))
            .because(self.aws.scrub(&cause))
            .fact("region", self.region.clone())
            .help(help)
    }
}

const NOT_FOUND: &str = "EntityNotFoundException";
const EXISTS: &str = "AlreadyExistsException";
const CHANGED: &str = "ConcurrentModificationException";
const DENIED: &str = "AccessDeniedException";

fn is<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.code() == Some(code)
}

/// The required part of the typed input: [`put_document`] adds the rest.
fn named(table: &str) -> Result<TableInput> {
    TableInput::builder().name(table).build().context(|| format!("`{table}` cannot be a table"))
}

fn stored(document: Value) -> Result<Stored> {
    let Value::Object(document) = document else {
        return Err(Error::failed("Glue's response is not the expected document"));
    };
    let mut entry: Entry = serde_json::from_value(Value::Object(document.clone()))
        .context(|| format!("the Glue table {} is no entry", document.get("Name").unwrap_or(&Value::Null)))?;
    // Glue lowercases names; emulators do not.
    entry.name = entry.name.to_lowercase();
    Ok(Stored { entry, document })
}

/// An entry of a listing. An invalid entry is listed by name only: it must not prevent the others from being
/// registered.
fn listed(table: Value) -> Option<Entry> {
    let name = table["Name"].as_str().map(str::to_lowercase);
    stored(table).map(|stored| stored.entry).ok().or_else(|| Some(Entry { name: name?, ..Entry::default() }))
}

/// The `TableInput` of an entry, merged into the existing one, so that fields that the entry does not set are kept.
fn document_of(entry: &Entry, standing: Map<String, Value>) -> Result<Value> {
    let entry = serde_json::to_value(entry).context(|| "an entry cannot be written".into())?;
    let mut document = Value::Object(standing.into_iter().filter(|(k, _)| !READ_ONLY.contains(&k.as_str())).collect());
    lay_over(&mut document, entry);
    Ok(document)
}

fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                // Entries carry all parameters to keep: a missing one is removed.
                match under.get_mut(&key) {
                    Some(standing) if key != "Parameters" => lay_over(standing, value),
                    _ => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(under), Value::Array(over)) => {
            let standing = std::mem::take(under);
            for item in over {
                let same = standing.iter().find(|s| s["Name"].is_string() && s["Name"] == item["Name"]);
                let mut merged = same.cloned().unwrap_or(Value::Null);
                if let Some(column) = merged.as_object_mut() {
                    // Entries carry what is to be kept of these.
                    column.retain(|key, _| !OF_COLUMNS.contains(&key.as_str()));
                }
                lay_over(&mut merged, item);
                under.push(merged);
            }
        }
        (under, over) => *under = over,
    }
}

/// Replaces the typed document by ours before the request is signed.
fn put_document(mut request: HttpRequest, document: &Value) -> std::result::Result<HttpRequest, serde_json::Error> {
    // Sending the typed input unchanged would wipe the table's entry.
    let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default())?;
    body["TableInput"] = document.clone();
    let bytes = body.to_string().into_bytes();
    request.headers_mut().insert("content-length", bytes.len().to_string());
    *request.body_mut() = bytes.into();
    Ok(request)
}

/// Reports every call when its response arrives.
struct Told(Arc<dyn Progress>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl Intercept for Told {
    fn name(&self) -> &'static str {
        "Told"
    }

    fn read_before_attempt(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value =
            serde_json::from_slice(context.request().body().bytes().unwrap_or_default()).unwrap_or_default();
        let names = [&body["DatabaseName"], &body["Name"], &body["TableInput"]["Name"]];
        let path = names.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(".");
        config.interceptor_state().store_put(Started { at: clock::instant(), operation, path });
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let Some(Started { at, operation, path }) = config.load::<Started>() else { return Ok(()) };
        let status = match context.response().map(|response| response.status().as_u16()) {
            Some(200..=299) => "ok",
            Some(400..=499) => "refused",
            _ => "failed",
        };
        let ms = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = Event::debug("request").with("store", "glue").with("operation", operation).with("path", path);
        self.0.event(&event.with("status", status).with("ms", ms));
        Ok(())
    }
}

#[derive(Debug)]
struct Started {
    at: Instant,
    operation: String,
    path: String,
}

impl Storable for Started {
    type Storer = StoreReplace<Self>;
}

/// Keeps the document of a response.
#[derive(Clone, Debug, Default)]
struct Answer(Arc<Mutex<Vec<u8>>>);

impl Answer {
    fn document(&self) -> Result<Value> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::from_slice(&bytes).context(|| "Glue's response is not JSON".into())
    }
}

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "Answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes.to_vec();
        Ok(())
    }
}

#[async_trait]
impl Catalog for GlueCatalog {
    fn name(&self) -> String {
        format!("Glue in {}", self.region)
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn get(&self, database: &str, table: &str) -> Result<Option<Entry>> {
        Ok(self.read(database, table).await?.map(|stored| stored.entry))
    }

    async fn list(&self, database: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut next = None;
        loop {
            let answer = Answer::default();
            let call = self.client.get_tables().set_catalog_id(self.catalog_id.clone()).database_name(database);
            let call = call.max_results(PAGE).set_next_token(next).customize().interceptor(answer.clone());
            let page = match call.send().await {
                Ok(page) => page,
                Err(error) if is(&error, NOT_FOUND) => return Ok(Vec::new()),
                Err(error) => return Err(self.refused("GetTables", database, None, &error)),
            };
            if let Value::Array(tables) = answer.document()?["TableList"].take() {
                entries.extend(tables.into_iter().filter_map(listed));
            }
            match page.next_token {
                Some(token) if !token.is_empty() => next = Some(token),
                _ => break,
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    async fn create(&self, database: &str, entry: &Entry) -> Result<bool> {
        if let Some(created) = self.try_create(database, entry).await? {
            return Ok(created);
        }
        self.create_database(database).await?;
        match self.try_create(database, entry).await? {
            Some(created) => Ok(created),
            None => Err(Error::failed(format!("the Glue database `{database}` was removed again"))),
        }
    }

    async fn replace(&self, database: &str, old: &Entry, new: &Entry) -> Result<bool> {
        let Some(standing) = self.read(database, &new.name).await?.filter(|standing| &standing.entry == old) else {
            return Ok(false);
        };
        let version = standing.document.get("VersionId").and_then(Value::as_str).map(str::to_owned);
        let document = document_of(new, standing.document)?;
        let call = self.client.update_table().set_catalog_id(self.catalog_id.clone()).database_name(database);
        let call = call.set_version_id(version).skip_archive(new.has_schema_of(old)).table_input(named(&new.name)?);
        let call = call.customize().map_request(move |request| put_document(request, &document));
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) if is(&error, CHANGED) || is(&error, NOT_FOUND) => Ok(false),
            Err(error) => Err(self.refused("UpdateTable", database, Some(&new.name), &error)),
        }
    }

    async fn remove(&self, database: &str, table: &str) -> Result<bool> {
        let call = self.client.delete_table().set_catalog_id(self.catalog_id.clone()).database_name(database);
        match call.name(table).send().await {
            Ok(_) => Ok(true),
            Err(error) if is(&error, NOT_FOUND) => Ok(false),
            Err(error) => Err(self.refused("DeleteTable", database, Some(table), &error)),
        }
    }
}

#[cfg(test)]
mod tests;
