"""The chart: helm lints and renders it, the real API server accepts every object, and the webhook
configuration goes with the release."""

import glob
import json
import os
import subprocess
import unittest

from harness import (BIN, CHART, RELEASE_NAMESPACE, ROOT, WEBHOOK_CONFIGURATION, Agent, ApiError,
                     bad_pod_spec, cluster, create, forget_webhooks, need_agent, pod, run_agent,
                     wait_for, world)

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
RELEASE = "eucs-agent"


def helm(*args, check=True):
    env = {"HOME": world().folder, "PATH": os.environ["PATH"],
           "KUBECONFIG": cluster().admin_kubeconfig}
    done = subprocess.run([os.path.join(BIN, "helm"), *args], env=env, text=True,
                          capture_output=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"helm {' '.join(args)}: {done.stdout}{done.stderr}")
    return done


def objects(text):
    """The objects in rendered YAML."""
    done = subprocess.run([os.path.join(BIN, "yamlref")], input=text, text=True,
                          capture_output=True, check=True)
    return [o for o in map(json.loads, done.stdout.splitlines()) if o]


def key(obj):
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


class Rendering(unittest.TestCase):
    def render(self, *flags):
        return objects(helm("template", RELEASE, CHART, "-n", RELEASE_NAMESPACE, *flags).stdout)

    def test_helm_lints_it(self):
        self.assertIn("0 chart(s) failed", helm("lint", "--strict", CHART).stdout)

    def test_no_webhook_configuration_is_rendered(self):
        self.assertEqual([o for o in self.render() if "Webhook" in o["kind"]], [])

    def test_a_wrong_value_is_refused_by_the_schema(self):
        done = helm("template", RELEASE, CHART, "--set", "enforcement=sometimes", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("enforcement", done.stderr)

    def test_manifests_are_the_rendered_chart(self):
        rendered = {key(o): o for o in self.render()}
        written = {}
        for path in glob.glob(os.path.join(ROOT, "manifests", "*.yaml")):
            with open(path, encoding="utf-8") as f:
                written.update({key(o): o for o in objects(f.read())})
        missing = set(rendered) - set(written)
        self.assertEqual(missing, set())
        for name, obj in rendered.items():
            with self.subTest(name):
                self.assertEqual(written[name], obj)

    def test_the_api_server_accepts_every_object(self):
        text = helm("template", RELEASE, CHART, "-n", RELEASE_NAMESPACE).stdout
        done = cluster().kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-",
                                 "-n", RELEASE_NAMESPACE, stdin=text)
        self.assertEqual(done.code, 0, str(done))
        self.assertNotIn("Warning", done.err)

    def test_rights_are_named_one_by_one(self):
        for obj in self.render():
            if obj["kind"] not in ("ClusterRole", "Role"):
                continue
            for rule in obj["rules"]:
                words = rule.get("apiGroups", []) + rule.get("resources", []) + rule["verbs"]
                self.assertNotIn("*", words)
                if obj["kind"] == "ClusterRole":
                    self.assertNotIn("secrets", rule.get("resources", []))

    def test_its_own_findings_are_known(self):
        text = helm("template", RELEASE, CHART, "-n", RELEASE_NAMESPACE).stdout
        need_agent()
        done = run_agent("scan", "-", "--format", "jsonl", "--fail-on", "never", stdin=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        failed = {json.loads(line)["control"] for line in done.stdout.splitlines()
                  if json.loads(line)["result"] == "fail" and
                  json.loads(line)["severity"] == "critical"}
        self.assertEqual(failed, set())


class Release(unittest.TestCase):
    """Install, upgrade, rollback, uninstall: the webhook configuration is right, or not there."""

    def setUp(self):
        need_agent()
        self.api = cluster().api()
        self.ns = world().namespace()
        self.addCleanup(forget_webhooks)
        self.addCleanup(helm, "uninstall", RELEASE, "-n", RELEASE_NAMESPACE, check=False)

    def agent(self):
        """The agent under the chart's ServiceAccount and rights, as its pods would run."""
        names = {o["kind"]: o["metadata"]["name"] for o in objects(helm(
            "get", "manifest", RELEASE, "-n", RELEASE_NAMESPACE).stdout)}
        token = cluster().token(names["ServiceAccount"], RELEASE_NAMESPACE)
        agent = Agent(kubeconfig=cluster().kubeconfig_token("release", token),
                      owner=names["ClusterRole"])
        self.addCleanup(agent.stop)
        return agent

    def test_life_of_a_release(self):
        create(self.api, pod(self.ns, "older", bad_pod_spec()))
        helm("install", RELEASE, CHART, "-n", RELEASE_NAMESPACE)
        self.assertIsNone(self.api.find(f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}"))
        agent = self.agent().start()
        self.assert_works("installed")
        agent.wait_assessment(self.ns, "older", "pod-privileged", "fail")
        self.assertNotIn("forbidden", agent.log().lower())

        helm("upgrade", RELEASE, CHART, "-n", RELEASE_NAMESPACE, "--set", "enforcement=warn")
        self.assert_works("upgraded")
        helm("rollback", RELEASE, "1", "-n", RELEASE_NAMESPACE)
        self.assert_works("rolled back")

        owner = self.api.get(f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}")["metadata"]["ownerReferences"]
        self.assertEqual([o["kind"] for o in owner], ["ClusterRole"])
        agent.stop()
        helm("uninstall", RELEASE, "-n", RELEASE_NAMESPACE)
        wait_for("removal of the configuration", lambda: self.api.find(
            f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}") is None, 60)
        create(self.api, pod(self.ns, "free", bad_pod_spec()))

    def assert_works(self, step):
        """A bad Pod is denied, by a dry run that leaves nothing."""
        def denied():
            try:
                self.api.create(f"/api/v1/namespaces/{self.ns}/pods?dryRun=All",
                                pod(self.ns, "probe", bad_pod_spec()))
            except ApiError as e:
                return e.code == 403 and "pod-privileged" in str(e)
            return False
        wait_for(f"a denial when {step}", denied, 30)
