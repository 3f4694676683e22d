//! Cases in which other systems were wrong, each by name (docs/proof/killers.md): shared helpers.

mod frames;
mod groups;
mod joins;
mod neighbours;
mod nulls;
mod orders;
mod running;
mod subqueries;
mod truth;
mod values;

use deltalake::arrow::datatypes::DataType;

use super::support::{Bag, TestTable, Value, World, law};
use crate::evaluate::Limits;

fn row(k: Option<i64>, s: &str, v: i64) -> Vec<Value> {
    vec![Value::Int(k), Value::Text(Some(s.to_owned())), Value::Int(Some(v))]
}

fn table(name: &str, old: Bag, change: Bag) -> TestTable {
    TestTable::new(name, &[("k", DataType::Int64), ("s", DataType::Utf8), ("v", DataType::Int64)], old, change)
}

async fn holds(a: (Bag, Bag), b: (Bag, Bag), queries: &[&str]) {
    let world = World { tables: vec![table("a", a.0, a.1), table("b", b.0, b.1)], before: false };
    for sql in queries {
        for limits in [Limits::default(), Limits { bytes: 0 }] {
            if let Err(e) = law(&world, sql, limits).await {
                panic!("{sql}\n{e}");
            }
        }
    }
}

const JOIN: &str = "select a.k, a.s, b.v from a join b on a.k = b.k";
const SELF: &str = "select x.k, x.v, y.v as w from a x join a y on x.k = y.k";
const EXISTS: &str = "select k, s, v from a where exists (select 1 from b where b.k = a.k)";
const NOT_EXISTS: &str = "select k, s, v from a where not exists (select 1 from b where b.k = a.k)";
const OTHER: &str = "select k, s, v from a where exists (select 1 from b where b.k = a.k and b.v <> a.v)";
const GROUP: &str = "select k, count(*) as n, sum(v) as total, min(s) as least from a group by k";
const LATEST: &str =
    "select k, s from (select *, row_number() over (partition by k order by v desc, s) as n from a) where n = 1";

fn int(value: Option<i64>) -> Value {
    Value::Int(value)
}
