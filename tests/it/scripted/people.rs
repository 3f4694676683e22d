//! STEDI's own records of some people, or those of the repository's sample, by person.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{real_data, repository};

/// Records of one person.
pub(super) struct Person {
    pub email: String,
    pub serial: String,
    pub consents: bool,
    pub customer: String,
    pub readings: Vec<String>,
    pub steps: String,
}

/// The records of the first files of a kind, as they are. Records within an array, and broken ones, end a file.
fn records(folder: &Path, of: &str, most: usize) -> Vec<(String, Value)> {
    let mut files: Vec<_> = fs::read_dir(folder.join(of).join("landing")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut records = Vec::new();
    for file in files.iter().take(most) {
        let bytes = fs::read(file).unwrap();
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
        let mut start = 0;
        while let Some(Ok(record)) = stream.next() {
            let text = String::from_utf8(bytes[start..stream.byte_offset()].to_vec()).unwrap();
            records.push((text.trim().to_owned() + "\n", record));
            start = stream.byte_offset();
        }
    }
    records
}

/// People with records of all three kinds: STEDI's own, or those of the sample. Every second one consents.
pub(super) fn people(most_people: usize) -> Vec<Person> {
    let (folder, most) = match real_data() {
        Some(folder) => (folder, 1),
        None => {
            eprintln!("SKIP: the history is one of the sample's invented people instead");
            (repository().join("sample/landing"), usize::MAX)
        }
    };
    let mut readings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (text, record) in records(&folder, "accelerometer", most) {
        let Some(user) = record["user"].as_str() else { continue };
        readings.entry(user.to_owned()).or_default().push(text);
    }
    let mut steps: BTreeMap<String, String> = BTreeMap::new();
    for (text, record) in records(&folder, "step_trainer", most) {
        let Some(serial) = record["serialNumber"].as_str() else { continue };
        steps.entry(serial.to_owned()).or_default().push_str(&text);
    }
    let (mut by_consent, mut seen) = ([Vec::new(), Vec::new()], BTreeSet::new());
    for (text, record) in records(&folder, "customer", most) {
        let (Some(email), Some(serial)) = (record["email"].as_str(), record["serialNumber"].as_str()) else { continue };
        if !seen.insert(email.to_owned()) || !seen.insert(serial.to_owned()) {
            continue;
        }
        let consents = record["shareWithResearchAsOfDate"].is_number();
        by_consent[usize::from(consents)].push(Person {
            email: email.to_owned(),
            serial: serial.to_owned(),
            consents,
            customer: text,
            readings: readings.get(email).cloned().unwrap_or_default(),
            steps: steps.get(serial).cloned().unwrap_or_default(),
        });
    }
    // Those with the most records first.
    for people in &mut by_consent {
        people.sort_by_key(|person| std::cmp::Reverse((person.steps.len().min(1), person.readings.len().min(1))));
    }
    let [without, with] = by_consent;
    let people: Vec<Person> =
        with.into_iter().zip(without).flat_map(|(one, other)| [one, other]).take(most_people).collect();
    assert_eq!(people.len(), most_people);
    people
}
