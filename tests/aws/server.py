#!/usr/bin/env python3
"""A local AWS for the tests: moto's S3, Glue and STS on one port of 127.0.0.1, and `/_control/` (see control.py).

    server.py [--log FILE]

Prints `{"port": N}` once it listens, and ends when its standard input is closed: no server outlives the test that
started it, however that one dies. Exit code 77: moto is not installed (a reason to skip, not to fail).

Werkzeug's own server closes every connection and waits for 10 ms after each answer. This one keeps connections alive.
"""

import argparse
import functools
import io
import json
import logging
import os
import socketserver
import sys
import threading
import traceback
from email.utils import formatdate
from http.client import responses
from urllib.parse import unquote_to_bytes

# No folder of compiled files beside the sources, and no headers for browsers.
sys.dont_write_bytecode = True
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "1"

try:
    from moto.core.base_backend import BackendDict
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.s3.models import FakeKey
except ImportError as error:
    print(f"server: moto is not installed ({error}); run scripts/setup", file=sys.stderr)
    sys.exit(77)

from control import Control, Dropped

LONGEST_LINE = 1 << 16
# As text it is parsed again for every object of a listing: a third of the time that a listing takes.
FakeKey.last_modified_ISO8601 = property(lambda key: key.last_modified.replace(microsecond=0))


class Dispatcher(DomainDispatcherApplication):
    """Finds the service that a request is for."""

    @functools.cache
    def get_backend_for_host(self, host):
        # moto looks through its own folder for this, for every request: half of the time that it takes.
        return super().get_backend_for_host(host)


class Moto:
    """moto as a function of a request, one at a time.

    It looks at a condition first and writes later: between the two nobody else may write. Python would not run two
    requests at once anyway.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.dispatcher = Dispatcher(self.create)

    @staticmethod
    def create(service):
        app = create_backend_app(service)
        # Without it an error in moto ends the connection instead of being an answer.
        app.debug = False
        return app

    def reset(self):
        with self.lock:
            BackendDict.reset()

    def __call__(self, environ, body):
        with self.lock:
            return self.run(environ, body)

    def run(self, environ, body):
        environ["wsgi.input"] = io.BytesIO(body)
        given = []
        chunks = self.dispatcher(environ, lambda status, headers, exc_info=None: given.extend((status, headers)))
        try:
            answer = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
        status, headers = given
        return int(status.split(None, 1)[0]), headers, answer


class Connection(socketserver.StreamRequestHandler):
    """One connection, request after request."""

    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def handle(self):
        try:
            while self.request_and_answer():
                pass
        except (Dropped, ConnectionError, TimeoutError):
            pass

    def request_and_answer(self):
        line = self.rfile.readline(LONGEST_LINE)
        if not line.strip():
            return False
        method, target, version = line.decode("latin-1").split()
        headers = self.read_headers()
        body = self.read_body(headers)
        status, answer_headers, answer = self.server.app(self.environ(method, target, headers, len(body)), body)
        stay = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        self.answer(method, status, answer_headers, answer, stay)
        self.server.log(f"{method} {target} {status} {len(body)} {len(answer)}")
        return stay

    def read_headers(self):
        headers = {}
        while (line := self.rfile.readline(LONGEST_LINE)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        return headers

    def read_body(self, headers):
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.pop("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline(LONGEST_LINE).split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline(LONGEST_LINE)
        while self.rfile.readline(LONGEST_LINE).strip():
            pass
        return body

    def environ(self, method, target, headers, length):
        path, _, query = target.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": target,
            "REQUEST_URI": target,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        environ["CONTENT_LENGTH"] = str(length)
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
        environ.pop("HTTP_CONTENT_LENGTH", None)
        return environ

    def answer(self, method, status, headers, body, stay):
        without_body = method == "HEAD" or status in (204, 304)
        lines = [f"HTTP/1.1 {status} {responses.get(status, '')}", f"Date: {formatdate(usegmt=True)}"]
        # A HEAD answers with the length of what is not sent.
        lines += [f"{k}: {v}" for k, v in headers if method == "HEAD" or k.lower() != "content-length"]
        if not without_body:
            lines.append(f"Content-Length: {len(body)}")
        lines.append(f"Connection: {'keep-alive' if stay else 'close'}")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.connection.sendall(head if without_body else head + body)


class Server(socketserver.ThreadingTCPServer):
    """A thread per connection; what goes wrong in one is told in the log file, if there is one."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, app, log_file):
        self.app = app
        self.log_file = open(log_file, "a", buffering=1, encoding="utf-8") if log_file else None
        super().__init__(("127.0.0.1", 0), Connection)

    def log(self, line):
        if self.log_file:
            self.log_file.write(line + "\n")

    def handle_error(self, request, client_address):
        self.log(traceback.format_exc())


def end_with_standard_input():
    while sys.stdin.buffer.read(1 << 16):
        pass
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="A local AWS for the tests.")
    parser.add_argument("--log", metavar="FILE", help="where to write a line per request, and errors")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    moto = Moto()
    server = Server(Control(moto, moto.reset), arguments.log)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    main()
