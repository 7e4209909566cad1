"""The control plane itself: what the other tests rely on, without the agent."""

import json
import os
import subprocess
import unittest

from harness import (BIN, bad_pod_spec, cluster, create, deployment, path_of, pod, pods_of,
                     wait_for, workload, world)

POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "e2e-no-privileged"},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["pods"]}]},
        "validations": [{
            "expression": "object.spec.containers.all(c, "
                          "!c.?securityContext.?privileged.orValue(false))",
            "message": "no privileged containers"}]},
}
POLICY_PATH = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDING_PATH = POLICY_PATH.replace("policies", "policybindings")


class ControlPlane(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cluster()
        cls.api = cls.cluster.api()

    def setUp(self):
        self.ns = world().namespace()

    def test_version_is_the_pinned_one(self):
        with open(os.path.join(os.path.dirname(__file__), "..", "cluster", "go.mod"),
                  encoding="utf-8") as f:
            pinned = next(line.split()[1] for line in f if "k8s.io/kubernetes v" in line)
        self.assertEqual(self.api.get("/version")["gitVersion"], pinned)
        client = self.cluster.kubectl("version", "-o", "json", check=True).json()
        self.assertEqual(client["clientVersion"]["gitVersion"], pinned)

    def test_controllers_make_and_remove_pods(self):
        create(self.api, deployment(self.ns, "web", replicas=2))
        made = wait_for("two Pods", lambda: (lambda p: p if len(p) == 2 else None)(
            pods_of(self.api, self.ns, "web")))
        lost = made[0]["metadata"]["name"]
        self.api.delete(path_of("Pod", self.ns, lost))
        wait_for("a new Pod", lambda: (lambda names: len(names) == 2 and lost not in names)(
            [p["metadata"]["name"] for p in pods_of(self.api, self.ns, "web")]))
        self.cluster.kubectl("delete", "deployment", "web", "-n", self.ns, check=True)
        wait_for("no Pods", lambda: not pods_of(self.api, self.ns, "web"))

    def test_daemon_sets_run_on_the_node(self):
        create(self.api, workload("DaemonSet", self.ns, "each"))
        wait_for("one Pod", lambda: len(pods_of(self.api, self.ns, "each")) == 1)

    def test_controllers_have_identities_of_their_own(self):
        create(self.api, deployment(self.ns, "web"))
        wait_for("a Pod", lambda: pods_of(self.api, self.ns, "web"))
        users = {e["user"]["username"] for e in self.cluster.audit_events()
                 if e.get("objectRef", {}).get("namespace") == self.ns and
                 e["objectRef"].get("resource") == "pods" and e["verb"] == "create"}
        self.assertEqual(users, {"system:serviceaccount:kube-system:replicaset-controller"})

    def test_admission_policies_decide_and_dry_run_leaves_nothing(self):
        self.addCleanup(self.api.delete, f"{POLICY_PATH}/e2e-no-privileged")
        self.addCleanup(self.api.delete, f"{BINDING_PATH}/e2e-no-privileged")
        self.api.create(POLICY_PATH, POLICY)
        self.api.create(BINDING_PATH, {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "e2e-no-privileged"},
            "spec": {"policyName": "e2e-no-privileged", "validationActions": ["Deny"],
                     "matchResources": {"namespaceSelector": {"matchLabels": {
                         "kubernetes.io/metadata.name": self.ns}}}}})

        def dry_run(spec):
            text = json.dumps(pod(self.ns, "probe", spec))
            return self.cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)

        wait_for("the policy's denial", lambda: dry_run(bad_pod_spec()).code != 0)
        self.assertIn("no privileged containers", dry_run(bad_pod_spec()).err)
        self.assertEqual(dry_run(None).code, 0)
        self.assertIsNone(self.api.find(path_of("Pod", self.ns, "probe")))

    def test_tokens_and_exec_plugins_work(self):
        token = self.cluster.token("default", self.ns)
        plugin, calls = self.cluster.kubeconfig_exec("plugin", token)
        for path in (self.cluster.kubeconfig_token("token", token), plugin,
                     self.cluster.kubeconfig_token("token-file", token, in_file=True)):
            done = self.cluster.kubectl("auth", "whoami", "-o", "json", kubeconfig=path, check=True)
            self.assertEqual(done.json()["status"]["userInfo"]["username"],
                             f"system:serviceaccount:{self.ns}:default")
        with open(calls, encoding="utf-8") as f:
            self.assertTrue(f.readline().startswith("get-token {"))

    def test_objects_outlive_the_api_server(self):
        create(self.api, pod(self.ns, "kept"))
        self.cluster.restart_api()
        self.api.close()
        self.assertTrue(self.api.find(path_of("Pod", self.ns, "kept")))

    def test_old_continue_tokens_expire_after_compaction(self):
        for name in ("one", "two"):
            create(self.api, pod(self.ns, name))
        page = self.api.get(path_of("Pod", self.ns) + "?limit=1")
        create(self.api, pod(self.ns, "three"))
        self.cluster.compact()
        self.cluster.restart_api()  # its watch cache could still serve the old version
        self.api.close()
        done = self.cluster.kubectl(
            "get", "--raw", path_of("Pod", self.ns) + "?limit=1&continue=" +
            page["metadata"]["continue"].replace("=", "%3D"))
        self.assertIn("too old", done.err, str(done))

    def test_helm_lints_and_renders(self):
        helm = os.path.join(BIN, "helm")
        chart = os.path.join(world().folder, "scratch")
        env = {"HOME": world().folder, "PATH": os.environ["PATH"]}
        for args in (["create", chart], ["lint", chart]):
            subprocess.run([helm, *args], env=env, check=True, capture_output=True)
        done = subprocess.run([helm, "template", "x", chart], env=env, check=True, text=True,
                              capture_output=True)
        self.assertIn("kind: Deployment", done.stdout)
