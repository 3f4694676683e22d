//! Descriptions, comments of columns and properties: definitions say them, logs and catalogs have them, and no plan sees
//! them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use stedi_delta::inspect;
use stedi_delta::outcome::{Action, Mode};

use crate::nested::assert_duckdb_reads_the_same;
use crate::support::{Lake, assert_no_full, assert_still, of};

const COLUMNS: &str = "id = { type = \"long\", description = \"The number\" }\n\
     name = { type = \"string\", description = \"Of a person\", classification = \"pii\" }\n\
     k = \"long\"\n\
     s = { type = \"struct<a:long,b:string>\", description = \"Parts\" }\n";
const TEAM: &str = "[properties]\nteam = \"ml\"\n";

const QUERIES: [(&str, &str, &str); 3] = [
    (
        "plain",
        "[columns]\nnext = { type = \"long\", description = \"The one after\" }\n",
        "select n.id, n.id + 1 as next, n.name, n.k from n where n.k > 0",
    ),
    ("counted", "", "select n.k, count(*) as c, max(n.s.a) as most from n group by n.k"),
    ("joined", "", "select l.id, r.name from n l join n r on l.k = r.id"),
];

fn landing(columns: &str, properties: &str) -> String {
    format!(
        "description = \"Numbers\"\n[source]\npath = \"n/*.json\"\nformat = \"json\"\non_overwrite = \"replace\"\n\
         {properties}[columns]\n{columns}"
    )
}

fn lake(columns: &str, properties: &str) -> Lake {
    let lake = Lake::project(&[("tables/landing/n.toml", &landing(columns, properties))]);
    for (name, more, sql) in QUERIES {
        lake.define(&format!("tables/curated/{name}.toml"), &format!("description = \"Of n\"\n{more}"));
        lake.define(&format!("tables/curated/{name}.sql"), sql);
    }
    lake
}

fn record(id: i64) -> String {
    format!("{{\"id\":{id},\"name\":\"n{id}\",\"k\":{},\"s\":{{\"a\":{id},\"b\":\"x\"}}}}\n", id % 4)
}

fn records(ids: std::ops::Range<i64>) -> String {
    ids.map(record).collect()
}

fn logs(lake: &Lake, table: &str) -> Vec<PathBuf> {
    let folder = lake.warehouse().join(table).join("_delta_log");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "json"));
    files.sort();
    files
}

/// The newest metadata of a table, and its schema.
fn metadata(lake: &Lake, table: &str) -> (Value, Value) {
    let of = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().find_map(|line| serde_json::from_str::<Value>(line).unwrap().get("metaData").cloned())
    };
    let metadata = logs(lake, table).iter().rev().find_map(of).unwrap();
    let schema = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
    (metadata, schema)
}

/// `column: comment` of the columns that have one.
fn comments(lake: &Lake, table: &str) -> Vec<String> {
    let (_, schema) = metadata(lake, table);
    let fields = schema["fields"].as_array().unwrap().iter();
    let comment =
        |field: &Value| Some(format!("{}: {}", field["name"].as_str()?, field["metadata"]["comment"].as_str()?));
    fields.filter_map(comment).collect()
}

/// A table's entry in the local catalog.
fn entry_of(lake: &Lake, table: &str) -> Value {
    let catalog = fs::read_dir(lake.warehouse().join("_catalog")).unwrap().next().unwrap().unwrap().path();
    serde_json::from_str(&fs::read_to_string(catalog.join(format!("{table}.json"))).unwrap()).unwrap()
}

