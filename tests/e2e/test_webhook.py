"""The webhook configuration: what the agent makes, keeps and takes back."""

import json
import unittest

from harness import (RELEASE_NAMESPACE, WEBHOOK_CONFIGURATION, Agent, AgentCase, ApiError,
                     bad_pod_spec, cluster, create, forget_webhooks, need_agent, path_of, pod,
                     run_agent, running_agent, wait_for, world)

PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
EXCLUDED = {"kube-system", "kube-node-lease", "kube-public", RELEASE_NAMESPACE}


def triples(webhook):
    """Every (group, resource, operation) of a webhook."""
    return {(g, r, o) for rule in webhook["rules"] for g in rule["apiGroups"]
            for r in rule["resources"] for o in rule["operations"]}


class Shape(AgentCase):
    def setUp(self):
        super().setUp()
        self.config = self.api.get(f"{PATH}/{WEBHOOK_CONFIGURATION}")
        self.webhooks = {w["name"].split(".")[0]: w for w in self.config["webhooks"]}

    def test_two_webhooks_and_no_rule_in_both(self):
        self.assertEqual(set(self.webhooks), {"enforce", "advise"})
        both = triples(self.webhooks["enforce"]) & triples(self.webhooks["advise"])
        self.assertEqual(both, set())

    def test_failure_policies(self):
        self.assertEqual(self.webhooks["advise"]["failurePolicy"], "Ignore")
        wait_for("Fail with a ready seat", lambda: self.enforce()["failurePolicy"] == "Fail", 30)

    def enforce(self):
        config = self.api.get(f"{PATH}/{WEBHOOK_CONFIGURATION}")
        return next(w for w in config["webhooks"] if w["name"].startswith("enforce"))

    def test_what_it_never_covers(self):
        for name, webhook in self.webhooks.items():
            for group, resource, operation in triples(webhook):
                with self.subTest(f"{name}: {operation} {group}/{resource}"):
                    self.assertNotIn("*", (group, resource, operation))
                    self.assertNotIn(resource, ("leases", "events", "nodes/status",
                                                "tokenreviews", "subjectaccessreviews"))
                    self.assertFalse(name == "enforce" and operation == "DELETE")

    def test_what_it_covers(self):
        enforced = triples(self.webhooks["enforce"])
        for group, resource in (("", "pods"), ("apps", "deployments"), ("apps", "replicasets"),
                                ("apps", "statefulsets"), ("apps", "daemonsets"),
                                ("batch", "jobs"), ("batch", "cronjobs")):
            for operation in ("CREATE", "UPDATE"):
                self.assertIn((group, resource, operation), enforced)
        self.assertIn(("", "pods/ephemeralcontainers", "UPDATE"), enforced)

    def test_namespaces_that_are_always_excluded(self):
        for webhook in self.config["webhooks"]:
            names = set()
            for term in webhook["namespaceSelector"]["matchExpressions"]:
                if (term["key"], term["operator"]) == ("kubernetes.io/metadata.name", "NotIn"):
                    names |= set(term["values"])
            self.assertLessEqual(EXCLUDED, names, webhook["name"])

    def test_the_control_plane_itself_is_not_asked(self):
        for webhook in self.config["webhooks"]:
            text = json.dumps(webhook.get("matchConditions", []))
            self.assertIn("system:apiserver", text)
            self.assertIn("system:nodes", text)

    def test_side_effects_and_time_limit(self):
        for webhook in self.config["webhooks"]:
            self.assertEqual(webhook["sideEffects"], "NoneOnDryRun")
            self.assertEqual(webhook["matchPolicy"], "Equivalent")
            self.assertEqual(webhook["admissionReviewVersions"], ["v1"])
            self.assertLessEqual(webhook["timeoutSeconds"], 10)

    def test_it_is_made_by_server_side_apply(self):
        managers = {(m["manager"], m["operation"]) for m in
                    self.config["metadata"]["managedFields"]}
        self.assertEqual(managers, {("eucs-agent", "Apply")})

    def test_render_prints_the_same(self):
        done = run_agent("webhook", "render", "--config", self.agent.config, "--output", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rendered = {w["name"]: triples(w) for w in json.loads(done.stdout)["webhooks"]}
        self.assertEqual(rendered, {w["name"]: triples(w) for w in self.config["webhooks"]})

    def test_drift_is_repaired_and_recorded(self):
        patch = [{"op": "replace", "path": "/webhooks/0/namespaceSelector", "value": {}}]
        self.api.patch(f"{PATH}/{WEBHOOK_CONFIGURATION}", patch, "json")
        wait_for("repair of the selector", lambda: self.api.get(
            f"{PATH}/{WEBHOOK_CONFIGURATION}")["webhooks"][0]["namespaceSelector"], 30)
        wait_for("webhook.drift", lambda: self.agent.records("webhook.drift"), 10)
        self.assert_denied(self.apply(pod(self.ns, "bad", bad_pod_spec())), "pod-privileged")

    def test_a_deleted_configuration_comes_back(self):
        self.api.delete(f"{PATH}/{WEBHOOK_CONFIGURATION}")
        wait_for("the configuration", lambda: self.api.find(f"{PATH}/{WEBHOOK_CONFIGURATION}"), 30)
        wait_for("denials", lambda: self.apply(pod(self.ns, "bad", bad_pod_spec()),
                                               dry_run=True).code != 0, 30)


class WithoutTheAgent(unittest.TestCase):
    """The cluster must live when the agent does not."""

    def setUp(self):
        need_agent()
        self.api = cluster().api()
        self.ns = world().namespace()
        self.addCleanup(forget_webhooks)

    def policies(self):
        config = self.api.get(f"{PATH}/{WEBHOOK_CONFIGURATION}")
        return {w["name"].split(".")[0]: w["failurePolicy"] for w in config["webhooks"]}

    def test_a_clean_end_opens_the_webhook(self):
        with running_agent() as agent:
            wait_for("Fail", lambda: self.policies()["enforce"] == "Fail", 30)
            self.assertEqual(agent.stop(), 0)
            self.assertEqual(self.policies(), {"enforce": "Ignore", "advise": "Ignore"})
            create(self.api, pod(self.ns, "bad", bad_pod_spec()))

    def test_a_crash_does_not_stop_the_system_namespaces(self):
        agent = Agent()
        self.addCleanup(agent.stop)
        agent.start()
        wait_for("Fail", lambda: self.policies()["enforce"] == "Fail", 30)
        create(self.api, pod(self.ns, "good"))
        agent.kill()
        with self.assertRaises(ApiError) as caught:
            create(self.api, pod(self.ns, "refused"))
        self.assertIn("failed calling webhook", str(caught.exception))
        name = f"during-{self.ns}"
        create(self.api, pod("kube-system", name, bad_pod_spec()))
        self.api.delete(path_of("Pod", "kube-system", name))
        self.api.delete(path_of("Pod", self.ns, "good"))
        create(self.api, {"apiVersion": "v1", "kind": "ConfigMap",
                          "metadata": {"name": "free", "namespace": self.ns}})
        cluster().make_node(f"node-{self.ns}")
        agent.start()
        create(self.api, pod(self.ns, "again"))
