//! A warehouse like TPC-DI's (`examples/tpcdi`), small: every kind of batch, and the tables are their queries.

use std::fs;
use std::process::ExitCode;

use crate::support::{Lake, repository};

#[expect(dead_code, reason = "the example's own main")]
#[path = "../../examples/tpcdi/generate/main.rs"]
mod generate;

fn make(lake: &Lake, batch: u32) {
    let (out, batch) = (lake.landing(), batch.to_string());
    let mut args = vec!["--out", out.to_str().unwrap(), "--trades", "300"];
    if batch != "0" {
        args.extend(["--batch", &batch]);
    }
    assert_eq!(generate::run(args.into_iter().map(str::to_owned)), ExitCode::SUCCESS);
}

#[tokio::test(flavor = "multi_thread")]
async fn tpcdi_tables_are_their_queries_after_every_kind_of_batch() {
    let lake = Lake::project(&[]);
    let example = repository().join("examples/tpcdi");
    for zone in ["landing", "warehouse"] {
        for entry in fs::read_dir(example.join("tables").join(zone)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap().replace("refresh = \"auto\"", "refresh = \"incremental\"");
            lake.define(path.strip_prefix(&example).unwrap().to_str().unwrap(), &text);
        }
    }
    lake.define("stedi-delta.toml", &fs::read_to_string(example.join("stedi-delta.toml")).unwrap());
    make(&lake, 0);
    lake.sync().await;
    (1..=u32::try_from(generate::Kind::ALL.len()).unwrap()).for_each(|batch| make(&lake, batch));
    lake.sync().await;
    lake.assert_recomputed().await;
}