/// Another writer says something else of a table.
fn rewrite(lake: &Lake, table: &str, change: impl FnOnce(&mut Value, &mut Value)) {
    let (mut metadata, mut schema) = metadata(lake, table);
    change(&mut metadata, &mut schema);
    metadata["schemaString"] = schema.to_string().into();
    let next = logs(lake, table).len();
    let path = lake.warehouse().join(table).join(format!("_delta_log/{next:020}.json"));
    let info = json!({"commitInfo": {"operation": "CHANGE COLUMN", "engineInfo": "another"}});
    fs::write(path, format!("{info}\n{}\n", json!({"metaData": metadata}))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_definition_says_of_a_table_is_in_its_log_from_the_first_version() {
    let lake = lake(COLUMNS, TEAM);
    lake.land("n/a.json", records(1..9));
    let outcome = lake.sync().await;
    assert!(outcome.tables.iter().all(|table| table.version_after == Some(0)));
    assert_still(&lake.sync().await);
    let (n, _) = metadata(&lake, "landing/n");
    assert_eq!(n["description"], "Numbers");
    let configuration = &n["configuration"];
    assert_eq!(
        (&configuration["team"], &configuration["stedi-delta.properties"], &configuration["stedi-delta.comments"]),
        (&json!("ml"), &json!("team"), &json!("id,name,s,source_file,source_offset"))
    );
    let of_source = [
        "source_file: Path of the file under the landing root",
        "source_offset: Byte offset of the record in the decompressed file",
    ];
    assert_eq!(
        comments(&lake, "landing/n"),
        [&["id: The number", "name: Of a person", "s: Parts"][..], &of_source].concat()
    );
    // A column that a query passes on keeps its comment.
    assert_eq!(comments(&lake, "curated/plain"), ["id: The number", "next: The one after", "name: Of a person"]);
    assert_eq!(comments(&lake, "curated/counted"), [""; 0]);
    // The library reads them, too.
    let url = url::Url::from_directory_path(lake.warehouse().join("landing/n")).unwrap();
    let table = deltalake::open_table(url).await.unwrap();
    let field = table.snapshot().unwrap().schema().field("name").unwrap().clone();
    assert_eq!(field.metadata["comment"].to_string(), "Of a person");
    assert_duckdb_reads_the_same(&lake).await;
    // And the catalog.
    let entry = entry_of(&lake, "plain");
    assert_eq!(
        entry["StorageDescriptor"]["Columns"][2],
        json!({"Name": "name", "Type": "string", "Comment": "Of a person", "Parameters": {"classification": "pii"}})
    );
    let entry = entry_of(&lake, "n");
    assert_eq!((&entry["Parameters"]["team"], &entry["Description"]), (&json!("ml"), &json!("Numbers")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_that_changes_is_a_commit_without_rows_and_nothing_below_is_computed_whole() {
    let lake = lake(COLUMNS, TEAM);
    lake.land("n/a.json", records(1..9));
    lake.sync().await;
    let changed = COLUMNS.replace("The number", "Its number").replace(", description = \"Parts\"", "");
    lake.define("tables/landing/n.toml", &landing(&changed, "[properties]\nteam = \"bi\"\nowner = \"ada\"\n"));
    let why = "comments of `id`, `s`, properties `owner`, `team`";
    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    assert_eq!(planned.tables[0].reason, why);
    let outcome = lake.sync().await;
    let n = of(&outcome, "n");
    assert_eq!((n.version_after, n.reason.as_str(), n.io.files_added), (Some(1), why, 0));
    let commit = lake.table("landing/n").await.commit_at(1).await.unwrap().unwrap();
    assert!(!commit.changes_data() && commit.changes_metadata);
    let facts = commit.info.unwrap().info["stediDelta"]["columns"].clone();
    assert_eq!(facts, json!(["~ id: comment", "~ s: comment", "~ property owner", "~ property team"]));
    assert_no_full(&outcome);
    // What a derived table takes over follows, in the commit that brings it to the cut.
    assert_eq!(of(&outcome, "plain").version_after, Some(1));
    assert_eq!(comments(&lake, "curated/plain")[0], "id: Its number");
    assert!(!comments(&lake, "landing/n").contains(&"s: Parts".to_owned()));
    assert_still(&lake.sync().await);

    // On a derived table alone.
    let (name, more, _) = QUERIES[0];
    let toml = format!("tables/curated/{name}.toml");
    lake.define(&toml, &format!("description = \"Of n\"\n{}", more.replace("The one after", "One more")));
    let planned = inspect::plan(&lake.workspace().await, &[]).await.unwrap();
    let plain = planned.tables.iter().find(|table| table.table.as_str() == "plain").unwrap();
    assert_eq!((plain.action, plain.reason.as_str()), (Action::Do(Mode::Metadata), "comment of `next`"));
    let outcome = lake.sync().await;
    let plain = of(&outcome, "plain");
    assert_eq!(
        (plain.mode, plain.reason.as_str(), plain.version_after),
        (Mode::Metadata, "comment of `next`", Some(2))
    );
    assert_still(&lake.sync().await);
    // A property that the definition no longer has goes.
    lake.define("tables/landing/n.toml", &landing(&changed, "[properties]\nowner = \"ada\"\n"));
    lake.sync().await;
    let (n, _) = metadata(&lake, "landing/n");
    assert_eq!((&n["configuration"]["team"], &n["configuration"]["owner"]), (&Value::Null, &json!("ada")));
    let entry = entry_of(&lake, "n");
    assert_eq!((&entry["Parameters"]["team"], &entry["Parameters"]["owner"]), (&Value::Null, &json!("ada")));
    let columns = entry["StorageDescriptor"]["Columns"].as_array().unwrap();
    let s = columns.iter().find(|column| column["Name"] == "s").unwrap();
    assert_eq!(*s, json!({"Name": "s", "Type": "struct<a:bigint,b:string>"}));
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_writer_says_of_a_column_stays_where_the_definition_says_nothing() {
    let lake = lake(COLUMNS, "");
    lake.land("n/a.json", records(1..9));
    lake.sync().await;
    rewrite(&lake, "landing/n", |metadata, schema| {
        metadata["configuration"]["steward"] = "eve".into();
        schema["fields"][0]["metadata"]["comment"] = "theirs".into();
        schema["fields"][2]["metadata"] = json!({"comment": "theirs", "other": 1});
        schema["fields"][3]["type"]["fields"][0]["metadata"]["comment"] = "inside".into();
    });
    let theirs = |lake: &Lake| {
        let (metadata, schema) = metadata(lake, "landing/n");
        assert_eq!(metadata["configuration"]["steward"], "eve");
        let field = move |name: &str| {
            schema["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone()
        };
        assert_eq!(field("s")["type"]["fields"][0]["metadata"], json!({"comment": "inside"}));
        field
    };
    let outcome = lake.sync().await;
    assert_eq!(of(&outcome, "n").reason, "comment of `id`", "the definition decides");
    assert_no_full(&outcome);
    assert_eq!(theirs(&lake)("k")["metadata"], json!({"comment": "theirs", "other": 1}));
    assert_eq!(comments(&lake, "landing/n")[0], "id: The number");
    lake.assert_recomputed().await;

    // Also when columns come, rows land and go, and a column gets another name.
    lake.define("tables/landing/n.toml", &landing(&format!("{COLUMNS}zone = \"string\"\n"), ""));
    lake.land("n/b.json", records(20..24));
    lake.land("n/a.json", records(2..7));
    let outcome = lake.sync().await;
    assert_no_full(&outcome);
    assert_eq!(theirs(&lake)("k")["metadata"], json!({"comment": "theirs", "other": 1}));
    lake.assert_recomputed().await;
    assert_duckdb_reads_the_same(&lake).await;
    let renamed = COLUMNS.replace("k = ", "kind = ") + "zone = \"string\"\n";
    lake.define("migrations/0001_kind.sql", "alter table n rename column k to kind;\nalter table n drop column s.b;\n");
    lake.define("tables/landing/n.toml", &landing(&renamed.replace(",b:string", ""), ""));
    for (name, _, sql) in QUERIES {
        lake.define(&format!("tables/curated/{name}.sql"), &sql.replace("n.k", "n.kind").replace("l.k", "l.kind"));
    }
    let outcome = lake.sync().await;
    assert_eq!(outcome.migrations[0].statements.len(), 2);
    let n = of(&outcome, "n");
    assert_eq!(n.version_before, n.version_after, "the statements' commits say all: {}", n.reason);
    assert_eq!(theirs(&lake)("kind")["metadata"], json!({"comment": "theirs", "other": 1}));
    assert_still(&lake.sync().await);
    lake.assert_recomputed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_from_before_get_comments_and_the_record_of_their_columns_by_the_next_sync() {
    let lake = lake(COLUMNS, TEAM);
    lake.land("n/a.json", records(1..9));
    lake.sync().await;
    // As an earlier version of this tool wrote them.
    for table in ["landing/n", "curated/plain", "curated/counted", "curated/joined"] {
        let first = &logs(&lake, table)[0];
        let line = |line: &str| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            if let Some(metadata) = action.get_mut("metaData") {
                let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
                for field in schema["fields"].as_array_mut().unwrap() {
                    field["metadata"] = json!({});
                }
                metadata["schemaString"] = schema.to_string().into();
                let ours = |name: &String| name.starts_with("stedi-delta.") || name == "team";
                metadata["configuration"].as_object_mut().unwrap().retain(|name, _| !ours(name));
            }
            action.to_string()
        };
        let text = fs::read_to_string(first).unwrap().lines().map(line).collect::<Vec<_>>().join("\n");
        fs::write(first, text).unwrap();
    }
    fs::remove_dir_all(lake.warehouse().join("system/runs")).unwrap();
    let outcome = lake.sync().await;
    let why = "comments of 5 columns, properties `team`, `stedi-delta.columns`";
    assert_eq!((of(&outcome, "n").reason.as_str(), of(&outcome, "n").version_after), (why, Some(1)));
    assert_eq!(comments(&lake, "landing/n").len(), 5);
    assert_eq!(comments(&lake, "curated/plain").len(), 3);
    assert_still(&lake.sync().await);
    let files = lake.files();
    lake.define("tables/landing/n.toml", &landing(&COLUMNS.replace("k = \"long\"\n", ""), TEAM));
    for (name, _, sql) in QUERIES {
        lake.define(
            &format!("tables/curated/{name}.sql"),
            &sql.replace(", n.k from", " from").replace("n.k", "n.id").replace("l.k", "l.id"),
        );
    }
    let problem = lake.try_sync().await.problem.unwrap();
    assert_eq!(problem.message(), "the columns of n need a migration: drop column k");
    assert_eq!(lake.files(), files);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plan_sees_a_comment() {
    let bare: String = COLUMNS
        .lines()
        .map(|line| match line.split_once(", description = ") {
            Some((before, after)) => {
                format!("{before}{}\n", after.split_once('"').unwrap().1.split_once('"').unwrap().1)
            }
            None => format!("{line}\n"),
        })
        .collect();
    let (described, plain) = (lake(COLUMNS, TEAM), lake(&bare, ""));
    let explained = |rows: Vec<String>| -> Vec<String> {
        let lines = rows.iter().flat_map(|row| row.lines());
        // Names of files differ.
        lines
            .map(|line| match (line.find("file_groups="), line.find("projection=")) {
                (Some(from), Some(to)) if from < to => format!("{}{}", &line[..from], &line[to..]),
                _ => line.to_owned(),
            })
            .collect()
    };
    for (step, text) in [("n/a.json", records(1..200)), ("n/b.json", records(300..310)), ("n/a.json", records(3..190))]
    {
        let mut done = Vec::new();
        for lake in [&described, &plain] {
            lake.land(step, &text);
            let outcome = lake.sync().await;
            let of_table = |t: &stedi_delta::outcome::TableOutcome| {
                (t.table.to_string(), t.mode, t.rows.inserted, t.rows.deleted, t.io.rows_read, t.io.files_read)
            };
            done.push(outcome.tables.iter().map(of_table).collect::<Vec<_>>());
            lake.assert_recomputed().await;
        }
        assert_eq!(done[0], done[1], "{step}");
        for sql in [
            "select * from n",
            "select n.id, n.s.a from n where n.k = 3 and n.id > 100",
            "select l.id from n l join n r on l.k = r.id where r.name = 'n7'",
            "select n.k, count(*) from n group by n.k order by n.k limit 2",
            "select p.id from plain p union all select c.k from counted c",
            "select c.most from counted c where c.k in (select n.k from n where n.s.b = 'x')",
        ] {
            let (one, other) =
                (described.rows(&format!("explain {sql}")).await, plain.rows(&format!("explain {sql}")).await);
            let (one, other) = (explained(one), explained(other));
            assert!(one.iter().any(|line| line.contains("DeltaScan")), "{one:?}");
            assert_eq!(one, other, "{sql}");
            assert_eq!(described.rows(sql).await, plain.rows(sql).await, "{sql}");
        }
    }
}
