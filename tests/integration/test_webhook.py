#!/usr/bin/python3
"""The webhook of a running agent: verdicts, bad input, slow and half-closed clients, and that no decision is lost.

Needs EUCS_AGENT (the binary) and Python's standard library. Prints 'ok NAME' or 'FAILED NAME: why' for each test.
"""
import concurrent.futures
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback

AGENT = os.environ["EUCS_AGENT"]
TESTS = []


def test(f):
    TESTS.append(f)
    return f


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Agent:
    """An agent on an empty folder with its own ports; its log lines are kept."""

    def __init__(self, extra=""):
        self.dir = tempfile.mkdtemp(prefix="eucs-webhook-")
        self.evidence = os.path.join(self.dir, "evidence")
        watch = os.path.join(self.dir, "manifests")
        os.mkdir(watch)
        self.config = os.path.join(self.dir, "agent.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(
                f"source: {{kind: directory, path: {watch}}}\n"
                f"evidence: {{dir: {self.evidence}, syncInterval: 20ms}}\n"
                "webhook: {address: 127.0.0.1, port: 0, workers: 2}\n"
                "web: {address: 127.0.0.1, port: 0}\n"
                "health: {address: 127.0.0.1, port: 0}\n" + extra
            )
        self.lines = []
        self.ports = {}
        self.start()

    def start(self):
        self.ports.clear()
        self.process = subprocess.Popen(
            [AGENT, "run", "--config", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self.read, daemon=True).start()
        deadline = time.monotonic() + 60
        while len(self.ports) < 3 or not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the agent did not start:\n" + "".join(self.lines[-20:]))
            time.sleep(0.05)

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            m = re.search(r"listening.*listener=\"?(\w+)\"?.*port=\"?(\d+)", line)
            if m:
                self.ports[m.group(1)] = int(m.group(2))

    def ready(self):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.ports["health"], timeout=5)
            c.request("GET", "/readyz")
            return c.getresponse().status == 200
        except (OSError, KeyError):
            return False

    def alive(self):
        return self.process.poll() is None

    def context(self):
        ctx = ssl.create_default_context()
        ca = os.path.join(self.evidence, "tls", "ca.crt")
        if os.path.exists(ca):
            ctx.load_verify_locations(ca)
        else:
            ctx.check_hostname = False
            ctx.verify_mode = ssl.CERT_NONE
        return ctx

    def connect(self, timeout=20):
        return http.client.HTTPSConnection("127.0.0.1", self.ports["webhook"], timeout=timeout, context=self.context())

    def raw(self, timeout=20):
        """A TLS socket, for what no client library would send."""
        s = socket.create_connection(("127.0.0.1", self.ports["webhook"]), timeout=timeout)
        return self.context().wrap_socket(s, server_hostname="127.0.0.1")

    def post(self, body, path="/validate", ctype="application/json", connection=None):
        c = connection or self.connect()
        c.request("POST", path, body, {"Content-Type": ctype})
        r = c.getresponse()
        text = r.read().decode()
        if connection is None:
            c.close()
        return r.status, text

    def review(self, review, connection=None):
        status, text = self.post(json.dumps(review), connection=connection)
        check(status == 200, f"status {status}: {text}")
        return json.loads(text)["response"]

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                check(self.process.wait(30) == 0, f"exit status {self.process.returncode}")
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def records(self):
        """All records of the log, by the agent's own export."""
        out = os.path.join(self.dir, "export")
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run([AGENT, "evidence", "export", "--log", self.evidence, "--out", out], check=True, capture_output=True)
        records = []
        for folder, _, files in sorted(os.walk(out)):
            if "log.ndjson" in files:
                with open(os.path.join(folder, "log.ndjson"), encoding="utf-8") as f:
                    records += [json.loads(line) for line in f]
        return records

    def decisions(self):
        return [r["body"] for r in self.records() if r["type"] == "admission.decision"]

    def verify(self):
        p = subprocess.run([AGENT, "evidence", "verify", self.evidence], capture_output=True, text=True, check=False)
        check(p.returncode == 0, p.stdout + p.stderr)


def pod(privileged=True, uid="u-1", **request):
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "jane"},
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {
                    "automountServiceAccountToken": False,
                    "hostUsers": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [
                        {
                            "name": "app",
                            "image": "registry.example/app@sha256:" + "a" * 64,
                            "securityContext": {
                                "privileged": privileged,
                                "allowPrivilegeEscalation": privileged,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                },
            },
            **request,
        },
    }


@test
def denies_and_admits(a):
    r = a.review(pod())
    check(r["uid"] == "u-1" and r["allowed"] is False, r)
    check(r["status"]["code"] == 403, r)
    for part in ("pod-privileged", "OPS-21.1B", "spec.containers[0].securityContext.privileged", "Fix: "):
        check(part in r["status"]["message"], f"no {part} in {r['status']['message']}")
    check(re.fullmatch(r"[0-9a-f-]{36}-e\d+-\d+:[0-9a-f]{16}", r["auditAnnotations"]["evidence"]), r)
    check(len(r.get("warnings", [])) <= 10 and all(len(w) <= 120 for w in r.get("warnings", [])), r)
    r = a.review(pod(False, "u-2"))
    check(r["uid"] == "u-2" and r["allowed"] is True and "status" not in r, r)


