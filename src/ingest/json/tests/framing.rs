//! Where records begin and end.

use super::*;

/// Reads a file and renders the result: landed rows as `offset:a`, quarantined records as `offset+length reason`.
fn rendered(bytes: &[u8]) -> Vec<String> {
    let outcome = read(&columns(), bytes);
    let mut all: Vec<(usize, String)> =
        outcome.rows.iter().map(|r| (r.offset, format!("{}:{}", r.offset, r.values[0]))).collect();
    all.extend(outcome.bad.iter().map(|b| (b.offset, format!("{}+{} {}", b.offset, b.length, b.reason))));
    all.sort();
    all.into_iter().map(|(_, text)| text).collect()
}

#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expected: &[&str]) {
    let bytes = bytes.as_ref();
    assert_eq!(rendered(bytes), expected, "{}", String::from_utf8_lossy(bytes));
}

#[test]
fn records_in_every_layout() {
    check("", &[]);
    check(" \r\n\t\n", &[]);
    check("\u{feff}", &[]);
    check("{\"a\":1}\n{\"a\":2}\n", &["0:1", "8:2"]);
    check("{\"a\":1}\n{\"a\":2}", &["0:1", "8:2"]);
    check("{\"a\":1}\r\n{\"a\":2}\r\n  \r\n", &["0:1", "9:2"]);
    check("{\"a\":1}{\"a\":2} {\"a\":3}", &["0:1", "7:2", "15:3"]);
    check("{\n  \"a\": 1,\n  \"b\": \"x\"\n}\n{\n  \"a\": 2\n}", &["0:1", "25:2"]);
    check("\u{feff}{\"a\":1}", &["3:1"]);
    check("{}\n{}", &["0:-", "3:-"]);
    check("{\"b\":\"}{\\\"\\n\"}{\"a\":1}", &["0:-", "14:1"]);
}

#[test]
fn what_other_programs_write_between_records() {
    let check = |bytes: &str, expected: &[&str], separators: &str| {
        check(bytes, expected);
        assert_eq!(read(&columns(), bytes.as_bytes()).counts.separators.describe(), separators, "{bytes}");
    };
    check("{\"a\":1},{\"a\":2},\n{\"a\":3},\n", &["0:1", "8:2", "17:3"], "3 commas");
    check("{\"a\":1}\\n{\"a\":2}\\r\\n", &["0:1", "9:2"], "3 times `\\n` in two characters");
    check("\u{1e}{\"a\":1}\n\u{1e}{\"a\":2}\n", &["1:1", "10:2"], "2 record separators (0x1E)");
    check("\0{\"a\":1}\n\0\0{\"a\":2}\n\0", &["1:1", "11:2"], "4 NULs (0x00)");
    check("[{\"a\":1},\0{\"a\":2}]", &["1:1", "10:2"], "1 NUL (0x00)");
    check("\u{feff}{\"a\":1}\n\u{feff}{\"a\":2}", &["3:1", "14:2"], "1 byte order mark");
    check("[{\"a\":1},,{\"a\":2},]", &["1:1", "10:2"], "2 commas");
    check("[,{\"a\":1}{\"a\":2}]", &["2:1", "9:2"], "1 comma");
    check("[{\"a\":1}][{\"a\":2}],[{\"a\":3}]", &["1:1", "10:2", "20:3"], "1 comma");
    // None of these ends a record.
    check("{\"b\":\"\\n,\u{feff}\"}{\"a\":2}", &["0:-", "14:2"], "");
}

