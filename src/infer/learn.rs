//! Samples -> what their records hold, and what becomes of them with certain columns.

use std::collections::BTreeMap;

use deltalake::arrow::array::AsArray as _;
use deltalake::arrow::datatypes::Int64Type;

use super::observe::Observed;
use super::sample::Samples;
use crate::definition::OnNewField;
use crate::error::Result;
use crate::ingest::format::{FileFormat, Options, Ready, RecordShape};

/// Reasons that are told apart.
const MAX_REASONS: usize = 100;

/// Reads all records of the samples, whatever their fields.
pub(super) fn observe(samples: &Samples, format: &'static dyn FileFormat) -> Result<Observed> {
    let mut observed = Observed::new();
    let shape = RecordShape { columns: Vec::new(), readings: Vec::new(), on_new_field: OnNewField::Ignore };
    let options = Options { keep_raw: true, max_raw: Options::default().max_record, ..Options::default() };
    for file in &samples.files {
        // A record that the end of the sample cuts off is the last one.
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut seen = 0_u64;
        let counts = file.replay(format, &shape, options, |ready| {
            if let Ready::Landed(landed) = ready
                && let Some(raw) = landed.raw
            {
                // All but those of the last batch are whole, and are no longer needed.
                seen += records.len() as u64;
                records.drain(..).for_each(|record| read(&mut observed, format, &record));
                records.extend(raw.bytes.iter().flatten().map(<[u8]>::to_vec));
            }
        })?;
        let whole = usize::try_from(counts.landed.saturating_sub(seen)).unwrap_or(usize::MAX);
        records.iter().take(whole).for_each(|record| read(&mut observed, format, record));
    }
    Ok(observed)
}

fn read(observed: &mut Observed, format: &'static dyn FileFormat, record: &[u8]) {
    format.values(record, observed);
    observed.end_record();
}

/// What becomes of the records of samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Records read.
    pub records: u64,
    /// Those that would land.
    pub landed: u64,
    /// Those that would go to quarantine.
    pub quarantined: u64,
    /// Why, most frequent first: the reason, how many, and the place of the first one.
    pub reasons: Vec<Refused>,
    /// Fields of landed records without a column, and in how many.
    pub unknown_fields: BTreeMap<String, u64>,
}

/// Records that would go to quarantine for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The file of the first one.
    pub file: String,
    /// Its place in the decompressed file.
    pub offset: i64,
}

/// Reads the samples into rows as a sync does.
pub(super) fn rehearse(samples: &Samples, format: &'static dyn FileFormat, shape: &RecordShape) -> Result<Fate> {
    let mut fate = Fate::default();
    let mut reasons: BTreeMap<String, Refused> = BTreeMap::new();
    for file in &samples.files {
        let mut found: Vec<(String, i64)> = Vec::new();
        let counts = file.replay(format, shape, Options::default(), |ready| {
            if let Ready::Quarantined(batch) = ready {
                let offsets = batch.column(1).as_primitive::<Int64Type>();
                let texts = batch.column(3).as_string::<i32>();
                found.extend((0..batch.num_rows()).map(|row| (texts.value(row).to_owned(), offsets.value(row))));
            }
        })?;
        fate.records += counts.records;
        fate.landed += counts.landed;
        fate.quarantined += counts.quarantined;
        for (name, count) in counts.unknown_fields.by_name {
            *fate.unknown_fields.entry(name).or_insert(0) += count;
        }
        let whole = usize::try_from(counts.quarantined).unwrap_or(usize::MAX);
        for (reason, offset) in found.into_iter().take(whole) {
            let reason = without_positions(&reason);
            let is_full = reasons.len() >= MAX_REASONS;
            match reasons.get_mut(&reason) {
                Some(refused) => refused.count += 1,
                None if is_full => {}
                None => {
                    let refused = Refused { reason: reason.clone(), count: 1, file: file.path.clone(), offset };
                    reasons.insert(reason, refused);
                }
            }
        }
    }
    fate.reasons = reasons.into_values().collect();
    fate.reasons.sort_by_key(|refused| std::cmp::Reverse(refused.count));
    Ok(fate)
}

/// A reason without the numbers that differ from record to record: `items[3].price` is `items[].price`.
fn without_positions(reason: &str) -> String {
    let mut text = String::with_capacity(reason.len());
    let mut is_position = false;
    for c in reason.chars() {
        if c.is_ascii_digit() && is_position {
            continue;
        }
        text.push(c);
        is_position = c == '[' || text.ends_with("{entry ");
    }
    let is_place = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match text.rsplit_once(" at byte ") {
        Some((head, rest)) if is_place(rest) => head.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart_by_what_they_say() {
        for (reason, expected) in [
            ("field `items[12].price` is a string", "field `items[].price` is a string"),
            ("field `m{entry 3}` is a string", "field `m{entry }` is a string"),
            ("not JSON: expected value at byte 17", "not JSON: expected value"),
            ("field `x2` is null", "field `x2` is null"),
        ] {
            assert_eq!(without_positions(reason), expected);
        }
    }
}