@test
def the_command_line_answers_alike(a):
    r = a.review(pod())
    del r["auditAnnotations"]["evidence"]
    p = subprocess.run([AGENT, "review"], input=json.dumps(pod()), capture_output=True, text=True, check=False)
    check(p.stdout, p.stderr)
    check(json.loads(p.stdout)["response"] == r, f"{p.stdout}\n{r}")


@test
def dry_run_leaves_no_record(a):
    before = len(a.records())
    r = a.review(pod(dryRun=True))
    check(r["allowed"] is False and "evidence" not in r.get("auditAnnotations", {}), r)
    check(len([x for x in a.records()[before:] if x["type"] != "checkpoint.published"]) == 0, "a record was written")


@test
def invalid_json(a):
    for body in ("", "{", "nonsense", '{"a":1,"a":2}', '{"a":"\xff"}'.encode("latin-1"), '{"a":"\\ud800"}', "[1]", '"x"', "1e999", "{}{}"):
        status, text = a.post(body)
        check(status == 400 and json.loads(text)["kind"] == "Status", f"{body!r}: {status} {text}")


@test
def bodies_of_8_mib(a):
    body = json.dumps(pod()) + " " * (8 << 20)
    status, text = a.post(body)
    check(status == 413, f"{status} {text}")
    # just below the limit it is judged
    status, text = a.post(json.dumps(pod()) + " " * (6 << 20))
    check(status == 200 and json.loads(text)["response"]["allowed"] is False, f"{status} {text[:200]}")


@test
def nesting_10000_deep(a):
    for deep in ('{"a":' * 10000 + "1" + "}" * 10000, "[" * 10000 + "]" * 10000, "[" * 10000):
        status, text = a.post(json.dumps(pod()).replace('"web"', deep, 1))
        check(status == 400, f"{status} {text}")
        status, text = a.post(deep)
        check(status == 400, f"{status} {text}")


@test
def unknown_kinds_are_admitted(a):
    review = pod()
    review["request"]["kind"] = {"group": "example.com", "version": "v7", "kind": "Gadget"}
    review["request"]["resource"] = {"group": "example.com", "version": "v7", "resource": "gadgets"}
    check(a.review(review)["allowed"] is True, "denied")


@test
def wrong_content_type_method_and_path(a):
    body = json.dumps(pod())
    check(a.post(body, ctype="text/plain")[0] == 415, "text/plain")
    check(a.post(body, ctype="application/yaml")[0] == 415, "yaml")
    check(a.post(body, ctype="application/json; charset=utf-8")[0] == 200, "charset")
    check(a.post(body, path="/")[0] == 404, "path")
    c = a.connect()
    c.request("GET", "/validate")
    r = c.getresponse()
    check(r.status == 405 and r.getheader("Allow") == "POST", r.status)


@test
def wrong_uid_and_missing_fields(a):
    for path, why in (("uid", "uid"), ("kind", "kind"), ("resource", "resource"), ("operation", "operation"), ("object", "object")):
        review = pod()
        del review["request"][path]
        status, text = a.post(json.dumps(review))
        check(status == 400 and why in json.loads(text)["message"], f"{path}: {status} {text}")
    for uid in ("", None, 7, [], "x" * 300):
        review = pod()
        review["request"]["uid"] = uid
        check(a.post(json.dumps(review))[0] == 400, f"uid {uid!r}")
    for key, value in (("apiVersion", "admission.k8s.io/v1beta1"), ("kind", "Pod"), ("request", None)):
        review = pod()
        review[key] = value
        check(a.post(json.dumps(review))[0] == 400, key)
    review = pod()
    review["request"]["operation"] = "PATCH"
    check(a.post(json.dumps(review))[0] == 400, "operation")
    review = pod(operation="UPDATE")
    check(a.post(json.dumps(review))[0] == 400, "UPDATE without oldObject")
    # uids are echoed as they are, whatever is in them
    odd = 'ä"\\\n\u2028😀'
    check(a.review(pod(uid=odd))["uid"] == odd, "uid")


