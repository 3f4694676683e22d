//! Properties of every file.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::*;

/// Pieces of files: good records, bad ones, separators and noise.
const PIECES: [&[u8]; 52] = [
    b"{\"a\":1}",
    b"{\"a\":2,\"b\":\"x\"}",
    b"{\"a\":3}\n",
    b"{}\n",
    b"{\n  \"a\": 4,\n  \"b\": \"y\"\n}\n",
    b"\n",
    b"\r\n",
    b" ",
    b",",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"\\",
    b":",
    b"1",
    b"-",
    b"null",
    b"tru",
    b"{\"a\":",
    b"{\"a\":[\n",
    b"{\"b\":\"",
    b"{\"a\":\"x\"}\n",
    b"{\"b\":\"\xFF\"}\n",
    b"\xFF",
    b"\xE2\x82",
    b"{\"a\":1,\"A\":2}\n",
    b"{\"z\":{\"a\":[1,{}]}}\n",
    b"[[1],2]",
    b"{'a':1}\n",
    b"{\"\\ud800\":1}",
    b"{\"b\":\"\\ud800\"}",
    b"\\u12",
    b"\xEF\xBB\xBF",
    b"{\n",
    b"\n  {\n",
    b"\n}",
    b"{\"a\":1},\n",
    b"{\"a\":1.5}",
    b"x,y\n",
    b"\x1f\x8b",
    b"\0",
    b"{\"b\":\"\xC3\xA9\"}\n",
    b"\x1e",
    b"\\n",
    b"\xEF",
    b"{\"a\":NaN}",
    b"{\"a\":NaN,\"z\":[{\"a\":1},{\"a\":2}]}",
    b"{\"a\":1]",
    b"{\"b\":\"x}{\"b\":\"y\"}",
    b"},{\"a\":5}",
];

fn file() -> impl Strategy<Value = Vec<u8>> {
    vec(0..PIECES.len(), 0..40).prop_map(|pieces| pieces.into_iter().flat_map(|i| PIECES[i].to_vec()).collect())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("B".to_owned()), Just("c".to_owned()), "[d-z\u{e9}\"\\\\]{1,3}"]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(name(), inner, 0..3).prop_map(|m| Value::Object(m.into_iter().collect()))
        ]
    })
}

/// An object that is a row of `a` long, `b` string, `c` double.
fn record() -> impl Strategy<Value = Value> {
    let a = prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from)];
    let b = prop_oneof![Just(Value::Null), any::<String>().prop_map(Value::from)];
    let c = prop_oneof![Just(Value::Null), any::<f64>().prop_map(Value::from), any::<i32>().prop_map(Value::from)];
    (a, b, c, proptest::option::of(json())).prop_map(|(a, b, c, more)| {
        let mut fields = serde_json::Map::new();
        fields.extend(more.map(|value| ("more".to_owned(), value)));
        fields.extend([("a".to_owned(), a), ("B".to_owned(), b), ("c".to_owned(), c)]);
        Value::Object(fields)
    })
}

/// The text before, between and after the records of a file, and whether it is an array.
const LAYOUTS: [(&str, &str, &str); 11] = [
    ("", "\n", "\n"),
    ("", "\r\n", ""),
    ("", "", ""),
    ("", ",\n", ""),
    ("", "\\n", "\\n"),
    ("\u{1e}", "\n\u{1e}", "\n"),
    ("[", ",", "]"),
    ("[\n  ", ",\n  ", "\n]\n"),
    ("", "\n\u{feff}", ""),
    ("", " ", "\n"),
    ("[", ", ", "]\n"),
];

/// Texts that look like the brackets and names between and in records.
const TEXTS: [&str; 19] = [
    "x", "", "}{", "\\\"}", "},{\\\"a", "[{]", "\\\\", ":-}", "}", "{", "]}", "{}", "a, b", "[", "\\n", "},", "\\\"",
    "\u{e9}", "\\u00e9",
];

/// Values whose tokens a parser takes in one piece.
const SCALARS: [&str; 6] = ["null", "true", "false", "-1", "2.5", "1e+3"];

/// A record of `a` and more, whose texts contain brackets, quotes and backslashes.
fn nested() -> impl Strategy<Value = String> {
    (any::<u8>(), 0..TEXTS.len(), 0..TEXTS.len(), select(&SCALARS[..]), 0..7_usize).prop_map(
        |(a, text, other, scalar, shape)| {
            let (text, other) = (TEXTS[text], TEXTS[other]);
            match shape {
                0 => format!("{{\"a\":{a}}}"),
                1 => format!("{{\"b\":\"{text}\",\"a\":{a}}}"),
                2 => format!("{{\"a\":{a},\"z\":[{{\"a\":1}},{{\"a\":[2,{{}}]}}],\"b\":\"{text}\"}}"),
                3 => format!("{{\"z\":{{\"y\":{{\"a\":{{}}}}}},\"b\":\"{text}\",\"a\":{a}}}"),
                4 => format!("{{\"z\":[{{\"y\":\"{text}\"}},{{\"y\":\"{other}\",\"a\":{a}}}],\"b\":\"\"}}"),
                5 => format!("{{\"z\":[[{{\"a\":{a}}}],[\"{text}\",{{\"y\":1}},-2.5]],\"b\":\"{other}\"}}"),
                _ => format!("{{\"a\":{a},\"z\":[{scalar},{{\"y\":{scalar}}}],\"y\":{scalar}}}"),
            }
        },
    )
}

