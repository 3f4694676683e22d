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

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("in memory")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// The content of a file, divided at gaps, the reasons of the gaps, and how it ended.
type Parts = (Vec<Vec<u8>>, Vec<String>, Result<(), String>);

/// Decodes a file pushed in pieces of a size.
fn decode_parts(file: &[u8], size: usize) -> Parts {
    let (mut decoder, mut parts, mut gaps) = (Decoder::new(), vec![Vec::new()], Vec::new());
    let mut take = |piece: Piece<'_>| match piece {
        Piece::Bytes(bytes) => parts.last_mut().expect("a part").extend_from_slice(bytes),
        Piece::Gap(reason) => {
            gaps.push(reason);
            parts.push(Vec::new());
        }
    };
    let pushed = file.chunks(size).try_for_each(|piece| decoder.push(piece, &mut take));
    let ended = pushed.and_then(|()| decoder.finish(&mut take));
    (parts, gaps, ended)
}

/// The same for a file without gaps.
fn decode(file: &[u8], size: usize) -> (Vec<u8>, Result<(), String>) {
    let (parts, gaps, ended) = decode_parts(file, size);
    assert_eq!(gaps, Vec::<String>::new());
    (parts.concat(), ended)
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
            assert!(text.starts_with(&out) && ended.unwrap_err().contains("is cut off or its checksum is wrong"));
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
        (
            text.clone(),
            Err("gzip stream is cut off or its checksum is wrong, in the member at byte 0 of the file".to_owned())
        )
    );
    let trailing = [whole, b"garbage behind the member".to_vec()].concat();
    let (out, ended) = decode(&trailing, 1000);
    assert_eq!((out, ended.is_err()), (text, true));
}

#[test]
fn a_damaged_member_takes_no_other_with_it() {
    let text = text();
    let (first, second) = text.split_at(100_000);
    type Pack = fn(&[u8]) -> Vec<u8>;
    let packings: [Pack; 3] = [gzip, zstd, bzip2];
    for (which, pack) in packings.iter().enumerate() {
        for (other, next) in packings.iter().enumerate() {
            let (one, two) = (pack(first), next(second));
            let mut flipped = one.clone();
            flipped[one.len() / 2..one.len() / 2 + 20].fill(0xAA);
            let mut checksum = one.clone();
            let last = checksum.len() - 5;
            checksum[last] ^= 1;
            let cut = one[..one.len() / 2].to_vec();
            let (no_end, noise) = (one[..one.len() - 1].to_vec(), [one.clone(), b"noise".repeat(99)].concat());
            for (how, damaged) in [flipped, checksum, cut, no_end, noise].into_iter().enumerate() {
                // Frames without a checksum, as here, notice no damage at their end.
                if which == 1 && how == 1 {
                    continue;
                }
                let file = [pack(b"{}\n"), damaged, two.clone(), gzip(b"{}\n")].concat();
                let whole = decode_parts(&file, 1 << 20);
                let (parts, gaps, ended) = &whole;
                let of = format!("packing {which}, {other}, damage {how}");
                assert_eq!((gaps.len(), ended), (1, &Ok(())), "{of}: {gaps:?}");
                assert!(parts[0].starts_with(b"{}\n"), "{of}");
                assert!(parts[1] == [second, b"{}\n"].concat(), "{of}: {} of {}", parts[1].len(), second.len());
                let begins =
                    format!("reading goes on with the member at byte {}", file.len() - two.len() - gzip(b"{}\n").len());
                assert!(gaps[0].ends_with(&begins), "{of}: {}", gaps[0]);
                for size in [1, 13, 4096] {
                    assert!(decode_parts(&file, size) == whole, "{of}, {size} bytes at a time");
                }
            }
        }
    }
}

#[test]
fn bytes_that_only_look_like_a_member_are_passed_over() {
    let text = text();
    let (first, second) = text.split_at(100_000);
    let one = gzip(first);
    let lies = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].repeat(3);
    for with in [lies, zstd(b"")[..5].to_vec(), b"BZh91AY&SY".repeat(2)] {
        let file = [&one[..one.len() / 2], &with, &gzip(second)].concat();
        let whole = decode_parts(&file, 1 << 20);
        assert!(whole.0[1] == second && whole.2 == Ok(()), "{with:?}: {:?}", whole.1);
        assert!(decode_parts(&file, 7) == whole);
    }
    // Nothing follows.
    let (parts, gaps, ended) =
        decode_parts(&[&one[..one.len() / 2], &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]].concat(), 100);
    assert!(first.starts_with(&parts[0]) || gaps.is_empty() && ended.is_err());
}

