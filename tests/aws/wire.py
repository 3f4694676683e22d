"""How requests to AWS are named, and how its errors look: XML of S3, JSON 1.1 of Glue, XML of STS."""

import json
import re
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/[^/]+/([^/]+)/")
GLUE = "AWSGlue."
VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head", "POST": "Post"}
BUCKET = {"GET": "ListObjects", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket"}
PARTS = {"GET": "ListParts", "PUT": "UploadPart", "DELETE": "AbortMultipartUpload", "POST": "CompleteMultipartUpload"}
# Parts of a bucket or an object that are read and written by their name in the query.
SUBRESOURCES = ("acl", "attributes", "cors", "encryption", "lifecycle", "location", "policy", "tagging", "versioning")


def signature(environ):
    """The access key and the service that signed the request, or `(None, None)`."""
    found = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return found.groups() if found else (None, None)


def name_request(environ, body):
    """Service and operation of a request. What is neither signed nor anything else that we know is for S3."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    service = signature(environ)[1]
    if target.startswith(GLUE):
        return "glue", target.removeprefix(GLUE)
    if environ["PATH_INFO"].startswith("/latest/"):
        return "imds", environ["PATH_INFO"].removeprefix("/latest/")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") and b"Action=" in body:
        return service or "sts", parse_qs(body.decode("utf-8", "replace")).get("Action", ["?"])[0]
    if service not in (None, "s3"):
        return service, target.rpartition(".")[2] or "?"
    return "s3", s3_operation(environ)


def s3_operation(environ):
    """The operation of a path-style request, from its method, path and query."""
    method = environ["REQUEST_METHOD"]
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    sub = next((s for s in SUBRESOURCES if s in query), None)
    if sub:
        return f"{VERBS.get(method, method)}{'Object' if key else 'Bucket'}{sub.capitalize()}"
    if not key:
        if query.get("list-type") == ["2"]:
            return "ListObjectsV2"
        if method == "POST" and "delete" in query:
            return "DeleteObjects"
        if method == "GET" and ("uploads" in query or "versions" in query):
            return "ListMultipartUploads" if "uploads" in query else "ListObjectVersions"
        return BUCKET.get(method, method)
    copies = "HTTP_X_AMZ_COPY_SOURCE" in environ
    if "uploadId" in query:
        return "UploadPartCopy" if copies and method == "PUT" else PARTS.get(method, method)
    if method == "POST" and "uploads" in query:
        return "CreateMultipartUpload"
    return "CopyObject" if copies and method == "PUT" else f"{VERBS.get(method, method)}Object"


def error(service, path, status, code, message):
    """An error as `service` words it: status, headers, body."""
    if service == "s3":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code>'
            f"<Message>{escape(message)}</Message><Resource>{escape(path)}</Resource>"
            f"<RequestId>0123456789ABCDEF</RequestId><HostId>local</HostId></Error>"
        )
        return status, [("Content-Type", "application/xml")], body.encode()
    if service == "sts":
        kind = "Sender" if status < 500 else "Receiver"
        body = (
            f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>{kind}</Type>'
            f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
            f"<RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ErrorResponse>"
        )
        return status, [("Content-Type", "text/xml")], body.encode()
    body = json.dumps({"__type": code, "message": message})
    return status, [("Content-Type", "application/x-amz-json-1.1")], body.encode()
