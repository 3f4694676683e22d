//! Credentials come from AWS's own chain and are never printed.

use std::fs;

use super::Prod;
use crate::support::Ran;
use crate::support::aws::{ACCESS_KEY, SECRET_KEY};

const TOKEN: &str = "session-token-that-nobody-may-print-0123456789";

/// The environment with credentials from another source than keys in it.
fn without_keys(prod: &Prod, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut env: Vec<_> = prod.aws.env().into_iter().filter(|(name, _)| !name.contains("KEY")).collect();
    env.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

/// Keys that signed requests to S3 and Glue.
fn keys(prod: &Prod) -> Vec<String> {
    let used = prod.aws.requests().into_iter().filter(|r| r.service == "s3" || r.service == "glue");
    let mut keys: Vec<String> = used.filter_map(|r| r.access_key).collect();
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn a_profile_with_an_endpoint_and_a_region_is_enough() {
    let Some(prod) = Prod::sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (config, credentials) = (folder.path().join("config"), folder.path().join("credentials"));
    let endpoint = prod.aws.endpoint();
    fs::write(&config, format!("[profile lake]\nregion = eu-west-1\nendpoint_url = {endpoint}\n")).unwrap();
    let keys_of_profile = "[lake]\naws_access_key_id = AKIAPROFILEPROFILE12\naws_secret_access_key = profile-secret\n";
    fs::write(&credentials, keys_of_profile).unwrap();
    let env = [
        ("AWS_PROFILE", "lake"),
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ("AWS_ENDPOINT_URL", ""),
        ("AWS_REGION", ""),
    ];
    let env = without_keys(&prod, &env).into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>();
    prod.aws.clear_requests();
    prod.run_in(&env, &["sync"]).fine();
    assert_eq!(keys(&prod), ["AKIAPROFILEPROFILE12"]);
}

#[test]
fn a_web_identity_is_exchanged_for_keys() {
    let Some(prod) = Prod::sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "eyJhbGciOiJSUzI1NiJ9.of-the-cluster.signature").unwrap();
    let env = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/lake"),
        ("AWS_ROLE_SESSION_NAME", "test"),
    ];
    prod.aws.clear_requests();
    prod.run_in(&without_keys(&prod, &env), &["sync"]).fine();
    let asked = prod.aws.requests();
    assert_eq!(asked.iter().filter(|r| r.operation == "AssumeRoleWithWebIdentity").count(), 1);
    assert!(keys(&prod).iter().all(|key| key.starts_with("ASIA") || key.len() >= 16), "{:?}", keys(&prod));
    assert!(asked.iter().filter(|r| r.service == "s3").all(|r| r.headers["x-amz-security-token"] == true));
}

#[test]
fn keys_that_end_are_fetched_anew_before_they_do() {
    let Some(prod) = Prod::sample() else { return };
    // A sync that takes longer than its first keys live, on a service that refuses expired ones.
    prod.aws.container_lifetime(2, true);
    prod.aws.latency(15);
    let url = prod.aws.container_credentials();
    let env = without_keys(&prod, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]);
    prod.aws.clear_requests();
    prod.run_in(&env, &["sync"]).fine();
    assert!(keys(&prod).len() > 1, "{:?}", keys(&prod));
    // Glue answers 400 also for a database that does not exist yet.
    let is_refused = |r: &crate::support::aws::Request| r.service == "s3" && [400, 403].contains(&r.status);
    let refused: Vec<_> = prod.aws.requests().into_iter().filter(is_refused).collect();
    assert!(refused.is_empty(), "a request went out with ended keys: {refused:?}");
}

