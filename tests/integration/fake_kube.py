#!/usr/bin/python3
"""An API server for the faults that a real one does not produce on demand.

    fake_kube.py SCENARIO [LOG]

Serves plain HTTP on a loopback port, prints "port N" on stdout and writes one line a request into LOG.
A scenario is a generator: it gets a `Call` for each request and answers it; the last step repeats.
Ends when its standard input closes.
"""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


def pod(name, rv, uid=None, **extra):
    meta = {"name": name, "namespace": "n", "uid": uid or "uid-" + name, "resourceVersion": str(rv),
            "managedFields": [{"manager": "x"}]}
    return {"metadata": meta, "spec": {"containers": [{"name": "c", "image": "i"}]}, **extra}


def pod_list(items, rv, token=None):
    meta = {"resourceVersion": str(rv)}
    if token:
        meta["continue"] = token
    return {"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": items}


def status(code, reason, message="", causes=None):
    s = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
         "message": message or reason}
    if causes:
        s["details"] = {"causes": [{"reason": c} for c in causes]}
    return s


def event(kind, obj):
    if kind not in ("ERROR",):
        obj = {"kind": "Pod", "apiVersion": "v1", **obj}
    return json.dumps({"type": kind, "object": obj}) + "\n"


def bookmark(rv):
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(rv)}})


class Call:
    """One request; answer it with json() or stream()."""

    def __init__(self, handler):
        self.handler = handler
        parts = urlsplit(handler.path)
        self.path = parts.path
        self.query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.watch = "watch" in self.query

    def json(self, body, code=200, headers=()):
        data = json.dumps(body).encode()
        self.handler.send_response(code)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Content-Length", str(len(data)))
        for k, v in headers:
            self.handler.send_header(k, v)
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def stream(self, pieces, hold=True, cut=False):
        """Chunked; pieces are str, bytes or a number of seconds to sleep. hold: stay open."""
        h = self.handler
        h.send_response(200)
        h.send_header("Content-Type", "application/json")
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        for p in pieces:
            if isinstance(p, (int, float)):
                time.sleep(p)
                continue
            p = p.encode() if isinstance(p, str) else p
            h.wfile.write(b"%x\r\n%s\r\n" % (len(p), p))
            h.wfile.flush()
        if cut:
            h.close_connection = True
            return
        while hold:
            time.sleep(0.1)
        h.wfile.write(b"0\r\n\r\n")


def expect(call, **query):
    for key, want in query.items():
        got = call.query.get(key)
        if got != want:
            print(f"expected {key}={want}, got {got} in {call.handler.path}", file=sys.stderr)
            os._exit(3)


# Scenarios: each yields after a request was answered and gets the next one.

def pages():
    c = yield
    expect(c, limit="500", **{"continue": None})
    c.json(pod_list([pod("a", 1), pod("b", 2)], 10, "t1"))
    c = yield
    expect(c, **{"continue": "t1"})
    c.json(pod_list([pod("c", 3)], 10, "t2/="))
    c = yield
    expect(c, **{"continue": "t2/="})
    c.json(pod_list([], 10))
    c = yield
    expect(c, watch="1", resourceVersion="10", allowWatchBookmarks="true")
    text = (event("ADDED", pod("d", 11)) + event("MODIFIED", pod("a", 12)) + bookmark(13)
            + event("DELETED", pod("b", 14)))
    c.stream([text[i:i + 7] for i in range(0, len(text), 7)])


def expired_continue():
    c = yield
    c.json(pod_list([pod("a", 1), pod("b", 2)], 10, "t1"))
    c = yield
    c.json(status(410, "Expired", "The provided continue parameter is too old"), 410)
    c = yield
    expect(c, limit=None, **{"continue": None})
    c.json(pod_list([pod("a", 1), pod("c", 3)], 20))
    c = yield
    expect(c, watch="1", resourceVersion="20")
    c.stream([])


def expired_watch():
    c = yield
    c.json(pod_list([pod("a", 1), pod("b", 2), pod("c", 3)], 10))
    c = yield
    expect(c, watch="1", resourceVersion="10")
    c.stream([event("ERROR", status(410, "Expired", "too old resource version"))], hold=False)
    c = yield
    expect(c, watch=None)
    c.json(pod_list([pod("a", 1), pod("b", 9, uid="second-life"), pod("d", 12)], 20))
    c = yield
    expect(c, watch="1", resourceVersion="20")
    c.stream([])


def http_410():
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    c = yield
    c.json(status(410, "Expired"), 410)
    c = yield
    expect(c, watch=None)
    c.json(pod_list([pod("b", 11)], 20))
    c = yield
    c.stream([])


def retry_after():
    c = yield
    c.json(status(429, "TooManyRequests"), 429, [("Retry-After", "1")])
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    c = yield
    c.stream([])


def too_new():
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    for _ in range(3):
        c = yield
        expect(c, watch="1", resourceVersion="10")
        c.json(status(504, "Timeout", "Too large resource version", ["ResourceVersionTooLarge"]), 504)
    c = yield
    expect(c, watch=None)
    c.json(pod_list([pod("a", 1)], 11))
    c = yield
    c.stream([event("ADDED", pod("z", 12))])


