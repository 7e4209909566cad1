"""The chart: helm lints and renders it, the real API server accepts every object, and the webhook
configuration goes with the release."""

import json
import os
import re
import subprocess
import tempfile
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
        script = os.path.join(ROOT, "tests", "lib", "render-chart.sh")
        done = subprocess.run([script, os.path.join(BIN, "helm")], cwd=ROOT, text=True, check=True,
                              capture_output=True)
        with open(os.path.join(ROOT, "manifests", "eucs-agent.yaml"), encoding="utf-8") as f:
            self.assertEqual(f.read(), done.stdout, "run `make chart`")

    def test_the_api_server_accepts_the_plain_manifests(self):
        done = cluster().kubectl("apply", "--server-side", "--dry-run=server",
                                 "--validate=strict", "-f", os.path.join(
                                     ROOT, "manifests", "eucs-agent.yaml"))
        self.assertEqual(done.code, 0, str(done))
        self.assertNotIn("Warning", done.err)

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

    def own_findings(self, *flags):
        """(exit status, {control: action}) of a scan of the DaemonSet as the chart renders it."""
        need_agent()
        made = self.render("--set", "image.tag=sha256:" + "ab" * 32, *flags)
        config = next(o["data"] for o in made if o["kind"] == "ConfigMap")
        text = json.dumps(next(o for o in made if o["kind"] == "DaemonSet"))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(config.get("exemptions.yaml", ""))
            f.flush()
            extra = ["--exemptions", f.name] if "exemptions.yaml" in config else []
            done = run_agent("scan", "-", "--format", "jsonl", "--fail-on", "warn", *extra,
                             stdin=text)
        found = map(json.loads, done.stdout.splitlines())
        return done.returncode, {x["control"]: x["action"] for x in found if x["result"] == "fail"}

    def test_its_own_findings_are_known(self):
        code, found = self.own_findings()
        self.assertEqual(code, 1)
        self.assertEqual(found, {
            "pod-host-path": "deny", "pod-host-path-sensitive": "deny", "pod-volume-types": "warn",
            "pod-run-as-non-root": "deny", "pod-run-as-user": "deny",
            "pod-capabilities-added-restricted": "warn"})

    def test_its_own_findings_are_exempted_when_somebody_answers_for_them(self):
        approved = ("--set", "ownFindings.approver=ciso@example.eu,ownFindings.riskRef=RISK-1,"
                             "ownFindings.end=2099-12-31")
        code, found = self.own_findings(*approved)
        self.assertEqual(code, 0)
        self.assertEqual(set(found), set(self.own_findings()[1]))
        self.assertEqual(set(found.values()), {"audit"})
        done = helm("template", RELEASE, CHART, *approved[:1],
                    "ownFindings.approver=ciso@example.eu", check=False)
        self.assertIn("an exemption has an end", done.stderr)


