//! AWS on this machine: moto's S3, Glue and STS on a port of 127.0.0.1, with fault injection (`tests/aws/control.py`
//! has the details).

#![expect(dead_code, reason = "not every control has found its test yet")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};

use super::repository;

/// The key that signs the direct calls of this module, as far as they are signed, and that [`Aws::env`] gives.
pub(crate) const ACCESS_KEY: &str = "AKIATESTTESTTESTTEST";
/// Its secret: it must never be printed.
pub(crate) const SECRET_KEY: &str = "secret-of-the-test-that-nobody-may-print";

/// A local AWS. It ends with this value, or with the test process, even if that is killed.
#[derive(Debug)]
pub(crate) struct Aws {
    server: Child,
    port: u16,
}

/// One request recorded by the server.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    /// `s3`, `glue`, `sts` or `imds`.
    pub service: String,
    /// As AWS names it: `PutObject`, `GetTables`.
    pub operation: String,
    /// `/bucket/key`, decoded.
    pub path: String,
    /// The query string without the `?`, as sent.
    pub query: String,
    /// 0 if the connection was closed without a response.
    pub status: u16,
    /// Length of the request's body.
    pub bytes_in: u64,
    /// Length of the answer's body.
    pub bytes_out: u64,
    /// The key that signed it.
    pub access_key: Option<String>,
    /// Conditions, encryption, target, and whether there was a session token.
    pub headers: BTreeMap<String, Value>,
    /// The document of a request to Glue.
    pub body: Value,
    /// When it was handled, since the server's start.
    pub at_ms: f64,
    /// How long that took, injected latency excluded.
    pub ms: f64,
}