def cut():
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    c = yield
    c.stream([event("ADDED", pod("b", 11)), event("ADDED", pod("c", 12))[:40]], cut=True)
    c = yield
    expect(c, watch="1", resourceVersion="11")
    c.stream([event("ADDED", pod("c", 12))])


def ends():
    """A watch that ends by its time-out is resumed at once from the last bookmark."""
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    c = yield
    c.stream([bookmark(15)], hold=False)
    c = yield
    expect(c, watch="1", resourceVersion="15")
    c.stream([event("ADDED", pod("b", 16))])


def forbidden():
    c = yield
    c.json(status(403, "Forbidden", "pods is forbidden"), 403)


def absent():
    c = yield
    c.json(status(404, "NotFound"), 404)


def unauthorized():
    c = yield
    c.json(status(401, "Unauthorized"), 401)
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    c = yield
    c.stream([])


def oversize():
    c = yield
    big = pod("big", 2)
    big["spec"]["x"] = "y" * (4 << 20)
    c.json(pod_list([pod("a", 1), big, pod("c", 3)], 10))
    c = yield
    c.stream([event("ADDED", big), event("ADDED", pod("d", 11))])


def garbage():
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    c = yield
    c.stream(["<html>no</html>"], hold=False)
    c = yield
    expect(c, watch="1", resourceVersion="10")
    c.stream(['{"type":"ADDED","object":{"metadata":{}}}\n', '{"type":"ADDED","object":7}',
              '{"type":"SURPRISE","object":{}}', event("ADDED", pod("b", 11))])


def broken_list():
    c = yield
    c.stream(['{"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[{"meta'], cut=True)
    c = yield
    c.json({"kind": "PodList", "items": []})
    c = yield
    c.json(pod_list([pod("a", 1)], 10))
    c = yield
    c.stream([])


def calls():
    """Single calls: the answer is what the path asks for, /status/CODE."""
    while True:
        c = yield
        code = int(c.path.rsplit("/", 1)[1])
        if code == 503:
            code = 200 if c.handler.server.seen > 3 else 503
        headers = [("Retry-After", "1")] if code == 503 else []
        c.json({"ok": True} if code < 300 else status(code, "Reason", f"because {code}"), code, headers)


class Objects:
    """A small memory of objects by path: create, read, replace with precondition, merge, apply, delete.

    A list is empty, a watch is silent.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.version = 100
        self.found = {}

    def handle(self, call, method, body, kind):
        if call.watch:
            call.stream([])
            return
        with self.lock:
            code, answer = self.answer(call.path, call.query, method, body, kind)
        call.json(answer, code)

    def answer(self, path, query, method, body, kind):
        if method == "GET" and "fieldSelector" in query:
            return 200, {"kind": "List", "metadata": {"resourceVersion": str(self.version)}, "items": []}
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.found:
                return 409, status(409, "AlreadyExists")
            return 201, self.keep(path, body)
        old = self.found.get(path)
        if method == "PATCH" and "apply" in kind:
            return 200, self.keep(path, body)
        if old is None:
            return 404, status(404, "NotFound", f"{path} not found")
        if method == "PUT":
            if body["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
                return 409, status(409, "Conflict")
            return 200, self.keep(path, body)
        if method == "PATCH":
            return 200, self.keep(path, merge(old, body))
        if method == "DELETE":
            return 200, self.found.pop(path)
        return 200, old

    def keep(self, path, obj):
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        obj["metadata"].setdefault("uid", f"uid-{self.version}")
        self.found[path] = obj
        return obj


def merge(old, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merge(new.get(key), value)
    return new


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args):  # noqa: A002 (the base class's name)
        pass

    def handle_any(self):
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with server.lock:
            server.seen += 1
            if server.log:
                server.log.write(f"{self.command} {self.path} {self.headers.get('Authorization', '-')} {len(body)}\n")
                server.log.flush()
            # the generator runs up to its next yield only when the next request comes
            call = Call(self)
        if server.objects:
            server.objects.handle(call, self.command, json.loads(body) if body else None,
                                  self.headers.get("Content-Type", ""))
        else:
            server.step(call)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, scenario, log):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.seen = 0
        self.log = log
        self.objects = scenario() if scenario is Objects else None
        self.generator = None if self.objects else scenario()
        if self.generator:
            next(self.generator)
        self.turn = threading.Lock()
        self.over = False

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the game

    def step(self, call):
        with self.turn:
            if self.over:
                call.json(status(503, "ServiceUnavailable", "the scenario is over"), 503)
                return
            try:
                self.generator.send(call)
            except StopIteration:
                self.over = True


def main():
    names = {f.__name__: f for f in (pages, expired_continue, expired_watch, http_410, retry_after, too_new, cut, ends,
                                     forbidden, absent, unauthorized, oversize, garbage, broken_list, calls)}
    names["objects"] = Objects
    log = open(sys.argv[2], "w", encoding="utf-8") if len(sys.argv) > 2 else None
    server = Server(names[sys.argv[1]], log)
    print(f"port {server.server_address[1]}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
