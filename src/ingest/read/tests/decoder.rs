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
    let file = gzip(&vec![b' '; 64 << 20]);
    let (mut decoder, mut largest, mut total) = (Decoder::new(), 0, 0);
    let mut sink = |bytes: &[u8]| {
        largest = largest.max(bytes.len());
        total += bytes.len();
    };
    decoder.push(&file, &mut sink).expect("valid");
    decoder.finish(&mut sink).expect("valid");
    assert_eq!(total, 64 << 20);
    assert!(largest <= 1 << 20, "a piece of {largest} bytes");
}