#[test]
fn without_credentials_nothing_is_tried() {
    let Some(prod) = Prod::sample() else { return };
    prod.aws.clear_requests();
    let ran = prod.run_in(&without_keys(&prod, &[]), &["sync"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error: AWS's own chain gave no credentials: "), "{}", ran.err);
    assert!(ran.err.contains("AWS_PROFILE"), "{}", ran.err);
    assert!(prod.aws.requests().iter().all(|r| r.service != "s3" && r.service != "glue"));
}

/// Checks that neither output holds a key, a secret or a token.
fn assert_silent(ran: &Ran, what: &str) {
    for secret in [ACCESS_KEY, SECRET_KEY, TOKEN] {
        for (stream, text) in [("output", &ran.out), ("errors", &ran.err)] {
            assert!(!text.contains(secret), "the {stream} of {what} holds a credential:\n{text}");
        }
    }
}

#[test]
fn nothing_that_is_printed_holds_a_credential() {
    let Some(prod) = Prod::sample() else { return };
    let mut env = prod.aws.env();
    env.push(("AWS_SESSION_TOKEN".into(), TOKEN.into()));
    // S3's response to a wrong signature repeats the request, including keys and token.
    let body = format!("no</Message><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId><CanonicalRequest>{TOKEN}");
    let refusals = [
        serde_json::json!([]),
        serde_json::json!([{"service": "s3", "action": "status", "status": 403, "code": "SignatureDoesNotMatch", "message": body}]),
        serde_json::json!([{"service": "s3", "action": "expire_key", "access_key": ACCESS_KEY}]),
        serde_json::json!([{"service": "s3", "operation": "PutObject", "action": "status", "status": 403, "code": "AccessDenied", "message": body}]),
        serde_json::json!([{"service": "glue", "action": "status", "status": 400, "code": "AccessDeniedException", "message": format!("{ACCESS_KEY} may not; {TOKEN}")}]),
        serde_json::json!([{"service": "glue", "action": "expire_key", "access_key": ACCESS_KEY}]),
    ];
    let verbs: [&[&str]; 4] =
        [&["sync"], &["catalog", "check"], &["status"], &["query", "select 1 from customer_landing"]];
    for rules in refusals {
        for verb in verbs {
            for format in ["text", "json"] {
                prod.aws.rules(&rules);
                let ran = prod.run_in(&env, &[verb, &["-v", "--log-format", format]].concat());
                assert_silent(&ran, &format!("{verb:?} under {rules}"));
                assert!(format == "text" || ran.err.lines().all(|l| l.starts_with('{')), "{}", ran.err);
            }
        }
    }
}

const PASSWORD: &str = "password-in-an-address-0123456789";

/// A command that must fail without printing the password.
fn assert_refused(ran: &Ran, what: &str) {
    assert!(ran.code != 0, "{what}: {}", ran.out);
    assert!(ran.err.contains("user or a password"), "{what}: {}", ran.err);
    for text in [&ran.out, &ran.err] {
        assert!(!text.contains(PASSWORD), "{what}: {text}");
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let Some(prod) = Prod::empty() else { return };
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_GLUE"] {
        let mut env = prod.aws.env();
        env.retain(|(name, _)| name != variable);
        env.push((variable.into(), format!("http://user:{PASSWORD}@127.0.0.1:1")));
        assert_refused(&prod.run_in(&env, &["sync", "-v"]), variable);
    }
    for address in
        [format!("s3://KEY:{PASSWORD}@bucket/x"), format!("s3://:{PASSWORD}@bucket"), format!("s3n://K:{PASSWORD}@b")]
    {
        for flag in ["--landing", "--warehouse"] {
            let args = [flag, &address, "--project", crate::support::repository().to_str().unwrap(), "-t", "prod"];
            for verb in [&["sync"][..], &["catalog", "ddl"], &["status"]] {
                assert_refused(&super::bare(&prod.aws.env(), &[verb, &args].concat()), &format!("{verb:?} {flag}"));
            }
        }
    }
    for (key, value) in [
        ("endpoint", format!("https://user:{PASSWORD}@host")),
        ("landing", format!("s3://user:{PASSWORD}@host")),
        ("warehouse", format!("s3://user:{PASSWORD}@host")),
    ] {
        let lake = crate::support::shop::shop("auto");
        let lines = [("landing", "l".to_owned()), ("warehouse", "w".to_owned()), ("region", "r".to_owned())];
        let lines = lines.into_iter().filter(|(name, _)| *name != key).chain([(key, value)]);
        let text: String = lines.map(|(name, value)| format!("{name} = \"{value}\"\n")).collect();
        let zones = "zones = [\"landing\", \"trusted\", \"curated\"]";
        lake.define("stedi-delta.toml", &format!("name = \"shop\"\n{zones}\n[targets.dev]\n{text}"));
        let ran = super::bare(&prod.aws.env(), &["check", "--project", lake.root().to_str().unwrap()]);
        assert_refused(&ran, key);
        assert!(ran.err.contains("stedi-delta.toml:"), "{}", ran.err);
    }
}

#[test]
fn what_a_credential_process_writes_is_not_repeated() {
    let Some(prod) = Prod::empty() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (config, program) = (folder.path().join("config"), folder.path().join("program"));
    fs::write(&program, format!("#!/bin/sh\necho 'cannot use {PASSWORD}' >&2\nexit 1\n")).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, executable).unwrap();
    fs::write(&config, format!("[profile lake]\ncredential_process = {}\n", program.display())).unwrap();
    let env = [("AWS_PROFILE", "lake"), ("AWS_CONFIG_FILE", config.to_str().unwrap())];
    let ran = prod.run_in(&without_keys(&prod, &env), &["sync", "-v"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("AWS's own chain gave no credentials"), "{}", ran.err);
    assert!(!ran.err.contains(PASSWORD), "{}", ran.err);
}
