//! The records that rows come from, cut out of their files by offset and length.

use std::fs;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::support::Lake;

const PEOPLE: &str = "description = \"P\"\n[source]\npath = \"people/**\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
    [columns]\nwho = \"string\"\nnote = \"string\"\n";

fn lake() -> Lake {
    Lake::project(&[
        ("tables/landing/people.toml", PEOPLE),
        ("tables/curated/known.toml", "description = \"K\"\n"),
        ("tables/curated/known.sql", "select who, count(*) as n from people group by who"),
    ])
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// The document of a membership.
fn document(lake: &Lake, table: &str, who: &str) -> Value {
    let subject = format!("who={who}");
    lake.program(&["audit", "membership", table, "--subject", &subject, "--format", "json", "-n", "100"]).json()
}

/// The records of the first row, each as the text that its file has at its place.
fn texts(lake: &Lake, document: &Value) -> Vec<String> {
    let cut = |record: &Value| {
        let bytes = fs::read(lake.landing().join(record["source_file"].as_str().unwrap())).unwrap();
        let bytes = match record["compression"].as_str() {
            Some("gzip") => {
                let mut content = Vec::new();
                MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut content).unwrap();
                content
            }
            None => bytes,
            Some(other) => panic!("{other}"),
        };
        let from = usize::try_from(record["source_offset"].as_u64().unwrap()).unwrap();
        let length = usize::try_from(record["length"].as_u64().unwrap()).unwrap();
        String::from_utf8(bytes[from..from + length].to_vec()).unwrap()
    };
    document["explained"][0]["records"].as_array().unwrap().iter().map(cut).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_cut_out_of_any_file_by_its_offset_and_length() {
    let lake = lake();
    let long = "é".repeat(30_000);
    let ann = |note: &str| format!("{{\"who\":\"ann\",\"note\":\"{note}\"}}");
    let ben = "{\"who\":\"ben\"}";
    let pretty = "{\n  \"who\": \"ann\",\n  \"note\": \"} ] {\"\n}";
    lake.land("people/lines.json", format!("{ben}\n{}\r\n{ben}\n", ann("1")));
    lake.land("people/long.json", format!("{ben}{}{ben}{}", ann(&long), ann("2")));
    lake.land("people/array.json", format!("[{ben},\n {} , {ben}, {pretty}]\n", ann("3")));
    fs::write(lake.landing().join("people/packed.json.gz"), {
        let mut members = gzip(&format!("{ben}\n{}\n", ann("4")));
        members.extend(gzip(&format!("{ben}\n{}", ann("5"))));
        members
    })
    .unwrap();
    lake.sync().await;
    let found = document(&lake, "known", "ann");
    assert_eq!(found["explained"][0]["row"]["n"], 7, "{found}");
    let mut texts = texts(&lake, &found);
    texts.sort_by_key(|text| (text.len(), text.clone()));
    let mut expected = vec![ann("1"), ann("2"), ann("3"), ann("4"), ann("5"), pretty.to_owned(), ann(&long)];
    expected.sort_by_key(|text| (text.len(), text.clone()));
    // The long ones are records like any other.
    assert_eq!(texts.len(), found["explained"][0]["records"].as_array().unwrap().len());
    assert_eq!(texts, expected);
    let nodes = found["nodes"].as_array().unwrap();
    let packed = nodes.iter().filter(|node| node["source_file"] == "people/packed.json.gz");
    assert!(packed.clone().count() == 2 && packed.clone().all(|node| node["compression"] == "gzip"), "{found}");
    // A landing table is asked itself.
    let own = document(&lake, "people", "ben");
    assert!(texts_of_all(&lake, &own).iter().all(|text| text == ben), "{own}");
    let shown = lake.program(&["audit", "membership", "known", "--subject", "who=ann"]);
    assert!(shown.out.contains(" @ 14, 24 bytes of the content (gzip)"), "{}", shown.out);
}

/// The records of all rows.
fn texts_of_all(lake: &Lake, document: &Value) -> Vec<String> {
    let rows = document["explained"].as_array().unwrap();
    rows.iter().flat_map(|row| texts(lake, &serde_json::json!({"explained": [row]}))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_or_has_changed_tells_no_length() {
    let lake = lake();
    let (one, two) = ("{\"who\":\"ann\",\"note\":\"one\"}\n", "{\"who\":\"ann\",\"note\":\"two\"}\n");
    lake.land("people/a.json", one);
    lake.land("people/b.json", one);
    lake.sync().await;
    // The same bytes written again are the same records.
    lake.land("people/a.json", one);
    let found = document(&lake, "known", "ann");
    let lengths = |found: &Value| {
        let records = found["explained"][0]["records"].as_array().unwrap();
        records.iter().map(|record| record["length"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&found), [Some(26), Some(26)], "{found}");
    lake.land("people/a.json", two);
    fs::remove_file(lake.landing().join("people/b.json")).unwrap();
    let found = document(&lake, "known", "ann");
    assert_eq!(lengths(&found), [None, None], "{found}");
    let said = |note: &str| found["notes"].as_array().unwrap().iter().any(|found| found == note);
    assert!(said("the length of records of people/a.json is not known: it has changed since it was read"), "{found}");
    assert!(said("the length of records of people/b.json is not known: it is gone"), "{found}");
    // A version is explained by the files as they were read for it.
    lake.sync().await;
    let newest = document(&lake, "known", "ann");
    assert_eq!(lengths(&newest), [Some(26), None], "{newest}");
    let before = document(&lake, "known@v0", "ann");
    assert_eq!(lengths(&before), [None, None], "{before}");
}
