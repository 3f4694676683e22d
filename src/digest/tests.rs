use std::sync::Arc;

use deltalake::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, ListArray, MapBuilder, RecordBatch, StringArray,
    StringBuilder, StringViewArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use deltalake::arrow::compute::concat_batches;
use deltalake::arrow::datatypes::{DataType, Field, Int32Type, Schema};

use super::*;

fn key() -> DigestKey {
    DigestKey::of(&Privacy::new(Some("k"), false)).expect("a key")
}

fn digest(batch: &RecordBatch) -> RowDigest {
    key().rows(batch).expect("a digest")
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .expect("a batch")
}

/// The encoding of a single row, with names in place of their hashes.
fn encoded(batch: &RecordBatch, row: usize) -> String {
    let names = key().0.names;
    let mut bytes = Vec::new();
    encoding::Rows::of(batch, &names).expect("rows").encode(row, &mut bytes);
    let mut text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut add = |name: &str| {
        let hash = blake3::keyed_hash(&names, name.as_bytes()).to_hex();
        text = text.replace(&hash[..16], &format!("<{name}>"));
    };
    for field in batch.schema().fields() {
        add(field.name());
        if let DataType::Struct(fields) = field.data_type() {
            fields.iter().for_each(|field| add(field.name()));
        }
    }
    text
}

fn people() -> RecordBatch {
    batch(vec![
        ("name", Arc::new(StringArray::from(vec![Some("ada"), Some("bob"), None, Some("ada")]))),
        ("age", Arc::new(Int64Array::from(vec![Some(36), None, Some(-1), Some(36)]))),
    ])
}

#[test]
fn a_digest_as_it_is_written_is_this() {
    let key = key();
    assert_eq!(key.id(), "f6ff88d4af16cf04");
    let sealed = key.seal(&digest(&people()), &Place::Version("t", 7));
    assert_eq!(
        serde_json::to_string(&sealed).expect("JSON"),
        r#"{"key":"f6ff88d4af16cf04","digest":"c2c2dd881297bac6a6b080a2113b08d08fcee7a9af6b112a900213d1bf91cb3d","rows":4}"#
    );
    assert_eq!(key.open(&sealed, &Place::Version("t", 7)), Some(digest(&people())));
    assert_ne!(key.open(&sealed, &Place::Version("t", 8)), Some(digest(&people())));
    assert_ne!(key.open(&sealed, &Place::Version("u", 7)), Some(digest(&people())));
    assert_ne!(key.open(&sealed, &Place::Change("t", 7)), Some(digest(&people())));
    let other = DigestKey::of(&Privacy::new(Some("l"), false)).expect("a key");
    assert_eq!(other.open(&sealed, &Place::Version("t", 7)), None);
    for broken in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
        let sealed = Sealed { digest: broken.to_owned(), ..sealed.clone() };
        assert_eq!(key.open(&sealed, &Place::Version("t", 7)), None);
    }
    assert!(DigestKey::of(&Privacy::new(None, false)).is_none());
    assert!(DigestKey::of(&Privacy::new(Some("k"), false).without_digests()).is_none());
}

#[test]
fn every_value_has_one_encoding() {
    let micros = |values: Vec<i64>| TimestampMicrosecondArray::from(values);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None])]);
    let fields: Vec<(Arc<Field>, ArrayRef)> = vec![
        (Arc::new(Field::new("b", DataType::Int32, true)), Arc::new(Int32Array::from(vec![Some(2)]))),
        (Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from(vec![None]))),
    ];
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for (name, value) in [("y", Some("1")), ("x", None)] {
        map.keys().append_value(name);
        map.values().append_option(value);
    }
    map.append(true).expect("a map");
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(BooleanArray::from(vec![true])), "0101"),
        (Arc::new(Int8Array::from(vec![-2])), "02feffffffffffffff"),
        (Arc::new(Int64Array::from(vec![258])), "020201000000000000"),
        (Arc::new(Float64Array::from(vec![1.5])), "03000000000000f83f"),
        (Arc::new(Float32Array::from(vec![1.5])), "03000000000000f83f"),
        (Arc::new(Float64Array::from(vec![-0.0])), "030000000000000000"),
        (Arc::new(Float64Array::from(vec![-f64::NAN])), "03000000000000f87f"),
        (
            Arc::new(Decimal128Array::from(vec![150]).with_precision_and_scale(10, 2).expect("a decimal")),
            "040296000000000000000000000000000000",
        ),
        (Arc::new(StringArray::from(vec!["é"])), "050200000000000000c3a9"),
        (Arc::new(BinaryArray::from(vec![b"\0".as_slice()])), "06010000000000000000"),
        (Arc::new(Date32Array::from(vec![-1])), "07ffffffffffffffff"),
        (Arc::new(micros(vec![1_000]).with_timezone("UTC")), "08e803000000000000"),
        (Arc::new(TimestampMillisecondArray::from(vec![1]).with_timezone("UTC")), "08e803000000000000"),
        (Arc::new(micros(vec![1_000])), "09e803000000000000"),
        (Arc::new(list), "0a020000000000000002010000000000000000"),
        (Arc::new(StructArray::from(fields)), "0b0100000000000000<b>020200000000000000"),
        (Arc::new(map.finish()), "0c020000000000000005010000000000000078000501000000000000007905010000000000000031"),
    ];
    for (array, expected) in cases {
        let data_type = array.data_type().clone();
        assert_eq!(encoded(&batch(vec![("c", array)]), 0), format!("<c>{expected}"), "{data_type}");
    }
    assert_eq!(encoded(&people(), 0), "<age>022400000000000000<name>050300000000000000616461");
    assert_eq!(encoded(&people(), 2), "<age>02ffffffffffffffff");
}

