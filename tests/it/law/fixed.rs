//! Law 1 on real tables: after every sync of a random history, each derived table equals its query, as a multiset.

use proptest::prelude::*;
use stedi_delta::outcome::Mode;

use crate::support::{Lake, assert_ok};

const FILES: usize = 4;

/// An event between two syncs.
#[derive(Clone, Debug)]
enum Step {
    /// A file of one of the two landing tables is written or overwritten.
    Land { left: bool, file: usize, rows: Vec<(Option<i64>, Option<i64>, Option<i64>)> },
    /// Another writer compacts a table.
    Optimize(usize),
    /// The lake is brought to the cut.
    Sync,
}

/// Values that collide and are often missing.
fn value() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![1 => Just(None), 4 => (0..4_i64).prop_map(Some)]
}

fn step() -> impl Strategy<Value = Step> {
    let rows = prop::collection::vec((value(), value(), value()), 0..6);
    prop_oneof![
        5 => (any::<bool>(), 0..FILES, rows).prop_map(|(left, file, rows)| Step::Land { left, file, rows }),
        1 => (0..TABLES.len()).prop_map(Step::Optimize),
        3 => Just(Step::Sync),
    ]
}

/// Derived tables, one per kind of operator, some over others.
const TABLES: [(&str, &str); 9] = [
    ("filtered", "select l.k, l.v, l.w + 1 as w1 from l where l.v > 0"),
    ("semi", "select l.k, l.v from l where exists (select 1 from r where r.k = l.k and r.v is not null)"),
    ("anti", "select l.k, l.v from l where not exists (select 1 from r where r.k = l.k)"),
    ("joined", "select l.k, l.v, r.w from l join r on l.k = r.k where l.w is not null"),
    ("counted", "select l.k, count(*) as n, sum(l.v) as s, max(l.w) as m from l group by l.k having count(*) > 1"),
    (
        "latest",
        "select t.k, t.v, t.w from (select l.*, row_number() over (partition by l.k order by l.v desc nulls last, \
         l.w nulls last, l.source_file, l.source_offset) as n from l) t where t.n = 1",
    ),
    ("different", "select distinct l.v, l.w from l"),
    ("both", "select l.k, l.v from l union all select r.k, r.v from r"),
    ("above", "select c.k, c.n, a.v from counted c join latest a on c.k = a.k where c.n < 5"),
];

fn landing(path: &str) -> String {
    format!(
        "description = \"x\"\n[source]\npath = \"{path}/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
         [columns]\nk = \"long\"\nv = \"long\"\nw = \"long\"\n"
    )
}

fn lake() -> Lake {
    let lake = Lake::project(&[("tables/landing/l.toml", &landing("l")), ("tables/landing/r.toml", &landing("r"))]);
    for (name, sql) in TABLES {
        lake.define(&format!("tables/curated/{name}.toml"), "description = \"x\"\nrefresh = \"incremental\"\n");
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake
}

async fn history(steps: Vec<Step>) {
    let lake = lake();
    let mut built = false;
    for step in steps.into_iter().chain([Step::Sync]) {
        match step {
            Step::Land { left, file, rows } => {
                let text = |v: Option<i64>| v.map_or("null".to_owned(), |v| v.to_string());
                let record = |(k, v, w)| format!("{{\"k\":{},\"v\":{},\"w\":{}}}\n", text(k), text(v), text(w));
                let records: String = rows.into_iter().map(record).collect();
                lake.land(&format!("{}/{file}.json", if left { "l" } else { "r" }), records);
            }
            Step::Optimize(table) if built => {
                let folder = lake.warehouse().join("curated").join(TABLES[table].0);
                let url = url::Url::from_directory_path(folder).unwrap();
                let table = deltalake::DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
                table.optimize().await.unwrap();
            }
            Step::Optimize(_) => {}
            Step::Sync => {
                let outcome = lake.try_sync().await;
                assert_ok(&outcome);
                assert!(!built || outcome.tables.iter().all(|t| t.mode != Mode::Full), "a full refresh");
                built = true;
                lake.assert_recomputed().await;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_recomputed_after_every_sync(steps in prop::collection::vec(step(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(16 << 20).build();
        runtime.unwrap().block_on(history(steps));
    }
}
