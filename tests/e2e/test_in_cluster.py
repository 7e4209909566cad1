"""The agent as a container of the release's own Pod: token and CA where the kubelet puts them,
configuration from the chart, and the API server reaches it through Service and seat label."""

import base64
import os
import shutil
import socket
import subprocess
import unittest

from harness import (NODE, RELEASE_NAMESPACE, WEBHOOK_CONFIGURATION, Agent, ApiError, bad_pod_spec,
                     cluster, create, evlog, forget_webhooks, free_port, need_agent, path_of, pod,
                     wait_for, world)
from test_chart import CHART, RELEASE, WEBHOOKS, helm, objects

SECRETS = f"/api/v1/namespaces/{RELEASE_NAMESPACE}/secrets"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{RELEASE_NAMESPACE}/endpointslices"
SEAT = "eucs-agent.io/seat"

# In a mount namespace of its own, so that this machine's /var/run stays as it is.
ENTER = """\
set -e
mount -t tmpfs none /var/run/
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
cp "$1"/* /var/run/secrets/kubernetes.io/serviceaccount/
shift
exec "$@"
"""


def own_address():
    """An address of this machine that an EndpointSlice may hold: not a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # sends nothing
            return s.getsockname()[0]
        except OSError:
            return None


def may_mount():
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/var/run/"],
                          capture_output=True, check=False)
    return done.returncode == 0


def port_of(made):
    """The port that the Service finds by its name, `webhook`."""
    ports = made["spec"]["containers"][0]["ports"]
    return next(p["containerPort"] for p in ports if p["name"] == "webhook")


class PodAgent(Agent):
    """The agent with nothing but what its container has; only ports and folders are this test's."""

    def __init__(self, base, made, account):
        super().__init__(base=base)
        self.pod_name = made["metadata"]["name"]
        self.webhook_port = port_of(made)
        self.settings = {
            "evidence.dir": self.spool, "webhook.port": self.webhook_port,
            "web.port": self.web_port, "web.tokenFile": self.path("web.token"),
            "health.port": self.health_port,
            "sinks": [{"name": "events", "type": "file", "path": self.sink_file,
                       "start": "oldest"}]}
        self.write_config()
        mounted = self.path("serviceaccount")
        os.makedirs(mounted)
        files = {"token": cluster().token(account, RELEASE_NAMESPACE),
                 "namespace": RELEASE_NAMESPACE}
        for name, text in files.items():
            with open(os.path.join(mounted, name), "w", encoding="ascii") as f:
                f.write(text)
        shutil.copy(cluster().ca.crt, os.path.join(mounted, "ca.crt"))
        self.process.command = ["unshare", "-m", "sh", "-c", ENTER, "sh", mounted,
                                *self.process.command]
        self.process.env.update(
            POD_NAME=self.pod_name, POD_NAMESPACE=RELEASE_NAMESPACE, NODE_NAME=NODE,
            KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=str(cluster().port))

    def _make_pod(self):
        """Its Pod is the one that the DaemonSet made."""


