//! Completions, tried in the shells themselves.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cli::shell::Shell;

/// A folder with the program's completions for a shell.
fn completions(shell: &Shell, name: &str) -> PathBuf {
    let file = shell.project().join(format!("completions.{name}"));
    fs::write(&file, shell.run(&["completions", name]).fine().out).unwrap();
    file
}

/// Whether this machine has a program. Prints the skip otherwise.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIP: no {program} here to try its completions");
    }
    found
}

/// Standard output of a script.
fn ran(program: &str, args: &[&str], script: &str) -> String {
    let output = Command::new(program).args(args).arg(script).stdin(Stdio::null()).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && err.is_empty(), "{program}: {err}{script}");
    String::from_utf8(output.stdout).unwrap()
}

/// What bash completes for the words typed, the last one unfinished.
fn in_bash(shell: &Shell, words: &[&str]) -> Vec<String> {
    let file = completions(shell, "bash");
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source '{}'\nCOMP_WORDS=(stedi-delta {})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         complete=$(complete -p stedi-delta) || exit 3\n\
         complete=${{complete#*-F }}\n\
         ${{complete%% *}} stedi-delta \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        file.display(),
        words.join(" ")
    );
    ran("bash", &["--norc", "-c"], &script).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_words() {
    if !has("bash") {
        return;
    }
    let shell = Shell::shop();
    assert_eq!(in_bash(&shell, &["sy"]), ["sync"]);
    assert_eq!(in_bash(&shell, &["audit", "me"]), ["membership"]);
    assert_eq!(in_bash(&shell, &["sync", "--full"]), ["--full-refresh"]);
    let schemas = in_bash(&shell, &["schema", ""]);
    assert!(["project", "table", "report"].iter().all(|name| schemas.contains(&(*name).to_owned())), "{schemas:?}");
    let formats = in_bash(&shell, &["status", "--format", ""]);
    assert!(formats.contains(&"ndjson".to_owned()), "{formats:?}");
    let verbs = in_bash(&shell, &[""]);
    assert!(verbs.contains(&"quarantine".to_owned()) && verbs.contains(&"help".to_owned()), "{verbs:?}");
}

#[test]
fn zsh_completes_verbs() {
    if !has("zsh") {
        return;
    }
    let shell = Shell::shop();
    let file = completions(&shell, "zsh");
    let folder = shell.project().join("functions");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(file, folder.join("_stedi-delta")).unwrap();
    // A person at a terminal: types, presses Tab, then Enter. The program is a function that says how it was called.
    let script = format!(
        "zmodload zsh/zpty || exit 3\nzpty shell 'zsh -f -i'\n\
         zpty -w shell \"fpath=('{}' \\$fpath); autoload -Uz compinit; compinit -u -d '{}'\"\n\
         zpty -w shell \"stedi-delta() {{ print -r -- called:\\$* }}; print rea''dy\"\n\
         zpty -r shell said '*ready*' || exit 4\n\
         for typed called in $'sy\\t' sync $'audit mem\\t' 'audit membership' $'sync --full\\t' 'sync --full-refresh'; do\n\
           zpty -w -n shell \"stedi-delta $typed\"; sleep 1; zpty -w -n shell $'\\r'\n\
           zpty -r shell said \"*called:$called*\" || exit 5\n  print -r -- $called\ndone\n",
        folder.display(),
        shell.project().join("zcompdump").display(),
    );
    let found = ran("timeout", &["60", "zsh", "-f", "-c"], &script);
    assert_eq!(found, "sync\naudit membership\nsync --full-refresh\n");
}

#[test]
fn fish_and_powershell_read_their_completions() {
    let shell = Shell::shop();
    if has("fish") {
        let file = completions(&shell, "fish");
        let script = format!("source '{}'; complete -C 'stedi-delta sy'", file.display());
        let found = ran("fish", &["--no-config", "-c"], &script);
        assert!(found.starts_with("sync\t"), "{found}");
    }
    if has("pwsh") {
        let file = completions(&shell, "powershell");
        let script =
            format!(". '{}'; (TabExpansion2 'stedi-delta sy' 14).CompletionMatches.CompletionText", file.display());
        assert_eq!(ran("pwsh", &["-NoProfile", "-Command"], &script).trim(), "sync");
    }
}

#[test]
fn every_shell_has_a_script_that_knows_the_verbs() {
    let shell = Shell::shop();
    for name in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = shell.run(&["completions", name]).fine();
        assert!(script.out.contains("quarantine") && script.out.contains("stedi-delta"), "{name}");
        assert_eq!(script.err, "", "{name}");
    }
    let unknown = shell.run(&["completions", "tcsh"]);
    assert_eq!(unknown.code, 64);
    assert!(unknown.err.contains("powershell"), "{}", unknown.err);
}
