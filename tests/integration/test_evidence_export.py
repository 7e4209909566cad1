#!/usr/bin/python3
"""A log made by the agent: killed, continued, rotated, exported; it verifies with the agent and with an auditor's own tools, and one
changed byte anywhere in it is found and named."""
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

AGENT = os.environ["EUCS_AGENT"]
HERE = os.path.dirname(os.path.abspath(__file__))
AUDIT = os.path.join(HERE, "..", "lib", "audit-export.sh")

POD = """apiVersion: v1
kind: Pod
metadata: {name: bad-%d, namespace: default}
spec:
  containers:
  - {name: c, image: example.eu/app:1, securityContext: {privileged: true}}
"""


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Log:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="eucs-evidence-")
        self.log = os.path.join(self.dir, "evidence")
        self.watch = os.path.join(self.dir, "manifests")
        os.mkdir(self.watch)
        self.pods = 0
        self.process = None

    def start(self, key="ed25519"):
        config = os.path.join(self.dir, "agent.yaml")
        with open(config, "w", encoding="utf-8") as f:
            f.write(
                f"source: {{kind: directory, path: {self.watch}}}\n"
                f"evidence: {{dir: {self.log}, syncInterval: 20ms, key: {key}}}\n"
                "webhook: {address: 127.0.0.1, port: 0, workers: 1}\n"
                "web: {address: 127.0.0.1, port: 0}\n"
                "health: {address: 127.0.0.1, port: 0}\n"
            )
        self.out = open(os.path.join(self.dir, "agent.log"), "ab")
        self.process = subprocess.Popen([AGENT, "run", "--config", config], stdout=subprocess.DEVNULL, stderr=self.out)

    def add_pod(self):
        self.pods += 1
        with open(os.path.join(self.watch, f"pod-{self.pods}.yaml"), "w", encoding="utf-8") as f:
            f.write(POD % self.pods)

    def verify(self, path=None):
        p = subprocess.run([AGENT, "evidence", "verify", path or self.log], capture_output=True, text=True, check=False)
        return p.returncode, p.stdout + p.stderr

    def wait_records(self, more_than):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            check(self.process.poll() is None, "the agent ended:\n" + self.tail())
            if os.path.isdir(self.log) and glob.glob(self.log + "/seg-*"):
                n = len(self.records())
                if n > more_than:
                    return n
            time.sleep(0.1)
        raise AssertionError("no new records:\n" + self.tail())

    def tail(self):
        with open(os.path.join(self.dir, "agent.log"), encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-20:])

    def export(self):
        out = os.path.join(self.dir, "export")
        shutil.rmtree(out, ignore_errors=True)
        p = subprocess.run([AGENT, "evidence", "export", "--log", self.log, "--out", out], capture_output=True, text=True, check=False)
        check(p.returncode == 0, p.stdout + p.stderr)
        return out

    def records(self):
        out = self.export()
        return [json.loads(line) for f in sorted(glob.glob(out + "/*/log.ndjson")) for line in open(f, "rb")]

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        code = self.process.wait(60)
        self.out.close()
        return code

    def done(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def audit(folder):
    return subprocess.run(["bash", AUDIT, folder], capture_output=True, text=True, check=False)


def test_life(log):
    """Killed, continued; a new epoch with another key; every epoch holds for the auditor."""
    log.add_pod()
    log.start()
    n = log.wait_records(1)
    before = [(r["origin"], r["seq"], r["prev"]) for r in log.records()]
    log.stop(signal.SIGKILL)
    code, text = log.verify()
    check(code == 0, text)
    log.start()
    log.add_pod()
    log.wait_records(n)
    check([(r["origin"], r["seq"], r["prev"]) for r in log.records()][: len(before)] == before, "records changed by a restart")
    check(log.stop() == 0, "exit status")
    n = len(log.records())
    log.start("ecdsa-p256")
    log.wait_records(n)
    check(log.stop() == 0, "exit status")
    code, text = log.verify()
    check(code == 0 and "2 epochs" in text and " 0 after the last checkpoint" in text, text)
    out = log.export()
    code, text = log.verify(out)
    check(code == 0, text)
    for folder in glob.glob(out + "/*"):
        p = audit(folder)
        check(p.returncode == 0, f"{folder}: {p.stdout}{p.stderr}")


def test_attacks(log):
    """On the closed log of test_life: an export that was changed is found by the auditor's tools and by ours."""
    out = log.export()
    folder = sorted(glob.glob(out + "/*"))[0]
    path = os.path.join(folder, "log.ndjson")
    lines = open(path, "rb").read().splitlines(True)
    edited = json.loads(lines[1])
    edited["time"] += 1
    attacks = {
        "delete": lines[:1] + lines[2:],
        "reorder": [lines[0], lines[2], lines[1]] + lines[3:],
        "edit": [lines[0], json.dumps(edited, separators=(",", ":"), sort_keys=True).encode() + b"\n"] + lines[2:],
        "cut": lines[:-1],
        "repeat": lines[:2] + lines[1:],
    }
    for name, changed in attacks.items():
        with open(path, "wb") as f:
            f.writelines(changed)
        check(audit(folder).returncode != 0, f"{name}: the auditor did not see it")
        code, text = log.verify(out)
        check(code == 1 and folder in text, f"{name}: {code} {text}")
    with open(path, "wb") as f:
        f.writelines(lines)
    check(log.verify(out)[0] == 0, "put back")


def test_one_byte(log):
    """One flipped byte anywhere in the log makes verify fail and says where."""
    random.seed(20261121)
    files = sorted(glob.glob(log.log + "/seg-*") + glob.glob(log.log + "/epochs/*/*") + glob.glob(log.log + "/state"))
    check(len(files) >= 8, files)
    for path in files:
        size = os.path.getsize(path)
        places = {0, 7, 130, 170, size - 1, size // 2} | {random.randrange(min(size, 6000)) for _ in range(8)}
        for place in sorted(p for p in places if 0 <= p < size):
            with open(path, "r+b") as f:
                f.seek(place)
                old = f.read(1)
                f.seek(place)
                f.write(bytes([old[0] ^ (1 << random.randrange(8))]))
            code, text = log.verify()
            with open(path, "r+b") as f:
                f.seek(place)
                f.write(old)
            name = os.path.basename(path)
            check(code == 1, f"{name} byte {place}: exit {code}: {text}")
            check("BROKEN" in text and log.log in text, f"{name} byte {place}: no place named: {text}")
    code, text = log.verify()
    check(code == 0, text)


def test_unreadable(log):
    for path in ("/nowhere", "/etc/passwd", log.watch):
        code, text = log.verify(path)
        check(code == 2, f"{path}: {code} {text}")


def main():
    failed = passed = 0
    log = Log()
    try:
        for test in (test_life, test_attacks, test_one_byte, test_unreadable):
            try:
                test(log)
                print("ok " + test.__name__)
                passed += 1
            except Exception as e:  # the next tests need not fail with it
                print(f"FAILED {test.__name__}: {type(e).__name__}: {e}")
                failed += 1
    finally:
        log.done()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
