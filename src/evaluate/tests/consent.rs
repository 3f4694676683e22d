//! The queries of a lake with consent, over random histories of people, readings and steps.

use proptest::prelude::*;

use deltalake::arrow::datatypes::DataType;

use super::support::{Bag, TestTable, Value, World, block_on, cases, law};
use crate::evaluate::Limits;
use crate::incremental::ChangeKind;

/// The latest record of each e-mail, if it consents; a tie is decided by the record that refuses.
pub(super) const TRUSTED: &str = "select email, serialnumber, consent from (
    select *, row_number() over (partition by email
        order by lastupdatedate desc nulls last, consent is not null, source_file, source_offset) as latest
    from customers)
  where latest = 1 and consent is not null";

/// Readings of people who consent.
pub(super) fn readings() -> String {
    format!(
        "select r.user, r.timestamp, r.x from readings r
         where exists (select 1 from ({TRUSTED}) c where c.email = r.user)"
    )
}

/// Steps of devices that exactly one person claims.
pub(super) fn steps() -> String {
    format!(
        "select s.sensorreadingtime, s.serialnumber, s.distance from steps s
         where s.serialnumber in (select serialnumber from ({TRUSTED}) c group by serialnumber having count(*) = 1)"
    )
}

fn queries() -> Vec<String> {
    vec![
        TRUSTED.to_owned(),
        readings(),
        steps(),
        format!(
            "select s.sensorreadingtime, s.serialnumber, s.distance, r.user, r.x
             from steps s join ({TRUSTED}) c on c.serialnumber = s.serialnumber
             join readings r on r.user = c.email and r.timestamp = s.sensorreadingtime"
        ),
        format!(
            "select s.serialnumber, s.distance, r.x from ({}) s, ({}) r, ({TRUSTED}) c
             where c.serialnumber = s.serialnumber and r.user = c.email and r.timestamp = s.sensorreadingtime",
            steps(),
            readings()
        ),
        format!("select c.email, c.serialnumber from ({TRUSTED}) c where exists (select 1 from readings r where r.user = c.email)"),
        format!("select r.user, count(*) as n, max(r.timestamp) as last from ({}) r group by r.user", readings()),
        "select distinct serialnumber from customers c where not exists (select 1 from steps s where s.serialnumber = c.serialnumber)".into(),
    ]
}

/// One row drawn from few values: three people, two devices, three moments.
fn text(of: &[&str], n: u8) -> Value {
    Value::Text(of.get(usize::from(n) % (of.len() + 1)).map(|s| (*s).to_owned()))
}

fn int(n: u8, below: u8) -> Value {
    let n = n % (below + 1);
    Value::Int((n < below).then_some(i64::from(n)))
}

fn customer(draw: &[u8], offset: i64) -> Vec<Value> {
    vec![
        text(&["p", "q", "r"], draw[0]),
        text(&["d1", "d2"], draw[1]),
        int(draw[2], 2),
        int(draw[3], 3),
        text(&["f", "g"], draw[4] % 2),
        Value::Int(Some(offset)),
    ]
}

fn table(
    name: &str,
    columns: &[(&str, DataType)],
    draws: &[Vec<u8>],
    row: impl Fn(&[u8], i64) -> Vec<Value>,
) -> TestTable {
    let (mut old, mut change): (Bag, Bag) = (Vec::new(), Vec::new());
    for (draw, at) in draws.iter().zip(0..) {
        let this = row(draw, at);
        match draw[5] % 6 {
            0 | 1 => old.push((this, 1)),
            2 => change.push((this, 1)),
            3 => {
                old.push((this.clone(), 1));
                change.push((this, -1));
            }
            4 => {
                // The record is corrected: same place, other values.
                let mut other = draw.clone();
                other.rotate_left(1);
                old.push((this.clone(), 1));
                change.extend([(this, -1), (row(&other, at), 1)]);
            }
            _ => {
                old.push((this.clone(), 2));
                change.extend([(this.clone(), -1), (this.clone(), 1), (this, -1)]);
            }
        }
    }
    let kind = if change.is_empty() {
        ChangeKind::None
    } else if change.iter().all(|(_, w)| *w > 0) {
        ChangeKind::InsertOnly
    } else {
        ChangeKind::Mutating
    };
    TestTable { kind, ..TestTable::new(name, columns, old, change) }
}

/// The three tables, from draws of six bytes per row.
pub(super) fn world(customers: &[Vec<u8>], readings: &[Vec<u8>], steps: &[Vec<u8>]) -> World {
    let (t, i) = (DataType::Utf8, DataType::Int64);
    let tables = vec![
        table(
            "customers",
            &[
                ("email", t.clone()),
                ("serialnumber", t.clone()),
                ("consent", i.clone()),
                ("lastupdatedate", i.clone()),
                ("source_file", t.clone()),
                ("source_offset", i.clone()),
            ],
            customers,
            customer,
        ),
        table("readings", &[("user", t.clone()), ("timestamp", i.clone()), ("x", i.clone())], readings, |d, _| {
            vec![text(&["p", "q", "r"], d[0]), int(d[1], 3), int(d[2], 2)]
        }),
        table("steps", &[("sensorreadingtime", i.clone()), ("serialnumber", t), ("distance", i)], steps, |d, _| {
            vec![int(d[0], 3), text(&["d1", "d2"], d[1]), int(d[2], 2)]
        }),
    ];
    World { tables, before: false }
}

fn draws() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 6), 0..10)
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn queries_about_consent_are_maintained(
        customers in draws(), readings in draws(), steps in draws(), query in 0..8_usize, small in any::<bool>()
    ) {
        let world = world(&customers, &readings, &steps);
        let sql = &queries()[query];
        let limits = if small { Limits { bytes: 1 } } else { Limits::default() };
        if let Err(e) = block_on(law(&world, sql, limits)) {
            return Err(TestCaseError::fail(format!("{sql}\n{world:#?}\n{e}")));
        }
    }
}