@test
def chunked_bodies(a):
    s = a.raw()
    s.sendall(b"POST /validate HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    check(s.recv(4096).startswith(b"HTTP/1.1 411 "), "no 411")


@test
def keep_alive_serves_many(a):
    c = a.connect()
    for i in range(100):
        check(a.review(pod(i % 2 == 0, f"k-{i}"), connection=c)["allowed"] is (i % 2 == 1), i)


@test
def slow_clients_do_not_hold_others(a):
    """Slow heads, slow bodies and silent connections, many at a time; others are served at full speed meanwhile."""
    slow = []
    for i in range(30):
        s = socket.create_connection(("127.0.0.1", a.ports["webhook"]), timeout=30)
        if i % 3:
            s = a.context().wrap_socket(s, server_hostname="127.0.0.1")
            s.sendall(b"POST /validate HTTP/1.1\r\nHo" if i % 3 == 1 else
                      b"POST /validate HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
        slow.append(s)
    end = time.monotonic() + 16
    worst = 0.0
    while time.monotonic() < end:
        begin = time.monotonic()
        check(a.review(pod())["allowed"] is False, "not served")
        worst = max(worst, time.monotonic() - begin)
        for s in slow:
            try:
                s.sendall(b"x")
            except OSError:
                pass
        time.sleep(0.25)
    check(worst < 5, f"a review took {worst:.1f} s beside slow clients")
    still = 0
    for s in slow:
        s.settimeout(0.2)
        try:
            still += s.recv(1) != b""
        except TimeoutError:
            still += 1
        except OSError:
            pass
        s.close()
    check(still == 0, f"{still} of {len(slow)} slow clients were not cut off")


@test
def half_closed_tls(a):
    body = json.dumps(pod()).encode()
    head = b"POST /validate HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    # the whole request, then the client's side is closed: the answer comes
    s = a.raw()
    s.sendall(head + body)
    s.shutdown(socket.SHUT_WR)
    # half of it; nothing but the handshake; the handshake cut in the middle; no TLS at all
    t = a.raw()
    t.sendall(head + body[:50])
    socket.socket.shutdown(t, socket.SHUT_WR)
    u = a.raw()
    socket.socket.shutdown(u, socket.SHUT_WR)
    v = socket.create_connection(("127.0.0.1", a.ports["webhook"]), timeout=20)
    v.sendall(b"\x16\x03\x01\x02\x00\x01")
    v.shutdown(socket.SHUT_WR)
    w = socket.create_connection(("127.0.0.1", a.ports["webhook"]), timeout=20)
    w.sendall(head + body)
    for x in (t, u, v, w):
        try:
            while x.recv(4096):
                pass
        except OSError:
            pass
        x.close()
    s.close()
    check(a.review(pod())["allowed"] is False, "not served afterwards")


@test
def garbage_on_the_socket(a):
    for data in (b"\x00" * 5000, b"GET " + b"/" * 100000, b"\r\n" * 10000, b"POST / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                 b"POST /validate HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                 b"POST /validate HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
                 b"POST /%00%ff%2e%2e/validate?timeout=%00 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"):
        s = a.raw(timeout=3)
        try:
            s.sendall(data)
            s.recv(4096)
        except OSError:
            pass
        s.close()
    check(a.review(pod())["allowed"] is False, "not served afterwards")


@test
def deadlines(a):
    for timeout in ("1s", "30s", "", "nonsense", "-1s", "0s", "999999999h"):
        status, text = a.post(json.dumps(pod()), path=f"/validate?timeout={timeout}")
        check(status == 200 and json.loads(text)["response"]["allowed"] is False, f"{timeout}: {status} {text[:200]}")


@test
def every_answer_has_its_record(a):
    """Many callers at once; every position that was answered is in the log, with that verdict, once."""
    before = len(a.decisions())

    def one(i):
        return f"m-{i}", a.review(pod(i % 3 == 0, f"m-{i}"))

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = dict(pool.map(one, range(300)))
    decisions = [d for d in a.decisions()[before:] if d["request"].startswith("m-")]
    check(len(decisions) == 300, f"{len(decisions)} records of 300 answers")
    for d in decisions:
        check(d["allowed"] == answers[d["request"]]["allowed"], d)
    positions = {r["auditAnnotations"]["evidence"] for r in answers.values()}
    check(len(positions) == 300, "positions repeat")
    a.verify()


@test
def killed_without_notice_loses_nothing(a):
    answered = []
    stop = threading.Event()

    def call():
        c = a.connect(5)
        i = 0
        while not stop.is_set():
            uid = f"kill-{threading.get_ident()}-{i}"
            i += 1
            try:
                if a.review(pod(uid=uid), connection=c)["auditAnnotations"].get("evidence"):
                    answered.append(uid)
            except (OSError, http.client.HTTPException, AssertionError):
                return

    threads = [threading.Thread(target=call) for _ in range(4)]
    for t in threads:
        t.start()
    time.sleep(1.0)
    a.process.kill()
    stop.set()
    for t in threads:
        t.join()
    a.process.wait()
    check(answered, "nothing was answered")
    a.start()
    have = {d["request"] for d in a.decisions()}
    lost = [u for u in answered if u not in have]
    check(not lost, f"{len(lost)} of {len(answered)} answered decisions are not in the log")
    a.verify()


def main():
    a = Agent()
    failed = 0
    for t in TESTS:
        if len(sys.argv) > 1 and t.__name__ not in sys.argv[1:]:
            continue
        try:
            t(a)
            check(a.alive(), "the agent died:\n" + "".join(a.lines[-20:]))
            print("ok", t.__name__, flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {t.__name__}: {e}", flush=True)
            traceback.print_exc()
            if not a.alive():
                print("".join(a.lines[-60:]))
                a = Agent()
    try:
        a.stop()
        a.verify()
        print("ok stops_cleanly_and_verifies")
    except Exception as e:  # pylint: disable=broad-except
        failed += 1
        print(f"FAILED stops_cleanly_and_verifies: {e}\n" + "".join(a.lines[-60:]))
    shutil.rmtree(a.dir, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