/// A file of records, and where each of them begins.
fn laid_out(records: &[String], (begin, between, end): (&str, &str, &str)) -> (String, Vec<usize>) {
    let (mut file, mut starts) = (begin.to_owned(), Vec::new());
    for (at, record) in records.iter().enumerate() {
        if at > 0 {
            file.push_str(between);
        }
        starts.push(file.len());
        file.push_str(record);
    }
    file.push_str(end);
    (file, starts)
}

/// Checks that every intact record has landed at its place; returns what landed from within each other one.
fn check_landed(
    records: &[String],
    is_whole: impl Fn(usize) -> bool,
    layout: usize,
    sizes: &[usize],
) -> Vec<(usize, Vec<Row>)> {
    let (file, starts) = laid_out(records, LAYOUTS[layout]);
    let outcome = read_in(&columns(), small(), file.as_bytes(), &[]);
    assert_eq!(outcome, read_in(&columns(), small(), file.as_bytes(), sizes), "in pieces of {sizes:?}");
    check_coverage(file.as_bytes(), &outcome);
    let mut others = Vec::new();
    for (at, start) in starts.iter().enumerate() {
        let end = start + records[at].len();
        let within = outcome.rows.iter().filter(|row| (*start..end).contains(&row.offset));
        if is_whole(at) {
            let found: Vec<(usize, usize)> = within.map(|row| (row.offset, row.length)).collect();
            assert_eq!(
                found,
                [(*start, records[at].len())],
                "record {at} of {file:?} has not landed: {:?}",
                outcome.bad
            );
        } else {
            let part = |row: &Row| Row { offset: row.offset - start, ..row.clone() };
            others.push((at, within.map(part).collect()));
        }
    }
    others
}

/// Checks that no object from within broken records has landed. A record up to the damage, or from it on, is one like
/// others.
fn check_inside(records: &[String], landed: &[(usize, Vec<Row>)]) {
    for (at, within) in landed {
        let is_part = |row: &Row| row.offset == 0 || row.offset + row.length == records[*at].len();
        assert!(within.is_empty() || within.iter().any(is_part), "objects of {} landed", records[*at]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Balanced records that are not JSON: the others land, and nothing of the broken ones does.
    #[test]
    fn balanced_records_take_nothing_with_them(
        mut records in vec((nested(), any::<bool>()), 1..12),
        layout in 0..LAYOUTS.len(),
        sizes in vec(1_usize..30, 1..4),
    ) {
        for (record, is_broken) in &mut records {
            if *is_broken {
                record.insert_str(1, "NaN:");
            }
        }
        let (records, broken): (Vec<String>, Vec<bool>) = records.into_iter().unzip();
        let landed = check_landed(&records, |at| !broken[at], layout, &sizes);
        prop_assert!(landed.iter().all(|(_, within)| within.is_empty()), "{landed:?}");
        let (file, _) = laid_out(&records, LAYOUTS[layout]);
        let outcome = read_in(&columns(), small(), file.as_bytes(), &sizes);
        prop_assert_eq!(outcome.bad.len(), broken.iter().filter(|broken| **broken).count());
    }

    /// A byte of one record of each line is lost, added or changed.
    #[test]
    fn lines_take_nothing_with_them(
        mut records in vec((nested(), proptest::option::of((any::<usize>(), 0..3_u8, damaging()))), 1..12),
        layout in 0..2_usize,
        sizes in vec(1_usize..30, 1..4),
    ) {
        for (record, damage) in &mut records {
            if let Some((at, how, byte)) = damage {
                damaged(record, *at, *how, byte);
            }
        }
        let (records, broken): (Vec<String>, Vec<bool>) = records.into_iter().map(|(r, d)| (r, d.is_some())).unzip();
        // A line that begins with a comma may go on with a list of the records before it, and one that begins with a
        // bracket may close what a broken record before it left open.
        let goes_on = |at: usize| {
            records[at].starts_with(',') || records[at].starts_with(['}', ']']) && broken[..at].contains(&true)
        };
        prop_assume!(!(0..records.len()).any(goes_on));
        check_landed(&records, |at| !broken[at], layout, &sizes);
    }

    /// A byte of one record of a file is lost, added or changed, with any separator.
    #[test]
    fn damage_stays_in_its_record(
        mut records in vec(nested(), 1..12),
        (which, at, how, byte) in (any::<usize>(), any::<usize>(), 0..3_u8, damaging()),
        layout in 0..LAYOUTS.len(),
        sizes in vec(1_usize..30, 1..4),
    ) {
        let which = which % records.len();
        damaged(&mut records[which], at, how, &byte);
        // In an array, the records after another opening bracket are the elements of an inner array, which is JSON.
        prop_assume!(!(LAYOUTS[layout].0.starts_with('[') && records[which].starts_with("[{")));
        // A list that lost its end may go on up to the end of the file.
        let (file, _) = laid_out(&records, LAYOUTS[layout]);
        let outcome = read_in(&columns(), small(), file.as_bytes(), &[]);
        prop_assume!(outcome.bad.last().is_none_or(|bad| bad.reason != "record is cut off") || layout < 2);
        check_inside(&records, &check_landed(&records, |at| at != which, layout, &sizes));
    }
}

/// A byte that brackets and quotes depend on, or any other.
fn damaging() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]",
        prop_oneof![Just("\""), Just("\\"), Just("{"), Just("}"), Just("["), Just("]"), Just(":"), Just(",")]
            .prop_map(str::to_owned),
        // What follows is read as part of an escape or a number.
        select(&["u", "e", "-", "."][..]).prop_map(str::to_owned),
    ]
}