class InCluster(unittest.TestCase):
    def setUp(self):
        need_agent()
        self.address = own_address()
        if not self.address or not may_mount():
            self.skipTest("needs root for a mount namespace, and an address other than loopback")
        self.api = cluster().api()
        self.ns = world().namespace()
        self.addCleanup(forget_webhooks)
        self.addCleanup(self.uninstall)
        helm("install", RELEASE, CHART, "-n", RELEASE_NAMESPACE, "--set", "enforcement=deny")
        self.manifest = objects(helm("get", "manifest", RELEASE, "-n", RELEASE_NAMESPACE).stdout)
        config = next(o for o in self.manifest if o["kind"] == "ConfigMap")
        account = next(o for o in self.manifest if o["kind"] == "ServiceAccount")
        self.made = self.own_pod()
        self.agent = PodAgent(objects(config["data"]["config.yaml"])[0], self.made,
                              account["metadata"]["name"])
        self.addCleanup(self.agent.stop)
        self.play_kubelet()

    def uninstall(self):
        helm("uninstall", RELEASE, "-n", RELEASE_NAMESPACE, check=False)
        cluster().kubectl("delete", "pods", "-n", RELEASE_NAMESPACE, "--force", "--grace-period=0",
                          "-l", f"app.kubernetes.io/instance={RELEASE}")
        for name in ("webhook-tls", "webhook-token"):
            if self.api.find(f"{SECRETS}/{WEBHOOK_CONFIGURATION}-{name}"):
                self.api.delete(f"{SECRETS}/{WEBHOOK_CONFIGURATION}-{name}")

    def own_pod(self):
        """The Pod that the DaemonSet controller made for the one node, with a port that is free."""
        port = free_port()
        self.api.patch(path_of("DaemonSet", RELEASE_NAMESPACE, RELEASE), [{
            "op": "replace", "path": "/spec/template/spec/containers/0/ports/0/containerPort",
            "value": port}], "json")
        return wait_for("Pod of the DaemonSet", lambda: [
            p for p in self.api.get(
                path_of("Pod", RELEASE_NAMESPACE) +
                f"?labelSelector=app.kubernetes.io%2Finstance%3D{RELEASE}")["items"]
            if port_of(p) == port], 30)[0]

    def play_kubelet(self):
        """Scheduler and kubelet in one: the Pod runs on the node, at this machine's address."""
        path = path_of("Pod", RELEASE_NAMESPACE, self.made["metadata"]["name"])
        self.api.create(path + "/binding", {
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": self.made["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}})
        self.api.patch(path + "/status", {"status": {
            "phase": "Running", "podIP": self.address, "podIPs": [{"ip": self.address}],
            "conditions": [{"type": "Ready", "status": "True"}]}})

    def endpoints(self):
        """Addresses behind the webhook's Service."""
        items = self.api.get(f"{SLICES}?labelSelector=kubernetes.io%2Fservice-name%3D"
                             f"{WEBHOOK_CONFIGURATION}-webhook")["items"]
        return [a for i in items for e in i["endpoints"] or [] for a in e["addresses"]]

    def labels(self):
        path = path_of("Pod", RELEASE_NAMESPACE, self.made["metadata"]["name"])
        return self.api.get(path)["metadata"]["labels"]

    def secret(self, name):
        return self.api.find(f"{SECRETS}/{WEBHOOK_CONFIGURATION}-{name}")

    def deny(self):
        """A bad Pod is denied, through the Service; returns the record of it."""
        name = f"bad-{len(self.agent.records())}"
        with self.assertRaises(ApiError) as caught:
            create(self.api, pod(self.ns, name, bad_pod_spec()))
        self.assertIn("pod-privileged", str(caught.exception))
        return self.agent.decisions(self.ns, name)[0]

    def test_life_in_a_pod(self):
        create(self.api, pod(self.ns, "older", bad_pod_spec()))
        self.assertEqual(self.endpoints(), [])
        self.agent.start()
        self.assertEqual(self.endpoints(), [self.address])
        self.assertEqual(self.labels()[SEAT], "true")
        webhooks = self.api.get(f"{WEBHOOKS}/{WEBHOOK_CONFIGURATION}")["webhooks"]
        for webhook in webhooks:
            service = webhook["clientConfig"]["service"]
            self.assertEqual((service["namespace"], service["name"], service["port"]),
                             (RELEASE_NAMESPACE, f"{WEBHOOK_CONFIGURATION}-webhook", 443))
        self.assertEqual(self.deny().body["caller"], "path-token")
        self.agent.wait_assessment(self.ns, "older", "pod-privileged", "fail")
        certificate = self.secret("webhook-tls")
        self.assertEqual(certificate["type"], "kubernetes.io/tls")
        self.assertTrue(self.secret("webhook-token"))

        self.assertEqual(self.agent.stop(), 0)
        self.assertNotIn(SEAT, self.labels())
        wait_for("an empty Service", lambda: not self.endpoints(), 10)
        self.agent.start()
        self.assertEqual(self.secret("webhook-tls")["data"], certificate["data"])
        self.deny()

        self.agent.kill()  # its container starts again in the same Pod, label and Lease in place
        self.agent.start()
        self.deny()
        log = self.agent.log()
        self.assertNotIn("forbidden", log.lower())
        for secret in ("webhook-tls", "webhook-token"):
            for value in filter(None, self.secret(secret)["data"].values()):
                self.assertNotIn(base64.b64decode(value).decode(), log)
        evlog.check_chain(evlog.records(self.agent.spool))