#[test]
fn equal_rows_have_equal_digests_however_they_are_stored() {
    let all = digest(&people());
    assert_eq!(all.rows(), 4);
    let parts = (0..4).map(|row| digest(&people().slice(3 - row, 1)));
    assert_eq!(parts.sum::<RowDigest>(), all);
    let turned = people().project(&[1, 0]).expect("a projection");
    assert_eq!(digest(&turned), all);
    let names = vec![Some("ada"), Some("bob"), None, Some("ada")];
    let ages = || -> ArrayRef { Arc::new(Int32Array::from(vec![Some(36), None, Some(-1), Some(36)])) };
    let stored: Vec<ArrayRef> = vec![
        Arc::new(StringViewArray::from(names.clone())),
        Arc::new(LargeStringArray::from(names.clone())),
        Arc::new(names.iter().copied().collect::<DictionaryArray<Int32Type>>()),
    ];
    for array in stored {
        assert_eq!(digest(&batch(vec![("name", array), ("age", ages())])), all);
    }
    // A column that the table gained, NULL in rows from before.
    let gained: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 4]));
    let wider = batch(vec![("zip", gained), ("name", people().column(0).clone()), ("age", ages())]);
    assert_eq!(digest(&wider), all);
}

#[test]
fn lists_in_a_part_of_a_batch_are_those_of_the_part() {
    let lists = vec![Some(vec![Some(1), Some(2)]), None, Some(vec![]), Some(vec![Some(3), None])];
    let whole = batch(vec![("l", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists.clone())))]);
    let parts = (0..4).map(|row| digest(&whole.slice(row, 1))).collect::<Vec<_>>();
    for (part, list) in parts.iter().zip(lists) {
        let alone = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![list]);
        assert_eq!(*part, digest(&batch(vec![("l", Arc::new(alone))])));
    }
    assert_eq!(parts.into_iter().sum::<RowDigest>(), digest(&whole));
}

#[test]
fn different_rows_have_different_digests() {
    let texts = |values: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let two = |a: Option<&str>, b: Option<&str>| batch(vec![("a", texts(vec![a])), ("b", texts(vec![b]))]);
    let rows = [
        two(Some("x"), None),
        two(None, Some("x")),
        two(None, None),
        two(Some(""), None),
        two(Some("x"), Some("")),
        two(Some(""), Some("x")),
        batch(vec![("a", Arc::new(Int64Array::from(vec![1])))]),
        batch(vec![("a", Arc::new(Float64Array::from(vec![1.0])))]),
        batch(vec![("a", Arc::new(BooleanArray::from(vec![true])))]),
        batch(vec![("a", Arc::new(Date32Array::from(vec![1])))]),
        // Twice the same row.
        concat_batches(&two(None, None).schema(), &[two(Some("x"), None), two(Some("x"), None)]).expect("rows"),
    ];
    for (i, a) in rows.iter().enumerate() {
        for b in rows.iter().skip(i + 1) {
            assert_ne!(digest(a), digest(b), "{a:?} {b:?}");
        }
    }
}

#[test]
fn sums_carry_and_differences_borrow() {
    let limbs = |sum: [u64; 4], rows: i64| RowDigest { sum, rows };
    let all = limbs([u64::MAX; 4], 1);
    assert_eq!(all + limbs([1, 0, 0, 0], 2), limbs([0; 4], 3));
    assert_eq!(limbs([0; 4], 0) - limbs([1, 0, 0, 0], 1), limbs([u64::MAX; 4], -1));
    assert_eq!(limbs([u64::MAX, u64::MAX, 0, 0], 0) + limbs([1, 0, 0, 0], 0), limbs([0, 0, 1, 0], 0));
    assert_eq!(-(-all), all);
    let (a, b) = (digest(&people().slice(0, 1)), digest(&people().slice(1, 3)));
    assert_eq!(digest(&people()) - a, b);
}

#[test]
fn neither_a_key_nor_a_digest_can_be_printed() {
    assert_eq!(format!("{:?}", digest(&people())), "RowDigest of 4 rows");
    assert_eq!(format!("{:?}", key()), format!("DigestKey {}", key().id()));
}

#[test]
fn a_column_of_another_kind_is_named() {
    let field = Field::new("took", DataType::Duration(deltalake::arrow::datatypes::TimeUnit::Second), true);
    let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true), field]);
    assert_eq!(undigested(&schema), Some(("took".to_owned(), "Duration(s)".to_owned())));
    assert_eq!(undigested(&people().schema()), None);
    assert!(key().for_rows_of(&schema).is_none());
}