/// Each of these headers names a file whose name never ends, which is read for 64 KiB.
#[test]
fn a_search_ends_after_many_false_headers() {
    let header = [0x1f, 0x8b, 8, 8, b'a', b'a', b'a', b'a', 2, 3];
    let damaged = gzip(&text());
    let of = |headers: usize| [&damaged[..damaged.len() / 2], &header.repeat(headers), &gzip(b"{\"a\":1}\n")].concat();
    let (_, gaps, ended) = decode_parts(&of(100), 1 << 16);
    assert_eq!((gaps.len(), ended), (1, Ok(())), "the member behind a few is found");
    let (_, gaps, ended) = decode_parts(&of(20_000), 1 << 16);
    assert_eq!(gaps, Vec::<String>::new());
    assert!(ended.is_err_and(|reason| reason.starts_with("gzip stream is ")));
}

#[test]
fn records_land_around_a_gap() {
    let lines = |from: usize, to: usize| -> Vec<u8> {
        (from..to).flat_map(|i| format!("{{\"a\":{i}}}\n").into_bytes()).collect()
    };
    let read = |parts: &[&[u8]], size: usize| {
        let mut reader = RecordReader::new(&RecordShape::plain(&columns()), "dir/a.json", small());
        let mut outcome = Outcome::default();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                reader.interrupt("damage".to_owned());
                take(&mut reader, &mut outcome);
            }
            for piece in part.chunks(size) {
                reader.push(piece);
                take(&mut reader, &mut outcome);
            }
        }
        reader.finish();
        let outcome = collect(reader, outcome);
        let bad: Vec<_> = outcome.bad.iter().map(|bad| (bad.offset, bad.length, bad.reason.clone())).collect();
        (outcome.rows.iter().map(|row| row.offset).collect::<Vec<_>>(), bad)
    };
    let check = |parts: &[&str], rows: &[usize], bad: &[(usize, usize, &str)]| {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        let bad = bad.iter().map(|(offset, length, reason)| (*offset, *length, (*reason).to_owned())).collect();
        let expected = (rows.to_vec(), bad);
        for size in [1, 5, 1000] {
            assert_eq!(read(&parts, size), expected, "{parts:?}, {size} bytes at a time");
        }
    };
    check(&["{\"a\":1}\n", "{\"a\":2}\n"], &[0, 9], &[(8, 0, "damage")]);
    check(&["", "{\"a\":2}\n"], &[1], &[(0, 0, "damage")]);
    check(&["{\"a\":1}\n{\"a\":", "{\"a\":2}\n"], &[0, 14], &[(8, 5, "damage")]);
    check(&["[{\"a\":1},", "{\"a\":2}]\n"], &[1, 10], &[(9, 0, "damage")]);
    check(&["[{\"a\":1},{\"a\":1", ",{\"a\":2},{\"a\":3}]\n"], &[1, 17, 25], &[(9, 6, "damage")]);
    // The rest of a record: its objects are none.
    let missing = "the record's beginning is missing";
    check(&["{\"a\":1}\n", "{\"n\":1},{\"n\":2}]}\n{\"a\":2}"], &[0, 27], &[(8, 0, "damage"), (9, 17, missing)]);
    check(&["", "[{\"n\":1}],\"m\":2}\n{\"a\":2}"], &[18], &[(0, 0, "damage"), (1, 16, missing)]);
    assert_eq!(read(&[&lines(0, 5), &lines(5, 9), &lines(9, 10)], 3).0.len(), 10);
}

fn length(piece: &Piece<'_>) -> usize {
    match piece {
        Piece::Bytes(bytes) => bytes.len(),
        Piece::Gap(_) => 0,
    }
}

#[test]
fn pieces_stay_small_however_well_bytes_were_compressed() {
    let blanks = vec![b' '; 64 << 20];
    for file in [gzip(&blanks), zstd(&blanks)] {
        let (mut decoder, mut largest, mut total) = (Decoder::new(), 0, 0);
        let mut rest = file.as_slice();
        let mut more = true;
        while more {
            // The output of one step.
            let mut step = 0;
            more = decoder.step(&mut rest, &mut |piece| step += length(&piece)).expect("valid");
            largest = largest.max(step);
            total += step;
        }
        decoder.finish(&mut |piece| total += length(&piece)).expect("valid");
        assert_eq!(total, 64 << 20);
        assert!(largest <= 1 << 20, "a piece of {largest} bytes");
    }
}