class Release(unittest.TestCase):
    """Install, upgrade, rollback, uninstall: the webhook configuration is right, or not there."""

    def setUp(self):
        need_agent()
        self.api = cluster().api()
        self.ns = world().namespace()
        self.addCleanup(forget_webhooks)
        self.addCleanup(helm, "uninstall", RELEASE, "-n", RELEASE_NAMESPACE, check=False)

    def manifest(self):
        return objects(helm("get", "manifest", RELEASE, "-n", RELEASE_NAMESPACE).stdout)

    def chart_config(self):
        """The configuration that the release's pods read."""
        config = next(o for o in self.manifest() if o["kind"] == "ConfigMap")
        return objects(config["data"]["config.yaml"])[0]

    def agent(self):
        """The agent with the chart's configuration, ServiceAccount and rights, as in its pods."""
        account = next(o["metadata"]["name"] for o in self.manifest()
                       if o["kind"] == "ServiceAccount")
        token = cluster().token(account, RELEASE_NAMESPACE)
        agent = Agent(kubeconfig=cluster().kubeconfig_token("release", token),
                      base=self.chart_config())
        self.addCleanup(agent.stop)
        return agent

    def roll(self, agent):
        """What the DaemonSet does when its ConfigMap changed."""
        agent.base = self.chart_config()
        agent.write_config()
        agent.restart()

    def test_life_of_a_release(self):
        create(self.api, pod(self.ns, "older", bad_pod_spec()))
        helm("install", RELEASE, CHART, "-n", RELEASE_NAMESPACE)
        self.assertIsNone(self.api.find(f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}"))
        agent = self.agent().start()
        wait_for("a warning when installed", lambda: self.probe() == "warned", 30)
        agent.wait_assessment(self.ns, "older", "pod-privileged", "fail")

        helm("upgrade", RELEASE, CHART, "-n", RELEASE_NAMESPACE, "--set", "enforcement=deny")
        self.roll(agent)
        wait_for("a denial when upgraded", lambda: self.probe() == "denied", 30)
        helm("rollback", RELEASE, "1", "-n", RELEASE_NAMESPACE)
        self.roll(agent)
        wait_for("a warning when rolled back", lambda: self.probe() == "warned", 30)
        self.assertNotIn("forbidden", agent.log().lower())

        meta = self.api.get(f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}")["metadata"]
        self.assertEqual([o["kind"] for o in meta["ownerReferences"]], ["ClusterRole"])
        agent.stop()
        helm("uninstall", RELEASE, "-n", RELEASE_NAMESPACE)
        wait_for("removal of the configuration", lambda: self.api.find(
            f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}") is None, 60)
        self.assertEqual(self.probe(), "admitted")

    def test_uninstalling_under_a_running_agent(self):
        helm("install", RELEASE, CHART, "-n", RELEASE_NAMESPACE, "--set", "enforcement=deny")
        agent = self.agent().start()
        wait_for("a denial", lambda: self.probe() == "denied", 30)
        agent.kill()  # its pod goes with the release; it may have no time for anything
        helm("uninstall", RELEASE, "-n", RELEASE_NAMESPACE)
        wait_for("removal of the configuration", lambda: self.api.find(
            f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}") is None, 60)
        self.assertEqual(self.probe(), "admitted")

    def may(self, verb, group, resource):
        """Whether the release's ServiceAccount has this right, says the API server."""
        review = self.api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": f"system:serviceaccount:{RELEASE_NAMESPACE}:{RELEASE}",
                     "resourceAttributes": {"verb": verb, "group": group, "resource": resource}}})
        return review["status"]["allowed"]

    def test_its_rights_cover_every_kind_that_it_watches(self):
        helm("install", RELEASE, CHART, "-n", RELEASE_NAMESPACE)
        agent = self.agent().start()
        text = agent.fetch(agent.web_port, "/metrics", headers={
            "Authorization": "Bearer " + agent.token})[1]
        watched = re.findall(
            r'^eucs_agent_watch_objects\{resource="(.*?)",group="(.*?)"', text, re.M)
        self.assertGreater(len(watched), 15)
        self.assertIn(("deployments", "apps"), watched)
        for resource, group in watched:
            for verb in ("list", "watch"):
                self.assertTrue(self.may(verb, group, resource), f"{verb} {resource}.{group}")
        self.assertFalse(self.may("list", "", "secrets"))
        self.assertEqual([r for r in agent.records("gap.opened")
                          if r.body["scope"].startswith("watch:")], [])

    def test_a_kind_that_it_may_not_watch_is_a_recorded_gap(self):
        create(self.api, pod(self.ns, "bad", bad_pod_spec()))
        helm("install", RELEASE, CHART, "-n", RELEASE_NAMESPACE)
        path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{RELEASE}"
        role = self.api.get(path)
        for rule in role["rules"]:
            rule["resources"] = [r for r in rule["resources"] if r != "networkpolicies"]
        self.api.replace(path, role)
        agent = self.agent()
        agent.process.start()
        wait_for("a gap of networkpolicies", lambda: [
            r for r in agent.records("gap.opened") if "networkpolicies" in r.body["scope"] and
            r.body["reason"] == "forbidden"], 30)
        agent.wait_assessment(self.ns, "bad", "pod-privileged", "fail")  # the rest goes on

    def probe(self):
        """What becomes of a bad Pod, by a dry run that leaves nothing."""
        try:
            self.api.create(f"/api/v1/namespaces/{self.ns}/pods?dryRun=All",
                            pod(self.ns, "probe", bad_pod_spec()))
        except ApiError as e:
            return "denied" if e.code == 403 and "pod-privileged" in str(e) else str(e)
        return "warned" if "pod-privileged" in " ".join(self.api.warnings) else "admitted"
