//! Finds values that must be in data files only, in any encoding.

use std::fs;
use std::path::Path;

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::json::WriterBuilder;
use deltalake::arrow::json::writer::LineDelimited;
use deltalake::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A number that no other process has.
pub(crate) fn seed() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(std::process::id())
}

/// A Parquet file as lines of JSON.
pub(crate) fn decoded(path: &Path) -> String {
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap().build().unwrap();
    let mut writer = WriterBuilder::new().build::<_, LineDelimited>(Vec::new());
    for batch in reader {
        let batch: RecordBatch = batch.unwrap();
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap();
    String::from_utf8(writer.into_inner()).unwrap()
}

/// Values in all of their encodings: text in lower case, numbers as in files, both as hexadecimal and in base64.
#[derive(Default)]
pub(crate) struct Secrets {
    forms: Vec<(String, String)>,
}

impl Secrets {
    /// Searches a text in any case. It is long enough not to occur by chance.
    pub(crate) fn text(&mut self, text: &str) {
        let lower = text.to_lowercase();
        self.add(text, lower.as_bytes());
        for spelled in [text.to_owned(), lower] {
            self.encoded(text, spelled.as_bytes());
        }
    }

    /// Searches a number of many digits.
    pub(crate) fn number(&mut self, number: i64) {
        let digits = number.to_string();
        self.text(&digits);
        self.add(&digits, &number.to_le_bytes());
        self.encoded(&digits, &number.to_le_bytes());
        self.encoded(&digits, &number.to_be_bytes());
    }

    fn encoded(&mut self, name: &str, bytes: &[u8]) {
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(name, hexadecimal.as_bytes());
        for before in 0..3 {
            self.add(name, base64_within(bytes, before).as_bytes());
        }
    }

    fn add(&mut self, name: &str, form: &[u8]) {
        self.forms.push((name.to_owned(), characters(form)));
    }

    /// The values found in these bytes.
    pub(crate) fn within(&self, bytes: &[u8]) -> Vec<&str> {
        let text = characters(bytes);
        let mut found: Vec<&str> = Vec::new();
        for (name, form) in &self.forms {
            if !found.contains(&name.as_str()) && text.contains(form) {
                found.push(name);
            }
        }
        found
    }

    /// The values found in a file: in its bytes, and in its rows if it is a Parquet file.
    pub(crate) fn within_file(&self, path: &Path) -> Vec<&str> {
        let mut found = self.within(&fs::read(path).unwrap());
        if path.extension().is_some_and(|e| e == "parquet") {
            found.extend(self.within(decoded(path).as_bytes()));
        }
        found
    }
}

/// The characters of base64 that these bytes alone determine after this many preceding ones.
fn base64_within(bytes: &[u8], before: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let skipped = (6 - before * 8 % 6) % 6;
    let whole = bits[skipped..].chunks_exact(6);
    whole.map(|six| char::from(ALPHABET[six.iter().fold(0, |sum, bit| sum * 2 + usize::from(*bit))])).collect()
}

/// A character for each byte, in lower case: the standard library searches texts only.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

#[test]
fn a_value_is_found_in_every_form() {
    let mut secrets = Secrets::default();
    secrets.text("Ann.Oh@example.org");
    secrets.number(7_310_123_456_789_012);
    for (text, of) in [
        ("{\"who\":\"ann.oh@EXAMPLE.org\"}", "Ann.Oh@example.org"),
        ("xQW5uLk9oQGV4YW1wbGUub3JnIQ==", "Ann.Oh@example.org"),
        ("IUFubi5PaEBleGFtcGxlLm9yZw==", "Ann.Oh@example.org"),
        ("ISFBbm4uT2hAZXhhbXBsZS5vcmchISE=", "Ann.Oh@example.org"),
        ("X'416E6E2E4F68406578616D706C652E6F7267'", "Ann.Oh@example.org"),
        ("at 7310123456789012;", "7310123456789012"),
    ] {
        assert_eq!(secrets.within(text.as_bytes()), [of], "{text}");
    }
    let bytes = [&[1, 2, 3][..], &7_310_123_456_789_012_i64.to_le_bytes(), &[0]].concat();
    assert_eq!(secrets.within(&bytes), ["7310123456789012"]);
    assert!(secrets.within(b"ann.oe@example.org 7310123456789013").is_empty());
}