#[test]
fn one_bad_record_takes_nothing_with_it() {
    let nan = "not JSON: expected value at byte 5";
    check("{\"a\":1}{\"a\":NaN}{\"a\":3}{\"a\":4}", &["0:1", &format!("7+9 {nan}"), "16:3", "23:4"]);
    check("[{\"a\":11},{\"a\":NaN},{\"a\":13}]", &["1:11", &format!("10+9 {nan}"), "20:13"]);
    check("{\"a\":1},{\"a\":NaN},{\"a\":3}", &["0:1", &format!("8+9 {nan}"), "18:3"]);
    check("{\"a\":NaN,\"b\":\"}\\\"{\"}{\"a\":2}", &[&format!("0+20 {nan}"), "20:2"]);
    // Objects within a broken one are not records.
    check("{\"a\":NaN,\"z\":{\"a\":7}}{\"a\":2}", &[&format!("0+21 {nan}"), "21:2"]);
    check("[{\"a\":NaN,\"z\":[{\"a\":7},{\"a\":8}]},{\"a\":2}]", &[&format!("1+31 {nan}"), "33:2"]);
    check("{\"a\":NaN,\"z\":[\n  {\"a\":7}\n]}\n{\"a\":2}", &[&format!("0+27 {nan}"), "28:2"]);
    // A record without its end, a bracket too many, bytes between.
    check("{\"a\":1{\"a\":2}{\"a\":3}", &["0+6 not JSON: expected `,` or `}` at byte 6", "6:2", "13:3"]);
    check("{\"b\":\"x}{\"b\":\"y\",\"a\":2}", &["0+8 not JSON: expected `,` or `}` at byte 10", "8:2"]);
    check("{\"a\":1}}{\"a\":2}", &["0:1", "7+1 not JSON: expected value at byte 0", "8:2"]);
    check("{\"a\":1}17{\"a\":2}", &["0:1", "7+2 a record must be an object, found a number", "9:2"]);
    check("{\"a\":1} x {\"a\":2}", &["0:1", "8+1 not JSON: expected value at byte 0", "10:2"]);
    check(
        "[{\"a\":1},tru,[NaN,2],{\"a\":2}]",
        &["1:1", "9+3 not JSON: expected ident at byte 3", "13+7 not JSON: expected value at byte 1", "21:2"],
    );
}

#[test]
fn an_array_of_records() {
    check("[]", &[]);
    check("[{\"a\":1},{\"a\":2}]", &["1:1", "9:2"]);
    check("\u{feff} [\r\n  {\"a\":1} ,\n  {\"a\":2}\n]\n", &["9:1", "21:2"]);
    check("[{\"a\":1}]\n{\"a\":2}\n[{\"a\":3}]", &["1:1", "10:2", "19:3"]);
    check("[[{\"a\":1}],{\"a\":2}]", &["1+9 a record must be an object, found an array", "11:2"]);
    check(
        "[1, null,\"x\",true,{\"a\":2}]",
        &[
            "1+1 a record must be an object, found a number",
            "4+4 a record must be an object, found null",
            "9+3 a record must be an object, found a string",
            "13+4 a record must be an object, found a boolean",
            "18:2",
        ],
    );
}

#[test]
fn a_broken_array() {
    check("[{\"a\":1},{\"a\":", &["1:1", "9+5 record is cut off"]);
    // Truncated between elements: only the missing bracket shows it.
    check("[{\"a\":1}", &["1:1", "8+0 the array of records is not closed"]);
    check("[{\"a\":1},\n", &["1:1", "10+0 the array of records is not closed"]);
    check("[", &["1+0 the array of records is not closed"]);
    check("[{\"a\":1}{\"a\":2},\n{\"a\":3}]", &["1:1", "8:2", "17:3"]);
    check("[{\"a\":1} x,{\"a\":2}]", &["1:1", "9+1 not JSON: expected `,` or `]`", "11:2"]);
    check(
        "[\n  {\"a\":1},\n  {\"a\":},\n  {\"a\":3},\n  {\"a\":4}\n]",
        &["4:1", "15+6 not JSON: expected value at byte 5", "25:3", "36:4"],
    );
    // An unclosed bracket includes the elements after it; they are read again.
    check("[{\"a\":[1,\n{\"a\":2},\n{\"a\":3}]", &["1+8 record is cut off", "10:2", "19:3"]);
    check("{\"a\":1}]\n{\"a\":2}", &["0:1", "7+1 not JSON: expected value at byte 0", "9:2"]);
}