/// The server's response to a direct call.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Aws {
    /// The server that all tests of this process share: each test has its own buckets, and none uses its controls.
    /// Prints the skip if it is not available.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Result<Aws, String>> = OnceLock::new();
        SHARED.get_or_init(Self::launch).as_ref().map_err(skip).ok()
    }

    /// A server for one test. Prints the skip if it is not available.
    pub(crate) fn start() -> Option<Self> {
        Self::launch().map_err(|reason| skip(&reason)).ok()
    }

    fn launch() -> Result<Self, String> {
        let given = std::env::var_os("ORACLE_PYTHON").map(PathBuf::from);
        let python = given.unwrap_or_else(|| repository().join("target/venv/bin/python"));
        if !python.is_file() {
            return Err(format!("there is no Python at {} (scripts/setup installs it)", python.display()));
        }
        let mut server = Command::new(python)
            .arg(repository().join("tests/aws/server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Option<Value> = serde_json::from_str(&line).ok();
        let Some(port) = ready.and_then(|r| r["port"].as_u64()) else {
            let output = server.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            assert_eq!(output.status.code(), Some(77), "the local AWS does not start: {said}");
            return Err(said);
        };
        // Its further output is read, so that it never waits for a reader.
        let mut errors = server.stderr.take().unwrap();
        std::thread::spawn(move || io::copy(&mut errors, &mut io::stderr()));
        Ok(Self { server, port: u16::try_from(port).unwrap() })
    }

    /// The address of S3, Glue and STS.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address of container credentials, for `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub(crate) fn container_credentials(&self) -> String {
        self.endpoint() + "/_control/credentials/container"
    }

    /// Variables of a child process that uses only this AWS.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint().as_str()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Creates a unique bucket.
    pub(crate) fn bucket(&self) -> String {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let name = format!("bucket-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.s3("PUT", &format!("/{name}"), &[]).expect(200);
        name
    }

    /// Writes an object.
    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: impl AsRef<[u8]>) {
        self.s3("PUT", &object(bucket, key), bytes.as_ref()).expect(200);
    }

    /// Writes every file below `folder`, its path there behind `prefix`.
    pub(crate) fn put_all(&self, bucket: &str, prefix: &str, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let key = format!("{prefix}/{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                self.put_all(bucket, &key, &path);
            } else {
                self.put(bucket, &key, fs::read(path).unwrap());
            }
        }
    }

    /// Reads an object.
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let answer = self.s3("GET", &object(bucket, key), &[]);
        (answer.status != 404).then(|| answer.expect(200))
    }

    /// Deletes an object, if it is there.
    pub(crate) fn delete(&self, bucket: &str, key: &str) {
        self.s3("DELETE", &object(bucket, key), &[]).expect(204);
    }

    /// Keys that begin with `prefix`, in order.
    pub(crate) fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let first = format!("/{bucket}?list-type=2&prefix={}", encoded(prefix));
        let (mut keys, mut page) = (Vec::new(), first.clone());
        loop {
            let text = String::from_utf8(self.s3("GET", &page, &[]).expect(200)).unwrap();
            keys.extend(elements(&text, "Key"));
            let Some(token) = elements(&text, "NextContinuationToken").pop() else { return keys };
            page = format!("{first}&continuation-token={}", encoded(&token));
        }
    }

    /// Calls Glue; the error is its document.
    pub(crate) fn glue(&self, operation: &str, body: &Value) -> Result<Value, Value> {
        let target = format!("AWSGlue.{operation}");
        let headers = [("X-Amz-Target", target.as_str()), ("Content-Type", "application/x-amz-json-1.1")];
        let answer = self.call("POST", "/", Some("glue"), &headers, body.to_string().as_bytes());
        let document = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if answer.status == 200 { Ok(document) } else { Err(document) }
    }

    /// All requests since the last [`Aws::clear_requests`].
    pub(crate) fn requests(&self) -> Vec<Request> {
        serde_json::from_value(self.control("GET", "requests", &Value::Null)).unwrap()
    }

    /// Forgets what was asked.
    pub(crate) fn clear_requests(&self) {
        self.control("POST", "requests/clear", &Value::Null);
    }

    /// Delays every request.
    pub(crate) fn latency(&self, ms: u64) {
        self.control("POST", "latency", &json!({ "ms": ms }));
    }

    /// Replaces the rules for faults, a list.
    pub(crate) fn rules(&self, rules: &Value) {
        self.control("POST", "rules", rules);
    }

    /// How many requests each rule has hit.
    pub(crate) fn fired(&self) -> Vec<u64> {
        let rules = self.control("GET", "rules", &Value::Null);
        rules.as_array().unwrap().iter().map(|r| r["fired"].as_u64().unwrap()).collect()
    }

    /// The lifetime of container credentials, and whether later requests with expired ones are refused.
    pub(crate) fn container_lifetime(&self, seconds: u64, enforce: bool) {
        self.control("POST", "credentials", &json!({ "lifetime_seconds": seconds, "enforce": enforce }));
    }

    /// Everything as at the start: no bucket, no database, no rule.
    pub(crate) fn reset(&self) {
        self.control("POST", "reset", &Value::Null);
    }

    fn control(&self, method: &str, what: &str, body: &Value) -> Value {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let answer = self.call(method, &format!("/_control/{what}"), None, &[], &body);
        serde_json::from_slice(&answer.expect(200)).unwrap()
    }

    fn s3(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        self.call(method, target, Some("s3"), &[], body)
    }

    /// One request on its own connection. moto checks no signature; it routes by it.
    fn call(&self, method: &str, target: &str, service: Option<&str>, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let (port, length) = (self.port, body.len());
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
        if let Some(service) = service {
            let scope = format!("{ACCESS_KEY}/20260101/us-east-1/{service}/aws4_request");
            head += &format!("Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {length}\r\n\r\n");
        let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        connection.write_all(head.as_bytes()).unwrap();
        connection.write_all(body).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        Answer::parse(&answer).unwrap_or_else(|| panic!("no answer to {method} {target}"))
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, body: bytes[end + 4..].to_vec() })
    }

    /// The body of an answer with this status.
    fn expect(self, status: u16) -> Vec<u8> {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.body
    }
}

fn skip(reason: &String) {
    eprintln!("SKIP: no local AWS: {reason}");
}

fn object(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", encoded(key))
}

/// As a path or a value of a query needs it.
fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The texts of all elements of this name.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let unescaped =
        |text: &str| text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close)).map(|(text, _)| unescaped(text)).collect()
}
