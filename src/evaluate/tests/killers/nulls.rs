//! `=` beside `is not distinct from`: NULL = NULL is not true, even if both are keys of one join. The rows are those of
//! PostgreSQL and DuckDB.

use super::truth::means_over;
use super::{int, row};
use crate::evaluate::tests::support::{Bag, Value};

fn valued(k: Option<i64>, v: Option<i64>) -> Vec<Value> {
    let mut row = row(k, "x", 0);
    row[2] = int(v);
    row
}

fn rows(rows: &[(Option<i64>, Option<i64>)]) -> Bag {
    rows.iter().map(|(k, v)| (valued(*k, *v), 1)).collect()
}

#[tokio::test]
async fn null_equals_null_for_null_safe_keys_only() {
    let a = rows(&[(Some(1), None), (Some(2), Some(5)), (None, None)]);
    let states = [vec![], rows(&[(Some(1), None), (None, None)]), rows(&[(Some(1), Some(5)), (Some(2), Some(5))])];
    let one = ["", "", "2"];
    means_over(
        &a,
        &states,
        &[
            ("select x.k from a x join b y on x.k is not distinct from y.k where x.v = y.v", one),
            ("select x.k from a x left join b y on x.k is not distinct from y.k where x.v = y.v", one),
            ("select x.k from a x right join b y on x.k is not distinct from y.k where x.v = y.v", one),
            ("select x.k from a x full join b y on x.k is not distinct from y.k where x.v = y.v", one),
            ("select x.k from a x join b y on x.k is not distinct from y.k where y.v + 1 = x.v + 1", one),
            ("select x.k from a x, b y where x.k is not distinct from y.k and x.s is not distinct from y.s and x.v = y.v", one),
            ("select x.k from a x join b y using (k) where x.v is not distinct from y.v", ["", "1", "2"]),
            (
                "select k from (select x.k, x.v as v, y.v as w from a x join b y on x.k is not distinct from y.k) t \
                 where v = w",
                one,
            ),
            (
                "select x.k from a x join b y on x.k is not distinct from y.k where x.v = y.v group by x.k",
                one,
            ),
            ("select x.k from a x where x.v = (select max(y.v) from b y where y.k is not distinct from x.k)", one),
            (
                "select x.k from a x where x.v = (select sum(y.v) from b y where y.k = x.k having count(*) > 0)",
                one,
            ),
            (
                "select x.k from a x where exists ( \
                   select 1 from b y where y.k = x.k and y.v in (select z.v from a z where z.k = x.k))",
                one,
            ),
            (
                "select x.k from a x where exists ( \
                   select 1 from b y where y.k is not distinct from x.k and y.v = x.v)",
                one,
            ),
            (
                "select x.k from a x where not exists ( \
                   select 1 from b y where y.k is not distinct from x.k and y.v = x.v)",
                ["1 2 ∅", "1 2 ∅", "1 ∅"],
            ),
            (
                "select x.k, exists (select 1 from b y where y.k is not distinct from x.k and y.v = x.v) as e from a x",
                ["1:false 2:false ∅:false", "1:false 2:false ∅:false", "1:false 2:true ∅:false"],
            ),
            (
                "select x.k, y.v from a x left join b y on x.k is not distinct from y.k and x.v = y.v",
                ["1:∅ 2:∅ ∅:∅", "1:∅ 2:∅ ∅:∅", "1:∅ 2:5 ∅:∅"],
            ),
            (
                "select x.k, y.k as j from a x full join b y on x.k is not distinct from y.k and x.v = y.v",
                ["1:∅ 2:∅ ∅:∅", "1:∅ 2:∅ ∅:1 ∅:∅ ∅:∅", "1:∅ 2:2 ∅:1 ∅:∅"],
            ),
            // In an uncorrelated subquery.
            (
                "select k from a where k in ( \
                   select x.k from a x join b y on x.k is not distinct from y.k join a z on z.v = y.v where x.v = y.v)",
                one,
            ),
        ],
    )
    .await;
}
