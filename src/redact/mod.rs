//! What the query engine's errors may say: not at which value they failed, because values are data.
//!
//! The variant of an error decides. Some are about a query, a plan or a store and say what they say, without the literals
//! of a plan; some are about a row and quote its values. Of those only words that are the engine's own are kept
//! (`text`): it writes them and the value into one string (`Cannot cast string 'ada' to value of Int64 type`), so that no
//! type tells them from each other. Errors that only have a text, because a library in between made one of them, are
//! judged by the names of variants in it. The matches have no `_`: a new variant of the engine is decided about before it
//! compiles.

mod text;

use std::error::Error;

use deltalake::DeltaTableError;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::common::DataFusionError;
use deltalake::parquet::errors::ParquetError;
use tokio::task::JoinError;

use text::{HIDDEN, own_words, redact};

/// A message without the stack that other crates append to theirs where `RUST_BACKTRACE` is set.
#[must_use]
pub fn without_frames(text: &str) -> &str {
    let frames = ["\n\nbacktrace: ", "\n   0: "];
    let end = frames.iter().filter_map(|frame| text.find(frame)).min().unwrap_or(text.len());
    text[..end].trim_end()
}

/// What an error says, with what it says of the errors below it, without the values that they quote.
#[must_use]
pub fn redacted(error: &(dyn Error + 'static)) -> String {
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return engine(error);
    }
    if let Some(error) = error.downcast_ref::<ArrowError>() {
        return arrow(error);
    }
    if let Some(error) = error.downcast_ref::<ParquetError>() {
        return parquet(error);
    }
    if let Some(error) = error.downcast_ref::<DeltaTableError>() {
        return delta(error);
    }
    if let Some(error) = error.downcast_ref::<JoinError>() {
        return join(error);
    }
    said(error)
}

/// What an error of no type that quotes rows says.
fn said(error: &dyn Error) -> String {
    redact(without_frames(&error.to_string()))
}

fn engine(error: &DataFusionError) -> String {
    match error {
        DataFusionError::ArrowError(error, _) => format!("Arrow error: {}", arrow(error)),
        DataFusionError::ParquetError(error) => format!("Parquet error: {}", parquet(error)),
        DataFusionError::Execution(text) => format!("Execution error: {}", of_rows(text)),
        DataFusionError::ExecutionJoin(error) => format!("ExecutionJoin error: {}", join(error)),
        DataFusionError::External(error) => format!("External error: {}", redacted(error.as_ref())),
        DataFusionError::Context(text, below) => format!("{}\ncaused by\n{}", redact(text), engine(below)),
        DataFusionError::Diagnostic(_, below) => engine(below),
        DataFusionError::Shared(below) => engine(below),
        DataFusionError::Collection(errors) => errors.first().map(engine).unwrap_or_default(),
        // About a query, a plan, a store or the memory.
        DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_)
        | DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Internal(_)
        | DataFusionError::Plan(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::ResourcesExhausted(_)
        | DataFusionError::Substrait(_)
        | DataFusionError::Ffi(_) => said(error),
    }
}

