#!/usr/bin/env python3
"""Figures of the whole agent: webhook rate and latency beside nginx answering a constant over TLS with the same bodies (wrk), start-up
time, memory, scan rate. One line a figure. Load generator and server have a core each where the machine has two."""
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AGENT = os.environ["EUCS_AGENT"]
REVIEW = os.path.join(HERE, "data", "review.json")
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CONNECTIONS = 32


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(cpu, command):
    if shutil.which("taskset") and os.cpu_count() > 1:
        return ["taskset", "-c", str(cpu)] + command
    return command


def wait_for(what, test, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if test():
                return
        except OSError:
            pass
        time.sleep(0.002)
    raise SystemExit("bench: %s did not come up" % what)


def ready(port):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    c.request("GET", "/readyz")
    return c.getresponse().status == 200


def rss(pid):
    out = {}
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            m = re.match(r"(VmRSS|RssAnon):\s+(\d+) kB", line)
            if m:
                out[m.group(1)] = int(m.group(2)) / 1024
    return out


def wrk(port, path, script, rate_note=""):
    command = pinned(1, ["wrk", "-t1", "-c%d" % CONNECTIONS, "-d%ds" % SECONDS, "--latency", "-s", script,
                         "https://127.0.0.1:%d%s" % (port, path)])
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if bad or "Socket errors" in text:
        raise SystemExit("bench: errors under load%s:\n%s" % (rate_note, text))
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    ms = float(p99.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)]
    return rate, ms


def half_load(port, path, rate, tmp):
    """p99 at half of the highest rate: a paced client on two keep-alive connections."""
    body = open(REVIEW, "rb").read()
    context = ssl._create_unverified_context()
    conns = []
    for _ in range(2):
        c = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        c.connect()
        conns.append(c)
    gap = 2.0 / rate
    times = []
    start = time.monotonic()
    i = 0
    while time.monotonic() - start < SECONDS:
        due = start + i * gap
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        c = conns[i % 2]
        t = time.monotonic()
        c.request("POST", path, body, {"Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        times.append(time.monotonic() - t)
        i += 1
    times.sort()
    return times[int(len(times) * 0.99)] * 1000, len(times) / (time.monotonic() - start)


class Nginx:
    def __init__(self, tmp, answer):
        self.port = free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                        "-subj", "/CN=localhost", "-keyout", tmp + "/n.key", "-out", tmp + "/n.crt"], check=True, capture_output=True)
        text = json.dumps(answer).replace("'", "\\'").replace("$", "")
        with open(tmp + "/nginx.conf", "w") as f:
            f.write("""worker_processes 1; daemon off; pid %s/n.pid; error_log stderr crit;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 100000000; client_max_body_size 8m; client_body_buffer_size 64k;
 client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;
 server { listen 127.0.0.1:%d ssl reuseport; ssl_certificate %s/n.crt; ssl_certificate_key %s/n.key; ssl_protocols TLSv1.3;
 location / { default_type application/json; return 200 '%s'; } } }
""" % (tmp, tmp, tmp, tmp, tmp, tmp, self.port, tmp, tmp, text))
        self.proc = subprocess.Popen(pinned(0, ["nginx", "-c", tmp + "/nginx.conf", "-p", tmp]), stderr=subprocess.DEVNULL)
        wait_for("nginx", lambda: socket.create_connection(("127.0.0.1", self.port), 1))

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


class Agent:
    def __init__(self, tmp, name, extra=""):
        self.dir = os.path.join(tmp, name)
        os.makedirs(self.dir + "/watch")
        self.webhook, self.web, self.health = free_port(), free_port(), free_port()
        with open(self.dir + "/config.yaml", "w") as f:
            f.write("""apiVersion: eucs-agent.io/v1alpha1
kind: Configuration
source: {kind: directory, path: %s/watch}
evidence: {dir: %s/evidence}
webhook: {address: 127.0.0.1, port: %d}
web: {address: 127.0.0.1, port: %d}
health: {address: 127.0.0.1, port: %d}
log: {level: warn}
%s""" % (self.dir, self.dir, self.webhook, self.web, self.health, extra))
        start = time.monotonic()
        self.proc = subprocess.Popen(pinned(0, [AGENT, "run", "--config", self.dir + "/config.yaml"]), stdout=subprocess.DEVNULL)
        wait_for("the agent", lambda: ready(self.health))
        self.start_ms = (time.monotonic() - start) * 1000

    def stop(self):
        self.proc.terminate()
        self.proc.wait()


def main():
    tmp = tempfile.mkdtemp(prefix="eucs-bench-")
    try:
        body = open(REVIEW).read()
        script = tmp + "/post.lua"
        with open(script, "w") as f:
            f.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[%s]==]\n' % body.strip())
        starts = []
        for i in range(5):
            a = Agent(tmp, "start%d" % i)
            starts.append(a.start_ms)
            a.stop()
        agent = Agent(tmp, "agent")
        context = ssl._create_unverified_context()
        c = http.client.HTTPSConnection("127.0.0.1", agent.webhook, context=context)
        c.request("POST", "/validate?timeout=3s", body, {"Content-Type": "application/json"})
        answer = json.loads(c.getresponse().read())
        assert answer["response"]["uid"] == json.loads(body)["request"]["uid"]
        nginx = Nginx(tmp, answer)
        ours, theirs, ratios, p99s = [], [], [], []
        for _ in range(ROUNDS):
            n, _ms = wrk(nginx.port, "/validate", script)
            a, ms = wrk(agent.webhook, "/validate?timeout=3s", script)
            ours.append(a)
            theirs.append(n)
            ratios.append(a / n)
            p99s.append(ms)
        rate = statistics.median(ours)
        print("webhook_rate: %.0f reviews/s on one core, nginx constant %.0f/s, ratio %.0f %% (bar 30 %%, then 50 %%)"
              % (rate, statistics.median(theirs), 100 * statistics.median(ratios)))
        print("webhook_p99_full_load: %.2f ms with %d connections" % (statistics.median(p99s), CONNECTIONS))
        ms, reached = half_load(agent.webhook, "/validate?timeout=3s", min(rate, 8000), tmp)
        print("webhook_p99_paced: %.2f ms at %.0f reviews/s (bar 2 ms at half load)" % (ms, reached))
        m = rss(agent.proc.pid)
        print("memory_after_load: RssAnon %.1f MiB, RSS %.1f MiB (bar node 12, seat 56 MiB)" % (m["RssAnon"], m["VmRSS"]))
        print("start_to_ready: %.0f ms with the whole catalogue (bar 100 ms)" % statistics.median(starts))
        agent.stop()
        nginx.stop()
        scan_rate(tmp)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def scan_rate(tmp):
    n = 20000
    doc = json.loads(open(REVIEW).read())["request"]["object"]
    path = tmp + "/objects.json"
    with open(path, "w") as f:
        f.write('{"apiVersion":"v1","kind":"List","items":[')
        doc["metadata"].pop("managedFields", None)
        for i in range(n // 20):
            doc["metadata"]["name"] = "web-%d" % i
            f.write(("," if i else "") + json.dumps(doc))
        f.write("]}")
    objects = n // 20
    rates = []
    for _ in range(3):
        start = time.monotonic()
        r = subprocess.run(pinned(0, [AGENT, "scan", path, "--format", "jsonl", "--fail-on", "never"]), stdout=subprocess.DEVNULL)
        assert r.returncode == 0, "scan answered %d" % r.returncode
        rates.append(objects / (time.monotonic() - start))
    print("scan_rate: %.0f objects/s of a Deployment with three containers (bar 20000)" % statistics.median(rates))


main()
