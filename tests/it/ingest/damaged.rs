//! Files of other programs, and damaged files.

use std::io::Write as _;

use super::*;

const NUMBERS: &str = "n = { type = \"double\" }\n";

fn numbers() -> Lake {
    let orders = orders("", NUMBERS, "");
    Lake::project(&[("tables/landing/orders.toml", orders.as_str())])
}

async fn landed(lake: &Lake) -> Vec<String> {
    lake.rows("select cast(n as bigint) from orders order by n").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_takes_nothing_else_of_its_line_with_it() {
    let lake = numbers();
    lake.land("orders/a.json", "{\"n\":1}{\"n\":NaN}{\"n\":3}{\"n\":4}");
    lake.land("orders/b.json", "[{\"n\":11},{\"n\":NaN},{\"n\":13}]");
    let outcome = lake.sync().await;
    assert_eq!(landed(&lake).await, ["1", "11", "13", "3", "4"]);
    assert_eq!(assert_accounted(&lake).await, (7, 5, 2));
    assert_eq!(exit::of_sync(&outcome), 0);
    let bad = "select source_file, source_offset, length, cast(raw as varchar) from orders_quarantine";
    assert_eq!(lake.rows(bad).await, ["orders/a.json|7|9|{\"n\":NaN}", "orders/b.json|10|9|{\"n\":NaN}"]);
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_quote_takes_nothing_else_of_its_line_with_it_whatever_texts_hold() {
    let lake = shop(&orders("", COLUMNS, ""));
    let record = |id: i64, item: &str| format!("{{\"id\":{id},\"item\":\"{item}\"}}");
    let others = |from: i64| (from..from + 4).map(|id| record(id, ":-}")).collect::<Vec<_>>();
    lake.land("orders/a.json", [vec!["{\"id\":1,\"item\":b\"}".to_owned()], others(2)].concat().concat());
    lake.land("orders/b.json", format!("[{},{{\"id\":[1,2}},{}]", record(10, "x"), others(11).join(",")));
    // Objects of a broken record.
    lake.land("orders/c.json", "{\"items\":}[{\"id\":90},{\"id\":91}]\n{\"id\":20}\n");
    lake.sync().await;
    let mut expected: Vec<String> = [2, 3, 4, 5, 10, 11, 12, 13, 14, 20].iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(ids(&lake).await, expected);
    assert_eq!(assert_accounted(&lake).await, (13, 10, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_programs_write_between_records_is_skipped_and_warned_of_once_per_file() {
    let lake = numbers();
    lake.land("orders/commas.json", "{\"n\":1},\n{\"n\":2},\n");
    lake.land("orders/escaped.json", "{\"n\":3}\\n{\"n\":4}\\n");
    lake.land("orders/marks.json", "\u{feff}{\"n\":5}\n\u{feff}{\"n\":6}\n");
    lake.land("orders/sequence.json", "\u{1e}{\"n\":7}\n\u{1e}{\"n\":8}\n");
    lake.land("orders/usual.json", "{\"n\":9}\n");
    let outcome = lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (9, 9, 0));
    let [warning] = of(&outcome, "orders").warnings.as_slice() else { panic!("{outcome:?}") };
    let message = "4 files of orders separate records by what JSON does not know; it was skipped";
    assert_eq!(warning.message, message);
    assert_eq!(
        warning.details,
        [
            "orders/commas.json: 2 commas",
            "orders/escaped.json: 2 times `\\n` in two characters",
            "orders/marks.json: 1 byte order mark",
            "orders/sequence.json: 2 record separators (0x1E)",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_files_land_whatever_packed_them_and_what_is_not_read_is_named() {
    let lake = numbers();
    lake.land("orders/blanks.json.gz", [gzip(b"{\"n\":1}\n"), b"\n\n".to_vec(), gzip(b"{\"n\":2}")].concat());
    lake.land("orders/z.json.zst", zstd::encode_all(&b"{\"n\":3}"[..], 3).unwrap());
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(b"{\"n\":4}").unwrap();
    lake.land("orders/b.json", bzip2.finish().unwrap());
    lake.land("orders/x.json.xz", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46");
    lake.sync().await;
    assert_eq!(landed(&lake).await, ["1", "2", "3", "4"]);
    assert_eq!(assert_accounted(&lake).await, (5, 4, 1));
    assert_eq!(
        lake.rows("select reason from orders_quarantine").await,
        ["the file is compressed with xz, expected JSON, as text or compressed with gzip, zstd or bzip2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_member_of_a_compressed_file_takes_no_other_with_it() {
    let lake = numbers();
    let lines = |from: i64, to: i64| (from..to).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>();
    let (one, two, three) = (gzip(lines(0, 3000).as_bytes()), gzip(b"{\"n\":5000}\n"), gzip(b"{\"n\":6000}\n"));
    let mut checksum = two.clone();
    let at = checksum.len() - 6;
    checksum[at] ^= 1;
    lake.land("orders/a.json.gz", [one[..one.len() / 2].to_vec(), three.clone()].concat());
    lake.land("orders/b.json.gz", [checksum, three.clone()].concat());
    let outcome = lake.sync().await;
    assert_eq!(exit::of_sync(&outcome), 0);
    let counted = "select count(*) from orders where n >= 3000";
    // The record before the wrong checksum landed, and the quarantine says that it may be wrong.
    assert_eq!(lake.rows(counted).await, ["3"]);
    assert_accounted(&lake).await;
    let reasons = lake.rows("select source_file, reason from orders_quarantine").await;
    for (file, next) in [("a", one.len() / 2), ("b", two.len())] {
        let begins = format!("orders/{file}.json.gz|gzip stream is ");
        let ends = format!(", in the member at byte 0 of the file; reading goes on with the member at byte {next}");
        let is_it = |reason: &&String| reason.starts_with(&begins) && reason.ends_with(&ends);
        assert_eq!(reasons.iter().filter(is_it).count(), 1, "{reasons:?}");
    }
    assert_still(&lake.sync().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_behind_a_bad_one_are_replayed_from_their_own_bytes() {
    let lake = shop(&orders("", COLUMNS, ""));
    let long = "x".repeat(2 << 20);
    lake.land(
        "orders/a.json",
        format!("{{\"id\":NaN}}{{\"id\":\"2\",\"item\":\"{long}\"}}{{\"id\":3}}{{\"id\":\"4\"}}"),
    );
    lake.sync().await;
    assert_eq!(assert_accounted(&lake).await, (4, 1, 3));
    let workspace = lake.workspace().await;
    let replayed = stedi_delta::replay::replay(&workspace, "orders").await.unwrap();
    // Their types have not changed, so they stay, each for its own reason.
    assert_eq!(replayed.rows.inserted, 0);
    let [warning] = replayed.warnings.as_slice() else { panic!("{replayed:?}") };
    assert_eq!(warning.details, ["2: field `id` is a string, expected an integer", "1: not JSON: expected value"]);
}
