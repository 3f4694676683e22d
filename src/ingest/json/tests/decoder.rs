//! Compressed files.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Decodes a file pushed in pieces of a size.
fn decode(file: &[u8], size: usize) -> (Vec<u8>, Result<(), String>) {
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    for piece in file.chunks(size) {
        let pushed = decoder.push(piece, &mut |bytes| out.extend_from_slice(bytes));
        if pushed.is_err() {
            return (out, pushed);
        }
    }
    let finished = decoder.finish(&mut |bytes| out.extend_from_slice(bytes));
    (out, finished)
}

fn text() -> Vec<u8> {
    (0..20_000).flat_map(|i| format!("{{\"a\":{},\"b\":\"{i:x}\"}}\n", i * 7919 % 10_007).into_bytes()).collect()
}

#[test]
fn plain_files_pass() {
    for file in [&b""[..], b"{", b"\x1f", b"{\"a\":1}", b"\x1f{"] {
        for size in [1, 2, 100] {
            assert_eq!(decode(file, size), (file.to_vec(), Ok(())));
        }
    }
}

#[test]
fn gzip_with_any_number_of_members() {
    let text = text();
    let one = gzip(&text);
    let (first, second) = text.split_at(70_001);
    let many = [gzip(first), gzip(b""), gzip(second)].concat();
    for size in [1, 13, 4096, 1 << 20] {
        assert_eq!(decode(&one, size), (text.clone(), Ok(())));
        assert_eq!(decode(&many, size), (text.clone(), Ok(())));
    }
    assert_eq!(decode(&gzip(b""), 5), (Vec::new(), Ok(())));
}

#[test]
fn members_of_every_packing_with_blanks_between() {
    let text = text();
    let (first, second) = text.split_at(70_001);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).expect("in memory");
    let bzip2 = |bytes: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let skipped = b"\x50\x2a\x4d\x18\x02\0\0\0ab".to_vec();
    type Pack<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let packings: [Pack<'_>; 4] = [&gzip, &zstd, &bzip2, &|bytes| [skipped.clone(), zstd(bytes)].concat()];
    for (which, pack) in packings.iter().enumerate() {
        for between in ["", "\n", " \r\n\t\0\0"] {
            let file = [pack(first), between.into(), pack(b""), pack(second), between.into()].concat();
            for size in [1, 13, 4096, 1 << 20] {
                let (out, ended) = decode(&file, size);
                assert_eq!(
                    (out == text, ended),
                    (true, Ok(())),
                    "packing {which}, {between:?}, {size} bytes at a time"
                );
            }
        }
        let whole = pack(&text);
        for end in [whole.len() / 2, whole.len() - 1] {
            let (out, ended) = decode(&whole[..end], 1000);
            assert!(text.starts_with(&out) && ended.unwrap_err().ends_with("is cut off or its checksum is wrong"));
        }
        let mut corrupt = whole.clone();
        corrupt[whole.len() / 2..whole.len() / 2 + 20].fill(0xAA);
        assert!(decode(&corrupt, 1000).1.is_err(), "packing {which}");
        let (out, ended) = decode(&[whole, b"{\"a\":1}".to_vec()].concat(), 1000);
        assert!(out == text && ended.unwrap_err().ends_with("stream are not compressed"));
    }
}

#[test]
fn what_is_not_read_is_named() {
    for (head, name) in [
        (&b"\xfd7zXZ\0\0\x04"[..], "compressed with xz"),
        (b"\x04\x22\x4d\x18d@", "compressed with lz4"),
        (b"\xff\x06\0\0sNaPpY", "compressed with snappy"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"PAR1....", "Parquet"),
        (b"Obj\x01....", "Avro"),
    ] {
        for size in [1, 100] {
            let (out, ended) = decode(head, size);
            let expected = format!("the file is {name}, expected JSON, as text or compressed with gzip, zstd or bzip2");
            assert_eq!((out, ended), (Vec::new(), Err(expected)));
        }
    }
    // Text that begins like a compressed format.
    for text in ["P", "PA", "Object 1", "BZ", "BZhello", "Object"] {
        assert_eq!(decode(text.as_bytes(), 1), (text.as_bytes().to_vec(), Ok(())));
    }
}

#[test]
fn what_came_before_a_fault_stays() {
    let text = text();
    let whole = gzip(&text);
    for end in [2, 9, 10, 30, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let (out, ended) = decode(&whole[..end], 1000);
        assert!(ended.is_err(), "cut at {end}");
        assert!(text.starts_with(&out));
        assert!(out.len() * 3 > text.len() || end < whole.len() / 2, "cut at {end}: only {} bytes", out.len());
    }
    let mut corrupt = whole.clone();
    let last = corrupt.len() - 5;
    corrupt[last] ^= 1;
    assert_eq!(
        decode(&corrupt, 1000),
        (text.clone(), Err("gzip stream is cut off or its checksum is wrong".to_owned()))
    );
    let trailing = [whole, b"garbage behind the member".to_vec()].concat();
    let (out, ended) = decode(&trailing, 1000);
    assert_eq!((out, ended.is_err()), (text, true));
}

#[test]
fn pieces_stay_small_however_well_bytes_were_compressed() {
    let blanks = vec![b' '; 64 << 20];
    for file in [gzip(&blanks), zstd::encode_all(&blanks[..], 3).expect("in memory")] {
        let (mut decoder, mut largest, mut total) = (Decoder::new(), 0, 0);
        let mut rest = file.as_slice();
        let mut more = true;
        while more {
            // The output of one step.
            let mut step = 0;
            more = decoder.step(&mut rest, &mut |bytes| step += bytes.len()).expect("valid");
            largest = largest.max(step);
            total += step;
        }
        decoder.finish(&mut |bytes| total += bytes.len()).expect("valid");
        assert_eq!(total, 64 << 20);
        assert!(largest <= 1 << 20, "a piece of {largest} bytes");
    }
}
