//! The image and the files of a release. No engine for images is needed: where there is one, the image is built and run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::architecture::rust_files;
use crate::support::repository;

/// The sources and the destination of each `COPY` from the repository.
fn copies(dockerfile: &str) -> Vec<(Vec<&str>, &str)> {
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let words = copies.filter(|line| !line.contains("--from=")).map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.map(|words| (words[..words.len() - 1].to_vec(), words[words.len() - 1])).collect()
}

#[test]
fn the_image_is_made_of_files_that_are_there() {
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    let copies = copies(&dockerfile);
    assert_eq!(copies.len(), 4, "{copies:?}");
    for source in copies.iter().flat_map(|(sources, _)| sources) {
        assert!(repository().join(source).exists(), "COPY {source}");
    }
    // The last stage adds to its base what the program needs, and nothing else.
    let (_, last) = dockerfile.rsplit_once("\nFROM ").unwrap();
    let added: Vec<&str> = last.lines().filter(|line| line.starts_with("COPY ") || line.starts_with("RUN ")).collect();
    assert_eq!(
        added,
        [
            "COPY --from=build /src/libraries /",
            "COPY --from=build /src/target/dist/stedi-delta /usr/local/bin/stedi-delta",
            "COPY LICENSE /usr/share/doc/stedi-delta/LICENSE",
        ]
    );
    assert!(last.starts_with("gcr.io/distroless/static-debian12:nonroot\n"), "{last}");
    let rust = fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let oldest = rust.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().trim_end_matches('"');
    assert!(dockerfile.contains(&format!("FROM rust:{oldest}-")), "the image compiles with the oldest Rust that works");
}

/// The build in the image has what `.dockerignore` leaves: every file that the source includes is in it.
#[test]
fn files_that_the_source_includes_are_not_ignored() {
    let ignore = fs::read_to_string(repository().join(".dockerignore")).unwrap();
    let ignored: Vec<PathBuf> = ignore
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| repository().join(line.trim_start_matches('/')))
        .collect();
    let mut sources = Vec::new();
    for folder in ["src", "examples/init"] {
        rust_files(&repository().join(folder), &mut sources);
    }
    let mut included = 0;
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap();
        for macro_call in ["include_str!(\"", "include_bytes!(\""] {
            for (_, rest) in product.match_indices(macro_call).map(|(at, found)| product[at..].split_at(found.len())) {
                let path = source.parent().unwrap().join(rest.split('"').next().unwrap());
                let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let is_test = source.strip_prefix(repository()).unwrap().to_string_lossy().contains("tests");
                let is_ignored = ignored.iter().any(|folder| path.starts_with(folder));
                assert!(is_test || !is_ignored, "{} includes {}", source.display(), path.display());
                included += 1;
            }
        }
    }
    assert!(included > 0);
}

/// A local project needs nothing but the program and the libraries that the Dockerfile copies: those of glibc and libgcc.
#[cfg(target_os = "linux")]
#[test]
fn the_program_runs_with_the_libraries_of_the_image_alone() {
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    let program = env!("CARGO_BIN_EXE_stedi-delta");
    let listing = dockerfile.split_once("for file in $(").and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
    let listing = listing.replace("target/dist/stedi-delta", "\"$0\"");
    if Command::new("ldd").arg("--version").output().is_err() {
        println!("skipped: there is no ldd on this machine");
        return;
    }
    let listed = Command::new("bash").args(["-c", &listing, program]).output().unwrap();
    let libraries = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<&str> = libraries.lines().filter_map(|path| path.rsplit('/').next()).collect();
    for name in &names {
        let given = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"];
        assert!(given.iter().any(|library| name.starts_with(library)), "{name} of {libraries}");
    }
    assert!(names.iter().any(|name| name.starts_with("libc.so")), "{libraries}");

    let unshared = Command::new("unshare").args(["--map-root-user", "--root", "/", "true"]).status();
    if !unshared.is_ok_and(|status| status.success()) {
        println!("skipped: this process may not change its root");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let put = |file: &str, to: &str| {
        let to = root.path().join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    };
    libraries.lines().for_each(|file| put(file, file));
    put(program, "/stedi-delta");
    fs::create_dir(root.path().join("tmp")).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.env_clear().args(["--map-root-user", "--root"]).arg(root.path()).arg("/stedi-delta").args(args);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    run(&["init", "--example", "shop", "/project"]);
    run(&["--project", "/project", "sync"]);
    let orders = run(&["--project", "/project", "query", "--format", "csv", "select count(*) as n from orders"]);
    assert!(orders.starts_with("n\n") && orders != "n\n0\n", "{orders}");
}

/// `cargo` as `scripts/dist` calls it. It builds nothing, and leaves the files that the real one leaves.
#[cfg(target_os = "linux")]
const CARGO: &str = r#"#!/bin/sh
for last; do :; done
case "$1" in
rustc)
    mkdir -p target/dist
    printf '#!/bin/sh\necho "built from <%s>"\n' "$STEDI_DELTA_COMMIT" > target/dist/stedi-delta
    chmod +x target/dist/stedi-delta ;;