#[test]
fn what_a_parser_takes_at_once_may_be_the_next_record_s() {
    check("{\"b\":\"\\u}\"}{\"a\":1}{\"a\":2}", &["0+11 not JSON: invalid escape at byte 8", "11:1", "18:2"]);
    check("{\"a\":nul}{\"a\":1}{\"a\":2}", &["0+9 not JSON: expected ident at byte 8", "9:1", "16:2"]);
    check("{\"a\":1e}{\"a\":1}{\"a\":2}", &["0+8 not JSON: invalid number at byte 7", "8:1", "15:2"]);
}

#[test]
fn broken_records_between_good_ones() {
    let around = |broken: &str| format!("{{\"a\":1}}\n{broken}\n{{\"a\":3}}\n{{\"a\":4}}");
    for (broken, reason) in [
        ("{\"a\":2,}", "not JSON: key must be a string at byte 7"),
        ("{'a':2}", "not JSON: key must be a string at byte 1"),
        ("{\"a\":2 /* two */}", "not JSON: expected `,` or `}` at byte 7"),
        ("{\"a\" 2}", "not JSON: expected `:` at byte 5"),
        ("{\"a\":NaN}", "not JSON: expected value at byte 5"),
        ("{\"a\":Infinity}", "not JSON: expected value at byte 5"),
        ("{\"a\":01}", "not JSON: invalid number at byte 6"),
        ("{\"b\":\"two", "not JSON: control character (\\u0000-\\u001F) found while parsing a string at byte 9"),
        ("{\"b\":\"\\x\"}", "not JSON: invalid escape at byte 7"),
        ("{\"a\":{\"b\":2}", "not JSON: expected `,` or `}` at byte 13"),
        // The next line is a value here, and a record once the following line shows that something is missing.
        ("{\"a\":2,\"b\":", "not JSON: expected `,` or `}` at byte 20"),
        ("{\"a\":[2,", "not JSON: expected `,` or `]` at byte 17"),
        ("{\"a\":2}}", "not JSON: expected value at byte 0"),
        ("two", "not JSON: expected ident at byte 1"),
        ("2,3", "not JSON: expected a record's end at byte 1"),
        ("\"a\",\"b\"", "not JSON: expected a record's end at byte 3"),
    ] {
        let outcome = read(&columns(), around(broken).as_bytes());
        let last: Vec<_> = outcome.rows.iter().map(|r| r.values[0].as_str()).collect();
        assert!(last.ends_with(&["3", "4"]) && last[0] == "1", "{broken}: {last:?}");
        let [bad] = outcome.bad.as_slice() else { panic!("{broken}: {:?}", outcome.bad) };
        assert_eq!(bad.reason, reason, "{broken}");
        assert!(broken.as_bytes().ends_with(&bad.raw), "{broken}");
    }
}

#[test]
fn a_broken_record_over_several_lines() {
    // The object on its own line within the broken record is deeper, so it is not a record.
    let broken = "{\n  \"a\": 1,\n  \"b\": [\n    {\n      \"a\": 7\n    }\n  ]]\n}\n{\n  \"a\": 2\n}";
    check(broken, &["0+52 not JSON: expected `,` or `}` at byte 49", "53:2"]);
}

#[test]
fn the_last_record_is_cut_off() {
    let whole = "{\"a\":1}\n{\"a\":12,\"b\":\"\u{e9}\\u00e9\"}";
    for end in 9..whole.len() {
        let outcome = read(&columns(), &whole.as_bytes()[..end]);
        assert_eq!((outcome.rows.len(), outcome.bad.len()), (1, 1), "cut at {end}");
        assert_eq!(outcome.bad[0].reason, "record is cut off", "cut at {end}");
        assert_eq!((outcome.bad[0].offset, outcome.bad[0].length), (8, end - 8));
    }
    check("{\n  \"b\": [\n    {\n", &["0+16 record is cut off"]);
    check("{\"a\":1}\ntru", &["0:1", "8+3 record is cut off"]);
}