fn damaged(record: &mut String, at: usize, how: u8, byte: &str) {
    // Not within a character.
    let at = record.floor_char_boundary(at % record.len());
    let next = record.ceil_char_boundary(at + 1);
    match how {
        0 => record.replace_range(at..next, ""),
        1 => record.replace_range(at..next, byte),
        // Before a record it would be a byte of none.
        _ => record.insert_str(at.max(1), byte),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_is_in_one_record(bytes in file(), sizes in vec(1_usize..20, 1..5)) {
        let whole = read_in(&columns(), small(), &bytes, &[]);
        check_coverage(&bytes, &whole);
        prop_assert_eq!(&whole, &read_in(&columns(), small(), &bytes, &sizes));
        prop_assert_eq!(&whole, &read_in(&columns(), small(), &bytes, &[1]));
        for row in &whole.rows {
            let value: Value = serde_json::from_slice(&row.raw).expect("a landed record is JSON");
            let expected = match &value["a"] {
                Value::Null => "-".to_owned(),
                other => other.to_string(),
            };
            prop_assert_eq!(&row.values[0], &expected);
            let again = Json.read_one(&RecordShape::plain(&columns()), "f", 0, &row.raw, small()).expect("what landed once lands again");
            prop_assert_eq!(values_of(&again, 0, 2), row.values.clone());
        }
    }

    #[test]
    fn a_low_limit_changes_nothing_about_that(bytes in file(), sizes in vec(1_usize..20, 1..5), max_record in 1_usize..30) {
        let options = Options { max_record, ..small() };
        let whole = read_in(&columns(), options, &bytes, &[]);
        check_coverage(&bytes, &whole);
        prop_assert_eq!(&whole, &read_in(&columns(), options, &bytes, &sizes));
        prop_assert_eq!(&whole, &read_in(&columns(), options, &bytes, &[1]));
        prop_assert!(whole.rows.iter().all(|row| row.length <= max_record));
    }

    #[test]
    fn valid_files_land_whole(records in vec(record(), 0..20), layout in 0..4, sizes in vec(1_usize..50, 1..5)) {
        let columns = [column("a", ColumnType::Long), column("b", ColumnType::String), column("c", ColumnType::Double)];
        let pretty = |r: &Value| serde_json::to_string_pretty(r).expect("JSON");
        let lines: Vec<String> = records.iter().map(|r| if layout == 1 { pretty(r) } else { r.to_string() }).collect();
        let bytes = match layout {
            0 => lines.join("\n"),
            1 => lines.join("\r\n"),
            2 => lines.concat(),
            _ => serde_json::to_string_pretty(&records).expect("JSON"),
        };
        let outcome = read_in(&columns, small(), bytes.as_bytes(), &sizes);
        prop_assert_eq!(&outcome.bad, &vec![]);
        prop_assert_eq!(outcome.rows.len(), records.len());
        for (row, record) in outcome.rows.iter().zip(&records) {
            let text = |name: &str| match &record[name] {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            prop_assert_eq!(&row.values[0], &text("a"));
            prop_assert_eq!(&row.values[1], &text("B"));
            let double = |text: &str| text.parse::<f64>().ok().map(f64::to_bits);
            prop_assert_eq!(double(&row.values[2]), double(&text("c")));
        }
    }
}