cyclonedx)
    for folder in . crates/allocator; do echo "path+file://$PWD at $SOURCE_DATE_EPOCH" > "$folder/$last.json"; done ;;
esac
"#;

/// Makes a checkout `$1` of what `scripts/dist` of the repository `$2` needs.
#[cfg(target_os = "linux")]
const CHECKOUT: &str = r#"
mkdir -p "$1"/{scripts,crates/allocator,target/tools/bin}
cp "$2"/{.gitignore,Cargo.toml,LICENSE,README.md,CHANGELOG.md} "$1"
cp "$2/scripts/dist" "$1/scripts"
cp bin/cargo "$1/target/tools/bin/cargo-cyclonedx"
touch "$1/crates/allocator/Cargo.toml"
git init -q "$1"
git -C "$1" add .
git -C "$1" -c user.name=a -c user.email=a@example.com -c commit.gpgsign=false commit -q -m release
"#;

#[cfg(target_os = "linux")]
#[test]
fn packing_a_release_again_elsewhere_gives_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("cargo"), CARGO).unwrap();
    fs::write(bin.join("rustc"), "#!/bin/sh\necho host: x86_64-unknown-linux-gnu\n").unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let bash = |script: &str, arguments: &[&str]| {
        let mut bash = Command::new("bash");
        bash.args(["-euc", script, "bash"]).args(arguments).current_dir(folder.path()).env("PATH", &path);
        bash.env_remove("SOURCE_DATE_EPOCH")
            .envs([("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z"), ("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")]);
        let output = bash.output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    bash("chmod +x bin/*", &[]);
    // Neither the folder nor the rights that a user gives to new files is in what is published.
    let files = ["022", "077"].map(|umask| {
        bash(CHECKOUT, &[umask, repository().to_str().unwrap()]);
        let said = bash("cd $1; umask $1; scripts/dist", &[umask]);
        let commit = bash("git -C $1 rev-parse HEAD", &[umask]);
        assert!(said.contains(&format!("built from <{}>", commit.trim())), "{said}");
        assert_eq!(bash("git -C $1 status --porcelain", &[umask]), "", "it leaves nothing beside target/");
        let bill = bash("cat $1/target/files/*.cdx.json", &[umask]);
        assert_eq!(bill, "path+file://. at 1767323045\n");
        bash("cd $1/target/files; sha256sum --check --quiet *.sha256", &[umask]);
        bash("cat $1/target/files/*.sha256", &[umask])
    });
    assert_eq!(files[0], files[1]);
    assert_eq!(files[0].lines().count(), 2, "{}", files[0]);
    // A file that git does not know may have changed the program.
    let said = bash("cd $1; touch build.rs; scripts/dist", &["022"]);
    assert!(said.contains("built from <>"), "{said}");
}

#[test]
fn the_image_runs() {
    let engine = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    if !engine.is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no container engine on this machine");
        return;
    }
    if std::env::var_os("STEDI_DELTA_TEST_IMAGE").is_none() {
        println!("skipped: building the image takes half an hour; STEDI_DELTA_TEST_IMAGE=1 does it");
        return;
    }
    let docker = |args: &[&str]| {
        let output = Command::new("docker").args(args).current_dir(repository()).output().unwrap();
        assert!(output.status.success(), "docker {args:?}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    docker(&["build", "-t", "stedi-delta-test", "--build-arg", "COMMIT=0123456", "."]);
    assert!(docker(&["run", "--rm", "stedi-delta-test", "--version", "--verbose"]).contains("0123456"));
    let project = format!("{}:/project:ro", repository().display());
    let summary = docker(&[
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "-v",
        &project,
        "stedi-delta-test",
        "sync",
        "--landing",
        "/project/sample/landing",
        "--warehouse",
        "/tmp/warehouse",
    ]);
    assert!(summary.contains("machine_learning_curated"), "{summary}");
    let bytes: u64 = docker(&["image", "inspect", "-f", "{{.Size}}", "stedi-delta-test"]).trim().parse().unwrap();
    assert!(bytes <= 120 << 20, "{bytes} bytes");
}
