#!/usr/bin/env python3
"""The embedded default: what `make run` starts answers, shows findings as files change, reloads, stops cleanly, and its log verifies."""
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
import time

AGENT = os.environ["EUCS_AGENT"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAMPLES = os.path.join(ROOT, "manifests", "samples")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, test, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            got = test()
            if got:
                return got
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("%s did not happen" % what)


class Agent:
    def __init__(self, folder, watch):
        self.folder, self.watch = folder, watch
        self.webhook, self.web, self.health = free_port(), free_port(), free_port()
        self.out = open(os.path.join(folder, "stdout"), "w+")
        self.err = open(os.path.join(folder, "stderr"), "w+")
        self.proc = subprocess.Popen([AGENT, "run", "--state-dir", os.path.join(folder, "state"), "--watch-dir", watch, "--webhook-port",
                                      str(self.webhook), "--web-port", str(self.web), "--health-port", str(self.health)],
                                     stdout=self.out, stderr=self.err)
        wait_for("readiness", self.ready)

    def ready(self):
        if self.proc.poll() is not None:
            raise AssertionError("the agent ended: " + self.stderr())
        return self.get("http", self.health, "/readyz")[0] == 200

    def stdout(self):
        with open(self.out.name) as f:
            return f.read()

    def stderr(self):
        with open(self.err.name) as f:
            return f.read()

    def get(self, scheme, port, path, headers=None):
        if scheme == "http":
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        else:
            context = ssl.create_default_context(cafile=self.state("evidence/tls/ca.crt"))
            c = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
        c.request("GET", path, headers=headers or {})
        r = c.getresponse()
        return r.status, r.read().decode()

    def state(self, name):
        return os.path.join(self.folder, "state", name)

    def web_get(self, path):
        with open(self.state("evidence/web.token")) as f:
            return self.get("https", self.web, path, {"Authorization": "Bearer " + f.read()})

    def records(self):
        with open(self.state("evidence.ndjson")) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def stop(self, sig=signal.SIGTERM):
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        return self.proc.wait(30)


def test_greeting(a):
    text = a.stdout()
    for line in ("webhook    https://127.0.0.1:%d/validate" % a.webhook, "health     http://127.0.0.1:%d/readyz" % a.health,
                 "A review that is denied:"):
        assert line in text, text
    return text


def test_curl_is_denied(a):
    command = re.search(r"^  (curl .*?\n.*?)$", a.stdout(), re.M).group(1).replace("\\\n", " ")
    answer = json.loads(subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout)
    assert answer["response"]["allowed"] is False, answer
    assert "pod-privileged" in answer["response"]["status"]["message"], answer
    assert "OPS-21.1B" in answer["response"]["status"]["message"], answer
    position = answer["response"]["auditAnnotations"]["evidence"]
    seq = int(re.search(r"-e1-(\d+):[0-9a-f]{16}$", position).group(1))
    record = wait_for("the decision at the sink", lambda: next((r for r in a.records() if r["seq"] == seq), None))
    assert record["type"] == "admission.decision" and record["body"]["allowed"] is False, record


def test_samples_are_found(a):
    wait_for("findings of the samples", lambda: "pod-privileged" in a.stdout())
    findings = json.loads(a.web_get("/api/v1/findings")[1])
    assert any("pod-privileged" in json.dumps(f) for f in findings["items"]), findings
    scan = subprocess.run([AGENT, "scan", a.watch, "--format", "jsonl"], capture_output=True, text=True)
    fails = sum(1 for line in scan.stdout.splitlines() if json.loads(line)["result"] == "fail")
    status = json.loads(a.web_get("/api/v1/status")[1])
    assert status["findings"]["results"]["fail"] == fails, (status["findings"], fails)
    assert findings["total"] == fails, (findings["total"], fails)


def test_changes_are_shown(a):
    path = os.path.join(a.watch, "added.yaml")
    pod = ("apiVersion: v1\nkind: Pod\nmetadata: {name: added, namespace: default}\nspec:\n  containers:\n  - name: c\n"
           "    image: r.example/c:1\n    securityContext: {privileged: %s}\n")
    with open(path, "w") as f:
        f.write(pod % "true")
    wait_for("the new finding", lambda: re.search(r"FAIL.*pod-privileged +Pod default/added", a.stdout()))
    with open(path, "w") as f:
        f.write(pod % "false")
    wait_for("the mended finding", lambda: re.search(r"mended or gone: pod-privileged +Pod default/added", a.stdout()))
    with open(path, "w") as f:
        f.write("apiVersion: v1\nkind: [")
    wait_for("a gap for the unreadable file", lambda: any(r["type"] == "gap.opened" for r in a.records()))
    os.unlink(path)
    wait_for("object.gone", lambda: any(r["type"] == "object.gone" and "added" in json.dumps(r["body"]) for r in a.records()))
    assert a.proc.poll() is None


def test_web(a):
    assert a.get("https", a.web, "/metrics")[0] == 401
    assert a.get("https", a.web, "/")[0] in (302, 303, 401)
    assert a.get("https", a.web, "/", {"Authorization": "Bearer wrong"})[0] == 401
    status, text = a.web_get("/metrics")
    assert status == 200 and "eucs_agent_admission_requests_total" in text, text[:500]
    status, page = a.web_get("/")
    assert status == 200 and "<html" in page, page[:300]
    assert a.get("http", a.health, "/livez")[0] == 200
    assert a.get("http", a.health, "/metrics")[0] == 404


def test_reload(a):
    before = len([r for r in a.records() if r["type"] == "ruleset.changed"])
    a.proc.send_signal(signal.SIGHUP)
    wait_for("ruleset.changed", lambda: len([r for r in a.records() if r["type"] == "ruleset.changed"]) > before)
    test_curl_is_denied(a)


def test_stop_and_verify(a):
    assert a.stop() == 0, a.stderr()
    r = subprocess.run([AGENT, "evidence", "verify", a.state("evidence")], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr
    assert " 0 after the last checkpoint" in r.stdout, r.stdout
    out = os.path.join(a.folder, "export")
    r = subprocess.run([AGENT, "evidence", "export", "--log", a.state("evidence"), "--out", out], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert subprocess.run([AGENT, "evidence", "verify", out], capture_output=True).returncode == 0


def test_second_start(folder, watch):
    """What did not change is not recorded again; what changed while the agent was down is."""
    a = Agent(folder, watch)
    before = [r for r in a.records() if r["type"] == "assessment"]
    last = a.records()[-1]["seq"]
    assert a.stop() == 0
    with open(os.path.join(watch, "while-down.yaml"), "w") as f:
        f.write("apiVersion: v1\nkind: Pod\nmetadata: {name: while-down}\nspec: {hostPID: true, containers: [{name: c, image: r.example/c:1}]}\n")
    a = Agent(folder, watch)
    found = wait_for("the change", lambda: [r for r in a.records() if r["type"] == "assessment" and r["seq"] > last])
    assert any("pod-host-pid" in json.dumps(r["body"]) and r["body"]["result"] == "fail" for r in found), found[:3]
    names = {r["body"]["object"]["name"] for r in found}
    assert names == {"while-down"}, names
    assert before is not None
    a.proc.kill()
    a.proc.wait()
    r = subprocess.run([AGENT, "evidence", "verify", a.state("evidence")], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr


def test_bad_start(folder):
    config = os.path.join(folder, "bad.yaml")
    with open(config, "w") as f:
        f.write("source: {kind: directory, path: /nonexistent}\nevidence:\n  dirr: x\n")
    r = subprocess.run([AGENT, "run", "--config", config], capture_output=True, text=True, timeout=20)
    assert r.returncode == 2 and "bad.yaml:3" in r.stderr and "evidence.dirr" in r.stderr, r.stderr
    with open(config, "w") as f:
        f.write("source: {kind: directory, path: /nonexistent}\nevidence: {dir: %s/bad}\nwebhook: {port: 0}\nweb: {port: 0}\nhealth: {port: 0}\n"
                % folder)
    r = subprocess.run([AGENT, "run", "--config", config], capture_output=True, text=True, timeout=20)
    assert r.returncode == 2 and "/nonexistent" in r.stderr, r.stderr


def test_node_facts(folder):
    """Facts of the node below node.root are judged into the agent's own log; nothing is recorded twice."""
    root, state = os.path.join(folder, "node"), os.path.join(folder, "node-state")
    os.makedirs(os.path.join(root, "var/lib/kubelet"))
    os.makedirs(os.path.join(folder, "empty"))
    with open(os.path.join(root, "var/lib/kubelet/config.yaml"), "w") as f:
        f.write("authentication: {anonymous: {enabled: true}}\nauthorization: {mode: Webhook}\n")
    health = free_port()
    config = os.path.join(folder, "node.yaml")
    with open(config, "w") as f:
        f.write("source: {kind: directory, path: %s/empty}\nevidence: {dir: %s}\nnode: {root: %s, name: node-a}\nwebhook: {enabled: false}\n"
                "web: {enabled: false}\nhealth: {address: 127.0.0.1, port: %d}\nsinks: [{name: f, type: file, path: %s.ndjson}]\n"
                % (folder, state, root, health, state))
    for _ in range(2):
        proc = subprocess.Popen([AGENT, "run", "--config", config], stderr=subprocess.DEVNULL)
        try:
            wait_for("readiness", lambda: http_status(health) == 200)
        finally:
            proc.terminate()
            assert proc.wait(30) == 0
    with open(state + ".ndjson") as f:
        found = [r["body"] for r in map(json.loads, f) if r["type"] == "assessment"]
    by_control = {}
    for b in found:
        by_control.setdefault(b["control"], []).append(b)
    assert [b["result"] for b in by_control["node-kubelet-anonymous"]] == ["fail"], by_control
    assert [b["result"] for b in by_control["node-kubelet-authorization"]] == ["pass"], by_control
    assert by_control["node-kubelet-anonymous"][0]["object"]["name"] == "node-a", by_control


def http_status(port):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    c.request("GET", "/readyz")
    return c.getresponse().status


def main():
    folder = tempfile.mkdtemp(prefix="eucs-run-")
    watch = os.path.join(folder, "watch")
    shutil.copytree(SAMPLES, watch)
    failed = 0
    a = Agent(folder, watch)

    def case(name, fn, *args):
        nonlocal failed
        try:
            fn(*args)
            print("ok", name, flush=True)
        except Exception as e:  # noqa: BLE001 - every failure is a failed test
            failed = 1
            print("FAILED", name, type(e).__name__, str(e)[:2000], flush=True)

    try:
        case("greeting", test_greeting, a)
        case("curl-is-denied", test_curl_is_denied, a)
        case("samples-are-found", test_samples_are_found, a)
        case("changes-are-shown", test_changes_are_shown, a)
        case("web", test_web, a)
        case("reload", test_reload, a)
        case("stop-and-verify", test_stop_and_verify, a)
        case("second-start", test_second_start, folder, watch)
        case("bad-start", test_bad_start, folder)
        case("node-facts", test_node_facts, folder)
    finally:
        a.stop(signal.SIGKILL)
        if failed:
            print(a.stderr()[-3000:])
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed)


main()
