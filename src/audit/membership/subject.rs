//! A person or a thing by the value of a column, or by its hash as it was printed.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake::arrow::datatypes::{FieldRef, Schema};
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::common::ScalarValue;
use deltalake::datafusion::logical_expr::{Expr, ident, lit};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::definition::ColumnType;
use crate::error::{Context, Error, Kind, Result};
use crate::name::nearest;
use crate::privacy::Privacy;
use crate::refresh::{is_bytes, texts};

/// What a subject is given by.
#[derive(Clone)]
pub enum Wanted {
    /// The value.
    Value(String),
    /// The keyed hash of it, as this tool prints it.
    Hash(String),
}

/// Does not print the value.
impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value(…)",
            Self::Hash(_) => "Hash(…)",
        })
    }
}

/// The column of a version that names subjects.
///
/// # Errors
/// `Usage` if there is none of that name, or if its values are nested.
pub(super) fn column<'s>(schema: &'s Schema, name: &str, table: &str) -> Result<&'s FieldRef> {
    let columns = || schema.fields().iter().map(|field| field.name().as_str());
    let Some((_, field)) = schema.fields().find(name) else {
        let error = Error::new(Kind::Usage, format!("{table} has no column `{name}`"));
        return Err(match nearest(name, columns()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.fact("columns", columns().collect::<Vec<_>>().join(", ")),
        });
    };
    if field.data_type().is_nested() {
        let found = ColumnType::name_of(field.data_type());
        return Err(Error::new(Kind::Usage, format!("column `{name}` of {table} names nobody"))
            .fact("found", found)
            .fact("expected", "a column of single values"));
    }
    Ok(field)
}

/// The condition that a row is one of the subjects with these texts.
///
/// # Errors
/// `Usage` if a text is no value of the column.
pub(super) fn condition(field: &FieldRef, values: &BTreeSet<String>) -> Result<Expr> {
    let mut list = Vec::new();
    for value in values {
        list.push(lit(literal(field, value)?));
    }
    let column = ident(field.name());
    // Files are skipped by plain comparisons.
    Ok(match list.len() {
        1 => column.eq(list.remove(0)),
        _ => column.in_list(list, false),
    })
}

fn literal(field: &FieldRef, value: &str) -> Result<ScalarValue> {
    let wrong = || {
        let name = field.name();
        Error::new(Kind::Usage, format!("the subject is no value of column `{name}`"))
            .fact("expected", ColumnType::name_of(field.data_type()))
            .help(format!("--subject {name}=VALUE"))
    };
    if is_bytes(field.data_type()) {
        let digits = |at: usize| value.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..value.len()).step_by(2).map(digits).collect();
        return ScalarValue::Binary(Some(bytes.ok_or_else(wrong)?)).cast_to(field.data_type()).map_err(|_| wrong());
    }
    ScalarValue::try_from_string(value.to_owned(), field.data_type()).map_err(|_| wrong())
}

/// A hash as it is printed, also without the sign between its halves.
///
/// # Errors
/// `Usage` if it is none, or if hashes of other runs cannot be found.
pub(super) fn hash(text: &str, privacy: &Privacy) -> Result<String> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_ascii_lowercase();
    let others: String = text.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
    if digits.len() != 8 || !["", "…", "..", "..."].contains(&others.as_str()) {
        return Err(Error::new(Kind::Usage, format!("`#{text}` is not a hash"))
            .fact("expected", "one that this tool printed, such as #0a1b…2c3d")
            .help("a value that begins with `#`: write --subject COLUMN=- and type it, or pipe it in"));
    }
    if !privacy.is_keyed() {
        return Err(Error::new(Kind::Usage, "hashes of other runs cannot be found again")
            .fact("because", "without a key, each run hashes with a key of its own")
            .help("set STEDI_DELTA_HASH_KEY to the key with which it was printed"));
    }
    Ok(format!("{}…{}", &digits[..4], &digits[4..]))
}

/// The values of a column that have a hash.
///
/// # Errors
/// When the rows cannot be read.
pub(super) async fn hashed(
    session: &SessionContext,
    rows: Arc<dyn TableProvider>,
    column: &str,
    (hash, privacy): (&str, &Privacy),
) -> Result<BTreeSet<String>> {
    let doing = || format!("the values of column `{column}` cannot be read");
    let frame = session.read_table(rows).context(doing)?.select(vec![ident(column)]).context(doing)?;
    let mut stream = frame.distinct().context(doing)?.execute_stream().await.context(doing)?;
    let mut found = BTreeSet::new();
    while let Some(batch) = stream.try_next().await.context(doing)? {
        let values = texts(batch.column(0))?;
        found.extend(values.iter().flatten().filter(|value| privacy.hash(value) == hash).map(str::to_owned));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use deltalake::arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_printed() {
        let privacy = Privacy::new(Some("k"), false);
        let printed = privacy.show("ann@x");
        let (first, last) = printed.split_once('…').expect("two halves");
        for text in [printed.clone(), format!("{first}{last}"), format!("{first}...{last}"), printed.to_uppercase()] {
            assert_eq!(hash(&text, &privacy).expect("a hash"), printed, "{text}");
        }
        for text in ["", "12", "0a1b-2c3d", "0a1b2c3d4", "ann@x"] {
            assert!(hash(text, &privacy).is_err(), "{text}");
        }
        let error = hash(&printed, &Privacy::new(None, false)).expect_err("no key");
        assert_eq!(error.message(), "hashes of other runs cannot be found again");
    }

    #[test]
    fn a_subject_is_a_value_of_its_column() {
        let field = |data_type| Arc::new(Field::new("c", data_type, true));
        let one = |text: &str| BTreeSet::from([text.to_owned()]);
        for (data_type, text, shown) in
            [(DataType::Utf8, "a", "c = Utf8(\"a\")"), (DataType::Int64, "17", "c = Int64(17)")]
        {
            assert_eq!(condition(&field(data_type), &one(text)).expect(text).to_string(), shown);
        }
        assert!(condition(&field(DataType::Binary), &one("00ff")).is_ok());
        for (data_type, text) in [(DataType::Int64, "ann@x"), (DataType::Binary, "0g"), (DataType::Binary, "é")] {
            let error = condition(&field(data_type), &one(text)).expect_err(text);
            assert_eq!(error.message(), "the subject is no value of column `c`");
        }
    }
}