#[test]
fn a_bracket_that_became_another_character() {
    let six = "+7 not JSON: expected `,` or `}` at byte 6";
    for record in ["{\"a\":1:", "{\"a\":1["] {
        check(format!("{record}{{\"a\":2}}{{\"a\":3}}"), &[&format!("0{six}"), "7:2", "14:3"]);
        check(format!("{record}\n{{\"a\":2}}\n{{\"a\":3}}"), &[&format!("0{six}"), "8:2", "16:3"]);
        let six = six.replace("+7", "+8");
        check(format!("[{record},{{\"a\":2}},{{\"a\":3}}]"), &[&format!("1{six}"), "9:2", "17:3"]);
        let lines = format!("[\n  {record},\n  {{\"a\":2}},\n  {{\"a\":3}}\n]");
        check(lines, &[&format!("4{six}"), "15:2", "26:3"]);
    }
    // The record's opening bracket was replaced by a quote, and two characters for a line's end follow it.
    check("\"\"a\":0}\\n{\"a\":1}\\n{\"a\":2}", &["0+9 not JSON: expected a record's end at byte 2", "9:1", "18:2"]);
}

#[test]
fn scalars_are_no_records() {
    check(
        "1\n-2.5e3\n\"x\"\nnull\n{\"a\":1}",
        &[
            "0+1 a record must be an object, found a number",
            "2+6 a record must be an object, found a number",
            "9+3 a record must be an object, found a string",
            "13+4 a record must be an object, found null",
            "18:1",
        ],
    );
}

#[test]
fn bytes_that_are_no_utf8() {
    check(b"{\"b\":\"\xFF\"}\n{\"a\":2}", &["0+9 not UTF-8 at byte 6", "10:2"]);
    check(b"{\"a\":1}{\"z\":\"\xC3\"}{\"a\":2}", &["0:1", "7+9 not UTF-8 at byte 6", "16:2"]);
    check(b"{\n\"\xE2\x82\":1\n}\n{\"a\":2}", &["0+10 not UTF-8 at byte 3", "11:2"]);
    check(
        b"{\"b\":\"\xFF\n{\"a\":2}",
        &["0+7 not JSON: control character (\\u0000-\\u001F) found while parsing a string at byte 7", "8:2"],
    );
    check(b"{\"b\":\"\xE2\x82", &["0+8 record is cut off"]);
    check(b"\xFF\xFF\n{\"a\":2}", &["0+2 not JSON: expected value at byte 0", "3:2"]);
}

#[test]
fn files_that_are_no_json() {
    check("a,b\n1,2\n3,4\n", &["0+11 not JSON: expected value at byte 0"]);
    check("<xml>\n  <a>1</a>\n</xml>", &["0+23 not JSON: expected value at byte 0"]);
    let utf16: Vec<u8> = "\u{feff}{\"a\":1}\n{\"a\":2}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&utf16, &["0+34 not UTF-8: the file is UTF-16"]);
    let utf16: Vec<u8> = "\u{feff}{\"a\":1}\n{\"a\":2}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    check(&utf16, &["0+32 not UTF-8: the file is UTF-16"]);
    let binary: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    check(&binary, &["0+4096 not JSON: expected value at byte 0"]);
    check(
        "[info] started\n{\"a\":1}\n{\"a\":2}\nbye\n{\"a\":3}",
        &["1+13 not JSON: expected value at byte 0", "15:1", "23:2", "31+3 not JSON: expected value at byte 0", "35:3"],
    );
}

#[test]
fn a_stream_that_breaks_off() {
    let broken = |bytes: &str| {
        let mut reader = RecordReader::new(&RecordShape::plain(&columns()), "dir/a.json", small());
        reader.push(bytes.as_bytes());
        reader.break_off("gzip stream is corrupt".to_owned());
        let outcome = collect(reader, Outcome::default());
        let bad: Vec<_> = outcome.bad.iter().map(|b| (b.offset, b.length, b.reason.clone())).collect();
        (outcome.rows.len(), bad)
    };
    let reason = || "gzip stream is corrupt".to_owned();
    assert_eq!(broken(""), (0, vec![(0, 0, reason())]));
    assert_eq!(broken("{\"a\":1}\n{\"a\":2}\n"), (2, vec![(16, 0, reason())]));
    assert_eq!(broken("{\"a\":1}\n{\"a\":2"), (1, vec![(8, 6, reason())]));
    assert_eq!(broken("[{\"a\":1},"), (1, vec![(9, 0, reason())]));
}
