//! The values of a record as they stand in the file, before anything says what they should be.

use super::column::with_text;
use super::nested::{array, object};
use crate::ingest::format::Values;

/// Reports a value, given as valid JSON without blanks around it, and everything inside of it that is wanted.
pub(super) fn report(json: &str, values: &mut dyn Values) {
    match json.as_bytes().first() {
        Some(b'{') => {
            let mut fields: Vec<(String, &str)> = Vec::new();
            let listed = object(json, |name, value| {
                fields.push((name, value));
                Ok(())
            });
            // A name that is no text.
            if listed.is_err() {
                return values.unreadable();
            }
            if !values.begin_object() {
                return;
            }
            for (name, value) in fields {
                values.field(&name);
                report(value, values);
            }
            values.end_object();
        }
        Some(b'[') => {
            if !values.begin_array() {
                return;
            }
            // The syntax was checked before.
            let _ = array(json, |element| {
                report(element, values);
                Ok(())
            });
            values.end_array();
        }
        Some(b'"') => {
            let read = with_text(json, |text| {
                values.text(text);
                Ok(())
            });
            if read.is_err() {
                values.unreadable();
            }
        }
        Some(b't' | b'f') => values.boolean(),
        Some(b'n') => values.null(),
        _ => values.number(json),
    }
}
