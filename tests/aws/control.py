"""What the tests steer and see of the local AWS: the requests it got, faults, delays and credentials.

Everything is under `/_control/`, in JSON:

    POST reset                           moto's state and everything below as at the start
    GET  requests, POST requests/clear   what was asked since the last clear; `status` is 0 where nothing was answered
    POST latency {"ms": 30}              how long every request waits before it is handled
    POST rules [...], GET rules          faults, instead of those before; each with how often it `matched` and `fired`
    POST credentials {"lifetime_seconds": 3600, "enforce": false}
    GET  credentials/container           fresh keys, as ECS hands them out; expired ones are refused where enforced

A rule has any of `service`, `operation`, `path_contains` (also what a listing is asked for), `access_key` (all must
fit), `after` (so many fitting requests pass first), `times` (so many are hit, `null` is all) and an `action`:

    status             answers with `status`, `code` and `message`; moto does not see the request
    drop_before        closes the connection; moto does not see the request
    drop_after         closes the connection once moto has handled the request
    ignore_conditions  takes If-None-Match and If-Match away, as a store does that does not know them
    expire_key         the token of `access_key` has expired
"""

import datetime
import json
import threading
import time
from urllib.parse import unquote

import wire

ACTIONS = ("status", "drop_before", "drop_after", "ignore_conditions", "expire_key")
CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")
SEEN_HEADERS = ("if-none-match", "if-match", "x-amz-target")
ENCRYPTION = "x-amz-server-side-encryption"
JSON = [("Content-Type", "application/json")]


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Control:
    """Stands in front of an application `app(environ, body) -> (status, headers, body)`."""

    def __init__(self, app, reset_app):
        self.app = app
        self.reset_app = reset_app
        self.lock = threading.Lock()
        self.start = time.monotonic()
        self.reset()

    def reset(self):
        self.reset_app()
        self.requests, self.rules = [], []
        self.latency = 0.0
        self.lifetime, self.enforce = 3600, False
        self.handed_out, self.expiries = 0, {}

    def __call__(self, environ, body):
        path = environ["PATH_INFO"]
        if path.startswith("/_control/"):
            return self.control(environ["REQUEST_METHOD"], path.removeprefix("/_control/"), body)
        if self.latency:
            time.sleep(self.latency)
        entry = self.describe(environ, body)
        begun = time.monotonic()
        try:
            status, headers, answer = self.handle(environ, body, entry)
            entry["status"] = status
            entry["bytes_out"] = 0 if environ["REQUEST_METHOD"] == "HEAD" else len(answer)
            return status, headers, answer
        finally:
            entry["at_ms"] = round((begun - self.start) * 1000, 3)
            entry["ms"] = round((time.monotonic() - begun) * 1000, 3)
            with self.lock:
                self.requests.append(entry)

    def describe(self, environ, body):
        """A request as `GET requests` shows it, before it has an answer."""
        service, operation = wire.name_request(environ, body)
        headers = {h: environ[k] for h in SEEN_HEADERS if (k := "HTTP_" + h.upper().replace("-", "_")) in environ}
        for key, value in environ.items():
            name = key.removeprefix("HTTP_").lower().replace("_", "-")
            if name.startswith(ENCRYPTION):
                headers[name] = value
        headers["x-amz-security-token"] = "HTTP_X_AMZ_SECURITY_TOKEN" in environ
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        entry = {"service": service, "operation": operation, "path": path}
        entry |= {"query": environ["QUERY_STRING"], "status": 0, "bytes_in": len(body), "bytes_out": 0}
        entry |= {"access_key": wire.signature(environ)[0], "headers": headers, "body": None}
        if service == "glue":
            entry["body"] = json.loads(body or b"{}")
        return entry

    def handle(self, environ, body, entry):
        service, path = entry["service"], entry["path"]
        if self.has_expired(entry["access_key"]):
            return expired(service, path)
        action = None
        for rule in self.hits(entry):
            if rule["action"] == "ignore_conditions":
                for condition in CONDITIONS:
                    environ.pop(condition, None)
            else:
                action = rule["action"]
                break
        if action == "drop_before":
            raise Dropped
        if action == "expire_key":
            return expired(service, path)
        if action == "status":
            code, message = rule.get("code", "InternalError"), rule.get("message", "the test let this request fail")
            return wire.error(service, path, rule.get("status", 500), code, message)
        answer = self.app(environ, body)
        if action == "drop_after":
            raise Dropped
        return answer

    def hits(self, entry):
        """The rules that act on this request, in order; nobody reads on after the first that answers it."""
        with self.lock:
            rules = self.rules
        for rule in rules:
            if not fits(rule, entry):
                continue
            with self.lock:
                rule["matched"] += 1
                hit = rule["matched"] > rule.get("after", 0)
                hit &= rule.get("times") is None or rule["fired"] < rule["times"]
                rule["fired"] += hit
            if hit:
                yield rule

    def has_expired(self, access_key):
        expiry = self.expiries.get(access_key)
        return self.enforce and expiry is not None and expiry <= now()

    def control(self, method, what, body):
        given = json.loads(body) if body else None
        if (method, what) == ("GET", "credentials/container"):
            return document(self.credentials())
        with self.lock:
            match method, what:
                case "POST", "reset":
                    self.reset()
                case "GET", "requests":
                    return document(self.requests)
                case "POST", "requests/clear":
                    self.requests = []
                case "POST", "latency":
                    self.latency = given["ms"] / 1000
                case "GET", "rules":
                    return document(self.rules)
                case "POST", "rules":
                    unknown = [r for r in given if r.get("action") not in ACTIONS]
                    if unknown:
                        return document({"unknown": unknown}, 400)
                    self.rules = [rule | {"matched": 0, "fired": 0} for rule in given]
                case "POST", "credentials":
                    self.lifetime = given.get("lifetime_seconds", self.lifetime)
                    self.enforce = given.get("enforce", self.enforce)
                case _:
                    return document({"unknown": f"{method} {what}"}, 404)
        return document({})

    def credentials(self):
        with self.lock:
            self.handed_out += 1
            number = self.handed_out
            key, expiry = f"AKIACONTAINER{number:07}", now() + datetime.timedelta(seconds=self.lifetime)
            self.expiries[key] = expiry
        until = expiry.strftime("%Y-%m-%dT%H:%M:%SZ")
        # Secret and token are recognisable: a test looks for them in everything that is printed.
        secret, token = f"container-secret-{number:023}", f"container-token-{number:064}"
        return {"AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": until}


def fits(rule, entry):
    """Whether a rule is about this request."""
    same = all(rule.get(key) in (None, entry[key]) for key in ("service", "operation", "access_key"))
    return same and rule.get("path_contains", "") in f"{entry['path']}?{unquote(entry['query'])}"


def expired(service, path):
    code = {"s3": "ExpiredToken", "sts": "ExpiredToken"}.get(service, "ExpiredTokenException")
    status = 403 if service == "sts" else 400
    return wire.error(service, path, status, code, "The security token included in the request is expired")


def document(value, status=200):
    return status, JSON, json.dumps(value).encode()


def now():
    return datetime.datetime.now(datetime.timezone.utc)