fn arrow(error: &ArrowError) -> String {
    match error {
        ArrowError::CastError(text) => format!("Cast error: {}", of_rows(text)),
        ArrowError::ParseError(text) => format!("Parser error: {}", of_rows(text)),
        ArrowError::ComputeError(text) => format!("Compute error: {}", of_rows(text)),
        ArrowError::ArithmeticOverflow(text) => format!("Arithmetic overflow: {}", of_rows(text)),
        ArrowError::InvalidArgumentError(text) => format!("Invalid argument error: {}", of_rows(text)),
        ArrowError::CsvError(text) => format!("Csv error: {}", of_rows(text)),
        ArrowError::JsonError(text) => format!("Json error: {}", of_rows(text)),
        ArrowError::AvroError(text) => format!("Avro error: {}", of_rows(text)),
        ArrowError::ExternalError(below) => format!("External error: {}", redacted(below.as_ref())),
        // About types, columns, buffers and files.
        ArrowError::NotYetImplemented(_)
        | ArrowError::MemoryError(_)
        | ArrowError::SchemaError(_)
        | ArrowError::DivideByZero
        | ArrowError::IoError(..)
        | ArrowError::IpcError(_)
        | ArrowError::ParquetError(_)
        | ArrowError::CDataInterface(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError
        | ArrowError::OffsetOverflowError(_) => said(error),
    }
}

/// Parquet's variants are not to be listed: those that hold others are looked into, the rest is about files.
fn parquet(error: &ParquetError) -> String {
    match error {
        ParquetError::External(below) => format!("External: {}", redacted(below.as_ref())),
        ParquetError::ArrowError(text) => format!("Arrow: {}", redact(without_frames(text))),
        other => said(other),
    }
}

/// Of some fifty variants those that hold other errors, or a line of a log, which has values of columns as bounds.
fn delta(error: &DeltaTableError) -> String {
    match error {
        DeltaTableError::Arrow { source } => format!("Failed to convert into Arrow schema: {}", arrow(source)),
        DeltaTableError::Parquet { source } => format!("Failed to parse parquet: {}", parquet(source)),
        DeltaTableError::GenericError { source } => format!("Generic error: {}", redacted(source.as_ref())),
        DeltaTableError::InvalidJsonLog { version, json_err, .. } => {
            format!("Invalid JSON in log record, version={version}, line=`{HIDDEN}`, column={}", json_err.column())
        }
        DeltaTableError::InvalidStatsJson { json_err } => {
            format!("Invalid JSON in file stats: {HIDDEN}, column={}", json_err.column())
        }
        other => said(other),
    }
}

/// A task that stopped: with what words, only the code that panicked knows.
fn join(error: &JoinError) -> String {
    match error.is_panic() {
        true => format!("task {} panicked with message \"{HIDDEN}\"", error.id()),
        false => said(error),
    }
}

/// A text about a row.
fn of_rows(text: &str) -> String {
    own_words(without_frames(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    type Boxed = Box<dyn Error + Send + Sync>;

    #[test]
    fn what_failed_at_a_row_is_told_without_its_values_however_deep_it_lies() {
        const TOLD: &str = "Cast error: Cannot cast string '…' to value of Int64 type";
        let cast = || ArrowError::CastError("Cannot cast string 'ada@x.org' to value of Int64 type".into());
        let engine = || DataFusionError::from(cast());
        let cases: Vec<(Boxed, String)> = vec![
            (cast().into(), TOLD.into()),
            (engine().into(), format!("Arrow error: {TOLD}")),
            (DataFusionError::Shared(Arc::new(engine())).into(), format!("Arrow error: {TOLD}")),
            (DataFusionError::Collection(vec![engine()]).into(), format!("Arrow error: {TOLD}")),
            (
                DataFusionError::Context("of a stage".into(), Box::new(engine())).into(),
                format!("of a stage\ncaused by\nArrow error: {TOLD}"),
            ),
            (DataFusionError::External(Box::new(cast())).into(), format!("External error: {TOLD}")),
            (ArrowError::ExternalError(Box::new(engine())).into(), format!("External error: Arrow error: {TOLD}")),
            (ParquetError::External(Box::new(cast())).into(), format!("External: {TOLD}")),
            // Here it is a text.
            (ParquetError::ArrowError(cast().to_string()).into(), format!("Arrow: {TOLD}")),
            (DeltaTableError::Generic(cast().to_string()).into(), format!("Generic DeltaTable error: {TOLD}")),
            (DeltaTableError::GenericError { source: Box::new(engine()) }.into(), {
                format!("Generic error: Arrow error: {TOLD}")
            }),
        ];
        for (error, told) in cases {
            assert_eq!(redacted(error.as_ref()), told);
        }
    }

    #[test]
    fn the_variant_decides_and_not_what_the_text_looks_like() {
        let cases: Vec<(Boxed, &str)> = vec![
            (DataFusionError::Execution("Ada".into()).into(), "Execution error: …"),
            (ArrowError::ParseError("Ada: Lovelace".into()).into(), "Parser error: …: …"),
            (ArrowError::AvroError("Ada".into()).into(), "Avro error: …"),
            (ArrowError::DivideByZero.into(), "Divide by zero error"),
            (DataFusionError::Plan("No field named ada.".into()).into(), "Error during planning: No field named ada."),
            (DataFusionError::ResourcesExhausted("64 KB for Ada".into()).into(), "Resources exhausted: 64 KB for Ada"),
            // Whoever wraps an error into a text of another kind hides nothing by it, and shows nothing.
            (
                DataFusionError::Plan("cannot fold: Cast error: Cannot cast string 'ada' to Int64".into()).into(),
                "Error during planning: cannot fold: Cast error: Cannot cast string '…' to Int64",
            ),
            (DataFusionError::Plan("k = Utf8(\"ada\")".into()).into(), "Error during planning: k = Utf8(\"…\")"),
            (DataFusionError::Execution("was\n\nbacktrace:    0: ada".into()).into(), "Execution error: was"),
        ];
        for (error, told) in cases {
            assert_eq!(redacted(error.as_ref()), told);
        }
    }

    #[test]
    fn a_line_of_a_log_has_values_of_columns() {
        let json_err = || serde_json::from_str::<u8>("\"ada\"").expect_err("no number");
        assert!(json_err().to_string().contains("ada"));
        let line = DeltaTableError::InvalidJsonLog { json_err: json_err(), line: "\"ada\"".into(), version: 3 };
        assert_eq!(redacted(&line), "Invalid JSON in log record, version=3, line=`…`, column=5");
        let stats = DeltaTableError::InvalidStatsJson { json_err: json_err() };
        assert_eq!(redacted(&stats), "Invalid JSON in file stats: …, column=5");
    }

    #[tokio::test]
    async fn a_task_that_panicked_does_not_say_at_what() {
        let error = tokio::spawn(async { assert_eq!("ada", "") }).await.expect_err("a panic");
        let told = redacted(&error);
        assert!(told.starts_with("task ") && told.ends_with(" panicked with message \"…\""), "{told}");
    }
}
