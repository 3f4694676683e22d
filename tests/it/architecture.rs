//! The order of modules in `src/lib.rs` is the architecture: no module imports from below it, and each foreign crate is
//! imported by few modules.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::repository;

/// Modules in order.
fn order() -> Vec<String> {
    let map = fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let modules =
        map.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    modules.map(str::to_owned).collect()
}

pub(crate) fn rust_files(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            rust_files(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|e| e == "rs") {
        files.push(path.to_owned());
    }
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let src = repository().join("src");
    let mut files = Vec::new();
    for path in [src.join(module), src.join(format!("{module}.rs"))] {
        if path.exists() {
            rust_files(&path, &mut files);
        }
    }
    files
}

/// The text without comments and without the module's tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_import_only_from_modules_above_them() {
    let order = order();
    let mut broken = Vec::new();
    for (rank, module) in order.iter().enumerate() {
        for file in files_of(module) {
            for used in code(&file).split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if order[rank + 1..].contains(&used) {
                    broken.push(format!("{} imports `{used}`, which comes later", file.display()));
                }
            }
        }
    }
    assert!(order.len() > 10);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_module_of_the_source_is_on_the_map() {
    let order = order();
    for entry in fs::read_dir(repository().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(["lib", "main"].contains(&module) || order.iter().any(|m| m == module), "{name} is not in lib.rs");
    }
}

#[test]
fn every_place_that_the_guides_name_is_there() {
    for guide in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(repository().join(guide)).unwrap();
        let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|word| word.starts_with("src/")).collect();
        assert!(!named.is_empty(), "{guide}");
        for path in named {
            assert!(repository().join(path).exists(), "{guide} names `{path}`");
        }
    }
}

#[test]
fn nothing_in_the_source_knows_the_project_that_is_shipped_with_it() {
    let words = ["accelerometer", "step_trainer", "customer_trusted", "machine_learning"];
    let mut files = Vec::new();
    rust_files(&repository().join("src"), &mut files);
    for file in files.iter().filter(|f| !f.to_string_lossy().contains("tests")) {
        let code = code(file);
        let code = code.split("#[cfg(test)]").next().unwrap();
        for word in words {
            assert!(!code.contains(word), "{} knows `{word}`", file.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_six_hundred_lines() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        rust_files(&repository().join(folder), &mut files);
    }
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines", file.display());
    }
}

/// Foreign crates with their own I/O, formats or output, and the modules that use them. Others (`serde`, `futures`, arrow's
/// arrays, DataFusion's plans) may be used everywhere.
const DOORS: [(&str, &[&str]); 35] = [
    ("annotate_snippets", &["definition"]),
    ("aws_config", &["aws"]),
    ("aws_credential_types", &["aws"]),
    ("aws_sdk_glue", &["catalog"]),
    ("aws_smithy_http_client", &["aws"]),
    ("aws_smithy_runtime_api", &["aws"]),
    ("aws_smithy_types", &["aws", "catalog"]),
    ("aws_types", &["aws"]),
    ("backon", &["retry"]),
    ("base64", &["ingest"]),
    ("buoyant_kernel", &["lake"]),
    ("buoyant_kernel_engine", &["lake"]),
    ("bzip2", &["ingest"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("console", &["cli"]),
    ("deltalake::table", &["lake"]),
    ("deltalake::checkpoints", &["lake"]),
    ("deltalake::kernel", &["lake"]),
    ("deltalake::logstore", &["lake", "storage"]),
    ("deltalake::parquet", &["lake", "redact"]),
    ("deltalake::protocol", &["lake"]),
    ("flate2", &["ingest"]),
    ("globset", &["definition", "ingest"]),
    ("indicatif", &["cli"]),
    ("maud", &["report"]),
    ("mimalloc", &[]),
    ("reqwest", &["notify"]),
    ("stedi_delta_allocator", &["cli", "main"]),
    ("strsim", &["name"]),
    ("toml", &["definition"]),
    ("url", &["aws", "definition", "lake", "storage"]),
    ("uuid", &["clock", "lake"]),
    ("zstd", &["ingest"]),
];

#[test]
fn each_foreign_crate_has_its_doors_and_no_others() {
    let mut modules = order();
    modules.push("main".to_owned());
    for (door, expected) in DOORS {
        let uses = |text: &str| {
            let path = format!("{door}::");
            let ends = |at: usize| text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let used = text.match_indices(&path).any(|(at, _)| !ends(at));
            used || text.contains(&format!("use {door};"))
        };
        let is_product = |file: &&PathBuf| !file.to_string_lossy().contains("tests");
        let found: Vec<&str> = modules
            .iter()
            .filter(|module| {
                files_of(module).iter().filter(is_product).any(|file| {
                    let text = code(file);
                    uses(text.split("#[cfg(test)]").next().unwrap_or_default())
                })
            })
            .map(String::as_str)
            .collect();
        let mut expected = expected.to_vec();
        expected.sort_by_key(|module| modules.iter().position(|m| m == module));
        assert_eq!(found, expected, "modules that use `{door}`");
    }
}
