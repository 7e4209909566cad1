"""Each sample judged by `scan` and by server-side dry run gives the same verdicts."""

import glob
import json
import os
import re
import subprocess

from harness import (BIN, RELEASE_NAMESPACE, SAMPLES, AgentCase, ApiError, run_agent, wait_for)

EXCLUDED = {"kube-system", "kube-public", "kube-node-lease", RELEASE_NAMESPACE}
WARNINGS = 10  # an answer carries no more


def documents(path):
    """The objects of a file as kubectl would send them, List items apart; (document, item, obj)."""
    done = subprocess.run([os.path.join(BIN, "yamlref"), path], capture_output=True, check=True)
    for number, line in enumerate(done.stdout.splitlines()):
        obj = json.loads(line)
        if obj and obj.get("kind") == "List":
            for item, inner in enumerate(obj["items"]):
                yield number, item, inner
        elif obj:
            yield number, None, obj


def identity(obj):
    meta = obj["metadata"]
    return obj["kind"], meta.get("name")


class Samples(AgentCase):
    @classmethod
    def before_agent(cls):
        cls.files = sorted(glob.glob(os.path.join(SAMPLES, "**", "*.y*ml"), recursive=True) +
                           glob.glob(os.path.join(SAMPLES, "**", "*.json"), recursive=True))
        cls.resources = {}
        wanted = {obj["metadata"].get("namespace", "default") for path in cls.files
                  for _, _, obj in documents(path)}
        for name in wanted:
            if cls.api.find(f"/api/v1/namespaces/{name}") is None:
                cls.cluster.make_namespace(name)
        wait_for("ServiceAccounts", lambda: all(cls.api.find(
            f"/api/v1/namespaces/{n}/serviceaccounts/default") for n in wanted))

    def collection(self, obj):
        """The path where an object of this kind is created, from discovery."""
        version = obj["apiVersion"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if base not in self.resources:
            found = self.api.find(base)
            self.resources[base] = {r["kind"]: r for r in (found or {"resources": []})["resources"]
                                    if "/" not in r["name"]}
        resource = self.resources[base].get(obj["kind"])
        if resource is None:
            return None
        if resource["namespaced"]:
            base += "/namespaces/" + obj["metadata"].get("namespace", "default")
        return f"{base}/{resource['name']}"

    def by_server(self, obj):
        """(denied controls' text or None, warnings) of a server-side dry run."""
        path = self.collection(obj) + "?dryRun=All"
        try:
            self.api.create(path, obj)
        except ApiError as e:
            if e.code == 403 and "denied the request" in str(e):
                return str(e), self.api.warnings
            if e.code == 409:  # it exists, so judge it as an update of its own self
                raise AssertionError(f"{identity(obj)} exists already") from e
            raise AssertionError(f"{identity(obj)}: {e}") from e
        return None, self.api.warnings

    def test_scan_and_dry_run_agree(self):
        self.assertGreaterEqual(len(self.files), 15)
        judged = 0
        for path in self.files:
            done = run_agent("scan", path, "--format", "jsonl", "--level", "high")
            self.assertIn(done.returncode, (0, 1), done.stderr)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            for number, item, obj in documents(path):
                if self.collection(obj) is None or \
                        obj["metadata"].get("namespace") in EXCLUDED:
                    continue
                mine = [x for x in lines if (x["object"]["kind"], x["object"]["name"]) ==
                        identity(obj) and x["source"].get("item") == item]
                judged += bool(mine)
                with self.subTest(file=os.path.relpath(path, SAMPLES), document=number, item=item):
                    self.compare(mine, *self.by_server(obj))
        self.assertGreaterEqual(judged, 15)

    def compare(self, lines, denial, warnings):
        failed = {x["control"] for x in lines if x["result"] == "fail" and not x["exemption"]}
        denying = {x["control"] for x in lines if x["control"] in failed and
                   x["action"] == "deny"}
        named = set(re.findall(r"\b[a-z0-9]+(?:-[a-z0-9]+)+\b", denial or ""))
        self.assertEqual(bool(denying), denial is not None, denial or denying)
        self.assertLessEqual(denying, named)
        passed = {x["control"] for x in lines if x["result"] == "pass"}
        self.assertEqual(passed & named, set(), "scan passes what the webhook denies")
        warned = {x["control"] for x in lines if x["control"] in failed and
                  x["action"] == "warn"}
        text = " ".join(warnings)
        if denial is None and len(warned) <= WARNINGS:
            for control in warned:
                self.assertIn(control, text)
        for control in passed:
            self.assertNotRegex(text, rf"\b{re.escape(control)}(?![-\w])")
