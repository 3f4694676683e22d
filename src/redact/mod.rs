//! Redaction of the query engine's errors. They quote the value at which a computation failed, and values are data.
//!
//! The variant of an error decides. Errors about a query, a plan or a store are kept, without the literals of a plan.
//! Errors about a row quote its values: only known words of the engine are kept (`text`), because the engine writes its
//! words and the value into one string (`Cannot cast string 'ada' to value of Int64 type`), and no type separates them.
//! Errors that are only a text, because a library in between converted them, are classified by the names of variants in
//! it. The matches on errors of DataFusion and Arrow have no `_`: a new variant does not compile until it is classified.

mod text;

use std::error::Error;

use deltalake::DeltaTableError;
use deltalake::arrow::error::ArrowError;
use deltalake::datafusion::common::DataFusionError;
use deltalake::parquet::errors::ParquetError;
use tokio::task::JoinError;

use text::{HIDDEN, own_words, redact};

/// A message without the backtrace that other crates append if `RUST_BACKTRACE` is set.
#[must_use]
pub(crate) fn without_frames(text: &str) -> &str {
    let frames = ["\n\nbacktrace: ", "\n   0: "];
    let end = frames.iter().filter_map(|frame| text.find(frame)).min().unwrap_or(text.len());
    text[..end].trim_end()
}

/// The text of an error, including that of the errors below it, without the values that they quote.
#[must_use]
pub(crate) fn redacted(error: &(dyn Error + 'static)) -> String {
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

/// The text of an error whose type does not quote rows.
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
        // About a query, a plan, a store or memory.
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

/// Parquet's variants cannot be matched exhaustively: those that contain other errors are unwrapped, the others are
/// about files.
fn parquet(error: &ParquetError) -> String {
    match error {
        ParquetError::External(below) => format!("External: {}", redacted(below.as_ref())),
        ParquetError::ArrowError(text) => format!("Arrow: {}", redact(without_frames(text))),
        other => said(other),
    }
}

/// Delta has some fifty variants. These contain other errors, or a line of a log, which has values of columns as bounds.
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

/// A task that failed. The message of a panic is hidden: it may quote anything.
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
            // Here the error is only a text.
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
            // The text of an error inside another variant is redacted by the variant's name in the text.
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
